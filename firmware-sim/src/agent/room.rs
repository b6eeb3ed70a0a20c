//! The memory that an agent is lent: buffers, members, sockets.

use core::mem::MaybeUninit;

use feige_core::node::{Identity, Node, Offers};
use feige_core::time::Instant;
#[cfg(feature = "flood")]
use feige_core::wire::flood::MAX_MESSAGE;
use feige_core::wire::ipmsg::PacketNo;
use heapless::{Vec, VecView};
use smoltcp::iface::SocketStorage;
use smoltcp::socket::udp;

use super::downloads::Wanted;
#[cfg(feature = "transfer")]
use super::guests::State;
use super::lanes::UNICAST;
#[cfg(feature = "flood")]
use super::neighbours::{Flooding, Neighbours};
use super::{BUFFER, BYTES, DATAGRAM, OFFERS, OUTGOING, QUEUE, RECEIVED, SEEN};

/// Buffers that are lent to an agent that knows up to `MEMBERS` others and has `SLOTS` connections of the family and
/// `GUESTS` of the verified transfer, with `RX` octets to receive and `TX` octets to send each, and `LINKS` neighbours of the
/// flooded search.
///
/// A session of the verified transfer works in two buffers of `SESSION` octets, at least `LEAST_SESSION`: the larger they
/// are, the more of a file is hashed and stored at once; in [`WHOLE_RUN`], sixteen blocks are hashed side by side. Without
/// feature `transfer` both numbers are 0; without feature `flood`, `LINKS` is.
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
    const LINKS: usize,
> {
    pub(super) node: MaybeUninit<Node<MEMBERS, OUTGOING, BYTES, SEEN>>,
    #[cfg(feature = "flood")]
    pub(super) flood: MaybeUninit<Flooding<LINKS>>,
    pub(super) offers: Offers<OFFERS>,
    pub(super) wanted: Vec<Wanted, QUEUE>,
    pub(super) buffers: Buffers<SLOTS, RX, TX, GUESTS, SESSION, LINKS>,
}

/// A [`Room`] with what was made in it, for an agent.
#[derive(Debug)]
pub struct Prepared<
    'a,
    const MEMBERS: usize,
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
    const LINKS: usize,
> {
    pub(super) node: &'a mut Node<MEMBERS, OUTGOING, BYTES, SEEN>,
    #[cfg(feature = "flood")]
    pub(super) neighbours: Neighbours<'a, LINKS>,
    pub(super) offers: &'a mut Offers<OFFERS>,
    pub(super) wanted: &'a mut Vec<Wanted, QUEUE>,
    pub(super) buffers: &'a mut Buffers<SLOTS, RX, TX, GUESTS, SESSION, LINKS>,
}

/// What of a [`Room`] is octets.
#[derive(Debug)]
pub(super) struct Buffers<
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
    const LINKS: usize,
> {
    pub(super) connections: [Connection<RX, TX>; SLOTS],
    #[cfg(feature = "transfer")]
    pub(super) transfers: [Transfer<RX, TX, SESSION>; GUESTS],
    #[cfg(feature = "flood")]
    pub(super) links: [LinkRoom; LINKS],
    pub(super) received: [u8; RECEIVED],
    pub(super) unicast: [[u8; DATAGRAM]; UNICAST],
    pub(super) broadcast: [u8; 640],
    pub(super) scratch: [u8; DATAGRAM],
    pub(super) log: [u8; 768],
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
    pub(super) state: MaybeUninit<State>,
}

/// What a link has room for, besides a message of the largest kind that comes: one that leaves, and some small ones.
#[cfg(feature = "flood")]
const LINK_TX: usize = MAX_MESSAGE + 192;

#[cfg(feature = "flood")]
#[derive(Debug)]
pub(super) struct LinkRoom {
    pub(super) rx: [u8; MAX_MESSAGE],
    pub(super) tx: [u8; LINK_TX],
}

impl<
    const MEMBERS: usize,
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
    const LINKS: usize,
> Room<MEMBERS, SLOTS, RX, TX, GUESTS, SESSION, LINKS>
{
    /// Room for one agent.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            node: MaybeUninit::uninit(),
            #[cfg(feature = "flood")]
            flood: MaybeUninit::uninit(),
            offers: Offers::new(),
            wanted: Vec::new(),
            buffers: Buffers::new(),
        }
    }

    /// Makes a member in it that comes online with the first [`Agent::poll`].
    ///
    /// `first` is the number of its first packet: higher than any that it ever used ([`Node::new`]). `seed` is a random
    /// number, different each time. This takes more of the stack than anything later: best done in a frame of its own.
    ///
    /// [`Agent::poll`]: super::Agent::poll
    pub fn prepare(
        &mut self,
        now: Instant,
        identity: Identity,
        first: PacketNo,
        seed: u64,
    ) -> Prepared<'_, MEMBERS, SLOTS, RX, TX, GUESTS, SESSION, LINKS> {
        let node = node_in(&mut self.node, identity, first, seed);
        node.announce(now);
        Prepared {
            node,
            #[cfg(feature = "flood")]
            neighbours: Neighbours::new(now, seed, &mut self.flood),
            offers: &mut self.offers,
            wanted: &mut self.wanted,
            buffers: &mut self.buffers,
        }
    }
}

impl<
    const SLOTS: usize,
    const RX: usize,
    const TX: usize,
    const GUESTS: usize,
    const SESSION: usize,
    const LINKS: usize,
> Buffers<SLOTS, RX, TX, GUESTS, SESSION, LINKS>
{
    const fn new() -> Self {
        Self {
            connections: [const { Connection { rx: [0; RX], tx: [0; TX], machine: [0; BUFFER] } }; SLOTS],
            #[cfg(feature = "transfer")]
            transfers: [const {
                Transfer {
                    rx: [0; RX],
                    tx: [0; TX],
                    input: [0; SESSION],
                    output: [0; SESSION],
                    state: MaybeUninit::uninit(),
                }
            }; GUESTS],
            #[cfg(feature = "flood")]
            links: [const { LinkRoom { rx: [0; MAX_MESSAGE], tx: [0; LINK_TX] } }; LINKS],
            received: [0; RECEIVED],
            unicast: [[0; DATAGRAM]; UNICAST],
            broadcast: [0; 640],
            scratch: [0; DATAGRAM],
            log: [0; 768],
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
    const LINKS: usize,
> Default for Room<MEMBERS, SLOTS, RX, TX, GUESTS, SESSION, LINKS>
{
    fn default() -> Self {
        Self::new()
    }
}

/// In a frame of its own, because it is large while the node is made.
#[inline(never)]
fn node_in<const MEMBERS: usize>(
    place: &mut MaybeUninit<Node<MEMBERS, OUTGOING, BYTES, SEEN>>,
    identity: Identity,
    first: PacketNo,
    seed: u64,
) -> &mut Node<MEMBERS, OUTGOING, BYTES, SEEN> {
    place.write(Node::new(identity, first, seed))
}

/// The sockets of an agent, `SOCKETS` altogether: one for each connection of whatever kind, and [`EXTRA_SOCKETS`].
///
/// Empty until an agent is made, so that it can stand in a static: a place for a socket does not consist of zeros, and would
/// have to be copied from flash. It is lent for ever.
///
/// [`EXTRA_SOCKETS`]: super::EXTRA_SOCKETS
#[derive(Debug, Default)]
pub struct Sockets<'a, const SOCKETS: usize> {
    storage: Vec<SocketStorage<'a>, SOCKETS>,
    received: Vec<udp::PacketMetadata, 16>,
    unicast: [Vec<udp::PacketMetadata, 4>; UNICAST],
    broadcast: Vec<udp::PacketMetadata, 2>,
}

/// The places of [`Sockets`], of which none is used.
pub(super) struct Places<'s, 'a> {
    pub(super) storage: &'s mut [SocketStorage<'a>],
    pub(super) received: &'s mut [udp::PacketMetadata],
    pub(super) unicast: [&'s mut [udp::PacketMetadata]; UNICAST],
    pub(super) broadcast: &'s mut [udp::PacketMetadata],
}

impl<'a, const SOCKETS: usize> Sockets<'a, SOCKETS> {
    /// Room for so many.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            storage: Vec::new(),
            received: Vec::new(),
            unicast: [const { Vec::new() }; UNICAST],
            broadcast: Vec::new(),
        }
    }

    pub(super) fn places(&mut self) -> Places<'_, 'a> {
        let Self { storage, received, unicast, broadcast } = self;
        Places {
            storage: fill(storage, || SocketStorage::EMPTY),
            received: fill(received, || udp::PacketMetadata::EMPTY),
            unicast: unicast.each_mut().map(|places| fill(places, || udp::PacketMetadata::EMPTY)),
            broadcast: fill(broadcast, || udp::PacketMetadata::EMPTY),
        }
    }
}

/// Fills what is lent, where it is.
fn fill<T>(places: &mut VecView<T>, empty: impl Fn() -> T) -> &mut [T] {
    places.clear();
    while places.push(empty()).is_ok() {}
    places
}
