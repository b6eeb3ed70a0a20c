//! What the tests of the whole share: the real program, started and watched, in networks made for one test.
//!
//! Some of these tests need more than a fresh machine has: root for network namespaces, a foreign client. What is
//! missing is printed and the test passes without having run ([`or_skip`]); with `FEIGE_REQUIRE_ALL=1` in the
//! environment, as in continuous integration, it fails instead. Namespaces, loopback addresses by the dozen and signals
//! are Linux: on other systems only the simulated network and the documents are tried here.

#[cfg(target_os = "linux")]
pub mod device;
pub mod device_net;
pub mod floodsim;
#[cfg(target_os = "linux")]
pub mod iptux;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod netsim;
#[cfg(target_os = "linux")]
pub mod peer;
#[cfg(target_os = "linux")]
pub mod program;
#[cfg(target_os = "linux")]
pub mod pty;
#[cfg(target_os = "linux")]
pub mod road;
#[cfg(target_os = "linux")]
pub mod served;
#[cfg(target_os = "linux")]
pub mod stack;
pub mod terminal;
#[cfg(target_os = "linux")]
pub mod transfer;
#[cfg(target_os = "linux")]
pub mod victim;

use std::fmt;
use std::io::Write as _;

/// Something that a test needs is not on this machine.
#[derive(Clone, Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is needed, or `None` after printing why there is none.
///
/// # Panics
/// If it is missing and `FEIGE_REQUIRE_ALL=1`.
#[must_use]
pub fn or_skip<T>(needed: Result<T, Missing>) -> Option<T> {
    needed
        .map_err(|missing| {
            assert!(std::env::var_os("FEIGE_REQUIRE_ALL").is_none_or(|set| set != "1"), "cannot run here: {missing}");
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            // Not `eprintln!`, whose output is only shown if the test fails.
            let _ = writeln!(std::io::stderr(), "test {test} skipped: {missing}");
        })
        .ok()
}
