//! What is typed at the prompt and on the full screen alike.

use std::path::PathBuf;

/// A path as it is written or dropped onto the terminal: quoted, or with `~`, which stands for `home`.
pub(crate) fn path(text: &str, home: Option<PathBuf>) -> PathBuf {
    let quoted = ['"', '\''].iter().find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote));
    let text = quoted.unwrap_or(text);
    match (text.strip_prefix('~').map(|rest| rest.strip_prefix('/').or(rest.is_empty().then_some(rest))), home) {
        (Some(Some(rest)), Some(home)) => home.join(rest),
        _ => text.into(),
    }
}
