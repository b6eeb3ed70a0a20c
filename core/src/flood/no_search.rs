//! In place of [`search`](super::search) in a peer that looks for nothing itself: it answers, and passes on.
//!
//! A search cannot exist, so the compiler leaves out whatever needs one.
//!
//! **Memory**, **time**: none.

use core::convert::Infallible;

use super::Flood;
use super::slot::Slot;
use crate::time::Instant;

/// A search that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search(Infallible);

impl Search {
    pub(super) const fn succeed(&mut self) {
        match self.0 {}
    }

    pub(super) const fn outcome(self, _ttl: u8) -> Option<bool> {
        match self.0 {}
    }
}

/// How far away those are who ask, for those who ask themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon;

impl Horizon {
    pub(super) const NEW: Self = Self;

    pub(super) const fn heard_from(self, _links: u8) {}
}

impl<const QUERIES: usize, const LINKS: usize, const SLOTS: usize> Flood<QUERIES, LINKS, SLOTS> {
    pub(super) fn next_ring(&mut self, _now: Instant, _slot: &mut Slot, search: Search) {
        match search.0 {}
    }
}
