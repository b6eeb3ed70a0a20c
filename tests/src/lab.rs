//! Networks that exist for one test: a bridge, and hosts of their own on it.
//!
//! A host is a network namespace with a loopback, an `eth0` in 10.79.0.0/24 and nothing else; no packet leaves
//! the lab. Names contain the number of the test's process, so that tests can run side by side, and so that what a
//! killed test left behind can be told and removed.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::Missing;

const PREFIX: &str = "fgt";

/// A bridge in a namespace of its own. Dropping it removes the bridge and all hosts on it.
#[derive(Debug)]
pub struct Lab {
    hub: String,
    hosts: Vec<String>,
}

/// A machine in a [`Lab`]: what runs "on" it sees only its network, and has a home folder of its own.
#[derive(Debug)]
pub struct Host {
    namespace: String,
    ip: Ipv4Addr,
    home: TempDir,
}

impl Lab {
    /// Makes a lab without hosts.
    ///
    /// # Errors
    /// [`Missing`] if this user may not make network namespaces, or `ip` is not installed.
    pub fn new() -> Result<Self, Missing> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep()?;
        let hub = format!("{PREFIX}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(["netns", "add", &hub])?;
        let lab = Self { hub, hosts: Vec::new() };
        ip(["-n", &lab.hub, "link", "set", "lo", "up"])?;
        ip(["-n", &lab.hub, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "stp_state", "0"])?;
        ip(["-n", &lab.hub, "link", "set", "br0", "up"])?;
        Ok(lab)
    }

    /// Adds a host; its address is 10.79.0.2 for the first, and so on.
    ///
    /// # Panics
    /// If the kernel refuses: the lab was made, so this is no question of what is missing.
    pub fn host(&mut self, name: &str) -> Host {
        let number = u8::try_from(self.hosts.len() + 2).expect("a lab is small");
        let namespace = format!("{}-{name}", self.hub);
        let port = format!("v{number}");
        let ip_address = Ipv4Addr::new(10, 79, 0, number);
        let wire = |arguments: &[&str]| ip(arguments).unwrap_or_else(|missing| panic!("{missing}"));
        wire(&["netns", "add", &namespace]);
        self.hosts.push(namespace.clone());
        wire(&["link", "add", &port, "netns", &self.hub, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
        wire(&["-n", &self.hub, "link", "set", &port, "master", "br0", "up"]);
        wire(&["-n", &namespace, "link", "set", "lo", "up"]);
        wire(&["-n", &namespace, "addr", "add", &format!("{ip_address}/24"), "brd", "+", "dev", "eth0"]);
        wire(&["-n", &namespace, "link", "set", "eth0", "up"]);
        // Where a real machine has a default route.
        wire(&["-n", &namespace, "route", "add", "255.255.255.255/32", "dev", "eth0"]);
        Host::existing(&namespace, ip_address)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in self.hosts.iter().chain([&self.hub]) {
            let _ = ip(["netns", "del", namespace]);
        }
    }
}

impl Host {
    /// A host whose namespace somebody else made and removes.
    ///
    /// # Panics
    /// If there is no room for a temporary folder.
    #[must_use]
    pub fn existing(namespace: &str, ip: Ipv4Addr) -> Self {
        Self { namespace: namespace.to_owned(), ip, home: tempfile::tempdir().expect("a home folder") }
    }

    /// Whether so many octets can be stored in its home folder.
    ///
    /// # Errors
    /// [`Missing`] if not.
    ///
    /// # Panics
    /// If the file system does not say how much room it has.
    pub fn has_room(&self, octets: u64) -> Result<(), Missing> {
        let system = rustix::fs::statvfs(self.home()).expect("a file system");
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if free >= octets {
            return Ok(());
        }
        Err(Missing(format!("{} MiB are needed in {}, {} are free", octets >> 20, self.home().display(), free >> 20)))
    }

    /// Its address.
    #[must_use]
    pub const fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// Its address with a port.
    #[must_use]
    pub const fn at(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, port)
    }

    /// The home folder of whoever works on it.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A path in [`Self::home`].
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command that will run on it. `ip netns exec` becomes the program, so its process is the child itself.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Does something with this host's network instead of the test's own.
    ///
    /// Sockets stay where they were made, whoever uses them later.
    ///
    /// # Panics
    /// If `work` does.
    pub fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = Path::new("/run/netns").join(&self.namespace);
        // A namespace belongs to a thread.
        let thread = std::thread::spawn(move || {
            let namespace = File::open(path).expect("the namespace of a host");
            let network = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(network)).expect("may change namespace");
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A datagram socket on all of its addresses.
    ///
    /// # Panics
    /// If the port is taken.
    #[must_use]
    pub fn udp(&self, port: u16) -> UdpSocket {
        self.within(move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).expect("a free port")
    }

    /// A listening socket on all of its addresses.
    ///
    /// # Panics
    /// If the port is taken.
    #[must_use]
    pub fn listener(&self, port: u16) -> TcpListener {
        self.within(move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).expect("a free port")
    }

    /// A connection from here to `to`.
    ///
    /// # Errors
    /// As [`TcpStream::connect_timeout`].
    pub fn connect(&self, to: SocketAddrV4) -> io::Result<TcpStream> {
        self.within(move || TcpStream::connect_timeout(&to.into(), Duration::from_secs(10)))
    }
}

/// Removes what tests left behind that were killed.
fn sweep() -> Result<(), Missing> {
    let list = ip(["netns", "list"])?;
    for line in String::from_utf8_lossy(&list.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let mut parts = name.split('-');
        let ours = parts.next() == Some(PREFIX);
        let owner = parts.next().and_then(|pid| pid.parse::<u32>().ok());
        if let (true, Some(pid)) = (ours, owner)
            && !Path::new("/proc").join(pid.to_string()).exists()
        {
            let _ = ip(["netns", "del", name]);
        }
    }
    Ok(())
}

fn ip<'a>(arguments: impl AsRef<[&'a str]>) -> Result<Output, Missing> {
    let arguments = arguments.as_ref();
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| Missing(format!("the command `ip` (package iproute2) does not run: {error}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Missing(format!("no network namespaces (is this root?): `ip {}`: {}", arguments.join(" "), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hosts_hear_each_other_and_nothing_stays_behind() {
        let Some(mut lab) = crate::or_skip(Lab::new()) else { return };
        let (alice, bob) = (lab.host("alice"), lab.host("bob"));
        let (from, to) = (alice.udp(2425), bob.udp(2425));
        from.set_broadcast(true).unwrap();
        to.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for target in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 79, 0, 255), bob.ip()] {
            from.send_to(b"hello", (target, 2425)).unwrap();
            let mut buffer = [0; 16];
            let (len, sender) = to.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], sender), (&b"hello"[..], alice.at(2425).into()));
        }
        let hub = lab.hub.clone();
        drop(lab);
        let left = ip(["netns", "list"]).unwrap();
        assert!(!String::from_utf8_lossy(&left.stdout).contains(&hub));
    }
}
