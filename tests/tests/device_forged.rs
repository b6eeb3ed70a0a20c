//! What somebody who makes addresses up can get out of a device: little for others, and nobody loses a place.

use std::net::Ipv4Addr;

use feige_core::digest::Digest;
use feige_core::node::Name;
use feige_core::time::Instant;
use feige_sim::agent::Event;
use feige_sim::store::Store as _;
use feige_tests::device_net::{Member, Port, member};

const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const DEVICE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0];
const SOMEBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 99);

/// A device, and the wire to hosts that have Ethernet addresses but are not there otherwise.
struct Scene {
    device: Member,
    port: Port,
    now: u64,
    /// Datagrams of the device: to whom, what.
    said: Vec<(Ipv4Addr, Vec<u8>)>,
    not_stored: Vec<(Vec<u8>, &'static str)>,
}

fn mac(host: Ipv4Addr) -> [u8; 6] {
    [2, 0, 0, 0, 1, host.octets()[3]]
}

impl Scene {
    fn new() -> Self {
        let (device, port) = member(0, Instant::START, 7);
        let mut scene = Self { device, port, now: 0, said: Vec::new(), not_stored: Vec::new() };
        // Its first entries, which go to everybody.
        scene.run_until(7_000);
        scene.said.clear();
        scene
    }

    fn run_until(&mut self, end: u64) {
        while self.now < end {
            self.now += 10;
            let Self { device, port, not_stored, .. } = self;
            device.poll(Instant::from_millis(self.now), port, &mut |event| {
                if let Event::NotStored { name, why, .. } = event {
                    not_stored.push((name.to_vec(), why));
                }
            });
            for frame in std::mem::take(&mut self.port.outgoing) {
                let to = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
                match frame[12..14] {
                    [8, 6] if frame[21] == 1 && to(38) != DEVICE => self.answer_arp(to(38)),
                    [8, 0] if frame[23] == 17 => self.said.push((to(30), frame[42..].to_vec())),
                    _ => {}
                }
            }
        }
    }

    fn answer_arp(&mut self, host: Ipv4Addr) {
        let mut frame = [&DEVICE_MAC[..], &mac(host), &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &mac(host)].concat();
        frame.extend([&host.octets()[..], &DEVICE_MAC, &DEVICE.octets()].concat());
        self.port.incoming.push_back(frame);
    }

    /// A datagram of `from`, whether or not it sent it.
    fn say(&mut self, from: Ipv4Addr, datagram: &[u8]) {
        let total = u16::try_from(28 + datagram.len()).unwrap();
        let mut header = [&[0x45, 0][..], &total.to_be_bytes(), &[0, 0, 0x40, 0, 64, 17, 0, 0]].concat();
        header.extend([from.octets(), DEVICE.octets()].concat());
        let sum: u32 = header.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let ports = [2425_u16.to_be_bytes(), 2425_u16.to_be_bytes(), (total - 20).to_be_bytes(), [0, 0]].concat();
        self.port.incoming.push_back([&DEVICE_MAC[..], &mac(from), &[8, 0], &header, &ports, datagram].concat());
    }

    /// The texts that somebody got since the last call.
    fn heard(&mut self, host: Ipv4Addr) -> Vec<String> {
        let (his, others) = std::mem::take(&mut self.said).into_iter().partition(|(to, _)| *to == host);
        self.said = others;
        his.into_iter().map(|(_, octets)| String::from_utf8_lossy(&octets).into_owned()).collect()
    }
}

/// proves: R-IP-38
#[test]
fn nobody_gets_more_than_three_times_what_came_in_its_name() {
    let mut scene = Scene::new();
    let mut came = 0;
    for number in 0..1_000 {
        let datagram = match number % 3 {
            0 => format!("1:{number}:a:b:32:help"),
            1 => format!("1:{number}:a:b:32:ls"),
            // Two attachments that are folders, and two of unknown size.
            _ => format!("1:{number}:a:b:2097184:x\x001:f:0:0:2:\x072:g:0:0:2:\x073:h:ffffffffffffffff:0:1:\x07"),
        };
        came += datagram.len();
        scene.say(SOMEBODY, datagram.as_bytes());
        scene.run_until(scene.now + 10);
    }
    scene.run_until(scene.now + 30_000);
    let heard = scene.heard(SOMEBODY);
    let went: usize = heard.iter().map(String::len).sum();
    assert!(!heard.is_empty() && went <= 3 * came, "{went} octets for {came}");
    let longest = heard.iter().map(String::len).max();
    assert!(longest < Some(100), "{longest:?}");
}

/// proves: R-IP-38
#[test]
fn who_confirms_is_answered() {
    let mut scene = Scene::new();
    scene.say(SOMEBODY, b"1:5:alice:PC:288:status");
    scene.run_until(scene.now + 100);
    let heard = scene.heard(SOMEBODY);
    // A confirmation and the word; no entry, which the question is too short for.
    let [confirmed, moment] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(confirmed.ends_with(":33:5\0") && moment.ends_with(":one moment\0"), "{heard:?}");
    let number = moment.split(':').nth(1).unwrap();
    scene.run_until(scene.now + 6_000);
    assert_eq!(scene.heard(SOMEBODY), [moment.as_str()], "twice");
    // Somebody else cannot confirm it.
    scene.say(Ipv4Addr::new(10, 0, 0, 98), format!("1:6:alice:PC:33:{number}").as_bytes());
    scene.say(SOMEBODY, b"1:7:alice:PC:288:status");
    scene.run_until(scene.now + 100);
    let heard = scene.heard(SOMEBODY);
    assert!(!heard.iter().any(|said| said.contains("files stored")), "{heard:?}");
    let moment = heard.iter().find(|said| said.contains("moment")).unwrap();
    let number = moment.split(':').nth(1).unwrap();
    scene.say(SOMEBODY, format!("1:8:alice:PC:33:{number}").as_bytes());
    scene.run_until(scene.now + 100);
    let heard = scene.heard(SOMEBODY);
    assert!(heard.iter().any(|said| said.contains("files stored 0")), "{heard:?}");
}

/// Offers of somebody who is not there leave places for others.
#[test]
fn forged_offers_make_nobody_wait() {
    let mut scene = Scene::new();
    let attachments: String = (1..=6).map(|id| format!("{id}:f{id}:1:0:1:\x07")).collect();
    let mut honest = 0;
    for second in 0..300 {
        if second % 2 == 0 {
            scene.say(SOMEBODY, format!("1:{second}:a:b:2097184:x\0{attachments}").as_bytes());
        }
        // Bob receives: he has confirmed something.
        let bob = Ipv4Addr::new(10, 0, 0, 50);
        if second == 0 {
            scene.say(bob, b"1:1:bob:PC:1:bob");
            scene.say(bob, b"1:2:bob:PC:288:df");
            // The stack asks for one address a second.
            scene.run_until(scene.now + 3_000);
            let heard = scene.heard(bob);
            let moment = heard.iter().find(|said| said.contains("moment")).unwrap();
            let number = moment.split(':').nth(1).unwrap();
            scene.say(bob, format!("1:3:bob:PC:33:{number}").as_bytes());
        } else if second % 60 == 0 {
            honest += 1;
            scene.say(bob, format!("1:{}:bob:PC:2097184:x\x001:good{second}:1:0:1:\x07", 100 + second).as_bytes());
        }
        scene.run_until(scene.now + 1_000);
    }
    let refused = |name: &str, why: &str| {
        scene
            .not_stored
            .iter()
            .filter(|(stored, said)| stored.starts_with(name.as_bytes()) && said.contains(why))
            .count()
    };
    assert!(refused("f", "busy") > 100, "{:?}", scene.not_stored);
    assert_eq!((honest, refused("good", "busy")), (4, 0));
}

/// What has no size yet cannot take the name of a file when there is no room.
#[test]
fn an_offer_of_unknown_size_replaces_nothing_when_all_is_full() {
    let mut scene = Scene::new();
    let store = scene.device.store();
    let free = store.space().free;
    let content = vec![7; usize::try_from(free).unwrap()];
    let file = store.create(&Name::new(b"config.txt"), free).unwrap();
    store.append(file, &content).unwrap();
    store.finish(file, 1).unwrap();
    assert_eq!(store.space().free, 0);
    scene.say(SOMEBODY, b"1:5:alice:PC:2097440:x\x001:config.txt:ffffffffffffffff:0:1:\x07");
    scene.run_until(scene.now + 30_000);
    assert_eq!(scene.not_stored.len(), 1, "{:?}", scene.not_stored);
    let store = scene.device.store();
    let entry = store.find(b"config.txt").unwrap();
    let (id, size) = (entry.id, entry.size);
    assert_eq!(size, free);
    let mut kept = vec![0; content.len()];
    assert_eq!(store.read(id, 0, &mut kept).unwrap(), kept.len());
    assert_eq!(Digest::of(&kept), Digest::of(&content));
}
