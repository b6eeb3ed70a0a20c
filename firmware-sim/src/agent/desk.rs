//! What an agent knows and decides: members, messages, offers, files. It touches no socket.

use core::net::{Ipv4Addr, SocketAddrV4};

use feige_core::node::{Audience, Event as NodeEvent, Full, Incoming, Message, Node, Offers};
use feige_core::stream::{self, Entry, Metadata, Opened, Target};
use feige_core::text::FileName;
use feige_core::time::Instant;
use feige_core::wire::Writer;
use feige_core::wire::ipmsg::{
    Attachment, Attachments, Attribute, EscapedName, ExtendedAttributes, FileKind, PacketNo,
};
use heapless::Vec;

use super::commands::{self, Command};
use super::downloads::{Wanted, short};
use super::log::Log;
use super::{BYTES, Event, Md5, OFFERS, OUTGOING, QUEUE, SEEN, TEXT};
use crate::store::{FileId, Store, StoreError};

/// The name under which the log can be fetched.
pub(super) const LOG_NAME: &[u8] = b"log.txt";

/// Files of strangers that wait to be fetched; the other places are for those who have shown that they receive.
const STRANGERS: usize = 2;

/// The log among the handles of offers; no store has a file of this number.
const LOG: u32 = u32::MAX;

/// What the agent has done since it started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) stored: u32,
    pub(super) served: u32,
    pub(super) refused: u32,
    /// Connections that are in use now, and how many there can be.
    pub(super) connections: usize,
    pub(super) slots: usize,
}

/// Everything that is remembered but connections.
pub(super) struct Desk<'a, S, const MEMBERS: usize> {
    pub(super) node: &'a mut Node<MEMBERS, OUTGOING, BYTES, SEEN>,
    pub(super) offers: &'a mut Offers<OFFERS>,
    pub(super) wanted: &'a mut Vec<Wanted, QUEUE>,
    /// How many of them are being fetched; each has its place still, for another attempt.
    pub(super) fetching: usize,
    /// What a stranger has asked for, the latest: whoever is there confirms within a moment.
    pub(super) held: Option<Held>,
    pub(super) store: S,
    pub(super) log: Log<'a>,
    pub(super) tally: Tally,
    /// Room for a datagram, or for its text before that.
    pub(super) scratch: &'a mut [u8],
    pub(super) started: Instant,
    /// Another number after each start.
    pub(super) seed: u64,
}

/// A command of somebody who has yet to show that whatever is sent there is received.
pub(super) struct Held {
    from: SocketAddrV4,
    /// The message to be confirmed.
    packet_no: PacketNo,
    text: Vec<u8, ASKED>,
}

/// The longest command of a stranger: a word and a name.
const ASKED: usize = 72;

impl<S: Store, const MEMBERS: usize> Desk<'_, S, MEMBERS> {
    /// Takes a datagram in.
    pub(super) fn datagram(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        octets: &[u8],
        saw: &mut impl FnMut(Event<'_>),
    ) {
        match self.node.handle_datagram(now, from, octets) {
            Ok(Some(NodeEvent::Online(sighting) | NodeEvent::Updated(sighting))) => {
                saw(Event::Online { at: sighting.at, nick: sighting.nick.text.as_bytes() });
            }
            Ok(Some(NodeEvent::Offline { at, .. })) => saw(Event::Offline { at }),
            Ok(Some(NodeEvent::Delivered { packet_no, to, .. })) => {
                let is_his = |held: &mut Held| held.packet_no == packet_no && held.from == to;
                if let Some(held) = self.held.take_if(is_his) {
                    self.obey(now, to, Command::of(&held.text));
                }
                saw(Event::Delivered { to, packet_no });
            }
            Ok(Some(NodeEvent::Released { packet_no, by })) => {
                self.offers.release(*by.ip(), packet_no);
            }
            Ok(Some(NodeEvent::Message(incoming))) => self.message(now, &incoming, octets.len(), saw),
            // Other things are for people, and what is malformed is for nobody.
            Ok(_) | Err(_) => {}
        }
    }

    /// `len`: octets of its datagram.
    // In frames of their own, like what it calls, so that only the largest of them counts.
    #[inline(never)]
    fn message(&mut self, now: Instant, incoming: &Incoming<'_>, len: usize, saw: &mut impl FnMut(Event<'_>)) {
        if incoming.encrypted() {
            return;
        }
        saw(Event::Message { from: incoming.from, text: incoming.text.as_bytes(), utf8: incoming.utf8() });
        if incoming.sealed() {
            // A device opens everything at once. If there is no room for the receipt, the sender lacks only that.
            let _ = self.node.read(now, incoming.from, incoming.token(), incoming.read_check());
        }
        if incoming.attachments.is_empty() {
            let command = Command::of(incoming.text.as_bytes());
            // Programs that answer one another would never end. And many devices hear a broadcast: one person would get as many
            // answers.
            let from_a_device = incoming.auto() || incoming.text.as_bytes() == commands::MOMENT;
            if from_a_device || (incoming.broadcast() && command == Command::Unknown) {
                return;
            }
            if self.is_proven(incoming.from) {
                self.obey(now, incoming.from, command);
            } else {
                self.hold(now, incoming, len);
            }
        } else {
            self.queue(now, incoming, len, saw);
        }
    }

    fn is_proven(&self, at: SocketAddrV4) -> bool {
        self.node.member_at(at).is_some_and(|member| member.proven)
    }

    /// Strangers hear little until they confirm it (R-IP-38): addresses are easily forged, and an answer is longer than its
    /// question.
    #[inline(never)]
    fn hold(&mut self, now: Instant, incoming: &Incoming<'_>, len: usize) {
        if self.node.outgoing() >= OUTGOING {
            self.node.give_up_on_stranger();
        }
        // What is longer is no command of a device.
        let text = Vec::from_slice(incoming.text.as_bytes()).unwrap_or_default();
        let Some(packet_no) = self.node.sound_out(now, incoming.from, commands::MOMENT, len) else { return };
        self.held = Some(Held { from: incoming.from, packet_no, text });
    }

    /// Wants everything that a message offers.
    #[inline(never)]
    fn queue(&mut self, now: Instant, incoming: &Incoming<'_>, len: usize, saw: &mut impl FnMut(Event<'_>)) {
        let Some(packet_no) = incoming.token().low32().map(PacketNo) else { return };
        let proven = self.is_proven(incoming.from);
        let mut question = if proven { None } else { u16::try_from(len).ok() };
        for attachment in Attachments::new(incoming.attachments).flatten() {
            let wanted = Wanted::new(now, incoming.from, packet_no, &attachment, incoming.utf8(), question);
            let free = self.store.space().free;
            let strangers = self.wanted.iter().filter(|wanted| wanted.question.is_some()).count();
            let why = if attachment.kind() != FileKind::Regular {
                "only files are taken, no folders"
            } else if wanted.size.map_or(free == 0, |size| size > free) {
                StoreError::Full { free: 0 }.as_str()
            } else if wanted.name.as_bytes() == LOG_NAME {
                "that name is taken"
            } else if self.wanted.len() + self.fetching >= QUEUE || (!proven && strangers >= STRANGERS) {
                "busy, offer it again later"
            } else {
                let _ = self.wanted.push(wanted);
                continue;
            };
            self.not_stored(now, &wanted, why, saw);
            // A stranger hears of one.
            question = question.map(|_| 0);
        }
    }

    /// Answers a command of somebody who receives answers.
    #[inline(never)]
    fn obey(&mut self, now: Instant, from: SocketAddrV4, command: Command<'_>) {
        if self.node.outgoing() >= OUTGOING && self.node.give_up_on_stranger() {
            self.log.line(now, &|line| _ = line.octets(b"an answer to a stranger was given up"));
        }
        let said = match command {
            Command::Get(name) => return self.get(now, from, name),
            Command::Remove(name) => self.remove(name).map_or_else(StoreError::as_str, |()| "removed"),
            Command::Unknown => "I am a device. Send `help` for what I understand.",
            _ => "",
        };
        let up = now.since(self.started).as_secs();
        let Self { node, store, log, tally, scratch, .. } = self;
        let text = written(scratch, &|text| match command {
            Command::Help => commands::help(text),
            Command::Status => {
                commands::status(text, up, node.members().count(), *tally);
                commands::space(text, store);
            }
            Command::List => commands::list(text, store, log.len()),
            Command::Space => commands::space(text, store),
            Command::Remove(name) => _ = text.octets(name).octets(b": ").octets(said.as_bytes()),
            Command::Get(_) | Command::Unknown => _ = text.octets(said.as_bytes()),
        });
        let auto = command == Command::Unknown;
        let message = Message { text, utf8: true, auto, ..Message::default() };
        if node.send(now, from, &message).is_err() {
            log.line(now, &|line| _ = line.octets(b"too many answers wait, one was not sent"));
        }
    }

    fn remove(&mut self, name: &[u8]) -> Result<(), StoreError> {
        let id = self.find(name).ok_or(StoreError::Gone)?;
        self.store.remove(id)
    }

    fn find(&self, name: &[u8]) -> Option<FileId> {
        // Or as it was stored.
        let stored = || short(FileName::from_octets(name).as_str());
        self.store.find(name).or_else(|| self.store.find(stored().as_bytes())).map(|entry| entry.id)
    }

    fn get(&mut self, now: Instant, to: SocketAddrV4, name: &[u8]) {
        if self.offer(now, to, name).is_err() {
            self.tell(now, to, &|text| {
                _ = text.octets(name).octets(b": cannot be offered. Send `ls` for what is there.");
            });
        }
    }

    /// Offers a file of the store, or the log, to one peer.
    pub(super) fn offer(&mut self, now: Instant, to: SocketAddrV4, name: &[u8]) -> Result<PacketNo, CannotOffer> {
        self.offers.expire(now);
        let (handle, size, modified) = if name == LOG_NAME {
            (LOG, self.log.len(), 0)
        } else {
            let id = self.find(name).ok_or(CannotOffer::NoSuchFile)?;
            let entry = self.store.entry(id).ok_or(CannotOffer::NoSuchFile)?;
            (id.0, entry.size, entry.modified)
        };
        let packet_no = self.node.take_packet_no();
        let audience = Audience::Host(*to.ip());
        let full = CannotOffer::Full;
        let mut made = self.offers.offer(now, packet_no, audience, 1, FileKind::Regular, size, handle);
        if made.is_err() {
            // Whoever asks now is more likely to fetch than whoever asked longest ago.
            let oldest = self.offers.iter().map(|offer| offer.packet_no).next();
            oldest.map(|oldest| self.offers.withdraw(oldest));
            made = self.offers.offer(now, packet_no, audience, 1, FileKind::Regular, size, handle);
        }
        made.map_err(full)?;
        let entry = self.store.entry(FileId(handle));
        let attachment = Attachment {
            id: 1,
            name: EscapedName::plain(entry.map_or(LOG_NAME, |entry| entry.name.as_bytes())),
            size: Some(size),
            modified: Some(modified).filter(|&time| time > 0),
            attribute: Attribute::REGULAR,
            extended: ExtendedAttributes::NONE,
        };
        let sent = match attachment.emit(front(self.scratch)) {
            Ok(len) => {
                let attachments = self.scratch.get(..len).unwrap_or_default();
                let packet_no = Some(packet_no);
                self.node.send(now, to, &Message { utf8: true, attachments, packet_no, ..Message::default() })
            }
            Err(_) => Err(Full(feige_core::node::Table::Datagram)),
        };
        sent.map_err(|error| {
            self.offers.withdraw(packet_no);
            full(error)
        })
    }

    /// Copies octets of what a connection has open, from `at` on, to the front of `into`.
    pub(super) fn read(&mut self, source: Source, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        match source {
            Source::Nothing => Ok(0),
            Source::File(id) => self.store.read(id, at, into),
            Source::Log(from) => Ok(self.log.read(from.saturating_add(at), into)),
        }
    }

    /// Sends a short text, confirmed.
    pub(super) fn tell(&mut self, now: Instant, to: SocketAddrV4, say: &dyn Fn(&mut Writer<'_>)) {
        let text = written(self.scratch, say);
        if self.node.send(now, to, &Message { text, utf8: true, ..Message::default() }).is_err() {
            self.log.line(now, &|line| _ = line.octets(b"too many messages wait, one was not sent"));
        }
    }

    /// A file that was offered is not taken: says so to whoever offered it, once.
    pub(super) fn not_stored(
        &mut self,
        now: Instant,
        wanted: &Wanted,
        why: &'static str,
        saw: &mut impl FnMut(Event<'_>),
    ) {
        let name = wanted.name.as_bytes();
        self.tally.refused = self.tally.refused.saturating_add(1);
        self.log.line(now, &|line| _ = line.octets(b"not stored: ").octets(name).octets(b": ").octets(why.as_bytes()));
        match wanted.question {
            None => {
                self.tell(now, wanted.from, &|text| {
                    _ = text.octets(name).octets(b": not stored: ").octets(why.as_bytes());
                });
            }
            Some(question) => {
                let text = written(self.scratch, &|text| _ = text.octets(b"not stored: ").octets(why.as_bytes()));
                let _ = self.node.sound_out(now, wanted.from, text, question.into());
            }
        }
        saw(Event::NotStored { from: wanted.from, name, why });
    }
}

/// A text, written to the front of the scratch.
#[inline(never)]
fn written<'s>(scratch: &'s mut [u8], say: &dyn Fn(&mut Writer<'_>)) -> &'s [u8] {
    let mut writer = Writer::new(front(scratch));
    say(&mut writer);
    let len = writer.finish().unwrap_or(TEXT);
    scratch.get(..len).unwrap_or_default()
}

/// A text has less room than a datagram.
fn front(scratch: &mut [u8]) -> &mut [u8] {
    scratch.get_mut(..TEXT).unwrap_or_default()
}

/// Why a file was not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotOffer {
    /// There is none of this name.
    NoSuchFile,
    /// Too many messages wait for an answer.
    Full(Full),
}

impl core::fmt::Display for CannotOffer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSuchFile => f.write_str("there is no file of this name"),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl core::error::Error for CannotOffer {}

/// What a connection that we serve has open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Nothing,
    File(FileId),
    /// The log from a position on, which may run away under a slow reader.
    Log(u64),
}

/// What the machine of a served connection asks for.
pub(super) struct Shelf<'d, 'a, S, const MEMBERS: usize> {
    pub(super) now: Instant,
    pub(super) desk: &'d mut Desk<'a, S, MEMBERS>,
    pub(super) from: Ipv4Addr,
    pub(super) offer: &'d mut Option<feige_core::node::Offer>,
    pub(super) source: &'d mut Source,
}

impl<S: Store, const MEMBERS: usize> stream::Store for Shelf<'_, '_, S, MEMBERS> {
    type Error = StoreError;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, StoreError> {
        // A folder stream of one file ends with that file.
        let Target::Request(request) = target else { return Ok(Opened::Leave) };
        let Ok(offer) = self.desk.offers.authorise(self.now, self.from, &request) else { return Ok(Opened::Refused) };
        *self.offer = Some(offer);
        if offer.handle == LOG {
            let log = &self.desk.log;
            *self.source = Source::Log(log.oldest());
            let size = offer.size.min(log.len());
            return Ok(Opened::File(Entry { name: LOG_NAME.into(), size, metadata: Metadata::default() }));
        }
        let Some(entry) = self.desk.store.entry(FileId(offer.handle)) else { return Ok(Opened::Refused) };
        *self.source = Source::File(entry.id);
        let metadata = Metadata { modified: Some(entry.modified).filter(|&time| time > 0), ..Metadata::default() };
        Ok(Opened::File(Entry { name: entry.name.as_bytes().into(), size: entry.size, metadata }))
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        self.desk.read(*self.source, at, into)
    }

    fn save(&mut self, _at: u64, _octets: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::Failed)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What the machine that fetches a file asks for.
pub(super) struct Tray<'d, S, H: Md5> {
    pub(super) store: &'d mut S,
    pub(super) wanted: &'d Wanted,
    pub(super) file: &'d mut Option<FileId>,
    pub(super) digest: &'d mut H::Running,
    pub(super) hasher: &'d mut H,
}

impl<S: Store, H: Md5> stream::Store for Tray<'_, S, H> {
    type Error = StoreError;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, StoreError> {
        let Target::File(arrival) = target else { return Ok(Opened::Refused) };
        let size = arrival.size.unwrap_or_else(|| self.store.space().free);
        *self.file = Some(self.store.create(&self.wanted.name, size)?);
        Ok(Opened::Ready)
    }

    fn load(&mut self, _at: u64, _into: &mut [u8]) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn save(&mut self, _at: u64, octets: &[u8]) -> Result<(), StoreError> {
        self.store.append(self.file.ok_or(StoreError::Gone)?, octets)?;
        self.hasher.update(self.digest, octets);
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.store.finish(self.file.take().ok_or(StoreError::Gone)?, self.wanted.modified)
    }
}
