//! Sessions of the verified transfer protocol: the machine behind an accepted connection, and the one of a client.
//!
//! Both are driven like every other [`Machine`](super::Machine). What they need to know or have done, they ask the
//! store by [`Target::Ask`](super::Target::Ask), and it answers [`Opened::Answer`](super::Opened::Answer), mostly in
//! the words of the protocol itself.
//!
//! ```text
//!             input                                              output
//!   peer --> [ Intake ] --> header --> Ask::Request --> Reply --> [ Outlet ] --> peer
//!                     \--> Receiving: runs of blocks --> Save     Load --> Sending: runs of blocks
//!                             Hasher: many blocks at once, when they are in the buffer
//! ```
//!
//! A body goes through one of the two lent buffers. Blocks that fit it are hashed together, by whatever [`Hasher`]
//! the platform has; a block that does not is hashed piece by piece, so that a few hundred octets are enough. Where there
//! is another processor, an [`Input`] with several buffers has it hash what has come, while the session goes on.
//!
//! [`Hasher`]: crate::digest::Hasher
//!
//! **Guarantees**: see [`ServerSession`] and [`ClientSession`]. **Memory**: a server's session takes less than 3 KiB, a
//! client's less than 4, on a host, which takes long runs and puts three of them aside, 2.3 more; and both two buffers that are
//! lent while there is something to do. **Time**: constant per
//! call, but for hashing, and for deriving a key from the client's password once. **Protocol**:
//! `docs/protocol/transfer.md`.

mod aside;
mod client;
mod intake;
mod link;
mod outlet;
mod receiving;
#[cfg(feature = "scram")]
pub mod scram;
#[cfg(not(feature = "scram"))]
#[path = "no_scram.rs"]
mod scram;
mod segment;
mod sending;
mod server;
#[cfg(all(test, feature = "scram"))]
mod tests;
pub use aside::Input;
pub use client::{Client, ClientSession, Credentials};
pub use server::{Server, ServerSession};

use core::time::Duration;

use crate::digest::Digest;
use crate::wire::transfer::{ErrorCode, LENGTH, LONG_RUN, LONG_RUNS, Reply, Request};

/// How long a stranger may take to sign in (R-VT-70).
pub const SIGN_IN_TIME: Duration = Duration::from_secs(10);

/// How long a client may do nothing between two requests (R-VT-71).
pub const IDLE_TIME: Duration = Duration::from_secs(60);

/// How long a body, or an answer, may make no progress (R-VT-72).
pub const PROGRESS_TIME: Duration = Duration::from_secs(30);

/// A server that works says so after this time (R-VT-73).
pub const WORKING_TIME: Duration = Duration::from_secs(5);

/// [`Reply::Working`] as it is written: said before what is in the output already.
const WORKING: [u8; LENGTH + 1] = [1, 0, 0, 0, 15];

/// The most blocks in a run that every peer takes (R-VT-33).
pub const BLOCKS: usize = 16;

/// The most blocks in a run that we take, and send to those who take so many.
const MOST_BLOCKS: usize = if cfg!(target_os = "none") { BLOCKS } else { LONG_RUN };

/// What we tell peers that we can do besides.
const FEATURES: u64 = if MOST_BLOCKS < LONG_RUN { 0 } else { LONG_RUNS };

/// The most blocks in a run to a peer with these features.
const fn most_blocks(features: u64) -> usize {
    if features & LONG_RUNS == 0 { BLOCKS } else { MOST_BLOCKS }
}

/// Octets of output that are kept for a header: names of 255 octets, error texts and SCRAM messages fit.
const REPLY_ROOM: usize = 400;

/// How many octets of an error text leave, and what is put around them.
const TEXT_MOST: usize = 200;
const ERROR_FRAME: usize = LENGTH + 4;

/// What a connection costs besides its buffers; longer runs cost their digests, and those that are put aside all of it.
const _: () = {
    let long = (MOST_BLOCKS - BLOCKS) * 20 + size_of::<aside::Asides>();
    assert!(size_of::<ServerSession>() <= 2816 + long, "a server's session is larger than was agreed on");
    assert!(size_of::<ClientSession<'_>>() <= 3840 + long, "a client's session is larger than was agreed on");
};

/// The smallest buffers that a session works with, in octets: of input, and of output.
pub const LEAST_BUFFERS: (usize, usize) = (512 + LENGTH, 512);

/// The buffers of a session.
#[derive(Debug)]
pub struct Buffers<'b, I: ?Sized = [u8]> {
    /// For what is read: as long as the longest header and its length at least. A slice, or an [`Input`] that has several.
    pub input: &'b mut I,
    /// For what is written: at least 512 octets.
    pub output: &'b mut [u8],
}

impl<I: Input + ?Sized> Buffers<'_, I> {
    /// Whether a session with these settings can work with them.
    fn suffice(&self, settings: &Settings) -> bool {
        let input = usize::from(settings.max_header).saturating_add(LENGTH);
        self.input.octets().len() >= input.max(LEAST_BUFFERS.0) && self.output.len() >= LEAST_BUFFERS.1
    }
}

/// As much of an error text as fits `most` octets.
fn clipped(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while end > 0 && !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// What a session tells its peer about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest header that is taken: 512 on a device, 4,096 on a host.
    pub max_header: u16,
    /// How many octets are taken that were not asked for or not yet answered.
    pub window: u32,
    /// The largest block to work with, as a power of two.
    pub max_block: u8,
    /// Name and version of the program.
    pub software: &'static str,
}

/// What a session asks of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask<'a> {
    /// Server: how does `user` prove who it is? Answer [`Answer::Account`], for an unknown user too, with values made
    /// up that stay the same; or [`Reply::Error`] to refuse at once ([`Busy`](crate::wire::transfer::ErrorCode::Busy)
    /// after too many failures).
    Account {
        /// The name that was given.
        user: &'a str,
    },
    /// Server: `user` has proven who it is, or has failed to. Answer [`Reply::Done`], or [`Reply::Error`] to refuse
    /// all the same.
    SignedIn {
        /// The name that was given.
        user: &'a str,
        /// Whether it was proven.
        proven: bool,
    },
    /// Server: may somebody without an account come in? Answer [`Reply::Done`] or [`Reply::Error`].
    Guest,
    /// Server: do this. Answer with the [`Reply`] that the request names, or [`Reply::Error`].
    ///
    /// For `List` the answer is [`Reply::Done`], and [`Ask::Next`] follows until the answer is [`Reply::End`]. For
    /// `Get` it is [`Reply::File`], for `Put` [`Reply::Ready`] (of an inline one with the offset 0), and the object is
    /// open for loading or saving until the next request. For `Sum` it may be [`Reply::Working`], and [`Ask::Next`]
    /// follows until it is [`Reply::Sum`]. For any other it may be [`Reply::Working`], too, if the store has something
    /// to do first that takes time: then it is asked the same again.
    Request(Request<'a>),
    /// Server: the next entry, or a further piece of work.
    Next,
    /// Server and client: every octet that was promised of the file that is sent has been loaded. Answer
    /// [`Reply::Done`], or [`Reply::Error`] if the file has changed meanwhile: then the peer is told, and does not take
    /// what it got.
    Loaded,
    /// Server and client: octets were saved and their digests agree. Answer [`Reply::Done`], or [`Reply::Error`] if
    /// something went wrong with saving.
    Verified {
        /// Where they begin; a multiple of the block.
        at: u64,
        /// How many octets.
        len: u32,
        /// The digest of each block.
        digests: &'a [Digest],
    },
    /// Server and client: all octets are saved and verified: put them on the disk and give the file its name. Answer
    /// [`Reply::Done`] or [`Reply::Error`].
    Complete {
        /// The digest of the blocks that came this time, as if they were a file.
        digest: Digest,
    },
    /// Server: words that files are stored are about to leave. Whatever was completed since the last time has to be on
    /// the disk, under its name, before the answer (R-VT-65): [`Reply::Done`], or [`Reply::Error`], which ends the
    /// connection. While it takes time the answer may be [`Reply::Working`] every now and then, and it is asked again.
    Settle,
    /// Client: what shall be done next? Answer [`Answer::Job`]; [`Answer::Later`] if that depends on an answer that is
    /// still to come; [`Answer::Over`] if there is nothing more to do.
    ///
    /// With a `Put` comes the file: it is open for loading from now on. A `Put` must wait ([`Answer::Later`]) until
    /// every `Get` is answered, because both sides would write and neither read (R-VT-13).
    Job,
    /// Client: this is the answer to the oldest job that has none, or a part of it. Answer [`Reply::Done`].
    ///
    /// With [`Reply::File`] comes the file: it is to be opened for saving; [`Reply::Error`] means that it is not wanted
    /// after all. With [`Reply::Ready`] the outgoing file is going to be loaded from its offset on.
    Reply(Reply<'a>),
    /// Client: the job that was given last cannot be sent: the name is too long for the server, or the file changed
    /// while it was loaded. Nothing of it left, and no answer will come. Answer [`Reply::Done`].
    Unsent {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        text: &'a str,
    },
    /// Client: this range of the file that is received came damaged. Answer [`Answer::Job`] with a `Get` for it, or
    /// [`Answer::Over`] to give the file up.
    Damaged {
        /// Where it begins.
        at: u64,
        /// How many octets.
        len: u32,
    },
}

/// What a store answers to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// In the words of the protocol.
    Reply(Reply<'a>),
    /// How an account proves who it is.
    Account(Verifier<'a>),
    /// The next job of a client.
    Job(Request<'a>),
    /// Nothing to do until the next reply.
    Later,
    /// Nothing more to do.
    Over,
}

/// What a server keeps of a password: enough to check it, not enough to use it (RFC 5802, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verifier<'a> {
    /// Random, other for every account.
    pub salt: &'a [u8],
    /// How often the password was hashed.
    pub iterations: u32,
    /// SHA-256 of the client's key.
    pub stored_key: [u8; 32],
    /// The server's key.
    pub server_key: [u8; 32],
}
