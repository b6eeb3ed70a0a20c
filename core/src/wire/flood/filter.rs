//! Which names a neighbour has, roughly.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::wire::octets;

/// A Bloom filter of names: it may say "perhaps" of a name that is not there, and never "no" of one that is (R-FL-40).
///
/// 1,024 bits; a name sets four of them, told by its MD5. With [`NameFilter::GOOD_FOR`] names one "perhaps" in a
/// thousand is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameFilter(#[serde(with = "octets")] [u8; Self::LEN]);

impl NameFilter {
    /// Octets of a filter.
    pub const LEN: usize = 128;

    /// How many names it holds well: 20 bits for each.
    pub const GOOD_FOR: usize = Self::LEN * 8 / 20;

    const BITS: u32 = 1024;

    /// Of no name.
    pub const NONE: Self = Self([0; Self::LEN]);

    /// Says "perhaps" of everything: as good as no filter.
    pub const ALL: Self = Self([0xff; Self::LEN]);

    /// Adds a name.
    pub fn insert(&mut self, name: &str) {
        for bit in bits(name) {
            if let Some(octet) = self.0.get_mut(bit.octet) {
                *octet |= bit.mask;
            }
        }
    }

    /// Whether the name may have been added.
    #[must_use]
    pub fn may_have(&self, name: &str) -> bool {
        *self == Self::ALL
            || bits(name).iter().all(|bit| self.0.get(bit.octet).is_none_or(|octet| octet & bit.mask != 0))
    }
}

impl<'a> FromIterator<&'a str> for NameFilter {
    /// A filter of these names, or [`NameFilter::ALL`] if they are so many that it would be of no use.
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut filter = Self::NONE;
        for (count, name) in names.into_iter().enumerate() {
            // Twice as many names make one "perhaps" in fifty wrong; from there on it soon says nothing.
            if count >= Self::GOOD_FOR.saturating_mul(2) {
                return Self::ALL;
            }
            filter.insert(name);
        }
        filter
    }
}

impl fmt::Debug for NameFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: u32 = self.0.iter().map(|octet| octet.count_ones()).sum();
        write!(f, "NameFilter({set} bits of {})", Self::BITS)
    }
}

/// A place in a filter.
#[derive(Clone, Copy, Default)]
struct Bit {
    octet: usize,
    mask: u8,
}

/// The four places of a name: each of the four words of its MD5, little-endian, modulo the number of bits. Bit 0 is the
/// lowest of the first octet.
fn bits(name: &str) -> [Bit; 4] {
    let digest = Digest::of(name.as_bytes());
    let mut bits = [Bit::default(); 4];
    for (bit, word) in bits.iter_mut().zip(digest.0.as_chunks::<4>().0) {
        let at = u32::from_le_bytes(*word) % NameFilter::BITS;
        *bit = Bit { octet: usize::try_from(at / 8).unwrap_or(0), mask: 1 << (at % 8) };
    }
    bits
}
