//! Folders of a home that are open, and the way to them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use feige_core::wire::transfer::{ErrorCode, Path};

use super::ledger::lock;
use super::sys::Facts;
use super::{Home, HomeError, reserved};

/// How many folders a home keeps open, because the next request will probably need one of them again.
const KEPT: usize = 4;

/// How long a folder that is kept open is believed to be where it was, without looking: another program may have moved it,
/// and made another in its place. Long enough for a hundred small files, too short for whoever comes back to it.
const BELIEVED: Duration = Duration::from_millis(2);

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: Dir,
    /// As users name it.
    pub(super) path: String,
    /// Which file system it is on.
    pub(super) device: u64,
    inode: u64,
}

/// One that is kept open.
#[derive(Debug)]
pub(super) struct Kept {
    folder: Arc<Folder>,
    /// When it was last seen to be what its path names.
    seen: Instant,
    generation: u64,
}

impl Home {
    /// Does something with the last name of a path, in the folder above it.
    ///
    /// If it says that something is not there, and the folder was one that is kept open, that folder may be removed
    /// itself and a new one in its place: then it is tried once more.
    pub(super) fn within<T>(
        &self,
        action: &str,
        path: Path<'_>,
        mut act: impl FnMut(&Arc<Folder>, &str) -> Result<T, HomeError>,
    ) -> Result<T, HomeError> {
        reserved::check(action, path)?;
        let Some((above, name)) = path.split() else {
            return Err(HomeError::new(ErrorCode::Forbidden, format!("cannot {action}: it is the home itself")));
        };
        if let Some(folder) = self.kept(above) {
            match act(&folder, name) {
                Err(error) if error.code == ErrorCode::NotFound => {}
                other => return other,
            }
        }
        let folder = self.find(above).map_err(|error| {
            let error = HomeError::io(action, above.as_str(), &error);
            if error.code == ErrorCode::NotFound {
                HomeError::about(error.code, action, path.as_str(), NO_FOLDER)
            } else {
                error
            }
        })?;
        act(&folder, name)
    }

    /// What was kept open may not be what its path names any more.
    pub(super) fn forget_folders(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        lock(&self.recent).clear();
    }

    /// A folder was made just now: what was kept open under its path, or below it, is what another program moved.
    pub(super) fn forget_below(&self, path: &str) {
        let is_below =
            |kept: &str| kept.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        lock(&self.recent).retain(|kept| !is_below(&kept.folder.path));
    }

    fn kept(&self, path: Path<'_>) -> Option<Arc<Folder>> {
        let mut recent = lock(&self.recent);
        let at = recent.iter().position(|kept| kept.folder.path == path.as_str())?;
        let kept = &mut recent[at];
        let current = kept.generation == self.generation.load(Ordering::Acquire);
        // The home itself stays what it is.
        if current && (path.is_root() || kept.seen.elapsed() < BELIEVED || self.sees(kept)) {
            let folder = Arc::clone(&kept.folder);
            recent[..=at].rotate_right(1);
            Some(folder)
        } else {
            recent.remove(at);
            None
        }
    }

    /// Whether its path still names it. What the path names instead is not opened here, be it where it may.
    fn sees(&self, kept: &mut Kept) -> bool {
        let Folder { path, device, inode, .. } = &*kept.folder;
        let now = Instant::now();
        let same = Facts::follow(&self.dir, path).is_ok_and(|facts| (facts.device, facts.inode) == (*device, *inode));
        if same {
            kept.seen = now;
        }
        same
    }

    /// Opens a folder: never one outside of the home, whatever links there are on the way (`RESOLVE_BENEATH`).
    pub(super) fn find(&self, path: Path<'_>) -> io::Result<Arc<Folder>> {
        // Read before looking: if a folder is moved meanwhile, what was found is not believed for long.
        let generation = self.generation.load(Ordering::Acquire);
        let seen = Instant::now();
        let dir = if path.is_root() { self.dir.try_clone()? } else { self.dir.open_dir(path.as_str())? };
        let Facts { device, inode, .. } = Facts::of_file(&dir)?;
        let folder = Arc::new(Folder { dir, path: path.as_str().to_owned(), device, inode });
        let mut recent = lock(&self.recent);
        recent.retain(|kept| kept.folder.path != folder.path);
        recent.truncate(KEPT - 1);
        recent.insert(0, Kept { folder: Arc::clone(&folder), seen, generation });
        Ok(folder)
    }
}

const NO_FOLDER: &str = "there is no such folder; make it first, or check the path";
