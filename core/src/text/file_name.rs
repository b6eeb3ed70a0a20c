//! Names that may be given to a store.

use core::fmt;
use core::str;

use heapless::String;

use super::is_deceptive;

/// One component of a path, made of a name that came from a network: it names something *in* a folder,
/// whatever the sender meant it to name (R-IP-88).
///
/// It has no separators (`/`, `\`, `:`), no NUL and no other control characters, nothing that changes the
/// direction of writing or is invisible, but for the joiners; it is not `.` or `..`, is not a device of Windows, does
/// not end in a dot or a space and is not empty. It may begin with a dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String<{ Self::MAX }>);

impl FileName {
    /// The most octets that a name may have: what the usual file systems allow.
    pub const MAX: usize = 255;

    /// Longer "extensions" are part of the name when a name has to be cut, and so are those of half its length.
    const MAX_EXTENSION: usize = 32;

    /// Makes the nearest safe name of `name`. Two names can become the same.
    ///
    /// A name that is too long is cut within, so that its extension stays.
    #[must_use]
    pub fn from_untrusted(name: &str) -> Self {
        Self::within(name, Self::MAX)
    }

    /// Like [`FileName::from_untrusted`], for a store whose names have at most `max` octets; at least 1, at most
    /// [`FileName::MAX`].
    #[must_use]
    pub fn within(name: &str, max: usize) -> Self {
        let name = trimmed(name, b". ");
        let max = max.clamp(1, Self::MAX);
        // The cut itself may leave nothing, or a device of Windows, so the outcome is what has to be safe.
        let plain = Self::cut("", name, max);
        if Self::is_safe(plain.as_str()) { plain } else { Self::cut("_", name, max) }
    }

    /// `front` and `name`, whose characters are replaced and which is cut where that is longer than `max` octets.
    fn cut(front: &str, name: &str, max: usize) -> Self {
        let mut safe = String::new();
        // What does not fit is left out: the room is counted first, so a failed push means nothing.
        let _ = safe.push_str(front);
        let fits = front.len().saturating_add(safe_len(name)) <= max;
        // Not `rsplit_once`, which contains a panic that the compiler cannot rule out.
        let dot = name.bytes().rposition(|octet| octet == b'.').filter(|_| !fits);
        let parts = dot.and_then(|dot| Some((name.get(..dot)?, name.get(dot.saturating_add(1)..)?)));
        let (stem, extension) = match parts {
            // An extension takes less than half.
            Some((stem, extension))
                if !stem.is_empty() && safe_len(extension) <= Self::MAX_EXTENSION.min(max.saturating_sub(1) / 2) =>
            {
                (stem, Some(extension))
            }
            _ => (name, None),
        };
        let reserved = extension.map_or(0, |extension| safe_len(extension).saturating_add(1));
        let room = max.saturating_sub(reserved);
        for character in stem.chars().map(safe_char) {
            if safe.len().saturating_add(character.len_utf8()) > room || safe.push(character).is_err() {
                break;
            }
        }
        match extension {
            Some(extension) => {
                let _ = safe.push('.');
                extension.chars().map(safe_char).for_each(|character| drop(safe.push(character)));
            }
            // The cut may have brought a dot or a space to the end.
            // Not `truncate`, which contains a panic.
            None => while trimmed(&safe, b". ").len() < safe.len() && safe.pop().is_some() {},
        }
        Self(safe)
    }

    /// Whether a name may be given to a store as it is: whether it is its own nearest safe name.
    #[must_use]
    pub fn is_safe(name: &str) -> bool {
        let changed = |character| safe_char(character) != character;
        !name.is_empty()
            && name.len() <= Self::MAX
            && trimmed(name, b". ").len() == name.len()
            && !is_device(name)
            && !name.chars().any(changed)
    }

    /// Makes the nearest safe name of octets in an unknown character set, for programs that know none but
    /// UTF-8: octets outside ASCII of anything else are spelled `%xx`, so that different names stay different.
    #[must_use]
    pub fn from_octets(octets: &[u8]) -> Self {
        str::from_utf8(octets).map_or_else(|_| Self::spelled(octets), Self::from_untrusted)
    }

    /// In a frame of its own, because few names are not UTF-8.
    #[inline(never)]
    fn spelled(octets: &[u8]) -> Self {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        let mut spelled = String::<{ 3 * Self::MAX }>::new();
        for &octet in octets {
            if octet.is_ascii() {
                let _ = spelled.push(char::from(octet));
            } else {
                let _ = spelled.push('%');
                let _ = spelled.push(digit(octet >> 4));
                let _ = spelled.push(digit(octet & 0xf));
            }
        }
        Self::from_untrusted(&spelled)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Without those of these ASCII characters that are at its end.
fn trimmed<'a>(name: &'a str, ends: &[u8]) -> &'a str {
    let last = name.bytes().rposition(|octet| !ends.contains(&octet));
    name.get(..last.map_or(0, |last| last.saturating_add(1))).unwrap_or_default()
}

/// Length in octets after [`safe_char`].
fn safe_len(name: &str) -> usize {
    name.chars().map(safe_char).fold(0, |len, character| len.saturating_add(character.len_utf8()))
}

const fn safe_char(character: char) -> char {
    match character {
        '/' | '\\' | ':' => '_',
        character if is_deceptive(character) => '_',
        character => character,
    }
}

/// Whether Windows would open a device instead of a file: the name up to its first dot counts, in any case.
fn is_device(name: &str) -> bool {
    let dot = name.bytes().position(|octet| octet == b'.').unwrap_or(name.len());
    let stem = trimmed(name.get(..dot).unwrap_or_default(), b" ");
    let is = |device: &str| stem.eq_ignore_ascii_case(device);
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].into_iter().any(is) {
        return true;
    }
    let Some((kind, number)) = stem.split_at_checked(3) else { return false };
    let is_port = ["COM", "LPT"].into_iter().any(|port| kind.eq_ignore_ascii_case(port));
    let mut number = number.chars();
    // The superscripts count as digits there.
    is_port && matches!((number.next(), number.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

impl AsRef<str> for FileName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    /// proves: R-IP-88
    #[test]
    fn nearest_safe_names() {
        for (received, safe) in [
            ("report.doc", "report.doc"),
            ("孙志成 (1).tar.gz", "孙志成 (1).tar.gz"),
            (".bashrc", ".bashrc"),
            ("", "_"),
            (".", "_"),
            ("..", "_"),
            ("...", "_"),
            (". . ", "_"),
            ("a.", "a"),
            ("a. .", "a"),
            (r"..\..\evil.exe", ".._.._evil.exe"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            (r"C:\Windows\win.ini", "C__Windows_win.ini"),
            ("file.txt:stream", "file.txt_stream"),
            ("a\0b\n\x1b]0;x\x07", "a_b__]0;x_"),
            ("photo\u{202e}gpj.exe", "photo_gpj.exe"),
            ("x\u{9b}31m", "x_31m"),
            ("report\u{200b}\u{3164}.doc", "report__.doc"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("com1", "_com1"),
            ("Lpt9 .tar.gz", "_Lpt9 .tar.gz"),
            ("COM¹", "_COM¹"),
            ("com", "com"),
            ("com10", "com10"),
            ("console", "console"),
            ("nul/", "nul_"),
            ("👨‍👩‍👧.png", "👨‍👩‍👧.png"),
            // What is safe as a whole may not be when it was cut.
            (&format!("{}x", " ".repeat(300)), "_"),
            (&format!("{}{}", ".".repeat(260), "x".repeat(40)), "_"),
            (&format!("con{}x", " ".repeat(300)), "_con"),
            (&format!("con{}x.txt", " ".repeat(300)), &format!("_con{}.txt", " ".repeat(247))),
        ] {
            assert_eq!(FileName::from_untrusted(received).as_str(), safe, "{received:?}");
            assert!(FileName::is_safe(safe), "{safe:?}");
        }
    }

    #[test]
    fn cuts_within_and_at_characters() {
        let long = format!("{}.tar.gz", "文".repeat(100));
        let name = FileName::from_untrusted(&long);
        assert_eq!(name.as_str(), format!("{}.gz", "文".repeat(84)));
        assert_eq!(name.as_str().len(), FileName::MAX);
        let no_extension = FileName::from_untrusted(&format!("{} .{}", "x".repeat(253), "y".repeat(40)));
        assert_eq!(no_extension.as_str(), "x".repeat(253));
        let device = FileName::from_untrusted(&format!("nul.{}.txt", "y".repeat(300)));
        assert!(device.as_str().starts_with("_nul.y") && device.as_str().ends_with("y.txt"));
        assert_eq!(device.as_str().len(), FileName::MAX);
        assert_eq!(FileName::from_untrusted(&"z".repeat(255)).as_str().len(), 255);
        assert_eq!(FileName::from_untrusted(&"z".repeat(256)).as_str().len(), 255);
    }

    #[test]
    fn stores_may_want_shorter_names() {
        let long = format!("{}.tar.gz", "文".repeat(100));
        assert_eq!(FileName::within(&long, 64).as_str(), format!("{}.gz", "文".repeat(20)));
        for (received, max, name) in [
            ("report.doc", 10, "report.doc"),
            ("report.doc", 9, "repor.doc"),
            ("report.doc", 8, "repo.doc"),
            ("report.doc", 6, "report"),
            ("console.log", 8, "cons.log"),
            ("console.log", 7, "_co.log"),
            ("console", 3, "_co"),
            ("a. b", 3, "a"),
            ("文", 2, "_"),
            ("", 0, "_"),
            (&"x".repeat(300), usize::MAX, &"x".repeat(FileName::MAX)),
        ] {
            assert_eq!(FileName::within(received, max).as_str(), name, "{received:?} within {max}");
            assert!(FileName::is_safe(name), "{name:?}");
        }
    }

    #[test]
    fn is_its_own_nearest_safe_name() {
        for name in ["..", "a/b. ", "nul", "COM1.x", "\u{202e}", &"é ".repeat(300), &"x.".repeat(300)] {
            let once = FileName::from_untrusted(name);
            assert_eq!(FileName::from_untrusted(once.as_str()), once, "{name:?}");
        }
    }

    #[test]
    fn octets_of_unknown_charsets_stay_distinct() {
        assert_eq!(FileName::from_octets("文.txt".as_bytes()).as_str(), "文.txt");
        assert_eq!(FileName::from_octets(b"35_\xcb\xef.txt").to_string(), "35_%cb%ef.txt");
        assert_eq!(FileName::from_octets(b"\xff/..").as_str(), "%ff_");
        assert_eq!(FileName::from_octets(&[0xff; 1000]).as_str().len(), FileName::MAX);
    }
}
