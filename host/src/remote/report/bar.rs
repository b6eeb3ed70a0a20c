//! How far it is, on a terminal.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget};

use super::recounted;
use crate::bar::{PATIENCE, dress, hidden, template};
use crate::harmless::Harmless;

/// How often a bar moves.
const PAUSE: Duration = Duration::from_millis(100);

/// Nothing moves.
const DISK: &str = "{prefix:24!} waiting for the disk {spinner}";

/// How far it is.
pub(super) struct Bar {
    told: Instant,
    /// When what is under way has taken so long that the bar is shown.
    due: Instant,
    /// What it looks like, once it is shown.
    template: Option<&'static str>,
    done: u64,
    total: Option<u64>,
    name: String,
    bar: ProgressBar,
}

impl Bar {
    /// A bar that is not seen yet; `None` if standard error is no terminal.
    pub(super) fn new() -> Option<Self> {
        let now = Instant::now();
        let (due, bar) = (now + PATIENCE, ProgressBar::hidden());
        let bar = Self { told: now, due, template: None, done: 0, total: None, name: String::new(), bar };
        io::stderr().is_terminal().then_some(bar)
    }

    /// A file, or a tree of unknown size, is under way.
    pub(super) fn begin(&mut self, name: &str, done: u64, total: Option<u64>) {
        self.clear();
        let now = Instant::now();
        (self.told, self.due, self.done, self.total) = (now, now + PATIENCE, done, total);
        name.clone_into(&mut self.name);
        self.bar = hidden(done, total);
    }

    /// Octets were moved; and so many files so far.
    pub(super) fn moved(&mut self, octets: u64, files: u64) {
        self.done += octets;
        let now = Instant::now();
        if now.duration_since(self.told) < PAUSE {
            return;
        }
        self.told = now;
        self.bar.set_position(self.done);
        if self.total.is_none() {
            self.bar.set_message(format!("{} files", HumanCount(files)));
        }
        self.show(template(self.total));
    }

    /// Has the disk do what may take it a while, and shows that it does.
    pub(super) fn wait_for_disk<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (working, over) = channel::<()>();
        thread::scope(|scope| {
            let show = move || {
                while over.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                    self.show(DISK);
                    self.bar.tick();
                }
            };
            // Without a thread nothing is seen, and that is all.
            let _ = thread::Builder::new().name("bar".into()).stack_size(256 << 10).spawn_scoped(scope, show);
            let done = work();
            drop(working);
            done
        })
    }

    /// Of what was moved, `before` octets count as `now`.
    pub(super) fn recount(&mut self, before: u64, now: u64) {
        self.done = recounted(self.done, before, now);
    }

    /// Takes it away.
    pub(super) fn clear(&mut self) {
        self.template = None;
        self.bar.finish_and_clear();
    }

    /// Takes it away while something is written.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Shows it like that, unless that is not worth while yet.
    fn show(&mut self, template: &'static str) {
        if self.template == Some(template) || Instant::now() < self.due {
            return;
        }
        dress(&self.bar, template);
        if self.template.replace(template).is_none() {
            self.bar.set_prefix(Harmless(&self.name).to_string());
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.tick();
    }
}
