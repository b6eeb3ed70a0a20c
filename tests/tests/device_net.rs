//! Fifty devices on one bad network: they see one another, write to one another, and exchange files.

use feige_core::digest::Digest;
use feige_sim::store::Store as _;
use feige_tests::device_net::{Ethernet, address};

const DEVICES: usize = 50;

fn crowd(lost: u64, seed: u64) -> Ethernet {
    let mut network = Ethernet::new(lost, seed);
    for _ in 0..DEVICES {
        network.plug_in();
        let pause = network.random(100);
        let now = network.now().as_millis();
        network.run_until(now + pause);
    }
    network
}

#[test]
fn all_see_one_another() {
    let mut network = crowd(100, 1);
    network.run_until(10 * 60_000);
    assert_eq!(network.log.met.len(), DEVICES * (DEVICES - 1));
    // Whose answers are lost three times in a row is forgotten until its next entry: once in a thousand.
    let known: usize = network.devices.iter().map(|device| device.members().count()).sum();
    assert!(known >= DEVICES * (DEVICES - 1) * 99 / 100, "{known} of 2450 pairs");
}

#[test]
fn messages_and_files_arrive_although_a_tenth_is_lost() {
    let mut network = crowd(100, 2);
    network.run_until(30_000);
    let content = |place: usize| -> Vec<u8> { (0..3000_usize).map(|at| ((at * (place + 3)) >> 3) as u8).collect() };
    for place in 0..DEVICES {
        let name = feige_core::node::Name::new(format!("file{place}").as_bytes());
        let store = network.devices[place].store();
        let file = store.create(&name, 3000).unwrap();
        store.append(file, &content(place)).unwrap();
        store.finish(file, 1).unwrap();
    }
    let mut sent = Vec::new();
    for round in 1..=3 {
        for place in 0..DEVICES {
            let to = (place + round * 7) % DEVICES;
            let now = network.now();
            let text = format!("round {round} from {place}");
            let packet_no = network.devices[place].send_text(now, address(to), &text).unwrap();
            sent.push((place, to, packet_no, text));
            if round == 1 {
                network.devices[place].offer(now, address(to), &format!("file{place}")).unwrap();
            }
            network.wake(place);
            let pause = network.random(100);
            network.run_until(now.as_millis() + pause);
        }
    }
    let end = network.now().as_millis() + 60_000;
    network.run_until(end);
    let log = &network.log;
    let (mut delivered, mut stored) = (0, 0);
    for (from, to, packet_no, text) in sent {
        let shown = log.shown.get(&(to, text.clone().into_bytes())).copied().unwrap_or(0);
        let confirmed = log.delivered.contains(&(from, packet_no));
        assert!(shown <= 1, "{text} was shown {shown} times");
        assert!(confirmed != log.gave_up.contains(&(from, packet_no)), "exactly one outcome: {text}");
        assert!(!confirmed || shown == 1, "confirmed but not shown: {text}");
        delivered += usize::from(confirmed);
    }
    for place in 0..DEVICES {
        let (to, name) = ((place + 7) % DEVICES, format!("file{place}").into_bytes());
        if let Some(digest) = log.stored.get(&(to, name)) {
            assert_eq!(*digest, Digest::of(&content(place)).to_string());
            stored += 1;
        }
    }
    println!("{delivered} of 150 delivered, {stored} of 50 stored, {} frames", log.frames);
    assert!(delivered >= 148 && stored >= 49, "{delivered} delivered, {stored} stored, {:?}", log.not_stored);
}

#[test]
fn on_a_good_network_nothing_is_missing_and_idling_is_quiet() {
    let mut network = crowd(0, 3);
    network.run_until(20_000);
    assert!(network.devices.iter().all(|device| device.members().count() == DEVICES - 1));
    // Between two entries nobody says a word.
    network.run_until(60_000);
    let before = network.log.frames;
    network.run_until(160_000);
    assert_eq!(network.log.frames, before, "frames in silence");
}
