//! The buffers of a session of the verified transfer: one to read into, one to write from, and, while somebody hashes what was
//! read, others that take turns with the first.
//!
//! They come from the system and not from the allocator: zeroed memory of the allocator is written to as soon as it was
//! somebody's before, each thread has some of its own, and little of it ever goes back. Of memory that comes from the
//! system, only what is used costs anything, and it goes back at once.
//!
//! **Memory**: pages as they are used, and a page more for each buffer. **Time**: see [`MARGIN`].

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use feige_core::digest::Digest;
use feige_core::stream::transfer::{Buffers, Input};
use memmap2::MmapMut;

use super::helper::{Helper, Job, Loan};
use crate::digest::Lanes;

/// How far behind the border of a page a buffer begins.
///
/// What is read from a file is copied page by page, and some processors (AMD, Zen 3, seen with `rep movsb`) take four
/// times as long for it if the target lies 1 to 31 octets behind the border of a page: just where the octets of a run
/// came to lie, behind its header at the front of the buffer. 0.87 s for a GiB became 0.23 s, more than a quarter of
/// all that sender and receiver do.
const MARGIN: usize = 64;

/// What memory of the system begins on a border of.
const PAGE: usize = 4096;

/// Buffers for input and output, equally long.
#[derive(Debug)]
pub struct Room {
    inputs: Inputs,
    output: Memory,
}

impl Room {
    /// Two buffers of `len` octets.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let inputs = Inputs {
            input: Memory::new(len),
            spares: Vec::new(),
            aside: VecDeque::new(),
            helper: None,
            lanes: Lanes::new(),
        };
        Self { inputs, output: Memory::new(len) }
    }

    /// From now on there are further buffers, if there is a helper and it has time. Nothing is under way.
    pub fn set_helper(&mut self, helper: Option<Arc<Helper>>) {
        self.shrink();
        self.inputs.helper = helper;
    }

    /// Both buffers.
    pub fn buffers(&mut self) -> Buffers<'_, Inputs> {
        Buffers { input: &mut self.inputs, output: &mut self.output }
    }

    /// Gives all but two buffers back: nothing is under way.
    pub fn shrink(&mut self) {
        self.inputs.forget();
        self.inputs.spares = Vec::new();
    }
}

/// A buffer that is read into, and others that take turns with it.
#[derive(Debug)]
pub struct Inputs {
    input: Memory,
    spares: Vec<(Memory, Loan)>,
    /// What is being hashed, oldest first.
    aside: VecDeque<(Arc<Job>, Loan)>,
    helper: Option<Arc<Helper>>,
    /// For what the helper has no time for.
    lanes: Lanes,
}

impl Input for Inputs {
    fn octets(&self) -> &[u8] {
        &self.input
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.input
    }

    fn has_spare(&mut self) -> bool {
        let Inputs { input, spares, helper, .. } = self;
        if spares.is_empty()
            && let Some(loan) = helper.as_ref().and_then(Helper::lend)
        {
            spares.push((Memory::new(input.len()), loan));
        }
        !spares.is_empty()
    }

    fn put_aside(&mut self, run: Range<usize>, block: usize, rest: Range<usize>) {
        let Inputs { input, spares, aside, helper, .. } = self;
        let Some((helper, (mut next, loan))) = helper.as_ref().zip(spares.pop()) else { return };
        next[..rest.len()].copy_from_slice(&input[rest]);
        let full = std::mem::replace(input, next);
        aside.push_back((helper.hash(full, run, block), loan));
    }

    fn take_back(&mut self, wait: bool, digests: &mut [Digest]) -> bool {
        let Inputs { spares, aside, lanes, .. } = self;
        let Some((job, _)) = aside.front() else { return false };
        let Some((memory, computed)) = job.take_back(wait.then_some(lanes)) else { return false };
        for (place, digest) in digests.iter_mut().zip(computed) {
            *place = digest;
        }
        spares.extend(aside.pop_front().map(|(_, loan)| (memory, loan)));
        true
    }

    fn forget(&mut self) {
        self.aside.drain(..).for_each(|(job, _)| job.forget());
    }
}

/// The helper is not to keep the memory of a job that nothing follows.
impl Drop for Inputs {
    fn drop(&mut self) {
        self.forget();
    }
}

/// A buffer.
#[derive(Debug)]
pub(super) struct Memory {
    pages: Pages,
    len: usize,
}

#[derive(Debug)]
enum Pages {
    System(MmapMut),
    /// The system has none of that kind left: it counts pieces.
    Allocator(Vec<u8>),
}

impl Memory {
    /// A buffer of `len` octets.
    pub(super) fn new(len: usize) -> Self {
        let octets = Self::octets(len);
        let pages = MmapMut::map_anon(octets).map_or_else(|_| Pages::Allocator(vec![0; octets + PAGE]), Pages::System);
        // Page by page, not 2 MiB at a time: of several buffers, mostly one is written to.
        #[cfg(target_os = "linux")]
        if let Pages::System(map) = &pages {
            // A system without large pages does not know what that is about.
            let _ = map.advise(memmap2::Advice::NoHugePage);
        }
        Self { pages, len }
    }

    /// What it takes, from the border of a page on.
    const fn octets(len: usize) -> usize {
        (MARGIN + len).next_multiple_of(PAGE)
    }

    /// All of it, and where the buffer begins.
    fn all(&self) -> (&[u8], usize) {
        let octets: &[u8] = match &self.pages {
            Pages::System(map) => map,
            Pages::Allocator(octets) => octets,
        };
        (octets, octets.as_ptr().align_offset(PAGE) + MARGIN)
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let (octets, from) = self.all();
        &octets[from..][..self.len]
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (_, from) = self.all();
        let octets: &mut [u8] = match &mut self.pages {
            Pages::System(map) => map,
            Pages::Allocator(octets) => octets,
        };
        &mut octets[from..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_behind_the_border_of_a_page_wherever_they_come_from() {
        for len in [600, 4096 - MARGIN, 4096, 300_000] {
            let pages = Pages::Allocator(vec![0; Memory::octets(len) + PAGE]);
            for mut buffer in [Memory::new(len), Memory { pages, len }] {
                assert_eq!(buffer.len(), len);
                assert_eq!(buffer.as_ptr().addr() % PAGE, MARGIN);
                buffer.fill(1);
            }
        }
    }
}
