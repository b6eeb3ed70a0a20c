//! `feige serve` with a thousand clients at once: how long they wait, how evenly they are served, and what they cost.
//!
//! The limits that are asserted are those of a program built for tests on a busy machine. The figures are printed:
//! `FEIGE_BIN=target/release/feige cargo test --test serve_load -- --nocapture`.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use feige_core::wire::transfer::{File, LENGTH, Prefix, Reply, Request, block_len, decode, prefix};
use feige_tests::served::Served;
use feige_tests::transfer::{Caller, Ready, digest, get, hello, message, octets, put, rest};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

const CLIENTS: usize = 1000;

/// What each transfers.
const SIZE: usize = 256 << 10;

/// Half of the connections may come from one address.
const ROOM: &str = "2200";

/// Whoever measures wants to be alone.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether the program that is tried is one that people use.
fn is_release() -> bool {
    std::env::var("FEIGE_BIN").is_ok_and(|path| path.contains("release"))
}

/// One of many clients in one thread: sends what is in `out`, collects what comes.
struct Client {
    caller: Caller,
    out: Vec<u8>,
    sent: usize,
    got: Vec<u8>,
    ended: Option<Duration>,
}

impl Client {
    fn new(caller: Caller, out: Vec<u8>) -> Self {
        caller.stream.set_nonblocking(true).expect("a socket");
        Self { caller, out, sent: 0, got: Vec::new(), ended: None }
    }

    /// Moves what can be moved.
    fn turn(&mut self, room: &mut [u8]) {
        while self.sent < self.out.len() {
            match self.caller.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error} after {} octets", self.sent),
            }
        }
        loop {
            match self.caller.stream.read(room) {
                Ok(0) => panic!("the server closed the connection: {} octets came", self.got.len()),
                Ok(count) => self.got.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error} after {} octets", self.got.len()),
            }
        }
    }
}

/// Has all clients ask before the first of them is answered: the program sleeps meanwhile.
fn ask_at_once(served: &Served, callers: impl Iterator<Item = (Caller, Vec<u8>)>) -> Vec<Client> {
    let pid = i32::try_from(served.program.pid()).ok().and_then(Pid::from_raw).expect("a process");
    // Whoever signed in last is waited for by a worker for a moment.
    std::thread::sleep(Duration::from_millis(100));
    kill_process(pid, Signal::STOP).expect("runs");
    // Its threads fall asleep one after the other.
    std::thread::sleep(Duration::from_millis(100));
    let clients = callers.map(|(mut caller, request)| {
        caller.send(&request);
        Client::new(caller, Vec::new())
    });
    let clients = clients.collect();
    kill_process(pid, Signal::CONT).expect("runs");
    clients
}

/// Lets all clients work until `ended` holds for each; it may give them more to send.
fn drive(clients: &mut [Client], limit: Duration, mut ended: impl FnMut(&mut Client) -> bool) {
    let start = Instant::now();
    let mut room = vec![0; 64 << 10];
    let mut ready: Vec<usize> = (0..clients.len()).collect();
    loop {
        for &at in &ready {
            clients[at].turn(&mut room);
            if ended(&mut clients[at]) {
                clients[at].ended = Some(start.elapsed());
            }
        }
        let open: Vec<usize> = (0..clients.len()).filter(|&at| clients[at].ended.is_none()).collect();
        if open.is_empty() {
            return;
        }
        assert!(start.elapsed() < limit, "{} of {} are not served after {limit:?}", open.len(), clients.len());
        let mut waits: Vec<_> = open
            .iter()
            .map(|&at| {
                let out = if clients[at].sent < clients[at].out.len() { PollFlags::OUT } else { PollFlags::empty() };
                PollFd::new(&clients[at].caller.stream, PollFlags::IN | out)
            })
            .collect();
        let time = Duration::from_millis(100).try_into().expect("a time");
        poll(&mut waits, Some(&time)).expect("poll");
        ready = waits.iter().zip(&open).filter(|(wait, _)| !wait.revents().is_empty()).map(|(_, &at)| at).collect();
    }
}

/// The first reply in what came, and the octets of it.
fn first(got: &[u8]) -> Option<(Reply<'_>, usize)> {
    let Ok(Prefix::Header(len)) = prefix(got, 4096) else { return None };
    let header = got.get(LENGTH..LENGTH + len)?;
    Some((decode(header).expect("a reply"), LENGTH + len))
}

/// A file as it came.
fn received(mut got: &[u8]) -> Vec<u8> {
    let Some((Reply::File(File { block, length, .. }), len)) = first(got) else { panic!("no file") };
    got = &got[len..];
    let block = usize::try_from(block_len(block).expect("a size")).expect("small");
    let mut file = Vec::new();
    while (file.len() as u64) < length {
        let Some((Reply::Data(data), len)) = first(got) else { panic!("no data") };
        let run = usize::try_from(data.len).expect("small");
        let (digests, rest) = got[len..].split_at(run.div_ceil(block) * Digest::LEN);
        let (run, rest) = rest.split_at(run);
        for (block, digest) in run.chunks(block).zip(digests.chunks(Digest::LEN)) {
            assert_eq!(digest, Digest::of(block).0);
        }
        file.extend_from_slice(run);
        got = rest;
    }
    assert!(got.is_empty());
    file
}

/// How many octets a file of [`SIZE`] takes on its way, as soon as its first header tells the size of the blocks.
fn is_complete(client: &Client) -> bool {
    let Some((Reply::File(file), len)) = first(&client.got) else { return false };
    let block = usize::try_from(block_len(file.block).expect("a size")).expect("small");
    let least = len + SIZE + SIZE.div_ceil(block) * Digest::LEN;
    // The headers of the runs come to that: the last run is complete when all of them are.
    client.got.len() > least && runs_are_complete(&client.got[len..], block)
}

fn runs_are_complete(mut got: &[u8], block: usize) -> bool {
    let mut left = SIZE;
    while left > 0 {
        let Some((Reply::Data(data), len)) = first(got) else { return false };
        let run = usize::try_from(data.len).expect("small");
        let Some(rest) = got.get(len + run + run.div_ceil(block) * Digest::LEN..) else { return false };
        got = rest;
        left -= run;
    }
    true
}

/// The quickest and the slowest, and what the program took at most.
fn judge(what: &str, clients: &[Client], served: &Served, before: u64) {
    let times = || clients.iter().filter_map(|client| client.ended);
    let (fastest, slowest) = (times().min().expect("some"), times().max().expect("some"));
    let ratio = slowest.as_secs_f64() / fastest.as_secs_f64();
    let peak = served.program.memory("VmHWM");
    let (program, debug) = if is_release() { ("release", 1) } else { ("debug", 2) };
    println!(
        "{CLIENTS} {what} of {} KiB ({program}): fastest {fastest:.2?}, slowest {slowest:.2?} ({ratio:.2} times), \
         {peak} KiB at most, {before} KiB before",
        SIZE >> 10
    );
    // Of a program built for tests on a machine with other things to do, only that nobody is left behind.
    let limit = if is_release() { 3.0 } else { 12.0 };
    assert!(ratio <= limit, "the slowest took {ratio:.1} times as long as the fastest");
    let most = (12 << 10) + 64 * CLIENTS as u64;
    assert!(peak <= most * debug, "{peak} KiB");
}

#[test]
fn a_thousand_who_are_signed_in_and_do_nothing() {
    let _alone = alone();
    let served = Served::start(&["--guest", "read", "--max-connections", ROOM]);
    let handles = served.handles();
    let start = Instant::now();
    let hello = message(&hello());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::new(Caller::connect(served.addr), hello.clone())).collect();
    drive(&mut clients, Duration::from_secs(20), |client| first(&client.got).is_some());
    let greeted = start.elapsed();
    for client in &mut clients {
        client.got.clear();
        client.ended = None;
        client.out.extend(message(&Request::Guest));
    }
    drive(&mut clients, Duration::from_secs(20), |client| matches!(first(&client.got), Some((Reply::Done, _))));
    std::thread::sleep(Duration::from_millis(200));
    let memory = served.program.memory("VmRSS");
    println!("{CLIENTS} greeted in {greeted:.2?}; they cost {memory} KiB in all ({})", served.program.memory("VmHWM"));
    assert!(greeted < Duration::from_secs(5), "{greeted:?}");
    let most = if is_release() { 16 << 10 } else { 40 << 10 };
    assert!(memory <= most, "{memory} KiB");
    // They cost no time either.
    served.is_well();
    drop(clients);
    served.settles_at(handles);
    served.is_well();
}

#[test]
fn a_thousand_fetch_at_once() {
    let _alone = alone();
    let served = Served::start(&["--guest", "read", "--max-connections", ROOM]);
    let handles = served.handles();
    let file = octets(SIZE, 1);
    std::fs::write(served.path("file"), &file).expect("written");
    let callers: Vec<_> = (0..CLIENTS).map(|_| served.guest()).collect();
    let before = served.program.memory("VmRSS");
    let mut clients = ask_at_once(&served, callers.into_iter().map(|caller| (caller, message(&get("file")))));
    drive(&mut clients, Duration::from_secs(60), |client| is_complete(client));
    judge("downloads", &clients, &served, before);
    for client in &clients {
        assert!(received(&client.got) == file, "not what was served");
    }
    drop(clients);
    served.settles_at(handles);
    served.is_well();
}

#[test]
fn a_thousand_store_at_once() {
    let _alone = alone();
    let served = Served::start(&["--guest", "write", "--max-connections", ROOM]);
    let handles = served.handles();
    let file = octets(SIZE, 2);
    let names: Vec<String> = (0..CLIENTS).map(|number| format!("file{number}")).collect();
    let callers: Vec<_> = (0..CLIENTS).map(|_| served.guest()).collect();
    let before = served.program.memory("VmRSS");
    let announced = names.iter().map(|name| message(&Request::Put(put(name, SIZE as u64))));
    let mut clients = ask_at_once(&served, callers.into_iter().zip(announced));
    let mut rests: [Option<(Vec<u8>, Digest)>; 21] = [const { None }; 21];
    drive(&mut clients, Duration::from_secs(60), |client| match first(&client.got) {
        Some((Reply::Ready { offset: 0, block }, _)) => {
            let make = || (rest(&file, Ready { offset: 0, block }), digest(&file, block));
            let (rest, _) = rests[usize::from(block)].get_or_insert_with(make);
            client.out.extend_from_slice(rest);
            client.got.clear();
            false
        }
        Some((Reply::Stored { .. }, _)) => true,
        Some((other, _)) => panic!("{other:?}"),
        None => false,
    });
    judge("uploads", &clients, &served, before);
    assert_eq!(served.files("").len(), CLIENTS);
    for name in &names {
        assert!(std::fs::read(served.path(name)).expect("there") == file, "{name} is not what was sent");
    }
    drop(clients);
    served.settles_at(handles);
    served.is_well();
}

/// Guests who ask how much is used, on and on, of a home with many files: it is gone through once for all of them, and nobody
/// else waits for it.
#[test]
fn a_home_with_many_files_is_measured_for_all_at_once() {
    const FILES: usize = 10_000;
    const ASKING: usize = 40;
    let _alone = alone();
    let served = Served::start(&["--guest", "read"]);
    for folder in 0..10 {
        let folder = served.path("many").join(folder.to_string());
        std::fs::create_dir_all(&folder).expect("room");
        for file in 0..FILES / 10 {
            std::fs::write(folder.join(file.to_string()), "x").expect("room");
        }
    }
    let before = served.busy();
    assert_eq!(served.guest().space().0, FILES as u64);
    let once = served.busy().saturating_sub(before);
    // What was found is not believed any more.
    std::thread::sleep(Duration::from_secs(8));
    let mut asking: Vec<Caller> = (0..ASKING).map(|_| served.guest()).collect();
    let mut other = served.guest();
    let before = served.busy();
    asking.iter_mut().for_each(|caller| caller.say(&Request::Space));
    let began = Instant::now();
    let listed = other.list("").expect("a list");
    let waited = began.elapsed();
    assert_eq!(listed.0, ["many/"]);
    for caller in &mut asking {
        let mut answer = caller.hear();
        while matches!(answer.reply(), Reply::Working) {
            answer = caller.hear();
        }
        assert!(matches!(answer.reply(), Reply::Space { used, .. } if used == FILES as u64), "{answer:?}");
    }
    let all = served.busy().saturating_sub(before);
    println!("{FILES} files: {once:?} for one, {all:?} for {ASKING}; another waited {waited:?}");
    assert!(all < 4 * once + Duration::from_millis(300), "{all:?} for {ASKING}, {once:?} for one");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
}
