//! Which files we offered to whom.
//!
//! A request names a message and a file; only the host to which the message went may have it (R-IP-53). Clients get
//! the file's id wrong in known ways, so it is looked up in all of them (R-IP-73).
//!
//! **Guarantees**: nothing is handed out that was not offered to the address that asks; an offer ends by itself.
//!
//! **Memory**: about 56 octets for each of the `N` files. **Time**: linear in the offers.
//! **Protocol**: R-IP-53, R-IP-54, R-IP-73.

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use heapless::Vec;

use super::{Audience, Full, Table};
use crate::time::{Instant, earlier};
use crate::wire::ipmsg::{FileKind, FileRequest, PacketNo, RequestKind};

/// How long an offer stands if nobody fetches it. A person may come back from lunch, or the next morning.
pub const OFFERED_FOR: Duration = Duration::from_secs(24 * 3600);

/// How long a file that was fetched may be fetched again, by a user who overwrote it or whose transfer broke.
pub const REPEAT_FOR: Duration = Duration::from_secs(3600);

/// A file or folder that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The message that offered it.
    pub packet_no: PacketNo,
    /// To whom.
    pub to: Audience,
    /// Its id in the list of that message.
    pub file_id: u32,
    /// What it is.
    pub kind: FileKind,
    /// Its size in octets; of a folder, whatever the application wants to remember.
    pub size: u64,
    /// What the application knows it by.
    pub handle: u32,
    /// When it ends.
    pub until: Instant,
    /// Whether it was fetched whole.
    pub fetched: bool,
}

/// A request was refused: close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// No such file was offered, or not any longer.
    NotOffered,
    /// It was offered, but to another host.
    NotToYou,
    /// It was offered, but is a folder and was asked for as a file.
    WrongKind,
    /// The file ends before the offset that was asked for.
    BeyondEnd,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOffered => "no such file is offered",
            Self::NotToYou => "the file was offered to somebody else",
            Self::WrongKind => "a folder was asked for as a file",
            Self::BeyondEnd => "the file is shorter than the offset that was asked for",
        })
    }
}

impl core::error::Error for Refused {}

/// Up to `N` offered files.
#[derive(Clone, Debug)]
pub struct Offers<const N: usize> {
    offers: Vec<Offer, N>,
}

impl<const N: usize> Offers<N> {
    /// Nothing offered.
    #[must_use]
    pub const fn new() -> Self {
        Self { offers: Vec::new() }
    }

    /// Remembers that the file `file_id` of the message `packet_no` may be fetched by `to` until [`OFFERED_FOR`] is over.
    ///
    /// Offers of one message stand in the order in which they were made, which some clients count on.
    ///
    /// # Errors
    /// [`Full`]: nothing was remembered; do not send the message, or withdraw another.
    #[allow(clippy::too_many_arguments)] // All of them are what an offer is.
    pub fn offer(
        &mut self,
        now: Instant,
        packet_no: PacketNo,
        to: Audience,
        file_id: u32,
        kind: FileKind,
        size: u64,
        handle: u32,
    ) -> Result<(), Full> {
        let until = now + OFFERED_FOR;
        let offer = Offer { packet_no, to, file_id, kind, size, handle, until, fetched: false };
        self.offers.push(offer).map_err(|_| Full(Table::Offers))
    }

    /// The offer that `request` from `from` asks for.
    ///
    /// # Errors
    /// [`Refused`]: close the connection without a word; the protocol has none.
    pub fn authorise(&self, now: Instant, from: Ipv4Addr, request: &FileRequest<'_>) -> Result<Offer, Refused> {
        let mut why = Refused::NotOffered;
        // R-IP-73: the id in hexadecimal; in decimal; the place in the list. The same file may have been offered to
        // several by the same message, so places are counted among those that this host may fetch.
        let [mut by_hex, mut by_decimal, mut by_place] = [None; 3];
        let mut place = 0_u32;
        for offer in self.offers.iter().filter(|o| o.packet_no == request.packet_no && o.until > now) {
            // R-IP-53: only the address that it was offered to.
            if !may_fetch(offer.to, from) {
                if place == 0 {
                    why = Refused::NotToYou;
                }
                continue;
            }
            why = Refused::NotOffered;
            for (matches, found) in [
                (offer.file_id == request.id.hex, &mut by_hex),
                (Some(offer.file_id) == request.id.decimal, &mut by_decimal),
                (place == request.id.hex, &mut by_place),
            ] {
                if matches && found.is_none() {
                    *found = Some(offer);
                }
            }
            place = place.saturating_add(1);
        }
        let offer = by_hex.or(by_decimal).or(by_place).ok_or(why)?;
        // The other way round is legal: a file as a folder stream (R-IP-90).
        if offer.kind == FileKind::Folder && request.kind == RequestKind::File {
            return Err(Refused::WrongKind);
        }
        if offer.kind != FileKind::Folder && request.offset > offer.size {
            return Err(Refused::BeyondEnd);
        }
        Ok(*offer)
    }

    /// The file was fetched whole: it can be fetched again for [`REPEAT_FOR`] (R-IP-54).
    pub fn fetched(&mut self, now: Instant, offer: &Offer) {
        let same = |o: &&mut Offer| o.packet_no == offer.packet_no && o.to == offer.to && o.file_id == offer.file_id;
        for offer in self.offers.iter_mut().filter(same) {
            offer.fetched = true;
            offer.until = offer.until.min(now + REPEAT_FOR);
        }
    }

    /// The host `from` does not want what `packet_no` offered to it; returns how many files that were.
    ///
    /// What was offered to everybody stays: one of them does not speak for the others.
    pub fn release(&mut self, from: Ipv4Addr, packet_no: PacketNo) -> usize {
        self.forget(&|offer| offer.packet_no == packet_no && offer.to == Audience::Host(from))
    }

    /// We do not offer what `packet_no` offered any longer; returns how many files that were.
    pub fn withdraw(&mut self, packet_no: PacketNo) -> usize {
        self.forget(&|offer| offer.packet_no == packet_no)
    }

    /// Forgets what has ended; returns how many files that were.
    pub fn expire(&mut self, now: Instant) -> usize {
        self.forget(&|offer| offer.until <= now)
    }

    /// When to call [`Offers::expire`]; late is harmless.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.offers.iter().fold(None, |soonest, offer| earlier(soonest, Some(offer.until)))
    }

    /// What is offered, in the order in which it was.
    pub fn iter(&self) -> impl Iterator<Item = &Offer> + Clone {
        self.offers.iter()
    }

    fn forget(&mut self, ended: &dyn Fn(&Offer) -> bool) -> usize {
        let before = self.offers.len();
        self.offers.retain(|offer| !ended(offer));
        before.saturating_sub(self.offers.len())
    }
}

impl<const N: usize> Default for Offers<N> {
    fn default() -> Self {
        Self::new()
    }
}

fn may_fetch(to: Audience, from: Ipv4Addr) -> bool {
    match to {
        Audience::Host(host) => host == from,
        Audience::Everybody => true,
    }
}
