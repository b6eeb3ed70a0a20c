//! Folders that get their name last, when everything is in them.
//!
//! ```text
//!   .NAME.KEY.feige-part/      everything that came           -- renamed, once --> NAME/
//!   .NAME.KEY.feige-sums       locked; since which start the folder is filled      removed
//! ```
//! A name of its own for each of ten thousand small files takes as long as to write them. In a folder that nobody sees
//! they can have their names at once, and no synchronisation each: one for all, and one name, come in the end.
//!
//! **Guarantees**: a folder has its name only when all that came is on the disk. Two programs never fill the same one. What
//! was killed is found by the next attempt, whose KEY is the same; after a restart of this machine it is told that small
//! files in it may have lost their octets ([`UnnamedFolder::is_doubtful`]). A folder that somebody else made is left alone.

use std::fs::File;
use std::io;
use std::sync::Arc;

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;
use feige_core::wire::transfer::{ErrorCode, Path};

use super::folder::Folder;
use super::reserved::{self, PART, SUMS};
use super::sums::{read_full, start_of};
use super::sys::{self, Facts, Kind};
use super::upload::{ATTEMPTS, RECEIVE};
use super::{Arriving, Home, HomeError};
use crate::store::owned::{self, Found};
use crate::store::{handle, rename_new, set_time, write_at};

/// A folder without a name, locked: see the module. Dropped, it stays for the next attempt, unless nothing is in it.
#[derive(Debug)]
pub struct UnnamedFolder {
    /// The folder that it is in, and will have its name in.
    above: Arc<Folder>,
    /// As the user will name it.
    path: String,
    part: String,
    sums: String,
    home: Arc<Home>,
    fresh: bool,
    doubtful: bool,
    _locked: File,
}

impl Home {
    /// Begins to fill a folder that gets its name last, or takes up what an earlier attempt with the same `key` left.
    /// `None` if that cannot be: the name is taken, something else has the name of its part, or there is a quota, which
    /// this does not keep.
    ///
    /// # Errors
    /// [`Busy`](ErrorCode::Busy) if another program is filling it, [`NotFound`](ErrorCode::NotFound) if the folder above
    /// is not there, [`BadName`](ErrorCode::BadName), and what the system says.
    pub fn unnamed_folder(&self, path: Path<'_>, key: u64) -> Result<Option<UnnamedFolder>, HomeError> {
        if self.quota.is_some() || path.is_root() {
            return Ok(None);
        }
        self.within(RECEIVE, path, |folder, name| {
            let failed = |error| HomeError::io(RECEIVE, path.as_str(), &error);
            let is_taken = || Facts::look_for(&folder.dir, name).map(|facts| facts.is_some()).map_err(failed);
            if is_taken()? {
                return Ok(None);
            }
            let stem = reserved::keyed(name, key);
            let (part, sums) = (format!("{stem}{PART}"), format!("{stem}{SUMS}"));
            let locked = match claim(&folder.dir, &sums).map_err(failed)? {
                Some(Found::Ours(file)) => file.into_std(),
                Some(Found::InUse) => {
                    let reason = "another program is receiving it; wait until that is done";
                    return Err(HomeError::about(ErrorCode::Busy, RECEIVE, path.as_str(), reason));
                }
                Some(Found::Foreign) | None => return Ok(None),
            };
            // Whoever had it locked may have given it its name.
            let taken_up = if is_taken()? { None } else { take_up(&folder.dir, &part, &locked).map_err(failed)? };
            let Some((dir, fresh, doubtful)) = taken_up else {
                let _ = sys::remove(&folder.dir, &sums);
                return Ok(None);
            };
            Ok(Some(UnnamedFolder {
                above: Arc::clone(folder),
                path: path.as_str().to_owned(),
                part,
                sums,
                home: Self::unnamed(dir),
                fresh,
                doubtful,
                _locked: locked,
            }))
        })
    }

    /// Writes a small file that came whole into a folder without a name: the file has its own at once.
    pub(super) fn write_unnamed(&self, path: Path<'_>, octets: &[u8], arriving: &Arriving) -> Result<(), HomeError> {
        if octets.len() as u64 != arriving.size {
            let reason = "not all of its octets came; send the rest";
            return Err(HomeError::about(ErrorCode::BadRequest, RECEIVE, path.as_str(), reason));
        }
        self.within(RECEIVE, path, |folder, name| {
            self.spend_small(&folder.dir, path.as_str(), octets.len() as u64)?;
            let failed = |error| HomeError::io(RECEIVE, path.as_str(), &error);
            let mode = self.mode_of(arriving.mode);
            let file = match sys::create(&folder.dir, name, mode) {
                // An earlier attempt left it, and nobody else works here.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    sys::remove(&folder.dir, name).and_then(|()| sys::create(&folder.dir, name, mode))
                }
                other => other,
            };
            let file = file.map_err(failed)?;
            write_at(&file, octets, 0).map_err(|error| {
                let _ = sys::remove(&folder.dir, name);
                failed(error)
            })?;
            // Last: with its size, this is what tells the next attempt that the file is whole.
            set_time(&file, arriving.mtime.map(super::upload::time));
            Ok(())
        })
    }
}

impl UnnamedFolder {
    /// What is in it: a home of its own.
    #[must_use]
    pub const fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Nothing was in it.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Small files that an earlier attempt left may not be what they were: this machine was restarted since.
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Its name until then.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// Puts everything on the disk, and then gives the folder its name.
    ///
    /// # Errors
    /// [`Exists`](ErrorCode::Exists) if something has got the name meanwhile, and what the system says; then it stays as
    /// it is, for the next attempt.
    pub fn finish(self) -> Result<(), HomeError> {
        let failed = |error| HomeError::io(RECEIVE, &self.path, &error);
        let dir = &self.above.dir;
        handle(&self.home.dir).and_then(|folder| sys::sync_disk_of(&folder)).map_err(failed)?;
        rename_new(dir, &self.part, dir, self.name()).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                let reason = format!(
                    "something has got that name meanwhile; rename or remove it and do the same again, or take what came \
                     from {}",
                    self.part
                );
                return HomeError::about(ErrorCode::Exists, RECEIVE, &self.path, reason);
            }
            failed(error)
        })?;
        match handle(dir).and_then(|above| above.sync_all()) {
            // Not every file system can do that for a folder.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What is kept beside the folder goes with it.
impl Drop for UnnamedFolder {
    fn drop(&mut self) {
        let dir = &self.above.dir;
        let _ = sys::remove_dir(dir, &self.part);
        if matches!(Facts::look_for(dir, &self.part), Ok(None)) {
            let _ = sys::remove(dir, &self.sums);
        }
    }
}

/// Opens or makes the file that is locked, for this program alone. `None` if its name is not to be had.
fn claim(dir: &Dir, sums: &str) -> io::Result<Option<Found>> {
    for _ in 0..ATTEMPTS {
        let found = match owned::reopen(dir, sums) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => owned::create_part(dir, sums),
            other => other,
        };
        match found {
            // Its name may have come or gone just now: the next attempt tells.
            Ok(Found::Foreign) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::IsADirectory || sys::is_link(&error) => return Ok(None),
            other => return other.map(Some),
        }
    }
    Ok(None)
}

/// Opens or makes the folder. Tells whether it is new, and whether what is in it was written before this machine started.
fn take_up(dir: &Dir, part: &str, locked: &File) -> io::Result<Option<(Dir, bool, bool)>> {
    let (mut before, now) = ([0; 16], start_of(locked));
    let kept = read_full(locked, &mut before, 0)? == before.len();
    let made = dir.create_dir(part);
    let fresh = match made {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    if !fresh && Facts::look(dir, part)?.kind != Kind::Folder {
        return Ok(None);
    }
    let folder = dir.open_dir_nofollow(part)?;
    if !owned::is_our_folder(&folder)? {
        return Ok(None);
    }
    let since_start = kept && before == now;
    let doubtful = !fresh && !since_start;
    // Once doubted, it is doubted until it is done: nothing tells its old files from those that come now. Written in any
    // case, since the age of an abandoned folder counts from here.
    write_at(locked, if doubtful { &before } else { &now }, 0).inspect_err(|_| {
        if fresh {
            let _ = sys::remove_dir(dir, part);
        }
    })?;
    Ok(Some((folder, fresh, doubtful)))
}

/// Whether nobody fills the folder `part`: then nobody can begin to, as long as this is there.
pub(super) struct Abandoned {
    dir: Dir,
    part: String,
    locked: Option<(File, String)>,
}

impl Abandoned {
    /// `None` if somebody fills it, or if it is not plainly ours.
    pub(super) fn claim(dir: &Dir, part: &str) -> io::Result<Option<Self>> {
        let Some(stem) = part.strip_suffix(PART).filter(|stem| reserved::is_keyed(stem)) else { return Ok(None) };
        let sums = format!("{stem}{SUMS}");
        let locked = match owned::reopen(dir, &sums) {
            Ok(Found::Ours(file)) => Some((file.into_std(), sums)),
            Ok(Found::InUse | Found::Foreign) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if !owned::is_our_folder(&dir.open_dir_nofollow(part)?)? {
            return Ok(None);
        }
        Ok(Some(Self { dir: dir.try_clone()?, part: part.to_owned(), locked }))
    }

    /// When it was last begun or taken up.
    pub(super) fn facts(&self) -> io::Result<Facts> {
        match &self.locked {
            Some((file, _)) => Facts::of_file(file),
            None => Facts::look(&self.dir, &self.part),
        }
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(self) -> io::Result<()> {
        self.dir.remove_dir_all(&self.part)?;
        if let Some((_, sums)) = &self.locked {
            sys::remove(&self.dir, sums)?;
        }
        Ok(())
    }
}
