//! Runs that somebody else hashes: whoever does, and however late, nothing else is different.

use std::cell::Cell;
use std::vec::Vec;

use super::pair::{Pair, Pipe, Step, settings, step};
use super::peer::{Heard, Script, announce, come_in, down, here_is, let_in, say, up};
use super::stores::{Broken, Desk, Part, Shelf, get};
use super::turns::{Manner, Turns};
use super::{complete, octets, put};
use crate::digest::Scalar;
use crate::stream::transfer::{Answer, Ask, Buffers, ClientSession, Credentials, ServerSession};
use crate::stream::{Machine, Opened, Outcome, Store, Target, Want};
use crate::time::Instant;
use crate::wire::transfer::{ErrorCode, Reply, Request};

const BLOCK: usize = 4096;
const RUN: usize = 16 * BLOCK;

/// Three runs and a short one.
const SIZE: usize = 3 * RUN + 1000;

fn file() -> Vec<u8> {
    octets(SIZE, 1)
}

/// What a server says of the file, and its first whole runs.
fn served(runs: usize) -> Vec<u8> {
    (0..runs)
        .fold(here_is(SIZE as u64), |said, run| [said, down((run * RUN) as u64, &file()[run * RUN..][..RUN])].concat())
}

/// What a client says that sends it.
fn sent(runs: usize) -> Vec<u8> {
    let head = [come_in(), announce(SIZE as u64)].concat();
    (0..runs).fold(head, |said, run| [said, up((run * RUN) as u64, &file()[run * RUN..][..RUN])].concat())
}

fn in_large_buffers(script: Script) -> Script {
    script.buffers(70_000, 512)
}

#[track_caller]
fn in_order(part: &Part) -> usize {
    let mut end = 0;
    for &(at, len) in &part.verified {
        assert!(at >= end, "{:?}", part.verified);
        end = at + u64::from(len);
    }
    part.verified.iter().map(|&(_, len)| len as usize).sum()
}

/// A store that looks at what it is told of verified blocks first, and may say no.
struct Watched<S, F>(S, F);

impl<S: Store<Error = Broken>, F: FnMut(u64) -> bool> Store for Watched<S, F> {
    type Error = Broken;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Broken> {
        match target {
            Target::Ask(Ask::Verified { at, .. }) if !(self.1)(at) => {
                Ok(Opened::Answer(Answer::Reply(Reply::Error { code: ErrorCode::NoSpace, text: "full" })))
            }
            _ => self.0.open(target),
        }
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Broken> {
        self.0.load(at, into)
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Broken> {
        self.0.save(at, octets)
    }

    fn close(&mut self) -> Result<(), Broken> {
        self.0.close()
    }
}

/// proves: R-VT-34, R-VT-53, R-VT-64
#[test]
fn files_come_whole_whoever_hashes_them() {
    let file = octets(600_000, 1);
    for flips in [&[][..], &[5000], &[70_000, 290_000, 299_000, 470_000], &[599_000]] {
        let mut hashed = Vec::new();
        for (manner, most) in Manner::ALL.into_iter().flat_map(|manner| [(manner, usize::MAX), (manner, 14_600)]) {
            let mut shelf = Shelf::new();
            shelf.files.insert("f".into(), file.clone());
            let mut pair = Pair::new(shelf, [get("f")]).most(most);
            (pair.manner, pair.down.flip) = (manner, flips.iter().map(|at| at + 700).collect());
            complete(&mut pair);
            assert_eq!(
                (pair.desk.got[0].octets == file, pair.desk.repairs),
                (true, flips.len()),
                "{manner:?} {flips:?}"
            );

            let mut pair = Pair::new(Shelf::new(), [put("g", &file, false)]).most(most);
            (pair.manner, pair.up.flip) = (manner, flips.iter().map(|at| at + 700).collect());
            complete(&mut pair);
            assert!(pair.shelf.files["g"] == file, "{manner:?} {flips:?}");
            hashed.push(pair.hashed.inputs - flips.len());
        }
        // Only a short run, what is sent again, and what nobody else took is hashed by the session's own hasher.
        let [never, _, at_once, _, late, _, fickle, _] = hashed[..] else { panic!("{hashed:?}") };
        assert_eq!(never, 600_000_usize.div_ceil(BLOCK));
        assert_eq!((at_once, late), (0, 0));
        assert!(fickle > at_once && fickle < never, "{fickle}");
    }
}

/// proves: R-VT-35
#[test]
fn what_has_come_is_kept_whoever_hashes_it() {
    let (said, heard) = (sent(3), served(3));
    let blocks = |cut: usize, whole: &dyn Fn(usize) -> Vec<u8>| {
        let came = (1..=3).map(|run| (cut + RUN).saturating_sub(whole(run).len()).min(RUN) / BLOCK);
        came.sum::<usize>()
    };
    for manner in Manner::ALL {
        for cut in (sent(1).len() - BLOCK..=said.len()).step_by(BLOCK * 7 / 4).chain([sent(2).len(), said.len()]) {
            let script = in_large_buffers(Script::new(&said[..cut])).manner(manner);
            for script in [script.clone(), script.silent()] {
                let mut shelf = Shelf::new();
                script.serve(&mut shelf);
                let part = shelf.part.expect("the file is open");
                assert_eq!(in_order(&part), blocks(cut, &sent) * BLOCK, "{manner:?} {cut}");
                assert!(part.octets.starts_with(&file()[..in_order(&part)]));
            }
            let cut = cut - sent(0).len() + served(0).len();
            let script = Script::new(&let_in()).then(1, &heard[..cut.min(heard.len())]);
            let script = in_large_buffers(script).manner(manner);
            for script in [script.clone(), script.silent()] {
                let mut desk = Desk::with([get("f")]);
                script.fetch(&mut desk);
                let part = desk.part.expect("the file is open");
                assert_eq!(in_order(&part), blocks(cut, &served) * BLOCK, "{manner:?} {cut}");
            }
        }
    }
}

/// proves: R-VT-35
#[test]
fn nothing_waits_long_for_what_comes_next() {
    for manner in Manner::ALL {
        let (told, clock) = (Cell::new((0, 0)), Cell::new(0));
        let watch = |_| {
            told.set((told.get().0 + 1, clock.get()));
            true
        };
        let script = Script::new(&sent(2)).then(3000, &[1]).silent();
        in_large_buffers(script).manner(manner).serve_with(&mut Watched(Shelf::new(), watch), &clock);
        assert!(told.get().0 == 2 && told.get().1 <= 100, "{manner:?} {told:?}");

        told.set((0, 0));
        clock.set(0);
        let script = Script::new(&let_in()).then(1, &served(2)).then(3000, &[1]).silent();
        let mut store = Watched(Desk::with([get("f")]), watch);
        in_large_buffers(script).manner(manner).fetch_with(&mut store, Credentials::Guest, &clock);
        assert!(told.get().0 == 2 && told.get().1 <= 101, "{manner:?} {told:?}");
    }
}

#[test]
fn who_waits_for_digests_is_not_idle() {
    let (mut turns, mut output) = (Turns::new(70_000, Manner::Late), [0; 512]);
    let (mut from, mut to) = (Pipe { octets: sent(1).into(), ..Pipe::default() }, Pipe::default());
    let (mut shelf, clock) = (Shelf::new(), Cell::new(0));
    let mut session = ServerSession::new(Instant::START, settings(512, 1 << 20), [0; 18]);
    for (idle, now) in [(false, 0), (true, 100)] {
        clock.set(now);
        let mut machine = session.with(Buffers { input: &mut turns, output: &mut output }, Scalar);
        machine.expire(Instant::from_millis(now));
        while !matches!(step(&mut machine, &mut from, &mut to, usize::MAX, &clock, &mut shelf), Step::Blocked) {}
        assert_eq!(session.is_idle(), idle, "after {now} ms");
        assert_eq!(in_order(shelf.part.as_ref().expect("the file is open")), if idle { RUN } else { 0 });
    }
}

/// A driver that says that something was read, while the store is asked.
#[test]
fn only_the_store_answers_what_it_is_asked() {
    fn check(mut machine: impl Machine, said: [Vec<u8>; 2], mut store: impl Store<Error = Broken>) {
        let (mut from, mut to, mut said) = (Pipe::default(), Pipe::default(), said.into_iter());
        let is_asked = |want: &Want<'_>| matches!(want, Want::Open(Target::Ask(Ask::Verified { .. })));
        while !is_asked(&machine.want()) {
            match step(&mut machine, &mut from, &mut to, usize::MAX, &Cell::new(0), &mut store) {
                Step::Moved => {}
                Step::Blocked => from.octets.extend(said.next().expect("it is asked")),
                Step::Over(ending) => panic!("{ending:?}"),
            }
        }
        for n in [0, 7, 0, u64::MAX] {
            machine.done(Instant::START, n);
            assert!(is_asked(&machine.want()));
        }
        machine.opened(Instant::START, Opened::Answer(Answer::Reply(Reply::Done)));
        assert!(matches!(machine.want(), Want::Read(_)), "{:?}", machine.want());
    }
    let (mut turns, mut output) = (Turns::new(70_000, Manner::AtOnce), [0; 512]);
    let mut session = ServerSession::new(Instant::START, settings(512, 1 << 20), [0; 18]);
    check(
        session.with(Buffers { input: &mut turns, output: &mut output }, Scalar),
        [sent(0), sent(1)[sent(0).len()..].to_vec()],
        Shelf::new(),
    );
    let mut session = ClientSession::new(Instant::START, settings(512, 1 << 20), Credentials::Guest, &[0; 18]);
    let machine = session.with(Buffers { input: &mut turns, output: &mut output }, Scalar);
    check(machine, [let_in(), served(1)], Desk::with([get("f")]));
}

/// What becomes of a session: what it said, how it ended, and which blocks its store has.
fn outcome(run: impl Fn(Manner) -> (Heard, Option<Part>)) {
    let [expected, others @ ..] = Manner::ALL.map(|manner| {
        let (mut heard, part) = run(manner);
        // More may have been saved before the store says no.
        if let Ok(Outcome::Complete(totals)) = &mut heard.ending {
            totals.octets = 0;
        }
        (heard, part.map(|part| in_order(&part)))
    });
    for (other, manner) in others.iter().zip(&Manner::ALL[1..]) {
        assert_eq!(*other, expected, "{manner:?}");
    }
}

#[test]
fn it_ends_the_same_whoever_hashes() {
    let whole = [sent(3), up((3 * RUN) as u64, &file()[3 * RUN..])].concat();
    let finish = say(&Request::Finish { digest: crate::digest::Digest::default() });
    let late_run = up((2 * RUN) as u64, &file()[..RUN]);
    let list = say(&Request::List { path: "", cursor: 0 });
    let bye = say(&Request::Bye);
    let with = |rest: &[&[u8]]| [&sent(2)[..], &rest.concat()].concat();
    for said in [
        [&whole[..], &finish, &bye].concat(),
        with(&[&finish, &bye]),
        with(&[&late_run, &finish, &bye]),
        with(&[&up(0, &file()[..RUN]), &bye]),
        with(&[&list, &bye]),
        with(&[&[0; 4]]),
        with(&[&[0xff; 40]]),
    ] {
        for full in [u64::MAX, 0, RUN as u64, 2 * RUN as u64] {
            outcome(|manner| {
                let mut store = Watched(Shelf::new(), |at| at < full);
                let script = in_large_buffers(Script::new(&said)).manner(manner);
                let heard = script.serve_with(&mut store, &Cell::new(0));
                (heard, store.0.part)
            });
        }
    }
    let error = say(&Reply::Error { code: ErrorCode::Internal, text: "the disk" });
    let with = |rest: &[&[u8]]| [&served(2)[..], &rest.concat()].concat();
    for said in [
        [served(3), down((3 * RUN) as u64, &file()[3 * RUN..]), say(&Reply::Done)].concat(),
        with(&[&error, &say(&Reply::Done)]),
        with(&[&down(0, &file()[..RUN])]),
        with(&[&say(&Reply::Done)]),
        with(&[&[0; 4]]),
        with(&[&[0xff; 40]]),
    ] {
        for full in [u64::MAX, 0, RUN as u64, 2 * RUN as u64] {
            outcome(|manner| {
                let mut store = Watched(Desk::with([get("f")]), |at| at < full);
                let script = in_large_buffers(Script::new(&let_in()).then(1, &said)).manner(manner);
                let heard = script.fetch_with(&mut store, Credentials::Guest, &Cell::new(0));
                (heard, store.0.part)
            });
        }
    }
}
