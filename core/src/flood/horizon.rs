//! How far away those are who ask.

/// The farthest of the last queries that were passed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// In links: of the queries that are counted, and of those before.
    now: u8,
    before: u8,
    counted: u8,
}

impl Horizon {
    /// How many queries make a new horizon: enough that one who asks from the other end of the network is among them.
    const QUERIES: u8 = 16;

    pub(super) const NEW: Self = Self { now: 0, before: u8::MAX, counted: 0 };

    /// A query came over this many links.
    pub(super) fn heard_from(&mut self, links: u8) {
        self.now = self.now.max(links);
        self.counted = self.counted.saturating_add(1);
        if self.counted >= Self::QUERIES {
            *self = Self { now: 0, before: self.now, counted: 0 };
        }
    }

    /// How many links away the farthest is; more than any, as long as too few were heard.
    pub(super) const fn links(self) -> u8 {
        if self.now > self.before { self.now } else { self.before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_last_queries() {
        let mut horizon = Horizon::NEW;
        assert_eq!(horizon.links(), u8::MAX);
        (0..16).for_each(|query| horizon.heard_from(if query == 5 { 4 } else { 2 }));
        assert_eq!(horizon.links(), 4);
        // Who comes nearer is believed later than who goes away.
        (0..15).for_each(|_| horizon.heard_from(3));
        assert_eq!(horizon.links(), 4);
        horizon.heard_from(3);
        assert_eq!(horizon.links(), 3);
        horizon.heard_from(6);
        assert_eq!(horizon.links(), 6);
    }
}
