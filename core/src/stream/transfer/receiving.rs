//! A file that comes in runs of blocks with their digests.

use heapless::Vec;

use super::{BLOCKS, Buffers};
use crate::digest::{BlockDigest, Digest, Hasher, Running};
use crate::stream::transfer::intake::{Body, Intake};
use crate::wire::transfer::{Data, body_len};

/// Damaged blocks that are remembered; with more, the connection is not worth repairing.
const DAMAGED: usize = 16;

/// How often blocks are asked for again in one file.
const REPAIRS: u8 = 32;

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

    /// Octets that have not come yet.
    pub(super) const fn left(&self) -> u64 {
        self.end.saturating_sub(self.next)
    }

    /// Begins to receive a run, if it is the one that is due.
    pub(super) fn run(&self, data: Data) -> Option<Segment> {
        let len = u64::from(data.len);
        let whole = data.len.checked_rem(self.block) == Some(0);
        let due = match self.awaited {
            Some((at, len)) => data == Data { at, len },
            None => data.at == self.next && len <= self.end.saturating_sub(self.next),
        };
        let last = data.at.saturating_add(len) == self.end;
        let blocks = usize::try_from(data.len.div_ceil(self.block.max(1))).unwrap_or(usize::MAX);
        (due && (whole || last) && blocks <= BLOCKS && len > 0).then(|| Segment::new(data, self.block))
    }

    /// What became of the blocks of `segment`, whose digests were to be `claimed`.
    fn judge(&mut self, segment: &mut Segment, claimed: impl Iterator<Item = Digest>) {
        let repaired = self.awaited.take().is_some();
        for ((index, computed), claimed) in segment.computed.iter().take(segment.blocks).enumerate().zip(claimed) {
            let sound = *computed == claimed;
            if let Some(place) = segment.sound.get_mut(index) {
                *place = sound;
            }
            if !repaired {
                self.digest.push(&claimed);
            }
            if !sound && self.damaged.push(segment.block_at(index)).is_err() {
                self.hopeless = true;
            }
        }
        if !repaired {
            self.next = segment.at.saturating_add(u64::from(segment.len));
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

/// A run of blocks that is being received.
#[derive(Debug)]
pub(super) struct Segment {
    at: u64,
    len: u32,
    block: u32,
    blocks: usize,
    /// Octets saved.
    saved: u32,
    computed: [Digest; BLOCKS],
    sound: [bool; BLOCKS],
    /// The block that is hashed piece by piece, if the run does not fit the buffer.
    running: Option<Running>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The octets are to be saved. `hashed`: they are all in the buffer, and hashed.
    Save { hashed: bool },
    /// The digests are to be compared.
    Compare,
    /// The store is to be told of the blocks from this one on.
    Report(usize),
}

/// What a segment needs to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need<'a> {
    /// So many unread octets.
    Octets(usize),
    /// That these are saved.
    Save { at: u64, octets: &'a [u8] },
    /// That the store hears of these.
    Report { at: u64, len: u32, digests: &'a [Digest] },
    /// Nothing: it is complete.
    Nothing,
}

impl Segment {
    fn new(data: Data, block: u32) -> Self {
        Self {
            at: data.at,
            len: data.len,
            block,
            blocks: usize::try_from(data.len.div_ceil(block.max(1))).unwrap_or(BLOCKS).min(BLOCKS),
            saved: 0,
            computed: [Digest::default(); BLOCKS],
            sound: [false; BLOCKS],
            running: None,
            step: Step::Save { hashed: false },
        }
    }

    /// Octets that have not been taken from the intake yet.
    pub(super) fn left(&self) -> u64 {
        let body = body_len(self.len, self.block);
        match self.step {
            Step::Save { hashed: true } => body,
            Step::Save { hashed: false } => body.saturating_sub(u64::from(self.saved)),
            Step::Compare => body.saturating_sub(u64::from(self.len)),
            Step::Report(_) => 0,
        }
    }

    fn digests_len(&self) -> usize {
        self.blocks.saturating_mul(Digest::LEN)
    }

    /// Position and length of a block.
    fn block_at(&self, index: usize) -> (u64, u32) {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let from = index.saturating_mul(self.block);
        (self.at.saturating_add(u64::from(from)), self.len.saturating_sub(from).min(self.block))
    }

    /// Blocks from `from` on that are sound, without a gap: where they begin and end.
    fn sound_run(&self, from: usize) -> Option<(usize, usize)> {
        let sound = self.sound.get(..self.blocks).unwrap_or_default();
        let first = sound.iter().skip(from).position(|&sound| sound)?.saturating_add(from);
        let len = sound.iter().skip(first).take_while(|&&sound| sound).count();
        Some((first, first.saturating_add(len)))
    }

    /// Does what can be done with the octets that are there.
    pub(super) fn advance(
        &mut self,
        intake: &mut Intake,
        buffers: &Buffers<'_>,
        hasher: &mut impl Hasher,
        file: &mut Receiving,
        body: impl FnMut(&[u8]) -> Body,
    ) {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        if self.step == (Step::Save { hashed: false }) && self.saved == 0 && self.fits(buffers) {
            if intake.len() < len.saturating_add(self.digests_len()) {
                return;
            }
            let block = usize::try_from(self.block).unwrap_or(usize::MAX);
            intake.hash(buffers, len, block, &mut self.computed, hasher, body);
            self.step = Step::Save { hashed: true };
        }
        if matches!(self.step, Step::Save { .. }) && self.saved >= self.len {
            if self.step == (Step::Save { hashed: true }) {
                intake.take(len);
            }
            self.step = Step::Compare;
        }
        if self.step == Step::Compare && intake.len() >= self.digests_len() {
            let claimed = intake.unread(buffers.input).get(..self.digests_len()).unwrap_or_default();
            let (claimed, _) = claimed.as_chunks::<{ Digest::LEN }>();
            file.judge(self, claimed.iter().map(|&octets| Digest(octets)));
            intake.take(self.digests_len());
            self.step = Step::Report(0);
        }
    }

    /// Whether the run, with its digests, fits the input buffer.
    fn fits(&self, buffers: &Buffers<'_>) -> bool {
        usize::try_from(body_len(self.len, self.block)).is_ok_and(|body| body <= buffers.input.len())
    }

    /// What is needed next. To be asked after [`Self::advance`].
    pub(super) fn need<'a>(&'a self, intake: &Intake, buffers: &'a Buffers<'_>) -> Need<'a> {
        let unread = intake.unread(buffers.input);
        let saved = usize::try_from(self.saved).unwrap_or(usize::MAX);
        let at = self.at.saturating_add(u64::from(self.saved));
        match self.step {
            Step::Save { hashed: true } => {
                let len = usize::try_from(self.len).unwrap_or(usize::MAX);
                Need::Save { at, octets: unread.get(saved..len).unwrap_or_default() }
            }
            Step::Save { hashed: false } if self.saved == 0 && self.fits(buffers) => {
                Need::Octets(usize::try_from(body_len(self.len, self.block)).unwrap_or(usize::MAX))
            }
            Step::Save { hashed: false } => {
                let in_block = self.block.saturating_sub(self.saved.checked_rem(self.block).unwrap_or(0));
                let most = in_block.min(self.len.saturating_sub(self.saved));
                let most = usize::try_from(most).unwrap_or(usize::MAX).min(unread.len());
                match unread.get(..most) {
                    None | Some([]) => Need::Octets(1),
                    Some(octets) => Need::Save { at, octets },
                }
            }
            Step::Compare => Need::Octets(self.digests_len()),
            Step::Report(from) => match self.sound_run(from) {
                Some((first, end)) => {
                    let (at, _) = self.block_at(first);
                    let to = self.block_at(end.saturating_sub(1));
                    let end_at = to.0.saturating_add(u64::from(to.1));
                    Need::Report {
                        at,
                        len: u32::try_from(end_at.saturating_sub(at)).unwrap_or(u32::MAX),
                        digests: self.computed.get(first..end).unwrap_or_default(),
                    }
                }
                None => Need::Nothing,
            },
        }
    }

    /// Whether it waits for the peer.
    pub(super) fn waits(&self, intake: &Intake, buffers: &Buffers<'_>) -> bool {
        matches!(self.need(intake, buffers), Need::Octets(_) | Need::Nothing)
    }

    /// Octets, `count` or as many as there were, were saved. Returns how many.
    pub(super) fn saved(&mut self, intake: &mut Intake, buffers: &Buffers<'_>, count: u64) -> u64 {
        let Need::Save { octets, .. } = self.need(intake, buffers) else { return 0 };
        let most = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(most);
        if self.step == (Step::Save { hashed: false }) {
            let taken = usize::try_from(count).unwrap_or(usize::MAX);
            let octets = intake.unread(buffers.input).get(..taken).unwrap_or_default();
            self.running.get_or_insert_default().update(octets);
            intake.take(taken);
        }
        let before = self.saved;
        self.saved = self.saved.saturating_add(count);
        let complete = self.saved.checked_rem(self.block) == Some(0) || self.saved == self.len;
        if complete && let Some(running) = self.running.take() {
            let index = before.checked_div(self.block).and_then(|index| usize::try_from(index).ok());
            if let Some(place) = index.and_then(|index| self.computed.get_mut(index)) {
                *place = running.finish();
            }
        }
        count.into()
    }

    /// Whether the store is told of blocks that are sound.
    pub(super) fn reports(&self) -> bool {
        matches!(self.step, Step::Report(from) if self.sound_run(from).is_some())
    }

    /// The store has heard.
    pub(super) fn reported(&mut self) {
        if let Step::Report(from) = self.step {
            self.step = Step::Report(self.sound_run(from).map_or(BLOCKS, |(_, end)| end));
        }
    }
}
