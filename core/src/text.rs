//! Strings that came from a network are untrusted.
//!
//! [`Text`] is what a peer sent, in a character set that the octets do not name. It can be compared and
//! passed on; it must be decoded (by the host, which knows character sets) before it is shown, as a
//! [`Printable`], and it must become a [`FileName`] before it may name anything in a store.
//!
//! **Memory**: a [`FileName`] owns its octets, all else is borrowed. **Time**: linear.

mod file_name;
mod printable;

pub use file_name::FileName;
pub use printable::Printable;

use core::fmt;

/// Whether a character changes how those around it are shown rather than being shown itself: what turns
/// `gpj.exe` into `exe.jpg` on a screen, and what moves a terminal's cursor.
const fn is_deceptive(character: char) -> bool {
    matches!(character,
        // C0, DEL and C1: a terminal obeys them.
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        // Marks, embeddings, overrides and isolates of the bidirectional algorithm.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separators.
        | '\u{2028}' | '\u{2029}'
        // Invisible: soft hyphen, zero-width space, word joiner and invisible operators, Hangul fillers, byte order mark,
        // interlinear annotations, tags. Not the joiners U+200C and U+200D, without which many words look wrong.
        | '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Octets of a text field as received: any character set, any content.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// Wraps received octets, or octets to send.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The octets.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Whether every character set of the IPMSG family reads these octets alike.
    #[must_use]
    pub const fn is_ascii(self) -> bool {
        self.0.is_ascii()
    }

    /// The text, if it happens to be valid UTF-8.
    #[must_use]
    pub const fn as_utf8(self) -> Option<&'a str> {
        match core::str::from_utf8(self.0) {
            Ok(text) => Some(text),
            Err(_) => None,
        }
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(octets: &'a [u8]) -> Self {
        Self(octets)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

/// Shows printable ASCII as it is and everything else as `\xNN`: safe on any terminal.
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
