//! What both ends of a connection keep of it.

use super::intake::Intake;
use super::outlet::Outlet;
use crate::digest::{BlockDigest, Hasher};
use crate::stream::is_progress;
use crate::time::Instant;

/// Input, output and the time.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) intake: Intake,
    pub(super) outlet: Outlet,
    pub(super) out: Out,
    /// When the connection began.
    pub(super) began: Instant,
    /// When the peer last made progress; the time that the store took since then does not count.
    pub(super) since: Instant,
    /// When something was last done.
    now: Instant,
    /// Octets that moved since then.
    moved: u64,
}

/// What is happening with the output, whatever else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// It is being filled.
    Filling,
    /// The store is asked to keep what it says.
    Settling,
    /// The peer is told that this takes time, before all that it says; so many octets of [`WORKING`](super::WORKING) have
    /// left.
    Telling(usize),
    /// It is being written.
    Writing,
}

impl Link {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            intake: Intake::default(),
            outlet: Outlet::default(),
            out: Out::Filling,
            began: now,
            since: now,
            now,
            moved: 0,
        }
    }

    /// Whether the buffers hold nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.intake.len() == 0 && self.outlet.is_empty()
    }

    /// Something was completed.
    pub(super) fn progress(&mut self) {
        (self.since, self.moved) = (self.now, 0);
    }

    /// When something was last done.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// The peer, or only the time, got on.
    pub(super) fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// The store did something, and took from the last moment until `now`: that is not the peer's fault.
    pub(super) fn store_took_until(&mut self, now: Instant) {
        self.since = self.since.after_pause(self.now, now);
        self.now = now;
    }

    /// Octets moved, which is progress only if there are enough of them (R-VT-72).
    fn moved(&mut self, count: u64) {
        if is_progress(self.moved, count) {
            self.progress();
        } else {
            self.moved = self.moved.saturating_add(count);
        }
    }

    /// `n` octets were read.
    pub(super) fn read(&mut self, now: Instant, n: u64) {
        self.at(now);
        self.intake.filled(usize::try_from(n).unwrap_or(usize::MAX));
        self.moved(n);
    }

    /// `n` octets were written.
    pub(super) fn wrote(&mut self, now: Instant, n: u64) {
        self.at(now);
        self.outlet.wrote(usize::try_from(n).unwrap_or(usize::MAX));
        self.moved(n);
        if self.outlet.is_empty() {
            self.out = Out::Filling;
            self.progress();
        }
    }

    /// Fills in what is missing in the output, and turns to writing it. Until now nobody waited for the peer to take
    /// it.
    pub(super) fn write(&mut self, output: &mut [u8], hasher: &mut impl Hasher, file: Option<&mut BlockDigest>) {
        self.outlet.seal(output, hasher, file);
        self.out = if self.outlet.is_empty() { Out::Filling } else { Out::Writing };
        self.progress();
    }
}
