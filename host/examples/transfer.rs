//! One transfer between two processes, without members and messages: for measurements and for looking at packets.
//!
//! ```text
//! transfer serve 10.0.0.1:2425 10.0.0.2 PATH            serves PATH to 10.0.0.2, once
//! transfer fetch 10.0.0.1:2425 file SIZE NAME FOLDER     fetches a file of SIZE octets into FOLDER
//! transfer fetch 10.0.0.1:2425 folder 0 NAME FOLDER      fetches a folder into FOLDER
//! ```
//! `MD5=always|never` asks for the digest of a file, or for none.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use feige::charset::{Charset, Policy};
use feige::store::Inbox;
use feige::transfer::{Cancel, Clock, Event, Gate, Md5Policy, Serving, Share, Shares, Wanted, download};
use feige_core::stream::Limits;
use feige_core::text::Text;
use feige_core::wire::ipmsg::{Command, Header, Options, PacketNo, PacketToken, RequestKind};

const PACKET: PacketNo = PacketNo(1);

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", at, to, path] => serve(at.parse()?, to.parse()?, path.as_ref()),
        ["fetch", from, kind, size, name, folder] => fetch(from.parse()?, kind, size.parse()?, name, folder.as_ref()),
        _ => {
            Err("usage: transfer serve ADDR:PORT TO PATH | transfer fetch ADDR:PORT file|folder SIZE NAME FOLDER"
                .into())
        }
    }
}

fn serve(at: SocketAddrV4, to: Ipv4Addr, path: &Path) -> Result<(), Error> {
    let (clock, shares) = (Clock::start(), Arc::new(Shares::new()));
    let share = Arc::new(Share::of(path)?);
    shares.offer(clock.now(), to, PACKET, 1, share, Charset::Utf8)?;
    let (done, wait) = sync_channel(1);
    let serving = Serving::new(shares, Gate::default(), clock, Cancel::new(), move |event| match event {
        Event::Progress(..) => {}
        event => {
            let _ = done.try_send(event);
        }
    });
    let listener = TcpListener::bind(at)?;
    println!("ready");
    let (stream, from) = listener.accept()?;
    serving.accept(stream, from);
    match wait.recv()? {
        Event::Served { .. } => Ok(()),
        event => Err(format!("{event:?}").into()),
    }
}

fn fetch(from: SocketAddrV4, kind: &str, size: u64, name: &str, folder: &Path) -> Result<(), Error> {
    let kind = if kind == "folder" { RequestKind::Folder } else { RequestKind::File };
    let md5 = match std::env::var("MD5").as_deref() {
        Ok("always") => Md5Policy::Always,
        Ok("never") => Md5Policy::Never,
        _ => Md5Policy::Auto,
    };
    let header = Header {
        version: Text::from("1"),
        packet_no: PacketToken(Text::from("1")),
        user: Text::from("user"),
        host: Text::from("host"),
        command: Command::GetFileData,
        options: Options::UTF8,
    };
    let wanted = Wanted {
        local: Ipv4Addr::UNSPECIFIED,
        from,
        header,
        kind,
        packet_no: PACKET,
        id: 1,
        name,
        size: (kind == RequestKind::File).then_some(size),
        modified: None,
        charset: Some(Charset::Utf8),
        policy: Policy::new(None),
        resumes: true,
        md5,
        limits: Limits::default(),
    };
    let downloaded = download(&wanted, &Inbox::open(folder)?, Clock::start(), &Cancel::new(), &mut |_| {})?;
    println!("{}", downloaded.path.display());
    Ok(())
}
