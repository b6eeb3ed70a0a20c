//! Capabilities, public keys, and how a body is encrypted (R-IP-110 and following).

use feige_core::wire::ParseError;
use feige_core::wire::ipmsg::key::{EncryptedBody, HexNumber, Methods, PublicKey};

use super::Fields;
use super::tree::Tree;

/// The names of the official program.
const NAMES: &[(Methods, &str)] = &[
    (Methods::RSA_512, "RSA_512"),
    (Methods::RSA_1024, "RSA_1024"),
    (Methods::RSA_2048, "RSA_2048"),
    (Methods::RSA_4096, "RSA_4096"),
    (Methods::RC2_40_OLD, "RC2_40_OLD"),
    (Methods::RC2_128_OLD, "RC2_128_OLD"),
    (Methods::BLOWFISH_128_OLD, "BLOWFISH_128_OLD"),
    (Methods::RC2_40, "RC2_40"),
    (Methods::RC2_128, "RC2_128"),
    (Methods::RC2_256, "RC2_256"),
    (Methods::BLOWFISH_128, "BLOWFISH_128"),
    (Methods::BLOWFISH_256, "BLOWFISH_256"),
    (Methods::AES_128, "AES_128"),
    (Methods::AES_256, "AES_256"),
    (Methods::IPDICT_CTR, "IPDICT_CTR"),
    (Methods::PACKET_NO_IV, "PACKETNO_IV"),
    (Methods::BASE64, "ENCODE_BASE64"),
    (Methods::CLEAR_FILE, "NOENC_FILEBODY"),
    (Methods::SIGN_MD5, "SIGN_MD5"),
    (Methods::SIGN_SHA1, "SIGN_SHA1"),
    (Methods::SIGN_SHA256, "SIGN_SHA256"),
];

/// The body of a GETPUBKEY: what its sender is able to do.
///
/// # Errors
/// [`ParseError`] if it is not of the form.
pub(super) fn asked(body: &[u8], fields: &mut Fields) -> Result<(), ParseError> {
    capability(Methods::parse(body)?, fields);
    Ok(())
}

/// The body of an ANSPUBKEY.
///
/// # Errors
/// [`ParseError`] if it is not of the form.
pub(super) fn answered(body: &[u8], fields: &mut Fields) -> Result<(), ParseError> {
    let key = PublicKey::parse(body)?;
    capability(key.methods, fields);
    fields.push(("exponent", Tree::text(format!("0x{}", key.exponent.digits().escape_ascii()))));
    fields.push(("modulus bits", Tree::Number(bits(key.modulus))));
    Ok(())
}

/// The body of an encrypted message or file request.
///
/// # Errors
/// [`ParseError`] if it is not of the form.
pub(super) fn encrypted(body: &[u8], fields: &mut Fields) -> Result<(), ParseError> {
    let encrypted = EncryptedBody::parse(body)?;
    let octets = |part: &[u8]| Tree::Number(octets(part, encrypted.methods));
    let mut found = Vec::new();
    capability(encrypted.methods, &mut found);
    found.push(("key octets", octets(encrypted.key)));
    found.push(("body octets", octets(encrypted.body)));
    if let Some(signature) = encrypted.signature {
        found.push(("signature octets", octets(signature)));
    }
    fields.push(("encrypted", Tree::Fields(found)));
    Ok(())
}

/// The word, and the names of its bits; bits without a name in hexadecimal.
fn capability(methods: Methods, fields: &mut Fields) {
    let mut rest = methods.bits();
    let mut names = Vec::new();
    for &(bit, name) in NAMES {
        if methods.contains(bit) {
            names.push(Tree::text(name));
            rest &= !bit.bits();
        }
    }
    if rest != 0 {
        names.push(Tree::text(format!("{rest:#010x}")));
    }
    fields.push(("capability", Tree::text(format!("{:#x}", methods.bits()))));
    fields.push(("methods", Tree::List(names)));
}

/// How long a number is in bits, which is how RSA keys are called.
fn bits(number: HexNumber<'_>) -> u64 {
    let mut octets = number.octets();
    let first = octets.next().unwrap_or(0);
    octets.count() as u64 * 8 + u64::from(u8::BITS - first.leading_zeros())
}

/// How many octets the digits of a part stand for.
fn octets(part: &[u8], methods: Methods) -> u64 {
    let digits = |part: &[u8]| part.len() as u64;
    if methods.contains(Methods::BASE64) {
        let padding = part.iter().rev().take_while(|&&digit| digit == b'=').count();
        digits(part.get(padding..).unwrap_or_default()) * 3 / 4
    } else {
        digits(part).div_ceil(2)
    }
}
