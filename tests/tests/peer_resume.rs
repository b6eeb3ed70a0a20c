//! `feige fetch` from a real `feige peer` when one of both is killed in the middle: what came need not come again, nothing
//! that is not whole has a name, and the next holder gives what the first one cannot.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use feige_tests::program::{LATE, Program, SOON, run};
use feige_tests::transfer::octets;
use feige_tests::victim::{Answer, Holder, Victim, neighbour, tree};

const SIZE: usize = 24 << 20;

/// What may come twice for each attempt: a run of R-VT-33, which is verified as a whole, and what is said besides.
const TWICE: u64 = (1 << 20) + (64 << 10);

/// A road to a holder, on which no more than a number of octets passes.
struct Road {
    at: SocketAddrV4,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    /// How many octets may pass, and how many have.
    open: AtomicU64,
    passed: AtomicU64,
    /// Nobody comes through any more.
    closed: AtomicBool,
}

impl Road {
    fn to(holder: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().expect("an address").port());
        let (way, holder) = (Arc::new(Way::default()), holder.to_owned());
        let road = Self { at, way: Arc::clone(&way) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&holder) else { continue };
                let (Ok(mut up), Ok(mut down)) = (client.try_clone(), server.try_clone()) else { continue };
                thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut down);
                    let _ = down.shutdown(std::net::Shutdown::Both);
                });
                let way = Arc::clone(&way);
                thread::spawn(move || way.carry(server, client));
            }
        });
        road
    }

    /// Lets so many more octets pass, and waits until they have.
    fn lets_pass(&self, octets: u64) {
        let until = self.way.passed.load(Ordering::SeqCst) + octets;
        self.way.open.store(until, Ordering::SeqCst);
        let end = Instant::now() + SOON;
        while self.way.passed.load(Ordering::SeqCst) < until {
            assert!(Instant::now() < end, "{} of {until} octets passed", self.way.passed.load(Ordering::SeqCst));
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Way {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut room = vec![0; 16 << 10];
        while !self.closed.load(Ordering::SeqCst) {
            let left = self.open.load(Ordering::SeqCst).saturating_sub(self.passed.load(Ordering::SeqCst));
            let most = usize::try_from(left).unwrap_or(room.len()).min(room.len());
            if most == 0 {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            match from.read(&mut room[..most]) {
                Ok(count @ 1..) if to.write_all(&room[..count]).is_ok() => {
                    self.passed.fetch_add(count as u64, Ordering::SeqCst);
                }
                _ => break,
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    }
}

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
    let via = neighbour(vec![road.at], SIZE as u64, Digest::of(&content));
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("into")).expect("made");
    let fetch = ["--json", "fetch", "big.bin", "--via", &via, "-o", "into"];
    let mut random = fastrand::Rng::with_seed(7);
    let mut attempts = 0;
    for most in [1, 1000, 3 << 20, 6 << 20, 6 << 20, 6 << 20] {
        let mut client = Program::start(&home, fetch);
        road.lets_pass(random.u64(most / 2..most) + 1);
        // What the system has for it and it has not taken yet is lost in any case.
        let kept = || fs::metadata(home.path().join("into/.big.bin.feige-sums")).map_or(0, |sums| sums.len());
        let mut before = u64::MAX;
        while before != kept() {
            before = kept();
            thread::sleep(Duration::from_millis(200));
        }
        client.kill();
        attempts += 1;
        assert!(!home.path().join("into/big.bin").exists(), "a part has a name after attempt {attempts}");
    }
    road.way.open.store(u64::MAX, Ordering::SeqCst);
    let ended = run(&home, LATE, fetch);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(fs::read(home.path().join("into/big.bin")).expect("there") == content);
    assert_eq!(tree(home.path()), ["into", "into/big.bin"], "{}", ended.said);
    let passed = road.way.passed.load(Ordering::SeqCst);
    assert!(passed < SIZE as u64 + attempts * TWICE, "{passed} octets passed for {SIZE}");
}

/// proves: R-FL-64
#[test]
fn when_a_holder_is_killed_the_next_one_gives_it() {
    let content = octets(SIZE, 2);
    let (mut first, second) = (holder(&content), holder(&content));
    let road = Road::to(&first.at);
    let via = neighbour(vec![road.at, second.at.parse().expect("an address")], SIZE as u64, Digest::of(&content));
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("into")).expect("made");
    let client = Program::start(&home, ["--json", "fetch", "big.bin", "--via", &via, "-o", "into"]);
    road.lets_pass(SIZE as u64 / 2);
    first.program.kill();
    road.way.closed.store(true, Ordering::SeqCst);
    let ended = client.end(LATE);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(fs::read(home.path().join("into/big.bin")).expect("there") == content);
    assert_eq!(tree(home.path()), ["into", "into/big.bin"], "{}", ended.said);
    let refused: Vec<_> = ended.events.iter().filter(|event| event["event"] == "refused").collect();
    assert_eq!(refused.len(), 1, "{}", ended.said);
    assert_eq!(refused[0]["from"], road.at.to_string());
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
