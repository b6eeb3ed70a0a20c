//! Where a device keeps files.
//!
//! A device has no folders: a [`Store`] is a list of named files. A file is written from its front to its end, and has
//! its name when it is whole, not before; until then the file that had the name stays. Two stores are here:
//! [`RamStore`] in a buffer, and `FlashStore` (feature `flash`) in NOR flash. Another one (an SD card, a file
//! system that is there already) implements the trait.
//!
//! **Guarantees**: under a name there is a whole file or none. A file that is being read when it is removed or replaced
//! cannot be read further: the reader is told ([`StoreError::Gone`]), it never gets octets of another file.
//!
//! **Memory**: about 110 octets for each file that there can be. **Time**: linear in the files.
//! **Protocol**: knows none.

#[cfg(feature = "flash")]
mod flash;
mod ram;
mod table;

#[cfg(feature = "flash")]
pub use flash::{FlashStore, LEAST_DIRECTORY};
pub use ram::RamStore;

use core::fmt;

use feige_core::node::Name;

/// Which file; stays the same while the file is there and is never given to another one soon after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub u32);

/// A whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// To ask for its octets.
    pub id: FileId,
    /// Its name, in UTF-8.
    pub name: &'a Name,
    /// Its size in octets.
    pub size: u64,
    /// When it was last changed, in seconds since 1970; 0 if nobody knows.
    pub modified: u64,
}

/// How much room there is, in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What a new file can have.
    pub free: u64,
}

/// What a store could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// There is not that much room.
    Full {
        /// The room that there is, in octets.
        free: u64,
    },
    /// There are as many files as there can be.
    TooMany,
    /// The file is not there any longer.
    Gone,
    /// More octets came than had been announced.
    TooLong,
    /// The memory itself failed.
    Failed,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StoreError {
    /// What happened, in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full { .. } => "there is not enough room",
            Self::TooMany => "there are too many files; remove one",
            Self::Gone => "the file is not there any longer",
            Self::TooLong => "it is longer than was announced",
            Self::Failed => "the memory failed",
        }
    }
}

impl core::error::Error for StoreError {}

/// A list of named files. All calls block, on flash for the time that erasing a page takes.
pub trait Store {
    /// How much room there is.
    fn space(&self) -> Space;

    /// The whole files, in no particular order.
    fn files(&self) -> impl Iterator<Item = Entry<'_>>;

    /// Copies octets of a whole file, from `at` on, to the front of `into`; 0 only at its end.
    ///
    /// # Errors
    /// [`StoreError::Gone`], [`StoreError::Failed`].
    fn read(&mut self, file: FileId, at: u64, into: &mut [u8]) -> Result<usize, StoreError>;

    /// Begins a file of at most `size` octets, for which the room is set aside. Nobody sees it before
    /// [`Store::finish`].
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::TooMany`].
    fn create(&mut self, name: &Name, size: u64) -> Result<FileId, StoreError>;

    /// Writes `octets` behind those that are there.
    ///
    /// # Errors
    /// [`StoreError::TooLong`], [`StoreError::Gone`], [`StoreError::Failed`]. The file is of no use after that: abort it.
    fn append(&mut self, file: FileId, octets: &[u8]) -> Result<(), StoreError>;

    /// The file is whole, and gets its name; another of that name is removed in the same moment.
    ///
    /// # Errors
    /// [`StoreError::Gone`], [`StoreError::Failed`]: the file of that name that was there is there still.
    fn finish(&mut self, file: FileId, modified: u64) -> Result<(), StoreError>;

    /// Gives a file up that was begun and not finished.
    fn abort(&mut self, file: FileId);

    /// Removes a whole file.
    ///
    /// # Errors
    /// [`StoreError::Gone`], [`StoreError::Failed`].
    fn remove(&mut self, file: FileId) -> Result<(), StoreError>;

    /// The whole file of this name.
    fn find(&self, name: &[u8]) -> Option<Entry<'_>> {
        self.files().find(|entry| entry.name.as_bytes() == name)
    }

    /// What is known of a whole file.
    fn entry(&self, file: FileId) -> Option<Entry<'_>> {
        self.files().find(|entry| entry.id == file)
    }
}

impl<S: Store> Store for &mut S {
    fn space(&self) -> Space {
        S::space(self)
    }

    fn files(&self) -> impl Iterator<Item = Entry<'_>> {
        S::files(self)
    }

    fn read(&mut self, file: FileId, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        S::read(self, file, at, into)
    }

    fn create(&mut self, name: &Name, size: u64) -> Result<FileId, StoreError> {
        S::create(self, name, size)
    }

    fn append(&mut self, file: FileId, octets: &[u8]) -> Result<(), StoreError> {
        S::append(self, file, octets)
    }

    fn finish(&mut self, file: FileId, modified: u64) -> Result<(), StoreError> {
        S::finish(self, file, modified)
    }

    fn abort(&mut self, file: FileId) {
        S::abort(self, file);
    }

    fn remove(&mut self, file: FileId) -> Result<(), StoreError> {
        S::remove(self, file)
    }
}

/// Copies as many octets as there are and fit; returns how many.
///
/// The library's copying checks lengths, and panics; built for size, the compiler does not see that they are equal, and
/// makes no call of `memcpy` out of a loop over octets. So sixteen at a time.
#[inline(never)]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    let (from, from_rest) = from.get(..len).unwrap_or_default().as_chunks::<16>();
    let (to, to_rest) = to.get_mut(..len).unwrap_or_default().as_chunks_mut::<16>();
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
    len
}
