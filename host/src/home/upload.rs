//! Files of a home that are written.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use cap_std::fs::Dir;
use feige_core::digest::Digest;
use feige_core::wire::transfer::{ErrorCode, Path, block_len};

use super::check::Check;
use super::covered::Covered;
use super::folder::Folder;
use super::ledger::{OverQuota, lock};
use super::reserved::{part_name, small_part_name, sums_name};
use super::sums::{Front, Identity, Sums};
use super::sys::{self, Facts, Kind};
use super::{Home, HomeError};
use crate::store::owned::{self, Found};
use crate::store::space::Space;
use crate::store::{Behind, set_time, write_at};

/// The largest file that is small, in octets: if it is one block too, it is not worth continuing, so it has no sums and
/// no lock.
const SMALL_FILE: u64 = 64 << 10;

/// What even an empty file takes of the disk, roughly, in octets.
const LEAST: u64 = 4096;

/// How often a part that comes and goes is tried to be had.
pub(super) const ATTEMPTS: u32 = 8;

/// What is done here, in the texts of errors.
pub(super) const RECEIVE: &str = "receive";

/// Why a name cannot be had that is not a file's: whoever made it counts on what it does.
pub(super) const IRREPLACEABLE: &str = "it is a pipe, a socket or a device, which is not replaced; use another name";

/// A file that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arriving {
    /// Its size in octets.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub mtime: Option<i64>,
    /// Its POSIX permission bits.
    pub mode: Option<u16>,
    /// Something that changes whenever the file does: an attempt with the same stamp, size and block is continued.
    pub stamp: u64,
    /// The size of blocks, as a power of two ([`block_len`]).
    pub block: u8,
    /// A file of that name is replaced.
    pub replace: bool,
    /// Nothing is likely to have the name, because the folder was made just now: of a small file, that is found out only
    /// when it gets its name. It saves looking for what is not there, a tenth of what the file takes.
    pub fresh: bool,
}

/// What an earlier attempt left of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// The stamp that it was announced with.
    pub stamp: u64,
    /// Its size in octets.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub mtime: Option<i64>,
    /// The size of blocks, as a power of two.
    pub block: u8,
    /// How many octets are there and verified: a multiple of the block.
    pub offset: u64,
    /// How many octets behind them were verified before this machine restarted: they are of no use until they are hashed
    /// again ([`Home::check`]).
    pub doubted: u64,
}

impl Earlier {
    fn of(part: &File, sums: &Sums, path: Path<'_>) -> Result<Self, HomeError> {
        let front = sums.front(part).map_err(|error| HomeError::io(RECEIVE, path.as_str(), &error))?;
        let (Identity { stamp, size, mtime, block }, Front { believed, doubted }) = (*sums.identity(), front);
        Ok(Self { stamp, size, mtime, block, offset: believed, doubted })
    }
}

/// A part and the room that is reserved for it. Dropped before it is done, it keeps what is of use for a later
/// attempt, and gives the rest back.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) home: Arc<Home>,
    pub(super) folder: Arc<Folder>,
    /// As the user names it.
    pub(super) path: String,
    pub(super) part: String,
    /// Open, and of large files locked, as long as it is written.
    pub(super) file: Option<File>,
    pub(super) sums: Option<Sums>,
    /// The part is one that a later attempt finds.
    pub(super) lasting: bool,
    pub(super) size: u64,
    /// Octets of the part that are in the books as used already.
    pub(super) counted: u64,
    /// Octets that a later attempt may build on.
    verified: u64,
    pub(super) replace: bool,
    /// Nothing had the name when the file was announced.
    pub(super) fresh: bool,
    pub(super) done: bool,
}

impl Slot {
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    pub(super) fn reserved(&self) -> u64 {
        self.size.saturating_sub(self.counted)
    }

    pub(super) fn failed(&self, error: &io::Error) -> HomeError {
        if error.kind() == io::ErrorKind::NotFound {
            let reason = "its folder was removed meanwhile; make the folder again and start over";
            return HomeError::about(ErrorCode::NotFound, RECEIVE, &self.path, reason);
        }
        HomeError::io(RECEIVE, &self.path, error)
    }

    /// Keeps nothing for a later attempt: what could not be put on the disk may be lost, although it still can be read.
    pub(super) fn discard(&mut self) {
        self.verified = 0;
    }

    /// Keeps the verified octets for a later attempt and returns how many those are.
    fn leave(&mut self) -> u64 {
        // An error means that more octets stay than are told; the next start counts them.
        if self.lasting && self.verified > 0 {
            if let Some(file) = &self.file {
                let _ = file.set_len(self.verified);
            }
            if let Some(sums) = &self.sums {
                let _ = sums.cut(self.verified);
            }
            return self.verified;
        }
        if self.lasting {
            let _ = sys::remove(&self.folder.dir, &sums_name(self.name()));
        }
        let _ = sys::remove(&self.folder.dir, &self.part);
        0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let (reserved, counted) = (self.reserved(), self.counted);
        let kept = self.leave();
        if let Some(ledger) = self.home.books() {
            ledger.release(reserved, counted, kept);
        }
    }
}

/// A file that is being received. Dropped before [`Upload::complete`], its verified front is kept for the next attempt.
#[derive(Debug)]
pub struct Upload {
    slot: Slot,
    covered: Covered,
    block: u8,
    offset: u64,
    mtime: Option<i64>,
    mode: Option<u16>,
    space: Space,
    behind: Behind,
}

/// A file that is whole and verified, and gets its name by [`Home::settle`]. Dropped before, it is kept for the next
/// attempt, unless it is small. A large one keeps its handle, and with it its name, until then.
#[derive(Debug)]
pub struct Finished {
    pub(super) slot: Slot,
}

impl Home {
    /// Begins to receive a file: reserves the room, and takes up what an earlier attempt left.
    ///
    /// What was left before this machine restarted is taken up only as far as it was hashed again: see
    /// [`Home::check`]. The time does not depend on its size.
    ///
    /// # Errors
    /// [`Exists`](ErrorCode::Exists), [`IsAFolder`](ErrorCode::IsAFolder), [`QuotaExceeded`](ErrorCode::QuotaExceeded),
    /// [`NoSpace`](ErrorCode::NoSpace), [`Busy`](ErrorCode::Busy) if another upload has the name,
    /// [`Forbidden`](ErrorCode::Forbidden) if a pipe, a socket or a device has it,
    /// [`NotFound`](ErrorCode::NotFound) if the folder is not there, [`BadName`](ErrorCode::BadName), and what the
    /// system says.
    pub fn receive(self: &Arc<Self>, path: Path<'_>, arriving: &Arriving) -> Result<Upload, HomeError> {
        let Some(block) = block_len(arriving.block) else {
            let reason = "no such size of blocks; use 12 to 20";
            return Err(HomeError::about(ErrorCode::BadRequest, RECEIVE, path.as_str(), reason));
        };
        let small = arriving.size <= SMALL_FILE.min(u64::from(block));
        self.within(RECEIVE, path, |folder, name| {
            // Before anything of the part changes, which would be counted twice.
            let _ = self.books();
            let mut slot = Slot {
                home: Arc::clone(self),
                folder: Arc::clone(folder),
                path: path.as_str().to_owned(),
                part: String::new(),
                file: None,
                sums: None,
                lasting: false,
                size: arriving.size,
                counted: 0,
                verified: 0,
                replace: arriving.replace,
                fresh: (small && arriving.fresh) || self.is_free(folder, path, name, arriving.replace)?,
                // Until there is something to give back.
                done: true,
            };
            if small {
                slot.begin_small(arriving)?;
            } else {
                slot.begin(arriving, name)?;
            }
            Ok(Upload {
                covered: Covered::up_to(slot.verified),
                offset: slot.verified,
                slot,
                block: arriving.block,
                mtime: arriving.mtime,
                mode: arriving.mode,
                space: Space::default(),
                behind: Behind::default(),
            })
        })
    }

    /// Whether a file of that name would be received, as far as the name is concerned.
    ///
    /// # Errors
    /// [`Exists`](ErrorCode::Exists), [`IsAFolder`](ErrorCode::IsAFolder), [`Forbidden`](ErrorCode::Forbidden) if it is that
    /// of a pipe, a socket or a device, [`NotFound`](ErrorCode::NotFound) if the folder is not there, and what the system
    /// says.
    pub fn admits(&self, path: Path<'_>, replace: bool) -> Result<(), HomeError> {
        self.within(RECEIVE, path, |folder, name| self.is_free(folder, path, name, replace).map(drop))
    }

    /// What an earlier attempt to receive a file left, if it left anything.
    ///
    /// # Errors
    /// As for [`Home::receive`].
    pub fn earlier(&self, path: Path<'_>) -> Result<Option<Earlier>, HomeError> {
        self.within("look for a part of", path, |folder, name| {
            let Some((part, sums)) = left(folder, path, name)? else { return Ok(None) };
            Earlier::of(&part, &sums, path).map(Some)
        })
    }

    /// The same, but also while somebody else has it: it may be another in a moment.
    ///
    /// # Errors
    /// As for [`Home::receive`], but for [`Busy`](ErrorCode::Busy).
    pub fn glance(&self, path: Path<'_>) -> Result<Option<Earlier>, HomeError> {
        self.within("look for a part of", path, |folder, name| {
            let failed = |error| HomeError::io(RECEIVE, path.as_str(), &error);
            let part = match owned::open(&folder.dir, &part_name(name)) {
                Ok(Some(part)) => part.into_std(),
                Ok(None) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            let sums = Sums::open(&folder.dir, &sums_name(name)).map_err(failed)?;
            sums.map(|sums| Earlier::of(&part, &sums, path)).transpose()
        })
    }

    /// Begins to hash again what an earlier attempt left before this machine restarted: until that is over, nobody else
    /// has the part. `None` if nothing is doubted.
    ///
    /// # Errors
    /// As for [`Home::receive`].
    pub fn check(&self, path: Path<'_>) -> Result<Option<Check>, HomeError> {
        self.within("look for a part of", path, |folder, name| {
            let Some((part, sums)) = left(folder, path, name)? else { return Ok(None) };
            let is_doubted = Earlier::of(&part, &sums, path)?.doubted > 0;
            Ok(is_doubted.then(|| Check::begin(part, sums, path.as_str())))
        })
    }

    /// Tells the watch over the disk of a small file: each is too small for a question to the file system, but not
    /// thousands of them together.
    pub(super) fn spend_small(&self, dir: &Dir, path: &str, size: u64) -> Result<(), HomeError> {
        lock(&self.watch).spend(dir, size.max(LEAST)).map_err(|error| HomeError::store(RECEIVE, path, &error))
    }

    /// Whether nothing has the name; an error if what has it may not be replaced.
    fn is_free(&self, folder: &Folder, path: Path<'_>, name: &str, replace: bool) -> Result<bool, HomeError> {
        let failed = |error| HomeError::io(RECEIVE, path.as_str(), &error);
        let Some(mut facts) = Facts::look_for(&folder.dir, name).map_err(failed)? else { return Ok(true) };
        if facts.kind == Kind::Link {
            // A link without an end is shown to nobody, and may be replaced as a file.
            facts = self.look_through(path.as_str()).unwrap_or(facts);
        }
        match facts.kind {
            Kind::Folder => Err(HomeError::about(ErrorCode::IsAFolder, RECEIVE, path.as_str(), "it is a folder")),
            Kind::Other => Err(HomeError::about(ErrorCode::Forbidden, RECEIVE, path.as_str(), IRREPLACEABLE)),
            _ if replace => Ok(false),
            _ => Err(failed(io::ErrorKind::AlreadyExists.into())),
        }
    }
}

impl Slot {
    fn begin_small(&mut self, arriving: &Arriving) -> Result<(), HomeError> {
        if !arriving.fresh {
            // Of a large file that was to have the name. Nobody would see it, and nobody continue it.
            self.home.drop_part(&self.folder, self.name());
        }
        self.home.spend_small(&self.folder.dir, &self.path, self.size)?;
        self.reserve()?;
        let mode = self.home.mode_of(arriving.mode);
        for _ in 0..ATTEMPTS {
            self.part = small_part_name(self.home.small_parts.fetch_add(1, Ordering::Relaxed));
            match sys::create(&self.folder.dir, &self.part, mode) {
                Ok(file) => {
                    self.file = Some(file);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Err(busy_at(&self.path))
    }

    fn begin(&mut self, arriving: &Arriving, name: &str) -> Result<(), HomeError> {
        let Arriving { stamp, size, mtime, block, .. } = *arriving;
        let identity = Identity { stamp, size, mtime, block };
        let folder = Arc::clone(&self.folder);
        self.part = part_name(name);
        let file = self.claim_part()?;
        let failed = |error| HomeError::io(RECEIVE, &self.path, &error);
        let there = file.metadata().map_err(failed)?.len();
        let sums = sums_name(name);
        // What cannot be read is of no use either.
        let left = Sums::open(&folder.dir, &sums).ok().flatten().filter(|left| left.identity().is_same(&identity));
        let left = left.and_then(|left| Some((left.front(&file).ok()?.believed, left)));
        let (sums, verified) = match left {
            Some((front, mut left)) if front > 0 => {
                // A gap behind the front would be believed after all, once the front has reached it.
                (left.keep_front(front).map(|()| left), front)
            }
            _ => (Sums::begin(&folder.dir, &sums, identity), 0),
        };
        let ready = sums.and_then(|sums| {
            if there != verified {
                file.set_len(verified)?;
            }
            Ok(sums)
        });
        self.lasting = true;
        match ready {
            Ok(sums) => self.sums = Some(sums),
            Err(error) => {
                let error = HomeError::io(RECEIVE, &self.path, &error);
                if there == 0 {
                    self.leave();
                }
                return Err(error);
            }
        }
        self.file = Some(file);
        (self.verified, self.counted) = (verified, verified);
        if let Some(ledger) = self.home.books() {
            ledger.removed(there.saturating_sub(verified));
        }
        let room = Space::fits(&folder.dir, self.reserved())
            .map_err(|error| HomeError::store(RECEIVE, &self.path, &error))
            .and_then(|()| self.reserve());
        if room.is_err() && verified == 0 {
            self.leave();
        }
        room
    }

    /// Makes the promise that dropping this takes back.
    fn reserve(&mut self) -> Result<(), HomeError> {
        if let Some(ledger) = self.home.books() {
            ledger.reserve(self.reserved()).map_err(|OverQuota { left }| {
                let reason =
                    format!("it needs {} octets and the quota has {left} left; remove something", self.reserved());
                HomeError::about(ErrorCode::QuotaExceeded, RECEIVE, &self.path, reason)
            })?;
        }
        self.done = false;
        Ok(())
    }

    /// Opens or creates the part, for this upload alone.
    fn claim_part(&self) -> Result<File, HomeError> {
        let dir = &self.folder.dir;
        for _ in 0..ATTEMPTS {
            let found = match owned::reopen(dir, &self.part) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => owned::create_part(dir, &self.part),
                other => other,
            };
            match found {
                Ok(Found::Ours(file)) => return Ok(file.into_std()),
                Ok(Found::InUse) => return Err(busy_at(&self.path)),
                // Its name may have come or gone just now: the next attempt tells.
                Ok(Found::Foreign) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::AlreadyExists => {}
                    io::ErrorKind::IsADirectory => break,
                    _ if sys::is_link(&error) => break,
                    _ => return Err(self.failed(&error)),
                },
            }
        }
        let reason = "something else has the name of its part; remove that, or use another name";
        Err(HomeError::about(ErrorCode::Forbidden, RECEIVE, &self.path, reason))
    }
}

impl Upload {
    /// How many octets are there and verified, from an earlier attempt: where to begin. A multiple of the block.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The size of blocks, as a power of two.
    #[must_use]
    pub const fn block(&self) -> u8 {
        self.block
    }

    /// Writes `octets` from position `at` on. What was verified there is not any more.
    ///
    /// # Errors
    /// [`BadRequest`](ErrorCode::BadRequest) if that is beyond the announced size, [`NoSpace`](ErrorCode::NoSpace), and
    /// what the system says.
    pub fn write(&mut self, at: u64, octets: &[u8]) -> Result<(), HomeError> {
        let end = at.checked_add(octets.len() as u64).filter(|&end| end <= self.slot.size);
        let (Some(end), Some(file)) = (end, &self.slot.file) else {
            return Err(self.bad_request("more octets came than were announced"));
        };
        let blocks = self.blocks(at..end);
        if self.covered.remove(&blocks) {
            if let Some(sums) = &self.slot.sums {
                sums.forget(blocks.start, blocks.end).map_err(|error| self.slot.failed(&error))?;
            }
            self.slot.verified = self.covered.front();
        }
        write_at(file, octets, at).map_err(|error| self.slot.failed(&error))?;
        self.behind.wrote(file, at..end);
        self.space
            .spend(&self.slot.folder.dir, octets.len() as u64)
            .map_err(|error| HomeError::store(RECEIVE, &self.slot.path, &error))
    }

    /// Tells that `len` octets from `at` on are what was sent, and keeps the digests of their blocks.
    ///
    /// # Errors
    /// [`BadRequest`](ErrorCode::BadRequest) if these are not whole blocks of the file with a digest each, and what the
    /// system says.
    pub fn verified(&mut self, at: u64, len: u32, digests: &[Digest]) -> Result<(), HomeError> {
        let range = at..at.saturating_add(u64::from(len));
        let blocks = u64::from(len).div_ceil(self.block_len());
        if self.blocks(range.clone()) != range || range.end > self.slot.size || blocks != digests.len() as u64 {
            return Err(self.bad_request("what is verified are not whole blocks of it"));
        }
        if !self.covered.add(range) {
            return Err(self.bad_request("too many blocks of it came out of order"));
        }
        self.slot.verified = self.covered.front();
        match &self.slot.sums {
            Some(sums) => sums.keep(at, digests).map_err(|error| self.slot.failed(&error)),
            None => Ok(()),
        }
    }

    /// All octets are there: gives the part the time and access rights of the file. [`Home::settle`] gives it its name.
    ///
    /// # Errors
    /// [`BadRequest`](ErrorCode::BadRequest) if octets are missing or not verified, and what the system says.
    pub fn complete(mut self) -> Result<Finished, HomeError> {
        if self.covered.front() != self.slot.size {
            return Err(self.bad_request("not all of its octets came; send the rest"));
        }
        if let Some(file) = &self.slot.file {
            if self.slot.lasting {
                let mode = self.slot.home.mode_of(self.mode);
                sys::set_mode(file, mode).map_err(|error| self.slot.failed(&error))?;
            }
            set_time(file, self.mtime.map(time));
        }
        if !self.slot.lasting {
            // Thousands of small files may be settled together: they must not take a handle each.
            self.slot.file = None;
        }
        Ok(Finished { slot: self.slot })
    }

    /// A handle to read what was written. Its position is that of the handle which is written by: read at positions.
    pub(crate) fn reader(&self) -> io::Result<File> {
        self.slot.file.as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), File::try_clone)
    }

    /// Gives the file up, and keeps nothing of it for a later attempt.
    pub(crate) fn discard(mut self) {
        self.slot.verified = 0;
    }

    fn block_len(&self) -> u64 {
        block_len(self.block).map_or(1, u64::from)
    }

    /// The whole blocks that have octets of a range; the last block of the file ends with it.
    fn blocks(&self, range: Range<u64>) -> Range<u64> {
        let block = self.block_len();
        let end = range.end.div_ceil(block).saturating_mul(block);
        range.start / block * block..if range.end == self.slot.size { range.end } else { end.min(self.slot.size) }
    }

    fn bad_request(&self, reason: &str) -> HomeError {
        HomeError::about(ErrorCode::BadRequest, RECEIVE, &self.slot.path, reason)
    }
}

/// The part that an earlier attempt left, taken for this handle alone, and its sums.
fn left(folder: &Folder, path: Path<'_>, name: &str) -> Result<Option<(File, Sums)>, HomeError> {
    let failed = |error| HomeError::io(RECEIVE, path.as_str(), &error);
    let part = match owned::reopen(&folder.dir, &part_name(name)) {
        Ok(Found::Ours(part)) => part.into_std(),
        Ok(Found::InUse) => return Err(busy(path)),
        Ok(Found::Foreign) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let sums = Sums::open(&folder.dir, &sums_name(name)).map_err(failed)?;
    Ok(sums.map(|sums| (part, sums)))
}

fn busy(path: Path<'_>) -> HomeError {
    busy_at(path.as_str())
}

fn busy_at(path: &str) -> HomeError {
    let reason = "another transfer of it is under way; try again later";
    HomeError::about(ErrorCode::Busy, RECEIVE, path, reason)
}

pub(super) fn time(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
}
