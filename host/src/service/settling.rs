//! Files that are put on the disk, which may take longer than a client waits.
//!
//! A disk that is slow, or busy with what others wrote, may need minutes for a sync. So a thread does it, and whoever
//! waits for it looks up now and then: the client is told that somebody works, and other clients get their turn.
//!
//! **Guarantees**: what has begun is done to its end before this is dropped, so that a server that ends leaves no file
//! half-way. **Memory**: a thread while it works. **Time**: some 50 microseconds to start it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::home::{Finished, Home, HomeError};

/// How long is waited at a time.
const WHILE: Duration = Duration::from_millis(100);

/// What became of each file.
pub(super) type Settled = Vec<Result<(), HomeError>>;

/// Files that are settled: see the module.
#[derive(Debug)]
pub(super) struct Settling {
    settled: Receiver<Settled>,
    thread: Option<JoinHandle<()>>,
}

impl Settling {
    /// Begins to settle files of `home`. If the system has no thread, they are settled when this returns.
    pub(super) fn begin(home: &Arc<Home>, finished: Vec<Finished>) -> Self {
        let (sender, settled) = channel();
        // What a thread that cannot be started was to have is lost: so it comes for the files itself.
        let files = Arc::new(Mutex::new(finished));
        let settle = {
            let (home, files) = (Arc::clone(home), Arc::clone(&files));
            move || {
                let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                // Whoever does not wait any more has his reasons.
                let _ = sender.send(home.settle(&mut files));
            }
        };
        let thread = thread::Builder::new().name("settle".into()).spawn(settle.clone()).ok();
        if thread.is_none() {
            settle();
        }
        Self { settled, thread }
    }

    /// Waits for a moment; `None` if they are not settled yet.
    pub(super) fn wait(&self) -> Option<Settled> {
        match self.settled.recv_timeout(WHILE) {
            Ok(settled) => Some(settled),
            Err(RecvTimeoutError::Timeout) => None,
            // It does not panic; and if it did, its files stayed parts, and there is nothing good to tell of them.
            Err(RecvTimeoutError::Disconnected) => Some(Vec::new()),
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Arriving;
    use feige_core::digest::Digest;
    use feige_core::wire::transfer::Path;

    /// proves: R-VT-65, R-VT-73
    #[test]
    fn files_have_their_names_once_it_is_over_also_if_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path(), None).unwrap();
        let finished = |name: &str| {
            let arriving =
                Arriving { size: 3, mtime: None, mode: None, stamp: 1, block: 16, replace: false, fresh: false };
            let mut upload = home.receive(Path::parse(name).unwrap(), &arriving).unwrap();
            upload.write(0, b"abc").unwrap();
            upload.verified(0, 3, &[Digest::of(b"abc")]).unwrap();
            upload.complete().unwrap()
        };
        let settling = Settling::begin(&home, vec![finished("a"), finished("b")]);
        let settled = std::iter::from_fn(|| Some(settling.wait())).flatten().next().unwrap();
        assert!(settled.len() == 2 && settled.iter().all(Result::is_ok), "{settled:?}");
        drop(Settling::begin(&home, vec![finished("c")]));
        for name in ["a", "b", "c"] {
            assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), b"abc");
        }
    }
}
