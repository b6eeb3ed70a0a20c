//! When we say that we are here, and that we leave.
//!
//! **Protocol**: R-IP-30, 32, 34, 134.

use core::time::Duration;

use crate::time::Instant;

/// The first entry may have been lost, or a switch was still learning: once more (R-IP-32).
pub const SECOND_ENTRY: Duration = Duration::from_secs(5);

/// From then on, so that whoever missed us learns of us, and whoever went silently is noticed (R-IP-32).
pub const NEXT_ENTRY: Duration = Duration::from_secs(180);

/// Between the two exits (R-IP-30).
pub const SECOND_EXIT: Duration = Duration::from_millis(30);

/// A member that answered none of this many entries is gone (R-IP-134).
pub const ROUNDS: u8 = 3;

/// How long after an entry its answers arrive: delayed for up to 4.1 s, and some time on the way.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What the clock makes us say to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// An entry.
    Entry,
    /// A change of absence.
    Status,
    /// An exit.
    Exit,
}

/// Whether we are there, and what is due when.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    state: State,
    /// When a change of absence is to be told.
    status: Instant,
    /// When those who did not answer are forgotten.
    pub(super) expiry: Instant,
    /// Since when we are there.
    since: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nobody was told of us.
    Silent,
    Online {
        next: Instant,
        rounds: u32,
    },
    Leaving {
        next: Instant,
        left: u8,
    },
}

impl Presence {
    /// Nobody knows of us.
    pub(super) const SILENT: Self =
        Self { state: State::Silent, status: Instant::NEVER, expiry: Instant::NEVER, since: Instant::START };

    pub(super) fn announce(&mut self, now: Instant) {
        if !self.is_online() {
            self.since = now;
        }
        self.state = State::Online { next: now, rounds: 0 };
    }

    /// Somebody was told of us by unicast only: entries are to be answered from now on.
    pub(super) fn greet(&mut self, now: Instant) {
        if !self.is_online() {
            self.since = now;
            self.state = State::Online { next: now + NEXT_ENTRY, rounds: 1 };
        }
    }

    pub(super) fn leave(&mut self, now: Instant) {
        // Who was never told needs no farewell.
        if self.is_online() {
            self.state = State::Leaving { next: now, left: 2 };
        }
        self.status = Instant::NEVER;
        self.expiry = Instant::NEVER;
    }

    #[cfg(feature = "absence")]
    pub(super) fn tell_status(&mut self, now: Instant) {
        if self.is_online() {
            self.status = now;
        }
    }

    pub(super) const fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent)
    }

    pub(super) const fn is_online(&self) -> bool {
        matches!(self.state, State::Online { .. })
    }

    /// Whether we have been there for longer than `time`.
    #[cfg(feature = "lists")]
    pub(super) fn is_older(&self, now: Instant, time: Duration) -> bool {
        self.is_online() && self.since + time < now
    }

    /// What is due at `now`; stays due until [`Presence::told`].
    pub(super) fn due(&self, now: Instant) -> Option<Round> {
        match self.state {
            State::Online { next, .. } if next <= now => Some(Round::Entry),
            State::Leaving { next, .. } if next <= now => Some(Round::Exit),
            _ => (self.status <= now).then_some(Round::Status),
        }
    }

    /// It was said. Returns whether every member should have answered before the next time: the first entry and the
    /// second, moments later, count as one.
    pub(super) fn told(&mut self, now: Instant, round: Round) -> bool {
        match (&mut self.state, round) {
            (State::Online { next, rounds }, Round::Entry) => {
                let counts = *rounds != 0;
                *next = now + if counts { NEXT_ENTRY } else { SECOND_ENTRY };
                *rounds = rounds.saturating_add(1);
                // The entry tells the status too.
                self.status = Instant::NEVER;
                self.expiry = now + ANSWERS_WITHIN;
                return counts;
            }
            (State::Leaving { next, left }, Round::Exit) => {
                *next = now + SECOND_EXIT;
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.state = State::Silent;
                }
            }
            _ => self.status = Instant::NEVER,
        }
        false
    }

    pub(super) fn next_deadline(&self) -> Instant {
        let state = match self.state {
            State::Silent => Instant::NEVER,
            State::Online { next, .. } | State::Leaving { next, .. } => next,
        };
        state.min(self.status).min(self.expiry)
    }
}
