//! Which octets of a file are verified.

use std::ops::Range;

/// The most ranges with gaps between them. An honest peer leaves a gap where a block came damaged; a dishonest one
/// must not be able to make this machine remember one for each block.
const MOST: usize = 1024;

/// Ranges of octets, sorted, with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered(Vec<Range<u64>>);

impl Covered {
    /// All octets before `end`.
    pub(super) fn up_to(end: u64) -> Self {
        Self(Vec::from_iter((end > 0).then_some(0..end)))
    }

    /// How many octets from the first one on are covered.
    pub(super) fn front(&self) -> u64 {
        self.0.first().filter(|first| first.start == 0).map_or(0, |first| first.end)
    }

    /// Adds a range; false if there are too many gaps.
    pub(super) fn add(&mut self, new: Range<u64>) -> bool {
        if new.is_empty() {
            return true;
        }
        // Nearly always it goes on where the last one ended.
        if let Some(last) = self.0.last_mut()
            && last.end == new.start
        {
            last.end = new.end;
            return true;
        }
        let from = self.0.partition_point(|range| range.end < new.start);
        let to = self.0.partition_point(|range| range.start <= new.end);
        let touched = self.0.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(new.start, |range| range.start.min(new.start));
        let end = touched.last().map_or(new.end, |range| range.end.max(new.end));
        if touched.is_empty() && self.0.len() >= MOST {
            return false;
        }
        self.0.splice(from..to, std::iter::once(start..end));
        true
    }

    /// Takes a range away; tells whether any of it was covered.
    pub(super) fn remove(&mut self, gone: &Range<u64>) -> bool {
        let from = self.0.partition_point(|range| range.end <= gone.start);
        let to = self.0.partition_point(|range| range.start < gone.end);
        if from >= to || gone.is_empty() {
            return false;
        }
        let (first, last) = (self.0[from].start, self.0[to - 1].end);
        let rest = [first..gone.start, gone.end..last].into_iter().filter(|range| !range.is_empty());
        self.0.splice(from..to, rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain table of octets.
    #[test]
    fn covers_what_was_added_and_not_removed() {
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let (mut covered, mut table) = (Covered::default(), [false; 40]);
            for _ in 0..30 {
                let start = random(40);
                let range = start..start + random(41 - start);
                let octets = &mut table[range.start as usize..range.end as usize];
                if random(3) > 0 {
                    assert!(covered.add(range));
                    octets.fill(true);
                } else {
                    assert_eq!(covered.remove(&range), octets.contains(&true));
                    octets.fill(false);
                }
                let front = table.iter().take_while(|&&octet| octet).count();
                assert_eq!(covered.front(), front as u64);
                let told: Vec<_> = (0..40).map(|at| covered.0.iter().any(|range| range.contains(&at))).collect();
                assert_eq!(told, table);
                assert!(covered.0.windows(2).all(|pair| pair[0].end < pair[1].start), "{covered:?}");
            }
        }
    }

    #[test]
    fn gaps_are_limited() {
        let mut covered = Covered::default();
        let added = (0..u64::MAX).step_by(2).take_while(|&at| covered.add(at..at + 1)).count();
        assert_eq!(added, MOST);
        assert!(covered.add(1..2), "one gap less");
        assert_eq!(covered.front(), 3);
    }
}
