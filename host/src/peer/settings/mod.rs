//! How a peer is set up: in TOML, or in one of the two INI forms of the classic programs.
//!
//! | form | of | neighbours |
//! |---|---|---|
//! | TOML | one peer | `ADDR:PORT`, with `/native`, `/j` or `/c` behind if the dialect is known |
//! | "J" | all peers | the peers of the `peer_list`, at their `server_port`, in the dialect J |
//! | "C" | one peer | those of `[Netpeers]`, in the dialect C |
//!
//! A "J" file has sections `[Peer-N]` with `ip_addr`, `server_port`, `client_port`, `share_dir` and `peer_list`; a "C"
//! file has one `[Peer-N]` with `ID`, `ip_addr`, `port_number`, `share_dir` and `ttl`, and `[Netpeers]` with `peer_ID`,
//! `peer_addr` and `peer_ports`.
//!
//! Which of them a file is, its contents tell: the classic forms have a section `[Peer-N]`. The keys of a peer
//! in TOML are the [`KEYS`] and `id`; they stand in a table `[peer]`, as in the configuration of the whole program, or at
//! the top if there is no such table. What else a configuration has is left alone; what nobody knows is an error.
//!
//! **Guarantees**: what is changed is checked first, by reading the whole changed text as a new file. A file is
//! replaced in one step, when its successor is on the disk. Every line that is not of the changed key stays as it
//! is, comments, order and ends of lines included; the section of another peer is never touched.
//! An error says which file, which line or key, what is wrong, and what to write instead.
//!
//! The lines of INI files are edited by code of our own: the crates for the format write a file anew, without the
//! comments of its owner.
//!
//! **Memory**: the file, at most [`MOST_OCTETS`]. **Time**: linear in it.

mod classic;
mod ini;
mod neighbour;
#[cfg(test)]
mod tests;
mod toml;

pub use neighbour::{Dialect, Neighbour, NotANeighbour};

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use ipnet::Ipv4Net;

/// How large a file may be.
pub const MOST_OCTETS: u64 = 1 << 20;

/// The port on which a peer listens by default.
pub const PORT: u16 = feige_core::wire::flood::PORT;

/// The largest TTL that is kept: floods are clamped to this many hops.
pub const MOST_HOPS: u8 = 7;

/// How many neighbours a peer may have.
pub const MOST_NEIGHBOURS: usize = 24;

/// The keys that can be changed.
pub const KEYS: [&str; 7] = ["listen", "share", "ttl", "neighbour", "network", "max-connections", "max-size"];

/// How a peer is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddrV4,
    /// The folder that it shares.
    pub share: PathBuf,
    /// How far its own questions go, in hops.
    pub ttl: u8,
    /// Whom it knows.
    pub neighbours: Vec<Neighbour>,
    /// To which networks classic answers may go.
    pub networks: Vec<Ipv4Net>,
    /// Its number in a classic file.
    pub id: Option<u32>,
    /// How many connections it serves at a time.
    pub max_connections: u16,
    /// How many octets one `get` may bring into the share.
    pub max_size: ByteSize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT),
            share: PathBuf::from("."),
            ttl: 5,
            neighbours: Vec::new(),
            networks: Vec::new(),
            id: None,
            max_connections: 64,
            max_size: ByteSize::gib(64),
        }
    }
}

impl Settings {
    /// Whether classic programs at this address get answers: they are in one of the networks, or, if none is set, in one
    /// to which this machine is connected.
    #[must_use]
    pub fn allows(&self, ip: Ipv4Addr) -> bool {
        if !self.networks.is_empty() {
            return self.networks.iter().any(|network| network.contains(&ip));
        }
        // Without a list of interfaces nobody is known to be near.
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        interfaces.iter().any(|interface| match &interface.addr {
            if_addrs::IfAddr::V4(own) => {
                Ipv4Net::with_netmask(own.ip, own.netmask).is_ok_and(|network| network.contains(&ip))
            }
            if_addrs::IfAddr::V6(_) => false,
        })
    }

    /// Takes over those settings of `new` that differ from `old`, and the one that `key` names.
    pub(super) fn take_over(&mut self, key: &str, old: &Self, new: &Self) {
        if key == "listen" || old.listen != new.listen {
            self.listen = new.listen;
        }
        if key == "share" || old.share != new.share {
            self.share.clone_from(&new.share);
        }
        if key == "ttl" || old.ttl != new.ttl {
            self.ttl = new.ttl;
        }
        if key == "neighbour" || old.neighbours != new.neighbours {
            self.neighbours.clone_from(&new.neighbours);
        }
        if key == "network" || old.networks != new.networks {
            self.networks.clone_from(&new.networks);
        }
        if key == "max-connections" || old.max_connections != new.max_connections {
            self.max_connections = new.max_connections;
        }
        if key == "max-size" || old.max_size != new.max_size {
            self.max_size = new.max_size;
        }
    }
}

/// Which form a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// TOML.
    Toml,
    /// The INI form with all peers in one file.
    J,
    /// The INI form with a file for each peer.
    C,
}

/// What is wrong with a file, or with a change.
#[derive(Debug)]
pub struct SettingsError {
    /// Which file.
    pub file: PathBuf,
    /// Which line, counted from 1, if it is one.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

impl std::error::Error for SettingsError {}

/// What is wrong, and in which line, before a file is named.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    line: Option<usize>,
    what: String,
}

impl Wrong {
    fn new(what: impl Into<String>) -> Self {
        Self { line: None, what: what.into() }
    }

    fn at(line: usize, what: impl Into<String>) -> Self {
        Self { line: Some(line), what: what.into() }
    }
}

/// A file with the settings of a peer.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    path: PathBuf,
    text: String,
    form: Form,
    id: Option<u32>,
    settings: Settings,
}

impl SettingsFile {
    /// Reads the file at `path`. `id` says which peer of a classic file is meant; it may be left out if there is only
    /// one.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn read(path: &Path, id: Option<u32>) -> Result<Self, SettingsError> {
        let failed = |error| about(path, Wrong::new(format!("cannot be read: {error}")));
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut octets = Vec::new();
        file.take(MOST_OCTETS + 1).read_to_end(&mut octets).map_err(failed)?;
        if octets.len() as u64 > MOST_OCTETS {
            return Err(about(path, Wrong::new("is larger than 1 MiB, and so no settings file; name another")));
        }
        let text = String::from_utf8(octets)
            .map_err(|_| about(path, Wrong::new("is not UTF-8; save it in that character set")))?;
        Self::parse(path, text, id)
    }

    /// Reads the settings in `text`, which is to be saved at `path`.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn parse(path: &Path, text: String, id: Option<u32>) -> Result<Self, SettingsError> {
        let (form, settings) = understand(&text, id).map_err(|wrong| about(path, wrong))?;
        Ok(Self { path: path.to_owned(), id: settings.id.or(id), text, form, settings })
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which form it has.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Its text, with all changes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives one of the [`KEYS`] another value, and returns the settings with it. In a classic file, the classic names
    /// of the keys (`server_port`, `peer_list` …) can be given as well. Nothing is written before [`Self::save`].
    ///
    /// Lists are written with blanks or commas between their items. In a "J" file, each `neighbour` must be a peer of
    /// the file.
    ///
    /// # Errors
    /// See [`SettingsError`]; then nothing is changed.
    pub fn modify(&mut self, key: &str, value: &str) -> Result<&Settings, SettingsError> {
        let path = self.path.clone();
        let change = || {
            if value.chars().any(char::is_control) {
                return Err(Wrong::new(format!("{key}: a value has one line and no control characters")));
            }
            let text = match self.form {
                Form::Toml => toml::modified(&self.text, key, value)?,
                Form::J | Form::C => classic::modified(&self.text, self.form, self.settings.id, key, value)?,
            };
            let (form, settings) = understand(&text, self.id)?;
            if form != self.form {
                return Err(Wrong::new(format!("{key}: the file would not be of its form any more")));
            }
            Ok((text, settings))
        };
        let (text, settings) = change().map_err(|wrong| about(&path, wrong))?;
        self.text = text;
        self.settings = settings;
        Ok(&self.settings)
    }

    /// Writes the file: aside, to the disk, then in the place of the old one, whose access rights it keeps. A link
    /// stays one: what it points to is replaced.
    ///
    /// # Errors
    /// [`SettingsError`] with what the system says; the old file is there as it was then.
    pub fn save(&self) -> Result<(), SettingsError> {
        self.write().map_err(|error| {
            about(&self.path, Wrong::new(format!("cannot be written: {error}; the file is as it was")))
        })
    }

    fn write(&self) -> io::Result<()> {
        let path = match self.path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.path.clone(),
            other => other?,
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut aside = tempfile::Builder::new().prefix(".feige-").suffix(".part").tempfile_in(folder)?;
        aside.write_all(self.text.as_bytes())?;
        if let Ok(old) = std::fs::metadata(&path) {
            aside.as_file().set_permissions(old.permissions())?;
        }
        aside.as_file().sync_all()?;
        aside.persist(&path).map_err(|error| error.error)?;
        // The file is on the disk already; that its name is too is no reason to fail.
        let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

fn about(path: &Path, wrong: Wrong) -> SettingsError {
    SettingsError { file: path.to_owned(), line: wrong.line, what: wrong.what }
}

fn understand(text: &str, id: Option<u32>) -> Result<(Form, Settings), Wrong> {
    let (form, settings) = match classic::form(text) {
        Some(form) => (form, classic::settings(text, form, id)?),
        None => (Form::Toml, toml::settings(text)?),
    };
    if settings.neighbours.len() > MOST_NEIGHBOURS {
        return Err(Wrong::new(format!("more than {MOST_NEIGHBOURS} neighbours; name the nearest ones only")));
    }
    Ok((form, settings))
}

/// The items of a list as a person writes it.
fn items(value: &str) -> impl Iterator<Item = &str> {
    let is_between = |c: char| c == ',' || c.is_whitespace() || matches!(c, '[' | ']' | '"' | '\'');
    value.split(is_between).filter(|item| !item.is_empty())
}
