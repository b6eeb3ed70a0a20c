//! Who comes to the port of a peer and does not speak the verified transfer: neighbours, and classic programs.
//!
//! A classic message has no length and no end: what is there when nothing more comes for a moment, or at the end of the
//! stream, is the message. Each has a thread, as long as there are not too many.
//!
//! **Guarantees**: at most [`classic::MAX_MESSAGE`] octets are read, for at most [`PATIENCE`]; nothing but a `request`, and
//! a word that nobody knows, is answered on the connection. **Protocol**: R-FL-70, R-FL-75, R-FL-76, R-FL-80.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use feige_core::text::Printable;
use feige_core::wire::Field;
use feige_core::wire::flood::MARK;
use feige_core::wire::flood::classic::{self, Program, Text};
use feige_core::wire::transfer::LENGTH;
use socket2::SockRef;

use super::classic::answer;
use super::event::Event;
use super::hub::{Handle, Notice};
use super::link;
use super::parcel::Limits;
use super::share::Share;
use crate::service::{Report, Stranger, Strangers};
use crate::transfer::Cancel;

/// A message is over when nothing comes for so long.
const QUIET: Duration = Duration::from_millis(60);

/// And in any case after this time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Archives that are packed at a time: each is written to the disk first.
const PACKED: usize = 4;

/// Takes strangers to the hub.
pub(super) struct Door {
    /// Archives that are under way.
    pub(super) packing: AtomicUsize,
    pub(super) handle: Handle,
    /// What is served to classic programs.
    pub(super) share: Option<Arc<Share>>,
    pub(super) cancel: Cancel,
    pub(super) report: Report,
}

impl Strangers for Arc<Door> {
    fn take(&self, stranger: Stranger) {
        let Stranger { first, stream, peer, permit } = stranger;
        if first.get(LENGTH) == Some(&MARK) {
            if let Err(error) = link::take(self.handle.here(), stream, peer, first, permit) {
                self.report.tell(&[Event::Trouble { error: format!("cannot start a thread: {error}") }]);
            }
            return;
        }
        let door = Arc::clone(self);
        let talk = thread::Builder::new().name("classic-in".into()).stack_size(256 << 10).spawn(move || {
            let _permit = permit;
            if let Err(error) = door.talk(&stream, peer, first) {
                door.report.tell(&[Event::Refused { from: peer.to_string(), error }]);
            }
        });
        if let Err(error) = talk {
            self.report.tell(&[Event::Trouble { error: format!("cannot start a thread: {error}") }]);
        }
    }
}

impl Door {
    /// Hears what a classic program says, and does it.
    fn talk(&self, stream: &TcpStream, peer: SocketAddr, first: Vec<u8>) -> Result<(), String> {
        let octets = hear(stream, first).map_err(|error| format!("the connection broke: {error}"))?;
        let hub = self.handle.hub();
        let result = match Text::parse(&octets) {
            // R-FL-76: another Feige, which would take a refusal for that of a classic program.
            _ if octets == link::WHO.as_bytes() => Ok(()),
            Ok(Text::Get(classic::Get { asker: named, .. }) | Text::Found(classic::Found { holder: named, .. }))
                if named.ip().is_loopback() && !peer.ip().is_loopback() =>
            {
                // R-FL-75: nobody elsewhere sends us to the services of our own machine.
                Err(format!("it names {named}, which would be a program here, and comes from elsewhere"))
            }
            Ok(Text::Get(get)) => {
                let classic::Get { name, asker, reach, tag, program } = get;
                let _ = hub.send(Notice::Get { name: name.to_owned(), asker, reach, tag, program, from: peer.ip() });
                Ok(())
            }
            Ok(Text::Found(found)) => {
                let _ = hub.send(Notice::Found { name: found.name.to_owned(), holder: found.holder });
                Ok(())
            }
            Ok(Text::Request(request)) => return self.request(stream, peer, request.name),
            Err(error) => {
                if error.field == Field::Command {
                    // R-FL-76: in the form of one of both; who asks is not known.
                    let _ = (&mut &*stream).write_all(Program::J.refusal().as_bytes());
                }
                let said = String::from_utf8_lossy(&octets[..octets.len().min(64)]).into_owned();
                Err(format!("no classic message: {error}: {:?}", Printable::line(&said).to_string()))
            }
        };
        // J keeps a spinning thread for each connection that ends in an orderly way (R-FL-75).
        thread::sleep(Duration::from_millis(20));
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        result
    }

    fn request(&self, stream: &TcpStream, peer: SocketAddr, name: &str) -> Result<(), String> {
        let share = self.share.as_ref().ok_or("it wants a file, and nothing is shared here")?;
        if self.packing.fetch_add(1, Ordering::Relaxed) >= PACKED {
            self.packing.fetch_sub(1, Ordering::Relaxed);
            return Err(format!("it wants {} while {PACKED} others are served", Printable::line(name)));
        }
        let sent = answer(stream, name, share, &Limits::default(), &self.cancel)
            .map_err(|error| format!("{}: {error}", Printable::line(name)));
        self.packing.fetch_sub(1, Ordering::Relaxed);
        let sent = sent?;
        self.report.tell(&[Event::Served { name: sent.path, to: peer, size: sent.size }]);
        Ok(())
    }
}

/// Reads a message.
fn hear(mut stream: &TcpStream, first: Vec<u8>) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut octets = first;
    stream.set_read_timeout(Some(QUIET))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    while octets.len() <= classic::MAX_MESSAGE && Instant::now() < until {
        let mut room = [0; classic::MAX_MESSAGE];
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(count) => octets.extend_from_slice(&room[..count]),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => break,
                io::ErrorKind::Interrupted => {}
                // The programs close by reset when they have said what they had to say.
                io::ErrorKind::ConnectionReset if !octets.is_empty() => break,
                _ => return Err(error),
            },
        }
    }
    Ok(octets)
}
