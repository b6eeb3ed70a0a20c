//! Putting answers and entries into words.
//!
//! Everything here is written to the buffer that was lent to `poll`. What goes to an address that has not proved that
//! it receives is shortened until it is no more than what came from there allows (R-IP-38), or not sent.

use core::net::SocketAddrV4;

use heapless::Vec;

use super::Node;
use super::answers::{Answer, Say};
use super::identity::{Identity, NAME_MAX, TITLE_MAX, cut, whole_utf8};
use crate::text::Text;
use crate::wire::ipmsg::{Command, EntryBody, Header, Options, PacketNo, PacketToken, Utf8Names};
use crate::wire::{BufferTooSmall, Writer};

/// A nick with an absence title in brackets.
type Nick = Vec<u8, { NAME_MAX + TITLE_MAX + 2 }>;

/// What may be left out of an entry, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Short {
    Full,
    NoGroup,
    NoBlock,
}

impl<const M: usize, const S: usize, const B: usize, const N: usize> Node<M, S, B, N> {
    /// Writes an answer; `Ok(None)` if no form of it is short enough for its receiver.
    pub(super) fn compose(
        &self,
        answer: &Answer,
        packet_no: PacketNo,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let Answer { utf8, allow, .. } = *answer;
        match answer.say {
            Say::Entry => self.entry(Command::BrEntry, utf8, true, packet_no, allow, buffer),
            Say::Absence => self.entry(Command::BrAbsence, utf8, true, packet_no, allow, buffer),
            Say::Exit => self.entry(Command::BrExit, utf8, true, packet_no, allow, buffer),
            Say::AnsEntry => self.entry(Command::AnsEntry, utf8, true, packet_no, allow, buffer),
            Say::PlainEntry => self.entry(Command::BrEntry, false, false, packet_no, allow, buffer),
            #[cfg(feature = "lists")]
            Say::AnsList(start) => self.host_list(start, utf8, packet_no, allow, buffer),
            Say::Info => self.words(
                Command::SendInfo,
                Options::NONE,
                utf8,
                packet_no,
                self.identity.software.as_bytes(),
                allow,
                buffer,
            ),
            Say::AbsenceInfo => {
                let text = match &self.absence {
                    Some(absence) if !absence.text(utf8).is_empty() => absence.text(utf8),
                    Some(absence) => absence.title(utf8),
                    // The official wording differs with the language; nobody reads it by program (R-IP-37).
                    None => b"Not absence mode",
                };
                self.words(Command::SendAbsenceInfo, Options::NONE, utf8, packet_no, text, allow, buffer)
            }
            Say::AutoReply => {
                let text = self.absence.as_ref().map(|absence| absence.text(utf8)).unwrap_or_default();
                if text.is_empty() {
                    return Ok(None);
                }
                self.words(Command::SendMsg, Options::AUTO_RET, utf8, packet_no, text, allow, buffer)
            }
            Say::Confirm(command, token) => self.brief(command, packet_no, allow, buffer, &|writer| {
                writer.octets(token.as_bytes()).octet(0);
            }),
            Say::Bare(command) => self.brief(command, packet_no, allow, buffer, &|writer| {
                writer.octet(0);
            }),
            #[cfg(feature = "lists")]
            Say::GetList(index) => self.brief(Command::GetList, packet_no, allow, buffer, &|writer| {
                writer.decimal(u64::from(index)).octet(0);
            }),
            Say::ImageAck(ack) => {
                self.brief(Command::FeiqImageAck, packet_no, allow, buffer, &|writer| ack.write(writer))
            }
        }
    }

    /// The options of our entries (R-IP-21, R-IP-48): what we can do, never that we could decipher.
    pub(super) fn entry_options(&self) -> Options {
        let options = Options::FILE_ATTACH.with(Options::CAP_UTF8);
        if self.absence.is_some() { options.with(Options::ABSENCE) } else { options }
    }

    /// Whether our names, or why we are away, look different in the two character sets.
    pub(super) fn sets_differ(&self) -> bool {
        let Identity { utf8, legacy, .. } = &self.identity;
        utf8 != legacy || self.absence.as_ref().is_some_and(|absence| absence.title(true) != absence.title(false))
    }

    /// An entry, in one character set throughout (R-IP-21): BR_* to members that read UTF-8 with a block, ANSENTRY in
    /// the set of the one who asked; a plain one has neither options nor block (R-IP-33).
    fn entry(
        &self,
        command: Command,
        utf8: bool,
        options: bool,
        packet_no: PacketNo,
        allow: usize,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let names = self.identity.names(utf8);
        let nick = self.nick(utf8);
        let nick_utf8 = self.nick(true);
        let block = Utf8Names {
            user: text(self.identity.utf8.user.as_bytes()),
            host: text(self.identity.utf8.host.as_bytes()),
            nick: text(&nick_utf8),
            group: text(self.identity.utf8.group.as_bytes()),
        };
        // R-IP-21: of two sets in one datagram iptux understands neither. Where both are the same there is no harm.
        let answer = command == Command::AnsEntry;
        let with_block = options && !answer && (utf8 || !self.sets_differ());
        for short in [Short::Full, Short::NoGroup, Short::NoBlock] {
            // The official programs look for UTF-8 in the block only.
            if utf8 && !answer && short == Short::NoBlock {
                break;
            }
            let group = |group| if short == Short::Full { group } else { Default::default() };
            let body = EntryBody {
                nick: &nick,
                group: group(names.group.as_bytes()),
                utf8: (with_block && short < Short::NoBlock)
                    .then_some(Utf8Names { group: if short == Short::Full { block.group } else { b"" }, ..block }),
            };
            let written = fit(allow, buffer, |writer| {
                let options = if options { self.entry_options() } else { Options::NONE };
                // R-IP-21: UTF8OPT never stands in a BR_*.
                let options = if utf8 && answer { options.with(Options::UTF8) } else { options };
                self.identity.header_as(
                    writer,
                    command,
                    options,
                    packet_no,
                    names.user.as_bytes(),
                    names.host.as_bytes(),
                );
                body.write(writer);
            })?;
            if written.is_some() {
                return Ok(written);
            }
        }
        Ok(None)
    }

    /// Our nick, with why we are away.
    fn nick(&self, utf8: bool) -> Nick {
        let mut nick = Nick::new();
        let mut append = |octets: &[u8]| {
            for &octet in octets {
                let _ = nick.push(octet);
            }
        };
        append(self.identity.names(utf8).nick.as_bytes());
        if let Some(title) = self.absence.as_ref().map(|absence| absence.title(utf8)).filter(|title| !title.is_empty())
        {
            append(b"[");
            append(title);
            append(b"]");
        }
        nick
    }

    /// A text, cut to what the receiver may get.
    #[allow(clippy::too_many_arguments)]
    fn words(
        &self,
        command: Command,
        options: Options,
        utf8: bool,
        packet_no: PacketNo,
        text: &[u8],
        allow: usize,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let whole = |text: &[u8], writer: &mut Writer<'_>| {
            self.identity.header(writer, command, options, utf8, packet_no);
            writer.octets(text).octet(0);
        };
        let mut measure = Writer::new(&mut []);
        whole(&[], &mut measure);
        let Some(room) = allow.checked_sub(measure.wanted()).filter(|&room| room > 0) else { return Ok(None) };
        fit(allow, buffer, |writer| whole(cut(text, room), writer))
    }

    /// A header in the legacy character set without options, and a small body. Where even that is too much for a tiny
    /// question, user and host are left out; peers match confirmations by number.
    fn brief(
        &self,
        command: Command,
        packet_no: PacketNo,
        allow: usize,
        buffer: &mut [u8],
        body: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Option<usize>, BufferTooSmall> {
        let whole = fit(allow, buffer, |writer| {
            self.identity.header(writer, command, Options::NONE, false, packet_no);
            body(writer);
        })?;
        if whole.is_some() {
            return Ok(whole);
        }
        fit(allow, buffer, |writer| {
            self.identity.header_as(writer, command, Options::NONE, packet_no, b"?", b"?");
            body(writer);
        })
    }

    /// Who reads UTF-8 according to the member table.
    pub(super) fn reads_utf8(&self, to: SocketAddrV4) -> bool {
        self.members.at(to).is_some_and(super::Member::utf8)
    }
}

impl Identity {
    /// Writes a header of ours.
    pub(super) fn header(
        &self,
        writer: &mut Writer<'_>,
        command: Command,
        options: Options,
        utf8: bool,
        packet_no: PacketNo,
    ) {
        let names = self.names(utf8);
        let options = if utf8 { options.with(Options::UTF8) } else { options };
        self.header_as(writer, command, options, packet_no, names.user.as_bytes(), names.host.as_bytes());
    }

    fn header_as(
        &self,
        writer: &mut Writer<'_>,
        command: Command,
        options: Options,
        packet_no: PacketNo,
        user: &[u8],
        host: &[u8],
    ) {
        Header {
            version: Text::new(self.version.as_bytes()),
            packet_no: PacketToken(Text::new(packet_no.digits().as_bytes())),
            user: Text::new(user),
            host: Text::new(host),
            command,
            options,
        }
        .write(writer);
    }
}

/// Writes, unless it would be more than `allow` octets: then `Ok(None)`.
pub(super) fn fit(
    allow: usize,
    buffer: &mut [u8],
    write: impl Fn(&mut Writer<'_>),
) -> Result<Option<usize>, BufferTooSmall> {
    let mut writer = Writer::new(buffer);
    write(&mut writer);
    if writer.wanted() > allow { Ok(None) } else { writer.finish().map(Some) }
}

/// Our own UTF-8 names came from the application, which may have made a mistake.
fn text(octets: &[u8]) -> &[u8] {
    whole_utf8(octets).filter(|&len| len == octets.len()).map_or(b"?", |_| octets)
}
