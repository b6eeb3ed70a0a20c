//! What commands say when nobody takes what they say: a reader that has enough is no failure, a disk that is full is one.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use feige_tests::program::{LATE, Program, command};
use feige_tests::served::Served;

/// How a command ends whose standard output is this, and what it says on standard error.
#[track_caller]
fn ends(served: &Served, out: Stdio, arguments: &[&str]) -> (Option<i32>, String) {
    let mut child =
        command(&served.home, arguments).stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).spawn().expect("runs");
    let end = Instant::now() + LATE;
    while child.try_wait().expect("our child").is_none() {
        assert!(Instant::now() < end, "{arguments:?} does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = child.wait_with_output().expect("read");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn what_cannot_be_written_is_a_failure_unless_its_reader_has_enough() {
    let served = Served::with_users(&["al"], &["--guest", "read"]);
    fs::create_dir_all(served.path("guest")).expect("room");
    for (name, len) in [("small", 10), ("large", 3_000_000)] {
        fs::write(served.path("guest").join(name), vec![b'x'; len]).expect("room");
    }
    let url = |path: &str| format!("feige://{}/{path}", served.addr);
    let (root, small, large) = (url(""), url("small"), url("large"));
    let peer = ["--json", "peer", "--listen", "127.0.0.1:0", "--share", "share/guest"];
    let mut peer = Program::start(&served.home, peer);
    let via = peer.event("ready")["addr"].as_str().expect("an address").to_owned();
    let users = ["user", "list", "--users", "users.toml"];
    let commands: [&[&str]; 16] = [
        &["--help"],
        &["--version"],
        &["get", "--help"],
        &["completions", "bash"],
        &["decode", "313a3130303a616c6963653a50432d413a3238383a6c756e63683f00"],
        &["--json", "decode", "313a3130303a616c6963653a50432d413a3238383a6c756e63683f00"],
        &users,
        &["ls", &root],
        &["--json", "ls", "-r", &root],
        &["cat", &small],
        &["cat", &large],
        &["sum", &small],
        &["--json", "get", &small, "-o", "back"],
        &["find", "small", "--via", &via],
        &["--json", "find", "small", "--via", &via],
        // Ends as soon as it cannot say that it is ready.
        &["--json", "listen", "--bind", "127.0.0.1", "--port", "0"],
    ];
    for arguments in commands {
        let full = File::options().write(true).open("/dev/full").expect("there");
        let (code, said) = ends(&served, full.into(), arguments);
        assert_eq!(code, Some(6), "{arguments:?}: {said}");
        assert_eq!(said.matches("cannot write to standard output").count(), 1, "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, said) = ends(&served, writer.into(), arguments);
        assert_eq!((code, &*said), (Some(0), ""), "{arguments:?}");
    }
}
