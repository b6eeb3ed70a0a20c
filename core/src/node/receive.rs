//! What arrives.

use core::net::SocketAddrV4;
use core::time::Duration;

use super::answers::{Answer, STRANGERS, Say, Token};
use super::event::{Event, Incoming, Rejected, Sighting};
use super::members::{Change, Debt, Kind, Profile};
use super::outbox::Delivery;
use super::{Destination, Node};
use crate::text::Text;
use crate::time::Instant;
use crate::wire::ipmsg::feiq::ImageFragment;
use crate::wire::ipmsg::{Client, Command, Datagram, Entry, Header, Options, PacketNo};
use crate::wire::{hex, leading_decimal};

/// What goes to addresses that never proved that they receive is at most this many times as long as what came from them
/// (R-IP-38). An answer to a short entry carries our names, which may be longer than the asker's.
pub(super) const AMPLIFICATION: usize = 3;

/// A confirmation has room in this many octets, if need be without our names, if our version is `1`.
const BRIEF: usize = 42;

/// Who sent a datagram, as far as answers are concerned.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) from: SocketAddrV4,
    /// The row in the member table.
    row: Option<usize>,
    utf8: bool,
    /// The most octets of all answers together.
    allow: usize,
    proven: bool,
}

impl<const MEMBERS: usize, const SLOTS: usize, const BYTES: usize, const SEEN: usize>
    Node<MEMBERS, SLOTS, BYTES, SEEN>
{
    /// Takes in a datagram that arrived from `from`, and says what it means.
    ///
    /// What it asks for is answered by the next calls of [`Node::poll`]; poll before the next datagram, or after four at
    /// most, because only [`super::ANSWERS`] answers can wait.
    ///
    /// `Ok(None)`: understood, and nothing that the application need know.
    ///
    /// # Errors
    /// [`Rejected`]: nothing happened, except that a duplicate was confirmed again. Drop it; count it if you like.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        octets: &'d [u8],
    ) -> Result<Option<Event<'d>>, Rejected> {
        let datagram = Datagram::parse(octets)?;
        let header = datagram.header;
        if self.is_echo(&header) {
            return Err(Rejected::Own);
        }
        let row = self.members.find(from);
        if let Some(row) = row {
            self.members.touch(now, row);
        }
        let member = row.and_then(|row| self.members.row(row));
        let proven = member.is_some_and(|member| member.proven);
        let sender = Sender {
            from,
            row,
            utf8: member.map_or(header.options.contains(Options::UTF8), super::Member::utf8),
            allow: if proven { usize::MAX } else { octets.len().saturating_mul(AMPLIFICATION) },
            proven,
        };
        match header.command {
            Command::BrEntry | Command::AnsEntry | Command::BrAbsence => Ok(self.entered(now, sender, &datagram)),
            Command::BrExit => Ok(self.members.remove(from).then(|| {
                let entry = Entry::of(&datagram);
                Event::Offline { at: from, user: entry.user().text, host: entry.host().text }
            })),
            Command::SendMsg => self.message(now, sender, &datagram),
            Command::IptuxSendMsg => {
                self.once(now, from, &datagram)?;
                Ok(Some(Event::Message(incoming(sender, &datagram))))
            }
            Command::RecvMsg => {
                let packet_no = referred(datagram.body).ok_or(Rejected::Unasked)?;
                let to = self.confirmed(sender, &header, packet_no, Delivery::Message).ok_or(Rejected::Unasked)?;
                Ok(Some(Event::Delivered { packet_no, to, by: from }))
            }
            Command::AnsReadMsg => {
                let packet_no = referred(datagram.body).ok_or(Rejected::Unasked)?;
                self.confirmed(sender, &header, packet_no, Delivery::Reading).ok_or(Rejected::Unasked)?;
                Ok(None)
            }
            Command::ReadMsg => {
                let packet_no = referred(datagram.body).ok_or(Rejected::Unasked)?;
                if header.options.contains(Options::READ_CHECK) {
                    self.confirm(sender, Command::AnsReadMsg, &header);
                }
                // Who opened it has it, even if the confirmation was lost.
                self.confirmed(sender, &header, packet_no, Delivery::Message);
                self.once(now, from, &datagram)?;
                Ok(Some(Event::Read { packet_no, by: from }))
            }
            Command::DelMsg => {
                let packet_no = referred(datagram.body).ok_or(Rejected::Unasked)?;
                self.confirmed(sender, &header, packet_no, Delivery::Message);
                self.once(now, from, &datagram)?;
                Ok(Some(Event::Discarded { packet_no, by: from }))
            }
            Command::ReleaseFiles => {
                let packet_no = referred(datagram.body).ok_or(Rejected::Unasked)?;
                self.once(now, from, &datagram)?;
                Ok(Some(Event::Released { packet_no, by: from }))
            }
            Command::GetInfo => {
                self.answer(now, sender, Say::Info);
                Ok(None)
            }
            Command::SendInfo => {
                let (text, utf8) = (Text::new(datagram.body), header.options.contains(Options::UTF8));
                Ok(Some(Event::Info { from, text, utf8 }))
            }
            Command::GetAbsenceInfo => {
                self.answer(now, sender, Say::AbsenceInfo);
                Ok(None)
            }
            Command::SendAbsenceInfo => {
                let (text, utf8) = (Text::new(datagram.body), header.options.contains(Options::UTF8));
                Ok(Some(Event::AbsenceInfo { from, text, utf8 }))
            }
            #[cfg(feature = "lists")]
            Command::BrIsGetList | Command::BrIsGetList2 | Command::GetList | Command::OkGetList | Command::AnsList => {
                self.about_lists(now, sender, &datagram)
            }
            Command::FeiqOpenYou => {
                self.answer(now, sender, Say::Bare(Command::FeiqRespYou));
                Ok(Some(Event::Opened { from }))
            }
            // R-IP-55: with this bit a probe, without it a query that nobody has explained.
            Command::FeiqDeviceQuery if header.options.contains(Options::SEND_CHECK) => {
                self.answer(now, sender, Say::Bare(Command::FeiqRespYou));
                Ok(None)
            }
            Command::FeiqKnock => {
                self.answer(now, sender, Say::Bare(Command::FeiqKnockAck));
                self.once(now, from, &datagram)?;
                Ok(Some(Event::Knock { from }))
            }
            Command::FeiqTyping => Ok(Some(Event::Typing { from, typing: true })),
            Command::FeiqTypingEnd => Ok(Some(Event::Typing { from, typing: false })),
            Command::FeiqSendImage => {
                let fragment = ImageFragment::parse(&datagram)?;
                // Like RECVMSG: without it the sender stalls, and it is shorter than the fragment.
                self.push(sender, Say::ImageAck(fragment.ack()));
                Ok(Some(Event::Image { from, fragment }))
            }
            // R-IP-5: what we do not know, or do not do, is never answered.
            _ => Ok(None),
        }
    }

    /// R-IP-133: our broadcasts come back to us, from any of our addresses.
    fn is_echo(&self, header: &Header<'_>) -> bool {
        let Some(number) = header.packet_no.low32() else { return false };
        // What wants to be confirmed was never broadcast. It comes from another agent of our name whose numbers began
        // in the same second.
        if header.command == Command::SendMsg && header.options.contains(Options::SEND_CHECK) {
            return false;
        }
        let ours = |utf8| self.identity.names(utf8).are(header.user, header.host);
        self.echoes.contains(&Some(PacketNo(number))) && (ours(false) || ours(true))
    }

    fn entered<'d>(&mut self, now: Instant, sender: Sender, datagram: &Datagram<'d>) -> Option<Event<'d>> {
        let header = datagram.header;
        let entry = Entry::of(datagram);
        let (user, host, nick, group) = (entry.user(), entry.host(), entry.nick(), entry.group());
        // R-IP-104: what iptux reads, it says in its own way.
        let named_utf8 = entry.iptux.is_some_and(|extras| extras.encoding.as_bytes().eq_ignore_ascii_case(b"utf-8"));
        let options = if named_utf8 { header.options.with(Options::CAP_UTF8) } else { header.options };
        let profile = Profile {
            user: user.text.as_bytes(),
            host: host.text.as_bytes(),
            nick: nick.text.as_bytes(),
            group: group.text.as_bytes(),
            names_utf8: user.utf8 || named_utf8,
            options,
            client: kind(&header),
            feiq_id: feiq_id(&header),
            listed: false,
            allow: sender.allow,
        };
        let (change, row) = match self.members.sighted(now, sender.from, &profile) {
            Ok((change, row)) => (Some(change), row),
            Err(_) => (None, None),
        };
        let utf8 = options.contains(Options::CAP_UTF8);
        if header.command == Command::BrEntry && self.presence.is_online() {
            self.answer_entry(now, Sender { row, utf8, ..sender });
        }
        let dialup = options.contains(Options::DIALUP);
        if header.command == Command::AnsEntry && utf8 && !dialup && self.presence.is_online() && self.sets_differ() {
            // R-IP-21: it has seen our names in the legacy set only; where it dials up, our entries to it are in UTF-8.
            match row {
                Some(row) if self.limited(now, sender) => self.members.owe(row, Debt::Status),
                Some(_) => {}
                None => self.answer(now, Sender { row, utf8, ..sender }, Say::Absence),
            }
        }
        if let (Some(row), Some(Change::New { .. } | Change::Moved { .. }), Kind::Shiyeline) =
            (row, change, profile.client)
            && self.presence.is_online()
            && self.limited(now, sender)
        {
            // R-IP-33: it answers nothing else.
            self.members.owe(row, Debt::PlainEntry);
        }
        let mut sighting = Sighting {
            at: sender.from,
            user,
            host,
            nick,
            group,
            header,
            absent: header.options.contains(Options::ABSENCE) && profile.client != Kind::Iptux,
            moved_from: None,
            evicted: None,
            kept: true,
        };
        match change {
            Some(Change::New { evicted }) => Some(Event::Online(Sighting { evicted, ..sighting })),
            Some(Change::Moved { from }) => Some(Event::Updated(Sighting { moved_from: Some(from), ..sighting })),
            Some(Change::Changed) => Some(Event::Updated(sighting)),
            Some(Change::Same | Change::Alias) => None,
            None => {
                sighting.kept = false;
                Some(Event::Online(sighting))
            }
        }
    }

    /// R-IP-29: after a random delay, so that a newcomer is not answered by all at once; longer the more there are.
    fn answer_entry(&mut self, now: Instant, sender: Sender) {
        let known = self.members.len();
        let mask = if known < 50 {
            1023
        } else if known < 300 {
            2047
        } else {
            4095
        };
        match sender.row {
            Some(row) => {
                // One answer serves all entries that come until it leaves.
                if !self.members.owes_answer(row) && self.limited(now, sender) {
                    let delay = Duration::from_millis(self.random.next() & mask);
                    self.members.owe_answer(row, now + delay);
                }
            }
            // No place to remember it, or a second address of a member: at once.
            None => self.answer(now, sender, Say::AnsEntry),
        }
    }

    fn message<'d>(
        &mut self,
        now: Instant,
        sender: Sender,
        datagram: &Datagram<'d>,
    ) -> Result<Option<Event<'d>>, Rejected> {
        let Datagram { header, .. } = *datagram;
        let options = header.options;
        // R-IP-48: we cannot read it, so we do not say that it arrived; our entry says once more what we can.
        if options.contains(Options::ENCRYPT) {
            self.once(now, sender.from, datagram)?;
            if self.presence.is_online() {
                self.answer(now, sender, Say::AnsEntry);
            }
            return Ok(Some(Event::Message(incoming(sender, datagram))));
        }
        // R-IP-40, R-IP-49: duplicates too, what went to everybody or was written by a program never.
        let quiet = options.intersects(Options::BROADCAST.with(Options::AUTO_RET));
        // R-IP-38: a stranger's confirmation is short, and what follows has the rest.
        let (mut brief, mut rest) = (sender, sender);
        if !sender.proven {
            brief.allow = sender.allow.min(BRIEF);
            rest.allow = sender.allow.saturating_sub(BRIEF);
        }
        if options.contains(Options::SEND_CHECK) && !quiet {
            self.confirm(brief, Command::RecvMsg, &header);
        }
        self.once(now, sender.from, datagram)?;
        if sender.row.is_none() && self.presence.is_online() && !options.contains(Options::NO_ADD_LIST) {
            // R-IP-36: it does not know us, or we do not know it. That we are away, if we are, the entry says as well.
            self.answer(now, rest, Say::Entry);
        } else if self.absence.is_some() && !quiet {
            self.answer(now, rest, Say::AutoReply);
        }
        Ok(Some(Event::Message(incoming(sender, datagram))))
    }

    /// R-IP-40: whether this comes for the first time.
    ///
    /// Number, command, names and address make the key, and the text too: iptux counts from 1 each time it is
    /// started, so the same number may come again with another message. Padding at the end does not count: the
    /// official client pads late copies.
    fn once(&mut self, now: Instant, from: SocketAddrV4, datagram: &Datagram<'_>) -> Result<(), Rejected> {
        let header = &datagram.header;
        let tail = datagram.tail.unwrap_or_default();
        let used = tail.iter().rposition(|&octet| octet != 0).map_or(0, |last| last.saturating_add(1));
        let key = self
            .hash
            .number(u64::from(u32::from(*from.ip())) << 16 | u64::from(from.port()))
            .number(u64::from(header.command.code()))
            .octets(header.packet_no.as_bytes())
            .octets(header.user.as_bytes())
            .octets(header.host.as_bytes())
            .octets(datagram.body)
            .octets(tail.get(..used).unwrap_or_default());
        if self.seen.first_time(now, key.finish()) { Ok(()) } else { Err(Rejected::Duplicate) }
    }

    /// Somebody confirmed `packet_no`; returns to whom it had been sent. Who confirms what was sent to its own address
    /// receives there (R-IP-38).
    fn confirmed(
        &mut self,
        sender: Sender,
        header: &Header<'_>,
        packet_no: PacketNo,
        delivery: Delivery,
    ) -> Option<SocketAddrV4> {
        let from = sender.from;
        if !self.outbox.holds(packet_no) {
            return None;
        }
        let known_as = self.members.address_of(header.user.as_bytes(), header.host.as_bytes(), feiq_id(header));
        let to = self.outbox.acked(packet_no, delivery, from, known_as)?;
        if to == from {
            self.members.prove(*from.ip());
            if sender.row.is_none() && self.presence.is_online() {
                // R-IP-36: whoever we could not tell before how to find us.
                self.push(Sender { allow: usize::MAX, ..sender }, Say::Entry);
            }
        }
        Some(to)
    }

    /// RECVMSG and ANSREADMSG repeat the number as it was received; what is no number is not confirmed (R-IP-10).
    fn confirm(&mut self, sender: Sender, command: Command, header: &Header<'_>) {
        if let Some(token) = Token::new(header.packet_no) {
            self.push(sender, Say::Confirm(command, token));
        }
    }

    /// Answers, unless strangers were sent too many datagrams lately (R-IP-38).
    pub(super) fn answer(&mut self, now: Instant, sender: Sender, say: Say) {
        if self.limited(now, sender) {
            self.push(sender, say);
        }
    }

    fn limited(&mut self, now: Instant, sender: Sender) -> bool {
        sender.proven || self.bucket.take(now, STRANGERS)
    }

    fn push(&mut self, sender: Sender, say: Say) {
        let Sender { from, utf8, allow, .. } = sender;
        // If the application does not poll, the answer is lost like a datagram on the wire: the asker asks again.
        let _ = self.answers.push(Answer { to: Destination::Unicast(from), utf8, allow, say });
    }
}

fn incoming<'d>(sender: Sender, datagram: &Datagram<'d>) -> Incoming<'d> {
    let header = datagram.header;
    let attached = header.options.contains(Options::FILE_ATTACH);
    Incoming {
        from: sender.from,
        header,
        text: Text::new(datagram.body),
        attachments: datagram.extensions().next().filter(|_| attached).unwrap_or_default(),
        known: sender.row.is_some(),
    }
}

/// The number that a confirmation refers to: the digits at its front, modulo 2^32 (R-IP-43).
fn referred(body: &[u8]) -> Option<PacketNo> {
    let number = leading_decimal(body)?;
    u32::try_from(number & 0xffff_ffff).ok().map(PacketNo)
}

fn kind(header: &Header<'_>) -> Kind {
    match header.client() {
        Client::IpMessenger => Kind::IpMessenger,
        Client::Iptux { .. } => Kind::Iptux,
        Client::Feiq(_) => Kind::Feiq,
        Client::Shiyeline => Kind::Shiyeline,
        _ => Kind::Unknown,
    }
}

/// What FeiQ says of its machine, as a number; zero where there is nothing.
fn feiq_id(header: &Header<'_>) -> u64 {
    match header.client() {
        Client::Feiq(version) => hex(version.id.as_bytes()).unwrap_or_default(),
        _ => 0,
    }
}
