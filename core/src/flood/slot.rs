//! Messages that wait to be sent.

use heapless::Vec;

use super::mask::Mask;
use super::search::Search;
use crate::time::Instant;
use crate::wire::flood::{self, MAX_MESSAGE, Message, Query, QueryId, What};
use crate::wire::transfer::LENGTH;

/// A message, encoded once, and where it goes. A query's TTL and hops are put in when it leaves.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) job: Job,
    /// The place of its query in the table.
    pub(super) row: usize,
    /// When the next step of the job is taken.
    pub(super) due: Instant,
    /// Where it still has to go.
    pub(super) to: Mask,
    /// What a query is sent with.
    pub(super) ttl: u8,
    pub(super) hops: u8,
    octets: Vec<u8, MAX_MESSAGE>,
}

/// Why it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// A query that is held until its best copy has come (R-FL-25), then passed on.
    Hold,
    /// On its way.
    Send,
    /// A query of our own, in rings (R-FL-50).
    #[cfg_attr(not(feature = "search"), expect(dead_code, reason = "there is no search"))]
    Search(Search),
}

/// TTL and hops, one octet each, stand behind the length, the mark, the kind and the id.
const TTL_AT: usize = LENGTH + 2 + 8;

impl Slot {
    pub(super) fn query(job: Job, row: usize, due: Instant, id: QueryId, hops: u8, what: What<'_>) -> Option<Self> {
        let message = Message::Query(Query { id, ttl: 0, hops: 0, what });
        Self::message(job, row, due, &message).map(|slot| Self { hops, ..slot })
    }

    pub(super) fn message(job: Job, row: usize, due: Instant, message: &Message<'_>) -> Option<Self> {
        let mut octets = Vec::new();
        octets.resize_default(MAX_MESSAGE).ok()?;
        let len = flood::encode(message, &mut octets).ok()?;
        octets.truncate(len);
        Some(Self { job, row, due, to: Mask::default(), ttl: 0, hops: 0, octets })
    }

    /// The message as it is sent now.
    pub(super) fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let room = buffer.get_mut(..self.octets.len())?;
        room.iter_mut().zip(&self.octets).for_each(|(to, from)| *to = *from);
        if self.ttl > 0 {
            room.get_mut(TTL_AT..)?.iter_mut().zip([self.ttl, self.hops]).for_each(|(to, from)| *to = from);
        }
        Some(self.octets.len())
    }

    /// What its query looks for.
    pub(super) fn what(&self) -> Option<What<'_>> {
        match flood::decode(self.octets.get(LENGTH..)?) {
            Ok(Some(Message::Query(query))) => Some(query.what),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_and_hops_are_where_they_are_put() {
        let what = What::Name("3.txt");
        let id = QueryId::new(0x0102_0304_0506_0708);
        let mut slot = Slot::query(Job::Hold, 0, Instant::START, id, 0, what).unwrap();
        (slot.ttl, slot.hops) = (5, 2);
        let mut buffer = [0xa5; MAX_MESSAGE];
        let len = slot.write(&mut buffer).unwrap();
        let (message, used) = flood::frame(&buffer[..len]).unwrap().unwrap();
        assert_eq!(message, Some(Message::Query(Query { id, ttl: 5, hops: 2, what })));
        assert_eq!((used, buffer[len], slot.what()), (len, 0xa5, Some(what)));
    }
}
