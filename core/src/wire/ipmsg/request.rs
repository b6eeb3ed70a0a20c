//! What a client writes to a TCP connection to have a file or folder sent (R-IP-70 and following).
//!
//! A request is a header like that of a datagram and a body of two or three hexadecimal numbers. Nothing
//! says where it ends: some clients write a NUL, some a colon, some nothing and wait.
//!
//! **Memory**: views of the received octets. **Time**: linear. **Protocol**: R-IP-70 to 79.

use core::time::Duration;

use crate::wire::{BufferTooSmall, Field, ParseError, Reader, Writer, decimal, hex};

use super::{Command, Header, Options, PacketNo};

/// No program writes a longer request, not even an encrypted one (R-IP-74).
pub const MAX_REQUEST: usize = 4096;

/// After so much silence a request that could be complete is complete (R-IP-74).
pub const REQUEST_SILENCE: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// [`Command::GetFileData`]: the octets of a file and nothing else.
    File,
    /// [`Command::GetDirFiles`]: a folder stream, which may consist of one file (R-IP-90).
    Folder,
}

impl RequestKind {
    /// The command that asks for it.
    #[must_use]
    pub const fn command(self) -> Command {
        match self {
            Self::File => Command::GetFileData,
            Self::Folder => Command::GetDirFiles,
        }
    }
}

/// The id of a file as a request names it, in every reading (R-IP-73).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestedId {
    /// As the protocol has it: the id of the list, in hexadecimal.
    pub hex: u32,
    /// As some clients have it: the id of the list in decimal, copied. `None` if there are other digits.
    pub decimal: Option<u32>,
}

impl RequestedId {
    /// The id of the attachment list, to be sent in hexadecimal.
    #[must_use]
    pub const fn of(id: u32) -> Self {
        Self { hex: id, decimal: None }
    }
}

/// A request for a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRequest<'a> {
    /// Who asks. User and host must be those of the datagrams of the same sender (R-IP-71).
    pub header: Header<'a>,
    /// What is asked for; also given by the command of `header`.
    pub kind: RequestKind,
    /// The message that offered it.
    pub packet_no: PacketNo,
    /// The file in the list of that message.
    pub id: RequestedId,
    /// How many octets from the beginning of a file the requester already has. Many servers ignore it or,
    /// worse, count it but send from the beginning (R-IP-76). Always 0 with a folder.
    pub offset: u64,
}

/// Whether the octets that have arrived are a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestScan {
    /// Not yet.
    NeedMore,
    /// They can be, but more may follow: they are one if nothing follows within [`REQUEST_SILENCE`].
    EnoughIfSilent,
    /// They are, or never will be: give the first `len` octets to [`FileRequest::parse`].
    Complete {
        /// At least one, and a NUL that ends the request included.
        len: usize,
    },
    /// [`MAX_REQUEST`] octets and no end: refuse by closing.
    TooLong,
}

impl<'a> FileRequest<'a> {
    /// Looks at all octets that have arrived on a connection, after every arrival.
    #[must_use]
    pub fn scan(octets: &[u8]) -> RequestScan {
        let considered = octets.get(..MAX_REQUEST).unwrap_or(octets);
        if let Some(request) = Reader::new(considered).until(0) {
            return RequestScan::Complete { len: request.len().saturating_add(1) };
        }
        match Header::parse(considered) {
            Ok((header, body)) if !header.options.contains(Options::ENCRYPT) => {
                // Three numbers, each with its colon: nothing but a NUL could follow.
                if body.iter().filter(|&&octet| octet == b':').count() >= 3 {
                    return RequestScan::Complete { len: considered.len() };
                }
                if FileRequest::parse(considered).is_ok() {
                    return RequestScan::EnoughIfSilent;
                }
            }
            Ok((_, body)) if !body.is_empty() => return RequestScan::EnoughIfSilent,
            Ok(_) | Err(_) => {}
        }
        if octets.len() >= MAX_REQUEST { RequestScan::TooLong } else { RequestScan::NeedMore }
    }

    /// Reads a request in any of the forms that exist (R-IP-72); what follows a NUL is ignored.
    ///
    /// # Errors
    /// [`ParseError`] if it is not a request for a file or folder, or is encrypted ([`Field::Key`]): refuse
    /// by closing the connection.
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        let octets = Reader::new(octets).until_or_rest(0);
        let (header, body) = Header::parse(octets)?;
        let kind = match header.command {
            Command::GetFileData => RequestKind::File,
            Command::GetDirFiles => RequestKind::Folder,
            _ => return Err(ParseError::malformed(Field::Command)),
        };
        if header.options.contains(Options::ENCRYPT) {
            return Err(ParseError::malformed(Field::Key));
        }
        let mut reader = Reader::new(body);
        let packet_no = reader.until(b':').ok_or(ParseError::missing(Field::PacketNo))?;
        let packet_no = hex(packet_no).ok_or(ParseError::malformed(Field::PacketNo))?;
        let packet_no = PacketNo(u32::try_from(packet_no & 0xffff_ffff).unwrap_or_default());
        let digits = reader.until_or_rest(b':');
        if digits.is_empty() {
            return Err(ParseError::missing(Field::FileId));
        }
        let id = hex(digits).ok_or(ParseError::malformed(Field::FileId))?;
        let id = RequestedId {
            hex: u32::try_from(id).map_err(|_| ParseError::too_large(Field::FileId))?,
            decimal: decimal(digits).and_then(|id| u32::try_from(id).ok()),
        };
        let offset = reader.until_or_rest(b':');
        let offset = match kind {
            // R-IP-75: a folder cannot be continued; whatever stands here means nothing.
            RequestKind::Folder => 0,
            RequestKind::File if offset.is_empty() => 0,
            RequestKind::File => hex(offset).ok_or(ParseError::malformed(Field::Offset))?,
        };
        Ok(Self { header, kind, packet_no, id, offset })
    }

    /// Writes `packet:id:offset:` and a NUL behind the header, the one form that every server takes
    /// (R-IP-70). It must reach the connection in one piece.
    ///
    /// The command is that of `kind`, whatever `header` says.
    pub fn write(&self, writer: &mut Writer<'_>) {
        Header { command: self.kind.command(), ..self.header }.write(writer);
        writer.hex(u64::from(self.packet_no.0)).octet(b':');
        writer.hex(u64::from(self.id.hex)).octet(b':');
        writer.hex(self.offset).octet(b':').octet(0);
    }

    /// Writes the request to the front of `buffer` and returns its length in octets.
    ///
    /// # Errors
    /// [`BufferTooSmall`] with the length needed.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        self.write(&mut writer);
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipmsg::PacketToken;

    const FRONT: &[u8] = b"1:100:u:h:96:";

    fn request(body: &str) -> std::vec::Vec<u8> {
        [FRONT, body.as_bytes()].concat()
    }

    fn parse(body: &str) -> Result<(u32, RequestedId, u64), ParseError> {
        let octets = request(body);
        FileRequest::parse(&octets).map(|request| (request.packet_no.0, request.id, request.offset))
    }

    /// R-IP-72: every body that somebody sends.
    #[test]
    fn every_form() {
        let id = RequestedId { hex: 0x12, decimal: Some(12) };
        for body in
            ["a:12:0:\0", "a:12:0\0", "a:12:\0", "a:12\0", "a:12:0:", "a:12:0", "a:12:", "a:12", "A:012:00:\0\0"]
        {
            assert_eq!(parse(body), Ok((10, id, 0)), "{body:?}");
        }
        assert_eq!(parse("FFFFFFFF:aB:1fffffffff:"), Ok((u32::MAX, RequestedId::of(0xab), 0x1f_ffff_ffff)));
        assert_eq!(parse("1817f0dd533:1:0:").unwrap().0, 0x7f0d_d533, "13-digit numbers, modulo 2^32");
    }

    #[test]
    fn errors_name_the_field() {
        for (body, error) in [
            ("", ParseError::missing(Field::PacketNo)),
            ("a", ParseError::missing(Field::PacketNo)),
            ("g:1", ParseError::malformed(Field::PacketNo)),
            ("a:", ParseError::missing(Field::FileId)),
            ("a:-1:", ParseError::malformed(Field::FileId)),
            ("a:1ffffffff:", ParseError::too_large(Field::FileId)),
            ("a:1:x:", ParseError::malformed(Field::Offset)),
        ] {
            assert_eq!(parse(body), Err(error), "{body:?}");
        }
        assert_eq!(FileRequest::parse(b"1:1:u:h:32:a:1:0:"), Err(ParseError::malformed(Field::Command)));
        assert_eq!(FileRequest::parse(b"1:1:u:h:4194400:20002:a:b"), Err(ParseError::malformed(Field::Key)));
        // R-IP-75: what stands behind the id of a folder means nothing.
        assert_eq!(FileRequest::parse(b"1:1:u:h:98:a:1:x9:").unwrap().offset, 0);
    }

    /// R-IP-74: cut anywhere, a request is never taken for complete too soon.
    #[test]
    fn ends_are_found() {
        let whole = request("a:12:0:\0");
        for cut in 0..=whole.len() {
            let want = match cut {
                cut if cut < FRONT.len() + 3 => RequestScan::NeedMore,
                cut if cut < whole.len() - 1 => RequestScan::EnoughIfSilent,
                len => RequestScan::Complete { len },
            };
            assert_eq!(FileRequest::scan(&whole[..cut]), want, "{cut}");
        }
        assert_eq!(FileRequest::scan(&request("a:12:0:\0rest")), RequestScan::Complete { len: whole.len() });
        for (body, scan) in [
            ("a:12:0", RequestScan::EnoughIfSilent),
            ("a:12:", RequestScan::EnoughIfSilent),
            ("a:12", RequestScan::EnoughIfSilent),
            ("a:", RequestScan::NeedMore),
            ("", RequestScan::NeedMore),
        ] {
            assert_eq!(FileRequest::scan(&request(body)), scan, "{body:?}");
        }
    }

    #[test]
    fn what_is_no_request_comes_to_an_end_too() {
        assert_eq!(FileRequest::scan(b"GET / HTTP/1.1\r\n"), RequestScan::NeedMore, "the deadline of the server");
        assert_eq!(FileRequest::scan(&[b'x'; MAX_REQUEST]), RequestScan::TooLong);
        assert_eq!(FileRequest::scan(&[b'x'; MAX_REQUEST + 1]), RequestScan::TooLong);
        assert_eq!(FileRequest::scan(b"\0"), RequestScan::Complete { len: 1 });
        let encrypted = b"1:1:u:h:4196448:41900004:AA==:BB==:CC==";
        assert_eq!(FileRequest::scan(encrypted), RequestScan::EnoughIfSilent, "colons prove nothing");
    }

    /// proves: R-IP-70
    #[test]
    fn writes_one_form_for_both_kinds() {
        let header = Header {
            version: "1".into(),
            packet_no: PacketToken("100".into()),
            user: "u".into(),
            host: "h".into(),
            command: Command::NoOperation,
            options: Options::UTF8,
        };
        let packet_no = PacketNo(1_700_000_080);
        let id = RequestedId::of(305_419_896);
        let mut buffer = [0xa5; 64];
        let file = FileRequest { header, kind: RequestKind::File, packet_no, id, offset: 0x1000 };
        let len = file.emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"1:100:u:h:8388704:6553f150:12345678:1000:\0");
        assert_eq!(buffer[len], 0xa5);
        let folder = FileRequest { kind: RequestKind::Folder, offset: 0, ..file };
        let len = folder.emit(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"1:100:u:h:8388706:6553f150:12345678:0:\0");
        assert_eq!(folder.emit(&mut buffer[..5]), Err(BufferTooSmall { needed: len }));
    }
}
