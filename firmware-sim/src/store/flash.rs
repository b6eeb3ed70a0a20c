//! Files in NOR flash that survive a loss of power at any moment.
//!
//! ```text
//!   | directory: 2 pages or more      | files: each in pages of its own, one behind the other          |
//!   | place -> at, size, time, name   | octets of file A ....... | octets of file B ... | free         |
//! ```
//! The octets of a file are written first, straight into erased pages; then one record in the directory gives the file
//! its name, and in the same moment takes it from the file that had it. The directory is a map of `sequential-storage`,
//! which was chosen because it does exactly that, a record that is there whole or not at all, in safe Rust, over the
//! traits of `embedded-storage`, and is well kept: `littlefs2` needs a C compiler for the chip, `ekv` wants each value
//! whole in RAM. What a file system would add, folders and files that grow, a device does not need.
//!
//! **Guarantees**: whenever the power fails, each name has afterwards the whole file that it had before, or the whole
//! file that was just finished. Pages are used in turn, so that they wear alike; the directory moves through its pages.
//!
//! **Memory**: the table of files, and a word of flash for each. **Time**: a page is erased when the first octet goes
//! into it, which takes some 50 ms on a usual chip.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash as asynch;
use feige_core::node::Name;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use super::table::{File, Table, end_of, place};
use super::{Entry, FileId, Space, Store, StoreError};

/// The fewest pages that a directory can have.
pub const LEAST_DIRECTORY: u32 = 2;

/// The longest word that a chip may write at once (STM32H7: 256 bits).
const WORD_MAX: usize = 32;

/// A record of the directory: position, size, time, name.
const RECORD_MAX: usize = 4 + 4 + 8 + feige_core::node::NAME_MAX;

/// Room for a record, its key and what the words of the chip add.
const BUFFER: usize = RECORD_MAX + 1 + WORD_MAX;

/// What stands in the place of a file that was removed.
const REMOVED: &[u8] = &[0];

/// Up to `FILES` files in a flash; at least one word of [`NorFlash::WRITE_SIZE`] octets is written at a time.
#[derive(Debug)]
pub struct FlashStore<F, const FILES: usize> {
    flash: F,
    /// Where the directory ends and files begin.
    first: u32,
    /// Where files end.
    end: u32,
    table: Table<FILES>,
    /// Under which key the directory has the file of each place. All different.
    keys: [u8; FILES],
    /// Of each unfinished file, the octets that do not fill a word yet.
    tails: [[u8; WORD_MAX]; FILES],
    /// Where to look for free pages first.
    next: u64,
}

impl<F: NorFlash, const FILES: usize> FlashStore<F, FILES> {
    /// Reads the directory of a flash, of which the first `directory` pages are meant for it ([`LEAST_DIRECTORY`] or
    /// more; a page of 4 KiB has room for 40 files). An erased flash is an empty store.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the flash cannot be read or what stands in it is no directory: see
    /// [`FlashStore::format`].
    pub fn mount(flash: F, directory: u32) -> Result<Self, StoreError> {
        const { assert!(F::WRITE_SIZE <= WORD_MAX && FILES <= 255, "a chip or a number that this store cannot have") };
        let page = u32::try_from(F::ERASE_SIZE).unwrap_or(u32::MAX);
        let end = u32::try_from(flash.capacity()).unwrap_or(u32::MAX) / page.max(1) * page;
        let first = directory.max(LEAST_DIRECTORY).saturating_mul(page).min(end);
        let mut keys = [0; FILES];
        keys.iter_mut().zip(0..).for_each(|(key, number)| *key = number);
        let tails = [[0; WORD_MAX]; FILES];
        let mut store = Self { flash, first, end, table: Table::new(), keys, tails, next: u64::from(first) };
        store.read_directory()?;
        Ok(store)
    }

    /// Removes everything, whatever stands in the directory.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn format(mut flash: F, directory: u32) -> Result<Self, StoreError> {
        let page = u32::try_from(F::ERASE_SIZE).unwrap_or(u32::MAX);
        let end = directory.max(LEAST_DIRECTORY).saturating_mul(page);
        flash.erase(0, end).map_err(|_| StoreError::Failed)?;
        Self::mount(flash, directory)
    }

    /// Gives the flash back.
    #[must_use]
    pub fn into_flash(self) -> F {
        self.flash
    }

    fn read_directory(&mut self) -> Result<(), StoreError> {
        let mut found: [Option<File>; FILES] = [const { None }; FILES];
        let (first, end) = (self.first, self.end);
        let mut map = directory(&mut self.flash, first)?;
        let mut buffer = [0; BUFFER];
        // One by one, because these requests repair what a power cut left behind; the map's own walk does not.
        for (place, key) in found.iter_mut().zip(0_u8..) {
            let record = at_once(map.fetch_item::<&[u8]>(&mut buffer, &key))?;
            let file = record.and_then(parse);
            *place = file.filter(|file| file.at >= u64::from(first) && end_of(file) <= u64::from(end));
        }
        let page = page::<F>();
        for (mut file, key) in found.into_iter().zip(0_u8..) {
            if let Some(file) = &mut file {
                file.room = file.size.next_multiple_of(page);
            }
            // Places and keys go together as long as nothing was replaced.
            let Some(file) = file else { continue };
            let id = self.table.insert(file)?;
            self.give_key(id, key);
        }
        Ok(())
    }

    /// Exchanges keys so that the file has this one.
    fn give_key(&mut self, id: FileId, key: u8) {
        let before = self.keys.get(place(id)).copied();
        if let (Some(before), Some(holder)) = (before, self.keys.iter_mut().find(|other| **other == key)) {
            *holder = before;
        }
        if let Some(own) = self.keys.get_mut(place(id)) {
            *own = key;
        }
    }

    fn key(&self, id: FileId) -> Result<u8, StoreError> {
        self.keys.get(place(id)).copied().ok_or(StoreError::Gone)
    }

    fn record(&mut self, key: u8, record: &[u8]) -> Result<(), StoreError> {
        let mut map = directory(&mut self.flash, self.first)?;
        let mut buffer = [0; BUFFER];
        at_once(map.store_item(&mut buffer, &key, &record))
    }

    /// Writes whole words, and erases each page before its first one.
    fn program(&mut self, mut at: u64, mut octets: &[u8]) -> Result<(), StoreError> {
        let page = page::<F>();
        while !octets.is_empty() {
            let begin = at - at % page;
            if at == begin {
                self.flash.erase(short(at), short(at + page)).map_err(|_| StoreError::Failed)?;
            }
            let most = usize::try_from(begin + page - at).unwrap_or(usize::MAX);
            let (now, later) = octets.split_at_checked(most).unwrap_or((octets, &[]));
            self.flash.write(short(at), now).map_err(|_| StoreError::Failed)?;
            at += u64::try_from(now.len()).unwrap_or(0);
            octets = later;
        }
        Ok(())
    }
}

impl<F: NorFlash, const FILES: usize> Store for FlashStore<F, FILES> {
    fn space(&self) -> Space {
        let total = u64::from(self.end.saturating_sub(self.first));
        // In one piece: files are not cut up, and flash is not moved about.
        let mut free = self.table.longest_gap_from(u64::from(self.first), u64::from(self.end));
        free -= free % page::<F>();
        Space { total, free }
    }

    fn files(&self) -> impl Iterator<Item = Entry<'_>> {
        self.table.entries()
    }

    fn read(&mut self, file: FileId, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        let file = self.table.whole(file)?;
        let left = usize::try_from(file.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = left.min(into.len());
        let into = into.get_mut(..count).unwrap_or_default();
        let word = u64::try_from(F::READ_SIZE).unwrap_or(1).max(1);
        let mut from = file.at.saturating_add(at);
        let mut rest = into;
        while !rest.is_empty() {
            let aligned = from - from % word;
            let whole = rest.len() - rest.len() % F::READ_SIZE.max(1);
            let done = if aligned == from && whole > 0 {
                let now = rest.get_mut(..whole).unwrap_or_default();
                self.flash.read(short(from), now).map_err(|_| StoreError::Failed)?;
                whole
            } else {
                // A piece of a word.
                let mut buffer = [0; WORD_MAX];
                let now = buffer.get_mut(..F::READ_SIZE).unwrap_or_default();
                self.flash.read(short(aligned), now).map_err(|_| StoreError::Failed)?;
                let skip = usize::try_from(from - aligned).unwrap_or(0);
                let piece = now.get(skip..).unwrap_or_default();
                rest.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
                piece.len().min(rest.len())
            };
            if done == 0 {
                return Err(StoreError::Failed);
            }
            from += u64::try_from(done).unwrap_or(0);
            rest = rest.get_mut(done..).unwrap_or_default();
        }
        Ok(count)
    }

    fn create(&mut self, name: &Name, size: u64) -> Result<FileId, StoreError> {
        let free = self.space().free;
        if size > free {
            return Err(StoreError::Full { free });
        }
        let room = size.next_multiple_of(page::<F>());
        let (first, end) = (u64::from(self.first), u64::from(self.end));
        let gap = self.table.gap(self.next, end, room).or_else(|| self.table.gap(first, end, room));
        let at = gap.ok_or(StoreError::Full { free })?;
        let id = self.table.insert(File { name: name.clone(), at, room, size: 0, modified: 0, whole: false })?;
        self.next = at.saturating_add(room);
        Ok(id)
    }

    fn append(&mut self, id: FileId, octets: &[u8]) -> Result<(), StoreError> {
        let file = self.table.unfinished(id)?;
        let count = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        if count > file.room.saturating_sub(file.size) {
            return Err(StoreError::TooLong);
        }
        let (at, size) = (file.at, file.size);
        let word = F::WRITE_SIZE.max(1);
        let held = usize::try_from(size % word_of::<F>()).unwrap_or(0);
        let tail = self.tails.get_mut(place(id)).ok_or(StoreError::Gone)?;
        let mut next = at + size - size % word_of::<F>();
        let mut rest = octets;
        if held > 0 {
            // The word that was begun.
            let (now, later) = rest.split_at_checked(word - held).unwrap_or((rest, &[]));
            tail.iter_mut().skip(held).zip(now).for_each(|(to, from)| *to = *from);
            rest = later;
            if held + now.len() == word {
                let tail = *tail;
                self.program(next, tail.get(..word).unwrap_or_default())?;
                next += word_of::<F>();
            }
        }
        let whole = rest.len() - rest.len() % word;
        let (now, later) = rest.split_at_checked(whole).unwrap_or((rest, &[]));
        self.program(next, now)?;
        if !later.is_empty() {
            let tail = self.tails.get_mut(place(id)).ok_or(StoreError::Gone)?;
            tail.iter_mut().zip(later).for_each(|(to, from)| *to = *from);
        }
        self.table.unfinished(id)?.size = size.saturating_add(count);
        Ok(())
    }

    fn finish(&mut self, id: FileId, modified: u64) -> Result<(), StoreError> {
        let file = self.table.unfinished(id)?.clone();
        let held = usize::try_from(file.size % word_of::<F>()).unwrap_or(0);
        if held > 0 {
            let mut tail = self.tails.get(place(id)).copied().ok_or(StoreError::Gone)?;
            tail.iter_mut().skip(held).for_each(|octet| *octet = 0xff);
            let at = file.at + file.size - file.size % word_of::<F>();
            self.program(at, tail.get(..F::WRITE_SIZE).unwrap_or_default())?;
        }
        let old = self.table.namesake(id);
        let key = self.key(old.unwrap_or(id))?;
        let mut buffer = [0; RECORD_MAX];
        let record = emit(&file, modified, &mut buffer);
        // This is the moment.
        self.record(key, record)?;
        self.give_key(id, key);
        if let Some(old) = old {
            self.table.remove(old);
        }
        let file = self.table.unfinished(id)?;
        file.room = file.size.next_multiple_of(page::<F>());
        file.modified = modified;
        file.whole = true;
        Ok(())
    }

    fn abort(&mut self, file: FileId) {
        if self.table.unfinished(file).is_ok() {
            self.table.remove(file);
        }
    }

    fn remove(&mut self, file: FileId) -> Result<(), StoreError> {
        self.table.whole(file)?;
        let key = self.key(file)?;
        self.record(key, REMOVED)?;
        self.table.remove(file);
        Ok(())
    }
}

fn emit<'b>(file: &File, modified: u64, buffer: &'b mut [u8; RECORD_MAX]) -> &'b [u8] {
    let name = file.name.as_bytes();
    let fields = short(file.at).to_le_bytes().into_iter().chain(short(file.size).to_le_bytes());
    let octets = fields.chain(modified.to_le_bytes()).chain(name.iter().copied());
    let len = buffer.iter_mut().zip(octets).map(|(to, from)| *to = from).count();
    buffer.get(..len).unwrap_or_default()
}

fn parse(record: &[u8]) -> Option<File> {
    let (at, rest) = record.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (modified, name) = rest.split_first_chunk()?;
    let (at, size) = (u64::from(u32::from_le_bytes(*at)), u64::from(u32::from_le_bytes(*size)));
    let modified = u64::from_le_bytes(*modified);
    Some(File { name: Name::new(name), at, room: size, size, modified, whole: true })
}

type Directory<'f, F> = MapStorage<u8, Blocking<'f, F>, Cache<Uncached, Uncached, Uncached, u8>>;

fn directory<F: NorFlash>(flash: &mut F, end: u32) -> Result<Directory<'_, F>, StoreError> {
    let config = MapConfig::try_new(0..end).map_err(|_| StoreError::Failed)?;
    Ok(MapStorage::new(Blocking(flash), config, Cache::new_uncached()))
}

/// What a future comes to that never waits.
fn at_once<T, E>(future: impl Future<Output = Result<T, sequential_storage::Error<E>>>) -> Result<T, StoreError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(value)) => Ok(value),
        Poll::Ready(Err(sequential_storage::Error::FullStorage)) => Err(StoreError::TooMany),
        Poll::Ready(Err(_)) | Poll::Pending => Err(StoreError::Failed),
    }
}

/// A flash whose calls block, for a library whose calls do not.
struct Blocking<'f, F>(&'f mut F);

impl<F: NorFlash> asynch::ErrorType for Blocking<'_, F> {
    type Error = F::Error;
}

impl<F: NorFlash> asynch::ReadNorFlash for Blocking<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> asynch::NorFlash for Blocking<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}

fn page<F: NorFlash>() -> u64 {
    u64::try_from(F::ERASE_SIZE).unwrap_or(u64::MAX).max(1)
}

fn word_of<F: NorFlash>() -> u64 {
    u64::try_from(F::WRITE_SIZE).unwrap_or(u64::MAX).max(1)
}

/// Positions in a flash have 32 bits.
fn short(at: u64) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "flash_tests.rs"]
mod tests;
