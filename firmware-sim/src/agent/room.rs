//! The memory that an agent is lent: buffers, members, sockets.

use core::mem::MaybeUninit;

use feige_core::node::Node;
use smoltcp::iface::SocketStorage;
use smoltcp::socket::udp;

#[cfg(feature = "flood")]
use super::NEIGHBOURS;
use super::lanes::UNICAST;
use super::{BUFFER, BYTES, DATAGRAM, OUTGOING, RECEIVED, SEEN};

/// Buffers that are lent to an agent that knows up to `MEMBERS` others and has `SLOTS` connections of the family and
/// `GUESTS` of the verified transfer, with `RX` octets to receive and `TX` octets to send each.
///
/// A session of the verified transfer works in two buffers of `SESSION` octets, at least `LEAST_SESSION`: the larger they
/// are, the more of a file is hashed and stored at once; in [`WHOLE_RUN`], sixteen blocks are hashed side by side. Without
/// feature `transfer` both numbers are 0.
///
/// All of it can stand in a static: nothing that is large is ever moved, or built on the stack.
///
/// [`WHOLE_RUN`]: super::WHOLE_RUN
#[derive(Debug)]
pub struct Room<
    const MEMBERS: usize,
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
> {
    pub(super) node: MaybeUninit<Node<MEMBERS, OUTGOING, BYTES, SEEN>>,
    pub(super) buffers: Buffers<SLOTS, RX, TX, GUESTS, SESSION>,
}

/// What of a [`Room`] is octets.
#[derive(Debug)]
pub(super) struct Buffers<
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
> {
    pub(super) connections: [Connection<RX, TX>; SLOTS],
    #[cfg(feature = "transfer")]
    pub(super) transfers: [Transfer<RX, TX, SESSION>; GUESTS],
    #[cfg(feature = "flood")]
    pub(super) links: [LinkRoom; NEIGHBOURS],
    pub(super) received: [u8; RECEIVED],
    pub(super) unicast: [[u8; DATAGRAM]; UNICAST],
    pub(super) broadcast: [u8; 640],
    pub(super) scratch: [u8; DATAGRAM],
    pub(super) log: [u8; 1024],
}

#[derive(Debug)]
pub(super) struct Connection<const RX: usize, const TX: usize> {
    pub(super) rx: [u8; RX],
    pub(super) tx: [u8; TX],
    pub(super) machine: [u8; BUFFER],
}

#[cfg(feature = "transfer")]
#[derive(Debug)]
pub(super) struct Transfer<const RX: usize, const TX: usize, const SESSION: usize> {
    pub(super) rx: [u8; RX],
    pub(super) tx: [u8; TX],
    pub(super) input: [u8; SESSION],
    pub(super) output: [u8; SESSION],
}

/// A link has room for a few messages each way.
#[cfg(feature = "flood")]
#[derive(Debug)]
pub(super) struct LinkRoom {
    pub(super) rx: [u8; 536],
    pub(super) tx: [u8; 1072],
    pub(super) input: [u8; feige_core::wire::flood::MAX_MESSAGE],
}

impl<
    const MEMBERS: usize,
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
> Room<MEMBERS, SLOTS, RX, TX, GUESTS, SESSION>
{
    /// Room for one agent.
    #[must_use]
    pub const fn new() -> Self {
        Self { node: MaybeUninit::uninit(), buffers: Buffers::new() }
    }
}

impl<const SLOTS: usize, const RX: usize, const TX: usize, const GUESTS: usize, const SESSION: usize>
    Buffers<SLOTS, RX, TX, GUESTS, SESSION>
{
    const fn new() -> Self {
        Self {
            connections: [const { Connection { rx: [0; RX], tx: [0; TX], machine: [0; BUFFER] } }; SLOTS],
            #[cfg(feature = "transfer")]
            transfers: [const { Transfer { rx: [0; RX], tx: [0; TX], input: [0; SESSION], output: [0; SESSION] } };
                GUESTS],
            #[cfg(feature = "flood")]
            links: [const { LinkRoom { rx: [0; 536], tx: [0; 1072], input: [0; feige_core::wire::flood::MAX_MESSAGE] } };
                NEIGHBOURS],
            received: [0; RECEIVED],
            unicast: [[0; DATAGRAM]; UNICAST],
            broadcast: [0; 640],
            scratch: [0; DATAGRAM],
            log: [0; 1024],
        }
    }
}

impl<
    const MEMBERS: usize,
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
> Default for Room<MEMBERS, SLOTS, RX, TX, GUESTS, SESSION>
{
    fn default() -> Self {
        Self::new()
    }
}

/// The sockets of an agent, `SOCKETS` altogether: one for each connection of either kind, and [`EXTRA_SOCKETS`].
///
/// Not part of [`Room`], because it does not consist of zeros, and would have to be copied from flash.
///
/// [`EXTRA_SOCKETS`]: super::EXTRA_SOCKETS
#[derive(Debug)]
pub struct Sockets<'a, const SOCKETS: usize> {
    pub(super) storage: [SocketStorage<'a>; SOCKETS],
    pub(super) received: [udp::PacketMetadata; 16],
    pub(super) unicast: [[udp::PacketMetadata; 4]; UNICAST],
    pub(super) broadcast: [udp::PacketMetadata; 2],
}

impl<const SOCKETS: usize> Sockets<'_, SOCKETS> {
    /// Places for sockets.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            storage: [const { SocketStorage::EMPTY }; SOCKETS],
            received: [udp::PacketMetadata::EMPTY; 16],
            unicast: [[udp::PacketMetadata::EMPTY; 4]; UNICAST],
            broadcast: [udp::PacketMetadata::EMPTY; 2],
        }
    }
}

impl<const SOCKETS: usize> Default for Sockets<'_, SOCKETS> {
    fn default() -> Self {
        Self::new()
    }
}
