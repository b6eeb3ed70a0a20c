//! The machine behind an accepted connection.

mod answers;
mod machine;
mod requests;
mod steps;

use super::aside::Asides;
use super::link::{Link, Out};
use super::receiving::Receiving;
use super::scram::ServerExchange;
use super::segment::Segment;
use super::sending::{self, Sending};
use super::{Buffers, IDLE_TIME, Input, PROGRESS_TIME, SIGN_IN_TIME, Settings, most_blocks};
use crate::digest::Hasher;
use crate::stream::{LINGER_TIME, Outcome, ProtocolError, Totals};
use crate::time::{Instant, earlier};

/// After its last octet a server reads no more than this before it drops the connection (R-VT-74).
const DRAIN_MOST: u64 = 64 * 1024;

/// The memory of one connection that is served, without its buffers.
///
/// The buffers are lent by [`Self::with`] while there is something to do; while the session [is idle](Self::is_idle),
/// which is most of the time of most connections, they may be taken away and be others the next time.
///
/// **Guarantees**: nothing is asked of the store before somebody has signed in, but who that may be; a header is
/// bounded before it is read; every request is answered once, in order; a file is complete only if every block of it
/// came with its digest; the words that a file is stored leave after [`Ask::Settle`](super::Ask::Settle).
#[derive(Debug)]
pub struct ServerSession {
    settings: Settings,
    link: Link,
    stage: Stage,
    who: Who,
    /// Blocks in a run that the client takes.
    most_blocks: usize,
    nonce: [u8; 18],
    exchange: Option<ServerExchange>,
    /// The file that is being received.
    upload: Option<Upload>,
    /// Runs of it that are not judged yet.
    asides: Asides,
    /// There are words in the output that a file is stored.
    unsettled: bool,
    /// The output begins within a run, or before the client was let in: nothing can be said in front of it.
    begins_within: bool,
    /// When the client last heard that settling takes time, or when that began.
    told: Option<Instant>,
    totals: Totals,
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// It has not said what it speaks.
    Nobody,
    /// It has not signed in.
    Stranger,
    /// It may ask.
    Known,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to put the large one elsewhere")]
enum Upload {
    /// Octets are welcome.
    Open { file: Receiving, inline: bool },
    /// It was answered with an error; what is still under way is passed over.
    Failed { block: u32 },
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to put the large ones elsewhere")]
enum Stage {
    /// The next header is waited for.
    Head,
    /// The store is asked what the header at the front of the input says.
    Asking,
    /// The same, again and again: it has something else to do first, and this was when the client last heard of it.
    Postponed(Instant),
    /// The store is asked for an account.
    Account,
    /// The store is told how a sign-in went.
    SignedIn {
        /// Whether it was proven who it is.
        proven: bool,
        /// Where in the output the words begin that say so.
        head: usize,
    },
    /// So much of a body is passed over.
    Skipping(u64),
    /// A folder is listed.
    Listing,
    /// The store works, and this was when the client last heard of it.
    Working(Instant),
    /// A file is sent.
    Sending(Sending),
    /// A run of blocks is received.
    Receiving(Segment),
    /// The store is told that the file that was received is complete.
    Completing,
    /// The last words are written, then it is over.
    Closing,
    /// Waiting for the peer to close.
    Draining(u64),
    /// Over.
    Over(Result<Outcome, ProtocolError>),
}

impl ServerSession {
    /// Serves a connection accepted at `now`. `nonce` is random and used for this connection only.
    #[must_use]
    pub fn new(now: Instant, settings: Settings, nonce: [u8; 18]) -> Self {
        Self {
            settings,
            link: Link::new(now),
            stage: Stage::Head,
            who: Who::Nobody,
            most_blocks: most_blocks(0),
            nonce,
            exchange: None,
            upload: None,
            asides: Asides::default(),
            unsettled: false,
            begins_within: true,
            told: None,
            totals: Totals::default(),
        }
    }

    /// Lends it buffers. Unless it [is idle](Self::is_idle), they must be those that it had before.
    ///
    /// Buffers below [`LEAST_BUFFERS`](super::LEAST_BUFFERS), or an input that cannot hold the longest header, end the
    /// session with [`ProtocolError::HeaderTooLong`].
    pub fn with<'s, 'b, H: Hasher, I: Input + ?Sized>(
        &'s mut self,
        buffers: Buffers<'b, I>,
        hasher: H,
    ) -> Server<'s, 'b, H, I> {
        if !buffers.suffice(&self.settings) {
            self.stage = Stage::Over(Err(ProtocolError::HeaderTooLong));
        }
        if self.asides.is_empty() {
            buffers.input.forget();
        }
        let mut server = Server { session: self, buffers, hasher };
        server.advance();
        server
    }

    /// Whether the buffers hold nothing: the next request is waited for, and no octet of it has come.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Head)
            && self.link.is_empty()
            && self.link.out == Out::Filling
            && self.asides.is_empty()
    }

    /// Whether a file is being received: octets of it that were saved are still of use.
    #[must_use]
    pub const fn is_receiving(&self) -> bool {
        matches!(self.upload, Some(Upload::Open { .. }))
    }

    /// Whether somebody has signed in, or was let in without an account.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.who == Who::Known
    }

    /// Until when the peer may keep it waiting; `None` if it is not the peer that is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let patience = match (&self.stage, self.link.out) {
            (Stage::Over(_), _) | (_, Out::Settling) => return None,
            (_, Out::Writing | Out::Telling(_)) => PROGRESS_TIME,
            _ if self.asides.reports() => return None,
            (Stage::Head, _) if self.who != Who::Known => return Some(self.link.began + SIGN_IN_TIME),
            // Within a file, the next run of it is due.
            (Stage::Head, _) => {
                if self.upload.is_some() {
                    PROGRESS_TIME
                } else {
                    IDLE_TIME
                }
            }
            (Stage::Receiving(segment), _) if segment.is_busy() => return None,
            (Stage::Skipping(_) | Stage::Receiving(_) | Stage::Closing, _) => PROGRESS_TIME,
            (Stage::Draining(_), _) => LINGER_TIME,
            _ => return None,
        };
        let due = Some(self.link.since + patience);
        if self.link.out != Out::Filling {
            return due;
        }
        let due = earlier(due, self.asides.deadline());
        match &self.stage {
            Stage::Receiving(segment) => earlier(due, segment.deadline()),
            _ => due,
        }
    }
}

impl ServerSession {
    /// Whether the store is asked something.
    fn asks(&self) -> bool {
        match (&self.stage, self.link.out) {
            (Stage::Over(_), _) | (_, Out::Writing | Out::Telling(_)) => false,
            (_, Out::Settling) => true,
            _ if self.asides.reports() => true,
            (Stage::Sending(sending), _) => !matches!(sending.need(), sending::Need::Load { .. }),
            (Stage::Receiving(segment), _) => segment.reports(),
            (stage, _) => matches!(
                stage,
                Stage::Asking
                    | Stage::Postponed(_)
                    | Stage::Account
                    | Stage::SignedIn { .. }
                    | Stage::Listing
                    | Stage::Working(_)
                    | Stage::Completing
            ),
        }
    }
}

/// A [`ServerSession`] with its buffers: a [`Machine`](crate::stream::Machine).
#[derive(Debug)]
pub struct Server<'s, 'b, H, I: ?Sized = [u8]> {
    session: &'s mut ServerSession,
    buffers: Buffers<'b, I>,
    hasher: H,
}
