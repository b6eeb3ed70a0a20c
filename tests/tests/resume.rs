//! What is sent again when a transfer breaks off: counted on the road between the real programs.
#![cfg(target_os = "linux")]

use std::fs;

use feige_tests::program::{Ended, LATE, Program, run};
use feige_tests::road::{Lane, Road};
use feige_tests::served::Served;
use feige_tests::transfer::octets;
use tempfile::TempDir;

const SIZE: usize = 3_000_000;

/// A block of these programs.
const BLOCK: u64 = 32 << 10;

/// What a connection says besides octets: greetings, requests, answers.
const WORDS: u64 = 1 << 10;

/// What a file takes on the road: for each block a digest, for each run a header.
const WHOLE: u64 = (SIZE + SIZE / 1024) as u64;

struct Scene {
    served: Served,
    road: Road,
    home: TempDir,
    content: Vec<u8>,
    put: bool,
}

impl Scene {
    fn new(put: bool, seed: u64) -> Self {
        let served = Served::start(&["--guest", "write"]);
        let road = Road::to(&served.addr.to_string());
        let home = tempfile::tempdir().expect("a folder");
        let content = octets(SIZE, seed);
        fs::write(if put { home.path().join("file") } else { served.path("file") }, &content).expect("written");
        Self { served, road, home, content, put }
    }

    /// Where the octets of the file pass.
    fn lane(&self) -> &Lane {
        if self.put { &self.road.up } else { &self.road.down }
    }

    fn words(&self) -> Vec<String> {
        let url = format!("feige://{}/{}", self.road.at, if self.put { "" } else { "file" });
        let words = if self.put { ["--json", "put", "file", &url] } else { ["--json", "get", &url, "-q"] };
        words.map(str::to_owned).to_vec()
    }

    /// The transfer comes to its end now, and no more than `twice` octets of it have come twice.
    #[track_caller]
    fn ends(&self, twice: u64, what: &str) -> Ended {
        let ended = run(&self.home, LATE, self.words().iter().map(String::as_str));
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.said);
        self.is_whole(twice, what);
        ended
    }

    #[track_caller]
    fn is_whole(&self, twice: u64, what: &str) {
        for file in [self.home.path().join("file"), self.served.path("file")] {
            assert!(fs::read(file).expect("there") == self.content, "{what}");
        }
        let passed = self.lane().passed();
        assert!(passed <= WHOLE + twice, "{what}: {} octets came twice", passed - WHOLE);
    }
}

/// The client goes on by itself, and counts what came to something, not what went into the connections.
///
/// proves: R-VT-35, R-VT-52, R-VT-61
#[test]
fn after_a_break_anywhere_one_block_is_sent_again_at_most() {
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..8 {
        for put in [false, true] {
            let scene = Scene::new(put, round);
            let at = random.u64(WORDS..WHOLE);
            scene.lane().breaks_after(at);
            let ended = scene.ends(BLOCK + 2 * WORDS, &format!("put: {put}, broken after {at}"));
            let moved = ended.events.last().and_then(|summary| summary["octets"].as_u64());
            assert_eq!(moved, Some(SIZE as u64), "put: {put}, broken after {at}: {}", ended.said);
        }
    }
}

/// On a link that is so slow that it matters, every block is kept as soon as it is whole.
///
/// proves: R-VT-35
#[test]
fn who_is_killed_on_a_slow_link_is_sent_one_block_again_at_most() {
    for put in [false, true] {
        let mut scene = Scene::new(put, 100);
        let mut twice = 0;
        for (round, come) in [100_000, 50_000, 200_000].into_iter().enumerate() {
            scene.lane().slow(60_000);
            let words = scene.words();
            let mut client = Program::start(&scene.home, words.iter().map(String::as_str));
            scene.lane().wait(scene.lane().passed() + come);
            // Who receives is killed: with what it had not written.
            if put {
                scene.served.restart();
            } else {
                client.kill();
            }
            drop(client);
            assert!(!scene.served.path("file").exists() || !scene.home.path().join("file").exists(), "round {round}");
            // What was on its way, and a block that waited for half a second.
            twice += BLOCK + (60_000 / 2) + 2 * WORDS;
        }
        scene.lane().open();
        scene.ends(twice, &format!("put: {put}"));
    }
}

/// A server that is ended keeps what has come whole, as it does when a connection breaks: also of connections that wait for
/// their peers at that moment, and of those that are worked at.
///
/// proves: R-VT-35
#[test]
fn a_server_that_is_ended_is_sent_one_block_again_at_most() {
    let mut scene = Scene::new(true, 200);
    let mut twice = 0;
    for (speed, come) in [(400_000, 300_000), (400_000, 270_000), (2_000_000, 500_000), (400_000, 310_000)] {
        scene.lane().slow(speed);
        let words = scene.words();
        let client = Program::start(&scene.home, words.iter().map(String::as_str));
        scene.lane().wait(scene.lane().passed() + come);
        scene.served.program.terminate();
        drop(client);
        scene.served.restart();
        assert!(!scene.served.path("file").exists());
        // What was on its way, and the block that had not come whole.
        twice += BLOCK + (8 << 10) + 2 * WORDS;
    }
    scene.lane().open();
    scene.ends(twice, "ended");
}
