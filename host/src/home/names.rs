//! Making, removing and renaming.

use std::io;
use std::sync::Arc;

use cap_fs_ext::DirExt;
use feige_core::wire::transfer::{ErrorCode, Path};

use super::folder::Folder;
use super::ledger::lock;
use super::sys::{self, Facts, Kind};
use super::upload::IRREPLACEABLE;
use super::{Home, HomeError, reserved, survey};
use crate::store::rename_new;

impl Home {
    /// Makes a folder; with `parents` also the folders above it, and then it is no error if it is there.
    ///
    /// # Errors
    /// [`Exists`](ErrorCode::Exists), [`NotFound`](ErrorCode::NotFound) if the folder above is not there,
    /// [`NotAFolder`](ErrorCode::NotAFolder) if it is a file, [`BadName`](ErrorCode::BadName), and what the system says.
    pub fn make_dir(&self, path: Path<'_>, parents: bool) -> Result<(), HomeError> {
        const MAKE: &str = "make the folder";
        if !parents {
            self.within(MAKE, path, |folder, name| {
                folder.dir.create_dir(name).map_err(|error| HomeError::io(MAKE, path.as_str(), &error))
            })?;
            self.forget_below(path.as_str());
            return Ok(());
        }
        reserved::check(MAKE, path)?;
        let ends = path.as_str().match_indices('/').map(|(at, _)| at).chain([path.as_str().len()]);
        for above in ends.filter_map(|end| path.as_str().get(..end)).filter(|above| !above.is_empty()) {
            match self.dir.create_dir(above) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(HomeError::io(MAKE, above, &error));
                }
                Err(_) => {}
                Ok(()) => self.forget_below(above),
            }
        }
        match self.find(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(HomeError::io(MAKE, path.as_str(), &error)),
        }
    }

    /// Removes an empty folder. Parts that nobody is writing go with it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorCode::NotFound), [`NotEmpty`](ErrorCode::NotEmpty), [`NotAFolder`](ErrorCode::NotAFolder),
    /// [`Busy`](ErrorCode::Busy) if something is being uploaded to it, and what the system says.
    pub fn remove_dir(&self, path: Path<'_>) -> Result<(), HomeError> {
        const REMOVE: &str = "remove the folder";
        let books = self.books();
        self.within(REMOVE, path, |folder, name| {
            match sys::remove_dir(&folder.dir, name) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                other => return other.map_err(|error| HomeError::io(REMOVE, path.as_str(), &error)),
            }
            let gone = |octets| books.iter().for_each(|ledger| ledger.removed(octets));
            folder.dir.open_dir_nofollow(name).and_then(|dir| survey::clear(&dir, gone)).map_err(|error| {
                if error.kind() == io::ErrorKind::ResourceBusy {
                    let reason = "something is being uploaded to it; try again later";
                    return HomeError::about(ErrorCode::Busy, REMOVE, path.as_str(), reason);
                }
                HomeError::io(REMOVE, path.as_str(), &error)
            })?;
            sys::remove_dir(&folder.dir, name).map_err(|error| HomeError::io(REMOVE, path.as_str(), &error))
        })?;
        self.forget_folders();
        Ok(())
    }

    /// Removes a file; of a link, the link. What an unfinished upload left of a file of that name goes with it, or alone:
    /// its user does not see it, but it counts against his quota.
    ///
    /// # Errors
    /// [`NotFound`](ErrorCode::NotFound), [`IsAFolder`](ErrorCode::IsAFolder), and what the system says.
    pub fn remove(&self, path: Path<'_>) -> Result<(), HomeError> {
        const REMOVE: &str = "remove";
        let books = self.books();
        let failed = |error| HomeError::io(REMOVE, path.as_str(), &error);
        self.within(REMOVE, path, |folder, name| {
            let _names = lock(&self.names);
            let facts = match Facts::look(&folder.dir, name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.drop_part(folder, name) => return Ok(()),
                facts => facts.map_err(failed)?,
            };
            if facts.kind == Kind::Folder {
                let reason = "it is a folder; remove it as one";
                return Err(HomeError::about(ErrorCode::IsAFolder, REMOVE, path.as_str(), reason));
            }
            sys::remove(&folder.dir, name).map_err(failed)?;
            self.drop_part(folder, name);
            match (facts.kind, books) {
                (Kind::File, Some(ledger)) => ledger.removed(facts.size),
                // It may have led to a folder.
                (Kind::Link, _) => self.forget_folders(),
                _ => {}
            }
            Ok(())
        })
    }

    /// Removes what an unfinished upload left of a file, unless it goes on just now; tells whether it did.
    pub(super) fn drop_part(&self, folder: &Folder, name: &str) -> bool {
        let Some(octets) = survey::drop_part(&folder.dir, name) else { return false };
        if let Some(ledger) = self.books() {
            ledger.removed(octets);
        }
        true
    }

    /// Renames or moves a file or folder within the home. With `replace`, a file of the new name is replaced; a folder,
    /// a pipe, a socket or a device never is.
    ///
    /// # Errors
    /// [`NotFound`](ErrorCode::NotFound), [`Exists`](ErrorCode::Exists), [`IsAFolder`](ErrorCode::IsAFolder),
    /// [`Forbidden`](ErrorCode::Forbidden) if a pipe, a socket or a device has the new name,
    /// [`BadName`](ErrorCode::BadName), and what the system says.
    pub fn rename(&self, from: Path<'_>, to: Path<'_>, replace: bool) -> Result<(), HomeError> {
        const RENAME: &str = "rename";
        const RENAME_TO: &str = "rename to";
        let folders_moved = self.within(RENAME, from, |folder, name| {
            self.within(RENAME_TO, to, |into, new| self.rename_in((from, folder, name), (to, into, new), replace))
        })?;
        if folders_moved {
            self.forget_folders();
        }
        Ok(())
    }

    /// Tells whether a folder, or what leads to one, may be somewhere else now.
    fn rename_in(
        &self,
        (path, folder, name): (Path<'_>, &Arc<Folder>, &str),
        (to, into, new): (Path<'_>, &Arc<Folder>, &str),
        replace: bool,
    ) -> Result<bool, HomeError> {
        const RENAME: &str = "rename";
        let books = self.books();
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => HomeError::io("rename to", to.as_str(), &error),
            io::ErrorKind::InvalidInput => {
                HomeError::about(ErrorCode::BadRequest, RENAME, path.as_str(), "a folder cannot be moved into itself")
            }
            _ => HomeError::io(RENAME, path.as_str(), &error),
        };
        let _names = lock(&self.names);
        let source = Facts::look(&folder.dir, name).map_err(failed)?;
        let target = Facts::look_for(&into.dir, new).map_err(failed)?;
        let folders = source.kind != Kind::File || target.is_some_and(|target| target.kind != Kind::File);
        let Some(target) = target.filter(|_| replace) else {
            return rename_new(&folder.dir, name, &into.dir, new).map_err(failed).map(|()| folders);
        };
        // Two names of one file: the system would leave both.
        if (source.device, source.inode) == (target.device, target.inode) {
            return Ok(false);
        }
        if target.kind == Kind::Folder {
            let reason = "there is a folder of that name; use another name";
            return Err(HomeError::about(ErrorCode::IsAFolder, "rename to", to.as_str(), reason));
        }
        if target.kind == Kind::Other {
            return Err(HomeError::about(ErrorCode::Forbidden, "rename to", to.as_str(), IRREPLACEABLE));
        }
        if source.kind == Kind::Folder {
            let reason = "there is a file of that name, and a folder cannot replace it; remove it first";
            return Err(HomeError::about(ErrorCode::Exists, "rename to", to.as_str(), reason));
        }
        sys::rename(&folder.dir, name, &into.dir, new).map_err(failed)?;
        if target.kind == Kind::File
            && let Some(ledger) = books
        {
            ledger.removed(target.size);
        }
        Ok(folders)
    }
}
