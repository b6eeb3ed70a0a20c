//! A client and a server, and a wire between them that can be narrow, be cut and lie.

use std::cell::Cell;
use std::collections::VecDeque;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::stores::{Broken, Desk, Job, Shelf};
use super::turns::{Manner, Turns};
use crate::digest::{Digest, Hasher, Scalar};
use crate::stream::transfer::{Buffers, ClientSession, Credentials, ServerSession, Settings};
use crate::stream::{Machine, Outcome, ProtocolError, Store, Want};
use crate::time::Instant;

pub(super) fn settings(max_header: u16, window: u32) -> Settings {
    Settings { max_header, window, max_block: 16, software: "test" }
}

/// Counts how many inputs come together.
#[derive(Default)]
pub(super) struct Counting {
    pub(super) calls: usize,
    pub(super) inputs: usize,
}

impl Hasher for Counting {
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        self.calls += 1;
        self.inputs += inputs.len();
        Scalar.md5(inputs, digests);
    }
}

/// One direction of the wire.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) octets: VecDeque<u8>,
    pub(super) closed: bool,
    /// Octets that are under way at a time.
    pub(super) capacity: Option<usize>,
    pub(super) moved: u64,
    /// Positions whose octet arrives as another.
    pub(super) flip: Vec<u64>,
    /// All that went through.
    pub(super) log: Vec<u8>,
}

impl Pipe {
    /// Fills `room`; there are enough octets.
    fn take(&mut self, room: &mut [u8]) {
        let (front, back) = self.octets.as_slices();
        let from_front = room.len().min(front.len());
        let from_back = room.len() - from_front;
        room[..from_front].copy_from_slice(&front[..from_front]);
        room[from_front..].copy_from_slice(&back[..from_back]);
        self.octets.drain(..room.len());
        for place in self.flip.iter().filter_map(|at| at.checked_sub(self.moved)) {
            if let Some(octet) = room.get_mut(usize::try_from(place).unwrap()) {
                *octet ^= 0x10;
            }
        }
        self.moved += room.len() as u64;
    }
}

/// How the two are put together.
pub(super) struct Pair {
    pub(super) shelf: Shelf,
    pub(super) desk: Desk,
    /// Sizes of the buffers: input and output of the client, of the server.
    pub(super) buffers: [usize; 4],
    /// Who hashes for them.
    pub(super) manner: Manner,
    /// Octets that move at a time.
    pub(super) most: usize,
    pub(super) max_header: u16,
    /// What both say that they take.
    pub(super) window: u32,
    pub(super) credentials: Credentials<'static>,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    pub(super) hashed: Counting,
    pub(super) clock: Cell<u64>,
}

pub(super) type Ending = Result<Outcome, ProtocolError>;

impl Pair {
    pub(super) fn new(shelf: Shelf, jobs: impl IntoIterator<Item = Job>) -> Self {
        Self {
            shelf,
            desk: Desk::with(jobs),
            buffers: [600_000; 4],
            manner: Manner::Fickle,
            most: usize::MAX,
            max_header: 512,
            window: 1 << 20,
            credentials: Credentials::Guest,
            up: Pipe::default(),
            down: Pipe::default(),
            hashed: Counting::default(),
            clock: Cell::new(0),
        }
    }

    pub(super) fn buffers(mut self, input: usize, output: usize) -> Self {
        self.buffers = [input, output, input, output];
        self
    }

    pub(super) fn most(mut self, most: usize) -> Self {
        self.most = most;
        (self.shelf.most, self.desk.most) = (most.max(7), most.max(7));
        self
    }

    /// Runs both to their ends.
    pub(super) fn run(&mut self) -> (Ending, Ending) {
        let [a, b, c, d] = self.buffers;
        let [mut a, mut c] = [a, c].map(|len| Turns::new(len, self.manner));
        let [mut b, mut d] = [b, d].map(|len| vec![0xa5; len]);
        let mut client = ClientSession::new(
            Instant::START,
            settings(self.max_header, self.window),
            self.credentials,
            b"client nonce 12345",
        );
        let mut server =
            ServerSession::new(Instant::START, settings(self.max_header, self.window), *b"server nonce 67890");
        let mut client = client.with(Buffers { input: &mut a, output: &mut b }, Scalar);
        let (mut ends, mut idle): ((Option<Ending>, Option<Ending>), u32) = ((None, None), 0);
        loop {
            let mut moved = false;
            while ends.0.is_none() {
                let Self { up, down, desk, most, clock, .. } = self;
                match step(&mut client, down, up, *most, clock, desk) {
                    Step::Moved => moved = true,
                    Step::Blocked => break,
                    Step::Over(ending) => {
                        self.up.closed = true;
                        ends.0 = Some(ending);
                    }
                }
            }
            // The server's machine is made anew each time: what it remembers is in the session.
            let mut running = server.with(Buffers { input: &mut c, output: &mut d }, &mut self.hashed);
            while ends.1.is_none() {
                let Self { up, down, shelf, most, clock, .. } = self;
                match step(&mut running, up, down, *most, clock, shelf) {
                    Step::Moved => moved = true,
                    Step::Blocked => break,
                    Step::Over(ending) => {
                        self.down.closed = true;
                        ends.1 = Some(ending);
                    }
                }
            }
            if ends.1.is_none() && server.is_idle() {
                // Buffers of an idle session may be others the next time.
                c.renew();
                d.fill(0x5a);
            }
            if let (Some(client), Some(server)) = ends {
                return (client, server);
            }
            if moved {
                idle = 0;
            } else {
                idle += 1;
                assert!(idle < 3, "both wait for each other");
                self.clock.set(self.clock.get() + 100_000);
                let now = Instant::from_millis(self.clock.get());
                Machine::expire(&mut client, now);
                server.with(Buffers { input: &mut c, output: &mut d }, Scalar).expire(now);
            }
        }
    }
}

#[derive(Debug)]
pub(super) enum Step {
    Moved,
    Blocked,
    Over(Ending),
}

/// Does one thing that `machine` wants.
pub(super) fn step(
    machine: &mut impl Machine,
    from: &mut Pipe,
    to: &mut Pipe,
    most: usize,
    clock: &Cell<u64>,
    store: &mut impl Store<Error = Broken>,
) -> Step {
    assert_eq!(in_words(&machine.want()), in_words(&machine.want()), "asking changes nothing");
    let n = match machine.want() {
        Want::Read(room) | Want::Drain(room) => {
            assert!(!room.is_empty(), "a read into no room looks like the end");
            if from.octets.is_empty() && !from.closed {
                return Step::Blocked;
            }
            let count = room.len().min(most).min(from.octets.len());
            from.take(&mut room[..count]);
            count
        }
        Want::Write(octets) => {
            assert!(!octets.is_empty());
            let room = to.capacity.map_or(usize::MAX, |capacity| capacity - to.octets.len());
            let count = octets.len().min(most).min(room);
            if count == 0 {
                return Step::Blocked;
            }
            to.octets.extend(&octets[..count]);
            to.log.extend(&octets[..count]);
            count
        }
        Want::Open(target) => {
            let answer = store.open(target).expect("a store that works");
            machine.opened(Instant::from_millis(clock.get()), answer);
            return Step::Moved;
        }
        Want::Load { at, into } => store.load(at, into).expect("a store that works"),
        Want::Save { at, octets } => {
            store.save(at, octets).expect("a store that works");
            octets.len()
        }
        Want::Shutdown => {
            to.closed = true;
            0
        }
        Want::Done(result) => return Step::Over(result),
        want => panic!("a session does not want {want:?}"),
    };
    machine.done(Instant::from_millis(clock.get()), n as u64);
    Step::Moved
}

/// What a want amounts to.
fn in_words(want: &Want<'_>) -> String {
    match want {
        Want::Read(room) => std::format!("read {}", room.len()),
        Want::Drain(room) => std::format!("drain {}", room.len()),
        Want::Write(octets) => std::format!("write {}", octets.len()),
        Want::Load { at, into } => std::format!("load {} at {at}", into.len()),
        Want::Save { at, octets } => std::format!("save {} at {at}", octets.len()),
        want => std::format!("{want:?}"),
    }
}
