//! Character sets: what peers write, and what they can read.
//!
//! The family never agreed on one. The official client writes the code page of its Windows unless both sides
//! announce UTF-8; FeiQ, 内网通 and several clones write GBK whatever the flags say; iptux writes UTF-8 without
//! a flag. A wrong choice is the main cause of failures between programs that are otherwise compatible, so
//! the choice is made per peer, and remembered (R-IP: encodings, section 7 of the facts).

use std::borrow::Cow;

use encoding_rs::{EncoderResult, Encoding, GB18030, GBK, SHIFT_JIS};
use feige_core::wire::ipmsg::feiq;

/// A character set of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// GBK, code page 936; read as its superset GB18030.
    Gbk,
    /// Shift_JIS, code page 932.
    ShiftJis,
}

impl Charset {
    /// The name that users read and write.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gbk => "gbk",
            Self::ShiftJis => "shift_jis",
        }
    }

    const fn decoder(self) -> &'static Encoding {
        match self {
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Gbk => GB18030,
            Self::ShiftJis => SHIFT_JIS,
        }
    }

    /// The text; what does not fit becomes U+FFFD. No byte-order mark is looked for.
    #[must_use]
    pub fn decode(self, octets: &[u8]) -> Cow<'_, str> {
        self.decoder().decode_without_bom_handling(octets).0
    }

    /// Whether the octets are text of this character set, without a fault.
    #[must_use]
    pub fn fits(self, octets: &[u8]) -> bool {
        self.decoder().decode_without_bom_handling_and_without_replacement(octets).is_some()
    }

    /// The octets; what the character set lacks becomes `?`.
    #[must_use]
    pub fn encode(self, text: &str) -> Cow<'_, [u8]> {
        self.encode_counting(text).0
    }

    /// The octets, and how many characters became `?` because the character set lacks them.
    #[must_use]
    pub fn encode_counting(self, text: &str) -> (Cow<'_, [u8]>, usize) {
        let encoding = match self {
            Self::Utf8 => return (Cow::Borrowed(text.as_bytes()), 0),
            Self::Gbk => GBK,
            Self::ShiftJis => SHIFT_JIS,
        };
        if text.is_ascii() {
            return (Cow::Borrowed(text.as_bytes()), 0);
        }
        let mut encoder = encoding.new_encoder();
        let mut octets = Vec::with_capacity(text.len() * 2);
        let (mut rest, mut lost) = (text, 0);
        loop {
            let room = encoder.max_buffer_length_from_utf8_without_replacement(rest.len()).unwrap_or(rest.len() * 2);
            octets.reserve(room);
            let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut octets, true);
            rest = &rest[read..];
            match result {
                EncoderResult::Unmappable(_) => {
                    octets.push(b'?');
                    lost += 1;
                }
                EncoderResult::InputEmpty => return (Cow::Owned(octets), lost),
                EncoderResult::OutputFull => {}
            }
        }
    }
}

/// The policy for peers that do not announce UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What `--charset` asks for.
    forced: Option<Charset>,
    /// What the locale suggests: never UTF-8, which needs no guess.
    locale: Charset,
}

impl Policy {
    /// What `--charset` asks for, or the locale's.
    #[must_use]
    pub fn new(forced: Option<Charset>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
            .unwrap_or_default();
        Self { forced, locale: of_locale(&locale) }
    }

    /// The character set of the legacy part of our entry, and of what goes to peers that we know nothing of.
    #[must_use]
    pub fn legacy(self) -> Charset {
        self.forced.unwrap_or(self.locale)
    }

    /// What `--charset` asks for.
    #[must_use]
    pub const fn forced(self) -> Option<Charset> {
        self.forced
    }

    /// The character set that octets without a declaration fit, if they tell: pure ASCII does not.
    #[must_use]
    pub fn sniff(self, octets: &[u8]) -> Option<Charset> {
        if let Some(forced) = self.forced {
            return Some(forced);
        }
        if octets.is_ascii() {
            return None;
        }
        let other = if self.locale == Charset::Gbk { Charset::ShiftJis } else { Charset::Gbk };
        [Charset::Utf8, self.locale, other].into_iter().find(|charset| charset.fits(octets))
    }

    /// Decodes octets of a peer: `declared` by a flag or by the kind of its program, or `remembered` from
    /// what it sent before, or what they fit.
    ///
    /// What a peer is known to write beats what octets happen to fit, because short GBK texts can be valid
    /// UTF-8 by accident; unless they do not fit it at all.
    #[must_use]
    pub fn decode(self, octets: &[u8], declared: Option<Charset>, remembered: Option<Charset>) -> Cow<'_, str> {
        let charset = declared
            .or_else(|| remembered.filter(|charset| charset.fits(octets)))
            .or_else(|| self.sniff(octets))
            .unwrap_or_else(|| self.legacy());
        charset.decode(octets)
    }
}

fn of_locale(locale: &str) -> Charset {
    if locale.starts_with("ja") { Charset::ShiftJis } else { Charset::Gbk }
}

/// The text without the description of a font that FeiQ appends: ` {/font;-16 0 … 微软雅黑 8404992;}`.
///
/// Cut after decoding, because octets of GBK can look like braces.
#[must_use]
pub fn without_font(text: &str) -> &str {
    let bare = feiq::without_font(text);
    // The blank in front of it belongs to it.
    let blank = if bare.len() < text.len() { bare.strip_suffix(' ') } else { None };
    blank.unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { forced: None, locale: Charset::Gbk };

    #[test]
    fn what_cannot_be_encoded_becomes_a_question_mark() {
        assert_eq!(&*Charset::Gbk.encode("飞鸽🕊!"), b"\xb7\xc9\xb8\xeb?!");
        assert_eq!(Charset::Gbk.encode_counting("飞鸽🕊!क").1, 2);
        assert_eq!(Charset::Gbk.encode_counting("飞?").1 + Charset::Utf8.encode_counting("🕊").1, 0);
        assert_eq!(&*Charset::ShiftJis.encode("鳩한"), b"\x94\xb5?");
        assert_eq!(&*Charset::Utf8.encode("🕊"), "🕊".as_bytes());
    }

    #[test]
    fn octets_tell_their_character_set_unless_they_are_ascii() {
        assert_eq!(POLICY.sniff(b"hello"), None);
        assert_eq!(POLICY.sniff("鸽子".as_bytes()), Some(Charset::Utf8));
        assert_eq!(POLICY.sniff(&Charset::Gbk.encode("你好，世界")), Some(Charset::Gbk));
        let japanese = Policy { forced: None, locale: Charset::ShiftJis };
        assert_eq!(japanese.sniff(&Charset::ShiftJis.encode("伝書鳩です")), Some(Charset::ShiftJis));
        let forced = Policy { forced: Some(Charset::ShiftJis), locale: Charset::Gbk };
        assert_eq!(forced.sniff(b"hello"), Some(Charset::ShiftJis));
    }

    #[test]
    fn memory_beats_accident() {
        // 0xc2 0xa0 is a GBK character and, by accident, valid UTF-8.
        assert_eq!(POLICY.decode(b"\xc2\xa0", None, Some(Charset::Gbk)), "聽");
        assert_eq!(POLICY.decode(b"\xc2\xa0", None, None), "\u{a0}");
        // What does not fit the memory is read as what it fits.
        assert_eq!(POLICY.decode("鸽".as_bytes(), None, Some(Charset::Gbk)), "鸽");
        assert_eq!(POLICY.decode(b"\xff\xff", Some(Charset::Utf8), None), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn the_font_of_feiq_is_cut_off() {
        let text = "hello world{/font;-16 0 0 0 400 0 0 0 134 0 0 2 32 微软雅黑 8404992;}";
        assert_eq!(without_font(text), "hello world");
        assert_eq!(without_font("a {b} {/font;-16;}"), "a {b}");
        assert_eq!(without_font("{/font;-16;} quoted"), "{/font;-16;} quoted");
        assert_eq!(without_font("plain {braces}"), "plain {braces}");
    }

    #[test]
    fn locales_choose_the_legacy_character_set() {
        assert_eq!(of_locale("zh_CN.UTF-8"), Charset::Gbk);
        assert_eq!(of_locale("ja_JP.UTF-8"), Charset::ShiftJis);
        assert_eq!(of_locale("C"), Charset::Gbk);
    }
}
