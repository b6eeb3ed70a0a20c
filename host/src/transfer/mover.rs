//! Moving the octets of files between a socket and a disk, past this process where the system can.
//!
//! On Linux `sendfile` hands pages of a file to a socket, and `splice` hands what a socket received to a file by way
//! of a pipe; not one octet is copied through this process. Elsewhere, for file systems that cannot, and
//! where somebody has to look at the octets (a digest), a buffer does it.
//!
//! **Memory**: nothing, or one buffer, made when it is first needed.

use std::fs::File;
use std::io::Read;

use feige_core::drive::DriveError;
use feige_core::drive::blocking::{Moved, Mover};
use feige_core::stream::Store;

use super::socket::{Socket, SocketError};
use crate::store::read_at;

/// Octets that are moved by one call at most: few enough that progress is seen and a cancelled transfer ends soon,
/// enough that the calls cost nothing.
const STRIDE: u64 = 1 << 20;

/// Where octets that are looked at pass through: fits into the cache of one core.
const BUFFER: usize = 256 << 10;

/// A store whose open object is a file of this system.
pub(super) trait Disk: Store {
    /// The open file, if its octets need not be seen on their way.
    fn unseen(&self) -> Option<&File>;

    /// Wraps an error of the system about the open file.
    fn failed(&self, error: std::io::Error) -> Self::Error;

    /// Tells that `octets` of the open file were moved without the store.
    ///
    /// # Errors
    /// The store's own: no space.
    fn moved(&mut self, octets: u64) -> Result<(), Self::Error>;
}

/// Moves octets by the best way there is.
#[derive(Debug, Default)]
pub(super) struct Fast {
    buffer: Vec<u8>,
    #[cfg(target_os = "linux")]
    pipe: linux::Pipe,
}

impl Fast {
    fn buffer(&mut self, len: u64) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BUFFER];
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.buffer.len());
        &mut self.buffer[..len]
    }

    fn send_by_buffer<S: Disk>(&mut self, socket: &mut Socket, store: &mut S, at: u64, len: u64) -> Moved<Socket, S> {
        let room = self.buffer(len);
        // Not by way of the store, which would count what the socket may not take.
        let Some(file) = store.unseen() else { return Ok(0) };
        let count = read_at(file, room, at).map_err(|error| DriveError::Store(store.failed(error)))?;
        if count == 0 {
            return Ok(0);
        }
        match embedded_io::Write::write(socket, &room[..count]).map_err(DriveError::Transport)? {
            0 => Err(DriveError::WriteZero),
            count => {
                store.moved(count as u64).map_err(DriveError::Store)?;
                Ok(count as u64)
            }
        }
    }

    fn receive_by_buffer<S: Disk>(&mut self, socket: &Socket, store: &mut S, at: u64, len: u64) -> Moved<Socket, S> {
        let room = self.buffer(len);
        let count = socket.stream().read(room).map_err(|error| DriveError::Transport(SocketError(error)))?;
        if count > 0 {
            store.save(at, &room[..count]).map_err(DriveError::Store)?;
        }
        Ok(count as u64)
    }
}

impl<S: Disk> Mover<Socket, S> for Fast {
    fn send(&mut self, socket: &mut Socket, store: &mut S, at: u64, len: u64) -> Moved<Socket, S> {
        let len = len.min(STRIDE);
        #[cfg(target_os = "linux")]
        if let Some(file) = store.unseen()
            && let Some(result) = linux::send(socket, file, at, len)
        {
            let count = result.map_err(|error| DriveError::Transport(error.into()))?;
            store.moved(count).map_err(DriveError::Store)?;
            return Ok(count);
        }
        self.send_by_buffer(socket, store, at, len)
    }

    fn receive(&mut self, socket: &mut Socket, store: &mut S, at: u64, len: u64) -> Moved<Socket, S> {
        let len = len.min(STRIDE);
        #[cfg(target_os = "linux")]
        if let Some(file) = store.unseen()
            && let Some(result) = self.pipe.receive(socket, file, at, len)
        {
            let count = result.map_err(|error| match error {
                linux::Side::Socket(error) => DriveError::Transport(error.into()),
                linux::Side::File(error) => DriveError::Store(store.failed(error)),
            })?;
            store.moved(count).map_err(DriveError::Store)?;
            return Ok(count);
        }
        self.receive_by_buffer(socket, store, at, len)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

    use super::{STRIDE, Socket};

    /// Whose error it was.
    pub(super) enum Side {
        Socket(io::Error),
        File(io::Error),
    }

    /// Moves up to `len` octets of `file` from `at` on to the socket; `None` if this file cannot be moved so.
    pub(super) fn send(socket: &Socket, file: &File, at: u64, len: u64) -> Option<io::Result<u64>> {
        let mut at = at;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match rustix::fs::sendfile(socket.stream(), file, Some(&mut at), len) {
            Ok(count) => Some(Ok(count as u64)),
            Err(Errno::INVAL | Errno::NOSYS) => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    /// The pipe that `splice` needs between a socket and a file.
    #[derive(Debug, Default)]
    pub(super) enum Pipe {
        #[default]
        New,
        Open {
            from: OwnedFd,
            to: OwnedFd,
        },
        /// It does not work here: with this file system, or for want of handles.
        Useless,
    }

    impl Pipe {
        fn open(&mut self) -> Option<(&OwnedFd, &OwnedFd)> {
            if matches!(self, Self::New) {
                *self = match pipe_with(PipeFlags::CLOEXEC) {
                    Ok((from, to)) => {
                        // Refused when this user has many large pipes; a small one works as well, only slower.
                        let _ = fcntl_setpipe_size(&to, usize::try_from(STRIDE).unwrap_or(usize::MAX));
                        Self::Open { from, to }
                    }
                    Err(_) => Self::Useless,
                };
            }
            match self {
                Self::Open { from, to } => Some((from, to)),
                Self::New | Self::Useless => None,
            }
        }

        /// Moves up to `len` octets from the socket to `file` at `at`; 0 at the end of the stream, `None` if it
        /// cannot be done so.
        pub(super) fn receive(&mut self, socket: &Socket, file: &File, at: u64, len: u64) -> Option<Result<u64, Side>> {
            let (from, to) = self.open()?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let flags = SpliceFlags::MOVE | SpliceFlags::MORE;
            let count = match splice(socket.stream(), None, to, None, len, flags) {
                Ok(0) => return Some(Ok(0)),
                Ok(count) => count,
                Err(Errno::INVAL | Errno::NOSYS) => {
                    *self = Self::Useless;
                    return None;
                }
                Err(error) => return Some(Err(Side::Socket(error.into()))),
            };
            let mut left = count;
            let mut position = at;
            while left > 0 {
                match splice(from, None, file, Some(&mut position), left, SpliceFlags::MOVE) {
                    Ok(0) => return Some(Err(Side::File(io::ErrorKind::WriteZero.into()))),
                    Ok(moved) => left = left.saturating_sub(moved),
                    Err(Errno::INTR) => {}
                    Err(Errno::INVAL) => {
                        let result = empty(from, file, position, left);
                        *self = Self::Useless;
                        return Some(result.map(|()| count as u64).map_err(Side::File));
                    }
                    Err(error) => return Some(Err(Side::File(error.into()))),
                }
            }
            Some(Ok(count as u64))
        }
    }

    /// Writes what is in the pipe to a file that `splice` cannot write to.
    fn empty(pipe: &OwnedFd, file: &File, at: u64, len: usize) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let mut octets = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match rustix::io::read(pipe, &mut octets[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        file.write_all_at(&octets, at)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use feige_core::stream::{Opened, Target};

    use super::*;

    /// A file that is open already.
    struct Plain(File);

    impl Store for Plain {
        type Error = io::Error;

        fn open(&mut self, _: Target<'_>) -> io::Result<Opened<'_>> {
            Ok(Opened::Ready)
        }

        fn load(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
            read_at(&self.0, into, at)
        }

        fn save(&mut self, at: u64, octets: &[u8]) -> io::Result<()> {
            crate::store::write_at(&self.0, octets, at)
        }

        fn close(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for Plain {
        fn unseen(&self) -> Option<&File> {
            Some(&self.0)
        }

        fn failed(&self, error: io::Error) -> io::Error {
            error
        }

        fn moved(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }

    fn connection() -> (Socket, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Socket::new(listener.accept().unwrap().0).unwrap(), far)
    }

    #[test]
    fn a_buffer_sends_what_sendfile_cannot() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "hello, world").unwrap();
        let mut store = Plain(File::open(folder.path().join("x")).unwrap());
        let (mut socket, mut far) = connection();
        let mut fast = Fast::default();
        assert_eq!(fast.send_by_buffer(&mut socket, &mut store, 7, 3).unwrap(), 3);
        assert_eq!(fast.send_by_buffer(&mut socket, &mut store, 10, 99).unwrap(), 2);
        assert_eq!(fast.send_by_buffer(&mut socket, &mut store, 12, 99).unwrap(), 0, "the file has no more");
        drop(socket);
        let mut got = String::new();
        far.read_to_string(&mut got).unwrap();
        assert_eq!(got, "world");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_splice_cannot_write_to_is_written_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        // Splicing to a file that is open for appending is not allowed.
        let mut store = Plain(fs::OpenOptions::new().append(true).create_new(true).open(&path).unwrap());
        let (mut socket, mut far) = connection();
        let mut fast = Fast::default();
        far.write_all(b"hello").unwrap();
        assert_eq!(fast.receive(&mut socket, &mut store, 0, 5).unwrap(), 5);
        assert!(matches!(fast.pipe, linux::Pipe::Useless));
        far.write_all(b", world").unwrap();
        assert_eq!(fast.receive(&mut socket, &mut store, 5, 7).unwrap(), 7);
        drop(far);
        assert_eq!(fast.receive(&mut socket, &mut store, 12, 1).unwrap(), 0, "the stream has no more");
        assert_eq!(fs::read_to_string(path).unwrap(), "hello, world");
    }
}
