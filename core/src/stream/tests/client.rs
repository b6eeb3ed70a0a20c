use super::*;
use crate::drive::DriveError;
use crate::stream::testing::Broken;
use crate::wire::{Field, ParseError};
use embedded_io::ErrorKind;

fn metadata(modified: u64, created: u64) -> Metadata {
    Metadata { modified: Some(modified), created: Some(created), ..Metadata::default() }
}

const TIMES: u64 = 0x65a0_b0c0;

fn dir(name: &str, metadata: Metadata) -> Step {
    Step::Folder { name: name.into(), metadata }
}

fn reg(name: &str, octets: &[u8], metadata: Metadata) -> Step {
    Step::File { name: name.into(), octets: octets.into(), metadata }
}

/// A folder stream, what must come out of it, and how the machine must end.
struct Vector {
    name: &'static str,
    stream: Vec<u8>,
    received: Vec<Step>,
    ended: Ended,
    /// The machine needs no end of the stream to know that this is all.
    knows: bool,
}

fn unclosed(files: u32, folders: u32, octets: u64) -> Ended {
    Ok(Outcome::Complete(Totals { files, folders, octets, skipped: 0, unclosed: true }))
}

/// The streams D01 to D16 of the protocol facts, section 12.2, and a few more.
fn vectors() -> Vec<Vector> {
    let none = Metadata::default();
    let times = metadata(TIMES, TIMES);
    let modified = Metadata { modified: Some(TIMES), ..none };
    let abc = |metadata| std::vec![dir("", metadata), reg("a.txt", b"abc", metadata), Step::Leave];
    let vector =
        |name, stream: &[u8], received, ended| Vector { name, stream: stream.into(), received, ended, knows: true };
    let mut feiq = std::vec![0; FEIQ_PREAMBLE];
    feiq[..2].copy_from_slice(b"0<");
    feiq.extend_from_slice(
        b"0026:cmd:000000000:2:14=65a0b0c0:0=16:0028:a.txt:000000003:1:14=65a0b0c0:0=16:abc001c:.:0:3:14=65a0b0c0:0=16:",
    );
    std::vec![
        vector(
            "D01 Windows",
            b"002e:docs:000000000:2:14=65a0b0c0:16=65a0b0c0:002f:a.txt:000000003:1:14=65a0b0c0:16=65a0b0c0:abc\
              0023:.:0:3:14=65a0b0c0:16=65a0b0c0:",
            abc(times),
            complete(1, 1, 3),
        ),
        vector(
            "D02 Windows, short return",
            b"002e:docs:000000000:2:14=65a0b0c0:16=65a0b0c0:002f:a.txt:000000003:1:14=65a0b0c0:16=65a0b0c0:abc000b:.:0:3:",
            abc(times),
            complete(1, 1, 3),
        ),
        vector(
            "D03 Mac, upper case and permissions",
            b"002D:docs:0:2:16=65A0B0C0:14=65A0B0C0:10=1ED:002E:a.txt:3:1:16=65A0B0C0:14=65A0B0C0:10=1A4:abc000B:.:0:3:",
            std::vec![
                dir("", Metadata { permissions: Some(0o755), ..times }),
                reg("a.txt", b"abc", Metadata { permissions: Some(0o644), ..times }),
                Step::Leave,
            ],
            complete(1, 1, 3),
        ),
        vector(
            "D04 nested, empty, UTF-8",
            b"0015:\xe6\xa0\xb9:000000000:2:0015:sub:000000000:2:000b:.:0:3:0017:empty:000000000:1:000b:.:0:3:",
            std::vec![dir("", none), dir("sub", none), Step::Leave, reg("empty", b"", none), Step::Leave],
            complete(1, 2, 0),
        ),
        Vector { name: "D05 FeiQ", stream: feiq, received: abc(modified), ended: complete(1, 1, 3), knows: true },
        vector("D06 unpadded", b"b:docs:0:2:c:a.txt:3:1:abc8:.:0:3:", abc(none), complete(1, 1, 3)),
        vector(
            "D07 a single file",
            b"002f:a.txt:000000003:1:14=65a0b0c0:16=65a0b0c0:abc",
            std::vec![reg("", b"abc", times)],
            complete(1, 0, 3),
        ),
        vector("D08 a colon", b"001a:a::b.txt:000000003:1:abc", std::vec![reg("", b"abc", none)], complete(1, 0, 3)),
        vector(
            "D08 a colon, inside",
            b"0013:d:000000000:2:001a:a::b.txt:000000003:1:abc000b:.:0:3:",
            std::vec![dir("", none), reg("a:b.txt", b"abc", none), Step::Leave],
            complete(1, 1, 3),
        ),
        vector(
            "D09 a folder with a size",
            b"0011:docs:1000:2:000f:a.txt:1:1:x000b:.:0:3:",
            std::vec![dir("", none), reg("a.txt", b"x", none), Step::Leave],
            complete(1, 1, 1),
        ),
        Vector {
            name: "D10 cut off",
            stream: b"001a:big.bin:123456789a:1:xx".into(),
            received: std::vec![],
            ended: broken(ProtocolError::Truncated { missing: 0x12_3456_7898 }),
            knows: false,
        },
        vector(
            "D11 option bits",
            b"0016:ro:000000000:102:0016:s:000000000:8001:000b:.:0:3:",
            std::vec![dir("", Metadata { read_only: true, ..none }), reg("s", b"", none), Step::Leave],
            complete(1, 1, 0),
        ),
        vector(
            "D12 a hostile root",
            b"0014:..:000000000:2:000b:.:0:3:",
            std::vec![dir("", none), Step::Leave],
            complete(0, 1, 0),
        ),
        vector(
            "D13 the end mark",
            b"0016:docs:000000000:2:0000:",
            std::vec![dir("", none), Step::Leave],
            unclosed(0, 1, 0),
        ),
        vector(
            "D14 garbage",
            b"zzzz:docs:0:2:",
            std::vec![],
            broken(ProtocolError::Malformed(ParseError::malformed(Field::HeaderLength))),
        ),
        Vector {
            name: "D15 no last return",
            stream: b"0016:docs:000000000:2:0017:a.txt:000000001:1:x".into(),
            received: std::vec![dir("", none), reg("a.txt", b"x", none), Step::Leave],
            ended: unclosed(1, 1, 1),
            knows: false,
        },
        vector(
            "D16 a link",
            b"0016:docs:000000000:2:0014:ln:000000000:4:000b:.:0:3:",
            std::vec![dir("", none), Step::Leave],
            Ok(Outcome::Complete(Totals { folders: 1, skipped: 1, ..Totals::default() })),
        ),
        vector(
            "a return with another name, and libipmsg's garbage for a size",
            b"001b:d:7f4558000030:2:14=1:0014:..:000001000:3:",
            std::vec![dir("", Metadata { modified: Some(1), ..none }), Step::Leave],
            complete(0, 1, 0),
        ),
        vector(
            "a return in front of everything",
            b"000b:.:0:3:",
            std::vec![],
            broken(ProtocolError::Malformed(ParseError::malformed(Field::Attribute))),
        ),
        vector("an end in front of everything", b"0000:", std::vec![], Ok(Outcome::Refused)),
        Vector { name: "nothing", stream: std::vec![], received: std::vec![], ended: Ok(Outcome::Refused), knows: false },
        Vector {
            name: "half a header",
            stream: b"0016:docs:0000".into(),
            received: std::vec![],
            ended: broken(ProtocolError::Truncated { missing: 1 }),
            knows: false,
        },
        Vector {
            name: "a preamble and nothing",
            stream: b"0<\0\0\0\0\0\0\0".into(),
            received: std::vec![],
            ended: broken(ProtocolError::Truncated { missing: 1 }),
            knows: false,
        },
    ]
}

/// proves: R-IP-80, R-IP-81, R-IP-82, R-IP-84, R-IP-85, R-IP-86, R-IP-89, R-IP-90, R-IP-93, R-IP-94, R-IP-95, R-IP-97
#[test]
fn every_stream_in_every_split() {
    for Vector { name, stream, received, ended, knows } in vectors() {
        let check = |script: Script, room| {
            let (got, script, ram) = fetch_folder(Ram::default(), script, room, Limits::default());
            assert_eq!(got, ended, "{name}");
            assert_eq!(ram.received, received, "{name}");
            assert_eq!(script.written, b"1:9:u:h:98:6553f150:1:0:\0");
            assert_eq!(script.writes, 1, "the request leaves in one write");
        };
        // The long preamble need not be cut everywhere.
        let far = stream.len().saturating_sub(200);
        for cut in (0..4.min(far)).chain(far..=stream.len()) {
            check(Script::new(&stream, Ending::Eof).cut(cut), 512);
        }
        for room in [64, 512, 8192] {
            check(Script::new(&stream, Ending::Eof), room);
            let mut trickle = Script::new(&stream, Ending::Eof);
            trickle.most_read = 1;
            check(trickle, room);
        }
        if knows {
            // R-IP-93: nobody waits for the server to close.
            let (got, script, _) =
                fetch_folder(Ram::default(), Script::new(&stream, Ending::Silence), 512, Limits::default());
            assert_eq!((got, script.clock.get()), (ended, 0), "{name}");
        }
    }
}

/// A stream that ends anywhere but at a boundary is an error, never a shorter folder.
#[test]
fn every_truncation_is_noticed() {
    let stream: &[u8] = b"0016:docs:000000000:2:0017:a.txt:000000003:1:abc0016:b.tx:000000000:1:000b:.:0:3:";
    let boundaries = [22, 48, 70];
    for end in 1..stream.len() {
        let (ended, _, ram) =
            fetch_folder(Ram::default(), Script::new(&stream[..end], Ending::Eof), 512, Limits::default());
        if boundaries.contains(&end) {
            assert!(matches!(ended, Ok(Outcome::Complete(Totals { unclosed: true, .. }))), "{end}: {ended:?}");
        } else {
            assert!(matches!(ended, Err(DriveError::Protocol(ProtocolError::Truncated { .. }))), "{end}: {ended:?}");
            assert_ne!(ram.received.last(), Some(&Step::Leave));
        }
    }
}

/// proves: R-IP-96
#[test]
fn limits() {
    let limits = Limits { depth: 3, entries: 5, octets: 10 };
    let fetch = |stream: &[u8]| {
        let (ended, script, ram) = fetch_folder(Ram::default(), Script::new(stream, Ending::Silence), 512, limits);
        (ended, script.clock.get(), ram)
    };
    let folder = b"0013:d:000000000:2:";
    let (ended, clock, _) = fetch(&folder.repeat(4));
    assert_eq!((ended, clock), (broken(ProtocolError::TooDeep), 0));
    let (ended, ..) = fetch(&[&folder[..], &b"0013:f:000000000:1:".repeat(5)].concat());
    assert_eq!(ended, broken(ProtocolError::TooMany));
    let (ended, _, ram) = fetch(b"0013:d:000000000:2:0013:a:000000008:1:aaaaaaaa0013:b:000000003:1:bbb");
    assert_eq!(ended, broken(ProtocolError::TooMuch));
    assert_eq!(ram.received.len(), 2, "not an octet of what is too much");
    let (ended, ..) = fetch(b"0013:d:000000000:2:0019:a:fffffffffffffff:1:aaaaaaaa");
    assert_eq!(ended, broken(ProtocolError::TooMuch));
}

/// Sizes of 2^64 - 1 and sums beyond it.
#[test]
fn enormous_sizes() {
    let stream = b"0013:d:000000000:2:001a:a:fffffffffffffffe:1:xx";
    let (ended, _, ram) = fetch_folder(Ram::default(), Script::new(stream, Ending::Eof), 512, Limits::default());
    assert_eq!(ended, broken(ProtocolError::Truncated { missing: u64::MAX - 3 }));
    assert_eq!(ram.open.map(|(.., octets)| octets), Some(b"xx".to_vec()));
    let stream = b"0013:d:000000000:2:001a:a:ffffffffffffffff:1:xx";
    let (ended, ..) = fetch_folder(Ram::default(), Script::new(stream, Ending::Eof), 512, Limits::default());
    assert!(matches!(ended, Err(DriveError::Protocol(ProtocolError::Malformed(_)))));
}

/// A header that never ends fills the lent buffer and nothing else.
#[test]
fn endless_headers() {
    for (front, room) in [(&b"1f00:"[..], 512), (b"1f00:", 4096)] {
        let mut stream = front.to_vec();
        stream.resize(1 << 20, b'n');
        let (ended, script, _) =
            fetch_folder(Ram::default(), Script::new(&stream, Ending::Eof), room, Limits::default());
        assert_eq!(ended, broken(ProtocolError::HeaderTooLong));
        assert!(script.at <= room);
    }
    // A preamble that never ends.
    let (ended, script, _) =
        fetch_folder(Ram::default(), Script::new(&[0; 1 << 20], Ending::Eof), 512, Limits::default());
    assert!(matches!(ended, Err(DriveError::Protocol(ProtocolError::Malformed(_)))), "{ended:?}");
    assert!(script.at < 6000);
}

/// What the store does not want is passed over, insides and all.
#[test]
fn unwanted_entries() {
    let stream =
        b"0013:d:000000000:2:0013:x:000000000:2:0013:a:000000003:1:abc0013:y:000000000:2:000b:.:0:3:000b:.:0:3:\
        0013:z:000000004:1:zzzz0013:b:000000001:1:b000b:.:0:3:";
    for room in [32, 64, 512] {
        for most in [1, 5, 1000] {
            let ram = Ram { unwanted: std::vec![b"x".into(), b"z".into()], ..Ram::default() };
            let script = Script::new(stream, Ending::Silence).most(most);
            let (ended, _, ram) = fetch_folder(ram, script, room, Limits::default());
            let totals = Totals { files: 1, folders: 1, octets: 1, skipped: 4, unclosed: false };
            assert_eq!(ended, Ok(Outcome::Complete(totals)));
            assert_eq!(ram.received, [folder(""), file("b", b"b"), Step::Leave]);
        }
    }
    // Cut off within what is not wanted: left and counted as if it were closed.
    let ram = Ram { unwanted: std::vec![b"x".into()], ..Ram::default() };
    let (ended, _, ram) = fetch_folder(ram, Script::new(&stream[..38], Ending::Eof), 64, Limits::default());
    assert_eq!(ended, Ok(Outcome::Complete(Totals { folders: 1, skipped: 1, unclosed: true, ..Totals::default() })));
    assert_eq!(ram.received, [folder(""), Step::Leave]);
}

/// proves: R-IP-78
#[test]
fn a_silent_server() {
    for end in [0, 5, 22, 46] {
        let stream = &b"0016:docs:000000000:2:0017:a.txt:000000003:1:abc"[..end];
        let (ended, script, _) =
            fetch_folder(Ram::default(), Script::new(stream, Ending::Silence), 64, Limits::default());
        assert_eq!((ended, script.clock.get()), (broken(ProtocolError::TimedOut), 120_000));
    }
}

#[test]
fn every_failure_is_reported_whole() {
    let stream = b"0013:d:000000000:2:0013:a:000000003:1:abc0013:b:0000000c0:1:".iter().copied();
    let stream: Vec<u8> = stream.chain([b'x'; 0xc0]).chain(*b"000b:.:0:3:").collect();
    let mut successes = 0;
    for calls in 0..60 {
        let script = Script::new(&stream, Ending::Eof).calls(calls);
        match fetch_folder(Ram::default(), script, 64, Limits::default()).0 {
            Err(error) => assert_eq!(error, DriveError::Transport(ErrorKind::ConnectionReset)),
            Ok(_) => successes += 1,
        }
        let ram = Ram { calls: Some(calls), ..Ram::default() };
        match fetch_folder(ram, Script::new(&stream, Ending::Eof), 64, Limits::default()).0 {
            Err(error) => assert_eq!(error, DriveError::Store(Broken)),
            Ok(_) => successes += 1,
        }
    }
    assert!((2..119).contains(&successes), "{successes}");
}

/// proves: R-IP-70, R-IP-79
#[test]
fn a_file_in_every_split() {
    let octets = b"hello world";
    for cut in 0..=octets.len() {
        let (ended, script, ram) = fetch_file(Script::new(octets, Ending::Silence).cut(cut), Announced::Size(11), 0);
        assert_eq!((ended, script.clock.get()), (complete(1, 0, 11), 0), "nobody waits for the server to close");
        assert_eq!(script.written, FILE_REQUEST);
        assert_eq!(ram.received, [file("", octets)]);
    }
    let (ended, _, ram) = fetch_file(Script::new(octets, Ending::Eof).most(1), Announced::Size(11), 0);
    assert_eq!((ended, ram.received), (complete(1, 0, 11), std::vec![file("", octets)]));
}

/// A peer that announces 1 octet and sends very many. proves: R-IP-79
#[test]
fn the_announced_size_is_the_limit() {
    for most in [1, 1000] {
        let script = Script::new(&[b'x'; 1 << 16], Ending::Eof).most(most);
        let (ended, script, ram) = fetch_file(script, Announced::Size(1), 0);
        assert_eq!((ended, ram.received), (complete(1, 0, 1), std::vec![file("", b"x")]));
        assert_eq!(script.at, 1);
    }
}

#[test]
fn a_file_of_unknown_size() {
    let fetch = |octets: &[u8], limit| fetch_file(Script::new(octets, Ending::Eof), Announced::Unknown { limit }, 0);
    let (ended, _, ram) = fetch(b"hello", u64::MAX);
    assert_eq!((ended, ram.received), (complete(1, 0, 5), std::vec![file("", b"hello")]));
    let (ended, _, ram) = fetch(&[b'x'; 4096], 100);
    assert_eq!(ended, broken(ProtocolError::TooMuch));
    assert!(ram.received.is_empty());
    assert_eq!(fetch(b"", 100).0, Ok(Outcome::Refused));
    // No room: the store, which would put an empty file in the place of another, is not asked, nor is the server.
    for (limit, offset) in [(0, 0), (3, 3), (3, 4)] {
        let script = Script::new(b"hello", Ending::Eof);
        let (ended, script, ram) = fetch_file(script, Announced::Unknown { limit }, offset);
        assert_eq!(ended, broken(ProtocolError::TooMuch));
        assert!(script.written.is_empty() && ram.received.is_empty() && ram.open.is_none());
    }
}

/// The server hears of it, the client waits for nothing. proves: R-IP-79
#[test]
fn an_empty_file() {
    let (ended, script, ram) = fetch_file(Script::new(b"", Ending::Silence), Announced::Size(0), 0);
    assert_eq!((ended, ram.received), (complete(1, 0, 0), std::vec![file("", b"")]));
    assert_eq!((script.clock.get(), &script.written[..], script.shut), (0, FILE_REQUEST, true));
}

/// proves: R-IP-77
#[test]
fn a_server_that_refuses_or_stops() {
    assert_eq!(fetch_file(Script::new(b"", Ending::Eof), Announced::Size(5), 0).0, Ok(Outcome::Refused));
    let (ended, _, ram) = fetch_file(Script::new(b"hel", Ending::Eof), Announced::Size(5), 0);
    assert_eq!(ended, Ok(Outcome::Short { got: 3, want: 5 }));
    assert_eq!(ram.open.map(|(.., octets)| octets), Some(b"hel".to_vec()), "kept, and not closed");
    let (ended, script, _) = fetch_file(Script::new(b"hel", Ending::Silence), Announced::Size(5), 0);
    assert_eq!((ended, script.clock.get()), (broken(ProtocolError::TimedOut), 120_000));
    let (ended, ..) = fetch_file(Script::new(b"hel", Ending::Reset), Announced::Size(5), 0);
    assert_eq!(ended, Err(DriveError::Transport(ErrorKind::ConnectionReset)));
}

/// An octet now and then holds no connection; a slow link, and a person who thinks about it first, are waited for.
///
/// proves: R-IP-78
#[test]
fn a_server_has_to_get_on() {
    let slow = |folder: bool, most, each| {
        let octets = [b'x'; 9000];
        let stream = if folder { [&b"0013:f:000002328:1:"[..], &octets].concat() } else { octets.to_vec() };
        let mut script = Script::new(&stream, Ending::Eof);
        (script.most_read, script.each_read) = (most, each);
        let (ended, script, _) = match folder {
            true => fetch_folder(Ram::default(), script, 64, Limits::default()),
            false => fetch_file(script, Announced::Size(9000), 0),
        };
        (ended, script.clock.get())
    };
    for folder in [false, true] {
        // The first octet, and then no 4 KiB.
        assert_eq!(slow(folder, 1, 100_000), (broken(ProtocolError::TimedOut), 220_000));
        assert_eq!(slow(folder, 30, 119_000), (broken(ProtocolError::TimedOut), 239_000));
        assert_eq!(slow(folder, 7, 200).0, complete(1, 0, 9000));
    }
}

/// proves: R-IP-76
#[test]
fn a_transfer_is_resumed_where_the_caller_asks_for_it() {
    let (ended, script, ram) = fetch_file(Script::new(b"lo", Ending::Silence), Announced::Size(5), 3);
    assert_eq!(ended, complete(1, 0, 2));
    assert_eq!(script.written, b"1:9:u:h:96:6553f150:1:3:\0");
    assert_eq!(ram.received, [file("", b"???lo")]);
    let (ended, ..) = fetch_file(Script::new(b"l", Ending::Eof), Announced::Size(5), 3);
    assert_eq!(ended, Ok(Outcome::Short { got: 1, want: 2 }));
    // Nothing is missing, or more is there than there should be.
    for offset in [5, 6] {
        let (ended, ..) = fetch_file(Script::new(b"l", Ending::Silence), Announced::Size(5), offset);
        assert_eq!(ended, complete(1, 0, 0));
    }
}

/// The store is asked before the server is: no request leaves for what cannot be kept.
#[test]
fn a_store_that_refuses() {
    let (mut ram, mut buffer) = (Ram { refuse: true, ..Ram::default() }, [0xa5; 64]);
    let mut script = Script::new(b"hello", Ending::Eof);
    let request = request(RequestKind::File);
    let client =
        FileClient::new(Instant::START, &mut buffer, &request, Announced::Size(5), Metadata::default()).unwrap();
    assert_eq!(run(client, &mut script, &mut ram), Ok(Outcome::Refused));
    assert!(script.written.is_empty());
}

#[test]
fn a_buffer_that_cannot_hold_the_request() {
    let mut buffer = [0xa5; 24];
    let request = request(RequestKind::Folder);
    let error = FolderClient::new(Instant::START, &mut buffer, &request, Limits::default()).unwrap_err();
    assert_eq!(error.needed, 25);
}
