//! A network of nodes on one virtual clock that loses, delays, doubles and reorders, the same way for the same seed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use feige_core::node::{Alarm, Destination, Event, Identity, Message, Names, Node, Output};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::PacketNo;

/// What the simulated agents have room for.
pub type Agent = Node<32, 32, 16384, 256>;

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// How many of a thousand datagrams are lost.
    pub lost: u64,
    /// How many of a thousand arrive twice.
    pub doubled: u64,
    /// How many milliseconds a datagram takes at most; those that take longer are overtaken.
    pub delay: u64,
}

/// Numbers that look random (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// What the applications saw.
#[derive(Debug, Default)]
pub struct Log {
    /// How often each text was shown to which agent.
    pub shown: BTreeMap<(usize, Vec<u8>), usize>,
    /// Who saw whom come online, at any time.
    pub met: BTreeSet<(usize, SocketAddrV4)>,
    /// Confirmed: sender and number.
    pub delivered: BTreeSet<(usize, PacketNo)>,
    /// Given up: sender and number.
    pub gave_up: BTreeSet<(usize, PacketNo)>,
    /// Outcomes that came a second time.
    pub twice: usize,
    /// How many datagrams were sent.
    pub datagrams: usize,
}

/// Agents and the datagrams between them.
pub struct Network {
    /// The agents; each is at [`address`] of its place.
    pub agents: Vec<Agent>,
    /// What they saw.
    pub log: Log,
    /// The weather, which can change.
    pub weather: Weather,
    now: u64,
    random: Random,
    /// By time of arrival and a running number: to whom, from whom, what.
    flying: BTreeMap<(u64, u64), (usize, usize, Vec<u8>)>,
    launched: u64,
}

/// Where the agent at this place is.
#[must_use]
pub fn address(place: usize) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, u8::try_from(place).unwrap() + 1), 2425)
}

impl Network {
    /// `count` agents that know nothing of each other.
    #[must_use]
    pub fn new(count: usize, weather: Weather, seed: u64) -> Self {
        let agent = |place: usize| {
            let user = format!("user{place}");
            let names = Names::new(user.as_bytes(), format!("host{place}").as_bytes(), user.as_bytes(), b"sim");
            let identity = Identity { version: "1", software: "netsim", utf8: names.clone(), legacy: names };
            Agent::new(identity, PacketNo(1000), seed ^ place as u64)
        };
        Self {
            agents: (0..count).map(agent).collect(),
            log: Log::default(),
            weather,
            now: 0,
            random: Random(seed),
            flying: BTreeMap::new(),
            launched: 0,
        }
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

    /// Sends a text from one agent to another.
    ///
    /// # Panics
    /// If the sender has no room for it.
    pub fn send(&mut self, from: usize, to: usize, text: &[u8]) -> PacketNo {
        let now = self.now();
        self.agents[from].send(now, address(to), &Message { text, ..Message::default() }).expect("room")
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: u64) {
        loop {
            let waits: Vec<_> = (0..self.agents.len()).filter_map(|place| self.poll(place)).collect();
            let arrival = self.flying.keys().next().map(|(time, _)| *time);
            let next = waits.into_iter().map(Instant::as_millis).chain(arrival).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, from, octets) = entry.remove();
                self.arrive(to, from, &octets);
                self.poll(to);
            }
        }
        self.now = end;
    }

    fn poll(&mut self, place: usize) -> Option<Instant> {
        let now = self.now();
        loop {
            let mut buffer = [0xa5; 8192];
            match self.agents[place].poll(now, &mut buffer) {
                Output::Transmit { to, octets } => {
                    let octets = octets.to_vec();
                    self.launch(place, to, &octets);
                }
                Output::Alarm(Alarm::GaveUp { packet_no, .. }) => {
                    self.log.twice += usize::from(!self.log.gave_up.insert((place, packet_no)));
                }
                Output::Alarm(Alarm::Expired(_)) => {}
                Output::Wait(until) => {
                    assert!(until.is_none_or(|until| until > now), "an agent would spin");
                    return until;
                }
                Output::BufferTooSmall(small) => panic!("{small}"),
            }
        }
    }

    fn launch(&mut self, from: usize, to: Destination, octets: &[u8]) {
        self.log.datagrams += 1;
        let receivers: Vec<usize> = match to {
            // A broadcast comes back to its sender.
            Destination::Broadcast => (0..self.agents.len()).collect(),
            Destination::Unicast(to) => (0..self.agents.len()).filter(|place| address(*place) == to).collect(),
        };
        for receiver in receivers {
            let copies = 1 + u64::from(self.random.below(1000) < self.weather.doubled);
            for _ in 0..copies {
                if self.random.below(1000) < self.weather.lost {
                    continue;
                }
                let arrival = self.now + 1 + self.random.below(self.weather.delay);
                self.launched += 1;
                self.flying.insert((arrival, self.launched), (receiver, from, octets.to_vec()));
            }
        }
    }

    fn arrive(&mut self, to: usize, from: usize, octets: &[u8]) {
        let now = self.now();
        match self.agents[to].handle_datagram(now, address(from), octets) {
            Ok(Some(Event::Message(message))) => {
                *self.log.shown.entry((to, message.text.as_bytes().to_vec())).or_default() += 1;
            }
            Ok(Some(Event::Online(sighting))) => {
                self.log.met.insert((to, sighting.at));
            }
            Ok(Some(Event::Delivered { packet_no, .. })) => {
                self.log.twice += usize::from(!self.log.delivered.insert((to, packet_no)));
            }
            _ => {}
        }
    }
}
