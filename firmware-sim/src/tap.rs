//! The TAP interface: made and set up where this user may do that, explained where not.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use smoltcp::phy::{Medium, TunTapInterface};

/// Opens the interface, and gives this machine an address there.
pub(crate) fn open(name: &str, host: (Ipv4Addr, u8)) -> Result<TunTapInterface, String> {
    let tap = TunTapInterface::new(name, Medium::Ethernet).map_err(|error| {
        let (ip, prefix) = host;
        let used = if error.raw_os_error() == Some(16) { " (another program uses it)" } else { "" };
        format!(
            "cannot open the TAP interface {name}: {error}{used}. Either run this as root, or make the interface once:\n  \
             sudo ip tuntap add dev {name} mode tap user $USER\n  \
             sudo ip addr add {ip}/{prefix} brd + dev {name}\n  \
             sudo ip link set {name} up"
        )
    })?;
    let (ip, prefix) = host;
    let cidr = format!("{ip}/{prefix}");
    if !is_up(name) {
        ip_command(&["addr", "replace", &cidr, "brd", "+", "dev", name], name)?;
        ip_command(&["link", "set", name, "up"], name)?;
    }
    wait_for_link(name);
    Ok(tap)
}

/// What is sent before the kernel has noticed that somebody opened the interface, or before its bridge forwards, is lost: the
/// device would be listed with its second entry, five seconds later.
fn wait_for_link(name: &str) {
    let read = |file: &str| std::fs::read_to_string(Path::new("/sys/class/net").join(name).join(file));
    let end = Instant::now() + Duration::from_secs(1);
    let ready = || {
        let up = read("operstate").is_ok_and(|state| state.trim() == "up");
        // 3 is "forwarding"; without a bridge there is no such file.
        up && read("brport/state").map_or(true, |state| state.trim() == "3")
    };
    while !ready() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An interface that is up was set up by somebody, who knew why.
fn is_up(name: &str) -> bool {
    let flags = std::fs::read_to_string(Path::new("/sys/class/net").join(name).join("flags")).unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
    flags & 1 == 1
}

fn ip_command(arguments: &[&str], name: &str) -> Result<(), String> {
    let line = format!("ip {}", arguments.join(" "));
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("`ip` (package iproute2) does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("cannot set {name} up: {}. As root, type: {line}", said.trim()))
}
