//! The loop for executors, over `embedded-io-async`.
//!
//! **Guarantees**: dropping the future between two polls loses no octet that the transport itself does not lose:
//! the machine's state changes only after a wait, never before one. Store calls do not wait.
//! **Memory**: the lent scratch buffer. **Time**: waits in the transport, never longer than to the machine's
//! deadline.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embedded_io_async::{Error as _, ErrorKind, Read, Write};

use super::DriveError;
use crate::stream::{Machine, Outcome, Store, Want};
use crate::time::Instant;

/// A connection that can be shut down.
pub trait Transport: Read + Write {
    /// Shuts down the writing side: the peer reads the end of the stream after the octets written so far.
    ///
    /// # Errors
    /// The transport's own.
    fn shutdown(&mut self) -> impl Future<Output = Result<(), Self::Error>>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn shutdown(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        T::shutdown(self)
    }
}

/// A clock that can wake its task.
pub trait Timer {
    /// The present time, on the same clock as the `now` the machine was made with.
    fn now(&mut self) -> Instant;

    /// Ends at `deadline` or later.
    fn until(&mut self, deadline: Instant) -> impl Future<Output = ()>;
}

/// Runs `machine` to its end. The caller drops the connection afterwards, whatever the result.
///
/// `scratch` is for octets that the machine need not see; it must not be empty.
///
/// # Errors
/// As for [`blocking::run`](super::blocking::run).
pub async fn run<M: Machine, T: Transport, S: Store>(
    mut machine: M,
    transport: &mut T,
    store: &mut S,
    scratch: &mut [u8],
    timer: &mut impl Timer,
) -> Result<Outcome, DriveError<T::Error, S::Error>> {
    loop {
        if let Some(outcome) = step(&mut machine, transport, store, scratch, timer).await? {
            return Ok(outcome);
        }
    }
}

/// Does one thing that `machine` wants; `None` if there is more to do.
///
/// # Errors
/// As for [`run`].
pub async fn step<M: Machine, T: Transport, S: Store>(
    machine: &mut M,
    transport: &mut T,
    store: &mut S,
    scratch: &mut [u8],
    timer: &mut impl Timer,
) -> Result<Option<Outcome>, DriveError<T::Error, S::Error>> {
    let deadline = machine.deadline();
    if deadline.is_some_and(|deadline| deadline <= timer.now()) {
        machine.expire(timer.now());
        return Ok(None);
    }
    let moved = match machine.want() {
        Want::Read(room) => before(timer, deadline, read(transport, room)).await,
        Want::Write(octets) => before(timer, deadline, write(transport, octets)).await,
        Want::Open(target) => {
            let answer = store.open(target).map_err(DriveError::Store)?;
            machine.opened(timer.now(), answer);
            return Ok(None);
        }
        Want::Load { at, into } => Some(store.load(at, into).map(super::count).map_err(DriveError::Store)),
        Want::Save { at, octets } => {
            Some(store.save(at, octets).map(|()| super::count(octets.len())).map_err(DriveError::Store))
        }
        Want::Send { at, len } => {
            let room = super::front(scratch, len);
            let loaded = store.load(at, room).map_err(DriveError::Store)?;
            match room.get(..loaded) {
                None | Some([]) => Some(Ok(0)),
                Some(octets) => before(timer, deadline, write(transport, octets)).await,
            }
        }
        Want::Receive { at, len } => {
            let room = super::front(scratch, len);
            let count = before(timer, deadline, read(transport, room)).await;
            count.map(|count| match super::front(room, count?) {
                [] => Ok(0),
                octets => store.save(at, octets).map(|()| super::count(octets.len())).map_err(DriveError::Store),
            })
        }
        Want::Close => Some(store.close().map(|()| 0).map_err(DriveError::Store)),
        Want::Shutdown => before(timer, deadline, shutdown(transport)).await,
        Want::Drain(room) => match before(timer, deadline, read(transport, room)).await {
            Some(Err(DriveError::Transport(error))) if error.kind() != ErrorKind::Interrupted => Some(Ok(0)),
            result => result,
        },
        Want::Done(result) => return result.map(Some).map_err(DriveError::Protocol),
    };
    match moved {
        Some(Ok(n)) => machine.done(timer.now(), n),
        None => machine.expire(timer.now()),
        Some(Err(DriveError::Transport(error))) if error.kind() == ErrorKind::Interrupted => {}
        Some(Err(error)) => {
            if let DriveError::Transport(_) = error {
                super::salvage(machine, store, || timer.now());
            }
            return Err(error);
        }
    }
    Ok(None)
}

/// The output of `operation`, or `None` if it takes until `deadline`.
async fn before<O: Future>(timer: &mut impl Timer, deadline: Option<Instant>, operation: O) -> Option<O::Output> {
    let mut operation = pin!(operation);
    let Some(deadline) = deadline else { return Some(operation.await) };
    let mut alarm = pin!(timer.until(deadline));
    poll_fn(|context| match operation.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => alarm.as_mut().poll(context).map(|()| None),
    })
    .await
}

async fn read<T: Transport, S>(transport: &mut T, room: &mut [u8]) -> Result<u64, DriveError<T::Error, S>> {
    // Nobody answers what still lies in a buffer: octets leave before the peer is waited for.
    transport.flush().await.map_err(DriveError::Transport)?;
    transport.read(room).await.map(super::count).map_err(DriveError::Transport)
}

async fn write<T: Transport, S>(transport: &mut T, octets: &[u8]) -> Result<u64, DriveError<T::Error, S>> {
    // Not `write_all`: it panics when the transport accepts nothing.
    match transport.write(octets).await {
        Ok(0) => Err(DriveError::WriteZero),
        Ok(count) => Ok(super::count(count)),
        Err(error) => Err(DriveError::Transport(error)),
    }
}

async fn shutdown<T: Transport, S>(transport: &mut T) -> Result<u64, DriveError<T::Error, S>> {
    transport.flush().await.map_err(DriveError::Transport)?;
    transport.shutdown().await.map(|()| 0).map_err(DriveError::Transport)
}
