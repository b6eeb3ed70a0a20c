//! The interfaces of this machine, and where announcements go.

use std::net::Ipv4Addr;

use if_addrs::{IfAddr, IfOperStatus};

/// The addresses to announce to: what was asked for, or the broadcast address of every interface that is up,
/// or of the one that has the address `bind`.
///
/// Read again for each announcement, so that a cable plugged in later, a VPN or a new lease is noticed.
/// Without any such interface the limited broadcast address remains, which at least the loopback peers and
/// a default route can carry.
#[must_use]
pub fn broadcast_targets(asked: &[Ipv4Addr], bind: Ipv4Addr) -> Vec<Ipv4Addr> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let mut targets: Vec<Ipv4Addr> = Vec::new();
    for interface in if_addrs::get_if_addrs().unwrap_or_default() {
        let IfAddr::V4(address) = &interface.addr else { continue };
        let reaches_many = interface.oper_status != IfOperStatus::Down && !interface.is_p2p();
        let wanted = if bind.is_unspecified() { reaches_many && !address.ip.is_loopback() } else { address.ip == bind };
        if let Some(broadcast) = address.broadcast.filter(|_| wanted)
            && !targets.contains(&broadcast)
        {
            targets.push(broadcast);
        }
    }
    if targets.is_empty() && !bind.is_loopback() {
        targets.push(Ipv4Addr::BROADCAST);
    }
    targets
}

/// The broadcast address of the interface that has the address `bind`.
#[must_use]
pub fn broadcast_of(bind: Ipv4Addr) -> Option<Ipv4Addr> {
    if_addrs::get_if_addrs().unwrap_or_default().into_iter().find_map(|interface| match interface.addr {
        IfAddr::V4(address) if address.ip == bind => address.broadcast,
        _ => None,
    })
}

/// Whether what is sent to an address may come to many machines, this one among them, or is no address of any.
#[must_use]
pub fn is_of_many(address: Ipv4Addr) -> bool {
    address.is_broadcast()
        || address.is_multicast()
        || address.is_unspecified()
        || if_addrs::get_if_addrs().unwrap_or_default().iter().any(
            |interface| matches!(&interface.addr, IfAddr::V4(of) if of.broadcast == Some(address) && of.ip != address),
        )
}

/// Whether an address is one of this machine's. That the loopback network has a broadcast address is no
/// interface's saying.
#[must_use]
pub fn is_local(address: Ipv4Addr) -> bool {
    (address.is_loopback() && address != Ipv4Addr::new(127, 255, 255, 255))
        || if_addrs::get_if_addrs()
            .unwrap_or_default()
            .iter()
            .any(|interface| interface.ip() == std::net::IpAddr::V4(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_many_are_known() {
        for many in ["255.255.255.255", "0.0.0.0", "224.0.0.1"] {
            assert!(is_of_many(many.parse().unwrap()), "{many}");
        }
        for one in ["127.0.0.1", "10.9.8.254"] {
            assert!(!is_of_many(one.parse().unwrap()), "{one}");
        }
        for many in broadcast_targets(&[], Ipv4Addr::UNSPECIFIED) {
            assert!(is_of_many(many), "{many}");
        }
    }
}
