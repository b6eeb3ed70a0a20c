//! What classic peers send: a zip with a header in front, made of a file or of a folder one level deep.
//!
//! ```text
//!   pack()    --- length, {"filename", "md5", "file_size"}, zip ---> the wire
//!   receive() <--- the same, or {"filename", "md5", "body"} alone
//!   unpack()  --- the zip into the share, whole or nothing
//! ```
//! - The length is four octets, little-endian and signed; then the header, then a zip with the method "stored".
//! - `filename` is the name up to its first dot and `.zip`: `a.tar.gz` gives `a.zip`, `.hidden` gives `.zip`. It says
//!   nothing that is needed, and nothing here is named by it. `md5` is that of the zip.
//! - `file_size` is written truly, the length of the zip. In what comes it is a hint: the programs of the course write
//!   the size of the first entry. A zip is at its end when its last 22 octets are an end-of-central-directory record
//!   that fits its length, *and* the MD5 is right.
//! - A third kind of peer sends one object `{"filename", "md5", "body"}` of less than 1,024 octets without a length;
//!   `body` is the text of the file, and the MD5 is that of its UTF-8.
//!
//! **Guarantees**: what is sent or received stands in a temporary file without a name. What is unpacked gets the name
//! that was asked for and no other, in one step, when all of it is there and on the disk; it replaces nothing. An
//! archive with one bad name, a link or more octets than the limit leaves nothing. The MD5 finds accidents, not
//! attackers.
//!
//! **Memory**: a buffer of 64 KiB, and a few hundred octets for each entry of an archive, at most [`MOST_ENTRIES`].
//! **Time**: linear in the octets. **Protocol**: R-FL-81 to 88.

mod archive;
mod header;
mod pack;
mod receive;
#[cfg(test)]
mod tests;
mod unpack;

pub use header::transfer_name;
pub use pack::{Parcel, pack};
pub use receive::{Arrived, Limits, receive};
pub use unpack::{Unpacked, unpack};

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use super::share::Share;
use crate::exit::Exit;
use crate::store::StoreError;

/// How many entries an archive may have.
pub const MOST_ENTRIES: usize = 10_000;

/// How many octets an archive may have: what its format can say without extensions.
pub const MOST_OCTETS: u64 = u32::MAX as u64 - 1;

/// Octets that are moved at a time.
const BUFFER: usize = 64 * 1024;

/// Why a parcel could not be packed, received or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParcelError {
    /// Nothing of that name is shared.
    #[error("nothing named {0} is shared here")]
    NotShared(String),
    /// The header is not one, or lacks a key.
    #[error("the peer's header is no classic one: {0}; ask another peer")]
    Header(&'static str),
    /// The peer closed, or fell silent, before the archive was whole.
    #[error("ended short: {got} octets came, which are no whole archive; try again")]
    Short {
        /// Octets that came.
        got: u64,
    },
    /// The peer kept us waiting.
    #[error("no {what} came in {} s; try again, or ask another peer", after.as_secs_f32())]
    TimedOut {
        /// For what.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// What came is not what was sent.
    #[error("the digest does not match what came; try again")]
    Digest,
    /// The archive is larger than is taken.
    #[error(
        "it is larger than the {most} octets that are taken; see max-size, which is 1 GiB at most among classic peers"
    )]
    TooLarge {
        /// The limit.
        most: u64,
    },
    /// The archive is damaged, or of a kind that is not taken.
    #[error("the archive cannot be unpacked: {0}")]
    Archive(String),
    /// An entry has a name that leads elsewhere, or is a link.
    #[error("the archive has an entry {0:?}, which is refused; nothing was unpacked")]
    BadName(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Connection(io::Error),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody cancelled it here.
    #[error("cancelled")]
    Cancelled,
}

impl ParcelError {
    /// The exit code that tells this to scripts.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Short { .. } | Self::TimedOut { .. } | Self::Digest | Self::Connection(_) => Exit::Incomplete,
            Self::TooLarge { .. } => Exit::NoSpace,
            Self::Store(error) if error.is_no_space() => Exit::NoSpace,
            Self::Cancelled => Exit::Interrupted,
            Self::NotShared(_) | Self::Header(_) | Self::Archive(_) | Self::BadName(_) | Self::Store(_) => Exit::Failed,
        }
    }

    fn archive(error: impl std::fmt::Display) -> Self {
        Self::Archive(error.to_string())
    }
}

/// Hands everything in `file` to `sink`, piece by piece.
pub(super) fn pieces(
    mut file: &File,
    mut sink: impl FnMut(&[u8]) -> Result<(), ParcelError>,
) -> Result<(), ParcelError> {
    let mut piece = vec![0; BUFFER];
    loop {
        match file.read(&mut piece).map_err(temporary)? {
            0 => return Ok(()),
            count => sink(&piece[..count])?,
        }
    }
}

/// A file without a name, on the disk of the share: the folder for temporary files is often kept in memory. If nothing
/// may be written to the share, it is there.
fn aside(share: &Share) -> Result<File, ParcelError> {
    tempfile::tempfile_in(share.path()).or_else(|_| tempfile::tempfile()).map_err(temporary)
}

/// An error about such a file.
fn temporary(error: io::Error) -> ParcelError {
    StoreError::io("use", "a temporary file", error).into()
}
