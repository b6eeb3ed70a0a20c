//! One connection: what came and was not looked at yet, deadlines, and the ways to write that the classic programs need.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use feige_core::wire::classic::prefix;
use feige_core::wire::transfer::{LENGTH, Prefix};
use socket2::SockRef;

use super::{ClassicError, Limits};
use crate::transfer::{Cancel, is_pause};

/// No wait is longer than this at a stretch, so that a cancelled exchange ends soon.
const TICK: Duration = Duration::from_millis(250);

/// Octets that are read or written at a time.
pub(super) const BUFFER: usize = 64 * 1024;

/// How long a header stays alone on the wire (R-CL-45): until the peer has taken it, unless its machine is very busy.
const ALONE: Duration = Duration::from_millis(50);

/// What the `recv` of the classic programs asks for (R-CL-46).
const PIECE: usize = 1024;

/// How long is waited for the peer to close after the last octet was sent to it.
const LINGER: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection<'c> {
    stream: TcpStream,
    cancel: &'c Cancel,
    /// Octets that came, of which those before `start` are used up.
    pending: Vec<u8>,
    start: usize,
    /// The time limit of reading that the system has been told.
    limit: Duration,
}

impl<'c> Connection<'c> {
    /// Takes over a connection from which `first` was read already.
    pub(super) fn new(stream: TcpStream, first: Vec<u8>, cancel: &'c Cancel) -> Result<Self, ClassicError> {
        let prepare = || {
            stream.set_nonblocking(false)?;
            // R-CL-46: what is written leaves as it is.
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TICK))?;
            stream.set_write_timeout(Some(TICK))
        };
        prepare().map_err(ClassicError::Connection)?;
        Ok(Self { stream, cancel, pending: first, start: 0, limit: TICK })
    }

    /// What came and is not used up.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending[self.start..]
    }

    /// Uses up the first `count` of [`Self::pending`].
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.pending.len());
    }

    /// Reads more into [`Self::pending`], waiting for it until `deadline`. `None`: nothing came in time. 0: the end.
    pub(super) fn fill(&mut self, deadline: Instant) -> Result<Option<usize>, ClassicError> {
        self.pending.drain(..self.start);
        self.start = 0;
        let len = self.pending.len();
        self.pending.resize(len + BUFFER, 0);
        let result = self.read(len, deadline);
        self.pending.truncate(len + result.as_ref().ok().copied().flatten().unwrap_or(0));
        result
    }

    fn read(&mut self, at: usize, deadline: Instant) -> Result<Option<usize>, ClassicError> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(ClassicError::Cancelled);
            }
            // Zero would mean "no limit" to some systems.
            let limit = deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), TICK);
            if limit != self.limit {
                self.stream.set_read_timeout(Some(limit)).map_err(ClassicError::Connection)?;
                self.limit = limit;
            }
            match self.stream.read(&mut self.pending[at..]) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if is_pause(&error) => {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(ClassicError::Connection(error)),
            }
        }
    }

    /// Reads the next header, without its length: within `patience` its first octet, if none is there yet, and from then
    /// on within `limits.header` the rest. `None`: the peer closed instead.
    pub(super) fn header(
        &mut self,
        patience: Duration,
        what: &'static str,
        limits: &Limits,
    ) -> Result<Option<Vec<u8>>, ClassicError> {
        let (mut deadline, mut after) = (Instant::now() + patience, patience);
        let mut begun = false;
        loop {
            let need = match prefix(self.pending())? {
                Prefix::More => LENGTH,
                Prefix::Header(length) => LENGTH + length,
            };
            let octets = self.pending();
            if octets.len() >= need && need > LENGTH {
                let header = octets[LENGTH..need].to_vec();
                self.consume(need);
                return Ok(Some(header));
            }
            if !begun && !octets.is_empty() {
                begun = true;
                (deadline, after) = (Instant::now() + limits.header, limits.header);
            }
            let got = octets.len();
            match self.fill(deadline)? {
                Some(0) if got == 0 => return Ok(None),
                Some(0) => return Err(ClassicError::Short { got: got as u64, want: need as u64 }),
                Some(_) => {}
                None => return Err(ClassicError::TimedOut { what: if begun { "whole header" } else { what }, after }),
            }
        }
    }

    /// Hands the next `size` octets to `sink`, piece by piece. Within each `stall` at least `least` must come.
    pub(super) fn body(
        &mut self,
        size: u64,
        stall: Duration,
        least: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), ClassicError>,
    ) -> Result<(), ClassicError> {
        let mut got = 0;
        let mut deadline = Instant::now() + stall;
        let mut next = least;
        loop {
            let left = size - got;
            let octets = self.pending();
            let octets = &octets[..octets.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if !octets.is_empty() {
                sink(octets)?;
                let count = octets.len();
                self.consume(count);
                got += count as u64;
            }
            if got == size {
                return Ok(());
            }
            if got >= next {
                next = got + least;
                deadline = Instant::now() + stall;
            }
            match self.fill(deadline)? {
                Some(0) => return Err(ClassicError::Short { got, want: size }),
                Some(_) => {}
                None => return Err(ClassicError::TimedOut { what: "more of the body", after: stall }),
            }
        }
    }

    /// The next `size` octets, which are few.
    pub(super) fn small_body(&mut self, size: u64, stall: Duration, least: u64) -> Result<Vec<u8>, ClassicError> {
        let mut body = Vec::new();
        self.body(size, stall, least, |octets| {
            body.extend_from_slice(octets);
            Ok(())
        })?;
        Ok(body)
    }

    /// Writes all of `octets`; the peer must take some of them every `stall`.
    pub(super) fn write(&mut self, octets: &[u8], stall: Duration) -> Result<(), ClassicError> {
        self.write_by(octets, stall, |mut stream, octets| stream.write(octets))
    }

    /// Writes length and header for a peer that takes whatever it gets with one `recv` for the header (R-CL-45): filled
    /// up with blanks to the 1,024 octets that it asks for, and alone on the wire for a moment.
    pub(super) fn write_alone(&mut self, header: &[u8], stall: Duration) -> Result<(), ClassicError> {
        self.write(&filled_up(header), stall)?;
        std::thread::sleep(ALONE);
        Ok(())
    }

    /// Writes for a peer that counts the pieces of 1,024 octets that it reads, not the octets: every piece leaves as a
    /// segment of its own, so that the peer never finds a part of one (R-CL-46).
    pub(super) fn write_pieces(&mut self, octets: &[u8], stall: Duration) -> Result<(), ClassicError> {
        octets.chunks(PIECE).try_for_each(|piece| self.write_by(piece, stall, send_piece))
    }

    fn write_by(
        &mut self,
        octets: &[u8],
        stall: Duration,
        send: impl Fn(&TcpStream, &[u8]) -> io::Result<usize>,
    ) -> Result<(), ClassicError> {
        let mut left = octets;
        let mut deadline = Instant::now() + stall;
        while !left.is_empty() {
            if self.cancel.is_cancelled() {
                return Err(ClassicError::Cancelled);
            }
            match send(&self.stream, left) {
                Ok(0) => return Err(ClassicError::Connection(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    left = &left[count..];
                    deadline = Instant::now() + stall;
                }
                Err(error) if is_pause(&error) => {
                    if Instant::now() >= deadline {
                        return Err(ClassicError::TimedOut { what: "readiness to take more", after: stall });
                    }
                }
                Err(error) => return Err(ClassicError::Connection(error)),
            }
        }
        Ok(())
    }

    /// Tells the peer that nothing more will come, and waits for it to close: then it has all. False if it does not.
    pub(super) fn end(mut self) -> Result<bool, ClassicError> {
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(ClassicError::Connection(error)),
            _ => {}
        }
        let deadline = Instant::now() + LINGER;
        while Instant::now() < deadline {
            self.consume(usize::MAX);
            match self.fill(deadline)? {
                Some(0) => return Ok(true),
                Some(_) => {}
                None => break,
            }
        }
        Ok(false)
    }

    /// Drops the connection with a reset (R-CL-33), which nobody can take for an orderly end.
    pub(super) fn reset(self) {
        // Without it the peer sees an ordinary end: worse, but nothing can be done.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// A header with blanks behind it, which its length counts.
fn filled_up(header: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    if header.len() < LENGTH + PIECE {
        header.resize(LENGTH + PIECE, b' ');
        header.splice(..LENGTH, (PIECE as u32).to_le_bytes());
    }
    header
}

/// Sends a piece that is neither joined with the next one nor cut, if it fits into a segment.
#[cfg(target_os = "linux")]
fn send_piece(stream: &TcpStream, piece: &[u8]) -> io::Result<usize> {
    use nix::sys::socket::{MsgFlags, send};
    use std::os::fd::AsRawFd as _;
    // A peer that is gone is an error here, not a signal.
    Ok(send(stream.as_raw_fd(), piece, MsgFlags::MSG_EOR | MsgFlags::MSG_NOSIGNAL)?)
}

#[cfg(not(target_os = "linux"))]
fn send_piece(mut stream: &TcpStream, piece: &[u8]) -> io::Result<usize> {
    stream.write(piece)
}
