//! How many connections are served at a time: some in all, and fewer for each address.
//!
//! **Memory**: a few octets for each address that is connected. **Time**: constant.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts the connections that are served.
#[derive(Debug)]
pub struct Gate {
    in_all: u32,
    per_address: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connected: HashMap<IpAddr, u32>,
    total: u32,
    /// When a refusal was told last, and how many were not told since.
    told: Option<Instant>,
    untold: u64,
}

/// The right to be served, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    address: IpAddr,
}

/// Why a connection was closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How many connections there may be.
    pub limit: u32,
    /// Whether that limit is for each address, rather than for all together.
    pub per_address: bool,
    /// How many other connections were closed since the last refusal that was told.
    pub untold: u64,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.per_address { "from this address" } else { "in all" };
        write!(f, "there are {} connections {whose} already", self.limit)?;
        if self.untold > 0 {
            write!(f, " ({} more were closed before)", self.untold)?;
        }
        Ok(())
    }
}

impl Gate {
    /// In a flood of connections one refusal in this time is told; the others are counted.
    const PAUSE: Duration = Duration::from_secs(10);

    /// At most `in_all` connections at a time, and `per_address` from one address.
    #[must_use]
    pub fn new(in_all: u32, per_address: u32) -> Self {
        Self { in_all, per_address, state: Mutex::default() }
    }

    /// How many connections there are.
    pub(crate) fn connected(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// Lets one more connection from `address` in.
    ///
    /// # Errors
    /// There are too many. The refusal is to be told to the user, if there is one.
    pub(crate) fn admit(self: &Arc<Self>, address: impl Into<IpAddr>) -> Result<Permit, Option<Refusal>> {
        let address = address.into();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let from_here = state.connected.get(&address).copied().unwrap_or(0);
        let crowded_here = from_here >= self.per_address;
        if crowded_here || state.total >= self.in_all {
            let limit = if crowded_here { self.per_address } else { self.in_all };
            return Err(state.refuse(limit, crowded_here));
        }
        state.connected.insert(address, from_here + 1);
        state.total += 1;
        drop(state);
        Ok(Permit { gate: Arc::clone(self), address })
    }
}

impl Default for Gate {
    /// 64 connections, 16 from each address: nobody downloads more at a time, and together they cost at most as
    /// many buffers of 256 KiB.
    fn default() -> Self {
        Self::new(64, 16)
    }
}

impl State {
    fn refuse(&mut self, limit: u32, per_address: bool) -> Option<Refusal> {
        let now = Instant::now();
        if self.told.is_some_and(|told| now.duration_since(told) < Gate::PAUSE) {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        self.told = Some(now);
        Some(Refusal { limit, per_address, untold: std::mem::take(&mut self.untold) })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.total = state.total.saturating_sub(1);
        if let Some(count) = state.connected.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.connected.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn counts_in_all_and_for_each_address() {
        let gate = Arc::new(Gate::new(3, 2));
        let [a, b, c] = [1, 2, 3].map(|n| Ipv4Addr::new(127, 0, 0, n));
        let first = gate.admit(a).unwrap();
        let second = gate.admit(a).unwrap();
        let refusal = gate.admit(a).unwrap_err().unwrap();
        assert_eq!(refusal, Refusal { limit: 2, per_address: true, untold: 0 });
        let third = gate.admit(b).unwrap();
        // Told once, counted from then on.
        assert_eq!(gate.admit(c).unwrap_err(), None);
        assert_eq!(gate.state.lock().unwrap().untold, 1);
        drop(first);
        let fourth = gate.admit(c).unwrap();
        drop((second, third, fourth));
        let state = gate.state.lock().unwrap();
        assert_eq!((state.total, state.connected.len()), (0, 0));
    }
}
