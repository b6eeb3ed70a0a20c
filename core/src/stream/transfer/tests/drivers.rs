//! Both drivers, with transports and stores that fail; and stores that answer what was not asked.

use core::cell::Cell;
use std::rc::Rc;
use std::string::String;
use std::vec;
use std::vec::Vec;

use embedded_io::ErrorKind;

use super::pair::settings;
use super::peer::{Script as Peer, body, come_in, let_in, say, up};
use super::stores::{Broken, Desk, Job, Shelf, get};
use super::{octets, put};
use crate::digest::{Digest, Scalar};
use crate::drive::DriveError;
use crate::drive::blocking::{self, Scratch};
use crate::stream::testing::{Ending, Script};
use crate::stream::transfer::{Answer, Ask, Buffers, ClientSession, Credentials, ServerSession, Verifier};
use crate::stream::{Machine, Opened, Outcome, Store, Target};
use crate::time::Instant;
use crate::wire::transfer::{Data, Entry, EntryKind, ErrorCode, File, Get, Put, Reply, Request};

type Ended = Result<Outcome, DriveError<ErrorKind, Broken>>;

/// How it ended, what was written, whether it was shut down, and when.
type Everything = (Ended, Vec<u8>, bool, u64);

fn blocked(machine: impl Machine, mut script: Script, store: &mut impl Store<Error = Broken>) -> Everything {
    let clock = Rc::clone(&script.clock);
    let mut scratch = [0xa5; 7];
    let now = || Instant::from_millis(clock.get());
    let ended = blocking::run(machine, &mut script, store, &mut Scratch(&mut scratch), now);
    (ended, script.written, script.shut, clock.get())
}

#[cfg(feature = "async")]
fn awaited(machine: impl Machine, script: Script, store: &mut impl Store<Error = Broken>) -> Everything {
    use crate::drive::tests::both::{Later, Virtual, block_on};
    let clock = Rc::clone(&script.clock);
    let mut timer = Virtual::new(Rc::clone(&clock));
    let (mut later, mut scratch) = (Later(script, false), [0xa5; 7]);
    let ended = block_on(crate::drive::asynch::run(machine, &mut later, store, &mut scratch, &mut timer));
    (ended, later.0.written, later.0.shut, clock.get())
}

/// Without the feature there is one driver.
#[cfg(not(feature = "async"))]
use blocked as awaited;

fn served(script: Script, shelf: &mut Shelf, run: fn(Machined<'_>, Script, &mut Shelf) -> Everything) -> Everything {
    let mut session = ServerSession::new(Instant::START, settings(512, 1 << 20), *b"server nonce 67890");
    let (mut input, mut output) = ([0xa5; 600], [0xa5; 700]);
    let mut machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
    run(&mut machine, script, shelf)
}

fn fetched(script: Script, desk: &mut Desk, run: fn(Machined<'_>, Script, &mut Desk) -> Everything) -> Everything {
    let nonce = b"client nonce 12345";
    let mut session = ClientSession::new(Instant::START, settings(512, 1 << 20), Credentials::Guest, nonce);
    let (mut input, mut output) = ([0xa5; 600], [0xa5; 700]);
    let mut machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
    run(&mut machine, script, desk)
}

type Machined<'m> = &'m mut dyn Machine;

fn small_put() -> Put<'static> {
    Put { path: "s", size: 5, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline: true }
}

fn limited(mut script: Script, calls: Option<usize>) -> Script {
    script.calls = calls;
    script
}

/// A session in which a client does everything, from its side.
fn client_says() -> Vec<u8> {
    let whole = octets(9000, 1);
    let blocks: Vec<u8> = whole.chunks(4096).flat_map(|block| Digest::of(block).0).collect();
    [
        come_in(),
        say(&Request::Put(small_put())),
        body(b"small", 4096),
        say(&Request::Put(Put { path: "f", size: 9000, inline: false, ..small_put() })),
        up(0, &whole),
        say(&Request::Finish { digest: Digest::of(&blocks) }),
        say(&Request::Get(Get { path: "f", offset: 0, length: 9000, block: 0, stamp: 0 })),
        say(&Request::List { path: "", cursor: 0 }),
        say(&Request::Sum { path: "f" }),
        say(&Request::Bye),
    ]
    .concat()
}

/// proves: R-VT-65
#[test]
fn whatever_fails_no_half_file_stays() {
    let said = client_says();
    let whole = octets(9000, 1);
    let mut longest = 0;
    for (input, ending) in [
        (&said[..], Ending::Eof),
        (&said[..], Ending::Silence),
        (&said[..5000], Ending::Reset),
        (&said[..5000], Ending::Silence),
        (&said[..14], Ending::Silence),
    ] {
        let all = served(Script::new(input, ending), &mut Shelf::new(), |m, s, store| blocked(m, s, store));
        for calls in 0..200 {
            for transport in [true, false] {
                let script = || limited(Script::new(input, ending).most(300), transport.then_some(calls));
                let shelf = || Shelf::new().calls((!transport).then_some(calls));
                let (mut one, mut two) = (shelf(), shelf());
                let first = served(script(), &mut one, |m, s, store| blocked(m, s, store));
                let second = served(script(), &mut two, |m, s, store| awaited(m, s, store));
                assert_eq!(first, second, "{calls} {transport} {ending:?}");
                assert_eq!(one.files, two.files);
                assert!(all.1.starts_with(&first.1));
                for (name, octets) in &one.files {
                    assert!(if name == "f" { *octets == whole } else { octets == b"small" });
                }
                if first.0.is_ok() {
                    longest = longest.max(calls);
                } else if input.len() == said.len() {
                    let failed = matches!(first.0, Err(DriveError::Store(Broken) | DriveError::Transport(_)));
                    assert!(failed, "{:?}", first.0);
                }
            }
        }
    }
    assert!(longest > 100, "some sessions come to their end");
}

#[test]
fn a_client_whose_store_or_wire_fails_keeps_no_half_file() {
    let whole = octets(9000, 1);
    let file = File { size: 9000, mtime: None, mode: None, stamp: 7, block: 12, offset: 0, length: 9000 };
    let said = [let_in(), say(&Reply::File(file)), super::peer::down(0, &whole)].concat();
    for ending in [Ending::Eof, Ending::Silence, Ending::Reset] {
        for calls in 0..120 {
            for transport in [true, false] {
                // The answers come when they are asked for: not before the first flight is read.
                let script = || {
                    let script = Script::new(&said, ending).most(300).cut(let_in().len());
                    limited(script, transport.then_some(calls))
                };
                let desk = || Desk::with([get("f")]).calls((!transport).then_some(calls));
                let (mut one, mut two) = (desk(), desk());
                let first = fetched(script(), &mut one, |m, s, store| blocked(m, s, store));
                let second = fetched(script(), &mut two, |m, s, store| awaited(m, s, store));
                assert_eq!(first, second, "{calls} {transport} {ending:?}");
                assert!(one.got.iter().all(|part| part.octets == whole));
                assert_eq!(one.got.len(), two.got.len());
            }
        }
    }
}

/// A store that answers one question with something else.
struct Odd<S> {
    store: S,
    /// The question, counted.
    at: usize,
    asked: usize,
    answer: Opened<'static>,
}

impl<S: Store<Error = Broken>> Store for Odd<S> {
    type Error = Broken;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Broken> {
        self.asked += 1;
        if self.asked == self.at + 1 {
            return Ok(self.answer);
        }
        // Octets are not kept; and what it is told about after the odd answer need not be true.
        let told = self.asked > self.at && !matches!(target, Target::Ask(Ask::Guest | Ask::Request(_) | Ask::Job));
        if told || matches!(target, Target::Ask(Ask::Verified { .. })) {
            return Ok(Opened::Answer(Answer::Reply(Reply::Done)));
        }
        self.store.open(target)
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Broken> {
        // No file is as large as some are said to be.
        Ok(if at < 1 << 17 { into.len() } else { 0 })
    }

    fn save(&mut self, _: u64, _: &[u8]) -> Result<(), Broken> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), Broken> {
        panic!("a session does not close")
    }
}

#[test]
fn answers_that_make_no_sense_do_no_harm() {
    let entry = Entry { name: "x", kind: EntryKind::File, size: 1, mtime: None, mode: None };
    let file = File { size: 9, mtime: None, mode: None, stamp: 7, block: 12, offset: 0, length: 9 };
    let long: &'static str = String::leak("é".repeat(3000));
    let reply = |reply| Opened::Answer(Answer::Reply(reply));
    let verifier = Verifier { salt: b"salt", iterations: 0, stored_key: [0; 32], server_key: [0; 32] };
    let answers = [
        Opened::Ready,
        Opened::Leave,
        Opened::Refused,
        Opened::Answer(Answer::Later),
        Opened::Answer(Answer::Over),
        Opened::Answer(Answer::Account(verifier)),
        Opened::Answer(Answer::Job(Request::Bye)),
        Opened::Answer(Answer::Job(Request::Guest)),
        Opened::Answer(Answer::Job(Request::Data(Data { at: 0, len: 0 }))),
        Opened::Answer(Answer::Job(Request::Stat { path: long })),
        Opened::Answer(Answer::Job(Request::Put(Put { size: u64::MAX, ..small_put() }))),
        Opened::Answer(Answer::Job(Request::Put(Put { block: 40, ..small_put() }))),
        Opened::Answer(Answer::Job(Request::Put(Put { size: u64::MAX, inline: false, ..small_put() }))),
        reply(Reply::Done),
        reply(Reply::Working),
        reply(Reply::Entry(entry)),
        reply(Reply::Entry(Entry { name: long, ..entry })),
        reply(Reply::End { cursor: 1 }),
        reply(Reply::Time(1)),
        reply(Reply::File(file)),
        reply(Reply::File(File { block: 0, ..file })),
        reply(Reply::File(File { offset: u64::MAX, length: 1 << 20, block: 20, ..file })),
        reply(Reply::Ready { offset: 0, block: 12 }),
        reply(Reply::Ready { offset: u64::MAX, block: 12 }),
        reply(Reply::Ready { offset: 0, block: 64 }),
        reply(Reply::Data(Data { at: 0, len: 9 })),
        reply(Reply::Repair { at: 0, len: 9 }),
        reply(Reply::Stored { digest: Digest::default() }),
        reply(Reply::SignIn { message: "" }),
        reply(Reply::Error { code: ErrorCode::Busy, text: long }),
    ];
    let whole = octets(9000, 1);
    let file = File { size: 9000, length: 9000, ..file };
    let said = [say(&Reply::File(file)), super::peer::down(0, &whole)].concat();
    for answer in answers {
        for at in 0..20 {
            let odd = |store| Odd { store, at, asked: 0, answer };
            for (input, output) in [(516, 512), (70_000, 70_000)] {
                let heard = Peer::new(&client_says()).buffers(input, output);
                // It ends, whatever it is.
                let _ = heard.serve_with(&mut odd(Shelf::new()), &Cell::new(0));
                let jobs = [get("f"), put("s", b"small", true), Job::Other(Request::Time), put("f", &whole, false)];
                let mut desk = Odd { store: Desk::with(jobs), at, asked: 0, answer };
                let script = Peer::new(&let_in())
                    .then(1, &said)
                    .then(1, &say(&Reply::Stored { digest: Digest::of(b"small") }))
                    .then(1, &say(&Reply::Time(1)))
                    .then(1, &say(&Reply::Ready { offset: 0, block: 12 }));
                let _ = script.buffers(input, output).fetch_with(&mut desk, Credentials::Guest, &Cell::new(0));
            }
        }
    }
}

/// Words that a file is stored leave only if that is true: a store that cannot keep it says so, and is asked once.
///
/// proves: R-VT-65
#[test]
fn what_cannot_be_kept_is_not_told() {
    let said = [come_in(), say(&Request::Put(small_put())), body(b"small", 4096), say(&Request::Bye)].concat();
    let error = Opened::Answer(Answer::Reply(Reply::Error { code: ErrorCode::NoSpace, text: "no" }));
    // Guest, the announcement, the block, the file, then whether it is kept.
    let mut shelf = Odd { store: Shelf::new(), at: 4, asked: 0, answer: error };
    let heard = Peer::new(&said).serve_with(&mut shelf, &Cell::new(0));
    assert_eq!((heard.ending, shelf.asked), (Ok(Outcome::Refused), 5));
    assert!(!heard.replies().iter().any(|reply| reply.starts_with("Stored")), "{:?}", heard.replies());
}

/// Buffers that are too small are refused, even if something is half written.
#[test]
fn buffers_below_the_least_end_a_session() {
    let mut session = ServerSession::new(Instant::START, settings(512, 0), [0; 18]);
    let (mut input, mut output) = (vec![0; 515], vec![0; 512]);
    let mut machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
    assert!(matches!(machine.want(), crate::stream::Want::Done(Err(_))));
    assert_eq!(Machine::deadline(&machine), None);
    let mut session = ClientSession::new(Instant::START, settings(600, 0), Credentials::Guest, &[0; 18]);
    let (mut input, mut output) = (vec![0; 603], vec![0; 512]);
    let mut machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
    assert!(matches!(machine.want(), crate::stream::Want::Done(Err(_))));
}
