//! What an agent tells the program around it.

use core::net::SocketAddrV4;

use feige_core::digest::Digest;
use feige_core::wire::ipmsg::PacketNo;

/// Something happened. Nothing has to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Somebody came, or changed names.
    Online {
        /// Where.
        at: SocketAddrV4,
        /// The name to show, in the peer's character set.
        nick: &'a [u8],
    },
    /// Somebody left or fell silent.
    Offline {
        /// Where it was.
        at: SocketAddrV4,
    },
    /// Somebody wrote; if it was a command, it has been obeyed.
    Message {
        /// Who.
        from: SocketAddrV4,
        /// What, in the peer's character set.
        text: &'a [u8],
        /// Whether that is UTF-8.
        utf8: bool,
    },
    /// A message of ours arrived.
    Delivered {
        /// Where.
        to: SocketAddrV4,
        /// Its number.
        packet_no: PacketNo,
    },
    /// A message of ours was not confirmed by anybody.
    GaveUp {
        /// Who did not.
        to: SocketAddrV4,
        /// Its number.
        packet_no: PacketNo,
    },
    /// A file that was offered to us is in the store, whole.
    Stored {
        /// Who offered it.
        from: SocketAddrV4,
        /// Its name in the store.
        name: &'a [u8],
        /// Its size in octets.
        size: u64,
        /// Its MD5.
        digest: Digest,
    },
    /// A file that was offered to us is not in the store.
    NotStored {
        /// Who offered it.
        from: SocketAddrV4,
        /// Its name.
        name: &'a [u8],
        /// Why not.
        why: &'static str,
    },
    /// Somebody fetched a file whole.
    Served {
        /// Who.
        to: SocketAddrV4,
        /// Its size in octets.
        size: u64,
    },
    /// Somebody asked for a file and did not get it, or not all of it.
    NotServed {
        /// Who.
        to: SocketAddrV4,
    },
}
