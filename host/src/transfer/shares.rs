//! What was offered to whom.
//!
//! **Memory**: limited by [`Shares::MOST`]; a path for each file that is offered, no open files.
//! **Protocol**: R-IP-73, 77, 78.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use feige_core::time::Instant;
use feige_core::wire::ipmsg::{FileRequest, PacketNo, RequestKind};

use crate::charset::Charset;
use crate::store::{OpenFile, Walk};

/// A file or folder of this machine that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    path: PathBuf,
    name: String,
    kind: RequestKind,
    size: u64,
    modified: Option<u64>,
}

impl Share {
    /// Looks at the file or folder at `path`, which must be readable now.
    ///
    /// # Errors
    /// The system's; `InvalidInput` if it is neither a file nor a folder.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let (kind, size, modified) = if path.is_dir() {
            let (_, modified) = Walk::open(&path)?;
            (RequestKind::Folder, 0, modified)
        } else {
            let file = OpenFile::open(&path)?;
            (RequestKind::File, file.size, file.mtime)
        };
        // Only the root of all folders has no name.
        let name = path.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy()).into_owned();
        Ok(Self { path, name, kind, size, modified: modified.map(seconds) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name to offer it under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a file or a folder.
    #[must_use]
    pub const fn kind(&self) -> RequestKind {
        self.kind
    }

    /// The size of a file when it was looked at, in octets; 0 for a folder.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// When it was last changed, in seconds since 1970.
    #[must_use]
    pub const fn modified(&self) -> Option<u64> {
        self.modified
    }
}

/// Seconds since 1970; 0 for all that was before.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

/// There are [`Shares::MOST`] offers already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {} open offers already; wait until some are fetched or refused", Shares::MOST)]
pub struct TooManyOffers;

/// What was offered to whom. Shared by all threads.
#[derive(Debug, Default)]
pub struct Shares {
    offers: Mutex<Vec<Offer>>,
}

#[derive(Debug)]
struct Offer {
    packet_no: PacketNo,
    id: u32,
    /// Position in its message, counted from 0.
    index: u32,
    to: Ipv4Addr,
    share: Arc<Share>,
    charset: Charset,
    ends: Instant,
}

/// A request that may be served.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) share: Arc<Share>,
    pub(super) charset: Charset,
    pub(super) packet_no: PacketNo,
    pub(super) id: u32,
}

impl Shares {
    /// How many offers there may be at a time, those of one file to several people counted singly.
    pub const MOST: usize = 4096;

    /// How long an offer stands. The same people may fetch it again within this time.
    pub const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

    /// No offers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers `share` to `to`, as the file `id` at position `index` of the message `packet_no`. Its name, and the names
    /// inside a folder, will be sent in `charset` unless the request asks for UTF-8.
    ///
    /// # Errors
    /// [`TooManyOffers`].
    pub fn offer(
        &self,
        now: Instant,
        to: Ipv4Addr,
        packet_no: PacketNo,
        (index, id): (u32, u32),
        share: Arc<Share>,
        charset: Charset,
    ) -> Result<(), TooManyOffers> {
        let mut offers = self.offers();
        offers.retain(|offer| offer.ends > now);
        if offers.len() >= Self::MOST {
            return Err(TooManyOffers);
        }
        offers.push(Offer { packet_no, id, index, to, share, charset, ends: now + Self::LIFE });
        Ok(())
    }

    /// `from` does not want the files of the message `packet_no`. Returns how many there were.
    pub fn release(&self, from: Ipv4Addr, packet_no: PacketNo) -> usize {
        self.remove(|offer| offer.to == from && offer.packet_no == packet_no)
    }

    /// Nobody is to fetch the files of the message `packet_no` any more. Returns how many offers there were.
    pub fn withdraw(&self, packet_no: PacketNo) -> usize {
        self.remove(|offer| offer.packet_no == packet_no)
    }

    /// How many offers stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offers().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offers().is_empty()
    }

    /// What `from` asks for, if it was offered to that address. The id is looked for as the protocol has it, then as
    /// two known programs write it: in decimal, and as the position in the list (R-IP-73).
    pub(super) fn grant(&self, now: Instant, from: Ipv4Addr, request: &FileRequest<'_>) -> Option<Granted> {
        let offers = self.offers();
        let of_message =
            || offers.iter().filter(|it| it.to == from && it.packet_no == request.packet_no && it.ends > now);
        let offer = of_message()
            .find(|offer| offer.id == request.id.hex)
            .or_else(|| of_message().find(|offer| Some(offer.id) == request.id.decimal))
            .or_else(|| of_message().find(|offer| offer.index == request.id.hex))?;
        // A folder has no octets of its own.
        if (request.kind, offer.share.kind) == (RequestKind::File, RequestKind::Folder) {
            return None;
        }
        let share = Arc::clone(&offer.share);
        Some(Granted { share, charset: offer.charset, packet_no: offer.packet_no, id: offer.id })
    }

    fn remove(&self, of_these: impl Fn(&Offer) -> bool) -> usize {
        let mut offers = self.offers();
        let before = offers.len();
        offers.retain(|offer| !of_these(offer));
        before - offers.len()
    }

    fn offers(&self) -> MutexGuard<'_, Vec<Offer>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
