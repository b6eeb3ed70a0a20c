//! A real foreign client: iptux, without a screen, in a network namespace.
//!
//! What runs is the protocol engine out of Debian's package `iptux` under the driver that lies beside the project
//! in `../shared/peers` (`FEIGE_PEERS` names another folder): the README there says what it can do and what is known
//! of its faults.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Missing;
use crate::lab::Host;
use crate::program::SOON;

/// A running iptux at 10.78.0.11, and room beside it for [`Iptux::neighbour`]. There is at most one at a time,
/// because its scripts give its namespaces fixed names. Dropping it ends it and removes the network.
#[derive(Debug)]
pub struct Iptux {
    scripts: PathBuf,
    state: PathBuf,
    read: usize,
    pending: Vec<Value>,
    _turn: File,
}

impl Iptux {
    /// Where it is.
    pub const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 78, 0, 11), 2425);

    const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

    /// Starts it with these options and waits until it listens, and for its turn if another test uses one.
    ///
    /// # Errors
    /// [`Missing`] if the scripts, the package or root are missing.
    ///
    /// # Panics
    /// If all are there and it does not start.
    pub fn start(options: &[&str]) -> Result<Self, Missing> {
        let scripts = std::env::var_os("FEIGE_PEERS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/peers"), PathBuf::from);
        if !scripts.join("iptux.sh").exists() {
            return Err(Missing(format!("no scripts for foreign clients in {}", scripts.display())));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Missing("foreign clients run in network namespaces, which needs root".to_owned()));
        }
        let installed = Command::new("dpkg").args(["-s", "iptux", "libjsoncpp-dev", "g++"]).output();
        if !installed.is_ok_and(|output| output.status.success()) {
            return Err(Missing("Debian's package iptux is not installed (`iptux.sh setup` does it)".to_owned()));
        }
        let test = std::env::current_exe().expect("where the test is");
        let state = test.ancestors().nth(2).expect("in a target folder").join("tmp/iptux");
        std::fs::create_dir_all(&state).expect("a folder for its state");
        let turn = File::create(std::env::temp_dir().join("feige-iptux.lock")).expect("a lock file");
        turn.lock().expect("a lock");
        let iptux = Self { scripts, state, read: 0, pending: Vec::new(), _turn: turn };
        iptux.remove();
        let arguments: Vec<&str> = ["start"].iter().chain(options).copied().collect();
        iptux.script("iptux.sh", &arguments);
        iptux.script("lab.sh", &["ns", "me", &Self::NEIGHBOUR.to_string()]);
        Ok(iptux)
    }

    /// The host beside it, where the program under test runs.
    #[must_use]
    pub fn neighbour(&self) -> Host {
        Host::existing("fg-me", Self::NEIGHBOUR)
    }

    /// Where it puts what it downloads.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.state.join("dl/iptux")
    }

    /// Gives it a command, such as `msg 10.78.0.2 hello`.
    pub fn tell(&self, command: &str) {
        self.script("iptux.sh", &["cmd", command]);
    }

    /// Waits until it reports `{"ev": name, …}` for which `wanted` holds. Other events are kept.
    ///
    /// # Panics
    /// If it does not in time.
    pub fn event_where(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + SOON;
        loop {
            self.take_in();
            if let Some(at) = self.pending.iter().position(|event| event["ev"] == name && wanted(event)) {
                return self.pending.remove(at);
            }
            assert!(Instant::now() < end, "no event {name:?} from iptux, which said\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it reports `{"ev": name, …}`.
    ///
    /// # Panics
    /// If it does not in time.
    pub fn event(&mut self, name: &str) -> Value {
        self.event_where(name, |_| true)
    }

    /// Whether it has reported such an event by now; it is taken if so.
    pub fn has_seen(&mut self, wanted: impl Fn(&Value) -> bool) -> bool {
        self.take_in();
        self.pending.iter().position(wanted).map(|at| self.pending.remove(at)).is_some()
    }

    /// Everything that it reported.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.output()).into_owned()
    }

    /// Ends it as its user would: its neighbours hear of it.
    pub fn quit(&self) {
        self.script("iptux.sh", &["stop"]);
    }

    /// Not always UTF-8: it prints names that it could not decode as they came.
    fn output(&self) -> Vec<u8> {
        std::fs::read(self.state.join("run/iptux.out")).unwrap_or_default()
    }

    fn take_in(&mut self) {
        let output = self.output();
        let fresh = output.get(self.read..).unwrap_or_default();
        for line in fresh.split_inclusive(|&octet| octet == b'\n').filter(|line| line.ends_with(b"\n")) {
            let text = String::from_utf8_lossy(line);
            self.pending.push(serde_json::from_str(&text).unwrap_or_else(|_| text.trim_end().into()));
            self.read += line.len();
        }
    }

    fn script(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new("bash");
        command.arg(self.scripts.join(name)).args(arguments).env("LAB", &self.state).stdin(Stdio::null());
        let output = command.output().expect("bash runs");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
    }

    fn remove(&self) {
        self.script("iptux.sh", &["stop"]);
        self.script("lab.sh", &["down"]);
        for folder in ["dl", "home", "run"] {
            let _ = std::fs::remove_dir_all(self.state.join(folder));
        }
    }
}

impl Drop for Iptux {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("iptux said\n{}", self.said());
            // A second failure must not hide the first.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.remove()));
        } else {
            self.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;
    use feige_core::wire::ipmsg::Command;

    /// The lab itself, without Feige: a hand-made peer is seen and heard by the real client.
    #[test]
    fn iptux_sees_a_peer_and_acknowledges_its_message() {
        let Some(mut iptux) = crate::or_skip(Iptux::start(&[])) else { return };
        let mut peer = Peer::on(&iptux.neighbour());
        peer.enter(Iptux::ADDRESS, "carol");
        // It hears itself, too.
        iptux.event_where("online", |event| event["name"] == "carol");
        peer.send(Iptux::ADDRESS, "1_iptux 0.8.3:7:carol:carol-pc:288:你好\0");
        assert_eq!(iptux.event("message")["text"], "你好");
        assert!(peer.receive(Command::RecvMsg).datagram().body.starts_with(b"7"));
    }
}
