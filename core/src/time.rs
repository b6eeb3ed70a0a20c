//! Time as the state machines see it: a number that the caller hands in.
//!
//! Nothing in this crate reads a clock. Whoever drives a machine counts milliseconds from a start
//! of its own choice (boot, program start, the begin of a simulation) and passes the present
//! [`Instant`] as the first argument of every call.

use core::ops::Add;
use core::time::Duration;

/// A point in time: milliseconds since a start that the caller chose.
///
/// 64 bits of milliseconds last for 584 million years, so arithmetic saturates instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the caller's clock.
    pub const START: Self = Self(0);

    /// The instant `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        // A `Duration` holds up to 2^64 seconds: what does not fit is as good as "never".
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

/// The earlier of two deadlines, where `None` means "none".
#[must_use]
pub fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
