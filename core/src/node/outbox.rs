//! Datagrams that are resent until somebody confirms them.
//!
//! A datagram is encoded once, when it is pushed; every copy that goes out is the same octets (R-IP-42), so a
//! receiver can tell that it has seen it. A confirmation takes it out; after the last copy it gives up.
//!
//! **Guarantees**: a datagram leaves as often as its [`Delivery`] says, no earlier than due; order is kept between
//! datagrams to the same receiver if asked for. Nothing is ever overwritten: full is an answer.
//!
//! **Memory**: `BYTES` octets for datagrams, about 40 for each of the `SLOTS`. **Time**: [`Outbox::due`] is constant
//! while nothing is due, otherwise linear in the slots; pushing is constant until the end of the arena is reached, then
//! everything is moved to the front once. **Protocol**: R-IP-42 to 44, 57.

use core::cell::Cell;
use core::net::SocketAddrV4;
use core::time::Duration;

use heapless::Vec;

use super::{Destination, Full, Table};
use crate::time::Instant;
use crate::wire::BufferTooSmall;
use crate::wire::ipmsg::{MAX_DATAGRAM, PacketNo};

/// How often a datagram is sent, and what takes it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Once; nobody confirms it.
    Once,
    /// A message: five copies a second apart, until RECVMSG (R-IP-42).
    Message,
    /// A message to a stranger: two copies two seconds apart, until RECVMSG (R-IP-38).
    Sounding,
    /// READMSG: twelve copies 0.75 s apart, until ANSREADMSG (R-IP-44).
    Reading,
}

impl Delivery {
    /// How many copies go out at most.
    #[must_use]
    pub const fn copies(self) -> u8 {
        match self {
            Self::Once => 1,
            Self::Sounding => 2,
            Self::Message => 5,
            Self::Reading => 12,
        }
    }

    /// The time between two copies, and from the last one to giving up.
    #[must_use]
    pub const fn interval(self) -> Duration {
        match self {
            Self::Once => Duration::ZERO,
            Self::Message => Duration::from_millis(1000),
            Self::Sounding => Duration::from_secs(2),
            Self::Reading => Duration::from_millis(750),
        }
    }

    /// Whether what confirms `other` confirms this.
    const fn is_confirmed_like(self, other: Self) -> bool {
        match self {
            Self::Once => false,
            Self::Message | Self::Sounding => matches!(other, Self::Message),
            Self::Reading => matches!(other, Self::Reading),
        }
    }
}

/// One datagram that waits.
#[derive(Clone, Copy, Debug)]
struct Slot {
    to: Destination,
    packet_no: PacketNo,
    delivery: Delivery,
    /// Whether it must not overtake an earlier one to the same receiver.
    ordered: bool,
    sent: u8,
    due: Instant,
    start: usize,
    len: usize,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// This many octets at the front of the buffer are to go there.
    Transmit {
        /// To whom.
        to: Destination,
        /// How many octets.
        len: usize,
    },
    /// Nobody confirmed it; it is gone.
    GaveUp {
        /// Who did not answer.
        to: Destination,
        /// Its number.
        packet_no: PacketNo,
        /// What it was.
        delivery: Delivery,
    },
}

/// Up to `SLOTS` datagrams of `BYTES` octets together.
#[derive(Clone, Debug)]
pub struct Outbox<const SLOTS: usize, const BYTES: usize> {
    /// In the order in which they were pushed, so their places in the arena ascend.
    slots: Vec<Slot, SLOTS>,
    arena: [u8; BYTES],
    /// Nothing is due before.
    soonest: Instant,
}

impl<const SLOTS: usize, const BYTES: usize> Outbox<SLOTS, BYTES> {
    /// Nothing to send.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new(), arena: [0; BYTES], soonest: Instant::NEVER }
    }

    /// How many datagrams wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes in a datagram of at most `most` octets that `write` writes to the buffer that it is given; the first copy
    /// is due at once.
    ///
    /// With `ordered` it waits until nothing that was pushed earlier for the same receiver waits for a confirmation.
    ///
    /// # Errors
    /// [`Full`]: no slot or no room is left; try again when something was confirmed or given up. [`Full`] with
    /// [`Table::Datagram`]: it is longer than [`MAX_DATAGRAM`], or than the whole arena, and will never fit.
    pub fn push(
        &mut self,
        now: Instant,
        to: Destination,
        packet_no: PacketNo,
        delivery: Delivery,
        ordered: bool,
        write: &dyn Fn(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<(), Full> {
        if self.slots.is_full() {
            return Err(Full(Table::Outbox));
        }
        let most = MAX_DATAGRAM.min(BYTES);
        let (start, len) = match self.write_behind(most, write) {
            Ok(placed) => placed,
            Err(BufferTooSmall { needed }) if needed > most => return Err(Full(Table::Datagram)),
            Err(_) => {
                self.compact();
                self.write_behind(most, write).map_err(|_| Full(Table::Outbox))?
            }
        };
        let slot = Slot { to, packet_no, delivery, ordered, sent: 0, due: now, start, len };
        self.slots.push(slot).map_err(|_| Full(Table::Outbox))?;
        self.soonest = self.soonest.min(now);
        Ok(())
    }

    fn write_behind(
        &mut self,
        most: usize,
        write: &dyn Fn(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<(usize, usize), BufferTooSmall> {
        let start = self.slots.last().map_or(0, |last| last.start.saturating_add(last.len));
        let end = start.saturating_add(most).min(BYTES);
        let len = write(self.arena.get_mut(start..end).unwrap_or_default())?;
        Ok((start, len))
    }

    /// Moves everything to the front of the arena.
    fn compact(&mut self) {
        // Cells, because source and destination may overlap; ascending, so nothing is overwritten unread.
        let cells = Cell::from_mut(self.arena.as_mut_slice()).as_slice_of_cells();
        let mut front = 0_usize;
        for slot in &mut self.slots {
            if slot.start != front {
                let from = cells.get(slot.start..).unwrap_or_default().iter().take(slot.len);
                let to = cells.get(front..).unwrap_or_default();
                for (to, from) in to.iter().zip(from) {
                    to.set(from.get());
                }
                slot.start = front;
            }
            front = front.saturating_add(slot.len);
        }
    }

    /// Whether a datagram with this number waits for a confirmation.
    #[must_use]
    pub fn holds(&self, packet_no: PacketNo) -> bool {
        self.slots.iter().any(|slot| slot.packet_no == packet_no && slot.sent > 0)
    }

    /// A confirmation came: takes the datagram out and returns to whom it had been sent.
    ///
    /// The number decides. Where several receivers have the same number, the one at `from` is meant, else the one at
    /// `known_as` (where the confirming agent was sighted), else one on the host of `from`, else the only one that is left: a
    /// host with two network cards answers from the other one (R-IP-43). `None`: nothing matches, it was confirmed
    /// before, or it was never sent.
    pub fn acked(
        &mut self,
        packet_no: PacketNo,
        delivery: Delivery,
        from: SocketAddrV4,
        known_as: Option<SocketAddrV4>,
    ) -> Option<SocketAddrV4> {
        let mut candidates = 0_usize;
        let mut best: Option<(u8, SocketAddrV4)> = None;
        for slot in &self.slots {
            let Destination::Unicast(to) = slot.to else { continue };
            if slot.packet_no != packet_no || !slot.delivery.is_confirmed_like(delivery) || slot.sent == 0 {
                continue;
            }
            candidates = candidates.saturating_add(1);
            let closeness = match to {
                to if to == from => 3,
                to if Some(to) == known_as => 2,
                to if to.ip() == from.ip() => 1,
                _ => 0,
            };
            if best.is_none_or(|(best, _)| closeness > best) {
                best = Some((closeness, to));
            }
        }
        let (closeness, to) = best?;
        if closeness == 0 && candidates > 1 {
            return None;
        }
        let confirmed = self.slots.iter().position(|slot| {
            slot.packet_no == packet_no
                && slot.delivery.is_confirmed_like(delivery)
                && slot.to == Destination::Unicast(to)
                && slot.sent > 0
        });
        self.take_out(confirmed?);
        Some(to)
    }

    /// Gives up the oldest datagram of one receiver that `is_one` takes; tells whether there was one.
    pub fn give_up(&mut self, is_one: impl Fn(Delivery, SocketAddrV4) -> bool) -> bool {
        let given_up =
            self.slots.iter().position(|slot| matches!(slot.to, Destination::Unicast(to) if is_one(slot.delivery, to)));
        given_up.map(|index| self.take_out(index)).is_some()
    }

    /// When to call [`Outbox::due`]; `None`: not before something is pushed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.soonest.unless_never()
    }

    /// One thing that is due at `now`, a datagram copied to the front of `buffer`.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if the buffer cannot hold the next datagram, which stays due.
    pub fn due(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<Due>, BufferTooSmall> {
        if now < self.soonest {
            return Ok(None);
        }
        let Some(index) = self.first_due(now) else {
            self.reschedule();
            return Ok(None);
        };
        let Some(slot) = self.slots.get_mut(index) else { return Ok(None) };
        let Slot { to, packet_no, delivery, start, len, .. } = *slot;
        if slot.sent >= delivery.copies() {
            self.take_out(index);
            return Ok(Some(Due::GaveUp { to, packet_no, delivery }));
        }
        let octets = self.arena.get(start..).unwrap_or_default().iter().take(len);
        let Some(room) = buffer.get_mut(..len) else { return Err(BufferTooSmall { needed: len }) };
        for (to, from) in room.iter_mut().zip(octets) {
            *to = *from;
        }
        slot.sent = slot.sent.saturating_add(1);
        slot.due = now + delivery.interval();
        if delivery == Delivery::Once {
            self.take_out(index);
        } else {
            self.reschedule();
        }
        Ok(Some(Due::Transmit { to, len }))
    }

    /// The slot to look at: the first that is due and need not wait for an earlier one.
    fn first_due(&self, now: Instant) -> Option<usize> {
        self.slots
            .iter()
            .enumerate()
            .find(|(index, slot)| slot.due <= now && !self.must_wait(*index, slot))
            .map(|(i, _)| i)
    }

    fn must_wait(&self, index: usize, slot: &Slot) -> bool {
        slot.ordered
            && slot.sent == 0
            && self.slots.iter().take(index).any(|earlier| earlier.to == slot.to && earlier.delivery != Delivery::Once)
    }

    fn take_out(&mut self, index: usize) {
        // One after the other to the end: there are few, and `memmove` takes 1.6 KB of a microcontroller's flash.
        let mut rest = self.slots.get_mut(index..).unwrap_or_default();
        while let Some((this, behind)) = rest.split_first_mut() {
            if let Some(next) = behind.first_mut() {
                core::mem::swap(this, next);
            }
            rest = behind;
        }
        self.slots.pop();
        self.reschedule();
    }

    fn reschedule(&mut self) {
        let due = self.slots.iter().enumerate().filter(|(index, slot)| !self.must_wait(*index, slot));
        self.soonest = due.fold(Instant::NEVER, |soonest, (_, slot)| soonest.min(slot.due));
    }
}

impl<const SLOTS: usize, const BYTES: usize> Default for Outbox<SLOTS, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn peer(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, last), 2425)
    }

    /// Puts a datagram in that consists of its number, three times.
    fn push(outbox: &mut Outbox<6, 64>, to: Destination, number: u8, delivery: Delivery) {
        let write = |room: &mut [u8]| {
            let place = room.get_mut(..3).ok_or(BufferTooSmall { needed: 3 })?;
            place.fill(number);
            Ok(3)
        };
        outbox.push(Instant::START, to, PacketNo(number.into()), delivery, true, &write).unwrap();
    }

    /// The next datagram that is due: to whom, and what.
    fn next(outbox: &mut Outbox<6, 64>, now: Instant) -> Option<(Destination, [u8; 3])> {
        let mut buffer = [0; 3];
        match outbox.due(now, &mut buffer).unwrap()? {
            Due::Transmit { to, len: 3 } => Some((to, buffer)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_goes_to_one_receiver_is_given_up_the_oldest_first() {
        let message_to = |one: u8| move |delivery, to| delivery == Delivery::Message && to == peer(one);
        let (seven, eight) = (Destination::Unicast(peer(7)), Destination::Unicast(peer(8)));
        let mut outbox = Outbox::new();
        push(&mut outbox, Destination::Broadcast, 1, Delivery::Message);
        push(&mut outbox, seven, 2, Delivery::Reading);
        push(&mut outbox, seven, 3, Delivery::Once);
        push(&mut outbox, eight, 4, Delivery::Message);
        push(&mut outbox, seven, 5, Delivery::Message);
        push(&mut outbox, seven, 6, Delivery::Message);
        assert!(!outbox.give_up(message_to(9)));
        assert_eq!(outbox.len(), 6);
        assert!(outbox.give_up(message_to(7)));
        let left: Vec<u32, 6> = outbox.slots.iter().map(|slot| slot.packet_no.0).collect();
        assert_eq!(left, [1, 2, 3, 4, 6]);
        assert!(outbox.give_up(message_to(7)) && outbox.give_up(message_to(8)));
        assert!(!outbox.give_up(message_to(7)) && !outbox.give_up(message_to(8)));
        // What is for everybody is nobody's.
        assert!(outbox.give_up(|_, _| true) && outbox.give_up(|_, _| true));
        assert!(!outbox.give_up(|_, _| true));
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn what_waited_behind_it_goes_out_at_once_and_whole() {
        let seven = Destination::Unicast(peer(7));
        let mut outbox = Outbox::new();
        for number in 1..=3 {
            push(&mut outbox, seven, number, Delivery::Message);
        }
        assert_eq!(next(&mut outbox, Instant::START), Some((seven, [1; 3])));
        assert_eq!(next(&mut outbox, Instant::START), None);
        assert_eq!(outbox.next_deadline(), Some(Instant::from_millis(1_000)));
        assert!(outbox.give_up(|_, _| true));
        assert_eq!(outbox.next_deadline(), Some(Instant::START));
        assert_eq!(next(&mut outbox, Instant::START), Some((seven, [2; 3])));
        assert!(outbox.give_up(|_, _| true) && outbox.give_up(|_, _| true));
        assert_eq!((outbox.is_empty(), outbox.next_deadline()), (true, None));
    }
}
