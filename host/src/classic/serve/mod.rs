//! The server's side: one connection, whatever its dialect.

mod command;
mod salted;

use std::net::TcpStream;
use std::time::Instant;

use feige_core::digest::{Digest, Running};
use feige_core::text::FileName;
use feige_core::wire::classic::{Dialect, FileType, Opening, Request};

use super::connection::Connection;
use super::{ClassicError, Limits, Shelf};
use crate::transfer::Cancel;

/// How long the rest of a command may take that has begun to come (R-CL-12): what one `send` sent arrives at once.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(50);

/// How long two or three octets must stay alone to be a command (R-CL-12): longer, because a header might begin so.
const BRIEF: std::time::Duration = std::time::Duration::from_millis(200);

/// Something that happened on a connection, for who watches the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A file came and has its name.
    Received {
        /// Its path on the shelf, with the name that it got.
        name: String,
        /// Its octets.
        size: u64,
        /// Their MD5, the plain one.
        md5: Digest,
    },
    /// A file was sent.
    Sent {
        /// Its path on the shelf.
        name: String,
        /// Its octets.
        size: u64,
    },
    /// A command, or a request for a list, was answered.
    Answered {
        /// What was asked for. It comes from the peer: print it with care.
        what: String,
    },
    /// A request was refused.
    Refused {
        /// What was asked for. It comes from the peer: print it with care.
        what: String,
        /// Why.
        why: String,
    },
}

/// What a connection came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was spoken; `None` if the peer closed before it said.
    pub dialect: Option<Dialect>,
    /// Files that came, each of them whole.
    pub received: u64,
    /// Files that were sent.
    pub sent: u64,
    /// Requests that were answered otherwise, commands and lists.
    pub answered: u64,
    /// Requests that were refused.
    pub refused: u64,
}

/// Serves one connection to its end. `first` are the octets that were read from it already, to find out that it is for
/// this function ([`Opening`]): any number, even none. `tell` hears of what happens.
///
/// # Errors
/// [`ClassicError::NotClassic`] if it is another protocol, otherwise that with which the connection ended early. The peer
/// then saw a reset, so that it does not take its file for stored; other files of the connection are stored.
pub fn serve(
    stream: TcpStream,
    first: Vec<u8>,
    shelf: &dyn Shelf,
    limits: &Limits,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Event),
) -> Result<Summary, ClassicError> {
    let mut connection = Connection::new(stream, first, cancel)?;
    let mut desk = Desk { connection: &mut connection, shelf, limits, tell, summary: Summary::default() };
    match desk.serve() {
        Ok(()) => {
            let summary = desk.summary;
            // A put server's client may still be about to close; nothing depends on it.
            drop(connection);
            Ok(summary)
        }
        Err(error) => {
            connection.reset();
            Err(error)
        }
    }
}

/// What the functions that answer share.
struct Desk<'d, 'c> {
    connection: &'d mut Connection<'c>,
    shelf: &'d dyn Shelf,
    limits: &'d Limits,
    tell: &'d mut dyn FnMut(Event),
    summary: Summary,
}

impl Desk<'_, '_> {
    fn serve(&mut self) -> Result<(), ClassicError> {
        match self.opening()? {
            Some(Opening::Command) => {
                self.summary.dialect = Some(Dialect::Command);
                self.commands()
            }
            Some(_) => self.requests(),
            None => Ok(()),
        }
    }

    /// Finds out what is spoken. `None`: nothing, the peer closed.
    fn opening(&mut self) -> Result<Option<Opening>, ClassicError> {
        // R-CL-14: people connect first and then think of what to say.
        let mut after = self.limits.idle;
        let mut deadline = Instant::now() + after;
        loop {
            let opening = Opening::of(self.connection.pending());
            let until = match opening {
                Opening::Command | Opening::Json => return Ok(Some(opening)),
                Opening::Other => return Err(ClassicError::NotClassic),
                Opening::Brief => deadline.min(Instant::now() + BRIEF),
                Opening::More => deadline,
            };
            let silent = self.connection.pending().is_empty();
            match (self.connection.fill(until)?, opening) {
                (Some(1..), _) if silent => {
                    after = self.limits.header;
                    deadline = Instant::now() + after;
                }
                (Some(1..), _) => {}
                // R-CL-12: two or three octets and then nothing are a command.
                (_, Opening::Brief) => return Ok(Some(Opening::Command)),
                (None, _) => {
                    let what = if silent { "request" } else { "whole header" };
                    return Err(ClassicError::TimedOut { what, after });
                }
                (Some(0), _) if silent => return Ok(None),
                (Some(0), _) => {
                    return Err(ClassicError::Short { got: self.connection.pending().len() as u64, want: 4 });
                }
            }
        }
    }

    /// Answers requests in JSON, one after the other, until the peer closes.
    fn requests(&mut self) -> Result<(), ClassicError> {
        while let Some(header) = self.connection.header(self.limits.idle, "request", self.limits)? {
            let request = Request::parse(&header)?;
            self.summary.dialect.get_or_insert(request.dialect());
            match request {
                // R-CL-20: one file, and then nothing.
                Request::Upload(upload) => return self.receive(&upload.name.to_string(), upload.size),
                // R-CL-22: the next header may have come with this body.
                Request::Put(put) => self.receive(&put.name.to_string(), put.size)?,
                Request::Salted(request) => self.salted(&request)?,
            }
        }
        Ok(())
    }

    /// Receives a file that has no digest and no answer: what is wrong shows in the end of the connection (R-CL-23).
    fn receive(&mut self, name: &str, size: u64) -> Result<(), ClassicError> {
        // R-CL-7: whatever it was meant to name, it names something in the folder.
        let name = FileName::from_untrusted(name);
        let mut upload = self.shelf.receive(FileType::Other, &name, size).inspect_err(|error| {
            self.summary.refused += 1;
            (self.tell)(Event::Refused { what: name.to_string(), why: error.to_string() });
        })?;
        let mut md5 = Running::new();
        self.connection.body(size, self.limits.stall, self.limits.least, |octets| {
            md5.update(octets);
            Ok(upload.write(octets)?)
        })?;
        let name = upload.finish()?;
        self.summary.received += 1;
        (self.tell)(Event::Received { name, size, md5: md5.finish() });
        Ok(())
    }

    fn answered(&mut self, what: impl Into<String>) {
        self.summary.answered += 1;
        (self.tell)(Event::Answered { what: what.into() });
    }

    fn refused(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.summary.refused += 1;
        (self.tell)(Event::Refused { what: what.into(), why: why.into() });
    }
}
