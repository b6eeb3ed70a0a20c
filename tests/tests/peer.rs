//! `feige peer`, `find` and `fetch` of the real program: a chain of five peers without a server.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::PathBuf;

use feige_core::digest::Digest;
use feige_tests::program::{Program, SOON, run};
use feige_tests::transfer::octets;
use tempfile::TempDir;

/// A running peer, with a folder of its own.
struct Peer {
    home: TempDir,
    addr: String,
    _program: Program,
}

impl Peer {
    /// Starts one, and waits until it is linked with its neighbour.
    fn start(neighbour: Option<&str>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut arguments = vec!["--json", "-v", "peer", "--listen", "127.0.0.1:0", "--share", "share"];
        arguments.extend(neighbour.iter().flat_map(|at| ["--neighbour", *at]));
        let mut program = Program::start(&home, arguments);
        let addr = program.event("ready")["addr"].as_str().expect("an address").to_owned();
        if let Some(at) = neighbour {
            program.event_where("linked", SOON, |event| event["peer"] == at);
        }
        Self { home, addr, _program: program }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join("share").join(path)
    }
}

/// Five peers, each the neighbour of the next: the first is farthest from the last.
fn chain() -> Vec<Peer> {
    let mut peers = vec![Peer::start(None)];
    for _ in 1..5 {
        let at = peers.last().expect("one at least").addr.clone();
        peers.push(Peer::start(Some(&at)));
    }
    peers
}

#[test]
fn what_is_four_links_behind_the_first_peer_is_found_and_fetched() {
    let peers = chain();
    let (holder, asked) = (&peers[0], &peers[4]);
    let content = octets(300_000, 7);
    fs::write(holder.path("report-7.bin"), &content).expect("written");
    fs::create_dir_all(holder.path("photos/inner")).expect("made");
    fs::write(holder.path("photos/inner/one"), b"1").expect("written");

    let home = tempfile::tempdir().expect("a folder");
    let md5 = Digest::of(&content).to_string();
    for pattern in ["report", &format!("md5:{md5}")] {
        let found = run(&home, SOON, ["--json", "find", pattern, "--via", &asked.addr]);
        assert_eq!(found.code, Some(0), "{}", found.said);
        let hit = found.events.iter().find(|event| event["event"] == "hit").expect("a hit");
        assert_eq!(hit["name"], "report-7.bin");
        assert_eq!(hit["size"], 300_000);
        assert_eq!(hit["kind"], "file");
        assert_eq!(hit["peer"], holder.addr.as_str());
        assert_eq!(hit["speech"], "native");
    }
    for name in ["report-7.bin", "photos"] {
        let fetched = run(&home, SOON, ["--json", "fetch", name, "--via", &asked.addr]);
        assert_eq!(fetched.code, Some(0), "{}", fetched.said);
    }
    assert!(fs::read(home.path().join("report-7.bin")).expect("there") == content);
    assert_eq!(fs::read(home.path().join("photos/inner/one")).expect("there"), b"1");

    for command in ["find", "fetch"] {
        let missed = run(&home, SOON, ["--json", command, "nobody-has-this", "--via", &asked.addr]);
        assert_eq!(missed.code, Some(3), "{}", missed.said);
    }
    assert!(!home.path().join("nobody-has-this").exists());
}

#[test]
fn what_cannot_be_is_said_with_the_right_exit_code() {
    let peer = Peer::start(None);
    let home = tempfile::tempdir().expect("a folder");
    let taken = run(&home, SOON, ["peer", "--listen", &peer.addr, "--share", "share"]);
    assert_eq!(taken.code, Some(1), "{}", taken.said);
    let bad = run(&home, SOON, ["peer", "--neighbour", "nowhere"]);
    assert_eq!(bad.code, Some(2), "{}", bad.said);
    // Nothing listens at port 1.
    let nobody = run(&home, SOON, ["find", "x", "--via", "127.0.0.1:1"]);
    assert_eq!(nobody.code, Some(3), "{}", nobody.said);
}
