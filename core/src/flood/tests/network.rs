//! Peers on a network in memory: every message takes a millisecond, unless a test says otherwise.

use std::collections::{BTreeMap, BinaryHeap};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{cmp::Reverse, format, vec};

use super::super::*;
use crate::wire::flood::{MAX_MESSAGE, frame};

pub(super) type Peer = Flood<64, 8, 8>;

/// A message: when it arrives, in which order, at which peer, over which link, and what it is.
type Arrival = (Instant, u64, usize, usize, Vec<u8>);

/// Peers and links between them. What each has is a list of names.
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) peers: Vec<Peer>,
    pub(super) names: Vec<Vec<&'static str>>,
    /// Where the link of a peer ends.
    ends: BTreeMap<(usize, usize), (usize, LinkId)>,
    /// Messages under way.
    under_way: BinaryHeap<Reverse<Arrival>>,
    sent: u64,
    /// Milliseconds that a message takes over a link, by the peers at its ends.
    pub(super) delay: fn(usize, usize) -> u64,
    /// Queries that arrived, hits at the asker, and searches that are over.
    pub(super) queries: usize,
    pub(super) hits: Vec<(usize, String, u8)>,
    pub(super) over: Vec<(usize, bool)>,
    pub(super) closed: Vec<(usize, Farewell)>,
}

impl Net {
    pub(super) fn new(count: usize, links: &[(usize, usize)]) -> Self {
        let settings = |number| Settings {
            token: Token::new(number),
            hold: Duration::from_millis(4),
            hop: Duration::from_millis(4),
            ..Settings::default()
        };
        let mut net = Self {
            now: Instant::START,
            peers: (1..=count as u64).map(|number| Peer::new(settings(number), number)).collect(),
            names: vec![Vec::new(); count],
            ends: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            sent: 0,
            delay: |_, _| 1,
            queries: 0,
            hits: Vec::new(),
            over: Vec::new(),
            closed: Vec::new(),
        };
        for &(a, b) in links {
            net.link(a, b);
        }
        net.run(50);
        net
    }

    pub(super) fn link(&mut self, a: usize, b: usize) -> (LinkId, LinkId) {
        let address = |peer: usize| Ipv4Addr::new(10, 0, 0, u8::try_from(peer + 1).unwrap());
        let at_a = self.peers[a].connect(self.now, address(b), Ends::Native { dialled: true }).unwrap();
        let at_b = self.peers[b].connect(self.now, address(a), Ends::Native { dialled: false }).unwrap();
        self.ends.insert((a, at_a.index()), (b, at_b));
        self.ends.insert((b, at_b.index()), (a, at_a));
        (at_a, at_b)
    }

    pub(super) fn share(&mut self, peer: usize, name: &'static str) {
        self.names[peer].push(name);
        let filter = self.names[peer].iter().copied().collect();
        self.peers[peer].set_names(self.now, filter);
        self.run(50);
    }

    pub(super) fn search(&mut self, peer: usize, id: u64, name: &str, plan: Plan, most: u8) {
        self.peers[peer].search(self.now, QueryId::new(id), &What::Name(name), plan, most).unwrap();
    }

    /// Lets so many milliseconds pass.
    pub(super) fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        loop {
            let mut next = (0..self.peers.len()).filter_map(|peer| self.poll(peer)).min();
            if let Some(Reverse((at, ..))) = self.under_way.peek() {
                next = Some(next.unwrap_or(*at).min(*at));
            }
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(Reverse(message)) = self.under_way.pop() {
                if message.0 > self.now {
                    self.under_way.push(Reverse(message));
                    break;
                }
                let (_, _, peer, link, octets) = message;
                self.arrive(peer, LinkId(u8::try_from(link).unwrap()), &octets);
                self.poll(peer);
            }
        }
        self.now = end;
    }

    fn poll(&mut self, peer: usize) -> Option<Instant> {
        let mut buffer = [0; MAX_MESSAGE];
        loop {
            match self.peers[peer].poll(self.now, &mut buffer) {
                Output::Transmit { to, octets } => {
                    let octets = octets.to_vec();
                    if let Some((there, link)) = self.ends.get(&(peer, to.index())).copied() {
                        self.sent += 1;
                        let at = self.now + Duration::from_millis((self.delay)(peer, there));
                        self.under_way.push(Reverse((at, self.sent, there, link.index(), octets)));
                    }
                }
                Output::Close { link, why } => {
                    self.closed.push((peer, why));
                    if let Some((there, other)) = self.ends.remove(&(peer, link.index())) {
                        self.ends.remove(&(there, other.index()));
                        self.peers[there].disconnect(other);
                    }
                }
                Output::Over { found, .. } => self.over.push((peer, found)),
                Output::Wait(until) => return until,
                Output::BufferTooSmall => panic!(),
            }
        }
    }

    fn arrive(&mut self, peer: usize, link: LinkId, octets: &[u8]) {
        let Ok(Some((Some(message), _))) = frame(octets) else { panic!("{octets:?}") };
        self.queries += usize::from(matches!(message, Message::Query(_)));
        match self.peers[peer].handle(self.now, link, &message) {
            Ok(Some(Event::Asked(query))) => {
                for name in self.names[peer].clone() {
                    if query.what.matches(name, None) {
                        let path = format!("shared/{name}");
                        let found = Found { kind: EntryKind::File, path: &path, size: Some(1), md5: None };
                        self.peers[peer].answer(self.now, query.id, &found).unwrap();
                        self.poll(peer);
                    }
                }
            }
            Ok(Some(Event::Hit(hit))) => self.hits.push((peer, hit.holder.at().to_string() + " " + hit.path, hit.hops)),
            Ok(_) | Err(Rejected::NoLink) => {}
            Err(error) if error.is_fatal() => self.peers[peer].disconnect(link),
            Err(_) => {}
        }
    }
}

/// A row of peers.
fn row(count: usize) -> Vec<(usize, usize)> {
    (1..count).map(|peer| (peer - 1, peer)).collect()
}

/// proves: R-FL-21, R-FL-30, R-FL-31
#[test]
fn a_hit_comes_back_over_the_links_of_its_query() {
    let mut net = Net::new(5, &row(5));
    net.share(4, "3.txt");
    let before = net.now;
    net.search(0, 7, "3.txt", Plan::All, 4);
    net.run(100);
    assert_eq!(net.hits, [(0, "10.0.0.5:2427 shared/3.txt".to_string(), 4)]);
    assert_eq!(net.over, [(0, true)]);
    assert!(net.now.since(before) <= Duration::from_millis(100));
    assert_eq!(net.queries, 4);
    // One link less, and it is out of reach.
    net.search(0, 8, "3.txt", Plan::All, 3);
    net.run(100);
    assert_eq!((net.hits.len(), net.over.last()), (1, Some(&(0, false))));
}

/// proves: R-FL-22, R-FL-28, R-FL-29
#[test]
fn loops_end_and_everybody_is_asked_once() {
    let all: Vec<(usize, usize)> = (0..6).flat_map(|a| (a + 1..6).map(move |b| (a, b))).collect();
    let mut net = Net::new(6, &all);
    net.share(3, "x");
    net.search(0, 7, "x", Plan::All, 7);
    net.run(200);
    assert_eq!(net.hits.len(), 1);
    // Of 2E - N + 1 = 25 messages most are not needed, because the others are known to have been asked.
    assert!(net.queries <= 25, "{}", net.queries);
    for peer in &net.peers[1..] {
        assert_eq!(peer.counters().queries, 1);
    }
}

/// The copy over the long way overtakes: whoever holds it for a moment, or passes the better one on, still asks all.
///
/// proves: R-FL-25, R-FL-26
#[test]
fn a_copy_that_overtakes_with_a_low_ttl_does_no_harm() {
    // 0 - 1 - 2 - 3 is quick, 0 - 3 slow; 3 - 4 - 5 lies within the TTL of 3 only over the slow link.
    let links = [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4), (4, 5)];
    for slow in [3, 40] {
        let mut net = Net::new(6, &links);
        net.delay = if slow == 3 {
            |a, b| if a + b == 3 && a * b == 0 { 3 } else { 1 }
        } else {
            |a, b| if a + b == 3 && a * b == 0 { 40 } else { 1 }
        };
        net.share(5, "x");
        net.search(0, 7, "x", Plan::All, 3);
        net.run(300);
        assert_eq!(net.hits.len(), 1, "{slow}");
    }
}

/// Peers in a row, whose filters exclude nothing.
fn unfiltered(count: usize) -> Net {
    let mut net = Net::new(count, &row(count));
    for peer in &mut net.peers {
        peer.set_names(net.now, NameFilter::ALL);
    }
    net.run(50);
    net
}

/// proves: R-FL-50, R-FL-51
#[test]
fn rings_stop_at_the_first_hit() {
    let mut net = unfiltered(8);
    net.names[2].push("x");
    net.search(0, 7, "x", Plan::First, 7);
    net.run(1000);
    assert_eq!((net.hits.len(), net.over.clone()), (1, vec![(0, true)]));
    // 1; then 1 and 2.
    assert_eq!(net.queries, 3);
    // Nobody has it: 1, 2, 4, 6 and 7.
    net.queries = 0;
    net.search(0, 8, "y", Plan::First, 7);
    net.run(2000);
    assert_eq!(net.over.last(), Some(&(0, false)));
    assert_eq!(net.queries, 1 + 2 + 4 + 6 + 7);
}

/// Rings go no farther than others are who ask, but for the last.
///
/// proves: R-FL-50
#[test]
fn rings_end_where_the_network_does() {
    let mut net = unfiltered(6);
    // What peer 1 passes on for peer 2 comes over one link.
    for id in 1..=16 {
        net.search(2, id, "y", Plan::All, 7);
        net.run(200);
    }
    net.queries = 0;
    net.search(1, 100, "y", Plan::First, 7);
    net.run(2000);
    // One ring to both neighbours, and then everybody.
    assert_eq!((net.queries, net.over.last()), (2 + 5, Some(&(1, false))));
}

/// proves: R-FL-41, R-FL-42
#[test]
fn the_last_in_a_ring_are_asked_only_if_they_may_have_it() {
    let mut net = Net::new(5, &[(0, 1), (0, 2), (0, 3), (3, 4)]);
    net.share(4, "x");
    net.share(2, "y");
    net.search(0, 7, "x", Plan::First, 7);
    net.run(1000);
    assert_eq!(net.hits.len(), 1);
    // No neighbour has it, so the first ring asks nobody; the second asks three, and one of them another.
    assert_eq!(net.queries, 4);
    // Parts of names are not in a filter.
    net.queries = 0;
    net.peers[0].search(net.now, QueryId::new(8), &What::Part("Y"), Plan::First, 1).unwrap();
    net.run(1000);
    assert_eq!((net.queries, net.hits.len()), (3, 2));
}

/// proves: R-FL-12, R-FL-42
#[test]
fn links_live_on_pings_and_die_of_silence() {
    let mut net = Net::new(2, &row(2));
    net.run(3_600_000);
    assert!(net.closed.is_empty());
    assert!(net.peers[0].is_up(net.peers[0].links().next().unwrap()));
    // The other is there no more, but nobody said so.
    net.ends.clear();
    net.run(99_000);
    let closed = net.closed.clone();
    net.run(2000);
    assert!(closed.len() < 2 && net.closed.contains(&(0, Farewell::Silent)), "{closed:?}");
    assert_eq!(net.peers[0].links().count(), 0);
}

/// proves: R-FL-11
#[test]
fn of_two_links_between_two_peers_one_stays() {
    let mut net = Net::new(2, &[(0, 1)]);
    net.link(1, 0);
    net.run(100);
    assert_eq!((net.peers[0].links().count(), net.peers[1].links().count()), (1, 1));
    let link = net.peers[0].links().next().unwrap();
    assert!(net.peers[0].is_up(link));
    net.share(1, "x");
    net.search(0, 7, "x", Plan::All, 1);
    net.run(100);
    assert_eq!(net.hits.len(), 1);
    // Dialled again, because one end lost the old link: the new one stays.
    net.link(0, 1);
    net.run(100);
    net.search(0, 8, "x", Plan::All, 1);
    net.run(100);
    assert_eq!((net.hits.len(), net.peers[0].links().count()), (2, 1));
}
