//! A file that comes in runs of blocks with their digests.

use heapless::Vec;

use super::MOST_BLOCKS;
use super::segment::Segment;
use crate::digest::{BlockDigest, Digest};
use crate::wire::transfer::Data;

/// Damaged blocks that are remembered; with more, the connection is not worth repairing.
const DAMAGED: usize = if cfg!(target_os = "none") { 4 } else { 16 };

/// How often blocks are asked for again in one file (R-VT-53, R-VT-64).
pub(super) const REPAIRS: u8 = 32;

/// A file, or a range of one, that is received.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Where the next run has to begin.
    next: u64,
    /// Where the last octet is followed by none.
    end: u64,
    /// Octets in a block.
    block: u32,
    /// Over the digests that the sender told, in order.
    digest: BlockDigest,
    /// Blocks that came damaged.
    damaged: Vec<(u64, u32), DAMAGED>,
    /// The one that is being sent again.
    awaited: Option<(u64, u32)>,
    repairs: u8,
    /// More were damaged than are remembered.
    hopeless: bool,
}

impl Receiving {
    /// Expects the octets from `offset` to `end`, in blocks of `block`.
    pub(super) fn new(offset: u64, end: u64, block: u32) -> Self {
        Self {
            next: offset,
            end,
            block,
            digest: BlockDigest::new(),
            damaged: Vec::new(),
            awaited: None,
            repairs: 0,
            hopeless: false,
        }
    }

    /// Octets in a block.
    pub(super) const fn block(&self) -> u32 {
        self.block
    }

    /// Whether every octet has come, whole or damaged.
    pub(super) const fn all_came(&self) -> bool {
        self.next >= self.end && self.awaited.is_none()
    }

    /// Octets that have not come yet; of those behind the run that comes now, if there is one.
    pub(super) fn left(&self, run: Option<&Segment>) -> u64 {
        self.end.saturating_sub(run.map_or(self.next, Segment::end))
    }

    /// Begins to receive a run, if it is the one that is due.
    pub(super) fn run(&self, data: Data) -> Option<Segment> {
        self.is_due(data).then(|| Segment::new(data, self.block))
    }

    /// Whether this run is the one that is due.
    pub(super) fn is_due(&self, data: Data) -> bool {
        let len = u64::from(data.len);
        let whole = data.len.checked_rem(self.block) == Some(0);
        let due = match self.awaited {
            Some((at, len)) => data == Data { at, len },
            None => data.at == self.next && len <= self.end.saturating_sub(self.next),
        };
        let last = data.at.saturating_add(len) == self.end;
        let blocks = usize::try_from(data.len.div_ceil(self.block.max(1))).unwrap_or(usize::MAX);
        due && (whole || last) && blocks <= MOST_BLOCKS && len > 0
    }

    /// A block of `len` octets from `at` on has come, of which `claimed` was told.
    pub(super) fn came(&mut self, (at, len): (u64, u32), claimed: &Digest) {
        if self.awaited.take().is_none() {
            self.digest.push(claimed);
            self.next = at.saturating_add(u64::from(len));
        }
    }

    /// A block that has come is damaged.
    pub(super) fn damage(&mut self, block: (u64, u32)) {
        if self.damaged.push(block).is_err() {
            self.hopeless = true;
        }
    }

    /// A block to be asked for again. `None` if there is none, or no hope: see [`Self::is_sound`].
    pub(super) fn repair(&mut self) -> Option<(u64, u32)> {
        if self.hopeless || self.repairs >= REPAIRS {
            return None;
        }
        let block = self.damaged.pop()?;
        self.repairs = self.repairs.saturating_add(1);
        self.awaited = Some(block);
        self.awaited
    }

    /// Whether all octets came as they were sent.
    pub(super) fn is_sound(&self) -> bool {
        self.all_came() && self.damaged.is_empty() && !self.hopeless
    }

    /// The digest over the blocks, as the sender told them.
    pub(super) fn digest(&self) -> Digest {
        self.digest.clone().finish()
    }
}
