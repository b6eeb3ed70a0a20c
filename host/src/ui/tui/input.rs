//! The line that is being written: an editor whose cursor moves by what people see as one character.
//!
//! **Memory**: at most [`Input::MOST`] octets.

use std::borrow::Cow;

use feige_core::text::Printable;
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use unicode_width::UnicodeWidthStr;

/// A text and a place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    text: String,
    /// Octets before the cursor; always between two characters as people see them.
    cursor: usize,
}

impl Input {
    /// A message that is longer than this is no message but a file.
    pub(super) const MOST: usize = 16 * 1024;

    /// A text with the cursor at its end.
    pub(super) fn new(text: String) -> Self {
        Self { cursor: text.len(), text }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the text out.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Writes at the cursor: what fits, without control characters, in lines that end as here.
    pub(super) fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        for character in text.chars().filter(|&character| !character.is_control() || matches!(character, '\n' | '\t')) {
            if self.text.len() + character.len_utf8() > Self::MOST {
                break;
            }
            self.text.insert(self.cursor, character);
            self.cursor += character.len_utf8();
        }
        // What follows may be a mark that belongs to what was written.
        self.cursor = self.boundary_at_or_after(self.cursor);
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.before();
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.after();
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(super) fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    pub(super) fn word_right(&mut self) {
        let mut words = self.text[self.cursor..].split_word_bound_indices();
        let end = words.find(|(_, word)| !word.trim().is_empty()).map(|(at, word)| self.cursor + at + word.len());
        self.cursor = end.unwrap_or(self.text.len());
    }

    pub(super) fn backspace(&mut self) {
        self.remove(self.before(), self.cursor);
    }

    pub(super) fn delete(&mut self) {
        self.remove(self.cursor, self.after());
    }

    pub(super) fn delete_word(&mut self) {
        self.remove(self.word_before(), self.cursor);
    }

    pub(super) fn delete_to_start(&mut self) {
        self.remove(0, self.cursor);
    }

    pub(super) fn delete_to_end(&mut self) {
        self.remove(self.cursor, self.text.len());
    }

    /// The part of the line that fits into `width` cells, and the cell of the cursor in it.
    pub(super) fn window(&self, width: usize) -> (String, usize) {
        let before: usize = self.text[..self.cursor].graphemes(true).map(cells).sum();
        // The cursor needs a cell of its own behind the last character.
        let mut skip = (before + 1).saturating_sub(width);
        let (mut shown, mut used, mut skipped) = (String::new(), 0, 0);
        for character in self.text.graphemes(true) {
            let cells = cells(character);
            if skip > 0 {
                skip = skip.saturating_sub(cells);
                skipped += cells;
                continue;
            }
            if used + cells > width {
                break;
            }
            used += cells;
            shown.push_str(&shape(character));
        }
        (shown, before.saturating_sub(skipped))
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        // Removing may join what stood on both sides to one character.
        self.cursor = self.boundary_at_or_after(from);
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.text[self.cursor..].graphemes(true).next();
        self.cursor + next.map_or(0, str::len)
    }

    fn word_before(&self) -> usize {
        let mut words = self.text[..self.cursor].split_word_bound_indices();
        words.rfind(|(_, word)| !word.trim().is_empty()).map_or(0, |(at, _)| at)
    }

    fn boundary_at_or_after(&self, at: usize) -> usize {
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        match cursor.is_boundary(&self.text, 0) {
            Ok(true) => at,
            _ => cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len()),
        }
    }
}

/// How a character of the line looks: a pasted text can have anything in it.
fn shape(character: &str) -> Cow<'_, str> {
    match character {
        "\n" => "↵".into(),
        "\t" => "→".into(),
        _ if character.is_ascii() => character.into(),
        _ => Printable::line(character).to_string().into(),
    }
}

fn cells(character: &str) -> usize {
    shape(character).width()
}

/// What was sent before, to be sent again.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    /// Which one is shown, counted from the newest, and what was being written before.
    shown: Option<(usize, String)>,
}

impl History {
    /// How many are kept.
    const MOST: usize = 100;

    pub(super) fn push(&mut self, line: String) {
        self.shown = None;
        if line.is_empty() || self.lines.last() == Some(&line) {
            return;
        }
        if self.lines.len() >= Self::MOST {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }

    /// The line before the one that is shown.
    pub(super) fn older(&mut self, input: &mut Input) {
        let next = self.shown.as_ref().map_or(0, |(shown, _)| shown + 1);
        let Some(line) = self.lines.iter().nth_back(next) else { return };
        let written = Input::new(line.clone());
        let draft = match self.shown.take() {
            Some((_, draft)) => draft,
            None => input.take(),
        };
        self.shown = Some((next, draft));
        *input = written;
    }

    /// The line after it; in the end what was being written.
    pub(super) fn newer(&mut self, input: &mut Input) {
        match self.shown.take() {
            None => {}
            Some((0, draft)) => *input = Input::new(draft),
            Some((shown, draft)) => {
                if let Some(line) = self.lines.iter().nth_back(shown - 1) {
                    *input = Input::new(line.clone());
                }
                self.shown = Some((shown - 1, draft));
            }
        }
    }

    /// What is shown is being changed, or belongs to another member: it is a text of its own now.
    pub(super) fn forget_place(&mut self) {
        self.shown = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_over_wide_and_composed_characters() {
        let mut input = Input::default();
        input.insert("飞鸽👨‍👩‍👧e\u{301}");
        assert_eq!(input.window(20), ("飞鸽👨‍👩‍👧e\u{301}".into(), 7));
        input.left();
        assert_eq!(input.window(20).1, 6);
        input.left();
        assert_eq!(input.window(20).1, 4, "a family is one character");
        input.backspace();
        assert_eq!(input.as_str(), "飞👨‍👩‍👧e\u{301}");
        input.delete();
        assert_eq!(input.as_str(), "飞e\u{301}");
        input.end();
        input.backspace();
        assert_eq!(input.as_str(), "飞");
        input.left();
        input.left();
        input.insert("\u{301}x");
        assert_eq!(input.as_str(), "\u{301}x飞");
        input.right();
        input.right();
        assert_eq!(input.window(20).1, 3);
    }

    #[test]
    fn words_are_one_step() {
        let mut input = Input::new("see you at 5".into());
        input.delete_word();
        assert_eq!(input.as_str(), "see you at ");
        input.word_left();
        input.word_left();
        input.delete_to_end();
        assert_eq!(input.as_str(), "see ");
        input.home();
        input.word_right();
        input.delete_to_start();
        assert_eq!(input.as_str(), " ");
    }

    #[test]
    fn a_long_line_is_shown_around_the_cursor() {
        let mut input = Input::new("a飞鸽传书z".into());
        assert_eq!(input.window(5), ("书z".into(), 3), "no half characters, and room for the cursor");
        input.home();
        assert_eq!(input.window(5), ("a飞鸽".into(), 0));
        for width in 0..3 {
            input.end();
            let (shown, at) = input.window(width);
            assert!(shown.width() <= width && at <= width, "{width}: {shown} {at}");
        }
    }

    #[test]
    fn what_is_pasted_commands_nothing_and_has_an_end() {
        let mut input = Input::default();
        input.insert("a\x1b[2J\r\nb\u{202e}");
        assert_eq!(input.as_str(), "a[2J\nb\u{202e}");
        assert_eq!(input.window(40).0, "a[2J↵b\\u{202e}");
        input.insert(&"飞".repeat(Input::MOST));
        assert!(input.as_str().len() <= Input::MOST);
    }

    #[test]
    fn history_goes_back_and_returns_to_the_draft() {
        let (mut history, mut input) = (History::default(), Input::new("draft".into()));
        history.older(&mut input);
        assert_eq!(input.as_str(), "draft", "there is none");
        for line in ["one", "two", "two", ""] {
            history.push(line.into());
        }
        for expected in ["two", "one", "one"] {
            history.older(&mut input);
            assert_eq!(input.as_str(), expected);
        }
        for expected in ["two", "draft", "draft"] {
            history.newer(&mut input);
            assert_eq!(input.as_str(), expected);
        }
        for i in 0..1000 {
            history.push(i.to_string());
        }
        assert_eq!(history.lines.len(), History::MOST);
    }
}
