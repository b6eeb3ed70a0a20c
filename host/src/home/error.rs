//! Why a home could not do what was asked, for programs and for people.

use std::borrow::Cow;
use std::fmt;
use std::io;

use feige_core::wire::transfer::ErrorCode;

use crate::store::StoreError;

/// The most octets of a path that a text repeats: an error has to fit into one header.
const LONGEST_PATH: usize = 160;

/// Why a home could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeError {
    /// For programs: what goes over the wire.
    pub code: ErrorCode,
    /// For people: what happened, to what (as the user names it, never where it is on this machine), what to do.
    pub text: Cow<'static, str>,
}

impl HomeError {
    pub(super) fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// `action` (an English verb) on `path` is not possible because of `reason`.
    pub(super) fn about(code: ErrorCode, action: &str, path: &str, reason: impl fmt::Display) -> Self {
        Self::new(code, format!("cannot {action} {}: {reason}", Shown(path)))
    }

    /// Wraps an error of the system.
    pub(super) fn io(action: &str, path: &str, error: &io::Error) -> Self {
        let (code, reason) = classify(error);
        match reason {
            Some(reason) => Self::about(code, action, path, reason),
            None => Self::about(code, action, path, format_args!("{error}{TELL}")),
        }
    }

    /// Why, and what to do, for whoever's folder it is: without what was done to what, which he may know by another name.
    #[must_use]
    pub fn reason(&self) -> &str {
        // No name in a home has a colon (R-VT-20).
        let reason = self.text.split_once(": ").map_or(&*self.text, |(_, reason)| reason);
        reason.strip_suffix(TELL).unwrap_or(reason)
    }

    /// Wraps what the watch over the disk says.
    pub(super) fn store(action: &str, path: &str, error: &StoreError) -> Self {
        match error {
            StoreError::Io { source, .. } => Self::io(action, path, source),
            StoreError::TooBig { .. } | StoreError::Full => Self::about(ErrorCode::NoSpace, action, path, NO_SPACE),
        }
    }
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for HomeError {}

/// A path as people are shown it: from the home on, and only the end of a long one.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path) = *self;
        let mut cut = path.len().saturating_sub(LONGEST_PATH);
        while !path.is_char_boundary(cut) {
            cut += 1;
        }
        write!(f, "{}{}", if cut > 0 { "…" } else { "/" }, &path[cut..])
    }
}

const NO_SPACE: &str = "the disk is full; free space on it, or use another";

/// What to do about what has no words of ours.
const TELL: &str = "; tell whoever runs this server";

/// The code of a system's error, and what it means to the user; `None` where only the system's own words will do.
fn classify(error: &io::Error) -> (ErrorCode, Option<&'static str>) {
    use io::ErrorKind as Kind;
    let (code, reason) = match error.kind() {
        Kind::NotFound => (ErrorCode::NotFound, "there is no such file or folder; check the path"),
        Kind::PermissionDenied if error.raw_os_error().is_none() => {
            (ErrorCode::Forbidden, "a link on the way leads out of the folder")
        }
        Kind::PermissionDenied => (ErrorCode::Forbidden, "the access rights do not allow that"),
        Kind::ReadOnlyFilesystem => (ErrorCode::Forbidden, "the disk can only be read"),
        Kind::AlreadyExists => (ErrorCode::Exists, "the name is taken; replace it, or use another"),
        Kind::NotADirectory => (ErrorCode::NotAFolder, "it is not a folder"),
        Kind::IsADirectory => (ErrorCode::IsAFolder, "it is a folder"),
        Kind::DirectoryNotEmpty => (ErrorCode::NotEmpty, "the folder is not empty; remove what is in it first"),
        Kind::StorageFull | Kind::QuotaExceeded => (ErrorCode::NoSpace, NO_SPACE),
        Kind::FileTooLarge => (ErrorCode::TooLarge, "the disk takes no file of that size"),
        Kind::InvalidFilename => (ErrorCode::BadName, "the name or path is too long; use a shorter one"),
        Kind::ResourceBusy => (ErrorCode::Busy, "it is in use; try again later"),
        Kind::CrossesDevices => (ErrorCode::Unsupported, "it lies on another disk; copy it, then remove it"),
        Kind::InvalidInput => (ErrorCode::BadRequest, "the system does not accept it"),
        _ => return unnamed(error),
    };
    (code, Some(reason))
}

/// Errors that the standard library has no stable name for.
#[cfg(unix)]
fn unnamed(error: &io::Error) -> (ErrorCode, Option<&'static str>) {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::LOOP) => (ErrorCode::Forbidden, Some("its links lead in circles, or are not followed")),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            (ErrorCode::Busy, Some("too much is open on this machine; try again later"))
        }
        // What opening a socket, or a pipe without a reader, says.
        Some(Errno::NXIO | Errno::NODEV) => (ErrorCode::Forbidden, Some("it is neither a file nor a folder")),
        _ => (ErrorCode::Internal, None),
    }
}

#[cfg(not(unix))]
fn unnamed(_: &io::Error) -> (ErrorCode, Option<&'static str>) {
    (ErrorCode::Internal, None)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_reason_fits_whoevers_folder_it_is() {
        let failed = |error: io::Error| HomeError::io("receive", "a/b", &error);
        let denied = failed(Errno::ACCESS.into());
        assert_eq!(denied.text, "cannot receive /a/b: the access rights do not allow that");
        assert_eq!(denied.reason(), "the access rights do not allow that");
        // As the library says it that keeps paths inside.
        let escaped = failed(io::Error::new(io::ErrorKind::PermissionDenied, "outside"));
        assert!(escaped.code == ErrorCode::Forbidden && escaped.reason().contains("leads out"), "{escaped}");
        let unknown = failed(Errno::IO.into());
        assert!(unknown.text.ends_with("tell whoever runs this server"), "{unknown}");
        assert!(!unknown.reason().contains("server") && unknown.reason().contains("error"), "{unknown}");
        assert_eq!(HomeError::new(ErrorCode::BadName, "the name cannot be used").reason(), "the name cannot be used");
    }
}
