//! The digest of the salted store, and its folders.

use core::fmt;

use super::JsonText;
use crate::digest::{Digest, Running};

/// MD5 of a body as the salted store computes it, in one pass (R-CL-43).
///
/// Its programs hash the text `str(data) + str(salt)`, and `data` are Python's *bytes*: what is hashed is the literal
/// that Python would write for them, `b'…'`, and then the salt. Which quote stands around it is known only when all
/// octets were seen, so both literals are hashed until one is out of the question.
#[derive(Clone)]
pub struct SaltedMd5 {
    /// The literal between `'`.
    single: Running,
    /// The literal between `"`; `None` once a `"` has come, because then it cannot be the one.
    double: Option<Running>,
    /// Whether a `'` has come.
    apostrophe: bool,
}

impl SaltedMd5 {
    /// Begins with no octets.
    #[must_use]
    pub fn new() -> Self {
        let (mut single, mut double) = (Running::new(), Running::new());
        single.update(b"b'");
        double.update(b"b\"");
        Self { single, double: Some(double), apostrophe: false }
    }

    /// Takes the next octets of the body.
    pub fn update(&mut self, octets: &[u8]) {
        let mut literal = Literal { digest: self, octets: [0; LITERAL], len: 0 };
        for &octet in octets {
            literal.octet(octet);
        }
        literal.flush();
    }

    /// The digest with this salt; `None` stands for a salt that is missing or null, which Python writes `None`.
    #[must_use]
    pub fn finish(self, salt: Option<JsonText<'_>>) -> Digest {
        let (mut digest, quote) = match self.double {
            Some(double) if self.apostrophe => (double, b"\""),
            _ => (self.single, b"'"),
        };
        digest.update(quote);
        match salt {
            None => digest.update(b"None"),
            Some(salt) => {
                for character in salt.chars() {
                    digest.update(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        digest.finish()
    }
}

impl Default for SaltedMd5 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SaltedMd5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltedMd5")
    }
}

/// Octets of literal that go to the digests at a time: a few times what MD5 takes.
const LITERAL: usize = 256;

/// A piece of the literal, the same for both quotes, on its way into the digests.
struct Literal<'d> {
    digest: &'d mut SaltedMd5,
    octets: [u8; LITERAL],
    len: usize,
}

impl Literal<'_> {
    fn octet(&mut self, octet: u8) {
        match (octet, &self.digest.double) {
            (b'\'', Some(_)) => return self.apostrophe(),
            (b'"', _) => self.digest.double = None,
            _ => {}
        }
        let &Spelling { octets, len } = Spelling::of(octet);
        // Always four: one store, whatever counts of it.
        if let Some(room) = self.octets.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) {
            *room = octets;
        }
        self.len = self.len.saturating_add(usize::from(len));
        if self.len > LITERAL.saturating_sub(octets.len()) {
            self.flush();
        }
    }

    /// What one literal spells with a backslash and the other without.
    fn apostrophe(&mut self) {
        self.flush();
        self.digest.apostrophe = true;
        self.digest.single.update(br"\'");
        if let Some(double) = &mut self.digest.double {
            double.update(b"'");
        }
    }

    fn flush(&mut self) {
        let octets = self.octets.get(..self.len).unwrap_or_default();
        self.digest.single.update(octets);
        if let Some(double) = &mut self.digest.double {
            double.update(octets);
        }
        self.len = 0;
    }
}

/// How an octet stands in a literal between `'`.
#[derive(Clone, Copy)]
struct Spelling {
    octets: [u8; 4],
    len: u8,
}

impl Spelling {
    fn of(octet: u8) -> &'static Self {
        // A table, because four of ten octets of a picture are spelled otherwise than the one before.
        static ALL: [Spelling; 256] = {
            let mut all = [Spelling::new(0); 256];
            let mut octet = 0_u8;
            let (_, mut rest) = all.split_at_mut(0);
            while let Some((first, others)) = rest.split_first_mut() {
                *first = Spelling::new(octet);
                octet = octet.wrapping_add(1);
                rest = others;
            }
            all
        };
        const NONE: &Spelling = &Spelling::new(0);
        ALL.get(usize::from(octet)).unwrap_or(NONE)
    }

    const fn new(octet: u8) -> Self {
        match octet {
            b'\t' => Self { octets: *br"\t  ", len: 2 },
            b'\n' => Self { octets: *br"\n  ", len: 2 },
            b'\r' => Self { octets: *br"\r  ", len: 2 },
            b'\\' => Self { octets: *br"\\  ", len: 2 },
            b'\'' => Self { octets: *br"\'  ", len: 2 },
            b' '..=b'~' => Self { octets: [octet, 0, 0, 0], len: 1 },
            _ => Self { octets: [b'\\', b'x', hex_digit(octet >> 4), hex_digit(octet & 0xf)], len: 4 },
        }
    }
}

/// The digit for a number below 16.
const fn hex_digit(number: u8) -> u8 {
    if number < 10 { b'0'.wrapping_add(number) } else { b'a'.wrapping_add(number).wrapping_sub(10) }
}

/// In which sub-folder of the salted store a file stands (R-CL-42).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// Pictures: `img`.
    Image,
    /// Films: `video`.
    Video,
    /// Anything else: the store's folder itself.
    Other,
}

impl FileType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Image, Self::Video, Self::Other];

    const IMAGES: [&'static str; 6] = ["jpg", "jpeg", "png", "gif", "bmp", "svg"];
    const VIDEOS: [&'static str; 10] = ["mp4", "avi", "mov", "wmv", "mkv", "flv", "mpeg", "mpg", "vob", "m4v"];

    /// The word in a header, which is also the name of the sub-folder; empty for the folder itself.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Image => "img",
            Self::Video => "video",
            Self::Other => "",
        }
    }

    /// That of a word in a header. Any other word is [`FileType::Other`].
    #[must_use]
    pub fn of_word(word: JsonText<'_>) -> Self {
        Self::ALL.into_iter().find(|kind| word == *kind.word()).unwrap_or(Self::Other)
    }

    /// That of a file's name, by its extension, in either case.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let Some(extension) = name.bytes().rposition(|octet| octet == b'.').and_then(|dot| name.get(dot..)?.get(1..))
        else {
            return Self::Other;
        };
        let is = |known: &&str| extension.eq_ignore_ascii_case(known);
        if Self::IMAGES.iter().any(is) {
            Self::Image
        } else if Self::VIDEOS.iter().any(is) {
            Self::Video
        } else {
            Self::Other
        }
    }
}
