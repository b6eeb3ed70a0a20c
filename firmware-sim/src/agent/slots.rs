//! The connections that there can be at a time, and what each of them does.
//!
//! A slot is a TCP socket with its buffers. It listens until somebody connects, or until a file is to be fetched, and
//! then serves one request or fetches one file. When all are in use, nobody listens, and whoever connects is refused at
//! once (RST), as it should be: it can try again.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use feige_core::node::Offer;
use feige_core::stream::{FileClient, Machine as _, Outcome, Server};
use feige_core::time::{Instant, earlier};
use feige_core::wire::ipmsg::PORT;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::{IpAddress, IpEndpoint};

use super::connection::{Fault, Step, step};
use super::desk::{Desk, Shelf, Source, Tray};
use super::downloads::Wanted;
use super::{Event, Md5, instant_of};
use crate::store::{FileId, Store};

/// A connection that is being made is given up after this time.
const CONNECT_TIME: Duration = Duration::from_secs(8);

/// How long a peer has for its half of a farewell.
const FAREWELL: Duration = Duration::from_secs(5);

/// When no slot is free, whoever has not asked for a file after this time makes room.
const PATIENCE: Duration = Duration::from_secs(3);

/// Things done for one connection before the next one has its turn.
const TURN: usize = 8;

/// A socket, and what it is used for.
pub(super) struct Slot<'a, H: Md5> {
    handle: SocketHandle,
    session: Session<'a, H>,
}

#[allow(clippy::large_enum_variant)] // All of them live in the same few places.
enum Session<'a, H: Md5> {
    /// Listens. `since`: somebody began to connect then.
    Free { buffer: &'a mut [u8], since: Option<Instant> },
    /// Answers a request of the family.
    Serving { machine: Server<'a>, from: SocketAddrV4, offer: Option<Offer>, source: Source, since: Instant },
    /// Fetches a file. `connecting`: until when there must be a connection, while there is none.
    Fetching {
        machine: FileClient<'a>,
        wanted: Wanted,
        file: Option<FileId>,
        digest: H::Running,
        connecting: Option<Instant>,
    },
    /// The socket takes leave of the peer.
    Closing { buffer: &'a mut [u8], until: Instant, reset: bool },
}

impl<'a, H: Md5> Slot<'a, H> {
    pub(super) const fn new(handle: SocketHandle, buffer: &'a mut [u8]) -> Self {
        Self { handle, session: Session::Free { buffer, since: None } }
    }

    /// Whether somebody could connect to it, or it to somebody.
    pub(super) const fn is_free(&self) -> bool {
        matches!(self.session, Session::Free { since: None, .. })
    }

    /// Whether it fetches something of this host.
    pub(super) fn is_fetching_from(&self, host: Ipv4Addr) -> bool {
        matches!(&self.session, Session::Fetching { wanted, .. } if *wanted.from.ip() == host)
    }

    /// When something is to be done although nothing happened.
    pub(super) fn deadline(&self, crowded: bool) -> Option<Instant> {
        match &self.session {
            Session::Free { since, .. } => since.map(|since| since + FAREWELL),
            Session::Serving { machine, offer, since, .. } => {
                let evicted = (crowded && offer.is_none()).then_some(*since + PATIENCE);
                earlier(machine.deadline(), evicted)
            }
            Session::Fetching { machine, connecting, .. } => earlier(machine.deadline(), *connecting),
            Session::Closing { until, .. } => Some(*until),
        }
    }

    /// Does what can be done now; tells whether anything was.
    #[inline(never)]
    pub(super) fn run<S: Store, const MEMBERS: usize>(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'a>,
        desk: &mut Desk<'_, S, MEMBERS>,
        hasher: &mut H,
        crowded: bool,
        saw: &mut impl FnMut(Event<'_>),
    ) -> bool {
        let socket = sockets.get_mut::<Socket<'a>>(self.handle);
        match &mut self.session {
            Session::Free { since, .. } => {
                if let Some(accept) = listen(now, socket, PORT, since) {
                    if let Some(from) = accept {
                        desk.node.proven(*from.ip());
                        self.serve(now, from);
                    }
                    return true;
                }
                return false;
            }
            Session::Closing { until, reset, .. } => {
                return match farewell(now, socket, *until, reset) {
                    Farewell::Waiting => false,
                    Farewell::Resetting => true,
                    Farewell::Over => {
                        self.free();
                        true
                    }
                };
            }
            Session::Serving { offer: None, since, .. } if crowded && now >= *since + PATIENCE => {
                socket.abort();
                self.close(now, true);
                return true;
            }
            Session::Serving { .. } | Session::Fetching { .. } => {}
        }
        let mut moved = false;
        for _ in 0..TURN {
            let result = match &mut self.session {
                Session::Serving { machine, from, offer, source, .. } => {
                    let mut shelf = Shelf { now, desk, from: *from.ip(), offer, source };
                    step(now, machine, socket, &mut shelf)
                }
                Session::Fetching { machine, wanted, file, digest, connecting } => {
                    if socket.state() != State::SynSent {
                        *connecting = None;
                    }
                    if wanted.question.is_some() && socket.may_send() {
                        // There is a connection, so whoever is there receives.
                        wanted.question = None;
                        desk.node.proven(*wanted.from.ip());
                    }
                    if connecting.is_some_and(|until| now >= until) {
                        Step::Over(Err(Fault::Connection))
                    } else {
                        let mut tray = Tray::<_, H> { store: &mut desk.store, wanted, file, digest, hasher };
                        step(now, machine, socket, &mut tray)
                    }
                }
                Session::Free { .. } | Session::Closing { .. } => Step::Waiting,
            };
            match result {
                Step::Moved => moved = true,
                Step::Waiting => return moved,
                Step::Over(result) => {
                    let clean = matches!(result, Ok(Outcome::Complete(_) | Outcome::Refused));
                    if clean {
                        socket.close();
                    } else {
                        socket.abort();
                    }
                    self.ended(now, result, desk, hasher, saw);
                    self.close(now, !clean);
                    return true;
                }
            }
        }
        moved
    }

    #[inline(never)]
    fn serve(&mut self, now: Instant, from: SocketAddrV4) {
        self.session = match core::mem::replace(&mut self.session, nothing()) {
            Session::Free { buffer, .. } => Session::Serving {
                machine: Server::new(now, buffer),
                from,
                offer: None,
                source: Source::Nothing,
                since: now,
            },
            other => other,
        };
    }

    /// Begins to fetch a file. Gives it back if that cannot be begun.
    pub(super) fn fetch<S: Store, const MEMBERS: usize>(
        &mut self,
        now: Instant,
        wanted: Wanted,
        port: u16,
        iface: &mut Interface,
        sockets: &mut SocketSet<'a>,
        desk: &mut Desk<'_, S, MEMBERS>,
    ) -> Result<(), Wanted> {
        let socket = sockets.get_mut::<Socket<'a>>(self.handle);
        let buffer = match core::mem::replace(&mut self.session, nothing()) {
            Session::Free { buffer, since: None } => buffer,
            other => {
                self.session = other;
                return Err(wanted);
            }
        };
        let number = desk.node.take_packet_no();
        let room = desk.store.space().free;
        let machine = match wanted.client(now, desk.node.identity().names(true), number, room, buffer) {
            Ok(machine) => machine,
            Err(buffer) => {
                self.session = Session::Free { buffer, since: None };
                return Err(wanted);
            }
        };
        socket.close();
        let at = wanted.at();
        let to = IpEndpoint::new(IpAddress::Ipv4(*at.ip()), at.port());
        if socket.connect(iface.context(), to, port).is_err() {
            self.session = Session::Free { buffer: machine.into_buffer(), since: None };
            return Err(wanted);
        }
        desk.fetching = desk.fetching.saturating_add(1);
        let connecting = Some(now + CONNECT_TIME);
        self.session = Session::Fetching { machine, wanted, file: None, digest: H::Running::default(), connecting };
        Ok(())
    }

    /// A machine has ended: says so.
    #[inline(never)]
    fn ended<S: Store, const MEMBERS: usize>(
        &mut self,
        now: Instant,
        result: Result<Outcome, Fault>,
        desk: &mut Desk<'_, S, MEMBERS>,
        hasher: &mut H,
        saw: &mut impl FnMut(Event<'_>),
    ) {
        match &mut self.session {
            Session::Serving { from, offer, .. } => match (result, offer) {
                (Ok(Outcome::Complete(totals)), Some(offer)) => {
                    desk.offers.fetched(now, offer);
                    desk.tally.served = desk.tally.served.saturating_add(1);
                    desk.log.line(now, &|line| _ = line.octets(b"served ").decimal(totals.octets).octets(b" octets"));
                    saw(Event::Served { to: *from, size: totals.octets });
                }
                _ => {
                    desk.log.line(now, &|line| _ = line.octets(b"a request was not served"));
                    saw(Event::NotServed { to: *from });
                }
            },
            Session::Fetching { wanted, file, digest, .. } => {
                desk.fetching = desk.fetching.saturating_sub(1);
                if let Some(file) = file.take() {
                    desk.store.abort(file);
                }
                if let Ok(Outcome::Complete(totals)) = result {
                    let digest = hasher.finish(core::mem::take(digest));
                    stored(now, wanted, totals.octets, &digest, desk);
                    let name = wanted.name.as_bytes();
                    saw(Event::Stored { from: wanted.from, name, size: totals.octets, digest });
                    return;
                }
                let (again, why) = match result {
                    Err(Fault::Store(error)) => (None, error.as_str()),
                    Ok(Outcome::Refused) => (wanted.clone().after_refusal(now), "you do not offer it any longer"),
                    _ => (wanted.clone().again(now), "the connection failed"),
                };
                if let Some(again) = again {
                    // Its place was kept.
                    let _ = desk.wanted.push(again);
                    return;
                }
                desk.not_stored(now, wanted, why, saw);
            }
            Session::Free { .. } | Session::Closing { .. } => {}
        }
    }

    /// From now on the socket takes leave of the peer; `reset`: without waiting.
    fn close(&mut self, now: Instant, reset: bool) {
        let buffer = self.take_buffer();
        self.session = Session::Closing { buffer, until: now + FAREWELL, reset };
    }

    fn free(&mut self) {
        let buffer = self.take_buffer();
        self.session = Session::Free { buffer, since: None };
    }

    #[inline(never)]
    fn take_buffer(&mut self) -> &'a mut [u8] {
        match core::mem::replace(&mut self.session, nothing()) {
            Session::Free { buffer, .. } | Session::Closing { buffer, .. } => buffer,
            Session::Serving { machine, .. } => machine.into_buffer(),
            Session::Fetching { machine, .. } => machine.into_buffer(),
        }
    }
}

/// Stands in a slot while its session changes.
fn nothing<'a, H: Md5>() -> Session<'a, H> {
    Session::Free { buffer: &mut [], since: None }
}

/// How far a socket is with taking leave of its peer.
pub(super) enum Farewell {
    /// The peer's half is missing.
    Waiting,
    /// It took too long; the stack has yet to tell the peer.
    Resetting,
    /// The socket may be used again.
    Over,
}

/// Looks after a socket that takes leave, until `until` at most. `reset`: without waiting.
pub(super) fn farewell(now: Instant, socket: &mut Socket<'_>, until: Instant, reset: &mut bool) -> Farewell {
    if *reset || matches!(socket.state(), State::Closed | State::TimeWait) {
        return Farewell::Over;
    }
    if now < until {
        return Farewell::Waiting;
    }
    socket.abort();
    *reset = true;
    Farewell::Resetting
}

/// Looks after a socket that listens on `port`, where somebody is connecting if there is a `since`. `Some(Some(..))`: that
/// peer has connected; `Some(None)`: something changed.
pub(super) fn listen(
    now: Instant,
    socket: &mut Socket<'_>,
    port: u16,
    since: &mut Option<Instant>,
) -> Option<Option<SocketAddrV4>> {
    match socket.state() {
        State::Listen => {
            *since = None;
            None
        }
        // In TIME-WAIT too: a device cannot leave a socket idle for so long, and the peer has all it needs.
        State::Closed | State::TimeWait => {
            *since = None;
            // Refused only for sockets that are open, and for port 0.
            socket.listen(port).ok().map(|()| None)
        }
        State::Established | State::CloseWait => {
            let Some(IpEndpoint { addr: IpAddress::Ipv4(address), port }) = socket.remote_endpoint() else {
                socket.abort();
                return Some(None);
            };
            Some(Some(SocketAddrV4::new(Ipv4Addr::from(address.octets()), port)))
        }
        // Somebody began to connect and may never go on.
        _ => {
            let since = since.get_or_insert(now);
            (now >= *since + FAREWELL).then(|| {
                socket.abort();
                None
            })
        }
    }
}

/// A file is in the store: tells whoever offered it.
fn stored<S: Store, const MEMBERS: usize>(
    now: Instant,
    wanted: &Wanted,
    size: u64,
    digest: &feige_core::digest::Digest,
    desk: &mut Desk<'_, S, MEMBERS>,
) {
    let name = wanted.name.as_bytes();
    desk.tally.stored = desk.tally.stored.saturating_add(1);
    desk.log.line(now, &|line| _ = line.octets(b"stored ").octets(name).octet(b' ').decimal(size));
    desk.tell(now, wanted.from, &|text| {
        text.octets(name).octets(b": ").decimal(size).octets(b" octets, MD5 ");
        for octet in digest.0 {
            text.hex_padded(octet.into(), 2);
        }
    });
}

/// When the TCP/IP stack is to be polled, on the clock of the core.
pub(super) fn stack_deadline(now: Instant, iface: &mut Interface, sockets: &SocketSet<'_>) -> Option<Instant> {
    let at = iface.poll_at(instant_of(now), sockets)?;
    Some(Instant::from_millis(u64::try_from(at.total_millis()).unwrap_or(0)).max(now))
}
