//! The list of offered files behind the text of a message (R-IP-60 and following).
//!
//! ```text
//! entry := id ':' name ':' size ':' time ':' attribute { ':' extended attribute } ':' '\a'
//! ```
//! The id is decimal, all other numbers are hexadecimal.
//!
//! **Memory**: views of the received list. **Time**: linear in the octets read so far; the list is walked
//! lazily. **Protocol**: R-IP-60 to 69.

use crate::time::{THOUSAND, div_rem};
use crate::wire::{BufferTooSmall, Field, ParseError, Reader, Writer, decimal, hex};

use super::{Attribute, Datagram, EscapedName, ExtendedAttributes, FileKind, Options};

/// What ends an entry of the list.
const SEPARATOR: u8 = 0x07;

/// Times above this are milliseconds (R-IP-68): as seconds they would lie after the year 2286.
const MOST_SECONDS: u64 = 10_000_000_000;

/// One offered file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment<'a> {
    /// By which a request names it. Send 1 to 9: decimal in the list is hexadecimal in the request, and
    /// small numbers look alike in both (R-IP-62).
    pub id: u32,
    /// Its name, without folders.
    pub name: EscapedName<'a>,
    /// Its size in octets; `None` if the sender does not know and the end of the connection will tell
    /// (R-IP-63). Meaningless for a folder.
    pub size: Option<u64>,
    /// When it was last changed, in seconds since 1970.
    pub modified: Option<u64>,
    /// What it is.
    pub attribute: Attribute,
    /// What else is said about it.
    pub extended: ExtendedAttributes<'a>,
}

impl<'a> Attachment<'a> {
    fn parse(entry: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(entry);
        let id = reader.until(b':').ok_or(ParseError::missing(Field::FileId))?;
        let id = decimal(id).ok_or(ParseError::malformed(Field::FileId))?;
        let id = u32::try_from(id).map_err(|_| ParseError::too_large(Field::FileId))?;
        let rest = reader.rest();
        // R-IP-67: some relatives do not double the colons of a name; then the fields are found from behind.
        Self::forward(id, rest).or_else(|error| Self::backward(id, rest).ok_or(error))
    }

    /// Reads what follows the id as the grammar has it: the name ends at the first colon that stands alone.
    fn forward(id: u32, fields: &'a [u8]) -> Result<Self, ParseError> {
        let (name, rest) = split_name(fields);
        let mut reader = Reader::new(rest);
        if name.is_empty() {
            return Err(ParseError::missing(Field::FileName));
        }
        let size = reader.until_or_rest(b':');
        let modified = reader.until_or_rest(b':');
        let attribute = reader.until_or_rest(b':');
        Self::assemble(id, name, size, modified, attribute, reader.rest())
    }

    /// Reads what follows the id from behind: extended attributes have an equals sign, before them stand
    /// attribute, time and size, and all the rest is the name.
    fn backward(id: u32, fields: &'a [u8]) -> Option<Self> {
        let rest = fields.strip_suffix(b":").unwrap_or(fields);
        let (rest, extended) = split_extended(rest);
        let (rest, attribute) = last_field(rest)?;
        let (rest, modified) = last_field(rest)?;
        let (name, size) = last_field(rest)?;
        if name.is_empty() || attribute.is_empty() || modified.is_empty() {
            return None;
        }
        Self::assemble(id, name, size, modified, attribute, extended).ok()
    }

    fn assemble(
        id: u32,
        name: &'a [u8],
        size: &[u8],
        modified: &[u8],
        attribute: &[u8],
        extended: &'a [u8],
    ) -> Result<Self, ParseError> {
        Ok(Self {
            id,
            name: EscapedName::received(name),
            size: parse_size(size)?,
            modified: parse_time(modified)?,
            attribute: parse_attribute(attribute)?,
            extended: ExtendedAttributes::received(extended),
        })
    }

    /// What is offered.
    #[must_use]
    pub const fn kind(&self) -> FileKind {
        self.attribute.kind()
    }

    /// Writes the entry, ended by `:` and the separator (R-IP-60).
    ///
    /// Entries follow each other without anything in between; a single NUL ends the list.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.decimal(u64::from(self.id)).octet(b':');
        self.name.write(writer);
        writer.octet(b':').hex(self.size.unwrap_or(u64::MAX)).octet(b':');
        writer.hex(self.modified.unwrap_or(0)).octet(b':').hex(u64::from(self.attribute.word())).octet(b':');
        self.extended.write(writer);
        writer.octet(SEPARATOR);
    }

    /// Writes the entry to the front of `buffer` and returns its length in octets.
    ///
    /// # Errors
    /// [`BufferTooSmall`] with the length needed.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        self.write(&mut writer);
        writer.finish()
    }
}

/// Splits at the first colon that is not one of a pair; the colon belongs to neither side.
fn split_name(fields: &[u8]) -> (&[u8], &[u8]) {
    let mut reader = Reader::new(fields);
    while reader.until(b':').is_some() {
        let behind = reader.rest();
        match behind.strip_prefix(b":") {
            Some(behind) => reader = Reader::new(behind),
            None => {
                let end = fields.len().saturating_sub(behind.len()).saturating_sub(1);
                return (fields.get(..end).unwrap_or(fields), behind);
            }
        }
    }
    (fields, &[])
}

/// Cuts the last field, and the colon in front of it, off.
pub(super) fn last_field(fields: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = fields.iter().rposition(|&octet| octet == b':')?;
    let (before, field) = fields.split_at_checked(at)?;
    Some((before, field.get(1..)?))
}

/// Cuts the extended attributes off: all fields at the end that have an equals sign behind a number.
pub(super) fn split_extended(fields: &[u8]) -> (&[u8], &[u8]) {
    let mut before = fields;
    while let Some((rest, field)) = last_field(before) {
        let id = field.split(|&octet| octet == b'=').next().unwrap_or_default();
        if id.len() == field.len() || hex(id).is_none() {
            break;
        }
        before = rest;
    }
    let (before, extended) = fields.split_at_checked(before.len()).unwrap_or((fields, &[]));
    (before, extended.strip_prefix(b":").unwrap_or(extended))
}

/// R-IP-63: hexadecimal, `ffffffffffffffff` or a negative number if unknown.
fn parse_size(field: &[u8]) -> Result<Option<u64>, ParseError> {
    if field.is_empty() {
        return Err(ParseError::missing(Field::FileSize));
    }
    if let Some(negative) = field.strip_prefix(b"-") {
        return hex(negative).map(|_| None).ok_or(ParseError::malformed(Field::FileSize));
    }
    let size = hex(field).ok_or(ParseError::malformed(Field::FileSize))?;
    Ok((size != u64::MAX).then_some(size))
}

/// R-IP-68: hexadecimal seconds, milliseconds with some; 0, a negative number or nothing if unknown.
fn parse_time(field: &[u8]) -> Result<Option<u64>, ParseError> {
    if field.is_empty() {
        return Ok(None);
    }
    if let Some(negative) = field.strip_prefix(b"-") {
        return hex(negative).map(|_| None).ok_or(ParseError::malformed(Field::Time));
    }
    Ok(match hex(field).ok_or(ParseError::malformed(Field::Time))? {
        0 | u64::MAX => None,
        seconds @ ..=MOST_SECONDS => Some(seconds),
        milliseconds => Some(div_rem(milliseconds, THOUSAND).0).filter(|&seconds| seconds <= MOST_SECONDS),
    })
}

/// R-IP-64: hexadecimal; a missing word, and kind 0 of iptux, mean a file.
fn parse_attribute(field: &[u8]) -> Result<Attribute, ParseError> {
    if field.is_empty() {
        return Ok(Attribute::REGULAR);
    }
    let word = hex(field).ok_or(ParseError::malformed(Field::Attribute))?;
    let word = u32::try_from(word).map_err(|_| ParseError::too_large(Field::Attribute))?;
    let attribute = Attribute::from_word(word);
    Ok(if attribute.kind() == FileKind::Unknown(0) { Attribute::REGULAR.with(word) } else { attribute })
}

/// The entries of an attachment list, read one by one.
///
/// An entry that cannot be read is an error of its own; those behind it are still read (R-IP-69).
#[derive(Clone, Copy, Debug)]
pub struct Attachments<'a> {
    rest: &'a [u8],
}

impl<'a> Attachments<'a> {
    /// Reads `list`, which ends at its first NUL or at its end.
    #[must_use]
    pub fn new(list: &'a [u8]) -> Self {
        Self { rest: Reader::new(list).until_or_rest(0) }
    }
}

impl<'a> Iterator for Attachments<'a> {
    type Item = Result<Attachment<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = Reader::new(self.rest);
        while !reader.is_empty() {
            let mut entry = Reader::new(reader.until_or_rest(SEPARATOR));
            self.rest = reader.rest();
            // R-IP-60: old 飞鸽传书 and iptux begin the next entry with a colon.
            entry.skip_all(b':');
            if !entry.is_empty() {
                return Some(Attachment::parse(entry.rest()));
            }
        }
        self.rest = &[];
        None
    }
}

impl<'a> Datagram<'a> {
    /// The files that a message offers; none if it does not say that it has any.
    ///
    /// With [`Options::ENCRYPT`] the list may be inside the encrypted body instead (R-IP-114).
    #[must_use]
    pub fn attachments(&self) -> Attachments<'a> {
        let offers = self.header.options.contains(Options::FILE_ATTACH);
        Attachments::new(if offers { self.tail.unwrap_or_default() } else { &[] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn names(list: &[u8]) -> Vec<String> {
        let name = |attachment: Attachment<'_>| String::from_utf8(attachment.name.octets().collect()).unwrap();
        Attachments::new(list).map(|attachment| name(attachment.unwrap())).collect()
    }

    /// R-IP-60: every way to separate entries that somebody uses.
    #[test]
    fn separators() {
        for list in [
            &b"1:a:1:0:1:\x072:b:2:0:1:\x07"[..],
            b"1:a:1:0:1:\x072:b:2:0:1:\x07\0",
            b"1:a:1:0:1:\x07:2:b:2:0:1:\x07:",
            b"1:a:1:0:1\x072:b:2:0:1\x07",
            b"1:a:1:0:1:\x072:b:2:0:1",
            b"\x07\x071:a:1:0:1:\x07\x07:\x072:b:2:0:1:\0garbage\x073:c:1:0:1:\x07",
        ] {
            assert_eq!(names(list), ["a", "b"], "{}", list.escape_ascii());
        }
        assert_eq!(names(b""), [""; 0]);
        assert_eq!(names(b":\x07:"), [""; 0]);
    }

    /// proves: R-IP-61
    #[test]
    fn colons_in_names() {
        assert_eq!(names(b"1:::a:5:0:1:\x07"), [":a"]);
        assert_eq!(names(b"1:a:::5:0:1:\x07"), ["a:"]);
        assert_eq!(names(b"1:a::::b:5:0:1:\x07"), ["a::b"]);
    }

    /// R-IP-67: names of relatives that do not double their colons.
    #[test]
    fn fields_are_found_from_behind_if_need_be() {
        let list = b"0:12:30:15.log:1f1:65a0b0c0:1:14=5:8=0:\x07";
        let attachment = Attachments::new(list).next().unwrap().unwrap();
        assert_eq!(attachment.name, EscapedName::plain(b"12:30:15.log"));
        assert_eq!((attachment.size, attachment.modified), (Some(0x1f1), Some(0x65a0_b0c0)));
        assert_eq!((attachment.extended.modified(), attachment.extended.iter().count()), (Some(5), 2));
    }

    #[test]
    fn what_is_unknown_is_none() {
        let read = |entry: &'static str| Attachments::new(entry.as_bytes()).next().unwrap().unwrap();
        assert_eq!(read("1:a:ffffffffffffffff:0:1:").size, None);
        assert_eq!(read("1:a:-1:-1:1:").size, None);
        assert_eq!(read("1:a:-1:-1:1:").modified, None);
        assert_eq!(read("1:a:0:0:1:").size, Some(0));
        assert_eq!(read("1:a:1:18cd1e2b8c0:1:").modified, Some(1_704_328_345), "milliseconds");
        assert_eq!(read("1:a:1:65a0b0c0b0c0b0c0:1:").modified, None, "in no century");
        assert_eq!(read("1:a:1").attribute, Attribute::REGULAR);
        assert_eq!(read("1:a:1:0:100:").attribute.word(), 0x101, "kind 0 of iptux");
    }

    #[test]
    fn errors_name_the_field() {
        for (entry, error) in [
            ("x:a:1:0:1:", ParseError::malformed(Field::FileId)),
            ("99999999999:a:1:0:1:", ParseError::too_large(Field::FileId)),
            ("1", ParseError::missing(Field::FileId)),
            ("1:", ParseError::missing(Field::FileName)),
            ("1:a", ParseError::missing(Field::FileSize)),
            ("1:a:g:0:1:", ParseError::malformed(Field::FileSize)),
            ("1:a:1:g:1:", ParseError::malformed(Field::Time)),
            ("1:a:1:0:g:", ParseError::malformed(Field::Attribute)),
            ("1:a:1:0:fffffffff:", ParseError::too_large(Field::Attribute)),
        ] {
            assert_eq!(Attachments::new(entry.as_bytes()).next(), Some(Err(error)), "{entry}");
        }
    }

    #[test]
    fn writes_the_one_form_that_everybody_reads() {
        let attachment = Attachment {
            id: 1,
            name: EscapedName::plain(b"a:b"),
            size: Some(0x12345),
            modified: Some(0x65a0_b0c0),
            attribute: Attribute::REGULAR,
            extended: ExtendedAttributes::NONE,
        };
        let mut buffer = [0xa5; 64];
        let len = attachment.emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"1:a::b:12345:65a0b0c0:1:\x07");
        assert_eq!(buffer[len], 0xa5);
        assert_eq!(attachment.emit(&mut buffer[..9]), Err(BufferTooSmall { needed: len }));
        let unknown = Attachment { size: None, modified: None, ..attachment };
        let len = unknown.emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"1:a::b:ffffffffffffffff:0:1:\x07");
        assert_eq!(Attachments::new(&buffer[..len]).next(), Some(Ok(Attachment { ..unknown })));
    }
}
