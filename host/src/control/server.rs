//! The answering side: part of the event loop of a running instance.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

use super::{End, Request, is_ours, path};
use crate::exit::Exit;
use crate::ui::event::Event;

/// Requests are a text and some paths; nothing of ours is longer.
const LONGEST_REQUEST: usize = 1 << 20;
/// A client that does not read is dropped when this much waits for it.
const MOST_WAITING: usize = 1 << 20;

/// The socket on which requests come.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Listens. Call it only when the port is ours: a socket that is left over from an instance that ended
    /// without a word is replaced.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(bind: Ipv4Addr, port: u16, registry: &Registry, token: Token) -> io::Result<Self> {
        let path = path(bind, port).ok_or(io::ErrorKind::NotFound)?;
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            if !is_ours(folder) {
                let error = format!("{} is not a folder of this account alone", folder.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, error));
            }
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Self { listener, path })
    }

    /// The next client that connected, if there is one.
    pub fn accept(&self) -> Option<Client> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(Client { stream, request: Vec::new(), waiting: VecDeque::new() }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is lost if it stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// Somebody who asks.
pub struct Client {
    stream: UnixStream,
    request: Vec<u8>,
    waiting: VecDeque<u8>,
}

impl Client {
    /// Begins to watch the connection.
    ///
    /// # Errors
    /// What the system says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Ends watching.
    pub fn deregister(&mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.stream);
    }

    /// Reads on: the request when it is complete, or nothing yet.
    ///
    /// # Errors
    /// The client went away, or asks nonsense.
    pub fn read(&mut self) -> io::Result<Option<Request>> {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.request.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.request.len() > LONGEST_REQUEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.request.last() == Some(&b'\n') {
                let request = std::mem::take(&mut self.request);
                return serde_json::from_slice(&request).map(Some).map_err(Into::into);
            }
        }
    }

    /// Tells an event.
    ///
    /// # Errors
    /// The client went away, or does not read.
    pub fn tell(&mut self, event: &Event) -> io::Result<()> {
        self.line(event)
    }

    /// Tells the end.
    ///
    /// # Errors
    /// The client went away, or does not read.
    pub fn end(&mut self, exit: Exit, message: Option<String>) -> io::Result<()> {
        self.line(&End { exit: exit.code(), message })
    }

    fn line(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        self.waiting.extend(serde_json::to_vec(line)?);
        self.waiting.push_back(b'\n');
        self.flush()?;
        if self.waiting.len() > MOST_WAITING {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    /// Writes what waits, as far as the client reads.
    ///
    /// # Errors
    /// The client went away.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let (front, _) = self.waiting.as_slices();
            match self.stream.write(front) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
