//! Talking to a running `feige listen` on the same machine.
//!
//! Only one program can have a port, and most programs of the family answer to port 2425, connect to TCP 2425
//! and tell members apart by user and host, whatever port they hear from. A second instance on another port is
//! therefore half deaf, and its leaving takes the first one off everybody's list. So `send`, `members`, `offers`,
//! `get-offer`, `away` and `back` ask the instance that has the port, over a socket that only this account
//! can open: one request, a line of JSON; then events, as `--json` prints them, and a last line with the
//! exit code.

mod client;
mod server;

pub use client::Running;
pub use server::{Client, Server};

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// What an instance is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Send a message, files or folders.
    Send(Send),
    /// Announce, wait, list who is there.
    Members {
        /// How long to collect answers.
        wait: Duration,
    },
    /// List what was offered.
    Offers,
    /// Download what was offered.
    GetOffer {
        /// Numbers of files; none means all.
        which: Vec<u32>,
    },
    /// Be away.
    Away {
        /// What others read.
        text: String,
    },
    /// Be back.
    Back,
}

/// What to send to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// An address, an address and port, a member's name, or `all`.
    pub to: String,
    /// The text; may be empty.
    pub text: String,
    /// Files and folders, with absolute paths.
    pub files: Vec<PathBuf>,
    /// Whether the message is sealed.
    pub sealed: bool,
    /// When to give up.
    pub wait: Option<Duration>,
}

/// The last line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The exit code.
    pub exit: u8,
    /// What to tell the user, if anything.
    pub message: Option<String>,
}

/// A line of an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Something happened.
    Event(crate::ui::event::Event),
    /// It is over.
    End(End),
}

impl End {
    /// The exit code, if it is one of ours.
    #[must_use]
    pub fn code(&self) -> Exit {
        Exit::of_code(self.exit).unwrap_or(Exit::Failed)
    }
}

/// Where the instance that uses `bind` and `port` listens.
///
/// Networks of their own (containers) can share a file system, so the name has theirs in it where the
/// system tells it.
fn path(bind: Ipv4Addr, port: u16) -> Option<PathBuf> {
    use etcetera::BaseStrategy;

    let folder = match etcetera::choose_base_strategy().ok().and_then(|folders| folders.runtime_dir()) {
        Some(folder) => folder.join("feige"),
        None => crate::config::state_dir()?.join("run"),
    };
    let network = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
    let network: String = network.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let dash = if network.is_empty() { "" } else { "-" };
    let path = folder.join(format!("{bind}-{port}{dash}{network}.sock"));
    Some(if path.as_os_str().len() <= LONGEST_PATH { path } else { short(&path) })
}

/// The longest path of a socket on every system.
const LONGEST_PATH: usize = 103;

/// Stands for a path that is too long for a socket: another one for each, in a folder of this account.
fn short(path: &std::path::Path) -> PathBuf {
    let digest = feige_core::digest::Digest::of(path.as_os_str().as_encoded_bytes());
    let user = rustix::process::getuid().as_raw();
    PathBuf::from(format!("/tmp/feige-{user}")).join(format!("{digest}.sock"))
}

/// Whether only this account can make sockets in a folder.
fn is_ours(folder: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::getuid().as_raw();
    folder.symlink_metadata().is_ok_and(|facts| facts.is_dir() && facts.uid() == user && facts.mode() & 0o022 == 0)
}
