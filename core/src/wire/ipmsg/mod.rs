//! The formats of IP Messenger and its relatives (飞鸽传书, FeiQ 飞秋, iptux …), UDP and TCP 2425.
//!
//! A [`Datagram`] is a [`Header`] of five fields and a body. What the body and the octets behind its first
//! NUL mean depends on the command; each meaning has a module here.

mod command;
mod datagram;

pub use command::{Command, Options};
pub use datagram::{Datagram, Header, PacketNo, PacketToken};

/// The port of the family, UDP and TCP.
pub const PORT: u16 = 2425;

/// The longest datagram that every relative receives whole (iptux reads 8,192 octets).
pub const MAX_DATAGRAM: usize = 8192;
