use std::string::String;
use std::vec;
use std::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, NorFlashError, NorFlashErrorKind};

use super::*;

const PAGE: usize = 512;
const PAGES: usize = 12;
const WORD: usize = 8;

/// A chip whose power fails in the midst of the operation number `fuse`.
#[derive(Clone, Debug)]
struct Chip {
    octets: Vec<u8>,
    fuse: Option<u32>,
    operations: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NoPower;

impl NorFlashError for NoPower {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl Chip {
    fn new() -> Self {
        Self { octets: vec![0xff; PAGE * PAGES], fuse: None, operations: 0 }
    }

    fn with_fuse(fuse: u32) -> Self {
        Self { fuse: Some(fuse), ..Self::new() }
    }

    /// How many of `count` steps of an operation are still done.
    fn powered(&mut self, count: usize) -> (usize, Result<(), NoPower>) {
        self.operations += 1;
        match self.fuse {
            Some(fuse) if fuse < self.operations => (0, Err(NoPower)),
            Some(fuse) if fuse == self.operations => (count / 2, Err(NoPower)),
            _ => (count, Ok(())),
        }
    }
}

impl ErrorType for Chip {
    type Error = NoPower;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NoPower> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4), "reads are of whole words");
        if self.fuse.is_some_and(|fuse| fuse <= self.operations) {
            return Err(NoPower);
        }
        bytes.copy_from_slice(&self.octets[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.octets.len()
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NoPower> {
        assert!((from as usize).is_multiple_of(PAGE) && (to as usize).is_multiple_of(PAGE) && from < to);
        for page in (from as usize..to as usize).step_by(PAGE) {
            let (count, result) = self.powered(PAGE);
            self.octets[page..][..count].fill(0xff);
            result?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NoPower> {
        assert!(
            (offset as usize).is_multiple_of(WORD) && bytes.len().is_multiple_of(WORD),
            "writes are of whole words"
        );
        for (place, word) in (offset as usize..).step_by(WORD).zip(bytes.chunks(WORD)) {
            // A word is written once after each erasure; only half a word may be completed with the same octets.
            let there = &self.octets[place..][..WORD];
            assert!(there.iter().zip(word).all(|(&old, &new)| old & new == new), "written twice at {place}");
            let (count, result) = self.powered(WORD);
            self.octets[place..][..count].copy_from_slice(&word[..count]);
            result?;
        }
        Ok(())
    }
}

type Files = FlashStore<Chip, 6>;

/// The files of a store and what is in them.
type State = Vec<(String, Vec<u8>)>;

fn mount(chip: Chip) -> Files {
    Files::mount(chip, 2).unwrap()
}

fn put(store: &mut Files, name: &str, octets: &[u8], piece: usize) -> Result<(), StoreError> {
    let file = store.create(&Name::new(name.as_bytes()), octets.len() as u64)?;
    for piece in octets.chunks(piece) {
        store.append(file, piece)?;
    }
    store.finish(file, 1_700_000_000)
}

fn content(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| seed.wrapping_mul(31) ^ (at as u8) ^ (at >> 8) as u8).collect()
}

fn all(store: &mut Files) -> State {
    let entries: Vec<_> =
        store.files().map(|e| (e.id, String::from_utf8(e.name.as_bytes().to_vec()).unwrap(), e.size)).collect();
    let mut all: Vec<_> = entries
        .into_iter()
        .map(|(id, name, size)| {
            let mut octets = vec![0; size as usize];
            // In odd pieces, at odd places.
            let mut at = 0;
            while at < octets.len() {
                let most = (at + 13).min(octets.len());
                at += store.read(id, at as u64, &mut octets[at..most]).unwrap();
            }
            assert_eq!(store.read(id, size, &mut [0; 4]), Ok(0));
            (name, octets)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn files_are_there_after_a_restart() {
    let mut store = mount(Chip::new());
    put(&mut store, "a.txt", &content(1, 1000), 7).unwrap();
    put(&mut store, "leer", b"", 1).unwrap();
    put(&mut store, "b.bin", &content(2, 512), 512).unwrap();
    put(&mut store, "a.txt", &content(3, 33), 100).unwrap();
    let id = store.find(b"b.bin").unwrap().id;
    store.remove(id).unwrap();
    let expected = vec![("a.txt".into(), content(3, 33)), ("leer".into(), vec![])];
    assert_eq!(all(&mut store), expected);
    let mut store = mount(store.into_flash());
    assert_eq!(all(&mut store), expected);
    assert_eq!(store.find(b"a.txt").unwrap().modified, 1_700_000_000);
}

#[test]
fn full_is_an_answer_and_pages_are_used_in_turn() {
    let mut store = mount(Chip::new());
    let total = store.space().total;
    assert_eq!(total, (PAGE * (PAGES - 2)) as u64);
    assert!(matches!(put(&mut store, "x", &vec![0; total as usize + 1], 64), Err(StoreError::Full { .. })));
    put(&mut store, "x", &content(1, 3 * PAGE), 64).unwrap();
    assert_eq!(store.space().free, total - 3 * PAGE as u64);
    let before = store.into_flash().octets;
    // The same name over and over does not wear the same pages out.
    let mut store = mount(Chip { octets: before, ..Chip::new() });
    let mut places = std::collections::BTreeSet::new();
    for round in 0..30 {
        put(&mut store, "x", &content(round, 3 * PAGE), 64).unwrap();
        places.insert(store.table.iter().next().unwrap().1.at);
    }
    assert!(places.len() >= 3, "{places:?}");
    for number in 0..5 {
        put(&mut store, &std::format!("{number}"), b"1", 1).unwrap();
    }
    assert_eq!(put(&mut store, "one more", b"", 1), Err(StoreError::TooMany));
}

#[test]
fn what_is_no_directory_can_be_formatted() {
    let garbage = Chip { octets: content(9, PAGE * PAGES), ..Chip::new() };
    let mut store = Files::mount(garbage.clone(), 2).or_else(|_| Files::format(garbage, 2)).unwrap();
    put(&mut store, "a", b"abc", 1).unwrap();
    assert_eq!(all(&mut store), [("a".into(), b"abc".to_vec())]);
}

/// Everything that a store does, for long enough that the directory changes pages several times.
fn scenario(store: &mut Files, mut step: impl FnMut(&mut Files)) -> Result<(), StoreError> {
    for round in 0..12_u8 {
        put(store, "config.txt", &content(round, 100 + usize::from(round) * 50), 9)?;
        step(store);
        put(store, "log", &content(round + 100, 700), 64)?;
        step(store);
        if round % 3 == 2 {
            let id = store.find(b"log").map(|entry| entry.id).ok_or(StoreError::Gone)?;
            store.remove(id)?;
            step(store);
        }
    }
    Ok(())
}

/// The power fails at every single erasure and every single word that is written: before and after there are states, and
/// what is found is one of them.
#[test]
fn a_power_cut_at_every_operation() {
    let mut states: Vec<(u32, State)> = vec![(0, Vec::new())];
    let mut store = mount(Chip::new());
    scenario(&mut store, |store| {
        let state = all(store);
        states.push((store.flash.operations, state));
    })
    .unwrap();
    let operations = store.into_flash().operations;
    assert!(operations > 1_000, "{operations}");
    for fuse in 1..=operations {
        let mut store = mount(Chip::with_fuse(fuse));
        let _ = scenario(&mut store, |_| {});
        let chip = Chip { fuse: None, ..store.into_flash() };
        let mut store = mount(chip);
        let found = all(&mut store);
        let before = states.iter().rposition(|(at, _)| *at < fuse).unwrap();
        let possible = &states[before..states.len().min(before + 2)];
        assert!(
            possible.iter().any(|(_, state)| *state == found),
            "power cut at operation {fuse} of {operations}: {:?}",
            found.iter().map(|(name, octets)| (name, octets.len())).collect::<Vec<_>>()
        );
        // And it goes on.
        put(&mut store, "after", &content(7, 900), 50).unwrap();
        put(&mut store, "config.txt", b"new", 1).unwrap();
        let mut store = mount(store.into_flash());
        let after = all(&mut store);
        assert!(
            after.contains(&("after".into(), content(7, 900)))
                && after.contains(&("config.txt".into(), b"new".to_vec()))
        );
    }
}
