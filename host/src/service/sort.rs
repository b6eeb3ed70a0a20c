//! Telling the native protocol from the classic dialects, which have threads of their own.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use feige_core::wire::classic::Opening;
use feige_core::wire::flood;
use feige_core::wire::transfer::LENGTH;

use super::event::Event;
use super::line::Line;
use super::lobby::Guest;
use super::run::Service;
use crate::classic::{self, ClassicError, Limits, Right};
use crate::exit::Exit;
use crate::transfer::Permit;

/// So many octets are enough to tell.
const ENOUGH: usize = 64;

/// The programs that speak these dialects are few: they have threads, each with a buffer.
const STACK: usize = 512 << 10;

/// What a line turned out to be.
pub(super) enum Sorted {
    /// One for the workers.
    Native(Box<Line>),
    /// Not enough has come to tell.
    Unknown(Box<Line>),
    /// Nothing to go on with: it is over, or somebody else has it.
    Gone,
}

/// Takes the connections that are not the verified transfer's.
pub(crate) trait Strangers: Send + Sync {
    /// Takes one, at once: whoever calls has more to do.
    fn take(&self, stranger: Stranger);
}

/// A connection whose first octets are not the verified transfer's.
pub(crate) struct Stranger {
    /// What was read.
    pub(crate) first: Vec<u8>,
    /// The connection; it blocks.
    pub(crate) stream: TcpStream,
    /// Whose.
    pub(crate) peer: SocketAddr,
    /// One of those that there may be.
    pub(crate) permit: Permit,
}

/// Reads the first octets of a line, and looks whose they are.
pub(super) fn sort(service: &Arc<Service>, mut line: Box<Line>) -> Sorted {
    let mut room = [0; ENOUGH];
    let first = &mut line.socket.first;
    let count = match line.socket.stream.read(&mut room[first.len().min(ENOUGH)..]) {
        Ok(0) => return Sorted::Gone,
        Ok(count) => count,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            // Whoever says nothing for so long is not going to.
            let late = line.session.deadline().is_some_and(|deadline| deadline <= service.clock.now());
            return if late { Sorted::Gone } else { Sorted::Unknown(line) };
        }
        Err(_) => return Sorted::Gone,
    };
    let from = first.len().min(ENOUGH);
    first.extend_from_slice(&room[from..from + count]);
    let is_link = first.get(LENGTH) == Some(&flood::MARK);
    match (Opening::of(first), &service.strangers) {
        (Opening::Other, strangers) if strangers.is_none() || !is_link => {
            line.is_native = true;
            Sorted::Native(line)
        }
        (Opening::More, _) => Sorted::Unknown(line),
        (_, Some(strangers)) => {
            let Line { socket, peer, _permit: permit, .. } = *line;
            let stream = TcpStream::from(socket.stream);
            if stream.set_nonblocking(false).is_ok() {
                strangers.take(Stranger { first: socket.first, stream, peer, permit });
            }
            Sorted::Gone
        }
        (_, None) => {
            hand_over(service, line);
            Sorted::Gone
        }
    }
}

/// Gives a line of a classic dialect a thread.
fn hand_over(service: &Arc<Service>, line: Box<Line>) {
    let Line { socket, peer, _permit: permit, .. } = *line;
    let failed = |error: String| service.report.tell(&[Event::Failed { from: peer, error }]);
    let Ok(Guest { user, home, may_write }) = service.lobby.guest() else {
        return failed("a program of a classic dialect is a guest, and guests are not let in".to_owned());
    };
    let right = if may_write { Right::Write } else { Right::Read };
    let service_ = Arc::clone(service);
    let serve = move || {
        let _permit = permit;
        let stream = TcpStream::from(socket.stream);
        let shelf = classic::Guests::new(home, right);
        let report = &service_.report;
        let mut tell = |event| report.tell(&[told(event, &user, peer)]);
        let served = stream.set_nonblocking(false).map_err(ClassicError::Connection).and_then(|()| {
            classic::serve(stream, socket.first, &shelf, &Limits::default(), &service_.cancel, &mut tell)
        });
        if let Err(error) = served
            && error.exit() != Exit::Interrupted
        {
            report.tell(&[Event::Failed { from: peer, error: error.to_string() }]);
        }
    };
    if let Err(error) = thread::Builder::new().name("classic".into()).stack_size(STACK).spawn(serve) {
        failed(format!("cannot start a thread: {error}"));
    }
}

fn told(event: classic::Event, user: &str, peer: SocketAddr) -> Event {
    let user = user.to_owned();
    match event {
        classic::Event::Received { name, size, .. } => Event::Stored { user, path: name, size, from: peer },
        classic::Event::Sent { name, size } => Event::Sent { user, path: name, size, to: peer },
        classic::Event::Answered { what } => Event::Changed { user, what: "was answered", path: what, from: peer },
        classic::Event::Refused { what, why } => Event::Failed { from: peer, error: format!("{what}: {why}") },
    }
}
