//! What a query costs a peer that remembers 1,024 of them and has 8 neighbours.

use core::net::Ipv4Addr;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use feige_core::flood::{Ends, Flood, LIFETIME, LinkId, Output, Settings};
use feige_core::time::Instant;
use feige_core::wire::flood::{self, Hello, MAX_MESSAGE, Message, Query, QueryId, Token, What};

/// A desktop.
type Desktop = Flood<1024, 8, 16>;

/// A peer whose neighbours are up, and their links.
fn desktop() -> (Box<Desktop>, Vec<LinkId>) {
    let now = Instant::START;
    let mut peer = Box::new(Desktop::new(Settings { token: Token::new(1), ..Settings::default() }, 1));
    for number in 0..8 {
        let link = peer.connect(now, Ipv4Addr::LOCALHOST, Ends::Native { dialled: false }).expect("room for a link");
        let hello = Hello { version: flood::VERSION, features: 0, token: Token::new(100 + number), software: "bench" };
        assert!(peer.handle(now, link, &Message::Hello(hello)).is_ok());
    }
    drain(&mut peer, now);
    let links = peer.links().collect();
    (peer, links)
}

fn drain(peer: &mut Desktop, now: Instant) -> usize {
    let mut buffer = [0; MAX_MESSAGE];
    let mut octets = 0;
    while let Output::Transmit { octets: sent, .. } = peer.poll(now, &mut buffer) {
        octets += sent.len();
    }
    octets
}

/// As it comes over a link.
fn query(id: u64, ttl: u8) -> Vec<u8> {
    let mut buffer = [0; MAX_MESSAGE];
    let query = Query { id: QueryId::new(id), ttl, hops: 1, what: What::Name("report-2026.pdf") };
    let len = flood::encode(&Message::Query(query), &mut buffer).expect("a buffer for every message");
    buffer[..len].to_vec()
}

fn take(peer: &mut Desktop, now: Instant, from: LinkId, octets: &[u8]) -> bool {
    let Ok(Some((Some(message), _))) = flood::frame(octets) else { panic!("no message") };
    matches!(peer.handle(now, from, &message), Ok(Some(_)))
}

fn queries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flood");
    group.throughput(Throughput::Elements(1));

    let (mut peer, links) = desktop();
    let copies: Vec<Vec<u8>> = (1..=1024).map(|id| query(id, 3)).collect();
    for (number, octets) in copies.iter().enumerate() {
        assert!(take(&mut peer, Instant::START, links[number % 8], octets), "a full table");
        drain(&mut peer, Instant::START);
    }
    let now = Instant::from_millis(1000);
    drain(&mut peer, now);
    let mut number = 0;
    group.bench_function("a copy of one of 1,024 queries, read and dropped", |bencher| {
        bencher.iter(|| {
            number += 389;
            black_box(take(&mut peer, now, links[number % 8], black_box(&copies[number % 1024])))
        });
    });
    group.bench_function("the same, and polled", |bencher| {
        bencher.iter(|| {
            number += 389;
            let is_new = take(&mut peer, now, links[number % 8], black_box(&copies[number % 1024]));
            black_box((is_new, drain(&mut peer, now)))
        });
    });

    let (mut peer, links) = desktop();
    let mut now = Instant::START;
    let mut id = 0;
    group.bench_function("a new query, passed on to seven neighbours", |bencher| {
        bencher.iter(|| {
            id += 1;
            // So slowly that the link may bring it.
            now = now + LIFETIME / 64;
            for link in &links {
                let _ = peer.handle(now, *link, &Message::Ping);
            }
            let octets = query(id, 3);
            let is_new = take(&mut peer, now, links[id as usize % 8], &octets);
            black_box((is_new, drain(&mut peer, now + Settings::default().hold * 2)))
        });
    });
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
