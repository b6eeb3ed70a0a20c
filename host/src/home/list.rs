//! Folders of a home, entry by entry.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path as LocalPath;
use std::sync::Arc;

use feige_core::text::FileName;
use feige_core::wire::transfer::{Entry, EntryKind, ErrorCode, Path};
use rustix::fs::DirEntry;

use super::folder::Folder;
use super::sys::{self, Entries, Facts, Kind};
use super::{Home, HomeError, reserved};

/// A file or folder as users see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name, without the folder; empty for the home itself. In a listing it may be one that cannot be asked for.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its size in octets; 0 for folders.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub mtime: i64,
    /// Its POSIX permission bits.
    pub mode: u16,
}

impl Item {
    /// `None` for what is neither a file nor a folder.
    fn new(name: &str, facts: &Facts) -> Option<Self> {
        let (kind, size) = match facts.kind {
            Kind::File => (EntryKind::File, facts.size),
            Kind::Folder => (EntryKind::Folder, 0),
            Kind::Link | Kind::Other => return None,
        };
        Some(Self { name: name.to_owned(), kind, size, mtime: facts.modified, mode: facts.mode })
    }

    /// In the words of the protocol.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        let Self { name, kind, size, mtime, mode } = self;
        Entry { name, kind: *kind, size: *size, mtime: Some(*mtime), mode: Some(*mode) }
    }
}

/// A folder that is listed. Entries that come or go meanwhile may or may not be seen, as with any listing.
#[derive(Debug)]
pub struct Listing {
    home: Arc<Home>,
    folder: Arc<Folder>,
    path: String,
    entries: Entries,
    cursor: u64,
    /// This folder and those above it, up to the home: what the system calls them. Known when a link leads to a folder.
    way: Option<Vec<(u64, u64)>>,
}

impl Home {
    /// What there is under a name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorCode::NotFound), [`Forbidden`](ErrorCode::Forbidden) for what is neither a file nor a folder,
    /// and what the system says.
    pub fn stat(&self, path: Path<'_>) -> Result<Item, HomeError> {
        const STAT: &str = "look at";
        let failed = |error| HomeError::io(STAT, path.as_str(), &error);
        let (name, facts) = if let Some((_, name)) = path.split() {
            let look = |folder: &Arc<Folder>, name: &str| match Facts::look(&folder.dir, name).map_err(failed)? {
                facts if facts.kind == Kind::Link => self.look_through(path.as_str()).map_err(failed),
                facts => Ok(facts),
            };
            (name, self.within(STAT, path, look)?)
        } else {
            ("", Facts::of_metadata(&self.dir.dir_metadata().map_err(failed)?))
        };
        Item::new(name, &facts).ok_or_else(|| {
            HomeError::about(ErrorCode::Forbidden, STAT, path.as_str(), "it is a pipe, a socket or a device")
        })
    }

    /// Opens a folder to list it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorCode::NotFound), [`NotAFolder`](ErrorCode::NotAFolder), and what the system says.
    pub fn list(self: &Arc<Self>, path: Path<'_>) -> Result<Listing, HomeError> {
        const LIST: &str = "list";
        reserved::check(LIST, path)?;
        let failed = |error| HomeError::io(LIST, path.as_str(), &error);
        let folder = self.find(path).map_err(failed)?;
        let entries = Entries::of(&folder.dir).map_err(failed)?;
        Ok(Listing { home: Arc::clone(self), folder, path: path.as_str().to_owned(), entries, cursor: 0, way: None })
    }

    /// What a link points to, if that is in the home.
    pub(super) fn look_through(&self, path: impl AsRef<LocalPath>) -> std::io::Result<Facts> {
        Ok(Facts::of_metadata(&self.dir.metadata(path)?))
    }
}

impl Listing {
    /// Goes on behind the item after which [`Self::cursor`] said so; 0 is the beginning.
    ///
    /// # Errors
    /// [`BadRequest`](ErrorCode::BadRequest) if the file system knows of no such place.
    pub fn seek(&mut self, cursor: u64) -> Result<(), HomeError> {
        let reason = "the place to go on from is not known; list it from the start";
        self.entries.seek(cursor).map_err(|_| HomeError::about(ErrorCode::BadRequest, "list", &self.path, reason))?;
        self.cursor = cursor;
        Ok(())
    }

    /// Where the next page begins: behind the last item that was taken. 0 before the first.
    #[must_use]
    pub const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// What users see of an entry; `None` if it is none of theirs: parts, pipes and devices, links that lead out of the
    /// home or back to a folder on the way here, and what is gone already. What has a name that nobody could ask for is
    /// seen, lest somebody takes what he got for all there is (R-VT-40).
    fn item(&mut self, entry: &DirEntry) -> Option<Item> {
        let octets = entry.file_name().to_bytes();
        let name = spelled(octets);
        if reserved::is_reserved(&name) || sys::kind(entry) == Some(Kind::Other) {
            return None;
        }
        let mut facts = Facts::look_raw(&self.folder.dir, entry.file_name()).ok()?;
        if facts.kind == Kind::Link {
            facts = self.home.look_through(LocalPath::new(&self.path).join(OsStr::from_bytes(octets))).ok()?;
            // Two such links in one folder would make a thousand million folders of it, as deep as paths may be.
            if facts.kind == Kind::Folder && self.way().contains(&(facts.device, facts.inode)) {
                return None;
            }
        }
        Item::new(&name, &facts)
    }

    fn way(&mut self) -> &[(u64, u64)] {
        self.way.get_or_insert_with(|| {
            let folders = LocalPath::new(&self.path).ancestors().filter(|folder| !folder.as_os_str().is_empty());
            let above = folders.filter_map(|folder| self.home.look_through(folder).ok());
            let home = self.home.dir.dir_metadata().ok().map(|home| Facts::of_metadata(&home));
            above.chain(home).map(|facts| (facts.device, facts.inode)).collect()
        })
    }
}

/// A name as it is; octets that are not UTF-8 as `\xNN`. No file can be asked for with a `\` in its name, so it is never
/// taken for that of another.
fn spelled(name: &[u8]) -> Cow<'_, str> {
    if let Ok(name) = std::str::from_utf8(name) {
        return Cow::Borrowed(name);
    }
    let mut spelled = String::new();
    for chunk in name.utf8_chunks() {
        spelled.push_str(chunk.valid());
        for octet in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(spelled, "\\x{octet:02x}");
        }
    }
    if spelled.len() > FileName::MAX {
        // An entry has to fit into a message.
        spelled.truncate(spelled.floor_char_boundary(FileName::MAX - 1));
        spelled.push('\\');
    }
    Cow::Owned(spelled)
}

/// The items, in the order of the file system.
impl Iterator for Listing {
    type Item = Result<Item, HomeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(HomeError::io("list", &self.path, &error))),
            };
            if let Some(item) = self.item(&entry) {
                self.cursor = self.entries.place();
                return Some(Ok(item));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: R-VT-40
    #[test]
    fn what_is_not_utf_8_is_spelled_and_never_a_name_of_another() {
        assert_eq!(spelled(b"aux.txt"), "aux.txt");
        assert_eq!(spelled(b"latin\xe9.\xff"), r"latin\xe9.\xff");
        for len in 240..=255 {
            for wrong in [len - 1, len - 4, 0] {
                let mut name = "文".repeat(85).into_bytes();
                name.truncate(len);
                name[wrong] = 0xff;
                let spelled = spelled(&name);
                assert!(spelled.len() <= FileName::MAX && spelled.contains('\\'), "{spelled}");
            }
        }
    }
}
