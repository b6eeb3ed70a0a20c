//! Taking received octets apart, left to right.

/// A cursor over received octets. Every step can come back empty-handed; none can panic.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of `octets`.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the octets up to the next `delimiter`, which is consumed too.
    ///
    /// `None`, and nothing consumed, if there is no delimiter.
    pub fn until(&mut self, delimiter: u8) -> Option<&'a [u8]> {
        let at = self.rest.iter().position(|&octet| octet == delimiter)?;
        let (field, rest) = self.rest.split_at_checked(at)?;
        self.rest = rest.get(1..)?;
        Some(field)
    }

    /// Takes the octets up to the next of two delimiters, which is consumed too, and says which it was.
    ///
    /// `None`, and nothing consumed, if there is neither.
    pub fn until_either(&mut self, one: u8, other: u8) -> Option<(&'a [u8], u8)> {
        let at = self.rest.iter().position(|&octet| octet == one || octet == other)?;
        let (field, rest) = self.rest.split_at_checked(at)?;
        let (&delimiter, rest) = rest.split_first()?;
        self.rest = rest;
        Some((field, delimiter))
    }

    /// Takes the octets up to the next `delimiter`, or all that are left.
    pub fn until_or_rest(&mut self, delimiter: u8) -> &'a [u8] {
        match self.until(delimiter) {
            Some(field) => field,
            None => core::mem::take(&mut self.rest),
        }
    }

    /// Takes exactly `count` octets; `None`, and nothing consumed, if there are fewer.
    pub fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Passes over any number of `octet`s.
    pub fn skip_all(&mut self, octet: u8) {
        while let Some((&first, rest)) = self.rest.split_first() {
            if first != octet {
                break;
            }
            self.rest = rest;
        }
    }
}

/// Where the first `wanted` stands in octets of which there may be many.
///
/// Processors with vectors look at many at once. Those without gain little, and 350 octets of flash are much to them.
pub(crate) fn find(wanted: u8, octets: &[u8]) -> Option<usize> {
    if cfg!(target_os = "none") {
        octets.iter().position(|&octet| octet == wanted)
    } else {
        memchr::memchr(wanted, octets)
    }
}

/// Reads a field that consists of decimal digits only. Saturates at [`u64::MAX`].
#[must_use]
pub fn decimal(field: &[u8]) -> Option<u64> {
    number(field, 10)
}

/// Reads a field that consists of hexadecimal digits of either case only. Saturates at [`u64::MAX`].
#[must_use]
pub fn hex(field: &[u8]) -> Option<u64> {
    number(field, 16)
}

/// Reads the decimal digits at the front of a field, as C's `strtoul` would; `None` if there are none.
#[must_use]
pub fn leading_decimal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().take_while(|octet| octet.is_ascii_digit()).count();
    decimal(field.get(..digits)?)
}

fn number(field: &[u8], radix: u8) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for &octet in field {
        let digit = match octet {
            b'0'..=b'9' => octet.wrapping_sub(b'0'),
            b'a'..=b'f' => octet.wrapping_sub(b'a' - 10),
            b'A'..=b'F' => octet.wrapping_sub(b'A' - 10),
            _ => return None,
        };
        if digit >= radix {
            return None;
        }
        value = value.saturating_mul(u64::from(radix)).saturating_add(u64::from(digit));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_order() {
        let mut reader = Reader::new(b"a::b");
        assert_eq!(reader.until(b':'), Some(&b"a"[..]));
        assert_eq!(reader.until(b':'), Some(&b""[..]));
        assert_eq!(reader.until(b':'), None);
        assert_eq!(reader.rest(), b"b");
        assert_eq!(reader.until_or_rest(b':'), b"b");
        assert!(reader.is_empty());
    }

    #[test]
    fn whichever_delimiter_comes_first() {
        let mut reader = Reader::new(b"a:b\0c");
        assert_eq!(reader.until_either(b':', 0), Some((&b"a"[..], b':')));
        assert_eq!(reader.until_either(b':', 0), Some((&b"b"[..], 0)));
        assert_eq!(reader.until_either(b':', 0), None);
        assert_eq!(reader.rest(), b"c");
    }

    #[test]
    fn numbers_saturate_and_reject() {
        assert_eq!(decimal(b"0000000042"), Some(42));
        assert_eq!(decimal(b"99999999999999999999999"), Some(u64::MAX));
        assert_eq!(decimal(b""), None);
        assert_eq!(decimal(b"-1"), None);
        assert_eq!(hex(b"FfFf"), Some(0xffff));
        assert_eq!(hex(b"xyz"), None);
        assert_eq!(leading_decimal(b"1700000020abc"), Some(1_700_000_020));
        assert_eq!(leading_decimal(b"abc"), None);
    }
}
