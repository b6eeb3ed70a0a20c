//! The asking side.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::{End, Line, Request, is_ours, path};
use crate::exit::{Exit, Failure};
use crate::remote::Signals;
use crate::transfer::is_pause;
use crate::ui::Screen;

/// How often it is looked whether somebody has ended the program.
const TICK: Duration = Duration::from_millis(200);

/// A connection to the instance that has the port.
pub struct Running {
    stream: UnixStream,
}

impl Running {
    /// Connects, if there is an instance with this address and port.
    #[must_use]
    pub fn find(bind: Ipv4Addr, port: u16) -> Option<Self> {
        let path = path(bind, port)?;
        let stream = path.parent().is_some_and(is_ours).then(|| UnixStream::connect(&path).ok())??;
        Some(Self { stream })
    }

    /// Asks, shows what happens, and returns the exit code.
    ///
    /// # Errors
    /// A [`Failure`] with what the instance says, or that it went away.
    pub fn ask(mut self, request: &Request, screen: &mut Screen) -> Result<Exit, Failure> {
        self.exchange(request, screen).map_err(|error| Failure::new(format!("the running feige went away: {error}")))?
    }

    fn exchange(&mut self, request: &Request, screen: &mut Screen) -> io::Result<Result<Exit, Failure>> {
        // The instance notices that we hang up, and drops what we asked for.
        let signals = Signals::watch();
        self.stream.set_read_timeout(Some(TICK))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.write_all(&line)?;
        let mut members = Vec::new();
        let mut reader = BufReader::new(&self.stream);
        loop {
            line.clear();
            // A part of a line stays in `line` meanwhile.
            while let Err(error) = reader.read_until(b'\n', &mut line) {
                if !is_pause(&error) {
                    return Err(error);
                }
                if signals.cancel.is_cancelled() {
                    return Ok(Ok(signals.exit(Exit::Interrupted)));
                }
            }
            if line.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match serde_json::from_slice(&line)? {
                Line::Event(crate::ui::event::Event::Online(peer)) if matches!(request, Request::Members { .. }) => {
                    members.push(peer);
                }
                Line::Event(event) => {
                    screen.event(&event);
                    screen.flush();
                }
                Line::End(End { message: Some(message), exit }) => {
                    let exit = Exit::of_code(exit).unwrap_or(Exit::Failed);
                    return Ok(Err(Failure { exit, message }));
                }
                Line::End(end) => {
                    screen.members(&members);
                    screen.flush();
                    return Ok(match (end.code(), screen.broken()) {
                        (Exit::Done, Some(broken)) => broken,
                        (exit, _) => Ok(exit),
                    });
                }
            }
            if let Some(exit) = screen.broken() {
                return Ok(exit);
            }
        }
    }
}
