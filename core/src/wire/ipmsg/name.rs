//! File names as they stand in attachment lists and folder streams, where a colon is written twice.

use core::slice;

use crate::wire::{Writer, find};

/// The octets of a file name together with the way they are written: with `::` for `:` (R-IP-61) or not.
///
/// The octets are in a character set that nothing on the wire names. Un-escaping comes first, decoding
/// second (no trail octet of the family's charsets is a colon, R-IP-3), and only then is the name made
/// safe with [`crate::text::FileName`].
#[derive(Clone, Copy, Debug)]
pub struct EscapedName<'a> {
    octets: &'a [u8],
    escaped: bool,
}

impl<'a> EscapedName<'a> {
    /// A name as received, in which `::` stands for `:`. A single colon stands for itself: relatives that
    /// do not escape exist.
    #[must_use]
    pub const fn received(octets: &'a [u8]) -> Self {
        Self { octets, escaped: true }
    }

    /// A name to send, as the file system knows it.
    #[must_use]
    pub const fn plain(octets: &'a [u8]) -> Self {
        Self { octets, escaped: false }
    }

    /// Whether the name has no octets.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.octets.is_empty()
    }

    /// The octets of the name itself, un-escaped.
    #[must_use]
    pub fn octets(self) -> Unescaped<'a> {
        Unescaped { octets: self.octets.iter(), escaped: self.escaped }
    }

    /// The octets of the name itself, if they stand on the wire as they are: almost always.
    #[must_use]
    pub fn as_plain(self) -> Option<&'a [u8]> {
        if self.escaped && find(b':', self.octets).is_some() { None } else { Some(self.octets) }
    }

    /// Copies the name itself, un-escaped, to the front of `buffer` and returns what of `buffer` it fills:
    /// all of the name, or as much as there is room for.
    pub fn copy_to(self, buffer: &mut [u8]) -> &[u8] {
        let mut len = 0_usize;
        for (to, from) in buffer.iter_mut().zip(self.octets()) {
            *to = from;
            len = len.saturating_add(1);
        }
        buffer.get(..len).unwrap_or_default()
    }

    /// Writes the name, every colon twice.
    ///
    /// Octets that would end the field or its list (control characters) become `_`: a list must not be
    /// broken by a name that a file system happens to allow.
    pub fn write(self, writer: &mut Writer<'_>) {
        // Almost always nothing has to be changed.
        if self.octets.iter().all(|&octet| octet > 0x1f && octet != b':' && octet != 0x7f) {
            writer.octets(self.octets);
            return;
        }
        for octet in self.octets() {
            match octet {
                b':' => writer.octets(b"::"),
                0..=0x1f | 0x7f => writer.octet(b'_'),
                octet => writer.octet(octet),
            };
        }
    }
}

/// Two names are equal if they name the same, however they are written.
impl PartialEq for EscapedName<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.octets().eq(other.octets())
    }
}

impl Eq for EscapedName<'_> {}

/// The octets of a name, from [`EscapedName::octets`].
#[derive(Clone, Debug)]
pub struct Unescaped<'a> {
    octets: slice::Iter<'a, u8>,
    escaped: bool,
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let &octet = self.octets.next()?;
        if self.escaped && octet == b':' && self.octets.as_slice().first() == Some(&b':') {
            self.octets.next();
        }
        Some(octet)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let most = self.octets.len();
        (if self.escaped { most.div_ceil(2) } else { most }, Some(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn un_escapes_from_left_to_right() {
        let read = |octets| EscapedName::received(octets).octets().collect::<Vec<_>>();
        assert_eq!(read(b"a::b.txt"), b"a:b.txt");
        assert_eq!(read(b"::a"), b":a");
        assert_eq!(read(b"a::::"), b"a::");
        assert_eq!(read(b"12:30"), b"12:30", "a single colon stands for itself");
        assert_eq!(EscapedName::received(b"a::b").as_plain(), None);
        assert_eq!(EscapedName::received(b"ab").as_plain(), Some(&b"ab"[..]));
        assert_eq!(EscapedName::plain(b"a:b").as_plain(), Some(&b"a:b"[..]));
    }

    #[test]
    fn equality_is_of_the_name_not_of_its_spelling() {
        assert_eq!(EscapedName::received(b"a::b"), EscapedName::plain(b"a:b"));
        assert_ne!(EscapedName::plain(b"a::b"), EscapedName::plain(b"a:b"));
    }

    #[test]
    fn writes_no_separator() {
        let mut buffer = [0xa5; 16];
        let mut writer = Writer::new(&mut buffer);
        EscapedName::plain(b"a:b\x07\0\n").write(&mut writer);
        let len = writer.finish().unwrap();
        assert_eq!(&buffer[..len], b"a::b___");
        assert_eq!(buffer[len], 0xa5);
    }

    #[test]
    fn copies_what_fits() {
        let mut buffer = [0xa5; 4];
        assert_eq!(EscapedName::received(b"a::b").copy_to(&mut buffer), b"a:b");
        assert_eq!(buffer[3], 0xa5);
        assert_eq!(EscapedName::received(b"abcdef").copy_to(&mut buffer), b"abcd");
    }
}
