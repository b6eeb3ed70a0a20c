//! What goes over a link.
//!
//! The order of variants and fields is the wire format: postcard numbers variants from 0 in this order, so new ones
//! only ever come at the end.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

use super::{MAX_TEXT, NameFilter};
use crate::digest::Digest;
use crate::text::FileName;
use crate::wire::octets;
use crate::wire::transfer::{EntryKind, Path};

/// What one neighbour says to the other. Nothing is answered by itself; what is lost is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Message<'a> {
    /// The first message, of both sides (R-FL-10).
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// A question that floods (R-FL-20).
    Query(Query<'a>),
    /// An answer, on its way back (R-FL-30).
    Hit(Hit<'a>),
    /// The names that this neighbour has itself (R-FL-40).
    Filter(NameFilter),
    /// "I am here": after a time in which there was nothing else to say (R-FL-12).
    Ping,
    /// The link is about to be closed, on purpose (R-FL-13).
    Bye,
}

impl Message<'_> {
    /// How many kinds there are.
    pub(super) const KINDS: u8 = 6;
}

/// Who speaks. Every octet of it stays below 0x80, because a classic program that gets it decodes it as text and may
/// not survive what it cannot decode (R-FL-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The highest version that it speaks; the lower of both is spoken.
    pub version: u8,
    /// Bits for later versions. Unknown ones are ignored.
    pub features: u8,
    /// Who it is, as long as it runs.
    pub token: Token,
    /// The program and its version, for people.
    pub software: &'a str,
}

/// Tells a peer from others, and from itself: random, new at each start, seven bits in each octet (R-FL-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(#[serde(with = "octets")] [u8; 8]);

impl Token {
    /// Makes one of a random number.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self(random.to_le_bytes().map(|octet| octet & 0x7f))
    }
}

/// Names a query, wherever it goes: random, never zero (R-FL-20).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryId(#[serde(with = "octets")] [u8; 8]);

impl QueryId {
    /// Makes one of a random number. Zero, which no query has, becomes another.
    #[must_use]
    pub const fn new(random: u64) -> Self {
        Self(if random == 0 { 1 } else { random }.to_le_bytes())
    }

    /// The number it was made of.
    #[must_use]
    pub const fn number(self) -> u64 {
        u64::from_le_bytes(self.0)
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.number())
    }
}

impl fmt::Debug for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query<'a> {
    /// Its name.
    pub id: QueryId,
    /// Over how many links it may go, this one included: a neighbour that gets 1 asks nobody else.
    pub ttl: u8,
    /// Over how many links it came before this one.
    pub hops: u8,
    /// What is looked for.
    #[serde(borrow)]
    pub what: What<'a>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum What<'a> {
    /// Files and folders of exactly this name, octet for octet, wherever in a share they are.
    Name(&'a str),
    /// Files and folders whose name has this in it, without regard to the case of ASCII letters.
    Part(&'a str),
    /// Files with this MD5.
    Md5(Digest),
}

impl What<'_> {
    /// Whether a query may ask it: names one could give a file, parts of such names, of at most [`MAX_TEXT`] octets
    /// (R-FL-20).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let is_short = |text: &str| !text.is_empty() && text.len() <= MAX_TEXT;
        match self {
            Self::Name(name) => is_short(name) && FileName::is_safe(name),
            Self::Part(part) => is_short(part) && !part.chars().any(|c| c.is_control() || c == '/' || c == '\\'),
            Self::Md5(_) => true,
        }
    }

    /// Whether a file or folder of this name and, if it is a file whose digest is known, this MD5 is what is looked
    /// for (R-FL-27).
    #[must_use]
    pub fn matches(&self, name: &str, md5: Option<Digest>) -> bool {
        match self {
            Self::Name(wanted) => name == *wanted,
            Self::Part(part) => {
                let (name, part) = (name.as_bytes(), part.as_bytes());
                part.is_empty() || name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
            }
            Self::Md5(wanted) => md5 == Some(*wanted),
        }
    }
}

/// As a person would write it.
impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Part(part) => write!(f, "*{part}*"),
            Self::Md5(digest) => write!(f, "md5:{digest}"),
        }
    }
}

/// An answer: somebody has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit<'a> {
    /// The query that it answers.
    pub id: QueryId,
    /// Over how many links it came before this one.
    pub hops: u8,
    /// Who has it.
    pub holder: Holder,
    /// What it is.
    pub kind: EntryKind,
    /// Where it is in the holder's share.
    pub path: &'a str,
    /// Its size in octets; of a folder, of all files in it. `None` if that is not known.
    pub size: Option<u64>,
    /// MD5 of the file, if it is known.
    pub md5: Option<Digest>,
}

impl Hit<'_> {
    /// Whether it may be passed on: a path of at most [`MAX_TEXT`] octets that names something (R-FL-33).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.path.len() <= MAX_TEXT && Path::parse(self.path).is_ok_and(|path| !path.is_root())
    }

    /// The last name of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        Path::parse(self.path).ok().and_then(Path::split).map_or(self.path, |(_, name)| name)
    }
}

/// Where something can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    #[serde(with = "octets")]
    ip: [u8; 4],
    port: u16,
    /// How it is fetched there.
    pub speech: Speech,
}

impl Holder {
    /// A holder at this address.
    #[must_use]
    pub const fn new(at: SocketAddrV4, speech: Speech) -> Self {
        Self { ip: at.ip().octets(), port: at.port(), speech }
    }

    /// The address. The IP address is unspecified if the holder does not know its own: the neighbour that hears it
    /// from the holder itself fills it in (R-FL-31).
    #[must_use]
    pub const fn at(&self) -> SocketAddrV4 {
        let [a, b, c, d] = self.ip;
        SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), self.port)
    }
}

/// How a file is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Speech {
    /// By the verified transfer, as a guest (R-FL-60).
    Native,
    /// By a classic program's `request` (R-FL-80).
    Classic,
}
