//! What `config` shows: the settings of a peer, and how it goes.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};

use bytesize::ByteSize;
use feige_core::text::Printable;
use serde::Serialize;

/// The settings of a peer, its links, and what went over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Overview {
    /// Where it was asked to listen.
    pub(super) listen: SocketAddrV4,
    /// Where it does.
    pub(super) addr: SocketAddr,
    /// Its number in a classic file.
    pub(super) id: Option<u32>,
    /// The folder.
    pub(super) share: String,
    /// Files and folders in it.
    pub(super) entries: usize,
    /// How far its questions go.
    pub(super) ttl: u8,
    /// The most clients at a time.
    pub(super) max_connections: u16,
    /// Octets that one `get` may bring.
    pub(super) max_size: u64,
    /// Who is dialled.
    pub(super) neighbours: Vec<String>,
    /// Where answers to classic programs may go.
    pub(super) networks: Vec<String>,
    /// Where settings are kept.
    pub(super) file: Option<String>,
    /// Who is linked.
    pub(super) links: Vec<Link>,
    /// What went over the links.
    pub(super) traffic: Option<Traffic>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    /// Where its other end is.
    pub(super) peer: String,
    /// Both ends have said hello.
    pub(super) up: bool,
}

/// What went over all links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    /// Queries heard.
    pub(super) queries: u64,
    /// Of these, known already.
    pub(super) duplicates: u64,
    /// Of these, not taken.
    pub(super) refused: u64,
    /// Queries sent.
    pub(super) sent: u64,
    /// Queries that a filter of a neighbour saved.
    pub(super) filtered: u64,
    /// Queries remembered.
    pub(super) remembered: usize,
    /// Hits passed on.
    pub(super) hits: u64,
    /// Hits dropped.
    pub(super) hits_dropped: u64,
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listen           {}, at {}", self.listen, self.addr)?;
        let mut line = |name: &str, value: &dyn fmt::Display| write!(f, "\n{name:<17}{value}");
        if let Some(id) = &self.id {
            line("id", id)?;
        }
        line("share", &format_args!("{} ({} entries)", Printable::line(&self.share), self.entries))?;
        line("ttl", &self.ttl)?;
        line("max-connections", &self.max_connections)?;
        line("max-size", &ByteSize::b(self.max_size))?;
        for neighbour in &self.neighbours {
            line("neighbour", neighbour)?;
        }
        if self.neighbours.is_empty() {
            line("neighbour", &"none")?;
        }
        for network in &self.networks {
            line("network", network)?;
        }
        if self.networks.is_empty() {
            line("network", &"none: those of this machine's interfaces")?;
        }
        if let Some(file) = &self.file {
            line("file", &Printable::line(file))?;
        }
        for Link { peer, up } in &self.links {
            line("link", &format_args!("{peer}{}", if *up { "" } else { ", not up" }))?;
        }
        if let Some(t) = &self.traffic {
            line(
                "queries",
                &format_args!(
                    "{} heard, {} known already, {} refused, {} sent, {} saved by filters, {} remembered",
                    t.queries, t.duplicates, t.refused, t.sent, t.filtered, t.remembered
                ),
            )?;
            line("hits", &format_args!("{} passed on, {} dropped", t.hits, t.hits_dropped))?;
        }
        Ok(())
    }
}
