//! Length, header, body.

use serde::{Deserialize, Serialize};

use super::emit::emit;
use crate::wire::{BufferTooSmall, Fault, Field, ParseError};

/// Octets of the length in front of each header (R-VT-1).
pub const LENGTH: usize = 4;

/// What is known of a message from its first octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Not even the length is there.
    More,
    /// The length of the header that follows it.
    Header(usize),
}

/// Reads the length at the front of a message, whose header may have at most `most` octets (R-VT-2, R-VT-3).
///
/// # Errors
/// [`ParseError`]: a header is never empty, and one that is too long is not read at all. The connection cannot go on.
pub fn prefix(octets: &[u8], most: usize) -> Result<Prefix, ParseError> {
    let Some(&length) = octets.first_chunk::<LENGTH>() else { return Ok(Prefix::More) };
    match usize::try_from(u32::from_le_bytes(length)) {
        Ok(0) => Err(ParseError::malformed(Field::HeaderLength)),
        Ok(length) if length <= most => Ok(Prefix::Header(length)),
        _ => Err(ParseError::too_large(Field::HeaderLength)),
    }
}

/// Writes length and header to the front of `buffer`, and returns how many octets they take together.
///
/// # Errors
/// [`BufferTooSmall`], with the size that would have sufficed.
pub fn encode<T: Serialize>(header: &T, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let whole = |header: usize| header.saturating_add(LENGTH);
    let (length, room) = match buffer.split_first_chunk_mut::<LENGTH>() {
        Some((length, room)) => (Some(length), room),
        None => (None, [].as_mut_slice()),
    };
    let written = emit(header, room).map_err(|BufferTooSmall { needed }| BufferTooSmall { needed: whole(needed) })?;
    let too_small = BufferTooSmall { needed: whole(written) };
    *length.ok_or(too_small)? = u32::try_from(written).map_err(|_| too_small)?.to_le_bytes();
    Ok(whole(written))
}

/// Reads a header, without its length. Octets behind it belong to a later version of it and are ignored (R-VT-5).
///
/// # Errors
/// [`ParseError`] if it is none of ours.
pub fn decode<'a, T: Deserialize<'a>>(header: &'a [u8]) -> Result<T, ParseError> {
    postcard::take_from_bytes(header)
        .map(|(header, _)| header)
        .map_err(|_| ParseError { field: Field::Header, fault: Fault::Malformed })
}
