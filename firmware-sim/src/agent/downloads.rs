//! Files that were offered to us and are to be fetched.

use core::net::SocketAddrV4;
use core::time::Duration;

use feige_core::node::{Name, Names};
use feige_core::stream::{Announced, FileClient, Metadata};
use feige_core::text::FileName;
use feige_core::time::Instant;
use feige_core::wire::ipmsg::{
    Attachment, FileRequest, Header, Options, PacketNo, PacketToken, RequestKind, RequestedId,
};

/// How often a file is asked for before it is given up: a peer may be busy, and a connection may break.
const ATTEMPTS: u8 = 5;

/// How long after the first failure; the time doubles with each further one.
const PAUSE: Duration = Duration::from_millis(500);

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
    failures: u8,
    /// Not to be asked for before.
    pub(super) due: Instant,
}

impl Wanted {
    /// What `attachment` of the message `packet_no` offers.
    pub(super) fn new(from: SocketAddrV4, packet_no: PacketNo, attachment: &Attachment<'_>, utf8: bool) -> Self {
        let mut buffer = [0; FileName::MAX];
        // Names of another character set are spelled out: the device knows none but UTF-8.
        let name = FileName::from_octets(attachment.name.copy_to(&mut buffer));
        Self {
            from,
            packet_no,
            id: attachment.id,
            name: Name::new(name.as_str().as_bytes()),
            size: attachment.size,
            modified: attachment.modified.unwrap_or(0),
            utf8,
            failures: 0,
            due: Instant::START,
        }
    }

    /// The same once more, later; `None` if it was tried often enough.
    pub(super) fn again(mut self, now: Instant) -> Option<Self> {
        self.due = now + PAUSE.saturating_mul(1 << self.failures.min(ATTEMPTS));
        self.failures = self.failures.saturating_add(1);
        (self.failures < ATTEMPTS).then_some(self)
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
