//! `feige get -r` of a folder that is new here: it has its name when everything is in it, whatever happens on the way.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use feige_tests::program::{Ended, LATE, Program, SOON, command};
use feige_tests::road::Road;
use feige_tests::served::Served;
use feige_tests::transfer::octets;
use serde_json::Value;

const FILES: usize = 1000;

/// A server with a folder `tree`: many small files, some deep, some empty, and a few that are large.
fn served() -> Served {
    let served = Served::start(&["--guest", "read"]);
    for number in 0..FILES {
        let folder = served.path("tree").join(format!("{}/{}", number % 7, number % 3));
        fs::create_dir_all(&folder).expect("room");
        fs::write(folder.join(format!("{number}")), octets(number * 11 % 9000, number as u64)).expect("room");
    }
    for size in [65_536, 65_537, 2_000_000, 9_000_000] {
        fs::write(served.path("tree").join(format!("{size}.bin")), octets(size, 1)).expect("room");
    }
    fs::create_dir_all(served.path("tree/empty/inner")).expect("room");
    served
}

fn url(served: &Served, path: &str) -> String {
    format!("feige://{}/{path}", served.addr)
}

fn get(served: &Served, more: &[&str]) -> Program {
    let url = url(served, "tree");
    Program::spawn(command(&served.home, ["--json", "get", "-r", &url, "-o", "back"].iter().chain(more)))
}

/// Every file and folder below one, hidden ones too.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("readable") {
            let path = entry.expect("readable").path();
            let below = path.strip_prefix(folder).expect("below").to_owned();
            if path.is_dir() {
                found.insert(below, None);
                folders.push(path);
            } else {
                found.insert(below, Some(fs::read(&path).expect("readable")));
            }
        }
    }
    found
}

/// What this program keeps in the client's folder.
fn hidden(served: &Served) -> Vec<String> {
    let entries = fs::read_dir(served.home.path()).expect("readable");
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".feige-")).collect()
}

/// How many files lie in what has no name yet.
fn kept(served: &Served) -> usize {
    let parts = hidden(served).into_iter().filter(|name| name.ends_with(".feige-part"));
    parts.map(|part| tree(&served.home.path().join(part)).values().flatten().count()).sum()
}

/// What the last line says: files, octets, and what was skipped.
fn summary(ended: &Ended) -> (u64, u64, u64) {
    let summary = ended.events.iter().rfind(|event| event["event"] == "summary").expect("a summary");
    let count = |what: &str| summary[what].as_u64().expect("a number");
    (count("files"), count("octets"), count("skipped"))
}

/// How many octets there are in a folder.
fn octets_of(tree: &BTreeMap<PathBuf, Option<Vec<u8>>>) -> u64 {
    tree.values().flatten().map(|octets| octets.len() as u64).sum()
}

#[test]
fn killed_at_any_moment_a_name_is_that_of_a_whole_folder() {
    let served = served();
    let planted = tree(&served.path("tree"));
    let back = served.home.path().join("back");
    let (mut killed, mut whole) = (0, 0);
    for round in 0..2 {
        let mut random = fastrand::Rng::with_seed(round);
        for attempt in 0.. {
            let over = AtomicBool::new(false);
            let mut client = get(&served, &[]);
            let end = Instant::now() + Duration::from_micros(random.u64(1_000..90_000) * (1 + attempt / 3));
            // Whoever looks sees nothing, or everything.
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        if back.exists() {
                            assert!(tree(&back) == planted, "not whole");
                            break;
                        }
                        std::thread::sleep(Duration::from_micros(200));
                    }
                });
                while Instant::now() < end && !back.exists() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                client.kill();
                over.store(true, Ordering::Relaxed);
            });
            if back.exists() {
                break;
            }
            killed += 1;
        }
        // Killed as it was, right behind the name: what is kept beside it may be left, and goes with the next command.
        assert!(tree(&back) == planted);
        whole += 1;
        fs::remove_dir_all(&back).expect("there");
        let ended = get(&served, &[]).end(SOON);
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(tree(&back) == planted);
        assert!(hidden(&served).is_empty(), "{:?}", hidden(&served));
        fs::remove_dir_all(&back).expect("there");
    }
    println!("{killed} killed, {whole} whole");
    assert!(killed > whole);
}

#[test]
fn ctrl_c_keeps_what_came_without_a_name() {
    let served = served();
    let planted = tree(&served.path("tree"));
    let back = served.home.path().join("back");
    let end = Instant::now() + SOON;
    let client = loop {
        let client = get(&served, &[]);
        while kept(&served) < 100 && !back.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        client.interrupt();
        let ended = client.end(SOON);
        if !back.exists() {
            break ended;
        }
        // It was faster.
        fs::remove_dir_all(&back).expect("there");
        assert!(Instant::now() < end, "it is never slow enough");
    };
    assert_eq!(client.code, Some(130), "{}", client.said);
    assert!(client.said.contains("goes on from there"), "{}", client.said);
    assert!(kept(&served) >= 100);
    let (files, octets, _) = summary(&client);
    assert!(files == 0 && octets > 0, "{files} files have their names");
    // What is there is not to be replaced; but what is kept has no name, and is nobody's.
    let ended = get(&served, &["--no-clobber"]).end(SOON);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let (files, octets, skipped) = summary(&ended);
    assert!((files, skipped) == (FILES as u64 + 4, 0), "{files} have their names, {skipped} were skipped");
    assert!(octets < octets_of(&planted), "nothing comes twice");
    assert!(tree(&back) == planted && hidden(&served).is_empty());
}

/// Whoever reads the lines of a program may open each file as soon as it is told of, in a folder that was interrupted too.
#[test]
fn a_file_has_its_name_when_it_is_told_of() {
    let served = served();
    let planted = tree(&served.path("tree"));
    let back = served.home.path().join("back");
    let road = Road::to(&served.addr.to_string());
    let url = format!("feige://{}/tree", road.at);
    let get = || Program::spawn(command(&served.home, ["--json", "get", "-r", &url, "-o", "back"]));
    road.down.slow(3_000_000);
    let mut client = get();
    let progress = client.event("progress");
    assert!(progress["octets"].as_u64() > Some(100_000), "{progress}");
    client.event_where("progress", LATE, |event| event["files"].as_u64() > Some(10));
    client.interrupt();
    let ended = client.end(SOON);
    assert!(!back.exists());
    let told = |event: &Value| matches!(event["event"].as_str(), Some("downloaded" | "skipped"));
    assert!(!ended.events.iter().any(told), "of what has no name: {}", ended.said);
    road.down.open();
    let mut client = get();
    let mut earlier = 0;
    let mut left: BTreeSet<&Path> =
        planted.iter().filter(|(_, octets)| octets.is_some()).map(|(path, _)| &**path).collect();
    while !left.is_empty() {
        let event = client.wait("file", LATE, told);
        let name = event["name"].as_str().and_then(|name| name.strip_prefix("tree/")).expect("a name");
        assert!(back.join(name).is_file(), "{event}, and nothing is there");
        // Of what came the first time, nobody has heard before.
        assert_eq!(event["event"], "downloaded", "{event}");
        assert_eq!(event["path"], format!("./back/{name}"));
        assert_eq!(event["size"], planted[Path::new(name)].as_ref().map_or(0, Vec::len));
        earlier += usize::from(event["digest"].is_null());
        assert!(left.remove(Path::new(name)), "{event} twice");
    }
    let ended = client.end(SOON);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let (files, octets, skipped) = summary(&ended);
    assert!((files, skipped) == (FILES as u64 + 4, 0) && octets < octets_of(&planted), "{}", ended.said);
    assert!(earlier > 10, "{earlier}");
    assert!(!ended.events.iter().any(told), "{}", ended.said);
}

#[test]
fn a_server_that_goes_away_is_told_with_what_to_do() {
    let mut served = served();
    let planted = tree(&served.path("tree"));
    let back = served.home.path().join("back");
    let end = Instant::now() + SOON;
    loop {
        let client = get(&served, &["--retry", "0s"]);
        while kept(&served) < 50 && !back.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        served.restart();
        let ended = client.end(SOON);
        if ended.code != Some(0) {
            assert!(ended.said.contains("run it again to go on"), "{}", ended.said);
            break;
        }
        fs::remove_dir_all(&back).expect("there");
        assert!(Instant::now() < end, "it is never slow enough");
    }
    assert!(!back.exists());
    let ended = get(&served, &[]).end(SOON);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(summary(&ended).1 < octets_of(&planted), "{}", ended.said);
    assert!(tree(&back) == planted && hidden(&served).is_empty());
}

#[test]
fn two_at_once_do_not_mix() {
    let served = served();
    let planted = tree(&served.path("tree"));
    // Into a folder that is here, so that whoever comes late means the same place.
    let into = served.home.path().join("into");
    fs::create_dir(&into).expect("room");
    let url = url(&served, "tree");
    let client = || Program::spawn(command(&served.home, ["--json", "get", "-r", &url, "-o", "into"]));
    let clients: Vec<_> = (0..3).map(|_| client()).collect();
    let ended: Vec<_> = clients.into_iter().map(|client| client.end(SOON)).collect();
    assert!(ended.iter().any(|ended| ended.code == Some(0)), "{ended:?}");
    for ended in ended.iter().filter(|ended| ended.code != Some(0)) {
        assert!(ended.said.contains("another program is receiving it"), "{}", ended.said);
    }
    assert!(tree(&into.join("tree")) == planted);
    let names: Vec<_> =
        fs::read_dir(&into).expect("readable").map(|entry| entry.expect("readable").file_name()).collect();
    assert_eq!(names, ["tree"], "nothing hidden is left");
}
