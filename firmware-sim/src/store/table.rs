//! What both stores remember of their files: names, and where in the memory they lie.

use feige_core::node::Name;

use super::{Entry, FileId, StoreError};

/// A file and its piece of the memory.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) name: Name,
    /// Where its octets begin.
    pub(super) at: u64,
    /// How many octets are set aside for it.
    pub(super) room: u64,
    /// How many it has.
    pub(super) size: u64,
    pub(super) modified: u64,
    /// Whether it is whole.
    pub(super) whole: bool,
}

/// Up to `FILES` files, whole and unfinished. A file's [`FileId`] is its place here and a number that counts its uses.
#[derive(Clone, Debug)]
pub(super) struct Table<const FILES: usize> {
    places: [(u32, Option<File>); FILES],
}

const PLACE_BITS: u32 = 8;

impl<const FILES: usize> Table<FILES> {
    pub(super) const fn new() -> Self {
        const { assert!(FILES > 0 && FILES <= 1 << PLACE_BITS, "a place must fit a file's number") };
        Self { places: [const { (0, None) }; FILES] }
    }

    pub(super) fn get(&self, id: FileId) -> Option<&File> {
        let (uses, file) = self.places.get(place(id))?;
        file.as_ref().filter(|_| number(place(id), *uses) == id)
    }

    pub(super) fn get_mut(&mut self, id: FileId) -> Option<&mut File> {
        let (uses, file) = self.places.get_mut(place(id))?;
        file.as_mut().filter(|_| number(place(id), *uses) == id)
    }

    /// The unfinished file of this number.
    pub(super) fn unfinished(&mut self, id: FileId) -> Result<&mut File, StoreError> {
        self.get_mut(id).filter(|file| !file.whole).ok_or(StoreError::Gone)
    }

    /// The whole file of this number.
    pub(super) fn whole(&self, id: FileId) -> Result<&File, StoreError> {
        self.get(id).filter(|file| file.whole).ok_or(StoreError::Gone)
    }

    pub(super) fn insert(&mut self, file: File) -> Result<FileId, StoreError> {
        let mut places = self.places.iter_mut().enumerate();
        let (place, (uses, room)) = places.find(|(_, (_, file))| file.is_none()).ok_or(StoreError::TooMany)?;
        *uses = uses.wrapping_add(1);
        *room = Some(file);
        Ok(number(place, *uses))
    }

    pub(super) fn remove(&mut self, id: FileId) -> Option<File> {
        self.get(id)?;
        self.places.get_mut(place(id)).and_then(|(_, file)| file.take())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FileId, &File)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, (uses, file))| file.as_ref().map(|file| (number(place, *uses), file)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut File> {
        self.places.iter_mut().filter_map(|(_, file)| file.as_mut())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.iter().filter(|(_, file)| file.whole).map(|(id, file)| Entry {
            id,
            name: &file.name,
            size: file.size,
            modified: file.modified,
        })
    }

    /// The other whole file that has the name of `id`.
    pub(super) fn namesake(&self, id: FileId) -> Option<FileId> {
        let name = &self.get(id)?.name;
        self.iter().find(|(other, file)| *other != id && file.whole && file.name == *name).map(|(other, _)| other)
    }

    /// The first file that lies at or behind `at`.
    pub(super) fn next_from(&self, at: u64) -> Option<&File> {
        self.iter().map(|(_, file)| file).filter(|file| file.at >= at && file.room > 0).min_by_key(|file| file.at)
    }

    /// Where, in a memory from `from` to `end`, the first gap of `room` octets begins.
    pub(super) fn gap(&self, from: u64, end: u64, room: u64) -> Option<u64> {
        let mut at = from;
        loop {
            let next = self.next_from(at);
            let until = next.map_or(end, |file| file.at.min(end));
            if until.saturating_sub(at) >= room {
                return Some(at);
            }
            at = next.map(end_of)?;
        }
    }

    /// The longest gap of a memory from `from` to `end`.
    #[cfg(feature = "flash")]
    pub(super) fn longest_gap_from(&self, from: u64, end: u64) -> u64 {
        let (mut at, mut longest) = (from, 0);
        loop {
            let next = self.next_from(at);
            let until = next.map_or(end, |file| file.at.min(end));
            longest = until.saturating_sub(at).max(longest);
            match next {
                Some(file) => at = end_of(file),
                None => return longest,
            }
        }
    }

    /// How many octets are set aside for files.
    pub(super) fn taken(&self) -> u64 {
        self.iter().fold(0, |sum, (_, file)| sum.saturating_add(file.room))
    }
}

pub(super) const fn end_of(file: &File) -> u64 {
    file.at.saturating_add(file.room)
}

/// The place in the table, which a store may use as a key.
#[allow(clippy::as_conversions)] // 8 bits.
pub(super) const fn place(id: FileId) -> usize {
    (id.0 & ((1 << PLACE_BITS) - 1)) as usize
}

fn number(place: usize, uses: u32) -> FileId {
    FileId(uses << PLACE_BITS | u32::try_from(place).unwrap_or_default())
}
