//! What is in the folder and cannot be offered, for whoever shares it to rename.

use feige_core::text::FileName;
use feige_core::wire::flood::MAX_TEXT;

/// So many are known by their paths; the others are counted.
const FEW: usize = 5;

const NOT_TEXT: &str = "its name is not UTF-8; rename it";

const NOT_SAFE: &str = "its name cannot be used everywhere, as one with a : or a dot at its end; rename it";

const TOO_LONG: &str = "its path is longer than 236 octets; rename it, or put it into a folder less deep";

/// What is not offered: the first few in the order of their paths, and how many there are. What is in a folder that is not
/// offered is part of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::peer) struct Unshared {
    /// Paths, and why.
    pub(in crate::peer) first: Vec<(String, &'static str)>,
    pub(in crate::peer) count: usize,
}

impl Unshared {
    /// One more, if there is something wrong with its name.
    pub(super) fn add(&mut self, path: String, wrong: &'static str) {
        self.count += 1;
        let at = self.first.partition_point(|(other, _)| *other < path);
        if at < FEW {
            self.first.insert(at, (path, wrong));
            self.first.truncate(FEW);
        }
    }

    /// How many are not among the first.
    pub(in crate::peer) const fn more(&self) -> usize {
        self.count.saturating_sub(self.first.len())
    }
}

/// A name of one component, if others can ask for it.
///
/// # Errors
/// What is wrong with it. `None` stands for one that is not UTF-8.
pub(super) fn good_name(name: Option<&str>) -> Result<&str, &'static str> {
    name.ok_or(NOT_TEXT).and_then(|name| if FileName::is_safe(name) { Ok(name) } else { Err(NOT_SAFE) })
}

/// What is wrong with a path of good names, if no hit has room for it.
pub(super) fn wrong_path(path: &str) -> Option<&'static str> {
    (path.len() > MAX_TEXT).then_some(TOO_LONG)
}
