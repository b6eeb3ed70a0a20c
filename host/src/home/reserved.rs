//! Names that are no user's: those of parts, and of what is kept beside them.

use feige_core::digest::Digest;
use feige_core::wire::transfer::{ErrorCode, Path};

use super::HomeError;
use crate::store::{LONGEST_NAME, SUFFIX, shortened};

/// Ends the name of the octets of a large file.
pub(super) const PART: &str = SUFFIX;
/// Ends the name of the digests of its blocks.
pub(super) const SUMS: &str = ".feige-sums";
/// Ends the name of the octets of a small file.
pub(super) const SMALL: &str = ".feige-small";

/// Whether `name` is what this program calls parts and what belongs to them: such names are no user's business.
pub(super) fn is_reserved(name: &str) -> bool {
    let ends_with = |suffix: &str| {
        let at = name.len().wrapping_sub(suffix.len());
        name.as_bytes().get(at..).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
    };
    [PART, SUMS, SMALL].into_iter().any(ends_with)
}

/// Refuses paths that name a part anywhere.
pub(super) fn check(action: &str, path: Path<'_>) -> Result<(), HomeError> {
    if path.names().any(is_reserved) {
        let reason = "names with that end belong to unfinished uploads; use another";
        return Err(HomeError::about(ErrorCode::BadName, action, path.as_str(), reason));
    }
    Ok(())
}

/// `.NAME.feige-part`.
pub(super) fn part_name(name: &str) -> String {
    beside(name, PART)
}

/// `.NAME.feige-sums`.
pub(super) fn sums_name(name: &str) -> String {
    beside(name, SUMS)
}

/// `.NAME.KEY`, for a folder that has no name yet and what is kept beside it: the end is still to come. A long `NAME` is
/// cut.
pub(super) fn keyed(name: &str, key: u64) -> String {
    let key = format!(".{key:016x}");
    let room = LONGEST_NAME - 1 - key.len() - PART.len().max(SUMS.len());
    format!(".{}{key}", shortened(name, room))
}

/// Whether `stem` is what [`keyed`] makes.
pub(super) fn is_keyed(stem: &str) -> bool {
    let key = stem.strip_prefix('.').and_then(|stem| stem.rsplit_once('.')).filter(|(name, _)| !name.is_empty());
    key.is_some_and(|(_, key)| key.len() == 16 && key.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Whether `part` is that of a folder which is to be `name`, or has a name that is cut like it, whatever its key.
pub(super) fn is_part_of(part: &str, name: &str) -> bool {
    let key = part.strip_suffix(PART).filter(|stem| is_keyed(stem)).and_then(|stem| stem.rsplit_once('.'));
    key.and_then(|(_, key)| u64::from_str_radix(key, 16).ok()).is_some_and(|key| part == keyed(name, key) + PART)
}

/// A hidden name beside `name`. Long names are cut, and end with a digest of the whole.
fn beside(name: &str, suffix: &str) -> String {
    if name.len() + suffix.len() < LONGEST_NAME {
        return format!(".{name}{suffix}");
    }
    let digest = Digest::of(name.as_bytes());
    let room = LONGEST_NAME - suffix.len() - 2 * Digest::LEN - 2;
    format!(".{}~{digest}{suffix}", shortened(name, room))
}

/// `.NUMBER.feige-small`.
pub(super) fn small_part_name(number: u64) -> String {
    format!(".{number:016x}{SMALL}")
}
