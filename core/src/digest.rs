//! MD5 of blocks, of files made of blocks, and who computes it.
//!
//! MD5 of one long input is serial: one core, one stream, some 500 MB/s on a desktop. A file cut into blocks has many
//! inputs that do not depend on each other, and a processor with wide registers hashes eight of them in the time of
//! one. So whoever drives a transfer may bring a [`Hasher`] of its own; [`Scalar`] is what a microcontroller has.
//!
//! MD5 finds accidents, not attackers: whoever can change octets on the wire can change the digest with them.
//!
//! **Memory**: [`Scalar`] has none; a running digest is some 100 octets. **Time**: linear in the octets.
//! **Protocol**: RFC 1321; `docs/protocol/transfer.md`, rules R-VT-30 to 39.

use core::fmt;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use crate::wire::octets;

/// An MD5 digest: 16 octets, as RFC 1321 orders them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "octets")] pub [u8; Self::LEN]);

impl Digest {
    /// Octets of a digest.
    pub const LEN: usize = 16;

    /// MD5 of `octets`.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        Self(Md5::digest(octets).into())
    }

    /// Its first eight octets as a number, the first one highest: a key that the same input always has.
    #[must_use]
    pub const fn key(&self) -> u64 {
        let Self([a, b, c, d, e, f, g, h, ..]) = *self;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Reads 32 hexadecimal digits, of either case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut digest = [0; Self::LEN];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != digest.len() || !rest.is_empty() {
            return None;
        }
        for (octet, &[high, low]) in digest.iter_mut().zip(pairs) {
            let digit = |character: u8| char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *octet = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(digest))
    }
}

/// 32 lower-case hexadecimal digits, as `md5sum` prints them.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Computes the digests of several inputs that do not depend on each other, side by side where it can.
pub trait Hasher {
    /// Puts MD5 of each of `inputs` to the same place of `digests`. Inputs may have any and different lengths; where
    /// one slice is longer than the other, its rest is left alone.
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]);
}

impl<H: Hasher + ?Sized> Hasher for &mut H {
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        H::md5(self, inputs, digests);
    }
}

/// One input after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Hasher for Scalar {
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        for (input, digest) in inputs.iter().zip(digests) {
            *digest = Digest::of(input);
        }
    }
}

/// MD5 of an input that comes piece by piece.
#[derive(Clone, Default)]
pub struct Running(Md5);

impl Running {
    /// Begins with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of everything that came.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

/// The digest of a file, from the digests of its blocks (R-VT-32): of one block it is the digest of that block, so that
/// for a small file it is the MD5 of the file; of several it is MD5 of their digests one behind the other.
#[derive(Clone, Debug, Default)]
pub struct BlockDigest {
    first: Option<Digest>,
    rest: Option<Running>,
}

impl BlockDigest {
    /// Of a file without any block yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the digest of the next block.
    pub fn push(&mut self, digest: &Digest) {
        match (self.first, &mut self.rest) {
            (None, _) => self.first = Some(*digest),
            (Some(_), Some(running)) => running.update(&digest.0),
            (Some(first), none) => {
                let mut running = Running::new();
                running.update(&first.0);
                running.update(&digest.0);
                *none = Some(running);
            }
        }
    }

    /// The digest of the file.
    #[must_use]
    pub fn finish(self) -> Digest {
        match (self.first, self.rest) {
            (_, Some(running)) => running.finish(),
            (Some(first), None) => first,
            (None, None) => Digest::of(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// The test suite of RFC 1321, appendix A.5.
    #[test]
    fn rfc_1321() {
        for (input, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            let digest = Digest::of(input.as_bytes());
            assert_eq!(digest.to_string(), expected);
            assert_eq!(u64::from_str_radix(&expected[..16], 16), Ok(digest.key()));
            assert_eq!(Digest::from_hex(expected), Some(digest));
            assert_eq!(Digest::from_hex(&expected.to_uppercase()), Some(digest));
            let mut running = Running::new();
            input.bytes().for_each(|octet| running.update(&[octet]));
            assert_eq!(running.finish(), digest);
        }
        for wrong in [
            "",
            "d41d8cd98f00b204e9800998ecf8427",
            "d41d8cd98f00b204e9800998ecf8427e0",
            "+41d8cd98f00b204e9800998ecf8427e",
        ] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }

    /// proves: R-VT-32
    #[test]
    fn a_file_of_one_block_has_the_digest_of_the_file() {
        assert_eq!(BlockDigest::new().finish(), Digest::of(b""));
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let mut file = BlockDigest::new();
        file.push(&one);
        assert_eq!(file.clone().finish(), one);
        file.push(&two);
        assert_eq!(file.clone().finish(), Digest::of(&[one.0, two.0].concat()));
        file.push(&one);
        assert_eq!(file.finish(), Digest::of(&[one.0, two.0, one.0].concat()));
    }
}
