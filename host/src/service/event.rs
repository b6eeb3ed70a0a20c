//! What happens while files are served, and how it is told.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;

use feige_core::text::Printable;
use serde::Serialize;

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

impl Event {
    /// Whether it is told without having been asked for.
    const fn is_notable(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Stored { .. })
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

/// Tells events to the user: lines for people, or JSON.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// JSON, one object a line.
    pub json: bool,
    /// Results and errors only.
    pub quiet: bool,
    /// Everything.
    pub verbose: bool,
}

impl Report {
    /// Tells several at once.
    pub fn tell(&self, events: &[Event]) {
        let (mut results, mut errors) = (Vec::new(), String::new());
        for event in events {
            if self.json {
                // An event is made of strings and numbers: that cannot fail.
                let _ = serde_json::to_writer(&mut results, event);
                results.push(b'\n');
                continue;
            }
            match event {
                Event::Trouble { .. } => errors += &format!("feige: {event}\n"),
                Event::Failed { .. } | Event::Denied { .. } if !self.quiet => errors += &format!("{event}\n"),
                event if !self.quiet && (self.verbose || event.is_notable()) => {
                    results.extend_from_slice(format!("{event}\n").as_bytes());
                }
                _ => {}
            }
        }
        // If nobody reads it, there is nobody to tell that.
        if !results.is_empty() {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&results).and_then(|()| out.flush());
        }
        if !errors.is_empty() {
            let _ = std::io::stderr().lock().write_all(errors.as_bytes());
        }
    }
}
