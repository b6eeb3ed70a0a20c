//! Who we are, and names that are short enough to be remembered.

use heapless::Vec;

use crate::text::Text;
use crate::wire::ipmsg::{Place, sendable};

/// The most octets of a name that are kept; what is longer is cut between two characters.
///
/// Windows allows 20 characters for a user and 15 for a host, and nicknames are a few words: 64 octets are 21
/// Chinese characters in UTF-8. Every member costs four of these.
pub const NAME_MAX: usize = 64;

/// A user, host, nick or group name in some character set, at most [`NAME_MAX`] octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name(Vec<u8, NAME_MAX, u8>);

impl Name {
    /// The first [`NAME_MAX`] octets of `octets` at most, cut between two characters.
    #[must_use]
    pub fn new(octets: &[u8]) -> Self {
        Self(cut(octets, NAME_MAX).iter().copied().collect_cut())
    }

    /// The name as it may be sent in `place`.
    fn sendable(octets: &[u8], place: Place) -> Self {
        Self(sendable(cut(octets, NAME_MAX), place).collect_cut())
    }

    /// The name as it can be read in any character set: `?` for every octet that is not ASCII.
    #[cfg(feature = "lists")]
    pub(super) fn ascii(&self) -> Self {
        Self(self.0.iter().map(|&octet| if octet.is_ascii() { octet } else { b'?' }).collect_cut())
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Collects what fits; everything here was cut to the capacity before.
pub(super) trait CollectCut: Iterator<Item = u8> + Sized {
    fn collect_cut<const N: usize>(self) -> Vec<u8, N, u8> {
        let mut vec = Vec::new();
        for octet in self {
            if vec.push(octet).is_err() {
                break;
            }
        }
        vec
    }
}

impl<I: Iterator<Item = u8>> CollectCut for I {}

/// The front of `octets`, at most `most` of them, not ending within a character.
///
/// The character set is not known. Valid UTF-8 is cut as UTF-8. Everything else is cut where the double-byte sets of the
/// family agree that a character ends: in GBK, Big5 and CP949 an octet from 0x81 on takes the next one with it, in CP932
/// those from 0xA1 to 0xDF stand alone. They agree within a few characters; where they never do, nothing is left.
#[must_use]
pub fn cut(octets: &[u8], most: usize) -> &[u8] {
    let Some(front) = octets.get(..most).filter(|front| front.len() < octets.len()) else {
        return octets;
    };
    let len = match whole_utf8(front) {
        Some(len) => len,
        None => {
            let (mut whole, mut within_gbk, mut within_cp932) = (0, false, false);
            for (&octet, end) in front.iter().zip(1_usize..) {
                within_gbk = !within_gbk && octet >= 0x81;
                within_cp932 = !within_cp932 && matches!(octet, 0x81..=0xa0 | 0xe0..);
                if !within_gbk && !within_cp932 {
                    whole = end;
                }
            }
            whole
        }
    };
    front.get(..len).unwrap_or(front)
}

/// How many octets at the front are whole characters of UTF-8; `None` if it is something else, whatever may follow.
///
/// The library's validation would be 600 octets of flash, most of them for speed that names do not need.
pub(super) fn whole_utf8(octets: &[u8]) -> Option<usize> {
    let mut rest = octets;
    while let Some((&lead, behind)) = rest.split_first() {
        // How many octets follow, and how many bits the shorter forms have, which must not be enough (RFC 3629, 3).
        let (more, shorter) = match lead.leading_ones() {
            0 => (0, 0),
            2 => (1, 7),
            3 => (2, 11),
            4 => (3, 16),
            _ => return None,
        };
        let following = behind.get(..more).unwrap_or(behind);
        let mut character = u32::from(lead) & 0x3f >> more;
        for octet in following {
            if octet & 0xc0 != 0x80 {
                return None;
            }
            character = character << 6 | u32::from(octet & 0x3f);
        }
        if following.len() < more {
            break;
        }
        if more > 0 && (character >> shorter == 0 || char::from_u32(character).is_none()) {
            return None;
        }
        rest = behind.get(more..).unwrap_or_default();
    }
    Some(octets.len().saturating_sub(rest.len()))
}

/// The four names of an agent, in one character set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The log-on name. Peers tell agents apart by user and host.
    pub user: Name,
    /// The host's name.
    pub host: Name,
    /// The name to show.
    pub nick: Name,
    /// The group to show it under; may be empty.
    pub group: Name,
}

impl Names {
    /// Names that may be sent: what would break the grammar of a datagram is replaced (R-IP-8), an empty user or
    /// host becomes `?`, an empty nick the user.
    #[must_use]
    pub fn new(user: &[u8], host: &[u8], nick: &[u8], group: &[u8]) -> Self {
        Self {
            user: Name::sendable(user, Place::Header),
            host: Name::sendable(host, Place::Header),
            nick: Name::sendable(if nick.is_empty() { user } else { nick }, Place::Nick),
            group: Name::sendable(group, Place::Group),
        }
    }

    /// Whether these are the names of this user on this host.
    pub(super) fn are(&self, user: Text<'_>, host: Text<'_>) -> bool {
        user.as_bytes() == self.user.as_bytes() && host.as_bytes() == self.host.as_bytes()
    }
}

/// Who we are, in both character sets that peers may need.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The version at the front of everything that we send. Must begin with `1`; plain `1` is understood by all.
    pub version: &'static str,
    /// Name and version of this program, the answer to GETINFO.
    pub software: &'static str,
    /// Our names in UTF-8.
    pub utf8: Names,
    /// Our names in the character set of the peers that do not know UTF-8 (GBK, CP932 …).
    pub legacy: Names,
}

impl Identity {
    /// The names in UTF-8, or those in the legacy character set.
    #[must_use]
    pub const fn names(&self, utf8: bool) -> &Names {
        if utf8 { &self.utf8 } else { &self.legacy }
    }
}

/// A text in both character sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BothSets<'a> {
    /// In UTF-8.
    pub utf8: &'a [u8],
    /// In the legacy character set.
    pub legacy: &'a [u8],
}

/// The most octets of an absence title; it is appended to the nick in brackets.
pub const TITLE_MAX: usize = 32;

/// The most octets of an absence text; longer ones would not fit next to everything else on a device.
pub const ABSENCE_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(cut("飞鸽".as_bytes(), 5), "飞".as_bytes());
        assert_eq!(cut("飞鸽".as_bytes(), 6), "飞鸽".as_bytes());
        // GBK 孙志成, cut in the middle of the third character; behind the first one CP932 has another one half over.
        assert_eq!(cut(b"\xcb\xef\xd6\xbe\xb3\xc9", 5), b"\xcb\xef\xd6\xbe");
        assert_eq!(cut(b"\xcb\xef\xd6\xbe\xb3\xc9", 3), b"");
        assert_eq!(cut(b"a\xcb\xef", 2), b"a");
        assert_eq!(cut(b"abc", 2), b"ab");
        // CP932, where half-width kana have one octet, so that the readings differ behind an odd number of them.
        assert_eq!(cut(b"a\xb1\x93\xfa\x96\x7b\x93", 6), b"a\xb1\x93\xfa\x96\x7b");
        let mut kana = [0x93; 65];
        kana[0] = 0xb1;
        kana[2..].iter_mut().step_by(2).for_each(|octet| *octet = 0xfa);
        assert_eq!(cut(&kana, NAME_MAX), b"");
        assert_eq!(cut(b"", 0), b"");
    }

    /// Against the library's validation: every combination of four octets from both sides of every bound.
    #[test]
    fn whole_characters_are_those_of_the_library() {
        let bounds =
            [0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee];
        let bounds: Vec<u8, 32> = bounds.into_iter().chain([0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff]).collect();
        let four = |number: usize| [0, 1, 2, 3].map(|place| bounds[number / bounds.len().pow(place) % bounds.len()]);
        for octets in (0..bounds.len().pow(4)).map(four) {
            for len in 0..=4 {
                let octets = &octets[..len];
                let whole = whole_utf8(octets).filter(|&len| len == octets.len());
                assert_eq!(whole.is_some(), core::str::from_utf8(octets).is_ok(), "{octets:x?}");
            }
        }
    }

    #[test]
    fn names_never_break_the_grammar() {
        let names = Names::new(b"a:b\0c", b"", b"", b"x\x07y\nz");
        assert_eq!(names.user.as_bytes(), b"a;b_c");
        assert_eq!(names.host.as_bytes(), b"?");
        assert_eq!(names.nick.as_bytes(), b"a:b_c");
        assert_eq!(names.group.as_bytes(), b"x_y_z");
        assert_eq!(Names::new(&[b'x'; 100], b"h", b"n", b"").user.as_bytes(), [b'x'; NAME_MAX]);
    }
}
