//! A neighbour, and the language that it speaks.

use std::fmt;
use std::net::SocketAddrV4;
use std::str::FromStr;

/// What a neighbour speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Feige's own, on one connection that lasts.
    Native,
    /// The classic one with the port before the address.
    J,
    /// The classic one with the address before the port.
    C,
}

impl Dialect {
    /// The word for it behind an address.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::J => "j",
            Self::C => "c",
        }
    }
}

/// A peer that is known from the beginning, as `ADDR:PORT` or `ADDR:PORT/DIALECT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// Where it listens.
    pub at: SocketAddrV4,
    /// What it speaks; `None`: to be found out.
    pub dialect: Option<Dialect>,
}

/// The text is no neighbour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no neighbour: write ADDR:PORT, or with its dialect ADDR:PORT/native, /j or /c")]
pub struct NotANeighbour(pub String);

impl FromStr for Neighbour {
    type Err = NotANeighbour;

    fn from_str(text: &str) -> Result<Self, NotANeighbour> {
        let wrong = || NotANeighbour(text.to_owned());
        let (at, dialect) = text.split_once('/').map_or((text, None), |(at, dialect)| (at, Some(dialect)));
        let dialect = match dialect.map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("native") => Some(Dialect::Native),
            Some("j") => Some(Dialect::J),
            Some("c") => Some(Dialect::C),
            Some(_) => return Err(wrong()),
        };
        let at: SocketAddrV4 = at.parse().map_err(|_| wrong())?;
        let (ip, port) = (at.ip(), at.port());
        if port == 0 || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() {
            return Err(wrong());
        }
        Ok(Self { at, dialect })
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)?;
        self.dialect.map_or(Ok(()), |dialect| write!(f, "/{}", dialect.name()))
    }
}
