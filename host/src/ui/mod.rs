//! What the user sees: lines for people ([`plain`]) or for programs ([`json`]), or a full screen ([`tui`]), of the
//! same [`event::Event`]s.
//!
//! Results go to standard output and are flushed when there is nothing more to do; everything else goes to
//! standard error.

pub mod event;
pub mod json;
pub mod plain;
mod progress;
pub mod tui;
pub(crate) mod typed;

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::net::SocketAddrV4;

use feige_core::text::Printable;

use crate::cli::OutputOptions;
use crate::control;
use crate::exit::{Exit, Failure};
use crate::stdout;
use event::{Event, Peer, Transfer};
use progress::Bars;
use tui::{Action, Panel, Update};

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
    broken: Option<Result<Exit, Failure>>,
    bars: Option<Bars>,
    /// The full screen, in the place of all others.
    panel: Option<Panel>,
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
            broken: None,
            bars: (!options.quiet && io::stderr().is_terminal()).then(Bars::default),
            panel: None,
        }
    }

    /// A full screen for somebody with this name; it opens with [`Self::open`].
    #[must_use]
    pub fn full(options: &OutputOptions, me: &str) -> Self {
        let screen = Self::new(options);
        let colour = matches!(screen.form, Form::Plain { colour: true });
        Self { bars: None, panel: Some(Panel::new(me, colour)), ..screen }
    }

    /// Whether this is a full screen.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.panel.is_some()
    }

    /// Takes the terminal for the full screen; `tell` is called from another thread with what the person wants.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn open(&mut self, tell: impl Fn(Action) + Send + Sync + 'static) -> io::Result<()> {
        self.panel.as_mut().map_or(Ok(()), |panel| panel.open(tell))
    }

    /// Tells the full screen, and says whether there is one.
    fn tell(&self, update: Update<'_>) -> bool {
        self.panel.as_ref().inspect(|panel| panel.tell(update)).is_some()
    }

    /// A message of ours is under way: to whom, its number, and what it is.
    pub fn sent(&mut self, wish: Option<u32>, to: SocketAddrV4, packet: u64, request: &control::Send) {
        self.tell(Update::Sent { wish, to, packet, request });
    }

    /// Something that a person wished for ended.
    pub fn ended(&mut self, wish: Option<u32>, how: &Result<Exit, Failure>) {
        let error = how.as_ref().err().map(|failure| failure.message.as_str());
        if let Some(wish) = wish {
            self.tell(Update::Ended { wish, how: error.map_or(Ok(()), Err) });
        } else if let Some(error) = error {
            self.note(error);
        }
    }

    /// We are away with this text, or here.
    pub fn away(&mut self, text: Option<&str>) {
        self.tell(Update::Away(text));
    }

    /// A member is at another address now, or was forgotten.
    pub fn gone(&mut self, from: SocketAddrV4, to: Option<SocketAddrV4>) {
        self.tell(Update::Gone { from, to });
    }

    /// Whether one JSON object per line is written, for a program.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Shows how far a transfer is, if somebody looks.
    pub fn progress(&mut self, transfer: Transfer, name: &str, done: u64, total: Option<u64>) {
        self.tell(Update::Progress { transfer, name, done, total });
        if let Some(bars) = &mut self.bars {
            bars.update(transfer, name, done, total);
        }
    }

    /// A transfer ended.
    pub fn progress_end(&mut self, transfer: Transfer) {
        self.tell(Update::ProgressEnd(transfer));
        if let Some(bars) = &mut self.bars {
            bars.end(transfer);
        }
    }

    /// How to end because standard output takes nothing: well, if the reader of a pipe has ended. `None` if it does.
    #[must_use]
    pub fn broken(&self) -> Option<Result<Exit, Failure>> {
        self.broken.clone()
    }

    /// Writes an event; it shows at the next [`Self::flush`].
    pub fn event(&mut self, event: &Event) {
        if self.tell(Update::Event(event)) {
            return;
        }
        let written = match self.form {
            Form::Json => json::write(&mut self.out, event),
            Form::Plain { colour } => plain::write(&mut self.out, event, colour, self.quiet),
        };
        self.notice(&written);
    }

    /// Writes the list of members.
    pub fn members(&mut self, members: &[Peer]) {
        if self.is_full() {
            return;
        }
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

    /// Says something that is not a result, unless `--quiet`: one line, whatever the names in it are.
    pub fn note(&mut self, text: &str) {
        if !self.quiet && !self.tell(Update::Note { text, bad: true }) {
            self.flush();
            anstream::eprintln!("{}", Printable::line(text));
        }
    }

    /// Says something for those who want to know more (`-v`).
    pub fn detail(&mut self, text: impl FnOnce() -> String) {
        if self.verbose > 0 {
            let text = text();
            if !self.tell(Update::Note { text: &text, bad: false }) {
                anstream::eprintln!("feige: {}", Printable::line(&text));
            }
        }
    }

    /// Shows a datagram (`-vv`).
    pub fn datagram(&self, direction: &str, peer: SocketAddrV4, octets: &[u8]) {
        if self.verbose > 1 && !self.is_full() {
            anstream::eprintln!("feige: {direction} {peer} {}", octets.escape_ascii());
        }
    }

    fn notice(&mut self, written: &io::Result<()>) {
        if let (Err(error), None) = (written, &self.broken) {
            self.broken = Some(stdout::failure(error).map_or(Ok(Exit::Done), Err));
        }
    }
}
