//! `feige serve`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueHint};
use feige_core::wire::transfer::PORT;

use super::endpoint;
use crate::service::Guests;

/// `feige serve`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige serve share --guest read                         anybody may fetch
  feige user add alice --users users.toml --quota 10GiB
  feige serve homes --users users.toml                   each user has a home
  feige serve homes --users users.toml --guest write --listen 192.168.1.5:2426

With --users, each user has a home of that name below DIR, and guests have DIR/guest; without, guests have DIR. \
Changes of the users file count at once, but for quotas of those who are signed in. Clients are `feige get`, \
`put`, `ls` and the others. Ctrl-C ends it; unfinished uploads go on where they broke off the next time.")]
pub struct Serve {
    /// The folder to serve.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Where clients come.
    #[arg(long, env = "FEIGE_LISTEN", value_name = "ADDR:PORT", value_parser = endpoint::<SocketAddr>, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)))]
    pub listen: SocketAddr,
    /// The file of the accounts, see `feige user`.
    #[arg(long, env = "FEIGE_USERS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub users: Option<PathBuf>,
    /// What somebody without an account may do.
    #[arg(long, env = "FEIGE_GUEST", value_name = "RIGHT", default_value = "none")]
    pub guest: Guests,
    /// Connections at a time; at most half of them from one address.
    #[arg(long, env = "FEIGE_MAX_CONNECTIONS", value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,
}
