//! The connections of the classic peers: one message, one request.
//!
//! Every message has its own connection: connect, one write of at most 1,024 octets, close. There is no end of line and
//! no length; blanks stand between the fields, so a name with white space cannot be said. Only a
//! `request NAME IP PORT` is answered on its connection, with a parcel ([`super::parcel`]).
//!
//! | | |
//! |---|---|
//! | [`send`] | says something to a peer |
//! | [`fetch`] | asks a holder for what it found, and puts it into the share |
//! | [`answer`] | answers a request from the share |
//!
//! **Guarantees**: each wait has a deadline and ends within a quarter of a second when cancelled. **Memory**: a buffer
//! of 64 KiB. **Time**: linear in the octets. **Protocol**: the classic peers of flooded search.

mod holder;
mod message;
mod seeker;
#[cfg(test)]
mod tests;

pub use holder::{Sent, answer};
pub use message::{MOST, MessageError, send};
pub use seeker::{FetchError, fetch};

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::transfer::{Cancel, is_pause};

/// No wait is longer than this at a stretch, so that a cancelled exchange ends soon.
const TICK: Duration = Duration::from_millis(250);

/// How long what was written is left to the peer before the connection is reset.
const LEFT_ALONE: Duration = Duration::from_millis(20);

/// Closes with a reset: for every orderly end, a "J" peer keeps a thread that spins for ever.
fn reset(stream: &TcpStream) {
    // Without it the peer sees an ordinary end: worse, but nothing can be done.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Prepares a connection: what is written leaves as it is, and no call takes longer than a tick.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))
}

/// Writes all of `octets`; the peer must take some of them every `stall`.
fn write(mut stream: &TcpStream, octets: &[u8], stall: Duration, cancel: &Cancel) -> io::Result<()> {
    let mut left = octets;
    let mut deadline = Instant::now() + stall;
    while !left.is_empty() {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match stream.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                left = &left[count..];
                deadline = Instant::now() + stall;
            }
            Err(error) if is_pause(&error) => {
                if Instant::now() >= deadline {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a field can be said: not empty, no white space, nothing that a terminal obeys.
fn can_be_said(field: &str) -> bool {
    !field.is_empty() && !field.contains(|c: char| c.is_whitespace() || c.is_control())
}
