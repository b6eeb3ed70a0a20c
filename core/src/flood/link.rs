//! The neighbours.

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use crate::bucket::Bucket;
use crate::time::{Instant, earlier};
use crate::wire::flood::{NameFilter, Token};

/// The number of a link, as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(super) u8);

impl LinkId {
    /// The number: less than the `LINKS` of its [`Flood`](super::Flood). Another link may get it later.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// A peer that speaks [`Message`](crate::wire::flood::Message)s, whom we dialled or who dialled us.
    Native {
        /// We dialled.
        dialled: bool,
    },
    /// A classic program that is a neighbour: whoever moves octets for us translates.
    Classic,
    /// Classic programs that asked us and are not neighbours: they get hits, never queries.
    Askers,
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) ends: Ends,
    pub(super) peer: Ipv4Addr,
    /// Theirs; `None` until they said it.
    pub(super) token: Option<Token>,
    pub(super) filter: NameFilter,
    /// New queries that it may still bring.
    pub(super) bucket: Bucket,
    /// When something came from it, and when something went to it.
    pub(super) heard: Instant,
    pub(super) said: Instant,
    /// We did not say Hello yet.
    pub(super) owes_hello: bool,
    /// When it is told our names, again.
    pub(super) filter_due: Option<Instant>,
    /// It is to be closed.
    pub(super) farewell: Option<Farewell>,
}

/// Why a link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Farewell {
    /// Nothing came for [`SILENCE`], or no Hello within [`GREETING`].
    Silent,
    /// There is another link to the same peer at the same address, which stays (R-FL-11).
    Duplicate(LinkId),
}

/// When a side that has nothing to say says that it is there (R-FL-12).
pub const PING: Duration = Duration::from_secs(30);

/// When a silent link is given up (R-FL-12).
pub const SILENCE: Duration = Duration::from_secs(100);

/// When a link on which no Hello came is given up (R-FL-10).
pub const GREETING: Duration = Duration::from_secs(10);

/// How often neighbours are told our names although they have not changed (R-FL-42).
pub const FILTER_EVERY: Duration = Duration::from_secs(600);

impl Link {
    pub(super) fn new(now: Instant, peer: Ipv4Addr, ends: Ends) -> Self {
        Self {
            ends,
            peer,
            token: None,
            filter: NameFilter::ALL,
            bucket: Bucket::full(),
            heard: now,
            said: now,
            owes_hello: matches!(ends, Ends::Native { .. }),
            filter_due: None,
            farewell: None,
        }
    }

    /// Queries may be sent to it.
    pub(super) fn is_up(&self) -> bool {
        self.farewell.is_none()
            && match self.ends {
                Ends::Native { .. } => self.token.is_some() && !self.owes_hello,
                Ends::Classic => true,
                Ends::Askers => false,
            }
    }

    pub(super) fn is_native(&self) -> bool {
        matches!(self.ends, Ends::Native { .. })
    }

    /// When it is given up if nothing comes.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        self.is_native().then(|| self.heard + if self.token.is_some() { SILENCE } else { GREETING })
    }

    /// When there is something to say, or to give up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.owes_hello || self.farewell.is_some() {
            return Some(Instant::START);
        }
        let ping = (self.is_native() && self.token.is_some()).then(|| self.said + PING);
        earlier(earlier(ping, self.filter_due), self.silent_at())
    }
}
