//! The machine of a client: signs in, then does job after job.

mod jobs;
mod machine;
mod replies;
mod steps;

use heapless::Deque;

use super::aside::Asides;
use super::link::{Link, Out};
use super::receiving::Receiving;
use super::scram::ClientExchange;
use super::segment::Segment;
use super::sending::{self, Sending};
use super::{Buffers, Input, PROGRESS_TIME, Settings, most_blocks};
use crate::digest::{BlockDigest, Digest, Hasher};
use crate::stream::{LINGER_TIME, Outcome, ProtocolError, Totals};
use crate::time::{Instant, earlier};
use crate::wire::transfer::{ErrorCode, File, LENGTH, MAX_HEADER_DEVICE, MAX_HEADER_HOST, Reply, Request, block_len};

/// After its last word a client reads no more than this before it drops the connection (R-VT-74).
const DRAIN_MOST: u64 = 64 * 1024;

/// Of a file that is not wanted after all, no more than this is passed over; rather than that, the connection ends
/// (R-VT-54).
const UNWANTED_MOST: u64 = 4 << 20;

/// Jobs that may be under way at a time.
const PIPELINE: usize = 256;

/// Octets that one job takes at most: a header, and a small file with its digest.
const LARGEST: usize = LENGTH + LONGEST_HEADER + (64 << 10) + Digest::LEN;

/// The longest header that anybody takes: [`MAX_HEADER_HOST`].
const LONGEST_HEADER: usize = 1 << MAX_HEADER_HOST.ilog2();

const CHANGED: &str = "the file changed while it was repaired";
const DAMAGED: &str = "what came is not what was sent, again and again";

/// Who signs in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'c> {
    /// Nobody in particular.
    Guest,
    /// Somebody with an account. Without feature `scram` nobody can have one: the session ends as if there could be no
    /// such user.
    Account {
        /// The name.
        user: &'c str,
        /// The password, prepared (RFC 4013).
        password: &'c str,
    },
}

/// Keeps passwords out of logs.
impl core::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Guest => "Guest",
            Self::Account { .. } => "Account",
        })
    }
}

/// The memory of a client's connection, without its buffers.
///
/// It asks its store for jobs ([`Ask::Job`](super::Ask::Job)), sends as many as the server takes at a time, and tells
/// it every answer ([`Ask::Reply`](super::Ask::Reply)) in the order of the jobs. Octets that come are saved, octets
/// that go are loaded, as [`Machine`](crate::stream::Machine) describes.
///
/// While a large file is sent, it reads nothing: that the server has given the file up (R-VT-66) it would hear behind the
/// last octet. A store that sees that something has come over the transport, where it can, says that there are no more
/// octets (a count of 0 for [`Want::Load`](crate::stream::Want::Load)): then the session sends the end of the file, and
/// reads. If half of a block has left, because the output is smaller than a block, the session ends instead.
///
/// **Guarantees**: an answer that was not asked for ends the session; not an octet more than was announced reaches the
/// store; a file is complete only if every block of it came with its digest, or came again until it did; a file that
/// was sent counts as stored only if the server says so, and one that did not go with its announcement only if the
/// server names the same digest.
#[derive(Debug)]
pub struct ClientSession<'c> {
    settings: Settings,
    credentials: Credentials<'c>,
    link: Link,
    stage: Stage,
    exchange: Option<ClientExchange>,
    /// The jobs that are not answered, oldest first.
    jobs: Deque<Job, PIPELINE>,
    /// Octets of all of them.
    under_way: u32,
    /// The store has no more jobs, or none now.
    jobless: Jobless,
    /// What the server takes.
    limits: Limits,
    /// The file that is received.
    incoming: Option<Incoming>,
    /// Runs of it that are not judged yet.
    asides: Asides,
    /// The large file that is sent.
    outgoing: Option<Outgoing>,
    totals: Totals,
}

/// A job that is not answered.
#[derive(Clone, Copy, Debug)]
struct Job {
    kind: Kind,
    /// Header and body, in units of [`Self::UNIT`] octets, rounded up: there are many jobs.
    units: u16,
}

impl Job {
    const UNIT: u32 = 32;

    fn new(kind: Kind, octets: usize) -> Self {
        let units = u32::try_from(octets).unwrap_or(u32::MAX).div_ceil(Self::UNIT);
        Self { kind, units: u16::try_from(units).unwrap_or(u16::MAX) }
    }

    fn octets(self) -> u32 {
        u32::from(self.units).saturating_mul(Self::UNIT)
    }
}

/// What a job is, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get,
    /// A file that goes with its announcement.
    SmallPut,
    LargePut,
    List,
    Stat,
    /// Something that is done or not.
    Change,
    Space,
    Sum,
    Time,
}

impl Kind {
    /// What `request` is; `None` if it is none that a store may ask for.
    const fn of(request: &Request<'_>) -> Option<Self> {
        Some(match request {
            Request::Get(_) => Self::Get,
            Request::Put(put) if put.inline => Self::SmallPut,
            Request::Put(_) => Self::LargePut,
            Request::List { .. } => Self::List,
            Request::Stat { .. } => Self::Stat,
            Request::MakeDir { .. } | Request::RemoveDir { .. } | Request::Remove { .. } | Request::Rename { .. } => {
                Self::Change
            }
            Request::Space => Self::Space,
            Request::Sum { .. } => Self::Sum,
            Request::Time => Self::Time,
            _ => return None,
        })
    }

    /// Whether `reply` is an answer to it, or a part of one (R-VT-14).
    const fn is_answered_by(self, reply: &Reply<'_>) -> bool {
        match reply {
            Reply::Error { .. } | Reply::Working => true,
            Reply::File(_) | Reply::Data(_) => matches!(self, Self::Get),
            Reply::Ready { .. } | Reply::Repair { .. } => matches!(self, Self::LargePut),
            Reply::Stored { .. } => matches!(self, Self::SmallPut | Self::LargePut),
            Reply::Entry(_) | Reply::End { .. } => matches!(self, Self::List),
            Reply::Stat(_) => matches!(self, Self::Stat),
            Reply::Done => matches!(self, Self::Change),
            Reply::Space { .. } => matches!(self, Self::Space),
            Reply::Sum { .. } => matches!(self, Self::Sum),
            Reply::Time(_) => matches!(self, Self::Time),
            Reply::Hello(_) | Reply::SignIn { .. } => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobless {
    /// It may have one.
    No,
    /// Not before an answer has come.
    Now,
    /// It will have none.
    ForEver,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    max_header: u16,
    window: u32,
    /// Blocks in a run.
    blocks: usize,
}

#[derive(Debug)]
struct Incoming {
    file: Receiving,
    /// What the server said of it.
    head: File,
    /// The store does not want it, or cannot have it: so many octets are still to be passed over.
    unwanted: Option<u64>,
    /// A damaged block was asked for again, and its answer has not begun.
    repairing: bool,
}

impl Incoming {
    fn new(head: File) -> Self {
        let end = head.offset.saturating_add(head.length);
        let file = Receiving::new(head.offset, end, block_len(head.block).unwrap_or(1));
        Self { file, head, unwanted: None, repairing: false }
    }
}

#[derive(Debug)]
struct Outgoing {
    size: u64,
    block: u32,
    /// The digest over the blocks since the server was ready.
    digest: BlockDigest,
    /// What was told at the end.
    told: Digest,
    /// The server is ready.
    ready: bool,
    /// So often a block was asked for again.
    repairs: u8,
}

impl Outgoing {
    fn new(size: u64) -> Self {
        Self { size, block: 1, digest: BlockDigest::new(), told: Digest::default(), ready: false, repairs: 0 }
    }

    /// Over the blocks that leave; `None` if they are sent again and count no more.
    fn counted(&mut self) -> Option<&mut BlockDigest> {
        (self.repairs == 0).then_some(&mut self.digest)
    }
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to put the large ones elsewhere")]
enum Stage {
    /// The first words are put together.
    Greeting,
    /// A step of signing in is awaited.
    Hello,
    Challenge,
    Signature,
    Admission,
    /// The next answer is awaited, or the next job.
    Work,
    /// The store is asked for a job.
    Asking,
    /// The store is told the answer at the front of the input. `last`: then it is over.
    Telling {
        last: bool,
    },
    /// The store is told that the oldest job failed for this reason.
    Failing(ErrorCode, &'static str),
    /// The store is told that the job that it has just given cannot be sent.
    Unsent(ErrorCode, &'static str),
    /// The octets of a small file are loaded behind its announcement; or a range of a large one is sent.
    Sending {
        sending: Sending,
        inline: bool,
    },
    /// All octets of the large file are in the output: the digest follows.
    Finishing(Digest),
    /// A run of blocks is received.
    Receiving(Segment),
    /// So much of a body is passed over.
    Skipping(u64),
    /// The store is asked what to do about a damaged block.
    Damaged {
        at: u64,
        len: u32,
    },
    /// The store is told that a file is complete.
    Completing,
    /// Farewell was said.
    Leaving,
    Closing(Outcome),
    Draining {
        outcome: Outcome,
        left: u64,
    },
    Over(Result<Outcome, ProtocolError>),
}

impl<'c> ClientSession<'c> {
    /// Begins over a connection made at `now`. `nonce` is random and used for this connection only.
    #[must_use]
    pub fn new(now: Instant, settings: Settings, credentials: Credentials<'c>, nonce: &[u8; 18]) -> Self {
        let exchange = match credentials {
            Credentials::Guest => None,
            Credentials::Account { user, .. } => ClientExchange::new(user, nonce).ok(),
        };
        Self {
            settings,
            credentials,
            link: Link::new(now),
            stage: Stage::Greeting,
            exchange,
            jobs: Deque::new(),
            under_way: 0,
            jobless: Jobless::No,
            limits: Limits { max_header: MAX_HEADER_DEVICE, window: 0, blocks: most_blocks(0) },
            incoming: None,
            asides: Asides::default(),
            outgoing: None,
            totals: Totals::default(),
        }
    }

    /// Lends it buffers, which must stay the same until it ends.
    ///
    /// Buffers below [`LEAST_BUFFERS`](super::LEAST_BUFFERS), or an input that cannot hold the longest header, end the
    /// session with [`ProtocolError::HeaderTooLong`].
    pub fn with<'s, 'b, H: Hasher, I: Input + ?Sized>(
        &'s mut self,
        buffers: Buffers<'b, I>,
        hasher: H,
    ) -> Client<'s, 'c, 'b, H, I> {
        if !buffers.suffice(&self.settings) {
            self.stage = Stage::Over(Err(ProtocolError::HeaderTooLong));
        }
        if self.asides.is_empty() {
            buffers.input.forget();
        }
        let mut client = Client { session: self, buffers, hasher };
        client.advance();
        client
    }

    /// Until when the peer may keep it waiting; `None` if it is not the peer that is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let patience = match (&self.stage, self.link.out) {
            (Stage::Draining { .. }, Out::Filling) => LINGER_TIME,
            (
                Stage::Asking
                | Stage::Telling { .. }
                | Stage::Failing(..)
                | Stage::Unsent(..)
                | Stage::Sending { .. }
                | Stage::Damaged { .. }
                | Stage::Completing,
                Out::Filling,
            )
            | (Stage::Over(_), _) => return None,
            (_, Out::Filling) if self.asides.reports() => return None,
            (Stage::Receiving(segment), Out::Filling) if segment.is_busy() => return None,
            _ => PROGRESS_TIME,
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

impl ClientSession<'_> {
    /// Whether the store is asked something.
    fn asks(&self) -> bool {
        match &self.stage {
            Stage::Over(_) => false,
            _ if self.link.out != Out::Filling => false,
            _ if self.asides.reports() => true,
            Stage::Sending { sending, .. } => !matches!(sending.need(), sending::Need::Load { .. }),
            Stage::Receiving(segment) => segment.reports(),
            stage => matches!(
                stage,
                Stage::Asking
                    | Stage::Telling { .. }
                    | Stage::Failing(..)
                    | Stage::Unsent(..)
                    | Stage::Damaged { .. }
                    | Stage::Completing
            ),
        }
    }
}

/// A [`ClientSession`] with its buffers: a [`Machine`](crate::stream::Machine).
#[derive(Debug)]
pub struct Client<'s, 'c, 'b, H, I: ?Sized = [u8]> {
    session: &'s mut ClientSession<'c>,
    buffers: Buffers<'b, I>,
    hasher: H,
}
