//! Where the files of the classic dialects are kept: what these need of a store, and no more.

use std::borrow::Cow;

use feige_core::text::FileName;
use feige_core::wire::classic::FileType;
use feige_core::wire::transfer::ErrorCode;

use crate::exit::Exit;

/// Three folders: one, and in it `img` and `video` ([`FileType::word`]). Whether the peer may, is the shelf's to
/// decide: the classic programs have no accounts.
pub trait Shelf {
    /// The names of the files in a folder, sorted. A folder that is not there has none.
    ///
    /// # Errors
    /// [`ShelfError`], for example if the peer may not.
    fn list(&self, folder: FileType) -> Result<Vec<String>, ShelfError>;

    /// Opens a file for reading. `name` is safe, see [`FileName::is_safe`].
    ///
    /// # Errors
    /// [`ShelfError`], for example if there is none.
    fn open(&self, folder: FileType, name: &str) -> Result<Box<dyn Source + '_>, ShelfError>;

    /// Begins to receive a file of `size` octets, creating the folder if there is none.
    ///
    /// # Errors
    /// [`ShelfError`], for example if the peer may not, or there is no room.
    fn receive(&self, folder: FileType, name: &FileName, size: u64) -> Result<Box<dyn Upload + '_>, ShelfError>;

    /// How much room is taken and left.
    ///
    /// # Errors
    /// [`ShelfError`] if that is not known.
    fn space(&self) -> Result<SpaceLeft, ShelfError>;
}

/// A file that is read.
pub trait Source {
    /// Its size in octets when it was opened.
    fn size(&self) -> u64;

    /// Reads from position `at` on, as many octets as there are up to the length of `into`. 0 octets: it ends there.
    ///
    /// # Errors
    /// [`ShelfError`] if it cannot be read.
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<usize, ShelfError>;
}

/// A file that is received. Dropped before [`Upload::finish`], nothing of it appears.
pub trait Upload {
    /// Takes the next octets.
    ///
    /// # Errors
    /// [`ShelfError`], for example if the disk is full.
    fn write(&mut self, octets: &[u8]) -> Result<(), ShelfError>;

    /// All octets came, and are what was sent: the file gets its name. Returns it.
    ///
    /// # Errors
    /// [`ShelfError`] if that is not possible; nothing of the file appears.
    fn finish(self: Box<Self>) -> Result<String, ShelfError>;
}

/// What a shelf has room for, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceLeft {
    /// That are taken.
    pub used: u64,
    /// That may be taken in all, if there is such a limit.
    pub quota: Option<u64>,
    /// That may still be taken, if it is known.
    pub free: Option<u64>,
}

/// Why a shelf could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ShelfError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: one line that names nothing of this machine but what the peer named.
    pub text: Cow<'static, str>,
}

impl ShelfError {
    /// The exit code that tells this to scripts.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self.code {
            ErrorCode::Forbidden | ErrorCode::SignInRequired | ErrorCode::SignInFailed => Exit::Refused,
            ErrorCode::NoSpace | ErrorCode::QuotaExceeded | ErrorCode::TooLarge => Exit::NoSpace,
            ErrorCode::DigestMismatch | ErrorCode::Timeout => Exit::Incomplete,
            _ => Exit::Failed,
        }
    }
}

/// The path of a file on a shelf: `img/NAME`, or `NAME` alone.
pub(super) fn inside(folder: FileType, name: &str) -> String {
    match folder {
        FileType::Other => name.to_owned(),
        _ => format!("{}/{name}", folder.word()),
    }
}
