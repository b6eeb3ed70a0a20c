//! Answering a request.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{prepare, reset, write};
use crate::peer::parcel::{Limits, Parcel, ParcelError, pack, pieces};
use crate::peer::share::{Share, What};
use crate::transfer::{Cancel, is_pause};

/// How long is waited for the peer to close when it has everything. It unpacks first, and then forgets to, perhaps.
const LINGER: Duration = Duration::from_secs(10);

/// What may still be on its way when all is written, in octets: the systems keep no more for a connection.
const MOST_BUFFERED: u64 = 8 << 20;

/// How slowly the peer may take that, in octets a second.
const SLOWEST: u64 = 64 * 1024;

/// How long the peer may take nothing.
const STALL: Duration = Duration::from_secs(30);

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where it is below the share.
    pub path: String,
    /// Octets of the archive.
    pub size: u64,
    /// Whether the peer closed afterwards, as those do that have everything.
    pub closed: bool,
}

/// Answers `request NAME …`, which was read from `stream`, from the share: length and header with one write, then the
/// archive, then nothing until the peer closes. Nobody need have asked with `get` before.
///
/// Of several entries with that name the first is sent, in the order of their paths.
///
/// # Errors
/// [`ParcelError::NotShared`] if there is nothing of that name; the connection is reset then, since the dialects have
/// no word for it. Else what the disk and the connection say.
pub fn answer(
    stream: &TcpStream,
    name: &str,
    share: &Share,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Sent, ParcelError> {
    let result = prepare(stream).map_err(ParcelError::Connection).and_then(|()| {
        let found = share.look(What::Name(name), 1).into_iter().next();
        let found = found.ok_or_else(|| ParcelError::NotShared(name.to_owned()))?;
        let parcel = pack(share, &found.path, found.kind, limits.most, cancel)?;
        let closed = hand_over(stream, &parcel, cancel)?;
        Ok(Sent { path: found.path, size: parcel.size, closed })
    });
    // Unless the peer has closed already, it must not take what came for all, nor keep a thread for an orderly end.
    if !result.as_ref().is_ok_and(|sent| sent.closed) {
        reset(stream);
    }
    result
}

fn hand_over(stream: &TcpStream, parcel: &Parcel, cancel: &Cancel) -> Result<bool, ParcelError> {
    let send = |octets: &[u8]| {
        write(stream, octets, STALL, cancel).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => ParcelError::Cancelled,
            _ => ParcelError::Connection(error),
        })
    };
    send(&parcel.header)?;
    pieces(&parcel.file, send)?;
    let rest = parcel.size.min(MOST_BUFFERED) / SLOWEST;
    wait_closed(stream, LINGER + Duration::from_secs(rest), cancel)
}

/// Waits for the peer to close; false if it does not.
fn wait_closed(mut stream: &TcpStream, time: Duration, cancel: &Cancel) -> Result<bool, ParcelError> {
    let deadline = Instant::now() + time;
    let mut piece = [0; 1024];
    while Instant::now() < deadline {
        if cancel.is_cancelled() {
            return Err(ParcelError::Cancelled);
        }
        match stream.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if is_pause(&error) => {}
            // It closed with what we could not know to be unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(true),
            Err(error) => return Err(ParcelError::Connection(error)),
        }
    }
    Ok(false)
}
