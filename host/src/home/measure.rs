//! How much of a home is used.
//!
//! A home with a quota keeps books, for which it is gone through once. One without is gone through when somebody asks: by one
//! thread, however many ask, and what it found is believed for ten times as long as that took. So guests who ask on and on take
//! no more than a tenth of a processor, and a home that is gone through in a moment is told as it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Home;
use super::ledger::{Ledger, lock};
use crate::store::space;

/// What was found is believed for so many times as long as it took to find it.
const BELIEVED: u32 = 10;

/// How often is looked whether it is found.
const TICK: Duration = Duration::from_millis(1);

/// How much room there is, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Apparent size of all files, parts among them.
    pub used: u64,
    /// What may be used; `None`: no limit but the disk.
    pub quota: Option<u64>,
    /// What may still be written to the disk, less a reserve for others; `None` if the system does not tell.
    pub free: Option<u64>,
}

/// What was found when a home was last gone through.
#[derive(Debug, Default)]
pub(super) struct Measured {
    under_way: bool,
    /// So much was used, which is believed until then.
    used: Option<(u64, Instant)>,
}

impl Home {
    /// How much is used, and how much may be. Waits until the home was gone through.
    #[must_use]
    pub fn space(self: &Arc<Self>) -> Space {
        loop {
            if let Some(space) = self.space_within(Duration::from_secs(1)) {
                return space;
            }
        }
    }

    /// The same; `None` if it takes longer than `patience`. Then somebody goes through the home.
    #[must_use]
    pub fn space_within(self: &Arc<Self>, patience: Duration) -> Option<Space> {
        let end = Instant::now() + patience;
        let used = if self.quota.is_some() {
            self.is_counted_within(patience).then(|| self.books().map_or(0, Ledger::used))?
        } else {
            loop {
                match self.measured() {
                    Some(used) => break used,
                    None if Instant::now() >= end => return None,
                    None => thread::sleep(TICK),
                }
            }
        };
        Some(Space { used, quota: self.quota, free: space::free(&self.dir) })
    }

    /// Whether it is known what is used of a home with a quota, which whoever changes it has to wait for.
    #[must_use]
    pub fn is_counted_within(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while self.quota.is_some() && self.ledger.get().is_none() && self.counting.load(Ordering::Acquire) {
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(TICK);
        }
        true
    }

    /// What is used of a home without a quota; `None`: a thread goes through it.
    fn measured(self: &Arc<Self>) -> Option<u64> {
        let mut measured = lock(&self.measured);
        if let Some((used, until)) = measured.used
            && Instant::now() < until
        {
            return Some(used);
        }
        if !std::mem::replace(&mut measured.under_way, true) {
            drop(measured);
            let home = Arc::clone(self);
            let measure = move || {
                let began = Instant::now();
                let used = home.survey(None).used;
                // Whoever waits for it looks a little later.
                let until = Instant::now() + (began.elapsed() * BELIEVED).max(5 * TICK);
                *lock(&home.measured) = Measured { under_way: false, used: Some((used, until)) };
            };
            if thread::Builder::new().name("measure".into()).spawn(measure.clone()).is_err() {
                measure();
            }
        }
        None
    }
}
