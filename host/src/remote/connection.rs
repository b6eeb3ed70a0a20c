//! A server: connections to it, one at a time, over which errands are done until they are over.
//!
//! **Guarantees**: an errand ends within a quarter of a second when cancelled. A connection that breaks after the server
//! let us in once is made again, in growing distances, until nothing has come of it for the time that the user set: not a
//! verified block, nor a file or an answer. Who never answers, or refuses, is not asked twice, but for a server that is busy.
//!
//! **Memory**: two buffers of half a MiB, which the system gives page by page as they are used. **Protocol**: R-VT-10 to 19
//! and 70 to 73.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use feige_core::drive::blocking::{Scratch, step};
use feige_core::drive::{DriveError, salvage};
use feige_core::stream::transfer::{ClientSession, Credentials, Settings};
use feige_core::stream::{Abort, Outcome, ProtocolError};
use feige_core::wire::transfer::{LENGTH, LONG_RUN, MAX_HEADER_HOST};

use super::errand::{Desk, Errand, Halt, Takes};
use crate::accounts::random;
use crate::digest::Lanes;
use crate::exit::{Exit, Failure};
use crate::transfer::{Cancel, Clock, Helper, Room, Socket, SocketError, connect};

/// A file of so many octets is small: it is one block, and travels with its announcement.
pub(crate) const SMALL: u64 = 1 << SMALL_LOG2;

/// [`SMALL`] as a power of two.
pub(crate) const SMALL_LOG2: u8 = 16;

/// Octets of a block of any other file, as a power of two: 32 of them are hashed side by side.
pub(crate) const BLOCK_LOG2: u8 = 15;

/// Octets of a buffer: a run of 32 blocks, with headers and digests.
const BUFFER: usize = (LONG_RUN << BLOCK_LOG2) + (8 << 10);

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// What we tell servers of ourselves.
const SETTINGS: Settings = Settings {
    max_header: MAX_HEADER_HOST,
    window: 512 << 10,
    max_block: SMALL_LOG2,
    software: concat!("Feige ", env!("CARGO_PKG_VERSION")),
};

// A session refuses buffers that cannot hold the longest header.
const _: () = assert!(BUFFER >= MAX_HEADER_HOST as usize + LENGTH);

/// A server, as somebody who signs in to it.
pub(crate) struct Remote<'c> {
    to: Vec<SocketAddr>,
    credentials: Credentials<'c>,
    retry: Duration,
    clock: Clock,
    cancel: Cancel,
    /// Buffers, since the first connection.
    room: Option<Room>,
    hasher: Lanes,
    helper: Arc<Helper>,
    /// The connection that waits for the next errand.
    line: Option<Line<'c>>,
    /// It has let us in before.
    met: bool,
}

/// A connection.
struct Line<'c> {
    socket: Socket,
    session: ClientSession<'c>,
    takes: Takes,
    let_in: bool,
}

impl Line<'_> {
    /// Whether nothing has come while nothing was asked. What would come is the server's farewell.
    fn is_quiet(&self) -> bool {
        is_quiet(self.socket.stream())
    }
}

/// Whether nothing can be read, and the peer has not closed.
fn is_quiet(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(stream, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

/// Why a connection did not bring an errand to its end.
enum Trouble {
    Cancelled,
    /// We hung up, because there was much to come that is not wanted.
    HungUp,
    /// It is of no use to try again.
    Lasting(Failure),
    /// It may be of use.
    Passing(Failure),
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::TryAgain(failure) => Self::Passing(failure),
            Halt::GiveUp(failure) => Self::Lasting(failure),
            // `Enough` is no trouble, and never comes here.
            Halt::Cancelled | Halt::Enough => Self::Cancelled,
        }
    }
}

impl<'c> Remote<'c> {
    /// Whoever answers first at one of the addresses `to`. Nothing is sent yet.
    pub(crate) fn new(to: Vec<SocketAddr>, credentials: Credentials<'c>, retry: Duration, cancel: Cancel) -> Self {
        Self {
            to,
            credentials,
            retry,
            clock: Clock::coarse(),
            cancel,
            room: None,
            hasher: Lanes::new(),
            helper: Arc::default(),
            line: None,
            met: false,
        }
    }

    /// Does an errand. The connection stays, for the next one.
    ///
    /// # Errors
    /// A [`Failure`] if it cannot be brought to its end. What single files have to complain of is reported by the
    /// errand, and no error.
    pub(crate) fn run(&mut self, errand: &mut dyn Errand) -> Result<(), Failure> {
        let mut patience = Patience::new(self.retry);
        loop {
            let reused = self.line.is_some();
            let mut moved = false;
            let trouble = match self.attempt(errand, &mut moved) {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
            errand.broken();
            if errand.is_over() {
                return Ok(());
            }
            let failure = match trouble {
                Trouble::HungUp => continue,
                Trouble::Cancelled => return Err(interrupted()),
                Trouble::Lasting(failure) => return Err(failure),
                Trouble::Passing(failure) => failure,
            };
            if moved {
                patience.renew();
            } else if reused {
                // It had waited too long. That is no reason to wait again.
                continue;
            }
            let Some(pause) = patience.pause() else { return Err(failure) };
            errand.report().note(|| format!("{failure}; trying again"));
            self.sleep(pause);
        }
    }

    fn attempt(&mut self, errand: &mut dyn Errand, moved: &mut bool) -> Result<(), Trouble> {
        let mut line = match self.line.take().filter(Line::is_quiet) {
            Some(line) => line,
            None => self.connect()?,
        };
        // Without a handle of its own it hears what the server says in the end.
        let ear = line.socket.stream().try_clone().ok();
        let mut desk = Desk {
            errand,
            takes: &mut line.takes,
            let_in: &mut line.let_in,
            refusal: None,
            moved: false,
            hears: &|| ear.as_ref().is_some_and(|ear| !is_quiet(ear)),
        };
        let room = self.room.get_or_insert_with(|| Room::new(BUFFER));
        room.set_helper((!desk.errand.hashes_besides()).then(|| Arc::clone(&self.helper)));
        let mut client = line.session.with(room.buffers(), &mut self.hasher);
        let clock = self.clock;
        let mut now = || clock.now();
        // Sessions move nothing unseen.
        let mut mover = Scratch(&mut []);
        let ending = loop {
            if self.cancel.is_cancelled() {
                salvage(&mut client, &mut desk, now);
                break Err(DriveError::Store(Halt::Cancelled));
            }
            match step(&mut client, &mut line.socket, &mut desk, &mut mover, &mut now) {
                Ok(None) => {}
                Ok(Some(outcome)) => break Ok(Some(outcome)),
                Err(DriveError::Store(Halt::Enough)) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        *moved = desk.moved;
        let refusal = desk.refusal.take();
        self.met |= line.let_in;
        let ending = ending.map_err(|error| self.trouble(error));
        match ending {
            Ok(None) => {
                self.line = Some(line);
                Ok(())
            }
            Ok(Some(Outcome::Complete(_))) => Ok(()),
            Ok(Some(Outcome::Refused)) => {
                line.socket.reset();
                Err(match refusal {
                    Some(refusal) => {
                        let failure = refusal.failure();
                        if failure.exit == Exit::Nobody { Trouble::Passing(failure) } else { Trouble::Lasting(failure) }
                    }
                    None => Trouble::HungUp,
                })
            }
            Ok(Some(Outcome::Aborted(Abort::Shrunk { .. }))) => {
                line.socket.reset();
                Err(Trouble::Passing(Failure::new("a file became shorter while it was sent")))
            }
            Ok(Some(_)) => {
                line.socket.reset();
                Err(Trouble::Lasting(Failure::new("the session came out of step: please report this")))
            }
            Err(trouble) => {
                line.socket.reset();
                Err(trouble)
            }
        }
    }

    fn trouble(&self, error: DriveError<SocketError, Halt>) -> Trouble {
        let to = self.name();
        let broken = |error: &dyn std::fmt::Display| Failure {
            exit: Exit::Incomplete,
            message: format!("the connection to {to} broke: {error}"),
        };
        match error {
            DriveError::Store(halt) => halt.into(),
            DriveError::Transport(error) => Trouble::Passing(broken(&error.0)),
            DriveError::Protocol(ProtocolError::TimedOut) if self.met => {
                Trouble::Passing(Failure { exit: Exit::Incomplete, message: format!("{to} does not answer") })
            }
            DriveError::Protocol(ProtocolError::TimedOut) => {
                Trouble::Lasting(Failure::nobody(format!("{to} does not answer")))
            }
            DriveError::Protocol(ProtocolError::Truncated { .. }) if self.met => {
                Trouble::Passing(broken(&"the server closed it"))
            }
            DriveError::Protocol(ProtocolError::Truncated { .. }) => Trouble::Lasting(Failure::nobody(format!(
                "{to} closed the connection at once; is it a Feige server, and may you use it?"
            ))),
            DriveError::Protocol(error @ ProtocolError::Unproven) => Trouble::Lasting(Failure {
                exit: Exit::Refused,
                message: format!("{to}: {error}; nothing was sent to it"),
            }),
            // Something on the way has garbled it.
            DriveError::Protocol(error) if self.met => Trouble::Passing(broken(&error)),
            DriveError::Protocol(error) => {
                Trouble::Lasting(Failure::new(format!("{to} does not speak the verified transfer protocol: {error}")))
            }
            _ => Trouble::Passing(broken(&"nothing could be written")),
        }
    }

    fn name(&self) -> String {
        self.to.first().map(ToString::to_string).unwrap_or_default()
    }

    fn connect(&mut self) -> Result<Line<'c>, Trouble> {
        let nonce = random::<18>().map_err(Trouble::Lasting)?;
        let mut last = None;
        for &to in &self.to {
            match connect(to, CONNECT_TIME, &self.cancel).and_then(Socket::new) {
                Ok(socket) => {
                    let session = ClientSession::new(self.clock.now(), SETTINGS, self.credentials, &nonce);
                    return Ok(Line { socket, session, takes: Takes::default(), let_in: false });
                }
                Err(_) if self.cancel.is_cancelled() => return Err(Trouble::Cancelled),
                Err(error) => last = Some(Failure::nobody(format!("cannot connect to {to} (TCP): {error}"))),
            }
        }
        let failure = last.unwrap_or_else(|| Failure::nobody("the server has no address"));
        Err(if self.met { Trouble::Passing(failure) } else { Trouble::Lasting(failure) })
    }

    fn sleep(&self, pause: Duration) {
        sleep(pause, &self.cancel);
    }

    /// Does `work` without trying anything again.
    pub(crate) fn at_once<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let retry = std::mem::take(&mut self.retry);
        let result = work(self);
        self.retry = retry;
        result
    }

    /// Which server it is, and who signs in to it: the same for each attempt.
    pub(crate) fn origin(&self) -> String {
        match self.credentials {
            Credentials::Guest => self.name(),
            Credentials::Account { user, .. } => format!("{user}@{}", self.name()),
        }
    }

    /// What ends its errands from outside.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// How long what does not work is tried again.
    pub(crate) const fn retry(&self) -> Duration {
        self.retry
    }
}

/// Sleeps, unless cancelled.
pub(crate) fn sleep(pause: Duration, cancel: &Cancel) {
    const TICK: Duration = Duration::from_millis(50);
    let end = Instant::now() + pause;
    while !cancel.is_cancelled() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(left.min(TICK));
    }
}

/// The user has had enough.
pub(crate) fn interrupted() -> Failure {
    Failure { exit: Exit::Interrupted, message: "interrupted".to_owned() }
}

/// How often, and how long, something that fails is tried again: in growing distances, until a time has passed.
#[derive(Debug)]
pub(crate) struct Patience {
    most: Duration,
    since: Option<Instant>,
    next: Duration,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) const fn new(most: Duration) -> Self {
        Self { most, since: None, next: Self::FIRST }
    }

    /// Something came of it.
    pub(crate) fn renew(&mut self) {
        *self = Self::new(self.most);
    }

    /// How long to wait before the next attempt; `None` if there is to be none.
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = self.most.saturating_sub(since.elapsed());
        if left.is_zero() {
            return None;
        }
        let pause = self.next.min(left);
        self.next = (self.next * 2).min(Self::LONGEST);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_answers_is_not_asked_twice() {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut remote = Remote::new(vec![at], Credentials::Guest, Duration::from_secs(30), Cancel::new());
        let silent = |remote: &Remote<'_>| remote.trouble(DriveError::Protocol(ProtocolError::TimedOut));
        assert!(matches!(silent(&remote), Trouble::Lasting(failure) if failure.exit == Exit::Nobody));
        remote.met = true;
        assert!(matches!(silent(&remote), Trouble::Passing(failure) if failure.exit == Exit::Incomplete));
    }

    #[test]
    fn patience_grows_and_ends() {
        let mut patience = Patience::new(Duration::from_secs(30));
        let pauses: Vec<u128> = (0..7).filter_map(|_| patience.pause()).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000]);
        patience.renew();
        assert_eq!(patience.pause(), Some(Patience::FIRST));
        assert_eq!(Patience::new(Duration::ZERO).pause(), None);
        let mut patience = Patience::new(Duration::from_millis(20));
        assert!(patience.pause().is_some_and(|pause| pause <= Duration::from_millis(20)));
        std::thread::sleep(Duration::from_millis(21));
        assert_eq!(patience.pause(), None);
    }
}
