//! Finishing files beside the thread that receives them.
//!
//! Of the calls that a small file takes, half come after its last octet: its time, its closing, its name. Another
//! processor can make those while the next file is received.
//!
//! **Guarantees**: results come in the order in which the files were given; a file has its name once its result is there.
//! **Memory**: a few hundred octets for each file under way, of which there are a few hundred at most. **Time**: who gives
//! more waits.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::{Finished, Home, HomeError, Upload};

/// Files that are handed over, synced and named together: to wake a thread for each would cost more than it saves, and
/// a sync costs a disk about as much for many as for one.
const TOGETHER: usize = 64;

/// Groups of files that may wait for the thread. Each file is open: most systems allow a program 1,024.
const GROUPS: usize = 2;

/// A thread that finishes files.
#[derive(Debug)]
pub struct Finisher {
    uploads: Option<SyncSender<Vec<Upload>>>,
    /// Files that are not handed over yet.
    group: Vec<Upload>,
    results: Receiver<Result<(), HomeError>>,
    /// Files without a result.
    given: usize,
    thread: Option<JoinHandle<()>>,
}

impl Finisher {
    /// Finishes files of `home`. `None` if the system gives no thread: then whoever asks does it himself.
    #[must_use]
    pub fn start(home: Arc<Home>) -> Option<Self> {
        let (uploads, receiver) = sync_channel::<Vec<Upload>>(GROUPS);
        let (sender, results) = channel();
        let finish = move || {
            for group in receiver {
                for result in settle(&home, group) {
                    // Whoever does not listen any more has his reasons.
                    let _ = sender.send(result);
                }
            }
        };
        let thread = thread::Builder::new().name("finish".into()).spawn(finish).ok()?;
        let group = Vec::with_capacity(TOGETHER);
        Some(Self { uploads: Some(uploads), group, results, given: 0, thread: Some(thread) })
    }

    /// Gives a file of which every octet is written and verified.
    pub fn give(&mut self, upload: Upload) {
        self.group.push(upload);
        self.given += 1;
        if self.group.len() >= TOGETHER {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let group = std::mem::replace(&mut self.group, Vec::with_capacity(TOGETHER));
        if let Some(uploads) = &self.uploads {
            // The thread ends only when this end is dropped.
            let _ = uploads.send(group);
        }
    }

    /// The result of the oldest file, if it is there.
    pub fn result(&mut self) -> Option<Result<(), HomeError>> {
        match self.results.try_recv() {
            Ok(result) => {
                self.given -= 1;
                Some(result)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Waits until all that was given is finished, and returns the results that have not been taken.
    pub fn finish(mut self) -> Vec<Result<(), HomeError>> {
        self.hand_over();
        drop(self.uploads.take());
        let results = self.results.iter().take(self.given).collect();
        self.join();
        results
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, its files stayed parts.
            let _ = thread.join();
        }
    }
}

/// What was given is finished all the same.
impl Drop for Finisher {
    fn drop(&mut self) {
        self.hand_over();
        drop(self.uploads.take());
        self.join();
    }
}

/// Completes and names a group of files; results in their order.
fn settle(home: &Home, group: Vec<Upload>) -> Vec<Result<(), HomeError>> {
    let mut finished: Vec<Finished> = Vec::with_capacity(group.len());
    let completed = group.into_iter().map(|upload| upload.complete().map(|done| finished.push(done)));
    let mut results: Vec<_> = completed.collect();
    let mut settled = home.settle(&mut finished).into_iter();
    for result in results.iter_mut().filter(|result| result.is_ok()) {
        *result = settled.next().unwrap_or(Ok(()));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Arriving;
    use feige_core::digest::Digest;
    use feige_core::wire::transfer::{ErrorCode, Path};

    #[test]
    fn results_come_in_order_and_files_have_names() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path(), None).unwrap();
        let mut finisher = Finisher::start(Arc::clone(&home)).unwrap();
        let names: Vec<String> = (0..700).map(|n| format!("f{n}")).collect();
        for (n, name) in names.iter().enumerate() {
            let arriving =
                Arriving { size: 3, mtime: None, mode: None, stamp: 1, block: 16, replace: false, fresh: false };
            let mut upload = home.receive(Path::parse(name).unwrap(), &arriving).unwrap();
            upload.write(0, b"abc").unwrap();
            // One of them is not whole.
            if n != 300 {
                upload.verified(0, 3, &[Digest::of(b"abc")]).unwrap();
            }
            finisher.give(upload);
        }
        let mut results: Vec<_> = std::iter::from_fn(|| finisher.result()).collect();
        results.extend(finisher.finish());
        assert_eq!(results.len(), 700);
        for (n, result) in results.iter().enumerate() {
            assert_eq!(result.is_err(), n == 300, "{n}: {result:?}");
        }
        assert!(results[300].as_ref().is_err_and(|error| error.code != ErrorCode::NoSpace));
        for (n, name) in names.iter().enumerate() {
            assert_eq!(folder.path().join(name).exists(), n != 300, "{name}");
        }
    }
}
