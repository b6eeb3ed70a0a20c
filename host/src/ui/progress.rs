//! Bars for transfers that take longer than a moment, on standard error and only on a terminal.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::event::Transfer;
use feige_core::text::Printable;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes less time than this needs no bar.
const PATIENCE: Duration = Duration::from_millis(800);

/// The bars of all transfers.
#[derive(Default)]
pub(super) struct Bars {
    multi: Option<MultiProgress>,
    bars: HashMap<Transfer, Bar>,
}

/// One that measures from the beginning, although it is not seen at first.
struct Bar {
    bar: ProgressBar,
    /// When it is to be seen; `None` once it is.
    due: Option<Instant>,
}

impl Bar {
    fn new(done: u64, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        // What was there before did not come just now.
        bar.set_position(done);
        bar.reset_eta();
        Self { bar, due: Some(Instant::now() + PATIENCE) }
    }

    fn show(&self, multi: &MultiProgress, name: &str, total: Option<u64>) {
        let template = match total {
            Some(_) => "{prefix:24!} {wide_bar} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>4}",
            None => "{prefix:24!} {bytes:>11} {bytes_per_sec:>13}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(Printable::line(name).to_string());
        multi.add(self.bar.clone()).tick();
    }
}

impl Bars {
    /// Shows how far a transfer is.
    pub(super) fn update(&mut self, transfer: Transfer, name: &str, done: u64, total: Option<u64>) {
        let bar = self.bars.entry(transfer).or_insert_with(|| Bar::new(done, total));
        bar.bar.set_position(done);
        if bar.due.is_some_and(|due| due <= Instant::now()) {
            bar.due = None;
            bar.show(self.multi.get_or_insert_with(MultiProgress::new), name, total);
        }
    }

    /// The transfer ended.
    pub(super) fn end(&mut self, transfer: Transfer) {
        if let Some(Bar { bar, .. }) = self.bars.remove(&transfer) {
            bar.finish_and_clear();
        }
    }

    /// Takes the bars away while `write` writes to the terminal.
    pub(super) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.multi {
            Some(multi) if !self.bars.is_empty() => multi.suspend(write),
            _ => write(),
        }
    }
}
