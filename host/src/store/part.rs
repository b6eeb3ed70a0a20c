//! What is being received: octets that have no name yet.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use cap_fs_ext::{DirExt, OpenOptionsMaybeDirExt};
use cap_std::fs::{Dir, OpenOptions};
use feige_core::text::FileName;

use super::StoreError;
use super::behind::Behind;
use super::inbox::Inbox;
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
    behind: Behind,
    published: bool,
}

impl<'i> FilePart<'i> {
    pub(super) fn new(inbox: &'i Inbox, file: cap_std::fs::File, name: String, part: String, len: u64) -> Self {
        let file = file.into_std();
        Self { inbox, file, name, part, len, space: Space::default(), behind: Behind::default(), published: false }
    }

    /// How many octets are there: those of an earlier attempt, and those told by [`Self::wrote`].
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in octets, not a container")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// The file, to be written from position [`Self::len`] on.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Where the part is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.inbox.path().join(&self.part)
    }

    /// Writes `octets` behind what is there.
    ///
    /// # Errors
    /// [`StoreError::Full`], or [`StoreError::Io`] if the system refuses.
    pub fn append(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        write_at(&self.file, octets, self.len).map_err(|error| self.failed(error))?;
        self.wrote(octets.len() as u64)
    }

    /// Wraps an error of the system about the file.
    pub(crate) fn failed(&self, error: io::Error) -> StoreError {
        StoreError::io("write", self.path(), error)
    }

    /// Tells that `octets` more were written, by way of [`Self::file`].
    ///
    /// # Errors
    /// [`StoreError::Full`] when only the reserve of the disk is left.
    pub fn wrote(&mut self, octets: u64) -> Result<(), StoreError> {
        let end = self.len.saturating_add(octets);
        self.behind.wrote(&self.file, self.len..end);
        self.len = end;
        self.space.spend(&self.inbox.dir, octets)
    }

    /// The file is whole: puts it on the disk, gives it its time, its access rights and its name, and returns the
    /// path that it got.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system refuses; the part stays.
    pub fn finish(self, mtime: Option<SystemTime>) -> Result<PathBuf, StoreError> {
        self.end(mtime, publish)
    }

    /// As [`Self::finish`], but a file that has the name already is replaced, at once and as a whole.
    ///
    /// # Errors
    /// As [`Self::finish`], also if a folder has the name.
    pub(crate) fn replace(self, mtime: Option<SystemTime>) -> Result<PathBuf, StoreError> {
        self.end(mtime, |dir, part, name| dir.rename(part, dir, name).map(|()| name.to_owned()))
    }

    fn end(
        mut self,
        mtime: Option<SystemTime>,
        name: impl FnOnce(&Dir, &str, &str) -> io::Result<String>,
    ) -> Result<PathBuf, StoreError> {
        let named = self.prepare(mtime).and_then(|()| name(&self.inbox.dir, &self.part, &self.name));
        let name = named.map_err(|error| StoreError::io("finish", self.path(), error))?;
        sync_folder(&self.inbox.dir);
        self.published = true;
        Ok(self.inbox.path().join(name))
    }

    /// Everything but the name.
    fn prepare(&self, mtime: Option<SystemTime>) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        set_time(&self.file, mtime);
        self.file.set_permissions(std::fs::Permissions::from_mode(self.inbox.modes.file))?;
        self.file.sync_all()
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

/// What an entry of a folder takes of the disk besides its octets, roughly.
const BLOCK: u64 = 4096;

/// A folder that is being received. Dropped before [`FolderPart::finish`], it is removed: no program of the family sends the
/// rest of a folder, so the next attempt begins again, and what came of this one would lie there for nobody.
#[derive(Debug)]
pub struct FolderPart<'i> {
    inbox: &'i Inbox,
    /// The part itself.
    root: Dir,
    name: String,
    part: String,
    /// When the folder itself was last changed.
    mtime: Option<SystemTime>,
    /// The folders inside the part that are open, outermost first.
    levels: Vec<Level>,
    space: Space,
    /// Octets of the file that was created last.
    written: u64,
    behind: Behind,
    is_whole: bool,
}

#[derive(Debug)]
struct Level {
    dir: Dir,
    mtime: Option<SystemTime>,
}

impl<'i> FolderPart<'i> {
    pub(super) fn new(inbox: &'i Inbox, root: Dir, name: String, part: String, mtime: Option<SystemTime>) -> Self {
        let (space, behind) = (Space::default(), Behind::default());
        Self { inbox, root, name, part, mtime, levels: Vec::new(), space, written: 0, behind, is_whole: false }
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
    pub fn enter(&mut self, name: &FileName, mtime: Option<SystemTime>) -> Result<(), StoreError> {
        let here = self.here();
        let result = first_free(name.as_str(), |candidate| here.create_dir(candidate))
            .and_then(|((), name)| here.open_dir_nofollow(name));
        let dir = result.map_err(|error| StoreError::io("create a folder in", self.path(), error))?;
        self.levels.push(Level { dir, mtime });
        Ok(())
    }

    /// Goes back to the folder above. `mtime`, if it is known only now, counts instead of the one told before.
    pub fn leave(&mut self, mtime: Option<SystemTime>) {
        let Some(level) = self.levels.pop() else {
            self.mtime = mtime.or(self.mtime);
            return;
        };
        let mtime = mtime.or(level.mtime);
        // Best effort, as for any time.
        if mtime.is_some()
            && let Ok(dir) = handle(&level.dir)
        {
            set_time(&dir, mtime);
        }
    }

    /// Creates the file `name` in the present folder, of which `size` octets are announced.
    ///
    /// # Errors
    /// [`StoreError::TooBig`], [`StoreError::Full`] or [`StoreError::Io`].
    pub fn create(&mut self, name: &FileName, size: u64) -> Result<File, StoreError> {
        // Even a file without octets takes something: count as most file systems do.
        self.space.spend(&self.root, BLOCK)?;
        // Small files are not worth a question to the file system each.
        if size >= 1 << 20 {
            Space::fits(&self.root, size)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let here = self.here();
        let result = first_free(name.as_str(), |candidate| here.open_with(candidate, &options));
        let (file, _) = result.map_err(|error| StoreError::io("create a file in", self.path(), error))?;
        (self.written, self.behind) = (0, Behind::default());
        Ok(file.into_std())
    }

    /// Wraps an error of the system about a file of the folder.
    pub(crate) fn failed(&self, error: io::Error) -> StoreError {
        StoreError::io("write to", self.path(), error)
    }

    /// Tells that `octets` more were written to `file`, which was created last, behind those before.
    ///
    /// # Errors
    /// [`StoreError::Full`] when only the reserve of the disk is left.
    pub fn wrote(&mut self, file: &File, octets: u64) -> Result<(), StoreError> {
        let end = self.written.saturating_add(octets);
        self.behind.wrote(file, self.written..end);
        self.written = end;
        self.space.spend(&self.root, octets)
    }

    /// The folder is whole: puts it on the disk, gives it its access rights and its name, and returns the path that
    /// it got.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the system refuses; the part stays.
    pub fn finish(mut self) -> Result<PathBuf, StoreError> {
        while !self.levels.is_empty() {
            self.leave(None);
        }
        let kept = self.path();
        self.is_whole = true;
        self.publish().map_err(|error| StoreError::io("finish", kept, error))
    }

    fn publish(&self) -> io::Result<PathBuf> {
        settle(self.inbox, &self.root, self.mtime)?;
        let name = publish(&self.inbox.dir, &self.part, &self.name)?;
        sync_folder(&self.inbox.dir);
        Ok(self.inbox.path().join(name))
    }

    fn here(&self) -> &Dir {
        self.levels.last().map_or(&self.root, |level| &level.dir)
    }
}

impl Drop for FolderPart<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.levels.clear();
            // What cannot be removed now is swept one day.
            let _ = self.inbox.dir.remove_dir_all(&self.part);
        }
    }
}

/// Gives a folder its time and access rights, and puts all that is in it on the disk.
fn settle(inbox: &Inbox, folder: &Dir, mtime: Option<SystemTime>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = handle(folder)?;
    set_time(&folder, mtime);
    folder.set_permissions(std::fs::Permissions::from_mode(inbox.modes.folder))?;
    // One call for all the files: ten thousand single ones would take longer than the transfer.
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    rustix::fs::sync();
    Ok(())
}

/// Writes all `octets` to `file`, from position `at` on.
pub(crate) fn write_at(file: &File, octets: &[u8], at: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    file.write_all_at(octets, at)
}

/// Reads what there is of `file` from position `at` on, as much as `into` holds; 0 at the end.
pub(crate) fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    loop {
        match file.read_at(into, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Sets the time of last change, where one is known. A file system that cannot keep it is no reason to fail.
pub(crate) fn set_time(file: &File, mtime: Option<SystemTime>) {
    if let Some(mtime) = mtime {
        let _ = file.set_modified(mtime);
    }
}

/// A handle of `dir` that can do more than lead to its entries, which is all that the usual one can.
pub(crate) fn handle(dir: &Dir) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).maybe_dir(true);
    Ok(dir.open_with(".", &options)?.into_std())
}

/// Makes a rename in `dir` durable, where the system can. The file itself is on the disk already: no reason to fail.
fn sync_folder(dir: &Dir) {
    let _ = handle(dir).and_then(|dir| dir.sync_all());
}
