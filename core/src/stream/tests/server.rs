use super::*;
use crate::drive::DriveError;
use crate::stream::testing::Broken;
use embedded_io::ErrorKind;

/// What the programs of the family write, octet for octet: protocol facts, sections 5.3, 9.9 and 13.
const REQUESTS: &[(&str, &[u8], &str)] = &[
    ("official, file", b"1:1425449930:taro:PC1:96:6553f150:12345678:0:\0", "File 6553f150 12345678 0"),
    ("official, folder", b"1:1425449930:taro:PC1:98:6553f150:3:\0", "Folder 6553f150 3 0"),
    ("Mac, folder with offset", b"1:700000000:taro:mac:98:6553F150:3:0:\0", "Folder 6553f150 3 0"),
    ("feiq and ipmsg-rs, file", b"1:5:u:h:96:6553f150:0:0:\0", "File 6553f150 0 0"),
    ("feiq and ipmsg-rs, folder", b"1:5:u:h:98:6553f150:0:0:\0", "Folder 6553f150 0 0"),
    ("iptux, file", b"1_iptux 0.10.0:7:u:h:96:6553f150:2710:0\0", "File 6553f150 2710 0"),
    ("iptux, folder", b"1_iptux 0.10.0:7:u:h:2097250:6553f150:2710:0\0", "Folder 6553f150 2710 0"),
    ("libipmsg, file", b"1:424242:u:h:96:6553f150:1:0\0", "File 6553f150 1 0"),
    ("libipmsg, folder", b"1:424242:u:h:98:6553f150:1\0", "Folder 6553f150 1 0"),
    ("libipmsg, older, no terminator", b"1:424242:u:h:96:6553f150:1:0", "File 6553f150 1 0"),
    ("mattn, file, no terminator", b"1:1700000080:u:h:96:6553f150:1:0", "File 6553f150 1 0"),
    ("mattn, folder, no terminator", b"1:1700000080:u:h:98:6553f150:1", "Folder 6553f150 1 0"),
    (
        "FeiQ, colon and no NUL",
        b"1_lbt80_47#128#74E6E238FE3E#0#0#0#4000#9:1505921577:king:KING-PC:96:59c21f39:0:0:",
        "File 59c21f39 0 0",
    ),
    (
        "FeiQ, numbers of iptux",
        b"1_lbt80_0#160#FC4DD4D98024#0#0#0#4000#9:1546091332:caoweigang:CAOWEIGANG:96:5:2710:0:",
        "File 5 2710 0",
    ),
    ("NWT", b"1@shiyeline:12:u:h:96:59f47cab:0:0:\0", "File 59f47cab 0 0"),
    ("ipmsg-rs, SENDMSG's code in the word", b"1:5:u:h:96:6553f150:a:0:\0", "File 6553f150 a 0"),
    ("upper case, offset", b"1:5:u:h:96:6553F150:A:1F:\0", "File 6553f150 a 1f"),
];

fn wanted(asked: &str) -> (Vec<Step>, Vec<u8>) {
    if asked.starts_with("Folder") {
        (std::vec![folder("d"), Step::Leave], b"0013:d:000000000:2:0013:.:000000000:3:".to_vec())
    } else {
        let offset = if asked.ends_with("1f") { 31 } else { 0 };
        let octets: Vec<u8> = (b' '..b'~').collect();
        (std::vec![file("f", &octets)], octets[offset..].to_vec())
    }
}

/// proves: R-IP-72, R-IP-74
#[test]
fn every_form_of_a_request_in_every_split_and_with_every_ending() {
    for &(who, octets, asked) in REQUESTS {
        let (steps, answer) = wanted(asked);
        let cuts = (0..=octets.len()).map(|cut| Script::new(octets, Ending::Silence).cut(cut));
        let endings = [Ending::Silence, Ending::Eof].map(|ending| Script::new(octets, ending));
        let trickle = [Ending::Silence, Ending::Eof].map(|ending| Script::new(octets, ending).most(1));
        for script in cuts.chain(endings).chain(trickle) {
            let (ended, script, ram) = serve(&steps, script, 512);
            assert!(matches!(ended, Ok(Outcome::Complete(_))), "{who}: {ended:?}");
            assert_eq!(ram.asked, [asked], "{who}");
            assert_eq!(script.written, answer, "{who}");
            assert!(script.shut, "{who}");
        }
    }
}

/// A request without an end is taken for whole after 200 ms of silence, and not before. proves: R-IP-74
#[test]
fn silence_ends_a_request() {
    let mut buffer = [0xa5; 512];
    let mut server = Server::new(Instant::START, &mut buffer);
    let at = Instant::from_millis;
    let octets = b"1:9:u:h:96:6553f150:1:0";
    let Want::Read(room) = server.want() else { panic!() };
    room[..octets.len()].copy_from_slice(octets);
    assert_eq!(server.deadline(), Some(at(15_000)));
    server.done(at(1000), octets.len() as u64);
    assert_eq!(server.deadline(), Some(at(1200)));
    server.expire(at(1199));
    assert!(matches!(server.want(), Want::Read(_)));
    // More comes in time: the offset is 0x0f.
    let Want::Read(room) = server.want() else { panic!() };
    room[0] = b'f';
    server.done(at(1199), 1);
    assert_eq!(server.deadline(), Some(at(1399)));
    server.expire(at(1399));
    let Want::Open(Target::Request(request)) = server.want() else { panic!() };
    assert_eq!(request.offset, 15);
    assert_eq!(server.deadline(), None, "the store may take its time");
}

/// proves: R-IP-78
#[test]
fn a_request_has_to_come_in_time() {
    for octets in [&b""[..], b"1", b"1:9:u:h:96:", b"1:9:u:h:96:6553f150:"] {
        let (ended, script, ram) = serve(&[file("f", b"x")], Script::new(octets, Ending::Silence), 512);
        assert_eq!(ended, broken(ProtocolError::TimedOut));
        assert_eq!((script.clock.get(), script.written.len(), ram.asked.len()), (15_000, 0, 0));
        let (ended, ..) = serve(&[file("f", b"x")], Script::new(octets, Ending::Eof), 512);
        assert_eq!(ended, broken(ProtocolError::NoRequest));
    }
}

/// Octets that trickle in push nothing back: the whole request has one deadline. proves: R-IP-78
#[test]
fn trickling_does_not_help() {
    let mut buffer = [0xa5; 512];
    let mut server = Server::new(Instant::START, &mut buffer);
    let mut now = 0;
    while let Want::Read(room) = server.want() {
        room[0] = b'1';
        now += 100;
        server.done(Instant::from_millis(now), 1);
        server.expire(Instant::from_millis(now));
        assert!(now <= 15_000);
    }
    assert_eq!(server.want(), Want::Done(Err(ProtocolError::TimedOut)));
}

#[test]
fn nonsense_is_closed_without_an_octet() {
    for octets in [
        &b"GET / HTTP/1.1\r\nHost: a:2425\r\nX: y:z:w\r\n\r\n\0"[..],
        b"1:9:u:h:32:6553f150:1:0:\0",
        b"1:9:u:h:96:xyz:1:0:\0",
        b"1:9:u:h:96:1:\0",
        b"1:9:u:h:96:1:fffffffff:0:\0",
        b"\0",
    ] {
        let (ended, script, ram) = serve(&[file("f", b"x")], Script::new(octets, Ending::Eof), 512);
        assert!(matches!(ended, Err(DriveError::Protocol(ProtocolError::Malformed(_)))), "{ended:?}");
        assert!(script.written.is_empty() && ram.asked.is_empty());
    }
    for room in [0, 1, 8, 512, 10_000] {
        let (ended, script, _) = serve(&[file("f", b"x")], Script::new(&[b'7'; 9999], Ending::Eof), room);
        assert_eq!(ended, broken(ProtocolError::RequestTooLong));
        assert!(script.at <= 4096);
    }
}

/// proves: R-IP-77
#[test]
fn refusals_close_without_an_octet() {
    let refused = |ram, octets| {
        let (ended, script, _) = serve_from(ram, Script::new(octets, Ending::Eof), 512);
        assert_eq!(ended, Ok(Outcome::Refused));
        assert!(script.written.is_empty() && script.shut);
    };
    refused(Ram { refuse: true, ..Ram::serving(&[file("f", b"x")]) }, FILE_REQUEST);
    refused(Ram { refuse: true, ..Ram::serving(&[folder("f"), Step::Leave]) }, FOLDER_REQUEST);
    refused(Ram::serving(&[folder("d"), Step::Leave]), FILE_REQUEST);
    refused(Ram::serving(&[Step::Unreadable { name: b"f".into() }]), FILE_REQUEST);
}

/// proves: R-IP-77
#[test]
fn a_file_from_an_offset() {
    for (offset, rest) in [("0", "hello"), ("2", "llo"), ("5", ""), ("6", ""), ("ffffffffffffffffff", "")] {
        let request = std::format!("1:9:u:h:96:6553f150:1:{offset}:\0");
        let (ended, script, _) = serve(&[file("f", b"hello")], Script::new(request.as_bytes(), Ending::Eof), 64);
        assert_eq!(ended, complete(1, 0, rest.len() as u64));
        assert_eq!(script.written, rest.as_bytes());
    }
}

/// proves: R-IP-90
#[test]
fn a_file_may_be_asked_for_as_a_folder() {
    let (ended, script, _) = serve(&[file("a:b", b"abc")], Script::new(FOLDER_REQUEST, Ending::Eof), 512);
    assert_eq!(ended, complete(1, 0, 3));
    assert_eq!(script.written, b"0016:a::b:000000003:1:abc");
}

/// proves: R-IP-85, R-IP-91, R-IP-93
#[test]
fn a_folder_is_headers_and_contents() {
    let times = Metadata { modified: Some(0x65a0_b0c0), created: Some(0x65a0_b0c0), ..Metadata::default() };
    let steps = [
        Step::Folder { name: b"docs".into(), metadata: times },
        Step::File { name: b"a.txt".into(), octets: b"abc".into(), metadata: times },
        folder("empty"),
        Step::Leave,
        Step::File {
            name: b"b".into(),
            octets: b"".into(),
            metadata: Metadata { read_only: true, hidden: true, ..times },
        },
        Step::Leave,
    ];
    let expected: &[u8] =
        b"002e:docs:000000000:2:14=65a0b0c0:16=65a0b0c0:002f:a.txt:000000003:1:14=65a0b0c0:16=65a0b0c0:abc\
        0017:empty:000000000:2:0013:.:000000000:3:002e:b:000000000:1101:14=65a0b0c0:16=65a0b0c0:0013:.:000000000:3:";
    let (ended, script, _) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), 4096);
    assert_eq!(ended, complete(2, 2, 3));
    assert_eq!(script.written, expected);
    assert_eq!(script.writes, 1, "small things leave in one write");
    // Whatever the transport takes at once, and however small the buffer is: the same octets.
    for room in [64, 100, 1024, 1100] {
        for most in [1, 2, 7, 1000] {
            let script = Script::new(FOLDER_REQUEST, Ending::Eof).most(most);
            let (ended, script, _) = serve(&steps, script, room);
            assert_eq!((ended, &script.written[..]), (complete(2, 2, 3), expected), "{room} {most}");
        }
    }
}

/// Every header leaves in one piece: libipmsg aborts on half of one. proves: R-IP-91
#[test]
fn headers_are_not_split() {
    let name = "n".repeat(90);
    let mut steps = std::vec![folder("d")];
    for len in 0..120 {
        steps.push(file(&name, &std::vec![b'x'; len * 3]));
    }
    steps.push(Step::Leave);
    let mut ram = Ram::serving(&steps);
    let mut buffer = std::vec![0xa5; 1300];
    let mut server = Server::new(Instant::START, &mut buffer);
    let mut input = FOLDER_REQUEST;
    let mut headers = 0;
    loop {
        let now = Instant::START;
        match server.want() {
            Want::Read(room) => {
                let count = input.len().min(room.len());
                room[..count].copy_from_slice(&input[..count]);
                input = &input[count..];
                server.done(now, count as u64);
            }
            Want::Open(target) => {
                let answer = ram.open(target).unwrap();
                server.opened(now, answer);
            }
            Want::Load { at, into } => {
                let count = ram.load(at, into).unwrap();
                server.done(now, count as u64);
            }
            Want::Write(octets) => {
                let count = octets.len();
                // A header ends ":1:", ":2:" or ":3:", and all of "x" is contents.
                let ends = octets
                    .windows(3)
                    .filter(|end| [b":1:", b":2:", b":3:"].contains(&<&[u8; 3]>::try_from(*end).unwrap()));
                headers += ends.count();
                server.done(now, count as u64);
            }
            Want::Send { len, .. } => server.done(now, len),
            Want::Shutdown => server.done(now, 0),
            Want::Done(result) => {
                assert!(matches!(result, Ok(Outcome::Complete(_))));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(headers, 122);
}

/// A name that nobody may read is shown, with a note and no octets. proves: R-IP-92
#[test]
fn unreadable_files() {
    let steps = [folder("d"), Step::Unreadable { name: b"secret".into() }, file("a", b"x"), Step::Leave];
    for room in [128, 4096] {
        let (ended, script, _) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), room);
        assert_eq!(
            ended,
            Ok(Outcome::Complete(Totals { files: 1, folders: 1, octets: 1, skipped: 1, unclosed: false }))
        );
        assert_eq!(
            script.written,
            b"0013:d:000000000:2:0025:secret (Can't open):000000000:1:0013:a:000000001:1:x0013:.:000000000:3:"
        );
    }
    // No room for the note: the file is left out, the rest arrives.
    let (ended, script, _) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), 40);
    assert!(matches!(ended, Ok(Outcome::Complete(Totals { skipped: 1, .. }))), "{ended:?}");
    assert_eq!(script.written, b"0013:d:000000000:2:0013:a:000000001:1:x0013:.:000000000:3:");
}

/// A file that shrinks while it is served must not look whole.
#[test]
fn a_file_that_shrinks_ends_the_connection() {
    for (request, room) in [(FILE_REQUEST, 512), (FOLDER_REQUEST, 512), (FOLDER_REQUEST, 32)] {
        let ram = Ram { exaggerate: 3, ..Ram::serving(&[file("f", b"hello")]) };
        let (ended, script, _) = serve_from(ram, Script::new(request, Ending::Eof), room);
        assert_eq!(ended, Ok(Outcome::Aborted(Abort::Shrunk { missing: 3 })));
        assert!(!script.shut, "an orderly end would tell the peer that this was all");
    }
}

#[test]
fn a_name_that_does_not_fit() {
    let steps = [folder("d"), file(&"n".repeat(80), b"x"), Step::Leave];
    let (ended, ..) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), 64);
    assert_eq!(ended, Ok(Outcome::Aborted(Abort::NameTooLong { needed: 98 })));
}

/// A store that answers what is no answer ends the transfer, not the program.
#[test]
fn a_confused_store() {
    let (ended, ..) = serve(&[Step::Leave], Script::new(FOLDER_REQUEST, Ending::Eof), 64);
    assert_eq!(ended, Ok(Outcome::Aborted(Abort::Answer)));
    // The walk ends without leaving the root.
    let (ended, ..) = serve(&[folder("d")], Script::new(FOLDER_REQUEST, Ending::Eof), 64);
    assert_eq!(ended, Ok(Outcome::Aborted(Abort::Answer)));
}

/// proves: R-IP-78
#[test]
fn a_client_that_takes_nothing_is_dropped() {
    let mut buffer = [0xa5; 64];
    let mut server = Server::new(Instant::START, &mut buffer);
    let Want::Read(room) = server.want() else { panic!() };
    room[..FILE_REQUEST.len()].copy_from_slice(FILE_REQUEST);
    server.done(Instant::from_millis(5000), FILE_REQUEST.len() as u64);
    let entry = Entry { name: "f".into(), size: 1 << 40, metadata: Metadata::default() };
    server.opened(Instant::from_millis(6000), Opened::File(entry));
    assert_eq!(server.want(), Want::Send { at: 0, len: 1 << 40 });
    assert_eq!(server.deadline(), Some(Instant::from_millis(126_000)));
    server.done(Instant::from_millis(100_000), 1 << 30);
    assert_eq!(server.want(), Want::Send { at: 1 << 30, len: (1 << 40) - (1 << 30) });
    server.expire(Instant::from_millis(219_999));
    assert!(matches!(server.want(), Want::Send { .. }));
    server.expire(Instant::from_millis(220_000));
    assert_eq!(server.want(), Want::Done(Err(ProtocolError::TimedOut)));
}

/// An octet now and then holds no connection; a slow link is served to its end.
///
/// proves: R-IP-78
#[test]
fn a_client_has_to_get_on() {
    for (request, room) in [(FILE_REQUEST, 64), (FOLDER_REQUEST, 20_000)] {
        let slow = |most, each| {
            let mut script = Script::new(request, Ending::Eof);
            (script.most_write, script.each_write) = (most, each);
            let (ended, script, _) = serve(&[file("f", &[b'x'; 9000])], script, room);
            (ended, script.clock.get())
        };
        assert_eq!(slow(1, 100_000), (broken(ProtocolError::TimedOut), 120_000));
        assert_eq!(slow(2000, 119_000).0, broken(ProtocolError::TimedOut));
        // 7 octets are loaded at a time where they are not loaded into the buffer.
        assert_eq!(slow(7, 200).0, complete(1, 0, 9000));
    }
}

/// After its last octet a server waits for the client to close, but neither for long nor for much.
/// proves: R-IP-78
#[test]
fn the_farewell() {
    let (ended, script, _) = serve(&[file("f", b"x")], Script::new(FILE_REQUEST, Ending::Silence), 64);
    assert_eq!((ended, script.clock.get()), (complete(1, 0, 1), 5000));
    // It has left octets unread, or was killed: who offered the file must not be told that it has it.
    let (ended, ..) = serve(&[file("f", b"x")], Script::new(FILE_REQUEST, Ending::Reset), 64);
    assert!(matches!(ended, Err(DriveError::Transport(_))), "{ended:?}");
    let mut endless = FILE_REQUEST.to_vec();
    endless.resize(1 << 20, b'z');
    let (ended, script, _) = serve(&[file("f", b"x")], Script::new(&endless, Ending::Eof), 4096);
    assert_eq!(ended, complete(1, 0, 1));
    assert!(script.at < 80_000);
}

/// The n-th call of the transport or the store fails: the error arrives whole, at every n.
#[test]
fn every_failure_is_reported_whole() {
    let steps = [folder("d"), file("a", b"hello"), file("b", &[b'x'; 100]), Step::Leave];
    let mut successes = 0;
    for calls in 0..40 {
        let (ended, ..) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof).calls(calls), 64);
        match ended {
            Err(error) => assert_eq!(error, DriveError::Transport(ErrorKind::ConnectionReset)),
            Ok(_) => successes += 1,
        }
        let ram = Ram { calls: Some(calls), ..Ram::serving(&steps) };
        let (ended, ..) = serve_from(ram, Script::new(FOLDER_REQUEST, Ending::Eof), 64);
        match ended {
            Err(error) => assert_eq!(error, DriveError::Store(Broken)),
            Ok(_) => successes += 1,
        }
    }
    assert!((2..79).contains(&successes), "{successes}");
}
