//! MD5 of files, and what computes it.
//!
//! | part | does |
//! |---|---|
//! | [`Lanes`], [`Stream`] | compute: many inputs side by side, one that comes piece by piece (`feige-digest`) |
//! | [`file_md5`] | a whole file, or nothing if a [`DigestCache`] knows it |
//!
//! **Protocol**: RFC 1321; `docs/protocol/transfer.md`, rules R-VT-30 to 39.

mod cache;
mod file;

pub use cache::DigestCache;
pub use feige_digest::{Lanes, Stream};
pub use file::file_md5;
