//! The clients: against our server, and against servers that are wrong.

use super::*;
use crate::exit::Exit;
use crate::store::Inbox;
use feige_core::text::FileName;
use feige_core::wire::classic::FileType;

/// Runs `exchange` as a client of `to`.
fn as_client<T>(to: SocketAddr, exchange: impl FnOnce(&mut Client<'_>) -> T) -> T {
    let (cancel, mut seen) = (Cancel::new(), 0);
    let limits = Limits { stall: Duration::from_secs(5), ..Limits::default() };
    exchange(&mut Client { to, limits, cancel: &cancel, progress: &mut |progress| seen = progress.done })
}

/// Runs `exchange` as a client of our server of `folder`.
fn with_ours<T>(folder: &Path, exchange: impl FnOnce(&mut Client<'_>) -> T) -> (T, Result<Summary, ClassicError>) {
    let shelf = Guests::new(Home::open(folder, None).unwrap(), Right::Write);
    let (to, server) =
        listen(move |stream| serve(stream, Vec::new(), &shelf, &Limits::default(), &Cancel::new(), &mut drop));
    (as_client(to, exchange), server.join().unwrap())
}

/// A server that reads one message of a client, then says `octets` and closes.
fn saying(octets: impl Into<Vec<u8>>) -> SocketAddr {
    let octets = octets.into();
    let (to, _) = listen(move |mut stream| {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        std::thread::sleep(Duration::from_millis(100));
        let _ = stream.write_all(&octets);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    to
}

/// proves: R-CL-20, R-CL-21, R-CL-24, R-CL-43, R-CL-46
#[test]
fn files_of_every_size_there_and_back() {
    let (here, there, back) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let inbox = Inbox::open(back.path()).unwrap();
    for size in [0, 1, 1023, 1024, 1025, 100_000, 3_000_000] {
        let (name, contents) = (format!("雪 {size}.png"), contents(size));
        let path = here.path().join(&name);
        fs::write(&path, &contents).unwrap();
        for send in [send_upload, send_put] {
            let (sent, summary) = with_ours(there.path(), |client| send(client, &path, &name));
            let sent = sent.unwrap();
            assert_eq!((sent.size, sent.closed, summary.unwrap().received), (size as u64, true, 1));
            assert_eq!(sent.md5, feige_core::digest::Digest::of(&contents));
            assert_eq!(fs::read(there.path().join(&name)).unwrap(), contents);
            fs::remove_file(there.path().join(&name)).unwrap();
        }
        let (done, summary) = with_ours(there.path(), |client| -> Result<_, ClassicError> {
            let mut session = Session::connect(client)?;
            let uploaded = session.upload(&path, &name)?;
            assert!(uploaded.answer.ends_with(&format!("img/{name}!")), "{uploaded:?}");
            assert_eq!(uploaded.size, contents.len() as u64);
            let names = session.list(FileType::Image)?;
            assert!(names.contains(&name), "{names:?}");
            session.download(&name, FileType::Image, &inbox, &FileName::from_untrusted(&name))
        });
        let downloaded = done.unwrap();
        assert_eq!(downloaded.path.file_name().unwrap(), name.as_str());
        assert_eq!(fs::read(downloaded.path).unwrap(), contents);
        summary.unwrap();
    }
    assert_eq!(files(back.path()).len(), 7);
}

/// proves: R-CL-31, R-CL-33
#[test]
fn commands_of_our_own_server() {
    let there = TempDir::new().unwrap();
    fs::write(there.path().join("雪.txt"), "x").unwrap();
    let mut out = Vec::new();
    let (output, summary) = with_ours(there.path(), |client| command(client, "ls", &mut out));
    let output = output.unwrap();
    assert_eq!((&out[..], output.verified, &output.name[..]), ("雪.txt\n".as_bytes(), true, "ls.txt"));
    // The client resets, as it has to, and has had what it came for.
    assert_eq!(summary.unwrap().answered, 1);
}

/// proves: R-CL-31, R-CL-32
#[test]
fn answers_to_commands_in_both_forms() {
    let json = |md5: &str, body: &str| {
        let text = format!(r#"{{"md5": "{md5}", "file_name": "f1.txt", "total_size": {}}}"#, body.len());
        [&header(&text)[..], body.as_bytes()].concat()
    };
    let low = |body: &str| header(body);
    let big = "0123456789".repeat(20_000);
    for (answer, expected) in [
        (json("b1946ac92492d2347c6235b4d2611184", "hello\n"), Ok(("hello\n", true))),
        (json("B1946AC92492D2347C6235B4D2611184", "hello\n"), Ok(("hello\n", true))),
        (json("123sxd123x123", "hello\n"), Ok(("hello\n", false))),
        (json("d41d8cd98f00b204e9800998ecf8427e", ""), Ok(("", true))),
        (json("d41d8cd98f00b204e9800998ecf8427e", "hello\n"), Err(Exit::Incomplete)),
        (low("hello\n"), Ok(("hello\n", false))),
        (low(""), Ok(("", false))),
        (low("{\"a\": 1}\n"), Ok(("{\"a\": 1}\n", false))),
        (low("{ not JSON"), Ok(("{ not JSON", false))),
        (low(&big), Ok((&big[..], false))),
        (low("hello\n")[..7].to_vec(), Err(Exit::Incomplete)),
        (json("", "hello\n")[..30].to_vec(), Err(Exit::Incomplete)),
        (b"\xff\xff\xff\xff".to_vec(), Err(Exit::Failed)),
        (b"".to_vec(), Err(Exit::Incomplete)),
    ] {
        let mut out = Vec::new();
        let result = as_client(saying(answer.clone()), |client| command(client, "cmd", &mut out));
        let found = result.as_ref().map(|output| (str::from_utf8(&out).unwrap(), output.verified));
        assert_eq!(found.map_err(ClassicError::exit), expected, "{result:?}");
    }
    as_client(saying(""), |client| {
        for text in ["", " ", &"x".repeat(1025)] {
            assert_eq!(command(client, text, &mut Vec::new()).unwrap_err().exit(), Exit::Usage);
        }
    });
}

/// proves: R-CL-44, R-CL-49
#[test]
fn a_download_that_is_not_right_leaves_nothing() {
    let wrong = r#""encrypted": "d41d8cd98f00b204e9800998ecf8427e", "salt": "0""#;
    let answer = |keys: &str, body: &str| {
        [&header(&format!(r#"{{"command": "download_file", "data_length": 5{keys}}}"#))[..], body.as_bytes()].concat()
    };
    let back = TempDir::new().unwrap();
    let inbox = Inbox::open(back.path()).unwrap();
    for (answer, exit) in [
        (answer(&format!(", {wrong}"), "hello"), Exit::Incomplete),
        (answer(&format!(", {wrong}"), "hel"), Exit::Incomplete),
        (answer("", "sorry"), Exit::Refused),
        (b"\xff\xff\xff\xff{}".to_vec(), Exit::Failed),
        (header("{\"data_length\": 5}"), Exit::Failed),
        (header(&format!(r#"{{"command": "x", "data_length": 9223372036854775807, {wrong}}}"#)), Exit::NoSpace),
        (Vec::new(), Exit::Incomplete),
    ] {
        let result = as_client(saying(answer), |client| {
            let name = FileName::from_untrusted("a");
            Session::connect(client)?.download("a", FileType::Other, &inbox, &name)
        });
        assert_eq!(result.as_ref().map_err(ClassicError::exit), Err(exit), "{result:?}");
        assert_eq!(files(back.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn nobody_there_and_nothing_to_send() {
    let folder = TempDir::new().unwrap();
    let to = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    fs::write(folder.path().join("a"), "x").unwrap();
    as_client(to, |client| {
        let error = send_put(client, &folder.path().join("a"), "a").unwrap_err();
        assert_eq!(error.exit(), Exit::Nobody, "{error}");
        for path in [folder.path().to_owned(), folder.path().join("b")] {
            let error = send_put(client, &path, "a").unwrap_err();
            assert!(matches!(error, ClassicError::File { .. }), "{error}");
        }
    });
}

/// A server that refuses shows in a reset, not in silence.
///
/// proves: R-CL-8, R-CL-23
#[test]
fn a_refused_put_is_noticed() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = here.path().join("a");
    fs::write(&path, contents(3_000_000)).unwrap();
    let shelf = Guests::new(Home::open(there.path(), None).unwrap(), Right::Read);
    let (to, server) =
        listen(move |stream| serve(stream, Vec::new(), &shelf, &Limits::default(), &Cancel::new(), &mut drop));
    let error = as_client(to, |client| send_put(client, &path, "a")).unwrap_err();
    assert!(matches!(error, ClassicError::BrokeOff), "{error}");
    assert_eq!(server.join().unwrap().unwrap_err().exit(), Exit::Refused);
}
