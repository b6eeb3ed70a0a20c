//! `feige serve` of the real program: who may do what, where, and how much of it.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use feige_core::digest::Digest;
use feige_core::wire::transfer::{Entry, EntryKind, ErrorCode, Get, Put, Reply, Request};
use feige_tests::program::{Ended, LATE, Program, SOON, command, run};
use feige_tests::served::{PASSWORD, Served};
use feige_tests::transfer::{Caller, octets, put};
use tempfile::TempDir;

const READ: &[&str] = &["--guest", "read"];
const WRITE: &[&str] = &["--guest", "write"];

/// Changes a file as good editors do: at once.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("written");
    fs::rename(new, path).expect("renamed");
}

fn stat(caller: &mut Caller, path: &str) -> Result<(EntryKind, u64), ErrorCode> {
    let answer = caller.ask(&Request::Stat { path }).accepted().map_err(|refused| refused.code)?;
    let Reply::Stat(Entry { kind, size, .. }) = answer.reply() else { panic!("{answer:?}") };
    Ok((kind, size))
}

#[test]
fn guests_may_what_the_operator_lets_them() {
    let served = Served::with_users(&["alice"], &[]);
    let mut stranger = Caller::greeted(served.addr);
    assert_eq!(stranger.refused(&Request::Guest), ErrorCode::SignInRequired);
    assert!(stranger.is_closed());

    let served = Served::start(READ);
    fs::write(served.path("there"), "text").expect("written");
    let mut guest = served.guest();
    assert_eq!(guest.get("there").expect("readable"), b"text");
    assert_eq!(guest.announce(&put("new", 3)).unwrap_err(), ErrorCode::Forbidden);
    assert_eq!(guest.put_small("new", b"abc").unwrap_err(), ErrorCode::Forbidden);
    for request in [
        Request::MakeDir { path: "folder", parents: true },
        Request::Remove { path: "there" },
        Request::RemoveDir { path: "there" },
        Request::Rename { from: "there", to: "here", replace: true },
    ] {
        assert_eq!(guest.refused(&request), ErrorCode::Forbidden, "{request:?}");
    }
    assert_eq!(served.files(""), ["there"]);

    let served = Served::start(WRITE);
    let mut guest = served.guest();
    guest.put("large", &octets(300_000, 1)).expect("stored");
    guest.put_small("small", b"abc").expect("stored");
    guest.put_small("empty", b"").expect("stored");
    assert_eq!(guest.get("large").expect("there"), octets(300_000, 1));
    assert_eq!(guest.get("empty").expect("there"), b"");
    assert_eq!(served.files(""), ["empty", "large", "small"]);
}

#[test]
fn whoever_has_not_signed_in_is_told_nothing() {
    let served = Served::start(READ);
    fs::write(served.path("there"), "text").expect("written");
    for request in [
        Request::List { path: "", cursor: 0 },
        Request::Stat { path: "there" },
        Request::Put(put("new", 1)),
        Request::Space,
        Request::Time,
        Request::Sum { path: "there" },
    ] {
        let mut stranger = Caller::greeted(served.addr);
        assert_eq!(stranger.refused(&request), ErrorCode::SignInRequired, "{request:?}");
        assert!(stranger.is_closed());
        assert_eq!(Caller::connect(served.addr).refused(&request), ErrorCode::BadRequest, "{request:?}");
    }
}

#[test]
fn everybody_has_a_home_and_nothing_else() {
    let mut served = Served::with_users(&["alice", "bob"], WRITE);
    let before = served.surroundings();
    let (mut alice, mut bob, mut guest) = (served.user("alice"), served.user("BOB"), served.guest());
    for (caller, text) in [(&mut alice, "alice's"), (&mut bob, "bob's"), (&mut guest, "a guest's")] {
        caller.put_small("notes", text.as_bytes()).expect("stored");
        assert_eq!(caller.list("").expect("a home").0, ["notes"]);
    }
    assert_eq!(served.files(""), ["alice/notes", "bob/notes", "guest/notes"]);
    for path in ["../bob/notes", "/../bob/notes", "a/../../bob/notes", "bob/notes/../../..", "..", "//bob/notes"] {
        assert_eq!(alice.get(path).unwrap_err(), ErrorCode::BadName, "{path}");
        assert_eq!(stat(&mut alice, path), Err(ErrorCode::BadName), "{path}");
        assert_eq!(alice.list(path).unwrap_err(), ErrorCode::BadName, "{path}");
        assert_eq!(alice.put_small(path, b"mine now").unwrap_err(), ErrorCode::BadName, "{path}");
    }
    // Absolute is from the home on.
    assert_eq!(alice.get("/notes").expect("there"), b"alice's");
    assert_eq!(alice.get("/bob/notes").unwrap_err(), ErrorCode::NotFound);
    let elsewhere = served.home.path().join("users.toml");
    assert_eq!(alice.get(elsewhere.to_str().expect("plain")).unwrap_err(), ErrorCode::NotFound);

    let wrong = Caller::user(served.addr, "alice", "wrong").unwrap_err();
    let nobody = Caller::user(served.addr, "nobody", PASSWORD).unwrap_err();
    assert_eq!(wrong, ErrorCode::SignInFailed);
    assert_eq!(wrong, nobody, "nobody learns which accounts there are");
    let denied = served.program.event("denied");
    assert_eq!(denied["user"], "alice");
    assert_eq!(served.surroundings(), before);
    assert!(!served.program.said().contains(PASSWORD));
}

#[test]
fn accounts_change_while_they_are_used() {
    let served = Served::with_users(&["alice"], &[]);
    let mut alice = served.user("alice");
    assert_eq!(alice.space(), (0, None));
    // An account that is made now can be used soon.
    served.change_users(&["add", "bob", "--password-file", "password"]);
    served.change_users(&["quota", "alice", "1MiB"]);
    let end = Instant::now() + SOON;
    while Caller::user(served.addr, "bob", PASSWORD).is_err() {
        assert!(Instant::now() < end, "bob does not come in: {}", served.program);
        std::thread::sleep(Duration::from_secs(1));
    }
    // A quota counts once its user has left.
    assert_eq!(alice.space(), (0, None));
    drop(alice);
    let end = Instant::now() + SOON;
    while served.user("alice").space().1 != Some(1 << 20) {
        assert!(Instant::now() < end, "the quota does not count: {}", served.program);
        std::thread::sleep(Duration::from_millis(100));
    }
    let users = served.home.path().join("users.toml");
    let text = fs::read_to_string(&users).expect("there");
    let disabled = text.replacen("[users.bob]", "[users.bob]\ndisabled = true", 1);
    assert_ne!(text, disabled, "{text}");
    replace(&users, &disabled);
    let end = Instant::now() + SOON;
    let refused = loop {
        match Caller::user(served.addr, "bob", PASSWORD) {
            Err(refused) => break refused,
            Ok(_) => assert!(Instant::now() < end, "bob still comes in: {}", served.program),
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(refused, ErrorCode::Forbidden);
    assert!(refused.text.contains("disabled"), "{refused:?}");
    assert_eq!(Caller::user(served.addr, "bob", "wrong").unwrap_err(), ErrorCode::SignInFailed);
    // A file that makes no sense changes nothing, and is told.
    let mut served = served;
    replace(&users, "nonsense");
    let trouble = served.program.event("trouble");
    assert!(trouble["error"].as_str().is_some_and(|error| error.contains("users.toml")), "{trouble}");
    assert_eq!(served.user("alice").space(), (0, Some(1 << 20)));
}

#[test]
fn a_quota_is_kept_whatever_is_done() {
    let served = Served::with_users(&["alice=1MiB", "bob"], &[]);
    let mut alice = served.user("alice");
    assert_eq!(alice.space(), (0, Some(1 << 20)));
    assert_eq!(alice.announce(&put("huge", (1 << 20) + 1)).unwrap_err(), ErrorCode::QuotaExceeded);
    // Two that together are too much.
    let mut other = served.user("alice");
    let ready = alice.announce(&put("one", 700_000)).expect("welcome");
    assert_eq!(other.announce(&put("two", 700_000)).unwrap_err(), ErrorCode::QuotaExceeded);
    let also = other.announce(&put("two", 300_000)).expect("welcome");
    alice.upload(&octets(700_000, 1), ready).expect("stored");
    other.upload(&octets(300_000, 2), also).expect("stored");
    assert_eq!(alice.space().0, 1_000_000);
    assert_eq!(alice.put_small("more", &octets(50_000, 3)).unwrap_err(), ErrorCode::QuotaExceeded);
    // What is renamed still counts; what is removed or replaced does not.
    alice.done(&Request::Rename { from: "one", to: "1", replace: false }).expect("renamed");
    assert_eq!(alice.space().0, 1_000_000);
    alice.done(&Request::Rename { from: "two", to: "1", replace: true }).expect("renamed");
    assert_eq!(other.space().0, 300_000);
    alice.put("1", &octets(400_000, 4)).expect("stored");
    assert_eq!(other.space().0, 400_000);
    alice.done(&Request::Remove { path: "1" }).expect("removed");
    assert_eq!(other.space().0, 0);
    // An upload that is given up gives its room back, but for what it keeps.
    let ready = alice.announce(&put("given up", 1 << 20)).expect("welcome");
    assert_eq!(ready.offset, 0);
    drop(alice);
    let end = Instant::now() + SOON;
    while let Err(refused) = other.announce(&put("next", 1 << 20)) {
        assert_eq!(refused, ErrorCode::QuotaExceeded);
        assert!(Instant::now() < end, "the room is not given back");
    }
    drop(other);
    served.user("bob").put("no limit", &octets(2 << 20, 5)).expect("stored");
    // What is there when it starts counts.
    let mut served = served;
    fs::write(served.path("alice/from elsewhere"), octets(600_000, 6)).expect("written");
    served.restart();
    let mut alice = served.user("alice");
    assert_eq!(alice.space().0, 600_000);
    assert_eq!(alice.announce(&put("too much", 500_000)).unwrap_err(), ErrorCode::QuotaExceeded);
}

#[test]
fn large_folders_come_in_pages() {
    let served = Served::start(READ);
    let mut names = vec!["folder/".to_owned()];
    fs::create_dir(served.path("folder")).expect("made");
    for number in 0..3_000 {
        let name = format!("a file with the number {number:04}");
        fs::write(served.path(&name), "").expect("written");
        names.push(name);
    }
    names.sort();
    let mut guest = served.guest();
    let (listed, pages) = guest.list("").expect("a folder");
    assert_eq!(listed, names);
    assert!((2..=8).contains(&pages), "{pages} pages");
    assert_eq!(guest.list("folder").expect("a folder").0, [""; 0]);
    // Pages are bounded wherever they begin, and a place that does not exist leads nowhere near.
    for cursor in [1, 77, u64::MAX >> 1, u64::MAX] {
        guest.say(&Request::List { path: "", cursor });
        let mut entries = 0;
        loop {
            match guest.hear().reply() {
                Reply::Entry(_) => entries += 1,
                Reply::End { .. } | Reply::Error { code: ErrorCode::BadRequest, .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(entries <= 2_000, "{entries} entries from {cursor}");
    }
}

#[test]
fn everything_else_that_can_be_asked() {
    let mut served = Served::start(WRITE);
    let mut guest = served.guest();
    let file = octets(1_000_000, 1);
    let put_in = |path, mode, mtime| Put { mode: Some(mode), mtime: Some(mtime), ..put(path, 1_000_000) };
    assert_eq!(guest.announce(&put("no/such/folder", 1_000_000)).unwrap_err(), ErrorCode::NotFound);
    guest.done(&Request::MakeDir { path: "a/b/c", parents: true }).expect("made");
    guest.done(&Request::MakeDir { path: "a/b/c", parents: true }).expect("there");
    assert_eq!(guest.refused(&Request::MakeDir { path: "a/b/c", parents: false }), ErrorCode::Exists);
    assert_eq!(guest.refused(&Request::MakeDir { path: "x/y", parents: false }), ErrorCode::NotFound);
    let ready = guest.announce(&put_in("a/file", 0o4755, 1_700_000_000_123_000_000)).expect("welcome");
    guest.upload(&file, ready).expect("stored");
    let metadata = fs::metadata(served.path("a/file")).expect("there");
    assert_eq!(metadata.permissions().mode() & 0o7000, 0, "it runs as nobody else");
    let since = metadata.modified().expect("a time").duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    assert_eq!(since.as_nanos(), 1_700_000_000_123_000_000);
    assert_eq!(stat(&mut guest, "a/file"), Ok((EntryKind::File, 1_000_000)));
    assert_eq!(stat(&mut guest, "a"), Ok((EntryKind::Folder, 0)));
    assert_eq!(stat(&mut guest, ""), Ok((EntryKind::Folder, 0)));
    assert_eq!(stat(&mut guest, "b"), Err(ErrorCode::NotFound));
    assert_eq!(guest.get("a").unwrap_err(), ErrorCode::IsAFolder);
    assert_eq!(guest.list("a/file").unwrap_err(), ErrorCode::NotAFolder);
    assert_eq!(guest.announce(&put("a/b", 10)).unwrap_err(), ErrorCode::IsAFolder);
    let once = Put { replace: false, ..put("a/file", 10) };
    assert_eq!(guest.announce(&once).unwrap_err(), ErrorCode::Exists);

    // A range of it, and the rest of what was begun.
    let range = |offset, length, stamp| Request::Get(Get { path: "a/file", offset, length, block: 12, stamp });
    guest.say(&range(8192, 10_000, 0));
    assert_eq!(guest.file().expect("there"), file[8192..18_192]);
    guest.say(&range(1_000_000, u64::MAX, 0));
    assert_eq!(guest.file().expect("there"), b"");
    // Of another file than the one that was begun, all of it.
    guest.say(&range(8192, 10_000, 77));
    assert_eq!(guest.file().expect("there"), file);

    for _ in 0..2 {
        let answer = guest.ask(&Request::Sum { path: "a/file" });
        assert_eq!(answer.reply(), Reply::Sum { md5: Digest::of(&file), size: 1_000_000 });
    }
    assert_eq!(guest.refused(&Request::Sum { path: "a" }), ErrorCode::IsAFolder);
    let answer = guest.ask(&Request::Time);
    let Reply::Time(time) = answer.reply() else { panic!("{answer:?}") };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    assert!(now.as_nanos().abs_diff(u128::try_from(time).expect("after 1970")) < 10_000_000_000);
    assert_eq!(guest.space(), (1_000_000, None));

    guest.done(&Request::Rename { from: "a/file", to: "a/b/c/moved", replace: false }).expect("renamed");
    assert_eq!(guest.refused(&Request::Rename { from: "a", to: "a/b/a", replace: false }), ErrorCode::BadRequest);
    assert_eq!(guest.refused(&Request::Rename { from: "none", to: "x", replace: true }), ErrorCode::NotFound);
    assert_eq!(guest.refused(&Request::RemoveDir { path: "a" }), ErrorCode::NotEmpty);
    assert_eq!(guest.refused(&Request::Remove { path: "a" }), ErrorCode::IsAFolder);
    assert_eq!(guest.refused(&Request::RemoveDir { path: "a/b/c/moved" }), ErrorCode::NotAFolder);
    assert_eq!(guest.refused(&Request::RemoveDir { path: "" }), ErrorCode::Forbidden);
    guest.done(&Request::Remove { path: "a/b/c/moved" }).expect("removed");
    for path in ["a/b/c", "a/b", "a"] {
        guest.done(&Request::RemoveDir { path }).expect("removed");
    }
    assert_eq!(fs::read_dir(served.path("")).expect("a folder").count(), 0);
    guest.done(&Request::Bye).expect("done");
    assert!(guest.is_closed());
    let stored = served.program.event("stored");
    assert_eq!(
        (&stored["path"], &stored["size"], &stored["user"]),
        (&"a/file".into(), &1_000_000.into(), &"guest".into())
    );
    assert_eq!(served.program.event("changed")["what"], "made the folder");
}

#[test]
fn pipelined_small_files_are_answered_in_order() {
    let served = Served::start(WRITE);
    let mut guest = served.guest();
    let files: Vec<_> = (0..500).map(|number| (format!("file{number}"), octets(number * 37, 9))).collect();
    let messages: Vec<u8> = files.iter().flat_map(|(name, file)| feige_tests::transfer::small(name, file)).collect();
    let mut writer = guest.stream.try_clone().expect("a socket");
    let sender = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &messages));
    for (name, file) in &files {
        assert_eq!(guest.hear().reply(), Reply::Stored { digest: Digest::of(file) }, "{name}");
        assert!(fs::read(served.path(name)).expect("there before it is told") == *file, "{name}");
    }
    sender.join().expect("no panic").expect("sent");
    assert_eq!(guest.list("").expect("a folder").0.len(), files.len());
}

#[test]
fn what_cannot_be_served_is_said() {
    let home = TempDir::new().expect("a folder");
    fs::create_dir(home.path().join("share")).expect("made");
    fs::write(home.path().join("file"), "x").expect("written");
    fs::write(home.path().join("bad.toml"), "nonsense").expect("written");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").to_string();
    for (arguments, code, says) in [
        (&["none", "--guest", "read"][..], 2, "none"),
        (&["file", "--guest", "read"], 2, "not a folder"),
        (&["share"], 2, "nobody could come in"),
        (&["share", "--users", "bad.toml"], 2, "bad.toml"),
        (&["share", "--users", "none.toml"], 2, "none.toml"),
        (&["share", "--guest", "all"], 2, "none, read, write"),
        (&["share", "--guest", "read", "--listen", "nonsense"], 2, "--listen"),
        (&["share", "--guest", "read", "--max-connections", "0"], 2, "--max-connections"),
        (&["share", "--guest", "read", "--listen", &port], 1, "another program has the port"),
        (&["share", "--guest", "read", "--listen", "192.0.2.1:2426"], 1, "192.0.2.1:2426"),
    ] {
        let arguments = [&["serve"], arguments].concat();
        let ended: Ended = run(&home, SOON, &arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.said);
        assert!(ended.said.contains(says), "{arguments:?}: {}", ended.said);
        assert!(ended.said.lines().all(|line| line.starts_with("! ")), "{arguments:?}: {}", ended.said);
    }
}

/// Nobody reads what it tells: as a pager does whose reader has gone for a coffee.
#[test]
fn whoever_has_stopped_reading_stops_no_client() {
    let home = tempfile::tempdir().expect("a folder");
    let many = home.path().join("share/many");
    fs::create_dir_all(&many).expect("a folder");
    for number in 0..1500 {
        fs::write(many.join(format!("a-file-with-a-rather-long-name-{number}")), b"1").expect("written");
    }
    let mut serve = command(&home, ["--json", "serve", "share", "--guest", "read", "--listen", "127.0.0.1:0"]);
    let mut serve = serve.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = std::io::BufReader::new(serve.stdout.take().expect("piped"));
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut out, &mut ready).expect("it says that it is ready");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let url = format!("feige://{}/many", ready["addr"].as_str().expect("an address"));
    let mut get = Program::start(&home, ["--json", "get", "-r", &url, "-o", "back"]);
    let came = get.sees(LATE, |event| event["event"] == "summary");
    let listed = came && run(&home, SOON, ["ls", &url]).code == Some(0);
    serve.kill().expect("it runs");
    serve.wait().expect("it ends");
    assert!(listed, "{came}, {get}");
    assert_eq!(fs::read_dir(home.path().join("back")).expect("a folder").count(), 1500);
}
