//! Downloads and uploads under way: how far, how fast, how long still.
//!
//! **Memory**: at most [`Transfers::MOST`]; more are not shown.

use std::time::Duration;

use feige_core::time::Instant;

use crate::ui::event::Transfer;

/// Those that are under way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Transfers(Vec<Running>);

/// One of them.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) transfer: Transfer,
    /// The name of the file or folder; harmless.
    pub(super) name: String,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    /// Octets in a second, smoothed.
    pub(super) rate: Option<u64>,
    measured: (Instant, u64),
}

impl Transfers {
    const MOST: usize = 256;
    /// Rates are taken over at least this time.
    const SPAN: Duration = Duration::from_millis(500);

    /// One is so far.
    pub(super) fn progress(&mut self, now: Instant, transfer: Transfer, name: &str, done: u64, total: Option<u64>) {
        let Some(running) = self.0.iter_mut().find(|running| running.transfer == transfer) else {
            if self.0.len() < Self::MOST {
                let name = super::text::name(name);
                self.0.push(Running { transfer, name, done, total, rate: None, measured: (now, done) });
            }
            return;
        };
        running.done = done;
        running.total = total;
        let (since, before) = running.measured;
        let span = now.since(since);
        if span >= Self::SPAN {
            let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
            let present = done.saturating_sub(before).saturating_mul(1000) / millis;
            // Steady enough to be read, and right again soon after a change.
            running.rate = Some(running.rate.map_or(present, |rate| rate / 2 + present / 2));
            running.measured = (now, done);
        }
    }

    /// One ended.
    pub(super) fn end(&mut self, transfer: Transfer) {
        self.0.retain(|running| running.transfer != transfer);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Running> {
        self.0.iter()
    }

    /// The download of the offer with this number.
    pub(super) fn download(&self, index: u32) -> Option<&Running> {
        self.0.iter().find(|running| running.transfer == Transfer::Download { index })
    }
}

impl Running {
    /// The part that is done, 0 to 1, where the whole is known.
    pub(super) fn ratio(&self) -> Option<f64> {
        let total = self.total.filter(|&total| total > 0)?;
        Some((self.done as f64 / total as f64).clamp(0.0, 1.0))
    }

    /// The time that the rest takes at the present rate.
    pub(super) fn left(&self) -> Option<Duration> {
        let rest = self.total?.saturating_sub(self.done);
        let rate = self.rate.filter(|&rate| rate > 0)?;
        Some(Duration::from_secs(rest.div_ceil(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_follow_the_transfer() {
        let mut transfers = Transfers::default();
        let transfer = Transfer::Download { index: 1 };
        let at = Instant::from_millis;
        // Resumed: what an earlier attempt brought says nothing about the rate.
        transfers.progress(at(0), transfer, "a", 50_000, Some(100_000));
        transfers.progress(at(100), transfer, "a", 51_000, Some(100_000));
        assert_eq!(transfers.0[0].rate, None, "too early to tell");
        transfers.progress(at(1000), transfer, "a", 60_000, Some(100_000));
        assert_eq!(transfers.0[0].rate, Some(10_000));
        assert_eq!(transfers.0[0].left(), Some(Duration::from_secs(4)));
        assert_eq!(transfers.0[0].ratio(), Some(0.6));
        transfers.progress(at(2000), transfer, "a", 60_000, Some(100_000));
        assert_eq!(transfers.0[0].rate, Some(5_000), "a pause shows");
        // A size that was wrong, a clock that stands still, and none at all.
        transfers.progress(at(2000), transfer, "a", u64::MAX, Some(1));
        assert_eq!((transfers.0[0].ratio(), transfers.0[0].left()), (Some(1.0), Some(Duration::ZERO)));
        transfers.progress(at(2001), transfer, "a", u64::MAX, None);
        assert_eq!((transfers.0[0].ratio(), transfers.0[0].left()), (None, None));
        transfers.end(transfer);
        assert_eq!(transfers.len(), 0);
    }

    #[test]
    fn there_is_a_limit() {
        let mut transfers = Transfers::default();
        for index in 0..10_000 {
            transfers.progress(Instant::START, Transfer::Download { index }, "a", 0, None);
        }
        assert_eq!(transfers.len(), Transfers::MOST);
    }
}
