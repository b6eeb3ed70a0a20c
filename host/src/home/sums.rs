//! What is kept beside the part of a large file, so that a later attempt need not hash what is there already.
//!
//! A header of 64 octets, then the digest of each block, 16 octets each; 16 zeros stand for a block that is not
//! verified. Numbers are little-endian.
//!
//! | octets | |
//! |---|---|
//! | 0..8 | `feigesum` |
//! | 8 | version, 1 |
//! | 9 | size of a block, as a power of two |
//! | 16..24 | the file's stamp |
//! | 24..32 | its size |
//! | 32..40 | its time of last change in nanoseconds since 1970; the least number: not known |
//! | 40..56 | since which start it was written ([`start_of`]); zeros: not known |
//!
//! While the machine runs and the disk stays in it, what was written is what is read, even if this program was killed:
//! the digests are believed. After that they are compared with the octets.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

use cap_std::fs::Dir;
use feige_core::digest::{Digest, Hasher, Scalar};
use feige_core::wire::transfer::block_len;

use super::sys;
use crate::store::{owned, read_at, write_at};

/// Begins every such file.
const MAGIC: &[u8; 8] = b"feigesum";
/// What is written here has this form.
const VERSION: u8 = 1;
/// Octets before the first digest.
pub(super) const HEADER: usize = 64;
/// Stands for a start that is not known.
pub(super) const UNKNOWN: [u8; 16] = [0; 16];
/// Stands for a time that is not known.
const NO_TIME: i64 = i64::MIN;

/// Blocks that are hashed at a time: as many as a hasher has lanes.
const LANES: usize = 8;

/// Which file a part is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) stamp: u64,
    pub(super) size: u64,
    pub(super) mtime: Option<i64>,
    /// As a power of two.
    pub(super) block: u8,
}

impl Identity {
    /// Whether an attempt at `other` may continue this one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.stamp, self.size, self.block) == (other.stamp, other.size, other.block)
    }

    fn block_len(&self) -> u64 {
        block_len(self.block).map_or(1, u64::from)
    }
}

/// The digests of a part's blocks.
#[derive(Debug)]
pub(super) struct Sums {
    file: File,
    identity: Identity,
}

impl Sums {
    /// Begins anew, for a part without any verified octets.
    pub(super) fn begin(dir: &Dir, name: &str, identity: Identity) -> io::Result<Self> {
        let file = match owned::create(dir, name) {
            // Left behind; whoever has the lock of the part may do with it as he likes.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                dir.remove_file(name)?;
                owned::create(dir, name)?
            }
            other => other?,
        };
        let sums = Self { file: file.into_std(), identity };
        let now = start_of(&sums.file);
        write_at(&sums.file, &encode(&identity, now), 0)?;
        Ok(sums)
    }

    /// Takes up what an earlier attempt left, with the number of octets of `part` that are verified, in blocks of full
    /// length. `None` if it left nothing that is of use.
    pub(super) fn take_up(dir: &Dir, name: &str, part: &File) -> io::Result<Option<(Self, u64)>> {
        let file = match owned::open(dir, name) {
            Ok(Some(file)) => file.into_std(),
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound || sys::is_link(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut header = [0; HEADER];
        if read_full(&file, &mut header, 0)? < HEADER {
            return Ok(None);
        }
        let Some((identity, start)) = decode(&header) else { return Ok(None) };
        let sums = Self { file, identity };
        let there = part.metadata()?.len().min(identity.size);
        let mut front = sums.front(there)?;
        let now = start_of(&sums.file);
        if start != now || start == UNKNOWN {
            front = sums.compare(part, front, &mut Scalar)?;
            sums.cut(front)?;
            // From now on they are known to be true.
            write_at(&sums.file, &encode(&identity, now), 0)?;
        }
        Ok(Some((sums, front)))
    }

    /// Which file it is of.
    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Keeps the digests of the blocks from octet `at` on.
    pub(super) fn keep(&self, at: u64, digests: &[Digest]) -> io::Result<()> {
        let octets: Vec<u8> = digests.iter().flat_map(|Digest(digest)| digest).copied().collect();
        write_at(&self.file, &octets, self.place(at))
    }

    /// Forgets the blocks that have octets of a range.
    pub(super) fn forget(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            write_at(&self.file, &[0; Digest::LEN], self.place(at))?;
            at = at.saturating_add(self.identity.block_len());
        }
        Ok(())
    }

    /// Keeps only the blocks before octet `front`.
    pub(super) fn cut(&self, front: u64) -> io::Result<()> {
        let blocks = front.div_ceil(self.identity.block_len());
        self.file.set_len(blocks.saturating_mul(Digest::LEN as u64).saturating_add(HEADER as u64))
    }

    /// Where the digest of the block with octet `at` is kept.
    fn place(&self, at: u64) -> u64 {
        (at / self.identity.block_len()).saturating_mul(Digest::LEN as u64).saturating_add(HEADER as u64)
    }

    /// How many of the first `there` octets have digests, without a gap, in blocks of full length: a short last block
    /// is not worth a case of its own.
    fn front(&self, there: u64) -> io::Result<u64> {
        let block = self.identity.block_len();
        let mut buffer = vec![0; 4096 * Digest::LEN];
        let (mut front, mut place) = (0_u64, HEADER as u64);
        loop {
            let read = read_full(&self.file, &mut buffer, place)?;
            // A torn digest at the end is none.
            let (digests, _) = buffer[..read].as_chunks::<{ Digest::LEN }>();
            for digest in digests {
                let next = front.saturating_add(block);
                if digest == &[0; Digest::LEN] || next > there {
                    return Ok(front);
                }
                front = next;
            }
            if read < buffer.len() {
                return Ok(front);
            }
            place = place.saturating_add(read as u64);
        }
    }

    /// Hashes the first `front` octets of `part` again, and returns how many of them are what they were.
    fn compare(&self, part: &File, front: u64, hasher: &mut impl Hasher) -> io::Result<u64> {
        let block = self.identity.block_len();
        let len = usize::try_from(block).unwrap_or(1 << 20);
        let mut octets = vec![0; LANES * len];
        let mut at = 0_u64;
        while at < front {
            let want = usize::try_from(front - at).unwrap_or(usize::MAX).min(octets.len());
            let read = read_full(part, &mut octets[..want], at)?;
            let blocks: Vec<&[u8]> = octets[..read].chunks(len).collect();
            let mut kept = vec![[0_u8; Digest::LEN]; blocks.len()];
            let kept_len = read_full(&self.file, kept.as_flattened_mut(), self.place(at))? / Digest::LEN;
            let mut found = vec![Digest::default(); blocks.len()];
            hasher.md5(&blocks, &mut found);
            for (number, (found, kept)) in found.iter().zip(&kept).enumerate() {
                if found.0 != *kept || number >= kept_len {
                    return Ok(at.saturating_add((number as u64).saturating_mul(block)));
                }
            }
            if read < want {
                return Ok(at);
            }
            at = at.saturating_add(read as u64);
        }
        Ok(front)
    }
}

fn encode(identity: &Identity, start: [u8; 16]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8] = VERSION;
    header[9] = identity.block;
    header[16..24].copy_from_slice(&identity.stamp.to_le_bytes());
    header[24..32].copy_from_slice(&identity.size.to_le_bytes());
    header[32..40].copy_from_slice(&identity.mtime.unwrap_or(NO_TIME).to_le_bytes());
    header[40..56].copy_from_slice(&start);
    header
}

/// Which file it is of, and since which start it was written.
fn decode(header: &[u8; HEADER]) -> Option<(Identity, [u8; 16])> {
    let (words, _) = header.as_chunks::<8>();
    let word = |at: usize| words.get(at).map(|word| u64::from_le_bytes(*word));
    if &words[0] != MAGIC || header[8] != VERSION || block_len(header[9]).is_none() {
        return None;
    }
    let mtime = Some(word(4)?.cast_signed()).filter(|&mtime| mtime != NO_TIME);
    let identity = Identity { stamp: word(2)?, size: word(3)?, mtime, block: header[9] };
    Some((identity, header[40..56].try_into().ok()?))
}

/// Reads until `into` is full or the file ends.
pub(super) fn read_full(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match read_at(file, &mut into[done..], at.saturating_add(done as u64))? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// Something that is another once the machine was restarted or the file system of `file` was taken out; zeros if it is
/// not known.
pub(super) fn start_of(file: &File) -> [u8; 16] {
    static MACHINE: OnceLock<Digest> = OnceLock::new();
    let Digest(machine) = *MACHINE.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = id.trim().chars().filter(|&character| character != '-').collect();
        Digest::from_hex(&digits).unwrap_or_default()
    });
    match sys::mounting(file) {
        _ if machine == UNKNOWN => UNKNOWN,
        // Older systems do not tell.
        0 => machine,
        mounting => Digest::of(&[&machine[..], &mounting.to_le_bytes()].concat()).0,
    }
}
