//! What nobody should send, to the real server function.

use super::*;

/// proves: R-CL-2, R-CL-4, R-CL-6, R-CL-13
#[test]
fn headers_that_are_none() {
    let deep = format!(r#"{{"cmd": "put", "filename": "a", "filesize": 0, "x": {}}}"#, "[".repeat(60_000));
    for (what, octets) in [
        ("length 0", b"\0\0\0\0{}".to_vec()),
        ("negative length", b"\xff\xff\xff\xff{\"a\": 1}".to_vec()),
        ("smallest length", b"\0\0\0\x80{\"a\": 1}".to_vec()),
        ("length of 2^31-1", b"\xff\xff\xff\x7f{\"a\": 1}".to_vec()),
        ("length over 64 KiB", b"\x01\0\x01\0{\"a\": 1}".to_vec()),
        ("longer than what follows", [&99_i32.to_le_bytes()[..], b"{\"cmd\": 1}"].concat()),
        ("not JSON", header("{cmd: put}")),
        ("deep JSON", header(&deep)),
        ("no keys", header("{}")),
        ("number as a string", header(r#"{"cmd": "put", "filename": "a", "filesize": "0"}"#)),
        ("negative size", header(r#"{"file_name": "a", "file_size": -1}"#)),
        ("huge size", header(r#"{"file_name": "a", "file_size": 18446744073709551616}"#)),
        ("fractional size", header(r#"{"file_name": "a", "file_size": 0.5}"#)),
        ("name is no text", header(r#"{"file_name": null, "file_size": 0}"#)),
        ("a length as salted data", header(r#"{"command": "show_file_name_list", "data_length": 99999999}"#)),
        ("octets", (0..=255).rev().collect()),
    ] {
        let mut rig = Rig::new();
        // The server may be gone before all of it is sent.
        let _ = rig.peer.write_all(&octets);
        let error = rig.refused(what);
        assert!(!error.to_string().is_empty());
    }
    // A wrong header behind a right one costs what follows, not what came.
    let mut rig = Rig::new();
    rig.say(&[put("a", b"1"), b"\xff\xff\xff\xff".to_vec(), put("b", b"2")].concat());
    let ((result, _), folder) = rig.end();
    assert!(matches!(result, Err(ClassicError::Header(_))), "{result:?}");
    assert_eq!(files(folder.path()), [folder.path().join("a")]);
}

/// proves: R-CL-5
#[test]
fn of_a_key_that_stands_twice_the_last_counts() {
    let mut rig = Rig::new();
    let text = r#"{"cmd": "put", "filename": "../x", "filesize": 9, "filename": "a", "filesize": 1}"#;
    rig.say(&[&header(text)[..], b"1"].concat());
    let ((result, _), folder) = rig.end();
    assert_eq!(result.unwrap().received, 1);
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"1");
}

/// proves: R-CL-7
#[test]
fn names_stay_in_the_folder() {
    let mut rig = Rig::new();
    let long = "x".repeat(60_000);
    for (name, stored) in [
        ("../../evil", ".._.._evil"),
        ("/etc/passwd", "_etc_passwd"),
        (r"C:\\Windows\\win.ini", "C__Windows_win.ini"),
        (r"..\\evil", ".._evil"),
        ("..", "_"),
        (".", "_"),
        ("", "_"),
        (r"a\u0000b", "a_b"),
        (r"a\u001b[2J\n", "a_[2J_"),
        (r"x\u202egpj.exe", "x_gpj.exe"),
        ("nul.txt", "_nul.txt"),
        (r"\ud83dhalf", "\u{fffd}half"),
        (&long, &long[..255]),
    ] {
        rig.say(&put(name, b"1"));
        rig.rest();
        rig.again();
        let found = files(rig.folder.path());
        assert_eq!(found, [rig.folder.path().join(stored)], "{name:?}");
        fs::remove_file(&found[0]).unwrap();
    }
    assert_eq!(fs::read_dir(rig.folder.path()).unwrap().count(), 0);
}

/// proves: R-CL-23
#[test]
fn a_body_that_ends_early_leaves_nothing() {
    for size in [10, 3_000_000] {
        let mut rig = Rig::new();
        let all = put("a", &vec![7; size]);
        rig.say(&all[..all.len() - size / 2]);
        assert!(matches!(rig.refused("short"), ClassicError::Short { .. }));
    }
    let mut rig = Rig::new();
    rig.say(&header(r#"{"file_name": "a", "file_size": 9223372036854775807}"#));
    let error = rig.refused("more than any disk has");
    assert_eq!(error.exit(), crate::exit::Exit::NoSpace, "{error}");
}

/// proves: R-CL-14
#[test]
fn who_dawdles_is_left() {
    let moment = Duration::from_millis(300);
    let limits = Limits { header: moment, idle: moment, stall: moment, salted: moment, ..Limits::default() };
    let upload = r#"{"command": "upload", "data_length": 500000, "file_name": "a"}"#;
    for (what, octets, pace) in [
        ("silence", vec![], 0),
        ("a part of a length", vec![0x4f], 0),
        ("a part of a header", put("a", b"")[..20].to_vec(), 0),
        ("a header octet by octet", put("a", b""), 40),
        ("a body octet by octet", put("a", &[0; 500_000]), 40),
        ("a salted body octet by octet", [header(upload), vec![0; 500_000]].concat(), 40),
    ] {
        let mut rig = Rig::with(Right::Write, None, limits);
        let start = std::time::Instant::now();
        let quick = if what.contains("body") { 120.min(octets.len()) } else { 0 };
        let (at_once, slowly) = octets.split_at(if pace == 0 { octets.len() } else { quick });
        rig.say(at_once);
        for octet in slowly {
            if rig.server.is_finished() || rig.peer.write_all(&[*octet]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(pace));
        }
        // Not `end`: that would tell it that nothing more will come.
        let (result, _) = rig.server.join().unwrap();
        assert!(matches!(result, Err(ClassicError::TimedOut { .. })), "{what}: {result:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        assert_eq!(files(rig.folder.path()).len(), 0, "{what}");
    }
}

/// proves: R-CL-30
#[test]
fn commands_have_a_length() {
    let mut rig = Rig::new();
    let _ = rig.peer.write_all(&[b'l'; 5000]);
    assert!(matches!(rig.refused("too long"), ClassicError::Header(_)));
    let mut rig = Rig::new();
    rig.say(&[b'x'; 1024]);
    assert!(String::from_utf8(rig.message().1).unwrap().starts_with("no such command"));
}

#[test]
fn cancelling_ends_it() {
    let cancel = Cancel::new();
    let folder = TempDir::new().unwrap();
    let shelf = Guests::new(Home::open(folder.path(), None).unwrap(), Right::Write);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.write_all(&put("a", &[0; 100])[..100]).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let start = std::time::Instant::now();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            cancel.cancel();
        });
        let result = serve(stream, Vec::new(), &shelf, &Limits::default(), &cancel, &mut drop);
        assert!(matches!(result, Err(ClassicError::Cancelled)), "{result:?}");
    });
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(files(folder.path()).len(), 0);
}

/// proves: R-CL-10
#[test]
fn other_protocols_are_told_apart() {
    // A header of the native protocol.
    let mut rig = Rig::new();
    rig.say(b"\x04\0\0\0\x01\x01\0\0");
    assert!(matches!(rig.refused("native"), ClassicError::NotClassic));
    // Nothing at all is no error.
    assert_eq!(Rig::new().end().0.0.unwrap(), Summary::default());
}
