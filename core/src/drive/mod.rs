//! The loops that move octets between a machine, a transport and a store.
//!
//! The only module that knows of I/O, and it knows it by the traits of `embedded-io` alone. [`blocking`] is for
//! threads, [`asynch`](self) (feature `async`) for executors; both answer every [`Want`](crate::stream::Want)
//! in the same way and keep every error whole.
//!
//! **Memory**: none of its own. **Time**: that of the transport and the store; the machine's deadlines are
//! enforced here. **Protocol**: knows none.

#[cfg(feature = "async")]
pub mod asynch;
pub mod blocking;
#[cfg(test)]
pub(crate) mod tests;

use core::fmt;

use crate::stream::ProtocolError;

/// Why a transfer ended that did not come to an [`Outcome`](crate::stream::Outcome).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriveError<I, S> {
    /// The transport failed.
    Transport(I),
    /// The store failed.
    Store(S),
    /// The peer broke the rules.
    Protocol(ProtocolError),
    /// The transport accepted no octet and reported no error, which its contract forbids.
    WriteZero,
}

impl<I: fmt::Display, S: fmt::Display> fmt::Display for DriveError<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => write!(f, "connection: {error}"),
            Self::Store(error) => write!(f, "store: {error}"),
            Self::Protocol(error) => write!(f, "peer: {error}"),
            Self::WriteZero => f.write_str("connection: accepts no octets"),
        }
    }
}

impl<I, S> core::error::Error for DriveError<I, S>
where
    I: core::error::Error + 'static,
    S: core::error::Error + 'static,
{
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::WriteZero => None,
        }
    }
}

/// The front of `buffer`, no longer than `len`.
fn front(buffer: &mut [u8], len: u64) -> &mut [u8] {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(buffer.len());
    buffer.get_mut(..len).unwrap_or_default()
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
