//! Text from the network, shown so that it cannot drive the terminal.

use std::fmt::{self, Display, Write};

/// Shows a text with everything escaped that is not a visible character: control characters, which would
/// move the cursor, retitle the window or answer as if typed; and the invisible marks that reorder or hide
/// what stands around them.
#[derive(Clone, Copy, Debug)]
pub struct Safe<'a>(pub &'a str);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_harmful) {
            let (harmless, from) = rest.split_at(at);
            f.write_str(harmless)?;
            let mut characters = from.chars();
            match characters.next() {
                Some('\t') => f.write_char(' ')?,
                Some(harmful) => write!(f, "{}", harmful.escape_unicode())?,
                None => {}
            }
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

const fn is_harmful(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Marks of direction, and their relatives that end lines.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Nothing to see: a byte-order mark, interlinear notes, tags.
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drives_the_terminal() {
        let shown = |text: &str| Safe(text).to_string();
        assert_eq!(shown("飞鸽 🕊 ok"), "飞鸽 🕊 ok");
        assert_eq!(shown("a\x1b]0;title\x07b"), "a\\u{1b}]0;title\\u{7}b");
        assert_eq!(shown("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(shown("cod.\u{202e}gpj"), "cod.\\u{202e}gpj");
        assert_eq!(shown("a\tb\nc"), "a b\\u{a}c");
        assert_eq!(shown(""), "");
    }
}
