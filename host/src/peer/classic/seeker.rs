//! Fetching what was found.

use std::io;
use std::net::SocketAddrV4;

use super::{can_be_said, message::MOST, prepare, reset, write};
use crate::exit::Exit;
use crate::peer::parcel::{Limits, ParcelError, Unpacked, receive, unpack};
use crate::peer::share::Share;
use crate::transfer::{Cancel, connect};

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The dialect cannot say this name.
    #[error(
        "classic peers cannot be asked for {0:?}: names with white space, or of 1,000 octets, cannot be said to them"
    )]
    Unsayable(String),
    /// Nobody listens there.
    #[error("cannot reach the holder at {holder} (TCP): {source}; ask again for another one")]
    Unreachable {
        /// Where it should be.
        holder: SocketAddrV4,
        /// What the system says.
        source: io::Error,
    },
    /// It could not be received, or unpacked.
    #[error(transparent)]
    Parcel(#[from] ParcelError),
}

impl FetchError {
    /// The exit code that tells this to scripts.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Unsayable(_) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Nobody,
            Self::Parcel(error) => error.exit(),
        }
    }
}

/// Asks `holder` for `name`, in the name of the peer that listens at `own`, and puts what comes into the share.
///
/// `tell` is told how many octets of the archive came; how many there will be, nobody says.
///
/// # Errors
/// See [`FetchError`]; nothing is left in the share then.
pub fn fetch(
    holder: SocketAddrV4,
    name: &str,
    own: SocketAddrV4,
    share: &Share,
    limits: &Limits,
    cancel: &Cancel,
    tell: impl FnMut(u64),
) -> Result<Unpacked, FetchError> {
    let request = format!("request {name} {} {}", own.ip(), own.port());
    if !can_be_said(name) || request.len() > MOST {
        return Err(FetchError::Unsayable(name.to_owned()));
    }
    let stream = connect(holder.into(), limits.connect, cancel).map_err(|source| {
        if cancel.is_cancelled() { ParcelError::Cancelled.into() } else { FetchError::Unreachable { holder, source } }
    })?;
    let broken = |error| if cancel.is_cancelled() { ParcelError::Cancelled } else { ParcelError::Connection(error) };
    prepare(&stream).map_err(broken)?;
    write(&stream, request.as_bytes(), limits.idle, cancel).map_err(broken)?;
    let arrived = receive(&stream, share, limits, cancel, tell);
    // The holder waits for it, and a "J" peer keeps a thread for an orderly end.
    reset(&stream);
    drop(stream);
    Ok(unpack(&arrived?, name, share, limits.most, cancel)?)
}
