//! Files and folders over TCP: what others offered is fetched, what was offered to others is served.
//!
//! The rules of the protocol are the core's ([`feige_core::stream`]); here are the connections, the threads, and
//! the ways in which this system moves octets fast.
//!
//! ```text
//!   a download:  download() ---- FileClient / FolderClient ----+
//!                                                              +--- one loop (run) --- Socket, Fast, a store
//!   a connection accepted: Serving::accept -> thread: Server --+
//! ```
//!
//! **Guarantees**: each wait has a deadline (30 s to connect, 120 s without 4 KiB, 15 s for a request, 5 s for the
//! peer to close); each transfer ends within a quarter of a second when cancelled; the number of connections served
//! at a time is limited, in all and for each address.
//!
//! **Memory**: a file moves past this process (`sendfile`, `splice`), a folder through one buffer of 256 KiB.
//! **Time**: progress is told at most ten times a second. **Protocol**: R-IP-70 to 79, and 80 onward for folders.

mod download;
mod gate;
mod helper;
mod mover;
mod progress;
mod room;
mod serve;
mod shares;
mod socket;
#[cfg(test)]
mod tests;

pub use download::{Downloaded, Failed, Md5Policy, Wanted, download};
pub(crate) use gate::Permit;
pub use gate::{Gate, Refusal};
pub use helper::Helper;
pub(crate) use progress::Meter;
pub use progress::Progress;
pub use room::{Inputs, Room};
pub use serve::{Event, Fetch, Serving};
pub use shares::{Share, Shares, TooManyOffers};
pub use socket::{Cancel, Clock, SocketError};
pub(crate) use socket::{Socket, connect, is_pause};

use std::io;
use std::net::SocketAddrV4;

use feige_core::drive::DriveError;
use feige_core::drive::blocking::step;
use feige_core::stream::{Abort, Machine, Outcome, ProtocolError};

use crate::exit::Exit;
use crate::store::StoreError;
use mover::{Disk, Fast};

/// Why a transfer came to nothing, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// No connection: nobody is there any more, or a firewall is in between.
    #[error("cannot connect to {to} (TCP): {source}")]
    Unreachable {
        /// Where to.
        to: SocketAddrV4,
        /// What the system says.
        source: io::Error,
    },
    /// The peer closed the connection without an octet: it does not offer this (any more), or not to us.
    #[error("refused: the peer sent nothing (not offered any more, or not to this address)")]
    Refused,
    /// The peer closed before all had come.
    #[error("ended short: {got} of {want} octets came")]
    Short {
        /// Octets that came.
        got: u64,
        /// Octets that should have come.
        want: u64,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Connection(io::Error),
    /// The peer broke the rules, or kept us waiting.
    #[error("the peer: {0}")]
    Protocol(ProtocolError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is served changed under our hands, or cannot be said in the protocol.
    #[error("{0}")]
    Aborted(&'static str),
    /// Somebody cancelled it here.
    #[error("cancelled")]
    Cancelled,
}

impl TransferError {
    /// The exit code that tells this to scripts.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Nobody,
            Self::Refused => Exit::Refused,
            Self::Short { .. } | Self::Connection(_) => Exit::Incomplete,
            Self::Protocol(ProtocolError::TimedOut | ProtocolError::Truncated { .. }) => Exit::Incomplete,
            Self::Store(error) if error.is_no_space() => Exit::NoSpace,
            Self::Protocol(_) | Self::Store(_) | Self::Aborted(_) => Exit::Failed,
            Self::Cancelled => Exit::Interrupted,
        }
    }

    /// Whether the same attempt may succeed a moment later: the peer said nothing at all.
    fn is_silent(&self) -> bool {
        match self {
            Self::Refused => true,
            Self::Connection(error) => matches!(error.kind(), io::ErrorKind::ConnectionReset),
            _ => false,
        }
    }
}

impl From<DriveError<SocketError, StoreError>> for TransferError {
    fn from(error: DriveError<SocketError, StoreError>) -> Self {
        match error {
            DriveError::Transport(error) => Self::Connection(error.0),
            DriveError::Store(error) => Self::Store(error),
            DriveError::Protocol(error) => Self::Protocol(error),
            _ => Self::Connection(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// What a machine says at its end, as an error unless all is well.
fn judge(outcome: Outcome) -> Result<feige_core::stream::Totals, TransferError> {
    match outcome {
        Outcome::Complete(totals) => Ok(totals),
        Outcome::Refused => Err(TransferError::Refused),
        Outcome::Short { got, want } => Err(TransferError::Short { got, want }),
        Outcome::Aborted(cause) => Err(TransferError::Aborted(match cause {
            Abort::Shrunk { .. } => "a file became shorter while it was sent",
            Abort::NameTooLong { .. } => "a name is too long for the protocol",
            _ => "the store and the protocol do not agree",
        })),
    }
}

/// Runs `machine` to its end, or until cancelled. Unless it ends well, the connection is reset.
fn run<S: Disk<Error = StoreError>>(
    machine: &mut impl Machine,
    mut socket: Socket,
    store: &mut S,
    clock: Clock,
    cancel: &Cancel,
) -> Result<Outcome, TransferError> {
    let mut mover = Fast::default();
    let mut now = || clock.now();
    let result = loop {
        if cancel.is_cancelled() {
            break Err(TransferError::Cancelled);
        }
        match step(machine, &mut socket, store, &mut mover, &mut now) {
            Ok(None) => {}
            Ok(Some(outcome)) => break Ok(outcome),
            Err(error) => break Err(error.into()),
        }
    };
    if !matches!(result, Ok(Outcome::Complete(_) | Outcome::Refused)) {
        socket.reset();
    }
    result
}
