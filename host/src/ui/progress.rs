//! Bars for transfers that take longer than a moment, on standard error and only on a terminal.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::event::Transfer;
use feige_core::text::Printable;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// What takes less time than this needs no bar.
const PATIENCE: Duration = Duration::from_millis(800);

/// The bars of all transfers.
#[derive(Default)]
pub(super) struct Bars {
    multi: Option<MultiProgress>,
    bars: HashMap<Transfer, (Instant, Option<ProgressBar>)>,
}

impl Bars {
    /// Shows how far a transfer is.
    pub(super) fn update(&mut self, transfer: Transfer, name: &str, done: u64, total: Option<u64>) {
        let (since, bar) = self.bars.entry(transfer).or_insert_with(|| (Instant::now(), None));
        if since.elapsed() < PATIENCE {
            return;
        }
        let multi = self.multi.get_or_insert_with(MultiProgress::new);
        let bar = bar.get_or_insert_with(|| {
            let bar = match total {
                Some(total) => ProgressBar::new(total),
                None => ProgressBar::no_length(),
            };
            let template = match total {
                Some(_) => "{prefix:24!} {wide_bar} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>4}",
                None => "{prefix:24!} {bytes:>11} {bytes_per_sec:>13}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(Printable::line(name).to_string());
            multi.add(bar)
        });
        bar.set_position(done);
    }

    /// The transfer ended.
    pub(super) fn end(&mut self, transfer: Transfer) {
        if let Some((_, Some(bar))) = self.bars.remove(&transfer) {
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
