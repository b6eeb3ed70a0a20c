//! `feige get`, `put` and the other commands at a server, against `feige serve`, as somebody would use them.
#![cfg(target_os = "linux")]

mod shell;
mod site;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use feige_tests::program::{Program, SOON, command};
use tempfile::TempDir;

use site::{Ran, Site, contents, plant, serve, size_of_parts, tree, wait_for_parts, write};

#[test]
fn a_file_goes_there_and_back() {
    let site = Site::open();
    let octets = contents(2_000_001);
    write(&site.here("one.bin"), &octets);
    let put = site.run(["--json", "put", "one.bin", &site.url("")]);
    let events = put.ends(0).events();
    assert_eq!(events[0]["event"], "stored", "{events:?}");
    assert_eq!((&events[0]["name"], &events[0]["size"]), (&"one.bin".into(), &2_000_001.into()));
    let summary = events.last().expect("a summary");
    assert_eq!((&summary["event"], &summary["files"], &summary["failed"]), (&"summary".into(), &1.into(), &0.into()));
    assert_eq!(fs::read(site.there("one.bin")).ok(), Some(octets.clone()));
    let time = |path: PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    assert_eq!(time(site.there("one.bin")), time(site.here("one.bin")));

    site.run(["put", "one.bin", &site.url("two.bin")]).ends(0);
    let get = site.run(["--json", "get", &site.url("two.bin"), "-o", "back"]);
    let events = get.ends(0).events();
    assert_eq!(events[0]["event"], "downloaded", "{events:?}");
    assert_eq!(events[0]["digest"].as_str().map(str::len), Some(32));
    assert_eq!(fs::read(site.here("back")).ok(), Some(octets.clone()));
    assert_eq!(time(site.here("back")), time(site.here("one.bin")));

    // The same again is nothing to do; a changed one is replaced; unless that is not wanted.
    assert_eq!(site.run(["--json", "get", &site.url("two.bin"), "-o", "back"]).ends(0).events()[0]["event"], "skipped");
    assert_eq!(site.run(["--json", "put", "one.bin", &site.url("")]).ends(0).events()[0]["event"], "skipped");
    write(&site.here("back"), b"changed");
    site.run(["get", "--no-clobber", &site.url("two.bin"), "-o", "back"]).ends(1).says("here already");
    assert_eq!(fs::read(site.here("back")).ok().as_deref(), Some(&b"changed"[..]));
    site.run(["get", &site.url("two.bin"), "-o", "back"]).ends(0);
    assert_eq!(fs::read(site.here("back")).ok(), Some(octets));
    site.run(["put", "--no-clobber", "back", &site.url("two.bin")]).ends(1).says("two.bin");
}

#[test]
fn folders_go_there_and_back() {
    let site = Site::open();
    plant(&site.here("tree"));
    let planted = tree(&site.here("tree"));
    site.run(["put", "-r", "tree", &site.url("")]).ends(0);
    assert_eq!(tree(&site.there("tree")), planted);
    // Under another name, and a second time into a folder that is there.
    site.run(["put", "-r", "tree", &site.url("copy")]).ends(0);
    assert_eq!(tree(&site.there("copy")), planted);

    site.run(["get", "-r", &site.url("tree"), "-o", "back"]).ends(0);
    assert_eq!(tree(&site.here("back")), planted);
    fs::create_dir(site.here("into")).expect("room");
    site.run(["get", "-r", &site.url("tree"), &site.url("copy"), "-o", "into"]).ends(0);
    assert_eq!(tree(&site.here("into/tree")), planted);
    assert_eq!(tree(&site.here("into/copy")), planted);
    // The home itself.
    site.run(["get", "-r", &site.url(""), "-o", "into"]).ends(0);
    site.run(["get", "-r", &site.url(""), "-o", "all"]).ends(0);
    assert_eq!(tree(&site.here("all/tree")), planted);

    // Only what differs moves the second time.
    write(&site.here("tree/1.bin"), b"changed");
    let events = site.run(["--json", "put", "-r", "tree", &site.url("")]).ends(0).events();
    let stored: Vec<_> = events.iter().filter(|event| event["event"] == "stored").map(|event| &event["name"]).collect();
    assert_eq!(stored, ["tree/1.bin"]);
    let events = site.run(["--json", "get", "-r", &site.url("tree"), "-o", "into"]).ends(0).events();
    let got: Vec<_> =
        events.iter().filter(|event| event["event"] == "downloaded").map(|event| &event["name"]).collect();
    assert_eq!(got, ["tree/1.bin"]);
    assert_eq!(fs::read(site.here("into/tree/1.bin")).ok().as_deref(), Some(&b"changed"[..]));
}

#[test]
fn what_is_no_file_is_passed_over_and_told() {
    let site = Site::open();
    let folder = site.here("odd");
    write(&folder.join("file"), b"file");
    write(&folder.join("sub/x"), b"x");
    symlink("file", folder.join("link")).expect("a link");
    symlink("/etc/passwd", folder.join("out")).expect("a link");
    symlink("sub", folder.join("dirlink")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    let put = site.run(["put", "-r", "odd", &site.url("")]);
    put.ends(0).says("odd/out: it is a link that leads nowhere, or out");
    put.says("odd/dirlink: it is a link to a folder");
    put.says("odd/pipe: it is a pipe");
    let names: Vec<_> = tree(&site.there("odd")).into_keys().collect();
    assert_eq!(names, [Path::new("file"), Path::new("link"), Path::new("sub/x")]);
    // A name that cannot be said is an error in the end, and the rest is there.
    fs::write(folder.join(OsString::from_vec(b"bad\xff".to_vec())), b"bad").expect("room");
    write(&folder.join("late"), b"late");
    site.run(["put", "-r", "odd", &site.url("")]).ends(1).says("not UTF-8");
    assert!(site.there("odd/late").exists());
}

#[test]
fn exit_codes_and_messages_tell_what_is_wrong() {
    let site = Site::open();
    write(&site.here("file"), b"file");
    fs::create_dir(site.there("folder")).expect("room");
    let url = |path: &str| site.url(path);
    site.run(["get", &url("none")]).ends(1).says("none: cannot read /none: there is no such file");
    site.run(["get", &url("folder")]).ends(1).says("use -r");
    site.run(["get", &url("")]).ends(1).says("use -r");
    site.run(["put", "folder-less", &url("")]).ends(1).says("folder-less: cannot read it");
    site.run(["put", "file", &url("no/such/folder/file")]).ends(1).says("no such folder");
    site.run(["put", "file", "file", &url("file")]).ends(1).says("no folder on the server");
    site.run(["put", "srv", &url("")]).ends(1).says("use -r");
    site.run(["put", "/dev/null", &url("x")]).ends(1).says("/dev/null: it is neither a file nor a folder");
    site.run(["ls", &url("none")]).ends(1).says("none");
    site.run(["rm", &url("folder")]).ends(1).says("folder");
    site.run(["rmdir", &url("none")]).ends(1).says("none");
    site.run(["mkdir", &url("folder")]).ends(1).says("folder");
    site.run(["get", "http://host/x"]).ends(2);
    site.run(["get", "feige://host/../x"]).ends(2);
    site.run(["get", "--md5=12", &url("x")]).ends(2);
    site.run(["--json", "cat", &url("x")]).ends(2);
    site.run(["get", "feige://127.0.0.1:1/x"]).ends(3).says("cannot connect to 127.0.0.1:1");
    let events = site.run(["--json", "get", "feige://127.0.0.1:1/x"]).ends(3).events();
    assert_eq!((&events[0]["event"], &events[1]["failed"]), (&"failed".into(), &1.into()), "{events:?}");
    // One that is missing does not keep the others from coming.
    site.run(["put", "file", &url("")]).ends(0);
    fs::create_dir(site.here("to")).expect("room");
    let get = site.run(["--json", "get", &url("none"), &url("file"), "-o", "to"]);
    let events = get.ends(1).events();
    assert!(site.here("to/file").exists());
    let summary = events.last().expect("a summary");
    assert_eq!((&summary["files"], &summary["failed"]), (&1.into(), &1.into()), "{events:?}");
}

#[test]
fn accounts_quotas_and_guests_are_respected() {
    let home = TempDir::new().expect("a folder");
    fs::create_dir(home.path().join("srv")).expect("a folder");
    write(&home.path().join("secret"), b"geheim\n");
    let add = ["user", "add", "alice", "--users", "users", "--quota", "100000", "--password-file", "secret"];
    assert!(command(&home, add).output().expect("runs").status.success());
    let (server, addr) = serve(&home, "127.0.0.1:0", &["--users", "users", "--guest", "read"]);
    let site = Site { home, server, addr };
    let alice = format!("feige://alice@{}/", site.addr);
    write(&site.here("small"), &contents(60_000));
    write(&site.here("large"), &contents(60_001));
    write(&site.here("wrong"), b"falsch\n");

    site.run(["put", "small", &alice, "--password-file", "secret"]).ends(0);
    assert!(site.there("alice/small").exists());
    site.run(["put", "large", &alice, "--password-file", "secret"]).ends(6).says("quota");
    assert!(!site.there("alice/large").exists());
    let df = site.run(["--json", "df", &alice, "--password-file", "secret"]);
    assert_eq!((&df.ends(0).events()[0]["used"], &df.events()[0]["quota"]), (&60_000.into(), &100_000.into()));
    let by_variable = site.command(["ls", &alice]).env("FEIGE_PASSWORD", "geheim").output().expect("runs");
    assert_eq!(Ran::of(&by_variable).ends(0).out, "small\n");
    site.run(["ls", &alice]).ends(2).says("password");
    site.run(["put", "large", &site.url("")]).ends(4);
    site.run(["ls", &alice, "--password-file", "wrong"]).ends(4);
    site.run(["ls", &format!("feige://bob@{}/", site.addr), "--password-file", "secret"]).ends(4);
}

#[test]
fn whole_files_are_hashed_and_checked() {
    let site = Site::open();
    let octets = contents(700_000);
    write(&site.there("file"), &octets);
    let md5 = feige_core::digest::Digest::of(&octets).to_string();
    assert_eq!(site.run(["sum", &site.url("file")]).ends(0).out, format!("{md5}  file\n"));
    let get = site.run(["--json", "get", "--md5", &site.url("file")]);
    assert_eq!(get.ends(0).events()[0]["md5"], md5.as_str());
    site.run(["get", &format!("--md5={md5}"), &site.url("file"), "-o", "good"]).ends(0);
    let wrong = "--md5=00000000000000000000000000000000";
    site.run(["get", wrong, &site.url("file"), "-o", "bad"]).ends(5).says("its MD5 is");
    assert!(!site.here("bad").exists());
    assert_eq!(size_of_parts(site.home.path()), 0, "nothing is kept of what is wrong");
    let put = site.run(["--json", "put", "--md5", "file", &site.url("up")]);
    assert_eq!(put.ends(0).events()[0]["md5"], md5.as_str());
    site.run(["put", wrong, "file", &site.url("bad")]).ends(5).says("its MD5 is");
    write(&site.here("tiny"), b"tiny");
    site.run(["put", wrong, "tiny", &site.url("bad")]).ends(5).says("its MD5 is");
    assert!(!site.there("bad").exists());
}

#[test]
fn files_are_shown_listed_and_moved() {
    let site = Site::open();
    let octets = contents(1_500_000);
    write(&site.there("a/file"), &octets);
    write(&site.there("b"), b"b\n");
    let cat = site.command(["cat", &site.url("a/file"), &site.url("b")]).output().expect("runs");
    assert!(cat.status.success());
    assert!(cat.stdout == [&octets[..], b"b\n"].concat());
    // Who reads no more is no error.
    let shell = format!("\"$0\" cat {} | head -c 10 | wc -c", site.url("a/file"));
    let piped = Command::new("sh").args(["-c", &shell]).arg(feige_tests::program::feige()).output().expect("runs");
    assert_eq!((String::from_utf8_lossy(&piped.stdout).trim(), piped.stderr.len()), ("10", 0));

    assert_eq!(site.run(["ls", &site.url("")]).ends(0).out, "a/\nb\n");
    assert_eq!(site.run(["ls", "-r", &site.url("")]).ends(0).out, "a/\nb\na/file\n");
    assert_eq!(site.run(["ls", &site.url("a/file")]).ends(0).out, "file\n");
    let long = site.run(["ls", "-l", &site.url("")]);
    let lines: Vec<&str> = long.ends(0).out.lines().collect();
    assert!(lines[0].starts_with("drwx") && lines[0].ends_with(" a/"), "{long:?}");
    assert!(lines[1].starts_with("-rw-") && lines[1].contains(" 2 20"), "{long:?}");
    let events = site.run(["--json", "ls", &site.url("")]).ends(0).events();
    assert_eq!((&events[0]["kind"], &events[1]["size"]), (&"dir".into(), &2.into()));

    for (path, code) in [("", 0), ("a", 0), ("a/file", 0), ("none", 1)] {
        let df = site.run(["df", &site.url(path)]);
        assert_eq!(df.ends(code).out.contains("used"), code == 0, "{df:#?}");
    }

    site.run(["mkdir", "-p", &site.url("x/y/z")]).ends(0);
    site.run(["mv", &site.url("b"), "c"]).ends(0);
    site.run(["mv", &site.url("c"), &site.url("x/y/")]).ends(0);
    assert_eq!(fs::read(site.there("x/y/c")).ok().as_deref(), Some(&b"b\n"[..]));
    site.run(["mv", &site.url("x/y/c"), "/a/file"]).ends(1).says("x/y/c");
    site.run(["mv", "--force", &site.url("x/y/c"), "/a/file"]).ends(0);
    assert_eq!(fs::read(site.there("a/file")).ok().as_deref(), Some(&b"b\n"[..]));
    site.run(["rm", &site.url("a/file")]).ends(0);
    site.run(["rmdir", &site.url("a"), &site.url("x/y/z"), &site.url("x/y"), &site.url("x")]).ends(0);
    assert_eq!(tree(&site.there("")), BTreeMap::from([(PathBuf::new(), None)]));
}

/// What broke off goes on where it was: by itself when the server was killed, with the next command when the client was.
#[test]
fn transfers_go_on_after_either_side_was_killed() {
    const SIZE: usize = 96 << 20;
    let mut site = Site::open();
    let octets = contents(SIZE);
    write(&site.here("big"), &octets);
    let (up, down) = (site.there("up"), site.here("down"));

    // An upload; first the client is killed, then the server, twice, under the next attempt.
    let url = site.url("up");
    let mut client = Program::spawn(site.command(["--json", "put", "big", &url]));
    wait_for_parts(&site.there(""), 5 << 20, &up);
    client.kill();
    let mut client = Program::spawn(site.command(["--json", "put", "big", &url]));
    for octets in [20 << 20, 50 << 20] {
        wait_for_parts(&site.there(""), octets, &up);
        site.restart();
    }
    let stored = client.event_where("stored", SOON * 2, |_| true);
    assert_eq!(stored["size"], SIZE);
    assert_eq!(client.end(SOON).code, Some(0));
    assert!(fs::read(&up).expect("there") == octets);

    // The same for a download.
    let mut client = Program::spawn(site.command(["--json", "get", &url, "-o", "down"]));
    wait_for_parts(site.home.path(), 5 << 20, &down);
    client.kill();
    let kept = size_of_parts(site.home.path());
    let mut client = Program::spawn(site.command(["--json", "get", &url, "-o", "down"]));
    for octets in [kept + (15 << 20), kept + (40 << 20)] {
        wait_for_parts(site.home.path(), octets, &down);
        site.restart();
    }
    let downloaded = client.event_where("downloaded", SOON * 2, |_| true);
    assert_eq!(downloaded["size"], SIZE);
    let ended = client.end(SOON);
    assert_eq!(ended.code, Some(0));
    let summary = ended.events.last().expect("a summary");
    // Far less than all came again.
    let came = summary["octets"].as_u64().expect("a number");
    assert!(kept == 0 || came < SIZE as u64 + (8 << 20), "{came} octets came, {kept} were there");
    assert!(fs::read(&down).expect("there") == octets);
}

#[test]
fn a_folder_goes_on_after_the_server_was_killed() {
    let mut site = Site::open();
    plant(&site.here("tree"));
    for number in 0..2000 {
        write(&site.here("tree/more").join(format!("{number}")), &contents(3000 + number));
    }
    let planted = tree(&site.here("tree"));
    let url = site.url("tree");
    let client = Program::spawn(site.command(["put", "-r", "tree", &url]));
    for pause in [30, 60, 90] {
        std::thread::sleep(Duration::from_millis(pause));
        site.restart();
    }
    let ended = client.end(SOON * 2);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(tree(&site.there("tree")) == planted);
    let client = Program::spawn(site.command(["get", "-r", &url, "-o", "back"]));
    for pause in [30, 60, 90] {
        std::thread::sleep(Duration::from_millis(pause));
        site.restart();
    }
    let ended = client.end(SOON * 2);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(tree(&site.here("back")) == planted);
}

#[test]
fn ctrl_c_keeps_what_came() {
    let mut site = Site::open();
    let octets = contents(192 << 20);
    write(&site.there("big"), &octets);
    let url = site.url("big");
    let client = Program::spawn(site.command(["--json", "get", &url]));
    wait_for_parts(site.home.path(), 10 << 20, &site.here("big"));
    client.interrupt();
    let ended = client.end(SOON);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    assert!(ended.said.contains("goes on from there"), "{}", ended.said);
    assert!(!site.here("big").exists() && size_of_parts(site.home.path()) > 0);
    let again = site.run(["-v", "--json", "get", &url]);
    again.ends(0).says("goes on at octet");
    assert!(fs::read(site.here("big")).expect("there") == octets);
    // Nobody there any more: not for ever.
    fs::remove_file(site.here("big")).expect("there");
    let client = Program::spawn(site.command(["get", "--retry", "1s", &url]));
    wait_for_parts(site.home.path(), 1 << 20, &site.here("big"));
    site.server.kill();
    let ended = client.end(SOON);
    assert!(matches!(ended.code, Some(3 | 5)), "{}", ended.said);
}

/// A Feige server speaks the classic dialects too, so both ends are tried with each other here; `classic.rs` tries the
/// programs of courses.
#[test]
fn classic_dialects_are_spoken_on_request() {
    let site = Site::open();
    write(&site.here("note.txt"), b"note\n");
    write(&site.here("图.png"), &contents(100_000));
    let url = |path: &str| site.url(path);
    for (dialect, name) in [("upload", "one.txt"), ("put", "two.txt"), ("salted", "three.txt")] {
        let put = site.run(["--json", "put", "--dialect", dialect, "note.txt", &url(name)]);
        let events = put.ends(0).events();
        assert_eq!((&events[0]["event"], &events[0]["size"]), (&"stored".into(), &5.into()), "{dialect}: {events:?}");
        assert_eq!((&events[1]["files"], &events[1]["octets"]), (&1.into(), &5.into()), "{dialect}: {events:?}");
        let end = Instant::now() + SOON;
        while !site.there(name).exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(fs::read(site.there(name)).ok().as_deref(), Some(&b"note\n"[..]), "{dialect}");
    }
    site.run(["put", "--dialect", "salted", "图.png", &url("")]).ends(0);
    assert_eq!(site.run(["ls", "--dialect", "salted", &url("img")]).ends(0).out, "图.png\n");
    fs::create_dir(site.here("to")).expect("room");
    site.run(["get", "--dialect", "salted", &url("img/图.png"), &url("one.txt"), "-o", "to"]).ends(0);
    assert_eq!(fs::read(site.here("to/图.png")).ok(), Some(contents(100_000)));
    let listed = site.run(["get", "--dialect", "command", &url("ls")]);
    assert!(listed.ends(0).out.contains("three.txt"), "{listed:?}");
    site.run(["get", "--dialect", "command", &url("ls"), "-o", "listed"]).ends(0);
    assert_eq!(fs::read_to_string(site.here("listed")).ok().as_ref(), Some(&listed.out));
    site.run(["get", "--dialect", "put", &url("x")]).ends(2);
    site.run(["put", "-r", "--dialect", "put", "to", &url("")]).ends(2).says("knows no -r");
    site.run(["ls", "--dialect", "salted", "feige://al@127.0.0.1:1/"]).ends(2);
    site.run(["put", "--dialect", "upload", "note.txt", "feige://127.0.0.1:1/"]).ends(3);
}

#[test]
fn classic_dialects_put_files_where_the_native_one_does() {
    let site = Site::open();
    write(&site.there("note.txt"), b"new\n");
    write(&site.there("large.bin"), &contents(3_000_001));
    let salted = |name: &str, to: &str| site.run(["--json", "get", "--dialect", "salted", &site.url(name), "-o", to]);
    let summary = |ran: Ran| ran.ends(0).events().pop().expect("a summary");
    assert_eq!(summary(salted("large.bin", "renamed"))["octets"], 3_000_001);
    assert_eq!(fs::read(site.here("renamed")).ok(), Some(contents(3_000_001)));
    // What is here is replaced, under either kind of name.
    for to in ["note.txt", "."] {
        write(&site.here("note.txt"), b"old and longer\n");
        salted("note.txt", to).ends(0);
        assert_eq!(fs::read(site.here("note.txt")).ok().as_deref(), Some(&b"new\n"[..]));
    }
    assert!(!site.here("note (1).txt").exists());
    // Nothing is made that nobody asked for.
    for to in ["none/", "none/note.txt"] {
        salted("note.txt", to).ends(1).says("is no folder here; make it first");
    }
    fs::create_dir(site.here("into")).expect("room");
    salted("note.txt", "into/").ends(0);
    site.run(["get", "--dialect", "command", &site.url("df"), &site.url("ls"), "-o", "into/"]).ends(0);
    assert!(fs::read_to_string(site.here("into/ls")).is_ok_and(|list| list.contains("large.bin\n")));
    let here: Vec<_> = tree(&site.here("into")).into_keys().collect();
    assert_eq!(here, ["df", "ls", "note.txt"].map(PathBuf::from));
    // What is not there fails as it does natively.
    for words in
        [["get", "none.txt"], ["get", "nofolder/note.txt"], ["get", "img/a/b"], ["get", ""], ["ls", "nofolder"]]
    {
        let failed = site.run([words[0], "--dialect", "salted", &site.url(words[1])]);
        assert!(failed.ends(1).out.is_empty() && !failed.err.contains("feige: :"), "{failed:#?}");
    }
    let user = format!("feige://al@{}/", site.addr);
    site.run(["ls", "--dialect", "salted", &user]).ends(2).says("feige: the classic dialects know no users");
}
