//! Neighbours that break the rules: memory stays bounded, service goes on, nothing wrong is left on the disk.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use feige_core::wire::ipmsg::{Command, PORT};
use feige_tests::lab::{Host, Lab};
use feige_tests::or_skip;
use feige_tests::peer::Peer;
use feige_tests::program::{Program, SOON, run};

/// Bob listens and takes what he is offered; Mallory does what she likes.
fn lab() -> Option<(Lab, Host, Host)> {
    let mut lab = or_skip(Lab::new())?;
    let (mallory, bob) = (lab.host("mallory"), lab.host("bob"));
    Some((lab, mallory, bob))
}

fn listening(host: &Host) -> Program {
    let mut program = Program::start(host, ["--json", "listen", "--accept", "all", "--dir", "inbox"]);
    program.event("ready");
    program
}

/// The names of all that lies in Bob's folder for downloads.
fn inbox(host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.path("inbox")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Mallory becomes known and offers this list of files.
fn offering(host: &Host, to: &Host, list: &str) -> Peer {
    let mut mallory = Peer::on(host);
    mallory.enter(to.at(PORT), "mallory");
    mallory.send(to.at(PORT), format!("1:77:mallory:mallory-pc:2097440:\0{list}\0"));
    mallory.receive(Command::RecvMsg);
    mallory
}

#[test]
fn a_flood_of_made_up_members_changes_nothing() {
    let Some((mut lab, mallory, bob)) = lab() else { return };
    let alice = lab.host("alice");
    let mut listener = listening(&bob);
    let before = listener.memory("VmRSS");
    // Every address of 10.80.0.0/16 is Mallory's.
    let status = mallory.command("ip").args(["route", "add", "local", "10.80.0.0/16", "dev", "lo"]).status().unwrap();
    assert!(status.success());
    let bobs = bob.at(PORT);
    mallory.within(move || {
        for number in 0..20_000_u32 {
            let [_, _, high, low] = number.to_be_bytes();
            let socket = UdpSocket::bind((Ipv4Addr::new(10, 80, high, low), PORT)).unwrap();
            let entry = format!("1:{number}:user{number}:host{number}:1:nick{number}\0group{}\0", number % 100);
            socket.send_to(entry.as_bytes(), bobs).unwrap();
        }
    });
    let ended = run(&alice, SOON, ["send", &bob.ip().to_string(), "still there?"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(listener.event("message")["text"], "still there?");
    let after = listener.memory("VmRSS");
    assert!(after < before + 4096, "grew from {before} to {after} KiB");
}

#[test]
fn silent_connections_keep_nobody_out() {
    let Some((mut lab, mallory, bob)) = lab() else { return };
    let alice = lab.host("alice");
    fs::write(bob.path("b.txt"), "for alice").unwrap();
    let mut takes = Program::start(&alice, ["--json", "listen", "--accept", "ask", "--dir", "inbox"]);
    takes.event("ready");
    let mut send =
        Program::start(&bob, ["--json", "send", &alice.ip().to_string(), "--file", "b.txt", "--wait", "90s"]);
    takes.event("offer");
    let mut held: Vec<TcpStream> = Vec::new();
    let end = Instant::now() + SOON;
    while held.len() < 500 && Instant::now() < end {
        match mallory.connect(bob.at(PORT)) {
            Ok(stream) => held.push(stream),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    assert!(!held.is_empty(), "Bob does not listen: {send}");
    let ended = run(&alice, Duration::from_secs(90), ["get-offer", "all"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(takes.event("downloaded")["name"], "b.txt");
    send.event("served");
    assert_eq!(send.end(SOON).code, Some(0));
}

#[test]
fn a_file_ends_at_its_announced_size() {
    let Some((_lab, mallory, bob)) = lab() else { return };
    let mut listener = listening(&bob);
    let peer = offering(&mallory, &bob, "0:small.txt:1:65a0b0c0:1:\x07");
    let mut stream = peer.accept();
    stream.set_write_timeout(Some(SOON)).unwrap();
    let octets = vec![b'x'; 1 << 20];
    let mut written = 0_u64;
    // Until the other side hangs up.
    while stream.write_all(&octets).is_ok() {
        written += 1;
        assert!(written < 64, "takes octets without end");
    }
    assert_eq!(listener.event("downloaded")["size"], 1);
    assert_eq!(fs::read(bob.path("inbox/small.txt")).unwrap(), b"x");
    assert_eq!(inbox(&bob), ["small.txt"]);
}

#[test]
fn a_file_that_ends_short_is_not_there() {
    let Some((_lab, mallory, bob)) = lab() else { return };
    let mut listener = listening(&bob);
    let peer = offering(&mallory, &bob, "0:short.txt:ffff:65a0b0c0:1:\x07");
    // It may be asked for again, and ends short again.
    let end = Instant::now() + Duration::from_secs(60);
    while !listener.sees(Duration::from_millis(100), |event| event["event"] == "failed") {
        assert!(Instant::now() < end, "it never gives up: {listener}");
        if let Some(mut stream) = peer.try_accept() {
            let _ = stream.write_all(b"only this");
        }
    }
    assert!(!bob.path("inbox/short.txt").exists());
}

#[test]
fn names_stay_inside_the_folder() {
    let Some((_lab, mallory, bob)) = lab() else { return };
    let mut listener = listening(&bob);
    let names = ["../up.txt", "/etc/feige-was-here", "a/b.txt", "..", "nul\x01ctl.txt", "C:\\x.txt", "\u{202e}txt.exe"];
    let list: String =
        (0..).zip(names).map(|(id, name)| format!("{id}:{}:3:65a0b0c0:1:\x07", name.replace(':', "::"))).collect();
    let peer = offering(&mallory, &bob, &list);
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if let Some(mut stream) = peer.try_accept() {
            let _ = stream.write_all(b"abc");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!bob.path("up.txt").exists());
    assert!(!std::path::Path::new("/etc/feige-was-here").exists());
    assert!(!bob.path("inbox/a/b.txt").exists());
    for name in inbox(&bob) {
        assert!(!name.contains(['/', '\\', '\u{202e}', '\x01']), "{name:?}");
    }
    // The program goes on.
    peer.send(bob.at(PORT), "1:78:mallory:mallory-pc:288:done\0");
    assert_eq!(listener.event("message")["text"], "done");
}

#[test]
fn nonsense_is_dropped() {
    let Some((_lab, mallory, bob)) = lab() else { return };
    let mut listener = listening(&bob);
    let mut peer = Peer::on(&mallory);
    let mut state = 0x9e37_79b9_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    for number in 0..5_000_u32 {
        let len = usize::try_from(random() % 300).unwrap();
        let mut octets: Vec<u8> = (0..len).map(|_| random().to_le_bytes()[0]).collect();
        if number % 2 == 0 {
            let command = random() & 0x00ff_ffff;
            octets.splice(..0, format!("1:{number}:m:h:{command}:").into_bytes());
        }
        peer.send(bob.at(PORT), &octets);
    }
    // The socket may have overflowed: repeat as a client would.
    let acknowledged = (0..20).any(|_| {
        peer.send(bob.at(PORT), "1:4000000000:mallory:mallory-pc:288:sense\0");
        peer.receive_where(Duration::from_millis(500), |datagram| {
            datagram.header.command == Command::RecvMsg && datagram.body.starts_with(b"4000000000")
        })
        .is_some()
    });
    assert!(acknowledged, "deaf: {listener}");
    assert!(listener.sees(SOON, |event| event["text"] == "sense"));
}
