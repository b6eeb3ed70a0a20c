//! The network: links with random delays, and the clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use fastrand::Rng;
use feige_core::flood::{Ends, Event, Flood, Found, LinkId, Output, Plan, Rejected, Settings};
use feige_core::time::Instant;
use feige_core::wire::flood::{self, MAX_MESSAGE, Message, NameFilter, QueryId, RADIUS, Token, What};
use feige_core::wire::transfer::EntryKind;

use super::Graph;

/// How messages travel.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Mean of the exponentially distributed time that a message takes over a link, in milliseconds.
    pub delay: f64,
    /// The share of queries and hits that get lost.
    pub loss: f64,
}

impl Default for Network {
    /// What the default settings of a peer are made for.
    fn default() -> Self {
        Self { delay: 10.0, loss: 0.0 }
    }
}

/// What came of a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search {
    /// Queries sent, by anybody.
    pub messages: u64,
    /// The most of them that went over one link in one direction.
    pub most_over_a_link: u8,
    /// Peers that were asked.
    pub asked: usize,
    /// Hits that came back.
    pub hits: usize,
    /// When it was over, in milliseconds.
    pub over: Option<u64>,
}

/// A message under way, or a peer that wants to be polled: when, in which order, at which peer, over which link.
type Arrival = (u64, u64, usize, Option<LinkId>, Box<[u8]>);

/// Peers, links and a clock.
pub struct Net<const QUERIES: usize, const LINKS: usize, const SLOTS: usize> {
    now: Instant,
    rng: Rng,
    network: Network,
    peers: Vec<Flood<QUERIES, LINKS, SLOTS>>,
    ends: Vec<[Option<(usize, LinkId)>; LINKS]>,
    holds: HashMap<usize, Vec<String>>,
    arrivals: BinaryHeap<Reverse<Arrival>>,
    order: u64,
    wakes: Vec<u64>,
    /// When the last message over each link arrives, by sender: a connection keeps the order.
    busy: Vec<[u64; LINKS]>,
    /// How often each link took the query of the current search, by sender.
    over_links: Vec<[u8; LINKS]>,
    search: Search,
    /// Queries that went out with a TTL of 1 to somebody who does not have it.
    pub asked_in_vain: u64,
    /// Queries that a peer refused.
    pub refused: u64,
}

impl<const QUERIES: usize, const LINKS: usize, const SLOTS: usize> Net<QUERIES, LINKS, SLOTS> {
    /// A network of this graph. What each peer has is told by `names`: its filter.
    pub fn new(graph: &Graph, network: Network, mut rng: Rng, mut names: impl FnMut(usize) -> NameFilter) -> Self {
        let count = graph.peers();
        let mut settings = || Settings { token: Token::new(rng.u64(..)), ..Settings::default() };
        let peers = (0..count).map(|number| Flood::new(settings(), number as u64)).collect();
        let mut net = Self {
            now: Instant::START,
            rng,
            network: Network { loss: 0.0, ..network },
            peers,
            ends: vec![[None; LINKS]; count],
            holds: HashMap::new(),
            arrivals: BinaryHeap::new(),
            order: 0,
            wakes: vec![u64::MAX; count],
            busy: vec![[0; LINKS]; count],
            over_links: vec![[0; LINKS]; count],
            search: Search::default(),
            asked_in_vain: 0,
            refused: 0,
        };
        for peer in 0..count {
            net.peers[peer].set_names(Instant::START, names(peer));
        }
        for (number, &(a, b)) in graph.links.iter().enumerate() {
            net.link(a, b);
            // Not all at once, or all hellos and filters would be under way at once.
            if number % 10_000 == 0 {
                net.run(200);
            }
        }
        net.run(1000);
        net.network = network;
        net
    }

    fn link(&mut self, a: usize, b: usize) {
        let address = |peer: usize| Ipv4Addr::from(0x0a00_0000 + u32::try_from(peer).unwrap_or(0));
        let at_a =
            self.peers[a].connect(self.now, address(b), Ends::Native { dialled: true }).expect("room for a link");
        let at_b =
            self.peers[b].connect(self.now, address(a), Ends::Native { dialled: false }).expect("room for a link");
        self.ends[a][at_a.index()] = Some((b, at_b));
        self.ends[b][at_b.index()] = Some((a, at_a));
        self.poll(a);
        self.poll(b);
    }

    /// Now a peer has a file of this name. Its filter is not changed.
    pub fn hold(&mut self, peer: usize, name: &str) {
        self.holds.entry(peer).or_default().push(name.to_owned());
    }

    /// The peers.
    pub fn peers(&self) -> &[Flood<QUERIES, LINKS, SLOTS>] {
        &self.peers
    }

    /// The clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Begins a search. `false` if the peer has no room for it.
    pub fn ask(&mut self, peer: usize, name: &str, plan: Plan, most: u8) -> bool {
        let id = QueryId::new(self.rng.u64(..));
        let is_asked = self.peers[peer].search(self.now, id, &What::Name(name), plan, most).is_ok();
        self.poll(peer);
        is_asked
    }

    /// A search by itself, to its end. Time enough passes before the next that buckets are full again.
    pub fn search(&mut self, peer: usize, name: &str, plan: Plan, most: u8) -> Search {
        self.begin();
        let start = self.now.as_millis();
        assert!(self.ask(peer, name, plan, most), "a search by itself finds room");
        self.run(5000);
        Search { over: self.search.over.map(|over| over - start), ..self.end() }
    }

    /// Counts from now on.
    pub fn begin(&mut self) {
        self.search = Search::default();
        self.over_links.fill([0; LINKS]);
    }

    /// What was counted.
    pub fn end(&self) -> Search {
        let most = self.over_links.iter().flatten().copied().max();
        Search { most_over_a_link: most.unwrap_or(0), ..self.search }
    }

    /// Lets so many milliseconds pass.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while self.arrivals.peek().is_some_and(|Reverse(next)| next.0 <= end.as_millis()) {
            let Some(Reverse((at, _, peer, link, octets))) = self.arrivals.pop() else { break };
            self.now = Instant::from_millis(at);
            match link {
                Some(link) => self.arrive(peer, link, &octets),
                None if self.wakes[peer] == at => self.wakes[peer] = u64::MAX,
                // It was polled earlier, and did not want to be polled then any more.
                None => continue,
            }
            self.poll(peer);
        }
        self.now = end;
    }

    fn poll(&mut self, peer: usize) {
        let mut buffer = [0; MAX_MESSAGE];
        loop {
            match self.peers[peer].poll(self.now, &mut buffer) {
                Output::Transmit { to, octets } => self.transmit(peer, to, octets),
                Output::Over { .. } => self.search.over = Some(self.now.as_millis()),
                Output::Wait(Some(until)) if until.as_millis() < self.wakes[peer] => {
                    self.wakes[peer] = until.as_millis();
                    self.order += 1;
                    self.arrivals.push(Reverse((until.as_millis(), self.order, peer, None, Box::default())));
                    return;
                }
                Output::Wait(_) => return,
                other => panic!("peer {peer} is not expected to say {other:?}"),
            }
        }
    }

    fn transmit(&mut self, from: usize, over: LinkId, octets: &[u8]) {
        let (there, link) = self.ends[from][over.index()].expect("a link that is there");
        if let Some(Message::Query(query)) = read(octets) {
            self.search.messages += 1;
            self.over_links[from][over.index()] = self.over_links[from][over.index()].saturating_add(1);
            let has_it = |names: &Vec<String>| names.iter().any(|name| query.what.matches(name, None));
            self.asked_in_vain += u64::from(query.ttl == 1 && !self.holds.get(&there).is_some_and(has_it));
        }
        if self.network.loss > 0.0 && self.rng.f64() < self.network.loss {
            return;
        }
        // 1 - x, because 0 has no logarithm.
        let delay = -(1.0 - self.rng.f64()).ln() * self.network.delay;
        self.order += 1;
        let busy = &mut self.busy[from][over.index()];
        *busy = (self.now.as_millis() + delay.round() as u64).max(*busy);
        self.arrivals.push(Reverse((*busy, self.order, there, Some(link), octets.into())));
    }

    fn arrive(&mut self, peer: usize, link: LinkId, octets: &[u8]) {
        let message = read(octets).expect("a peer sends messages");
        match self.peers[peer].handle(self.now, link, &message) {
            Ok(Some(Event::Asked(query))) => {
                self.search.asked += 1;
                for name in self.holds.get(&peer).into_iter().flatten() {
                    if query.what.matches(name, None) {
                        let found = Found { kind: EntryKind::File, path: name, size: Some(1), md5: None };
                        // Refused if it has too many hits or too much to do: the searcher will not hear of it.
                        let _ = self.peers[peer].answer(self.now, query.id, &found);
                    }
                }
            }
            Ok(Some(Event::Hit(_))) => self.search.hits += 1,
            Err(Rejected::Full | Rejected::TooOften) => self.refused += 1,
            Ok(_) | Err(Rejected::Busy) => {}
            Err(other) => panic!("a peer is not expected to break the rules: {other}"),
        }
    }
}

/// How often a query may be sent over a link: its TTL grows each time.
pub(super) const COPIES: u8 = RADIUS;

fn read(octets: &[u8]) -> Option<Message<'_>> {
    flood::frame(octets).ok().flatten().and_then(|(message, _)| message)
}
