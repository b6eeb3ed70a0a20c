//! Parts that are hashed again after a restart of the machine, which for a large one on a slow disk takes minutes.
//!
//! A thread does it, and whoever wants to go on with the part looks up now and then.
//!
//! **Guarantees**: the part belongs to the check until it is over. What was hashed stays believed if the check is given up
//! before. **Memory**: a thread and some 4 MiB while it works. **Time**: as long as the disk needs to read the part; to give it up,
//! as long as for 4 MiB.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::HomeError;
use super::ledger::lock;
use super::sums::Sums;
use super::upload::RECEIVE;

/// A part that is hashed again: see the module. Dropped before it is over, it is given up.
#[derive(Debug)]
pub struct Check {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    path: String,
}

/// What the thread and those who wait for it know.
#[derive(Debug, Default)]
struct Shared {
    result: Mutex<Option<Result<(), io::ErrorKind>>>,
    over: Condvar,
    unwanted: AtomicBool,
}

impl Check {
    /// Begins with a part that nobody else has. If the system has no thread, it is over when this returns.
    pub(super) fn begin(part: File, sums: Sums, path: &str) -> Self {
        let shared = Arc::<Shared>::default();
        // What a thread that cannot be started was to have is lost: so it comes for the part itself.
        let claimed = Arc::new(Mutex::new(Some((part, sums))));
        let check = {
            let shared = Arc::clone(&shared);
            move || {
                let Some((part, mut sums)) = lock(&claimed).take() else { return };
                let wanted = || !shared.unwanted.load(Ordering::Relaxed);
                let result = sums.compare(&part, wanted).map(drop).map_err(|error| error.kind());
                // Whoever hears that it is over takes the part up.
                drop((part, sums));
                *lock(&shared.result) = Some(result);
                shared.over.notify_all();
            }
        };
        let thread = thread::Builder::new().name("check".into()).spawn(check.clone()).ok();
        if thread.is_none() {
            check();
        }
        Self { shared, thread, path: path.to_owned() }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        lock(&self.shared.result).is_some()
    }

    /// Waits for it; `None` if it takes longer than `patience`.
    ///
    /// # Errors
    /// What is kept beside the part could not be written: nothing more is believed than before.
    pub fn wait(&self, patience: Duration) -> Option<Result<(), HomeError>> {
        let result = lock(&self.shared.result);
        let waited = self.shared.over.wait_timeout_while(result, patience, |result| result.is_none());
        let result = *waited.unwrap_or_else(PoisonError::into_inner).0;
        result.map(|result| result.map_err(|kind| HomeError::io(RECEIVE, &self.path, &kind.into())))
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.shared.unwanted.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
