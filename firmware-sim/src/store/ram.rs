//! A flat file system in one buffer.
//!
//! **Guarantees**: those of a [`Store`], for as long as there is power. All the room that is free is of use: files are
//! moved together when there is no gap that is long enough.
//!
//! **Memory**: the lent buffer holds octets of files and nothing else. **Time**: at worst, a new file moves all others.

use feige_core::node::Name;

use super::table::{File, Table, end_of};
use super::{Entry, FileId, Space, Store, StoreError, copy};

/// Up to `FILES` files in a lent buffer.
#[derive(Debug)]
pub struct RamStore<'b, const FILES: usize> {
    memory: &'b mut [u8],
    table: Table<FILES>,
}

impl<'b, const FILES: usize> RamStore<'b, FILES> {
    /// An empty store. What stands in `memory` does not matter.
    #[must_use]
    pub const fn new(memory: &'b mut [u8]) -> Self {
        Self { memory, table: Table::new() }
    }

    fn total(&self) -> u64 {
        u64::try_from(self.memory.len()).unwrap_or(u64::MAX)
    }

    /// Moves all files to the front, in their order.
    fn compact(&mut self) {
        let (mut front, mut next) = (0, 0);
        while let Some(file) = self.table.next_from(next) {
            let (at, size) = (file.at, file.size);
            next = end_of(file);
            move_down(self.memory, at, front, size);
            // Rooms do not overlap, so the place is that of one file.
            let moved = self.table.iter_mut().find(|file| file.at == at && file.room > 0);
            let Some(file) = moved else { return };
            file.at = front;
            front = end_of(file);
        }
    }
}

impl<const FILES: usize> Store for RamStore<'_, FILES> {
    fn space(&self) -> Space {
        Space { total: self.total(), free: self.total().saturating_sub(self.table.taken()) }
    }

    fn files(&self) -> impl Iterator<Item = Entry<'_>> {
        self.table.entries()
    }

    fn read(&mut self, file: FileId, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        let file = self.table.whole(file)?;
        let octets = piece(self.memory, file.at, file.size).and_then(|octets| octets.get(index(at)..));
        Ok(copy(octets.unwrap_or_default(), into))
    }

    fn create(&mut self, name: &Name, size: u64) -> Result<FileId, StoreError> {
        let free = self.space().free;
        if size > free {
            return Err(StoreError::Full { free });
        }
        let end = self.total();
        let at = match self.table.gap(0, end, size) {
            Some(at) => at,
            None => {
                self.compact();
                self.table.gap(0, end, size).ok_or(StoreError::Full { free })?
            }
        };
        self.table.insert(File { name: name.clone(), at, room: size, size: 0, modified: 0, whole: false })
    }

    fn append(&mut self, file: FileId, octets: &[u8]) -> Result<(), StoreError> {
        let file = self.table.unfinished(file)?;
        let count = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        let left = file.room.saturating_sub(file.size);
        if count > left {
            return Err(StoreError::TooLong);
        }
        let room = piece_mut(self.memory, file.at.saturating_add(file.size), count).ok_or(StoreError::Failed)?;
        copy(octets, room);
        file.size = file.size.saturating_add(count);
        Ok(())
    }

    fn finish(&mut self, file: FileId, modified: u64) -> Result<(), StoreError> {
        let finished = self.table.unfinished(file)?;
        finished.whole = true;
        finished.modified = modified;
        finished.room = finished.size;
        if let Some(old) = self.table.namesake(file) {
            self.table.remove(old);
        }
        Ok(())
    }

    fn abort(&mut self, file: FileId) {
        if self.table.unfinished(file).is_ok() {
            self.table.remove(file);
        }
    }

    fn remove(&mut self, file: FileId) -> Result<(), StoreError> {
        self.table.whole(file)?;
        self.table.remove(file);
        Ok(())
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn piece(memory: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    memory.get(index(at)..)?.get(..index(len))
}

fn piece_mut(memory: &mut [u8], at: u64, len: u64) -> Option<&mut [u8]> {
    memory.get_mut(index(at)..)?.get_mut(..index(len))
}

/// Copies `len` octets from `from` to `to`, which lies before it.
///
/// Piece by piece, none longer than the way: so no piece overlaps itself, and nothing here could panic.
fn move_down(memory: &mut [u8], from: u64, to: u64, len: u64) {
    let (way, end) = (index(from.saturating_sub(to)), index(from.saturating_add(len)));
    let mut rest = memory.get_mut(index(to)..end).unwrap_or_default();
    while way > 0
        && let Some((piece, behind)) = rest.split_at_mut_checked(way)
    {
        if copy(behind, piece) < way {
            return;
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes())
    }

    fn put(store: &mut impl Store, text: &str, octets: &[u8]) -> FileId {
        let file = store.create(&name(text), octets.len() as u64).unwrap();
        octets.chunks(7).for_each(|piece| store.append(file, piece).unwrap());
        store.finish(file, 1).unwrap();
        file
    }

    fn all(store: &mut impl Store, text: &str) -> Vec<u8> {
        let entry = store.find(text.as_bytes()).unwrap();
        let (id, size) = (entry.id, entry.size);
        let mut octets = vec![0; size as usize + 5];
        assert_eq!(store.read(id, 0, &mut octets), Ok(size as usize));
        octets.truncate(size as usize);
        octets
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let mut memory = [0xa5; 100];
        let mut store = RamStore::<4>::new(&mut memory);
        put(&mut store, "a", b"old");
        let file = store.create(&name("a"), 50).unwrap();
        store.append(file, b"new content").unwrap();
        assert_eq!(all(&mut store, "a"), b"old");
        assert_eq!(store.read(file, 0, &mut [0; 9]), Err(StoreError::Gone));
        store.finish(file, 1).unwrap();
        assert_eq!(all(&mut store, "a"), b"new content");
        // What was announced and did not come is free again.
        assert_eq!(store.space(), Space { total: 100, free: 89 });
        assert_eq!(store.files().count(), 1);
    }

    #[test]
    fn gaps_are_closed_when_that_helps() {
        let mut memory = [0; 100];
        let mut store = RamStore::<8>::new(&mut memory);
        let ids: Vec<_> = (0..5_u8).map(|n| put(&mut store, &std::format!("{n}"), &[n; 20])).collect();
        let open = |store: &mut RamStore<'_, 8>| store.create(&name("x"), 40);
        assert_eq!(open(&mut store), Err(StoreError::Full { free: 0 }));
        store.remove(ids[1]).unwrap();
        store.remove(ids[3]).unwrap();
        let file = open(&mut store).unwrap();
        store.append(file, &[9; 40]).unwrap();
        store.finish(file, 1).unwrap();
        for n in [0, 2, 4_u8] {
            assert_eq!(all(&mut store, &std::format!("{n}")), [n; 20]);
        }
        assert_eq!(all(&mut store, "x"), [9; 40]);
    }

    #[test]
    fn a_file_in_the_making_is_moved_with_the_others() {
        let mut memory = [0; 60];
        let mut store = RamStore::<8>::new(&mut memory);
        let first = put(&mut store, "first", &[1; 20]);
        let half = store.create(&name("half"), 20).unwrap();
        store.append(half, b"0123456789").unwrap();
        store.remove(first).unwrap();
        put(&mut store, "long", &[2; 40]);
        store.append(half, b"abcdefghij").unwrap();
        assert_eq!(store.append(half, b"!"), Err(StoreError::TooLong));
        store.finish(half, 1).unwrap();
        assert_eq!(all(&mut store, "half"), b"0123456789abcdefghij");
        assert_eq!(all(&mut store, "long"), [2; 40]);
    }

    #[test]
    fn full_is_an_answer_and_old_numbers_mean_nothing() {
        let mut memory = [0; 10];
        let mut store = RamStore::<2>::new(&mut memory);
        let a = put(&mut store, "a", b"");
        put(&mut store, "b", b"12");
        assert_eq!(store.create(&name("c"), 1), Err(StoreError::TooMany));
        store.remove(a).unwrap();
        assert_eq!(store.create(&name("c"), 9), Err(StoreError::Full { free: 8 }));
        let c = store.create(&name("c"), 8).unwrap();
        store.abort(c);
        assert_eq!(store.append(c, b"x"), Err(StoreError::Gone));
        assert_eq!(store.finish(c, 1), Err(StoreError::Gone));
        assert_eq!(store.remove(a), Err(StoreError::Gone));
        assert_eq!(store.read(a, 0, &mut [0; 1]), Err(StoreError::Gone));
        assert_eq!(store.space().free, 8);
    }
}
