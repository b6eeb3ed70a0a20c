//! The command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// A device that is a member of the network, on a TAP interface of this machine.
///
/// It answers `help`, `status`, `ls`, `df`, `get NAME` and `rm NAME` by message, and keeps files that are offered to it on
/// a RAM disk. Exit codes: 0 after --for, 1 if something failed, 2 for a wrong command line, 130 after Ctrl-C.
#[derive(Clone, Debug, Parser)]
#[command(name = "feige-sim", version, max_term_width = 100)]
pub(crate) struct Options {
    /// The TAP interface; it is created if there is none.
    #[arg(long, value_name = "NAME", default_value = "tap0", value_parser = interface)]
    pub(crate) tap: String,
    /// The device's address, and how many bits of it name the network.
    #[arg(long, value_name = "CIDR", default_value = "10.77.0.2/24", value_parser = cidr)]
    pub(crate) ip: (Ipv4Addr, u8),
    /// The address of this machine on the TAP interface [default: the first one of the network].
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    pub(crate) host_ip: Option<(Ipv4Addr, u8)>,
    /// The device's Ethernet address [default: made of its address].
    #[arg(long, value_parser = mac)]
    pub(crate) mac: Option<[u8; 6]>,
    /// The device's user name, which peers show.
    #[arg(long, value_name = "NAME", default_value = "device")]
    pub(crate) user: String,
    /// The size of the RAM disk, for example 64K or 16M.
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = size)]
    pub(crate) ram_disk: usize,
    /// What TCP connections have to send and to receive: as on the chip, or more.
    #[arg(long, value_enum, default_value_t = Buffers::Large)]
    pub(crate) buffers: Buffers,
    /// Of 100 frames in each direction, how many are lost.
    #[arg(long, value_name = "PCT", default_value = "0", value_parser = percent)]
    pub(crate) loss: u32,
    /// Of 100 frames in each direction, how many are damaged.
    #[arg(long, value_name = "PCT", default_value = "0", value_parser = percent)]
    pub(crate) corrupt: u32,
    /// Of 100 frames in each direction, how many are overtaken by others.
    #[arg(long, value_name = "PCT", default_value = "0", value_parser = percent)]
    pub(crate) reorder: u32,
    /// How long each frame takes in each direction, for example 20ms.
    #[arg(long, value_name = "D", default_value = "0ms", value_parser = humantime::parse_duration)]
    pub(crate) delay: Duration,
    /// The seed of what happens by chance [default: another one each time].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Records all frames, as they are on the wire, to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// Prints events as JSON, one per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Ends after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Prints what each part of the device takes of the memory, and ends.
    #[arg(long)]
    pub(crate) memory: bool,
}

/// The buffers of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Buffers {
    /// 3 connections with 2 KiB each way, as in the image for the LM3S6965.
    Chip,
    /// 8 connections with 4 KiB each way.
    Small,
    /// 8 connections with 64 KiB each way.
    Large,
}

impl Options {
    /// The Ethernet address: locally administered, different for different addresses.
    pub(crate) fn mac(&self) -> [u8; 6] {
        let [a, b, c, d] = self.ip.0.octets();
        self.mac.unwrap_or([2, 0, a, b, c, d])
    }

    /// The address of this machine.
    pub(crate) fn host(&self) -> (Ipv4Addr, u8) {
        self.host_ip.unwrap_or_else(|| {
            let (ip, prefix) = self.ip;
            let network = u32::from(ip) & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let first = if network + 1 == u32::from(ip) { network + 2 } else { network + 1 };
            (first.into(), prefix)
        })
    }
}

/// The kernel's limit for names of interfaces.
fn interface(text: &str) -> Result<String, String> {
    let fits = (1..16).contains(&text.len()) && !text.contains(['/', ' ']);
    if fits { Ok(text.to_owned()) } else { Err("1 to 15 octets name an interface".to_owned()) }
}

fn cidr(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let (address, prefix) = text.split_once('/').ok_or("it looks like 10.77.0.2/24")?;
    let address: Ipv4Addr = address.parse().map_err(|error| format!("{error}; it looks like 10.77.0.2/24"))?;
    match prefix.parse() {
        Ok(prefix @ 8..=30) => Ok((address, prefix)),
        _ => Err("between 8 and 30 bits name a network".to_owned()),
    }
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    let octets = octets.and_then(|octets| <[u8; 6]>::try_from(octets).ok()).ok_or("it looks like 02:00:00:00:00:01")?;
    if octets[0] & 1 == 1 { Err("that is a group address; let the first octet be even".to_owned()) } else { Ok(octets) }
}

fn size(text: &str) -> Result<usize, String> {
    let wrong = || "sizes look like 65536, 64K or 16M".to_owned();
    let (digits, unit) =
        match text.trim_end_matches(['B', 'b']).split_at(text.trim_end_matches(char::is_alphabetic).len()) {
            (digits, "") => (digits, 0),
            (digits, "K" | "k" | "Ki") => (digits, 10),
            (digits, "M" | "m" | "Mi") => (digits, 20),
            (digits, "G" | "g" | "Gi") => (digits, 30),
            _ => return Err(wrong()),
        };
    let number: usize = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << unit).ok_or_else(wrong)
}

/// Per million.
fn percent(text: &str) -> Result<u32, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 10_000.0) as u32),
        _ => Err("it is a number from 0 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Options::command().debug_assert();
    }

    #[test]
    fn values() {
        assert_eq!(size("64K"), Ok(65536));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("7"), Ok(7));
        assert!(size("").is_err() && size("K").is_err() && size("1T").is_err() && size("-1").is_err());
        assert_eq!(percent("1.5"), Ok(15_000));
        assert!(percent("101").is_err() && percent("nan").is_err());
        assert_eq!(mac("02:00:0a:4d:00:02"), Ok([2, 0, 10, 77, 0, 2]));
        assert!(mac("01:00:00:00:00:00").is_err() && mac("02:00").is_err());
        assert!(cidr("10.0.0.1").is_err() && cidr("10.0.0.1/31").is_err());
    }

    #[test]
    fn addresses_that_were_not_given() {
        let options = Options::parse_from(["feige-sim", "--ip", "192.168.5.1/29"]);
        assert_eq!(options.host(), (Ipv4Addr::new(192, 168, 5, 2), 29));
        assert_eq!(options.mac(), [2, 0, 192, 168, 5, 1]);
    }
}
