//! Connections of the verified transfer: whoever comes to its port is a guest and may look, fetch, store and remove.
//!
//! Each has a socket and the two buffers that a session of the core works in. A device of a few kilobytes does without
//! all of it: feature `transfer`.

use core::mem::MaybeUninit;
use core::net::SocketAddrV4;
use core::time::Duration;

use feige_core::digest::Hasher;
use feige_core::stream::Outcome;
use feige_core::stream::transfer::{Buffers, ServerSession, Settings};
use feige_core::time::Instant;
use feige_core::wire::transfer::{BLOCK_LOG2, MAX_HEADER_DEVICE, PORT};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::Socket;

use super::connection::{Step, step};
use super::counter::{Counter, Open};
use super::desk::Desk;
use super::run_len;
use super::slots::{Farewell, farewell, listen};
use crate::store::Store;

/// How long a peer has for its half of a farewell.
const FAREWELL: Duration = Duration::from_secs(5);

/// Things done for one connection before the next one has its turn.
const TURN: usize = 16;

/// A place for a guest.
pub(super) struct Guest<'a> {
    handle: SocketHandle,
    input: &'a mut [u8],
    output: &'a mut [u8],
    /// The size of blocks that suits the buffers, as a power of two.
    block: u8,
    state: &'a mut State,
}

/// What a place for a guest is used for.
#[allow(clippy::large_enum_variant)] // All of them live in the same few places.
pub(super) enum State {
    /// Listens. `since`: somebody began to connect then.
    Free {
        since: Option<Instant>,
    },
    Serving {
        session: ServerSession,
        from: SocketAddrV4,
        open: Open,
    },
    /// The socket takes leave of the peer.
    Closing {
        until: Instant,
        reset: bool,
    },
}

impl<'a> Guest<'a> {
    pub(super) fn new(
        handle: SocketHandle,
        input: &'a mut [u8],
        output: &'a mut [u8],
        place: &'a mut MaybeUninit<State>,
    ) -> Self {
        let block = block_for(input.len().min(output.len()));
        Self { handle, input, output, block, state: place.write(State::Free { since: None }) }
    }

    pub(super) const fn is_free(&self) -> bool {
        matches!(*self.state, State::Free { since: None })
    }

    /// When something is to be done although nothing happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &*self.state {
            State::Free { since } => since.map(|since| since + FAREWELL),
            State::Serving { session, .. } => session.deadline(),
            State::Closing { until, .. } => Some(*until),
        }
    }

    /// In a frame of its own, because a session is large while it is made.
    #[inline(never)]
    fn welcome(&mut self, now: Instant, from: SocketAddrV4, window: usize) {
        let settings = Settings {
            max_header: MAX_HEADER_DEVICE,
            window: u32::try_from(window).unwrap_or(u32::MAX),
            max_block: *BLOCK_LOG2.end(),
            software: concat!("feige-device ", env!("CARGO_PKG_VERSION")),
        };
        // There are no accounts, so no proof that a number has to be fresh for.
        let session = ServerSession::new(now, settings, [0; 18]);
        *self.state = State::Serving { session, from, open: Open::Nothing };
    }

    /// Does what can be done now; tells whether anything was.
    #[inline(never)]
    pub(super) fn run<S: Store, const MEMBERS: usize>(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'a>,
        desk: &mut Desk<'_, S, MEMBERS>,
        hasher: &mut impl Hasher,
    ) -> bool {
        let socket = sockets.get_mut::<Socket<'a>>(self.handle);
        let (session, from, open) = match &mut *self.state {
            State::Free { since } => {
                let Some(accept) = listen(now, socket, PORT, since) else { return false };
                if let Some(from) = accept {
                    // R-VT-12: what may come although nobody reads.
                    let window = socket.recv_capacity();
                    self.welcome(now, from, window);
                }
                return true;
            }
            State::Closing { until, reset } => {
                return match farewell(now, socket, *until, reset) {
                    Farewell::Waiting => false,
                    Farewell::Resetting => true,
                    Farewell::Over => {
                        *self.state = State::Free { since: None };
                        true
                    }
                };
            }
            State::Serving { session, from, open } => (session, *from, open),
        };
        let mut machine = session.with(Buffers { input: self.input, output: self.output }, hasher);
        let mut counter = Counter { now, desk, from, open, block: self.block };
        let mut moved = false;
        for _ in 0..TURN {
            match step(now, &mut machine, socket, &mut counter) {
                Step::Moved => moved = true,
                Step::Waiting => return moved,
                Step::Over(result) => {
                    counter.put_away();
                    let clean = matches!(result, Ok(Outcome::Complete(_)));
                    if clean {
                        socket.close();
                    } else {
                        socket.abort();
                    }
                    *self.state = State::Closing { until: now + FAREWELL, reset: !clean };
                    return true;
                }
            }
        }
        moved
    }
}

/// The size of blocks that suits buffers of so many octets, as a power of two.
///
/// Senders make runs of as many blocks as they can, so the largest block is taken of which a whole run fits: then its
/// blocks are hashed side by side. Where not even the smallest do, what comes is hashed piece by piece anyhow, and the
/// half of a buffer is a run that goes out in one piece.
fn block_for(octets: usize) -> u8 {
    let whole = BLOCK_LOG2.rev().find(|&log2| run_len(log2) <= octets);
    let half = || (octets / 2).checked_ilog2().and_then(|log2| u8::try_from(log2).ok()).unwrap_or(0);
    whole.unwrap_or_else(half).clamp(*BLOCK_LOG2.start(), *BLOCK_LOG2.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_for_buffers() {
        for (octets, log2) in [
            // Less than a block.
            (2_048, 12),
            (4_096, 12),
            // Half of it.
            (16_384, 13),
            (65_536, 15),
            // A whole run.
            (run_len(12), 12),
            (2 * run_len(12), 13),
            (1 << 30, 20),
        ] {
            assert_eq!(block_for(octets), log2, "{octets}");
        }
    }
}
