//! The classic dialects as a program: for trying them with other people's programs.
//!
//! ```text
//! classic serve 127.0.0.1:2426 FOLDER          serves FOLDER; prints "ready" and what happens
//! classic upload 127.0.0.1:8001 FILE…          simple upload
//! classic put 127.0.0.1:8080 FILE…             to a put server
//! classic command 127.0.0.1:8080 WORD…         carries out a command there
//! classic ls|get 127.0.0.1:8002 FOLDER NAME…   lists a salted store (FOLDER: img, video, .), or downloads from it
//! classic store 127.0.0.1:8002 FILE…           uploads to a salted store
//! ```

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use feige::classic::{Client, Guests, Limits, Right, Session, command, send_put, send_upload, serve};
use feige::home::Home;
use feige::store::Inbox;
use feige::transfer::Cancel;
use feige_core::text::FileName;
use feige_core::wire::classic::{FileType, JsonText};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [what, at, rest @ ..] = words.as_slice() else { return Err("usage: see the head of the source".into()) };
    let to: SocketAddr = at.parse()?;
    let (cancel, limits) = (Cancel::new(), Limits::default());
    let mut client = Client { to, limits, cancel: &cancel, progress: &mut |_| {} };
    match (*what, rest) {
        ("serve", [folder]) => listen(to, folder),
        ("upload", files) => each(files, |path, name| {
            let sent = send_upload(&mut client, path, name)?;
            println!("{} {} {}", sent.size, sent.md5, sent.closed);
            Ok(())
        }),
        ("put", files) => each(files, |path, name| {
            let sent = send_put(&mut client, path, name)?;
            println!("{} {} {}", sent.size, sent.md5, sent.closed);
            Ok(())
        }),
        ("command", words) => {
            let output = command(&mut client, &words.join(" "), &mut std::io::stdout())?;
            eprintln!("{} octets, verified: {}", output.size, output.verified);
            Ok(())
        }
        ("ls", [folder]) => {
            for name in Session::connect(&mut client)?.list(FileType::of_word(JsonText::plain(folder)))? {
                println!("{name}");
            }
            Ok(())
        }
        ("get", [folder, names @ ..]) => {
            let inbox = Inbox::open(folder)?;
            let mut session = Session::connect(&mut client)?;
            for name in names {
                let local = FileName::from_untrusted(name);
                let downloaded = session.download(name, FileType::of_name(name), &inbox, &local)?;
                println!("{} {} {}", downloaded.path.display(), downloaded.size, downloaded.md5);
            }
            Ok(())
        }
        ("store", files) => {
            let mut session = Session::connect(&mut client)?;
            each(files, |path, name| {
                println!("{}", session.upload(path, name)?.answer);
                Ok(())
            })
        }
        _ => Err("usage: see the head of the source".into()),
    }
}

fn each(files: &[&str], mut send: impl FnMut(&Path, &str) -> Result<(), Error>) -> Result<(), Error> {
    files.iter().map(Path::new).try_for_each(|path| {
        let name = path.file_name().ok_or("a file needs a name")?.to_string_lossy();
        send(path, &name)
    })
}

fn listen(at: SocketAddr, folder: &str) -> Result<(), Error> {
    let listener = TcpListener::bind(at)?;
    let shelf = Guests::new(Home::open(Path::new(folder), None)?, Right::Write);
    println!("ready {}", listener.local_addr()?);
    std::thread::scope(|threads| {
        for stream in listener.incoming() {
            let stream = stream?;
            let shelf = &shelf;
            threads.spawn(move || {
                let cancel = Cancel::new();
                let tell = &mut |event| println!("{event:?}");
                let result = serve(stream, Vec::new(), shelf, &Limits::default(), &cancel, tell);
                println!("{result:?}");
            });
        }
        Ok(())
    })
}
