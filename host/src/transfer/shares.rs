//! What was offered to whom.
//!
//! **Memory**: limited by [`Shares::MOST`]; a path for each file that is offered, no open files. **Time**: linear in the
//! offers. **Protocol**: R-IP-53, 54, 73, by way of [`feige_core::node::Offers`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use feige_core::node::{Audience, Offer, Offers, Refused};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::{FileKind, FileRequest, PacketNo, RequestKind};

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
        // The name as the user wrote it, even if that is a link, unless it is `.` or the like.
        let named = path.file_name();
        let path = path.canonicalize()?;
        let name = named.or(path.file_name()).map_or_else(|| "root".into(), OsStr::to_string_lossy).into_owned();
        let (kind, size, modified) = if path.is_dir() {
            let (_, modified) = Walk::open(&path)?;
            (RequestKind::Folder, 0, modified)
        } else {
            let file = OpenFile::open(&path)?;
            (RequestKind::File, file.size, file.mtime)
        };
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
///
/// Who may fetch what, and for how long, is decided by the core's [`Offers`]; here is what only a desktop has: paths
/// and character sets.
#[derive(Debug, Default)]
pub struct Shares {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    offers: Box<Offers<{ Shares::MOST }>>,
    /// What the offers' handles stand for.
    shared: BTreeMap<u32, Shared>,
    /// The handle of the next offer.
    next: u32,
}

#[derive(Clone, Debug)]
struct Shared {
    share: Arc<Share>,
    charset: Charset,
}

/// A request that may be served.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) offer: Offer,
    pub(super) share: Arc<Share>,
    pub(super) charset: Charset,
}

impl Shares {
    /// How many offers there may be at a time, those of one file to several people counted singly.
    pub const MOST: usize = 2048;

    /// No offers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers `share` to `to`, as the file `id` of the message `packet_no`, for [`feige_core::node::OFFERED_FOR`]. The names
    /// inside a folder will be sent in `charset` unless the request asks for UTF-8.
    ///
    /// The files of one message are to be offered in the order of its list, which some clients count on.
    ///
    /// # Errors
    /// [`TooManyOffers`].
    pub fn offer(
        &self,
        now: Instant,
        to: Ipv4Addr,
        packet_no: PacketNo,
        id: u32,
        share: Arc<Share>,
        charset: Charset,
    ) -> Result<(), TooManyOffers> {
        let mut state = self.state();
        if state.offers.expire(now) > 0 {
            state.tidy();
        }
        let (kind, size) = match share.kind {
            RequestKind::File => (FileKind::Regular, share.size),
            RequestKind::Folder => (FileKind::Folder, 0),
        };
        let handle = state.next;
        state.offers.offer(now, packet_no, Audience::Host(to), id, kind, size, handle).map_err(|_| TooManyOffers)?;
        state.shared.insert(handle, Shared { share, charset });
        state.next = handle.wrapping_add(1);
        Ok(())
    }

    /// `from` does not want the files of the message `packet_no`. Returns how many there were.
    pub fn release(&self, from: Ipv4Addr, packet_no: PacketNo) -> usize {
        let mut state = self.state();
        let count = state.offers.release(from, packet_no);
        state.tidy();
        count
    }

    /// Nobody is to fetch the files of the message `packet_no` any more. Returns how many offers there were.
    pub fn withdraw(&self, packet_no: PacketNo) -> usize {
        let mut state = self.state();
        let count = state.offers.withdraw(packet_no);
        state.tidy();
        count
    }

    /// How many offers stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().shared.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What `from` asks for, if it was offered to that address.
    pub(super) fn grant(&self, now: Instant, from: Ipv4Addr, request: &FileRequest<'_>) -> Result<Granted, Refused> {
        let state = self.state();
        let offer = state.offers.authorise(now, from, request)?;
        let Shared { share, charset } = state.shared.get(&offer.handle).cloned().ok_or(Refused::NotOffered)?;
        Ok(Granted { offer, share, charset })
    }

    /// The peer has all of it; for a while it may fetch it again.
    pub(super) fn fetched(&self, now: Instant, offer: &Offer) {
        self.state().offers.fetched(now, offer);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets what no offer stands for any more.
    fn tidy(&mut self) {
        let live: BTreeSet<u32> = self.offers.iter().map(|offer| offer.handle).collect();
        self.shared.retain(|handle, _| live.contains(handle));
    }
}
