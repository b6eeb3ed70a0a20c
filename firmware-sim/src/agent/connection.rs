//! One connection: moves octets between a TCP socket, a machine of the core and the store.
//!
//! What a socket has received is handed to the store where it lies, and what the store loads goes where it is sent from:
//! the buffers of the socket are the only ones.

use feige_core::stream::{Machine, Outcome, ProtocolError, Store, Want};
use feige_core::time::Instant;
use smoltcp::socket::tcp::{RecvError, Socket, State};

use crate::store::{StoreError, copy};

/// What came of one thing that a machine wanted.
pub(super) enum Step {
    /// It was done; there may be more.
    Moved,
    /// The peer, or time, has to come first.
    Waiting,
    /// The machine has ended.
    Over(Result<Outcome, Fault>),
}

/// Why a machine did not come to an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The peer broke the rules, or was silent for too long.
    Peer(ProtocolError),
    /// The store failed.
    Store(StoreError),
    /// The connection was refused, reset, or never came about.
    Connection,
}

/// Does one thing that `machine` wants.
///
/// One copy of it for all machines and what they ask.
pub(super) fn step(
    now: Instant,
    machine: &mut dyn Machine,
    socket: &mut Socket<'_>,
    store: &mut dyn Store<Error = StoreError>,
) -> Step {
    machine.expire(now);
    let want = machine.want();
    let draining = matches!(want, Want::Drain(_));
    let done = match want {
        Want::Read(room) | Want::Drain(room) => match take(socket, room.len(), &mut |octets| Ok(copy(octets, room))) {
            Err(Stop::Fault(_)) if draining => Ok(0),
            done => done,
        },
        Want::Receive { at, len } => {
            take(socket, size(len), &mut |octets| store.save(at, octets).map(|()| octets.len()))
        }
        Want::Write(octets) => give(socket, &mut |room| Ok(copy(octets, room))),
        Want::Send { at, len } => give(socket, &mut |room| store.load(at, front(room, len))),
        Want::Load { at, into } => store.load(at, into).map_err(Stop::store),
        Want::Save { at, octets } => store.save(at, octets).map(|()| octets.len()).map_err(Stop::store),
        Want::Close => store.close().map(|()| 0).map_err(Stop::store),
        Want::Open(target) => match store.open(target) {
            Ok(answer) => {
                machine.opened(now, answer);
                return Step::Moved;
            }
            Err(error) => Err(Stop::store(error)),
        },
        Want::Shutdown => shut_down(socket),
        Want::Done(result) => return Step::Over(result.map_err(Fault::Peer)),
    };
    match done {
        Ok(count) => {
            machine.done(now, u64::try_from(count).unwrap_or(u64::MAX));
            Step::Moved
        }
        Err(Stop::Waiting) => Step::Waiting,
        Err(Stop::Fault(fault)) => Step::Over(Err(fault)),
    }
}

/// Why no octets moved.
pub(super) enum Stop {
    Waiting,
    Fault(Fault),
}

impl Stop {
    const fn store(error: StoreError) -> Self {
        Self::Fault(Fault::Store(error))
    }
}

/// Hands up to `most` received octets on; 0 is the end of the stream.
pub(super) fn take(
    socket: &mut Socket<'_>,
    most: usize,
    take: &mut dyn FnMut(&[u8]) -> Result<usize, StoreError>,
) -> Result<usize, Stop> {
    if !socket.can_recv() {
        return match socket.state() {
            State::SynSent | State::SynReceived => Err(Stop::Waiting),
            _ if socket.may_recv() => Err(Stop::Waiting),
            _ => match socket.recv(|_| (0, ())) {
                Err(RecvError::Finished) => Ok(0),
                _ => Err(Stop::Fault(Fault::Connection)),
            },
        };
    }
    let taken = socket.recv(|octets| match take(octets.get(..most).unwrap_or(octets)) {
        Ok(count) => (count, Ok(count)),
        Err(error) => (0, Err(Stop::store(error))),
    });
    taken.unwrap_or(Err(Stop::Fault(Fault::Connection)))
}

/// Lets octets be put into the room that there is for sending.
pub(super) fn give(
    socket: &mut Socket<'_>,
    give: &mut dyn FnMut(&mut [u8]) -> Result<usize, StoreError>,
) -> Result<usize, Stop> {
    if !socket.can_send() {
        return match socket.state() {
            State::SynSent | State::SynReceived => Err(Stop::Waiting),
            _ if socket.may_send() => Err(Stop::Waiting),
            _ => Err(Stop::Fault(Fault::Connection)),
        };
    }
    let given = socket.send(|room| match give(room) {
        Ok(count) => (count, Ok(count)),
        Err(error) => (0, Err(Stop::store(error))),
    });
    given.unwrap_or(Err(Stop::Fault(Fault::Connection)))
}

/// Closes our side once the peer has confirmed what was sent: until then the patience of the machine is that for a
/// transfer, not the short one for a farewell, in which an octet that was lost could not even be sent again.
fn shut_down(socket: &mut Socket<'_>) -> Result<usize, Stop> {
    if socket.send_queue() > 0 {
        return if socket.may_send() { Err(Stop::Waiting) } else { Err(Stop::Fault(Fault::Connection)) };
    }
    socket.close();
    Ok(0)
}

fn front(room: &mut [u8], len: u64) -> &mut [u8] {
    let len = size(len).min(room.len());
    room.get_mut(..len).unwrap_or_default()
}

fn size(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
