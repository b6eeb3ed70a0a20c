//! The formats of IP Messenger and its relatives (飞鸽传书, FeiQ 飞秋, iptux …), UDP and TCP 2425.
//!
//! A [`Datagram`] is a [`Header`] of five fields and a body. What the body and the octets behind its first
//! NUL mean depends on the command; each meaning has a module here:
//!
//! | octets | view |
//! |---|---|
//! | BR_ENTRY, ANSENTRY, BR_ABSENCE, BR_EXIT | [`Entry`], made with [`EntryBody`] |
//! | the version of any header | [`Client`] |
//! | SENDMSG with files | [`Attachments`] of [`Attachment`]s |
//! | ANSLIST | [`host_list::HostList`] |
//! | GETPUBKEY, ANSPUBKEY, encrypted bodies | [`key`] |
//! | texts and pictures of FeiQ | [`feiq`] |
//! | TCP: GETFILEDATA, GETDIRFILES | [`FileRequest`] |
//! | TCP: the answer to GETDIRFILES | [`FolderHeader`] |

mod attachment;
mod attribute;
mod bits;
mod command;
mod datagram;
mod entry;
pub mod feiq;
mod folder;
pub mod host_list;
pub mod key;
mod name;
mod request;
#[cfg(test)]
mod vectors;
mod version;

pub use attachment::{Attachment, Attachments};
pub use attribute::{Attribute, ExtendedAttribute, ExtendedAttributes, FileKind};
pub use command::{Command, Options};
pub use datagram::{Datagram, Header, PacketNo, PacketToken};
pub use entry::{Entry, EntryBody, IptuxExtras, Label, Place, Utf8Block, Utf8Names, sendable};
pub use folder::{FEIQ_PREAMBLE, FolderHeader, FolderScan, MAX_FOLDER_HEADER, MAX_PREAMBLE};
pub use name::{EscapedName, Unescaped};
pub use request::{FileRequest, MAX_REQUEST, REQUEST_SILENCE, RequestKind, RequestScan, RequestedId};
pub use version::{Client, FeiqVersion, Platform, VersionInfo};

/// The port of the family, UDP and TCP.
pub const PORT: u16 = 2425;

/// The longest datagram that every relative receives whole (R-IP-9: iptux reads 8,192 octets).
pub const MAX_DATAGRAM: usize = 8192;
