//! What the user sees: lines for people ([`plain`]) or for programs ([`json`]), of the same [`event::Event`]s.
//!
//! Results go to standard output and are flushed when there is nothing more to do; everything else goes to
//! standard error.

pub mod event;
pub mod json;
pub mod plain;
mod progress;

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::net::SocketAddrV4;

use crate::cli::OutputOptions;
use event::{Event, Peer};
use progress::Bars;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain { colour: bool },
    Json,
}

/// Standard output and standard error.
pub struct Screen {
    form: Form,
    out: BufWriter<Stdout>,
    quiet: bool,
    verbose: u8,
    gone: bool,
    bars: Option<Bars>,
}

impl Screen {
    /// As the options say.
    #[must_use]
    pub fn new(options: &OutputOptions) -> Self {
        let out = io::stdout();
        let form = if options.json {
            Form::Json
        } else {
            Form::Plain { colour: anstream::AutoStream::choice(&out) != anstream::ColorChoice::Never }
        };
        Self {
            form,
            out: BufWriter::with_capacity(32 * 1024, out),
            quiet: options.quiet,
            verbose: options.verbose,
            gone: false,
            bars: (!options.quiet && io::stderr().is_terminal()).then(Bars::default),
        }
    }

    /// Whether one JSON object per line is written, for a program.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Shows how far the transfer `key` is, if somebody looks.
    pub fn progress(&mut self, key: &str, name: &str, done: u64, total: Option<u64>) {
        if let Some(bars) = &mut self.bars {
            bars.update(key, name, done, total);
        }
    }

    /// The transfer `key` ended.
    pub fn progress_end(&mut self, key: &str) {
        if let Some(bars) = &mut self.bars {
            bars.end(key);
        }
    }

    /// Whether nobody reads standard output any more: the reader of a pipe ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Writes an event; it shows at the next [`Self::flush`].
    pub fn event(&mut self, event: &Event) {
        let written = match self.form {
            Form::Json => json::write(&mut self.out, event),
            Form::Plain { colour } => plain::write(&mut self.out, event, colour, self.quiet),
        };
        self.notice(&written);
    }

    /// Writes the list of members.
    pub fn members(&mut self, members: &[Peer]) {
        let written = match self.form {
            Form::Json => members.iter().try_for_each(|peer| json::write(&mut self.out, &Event::Online(peer.clone()))),
            Form::Plain { colour } => plain::members(&mut self.out, members, colour),
        };
        self.notice(&written);
    }

    /// Whether something was written that does not show yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.out.buffer().is_empty()
    }

    /// Shows what was written.
    pub fn flush(&mut self) {
        if !self.out.buffer().is_empty() {
            let out = &mut self.out;
            let written = match &self.bars {
                Some(bars) => bars.suspend(|| out.flush()),
                None => out.flush(),
            };
            self.notice(&written);
        }
    }

    /// Says something that is not a result, unless `--quiet`.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            self.flush();
            anstream::eprintln!("{text}");
        }
    }

    /// Says something for those who want to know more (`-v`).
    pub fn detail(&mut self, text: impl FnOnce() -> String) {
        if self.verbose > 0 {
            anstream::eprintln!("feige: {}", text());
        }
    }

    /// Shows a datagram (`-vv`).
    pub fn datagram(&self, direction: &str, peer: SocketAddrV4, octets: &[u8]) {
        if self.verbose > 1 {
            anstream::eprintln!("feige: {direction} {peer} {}", octets.escape_ascii());
        }
    }

    fn notice(&mut self, written: &io::Result<()>) {
        if written.is_err() {
            self.gone = true;
        }
    }
}
