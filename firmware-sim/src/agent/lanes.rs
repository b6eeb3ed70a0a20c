//! Datagrams on their way out.
//!
//! The stack keeps a datagram whose receiver it does not find (no answer to ARP) at the head of its socket for ever, and
//! everything behind it waits. So broadcasts have a socket of their own, so have datagrams to those who have proven that they
//! receive, and all others wait for each other: whoever makes addresses up delays nobody else's answers. What is stuck for
//! [`PATIENCE`] is thrown away: what matters is sent again by the node.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use feige_core::node::Destination;
use feige_core::time::{Instant, earlier};
use feige_core::wire::ipmsg::PORT;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp::Socket;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// Sockets for datagrams to one receiver: one for those who are there, one for those who may be.
pub(super) const UNICAST: usize = 2;

/// Sockets for datagrams altogether.
pub(super) const LANES: usize = UNICAST + 1;

/// The stack asks for an address again after a second; then an answer comes at once, or none.
const PATIENCE: Duration = Duration::from_millis(1_200);

/// The sockets; the first one is for broadcasts, and receives.
pub(super) struct Lanes {
    sockets: [(SocketHandle, Option<Instant>); LANES],
    broadcast: Ipv4Addr,
}

impl Lanes {
    pub(super) fn new(handles: [SocketHandle; LANES], broadcast: Ipv4Addr) -> Self {
        Self { sockets: handles.map(|handle| (handle, None)), broadcast }
    }

    /// Puts a datagram where it is sent from; `proven`: its receiver is there. What has no room is lost, as datagrams may be.
    pub(super) fn send(&self, to: Destination, proven: bool, octets: &[u8], sockets: &mut SocketSet<'_>) {
        let to = match to {
            Destination::Broadcast => SocketAddrV4::new(self.broadcast, PORT),
            Destination::Unicast(to) => to,
        };
        let lane = match proven {
            _ if *to.ip() == self.broadcast => 0,
            true => 1,
            false => 2,
        };
        if let Some((handle, _)) = self.sockets.get(lane) {
            // Our own address is left to the stack: with the one that a broadcast came to, nobody would hear the answer.
            let to = IpEndpoint::new(IpAddress::Ipv4(*to.ip()), to.port());
            let _ = sockets.get_mut::<Socket<'_>>(*handle).send_slice(octets, to);
        }
    }

    /// Looks, after the stack has sent what it could, what is stuck.
    pub(super) fn clear(&mut self, now: Instant, sockets: &mut SocketSet<'_>) {
        for (handle, stuck) in &mut self.sockets {
            let socket = sockets.get_mut::<Socket<'_>>(*handle);
            if socket.send_queue() == 0 {
                *stuck = None;
            } else if now >= *stuck.get_or_insert(now) + PATIENCE {
                socket.close();
                // Refused only for sockets that are open.
                let _ = socket.bind(PORT);
                *stuck = None;
            }
        }
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stuck = self.sockets.iter().filter_map(|(_, stuck)| *stuck);
        stuck.fold(None, |soonest, since| earlier(soonest, Some(since + PATIENCE)))
    }
}
