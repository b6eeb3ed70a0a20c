//! The headers in a folder stream (R-IP-80 and following).
//!
//! ```text
//! stream := folder header { folder stream | file header, contents } return header
//! header := LLLL ':' name ':' size ':' attribute { ':' extended attribute } ':'
//! ```
//! `LLLL` is the length of the whole header in hexadecimal, from its own first digit to the last colon.
//!
//! **Memory**: views of the received octets. **Time**: linear in a header.
//! **Protocol**: R-IP-80 to 99.

use crate::wire::{BufferTooSmall, Field, ParseError, Writer, hex};

use super::attachment::{last_field, split_extended};
use super::{Attribute, EscapedName, ExtendedAttributes, FileKind};

/// Longer headers than this are an attack (R-IP-83). The Mac's limit.
pub const MAX_FOLDER_HEADER: usize = 8191;

/// FeiQ sends this many octets, two of them not NUL, in front of the first header (R-IP-82).
pub const FEIQ_PREAMBLE: usize = 3076;

/// More octets than this in front of the first header are an attack (R-IP-82).
pub const MAX_PREAMBLE: usize = 4096;

/// The most digits that `LLLL` may have. Four is the rule; one relative does not pad at all (R-IP-81).
const MOST_LENGTH_DIGITS: usize = 8;

/// How far into a stream a preamble shows itself: it begins with a 32-bit number, low octet first.
const PREAMBLE_SIGN: usize = 4;

/// What the octets at the front of a folder stream, or behind the contents of a file in it, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderScan<'a> {
    /// The beginning of something. It has at least `at_least` octets, counted from the same place.
    NeedMore {
        /// A lower bound, always more than there are. Reading up to it never reads into contents.
        at_least: usize,
    },
    /// Octets without meaning: drop `skip` of them and scan again.
    Preamble {
        /// At least one.
        skip: usize,
    },
    /// A header of `len` octets.
    Header {
        /// What it says.
        header: FolderHeader<'a>,
        /// Its length; the contents of a file follow.
        len: usize,
    },
    /// A header of length 0: the sender says that the stream ends here (R-IP-84).
    End {
        /// The length of the mark.
        len: usize,
    },
}

/// One header of a folder stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderHeader<'a> {
    /// The name of a file or folder; `.` in the header that returns to the folder above.
    pub name: EscapedName<'a>,
    /// How many octets of contents follow, if this is a file. Other kinds say anything here (R-IP-85):
    /// see [`FolderHeader::content_len`].
    pub size: u64,
    /// What it is.
    pub attribute: Attribute,
    /// What else is said about it.
    pub extended: ExtendedAttributes<'a>,
}

impl<'a> FolderHeader<'a> {
    /// Looks at the front of `octets`, which is where a header is due.
    ///
    /// `at_start` says that no header of this stream has been read yet, so that a preamble is possible.
    ///
    /// # Errors
    /// [`ParseError`] if no header can begin so; the connection is of no more use.
    pub fn scan(octets: &'a [u8], at_start: bool) -> Result<FolderScan<'a>, ParseError> {
        if at_start && let Some(scan) = scan_preamble(octets) {
            return Ok(scan);
        }
        let front = octets.get(..=MOST_LENGTH_DIGITS).unwrap_or(octets);
        let Some(width) = front.iter().position(|&octet| octet == b':') else {
            return if front.len() <= MOST_LENGTH_DIGITS && front.iter().all(u8::is_ascii_hexdigit) {
                Ok(FolderScan::NeedMore { at_least: front.len().saturating_add(1) })
            } else {
                Err(ParseError::malformed(Field::HeaderLength))
            };
        };
        let len = front.get(..width).and_then(hex).ok_or(ParseError::malformed(Field::HeaderLength))?;
        let len = usize::try_from(len).map_err(|_| ParseError::too_large(Field::HeaderLength))?;
        let prefix = width.saturating_add(1);
        if len == 0 {
            return Ok(FolderScan::End { len: prefix });
        }
        if len > MAX_FOLDER_HEADER {
            return Err(ParseError::too_large(Field::HeaderLength));
        }
        let Some(whole) = octets.get(..len) else {
            return Ok(FolderScan::NeedMore { at_least: len });
        };
        let fields = whole.get(prefix..).ok_or(ParseError::malformed(Field::HeaderLength))?;
        Ok(FolderScan::Header { header: Self::parse(fields)?, len })
    }

    /// Reads the fields behind `LLLL:` from behind, so that a colon in a name that a relative did not
    /// double does no harm (R-IP-67).
    fn parse(fields: &'a [u8]) -> Result<Self, ParseError> {
        let fields = fields.strip_suffix(b":").ok_or(ParseError::malformed(Field::HeaderLength))?;
        let (rest, extended) = split_extended(fields);
        let (rest, attribute) = last_field(rest).ok_or(ParseError::missing(Field::Attribute))?;
        let (name, size) = last_field(rest).ok_or(ParseError::missing(Field::FileSize))?;
        let word = hex(attribute).ok_or(ParseError::malformed(Field::Attribute))?;
        let word = u32::try_from(word).map_err(|_| ParseError::too_large(Field::Attribute))?;
        let attribute = Attribute::from_word(word);
        let size = match (attribute.kind(), hex(size)) {
            (FileKind::Regular, None) => return Err(ParseError::malformed(Field::FileSize)),
            (FileKind::Regular, Some(u64::MAX)) => return Err(ParseError::too_large(Field::FileSize)),
            (_, size) => size.unwrap_or(0),
        };
        let extended = ExtendedAttributes::received(extended);
        Ok(Self { name: EscapedName::received(name), size, attribute, extended })
    }

    /// The header that returns to the folder above (R-IP-86).
    #[must_use]
    pub const fn return_parent() -> Self {
        let extended = ExtendedAttributes::NONE;
        Self { name: EscapedName::plain(b"."), size: 0, attribute: Attribute::RETURN_PARENT, extended }
    }

    /// What it is. A header returns to the folder above if its kind says so, whatever its name (R-IP-86).
    #[must_use]
    pub const fn kind(&self) -> FileKind {
        self.attribute.kind()
    }

    /// How many octets of contents follow: none unless it is a file (R-IP-85).
    #[must_use]
    pub const fn content_len(&self) -> u64 {
        match self.kind() {
            FileKind::Regular => self.size,
            _ => 0,
        }
    }

    /// Writes the header in the form that every relative reads: four digits of length, nine of size
    /// (FeiQ counts them, R-IP-87), and size 0 for all but files.
    pub fn write(&self, writer: &mut Writer<'_>) {
        let mut counter = Writer::new(&mut []);
        self.write_fields(&mut counter);
        // Four digits and a colon; names are far too short for a fifth digit, but a wrong length would be fatal.
        let len = counter.wanted().saturating_add(5);
        let len = if len > 0xffff { len.saturating_add(1) } else { len };
        writer.hex_padded(u64::try_from(len).unwrap_or(u64::MAX), 4).octet(b':');
        self.write_fields(writer);
    }

    fn write_fields(&self, writer: &mut Writer<'_>) {
        self.name.write(writer);
        writer.octet(b':').hex_padded(self.content_len(), 9).octet(b':');
        writer.hex(u64::from(self.attribute.word())).octet(b':');
        self.extended.write(writer);
    }

    /// Writes the header to the front of `buffer` and returns its length in octets.
    ///
    /// # Errors
    /// [`BufferTooSmall`] with the length needed.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        self.write(&mut writer);
        writer.finish()
    }
}

/// R-IP-82: a preamble is a few octets and very many NULs. It is passed over run by run, so that a lent
/// buffer of any size will do and another length than FeiQ 2013's does no harm.
fn scan_preamble(octets: &[u8]) -> Option<FolderScan<'_>> {
    let sign = octets.get(..PREAMBLE_SIGN).unwrap_or(octets);
    let sign = sign.iter().position(|&octet| octet == b':').and_then(|colon| sign.get(..colon)).unwrap_or(sign);
    if let Some(nul) = sign.iter().position(|&octet| octet == 0) {
        let nuls = octets.iter().skip(nul).take_while(|&&octet| octet == 0).count();
        return Some(FolderScan::Preamble { skip: nul.saturating_add(nuls) });
    }
    let undecided = octets.len() < PREAMBLE_SIGN && sign.len() == octets.len();
    undecided.then(|| FolderScan::NeedMore { at_least: octets.len().saturating_add(1) })
}
