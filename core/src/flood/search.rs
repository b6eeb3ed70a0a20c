//! Searches of our own: who is asked, and when somebody farther away.

pub(super) use super::horizon::Horizon;
use super::slot::{Job, Slot};
use super::table::{From, Row};
use super::{Flood, Rejected};
use crate::time::Instant;
use crate::wire::flood::{NameFilter, QueryId, RADIUS, What};

/// How far a search goes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// To the neighbours, then farther, until somebody has it (R-FL-50).
    First,
    /// As far as it may at once: everybody who has it answers.
    All,
}

/// A search that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    plan: Plan,
    most: u8,
    found: bool,
}

impl Search {
    /// Somebody has it.
    pub(super) const fn succeed(&mut self) {
        self.found = true;
    }

    /// Whether something was found, once a search that has gone so far is over.
    pub(super) const fn outcome(self, ttl: u8) -> Option<bool> {
        if self.found || ttl >= self.most { Some(self.found) } else { None }
    }
}

impl<const QUERIES: usize, const LINKS: usize, const SLOTS: usize> Flood<QUERIES, LINKS, SLOTS> {
    /// Looks for something up to `most` links away, and at most [`RADIUS`]. `id` is a random number.
    ///
    /// # Errors
    /// [`Rejected::Malformed`] if nobody may be asked this, [`Rejected::Full`] if the table is full,
    /// [`Rejected::Busy`] if as many searches are under way as can be.
    pub fn search(&mut self, now: Instant, id: QueryId, what: &What<'_>, plan: Plan, most: u8) -> Result<(), Rejected> {
        if !what.is_valid() {
            return Err(Rejected::Malformed);
        }
        let searches = self.slots.iter().flatten().filter(|slot| matches!(slot.job, Job::Search(_))).count();
        let index = self.slots.iter().position(Option::is_none).filter(|_| searches < SLOTS.div_ceil(2));
        let place = index.and_then(|index| self.slots.get_mut(index)).ok_or(Rejected::Busy)?;
        if self.table.find(now, id).is_some() {
            return Err(Rejected::Busy);
        }
        let row = Row { best: 0, from: From::Here, hits: 0 };
        let row = self.table.insert(now, id, row).ok_or(Rejected::Full)?;
        let search = Search { plan, most: most.clamp(1, RADIUS), found: false };
        *place = Slot::query(Job::Search(search), row, now, id, 0, *what);
        Ok(())
    }

    /// Gives a search up: nobody else is asked. Hits may still come.
    pub fn stop(&mut self, now: Instant, id: QueryId) {
        if let Some(row) = self.table.find(now, id) {
            let is_it = |slot: &Slot| slot.row == row && matches!(slot.job, Job::Search(_));
            self.slots.iter_mut().filter(|slot| slot.as_ref().is_some_and(is_it)).for_each(|slot| *slot = None);
        }
    }

    /// A search asks farther (R-FL-50).
    pub(super) fn next_ring(&mut self, now: Instant, slot: &mut Slot, search: Search) {
        let Search { plan, most, .. } = search;
        let step = if slot.ttl < 2 || self.rings_are_steep() { 1 } else { 2 };
        let next = match slot.ttl.saturating_add(step) {
            next if plan == Plan::First && next <= self.horizon.links() => next.min(most),
            // Beyond the farthest who ever asks there is probably nobody: one ring is enough for those who never do.
            _ => most,
        };
        if let Some(row) = self.table.row(slot.row) {
            row.best = next.saturating_add(1);
        }
        self.table.prolong(now, slot.row);
        self.send(slot, next);
        // R-FL-51. Where nobody was asked, nobody answers.
        if !slot.to.is_empty() {
            let links = u32::from(next).saturating_mul(2);
            slot.due = now + (self.settings.hop.saturating_add(self.settings.hold)).saturating_mul(links);
        }
    }

    /// Whether a ring too large costs much more than one too many: a ring costs as many times the one within it as
    /// there are other links, and with filters the outermost cost nothing.
    fn rings_are_steep(&self) -> bool {
        let up = || self.links.iter().flatten().filter(|link| link.is_up());
        let with = up().filter(|link| link.filter != NameFilter::ALL).count();
        up().count() > 4 || with.saturating_mul(2) > up().count()
    }
}
