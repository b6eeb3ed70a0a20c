//! Input buffers that take turns, in any manner that is allowed.

use std::collections::VecDeque;
use std::ops::Range;
use std::vec;
use std::vec::Vec;

use crate::digest::{Digest, Hasher as _, Scalar};
use crate::stream::transfer::Input;
use crate::stream::transfer::aside::MOST;

/// How much time whoever hashes for others has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// None: there is one buffer.
    Never,
    /// Much: digests are there at once.
    AtOnce,
    /// Little: digests are there when they are waited for.
    Late,
    /// Sometimes.
    Fickle,
}

impl Manner {
    pub(super) const ALL: [Self; 4] = [Self::Never, Self::AtOnce, Self::Late, Self::Fickle];
}

pub(super) struct Turns {
    input: Vec<u8>,
    manner: Manner,
    dice: u32,
    aside: VecDeque<(Vec<u8>, Range<usize>, usize)>,
}

impl Turns {
    pub(super) fn new(len: usize, manner: Manner) -> Self {
        Self { input: vec![0xa5; len], manner, dice: 1, aside: VecDeque::new() }
    }

    /// Is lent anew: what was in it before is gone.
    pub(super) fn renew(&mut self) {
        self.input.fill(0x5a);
        self.aside.clear();
    }

    fn is_lucky(&mut self) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        !self.dice.is_multiple_of(3)
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
        match self.manner {
            Manner::Never => false,
            Manner::AtOnce | Manner::Late => self.aside.len() < MOST,
            Manner::Fickle => self.aside.len() < MOST && self.is_lucky(),
        }
    }

    fn put_aside(&mut self, run: Range<usize>, block: usize, rest: Range<usize>) {
        let mut next = vec![0x77; self.input.len()];
        next[..rest.len()].copy_from_slice(&self.input[rest]);
        self.aside.push_back((core::mem::replace(&mut self.input, next), run, block));
        assert!(self.aside.len() <= MOST, "no more are put aside than there are");
    }

    fn take_back(&mut self, wait: bool, digests: &mut [Digest]) -> bool {
        let ready = match self.manner {
            Manner::AtOnce => true,
            Manner::Fickle => self.is_lucky(),
            Manner::Never | Manner::Late => false,
        };
        if !wait && !ready {
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
