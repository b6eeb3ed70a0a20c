//! The machine behind one accepted connection: reads a request, serves a file or walks a folder.
//!
//! **Guarantees**: not an octet leaves before the store has granted the request; never more of a file than its
//! size when it was opened; every header leaves in one piece; the connection is shut down after the last octet.
//! A file that turns out shorter than promised ends the transfer with [`Outcome::Aborted`]: filling it up would
//! hand the peer a damaged file that looks whole.
//!
//! **Memory**: the lent buffer, which holds the request first, then headers and small files.
//! **Time**: [`REQUEST_TIME`] for the request, [`STALL_TIME`] for every 4 KiB after it, [`LINGER_TIME`] at the end.
//! **Protocol**: R-IP-70 to 79, 85 to 93.

use super::{
    Abort, Entry, LINGER_TIME, Machine, Opened, Outcome, ProtocolError, REQUEST_TIME, STALL_TIME, Target, Totals, Want,
    is_progress,
};
use crate::time::Instant;
use crate::wire::ipmsg::{
    EscapedName, FileKind, FileRequest, FolderHeader, MAX_REQUEST, REQUEST_SILENCE, RequestKind, RequestScan,
};
use crate::wire::{BufferTooSmall, ParseError};

/// Room that is kept for the next header, so that it always leaves in one piece (R-IP-91): names of 255
/// characters in UTF-8 fit.
const HEADER_ROOM: usize = 1024;

/// What is appended to the name of a file that cannot be read, as the official client does (R-IP-92).
const CANNOT_OPEN: &[u8] = b" (Can't open)";

/// After its last octet a server reads no more than this before it drops the connection.
const DRAIN_MOST: u64 = 64 * 1024;

/// Serves one request.
///
/// [`Want::Open`] with [`Target::Request`] asks the store whether the peer may have what it asks for. For a file
/// requested as a file, [`Want::Send`] follows; for a folder, or a file requested as a folder, headers and
/// contents, files that fit the buffer by [`Want::Load`] and larger ones by [`Want::Send`].
#[derive(Debug)]
pub struct Server<'b> {
    buffer: &'b mut [u8],
    /// Octets at the front of the buffer that mean something.
    filled: usize,
    /// Of those, how many have been written.
    sent: usize,
    /// The buffer is being written out.
    flushing: bool,
    stage: Stage,
    /// How it ends, from [`Stage::Closing`] on.
    result: Result<Outcome, ProtocolError>,
    /// When the peer last got on, or, while the request is read, when the connection was accepted.
    since: Instant,
    /// When the last octet of the request came.
    heard: Instant,
    depth: u32,
    totals: Totals,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The request is being read; `silence`: it may be complete.
    Reading { silence: bool },
    /// The store is being asked.
    Asking { folder: bool },
    /// The store is asked for the next entry.
    Next,
    /// The open file goes to the buffer.
    Loading { at: u64, left: usize },
    /// The open file goes to the peer.
    Sending { at: u64, left: u64 },
    /// All is written.
    Closing,
    /// Waiting for the peer to close.
    Draining { left: u64 },
    /// Over.
    Over,
}

impl<'b> Server<'b> {
    /// Serves a connection accepted at `now`.
    ///
    /// `buffer` has to hold the request and each header of a folder: 512 octets do for names up to 400. From
    /// some 64 KiB on, thousands of small files take few writes.
    pub fn new(now: Instant, buffer: &'b mut [u8]) -> Self {
        // Asking to read into no room would look like the end of the stream.
        let stage = if buffer.is_empty() { Stage::Over } else { Stage::Reading { silence: false } };
        Self {
            buffer,
            filled: 0,
            sent: 0,
            flushing: false,
            stage,
            result: Err(ProtocolError::RequestTooLong),
            since: now,
            heard: now,
            depth: 0,
            totals: Totals::default(),
        }
    }

    /// Gives the buffer back.
    #[must_use]
    pub fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// What has been moved so far.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    fn request_read(&mut self, now: Instant, n: u64) {
        let count = usize::try_from(n).unwrap_or(usize::MAX).min(self.request_room());
        self.filled = self.filled.saturating_add(count);
        self.heard = now;
        let octets = self.buffer.get(..self.filled).unwrap_or_default();
        let full = self.request_room() == 0;
        match FileRequest::scan(octets) {
            RequestScan::Complete { len } => {
                self.filled = len;
                self.ask();
            }
            // The peer will send no more: what may be complete is.
            RequestScan::EnoughIfSilent if count == 0 => self.ask(),
            RequestScan::NeedMore if count == 0 => self.fail(ProtocolError::NoRequest),
            RequestScan::TooLong => self.fail(ProtocolError::RequestTooLong),
            RequestScan::NeedMore | RequestScan::EnoughIfSilent if full => self.fail(ProtocolError::RequestTooLong),
            RequestScan::EnoughIfSilent => self.stage = Stage::Reading { silence: true },
            RequestScan::NeedMore => self.stage = Stage::Reading { silence: false },
        }
    }

    fn request_room(&self) -> usize {
        self.buffer.len().min(MAX_REQUEST).saturating_sub(self.filled)
    }

    fn request(&self) -> Result<FileRequest<'_>, ParseError> {
        FileRequest::parse(self.buffer.get(..self.filled).unwrap_or_default())
    }

    fn ask(&mut self) {
        match self.request() {
            Ok(request) => self.stage = Stage::Asking { folder: request.kind == RequestKind::Folder },
            Err(error) => self.fail(ProtocolError::Malformed(error)),
        }
    }

    fn granted(&mut self, folder: bool, answer: Opened<'_>) {
        let offset = self.request().map_or(0, |request| request.offset);
        // From here on the buffer is for headers and contents.
        self.filled = 0;
        match answer {
            Opened::File(entry) if folder => self.begin(Kind::File, &entry),
            Opened::Folder(entry) if folder => self.begin(Kind::Folder, &entry),
            Opened::Unreadable(entry) if folder => self.begin(Kind::Unreadable, &entry),
            // R-IP-77: from the offset to the end, which may be nothing.
            Opened::File(entry) => {
                self.totals.add_file();
                self.stage = Stage::Sending { at: offset, left: entry.size.saturating_sub(offset) };
            }
            // R-IP-77: a folder is served to a request for a folder only.
            Opened::Folder(_) | Opened::Unreadable(_) | Opened::Refused => self.close(Outcome::Refused),
            Opened::Leave | Opened::Ready | Opened::Skip | Opened::Answer(_) => self.abort(Abort::Answer),
        }
    }

    /// Puts the header of an entry into the buffer and turns to its contents.
    fn begin(&mut self, kind: Kind, entry: &Entry<'_>) {
        let size = match kind {
            Kind::File => entry.size,
            // R-IP-85: some clients read that many octets, whatever the type.
            Kind::Folder | Kind::Unreadable => 0,
        };
        match self.put(kind, entry, size) {
            Ok(()) => {}
            // Nothing of it was to be served anyway.
            Err(_) if kind == Kind::Unreadable => {}
            Err(error) => return self.abort(Abort::NameTooLong { needed: error.needed }),
        }
        match kind {
            Kind::File => {
                self.totals.add_file();
                self.stage = self.contents(size);
            }
            Kind::Folder => {
                self.totals.add_folder();
                self.depth = self.depth.saturating_add(1);
                self.stage = Stage::Next;
            }
            Kind::Unreadable => {
                self.totals.add_skipped();
                self.stage = Stage::Next;
            }
        }
    }

    fn put(&mut self, kind: Kind, entry: &Entry<'_>, size: u64) -> Result<(), BufferTooSmall> {
        let header = |name| FolderHeader {
            name: EscapedName::plain(name),
            size,
            attribute: entry.metadata.attribute(kind.wire()),
            extended: entry.metadata.extended(),
        };
        let name = entry.name.as_bytes();
        if kind != Kind::Unreadable {
            return self.emit(&header(name));
        }
        // The longer name is put together at the far end of the buffer.
        let len = name.len().saturating_add(CANNOT_OPEN.len());
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let Some((room, far)) = room.len().checked_sub(len).and_then(|at| room.split_at_mut_checked(at)) else {
            return Err(BufferTooSmall { needed: len });
        };
        for (to, from) in far.iter_mut().zip(name.iter().chain(CANNOT_OPEN)) {
            *to = *from;
        }
        let len = header(far).emit(room)?;
        self.filled = self.filled.saturating_add(len);
        Ok(())
    }

    fn emit(&mut self, header: &FolderHeader<'_>) -> Result<(), BufferTooSmall> {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let len = header.emit(room)?;
        self.filled = self.filled.saturating_add(len);
        Ok(())
    }

    /// Contents that leave room for others travel with them; the rest goes from the store to the peer directly.
    fn contents(&self, size: u64) -> Stage {
        let room = self.buffer.len().saturating_sub(self.filled);
        let half = self.buffer.len() >> 1;
        match usize::try_from(size) {
            Ok(left) if left <= room.max(half) => Stage::Loading { at: 0, left },
            _ => Stage::Sending { at: 0, left: size },
        }
    }

    fn leave(&mut self) {
        if self.depth == 0 {
            return self.abort(Abort::Answer);
        }
        match self.emit(&FolderHeader::return_parent()) {
            Ok(()) => {
                self.depth = self.depth.saturating_sub(1);
                self.stage = Stage::Next;
            }
            Err(error) => self.abort(Abort::NameTooLong { needed: error.needed }),
        }
    }

    /// Decides, after something has changed, whether the buffer has to be written out first, and whether all is
    /// done.
    fn settle(&mut self) {
        let room = self.buffer.len().saturating_sub(self.filled);
        match self.stage {
            Stage::Loading { left: 0, .. } | Stage::Sending { left: 0, .. } => {
                self.stage = Stage::Next;
                self.settle_next(room);
            }
            Stage::Next => self.settle_next(room),
            Stage::Loading { left, .. } => self.flushing = room < left && self.filled > 0,
            Stage::Sending { .. } => self.flushing = self.filled > 0,
            _ => {}
        }
    }

    fn settle_next(&mut self, room: usize) {
        // R-IP-93: what was asked for is served once the root is left, or at once if it was a file.
        let over = self.depth == 0;
        self.flushing = self.filled > 0 && (over || room < HEADER_ROOM);
        if over && !self.flushing {
            self.close(Outcome::Complete(self.totals));
        }
    }

    fn close(&mut self, outcome: Outcome) {
        self.result = Ok(outcome);
        self.stage = Stage::Closing;
    }

    fn abort(&mut self, cause: Abort) {
        self.end(Ok(Outcome::Aborted(cause)));
    }

    fn fail(&mut self, error: ProtocolError) {
        self.end(Err(error));
    }

    fn end(&mut self, result: Result<Outcome, ProtocolError>) {
        self.flushing = false;
        self.result = result;
        self.stage = Stage::Over;
    }
}

impl Machine for Server<'_> {
    fn want(&mut self) -> Want<'_> {
        if self.flushing {
            return Want::Write(self.buffer.get(self.sent..self.filled).unwrap_or_default());
        }
        match self.stage {
            Stage::Reading { .. } => {
                let most = self.buffer.len().min(MAX_REQUEST);
                Want::Read(self.buffer.get_mut(self.filled..most).unwrap_or_default())
            }
            Stage::Asking { .. } => match self.request() {
                Ok(request) => Want::Open(Target::Request(request)),
                Err(error) => Want::Done(Err(ProtocolError::Malformed(error))),
            },
            Stage::Next => Want::Open(Target::Next),
            Stage::Loading { at, left } => {
                let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
                let left = left.min(room.len());
                Want::Load { at, into: room.get_mut(..left).unwrap_or_default() }
            }
            Stage::Sending { at, left } => Want::Send { at, len: left },
            Stage::Closing => Want::Shutdown,
            // A reset means that octets lie there unread.
            Stage::Draining { .. } => Want::Read(self.buffer),
            Stage::Over => Want::Done(self.result),
        }
    }

    fn done(&mut self, now: Instant, n: u64) {
        let moves_on = match self.stage {
            _ if self.flushing => is_progress(u64::try_from(self.sent).unwrap_or(0), n),
            Stage::Sending { at, .. } => is_progress(at, n),
            Stage::Reading { .. } | Stage::Draining { .. } => false,
            Stage::Asking { .. } | Stage::Next | Stage::Loading { .. } | Stage::Closing | Stage::Over => true,
        };
        if moves_on {
            self.since = now;
        }
        if self.flushing {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            self.sent = self.sent.saturating_add(n);
            if self.sent >= self.filled {
                (self.sent, self.filled, self.flushing) = (0, 0, false);
                self.since = now;
                self.settle();
            }
            return;
        }
        match self.stage {
            Stage::Reading { .. } => {
                self.request_read(now, n);
                if !matches!(self.stage, Stage::Reading { .. }) {
                    self.since = now;
                }
            }
            Stage::Loading { at, left } => {
                let count = usize::try_from(n).unwrap_or(usize::MAX).min(left);
                let n = u64::try_from(count).unwrap_or(0);
                if count == 0 {
                    return self.abort(Abort::Shrunk { missing: u64::try_from(left).unwrap_or(u64::MAX) });
                }
                self.filled = self.filled.saturating_add(count);
                self.totals.add_octets(n);
                self.stage = Stage::Loading { at: at.saturating_add(n), left: left.saturating_sub(count) };
                self.settle();
            }
            Stage::Sending { at, left } => {
                let n = n.min(left);
                if n == 0 {
                    return self.abort(Abort::Shrunk { missing: left });
                }
                self.totals.add_octets(n);
                self.stage = Stage::Sending { at: at.saturating_add(n), left: left.saturating_sub(n) };
                self.settle();
            }
            Stage::Closing => self.stage = Stage::Draining { left: DRAIN_MOST },
            Stage::Draining { left } => {
                let left = left.saturating_sub(n);
                self.stage = if n == 0 || left == 0 { Stage::Over } else { Stage::Draining { left } };
            }
            Stage::Asking { .. } | Stage::Next | Stage::Over => {}
        }
    }

    fn opened(&mut self, now: Instant, answer: Opened<'_>) {
        match self.stage {
            _ if self.flushing => return,
            Stage::Asking { folder } => self.granted(folder, answer),
            Stage::Next => match answer {
                Opened::File(entry) => self.begin(Kind::File, &entry),
                Opened::Folder(entry) => self.begin(Kind::Folder, &entry),
                Opened::Unreadable(entry) => self.begin(Kind::Unreadable, &entry),
                Opened::Leave => self.leave(),
                Opened::Ready | Opened::Skip | Opened::Refused | Opened::Answer(_) => self.abort(Abort::Answer),
            },
            _ => return,
        }
        self.since = now;
        self.settle();
    }

    fn deadline(&self) -> Option<Instant> {
        let patience = match self.stage {
            _ if self.flushing => STALL_TIME,
            Stage::Reading { .. } => REQUEST_TIME,
            Stage::Sending { .. } | Stage::Closing => STALL_TIME,
            Stage::Draining { .. } => LINGER_TIME,
            Stage::Asking { .. } | Stage::Next | Stage::Loading { .. } | Stage::Over => return None,
        };
        let due = self.since + patience;
        match self.stage {
            Stage::Reading { silence: true } => Some(due.min(self.heard + REQUEST_SILENCE)),
            _ => Some(due),
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.stage {
            // R-IP-74. The request may also run into its own deadline while the octets trickle in; what may be
            // complete is taken for complete then, too.
            Stage::Reading { silence: true } => {
                self.since = now;
                self.ask();
            }
            // The octets are out; only the peer's farewell is missing.
            Stage::Draining { .. } => self.stage = Stage::Over,
            _ => self.fail(ProtocolError::TimedOut),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Unreadable,
}

impl Kind {
    const fn wire(self) -> FileKind {
        match self {
            Self::File | Self::Unreadable => FileKind::Regular,
            Self::Folder => FileKind::Folder,
        }
    }
}
