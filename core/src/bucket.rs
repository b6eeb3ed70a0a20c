//! How often something may happen.
//!
//! **Memory**: 16 octets a bucket. **Time**: constant.

use crate::time::Instant;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Tokens that come in a minute.
    pub(crate) per_minute: usize,
    /// Tokens that it holds, 71,000 at most.
    pub(crate) burst: usize,
}

/// A bucket of tokens: one is taken each time that something happens.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// In parts of a token, [`PARTS`] of which are one.
    level: u32,
    filled: Instant,
}

/// Milliseconds in a minute, so that nothing is lost to rounding.
const PARTS: u32 = 60_000;

impl Bucket {
    /// A bucket that is full.
    pub(crate) const fn full() -> Self {
        Self { level: u32::MAX, filled: Instant::START }
    }

    /// Takes a token, if there is one.
    #[inline(never)]
    pub(crate) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        // What saturates has filled any bucket.
        let new =
            u32::try_from(now.millis_since(self.filled)).unwrap_or(u32::MAX).saturating_mul(narrow(rate.per_minute));
        self.level = self.level.saturating_add(new).min(PARTS.saturating_mul(narrow(rate.burst)));
        self.filled = self.filled.max(now);
        match self.level.checked_sub(PARTS) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_as_fast_as_it_says() {
        let rate = Rate { per_minute: 6000, burst: 200 };
        let mut bucket = Bucket::full();
        let at = Instant::from_millis;
        assert_eq!((0..1000).filter(|_| bucket.take(at(0), rate)).count(), 200);
        assert_eq!((0..10_000).filter(|ms| bucket.take(at(*ms), rate)).count(), 999);
        assert_eq!((0..1000).filter(|_| bucket.take(at(3_600_000), rate)).count(), 200);
        assert!(!bucket.take(at(0), rate), "a clock that goes back fills nothing");
        let slow = Rate { per_minute: 1, burst: 1 };
        let mut bucket = Bucket::full();
        assert!(bucket.take(at(0), slow) && !bucket.take(at(59_999), slow) && bucket.take(at(60_000), slow));
    }
}
