//! Runs that somebody else hashes while the session goes on with the next ones.
//!
//! Who receives on two processors, and waits for neither disk nor network, is slowed down by what hashing takes. So an
//! [`Input`] may have several buffers: a run is saved, its buffer is put aside for another processor, and the session reads
//! on into the next one. What was put aside is judged in order, and before anything that came later: a store sees no
//! difference but that octets may have been saved before they were verified, as those of a block that does not fit the
//! buffer always are.

use core::ops::Range;

use heapless::Vec;

use super::receiving::Receiving;
use super::segment::{PATIENCE, Segment};
use super::{Ask, MOST_BLOCKS};
use crate::digest::Digest;
use crate::time::Instant;

/// The most runs that a session puts aside. A microcontroller has one processor.
pub(super) const MOST: usize = if cfg!(target_os = "none") { 0 } else { 3 };

/// What a session reads into: a slice, or several buffers that take turns, so that somebody else may hash what is in one
/// while the session reads into another.
///
/// At most three runs are put aside at a time, and they are taken back in order.
pub trait Input {
    /// The buffer.
    fn octets(&self) -> &[u8];

    /// The buffer, to be read into.
    fn octets_mut(&mut self) -> &mut [u8];

    /// Whether the buffer can be put aside now.
    fn has_spare(&mut self) -> bool {
        false
    }

    /// Puts the buffer aside, to have the blocks of `block` octets hashed that are in its range `run`. From now on it
    /// has another one, as long, which begins with what was in the range `rest`.
    ///
    /// Called only if [it can](Self::has_spare).
    fn put_aside(&mut self, _run: Range<usize>, _block: usize, _rest: Range<usize>) {}

    /// Takes back what was put aside first, and puts the digests of its blocks to the front of `digests`. If they are not
    /// there yet it returns false, unless it is to `wait` for them.
    fn take_back(&mut self, _wait: bool, _digests: &mut [Digest]) -> bool {
        false
    }

    /// Nobody needs what was put aside any more.
    fn forget(&mut self) {}
}

impl<B: AsRef<[u8]> + AsMut<[u8]> + ?Sized> Input for B {
    fn octets(&self) -> &[u8] {
        self.as_ref()
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        self.as_mut()
    }
}

/// The runs that are put aside, oldest first.
#[derive(Debug, Default)]
pub(super) struct Asides {
    runs: Vec<Segment, MOST>,
    /// Since when the last of them waits.
    since: Option<Instant>,
    /// They are not to wait any longer.
    hurried: bool,
}

impl Asides {
    // Where none is put aside the compiler is to know it: then it leaves out all that follows.
    pub(super) fn is_empty(&self) -> bool {
        MOST == 0 || self.runs.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        MOST == 0 || self.runs.is_full()
    }

    /// This run was put aside.
    pub(super) fn push(&mut self, run: Segment, now: Instant) {
        // Asked before: there is room.
        let _ = self.runs.push(run);
        self.since = Some(now);
    }

    /// Judges the runs whose digests are there, until the store is to be told of one. `due`: waits for the digests.
    pub(super) fn advance(&mut self, input: &mut (impl Input + ?Sized), file: &mut Receiving, due: bool) {
        while let Some(run) = self.runs.first_mut().filter(|run| !run.reports()) {
            let mut digests = [Digest::default(); MOST_BLOCKS];
            if !input.take_back(due || self.hurried, &mut digests) {
                return;
            }
            run.compare(&digests, file);
            if !run.reports() {
                self.drop_oldest();
            }
        }
    }

    /// Whether the store is told of blocks that are sound.
    pub(super) fn reports(&self) -> bool {
        !self.is_empty() && self.runs.first().is_some_and(Segment::reports)
    }

    /// What it is told.
    pub(super) fn ask(&self) -> Option<Ask<'_>> {
        self.runs.first().filter(|_| !self.is_empty())?.verified()
    }

    /// The store has heard.
    pub(super) fn reported(&mut self) {
        if let Some(run) = self.runs.first_mut() {
            run.reported();
            if !run.reports() {
                self.drop_oldest();
            }
        }
    }

    fn drop_oldest(&mut self) {
        if !self.runs.is_empty() {
            self.runs.rotate_left(1);
        }
        self.runs.pop();
        if self.runs.is_empty() {
            (self.since, self.hurried) = (None, false);
        }
    }

    /// Nothing of them is wanted any more.
    pub(super) fn clear(&mut self, input: &mut (impl Input + ?Sized)) {
        *self = Self::default();
        input.forget();
    }

    /// Until when they may wait for what comes next; `None` if none does.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = !self.is_empty() && !self.hurried && !self.reports();
        self.since.filter(|_| waits).map(|since| since + PATIENCE)
    }

    /// They wait no more. False if there are none.
    pub(super) fn hurry(&mut self) -> bool {
        self.hurried = !self.is_empty();
        self.hurried
    }
}
