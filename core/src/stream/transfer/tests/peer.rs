//! A peer that says what it was told to say, whatever is asked, and when.

use std::cell::Cell;
use std::collections::VecDeque;
use std::string::String;
use std::vec;
use std::vec::Vec;

use serde::Serialize;

use super::pair::{Ending, Pipe, Step, settings, step};
use super::stores::{Broken, Desk, Shelf};
use super::turns::{Manner, Turns};
use crate::digest::{Digest, Scalar};
use crate::stream::transfer::{Buffers, ClientSession, Credentials, ServerSession};
use crate::stream::{Machine, Store};
use crate::time::Instant;
use crate::wire::transfer::{Data, File, Hello, LENGTH, Put, Reply, Request, block_len, body_len, decode, encode};

/// What a peer says, and how it arrives.
#[derive(Clone)]
pub(super) struct Script {
    /// Octets, and the millisecond at which they come.
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// After the last piece it closes; otherwise it says nothing more.
    closes: bool,
    /// It does not read, but for so many octets.
    reads: Option<usize>,
    most: usize,
    buffers: (usize, usize),
    /// Who hashes for them.
    manner: Manner,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) ending: Ending,
    /// What the session said.
    pub(super) said: Vec<u8>,
    /// When it ended, in milliseconds.
    pub(super) at: u64,
}

impl Script {
    /// Says `octets` at once and closes.
    pub(super) fn new(octets: &[u8]) -> Self {
        Self {
            pieces: VecDeque::new(),
            closes: true,
            reads: None,
            most: usize::MAX,
            buffers: (516, 512),
            manner: Manner::Fickle,
        }
        .then(0, octets)
    }

    /// Says nothing that was not asked for yet: each of the pieces that end at `ends` comes when the one before was
    /// understood.
    pub(super) fn in_pieces(octets: &[u8], ends: &[usize]) -> Self {
        let mut script = Self { pieces: VecDeque::new(), ..Self::new(&[]) };
        let mut from = 0;
        for &end in ends.iter().filter(|&&end| end < octets.len()).chain([&octets.len()]) {
            script = script.then(1, &octets[from..end]);
            from = end;
        }
        script
    }

    /// Goes on after so many milliseconds.
    pub(super) fn then(mut self, after: u64, octets: &[u8]) -> Self {
        let last = self.pieces.back().map_or(0, |&(at, _)| at);
        self.pieces.push_back((last + after, octets.into()));
        self
    }

    /// Goes on with an octet every so many milliseconds.
    pub(super) fn trickle(mut self, every: u64, octets: &[u8]) -> Self {
        for &octet in octets {
            self = self.then(every, &[octet]);
        }
        self
    }

    pub(super) fn silent(mut self) -> Self {
        self.closes = false;
        self
    }

    pub(super) fn reads(mut self, most: usize) -> Self {
        self.reads = Some(most);
        self
    }

    pub(super) fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    pub(super) fn buffers(mut self, input: usize, output: usize) -> Self {
        self.buffers = (input, output);
        self
    }

    pub(super) fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// Is a client, served by `shelf`.
    pub(super) fn serve(&self, shelf: &mut Shelf) -> Heard {
        self.serve_with(shelf, &Cell::new(0))
    }

    pub(super) fn serve_with(&self, shelf: &mut impl Store<Error = Broken>, clock: &Cell<u64>) -> Heard {
        let mut session = ServerSession::new(Instant::START, settings(512, 1 << 20), *b"server nonce 67890");
        let (mut input, mut output) = (Turns::new(self.buffers.0, self.manner), vec![0xa5; self.buffers.1]);
        let mut machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
        self.talk(&mut machine, shelf, clock)
    }

    /// Is a server, of which `desk` wants something.
    pub(super) fn fetch(&self, desk: &mut Desk) -> Heard {
        self.fetch_with(desk, Credentials::Guest, &Cell::new(0))
    }

    pub(super) fn fetch_with(
        &self,
        desk: &mut impl Store<Error = Broken>,
        credentials: Credentials<'_>,
        clock: &Cell<u64>,
    ) -> Heard {
        let nonce = b"client nonce 12345";
        let mut session = ClientSession::new(Instant::START, settings(512, 1 << 20), credentials, nonce);
        let (mut input, mut output) = (Turns::new(self.buffers.0, self.manner), vec![0xa5; self.buffers.1]);
        let mut machine = session.with(Buffers { input: &mut input, output: &mut output }, Scalar);
        self.talk(&mut machine, desk, clock)
    }

    fn talk(&self, machine: &mut impl Machine, store: &mut impl Store<Error = Broken>, clock: &Cell<u64>) -> Heard {
        let mut pieces = self.pieces.clone();
        let (mut from, mut to) = (Pipe::default(), Pipe { capacity: self.reads, ..Pipe::default() });
        // Idle rounds in a row: time that passes without anything that happens.
        let mut idle = 0;
        for _ in 0..10_000_000 {
            while pieces.front().is_some_and(|&(at, _)| at <= clock.get()) {
                from.octets.extend(pieces.pop_front().unwrap().1);
            }
            from.closed = self.closes && pieces.is_empty();
            if machine.deadline().is_some_and(|deadline| deadline.as_millis() <= clock.get()) {
                idle += 1;
                assert!(idle < 5, "it expires again and again");
                machine.expire(Instant::from_millis(clock.get()));
                continue;
            }
            match step(machine, &mut from, &mut to, self.most, clock, store) {
                Step::Moved => idle = 0,
                Step::Over(ending) => return Heard { ending, said: to.log, at: clock.get() },
                Step::Blocked => {
                    let deadline = machine.deadline().expect("every wait for the peer has an end").as_millis();
                    let next = pieces.front().map_or(deadline, |&(at, _)| at.min(deadline));
                    clock.set(next);
                }
            }
        }
        panic!("it does not end");
    }
}

impl Heard {
    /// The answers of a server, in words, without the octets of files.
    pub(super) fn replies(&self) -> Vec<String> {
        messages(&self.said).into_iter().map(|(reply, _)| reply).collect()
    }
}

/// What a server said, message by message: in words, and where each ends.
pub(super) fn messages(said: &[u8]) -> Vec<(String, usize)> {
    let (mut at, mut block, mut messages) = (0, 4096, Vec::new());
    while let Some(&length) = said[at..].first_chunk::<LENGTH>() {
        let header = &said[at + LENGTH..][..usize::try_from(u32::from_le_bytes(length)).unwrap()];
        let reply = decode::<Reply<'_>>(header).expect("a server says what it means");
        if let Reply::File(file) = reply {
            block = block_len(file.block).unwrap();
        }
        let body = match reply {
            Reply::Data(data) => body_len(data.len, block),
            _ => 0,
        };
        at += LENGTH + header.len() + usize::try_from(body).unwrap();
        messages.push((std::format!("{reply:?}"), at));
    }
    messages
}

/// A message without a body.
pub(super) fn say(header: &impl Serialize) -> Vec<u8> {
    let mut buffer = vec![0; 5000];
    let len = encode(header, &mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

/// The octets of a body: the digest of each block, then data.
pub(super) fn body(octets: &[u8], block: usize) -> Vec<u8> {
    octets.chunks(block).flat_map(|block| Digest::of(block).0).chain(octets.iter().copied()).collect()
}

/// A run of blocks of 4 KiB that a client sends.
pub(super) fn up(at: u64, octets: &[u8]) -> Vec<u8> {
    let len = u32::try_from(octets.len()).unwrap();
    [say(&Request::Data(Data { at, len })), body(octets, 4096)].concat()
}

/// A run of blocks of 4 KiB that a server sends.
pub(super) fn down(at: u64, octets: &[u8]) -> Vec<u8> {
    let len = u32::try_from(octets.len()).unwrap();
    [say(&Reply::Data(Data { at, len })), body(octets, 4096)].concat()
}

pub(super) fn hello(version: u8) -> Hello<'static> {
    Hello { version, features: 0, max_header: 512, window: 1 << 20, max_block: 16, software: "peer" }
}

/// What a guest says first.
pub(super) fn come_in() -> Vec<u8> {
    [say(&Request::Hello(hello(1))), say(&Request::Guest)].concat()
}

/// What a client says that is about to send the file `f`, of so many octets, in blocks of 4 KiB.
pub(super) fn announce(size: u64) -> Vec<u8> {
    let put = Put { path: "f", size, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline: false };
    say(&Request::Put(put))
}

/// What a server says that is about to send such a file.
pub(super) fn here_is(size: u64) -> Vec<u8> {
    say(&Reply::File(File { size, mtime: None, mode: None, stamp: 7, block: 12, offset: 0, length: size }))
}

/// What a server says to a guest.
pub(super) fn let_in() -> Vec<u8> {
    [say(&Reply::Hello(hello(1))), say(&Reply::Done)].concat()
}
