//! What is known of the files and folders of a share.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::fs::{Dir, Metadata};
use feige_core::digest::Digest;

use super::unshared::{Unshared, good_name, wrong_path};
use super::{AGES, Kind, MOST_ENTRIES, MOST_LEVELS};

/// The clocks of file systems go in steps: a folder that changed so shortly before it was read may have changed again
/// without its time showing it.
const STEP: Duration = Duration::from_millis(50);

/// What may be read anew for every question.
const CHEAP: Duration = Duration::from_millis(100);

/// A file or folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    /// Which file it is: device and number.
    identity: (u64, u64),
    /// Of a file, once somebody asked by digest.
    pub(super) md5: Option<Digest>,
}

impl Entry {
    /// Whether `self` is the file that `other` was, as far as its size and times tell.
    fn is_still(&self, other: &Self) -> bool {
        (self.kind, self.size, self.modified, self.identity) == (other.kind, other.size, other.modified, other.identity)
    }
}

/// Everything that is known, in the order of the paths.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) entries: Vec<Entry>,
    /// What could be among them under another name.
    pub(super) unshared: Unshared,
    /// The time of the share itself, and whether it can be trusted.
    top: Option<(SystemTime, bool)>,
    /// When the times of the folders, and when all was looked at.
    looked: Option<(Instant, Instant)>,
    /// How long it took to look at all.
    cost: Duration,
}

impl Index {
    /// Looks again at what may have changed.
    pub(super) fn refresh(&mut self, dir: &Dir) {
        let now = Instant::now();
        let Some((folders, whole)) = self.looked else { return self.read(dir) };
        // A large folder that changes all the time must not be read all the time.
        if self.cost > CHEAP && now - whole < self.cost * 4 {
            return;
        }
        let top = dir.dir_metadata().map(|metadata| modified(&metadata)).ok();
        let is_same = self.top.is_some_and(|(time, trusted)| trusted && top == Some(time));
        if !is_same || now - whole >= AGES.whole {
            return self.read(dir);
        }
        if now - folders >= AGES.folders {
            if self.a_folder_changed(dir) {
                return self.read(dir);
            }
            self.looked = Some((now, whole));
        }
    }

    /// The next [`Self::refresh`] reads everything.
    pub(super) fn outdated(&mut self) {
        self.looked = None;
    }

    /// Keeps the digest of a file that did not change meanwhile.
    pub(super) fn learn(&mut self, entry: &Entry, digest: Digest) {
        if let Ok(at) = self.entries.binary_search_by(|known| known.path.cmp(&entry.path))
            && let Some(known) = self.entries.get_mut(at)
            && known.is_still(entry)
        {
            known.md5 = Some(digest);
        }
    }

    fn a_folder_changed(&self, dir: &Dir) -> bool {
        let mut folders = self.entries.iter().filter(|entry| entry.kind == Kind::Folder);
        folders.any(|folder| {
            dir.symlink_metadata(&folder.path).map_or(true, |metadata| modified(&metadata) != folder.modified)
        })
    }

    fn read(&mut self, dir: &Dir) {
        let (began, start) = (SystemTime::now(), Instant::now());
        let top = dir.dir_metadata().map(|metadata| modified(&metadata)).ok();
        let mut reader = Reader::default();
        // What cannot be read is not shared.
        let _ = reader.folder(dir, "", 0);
        let mut entries = reader.entries;
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let known: HashMap<_, _> = self.entries.iter().map(|entry| (entry.path.as_str(), entry)).collect();
        for entry in &mut entries {
            entry.md5 = known.get(entry.path.as_str()).filter(|old| old.is_still(entry)).and_then(|old| old.md5);
        }
        self.entries = entries;
        self.unshared = reader.unshared;
        self.top = top.map(|top| (top, top + STEP < began));
        let now = Instant::now();
        self.looked = Some((now, now));
        self.cost = now - start;
    }
}

#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    unshared: Unshared,
}

impl Reader {
    /// Reads a folder and what is in it; returns the octets of its files.
    fn folder(&mut self, dir: &Dir, path: &str, level: usize) -> io::Result<u64> {
        let mut total = 0_u64;
        for entry in dir.entries()? {
            if self.entries.len() >= MOST_ENTRIES {
                break;
            }
            let entry = entry?;
            let name = entry.file_name();
            let Ok(metadata) = entry.metadata() else { continue };
            if is_unfinished(&name.to_string_lossy()) || !(metadata.is_file() || metadata.is_dir()) {
                continue;
            }
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let name = match good_name(name.to_str()) {
                Ok(name) => name,
                Err(wrong) => {
                    self.unshared.add(below(&name.to_string_lossy()), wrong);
                    continue;
                }
            };
            let (above, path) = (path, below(name));
            // It is known all the same: it comes with its folder, and classic programs ask for names without paths.
            if let (Some(wrong), None) = (wrong_path(&path), wrong_path(above)) {
                self.unshared.add(path.clone(), wrong);
            }
            if metadata.is_file() {
                total = total.saturating_add(metadata.len());
                self.entries.push(described(path, Kind::File, metadata.len(), &metadata));
            } else if metadata.is_dir() && level + 1 < MOST_LEVELS {
                let at = self.entries.len();
                self.entries.push(described(path.clone(), Kind::Folder, 0, &metadata));
                let inside = dir.open_dir_nofollow(name).and_then(|dir| self.folder(&dir, &path, level + 1));
                let size = inside.unwrap_or(0);
                total = total.saturating_add(size);
                if let Some(folder) = self.entries.get_mut(at) {
                    folder.size = size;
                }
            }
        }
        Ok(total)
    }
}

fn described(path: String, kind: Kind, size: u64, metadata: &Metadata) -> Entry {
    let identity = (metadata.dev(), metadata.ino());
    Entry { path, kind, size, modified: modified(metadata), identity, md5: None }
}

fn modified(metadata: &Metadata) -> SystemTime {
    metadata.modified().map_or(SystemTime::UNIX_EPOCH, cap_std::time::SystemTime::into_std)
}

/// Whether a name of one component may be told, and opened: not an unfinished file of this program, nor one that leads
/// elsewhere or drives a terminal.
pub(in crate::peer) fn is_told(name: &str) -> bool {
    !(name.is_empty()
        || matches!(name, "." | "..")
        || name.contains(['/', '\\'])
        || name.chars().any(char::is_control)
        || is_unfinished(name))
}

/// Whether this program calls something so that is not finished.
fn is_unfinished(name: &str) -> bool {
    let small = name.to_ascii_lowercase();
    small.starts_with(".feige-")
        || small.ends_with(crate::store::SUFFIX)
        || small.ends_with(".feige-sums")
        || small.ends_with(".feige-small")
}
