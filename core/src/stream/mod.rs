//! Connections as state machines: files and folders, served and fetched.
//!
//! A [`Machine`] stands between one TCP connection and one [`Store`] (a directory, a RAM disk, a flash) and
//! touches neither. It says what it wants, somebody does it, and tells it the result:
//!
//! ```text
//!   loop { match machine.want() {
//!       Want::Read(room)           => machine.done(now, transport.read(room)),
//!       Want::Open(target)         => machine.opened(now, store.open(target)),
//!       …
//!       Want::Done(result)         => break result,
//!   } }
//! ```
//!
//! That loop exists twice, in [`drive`](crate::drive), for blocking and for asynchronous transports; a device
//! that polls writes its own. There are three machines: [`Server`] answers one accepted connection,
//! [`FileClient`] fetches a file, [`FolderClient`] fetches a folder.
//!
//! **Guarantees**: [`Machine::want`] changes nothing, so asking twice is harmless and a cancelled driver loses
//! nothing. Every wait for the peer has a deadline. A peer that breaks the rules ends the machine with a
//! [`ProtocolError`]; it cannot make it panic, grow, or write more than was announced. An answer that does not
//! belong to the present want is ignored, and a count above what was wanted is taken for the most that was.
//!
//! **Memory**: a machine is at most 160 octets, besides one buffer that the caller lends. The larger the buffer, the
//! more small files travel in one read or write; 512 octets are enough for everything but very long names.
//! **Time**: constant per call, but for looking at the octets of a request or header once.
//! **Protocol**: the rules `R-IP-70` to `R-IP-97` in `docs/protocol/ipmsg.md`.

mod file_client;
mod folder_client;
mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod transfer;

pub use file_client::{Announced, FileClient};
pub use folder_client::{FolderClient, Limits};
pub use server::Server;

use core::fmt;
use core::time::Duration;

use crate::text::Text;
use crate::time::Instant;
use crate::wire::ParseError;
use crate::wire::ipmsg::{Attribute, EscapedName, ExtendedAttributes, FileKind, FileRequest, FolderHeader};

/// A server forgets a connection whose request is not complete after this time (R-IP-78).
pub const REQUEST_TIME: Duration = Duration::from_secs(15);

/// A transfer ends when the peer has sent no octet for this time after it was asked, or has neither sent nor taken 4 KiB
/// for this time later (R-IP-78). While only one's own store is waited for, no time passes.
pub const STALL_TIME: Duration = Duration::from_secs(120);

/// Octets that a peer has to move before it is given time anew: one octet now and then is no progress.
const STEP: u64 = 4096;

/// Whether `count` octets behind `before` others are progress: they reach or cross the end of a [`STEP`].
const fn is_progress(before: u64, count: u64) -> bool {
    count >= STEP.saturating_sub(before % STEP)
}

/// How long a server waits, after its last octet, for the client to close (R-IP-78).
pub const LINGER_TIME: Duration = Duration::from_secs(5);

/// What a [`Machine`] wants next.
///
/// Positions (`at`) count the octets of the open object from its start. They make every step repeatable: a
/// driver that loaded 512 octets and could write only 300 of them is simply asked to send from 300 on.
#[derive(Debug, PartialEq, Eq)]
pub enum Want<'a> {
    /// Read from the peer into this room, which is never empty; answer [`Machine::done`] with the count, 0 at
    /// the end of the stream.
    Read(&'a mut [u8]),
    /// Write these octets, which are never none, to the peer; answer `done` with how many it took.
    Write(&'a [u8]),
    /// Ask the store; answer [`Machine::opened`].
    Open(Target<'a>),
    /// Load octets of the open object from `at` on; answer `done` with the count, 0 if there are no more.
    ///
    /// Wanted for small files, which travel in one write with the headers around them.
    Load {
        /// Position in the open object.
        at: u64,
        /// Where to put them; never empty.
        into: &'a mut [u8],
    },
    /// Save octets to the open object at `at`; answer `done` with their count.
    ///
    /// Wanted for octets that arrived in one read with the headers around them.
    Save {
        /// Position in the open object.
        at: u64,
        /// What to save; never none.
        octets: &'a [u8],
    },
    /// Move up to `len` octets, never 0, from the open object to the peer, by whatever way is best (`sendfile`);
    /// answer `done` with the count, 0 if the object has no more.
    Send {
        /// Position in the open object.
        at: u64,
        /// The most to move.
        len: u64,
    },
    /// Move up to `len` octets, never 0, from the peer to the open object, by whatever way is best (`splice`);
    /// answer `done` with the count, 0 at the end of the stream.
    Receive {
        /// Position in the open object.
        at: u64,
        /// The most to move.
        len: u64,
    },
    /// The open object is complete: close it, name it, set its times; answer `done`.
    ///
    /// An object that was opened for receiving and is not closed is incomplete.
    Close,
    /// Nothing more will be written: shut down the writing side of the connection; answer `done`.
    Shutdown,
    /// As [`Want::Read`], only that nobody cares: an error of the transport is as good as the end.
    Drain(&'a mut [u8]),
    /// There is nothing more to do: drop the connection.
    Done(Result<Outcome, ProtocolError>),
}

/// What a store is asked to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A peer asks for this. Answer [`Opened::File`], [`Opened::Folder`] or [`Opened::Refused`].
    ///
    /// Who may fetch is the store's to decide; the core's [`FileRequest`] says who asks for what.
    Request(FileRequest<'a>),
    /// The next of what is to be served of the open folder, depth first. Answer [`Opened::File`],
    /// [`Opened::Folder`] (from now on "next" means its insides), [`Opened::Unreadable`], or
    /// [`Opened::Leave`] at the end of a folder, the root folder included.
    Next,
    /// Make this file; octets follow, then [`Want::Close`]. Answer [`Opened::Ready`], [`Opened::Skip`] or
    /// [`Opened::Refused`].
    File(Arrival<'a>),
    /// Make this folder and enter it. Answer as for a file; nothing of a skipped folder is asked for again.
    Folder(Arrival<'a>),
    /// The folder that was entered last is complete; some peers repeat its times here. Answer anything.
    Leave(Metadata),
    /// A session of the verified transfer protocol asks. Answer [`Opened::Answer`]; [`Opened::Refused`] ends it.
    Ask(transfer::Ask<'a>),
}

/// A file or folder that a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// Its name: hostile, in the character set that was agreed on, colons still doubled. `None` for what was
    /// asked for itself: that has the name under which it was announced, whatever the stream says (R-IP-95).
    pub name: Option<EscapedName<'a>>,
    /// Its size in octets; `None` if that will be known at its end, and for folders.
    pub size: Option<u64>,
    /// Where the first octet that comes belongs: not 0 only where a transfer is resumed.
    pub offset: u64,
    /// What else the peer says about it.
    pub metadata: Metadata,
}

/// A file or folder that a store serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name in the character set that the peer understands. The machine doubles the colons.
    pub name: Text<'a>,
    /// Its size in octets. Ignored for folders.
    pub size: u64,
    /// What else is known of it.
    pub metadata: Metadata,
}

/// What is known of a file or folder besides name and size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// When it was last changed, in seconds since 1970.
    pub modified: Option<u64>,
    /// When it was made, in seconds since 1970.
    pub created: Option<u64>,
    /// POSIX permission bits.
    pub permissions: Option<u32>,
    /// It is not to be written to.
    pub read_only: bool,
    /// It is not to be shown.
    pub hidden: bool,
}

impl Metadata {
    fn of(header: &FolderHeader<'_>) -> Self {
        Self {
            modified: header.extended.modified(),
            created: header.extended.created(),
            permissions: header.extended.permissions(),
            read_only: header.attribute.has(Attribute::READ_ONLY),
            hidden: header.attribute.has(Attribute::HIDDEN),
        }
    }

    const fn attribute(self, kind: FileKind) -> Attribute {
        let read_only = if self.read_only { Attribute::READ_ONLY } else { 0 };
        let hidden = if self.hidden { Attribute::HIDDEN } else { 0 };
        Attribute::of_kind(kind).with(read_only | hidden)
    }

    const fn extended(self) -> ExtendedAttributes<'static> {
        ExtendedAttributes::new(self.modified, self.created, self.permissions)
    }
}

/// What a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened<'a> {
    /// This file is open for [`Want::Load`] and [`Want::Send`].
    File(Entry<'a>),
    /// This folder has been entered.
    Folder(Entry<'a>),
    /// There is a file of this name, but it cannot be read (R-IP-92). Its size is ignored.
    Unreadable(Entry<'a>),
    /// The folder that was entered last has no more entries.
    Leave,
    /// Ready for [`Want::Save`] and [`Want::Receive`], or entered.
    Ready,
    /// Not wanted: the machine passes over it.
    Skip,
    /// No: the machine ends.
    Refused,
    /// The answer to [`Target::Ask`].
    Answer(transfer::Answer<'a>),
}

/// How a machine ended when the peer kept the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Everything that was asked for was moved.
    Complete(Totals),
    /// Server: the store refused. Client: the peer closed without an octet, or the own store refused.
    Refused,
    /// The peer closed too early; what came is good, but not all. Sizes in octets, counted from the offset.
    Short {
        /// What came.
        got: u64,
        /// What should have come.
        want: u64,
    },
    /// Something of ours failed in the midst of a transfer. The peer must not take what it got for the whole:
    /// drop the connection hard (with a reset), do not shut it down.
    Aborted(Abort),
}

/// Why a server gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abort {
    /// A file ended before the size that had been promised.
    Shrunk {
        /// How many octets are missing.
        missing: u64,
    },
    /// A header, with the name in it, does not fit the lent buffer.
    NameTooLong {
        /// The size of the buffer that would have sufficed.
        needed: usize,
    },
    /// The store answered something that is no answer to the question.
    Answer,
}

/// What a transfer moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u32,
    /// Folders.
    pub folders: u32,
    /// Octets of file contents.
    pub octets: u64,
    /// What was passed over: special files, what the store did not want, and on a server unreadable files.
    pub skipped: u32,
    /// The peer closed without leaving every folder: complete in all likelihood, but not certainly (R-IP-94).
    pub unclosed: bool,
}

impl Totals {
    fn add_file(&mut self) {
        self.files = self.files.saturating_add(1);
    }

    fn add_folder(&mut self) {
        self.folders = self.folders.saturating_add(1);
    }

    fn add_octets(&mut self, count: u64) {
        self.octets = self.octets.saturating_add(count);
    }

    fn add_skipped(&mut self) {
        self.skipped = self.skipped.saturating_add(1);
    }
}

/// The peer broke the rules of a stream, or left us waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A request or header is not of its form.
    Malformed(ParseError),
    /// A request is longer than [`MAX_REQUEST`](crate::wire::ipmsg::MAX_REQUEST) or the lent buffer.
    RequestTooLong,
    /// A header is longer than the lent buffer.
    HeaderTooLong,
    /// The stream ended before the request did.
    NoRequest,
    /// The stream ended within a header or within contents.
    Truncated {
        /// How many octets are missing at least.
        missing: u64,
    },
    /// The peer neither sent nor took anything for too long.
    TimedOut,
    /// Folders are nested more deeply than [`Limits::depth`].
    TooDeep,
    /// There are more entries than [`Limits::entries`].
    TooMany,
    /// The contents exceed [`Limits::octets`].
    TooMuch,
    /// The server did not prove that it knows the account.
    Unproven,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::RequestTooLong => f.write_str("the request is too long"),
            Self::HeaderTooLong => f.write_str("a header is too long"),
            Self::NoRequest => f.write_str("the connection ended before the request"),
            Self::Truncated { missing: 1 } => f.write_str("the stream ended 1 octet too early"),
            Self::Truncated { missing } => write!(f, "the stream ended {missing} octets too early"),
            Self::TimedOut => f.write_str("the peer was silent for too long"),
            Self::TooDeep => f.write_str("folders are nested too deeply"),
            Self::TooMany => f.write_str("there are too many entries"),
            Self::TooMuch => f.write_str("there are too many octets"),
            Self::Unproven => f.write_str("the server did not prove that it knows the account"),
        }
    }
}

impl core::error::Error for ProtocolError {}

/// The memory of one connection, without the connection.
pub trait Machine {
    /// What is to be done next. Idempotent.
    fn want(&mut self) -> Want<'_>;

    /// `n` octets of what was wanted are done. For [`Want::Close`] and [`Want::Shutdown`] `n` does not matter.
    fn done(&mut self, now: Instant, n: u64);

    /// The store's answer to [`Want::Open`].
    fn opened(&mut self, now: Instant, answer: Opened<'_>);

    /// Until when the peer may keep the machine waiting; `None` if it is not the peer that is waited for.
    fn deadline(&self) -> Option<Instant>;

    /// Tells the machine the time. Nothing happens before its [`deadline`](Self::deadline).
    fn expire(&mut self, now: Instant);

    /// Nothing more will be read or written. What has come and is of use may still be wanted to be kept: see
    /// [`drive::salvage`](crate::drive::salvage).
    fn broken(&mut self, _now: Instant) {}
}

impl<M: Machine + ?Sized> Machine for &mut M {
    fn want(&mut self) -> Want<'_> {
        M::want(self)
    }

    fn done(&mut self, now: Instant, n: u64) {
        M::done(self, now, n);
    }

    fn opened(&mut self, now: Instant, answer: Opened<'_>) {
        M::opened(self, now, answer);
    }

    fn deadline(&self) -> Option<Instant> {
        M::deadline(self)
    }

    fn expire(&mut self, now: Instant) {
        M::expire(self, now);
    }

    fn broken(&mut self, now: Instant) {
        M::broken(self, now);
    }
}

/// Where files come from and go to. One object at a time is open.
///
/// Implementations block; on a desktop that is what files do anyway, and on a device it takes a few
/// milliseconds. An error ends the transfer and reaches the caller of the driver whole.
pub trait Store {
    /// What can go wrong.
    type Error;

    /// Answers `target`; each variant says how. What was open before is done with: complete if it was closed or
    /// was served, incomplete otherwise.
    ///
    /// # Errors
    /// The store's own. A refusal is not an error.
    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Self::Error>;

    /// Copies octets of the open object, from position `at` on, to the front of `into` and returns their number:
    /// 0 only if there are no more.
    ///
    /// # Errors
    /// The store's own.
    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Self::Error>;

    /// Writes all `octets` to the open object at position `at`. Positions rise without gaps from
    /// [`Arrival::offset`] on, but the same octets may come twice.
    ///
    /// # Errors
    /// The store's own, for example that it is full.
    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Self::Error>;

    /// The object opened for receiving is complete.
    ///
    /// # Errors
    /// The store's own.
    fn close(&mut self) -> Result<(), Self::Error>;
}

impl<S: Store + ?Sized> Store for &mut S {
    type Error = S::Error;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Self::Error> {
        S::open(self, target)
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Self::Error> {
        S::load(self, at, into)
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Self::Error> {
        S::save(self, at, octets)
    }

    fn close(&mut self) -> Result<(), Self::Error> {
        S::close(self)
    }
}
