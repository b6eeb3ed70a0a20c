//! What must be known of an archive before a library reads it.

/// Octets of the record at the end of an archive without a comment.
pub(super) const END: usize = 22;

/// How many octets the list of entries may have: it is read into memory.
const MOST_LISTED: u32 = 8 << 20;

/// The record at the end of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// How many entries it has.
    pub(super) entries: u16,
    listed: u32,
}

impl End {
    /// Reads the last octets of an archive of `total` octets. `None` if they are no such record, or one of another
    /// archive, which may be an entry of this one.
    pub(super) fn parse(octets: &[u8; END], total: u64) -> Option<Self> {
        let word = |at: usize| u16::from_le_bytes([octets[at], octets[at + 1]]);
        let double = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
        let (entries, listed, start) = (word(10), double(12), double(16));
        let is_one = octets.starts_with(b"PK\x05\x06") && word(4) == 0 && word(6) == 0 && word(20) == 0;
        let fits = u64::from(start) + u64::from(listed) + END as u64 == total;
        (is_one && fits && word(8) == entries).then_some(Self { entries, listed })
    }

    /// Whether the list of entries can be read at all without taking more memory than it is worth.
    pub(super) fn is_modest(&self) -> bool {
        usize::from(self.entries) <= super::MOST_ENTRIES && self.listed <= MOST_LISTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_this_very_archive() {
        let mut end = [0; END];
        end[..4].copy_from_slice(b"PK\x05\x06");
        assert_eq!(End::parse(&end, 22), Some(End { entries: 0, listed: 0 }), "an archive without entries");
        assert_eq!(End::parse(&end, 23), None, "of another length");
        for at in (0..END).filter(|&at| at != 10 && at != 8) {
            let mut other = end;
            other[at] ^= 1;
            assert_eq!(End::parse(&other, 22), None, "octet {at}");
        }
        end[8..12].copy_from_slice(&[0xff; 4]);
        assert!(!End::parse(&end, 22).unwrap().is_modest());
    }
}
