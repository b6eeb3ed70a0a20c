//! Links: connections to neighbours that last.
//!
//! Each has two threads. The reader cuts what comes into messages, whose kinds and fields only the hub looks at; the
//! writer empties a short queue, and what does not fit into it is dropped, as on a bad wire. Neighbours of ours are
//! dialled again and again, in growing distances, and rest while there is a link that they dialled.
//!
//! **Guarantees**: no wait is longer than a quarter of a second at a stretch; a neighbour that floods us is read no faster
//! than [`PACE`]. **Memory**: two small stacks and a queue of at most [`QUEUE`] messages for each link.
//! **Protocol**: R-FL-10, R-FL-14.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use feige_core::wire::flood::classic::Program;
use feige_core::wire::flood::{MAX_MESSAGE, Message, Token, frame};

use super::hub::Notice;
use super::settings::Dialect;
use crate::transfer::{Cancel, Permit, connect, is_pause};

/// Messages that wait to be written.
const QUEUE: usize = 256;

/// Messages that are read in a [`WINDOW`]: 2,000 a second.
const PACE: u32 = 100;
const WINDOW: Duration = Duration::from_millis(50);

/// No wait is longer than this at a stretch.
const TICK: Duration = Duration::from_millis(250);

/// How long a neighbour may take none of what is written.
const STALL: Duration = Duration::from_secs(10);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How long after a link is gone it is dialled again, at first and at most.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_MOST: Duration = Duration::from_secs(30);

/// How long a link to ourselves waits for its dialling end to close it.
const OURSELVES: Duration = Duration::from_secs(3);

/// What no program has a command for: a classic one refuses it in its own words, a Feige does not answer it (R-FL-76).
pub(super) const WHO: &str = "feige";

/// A thread that moves octets calls nothing deep.
const STACK: usize = 128 << 10;

/// One end of a link.
#[derive(Debug)]
pub(super) struct Wire {
    /// Tells it from all others, ever.
    pub(super) conn: u64,
    pub(super) peer: SocketAddr,
    /// We dialled.
    pub(super) dialled: bool,
    /// What is to be written. When it is dropped, the link ends.
    pub(super) outbox: SyncSender<Vec<u8>>,
}

/// How a link ended.
#[derive(Debug)]
pub(super) enum End {
    /// It is gone, for this reason. `true` if the peer had said a message of ours.
    Gone(String, bool),
    /// It is a classic program.
    Classic(Program),
    /// It is ourselves.
    Ourselves,
}

/// Who is at this end.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) hub: SyncSender<Notice>,
    pub(super) token: Token,
    pub(super) cancel: Cancel,
}

/// A neighbour that is dialled: what the hub says to the thread that does it.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialling {
    /// It is a neighbour no more.
    gone: Cancel,
    /// There is a link to it, whoever dialled that.
    is_linked: Arc<AtomicBool>,
}

impl Dialling {
    /// Ends it.
    pub(super) fn end(&self) {
        self.gone.cancel();
    }

    /// Whether there is a link to this neighbour: it is not dialled while there is (R-FL-14).
    pub(super) fn set_linked(&self, is_linked: bool) {
        self.is_linked.store(is_linked, Ordering::Relaxed);
    }

    /// Waits for so long, and as long as there is a link. `false` if nothing is dialled any more.
    fn wait(&self, here: &Here, pause: &mut Duration) -> bool {
        let mut until = Instant::now() + *pause;
        while Instant::now() < until {
            if here.cancel.is_cancelled() || self.gone.is_cancelled() {
                return false;
            }
            if self.is_linked.load(Ordering::Relaxed) {
                *pause = AGAIN;
                until = Instant::now() + *pause;
            }
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        !(here.cancel.is_cancelled() || self.gone.is_cancelled())
    }
}

/// Reads a link until it ends. `first` was read already.
pub(super) fn run(here: &Here, stream: &TcpStream, peer: SocketAddr, first: Vec<u8>, dialled: bool) -> End {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    let conn = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let (outbox, queue) = sync_channel(QUEUE);
    let broken = |error: io::Error| End::Gone(error.to_string(), false);
    let writing = match prepare(stream).and_then(|()| stream.try_clone()) {
        Ok(writing) => writing,
        Err(error) => return broken(error),
    };
    let cancel = here.cancel.clone();
    let writer = thread::Builder::new().name("link-out".into()).stack_size(STACK);
    if let Err(error) = writer.spawn(move || write(writing, &queue, &cancel)) {
        return broken(error);
    }
    if here.hub.send(Notice::Connected(Wire { conn, peer, dialled, outbox })).is_err() {
        return End::Gone("the peer ends".to_owned(), false);
    }
    let end = read(here, conn, stream, first);
    if matches!(end, End::Ourselves) && !dialled {
        hear_out(here, stream);
    }
    // Whoever dialled tells what else it can be, and that nobody was there.
    let why = match &end {
        End::Gone(why, heard) if *heard || !dialled => Some(why.clone()),
        _ => None,
    };
    // The hub drops the queue, and that ends the writer.
    let _ = here.hub.send(Notice::Gone { conn, why });
    let _ = stream.shutdown(Shutdown::Both);
    end
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // How it was connected is over.
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(STALL))
}

/// Cuts what comes into messages.
fn read(here: &Here, conn: u64, mut stream: &TcpStream, first: Vec<u8>) -> End {
    let mut buffer = first;
    let mut heard = false;
    let (mut window, mut count) = (Instant::now(), 0);
    loop {
        loop {
            let (used, message) = match frame(&buffer) {
                Ok(None) => break,
                Ok(Some((message, used))) => (used, message),
                Err(error) => {
                    return match Program::of_refusal(&buffer) {
                        Some(program) if !heard => End::Classic(program),
                        _ => End::Gone(format!("it broke the rules: {error}"), heard),
                    };
                }
            };
            heard = true;
            if let Some(Message::Hello(hello)) = message
                && hello.token == here.token
            {
                return End::Ourselves;
            }
            let octets: Vec<u8> = buffer.drain(..used).collect();
            if here.hub.send(Notice::Message { conn, octets }).is_err() {
                return End::Gone("the peer ends".to_owned(), heard);
            }
            count += 1;
            if count >= PACE {
                thread::sleep(WINDOW.saturating_sub(window.elapsed()));
                (window, count) = (Instant::now(), 0);
            }
        }
        if here.cancel.is_cancelled() {
            return End::Gone("the peer ends".to_owned(), heard);
        }
        let mut room = [0; 4 * MAX_MESSAGE];
        match stream.read(&mut room) {
            Ok(0) => return End::Gone("closed by the other end".to_owned(), heard),
            Ok(count) => buffer.extend_from_slice(&room[..count]),
            Err(error) if is_pause(&error) => {}
            Err(error) => return End::Gone(error.to_string(), heard),
        }
        if window.elapsed() > WINDOW {
            (window, count) = (Instant::now(), 0);
        }
    }
}

/// Waits until the other end, which is ours, has heard who this is, and closes (R-FL-14).
fn hear_out(here: &Here, mut stream: &TcpStream) {
    let until = Instant::now() + OURSELVES;
    let mut room = [0; MAX_MESSAGE];
    while Instant::now() < until && !here.cancel.is_cancelled() {
        match stream.read(&mut room) {
            Ok(1..) => {}
            Err(error) if is_pause(&error) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// Writes until the hub drops its end of the queue.
fn write(mut stream: TcpStream, queue: &Receiver<Vec<u8>>, cancel: &Cancel) {
    while let Ok(octets) = queue.recv() {
        if stream.write_all(&octets).is_err() || cancel.is_cancelled() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Takes a link that somebody dialled, in a thread of its own.
pub(super) fn take(here: &Here, stream: TcpStream, peer: SocketAddr, first: Vec<u8>, permit: Permit) -> io::Result<()> {
    let here = here.clone();
    let thread = thread::Builder::new().name("link".into()).stack_size(STACK);
    thread.spawn(move || {
        let _permit = permit;
        run(&here, &stream, peer, first, false);
    })?;
    Ok(())
}

/// Dials a neighbour, again and again, until `dialling` ends.
pub(super) fn keep_dialling(
    here: &Here,
    at: SocketAddrV4,
    dialect: Option<Dialect>,
    dialling: Dialling,
) -> io::Result<()> {
    let here = here.clone();
    let thread = thread::Builder::new().name("dial".into()).stack_size(STACK);
    thread.spawn(move || dial(&here, at, dialect, &dialling))?;
    Ok(())
}

fn dial(here: &Here, at: SocketAddrV4, dialect: Option<Dialect>, dialling: &Dialling) {
    let gone = &dialling.gone;
    let mut pause = AGAIN;
    let mut told = String::new();
    loop {
        let began = Instant::now();
        let end = match connect(at.into(), CONNECT, gone) {
            Ok(stream) => run(here, &stream, at.into(), Vec::new(), true),
            Err(error) => End::Gone(error.to_string(), false),
        };
        let end = match end {
            // Not every classic program survives what is not text, or says something to it.
            End::Gone(why, false) if dialect.is_none() => probe(at, gone).map_or(End::Gone(why, false), End::Classic),
            other => other,
        };
        match end {
            End::Classic(program) => {
                let _ = here.hub.send(Notice::IsClassic { at, program });
                return;
            }
            End::Ourselves => {
                let error = format!("the neighbour {at} is this peer itself: take it out");
                let _ = here.hub.send(Notice::Trouble(error));
                return;
            }
            End::Gone(why, heard) => {
                if !heard && told != why {
                    let _ = here.hub.send(Notice::Unreachable { at, why: why.clone() });
                    told = why;
                }
                if heard {
                    told.clear();
                }
            }
        }
        pause = if began.elapsed() > AGAIN_MOST { AGAIN } else { (pause * 2).min(AGAIN_MOST) };
        if !dialling.wait(here, &mut pause) {
            return;
        }
    }
}

/// Says a word that no program knows, to hear how it is refused.
fn probe(at: SocketAddrV4, cancel: &Cancel) -> Option<Program> {
    let mut stream = connect(at.into(), CONNECT, cancel).ok()?;
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(WHO.as_bytes()).ok()?;
    let mut room = [0; 64];
    let count = stream.read(&mut room).ok()?;
    Program::of_refusal(&room[..count])
}
