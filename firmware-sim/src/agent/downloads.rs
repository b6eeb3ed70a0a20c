//! Files that were offered to us and are to be fetched.

use core::net::SocketAddrV4;
use core::time::Duration;

use feige_core::digest::Digest;
use feige_core::node::{NAME_MAX, Name, Names};
use feige_core::stream::{Announced, FileClient, Metadata};
use feige_core::text::FileName;
use feige_core::time::Instant;
use feige_core::wire::Writer;
use feige_core::wire::ipmsg::{
    Attachment, FileRequest, Header, Options, PORT, PacketNo, PacketToken, RequestKind, RequestedId,
};

/// How often a file is asked for before it is given up: a peer may be busy, and a connection may break.
const ATTEMPTS: u8 = 5;

/// How long after the first failure; the time doubles with each further one.
const PAUSE: Duration = Duration::from_millis(500);

/// FeiQ closes without an octet when it is asked too soon after its offer (R-IP-99).
const FIRST: Duration = Duration::from_millis(150);

/// How soon, and how often, whoever closed without an octet is asked again (R-IP-99).
const REFUSED: Duration = Duration::from_millis(200);
const REFUSALS: u8 = 3;

/// A file that was offered to us.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Who has it.
    pub(super) from: SocketAddrV4,
    /// The message that offered it.
    packet_no: PacketNo,
    id: u32,
    /// The name that it will have in the store.
    pub(super) name: Name,
    pub(super) size: Option<u64>,
    pub(super) modified: u64,
    utf8: bool,
    /// The octets of the datagram that offered it, if its sender has yet to show that it receives (R-IP-38).
    pub(super) question: Option<u16>,
    failures: u8,
    refusals: u8,
    /// Not to be asked for before.
    pub(super) due: Instant,
}

impl Wanted {
    /// What `attachment` of the message `packet_no` offers.
    pub(super) fn new(
        now: Instant,
        from: SocketAddrV4,
        packet_no: PacketNo,
        attachment: &Attachment<'_>,
        utf8: bool,
        question: Option<u16>,
    ) -> Self {
        let mut buffer = [0; FileName::MAX];
        // Names of another character set are spelled out: the device knows none but UTF-8.
        let name = short(FileName::from_octets(attachment.name.copy_to(&mut buffer)).as_str());
        Self {
            from,
            packet_no,
            id: attachment.id,
            name,
            size: attachment.size,
            modified: attachment.modified.unwrap_or(0),
            utf8,
            question,
            failures: 0,
            refusals: 0,
            due: now + FIRST,
        }
    }

    /// The same once more, later, after the connection failed; `None` if it was tried often enough. A stranger whom no
    /// connection reached has had its chance.
    pub(super) fn again(mut self, now: Instant) -> Option<Self> {
        self.due = now + PAUSE.saturating_mul(1 << self.failures.min(ATTEMPTS));
        self.failures = self.failures.saturating_add(1);
        (self.failures < ATTEMPTS && self.question.is_none()).then_some(self)
    }

    /// The same once more, soon, after the peer closed without an octet.
    pub(super) fn after_refusal(mut self, now: Instant) -> Option<Self> {
        self.due = now + REFUSED;
        self.refusals = self.refusals.saturating_add(1);
        (self.refusals <= REFUSALS).then_some(self)
    }

    /// Where it is fetched: at the port that it was offered from, and where nobody listens there, at that of everybody
    /// (R-IP-98).
    pub(super) const fn at(&self) -> SocketAddrV4 {
        if self.failures.is_multiple_of(2) { self.from } else { SocketAddrV4::new(*self.from.ip(), PORT) }
    }

    /// The machine that fetches it into at most `room` octets, or the buffer if that is too small for the request.
    pub(super) fn client<'b>(
        &self,
        now: Instant,
        names: &Names,
        number: PacketNo,
        room: u64,
        buffer: &'b mut [u8],
    ) -> Result<FileClient<'b>, &'b mut [u8]> {
        let digits = number.digits();
        let request = FileRequest {
            header: Header {
                version: "1".into(),
                packet_no: PacketToken(digits.as_bytes().into()),
                // R-IP-71: as in our datagrams.
                user: names.user.as_bytes().into(),
                host: names.host.as_bytes().into(),
                command: RequestKind::File.command(),
                options: if self.utf8 { Options::UTF8 } else { Options::NONE },
            },
            kind: RequestKind::File,
            packet_no: self.packet_no,
            id: RequestedId::of(self.id),
            offset: 0,
        };
        let announced = self.size.map_or(Announced::Unknown { limit: room }, Announced::Size);
        // The buffer must not be lost with an error.
        if request.emit(buffer).is_err() {
            return Err(buffer);
        }
        let metadata = Metadata { modified: Some(self.modified), ..Metadata::default() };
        FileClient::new(now, buffer, &request, announced, metadata).map_err(|_| Default::default())
    }
}

/// The name that a file has here. One that is too long is cut within and has a mark of the whole in front of its extension,
/// so that two of them stay two.
#[inline(never)]
pub(super) fn short(name: &str) -> Name {
    /// A tilde and four hexadecimal digits.
    const MARK: usize = 5;
    if name.len() <= NAME_MAX {
        return Name::new(name.as_bytes());
    }
    let cut = FileName::within(name, NAME_MAX.saturating_sub(MARK));
    let (cut, [first, second, ..]) = (cut.as_str(), Digest::of(name.as_bytes()).0);
    let dot = cut.bytes().rposition(|octet| octet == b'.').unwrap_or(cut.len());
    let (stem, extension) = cut.split_at_checked(dot).unwrap_or_default();
    let mut marked = [0; NAME_MAX];
    let mut writer = Writer::new(&mut marked);
    writer.octets(stem.as_bytes()).octet(b'~').hex_padded(u16::from_be_bytes([first, second]).into(), 4);
    writer.octets(extension.as_bytes());
    let len = writer.finish().unwrap_or(0);
    Name::new(marked.get(..len).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_different_safe_and_of_their_kind() {
        assert_eq!(short("config.txt").as_bytes(), b"config.txt");
        let exactly = "x".repeat(NAME_MAX);
        assert_eq!(short(&exactly).as_bytes(), exactly.as_bytes());
        let kept = |name: &str| {
            let kept = short(name);
            let kept = core::str::from_utf8(kept.as_bytes()).unwrap();
            assert!(kept.len() <= NAME_MAX && FileName::is_safe(kept), "{kept}");
            std::string::String::from(kept)
        };
        let (a, b) = (kept(&("飞".repeat(30) + "-A.xls")), kept(&("飞".repeat(30) + "-B.xls")));
        assert!(a != b && a.starts_with("飞飞") && a.ends_with(".xls"), "{a} {b}");
        kept(&("x".repeat(63) + ". y"));
        kept(&"文".repeat(22));
        kept(&["a.", &"b".repeat(80)].concat());
    }
}
