//! The machine that fetches a folder: the union of what is known of all writers (R-IP-80 to 97).
//!
//! **Guarantees**: names reach the store as octets, never as a path; depth, number of entries and octets are
//! limited; what a peer calls the root is ignored in favour of the name that was announced; the machine
//! never waits for the server to close.
//!
//! **Memory**: the lent buffer holds the request first, then what was read: headers and small files; the longest
//! header must fit. **Time**: [`STALL_TIME`] for the first octet, and for every 4 KiB; each octet of a header is looked at
//! a few times. **Protocol**: R-IP-70, 80 to 97.

use core::cell::Cell;

use super::{
    Abort, Arrival, Machine, Metadata, Opened, Outcome, ProtocolError, STALL_TIME, Target, Totals, Want, is_progress,
};
use crate::time::Instant;
use crate::wire::ipmsg::{FileKind, FileRequest, FolderHeader, FolderScan, MAX_PREAMBLE};
use crate::wire::{BufferTooSmall, Field, ParseError};

/// How much a peer may send as one folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Folders within each other, the root included.
    pub depth: u16,
    /// Files, folders and special files together.
    pub entries: u32,
    /// Octets of contents, whether the store wants them or not.
    pub octets: u64,
}

impl Default for Limits {
    /// 64 folders deep, a million entries, no limit to the octets (a store knows how much room it has).
    fn default() -> Self {
        Self { depth: 64, entries: 1_000_000, octets: u64::MAX }
    }
}

/// Fetches one folder, or one file by the folder protocol.
///
/// For each file: [`Target::File`], its octets, [`Want::Close`]; for each folder: [`Target::Folder`], its insides,
/// [`Target::Leave`].
#[derive(Debug)]
pub struct FolderClient<'b> {
    buffer: &'b mut [u8],
    /// What is in the buffer and not dealt with yet: at first the request.
    start: usize,
    filled: usize,
    /// How many octets in front of the first header have been passed over.
    preamble: usize,
    limits: Limits,
    depth: u16,
    /// How many of the innermost folders the store does not want.
    unwanted: u16,
    entries: u32,
    /// Octets of contents announced so far.
    announced: u64,
    stage: Stage,
    /// When the peer last got on; the time that the store took since then does not count.
    since: Instant,
    /// When something was last done.
    now: Instant,
    /// Octets of the request, then of the stream.
    moved: u64,
    totals: Totals,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The request is being written.
    Requesting,
    /// A header, or more of it, is to be read.
    Reading,
    /// The store is asked about the header at the front of the buffer, `len` octets long.
    Opening { len: usize },
    /// Contents come; `keep`: to the store.
    Body { at: u64, left: u64, keep: bool },
    /// The open file is complete.
    Closing,
    /// The peer is done, but folders are still open.
    Unwinding,
    /// Over.
    Over(Result<Outcome, ProtocolError>),
}

impl<'b> FolderClient<'b> {
    /// Prepares to fetch what `request` names over a connection made at `now`.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if `buffer` cannot hold the request.
    pub fn new(
        now: Instant,
        buffer: &'b mut [u8],
        request: &FileRequest<'_>,
        limits: Limits,
    ) -> Result<Self, BufferTooSmall> {
        let filled = request.emit(buffer)?;
        Ok(Self {
            buffer,
            start: 0,
            filled,
            preamble: 0,
            limits,
            depth: 0,
            unwanted: 0,
            entries: 0,
            announced: 0,
            stage: Stage::Requesting,
            since: now,
            now,
            moved: 0,
            totals: Totals::default(),
        })
    }

    /// Gives the buffer back.
    #[must_use]
    pub fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// What has come so far.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.filled).unwrap_or_default()
    }

    fn scan(&self) -> Result<FolderScan<'_>, ParseError> {
        FolderHeader::scan(self.pending(), self.entries == 0)
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.filled);
        if self.start == self.filled {
            (self.start, self.filled) = (0, 0);
        }
    }

    /// Consumes up to `most` octets and says how many.
    fn pass_over(&mut self, most: u64) -> u64 {
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(self.pending().len());
        self.consume(count);
        u64::try_from(count).unwrap_or(0)
    }

    /// Deals with what is in the buffer until the store or the peer is needed.
    fn advance(&mut self) {
        loop {
            if let Stage::Body { at, left, keep: false } = self.stage {
                let passed = self.pass_over(left);
                let left = left.saturating_sub(passed);
                if left > 0 {
                    self.stage = Stage::Body { at, left, keep: false };
                    return;
                }
            }
            // R-IP-93: over when the root is left, or at once if it was no folder.
            if self.entries > 0 && self.depth == 0 {
                return self.finish();
            }
            match self.scan() {
                Ok(FolderScan::NeedMore { .. }) => return self.read_more(),
                Ok(FolderScan::Preamble { skip }) => {
                    self.consume(skip);
                    self.preamble = self.preamble.saturating_add(skip);
                    if self.preamble > MAX_PREAMBLE {
                        return self.malformed(Field::HeaderLength);
                    }
                }
                Ok(FolderScan::End { len }) => {
                    self.consume(len);
                    return self.unwind();
                }
                Ok(FolderScan::Header { header, len }) => {
                    let passed_over = self.header(&Header::of(&header), len);
                    if !passed_over {
                        return;
                    }
                }
                Err(error) => return self.fail(ProtocolError::Malformed(error)),
            }
        }
    }

    /// Looks at a header; `false` if the store has to be asked, or if all is over.
    fn header(&mut self, header: &Header, len: usize) -> bool {
        if header.kind == Kind::Leave {
            if self.depth == 0 {
                self.malformed(Field::Attribute);
                return false;
            }
            if self.unwanted == 0 {
                self.stage = Stage::Opening { len };
                return false;
            }
            self.consume(len);
            self.unwanted = self.unwanted.saturating_sub(1);
            self.depth = self.depth.saturating_sub(1);
            self.stage = Stage::Reading;
            return true;
        }
        self.entries = self.entries.saturating_add(1);
        if self.entries > self.limits.entries {
            self.fail(ProtocolError::TooMany);
            return false;
        }
        if header.kind == Kind::Folder && self.depth >= self.limits.depth {
            self.fail(ProtocolError::TooDeep);
            return false;
        }
        self.announced = self.announced.saturating_add(header.size);
        if self.announced > self.limits.octets {
            self.fail(ProtocolError::TooMuch);
            return false;
        }
        if self.unwanted == 0 && header.kind != Kind::Special {
            self.stage = Stage::Opening { len };
            return false;
        }
        self.consume(len);
        self.skip(header);
        true
    }

    /// Passes over an entry whose header is consumed.
    fn skip(&mut self, header: &Header) {
        self.totals.add_skipped();
        if header.kind == Kind::Folder {
            self.depth = self.depth.saturating_add(1);
            self.unwanted = self.unwanted.saturating_add(1);
        }
        self.stage = Stage::Body { at: 0, left: header.size, keep: false };
    }

    /// Acts on the store's answer about a header, which is consumed.
    fn answered(&mut self, header: &Header, answer: Opened<'_>) {
        match (header.kind, answer) {
            (Kind::Leave, _) => {
                self.depth = self.depth.saturating_sub(1);
                self.stage = Stage::Reading;
            }
            (Kind::Folder, Opened::Ready) => {
                self.totals.add_folder();
                self.depth = self.depth.saturating_add(1);
                self.stage = Stage::Reading;
            }
            (Kind::File, Opened::Ready) => {
                self.stage = match header.size {
                    0 => Stage::Closing,
                    left => Stage::Body { at: 0, left, keep: true },
                };
            }
            (_, Opened::Skip) => self.skip(header),
            (_, Opened::Refused) => self.stage = Stage::Over(Ok(Outcome::Refused)),
            _ => self.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer))),
        }
    }

    /// The store has `n` more octets of the open file.
    fn stored(&mut self, n: u64) {
        if let Stage::Body { at, left, keep: true } = self.stage {
            let n = n.min(left);
            self.totals.add_octets(n);
            let (at, left) = (at.saturating_add(n), left.saturating_sub(n));
            self.stage = if left == 0 { Stage::Closing } else { Stage::Body { at, left, keep: true } };
        }
    }

    /// Contents that would fill the buffer go to the store directly; shorter ones are read together with what
    /// follows them.
    fn is_large(&self, left: u64) -> bool {
        !usize::try_from(left).is_ok_and(|left| left <= self.buffer.len())
    }

    /// Makes room for the rest of a header.
    fn read_more(&mut self) {
        let cells = Cell::from_mut(&mut *self.buffer).as_slice_of_cells();
        let pending = cells.get(self.start..self.filled).unwrap_or_default();
        if pending.len() == cells.len() {
            return self.fail(ProtocolError::HeaderTooLong);
        }
        if self.start > 0 {
            // At most the front of one header, so this is short; overlapping, so octet by octet.
            for (to, from) in cells.iter().zip(pending) {
                to.set(from.get());
            }
            (self.start, self.filled) = (0, pending.len());
        }
        self.stage = Stage::Reading;
    }

    /// The peer is done. R-IP-94: open folders are taken for complete, with a warning.
    fn unwind(&mut self) {
        if self.entries == 0 {
            self.stage = Stage::Over(Ok(Outcome::Refused));
            return;
        }
        self.totals.unclosed = self.depth > 0;
        self.depth = self.depth.saturating_sub(self.unwanted);
        self.unwanted = 0;
        if self.depth > 0 { self.stage = Stage::Unwinding } else { self.finish() }
    }

    fn end_of_stream(&mut self) {
        match self.stage {
            Stage::Body { left, .. } => self.fail(ProtocolError::Truncated { missing: left }),
            _ if !self.pending().is_empty() => self.fail(ProtocolError::Truncated { missing: 1 }),
            // R-IP-77: a server that refuses closes without a word.
            _ if self.entries == 0 && self.preamble == 0 => self.stage = Stage::Over(Ok(Outcome::Refused)),
            _ if self.entries == 0 => self.fail(ProtocolError::Truncated { missing: 1 }),
            _ => self.unwind(),
        }
    }

    /// Whether it is the peer that has to do something.
    fn waits_for_peer(&self) -> bool {
        match self.stage {
            Stage::Requesting | Stage::Reading => true,
            Stage::Body { .. } => self.start == self.filled,
            Stage::Opening { .. } | Stage::Closing | Stage::Unwinding | Stage::Over(_) => false,
        }
    }

    /// The store did something: that is not the peer's fault.
    fn store_took_until(&mut self, now: Instant) {
        self.since = self.since.after_pause(self.now, now);
        self.now = now;
    }

    fn finish(&mut self) {
        self.stage = Stage::Over(Ok(Outcome::Complete(self.totals)));
    }

    fn malformed(&mut self, field: Field) {
        self.fail(ProtocolError::Malformed(ParseError::malformed(field)));
    }

    fn fail(&mut self, error: ProtocolError) {
        self.stage = Stage::Over(Err(error));
    }
}

impl Machine for FolderClient<'_> {
    fn want(&mut self) -> Want<'_> {
        match self.stage {
            Stage::Requesting => Want::Write(self.buffer.get(self.start..self.filled).unwrap_or_default()),
            Stage::Reading => Want::Read(self.buffer.get_mut(self.filled..).unwrap_or_default()),
            Stage::Opening { .. } => match self.scan() {
                Ok(FolderScan::Header { header, .. }) => Want::Open(target(&header, self.depth)),
                _ => Want::Done(Err(ProtocolError::HeaderTooLong)),
            },
            Stage::Body { at, left, keep: true } if self.start < self.filled => {
                let count = usize::try_from(left).unwrap_or(usize::MAX);
                let pending = self.buffer.get(self.start..self.filled).unwrap_or_default();
                Want::Save { at, octets: pending.get(..count).unwrap_or(pending) }
            }
            Stage::Body { at, left, keep: true } if self.is_large(left) => Want::Receive { at, len: left },
            Stage::Body { .. } => Want::Read(self.buffer),
            Stage::Closing => Want::Close,
            Stage::Unwinding => Want::Open(Target::Leave(Metadata::default())),
            Stage::Over(result) => Want::Done(result),
        }
    }

    fn done(&mut self, now: Instant, n: u64) {
        if self.waits_for_peer() {
            // The first octet is progress, too: it comes when a person has made up their mind.
            if self.moved == 0 || is_progress(self.moved, n) {
                self.since = now;
            }
            self.moved = self.moved.saturating_add(n);
            self.now = now;
        } else {
            self.store_took_until(now);
        }
        match self.stage {
            Stage::Requesting => {
                self.consume(usize::try_from(n).unwrap_or(usize::MAX));
                if self.start == self.filled {
                    self.moved = 0;
                    self.stage = Stage::Reading;
                }
            }
            Stage::Reading => {
                let room = self.buffer.len().saturating_sub(self.filled);
                match usize::try_from(n).unwrap_or(usize::MAX).min(room) {
                    0 => self.end_of_stream(),
                    count => {
                        self.filled = self.filled.saturating_add(count);
                        self.advance();
                    }
                }
            }
            Stage::Body { left, .. } if self.start < self.filled => {
                let saved = self.pass_over(n.min(left));
                self.stored(saved);
            }
            Stage::Body { .. } if n == 0 => self.end_of_stream(),
            Stage::Body { left, keep: true, .. } if self.is_large(left) => self.stored(n),
            Stage::Body { keep, .. } => {
                self.filled = usize::try_from(n).unwrap_or(usize::MAX).min(self.buffer.len());
                if !keep {
                    self.advance();
                }
            }
            Stage::Closing => {
                self.totals.add_file();
                self.stage = Stage::Reading;
                self.advance();
            }
            Stage::Opening { .. } | Stage::Unwinding | Stage::Over(_) => {}
        }
    }

    fn opened(&mut self, now: Instant, answer: Opened<'_>) {
        self.store_took_until(now);
        match self.stage {
            Stage::Opening { len } => {
                let Ok(FolderScan::Header { header, .. }) = self.scan() else { return };
                let header = Header::of(&header);
                self.consume(len);
                self.answered(&header, answer);
                if matches!(self.stage, Stage::Reading | Stage::Body { keep: false, .. }) {
                    self.advance();
                }
            }
            Stage::Unwinding => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.finish();
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.waits_for_peer().then(|| self.since + STALL_TIME)
    }

    fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.fail(ProtocolError::TimedOut);
        }
    }
}

/// What a header says, without the name.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: Kind,
    size: u64,
    metadata: Metadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Leave,
    /// Links, devices, forks: nothing that a store could keep.
    Special,
}

impl Header {
    fn of(header: &FolderHeader<'_>) -> Self {
        let kind = match header.kind() {
            FileKind::Regular => Kind::File,
            FileKind::Folder => Kind::Folder,
            FileKind::ReturnParent => Kind::Leave,
            _ => Kind::Special,
        };
        Self { kind, size: header.content_len(), metadata: Metadata::of(header) }
    }
}

fn target<'a>(header: &FolderHeader<'a>, depth: u16) -> Target<'a> {
    let Header { kind, size, metadata } = Header::of(header);
    // R-IP-95: the root has the name that was announced.
    let name = (depth > 0).then_some(header.name);
    match kind {
        Kind::Leave => Target::Leave(metadata),
        Kind::Folder => Target::Folder(Arrival { name, size: None, offset: 0, metadata }),
        Kind::File | Kind::Special => Target::File(Arrival { name, size: Some(size), offset: 0, metadata }),
    }
}
