//! What the node tells, in the words of the user.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use feige_core::node::{Alarm, Delivery, Event as NodeEvent, Incoming};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::{Attachments, FileKind, PacketNo, PacketToken};

use super::directory::name_of;
use super::offers::Offered;
use super::{Engine, Mode};
use crate::charset::without_font;
use crate::cli::Accept;
use crate::exit::{Exit, Failure};
use crate::ui::event::{Event, Kind, OfferedFile, Peer};

/// A file of this many octets is worth a question about resuming, and …
const WORTH_RESUMING: u64 = 1 << 20;
/// … the answer is worth this time.
const HESITATION: Duration = Duration::from_millis(300);

/// Downloads that wait for the answer to a question.
pub(super) struct Hesitation {
    pub(super) until: Instant,
    pub(super) from: SocketAddrV4,
    indices: Vec<u32>,
}

/// Sealed messages that were not opened yet.
#[derive(Default)]
pub(super) struct Sealed {
    next: u32,
    messages: BTreeMap<u32, SealedMessage>,
}

struct SealedMessage {
    at: SocketAddrV4,
    token: Vec<u8>,
    confirm: bool,
    message: Event,
}

impl Sealed {
    /// How many are kept; the oldest makes room.
    const MOST: usize = 100;

    fn push(&mut self, message: SealedMessage) -> u32 {
        if self.messages.len() >= Self::MOST {
            self.messages.pop_first();
        }
        self.next += 1;
        self.messages.insert(self.next, message);
        self.next
    }
}

impl Engine {
    /// The node says that something happened.
    pub(super) fn happened(&mut self, now: Instant, event: &NodeEvent<'_>) {
        match event {
            NodeEvent::Online(sighting) => {
                for from in [sighting.moved_from, sighting.evicted].into_iter().flatten() {
                    self.screen.gone(from, (sighting.moved_from == Some(from)).then_some(sighting.at));
                }
                let peer = self.directory.sighted(sighting);
                self.publish(&Event::Online(peer));
            }
            NodeEvent::Updated(sighting) => {
                let before = self.directory.at(sighting.at).map(|known| known.peer.clone());
                let peer = self.directory.sighted(sighting);
                // Peers write some entries with other option bits than others: nothing that anybody has to see.
                if before.as_ref() != Some(&peer) {
                    self.publish(&Event::Absence(peer));
                }
            }
            NodeEvent::Offline { at, user, host } => {
                let peer = self.directory.remove(*at).unwrap_or_else(|| {
                    let decode = |octets| name_of(&self.directory.policy().decode(octets, None, None));
                    Peer {
                        user: decode(user.as_bytes()),
                        hostname: decode(host.as_bytes()),
                        nick: decode(user.as_bytes()),
                        group: String::new(),
                        addr: *at,
                        version: String::new(),
                        away: false,
                    }
                });
                self.publish(&Event::Offline(peer));
            }
            NodeEvent::Message(incoming) => self.message(now, incoming),
            NodeEvent::Delivered { packet_no, to, .. } => self.delivered(*packet_no, *to),
            NodeEvent::Read { packet_no, by } => {
                self.tell(*packet_no, *by, &Event::Opened { packet: packet_no.0.into(), by: *by });
            }
            NodeEvent::Discarded { packet_no, by } => {
                self.tell(*packet_no, *by, &Event::Discarded { packet: packet_no.0.into(), by: *by });
            }
            NodeEvent::Released { packet_no, by } => self.released(*packet_no, *by),
            NodeEvent::Knock { from } => {
                if let Some(known) = self.directory.at(*from) {
                    let peer = known.peer.clone();
                    self.publish(&Event::Knock(peer));
                }
            }
            NodeEvent::Info { from, text, utf8 } => {
                let declared = utf8.then_some(crate::charset::Charset::Utf8);
                let text = self.directory.policy().decode(text.as_bytes(), declared, None).into_owned();
                self.screen.detail(|| format!("{from} runs {text}"));
                self.directory.runs(*from, &text);
                if self.directory.at(*from).is_some_and(|known| known.feige == Some(true)) {
                    self.offers.resumes(*from);
                }
                self.stop_hesitating(|hesitation| hesitation.from == *from);
            }
            _ => {}
        }
    }

    /// Somebody did not answer.
    pub(super) fn alarmed(&mut self, now: Instant) {
        for alarm in std::mem::take(&mut self.alarms) {
            match alarm {
                Alarm::GaveUp { to, packet_no, what: Delivery::Message } => self.gave_up(now, packet_no, to),
                Alarm::Expired(member) => {
                    if let Some(peer) = self.directory.remove(member.at) {
                        self.publish(&Event::Offline(peer));
                    }
                }
                Alarm::GaveUp { to, .. } => {
                    self.screen.detail(|| format!("{to} does not confirm that it knows that its message was opened"));
                }
            }
        }
    }

    fn message(&mut self, now: Instant, incoming: &Incoming<'_>) {
        let from = self.directory.author(incoming.from, &incoming.header);
        if incoming.encrypted() {
            let what = format!("message of {}", from.nick);
            let error = "it is encrypted, and we never said that we could read that".to_owned();
            self.publish(&Event::Failed { what, error, index: None, packet: None, to: None });
            return;
        }
        let text = self.directory.decode(incoming.from, incoming.text.as_bytes(), &incoming.header);
        let text = without_font(&text).to_owned();
        let packet = incoming.token().number().unwrap_or(0);
        let files = self.files(incoming, &from);
        if !text.is_empty() || files.is_empty() {
            let sealed = incoming.sealed();
            let message =
                Event::Message { from: from.clone(), packet, text, sealed, open: None, auto: incoming.auto() };
            if sealed {
                self.sealed(now, incoming, message);
            } else {
                self.show_message(&message);
            }
        }
        let may_end = files.is_empty() || !matches!(self.mode, Mode::Listen { accept: Accept::All, .. });
        if !files.is_empty() {
            let indices: Vec<u32> = files.iter().map(|file| file.index).collect();
            self.publish(&Event::Offer { from, packet, files });
            self.decide(now, incoming, &indices);
        }
        if may_end && !incoming.auto() && matches!(self.mode, Mode::Listen { once: true, .. }) {
            self.exit.get_or_insert(Ok(Exit::Done));
        }
    }

    /// A message is shown even by a run that only sends: it has been acknowledged, nobody will send it again.
    fn show_message(&mut self, message: &Event) {
        self.screen.event(message);
    }

    /// Takes in the files that a message offers.
    fn files(&mut self, incoming: &Incoming<'_>, from: &Peer) -> Vec<OfferedFile> {
        let Mode::Listen { .. } = self.mode else { return Vec::new() };
        let Some(packet_no) = incoming.token().low32().map(PacketNo) else { return Vec::new() };
        let known = self.directory.at(incoming.from);
        let (charset, utf8) = match known {
            Some(known) => (known.charset(), known.reads_utf8),
            None => (None, incoming.utf8()),
        };
        let resumes = known.is_some_and(|known| known.feige == Some(true));
        let mut files = Vec::new();
        for attachment in Attachments::new(incoming.attachments) {
            let attachment = match attachment {
                Ok(attachment) => attachment,
                Err(error) => {
                    self.screen.detail(|| format!("an offer of {} cannot be read: {error}", incoming.from));
                    continue;
                }
            };
            let name: Vec<u8> = attachment.name.octets().collect();
            let name = self.directory.decode(incoming.from, &name, &incoming.header);
            let kind = match attachment.kind() {
                FileKind::Regular | FileKind::Clipboard => Kind::File,
                FileKind::Folder => Kind::Dir,
                other => {
                    self.screen.detail(|| format!("{} offers something that is no file: {other:?}", incoming.from));
                    continue;
                }
            };
            let file = OfferedFile {
                index: self.offers.next_index(),
                id: attachment.id,
                name,
                size: if kind == Kind::Dir { Some(0) } else { attachment.size },
                mtime: attachment.modified.and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
                kind,
            };
            self.offers.push(Offered::new(from.clone(), packet_no, file.clone(), charset, utf8, resumes));
            files.push(file);
        }
        files
    }

    /// Downloads, declines, or leaves it to the user.
    fn decide(&mut self, now: Instant, incoming: &Incoming<'_>, indices: &[u32]) {
        match self.mode {
            Mode::Listen { accept: Accept::All, .. } => {
                let (from, indices) = (incoming.from, indices.to_vec());
                let asked = self.ask_whether_it_resumes(incoming, &indices);
                self.hesitating.push(Hesitation { until: if asked { now + HESITATION } else { now }, from, indices });
            }
            Mode::Listen { accept: Accept::Ask, .. } => {
                // Until the user has decided, it has answered.
                self.ask_whether_it_resumes(incoming, indices);
            }
            Mode::Listen { accept: Accept::None, .. } => {
                if let Some(packet_no) = incoming.token().low32().map(PacketNo) {
                    self.offers.withdraw(incoming.from, packet_no);
                }
                if let Err(full) = self.node.release(incoming.from, incoming.token()) {
                    self.screen.detail(|| format!("{} is not told that we decline: {full}", incoming.from));
                }
            }
            _ => {}
        }
    }

    /// Asks the sender of large files what it is: only from a Feige a file can be continued for certain, and others
    /// that could be one answer as well. Returns whether it was asked.
    fn ask_whether_it_resumes(&mut self, incoming: &Incoming<'_>, indices: &[u32]) -> bool {
        let known = self.directory.at(incoming.from);
        let candidate = known.is_some_and(|known| known.reads_utf8 && known.feige.is_none());
        let large = indices.iter().filter_map(|&index| self.offers.at(index)).any(|offered| {
            offered.file.kind == Kind::File && offered.file.size.is_none_or(|size| size >= WORTH_RESUMING)
        });
        candidate && large && self.node.ask_info(incoming.from).is_ok()
    }

    /// Starts the downloads that wait no longer.
    pub(super) fn stop_hesitating(&mut self, over: impl Fn(&Hesitation) -> bool) {
        let over: Vec<Hesitation> = self.hesitating.extract_if(.., |hesitation| over(hesitation)).collect();
        for index in over.iter().flat_map(|hesitation| &hesitation.indices) {
            self.offers.want(*index);
        }
        if !over.is_empty() {
            self.start_downloads();
        }
    }

    /// Keeps a sealed message for the user, or opens it where there is nobody to do so.
    fn sealed(&mut self, now: Instant, incoming: &Incoming<'_>, message: Event) {
        let sealed = SealedMessage {
            at: incoming.from,
            token: incoming.token().as_bytes().to_vec(),
            confirm: incoming.read_check(),
            message,
        };
        if !matches!(self.mode, Mode::Listen { prompt: true, .. }) {
            return self.unseal(now, &sealed);
        }
        let mut closed = sealed.message.clone();
        let number = self.sealed.push(sealed);
        if let Event::Message { text, open, .. } = &mut closed {
            text.clear();
            *open = Some(number);
        }
        self.show_message(&closed);
    }

    fn unseal(&mut self, now: Instant, sealed: &SealedMessage) {
        self.show_message(&sealed.message);
        let token = PacketToken(sealed.token.as_slice().into());
        if let Err(full) = self.node.read(now, sealed.at, token, sealed.confirm) {
            self.screen.detail(|| format!("{} is not told that its message was opened: {full}", sealed.at));
        }
    }

    /// The user opens a sealed message.
    pub(super) fn open_sealed(&mut self, number: u32) -> Result<(), Failure> {
        let sealed = self.sealed.messages.remove(&number);
        let sealed = sealed.ok_or_else(|| Failure::usage(format!("there is no sealed message {number}")))?;
        self.unseal(self.clock.now(), &sealed);
        Ok(())
    }
}
