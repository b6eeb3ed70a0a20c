//! The machine behind an accepted connection.

use super::link::{Link, Out};
use super::receiving::{self, Receiving, Segment};
use super::scram::{self, ServerExchange};
use super::sending::{self, Direction, Sending};
use super::{
    Answer, Ask, Buffers, IDLE_TIME, PROGRESS_TIME, SIGN_IN_TIME, Settings, WORKING_TIME, clipped, intake::Body,
};
use crate::digest::Hasher;
use crate::stream::{Abort, LINGER_TIME, Machine, Opened, Outcome, ProtocolError, Target, Totals, Want};
use crate::time::Instant;
use crate::wire::ParseError;
use crate::wire::transfer::{Data, ErrorCode, Hello, LENGTH, Put, Reply, Request, block_len, body_len, decode};

/// After its last octet a server reads no more than this before it drops the connection.
const DRAIN_MOST: u64 = 64 * 1024;

/// The memory of one connection that is served, without its buffers.
///
/// The buffers are lent by [`Self::with`] while there is something to do; while the session [is idle](Self::is_idle),
/// which is most of the time of most connections, they may be taken away and be others the next time.
///
/// **Guarantees**: nothing is asked of the store before somebody has signed in, but who that may be; a header is bounded
/// before it is read; every request is answered once, in order; a file is complete only if every block of it came
/// with its digest; the words that a file is stored leave after [`Ask::Settle`].
#[derive(Debug)]
pub struct ServerSession {
    settings: Settings,
    link: Link,
    stage: Stage,
    who: Who,
    nonce: [u8; 18],
    exchange: Option<ServerExchange>,
    /// The file that is being received.
    upload: Option<Upload>,
    /// There are words in the output that a file is stored.
    unsettled: bool,
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
            nonce,
            exchange: None,
            upload: None,
            unsettled: false,
            totals: Totals::default(),
        }
    }

    /// Lends it buffers. Unless it [is idle](Self::is_idle), they must be those that it had before.
    ///
    /// Buffers below [`LEAST_BUFFERS`](super::LEAST_BUFFERS), or an input that cannot hold the longest header, end the
    /// session with [`ProtocolError::HeaderTooLong`].
    pub fn with<'s, 'b, H: Hasher>(&'s mut self, buffers: Buffers<'b>, hasher: H) -> Server<'s, 'b, H> {
        if !buffers.suffice(&self.settings) {
            self.stage = Stage::Over(Err(ProtocolError::HeaderTooLong));
        }
        let mut server = Server { session: self, buffers, hasher };
        server.advance();
        server
    }

    /// Whether the buffers hold nothing: the next request is waited for, and no octet of it has come.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Head) && self.link.is_empty() && self.link.out == Out::Filling
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
            (_, Out::Settling) => return None,
            (_, Out::Writing) => PROGRESS_TIME,
            (Stage::Head, _) if self.who != Who::Known => return Some(self.link.began + SIGN_IN_TIME),
            // Within a file, the next run of it is due.
            (Stage::Head, _) => {
                if self.upload.is_some() {
                    PROGRESS_TIME
                } else {
                    IDLE_TIME
                }
            }
            (Stage::Skipping(_) | Stage::Receiving(_) | Stage::Closing, _) => PROGRESS_TIME,
            (Stage::Draining(_), _) => LINGER_TIME,
            _ => return None,
        };
        Some(self.link.since + patience)
    }
}

/// A [`ServerSession`] with its buffers: a [`Machine`].
#[derive(Debug)]
pub struct Server<'s, 'b, H> {
    session: &'s mut ServerSession,
    buffers: Buffers<'b>,
    hasher: H,
}

impl<H: Hasher> Server<'_, '_, H> {
    /// Does everything that needs nobody else.
    fn advance(&mut self) {
        while self.session.link.out == Out::Filling && self.step() {}
    }

    /// One step of it; `false` if somebody else is needed.
    fn step(&mut self) -> bool {
        let ServerSession { link, stage, upload, totals, .. } = &mut *self.session;
        match stage {
            Stage::Head => self.head(),
            Stage::Skipping(left) => {
                let taken = link.intake.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                link.intake.take(taken);
                *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
                if *left > 0 {
                    return self.write_or_read(1);
                }
                *stage = Stage::Head;
                true
            }
            Stage::Asking | Stage::Account | Stage::SignedIn { .. } | Stage::Listing | Stage::Completing => {
                !link.outlet.has_reply_room(self.buffers.output) && self.flush()
            }
            Stage::Sending(sending) => match sending.advance(&mut link.outlet, &mut self.buffers) {
                sending::Need::Flush => self.flush(),
                sending::Need::Load { .. } => false,
                sending::Need::Ask if sending.is_last() => false,
                sending::Need::Ask => {
                    sending.seal(&mut link.outlet, &mut self.buffers, None);
                    true
                }
                sending::Need::Nothing => {
                    totals.add_file();
                    *stage = Stage::Head;
                    true
                }
            },
            Stage::Receiving(segment) => {
                let Some(Upload::Open { file, inline }) = upload else {
                    *stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
                    return true;
                };
                let (block, inline) = (file.block(), *inline);
                segment.advance(&mut link.intake, &self.buffers, &mut self.hasher, file, |header| ahead(header, block));
                match segment.need(&link.intake, &self.buffers) {
                    receiving::Need::Octets(needed) => self.write_or_read(needed),
                    receiving::Need::Save { .. } => false,
                    receiving::Need::Report { .. } => !link.outlet.has_reply_room(self.buffers.output) && self.flush(),
                    receiving::Need::Nothing => {
                        *stage = Stage::Head;
                        if inline {
                            self.finish(None);
                        }
                        true
                    }
                }
            }
            Stage::Closing => !link.outlet.is_empty() && self.flush(),
            Stage::Working(_) | Stage::Draining(_) | Stage::Over(_) => false,
        }
    }

    /// Looks for the next header.
    fn head(&mut self) -> bool {
        let most = usize::from(self.session.settings.max_header);
        match self.session.link.intake.head(self.buffers.input, most) {
            Ok(Some(_)) if !self.session.link.outlet.has_reply_room(self.buffers.output) => self.flush(),
            Ok(Some(_)) => {
                self.dispatch();
                true
            }
            Ok(None) => self.write_or_read(most.saturating_add(LENGTH)),
            Err(_) => {
                self.close_with(ErrorCode::TooLarge, "a header is empty or too long");
                true
            }
        }
    }

    /// Nothing can be done without more octets: first everything is said that there is to say.
    fn write_or_read(&mut self, needed: usize) -> bool {
        if !self.session.link.outlet.is_empty() {
            return self.flush();
        }
        self.session.link.intake.prepare(self.buffers.input, needed);
        false
    }

    /// Turns to writing the output, but first to keeping what it says.
    fn flush(&mut self) -> bool {
        if self.session.unsettled {
            self.session.link.out = Out::Settling;
        } else {
            self.session.link.write(&mut self.buffers, &mut self.hasher, None);
        }
        true
    }

    /// Appends an answer. There is room.
    fn say(&mut self, reply: &Reply<'_>) {
        let written = match *reply {
            Reply::Error { code, text } => {
                let reply = Reply::Error { code, text: clipped(text) };
                self.session.link.outlet.header(self.buffers.output, &reply)
            }
            _ => self.session.link.outlet.header(self.buffers.output, reply),
        };
        if written.is_err() {
            self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
        }
    }

    /// Says why it cannot go on, and ends the connection.
    fn close_with(&mut self, code: ErrorCode, text: &str) {
        self.session.stage = Stage::Closing;
        self.say(&Reply::Error { code, text });
    }

    /// The octets of the header at the front of the input, with and without its length.
    fn header(&self) -> (usize, &[u8]) {
        let ServerSession { link, settings, .. } = &*self.session;
        match link.intake.head(self.buffers.input, usize::from(settings.max_header)) {
            Ok(Some(head)) => (head.total(), link.intake.header(self.buffers.input, head)),
            _ => (0, &[]),
        }
    }

    fn request(&self) -> Result<Request<'_>, ParseError> {
        decode(self.header().1)
    }

    /// The header at the front is understood.
    fn take_header(&mut self) {
        let (len, _) = self.header();
        self.session.link.intake.take(len);
    }

    /// Turns to what the header at the front of the input asks for.
    fn dispatch(&mut self) {
        let Ok(request) = self.request() else {
            return self.close_with(ErrorCode::Unsupported, "the request is not known");
        };
        match (self.session.who, request) {
            (Who::Nobody, Request::Hello(hello)) => self.hello(hello.version),
            (Who::Nobody, _) => self.close_with(ErrorCode::BadRequest, "the first message has to be a hello"),
            (Who::Stranger, Request::SignIn { message }) => match ServerExchange::first(message, &self.session.nonce) {
                Ok(exchange) => {
                    (self.session.exchange, self.session.stage) = (Some(exchange), Stage::Account);
                }
                Err(_) => self.close_with(ErrorCode::BadRequest, "the message is not of SCRAM-SHA-256"),
            },
            (Who::Stranger, Request::Proof { .. }) => self.proof(),
            (Who::Stranger, Request::Guest) => self.session.stage = Stage::Asking,
            (_, Request::Bye) => {
                self.take_header();
                self.session.stage = Stage::Closing;
                self.say(&Reply::Done);
            }
            (Who::Stranger, _) => self.close_with(ErrorCode::SignInRequired, "sign in first"),
            (Who::Known, Request::Data(data)) => self.data(data),
            (Who::Known, Request::Finish { digest }) => {
                self.take_header();
                self.finish(Some(digest));
            }
            (Who::Known, Request::Hello(_) | Request::SignIn { .. } | Request::Proof { .. } | Request::Guest) => {
                self.close_with(ErrorCode::BadRequest, "signed in already");
            }
            (Who::Known, _) if self.session.upload.is_some() => {
                self.close_with(ErrorCode::BadRequest, "the file that was announced is not finished");
            }
            (Who::Known, Request::Put(put)) if put.inline && inline_body(&put).is_none() => {
                self.close_with(ErrorCode::BadRequest, "a file that comes with its announcement is one block at most");
            }
            (Who::Known, _) => self.session.stage = Stage::Asking,
        }
    }

    fn hello(&mut self, version: u8) {
        self.take_header();
        if version == 0 {
            return self.close_with(ErrorCode::BadRequest, "there is no version 0");
        }
        let Settings { max_header, window, max_block, software } = self.session.settings;
        let version = crate::wire::transfer::VERSION.min(version);
        self.session.who = Who::Stranger;
        self.say(&Reply::Hello(Hello { version, features: 0, max_header, window, max_block, software }));
    }

    /// Checks the proof, and lets the store know the result.
    fn proof(&mut self) {
        let Some(mut exchange) = self.session.exchange.take() else {
            return self.close_with(ErrorCode::BadRequest, "a proof without a beginning");
        };
        let mut room = [0; scram::MESSAGE_MAX];
        let message = match self.request() {
            Ok(Request::Proof { message }) => exchange.finish(message, &mut room).ok(),
            _ => None,
        };
        let head = self.session.link.outlet.end();
        let proven = message.is_some();
        self.take_header();
        self.session.exchange = Some(exchange);
        self.session.stage = Stage::SignedIn { proven, head };
        if let Some(message) = message {
            self.say(&Reply::SignIn { message });
        }
    }

    /// A run of blocks is at the front of the input.
    fn data(&mut self, data: Data) {
        self.take_header();
        match &self.session.upload {
            Some(Upload::Open { file, .. }) => match file.run(data) {
                Some(segment) => self.session.stage = Stage::Receiving(segment),
                None => {
                    self.fail_upload(
                        body_len(data.len, file.block()),
                        ErrorCode::BadRequest,
                        "not the run that is due",
                    );
                }
            },
            Some(Upload::Failed { block }) => self.session.stage = Stage::Skipping(body_len(data.len, *block)),
            None => self.close_with(ErrorCode::BadRequest, "no file was announced"),
        }
    }

    /// The file that is being received is not wanted any more; `left` octets of its present run are to come.
    fn fail_upload(&mut self, left: u64, code: ErrorCode, text: &str) {
        self.session.upload = match self.session.upload.take() {
            Some(Upload::Open { file, inline: false }) => Some(Upload::Failed { block: file.block() }),
            _ => None,
        };
        self.session.stage = Stage::Skipping(left);
        self.say(&Reply::Error { code, text });
    }

    /// No more octets of the file will come of themselves. `told` is what the client says about them.
    fn finish(&mut self, told: Option<crate::digest::Digest>) {
        let Some(Upload::Open { file, inline }) = &mut self.session.upload else {
            match self.session.upload.take() {
                // It was answered already.
                Some(_) => {}
                None => self.close_with(ErrorCode::BadRequest, "no file was announced"),
            }
            return;
        };
        let error = if !file.all_came() {
            (ErrorCode::BadRequest, "the file ended short")
        } else if file.is_sound() && told.is_none_or(|told| told == file.digest()) {
            self.session.stage = Stage::Completing;
            return;
        } else if !*inline && let Some((at, len)) = file.repair() {
            return self.say(&Reply::Repair { at, len });
        } else {
            (ErrorCode::DigestMismatch, "what came is not what was sent; send it again")
        };
        self.session.upload = None;
        self.say(&Reply::Error { code: error.0, text: error.1 });
    }

    /// The store has answered a request.
    fn answered(&mut self, now: Instant, reply: &Reply<'_>) {
        let Ok(request) = self.request() else { return self.abort() };
        // What a body has that comes behind the header.
        let inline = match request {
            Request::Put(put) if put.inline => inline_body(&put),
            _ => None,
        };
        let offered = match request {
            Request::Put(put) => Some((put.size, put.block)),
            _ => None,
        };
        let guest = matches!(request, Request::Guest);
        let listing = matches!(request, Request::List { .. });
        self.take_header();
        self.session.stage = Stage::Head;
        match *reply {
            Reply::Error { code, text } => {
                self.say(&Reply::Error { code, text });
                if guest {
                    self.session.stage = Stage::Closing;
                } else if let Some((_, body)) = inline {
                    self.session.stage = Stage::Skipping(body);
                }
            }
            Reply::Done if listing => self.session.stage = Stage::Listing,
            Reply::Done if guest => {
                self.session.who = Who::Known;
                self.say(reply);
            }
            Reply::Working => self.session.stage = Stage::Working(now),
            Reply::File(file) => {
                let Some(block) = block_len(file.block) else { return self.abort() };
                self.say(reply);
                self.session.stage = Stage::Sending(Sending::new(Direction::Down, file.offset, file.length, block));
            }
            Reply::Ready { offset, block } => {
                let Some((size, wished)) = offered else { return self.abort() };
                let block = if inline.is_some() { wished } else { block };
                let Some(block) = block_len(block) else { return self.abort() };
                let file = Receiving::new(offset.min(size), size, block);
                self.receive(file, inline.map(|(len, _)| len), reply);
            }
            _ => self.say(reply),
        }
    }

    /// A file is welcome. `inline`: its octets, so many, are the next in the input.
    fn receive(&mut self, file: Receiving, inline: Option<u32>, reply: &Reply<'_>) {
        let segment = inline.and_then(|len| file.run(Data { at: 0, len }));
        self.session.upload = Some(Upload::Open { file, inline: inline.is_some() });
        match (inline, segment) {
            (None, _) => self.say(reply),
            (Some(_), Some(segment)) => self.session.stage = Stage::Receiving(segment),
            // An empty file.
            (Some(_), None) => self.finish(None),
        }
    }

    fn abort(&mut self) {
        self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
    }

    /// The store has answered who somebody is.
    fn account(&mut self, answer: Answer<'_>) {
        match answer {
            Answer::Account(verifier) => {
                let mut room = [0; scram::MESSAGE_MAX];
                let exchange = self.session.exchange.as_mut();
                let message = exchange.and_then(|exchange| exchange.challenge(&verifier, &mut room).ok());
                match message {
                    Some(message) => {
                        self.take_header();
                        self.session.stage = Stage::Head;
                        self.say(&Reply::SignIn { message });
                    }
                    None => self.close_with(ErrorCode::Internal, "the account is damaged"),
                }
            }
            Answer::Reply(Reply::Error { code, text }) => self.close_with(code, text),
            _ => self.abort(),
        }
    }

    /// The store has heard how a sign-in went.
    fn signed_in(&mut self, proven: bool, head: usize, reply: &Reply<'_>) {
        match *reply {
            Reply::Done if proven => {
                self.session.who = Who::Known;
                self.session.exchange = None;
                self.session.stage = Stage::Head;
            }
            Reply::Error { code, text } => {
                self.session.link.outlet.cut(head);
                self.close_with(code, text);
            }
            _ => self.close_with(ErrorCode::SignInFailed, "wrong name or password"),
        }
    }

    /// The store has answered whether the file that was sent is still what it was.
    fn checked(&mut self, reply: &Reply<'_>) {
        let Stage::Sending(sending) = &mut self.session.stage else { return };
        match *reply {
            Reply::Error { code, text } => self.shrunk(code, text),
            _ => sending.seal(&mut self.session.link.outlet, &mut self.buffers, None),
        }
    }

    /// The file that is sent cannot be sent to its end.
    fn shrunk(&mut self, code: ErrorCode, text: &str) {
        let Stage::Sending(sending) = &mut self.session.stage else { return };
        if sending.take_back(&mut self.session.link.outlet) {
            self.session.stage = Stage::Head;
            if !self.session.link.outlet.has_reply_room(self.buffers.output) {
                // It had room for the run that was taken back.
                return self.abort();
            }
            self.say(&Reply::Error { code, text });
        } else {
            // Half of a block has left: nothing can be said any more.
            self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Shrunk { missing: 0 })));
        }
    }
}

/// How many octets of data, and of body in all, an announcement has with it; `None` if it must not.
fn inline_body(put: &Put<'_>) -> Option<(u32, u64)> {
    let block = block_len(put.block)?;
    let len = u32::try_from(put.size).ok().filter(|&len| len <= block)?;
    Some((len, body_len(len, block)))
}

/// What messages have for a body, for those who look ahead.
fn ahead(header: &[u8], block: u32) -> Body {
    let data = match decode(header) {
        Ok(Request::Put(put)) if put.inline => inline_body(&put).map(|(len, _)| len),
        Ok(Request::Data(data)) => Some(data.len).filter(|&len| len <= block),
        _ => None,
    };
    match data.and_then(|len| usize::try_from(len).ok()) {
        Some(len) if len > 0 => Body::Block(len),
        _ => Body::Other,
    }
}

impl<H: Hasher> Machine for Server<'_, '_, H> {
    fn want(&mut self) -> Want<'_> {
        let ServerSession { link, stage, upload, exchange, settings, .. } = &mut *self.session;
        let buffers = &mut self.buffers;
        match link.out {
            Out::Settling => return Want::Open(Target::Ask(Ask::Settle)),
            Out::Writing => return Want::Write(link.outlet.unwritten(buffers)),
            Out::Filling => {}
        }
        let ask = match stage {
            Stage::Asking => {
                let head = link.intake.head(buffers.input, usize::from(settings.max_header)).ok().flatten();
                let header = head.map(|head| link.intake.header(buffers.input, head)).unwrap_or_default();
                match decode(header) {
                    Ok(Request::Guest) => Ask::Guest,
                    Ok(request) => Ask::Request(request),
                    Err(error) => return Want::Done(Err(ProtocolError::Malformed(error))),
                }
            }
            Stage::Account => Ask::Account { user: exchange.as_ref().map_or("", ServerExchange::user) },
            Stage::SignedIn { proven, .. } => {
                Ask::SignedIn { user: exchange.as_ref().map_or("", ServerExchange::user), proven: *proven }
            }
            Stage::Listing | Stage::Working(_) => Ask::Next,
            Stage::Sending(sending) => match sending.need() {
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
            Stage::Completing => {
                let digest = match upload {
                    Some(Upload::Open { file, .. }) => file.digest(),
                    _ => crate::digest::Digest::default(),
                };
                Ask::Complete { digest }
            }
            Stage::Head | Stage::Skipping(_) => return Want::Read(link.intake.room(buffers.input)),
            Stage::Closing => return Want::Shutdown,
            Stage::Draining(_) => return Want::Drain(buffers.input),
            Stage::Over(result) => return Want::Done(*result),
        };
        Want::Open(Target::Ask(ask))
    }

    fn done(&mut self, now: Instant, n: u64) {
        let ServerSession { link, stage, totals, .. } = &mut *self.session;
        match (link.out, &mut *stage) {
            (Out::Settling, _) => return,
            (Out::Writing, _) => link.wrote(now, n),
            (_, Stage::Head | Stage::Skipping(_)) if n == 0 => self.end_of_stream(),
            (_, Stage::Head | Stage::Skipping(_)) => link.read(now, n),
            (_, Stage::Sending(sending)) => {
                let count = usize::try_from(n).unwrap_or(usize::MAX);
                if matches!(sending.need(), sending::Need::Load { .. }) {
                    if sending.loaded(&mut link.outlet, &self.buffers, count) {
                        totals.add_octets(n);
                    } else {
                        self.shrunk(ErrorCode::Internal, "the file became shorter while it was sent");
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
            (_, Stage::Closing) => {
                link.progress(now);
                *stage = Stage::Draining(DRAIN_MOST);
            }
            (_, Stage::Draining(left)) => {
                *left = left.saturating_sub(n);
                if n == 0 || *left == 0 {
                    *stage = Stage::Over(Ok(Outcome::Complete(*totals)));
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
        let reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Account(_) if matches!(self.session.stage, Stage::Account) => Reply::Done,
            _ => return self.abort(),
        };
        let in_a_file = self.session.upload.is_some();
        match (self.session.link.out, &mut self.session.stage) {
            (Out::Writing, _) => return,
            (Out::Settling, _) => {
                self.session.unsettled = false;
                match reply {
                    // Some of what was to be said is not true: it must not leave.
                    Reply::Error { .. } => self.session.stage = Stage::Over(Ok(Outcome::Refused)),
                    _ => self.session.link.write(&mut self.buffers, &mut self.hasher, None),
                }
            }
            (_, Stage::Asking) => self.answered(now, &reply),
            (_, Stage::Account) => self.account(answer),
            (_, &mut Stage::SignedIn { proven, head }) => self.signed_in(proven, head, &reply),
            (_, Stage::Listing) => {
                if !matches!(reply, Reply::Entry(_)) {
                    self.session.stage = Stage::Head;
                }
                self.say(&reply);
            }
            (_, Stage::Working(told)) => match reply {
                Reply::Working if now.since(*told) < WORKING_TIME => return,
                Reply::Working => {
                    *told = now;
                    self.say(&reply);
                    self.flush();
                }
                _ => {
                    self.session.stage = Stage::Head;
                    self.say(&reply);
                }
            },
            (_, Stage::Sending(_)) => self.checked(&reply),
            (_, Stage::Receiving(segment)) => match reply {
                Reply::Error { code, text } => {
                    let left = segment.left();
                    self.fail_upload(left, code, text);
                }
                _ => segment.reported(),
            },
            (_, Stage::Completing) => {
                let stored = match self.session.upload.take() {
                    Some(Upload::Open { file, .. }) => Reply::Stored { digest: file.digest() },
                    _ => return self.abort(),
                };
                self.session.stage = Stage::Head;
                if matches!(reply, Reply::Error { .. }) {
                    self.say(&reply);
                } else {
                    self.session.totals.add_file();
                    self.session.unsettled = true;
                    self.say(&stored);
                }
            }
            _ => return,
        }
        // Within a file only its octets are progress.
        if !in_a_file {
            self.session.link.progress(now);
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
        let ServerSession { link, stage, totals, .. } = &mut *self.session;
        match (link.out, &*stage) {
            // The octets are out; only the peer's farewell is missing.
            (Out::Filling, Stage::Draining(_)) => *stage = Stage::Over(Ok(Outcome::Complete(*totals))),
            (Out::Filling, Stage::Head | Stage::Skipping(_) | Stage::Receiving(_)) if link.outlet.is_empty() => {
                link.progress(now);
                self.close_with(ErrorCode::Timeout, "nothing came for too long");
                self.advance();
            }
            _ => *stage = Stage::Over(Err(ProtocolError::TimedOut)),
        }
    }
}

impl<H: Hasher> Server<'_, '_, H> {
    /// The peer will send nothing more.
    fn end_of_stream(&mut self) {
        let ServerSession { link, stage, upload, totals, .. } = &mut *self.session;
        let between = matches!(stage, Stage::Head) && link.intake.len() == 0 && upload.is_none();
        *stage = Stage::Over(if between {
            Ok(Outcome::Complete(*totals))
        } else {
            Err(ProtocolError::Truncated { missing: 1 })
        });
    }
}
