//! The server's side against clients written out by hand.

use super::*;

/// The digest of a body with the salt `0`, by the definition.
fn sealed(body: &[u8]) -> String {
    use feige_core::wire::classic::SaltedMd5;
    let mut digest = SaltedMd5::new();
    digest.update(body);
    format!(r#""encrypted": "{}", "salt": "0""#, digest.finish(Some("0".into())))
}

fn salted(command: &str, keys: &str, body: &[u8]) -> Vec<u8> {
    let text = format!(r#"{{"command": "{command}", "data_length": {}, {keys}{}}}"#, body.len(), sealed(body));
    [header(&text), body.to_vec()].concat()
}

/// proves: R-CL-20, R-CL-23
#[test]
fn a_simple_upload() {
    let mut rig = Rig::new();
    let text = r#"{"file_path": "/x/雪.bin", "file_name": "\u96ea.bin", "file_size": 3000}"#;
    let body = contents(3000);
    // What comes behind the file is nobody's.
    rig.say(&[header(text), body.clone(), b"surplus".to_vec()].concat());
    let ((result, events), folder) = rig.end();
    let summary = result.unwrap();
    assert_eq!((summary.dialect, summary.received), (Some(feige_core::wire::classic::Dialect::Upload), 1));
    assert!(matches!(&events[..], [Event::Received { name, size: 3000, .. }] if name == "雪.bin"), "{events:?}");
    assert_eq!(fs::read(folder.path().join("雪.bin")).unwrap(), body);
}

/// proves: R-CL-21, R-CL-22
#[test]
fn puts_that_arrive_together() {
    let sizes = [0, 1, 1023, 1024, 1025, 100_000];
    let all: Vec<u8> = sizes.iter().flat_map(|&size| put(&format!("f{size}"), &contents(size))).collect();
    let mut rig = Rig::new();
    rig.say(&all);
    let ((result, _), folder) = rig.end();
    assert_eq!(result.unwrap().received, 6);
    for size in sizes {
        assert_eq!(fs::read(folder.path().join(format!("f{size}"))).unwrap(), contents(size));
    }
}

/// The octets that the listener has read already, and those that it has not, cut everywhere.
///
/// proves: R-CL-1, R-CL-10
#[test]
fn cut_at_every_octet() {
    let all = [put("a", b"one"), put(r"\u96ea", b"second")].concat();
    let folder = TempDir::new().unwrap();
    let shelf = Guests::new(Home::open(folder.path(), None).unwrap(), Right::Write);
    for cut in 0..=all.len() {
        let (first, rest) = all.split_at(cut);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.write_all(rest).unwrap();
        drop(peer);
        let (stream, _) = listener.accept().unwrap();
        let limits = Limits::default();
        let summary = serve(stream, first.to_vec(), &shelf, &limits, &Cancel::new(), &mut drop).unwrap();
        assert_eq!(summary.received, 2, "cut at {cut}");
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"one");
        assert_eq!(fs::read(folder.path().join("雪")).unwrap(), b"second");
        files(folder.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    }
    let mut rig = Rig::new();
    for octet in all {
        rig.say(&[octet]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(rig.end().0.0.unwrap().received, 2, "one by one");
}

/// proves: R-CL-12, R-CL-30, R-CL-31
#[test]
fn remote_commands() {
    let mut rig = Rig::new();
    fs::write(rig.folder.path().join("雪.txt"), "x").unwrap();
    fs::create_dir(rig.folder.path().join("img")).unwrap();
    fs::write(rig.folder.path().join("img/a.png"), "xyz").unwrap();
    for (command, answer) in [
        ("ls", "雪.txt\n"),
        ("ls img\n", "a.png\n"),
        ("ls video", ""),
        ("cat /etc/passwd", "no such command here: cat /etc/passwd (try help)\n"),
        ("ls; date", "no such command here: ls; date (try help)\n"),
        ("ls ..", "no such command here: ls .. (try help)\n"),
        ("雪\u{1b}[2J", "no such command here: 雪\\u{1b}[2J (try help)\n"),
        ("   ", "no such command here:  (try help)\n"),
    ] {
        rig.say(command.as_bytes());
        let (header, body) = rig.message();
        assert_eq!(String::from_utf8(body.clone()).unwrap(), answer, "{command:?}");
        assert_eq!(header["md5"], feige_core::digest::Digest::of(&body).to_string());
    }
    for (command, part) in [("help", "ls [img|video]"), ("df", "used   4\n"), ("date", "20")] {
        rig.say(command.as_bytes());
        let (_, body) = rig.message();
        assert!(String::from_utf8(body).unwrap().contains(part), "{command}");
    }
    let ((result, events), _) = rig.end();
    let summary = result.unwrap();
    assert_eq!((summary.answered, summary.refused, events.len()), (6, 5, 11));
}

/// proves: R-CL-40, R-CL-41, R-CL-42, R-CL-43
#[test]
fn a_salted_store() {
    let mut rig = Rig::new();
    let list = salted("show_file_name_list", r#""file_type": "img", "#, b"");
    rig.say(&list);
    let (answer, body) = rig.message();
    assert_eq!((&answer["data_length"], &answer["file_type"], &body[..]), (&0.into(), &"img".into(), &b""[..]));

    let picture = contents(5000);
    rig.say(&salted("upload", r#""file_name": "\u96ea.png", "file_path": "/x", "file_type": "img", "#, &picture));
    let (answer, body) = rig.message();
    assert_eq!(String::from_utf8(body.clone()).unwrap(), "当前文件 雪 上传成功!保存至 :>>>> img/雪.png!");
    assert_eq!(answer["command"], "upload");
    assert!(answer["encrypted"].is_string() && answer["salt"].as_str().unwrap().len() == 32, "{answer}");
    // Whatever the user typed, and without a type: the name says it.
    rig.say(&salted("send", r#""file_name": "film.mp4", "#, b"film"));
    assert_eq!(rig.message().0["command"], "send");
    assert_eq!(fs::read(rig.folder.path().join("img/雪.png")).unwrap(), picture);
    assert_eq!(fs::read(rig.folder.path().join("video/film.mp4")).unwrap(), b"film");

    fs::write(rig.folder.path().join("img/b.png"), "").unwrap();
    rig.say(&list);
    assert_eq!(rig.message().1, "b.png,雪.png".as_bytes());

    let name = r#""file_name": "\u96ea.png", "file_type": "img", "#;
    for body in ["雪.png", ""] {
        rig.say(&salted("download_file", name, body.as_bytes()));
        let (answer, file) = rig.message();
        assert_eq!(file, picture);
        let salt = answer["salt"].as_str().unwrap();
        let mut digest = feige_core::wire::classic::SaltedMd5::new();
        digest.update(&file);
        assert_eq!(answer["encrypted"], digest.finish(Some(salt.into())).to_string());
    }
    let ((result, events), _) = rig.end();
    let summary = result.unwrap();
    assert_eq!((summary.received, summary.sent, summary.answered, summary.refused), (2, 2, 2, 0), "{events:?}");
    let moved = events.iter().filter_map(|event| match event {
        Event::Received { name, .. } | Event::Sent { name, .. } => Some(name.as_str()),
        _ => None,
    });
    assert_eq!(moved.collect::<Vec<_>>(), ["img/雪.png", "video/film.mp4", "img/雪.png", "img/雪.png"]);
}

/// proves: R-CL-45
#[test]
fn a_salted_answer_fills_the_read_of_its_client() {
    let mut rig = Rig::new();
    rig.say(&salted("nope", "", b""));
    let (mut length, mut header, mut body) = ([0; 4], [0; 1024], [0; 17]);
    rig.peer.read_exact(&mut length).unwrap();
    assert_eq!(i32::from_le_bytes(length), 1024);
    rig.peer.read_exact(&mut header).unwrap();
    let header = str::from_utf8(&header).unwrap();
    assert_eq!(header.trim_end_matches(' '), r#"{"command": "nope", "data_length": 17}"#);
    rig.peer.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"nope is not exist");
}

/// proves: R-CL-44, R-CL-48
#[test]
fn a_salted_store_says_what_is_wrong_and_goes_on() {
    let mut rig = Rig::new();
    let upload = |seal: &str| {
        let text = format!(r#"{{"command": "upload", "data_length": 5, "file_name": "a.txt"{seal}}}"#);
        [&header(&text)[..], b"hello"].concat()
    };
    let wrong = r#", "encrypted": "d41d8cd98f00b204e9800998ecf8427e", "salt": "0""#;
    for (request, command, text) in [
        (upload(""), "upload", "数据被篡改!"),
        (upload(wrong), "upload", "数据被篡改!"),
        (upload(r#", "encrypted": "x", "salt": 7"#), "upload", "数据被篡改!"),
        (salted("nope", "", b"some octets"), "nope", "nope is not exist"),
        (salted("upload", "", b"some octets"), "upload", "file_name is missing"),
        (salted("download_file", r#""file_name": "../a", "#, b""), "download_file", "../a is not exist"),
        (salted("download_file", r#""file_name": "b", "#, b""), "download_file", "b is not exist"),
        (header(r#"{"command": "download_file"}"#), "download_file", " is not exist"),
        (
            [&header(&format!(r#"{{"command": "show_file_name_list", "data_length": 1{wrong}}}"#))[..], b"x"].concat(),
            "show_file_name_list",
            "数据被篡改!",
        ),
    ] {
        rig.say(&request);
        let (answer, body) = rig.message();
        let body = String::from_utf8(body).unwrap();
        assert!(body.starts_with(text), "{body}");
        assert_eq!(answer, serde_json::json!({"command": command, "data_length": body.len()}));
    }
    rig.say(&salted("upload", r#""file_name": "a.txt", "#, b"hello"));
    rig.message();
    let ((result, _), folder) = rig.end();
    let summary = result.unwrap();
    assert_eq!((summary.received, summary.refused), (1, 9));
    assert_eq!(files(folder.path()), [folder.path().join("a.txt")]);
}

/// proves: R-CL-8
#[test]
fn guests_have_rights_and_a_quota() {
    let mut rig = Rig::with(Right::Read, None, Limits::default());
    rig.say(&put("a", b"1"));
    assert!(
        matches!(rig.refused("no right"), ClassicError::Shelf(error) if error.text.contains("guests may not upload"))
    );

    let mut rig = Rig::with(Right::Read, None, Limits::default());
    rig.say(&salted("upload", r#""file_name": "a", "#, &contents(300_000)));
    let (_, body) = rig.message();
    assert!(String::from_utf8(body).unwrap().starts_with("guests may not upload"), "told after the body");
    rig.say(b"");
    assert_eq!(rig.end().0.0.unwrap().refused, 1);

    let mut rig = Rig::with(Right::None, None, Limits::default());
    rig.say(b"ls");
    assert!(String::from_utf8(rig.message().1).unwrap().contains("guests may not list"));

    let mut rig = Rig::with(Right::Write, Some(1000), Limits::default());
    rig.say(&[put("a", &[0; 600]), put("b", &[0; 600])].concat());
    let ((result, _), folder) = rig.end();
    assert_eq!(result.unwrap_err().exit(), crate::exit::Exit::NoSpace);
    assert_eq!(files(folder.path()), [folder.path().join("a")], "the first stays");
}

#[test]
fn a_file_of_that_name_is_replaced_by_a_whole_one_only() {
    let mut rig = Rig::new();
    rig.say(&put("a", b"old"));
    rig.rest();
    rig.again();
    rig.say(&put("a", b"whole new one")[..50]);
    let ((result, _), folder) = rig.end();
    result.unwrap_err();
    assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"old");
    assert_eq!(files(folder.path()).len(), 1);
}
