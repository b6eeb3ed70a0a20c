//! What this machine hands out: files, and folders walked entry by entry.
//!
//! A file is opened once; its size and time are those of the open handle, so that they cannot be exchanged for
//! another's between the question and the reading. What is no regular file (pipes, devices, sockets) is never
//! opened, a symbolic link inside a folder never followed.
//!
//! **Memory**: for a walk, one open folder for each level; the entries of a folder are read as they are needed and
//! never collected.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsMaybeDirExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirEntry, Metadata, OpenOptions, ReadDir};

/// Folders inside folders that a walk goes down. Deeper ones are reported as skipped.
const DEEPEST: usize = 100;

/// A regular file that is open for reading.
#[derive(Debug)]
pub struct OpenFile {
    /// The handle, at position 0.
    pub file: File,
    /// Its size in octets, asked of the handle.
    pub size: u64,
    /// When it was last changed, if the file system knows.
    pub mtime: Option<SystemTime>,
}

impl OpenFile {
    /// Opens the file at `path`, which the user of this machine named: links on the way to it count.
    ///
    /// # Errors
    /// The system's, and `InvalidInput` if it is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        // Asked first, because opening a device can have consequences; asked of the handle again below.
        if !std::fs::metadata(path)?.is_file() {
            return Err(not_regular());
        }
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        Ok(Self { size: metadata.len(), mtime: metadata.modified().ok(), file })
    }

    fn of_entry(entry: &DirEntry) -> io::Result<Self> {
        use cap_std::fs::OpenOptionsExt;
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No);
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let file = entry.open_with(&options)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        Ok(Self { size: metadata.len(), mtime: modified(&metadata), file: file.into_std() })
    }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok().map(cap_std::time::SystemTime::into_std)
}

/// An entry that a walk left out, because it could not be read.
#[derive(Debug)]
pub struct Skipped {
    /// The entry, relative to the folder that is walked.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// The next step of a [`Walk`].
#[derive(Debug)]
pub enum Step {
    /// Into a folder.
    Enter {
        /// Its name.
        name: OsString,
        /// When it was last changed.
        mtime: Option<SystemTime>,
    },
    /// A file.
    File {
        /// Its name.
        name: OsString,
        /// The file.
        file: OpenFile,
    },
    /// Back to the folder above; after the walked folder itself, the end.
    Leave,
    /// An entry was left out.
    Skipped(Skipped),
}

/// Goes through a folder, depth first, in the order in which the file system lists it.
#[derive(Debug)]
pub struct Walk {
    /// The folders that are open, outermost first; inside a folder until `None`.
    levels: Vec<Level>,
    /// The innermost open folder, relative to the walked one.
    path: PathBuf,
}

/// An open folder: what of it has not been looked at yet, or `None` after the system failed to list it on.
#[derive(Debug)]
struct Level(Option<ReadDir>);

impl Walk {
    /// Opens the folder at `path`, which the user of this machine named: links on the way to it count.
    /// Returns the walk, which is inside that folder already, and when the folder was last changed.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<(Self, Option<SystemTime>)> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        let mtime = modified(&dir.dir_metadata()?);
        let entries = dir.entries()?;
        Ok((Self { levels: vec![Level(Some(entries))], path: PathBuf::new() }, mtime))
    }

    /// Goes on; `None` after the [`Step::Leave`] of the walked folder itself.
    pub fn step(&mut self) -> Option<Step> {
        loop {
            let Level(entries) = self.levels.last_mut()?;
            let entry = match entries.as_mut().and_then(Iterator::next) {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => {
                    *entries = None;
                    return Some(Step::Skipped(Skipped { path: self.path.clone(), error }));
                }
                None => {
                    self.levels.pop();
                    self.path.pop();
                    return Some(Step::Leave);
                }
            };
            let name = entry.file_name();
            match self.look_at(&entry, &name) {
                Ok(Some(step)) => return Some(step),
                Ok(None) => {}
                Err(error) => {
                    return Some(Step::Skipped(Skipped { path: self.path.join(name), error }));
                }
            }
        }
    }

    /// Opens what can be handed out; `None` for what is neither a file nor a folder (links, pipes, devices).
    fn look_at(&mut self, entry: &DirEntry, name: &OsStr) -> io::Result<Option<Step>> {
        // As the listing has it: what it became since is found out when it is opened.
        let mut kind = entry.file_type()?;
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
            // Some file systems do not list what things are.
            kind = entry.metadata()?.file_type();
        }
        if kind.is_file() {
            return OpenFile::of_entry(entry).map(|file| Some(Step::File { name: name.to_owned(), file }));
        }
        if !kind.is_dir() {
            return Ok(None);
        }
        if self.levels.len() >= DEEPEST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "folders are nested too deeply"));
        }
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No).maybe_dir(true);
        let dir = Dir::from_std_file(entry.open_with(&options)?.into_std());
        let mtime = modified(&dir.dir_metadata()?);
        self.levels.push(Level(Some(dir.entries()?)));
        self.path.push(name);
        Ok(Some(Step::Enter { name: name.to_owned(), mtime }))
    }
}
