//! The node as traces: this arrives at that time, and that goes out.

mod captures;
mod hostile;
#[cfg(feature = "lists")]
mod lists;
mod messages;
mod presence;

use std::vec::Vec;

use super::*;

type Small = Node<8, 8, 8192, 64>;

/// Datagrams, and where they go.
type Sent = Vec<(Destination, Vec<u8>)>;

/// The same, and when.
type Trace = Vec<(u64, Destination, Vec<u8>)>;

/// The one that the tests are about.
fn identity() -> Identity {
    let utf8 = Names::new("飞".as_bytes(), b"pc-a", "阿飞".as_bytes(), "组".as_bytes());
    let legacy = Names::new(b"\xb7\xc9", b"pc-a", b"\xb0\xa2\xb7\xc9", b"\xd7\xe9");
    Identity { version: "1", software: "Feige 0.1", utf8, legacy }
}

fn plain_identity() -> Identity {
    let names = Names::new(b"alice", b"pc-a", b"Alice", b"Dev");
    Identity { version: "1", software: "Feige 0.1", utf8: names.clone(), legacy: names }
}

fn node() -> Small {
    Node::new(plain_identity(), PacketNo(100), 1)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn peer(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, last), 2425)
}

/// Everything that goes out at `now`, and until when the node waits then.
fn poll<const M: usize, const S: usize, const B: usize, const N: usize>(
    node: &mut Node<M, S, B, N>,
    now: Instant,
) -> (Sent, Vec<Alarm>, Option<Instant>) {
    let (mut sent, mut alarms) = (Vec::new(), Vec::new());
    loop {
        let mut buffer = [0xa5; 8192];
        match node.poll(now, &mut buffer) {
            Output::Transmit { to, octets } => {
                assert!(!octets.contains(&0xa5), "an octet was left unwritten");
                sent.push((to, octets.to_vec()));
            }
            Output::Alarm(alarm) => alarms.push(alarm),
            Output::Wait(until) => {
                assert!(until.is_none_or(|until| until > now), "would spin");
                return (sent, alarms, until);
            }
            Output::BufferTooSmall(_) => unreachable!(),
        }
    }
}

/// What goes out at `now`.
fn sent<const M: usize, const S: usize, const B: usize, const N: usize>(
    node: &mut Node<M, S, B, N>,
    now: Instant,
) -> Sent {
    let (sent, alarms, _) = poll(node, now);
    assert!(alarms.is_empty(), "{alarms:?}");
    sent
}

fn to(last: u8, octets: &[u8]) -> (Destination, Vec<u8>) {
    (Destination::Unicast(peer(last)), octets.to_vec())
}

fn everybody(octets: &[u8]) -> (Destination, Vec<u8>) {
    (Destination::Broadcast, octets.to_vec())
}

/// Runs the clock until `end` and notes when what went out.
fn run<const M: usize, const S: usize, const B: usize, const N: usize>(
    node: &mut Node<M, S, B, N>,
    from: u64,
    end: u64,
) -> (Trace, Vec<(u64, Alarm)>) {
    let (mut trace, mut alarms) = (Vec::new(), Vec::new());
    let mut now = at(from);
    loop {
        let (sent, alarmed, until) = poll(node, now);
        trace.extend(sent.into_iter().map(|(to, octets)| (now.as_millis(), to, octets)));
        alarms.extend(alarmed.into_iter().map(|alarm| (now.as_millis(), alarm)));
        match until.filter(|until| until.as_millis() <= end) {
            Some(until) => now = until,
            None => return (trace, alarms),
        }
    }
}

/// A member that is known.
fn meet(node: &mut Small, last: u8, entry: &[u8]) {
    assert!(matches!(node.handle_datagram(at(0), peer(last), entry), Ok(Some(Event::Online(_)))));
}
