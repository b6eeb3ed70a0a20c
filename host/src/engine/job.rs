//! What was asked for and is not done yet: by the command line, at the prompt, or by another instance.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use feige_core::time::Instant;
use feige_core::wire::ipmsg::PacketNo;

use crate::control;
use crate::exit::Exit;
use crate::transfer::Share;

/// How long answers to our entry may take: the official program waits up to a second (R-IP-32).
pub const ANSWER: Duration = Duration::from_millis(1200);
/// How long a name is looked for.
pub const SEARCH: Duration = Duration::from_secs(3);
/// How long a peer whose download broke may take to begin again.
const RETRY: Duration = Duration::from_secs(15);

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line of this instance, which ends with the job.
    Own,
    /// Whoever sits in front of this instance. The full screen numbers its wishes; the prompt does not.
    Person(Option<u32>),
    /// Another instance.
    Client(usize),
}

impl Origin {
    /// Whether it sees on the screen what happens.
    #[must_use]
    pub const fn is_person(self) -> bool {
        matches!(self, Self::Person(_))
    }

    /// The number of the wish on the full screen.
    #[must_use]
    pub const fn wish(self) -> Option<u32> {
        match self {
            Self::Person(wish) => wish,
            _ => None,
        }
    }
}

/// Something to do.
pub struct Job {
    /// Who asked.
    pub origin: Origin,
    /// What.
    pub work: Work,
}

/// What is to be done.
pub enum Work {
    /// Send something.
    Send(Box<Sending>),
    /// Wait, then list the members.
    Members(Instant),
    /// Wait for downloads.
    Fetch {
        /// Those that are not complete.
        waiting: HashSet<u32>,
        /// The worst that happened.
        exit: Exit,
    },
}

/// To whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody.
    All,
    /// The member at an address.
    At(SocketAddrV4),
    /// A member by name.
    Named(String),
}

impl Who {
    /// Reads what the user wrote.
    #[must_use]
    pub fn parse(text: &str, port: u16) -> Self {
        if text == "all" {
            Self::All
        } else if let Ok(address) = text.parse::<Ipv4Addr>() {
            Self::At(SocketAddrV4::new(address, port))
        } else if let Some(address) = text.parse::<SocketAddrV4>().ok().filter(|address| address.port() != 0) {
            Self::At(address)
        } else {
            Self::Named(text.to_owned())
        }
    }
}

/// A message on its way.
pub struct Sending {
    /// What was asked for.
    pub request: control::Send,
    /// To whom.
    pub who: Who,
    /// The files that go with it.
    pub shares: Vec<Arc<Share>>,
    /// Who it is, is found not before …
    pub earliest: Instant,
    /// … and not after.
    pub latest: Instant,
    /// When to give up altogether.
    pub give_up: Option<Instant>,
    /// Recipients that are known and wait for room in the outbox.
    pub unsent: Vec<SocketAddrV4>,
    /// Whether the recipients are known.
    pub found: bool,
    /// The number of the message, once one was sent.
    pub packet_no: Option<PacketNo>,
    /// Recipients to whom it was sent.
    pub targets: Vec<Target>,
}

/// One recipient of a message.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub at: SocketAddrV4,
    /// The number of the message.
    pub packet_no: PacketNo,
    /// Characters of the text that it cannot read.
    pub lost: usize,
    /// Whether it arrived.
    pub delivered: bool,
    /// Ids of the files that were not fetched yet.
    pub files: Vec<u32>,
    /// How many were fetched.
    pub served: usize,
    /// Something in a folder that was fetched could not be read, and is not there now.
    pub lacking: bool,
    /// A download broke; the recipient may try again until then.
    pub broken: Option<Instant>,
    /// How it ended.
    pub exit: Option<Exit>,
}

impl Target {
    /// It confirmed the message, or acted on it.
    pub fn delivered(&mut self) {
        self.delivered = true;
        self.check();
    }

    /// It has the file with this id, or the folder; `whole`: with everything that belongs to it.
    pub fn served(&mut self, id: u32, whole: bool) {
        self.lacking |= !whole;
        let before = self.files.len();
        self.files.retain(|&file| file != id);
        self.served += before - self.files.len();
        self.broken = None;
        self.delivered();
    }

    /// A download of it broke.
    pub fn broke(&mut self, now: Instant) {
        self.broken = Some(now + RETRY);
        self.delivered = true;
    }

    fn check(&mut self) {
        if self.files.is_empty() && self.exit.is_none() {
            self.exit = Some(if self.lacking { Exit::Incomplete } else { Exit::Done });
        }
    }
}

impl Sending {
    /// The recipient of this message at this address; peers may confirm from another port (R-IP-45).
    pub fn target(&mut self, packet_no: PacketNo, at: SocketAddrV4) -> Option<&mut Target> {
        let mut targets = self.targets.iter_mut().filter(|target| target.packet_no == packet_no);
        targets.find(|target| target.at == at || target.at.ip() == at.ip())
    }

    /// When to look at it again, if nothing happens before.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let looking = (!self.found).then_some(if now < self.earliest { self.earliest } else { self.latest });
        let broken = self.targets.iter().filter_map(|target| target.broken.filter(|_| target.exit.is_none())).min();
        [looking, self.give_up, broken].into_iter().flatten().min()
    }

    /// Ends what has run out of time. Returns those who were waited for until the end, of whom nobody was told yet.
    pub fn expire(&mut self, now: Instant) -> Vec<Target> {
        let all_over = self.give_up.is_some_and(|give_up| give_up <= now);
        let mut late = Vec::new();
        for target in self.targets.iter_mut().filter(|target| target.exit.is_none()) {
            if target.broken.is_some_and(|until| until <= now) {
                target.exit = Some(Exit::Incomplete);
            } else if all_over {
                let some = target.served > 0 || target.broken.is_some();
                target.exit = Some(if some { Exit::Incomplete } else { Exit::Nobody });
                late.push(target.clone());
            }
        }
        late
    }

    /// How it ended, if it did: the first failure, or success.
    #[must_use]
    pub fn outcome(&self) -> Option<Exit> {
        if !self.found || !self.unsent.is_empty() || self.targets.is_empty() {
            return None;
        }
        let mut exit = Exit::Done;
        for target in &self.targets {
            match target.exit? {
                Exit::Done => {}
                failure if exit == Exit::Done => exit = failure,
                _ => {}
            }
        }
        Some(exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            at: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2425),
            packet_no: PacketNo(7),
            lost: 0,
            delivered: false,
            files: vec![1, 2],
            served: 0,
            lacking: false,
            broken: None,
            exit: None,
        }
    }

    fn sending(targets: Vec<Target>) -> Sending {
        let request = control::Send { to: "all".into(), text: String::new(), files: vec![], sealed: false, wait: None };
        Sending {
            request,
            who: Who::All,
            shares: vec![],
            earliest: Instant::START,
            latest: Instant::START,
            give_up: Some(Instant::from_millis(60_000)),
            unsent: vec![],
            found: true,
            packet_no: Some(PacketNo(7)),
            targets,
        }
    }

    #[test]
    fn who_is_an_address_a_name_or_everybody() {
        assert_eq!(Who::parse("all", 2425), Who::All);
        assert_eq!(Who::parse("10.0.0.1", 4000), Who::At("10.0.0.1:4000".parse().expect("an address")));
        assert_eq!(Who::parse("10.0.0.1:9", 4000), Who::At("10.0.0.1:9".parse().expect("an address")));
        assert_eq!(Who::parse("10.0.0", 4000), Who::Named("10.0.0".into()));
        assert_eq!(Who::parse("10.0.0.1:0", 4000), Who::Named("10.0.0.1:0".into()));
    }

    #[test]
    fn a_message_with_files_is_done_when_all_were_fetched() {
        let mut sending = sending(vec![target()]);
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 50_000);
        sending.target(PacketNo(7), from).expect("the recipient").delivered();
        assert_eq!(sending.outcome(), None);
        sending.target(PacketNo(7), from).expect("the recipient").served(1, true);
        sending.target(PacketNo(7), from).expect("the recipient").served(1, true);
        assert_eq!(sending.outcome(), None, "one file twice is not two files");
        sending.target(PacketNo(7), from).expect("the recipient").served(2, true);
        assert_eq!(sending.outcome(), Some(Exit::Done));
    }

    #[test]
    fn a_folder_that_is_not_all_there_is_no_success() {
        let mut sending = sending(vec![target()]);
        sending.targets[0].served(1, false);
        sending.targets[0].served(2, true);
        assert_eq!(sending.outcome(), Some(Exit::Incomplete));
    }

    #[test]
    fn time_runs_out() {
        let mut nobody = sending(vec![target()]);
        assert!(nobody.expire(Instant::from_millis(59_999)).is_empty());
        assert_eq!(nobody.outcome(), None);
        assert_eq!(nobody.expire(Instant::from_millis(60_000)).len(), 1);
        assert_eq!(nobody.outcome(), Some(Exit::Nobody));
        assert!(nobody.expire(Instant::from_millis(60_001)).is_empty(), "told once");
        let mut some = sending(vec![target()]);
        some.targets[0].served(1, true);
        assert_eq!(some.expire(Instant::from_millis(60_000)).len(), 1);
        assert_eq!(some.outcome(), Some(Exit::Incomplete));
        let mut broken = sending(vec![target()]);
        broken.targets[0].broke(Instant::START);
        assert_eq!(broken.deadline(Instant::START), Some(Instant::from_millis(15_000)));
        assert!(broken.expire(Instant::from_millis(15_000)).is_empty(), "the break was told of");
        assert_eq!(broken.outcome(), Some(Exit::Incomplete));
    }

    #[test]
    fn the_first_failure_is_the_outcome() {
        let mut sending = sending(vec![target(), target(), target()]);
        sending.targets[0].exit = Some(Exit::Done);
        sending.targets[1].exit = Some(Exit::Refused);
        assert_eq!(sending.outcome(), None);
        sending.targets[2].exit = Some(Exit::Nobody);
        assert_eq!(sending.outcome(), Some(Exit::Refused));
    }
}
