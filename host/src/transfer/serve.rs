//! Serving what was offered, one thread for each connection.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use feige_core::node::{Offer, Refused};
use feige_core::stream::{Entry, Metadata, Opened, Server, Store, Target, Totals};
use feige_core::text::Text;
use feige_core::wire::ipmsg::{FileRequest, Options, PacketNo, RequestKind};

use super::gate::{Gate, Permit, Refusal};
use super::mover::Disk;
use super::progress::{Meter, Progress};
use super::shares::{Granted, Share, Shares, seconds};
use super::socket::{Cancel, Clock, Socket};
use super::{TransferError, judge, run};
use crate::charset::Charset;
use crate::store::{OpenFile, Skipped, Step, StoreError, Walk, read_at};

/// Room for headers and small files: large enough that ten thousand files are a few hundred writes. The system
/// provides it page by page, so that a request and a single file cost one.
const BUFFER: usize = 256 << 10;

/// A thread moves octets and calls nothing deep.
const STACK: usize = 256 << 10;

/// What a served connection is about: which offer, and who fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The message with the offer.
    pub packet_no: PacketNo,
    /// The file in the list of the offer.
    pub id: u32,
    /// The name under which it was offered.
    pub name: String,
    /// Whether it is fetched as a file or as a folder.
    pub kind: RequestKind,
    /// Who fetches.
    pub to: SocketAddrV4,
}

/// What happens while files are served. Told by the threads that serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// So far a transfer is; at most ten times a second.
    Progress(Fetch, Progress),
    /// A peer has all that it asked for.
    Served {
        /// What, and who.
        fetch: Fetch,
        /// What moved.
        totals: Totals,
    },
    /// A transfer came to nothing, or not to its end.
    Failed {
        /// What, and who.
        fetch: Fetch,
        /// Why.
        error: TransferError,
    },
    /// A peer asked for what it may not have.
    NotOffered {
        /// Who.
        from: SocketAddrV4,
        /// What it asked for: a message …
        packet_no: PacketNo,
        /// … and a file of it.
        id: u32,
        /// Why it does not get it.
        refused: Refused,
    },
    /// Something in a folder could not be read; the peer gets an empty file with a telling name instead.
    Skipped {
        /// What, and who.
        fetch: Fetch,
        /// The entry, below the folder that is offered.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A connection ended before it asked for anything.
    NoRequest {
        /// Who.
        from: SocketAddrV4,
        /// What went wrong.
        error: TransferError,
    },
    /// A connection was closed at once.
    TooMany {
        /// Who.
        from: SocketAddrV4,
        /// Why.
        refusal: Refusal,
    },
}

/// Serves what is in [`Shares`].
pub struct Serving {
    shares: Arc<Shares>,
    gate: Arc<Gate>,
    clock: Clock,
    cancel: Cancel,
    tell: Box<dyn Fn(Event) + Send + Sync>,
}

impl Serving {
    /// Prepares to serve `shares` to as many as `gate` lets in, until `cancel`led. `tell` hears what happens.
    pub fn new(
        shares: Arc<Shares>,
        gate: Gate,
        clock: Clock,
        cancel: Cancel,
        tell: impl Fn(Event) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { shares, gate: Arc::new(gate), clock, cancel, tell: Box::new(tell) })
    }

    /// Serves a connection that was accepted, on a thread of its own; closes it if there are too many.
    pub fn accept(self: &Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let SocketAddr::V4(from) = from else { return };
        let permit = match self.gate.admit(*from.ip()) {
            Ok(permit) => permit,
            Err(refusal) => {
                drop(stream);
                if let Some(refusal) = refusal {
                    (self.tell)(Event::TooMany { from, refusal });
                }
                return;
            }
        };
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name(format!("serve {}", from.ip())).stack_size(STACK);
        if let Err(error) = thread.spawn(move || this.serve(stream, from, &permit)) {
            (self.tell)(Event::NoRequest { from, error: TransferError::Connection(error) });
        }
    }

    fn serve(&self, stream: TcpStream, from: SocketAddrV4, _permit: &Permit) {
        let mut store = SharedStore {
            serving: self,
            from,
            fetch: None,
            offer: None,
            charset: Charset::Utf8,
            open: Open::Nothing,
            name: Vec::new(),
            meter: Meter::new(0, None),
        };
        let mut buffer = vec![0; BUFFER];
        let mut machine = Server::new(self.clock.now(), &mut buffer);
        let result = Socket::new(stream)
            .map_err(TransferError::Connection)
            .and_then(|socket| run(&mut machine, socket, &mut store, self.clock, &self.cancel))
            .and_then(judge);
        if let (Some(offer), Ok(_)) = (&store.offer, &result) {
            self.shares.fetched(self.clock.now(), offer);
        }
        let event = match (store.fetch, result) {
            (Some(fetch), Ok(totals)) => Event::Served { fetch, totals },
            // What could not be opened was told already.
            (Some(_), Err(TransferError::Refused)) => return,
            (Some(fetch), Err(error)) => Event::Failed { fetch, error },
            (None, Err(TransferError::Refused) | Ok(_)) => return,
            (None, Err(error)) => Event::NoRequest { from, error },
        };
        (self.tell)(event);
    }
}

/// What one connection may have.
struct SharedStore<'s> {
    serving: &'s Serving,
    from: SocketAddrV4,
    /// What is fetched, once that is known.
    fetch: Option<Fetch>,
    /// The offer, once it is known.
    offer: Option<Offer>,
    /// In which the names are sent.
    charset: Charset,
    open: Open,
    /// The name of what was opened last, encoded.
    name: Vec<u8>,
    meter: Meter,
}

enum Open {
    Nothing,
    File(OpenFile),
    /// A folder, and the file in it that is being read.
    Folder(Walk, Option<OpenFile>),
}

impl SharedStore<'_> {
    fn request(&mut self, request: &FileRequest<'_>) -> Opened<'_> {
        let from = self.from;
        let granted = match self.serving.shares.grant(self.serving.clock.now(), *from.ip(), request) {
            Ok(granted) => granted,
            Err(refused) => {
                let (packet_no, id) = (request.packet_no, request.id.hex);
                (self.serving.tell)(Event::NotOffered { from, packet_no, id, refused });
                return Opened::Refused;
            }
        };
        let Granted { offer, share, charset } = granted;
        let name = share.name().to_owned();
        let fetch = Fetch { packet_no: offer.packet_no, id: offer.file_id, name, kind: request.kind, to: from };
        // R-IP-102: who asks in UTF-8 is answered in UTF-8.
        self.charset = if request.header.options.contains(Options::UTF8) { Charset::Utf8 } else { charset };
        self.name = self.charset.encode(share.name()).into_owned();
        match self.open(&share) {
            Ok((size, metadata)) => {
                (self.fetch, self.offer) = (Some(fetch), Some(offer));
                self.meter = Meter::new(request.offset.min(size), (share.kind() == RequestKind::File).then_some(size));
                let entry = Entry { name: Text::new(&self.name), size, metadata };
                if share.kind() == RequestKind::File { Opened::File(entry) } else { Opened::Folder(entry) }
            }
            Err(error) => {
                let error = StoreError::io("send", share.path(), error).into();
                (self.serving.tell)(Event::Failed { fetch, error });
                Opened::Refused
            }
        }
    }

    /// Opens what is shared and returns its size and times.
    fn open(&mut self, share: &Share) -> io::Result<(u64, Metadata)> {
        if share.kind() == RequestKind::Folder {
            let (walk, modified) = Walk::open(share.path())?;
            self.open = Open::Folder(walk, None);
            return Ok((0, metadata(modified)));
        }
        let file = OpenFile::open(share.path())?;
        // The peer was told a size and counts on it: of a file that has grown it gets the front, as far as announced;
        // one that has shrunk would leave it waiting.
        if file.size < share.size() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it has become shorter since it was offered"));
        }
        let metadata = metadata(file.mtime);
        self.open = Open::File(file);
        Ok((share.size(), metadata))
    }

    fn next(&mut self) -> Opened<'_> {
        let Open::Folder(walk, open) = &mut self.open else { return Opened::Refused };
        *open = None;
        match walk.step() {
            None | Some(Step::Leave) => Opened::Leave,
            Some(Step::Enter { name, mtime }) => {
                let entry = entry(&mut self.name, self.charset, &name, 0, mtime);
                Opened::Folder(entry)
            }
            Some(Step::File { name, file }) => {
                let entry = entry(&mut self.name, self.charset, &name, file.size, file.mtime);
                *open = Some(file);
                Opened::File(entry)
            }
            Some(Step::Skipped(Skipped { path, error })) => {
                let name = path.file_name().unwrap_or_default().to_owned();
                if let Some(fetch) = self.fetch.clone() {
                    (self.serving.tell)(Event::Skipped { fetch, path, error });
                }
                Opened::Unreadable(entry(&mut self.name, self.charset, &name, 0, None))
            }
        }
    }

    fn file(&self) -> Option<&File> {
        match &self.open {
            Open::File(open) | Open::Folder(_, Some(open)) => Some(&open.file),
            Open::Nothing | Open::Folder(_, None) => None,
        }
    }

    fn sent(&mut self, octets: u64) {
        if let Some(fetch) = &self.fetch {
            self.meter.octets(octets, |progress| (self.serving.tell)(Event::Progress(fetch.clone(), progress)));
        }
    }
}

/// Describes something whose encoded name is put into `buffer`.
fn entry<'n>(
    buffer: &'n mut Vec<u8>,
    charset: Charset,
    name: &OsStr,
    size: u64,
    modified: Option<SystemTime>,
) -> Entry<'n> {
    let name = name.to_string_lossy();
    buffer.clear();
    buffer.extend_from_slice(&charset.encode(&name));
    Entry { name: Text::new(buffer), size, metadata: metadata(modified) }
}

fn metadata(modified: Option<SystemTime>) -> Metadata {
    Metadata { modified: modified.map(seconds), ..Metadata::default() }
}

impl Store for SharedStore<'_> {
    type Error = StoreError;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, StoreError> {
        Ok(match target {
            Target::Request(request) => self.request(&request),
            Target::Next => self.next(),
            Target::File(_) | Target::Folder(_) | Target::Leave(_) | Target::Ask(_) => Opened::Refused,
        })
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        let Some(file) = self.file() else { return Ok(0) };
        let count = read_at(file, into, at).map_err(|error| self.failed(error))?;
        self.sent(count as u64);
        Ok(count)
    }

    fn save(&mut self, _at: u64, _octets: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Disk for SharedStore<'_> {
    fn unseen(&self) -> Option<&File> {
        self.file()
    }

    fn failed(&self, error: io::Error) -> StoreError {
        let name = self.fetch.as_ref().map_or("", |fetch| &fetch.name);
        StoreError::io("read", name, error)
    }

    fn moved(&mut self, octets: u64) -> Result<(), StoreError> {
        self.sent(octets);
        Ok(())
    }
}
