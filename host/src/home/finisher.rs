//! Finishing files beside the thread that receives them.
//!
//! Of the calls that a small file takes, half come after its last octet: its time, its closing, its name. Another
//! processor can make those while the next file is received.
//!
//! **Guarantees**: results come in the order in which the files were given; a file has its name once its result is there.
//! **Memory**: a few hundred octets for each file under way, of which there are [`MOST`]. **Time**: who gives more waits.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::{self, JoinHandle};

use super::{Finished, Home, HomeError, Upload};

/// Files that may be given before the first of them is finished. Each is open: most systems allow a program 1,024.
const MOST: usize = 128;

/// Files that are synced and named together: a sync costs a disk about as much for many as for one.
const TOGETHER: usize = 128;

/// A thread that finishes files.
#[derive(Debug)]
pub struct Finisher {
    uploads: Option<SyncSender<Upload>>,
    results: Receiver<Result<(), HomeError>>,
    /// Files without a result.
    given: usize,
    thread: Option<JoinHandle<()>>,
}

impl Finisher {
    /// Finishes files of `home`. `None` if the system gives no thread: then whoever asks does it himself.
    #[must_use]
    pub fn start(home: Arc<Home>) -> Option<Self> {
        let (uploads, receiver) = sync_channel(MOST);
        let (sender, results) = channel();
        let finish = move || {
            let mut outcomes = Vec::with_capacity(TOGETHER);
            while let Ok(first) = receiver.recv() {
                outcomes.push(Upload::complete(first));
                while outcomes.len() < TOGETHER
                    && let Ok(next) = receiver.recv()
                {
                    outcomes.push(Upload::complete(next));
                }
                for result in settle(&home, &mut outcomes) {
                    // Whoever does not listen any more has his reasons.
                    let _ = sender.send(result);
                }
            }
        };
        let thread = thread::Builder::new().name("finish".into()).spawn(finish).ok()?;
        Some(Self { uploads: Some(uploads), results, given: 0, thread: Some(thread) })
    }

    /// Gives a file of which every octet is written and verified.
    pub fn give(&mut self, upload: Upload) {
        // The thread ends only when this end is dropped.
        if self.uploads.as_ref().is_some_and(|uploads| uploads.send(upload).is_ok()) {
            self.given += 1;
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

impl Drop for Finisher {
    fn drop(&mut self) {
        drop(self.uploads.take());
        self.join();
    }
}

/// Names all that could be completed; results in the order of `outcomes`, which are taken.
fn settle(home: &Home, outcomes: &mut Vec<Result<Finished, HomeError>>) -> Vec<Result<(), HomeError>> {
    let mut finished = Vec::with_capacity(outcomes.len());
    let mut results = Vec::with_capacity(outcomes.len());
    for outcome in outcomes.drain(..) {
        results.push(outcome.map(|done| finished.push(done)));
    }
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
            let arriving = Arriving { size: 3, mtime: None, mode: None, stamp: 1, block: 16, replace: false };
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
