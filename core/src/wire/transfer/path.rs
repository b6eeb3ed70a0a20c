//! Paths: names with slashes between them.

use core::fmt;

use crate::text::FileName;

/// A path below somebody's home: names that may be given to a store, one below the other (R-VT-20).
///
/// A slash in front or at the end means nothing. The empty path is the home itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path<'a>(&'a str);

/// The path is not one that is ever used (R-VT-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name in the path is not allowed, or there are too many")
    }
}

impl core::error::Error for BadPath {}

impl<'a> Path<'a> {
    /// The most names in a path.
    pub const DEPTH: usize = 32;

    /// The home itself.
    pub const ROOT: Self = Self("");

    /// Checks a path that came from a peer.
    ///
    /// Nothing is repaired: a name that would have to be changed before it may name a file (see [`FileName`]) is
    /// refused, so that what was put under a name can be asked for under it.
    ///
    /// # Errors
    /// [`BadPath`] if a name is empty, `.`, `..`, has control or deceptive characters, separators of other systems, is a
    /// device's, or too long; or if there are more than [`Self::DEPTH`].
    pub fn parse(text: &'a str) -> Result<Self, BadPath> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::ROOT);
        }
        let mut depth = 0_usize;
        for name in Names(Some(text)) {
            depth = depth.saturating_add(1);
            if depth > Self::DEPTH || !FileName::is_safe(name) {
                return Err(BadPath);
            }
        }
        Ok(Self(text))
    }

    /// The path without slashes around it.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether it is the home itself.
    #[must_use]
    pub const fn is_root(self) -> bool {
        self.0.is_empty()
    }

    /// The names, outermost first; none for the home itself.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        Names(Some(self.0)).filter(|name| !name.is_empty())
    }

    /// The folder above and the last name; `None` for the home itself.
    #[must_use]
    pub fn split(self) -> Option<(Self, &'a str)> {
        if self.is_root() {
            return None;
        }
        // Not `rsplit_once`, which contains a panic that the compiler cannot rule out.
        match self.0.bytes().rposition(|octet| octet == b'/') {
            None => Some((Self::ROOT, self.0)),
            Some(at) => Some((Self(self.0.get(..at)?), self.0.get(at.saturating_add(1)..)?)),
        }
    }
}

/// What stands between slashes. Not `split`, which contains a panic that the compiler cannot rule out once it is called
/// from many places.
struct Names<'a>(Option<&'a str>);

impl<'a> Iterator for Names<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.take()?;
        let Some(slash) = rest.bytes().position(|octet| octet == b'/') else { return Some(rest) };
        self.0 = rest.get(slash.saturating_add(1)..);
        rest.get(..slash)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        f.write_str(self.0)
    }
}
