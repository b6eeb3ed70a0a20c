//! Octets to borrowed views and back: no state, no I/O.
//!
//! Everything that was received is looked at through the types of this module, and everything that is
//! sent is put together by them. Reading can fail, with a [`ParseError`]; it cannot panic. Writing goes
//! to a buffer that the caller lends and fails only with [`BufferTooSmall`].
//!
//! **Memory**: none of its own. **Time**: linear in the octets. **Protocol**: the rules numbered
//! `R-IP-…`, `R-VT-…`, `R-CL-…` and `R-FL-…` in `docs/protocol/`.

#[cfg(feature = "json")]
pub mod classic;
pub mod flood;
pub mod ipmsg;
pub(crate) mod octets;
mod reader;
pub mod transfer;
mod writer;

pub(crate) use reader::find;
pub use reader::{Reader, decimal, hex, leading_decimal};
pub use writer::Writer;

use core::fmt;
use core::num::NonZeroU32;

use crate::time::div_rem;

/// Received octets do not follow the grammar: the peer is at fault, the caller drops them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    /// Which part could not be read.
    pub field: Field,
    /// What was wrong with it.
    pub fault: Fault,
}

impl ParseError {
    /// The part is not there.
    #[must_use]
    pub const fn missing(field: Field) -> Self {
        Self { field, fault: Fault::Missing }
    }

    /// The part is there, but not in its form.
    #[must_use]
    pub const fn malformed(field: Field) -> Self {
        Self { field, fault: Fault::Malformed }
    }

    /// The part is larger than the protocol, or this implementation, allows.
    #[must_use]
    pub const fn too_large(field: Field) -> Self {
        Self { field, fault: Fault::TooLarge }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.name())?;
        f.write_str(match self.fault {
            Fault::Missing => " is missing",
            Fault::Malformed => " is malformed",
            Fault::TooLarge => " is too large",
        })
    }
}

impl core::error::Error for ParseError {}

/// What was wrong with a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It is not of its form.
    Malformed,
    /// It is larger than allowed.
    TooLarge,
}

/// The parts of received octets that a [`ParseError`] can point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The version at the front of a datagram or request.
    Version,
    /// The packet number.
    PacketNo,
    /// The user name.
    User,
    /// The host name.
    Host,
    /// The command word.
    Command,
    /// The body of a datagram.
    Body,
    /// The id of an offered file.
    FileId,
    /// The name of a file or folder.
    FileName,
    /// A size in octets.
    FileSize,
    /// A time.
    Time,
    /// A file attribute word.
    Attribute,
    /// An extended attribute.
    ExtendedAttribute,
    /// The offset in a file request.
    Offset,
    /// The length at the front of a folder-stream header.
    HeaderLength,
    /// A list of hosts.
    HostList,
    /// A public key or a capability word.
    Key,
    /// A part of an inline image.
    Image,
    /// The header of a message of the transfer protocol.
    Header,
    /// An IP address and a port.
    Address,
    /// How far a query may go.
    Ttl,
}

impl Field {
    /// The field's name in an English sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::PacketNo => "packet number",
            Self::User => "user name",
            Self::Host => "host name",
            Self::Command => "command",
            Self::Body => "body",
            Self::FileId => "file id",
            Self::FileName => "file name",
            Self::FileSize => "file size",
            Self::Time => "time",
            Self::Attribute => "file attribute",
            Self::ExtendedAttribute => "extended attribute",
            Self::Offset => "offset",
            Self::HeaderLength => "header length",
            Self::HostList => "host list",
            Self::Key => "key",
            Self::Image => "image",
            Self::Header => "header",
            Self::Address => "address",
            Self::Ttl => "TTL",
        }
    }
}

/// The lent buffer cannot hold what was to be written: the caller is at fault, or must lend more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall {
    /// The size in octets that would have sufficed.
    pub needed: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer is too small, {} octets are needed", self.needed)
    }
}

impl core::error::Error for BufferTooSmall {}

/// A number written out in digits, most significant first, without a heap and without `core::fmt`.
#[derive(Clone, Copy)]
pub struct Digits {
    /// Filled from the back, so that the digits need not be turned round.
    octets: [u8; Self::MOST],
    first: u8,
}

impl Digits {
    /// A 64-bit number has at most 20 decimal digits.
    const MOST: usize = 20;

    /// Writes `number` out in base 10.
    #[must_use]
    pub fn decimal(number: u64) -> Self {
        Self::filled(number, |left| {
            let (left, digit) = div_rem(left, const { NonZeroU32::new(10).unwrap() });
            let [digit, ..] = digit.to_le_bytes();
            (left, b'0'.wrapping_add(digit))
        })
    }

    fn hex(number: u64) -> Self {
        Self::filled(number, |left| {
            let [low, ..] = left.to_le_bytes();
            let digit = low & 0xf;
            (left >> 4, digit.wrapping_add(if digit < 10 { b'0' } else { b'a' - 10 }))
        })
    }

    /// `split` takes the last digit off a number.
    fn filled(number: u64, split: impl Fn(u64) -> (u64, u8)) -> Self {
        let mut octets = [b'0'; Self::MOST];
        let mut first = Self::MOST;
        let mut left = number;
        for octet in octets.iter_mut().rev() {
            (left, *octet) = split(left);
            first = first.saturating_sub(1);
            if left == 0 {
                break;
            }
        }
        Self { octets, first: u8::try_from(first).unwrap_or(0) }
    }

    /// The digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(usize::from(self.first)..).unwrap_or(&[])
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::text::Text::new(self.as_bytes()).fmt(f)
    }
}
