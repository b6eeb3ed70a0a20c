//! How long a home takes for small and large files, without any network: `home FOLDER`.
//!
//! The folder is made new inside FOLDER and removed. On a memory file system it is the cost of the calls themselves.

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use feige::home::{Arriving, Home};
    use feige_core::digest::Digest;
    use feige_core::wire::transfer::Path;
    use std::time::Instant;

    const FILES: u32 = 10_000;
    const GROUP: usize = 64;
    let within = std::env::args().nth(1).ok_or("usage: home FOLDER")?;
    let folder = std::path::Path::new(&within).join(format!("feige-home-{}", std::process::id()));
    for quota in [None, Some(1 << 40)] {
        std::fs::create_dir(&folder)?;
        let home = Home::open(&folder, quota)?;
        let text = (0..FILES).map(|number| format!("f{}/file-{number}.bin", number / 100)).collect::<Vec<_>>();
        let paths = text.iter().map(|text| Path::parse(text)).collect::<Result<Vec<_>, _>>()?;
        for number in 0..FILES / 100 {
            home.make_dir(Path::parse(&format!("f{number}"))?, false)?;
        }
        let octets = [7; 4096];
        let digest = [Digest::of(&octets)];
        let arriving = Arriving { size: 4096, mtime: Some(0), mode: Some(0o644), stamp: 1, block: 16, replace: true };
        for round in ["new", "replaced"] {
            let mut finished = Vec::with_capacity(GROUP);
            let begin = Instant::now();
            for path in &paths {
                let mut upload = home.receive(*path, &arriving)?;
                upload.write(0, &octets)?;
                upload.verified(0, 4096, &digest)?;
                finished.push(upload.complete()?);
                if finished.len() == GROUP {
                    home.settle(&mut finished).into_iter().collect::<Result<(), _>>()?;
                }
            }
            home.settle(&mut finished).into_iter().collect::<Result<(), _>>()?;
            println!("quota {quota:?}: receive {round}: {:?} each", begin.elapsed() / FILES);
        }
        let begin = Instant::now();
        for path in &paths {
            home.read(*path)?;
        }
        println!("quota {quota:?}: read: {:?} each", begin.elapsed() / FILES);
        let begin = Instant::now();
        let listed = (0..FILES / 100).map(|number| {
            let listing = home.list(Path::parse(&format!("f{number}")).unwrap_or(Path::ROOT));
            listing.map_or(0, Iterator::count)
        });
        println!("quota {quota:?}: list: {} entries, {:?} each", listed.sum::<usize>(), begin.elapsed() / FILES);
        let begin = Instant::now();
        println!("quota {quota:?}: space: {:?}, {:?}", home.space(), begin.elapsed());

        let large = vec![7; 1 << 20];
        let digests = [digest[0]; 16];
        let size = 1 << 30;
        let path = Path::parse("large")?;
        let mut upload = home.receive(path, &Arriving { size, ..arriving })?;
        let begin = Instant::now();
        for at in (0..size).step_by(large.len()) {
            upload.write(at, &large)?;
            upload.verified(at, 1 << 20, &digests)?;
        }
        println!("quota {quota:?}: 1 GiB: {:?}", begin.elapsed());
        drop(upload);
        let begin = Instant::now();
        let upload = home.receive(path, &Arriving { size, ..arriving })?;
        println!("quota {quota:?}: taken up again at {}: {:?}", upload.offset(), begin.elapsed());
        home.settle(&mut vec![upload.complete()?]).into_iter().collect::<Result<(), _>>()?;
        let begin = Instant::now();
        for path in &paths {
            home.remove(*path)?;
        }
        println!("quota {quota:?}: remove: {:?} each", begin.elapsed() / FILES);
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn main() {}
