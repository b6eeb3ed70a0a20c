//! A thread that hashes what was received, while whoever received it reads on.
//!
//! On two processors, the one that receives is busy with copying, and what hashing takes comes on top of it; the other one,
//! of the sender or of nobody, has time. A run is hashed by whoever has time first: what the helper has not begun when
//! the digests are needed, the receiver takes back and hashes itself. So the helper can be late, or never come: only what it
//! has begun is waited for.
//!
//! **Memory**: at most [`MOST`] buffers more than without, for all sessions together. **Time**: that of [`Lanes`].

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use feige_core::digest::{Digest, Hasher as _};

use super::room::Memory;
use crate::digest::Lanes;

/// Buffers that are put aside at a time: two that are hashed, and one that waits for another, while a fourth is read into.
const MOST: usize = 3;

/// What hashing takes.
const STACK: usize = 128 << 10;

/// What the thread is woken for. That takes several µs of whoever wakes it, more where processors are virtual: for each run
/// by itself it was half of what hashing still cost.
type Pair = [Arc<Job>; 2];

/// The thread, from when it is needed, and the right to put buffers aside for it. One is for all sessions of a program.
#[derive(Debug, Default)]
pub struct Helper {
    thread: OnceLock<Option<Sender<Pair>>>,
    /// A job that the thread has not heard of yet.
    single: Mutex<Option<Arc<Job>>>,
    lent: AtomicUsize,
}

impl Helper {
    /// The right to have one more buffer; `None` if enough are lent, or if there is nobody to help.
    pub(super) fn lend(self: &Arc<Self>) -> Option<Loan> {
        self.thread()?;
        let more = |lent| (lent < MOST).then_some(lent + 1);
        self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Loan(Arc::clone(self)))
    }

    fn thread(&self) -> Option<&Sender<Pair>> {
        // A single processor has no time for it.
        let several = || thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        self.thread.get_or_init(|| several().then(hire).flatten()).as_ref()
    }

    /// Has the blocks of `block` octets hashed that are in a range of `memory`, as soon as there is more to be hashed: what
    /// nothing follows is done by whoever takes it back.
    pub(super) fn hash(&self, memory: Memory, run: Range<usize>, block: usize) -> Arc<Job> {
        let job = Arc::new(Job::new(memory, run, block));
        let mut single = self.single.lock().unwrap_or_else(PoisonError::into_inner);
        match single.take().zip(self.thread()) {
            // If it is gone, the job is done by whoever takes it back.
            Some((first, thread)) => drop(thread.send([first, Arc::clone(&job)])),
            None => *single = Some(Arc::clone(&job)),
        }
        job
    }
}

/// Starts the thread; `None` if the system gives none.
fn hire() -> Option<Sender<Pair>> {
    let (sender, jobs) = channel();
    let builder = thread::Builder::new().name("hash".into()).stack_size(STACK);
    builder.spawn(move || help(&jobs)).ok().map(|_| sender)
}

/// What the thread does, until its helper is gone.
fn help(jobs: &Receiver<Pair>) {
    let mut lanes = Lanes::new();
    for job in jobs.iter().flatten() {
        if let Some(run) = job.begin() {
            let digests = run.hash(&mut lanes);
            *job.state() = State::Done(run.memory, digests);
            job.done.notify_one();
        }
    }
}

/// The right to have a buffer more.
#[derive(Debug)]
pub(super) struct Loan(Arc<Helper>);

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.lent.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Blocks that are to be hashed, and their memory.
#[derive(Debug)]
pub(super) struct Job {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug)]
enum State {
    /// Nobody has begun.
    Waits(Run),
    /// The helper is at it; or the memory has been taken back.
    Begun,
    Done(Memory, Vec<Digest>),
}

#[derive(Debug)]
struct Run {
    memory: Memory,
    run: Range<usize>,
    block: usize,
}

impl Run {
    fn hash(&self, lanes: &mut Lanes) -> Vec<Digest> {
        let blocks: Vec<&[u8]> = self.memory[self.run.clone()].chunks(self.block).collect();
        let mut digests = vec![Digest::default(); blocks.len()];
        lanes.md5(&blocks, &mut digests);
        digests
    }
}

impl Job {
    fn new(memory: Memory, run: Range<usize>, block: usize) -> Self {
        Self { state: Mutex::new(State::Waits(Run { memory, run, block })), done: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is to be hashed, unless that has begun.
    fn begin(&self) -> Option<Run> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Begun) {
            State::Waits(run) => Some(run),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The memory and the digests; `None` if they are not there yet. Who is to `wait` for them, and finds that nobody has begun,
    /// computes them with these `lanes`.
    pub(super) fn take_back(&self, wait: Option<&mut Lanes>) -> Option<(Memory, Vec<Digest>)> {
        if let Some(lanes) = wait {
            if let Some(run) = self.begin() {
                let digests = run.hash(lanes);
                return Some((run.memory, digests));
            }
            let busy = |state: &mut State| matches!(state, State::Begun);
            drop(self.done.wait_while(self.state(), busy));
        }
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Begun) {
            State::Done(memory, digests) => Some((memory, digests)),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Nobody needs the digests any more.
    pub(super) fn forget(&self) {
        drop(self.begin());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::Room;
    use feige_core::stream::transfer::Input as _;

    const BLOCK: usize = 1000;
    const RUN: Range<usize> = 10..10 + 4 * BLOCK + 7;

    fn with_thread() -> Arc<Helper> {
        let helper = Arc::<Helper>::default();
        assert!(helper.thread.set(hire()).is_ok());
        helper
    }

    fn with(helper: &Arc<Helper>) -> Room {
        let mut room = Room::new(5000);
        room.set_helper(Some(Arc::clone(helper)));
        room
    }

    fn digests(octets: &[u8]) -> Vec<Digest> {
        octets.chunks(BLOCK).map(Digest::of).collect()
    }

    #[test]
    fn runs_come_back_in_order_with_their_digests() {
        let helper = with_thread();
        let mut room = with(&helper);
        let input = room.buffers().input;
        let mut expected = std::collections::VecDeque::new();
        for round in 0..200_u8 {
            if !input.has_spare() {
                let mut computed = [Digest::default(); 6];
                // Every other time whoever needs them first does it.
                while !input.take_back(round % 2 == 0, &mut computed) {
                    thread::yield_now();
                }
                assert_eq!(computed[..5], expected.pop_front().expect("it was put aside"));
                assert_eq!(computed[5], Digest::default());
            }
            let octets = input.octets_mut();
            assert_eq!(octets.len(), 5000);
            octets[3..].fill(round);
            expected.push_back(digests(&octets[RUN]));
            assert!(input.has_spare());
            input.put_aside(RUN, BLOCK, 4990..5000);
            assert_eq!(input.octets()[..10], [round; 10], "what came behind it");
            assert!(expected.len() <= MOST);
        }
        input.forget();
        assert!(!input.take_back(true, &mut []), "what was forgotten does not come back");
    }

    #[test]
    fn all_rooms_together_have_no_more_buffers_than_are_lent() {
        let helper = with_thread();
        let (mut one, mut other) = (with(&helper), with(&helper));
        for _ in 0..3 {
            for _ in 0..MOST {
                assert!(one.buffers().input.has_spare());
                one.buffers().input.put_aside(RUN, BLOCK, 0..0);
            }
            assert!(!one.buffers().input.has_spare() && !other.buffers().input.has_spare());
            one.shrink();
            assert!(other.buffers().input.has_spare());
            other.shrink();
        }
        helper.single.lock().unwrap().take();
        assert!(one.buffers().input.has_spare());
        one.buffers().input.put_aside(RUN, BLOCK, 0..0);
        drop(one);
        assert_eq!(helper.lent.load(Ordering::Relaxed), 0);
        let single = helper.single.lock().unwrap();
        assert!(single.as_ref().is_some_and(|job| job.begin().is_none()), "its memory is not kept");
        assert!(!Room::new(5000).buffers().input.has_spare(), "who has no helper has one buffer");
    }

    #[test]
    fn what_the_helper_has_not_begun_is_done_without_it() {
        let mut memory = Memory::new(5000);
        memory.fill(7);
        let expected = digests(&memory[RUN]);
        let job = Job::new(memory, RUN, BLOCK);
        assert!(job.take_back(None).is_none());
        let (memory, computed) = job.take_back(Some(&mut Lanes::new())).expect("it waits");
        assert_eq!((memory.len(), computed), (5000, expected));
        assert!(job.begin().is_none(), "the helper comes too late");
    }
}
