//! What a command wants of a server, and how a session asks for it.
//!
//! ```text
//!   ClientSession -- Ask::Job, Ask::Reply, Save, Load … --> Desk -- next(), reply(), save(), load() … --> Errand
//! ```
//! A [`Desk`] is the core's store for one connection: it knows what the server takes, whether it let us in, and when to
//! stop. An [`Errand`] outlives connections: when one breaks, what was under way is its own to ask for again.

use feige_core::digest::Digest;
use feige_core::stream::transfer::{Answer, Ask};
use feige_core::stream::{Opened, Store, Target};
use feige_core::text::Printable;
use feige_core::wire::transfer::{ErrorCode, Get, Hello, Reply, Request};

use super::report::Report;
use crate::exit::{Exit, Failure};

/// What a server takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Takes {
    /// Octets that it has not asked for.
    pub(crate) window: u32,
    /// The largest block, as a power of two.
    pub(crate) max_block: u8,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// This.
    Job(Request<'a>),
    /// That depends on an answer that is still to come.
    Later,
    /// Nothing more.
    Over,
}

/// How a reply, or octets, were taken.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Well.
    Fine,
    /// Well, and it shows that octets which were sent before are there.
    Further,
    /// The file that comes is not wanted, or cannot be had. The errand has done with it.
    NotWanted,
    /// This connection is of no more use; another may be.
    TryAgain(Failure),
    /// Nothing that this server says is of use.
    GiveUp(Failure),
}

/// What a command wants of a server, job by job. Every job is answered in order, and whoever gives jobs keeps them until
/// then.
pub(crate) trait Errand {
    /// The next job. `Later` only while a job is unanswered.
    fn next(&mut self, takes: &Takes) -> Next<'_>;

    /// The answer to the oldest job, or a part of it. [`Reply::File`] announces octets, and does not end a job.
    fn reply(&mut self, reply: &Reply<'_>) -> Heard;

    /// Octets of the file that is sent.
    fn load(&mut self, _at: u64, _into: &mut [u8]) -> usize {
        0
    }

    /// Whether the file that is sent has the connection for itself: until all of it has left, the server says nothing but
    /// that it does not want it any more.
    fn sends_alone(&self) -> bool {
        false
    }

    /// Whether the file that is sent is still what it was.
    fn is_unchanged(&mut self) -> bool {
        false
    }

    /// Octets of the file that comes.
    fn save(&mut self, _at: u64, _octets: &[u8]) {}

    /// Whether what comes is hashed as a whole, too. That takes a processor, and everybody waits for it.
    fn hashes_besides(&self) -> bool {
        false
    }

    /// Octets were saved and are what was sent.
    fn verified(&mut self, _at: u64, _len: u32, _digests: &[Digest]) -> Heard {
        Heard::NotWanted
    }

    /// The file that comes is whole: the answer to the oldest job. `digest` is that of what came this time.
    fn complete(&mut self, _digest: Digest) -> Heard {
        Heard::NotWanted
    }

    /// A range of the file that comes is damaged: what to ask for.
    fn damaged(&mut self, _at: u64, _len: u32) -> Option<Get<'_>> {
        None
    }

    /// The job that was given last cannot be sent.
    fn unsent(&mut self, refusal: Refusal);

    /// The connection ended. Jobs that are not answered are to be given again.
    fn broken(&mut self);

    /// Whether nothing more is wanted of any connection, although this one would have gone on.
    fn is_over(&self) -> bool {
        false
    }

    /// Whoever tells the user.
    fn report(&mut self) -> &mut Report;
}

/// A server, or the core, said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    text: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, text: &str) -> Self {
        Self { code, text: text.to_owned() }
    }

    /// For people, harmless to a terminal.
    pub(crate) fn text(&self) -> String {
        if self.text.is_empty() { self.code.to_string() } else { Printable::line(&self.text).to_string() }
    }

    pub(crate) fn failure(&self) -> Failure {
        Failure { exit: exit_of(self.code), message: self.text() }
    }
}

/// The exit code that tells scripts of an error.
pub(crate) const fn exit_of(code: ErrorCode) -> Exit {
    match code {
        ErrorCode::SignInRequired | ErrorCode::SignInFailed | ErrorCode::Forbidden => Exit::Refused,
        ErrorCode::QuotaExceeded | ErrorCode::NoSpace => Exit::NoSpace,
        ErrorCode::DigestMismatch => Exit::Incomplete,
        // There is somebody, but not for us, and not now.
        ErrorCode::Busy | ErrorCode::Timeout => Exit::Nobody,
        _ => Exit::Failed,
    }
}

/// Why a session stops although the server would go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Everything is answered, and nothing more wanted for now: the session waits as it is.
    Enough,
    /// The user has had enough.
    Cancelled,
    /// Another connection may be of more use.
    TryAgain(Failure),
    /// No connection will be.
    GiveUp(Failure),
}

/// An errand at one connection.
pub(crate) struct Desk<'d> {
    pub(crate) errand: &'d mut dyn Errand,
    /// What the server takes, once it has said so.
    pub(crate) takes: &'d mut Takes,
    /// The server let us in.
    pub(crate) let_in: &'d mut bool,
    /// Why it did not.
    pub(crate) refusal: Option<Refusal>,
    /// Something came of it that need not be asked for again.
    pub(crate) moved: bool,
    /// Whether the server has said something that was not read yet.
    pub(crate) hears: &'d dyn Fn() -> bool,
}

impl Desk<'_> {
    /// Something was taken as `heard`; `lasts`: if it was taken well, it is not asked for again.
    const fn note(&mut self, heard: &Heard, lasts: bool) {
        self.moved |= match heard {
            Heard::Further => true,
            Heard::Fine | Heard::NotWanted => lasts,
            Heard::TryAgain(_) | Heard::GiveUp(_) => false,
        };
    }

    /// What the server says before it lets anybody in.
    fn greeted(&mut self, reply: &Reply<'_>) {
        match *reply {
            Reply::Hello(Hello { window, max_block, .. }) => *self.takes = Takes { window, max_block },
            Reply::Error { code, text } => self.refusal = Some(Refusal::new(code, text)),
            _ => {}
        }
    }
}

/// Whether a reply is the end of what was asked, however often it is asked: not that something is going to come, nor
/// that it has to be asked again.
const fn is_final(reply: &Reply<'_>) -> bool {
    match reply {
        Reply::Error { code, .. } => !matches!(code, ErrorCode::Busy | ErrorCode::DigestMismatch),
        Reply::File(_) | Reply::Ready { .. } | Reply::Entry(_) | Reply::Working => false,
        _ => true,
    }
}

const FINE: Answer<'static> = Answer::Reply(Reply::Done);

/// In the words of a session.
fn answer(heard: Heard) -> Result<Answer<'static>, Halt> {
    match heard {
        Heard::Fine | Heard::Further => Ok(FINE),
        Heard::NotWanted => Ok(Answer::Reply(Reply::Error { code: ErrorCode::Internal, text: "" })),
        Heard::TryAgain(failure) => Err(Halt::TryAgain(failure)),
        Heard::GiveUp(failure) => Err(Halt::GiveUp(failure)),
    }
}

impl Store for Desk<'_> {
    type Error = Halt;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Halt> {
        let Target::Ask(ask) = target else { return Ok(Opened::Refused) };
        let answer = match ask {
            Ask::Job => {
                *self.let_in = true;
                match self.errand.next(self.takes) {
                    Next::Job(request) => Answer::Job(request),
                    Next::Later => Answer::Later,
                    // Not `Over`: the session waits for the next errand.
                    Next::Over => return Err(Halt::Enough),
                }
            }
            Ask::Reply(reply) if !*self.let_in => {
                self.greeted(&reply);
                FINE
            }
            // Said to whoever is idle: not an answer to what is asked now.
            Ask::Reply(Reply::Error { code: code @ ErrorCode::Timeout, text }) => {
                return Err(Halt::TryAgain(Refusal::new(code, text).failure()));
            }
            Ask::Reply(reply) => {
                let heard = self.errand.reply(&reply);
                self.note(&heard, is_final(&reply));
                answer(heard)?
            }
            Ask::Loaded if self.errand.is_unchanged() => FINE,
            Ask::Loaded => answer(Heard::NotWanted)?,
            Ask::Verified { at, len, digests } => {
                let heard = self.errand.verified(at, len, digests);
                self.note(&heard, true);
                answer(heard)?
            }
            Ask::Complete { digest } => {
                let heard = self.errand.complete(digest);
                self.note(&heard, true);
                answer(heard)?
            }
            Ask::Damaged { at, len } => {
                self.errand.damaged(at, len).map_or(Answer::Over, |get| Answer::Job(Request::Get(get)))
            }
            Ask::Unsent { code, text } => {
                self.errand.unsent(Refusal::new(code, text));
                FINE
            }
            _ => return Ok(Opened::Refused),
        };
        Ok(Opened::Answer(answer))
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Halt> {
        // A file that the server has given up is not sent to its end (R-VT-66): the session says that this was all of it.
        if self.errand.sends_alone() && (self.hears)() {
            return Ok(0);
        }
        // What is sent is no progress yet: only what is answered cannot be lost.
        Ok(self.errand.load(at, into))
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Halt> {
        self.errand.save(at, octets);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Halt> {
        Ok(())
    }
}
