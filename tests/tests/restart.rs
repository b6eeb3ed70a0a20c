//! Transfers of the real programs that go on after the machine was restarted: what is there has to be hashed before it is
//! believed, and nobody loses patience over that, however long it takes.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use feige_core::wire::transfer::{ErrorCode, Put, Reply, Request};
use feige_tests::program::{LATE, Program, SOON, run};
use feige_tests::road::Road;
use feige_tests::served::Served;
use feige_tests::transfer::{Caller, octets, put};
use rustix::net::sockopt::set_socket_linger;

/// Octets of a block, as a power of two.
const BLOCK: u8 = 20;

/// Blocks of a part that takes more time to hash than any of these tests: a quarter of a TiB, of which nothing is on the disk.
const BLOCKS: u64 = 1 << 18;

/// Where in the sums it stands since which start of the machine they are true, and up to which octet.
const START: u64 = 40;
const UNTIL: u64 = 56;

/// The number that stands there.
fn number(file: &File, at: u64) -> u64 {
    let mut number = [0; 8];
    file.read_exact_at(&mut number, at).expect("there");
    u64::from_le_bytes(number)
}

/// The announcement of the large file whose part is here.
fn large(name: &str) -> Put<'_> {
    Put { block: BLOCK, ..put(name, (BLOCKS << BLOCK) + 1) }
}

/// Leaves a large part of a file, as it was before the machine was restarted.
fn leave(folder: &Path, name: &str) -> File {
    let Put { size, stamp, .. } = large(name);
    let part = File::create(folder.join(format!(".{name}.feige-part"))).expect("made");
    part.set_len(size - 1).expect("a file system for large files");
    let mut sums = [&b"feigesum"[..], &[1, BLOCK, 0, 0, 0, 0, 0, 0]].concat();
    [stamp, size, 1 << 63].iter().for_each(|number| sums.extend(number.to_le_bytes()));
    assert_eq!(sums.len() as u64, START);
    sums.resize(64, 7);
    let Digest(digest) = Digest::of(&vec![0; 1 << BLOCK]);
    sums.extend(digest.repeat(usize::try_from(BLOCKS).expect("some")));
    let path = folder.join(format!(".{name}.feige-sums"));
    fs::write(&path, sums).expect("written");
    File::open(path).expect("there")
}

/// The machine is restarted, as far as what is here of `file` can tell.
fn restarted(folder: &Path) {
    let sums = fs::OpenOptions::new().write(true).open(folder.join(".file.feige-sums")).expect("there");
    sums.write_all_at(&[7; 16], START).expect("written");
}

/// A client whose file is hashed for longer than it has patience is told that somebody works; so are others whose turn
/// comes later, and one who comes back before it was noticed that he had gone. When all are gone, nobody works.
///
/// proves: R-VT-61, R-VT-73
#[test]
fn a_client_stays_as_long_as_the_server_hashes_what_it_has() {
    let served = Served::start(&["--guest", "write"]);
    let names = ["one", "two", "three"];
    let sums = names.map(|name| leave(&served.path(""), name));
    let begin = Instant::now();
    let mut waiting: Vec<Caller> = names
        .iter()
        .chain(&names[..1])
        .map(|name| {
            let mut caller = served.guest();
            caller.say(&Request::Put(large(name)));
            caller
        })
        .collect();
    let mut other = served.guest();
    for number in 0..3 {
        other.put(&format!("other{number}"), &octets(100_000, number)).expect("stored");
    }
    for caller in &mut waiting {
        let heard = caller.try_hear().expect("a sign of life");
        assert_eq!(heard.reply(), Reply::Working);
    }
    // What cannot be stored in the end is refused at once, and not hashed first.
    leave(&served.path(""), "taken");
    fs::write(served.path("taken"), "another").expect("written");
    let taken = Put { replace: false, ..large("taken") };
    other.say(&Request::Put(taken));
    let heard = other.try_hear().expect("an answer");
    assert!(matches!(heard.reply(), Reply::Error { code: ErrorCode::Exists, .. }), "{heard:?}");
    // Others are served as ever: all of that took no longer than the signs of life have to.
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    // Who goes without a word resets the connection, and that is noticed at the next sign of life.
    for caller in waiting {
        set_socket_linger(&caller.stream, Some(Duration::ZERO)).expect("a socket");
    }
    let end = Instant::now() + SOON;
    loop {
        let before = served.busy();
        thread::sleep(Duration::from_millis(500));
        if served.busy() - before < Duration::from_millis(100) {
            break;
        }
        assert!(Instant::now() < end, "it is hashed for nobody: {}", served.program);
    }
    // What was hashed is kept.
    let hashed = sums.map(|sums| number(&sums, UNTIL));
    assert!(hashed.iter().filter(|&&until| until > 0 && until % (1 << BLOCK) == 0).count() >= 2, "{hashed:?}");
    other.list("").expect("served as ever");
}

/// A client that hashes what it has before it knows what to ask for gives the server signs of life, and can be interrupted.
///
/// proves: R-VT-71
#[test]
fn a_server_stays_as_long_as_its_client_hashes_what_it_has() {
    let mut served = Served::start(&["--guest", "read"]);
    fs::write(served.path("file"), "abc").expect("written");
    let road = Road::to(&served.addr.to_string());
    let home = tempfile::tempdir().expect("a folder");
    leave(home.path(), "file");
    let url = format!("feige://{}/file", road.at);
    let begin = Instant::now();
    let client = Program::start(&home, ["get", &url]);
    served.program.event("signed_in");
    thread::sleep(Duration::from_millis(500));
    let greeted = road.up.passed();
    // A request for the time has five octets.
    road.up.wait(greeted + 5);
    // Not more often than needed.
    let (asked, seconds) = (road.up.passed() - greeted, begin.elapsed().as_secs());
    assert!(asked <= 5 * (seconds / 5), "{asked} octets in {seconds} s");
    client.interrupt();
    let ended = client.end(SOON);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    served.is_well();
}

/// In both directions, what came before a restart need not come again.
///
/// proves: R-VT-35, R-VT-52, R-VT-61
#[test]
fn what_came_before_a_restart_does_not_come_again() {
    const SIZE: usize = 3_000_000;
    for put in [false, true] {
        let mut served = Served::start(&["--guest", "write"]);
        let road = Road::to(&served.addr.to_string());
        let home = tempfile::tempdir().expect("a folder");
        let content = octets(SIZE, 300);
        let (from, to) =
            if put { (home.path().to_owned(), served.path("")) } else { (served.path(""), home.path().to_owned()) };
        fs::write(from.join("file"), &content).expect("written");
        let url = format!("feige://{}/{}", road.at, if put { "" } else { "file" });
        let words = if put { ["put", "file", &url] } else { ["get", "-q", &url] };
        let lane = if put { &road.up } else { &road.down };
        lane.slow(4_000_000);
        let client = Program::start(&home, words);
        lane.wait(2_000_000);
        drop(client);
        served.restart();
        restarted(&to);
        lane.open();
        let ended = run(&home, LATE, words);
        assert_eq!(ended.code, Some(0), "put: {put}: {}", ended.said);
        assert!(fs::read(to.join("file")).expect("there") == content);
        // What the receiver had not taken when it was killed: a run, and what lay in sockets.
        let passed = lane.passed();
        assert!(passed < 4_000_000, "put: {put}: {passed} octets passed");
    }
}
