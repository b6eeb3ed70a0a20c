//! One TCP connection as the core's driver wants it: with time limits, and cancellable.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use feige_core::drive::blocking::Transport;
use feige_core::time::Instant;
use socket2::{Domain, Protocol, SockRef, Type};

/// No wait is longer than this at a stretch, so that a cancelled transfer ends soon.
const TICK: Duration = Duration::from_millis(250);

/// Time limits are rounded up to this: to set one takes two system calls.
const STEP: Duration = Duration::from_millis(50);

/// A time limit that is not shorter stays although more time is left: who waits looks at the clock a little more often.
const SHORT: Duration = Duration::from_millis(100);

/// The clock of this process, as the core wants it: handed to whoever needs the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
    coarse: bool,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: time(false), coarse: false }
    }

    /// A clock that begins now, and may go in steps of some milliseconds: for those who ask it twice for each of ten
    /// thousand files, and wait for seconds.
    #[must_use]
    pub fn coarse() -> Self {
        Self { start: time(true), coarse: true }
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> Instant {
        let elapsed = time(self.coarse).saturating_sub(self.start);
        Instant::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The time since this machine started.
#[cfg(target_os = "linux")]
fn time(coarse: bool) -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(if coarse { ClockId::MonotonicCoarse } else { ClockId::Monotonic });
    // Neither is ever negative.
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time since the first question.
#[cfg(not(target_os = "linux"))]
fn time(_: bool) -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// Ends transfers from outside: the user pressed Ctrl-C, or the program leaves. Clones belong together.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Not cancelled yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels: the transfers end within a quarter of a second. Safe in a signal handler.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// What a signal handler sets to cancel.
    #[must_use]
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Takes a cancellation back, for what comes next.
    pub(crate) fn renew(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// An error of a connection, in the words of `embedded-io`.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SocketError(#[from] pub io::Error);

impl embedded_io::Error for SocketError {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind as Kind;
        match self.0.kind() {
            // A socket with a time limit reports either, depending on the system.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Kind::TimedOut,
            io::ErrorKind::Interrupted => Kind::Interrupted,
            io::ErrorKind::ConnectionReset => Kind::ConnectionReset,
            io::ErrorKind::ConnectionAborted => Kind::ConnectionAborted,
            io::ErrorKind::BrokenPipe => Kind::BrokenPipe,
            io::ErrorKind::NotConnected => Kind::NotConnected,
            _ => Kind::Other,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// The time limit that the system has been told.
    limit: Duration,
    /// Nothing more will be written.
    ending: bool,
}

impl Socket {
    /// Takes a connection over.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        // What is written is whole already: nothing is gained by waiting for more.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        Ok(Self { stream, limit: TICK, ending: false })
    }

    /// Connects from the address `local` to `to` within `time`, unless cancelled.
    pub(super) fn connect(local: Ipv4Addr, to: SocketAddrV4, time: Duration, cancel: &Cancel) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        if !local.is_unspecified() {
            socket.bind(&SocketAddr::from((local, 0)).into())?;
        }
        let stream = wait_connected(socket, to.into(), time, cancel)?;
        Self::new(stream)
    }

    /// The connection itself, for ways of moving octets that `embedded-io` has no word for.
    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Drops the connection so that the peer notices that something went wrong (a reset), instead of taking
    /// what it got for the whole.
    pub(crate) fn reset(self) {
        // Without it the peer sees an ordinary end: worse, but nothing can be done.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Connects to `to` within `time`, unless cancelled. The connection may be a non-blocking one.
pub(crate) fn connect(to: SocketAddr, time: Duration, cancel: &Cancel) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    wait_connected(socket, to, time, cancel)
}

/// Waits in ticks, because nothing else could end a wait of 30 s when the user has had enough.
fn wait_connected(socket: socket2::Socket, to: SocketAddr, time: Duration, cancel: &Cancel) -> io::Result<TcpStream> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;

    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Ok(()) => return Ok(socket.into()),
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    let start = std::time::Instant::now();
    while start.elapsed() < time && !cancel.is_cancelled() {
        let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
        match poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&tick)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return socket.take_error()?.map_or_else(|| Ok(socket.into()), Err),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

impl embedded_io::ErrorType for Socket {
    type Error = SocketError;
}

impl embedded_io::Read for Socket {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, SocketError> {
        Ok(self.stream.read(room)?)
    }
}

impl embedded_io::Write for Socket {
    fn write(&mut self, octets: &[u8]) -> Result<usize, SocketError> {
        Ok(self.stream.write(octets)?)
    }

    fn flush(&mut self) -> Result<(), SocketError> {
        Ok(())
    }
}

impl Transport for Socket {
    fn limit(&mut self, limit: Option<Duration>) -> Result<(), SocketError> {
        let steps = |limit: Duration| u32::try_from(limit.as_millis().div_ceil(STEP.as_millis())).unwrap_or(u32::MAX);
        // Zero would mean "no limit" to some systems.
        let limit = limit.map_or(TICK, |limit| STEP.saturating_mul(steps(limit)).clamp(STEP, TICK));
        if limit < self.limit || limit > self.limit && self.limit < SHORT {
            self.stream.set_read_timeout(Some(limit))?;
            self.stream.set_write_timeout(Some(limit))?;
            self.limit = limit;
        }
        Ok(())
    }

    /// Waits before that until the peer's system has all that was written, but for a packet or two: what only lies here is
    /// lost when this program ends, and nobody may be told that it was sent.
    fn shutdown(&mut self) -> Result<(), SocketError> {
        if !self.ending {
            // There is no portable way to ask what is not acknowledged. But a socket can be written to only while that
            // takes less than its buffer, so with the smallest buffer it can be when there is hardly anything.
            SockRef::from(&self.stream).set_send_buffer_size(1)?;
            self.ending = true;
        }
        self.wait_writable()?;
        match self.stream.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(reset()),
            other => Ok(other?),
        }
    }
}

impl Socket {
    /// Waits, for one time limit.
    fn wait_writable(&self) -> Result<(), SocketError> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(self.limit.subsec_nanos()) };
        let mut fds = [PollFd::new(&self.stream, PollFlags::OUT)];
        match poll(&mut fds, Some(&limit)).map_err(io::Error::from)? {
            0 => Err(SocketError(io::ErrorKind::TimedOut.into())),
            _ if fds[0].revents().contains(PollFlags::ERR) => {
                Err(self.stream.take_error()?.map_or_else(reset, SocketError))
            }
            _ => Ok(()),
        }
    }
}

/// The peer has dropped the connection.
fn reset() -> SocketError {
    SocketError(io::ErrorKind::ConnectionReset.into())
}

/// Whether nothing went wrong: the time of one tick is over, or a signal came.
pub(crate) fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
