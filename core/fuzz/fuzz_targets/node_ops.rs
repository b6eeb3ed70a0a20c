//! An agent and everything that can happen to it, in any order.
//!
//! Must hold: it sends nothing but datagrams, comes to rest after every step, never waits for what is due already, and
//! its tables keep their limits.
#![no_main]

use std::net::{Ipv4Addr, SocketAddrV4};

use arbitrary::{Result, Unstructured};
use feige_core::node::{AbsenceNotice, BothSets, Identity, Message, Names, Node, Output, Recipients};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::{Datagram, PacketNo, PacketToken};
use libfuzzer_sys::fuzz_target;

/// Small, so that everything fills up.
type Agent = Node<4, 3, 600, 16>;

fuzz_target!(|octets: &[u8]| {
    let names = Names::new(b"alice", b"pc-a", b"Alice", b"Dev");
    let identity = Identity { version: "1", software: "fuzz", utf8: names.clone(), legacy: names };
    let mut node = Agent::new(identity, PacketNo(u32::MAX - 5), 1);
    let mut millis = 0;
    let mut input = Unstructured::new(octets);
    while !input.is_empty() {
        if step(&mut node, &mut millis, &mut input).is_err() {
            break;
        }
        rest(&mut node, Instant::from_millis(millis));
    }
});

fn step(node: &mut Agent, millis: &mut u64, input: &mut Unstructured<'_>) -> Result<()> {
    let now = Instant::from_millis(*millis);
    let peer = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, input.arbitrary()?), 2425);
    match input.int_in_range(0..=15)? {
        0 => node.announce(now),
        1 => node.leave(now),
        2 => drop_result(node.greet(now, peer)),
        3 => {
            let text: &[u8] = input.arbitrary()?;
            let text = BothSets { utf8: text, legacy: text };
            node.set_absence(now, Some(AbsenceNotice { title: text, text }));
        }
        4 => node.set_absence(now, None),
        5 | 6 => {
            let recipients = *input.choose(&[Recipients::One, Recipients::Several, Recipients::Everybody])?;
            let (text, attachments) = (input.arbitrary()?, input.arbitrary()?);
            let (sealed, auto) = (input.arbitrary()?, input.arbitrary()?);
            let message = Message { text, attachments, sealed, recipients, auto, ..Message::default() };
            drop_result(node.send(now, peer, &message));
        }
        7 => {
            let token: &[u8] = input.arbitrary()?;
            drop_result(node.read(now, peer, PacketToken(token.into()), input.arbitrary()?));
        }
        8 => {
            let token: &[u8] = input.arbitrary()?;
            drop_result(node.release(peer, PacketToken(token.into())));
        }
        9 => drop_result(node.ask_list(now)),
        10 => node.proven(*peer.ip()),
        11 | 12 => *millis += u64::from(input.arbitrary::<u16>()?),
        _ => {
            let octets: &[u8] = input.arbitrary()?;
            drop_result(node.handle_datagram(now, peer, octets));
        }
    }
    Ok(())
}

fn rest(node: &mut Agent, now: Instant) {
    for _ in 0..100 {
        let mut buffer = [0; 2048];
        match node.poll(now, &mut buffer) {
            Output::Transmit { octets, .. } => assert!(Datagram::parse(octets).is_ok()),
            Output::Alarm(_) => {}
            Output::Wait(until) => {
                assert!(until.is_none_or(|until| until > now));
                assert!(node.members().count() <= 4 && node.outgoing() <= 3);
                return;
            }
            Output::BufferTooSmall(small) => panic!("{small}"),
        }
    }
    panic!("does not come to rest");
}

/// Whatever it says: a refusal is an answer.
fn drop_result<T, E>(result: std::result::Result<T, E>) {
    let _ = result;
}
