//! The state of an IP Messenger agent, as far as datagrams go: who is there, what waits for an answer, what was
//! here before.
//!
//! A [`Node`] is handed what arrives and is asked what to do next:
//!
//! ```
//! use core::net::{Ipv4Addr, SocketAddrV4};
//! use feige_core::node::{Destination, Event, Identity, Names, Node, Output};
//! use feige_core::time::Instant;
//! use feige_core::wire::ipmsg::PacketNo;
//!
//! let names = Names::new(b"alice", b"pc-a", b"Alice", b"");
//! let identity = Identity { version: "1", software: "Feige", utf8: names.clone(), legacy: names };
//! let mut node = Node::<16, 8, 4096, 32>::new(identity, PacketNo(1_700_000_000), 42);
//! let mut now = Instant::START;
//! let mut buffer = [0; 8192];
//!
//! node.announce(now);
//! let Output::Transmit { to: Destination::Broadcast, octets } = node.poll(now, &mut buffer) else { panic!() };
//! assert!(octets.starts_with(b"1:1700000000:alice:pc-a:18874369:Alice\0"));
//! let Output::Wait(Some(until)) = node.poll(now, &mut buffer) else { panic!() };
//!
//! // Somebody writes.
//! let bob = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 7), 2425);
//! let Ok(Some(Event::Message(message))) = node.handle_datagram(now, bob, b"1:7:bob:pc-b:288:hello\0") else { panic!() };
//! assert_eq!(message.text.as_bytes(), b"hello");
//! let Output::Transmit { octets, .. } = node.poll(now, &mut buffer) else { panic!() };
//! assert_eq!(octets, b"1:1700000001:alice:pc-a:33:7\0");
//! ```
//!
//! **Guarantees**: no panic, no growth, no clock, no I/O. One datagram causes at most one event and two answers.
//! Everything that was sent to wait for a confirmation is confirmed or given up, once. A message is handed to the
//! application once, however often it arrives, as long as [`Seen`] remembers it. Of itself a node sends to addresses that
//! never proved that they receive at most three times what came from them, answers and rounds together, and not often
//! (R-IP-38).
//!
//! **Memory**: what its four capacities say; `Node<16, 8, 4096, 32>` fits into 12 KiB. **Time**: a datagram costs a
//! look-up among the members, one in the table of what was seen, and its own length.
//! **Protocol**: R-IP-26 to 58, 126, 127, 133 and 134 in `docs/protocol/ipmsg.md`.

#[cfg(feature = "absence")]
mod absence;
#[cfg(not(feature = "absence"))]
#[path = "no_absence.rs"]
mod absence;
mod answers;
mod compose;
mod event;
mod identity;
#[cfg(feature = "lists")]
mod list;
mod members;
mod offers;
mod outbox;
mod presence;
mod receive;
mod seen;
#[cfg(test)]
mod tests;

pub use answers::ANSWERS;
pub use event::{
    AbsenceNotice, Alarm, Audience, Destination, Event, Full, Incoming, Message, Output, Recipients, Rejected,
    Sighting, Table,
};
pub use identity::{ABSENCE_MAX, BothSets, Identity, NAME_MAX, Name, Names, TITLE_MAX, cut};
pub use members::{Kind, MOVE_AFTER, Member, MemberTable};
pub use offers::{OFFERED_FOR, Offer, Offers, REPEAT_FOR, Refused};
pub use outbox::{Delivery, Due, Outbox};
pub use presence::{ANSWERS_WITHIN, NEXT_ENTRY, ROUNDS, SECOND_ENTRY, SECOND_EXIT};
pub use seen::{RETENTION, Seen, WAYS};

use core::net::{Ipv4Addr, SocketAddrV4};

use crate::bucket::Bucket;
use crate::hash::{Hash, Random};
use absence::Absence;
use answers::{Answer, Answers, Greeted, STRANGERS, Say, Token};
#[cfg(feature = "lists")]
use list::ListClient;
use members::Debt;
use presence::{Presence, Round};
use receive::AMPLIFICATION;

use crate::time::Instant;
use crate::wire::ipmsg::{Command, Options, PacketNo, PacketToken};
use crate::wire::{BufferTooSmall, Writer};

/// An agent: up to `MEMBERS` others known, up to `SLOTS` datagrams of `BYTES` octets together waiting for a
/// confirmation, the last `SEEN` datagrams remembered.
#[derive(Clone, Debug)]
pub struct Node<const MEMBERS: usize, const SLOTS: usize, const BYTES: usize, const SEEN: usize> {
    identity: Identity,
    absence: Option<Absence>,
    next: PacketNo,
    random: Random,
    hash: Hash,
    members: MemberTable<MEMBERS>,
    outbox: Outbox<SLOTS, BYTES>,
    seen: Seen<SEEN>,
    answers: Answers,
    bucket: Bucket,
    presence: Presence,
    greeted: Greeted,
    /// The greeted address that is to be told next, in a round.
    greeting: usize,
    #[cfg(feature = "lists")]
    list: ListClient,
    /// The numbers of our last broadcasts, which come back to us.
    echoes: [Option<PacketNo>; 4],
}

// The profile of a microcontroller must fit beside a TCP/IP stack into 64 KiB.
const _: () = assert!(size_of::<Node<16, 8, 4096, 32>>() <= 12 * 1024);

/// Why a message was not taken: there was no room for it, now ([`Table::Outbox`]) or ever ([`Table::Datagram`]).
pub type SendError = Full;

impl<const MEMBERS: usize, const SLOTS: usize, const BYTES: usize, const SEEN: usize>
    Node<MEMBERS, SLOTS, BYTES, SEEN>
{
    /// An agent that nobody knows of yet.
    ///
    /// `first` is the number of its first packet and must be higher than any that it ever used before: the seconds
    /// since 1970, or [`Node::next_packet_no`] of the time before, whichever is higher (R-IP-11). `seed` is a random
    /// number, different each time.
    #[must_use]
    pub fn new(identity: Identity, first: PacketNo, seed: u64) -> Self {
        Self {
            identity,
            absence: None,
            next: if first.0 == 0 { first.next() } else { first },
            random: Random::new(seed),
            hash: Hash::new(seed),
            members: MemberTable::new(seed),
            outbox: Outbox::new(),
            seen: Seen::new(),
            answers: Answers::default(),
            bucket: Bucket::full(),
            presence: Presence::SILENT,
            greeted: Greeted::new(),
            greeting: usize::MAX,
            #[cfg(feature = "lists")]
            list: ListClient::default(),
            echoes: [None; 4],
        }
    }

    /// Who we are.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The number that the next packet will have; to be stored before the program ends.
    #[must_use]
    pub const fn next_packet_no(&self) -> PacketNo {
        self.next
    }

    /// Continues with this number, for a program that shares its numbers with others: in the block that is its own. It
    /// must not be below [`Node::next_packet_no`] (R-IP-11).
    pub const fn continue_at(&mut self, next: PacketNo) {
        self.next = next;
    }

    /// Takes a number for something that is sent by other ways, such as a file request.
    pub const fn take_packet_no(&mut self) -> PacketNo {
        let taken = self.next;
        self.next = taken.next();
        taken
    }

    /// Comes online: says so to everybody now, in 5 s, and every 180 s from then on (R-IP-32). To be called again when a
    /// network interface appeared.
    pub fn announce(&mut self, now: Instant) {
        self.presence.announce(now);
    }

    /// Says to one address that we are here: a peer that no broadcast reaches (R-IP-34).
    ///
    /// The first 16 such addresses are remembered: they get every further entry, and the exit.
    ///
    /// # Errors
    /// [`Full`] with [`Table::Answers`]: poll, then try again.
    pub fn greet(&mut self, now: Instant, to: SocketAddrV4) -> Result<(), Full> {
        self.say(to, Say::Entry)?;
        self.presence.greet(now);
        if !self.greeted.contains(&to) {
            // Those beyond the last are greeted this once; if they are members with DIALUPOPT, always.
            let _ = self.greeted.push(to);
        }
        Ok(())
    }

    /// Says goodbye, twice (R-IP-30). Poll until [`Node::has_left`].
    pub fn leave(&mut self, now: Instant) {
        self.presence.leave(now);
        #[cfg(feature = "lists")]
        self.list.forget();
    }

    /// Whether there is no goodbye to be said, or none any more. What is still waiting then, answers and repetitions, can
    /// be left unsaid.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.presence.is_silent()
    }

    /// Whether we announced ourselves and did not leave.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        self.presence.is_online()
    }

    /// Goes away, or with `None` comes back, and tells everybody (R-IP-35).
    #[cfg(feature = "absence")]
    pub fn set_absence(&mut self, now: Instant, notice: Option<AbsenceNotice<'_>>) {
        self.absence = notice.map(|notice| Absence::new(notice.title, notice.text));
        self.presence.tell_status(now);
    }

    /// Sends a message to one address. It is resent until it is confirmed ([`Event::Delivered`]) or given up
    /// ([`Alarm::GaveUp`]), unless it goes to everybody or was written by a program.
    ///
    /// To iptux the next message waits until the one before is confirmed: it drops what comes out of order (R-IP-57).
    ///
    /// # Errors
    /// [`Full`], with [`Table::Datagram`] if the message is too long, else with [`Table::Outbox`].
    pub fn send(&mut self, now: Instant, to: SocketAddrV4, message: &Message<'_>) -> Result<PacketNo, SendError> {
        let packet_no = message.packet_no.unwrap_or(self.next);
        let everybody = message.recipients == Recipients::Everybody;
        let checked = !everybody && !message.auto;
        let mut options = Options::NONE;
        let mut set = |wanted: bool, option: Options| {
            if wanted {
                options = options.with(option);
            }
        };
        set(checked, Options::SEND_CHECK);
        // R-IP-44: sealed, and the opening is to be confirmed.
        set(message.sealed && checked, Options::SECRET.with(Options::READ_CHECK));
        set(everybody, Options::BROADCAST);
        set(message.recipients == Recipients::Several, Options::MULTICAST);
        set(message.auto, Options::AUTO_RET);
        set(!message.attachments.is_empty(), Options::FILE_ATTACH);
        let destination = if everybody { Destination::Broadcast } else { Destination::Unicast(to) };
        let delivery = if checked { Delivery::Message } else { Delivery::Once };
        let ordered = checked && self.members.at(to).is_some_and(|member| member.client == Kind::Iptux);
        let Self { identity, outbox, .. } = self;
        outbox.push(now, destination, packet_no, delivery, ordered, &|buffer| {
            let mut writer = Writer::new(buffer);
            identity.header(&mut writer, Command::SendMsg, options, message.utf8, packet_no);
            // A NUL would end the text and begin the list of files.
            for &octet in message.text {
                writer.octet(if octet == 0 { b' ' } else { octet });
            }
            writer.octet(0);
            if !message.attachments.is_empty() {
                writer.octets(message.attachments).octet(0);
            }
            writer.finish()
        })?;
        if packet_no == self.next {
            self.next = packet_no.next();
        }
        if everybody {
            self.remember_echo(packet_no);
        }
        Ok(packet_no)
    }

    /// Says something short to an address that never proved that it receives, so that it may prove it: a message that is sent
    /// twice at most, and confirmed like others ([`Event::Delivered`]). Whoever has more to say to it waits for that.
    ///
    /// One stranger is sounded out at a time, the latest: whoever is there confirms within a moment, and what goes to those
    /// who are not would keep others waiting.
    ///
    /// `None`, and nothing is said, if the datagram would have more than three times the octets of its `question`, or if
    /// too many strangers were answered lately (R-IP-38); or if the outbox is full.
    pub fn sound_out(&mut self, now: Instant, to: SocketAddrV4, text: &[u8], question: usize) -> Option<PacketNo> {
        let packet_no = self.next;
        let Self { identity, outbox, bucket, .. } = self;
        if !bucket.take(now, STRANGERS) {
            return None;
        }
        outbox.give_up(|delivery, _| delivery == Delivery::Sounding);
        let write = |buffer: &mut [u8]| {
            let most = question.saturating_mul(AMPLIFICATION).min(buffer.len());
            let mut writer = Writer::new(buffer.get_mut(..most).unwrap_or_default());
            identity.header(&mut writer, Command::SendMsg, Options::SEND_CHECK, true, packet_no);
            writer.octets(text).octet(0);
            writer.finish()
        };
        outbox.push(now, Destination::Unicast(to), packet_no, Delivery::Sounding, false, &write).ok()?;
        self.next = packet_no.next();
        Some(packet_no)
    }

    /// "I opened your sealed message": once, or if the message asked for it ([`Incoming::read_check`]) until the sender
    /// confirms (R-IP-44).
    ///
    /// # Errors
    /// [`Full`] with [`Table::Outbox`]: try again later.
    pub fn read(
        &mut self,
        now: Instant,
        to: SocketAddrV4,
        token: PacketToken<'_>,
        check: bool,
    ) -> Result<PacketNo, Full> {
        let packet_no = self.next;
        let (options, delivery) =
            if check { (Options::READ_CHECK, Delivery::Reading) } else { (Options::NONE, Delivery::Once) };
        let Self { identity, outbox, .. } = self;
        outbox.push(now, Destination::Unicast(to), packet_no, delivery, false, &|buffer| {
            let mut writer = Writer::new(buffer);
            identity.header(&mut writer, Command::ReadMsg, options, false, packet_no);
            writer.octets(token.as_bytes()).octet(0);
            writer.finish()
        })?;
        self.next = packet_no.next();
        Ok(packet_no)
    }

    /// "I threw your sealed message away."
    ///
    /// # Errors
    /// [`Full`] with [`Table::Answers`]: poll, then try again.
    pub fn discard(&mut self, to: SocketAddrV4, token: PacketToken<'_>) -> Result<(), Full> {
        self.say_number(to, Command::DelMsg, token)
    }

    /// "I do not want the files that this message offers" (R-IP-56).
    ///
    /// # Errors
    /// [`Full`] with [`Table::Answers`]: poll, then try again.
    pub fn release(&mut self, to: SocketAddrV4, token: PacketToken<'_>) -> Result<(), Full> {
        self.say_number(to, Command::ReleaseFiles, token)
    }

    /// "Which program are you?" The answer is [`Event::Info`], if there is one.
    ///
    /// # Errors
    /// [`Full`] with [`Table::Answers`]: poll, then try again.
    pub fn ask_info(&mut self, to: SocketAddrV4) -> Result<(), Full> {
        self.say(to, Say::Bare(Command::GetInfo))
    }

    /// "Why are you away?" The answer is [`Event::AbsenceInfo`], if there is one.
    ///
    /// # Errors
    /// [`Full`] with [`Table::Answers`]: poll, then try again.
    pub fn ask_absence(&mut self, to: SocketAddrV4) -> Result<(), Full> {
        self.say(to, Say::Bare(Command::GetAbsenceInfo))
    }

    /// The application saw that this host receives what is sent to it: it opened a TCP connection (R-IP-38).
    pub fn proven(&mut self, host: Ipv4Addr) {
        self.members.prove(host);
    }

    /// Makes room for a message: gives up the oldest one that waits for somebody who never showed that it receives; tells
    /// whether there was one. No alarm tells of it.
    pub fn give_up_on_stranger(&mut self) -> bool {
        let Self { outbox, members, .. } = self;
        outbox.give_up(|delivery, to| {
            matches!(delivery, Delivery::Message | Delivery::Sounding)
                && members.at(to).is_none_or(|member| !member.proven)
        })
    }

    /// Who is there, in no particular order.
    pub fn members(&self) -> impl Iterator<Item = &Member> + Clone {
        self.members.iter()
    }

    /// The member at this address and port.
    #[must_use]
    pub fn member_at(&self, at: SocketAddrV4) -> Option<&Member> {
        self.members.at(at)
    }

    /// How many datagrams wait for a confirmation.
    #[must_use]
    pub fn outgoing(&self) -> usize {
        self.outbox.len()
    }

    /// When [`Node::poll`] should be called next if nothing happens; what `poll` would return as [`Output::Wait`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.answers.first().is_some() || self.greeting < self.greeted.len() {
            return Some(Instant::START);
        }
        let own = self.presence.next_deadline().min(self.members.next_debt());
        own.min(self.outbox.next_deadline().unwrap_or(Instant::NEVER)).unless_never()
    }

    /// What to do next; to be called until it waits, after everything else that was called.
    pub fn poll<'b>(&mut self, now: Instant, buffer: &'b mut [u8]) -> Output<'b> {
        match self.next_output(now, buffer) {
            Err(too_small) => Output::BufferTooSmall(too_small),
            Ok(Step::Alarm(alarm)) => Output::Alarm(alarm),
            Ok(Step::Transmit { to, len }) => Output::Transmit { to, octets: buffer.get(..len).unwrap_or_default() },
            Ok(Step::Wait) => Output::Wait(self.next_deadline()),
        }
    }

    fn next_output(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Step, BufferTooSmall> {
        while let Some(answer) = self.answers.first().copied() {
            let len = self.compose(&answer, self.next, buffer)?;
            self.answers.drop_first();
            if let Some(len) = len {
                return Ok(self.transmit(answer.to, len));
            }
        }
        if let Some(round) = self.presence.due(now) {
            return self.round(now, round, buffer);
        }
        // A round goes to the greeted addresses one by one.
        if let Some(&to) = self.greeted.get(self.greeting) {
            let say = if self.presence.is_online() { Say::Entry } else { Say::Exit };
            let answer = Answer { to: Destination::Unicast(to), utf8: self.reads_utf8(to), allow: usize::MAX, say };
            let len = self.compose(&answer, self.next, buffer)?;
            self.greeting = self.greeting.saturating_add(1);
            if let Some(len) = len {
                return Ok(self.transmit(answer.to, len));
            }
        }
        while let Some((index, debt)) = self.members.debt(now) {
            let Some(member) = self.members.row(index) else { break };
            let say = match debt {
                Debt::Answer => Say::AnsEntry,
                Debt::PlainEntry => Say::PlainEntry,
                Debt::Entry => Say::Entry,
                Debt::Status => Say::Absence,
                Debt::Exit => Say::Exit,
            };
            let allow = if member.proven { usize::MAX } else { member.owed.allow };
            let answer = Answer { to: Destination::Unicast(member.at), utf8: member.utf8(), allow, say };
            let len = self.compose(&answer, self.next, buffer)?;
            self.members.paid(index, debt, len.unwrap_or_default());
            if let Some(len) = len {
                return Ok(self.transmit(answer.to, len));
            }
        }
        match self.outbox.due(now, buffer)? {
            Some(Due::Transmit { to, len }) => return Ok(Step::Transmit { to, len }),
            Some(Due::GaveUp { to: Destination::Unicast(to), packet_no, delivery }) => {
                return Ok(Step::Alarm(Alarm::GaveUp { to, packet_no, what: delivery }));
            }
            Some(Due::GaveUp { to: Destination::Broadcast, .. }) | None => {}
        }
        if self.presence.expiry <= now {
            if let Some(gone) = self.members.expire_one(ROUNDS) {
                return Ok(Step::Alarm(Alarm::Expired(gone)));
            }
            self.presence.expiry = Instant::NEVER;
        }
        Ok(Step::Wait)
    }

    /// Says something to everybody: broadcasts it and makes it due for those whom no broadcast reaches.
    fn round(&mut self, now: Instant, round: Round, buffer: &mut [u8]) -> Result<Step, BufferTooSmall> {
        let (say, debt) = match round {
            Round::Entry => (Say::Entry, Debt::Entry),
            Round::Status => (Say::Absence, Debt::Status),
            Round::Exit => (Say::Exit, Debt::Exit),
        };
        let answer = Answer { to: Destination::Broadcast, utf8: false, allow: usize::MAX, say };
        let len = self.compose(&answer, self.next, buffer)?;
        if self.presence.told(now, round) {
            self.members.count_round();
        }
        let sets_differ = self.sets_differ();
        let Self { members, greeted, bucket, .. } = self;
        members.owe_all(|member| {
            let debt = match round {
                // R-IP-33: it did not hear the broadcast, which has options.
                Round::Entry if member.client == Kind::Shiyeline => Debt::PlainEntry,
                // R-IP-21: nobody answers this broadcast.
                Round::Status if sets_differ && member.utf8() => debt,
                _ if member.dialup() && !greeted.contains(&member.at) => debt,
                _ => return None,
            };
            (member.proven || bucket.take(now, STRANGERS)).then_some(debt)
        });
        if round != Round::Status {
            self.greeting = 0;
        }
        Ok(len.map_or(Step::Wait, |len| self.transmit(Destination::Broadcast, len)))
    }

    /// The datagram that was composed with the next number leaves.
    fn transmit(&mut self, to: Destination, len: usize) -> Step {
        let packet_no = self.take_packet_no();
        if to == Destination::Broadcast {
            self.remember_echo(packet_no);
        }
        Step::Transmit { to, len }
    }

    fn remember_echo(&mut self, packet_no: PacketNo) {
        let [first, second, third, _] = self.echoes;
        self.echoes = [Some(packet_no), first, second, third];
    }

    /// Something that the application wants said: no limits.
    fn say(&mut self, to: SocketAddrV4, say: Say) -> Result<(), Full> {
        let utf8 = self.reads_utf8(to);
        self.answers.push(Answer { to: Destination::Unicast(to), utf8, allow: usize::MAX, say })
    }

    fn say_number(&mut self, to: SocketAddrV4, command: Command, token: PacketToken<'_>) -> Result<(), Full> {
        // A message without a number cannot be referred to: nothing to say.
        Token::new(token).map_or(Ok(()), |token| self.say(to, Say::Confirm(command, token)))
    }
}

/// What [`Node::poll`] found, without the borrow.
#[allow(clippy::large_enum_variant)] // Lives for a moment.
enum Step {
    Transmit { to: Destination, len: usize },
    Alarm(Alarm),
    Wait,
}
