//! The machine of a client: signs in, then does job after job.

use heapless::Deque;

use super::link::{Link, Out};
use super::receiving::{self, Receiving, Segment};
use super::scram::{self, ClientExchange};
use super::sending::{self, Direction, Sending};
use super::{Answer, Ask, Buffers, PROGRESS_TIME, Settings, intake::Body};
use crate::digest::{BlockDigest, Digest, Hasher};
use crate::stream::{Abort, LINGER_TIME, Machine, Opened, Outcome, ProtocolError, Target, Totals, Want};
use crate::time::Instant;
use crate::wire::transfer::{
    Data, ErrorCode, File, Hello, LENGTH, MAX_HEADER_DEVICE, MAX_HEADER_HOST, Reply, Request, VERSION, block_len,
    body_len, decode,
};
use crate::wire::{Field, ParseError};

/// After its last word a client reads no more than this before it drops the connection.
const DRAIN_MOST: u64 = 64 * 1024;

/// Of a file that is not wanted after all, no more than this is passed over; rather than that, the connection ends.
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
    /// Somebody with an account.
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
/// It asks its store for jobs ([`Ask::Job`]), sends as many as the server takes at a time, and tells it every answer
/// ([`Ask::Reply`]) in the order of the jobs. Octets that come are saved, octets that go are loaded, as
/// [`Machine`] describes.
///
/// **Guarantees**: an answer that was not asked for ends the session; not an octet more than was announced reaches the
/// store; a file is complete only if every block of it came with its digest, or came again until it did; a file that
/// was sent counts as stored only if the server says so, with the same digest.
#[derive(Debug)]
pub struct ClientSession<'c> {
    settings: Settings,
    credentials: Credentials<'c>,
    link: Link,
    stage: Stage,
    exchange: Option<ClientExchange>,
    /// Octets of each job that is not answered, oldest first.
    jobs: Deque<u32, PIPELINE>,
    /// Their sum.
    under_way: u32,
    /// The store has no more jobs, or none now.
    jobless: Jobless,
    /// What the server takes.
    limits: Limits,
    /// The file that is received.
    incoming: Option<Incoming>,
    /// The large file that is sent.
    outgoing: Option<Outgoing>,
    totals: Totals,
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
    /// Blocks are sent again: they count no more.
    repairing: bool,
}

impl Outgoing {
    fn new(size: u64) -> Self {
        Self { size, block: 1, digest: BlockDigest::new(), told: Digest::default(), ready: false, repairing: false }
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
            limits: Limits { max_header: MAX_HEADER_DEVICE, window: 0 },
            incoming: None,
            outgoing: None,
            totals: Totals::default(),
        }
    }

    /// Lends it buffers, which must stay the same until it ends.
    ///
    /// Buffers below [`LEAST_BUFFERS`](super::LEAST_BUFFERS), or an input that cannot hold the longest header, end the
    /// session with [`ProtocolError::HeaderTooLong`].
    pub fn with<'s, 'b, H: Hasher>(&'s mut self, buffers: Buffers<'b>, hasher: H) -> Client<'s, 'c, 'b, H> {
        if !buffers.suffice(&self.settings) {
            self.stage = Stage::Over(Err(ProtocolError::HeaderTooLong));
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
                | Stage::Completing
                | Stage::Over(_),
                Out::Filling,
            ) => return None,
            _ => PROGRESS_TIME,
        };
        Some(self.link.since + patience)
    }
}

/// A [`ClientSession`] with its buffers: a [`Machine`].
#[derive(Debug)]
pub struct Client<'s, 'c, 'b, H> {
    session: &'s mut ClientSession<'c>,
    buffers: Buffers<'b>,
    hasher: H,
}

impl<H: Hasher> Client<'_, '_, '_, H> {
    /// Does everything that needs nobody else.
    fn advance(&mut self) {
        while self.session.link.out == Out::Filling && self.step() {}
    }

    /// One step of it; `false` if somebody else is needed.
    fn step(&mut self) -> bool {
        let ClientSession { link, stage, incoming, outgoing, .. } = &mut *self.session;
        match stage {
            Stage::Greeting => self.greet(),
            Stage::Hello | Stage::Challenge | Stage::Signature | Stage::Admission | Stage::Leaving => {
                self.await_reply()
            }
            Stage::Work => self.work(),
            Stage::Sending { sending, inline } => match sending.advance(&mut link.outlet, &mut self.buffers) {
                sending::Need::Flush => self.flush(),
                sending::Need::Load { .. } => false,
                // The octets of a file that travels with its announcement are the last, too.
                sending::Need::Ask if sending.is_last() => false,
                sending::Need::Ask => {
                    let file = outgoing.as_mut().filter(|file| !file.repairing).map(|file| &mut file.digest);
                    sending.seal(&mut link.outlet, &mut self.buffers, file);
                    true
                }
                sending::Need::Nothing => {
                    let inline = *inline;
                    *stage = Stage::Work;
                    if !inline {
                        self.finish();
                    }
                    true
                }
            },
            Stage::Receiving(segment) => {
                let Some(Incoming { file, .. }) = incoming else {
                    self.abort();
                    return true;
                };
                let mut block = file.block();
                let ahead = |header: &[u8]| ahead(header, &mut block);
                segment.advance(&mut link.intake, &self.buffers, &mut self.hasher, file, ahead);
                match segment.need(&link.intake, &self.buffers) {
                    receiving::Need::Octets(needed) => self.write_or_read(needed),
                    receiving::Need::Save { .. } | receiving::Need::Report { .. } => false,
                    receiving::Need::Nothing => {
                        *stage = Stage::Work;
                        self.run_over();
                        true
                    }
                }
            }
            Stage::Skipping(left) => {
                let taken = link.intake.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                link.intake.take(taken);
                *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
                if *left > 0 {
                    return self.write_or_read(1);
                }
                *stage = Stage::Work;
                self.run_over();
                true
            }
            Stage::Finishing(digest) => {
                if !link.outlet.has_reply_room(self.buffers.output) {
                    return self.flush();
                }
                let digest = *digest;
                self.session.stage = Stage::Work;
                self.say(&Request::Finish { digest });
                true
            }
            Stage::Closing(_) => !link.outlet.is_empty() && self.flush(),
            Stage::Asking
            | Stage::Telling { .. }
            | Stage::Failing(..)
            | Stage::Unsent(..)
            | Stage::Damaged { .. }
            | Stage::Completing
            | Stage::Draining { .. }
            | Stage::Over(_) => false,
        }
    }

    /// The first words: what we speak, and who we are.
    fn greet(&mut self) -> bool {
        let Settings { max_header, window, max_block, software } = self.session.settings;
        self.say(&Request::Hello(Hello { version: VERSION, features: 0, max_header, window, max_block, software }));
        match self.session.credentials {
            Credentials::Guest => self.say(&Request::Guest),
            Credentials::Account { .. } => {
                let mut room = [0; scram::MESSAGE_MAX];
                let exchange = self.session.exchange.as_ref();
                match exchange.and_then(|exchange| exchange.first(&mut room).ok()) {
                    Some(message) => self.say(&Request::SignIn { message }),
                    None => {
                        self.session.stage =
                            Stage::Failing(ErrorCode::SignInFailed, "there cannot be such a user name");
                        return true;
                    }
                }
            }
        }
        self.session.stage = Stage::Hello;
        self.flush()
    }

    /// Reads the next header, and acts on it.
    fn await_reply(&mut self) -> bool {
        let most = usize::from(self.session.settings.max_header);
        match self.session.link.intake.head(self.buffers.input, most) {
            Ok(Some(_)) => {
                self.replied();
                true
            }
            Ok(None) => self.write_or_read(most.saturating_add(LENGTH)),
            Err(error) => {
                self.session.stage = Stage::Over(Err(error));
                true
            }
        }
    }

    /// Between two messages: first what has come, then what may go.
    fn work(&mut self) -> bool {
        let most = usize::from(self.session.settings.max_header);
        match self.session.link.intake.head(self.buffers.input, most) {
            Ok(None) if self.session.incoming.is_none() && self.may_ask() => {
                // Room for the largest job, as far as the buffer goes: the job cannot be put back.
                let outlet = &self.session.link.outlet;
                let roomy = outlet.room(self.buffers.output) >= LARGEST && outlet.has_block_room(1);
                if !roomy && !outlet.is_empty() {
                    return self.flush();
                }
                self.session.stage = Stage::Asking;
                false
            }
            Ok(None) if self.session.jobs.is_empty() && self.session.link.outlet.is_empty() => {
                if self.session.jobless == Jobless::ForEver {
                    self.say(&Request::Bye);
                    self.session.stage = Stage::Leaving;
                } else {
                    // The store waits for an answer to nothing.
                    self.abort();
                }
                true
            }
            _ => self.await_reply(),
        }
    }

    /// Whether another job may be begun.
    fn may_ask(&self) -> bool {
        let ClientSession { jobs, under_way, jobless, limits, outgoing, .. } = &*self.session;
        let largest = u32::try_from(LARGEST).unwrap_or(u32::MAX);
        let fits = jobs.is_empty() || under_way.saturating_add(largest) <= limits.window;
        *jobless == Jobless::No && outgoing.is_none() && !jobs.is_full() && fits
    }

    /// Nothing can be done without more octets: first everything is said that there is to say.
    fn write_or_read(&mut self, needed: usize) -> bool {
        if !self.session.link.outlet.is_empty() {
            return self.flush();
        }
        self.session.link.intake.prepare(self.buffers.input, needed);
        false
    }

    /// Turns to writing the output.
    fn flush(&mut self) -> bool {
        let ClientSession { link, outgoing, .. } = &mut *self.session;
        let file = outgoing.as_mut().filter(|file| file.ready && !file.repairing).map(|file| &mut file.digest);
        link.write(&mut self.buffers, &mut self.hasher, file);
        true
    }

    /// Appends a header that fits.
    fn say(&mut self, request: &Request<'_>) {
        if self.session.link.outlet.header(self.buffers.output, request).is_err() {
            self.abort();
        }
    }

    fn abort(&mut self) {
        self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
    }

    fn violation(&mut self) {
        let error = ParseError::malformed(Field::Header);
        self.session.stage = Stage::Over(Err(ProtocolError::Malformed(error)));
    }

    fn reply(&self) -> Result<Reply<'_>, ParseError> {
        let ClientSession { link, settings, .. } = &*self.session;
        match link.intake.head(self.buffers.input, usize::from(settings.max_header)) {
            Ok(Some(head)) => decode(link.intake.header(self.buffers.input, head)),
            _ => Err(ParseError::missing(Field::Header)),
        }
    }

    fn take_header(&mut self) {
        let ClientSession { link, settings, .. } = &mut *self.session;
        if let Ok(Some(head)) = link.intake.head(self.buffers.input, usize::from(settings.max_header)) {
            link.intake.take(head.total());
        }
    }

    /// A header is at the front of the input.
    fn replied(&mut self) {
        // Taken out, so that it can be lent together with the input; needed once more only at the signature.
        let exchange = match self.session.stage {
            Stage::Signature => self.session.exchange.take(),
            _ => None,
        };
        let Ok(reply) = self.reply() else { return self.violation() };
        if let Reply::Error { .. } = reply {
            self.session.stage = match self.session.stage {
                Stage::Work if self.session.jobs.is_empty() => return self.violation(),
                _ => Stage::Telling { last: !matches!(self.session.stage, Stage::Work) },
            };
            return;
        }
        match (&self.session.stage, reply) {
            (Stage::Hello, Reply::Hello(_)) => self.session.stage = Stage::Telling { last: false },
            (Stage::Admission, Reply::Done) => {
                self.take_header();
                self.session.stage = Stage::Work;
            }
            (Stage::Challenge, Reply::SignIn { .. }) => self.prove(),
            (Stage::Signature, Reply::SignIn { message }) => {
                let proven = exchange.is_some_and(|mut exchange| exchange.confirm(message).is_ok());
                self.take_header();
                self.session.stage = if proven { Stage::Work } else { Stage::Over(Err(ProtocolError::Unproven)) };
            }
            (Stage::Leaving, Reply::Done) => {
                self.take_header();
                self.session.stage = Stage::Closing(Outcome::Complete(self.session.totals));
            }
            (Stage::Work, _) if self.session.jobs.is_empty() => self.violation(),
            (Stage::Work, Reply::Working) => self.take_header(),
            (Stage::Work, Reply::Data(data)) => self.data(data),
            (Stage::Work, Reply::File(file)) => match &mut self.session.incoming {
                None if block_len(file.block).is_some() => self.session.stage = Stage::Telling { last: false },
                Some(incoming) if incoming.repairing => {
                    incoming.repairing = false;
                    let (head, length) = (incoming.head, file.length);
                    // Somebody wrote to the file: what is here and what comes do not belong together.
                    let changed = (file.stamp, file.size, file.block) != (head.stamp, head.size, head.block);
                    self.take_header();
                    if changed {
                        self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, CHANGED);
                        self.unwanted(length);
                    }
                }
                _ => self.violation(),
            },
            (Stage::Work, Reply::Repair { at, len }) => match &mut self.session.outgoing {
                Some(outgoing) if at.saturating_add(u64::from(len)) <= outgoing.size => {
                    outgoing.repairing = true;
                    let sending = Sending::new(Direction::Up, at, u64::from(len), outgoing.block);
                    self.take_header();
                    self.session.stage = Stage::Sending { sending, inline: false };
                }
                _ => self.violation(),
            },
            (Stage::Work, Reply::Ready { block, offset }) => match &mut self.session.outgoing {
                Some(outgoing) if !outgoing.ready && offset <= outgoing.size && block_len(block).is_some() => {
                    outgoing.ready = true;
                    outgoing.block = block_len(block).unwrap_or(outgoing.block);
                    self.session.stage = Stage::Telling { last: false };
                }
                _ => self.violation(),
            },
            (Stage::Work, Reply::Stored { digest }) => {
                let told = self.session.outgoing.as_ref().map(|outgoing| outgoing.told);
                if told.is_some_and(|told| told != digest) {
                    self.take_header();
                    self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, "the server stored something else");
                } else {
                    self.session.totals.add_file();
                    self.session.stage = Stage::Telling { last: false };
                }
            }
            (Stage::Work, Reply::Hello(_) | Reply::SignIn { .. }) => self.violation(),
            (Stage::Work, _) => self.session.stage = Stage::Telling { last: false },
            _ => self.violation(),
        }
    }

    /// Answers the server's challenge.
    fn prove(&mut self) {
        let Credentials::Account { password, .. } = self.session.credentials else { return self.violation() };
        let Some(mut exchange) = self.session.exchange.take() else { return self.abort() };
        let mut room = [0; scram::MESSAGE_MAX];
        let message = match self.reply() {
            Ok(Reply::SignIn { message }) => exchange.challenge(message, password, &mut room).ok(),
            _ => None,
        };
        self.take_header();
        self.session.exchange = Some(exchange);
        match message {
            Some(message) => {
                self.session.stage = Stage::Signature;
                self.say(&Request::Proof { message });
            }
            None => self.session.stage = Stage::Over(Err(ProtocolError::Unproven)),
        }
    }

    /// A run of blocks is at the front of the input.
    fn data(&mut self, data: Data) {
        let Some(incoming) = &mut self.session.incoming else { return self.violation() };
        let body = body_len(data.len, incoming.file.block());
        if let Some(left) = &mut incoming.unwanted {
            *left = left.saturating_sub(u64::from(data.len));
            self.take_header();
            self.session.stage = Stage::Skipping(body);
        } else if let Some(segment) = incoming.file.run(data).filter(|_| !incoming.repairing) {
            self.take_header();
            self.session.stage = Stage::Receiving(segment);
        } else {
            self.violation();
        }
    }

    /// `left` octets of the file that is received are not wanted.
    fn unwanted(&mut self, left: u64) {
        if let Some(incoming) = &mut self.session.incoming {
            incoming.unwanted = Some(left);
        }
        // Who throws a lot away had better hang up.
        if left > UNWANTED_MOST {
            self.session.stage = Stage::Over(Ok(Outcome::Refused));
        }
    }

    /// A run has come to its end: perhaps the file has, too.
    fn run_over(&mut self) {
        let alone = self.session.jobs.len() == 1;
        let Some(incoming) = &mut self.session.incoming else { return };
        match incoming.unwanted {
            Some(0) => {
                self.session.incoming = None;
                self.job_over();
            }
            Some(_) => {}
            None if !incoming.file.all_came() => {}
            None if incoming.file.is_sound() => self.session.stage = Stage::Completing,
            // A further request would be answered behind the others.
            None => match incoming.file.repair().filter(|_| alone) {
                Some((at, len)) => self.session.stage = Stage::Damaged { at, len },
                None => {
                    self.session.incoming = None;
                    self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, DAMAGED);
                }
            },
        }
    }

    /// The oldest job has its answer.
    fn job_over(&mut self) {
        let octets = self.session.jobs.pop_front().unwrap_or(0);
        self.session.under_way = self.session.under_way.saturating_sub(octets);
        if self.session.jobless == Jobless::Now {
            self.session.jobless = Jobless::No;
        }
    }

    /// The store has a job.
    fn begin(&mut self, request: &Request<'_>) {
        let head = self.session.link.outlet.end();
        if self.session.link.outlet.header(self.buffers.output, request).is_err() {
            self.session.stage = Stage::Unsent(ErrorCode::TooLarge, "the name is too long");
            return;
        }
        let len = self.session.link.outlet.end().saturating_sub(head);
        if len > usize::from(self.session.limits.max_header).saturating_add(LENGTH) {
            self.session.link.outlet.cut(head);
            self.session.stage = Stage::Unsent(ErrorCode::TooLarge, "the server takes no name as long as this");
            return;
        }
        self.session.stage = Stage::Work;
        match *request {
            Request::Put(put) if put.inline => {
                let block = block_len(put.block).filter(|&block| put.size <= u64::from(block));
                let len = usize::try_from(put.size).unwrap_or(usize::MAX);
                let room = self.session.link.outlet.room(self.buffers.output);
                match block {
                    Some(block) if len.saturating_add(Digest::LEN) <= room => {
                        let sending = Sending::inline(head, len, block);
                        self.session.stage = Stage::Sending { sending, inline: true };
                    }
                    _ => {
                        self.session.link.outlet.cut(head);
                        self.session.stage = Stage::Unsent(ErrorCode::TooLarge, "the file is too large to come along");
                    }
                }
            }
            Request::Put(put) => {
                self.session.outgoing = Some(Outgoing::new(put.size));
                self.job_begun(len);
            }
            Request::Get(_)
            | Request::List { .. }
            | Request::Stat { .. }
            | Request::MakeDir { .. }
            | Request::RemoveDir { .. }
            | Request::Remove { .. }
            | Request::Rename { .. }
            | Request::Space
            | Request::Sum { .. }
            | Request::Time => self.job_begun(len),
            _ => self.abort(),
        }
    }

    /// A job of so many octets is in the output.
    fn job_begun(&mut self, len: usize) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        // Asked before: there is room.
        let _ = self.session.jobs.push_back(len);
        self.session.under_way = self.session.under_way.saturating_add(len);
    }

    /// All octets of the large file were sent, or all that there are.
    fn finish(&mut self) {
        let ClientSession { link, outgoing, .. } = &mut *self.session;
        let Some(outgoing) = outgoing else { return };
        let file = Some(&mut outgoing.digest).filter(|_| !outgoing.repairing);
        link.outlet.seal(self.buffers.output, &mut self.hasher, file);
        if !outgoing.repairing {
            outgoing.told = outgoing.digest.clone().finish();
        }
        let digest = outgoing.told;
        self.session.stage = Stage::Finishing(digest);
    }

    /// The store has heard the answer at the front of the input.
    fn told(&mut self, answer: &Reply<'_>, last: bool) {
        let Ok(reply) = self.reply() else { return self.violation() };
        let willing = !matches!(answer, Reply::Error { .. });
        let stage = match reply {
            _ if last => Stage::Closing(Outcome::Refused),
            Reply::Hello(hello) => {
                self.session.limits = Limits { max_header: hello.max_header, window: hello.window };
                match self.session.credentials {
                    Credentials::Guest => Stage::Admission,
                    Credentials::Account { .. } => Stage::Challenge,
                }
            }
            Reply::File(head) => {
                let end = head.offset.saturating_add(head.length);
                let file = Receiving::new(head.offset, end, block_len(head.block).unwrap_or(1));
                self.session.incoming = Some(Incoming { file, head, unwanted: None, repairing: false });
                self.take_header();
                self.session.stage = Stage::Work;
                if !willing {
                    self.unwanted(head.length);
                }
                return self.run_over();
            }
            Reply::Ready { offset, .. } => {
                let Some(outgoing) = &self.session.outgoing else { return self.abort() };
                let left = if willing { outgoing.size.saturating_sub(offset) } else { 0 };
                let sending = Sending::new(Direction::Up, offset, left, outgoing.block);
                Stage::Sending { sending, inline: false }
            }
            Reply::Entry(_) => Stage::Work,
            _ => {
                // The answer to a file that is sent or received ends it.
                (self.session.incoming, self.session.outgoing) = (None, None);
                self.job_over();
                Stage::Work
            }
        };
        self.take_header();
        self.session.stage = stage;
    }

    /// The file that is sent cannot be sent to its end.
    fn shrunk(&mut self) {
        let Stage::Sending { sending, inline } = &mut self.session.stage else { return };
        let inline = *inline;
        if !sending.take_back(&mut self.session.link.outlet) {
            // Half of a block has left: nothing can be said any more.
            self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Shrunk { missing: 0 })));
        } else if inline {
            self.session.stage = Stage::Unsent(ErrorCode::Internal, "the file changed while it was sent");
        } else {
            // The server will say that it ended short.
            self.finish();
        }
    }

    /// The peer will send nothing more.
    fn end_of_stream(&mut self) {
        let over = match self.session.stage {
            Stage::Leaving => Ok(Outcome::Complete(self.session.totals)),
            _ => Err(ProtocolError::Truncated { missing: 1 }),
        };
        self.session.stage = Stage::Over(over);
    }
}

/// What messages have for a body, for those who look ahead. `block` is that of the file that comes.
fn ahead(header: &[u8], block: &mut u32) -> Body {
    match decode(header) {
        Ok(Reply::File(file)) => match block_len(file.block) {
            Some(len) => {
                *block = len;
                Body::Empty
            }
            None => Body::Other,
        },
        Ok(Reply::Data(data)) if data.len > 0 && data.len <= *block => {
            usize::try_from(data.len).map_or(Body::Other, Body::Block)
        }
        _ => Body::Other,
    }
}

impl<H: Hasher> Machine for Client<'_, '_, '_, H> {
    fn want(&mut self) -> Want<'_> {
        let ClientSession { link, stage, incoming, settings, .. } = &mut *self.session;
        let buffers = &mut self.buffers;
        if link.out == Out::Writing {
            return Want::Write(link.outlet.unwritten(buffers));
        }
        let ask = match stage {
            Stage::Asking => Ask::Job,
            Stage::Telling { .. } => {
                let head = link.intake.head(buffers.input, usize::from(settings.max_header)).ok().flatten();
                let header = head.map(|head| link.intake.header(buffers.input, head)).unwrap_or_default();
                match decode(header) {
                    Ok(reply) => Ask::Reply(reply),
                    Err(error) => return Want::Done(Err(ProtocolError::Malformed(error))),
                }
            }
            Stage::Failing(code, text) => Ask::Reply(Reply::Error { code: *code, text }),
            Stage::Unsent(code, text) => Ask::Unsent { code: *code, text },
            Stage::Sending { sending, .. } => match sending.need() {
                sending::Need::Load { at, len } => {
                    let room = buffers.output.get_mut(link.outlet.end()..).unwrap_or_default();
                    let len = len.min(room.len());
                    return Want::Load { at, into: room.get_mut(..len).unwrap_or_default() };
                }
                _ => Ask::Loaded,
            },
            Stage::Receiving(segment) if segment.waits(&link.intake, buffers) => {
                return Want::Read(link.intake.room(buffers.input));
            }
            Stage::Receiving(segment) => match segment.need(&link.intake, buffers) {
                receiving::Need::Report { at, len, digests } => Ask::Verified { at, len, digests },
                receiving::Need::Save { at, octets } => return Want::Save { at, octets },
                receiving::Need::Octets(_) | receiving::Need::Nothing => {
                    return Want::Done(Ok(Outcome::Aborted(Abort::Answer)));
                }
            },
            Stage::Damaged { at, len } => Ask::Damaged { at: *at, len: *len },
            Stage::Completing => {
                let digest = incoming.as_ref().map(|incoming| incoming.file.digest());
                Ask::Complete { digest: digest.unwrap_or_default() }
            }
            Stage::Closing(_) => return Want::Shutdown,
            Stage::Draining { .. } => return Want::Drain(buffers.input),
            Stage::Over(result) => return Want::Done(*result),
            _ => return Want::Read(link.intake.room(buffers.input)),
        };
        Want::Open(Target::Ask(ask))
    }

    fn done(&mut self, now: Instant, n: u64) {
        let ClientSession { link, stage, totals, .. } = &mut *self.session;
        match (link.out, &mut *stage) {
            (Out::Settling, _) => return,
            (Out::Writing, _) => link.wrote(now, n),
            (_, Stage::Sending { sending, .. }) => {
                let count = usize::try_from(n).unwrap_or(usize::MAX);
                if matches!(sending.need(), sending::Need::Load { .. }) {
                    if sending.loaded(&mut link.outlet, &self.buffers, count) {
                        totals.add_octets(n);
                    } else {
                        self.shrunk();
                    }
                }
            }
            (_, Stage::Receiving(segment)) => match segment.need(&link.intake, &self.buffers) {
                receiving::Need::Save { .. } => {
                    segment.saved(&mut link.intake, &self.buffers, n);
                    totals.add_octets(n);
                }
                receiving::Need::Octets(_) if n == 0 => self.end_of_stream(),
                receiving::Need::Octets(_) => link.read(now, n),
                receiving::Need::Report { .. } | receiving::Need::Nothing => return,
            },
            (_, Stage::Closing(outcome)) => {
                link.progress(now);
                *stage = Stage::Draining { outcome: *outcome, left: DRAIN_MOST };
            }
            (_, Stage::Draining { outcome, left }) => {
                *left = left.saturating_sub(n);
                if n == 0 || *left == 0 {
                    *stage = Stage::Over(Ok(*outcome));
                }
            }
            (
                _,
                Stage::Hello
                | Stage::Challenge
                | Stage::Signature
                | Stage::Admission
                | Stage::Work
                | Stage::Skipping(_)
                | Stage::Leaving,
            ) => {
                if n == 0 {
                    self.end_of_stream();
                } else {
                    link.read(now, n);
                }
            }
            _ => return,
        }
        self.advance();
    }

    fn opened(&mut self, now: Instant, answer: Opened<'_>) {
        let Opened::Answer(answer) = answer else {
            self.session.stage = Stage::Over(Ok(Outcome::Refused));
            return;
        };
        if self.session.link.out != Out::Filling {
            return;
        }
        // The peer is not late because the store took its time: a disk to be synchronised, a person who thinks.
        self.session.link.progress(now);
        let refused = matches!(answer, Answer::Reply(Reply::Error { .. }));
        match (&mut self.session.stage, answer) {
            (Stage::Asking, Answer::Job(request)) => self.begin(&request),
            (Stage::Asking, Answer::Later) => {
                (self.session.jobless, self.session.stage) = (Jobless::Now, Stage::Work);
            }
            (Stage::Asking, Answer::Over) => {
                (self.session.jobless, self.session.stage) = (Jobless::ForEver, Stage::Work);
            }
            (&mut Stage::Telling { last }, Answer::Reply(reply)) => self.told(&reply, last),
            (Stage::Failing(..), Answer::Reply(_)) => {
                // Before signing in, nothing can follow.
                if self.session.jobs.is_empty() {
                    self.session.stage = Stage::Closing(Outcome::Refused);
                } else {
                    self.session.stage = Stage::Work;
                    let draining = self.session.incoming.as_ref().and_then(|incoming| incoming.unwanted);
                    if draining.is_none_or(|left| left == 0) {
                        (self.session.incoming, self.session.outgoing) = (None, None);
                        self.job_over();
                    }
                }
            }
            (Stage::Unsent(..), Answer::Reply(_)) => self.session.stage = Stage::Work,
            (Stage::Sending { .. }, Answer::Reply(_)) if refused => self.shrunk(),
            (Stage::Sending { sending, inline }, Answer::Reply(_)) => {
                let inline = *inline;
                let file = self.session.outgoing.as_mut().filter(|file| !file.repairing).map(|file| &mut file.digest);
                let head = sending.head();
                sending.seal(&mut self.session.link.outlet, &mut self.buffers, file);
                if inline {
                    self.job_begun(self.session.link.outlet.end().saturating_sub(head));
                }
            }
            (Stage::Receiving(segment), Answer::Reply(_)) => {
                if refused {
                    let left = segment.left();
                    self.session.stage = Stage::Skipping(left);
                    let rest = self.session.incoming.as_ref().map_or(0, |incoming| incoming.file.left());
                    self.unwanted(rest);
                } else {
                    segment.reported();
                }
            }
            (Stage::Damaged { .. }, Answer::Job(request @ Request::Get(_))) => {
                self.session.stage = Stage::Work;
                if let Some(incoming) = &mut self.session.incoming {
                    incoming.repairing = true;
                }
                self.say(&request);
            }
            (Stage::Damaged { .. }, Answer::Over) => {
                self.session.incoming = None;
                self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, DAMAGED);
            }
            (Stage::Completing, Answer::Reply(_)) => {
                if !refused {
                    self.session.totals.add_file();
                }
                self.session.incoming = None;
                self.session.stage = Stage::Work;
                self.job_over();
            }
            _ => return self.abort(),
        }
        self.advance();
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn expire(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        self.session.stage = Stage::Over(match self.session.stage {
            // All is said; only the peer's farewell is missing.
            Stage::Draining { outcome, .. } => Ok(outcome),
            _ => Err(ProtocolError::TimedOut),
        });
        self.session.link.out = Out::Filling;
    }
}
