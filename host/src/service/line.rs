//! A connection, and what is known of it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use feige_core::drive::blocking::Transport;
use feige_core::drive::salvage;
use feige_core::stream::transfer::ServerSession;
use mio::net::TcpStream;

use super::desk::Desk;
use super::rooms::Room;
use crate::digest::Lanes;
use crate::transfer::{Clock, Permit, SocketError};

/// A connection with its session. Whoever has it may work at it.
pub(super) struct Line {
    pub(super) socket: Socket,
    pub(super) peer: SocketAddr,
    pub(super) session: ServerSession,
    pub(super) desk: Desk,
    /// Buffers, while a request is under way.
    pub(super) room: Option<Room>,
    /// It was told apart from the classic dialects.
    pub(super) is_native: bool,
    pub(super) _permit: Permit,
}

impl Line {
    /// Keeps what has come whole of a file (R-VT-35). To be called before it is dropped although its peer would go on.
    pub(super) fn salvage(&mut self, clock: Clock, lanes: &mut Lanes) {
        let Self { session, desk, room, .. } = self;
        // Without buffers nothing is under way.
        if let Some(room) = room {
            salvage(&mut session.with(room.buffers(), lanes), desk, || clock.now());
        }
    }
}

/// A socket that never blocks, and remembers what it could not do.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    /// Octets that were read to find out whose they are: they come first.
    pub(super) first: Vec<u8>,
    pub(super) blocked: Option<Direction>,
    /// Octets moved in this turn.
    pub(super) moved: usize,
}

/// What a socket is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Octets to read.
    In,
    /// Room to write.
    Out,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, first: Vec::new(), blocked: None, moved: 0 })
    }

    /// Notes what could not be done.
    fn note(&mut self, direction: Direction, result: io::Result<usize>) -> Result<usize, SocketError> {
        match &result {
            Ok(count) => self.moved += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = Some(direction),
            Err(_) => {}
        }
        Ok(result?)
    }

    /// Waits a moment for what could not be done; `false` if it still cannot.
    #[cfg(unix)]
    pub(super) fn linger(&self, direction: Direction, time: Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let flags = match direction {
            Direction::In => PollFlags::IN,
            Direction::Out => PollFlags::OUT,
        };
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.stream, flags)], Some(&time)).is_ok_and(|ready| ready > 0)
    }

    #[cfg(not(unix))]
    pub(super) fn linger(&self, _: Direction, _: Duration) -> bool {
        false
    }
}

impl embedded_io::ErrorType for Socket {
    type Error = SocketError;
}

impl embedded_io::Read for Socket {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, SocketError> {
        if !self.first.is_empty() {
            let count = self.first.len().min(room.len());
            room[..count].copy_from_slice(&self.first[..count]);
            self.first.drain(..count);
            return Ok(count);
        }
        let result = self.stream.read(room);
        self.note(Direction::In, result)
    }
}

impl embedded_io::Write for Socket {
    fn write(&mut self, octets: &[u8]) -> Result<usize, SocketError> {
        let result = self.stream.write(octets);
        self.note(Direction::Out, result)
    }

    fn flush(&mut self) -> Result<(), SocketError> {
        Ok(())
    }
}

impl Transport for Socket {
    fn limit(&mut self, _: Option<Duration>) -> Result<(), SocketError> {
        // It never waits: the watch knows the deadline of the session.
        Ok(())
    }

    fn shutdown(&mut self) -> Result<(), SocketError> {
        match self.stream.shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => Ok(other?),
        }
    }
}
