//! What happens while files are served, and how it is told.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use feige_core::text::Printable;
use serde::Serialize;

use super::printer::{Printer, To};
use crate::cli::OutputOptions;
use crate::exit::{Exit, Failure};

/// How long what was said may take to be printed when the program ends.
const LAST: Duration = Duration::from_secs(2);

/// What happens while files are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Clients may come. The first event.
    Ready {
        /// Where.
        addr: SocketAddr,
    },
    /// Somebody signed in.
    SignedIn {
        /// Who; `guest` without an account.
        user: String,
        /// From where.
        from: SocketAddr,
    },
    /// Somebody was not let in.
    Denied {
        /// Who it was said to be.
        user: String,
        /// From where.
        from: SocketAddr,
        /// Why.
        error: String,
    },
    /// A file was received: it is whole, verified and on the disk.
    Stored {
        /// Whose.
        user: String,
        /// The file, from the home on.
        path: String,
        /// Its size in octets.
        size: u64,
        /// From where.
        from: SocketAddr,
    },
    /// A file was sent, or the rest of one.
    Sent {
        /// To whom.
        user: String,
        /// The file, from the home on.
        path: String,
        /// Octets of the file that were asked for.
        size: u64,
        /// To where.
        to: SocketAddr,
    },
    /// A file or folder was removed, made or renamed.
    Changed {
        /// By whom.
        user: String,
        /// What was done.
        what: &'static str,
        /// To what, from the home on.
        path: String,
        /// From where.
        from: SocketAddr,
    },
    /// A connection ended otherwise than it should.
    Failed {
        /// Whose.
        from: SocketAddr,
        /// Why.
        error: String,
    },
    /// Something is wrong on this side.
    Trouble {
        /// What.
        error: String,
    },
}

/// Something that a [`Report`] can tell.
pub(crate) trait Told: Serialize + fmt::Display {
    /// Who wants to hear it.
    fn weight(&self) -> Weight;
}

/// Who wants to hear of an event. As JSON, every event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Something is wrong on this side: always.
    Trouble,
    /// Something is wrong on the other side: unless quiet.
    Warning,
    /// What the program is there for: unless quiet.
    Result,
    /// If everything is asked for.
    Detail,
}

impl Told for Event {
    fn weight(&self) -> Weight {
        match self {
            Self::Trouble { .. } => Weight::Trouble,
            Self::Failed { .. } | Self::Denied { .. } => Weight::Warning,
            Self::Ready { .. } | Self::Stored { .. } => Weight::Result,
            Self::SignedIn { .. } | Self::Sent { .. } | Self::Changed { .. } => Weight::Detail,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |text: &str| Printable::line(text).to_string();
        match self {
            Self::Ready { addr } => write!(f, "serving at {addr}"),
            Self::SignedIn { user, from } => write!(f, "{from}: {} signed in", printable(user)),
            Self::Denied { user, from, error } => write!(f, "{from}: {} was not let in: {error}", printable(user)),
            Self::Stored { user, path, size, from } => {
                write!(f, "{from}: {} stored {} ({size} octets)", printable(user), printable(path))
            }
            Self::Sent { user, path, size, to } => {
                write!(f, "{to}: {} fetched {} ({size} octets)", printable(user), printable(path))
            }
            Self::Changed { user, what, path, from } => {
                write!(f, "{from}: {} {what} {}", printable(user), printable(path))
            }
            Self::Failed { from, error } => write!(f, "{from}: {}", printable(error)),
            Self::Trouble { error } => write!(f, "{}", printable(error)),
        }
    }
}

/// Shows a text above the line that somebody is typing.
pub(crate) type Above = Arc<Mutex<dyn FnMut(String) + Send>>;

/// Tells events to the user: lines for people, or JSON. Nobody who tells something waits for whoever reads it.
#[derive(Clone)]
pub struct Report {
    json: bool,
    quiet: bool,
    verbose: bool,
    /// What the program is there for comes from elsewhere.
    hushed: bool,
    /// Results and errors have one place, above what somebody types.
    is_above: bool,
    printer: Printer,
}

impl Report {
    /// As the options say.
    #[must_use]
    pub fn new(options: &OutputOptions) -> Self {
        let OutputOptions { json, quiet, verbose, .. } = *options;
        let printer = Printer::new(if json { dropped_as_json } else { dropped });
        Self { json, quiet, verbose: verbose > 0, hushed: false, is_above: false, printer }
    }

    /// Only what goes wrong, and details if they are asked for.
    pub(crate) fn hushed(self) -> Self {
        Self { hushed: true, ..self }
    }

    /// Somebody types meanwhile.
    pub(crate) fn above(self, above: Above) -> Self {
        self.printer.above(above);
        Self { is_above: true, ..self }
    }

    /// Waits until everything is printed, though not for a reader that has stopped reading.
    ///
    /// # Errors
    /// Why results were lost.
    pub(crate) fn written(&self) -> Result<(), Failure> {
        self.printer.settle(LAST).map_or(Ok(()), Err)
    }

    /// How a command ends that would end like this: results that could not be written are none.
    ///
    /// # Errors
    /// As it would, or why results were lost.
    pub(crate) fn end(&self, end: Result<Exit, Failure>) -> Result<Exit, Failure> {
        match (end, self.written()) {
            (Ok(Exit::Done), Err(lost)) => Err(lost),
            (end, _) => end,
        }
    }

    /// Says how to use it: for a program that is no result.
    pub(crate) fn explain(&self, text: &str) {
        self.printer.print(if self.json { To::Errors } else { To::Output }, format!("{text}\n").as_bytes());
    }

    /// Tells several at once.
    pub(crate) fn tell<E: Told>(&self, events: &[E]) {
        let (mut results, mut errors) = (Vec::new(), String::new());
        for event in events {
            if self.hushed && event.weight() == Weight::Result && !self.verbose {
                continue;
            }
            if self.json {
                // An event is made of strings and numbers: that cannot fail.
                let _ = serde_json::to_writer(&mut results, event);
                results.push(b'\n');
                continue;
            }
            match event.weight() {
                Weight::Trouble => errors += &format!("feige: {event}\n"),
                Weight::Warning if !self.quiet => errors += &format!("{event}\n"),
                Weight::Detail if !self.verbose => {}
                Weight::Result | Weight::Detail if !self.quiet => {
                    results.extend_from_slice(format!("{event}\n").as_bytes());
                }
                _ => {}
            }
        }
        if self.is_above {
            errors += &String::from_utf8_lossy(&std::mem::take(&mut results));
        }
        self.printer.print(To::Output, &results);
        self.printer.print(To::Errors, errors.as_bytes());
    }
}

/// Says that lines are missing, as an event of its own.
fn dropped_as_json(lines: u64) -> (To, Vec<u8>) {
    (To::Output, format!("{{\"event\":\"dropped\",\"lines\":{lines}}}\n").into_bytes())
}

fn dropped(lines: u64) -> (To, Vec<u8>) {
    (To::Errors, format!("feige: {lines} lines were dropped, because nobody read them in time\n").into_bytes())
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("json", &self.json).finish_non_exhaustive()
    }
}
