//! Files that only this program has business with: parts, and what is kept beside them.

use std::io;

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, Metadata, OpenOptions};

/// What an earlier part is found to be.
#[derive(Debug)]
pub(crate) enum Found {
    /// Plainly ours, and locked for this handle.
    Ours(File),
    /// Somebody else is writing it.
    InUse,
    /// A folder, a pipe, a file of another user, one with a second name, or one that has lost its name just now: not to
    /// be touched.
    Foreign,
}

/// Creates a part and takes it for this handle alone.
pub(crate) fn create_part(dir: &Dir, name: &str) -> io::Result<Found> {
    claim(dir, name, create(dir, name)?)
}

/// Creates a file that only its owner may read.
pub(crate) fn create(dir: &Dir, name: &str) -> io::Result<File> {
    use cap_std::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    options.mode(0o600);
    dir.open_with(name, &options)
}

/// Opens an earlier part and takes it for this handle alone.
pub(crate) fn reopen(dir: &Dir, name: &str) -> io::Result<Found> {
    open(dir, name)?.map_or(Ok(Found::Foreign), |file| claim(dir, name, file))
}

fn claim(dir: &Dir, name: &str, file: File) -> io::Result<Found> {
    if !lock(&file)? {
        return Ok(Found::InUse);
    }
    // Between opening (or creating) and locking, another writer may have had it, finished it and given it its name.
    let opened = file.metadata()?;
    match dir.symlink_metadata(name) {
        Ok(named) if (opened.dev(), opened.ino()) == (named.dev(), named.ino()) => Ok(Found::Ours(file)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Found::Foreign),
    }
}

/// Opens a file of ours to read and write; `None` if it is not plainly ours. Fails if a link has its name.
pub(crate) fn open(dir: &Dir, name: &str) -> io::Result<Option<File>> {
    use cap_std::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).write(true).follow(FollowSymlinks::No);
    // Somebody may have put a pipe there: opening must not wait for its other end.
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = dir.open_with(name, &options)?;
    let metadata = file.metadata()?;
    // A second name of the file (a hard link) would be written to as well.
    Ok((metadata.is_file() && metadata.nlink() == 1 && is_ours(&metadata)).then_some(file))
}

/// Takes the file for this handle alone; false if somebody has it. Where files cannot be locked, nobody has.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_clone()?.into_std().try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(true),
    }
}

/// Whether this user made an open folder.
pub(crate) fn is_our_folder(dir: &Dir) -> io::Result<bool> {
    Ok(is_ours(&dir.dir_metadata()?))
}

/// Whether this user made the file: in a folder that all may write to, somebody else may have.
fn is_ours(file: &Metadata) -> bool {
    use cap_std::fs::MetadataExt;
    file.uid() == rustix::process::geteuid().as_raw()
}
