//! The loop for blocking transports: threads, and devices that do one thing at a time.
//!
//! **Memory**: none of its own; [`Scratch`] is lent. **Time**: blocks in the transport, never longer than to the
//! machine's deadline, and in the store.

use core::time::Duration;

use embedded_io::{ErrorKind, Read, Write};

use super::DriveError;
use crate::stream::{Machine, Outcome, Store, Want};
use crate::time::Instant;

/// A connection that can be given a time limit and be shut down.
///
/// A read or write that exceeds its limit must fail with an error whose kind is [`ErrorKind::TimedOut`] (sockets
/// of the standard library report `WouldBlock`: the implementation translates that). The driver repeats what
/// was interrupted ([`ErrorKind::Interrupted`]).
pub trait Transport: Read + Write {
    /// Limits each following read, write and flush to `limit`, which is never zero; `None` lifts the limit.
    ///
    /// Called before every wait with what is left until the deadline. Rounding it up, to a second for instance, is
    /// fine and saves system calls where the limit is a property of the socket; only limits below a second
    /// should be kept to some 100 ms.
    ///
    /// # Errors
    /// The transport's own.
    fn limit(&mut self, limit: Option<Duration>) -> Result<(), Self::Error>;

    /// Shuts down the writing side: the peer reads the end of the stream after the octets written so far.
    ///
    /// # Errors
    /// The transport's own.
    fn shutdown(&mut self) -> Result<(), Self::Error>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn limit(&mut self, limit: Option<Duration>) -> Result<(), Self::Error> {
        T::limit(self, limit)
    }

    fn shutdown(&mut self) -> Result<(), Self::Error> {
        T::shutdown(self)
    }
}

/// Moves the octets of a file between a transport and a store without anybody looking at them.
///
/// [`Scratch`] does it with a buffer, for every transport and store. A platform that knows better (`sendfile`,
/// `splice`) implements this for its own pair.
pub trait Mover<T: Transport, S: Store> {
    /// Answers [`Want::Send`]: moves up to `len` octets of the open object, from `at` on, to the transport; 0 only
    /// if the object has no more.
    ///
    /// # Errors
    /// [`DriveError::Transport`], [`DriveError::Store`], whole, and [`DriveError::WriteZero`].
    fn send(&mut self, transport: &mut T, store: &mut S, at: u64, len: u64) -> Moved<T, S>;

    /// Answers [`Want::Receive`]: moves up to `len` octets from the transport to the open object, at `at`; 0 only
    /// at the end of the stream. Must not wait for more once there are some.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    fn receive(&mut self, transport: &mut T, store: &mut S, at: u64, len: u64) -> Moved<T, S>;
}

/// How many octets were moved, or why none.
pub type Moved<T, S> = Result<u64, DriveError<<T as embedded_io::ErrorType>::Error, <S as Store>::Error>>;

/// Moves octets through a lent buffer, which must not be empty.
#[derive(Debug)]
pub struct Scratch<'b>(pub &'b mut [u8]);

impl<T: Transport, S: Store> Mover<T, S> for Scratch<'_> {
    fn send(&mut self, transport: &mut T, store: &mut S, at: u64, len: u64) -> Moved<T, S> {
        let room = super::front(self.0, len);
        let loaded = store.load(at, room).map_err(DriveError::Store)?;
        match room.get(..loaded) {
            None | Some([]) => Ok(0),
            Some(octets) => write(transport, octets),
        }
    }

    fn receive(&mut self, transport: &mut T, store: &mut S, at: u64, len: u64) -> Moved<T, S> {
        let room = super::front(self.0, len);
        let count = transport.read(room).map_err(DriveError::Transport)?;
        match room.get(..count) {
            None | Some([]) => Ok(0),
            Some(octets) => store.save(at, octets).map(|()| super::count(octets.len())).map_err(DriveError::Store),
        }
    }
}

/// Runs `machine` to its end. The caller drops the connection afterwards, whatever the result.
///
/// `clock` tells the present time, on the same clock as the `now` the machine was made with.
///
/// # Errors
/// [`DriveError::Transport`] and [`DriveError::Store`] pass on what failed; [`DriveError::Protocol`] says what the
/// peer did; [`DriveError::WriteZero`] is a defect of the transport. In each case the peer must not
/// take what it got for the whole: reset the connection.
pub fn run<M: Machine, T: Transport, S: Store>(
    mut machine: M,
    transport: &mut T,
    store: &mut S,
    mover: &mut impl Mover<T, S>,
    mut clock: impl FnMut() -> Instant,
) -> Result<Outcome, DriveError<T::Error, S::Error>> {
    loop {
        if let Some(outcome) = step(&mut machine, transport, store, mover, &mut clock)? {
            return Ok(outcome);
        }
    }
}

/// Does one thing that `machine` wants; `None` if there is more to do.
///
/// For callers that look in between, for instance whether the user has cancelled.
///
/// # Errors
/// As for [`run`].
pub fn step<M: Machine, T: Transport, S: Store>(
    machine: &mut M,
    transport: &mut T,
    store: &mut S,
    mover: &mut impl Mover<T, S>,
    clock: &mut impl FnMut() -> Instant,
) -> Result<Option<Outcome>, DriveError<T::Error, S::Error>> {
    if let Some(deadline) = machine.deadline() {
        let now = clock();
        if now >= deadline {
            machine.expire(now);
            return Ok(None);
        }
        transport.limit(Some(deadline.limit(now))).map_err(DriveError::Transport)?;
    }
    let moved = match machine.want() {
        Want::Read(room) => read(transport, room),
        Want::Write(octets) => write(transport, octets),
        Want::Open(target) => {
            let answer = store.open(target).map_err(DriveError::Store)?;
            machine.opened(clock(), answer);
            return Ok(None);
        }
        Want::Load { at, into } => store.load(at, into).map(super::count).map_err(DriveError::Store),
        Want::Save { at, octets } => {
            store.save(at, octets).map(|()| super::count(octets.len())).map_err(DriveError::Store)
        }
        Want::Send { at, len } => mover.send(transport, store, at, len),
        Want::Receive { at, len } => flush(transport).and_then(|_| mover.receive(transport, store, at, len)),
        Want::Close => store.close().map(|()| 0).map_err(DriveError::Store),
        Want::Shutdown => {
            flush(transport).and_then(|n| transport.shutdown().map(|()| n).map_err(DriveError::Transport))
        }
        Want::Drain(room) => match read(transport, room) {
            Err(DriveError::Transport(error)) if !is_temporary(&error) => Ok(0),
            result => result,
        },
        Want::Done(result) => return result.map(Some).map_err(DriveError::Protocol),
    };
    match moved {
        Ok(n) => machine.done(clock(), n),
        // Either the deadline has passed, and the machine acts on it, or the next step waits for the rest.
        Err(DriveError::Transport(error)) if is_temporary(&error) => machine.expire(clock()),
        Err(error) => {
            if let DriveError::Transport(_) = error {
                super::salvage(machine, store, clock);
            }
            return Err(error);
        }
    }
    Ok(None)
}

fn is_temporary<E: embedded_io::Error>(error: &E) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn read<T: Transport, S>(transport: &mut T, room: &mut [u8]) -> Result<u64, DriveError<T::Error, S>> {
    flush(transport)?;
    transport.read(room).map(super::count).map_err(DriveError::Transport)
}

/// Nobody answers what still lies in a buffer: octets leave before the peer is waited for.
fn flush<T: Transport, S>(transport: &mut T) -> Result<u64, DriveError<T::Error, S>> {
    transport.flush().map(|()| 0).map_err(DriveError::Transport)
}

fn write<T: Transport, S>(transport: &mut T, octets: &[u8]) -> Result<u64, DriveError<T::Error, S>> {
    // Not `write_all`: it panics when the transport accepts nothing.
    match transport.write(octets) {
        Ok(0) => Err(DriveError::WriteZero),
        Ok(count) => Ok(super::count(count)),
        Err(error) => Err(DriveError::Transport(error)),
    }
}
