//! Time as the state machines see it: a number that the caller hands in.
//!
//! Nothing in this crate reads a clock. Whoever drives a machine counts milliseconds from a start
//! of its own choice (boot, program start, the begin of a simulation) and passes the present
//! [`Instant`] as the first argument of every call.

use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};
use core::ops::Add;
use core::time::Duration;

/// A point in time: milliseconds since a start that the caller chose.
///
/// 64 bits of milliseconds last for 584 million years, so arithmetic saturates instead of wrapping.
// One more than the milliseconds, so that an `Option` of it takes no more room and is returned in registers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The start of the caller's clock.
    pub const START: Self = Self(NonZeroU64::MIN);

    /// Later than everything: the deadline of what is not due at all. A machine that compares it often keeps it in place
    /// of an `Option<Instant>`, which takes more code to compare.
    pub(crate) const NEVER: Self = Self(NonZeroU64::MAX);

    /// A deadline as callers see it.
    pub(crate) fn unless_never(self) -> Option<Self> {
        (self != Self::NEVER).then_some(self)
    }

    /// The instant `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// So many milliseconds later: almost all times that are added are constants of 32 bits, and one call for all of them is
    /// shorter than as many additions of 64 bits.
    #[cfg_attr(target_os = "none", inline(never))]
    fn after(self, millis: u32) -> Self {
        Self(self.0.saturating_add(u64::from(millis)))
    }

    /// Whole seconds since the start.
    pub(crate) fn as_secs(self) -> u64 {
        div_rem(self.as_millis(), THOUSAND).0
    }

    /// The time from `now` to `self`, for what limits a wait: zero if it has passed, and at most 49 days.
    pub(crate) fn limit(self, now: Instant) -> Duration {
        let millis = u32::try_from(self.millis_since(now)).unwrap_or(u32::MAX);
        // The compiler sees that it can divide 32 bits.
        Duration::from_millis(u64::from(millis))
    }

    /// `self`, later by the time from `from` to `to`.
    pub(crate) const fn after_pause(self, from: Self, to: Self) -> Self {
        Self(self.0.saturating_add(to.millis_since(from)))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.millis_since(earlier))
    }

    /// The same in milliseconds.
    pub(crate) const fn millis_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::START
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instant").field(&self.as_millis()).finish()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    #[inline(always)]
    fn add(self, duration: Duration) -> Self {
        match u32::try_from(duration.as_millis()) {
            Ok(millis) => self.after(millis),
            // A `Duration` holds up to 2^64 seconds: what does not fit is as good as "never".
            Err(_) => Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))),
        }
    }
}

/// A second in milliseconds.
pub(crate) const THOUSAND: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Quotient and remainder of a division by a number below 2^16.
///
/// Almost always the number has 32 bits, for which processors have an instruction. A microcontroller has none for 64, and
/// the library's division takes 900 octets of flash: so 16 bits at a time, as on paper.
pub(crate) fn div_rem(number: u64, by: NonZeroU32) -> (u64, u32) {
    if let Ok(number) = u32::try_from(number) {
        return (u64::from(number / by), number % by);
    }
    let (mut quotient, mut rest) = (0_u64, 0_u32);
    for &pair in number.to_be_bytes().as_chunks().0 {
        let part = rest << 16 | u32::from(u16::from_be_bytes(pair));
        quotient = quotient << 16 | u64::from(part / by);
        rest = part % by;
    }
    (quotient, rest)
}

/// The earlier of two deadlines, where `None` means "none".
#[must_use]
#[cfg_attr(target_os = "none", inline(never))]
pub fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_as_the_processor_does() {
        for number in [0, 9, 10, 999, 0xffff_ffff, 0x1_0000_0000, 1_700_000_000_123, u64::MAX - 1, u64::MAX] {
            for by in [1, 10, 1000, 0xffff] {
                let (quotient, rest) = div_rem(number, NonZeroU32::new(by).unwrap());
                assert_eq!((quotient, u64::from(rest)), (number / u64::from(by), number % u64::from(by)));
            }
        }
    }

    #[test]
    fn limits_are_never_negative() {
        let at = Instant::from_millis;
        assert_eq!(at(2500).limit(at(1000)), Duration::from_millis(1500));
        assert_eq!(at(1000).limit(at(2500)), Duration::ZERO);
        assert_eq!(at(u64::MAX).limit(at(0)), Duration::from_millis(u64::from(u32::MAX)));
    }
}
