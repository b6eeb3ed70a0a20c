//! What guests of the verified transfer ask for, answered from the store.
//!
//! A device has one folder, accounts of nobody, and no clock: folders, renaming and the time are refused. Its log is a
//! file that can be read. A store takes octets from front to end, so a block that came damaged is not mended: the
//! client is told to send the file again.

use core::net::SocketAddrV4;

use feige_core::digest::Running;
use feige_core::node::Name;
use feige_core::stream::transfer::{Answer, Ask};
use feige_core::stream::{self, Opened, Target};
use feige_core::text::FileName;
use feige_core::time::Instant;
use feige_core::wire::transfer::{
    BLOCK_LOG2, Entry, EntryKind, ErrorCode, File, Get, Path, Put, Reply, Request, block_len,
};

use super::desk::{Desk, LOG_NAME, Source};
use crate::store::{FileId, Store, StoreError};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Octets that are hashed in one piece, and pieces in one turn, when a sum is asked for.
const PIECE: usize = 256;
const PIECES: usize = 16;

/// What a guest has open.
pub(super) enum Open {
    Nothing,
    /// A file that is sent: what it is, and its size.
    Source(Source, u64),
    /// The entry that comes next.
    Listing(usize),
    /// A file that is hashed, from this octet on.
    Sum {
        source: Source,
        size: u64,
        at: u64,
        running: Running,
    },
    /// A file that is received.
    Upload {
        file: FileId,
        len: u64,
        modified: u64,
        /// Why it cannot be completed any more.
        spoilt: Option<Refusal>,
    },
}

/// Why something is not done: for programs, and for people.
pub(super) type Refusal = (ErrorCode, &'static str);

const NOT_FOUND: Refusal = (ErrorCode::NotFound, "there is no such file");

/// The store of one guest's session.
pub(super) struct Counter<'d, 'a, S, const MEMBERS: usize> {
    pub(super) now: Instant,
    pub(super) desk: &'d mut Desk<'a, S, MEMBERS>,
    pub(super) from: SocketAddrV4,
    pub(super) open: &'d mut Open,
    /// The size of blocks that suits our buffers, as a power of two.
    pub(super) block: u8,
}

/// What a path names.
enum Place {
    Root,
    File { source: Source, size: u64, modified: u64, stamp: u64 },
}

impl<S: Store, const MEMBERS: usize> Counter<'_, '_, S, MEMBERS> {
    /// Nothing is open any longer; a file that is not complete is given up.
    pub(super) fn put_away(&mut self) {
        if let Open::Upload { file, .. } = core::mem::replace(self.open, Open::Nothing) {
            self.desk.store.abort(file);
        }
    }

    fn place(&self, path: &str) -> Result<Place, Refusal> {
        let Ok(path) = Path::parse(path) else { return Err((ErrorCode::BadName, "the name is not one for a file")) };
        let Some((folder, name)) = path.split() else { return Ok(Place::Root) };
        if !folder.is_root() {
            return Err(NOT_FOUND);
        }
        // Only continued attempts are told a stamp; it must not be 0, which means that there was none. After a restart the
        // numbers of files begin anew, and what was half fetched before may be another file.
        let marked = |stamp: u64| (stamp ^ self.desk.seed) | 1 << 63;
        if name.as_bytes() == LOG_NAME {
            let (oldest, size) = (self.desk.log.oldest(), self.desk.log.len());
            let stamp = marked(oldest.saturating_add(size));
            return Ok(Place::File { source: Source::Log(oldest), size, modified: 0, stamp });
        }
        let entry = self.desk.store.find(name.as_bytes()).ok_or(NOT_FOUND)?;
        let stamp = marked(u64::from(entry.id.0) << 32 ^ entry.modified ^ entry.size.rotate_left(20));
        Ok(Place::File { source: Source::File(entry.id), size: entry.size, modified: entry.modified, stamp })
    }

    fn file(&self, path: &str) -> Result<(Source, u64, u64, u64), Refusal> {
        match self.place(path)? {
            Place::Root => Err((ErrorCode::IsAFolder, "it is a folder")),
            Place::File { source, size, modified, stamp } => Ok((source, size, modified, stamp)),
        }
    }

    /// Everything but `Stat`, whose answer has a name in it.
    fn request(&mut self, request: &Request<'_>) -> Result<Reply<'static>, Refusal> {
        match *request {
            Request::List { path, cursor } => match self.place(path)? {
                Place::Root => {
                    *self.open = Open::Listing(usize::try_from(cursor).unwrap_or(usize::MAX));
                    Ok(Reply::Done)
                }
                Place::File { .. } => Err((ErrorCode::NotAFolder, "it is a file")),
            },
            Request::Get(get) => self.get(&get),
            Request::Put(put) => self.put(&put),
            Request::Remove { path } => match self.file(path)?.0 {
                Source::File(id) => {
                    self.desk.store.remove(id).map_err(refusal)?;
                    let now = self.now;
                    self.desk.log.line(now, &|line| _ = line.octets(b"removed ").octets(path.as_bytes()));
                    Ok(Reply::Done)
                }
                _ => Err((ErrorCode::Forbidden, "the log stays")),
            },
            Request::Space => {
                let space = self.desk.store.space();
                let used = space.total.saturating_sub(space.free);
                Ok(Reply::Space { used, quota: Some(space.total), free: Some(space.free) })
            }
            Request::Sum { path } => {
                let (source, size, ..) = self.file(path)?;
                *self.open = Open::Sum { source, size, at: 0, running: Running::new() };
                Ok(Reply::Working)
            }
            Request::MakeDir { path, parents: true } if matches!(self.place(path), Ok(Place::Root)) => Ok(Reply::Done),
            Request::MakeDir { .. } | Request::RemoveDir { .. } => {
                Err((ErrorCode::Unsupported, "a device has no folders"))
            }
            Request::Time => Err((ErrorCode::Unsupported, "the device has no clock")),
            _ => Err((ErrorCode::Unsupported, "that is not offered here")),
        }
    }

    /// R-VT-50 to 52.
    fn get(&mut self, get: &Get<'_>) -> Result<Reply<'static>, Refusal> {
        let (source, size, modified, stamp) = self.file(get.path)?;
        let block = block_len(get.block).map_or(self.block, |_| get.block);
        let aligned = get.offset.checked_rem(block_len(block).unwrap_or(1).into()) == Some(0) || get.offset == size;
        // Whoever asks for what cannot be had from there gets all of it, from the start.
        let asked = aligned && (get.stamp == 0 || (get.stamp == stamp && get.offset <= size));
        let offset = if asked { get.offset.min(size) } else { 0 };
        let left = size.saturating_sub(offset);
        let length = if asked { left.min(get.length) } else { left };
        *self.open = Open::Source(source, length);
        Ok(Reply::File(File { size, mtime: nanoseconds(modified), mode: None, stamp, block, offset, length }))
    }

    /// R-VT-60 to 62.
    fn put(&mut self, put: &Put<'_>) -> Result<Reply<'static>, Refusal> {
        match self.place(put.path) {
            Ok(Place::Root) => return Err((ErrorCode::IsAFolder, "it is a folder")),
            Ok(Place::File { source: Source::Log(_), .. }) => {
                return Err((ErrorCode::Forbidden, "the log is written by the device"));
            }
            Ok(Place::File { .. }) if !put.replace => return Err((ErrorCode::Exists, "there is a file of that name")),
            Err(refusal) if refusal.0 != ErrorCode::NotFound => return Err(refusal),
            _ => {}
        }
        let path = Path::parse(put.path).ok().and_then(Path::split);
        let Some((Path::ROOT, name)) = path else { return Err((ErrorCode::Unsupported, "a device has no folders")) };
        let kept = Name::new(name.as_bytes());
        if !FileName::is_safe(name) || kept.as_bytes() != name.as_bytes() {
            return Err((ErrorCode::BadName, "the name is too long, or not one for a file"));
        }
        let file = self.desk.store.create(&kept, put.size).map_err(refusal)?;
        let modified = put.mtime.and_then(|mtime| u64::try_from(mtime).ok()).unwrap_or(0) / SECOND;
        *self.open = Open::Upload { file, len: 0, modified, spoilt: None };
        let block = put.block.min(self.block).max(*BLOCK_LOG2.start());
        Ok(Reply::Ready { offset: 0, block })
    }

    /// The next entry, or a further piece of a sum.
    fn next(&mut self) -> Reply<'_> {
        match &mut *self.open {
            Open::Listing(place) => {
                let at = *place;
                *place = at.saturating_add(1);
                if at == 0 {
                    return Reply::Entry(entry(LOG_NAME, self.desk.log.len(), 0));
                }
                match self.desk.store.files().nth(at.saturating_sub(1)) {
                    Some(file) => Reply::Entry(entry(file.name.as_bytes(), file.size, file.modified)),
                    None => Reply::End { cursor: 0 },
                }
            }
            Open::Sum { .. } => self.hash().unwrap_or_else(|(code, text)| Reply::Error { code, text }),
            _ => error((ErrorCode::BadRequest, "nothing is open")),
        }
    }

    fn hash(&mut self) -> Result<Reply<'static>, Refusal> {
        let Open::Sum { source, size, at, running } = &mut *self.open else { return Err(NOT_FOUND) };
        for _ in 0..PIECES {
            let mut piece = [0; PIECE];
            let left = usize::try_from(size.saturating_sub(*at)).unwrap_or(PIECE).min(PIECE);
            let room = piece.get_mut(..left).unwrap_or_default();
            let count = if left == 0 { 0 } else { self.desk.read(*source, *at, room).map_err(refusal)? };
            running.update(room.get(..count).unwrap_or_default());
            *at = at.saturating_add(u64::try_from(count).unwrap_or(0));
            if count == 0 {
                let changed = (ErrorCode::Internal, "the file changed while it was read");
                return if at == size {
                    Ok(Reply::Sum { md5: core::mem::take(running).finish(), size: *size })
                } else {
                    Err(changed)
                };
            }
        }
        Ok(Reply::Working)
    }

    /// Every octet of a file has been loaded: is it there still?
    fn loaded(&mut self) -> Reply<'static> {
        let Open::Source(source, size) = *self.open else { return error(NOT_FOUND) };
        if let Source::File(id) = source
            && self.desk.store.entry(id).is_none()
        {
            return error((ErrorCode::Internal, "the file was removed while it was sent"));
        }
        self.desk.tally.served = self.desk.tally.served.saturating_add(1);
        let now = self.now;
        self.desk.log.line(now, &|line| _ = line.octets(b"served ").decimal(size).octets(b" octets, verified"));
        Reply::Done
    }

    /// Blocks were sound. The answer tells what has gone wrong before.
    fn verified(&mut self) -> Reply<'static> {
        match *self.open {
            Open::Upload { spoilt: Some(refusal), .. } => {
                self.put_away();
                error(refusal)
            }
            Open::Upload { .. } => Reply::Done,
            _ => error(NOT_FOUND),
        }
    }

    fn complete(&mut self) -> Reply<'static> {
        let Open::Upload { file, len, modified, spoilt } = *self.open else { return error(NOT_FOUND) };
        let result = match spoilt {
            Some(refusal) => Err(refusal),
            None => self.desk.store.finish(file, modified).map_err(refusal),
        };
        if let Err(refusal) = result {
            self.put_away();
            self.desk.tally.refused = self.desk.tally.refused.saturating_add(1);
            return error(refusal);
        }
        *self.open = Open::Nothing;
        self.desk.tally.stored = self.desk.tally.stored.saturating_add(1);
        let Desk { store, log, .. } = &mut *self.desk;
        let stored = store.entry(file);
        let name = stored.as_ref().map_or(&[][..], |entry| entry.name.as_bytes());
        log.line(self.now, &|line| {
            _ = line.octets(b"stored ").octets(name).octet(b' ').decimal(len).octets(b", verified");
        });
        Reply::Done
    }
}

impl<S: Store, const MEMBERS: usize> stream::Store for Counter<'_, '_, S, MEMBERS> {
    type Error = StoreError;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, StoreError> {
        let Target::Ask(ask) = target else { return Ok(Opened::Refused) };
        let reply = match ask {
            Ask::Account { .. } => error((ErrorCode::Unsupported, "there are no accounts here; come as a guest")),
            Ask::Guest => {
                self.desk.node.proven(*self.from.ip());
                Reply::Done
            }
            // A file has its name, and lasts, when it is complete.
            Ask::Settle => Reply::Done,
            Ask::Request(Request::Stat { path }) => {
                self.put_away();
                match self.place(path) {
                    Ok(Place::Root) => Reply::Stat(Entry { kind: EntryKind::Folder, ..entry(b"", 0, 0) }),
                    Ok(Place::File { source: Source::File(id), size, modified, .. }) => {
                        let name = self.desk.store.entry(id).map_or(&[][..], |entry| entry.name.as_bytes());
                        Reply::Stat(entry(name, size, modified))
                    }
                    Ok(Place::File { size, .. }) => Reply::Stat(entry(LOG_NAME, size, 0)),
                    Err(refusal) => error(refusal),
                }
            }
            Ask::Request(request) => {
                self.put_away();
                self.request(&request).unwrap_or_else(error)
            }
            Ask::Next => self.next(),
            Ask::Loaded => self.loaded(),
            Ask::Verified { .. } => self.verified(),
            Ask::Complete { .. } => self.complete(),
            _ => return Ok(Opened::Refused),
        };
        Ok(Opened::Answer(Answer::Reply(reply)))
    }

    /// What cannot be read is missing: then the client is told, and the connection goes on.
    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, StoreError> {
        let Open::Source(source, _) = *self.open else { return Ok(0) };
        Ok(self.desk.read(source, at, into).unwrap_or(0))
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), StoreError> {
        let Open::Upload { file, len, spoilt, .. } = &mut *self.open else { return Ok(()) };
        if spoilt.is_some() {
            return Ok(());
        }
        if at != *len {
            *spoilt = Some((ErrorCode::DigestMismatch, "a block came damaged; send the file again"));
        } else if let Err(failed) = self.desk.store.append(*file, octets) {
            *spoilt = Some(refusal(failed));
        } else {
            *len = len.saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn error((code, text): Refusal) -> Reply<'static> {
    Reply::Error { code, text }
}

const fn refusal(error: StoreError) -> Refusal {
    let code = match error {
        StoreError::Full { .. } | StoreError::TooMany => ErrorCode::NoSpace,
        StoreError::Gone => ErrorCode::NotFound,
        StoreError::TooLong => ErrorCode::BadRequest,
        StoreError::Failed => ErrorCode::Internal,
    };
    (code, error.as_str())
}

fn entry(name: &[u8], size: u64, modified: u64) -> Entry<'_> {
    // Names in a store are UTF-8, whatever those were that came.
    let name = core::str::from_utf8(name).unwrap_or_default();
    Entry { name, kind: EntryKind::File, size, mtime: nanoseconds(modified), mode: None }
}

/// Of seconds since 1970; 0 is no time at all.
fn nanoseconds(seconds: u64) -> Option<i64> {
    if seconds == 0 { None } else { i64::try_from(seconds.saturating_mul(SECOND)).ok() }
}
