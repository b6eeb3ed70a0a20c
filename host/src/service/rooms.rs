//! Buffers for lines that are at work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use feige_core::stream::transfer::Buffers;

use super::BLOCK;

/// What buffers of all lines together may take, in octets, as long as each is not smaller than the smallest.
const BUDGET: usize = 16 << 20;

/// Blocks that are hashed side by side.
const LANES: usize = 16;

/// Octets besides the blocks: headers, digests, and what was read too much.
const EXTRA: usize = 8 << 10;

/// How many used buffers are kept for the next line.
const KEPT: usize = 4;

/// Buffers for one line.
#[derive(Debug)]
pub(super) struct Room {
    input: Vec<u8>,
    output: Vec<u8>,
    size: Size,
}

/// How large buffers are: for sixteen blocks of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// As a power of two.
    pub(super) block: u8,
}

impl Size {
    const fn octets(self) -> usize {
        (LANES << self.block) + EXTRA
    }

    /// The largest for which the buffers of `lines` lines stay within the budget.
    fn for_lines(lines: usize) -> Self {
        let block = (12..=BLOCK).rev().find(|&block| lines * 2 * Self { block }.octets() <= BUDGET);
        Self { block: block.unwrap_or(12) }
    }
}

impl Room {
    fn new(size: Size) -> Self {
        // Zeroed memory comes page by page, when it is written to: of two buffers, mostly one is.
        Self { input: vec![0; size.octets()], output: vec![0; size.octets()], size }
    }

    /// The size of blocks that suits these buffers, as a power of two.
    pub(super) const fn block(&self) -> u8 {
        self.size.block
    }

    /// Both buffers.
    pub(super) fn buffers(&mut self) -> Buffers<'_> {
        Buffers { input: &mut self.input, output: &mut self.output }
    }
}

/// Lends buffers.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    lent: AtomicUsize,
    free: Mutex<Vec<Room>>,
}

impl Rooms {
    /// Lends buffers to one more line.
    pub(super) fn lend(&self) -> Room {
        let size = Size::for_lines(self.lent.fetch_add(1, Ordering::Relaxed) + 1);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.filter(|room| room.size == size).unwrap_or_else(|| Room::new(size))
    }

    /// Takes them back.
    pub(super) fn back(&self, room: Room) {
        let lent = self.lent.fetch_sub(1, Ordering::Relaxed);
        if room.size == Size::for_lines(lent.max(1)) {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            if free.len() < KEPT {
                free.push(room);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_lines_the_smaller_the_buffers() {
        assert_eq!(Size::for_lines(1).block, 15);
        assert_eq!(Size::for_lines(8).block, 15);
        assert_eq!(Size::for_lines(100).block, 12);
        assert_eq!(Size::for_lines(100_000).block, 12);
        assert!(2 * Size { block: 12 }.octets() <= 80 << 10);
        let rooms = Rooms::default();
        let one = rooms.lend();
        assert_eq!(one.block(), 15);
        rooms.back(one);
        assert_eq!(rooms.free.lock().unwrap().len(), 1);
        let many: Vec<_> = (0..200).map(|_| rooms.lend()).collect();
        assert_eq!(many.last().unwrap().block(), 12);
        many.into_iter().for_each(|room| rooms.back(room));
        assert!(rooms.free.lock().unwrap().len() <= KEPT);
        assert_eq!(rooms.lent.load(Ordering::Relaxed), 0);
    }
}
