//! The listener, and what all lines share.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use feige_core::stream::transfer::ServerSession;
use feige_core::wire::transfer::{ErrorCode, Reply, encode};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::SETTINGS;
use super::checks::Checks;
use super::crew::Crew;
use super::desk::Desk;
use super::event::{Event, Report};
use super::line::{Line, Socket};
use super::lobby::{Guests, Lobby};
use super::rooms::Rooms;
use super::sort::Strangers;
use super::watch::Watch;
use crate::accounts::random;
use crate::digest::{DigestCache, Lanes};
use crate::exit::{Exit, Failure};
use crate::home::STALE;
use crate::signals;
use crate::transfer::{Cancel, Clock, Gate};

const LISTENER: Token = Token(0);
const SIGNAL: Token = Token(1);
/// Lines have numbers from here on.
const FIRST_LINE: usize = 256;

/// How often deadlines and the users file are looked at.
const TICK: Duration = Duration::from_millis(500);

/// How often parts that nobody is going to continue are looked for. That goes through all files of the homes.
const SWEEP: Duration = Duration::from_secs(6 * 60 * 60);

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What `feige serve` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that is served.
    pub dir: PathBuf,
    /// Where clients come.
    pub listen: SocketAddr,
    /// The accounts.
    pub users: Option<PathBuf>,
    /// What somebody without an account may do.
    pub guests: Guests,
    /// Connections at a time; half of them from one address.
    pub max_connections: u32,
    /// How it is told what happens.
    pub report: Report,
}

/// What all lines share.
pub(super) struct Service {
    pub(super) report: Report,
    pub(super) clock: Clock,
    pub(super) cancel: Cancel,
    pub(super) lobby: Lobby,
    pub(super) rooms: Rooms,
    pub(super) crew: Crew,
    pub(super) watch: Watch,
    pub(super) checks: Checks,
    /// Digests of whole files that have not changed since.
    pub(super) digests: Option<DigestCache>,
    /// Who takes connections that are not the verified transfer's.
    pub(super) strangers: Option<Arc<dyn Strangers>>,
    gate: Arc<Gate>,
}

/// Serves until it is interrupted.
///
/// # Errors
/// A [`Failure`] if it cannot begin: the folder, the users file or the port cannot be had.
pub fn serve(options: &Options) -> Result<Exit, Failure> {
    let mut server = Server::bind(options, None, Cancel::new())?;
    let mut signals = Signals::new(server.poll.registry()).map_err(unwatched)?;
    options.report.tell(&[Event::Ready { addr: server.addr }]);
    server.run(&mut || signals.pending())
}

/// A listener, and everything behind it.
pub(crate) struct Server {
    poll: Poll,
    listener: TcpListener,
    service: Arc<Service>,
    /// Where clients come.
    pub(crate) addr: SocketAddr,
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn unwatched(error: io::Error) -> Failure {
    Failure::new(format!("the system does not let us watch connections: {error}"))
}

impl Server {
    /// Clients may come, but nobody answers before [`Server::run`]. `strangers` takes the connections that are not the
    /// verified transfer's, instead of the classic dialects; `cancel` ends it all.
    ///
    /// # Errors
    /// As [`serve`].
    pub(crate) fn bind(
        options: &Options,
        strangers: Option<Arc<dyn Strangers>>,
        cancel: Cancel,
    ) -> Result<Self, Failure> {
        let lobby = Lobby::new(&options.dir, options.users.as_deref(), options.guests)?;
        allow_many_files();
        let poll = Poll::new().map_err(unwatched)?;
        let mut listener = listen(options.listen).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "; another program has the port: choose one by --listen ADDR:PORT",
                _ => "",
            };
            Failure::new(format!("cannot listen at {}: {error}{hint}", options.listen))
        })?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(unwatched)?;
        let per_address = (options.max_connections / 2).max(1);
        let service = Arc::new(Service {
            report: options.report.clone(),
            clock: Clock::coarse(),
            cancel,
            lobby,
            rooms: Rooms::default(),
            crew: Crew::default(),
            watch: Watch::new(poll.registry().try_clone().map_err(unwatched)?, FIRST_LINE),
            checks: Checks::default(),
            digests: DigestCache::of_this_user(),
            strangers,
            gate: Arc::new(Gate::new(options.max_connections, per_address)),
        });
        let addr = listener.local_addr().map_err(unwatched)?;
        Ok(Self { poll, listener, service, addr })
    }

    /// Serves until `pending`, which is asked twice a second and after each signal, says how to end, or until it is
    /// cancelled.
    ///
    /// # Errors
    /// A [`Failure`] if the system does not let us wait.
    pub(crate) fn run(&mut self, pending: &mut dyn FnMut() -> Option<Exit>) -> Result<Exit, Failure> {
        let Self { poll, listener, service, .. } = self;
        let mut events = Events::with_capacity(1024);
        let mut looked = service.clock.now();
        let mut swept = None;
        loop {
            match poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(unwatched(error)),
                _ => {}
            }
            let mut lines = Vec::new();
            for event in &events {
                match event.token() {
                    LISTENER => service.accept(listener),
                    SIGNAL => {}
                    token => lines.extend(service.watch.take(token)),
                }
            }
            let cancelled = service.cancel.is_cancelled().then_some(Exit::Interrupted);
            if let Some(exit) = pending().or(cancelled) {
                service.end(lines);
                return Ok(exit);
            }
            if !lines.is_empty() {
                service.crew.call(service, lines);
            }
            let now = service.clock.now();
            if swept.is_none_or(|swept| now.since(swept) >= SWEEP) {
                swept = Some(now);
                service.sweep();
            }
            if now.since(looked) >= TICK {
                looked = now;
                // The system tells of a client once: of one that could not be accepted then, not again.
                service.accept(listener);
                service.crew.call(service, service.watch.overdue(now));
                if let Err(failure) = service.lobby.refresh() {
                    service.report.tell(&[Event::Trouble { error: failure.message }]);
                }
            }
        }
    }
}

impl Service {
    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        usize::try_from(self.gate.connected()).unwrap_or(usize::MAX)
    }

    /// Ends all connections, `called` among them, of which nobody has taken notice yet. Keeps what came over them as if
    /// they had broken.
    fn end(&self, called: impl IntoIterator<Item = Box<Line>>) {
        self.cancel.cancel();
        let queued = self.crew.end();
        let mut lanes = Lanes::new();
        for mut line in called.into_iter().chain(queued).chain(self.watch.end()) {
            line.salvage(self.clock, &mut lanes);
        }
    }

    /// Removes parts that are too old, in a thread that takes its time.
    fn sweep(self: &Arc<Self>) {
        let homes = self.lobby.homes();
        // Without a thread, the next time will do.
        let _ = std::thread::Builder::new().name("sweep".into()).spawn(move || {
            homes.iter().for_each(|home| home.sweep(STALE));
        });
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            match listener.accept() {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer has gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.report.tell(&[Event::Trouble { error: format!("cannot accept a connection: {error}") }]);
                    return;
                }
            }
        }
    }

    fn begin(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let permit = match self.gate.admit(peer.ip()) {
            Ok(permit) => permit,
            Err(refusal) => {
                turn_away(&stream);
                if let Some(refusal) = refusal {
                    self.report.tell(&[Event::Failed { from: peer, error: refusal.to_string() }]);
                }
                return;
            }
        };
        let (Ok(socket), Ok(nonce)) = (Socket::new(stream), random()) else { return };
        let session = ServerSession::new(self.clock.now(), SETTINGS, nonce);
        let desk = Desk::new(Arc::clone(self), peer);
        let line = Line { socket, peer, session, desk, room: None, is_native: false, _permit: permit };
        self.crew.call(self, [Box::new(line)]);
    }
}

/// Listens with room for many who come at the same moment: whom the system has no room for tries again after a second.
fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(at), socket2::Type::STREAM, None)?;
    // Elsewhere this would let several programs have the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Tells a client that there are too many already.
fn turn_away(stream: &TcpStream) {
    let mut octets = [0; 128];
    let reply = Reply::Error { code: ErrorCode::Busy, text: "too many connections; try again later" };
    if let Ok(len) = encode(&reply, &mut octets) {
        // Nobody waits for somebody who is turned away.
        let _ = io::Write::write(&mut &*stream, &octets[..len]);
        // With octets unread the connection would be reset, and the answer be lost on some systems.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = io::Read::read(&mut &*stream, &mut [0; 512]);
    }
}

/// A thousand connections with a file each are more than most systems let a program open without being asked.
fn allow_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // With fewer it works too, only not for as many.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Ctrl-C, and the request to end.
#[cfg(unix)]
struct Signals(signal_hook_mio::v1_0::Signals);

#[cfg(unix)]
impl Signals {
    fn new(registry: &mio::Registry) -> io::Result<Self> {
        let mut signals = signal_hook_mio::v1_0::Signals::new(signals::to_leave(false))?;
        registry.register(&mut signals, SIGNAL, Interest::READABLE)?;
        Ok(Self(signals))
    }

    /// How to end, if it was asked for.
    fn pending(&mut self) -> Option<Exit> {
        let signal = self.0.pending().next()?;
        Some(if signal == signal_hook::consts::SIGINT { Exit::Interrupted } else { Exit::Terminated })
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn new(_: &mio::Registry) -> io::Result<Self> {
        Ok(Self)
    }

    fn pending(&mut self) -> Option<Exit> {
        None
    }
}
