//! Many devices on an Ethernet in memory and on one virtual clock: the agent of the microcontroller, as often as wanted.
//!
//! Frames are lost, late and overtaken by the same chance for the same seed. Each receiver of a broadcast is unlucky by
//! itself, as on a network with switches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use feige_core::node::{Identity, Names};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::PacketNo;
use feige_sim::agent::{Agent, Config, EXTRA_SOCKETS, Event, Room, Sockets};
use feige_sim::store::RamStore;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};

use crate::netsim::Random;

const MEMBERS: usize = 64;
const SLOTS: usize = 3;
const GUESTS: usize = 4;
const LINKS: usize = 2;
const BUFFER: usize = 2048;

/// A device, with what it is made of lent for ever: a test ends before that matters.
pub type Member = Agent<'static, RamStore<'static, 16>, MEMBERS, SLOTS, GUESTS, LINKS>;

/// A socket in the wall.
#[derive(Debug, Default)]
pub struct Port {
    /// What has arrived.
    pub incoming: VecDeque<Vec<u8>>,
    /// What has been sent.
    pub outgoing: Vec<Vec<u8>>,
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sent<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Received(frame), Sent(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// A frame that arrived.
#[derive(Debug)]
pub struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

/// Room for a frame.
#[derive(Debug)]
pub struct Sent<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        self.0.push(frame);
        result
    }
}

/// What the devices saw.
#[derive(Debug, Default)]
pub struct Log {
    /// Who saw whom come online, at any time.
    pub met: BTreeSet<(usize, SocketAddrV4)>,
    /// How often each text was shown to which device.
    pub shown: BTreeMap<(usize, Vec<u8>), usize>,
    /// Confirmed: sender and number.
    pub delivered: BTreeSet<(usize, PacketNo)>,
    /// Given up: sender and number.
    pub gave_up: BTreeSet<(usize, PacketNo)>,
    /// What is stored where: name and MD5.
    pub stored: BTreeMap<(usize, Vec<u8>), String>,
    /// What could not be stored, and why.
    pub not_stored: Vec<(usize, Vec<u8>, &'static str)>,
    /// How many frames were sent.
    pub frames: usize,
}

/// Devices and the frames between them.
pub struct Ethernet {
    /// The devices; each is at [`address`] of its place.
    pub devices: Vec<Member>,
    /// What they saw.
    pub log: Log,
    /// How many of a thousand frames are lost.
    pub lost: u64,
    ports: Vec<Port>,
    deadlines: Vec<Option<Instant>>,
    now: u64,
    random: Random,
    /// By time of arrival and a running number: to whom, what.
    flying: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    launched: u64,
}

/// Where the device at this place is.
///
/// # Panics
/// If there cannot be so many.
#[must_use]
pub fn address(place: usize) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, u8::try_from(place).expect("a small network") + 1), 2425)
}

fn mac(place: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, u8::try_from(place).expect("a small network")]
}

/// A device for this place, and its end of the wire.
#[must_use]
pub fn member(place: usize, now: Instant, seed: u64) -> (Member, Port) {
    let name = format!("device{place}");
    let names = Names::new(name.as_bytes(), name.as_bytes(), name.as_bytes(), b"devices");
    let identity = Identity { version: "1", software: "feige-tests", utf8: names.clone(), legacy: names };
    let (mac, address) = (mac(place), *address(place).ip());
    let config = Config { mac, address, prefix: 24, gateway: None, seed };
    let mut port = Port::default();
    let room = Box::leak(Box::new(Room::<MEMBERS, SLOTS, BUFFER, BUFFER, GUESTS, BUFFER, LINKS>::new()));
    let sockets = Box::leak(Box::new(Sockets::<{ SLOTS + GUESTS + LINKS + EXTRA_SOCKETS }>::new()));
    let store = RamStore::new(vec![0; 0x1_0000].leak());
    let room = room.prepare(now, identity, PacketNo(1000), seed);
    (Agent::new(now, &config, &mut port, store, room, sockets), port)
}

impl Ethernet {
    /// A network without devices.
    #[must_use]
    pub fn new(lost: u64, seed: u64) -> Self {
        Self {
            devices: Vec::new(),
            log: Log::default(),
            lost,
            ports: Vec::new(),
            deadlines: Vec::new(),
            now: 0,
            random: Random(seed),
            flying: BTreeMap::new(),
            launched: 0,
        }
    }

    /// Plugs one more device in.
    pub fn plug_in(&mut self) {
        let (device, port) = member(self.devices.len(), self.now(), self.random.below(u64::MAX));
        self.devices.push(device);
        self.ports.push(port);
        self.deadlines.push(Some(self.now()));
    }

    /// The present.
    #[must_use]
    pub const fn now(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    /// A number below `bound`, from the same source as the weather.
    pub fn random(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// The device at this place has been given something to do.
    pub fn wake(&mut self, place: usize) {
        self.deadlines[place] = Some(self.now());
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// If a device has always something to do.
    pub fn run_until(&mut self, end: u64) {
        let mut standing = 0;
        loop {
            let waits = self.deadlines.iter().flatten().map(|deadline| deadline.as_millis());
            let next = waits.chain(self.flying.keys().next().map(|(time, _)| *time)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            standing = if next > self.now { 0 } else { standing + 1 };
            assert!(standing < 100_000, "time stands still at {}", self.now);
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, frame) = entry.remove();
                // What a controller has room for.
                if self.ports[to].incoming.len() < 32 {
                    self.ports[to].incoming.push_back(frame);
                }
                self.wake(to);
            }
            for place in 0..self.devices.len() {
                if self.deadlines[place].is_some_and(|deadline| deadline.as_millis() <= self.now) {
                    self.poll(place);
                }
            }
        }
        self.now = end;
    }

    fn poll(&mut self, place: usize) {
        let now = self.now();
        let log = &mut self.log;
        self.deadlines[place] = self.devices[place].poll(now, &mut self.ports[place], &mut |event| match event {
            Event::Online { at, .. } => _ = log.met.insert((place, at)),
            Event::Message { text, .. } => *log.shown.entry((place, text.to_vec())).or_default() += 1,
            Event::Delivered { packet_no, .. } => _ = log.delivered.insert((place, packet_no)),
            Event::GaveUp { packet_no, .. } => _ = log.gave_up.insert((place, packet_no)),
            Event::Stored { name, digest, .. } => _ = log.stored.insert((place, name.to_vec()), digest.to_string()),
            Event::NotStored { name, why, .. } => log.not_stored.push((place, name.to_vec(), why)),
            _ => {}
        });
        let frames = std::mem::take(&mut self.ports[place].outgoing);
        for frame in frames {
            self.log.frames += 1;
            for receiver in (0..self.devices.len()).filter(|receiver| *receiver != place) {
                let wanted = frame[0] & 1 == 1 || frame[..6] == mac(receiver);
                if wanted && self.random.below(1000) >= self.lost {
                    let arrival = self.now + 1 + self.random.below(4);
                    self.launched += 1;
                    self.flying.insert((arrival, self.launched), (receiver, frame.clone()));
                }
            }
        }
    }
}
