//! Going through a local folder that is sent.
//!
//! The folders in a folder are made on the server while its files are sent, so that nobody waits; then they are gone
//! through themselves. So many are made ahead, and no more: a folder may have a million.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cap_fs_ext::DirExt;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use feige_core::text::FileName;
use feige_core::wire::transfer;

use crate::home::sys::{self, Entries, Facts, Kind};

/// Folders that are made ahead in one folder.
const AHEAD: usize = 64;

/// Where a file is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// As the user names it; links count.
    Named(Rc<Path>),
    /// In an open folder, which the user knows by this path.
    In(Rc<(Dir, PathBuf)>, String),
    /// Behind links, which may not lead out of this folder.
    Below(Rc<(Dir, PathBuf)>, PathBuf),
}

impl Place {
    /// Opens it to read. A pipe is not waited for.
    pub(super) fn open(&self) -> io::Result<File> {
        match self {
            Self::Named(path) => {
                use std::os::unix::fs::OpenOptionsExt;
                let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
                std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
            }
            Self::In(folder, name) => sys::open(&folder.0, name),
            Self::Below(folder, path) => {
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
                Ok(folder.0.open_with(path, &options)?.into_std())
            }
        }
    }

    /// Its size, and when it was last changed, in nanoseconds since 1970.
    pub(super) fn look(&self) -> io::Result<(u64, i64)> {
        let facts = match self {
            Self::In(folder, name) => Facts::look(&folder.0, name)?,
            _ => Facts::of_file(&self.open()?)?,
        };
        Ok((facts.size, facts.modified))
    }

    /// As the user knows it.
    pub(super) fn shown(&self) -> PathBuf {
        match self {
            Self::Named(path) => path.to_path_buf(),
            Self::In(folder, name) => folder.1.join(name),
            Self::Below(folder, path) => folder.1.join(path),
        }
    }
}

/// What is found on the way.
#[derive(Debug)]
pub(super) enum Found {
    /// A file. Fresh: in a folder that was made just now.
    File { place: Place, remote: String, fresh: bool },
    /// A link to a file in what is sent.
    Link { shown: PathBuf, place: Place, remote: String, fresh: bool },
    /// A folder, which is to be made: [`Walk::made`] says how that went.
    Folder { number: u64, remote: String },
    /// Something that is not sent.
    Odd { shown: PathBuf, reason: &'static str },
    /// Something whose name cannot be said to a server.
    BadName { shown: PathBuf },
    /// Something that the system does not let us read.
    Unreadable { shown: PathBuf, error: io::Error },
    /// Nothing before it is known how making a folder went.
    Wait,
    /// Nothing more.
    Nothing,
}

/// A folder that is gone through.
#[derive(Debug)]
struct Level {
    folder: Rc<(Dir, PathBuf)>,
    /// `None` when all entries were seen.
    entries: Option<Entries>,
    /// Below the root of what is sent.
    below: PathBuf,
    remote: String,
    fresh: bool,
    folders: VecDeque<Ahead>,
}

/// A folder that was, or is being, made on the server.
#[derive(Debug)]
struct Ahead {
    number: u64,
    name: String,
    made: Made,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    NotYet,
    Asked,
    Now,
    Before,
    Failed,
}

/// A walk through one folder after the other.
#[derive(Debug, Default)]
pub(super) struct Walk {
    levels: Vec<Level>,
    /// The root of what is sent, once it was made.
    root: Option<(PathBuf, String, Ahead)>,
    top: Option<Rc<(Dir, PathBuf)>>,
    numbers: u64,
}

impl Walk {
    /// Begins with the folder at `local`, which is to be `remote` on the server; empty: the home itself, which is there.
    pub(super) fn begin(&mut self, local: &Path, remote: String) {
        let made = if remote.is_empty() { Made::Before } else { Made::NotYet };
        let ahead = Ahead { number: 0, name: String::new(), made };
        self.root = Some((local.to_owned(), remote, ahead));
    }

    /// A folder was made (`true`), was there already, or could not be made.
    pub(super) fn made(&mut self, number: u64, how: Option<bool>) {
        let made = match how {
            Some(true) => Made::Now,
            Some(false) => Made::Before,
            None => Made::Failed,
        };
        if let Some((_, _, root)) = self.root.as_mut().filter(|(_, _, root)| root.number == number) {
            if made == Made::Failed {
                self.root = None;
            } else {
                root.made = made;
            }
            return;
        }
        let ahead = self.levels.iter_mut().rev().flat_map(|level| &mut level.folders);
        if let Some(ahead) = ahead.into_iter().find(|ahead| ahead.number == number) {
            ahead.made = made;
        }
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> Found {
        if let Some(found) = self.enter_root() {
            return found;
        }
        loop {
            let Some(level) = self.levels.last_mut() else {
                self.top = None;
                return Found::Nothing;
            };
            if level.folders.len() < AHEAD && level.entries.is_some() {
                match self.next_entry() {
                    Some(found) => return found,
                    None => continue,
                }
            }
            let Some(ahead) = level.folders.front() else {
                self.levels.pop();
                continue;
            };
            match ahead.made {
                Made::NotYet | Made::Asked => return Found::Wait,
                Made::Failed => drop(level.folders.pop_front()),
                Made::Now | Made::Before => {
                    if let Some(found) = self.enter() {
                        return found;
                    }
                }
            }
        }
    }

    /// The first folder: has it made, waits for that, goes in.
    fn enter_root(&mut self) -> Option<Found> {
        let (local, remote, ahead) = self.root.as_mut()?;
        match ahead.made {
            Made::Asked => return Some(Found::Wait),
            Made::NotYet | Made::Failed => {
                self.numbers += 1;
                (ahead.number, ahead.made) = (self.numbers, Made::Asked);
                return Some(Found::Folder { number: ahead.number, remote: remote.clone() });
            }
            Made::Now | Made::Before => {}
        }
        let (local, remote, fresh) = (std::mem::take(local), std::mem::take(remote), ahead.made == Made::Now);
        self.root = None;
        let opened = Dir::open_ambient_dir(&local, ambient_authority());
        match opened.and_then(|dir| Ok((Entries::of(&dir)?, dir))) {
            Ok((entries, dir)) => {
                let folder = Rc::new((dir, local));
                self.top = Some(Rc::clone(&folder));
                let below = PathBuf::new();
                let entries = Some(entries);
                self.levels.push(Level { folder, entries, below, remote, fresh, folders: VecDeque::new() });
                None
            }
            Err(error) => Some(Found::Unreadable { shown: local, error }),
        }
    }

    /// Goes into the folder that was made ahead of all others.
    fn enter(&mut self) -> Option<Found> {
        let level = self.levels.last_mut()?;
        let ahead = level.folders.pop_front()?;
        let shown = level.folder.1.join(&ahead.name);
        let opened = level.folder.0.open_dir_nofollow(&ahead.name);
        match opened.and_then(|dir| Ok((Entries::of(&dir)?, dir))) {
            Ok((entries, dir)) => {
                let below = level.below.join(&ahead.name);
                let remote = joined(&level.remote, &ahead.name);
                let (entries, fresh) = (Some(entries), ahead.made == Made::Now);
                let folder = Rc::new((dir, shown));
                self.levels.push(Level { folder, entries, below, remote, fresh, folders: VecDeque::new() });
                None
            }
            Err(error) => Some(Found::Unreadable { shown, error }),
        }
    }

    /// The next entry of the folder that is gone through; `None` if it has none, or one that is gone.
    fn next_entry(&mut self) -> Option<Found> {
        let too_deep = self.levels.len() >= transfer::Path::DEPTH;
        let level = self.levels.last_mut()?;
        let shown = |name: &std::ffi::CStr| {
            use std::os::unix::ffi::OsStrExt;
            level.folder.1.join(std::ffi::OsStr::from_bytes(name.to_bytes()))
        };
        let entry = match level.entries.as_mut()?.next() {
            None => {
                level.entries = None;
                return None;
            }
            Some(Err(error)) => {
                level.entries = None;
                return Some(Found::Unreadable { shown: level.folder.1.clone(), error });
            }
            Some(Ok(entry)) => entry,
        };
        let kind = match sys::kind(&entry) {
            Some(kind) => kind,
            // Gone meanwhile.
            None => Facts::look_raw(&level.folder.0, entry.file_name()).ok()?.kind,
        };
        let name = entry.file_name().to_str().ok().filter(|name| FileName::is_safe(name));
        let Some(name) = name else { return Some(Found::BadName { shown: shown(entry.file_name()) }) };
        let fresh = level.fresh;
        match kind {
            Kind::File => {
                let place = Place::In(Rc::clone(&level.folder), name.to_owned());
                Some(Found::File { place, remote: joined(&level.remote, name), fresh })
            }
            Kind::Folder if too_deep => {
                Some(Found::Odd { shown: shown(entry.file_name()), reason: "the folders are too deep" })
            }
            Kind::Folder => {
                self.numbers += 1;
                let number = self.numbers;
                level.folders.push_back(Ahead { number, name: name.to_owned(), made: Made::Asked });
                Some(Found::Folder { number, remote: joined(&level.remote, name) })
            }
            Kind::Link => {
                let (shown, path) = (shown(entry.file_name()), level.below.join(name));
                let remote = joined(&level.remote, name);
                let top = Rc::clone(self.top.as_ref()?);
                Some(match top.0.metadata(&path) {
                    Ok(metadata) if metadata.is_file() => {
                        Found::Link { shown, place: Place::Below(top, path), remote, fresh }
                    }
                    Ok(metadata) if metadata.is_dir() => {
                        Found::Odd { shown, reason: "it is a link to a folder, which could lead in circles" }
                    }
                    Ok(_) => Found::Odd { shown, reason: "it is a link to something that is no file" },
                    Err(_) => Found::Odd { shown, reason: "it is a link that leads nowhere, or out of the folder" },
                })
            }
            Kind::Other => {
                Some(Found::Odd { shown: shown(entry.file_name()), reason: "it is a pipe, a socket or a device" })
            }
        }
    }
}

/// A path on the server.
pub(super) fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
