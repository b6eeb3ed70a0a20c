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
//! | 40..56 | since which start it was written ([`start_of`]) |
//! | 56..64 | up to which octet that is so: behind it, digests are of an earlier start; 0: it is so of all |
//!
//! While the machine runs and the disk stays in it, what was written is what is read, even if this program was killed:
//! the digests are believed. After that they are doubted, until they have been compared with the octets
//! ([`Sums::compare`]). How far that has come is kept too, so that it comes to its end however often it is broken off.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

use cap_std::fs::Dir;
use feige_core::digest::{Digest, Hasher};
use feige_core::wire::transfer::block_len;

use super::sys;
use crate::digest::Lanes;
use crate::store::{owned, read_at, unguessable, write_at};

/// Begins every such file.
const MAGIC: &[u8; 8] = b"feigesum";
/// What is written here has this form.
const VERSION: u8 = 1;
/// Octets before the first digest.
pub(super) const HEADER: usize = 64;
/// Stands for a time that is not known.
const NO_TIME: i64 = i64::MIN;

/// Blocks that are compared at a time: they are hashed side by side.
const TOGETHER: usize = 16;

/// Octets that are compared at a time, at most. Whoever has had enough does not wait for more than that.
const PIECE: usize = 4 << 20;

/// How far a comparison has come is kept whenever it has come so many octets further.
const NOTED: u64 = 64 << 20;

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
    /// The digests from this octet on are of an earlier start.
    doubted: Option<u64>,
}

/// What of a part is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    /// Octets that are verified, from the first on, in blocks of full length.
    pub(super) believed: u64,
    /// Octets behind them that were, as far as was put on the disk of them.
    pub(super) doubted: u64,
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
        let mut sums = Self { file: file.into_std(), identity, doubted: None };
        sums.believe(None)?;
        Ok(sums)
    }

    /// Opens what an earlier attempt left. `None` if it left nothing that is of use.
    pub(super) fn open(dir: &Dir, name: &str) -> io::Result<Option<Self>> {
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
        let Some((identity, start, until)) = decode(&header) else { return Ok(None) };
        let doubted = match until {
            _ if start != start_of(&file) => Some(0),
            0 => None,
            until => Some(until - until % identity.block_len()),
        };
        Ok(Some(Self { file, identity, doubted }))
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

    /// What of `part` is of use: a short last block is not worth a case of its own.
    pub(super) fn front(&self, part: &File) -> io::Result<Front> {
        let front = self.digested(part.metadata()?.len().min(self.identity.size))?;
        let believed = self.doubted.map_or(front, |from| from.min(front));
        Ok(Front { believed, doubted: front - believed })
    }

    /// Keeps only the blocks before octet `front`, of which none is doubted.
    pub(super) fn keep_front(&mut self, front: u64) -> io::Result<()> {
        self.cut(front)?;
        if self.doubted.is_some() { self.believe(None) } else { Ok(()) }
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

    /// How many of the first `there` octets have digests, without a gap, in blocks of full length.
    fn digested(&self, there: u64) -> io::Result<u64> {
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

    /// Hashes what is doubted of `part` again. The front that is what it was is believed from now on, and the rest is cut
    /// off, as is what cannot be read. `goes_on` is asked before each piece; `false` if it did not want more: then what
    /// was compared is believed, and the next comparison goes on there.
    pub(super) fn compare(&mut self, part: &File, mut goes_on: impl FnMut() -> bool) -> io::Result<bool> {
        let Front { believed, doubted } = self.front(part)?;
        let block = usize::try_from(self.identity.block_len()).unwrap_or(PIECE);
        let mut piece = Piece::new(block);
        let (end, mut at) = (believed + doubted, believed);
        let mut noted = at;
        while at < end {
            if !goes_on() {
                self.believe(Some(at))?;
                return Ok(false);
            }
            let want = usize::try_from(end - at).map_or(piece.octets.len(), |left| left.min(piece.octets.len()));
            let sound = self.sound(part, at, want, &mut piece).unwrap_or(0);
            at += sound as u64;
            if sound < want {
                break;
            }
            if at - noted >= NOTED {
                self.believe(Some(at))?;
                noted = at;
            }
        }
        self.cut(at)?;
        self.believe(None)?;
        Ok(true)
    }

    /// How many of `want` octets from `at` on are what they were: whole blocks.
    fn sound(&self, part: &File, at: u64, want: usize, piece: &mut Piece) -> io::Result<usize> {
        let Piece { block, octets, kept, found, lanes } = piece;
        let read = read_full(part, &mut octets[..want], at)?;
        let blocks: Vec<&[u8]> = octets[..read].chunks_exact(*block).collect();
        let kept = &mut kept[..blocks.len()];
        let kept_len = read_full(&self.file, kept.as_flattened_mut(), self.place(at))? / Digest::LEN;
        let found = &mut found[..blocks.len()];
        lanes.md5(&blocks, found);
        let same = found.iter().zip(&kept[..kept_len]).take_while(|(found, kept)| found.0 == **kept);
        Ok(same.count() * *block)
    }

    /// What is kept is believed: all of it, or what lies before an octet.
    fn believe(&mut self, until: Option<u64>) -> io::Result<()> {
        // There is no saying that nothing is believed, and no need to.
        if until != Some(0) {
            write_at(&self.file, &encode(&self.identity, start_of(&self.file), until.unwrap_or(0)), 0)?;
        }
        self.doubted = until;
        Ok(())
    }
}

/// What is compared at a time.
struct Piece {
    /// Octets of a block.
    block: usize,
    octets: Vec<u8>,
    kept: Vec<[u8; Digest::LEN]>,
    found: Vec<Digest>,
    lanes: Lanes,
}

impl Piece {
    fn new(block: usize) -> Self {
        let blocks = (PIECE / block).clamp(1, TOGETHER);
        Self {
            block,
            octets: vec![0; blocks * block],
            kept: vec![[0; Digest::LEN]; blocks],
            found: vec![Digest::default(); blocks],
            lanes: Lanes::new(),
        }
    }
}

fn encode(identity: &Identity, start: [u8; 16], until: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8] = VERSION;
    header[9] = identity.block;
    header[16..24].copy_from_slice(&identity.stamp.to_le_bytes());
    header[24..32].copy_from_slice(&identity.size.to_le_bytes());
    header[32..40].copy_from_slice(&identity.mtime.unwrap_or(NO_TIME).to_le_bytes());
    header[40..56].copy_from_slice(&start);
    header[56..64].copy_from_slice(&until.to_le_bytes());
    header
}

/// Which file it is of, since which start it was written, and up to where.
fn decode(header: &[u8; HEADER]) -> Option<(Identity, [u8; 16], u64)> {
    let (words, _) = header.as_chunks::<8>();
    let word = |at: usize| words.get(at).map(|word| u64::from_le_bytes(*word));
    if &words[0] != MAGIC || header[8] != VERSION || block_len(header[9]).is_none() {
        return None;
    }
    let mtime = Some(word(4)?.cast_signed()).filter(|&mtime| mtime != NO_TIME);
    let identity = Identity { stamp: word(2)?, size: word(3)?, mtime, block: header[9] };
    Some((identity, header[40..56].try_into().ok()?, word(7)?))
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

/// Something that is another once the machine was restarted or the file system of `file` was taken out. Where the system
/// does not tell when it was started, it is another for each process.
pub(super) fn start_of(file: &File) -> [u8; 16] {
    static MACHINE: OnceLock<Digest> = OnceLock::new();
    let Digest(machine) = *MACHINE.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = id.trim().chars().filter(|&character| character != '-').collect();
        Digest::from_hex(&digits).unwrap_or_else(|| Digest::of(&unguessable().to_le_bytes()))
    });
    match sys::mounting(file) {
        // Older systems do not tell.
        0 => machine,
        mounting => Digest::of(&[&machine[..], &mounting.to_le_bytes()].concat()).0,
    }
}
