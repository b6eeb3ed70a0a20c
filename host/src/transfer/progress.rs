//! Telling how far a transfer is, not more often than anybody can see.

use std::time::{Duration, Instant};

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Octets that have come, or gone; with a resumed file, those of the earlier attempt included.
    pub done: u64,
    /// Octets in all, where that is known.
    pub total: Option<u64>,
    /// Files that are complete.
    pub files: u64,
}

/// Counts, and passes on every count that comes at least a tenth of a second after the one before.
#[derive(Debug)]
pub(crate) struct Meter {
    present: Progress,
    told: Instant,
}

impl Meter {
    const PAUSE: Duration = Duration::from_millis(100);

    /// Counts from `done` octets to `total`.
    pub(crate) fn new(done: u64, total: Option<u64>) -> Self {
        Self { present: Progress { done, total, files: 0 }, told: Instant::now() }
    }

    /// `octets` more.
    pub(crate) fn octets(&mut self, octets: u64, tell: impl FnOnce(Progress)) {
        self.present.done = self.present.done.saturating_add(octets);
        self.tell(tell);
    }

    /// One more file is complete.
    pub(crate) fn file(&mut self, tell: impl FnOnce(Progress)) {
        self.present.files += 1;
        self.tell(tell);
    }

    fn tell(&mut self, tell: impl FnOnce(Progress)) {
        let now = Instant::now();
        if now.duration_since(self.told) >= Self::PAUSE {
            self.told = now;
            tell(self.present);
        }
    }
}
