//! Packet numbers that never repeat, not even across restarts (R-IP-11).
//!
//! iptux silently drops a message whose number is not above the last one that it saw from the address, and
//! every program takes a repeated number for a repeated message. So numbers start at the time, and the
//! first number that was never handed out is kept in a file: many short runs in one second, and a clock
//! that is set back, continue there. Numbers are reserved in blocks, because several runs share the file: one that
//! comes to the end of its block jumps ahead to the next that is free. What is not used of a block is a gap.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use feige_core::wire::ipmsg::PacketNo;

/// A number that is this far ahead of the clock is no memory of ours but a damaged file.
const MOST_AHEAD: u32 = 1 << 30;

/// The numbers that are reserved for this run.
#[derive(Debug)]
pub struct Numbers {
    file: Option<PathBuf>,
    first: PacketNo,
    /// The first number after the reserved ones.
    end: u32,
}

impl Numbers {
    /// Reserves `count` numbers in the file of this name in `folder`.
    ///
    /// If the file cannot be used, numbers start at the time, and the second value says why.
    #[must_use]
    pub fn reserve(folder: Option<&Path>, count: u32) -> (Self, Option<io::Error>) {
        let now = seconds();
        let fallback = |error| (Self { file: None, first: PacketNo(now), end: now.wrapping_add(count) }, error);
        let Some(folder) = folder else { return fallback(None) };
        let file = folder.join("packet-number");
        match std::fs::create_dir_all(folder).and_then(|()| reserve(&file, now, count)) {
            Ok(first) => (Self { file: Some(file), first: PacketNo(first), end: first.wrapping_add(count) }, None),
            Err(error) => fallback(Some(error)),
        }
    }

    /// The first reserved number.
    #[must_use]
    pub const fn first(&self) -> PacketNo {
        self.first
    }

    /// Reserves more if `next` comes near the end of what is reserved, and returns the number to go on with: `next`, or
    /// the first of another block if others reserved what follows this one. The rest of this one is not used then.
    ///
    /// To be called again before half of `count` numbers are used: so many are left at least.
    #[must_use]
    pub fn keep_ahead(&mut self, next: PacketNo, count: u32) -> PacketNo {
        let left = self.end.wrapping_sub(next.0);
        let overrun = left > MOST_AHEAD;
        if left > count / 2 && !overrun {
            return next;
        }
        let end = if overrun { next.0 } else { self.end };
        // Without a file nobody else is known, and if it cannot be written, a later run repeats a number at worst.
        let first = self.file.as_deref().and_then(|file| reserve(file, end, count).ok()).unwrap_or(end);
        self.end = first.wrapping_add(count);
        if first == end { next } else { PacketNo(first) }
    }

    /// Gives back what was not used, unless somebody reserved more in the meantime.
    pub fn give_back(&self, next: PacketNo) {
        if let Some(file) = &self.file {
            // At worst there is a gap.
            let _ = replace(file, self.end, next.0);
        }
    }
}

/// Reserves `count` numbers from `at_least` on, and returns the first.
fn reserve(path: &Path, at_least: u32, count: u32) -> io::Result<u32> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.lock()?;
    let first = match read(&file)? {
        Some(free) if free >= at_least && free - at_least < MOST_AHEAD => free,
        _ => at_least.max(1),
    };
    file.rewind()?;
    file.write_all(format!("{:10}\n", first.wrapping_add(count)).as_bytes())?;
    Ok(first)
}

/// Writes `next` if the file says `end`.
fn replace(path: &Path, end: u32, next: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.lock()?;
    if read(&file)? == Some(end) {
        file.rewind()?;
        file.write_all(format!("{next:10}\n").as_bytes())?;
    }
    Ok(())
}

fn read(file: &File) -> io::Result<Option<u32>> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The time modulo 2^32, as every program of the family counts.
    (since.as_secs() & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_never_overlap() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut last = 0;
        for _ in 0..50 {
            let (numbers, error) = Numbers::reserve(Some(folder.path()), 64);
            assert!(error.is_none());
            assert!(numbers.first().0 >= last, "{} repeats", numbers.first().0);
            assert!(numbers.first().0 >= seconds());
            last = numbers.first().0 + 64;
        }
    }

    #[test]
    fn a_busy_run_reserves_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut numbers, _) = Numbers::reserve(Some(folder.path()), 64);
        let first = numbers.first().0;
        let half = PacketNo(first + 31);
        assert_eq!(numbers.keep_ahead(half, 64), half, "there is enough left");
        let next = PacketNo(first + 60);
        assert_eq!(numbers.keep_ahead(next, 64), next, "nobody else is there: no number is left out");
        let (later, _) = Numbers::reserve(Some(folder.path()), 64);
        assert_eq!(later.first().0, first + 128);
    }

    /// proves: R-IP-11
    #[test]
    fn runs_that_share_the_file_never_use_the_same_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = || Numbers::reserve(Some(folder.path()), 64).0;
        let mut runs: Vec<(Numbers, PacketNo)> = Vec::new();
        let mut used = std::collections::HashSet::new();
        for step in 0..2000_u32 {
            // They come one after another, and use their numbers at different speeds.
            if step % 100 == 0 && runs.len() < 4 {
                let numbers = start();
                let next = numbers.first();
                runs.push((numbers, next));
            }
            for (speed, (numbers, next)) in (1..).zip(&mut runs) {
                for _ in 0..speed {
                    assert!(used.insert(next.0), "{} repeats", next.0);
                    *next = next.next();
                }
                let ahead = numbers.keep_ahead(*next, 64);
                assert!(ahead.0 >= next.0, "numbers rise");
                *next = ahead;
            }
        }
        let most = used.iter().max().expect("numbers");
        assert!(start().first().0 > *most, "a later run begins behind all of them");
    }

    #[test]
    fn a_run_goes_on_without_the_file() {
        let (mut numbers, _) = Numbers::reserve(None, 64);
        let next = PacketNo(numbers.first().0.wrapping_add(64));
        assert_eq!(numbers.keep_ahead(next, 64), next);
        let overrun = PacketNo(next.0.wrapping_add(1000));
        assert_eq!(numbers.keep_ahead(overrun, 64), overrun);
        let folder = tempfile::tempdir().expect("a folder");
        let (mut numbers, _) = Numbers::reserve(Some(folder.path()), 64);
        let next = PacketNo(numbers.first().0 + 50);
        std::fs::remove_dir_all(folder.path()).expect("the folder was there");
        assert_eq!(numbers.keep_ahead(next, 64), next);
    }

    #[test]
    fn what_was_not_used_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (numbers, _) = Numbers::reserve(Some(folder.path()), 1000);
        let next = PacketNo(numbers.first().0 + 10);
        numbers.give_back(next);
        let (second, _) = Numbers::reserve(Some(folder.path()), 1000);
        assert_eq!(second.first(), next);
        let (third, _) = Numbers::reserve(Some(folder.path()), 1000);
        second.give_back(second.first());
        assert_eq!(third.first().0, second.first().0 + 1000, "somebody else reserved in the meantime");
        let (fourth, _) = Numbers::reserve(Some(folder.path()), 1000);
        assert_eq!(fourth.first().0, third.first().0 + 1000);
    }

    #[test]
    fn a_damaged_file_or_none_is_no_obstacle() {
        let folder = tempfile::tempdir().expect("a folder");
        for damaged in ["", "x", "4294967295", "\u{fffd}", "1"] {
            std::fs::write(folder.path().join("packet-number"), damaged).expect("a file");
            let (numbers, _) = Numbers::reserve(Some(folder.path()), 64);
            assert!(numbers.first().0.abs_diff(seconds()) < 100, "{damaged}");
        }
        std::fs::write(folder.path().join("blocked"), "").expect("a file");
        let (numbers, error) = Numbers::reserve(Some(&folder.path().join("blocked")), 64);
        assert!(error.is_some());
        assert!(numbers.first().0.abs_diff(seconds()) < 100);
    }
}
