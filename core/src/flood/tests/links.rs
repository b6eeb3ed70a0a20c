//! One peer, by hand.

use std::vec::Vec;

use super::super::*;
use crate::wire::flood::{MAX_MESSAGE, frame};

pub(super) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

pub(super) fn hello(token: u64) -> Message<'static> {
    Message::Hello(Hello { version: 1, features: 0, token: Token::new(token), software: "test" })
}

pub(super) fn query(id: u64, ttl: u8, hops: u8, name: &str) -> Message<'_> {
    Message::Query(Query { id: QueryId::new(id), ttl, hops, what: What::Name(name) })
}

/// Everything that a peer wants to send now, and to whom.
pub(super) fn sent<const Q: usize, const L: usize, const S: usize>(
    flood: &mut Flood<Q, L, S>,
    now: Instant,
) -> Vec<(usize, Vec<u8>)> {
    let mut buffer = [0; MAX_MESSAGE];
    let mut sent = Vec::new();
    while let Output::Transmit { to, octets } = flood.poll(now, &mut buffer) {
        sent.push((to.index(), octets.to_vec()));
    }
    sent
}

/// A peer with so many neighbours, all greeted.
pub(super) fn peer<const Q: usize, const L: usize, const S: usize>(neighbours: u64) -> Flood<Q, L, S> {
    let settings = Settings { token: Token::new(1), hold: Duration::ZERO, ..Settings::default() };
    let mut flood = Flood::new(settings, 1);
    for number in 0..neighbours {
        let link = flood.connect(Instant::START, PEER, Ends::Native { dialled: false }).unwrap();
        flood.handle(Instant::START, link, &hello(100 + number)).unwrap();
    }
    sent(&mut flood, Instant::START);
    flood
}

/// proves: R-FL-10, R-FL-11
#[test]
fn hello_comes_first_and_once() {
    let now = Instant::START;
    let mut flood = peer::<16, 3, 4>(0);
    let link = flood.connect(now, PEER, Ends::Native { dialled: true }).unwrap();
    assert_eq!(flood.handle(now, link, &query(7, 1, 0, "x")), Err(Rejected::Order));
    assert_eq!(flood.handle(now, link, &hello(1)), Err(Rejected::Ourselves));
    let Message::Hello(old) = hello(2) else { panic!() };
    assert_eq!(flood.handle(now, link, &Message::Hello(Hello { version: 0, ..old })), Err(Rejected::Version));
    assert!(!flood.is_up(link));
    assert_eq!(flood.handle(now, link, &hello(2)), Ok(Some(Event::Up(old))));
    assert_eq!(flood.handle(now, link, &hello(2)), Err(Rejected::Order));
    let messages = sent(&mut flood, now);
    assert!(matches!(frame(&messages[0].1), Ok(Some((Some(Message::Hello(_)), _)))));
    assert!(matches!(frame(&messages[1].1), Ok(Some((Some(Message::Filter(NameFilter::NONE)), _)))));
    assert!(flood.is_up(link));
    // No more links than there is room for; one that never says hello is given up.
    let silent = flood.connect(now, PEER, Ends::Native { dialled: false }).unwrap();
    assert!(flood.connect(now, PEER, Ends::Classic).is_some() && flood.connect(now, PEER, Ends::Classic).is_none());
    sent(&mut flood, now);
    let mut buffer = [0; MAX_MESSAGE];
    let later = now + GREETING;
    assert_eq!(flood.poll(later, &mut buffer), Output::Close { link: silent, why: Farewell::Silent });
    assert_eq!(flood.poll(later, &mut buffer[1..]), Output::BufferTooSmall);
}

/// proves: R-FL-13
#[test]
fn a_link_that_is_gone_is_forgotten() {
    let now = Instant::START;
    let mut flood = peer::<16, 3, 4>(3);
    let links: Vec<LinkId> = flood.links().collect();
    assert_eq!(flood.handle(now, links[0], &Message::Bye), Ok(Some(Event::Bye)));
    assert!(matches!(flood.handle(now, links[0], &query(7, 2, 0, "x")), Ok(Some(Event::Asked(_)))));
    flood.disconnect(links[0]);
    let found = Found { kind: EntryKind::File, path: "x", size: None, md5: None };
    assert_eq!(flood.answer(now, QueryId::new(7), &found), Err(Rejected::NobodyAsked));
    // Another link with its number gets what the old one was known to have.
    let again = flood.connect(now, PEER, Ends::Native { dialled: false }).unwrap();
    assert_eq!(again, links[0]);
    assert_eq!(flood.handle(now, LinkId(9), &Message::Ping), Err(Rejected::NoLink));
    assert_eq!(sent(&mut flood, now).len(), 2 + 1, "the query to two, and hello");
}

/// proves: R-FL-30, R-FL-77
#[test]
fn askers_get_hits_and_no_queries() {
    let now = Instant::START;
    let mut flood = peer::<16, 3, 4>(1);
    let native = flood.links().next().unwrap();
    let askers = flood.connect(now, Ipv4Addr::UNSPECIFIED, Ends::Askers).unwrap();
    let classic = flood.connect(now, PEER, Ends::Classic).unwrap();
    flood.handle(now, askers, &query(7, 3, 0, "x")).unwrap();
    let to: Vec<usize> = sent(&mut flood, now).into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, [native.index(), classic.index()]);
    let found = Found { kind: EntryKind::File, path: "x", size: Some(1), md5: None };
    flood.answer(now, QueryId::new(7), &found).unwrap();
    assert_eq!(sent(&mut flood, now).first().map(|(to, _)| *to), Some(askers.index()));
}

/// Who has had a query from others has the next ring from them, too.
///
/// proves: R-FL-52
#[test]
fn a_ring_is_not_passed_on_to_those_who_are_asked_by_others() {
    let mut now = Instant::START;
    let mut flood = peer::<16, 6, 4>(4);
    let natives: Vec<LinkId> = flood.links().collect();
    let [asker, equal, farther, child] = natives[..] else { panic!("{natives:?}") };
    let classic = flood.connect(now, PEER, Ends::Classic).unwrap();
    let mut ring = |ttl: u8, copies: &[(LinkId, u8)]| {
        flood.handle(now, asker, &query(7, ttl, 1, "x")).unwrap();
        for &(from, hops) in copies {
            flood.handle(now, from, &query(7, ttl + 1 - hops, hops, "x")).unwrap();
        }
        now = now + Duration::from_millis(100);
        sent(&mut flood, now).into_iter().map(|(to, _)| to).collect::<Vec<usize>>()
    };
    // We are two links away, and so is `equal`; the classic program repeats what it was told.
    assert_eq!(ring(4, &[(equal, 2), (farther, 4), (classic, 3)]), [farther, child].map(LinkId::index));
    assert_eq!(ring(5, &[]), [farther, child, classic].map(LinkId::index));
    // It turns out to be nearer.
    assert_eq!(ring(6, &[(farther, 3)]), [child, classic].map(LinkId::index));
}
