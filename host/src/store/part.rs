//! What is being received: octets that have no name yet.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::SystemTime;

use cap_fs_ext::{DirExt, OpenOptionsMaybeDirExt};
use cap_std::fs::{Dir, OpenOptions};

use super::StoreError;
use super::inbox::{Inbox, one_component};
use super::publish::{first_free, publish};
use super::space::Space;

/// A file that is being received. Dropped before [`FilePart::finish`], what has come stays as a part.
#[derive(Debug)]
pub struct FilePart<'i> {
    inbox: &'i Inbox,
    file: File,
    name: String,
    part: String,
    len: u64,
    space: Space,
    published: bool,
}

impl<'i> FilePart<'i> {
    pub(super) fn new(inbox: &'i Inbox, file: cap_std::fs::File, name: &str, part: String, len: u64) -> Self {
        let (file, name) = (file.into_std(), name.to_owned());
        Self { inbox, file, name, part, len, space: Space::default(), published: false }
    }

    /// How many octets are there: those of an earlier attempt, and those told by [`Self::wrote`].
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in octets, not a container")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// The file, to be written from position [`Self::len`] on (the position is set by [`Self::begin`]).
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Where the part is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.inbox.path().join(&self.part)
    }

    /// Sets the position to octet `offset` and forgets what lies behind it.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system refuses.
    pub fn begin(&mut self, offset: u64) -> Result<(), StoreError> {
        let result = self.file.set_len(offset).and_then(|()| self.file.seek(SeekFrom::Start(offset)));
        self.len = result.map_err(|error| StoreError::io("write", self.path(), error))?;
        Ok(())
    }

    /// Tells that `octets` more were written.
    ///
    /// # Errors
    /// [`StoreError::Full`] when only the reserve of the disk is left.
    pub fn wrote(&mut self, octets: u64) -> Result<(), StoreError> {
        self.len = self.len.saturating_add(octets);
        self.space.spend(&self.inbox.dir, octets)
    }

    /// The file is whole: puts it on the disk, gives it its time, its access rights and its name, and returns the
    /// path that it got.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system refuses; the part stays.
    pub fn finish(mut self, mtime: Option<SystemTime>) -> Result<PathBuf, StoreError> {
        let name = self.publish(mtime).map_err(|error| StoreError::io("finish", self.path(), error))?;
        self.published = true;
        Ok(self.inbox.path().join(name))
    }

    fn publish(&self, mtime: Option<SystemTime>) -> io::Result<String> {
        set_time(&self.file, mtime);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            self.file.set_permissions(std::fs::Permissions::from_mode(self.inbox.modes.file))?;
        }
        self.file.sync_all()?;
        let name = publish(&self.inbox.dir, &self.part, &self.name)?;
        sync_folder(&self.inbox.dir);
        Ok(name)
    }
}

impl Drop for FilePart<'_> {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        // Nothing can be done, or told, about an error here: the part is a convenience.
        if self.len == 0 {
            let _ = self.inbox.dir.remove_file(&self.part);
        } else {
            // What a later attempt continues must be on the disk, not only promised to be.
            let _ = self.file.sync_data();
        }
    }
}

/// A folder that is being received. Dropped before [`FolderPart::finish`], what has come stays as a part.
#[derive(Debug)]
pub struct FolderPart<'i> {
    inbox: &'i Inbox,
    /// The part itself.
    root: Dir,
    name: String,
    part: String,
    /// The folders inside the part that are open, outermost first.
    levels: Vec<Level>,
    space: Space,
}

#[derive(Debug)]
struct Level {
    dir: Dir,
    mtime: Option<SystemTime>,
}

impl<'i> FolderPart<'i> {
    pub(super) fn new(inbox: &'i Inbox, root: Dir, name: &str, part: String) -> Self {
        let (name, space) = (name.to_owned(), Space::default());
        Self { inbox, root, name, part, levels: Vec::new(), space }
    }

    /// Where the part is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.inbox.path().join(&self.part)
    }

    /// Creates the folder `name` in the present folder and goes into it.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`].
    pub fn enter(&mut self, name: &str, mtime: Option<SystemTime>) -> Result<(), StoreError> {
        let here = self.here();
        let result = one_component(name)
            .and_then(|name| first_free(name, |candidate| here.create_dir(candidate)))
            .and_then(|((), name)| here.open_dir_nofollow(name));
        let dir = result.map_err(|error| StoreError::io("create a folder in", self.path(), error))?;
        self.levels.push(Level { dir, mtime });
        Ok(())
    }

    /// Goes back to the folder above. `mtime`, if it is known only now, counts instead of the one told before.
    /// In the root this does nothing.
    pub fn leave(&mut self, mtime: Option<SystemTime>) {
        if let Some(level) = self.levels.pop() {
            let mtime = mtime.or(level.mtime);
            // Best effort, as for any time.
            if mtime.is_some()
                && let Ok(dir) = handle(&level.dir)
            {
                set_time(&dir, mtime);
            }
        }
    }

    /// Creates the file `name` in the present folder, of which `size` octets are announced.
    ///
    /// # Errors
    /// [`StoreError::TooBig`], [`StoreError::Full`] or [`StoreError::Io`].
    pub fn create(&mut self, name: &str, size: u64) -> Result<File, StoreError> {
        // Small files are not worth a question to the file system each.
        if size >= 1 << 20 {
            Space::fits(&self.root, size)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let here = self.here();
        let result = one_component(name).and_then(|name| first_free(name, |it| here.open_with(it, &options)));
        let (file, _) = result.map_err(|error| StoreError::io("create a file in", self.path(), error))?;
        Ok(file.into_std())
    }

    /// Tells that `octets` more were written to the files of this folder.
    ///
    /// # Errors
    /// [`StoreError::Full`] when only the reserve of the disk is left.
    pub fn wrote(&mut self, octets: u64) -> Result<(), StoreError> {
        self.space.spend(&self.root, octets)
    }

    /// The folder is whole: puts it on the disk, gives it its access rights and its name, and returns the path that
    /// it got. `mtime` is the folder's own time.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system refuses; the part stays.
    pub fn finish(mut self, mtime: Option<SystemTime>) -> Result<PathBuf, StoreError> {
        while !self.levels.is_empty() {
            self.leave(None);
        }
        let name = self.publish(mtime).map_err(|error| StoreError::io("finish", self.path(), error))?;
        Ok(self.inbox.path().join(name))
    }

    fn publish(&self, mtime: Option<SystemTime>) -> io::Result<String> {
        let root = handle(&self.root)?;
        set_time(&root, mtime);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            root.set_permissions(std::fs::Permissions::from_mode(self.inbox.modes.folder))?;
        }
        // One call for all the files: ten thousand single ones would take longer than the transfer.
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&root)?;
        #[cfg(all(unix, not(target_os = "linux")))]
        rustix::fs::sync();
        let name = publish(&self.inbox.dir, &self.part, &self.name)?;
        sync_folder(&self.inbox.dir);
        Ok(name)
    }

    fn here(&self) -> &Dir {
        self.levels.last().map_or(&self.root, |level| &level.dir)
    }
}

/// Sets the time of last change, where one is known. A file system that cannot keep it is no reason to fail.
pub(crate) fn set_time(file: &File, mtime: Option<SystemTime>) {
    if let Some(mtime) = mtime {
        let _ = file.set_modified(mtime);
    }
}

/// A handle of `dir` that can do more than lead to its entries, which is all that the usual one can.
fn handle(dir: &Dir) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).maybe_dir(true);
    Ok(dir.open_with(".", &options)?.into_std())
}

/// Makes a rename in `dir` durable, where the system can. The file itself is on the disk already: no reason to fail.
fn sync_folder(dir: &Dir) {
    let _ = handle(dir).and_then(|dir| dir.sync_all());
}
