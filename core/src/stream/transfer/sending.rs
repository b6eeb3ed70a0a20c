//! A file that goes out in runs of blocks with their digests.

use super::Ask;
use crate::digest::Running;
use crate::stream::transfer::outlet::Outlet;
use crate::stream::{Target, Want};
use crate::wire::transfer::{Data, Reply, Request, body_len};

/// Octets that length and header of a run take at most.
const HEAD_ROOM: u32 = 24;

/// Octets of a digest.
const DIGEST: u32 = 16;

/// A file, or a range of one, that is sent.
#[derive(Debug)]
pub(super) struct Sending {
    /// The next octet to be loaded.
    at: u64,
    left: u64,
    block: u32,
    /// Blocks in a run, at most.
    most: usize,
    run: Run,
    direction: Direction,
    need: Need,
}

/// Who sends decides which enum the header is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// A server sends.
    Down,
    /// A client sends.
    Up,
}

#[derive(Debug)]
enum Run {
    /// Between two runs.
    None,
    /// A run that fits the buffer: so much of it is missing.
    Whole { head: usize, len: usize, missing: usize },
    /// A block that does not is loaded twice, because its digest goes before it. This is the first time: so much of its
    /// `len` octets is not hashed yet.
    Hashing { len: u32, missing: u32, running: Running },
    /// And this the second: so much of it is missing.
    Piece { missing: u32 },
}

/// What the sender needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// That the buffer is written.
    Flush,
    /// That so many octets, or some of them, are loaded behind the end of the buffer.
    Load { at: u64, len: usize },
    /// That the store is asked whether the file is still what it was; then [`Sending::seal`].
    Ask,
    /// Nothing: all is in the buffer.
    Nothing,
}

impl Sending {
    /// Sends `left` octets from `at` on, in blocks of `block`, in runs of at most `most` blocks.
    pub(super) const fn new(direction: Direction, at: u64, left: u64, block: u32, most: usize) -> Self {
        Self { at, left, block, most, run: Run::None, direction, need: Need::Nothing }
    }

    /// Sends the octets of a file that is so small that they are the body of its announcement, which is at the end of
    /// the buffer and began at `head`.
    pub(super) const fn inline(head: usize, len: usize, block: u32) -> Self {
        // Counted in runs from now on.
        let run = Run::Whole { head, len, missing: len };
        Self { at: 0, left: 0, block, most: 1, run, direction: Direction::Up, need: Need::Nothing }
    }

    /// How many octets are left, as far as a run may need to know.
    fn left(&self) -> u32 {
        u32::try_from(self.left).unwrap_or(u32::MAX)
    }

    /// How many octets the next run has if it may take `room`, with header and digests; 0 if not even a block fits.
    fn fitting(&self, room: usize) -> u32 {
        let room = u32::try_from(room).unwrap_or(u32::MAX).saturating_sub(HEAD_ROOM);
        let most = self.left().min(self.block.saturating_mul(u32::try_from(self.most).unwrap_or(1)));
        if body_len(most, self.block) <= u64::from(room) {
            return most;
        }
        let with_digest = self.block.saturating_add(DIGEST);
        room.checked_div(with_digest).unwrap_or(0).saturating_mul(self.block)
    }

    /// Begins the next run, if there is one and the buffer has room, and says what is needed.
    pub(super) fn advance(&mut self, outlet: &mut Outlet, output: &mut [u8]) -> Need {
        self.need = self.next(outlet, output);
        self.need
    }

    /// That in the words of a machine.
    pub(super) fn want<'b>(&self, outlet: &Outlet, output: &'b mut [u8]) -> Want<'b> {
        let Need::Load { at, len } = self.need else { return Want::Open(Target::Ask(Ask::Loaded)) };
        let room = output.get_mut(outlet.end()..).unwrap_or_default();
        let len = len.min(room.len());
        Want::Load { at, into: room.get_mut(..len).unwrap_or_default() }
    }

    /// What [`Self::advance`] said last.
    pub(super) const fn need(&self) -> Need {
        self.need
    }

    fn next(&mut self, outlet: &mut Outlet, output: &mut [u8]) -> Need {
        match &self.run {
            Run::None if self.left == 0 => Need::Nothing,
            Run::None => {
                let (here, alone) = (self.fitting(outlet.room(output)), self.fitting(output.len()));
                // A short run only because others are in front of it costs more than writing these.
                let blocks = usize::try_from(here.div_ceil(self.block.max(1))).unwrap_or(usize::MAX);
                if !outlet.is_empty() && (here == 0 || here < alone >> 1 || !outlet.has_block_room(blocks)) {
                    return Need::Flush;
                }
                self.begin(outlet, output, here)
            }
            Run::Whole { missing: 0, .. } => Need::Ask,
            Run::Whole { missing, .. } => Need::Load { at: self.at, len: *missing },
            Run::Hashing { missing: 0, .. } => Need::Ask,
            Run::Hashing { len, missing, .. } => {
                let at = self.at.saturating_add(u64::from(len.saturating_sub(*missing)));
                self.load(at, *missing, outlet.room(output))
            }
            Run::Piece { missing: 0 } => {
                self.run = Run::None;
                self.next(outlet, output)
            }
            Run::Piece { missing } => self.load(self.at, *missing, outlet.room(output)),
        }
    }

    fn load(&self, at: u64, missing: u32, room: usize) -> Need {
        if room == 0 {
            return Need::Flush;
        }
        Need::Load { at, len: usize::try_from(missing).unwrap_or(usize::MAX).min(room) }
    }

    fn begin(&mut self, outlet: &mut Outlet, output: &mut [u8], fitting: u32) -> Need {
        if fitting == 0 {
            let len = self.left().min(self.block);
            self.run = Run::Hashing { len, missing: len, running: Running::new() };
            return self.next(outlet, output);
        }
        let head = outlet.end();
        // Sessions refuse buffers that cannot hold a header.
        if !self.announce(outlet, output, fitting) {
            return Need::Flush;
        }
        let len = usize::try_from(fitting).unwrap_or(usize::MAX);
        outlet.make_room(output, len, self.block);
        self.run = Run::Whole { head, len, missing: len };
        self.next(outlet, output)
    }

    /// Appends the header of a run of `len` octets, if it fits.
    fn announce(&self, outlet: &mut Outlet, output: &mut [u8], len: u32) -> bool {
        let data = Data { at: self.at, len };
        let written = match self.direction {
            Direction::Down => outlet.header(output, &Reply::Data(data)),
            Direction::Up => outlet.header(output, &Request::Data(data)),
        };
        written.is_ok()
    }

    /// Where in the buffer the present run begins, if it fits the buffer.
    pub(super) const fn head(&self) -> usize {
        match self.run {
            Run::Whole { head, .. } => head,
            Run::None | Run::Hashing { .. } | Run::Piece { .. } => 0,
        }
    }

    /// Octets, `count` or as many as are needed, were loaded behind the end of the buffer. Returns how many of them are
    /// going to leave; `None` if there are no more although there should be.
    pub(super) fn loaded(&mut self, outlet: &mut Outlet, output: &[u8], count: u64) -> Option<u64> {
        let Need::Load { len, .. } = self.need else { return None };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(len);
        if count == 0 {
            return None;
        }
        let short = u32::try_from(count).unwrap_or(u32::MAX);
        match &mut self.run {
            Run::None => return None,
            Run::Whole { missing, .. } => *missing = missing.saturating_sub(count),
            Run::Hashing { missing, running, .. } => {
                let octets = output.get(outlet.end()..).and_then(|octets| octets.get(..count));
                running.update(octets.unwrap_or_default());
                *missing = missing.saturating_sub(short);
                return Some(0);
            }
            Run::Piece { missing } => *missing = missing.saturating_sub(short),
        }
        outlet.grown(output, count);
        let octets = u64::try_from(count).unwrap_or(u64::MAX);
        self.at = self.at.saturating_add(octets);
        self.left = self.left.saturating_sub(octets);
        Some(octets)
    }

    /// Whether what is going to be appended next belongs to a run that has begun to leave.
    pub(super) const fn is_within_a_run(&self) -> bool {
        matches!(self.run, Run::Piece { .. })
    }

    /// Whether the run that is complete is the last.
    pub(super) fn is_last(&self) -> bool {
        match self.run {
            Run::Hashing { len, .. } => self.left <= u64::from(len),
            Run::None | Run::Whole { .. } | Run::Piece { .. } => self.left == 0,
        }
    }

    /// The octets of the run are all known and may leave behind their digests.
    pub(super) fn seal(
        &mut self,
        outlet: &mut Outlet,
        output: &mut [u8],
        file: Option<&mut crate::digest::BlockDigest>,
    ) {
        match core::mem::replace(&mut self.run, Run::None) {
            Run::None => {}
            Run::Whole { len, .. } => outlet.blocks(len, self.block),
            Run::Hashing { len, running, .. } => {
                let digest = running.finish();
                if let Some(file) = file {
                    file.push(&digest);
                }
                // The buffer is empty: there is room.
                self.announce(outlet, output, len);
                outlet.octets(output, &digest.0);
                self.run = Run::Piece { missing: len };
            }
            run @ Run::Piece { .. } => self.run = run,
        }
    }

    /// The run cannot be completed: takes it back, if nothing of it has left yet.
    pub(super) fn take_back(&mut self, outlet: &mut Outlet) -> bool {
        match core::mem::replace(&mut self.run, Run::None) {
            Run::Whole { head, .. } => {
                outlet.cut(head);
                true
            }
            Run::None | Run::Hashing { .. } => true,
            Run::Piece { .. } => false,
        }
    }
}
