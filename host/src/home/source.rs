//! Files of a home that are read.

use std::fs::File;
use std::io;

use feige_core::digest::Digest;
use feige_core::wire::transfer::{ErrorCode, Path};

use super::sys::{self, Facts, Kind};
use super::{Home, HomeError};

/// A file that is open for reading. Its facts are those of the open file, so that they cannot be exchanged for those of
/// another between the question and the reading.
#[derive(Debug)]
pub struct Source {
    /// The file, at position 0.
    pub file: File,
    /// Its size in octets when it was opened.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub mtime: i64,
    /// Its POSIX permission bits.
    pub mode: u16,
    /// Something that changes whenever the file does, or another takes its place; never 0.
    pub stamp: u64,
    facts: Facts,
}

impl Source {
    /// Takes an open file; `None` if it is not a regular one.
    pub(crate) fn new(file: File) -> io::Result<Option<Self>> {
        let facts = Facts::of_file(&file)?;
        let Facts { kind: Kind::File, size, mode, modified: mtime, .. } = facts else { return Ok(None) };
        Ok(Some(Self { file, size, mtime, mode, stamp: stamp(&facts), facts }))
    }

    /// Whether the file is still what it was when it was opened, although another may have its name by now.
    #[must_use]
    pub fn unchanged(&self) -> bool {
        Facts::of_file(&self.file).is_ok_and(|facts| {
            // That it lost its name is a change to the system, but not of its octets.
            let replaced = facts.links == 0 && (facts.size, facts.modified) == (self.size, self.mtime);
            replaced || signs(&facts) == signs(&self.facts)
        })
    }
}

impl Home {
    /// Opens a file to read it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorCode::NotFound), [`IsAFolder`](ErrorCode::IsAFolder), [`Forbidden`](ErrorCode::Forbidden) for
    /// what is no regular file or lies outside of the home, and what the system says.
    pub fn read(&self, path: Path<'_>) -> Result<Source, HomeError> {
        const READ: &str = "read";
        if path.is_root() {
            return Err(HomeError::about(ErrorCode::IsAFolder, READ, "", "it is a folder"));
        }
        let failed = |error| HomeError::io(READ, path.as_str(), &error);
        let source = self.within(READ, path, |folder, name| {
            let file = match sys::open(&folder.dir, name) {
                // What a link points to counts from the home, not from the folder that it is in.
                Err(error) if sys::is_link(&error) => self.open_link(path),
                other => other,
            };
            file.and_then(Source::new).map_err(failed)
        })?;
        match source {
            Some(source) => Ok(source),
            None if self.dir.metadata(path.as_str()).is_ok_and(|metadata| metadata.is_dir()) => {
                Err(HomeError::about(ErrorCode::IsAFolder, READ, path.as_str(), "it is a folder; list it instead"))
            }
            None => Err(HomeError::about(ErrorCode::Forbidden, READ, path.as_str(), "it is not a regular file")),
        }
    }

    fn open_link(&self, path: Path<'_>) -> io::Result<File> {
        use cap_std::fs::{OpenOptions, OpenOptionsExt};
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        Ok(self.dir.open_with(path.as_str(), &options)?.into_std())
    }
}

/// What of a file changes when its octets do.
const fn signs(facts: &Facts) -> [u64; 5] {
    [facts.device, facts.inode, facts.size, facts.modified.cast_unsigned(), facts.changed.cast_unsigned()]
}

fn stamp(facts: &Facts) -> u64 {
    let mut octets = [0; 40];
    for (place, word) in octets.chunks_exact_mut(8).zip(signs(facts)) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    // 0 stands for "no earlier attempt" on the wire.
    Digest::of(&octets).key().max(1)
}
