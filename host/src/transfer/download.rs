//! Fetching a file or a folder that a peer offered.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use feige_core::stream::{
    Announced, Arrival, FileClient, FolderClient, Limits, Metadata, Opened, Store, Target, Totals,
};
use feige_core::text::FileName;
use feige_core::wire::ipmsg::{EscapedName, FileRequest, Header, PORT, PacketNo, RequestKind, RequestedId};
use md5::{Digest, Md5};

use super::mover::Disk;
use super::progress::{Meter, Progress};
use super::socket::{Cancel, Clock, Socket};
use super::{TransferError, judge, run};
use crate::charset::{Charset, Policy};
use crate::store::{FilePart, FolderPart, Inbox, Origin, StoreError, set_time, write_at};

/// How long a connection may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// FeiQ closes without an octet when it is asked too soon after its offer: it is asked again (R-IP-99), so often …
const ATTEMPTS: u32 = 4;
/// … and after such a pause.
const PAUSE: Duration = Duration::from_millis(200);

/// Room for the request of a file: nothing else passes through it.
const REQUEST_BUFFER: usize = 2048;

/// Room for the headers and small files of a folder: large enough that ten thousand files are a few hundred reads.
const FOLDER_BUFFER: usize = 256 << 10;

/// What is to be fetched: what the offer said, and who we are.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Our own address: offers are to addresses, so the connection has to come from the one that our datagrams
    /// come from. Unspecified if the system may choose.
    pub local: Ipv4Addr,
    /// The address and port that the offer came from; the connection goes to the same port of TCP.
    pub from: SocketAddrV4,
    /// Us, as in our datagrams to the same peer: the same version, user, host and, if it reads UTF-8, the option
    /// for that. Many servers look for us by these.
    pub header: Header<'a>,
    /// Whether a file or a folder was offered.
    pub kind: RequestKind,
    /// The message with the offer.
    pub packet_no: PacketNo,
    /// The file in the list of the offer.
    pub id: u32,
    /// The announced name, decoded. It is made safe here.
    pub name: &'a str,
    /// The announced size in octets; not for folders.
    pub size: Option<u64>,
    /// The announced time of last change, in seconds since 1970.
    pub modified: Option<u64>,
    /// The character set of the names in a folder, if it is known.
    pub charset: Option<Charset>,
    /// How to read names otherwise.
    pub policy: Policy,
    /// Whether the peer is known to begin where it is asked to. Official servers of many years count the offset and
    /// send from the beginning all the same, so this must be certain.
    pub resumes: bool,
    /// Whether the digest is wanted.
    pub md5: Md5Policy,
    /// How large a folder may be.
    pub limits: Limits,
}

/// Whether the MD5 of a received file is computed on the way.
///
/// It costs about 1.8 s of a core for each GiB, three times as much as all the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Md5Policy {
    /// Never.
    Never,
    /// For files of up to [`Md5Policy::AUTO_SIZE`].
    #[default]
    Auto,
    /// Always, whatever it takes.
    Always,
}

impl Md5Policy {
    /// The largest file, in octets, whose digest nobody waits for noticeably.
    pub const AUTO_SIZE: u64 = 64 << 20;

    /// Whether the digest of a file of at least `size` octets is computed.
    const fn applies(self, size: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Auto => size <= Self::AUTO_SIZE,
            Self::Always => true,
        }
    }
}

/// A download that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// Octets of contents, those of an earlier attempt included.
    pub size: u64,
    /// The digest, if one was computed.
    pub md5: Option<[u8; 16]>,
    /// What moved, and what was passed over.
    pub totals: Totals,
}

/// A download that is not complete.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", kept(part.as_deref()))]
pub struct Failed {
    /// Why.
    #[source]
    pub error: TransferError,
    /// Where what came of it is kept, if it can go on from there.
    pub part: Option<PathBuf>,
    /// Something came.
    began: bool,
}

fn kept(part: Option<&Path>) -> String {
    part.map_or_else(String::new, |part| format!("; what came is kept in {}", part.display()))
}

/// Fetches what is `wanted` into `inbox`, and tells its `progress` at most ten times a second.
///
/// Blocks until it is there, has failed, or is cancelled. Feige's own names for what happened are in
/// [`TransferError`]; nothing has its final name unless it is whole.
///
/// # Errors
/// [`Failed`], with what is left of the attempt.
pub fn download(
    wanted: &Wanted<'_>,
    inbox: &Inbox,
    clock: Clock,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Downloaded, Failed> {
    let name = FileName::from_untrusted(wanted.name);
    // Whoever opened the folder may have done so days ago.
    let anew = inbox.anew().map_err(without_part)?;
    let inbox = anew.as_ref().unwrap_or(inbox);
    let mut attempt = 1;
    loop {
        let result = match wanted.kind {
            RequestKind::File => file(wanted, &name, inbox, clock, cancel, progress),
            RequestKind::Folder => folder(wanted, &name, inbox, clock, cancel, progress),
        };
        match result {
            Err(failed) if !failed.began && failed.error.is_silent() && attempt < ATTEMPTS => {
                attempt += 1;
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

/// A connection to the peer: to the port that its datagrams come from and, if that is another and nobody listens
/// there, to the usual one (R-IP-98).
fn connect(local: Ipv4Addr, from: SocketAddrV4, cancel: &Cancel) -> Result<Socket, TransferError> {
    let usual = SocketAddrV4::new(*from.ip(), PORT);
    let result = match Socket::connect(local, from, CONNECT_TIME, cancel) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && from != usual => {
            Socket::connect(local, usual, CONNECT_TIME, cancel)
        }
        other => other,
    };
    match result {
        Err(_) if cancel.is_cancelled() => Err(TransferError::Cancelled),
        other => other.map_err(|source| TransferError::Unreachable { to: from, source }),
    }
}

fn request<'a>(wanted: &Wanted<'a>, offset: u64) -> FileRequest<'a> {
    FileRequest {
        header: wanted.header,
        kind: wanted.kind,
        packet_no: wanted.packet_no,
        id: RequestedId::of(wanted.id),
        offset,
    }
}

fn file(
    wanted: &Wanted<'_>,
    name: &FileName,
    inbox: &Inbox,
    clock: Clock,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Progress),
) -> Result<Downloaded, Failed> {
    let origin = match (wanted.size, wanted.modified) {
        (Some(size), Some(mtime)) if mtime != 0 => Some(Origin { from: *wanted.from.ip(), size, mtime }),
        _ => None,
    };
    let part = inbox.file(name, wanted.size, origin, wanted.resumes).map_err(without_part)?;
    let offset = part.len();
    let (hash, meter) = (Hash::new(wanted.md5, wanted.size), Meter::new(offset, wanted.size));
    let mut store = FileStore { part, hash, mtime: time(wanted.modified), meter, tell };
    let result = store.hash.take_up(&store.part).map_err(TransferError::from).and_then(|()| {
        let socket = connect(wanted.local, wanted.from, cancel)?;
        let mut buffer = [0; REQUEST_BUFFER];
        let announced = wanted.size.map_or(Announced::Unknown { limit: i64::MAX.unsigned_abs() }, Announced::Size);
        let metadata = Metadata { modified: wanted.modified, ..Metadata::default() };
        let mut machine = FileClient::new(clock.now(), &mut buffer, &request(wanted, offset), announced, metadata)
            .map_err(|_| TransferError::Aborted("the own name is too long for a request"))?;
        run(&mut machine, socket, &mut store, clock, cancel).and_then(judge)
    });
    let FileStore { part, hash, mtime, .. } = store;
    let (size, kept) = (part.len(), (part.len() > 0).then(|| part.path()));
    let finished = result.and_then(|totals| Ok((totals, part.finish(mtime)?)));
    match finished {
        Ok((totals, path)) => Ok(Downloaded { path, size, md5: hash.finish(), totals }),
        Err(error) => Err(Failed { error, began: kept.is_some(), part: kept }),
    }
}

fn without_part(error: StoreError) -> Failed {
    Failed { error: error.into(), part: None, began: false }
}

/// One file that comes by itself.
struct FileStore<'i, 'a> {
    part: FilePart<'i>,
    hash: Hash,
    mtime: Option<SystemTime>,
    meter: Meter,
    tell: &'a mut dyn FnMut(Progress),
}

impl Store for FileStore<'_, '_> {
    type Error = StoreError;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, StoreError> {
        Ok(match target {
            Target::File(arrival) if arrival.offset == self.part.len() => Opened::Ready,
            _ => Opened::Refused,
        })
    }

    fn load(&mut self, _at: u64, _into: &mut [u8]) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), StoreError> {
        debug_assert_eq!(at, self.part.len(), "the driver does not repeat itself");
        self.part.append(octets)?;
        self.hash.update(octets);
        self.meter.octets(octets.len() as u64, &mut self.tell);
        Ok(())
    }

    /// Whether all is well is known only at the end of the machine: the name is given then.
    fn close(&mut self) -> Result<(), StoreError> {
        self.meter.file(&mut self.tell);
        Ok(())
    }
}

impl Disk for FileStore<'_, '_> {
    fn unseen(&self) -> Option<&File> {
        (!self.hash.is_running()).then(|| self.part.file())
    }

    fn failed(&self, error: io::Error) -> StoreError {
        self.part.failed(error)
    }

    fn moved(&mut self, octets: u64) -> Result<(), StoreError> {
        self.meter.octets(octets, &mut self.tell);
        self.part.wrote(octets)
    }
}

/// The digest of a file that is being received.
struct Hash {
    policy: Md5Policy,
    /// Octets that were seen.
    size: u64,
    /// `None` when the policy says that it is too much.
    md5: Option<Md5>,
}

impl Hash {
    /// For a file of which `announced` octets are to come. Of a size that is not known, the front is looked at in vain if
    /// it turns out to be too large.
    fn new(policy: Md5Policy, announced: Option<u64>) -> Self {
        Self { policy, size: 0, md5: policy.applies(announced.unwrap_or(0)).then(Md5::new) }
    }

    /// Looks at what is there of an earlier attempt.
    fn take_up(&mut self, part: &FilePart<'_>) -> Result<(), StoreError> {
        if !self.policy.applies(part.len()) {
            self.md5 = None;
        }
        let mut buffer = Vec::new();
        while self.is_running() && self.size < part.len() {
            buffer.resize(64 << 10, 0);
            match crate::store::read_at(part.file(), &mut buffer, self.size) {
                Ok(0) => self.md5 = None,
                Ok(count) => self.update(&buffer[..count]),
                Err(error) => return Err(StoreError::io("read", part.path(), error)),
            }
        }
        Ok(())
    }

    const fn is_running(&self) -> bool {
        self.md5.is_some()
    }

    fn update(&mut self, octets: &[u8]) {
        self.size = self.size.saturating_add(octets.len() as u64);
        if !self.policy.applies(self.size) {
            self.md5 = None;
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(octets);
        }
    }

    fn finish(self) -> Option<[u8; 16]> {
        self.md5.map(|md5| md5.finalize().into())
    }
}

fn folder(
    wanted: &Wanted<'_>,
    name: &FileName,
    inbox: &Inbox,
    clock: Clock,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Progress),
) -> Result<Downloaded, Failed> {
    let meter = Meter::new(0, None);
    let mut store = FolderStore { wanted, name, inbox, root: Root::Nothing, file: None, meter, tell };
    let result = connect(wanted.local, wanted.from, cancel).and_then(|socket| {
        let mut buffer = vec![0; FOLDER_BUFFER];
        let mut machine = FolderClient::new(clock.now(), &mut buffer, &request(wanted, 0), wanted.limits)
            .map_err(|_| TransferError::Aborted("the own name is too long for a request"))?;
        run(&mut machine, socket, &mut store, clock, cancel).and_then(judge)
    });
    // The last file is closed before the folder gets its name.
    drop(store.file.take());
    let (part, root) = (store.root.path(), store.root);
    let began = part.is_some() || matches!(root, Root::Folder(_));
    let finished = result.and_then(|totals| {
        let path = match root {
            Root::Folder(part) => part.finish()?,
            Root::File(part, mtime) => part.finish(mtime)?,
            Root::Nothing => return Err(TransferError::Refused),
        };
        Ok(Downloaded { path, size: totals.octets, md5: None, totals })
    });
    finished.map_err(|error| Failed { error, part, began })
}

/// What a folder stream brings.
struct FolderStore<'i, 'a> {
    wanted: &'a Wanted<'a>,
    name: &'a FileName,
    inbox: &'i Inbox,
    root: Root<'i>,
    /// The file inside the folder that is open.
    file: Option<(File, Option<SystemTime>)>,
    meter: Meter,
    tell: &'a mut dyn FnMut(Progress),
}

enum Root<'i> {
    Nothing,
    Folder(FolderPart<'i>),
    /// A single file may be sent as a folder stream, too.
    File(FilePart<'i>, Option<SystemTime>),
}

impl Root<'_> {
    /// Where what has come is kept, if anything has.
    fn path(&self) -> Option<PathBuf> {
        match self {
            // A folder that is not whole is removed.
            Self::Nothing | Self::Folder(_) => None,
            Self::File(part, _) => (part.len() > 0).then(|| part.path()),
        }
    }
}

impl FolderStore<'_, '_> {
    /// A received name as a name for the disk.
    fn decoded(&self, name: EscapedName<'_>) -> FileName {
        let unescaped: Vec<u8>;
        let octets = if let Some(plain) = name.as_plain() {
            plain
        } else {
            unescaped = name.octets().collect();
            &unescaped
        };
        // With the option for UTF-8 in our request the names should be UTF-8, but not every server cares.
        FileName::from_untrusted(&self.wanted.policy.decode(octets, None, self.wanted.charset))
    }

    fn open_file(&mut self, arrival: &Arrival<'_>) -> Result<Opened<'static>, StoreError> {
        let (size, mtime) = (arrival.size.unwrap_or(0), time(arrival.metadata.modified));
        let name = arrival.name.map(|name| self.decoded(name));
        match (&mut self.root, name) {
            (Root::Nothing, _) => self.root = Root::File(self.inbox.file(self.name, Some(size), None, false)?, mtime),
            (Root::Folder(part), Some(name)) => self.file = Some((part.create(&name, size)?, mtime)),
            _ => return Ok(Opened::Refused),
        }
        Ok(Opened::Ready)
    }

    fn open_folder(&mut self, arrival: &Arrival<'_>) -> Result<Opened<'static>, StoreError> {
        let mtime = time(arrival.metadata.modified);
        let name = arrival.name.map(|name| self.decoded(name));
        match (&mut self.root, name) {
            (Root::Nothing, _) => self.root = Root::Folder(self.inbox.folder(self.name, mtime)?),
            (Root::Folder(part), Some(name)) => part.enter(&name, mtime)?,
            _ => return Ok(Opened::Refused),
        }
        Ok(Opened::Ready)
    }
}

impl Store for FolderStore<'_, '_> {
    type Error = StoreError;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, StoreError> {
        match target {
            Target::File(arrival) => self.open_file(&arrival),
            Target::Folder(arrival) => self.open_folder(&arrival),
            Target::Leave(metadata) => {
                if let Root::Folder(part) = &mut self.root {
                    part.leave(time(metadata.modified));
                }
                Ok(Opened::Leave)
            }
            Target::Request(_) | Target::Next | Target::Ask(_) => Ok(Opened::Refused),
        }
    }

    fn load(&mut self, _at: u64, _into: &mut [u8]) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), StoreError> {
        match (&mut self.root, &self.file) {
            (Root::Folder(part), Some((file, _))) => {
                write_at(file, octets, at).map_err(|error| part.failed(error))?;
                part.wrote(file, octets.len() as u64)?;
            }
            (Root::File(part, _), _) => part.append(octets)?,
            _ => {}
        }
        self.meter.octets(octets.len() as u64, &mut self.tell);
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if let Some((file, mtime)) = self.file.take() {
            set_time(&file, mtime);
        }
        self.meter.file(&mut self.tell);
        Ok(())
    }
}

impl Disk for FolderStore<'_, '_> {
    fn unseen(&self) -> Option<&File> {
        match (&self.root, &self.file) {
            (Root::Folder(_), Some((file, _))) => Some(file),
            (Root::File(part, _), _) => Some(part.file()),
            _ => None,
        }
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::io("write", self.root.path().unwrap_or_default(), error)
    }

    fn moved(&mut self, octets: u64) -> Result<(), StoreError> {
        self.meter.octets(octets, &mut self.tell);
        match (&mut self.root, &self.file) {
            (Root::Folder(part), Some((file, _))) => part.wrote(file, octets),
            (Root::File(part, _), _) => part.wrote(octets),
            _ => Ok(()),
        }
    }
}

/// A time of the protocol as one of this system: none if it is missing, or beyond what people mean.
fn time(seconds: Option<u64>) -> Option<SystemTime> {
    /// The end of the year 9999.
    const END: u64 = 253_402_300_799;
    let seconds = seconds.filter(|&seconds| seconds != 0 && seconds <= END)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
