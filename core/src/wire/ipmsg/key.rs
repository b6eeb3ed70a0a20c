//! The formats of encryption (R-IP-110 and following): capabilities, public keys, and the parts of an
//! encrypted body. What is done with them is not decided here; this program sends no encrypted messages.
//!
//! **Memory**: views of the received octets. **Time**: linear. **Protocol**: R-IP-110 to 119.

use core::fmt;

use super::bits::bit_set;
use crate::wire::{Field, ParseError, Reader, Writer, hex};

/// Which methods a member knows, or which methods a message uses: a set of bits (R-IP-110).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Methods(u32);

bit_set! { Methods {
    /// RSA with 512 bits; obsolete.
    RSA_512 = 0x0000_0001;
    /// RSA with 1024 bits: FeiQ and old programs.
    RSA_1024 = 0x0000_0002;
    /// RSA with 2048 bits.
    RSA_2048 = 0x0000_0004;
    /// RSA with 4096 bits.
    RSA_4096 = 0x0000_0008;
    /// RC2 with 40 bits, of early versions of the second protocol.
    RC2_40_OLD = 0x0000_0010;
    /// RC2 with 128 bits, of early versions of the second protocol.
    RC2_128_OLD = 0x0000_0040;
    /// Blowfish with 128 bits, of early versions of the second protocol.
    BLOWFISH_128_OLD = 0x0000_0400;
    /// RC2 with 40 bits; obsolete.
    RC2_40 = 0x0000_1000;
    /// RC2 with 128 bits; obsolete.
    RC2_128 = 0x0000_4000;
    /// RC2 with 256 bits; obsolete.
    RC2_256 = 0x0000_8000;
    /// Blowfish with 128 bits, CBC: FeiQ and old programs.
    BLOWFISH_128 = 0x0002_0000;
    /// Blowfish with 256 bits, CBC.
    BLOWFISH_256 = 0x0004_0000;
    /// AES with 128 bits; obsolete.
    AES_128 = 0x0008_0000;
    /// AES with 256 bits, CBC in messages. Headers of relatives give this name to another bit; nobody sends it.
    AES_256 = 0x0010_0000;
    /// Dictionaries, AES in counter mode.
    IPDICT_CTR = 0x0040_0000;
    /// The packet number in decimal is the initialisation vector.
    PACKET_NO_IV = 0x0080_0000;
    /// The parts of a body are in base64 instead of hexadecimal.
    BASE64 = 0x0100_0000;
    /// User names carry the fingerprint of the key; obsolete.
    USER_NAME_EXT = 0x0200_0000;
    /// File requests: authenticated only, the octets of the file go in clear.
    CLEAR_FILE = 0x0400_0000;
    /// Signed, MD5; obsolete.
    SIGN_MD5 = 0x1000_0000;
    /// Signed, SHA-1.
    SIGN_SHA1 = 0x2000_0000;
    /// Signed, SHA-256.
    SIGN_SHA256 = 0x4000_0000;
} }

impl Methods {
    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Reads the body of a GETPUBKEY, or the first part of the others: a hexadecimal number.
    ///
    /// # Errors
    /// [`ParseError`] if it is not one of at most 32 bits.
    pub fn parse(field: &[u8]) -> Result<Self, ParseError> {
        let field = Reader::new(field).until_or_rest(0);
        let bits = hex(field).ok_or(ParseError::malformed(Field::Key))?;
        u32::try_from(bits).map(Self).map_err(|_| ParseError::too_large(Field::Key))
    }

    /// Writes the set as the body of a GETPUBKEY.
    pub fn write(self, writer: &mut Writer<'_>) {
        writer.hex(u64::from(self.0));
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Methods({:#x})", self.0)
    }
}

/// A number of any length in hexadecimal digits: an exponent, a modulus.
#[derive(Clone, Copy, Debug)]
pub struct HexNumber<'a>(&'a [u8]);

impl<'a> HexNumber<'a> {
    /// Takes `digits`, of either case, if they are hexadecimal and at least one.
    ///
    /// # Errors
    /// [`ParseError`] if not.
    pub fn parse(digits: &'a [u8]) -> Result<Self, ParseError> {
        let well_formed = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        if well_formed { Ok(Self(digits)) } else { Err(ParseError::malformed(Field::Key)) }
    }

    /// The digits as received, leading zeros and case included.
    #[must_use]
    pub const fn digits(self) -> &'a [u8] {
        self.0
    }

    /// The octets of the number, most significant first, without leading zeros.
    pub fn octets(self) -> impl Iterator<Item = u8> + Clone + use<'a> {
        let first = self.0.iter().position(|&digit| digit != b'0').unwrap_or(self.0.len());
        let digits = self.0.get(first..).unwrap_or_default();
        let (odd, pairs) = digits.split_at_checked(digits.len() & 1).unwrap_or_default();
        odd.chunks(1)
            .chain(pairs.chunks(2))
            .map(|pair| hex(pair).and_then(|octet| u8::try_from(octet).ok()).unwrap_or(0))
    }
}

/// Two numbers are equal whatever the case of their digits and however many zeros lead.
impl PartialEq for HexNumber<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.octets().eq(other.octets())
    }
}

impl Eq for HexNumber<'_> {}

/// The body of an ANSPUBKEY (R-IP-111): `methods:exponent-modulus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    /// What the owner of the key knows.
    pub methods: Methods,
    /// The public exponent.
    pub exponent: HexNumber<'a>,
    /// The modulus; of any length, whatever was asked for.
    pub modulus: HexNumber<'a>,
}

impl<'a> PublicKey<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// [`ParseError`] if it is not of the form.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(Reader::new(body).until_or_rest(0));
        let methods = Methods::parse(reader.until(b':').ok_or(ParseError::missing(Field::Key))?)?;
        let exponent = HexNumber::parse(reader.until(b'-').ok_or(ParseError::missing(Field::Key))?)?;
        let modulus = HexNumber::parse(reader.until_or_rest(b':'))?;
        Ok(Self { methods, exponent, modulus })
    }

    /// Writes the body; the digits as they are.
    pub fn write(&self, writer: &mut Writer<'_>) {
        self.methods.write(writer);
        writer.octet(b':').octets(self.exponent.digits()).octet(b'-').octets(self.modulus.digits());
    }
}

/// The body of an encrypted message or request (R-IP-112): `methods:key:body[:signature]`.
///
/// The parts are in hexadecimal, or in base64 if `methods` has [`Methods::BASE64`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedBody<'a> {
    /// How it is encrypted.
    pub methods: Methods,
    /// The key of the message, itself encrypted with the receiver's public key.
    pub key: &'a [u8],
    /// The body, encrypted with that key.
    pub body: &'a [u8],
    /// The signature over the clear body.
    pub signature: Option<&'a [u8]>,
}

impl<'a> EncryptedBody<'a> {
    /// Splits the body.
    ///
    /// # Errors
    /// [`ParseError`] if there are fewer than three parts or one has other digits than its encoding.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(Reader::new(body).until_or_rest(0));
        let methods = Methods::parse(reader.until(b':').ok_or(ParseError::missing(Field::Key))?)?;
        let digits = |part: &'a [u8], field| {
            let fits = |octet: &u8| match octet {
                b'+' | b'/' | b'=' => methods.contains(Methods::BASE64),
                octet if methods.contains(Methods::BASE64) => octet.is_ascii_alphanumeric(),
                octet => octet.is_ascii_hexdigit(),
            };
            if part.is_empty() || !part.iter().all(fits) { Err(ParseError::malformed(field)) } else { Ok(part) }
        };
        let key = digits(reader.until(b':').ok_or(ParseError::missing(Field::Key))?, Field::Key)?;
        let body = digits(reader.until_or_rest(b':'), Field::Body)?;
        let signature = reader.until_or_rest(b':');
        let signature = if signature.is_empty() { None } else { Some(digits(signature, Field::Key)?) };
        Ok(Self { methods, key, body, signature })
    }

    /// Writes the body.
    pub fn write(&self, writer: &mut Writer<'_>) {
        self.methods.write(writer);
        writer.octet(b':').octets(self.key).octet(b':').octets(self.body);
        if let Some(signature) = self.signature {
            writer.octet(b':').octets(signature);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = [0xa5; 128];
        let mut writer = Writer::new(&mut buffer);
        write(&mut writer);
        let len = writer.finish().unwrap();
        assert_eq!(buffer[len], 0xa5);
        buffer[..len].to_vec()
    }

    #[test]
    fn capabilities() {
        let feiq = Methods::parse(b"21003").unwrap();
        let parts = Methods::RSA_512.with(Methods::RSA_1024).with(Methods::RC2_40).with(Methods::BLOWFISH_128);
        assert_eq!(feiq, parts);
        let official = Methods::parse(b"65920006\0").unwrap();
        assert!(official.contains(Methods::RSA_2048.with(Methods::AES_256).with(Methods::SIGN_SHA256)));
        assert_eq!(written(|writer| official.write(writer)), b"65920006");
        assert_eq!(Methods::parse(b""), Err(ParseError::malformed(Field::Key)));
        assert_eq!(Methods::parse(b"165920006"), Err(ParseError::too_large(Field::Key)));
    }

    #[test]
    fn public_keys() {
        let key = PublicKey::parse(b"21003:10001-C0FFEE\0").unwrap();
        assert_eq!(key.methods.bits(), 0x21003);
        assert_eq!(key.exponent.octets().collect::<Vec<_>>(), [1, 0, 1]);
        assert_eq!(key.modulus.octets().collect::<Vec<_>>(), [0xc0, 0xff, 0xee]);
        assert_eq!(written(|writer| key.write(writer)), b"21003:10001-C0FFEE");
        let libipmsg = PublicKey::parse(b"21003:010001-00c0ffee").unwrap();
        assert_eq!(libipmsg, key, "case and leading zeros do not count");
        for bad in [&b""[..], b"21003", b"21003:10001", b"21003:-c0", b"21003:10001-", b"x:1-1", b"1:1-0g"] {
            assert!(PublicKey::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn encrypted_bodies() {
        let feiq = EncryptedBody::parse(b"20002:00ff:ce8b21c8129fe719").unwrap();
        assert_eq!(feiq.methods, Methods::RSA_1024.with(Methods::BLOWFISH_128));
        assert_eq!((feiq.key, feiq.body, feiq.signature), (&b"00ff"[..], &b"ce8b21c8129fe719"[..], None));
        assert_eq!(written(|writer| feiq.write(writer)), b"20002:00ff:ce8b21c8129fe719");
        let signed = EncryptedBody::parse(b"41900004:aA+/:oHDd==:pws=\0").unwrap();
        assert_eq!(signed.signature, Some(&b"pws="[..]));
        assert_eq!(written(|writer| signed.write(writer)), b"41900004:aA+/:oHDd==:pws=");
        for bad in [&b""[..], b"20002", b"20002:ff", b"20002::ff", b"20002:ff:", b"20002:ff:+/", b"20002:ff:ff:x"] {
            assert!(EncryptedBody::parse(bad).is_err(), "{bad:?}");
        }
    }
}
