//! Small datagrams that are due at once, and how much strangers may make us say.
//!
//! An answer is remembered as the few octets that tell what to write; it is put into words when it leaves.
//!
//! **Memory**: about 48 octets for each of the [`ANSWERS`]. **Time**: constant. **Protocol**: R-IP-38.

use core::net::SocketAddrV4;

use heapless::{Deque, Vec};

use super::{Destination, Full, Table};
use crate::bucket::Rate;
use crate::wire::ipmsg::feiq::ImageAck;
use crate::wire::ipmsg::{Command, PacketToken};

/// How many answers can wait. One datagram causes two at most, so an application that polls after each datagram
/// needs few; one that reads some datagrams before it polls should read four at most.
pub const ANSWERS: usize = 16;

/// A received packet number, to be repeated as it was (R-IP-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    octets: [u8; PacketToken::MAX],
    len: u8,
}

impl Token {
    /// `None` for what is no decimal number: nobody could match it (R-IP-10).
    pub(super) fn new(token: PacketToken<'_>) -> Option<Self> {
        token.number()?;
        let mut octets = [0; PacketToken::MAX];
        let from = token.as_bytes();
        octets.get_mut(..from.len())?.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Some(Self { octets, len: u8::try_from(from.len()).ok()? })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// A command whose body is a received number: RECVMSG, ANSREADMSG, RELEASEFILES, DELMSG.
    Confirm(Command, Token),
    /// A command without a body: OKGETLIST, BR_ISGETLIST2, GETINFO, FeiQ's answers …
    Bare(Command),
    /// BR_ENTRY.
    Entry,
    /// BR_ENTRY without options.
    PlainEntry,
    /// ANSENTRY.
    AnsEntry,
    /// BR_ABSENCE.
    Absence,
    /// BR_EXIT.
    Exit,
    /// SENDINFO.
    Info,
    /// SENDABSENCEINFO.
    AbsenceInfo,
    /// SENDMSG with the absence text.
    AutoReply,
    /// GETLIST from this index.
    #[cfg(feature = "lists")]
    GetList(u32),
    /// ANSLIST from this index.
    #[cfg(feature = "lists")]
    AnsList(u32),
    /// FeiQ's acknowledgement of a part of a picture.
    ImageAck(ImageAck),
}

/// An answer, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) to: Destination,
    /// Whether the receiver reads UTF-8.
    pub(super) utf8: bool,
    /// The most octets that it may have.
    pub(super) allow: usize,
    pub(super) say: Say,
}

/// Answers that wait to be polled, in the order in which they were caused.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    queue: Deque<Answer, ANSWERS>,
}

impl Answers {
    pub(super) fn push(&mut self, answer: Answer) -> Result<(), Full> {
        self.queue.push_back(answer).map_err(|_| Full(Table::Answers))
    }

    pub(super) fn first(&self) -> Option<&Answer> {
        self.queue.front()
    }

    pub(super) fn drop_first(&mut self) {
        self.queue.pop_front();
    }
}

/// Answers to addresses that never proved that they receive: at most so many a second (R-IP-38).
///
/// On a network of a thousand the busiest second is when everybody starts work; then a few dozen entries arrive in a
/// second. A forger gets 100 answers of at most three times its own octets a second: no weapon.
///
/// As many as the burst may come at once: a small office that is switched on together.
pub(super) const STRANGERS: Rate = Rate { per_minute: 6000, burst: 200 };

/// The addresses that were greeted by unicast: they cannot be reached by broadcast.
pub(super) type Greeted = Vec<SocketAddrV4, 16>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_as_they_were() {
        let token = |octets: &'static [u8]| Token::new(PacketToken(octets.into()));
        assert_eq!(token(b"0000000042").unwrap().as_bytes(), b"0000000042");
        assert_eq!(token(b"12345678901234567890").unwrap().as_bytes(), b"12345678901234567890");
        assert_eq!(token(b"123456789012345678901"), None);
        assert_eq!(token(b""), None);
        assert_eq!(token(b"abc"), None);
    }
}
