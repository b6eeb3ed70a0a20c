//! The header in front of an archive, and the object that is all.

use feige_core::digest::Digest;
use feige_core::wire::classic::{Object, Value};

use super::ParcelError;

/// What the programs of the course call an archive: the name up to its first dot, and `.zip`.
#[must_use]
pub fn transfer_name(name: &str) -> String {
    format!("{}.zip", name.split_once('.').map_or(name, |(stem, _)| stem))
}

/// Length and header of an archive of `size` octets.
pub(super) fn emit(name: &str, md5: Digest, size: u64) -> Vec<u8> {
    // In the order, and with the blanks, of Python's `json`.
    let name = serde_json::Value::from(transfer_name(name));
    let header = format!("{{\"filename\": {name}, \"md5\": \"{md5}\", \"file_size\": {size}}}");
    // A name has at most 255 octets: the length is far from the limit of its type.
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], header.as_bytes()].concat()
}

/// The digest out of a header that has all three keys (R-FL-82, R-FL-85). The name in it is of no use.
pub(super) fn parse(octets: &[u8]) -> Result<Digest, ParcelError> {
    let object = Object::parse(octets).map_err(|_| ParcelError::Header("it is no JSON object"))?;
    text(&object, "filename").ok_or(ParcelError::Header("it has no filename"))?;
    if !matches!(object.value("file_size"), Some(Value::Number(_))) {
        return Err(ParcelError::Header("it has no file_size"));
    }
    digest(&object)
}

/// Digest and contents of an object without a length.
pub(super) fn parse_alone(octets: &[u8]) -> Result<(Digest, String), ParcelError> {
    let object = Object::parse(octets).map_err(|_| ParcelError::Header("it is no JSON object"))?;
    text(&object, "filename").ok_or(ParcelError::Header("it has no filename"))?;
    let body = text(&object, "body").ok_or(ParcelError::Header("it has no body"))?;
    Ok((digest(&object)?, body))
}

fn digest(object: &Object<'_>) -> Result<Digest, ParcelError> {
    text(object, "md5").and_then(|text| Digest::from_hex(&text)).ok_or(ParcelError::Header("it has no md5"))
}

fn text(object: &Object<'_>, key: &str) -> Option<String> {
    Some(object.value(key)?.text()?.chars().collect())
}
