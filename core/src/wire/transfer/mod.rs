//! The verified transfer protocol: messages of a length, a header and a body.
//!
//! A message is four octets of header length, little-endian; the header; and exactly as many octets of body as the
//! header says. The first octet of the header tells the codec: `{` begins a header of the classic JSON dialects,
//! anything else is one of ours, an enum in postcard's encoding.
//!
//! **Memory**: headers borrow from the octets they were read from. **Time**: linear in the header.
//! **Protocol**: `docs/protocol/transfer.md`, the rules R-VT-1 to 29.

mod emit;
mod frame;
mod header;
mod path;
#[cfg(test)]
mod tests;

pub use frame::{LENGTH, Prefix, decode, encode, prefix};
pub use header::{Data, Entry, EntryKind, ErrorCode, File, Get, Hello, LONG_RUN, LONG_RUNS, Put, Reply, Request};
pub use path::{BadPath, Path};

/// The usual TCP port.
pub const PORT: u16 = 2426;

/// The version spoken here (R-VT-10).
pub const VERSION: u8 = 1;

/// The longest header that a host takes (R-VT-3).
pub const MAX_HEADER_HOST: u16 = 4096;

/// The longest header that a device takes, and that everybody must take (R-VT-3).
pub const MAX_HEADER_DEVICE: u16 = 512;

/// The smallest and the largest block, as powers of two: 4 KiB and 1 MiB (R-VT-30).
pub const BLOCK_LOG2: core::ops::RangeInclusive<u8> = 12..=20;

/// How many octets a block of this power of two has, if it is one that may be used (R-VT-30).
#[must_use]
pub fn block_len(log2: u8) -> Option<u32> {
    if BLOCK_LOG2.contains(&log2) { 1_u32.checked_shl(u32::from(log2)) } else { None }
}

/// How many octets of body belong to `data` in blocks of `block` octets: a digest for each block, and the data
/// (R-VT-31).
#[must_use]
pub fn body_len(data: u32, block: u32) -> u64 {
    let digests = u64::from(data.div_ceil(block.max(1))).saturating_mul(16);
    u64::from(data).saturating_add(digests)
}
