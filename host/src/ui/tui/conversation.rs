//! What was said, offered and done with one member, or with everybody.
//!
//! **Memory**: at most [`Conversation::MOST`] entries; [`Conversation::octets`] says what they take, so that
//! the model can keep a limit for all conversations together.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use jiff::civil::DateTime;

/// The entries, oldest first.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    entries: VecDeque<Entry>,
    octets: usize,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number in the whole program, which it keeps.
    pub(super) serial: u64,
    /// When it was made, in local time.
    pub(super) at: DateTime,
    pub(super) what: What,
}

/// What an entry is about. All texts are harmless and can be drawn as they are.
///
/// `from` is the name that the sender had when it came: the member at that address may have another name by now, or be
/// another person.
#[derive(Debug)]
pub(super) enum What {
    /// A message to us.
    Received { from: String, text: String, packet: u64, seal: Seal, auto: bool },
    /// A message from us.
    Sent(Sent),
    /// A file or folder that we can download.
    Offer(Offer),
    /// Something happened.
    Note { text: String, bad: bool },
}

/// Whether a message can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// It came open.
    None,
    /// It is opened by this number, and its sender learns of it.
    Closed(u32),
    /// It was opened.
    Opened,
}

/// A message from us, and the files with it.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The number of the wish to send it, until that is done.
    pub(super) wish: Option<u32>,
    /// Its number on the network, once it has one.
    pub(super) packet: Option<u64>,
    pub(super) text: String,
    pub(super) sealed: bool,
    pub(super) files: Vec<String>,
    pub(super) targets: Vec<Target>,
    /// Why it failed.
    pub(super) failed: Option<String>,
}

/// One recipient.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) at: SocketAddrV4,
    pub(super) fate: Fate,
    /// Ids of the files that it fetched.
    pub(super) fetched: Vec<u32>,
}

/// What became of a message; in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    UnderWay,
    NotDelivered,
    Delivered,
    Discarded,
    Refused,
    Opened,
}

/// An offered file or folder.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) from: String,
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) size: Option<u64>,
    pub(super) folder: bool,
    pub(super) state: OfferState,
}

/// What became of an offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OfferState {
    /// Nobody asked for it.
    Open,
    /// The download waits or runs.
    Asked,
    /// Where it is now.
    Done(String),
    /// Why it did not work; it can be tried again.
    Failed(String),
}

impl Entry {
    /// What the person can do with it, if anything.
    pub(super) fn can(&self) -> Option<Can> {
        match &self.what {
            What::Received { seal: Seal::Closed(number), .. } => Some(Can::Open(*number)),
            What::Offer(Offer { index, state: OfferState::Open | OfferState::Failed(_), .. }) => Some(Can::Get(*index)),
            _ => None,
        }
    }

    fn octets(&self) -> usize {
        let text = match &self.what {
            What::Received { from, text, .. } => from.len() + text.len(),
            What::Note { text, .. } => text.len(),
            What::Sent(sent) => {
                let files: usize = sent.files.iter().map(|name| name.len() + size_of::<String>()).sum();
                sent.text.len() + files + sent.targets.len() * size_of::<Target>()
            }
            What::Offer(offer) => offer.from.len() + offer.name.len(),
        };
        text + size_of::<Self>()
    }
}

/// What can be done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Can {
    /// Open the sealed message with this number.
    Open(u32),
    /// Download the offer with this number.
    Get(u32),
}

impl Conversation {
    /// How many entries are kept; the oldest makes room.
    pub(super) const MOST: usize = 1000;

    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.len() >= Self::MOST {
            self.drop_oldest();
        }
        self.octets += entry.octets();
        self.entries.push_back(entry);
    }

    /// Forgets the oldest entry.
    pub(super) fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.octets = self.octets.saturating_sub(oldest.octets());
        }
    }

    /// What the entries take, about.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// Changes the newest entry for which `change` does so, and says whether there is one.
    pub(super) fn change(&mut self, mut change: impl FnMut(&mut Entry) -> bool) -> bool {
        for entry in self.entries.iter_mut().rev() {
            let before = entry.octets();
            if change(entry) {
                self.octets = (self.octets + entry.octets()).saturating_sub(before);
                return true;
            }
        }
        false
    }

    /// Changes the newest message of ours for which `change` does so.
    pub(super) fn change_sent(&mut self, mut change: impl FnMut(&mut Sent) -> bool) -> bool {
        self.change(|entry| match &mut entry.what {
            What::Sent(sent) => change(sent),
            _ => false,
        })
    }

    /// What can be done here, oldest first.
    pub(super) fn items(&self) -> impl DoubleEndedIterator<Item = (u64, Can)> {
        self.entries.iter().filter_map(|entry| Some((entry.serial, entry.can()?)))
    }
}

impl Sent {
    /// Something became of it at the recipient with this address; peers may answer from another port.
    pub(super) fn reached(&mut self, at: SocketAddrV4, fate: Fate) -> bool {
        let Some(target) = self.target(at) else { return false };
        target.fate = target.fate.max(fate);
        true
    }

    /// Nobody confirmed it. Returns whether that is news: it did not arrive before.
    pub(super) fn lost(&mut self, at: SocketAddrV4) -> bool {
        let Some(target) = self.target(at) else { return false };
        let news = target.fate == Fate::UnderWay;
        if news {
            target.fate = Fate::NotDelivered;
        }
        news
    }

    /// A file of it was fetched.
    pub(super) fn fetched(&mut self, at: SocketAddrV4, id: u32) -> bool {
        let Some(target) = self.target(at) else { return false };
        target.fate = target.fate.max(Fate::Delivered);
        if !target.fetched.contains(&id) {
            target.fetched.push(id);
        }
        true
    }

    fn target(&mut self, at: SocketAddrV4) -> Option<&mut Target> {
        let exact = self.targets.iter().position(|target| target.at == at);
        let near = || self.targets.iter().position(|target| target.at.ip() == at.ip());
        let index = exact.or_else(near)?;
        self.targets.get_mut(index)
    }

    /// How many recipients it reached.
    pub(super) fn delivered(&self) -> usize {
        self.targets.iter().filter(|target| target.fate >= Fate::Delivered).count()
    }
}
