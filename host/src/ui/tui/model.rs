//! What the screen shows: members, conversations, transfers, the line being written. Nothing here draws, waits
//! or sends.
//!
//! **Memory**: at most 1,024 members, 1,000 entries a conversation, [`OCTETS`] in all conversations
//! together: what is more pushes out the oldest of the longest conversation.
//! **Time**: handed in, as a [`Moment`].

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use feige_core::time::Instant;
use jiff::civil::DateTime;

use super::conversation::{Conversation, Entry, Fate, Offer, OfferState, Seal, Sent, Target, What};
use super::input::{History, Input};
use super::members::{Member, Members, named};
use super::text;
use super::transfers::Transfers;
use crate::control;
use crate::ui::event::{Event, Kind, Peer, Transfer};

/// Octets of all conversations together.
const OCTETS: usize = 8 << 20;

/// Now, in the two ways in which the screen needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// For rates.
    pub(super) now: Instant,
    /// For people.
    pub(super) local: DateTime,
}

/// What the engine tells.
#[derive(Clone, Copy, Debug)]
pub enum Update<'a> {
    /// Something happened.
    Event(&'a Event),
    /// A message of ours is under way.
    Sent {
        /// The wish that it fulfils, if it was wished for here.
        wish: Option<u32>,
        /// To whom.
        to: SocketAddrV4,
        /// Its number.
        packet: u64,
        /// What it is.
        request: &'a control::Send,
    },
    /// A wish was fulfilled, or not, and why.
    Ended {
        /// Which.
        wish: u32,
        /// How.
        how: Result<(), &'a str>,
    },
    /// So far a transfer is.
    Progress {
        /// Which.
        transfer: Transfer,
        /// Of what.
        name: &'a str,
        /// Octets so far.
        done: u64,
        /// Octets in all, where that is known.
        total: Option<u64>,
    },
    /// A transfer ended.
    ProgressEnd(Transfer),
    /// We are away with this text, or here.
    Away(Option<&'a str>),
    /// A member has another address now, or had to make room.
    Gone {
        /// Where it was.
        from: SocketAddrV4,
        /// Where it is.
        to: Option<SocketAddrV4>,
    },
    /// Something to know.
    Note {
        /// What.
        text: &'a str,
        /// Whether it went wrong.
        bad: bool,
    },
}

/// What the person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// This is to be done; the answer is an [`Update::Ended`] with the number.
    Ask(u32, control::Request),
    /// The sealed message with this number is to be opened.
    Open(u32),
    /// The end.
    Quit,
    /// The screen does not work any more.
    Broken(String),
}

/// What keys act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Focus {
    /// The line that is written.
    #[default]
    Input,
    /// The list of members.
    Members,
    /// Offers and sealed messages of the conversation.
    Items,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Our name, harmless.
    pub(super) me: String,
    /// Where we are, once we are.
    pub(super) address: Option<SocketAddrV4>,
    /// The text with which we are away.
    pub(super) away: Option<String>,
    pub(super) members: Members,
    /// What went to everybody, and what happened besides.
    pub(super) everybody: Conversation,
    /// Bad news among it that were not seen.
    pub(super) unseen: usize,
    pub(super) transfers: Transfers,
    pub(super) focus: Focus,
    /// The chosen offer or sealed message.
    pub(super) item: Option<u64>,
    /// Rows between the end of the conversation and the last one that is shown.
    pub(super) scroll: usize,
    /// Rows of help that were scrolled past, if it is shown.
    pub(super) help: Option<usize>,
    pub(super) input: Input,
    pub(super) history: History,
    /// An answer to the last key.
    pub(super) hint: Option<String>,
    /// Somebody else wrote on the terminal: everything is to be drawn anew.
    pub(super) redraw: bool,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
    /// What `~` stands for.
    pub(super) home: Option<PathBuf>,
    /// Where relative paths begin.
    pub(super) folder: PathBuf,
    /// Lines written for members that are not chosen are kept with them; this one is everybody's.
    pub(super) draft: Input,
    /// The offers that a wish is about, until it is fulfilled.
    pub(super) getting: HashMap<u32, Vec<u32>>,
    last_wish: u32,
    last_serial: u64,
}

impl Model {
    /// Nothing happened yet.
    pub(super) fn new(me: &str, home: Option<PathBuf>, folder: PathBuf) -> Self {
        Self { me: text::name(me), home, folder, size: (80, 24), ..Self::default() }
    }

    /// Takes in what happened.
    pub(super) fn apply(&mut self, moment: Moment, update: Update<'_>) {
        match update {
            Update::Event(event) => self.event(moment, event),
            Update::Sent { wish, to, packet, request } => self.sent(moment, wish, to, packet, request),
            Update::Ended { wish, how } => self.ended(wish, how),
            Update::Progress { transfer, name, done, total } => {
                self.transfers.progress(moment.now, transfer, name, done, total);
            }
            Update::ProgressEnd(transfer) => self.transfers.end(transfer),
            Update::Away(text) => self.away = text.map(text::name),
            Update::Gone { from, to } => self.gone(from, to),
            Update::Note { text, bad: true } => {
                self.push(moment, None, What::Note { text: text::lines(text), bad: true });
            }
            Update::Note { text, bad: false } => {
                self.push_quietly(moment, None, What::Note { text: text::lines(text), bad: false });
            }
        }
    }

    fn event(&mut self, moment: Moment, event: &Event) {
        match event {
            Event::Ready { addr, port } => self.address = Some(SocketAddrV4::new(*addr, *port)),
            Event::Online(peer) => {
                self.sighted(peer);
                self.happened(moment, peer, "is here");
            }
            Event::Absence(peer) => {
                let known = self.members.at(peer.addr);
                let known = known.map(|member| (member.name.clone(), member.away, member.reason.clone()));
                self.sighted(peer);
                let (name, reason) = named(peer);
                let reason = text::name(reason);
                match known {
                    Some((old, ..)) if old != text::name(name) => {
                        self.happened(moment, peer, &format!("was {old} before"));
                    }
                    Some((_, away, old)) if away == peer.away && old == reason => {}
                    _ if !peer.away => self.happened(moment, peer, "is back"),
                    _ if reason.is_empty() => self.happened(moment, peer, "is away"),
                    _ => self.happened(moment, peer, &format!("is away: {reason}")),
                }
            }
            Event::Offline(peer) => {
                self.happened(moment, peer, "left");
                self.left(peer.addr);
            }
            Event::Knock(peer) => {
                self.sighted_if_new(peer);
                let text = format!("{} knocks", text::name(named(peer).0));
                self.push(moment, Some(peer.addr), What::Note { text, bad: false });
            }
            Event::Message { from, packet, text, sealed, open, auto } => {
                self.message(moment, from, *packet, text, *sealed, *open, *auto);
            }
            Event::Offer { from, files, .. } => {
                self.sighted_if_new(from);
                for file in files {
                    let offer = Offer {
                        from: text::name(named(from).0),
                        index: file.index,
                        name: text::name(&file.name),
                        size: file.size,
                        folder: file.kind == Kind::Dir,
                        state: OfferState::Open,
                    };
                    self.push(moment, Some(from.addr), What::Offer(offer));
                }
            }
            Event::Downloaded { index, path, .. } => {
                let path = text::lines(&path.to_string_lossy()).replace('\n', " ");
                self.offer(*index, OfferState::Done(path));
            }
            Event::Served { packet, id, to, .. } => self.change_sent(*packet, *to, |sent| sent.fetched(*to, *id)),
            Event::Delivered { packet, to, .. } => {
                self.change_sent(*packet, *to, |sent| sent.reached(*to, Fate::Delivered));
            }
            Event::Opened { packet, by } => self.change_sent(*packet, *by, |sent| sent.reached(*by, Fate::Opened)),
            Event::Discarded { packet, by } => {
                self.change_sent(*packet, *by, |sent| sent.reached(*by, Fate::Discarded));
            }
            Event::Released { packet, by } => self.change_sent(*packet, *by, |sent| sent.reached(*by, Fate::Refused)),
            Event::Failed { what, error, index, packet, to } => {
                self.failed(moment, what, error, *index, packet.zip(*to));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    fn message(
        &mut self,
        moment: Moment,
        from: &Peer,
        packet: u64,
        text: &str,
        sealed: bool,
        open: Option<u32>,
        auto: bool,
    ) {
        self.sighted_if_new(from);
        let text = text::lines(text);
        let seal = match (sealed, open) {
            (true, Some(number)) => Seal::Closed(number),
            (true, None) => Seal::Opened,
            (false, _) => Seal::None,
        };
        if seal == Seal::Opened
            && let Some(member) = self.members.at_mut(from.addr)
        {
            let opened = member.conversation.change(|entry| match &mut entry.what {
                What::Received { text: shown, packet: number, seal: seal @ Seal::Closed(_), .. }
                    if *number == packet =>
                {
                    shown.clone_from(&text);
                    *seal = Seal::Opened;
                    true
                }
                _ => false,
            });
            if opened {
                return;
            }
        }
        let name = text::name(named(from).0);
        self.push(moment, Some(from.addr), What::Received { from: name, text, packet, seal, auto });
    }

    /// Somebody is there, with these names now.
    fn sighted(&mut self, peer: &Peer) {
        self.members.sighted(peer);
    }

    fn sighted_if_new(&mut self, peer: &Peer) {
        if self.members.at(peer.addr).is_none() {
            self.sighted(peer);
        }
    }

    /// Notes something about a member with everybody, and where there is a conversation with it.
    fn happened(&mut self, moment: Moment, peer: &Peer, what: &str) {
        let name = text::name(named(peer).0);
        let chosen = self.members.chosen() == Some(peer.addr);
        let talked = self.members.at(peer.addr).is_some_and(|member| !member.conversation.is_empty());
        if talked || chosen {
            let note = What::Note { text: format!("{name} {what}"), bad: false };
            self.push_quietly(moment, Some(peer.addr), note);
        }
        let note = What::Note { text: format!("{name} ({}) {what}", peer.addr), bad: false };
        self.push_quietly(moment, None, note);
    }

    fn left(&mut self, at: SocketAddrV4) {
        if !self.members.left(at) {
            self.fit_choice();
        }
    }

    fn gone(&mut self, from: SocketAddrV4, to: Option<SocketAddrV4>) {
        match to {
            Some(to) => self.members.moved(from, to),
            None => self.left(from),
        }
    }

    fn failed(
        &mut self,
        moment: Moment,
        what: &str,
        error: &str,
        index: Option<u32>,
        about: Option<(u64, SocketAddrV4)>,
    ) {
        let (what, error) = (text::name(what), text::lines(error).replace('\n', " "));
        if let Some(index) = index {
            return self.offer(index, OfferState::Failed(error));
        }
        let text = format!("{what}: {error}");
        match about {
            Some((packet, to)) => {
                let mut lost = false;
                self.change_sent(packet, to, |sent| {
                    // What arrived cannot be lost: then it is about a file.
                    lost = sent.lost(to);
                    true
                });
                if !lost {
                    let place = self.members.near_mut(to).next().map(|member| member.at);
                    self.push(moment, place, What::Note { text, bad: true });
                }
            }
            None => self.push(moment, None, What::Note { text, bad: true }),
        }
    }

    /// Something became of an offer.
    pub(super) fn offer(&mut self, index: u32, new: OfferState) {
        let mut new = Some(new);
        self.change_offer(index, |state| {
            if let Some(new) = new.take() {
                *state = new;
            }
        });
    }

    fn change_offer(&mut self, index: u32, mut change: impl FnMut(&mut OfferState)) {
        for conversation in self.members.conversations_mut() {
            let changed = conversation.change(|entry| match &mut entry.what {
                What::Offer(offer) if offer.index == index => {
                    change(&mut offer.state);
                    true
                }
                _ => false,
            });
            if changed {
                break;
            }
        }
        self.fit_item();
    }

    fn sent(&mut self, moment: Moment, wish: Option<u32>, to: SocketAddrV4, packet: u64, request: &control::Send) {
        let target = || Target { at: to, fate: Fate::UnderWay, fetched: Vec::new() };
        let known = |sent: &mut Sent| {
            if (wish.is_some() && sent.wish == wish) || sent.packet == Some(packet) {
                sent.packet = Some(packet);
                sent.targets.push(target());
                return true;
            }
            false
        };
        if self.change_any_sent(known) {
            return;
        }
        // Another terminal asked for it.
        let place = (request.to != "all").then_some(to);
        let mut sent = outgoing(wish, request);
        sent.packet = Some(packet);
        sent.targets.push(target());
        if place.is_some_and(|at| self.members.at(at).is_none()) {
            self.members.stranger(to);
        }
        self.push_quietly(moment, place, What::Sent(sent));
    }

    fn ended(&mut self, wish: u32, how: Result<(), &str>) {
        let sent = self.change_any_sent(|sent| {
            if sent.wish != Some(wish) {
                return false;
            }
            sent.wish = None;
            for target in sent.targets.iter_mut().filter(|target| target.fate == Fate::UnderWay) {
                target.fate = if how.is_ok() { Fate::Delivered } else { Fate::NotDelivered };
            }
            sent.failed = how.err().map(|error| text::lines(error).replace('\n', " "));
            true
        });
        let getting = self.getting.remove(&wish).unwrap_or_default();
        if let (false, Err(error)) = (sent, how) {
            for index in getting {
                self.change_offer(index, |state| {
                    // One that ended by itself knows better why.
                    if *state == OfferState::Asked {
                        *state = OfferState::Failed(text::lines(error).replace('\n', " "));
                    }
                });
            }
            self.hint = Some(text::lines(error).replace('\n', " "));
        }
    }

    fn change_any_sent(&mut self, mut change: impl FnMut(&mut Sent) -> bool) -> bool {
        self.everybody.change_sent(&mut change)
            || self.members.conversations_mut().any(|conversation| conversation.change_sent(&mut change))
    }

    /// Something became of our message with this number at this address.
    fn change_sent(&mut self, packet: u64, at: SocketAddrV4, mut change: impl FnMut(&mut Sent) -> bool) {
        let mut change = |sent: &mut Sent| sent.packet == Some(packet) && change(sent);
        for member in self.members.near_mut(at) {
            if member.conversation.change_sent(&mut change) {
                return;
            }
        }
        self.everybody.change_sent(&mut change);
    }

    /// Writes down what the person wants to send, and makes a wish of it.
    pub(super) fn send(&mut self, moment: Moment, to: Option<SocketAddrV4>, mut request: control::Send) -> Action {
        request.to = to.map_or_else(|| "all".to_owned(), |to| to.to_string());
        let wish = self.wish();
        self.push_quietly(moment, to, What::Sent(outgoing(Some(wish), &request)));
        self.scroll = 0;
        Action::Ask(wish, control::Request::Send(request))
    }

    /// A number for a wish.
    pub(super) fn wish(&mut self) -> u32 {
        self.last_wish = self.last_wish.wrapping_add(1);
        self.last_wish
    }

    /// Adds an entry that the person did not see yet.
    fn push(&mut self, moment: Moment, place: Option<SocketAddrV4>, what: What) {
        let shown = self.members.chosen() == place && self.scroll == 0;
        if !shown {
            match place {
                None => self.unseen += 1,
                Some(at) => {
                    if let Some(member) = self.members.at_mut(at) {
                        member.unread += 1;
                    }
                }
            }
        }
        self.push_quietly(moment, place, what);
    }

    /// Adds an entry that needs no attention.
    fn push_quietly(&mut self, moment: Moment, place: Option<SocketAddrV4>, what: What) {
        self.last_serial += 1;
        let entry = Entry { serial: self.last_serial, at: moment.local, what };
        if self.members.chosen() == place && self.scroll > 0 {
            // Whoever reads on in what is older wants it to stay where it is.
            self.scroll += super::rows::height(self, &entry);
        }
        match place.and_then(|at| self.members.touch(at, self.last_serial)) {
            Some(member) => member.conversation.push(entry),
            None => self.everybody.push(entry),
        }
        self.fit_memory();
        self.fit_item();
    }

    /// The longest conversation loses what is oldest in it until all are small enough together.
    fn fit_memory(&mut self) {
        while self.members.octets() + self.everybody.octets() > OCTETS {
            let longest = self.members.conversations_mut().max_by_key(|conversation| conversation.octets());
            match longest {
                Some(longest) if longest.octets() > self.everybody.octets() => longest.drop_oldest(),
                _ => self.everybody.drop_oldest(),
            }
        }
    }

    /// The conversation that is shown.
    pub(super) fn conversation(&self) -> &Conversation {
        self.member().map_or(&self.everybody, |member| &member.conversation)
    }

    /// The member that is chosen; nobody if it is everybody.
    pub(super) fn member(&self) -> Option<&Member> {
        self.members.chosen().and_then(|at| self.members.at(at))
    }

    /// Chooses a member, or everybody, and keeps the line that was being written for who was chosen before.
    pub(super) fn choose(&mut self, choice: Option<SocketAddrV4>) {
        let before = self.members.chosen();
        if choice != before {
            let draft = std::mem::take(&mut self.input);
            *self.draft_of(before) = draft;
            self.members.choose(choice);
            self.input = std::mem::take(self.draft_of(choice));
            self.history.forget_place();
            self.scroll = 0;
            self.item = None;
            if self.focus == Focus::Items {
                self.focus = Focus::Input;
            }
        }
        self.seen();
    }

    fn draft_of(&mut self, choice: Option<SocketAddrV4>) -> &mut Input {
        match choice.and_then(|at| self.members.at_mut(at)) {
            Some(member) => &mut member.draft,
            None => &mut self.draft,
        }
    }

    /// The end of the conversation is on the screen.
    pub(super) fn seen(&mut self) {
        match self.members.chosen().and_then(|at| self.members.at_mut(at)) {
            Some(member) => member.unread = 0,
            None => self.unseen = 0,
        }
    }

    /// The chosen member may have been forgotten.
    fn fit_choice(&mut self) {
        if self.members.chosen().is_some_and(|at| self.members.at(at).is_none()) {
            self.members.choose(None);
            self.scroll = 0;
            self.item = None;
        }
    }

    /// The chosen item may be done with.
    pub(super) fn fit_item(&mut self) {
        if self.focus != Focus::Items {
            return;
        }
        let items: Vec<u64> = self.conversation().items().map(|(serial, _)| serial).collect();
        if !self.item.is_some_and(|item| items.contains(&item)) {
            let next = self.item.and_then(|item| items.iter().find(|&&serial| serial > item).copied());
            self.item = next.or(items.last().copied());
            if self.item.is_none() {
                self.focus = Focus::Input;
            }
        }
    }

    /// The address under which others find us, for the status line.
    pub(super) fn own_address(&self) -> String {
        match self.address {
            None => "starting".to_owned(),
            Some(address) if *address.ip() == Ipv4Addr::UNSPECIFIED => format!("port {}", address.port()),
            Some(address) => address.to_string(),
        }
    }
}

fn outgoing(wish: Option<u32>, request: &control::Send) -> Sent {
    let file_name = |path: &PathBuf| text::name(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
    Sent {
        wish,
        text: text::lines(&request.text),
        sealed: request.sealed,
        files: request.files.iter().map(file_name).collect(),
        ..Sent::default()
    }
}
