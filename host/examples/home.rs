//! How long a home takes for small and large files, without any network: `home FOLDER`.
//!
//! The folder is made new inside FOLDER and removed. On a memory file system it is the cost of the calls themselves.
//! Times are of the processor, so that other programs hardly count; `bare` is the same without a home: create, write,
//! set the time, rename.

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use feige::home::{Arriving, Home};
    use feige_core::digest::Digest;
    use feige_core::wire::transfer::Path;
    use std::io::Write;
    use std::time::Duration;

    const FILES: u32 = 10_000;
    const GROUP: usize = 64;

    /// How long this thread has had a processor.
    fn cpu() -> Duration {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(stat.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0))
    }

    let within = std::env::args().nth(1).ok_or("usage: home FOLDER")?;
    let folder = std::path::Path::new(&within).join(format!("feige-home-{}", std::process::id()));
    let octets = [7; 4096];
    let text = (0..FILES).map(|number| format!("f{}/file-{number}.bin", number / 100)).collect::<Vec<_>>();
    let paths = text.iter().map(|text| Path::parse(text)).collect::<Result<Vec<_>, _>>()?;

    std::fs::create_dir(&folder)?;
    (0..FILES / 100).try_for_each(|number| std::fs::create_dir(folder.join(format!("f{number}"))))?;
    for round in ["new", "replaced"] {
        let begin = cpu();
        for path in &text {
            let (path, part) = (folder.join(path), folder.join(format!("{path}.part")));
            let mut file = std::fs::File::create_new(&part)?;
            file.write_all(&octets)?;
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
            std::fs::rename(part, path)?;
        }
        println!("bare: receive {round}: {:?} each", (cpu() - begin) / FILES);
    }
    std::fs::remove_dir_all(&folder)?;

    for quota in [None, Some(1 << 40)] {
        std::fs::create_dir(&folder)?;
        let home = Home::open(&folder, quota)?;
        for number in 0..FILES / 100 {
            home.make_dir(Path::parse(&format!("f{number}"))?, false)?;
        }
        let digest = [Digest::of(&octets)];
        let arriving = Arriving {
            size: 4096,
            mtime: Some(0),
            mode: Some(0o644),
            stamp: 1,
            block: 16,
            replace: true,
            fresh: false,
        };
        let show = |what: &str, begin: Duration, by: u32| {
            println!("{}: {what}: {:?}", if quota.is_some() { "quota" } else { "no quota" }, (cpu() - begin) / by);
        };
        for round in ["receive new, each", "receive replaced, each"] {
            let mut finished = Vec::with_capacity(GROUP);
            let begin = cpu();
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
            show(round, begin, FILES);
        }
        let begin = cpu();
        for path in &paths {
            home.read(*path)?;
        }
        show("read, each", begin, FILES);
        let begin = cpu();
        let mut listed = 0;
        for number in 0..FILES / 100 {
            listed += home.list(Path::parse(&format!("f{number}"))?)?.count();
        }
        assert_eq!(listed, paths.len());
        show("list, each", begin, FILES);
        let begin = cpu();
        assert_eq!(home.space().used, u64::from(FILES) * 4096);
        show("space", begin, 1);

        let large = vec![7; 1 << 20];
        let digests = [digest[0]; 16];
        let begin = cpu();
        for path in &paths[..100] {
            let mut upload = home.receive(*path, &Arriving { size: 1 << 20, ..arriving })?;
            upload.write(0, &large)?;
            upload.verified(0, 1 << 20, &digests)?;
            home.settle(&mut vec![upload.complete()?]).into_iter().collect::<Result<(), _>>()?;
        }
        show("receive 1 MiB, each", begin, 100);
        let begin = cpu();
        for number in 0..100 {
            let (path, part) = (folder.join(format!("{number}")), folder.join("part"));
            let mut file = std::fs::File::create_new(&part)?;
            file.write_all(&large)?;
            std::fs::rename(part, path)?;
        }
        show("1 MiB bare, each", begin, 100);
        let size = 1 << 30;
        let path = Path::parse("large")?;
        let mut upload = home.receive(path, &Arriving { size, ..arriving })?;
        let begin = cpu();
        for at in (0..size).step_by(large.len()) {
            upload.write(at, &large)?;
            upload.verified(at, 1 << 20, &digests)?;
        }
        show("1 GiB", begin, 1);
        drop(upload);
        let begin = cpu();
        let upload = home.receive(path, &Arriving { size, ..arriving })?;
        assert_eq!(upload.offset(), size);
        show("1 GiB taken up again", begin, 1);
        home.settle(&mut vec![upload.complete()?]).into_iter().collect::<Result<(), _>>()?;
        let begin = cpu();
        for path in &paths {
            home.remove(*path)?;
        }
        show("remove, each", begin, FILES);
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {}
