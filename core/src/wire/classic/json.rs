//! JSON as Python's `json` module reads and writes it, of which a header needs one object.

use core::fmt::{self, Write as _};
use core::str;

use crate::wire::{Field, ParseError, Writer, decimal};

/// How deep objects and lists may stand in each other, the outermost included (R-CL-4). Python's own limit, some
/// thousand, is that of its stack.
pub const MAX_DEPTH: u8 = 16;

/// A value in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written; also `NaN` and `Infinity`, which Python writes and reads.
    Number(&'a [u8]),
    /// A text.
    Text(JsonText<'a>),
    /// An object or a list: checked, and of no use to a header.
    Nested,
}

impl<'a> Value<'a> {
    /// The text, if it is one.
    #[must_use]
    pub const fn text(self) -> Option<JsonText<'a>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it can be a size: without sign, fraction or exponent, and less than 2^63 (R-CL-6).
    #[must_use]
    pub fn size(self) -> Option<u64> {
        let Self::Number(digits) = self else { return None };
        decimal(digits).filter(|&size| i64::try_from(size).is_ok())
    }
}

/// An object that was checked from its first brace to its last.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    octets: &'a [u8],
}

impl<'a> Object<'a> {
    /// Checks that `octets` are one object, with nothing but white space around it.
    ///
    /// # Errors
    /// [`ParseError`] for what Python's `json.loads` would not read, and for what is deeper than [`MAX_DEPTH`].
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        let mut scanner = Scanner { rest: octets };
        scanner.white_space();
        scanner
            .object(MAX_DEPTH, &mut |_, _| {})
            .filter(|()| scanner.rest.is_empty())
            .map(|()| Self { octets })
            .ok_or(ParseError::malformed(Field::Header))
    }

    /// The value of `key`. Of a key that stands several times the last counts, as in Python (R-CL-5).
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        let mut found = None;
        let mut scanner = Scanner { rest: self.octets };
        scanner.white_space();
        scanner.object(MAX_DEPTH, &mut |name, value| {
            if name == *key {
                found = Some(value);
            }
        })?;
        found
    }
}

/// A text in JSON: as received, with its escapes, or to be sent, without.
///
/// Half of a surrogate pair, which Python reads and cannot write to any file, reads as U+FFFD.
#[derive(Clone, Copy)]
pub struct JsonText<'a> {
    text: &'a str,
    escaped: bool,
}

impl<'a> JsonText<'a> {
    /// A text to send.
    #[must_use]
    pub const fn plain(text: &'a str) -> Self {
        Self { text, escaped: false }
    }

    /// The characters.
    #[must_use]
    pub fn chars(self) -> Chars<'a> {
        Chars { rest: self.text.chars(), escaped: self.escaped }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.text.is_empty()
    }

    /// Copies the characters to the front of `buffer`, as UTF-8; `None` if they do not fit.
    #[must_use]
    pub fn copy_to(self, buffer: &mut [u8]) -> Option<&str> {
        let mut len = 0_usize;
        for character in self.chars() {
            let mut octets = [0; 4];
            let octets = character.encode_utf8(&mut octets).as_bytes();
            let end = len.saturating_add(octets.len());
            buffer.get_mut(len..end)?.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
            len = end;
        }
        str::from_utf8(buffer.get(..len)?).ok()
    }

    /// Writes the text between quotes, in ASCII, as `json.dumps` does (R-CL-3).
    pub(super) fn write(self, writer: &mut Writer<'_>) {
        writer.octet(b'"');
        for character in self.chars() {
            match character {
                '"' => {
                    writer.octets(br#"\""#);
                }
                '\\' => {
                    writer.octets(br"\\");
                }
                '\n' => {
                    writer.octets(br"\n");
                }
                '\r' => {
                    writer.octets(br"\r");
                }
                '\t' => {
                    writer.octets(br"\t");
                }
                '\x0c' => {
                    writer.octets(br"\f");
                }
                '\x08' => {
                    writer.octets(br"\b");
                }
                ' '..='~' => {
                    writer.octet(u8::try_from(character).unwrap_or(b'?'));
                }
                _ => {
                    for &mut unit in character.encode_utf16(&mut [0; 2]) {
                        writer.octets(br"\u").hex_padded(u64::from(unit), 4);
                    }
                }
            }
        }
        writer.octet(b'"');
    }
}

/// Two texts are equal if they say the same, however they are written.
impl PartialEq for JsonText<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for JsonText<'_> {}

impl PartialEq<str> for JsonText<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl<'a> From<&'a str> for JsonText<'a> {
    fn from(text: &'a str) -> Self {
        Self::plain(text)
    }
}

/// The characters as they are: a terminal must not be given them.
impl fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|character| f.write_char(character))
    }
}

/// The octets, safe on any terminal.
impl fmt::Debug for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::text::Text::from(self.text).fmt(f)
    }
}

/// The characters of a [`JsonText`].
#[derive(Clone, Debug)]
pub struct Chars<'a> {
    rest: str::Chars<'a>,
    escaped: bool,
}

impl Chars<'_> {
    /// The UTF-16 unit behind a `\u`.
    fn unit(&mut self) -> Option<u16> {
        let mut unit = 0_u32;
        for _ in 0..4 {
            unit = unit << 4 | self.rest.next()?.to_digit(16)?;
        }
        u16::try_from(unit).ok()
    }

    /// The character that begins with `unit`, and with the escape behind it if that is its other half.
    fn character(&mut self, unit: u16) -> char {
        let mut ahead = self.clone();
        let second =
            if (ahead.rest.next(), ahead.rest.next()) == (Some('\\'), Some('u')) { ahead.unit() } else { None };
        let pair = char::decode_utf16([Some(unit), second].into_iter().flatten()).next();
        let first = pair.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
        if first.len_utf16() == 2 {
            *self = ahead;
        }
        first
    }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        if !self.escaped || character != '\\' {
            return Some(character);
        }
        Some(match self.rest.next()? {
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.unit()?;
                self.character(unit)
            }
            itself => itself,
        })
    }
}

/// Goes over JSON from left to right. `None` is: not JSON, or too deep.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Passes over `octet` if it comes next.
    fn accept(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, octet: u8) -> Option<()> {
        self.accept(octet).then_some(())
    }

    fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let count = self.rest.iter().take_while(|&&octet| is(octet)).count();
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or_default();
        self.rest = rest;
        taken
    }

    fn white_space(&mut self) {
        self.take_while(|octet| matches!(octet, b' ' | b'\t' | b'\n' | b'\r'));
    }

    /// An object, in which `levels` may stand in each other, itself included; and the white space behind it.
    fn object(&mut self, levels: u8, each: &mut dyn FnMut(JsonText<'a>, Value<'a>)) -> Option<()> {
        let below = levels.checked_sub(1)?;
        self.expect(b'{')?;
        self.white_space();
        let mut more = !self.accept(b'}');
        while more {
            let key = self.text()?;
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            let value = self.value(below)?;
            each(key, value);
            more = self.accept(b',');
            if more {
                self.white_space();
            } else {
                self.expect(b'}')?;
            }
        }
        self.white_space();
        Some(())
    }

    fn list(&mut self, levels: u8) -> Option<()> {
        let below = levels.checked_sub(1)?;
        self.expect(b'[')?;
        self.white_space();
        let mut more = !self.accept(b']');
        while more {
            self.value(below)?;
            more = self.accept(b',');
            if more {
                self.white_space();
            } else {
                self.expect(b']')?;
            }
        }
        self.white_space();
        Some(())
    }

    /// Any value, and the white space behind it.
    fn value(&mut self, levels: u8) -> Option<Value<'a>> {
        let value = match self.peek()? {
            b'{' => self.object(levels, &mut |_, _| {}).map(|()| Value::Nested),
            b'[' => self.list(levels).map(|()| Value::Nested),
            b'"' => self.text().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            _ => match self.take_while(|octet| octet.is_ascii_alphabetic()) {
                b"null" => Some(Value::Null),
                b"true" => Some(Value::Bool(true)),
                b"false" => Some(Value::Bool(false)),
                word @ (b"NaN" | b"Infinity") => Some(Value::Number(word)),
                _ => None,
            },
        }?;
        self.white_space();
        Some(value)
    }

    fn number(&mut self) -> Option<&'a [u8]> {
        let all = self.rest;
        let negative = self.accept(b'-');
        if negative && self.rest.starts_with(b"Infinity") {
            self.take_while(|octet| octet.is_ascii_alphabetic());
        } else {
            // No digits behind a leading zero.
            if !self.accept(b'0') {
                self.digits()?;
            }
            if self.accept(b'.') {
                self.digits()?;
            }
            if self.accept(b'e') || self.accept(b'E') {
                let _ = self.accept(b'+') || self.accept(b'-');
                self.digits()?;
            }
        }
        all.get(..all.len().saturating_sub(self.rest.len()))
    }

    fn digits(&mut self) -> Option<()> {
        if self.take_while(|octet| octet.is_ascii_digit()).is_empty() { None } else { Some(()) }
    }

    /// A text between quotes. Its escapes are checked, so that [`Chars`] meets none that is not whole.
    fn text(&mut self) -> Option<JsonText<'a>> {
        self.expect(b'"')?;
        let all = self.rest;
        let mut escaped = false;
        loop {
            self.take_while(|octet| octet >= b' ' && octet != b'"' && octet != b'\\');
            if !self.accept(b'\\') {
                break;
            }
            escaped = true;
            let (&kind, rest) = self.rest.split_first()?;
            self.rest = rest;
            match kind {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    let (unit, rest) = self.rest.split_first_chunk::<4>()?;
                    unit.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                    self.rest = rest;
                }
                _ => return None,
            }
        }
        let text = all.get(..all.len().saturating_sub(self.rest.len()))?;
        self.expect(b'"')?;
        Some(JsonText { text: str::from_utf8(text).ok()?, escaped })
    }
}
