//! What happens, as it is shown: one type for the plain lines, the JSON lines and the control socket.
//!
//! The names here are the contract of `--json`: fields may be added, never renamed.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Somebody on the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The log-on name.
    pub user: String,
    /// The host name.
    pub hostname: String,
    /// The name shown in lists.
    pub nick: String,
    /// The group shown in lists.
    pub group: String,
    /// Where from.
    pub addr: SocketAddrV4,
    /// The version field, from which the program can be told.
    pub version: String,
    /// Whether the user is away.
    #[serde(default)]
    pub away: bool,
}

/// One offered file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedFile {
    /// Our number for it, by which it can be fetched.
    pub index: u32,
    /// The sender's number for it.
    pub id: u32,
    /// The name.
    pub name: String,
    /// The size in octets; 0 for folders, nothing if the sender does not know it.
    pub size: Option<u64>,
    /// The time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// File or folder.
    pub kind: Kind,
}

/// File or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder with all that is in it.
    Dir,
}

/// A transfer under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transfer {
    /// We download what was offered under this number.
    Download {
        /// Our number of the offer.
        index: u32,
    },
    /// Somebody downloads from us.
    Upload {
        /// Our number of the message that offered it.
        packet: u32,
        /// Our number of it in that message.
        id: u32,
        /// Who.
        to: SocketAddrV4,
    },
}

impl Transfer {
    /// Whether we receive.
    #[must_use]
    pub const fn is_download(self) -> bool {
        matches!(self, Self::Download { .. })
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// We are online.
    Ready {
        /// The address that we use.
        addr: Ipv4Addr,
        /// The UDP and TCP port.
        port: u16,
    },
    /// Somebody is there.
    Online(Peer),
    /// Somebody left, or is not heard any more.
    Offline(Peer),
    /// Somebody's name, group or absence changed.
    Absence(Peer),
    /// A message.
    Message {
        /// Who wrote it.
        from: Peer,
        /// The sender's number for it.
        packet: u64,
        /// What it says; nothing as long as it is sealed and unopened.
        text: String,
        /// Whether it came sealed.
        sealed: bool,
        /// Our number for it, by which it can be opened, if it is sealed and not opened yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        open: Option<u32>,
        /// Whether a program wrote it by itself, for somebody who is away.
        #[serde(default)]
        auto: bool,
    },
    /// Files are offered.
    Offer {
        /// Who offers them.
        from: Peer,
        /// The sender's number of the message that offers them.
        packet: u64,
        /// The files.
        files: Vec<OfferedFile>,
    },
    /// A download is complete.
    Downloaded {
        /// The name as it was offered.
        name: String,
        /// Where it is now.
        path: PathBuf,
        /// Octets.
        size: u64,
        /// The MD5 in hexadecimal; `null` for folders and for files so large that it would take noticeable time.
        #[serde(default)]
        md5: Option<String>,
        /// Our number of the offer.
        #[serde(default)]
        index: u32,
    },
    /// Somebody downloaded what we offered.
    Served {
        /// The name.
        name: String,
        /// Who.
        to: SocketAddrV4,
        /// Octets.
        size: u64,
        /// Our number of the message that offered it.
        #[serde(default)]
        packet: u64,
        /// Our number of it in that message.
        #[serde(default)]
        id: u32,
    },
    /// Something that was asked for did not work.
    Failed {
        /// What: a name, or `message` …
        what: String,
        /// Why.
        error: String,
        /// Our number of the offer, if it was a download.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<u32>,
        /// Our number of the message, if it was one of ours or a file that it offered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        packet: Option<u64>,
        /// To whom, if it was such a message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<SocketAddrV4>,
    },
    /// A message of ours arrived.
    Delivered {
        /// Our number for it.
        packet: u64,
        /// Where.
        to: SocketAddrV4,
        /// How many characters of it became `?`, because the recipient reads a character set that lacks them.
        #[serde(default, skip_serializing_if = "is_zero")]
        lost: usize,
    },
    /// A sealed message of ours was opened.
    Opened {
        /// Our number for it.
        packet: u64,
        /// By whom.
        by: SocketAddrV4,
    },
    /// A sealed message of ours was thrown away unopened.
    Discarded {
        /// Our number for it.
        packet: u64,
        /// By whom.
        by: SocketAddrV4,
    },
    /// Somebody does not want what we offered.
    Released {
        /// Our number of the message that offered it.
        packet: u64,
        /// Who.
        by: SocketAddrV4,
    },
    /// Somebody shakes our window (FeiQ).
    Knock(Peer),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}
