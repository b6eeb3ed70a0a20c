//! Who is there.
//!
//! Peers are looked up by transport address with every datagram, by identity (user and host) when an entry comes from an
//! address that is not known yet (R-IP-26). Keys, identities and ages stand in arrays of their own, so a
//! look-up passes over a few kilobytes instead of over all records.
//!
//! **Guarantees**: at most one member per address and port. A full table takes a newcomer only in place of a member that
//! never proved that it receives anything, the one that has been silent longest (R-IP-27): a flood of forged entries
//! cannot push out anybody with whom a word was exchanged. An entry with the names of a member that has been silent for
//! [`MOVE_AFTER`] can make us believe that it moved, until it is heard again; the protocol has nothing against that.
//!
//! **Memory**: about 380 octets for each of the `N` places. **Time**: look-ups linear in the members, 16 and more keys at a
//! time; a look-up among 1,024 takes about a tenth of a microsecond. **Protocol**: R-IP-26 to 28.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use heapless::Vec;

use super::{Full, Table, identity::Name};
use crate::time::Instant;
use crate::wire::ipmsg::Options;

/// An agent that moved shows up at another address; two network cards of one agent are heard within moments. Only after
/// this silence at the old address is a new one believed (R-IP-28).
pub const MOVE_AFTER: Duration = Duration::from_secs(7);

/// An agent on the network.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it sends from and receives, by UDP and by TCP.
    pub at: SocketAddrV4,
    /// Its log-on name.
    pub user: Name,
    /// Its host's name.
    pub host: Name,
    /// The name that it shows.
    pub nick: Name,
    /// The group that it shows itself under; may be empty.
    pub group: Name,
    /// Whether these names are in UTF-8; otherwise in a character set that nobody names.
    pub names_utf8: bool,
    /// The options of its last entry; with [`Options::CAP_UTF8`] for iptux if it says in its own way that it reads UTF-8.
    pub options: Options,
    /// What program it is.
    pub client: Kind,
    /// The id that FeiQ writes into its version, a MAC address in hexadecimal; zero where there is none.
    pub feiq_id: u64,
    /// When it was last heard of.
    pub last_seen: Instant,
    /// Whether it showed that it receives what is sent to this address.
    pub proven: bool,
    /// Whether it is known from a list of hosts only.
    pub listed: bool,
    /// How many entries of ours it did not answer since.
    missed: u8,
    /// What is to be sent to it.
    pub(super) owed: Owed,
}

impl Member {
    /// Whether it reads UTF-8.
    #[must_use]
    pub const fn utf8(&self) -> bool {
        self.options.contains(Options::CAP_UTF8)
    }

    /// Whether its user is away. iptux claims so always (R-IP-35).
    #[must_use]
    pub fn absent(&self) -> bool {
        self.options.contains(Options::ABSENCE) && self.client != Kind::Iptux
    }

    /// Whether it wants entries by unicast.
    #[must_use]
    pub const fn dialup(&self) -> bool {
        self.options.contains(Options::DIALUP)
    }
}

/// What kind of program a member is; see [`crate::wire::ipmsg::Client`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An official program, or one that looks like it.
    IpMessenger,
    /// iptux: UTF-8 that is never announced; drops messages that come out of order.
    Iptux,
    /// FeiQ (飞秋) or one that passes for it: GBK.
    Feiq,
    /// 内网通: GBK; hears only entries without any option.
    Shiyeline,
    /// Something else.
    #[default]
    Unknown,
}

/// What an entry tells about its sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Profile<'a> {
    pub(super) user: &'a [u8],
    pub(super) host: &'a [u8],
    pub(super) nick: &'a [u8],
    pub(super) group: &'a [u8],
    pub(super) names_utf8: bool,
    pub(super) options: Options,
    pub(super) client: Kind,
    pub(super) feiq_id: u64,
    pub(super) listed: bool,
    /// How many octets this may make us send (R-IP-38).
    pub(super) allow: usize,
}

/// What a sighting changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A newcomer, perhaps in the place of another one.
    New { evicted: Option<SocketAddrV4> },
    /// Known, and now at another address.
    Moved { from: SocketAddrV4 },
    /// Known, with other names or options.
    Changed,
    /// Known, nothing new.
    Same,
    /// A second address of a member that was heard at its first one moments ago.
    Alias,
}

/// What a member is to be sent, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// When the answer to its entry is due, if it is owed one.
    answer: Instant,
    /// What else it is owed, now.
    bits: u8,
    /// How many octets it may be sent as long as it is not proven: what its entries allow, less what was sent (R-IP-38).
    pub(super) allow: usize,
}

impl Owed {
    const NOTHING: Self = Self { answer: Instant::NEVER, bits: 0, allow: 0 };

    /// When the first of it is due.
    fn due(&self) -> Instant {
        if self.bits == 0 { self.answer } else { Instant::START }
    }
}

/// One thing to be sent to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Debt {
    /// ANSENTRY.
    Answer,
    /// BR_ENTRY without options, for 内网通.
    PlainEntry,
    /// BR_ENTRY by unicast.
    Entry,
    /// BR_ABSENCE by unicast.
    Status,
    /// BR_EXIT by unicast.
    Exit,
}

impl Debt {
    /// Those that are due at once.
    const NOW: [Self; 4] = [Self::PlainEntry, Self::Entry, Self::Status, Self::Exit];

    const fn bit(self) -> u8 {
        match self {
            Self::Answer => 0,
            Self::PlainEntry => 1,
            Self::Entry => 2,
            Self::Status => 4,
            Self::Exit => 8,
        }
    }
}

/// Up to `N` members.
#[derive(Clone, Debug)]
pub struct MemberTable<const N: usize> {
    seed: u64,
    /// No member is owed anything before.
    soonest: Instant,
    // Four columns of equal length, one row for each member.
    ages: Vec<u32, N>,
    identities: Vec<u32, N>,
    keys: Vec<u64, N>,
    members: Vec<Member, N>,
}

/// The age of a member that must not be pushed out: it is proven, or was before it moved.
const PROVEN: u32 = u32::MAX;

impl<const N: usize> MemberTable<N> {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            keys: Vec::new(),
            identities: Vec::new(),
            ages: Vec::new(),
            members: Vec::new(),
            seed,
            soonest: Instant::NEVER,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Member> + Clone {
        self.members.iter()
    }

    /// The member that sends from this address and port.
    #[must_use]
    pub fn at(&self, at: SocketAddrV4) -> Option<&Member> {
        self.members.get(self.find(at)?)
    }

    /// The row of an address.
    pub(super) fn find(&self, at: SocketAddrV4) -> Option<usize> {
        position::<_, N>(self.keys.as_slice(), key(at))
    }

    pub(super) fn row(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }

    /// Where the agent with these names was sighted.
    pub(super) fn address_of(&self, user: &[u8], host: &[u8], feiq_id: u64) -> Option<SocketAddrV4> {
        let profile = Profile { user, host, feiq_id, ..Profile::default() };
        let index = self.find_identity(self.identity(user, host, feiq_id), &profile)?;
        self.members.get(index).map(|member| member.at)
    }

    /// A datagram came from the member in this row.
    pub(super) fn touch(&mut self, now: Instant, index: usize) {
        if let Some(member) = self.members.get_mut(index) {
            member.last_seen = now;
            member.missed = 0;
            if let Some(age) = self.ages.get_mut(index).filter(|age| **age != PROVEN) {
                *age = seconds(now);
            }
        }
    }

    /// An entry came from `at`; returns what changed, and the row if that is the one of this address.
    ///
    /// # Errors
    /// [`Full`] if it is a newcomer and every place is taken by a proven member: nothing changed.
    pub(super) fn sighted(
        &mut self,
        now: Instant,
        at: SocketAddrV4,
        profile: &Profile<'_>,
    ) -> Result<(Change, Option<usize>), Full> {
        let identity = self.identity(profile.user, profile.host, profile.feiq_id);
        if let Some(index) = self.find(at) {
            if profile.listed {
                // What the member said itself is better than what others say of it.
                return Ok((Change::Same, Some(index)));
            }
            self.touch(now, index);
            let changed = self.update(index, profile, identity);
            return Ok((if changed { Change::Changed } else { Change::Same }, Some(index)));
        }
        if let Some(index) = self.find_identity(identity, profile) {
            let Some(member) = self.members.get_mut(index) else { return Err(Full(Table::Members)) };
            if profile.listed || now <= member.last_seen + MOVE_AFTER {
                return Ok((Change::Alias, None));
            }
            // R-IP-28: it is believed to have moved, and has to prove anew that it receives there. Its place it keeps.
            let from = core::mem::replace(&mut member.at, at);
            member.proven = false;
            member.owed.allow = 0;
            self.keys.iter_mut().skip(index).take(1).for_each(|k| *k = key(at));
            self.touch(now, index);
            self.update(index, profile, identity);
            return Ok((Change::Moved { from }, Some(index)));
        }
        let evicted = if self.members.is_full() { Some(self.evict().ok_or(Full(Table::Members))?) } else { None };
        let index = self.members.len();
        let member = Member {
            at,
            user: Name::default(),
            host: Name::default(),
            nick: Name::default(),
            group: Name::default(),
            names_utf8: false,
            options: Options::NONE,
            client: Kind::Unknown,
            feiq_id: 0,
            last_seen: now,
            proven: false,
            listed: profile.listed,
            missed: 0,
            owed: Owed::NOTHING,
        };
        // All four have room or none has.
        let pushed = self.members.push(member).is_ok()
            && self.keys.push(key(at)).is_ok()
            && self.identities.push(identity).is_ok()
            && self.ages.push(seconds(now)).is_ok();
        if !pushed {
            return Err(Full(Table::Members));
        }
        self.update(index, profile, identity);
        Ok((Change::New { evicted }, Some(index)))
    }

    fn update(&mut self, index: usize, profile: &Profile<'_>, identity: u32) -> bool {
        let Some(member) = self.members.get_mut(index) else { return false };
        let mut changed = false;
        let mut set = |name: &mut Name, octets: &[u8]| {
            if name.as_bytes() != super::identity::cut(octets, super::identity::NAME_MAX) {
                *name = Name::new(octets);
                changed = true;
            }
        };
        set(&mut member.user, profile.user);
        set(&mut member.host, profile.host);
        set(&mut member.nick, profile.nick);
        set(&mut member.group, profile.group);
        // UTF8 is about the datagram, not about the member.
        let options = profile.options.without(Options::UTF8);
        changed |= member.options != options || member.listed != profile.listed;
        member.options = options;
        member.names_utf8 = profile.names_utf8;
        member.client = profile.client;
        member.feiq_id = profile.feiq_id;
        member.listed = profile.listed;
        member.owed.allow = member.owed.allow.saturating_add(profile.allow);
        if let Some(id) = self.identities.get_mut(index) {
            *id = identity;
        }
        changed
    }

    fn evict(&mut self) -> Option<SocketAddrV4> {
        let oldest = self.ages.iter().copied().min().filter(|&age| age != PROVEN)?;
        let index = self.ages.iter().position(|&age| age == oldest)?;
        let at = self.members.get(index)?.at;
        self.take_out(index);
        Some(at)
    }

    /// Forgets the member at this address, which left; tells whether there was one.
    pub(super) fn remove(&mut self, at: SocketAddrV4) -> bool {
        self.find(at).map(|index| self.take_out(index)).is_some()
    }

    fn take_out(&mut self, index: usize) {
        swap_out(&mut self.keys, index);
        swap_out(&mut self.identities, index);
        swap_out(&mut self.ages, index);
        swap_out(&mut self.members, index);
    }

    /// Every member on this host receives (R-IP-38).
    pub(super) fn prove(&mut self, address: Ipv4Addr) {
        let rows = self.members.iter_mut().zip(self.ages.iter_mut());
        for (member, age) in rows.filter(|(member, _)| *member.at.ip() == address) {
            member.proven = true;
            *age = PROVEN;
        }
    }

    /// Takes out one member that answered none of the last `rounds` entries, if there is one.
    pub(super) fn expire_one(&mut self, rounds: u8) -> Option<Member> {
        let index = self.members.iter().position(|member| member.missed >= rounds)?;
        let gone = self.members.get(index)?.clone();
        self.take_out(index);
        Some(gone)
    }

    /// The entry of the member in this row is to be answered at `due`.
    pub(super) fn owe_answer(&mut self, index: usize, due: Instant) {
        if let Some(member) = self.members.get_mut(index) {
            member.owed.answer = due;
            self.soonest = self.soonest.min(due);
        }
    }

    /// Whether the member in this row waits for an answer already.
    pub(super) fn owes_answer(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|member| member.owed.answer != Instant::NEVER)
    }

    /// The member in this row is to be sent something now.
    pub(super) fn owe(&mut self, index: usize, debt: Debt) {
        if let Some(member) = self.members.get_mut(index) {
            member.owed.bits |= debt.bit();
            self.soonest = Instant::START;
        }
    }

    /// Every member is to be sent now what `wants` says, if anything.
    pub(super) fn owe_all(&mut self, mut wants: impl FnMut(&Member) -> Option<Debt>) {
        for member in &mut self.members {
            member.owed.bits |= wants(member).map_or(0, Debt::bit);
        }
        self.soonest = Instant::START;
    }

    /// An entry was sent that every member should answer.
    pub(super) fn count_round(&mut self) {
        for member in &mut self.members {
            member.missed = member.missed.saturating_add(1);
        }
    }

    /// When the first debt is due, or some time before.
    pub(super) const fn next_debt(&self) -> Instant {
        self.soonest
    }

    /// One thing that is due at `now`; it stays due until [`MemberTable::paid`].
    pub(super) fn debt(&mut self, now: Instant) -> Option<(usize, Debt)> {
        if now < self.soonest {
            return None;
        }
        let due = |member: &Member| member.owed.due() <= now;
        let Some(index) = self.members.iter().position(due) else {
            self.soonest = self.members.iter().fold(Instant::NEVER, |soonest, member| soonest.min(member.owed.due()));
            return None;
        };
        let bits = self.members.get(index)?.owed.bits;
        let debt = Debt::NOW.into_iter().find(|debt| bits & debt.bit() != 0);
        Some((index, debt.unwrap_or(Debt::Answer)))
    }

    /// It was sent, in so many octets, or never will be.
    pub(super) fn paid(&mut self, index: usize, debt: Debt, octets: usize) {
        let Some(member) = self.members.get_mut(index) else { return };
        member.owed.allow = member.owed.allow.saturating_sub(octets);
        match debt {
            Debt::Answer => member.owed.answer = Instant::NEVER,
            now => member.owed.bits &= !now.bit(),
        }
    }

    fn find_identity(&self, identity: u32, profile: &Profile<'_>) -> Option<usize> {
        let mut from = 0_usize;
        loop {
            let rest = self.identities.get(from..)?;
            let index = from.saturating_add(position::<_, N>(rest, identity)?);
            let member = self.members.get(index)?;
            // 32 bits are few: look twice.
            let same = |a: &Name, b: &[u8]| a.as_bytes().eq_ignore_ascii_case(cut_name(b));
            if same(&member.user, profile.user) && same(&member.host, profile.host) && member.feiq_id == profile.feiq_id
            {
                return Some(index);
            }
            from = index.saturating_add(1);
        }
    }

    /// R-IP-26: user and host without regard to case, and what FeiQ says of its machine.
    fn identity(&self, user: &[u8], host: &[u8], feiq_id: u64) -> u32 {
        let hash = crate::hash::Hash::new(self.seed).folded(cut_name(user)).folded(cut_name(host)).number(feiq_id);
        u32::try_from(hash.finish() >> 32).unwrap_or_default()
    }
}

fn cut_name(octets: &[u8]) -> &[u8] {
    super::identity::cut(octets, super::identity::NAME_MAX)
}

/// Address and port in one number.
fn key(at: SocketAddrV4) -> u64 {
    u64::from(u32::from(*at.ip())) << 16 | u64::from(at.port())
}

/// Whole seconds since the start; never [`PROVEN`].
fn seconds(now: Instant) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(PROVEN).min(PROVEN.wrapping_sub(1))
}

/// Where `wanted` stands among at most `N`. Sixteen are compared before the first branch, which lets the compiler compare
/// several at once; where there are few, one after the other is as fast and smaller.
fn position<T: Copy + PartialEq, const N: usize>(keys: &[T], wanted: T) -> Option<usize> {
    if N <= 16 {
        return keys.iter().position(|key| *key == wanted);
    }
    let (blocks, rest) = keys.as_chunks::<16>();
    let mut before = 0_usize;
    for block in blocks {
        if block.iter().fold(false, |hit, key| hit | (*key == wanted)) {
            let within = block.iter().position(|key| *key == wanted)?;
            return Some(before.saturating_add(within));
        }
        before = before.saturating_add(16);
    }
    rest.iter().position(|key| *key == wanted).map(|within| before.saturating_add(within))
}

/// Takes one of the rows out: the last takes its place.
fn swap_out<T, const N: usize>(column: &mut Vec<T, N>, index: usize) {
    if let Some((last, others)) = column.split_last_mut()
        && let Some(place) = others.get_mut(index)
    {
        core::mem::swap(place, last);
    }
    column.pop();
}
