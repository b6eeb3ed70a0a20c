//! The folder that the verified transfer reads and writes: a user's home on a server, or the folder that a client
//! downloads to.
//!
//! A [`Home`] is an open handle of one folder, shared by everyone in this process who works in it.
//!
//! **Guarantees**, whatever a peer sends, and whatever links there are:
//! - Nothing outside of the home is read, written, listed or named. Folders are opened by handles that cannot lead out
//!   (`RESOLVE_BENEATH`); in them, files have names of one component, and links are not followed. What a link shows
//!   that points to somewhere in the home is shown.
//! - A file has its name only when it is whole, verified and on the disk ([`Home::settle`]). Until then it is a *part*
//!   beside it, which no user can name. What it replaces stays whole until then. A new folder may be a part as a whole
//!   ([`UnnamedFolder`]).
//! - What is used and what is promised to uploads are together within the quota, at every moment, however many
//!   connections upload.
//! - What came before an upload broke off is there for the next attempt, as far as it was verified: after this program
//!   was killed as it is, after the machine restarted once it is hashed again ([`Home::check`]).
//!
//! Some names are reserved, of which users can name none: `.NAME.feige-part` for the octets of a large file,
//! `.NAME.feige-sums` for the digests of its blocks, `.NUMBER.feige-small` for a small file, and `.NAME.KEY.feige-part`
//! for a folder without a name.
//!
//! Other programs may work in the folder too. What they use is counted when the home is opened the next time.
//!
//! **Memory**: a few hundred octets and up to five handles for a home, one or two handles for an upload; the same for a
//! folder of a million files. **Time**: a handful of calls of the system for a file; a quota costs going through the
//! home once. **Protocol**: `docs/protocol/transfer.md`, the rules R-VT-20 to 29 and 40 to 69.

mod check;
mod covered;
mod error;
mod finisher;
mod folder;
mod ledger;
mod list;
mod measure;
mod names;
mod reserved;
mod settle;
mod source;
mod sums;
mod survey;
pub(crate) mod sys;
#[cfg(test)]
mod tests;
mod unnamed;
mod upload;

pub use check::Check;
pub use error::HomeError;
pub use finisher::Finisher;
pub use list::{Item, Listing};
pub use measure::Space;
pub use source::Source;
pub(crate) use survey::remove_unnamed;
pub use unnamed::UnnamedFolder;
pub use upload::{Arriving, Earlier, Finished, Upload};

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::store::{Modes, space, unguessable};
use folder::Kept;
use ledger::Ledger;
use measure::Measured;

/// How old a part is that nobody is going to continue.
pub const STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The folder: see the module.
#[derive(Debug)]
pub struct Home {
    dir: Dir,
    quota: Option<u64>,
    /// Of a home with a quota, once it was gone through.
    ledger: OnceLock<Ledger>,
    /// A thread goes through a home with a quota for the first time.
    counting: AtomicBool,
    /// Of a home without a quota.
    measured: Mutex<Measured>,
    /// The folders that were used last, the last one first.
    recent: Mutex<Vec<Kept>>,
    /// Counts what may have moved folders.
    generation: AtomicU64,
    /// Held while a name is looked at and then changed.
    names: Mutex<()>,
    /// The number of the next small part: begins somewhere where no other process is likely to be.
    small_parts: AtomicU64,
    /// Watches the disk for all small files together.
    watch: Mutex<space::Space>,
    modes: Modes,
    /// It is a folder without a name: a small file in it may have its own before it is on the disk.
    unnamed: bool,
}

impl Home {
    /// Opens the folder at `path`, of which the operator of this machine has the say: links on the way to it count.
    ///
    /// With a quota, a thread begins to go through the home, and removes parts that are older than [`STALE`] on the
    /// way; what needs to know what is used waits for it. There must be only one such `Home` of a folder.
    ///
    /// # Errors
    /// What the system says if it is no folder, or may not be opened. The text does not name the folder.
    pub fn open(path: &std::path::Path, quota: Option<u64>) -> Result<Arc<Self>, HomeError> {
        let dir =
            Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| HomeError::io("open", "", &error))?;
        let home = Arc::new(Self::of(dir, quota, false));
        if quota.is_some() {
            let counted = Arc::clone(&home);
            // Without a thread, the first one who needs it does it.
            let thread = std::thread::Builder::new().name("survey".into()).spawn(move || {
                counted.books();
            });
            home.counting.store(thread.is_ok(), Ordering::Release);
        }
        Ok(home)
    }

    /// A folder without a name.
    fn unnamed(dir: Dir) -> Arc<Self> {
        Arc::new(Self::of(dir, None, true))
    }

    fn of(dir: Dir, quota: Option<u64>, unnamed: bool) -> Self {
        Self {
            dir,
            quota,
            ledger: OnceLock::new(),
            counting: AtomicBool::new(false),
            measured: Mutex::default(),
            recent: Mutex::default(),
            generation: AtomicU64::new(0),
            names: Mutex::new(()),
            small_parts: AtomicU64::new(unguessable()),
            watch: Mutex::default(),
            modes: Modes::of_this_process(),
            unnamed,
        }
    }

    /// How much may be used; `None`: no limit but the disk.
    #[must_use]
    pub const fn quota(&self) -> Option<u64> {
        self.quota
    }

    /// The books of a home with a quota. Whoever changes what is used asks for them before he changes anything: they
    /// are opened by going through the home.
    fn books(&self) -> Option<&Ledger> {
        self.quota?;
        Some(self.ledger.get_or_init(|| Ledger::new(self.quota, self.survey(Some(STALE)).used)))
    }

    /// Access rights of a received file: as announced, as far as any other program of this user would give them. Its
    /// owner can always read and write it, and it never runs as somebody else.
    fn mode_of(&self, announced: Option<u16>) -> u32 {
        announced.map_or(self.modes.file, |mode| u32::from(mode) & self.modes.folder | 0o600)
    }
}
