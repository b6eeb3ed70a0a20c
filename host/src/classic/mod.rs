//! The classic JSON dialects: files to and from the programs of network courses, as their server and as their client.
//!
//! ```text
//!   serve() ---- Connection ---- one header after the other ---- a Shelf: the home of the Guests
//!   send_upload(), send_put(), command(), Session ---- Connection ---- files, an Inbox
//! ```
//! The headers and digests are the core's ([`feige_core::wire::classic`]); here are connections, deadlines, files, and
//! the manners without which those programs lose octets.
//!
//! **Guarantees**: each wait has a deadline ([`Limits`]) and ends within a quarter of a second when cancelled; nothing
//! that a peer sends is run, or names anything outside the shelf; a file gets its name when it is whole, and where the
//! dialect has a digest, when that is right. The digests are MD5: they find accidents, not attackers.
//!
//! **Memory**: one header, at most 64 KiB, and one buffer of 64 KiB for each connection. **Time**: linear in the
//! octets; a file with a salted digest is read twice, because the digest stands in front of it.
//! **Protocol**: `docs/protocol/classic.md`.

mod client;
mod connection;
mod guests;
mod serve;
mod shelf;
#[cfg(test)]
mod tests;

pub use client::{Client, Downloaded, Output, Sent, Session, Uploaded, command, send_put, send_upload};
pub use guests::{Guests, Right};
pub use serve::{Event, Summary, serve};
pub use shelf::{Shelf, ShelfError, Source, SpaceLeft, Upload};

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use feige_core::wire::classic::MAX_HEADER;
use feige_core::wire::transfer::LENGTH;
use feige_core::wire::{BufferTooSmall, ParseError};

use crate::exit::Exit;
use crate::store::StoreError;

/// How a salted store ends what it says of something that it does not have (R-CL-41).
const NOT_THERE: &str = " is not exist";

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection to be made.
    pub connect: Duration,
    /// For the rest of a header, once its first octet is there (R-CL-14).
    pub header: Duration,
    /// For the next request on a connection.
    pub idle: Duration,
    /// Within a body, and for an answer to begin: for at least [`Limits::least`] octets, or what is left (R-CL-14).
    pub stall: Duration,
    /// The same within a body for the salted store, whose programs wait no longer themselves (R-CL-47).
    pub salted: Duration,
    /// How many octets of a body must come in time: a sender of one octet a second is none.
    pub least: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            salted: Duration::from_secs(5),
            least: 1024,
        }
    }
}

/// Why an exchange came to nothing, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassicError {
    /// No connection: nobody listens there, or a firewall is in between.
    #[error("cannot connect to {to} (TCP): {source}")]
    Unreachable {
        /// Where to.
        to: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The first octets belong to none of these dialects.
    #[error("the peer speaks none of the classic dialects")]
    NotClassic,
    /// A header cannot be read.
    #[error("the peer's header: {0}")]
    Header(#[from] ParseError),
    /// The peer closed before all had come.
    #[error("ended short: {got} of {want} octets came")]
    Short {
        /// Octets that came.
        got: u64,
        /// Octets that should have come.
        want: u64,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Connection(io::Error),
    /// The server closed in the middle of a file, in a dialect that has no words for why.
    #[error("the server broke off: it refuses the file or has no room for it; ask whoever runs it")]
    BrokeOff,
    /// The peer kept us waiting.
    #[error("no {what} came in {} s", after.as_secs_f32())]
    TimedOut {
        /// For what.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// What came is not what was sent. Try again.
    #[error("the digest of {0} does not match")]
    Digest(String),
    /// The salted store has nothing of that name, in its own words.
    #[error("the peer: {0}")]
    NotThere(String),
    /// The peer says no, in its own words.
    #[error("the peer: {0}")]
    Refused(String),
    /// The shelf says no.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file to be sent cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The output of a command cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// What is to be sent does not fit into a message of the dialect.
    #[error("{0}")]
    TooLong(&'static str),
    /// Somebody cancelled it here.
    #[error("cancelled")]
    Cancelled,
}

impl ClassicError {
    /// The exit code that tells this to scripts.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Nobody,
            Self::Short { .. } | Self::Connection(_) | Self::TimedOut { .. } | Self::Digest(_) => Exit::Incomplete,
            Self::Refused(_) | Self::BrokeOff => Exit::Refused,
            Self::Shelf(error) => error.exit(),
            Self::Store(error) if error.is_no_space() => Exit::NoSpace,
            Self::NotThere(_) | Self::NotClassic | Self::Header(_) => Exit::Failed,
            Self::Store(_) | Self::File { .. } | Self::Output(_) => Exit::Failed,
            Self::TooLong(_) => Exit::Usage,
            Self::Cancelled => Exit::Interrupted,
        }
    }
}

/// What an emitter of the core writes: a length and a header.
fn emitted(emit: impl Fn(&mut [u8]) -> Result<usize, BufferTooSmall>) -> Result<Vec<u8>, ClassicError> {
    let needed = emit(&mut []).unwrap_or_else(|small| small.needed);
    if needed > LENGTH + MAX_HEADER {
        return Err(ClassicError::TooLong("a name is too long for a header of 64 KiB"));
    }
    let mut buffer = vec![0; needed];
    // It says itself how many octets it needs.
    let len = emit(&mut buffer).unwrap_or(0);
    buffer.truncate(len);
    Ok(buffer)
}

/// A salt as the classic programs make it: 32 hexadecimal digits. Nothing depends on its being hard to guess.
fn salt() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(0_u8), random.hash_one(1_u8))
}
