//! Buffers for lines that are at work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use feige_core::stream::transfer::Buffers;
use feige_core::wire::transfer::LONG_RUN;

use super::BLOCK;
use crate::transfer::{self, Helper, Inputs};

/// What buffers of all lines together may take, in octets, as long as each is not smaller than the smallest.
const BUDGET: usize = 16 << 20;

/// Blocks of a run, which are hashed side by side.
const LANES: usize = LONG_RUN;

/// The smallest blocks, as a power of two.
const SMALLEST: u8 = 12;

/// Octets besides the blocks: headers, digests, and what was read too much.
const EXTRA: usize = 8 << 10;

/// So many connections are likely to make one request more at a moment: whoever comes first must not have it all.
const CROWD: usize = 8;

/// How many used buffers are kept for the next line.
const KEPT: usize = 4;

/// Buffers for one line.
#[derive(Debug)]
pub(super) struct Room {
    memory: transfer::Room,
    size: Size,
}

/// How large buffers are: for as many blocks of this size as are hashed side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// As a power of two.
    pub(super) block: u8,
}

impl Size {
    const fn octets(self) -> usize {
        // Where memory is scarce, some of the lanes have to do.
        let lanes = if self.block > SMALLEST { LANES } else { LANES / 4 };
        (lanes << self.block) + EXTRA
    }

    /// The largest for which the buffers of `lines` lines stay within the budget.
    fn for_lines(lines: usize) -> Self {
        let block = (SMALLEST..=BLOCK).rev().find(|&block| lines * 2 * Self { block }.octets() <= BUDGET);
        Self { block: block.unwrap_or(SMALLEST) }
    }
}

impl Room {
    fn new(size: Size, helper: &Arc<Helper>) -> Self {
        let mut memory = transfer::Room::new(size.octets());
        memory.set_helper((size.block == BLOCK).then(|| Arc::clone(helper)));
        Self { memory, size }
    }

    /// The size of blocks that suits these buffers, as a power of two.
    pub(super) const fn block(&self) -> u8 {
        self.size.block
    }

    /// Both buffers.
    pub(super) fn buffers(&mut self) -> Buffers<'_, Inputs> {
        self.memory.buffers()
    }
}

/// Lends buffers.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    helper: Arc<Helper>,
    lent: AtomicUsize,
    free: Mutex<Vec<Room>>,
}

impl Rooms {
    /// Lends buffers to one more line, while there are so many connections.
    pub(super) fn lend(&self, connections: usize) -> Room {
        let lent = self.lent.fetch_add(1, Ordering::Relaxed) + 1;
        let size = Size::for_lines(lent.max(connections / CROWD));
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.filter(|room| room.size == size).unwrap_or_else(|| Room::new(size, &self.helper))
    }

    /// Takes them back.
    pub(super) fn back(&self, mut room: Room) {
        room.memory.shrink();
        self.lent.fetch_sub(1, Ordering::Relaxed);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest go: those of a size that suits nobody any more among them.
        if free.len() >= KEPT {
            free.remove(0);
        }
        free.push(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_lines_the_smaller_the_buffers() {
        assert_eq!(Size::for_lines(1).block, 15);
        assert_eq!(Size::for_lines(7).block, 15);
        assert_eq!(Size::for_lines(8).block, 14);
        assert_eq!(Size::for_lines(100).block, 12);
        assert_eq!(Size::for_lines(100_000).block, 12);
        assert!(2 * Size { block: 12 }.octets() <= 80 << 10);
        let rooms = Rooms::default();
        let one = rooms.lend(1);
        assert_eq!(one.block(), 15);
        rooms.back(one);
        assert_eq!(rooms.free.lock().unwrap().len(), 1);
        let many: Vec<_> = (0..200).map(|_| rooms.lend(200)).collect();
        assert_eq!(many.last().unwrap().block(), 12);
        many.into_iter().for_each(|room| rooms.back(room));
        // Where many are connected, the first one does not get everything.
        let first = rooms.lend(1_000);
        assert_eq!(first.block(), 12);
        rooms.back(first);
        assert!(rooms.free.lock().unwrap().len() <= KEPT);
        assert_eq!(rooms.lent.load(Ordering::Relaxed), 0);
    }
}
