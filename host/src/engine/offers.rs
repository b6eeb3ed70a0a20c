//! What others offered to us, by our own numbers, and the downloads of it.
//!
//! **Memory**: limited by [`Offers::MOST`]; the oldest offer makes room. A download is a thread while it runs.
//! **Protocol**: FeiQ refuses a second connection for one message, so the files of one peer are fetched one
//! after another.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use feige_core::stream::Limits;
use feige_core::wire::ipmsg::{Command, Header, Options, PacketNo, PacketToken, RequestKind};

use super::Notices;
use crate::charset::{Charset, Policy};
use crate::store::Inbox;
use crate::transfer::{Cancel, Clock, Md5Policy, Wanted, download};
use crate::ui::event::{Kind, OfferedFile, Peer};

/// A file or folder that somebody offered.
#[derive(Clone, Debug)]
pub struct Offered {
    /// Who.
    pub from: Peer,
    /// The message that offers it.
    pub packet_no: PacketNo,
    /// What it is.
    pub file: OfferedFile,
    /// The character set of the names in a folder, if it is known.
    pub charset: Option<Charset>,
    /// Whether the peer reads UTF-8, and so our names in it.
    pub utf8: bool,
    /// Whether the peer is known to continue a file where it is asked to.
    pub resumes: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Open,
    Waiting,
    Running(Cancel),
}

impl Offered {
    /// A new offer.
    #[must_use]
    pub fn new(
        from: Peer,
        packet_no: PacketNo,
        file: OfferedFile,
        charset: Option<Charset>,
        utf8: bool,
        resumes: bool,
    ) -> Self {
        Self { from, packet_no, file, charset, utf8, resumes, state: State::Open }
    }
}

/// Our names, as they stand in a request.
#[derive(Clone, Debug)]
pub struct Names {
    /// The version.
    pub version: &'static str,
    /// User and host in UTF-8.
    pub utf8: (Vec<u8>, Vec<u8>),
    /// User and host in the legacy character set.
    pub legacy: (Vec<u8>, Vec<u8>),
}

/// All offers.
pub struct Offers {
    next: u32,
    files: BTreeMap<u32, Offered>,
    waiting: VecDeque<u32>,
    names: Names,
    policy: Policy,
    local: Ipv4Addr,
}

impl Offers {
    /// How many offers are kept.
    pub const MOST: usize = 1000;
    /// How many peers we download from at a time.
    pub const PARALLEL: usize = 4;

    /// None yet. Downloads come from the address `local`.
    #[must_use]
    pub fn new(names: Names, policy: Policy, local: Ipv4Addr) -> Self {
        Self { next: 1, files: BTreeMap::new(), waiting: VecDeque::new(), names, policy, local }
    }

    /// The number that the next offer gets.
    #[must_use]
    pub const fn next_index(&self) -> u32 {
        self.next
    }

    /// Takes an offer in. Its number must be [`Self::next_index`]. When there are too many, the oldest of the machine that
    /// has the most goes: who offers without end loses his own. If all are being downloaded, this one is not kept.
    pub fn push(&mut self, offered: Offered) {
        if self.files.len() >= Self::MOST {
            let Some(superfluous) = self.superfluous() else { return };
            self.files.remove(&superfluous);
        }
        self.files.insert(offered.file.index, offered);
        self.next = self.next.wrapping_add(1).max(1);
    }

    /// The oldest open offer of the machine that has the most of them.
    fn superfluous(&self) -> Option<u32> {
        let is_open = |offered: &&Offered| matches!(offered.state, State::Open);
        let mut counts = BTreeMap::<Ipv4Addr, usize>::new();
        for offered in self.files.values().filter(is_open) {
            *counts.entry(*offered.from.addr.ip()).or_default() += 1;
        }
        let (most, _) = counts.into_iter().max_by_key(|&(_, count)| count)?;
        let theirs = |offered: &&Offered| is_open(offered) && *offered.from.addr.ip() == most;
        self.files.values().find(theirs).map(|offered| offered.file.index)
    }

    /// The offer with this number.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&Offered> {
        self.files.get(&index)
    }

    /// All offers, oldest first, those of one message together.
    pub fn messages(&self) -> impl Iterator<Item = Vec<&Offered>> {
        let mut messages: Vec<Vec<&Offered>> = Vec::new();
        for offered in self.files.values() {
            match messages.last_mut() {
                Some(files) if files[0].from.addr == offered.from.addr && files[0].packet_no == offered.packet_no => {
                    files.push(offered);
                }
                _ => messages.push(vec![offered]),
            }
        }
        messages.into_iter()
    }

    /// The numbers of all offers that are not being downloaded.
    #[must_use]
    pub fn open(&self) -> Vec<u32> {
        self.files.iter().filter(|(_, offered)| matches!(offered.state, State::Open)).map(|(&index, _)| index).collect()
    }

    /// Whether a download waits or runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.files.values().any(|offered| !matches!(offered.state, State::Open))
    }

    /// This peer is known to continue a file where it is asked to.
    pub fn resumes(&mut self, from: SocketAddrV4) {
        for offered in self.files.values_mut().filter(|offered| offered.from.addr == from) {
            offered.resumes = true;
        }
    }

    /// Whether a download runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.files.values().any(|offered| matches!(offered.state, State::Running(_)))
    }

    /// Asks for a download; nothing happens if there is no such offer, or it is under way.
    pub fn want(&mut self, index: u32) {
        if let Some(offered) = self.files.get_mut(&index)
            && matches!(offered.state, State::Open)
        {
            offered.state = State::Waiting;
            self.waiting.push_back(index);
        }
    }

    /// Starts what waits, as far as there may be more at a time.
    ///
    /// # Errors
    /// The number of a download for which the system gives no thread.
    pub fn start(&mut self, inbox: &Arc<Inbox>, clock: Clock, notices: &Notices) -> Result<(), (u32, std::io::Error)> {
        loop {
            let running: Vec<Ipv4Addr> = self
                .files
                .values()
                .filter(|offered| matches!(offered.state, State::Running(_)))
                .map(|offered| *offered.from.addr.ip())
                .collect();
            if running.len() >= Self::PARALLEL {
                return Ok(());
            }
            let ready =
                |index: &u32| self.files.get(index).is_some_and(|offered| !running.contains(offered.from.addr.ip()));
            let Some(position) = self.waiting.iter().position(ready) else { return Ok(()) };
            let Some(index) = self.waiting.remove(position) else { return Ok(()) };
            let Some(offered) = self.files.get_mut(&index) else { continue };
            let cancel = Cancel::new();
            offered.state = State::Running(cancel.clone());
            let task = Task {
                index,
                offered: offered.clone(),
                names: self.names.clone(),
                policy: self.policy,
                local: self.local,
                inbox: Arc::clone(inbox),
                clock,
                cancel,
                notices: notices.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("download {index}")).stack_size(256 * 1024);
            if let Err(error) = thread.spawn(move || task.run()) {
                offered.state = State::Open;
                return Err((index, error));
            }
        }
    }

    /// A download ended: a complete one is forgotten, another one can be tried again.
    pub fn ended(&mut self, index: u32, complete: bool) -> Option<Offered> {
        if complete {
            return self.files.remove(&index);
        }
        let offered = self.files.get_mut(&index)?;
        offered.state = State::Open;
        Some(offered.clone())
    }

    /// Somebody takes a whole message back, or left: what is not being downloaded is forgotten.
    pub fn withdraw(&mut self, from: SocketAddrV4, packet_no: PacketNo) {
        self.files.retain(|_, offered| {
            offered.from.addr != from || offered.packet_no != packet_no || !matches!(offered.state, State::Open)
        });
    }

    /// Ends all downloads; what came is kept as parts.
    pub fn cancel(&mut self) {
        self.waiting.clear();
        for offered in self.files.values_mut() {
            match &offered.state {
                State::Running(cancel) => cancel.cancel(),
                State::Waiting => offered.state = State::Open,
                State::Open => {}
            }
        }
    }
}

/// One download, on a thread of its own.
struct Task {
    index: u32,
    offered: Offered,
    names: Names,
    policy: Policy,
    local: Ipv4Addr,
    inbox: Arc<Inbox>,
    clock: Clock,
    cancel: Cancel,
    notices: Notices,
}

impl Task {
    fn run(self) {
        let offered = &self.offered;
        let (user, host) = if offered.utf8 { &self.names.utf8 } else { &self.names.legacy };
        let digits = offered.packet_no.digits();
        let kind = match offered.file.kind {
            Kind::File => RequestKind::File,
            Kind::Dir => RequestKind::Folder,
        };
        let wanted = Wanted {
            local: self.local,
            from: offered.from.addr,
            header: Header {
                version: self.names.version.into(),
                packet_no: PacketToken(digits.as_bytes().into()),
                user: user.as_slice().into(),
                host: host.as_slice().into(),
                command: Command::GetFileData,
                options: if offered.utf8 { Options::UTF8 } else { Options::NONE },
            },
            kind,
            packet_no: offered.packet_no,
            id: offered.file.id,
            name: &offered.file.name,
            size: offered.file.size,
            modified: u64::try_from(offered.file.mtime).ok().filter(|&mtime| mtime > 0),
            charset: offered.charset,
            policy: self.policy,
            resumes: offered.resumes,
            md5: Md5Policy::Auto,
            limits: Limits::default(),
        };
        let mut progress = |progress| self.notices.tell(super::Notice::Fetching(self.index, progress));
        let result = download(&wanted, &self.inbox, self.clock, &self.cancel, &mut progress);
        self.notices.tell(super::Notice::Fetched(self.index, result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that the machine `10.0.0.HOST` offers.
    fn offered(offers: &Offers, host: u8) -> Offered {
        let from = Peer {
            user: "user".into(),
            hostname: "host".into(),
            nick: String::new(),
            group: String::new(),
            addr: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 2425),
            version: "1".into(),
            away: false,
        };
        let file = OfferedFile {
            index: offers.next_index(),
            id: 0,
            name: "f".into(),
            size: Some(1),
            mtime: 0,
            kind: Kind::File,
        };
        Offered::new(from, PacketNo(7), file, None, true, false)
    }

    #[test]
    fn who_offers_without_end_loses_his_own() {
        let names = Names { version: "1", utf8: Default::default(), legacy: Default::default() };
        let mut offers = Offers::new(names, Policy::new(None), Ipv4Addr::LOCALHOST);
        for host in [1, 2].into_iter().chain(std::iter::repeat_n(3, Offers::MOST + 500)).chain([4]) {
            let offered = offered(&offers, host);
            offers.push(offered);
        }
        let hosts: Vec<u8> = offers.files.values().map(|offered| offered.from.addr.ip().octets()[3]).collect();
        assert_eq!(hosts.len(), Offers::MOST);
        assert!(hosts.starts_with(&[1, 2, 3]) && hosts.ends_with(&[3, 4]), "the others have theirs still");
        assert_eq!(offers.open().last(), Some(&(Offers::MOST as u32 + 503)), "the latest is there");
    }
}
