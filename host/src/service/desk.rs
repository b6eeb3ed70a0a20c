//! The store of one connection: does what its client asks, in the home that is its client's.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use feige_core::stream::transfer::{Answer, Ask};
use feige_core::stream::{Opened, Store, Target};
use feige_core::wire::transfer::{ErrorCode, File, Get, Path, Put, Reply, Request, block_len};

use super::MOMENT;
use super::checks::{Left, Waits};
use super::event::Event;
use super::lobby::{Denied, Guest};
use super::run::Service;
use super::settling::Settling;
use crate::accounts::{GUEST, OwnedVerifier};
use crate::digest::{DigestCache, Stream};
use crate::home::{Arriving, Earlier, Finished, Home, HomeError, Item, Listing, Source, Upload};
use crate::store::{StoreError, read_at};

/// Entries in a page of a folder: so many requests for files may follow at once.
const PAGE: usize = 1024;

/// Small files that were sent are told of together, at most so many.
const TOLD_TOGETHER: usize = 64;

/// Folders that are remembered as made just now: clients make so many before they fill the first.
const MADE: usize = 80;

/// How much of a file is hashed in one turn.
const TURN: usize = 8 << 20;

/// What is read at a time while hashing.
const PIECE: usize = 256 << 10;

/// A file larger than this may be the rest of one that was begun before, in blocks of another size.
const SMALL: u64 = 1 << SMALL_LOG2;

/// A small file is one block, and its digest its MD5.
const SMALL_LOG2: u8 = 16;

/// See the module.
pub(super) struct Desk {
    service: Arc<Service>,
    pub(super) peer: SocketAddr,
    guest: Option<Guest>,
    verifier: Option<OwnedVerifier>,
    open: Open,
    /// Before a file can be received, what is here of it is hashed.
    waits: Waits,
    finished: Vec<Finished>,
    /// They are being put on the disk.
    settling: Option<Settling>,
    /// What is told of them once they are settled.
    stored: Vec<Event>,
    /// Small files that were sent: told together, because to write a line takes as long as to read such a file.
    sent: Vec<Event>,
    /// Folders that were made over this connection, without folders in them: see [`Arriving::fresh`].
    made: VecDeque<String>,
    /// Words that files are stored may not leave any more.
    unkept: Option<HomeError>,
    /// Octets could not be written.
    unwritten: Option<HomeError>,
    /// The error that is told, for as long as the answer borrows it.
    error: String,
    item: Option<Item>,
    /// The size of blocks that suits the present buffers, as a power of two.
    pub(super) block: u8,
}

enum Open {
    Nothing,
    Source(Source),
    Upload { upload: Upload, path: String, size: u64 },
    Listing { listing: Listing, left: usize },
    Sum(Box<Summing>),
}

impl Desk {
    pub(super) fn new(service: Arc<Service>, peer: SocketAddr) -> Self {
        Self {
            service,
            peer,
            guest: None,
            verifier: None,
            open: Open::Nothing,
            waits: Waits::No,
            finished: Vec::new(),
            settling: None,
            stored: Vec::new(),
            sent: Vec::new(),
            made: VecDeque::new(),
            unkept: None,
            unwritten: None,
            error: String::new(),
            item: None,
            block: super::BLOCK,
        }
    }

    /// Nothing is under way: closes what is open. An upload that came to nothing lets its name and its room go.
    pub(super) fn put_down(&mut self) {
        self.open = Open::Nothing;
    }

    /// Whether somebody else works for what is asked, and has to be waited for.
    pub(super) const fn is_waiting(&self) -> bool {
        !matches!(self.waits, Waits::No)
    }

    /// Who it is.
    fn user(&self) -> &str {
        self.guest.as_ref().map_or("", |guest| &guest.user)
    }

    fn tell(&mut self, event: Event) {
        self.tell_sent();
        self.service.report.tell(&[event]);
    }

    /// Tells of the small files that were sent. To be called whenever nobody works at the connection.
    pub(super) fn tell_sent(&mut self) {
        if !self.sent.is_empty() {
            self.service.report.tell(&self.sent);
            self.sent.clear();
        }
    }

    fn refuse(&mut self, error: &HomeError) -> Reply<'_> {
        self.error = error.text.clone().into_owned();
        Reply::Error { code: error.code, text: &self.error }
    }

    fn ask(&mut self, ask: Ask<'_>) -> Answer<'_> {
        let now = self.service.clock.now();
        let address = self.peer.ip();
        match ask {
            Ask::Account { user } => match self.service.lobby.verifier(now, address, user) {
                Ok(verifier) => Answer::Account(self.verifier.insert(verifier).as_verifier()),
                Err(error) => Answer::Reply(self.deny(user, &error)),
            },
            Ask::SignedIn { user, proven } => {
                self.verifier = None;
                if proven {
                    let guest = self.service.lobby.signed_in(now, address, user);
                    return Answer::Reply(self.admit(user, guest));
                }
                self.service.lobby.failed(now, address);
                let error = HomeError { code: ErrorCode::SignInFailed, text: "wrong name or password".into() };
                Answer::Reply(self.deny(user, &error))
            }
            Ask::Guest => {
                let guest = self.service.lobby.guest();
                Answer::Reply(self.admit(GUEST, guest))
            }
            Ask::Request(request) if !self.is_counted(&request) => Answer::Reply(Reply::Working),
            Ask::Request(Request::Stat { path }) => Answer::Reply(match self.stat(path) {
                Ok(item) => Reply::Stat(self.item.insert(item).entry()),
                Err(error) => self.refuse(&error),
            }),
            Ask::Request(request) => Answer::Reply(match self.request(request) {
                Ok(reply) => reply,
                Err(error) => self.refuse(&error),
            }),
            Ask::Next => Answer::Reply(self.next()),
            Ask::Loaded => match &self.open {
                // R-VT-51: whoever hears this asks again, and not for ever.
                Open::Source(source) if !source.unchanged() => Answer::Reply(Reply::Error {
                    code: ErrorCode::DigestMismatch,
                    text: "the file changed while it was sent; ask for it again",
                }),
                _ => Answer::Reply(Reply::Done),
            },
            Ask::Verified { at, len, digests } => {
                let result = match (self.unwritten.take(), &mut self.open) {
                    (Some(error), _) => Err(error),
                    (None, Open::Upload { upload, .. }) => upload.verified(at, len, digests),
                    (None, _) => Ok(()),
                };
                Answer::Reply(match result {
                    Ok(()) => Reply::Done,
                    Err(error) => self.give_up(&error),
                })
            }
            Ask::Complete { .. } => Answer::Reply(match self.complete() {
                Ok(()) => Reply::Done,
                Err(error) => self.refuse(&error),
            }),
            Ask::Settle => Answer::Reply(match self.settle_for_a_moment() {
                None => Reply::Working,
                Some(Ok(())) => Reply::Done,
                Some(Err(error)) => self.refuse(&error),
            }),
            // A client's questions.
            _ => Answer::Over,
        }
    }

    fn deny(&mut self, user: &str, error: &Denied) -> Reply<'_> {
        self.tell(Event::Denied { user: user.to_owned(), from: self.peer, error: error.text.to_string() });
        self.refuse(error)
    }

    fn admit(&mut self, user: &str, guest: Result<Guest, Denied>) -> Reply<'_> {
        match guest {
            Ok(guest) => {
                self.tell(Event::SignedIn { user: guest.user.clone(), from: self.peer });
                self.guest = Some(guest);
                Reply::Done
            }
            Err(error) => self.deny(user, &error),
        }
    }

    /// The home, for somebody who has one and does not mean to change it unless he may.
    fn enter(&mut self, changes: bool) -> Result<Arc<Home>, HomeError> {
        let Some(Guest { home, may_write, .. }) = &self.guest else {
            return Err(HomeError { code: ErrorCode::SignInRequired, text: "sign in first".into() });
        };
        if changes && !may_write {
            let text = "guests may only read here; sign in with a name: feige://NAME@HOST/";
            return Err(HomeError { code: ErrorCode::Forbidden, text: text.into() });
        }
        let home = Arc::clone(home);
        self.open = Open::Nothing;
        Ok(home)
    }

    /// Whether a request need not wait until somebody has gone through a home with a quota.
    fn is_counted(&self, request: &Request<'_>) -> bool {
        reads(request) || self.guest.as_ref().is_none_or(|guest| guest.home.is_counted_within(MOMENT))
    }

    /// What was sent has to have its name before something else is done with names.
    fn settle_first(&mut self) {
        if let Err(error) = self.settle() {
            self.unkept = Some(error);
        }
    }

    /// Whether a request has nothing to do with files that wait for their names: a folder is made among them for every
    /// hundred files, and each settling takes two syncs.
    fn is_apart(&self, request: &Request<'_>) -> bool {
        let Request::MakeDir { path, parents: false } = request else { return false };
        let path = path.trim_matches('/');
        !self
            .stored
            .iter()
            .any(|event| matches!(event, Event::Stored { path: file, .. } if file.trim_matches('/') == path))
    }

    fn stat(&mut self, path: &str) -> Result<Item, HomeError> {
        let home = self.enter(false)?;
        self.settle_first();
        home.stat(parse(path)?)
    }

    fn request(&mut self, request: Request<'_>) -> Result<Reply<'static>, HomeError> {
        if let Request::Put(put) = request {
            return self.put(&put);
        }
        let home = self.enter(!reads(&request))?;
        if !self.is_apart(&request) {
            self.settle_first();
        }
        match request {
            Request::List { path, cursor } => {
                let mut listing = home.list(parse(path)?)?;
                if cursor != 0 {
                    listing.seek(cursor)?;
                }
                self.open = Open::Listing { listing, left: PAGE };
            }
            Request::Get(get) => return self.get(&get, &home),
            Request::MakeDir { path, parents } => {
                home.make_dir(parse(path)?, parents)?;
                self.remember_made(parse(path)?);
                self.changed("made the folder", path);
            }
            Request::RemoveDir { path } => {
                home.remove_dir(parse(path)?)?;
                self.changed("removed the folder", path);
            }
            Request::Remove { path } => {
                home.remove(parse(path)?)?;
                self.changed("removed", path);
            }
            Request::Rename { from, to, replace } => {
                self.made.clear();
                home.rename(parse(from)?, parse(to)?, replace)?;
                self.changed("renamed", &format!("{from} to {to}"));
            }
            Request::Space => {
                let Some(space) = home.space_within(MOMENT) else { return Ok(Reply::Working) };
                return Ok(Reply::Space { used: space.used, quota: space.quota, free: space.free });
            }
            Request::Sum { path } => {
                let source = home.read(parse(path)?)?;
                let facts = source.file.metadata().ok();
                if let (Some(cache), Some(facts)) = (&self.service.digests, &facts)
                    && let Some(md5) = cache.lookup(facts)
                {
                    return Ok(Reply::Sum { md5, size: source.size });
                }
                self.open = Open::Sum(Box::new(Summing { source, facts, stream: Stream::new(), at: 0 }));
                return Ok(Reply::Working);
            }
            Request::Time => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                return Ok(Reply::Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)));
            }
            _ => return Err(HomeError { code: ErrorCode::Unsupported, text: "that is not offered here".into() }),
        }
        Ok(Reply::Done)
    }

    fn get(&mut self, get: &Get<'_>, home: &Home) -> Result<Reply<'static>, HomeError> {
        let source = home.read(parse(get.path)?)?;
        let continues = get.stamp == source.stamp && get.offset <= source.size;
        let usual = if source.size <= SMALL { SMALL_LOG2 } else { self.block };
        let block = block_len(get.block).map_or(usual, |_| get.block);
        let len = block_len(block).unwrap_or(1);
        // Who continues a file that is another by now gets all of it; so does who asks for half a block.
        let whole_blocks = get.offset.is_multiple_of(u64::from(len)) || get.offset == source.size;
        let asked = get.stamp == 0 || continues;
        let offset = if asked && whole_blocks { get.offset.min(source.size) } else { 0 };
        let length = (source.size - offset).min(if asked { get.length } else { u64::MAX });
        let reply = Reply::File(File {
            size: source.size,
            mtime: Some(source.mtime),
            mode: Some(source.mode),
            stamp: source.stamp,
            block,
            offset,
            length,
        });
        let path = get.path.to_owned();
        let sent = Event::Sent { user: self.user().to_owned(), path, size: length, to: self.peer };
        if source.size > SMALL {
            self.tell(sent);
        } else {
            self.sent.push(sent);
            if self.sent.len() >= TOLD_TOGETHER {
                self.tell_sent();
            }
        }
        self.open = Open::Source(source);
        Ok(reply)
    }

    fn put(&mut self, put: &Put<'_>) -> Result<Reply<'static>, HomeError> {
        let home = self.enter(true)?;
        // What could not be written of an earlier file is not this one's fault.
        self.unwritten = None;
        let path = parse(put.path)?;
        let mut block = if put.inline { put.block } else { put.block.clamp(12, self.block) };
        if put.size > SMALL {
            // Not only after a large part has been hashed in vain.
            home.admits(path, put.replace)?;
            let is_same = |earlier: &Earlier| (earlier.stamp, earlier.size) == (put.stamp, put.size);
            match self.service.checks.left(&mut self.waits, &home, path, is_same)? {
                Left::Known(Some(earlier)) => block = earlier.block,
                Left::Known(None) => {}
                Left::Doubted => return Ok(Reply::Working),
            }
        }
        let Put { size, mtime, mode, stamp, replace, .. } = *put;
        // What is not replaced has to be refused at once.
        let fresh =
            replace && path.split().is_some_and(|(above, _)| self.made.iter().any(|made| made == above.as_str()));
        let upload = home.receive(path, &Arriving { size, mtime, mode, stamp, block, replace, fresh })?;
        let offset = if put.inline { 0 } else { upload.offset() };
        self.open = Open::Upload { upload, path: put.path.to_owned(), size };
        Ok(Reply::Ready { offset, block })
    }

    /// A folder was made: it is empty, and the one above it is not any more.
    fn remember_made(&mut self, path: Path<'_>) {
        if let Some((above, _)) = path.split() {
            self.made.retain(|made| made != above.as_str() && made != path.as_str());
        }
        if self.made.len() >= MADE {
            self.made.pop_front();
        }
        self.made.push_back(path.as_str().to_owned());
    }

    fn changed(&mut self, what: &'static str, path: &str) {
        self.tell(Event::Changed { user: self.user().to_owned(), what, path: path.to_owned(), from: self.peer });
    }

    fn next(&mut self) -> Reply<'_> {
        match &mut self.open {
            Open::Listing { listing, left: 0 } => {
                let cursor = listing.cursor();
                self.open = Open::Nothing;
                Reply::End { cursor }
            }
            Open::Listing { listing, left } => {
                *left -= 1;
                match listing.next() {
                    Some(Ok(item)) => Reply::Entry(self.item.insert(item).entry()),
                    Some(Err(error)) => {
                        self.open = Open::Nothing;
                        self.refuse(&error)
                    }
                    None => {
                        self.open = Open::Nothing;
                        Reply::End { cursor: 0 }
                    }
                }
            }
            Open::Sum(summing) => match summing.turn(self.service.digests.as_ref()) {
                Ok(None) => Reply::Working,
                Ok(Some(reply)) => {
                    self.open = Open::Nothing;
                    reply
                }
                Err(error) => {
                    self.open = Open::Nothing;
                    let text = format!("cannot read the file: {}", error.kind());
                    self.refuse(&HomeError { code: ErrorCode::Internal, text: text.into() })
                }
            },
            _ => Reply::Error { code: ErrorCode::BadRequest, text: "there is nothing more" },
        }
    }

    /// The file that is received cannot be kept.
    fn give_up(&mut self, error: &HomeError) -> Reply<'_> {
        self.open = Open::Nothing;
        self.refuse(error)
    }

    /// The file that is received is complete. It gets its name when that is told.
    fn complete(&mut self) -> Result<(), HomeError> {
        let Open::Upload { upload, path, size } = std::mem::replace(&mut self.open, Open::Nothing) else {
            return Ok(());
        };
        self.finished.push(upload.complete()?);
        self.stored.push(Event::Stored { user: self.user().to_owned(), path, size, from: self.peer });
        Ok(())
    }

    /// Puts on the disk what was received. Waits as long as that takes.
    fn settle(&mut self) -> Result<(), HomeError> {
        loop {
            if let Some(result) = self.settle_for_a_moment() {
                return result;
            }
        }
    }

    /// The same; `None` if it takes longer.
    fn settle_for_a_moment(&mut self) -> Option<Result<(), HomeError>> {
        if let Some(error) = self.unkept.take() {
            return Some(Err(error));
        }
        let settling = match (&self.settling, &self.guest) {
            (Some(settling), _) => settling,
            (None, Some(guest)) if !self.finished.is_empty() => {
                let finished = std::mem::take(&mut self.finished);
                self.settling.insert(Settling::begin(&guest.home, finished))
            }
            _ => return Some(Ok(())),
        };
        let mut settled = settling.wait()?.into_iter();
        self.settling = None;
        let stored = std::mem::take(&mut self.stored);
        self.tell_sent();
        let mut result = Ok(());
        let mut kept = Vec::with_capacity(stored.len());
        for event in stored {
            match settled.next().unwrap_or_else(|| Err(unsettled())) {
                Ok(()) => kept.push(event),
                Err(error) => result = Err(error),
            }
        }
        self.service.report.tell(&kept);
        Some(result)
    }
}

/// The MD5 of a file that is being computed.
struct Summing {
    source: Source,
    /// Of the file before the first octet was read.
    facts: Option<Metadata>,
    stream: Stream,
    at: u64,
}

impl Summing {
    /// Does a piece of the work.
    fn turn(&mut self, cache: Option<&DigestCache>) -> io::Result<Option<Reply<'static>>> {
        let mut room = vec![0; PIECE];
        for _ in 0..TURN / PIECE {
            let count = read_at(&self.source.file, &mut room, self.at)?;
            if count == 0 {
                let md5 = std::mem::take(&mut self.stream).finish();
                if let (Some(cache), Some(facts)) = (cache, &self.facts)
                    && self.source.unchanged()
                {
                    cache.remember(facts, md5);
                }
                return Ok(Some(Reply::Sum { md5, size: self.at }));
            }
            self.stream.update(&room[..count]);
            self.at += count as u64;
        }
        Ok(None)
    }
}

/// Whether a request changes nothing.
const fn reads(request: &Request<'_>) -> bool {
    matches!(
        request,
        Request::List { .. }
            | Request::Get(_)
            | Request::Stat { .. }
            | Request::Space
            | Request::Sum { .. }
            | Request::Time
    )
}

fn unsettled() -> HomeError {
    HomeError { code: ErrorCode::Internal, text: "the server could not put it on the disk; send it again".into() }
}

fn parse(path: &str) -> Result<Path<'_>, HomeError> {
    Path::parse(path).map_err(|error| HomeError { code: ErrorCode::BadName, text: error.to_string().into() })
}

impl Store for Desk {
    type Error = StoreError;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, StoreError> {
        Ok(match target {
            Target::Ask(ask) => Opened::Answer(self.ask(ask)),
            _ => Opened::Refused,
        })
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        let Open::Source(source) = &self.open else { return Ok(0) };
        read_at(&source.file, into, at).map_err(|error| StoreError::io("read", "a file that is sent", error))
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), StoreError> {
        if let Open::Upload { upload, .. } = &mut self.open
            // What went wrong is told by `verified`, which knows what was not written.
            && let Err(error) = upload.write(at, octets)
        {
            self.unwritten.get_or_insert(error);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
