//! How far it is, on a terminal.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::harmless::Harmless;

/// What takes less time than this needs no bar.
const PATIENCE: Duration = Duration::from_millis(800);

/// How often a bar moves.
const PAUSE: Duration = Duration::from_millis(100);

/// How far it is.
pub(super) struct Bar {
    /// When the present work began, and the octets then.
    began: Instant,
    told: Instant,
    done: u64,
    total: Option<u64>,
    name: String,
    /// If it is seen.
    bar: Option<ProgressBar>,
}

impl Bar {
    /// A bar that is not seen yet; `None` if standard error is no terminal.
    pub(super) fn new() -> Option<Self> {
        let now = Instant::now();
        let bar = Self { began: now, told: now, done: 0, total: None, name: String::new(), bar: None };
        io::stderr().is_terminal().then_some(bar)
    }

    /// A file, or a tree of unknown size, is under way.
    pub(super) fn begin(&mut self, name: &str, done: u64, total: Option<u64>) {
        self.clear();
        let now = Instant::now();
        (self.began, self.told, self.done, self.total) = (now, now, done, total);
        name.clone_into(&mut self.name);
    }

    /// Octets were moved; and so many files so far.
    pub(super) fn moved(&mut self, octets: u64, files: u64) {
        self.done += octets;
        self.show(files);
    }

    /// Takes it away.
    pub(super) fn clear(&mut self) {
        if let Some(old) = self.bar.take() {
            old.finish_and_clear();
        }
    }

    /// Takes it away while something is written.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn show(&mut self, files: u64) {
        let now = Instant::now();
        if now.duration_since(self.told) < PAUSE || now.duration_since(self.began) < PATIENCE {
            return;
        }
        self.told = now;
        let (name, total) = (&self.name, self.total);
        let bar = self.bar.get_or_insert_with(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = match total {
                Some(_) => "{prefix:24!} {wide_bar} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>4}",
                None => "{prefix:24!} {bytes:>11} {bytes_per_sec:>13}  {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(Harmless(name).to_string());
            bar
        });
        if total.is_none() {
            bar.set_message(format!("{} files", HumanCount(files)));
        }
        bar.set_position(self.done);
    }
}
