//! The running program: one thread that owns the node and its sockets, and sleeps until something happens.
//!
//! ```text
//!   sockets --> Inbox --> Node::handle_datagram --> Outbox --> sockets     acknowledge first …
//!                                  |
//!                                  +--> Event --> names, texts decoded --> screen, jobs   … then show
//!   threads (downloads, served connections, the prompt) --> Notice --> the same loop
//! ```
//!
//! **Time**: the loop sleeps until the next deadline of the node or of a job; without any it sleeps for good.
//! **Memory**: tables of fixed size, buffers that are touched when needed, a thread for each transfer while it runs.

mod datagrams;
pub mod directory;
mod incoming;
pub mod job;
mod jobs;
pub mod numbers;
pub mod offers;
mod prompt;
mod transfers;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use feige_core::node::{Alarm, Identity, Names, Node};
use feige_core::time::Instant;
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::charset::{Charset, Policy};
use crate::cli::{Accept, NetworkOptions};
use crate::exit::{Exit, Failure};
use crate::net::udp::{Inbox, Outbox};
use crate::net::{interfaces, udp};
use crate::signals;
use crate::store;
use crate::transfer::{self, Cancel, Clock, Gate, Serving, Shares};
use crate::ui::Screen;
use crate::ui::event::Event;
use directory::Directory;
use job::Job;
use numbers::Numbers;
use offers::Offers;

/// 1,024 members, 256 messages under way in 128 KiB, and 4,096 datagrams remembered as seen.
type HostNode = Node<1024, 256, { 128 * 1024 }, 4096>;

/// What a desktop of this size costs; in one place, so that a change shows.
const _: () = assert!(size_of::<HostNode>() < 1 << 20);

/// Numbers reserved at a time: by a run that sends one message, and by one that stays. Half of them are more than the
/// node's 256 messages, which a run may send to as many members before anything is transmitted.
const FEW_NUMBERS: u32 = 1024;
const MANY_NUMBERS: u32 = 4096;

/// How long leaving may take: two copies of BR_EXIT (R-IP-30), and the end of the transfers.
const LEAVING: Duration = Duration::from_millis(400);
/// How long downloads may take to put down what came; they look up every quarter of a second.
const PUTTING_DOWN: Duration = Duration::from_secs(2);

/// Lines are shown at most this often.
const SHOW: Duration = Duration::from_millis(5);

const UDP: Token = Token(0);
const TCP: Token = Token(1);
const WAKE: Token = Token(2);
const SIGNAL: Token = Token(3);
const CONTROL: Token = Token(4);
const BROADCAST: Token = Token(16);
const CLIENT: Token = Token(1 << 16);

/// What an instance does besides what it is asked for.
#[derive(Clone, Debug)]
pub enum Mode {
    /// It ends when its one job is done.
    OneShot,
    /// It stays, shows what happens, and downloads.
    Listen {
        /// Which offers are downloaded.
        accept: Accept,
        /// Where to.
        dir: PathBuf,
        /// Ends after the first message or download.
        once: bool,
        /// Whether somebody sits in front of it.
        prompt: bool,
    },
}

/// What other threads tell the loop.
#[derive(Debug)]
pub enum Notice {
    /// So far a download is.
    Fetching(u32, transfer::Progress),
    /// A download ended.
    Fetched(u32, Result<transfer::Downloaded, transfer::Failed>),
    /// Something happened to what we serve.
    Serving(transfer::Event),
    /// The person at the full screen wants something.
    Person(crate::ui::tui::Action),
    /// A line at the prompt; nothing at its end.
    Line(Option<Vec<u8>>),
}

/// Where other threads tell it.
#[derive(Clone)]
pub struct Notices {
    sender: Sender<Notice>,
    waker: Arc<Waker>,
}

impl Notices {
    fn tell(&self, notice: Notice) {
        // The loop ended: nobody is interested any more.
        if self.sender.send(notice).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// The running program.
pub struct Engine {
    node: Box<HostNode>,
    numbers: Numbers,
    /// How many numbers are reserved at a time.
    reserve: u32,
    clock: Clock,
    poll: Poll,
    socket: UdpSocket,
    broadcasts: Vec<UdpSocket>,
    listener: TcpListener,
    local: SocketAddrV4,
    /// The port on which everybody else is expected.
    port: u16,
    asked_broadcast: Vec<Ipv4Addr>,
    inbox: Option<Box<Inbox>>,
    outbox: Outbox,
    /// To whom the system did not send something, of late, and why.
    unsent: Option<(SocketAddrV4, String)>,
    alarms: Vec<Alarm>,
    directory: Directory,
    offers: Offers,
    folder: Option<Arc<store::Inbox>>,
    shares: Arc<Shares>,
    serving: Arc<Serving>,
    cancel: Cancel,
    notices: Notices,
    notice: Receiver<Notice>,
    jobs: Vec<Job>,
    sealed: incoming::Sealed,
    hesitating: Vec<incoming::Hesitation>,
    away: bool,
    mode: Mode,
    screen: Screen,
    until: Option<Instant>,
    exit: Option<Result<Exit, Failure>>,
    announced: Option<Instant>,
    signals: signal_hook_mio::v1_0::Signals,
    control: Option<crate::control::Server>,
    clients: std::collections::HashMap<usize, crate::control::Client>,
    next_client: usize,
}

impl Engine {
    /// Opens the sockets and shows [`Event::Ready`] if it is to listen.
    ///
    /// # Errors
    /// A [`Failure`] that says what to do: the port is taken, the folder is not there …
    pub fn start(options: &NetworkOptions, mode: Mode, mut screen: Screen) -> Result<Self, Failure> {
        let clock = Clock::start();
        let policy = Policy::new(options.charset.forced());
        let poll = Poll::new().map_err(|error| system("poll", &error))?;
        let registry = poll.registry();
        let waker = Arc::new(Waker::new(registry, WAKE).map_err(|error| system("wake", &error))?);
        let (sender, notice) = mpsc::channel();
        let notices = Notices { sender, waker };
        let listens = matches!(mode, Mode::Listen { .. });

        let (mut socket, mut listener, local) = open(options, listens)?;
        registry.register(&mut socket, UDP, Interest::READABLE).map_err(|error| system("watch UDP", &error))?;
        registry.register(&mut listener, TCP, Interest::READABLE).map_err(|error| system("watch TCP", &error))?;
        let mut broadcasts = Vec::new();
        for address in broadcast_sockets(options, local) {
            match udp::bind_broadcast(SocketAddrV4::new(address, options.port)) {
                Ok(mut socket) => {
                    let token = Token(BROADCAST.0 + broadcasts.len());
                    if registry.register(&mut socket, token, Interest::READABLE).is_ok() {
                        broadcasts.push(socket);
                    }
                }
                Err(error) => screen.detail(|| format!("cannot hear broadcasts to {address}: {error}")),
            }
        }

        let (utf8, legacy) = names(options, policy.legacy());
        let asked = if listens { MANY_NUMBERS } else { FEW_NUMBERS };
        let (numbers, error) = Numbers::reserve(crate::config::state_dir().as_deref(), asked);
        if let Some(error) = error {
            screen.detail(|| format!("cannot remember packet numbers, they start at the time: {error}"));
        }
        let octets = |name: &feige_core::node::Name| name.as_bytes().to_vec();
        let request_names = offers::Names {
            version: VERSION,
            utf8: (octets(&utf8.user), octets(&utf8.host)),
            legacy: (octets(&legacy.user), octets(&legacy.host)),
        };
        let identity = Identity { version: VERSION, software: SOFTWARE, utf8, legacy };
        let node = Box::new(HostNode::new(identity, numbers.first(), seed()));
        let folder = match &mode {
            Mode::Listen { dir, accept: Accept::All | Accept::Ask, .. } => {
                Some(Arc::new(store::Inbox::open(dir).map_err(|error| Failure::usage(error.to_string()))?))
            }
            _ => None,
        };
        let (shares, cancel) = (Arc::new(Shares::new()), Cancel::new());
        let tell = notices.clone();
        let serving = Serving::new(Arc::clone(&shares), Gate::default(), clock, cancel.clone(), move |event| {
            tell.tell(Notice::Serving(event));
        });
        let signals = {
            let mut signals = signal_hook_mio::v1_0::Signals::new(signals::to_leave(screen.is_full()))
                .map_err(|error| system("watch for signals", &error))?;
            registry.register(&mut signals, SIGNAL, Interest::READABLE).map_err(|error| system("watch", &error))?;
            signals
        };
        let control = if listens {
            match crate::control::Server::open(options.bind, local.port(), registry, CONTROL) {
                Ok(control) => Some(control),
                Err(error) => {
                    screen
                        .note(&format!("feige: the commands in other terminals cannot work through this one: {error}"));
                    None
                }
            }
        } else {
            None
        };
        let mut engine = Self {
            node,
            numbers,
            reserve: asked,
            clock,
            poll,
            socket,
            broadcasts,
            listener,
            local,
            port: options.port,
            asked_broadcast: options.broadcast.clone(),
            inbox: Some(Box::default()),
            outbox: Outbox::new(),
            unsent: None,
            alarms: Vec::new(),
            directory: Directory::new(policy),
            offers: Offers::new(request_names, policy, options.bind),
            folder,
            shares,
            serving,
            cancel,
            notices,
            notice,
            jobs: Vec::new(),
            sealed: incoming::Sealed::default(),
            hesitating: Vec::new(),
            away: false,
            mode,
            screen,
            until: None,
            exit: None,
            announced: None,
            signals,
            control,
            clients: std::collections::HashMap::new(),
            next_client: 0,
        };
        if listens {
            let ready = Event::Ready { addr: *local.ip(), port: local.port() };
            engine.screen.event(&ready);
            engine.announce();
            if matches!(engine.mode, Mode::Listen { prompt: true, .. }) {
                let notices = engine.notices.clone();
                if engine.screen.is_full() {
                    let tell = move |action| notices.tell(Notice::Person(action));
                    engine.screen.open(tell).map_err(|error| system("use the terminal", &error))?;
                } else {
                    prompt::start(notices);
                }
            }
        }
        Ok(engine)
    }

    /// Tells everybody that we are here, and asks who is.
    pub fn announce(&mut self) {
        let now = self.clock.now();
        self.node.announce(now);
        self.announced = Some(now);
    }

    /// Ends by itself after this time.
    pub fn end_after(&mut self, time: Option<Duration>) {
        self.until = time.map(|time| self.clock.now() + time);
    }

    /// Runs until the job of the command line is done, the time is over, or somebody ends the program; then leaves.
    ///
    /// # Errors
    /// A [`Failure`] of the job.
    pub fn run(mut self) -> Result<Exit, Failure> {
        let mut events = Events::with_capacity(64);
        let mut more = true;
        let mut shown = Instant::START;
        loop {
            let now = self.clock.now();
            self.tick(now);
            // At once, unless lines come so fast that nobody could read them: then many with one write.
            let crowded = self.screen.is_waiting() && now.since(shown) < SHOW;
            if self.screen.is_waiting() && !crowded {
                self.screen.flush();
                shown = now;
            }
            if let Some(exit) = self.screen.broken() {
                self.exit.get_or_insert(exit);
            }
            if let Some(exit) = self.exit.take() {
                self.leave(&mut events);
                // Results that could not be written are none.
                return match (exit, self.screen.broken()) {
                    (Ok(Exit::Done), Some(broken)) => broken,
                    (exit, _) => exit,
                };
            }
            let next = self.deadline().map(|at| at.since(now));
            let timeout = match next {
                _ if more => Some(Duration::ZERO),
                next if crowded => Some(next.unwrap_or(SHOW).min(SHOW)),
                next => next,
            };
            self.wait(&mut events, timeout)?;
            more = self.react(&events, more);
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> Result<(), Failure> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(system("wait", &error)),
            _ => Ok(()),
        }
    }

    /// Answers what happened; returns whether datagrams were left for the next turn.
    fn react(&mut self, events: &Events, more: bool) -> bool {
        let mut datagrams = more;
        for event in events {
            match event.token() {
                TCP => self.accept(),
                WAKE => self.listen_to_threads(),
                SIGNAL => self.signalled(),
                CONTROL => self.accept_clients(),
                token if token >= CLIENT => self.client(token.0 - CLIENT.0),
                // A socket for datagrams: UDP, or a broadcast address.
                _ => datagrams = true,
            }
        }
        datagrams && self.receive()
    }

    /// Everything that is due by now.
    fn tick(&mut self, now: Instant) {
        // What others did not answer decides jobs, and jobs give the node something to send.
        self.transmit(now);
        self.alarmed(now);
        self.stop_hesitating(|hesitation| hesitation.until <= now);
        self.work(now);
        self.transmit(now);
        self.flush();
        if self.until.is_some_and(|until| until <= now) && self.exit.is_none() {
            let waited_in_vain = matches!(self.mode, Mode::Listen { once: true, .. });
            self.exit = Some(Ok(if waited_in_vain { Exit::Nobody } else { Exit::Done }));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let now = self.clock.now();
        let jobs = self.jobs.iter().filter_map(|job| job.deadline(now)).min();
        let downloads = self.hesitating.iter().map(|hesitation| hesitation.until).min();
        [self.node.next_deadline(), jobs, downloads, self.until].into_iter().flatten().min()
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, from)) => {
                    if let SocketAddr::V4(from) = from {
                        self.node.proven(*from.ip());
                    }
                    let stream = std::net::TcpStream::from(stream);
                    if stream.set_nonblocking(false).is_ok() {
                        self.serving.accept(stream, from);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.screen.detail(|| format!("accepting: {error}"));
                    return;
                }
            }
        }
    }

    fn signalled(&mut self) {
        for signal in self.signals.pending() {
            let exit = if signal == signal_hook::consts::SIGINT { Exit::Interrupted } else { Exit::Terminated };
            self.exit = Some(Ok(exit));
        }
    }

    /// Shows an event, and tells the instances that asked for something.
    fn publish(&mut self, event: &Event) {
        if matches!(self.mode, Mode::Listen { .. }) {
            self.screen.event(event);
        }
    }

    /// Says good-bye, and waits until it is said and the transfers have put down what they hold.
    fn leave(&mut self, events: &mut Events) {
        self.cancel.cancel();
        self.offers.cancel();
        let start = self.clock.now();
        self.node.leave(start);
        loop {
            let now = self.clock.now();
            self.transmit(now);
            self.flush();
            self.alarms.clear();
            self.flush_clients();
            self.screen.flush();
            self.numbers.give_back(self.node.next_packet_no());
            let next = self.node.next_deadline().map(|at| at.since(now));
            let busy = self.offers.is_running();
            let left = if busy { PUTTING_DOWN } else { LEAVING }.saturating_sub(now.since(start));
            // Answers that are due later have lost their meaning.
            if left.is_zero() || (self.node.has_left() && !busy) {
                return;
            }
            let timeout = next.unwrap_or(left).min(left);
            if self.poll.poll(events, Some(timeout)).is_err() {
                return;
            }
            self.listen_to_threads();
        }
    }
}

/// Our version: understood by all.
const VERSION: &str = "1";

/// The answer to GETINFO.
const SOFTWARE: &str = concat!("Feige ", env!("CARGO_PKG_VERSION"));

fn system(what: &str, error: &io::Error) -> Failure {
    Failure::new(format!("the system does not let us {what}: {error}"))
}

/// The sockets of both kinds on one port: the port that is asked for, or any free one if that is 0 or `strict` is not.
fn open(options: &NetworkOptions, strict: bool) -> Result<(UdpSocket, TcpListener, SocketAddrV4), Failure> {
    let wanted = SocketAddrV4::new(options.bind, options.port);
    let error = match both(wanted) {
        Ok(sockets) => return Ok(sockets),
        Err(error) => error,
    };
    if error.kind() != io::ErrorKind::AddrInUse {
        return Err(Failure::new(format!("cannot use {wanted}: {error}")));
    }
    if strict && options.port != 0 {
        let message = format!(
            "port {} is taken by another program, perhaps another `feige listen` or an IP Messenger; \
             end that one, or choose a port with --port or an address with --bind",
            options.port
        );
        return Err(Failure::new(message));
    }
    // Another Feige has the port, or it is left to us. Which free UDP port is also free for TCP shows only when tried.
    let mut last = error;
    for _ in 0..16 {
        match both(SocketAddrV4::new(options.bind, 0)) {
            Ok(sockets) => return Ok(sockets),
            Err(error) => last = error,
        }
    }
    Err(Failure::new(format!("cannot find a free port on {}: {last}", options.bind)))
}

fn both(address: SocketAddrV4) -> io::Result<(UdpSocket, TcpListener, SocketAddrV4)> {
    let socket = udp::bind(address)?;
    let SocketAddr::V4(local) = socket.local_addr()? else { return Err(io::ErrorKind::Unsupported.into()) };
    let listener = TcpListener::bind(local.into())?;
    Ok((socket, listener, local))
}

/// The broadcast addresses that our socket does not hear because it is bound to one address.
fn broadcast_sockets(options: &NetworkOptions, local: SocketAddrV4) -> Vec<Ipv4Addr> {
    if local.ip().is_unspecified() {
        return Vec::new();
    }
    let mut addresses = if options.broadcast.is_empty() {
        interfaces::broadcast_of(*local.ip()).into_iter().collect()
    } else {
        options.broadcast.clone()
    };
    // Addresses of this machine can be told too, but they are not to be taken from whoever has them.
    addresses.retain(|&address| !address.is_unspecified() && !interfaces::is_local(address));
    addresses
}

fn user(options: &NetworkOptions) -> String {
    let account = || {
        ["USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_else(|| "feige".to_owned())
    };
    options.user.clone().unwrap_or_else(account)
}

/// The name that others see of us.
#[must_use]
pub fn nick(options: &NetworkOptions) -> String {
    options.nick.clone().unwrap_or_else(|| user(options))
}

/// Our names, in UTF-8 and in the character set of those that do not read it.
fn names(options: &NetworkOptions, legacy: Charset) -> (Names, Names) {
    let machine = || gethostname::gethostname().to_string_lossy().into_owned();
    let user = user(options);
    let host = options.hostname.clone().unwrap_or_else(machine);
    let nick = nick(options);
    let encode = |charset: Charset| {
        Names::new(
            &charset.encode(&user),
            &charset.encode(&host),
            &charset.encode(&nick),
            &charset.encode(&options.group),
        )
    };
    (encode(Charset::Utf8), encode(legacy))
}

/// Something that nobody outside knows: the hasher of the standard library is seeded by the system.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        network: NetworkOptions,
    }

    /// The system gives a port of UDP, which another program may have for TCP.
    #[test]
    fn a_port_that_is_left_to_us_is_free_for_both() {
        let Line { network } = Line::parse_from(["feige", "--bind", "127.0.0.1", "--port", "0"]);
        let taken: Vec<_> = (0..400).map_while(|_| std::net::TcpListener::bind((network.bind, 0)).ok()).collect();
        for _ in 0..400 {
            let (_, _, local) = open(&network, true).unwrap_or_else(|failure| panic!("{}", failure.message));
            assert_ne!(local.port(), 0);
        }
        let Line { network } = Line::parse_from(["feige", "--bind", "127.0.0.1", "--port", &port(&taken[0])]);
        let Err(failure) = open(&network, true) else { panic!("it was taken") };
        assert!(failure.message.contains("is taken by another program"), "{}", failure.message);
    }

    fn port(listener: &std::net::TcpListener) -> String {
        listener.local_addr().unwrap().port().to_string()
    }
}
