//! Links of the flooded search: whoever names this device as a neighbour dials it, asks it, and has it pass questions on
//! to the others that did.
//!
//! What is found here is fetched by the verified transfer, so feature `flood` needs `transfer`. The device dials nobody
//! and looks for nothing itself. Its filter excludes nothing: files come and go, and it is asked often enough.
//!
//! **Guarantees**: no more links than there are places, no more queries than [`QUERIES`]; a message for which a link has no
//! room is dropped. **Memory**: 2 KiB for the flood, and 1.5 KiB for each link. **Protocol**: R-FL-1 to 42.

use core::mem::MaybeUninit;
use core::time::Duration;

use feige_core::flood::{Ends, Event as FloodEvent, Flood, Found, LinkId, Output, Settings};
use feige_core::time::{Instant, earlier};
use feige_core::wire::flood::{self, MAX_MESSAGE, NameFilter, Query, Token, frame};
use feige_core::wire::transfer::{self, EntryKind};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::Socket;

use super::connection::{give, take};
use super::desk::Desk;
use super::slots::{Farewell, farewell, listen};
use crate::store::{Store, copy};

/// Queries that are remembered.
const QUERIES: usize = 32;

/// Messages that wait: queries that are held, and one that leaves at once. What comes when they are held already is passed on
/// without being held.
const WAITING: usize = 3;

/// Answers to one query: what a link has room for.
const ANSWERS: usize = 4;

/// Messages taken from one link before another has its turn.
const TURN: usize = 8;

/// How long a peer has for its half of a farewell.
const FAREWELL: Duration = Duration::from_secs(5);

/// What floods over `LINKS` links.
pub(super) type Flooding<const LINKS: usize> = Flood<QUERIES, LINKS, WAITING>;

/// The links, and what floods over them.
#[derive(Debug)]
pub(super) struct Neighbours<'a, const LINKS: usize> {
    flood: &'a mut Flooding<LINKS>,
    places: heapless::Vec<Place, LINKS>,
    /// When the flood wants to be polled.
    due: Option<Instant>,
}

/// A place for a link.
#[derive(Debug)]
struct Place {
    handle: SocketHandle,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Listens. `since`: somebody began to connect then.
    Free {
        since: Option<Instant>,
    },
    Linked(LinkId),
    /// The socket takes leave of the peer.
    Closing {
        until: Instant,
        reset: bool,
    },
}

impl<'a, const LINKS: usize> Neighbours<'a, LINKS> {
    /// Without links. `seed` is a random number, different each time.
    // In a frame of its own, because the flood is large while it is made.
    #[inline(never)]
    pub(super) fn new(now: Instant, seed: u64, place: &'a mut MaybeUninit<Flooding<LINKS>>) -> Self {
        let settings = Settings {
            token: Token::new(seed),
            port: transfer::PORT,
            software: concat!("feige-device ", env!("CARGO_PKG_VERSION")),
            ..Settings::default()
        };
        let flood = place.write(Flood::new(settings, seed));
        flood.set_names(now, NameFilter::ALL);
        Self { flood, places: heapless::Vec::new(), due: None }
    }

    /// One more place. Its socket has to have room for a whole message each way.
    pub(super) fn add(&mut self, handle: SocketHandle) {
        let _ = self.places.push(Place { handle, state: State::Free { since: None } });
    }

    /// When something is to be done although nothing happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let places = self.places.iter().map(|place| match place.state {
            State::Free { since } => since.map(|since| since + FAREWELL),
            State::Linked(_) => None,
            State::Closing { until, .. } => Some(until),
        });
        places.fold(self.due, earlier)
    }

    /// Does what can be done now; tells whether anything was.
    #[inline(never)]
    pub(super) fn run<S: Store, const MEMBERS: usize>(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'a>,
        desk: &mut Desk<'_, S, MEMBERS>,
    ) -> bool {
        let mut moved = false;
        for at in 0..self.places.len() {
            moved |= self.attend(now, at, sockets, desk);
        }
        // Unless something happened, the flood has nothing to say before it is due.
        if moved || self.due.is_some_and(|due| due <= now) {
            moved |= self.send(now, sockets);
        }
        moved
    }

    /// Looks after one place.
    fn attend<S: Store, const MEMBERS: usize>(
        &mut self,
        now: Instant,
        at: usize,
        sockets: &mut SocketSet<'a>,
        desk: &mut Desk<'_, S, MEMBERS>,
    ) -> bool {
        let Some(place) = self.places.get_mut(at) else { return false };
        let socket = sockets.get_mut::<Socket<'a>>(place.handle);
        let link = match &mut place.state {
            State::Free { since } => {
                let Some(accept) = listen(now, socket, flood::PORT, since) else { return false };
                if let Some(from) = accept {
                    place.state = match self.flood.connect(now, *from.ip(), Ends::Native { dialled: false }) {
                        Some(link) => State::Linked(link),
                        None => place.take_leave(now, socket),
                    };
                }
                return true;
            }
            State::Closing { until, reset } => {
                return match farewell(now, socket, *until, reset) {
                    Farewell::Waiting => false,
                    Farewell::Resetting => true,
                    Farewell::Over => {
                        place.state = State::Free { since: None };
                        true
                    }
                };
            }
            State::Linked(link) => *link,
        };
        let mut moved = false;
        for _ in 0..TURN {
            match self.hear(now, at, link, sockets, desk) {
                Heard::Message => moved = true,
                Heard::Nothing => return moved,
                Heard::End => {
                    self.close(now, link, sockets);
                    return true;
                }
            }
        }
        moved
    }

    /// Takes one message from a link.
    fn hear<S: Store, const MEMBERS: usize>(
        &mut self,
        now: Instant,
        at: usize,
        link: LinkId,
        sockets: &mut SocketSet<'a>,
        desk: &mut Desk<'_, S, MEMBERS>,
    ) -> Heard {
        let Some(place) = self.places.get(at) else { return Heard::Nothing };
        let socket = sockets.get_mut::<Socket<'a>>(place.handle);
        // What is no whole message yet stays in the socket.
        let there = socket.peek_slice(desk.scratch).unwrap_or(0);
        let whole = match frame(desk.scratch.get(..there).unwrap_or_default()) {
            Ok(Some((_, len))) => desk.scratch.get_mut(..len).unwrap_or_default(),
            Ok(None) if socket.may_recv() => return Heard::Nothing,
            Ok(None) | Err(_) => return Heard::End,
        };
        discard(socket, whole.len());
        let Ok(Some((Some(message), _))) = frame(whole) else { return Heard::Message };
        match self.flood.handle(now, link, &message) {
            Ok(Some(FloodEvent::Asked(query))) => self.answer(now, &query, &desk.store, sockets),
            Ok(Some(FloodEvent::Bye)) => return Heard::End,
            Ok(_) => {}
            Err(why) if why.is_fatal() => return Heard::End,
            // It is as if it had not come.
            Err(_) => {}
        }
        self.send(now, sockets);
        Heard::Message
    }

    /// Says which files here are what a query looks for.
    fn answer<S: Store>(&mut self, now: Instant, query: &Query<'_>, store: &S, sockets: &mut SocketSet<'a>) {
        let names = store.files().filter_map(|entry| Some((str::from_utf8(entry.name.as_bytes()).ok()?, entry.size)));
        for (path, size) in names.filter(|(name, _)| query.what.matches(name, None)).take(ANSWERS) {
            let found = Found { kind: EntryKind::File, path, size: Some(size), md5: None };
            // Nobody is told what cannot be said: whoever asked asks again.
            if self.flood.answer(now, query.id, &found).is_err() {
                return;
            }
            // At once, so that places for what waits are left for queries that are held.
            self.send(now, sockets);
        }
    }

    fn send(&mut self, now: Instant, sockets: &mut SocketSet<'a>) -> bool {
        let mut moved = false;
        loop {
            match send_next(now, self.flood, &self.places, sockets) {
                Sent::Message => moved = true,
                Sent::Close(link) => {
                    self.close(now, link, sockets);
                    moved = true;
                }
                Sent::Wait(until) => {
                    self.due = until;
                    return moved;
                }
            }
        }
    }

    fn close(&mut self, now: Instant, link: LinkId, sockets: &mut SocketSet<'a>) {
        self.flood.disconnect(link);
        let is_it = |place: &&mut Place| matches!(place.state, State::Linked(other) if other == link);
        if let Some(place) = self.places.iter_mut().find(is_it) {
            let socket = sockets.get_mut::<Socket<'a>>(place.handle);
            place.state = place.take_leave(now, socket);
        }
    }
}

impl Place {
    fn take_leave(&self, now: Instant, socket: &mut Socket<'_>) -> State {
        socket.close();
        State::Closing { until: now + FAREWELL, reset: false }
    }
}

/// What came of listening to a link.
enum Heard {
    Message,
    Nothing,
    End,
}

/// What the flood wanted.
enum Sent {
    Message,
    Close(LinkId),
    Wait(Option<Instant>),
}

/// Sends what the flood wants to be sent next, if there is room for it.
fn send_next<'a, const LINKS: usize>(
    now: Instant,
    flood: &mut Flooding<LINKS>,
    places: &[Place],
    sockets: &mut SocketSet<'a>,
) -> Sent {
    let mut buffer = [0; MAX_MESSAGE];
    match flood.poll(now, &mut buffer) {
        Output::Transmit { to, octets } => {
            let is_it = |place: &&Place| matches!(place.state, State::Linked(link) if link == to);
            if let Some(place) = places.iter().find(is_it) {
                let socket = sockets.get_mut::<Socket<'a>>(place.handle);
                // A part of a message would spoil all that follow it.
                if socket.send_capacity().saturating_sub(socket.send_queue()) >= octets.len() {
                    put(socket, octets);
                }
            }
            Sent::Message
        }
        Output::Close { link, .. } => Sent::Close(link),
        Output::Wait(until) => Sent::Wait(until),
        // There are no searches here, and the buffer is as large as it has to be.
        _ => Sent::Wait(None),
    }
}

// By the functions of the other connections: the stack's own for slices are long, and there would be another copy.

/// Takes so many octets, all of which have come, out of a socket.
fn discard(socket: &mut Socket<'_>, mut len: usize) {
    while len > 0 {
        let Ok(taken) = take(socket, len, &mut |octets| Ok(octets.len())) else { return };
        len = len.saturating_sub(taken);
    }
}

/// Puts octets, for all of which there is room, into a socket.
fn put(socket: &mut Socket<'_>, mut octets: &[u8]) {
    while !octets.is_empty() {
        let Ok(given) = give(socket, &mut |room| Ok(copy(octets, room))) else { return };
        octets = octets.get(given..).unwrap_or_default();
    }
}
