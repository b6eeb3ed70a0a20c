//! What the tests of the machines and drivers share: a store in RAM, a scripted transport, a virtual clock.

use std::cell::Cell;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use core::time::Duration;

use embedded_io::{ErrorKind, ErrorType, Read, Write};

use super::{Arrival, Entry, Machine, Metadata, Opened, Outcome, Store, Target};
use crate::drive::DriveError;
use crate::drive::blocking::{self, Scratch, Transport};
use crate::text::Text;
use crate::time::Instant;

/// One line of a depth-first walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    File { name: Vec<u8>, octets: Vec<u8>, metadata: Metadata },
    Folder { name: Vec<u8>, metadata: Metadata },
    Unreadable { name: Vec<u8> },
    Leave,
}

pub(crate) fn file(name: &str, octets: &[u8]) -> Step {
    Step::File { name: name.into(), octets: octets.into(), metadata: Metadata::default() }
}

pub(crate) fn folder(name: &str) -> Step {
    Step::Folder { name: name.into(), metadata: Metadata::default() }
}

/// A store in RAM: serves `steps`, keeps what it receives.
#[derive(Debug, Default)]
pub(crate) struct Ram {
    pub(crate) steps: Vec<Step>,
    pub(crate) cursor: usize,
    /// What was asked for: command word, packet number, id and offset.
    pub(crate) asked: Vec<String>,
    /// What was received and closed; the name of the root is empty.
    pub(crate) received: Vec<Step>,
    /// What is being received: name, metadata, octets.
    pub(crate) open: Option<(Vec<u8>, Metadata, Vec<u8>)>,
    /// Names that are not wanted.
    pub(crate) unwanted: Vec<Vec<u8>>,
    /// Sizes are claimed to be this much larger than the files are.
    pub(crate) exaggerate: u64,
    /// So many calls succeed.
    pub(crate) calls: Option<usize>,
    /// Refuses everything.
    pub(crate) refuse: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Ram {
    pub(crate) fn serving(steps: &[Step]) -> Self {
        Self { steps: steps.into(), ..Self::default() }
    }

    fn call(&mut self) -> Result<(), Broken> {
        match &mut self.calls {
            Some(0) => Err(Broken),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn step(&self) -> Opened<'_> {
        let exaggerate = self.exaggerate;
        match self.steps.get(self.cursor) {
            None => Opened::Refused,
            Some(Step::File { name, octets, metadata }) => Opened::File(Entry {
                name: Text::new(name),
                size: octets.len() as u64 + exaggerate,
                metadata: *metadata,
            }),
            // A size that must not reach the wire.
            Some(Step::Folder { name, metadata }) => {
                Opened::Folder(Entry { name: Text::new(name), size: 4096, metadata: *metadata })
            }
            Some(Step::Unreadable { name }) => {
                Opened::Unreadable(Entry { name: Text::new(name), size: 77, metadata: Metadata::default() })
            }
            Some(Step::Leave) => Opened::Leave,
        }
    }

    fn name(arrival: &Arrival<'_>) -> Vec<u8> {
        arrival.name.map(|name| name.octets().collect()).unwrap_or_default()
    }
}

impl Store for Ram {
    type Error = Broken;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Broken> {
        self.call()?;
        if self.refuse {
            return Ok(Opened::Refused);
        }
        match target {
            Target::Request(request) => {
                self.asked.push(std::format!(
                    "{:?} {:x} {:x} {:x}",
                    request.kind,
                    request.packet_no.0,
                    request.id.hex,
                    request.offset
                ));
                self.cursor = 0;
                Ok(self.step())
            }
            Target::Ask(_) => Ok(Opened::Refused),
            Target::Next => {
                self.cursor += 1;
                Ok(self.step())
            }
            Target::File(arrival) => {
                let name = Self::name(&arrival);
                if self.unwanted.contains(&name) {
                    return Ok(Opened::Skip);
                }
                assert!(self.open.is_none(), "two files are open");
                self.open = Some((name, arrival.metadata, Vec::new()));
                Ok(Opened::Ready)
            }
            Target::Folder(arrival) => {
                let name = Self::name(&arrival);
                if self.unwanted.contains(&name) {
                    return Ok(Opened::Skip);
                }
                self.received.push(Step::Folder { name, metadata: arrival.metadata });
                Ok(Opened::Ready)
            }
            Target::Leave(_) => {
                self.received.push(Step::Leave);
                Ok(Opened::Ready)
            }
        }
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Broken> {
        self.call()?;
        let Some(Step::File { octets, .. }) = self.steps.get(self.cursor) else { panic!("no file is open") };
        let rest = octets.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Broken> {
        self.call()?;
        let (_, _, to) = self.open.as_mut().expect("a file is open");
        assert!(!octets.is_empty());
        let at = usize::try_from(at).unwrap();
        if to.is_empty() {
            to.resize(at, b'?');
        }
        assert_eq!(at, to.len(), "octets are saved in order");
        to.extend_from_slice(octets);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Broken> {
        self.call()?;
        let (name, metadata, octets) = self.open.take().expect("a file is open");
        self.received.push(Step::File { name, octets, metadata });
        Ok(())
    }
}

/// What a transport does when its input is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer has closed.
    Eof,
    /// The peer says nothing more, and does not close.
    Silence,
    /// The connection breaks.
    Reset,
}

/// One end of a connection whose other end is a script.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) input: Vec<u8>,
    pub(crate) at: usize,
    /// Reads end at the first of these positions that is ahead; then anywhere.
    pub(crate) cuts: Vec<usize>,
    /// Most octets that one read or write moves.
    pub(crate) most: usize,
    /// Most octets that one read moves, and how long each takes.
    pub(crate) most_read: usize,
    pub(crate) each_read: u64,
    /// The same of writes.
    pub(crate) most_write: usize,
    pub(crate) each_write: u64,
    pub(crate) ending: Ending,
    pub(crate) written: Vec<u8>,
    pub(crate) writes: usize,
    pub(crate) reads: usize,
    pub(crate) shut: bool,
    /// So many reads and writes succeed.
    pub(crate) calls: Option<usize>,
    pub(crate) clock: Rc<Cell<u64>>,
    limit: Option<Duration>,
}

impl Script {
    pub(crate) fn new(input: &[u8], ending: Ending) -> Self {
        Self {
            input: input.into(),
            at: 0,
            cuts: Vec::new(),
            most: usize::MAX,
            most_read: usize::MAX,
            each_read: 0,
            most_write: usize::MAX,
            each_write: 0,
            ending,
            written: Vec::new(),
            writes: 0,
            reads: 0,
            shut: false,
            calls: None,
            clock: Rc::default(),
            limit: None,
        }
    }

    /// Reads stop at `cut` once.
    pub(crate) fn cut(mut self, cut: usize) -> Self {
        self.cuts.push(cut);
        self
    }

    /// At most so many octets move at once.
    pub(crate) fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    pub(crate) fn calls(mut self, calls: usize) -> Self {
        self.calls = Some(calls);
        self
    }

    fn call(&mut self) -> Result<(), ErrorKind> {
        match &mut self.calls {
            Some(0) => Err(ErrorKind::ConnectionReset),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// `None` if there is nothing to read and never will be.
    pub(crate) fn take(&mut self, room: &mut [u8]) -> Option<Result<usize, ErrorKind>> {
        assert!(!room.is_empty(), "a read of nothing looks like the end");
        if let Err(error) = self.call() {
            return Some(Err(error));
        }
        self.reads += 1;
        let stop = self.cuts.iter().copied().filter(|&cut| cut > self.at).min().unwrap_or(usize::MAX);
        let stop = stop.min(self.input.len());
        let count = (stop - self.at).min(room.len()).min(self.most).min(self.most_read);
        room[..count].copy_from_slice(&self.input[self.at..self.at + count]);
        self.at += count;
        match (count, self.ending) {
            (0, Ending::Silence) => None,
            (0, Ending::Reset) => Some(Err(ErrorKind::ConnectionReset)),
            _ => Some(Ok(count)),
        }
    }

    pub(crate) fn put(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        assert!(!octets.is_empty() && !self.shut);
        self.call()?;
        let count = octets.len().min(self.most).min(self.most_write);
        self.written.extend_from_slice(&octets[..count]);
        self.writes += 1;
        Ok(count)
    }
}

impl Script {
    /// A read or write takes so many milliseconds, or as long as it may.
    fn wait(&self, each: u64) -> Result<(), ErrorKind> {
        let limit = self.limit.map_or(u64::MAX, |limit| u64::try_from(limit.as_millis()).unwrap());
        self.clock.set(self.clock.get() + each.min(limit));
        if each > limit { Err(ErrorKind::TimedOut) } else { Ok(()) }
    }
}

impl ErrorType for Script {
    type Error = ErrorKind;
}

impl Read for Script {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, ErrorKind> {
        self.wait(self.each_read)?;
        self.take(room).unwrap_or_else(|| {
            let limit = self.limit.expect("every wait has a limit");
            self.clock.set(self.clock.get() + u64::try_from(limit.as_millis()).unwrap());
            Err(ErrorKind::TimedOut)
        })
    }
}

impl Write for Script {
    fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        self.wait(self.each_write)?;
        self.put(octets)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Transport for Script {
    fn limit(&mut self, limit: Option<Duration>) -> Result<(), ErrorKind> {
        assert_ne!(limit, Some(Duration::ZERO));
        self.limit = limit;
        Ok(())
    }

    fn shutdown(&mut self) -> Result<(), ErrorKind> {
        self.shut = true;
        Ok(())
    }
}

pub(crate) type Ended = Result<Outcome, DriveError<ErrorKind, Broken>>;

/// Runs `machine` with the blocking driver and a small scratch buffer.
pub(crate) fn run(machine: impl Machine, script: &mut Script, ram: &mut Ram) -> Ended {
    let clock = Rc::clone(&script.clock);
    let mut scratch = [0xa5; 7];
    blocking::run(machine, script, ram, &mut Scratch(&mut scratch), || Instant::from_millis(clock.get()))
}
