//! What FeiQ (飞秋) adds to messages: a font behind the text, and pictures in fragments.
//!
//! **Memory**: views of the received octets. **Time**: linear. **Protocol**: R-IP-45, 46 and 47.

use crate::text::Text;
use crate::wire::{Field, ParseError, Reader, Writer, decimal, hex};

use super::Datagram;

/// What a font suffix begins with.
const FONT: &[u8] = b"{/font;";

/// The most octets of a picture that a fragment of FeiQ carries.
pub const FEIQ_FRAGMENT: usize = 512;

/// Text without the font that FeiQ writes behind it, `{/font;…;}`, and without what follows that (R-IP-45).
///
/// For text in UTF-8, or decoded. The last `{/font;` counts, and only if a brace closes it at the end; blanks
/// in front of it stay, they are the sender's.
#[must_use]
pub fn without_font(text: &str) -> &str {
    let stripped = || {
        let (text, font) = split_at_font(text.trim_end().strip_suffix('}')?.as_bytes())?;
        if font.contains(&b'}') { None } else { Some(text.len()) }
    };
    // The mark is ASCII, so what stands in front of it ends with a whole character.
    stripped().and_then(|len| text.get(..len)).unwrap_or(text)
}

/// The same on octets in GBK, for programs that do not decode. The octets of the mark cannot be the second
/// half of a character: it begins with `{`, but `/` and `;` never are one (R-IP-3).
#[must_use]
pub fn without_font_octets(text: &[u8]) -> Text<'_> {
    let stripped = || {
        let (text, _) = split_at_font(text.trim_ascii_end().strip_suffix(b"}")?)?;
        Some(text)
    };
    Text::new(stripped().unwrap_or(text))
}

/// What stands in front of the last mark of a font, and the rest with the mark.
///
/// Not with `rsplit_once` or `memmem`: both contain panics that the compiler cannot rule out, and kibibytes of code
/// for texts longer than messages are.
fn split_at_font(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.windows(FONT.len()).rposition(|window| window == FONT)?;
    text.split_at_checked(at)
}

/// One fragment of a picture (R-IP-46): its description is the body of a SENDIMAGE datagram, its octets
/// are all that follows the first NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageFragment<'a> {
    /// The picture that this is a part of.
    pub id: u32,
    /// The size of the picture in octets.
    pub total: u32,
    /// Where in the picture this part begins.
    pub offset: u32,
    /// How many fragments there are.
    pub count: u32,
    /// Which one this is; the first is 1.
    pub index: u32,
    /// The three numbers behind the length: the second is 1 for a compressed bitmap and 2 for JPEG.
    pub flags: [u32; 3],
    /// The octets.
    pub data: &'a [u8],
}

impl<'a> ImageFragment<'a> {
    /// Reads a SENDIMAGE datagram.
    ///
    /// # Errors
    /// [`ParseError`] if the description is not of the form, or does not fit the octets.
    pub fn parse(datagram: &Datagram<'a>) -> Result<Self, ParseError> {
        let malformed = ParseError::malformed(Field::Image);
        let mut reader = Reader::new(datagram.body);
        let id = image_id(reader.until(b'|').ok_or(malformed)?)?;
        let mut number = || {
            let number = decimal(reader.until(b'|')?)?;
            u32::try_from(number).ok()
        };
        let mut next = || number().ok_or(malformed);
        let [total, offset, count, index, len] = [next()?, next()?, next()?, next()?, next()?];
        let flags = [next()?, next()?, next()?];
        let tail = datagram.tail.ok_or(ParseError::missing(Field::Image))?;
        let len = usize::try_from(len).map_err(|_| ParseError::too_large(Field::Image))?;
        let data = tail.get(..len).ok_or(ParseError::missing(Field::Image))?;
        let end = u32::try_from(data.len()).ok().and_then(|len| offset.checked_add(len));
        if index == 0 || index > count || end.is_none_or(|end| end > total) {
            return Err(malformed);
        }
        Ok(Self { id, total, offset, count, index, flags, data })
    }

    /// Writes body and octets behind a header.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.hex_padded(u64::from(self.id), 8).octet(b'|');
        let len = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        let [a, b, c] = self.flags;
        for number in [self.total, self.offset, self.count, self.index, len, a, b, c] {
            writer.decimal(u64::from(number)).octet(b'|');
        }
        writer.octets(b"00000000#\0").octets(self.data);
    }

    /// The acknowledgement that this fragment is owed, at once: without it FeiQ sends no further.
    #[must_use]
    pub const fn ack(&self) -> ImageAck {
        ImageAck { id: self.id, index: self.index }
    }
}

/// The acknowledgement of an [`ImageFragment`] (R-IP-47): `id|index#` NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageAck {
    /// The picture.
    pub id: u32,
    /// The fragment.
    pub index: u32,
}

impl ImageAck {
    /// Reads the body of an acknowledgement.
    ///
    /// # Errors
    /// [`ParseError`] if it is not of the form.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let malformed = ParseError::malformed(Field::Image);
        let mut reader = Reader::new(body);
        let id = image_id(reader.until(b'|').ok_or(malformed)?)?;
        let index = decimal(reader.until_or_rest(b'#')).ok_or(malformed)?;
        Ok(Self { id, index: u32::try_from(index).map_err(|_| ParseError::too_large(Field::Image))? })
    }

    /// Writes the body behind a header.
    pub fn write(self, writer: &mut Writer<'_>) {
        writer.hex_padded(u64::from(self.id), 8).octet(b'|').decimal(u64::from(self.index)).octets(b"#\0");
    }
}

fn image_id(field: &[u8]) -> Result<u32, ParseError> {
    let id = hex(field).ok_or(ParseError::malformed(Field::Image))?;
    u32::try_from(id).map_err(|_| ParseError::too_large(Field::Image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fonts_are_taken_off() {
        let font = "{/font;-16 0 0 0 400 0 0 0 134 0 0 2 32 微软雅黑 8404992;}";
        for (received, text) in [
            (std::format!("hello world{font}"), "hello world"),
            (std::format!("hello world {font}"), "hello world "),
            (std::format!("{{a}} {{/font;}} b{font}\n"), "{a} {/font;} b"),
            (std::format!("{font} and more"), &*std::format!("{font} and more")),
            (std::format!("{font} }}"), &*std::format!("{font} }}")),
            (std::string::String::from("fn main() {}"), "fn main() {}"),
            (std::string::String::new(), ""),
        ] {
            assert_eq!(without_font(&received), text, "{received}");
        }
    }

    /// A face name in GBK may have `}` as the second half of a character.
    #[test]
    fn fonts_are_taken_off_octets() {
        let gbk = b"\xc4\xe3\xba\xc3{/font;-16 0 \xce\x7d\xd1\xc5 8404992;}";
        assert_eq!(without_font_octets(gbk).as_bytes(), b"\xc4\xe3\xba\xc3");
        assert_eq!(without_font_octets(b"a}").as_bytes(), b"a}");
        assert_eq!(without_font_octets(b"{/font;").as_bytes(), b"{/font;");
    }

    #[test]
    fn fragments() {
        let octets = b"1:91:a:b:2097344:64ea4edd|5|0|1|1|5|0|2|0|00000000#\0\xff\xd8\xff\xe0\0";
        let datagram = Datagram::parse(octets).unwrap();
        let fragment = ImageFragment::parse(&datagram).unwrap();
        let data = &b"\xff\xd8\xff\xe0\0"[..];
        let want = ImageFragment { id: 0x64ea_4edd, total: 5, offset: 0, count: 1, index: 1, flags: [0, 2, 0], data };
        assert_eq!(fragment, want);
        let mut buffer = [0xa5; 128];
        let mut writer = Writer::new(&mut buffer);
        datagram.header.write(&mut writer);
        fragment.write(&mut writer);
        let len = writer.finish().unwrap();
        assert_eq!(&buffer[..len], octets);
        assert_eq!(buffer[len], 0xa5);
    }

    #[test]
    fn fragments_that_do_not_fit() {
        for body in
            ["64ea4edd|5|1|1|1|5|0|2|0|#", "64ea4edd|5|0|1|2|5|0|2|0|#", "64ea4edd|5|0|1|0|5|0|2|0|#", "x|5|", ""]
        {
            let datagram = Datagram { body: body.as_bytes(), ..Datagram::parse(b"1:9:a:b:192:\0abcde").unwrap() };
            assert!(ImageFragment::parse(&datagram).is_err(), "{body}");
        }
    }

    #[test]
    fn acknowledgements() {
        let ack = ImageAck::parse(b"64ea4edd|1#").unwrap();
        assert_eq!(ack, ImageAck { id: 0x64ea_4edd, index: 1 });
        let mut buffer = [0xa5; 16];
        let mut writer = Writer::new(&mut buffer);
        ack.write(&mut writer);
        let len = writer.finish().unwrap();
        assert_eq!(&buffer[..len], b"64ea4edd|1#\0");
        assert!(ImageAck::parse(b"64ea4edd").is_err() && ImageAck::parse(b"|1#").is_err());
    }
}
