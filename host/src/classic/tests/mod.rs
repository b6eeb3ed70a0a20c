//! The real server function and the real clients over loopback.

mod clients;
mod hostile;
mod servers;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::home::Home;
use crate::transfer::Cancel;

/// How the server's side of a connection ended, and what it told.
type Served = (Result<Summary, ClassicError>, Vec<Event>);

/// One connection to the real server function, which serves a folder.
struct Rig {
    folder: TempDir,
    peer: TcpStream,
    server: JoinHandle<Served>,
}

impl Rig {
    fn new() -> Self {
        Self::with(Right::Write, None, Limits::default())
    }

    fn with(right: Right, quota: Option<u64>, limits: Limits) -> Self {
        let folder = TempDir::new().unwrap();
        let (peer, server) = start(folder.path(), right, quota, limits);
        Self { folder, peer, server }
    }

    /// Another connection to a server of the same folder.
    fn again(&mut self) {
        let (peer, server) = start(self.folder.path(), Right::Write, None, Limits::default());
        self.peer = peer;
        std::mem::replace(&mut self.server, server).join().unwrap().0.unwrap();
    }

    fn say(&mut self, octets: &[u8]) {
        self.peer.write_all(octets).unwrap();
    }

    /// Says that nothing more will come, and returns everything that the server said until it closed, or `None` if it
    /// reset the connection.
    fn rest(&mut self) -> Option<Vec<u8>> {
        let _ = self.peer.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        self.peer.read_to_end(&mut rest).ok().map(|_| rest)
    }

    /// Reads one message of the server: its header and body.
    fn message(&mut self) -> (serde_json::Value, Vec<u8>) {
        let mut length = [0; 4];
        self.peer.read_exact(&mut length).unwrap();
        let mut header = vec![0; usize::try_from(i32::from_le_bytes(length)).unwrap()];
        self.peer.read_exact(&mut header).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let size = header.get("data_length").or_else(|| header.get("total_size")).unwrap().as_u64().unwrap();
        let mut body = vec![0; usize::try_from(size).unwrap()];
        self.peer.read_exact(&mut body).unwrap();
        (header, body)
    }

    fn end(mut self) -> (Served, TempDir) {
        self.rest();
        (self.server.join().unwrap(), self.folder)
    }

    /// The server refused, and nothing appeared.
    fn refused(self, why: &str) -> ClassicError {
        let ((result, events), folder) = self.end();
        let error = result.expect_err(why);
        assert!(!events.iter().any(|event| matches!(event, Event::Received { .. })), "{why}: {events:?}");
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new(), "{why}");
        error
    }
}

fn start(folder: &Path, right: Right, quota: Option<u64>, limits: Limits) -> (TcpStream, JoinHandle<Served>) {
    let home = Home::open(folder, quota).unwrap();
    let (address, server) = listen(move |stream| {
        let mut events = Vec::new();
        let shelf = Guests::new(home, right);
        let result = serve(stream, Vec::new(), &shelf, &limits, &Cancel::new(), &mut |event| events.push(event));
        (result, events)
    });
    let peer = TcpStream::connect(address).unwrap();
    peer.set_nodelay(true).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (peer, server)
}

/// Hands the first connection to `serve`.
fn listen<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (address, std::thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Everything below a folder that is no folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Length and header.
fn header(text: &str) -> Vec<u8> {
    [&i32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat()
}

/// A put of `name`, which is written as JSON already.
fn put(name: &str, body: &[u8]) -> Vec<u8> {
    let text = format!(r#"{{"cmd": "put", "filename": "{name}", "filesize": {}}}"#, body.len());
    [header(&text), body.to_vec()].concat()
}

/// Octets of all values, both quotes among them.
fn contents(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at * at % 251 + at % 5).unwrap()).collect()
}
