//! The one thread that owns the flood, its links and its clock.
//!
//! ```text
//!   links, dialled or accepted -- Notice --+                     +--> outboxes of links: messages
//!   classic programs (the door) -- Notice -+--> hub: Flood ------+--> outboxes of classic neighbours: texts
//!   searches (prompt, find, fetch) - Notice+        ^            +--> tellers: `found` to those who asked
//!                                                   |            +--> searches: hits
//!                              lookups in the share-+
//! ```
//! The share is asked in another thread, because it may have to hash a file first.
//!
//! **Guarantees**: nothing here waits for a peer or the disk; every queue has an end, and what does not fit is dropped and
//! told. **Memory**: the flood's 60 KiB, and the queues. **Protocol**: R-FL-10 to 59 by the core, R-FL-70 to 79 here.

mod classics;
mod gateway;
mod handle;
mod links;
mod lookup;
mod messages;

pub(super) use handle::{Handle, Heard, Status};

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use feige_core::flood::{Ends, Farewell, Flood, GREETING, LinkId, Output, Plan, Rejected, Settings};
use feige_core::wire::flood::classic::{Program, Tag};
use feige_core::wire::flood::{MAX_MESSAGE, NameFilter, QueryId, Token, What};

use super::event::Event;
use super::link::{Dialling, Here, Wire};
use super::settings;
use super::share::{self, Share};
use crate::accounts::random;
use crate::exit::Failure;
use crate::service::Report;
use crate::transfer::{Cancel, Clock};
use gateway::{Asker, Gateway};
use lookup::Lookup;

/// Neighbours and those who dialled us, together.
const LINKS: usize = 32;

/// Notices that wait for the hub.
const NOTICES: usize = 1024;

/// How long a neighbour that is a classic program may be deaf.
const DEAF: Duration = Duration::from_secs(2);

/// How long an asker may be deaf (R-FL-78).
const DEAF_ASKER: Duration = Duration::from_secs(5);

/// Threads that tell askers what was found.
const TELLERS: usize = 16;

/// The hub looks after its clock at least so often.
const TICK: Duration = Duration::from_millis(500);

/// How long the same reason for dropping messages of the same link is counted and not told again: a neighbour that
/// means no good does not fill the log.
const SAME_AGAIN: Duration = Duration::from_secs(10);

/// What the hub is told.
#[derive(Debug)]
pub(super) enum Notice {
    /// A link is there.
    Connected(Wire),
    /// A whole message came.
    Message { conn: u64, octets: Vec<u8> },
    /// A link is gone.
    Gone { conn: u64, why: Option<String> },
    /// A neighbour turned out to be a classic program.
    IsClassic { at: SocketAddrV4, program: Program },
    /// A neighbour cannot be reached.
    Unreachable { at: SocketAddrV4, why: String },
    /// A classic program asks.
    Get { name: String, asker: SocketAddrV4, reach: u8, tag: Option<Tag>, program: Program, from: IpAddr },
    /// A classic program answers.
    Found { name: String, holder: SocketAddrV4 },
    /// What the share has of what a query looks for.
    Answers { id: QueryId, found: Vec<share::Found> },
    /// The names in the share have changed.
    Names(NameFilter),
    /// What the share has and cannot offer.
    Unshared(share::Unshared),
    /// The application looks for something.
    Search { id: QueryId, what: OwnWhat, plan: Plan, most: u8, tell: Sender<Heard> },
    /// It has found it.
    Stop(QueryId),
    /// How are things?
    Status(Sender<Status>),
    /// Tell when there is somebody to ask.
    WhenUp(Sender<()>),
    /// The settings were changed.
    Settings(Box<settings::Settings>),
    /// Something is wrong on this side.
    Trouble(String),
    /// Something that came was dropped.
    Refused { from: String, error: String },
    /// It is over.
    End,
}

/// What is looked for, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnWhat {
    Name(String),
    Part(String),
    Md5(feige_core::digest::Digest),
}

impl OwnWhat {
    pub(super) fn of(what: What<'_>) -> Self {
        match what {
            What::Name(name) => Self::Name(name.to_owned()),
            What::Part(part) => Self::Part(part.to_owned()),
            What::Md5(digest) => Self::Md5(digest),
        }
    }

    pub(super) fn as_what(&self) -> What<'_> {
        match self {
            Self::Name(name) => What::Name(name),
            Self::Part(part) => What::Part(part),
            Self::Md5(digest) => What::Md5(*digest),
        }
    }
}

/// What is at the far end of a link.
#[derive(Debug)]
enum Far {
    Native { conn: u64, peer: SocketAddr },
    Classic { at: SocketAddrV4, program: Program },
}

#[derive(Debug)]
struct Line {
    far: Far,
    /// Who is there, if it is native and has said so.
    token: Option<Token>,
    /// It was told that there is a link. The flood forgets a link before it says that it is to be closed.
    was_up: bool,
    /// Why a message of it was dropped the last time that this was told, and when.
    dropped: Option<(Rejected, Instant)>,
    outbox: SyncSender<Vec<u8>>,
}

impl Line {
    fn name(&self) -> String {
        match &self.far {
            Far::Native { peer, .. } => peer.to_string(),
            Far::Classic { at, program } => format!("{at} ({program:?})"),
        }
    }
}

/// A neighbour that is dialled.
struct Dialled {
    dialling: Dialling,
    /// Who was there the last time that anybody was.
    token: Option<Token>,
}

/// A search of the application.
struct Seeking {
    tell: Sender<Heard>,
    sent: u64,
}

/// See the module.
pub(super) struct Hub {
    flood: Box<Flood<1024, LINKS, 64>>,
    clock: Clock,
    here: Here,
    notices: Receiver<Notice>,
    settings: settings::Settings,
    /// The port at which others find us.
    port: u16,
    lines: HashMap<LinkId, Line>,
    /// Where hits go that answer classic programs which are no neighbours.
    askers: Option<LinkId>,
    /// Neighbours that are dialled.
    dialled: HashMap<SocketAddrV4, Dialled>,
    searches: HashMap<QueryId, Seeking>,
    waiting: Vec<Sender<()>>,
    gateway: Gateway,
    lookup: Option<Lookup>,
    tellers: Arc<AtomicUsize>,
    report: Report,
}

impl Hub {
    /// Starts the hub of a peer that others find at `port`. It ends when `cancel` says so.
    ///
    /// # Errors
    /// A [`Failure`] if the system has no thread, or no random numbers.
    pub(super) fn start(
        settings: &settings::Settings,
        port: u16,
        share: Option<Arc<Share>>,
        report: Report,
        cancel: &Cancel,
    ) -> Result<Handle, Failure> {
        let (hub, notices) = sync_channel(NOTICES);
        let token = Token::new(u64::from_le_bytes(random()?));
        let here = Here { hub: hub.clone(), token, cancel: cancel.clone() };
        let software = concat!("Feige ", env!("CARGO_PKG_VERSION"));
        let flood = Settings { token, port, software, ..Settings::default() };
        let failed = |error| Failure::new(format!("cannot start a thread: {error}"));
        let lookup =
            share.map(|share| Lookup::start(share, hub.clone(), cancel.clone())).transpose().map_err(failed)?;
        let mut hub_ = Self {
            flood: Box::new(Flood::new(flood, u64::from_le_bytes(random()?))),
            clock: Clock::start(),
            here: here.clone(),
            notices,
            settings: settings.clone(),
            port,
            lines: HashMap::new(),
            askers: None,
            dialled: HashMap::new(),
            searches: HashMap::new(),
            waiting: Vec::new(),
            gateway: Gateway::default(),
            lookup,
            tellers: Arc::default(),
            report,
        };
        let now = hub_.clock.now();
        hub_.askers = hub_.flood.connect(now, Ipv4Addr::UNSPECIFIED, Ends::Askers);
        thread::Builder::new().name("hub".into()).spawn(move || hub_.run()).map_err(failed)?;
        Ok(Handle::new(hub, here))
    }

    fn run(&mut self) {
        self.meet_neighbours();
        let mut until = TICK;
        loop {
            match self.notices.recv_timeout(until) {
                Ok(Notice::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(notice) => self.notice(notice),
                Err(RecvTimeoutError::Timeout) if self.here.cancel.is_cancelled() => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            until = self.poll();
        }
    }

    fn tell(&self, event: Event) {
        self.report.tell(&[event]);
    }

    fn notice(&mut self, notice: Notice) {
        let now = self.clock.now();
        match notice {
            Notice::Connected(wire) => self.connected(wire),
            Notice::Message { conn, octets } => self.message(conn, &octets),
            Notice::Gone { conn, why } => {
                if let Some(link) = self.link_of(conn) {
                    match why {
                        Some(why) => self.close(link, why),
                        None => {
                            self.forget(link);
                        }
                    }
                }
            }
            Notice::IsClassic { at, program } => {
                self.dialled.remove(&at);
                self.meet_classic(at, program);
            }
            Notice::Unreachable { at, why } => {
                self.tell(Event::Unlinked { peer: at.to_string(), error: format!("{why}; it is tried again") });
            }
            Notice::Get { name, asker, reach, tag, program, from } => {
                self.get(&name, Asker { at: asker, program }, reach, tag, from);
            }
            Notice::Found { name, holder } => self.found(&name, holder),
            Notice::Answers { id, found } => {
                for found in found {
                    self.answer(id, &found);
                    self.poll();
                }
            }
            Notice::Names(names) => self.flood.set_names(now, names),
            Notice::Unshared(unshared) => self.tell_unshared(&unshared),
            Notice::Search { id, what, plan, most, tell } => {
                match self.flood.search(now, id, &what.as_what(), plan, most) {
                    Ok(()) => {
                        self.searches.insert(id, Seeking { tell, sent: 0 });
                    }
                    Err(why) => {
                        let _ = tell.send(Heard::Refused(why));
                    }
                }
            }
            Notice::Stop(id) => {
                self.flood.stop(now, id);
                self.searches.remove(&id);
            }
            Notice::Status(tell) => {
                let links = self.lines.iter().map(|(link, line)| (line.name(), self.flood.is_up(*link))).collect();
                let _ = tell.send(Status {
                    links,
                    counters: *self.flood.counters(),
                    remembered: self.flood.remembered(now),
                });
            }
            Notice::WhenUp(tell) => {
                self.waiting.push(tell);
                self.wake();
            }
            Notice::Settings(settings) => {
                self.settings = *settings;
                self.meet_neighbours();
            }
            Notice::Trouble(error) => self.tell(Event::Trouble { error }),
            Notice::Refused { from, error } => self.tell(Event::Refused { from, error }),
            Notice::End => {}
        }
    }

    /// Does what the flood wants, and returns how long it has nothing to do.
    fn poll(&mut self) -> Duration {
        let mut buffer = [0; MAX_MESSAGE];
        loop {
            let now = self.clock.now();
            match self.flood.poll(now, &mut buffer) {
                Output::Transmit { to, octets } => self.transmit(to, octets),
                Output::Close { link, why } => {
                    let was_up = self.lines.get(&link).is_some_and(|line| line.was_up);
                    let why = match why {
                        Farewell::Silent if !was_up => format!("it did not say hello within {} s", GREETING.as_secs()),
                        Farewell::Silent => "it says nothing any more".to_owned(),
                        Farewell::Duplicate(_) => "there is another link to it".to_owned(),
                        _ => "it ends".to_owned(),
                    };
                    self.close(link, why);
                }
                Output::Over { id, found } => {
                    // It stays until nobody listens any more: hits may be late.
                    if let Some(seeking) = self.searches.get(&id) {
                        self.tell(Event::Over { id: id.to_string(), found, sent: seeking.sent });
                        let _ = seeking.tell.send(Heard::Over);
                    }
                }
                Output::Wait(until) => {
                    let wait = until.map_or(TICK, |until| until.since(self.clock.now()));
                    return wait.clamp(Duration::from_millis(1), TICK);
                }
                // The buffer is as large as it has to be.
                _ => return TICK,
            }
        }
    }
}

/// The address of ours from which `to` is reached.
pub(super) fn address_towards(to: SocketAddrV4) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent: this only asks which way it would go.
    socket.connect(to).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// Whether an address is one of this machine.
fn is_here(ip: Ipv4Addr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}
