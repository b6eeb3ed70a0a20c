//! `feige peer`, `feige find` and `feige fetch`.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueHint};
use ipnet::Ipv4Net;

use super::{duration, endpoint};
use crate::peer::settings::{MOST_HOPS, Neighbour};

/// `feige peer`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige peer --share music --neighbour 192.168.1.7:2427   with a neighbour
  feige peer --share music                                waits to be named
  feige peer --config peer.toml                           settings from a file
  feige peer --config peers.ini --id 1                    from a classic file
  feige -v peer --share music                             shows each query

Everybody who reaches the port may list and fetch what is in the share. On a terminal there is a prompt: get NAME, \
find PATTERN, config, modify KEY VALUE, help, exit. From a pipe the same commands are read, and the peer stays.")]
pub struct Peer {
    /// Which peer of a classic configuration file this is.
    #[arg(long, env = "FEIGE_ID", value_name = "N")]
    pub id: Option<u32>,
    /// Where others find it [default: 0.0.0.0:2427].
    #[arg(long, env = "FEIGE_LISTEN", value_name = "ADDR:PORT", value_parser = endpoint::<SocketAddrV4>)]
    pub listen: Option<SocketAddrV4>,
    /// The folder that is shared, and where what is fetched goes; made if there is none [default: .].
    #[arg(long, env = "FEIGE_SHARE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub share: Option<PathBuf>,
    /// A peer that is known, with /native, /j or /c behind it if its dialect is known; repeatable.
    #[arg(long = "neighbour", env = "FEIGE_NEIGHBOUR", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub neighbours: Vec<Neighbour>,
    /// How many links its questions go [default: 5].
    #[arg(long, env = "FEIGE_TTL", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_HOPS)))]
    pub ttl: Option<u8>,
    /// A network whose classic programs get answers [default: those of this machine's interfaces]; repeatable.
    #[arg(long = "network", env = "FEIGE_NETWORK", value_name = "CIDR", value_delimiter = ',')]
    pub networks: Vec<Ipv4Net>,
    /// Connections at a time; at most half of them from one address [default: 64].
    #[arg(long, env = "FEIGE_MAX_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    pub max_connections: Option<u16>,
    /// Refuse to fetch what is larger, a folder as a whole [default: 64GiB].
    #[arg(long, env = "FEIGE_MAX_SIZE", value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
}

/// `feige find`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige find report --via 192.168.1.7:2427                  report in the name
  feige find md5:9e107d9d372bb6826bd81d3542a419d6 --via 192.168.1.7:2427
  feige --json find .iso --via 192.168.1.7:2427 --wait 5s   a line for each

Ends with exit code 3 if nobody has it. A classic program in the place of --via is asked for the whole name.")]
pub struct Find {
    /// A part of a name, or md5:HEX.
    pub pattern: String,
    /// The peer that is asked first, with /native, /j or /c behind it if its dialect is known.
    #[arg(long, env = "FEIGE_VIA", value_name = "ADDR:PORT")]
    pub via: Neighbour,
    /// How many links the question goes.
    #[arg(long, env = "FEIGE_TTL", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_HOPS)))]
    pub ttl: u8,
    /// How long to listen for hits [default: until everybody had time to answer].
    #[arg(long, env = "FEIGE_WAIT", value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// `feige fetch`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige fetch report.pdf --via 192.168.1.7:2427          into this folder
  feige fetch photos --via 192.168.1.7:2427 -o backup    under another name
  feige fetch md5:9e107d9d372bb6826bd81d3542a419d6 --via 192.168.1.7:2427

The nearest who has it is asked first, and if it cannot be had there, two others. It gets its name only when it is \
whole and has the MD5 that its holder said, and replaces nothing; a folder comes without what has a name that cannot be \
used, which is told. What broke off goes on where it was, when the command is given again.")]
pub struct Fetch {
    /// The whole name of a file or folder, or md5:HEX.
    pub name: String,
    /// The peer that is asked first, with /native, /j or /c behind it if its dialect is known.
    #[arg(long, env = "FEIGE_VIA", value_name = "ADDR:PORT")]
    pub via: Neighbour,
    /// How many links the question goes.
    #[arg(long, env = "FEIGE_TTL", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_HOPS)))]
    pub ttl: u8,
    /// A folder, or the new name.
    #[arg(short, long, env = "FEIGE_OUTPUT", value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
    pub output: PathBuf,
    /// Refuse what is larger, a folder as a whole.
    #[arg(long, env = "FEIGE_MAX_SIZE", value_name = "SIZE", default_value = "64GiB")]
    pub max_size: ByteSize,
}
