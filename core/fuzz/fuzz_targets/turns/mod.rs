//! Input buffers that take turns, in a manner that a number decides.

use std::collections::VecDeque;
use std::ops::Range;

use feige_core::digest::{Digest, Hasher as _, Scalar};
use feige_core::stream::transfer::Input;

/// Blocks of 4 KiB that are put aside at the least.
pub const LONG: usize = 16;

pub struct Turns {
    input: Vec<u8>,
    aside: VecDeque<(Vec<u8>, Range<usize>, usize)>,
    dice: u8,
}

impl Turns {
    pub fn new(len: usize, dice: u8) -> Self {
        Self { input: vec![0xa5; len], aside: VecDeque::new(), dice }
    }

    /// Mostly, or for some numbers never or always.
    fn is_lucky(&mut self) -> bool {
        self.dice = self.dice.rotate_left(3).wrapping_mul(5);
        self.dice >= 64
    }
}

impl Input for Turns {
    fn octets(&self) -> &[u8] {
        &self.input
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.input
    }

    fn has_spare(&mut self) -> bool {
        self.aside.len() < 3 && self.is_lucky()
    }

    fn put_aside(&mut self, run: Range<usize>, block: usize, rest: Range<usize>) {
        assert!(self.aside.len() < 3, "no more are put aside than there are");
        assert!(run.end <= self.input.len() && run.len().div_ceil(block) >= LONG, "a run is in the buffer");
        let mut next = vec![0x77; self.input.len()];
        next[..rest.len()].copy_from_slice(&self.input[rest]);
        self.aside.push_back((std::mem::replace(&mut self.input, next), run, block));
    }

    fn take_back(&mut self, wait: bool, digests: &mut [Digest]) -> bool {
        if !wait && !self.is_lucky() {
            return false;
        }
        let (octets, run, block) = self.aside.pop_front().expect("what is taken back was put aside");
        Scalar.md5(&octets[run].chunks(block).collect::<Vec<_>>(), digests);
        true
    }

    fn forget(&mut self) {
        self.aside.clear();
    }
}
