//! One input that comes piece by piece.

use std::fmt;

use feige_core::digest::Digest;

/// MD5 of an input that comes piece by piece, in the fastest code for one stream.
pub struct Stream(fast_md5::Md5);

impl Stream {
    /// Begins with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(fast_md5::Md5::new())
    }

    /// Takes the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of everything that came.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize())
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length in two pieces, cut at places that fall on and beside the borders of blocks.
    #[test]
    fn a_stream_gives_what_the_core_gives() {
        let octets: Vec<u8> = (0..66_000u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
        for length in (0..=300).chain([4_095, 4_096, 4_097, 65_535, 65_536, 65_537]) {
            let input = &octets[..length];
            for cut in [0, 1, 63, 64, 65, length / 2, length] {
                let (before, after) = input.split_at(cut.min(length));
                let mut stream = Stream::new();
                stream.update(before);
                stream.update(after);
                assert_eq!(stream.finish(), Digest::of(input), "{length} octets, cut at {cut}");
            }
        }
        let mut stream = Stream::default();
        octets[..300].iter().for_each(|octet| stream.update(&[*octet]));
        assert_eq!(stream.finish(), Digest::of(&octets[..300]), "octet by octet");
    }
}
