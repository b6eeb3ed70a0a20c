//! The classic JSON dialects: what the file programs of network courses speak.
//!
//! A message is four octets of header length, little-endian and signed; the header, an object in JSON; and as many
//! octets of body as the header says. Four programs, whose keys differ, made four [`Dialect`]s of it. They are told
//! apart, and from everything else that arrives at the same port, by their first octets ([`Opening`]) and keys
//! ([`Request`]).
//!
//! The JSON reader is our own. `serde-json-core`, the field's choice, refuses surrogate pairs, does not resolve escapes
//! in keys, takes anything for an ignored value and has no limit of depth; what a header needs beyond that is one
//! loop over keys.
//!
//! **Guarantees**: every octet is checked before any is believed; nothing panics, nothing recurses deeper than
//! [`MAX_DEPTH`]. **Memory**: headers borrow from the octets they were read from; [`SaltedMd5`] is some 200 octets.
//! **Time**: linear in the header, for each key that is looked up. **Protocol**: `docs/protocol/classic.md`, the rules
//! R-CL-1 to 29.

mod header;
mod json;
mod opening;
mod salted;
#[cfg(test)]
mod tests;

pub use header::{CommandReply, Put, Request, Salted, Seal, Upload};
pub use json::{Chars, JsonText, MAX_DEPTH, Object, Value};
pub use opening::Opening;
pub use salted::{FileType, SaltedMd5};

use core::fmt;
use core::str::FromStr;

use super::ParseError;
use super::transfer::{self, Prefix};

/// The longest header that is read (R-CL-2).
pub const MAX_HEADER: usize = 64 * 1024;

/// The longest remote command (R-CL-30): what the classic servers take with one `recv`.
pub const MAX_COMMAND: usize = 1024;

/// One of the four families of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// One file to the server, no answer.
    Upload,
    /// Many files to the server, no answers.
    Put,
    /// Commands to the server, their output back.
    Command,
    /// Lists, downloads and uploads, each with a salted digest.
    Salted,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Upload, Self::Put, Self::Command, Self::Salted];

    /// The word for it on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Put => "put",
            Self::Command => "command",
            Self::Salted => "salted",
        }
    }

    /// The TCP port on which its servers usually are.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Upload => 8001,
            Self::Put | Self::Command => 8080,
            Self::Salted => 8002,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word is none of [`Dialect::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDialect;

impl fmt::Display for UnknownDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a dialect: use upload, put, command or salted")
    }
}

impl core::error::Error for UnknownDialect {}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name).ok_or(UnknownDialect)
    }
}

/// Reads the length at the front of a message (R-CL-1, R-CL-2).
///
/// # Errors
/// [`ParseError`] if it is 0, negative or more than [`MAX_HEADER`]: the connection cannot go on.
pub fn prefix(octets: &[u8]) -> Result<Prefix, ParseError> {
    transfer::prefix(octets, MAX_HEADER)
}
