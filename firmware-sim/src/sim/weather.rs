//! Bad weather for a driver: frames are lost, damaged, late and out of order, in both directions.
//!
//! smoltcp's own `FaultInjector` loses frames and damages those that are received; it cannot delay or reorder, ends a
//! poll with a lost frame, and what it damages of sent frames is not what is sent. Damage is done to the contents of IPv4
//! packets, where sums protect them: a real interface checks the sum of the whole frame and drops what is damaged
//! elsewhere, and nothing else protects ARP.
//!
//! **Guarantees**: the same seed and the same frames have the same weather. **Memory**: the frames that are under way.
//! **Time**: a frame that is not to be delayed is passed on in the same call.

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::{Duration, Instant};

/// How bad it is. Chances are per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// How many frames are lost.
    pub loss: u32,
    /// How many have one bit turned.
    pub corruption: u32,
    /// How many are overtaken: they take 3 ms to 30 ms longer than others.
    pub reordering: u32,
    /// How long every frame takes.
    pub delay: Duration,
}

impl Conditions {
    fn calm(&self) -> bool {
        *self == Self::default()
    }
}

/// More frames than this do not wait for the agent.
const UNDER_WAY: usize = 4096;

/// A driver in bad weather.
#[derive(Debug)]
pub struct Weather<D> {
    inner: D,
    conditions: Conditions,
    random: u64,
    /// By time and a running number.
    incoming: BTreeMap<(Instant, u64), Vec<u8>>,
    outgoing: BTreeMap<(Instant, u64), Vec<u8>>,
    launched: u64,
}

impl<D: Device> Weather<D> {
    /// Lets the weather at a driver.
    pub const fn new(inner: D, conditions: Conditions, seed: u64) -> Self {
        Self { inner, conditions, random: seed, incoming: BTreeMap::new(), outgoing: BTreeMap::new(), launched: 0 }
    }

    /// The driver.
    pub const fn inner(&self) -> &D {
        &self.inner
    }

    /// When the next frame arrives somewhere: poll then.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let first = |frames: &BTreeMap<(Instant, u64), _>| frames.keys().next().map(|(due, _)| *due);
        [first(&self.incoming), first(&self.outgoing)].into_iter().flatten().min()
    }

    /// Hands frames over whose time has come.
    fn deliver(&mut self, now: Instant) {
        while let Some(entry) = self.outgoing.first_entry().filter(|entry| entry.key().0 <= now) {
            let frame = entry.remove();
            let Some(token) = self.inner.transmit(now) else { return };
            token.consume(frame.len(), |room| room.copy_from_slice(&frame));
        }
    }

    /// Takes in what has arrived.
    fn collect(&mut self, now: Instant) {
        while let Some((token, _)) = self.inner.receive(now) {
            let frame = token.consume(<[u8]>::to_vec);
            if self.incoming.len() >= UNDER_WAY {
                continue;
            }
            if let Some((due, frame)) = fate(&self.conditions, &mut self.random, now, frame) {
                self.launched += 1;
                self.incoming.insert((due, self.launched), frame);
            }
        }
    }
}

/// When a frame arrives, and how.
fn fate(conditions: &Conditions, random: &mut u64, now: Instant, mut frame: Vec<u8>) -> Option<(Instant, Vec<u8>)> {
    if happens(random, conditions.loss) {
        return None;
    }
    let is_ipv4 = frame.get(12..14) == Some(&[8, 0]);
    if happens(random, conditions.corruption) && is_ipv4 {
        let bit = below(random, (frame.len() as u64 - 14) * 8);
        frame[14 + (bit / 8) as usize] ^= 1 << (bit % 8);
    }
    let mut due = now + conditions.delay;
    if happens(random, conditions.reordering) {
        due += Duration::from_millis(3 + below(random, 28));
    }
    Some((due, frame))
}

fn happens(random: &mut u64, per_million: u32) -> bool {
    per_million > 0 && below(random, 1_000_000) < u64::from(per_million)
}

/// A number below `bound` (splitmix64).
fn below(random: &mut u64, bound: u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % bound.max(1)
}

impl<D: Device> Device for Weather<D> {
    type RxToken<'a>
        = Received
    where
        Self: 'a;
    type TxToken<'a>
        = Sent<'a, D>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if self.conditions.calm() && self.incoming.is_empty() {
            // As it comes: looking for more first would ask the interface twice for each frame.
            let (token, _) = self.inner.receive(now)?;
            let frame = token.consume(<[u8]>::to_vec);
            return Some((Received(frame), Sent { weather: self, now }));
        }
        self.deliver(now);
        self.collect(now);
        let entry = self.incoming.first_entry().filter(|entry| entry.key().0 <= now)?;
        let frame = entry.remove();
        Some((Received(frame), Sent { weather: self, now }))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        Some(Sent { weather: self, now })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.inner.capabilities()
    }
}

/// A frame that has arrived.
#[derive(Debug)]
pub struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

/// Room for a frame that leaves.
#[derive(Debug)]
pub struct Sent<'a, D> {
    weather: &'a mut Weather<D>,
    now: Instant,
}

impl<D: Device> TxToken for Sent<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let Self { weather, now } = self;
        if weather.conditions.calm()
            && let Some(token) = weather.inner.transmit(now)
        {
            return token.consume(len, fill);
        }
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        if let Some((due, frame)) = fate(&weather.conditions, &mut weather.random, now, frame) {
            weather.launched += 1;
            weather.outgoing.insert((due, weather.launched), frame);
            weather.deliver(now);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::phy::{Loopback, Medium};

    /// What arrives of 10,000 frames of 100 octets, each of which carries its number.
    fn frames(conditions: Conditions) -> Vec<(i64, Vec<u8>)> {
        let mut weather = Weather::new(Loopback::new(Medium::Ethernet), conditions, 1);
        let mut arrived = Vec::new();
        for number in 0..20_000_u32 {
            let now = Instant::from_millis(number);
            if number < 10_000 {
                weather.transmit(now).unwrap().consume(100, |room| {
                    room[12..14].copy_from_slice(&[8, 0]);
                    room[14..18].copy_from_slice(&number.to_be_bytes());
                });
            }
            while let Some((token, _)) = weather.receive(now) {
                arrived.push((now.total_millis(), token.consume(<[u8]>::to_vec)));
            }
        }
        assert_eq!(weather.next_due(), None);
        arrived
    }

    fn number(frame: &[u8]) -> u32 {
        u32::from_be_bytes(frame[14..18].try_into().unwrap())
    }

    #[test]
    fn calm_weather_changes_nothing() {
        let arrived = frames(Conditions::default());
        assert!(arrived.iter().zip(0..).all(|((time, frame), n)| *time == n && i64::from(number(frame)) == n));
        assert_eq!(arrived.len(), 10_000);
    }

    #[test]
    fn loss_in_both_directions() {
        let arrived = frames(Conditions { loss: 100_000, ..Conditions::default() }).len();
        assert!((8_000..8_200).contains(&arrived), "{arrived}");
    }

    #[test]
    fn corruption_spares_the_header_of_the_frame() {
        let arrived = frames(Conditions { corruption: 100_000, ..Conditions::default() });
        let damaged = arrived.iter().filter(|(_, frame)| frame[18..].iter().any(|&octet| octet != 0)).count();
        assert!((1_700..1_900).contains(&damaged), "{damaged}");
        assert!(arrived.iter().all(|(_, frame)| frame[..12] == [0; 12] && frame[12..14] == [8, 0]));
    }

    #[test]
    fn delay_and_reordering() {
        let delayed = Conditions { delay: Duration::from_millis(20), ..Conditions::default() };
        let arrived = frames(delayed);
        assert!(arrived.iter().all(|(time, frame)| *time == i64::from(number(frame)) + 40));
        let arrived = frames(Conditions { reordering: 50_000, ..delayed });
        let overtaken = arrived.windows(2).filter(|pair| number(&pair[0].1) > number(&pair[1].1)).count();
        assert!(overtaken > 400, "{overtaken}");
        assert_eq!(arrived.len(), 10_000);
    }
}
