//! The members, in groups and by name, and who of them is chosen.
//!
//! **Memory**: at most [`MEMBERS`]; who was silent longest makes room, and first those that left.

use std::net::SocketAddrV4;

use super::conversation::Conversation;
use super::input::Input;
use super::text;
use crate::ui::event::Peer;

/// How many are kept, as many as the engine knows.
pub(super) const MEMBERS: usize = 1024;

/// Somebody on the network. All names are harmless.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) at: SocketAddrV4,
    pub(super) name: String,
    /// user@host
    pub(super) login: String,
    pub(super) group: String,
    pub(super) away: bool,
    /// What it says why it is away.
    pub(super) reason: String,
    pub(super) online: bool,
    pub(super) unread: usize,
    pub(super) conversation: Conversation,
    /// What was being written to it.
    pub(super) draft: Input,
    /// The number of the last entry that it caused.
    touched: u64,
}

/// All of them, in order.
#[derive(Debug, Default)]
pub(super) struct Members {
    list: Vec<Member>,
    chosen: Option<SocketAddrV4>,
}

impl Member {
    fn order(&self) -> (bool, &str, String, &str, SocketAddrV4) {
        // Those without a group come last.
        (self.group.is_empty(), &self.group, self.name.to_lowercase(), &self.login, self.at)
    }
}

impl Members {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Member> {
        self.list.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn at(&self, at: SocketAddrV4) -> Option<&Member> {
        self.list.iter().find(|member| member.at == at)
    }

    pub(super) fn at_mut(&mut self, at: SocketAddrV4) -> Option<&mut Member> {
        self.list.iter_mut().find(|member| member.at == at)
    }

    /// Those at this address and port, and then those at other ports of it.
    pub(super) fn near_mut(&mut self, at: SocketAddrV4) -> impl Iterator<Item = &mut Member> {
        let mut near: Vec<&mut Member> = self.list.iter_mut().filter(|member| member.at.ip() == at.ip()).collect();
        near.sort_by_key(|member| member.at != at);
        near.into_iter()
    }

    pub(super) fn conversations_mut(&mut self) -> impl Iterator<Item = &mut Conversation> {
        self.list.iter_mut().map(|member| &mut member.conversation)
    }

    /// What all conversations take.
    pub(super) fn octets(&self) -> usize {
        self.list.iter().map(|member| member.conversation.octets()).sum()
    }

    /// Somebody is there.
    pub(super) fn sighted(&mut self, peer: &Peer) {
        let known = self.list.iter().position(|member| member.at == peer.addr).map(|index| self.list.remove(index));
        if known.is_none() && self.list.len() >= MEMBERS {
            self.make_room();
        }
        let (conversation, draft, unread, touched) =
            known.map(|member| (member.conversation, member.draft, member.unread, member.touched)).unwrap_or_default();
        let (name, reason) = named(peer);
        self.insert(Member {
            at: peer.addr,
            name: text::name(name),
            reason: text::name(reason),
            login: format!("{}@{}", text::name(&peer.user), text::name(&peer.hostname)),
            group: text::name(&peer.group),
            away: peer.away,
            online: true,
            unread,
            conversation,
            draft,
            touched,
        });
    }

    /// Somebody of whom only the address is known.
    pub(super) fn stranger(&mut self, at: SocketAddrV4) {
        let peer = Peer {
            user: "?".to_owned(),
            hostname: at.ip().to_string(),
            nick: at.to_string(),
            group: String::new(),
            addr: at,
            version: String::new(),
            away: false,
        };
        self.sighted(&peer);
    }

    fn insert(&mut self, member: Member) {
        let index = {
            let order = member.order();
            self.list.partition_point(|other| other.order() < order)
        };
        self.list.insert(index, member);
    }

    fn make_room(&mut self) {
        let silent = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, member)| self.chosen != Some(member.at))
            .min_by_key(|(_, member)| (member.online, member.touched))
            .map(|(index, _)| index);
        if let Some(index) = silent {
            self.list.remove(index);
        }
    }

    /// A member left: it is kept if there is something of it to read. Returns whether it is.
    pub(super) fn left(&mut self, at: SocketAddrV4) -> bool {
        let Some(index) = self.list.iter().position(|member| member.at == at) else { return false };
        let member = &mut self.list[index];
        member.online = false;
        member.away = false;
        let keep = !member.conversation.is_empty() || !member.draft.is_empty() || self.chosen == Some(at);
        if !keep {
            self.list.remove(index);
        }
        keep
    }

    /// A member has another address now; who was known there makes room.
    pub(super) fn moved(&mut self, from: SocketAddrV4, to: SocketAddrV4) {
        let Some(index) = self.list.iter().position(|member| member.at == from) else { return };
        let mut member = self.list.remove(index);
        self.list.retain(|other| other.at != to);
        member.at = to;
        if self.chosen == Some(from) {
            self.chosen = Some(to);
        }
        self.insert(member);
    }

    /// A member caused the entry with this number.
    pub(super) fn touch(&mut self, at: SocketAddrV4, serial: u64) -> Option<&mut Member> {
        let member = self.at_mut(at)?;
        member.touched = serial;
        Some(member)
    }

    /// Who is chosen; nobody means everybody.
    pub(super) fn chosen(&self) -> Option<SocketAddrV4> {
        self.chosen
    }

    pub(super) fn choose(&mut self, choice: Option<SocketAddrV4>) {
        self.chosen = choice;
    }

    /// The choice `by` places further down the list, at the top of which stands everybody.
    pub(super) fn neighbour(&self, by: isize) -> Option<SocketAddrV4> {
        let present = self.place().map_or(0, |index| index + 1);
        let place = present.saturating_add_signed(by).min(self.list.len());
        place.checked_sub(1).and_then(|index| self.list.get(index)).map(|member| member.at)
    }

    /// The place of the choice in the list.
    pub(super) fn place(&self) -> Option<usize> {
        self.list.iter().position(|member| self.chosen == Some(member.at))
    }

    /// The next one after the choice for which `wanted` holds, round the list.
    pub(super) fn next(&self, wanted: impl Fn(&Member) -> bool) -> Option<SocketAddrV4> {
        let after = self.place().map_or(0, |index| index + 1);
        let (before, rest) = self.list.split_at(after);
        rest.iter().chain(before).find(|member| wanted(member)).map(|member| member.at)
    }
}

/// The name by which people know a member, and why it is away: who is away says so in brackets after the name,
/// because older programs show nothing else.
pub(super) fn named(peer: &Peer) -> (&str, &str) {
    let name = if peer.nick.is_empty() { &peer.user } else { &peer.nick };
    match name.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((name, reason)) if peer.away && !name.is_empty() => (name.trim_end(), reason),
        _ => (name, ""),
    }
}
