//! MD5 for processors with wide registers: what a desktop lends to the core as its [`Hasher`].
//!
//! | part | hashes |
//! |---|---|
//! | [`Lanes`] | inputs that do not depend on each other: the blocks of a file, small files |
//! | [`Stream`] | one input that comes piece by piece |
//!
//! A crate of its own, because the program and the simulated device both use it, and the core has nothing to do with it.
//!
//! **Guarantees**: everything here gives what RustCrypto's `md-5` gives, which the core uses; the tests compare them.
//! **Memory**, **Time**: see [`Lanes`]; a [`Stream`] is some 100 octets.
//! **Protocol**: RFC 1321; `docs/protocol/transfer.md`, rules R-VT-30 to 39.
//!
//! [`Hasher`]: feige_core::digest::Hasher

mod kernel;
mod lanes;
mod stream;
mod words;

pub use lanes::Lanes;
pub use stream::Stream;
