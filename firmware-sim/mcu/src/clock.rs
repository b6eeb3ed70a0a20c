//! The time since the start, and sleep: SysTick without a tick.
//!
//! SysTick counts 24 bits down, at 50 MHz for a third of a second. It is let run to its end while the processor works, and
//! is set to the deadline, or to its longest, before the processor sleeps. Nobody handles its interrupt: that it is
//! pending ends the sleep.

use core::num::NonZero;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use feige_core::time::Instant;

/// The most that SysTick counts.
const LONGEST: u32 = 0x00ff_ffff;

/// Cycles of the processor outside of sleep, for those who look at the memory from outside.
#[used]
#[unsafe(no_mangle)]
static FEIGE_BUSY: [core::sync::atomic::AtomicU32; 2] = [const { core::sync::atomic::AtomicU32::new(0) }; 2];

/// Counts cycles since the start.
pub struct Clock {
    syst: SYST,
    per_milli: NonZero<u64>,
    /// Cycles up to the last time that SysTick was set.
    before: u64,
    /// What it was set to.
    period: u32,
    /// Cycles in sleep.
    slept: u64,
}

impl Clock {
    pub fn new(mut syst: SYST, hertz: u32) -> Self {
        // SysTick has no other source on these boards.
        syst.set_clock_source(SystClkSource::Core);
        syst.set_reload(LONGEST);
        syst.clear_current();
        syst.enable_interrupt();
        syst.enable_counter();
        let per_milli = NonZero::new(u64::from(hertz / 1000)).unwrap_or(NonZero::<u64>::MIN);
        Self { syst, per_milli, before: 0, period: LONGEST, slept: 0 }
    }

    pub fn now(&mut self) -> Instant {
        Instant::from_millis(self.cycles() / self.per_milli)
    }

    /// Cycles since the start. To be asked more often than SysTick goes round.
    fn cycles(&mut self) -> u64 {
        let first = SYST::get_current();
        let current = if self.syst.has_wrapped() {
            // It may have done so after the first look.
            self.before += u64::from(self.period) + 1;
            SYST::get_current()
        } else {
            first
        };
        // 0 is where it stands before it begins, and for one cycle at its end, which has been counted then.
        let counted = if current == 0 { 0 } else { self.period.saturating_sub(current) };
        self.before + u64::from(counted)
    }

    /// Sleeps by `sleep`, which returns at the next interrupt, the latest at `until`.
    pub fn sleep(&mut self, until: Option<Instant>, sleep: impl FnOnce()) {
        let begin = self.cycles();
        let per_milli = self.per_milli.get();
        let until = until.map_or(u64::MAX, |until| until.as_millis().saturating_mul(per_milli));
        if until <= begin {
            return;
        }
        self.set(begin, u32::try_from(until - begin).unwrap_or(LONGEST).clamp(1, LONGEST));
        sleep();
        let end = self.cycles();
        self.set(end, LONGEST);
        self.slept += end - begin;
        let busy = end - self.slept;
        let halves = [busy as u32, (busy >> 32) as u32];
        for (half, value) in FEIGE_BUSY.iter().zip(halves) {
            half.store(value, core::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Lets SysTick count `period` cycles from now on.
    fn set(&mut self, now: u64, period: u32) {
        self.before = now;
        self.period = period;
        self.syst.set_reload(period);
        self.syst.clear_current();
        // What was pending, and the mark that it went round, belong to the period before.
        SCB::clear_pendst();
        let _ = self.syst.has_wrapped();
    }
}
