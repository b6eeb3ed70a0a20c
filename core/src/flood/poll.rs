//! What a [`Flood`] does next.

use super::event::count;
use super::link::{FILTER_EVERY, Farewell, PING};
use super::mask::Mask;
use super::slot::{Job, Slot};
use super::{Flood, LinkId, Output};
use crate::time::{Instant, earlier};
use crate::wire::flood::{self, Hello, MAX_MESSAGE, Message, NameFilter, VERSION, What};

/// What a slot comes to.
enum Step {
    /// Send it over this link.
    Send(u8),
    /// A search is over.
    Over { row: usize, found: bool },
    /// Wait.
    Rest(Instant),
    /// It is done.
    Free,
}

impl<const QUERIES: usize, const LINKS: usize, const SLOTS: usize> Flood<QUERIES, LINKS, SLOTS> {
    /// What to do next. Call it until it says [`Output::Wait`], after everything else and when the time has come.
    /// `buffer` has room for [`MAX_MESSAGE`] octets.
    pub fn poll<'b>(&mut self, now: Instant, buffer: &'b mut [u8]) -> Output<'b> {
        if buffer.len() < MAX_MESSAGE {
            return Output::BufferTooSmall;
        }
        let mut wait = None;
        for index in 0..LINKS {
            let id = LinkId(u8::try_from(index).unwrap_or(u8::MAX));
            if let Some(why) = self.farewell(now, index) {
                self.disconnect(id);
                return Output::Close { link: id, why };
            }
            let Some(Some(link)) = self.links.get_mut(index) else { continue };
            let message = if link.owes_hello {
                link.owes_hello = false;
                let super::Settings { token, software, .. } = self.settings;
                Message::Hello(Hello { version: VERSION, features: 0, token, software })
            } else if link.filter_due.is_some_and(|due| due <= now) {
                link.filter_due = Some(now + FILTER_EVERY);
                Message::Filter(self.names)
            } else if link.is_native() && link.token.is_some() && link.said + PING <= now {
                Message::Ping
            } else {
                wait = earlier(wait, link.deadline());
                continue;
            };
            link.said = now;
            return match flood::encode(&message, buffer) {
                Ok(len) => Output::Transmit { to: id, octets: buffer.get(..len).unwrap_or_default() },
                Err(_) => Output::BufferTooSmall,
            };
        }
        for index in 0..SLOTS {
            let Some(Some(slot)) = self.slots.get(index) else { continue };
            if slot.to.is_empty() && slot.due > now {
                wait = earlier(wait, Some(slot.due));
                continue;
            }
            let Some(mut slot) = self.slots.get_mut(index).and_then(Option::take) else { continue };
            let step = self.step(now, &mut slot);
            let len = slot.write(buffer).unwrap_or_default();
            if !matches!(step, Step::Free | Step::Over { .. })
                && let Some(place) = self.slots.get_mut(index)
            {
                *place = Some(slot);
            }
            match step {
                Step::Free => {}
                Step::Rest(until) => wait = earlier(wait, Some(until)),
                Step::Over { row, found } => return Output::Over { id: self.table.id(row), found },
                Step::Send(to) => {
                    if let Some(Some(link)) = self.links.get_mut(usize::from(to)) {
                        link.said = now;
                    }
                    return Output::Transmit { to: LinkId(to), octets: buffer.get(..len).unwrap_or_default() };
                }
            }
        }
        Output::Wait(wait)
    }

    /// Why a link is to be closed, if it is.
    fn farewell(&self, now: Instant, index: usize) -> Option<Farewell> {
        let link = self.links.get(index)?.as_ref()?;
        let is_silent = link.silent_at().is_some_and(|silent| silent <= now);
        link.farewell.or(is_silent.then_some(Farewell::Silent))
    }

    /// The next step of a message that waits.
    fn step(&mut self, now: Instant, slot: &mut Slot) -> Step {
        loop {
            if let Some(link) = slot.to.take_first() {
                if slot.ttl > 0 {
                    count(&mut self.counters.sent);
                }
                return Step::Send(link);
            }
            if slot.due > now {
                return Step::Rest(slot.due);
            }
            match slot.job {
                Job::Send => return Step::Free,
                Job::Hold => {
                    let best = self.table.row(slot.row).map_or(0, |row| row.best);
                    self.horizon.heard_from(slot.hops);
                    self.send(slot, best.saturating_sub(1));
                    slot.job = Job::Send;
                }
                Job::Search(search) => match search.outcome(slot.ttl) {
                    Some(found) => return Step::Over { row: slot.row, found },
                    None => self.next_ring(now, slot, search),
                },
            }
        }
    }

    /// Marks the links that a query has to go over with this TTL (R-FL-26, R-FL-29, R-FL-41).
    pub(super) fn send(&mut self, slot: &mut Slot, ttl: u8) {
        let mut to = Mask::default();
        slot.ttl = ttl;
        if ttl > 0 {
            for (index, link) in self.links.iter().enumerate() {
                let Some(link) = link.as_ref().filter(|link| link.is_up()) else { continue };
                let Some(known) = self.table.known(slot.row, index).filter(|known| known.ttl() < ttl) else { continue };
                // R-FL-52: in an earlier ring it had the query from others, no later than from us; so it will this one.
                if known.distance().is_some_and(|distance| distance <= slot.hops.saturating_add(1)) {
                    continue;
                }
                // Whoever is asked last can only answer for itself.
                if ttl == 1 && is_filtered(&link.filter, slot.what()) {
                    count(&mut self.counters.filtered);
                    continue;
                }
                known.holds(ttl);
                to.insert(u8::try_from(index).unwrap_or(u8::MAX));
            }
        }
        slot.to = to;
    }
}

/// Whether a neighbour surely has nothing of what is asked for.
fn is_filtered(filter: &NameFilter, what: Option<What<'_>>) -> bool {
    matches!(what, Some(What::Name(name)) if !filter.may_have(name))
}
