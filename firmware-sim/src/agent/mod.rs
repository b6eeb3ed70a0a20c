//! The device program: an IP Messenger member on a TCP/IP stack for microcontrollers.
//!
//! ```text
//!   Ethernet <-> smoltcp: Interface, 3 UDP sockets, N TCP sockets
//!                  |                          |
//!                 desk: Node, Offers,      slots: Server / FileClient (core::stream)
//!                  |                       guests: ServerSession (core::stream::transfer)
//!                  commands, log              |
//!                  +--------- Store ----------+
//! ```
//! It appears in everybody's list, answers `help`, `status`, `ls`, `df`, `get NAME` and `rm NAME`, fetches what is
//! offered to it and reports the MD5, and lets others fetch what it offered, `log.txt` always. With feature `transfer` it
//! serves the verified transfer on TCP 2426, too, to guests; with feature `flood` it answers and passes on the queries of
//! neighbours that dial TCP 2427.
//!
//! Whoever runs it calls [`Agent::poll`] when a frame has arrived and when the returned deadline has passed:
//!
//! ```text
//!   let prepared = room.prepare(clock(), identity, first, seed);
//!   let mut agent = Agent::new(clock(), &config, &mut device, store, prepared, &mut sockets);
//!   loop {
//!       let until = agent.poll(clock(), &mut device, &mut |_event| {});
//!       sleep_until_frame_or(until);
//!   }
//! ```
//!
//! **Guarantees**: no allocation, no clock, no panic of its own; a call does a bounded amount of work, whatever arrives.
//! When all connections are in use, further ones are refused at once. What is not whole has no name in the store.
//!
//! **Memory**: the agent (`size_of`), and what is lent: [`Room`], sockets, the memory of the store. `SLOTS` connections
//! and `GUESTS` have `RX` and `TX` octets of buffer each; `TX` of two full frames (2,920 octets) or more keeps the line busy, less is
//! slower and works. **Time**: each call looks at every slot once or more.
//! **Protocol**: that of `feige_core::node` and `feige_core::stream`.

mod commands;
mod connection;
#[cfg(feature = "transfer")]
mod counter;
mod desk;
mod downloads;
mod event;
#[cfg(feature = "transfer")]
mod guests;
mod lanes;
mod log;
mod md5;
#[cfg(feature = "flood")]
mod neighbours;
mod room;
mod slots;

pub use desk::CannotOffer;
pub use event::Event;
pub use md5::Md5;
pub use room::{Prepared, Room, Sockets};

use core::net::{Ipv4Addr, SocketAddrV4};

use feige_core::digest::{Digest, Scalar};
use feige_core::node::{Alarm, Delivery, Destination, Full, Member, Message, Output};
use feige_core::stream::transfer::BLOCKS;
#[cfg(feature = "transfer")]
use feige_core::stream::transfer::LEAST_BUFFERS;
use feige_core::time::{Instant, earlier};
use feige_core::wire::ipmsg::{PORT, PacketNo};
use feige_core::wire::transfer::BLOCK_LOG2;
use heapless::Vec;
use smoltcp::iface::{
    Config as InterfaceConfig, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::phy::Device;
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr};

use crate::store::Store;
use desk::{Desk, Tally};
use downloads::Wanted;
use lanes::{LANES, Lanes};
use log::Log;
#[cfg(feature = "transfer")]
use room::Transfer;
use slots::Slot;

/// Messages that wait for a confirmation at a time.
const OUTGOING: usize = 8;

/// Octets of those messages.
const BYTES: usize = 2048;

/// Datagrams that are remembered, so that what is repeated is not obeyed twice.
const SEEN: usize = 32;

/// Files that are offered at a time.
const OFFERS: usize = 8;

/// Files that wait to be fetched.
const QUEUE: usize = 4;

/// The longest datagram that is sent: a text, and before it two names of 64 octets, a version and two numbers. What is
/// received may fill a frame.
const DATAGRAM: usize = TEXT + 192;

/// Datagrams that wait to be read: one that fills a frame and some more, as when many answer a broadcast.
const RECEIVED: usize = 1792;

/// What a machine of the core needs for requests.
const BUFFER: usize = 512;

/// The longest text that is sent, with room for names before it in a datagram.
const TEXT: usize = 768;

/// Frames that are taken in before something else has its turn.
const FRAMES: usize = 32;

/// Rounds within one call; what is left then is done in the next one.
const ROUNDS: usize = 16;

/// The smallest buffers that a connection of the verified transfer works with.
#[cfg(feature = "transfer")]
pub const LEAST_SESSION: usize = LEAST_BUFFERS.0;

/// Sockets that an agent needs besides one for each connection.
pub const EXTRA_SOCKETS: usize = LANES;

/// The least octets that hold a run of the verified transfer whole: its sixteen blocks of the smallest size with their
/// digests, and what goes with it.
pub const WHOLE_RUN: usize = run_len(*BLOCK_LOG2.start());

/// The octets of a whole run of blocks of 2^`log2` octets, with their digests, its header, and what is read of the next.
const fn run_len(log2: u8) -> usize {
    BLOCKS.saturating_mul(Digest::LEN.saturating_add(1 << log2)).saturating_add(512)
}

/// Where an agent is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of its Ethernet interface.
    pub mac: [u8; 6],
    /// Its address.
    pub address: Ipv4Addr,
    /// How many bits of that name the network, at most 30.
    pub prefix: u8,
    /// The router, if other networks are to be reached.
    pub gateway: Option<Ipv4Addr>,
    /// A random number, different each time.
    pub seed: u64,
}

/// A member that keeps its files in `S`, knows up to `MEMBERS` others, has `SLOTS` connections of the family and `GUESTS`
/// of the verified transfer at a time, and lets `H` compute digests. `LINKS` neighbours of the flooded search can dial it.
pub struct Agent<
    'a,
    S,
    const MEMBERS: usize,
    const SLOTS: usize,
    const GUESTS: usize,
    const LINKS: usize,
    H: Md5 = Scalar,
> {
    iface: Interface,
    sockets: SocketSet<'a>,
    receiver: SocketHandle,
    lanes: Lanes,
    slots: Vec<Slot<'a, H>, SLOTS>,
    #[cfg(feature = "transfer")]
    guests: Vec<guests::Guest<'a>, GUESTS>,
    #[cfg(feature = "flood")]
    neighbours: neighbours::Neighbours<'a, LINKS>,
    desk: Desk<'a, S, MEMBERS>,
    hasher: H,
    /// The slot that has the next turn first.
    turn: usize,
    port: u16,
}

impl<'a, S: Store, const MEMBERS: usize, const SLOTS: usize, const GUESTS: usize, const LINKS: usize>
    Agent<'a, S, MEMBERS, SLOTS, GUESTS, LINKS>
{
    /// An agent in a room that has been prepared, which comes online with the first [`Agent::poll`], and computes digests one octet after the other.
    /// `SOCKETS` is `SLOTS` + `GUESTS` + `LINKS` + [`EXTRA_SOCKETS`].
    #[must_use]
    #[inline]
    pub fn new<const RX: usize, const TX: usize, const SESSION: usize, const SOCKETS: usize>(
        now: Instant,
        config: &Config,
        device: &mut (impl Device + ?Sized),
        store: S,
        room: Prepared<'a, MEMBERS, SLOTS, RX, TX, GUESTS, SESSION, LINKS>,
        sockets: &'a mut Sockets<'a, SOCKETS>,
    ) -> Self {
        Self::with_hasher(now, config, device, store, room, sockets, Scalar)
    }
}

impl<'a, S: Store, const MEMBERS: usize, const SLOTS: usize, const GUESTS: usize, const LINKS: usize, H: Md5>
    Agent<'a, S, MEMBERS, SLOTS, GUESTS, LINKS, H>
{
    /// As [`Agent::new`], with something that computes digests faster.
    // Not inlined, so that it is made where it is going to be, not in a frame and copied from there.
    #[must_use]
    #[inline(never)]
    pub fn with_hasher<const RX: usize, const TX: usize, const SESSION: usize, const SOCKETS: usize>(
        now: Instant,
        config: &Config,
        device: &mut (impl Device + ?Sized),
        store: S,
        room: Prepared<'a, MEMBERS, SLOTS, RX, TX, GUESTS, SESSION, LINKS>,
        sockets: &'a mut Sockets<'a, SOCKETS>,
        hasher: H,
    ) -> Self {
        const {
            let connections = SLOTS + GUESTS + LINKS;
            assert!(SOCKETS == connections + EXTRA_SOCKETS, "one socket for each connection, and EXTRA_SOCKETS");
            #[cfg(feature = "transfer")]
            assert!(GUESTS == 0 || SESSION >= LEAST_SESSION, "a session needs buffers of LEAST_SESSION octets");
            #[cfg(not(feature = "transfer"))]
            assert!(GUESTS == 0 && SESSION == 0, "guests need feature `transfer`");
            #[cfg(not(feature = "flood"))]
            assert!(LINKS == 0, "links need feature `flood`");
        }
        #[cfg(feature = "flood")]
        let mut neighbours = room.neighbours;
        let (node, offers, wanted, room) = (room.node, room.offers, room.wanted, room.buffers);
        let mut settings = InterfaceConfig::new(EthernetAddress(config.mac).into());
        settings.random_seed = config.seed;
        let mut iface = Interface::new(settings, device, instant_of(now));
        let cidr = Ipv4Cidr::new(address(config.address), config.prefix.min(30));
        iface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::Ipv4(cidr)));
        if let Some(gateway) = config.gateway {
            // There is room for one.
            let _ = iface.routes_mut().add_default_ipv4_route(address(gateway));
        }
        let places = sockets.places();
        let mut set = SocketSet::new(places.storage);
        let broadcast = udp::PacketBuffer::new(places.broadcast, &mut room.broadcast[..]);
        let received = udp::PacketBuffer::new(places.received, &mut room.received[..]);
        let receiver = lane(&mut set, received, broadcast);
        let mut handles = [receiver; LANES];
        for ((handle, octets), places) in handles.iter_mut().skip(1).zip(&mut room.unicast).zip(places.unicast) {
            let nothing = udp::PacketBuffer::new(&mut [][..], &mut [][..]);
            *handle = lane(&mut set, nothing, udp::PacketBuffer::new(places, &mut octets[..]));
        }
        let mut slots = Vec::new();
        for connection in &mut room.connections {
            let handle = line(&mut set, &mut connection.rx, &mut connection.tx);
            // There are as many places as connections.
            let _ = slots.push(Slot::new(handle, &mut connection.machine));
        }
        #[cfg(feature = "transfer")]
        let mut guests = Vec::new();
        #[cfg(feature = "transfer")]
        for transfer in &mut room.transfers {
            let handle = line(&mut set, &mut transfer.rx, &mut transfer.tx);
            let Transfer { input, output, state, .. } = transfer;
            let _ = guests.push(guests::Guest::new(handle, input, output, state));
        }
        #[cfg(feature = "flood")]
        for link in &mut room.links {
            neighbours.add(line(&mut set, &mut link.rx, &mut link.tx));
        }
        // Another one after each start, so that a connection of the time before is not met again.
        let port = u16::try_from(config.seed % 0x4000).unwrap_or(0) | 0xc000;
        let mut desk = Desk {
            node,
            offers,
            wanted,
            fetching: 0,
            held: None,
            store,
            log: Log::new(&mut room.log),
            tally: Tally { slots: SLOTS + GUESTS, ..Tally::default() },
            scratch: &mut room.scratch,
            started: now,
            seed: config.seed,
        };
        desk.log.line(now, &|line| _ = line.octets(b"started"));
        Self {
            iface,
            sockets: set,
            receiver,
            lanes: Lanes::new(handles, cidr.broadcast().unwrap_or(Ipv4Address::BROADCAST)),
            slots,
            #[cfg(feature = "transfer")]
            guests,
            #[cfg(feature = "flood")]
            neighbours,
            desk,
            hasher,
            turn: 0,
            port,
        }
    }

    /// Does everything that can be done at `now`, tells `saw` of it, and returns when it should be called next if no frame
    /// arrives before; `None`: not at all. A deadline that is not later than `now` means that there is more to do.
    // Not inlined, so that its frame is not there while the agent is made.
    #[inline(never)]
    pub fn poll(
        &mut self,
        now: Instant,
        device: &mut (impl Device + ?Sized),
        saw: &mut impl FnMut(Event<'_>),
    ) -> Option<Instant> {
        self.iface.poll_maintenance(instant_of(now));
        for _ in 0..ROUNDS {
            let mut moved = self.ingress(now, device);
            self.receive(now, saw);
            moved |= self.fetch(now);
            moved |= self.run(now, saw);
            self.send(now, saw);
            moved |= self.egress(now, device);
            self.lanes.clear(now, &mut self.sockets);
            if !moved {
                return self.next_deadline(now);
            }
        }
        Some(now)
    }

    /// Sends a text; [`Event::Delivered`] or [`Event::GaveUp`] tells what came of it.
    ///
    /// # Errors
    /// [`Full`] if too many messages wait for an answer, or the text is too long for a frame.
    pub fn send_text(&mut self, now: Instant, to: SocketAddrV4, text: &str) -> Result<PacketNo, Full> {
        if text.len() > TEXT {
            return Err(Full(feige_core::node::Table::Datagram));
        }
        self.desk.node.send(now, to, &Message { text: text.as_bytes(), utf8: true, ..Message::default() })
    }

    /// Offers a file of the store, or `log.txt`, to one peer, as `get NAME` from there would.
    ///
    /// # Errors
    /// [`CannotOffer`].
    pub fn offer(&mut self, now: Instant, to: SocketAddrV4, name: &str) -> Result<PacketNo, CannotOffer> {
        self.desk.offer(now, to, name.as_bytes())
    }

    /// Says goodbye to everybody. Poll until [`Agent::has_left`].
    pub fn leave(&mut self, now: Instant) {
        self.desk.node.leave(now);
    }

    /// Whether the goodbye has been said.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.desk.node.has_left()
    }

    /// Who is there.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.desk.node.members()
    }

    /// Where the files are.
    pub const fn store(&mut self) -> &mut S {
        &mut self.desk.store
    }

    /// The number that the next packet will have; to be stored before the power goes ([`Node::new`](feige_core::node::Node::new)).
    #[must_use]
    pub const fn next_packet_no(&self) -> PacketNo {
        self.desk.node.next_packet_no()
    }

    // Each part of a turn has a frame of its own on the stack, so that only the largest of them counts.

    /// Takes in what has come on the wire.
    #[inline(never)]
    fn ingress(&mut self, now: Instant, device: &mut (impl Device + ?Sized)) -> bool {
        let mut moved = false;
        for _ in 0..FRAMES {
            match self.iface.poll_ingress_single(instant_of(now), device, &mut self.sockets) {
                PollIngressSingleResult::None => break,
                PollIngressSingleResult::PacketProcessed => {}
                PollIngressSingleResult::SocketStateChanged => moved = true,
            }
        }
        moved
    }

    /// Sends what the stack has to send.
    #[inline(never)]
    fn egress(&mut self, now: Instant, device: &mut (impl Device + ?Sized)) -> bool {
        let mut moved = false;
        for _ in 0..FRAMES {
            match self.iface.poll_egress(instant_of(now), device, &mut self.sockets) {
                PollResult::None => break,
                PollResult::SocketStateChanged => moved = true,
            }
        }
        moved
    }

    #[inline(never)]
    fn receive(&mut self, now: Instant, saw: &mut impl FnMut(Event<'_>)) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.receiver);
        while let Ok((octets, about)) = socket.recv() {
            let IpAddress::Ipv4(from) = about.endpoint.addr;
            let from = SocketAddrV4::new(from, about.endpoint.port);
            self.desk.datagram(now, from, octets, saw);
        }
    }

    /// Lets free slots fetch what was offered, one thing of each peer at a time, because FeiQ serves no more; one slot is
    /// kept for whoever connects.
    #[inline(never)]
    fn fetch(&mut self, now: Instant) -> bool {
        let mut moved = false;
        loop {
            let is_next = |wanted: &Wanted| {
                wanted.due <= now && !self.slots.iter().any(|slot| slot.is_fetching_from(*wanted.from.ip()))
            };
            let Some(at) = self.desk.wanted.iter().position(is_next) else { break };
            let mut free = self.slots.iter_mut().filter(|slot| slot.is_free());
            let (Some(slot), spare) = (free.next(), free.next().is_some() || SLOTS == 1) else { break };
            if !spare {
                break;
            }
            let wanted = self.desk.wanted.remove(at);
            self.port = self.port.wrapping_add(1) | 0xc000;
            let begun = slot.fetch(now, wanted, self.port, &mut self.iface, &mut self.sockets, &mut self.desk);
            moved = true;
            if let Err(wanted) = begun {
                self.desk.not_stored(now, &wanted, "it cannot be fetched", &mut |_| {});
            }
        }
        moved
    }

    #[inline(never)]
    fn run(&mut self, now: Instant, saw: &mut impl FnMut(Event<'_>)) -> bool {
        let crowded = self.is_crowded();
        self.desk.tally.connections = self.slots.iter().filter(|slot| !slot.is_free()).count();
        let turn = self.turn;
        self.turn = if turn + 1 < self.slots.len() { turn + 1 } else { 0 };
        let mut moved = false;
        // From another one on each time: who comes first gets the room for sending first.
        let (front, back) = self.slots.split_at_mut_checked(turn).unwrap_or_default();
        for slot in back.iter_mut().chain(front) {
            moved |= slot.run(now, &mut self.sockets, &mut self.desk, &mut self.hasher, crowded, saw);
        }
        #[cfg(feature = "transfer")]
        {
            self.desk.tally.connections += self.guests.iter().filter(|guest| !guest.is_free()).count();
            for guest in &mut self.guests {
                moved |= guest.run(now, &mut self.sockets, &mut self.desk, &mut self.hasher);
            }
        }
        #[cfg(feature = "flood")]
        {
            moved |= self.neighbours.run(now, &mut self.sockets, &mut self.desk);
        }
        moved
    }

    fn is_crowded(&self) -> bool {
        !self.slots.iter().any(Slot::is_free)
    }

    #[inline(never)]
    fn send(&mut self, now: Instant, saw: &mut impl FnMut(Event<'_>)) {
        // What does not come to an end now does so in the next round.
        for _ in 0..FRAMES {
            match self.desk.node.poll(now, self.desk.scratch) {
                Output::Transmit { to, octets } => {
                    let proven = match to {
                        Destination::Unicast(to) => self.desk.node.member_at(to).is_some_and(|member| member.proven),
                        Destination::Broadcast => false,
                    };
                    self.lanes.send(to, proven, octets, &mut self.sockets);
                }
                Output::Alarm(Alarm::GaveUp { what: Delivery::Sounding, .. }) => {}
                Output::Alarm(Alarm::GaveUp { to, packet_no, .. }) => saw(Event::GaveUp { to, packet_no }),
                Output::Alarm(Alarm::Expired(member)) => saw(Event::Offline { at: member.at }),
                Output::Wait(_) | Output::BufferTooSmall(_) => break,
            }
        }
    }

    #[inline(never)]
    fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        let crowded = self.is_crowded();
        let slots = self.slots.iter().fold(None, |soonest, slot| earlier(soonest, slot.deadline(crowded)));
        #[cfg(feature = "transfer")]
        let slots = self.guests.iter().fold(slots, |soonest, guest| earlier(soonest, guest.deadline()));
        #[cfg(feature = "flood")]
        let slots = earlier(slots, self.neighbours.deadline());
        let wanted = self.desk.wanted.iter().map(|wanted| wanted.due).filter(|due| *due > now).min();
        let own = earlier(earlier(slots, wanted), earlier(self.lanes.deadline(), self.desk.node.next_deadline()));
        earlier(own, slots::stack_deadline(now, &mut self.iface, &self.sockets))
    }
}

// Sockets are copied when they are added: in frames of their own.

/// A socket for datagrams.
#[inline(never)]
fn lane<'a>(set: &mut SocketSet<'a>, received: udp::PacketBuffer<'a>, sent: udp::PacketBuffer<'a>) -> SocketHandle {
    let mut socket = udp::Socket::new(received, sent);
    // Refused only for sockets that are open.
    let _ = socket.bind(PORT);
    set.add(socket)
}

/// A socket for connections.
#[inline(never)]
fn line<'a>(set: &mut SocketSet<'a>, rx: &'a mut [u8], tx: &'a mut [u8]) -> SocketHandle {
    let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(rx), tcp::SocketBuffer::new(tx));
    // With buffers of few frames, waiting for more octets or for later acknowledgements only costs time.
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    set.add(socket)
}

fn instant_of(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

fn address(address: Ipv4Addr) -> Ipv4Address {
    address
}
