//! Text from the network, made fit for a screen once, when it comes in: everything that the model keeps can be
//! drawn as it is.

use feige_core::text::Printable;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Names are not kept longer than this, in cells.
const NAME: usize = 64;

/// A name: one line, harmless, not long.
pub(super) fn name(received: &str) -> String {
    // A character takes at least an octet, and ten octets at most as an escape.
    let mut limit = received.len().min(NAME * 16);
    while !received.is_char_boundary(limit) {
        limit -= 1;
    }
    clip(&Printable::line(&received[..limit]).to_string(), NAME)
}

/// A message: lines, harmless, tabs as spaces.
pub(super) fn lines(received: &str) -> String {
    Printable::lines(received).to_string().replace('\t', "    ")
}

/// As much as fits into `width` cells; an ellipsis stands for what does not.
pub(super) fn clip(text: &str, width: usize) -> String {
    // Many combining marks take no cells, but memory and the terminal's time.
    let octets = width.saturating_mul(16);
    if text.width() <= width && text.len() <= octets {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 0;
    for character in text.graphemes(true) {
        let cells = character.width();
        if used + cells + 1 > width || clipped.len() + character.len() > octets {
            break;
        }
        used += cells;
        clipped.push_str(character);
    }
    if width > 0 {
        clipped.push('…');
    }
    clipped
}

/// As [`clip`], filled up with spaces.
pub(super) fn fit(text: &str, width: usize) -> String {
    let mut fitted = clip(text, width);
    fitted.extend(std::iter::repeat_n(' ', width.saturating_sub(fitted.width())));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_counts_cells() {
        for (text, width, expected) in [
            ("alice", 5, "alice"),
            ("alice", 4, "ali…"),
            ("飞鸽传书", 8, "飞鸽传书"),
            ("飞鸽传书", 7, "飞鸽传…"),
            ("飞鸽传书", 6, "飞鸽…"),
            ("飞鸽传书", 1, "…"),
            ("飞鸽传书", 0, ""),
        ] {
            assert_eq!(clip(text, width), expected, "{text} {width}");
        }
        assert_eq!(fit("飞鸽传书", 6), "飞鸽… ");
    }

    #[test]
    fn names_are_harmless_and_short() {
        assert_eq!(name("a\x1b]0;x\x07\nb"), "a\\u{1b}]0;x\\u{7}\\u{a}b");
        let zalgo = format!("a{}", "\u{301}".repeat(100_000));
        assert!(name(&zalgo).len() <= 16 * NAME + 4);
        assert!(name(&"飞".repeat(100_000)).width() <= NAME);
        assert_eq!(lines("a\tb\r\nc\x1b"), "a    b\nc\\u{1b}");
    }
}
