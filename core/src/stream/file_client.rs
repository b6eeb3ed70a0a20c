//! The machine that fetches a file.
//!
//! **Guarantees**: the request leaves in one write; not an octet more than the announced size reaches the store;
//! the machine never waits for the server to close (unless the size was not announced).
//!
//! **Memory**: the lent buffer holds the request, some 100 octets, and nothing else.
//! **Time**: [`STALL_TIME`] for the first octet, and for every 4 KiB. **Protocol**: R-IP-70, 76, 77, 79.

use super::{
    Abort, Arrival, Machine, Metadata, Opened, Outcome, ProtocolError, STALL_TIME, Target, Totals, Want, is_progress,
};
use crate::time::Instant;
use crate::wire::BufferTooSmall;
use crate::wire::ipmsg::FileRequest;

/// What the offer said about the size of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// So many octets: neither more nor less are taken.
    Size(u64),
    /// Nothing: everything until the server closes.
    Unknown {
        /// The file must be shorter than this, offset included. If that leaves room for nothing, neither the store nor
        /// the server is asked, and it ends with [`ProtocolError::TooMuch`].
        limit: u64,
    },
}

/// Fetches one file.
///
/// Asks the store first ([`Target::File`] without a name), then the server.
#[derive(Debug)]
pub struct FileClient<'b> {
    buffer: &'b mut [u8],
    /// Length of the request, and how much of it has been written.
    filled: usize,
    sent: usize,
    announced: Announced,
    /// Where in the file the next octet belongs; began at the offset.
    at: u64,
    offset: u64,
    metadata: Metadata,
    stage: Stage,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Opening,
    Requesting,
    Receiving,
    /// Nothing will come: only push the request out.
    Empty,
    Closing,
    Over(Result<Outcome, ProtocolError>),
}

impl<'b> FileClient<'b> {
    /// Prepares to fetch what `request` names, from its offset on, over a connection made at `now`.
    ///
    /// An offset other than 0 makes sense only with a server known to honour it (R-IP-76).
    ///
    /// # Errors
    /// [`BufferTooSmall`] if `buffer` cannot hold the request.
    pub fn new(
        now: Instant,
        buffer: &'b mut [u8],
        request: &FileRequest<'_>,
        announced: Announced,
        metadata: Metadata,
    ) -> Result<Self, BufferTooSmall> {
        let filled = request.emit(buffer)?;
        let offset = request.offset;
        // Without room for an octet, an empty file is not what was offered: the store must not be asked for one.
        let stage = match announced {
            // R-IP-79: it would be taken for empty.
            Announced::Unknown { limit } if limit <= offset => Stage::Over(Err(ProtocolError::TooMuch)),
            Announced::Size(_) | Announced::Unknown { .. } => Stage::Opening,
        };
        Ok(Self { buffer, filled, sent: 0, announced, at: offset, offset, metadata, stage, since: now })
    }

    /// Gives the buffer back.
    #[must_use]
    pub fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// How many octets have come so far.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.at.saturating_sub(self.offset)
    }

    /// How many more octets may come.
    const fn left(&self) -> u64 {
        let end = match self.announced {
            Announced::Size(size) => size,
            Announced::Unknown { limit } => limit,
        };
        end.saturating_sub(self.at)
    }

    fn received_some(&mut self, n: u64) {
        let n = n.min(self.left());
        self.at = self.at.saturating_add(n);
        let (got, left) = (self.received(), self.left());
        match self.announced {
            Announced::Size(_) if left == 0 => self.stage = Stage::Closing,
            // R-IP-77: a server that refuses closes without a word.
            _ if n == 0 && got == 0 => self.stage = Stage::Over(Ok(Outcome::Refused)),
            Announced::Size(_) if n == 0 => {
                self.stage = Stage::Over(Ok(Outcome::Short { got, want: got.saturating_add(left) }));
            }
            Announced::Unknown { .. } if n == 0 => self.stage = Stage::Closing,
            Announced::Unknown { .. } if left == 0 => self.stage = Stage::Over(Err(ProtocolError::TooMuch)),
            Announced::Size(_) | Announced::Unknown { .. } => {}
        }
    }

    fn totals(&self) -> Totals {
        Totals { files: 1, octets: self.received(), ..Totals::default() }
    }
}

impl Machine for FileClient<'_> {
    fn want(&mut self) -> Want<'_> {
        match self.stage {
            Stage::Opening => Want::Open(Target::File(Arrival {
                name: None,
                size: match self.announced {
                    Announced::Size(size) => Some(size),
                    Announced::Unknown { .. } => None,
                },
                offset: self.offset,
                metadata: self.metadata,
            })),
            Stage::Requesting => Want::Write(self.buffer.get(self.sent..self.filled).unwrap_or_default()),
            Stage::Receiving => Want::Receive { at: self.at, len: self.left() },
            Stage::Empty => Want::Shutdown,
            Stage::Closing => Want::Close,
            Stage::Over(result) => Want::Done(result),
        }
    }

    fn done(&mut self, now: Instant, n: u64) {
        // The first octet is progress, too: it comes when a person has made up their mind.
        if self.at == self.offset || is_progress(self.at, n) {
            self.since = now;
        }
        match self.stage {
            Stage::Requesting => {
                self.sent = self.sent.saturating_add(usize::try_from(n).unwrap_or(usize::MAX));
                if self.sent >= self.filled {
                    // The request tells the server that the file was fetched, even if it has no octets.
                    self.stage = if self.left() == 0 { Stage::Empty } else { Stage::Receiving };
                }
            }
            Stage::Receiving => self.received_some(n),
            Stage::Empty => self.stage = Stage::Closing,
            Stage::Closing => self.stage = Stage::Over(Ok(Outcome::Complete(self.totals()))),
            Stage::Opening | Stage::Over(_) => {}
        }
    }

    fn opened(&mut self, now: Instant, answer: Opened<'_>) {
        if let Stage::Opening = self.stage {
            self.since = now;
            self.stage = match answer {
                Opened::Ready => Stage::Requesting,
                Opened::Skip | Opened::Refused => Stage::Over(Ok(Outcome::Refused)),
                Opened::File(_) | Opened::Folder(_) | Opened::Unreadable(_) | Opened::Leave | Opened::Answer(_) => {
                    Stage::Over(Ok(Outcome::Aborted(Abort::Answer)))
                }
            };
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Requesting | Stage::Receiving | Stage::Empty => Some(self.since + STALL_TIME),
            Stage::Opening | Stage::Closing | Stage::Over(_) => None,
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.stage = Stage::Over(Err(ProtocolError::TimedOut));
        }
    }
}
