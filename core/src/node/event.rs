//! What a [`Node`](super::Node) tells the application, and what the application tells it.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

use super::identity::BothSets;
use super::members::Member;
use super::outbox::Delivery;
use crate::text::Text;
use crate::time::Instant;
use crate::wire::ipmsg::feiq::ImageFragment;
use crate::wire::ipmsg::{Header, Label, Options, PacketNo, PacketToken};
use crate::wire::{BufferTooSmall, ParseError};

/// One of our tables has no room; what was asked for was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full(pub Table);

/// What has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Table {
    /// Members: every place is taken by one with whom something was exchanged.
    Members,
    /// Messages that wait for a confirmation: try again when one was delivered or given up.
    Outbox,
    /// A single datagram: shorten the text. It can have at most [`crate::wire::ipmsg::MAX_DATAGRAM`] octets.
    Datagram,
    /// Answers: call [`super::Node::poll`] until it waits.
    Answers,
    /// Offered files: release or let expire some.
    Offers,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Table::Members => "the table of members is full",
            Table::Outbox => "too many messages wait for an answer",
            Table::Datagram => "the message is too long for a datagram",
            Table::Answers => "too many answers wait to be sent",
            Table::Offers => "too many files are offered",
        })
    }
}

impl core::error::Error for Full {}

/// A datagram was refused; nothing is owed to its sender beyond what was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// It is not of the family: count it.
    Malformed(ParseError),
    /// It is our own broadcast.
    Own,
    /// It was here before. It has been confirmed again.
    Duplicate,
    /// It confirms or answers something that nobody waits for.
    Unasked,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Own => f.write_str("it is our own"),
            Self::Duplicate => f.write_str("it was received before"),
            Self::Unasked => f.write_str("nobody asked for it"),
        }
    }
}

impl core::error::Error for Rejected {}

impl From<ParseError> for Rejected {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

/// Where a datagram is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// To the broadcast address of every interface, and whatever else the application counts as everybody.
    Broadcast,
    /// To one.
    Unicast(SocketAddrV4),
}

/// What to do next.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Handed out once, looked at, dropped: nobody stores it.
pub enum Output<'b> {
    /// Send these octets, from the socket that receives on the port of the family, then poll again.
    Transmit {
        /// To whom.
        to: Destination,
        /// The datagram, in the lent buffer.
        octets: &'b [u8],
    },
    /// Somebody did not answer. Poll again.
    Alarm(Alarm),
    /// Nothing to do before this instant, unless something arrives or is asked for; `None`: not at all.
    Wait(Option<Instant>),
    /// Nothing was lost: poll again with at least this much. [`crate::wire::ipmsg::MAX_DATAGRAM`] always suffices.
    BufferTooSmall(BufferTooSmall),
}

/// Somebody did not answer in time.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Alarm {
    /// The last copy was sent and nobody confirmed it.
    GaveUp {
        /// Who did not answer.
        to: SocketAddrV4,
        /// The number that [`super::Node::send`] or [`super::Node::read`] returned.
        packet_no: PacketNo,
        /// Whether it was a message or the receipt of one.
        what: Delivery,
    },
    /// A member did not answer several of our entries in a row; it has been forgotten.
    Expired(Member),
}

/// A message to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    /// The text, in the character set of the receiver; no NUL.
    pub text: &'a [u8],
    /// Whether the text and the attachments are in UTF-8. Only for members that read it ([`Member::utf8`]).
    pub utf8: bool,
    /// Whether the receiver has to open it; when it does, [`Event::Read`] tells.
    pub sealed: bool,
    /// The offered files, an encoded list ([`crate::wire::ipmsg::Attachment::write`]), or nothing.
    pub attachments: &'a [u8],
    /// The number of the same message to another recipient, which is to be used again (R-IP-51).
    pub packet_no: Option<PacketNo>,
    /// To how many it goes.
    pub recipients: Recipients,
    /// Whether a program wrote it: it is neither confirmed nor answered by a program.
    pub auto: bool,
}

/// To how many a message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Recipients {
    /// To one.
    #[default]
    One,
    /// To several, each of whom gets an own copy and confirms it.
    Several,
    /// To everybody by broadcast: nobody confirms it, the address that it is sent to is ignored.
    Everybody,
}

/// Why we are away, for [`super::Node::set_absence`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AbsenceNotice<'a> {
    /// One or two words that are appended to the nick in brackets.
    pub title: BothSets<'a>,
    /// The answer to messages and to those who ask; may be empty, then messages are not answered.
    pub text: BothSets<'a>,
}

/// What a datagram meant. Borrowed from the datagram; nothing is kept for later.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'d> {
    /// Somebody came.
    Online(Sighting<'d>),
    /// Somebody changed names, address or absence.
    Updated(Sighting<'d>),
    /// Somebody left.
    Offline {
        /// Where it was.
        at: SocketAddrV4,
        /// Its log-on name.
        user: Text<'d>,
        /// Its host's name.
        host: Text<'d>,
    },
    /// A message. What it asked to be confirmed is confirmed.
    Message(Incoming<'d>),
    /// A message of ours arrived.
    Delivered {
        /// Its number.
        packet_no: PacketNo,
        /// To whom it had been sent.
        to: SocketAddrV4,
        /// From where it was confirmed, normally the same.
        by: SocketAddrV4,
    },
    /// A sealed message of ours was opened (and so has arrived, if that was not known yet).
    Read {
        /// Its number.
        packet_no: PacketNo,
        /// Who opened it.
        by: SocketAddrV4,
    },
    /// A sealed message of ours was thrown away unopened.
    Discarded {
        /// Its number.
        packet_no: PacketNo,
        /// Who did.
        by: SocketAddrV4,
    },
    /// Somebody does not want the files that a message of ours offered: see [`super::Offers::release`].
    Released {
        /// The number of the message.
        packet_no: PacketNo,
        /// Who does not want them.
        by: SocketAddrV4,
    },
    /// What program somebody runs.
    Info {
        /// Who answers.
        from: SocketAddrV4,
        /// The name and version of the program.
        text: Text<'d>,
        /// Whether the text is in UTF-8.
        utf8: bool,
    },
    /// Why somebody is away, or that it is not.
    AbsenceInfo {
        /// Who answers.
        from: SocketAddrV4,
        /// The text.
        text: Text<'d>,
        /// Whether the text is in UTF-8.
        utf8: bool,
    },
    /// A part of a list of hosts arrived; those that have room are members now.
    Listed {
        /// Who sent it.
        from: SocketAddrV4,
        /// How many were new.
        added: usize,
        /// Whether the list is complete.
        complete: bool,
    },
    /// FeiQ: somebody shakes our window.
    Knock {
        /// Who does.
        from: SocketAddrV4,
    },
    /// FeiQ: somebody opened a window to talk to us.
    Opened {
        /// Who did.
        from: SocketAddrV4,
    },
    /// FeiQ: somebody types, or stopped.
    Typing {
        /// Who does.
        from: SocketAddrV4,
        /// Whether it types.
        typing: bool,
    },
    /// FeiQ: a part of a picture; it has been confirmed.
    Image {
        /// Who sent it.
        from: SocketAddrV4,
        /// The part.
        fragment: ImageFragment<'d>,
    },
}

/// Somebody was seen. Names are as long as they were sent; the member table keeps the front of them.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'d> {
    /// Where.
    pub at: SocketAddrV4,
    /// The log-on name.
    pub user: Label<'d>,
    /// The host's name.
    pub host: Label<'d>,
    /// The name to show.
    pub nick: Label<'d>,
    /// The group to show it under; may be empty.
    pub group: Label<'d>,
    /// The header of the datagram: version, options.
    pub header: Header<'d>,
    /// Whether its user is away.
    pub absent: bool,
    /// Where it was before, if it moved.
    pub moved_from: Option<SocketAddrV4>,
    /// The member that had to be forgotten for it.
    pub evicted: Option<SocketAddrV4>,
    /// Whether it is in the member table; it is not if that is full.
    pub kept: bool,
}

/// A message that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'d> {
    /// From where.
    pub from: SocketAddrV4,
    /// Version, number, user, host, options.
    pub header: Header<'d>,
    /// The text; in UTF-8 if [`Incoming::utf8`], else R-IP-100 applies. Undecipherable if [`Incoming::encrypted`].
    pub text: Text<'d>,
    /// The list of offered files, for [`crate::wire::ipmsg::Attachments::new`]; empty if there is none.
    pub attachments: &'d [u8],
    /// Whether the sender is a member.
    pub known: bool,
}

impl<'d> Incoming<'d> {
    /// The number, to be given to [`super::Node::read`], or in requests for the files.
    #[must_use]
    pub const fn token(&self) -> PacketToken<'d> {
        self.header.packet_no
    }

    /// Whether the sender says that text and names are UTF-8.
    #[must_use]
    pub const fn utf8(&self) -> bool {
        self.header.options.contains(Options::UTF8)
    }

    /// Whether it is to be opened by the user; then call [`super::Node::read`].
    #[must_use]
    pub const fn sealed(&self) -> bool {
        self.header.options.contains(Options::SECRET)
    }

    /// Whether the user is to give a password of the own program to open it.
    #[must_use]
    pub const fn locked(&self) -> bool {
        self.header.options.contains(Options::PASSWORD)
    }

    /// Whether the sender wants the opening confirmed until it answers.
    #[must_use]
    pub const fn read_check(&self) -> bool {
        self.header.options.contains(Options::READ_CHECK)
    }

    /// Whether a program wrote it.
    #[must_use]
    pub const fn auto(&self) -> bool {
        self.header.options.contains(Options::AUTO_RET)
    }

    /// Whether it went to everybody.
    #[must_use]
    pub const fn broadcast(&self) -> bool {
        self.header.options.contains(Options::BROADCAST)
    }

    /// Whether it was encrypted although we never said that we could: the text cannot be read. It was not confirmed,
    /// and the sender has been told again what we can (R-IP-48).
    #[must_use]
    pub const fn encrypted(&self) -> bool {
        self.header.options.contains(Options::ENCRYPT)
    }
}

/// To whom files are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// To one host; no other may fetch them.
    Host(Ipv4Addr),
    /// To whoever asks.
    Everybody,
}
