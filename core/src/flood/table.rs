//! The queries that were here, and who is known to have them.
//!
//! **Guarantees**: a row that is alive is never given to another query (R-FL-23).
//! **Memory**: 16 octets and one for each link, times `QUERIES`. **Time**: linear in `QUERIES`, over arrays of one kind
//! each; a look-up among 1,024 touches 8 KiB.

use crate::time::Instant;
use crate::wire::flood::QueryId;

/// Whom a query came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The application asked it.
    Here,
    /// This link.
    Link(u8),
    /// A link that is gone: hits have nowhere to go.
    Gone,
}

/// What is known of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The best TTL that it came with: one more than what we may send on.
    pub(super) best: u8,
    pub(super) from: From,
    /// Hits that were passed on.
    pub(super) hits: u8,
}

/// What is known of the peer at the other end of a link, in one octet: the TTL that it holds a query with, and how many
/// links it is away from who asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known(u8);

impl Known {
    /// The TTL, at most 15; 0 if it is not known to hold the query.
    pub(super) const fn ttl(self) -> u8 {
        self.0 & 0x0f
    }

    /// It holds the query with this TTL, or a better one.
    pub(super) fn holds(&mut self, ttl: u8) {
        self.0 = (self.0 & 0xf0) | self.ttl().max(ttl.min(0x0f));
    }

    /// How many links there are between it and who asked, at most; `None` if it never said so.
    pub(super) const fn distance(self) -> Option<u8> {
        match self.0 >> 4 {
            0 => None,
            distance => Some(distance),
        }
    }

    /// It said that it is this many links away from who asked.
    pub(super) fn is_away(&mut self, links: u8) {
        let links = links.min(0x0f);
        if links > 0 && self.distance().is_none_or(|distance| links < distance) {
            self.0 = (links << 4) | self.ttl();
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Table<const QUERIES: usize, const LINKS: usize> {
    /// Zero where there is none.
    ids: [u64; QUERIES],
    /// When the query is forgotten, in [`ticks`].
    until: [u32; QUERIES],
    rows: [Row; QUERIES],
    /// What is known of the peers at the other ends of the links.
    known: [[Known; LINKS]; QUERIES],
}

impl<const QUERIES: usize, const LINKS: usize> Table<QUERIES, LINKS> {
    pub(super) const fn new() -> Self {
        Self {
            ids: [0; QUERIES],
            until: [0; QUERIES],
            rows: [Row { best: 0, from: From::Gone, hits: 0 }; QUERIES],
            known: [[Known(0); LINKS]; QUERIES],
        }
    }

    /// The place of a query, if it is remembered.
    pub(super) fn find(&self, now: Instant, id: QueryId) -> Option<usize> {
        let id = id.number();
        let has = |ids: &[u64]| ids.iter().fold(false, |found, &other| found | (other == id));
        // Sixteen at a time, without a branch in between: twice as fast as a search that stops at the first.
        let (blocks, rest) = self.ids.as_chunks::<16>();
        let (first, block) = match blocks.iter().position(|block| has(block)) {
            Some(at) => (at.saturating_mul(16), blocks.get(at)?.as_slice()),
            None => (blocks.len().saturating_mul(16), rest),
        };
        let at = first.saturating_add(block.iter().position(|&other| other == id)?);
        (id != 0 && *self.until.get(at)? > ticks(now)).then_some(at)
    }

    /// Remembers a query; `None` if there is no room.
    pub(super) fn insert(&mut self, now: Instant, id: QueryId, row: Row) -> Option<usize> {
        let time = ticks(now);
        let at = self.until.iter().position(|&until| until <= time)?;
        *self.ids.get_mut(at)? = id.number();
        *self.rows.get_mut(at)? = row;
        *self.known.get_mut(at)? = [Known(0); LINKS];
        self.prolong(now, at);
        Some(at)
    }

    /// Remembers it for a whole lifetime from now on.
    pub(super) fn prolong(&mut self, now: Instant, at: usize) {
        if let Some(until) = self.until.get_mut(at) {
            *until = ticks(now + super::LIFETIME).saturating_add(1);
        }
    }

    pub(super) fn id(&self, at: usize) -> QueryId {
        QueryId::new(self.ids.get(at).copied().unwrap_or_default())
    }

    pub(super) fn row(&mut self, at: usize) -> Option<&mut Row> {
        self.rows.get_mut(at)
    }

    /// What is known of the peer at the other end of a link.
    pub(super) fn known(&mut self, at: usize, link: usize) -> Option<&mut Known> {
        self.known.get_mut(at)?.get_mut(link)
    }

    /// A link is gone; another may get its number.
    pub(super) fn forget(&mut self, link: u8) {
        for row in self.rows.iter_mut().filter(|row| row.from == From::Link(link)) {
            row.from = From::Gone;
        }
        for known in &mut self.known {
            if let Some(known) = known.get_mut(usize::from(link)) {
                *known = Known(0);
            }
        }
    }

    /// How many queries are remembered.
    pub(super) fn len(&self, now: Instant) -> usize {
        let time = ticks(now);
        self.until.iter().filter(|&&until| until > time).count()
    }
}

/// Quarters of a second since the start: 32 bits of them last for 34 years.
fn ticks(now: Instant) -> u32 {
    u32::try_from(now.as_millis() / 250).unwrap_or(u32::MAX)
}
