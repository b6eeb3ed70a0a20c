//! Searching without a server: a question floods from neighbour to neighbour, and answers come back the same way.
//!
//! A [`Flood`] is one peer's part in it. It is handed what comes over its links and is asked what to do next:
//!
//! ```
//! use core::net::Ipv4Addr;
//! use feige_core::flood::{Ends, Event, Flood, Found, Output, Plan, Settings};
//! use feige_core::time::Instant;
//! use feige_core::wire::flood::{self, QueryId, Token, What};
//! use feige_core::wire::transfer::EntryKind;
//!
//! /// Brings everything from one to the other, and returns what it means there.
//! fn deliver(now: Instant, from: &mut Flood<64, 4, 8>, to: &mut Flood<64, 4, 8>, buffer: &mut [u8]) -> Vec<String> {
//!     let mut events = Vec::new();
//!     while let Output::Transmit { octets, .. } = from.poll(now, buffer) {
//!         let Ok(Some((Some(message), _))) = flood::frame(octets) else { panic!("{octets:?}") };
//!         let link = to.links().next().unwrap();
//!         let event = to.handle(now, link, &message).unwrap();
//!         if let Some(Event::Asked(query)) = event {
//!             let found = Found { kind: EntryKind::File, path: "numbers/3.txt", size: Some(17), md5: None };
//!             to.answer(now, query.id, &found).unwrap();
//!         }
//!         events.extend(event.map(|event| format!("{event:?}")));
//!     }
//!     events
//! }
//!
//! let settings = |number| Settings { token: Token::new(number), port: flood::PORT, ..Settings::default() };
//! let (mut asker, mut holder) = (Flood::<64, 4, 8>::new(settings(1), 1), Flood::<64, 4, 8>::new(settings(2), 2));
//! let (now, mut buffer) = (Instant::START, [0; flood::MAX_MESSAGE]);
//! asker.connect(now, Ipv4Addr::new(10, 0, 0, 2), Ends::Native { dialled: true }).unwrap();
//! holder.connect(now, Ipv4Addr::new(10, 0, 0, 1), Ends::Native { dialled: false }).unwrap();
//! deliver(now, &mut asker, &mut holder, &mut buffer);
//! deliver(now, &mut holder, &mut asker, &mut buffer);
//!
//! asker.search(now, QueryId::new(7), &What::Name("3.txt"), Plan::First, 3).unwrap();
//! deliver(now, &mut asker, &mut holder, &mut buffer);
//! let hits = deliver(now, &mut holder, &mut asker, &mut buffer);
//! assert!(hits.iter().any(|hit| hit.contains("numbers/3.txt")), "{hits:?}");
//! ```
//!
//! **Guarantees**: no panic, no growth, no clock, no I/O. A query is answered and passed on at first sight, and passed on
//! again only with a higher TTL: at most [`RADIUS`] times, whatever comes. A query that is remembered is never pushed
//! out by another; one for which there is no room is refused and counted. A hit goes only where its query came
//! from.
//!
//! **Memory**: what its three capacities say; `Flood<1024, 8, 16>` fits into 32 KiB. **Time**: a message costs a look-up
//! that is linear in `QUERIES`, less than a microsecond on a desktop.
//! **Protocol**: R-FL-10 to 59 in `docs/protocol/flood.md`.

mod event;
#[cfg(feature = "search")]
mod horizon;
mod link;
mod mask;
mod poll;
#[cfg_attr(not(feature = "search"), path = "no_search.rs")]
mod search;
mod slot;
mod table;
#[cfg(test)]
mod tests;

pub use event::{Counters, Event, Output, Rejected};
pub use link::{Ends, FILTER_EVERY, Farewell, GREETING, LinkId, PING, SILENCE};
#[cfg(feature = "search")]
pub use search::Plan;

use core::net::Ipv4Addr;
use core::time::Duration;

use crate::bucket::Rate;
use crate::hash::Random;
use crate::time::Instant;
use crate::wire::flood::{
    Hello, Hit, Holder, Message, NameFilter, Query, QueryId, RADIUS, Speech, TTL_NONSENSE, Token, VERSION, What,
    is_host,
};
use crate::wire::transfer::EntryKind;
use event::count;
use link::Link;
use mask::Mask;
use search::Horizon;
use slot::{Job, Slot};
use table::{From, Row, Table};

/// How long a query is remembered after it came, or came with a higher TTL (R-FL-22): more than twice the time that the
/// slowest copy can take over seven links.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// The most hits that are passed on for a query (R-FL-32).
pub const HITS_MOST: u8 = 128;

/// Who a peer is, and how its network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A random number, new at each start (R-FL-11).
    pub token: Token,
    /// The TCP port on which others fetch what it has.
    pub port: u16,
    /// How long a query is held on average until it is passed on (R-FL-25): about what a message takes over a link.
    pub hold: Duration,
    /// What a message takes over a link at most, usually. A ring is waited for twice as long as this and `hold` for
    /// each of its links (R-FL-51).
    pub hop: Duration,
    /// The program and its version, for people.
    pub software: &'static str,
}

impl Default for Settings {
    /// A local network.
    fn default() -> Self {
        Self {
            token: Token::new(0),
            port: crate::wire::flood::PORT,
            hold: Duration::from_millis(10),
            hop: Duration::from_millis(15),
            software: "Feige",
        }
    }
}

/// Something that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// What it is.
    pub kind: EntryKind,
    /// Where it is in the share.
    pub path: &'a str,
    /// Its size in octets; of a folder, of all files in it.
    pub size: Option<u64>,
    /// MD5 of the file.
    pub md5: Option<crate::digest::Digest>,
}

/// A peer: the last `QUERIES` queries are remembered, with up to `LINKS` neighbours (at most 32), and up to `SLOTS`
/// messages wait. A search of our own takes a slot while it lasts; half of them may be used so.
#[derive(Clone, Debug)]
pub struct Flood<const QUERIES: usize, const LINKS: usize, const SLOTS: usize> {
    settings: Settings,
    random: Random,
    table: Table<QUERIES, LINKS>,
    links: [Option<Link>; LINKS],
    slots: [Option<Slot>; SLOTS],
    names: NameFilter,
    horizon: Horizon,
    counters: Counters,
}

// The figure of `docs/protocol/flood.md`.
const _: () = assert!(size_of::<Flood<1024, 8, 16>>() <= 32 * 1024);

impl<const QUERIES: usize, const LINKS: usize, const SLOTS: usize> Flood<QUERIES, LINKS, SLOTS> {
    /// New queries from one link (R-FL-24): it can fill a quarter of the table in a lifetime, and hold a half of it.
    const RATE: Rate = {
        assert!(LINKS <= Mask::MOST, "a flood has at most 32 links");
        assert!(QUERIES >= 4, "a table of less than four queries is of no use");
        let burst = QUERIES / 4;
        // A lifetime is half a minute.
        Rate { per_minute: burst.saturating_mul(2), burst }
    };

    /// A peer without neighbours. `seed` is a random number, different each time.
    #[must_use]
    pub const fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            random: Random::new(seed),
            table: Table::new(),
            links: [const { None }; LINKS],
            slots: [const { None }; SLOTS],
            names: NameFilter::NONE,
            horizon: Horizon::NEW,
            counters: Counters {
                queries: 0,
                duplicates: 0,
                raised: 0,
                full: 0,
                too_often: 0,
                malformed: 0,
                sent: 0,
                filtered: 0,
                hits: 0,
                hits_dropped: 0,
            },
        }
    }

    /// There is a connection to a peer at this address. `None` if there is no room for another link: close it.
    pub fn connect(&mut self, now: Instant, peer: Ipv4Addr, ends: Ends) -> Option<LinkId> {
        let index = self.links.iter().position(Option::is_none)?;
        *self.links.get_mut(index)? = Some(Link::new(now, peer, ends));
        Some(LinkId(u8::try_from(index).ok()?))
    }

    /// The connection is gone.
    pub fn disconnect(&mut self, link: LinkId) {
        if self.links.get_mut(link.index()).is_some_and(|link| link.take().is_some()) {
            self.table.forget(link.0);
            for slot in self.slots.iter_mut().flatten() {
                slot.to.remove(link.0);
            }
        }
    }

    /// The links, whether they are up or not.
    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        let ids = (0..=u8::MAX).map(LinkId).zip(&self.links);
        ids.filter(|(_, link)| link.is_some()).map(|(id, _)| id)
    }

    /// Whether queries go over this link.
    #[must_use]
    pub fn is_up(&self, link: LinkId) -> bool {
        matches!(self.links.get(link.index()), Some(Some(link)) if link.is_up())
    }

    /// The names that are here, for the filters of the neighbours (R-FL-40).
    pub fn set_names(&mut self, now: Instant, names: NameFilter) {
        if self.names != names {
            self.names = names;
            for link in self.links.iter_mut().flatten().filter(|link| link.is_up() && link.is_native()) {
                link.filter_due = Some(now);
            }
        }
    }

    /// Takes what came over a link, and returns what it means. Poll after each message.
    ///
    /// A message of a classic program is handed in as what it means, too.
    ///
    /// # Errors
    /// [`Rejected`]: the message was dropped, and if [`Rejected::is_fatal`] says so, the link is to be closed and
    /// [disconnected](Self::disconnect).
    pub fn handle<'m>(
        &mut self,
        now: Instant,
        from: LinkId,
        message: &Message<'m>,
    ) -> Result<Option<Event<'m>>, Rejected> {
        let Some(Some(link)) = self.links.get_mut(from.index()) else { return Err(Rejected::NoLink) };
        link.heard = now;
        let is_native = link.is_native();
        if let Message::Hello(hello) = message {
            return if is_native { self.greeted(now, from, hello).map(Some) } else { Err(Rejected::Order) };
        }
        if is_native && link.token.is_none() {
            return Err(Rejected::Order);
        }
        match *message {
            Message::Query(query) => self.asked(now, from, &query),
            Message::Hit(hit) => self.hit(now, from, &hit),
            Message::Filter(filter) => {
                link.filter = filter;
                Ok(None)
            }
            Message::Bye => Ok(Some(Event::Bye)),
            Message::Hello(_) | Message::Ping => Ok(None),
        }
    }

    /// Says that something which was asked for is here: at most [`HITS_MOST`] times for a query. Poll after each.
    ///
    /// # Errors
    /// [`Rejected`]: nobody is told.
    pub fn answer(&mut self, now: Instant, id: QueryId, found: &Found<'_>) -> Result<(), Rejected> {
        let Found { kind, path, size, md5 } = *found;
        let here = core::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, self.settings.port);
        let holder = Holder::new(here, Speech::Native);
        self.pass_on(now, &Hit { id, hops: 0, holder, kind, path, size, md5 }).map(|_| ())
    }

    /// How many queries are remembered.
    #[must_use]
    pub fn remembered(&self, now: Instant) -> usize {
        self.table.len(now)
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A peer says who it is.
    fn greeted<'m>(&mut self, now: Instant, from: LinkId, hello: &Hello<'m>) -> Result<Event<'m>, Rejected> {
        if hello.version < VERSION {
            return Err(Rejected::Version);
        }
        if hello.token == self.settings.token {
            return Err(Rejected::Ourselves);
        }
        let ours_is_less = self.settings.token < hello.token;
        let dialled = |link: &Link| matches!(link.ends, Ends::Native { dialled: true });
        let links = (0..=u8::MAX).map(LinkId).zip(&self.links).filter_map(|(id, link)| Some((id, link.as_ref()?)));
        let twin = links.filter(|(id, _)| *id != from).find_map(|(id, link)| {
            let is_twin = link.token == Some(hello.token) && link.farewell.is_none();
            is_twin.then(|| (id, dialled(link), link.peer))
        });
        let Some(Some(link)) = self.links.get_mut(from.index()) else { return Err(Rejected::NoLink) };
        if link.token.is_some() {
            return Err(Rejected::Order);
        }
        if let Some((twin, twin_dialled, twin_at)) = twin {
            // R-FL-11: a token proves nothing, for neighbours know it; an address does, for a connection came about. From
            // the same address: of two that both dialled, the link that the lesser token dialled stays; of two that one
            // dialled, the new one: whoever dials again has lost the old.
            let is_elsewhere = twin_at != link.peer && !(twin_at.is_loopback() && link.peer.is_loopback());
            let new_dialled = dialled(link);
            if is_elsewhere || (new_dialled != twin_dialled && new_dialled != ours_is_less) {
                return Err(Rejected::Duplicate(twin));
            }
            if let Some(Some(twin)) = self.links.get_mut(twin.index()) {
                twin.farewell = Some(Farewell::Duplicate(from));
            }
        }
        if let Some(Some(link)) = self.links.get_mut(from.index()) {
            link.token = Some(hello.token);
            link.filter_due = Some(now);
        }
        Ok(Event::Up(*hello))
    }

    /// A query came.
    fn asked<'m>(&mut self, now: Instant, from: LinkId, query: &Query<'m>) -> Result<Option<Event<'m>>, Rejected> {
        let Query { id, ttl, hops, what } = *query;
        // R-FL-20, R-FL-21.
        if ttl == 0 || ttl >= TTL_NONSENSE || hops >= RADIUS {
            count(&mut self.counters.malformed);
            return Err(Rejected::Ttl);
        }
        let ttl = ttl.min(RADIUS.saturating_sub(hops));
        if id.number() == 0 || !what.is_valid() {
            count(&mut self.counters.malformed);
            return Err(Rejected::Malformed);
        }
        if let Some(at) = self.table.find(now, id) {
            count(&mut self.counters.duplicates);
            self.note(at, from, ttl, hops);
            let Some(row) = self.table.row(at) else { return Ok(None) };
            if row.from == From::Here || ttl <= row.best {
                return Ok(None);
            }
            // R-FL-26: a better copy. Whoever was told can now tell others.
            row.best = ttl;
            count(&mut self.counters.raised);
            self.table.prolong(now, at);
            self.hold(now, at, id, hops, what);
            return Ok(None);
        }
        let Some(Some(link)) = self.links.get_mut(from.index()) else { return Err(Rejected::NoLink) };
        if !link.bucket.take(now, Self::RATE) {
            count(&mut self.counters.too_often);
            return Err(Rejected::TooOften);
        }
        let row = Row { best: ttl, from: From::Link(from.0), hits: 0 };
        let Some(at) = self.table.insert(now, id, row) else {
            count(&mut self.counters.full);
            return Err(Rejected::Full);
        };
        count(&mut self.counters.queries);
        self.note(at, from, ttl, hops);
        self.hold(now, at, id, hops, what);
        // R-FL-28: the application hears of it once.
        Ok(Some(Event::Asked(Query { id, ttl, hops, what })))
    }

    /// A copy of a query says what its sender holds, and how far that is from who asked.
    fn note(&mut self, at: usize, from: LinkId, ttl: u8, hops: u8) {
        let is_native = self.links.get(from.index()).is_some_and(|link| link.as_ref().is_some_and(Link::is_native));
        if let Some(known) = self.table.known(at, from.index()) {
            known.holds(ttl.saturating_add(1));
            // R-FL-52: a classic program passes on what it was told of hops, and is itself not counted.
            if is_native {
                known.is_away(hops);
            }
        }
    }

    /// Holds a query until its best copy has come (R-FL-25); not, if only one slot is left.
    fn hold(&mut self, now: Instant, at: usize, id: QueryId, hops: u8, what: What<'_>) {
        if self.table.row(at).is_none_or(|row| row.best <= 1) {
            return;
        }
        let hops = hops.saturating_add(1);
        if let Some(held) = self.slots.iter_mut().flatten().find(|slot| slot.row == at && slot.job == Job::Hold) {
            held.hops = hops.min(held.hops);
            return;
        }
        let free = self.slots.iter().filter(|slot| slot.is_none()).count();
        // Between half as long and one and a half times as long as usual.
        let usual = u64::try_from(self.settings.hold.as_millis()).unwrap_or(0);
        let jitter = self.random.next().checked_rem(usual.saturating_add(1)).unwrap_or(0);
        let time = Duration::from_millis((usual / 2).saturating_add(jitter));
        let due = if free > 1 { now + time } else { now };
        // With no slot at all the caller did not poll: the query is lost, as on a bad link.
        if let Some(place) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *place = Slot::query(Job::Hold, at, due, id, hops, what);
        }
    }

    /// A hit came.
    fn hit<'m>(&mut self, now: Instant, from: LinkId, hit: &Hit<'m>) -> Result<Option<Event<'m>>, Rejected> {
        let Some(Some(link)) = self.links.get(from.index()) else { return Err(Rejected::NoLink) };
        let at = hit.holder.at();
        // R-FL-31: the holder does not know its address, its neighbour does.
        let ip = if at.ip().is_unspecified() { link.peer } else { *at.ip() };
        // Whether classic holders are near depends on the networks that get answers (R-FL-77).
        let is_far = ip.is_loopback() && link.is_native() && !link.peer.is_loopback();
        if is_far || !is_host(ip) || at.port() == 0 || !hit.is_valid() {
            count(&mut self.counters.hits_dropped);
            return Err(Rejected::Malformed);
        }
        let holder = Holder::new(core::net::SocketAddrV4::new(ip, at.port()), hit.holder.speech);
        let hit = Hit { holder, hops: hit.hops.saturating_add(1), ..*hit };
        self.pass_on(now, &hit).map(|is_ours| is_ours.then_some(Event::Hit(hit)))
    }

    /// Sends a hit where its query came from (R-FL-30); `true` if that is here.
    fn pass_on(&mut self, now: Instant, hit: &Hit<'_>) -> Result<bool, Rejected> {
        let result = self.try_pass_on(now, hit);
        let counter = if result.is_ok() { &mut self.counters.hits } else { &mut self.counters.hits_dropped };
        count(counter);
        result
    }

    fn try_pass_on(&mut self, now: Instant, hit: &Hit<'_>) -> Result<bool, Rejected> {
        if !hit.is_valid() {
            return Err(Rejected::Malformed);
        }
        let at = self.table.find(now, hit.id).ok_or(Rejected::NobodyAsked)?;
        let row = self.table.row(at).ok_or(Rejected::NobodyAsked)?;
        if row.hits >= HITS_MOST {
            return Err(Rejected::TooMany);
        }
        match row.from {
            From::Gone => return Err(Rejected::NobodyAsked),
            From::Here => {
                row.hits = row.hits.saturating_add(1);
                for slot in self.slots.iter_mut().flatten().filter(|slot| slot.row == at) {
                    if let Job::Search(search) = &mut slot.job {
                        search.succeed();
                    }
                }
                return Ok(true);
            }
            From::Link(link) => {
                let place = self.slots.iter_mut().find(|slot| slot.is_none()).ok_or(Rejected::Busy)?;
                let mut slot = Slot::message(Job::Send, at, now, &Message::Hit(*hit)).ok_or(Rejected::Malformed)?;
                slot.to.insert(link);
                row.hits = row.hits.saturating_add(1);
                *place = Some(slot);
            }
        }
        Ok(false)
    }
}
