//! The body of BR_ENTRY, ANSENTRY, BR_ABSENCE and BR_EXIT (R-IP-20 and following): a nickname, a group, and
//! more, differently with each relative.
//!
//! **Memory**: views of the received datagram. **Time**: linear. **Protocol**: R-IP-20 to 39.

use crate::text::Text;
use crate::wire::{BufferTooSmall, Writer, decimal};

use super::{Client, Datagram, Header, Options};

/// An entry datagram: who somebody is. Every datagram can be looked at as one; whether it is one, its
/// command says ([`super::Command::is_entry`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    header: Header<'a>,
    /// The nickname as it stands in the body.
    pub nick: Text<'a>,
    /// The group as it stands behind the first NUL; empty if there is none.
    pub group: Text<'a>,
    /// The same once more in UTF-8, from the official programs.
    pub block: Option<Utf8Block<'a>>,
    /// What iptux adds.
    pub iptux: Option<IptuxExtras<'a>>,
    /// 内网通's id of the user, 32 hexadecimal digits.
    pub shiyeline_id: Option<Text<'a>>,
}

/// A name and how far its character set is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label<'a> {
    /// The octets.
    pub text: Text<'a>,
    /// Whether the sender says that they are UTF-8. They need not be valid. Otherwise R-IP-100 applies.
    pub utf8: bool,
}

impl<'a> Entry<'a> {
    /// Looks at a datagram as an entry.
    #[must_use]
    pub fn of(datagram: &Datagram<'a>) -> Self {
        let mut strings = datagram.tail.unwrap_or_default().split(|&octet| octet == 0);
        let [first, second, third] = [strings.next(), strings.next(), strings.next()].map(Option::unwrap_or_default);
        let has_second = !second.is_empty();
        // R-IP-24: a group does not begin with a line feed. What does is a block, or ipmsg-rs's host name.
        let (group, block) = if first.starts_with(b"\n") && !has_second {
            (&[][..], Some(first))
        } else if first.starts_with(b"\n") {
            (&[][..], second.starts_with(b"\n").then_some(second))
        } else {
            (first, second.starts_with(b"\n").then_some(second))
        };
        // R-IP-23: only a sender that claims to know UTF-8 has written a block.
        let block = block.filter(|_| datagram.header.options.contains(Options::CAP_UTF8)).map(Utf8Block::new);
        let mut entry = Self {
            header: datagram.header,
            nick: Text::new(datagram.body),
            group: Text::new(group),
            block,
            iptux: None,
            shiyeline_id: None,
        };
        if has_second && !second.starts_with(b"\n") {
            let second = Text::new(second);
            match datagram.header.client() {
                Client::Shiyeline => entry.shiyeline_id = Some(second),
                _ => entry.iptux = Some(IptuxExtras { icon: second, encoding: Text::new(third) }),
            }
        }
        entry
    }

    /// The user's log-on name, in UTF-8 if the sender gave it so.
    #[must_use]
    pub fn user(&self) -> Label<'a> {
        self.preferred(|block| block.user, self.header.user)
    }

    /// The host's name, in UTF-8 if the sender gave it so.
    #[must_use]
    pub fn host(&self) -> Label<'a> {
        self.preferred(|block| block.host, self.header.host)
    }

    /// The nickname, in UTF-8 if the sender gave it so.
    #[must_use]
    pub fn nick(&self) -> Label<'a> {
        self.preferred(|block| block.nick, self.nick)
    }

    /// The group, in UTF-8 if the sender gave it so.
    #[must_use]
    pub fn group(&self) -> Label<'a> {
        // A block that names the user but not a group says that there is none (R-IP-22).
        match self.block {
            Some(Utf8Block { group: None, nick: Some(_), .. }) => Label { text: Text::default(), utf8: true },
            _ => self.preferred(|block| block.group, self.group),
        }
    }

    fn preferred(&self, of_block: fn(&Utf8Block<'a>) -> Option<Text<'a>>, legacy: Text<'a>) -> Label<'a> {
        match self.block.as_ref().and_then(of_block).filter(|text| !text.is_empty()) {
            Some(text) => Label { text, utf8: true },
            None => Label { text: legacy, utf8: self.header.options.contains(Options::UTF8) },
        }
    }
}

/// The lines in UTF-8 behind the group of an entry (R-IP-22), each `KEY:value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8Block<'a> {
    /// `UN:` the user's log-on name.
    pub user: Option<Text<'a>>,
    /// `HN:` the host's name.
    pub host: Option<Text<'a>>,
    /// `NN:` the nickname.
    pub nick: Option<Text<'a>>,
    /// `GN:` the group.
    pub group: Option<Text<'a>>,
    /// `VS:` the version of an official program, to be read by [`super::VersionInfo::parse`].
    pub version: Option<Text<'a>>,
    /// `PL:` every how many seconds the sender asks its member master.
    pub poll_seconds: Option<u64>,
    /// `IP:` a dictionary in base64.
    pub dictionary: Option<Text<'a>>,
}

impl<'a> Utf8Block<'a> {
    /// Reads a block. Lines with unknown keys and without keys are passed over; the first line of a key counts.
    #[must_use]
    pub fn new(octets: &'a [u8]) -> Self {
        let mut block = Self::default();
        for line in octets.split(|&octet| octet == b'\n') {
            let Some((key, value)) = line.split_at_checked(3) else { continue };
            let text = match key {
                b"UN:" => &mut block.user,
                b"HN:" => &mut block.host,
                b"NN:" => &mut block.nick,
                b"GN:" => &mut block.group,
                b"IP:" => &mut block.dictionary,
                b"VS:" => &mut block.version,
                b"PL:" => {
                    block.poll_seconds = block.poll_seconds.or_else(|| decimal(value));
                    continue;
                }
                _ => continue,
            };
            text.get_or_insert(Text::new(value));
        }
        block
    }
}

/// What iptux adds behind the group (R-IP-25).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IptuxExtras<'a> {
    /// The file name of a built-in icon.
    pub icon: Text<'a>,
    /// The name of the character set that the sender uses for everything; empty with other programs.
    pub encoding: Text<'a>,
}

/// The body of an entry to send: `nick NUL group NUL [block NUL]`.
///
/// Names must have gone through [`sendable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryBody<'a> {
    /// The nickname, in the charset of the receiver.
    pub nick: &'a [u8],
    /// The group, in the charset of the receiver; may be empty.
    pub group: &'a [u8],
    /// All names once more in UTF-8.
    pub utf8: Option<Utf8Names<'a>>,
}

/// The names of an entry to send, in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8Names<'a> {
    /// The user's log-on name.
    pub user: &'a [u8],
    /// The host's name.
    pub host: &'a [u8],
    /// The nickname.
    pub nick: &'a [u8],
    /// The group; may be empty.
    pub group: &'a [u8],
}

impl EntryBody<'_> {
    /// Writes the body behind a header (R-IP-21).
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.octets(self.nick).octet(0).octets(self.group).octet(0);
        if let Some(names) = self.utf8 {
            writer.octet(b'\n');
            let mut line = |key: &[u8], value: &[u8]| {
                writer.octets(key).octets(value).octet(b'\n');
            };
            line(b"UN:", names.user);
            line(b"HN:", names.host);
            line(b"NN:", names.nick);
            // R-IP-22: absent when empty.
            if !names.group.is_empty() {
                line(b"GN:", names.group);
            }
            writer.octet(0);
        }
    }

    /// Writes the body to the front of `buffer` and returns its length in octets.
    ///
    /// # Errors
    /// [`BufferTooSmall`] with the length needed.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        self.write(&mut writer);
        writer.finish()
    }
}

/// Where a name is going to stand; each place has octets that would break the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// User or host in a header: no colon, not empty (R-IP-8).
    Header,
    /// The nickname: not empty.
    Nick,
    /// The group: may be empty.
    Group,
}

/// The octets of a name as they may be sent in `place` (R-IP-8): `;` for a colon where it would separate,
/// `_` for control characters, `?` for an empty name.
///
/// Safe for every charset of the family: none has these octets within a character (R-IP-3).
pub fn sendable(name: &[u8], place: Place) -> impl Iterator<Item = u8> + Clone + '_ {
    let placeholder = (name.is_empty() && place != Place::Group).then_some(b'?');
    let octets = name.iter().map(move |&octet| match octet {
        b':' if place == Place::Header => b';',
        0..=0x1f | 0x7f => b'_',
        octet => octet,
    });
    octets.chain(placeholder)
}
