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

#[cfg(test)]
mod tests {
    use super::*;

    const WIN: &[u8] = b"002e:docs:000000000:2:14=65a0b0c0:16=65a0b0c0:";

    fn header(octets: &[u8]) -> FolderHeader<'_> {
        match FolderHeader::scan(octets, false) {
            Ok(FolderScan::Header { header, len }) if len == octets.len() => header,
            other => panic!("{}: {other:?}", octets.escape_ascii()),
        }
    }

    #[test]
    fn cut_anywhere_it_asks_for_no_more_than_the_header() {
        for cut in 0..WIN.len() {
            let scan = FolderHeader::scan(&WIN[..cut], true).unwrap();
            let FolderScan::NeedMore { at_least } = scan else { panic!("{cut}: {scan:?}") };
            assert!(at_least > cut && at_least <= WIN.len(), "{cut}: {at_least}");
        }
        assert_eq!(header(WIN).extended.created(), Some(0x65a0_b0c0));
        let contents = [WIN, &b"abc"[..]].concat();
        assert!(matches!(FolderHeader::scan(&contents, false), Ok(FolderScan::Header { len: 46, .. })));
    }

    /// R-IP-82, in pieces of every size.
    #[test]
    fn a_preamble_is_passed_over() {
        let mut stream = std::vec![0; FEIQ_PREAMBLE];
        stream[..2].copy_from_slice(b"0<");
        stream.extend(WIN);
        for piece in [1, 2, 3, 4, 5, 7, 512, 4096] {
            let (mut from, mut to) = (0, 0);
            loop {
                match FolderHeader::scan(&stream[from..to], true).unwrap() {
                    FolderScan::NeedMore { at_least } => {
                        assert!(from + at_least > to && from + at_least <= stream.len());
                        to = stream.len().min(to.max(from + 1).saturating_add(piece));
                    }
                    FolderScan::Preamble { skip } => {
                        assert!(skip > 0 && from + skip <= FEIQ_PREAMBLE);
                        from += skip;
                    }
                    FolderScan::Header { header, .. } => {
                        assert_eq!((from, header.name), (FEIQ_PREAMBLE, EscapedName::plain(b"docs")));
                        break;
                    }
                    FolderScan::End { .. } => panic!(),
                }
            }
        }
        assert!(FolderHeader::scan(&stream, false).is_err(), "not in the middle of a stream");
    }

    #[test]
    fn nonsense_is_an_error_at_once() {
        for (octets, error) in [
            (&b"zzzz:docs:0:2:"[..], ParseError::malformed(Field::HeaderLength)),
            (b"0x16:docs:0:2:", ParseError::malformed(Field::HeaderLength)),
            (b":docs:0:2:", ParseError::malformed(Field::HeaderLength)),
            (b"000000016:docs:0:2:", ParseError::malformed(Field::HeaderLength)),
            (b"2000:docs:0:2:", ParseError::too_large(Field::HeaderLength)),
            (b"ffffffff:", ParseError::too_large(Field::HeaderLength)),
            (b"0004:docs:0:2:", ParseError::malformed(Field::HeaderLength)),
            (b"0005:docs:0:2:", ParseError::malformed(Field::HeaderLength)),
            (b"000d:docs:0:2:", ParseError::malformed(Field::HeaderLength)),
            (b"000a:docs:", ParseError::missing(Field::Attribute)),
            (b"000c:docs:2:", ParseError::missing(Field::FileSize)),
            (b"000e:docs:g:1:", ParseError::malformed(Field::FileSize)),
            (b"001d:docs:ffffffffffffffff:1:", ParseError::too_large(Field::FileSize)),
            (b"000e:docs:0:g:", ParseError::malformed(Field::Attribute)),
            (b"0016:docs:0:100000000:", ParseError::too_large(Field::Attribute)),
        ] {
            assert_eq!(FolderHeader::scan(octets, true), Err(error), "{}", octets.escape_ascii());
        }
    }

    /// R-IP-85: libipmsg sends what happens to be in its memory.
    #[test]
    fn sizes_of_folders_are_ignored() {
        for octets in [&b"0019:docs:7f4558000030:2:"[..], b"001d:docs:ffffffffffffffff:2:", b"000f:docs:zz:2:"] {
            assert_eq!(header(octets).content_len(), 0, "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn the_kind_decides_not_the_name() {
        assert_eq!(header(b"000c:up:0:3:").kind(), FileKind::ReturnParent);
    }

    /// proves: R-IP-67
    #[test]
    fn names_with_single_colons() {
        let log = header(b"002a:12:30:15.log:000000003:1:14=65a0b0c0:");
        assert_eq!((log.name, log.size), (EscapedName::plain(b"12:30:15.log"), 3));
        assert_eq!(header(b"0016:a::b:000000003:1:").name, EscapedName::plain(b"a:b"));
        assert_eq!(header(b"000c::::0:1:").name, EscapedName::plain(b":"));
    }

    #[test]
    fn writes_the_form_of_the_official_program() {
        let mut buffer = [0xa5; 64];
        let folder = FolderHeader {
            name: EscapedName::plain(b"docs"),
            size: 4096,
            attribute: Attribute::FOLDER,
            extended: ExtendedAttributes::new(Some(0x65a0_b0c0), Some(0x65a0_b0c0), None),
        };
        let len = folder.emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], WIN, "a folder has size 0");
        assert_eq!(buffer[len], 0xa5);
        assert_eq!(folder.emit(&mut buffer[..10]), Err(BufferTooSmall { needed: len }));

        let file = FolderHeader {
            name: EscapedName::plain("文:件".as_bytes()),
            size: 0x12_3456_789a,
            attribute: Attribute::REGULAR,
            extended: ExtendedAttributes::new(None, None, Some(0o644)),
        };
        let len = file.emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], "0022:文::件:123456789a:1:10=1a4:".as_bytes());
        let read = header(&buffer[..len]);
        assert_eq!((read.name, read.size, read.extended.permissions()), (file.name, file.size, Some(0o644)));

        let len = FolderHeader::return_parent().emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"0013:.:000000000:3:");
    }

    /// The length counts its own fifth digit.
    #[test]
    fn a_monstrous_name_still_has_the_right_length() {
        let name = std::vec![b'x'; 0x10000];
        let monster = FolderHeader { name: EscapedName::plain(&name), ..FolderHeader::return_parent() };
        let mut buffer = std::vec![0xa5; 0x10100];
        let len = monster.emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..6], std::format!("{len:05x}:").as_bytes());
    }
}
