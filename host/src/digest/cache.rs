//! Remembers the MD5 of whole files, so that a file that is sent again is not read twice for it.
//!
//! A file on disk with a fixed number of rows. Device and inode choose the row; in a row the newest record is in front,
//! and the oldest falls out at the end. A record says which state of which file it is about, and ends in a checksum.
//!
//! **Guarantees**: never an error, only a digest that is not remembered. What is found was remembered for this device,
//! inode, size, time of modification and time of change: the last of them cannot be set back by a program. A torn,
//! damaged or foreign record is no record. Threads and processes may share the file; of two that write into one row at
//! the same moment one loses. A file that changed in the last two seconds is not remembered, since it may change again
//! without its times showing it (file systems count time in steps of up to two seconds; git calls this racy).
//! **Memory**: none but a row on the stack; at most 64 octets a record on disk, and rows that nobody used take none.
//! **Time**: one read of 512 octets to look up, and one read and one write to remember.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use feige_core::digest::Digest;

use super::Stream;
use crate::config::state_dir;
use crate::store::{read_at, write_at};

/// Records of a row.
const WAYS: usize = 8;

/// Octets of a record: a key, the digest, the checksum of both.
const RECORD: usize = KEY + Digest::LEN + CHECK;

/// Octets of a key: device, inode, size, time of modification, time of change.
const KEY: usize = 5 * 8;

/// Octets of the part of a key that says which file it is, in whatever state.
const IDENTITY: usize = 2 * 8;

/// Octets of a checksum.
const CHECK: usize = 8;

/// Goes into every checksum before the record, so that a record of another format is none.
const FORMAT: &[u8] = b"Feige digest cache 1";

/// How long a file must be left alone before its times can be trusted.
const SETTLED: Duration = Duration::from_secs(2);

type Record = [u8; RECORD];
type Row = [Record; WAYS];

/// The digests of files that were hashed before, in a file.
#[derive(Debug)]
pub struct DigestCache {
    file: File,
    rows: u64,
    settled: Duration,
}

impl DigestCache {
    /// Digests that are remembered of this user's files.
    const MOST: usize = 65_536;

    /// That of this user, which every program of theirs shares. `None` if there is no place for it.
    #[must_use]
    pub fn of_this_user() -> Option<Self> {
        Self::open(&state_dir()?.join("digests"), Self::MOST).ok()
    }

    /// Opens the cache in the file `path`, which is made if it is missing, with its folder. It keeps at most `most`
    /// digests, but at least eight.
    ///
    /// # Errors
    /// If the file can be neither opened nor made: there is no cache then, which is no reason to fail.
    pub fn open(path: &Path, most: usize) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // Which files somebody sends is nobody else's business.
        options.mode(0o600);
        let file = options.open(path)?;
        let rows = (most / WAYS).max(1) as u64;
        let limit = rows * size_of::<Row>() as u64;
        if file.metadata()?.len() > limit {
            file.set_len(limit)?;
        }
        Ok(Self { file, rows, settled: SETTLED })
    }

    /// The MD5 of the file that `metadata` is about, if it is known and the file did not change since. Always `None` where
    /// the system does not say which file it is (anywhere but on Unix).
    #[must_use]
    pub fn lookup(&self, metadata: &Metadata) -> Option<Digest> {
        let key = Key::of(metadata)?;
        let row = self.read(key.place(self.rows)).ok()?;
        row.iter().find_map(|record| digest_in(record, &key))
    }

    /// Remembers `digest` for the file that `metadata` is about, in the state in which it was read.
    pub fn remember(&self, metadata: &Metadata, digest: Digest) {
        if let Some(key) = Key::of(metadata)
            && self.is_settled(metadata)
        {
            // What cannot be written is not remembered.
            let _ = self.insert(&key, digest);
        }
    }

    /// Whether the file was left alone long enough for its times to tell every later change.
    pub(crate) fn is_settled(&self, metadata: &Metadata) -> bool {
        let Some([.., modified, changed]) = fields(metadata) else { return false };
        let newest = modified.cast_signed().max(changed.cast_signed());
        // What is older than 1970 is old enough.
        let newest = Duration::from_nanos(u64::try_from(newest).unwrap_or(0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        newest + self.settled <= now
    }

    fn insert(&self, key: &Key, digest: Digest) -> io::Result<()> {
        let place = key.place(self.rows);
        let old = self.read(place)?;
        let others = old.iter().filter(|record| is_whole(record) && !record.starts_with(&key.0[..IDENTITY]));
        let mut row: Row = [[0; RECORD]; WAYS];
        for (record, kept) in row.iter_mut().zip(std::iter::once(&record(key, digest)).chain(others)) {
            *record = *kept;
        }
        write_at(&self.file, row.as_flattened(), place)
    }

    /// The row at `place`; what lies behind the end of the file is zeros.
    fn read(&self, place: u64) -> io::Result<Row> {
        let mut row = [[0; RECORD]; WAYS];
        let octets = row.as_flattened_mut();
        let mut filled = 0;
        loop {
            match read_at(&self.file, &mut octets[filled..], place + filled as u64)? {
                0 => return Ok(row),
                count => filled += count,
            }
        }
    }
}

/// Which state of which file; numbers with the lowest octet first.
#[derive(Debug, PartialEq, Eq)]
struct Key([u8; KEY]);

impl Key {
    fn of(metadata: &Metadata) -> Option<Self> {
        let mut key = [0; KEY];
        for (octets, field) in key.as_chunks_mut::<8>().0.iter_mut().zip(fields(metadata)?) {
            *octets = field.to_le_bytes();
        }
        Some(Self(key))
    }

    /// Where the row of this file begins. Later states of a file come into the same row, in the place of the old one.
    fn place(&self, rows: u64) -> u64 {
        let mixed = self.0[..IDENTITY].as_chunks::<8>().0.iter().fold(0_u64, |mixed, field| {
            // The multiplier of Fibonacci hashing, 2^64 divided by the golden ratio: neighbours come far apart.
            (mixed.rotate_left(32) ^ u64::from_le_bytes(*field)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        (mixed >> 32) % rows * size_of::<Row>() as u64
    }
}

/// Device, inode, size, time of modification and time of change, the times in nanoseconds since 1970 (or, negative, before).
fn fields(metadata: &Metadata) -> Option<[u64; KEY / 8]> {
    use std::os::unix::fs::MetadataExt;
    // A time that does not fit, beyond the year 2262, is no time to rely on.
    let time = |seconds: i64, nanos: i64| Some(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?.cast_unsigned());
    Some([
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        time(metadata.mtime(), metadata.mtime_nsec())?,
        time(metadata.ctime(), metadata.ctime_nsec())?,
    ])
}

/// Whether both are about the same file in the same state.
pub(super) fn is_same(before: &Metadata, after: &Metadata) -> bool {
    Key::of(before) == Key::of(after)
}

fn record(key: &Key, digest: Digest) -> Record {
    let mut record = [0; RECORD];
    record[..KEY].copy_from_slice(&key.0);
    record[KEY..KEY + Digest::LEN].copy_from_slice(&digest.0);
    let check = check(&record);
    record[KEY + Digest::LEN..].copy_from_slice(&check);
    record
}

/// The digest that `record` has for `key`.
fn digest_in(record: &Record, key: &Key) -> Option<Digest> {
    (record.starts_with(&key.0) && is_whole(record)).then(|| {
        let mut digest = Digest::default();
        digest.0.copy_from_slice(&record[KEY..KEY + Digest::LEN]);
        digest
    })
}

fn is_whole(record: &Record) -> bool {
    record.ends_with(&check(record))
}

/// The checksum that belongs at the end of `record`.
fn check(record: &Record) -> [u8; CHECK] {
    let mut stream = Stream::new();
    stream.update(FORMAT);
    stream.update(&record[..KEY + Digest::LEN]);
    let digest = stream.finish();
    std::array::from_fn(|at| digest.0[at])
}

#[cfg(test)]
impl DigestCache {
    /// A cache that trusts the times of a file at once, for tests that have only just made theirs.
    pub(super) fn trusting(path: &Path, most: usize) -> Self {
        Self { settled: Duration::ZERO, ..Self::open(path, most).unwrap() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn key(inode: u64) -> Key {
        let mut key = [7; KEY];
        key[8..16].copy_from_slice(&inode.to_le_bytes());
        Key(key)
    }

    fn find(cache: &DigestCache, key: &Key) -> Option<Digest> {
        cache.read(key.place(cache.rows)).unwrap().iter().find_map(|record| digest_in(record, key))
    }

    #[test]
    fn a_changed_file_is_not_the_file_that_was_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let cache = DigestCache::trusting(&folder.path().join("state/digests"), 64);
        let before = fs::metadata(&path).unwrap();
        assert_eq!(cache.lookup(&before), None);
        cache.remember(&before, Digest([1; 16]));
        assert_eq!(cache.lookup(&before), Some(Digest([1; 16])));
        // The same length and, set back, the same time of modification: the time of change tells. The clock of the file
        // system goes in steps of some milliseconds.
        std::thread::sleep(Duration::from_millis(50));
        fs::write(&path, "two").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.len(), after.modified().unwrap()), (before.len(), before.modified().unwrap()));
        assert_eq!(cache.lookup(&after), None);
        cache.remember(&after, Digest([2; 16]));
        assert_eq!(cache.lookup(&after), Some(Digest([2; 16])));
        assert_eq!(cache.lookup(&before), None, "the old state is not kept beside the new one");
        let reopened = DigestCache::open(&folder.path().join("state/digests"), 64).unwrap();
        assert_eq!(reopened.lookup(&after), Some(Digest([2; 16])), "kept on disk");
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let cache = DigestCache::open(&folder.path().join("digests"), 64).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        cache.remember(&metadata, Digest([1; 16]));
        assert_eq!(cache.lookup(&metadata), None);
        // Nor one from the future, whatever clock is wrong.
        let later = SystemTime::now() + Duration::from_secs(3600);
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(!DigestCache::trusting(&folder.path().join("digests"), 64).is_settled(&fs::metadata(&path).unwrap()));
    }

    #[test]
    fn the_oldest_of_a_row_falls_out_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digests");
        let cache = DigestCache::open(&path, WAYS).unwrap();
        for inode in 0..100 {
            cache.insert(&key(inode), Digest([u8::try_from(inode).unwrap(); 16])).unwrap();
        }
        for inode in 0..100 {
            let expected = (inode >= 92).then(|| Digest([u8::try_from(inode).unwrap(); 16]));
            assert_eq!(find(&cache, &key(inode)), expected, "{inode}");
        }
        let large = DigestCache::open(&path, 1024).unwrap();
        (0..10_000).for_each(|inode| large.insert(&key(inode), Digest([0; 16])).unwrap());
        let known = (0..10_000).filter(|&inode| find(&large, &key(inode)).is_some()).count();
        assert!((900..=1024).contains(&known), "{known}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 1024 * 64);
        drop(DigestCache::open(&path, WAYS).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 8 * 64, "what a larger cache left is cut off");
    }

    #[test]
    fn damage_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digests");
        let cache = DigestCache::open(&path, WAYS).unwrap();
        cache.insert(&key(1), Digest([1; 16])).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..RECORD {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(find(&cache, &key(1)), None, "octet {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(find(&cache, &key(1)), None, "cut after {at}");
        }
        fs::write(&path, [0xff; 5000]).unwrap();
        assert_eq!(find(&cache, &key(1)), None);
        cache.insert(&key(1), Digest([1; 16])).unwrap();
        assert_eq!(find(&cache, &key(1)), Some(Digest([1; 16])), "usable again");
    }

    /// Two handles, as two processes have them. Writers of one row may lose a record, but never make a wrong one.
    #[test]
    fn shared_by_threads_and_processes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digests");
        let caches = [DigestCache::open(&path, 64).unwrap(), DigestCache::open(&path, 64).unwrap()];
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let cache = &caches[usize::try_from(thread % 2).unwrap()];
                scope.spawn(move || {
                    for inode in 0..500 {
                        cache.insert(&key(inode), Digest([inode.to_le_bytes()[0]; 16])).unwrap();
                        let found = find(cache, &key(inode));
                        assert!(found.is_none_or(|digest| digest == Digest([inode.to_le_bytes()[0]; 16])));
                    }
                });
            }
        });
        caches[0].insert(&key(7), Digest([7; 16])).unwrap();
        assert_eq!(find(&caches[1], &key(7)), Some(Digest([7; 16])));
    }

    #[test]
    fn what_is_no_file_is_no_cache() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DigestCache::open(folder.path(), 64).is_err());
    }
}
