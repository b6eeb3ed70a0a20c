//! A peer that runs: the server of its share, the door, the hub, and what is asked of them.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::door::Door;
use super::event::Event;
use super::hub::{Handle, Hub};
use super::settings::Settings;
use super::share::Share;
use crate::digest::DigestCache;
use crate::exit::{Exit, Failure};
use crate::service::{self, Guests, Report, Server, Stranger, Strangers};
use crate::transfer::{Cancel, Gate};

/// A peer that runs, until it is dropped.
pub(super) struct Peer {
    pub(super) handle: Handle,
    /// Where others find it.
    pub(super) addr: SocketAddr,
    cancel: Cancel,
    server: Option<JoinHandle<Result<Exit, Failure>>>,
}

impl Peer {
    /// Shares a folder, and meets the neighbours.
    ///
    /// # Errors
    /// A [`Failure`] if the folder or the port cannot be had.
    pub(super) fn start(settings: &Settings, share: &Arc<Share>, report: &Report) -> Result<Self, Failure> {
        let cancel = Cancel::new();
        let options = service::Options {
            dir: share.path().to_owned(),
            listen: settings.listen.into(),
            users: None,
            // R-FL-60.
            guests: Guests::Read,
            max_connections: settings.max_connections.into(),
            report: report.clone(),
        };
        // The door needs the hub, which needs the port, which the server has.
        let later = Arc::new(Later::default());
        let mut server = Server::bind(&options, Some(Arc::clone(&later) as Arc<dyn Strangers>), cancel.clone())?;
        let addr = server.addr;
        report.tell(&[Event::Ready { addr }]);
        let handle = Hub::start(settings, addr.port(), Some(Arc::clone(share)), report.clone(), &cancel)?;
        let door = Door {
            packing: AtomicUsize::new(0),
            handle: handle.clone(),
            share: Some(Arc::clone(share)),
            cancel: cancel.clone(),
            report: report.clone(),
        };
        later.open(door);
        let server = thread::Builder::new()
            .name("server".into())
            .spawn(move || server.run(&mut || None))
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        Ok(Self { handle, addr, cancel, server: Some(server) })
    }

    /// Only asks: nothing is shared. Classic programs find it at a port that the system chooses.
    ///
    /// # Errors
    /// A [`Failure`] if the system has no port.
    pub(super) fn ask_only(settings: &Settings, report: &Report) -> Result<Self, Failure> {
        let cancel = Cancel::new();
        let failed = |error: std::io::Error| Failure::new(format!("cannot listen at {}: {error}", settings.listen));
        let listener = std::net::TcpListener::bind(settings.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let handle = Hub::start(settings, addr.port(), None, report.clone(), &cancel)?;
        let door = Arc::new(Door {
            packing: AtomicUsize::new(0),
            handle: handle.clone(),
            share: None,
            cancel: cancel.clone(),
            report: report.clone(),
        });
        let stop = cancel.clone();
        let server = thread::Builder::new()
            .name("door".into())
            .spawn(move || {
                let gate = Arc::new(Gate::default());
                while !stop.is_cancelled() {
                    match listener.accept() {
                        Ok((stream, peer)) => {
                            let permit = gate.admit(peer.ip());
                            if let (Ok(permit), Ok(())) = (permit, stream.set_nonblocking(false)) {
                                door.take(Stranger { first: Vec::new(), stream, peer, permit });
                            }
                        }
                        // Whom nobody expects may wait as long.
                        Err(_) => thread::sleep(Duration::from_millis(10)),
                    }
                }
                Ok(Exit::Done)
            })
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        Ok(Self { handle, addr, cancel, server: Some(server) })
    }

    /// Whether the server has ended, which it does not by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.server.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Peer {
    /// Ends it, and waits until its port is free.
    pub(super) fn end(&mut self) {
        self.handle.stop();
        self.cancel.cancel();
        if let Some(server) = self.server.take() {
            // A thread that panicked has said so.
            let _ = server.join();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The door, as soon as there is one; nobody is answered before the server runs.
#[derive(Default)]
struct Later(std::sync::OnceLock<Arc<Door>>);

impl Later {
    fn open(&self, door: Door) {
        let _ = self.0.set(Arc::new(door));
    }
}

impl Strangers for Later {
    fn take(&self, stranger: Stranger) {
        if let Some(door) = self.0.get() {
            door.take(stranger);
        }
    }
}

/// Where a peer that only asks listens.
pub(super) const ANYWHERE: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0);

/// Opens the share at `path`.
///
/// # Errors
/// A [`Failure`] if it cannot be opened or made.
pub(super) fn open_share(path: &Path) -> Result<Arc<Share>, Failure> {
    Share::open(path, DigestCache::of_this_user()).map(Arc::new).map_err(|error| Failure::new(error.to_string()))
}
