//! What the system is asked, by names of one component in an open folder: no link is followed, no path resolved.
//!
//! These calls are made for every small file, so they are the system's own and not a library's several.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use cap_std::fs::{Dir, Metadata};
#[cfg(target_os = "linux")]
use rustix::fs::StatxFlags;
use rustix::fs::{AtFlags, DirEntry, FileType, Mode, OFlags, Stat};
use rustix::io::retry_on_intr;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    /// A pipe, a socket, a device.
    Other,
}

impl Kind {
    const fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

/// What the system knows of a file or folder. Times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) mode: u16,
    /// When the contents were last changed, as far as its owner says.
    pub(crate) modified: i64,
    /// When anything of it was last changed; nobody can set this.
    pub(crate) changed: i64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// How many names it has; 0 if it is only open any more.
    pub(crate) links: u64,
}

impl Facts {
    #[allow(clippy::unnecessary_cast, reason = "other types on other systems")]
    fn of(stat: &Stat) -> Self {
        Self {
            kind: Kind::of(FileType::from_raw_mode(stat.st_mode)),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: (stat.st_mode & 0o777) as u16,
            modified: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            links: stat.st_nlink as u64,
        }
    }

    pub(crate) fn of_metadata(metadata: &Metadata) -> Self {
        use cap_std::fs::MetadataExt;
        Self {
            kind: if metadata.is_file() {
                Kind::File
            } else if metadata.is_dir() {
                Kind::Folder
            } else {
                Kind::Other
            },
            size: metadata.len(),
            mode: (metadata.mode() & 0o777) as u16,
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            device: metadata.dev(),
            inode: metadata.ino(),
            links: metadata.nlink(),
        }
    }

    /// Of an open file or folder.
    pub(crate) fn of_file(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// Of what `name` in `dir` is; of a link, not of what it points to.
    pub(crate) fn look(dir: &Dir, name: &str) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Of what a path below `dir` leads to, through links, wherever that is: only to be compared with what is open.
    pub(crate) fn follow(dir: &Dir, path: &str) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::statat(dir, path, AtFlags::empty())?))
    }

    /// The same, for a name as a folder lists it.
    pub(crate) fn look_raw(dir: &Dir, name: &CStr) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// The same; `None` if there is nothing.
    pub(crate) fn look_for(dir: &Dir, name: &str) -> io::Result<Option<Self>> {
        match Self::look(dir, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Opens a file to read. A link fails with `ELOOP`; a pipe is not waited for.
pub(crate) fn open(dir: &Dir, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(retry_on_intr(|| rustix::fs::openat(dir, name, flags, Mode::empty()))?))
}

/// Opens a file to write, as [`open`] does.
pub(crate) fn open_to_write(dir: &Dir, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(retry_on_intr(|| rustix::fs::openat(dir, name, flags, Mode::empty()))?))
}

/// Whether opening failed because the name is that of a link.
pub(crate) fn is_link(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

/// Creates a file that was not there, to write, with these access rights less what the system masks.
pub(crate) fn create(dir: &Dir, name: &str, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    #[allow(clippy::useless_conversion, reason = "16 bits on other systems")]
    let mode = Mode::from_raw_mode(mode.try_into().unwrap_or(0o600));
    Ok(File::from(retry_on_intr(|| rustix::fs::openat(dir, name, flags, mode))?))
}

/// Sets the access rights of an open file.
pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// Renames, replacing a file of that name.
pub(crate) fn rename(dir: &Dir, from: &str, into: &Dir, to: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(dir, from, into, to)?)
}

/// Removes a file or link.
pub(crate) fn remove(dir: &Dir, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
}

/// Removes an empty folder.
pub(crate) fn remove_dir(dir: &Dir, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Puts everything on the disk that the file system of `folder` has in memory.
pub(crate) fn sync_disk_of(folder: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(folder)?;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        rustix::fs::sync();
    }
    Ok(())
}

/// Which mounting of its file system a file is on, other than any since this machine started; 0 where the system does
/// not tell.
#[cfg(target_os = "linux")]
pub(super) fn mounting(file: &File) -> u64 {
    /// `STATX_MNT_ID_UNIQUE` of Linux 6.8.
    const UNIQUE: u32 = 0x4000;
    let facts = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::from_bits_retain(UNIQUE));
    facts.ok().filter(|facts| facts.stx_mask & UNIQUE != 0).map_or(0, |facts| facts.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn mounting(_file: &File) -> u64 {
    0
}

/// The entries of a folder, in the order of the file system, with places to go on from.
#[derive(Debug)]
pub(crate) struct Entries {
    dir: rustix::fs::Dir,
    place: u64,
}

impl Entries {
    pub(crate) fn of(dir: &Dir) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = retry_on_intr(|| rustix::fs::openat(dir, ".", flags, Mode::empty()))?;
        Ok(Self { dir: rustix::fs::Dir::new(dir)?, place: 0 })
    }

    /// Behind the last entry; 0 before the first.
    pub(crate) const fn place(&self) -> u64 {
        self.place
    }

    /// Goes on from a place.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    pub(crate) fn seek(&mut self, place: u64) -> io::Result<()> {
        self.dir.seek(place.cast_signed())?;
        self.place = place;
        Ok(())
    }

    /// Goes on from a place, which is a number of entries where the system's own places cannot be had.
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    pub(crate) fn seek(&mut self, place: u64) -> io::Result<()> {
        self.dir.rewind();
        self.place = 0;
        while self.place < place && self.next().transpose()?.is_some() {}
        Ok(())
    }

    pub(crate) fn next(&mut self) -> Option<io::Result<DirEntry>> {
        loop {
            match self.dir.read()? {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Ok(entry) => {
                    self.place = self.behind(&entry);
                    return Some(Ok(entry));
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    fn behind(&self, entry: &DirEntry) -> u64 {
        entry.offset().cast_unsigned()
    }

    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    fn behind(&self, _entry: &DirEntry) -> u64 {
        self.place + 1
    }
}

/// What an entry is, where the folder says so.
pub(crate) fn kind(entry: &DirEntry) -> Option<Kind> {
    match entry.file_type() {
        FileType::Unknown => None,
        kind => Some(Kind::of(kind)),
    }
}
