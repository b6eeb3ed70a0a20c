//! The datagram state under load: how many datagrams a second are taken in and answered, sockets not counted.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use feige_core::node::{Event, Identity, Message, Names, Node, Output};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::PacketNo;

/// A desktop.
type Desktop = Node<1024, 64, 65536, 4096>;

fn desktop() -> Box<Desktop> {
    let names = Names::new(b"alice", b"pc-a", b"Alice", b"Dev");
    let identity = Identity { version: "1", software: "bench", utf8: names.clone(), legacy: names };
    let mut node = Box::new(Node::new(identity, PacketNo(1), 1));
    node.announce(Instant::START);
    drain(&mut node, Instant::START);
    node
}

fn drain(node: &mut Desktop, now: Instant) -> usize {
    let mut buffer = [0; 2048];
    let mut octets = 0;
    while let Output::Transmit { octets: sent, .. } = node.poll(now, &mut buffer) {
        octets += sent.len();
    }
    octets
}

fn address(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 | number), 2425)
}

fn fill(node: &mut Desktop) {
    for number in 0..1024 {
        let entry = format!("1:{number}:user{number}:host{number}:18874371:Nick {number}\0Group\0");
        assert!(node.handle_datagram(Instant::START, address(number), entry.as_bytes()).is_ok());
    }
    assert_eq!(node.members().count(), 1024);
}

/// Messages of 50 octets, each different, from members in turn, each confirmed.
fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("node");
    group.throughput(Throughput::Elements(1));
    for members in [0, 1024] {
        let mut node = desktop();
        if members > 0 {
            fill(&mut node);
        }
        let mut octets = *b"1:0000000000:user1:host1:288:hello, how are you?\0";
        let mut number = 0_u64;
        group.bench_function(format!("message and confirmation, {members} members"), |bencher| {
            bencher.iter(|| {
                number += 1;
                let mut digits = number;
                for place in octets[2..12].iter_mut().rev() {
                    *place = b'0' + (digits % 10) as u8;
                    digits /= 10;
                }
                let now = Instant::from_millis(number / 1000);
                let from = address((number % 1024) as u32);
                let event = node.handle_datagram(now, from, black_box(&octets));
                assert!(matches!(event, Ok(Some(Event::Message(_)))));
                let mut buffer = [0; 2048];
                let Output::Transmit { octets, .. } = node.poll(now, &mut buffer) else { panic!() };
                black_box(octets.len())
            });
        });
    }

    let mut node = desktop();
    let mut number = 0_u32;
    let mut entry = *b"1:0000000000:user000000:host:18874369:Nick\0Group\0\nUN:user\nHN:host\nNN:Nick\nGN:Group\n\0";
    group.bench_function("entries of ever new strangers", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(1);
            let mut digits = number;
            for place in entry[17..23].iter_mut().rev() {
                *place = b'0' + (digits % 10) as u8;
                digits /= 10;
            }
            let now = Instant::from_millis(u64::from(number) / 1000);
            let event = node.handle_datagram(now, address(number & 0xff_ffff), black_box(&entry)).is_ok();
            black_box((event, drain(&mut node, now)))
        });
    });

    let mut node = desktop();
    fill(&mut node);
    let mut number = 0_u64;
    group.bench_function("a message sent and confirmed, 1024 members", |bencher| {
        bencher.iter(|| {
            number += 1;
            let now = Instant::from_millis(number / 1000);
            let to = address((number % 1024) as u32);
            let message = Message { text: b"hello, how are you?", ..Message::default() };
            let packet_no = node.send(now, to, &message).unwrap();
            drain(&mut node, now);
            let mut ack = *b"1:5:user1:host1:33:0000000000\0";
            let mut digits = packet_no.0;
            for place in ack[19..29].iter_mut().rev() {
                *place = b'0' + (digits % 10) as u8;
                digits /= 10;
            }
            assert!(matches!(node.handle_datagram(now, to, &ack), Ok(Some(Event::Delivered { .. }))));
        });
    });

    let mut node = desktop();
    fill(&mut node);
    let mut number = 0_u32;
    group.bench_function("a member looked up among 1024", |bencher| {
        bencher.iter(|| {
            number = number.wrapping_add(389);
            black_box(node.member_at(address(number % 1024)).is_some())
        });
    });
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
