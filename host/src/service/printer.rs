//! What is printed by those who must not wait for it: a reader that has stopped reading stops nobody else.
//!
//! One thread prints, in the order in which it was said. What does not fit into the queue is dropped and counted, and the count
//! is printed where the lines would have been. **Memory**: [`MOST`] octets. **Time**: whoever says something waits for
//! a lock that nobody holds while he writes.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::event::Above;
use crate::exit::Failure;
use crate::stdout;

/// Octets that may wait: some 20,000 events.
const MOST: usize = 4 << 20;

/// Octets that are written at once.
const CHUNK: usize = 64 << 10;

/// Where something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Output,
    Errors,
}

/// Prints. When all of them are dropped, the thread ends as soon as it has printed what waits.
#[derive(Clone)]
pub(super) struct Printer {
    shared: Arc<Shared>,
    _owners: Arc<Owners>,
}

struct Owners(Arc<Shared>);

impl Drop for Owners {
    fn drop(&mut self) {
        self.0.lock().end = true;
        self.0.changed.notify_all();
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Says how many lines were dropped.
    dropped: fn(u64) -> (To, Vec<u8>),
}

#[derive(Default)]
struct State {
    queue: VecDeque<(To, Vec<u8>)>,
    octets: usize,
    dropped: u64,
    /// The thread has taken something and not written it yet.
    is_writing: bool,
    /// Somebody types above whom everything is shown.
    above: Option<Above>,
    /// Why results were lost.
    lost: Option<Failure>,
    end: bool,
}

impl Printer {
    pub(super) fn new(dropped: fn(u64) -> (To, Vec<u8>)) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), dropped });
        let prints = Arc::clone(&shared);
        let thread = thread::Builder::new().name("printer".into()).stack_size(128 << 10);
        if thread.spawn(move || prints.print()).is_err() {
            // Nothing else will start either, and says so. This is only printed when it ends.
            shared.lock().end = true;
        }
        Self { _owners: Arc::new(Owners(Arc::clone(&shared))), shared }
    }

    pub(super) fn above(&self, above: Above) {
        self.shared.lock().above = Some(above);
    }

    /// Prints whole lines, soon.
    pub(super) fn print(&self, to: To, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        // Where some are missing the reader is told before there is more.
        if state.dropped > 0 && state.octets < MOST / 2 {
            self.shared.tell_dropped(&mut state);
        }
        if state.dropped > 0 || state.octets + lines.len() > MOST {
            state.dropped += lines.iter().filter(|&&octet| octet == b'\n').count() as u64;
            return;
        }
        state.push(to, lines);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits until everything is printed, or this time is over, and returns why some was lost.
    pub(super) fn settle(&self, within: Duration) -> Option<Failure> {
        let waits = |state: &mut State| !state.end && (state.is_writing || !state.queue.is_empty());
        let state = self.shared.changed.wait_timeout_while(self.shared.lock(), within, waits);
        state.unwrap_or_else(PoisonError::into_inner).0.lost.clone()
    }
}

impl State {
    fn push(&mut self, to: To, lines: &[u8]) {
        self.octets += lines.len();
        match self.queue.back_mut() {
            Some((last, octets)) if *last == to && octets.len() < CHUNK => octets.extend_from_slice(lines),
            _ => self.queue.push_back((to, lines.to_vec())),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_dropped(&self, state: &mut State) {
        let (to, line) = (self.dropped)(std::mem::take(&mut state.dropped));
        state.push(to, &line);
    }

    fn print(&self) {
        let mut state = self.lock();
        loop {
            if state.queue.is_empty() && state.dropped > 0 {
                self.tell_dropped(&mut state);
            }
            let Some((to, octets)) = state.queue.pop_front() else {
                if state.end {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.is_writing = true;
            let above = state.above.clone();
            drop(state);
            let written = write(to, &octets, above.as_ref());
            state = self.lock();
            state.is_writing = false;
            state.octets -= octets.len();
            if state.lost.is_none() {
                state.lost = written.err().as_ref().and_then(stdout::failure);
            }
            self.changed.notify_all();
        }
    }
}

fn write(to: To, octets: &[u8], above: Option<&Above>) -> std::io::Result<()> {
    if let Some(above) = above {
        above.lock().unwrap_or_else(PoisonError::into_inner)(String::from_utf8_lossy(octets).into_owned());
        return Ok(());
    }
    match to {
        To::Output => {
            let mut out = std::io::stdout().lock();
            out.write_all(octets).and_then(|()| out.flush())
        }
        To::Errors => {
            // Results count, and there is nowhere to say that this was lost.
            let _ = std::io::stderr().lock().write_all(octets);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_reader_that_stops_stops_nobody_and_is_told_what_is_missing() {
        let printer = Printer::new(|lines| (To::Errors, format!("{lines} missing\n").into_bytes()));
        let (show, shown) = channel();
        let door = Arc::new(Mutex::new(()));
        let closed = door.lock().unwrap();
        let opens = Arc::clone(&door);
        printer.above(Arc::new(Mutex::new(move |text: String| {
            drop(opens.lock().unwrap());
            show.send(text).unwrap();
        })));
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let count = MOST / line.len() + 500;
        for _ in 0..count {
            printer.print(To::Output, &line);
        }
        assert_eq!(printer.settle(Duration::from_millis(10)), None);
        drop(closed);
        assert_eq!(printer.settle(Duration::from_secs(20)), None);
        printer.print(To::Errors, b"after\n");
        printer.settle(Duration::from_secs(20));
        let text: String = shown.try_iter().collect();
        let came = text.lines().filter(|line| line.starts_with('x')).count();
        assert!(came >= MOST / line.len() && came < count, "{came} of {count}");
        let last = text.split_at(came * line.len()).1;
        assert_eq!(last, format!("{} missing\nafter\n", count - came));
    }
}
