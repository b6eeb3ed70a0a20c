//! Sessions of the verified transfer protocol: the machine behind an accepted connection, and the one of a client.
//!
//! Both are driven like every other [`Machine`](super::Machine). What they need to know or have done, they ask the
//! store by [`Target::Ask`](super::Target::Ask), and it answers [`Opened::Answer`](super::Opened::Answer), mostly in
//! the words of the protocol itself.

pub mod scram;

use crate::digest::Digest;
use crate::wire::transfer::{Reply, Request};

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
    /// follows until it is [`Reply::Sum`].
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
    /// Client: what shall be done next? Answer [`Answer::Job`]; [`Answer::Later`] if that depends on an answer that is
    /// still to come; [`Answer::Over`] if there is nothing more to do.
    ///
    /// With a `Put` comes the file: it is open for loading from now on.
    Job,
    /// Client: this is the answer to the oldest job that has none, or a part of it. Answer [`Reply::Done`].
    ///
    /// With [`Reply::File`] comes the file: it is to be opened for saving; [`Reply::Error`] means that it is not wanted
    /// after all. With [`Reply::Ready`] the outgoing file is going to be loaded from its offset on.
    Reply(Reply<'a>),
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
