//! Saying one thing to one peer.

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::{LEFT_ALONE, prepare, reset, write};
use crate::exit::Exit;
use crate::transfer::{Cancel, connect};

/// How many octets a message may have: what the classic programs take with their one `recv`.
pub const MOST: usize = 1024;

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How long after an attempt the next one is made.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a message was not said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is too long, or empty.
    #[error("a message of {0} octets cannot be said: at most {MOST}; use a shorter name")]
    Length(usize),
    /// Nobody listens there.
    #[error("cannot reach the peer at {to} (TCP): {source}; check that it runs")]
    Unreachable {
        /// Where to.
        to: SocketAddrV4,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody cancelled it here.
    #[error("cancelled")]
    Cancelled,
}

impl MessageError {
    /// The exit code that tells this to scripts.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Length(_) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Nobody,
            Self::Cancelled => Exit::Interrupted,
        }
    }
}

/// Says `text` to the peer at `to`: one connection, one write, 20 ms, a reset. If it cannot be reached, further
/// attempts are made for `patience`: a "C" peer that searches is deaf for up to 4 s, so a `found` needs 5 s. With a
/// `patience` of zero there is one attempt.
///
/// That a message was said does not mean that it was heard: these dialects have no word for that.
///
/// # Errors
/// See [`MessageError`].
pub fn send(to: SocketAddrV4, text: &str, patience: Duration, cancel: &Cancel) -> Result<(), MessageError> {
    if text.is_empty() || text.len() > MOST {
        return Err(MessageError::Length(text.len()));
    }
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let attempt = if patience.is_zero() { ATTEMPT } else { ATTEMPT.min(left.max(PAUSE)) };
        let result = say(to, text, attempt, cancel);
        if cancel.is_cancelled() {
            return Err(MessageError::Cancelled);
        }
        match result {
            Ok(()) => return Ok(()),
            Err(source) if Instant::now() + PAUSE >= deadline => return Err(MessageError::Unreachable { to, source }),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn say(to: SocketAddrV4, text: &str, time: Duration, cancel: &Cancel) -> io::Result<()> {
    let stream = connect(to.into(), time, cancel)?;
    prepare(&stream)?;
    // It fits into the buffer of any connection: one write is one segment.
    write(&stream, text.as_bytes(), time, cancel)?;
    std::thread::sleep(LEFT_ALONE);
    reset(&stream);
    Ok(())
}
