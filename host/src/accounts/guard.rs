//! Guessing passwords is made slow: each address that fails waits longer and longer.
//!
//! **Guarantees**: an address that only guesses has three attempts and then one after 1, 2, 4 … seconds, in the end one
//! in five minutes: some 290 a day. Signing in with an account of one's own between the guesses leaves one a second.
//! Connections that are open side by side may each have an attempt under way; how many of them an address may have is
//! the server's to limit.
//!
//! **Memory**: at most [`ADDRESSES`] addresses. A network of IPv6 is one address, because whoever has it has all of it.
//! If the table is full of addresses that wait, addresses that are not in it wait too, as long as the one that has
//! longest to wait: nobody can make room for new guesses by failing from everywhere.
//!
//! **Time**: handed in. Constant per call, but linear in the table while it is full.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use feige_core::time::Instant;

/// How many addresses are remembered.
pub const ADDRESSES: usize = 1024;

/// How many failures are free: everybody mistypes a password.
pub const FREE: u32 = 3;

/// The wait after the first failure that is not free; it doubles with every further one.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// An address that has not failed for so long is forgotten.
pub const MEMORY: Duration = Duration::from_secs(60 * 60);

/// Remembers who failed to sign in.
#[derive(Debug, Default)]
pub struct Guard {
    failures: HashMap<Network, Failures>,
}

/// An address of IPv4, or the first half of one of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(Ipv4Addr),
    V6(u64),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// When the next attempt may be made.
    fn until(self) -> Instant {
        let Some(doublings) = self.count.checked_sub(FREE + 1) else { return self.last };
        let wait = 2_u32.checked_pow(doublings).map_or(LONGEST_WAIT, |factor| FIRST_WAIT.saturating_mul(factor));
        self.last + wait.min(LONGEST_WAIT)
    }

    fn is_over(self, now: Instant) -> bool {
        self.until() <= now
    }
}

impl Guard {
    /// Without any failure.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether somebody at this address may try to sign in.
    ///
    /// # Errors
    /// How long to wait, if not.
    pub fn may_try(&self, now: Instant, address: IpAddr) -> Result<(), Duration> {
        let until = match self.failures.get(&network(address)) {
            Some(failures) => failures.until(),
            None if self.is_full(now) => self.failures.values().map(|failures| failures.until()).max().unwrap_or(now),
            None => now,
        };
        if until <= now { Ok(()) } else { Err(until.since(now)) }
    }

    /// Somebody at this address failed.
    pub fn failed(&mut self, now: Instant, address: IpAddr) {
        let network = network(address);
        let forgotten = |failures: &Failures| now.since(failures.last) >= MEMORY;
        if !self.failures.contains_key(&network) && self.failures.len() >= ADDRESSES {
            self.failures.retain(|_, failures| !forgotten(failures));
            if self.failures.len() >= ADDRESSES && !self.make_room(now) {
                return;
            }
        }
        let failures = self.failures.entry(network).or_insert(Failures { count: 0, last: now });
        let count = if forgotten(failures) { 0 } else { failures.count };
        *failures = Failures { count: count.saturating_add(1), last: now };
    }

    /// Somebody at this address signed in: what was failed before is forgiven, down to the failures that are free.
    /// Not all, lest somebody with an account can guess the passwords of others as fast as he likes.
    pub fn succeeded(&mut self, now: Instant, address: IpAddr) {
        if let Some(failures) = self.failures.get_mut(&network(address)) {
            *failures = Failures { count: failures.count.min(FREE), last: now };
        }
    }

    /// Whether there is no room for another address, and nobody who could be forgotten for it.
    fn is_full(&self, now: Instant) -> bool {
        self.failures.len() >= ADDRESSES && self.failures.values().all(|failures| !failures.is_over(now))
    }

    /// Forgets one of those who do not wait: the one with the fewest failures, and of those the oldest.
    fn make_room(&mut self, now: Instant) -> bool {
        let over = self.failures.iter().filter(|(_, failures)| failures.is_over(now));
        let least = over.min_by_key(|(_, failures)| (failures.count, failures.last)).map(|(&network, _)| network);
        least.and_then(|network| self.failures.remove(&network)).is_some()
    }
}

fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => Network::V4(address),
        IpAddr::V6(address) => Network::V6(prefix(address)),
    }
}

fn prefix(address: Ipv6Addr) -> u64 {
    u64::try_from(address.to_bits() >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn three_failures_are_free_and_then_the_wait_doubles() {
        let mut guard = Guard::new();
        let mut now = Instant::START;
        for _ in 0..FREE {
            assert_eq!(guard.may_try(now, address(1)), Ok(()));
            guard.failed(now, address(1));
        }
        assert_eq!(guard.may_try(now, address(1)), Ok(()));
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            guard.failed(now, address(1));
            let wait = SECOND * expected;
            assert_eq!(guard.may_try(now, address(1)), Err(wait));
            assert_eq!(guard.may_try(now + wait / 4, address(1)), Err(wait - wait / 4));
            now = now + wait;
            assert_eq!(guard.may_try(now, address(1)), Ok(()), "{wait:?} are over");
        }
        assert_eq!(guard.may_try(at(0), address(2)), Ok(()), "others do not wait");
    }

    #[test]
    fn any_number_of_failures_keeps_the_longest_wait() {
        let mut guard = Guard::new();
        for _ in 0..100 {
            guard.failed(at(9), address(1));
        }
        assert_eq!(guard.may_try(at(9), address(1)), Err(LONGEST_WAIT));
    }

    #[test]
    fn a_day_of_guessing_is_some_three_hundred_guesses() {
        let (mut guard, mut now, mut guesses) = (Guard::new(), at(0), 0);
        while now < at(24 * 60 * 60) {
            match guard.may_try(now, address(1)) {
                Ok(()) => {
                    guesses += 1;
                    guard.failed(now, address(1));
                }
                Err(wait) => now = now + wait,
            }
        }
        assert!((280..310).contains(&guesses), "{guesses}");
    }

    #[test]
    fn an_hour_without_failure_is_forgotten() {
        let mut guard = Guard::new();
        for _ in 0..8 {
            guard.failed(at(0), address(1));
        }
        guard.failed(at(3599), address(1));
        assert_eq!(guard.may_try(at(3599), address(1)), Err(SECOND * 32), "an hour is not over");
        guard.failed(at(3599 + 3600), address(1));
        assert_eq!(guard.may_try(at(3599 + 3600), address(1)), Ok(()));
    }

    #[test]
    fn a_success_forgives_but_does_not_open_the_door_to_guessing() {
        let mut guard = Guard::new();
        for _ in 0..9 {
            guard.failed(at(0), address(1));
        }
        guard.succeeded(at(60), address(1));
        assert_eq!(guard.may_try(at(60), address(1)), Ok(()));
        for second in 60..100 {
            guard.failed(at(second), address(1));
            assert_eq!(guard.may_try(at(second), address(1)), Err(SECOND), "one guess a second between successes");
            guard.succeeded(at(second + 1), address(1));
        }
        guard.succeeded(at(200), address(2));
        guard.failed(at(200), address(2));
        assert_eq!(guard.may_try(at(200), address(2)), Ok(()), "who never failed has three attempts");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut guard = Guard::new();
        let v6 = |text: &str| text.parse::<IpAddr>().expect("an address");
        for host in 1..=4 {
            guard.failed(at(0), v6(&format!("2001:db8:1:2::{host}")));
        }
        assert_eq!(guard.may_try(at(0), v6("2001:db8:1:2:ffff::1")), Err(SECOND));
        assert_eq!(guard.may_try(at(0), v6("2001:db8:1:3::1")), Ok(()));
        // What a socket for both says about a peer of IPv4.
        for _ in 0..4 {
            guard.failed(at(0), v6("::ffff:10.0.0.9"));
        }
        assert_eq!(guard.may_try(at(0), v6("10.0.0.9")), Err(SECOND));
        assert_eq!(guard.may_try(at(0), v6("::ffff:10.0.0.8")), Ok(()));
    }

    #[test]
    fn a_table_full_of_guessers_keeps_newcomers_waiting() {
        let mut guard = Guard::new();
        for number in 0..u32::try_from(ADDRESSES).expect("small") {
            for _ in 0..6 {
                guard.failed(at(0), address(number));
            }
        }
        guard.failed(at(0), address(7));
        let newcomer = address(1 << 16);
        assert_eq!(guard.may_try(at(0), newcomer), Err(SECOND * 8), "as long as the one with seven failures");
        for _ in 0..9 {
            guard.failed(at(0), newcomer);
        }
        assert_eq!(guard.failures.len(), ADDRESSES);
        assert_eq!(guard.may_try(at(4), newcomer), Ok(()), "some have waited");
        assert_eq!(guard.may_try(at(4), address(7)), Err(SECOND * 4));
        guard.failed(at(4), newcomer);
        assert_eq!(guard.failures.len(), ADDRESSES, "it took the place of one");
        assert_eq!(guard.may_try(at(4), address(7)), Err(SECOND * 4), "but not of one that waits");
    }

    #[test]
    fn single_failures_from_everywhere_do_not_lock_anybody_out() {
        let mut guard = Guard::new();
        for number in 0..5000 {
            guard.failed(at(0), address(number));
            assert!(guard.failures.len() <= ADDRESSES);
        }
        assert_eq!(guard.may_try(at(0), address(9999)), Ok(()));
    }
}
