//! INI files, line by line: read, and one value changed without touching anything else.

use super::Wrong;

/// What some editors put in front of a text, to mark its character set.
const MARK: char = '\u{feff}';

/// A key with its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'t> {
    pub(super) key: &'t str,
    pub(super) value: &'t str,
    /// The line, counted from 1.
    pub(super) line: usize,
}

/// A section.
#[derive(Debug)]
pub(super) struct Section<'t> {
    pub(super) name: &'t str,
    /// Its first line, counted from 1.
    pub(super) line: usize,
    pub(super) pairs: Vec<Pair<'t>>,
}

impl<'t> Section<'t> {
    /// The pair of `key`, whose case does not matter, as to Python.
    pub(super) fn pair(&self, key: &str) -> Option<Pair<'t>> {
        self.pairs.iter().copied().find(|pair| pair.key.eq_ignore_ascii_case(key))
    }

    /// The same, of a key that must be there.
    pub(super) fn required(&self, key: &str) -> Result<Pair<'t>, Wrong> {
        self.pair(key).ok_or_else(|| Wrong::at(self.line, format!("[{}] has no {key}; add `{key} = …`", self.name)))
    }
}

/// What a line is.
enum Line<'t> {
    Nothing,
    Section(&'t str),
    Pair(&'t str, &'t str),
}

fn line(text: &str, number: usize) -> Result<Line<'_>, Wrong> {
    let text = text.trim();
    if text.is_empty() || text.starts_with(['#', ';']) {
        return Ok(Line::Nothing);
    }
    if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Ok(Line::Section(name));
    }
    let (key, value) = text.split_once(['=', ':']).ok_or_else(|| {
        Wrong::at(number, format!("{text:?} is neither [SECTION] nor KEY = VALUE; put # before a comment"))
    })?;
    Ok(Line::Pair(key.trim_end(), value.trim_start()))
}

/// The lines, numbered from 1, without the mark.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    text.split_inclusive('\n').enumerate().map(|(at, line)| (at + 1, line))
}

/// Reads all sections. What stands twice is an error, as it is to the classic programs.
pub(super) fn parse(text: &str) -> Result<Vec<Section<'_>>, Wrong> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (number, content) in lines(text) {
        match line(content, number)? {
            Line::Nothing => {}
            Line::Section(name) => {
                if sections.iter().any(|section| section.name == name) {
                    return Err(Wrong::at(number, format!("[{name}] stands twice; remove one of them")));
                }
                sections.push(Section { name, line: number, pairs: Vec::new() });
            }
            Line::Pair(key, value) => {
                let section = sections.last_mut().ok_or_else(|| {
                    Wrong::at(number, format!("{key} stands before the first [SECTION]; move it into one"))
                })?;
                if section.pair(key).is_some() {
                    return Err(Wrong::at(
                        number,
                        format!("{key} stands twice in [{}]; remove one of them", section.name),
                    ));
                }
                section.pairs.push(Pair { key, value, line: number });
            }
        }
    }
    Ok(sections)
}

/// Gives `key` of `section` the `value`: in its line, or in a new one behind the last of the section.
pub(super) fn modified(text: &str, section: &Section<'_>, key: &str, value: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let pair = section.pair(key);
    let at = pair.map_or_else(|| section.pairs.last().map_or(section.line, |pair| pair.line), |pair| pair.line);
    let mut changed = String::with_capacity(text.len() + key.len() + value.len() + 8);
    changed.push_str(if text.starts_with(MARK) { "\u{feff}" } else { "" });
    for (number, content) in lines(text) {
        if number != at {
            changed.push_str(content);
        } else if pair.is_some() {
            changed.push_str(&with_value(content, value));
        } else {
            changed.push_str(content.trim_end_matches(['\r', '\n']));
            changed.push_str(&format!("{end}{key} = {value}"));
            changed.push_str(if content.ends_with('\n') { end } else { "" });
        }
    }
    changed
}

/// A line with another value: its indent, key, blanks and end stay.
fn with_value(content: &str, value: &str) -> String {
    let body = content.trim_end();
    let end = &content[body.len()..];
    let at = body.find(['=', ':']).map_or(body.len(), |at| at + 1);
    let (front, old) = body.split_at(at);
    let blanks = &old[..old.len() - old.trim_start().len()];
    // Without a value, the blank that was behind the sign is now at the end.
    let (blanks, end) = if old.is_empty() { (" ", end.trim_start_matches([' ', '\t'])) } else { (blanks, end) };
    format!("{front}{blanks}{value}{end}")
}
