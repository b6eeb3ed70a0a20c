//! What a [`Flood`](super::Flood) tells.

use core::fmt;

use super::{Farewell, LinkId};
use crate::wire::flood::{Hello, Hit, Query, QueryId};

/// What a message means to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'m> {
    /// A peer said who it is: the link is up.
    Up(Hello<'m>),
    /// Somebody looks for something, for the first time: look whether it is here, and say so with
    /// [`Flood::answer`](super::Flood::answer).
    Asked(Query<'m>),
    /// Somebody has what the application looks for.
    Hit(Hit<'m>),
    /// The peer leaves.
    Bye,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output<'b> {
    /// Send these octets, a whole message, over this link. If its queue is full, drop them.
    Transmit {
        /// The link.
        to: LinkId,
        /// The message.
        octets: &'b [u8],
    },
    /// Close this link. It is already forgotten.
    Close {
        /// The link.
        link: LinkId,
        /// Why.
        why: Farewell,
    },
    /// A search asked as far as it may and waited as long as it should. Hits may still come.
    Over {
        /// The search.
        id: QueryId,
        /// Somebody had it.
        found: bool,
    },
    /// Nothing until then, or until something comes.
    Wait(Option<crate::time::Instant>),
    /// The buffer that was lent holds no message: lend [`MAX_MESSAGE`](crate::wire::flood::MAX_MESSAGE) octets.
    BufferTooSmall,
}

/// A message was understood, and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// Something other than Hello came first, or Hello came twice: close the link.
    Order,
    /// It speaks no version of ours: close the link.
    Version,
    /// It is ourselves: close the link, and do not dial that address again.
    Ourselves,
    /// There is a link to that peer, or to one at another address that had its token first (R-FL-11): close this one.
    Duplicate(LinkId),
    /// The link is not there.
    NoLink,
    /// A TTL of 0, or one that nobody sends, or a query that came too far (R-FL-21).
    Ttl,
    /// A query, hit or name that breaks the rules (R-FL-20, R-FL-33).
    Malformed,
    /// The link brought too many new queries (R-FL-24).
    TooOften,
    /// The table of queries is full (R-FL-23).
    Full,
    /// A hit for a query that is not known, or nobody to pass it on to.
    NobodyAsked,
    /// The query has had so many hits already (R-FL-32).
    TooMany,
    /// Messages wait to be sent: poll first.
    Busy,
}

impl Rejected {
    /// Whether the link has to be closed.
    #[must_use]
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::Order | Self::Version | Self::Ourselves | Self::Duplicate(_) | Self::NoLink)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "it did not say hello, or said it twice",
            Self::Version => "it speaks another version",
            Self::Ourselves => "it is this peer itself",
            Self::Duplicate(_) => "there is a link to it already",
            Self::NoLink => "there is no such link",
            Self::Ttl => "the query goes too far",
            Self::Malformed => "the query or hit is malformed",
            Self::TooOften => "too many new queries come over this link",
            Self::Full => "the table of queries is full",
            Self::NobodyAsked => "nobody asked for it",
            Self::TooMany => "the query has too many hits",
            Self::Busy => "messages wait to be sent",
        })
    }
}

impl core::error::Error for Rejected {}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Queries that came for the first time.
    pub queries: u64,
    /// Queries that were known already.
    pub duplicates: u64,
    /// Of those, with a higher TTL than before.
    pub raised: u64,
    /// Queries that were refused because the table was full.
    pub full: u64,
    /// Queries that were refused because the link brought too many.
    pub too_often: u64,
    /// Queries that were dropped because they break the rules.
    pub malformed: u64,
    /// Queries sent, our own included.
    pub sent: u64,
    /// Queries that were not sent because of a filter.
    pub filtered: u64,
    /// Hits passed on, our own included.
    pub hits: u64,
    /// Hits that were dropped.
    pub hits_dropped: u64,
}

/// One more.
#[cfg_attr(target_os = "none", inline(never))]
pub(super) const fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
