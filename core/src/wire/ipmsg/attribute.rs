//! What is said about a file besides its name and size: the attribute word and the extended attributes.

use core::fmt;

use crate::wire::{Reader, Writer, hex};

/// What an offered or transferred object is: the low 8 bits of an [`Attribute`] (R-IP-64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A file.
    Regular,
    /// A folder.
    Folder,
    /// In a folder stream: back to the folder above.
    ReturnParent,
    /// A symbolic link; never followed by contents.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A pipe.
    Fifo,
    /// A resource fork of old Mac files.
    ResourceFork,
    /// A picture from the clipboard, to be shown within the message.
    Clipboard,
    /// Anything else.
    Unknown(u8),
}

impl FileKind {
    /// The kind with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0x01 => Self::Regular,
            0x02 => Self::Folder,
            0x03 => Self::ReturnParent,
            0x04 => Self::Symlink,
            0x05 => Self::CharDevice,
            0x06 => Self::BlockDevice,
            0x07 => Self::Fifo,
            0x10 => Self::ResourceFork,
            0x20 => Self::Clipboard,
            other => Self::Unknown(other),
        }
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Regular => 0x01,
            Self::Folder => 0x02,
            Self::ReturnParent => 0x03,
            Self::Symlink => 0x04,
            Self::CharDevice => 0x05,
            Self::BlockDevice => 0x06,
            Self::Fifo => 0x07,
            Self::ResourceFork => 0x10,
            Self::Clipboard => 0x20,
            Self::Unknown(code) => code,
        }
    }
}

/// A file attribute word: a [`FileKind`] in the low 8 bits, option bits above (R-IP-64).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attribute(u32);

impl Attribute {
    /// A file without options.
    pub const REGULAR: Self = Self::of_kind(FileKind::Regular);
    /// A folder without options.
    pub const FOLDER: Self = Self::of_kind(FileKind::Folder);
    /// The end of a folder in a folder stream.
    pub const RETURN_PARENT: Self = Self::of_kind(FileKind::ReturnParent);

    /// Option bit: must not be written to.
    pub const READ_ONLY: u32 = 0x0100;
    /// Option bit: hidden.
    pub const HIDDEN: u32 = 0x1000;
    /// Option bit: hidden, in the manner of the Mac.
    pub const EX_HIDDEN: u32 = 0x2000;
    /// Option bit: to be archived.
    pub const ARCHIVE: u32 = 0x4000;
    /// Option bit: belongs to the operating system.
    pub const SYSTEM: u32 = 0x8000;

    /// The word as it stands on the wire.
    #[must_use]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// A kind without options.
    #[must_use]
    pub const fn of_kind(kind: FileKind) -> Self {
        Self(u32::from_le_bytes([kind.code(), 0, 0, 0]))
    }

    /// The word as it stands on the wire.
    #[must_use]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// What it is.
    #[must_use]
    pub const fn kind(self) -> FileKind {
        let [code, ..] = self.0.to_le_bytes();
        FileKind::from_code(code)
    }

    /// Whether all of the option bits `options` are set.
    #[must_use]
    pub const fn has(self, options: u32) -> bool {
        self.0 & options == options
    }

    /// The same with `options` set; the kind stays.
    #[must_use]
    pub const fn with(self, options: u32) -> Self {
        Self(self.0 | (options & !0xff))
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attribute({:#x} {:?})", self.0, self.kind())
    }
}

/// What is said about a file behind its attribute word: `id=value[,value…]`, all hexadecimal (R-IP-65).
///
/// Either as received, or the few that this program sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtendedAttributes<'a> {
    received: &'a [u8],
    modified: Option<u64>,
    created: Option<u64>,
    permissions: Option<u32>,
}

impl<'a> ExtendedAttributes<'a> {
    /// None.
    pub const NONE: Self = Self { received: &[], modified: None, created: None, permissions: None };

    /// As received: fields, each ended by a colon.
    #[must_use]
    pub const fn received(octets: &'a [u8]) -> Self {
        Self { received: octets, ..Self::NONE }
    }

    /// To be sent: the time of the last change, the time of creation, both in seconds since 1970, and
    /// the permission bits of Unix.
    #[must_use]
    pub const fn new(modified: Option<u64>, created: Option<u64>, permissions: Option<u32>) -> Self {
        Self { received: &[], modified, created, permissions }
    }

    /// The attributes one by one. What is not of the form is left out, and so is id 0, which only FeiQ
    /// sends and by mistake (R-IP-66).
    pub fn iter(&self) -> impl Iterator<Item = ExtendedAttribute<'a>> + Clone + use<'a> {
        let own = |(id, number): (u32, Option<u64>)| Some(ExtendedAttribute { id, value: Value::Number(number?) });
        self.read().chain(self.own().into_iter().filter_map(own))
    }

    /// Those that were received.
    fn read(&self) -> impl Iterator<Item = ExtendedAttribute<'a>> + Clone + use<'a> {
        self.received.split(|&octet| octet == b':').filter_map(ExtendedAttribute::parse)
    }

    /// Those that are to be sent.
    fn own(&self) -> [(u32, Option<u64>); 3] {
        [
            (ExtendedAttribute::MODIFIED, self.modified),
            (ExtendedAttribute::CREATED, self.created),
            (ExtendedAttribute::PERMISSIONS, self.permissions.map(u64::from)),
        ]
    }

    /// The time of the last change in seconds since 1970.
    #[must_use]
    pub fn modified(&self) -> Option<u64> {
        self.find(ExtendedAttribute::MODIFIED)
    }

    /// The time of creation in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> Option<u64> {
        self.find(ExtendedAttribute::CREATED)
    }

    /// The permission bits of Unix. They come from the network: keep to the lowest nine.
    #[must_use]
    pub fn permissions(&self) -> Option<u32> {
        self.find(ExtendedAttribute::PERMISSIONS).and_then(|bits| u32::try_from(bits).ok())
    }

    fn find(&self, id: u32) -> Option<u64> {
        self.iter().find(|attribute| attribute.id == id)?.number()
    }

    /// Writes every attribute, each ended by a colon.
    pub fn write(&self, writer: &mut Writer<'_>) {
        for attribute in self.read() {
            writer.hex(u64::from(attribute.id)).octet(b'=');
            writer.octets(attribute.octets().unwrap_or_default()).octet(b':');
        }
        for (id, number) in self.own() {
            if let Some(number) = number {
                writer.hex(u64::from(id)).octet(b'=').hex(number).octet(b':');
            }
        }
    }
}

/// One extended attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedAttribute<'a> {
    /// Which: a number that the protocol assigns.
    pub id: u32,
    value: Value<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Received(&'a [u8]),
    Number(u64),
}

impl<'a> ExtendedAttribute<'a> {
    /// The position in the text at which a clipboard picture belongs, in characters.
    pub const CLIPBOARD_POSITION: u32 = 0x08;
    /// Permission bits of Unix.
    pub const PERMISSIONS: u32 = 0x10;
    /// The time of the last change of the status.
    pub const STATUS_CHANGED: u32 = 0x13;
    /// The time of the last change.
    pub const MODIFIED: u32 = 0x14;
    /// The time of the last access.
    pub const ACCESSED: u32 = 0x15;
    /// The time of creation.
    pub const CREATED: u32 = 0x16;

    fn parse(field: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(field);
        let id = u32::try_from(hex(reader.until(b'=')?)?).ok().filter(|&id| id != 0)?;
        Some(Self { id, value: Value::Received(reader.rest()) })
    }

    /// The first value as a number; `None` if it is text, or negative.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.numbers().next()?
    }

    /// The values as numbers, each `None` where it is something else.
    pub fn numbers(&self) -> impl Iterator<Item = Option<u64>> + Clone + use<'a> {
        let (received, own) = match self.value {
            Value::Received(octets) => (Some(octets), None),
            Value::Number(number) => (None, Some(Some(number))),
        };
        received.into_iter().flat_map(|octets| octets.split(|&octet| octet == b',')).map(hex).chain(own)
    }

    /// The value as received; `None` for what this program made itself.
    #[must_use]
    pub const fn octets(&self) -> Option<&'a [u8]> {
        match self.value {
            Value::Received(octets) => Some(octets),
            Value::Number(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_kind_survives() {
        for code in 0..=u8::MAX {
            assert_eq!(FileKind::from_code(code).code(), code);
        }
        let word = Attribute::from_word(0x8102);
        assert_eq!(word.kind(), FileKind::Folder);
        assert!(word.has(Attribute::READ_ONLY | Attribute::SYSTEM) && !word.has(Attribute::HIDDEN));
        assert_eq!(Attribute::REGULAR.with(0x1ff).word(), 0x101);
    }

    #[test]
    fn reads_lists_text_and_nonsense() {
        let extended = ExtendedAttributes::received(b"8=0:20=4d53,2e:2=taro:xx:=5:14=65A0B0C0:10=1ED:");
        let ids: Vec<_> = extended.iter().map(|attribute| attribute.id).collect();
        assert_eq!(ids, [0x8, 0x20, 0x2, 0x14, 0x10]);
        let second = extended.iter().nth(1).unwrap();
        assert_eq!(second.numbers().collect::<Vec<_>>(), [Some(0x4d53), Some(0x2e)]);
        let third = extended.iter().nth(2).unwrap();
        assert_eq!((third.number(), third.octets()), (None, Some(&b"taro"[..])));
        assert_eq!(extended.modified(), Some(0x65a0_b0c0));
        assert_eq!(extended.permissions(), Some(0o755));
        assert_eq!(extended.created(), None);
    }

    /// R-IP-66: FeiQ prints a 64-bit time with 32-bit formats.
    #[test]
    fn feiq_quirk_is_left_out() {
        let extended = ExtendedAttributes::received(b"14=65a0b0c0:0=16:");
        assert_eq!(extended.iter().count(), 1);
        assert_eq!((extended.modified(), extended.created()), (Some(0x65a0_b0c0), None));
    }

    #[test]
    fn writes_what_it_reads() {
        let mut buffer = [0xa5; 64];
        let mut writer = Writer::new(&mut buffer);
        let sent = ExtendedAttributes::new(Some(0x65a0_b0c0), Some(1), Some(0o644));
        sent.write(&mut writer);
        let len = writer.finish().unwrap();
        assert_eq!(&buffer[..len], b"14=65a0b0c0:16=1:10=1a4:");
        let read = ExtendedAttributes::received(&buffer[..len]);
        assert_eq!((read.modified(), read.created(), read.permissions()), (Some(0x65a0_b0c0), Some(1), Some(0o644)));
        assert_eq!((sent.modified(), sent.created(), sent.permissions()), (Some(0x65a0_b0c0), Some(1), Some(0o644)));
    }
}
