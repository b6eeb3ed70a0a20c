//! The loops that move octets between a machine, a transport and a store.
//!
//! The only module that knows of I/O, and it knows it by the traits of `embedded-io` alone. [`blocking`] is for
//! threads, [`asynch`](self) (feature `async`) for executors; both answer every [`Want`]
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

use crate::stream::{Machine, ProtocolError, Store, Want};
use crate::time::Instant;

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

/// Lets `machine` keep what has come and is of use, although the connection is over: broken, or not wanted any more.
///
/// The drivers do so when their transport fails; a caller that stops in between, because its user has had enough, does it
/// before it drops the machine. What the store says against it does not matter any more.
pub fn salvage<S: Store>(machine: &mut impl Machine, store: &mut S, mut clock: impl FnMut() -> Instant) {
    machine.broken(clock());
    loop {
        let saved = match machine.want() {
            Want::Open(target) => {
                let Ok(answer) = store.open(target) else { return };
                machine.opened(clock(), answer);
                continue;
            }
            Want::Save { at, octets } => store.save(at, octets).map(|()| count(octets.len())),
            _ => return,
        };
        let Ok(saved) = saved else { return };
        machine.done(clock(), saved);
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
