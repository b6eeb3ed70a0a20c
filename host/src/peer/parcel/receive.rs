//! Taking an archive from a connection.
//!
//! **Protocol**: R-FL-81 (the length), R-FL-84 (where an archive ends), R-FL-88 (an object alone).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use feige_core::digest::{Digest, Running};
use feige_core::wire::classic::prefix;
use feige_core::wire::transfer::{LENGTH, Prefix};

use super::archive::{END, End};
use super::{BUFFER, ParcelError, aside, header, temporary};
use crate::peer::share::Share;
use crate::store::Space;
use crate::transfer::{Cancel, is_pause};

/// No wait is longer than this at a stretch, so that a cancelled exchange ends soon.
const TICK: Duration = Duration::from_millis(250);

/// An object without a length has less octets than this.
const ALONE: usize = 1024;

/// How long is waited for what, and how much is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For the first octet of an answer: the holder packs first.
    pub answer: Duration,
    /// Without an octet, from then on.
    pub idle: Duration,
    /// In which at least 1,024 octets must come: a sender of one octet a second is none.
    pub pace: Duration,
    /// Octets of the archive, and as many unpacked.
    pub most: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(5),
            pace: Duration::from_secs(30),
            most: 1 << 30,
        }
    }
}

/// What came.
#[derive(Debug)]
pub enum Arrived {
    /// An archive, in a file without a name, that has the digest of its header.
    Archive(File),
    /// The text of a file.
    Text(String),
}

/// Receives what a holder answers, for the share, and tells after each piece how many octets of the archive are there.
///
/// # Errors
/// Everything that the peer does wrong, and [`ParcelError::Cancelled`].
pub fn receive(
    stream: &TcpStream,
    share: &Share,
    limits: &Limits,
    cancel: &Cancel,
    mut tell: impl FnMut(u64),
) -> Result<Arrived, ParcelError> {
    let mut source = Source { stream, cancel, pace: Pace::new(limits.pace), buffer: vec![0; BUFFER] };
    let mut pending = Vec::new();
    let mut patience = limits.answer;
    let md5 = loop {
        match framed(&pending)? {
            Framed::Header(end) => {
                let md5 = header::parse(&pending[LENGTH..end])?;
                pending.drain(..end);
                break md5;
            }
            Framed::Alone => return alone(&mut source, pending, limits),
            Framed::More => {}
        }
        match source.more(patience)? {
            Came::Octets(count) => pending.extend_from_slice(&source.buffer[..count]),
            Came::End => return Err(ParcelError::Short { got: 0 }),
            Came::Nothing => return Err(ParcelError::TimedOut { what: "whole header", after: patience }),
        }
        patience = limits.idle;
    };
    let mut archive = Archive::new(share, md5, limits.most)?;
    let mut piece = pending;
    loop {
        archive.take(&piece)?;
        tell(archive.size);
        if archive.is_whole() {
            return archive.done();
        }
        match source.more(limits.idle)? {
            Came::Octets(count) => {
                piece.clear();
                piece.extend_from_slice(&source.buffer[..count]);
            }
            Came::End | Came::Nothing => return Err(archive.failed()),
        }
    }
}

enum Framed {
    More,
    /// A header is there; it ends here.
    Header(usize),
    /// An object without a length.
    Alone,
}

fn framed(octets: &[u8]) -> Result<Framed, ParcelError> {
    // As a length, the beginning of an object were one of more than 64 KiB: no text has the octet 0.
    if octets.len() >= LENGTH && octets.starts_with(b"{") && octets[LENGTH - 1] != 0 {
        return Ok(Framed::Alone);
    }
    match prefix(octets).map_err(|_| ParcelError::Header("its length cannot be"))? {
        Prefix::Header(length) if octets.len() >= LENGTH + length => Ok(Framed::Header(LENGTH + length)),
        _ => Ok(Framed::More),
    }
}

/// Reads the rest of an object without a length.
fn alone(source: &mut Source<'_>, mut octets: Vec<u8>, limits: &Limits) -> Result<Arrived, ParcelError> {
    while octets.len() < ALONE {
        match header::parse_alone(&octets) {
            Ok((md5, body)) if md5 == Digest::of(body.as_bytes()) => return Ok(Arrived::Text(body)),
            Ok(_) => return Err(ParcelError::Digest),
            // An object that is closed, and wrong: more octets do not make it right.
            Err(error) if octets.trim_ascii_end().ends_with(b"}") && !matches!(error, ParcelError::Header(NO_JSON)) => {
                return Err(error);
            }
            Err(_) => {}
        }
        match source.more(limits.idle)? {
            Came::Octets(count) => octets.extend_from_slice(&source.buffer[..count]),
            Came::End | Came::Nothing => return Err(ParcelError::Short { got: octets.len() as u64 }),
        }
    }
    Err(ParcelError::Header("it has no length, and 1,024 octets or more"))
}

/// What a header that is not whole is said to be.
const NO_JSON: &str = "it is no JSON object";

/// An archive that is coming.
struct Archive<'s> {
    share: &'s Share,
    file: File,
    space: Space,
    size: u64,
    most: u64,
    running: Running,
    /// The last octets.
    tail: Vec<u8>,
    md5: Digest,
    /// Whether an end that fits was seen.
    ended: bool,
}

impl<'s> Archive<'s> {
    fn new(share: &'s Share, md5: Digest, most: u64) -> Result<Self, ParcelError> {
        let (file, space) = (aside(share)?, Space::default());
        Ok(Self { share, file, space, size: 0, most, running: Running::new(), tail: Vec::new(), md5, ended: false })
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), ParcelError> {
        self.size = self.size.saturating_add(octets.len() as u64);
        if self.size > self.most {
            return Err(ParcelError::TooLarge { most: self.most });
        }
        self.space.spend(self.share.dir(), octets.len() as u64)?;
        self.file.write_all(octets).map_err(temporary)?;
        self.running.update(octets);
        self.tail.extend_from_slice(&octets[octets.len().saturating_sub(END)..]);
        self.tail.drain(..self.tail.len().saturating_sub(END));
        Ok(())
    }

    fn is_whole(&mut self) -> bool {
        let end = self.tail.first_chunk::<END>().and_then(|tail| End::parse(tail, self.size));
        self.ended = end.is_some();
        self.ended && self.running.clone().finish() == self.md5
    }

    fn failed(&self) -> ParcelError {
        if self.ended { ParcelError::Digest } else { ParcelError::Short { got: self.size } }
    }

    fn done(mut self) -> Result<Arrived, ParcelError> {
        self.file.seek(SeekFrom::Start(0)).map_err(temporary)?;
        Ok(Arrived::Archive(self.file))
    }
}

/// What reading gave.
enum Came {
    Octets(usize),
    End,
    Nothing,
}

struct Source<'s> {
    stream: &'s TcpStream,
    cancel: &'s Cancel,
    pace: Pace,
    buffer: Vec<u8>,
}

impl Source<'_> {
    fn more(&mut self, patience: Duration) -> Result<Came, ParcelError> {
        let deadline = Instant::now() + patience;
        loop {
            if self.cancel.is_cancelled() {
                return Err(ParcelError::Cancelled);
            }
            // Zero would mean "no limit" to some systems.
            let tick = deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), TICK);
            self.stream.set_read_timeout(Some(tick)).map_err(ParcelError::Connection)?;
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(Came::End),
                Ok(count) => {
                    self.pace.count(count)?;
                    return Ok(Came::Octets(count));
                }
                Err(error) if is_pause(&error) => {
                    if Instant::now() >= deadline {
                        return Ok(Came::Nothing);
                    }
                }
                // They close in whatever way: what came before decides.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Came::End),
                Err(error) => return Err(ParcelError::Connection(error)),
            }
        }
    }
}

/// Watches that enough comes.
struct Pace {
    window: Duration,
    since: Option<Instant>,
    octets: usize,
}

impl Pace {
    const LEAST: usize = 1024;

    const fn new(window: Duration) -> Self {
        Self { window, since: None, octets: 0 }
    }

    fn count(&mut self, octets: usize) -> Result<(), ParcelError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.octets += octets;
        if self.octets >= Self::LEAST {
            (self.since, self.octets) = (Some(Instant::now()), 0);
        } else if since.elapsed() > self.window {
            return Err(ParcelError::TimedOut { what: "more than a trickle", after: self.window });
        }
        Ok(())
    }
}
