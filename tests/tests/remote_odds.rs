//! `feige get`, `put` and the others where something is odd: names, roads, servers, and what is here already.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use feige_tests::program::{Ended, LATE, Program, SOON, command, run};
use feige_tests::road::Road;
use feige_tests::served::{Served, snapshot};
use feige_tests::transfer::octets;

fn serving() -> Served {
    Served::start(&["--guest", "write"])
}

fn url(at: impl std::fmt::Display, path: &str) -> String {
    format!("feige://{at}/{path}")
}

/// Runs `feige` in the home of the server.
fn feige(served: &Served, words: &[&str]) -> Ended {
    run(&served.home, LATE, words)
}

#[track_caller]
fn ends(ended: &Ended, code: i32, text: &str) {
    assert!(
        ended.code == Some(code) && ended.said.contains(text),
        "{code}, {text:?}: {}, {:?}",
        ended.said,
        ended.code
    );
}

/// What a command says goes to a terminal as a whole: no part of it commands one, whoever chose the names.
#[test]
fn a_name_on_this_side_commands_no_terminal_either() {
    let served = serving();
    let folder = served.home.path().join("a\x1b[2Jb");
    fs::create_dir(&folder).expect("room");
    fs::write(folder.join("file"), b"x").expect("room");
    std::os::unix::fs::symlink("file", folder.join("link")).expect("room");
    let put = feige(&served, &["-v", "put", "-r", "a\x1b[2Jb", &url(served.addr, "folder")]);
    ends(&put, 0, r"a\u{1b}[2Jb/link is a link");
    let missed = feige(&served, &["put", "a\x1b[2Jb/none", &url(served.addr, "file")]);
    ends(&missed, 1, r"a\u{1b}[2Jb/none");
    for ended in [put, missed] {
        assert!(!ended.said.contains('\x1b'), "{:?}", ended.said);
    }
}

/// proves: R-VT-40
#[test]
fn names_that_cannot_be_used_here_are_told_and_not_left_out_in_silence() {
    let served = serving();
    let odd = served.path("odd");
    fs::create_dir_all(odd.join("in:side")).expect("room");
    let names: [&[u8]; 6] = [b"good", b"log 10:30.txt", b"aux.txt", b"Inc.", b"latin\xe9", b"in:side/x"];
    for name in names {
        fs::write(odd.join(std::ffi::OsStr::from_bytes(name)), b"x").expect("room");
    }
    // Nobody's business is a part.
    fs::write(odd.join(".f.feige-part"), b"x").expect("room");
    let outside = snapshot(served.home.path(), &[&served.home.path().join("odd"), &served.home.path().join("state")]);
    let got = feige(&served, &["--json", "get", "-r", &url(served.addr, "odd")]);
    ends(&got, 1, r"odd/latin\\xe9");
    let failed: Vec<_> = got.events.iter().filter(|event| event["event"] == "failed").collect();
    let mut told: Vec<_> = failed.iter().filter_map(|event| event["name"].as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["odd/Inc.", "odd/aux.txt", "odd/in:side", r"odd/latin\xe9", "odd/log 10:30.txt"]);
    assert_eq!(got.events.last().map(|summary| summary["failed"].clone()), Some(5.into()));
    let came: Vec<_> = fs::read_dir(served.home.path().join("odd")).expect("there").flatten().collect();
    assert_eq!(came.iter().map(fs::DirEntry::file_name).collect::<Vec<_>>(), ["good"]);
    let after = snapshot(served.home.path(), &[&served.home.path().join("odd"), &served.home.path().join("state")]);
    assert_eq!(after, outside, "nothing is written beside the folder");
    let listed = feige(&served, &["ls", &url(served.addr, "odd")]);
    ends(&listed, 0, "log 10:30.txt");
    assert!(!listed.said.contains("feige-part"), "{}", listed.said);
    // Each by itself is refused, before anything is asked.
    for name in ["aux.txt", "log 10:30.txt", "Inc."] {
        let got = feige(&served, &["get", &url(served.addr, &format!("odd/{}", name.replace(' ', "%20")))]);
        assert_eq!(got.code, Some(2), "{name}: {}", got.said);
    }
}

/// What somebody made to be written to stays that: a file in its place would be read by nobody.
#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    let served = serving();
    let here = served.home.path();
    fs::create_dir_all(served.path("tree")).expect("room");
    fs::create_dir_all(here.join("tree")).expect("room");
    fs::create_dir_all(here.join("elsewhere")).expect("room");
    for file in ["pipe", "tree/pipe", "tree/file"] {
        fs::write(served.path(file), octets(70_000, 1)).expect("room");
    }
    let pipe = |path: &Path| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success(), "{}", path.display());
    };
    let is_pipe = |path: &Path| fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    let pipes = ["pipe", "tree/pipe", "elsewhere/pipe"].map(|path| here.join(path));
    pipes.iter().for_each(|path| pipe(path));
    // As /dev/stdout is one, whose own folder is elsewhere.
    std::os::unix::fs::symlink("../elsewhere/pipe", here.join("tree/link")).expect("room");
    let what = url(served.addr, "pipe");
    for output in ["pipe", "./", "tree/link"] {
        ends(&feige(&served, &["get", &what, "-o", output]), 1, "`feige cat`");
    }
    // Standard output may be a file, too; a link to it is not.
    let link = here.join("tree/stdout");
    std::os::unix::fs::symlink("/proc/self/fd/1", &link).expect("room");
    let mut get = command(&served.home, ["get", &what, "-o", "tree/stdout"]);
    let got = get.stdout(fs::File::create(here.join("out")).expect("room")).output().expect("it runs");
    assert!(got.status.code() == Some(1) && fs::read_link(link).is_ok(), "{got:?}");
    let got = feige(&served, &["get", "-r", &url(served.addr, "tree"), "-o", "."]);
    ends(&got, 1, "tree/pipe is a pipe, a socket or a device here");
    assert_eq!(fs::read(here.join("tree/file")).expect("the rest comes"), octets(70_000, 1));
    assert!(pipes.iter().all(|path| is_pipe(path)) && fs::read_link(here.join("tree/link")).is_ok());
    // Nor on the other side.
    fs::remove_file(served.path("pipe")).expect("there");
    pipe(&served.path("pipe"));
    ends(&feige(&served, &["put", "tree/file", &what]), 4, "a pipe, a socket or a device");
    assert!(is_pipe(&served.path("pipe")));
}

#[test]
fn what_does_not_tell_its_size_is_not_stored_as_nothing() {
    let served = serving();
    let put = feige(&served, &["--json", "put", "/proc/self/status", &url(served.addr, "status")]);
    ends(&put, 1, "does not tell its size");
    assert!(!served.path("status").exists());
    fs::write(served.home.path().join("empty"), "").expect("room");
    ends(&feige(&served, &["--json", "put", "empty", &url(served.addr, "empty")]), 0, "stored");
}

#[test]
fn a_file_is_not_touched_until_the_output_of_a_command_is_whole() {
    let served = serving();
    let here = served.home.path();
    fs::write(here.join("p"), "precious\n").expect("room");
    let get = |at: &str| feige(&served, &["get", "--dialect", "command", "-o", "p", &url(at, "ls")]);
    let kept = |ended: Ended, code: i32| {
        ends(&ended, code, "feige: ");
        assert_eq!(fs::read_to_string(here.join("p")).expect("there"), "precious\n", "{}", ended.said);
        let left = fs::read_dir(here)
            .expect("there")
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains("feige-part"));
        assert_eq!(left.count(), 0);
    };
    kept(get("127.0.0.1:1"), 3);
    // An answer that is cut short after some of it, and one that is not what its digest says.
    for (size, exit) in [(100, 5), (9, 5)] {
        let liar = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = liar.local_addr().expect("an address").to_string();
        let told = std::thread::spawn(move || {
            let (mut peer, _) = liar.accept().expect("a client");
            let _ = peer.read(&mut [0; 4096]);
            let header = format!(r#"{{"md5": "d41d8cd98f00b204e9800998ecf8427e", "total_size": {size}}}"#);
            let length = u32::try_from(header.len()).expect("short").to_le_bytes();
            let _ = peer.write_all(&[&length, header.as_bytes(), b"only this"].concat());
        });
        kept(get(&at), exit);
        told.join().expect("a client came");
    }
    fs::write(served.path("there.txt"), "x").expect("room");
    ends(&get(&served.addr.to_string()), 0, "");
    assert_eq!(fs::read_to_string(here.join("p")).expect("there"), "there.txt\n");
}

#[test]
fn patience_ends_if_nothing_ever_gets_across() {
    let served = serving();
    fs::write(served.path("f"), octets(300_000, 1)).expect("room");
    let road = Road::to(&served.addr.to_string());
    road.down.breaks_each_after(20_000);
    for command in ["get", "cat"] {
        let began = Instant::now();
        let ended = feige(&served, &[command, "--retry", "2s", &url(road.at, "f")]);
        ends(&ended, 5, "broke");
        assert!(began.elapsed() < Duration::from_secs(12), "{command}: {:?}", began.elapsed());
    }
    // Blocks that get across count, however often the road breaks: more often than there is patience for.
    road.down.breaks_each_after(60_000);
    ends(&feige(&served, &["get", "--retry", "2s", &url(road.at, "f")]), 0, "");
    assert_eq!(fs::read(served.home.path().join("f")).expect("there"), octets(300_000, 1));
    road.down.breaks_each_after(0);
    fs::rename(served.home.path().join("f"), served.home.path().join("g")).expect("there");
    road.up.breaks_each_after(60_000);
    ends(&feige(&served, &["put", "--retry", "2s", "g", &url(road.at, "")]), 0, "");
    road.up.breaks_each_after(20_000);
    let began = Instant::now();
    ends(&feige(&served, &["put", "--retry", "2s", "g", &url(road.at, "h")]), 5, "broke");
    assert!(began.elapsed() < Duration::from_secs(12), "put: {:?}", began.elapsed());
}

/// What goes wrong here is told of by the path that the user gave, and not as if this were somebody's home on a server.
#[test]
fn what_is_wrong_here_is_told_in_the_words_of_whoever_is_here() {
    let served = serving();
    let here = served.home.path();
    fs::create_dir_all(served.path("tree")).expect("room");
    fs::create_dir_all(here.join("dl/folder")).expect("room");
    for file in ["f", "folder", "tree/file"] {
        fs::write(served.path(file), octets(70_000, 1)).expect("room");
    }
    let get = |path: &str, more: &[&str]| feige(&served, &[&["get", &url(served.addr, path)], more].concat());
    ends(&get("f", &["-o", "none/x"]), 1, "cannot open the folder none here: there is no such file or folder");
    ends(&get("folder", &["-o", "dl"]), 1, "folder: dl/folder is a folder here; use -o with another name");
    fs::write(here.join("dl/f"), "mine").expect("room");
    ends(&get("f", &["-o", "dl", "--no-clobber"]), 1, "f: dl/f is here already (--no-clobber)");
    fs::write(here.join("dl/tree"), "mine").expect("room");
    ends(&get("tree", &["-r", "-o", "dl"]), 1, "tree: dl/tree is here and no folder, but one is needed");
    // Something that even root cannot write to.
    fs::create_dir_all(here.join("dl/locked/.f.feige-part")).expect("room");
    let got = get("f", &["-o", "dl/locked"]);
    ends(&got, 1, "f: cannot write dl/locked/f here: ");
    assert!(!got.said.contains(" /f"), "{}", got.said);
}

#[test]
fn a_folder_does_not_go_where_a_file_is_even_if_it_is_empty() {
    let served = serving();
    fs::create_dir_all(served.home.path().join("outer/empty/in")).expect("room");
    fs::create_dir_all(served.path("outer/empty")).expect("room");
    for name in ["f", "outer/empty/in"] {
        fs::write(served.path(name), "x").expect("room");
    }
    for (from, to, name) in [("outer/empty/in", "f", "f"), ("outer", "", "outer/empty/in")] {
        let ended = feige(&served, &["--json", "put", "-r", from, &url(served.addr, to)]);
        ends(&ended, 1, &format!("feige: {name}: a file of this name is on the server"));
        assert_eq!(ended.events.last().map(|summary| summary["failed"].clone()), Some(1.into()), "{}", ended.said);
        assert_eq!(fs::read_to_string(served.path(name)).expect("there"), "x");
    }
}

#[test]
fn a_file_that_changes_while_it_is_fetched_is_fetched_anew() {
    let served = serving();
    // More than the system takes from the server beforehand.
    let (before, after) = (octets(20_000_000, 1), octets(20_000_000, 2));
    // In its place, and shorter.
    for len in [after.len(), 1000] {
        fs::write(served.path("f"), &before).expect("room");
        let road = Road::to(&served.addr.to_string());
        road.down.slow(500_000);
        let get = Program::start(&served.home, ["get", &url(road.at, "f")]);
        let part = served.home.path().join(".f.feige-part");
        let end = Instant::now() + SOON;
        while fs::metadata(&part).map_or(0, |part| part.len()) < 200_000 {
            assert!(Instant::now() < end, "{get}");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut file = fs::File::options().write(true).open(served.path("f")).expect("there");
        file.set_len(len as u64).and_then(|()| file.write_all(&after[..len])).expect("room");
        road.down.slow(0);
        ends(&get.end(SOON), 0, "");
        let got = fs::read(served.home.path().join("f")).expect("there");
        assert!(got == after[..len], "{} of {len}", got.len());
        fs::remove_file(served.home.path().join("f")).expect("there");
    }
}

#[test]
fn two_sources_of_one_name_are_refused_before_anything_moves() {
    let served = serving();
    let here = served.home.path();
    for folder in ["p1", "p2", "dl"] {
        fs::create_dir(here.join(folder)).expect("room");
        fs::write(here.join(folder).join("a"), folder).expect("room");
        fs::create_dir(served.path(folder)).expect("room");
        fs::write(served.path(folder).join("a"), folder).expect("room");
    }
    let at = served.addr;
    for words in [
        &["put", "p1/a", "p2/a", &url(at, "")] as &[&str],
        &["put", "-r", "p1", "dl/../p1", &url(at, "dl/")],
        &["get", &url(at, "p1/a"), &url(at, "p2/a"), "-o", "dl"],
        &["get", &url(at, "p1/a"), &url("127.0.0.1:1", "p2/a"), "-o", "dl"],
        &["put", "--dialect", "put", "p1/a", "p2/a", &url(at, "")],
        &["get", "--dialect", "command", &url(at, "ls"), &url(at, "ls/img"), "-o", "dl/a"],
    ] {
        let ended = feige(&served, words);
        ends(&ended, 2, "feige: ");
        assert_eq!(fs::read_to_string(here.join("dl/a")).expect("there"), "dl", "{words:?}");
        assert_eq!(served.files(""), ["dl/a", "p1/a", "p2/a"], "{words:?}");
    }
    let mut shell = Program::listening(&served.home, ["shell", &url(at, "")]);
    shell.tell("get p1/a p2/a -o dl");
    ends(&shell.end(SOON), 2, "would both be");
    assert_eq!(fs::read_to_string(here.join("dl/a")).expect("there"), "dl");
    // Two that are not of one name are fine.
    ends(&feige(&served, &["get", "-r", &url(at, "p1"), &url(at, "p2/a"), "-o", "dl"]), 0, "");
}

#[test]
fn what_is_kept_is_said_only_if_something_is() {
    let served = serving();
    fs::write(served.path("f"), octets(3_000_000, 1)).expect("room");
    let road = Road::to(&served.addr.to_string());
    road.down.stop();
    let get = || Program::start(&served.home, ["get", &url(road.at, "f")]);
    let none = get();
    road.up.wait(1);
    none.interrupt();
    let ended = none.end(SOON);
    ends(&ended, 130, "interrupted");
    assert!(!ended.said.contains("is kept"), "{}", ended.said);
    road.down.open();
    road.down.slow(500_000);
    let first = get();
    let part = served.home.path().join(".f.feige-part");
    let end = Instant::now() + SOON;
    while fs::metadata(&part).map_or(0, |part| part.len()) < 200_000 {
        assert!(Instant::now() < end, "{first}");
        std::thread::sleep(Duration::from_millis(10));
    }
    // A second one of the same file meanwhile.
    let second = feige(&served, &["get", &url(served.addr, "f")]);
    ends(&second, 1, "another");
    assert!(!second.said.contains("upload"), "{}", second.said);
    first.interrupt();
    ends(&first.end(SOON), 130, "what came is kept");
}

#[test]
fn an_address_that_failed_too_often_is_refused_and_not_kept_waiting() {
    let served = Served::with_users(&["al"], &[]);
    fs::write(served.home.path().join("wrong"), "wrong").expect("room");
    let get = |password: &str| {
        let url = format!("feige://al@{}/", served.addr);
        feige(&served, &["ls", &url, "--password-file", password])
    };
    let began = Instant::now();
    let said: Vec<String> = (0..8)
        .map(|_| get("wrong"))
        .map(|ended| {
            assert_eq!(ended.code, Some(4), "{}", ended.said);
            ended.said
        })
        .collect();
    assert!(said.iter().any(|said| said.contains("too many failed sign-ins")), "{said:?}");
    assert!(said.iter().all(|said| !said.contains("trying again")), "{said:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_shell_that_tells_events_prints_nothing_else() {
    let served = serving();
    fs::create_dir(served.path("sub")).expect("room");
    let mut shell = Program::listening(&served.home, ["--json", "shell", &url(served.addr, "sub")]);
    for line in ["pwd", "help", "help get", "ls --help", "pwd", "exit"] {
        shell.tell(line);
    }
    let ended = shell.end(SOON);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let names: Vec<_> = ended.events.iter().map(|event| (event["event"].as_str(), event["name"].as_str())).collect();
    assert_eq!(names, [(Some("folder"), Some("sub")); 2], "{}", ended.said);
    assert!(ended.said.contains("!   pwd "), "help is for people: {}", ended.said);
}
