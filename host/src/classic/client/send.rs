//! Simple upload and put: a file to the server, and no answer.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use feige_core::digest::{Digest, Running};
use feige_core::wire::BufferTooSmall;
use feige_core::wire::classic::{Put, Upload};

use super::Client;
use crate::classic::connection::BUFFER;
use crate::classic::{ClassicError, emitted};
use crate::transfer::Meter;

/// A file that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its octets.
    pub size: u64,
    /// Their MD5, for comparing by hand: the dialect has none.
    pub md5: Digest,
    /// Whether the server closed the connection in good order after the last octet: the most that this dialect has of a
    /// confirmation. Servers exist that keep it open.
    pub closed: bool,
}

/// Sends the file at `path` to a server of simple uploads, which will see it under `name` (R-CL-20).
///
/// # Errors
/// [`ClassicError`]; the server has at most a part of the file then. [`ClassicError::BrokeOff`] is how a server refuses.
pub fn send_upload(client: &mut Client<'_>, path: &Path, name: &str) -> Result<Sent, ClassicError> {
    send(client, path, |size, buffer| Upload { path: name.into(), name: name.into(), size }.emit(buffer))
}

/// Sends the file at `path` to a put server, which will see it under `name`: one file on a connection, because a classic
/// server loses the second of two that arrive together (R-CL-24).
///
/// # Errors
/// As [`send_upload`].
pub fn send_put(client: &mut Client<'_>, path: &Path, name: &str) -> Result<Sent, ClassicError> {
    send(client, path, |size, buffer| Put { name: name.into(), size }.emit(buffer))
}

fn send(
    client: &mut Client<'_>,
    path: &Path,
    emit: impl Fn(u64, &mut [u8]) -> Result<usize, BufferTooSmall>,
) -> Result<Sent, ClassicError> {
    let mut file = LocalFile::open(path)?;
    let size = file.size;
    let header = emitted(|buffer| emit(size, buffer))?;
    let mut connection = client.connect()?;
    let stall = client.limits.stall;
    let mut meter = Meter::new(0, Some(size));
    let mut md5 = Running::new();
    let sent = connection.write(&header, stall).and_then(|()| {
        file.each_piece(|octets| {
            md5.update(octets);
            connection.write(octets, stall)?;
            meter.octets(octets.len() as u64, &mut *client.progress);
            Ok(())
        })
    });
    let ended = match sent {
        Ok(()) => connection.end(),
        Err(error) => {
            // So that the server cannot take the beginning for the whole.
            connection.reset();
            Err(error)
        }
    };
    match ended {
        Ok(closed) => Ok(Sent { size, md5: md5.finish(), closed }),
        // R-CL-23: that is how a server says no.
        Err(ClassicError::Connection(error)) if is_break(&error) => Err(ClassicError::BrokeOff),
        Err(error) => Err(error),
    }
}

fn is_break(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionReset | BrokenPipe | ConnectionAborted)
}

/// A file of this machine, with the size that it had when it was opened.
pub(super) struct LocalFile<'p> {
    path: &'p Path,
    file: File,
    pub(super) size: u64,
}

impl<'p> LocalFile<'p> {
    pub(super) fn open(path: &'p Path) -> Result<Self, ClassicError> {
        let failed = |source| ClassicError::File { path: path.into(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
            return Err(failed(what.into()));
        }
        Ok(Self { path, file, size: metadata.len() })
    }

    /// Reads the file from its beginning, piece by piece: all but the last of a multiple of 1,024 octets.
    pub(super) fn each_piece(
        &mut self,
        mut sink: impl FnMut(&[u8]) -> Result<(), ClassicError>,
    ) -> Result<(), ClassicError> {
        use std::io::Seek as _;
        let failed = |source| ClassicError::File { path: self.path.into(), source };
        self.file.rewind().map_err(failed)?;
        let mut buffer = vec![0; BUFFER];
        let mut left = self.size;
        while left > 0 {
            let want = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            let octets = &mut buffer[..want];
            self.file.read_exact(octets).map_err(failed)?;
            sink(octets)?;
            left -= want as u64;
        }
        Ok(())
    }
}
