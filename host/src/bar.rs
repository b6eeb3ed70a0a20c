//! Bars that tell how far something is, on standard error: what the commands at a server and `feige listen` share.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes less time than this needs no bar.
pub(crate) const PATIENCE: Duration = Duration::from_millis(800);

/// What it looks like while octets move: of a file, or of a tree, whose size nobody knows.
pub(crate) const fn template(total: Option<u64>) -> &'static str {
    match total {
        Some(_) => "{prefix:24!} {wide_bar} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>4}",
        None => "{prefix:24!} {bytes:>11} {bytes_per_sec:>13}  {msg}",
    }
}

/// A bar that measures from now on, although it is not seen yet: one that is made only when it is to be seen takes all that
/// came until then for what came in that moment. Nor did what was `done` before come just now.
pub(crate) fn hidden(done: u64, total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
    bar.set_position(done);
    bar.reset_eta();
    bar
}

/// Gives a bar its looks.
pub(crate) fn dress(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
