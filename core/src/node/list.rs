//! Asking another member for its list of hosts (R-IP-127).

use core::net::SocketAddrV4;
use core::time::Duration;

use crate::time::Instant;

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
