//! Peers that take their time, and stores that do.

use std::cell::Cell;
use std::vec;
use std::vec::Vec;

use super::peer::{Script, announce, body, come_in, down, hello, here_is, let_in, say, up};
use super::stores::{Broken, Desk, Job, Shelf, get};
use super::{octets, put};
use crate::digest::Digest;
use crate::stream::transfer::Credentials;
use crate::stream::{Opened, Outcome, ProtocolError, Store, Target};
use crate::wire::transfer::{Put, Reply, Request};

const TIMED_OUT: &str = "Error { code: Timeout, text: \"nothing came for too long\" }";

/// A store whose every step takes so many milliseconds.
struct Slow<'c, S> {
    store: S,
    each: u64,
    clock: &'c Cell<u64>,
}

impl<S> Slow<'_, S> {
    fn wait(&mut self) -> &mut S {
        self.clock.set(self.clock.get() + self.each);
        &mut self.store
    }
}

impl<S: Store<Error = Broken>> Store for Slow<'_, S> {
    type Error = Broken;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Broken> {
        self.wait().open(target)
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Broken> {
        self.wait().load(at, into)
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Broken> {
        self.wait().save(at, octets)
    }

    fn close(&mut self) -> Result<(), Broken> {
        self.wait().close()
    }
}

/// The digest of a file in blocks of 4 KiB.
fn blocks(octets: &[u8]) -> Digest {
    let blocks: Vec<u8> = octets.chunks(4096).flat_map(|block| Digest::of(block).0).collect();
    Digest::of(&blocks)
}

/// proves: R-VT-70
#[test]
fn a_stranger_has_ten_seconds() {
    let hi = say(&Request::Hello(hello(1)));
    for script in [
        Script::new(&[]),
        Script::new(&hi),
        Script::new(&hi[..5]),
        Script::new(&[]).trickle(900, &come_in()),
        Script::new(&hi).then(9_990, &hi[..4]),
    ] {
        let heard = script.silent().serve(&mut Shelf::new());
        assert_eq!(heard.replies().last().unwrap(), TIMED_OUT);
        // The farewell, and up to five seconds for the peer to hang up.
        assert_eq!((heard.at, heard.ending.is_ok()), (15_000, true));
    }
}

/// proves: R-VT-71, R-VT-74
#[test]
fn a_client_may_do_nothing_for_a_minute() {
    let heard = Script::new(&come_in()).silent().serve(&mut Shelf::new());
    assert_eq!((heard.replies().last().map(|reply| &**reply), heard.at), (Some(TIMED_OUT), 65_000));
    // An octet now and then is not a request.
    let mut request = say(&Request::Stat { path: &"x".repeat(100) });
    request.truncate(50);
    let heard = Script::new(&come_in()).trickle(5000, &request).silent().serve(&mut Shelf::new());
    assert_eq!((heard.replies().last().map(|reply| &**reply), heard.at), (Some(TIMED_OUT), 65_000));
    // Requests that come just in time are answered, whether the store is asked or not.
    let time = say(&Request::Time);
    for last in [say(&Request::Bye), say(&Request::Finish { digest: Digest::default() })] {
        let script = Script::new(&come_in()).then(59_000, &time).then(59_000, &time).then(59_000, &last);
        let heard = script.serve(&mut Shelf::new());
        assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?}", heard.ending);
        assert_eq!(heard.replies().len(), 5, "{:?}", heard.replies());
        assert_eq!(heard.at, 177_000);
    }
}

/// proves: R-VT-72
#[test]
fn a_body_has_to_get_on() {
    let whole = octets(100_000, 1);
    let begin = [come_in(), announce(100_000), up(0, &whole[..8192])].concat();
    let next = up(8192, &whole[8192..40_960]);
    for (script, at) in [
        (Script::new(&begin), 30_000),
        (Script::new(&[&begin, &next[..3]].concat()), 30_000),
        (Script::new(&[&begin, &next[..9000]].concat()), 30_000),
        (Script::new(&begin).trickle(1000, &next), 30_000),
        (Script::new(&begin).then(29_000, &next[..5000]), 59_000),
    ] {
        let heard = script.clone().silent().serve(&mut Shelf::new());
        assert_eq!(heard.replies().last().unwrap(), TIMED_OUT);
        assert_eq!(heard.at, at + 5000);
        // A buffer that takes all of it makes no difference.
        let large = script.silent().buffers(70_000, 70_000).serve(&mut Shelf::new());
        assert_eq!((large.at, large.replies()), (heard.at, heard.replies()));
    }
    // Who takes nothing is not served for ever, and nothing is said to him.
    let mut shelf = Shelf::new();
    shelf.files.insert("f".into(), whole.clone());
    let wants =
        say(&Request::Get(crate::wire::transfer::Get { path: "f", offset: 0, length: 1 << 20, block: 12, stamp: 0 }));
    let heard = Script::new(&[come_in(), wants].concat()).silent().reads(10_000).serve(&mut shelf);
    assert_eq!((heard.ending, heard.at), (Err(ProtocolError::TimedOut), 30_000));

    let said = [here_is(100_000), down(0, &whole[..8192])].concat();
    let next = down(8192, &whole[8192..40_960]);
    for (script, at) in [
        (Script::new(&let_in()), 30_000),
        (Script::new(&let_in()).then(10, &said), 30_010),
        (Script::new(&let_in()).then(10, &said).trickle(1000, &next), 30_010),
        (Script::new(&let_in()[..7]), 30_000),
    ] {
        let heard = script.silent().fetch(&mut Desk::with([get("f")]));
        assert_eq!((heard.ending, heard.at), (Err(ProtocolError::TimedOut), at));
    }
    let script = Script::new(&let_in()).then(10, &say(&Reply::Ready { offset: 0, block: 12 }));
    let heard = script.silent().reads(10_000).fetch(&mut Desk::with([put("f", &whole, false)]));
    assert_eq!((heard.ending, heard.at), (Err(ProtocolError::TimedOut), 30_010));
}

/// proves: R-VT-73
#[test]
fn a_sign_of_life_keeps_a_client_waiting() {
    let working = say(&Reply::Working);
    let mut script = Script::new(&let_in());
    for _ in 0..20 {
        script = script.then(20_000, &working);
    }
    let sum = say(&Reply::Sum { md5: Digest::default(), size: 1 });
    let script = script.then(20_000, &sum).then(10, &say(&Reply::Done));
    let heard = script.fetch(&mut Desk::with([Job::Other(Request::Sum { path: "f" })]));
    assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?}", heard.ending);
    assert_eq!(heard.at, 420_010);
    // So does the server of a large file that has to look first what it has of it; the file has not begun.
    let mut script = Script::new(&let_in());
    for _ in 0..20 {
        script = script.then(20_000, &working);
    }
    let whole = octets(10_000, 1);
    let stored = say(&Reply::Stored { digest: blocks(&whole) });
    let script = script.then(20_000, &say(&Reply::Ready { offset: 0, block: 12 })).then(10, &stored);
    let mut desk = Desk::with([put("f", &whole, false)]);
    let heard = script.then(10, &say(&Reply::Done)).fetch(&mut desk);
    assert!(matches!(heard.ending, Ok(Outcome::Complete(totals)) if totals.files == 1), "{:?}", heard.ending);
    assert_eq!(heard.at, 420_020);

    // A server gives them while its store works, not more often than needed.
    let clock = Cell::new(0);
    let mut shelf = Shelf::new();
    shelf.files.insert("f".into(), octets(10, 1));
    shelf.patience = 40;
    let mut slow = Slow { store: shelf, each: 1000, clock: &clock };
    let script = Script::new(&[come_in(), say(&Request::Sum { path: "f" }), say(&Request::Bye)].concat());
    let heard = script.serve_with(&mut slow, &clock);
    let working = heard.replies().iter().filter(|reply| *reply == "Working").count();
    assert_eq!(working, 7, "{:?}", heard.replies());
    assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?}", heard.ending);
}

/// proves: R-VT-73
#[test]
fn a_server_gives_signs_of_life_before_it_can_answer() {
    let put = Put { path: "s", size: 3, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline: true };
    let large = octets(8192, 1);
    for (first, said) in [
        (say(&Request::Time), "Time"),
        (say(&Request::Remove { path: "f" }), "Done"),
        (say(&Request::List { path: "", cursor: 0 }), "Entry End"),
        ([say(&Request::Put(put)), body(b"abc", 12)].concat(), "Stored"),
        ([announce(8192), up(0, &large), say(&Request::Finish { digest: blocks(&large) })].concat(), "Ready Stored"),
    ] {
        for most in [2, usize::MAX] {
            let clock = Cell::new(0);
            let mut shelf = Shelf::new();
            shelf.files.insert("f".into(), octets(10, 1));
            shelf.busy = 22;
            let mut slow = Slow { store: shelf, each: 1000, clock: &clock };
            let all = [come_in(), first.clone(), say(&Request::Time), say(&Request::Bye)].concat();
            let heard = Script::new(&all).most(most).serve_with(&mut slow, &clock);
            assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?}", heard.ending);
            let replies: Vec<_> = heard.replies().iter().map(|reply| word(reply)).collect();
            assert_eq!(replies.join(" "), std::format!("Hello Done Working Working Working Working {said} Time Done"));
        }
    }
}

/// proves: R-VT-73
#[test]
fn a_server_gives_signs_of_life_while_files_go_to_the_disk() {
    assert_eq!(super::super::WORKING[..], say(&Reply::Working));
    let put = Put { path: "s", size: 0, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline: true };
    let work = [say(&Request::Put(put)), say(&Request::Time), say(&Request::Bye)].concat();
    // Who asks before it was let in hears nothing before that is said.
    for (script, expected) in [
        (
            Script::new(&come_in()).then(10, &work),
            "Hello Done Working Working Working Working Working Stored Time Done",
        ),
        (Script::new(&[come_in(), work.clone()].concat()), "Hello Done Stored Time Done"),
        (
            Script::new(&come_in()).then(10, &work).most(2),
            "Hello Done Working Working Working Working Working Stored Time Done",
        ),
    ] {
        let clock = Cell::new(0);
        let mut shelf = Shelf::new();
        shelf.syncs = 30;
        let mut slow = Slow { store: shelf, each: 1000, clock: &clock };
        let heard = script.serve_with(&mut slow, &clock);
        assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?}", heard.ending);
        let replies: Vec<_> = heard.replies().iter().map(|reply| word(reply)).collect();
        assert_eq!(replies.join(" "), expected);
        assert!(slow.store.files["s"].is_empty());
    }
}

/// The first word of a reply.
fn word(reply: &str) -> std::string::String {
    reply.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default().into()
}

/// What the store takes is not the peer's fault, on either side.
#[test]
fn a_slow_store_is_nobodys_fault() {
    let whole = octets(20_000, 1);
    let end = say(&Request::Finish { digest: blocks(&whole) });
    let small = Put { path: "s", size: 5, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline: true };
    let said = [
        come_in(),
        say(&Request::Put(small)),
        body(b"small", 4096),
        announce(20_000),
        up(0, &whole[..8192]),
        up(8192, &whole[8192..]),
        end,
        say(&Request::List { path: "", cursor: 0 }),
        say(&Request::Bye),
    ]
    .concat();
    for (input, output) in [(516, 512), (70_000, 70_000)] {
        let clock = Cell::new(0);
        let mut slow = Slow { store: Shelf::new(), each: 45_000, clock: &clock };
        let heard = Script::new(&said).buffers(input, output).serve_with(&mut slow, &clock);
        assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?} {:?}", heard.ending, heard.replies());
        assert_eq!(slow.store.files["f"], whole);

        let said = [here_is(20_000), down(0, &whole[..8192]), down(8192, &whole[8192..])].concat();
        let stored = say(&Reply::Stored { digest: Digest::of(b"small") });
        let clock = Cell::new(0);
        let script = Script::new(&let_in()).then(1, &said).then(500_000, &stored).then(500_000, &say(&Reply::Done));
        let mut slow = Slow { store: Desk::with([get("f"), put("s", b"small", true)]), each: 45_000, clock: &clock };
        let heard = script.buffers(input, output).fetch_with(&mut slow, Credentials::Guest, &clock);
        let got = &slow.store.got;
        assert!(got.len() == 1 && got[0].octets == whole, "{:?} {:?}", heard.ending, slow.store.heard);
    }
    // Who is asked by people what to do next waits longer for them than a peer may.
    let clock = Cell::new(0);
    let jobs = vec![Job::Other(Request::Time), Job::Other(Request::Time)];
    let mut slow = Slow { store: Desk::with(jobs), each: 50_000, clock: &clock };
    let time = say(&Reply::Time(1));
    let script = Script::new(&let_in()).then(1, &[&*time, &time].concat()).then(700_000, &say(&Reply::Done));
    let heard = script.fetch_with(&mut slow, Credentials::Guest, &clock);
    assert!(matches!(heard.ending, Err(ProtocolError::TimedOut) | Ok(_)), "{:?}", heard.ending);
    assert_eq!(slow.store.heard, ["Time(1)", "Time(1)"]);
}

/// proves: R-VT-74
#[test]
fn a_farewell_waits_five_seconds() {
    let heard = Script::new(&[come_in(), say(&Request::Bye)].concat()).silent().serve(&mut Shelf::new());
    assert!(matches!(heard.ending, Ok(Outcome::Complete(_))));
    assert_eq!((heard.at, heard.replies().last().map(|reply| &**reply)), (5000, Some("Done")));
    // Whoever goes on talking is heard for a while, but not answered.
    let chatter = say(&Request::Time).repeat(40_000);
    let heard = Script::new(&[come_in(), say(&Request::Bye), chatter].concat()).silent().serve(&mut Shelf::new());
    assert_eq!((heard.at, heard.replies().len()), (0, 3));
    let heard = Script::new(&let_in()).then(10, &say(&Reply::Done)).silent().fetch(&mut Desk::with([]));
    assert!(matches!(heard.ending, Ok(Outcome::Complete(_))));
    assert_eq!(heard.at, 5010);
}
