//! What is kept of a run that does not come to its end.

use embedded_io::ErrorKind;
use std::rc::Rc;
use std::vec::Vec;

use super::octets;
use super::pair::settings;
use super::peer::{Script, announce, come_in, down, here_is, let_in, up};
use super::stores::{Desk, Part, Shelf, get};
use crate::digest::{Digest, Scalar};
use crate::drive::blocking::{self, Scratch};
use crate::drive::{DriveError, salvage};
use crate::stream::testing::{Ending, Script as Wire};
use crate::stream::transfer::{Buffers, ClientSession, Credentials, ServerSession};
use crate::time::Instant;

const BLOCK: usize = 4096;

/// Sixteen blocks and a short one.
const SIZE: usize = 16 * BLOCK + 1000;

/// Buffers that hold less than a block, one block, some, and a whole run.
const ROOMS: [usize; 4] = [516, BLOCK, 20_000, 70_000];

fn file() -> Vec<u8> {
    octets(SIZE, 1)
}

/// What a server says of a file, and its first run.
fn served() -> Vec<u8> {
    [here_is(SIZE as u64), down(0, &file()[..16 * BLOCK])].concat()
}

/// A client that sends it.
fn sent() -> Vec<u8> {
    [come_in(), announce(SIZE as u64), up(0, &file()[..16 * BLOCK])].concat()
}

/// Cuts within a run, whose octets are the last of `len`, and how many blocks of it have come then.
fn cuts(len: usize) -> impl Iterator<Item = (usize, usize)> {
    let start = len - 16 * BLOCK;
    (0..=16 * BLOCK).step_by(BLOCK / 4).map(move |came| (start + came, came / BLOCK)).chain([(start - 1, 0)])
}

#[track_caller]
fn kept(part: Option<&Part>, blocks: usize) {
    let part = part.expect("the file is open");
    let verified: u64 = part.verified.iter().map(|&(_, len)| u64::from(len)).sum();
    assert_eq!(verified, (blocks * BLOCK) as u64, "{:?}", part.verified);
    assert!(part.octets.starts_with(&file()[..blocks * BLOCK]));
}

/// proves: R-VT-35
#[test]
fn whole_blocks_are_kept_when_their_run_ends_early() {
    for room in ROOMS {
        let (said, heard) = (sent(), served());
        for (cut, blocks) in cuts(said.len()) {
            for script in [Script::new(&said[..cut]), Script::new(&said[..cut]).silent()] {
                let mut shelf = Shelf::new();
                script.buffers(room, 512).serve(&mut shelf);
                kept(shelf.part.as_ref(), blocks);
            }
        }
        for (cut, blocks) in cuts(heard.len()) {
            let script = Script::new(&let_in()).then(1, &heard[..cut]).buffers(room, 512);
            for script in [script.clone(), script.silent()] {
                let mut desk = Desk::with([get("f")]);
                script.fetch(&mut desk);
                kept(desk.part.as_ref(), blocks);
            }
        }
    }
}

/// A connection that is reset, or dropped by its user, is as good as one that ends.
///
/// proves: R-VT-35
#[test]
fn whole_blocks_are_kept_when_the_connection_fails() {
    let (said, heard) = (sent(), [let_in(), served()].concat());
    for room in ROOMS {
        let (mut input, mut output) = (std::vec![0; room], [0; 512]);
        for (cut, blocks) in cuts(said.len()) {
            let (mut wire, mut shelf) = (Wire::new(&said[..cut], Ending::Reset), Shelf::new());
            let mut session = ServerSession::new(Instant::START, settings(512, 1 << 20), [0; 18]);
            let machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
            let ended = blocking::run(machine, &mut wire, &mut shelf, &mut Scratch(&mut []), || Instant::START);
            assert_eq!(ended, Err(DriveError::Transport(ErrorKind::ConnectionReset)));
            kept(shelf.part.as_ref(), blocks);
        }
        for (cut, blocks) in cuts(heard.len()) {
            let (mut wire, mut desk) =
                (Wire::new(&heard[..cut], Ending::Silence).cut(let_in().len()), Desk::with([get("f")]));
            let clock = Rc::clone(&wire.clock);
            let now = || Instant::from_millis(clock.get());
            let mut session = ClientSession::new(now(), settings(512, 1 << 20), Credentials::Guest, &[0; 18]);
            let mut machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
            // Until nothing more has come for a second.
            while clock.get() < 1000 {
                let step = blocking::step(&mut machine, &mut wire, &mut desk, &mut Scratch(&mut []), &mut { now });
                assert_eq!(step, Ok(None));
            }
            salvage(&mut machine, &mut desk, now);
            kept(desk.part.as_ref(), blocks);
        }
    }
}

/// proves: R-VT-35
#[test]
fn blocks_of_a_slow_link_do_not_wait_for_a_whole_run() {
    let said = sent();
    let start = said.len() - 16 * BLOCK;
    // Milliseconds between two blocks, and how many blocks are verified together then.
    for (every, most) in [(0, 16), (5, 16), (20, 6), (60, 3), (2000, 1)] {
        let blocks = said[start..].chunks(BLOCK);
        let script = blocks.fold(Script::new(&said[..start]), |script, block| script.then(every, block));
        let mut shelf = Shelf::new();
        script.buffers(70_000, 512).serve(&mut shelf);
        kept(shelf.part.as_ref(), 16);
        let verified = &shelf.part.as_ref().expect("open").verified;
        let longest = verified.iter().map(|&(_, len)| len as usize / BLOCK).max().expect("some");
        assert!(longest <= most, "{every} ms: {verified:?}");
        assert!(every > 5 || verified.len() == 1, "{every} ms: {verified:?}");
    }
}

/// A damaged block between sound ones is no reason to lose these.
#[test]
fn sound_blocks_around_a_damaged_one_are_kept() {
    let mut said = sent();
    let damaged = said.len() - 12 * BLOCK;
    said[damaged] ^= 1;
    for room in ROOMS {
        let mut shelf = Shelf::new();
        Script::new(&said[..said.len() - BLOCK]).buffers(room, 512).serve(&mut shelf);
        let part = shelf.part.expect("the file is open");
        let verified: Vec<u32> = part.verified.iter().map(|&(_, len)| len).collect();
        assert_eq!(verified.iter().sum::<u32>() as usize, 14 * BLOCK, "{:?}", part.verified);
        assert!(part.verified.iter().all(|&(at, len)| at + u64::from(len) <= 4 * 4096 || at >= 5 * 4096));
        assert_ne!(Digest::of(&part.octets[4 * BLOCK..5 * BLOCK]), Digest::of(&file()[4 * BLOCK..5 * BLOCK]));
    }
}
