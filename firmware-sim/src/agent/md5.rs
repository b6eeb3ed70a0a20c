//! What computes MD5 on a board.

use feige_core::digest::{Digest, Hasher, Running, Scalar};

/// What computes MD5 on a board: its processor, one octet after the other ([`Scalar`]), or something faster, as an
/// accelerator or the wide registers of a desktop.
///
/// As a [`Hasher`] it computes the digests of the blocks of the verified transfer, of several at once if the buffers hold
/// a run of sixteen; and here that of a whole file while it is fetched.
pub trait Md5: Hasher {
    /// A digest in the making, of an input that comes piece by piece.
    type Running: Default;

    /// Takes the next octets.
    fn update(&mut self, running: &mut Self::Running, octets: &[u8]);

    /// The digest of everything that came.
    fn finish(&mut self, running: Self::Running) -> Digest;
}

impl Md5 for Scalar {
    type Running = Running;

    fn update(&mut self, running: &mut Running, octets: &[u8]) {
        running.update(octets);
    }

    fn finish(&mut self, running: Running) -> Digest {
        running.finish()
    }
}
