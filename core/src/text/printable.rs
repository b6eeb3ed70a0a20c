//! Received text on a terminal.

use core::fmt::{self, Write};

use super::is_deceptive;

/// Shows text so that it can neither command a terminal nor pass for something else: control characters
/// (and with them every escape sequence), bidirectional overrides and invisible characters appear as
/// `\u{1b}`; all else appears as it is, and so do the two joiners, which many scripts and emoji need.
///
/// For people: a backslash stays a backslash, so the result cannot be turned back.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a> {
    text: &'a str,
    lines: bool,
}

impl<'a> Printable<'a> {
    /// Text of which nothing may leave its line: a name, a group, a file name.
    #[must_use]
    pub const fn line(text: &'a str) -> Self {
        Self { text, lines: false }
    }

    /// Text that may have lines and tabs: a message. `\r\n` is a line feed.
    #[must_use]
    pub const fn lines(text: &'a str) -> Self {
        Self { text, lines: true }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\n' | '\t' if self.lines => f.write_char(character)?,
                '\r' if self.lines && characters.peek() == Some(&'\n') => {}
                character if is_deceptive(character) => write!(f, "{}", character.escape_unicode())?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn commands_become_visible() {
        for (received, shown) in [
            ("你好 \\ ☺", "你好 \\ ☺"),
            ("\x1b]52;c;Zm9v\x07", "\\u{1b}]52;c;Zm9v\\u{7}"),
            ("\u{9d}0;title\u{9c}", "\\u{9d}0;title\\u{9c}"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\\u{202e}b\\u{2066}c\\u{200f}"),
            ("a\r\nb\tc", "a\\u{d}\\u{a}b\\u{9}c"),
            ("\u{e0041}\u{feff}", "\\u{e0041}\\u{feff}"),
            ("a\u{200b}b\u{2060}c\u{2064}d\u{ad}e\u{3164}", "a\\u{200b}b\\u{2060}c\\u{2064}d\\u{ad}e\\u{3164}"),
            ("می\u{200c}خواهم 👨\u{200d}👩", "می\u{200c}خواهم 👨\u{200d}👩"),
        ] {
            assert_eq!(Printable::line(received).to_string(), shown, "{received:?}");
        }
    }

    #[test]
    fn messages_have_lines() {
        assert_eq!(Printable::lines("a\r\nb\n\tc\rd").to_string(), "a\nb\n\tc\\u{d}d");
    }
}
