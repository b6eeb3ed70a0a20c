//! Files and folders on this machine's disks: received safely, offered safely.
//!
//! Guarantees, whatever a peer sends:
//! - Nothing is written outside the download folder. Every file is reached through an open handle of the folder
//!   that holds it, with a name of one component; symbolic links are never followed.
//! - A name appears only when what it names is whole. Until then the octets stand in a *part* beside it,
//!   `.NAME.KEY.feige-part`, which only its owner may read. A file goes on with it, of the same sender; a folder that is not
//!   whole is removed. What nobody has gone on with for a week is swept when the folder is opened.
//! - Nothing is ever replaced: a name that is taken becomes `name (1).ext`.
//! - A peer cannot fill the disk to the last octet ([`space`]). How deep a folder may be, and how many entries it may
//!   have, is limited by the core ([`feige_core::stream`]), which asks for them one by one.
//!
//! **Memory**: a few hundred octets for a file; for a folder one handle for each level that is open, never one for
//! each entry. **Time**: linear in the octets. **Protocol**: none; names arrive here decoded
//! and made safe.

mod behind;
pub mod inbox;
pub mod outgoing;
pub(crate) mod owned;
pub mod part;
mod publish;
pub mod space;

pub(crate) use behind::Behind;
pub(crate) use inbox::Modes;
pub use inbox::{Inbox, Origin};
pub(crate) use inbox::{SUFFIX, unguessable};
pub use outgoing::{OpenFile, Skipped, Step, Walk};
pub use part::{FilePart, FolderPart};
pub(crate) use part::{handle, read_at, set_time, write_at};
pub(crate) use publish::{LONGEST_NAME, first_free, rename_new, shortened};
pub(crate) use space::Space;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The announced size does not fit on the disk; nothing was written. Free space, or receive elsewhere.
    #[error("no space: {needed} octets are needed and {free} are free")]
    TooBig {
        /// Octets that are still missing.
        needed: u64,
        /// Octets that may be used, less the reserve that is left to others.
        free: u64,
    },
    /// The disk, or the quota, ran out on the way; what had come is kept as a part.
    #[error("no space left on the device")]
    Full,
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as an English verb.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl StoreError {
    /// Wraps an error of the operating system, telling "no space" apart from everything else.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full,
            _ => Self::Io { action, path: path.into(), source },
        }
    }

    /// Whether there is too little space (exit code 6).
    #[must_use]
    pub const fn is_no_space(&self) -> bool {
        matches!(self, Self::TooBig { .. } | Self::Full)
    }
}
