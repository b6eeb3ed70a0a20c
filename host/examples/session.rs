//! Both sides of the verified transfer around one file, and nothing else: how much of the time goes into digests.
//!
//!     session serve ADDR:PORT FILE [--unhashed]
//!     session get ADDR:PORT FILE [--unhashed]
//!
//! With `--unhashed` on both sides the digests are zeros that nobody computes: the same loop, the same octets on the wire.
//! `scripts/bench-verified.sh` runs both beside each other.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use feige::digest::Lanes;
use feige::transfer::{Helper, Room};
use feige_core::digest::{Digest, Hasher};
use feige_core::drive::blocking::{Scratch, Transport, run};
use feige_core::stream::transfer::{Answer, Ask, ClientSession, Credentials, ServerSession, Settings};
use feige_core::stream::{Opened, Outcome, Store, Target};
use feige_core::time::Instant;
use feige_core::wire::transfer::{self, ErrorCode, Get, LONG_RUN, Reply, Request};

/// A run of 32 blocks of 32 KiB, and what is around them.
const BUFFER: usize = (LONG_RUN << 15) + (8 << 10);

const SETTINGS: Settings = Settings { max_header: 4096, window: 1 << 20, max_block: 20, software: "session" };

/// Computes nothing.
struct Unhashed;

impl Hasher for Unhashed {
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        digests.iter_mut().take(inputs.len()).for_each(|digest| *digest = Digest::default());
    }
}

struct Socket(TcpStream);

#[derive(Debug)]
struct Failed(io::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

impl embedded_io::Error for Failed {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

impl embedded_io::ErrorType for Socket {
    type Error = Failed;
}

impl embedded_io::Read for Socket {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, Failed> {
        self.0.read(room).map_err(Failed)
    }
}

impl embedded_io::Write for Socket {
    fn write(&mut self, octets: &[u8]) -> Result<usize, Failed> {
        self.0.write(octets).map_err(Failed)
    }

    fn flush(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}

impl Transport for Socket {
    fn limit(&mut self, _: Option<Duration>) -> Result<(), Failed> {
        Ok(())
    }

    fn shutdown(&mut self) -> Result<(), Failed> {
        self.0.shutdown(std::net::Shutdown::Write).map_err(Failed)
    }
}

/// One file, whatever it is called.
struct One {
    file: File,
    asked: bool,
}

impl One {
    fn ask(&mut self, ask: Ask<'_>) -> Answer<'static> {
        match ask {
            Ask::Request(Request::Get(get)) => {
                let size = self.file.metadata().map_or(0, |metadata| metadata.len());
                let length = get.length.min(size);
                let file = transfer::File { size, mtime: None, mode: None, stamp: 1, block: 15, offset: 0, length };
                Answer::Reply(Reply::File(file))
            }
            Ask::Request(_) => Answer::Reply(Reply::Error { code: ErrorCode::Unsupported, text: "one file only" }),
            Ask::Job if self.asked => Answer::Over,
            Ask::Job => {
                self.asked = true;
                Answer::Job(Request::Get(Get { path: "file", offset: 0, length: u64::MAX, block: 15, stamp: 0 }))
            }
            Ask::Damaged { .. } => Answer::Over,
            _ => Answer::Reply(Reply::Done),
        }
    }
}

impl Store for One {
    type Error = Failed;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Failed> {
        Ok(match target {
            Target::Ask(ask) => Opened::Answer(self.ask(ask)),
            _ => Opened::Refused,
        })
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Failed> {
        self.file.read_at(into, at).map_err(Failed)
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Failed> {
        self.file.write_all_at(octets, at).map_err(Failed)
    }

    fn close(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: session serve|get ADDR:PORT FILE [--unhashed]";
    let [what, address, path, rest @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    match rest {
        [] => run_as(what, address, path, Some(Arc::default()), Lanes::new()),
        [flag] if flag == "--unhashed" => run_as(what, address, path, None, Unhashed),
        _ => Err(usage.into()),
    }
}

fn run_as(
    what: &str,
    address: &str,
    path: &str,
    helper: Option<Arc<Helper>>,
    hasher: impl Hasher,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut room = Room::new(BUFFER);
    room.set_helper(helper);
    let buffers = room.buffers();
    let start = std::time::Instant::now();
    let clock = || Instant::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
    let outcome = match what {
        "serve" => {
            let socket = TcpListener::bind(address)?.accept()?.0;
            let mut store = One { file: File::open(path)?, asked: false };
            let mut session = ServerSession::new(clock(), SETTINGS, [7; 18]);
            run(session.with(buffers, hasher), &mut Socket(socket), &mut store, &mut Scratch(&mut []), clock)?
        }
        "get" => {
            let socket = TcpStream::connect(address)?;
            let mut store = One { file: File::create(path)?, asked: false };
            let mut session = ClientSession::new(clock(), SETTINGS, Credentials::Guest, &[7; 18]);
            run(session.with(buffers, hasher), &mut Socket(socket), &mut store, &mut Scratch(&mut []), clock)?
        }
        _ => return Err("serve or get".into()),
    };
    match outcome {
        Outcome::Complete(_) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}
