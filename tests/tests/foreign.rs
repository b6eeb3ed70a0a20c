//! What other programs put on the wire, octet for octet, played to the real program over loopback.
//!
//! The forms were captured from running clients: the official IP Messenger for Windows, FeiQ, iptux, libipmsg, ipmsg-rs,
//! mattn's go-ipmsg and others. Each test uses loopback addresses of its own, so all can run at once; none needs root.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use feige_core::wire::ipmsg::{Command, Options};
use feige_tests::peer::{Peer, offer, request};
use feige_tests::program::{Program, SOON};
use tempfile::TempDir;

/// Not the usual one: somebody on this machine may be using that on all addresses.
const PORT: u16 = 2485;

/// Addresses that no other test in this process uses, and none in another process at this time, in all likelihood.
fn addresses() -> (SocketAddrV4, SocketAddrV4) {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let third = NEXT.fetch_add(2, Ordering::Relaxed);
    let address = |last| SocketAddrV4::new(Ipv4Addr::new(127, high ^ 0x40, low, last), PORT);
    (address(third), address(third + 1))
}

/// Feige at `address`, listening.
fn listening(home: &TempDir, address: SocketAddrV4) -> Program {
    let ip = address.ip().to_string();
    let port = PORT.to_string();
    let us = [
        "--json",
        "--bind",
        &ip,
        "--port",
        &port,
        "--broadcast",
        "127.255.255.255",
        "--user",
        "alice",
        "--hostname",
        "desk",
    ];
    let mut program = Program::start(home, us.iter().chain(&["listen", "--accept", "all", "--dir", "inbox"]));
    program.event("ready");
    program
}

/// Entries of real programs: their words of command, what is shown of each, and that each is answered.
#[test]
fn every_program_is_seen_and_answered() {
    let entries: &[(&str, &[u8], &str, &str)] = &[
        (
            "official 4.99",
            b"1:1700000001:taro:PC2:258211841:Taro\0Dev\0\nUN:taro\nHN:PC\
                2\nNN:\xe5\xa4\xaa\xe9\x83\x8e\nGN:\xe9\x96\x8b\xe7\x99\xba\nVS:00010002:4:99:103",
            "太郎",
            "開発",
        ),
        (
            "FeiQ",
            b"1_lbt80_8#128#80FA5B42A569#0#0#0#4000#9:1505470103:hasee:KG65FBS:6291457:35\
            _\xcb\xef\xd6\xbe\xb3\xc9\0\xd1\xd0\xb7\xa2\xb2\xbf\0",
            "35_孙志成",
            "研发部",
        ),
        ("iptux", "1_iptux 0.8.3:1:bob:bob-pc:257:小明\0一组\0icon-tux.png\0utf-8\0".as_bytes(), "小明", "一组"),
        ("old iptux", b"iptux 0.6.4:1:bob:bob-pc:257:bob\0team\0icon-tux.png\0utf-8\0", "bob", "team"),
        ("ipmsg-rs", b"1:1700000001:rust:host:1025:host\0\nhost", "host", ""),
        ("go-ipmsg, no terminator", b"1:1700000001:go:gohost:1025:gopher\0gogroup", "gopher", "gogroup"),
        ("plain clone", b"1:5:user:host:1:nick", "nick", ""),
    ];
    for (name, entry, nick, group) in entries {
        let (ours, theirs) = addresses();
        let home = tempfile::tempdir().unwrap();
        let mut feige = listening(&home, ours);
        let mut peer = Peer::at(theirs);
        peer.send(ours, entry);
        let answer = peer.receive(Command::AnsEntry);
        assert_eq!(answer.from, ours.into(), "{name}");
        let answer = answer.datagram();
        assert_eq!(
            (answer.header.user.as_bytes(), answer.header.host.as_bytes()),
            (&b"alice"[..], &b"desk"[..]),
            "{name}"
        );
        // Who claims to encrypt is sent what we cannot read.
        assert!(!answer.header.options.intersects(Options::CAP_IPDICT.with(Options::CAP_FILE_ENC)), "{name}");
        let seen = feige.event_where("online", SOON, |event| event["addr"] == theirs.to_string());
        assert_eq!((&seen["nick"], &seen["group"]), (&(*nick).into(), &(*group).into()), "{name}");
    }
}

/// Messages: what is acknowledged, how, and how often.
#[test]
fn messages_are_acknowledged_with_the_very_number() {
    let (ours, theirs) = addresses();
    let home = tempfile::tempdir().unwrap();
    let mut feige = listening(&home, ours);
    let mut peer = Peer::at(theirs);
    peer.enter(ours, "carol");
    for (number, token) in ["1", "1700000080", "0000000042", "1655805996123", "99999999999"].iter().enumerate() {
        let text = format!("text {number}");
        let message = format!("1:{token}:carol:carol-pc:288:{text}\0");
        peer.send(ours, &message);
        let answer = peer.receive(Command::RecvMsg);
        assert_eq!(answer.datagram().header.word(), 33, "feiq recognises nothing but 33");
        assert_eq!(answer.datagram().body, token.as_bytes());
        assert_eq!(feige.event("message")["text"], text);
        // Once more, with padding as the official client does from its third repetition on: acknowledged, not shown.
        peer.send(ours, message.clone() + &"\0".repeat(64));
        assert_eq!(peer.receive(Command::RecvMsg).datagram().body, token.as_bytes());
    }
    // Without SENDCHECK, and to all: shown, not acknowledged.
    peer.send(ours, "1:200:carol:carol-pc:32:no check\0");
    assert_eq!(feige.event("message")["text"], "no check");
    peer.send(ours, "1:201:carol:carol-pc:1312:to all\0");
    assert_eq!(feige.event("message")["text"], "to all");
    let more = peer.receive_where(Duration::from_millis(500), |datagram| datagram.header.command == Command::RecvMsg);
    assert!(more.is_none(), "{more:?}");
    assert!(!feige.sees(Duration::from_millis(100), |event| event["event"] == "message"));
}

#[test]
fn texts_come_in_their_senders_charset() {
    let messages: &[(&[u8], &[u8], &str)] = &[
        // FeiQ: GBK, with its font behind the text.
        (
            b"1_lbt6_0#128#000C29DCD6D7#0#0#0#4001#9:5:lh:lh:6291457:lh\0\0",
            b"1_lbt6_0#128#000C29DCD6D7#0#0#0#4001#9:1531646672:lh:lh:288:\xc4\xe3\xba\xc3{/font;-16 0 0 0 4\
                00 0 0 0 134 0 0 2 32 \xce\xa2\xc8\xed\xd1\xc5\xba\xda 8404992;}\0",
            "你好",
        ),
        // The official client to somebody who knows UTF-8.
        (
            b"1:1700000001:taro:PC2:23068673:Taro\0Dev\0\nUN:taro\nHN:PC2\nNN:Taro\nGN:Dev",
            b"1:1700000002:taro:PC2:8388896:\xe3\x82\x84\xe3\x81\x82\n2\xe8\xa1\x8c\xe7\x9b\xae\0",
            "やあ\n2行目",
        ),
        // iptux: UTF-8 that it does not announce with a flag.
        (
            b"1_iptux 0.8.3:1:bob:bob-pc:257:bob\0\0icon-tux.png\0utf-8\0",
            b"1_iptux 0.8.3:2:bob:bob-pc:288\
            :\xe4\xbd\xa0\xe5\xa5\xbd\0",
            "你好",
        ),
    ];
    for (entry, message, text) in messages {
        let (ours, theirs) = addresses();
        let home = tempfile::tempdir().unwrap();
        let mut feige = listening(&home, ours);
        let mut peer = Peer::at(theirs);
        peer.send(ours, entry);
        peer.receive(Command::AnsEntry);
        peer.send(ours, message);
        assert_eq!(feige.event("message")["text"], *text);
    }
}

/// A file and a folder that `feige send` offers, and how to ask for them.
struct Offered {
    send: Program,
    peer: Peer,
    ours: SocketAddrV4,
    packet: u64,
    ids: Vec<u32>,
    _home: TempDir,
}

fn offered() -> Offered {
    let (ours, theirs) = addresses();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.txt"), "contents").unwrap();
    fs::create_dir_all(home.path().join("docs/sub")).unwrap();
    fs::write(home.path().join("docs/sub/b.txt"), "abc").unwrap();
    // Never asked for: so the program stays.
    fs::write(home.path().join("last.txt"), "z").unwrap();
    let mut peer = Peer::at(theirs);
    let (ip, port, to) = (ours.ip().to_string(), PORT.to_string(), theirs.to_string());
    let send = Program::start(
        &home,
        [
            "--json", "--bind", &ip, "--port", &port, "send", &to, "--file", "a.txt", "--file", "docs", "--file",
            "last.txt", "--wait", "60s",
        ],
    );
    let message = peer.receive(Command::SendMsg);
    let (packet, entries) = offer(&message);
    assert_eq!(message.from, ours.into(), "files are fetched where the offer came from");
    peer.send(ours, format!("1:1:bob:bob-pc:33:{packet}\0"));
    let ids = entries.iter().map(|entry| {
        let id = entry.split(|&octet| octet == b':').next().unwrap();
        String::from_utf8_lossy(id).parse().unwrap()
    });
    let ids: Vec<u32> = ids.collect();
    assert_eq!(ids.len(), 3);
    Offered { send, peer, ours, packet, ids, _home: home }
}

impl Offered {
    /// The octets of `P:F…` (packet and file) in a request with this header.
    fn request(&self, header: &str, body: &str, file: usize) -> Vec<u8> {
        let body = body.replace('P', &format!("{:x}", self.packet)).replace('F', &format!("{:x}", self.ids[file]));
        format!("{header}{body}").into_bytes()
    }

    fn ask(&self, pieces: &[&[u8]]) -> Vec<u8> {
        // From the address that was offered to.
        let theirs = match self.peer.address() {
            std::net::SocketAddr::V4(address) => *address.ip(),
            std::net::SocketAddr::V6(_) => unreachable!(),
        };
        request(connect_from(theirs, self.ours), pieces).unwrap()
    }
}

/// A connection from a certain address of this machine.
fn connect_from(from: Ipv4Addr, to: SocketAddrV4) -> TcpStream {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new(from, 0)).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

#[test]
fn every_form_of_a_file_request_is_served() {
    let forms = [
        ("official, feiq, ipmsg-rs", "1:7:bob:bob-pc:96:", "P:F:0:\0"),
        ("iptux, libipmsg", "1_iptux 0.8.3:7:bob:bob-pc:96:", "P:F:0\0"),
        ("iptux towards iptux", "1_iptux 0.8.3:7:bob:bob-pc:2097248:", "P:F:0\0"),
        ("mattn, no terminator", "1:7:bob:bob-pc:96:", "P:F:0"),
        ("FeiQ, no terminator", "1_lbt80_47#128#74E6E238FE3E#0#0#0#4000#9:7:king:KING-PC:96:", "P:F:0:"),
        ("Windows with UTF-8", "1:7:bob:bob-pc:8388704:", "P:F:0:\0"),
        ("leading zeros", "1:7:bob:bob-pc:96:", "00P:0F:00000000:\0"),
    ];
    let offered = offered();
    for (name, header, body) in forms {
        let octets = offered.request(header, body, 0);
        assert_eq!(offered.ask(&[&octets]), b"contents", "{name}");
        // In two pieces, cut everywhere that matters, and one octet at a time.
        for cut in [1, header.len(), octets.len() - 2, octets.len() - 1] {
            let (front, back) = octets.split_at(cut);
            assert_eq!(offered.ask(&[front, back]), b"contents", "{name}, cut at {cut}");
        }
        let single: Vec<&[u8]> = octets.chunks(1).collect();
        assert_eq!(offered.ask(&single), b"contents", "{name}, octet by octet");
    }
    let from_two = offered.request("1:7:bob:bob-pc:96:", "P:F:2:\0", 0);
    assert_eq!(offered.ask(&[&from_two]), b"ntents", "from an offset on");
}

#[test]
fn every_form_of_a_folder_request_is_served() {
    let forms = [
        ("official", "1:7:bob:bob-pc:98:", "P:F:\0"),
        ("feiq, ipmsg-rs, Mac", "1:7:bob:bob-pc:98:", "P:F:0:\0"),
        ("iptux", "1_iptux 0.8.3:7:bob:bob-pc:2097250:", "P:F:0\0"),
        ("libipmsg", "1:7:bob:bob-pc:98:", "P:F\0"),
        ("mattn, no terminator", "1:7:bob:bob-pc:98:", "P:F"),
    ];
    let offered = offered();
    for (name, header, body) in forms {
        let octets = offered.request(header, body, 1);
        let stream = offered.ask(&[&octets]);
        assert_eq!(shape(&stream), [">docs", ">sub", "b.txt=abc", "<", "<"], "{name}");
    }
}

/// What a folder stream says, if each header is exactly as long as it says and of FeiQ's widths.
fn shape(mut stream: &[u8]) -> Vec<String> {
    let mut said = Vec::new();
    while !stream.is_empty() {
        let len = usize::from_str_radix(std::str::from_utf8(&stream[..4]).unwrap(), 16).unwrap();
        let header = std::str::from_utf8(&stream[..len]).unwrap();
        assert!(header.ends_with(':'), "{header}");
        let fields: Vec<&str> = header.split(':').collect();
        assert_eq!((fields[0].len(), fields[2].len()), (4, 9), "{header}");
        let size = usize::from_str_radix(fields[2], 16).unwrap();
        stream = &stream[len..];
        match u32::from_str_radix(fields[3], 16).unwrap() & 0xff {
            1 => {
                let (contents, rest) = stream.split_at(size);
                said.push(format!("{}={}", fields[1], String::from_utf8_lossy(contents)));
                stream = rest;
            }
            2 => said.push(format!(">{}", fields[1])),
            3 => said.push("<".to_owned()),
            other => panic!("kind {other} in {header}"),
        }
    }
    said
}

#[test]
fn others_get_nothing() {
    let mut offered = offered();
    let right = offered.request("1:7:bob:bob-pc:96:", "P:F:0:\0", 0);
    // From another address; for another packet; for another file; a folder as a file; no request at all.
    let stranger = connect_from(Ipv4Addr::new(127, 99, 99, 99), offered.ours);
    assert_eq!(request(stranger, &[&right]).unwrap_or_default(), b"");
    for wrong in [
        offered.request("1:7:bob:bob-pc:96:", "77:F:0:\0", 0),
        offered.request("1:7:bob:bob-pc:96:", "P:77F:0:\0", 0),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\0".to_vec(),
        vec![b'x'; 5000],
    ] {
        let from = match offered.peer.address() {
            std::net::SocketAddr::V4(address) => *address.ip(),
            std::net::SocketAddr::V6(_) => unreachable!(),
        };
        let answer = request(connect_from(from, offered.ours), &[&wrong]);
        assert_eq!(answer.unwrap_or_default(), b"", "{}", wrong.escape_ascii());
    }
    assert_eq!(offered.ask(&[&right]), b"contents", "{}", offered.send);
    assert_eq!(offered.send.event("served")["name"], "a.txt");
}

/// Folder streams as seven writers write them, served by hand.
#[test]
fn every_writer_of_folders_is_understood() {
    let mut preamble = vec![0; 3076];
    preamble[..2].copy_from_slice(b"0<");
    let feiq = b"0027:docs:000000000:2:14=65a0b0c0:0=16:0028:a.txt:000000003:1:14=65a0b0c0:0=16:abc001c:.:0:\
        3:14=65a0b0c0:0=16:";
    let writers: Vec<(&str, Vec<u8>)> = vec![
        (
            "official",
            b"002e:docs:000000000:2:14=65a0b0c0:16=65a0b0c0:002f:a.txt:000000003:1:14=65a0b0c0:16=6\
            5a0b0c0:abc0023:.:0:3:14=65a0b0c0:16=65a0b0c0:"
                .to_vec(),
        ),
        ("FeiQ, with its preamble", [&preamble[..], feiq].concat()),
        (
            "Mac",
            b"002D:docs:0:2:16=65A0B0C0:14=65A0B0C0:10=1ED:002E:a.txt:3:1:16=65A0B0C0:14=65A0B0C0:10=1A4\
            :abc000B:.:0:3:"
                .to_vec(),
        ),
        (
            "libipmsg, with a size at a folder",
            b"0031:docs:7f4558000030:2:14=65a0b0c0:16=65a0b0c0:0027:a.txt:\
            3:1:14=65a0b0c0:16=65a0b0c0:abc000b:.:0:3:"
                .to_vec(),
        ),
        (
            "ipmsg-rs",
            b"0029:docs:1000:2:16=65a0b0c0:14=65a0b0c0:0027:a.txt:3:1:16=65a0b0c0:14=65a0b0c0:abc00\
            0b:.:0:3:"
                .to_vec(),
        ),
        ("no fixed widths", b"b:docs:0:2:c:a.txt:3:1:abc8:.:0:3:".to_vec()),
        ("no return from the root", b"0016:docs:000000000:2:0017:a.txt:000000003:1:abc".to_vec()),
    ];
    for (name, stream) in writers {
        let (ours, theirs) = addresses();
        let home = tempfile::tempdir().unwrap();
        let mut feige = listening(&home, ours);
        let mut peer = Peer::at(theirs);
        peer.enter(ours, "dora");
        peer.send(ours, "1:4660:dora:dora-pc:2097440:\x003:docs:0:65a0b0c0:2:\x07\0");
        peer.receive(Command::RecvMsg);
        let mut connection = peer.accept();
        let asked = read_request(&mut connection);
        let asked = String::from_utf8_lossy(&asked);
        assert!(asked.ends_with(":1234:3:0:\0"), "{name}: the one form that every server takes, not {asked:?}");
        connection.write_all(&stream).unwrap();
        drop(connection);
        assert_eq!(feige.event("downloaded")["name"], "docs", "{name}");
        assert_eq!(tree(&home.path().join("inbox")), ["docs/", "docs/a.txt=abc"], "{name}");
    }
}

/// What Feige asks, up to the NUL, without waiting for more.
fn read_request(connection: &mut TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut octet = [0];
    while !octets.ends_with(b"\0") {
        connection.read_exact(&mut octet).unwrap();
        octets.extend(octet);
    }
    octets
}

/// Everything below a folder, sorted.
fn tree(folder: &Path) -> Vec<String> {
    fn collect(folder: &Path, prefix: &str, into: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() {
                into.push(format!("{name}/"));
                collect(&path, &format!("{name}/"), into);
            } else {
                into.push(format!("{name}={}", String::from_utf8_lossy(&fs::read(&path).unwrap())));
            }
        }
    }
    let mut all = Vec::new();
    collect(folder, "", &mut all);
    all.sort();
    all
}

/// Sealed messages of the official client: opened once, confirmed until it is heard.
#[test]
fn a_sealed_message_is_reported_as_read() {
    let (ours, theirs) = addresses();
    let home = tempfile::tempdir().unwrap();
    let mut feige = listening(&home, ours);
    let mut peer = Peer::at(theirs);
    peer.enter(ours, "taro");
    peer.send(ours, "1:1700000090:taro:PC2:1049376:secret\0");
    peer.receive(Command::RecvMsg);
    let message = feige.event("message");
    assert_eq!((&message["text"], &message["sealed"]), (&"secret".into(), &true.into()));
    // No answer: it is repeated with the same number.
    let first = peer.receive(Command::ReadMsg);
    let again = peer.receive(Command::ReadMsg);
    assert_eq!(first.octets, again.octets);
    let datagram = again.datagram();
    assert_eq!(datagram.body, b"1700000090");
    assert!(datagram.header.options.contains(Options::READ_CHECK));
    let number = String::from_utf8_lossy(datagram.header.packet_no.as_bytes()).into_owned();
    peer.send(ours, format!("1:1700000091:taro:PC2:50:{number}\0"));
    let more = peer.receive_where(Duration::from_secs(2), |datagram| datagram.header.command == Command::ReadMsg);
    assert!(more.is_none(), "{more:?}");
}

/// A message that is not acknowledged is sent again with the same octets, and given up in the end.
#[test]
fn a_message_is_repeated_with_the_same_octets() {
    let (ours, theirs) = addresses();
    let home = tempfile::tempdir().unwrap();
    let mut peer = Peer::at(theirs);
    let (ip, port, to) = (ours.ip().to_string(), PORT.to_string(), theirs.to_string());
    let send = Program::start(&home, ["--json", "--bind", &ip, "--port", &port, "send", &to, "anybody?"]);
    let first = peer.receive(Command::SendMsg);
    assert!(first.datagram().header.options.contains(Options::SEND_CHECK));
    let second = peer.receive(Command::SendMsg);
    assert_eq!(first.octets, second.octets);
    assert_eq!(send.end(Duration::from_secs(60)).code, Some(3));
}

/// Nobody sends the rest of a folder: what came of it would lie there for ever, once for each attempt.
#[test]
fn a_folder_that_breaks_off_leaves_nothing() {
    let (ours, theirs) = addresses();
    let home = tempfile::tempdir().unwrap();
    let mut feige = listening(&home, ours);
    let mut peer = Peer::at(theirs);
    peer.enter(ours, "eve");
    for number in 300..303 {
        peer.send(ours, format!("1:{number}:eve:eve-pc:2097440:\0000:photos:0:5f000000:2:\u{7}\0"));
        let mut stream = peer.accept();
        let mut request = [0; 512];
        assert!(stream.read(&mut request).unwrap() > 0);
        let record = |fields: &str| format!("{:04x}:{fields}", fields.len() + 5);
        let start = record("photos:0:2:") + &record("one:100000:1:") + &"x".repeat(1 << 16);
        stream.write_all(start.as_bytes()).unwrap();
        drop(stream);
        let failed = feige.event("failed");
        assert!(!failed["error"].as_str().unwrap().contains("kept"), "{failed}");
        let left: Vec<_> = fs::read_dir(home.path().join("inbox")).unwrap().map(|entry| entry.unwrap()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
