//! The grammar that every datagram and every TCP request share:
//! `version ':' packet number ':' user ':' host ':' command ':' body [NUL tail]`.

use crate::text::Text;
use crate::wire::{BufferTooSmall, Digits, Field, ParseError, Reader, Writer, decimal, find, leading_decimal};

use super::{Command, Options};

/// The number of a packet that this program sends: 32 bits, never repeated (R-IP-11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketNo(pub u32);

impl PacketNo {
    /// The number in decimal, as it stands in a header.
    #[must_use]
    pub fn digits(self) -> Digits {
        Digits::decimal(u64::from(self.0))
    }

    /// The number after this one; 0 is left out because some relatives take it for "none".
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.wrapping_add(1) {
            0 => Self(1),
            next => Self(next),
        }
    }
}

/// A packet number as a peer wrote it (R-IP-10).
///
/// Peers write more than 32 bits, leading zeros, even no number at all; an acknowledgement has to repeat
/// the very octets, so they are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PacketToken<'a>(pub Text<'a>);

impl<'a> PacketToken<'a> {
    /// Longer tokens than this are not numbers of any program and are never echoed.
    pub const MAX: usize = 20;

    /// The octets.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0.as_bytes()
    }

    /// The number, if the token consists of decimal digits; saturates.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        decimal(self.as_bytes())
    }

    /// The number as file requests and other 32-bit programs see it: modulo 2^32.
    #[must_use]
    pub fn low32(self) -> Option<u32> {
        u32::try_from(self.number()? & 0xffff_ffff).ok()
    }
}

/// The five fields in front of every body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The version: `1`, or a longer text from which [`super::Client`] tells who speaks.
    pub version: Text<'a>,
    /// The packet number.
    pub packet_no: PacketToken<'a>,
    /// The user's log-on name.
    pub user: Text<'a>,
    /// The host's name.
    pub host: Text<'a>,
    /// The command.
    pub command: Command,
    /// The command's option bits.
    pub options: Options,
}

impl<'a> Header<'a> {
    /// Reads the header at the front of `octets` and returns it with all that follows its last colon.
    ///
    /// Splits at the first five colons; if that yields no command, once more with runs of colons taken
    /// for one, as the official client splits (R-IP-2).
    ///
    /// # Errors
    /// [`ParseError`] with the first field that is missing or malformed; drop the datagram.
    pub fn parse(octets: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        Self::split(octets, false).or_else(|error| Self::split(octets, true).map_err(|_| error))
    }

    fn split(octets: &'a [u8], collapse: bool) -> Result<(Self, &'a [u8]), ParseError> {
        let mut reader = Reader::new(octets);
        let mut field = |field| {
            let (octets, end) = reader.until_either(b':', 0).ok_or(ParseError::missing(field))?;
            if end == 0 {
                return Err(ParseError::malformed(field));
            }
            if collapse {
                reader.skip_all(b':');
            }
            Ok(octets)
        };
        let version = field(Field::Version)?;
        // R-IP-4: a dictionary of the official client, not a datagram.
        if version == b"IP2" {
            return Err(ParseError::malformed(Field::Version));
        }
        let packet_no = field(Field::PacketNo)?;
        let user = field(Field::User)?;
        let host = field(Field::Host)?;
        // The command may be the last thing there is, with a NUL behind it or nothing (V28).
        let end = reader.rest().iter().position(|&octet| octet == b':' || octet == 0);
        let (word, rest) = match end {
            None => (reader.rest(), &[][..]),
            Some(end) => {
                let (word, rest) = reader.rest().split_at_checked(end).unwrap_or_default();
                (word, rest.strip_prefix(b":").unwrap_or(rest))
            }
        };
        let word = decimal(word).ok_or(ParseError::malformed(Field::Command))?;
        let word = u32::try_from(word).map_err(|_| ParseError::too_large(Field::Command))?;
        let [code, ..] = word.to_le_bytes();
        let header = Self {
            version: Text::new(version),
            packet_no: PacketToken(Text::new(packet_no)),
            user: Text::new(user),
            host: Text::new(host),
            command: Command::from_code(code),
            options: Options::of_word(word),
        };
        Ok((header, rest))
    }

    /// The command word: command and options in one number.
    #[must_use]
    pub fn word(&self) -> u32 {
        self.options.bits() | u32::from(self.command.code())
    }

    /// Writes the header, up to and including its last colon.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.octets(self.version.as_bytes()).octet(b':');
        writer.octets(self.packet_no.as_bytes()).octet(b':');
        writer.octets(self.user.as_bytes()).octet(b':');
        writer.octets(self.host.as_bytes()).octet(b':');
        writer.decimal(u64::from(self.word())).octet(b':');
    }
}

/// A datagram as received, borrowed from the octets that it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The five fields.
    pub header: Header<'a>,
    /// What stands between the header and the first NUL.
    pub body: &'a [u8],
    /// What stands behind the first NUL, if there is one: possibly nothing, possibly padding.
    pub tail: Option<&'a [u8]>,
}

impl<'a> Datagram<'a> {
    /// Takes a received datagram apart.
    ///
    /// # Errors
    /// [`ParseError`] if it is not of the family; drop it.
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        let (header, rest) = Header::parse(octets)?;
        let (body, tail) = match find(0, rest) {
            None => (rest, None),
            Some(end) => {
                let (body, tail) = rest.split_at_checked(end).unwrap_or_default();
                (body, tail.get(1..))
            }
        };
        Ok(Self { header, body, tail })
    }

    /// The texts behind the first NUL, without the empty ones at the end (R-IP-7).
    ///
    /// Meaningless where [`Command::has_binary_tail`].
    pub fn extensions(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let tail = self.tail.unwrap_or_default();
        let used = tail.iter().rposition(|&octet| octet != 0).map_or(0, |last| last.saturating_add(1));
        let tail = tail.get(..used).filter(|tail| !tail.is_empty());
        tail.into_iter().flat_map(|tail| tail.split(|&octet| octet == 0))
    }

    /// The number of the packet that an acknowledgement is about (R-IP-43): the digits at the front of the
    /// body of a RECVMSG, READMSG, DELMSG, ANSREADMSG or RELEASEFILES, modulo 2^32.
    ///
    /// `None` if there are none. Numbers of others, which can be longer, are compared as tokens instead.
    #[must_use]
    pub fn acknowledged(&self) -> Option<PacketNo> {
        let number = leading_decimal(self.body)?;
        u32::try_from(number & 0xffff_ffff).ok().map(PacketNo)
    }

    /// Writes the datagram to the front of `buffer` and returns its length in octets.
    ///
    /// # Errors
    /// [`BufferTooSmall`] with the length needed.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        self.header.write(&mut writer);
        writer.octets(self.body);
        if let Some(tail) = self.tail {
            writer.octet(0).octets(tail);
        }
        writer.finish()
    }
}
