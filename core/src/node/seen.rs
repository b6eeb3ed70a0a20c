//! Which datagrams have been here before.
//!
//! A sender whose acknowledgement was lost sends the same datagram again: it must be acknowledged again and must
//! not be shown again (R-IP-40). [`Seen`] answers "for the first time?" in constant time and never grows.
//!
//! **Guarantees**: what was seen within [`RETENTION`] is recognised unless [`WAYS`] newer keys of the same set pushed
//! it out. Two different keys are taken for one with a chance of about `WAYS` in 2^64.
//!
//! **Memory**: 12 octets for each of the `N` places. **Time**: constant; at most [`WAYS`] places are looked at.
//! **Protocol**: R-IP-40, R-IP-41.

use core::time::Duration;

use crate::time::Instant;

/// How long a datagram is remembered (R-IP-41): longer than any program resends, including the official one's resending when
/// its peer shows up again.
pub const RETENTION: Duration = Duration::from_secs(600);

/// How many places a key can be in.
pub const WAYS: usize = 8;

/// Remembers the last `N` keys or so. With `N` = 0 it remembers nothing and everything is new.
///
/// `N` should be a multiple of [`WAYS`]; places beyond the last multiple are not used unless `N` is less than `WAYS`.
#[derive(Clone, Debug)]
pub struct Seen<const N: usize> {
    /// The key in each place, and zero where there never was one.
    keys: [u64; N],
    /// When the key was first seen, in seconds.
    at: [u32; N],
}

impl<const N: usize> Seen<N> {
    const SETS: usize = if N >= WAYS { N / WAYS } else { 1 };
    const PLACES: usize = if N >= WAYS { WAYS } else { N };

    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { keys: [0; N], at: [0; N] }
    }

    /// Whether `key`, a well-mixed hash, comes for the first time within [`RETENTION`]; remembers it if so.
    ///
    /// The time is that of the first sight: a duplicate does not prolong it.
    pub fn first_time(&mut self, now: Instant, key: u64) -> bool {
        // Zero marks a place that was never used.
        let key = key.max(1);
        let now = seconds(now);
        let first = Self::set(key).saturating_mul(Self::PLACES);
        let range = first..first.saturating_add(Self::PLACES);
        let keys = self.keys.get_mut(range.clone()).unwrap_or_default();
        let ats = self.at.get_mut(range).unwrap_or_default();
        let mut oldest: Option<(&mut u64, &mut u32)> = None;
        for (place, at) in keys.iter_mut().zip(ats) {
            let fresh = now.saturating_sub(*at) <= RETENTION_SECONDS;
            if *place == key {
                if fresh {
                    return false;
                }
                *at = now;
                return true;
            }
            // A place that was never used is older than any other.
            let age = |key: u64, at: u32| if key == 0 { 0 } else { at.saturating_add(1) };
            if oldest.as_ref().is_none_or(|(old, old_at)| age(*place, *at) < age(**old, **old_at)) {
                oldest = Some((place, at));
            }
        }
        if let Some((place, at)) = oldest {
            *place = key;
            *at = now;
        }
        true
    }

    /// The set of a key: its upper half scaled to the number of sets, without a division.
    fn set(key: u64) -> usize {
        let sets = u64::try_from(Self::SETS).unwrap_or(1);
        usize::try_from((key >> 32).saturating_mul(sets) >> 32).unwrap_or(0)
    }
}

impl<const N: usize> Default for Seen<N> {
    fn default() -> Self {
        Self::new()
    }
}

const RETENTION_SECONDS: u32 = 600;
const _: () = assert!(RETENTION.as_secs() == 600);

/// Whole seconds since the start; 32 bits of them last for 136 years.
fn seconds(now: Instant) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;

    fn key(number: u64) -> u64 {
        Hash::new(7).number(number).finish()
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn remembers_for_ten_minutes_from_the_first_sight() {
        let mut seen = Seen::<32>::new();
        assert!(seen.first_time(at(0), key(1)));
        assert!(!seen.first_time(at(1), key(1)));
        assert!(!seen.first_time(at(600), key(1)));
        assert!(seen.first_time(at(601), key(1)));
        assert!(!seen.first_time(at(602), key(1)));
    }

    #[test]
    fn every_capacity_answers() {
        let mut nothing = Seen::<0>::new();
        assert!(nothing.first_time(at(0), key(1)));
        assert!(nothing.first_time(at(0), key(1)));
        let mut one = Seen::<1>::new();
        assert!(one.first_time(at(0), key(1)));
        assert!(!one.first_time(at(0), key(1)));
        assert!(one.first_time(at(0), key(2)), "pushes the first out");
        assert!(one.first_time(at(0), key(1)));
        let mut odd = Seen::<13>::new();
        for number in 0..1000 {
            assert!(odd.first_time(at(0), key(number)));
            assert!(!odd.first_time(at(0), key(number)));
        }
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut seen = Seen::<8>::new();
        for number in 0..8 {
            assert!(seen.first_time(at(number), key(number)));
        }
        assert!(seen.first_time(at(9), key(100)));
        for number in 1..8 {
            assert!(!seen.first_time(at(10), key(number)));
        }
        assert!(seen.first_time(at(11), key(0)));
    }

    #[test]
    fn most_of_a_table_is_usable() {
        let mut seen = Seen::<4096>::new();
        for number in 0..2048 {
            assert!(seen.first_time(at(0), key(number)));
        }
        let kept = (0..2048).filter(|&number| !seen.clone().first_time(at(1), key(number))).count();
        assert!(kept > 2000, "{kept}");
    }
}
