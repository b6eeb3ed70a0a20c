//! Neighbours that mean no good, and tables without room.

use std::vec::Vec;

use core::net::SocketAddrV4;

use super::super::*;
use super::links::{PEER, hello, peer, query, sent};

/// proves: R-FL-21
#[test]
fn no_ttl_makes_a_query_go_farther_than_it_may() {
    let now = Instant::START;
    let mut flood = peer::<16, 2, 4>(2);
    let link = flood.links().next().unwrap();
    for (ttl, hops) in [(0, 0), (16, 0), (255, 0), (1, 7), (3, 255)] {
        assert_eq!(flood.handle(now, link, &query(7, ttl, hops, "x")), Err(Rejected::Ttl), "{ttl} {hops}");
    }
    assert_eq!(flood.counters().malformed, 5);
    for (id, (ttl, hops, sent_with)) in [(15, 0, 6), (7, 5, 1), (2, 0, 1)].into_iter().enumerate() {
        flood.handle(now, link, &query(id as u64 + 1, ttl, hops, "x")).unwrap();
        let messages = sent(&mut flood, now);
        let Ok(Some((Some(Message::Query(query)), _))) = crate::wire::flood::frame(&messages[0].1) else { panic!() };
        assert_eq!((query.ttl, query.hops), (sent_with, hops + 1));
    }
    flood.handle(now, link, &query(9, 1, 0, "x")).unwrap();
    assert!(sent(&mut flood, now).is_empty());
    assert_eq!(flood.handle(now, link, &query(8, 3, 0, "../x")), Err(Rejected::Malformed));
}

/// proves: R-FL-26, R-FL-28
#[test]
fn a_thousand_copies_make_no_more_messages_than_a_few() {
    let now = Instant::START;
    let mut flood = peer::<16, 8, 4>(8);
    let links: Vec<LinkId> = flood.links().collect();
    let mut asked = 0;
    let mut messages = 0;
    for copy in 0..1000_u32 {
        let ttl = u8::try_from(copy % 15).unwrap() + 1;
        let from = links[usize::try_from(copy % 8).unwrap()];
        let event = flood.handle(now, from, &query(7, ttl, 0, "x")).unwrap();
        asked += u32::from(matches!(event, Some(Event::Asked(_))));
        messages += sent(&mut flood, now).len();
    }
    assert_eq!(asked, 1);
    assert!(messages <= usize::from(RADIUS) * 8, "{messages}");
}

/// proves: R-FL-23, R-FL-24
#[test]
fn a_full_table_refuses_and_forgets_nothing() {
    let mut now = Instant::START;
    let mut flood = peer::<16, 8, 4>(8);
    let links: Vec<LinkId> = flood.links().collect();
    let refused: Vec<Rejected> = (1..=64)
        .filter_map(|id| {
            let from = links[usize::try_from(id % 8).unwrap()];
            let result = flood.handle(now, from, &query(id, 2, 0, "x"));
            sent(&mut flood, now);
            result.err()
        })
        .collect();
    assert_eq!((refused.len(), flood.remembered(now)), (48, 16));
    assert!(refused.contains(&Rejected::Full) && refused.contains(&Rejected::TooOften));
    assert_eq!(flood.counters().full + flood.counters().too_often, 48);
    // Those that are in it are still known, as copies.
    for id in 1..=16 {
        assert_eq!(flood.handle(now, links[0], &query(id, 1, 0, "x")), Ok(None));
    }
    assert_eq!(flood.search(now, QueryId::new(99), &What::Name("x"), Plan::All, 1), Err(Rejected::Full));
    // A lifetime later there is room.
    now = now + LIFETIME + Duration::from_secs(1);
    assert_eq!(flood.remembered(now), 0);
    assert!(flood.handle(now, links[0], &query(3, 2, 0, "x")).unwrap().is_some());
}

/// One neighbour cannot use the table up for the others.
///
/// proves: R-FL-24
#[test]
fn a_link_brings_a_quarter_of_the_table_at_once() {
    let now = Instant::START;
    let mut flood = peer::<64, 4, 8>(4);
    let links: Vec<LinkId> = flood.links().collect();
    let taken = (1..=1000).filter(|&id| {
        let is_taken = flood.handle(now, links[0], &query(id, 2, 0, "x")).is_ok();
        sent(&mut flood, now);
        is_taken
    });
    assert_eq!(taken.count(), 16);
    assert!(flood.handle(now, links[1], &query(2000, 2, 0, "x")).is_ok());
}

/// proves: R-FL-30, R-FL-32, R-FL-33
#[test]
fn hits_that_nobody_asked_for_go_nowhere() {
    let now = Instant::START;
    let mut flood = peer::<16, 3, 4>(2);
    let links: Vec<LinkId> = flood.links().collect();
    let holder = Holder::new("10.0.0.7:9".parse().unwrap(), Speech::Native);
    let id = QueryId::new(7);
    let hit = Hit { id, hops: 0, holder, kind: EntryKind::File, path: "x", size: Some(1), md5: None };
    assert_eq!(flood.handle(now, links[0], &Message::Hit(hit)), Err(Rejected::NobodyAsked));
    flood.handle(now, links[1], &query(7, 3, 0, "x")).unwrap();
    sent(&mut flood, now);
    for bad in [
        Hit { path: "../x", ..hit },
        Hit { holder: Holder::new("255.255.255.255:9".parse().unwrap(), Speech::Native), ..hit },
        Hit { holder: Holder::new("10.0.0.7:0".parse().unwrap(), Speech::Native), ..hit },
    ] {
        assert_eq!(flood.handle(now, links[0], &Message::Hit(bad)), Err(Rejected::Malformed));
    }
    let mut passed = 0;
    for _ in 0..1000 {
        if flood.handle(now, links[0], &Message::Hit(hit)).is_ok() {
            passed += sent(&mut flood, now).len();
        }
    }
    assert_eq!(passed, usize::from(HITS_MOST));
    assert_eq!(flood.counters().hits_dropped, 4 + 1000 - u64::from(HITS_MOST));
}

/// Every neighbour knows a peer's token: who says it elsewhere takes no link over and ends none.
///
/// proves: R-FL-11
#[test]
fn a_token_alone_is_nobody() {
    let now = Instant::START;
    let thief = Ipv4Addr::new(10, 0, 0, 66);
    // Whose token is the lesser makes no difference, nor does who dialled whom.
    for (token, dialled) in [(99, false), (99, true), (1, false), (1, true)] {
        let settings = Settings { token: Token::new(token), hold: Duration::ZERO, ..Settings::default() };
        let mut flood = Flood::<16, 4, 4>::new(settings, 1);
        let asker = flood.connect(now, PEER, Ends::Native { dialled }).unwrap();
        flood.handle(now, asker, &hello(5)).unwrap();
        flood.handle(now, asker, &query(7, 3, 0, "x")).unwrap();
        let other = flood.connect(now, thief, Ends::Native { dialled: false }).unwrap();
        assert_eq!(flood.handle(now, other, &hello(5)), Err(Rejected::Duplicate(asker)));
        assert!(Rejected::Duplicate(asker).is_fatal());
        flood.disconnect(other);
        sent(&mut flood, now);
        assert!(flood.is_up(asker));
        let found = Found { kind: EntryKind::File, path: "x", size: None, md5: None };
        flood.answer(now, QueryId::new(7), &found).unwrap();
        assert_eq!(sent(&mut flood, now).first().map(|(to, _)| *to), Some(asker.index()));
    }
}

/// Nobody is sent to the services of his own machine, or to an address that no host has.
///
/// proves: R-FL-31
#[test]
fn a_holder_is_a_host() {
    let now = Instant::START;
    let offered = |to: Ipv4Addr, ip: &str| {
        let mut flood = Flood::<16, 3, 4>::new(Settings { token: Token::new(1), ..Settings::default() }, 1);
        let link = flood.connect(now, to, Ends::Native { dialled: true }).unwrap();
        flood.handle(now, link, &hello(2)).unwrap();
        flood.search(now, QueryId::new(7), &What::Name("x"), Plan::All, 3).unwrap();
        let holder = Holder::new(SocketAddrV4::new(ip.parse().unwrap(), 6379), Speech::Native);
        let hit = Hit { id: QueryId::new(7), hops: 0, holder, kind: EntryKind::File, path: "x", size: None, md5: None };
        flood.handle(now, link, &Message::Hit(hit)).map(|event| event.is_some())
    };
    for ip in ["0.0.0.1", "127.0.0.1", "127.255.0.1", "224.0.0.1", "240.1.1.1", "255.0.0.1", "255.255.255.255"] {
        assert_eq!(offered(PEER, ip), Err(Rejected::Malformed), "{ip}");
    }
    for ip in ["0.0.0.0", "1.0.0.1", "10.0.0.7", "223.255.255.254"] {
        assert_eq!(offered(PEER, ip), Ok(true), "{ip}");
    }
    // On one machine, that is where they are.
    assert_eq!(offered(Ipv4Addr::LOCALHOST, "127.0.0.1"), Ok(true));
}

/// With no slots nothing is passed on, with few nothing is held, and nothing else changes.
#[test]
fn every_capacity_answers() {
    fn with<const S: usize>(expected: usize) {
        let now = Instant::START;
        let mut flood = peer::<16, 3, S>(3);
        let link = flood.links().next().unwrap();
        assert!(matches!(flood.handle(now, link, &query(7, 3, 0, "x")), Ok(Some(Event::Asked(_)))));
        assert_eq!(sent(&mut flood, now).len(), expected, "{S} slots");
    }
    with::<0>(0);
    with::<1>(2);
    with::<2>(2);
    let mut flood = peer::<16, 3, 0>(3);
    let what = What::Name("x");
    assert_eq!(flood.search(Instant::START, QueryId::new(1), &what, Plan::All, 1), Err(Rejected::Busy));
    let mut lonely = Flood::<16, 0, 4>::new(Settings::default(), 1);
    assert_eq!(lonely.connect(Instant::START, PEER, Ends::Classic), None);
    lonely.search(Instant::START, QueryId::new(1), &what, Plan::First, 7).unwrap();
    let mut buffer = [0; crate::wire::flood::MAX_MESSAGE];
    let over = Output::Over { id: QueryId::new(1), found: false };
    assert_eq!(lonely.poll(Instant::START, &mut buffer), over, "nobody was asked, so nobody is waited for");
}
