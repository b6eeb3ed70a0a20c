//! Bars for transfers that take longer than a moment, on standard error and only on a terminal.

use std::collections::HashMap;
use std::time::Instant;

use super::event::Transfer;
use crate::bar::{PATIENCE, dress, hidden, template};
use feige_core::text::Printable;
use indicatif::{MultiProgress, ProgressBar};

/// The bars of all transfers.
#[derive(Default)]
pub(super) struct Bars {
    multi: Option<MultiProgress>,
    bars: HashMap<Transfer, Bar>,
}

/// One of them.
struct Bar {
    bar: ProgressBar,
    /// When it is to be seen; `None` once it is.
    due: Option<Instant>,
}

impl Bars {
    /// Shows how far a transfer is.
    pub(super) fn update(&mut self, transfer: Transfer, name: &str, done: u64, total: Option<u64>) {
        let new = || Bar { bar: hidden(done, total), due: Some(Instant::now() + PATIENCE) };
        let Bar { bar, due } = self.bars.entry(transfer).or_insert_with(new);
        bar.set_position(done);
        if due.take_if(|due| *due <= Instant::now()).is_some() {
            dress(bar, template(total));
            bar.set_prefix(Printable::line(name).to_string());
            self.multi.get_or_insert_with(MultiProgress::new).add(bar.clone()).tick();
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
