//! Flooded search on the wire: what neighbours say to each other, and the texts of the classic programs.
//!
//! Two peers that know each other keep a connection, a *link*. Its messages are framed as those of the verified
//! transfer are and share its port: four octets of header length, little-endian, and the header. The header begins with
//! [`MARK`], which no other header does; an enum in postcard's encoding follows, [`Message`]. There are no bodies.
//!
//! **Memory**: messages borrow from the octets they were read from. **Time**: linear in the message.
//! **Protocol**: `docs/protocol/flood.md`, the rules R-FL-1 to 3, 20, 33, 40 and R-FL-70 to 76.

pub mod classic;
mod filter;
mod message;
#[cfg(test)]
mod tests;

pub use filter::NameFilter;
pub use message::{Hello, Hit, Holder, Message, Query, QueryId, Speech, Token, What};

use core::net::Ipv4Addr;

use super::transfer::{self, LENGTH, Prefix};
use super::{BufferTooSmall, Fault, Field, ParseError};

/// The usual TCP port of a peer.
pub const PORT: u16 = 2427;

/// The version spoken here (R-FL-10).
pub const VERSION: u8 = 1;

/// The first octet of each header, an `F` (R-FL-1). Headers of the verified transfer begin with small numbers, those of
/// the classic dialects with `{`.
pub const MARK: u8 = b'F';

/// The longest header (R-FL-2).
pub const MAX_HEADER: usize = 320;

/// The longest message: what a buffer must hold.
pub const MAX_MESSAGE: usize = MAX_HEADER + LENGTH;

/// The longest text in a query, in octets, so that the whole message has at most 256 (R-FL-20).
pub const MAX_TEXT: usize = 236;

/// How far a query goes, in links (R-FL-21).
pub const RADIUS: u8 = 7;

/// A TTL that nobody sends: what has more is dropped (R-FL-21).
pub const TTL_NONSENSE: u8 = 16;

/// Looks at the front of what came over a link: a message and how many octets it takes, or `None` if more must come.
///
/// The message is `None` if it is of a kind that is not known: a later version's, to be ignored (R-FL-3).
///
/// # Errors
/// [`ParseError`]: the link cannot go on.
pub fn frame(octets: &[u8]) -> Result<Option<(Option<Message<'_>>, usize)>, ParseError> {
    let Prefix::Header(length) = transfer::prefix(octets, MAX_HEADER)? else { return Ok(None) };
    let whole = length.saturating_add(LENGTH);
    let Some(header) = octets.get(LENGTH..whole) else { return Ok(None) };
    Ok(Some((decode(header)?, whole)))
}

/// Reads a header, without its length.
///
/// # Errors
/// [`ParseError`] if it is not a link's, or not of its form.
pub fn decode(header: &[u8]) -> Result<Option<Message<'_>>, ParseError> {
    let malformed = ParseError { field: Field::Header, fault: Fault::Malformed };
    let (&mark, message) = header.split_first().ok_or(malformed)?;
    if mark != MARK {
        return Err(malformed);
    }
    match message.first() {
        None => Err(malformed),
        // Octets behind the known fields are a later version's (R-FL-3), and so are kinds behind the known ones.
        Some(&kind) if kind < Message::KINDS => transfer::decode(message).map(Some),
        Some(_) => Ok(None),
    }
}

/// Whether one host may have this address (R-FL-31, R-FL-75): neither of 0.0.0.0/8, where "this host" is, nor a group's, nor
/// one of 240.0.0.0/4, which are nobody's, nor the broadcast address.
pub(crate) const fn is_host(ip: Ipv4Addr) -> bool {
    let [first, ..] = ip.octets();
    matches!(first, 1..224)
}

/// Writes a message, length and all, to the front of `buffer`, and returns how many octets it takes.
///
/// # Errors
/// [`BufferTooSmall`]; [`MAX_MESSAGE`] octets are always enough.
pub fn encode(message: &Message<'_>, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
    transfer::encode(&(MARK, message), buffer)
}
