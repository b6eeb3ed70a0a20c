//! Lists of hosts: asking another member for its list, and sending ours (R-IP-126, R-IP-127).
//!
//! For networks whose broadcasts do not reach everybody, and for whom it asks there. A device that is found by broadcast
//! does without: feature `lists`.

use core::net::SocketAddrV4;
use core::time::Duration;

use super::answers::{Answer, Say};
use super::compose::fit;
use super::event::{Event, Rejected};
use super::members::{Change, Member, Profile};
use super::receive::Sender;
use super::{Destination, Full, Node};
use crate::text::Text;
use crate::time::Instant;
use crate::wire::ipmsg::host_list::{HostList, ListedHost, requested_index};
use crate::wire::ipmsg::{Command, Datagram, MAX_DATAGRAM, Options, PacketNo};
use crate::wire::{BufferTooSmall, Writer};

/// A list is offered only by those who have been there for a while (R-IP-126).
const LIST_AFTER: Duration = Duration::from_secs(3);

/// A list is sent in parts that need no fragments on an Ethernet (R-IP-126).
const LIST_MAX: usize = 1400;
const _: () = assert!(LIST_MAX <= MAX_DATAGRAM);

/// After so much silence the list will not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody has more parts: 65,536 hosts at ten in a part would be 6,554.
const MOST_PARTS: u32 = 8192;

/// What we asked for.
#[derive(Clone, Debug, Default)]
pub(super) enum ListClient {
    /// Nothing.
    #[default]
    Idle,
    /// Who has a list?
    Asking { until: Instant },
    /// This one has, and the part from this index on was asked for.
    Fetching { from: SocketAddrV4, index: u32, parts: u32, until: Instant },
}

impl ListClient {
    pub(super) fn asking(now: Instant) -> Self {
        Self::Asking { until: now + PATIENCE }
    }

    /// Nothing is awaited any more.
    pub(super) fn forget(&mut self) {
        *self = Self::Idle;
    }

    /// Somebody offers its list: whether it is to be asked for it. The first is.
    pub(super) fn offered(&mut self, now: Instant, by: SocketAddrV4) -> bool {
        match *self {
            Self::Asking { until } if now <= until => {
                *self = Self::Fetching { from: by, index: 0, parts: 0, until: now + PATIENCE };
                true
            }
            _ => false,
        }
    }

    /// Whether a part from this address was asked for.
    pub(super) fn expects(&self, now: Instant, by: SocketAddrV4) -> bool {
        matches!(*self, Self::Fetching { from, until, .. } if from == by && now <= until)
    }

    /// A part arrived and `next` follows: the index to ask for, if any. An index that does not grow would be asked for
    /// for ever.
    pub(super) fn received(&mut self, now: Instant, next: Option<u32>) -> Option<u32> {
        match (&mut *self, next) {
            (Self::Fetching { index, parts, until, .. }, Some(next)) if next > *index && *parts < MOST_PARTS => {
                *index = next;
                *parts = parts.saturating_add(1);
                *until = now + PATIENCE;
                Some(next)
            }
            _ => {
                *self = Self::Idle;
                None
            }
        }
    }
}

impl<const MEMBERS: usize, const SLOTS: usize, const BYTES: usize, const SEEN: usize>
    Node<MEMBERS, SLOTS, BYTES, SEEN>
{
    /// "Who can send me a list of hosts?" The first that can is asked for it; its parts are [`Event::Listed`].
    ///
    /// # Errors
    /// [`Full`] with [`Table::Answers`](super::Table::Answers): poll, then try again.
    pub fn ask_list(&mut self, now: Instant) -> Result<(), Full> {
        self.answers.push(Answer {
            to: Destination::Broadcast,
            utf8: false,
            allow: usize::MAX,
            say: Say::Bare(Command::BrIsGetList2),
        })?;
        self.list = ListClient::asking(now);
        Ok(())
    }

    /// Somebody asks for our list, or answers that we asked for his.
    pub(super) fn about_lists<'d>(
        &mut self,
        now: Instant,
        sender: Sender,
        datagram: &Datagram<'d>,
    ) -> Result<Option<Event<'d>>, Rejected> {
        let say = match datagram.header.command {
            Command::AnsList => return self.listed_hosts(now, sender, datagram),
            Command::GetList => Say::AnsList(requested_index(datagram.body)),
            Command::OkGetList if self.list.offered(now, sender.from) => Say::GetList(0),
            Command::BrIsGetList | Command::BrIsGetList2 if self.presence.is_older(now, LIST_AFTER) => {
                Say::Bare(Command::OkGetList)
            }
            _ => return Ok(None),
        };
        self.answer(now, sender, say);
        Ok(None)
    }

    fn listed_hosts<'d>(
        &mut self,
        now: Instant,
        sender: Sender,
        datagram: &Datagram<'d>,
    ) -> Result<Option<Event<'d>>, Rejected> {
        if !self.list.expects(now, sender.from) {
            return Err(Rejected::Unasked);
        }
        let list = HostList::parse(datagram.body)?;
        let mut added = 0_usize;
        for host in list.hosts().flatten() {
            let ours = |utf8| self.identity.names(utf8).are(host.user, host.host);
            if host.has_left() || !is_one_host(host.address) || ours(false) || ours(true) {
                continue;
            }
            let profile = Profile {
                user: host.user.as_bytes(),
                host: host.host.as_bytes(),
                nick: host.nick.as_bytes(),
                group: host.group.as_bytes(),
                names_utf8: datagram.header.options.contains(Options::UTF8),
                // Nobody makes us send to others.
                options: host.options().without(Options::DIALUP),
                listed: true,
                ..Profile::default()
            };
            // A list must not push out anybody: hearsay.
            if self.members.len() >= MEMBERS {
                break;
            }
            if let Ok((Change::New { .. }, _)) = self.members.sighted(now, host.address, &profile) {
                added = added.saturating_add(1);
            }
        }
        let next = self.list.received(now, list.next);
        if let Some(next) = next {
            self.answer(now, sender, Say::GetList(next));
        }
        Ok(Some(Event::Listed { from: sender.from, added, complete: next.is_none() }))
    }

    /// A part of the list of hosts: from `start` on, as many as fit (R-IP-126).
    pub(super) fn host_list(
        &self,
        start: u32,
        utf8: bool,
        packet_no: PacketNo,
        allow: usize,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let most = allow.min(LIST_MAX);
        let first = usize::try_from(start).unwrap_or(usize::MAX);
        let front = |writer: &mut Writer<'_>, next, count| {
            self.identity.header(writer, Command::AnsList, Options::NONE, utf8, packet_no);
            HostList::write_front(writer, next, count);
        };
        let mut measure = Writer::new(&mut []);
        front(&mut measure, None, 0);
        // The NUL at the end.
        let mut wanted = measure.wanted().saturating_add(1);
        let mut count = 0_u32;
        let mut complete = true;
        for member in self.members.iter().skip(first) {
            let mut one = Writer::new(&mut []);
            write_member(member, utf8, &mut one);
            let with_it = wanted.saturating_add(one.wanted());
            if with_it > most {
                complete = false;
                break;
            }
            wanted = with_it;
            count = count.saturating_add(1);
        }
        if count == 0 && !complete {
            return Ok(None);
        }
        let next = (!complete).then(|| start.saturating_add(count));
        fit(allow, buffer, |writer| {
            front(writer, next, count);
            let members = self.members.iter().skip(first).take(usize::try_from(count).unwrap_or(0));
            members.for_each(|member| write_member(member, utf8, writer));
            writer.octet(0);
        })
    }
}

/// Whether a list may name this address: one of one host, of another machine. Which are broadcast addresses of subnets
/// we cannot know.
fn is_one_host(at: SocketAddrV4) -> bool {
    let [network, ..] = at.ip().octets();
    at.port() != 0 && matches!(network, 1..=126 | 128..=223)
}

/// A member as a list in this character set shows it (R-IP-128). A status of zero would have readers delete it (R-IP-124).
fn write_member(member: &Member, utf8: bool, writer: &mut Writer<'_>) {
    let Member { user, host, nick, group, .. } = member;
    let [user, host, nick, group] =
        [user, host, nick, group].map(|name| if member.names_utf8 == utf8 { name.clone() } else { name.ascii() });
    let listed = ListedHost {
        user: Text::new(user.as_bytes()),
        host: Text::new(host.as_bytes()),
        status: member.options.bits() | u32::from(Command::BrEntry.code()),
        address: member.at,
        nick: Text::new(nick.as_bytes()),
        group: Text::new(group.as_bytes()),
    };
    listed.write(writer);
}
