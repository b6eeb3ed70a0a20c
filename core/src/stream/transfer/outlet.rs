//! What is going to be written.

use heapless::Vec;
use serde::Serialize;

use super::{MOST_BLOCKS, REPLY_ROOM};
use crate::digest::{BlockDigest, Digest, Hasher};
use crate::wire::BufferTooSmall;
use crate::wire::transfer::encode;

/// Blocks whose digests are missing, at most: those of a run, or as many small files.
const TOGETHER: usize = MOST_BLOCKS;

/// The octets of the lent output buffer that have not been written.
///
/// Digests of blocks are filled in at the last moment, all at once.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    start: usize,
    end: usize,
    blocks: Vec<Block, TOGETHER>,
}

/// A block in the buffer, and where its digest goes.
#[derive(Clone, Copy, Debug)]
struct Block {
    from: usize,
    to: usize,
    digest: usize,
}

/// Octets of the digests of blocks of `block` octets, `len` in all.
fn digests_len(len: usize, block: u32) -> usize {
    len.div_ceil(usize::try_from(block.max(1)).unwrap_or(usize::MAX)).saturating_mul(Digest::LEN)
}

impl Outlet {
    /// Whether there is nothing to write.
    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where the next octet goes.
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// How many octets still fit.
    pub(super) fn room(&self, output: &[u8]) -> usize {
        output.len().saturating_sub(self.end)
    }

    /// Whether any header fits that is not a body's.
    pub(super) fn has_reply_room(&self, output: &[u8]) -> bool {
        self.room(output) >= REPLY_ROOM
    }

    /// Whether one more block's digest can be waited for.
    pub(super) fn has_block_room(&self, blocks: usize) -> bool {
        self.blocks.len().saturating_add(blocks) <= TOGETHER
    }

    /// Appends a header.
    pub(super) fn header<T: Serialize>(&mut self, output: &mut [u8], header: &T) -> Result<(), BufferTooSmall> {
        let room = output.get_mut(self.end..).unwrap_or_default();
        self.end = self.end.saturating_add(encode(header, room)?);
        Ok(())
    }

    /// Appends octets that fit.
    pub(super) fn octets(&mut self, output: &mut [u8], octets: &[u8]) {
        let room = output.get_mut(self.end..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(octets) {
            *to = *from;
        }
        self.end = self.end.saturating_add(octets.len().min(room.len()));
    }

    /// The next `count` octets are there: somebody put them into the buffer behind the end.
    pub(super) fn grown(&mut self, output: &[u8], count: usize) {
        self.end = self.end.saturating_add(count).min(output.len());
    }

    /// Appends room for the digests of blocks of `block` octets, `len` in all, which are going to follow.
    pub(super) fn make_room(&mut self, output: &[u8], len: usize, block: u32) {
        self.grown(output, digests_len(len, block));
    }

    /// The `len` octets before the end are blocks, and before these is room for the digest of each.
    pub(super) fn blocks(&mut self, len: usize, block: u32) {
        let (mut from, end) = (self.end.saturating_sub(len), self.end);
        let mut digest = from.saturating_sub(digests_len(len, block));
        let block = usize::try_from(block.max(1)).unwrap_or(usize::MAX);
        while from < end {
            let to = from.saturating_add(block).min(end);
            // The sender has asked whether it fits.
            let _ = self.blocks.push(Block { from, to, digest });
            (from, digest) = (to, digest.saturating_add(Digest::LEN));
        }
    }

    /// Forgets what was appended since the end was at `to`.
    pub(super) fn cut(&mut self, to: usize) {
        // Not `clamp`, which panics if the start is behind the end.
        self.end = to.max(self.start).min(self.end);
        while self.blocks.last().is_some_and(|block| block.to > self.end) {
            self.blocks.pop();
        }
    }

    /// Computes the digests that are missing. `file`, if they are all of one, takes them in order, too.
    pub(super) fn seal(&mut self, output: &mut [u8], hasher: &mut impl Hasher, mut file: Option<&mut BlockDigest>) {
        if self.blocks.is_empty() {
            return;
        }
        let mut digests = [Digest::default(); TOGETHER];
        {
            // Not `collect`, which panics if there are too many.
            let mut inputs: Vec<&[u8], TOGETHER> = Vec::new();
            for block in &self.blocks {
                let _ = inputs.push(output.get(block.from..block.to).unwrap_or_default());
            }
            hasher.md5(&inputs, &mut digests);
        }
        for (block, digest) in self.blocks.iter().zip(&digests) {
            let room = output.get_mut(block.digest..).unwrap_or_default();
            for (to, from) in room.iter_mut().zip(&digest.0) {
                *to = *from;
            }
            if let Some(file) = &mut file {
                file.push(digest);
            }
        }
        self.blocks.clear();
    }

    /// What is to be written.
    pub(super) fn unwritten<'o>(&self, output: &'o [u8]) -> &'o [u8] {
        output.get(self.start..self.end).unwrap_or_default()
    }

    /// `count` octets were written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
}
