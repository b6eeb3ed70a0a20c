//! The shared folder: what is in it, found by name, by a part of the name, or by digest.
//!
//! ```text
//!   find() --- index (refreshed when a folder changed) --- matches --- digests, only of what is told
//! ```
//!
//! **Guarantees**: nothing outside of the folder is indexed, opened or named, and no symbolic link is followed: every
//! step is taken by an open handle and a name of one component. Unfinished files of this program (`*.feige-part`,
//! `*.feige-sums`, `.feige-*`) and names that nobody could ask for (R-VT-20) are never told; of the latter, whoever
//! shares them is. At most [`MOST_ENTRIES`] entries, at most [`MOST_LEVELS`] deep, are known: what lies beyond is
//! counted in no folder.
//!
//! **Memory**: about 100 octets and the path for each entry. **Time**: a question is linear in the entries; before it,
//! the times of the folders are looked at, of the top one always and of all every two seconds, and the whole is read
//! anew if one changed, or after 30 s; if that takes more than a tenth of a second, it is done a fifth of the time at
//! most. A digest is computed when an entry is told, unless the cache knows it.

mod index;
#[cfg(test)]
mod tests;
mod unshared;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use feige_core::digest::Digest;

use crate::digest::{DigestCache, file_md5};
use crate::home::remove_unnamed;
use crate::store::{SUFFIX, StoreError, unguessable};
use index::Index;
pub(super) use index::is_told;
pub(super) use unshared::Unshared;

/// How deep folders are looked into.
pub const MOST_LEVELS: usize = 32;

/// How many files and folders are known.
pub const MOST_ENTRIES: usize = 100_000;

/// How much is hashed at most for one question by digest. The next question goes on from there.
const HASHED_AT_ONCE: u64 = 256 << 20;

/// How old an unfinished unpacking is that nobody is at any more.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// The last component of the path, exactly.
    Name(&'a str),
    /// A part of the last component; the case of ASCII letters does not matter. The empty text finds nothing.
    Part(&'a str),
    /// The MD5 of a file.
    Digest(Digest),
}

/// A file or folder that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is below the share, with `/` between the names.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Octets: of a folder, of all files in it.
    pub size: u64,
    /// When it was last changed.
    pub modified: SystemTime,
    /// MD5 of a file.
    pub md5: Option<Digest>,
}

impl Found {
    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        last(&self.path)
    }
}

/// The shared folder: see the module.
#[derive(Debug)]
pub struct Share {
    dir: Dir,
    path: PathBuf,
    cache: Option<DigestCache>,
    index: Mutex<Index>,
}

impl Share {
    /// Opens the folder at `path`, which is made if it is missing. Without a `cache`, a file is read each time that it
    /// is told to somebody.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it is not a folder, or may not be opened or made.
    pub fn open(path: &Path, cache: Option<DigestCache>) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| StoreError::io("create", path, error))?;
        let path = path.canonicalize().map_err(|error| StoreError::io("open", path, error))?;
        let dir =
            Dir::open_ambient_dir(&path, ambient_authority()).map_err(|error| StoreError::io("open", &path, error))?;
        sweep(&dir);
        Ok(Self { dir, path, cache, index: Mutex::default() })
    }

    /// The folder's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many files and folders are known.
    pub fn entries(&self) -> usize {
        self.refreshed().entries.len()
    }

    /// The last component of every entry: what a filter of names is made of.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.refreshed().entries.iter().map(|entry| last(&entry.path).to_owned()).collect()
    }

    /// What is there and cannot be offered.
    pub(super) fn unshared(&self) -> Unshared {
        self.refreshed().unshared.clone()
    }

    /// At most `most` entries that are what is asked for, with their digests, in the order of their paths.
    #[must_use]
    pub fn find(&self, what: What<'_>, most: usize) -> Vec<Found> {
        if matches!(what, What::Digest(_)) {
            self.hash_some();
        }
        // Told outside of the lock: hashing takes its time, and others ask meanwhile.
        let mut found: Vec<_> = self.wanted(what, most).into_iter().filter_map(|entry| self.tell(entry)).collect();
        if let What::Digest(digest) = what {
            found.retain(|found| found.md5 == Some(digest));
        }
        found
    }

    /// The same as [`Self::find`] without looking at the files: sizes and times are those of the index, and no digest
    /// is computed. What is asked for by digest is found as far as it was hashed before.
    #[must_use]
    pub fn look(&self, what: What<'_>, most: usize) -> Vec<Found> {
        let describe = |entry: index::Entry| {
            let index::Entry { path, kind, size, modified, md5, .. } = entry;
            Found { path, kind, size, modified, md5 }
        };
        self.wanted(what, most).into_iter().map(describe).collect()
    }

    /// Opens a file to read.
    ///
    /// # Errors
    /// `NotFound` for a path that leads out of the share, through a link, or to something that is never told; else what
    /// the system says.
    pub fn open_file(&self, path: &str) -> io::Result<File> {
        let (above, name) = path.rsplit_once('/').map_or((None, path), |(above, name)| (Some(above), name));
        match above {
            Some(above) => open_in(&self.open_folder(above)?, name),
            None => open_in(&self.dir, name),
        }
    }

    /// Opens a folder below the share, one component after the other.
    pub(super) fn open_folder(&self, path: &str) -> io::Result<Dir> {
        let mut dir = self.dir.try_clone()?;
        for name in path.split('/') {
            if !is_told(name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            dir = dir.open_dir_nofollow(name)?;
        }
        Ok(dir)
    }

    /// The handle of the share itself, for what is put into it.
    pub(super) const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Something was put into the share: the next question looks at everything again.
    pub fn changed(&self) {
        self.lock().outdated();
    }

    /// MD5 of an open file, from the cache if it has it.
    pub(super) fn digest(&self, file: &File) -> io::Result<Digest> {
        file_md5(file, self.cache.as_ref(), |_| {})
    }

    fn wanted(&self, what: What<'_>, most: usize) -> Vec<index::Entry> {
        let is_wanted = |entry: &&index::Entry| match what {
            What::Name(name) => last(&entry.path) == name,
            What::Part("") => false,
            What::Part(part) => has_part(last(&entry.path), part),
            What::Digest(digest) => entry.md5 == Some(digest),
        };
        self.refreshed().entries.iter().filter(is_wanted).take(most).cloned().collect()
    }

    /// The entry as it is now; `None` if it is gone.
    fn tell(&self, entry: index::Entry) -> Option<Found> {
        let index::Entry { path, kind, size, modified, .. } = entry;
        if kind == Kind::Folder {
            return Some(Found { path, kind, size, modified, md5: None });
        }
        let file = self.open_file(&path).ok()?;
        let md5 = self.digest(&file).ok()?;
        let metadata = file.metadata().ok()?;
        let modified = metadata.modified().unwrap_or(modified);
        Some(Found { path, kind, size: metadata.len(), modified, md5: Some(md5) })
    }

    /// Hashes files that were not hashed yet, a limited number of octets of them.
    fn hash_some(&self) {
        let unknown: Vec<_> = {
            let index = self.refreshed();
            let files = index.entries.iter().filter(|entry| entry.kind == Kind::File && entry.md5.is_none());
            files.cloned().collect()
        };
        let mut left = HASHED_AT_ONCE;
        for entry in unknown {
            // A file that is larger than all that is hashed at once is hashed alone.
            if entry.size > left && left < HASHED_AT_ONCE {
                continue;
            }
            left = left.saturating_sub(entry.size.max(1));
            if let Ok(digest) = self.open_file(&entry.path).and_then(|file| self.digest(&file)) {
                self.lock().learn(&entry, digest);
            }
            if left == 0 {
                break;
            }
        }
    }

    fn refreshed(&self) -> MutexGuard<'_, Index> {
        let mut index = self.lock();
        index.refresh(&self.dir);
        index
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        // What a thread left that panicked is at worst outdated.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a file to read, unless it is a link or is never told.
pub(super) fn open_in(dir: &Dir, name: &str) -> io::Result<File> {
    use cap_std::fs::OpenOptionsExt;
    if !is_told(name) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    // Somebody may have put a pipe there: opening must not wait for its other end.
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = dir.open_with(name, &options)?;
    if file.metadata()?.is_file() { Ok(file.into_std()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// The files of a folder that may be told, in the order of their names; folders in it are left out.
pub(super) fn files_in(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        if entry.file_type()?.is_file()
            && let Ok(name) = entry.file_name().into_string()
            && is_told(&name)
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What an unpacking is done in is called: never told, and in no way of another program's making.
pub(super) fn part_name() -> String {
    format!(".{:016x}{SUFFIX}", unguessable())
}

/// Removes what unpackings left that were killed, and downloads that nobody is going to continue.
fn sweep(dir: &Dir) {
    let is_part = |name: &str| {
        let digits = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(SUFFIX));
        digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    // Tidying: whatever cannot be read or removed stays.
    for entry in dir.entries().into_iter().flatten().flatten() {
        let is_old = |metadata: &cap_std::fs::Metadata| {
            let modified = metadata.modified().map(cap_std::time::SystemTime::into_std);
            metadata.is_dir() && modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > STALE))
        };
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_part(&name) && entry.metadata().is_ok_and(|metadata| is_old(&metadata)) {
            let _ = dir.remove_dir_all(name);
        } else {
            let _ = remove_unnamed(dir, &name, crate::home::STALE);
        }
    }
}

/// The last name of a path.
pub(super) fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn has_part(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// How old an observation must be before it is made again.
#[derive(Clone, Copy, Debug)]
struct Ages {
    /// The times of all folders.
    folders: Duration,
    /// Everything.
    whole: Duration,
}

const AGES: Ages = Ages { folders: Duration::from_secs(2), whole: Duration::from_secs(30) };
