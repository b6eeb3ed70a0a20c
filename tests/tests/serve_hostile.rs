//! `feige serve` of the real program and clients that mean harm: nothing outside of the homes changes, nothing that is
//! not whole gets a name, and the program serves the next one.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::fs::symlink;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_core::wire::transfer::{Data, ErrorCode, Hello, Put, Reply, Request};
use feige_tests::served::Served;
use feige_tests::transfer::{Caller, Ready, digest, get, hello, message, octets, put, rest, run, small};

const WRITE: &[&str] = &["--guest", "write"];

/// A caller that has come so far.
fn callers(served: &Served) -> [Caller; 3] {
    [Caller::connect(served.addr), Caller::greeted(served.addr), served.guest()]
}

#[test]
fn lengths_that_make_no_sense_end_the_connection() {
    let served = Served::start(WRITE);
    let before = served.surroundings();
    let handles = served.handles();
    for length in [-1, i32::MIN, 0, i32::MAX, 4097, 0x0100_0000, 1 << 30] {
        for mut caller in callers(&served) {
            // It may be gone before all is written.
            let _ = caller.stream.write_all(&length.to_le_bytes());
            let _ = caller.stream.write_all(&[b'A'; 100]);
            let _ = caller.stream.shutdown(Shutdown::Write);
            assert!(caller.is_closed(), "{length}");
        }
    }
    for length in [1_u32, 5, 100, 4096] {
        for mut caller in callers(&served) {
            // Longer than what follows.
            caller.send(&length.to_le_bytes());
            caller.send(&vec![2; usize::try_from(length - 1).expect("small")]);
            caller.stream.shutdown(Shutdown::Write).expect("open");
            assert!(caller.is_closed(), "{length}");
            // And whatever that says.
        }
        for mut caller in callers(&served) {
            caller.send(&length.to_le_bytes());
            caller.send(&vec![0xfe; usize::try_from(length).expect("small")]);
            assert!(caller.is_closed(), "{length}");
        }
    }
    served.settles_at(handles);
    assert_eq!(served.files(""), [""; 0]);
    assert_eq!(served.surroundings(), before);
    served.is_well();
}

#[test]
fn octets_may_come_in_any_pieces() {
    let served = Served::start(WRITE);
    let talk = [
        message(&hello()),
        message(&Request::Guest),
        small("a", &octets(5_000, 1)),
        message(&Request::Stat { path: "a" }),
        message(&get("a")),
        message(&Request::Bye),
    ]
    .concat();
    let expected = |caller: &mut Caller, what: &str| {
        assert!(matches!(caller.hear().reply(), Reply::Hello(_)), "{what}");
        assert_eq!(caller.hear().reply(), Reply::Done, "{what}");
        assert_eq!(caller.hear().reply(), Reply::Stored { digest: Digest::of(&octets(5_000, 1)) }, "{what}");
        assert!(matches!(caller.hear().reply(), Reply::Stat(_)), "{what}");
        assert_eq!(caller.file().expect("there"), octets(5_000, 1), "{what}");
        assert_eq!(caller.hear().reply(), Reply::Done, "{what}");
        assert!(caller.is_closed(), "{what}");
    };
    // Within the body one place is like the other.
    let body = talk.len().saturating_sub(100);
    for at in (1..talk.len()).filter(|at| *at < 150 || *at > body || at % 499 == 0) {
        let mut caller = Caller::connect(served.addr);
        caller.send(&talk[..at]);
        std::thread::sleep(Duration::from_millis(1));
        caller.send(&talk[at..]);
        expected(&mut caller, &format!("split at {at}"));
    }
    let mut caller = Caller::connect(served.addr);
    for octet in talk.chunks(1) {
        caller.send(octet);
    }
    expected(&mut caller, "octet by octet");
    served.is_well();
}

#[test]
fn json_nonsense_at_the_same_port_is_harmless() {
    let mut served = Served::start(WRITE);
    let before = served.surroundings();
    let handles = served.handles();
    let deep = format!("{}1{}", r#"{"cmd":"#.repeat(5_000), "}".repeat(5_000));
    let wide = format!(r#"{{"cmd": "put", "filename": "{}", "filesize": 3}}"#, "x".repeat(60_000));
    let texts = [
        "{",
        "{}",
        "{]",
        "{\"",
        "{\"cmd\": \"put\"}",
        "{\"cmd\": 5, \"filename\": {}, \"filesize\": []}",
        &deep,
        &wide,
        r#"{"cmd": "put", "filename": "a", "filename": "../../twice", "filesize": 3, "filesize": 3}"#,
        r#"{"cmd": "put", "filename": "text", "filesize": "3"}"#,
        r#"{"cmd": "put", "filename": "negative", "filesize": -3}"#,
        r#"{"cmd": "put", "filename": "huge", "filesize": 99999999999999999999999999}"#,
        r#"{"cmd": "put", "filename": "large", "filesize": 9223372036854775807}"#,
        r#"{"cmd": "put", "filename": "float", "filesize": 3.5e300}"#,
        r#"{"cmd": "put", "filename": "../up", "filesize": 3}"#,
        r#"{"cmd": "put", "filename": "/tmp/feige-was-here", "filesize": 3}"#,
        r#"{"cmd": "put", "filename": "..", "filesize": 3}"#,
        r#"{"cmd": "put", "filename": "", "filesize": 3}"#,
        r#"{"cmd": "put", "filename": "nul\u0000.txt", "filesize": 3}"#,
        r#"{"cmd": "put", "filename": "\ud800", "filesize": 3}"#,
        r#"{"file_path": "/etc/passwd", "file_name": "..\\..\\up", "file_size": 3}"#,
        r#"{"command": "download_file", "data_length": 12, "file_name": "../users.toml", "file_type": "img", "encrypted": "0", "salt": "0"}"#,
        r#"{"command": "upload", "data_length": 3, "file_name": "../../up.png", "file_type": "img", "encrypted": "0", "salt": "0"}"#,
        r#"{"command": "upload", "data_length": -1, "file_name": "a.png"}"#,
        r#"{"command": "show_file_name_list", "data_length": 4294967296, "file_type": "../.."}"#,
    ];
    for text in texts {
        for claimed in [text.len(), text.len() + 1, text.len().saturating_sub(1).max(1)] {
            let mut caller = Caller::connect(served.addr);
            let claimed = u32::try_from(claimed).expect("small").to_le_bytes();
            let _ = caller.stream.write_all(&[&claimed, text.as_bytes(), b"abc"].concat());
            let _ = caller.stream.shutdown(Shutdown::Write);
            assert!(caller.is_closed(), "{text:.100}");
        }
    }
    for text in [
        "rm -rf /",
        "cat ../users.toml",
        "ls ..",
        "ls; touch /tmp/feige-was-here",
        "\u{202e}",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut caller = Caller::connect(served.addr);
        caller.send(text.as_bytes());
        caller.stream.shutdown(Shutdown::Write).expect("open");
        assert!(caller.is_closed(), "{text}");
    }
    served.settles_at(handles);
    assert_eq!(served.surroundings(), before);
    assert!(!fs::exists("/tmp/feige-was-here").expect("looked"));
    for file in served.files("") {
        assert!(fs::metadata(served.path(&file)).expect("there").len() == 3, "{file} is not whole");
        assert!(!file.contains(['\\', '\0']), "{file}");
    }
    assert!(served.program.sees(Duration::ZERO, |event| event["event"] == "failed"));
    served.is_well();
}

#[test]
fn names_lead_nowhere_but_into_the_home() {
    let served = Served::start(WRITE);
    let before = served.surroundings();
    let mut guest = served.guest();
    let (too_long, too_deep) = ("x".repeat(256), ["d"; 33].join("/"));
    for path in [
        "..",
        "../up",
        "a/../../up",
        ".",
        "./a",
        "a//b",
        "a/./b",
        "///",
        "a\\b",
        "..\\up",
        "C:",
        "C:\\up",
        "c:up",
        "nul",
        "CON",
        "com1.txt",
        "a/LPT9",
        "a\0b",
        "a\nb",
        "\x1b[2J",
        "\u{7f}",
        "\u{85}",
        "\u{202e}gpj.exe",
        "\u{2066}a",
        "\u{feff}",
        "end.",
        "end ",
        ".a.feige-part",
        ".a.FEIGE-SUMS",
        "a/.1.feige-small",
        &too_long,
        &too_deep,
    ] {
        for request in [
            Request::Put(put(path, 100_000)),
            get(path),
            Request::MakeDir { path, parents: true },
            Request::MakeDir { path, parents: false },
            Request::Remove { path },
            Request::RemoveDir { path },
            Request::Stat { path },
            Request::Sum { path },
            Request::List { path, cursor: 0 },
            Request::Rename { from: path, to: "a", replace: true },
        ] {
            assert_eq!(guest.refused(&request), ErrorCode::BadName, "{request:?}");
        }
        assert_eq!(guest.put_small(path, b"abc").unwrap_err(), ErrorCode::BadName, "{path:?}");
        guest.put_small("a", b"abc").expect("stored");
        assert_eq!(
            guest.refused(&Request::Rename { from: "a", to: path, replace: true }),
            ErrorCode::BadName,
            "{path:?}"
        );
    }
    assert_eq!(served.files(""), ["a"]);
    // The longest that there may be, small and large; and every character that is a character.
    let longest = ["x".repeat(255), format!("{}é", "y".repeat(253)), "飞鸽 传书.~#%&'$`!".to_owned()];
    for name in &longest {
        guest.put_small(name, b"abc").unwrap_or_else(|error| panic!("{name}: {error:?}"));
        guest.put(name, &octets(100_000, 1)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(guest.get(name).expect("there"), octets(100_000, 1));
    }
    assert_eq!(served.files("").len(), 1 + longest.len());
    let deepest = ["d"; 32].join("/");
    guest.done(&Request::MakeDir { path: &deepest, parents: true }).expect("made");
    // A header that is too long is not read at all.
    let mut caller = served.guest();
    let _ = caller.stream.write_all(&message(&get(&"x".repeat(5_000))));
    assert!(matches!(caller.hear().reply(), Reply::Error { code: ErrorCode::TooLarge, .. }));
    assert!(caller.is_closed());
    assert_eq!(served.surroundings(), before);
    served.is_well();
}

#[test]
fn links_in_a_home_do_not_lead_out_of_it() {
    let served = Served::start(WRITE);
    let outside = served.home.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("secret"), "secret").expect("written");
    fs::create_dir(served.path("folder")).expect("made");
    fs::write(served.path("folder/file"), "inside").expect("written");
    for (target, link) in [
        (outside.join("secret").to_str().expect("plain"), "absolute"),
        ("../outside/secret", "relative"),
        ("/etc/passwd", "passwd"),
        ("../outside/new", "dangling"),
        ("loop", "loop"),
        ("..", "up"),
        ("../outside", "out"),
        (outside.to_str().expect("plain"), "out-absolute"),
        ("/", "root"),
        ("/proc/self/cwd", "magic"),
        ("/dev/stdin", "device"),
        ("folder/file", "in"),
        ("folder", "in-folder"),
        ("folder/../../outside", "roundabout"),
    ] {
        symlink(target, served.path(link)).expect("made");
    }
    symlink("/", served.path("folder/deep")).expect("made");
    let before = served.surroundings();
    let mut guest = served.guest();
    assert_eq!(guest.list("").expect("a folder").0, ["folder/", "in", "in-folder/"]);
    assert_eq!(guest.list("in-folder").expect("a folder").0, ["file"]);
    assert_eq!(guest.get("in").expect("inside"), b"inside");
    assert_eq!(guest.get("in-folder/file").expect("inside"), b"inside");
    for path in [
        "absolute",
        "relative",
        "passwd",
        "dangling",
        "loop",
        "up",
        "out",
        "out-absolute",
        "root",
        "magic",
        "device",
        "roundabout",
        "folder/deep",
        "folder/deep/etc/passwd",
        "out/secret",
        "out-absolute/secret",
        "up/outside/secret",
        "loop/a",
        "root/etc",
        "magic/users.toml",
        "roundabout/secret",
        "in-folder/deep/etc/passwd",
    ] {
        for request in [
            get(path),
            Request::Stat { path },
            Request::Sum { path },
            Request::List { path, cursor: 0 },
            Request::RemoveDir { path },
            Request::MakeDir { path, parents: false },
            Request::MakeDir { path, parents: true },
        ] {
            let code = guest.refused(&request);
            let fitting = [
                ErrorCode::Forbidden,
                ErrorCode::NotFound,
                ErrorCode::Exists,
                ErrorCode::NotAFolder,
                ErrorCode::IsAFolder,
            ];
            assert!(fitting.contains(&code), "{request:?}: {code:?}");
        }
    }
    for path in
        ["out/new", "up/new", "root/tmp/feige-was-here", "roundabout/new", "loop/new", "dangling/new", "out/secret"]
    {
        assert!(guest.announce(&put(path, 100_000)).is_err(), "{path}");
        assert!(guest.put_small(path, b"abc").is_err(), "{path}");
        assert!(guest.done(&Request::Remove { path }).is_err(), "{path}");
        assert!(guest.done(&Request::Rename { from: "folder/file", to: path, replace: true }).is_err(), "{path}");
        assert!(guest.done(&Request::Rename { from: path, to: "mine", replace: true }).is_err(), "{path}");
    }
    // What replaces a link replaces the link, not what it shows.
    for path in ["absolute", "relative", "dangling", "loop"] {
        guest.put_small(path, b"abc").unwrap_or_else(|error| panic!("{path}: {error:?}"));
        assert!(fs::symlink_metadata(served.path(path)).expect("there").is_file(), "{path}");
    }
    guest.put("passwd", &octets(100_000, 1)).expect("stored");
    guest.done(&Request::Remove { path: "device" }).expect("removed");
    assert_eq!(served.surroundings(), before);
    assert!(!fs::exists("/tmp/feige-was-here").expect("looked"));
    served.is_well();
}

#[test]
fn bodies_that_are_short_or_long_store_nothing() {
    let served = Served::start(WRITE);
    let before = served.surroundings();
    let file = octets(300_000, 1);
    let announced = |served: &Served| {
        let mut guest = served.guest();
        let ready = guest.announce(&put("file", 300_000)).expect("welcome");
        (guest, ready)
    };
    let block = |ready: Ready| 1 << ready.block;
    // The end comes too early: said so, or by the end of the connection, at any octet of the last messages.
    let (mut guest, ready) = announced(&served);
    guest.send(&run(0, &file[..block(ready)], ready.block));
    let early = Request::Finish { digest: digest(&file[..block(ready)], ready.block) };
    assert_eq!(guest.refused(&early), ErrorCode::BadRequest);
    drop(guest);
    for missing in (1..60).chain([1_000, 70_000, 150_000]) {
        let (mut guest, ready) = loop {
            // The one before may not be given up yet.
            let mut guest = served.guest();
            if let Ok(ready) = guest.announce(&Put { stamp: missing, ..put("file", 300_000) }) {
                break (guest, ready);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let rest = rest(&file, ready);
        guest.send(&rest[..rest.len() - usize::try_from(missing).expect("small")]);
        guest.stream.shutdown(Shutdown::Write).expect("open");
        assert!(guest.is_closed());
        assert!(!served.path("file").exists(), "{missing} octets short, and stored");
    }
    // Too much, at the wrong place, or without having been announced.
    let whole = run(0, &file[..1 << 12], 12);
    for (at, len) in [(1 << 16, 1 << 16), (1, 1 << 16), (0, 1000), (u64::MAX - 1, 1 << 16)] {
        let (mut guest, ready) = loop {
            let mut guest = served.guest();
            match guest.announce(&Put { stamp: 99, ..put("other", 300_000) }) {
                Ok(ready) => break (guest, ready),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        guest.send(&run(at, &file[..len], ready.block));
        assert_eq!(guest.hear().accepted().unwrap_err(), ErrorCode::BadRequest);
        // The connection goes on, behind what is still under way.
        guest.say(&Request::Finish { digest: Digest::default() });
        guest.done(&Request::MakeDir { path: "made", parents: true }).expect("made");
        // Another name each time: the server may not have noticed yet that the one before is gone.
        let third = format!("third-{at}-{len}");
        let none = guest.announce(&Put { stamp: 99, ..put(&third, 300_000) }).expect("welcome");
        guest.send(&run(0, &file[..block(none)], none.block));
        guest.send(&message(&Request::Data(Data { at: block(none) as u64, len: u32::MAX })));
        assert_eq!(guest.hear().accepted().unwrap_err(), ErrorCode::BadRequest);
    }
    let mut guest = served.guest();
    guest.send(&whole);
    assert_eq!(guest.hear().accepted().unwrap_err(), ErrorCode::BadRequest);
    assert!(guest.is_closed());
    // A small one whose octets do not fit one block, or do not come.
    let mut guest = served.guest();
    assert_eq!(
        guest.refused(&Request::Put(Put { inline: true, block: 12, ..put("small", 4097) })),
        ErrorCode::BadRequest
    );
    for (size, block) in [(u64::MAX, 12), (1, 0), (1, 63), (1, 255)] {
        let mut guest = served.guest();
        let request = Request::Put(Put { inline: true, block, ..put("small", size) });
        assert_eq!(guest.refused(&request), ErrorCode::BadRequest, "{request:?}");
    }
    let mut guest = served.guest();
    let message = small("small", &file[..1000]);
    guest.send(&message[..message.len() - 1]);
    guest.stream.shutdown(Shutdown::Write).expect("open");
    assert!(guest.is_closed());
    assert_eq!(served.guest().refused(&Request::Put(put("huge", u64::MAX))), ErrorCode::NoSpace);
    // More hellos than one, a wrong version, requests within a file.
    let mut guest = served.guest();
    assert_eq!(guest.refused(&hello()), ErrorCode::BadRequest);
    let none = Request::Hello(Hello {
        version: 0,
        features: u64::MAX,
        max_header: 0,
        window: 0,
        max_block: 255,
        software: "",
    });
    assert_eq!(Caller::connect(served.addr).refused(&none), ErrorCode::BadRequest);
    let mut guest = served.guest();
    guest.announce(&put("within", 300_000)).expect("welcome");
    assert_eq!(guest.refused(&Request::Space), ErrorCode::BadRequest);
    assert!(served.files("").iter().all(|name| name.starts_with('.')), "{:?}", served.files(""));
    assert_eq!(served.surroundings(), before);
    served.is_well();
}
