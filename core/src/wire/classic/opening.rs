//! What a connection is about, told by its first octets.

use super::prefix;
use crate::wire::transfer::{LENGTH, Prefix};

/// What the first octets of a connection begin (R-CL-10). The answer for more octets of the same connection is the
/// same, or more exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Too few octets to say.
    More,
    /// Two or three octets of text. If no more come within a moment, it is a remote command, such as `ls`; if more
    /// come, look again (R-CL-12). No native header begins so: it would have more than 8 KiB.
    Brief,
    /// A remote command: the octets are its text.
    Command,
    /// A header in JSON, whose keys tell the dialect ([`super::Request`]).
    Json,
    /// None of the classic dialects.
    Other,
}

impl Opening {
    /// Looks at the first octets of a connection.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        let text = octets.iter().take(LENGTH).zip(0..).take_while(|&(&octet, at)| is_text(octet, at)).count();
        // R-CL-11: four octets of text are a length of 0x09000000 and more, which nothing has.
        if text == octets.len().min(LENGTH) {
            return match text {
                // A lone octet may be the beginning of any length.
                0 | 1 => Self::More,
                LENGTH => Self::Command,
                _ => Self::Brief,
            };
        }
        match (prefix(octets), octets.get(LENGTH)) {
            (Ok(Prefix::More), _) | (Ok(Prefix::Header(_)), None) => Self::More,
            (Ok(Prefix::Header(_)), Some(b'{')) => Self::Json,
            _ => Self::Other,
        }
    }
}

/// Whether a command in UTF-8 may have this octet at this place. Line ends and tabs count, because people type them, but
/// not as the first or second: that could be the length of a native header.
const fn is_text(octet: u8, at: usize) -> bool {
    match octet {
        b' '..=b'~' | 0xc2..=0xf4 => true,
        0x80..=0xbf => at > 0,
        b'\t' | b'\n' | b'\r' => at > 1,
        _ => false,
    }
}
