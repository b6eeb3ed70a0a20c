//! Every machine, through the blocking driver and by hand, over a transport, a store and a clock that are not known.

use core::hint::black_box;
use core::time::Duration;

use embedded_io::{ErrorKind, ErrorType};
use feige_core::drive::blocking;
use feige_core::stream::{
    Announced, FileClient, FolderClient, Limits, Machine, Metadata, Opened, Server, Store, Target, Want,
};
use feige_core::text::Text;
use feige_core::time::{Instant, earlier};
use feige_core::wire::ipmsg::FileRequest;

use crate::{keep, shown};

unsafe extern "C" {
    /// Moves up to `len` octets into `to`; negative for an error of that number.
    safe fn proof_transport_read(to: *mut u8, len: usize) -> isize;
    /// Takes up to `len` octets from `from`; negative for an error of that number.
    safe fn proof_transport_write(from: *const u8, len: usize) -> isize;
    /// What the store answers.
    safe fn proof_store_open() -> u32;
    /// What the store moves; negative for an error.
    safe fn proof_store_move(octets: *const u8, len: usize, at: u64) -> isize;
    /// Milliseconds since the start.
    safe fn proof_clock() -> u64;
}

/// An error of an unknown kind.
#[derive(Clone, Copy, Debug)]
pub struct Failed(isize);

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Failed {}

impl embedded_io::Error for Failed {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            -1 => ErrorKind::Interrupted,
            -2 => ErrorKind::TimedOut,
            _ => ErrorKind::Other,
        }
    }
}

/// The count that a foreign function returned.
fn counted(count: isize) -> Result<usize, Failed> {
    usize::try_from(count).map_err(|_| Failed(count))
}

pub struct Line;

impl ErrorType for Line {
    type Error = Failed;
}

impl embedded_io::Read for Line {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, Failed> {
        counted(proof_transport_read(room.as_mut_ptr(), room.len()))
    }
}

impl embedded_io::Write for Line {
    fn write(&mut self, octets: &[u8]) -> Result<usize, Failed> {
        counted(proof_transport_write(octets.as_ptr(), octets.len()))
    }

    fn flush(&mut self) -> Result<(), Failed> {
        counted(proof_transport_write(core::ptr::null(), 0)).map(drop)
    }
}

impl blocking::Transport for Line {
    fn limit(&mut self, limit: Option<Duration>) -> Result<(), Failed> {
        keep(limit);
        black_box(Ok(()))
    }

    fn shutdown(&mut self) -> Result<(), Failed> {
        black_box(Ok(()))
    }
}

/// A store that answers anything.
pub struct Shelf(Opened<'static>);

impl Store for Shelf {
    type Error = Failed;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Failed> {
        keep(target);
        match proof_store_open() {
            0 => Err(Failed(0)),
            1 => Ok(Opened::Ready),
            2 => Ok(Opened::Skip),
            3 => Ok(Opened::Refused),
            4 => Ok(Opened::Leave),
            _ => Ok(black_box(self.0)),
        }
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Failed> {
        counted(proof_store_move(into.as_ptr(), into.len(), at))
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Failed> {
        counted(proof_store_move(octets.as_ptr(), octets.len(), at)).map(drop)
    }

    fn close(&mut self) -> Result<(), Failed> {
        black_box(Ok(()))
    }
}

pub fn now() -> Instant {
    Instant::from_millis(proof_clock())
}

pub fn shelf(octets: &'static [u8]) -> Shelf {
    let name = Text::new(octets);
    let entry = feige_core::stream::Entry { name, size: proof_clock(), metadata: black_box(Metadata::default()) };
    Shelf(Opened::File(black_box(entry)))
}

pub fn proof(octets: &'static [u8]) {
    time();
    let mut buffer = [0; 600];
    server(octets, &mut buffer);
    let Ok(request) = FileRequest::parse(octets) else { return };
    file(octets, &request, &mut buffer);
    folder(octets, &request, &mut buffer);
}

#[inline(never)]
fn time() {
    let (now, then) = (now(), now());
    keep((now + Duration::from_millis(proof_clock()), now.since(then), earlier(Some(now), black_box(None))));
}

#[inline(never)]
fn server(octets: &'static [u8], buffer: &mut [u8]) {
    run(Server::new(now(), buffer), octets);
    let mut machine = Server::new(now(), buffer);
    by_hand(&mut machine, octets);
    keep(machine.totals());
    keep(machine.into_buffer());
    #[cfg(feature = "async")]
    crate::asynch::run(Server::new(now(), buffer), octets);
}

#[inline(never)]
fn file(octets: &'static [u8], request: &FileRequest<'_>, buffer: &mut [u8]) {
    for announced in [Announced::Size(proof_clock()), Announced::Unknown { limit: proof_clock() }] {
        let Ok(machine) = FileClient::new(now(), buffer, request, announced, black_box(Metadata::default())) else {
            return;
        };
        run(machine, octets);
    }
    let announced = black_box(Announced::Size(0));
    if let Ok(mut machine) = FileClient::new(now(), buffer, request, announced, black_box(Metadata::default())) {
        by_hand(&mut machine, octets);
        keep(machine.received());
        #[cfg(feature = "async")]
        crate::asynch::run(machine, octets);
    }
}

#[inline(never)]
fn folder(octets: &'static [u8], request: &FileRequest<'_>, buffer: &mut [u8]) {
    let Ok(machine) = FolderClient::new(now(), buffer, request, black_box(Limits::default())) else { return };
    run(machine, octets);
    if let Ok(mut machine) = FolderClient::new(now(), buffer, request, black_box(Limits::default())) {
        by_hand(&mut machine, octets);
        keep(machine.totals());
        #[cfg(feature = "async")]
        crate::asynch::run(machine, octets);
    }
}

/// The blocking driver.
#[inline(never)]
pub fn run(machine: impl Machine, octets: &'static [u8]) {
    let mut scratch = [0; 64];
    let mut mover = blocking::Scratch(&mut scratch);
    shown(blocking::run(machine, &mut Line, &mut shelf(octets), &mut mover, now));
}

/// What a driver that somebody else wrote may do: answer anything at any time.
#[inline(never)]
pub fn by_hand(machine: &mut impl Machine, octets: &'static [u8]) {
    let mut shelf = shelf(octets);
    while proof_clock() != 0 {
        if let Want::Done(result) = machine.want() {
            shown(result);
        }
        machine.done(now(), proof_clock());
        if let Ok(answer) = shelf.open(Target::Next) {
            machine.opened(now(), answer);
        }
        keep(machine.deadline());
        machine.expire(now());
    }
    keep(machine.want());
}
