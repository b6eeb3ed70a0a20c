//! What happens at a peer, and how it is told.
//!
//! The fields of the events are a contract: they may be added to, never renamed.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4};

use feige_core::digest::Digest;
use feige_core::text::Printable;
use feige_core::wire::flood::Speech;
use feige_core::wire::transfer::EntryKind;
use indicatif::HumanBytes;
use serde::{Serialize, Serializer};

use super::overview::Overview;
use crate::remote::hex;
use crate::service::{Told, Weight};

/// What happens at a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Others may come. The first event of `feige peer`.
    Ready {
        /// Where.
        addr: SocketAddr,
    },
    /// There is a link to a neighbour.
    Linked {
        /// Where it is.
        peer: String,
        /// What it is.
        software: String,
    },
    /// A link is gone.
    Unlinked {
        /// Where its other end is.
        peer: String,
        /// Why.
        error: String,
    },
    /// Somebody looks for something, for the first time.
    Asked {
        /// The query.
        id: String,
        /// What is looked for.
        what: String,
        /// The neighbour that says so.
        from: String,
        /// How far it may still go.
        ttl: u8,
        /// How far it came.
        hops: u8,
    },
    /// A query was sent to a neighbour: our own, or one that is passed on.
    Sent {
        /// The query.
        id: String,
        /// What is looked for.
        what: String,
        /// The neighbour.
        to: String,
        /// How far it may go.
        ttl: u8,
    },
    /// It is here, and a neighbour was told so.
    Answered {
        /// The query.
        id: String,
        /// Where it is in the share.
        path: String,
    },
    /// A hit was passed on, or the asker of a classic program was told of it.
    Passed {
        /// The query.
        id: String,
        /// Where it is in the holder's share.
        path: String,
        /// Who has it.
        holder: SocketAddrV4,
        /// Who was told.
        to: String,
    },
    /// Somebody has what was looked for.
    Hit(Hit),
    /// A search asked as far as it may.
    Over {
        /// The query.
        id: String,
        /// Somebody has it.
        found: bool,
        /// Queries that this peer sent for it.
        sent: u64,
    },
    /// A classic program fetched something.
    Served {
        /// What.
        name: String,
        /// Who.
        to: SocketAddr,
        /// Octets of the archive.
        size: u64,
    },
    /// Something was fetched from a classic program.
    Fetched {
        /// What.
        name: String,
        /// From whom.
        holder: SocketAddrV4,
        /// Where it is here.
        path: String,
        /// Octets.
        size: u64,
        /// MD5 of a file.
        #[serde(serialize_with = "hex")]
        md5: Option<Digest>,
    },
    /// Nobody has what was looked for at the prompt.
    Missed {
        /// How far it was looked for.
        error: String,
    },
    /// What was to be fetched at the prompt is here already.
    Here {
        /// Where it is in the share.
        path: String,
    },
    /// A setting was changed at the prompt.
    Modified {
        /// Which.
        key: String,
        /// What it is now.
        value: String,
    },
    /// What was asked for at the prompt: the settings, and how it goes.
    Config(Box<Overview>),
    /// Something that came was dropped.
    Refused {
        /// From whom.
        from: String,
        /// Why.
        error: String,
    },
    /// Something in the share cannot be offered: others could not ask for it.
    Unshared {
        /// Where it is in the share.
        path: String,
        /// Why.
        error: String,
    },
    /// Neither can others, which are not told one by one.
    UnsharedMore {
        /// How many.
        count: usize,
    },
    /// Something is wrong on this side.
    Trouble {
        /// What.
        error: String,
    },
}

/// Somebody has what was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Hit {
    /// The query.
    pub(crate) id: String,
    /// Its last name.
    pub(crate) name: String,
    /// Where it is in the holder's share.
    pub(crate) path: String,
    /// `file` or `dir`.
    #[serde(serialize_with = "kind")]
    pub(crate) kind: EntryKind,
    /// Octets, if they are known.
    pub(crate) size: Option<u64>,
    /// MD5 of a file, if it is known.
    #[serde(serialize_with = "hex")]
    pub(crate) md5: Option<Digest>,
    /// Who has it.
    pub(crate) peer: SocketAddrV4,
    /// How many links away.
    pub(crate) hops: u8,
    /// The neighbour that says so.
    pub(crate) via: String,
    /// `native` or `classic`: how it is fetched.
    #[serde(serialize_with = "speech")]
    pub(crate) speech: Speech,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn kind<S: Serializer>(kind: &EntryKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match kind {
        EntryKind::File => "file",
        EntryKind::Folder => "dir",
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn speech<S: Serializer>(speech: &Speech, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match speech {
        Speech::Native => "native",
        Speech::Classic => "classic",
    })
}

impl Told for Event {
    fn weight(&self) -> Weight {
        match self {
            Self::Trouble { .. } => Weight::Trouble,
            Self::Refused { .. } | Self::Unshared { .. } | Self::UnsharedMore { .. } => Weight::Warning,
            Self::Ready { .. }
            | Self::Linked { .. }
            | Self::Unlinked { .. }
            | Self::Hit(_)
            | Self::Missed { .. }
            | Self::Here { .. }
            | Self::Modified { .. }
            | Self::Config(_)
            | Self::Served { .. }
            | Self::Fetched { .. } => Weight::Result,
            Self::Asked { .. }
            | Self::Sent { .. }
            | Self::Answered { .. }
            | Self::Passed { .. }
            | Self::Over { .. } => Weight::Detail,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| Printable::line(text).to_string();
        match self {
            Self::Ready { addr } => write!(f, "peer at {addr}"),
            Self::Linked { peer, software } => write!(f, "{peer}: linked ({})", line(software)),
            Self::Unlinked { peer, error } => write!(f, "{peer}: no link any more: {}", line(error)),
            Self::Asked { id, what, from, ttl, hops } => {
                let links = if *hops == 1 { "link" } else { "links" };
                write!(f, "{id}: {from} asks for {}, {hops} {links} behind, {ttl} to go", line(what))
            }
            Self::Sent { id, what, to, ttl } => write!(f, "{id}: asked {to} for {} ({ttl} to go)", line(what)),
            Self::Answered { id, path } => write!(f, "{id}: {} is here, and was said to be", line(path)),
            Self::Passed { id, path, holder, to } => write!(f, "{id}: told {to} that {holder} has {}", line(path)),
            Self::Hit(hit) => hit.fmt(f),
            Self::Over { id, found, sent } => {
                let found = if *found { "found" } else { "not found" };
                write!(f, "{id}: {found}; queries that left here: {sent}")
            }
            Self::Served { name, to, size } => write!(f, "{to}: fetched {} ({size} octets packed)", line(name)),
            Self::Fetched { name, holder, path, size, .. } => {
                write!(f, "{} from {holder}: {} ({size} octets)", line(name), line(path))
            }
            Self::Missed { error } => f.write_str(&line(error)),
            Self::Here { path } => write!(f, "{} is in the share already", line(path)),
            Self::Modified { key, value } => write!(f, "{} is {} now", line(key), line(value)),
            Self::Config(config) => config.fmt(f),
            Self::Refused { from, error } => write!(f, "{from}: {}", line(error)),
            Self::Unshared { path, error } => write!(f, "{} is not shared: {}", line(path), line(error)),
            Self::UnsharedMore { count } => write!(f, "{count} more are not shared, for like reasons"),
            Self::Trouble { error } => f.write_str(&line(error)),
        }
    }
}

/// A line of `feige find`.
impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.kind == EntryKind::Folder { "/" } else { "" };
        let size = self.size.map_or("?".to_owned(), |size| HumanBytes(size).to_string());
        let md5 = self.md5.map_or("-".to_owned(), |md5| md5.to_string());
        let path = Printable::line(&self.path);
        write!(f, "{size:>11}  {md5:<32}  {:<21}  {path}{slash}", self.peer.to_string())
    }
}
