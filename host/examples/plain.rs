//! The shortest way of a file over TCP, with no protocol at all: what a transfer is measured against.
//!
//! ```text
//! plain send ADDR:PORT FILE      accepts one connection and sends the file by `sendfile`
//! plain receive ADDR:PORT FILE   writes all that comes to a new file, 1 MiB at a time
//! ```

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["send", at, path] => {
            let (file, listener) = (File::open(path)?, TcpListener::bind(at)?);
            println!("ready");
            let (socket, _) = listener.accept()?;
            while rustix::fs::sendfile(&socket, &file, None, 1 << 30)? > 0 {}
            Ok(())
        }
        ["receive", from, path] => {
            let (mut socket, mut file) = (TcpStream::connect(from)?, File::create_new(path)?);
            let mut buffer = vec![0; 1 << 20];
            loop {
                match socket.read(&mut buffer)? {
                    0 => return Ok(()),
                    count => file.write_all(&buffer[..count])?,
                }
            }
        }
        _ => Err(std::io::Error::other("usage: plain send|receive ADDR:PORT FILE")),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("plain: sendfile is called as on Linux");
}
