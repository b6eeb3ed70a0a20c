//! `feige fetch` from a real `feige peer` when one of both is killed in the middle: what came need not come again, nothing
//! that is not whole has a name, and the next holder gives what the first one cannot.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_tests::program::{LATE, Program, SOON, run};
use feige_tests::road::Road;
use feige_tests::transfer::octets;
use feige_tests::victim::{Answer, Holder, Victim, neighbour, neighbour_of_folder, tree};

const SIZE: usize = 24 << 20;

/// What may come twice for each attempt: the block that had not come whole, and what is said besides.
const TWICE: u64 = (32 << 10) + (4 << 10);

/// A peer that has `big.bin`.
fn holder(content: &[u8]) -> Victim {
    let victim = Victim::start(&[]);
    fs::write(victim.home.path().join("share/big.bin"), content).expect("written");
    victim
}

/// proves: R-FL-63, R-FL-64
#[test]
fn killed_anywhere_it_goes_on_where_it_was() {
    let content = octets(SIZE, 1);
    let holder = holder(&content);
    let road = Road::to(&holder.at);
    road.down.stop();
    let via = neighbour(vec![road.at], SIZE as u64, Digest::of(&content));
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("into")).expect("made");
    let fetch = ["--json", "fetch", "big.bin", "--via", &via, "-o", "into"];
    let mut random = fastrand::Rng::with_seed(7);
    let mut attempts = 0;
    for most in [1, 1000, 3 << 20, 6 << 20, 6 << 20, 6 << 20] {
        let mut client = Program::start(&home, fetch);
        road.down.lets_pass(random.u64(most / 2..most) + 1);
        // What the system has for it and it has not taken yet is lost in any case.
        let kept = || fs::metadata(home.path().join("into/.big.bin.feige-sums")).map_or(0, |sums| sums.len());
        let mut before = u64::MAX;
        while before != kept() {
            before = kept();
            thread::sleep(Duration::from_millis(800));
        }
        client.kill();
        attempts += 1;
        assert!(!home.path().join("into/big.bin").exists(), "a part has a name after attempt {attempts}");
    }
    road.down.open();
    let ended = run(&home, LATE, fetch);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(fs::read(home.path().join("into/big.bin")).expect("there") == content);
    assert_eq!(tree(home.path()), ["into", "into/big.bin"], "{}", ended.said);
    let passed = road.down.passed();
    // A digest of 16 octets for each block, and the headers of runs.
    let whole = (SIZE + SIZE / 1024) as u64;
    assert!(passed < whole + attempts * TWICE, "{passed} octets passed for {SIZE}");
}

/// proves: R-FL-64
#[test]
fn when_a_holder_is_killed_the_next_one_gives_it() {
    let content = octets(SIZE, 2);
    let (mut first, second) = (holder(&content), holder(&content));
    let road = Road::to(&first.at);
    road.down.stop();
    let via = neighbour(vec![road.at, second.at.parse().expect("an address")], SIZE as u64, Digest::of(&content));
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("into")).expect("made");
    let client = Program::start(&home, ["--json", "fetch", "big.bin", "--via", &via, "-o", "into"]);
    road.down.lets_pass(SIZE as u64 / 2);
    first.program.kill();
    road.down.close();
    let ended = client.end(LATE);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(fs::read(home.path().join("into/big.bin")).expect("there") == content);
    assert_eq!(tree(home.path()), ["into", "into/big.bin"], "{}", ended.said);
    let refused: Vec<_> = ended.events.iter().filter(|event| event["event"] == "refused").collect();
    assert_eq!(refused.len(), 1, "{}", ended.said);
    assert_eq!(refused[0]["from"], road.at.to_string());
}

/// Peers that have the same folder, and roads to them.
fn holders_of_a_folder<const N: usize>() -> ([Victim; N], [Road; N]) {
    let holders = std::array::from_fn(|_| {
        let victim = Victim::start(&[]);
        let folder = victim.home.path().join("share/docs");
        fs::create_dir(&folder).expect("made");
        for number in 0..60 {
            fs::write(folder.join(number.to_string()), octets(50_000, number)).expect("written");
        }
        victim
    });
    let roads = std::array::from_fn(|number: usize| {
        let holder: &Victim = &holders[number];
        Road::to(&holder.at)
    });
    (holders, roads)
}

/// What has no name yet, or is kept beside it.
fn parts(folder: &Path) -> Vec<String> {
    let parts = tree(folder).into_iter().filter(|path| path.contains(".feige-"));
    parts.filter(|path| path.matches('/').count() < 2).collect()
}

/// What the first holder gave of a folder is of no use once another has given all of it; nor is what an earlier fetch left.
///
/// proves: R-FL-64, R-FL-65
#[test]
fn nothing_is_left_of_holders_that_were_given_up() {
    let (_holders, roads) = holders_of_a_folder::<3>();
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("into")).expect("made");
    let fetch = |roads: &[&Road]| {
        let via = neighbour_of_folder(roads.iter().map(|road| road.at).collect());
        Program::start(&home, ["--json", "fetch", "docs", "--via", &via, "-o", "into"])
    };
    // One holder only, which goes away: what came stays, for the next attempt.
    roads[0].down.stop();
    let client = fetch(&[&roads[0]]);
    roads[0].down.lets_pass(1_500_000);
    roads[0].down.close();
    let ended = client.end(LATE);
    assert_eq!(ended.code, Some(5), "{}", ended.said);
    let kept = parts(home.path());
    assert_eq!(kept.len(), 2, "{kept:?}");
    // The next one goes away too, and another gives it all.
    roads[1].down.stop();
    let client = fetch(&[&roads[1], &roads[2]]);
    roads[1].down.lets_pass(1_500_000);
    let more = parts(home.path());
    roads[1].down.close();
    let ended = client.end(LATE);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(more.len(), 4, "{more:?}");
    assert_eq!(tree(&home.path().join("into/docs")).len(), 60);
    assert_eq!(parts(home.path()), [""; 0], "{}", ended.said);
}

/// The nearest holder gives nonsense, and the rings of the search ended with it: whoever is farther is asked then.
///
/// proves: R-FL-50, R-FL-64
#[test]
fn a_holder_behind_one_that_lies_is_found() {
    let content = octets(1 << 20, 3);
    let far = holder(&content);
    let between = Victim::start(&["--neighbour", &far.at]);
    let answer = Answer::Octets(i32::MAX.to_le_bytes().to_vec());
    let liar = Holder::start(BTreeMap::from([("big.bin".to_owned(), answer)]), 1);
    let mut asked = Victim::start(&["--neighbour", &between.at, "--neighbour", &format!("{}/j", liar.at)]);
    asked.program.event_where("linked", SOON, |event| event["peer"] == between.at.as_str());
    // Until the filters are known: what is not there is not asked for.
    thread::sleep(Duration::from_millis(2500));
    asked.program.tell("get big.bin");
    asked.program.event_where("downloaded", LATE, |event| event["name"] == "big.bin");
    assert!(fs::read(asked.home.path().join("share/big.bin")).expect("there") == content);
    assert_eq!(asked.news(), ["share/big.bin"]);
    asked.complains_once("the liar", "its length cannot be");
    assert_eq!(liar.requests.try_iter().count(), 1);
}
