//! A client and a server, with stores in memory and a wire between them that can be cut and can lie.

use std::collections::{BTreeMap, VecDeque};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use crate::digest::{Digest, Hasher, Scalar};
use crate::stream::transfer::{
    Answer, Ask, Buffers, ClientSession, Credentials, ServerSession, Settings, Verifier, scram,
};
use crate::stream::{Machine, Opened, Outcome, ProtocolError, Target, Want};
use crate::time::Instant;
use crate::wire::transfer::{Entry, EntryKind, ErrorCode, File, Get, Reply, Request, block_len};

pub(super) const SALT: &[u8] = b"0123456789abcdef";

pub(super) fn settings(max_header: u16) -> Settings {
    Settings { max_header, window: 1 << 20, max_block: 16, software: "test" }
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

/// What a file is while it is received.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) octets: Vec<u8>,
    pub(super) verified: Vec<(u64, u32)>,
}

/// The server's store.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) password: Option<&'static str>,
    pub(super) guests: bool,
    /// The block that is used for what is sent, as a power of two.
    pub(super) block: u8,
    /// Files that are complete but not settled.
    pub(super) finished: Vec<(String, Vec<u8>)>,
    /// Where uploads begin.
    pub(super) have: Option<Part>,
    pub(super) part: Option<Part>,
    pub(super) open: Vec<u8>,
    pub(super) names: VecDeque<String>,
    pub(super) signed_in: Vec<(String, bool)>,
    pub(super) full_after: Option<u64>,
    /// The file that is sent ends here.
    pub(super) shrink_to: Option<usize>,
    pub(super) changed: bool,
    pub(super) asked: Vec<String>,
    keys: Option<scram::Keys>,
    name: String,
    work: u32,
}

impl Shelf {
    pub(super) fn new() -> Self {
        Self { guests: true, block: 12, ..Self::default() }
    }

    fn ask(&mut self, ask: Ask<'_>) -> Answer<'_> {
        let no = |code| Answer::Reply(Reply::Error { code, text: "no" });
        match ask {
            Ask::Guest if self.guests => Answer::Reply(Reply::Done),
            Ask::Guest => no(ErrorCode::SignInRequired),
            Ask::Account { user } => {
                let password = self.password.filter(|_| user == "alice");
                let keys = password.map_or(scram::Keys { stored_key: [0; 32], server_key: [0; 32] }, |password| {
                    scram::derive(password, SALT, 4096)
                });
                let keys = self.keys.insert(keys);
                Answer::Account(Verifier {
                    salt: SALT,
                    iterations: 4096,
                    stored_key: keys.stored_key,
                    server_key: keys.server_key,
                })
            }
            Ask::SignedIn { user, proven } => {
                self.signed_in.push((user.to_string(), proven));
                Answer::Reply(Reply::Done)
            }
            Ask::Request(request) => {
                self.asked.push(std::format!("{request:?}"));
                Answer::Reply(self.request(request))
            }
            Ask::Next if self.work > 0 => {
                self.work -= 1;
                if self.work > 0 {
                    return Answer::Reply(Reply::Working);
                }
                Answer::Reply(Reply::Sum { md5: Digest::of(&self.open), size: self.open.len() as u64 })
            }
            Ask::Next => match self.names.pop_front() {
                None => Answer::Reply(Reply::End { cursor: 0 }),
                Some(name) => {
                    let size = self.files[&name].len() as u64;
                    self.name = name;
                    let name = &self.name;
                    Answer::Reply(Reply::Entry(Entry { name, kind: EntryKind::File, size, mtime: None, mode: None }))
                }
            },
            Ask::Loaded if self.changed => no(ErrorCode::Internal),
            Ask::Loaded => Answer::Reply(Reply::Done),
            Ask::Verified { at, len, digests } => {
                let part = self.part.as_mut().expect("a part is open");
                check(part, at, len, digests);
                if self.full_after.is_some_and(|full| at + u64::from(len) > full) {
                    return no(ErrorCode::NoSpace);
                }
                Answer::Reply(Reply::Done)
            }
            Ask::Complete { .. } => {
                let part = self.part.take().expect("a part is open");
                self.finished.push((part.name, part.octets));
                Answer::Reply(Reply::Done)
            }
            Ask::Settle => {
                self.files.extend(self.finished.drain(..));
                Answer::Reply(Reply::Done)
            }
            ask => panic!("a server does not ask {ask:?}"),
        }
    }

    fn request(&mut self, request: Request<'_>) -> Reply<'static> {
        let no = |code| Reply::Error { code, text: "no" };
        match request {
            Request::List { .. } => {
                self.names = self.files.keys().cloned().collect();
                Reply::Done
            }
            Request::Get(get) => {
                let Some(octets) = self.files.get(get.path) else { return no(ErrorCode::NotFound) };
                self.open = octets.clone();
                let block = if get.block == 0 { self.block } else { get.block };
                let size = octets.len() as u64;
                let offset = if get.stamp == 7 { get.offset } else { 0 };
                let length = get.length.min(size - offset);
                if let Some(shrink_to) = self.shrink_to {
                    self.open.truncate(shrink_to);
                }
                Reply::File(File { size, mtime: None, mode: None, stamp: 7, block, offset, length })
            }
            Request::Put(put) if put.path == "forbidden" => no(ErrorCode::Forbidden),
            Request::Put(put) => {
                let mut part = self.have.take().unwrap_or_default();
                part.name = put.path.to_string();
                let offset = part.octets.len() as u64;
                part.octets.resize(usize::try_from(put.size).unwrap(), 0xa5);
                self.part = Some(part);
                Reply::Ready { offset, block: self.block }
            }
            Request::Sum { path } => {
                self.open = self.files[path].clone();
                self.work = 3;
                Reply::Working
            }
            Request::Time => Reply::Time(5),
            Request::Remove { path } => match self.files.remove(path) {
                Some(_) => Reply::Done,
                None => no(ErrorCode::NotFound),
            },
            _ => no(ErrorCode::Unsupported),
        }
    }
}

fn check(part: &mut Part, at: u64, len: u32, digests: &[Digest]) {
    let octets = &part.octets[usize::try_from(at).unwrap()..][..len as usize];
    let found = (12..=20)
        .map(|log2| block_len(log2).unwrap() as usize)
        .any(|block| octets.chunks(block).map(Digest::of).eq(digests.iter().copied()));
    assert!(found, "what is told to be verified has these digests");
    part.verified.push((at, len));
}

/// What a client has to do.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Get { path: &'static str, offset: u64, stamp: u64 },
    Put { path: &'static str, octets: Vec<u8>, inline: bool },
    Other(Request<'static>),
}

pub(super) fn get(path: &'static str) -> Job {
    Job::Get { path, offset: 0, stamp: 0 }
}

/// The client's store.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) jobs: VecDeque<Job>,
    pub(super) under_way: VecDeque<Job>,
    /// Replies, in words; and files that came.
    pub(super) heard: Vec<String>,
    pub(super) got: Vec<Part>,
    pub(super) part: Option<Part>,
    pub(super) sent: Vec<u8>,
    pub(super) refuse_files: bool,
    pub(super) shrink_to: Option<usize>,
    pub(super) repairs: usize,
    job: Option<Job>,
}

impl Desk {
    pub(super) fn with(jobs: impl IntoIterator<Item = Job>) -> Self {
        Self { jobs: jobs.into_iter().collect(), ..Self::default() }
    }

    fn ask(&mut self, ask: Ask<'_>) -> Answer<'_> {
        match ask {
            Ask::Job => {
                let Some(job) = self.jobs.front() else { return Answer::Over };
                let gets = self.under_way.iter().any(|job| matches!(job, Job::Get { .. }));
                if gets && matches!(job, Job::Put { .. }) {
                    return Answer::Later;
                }
                let job = self.jobs.pop_front().unwrap();
                self.under_way.push_back(job.clone());
                self.job = Some(job);
                Answer::Job(match self.job.as_ref().unwrap() {
                    Job::Get { path, offset, stamp } => {
                        Request::Get(Get { path, offset: *offset, length: u64::MAX, block: 0, stamp: *stamp })
                    }
                    Job::Put { path, octets, inline } => {
                        self.sent = octets.clone();
                        let size = octets.len() as u64;
                        if let Some(shrink_to) = self.shrink_to {
                            self.sent.truncate(shrink_to);
                        }
                        Request::Put(crate::wire::transfer::Put {
                            path,
                            size,
                            mtime: None,
                            mode: None,
                            stamp: 3,
                            block: 16,
                            replace: true,
                            inline: *inline,
                        })
                    }
                    Job::Other(request) => *request,
                })
            }
            Ask::Reply(reply) => {
                match reply {
                    Reply::File(file) if self.refuse_files => {
                        self.heard.push(std::format!("refused {}", file.length));
                        self.under_way.pop_front();
                        return Answer::Reply(Reply::Error { code: ErrorCode::NoSpace, text: "no" });
                    }
                    Reply::File(file) => {
                        let Some(Job::Get { path, .. }) = self.under_way.front() else { panic!("{reply:?}") };
                        let octets = vec![0xa5; usize::try_from(file.size).unwrap()];
                        self.part = Some(Part { name: path.to_string(), octets, verified: Vec::new() });
                    }
                    Reply::Entry(_) | Reply::Hello(_) | Reply::Ready { .. } => {}
                    _ => {
                        self.under_way.pop_front();
                    }
                }
                if !matches!(reply, Reply::Hello(_) | Reply::File(_)) {
                    self.heard.push(std::format!("{reply:?}"));
                }
                Answer::Reply(Reply::Done)
            }
            Ask::Verified { at, len, digests } => {
                check(self.part.as_mut().expect("a part is open"), at, len, digests);
                Answer::Reply(Reply::Done)
            }
            Ask::Complete { .. } => {
                self.got.push(self.part.take().expect("a part is open"));
                self.under_way.pop_front();
                Answer::Reply(Reply::Done)
            }
            Ask::Damaged { at, len } => {
                self.repairs += 1;
                let Some(Job::Get { path, .. }) = self.under_way.front() else { panic!("nothing is received") };
                Answer::Job(Request::Get(Get { path, offset: at, length: len.into(), block: 0, stamp: 7 }))
            }
            Ask::Unsent { code, .. } => {
                self.under_way.pop_back();
                self.heard.push(std::format!("unsent {code:?}"));
                Answer::Reply(Reply::Done)
            }
            Ask::Loaded => Answer::Reply(Reply::Done),
            ask => panic!("a client does not ask {ask:?}"),
        }
    }
}

/// One direction of the wire.
#[derive(Default)]
pub(super) struct Pipe {
    octets: VecDeque<u8>,
    closed: bool,
    pub(super) moved: u64,
    /// Positions whose octet arrives as another.
    pub(super) flip: Vec<u64>,
    /// All that went through.
    pub(super) log: Vec<u8>,
}

/// How the two are put together.
pub(super) struct Pair {
    pub(super) shelf: Shelf,
    pub(super) desk: Desk,
    /// Sizes of the buffers: input and output of the client, of the server.
    pub(super) buffers: [usize; 4],
    /// Octets that move at a time.
    pub(super) most: usize,
    pub(super) max_header: u16,
    pub(super) credentials: Credentials<'static>,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    pub(super) hashed: Counting,
    pub(super) now: u64,
}

pub(super) type Ending = Result<Outcome, ProtocolError>;

impl Pair {
    pub(super) fn new(shelf: Shelf, jobs: impl IntoIterator<Item = Job>) -> Self {
        Self {
            shelf,
            desk: Desk::with(jobs),
            buffers: [600_000; 4],
            most: usize::MAX,
            max_header: 512,
            credentials: Credentials::Guest,
            up: Pipe::default(),
            down: Pipe::default(),
            hashed: Counting::default(),
            now: 0,
        }
    }

    pub(super) fn buffers(mut self, input: usize, output: usize) -> Self {
        self.buffers = [input, output, input, output];
        self
    }

    pub(super) fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Runs both to their ends.
    pub(super) fn run(&mut self) -> (Ending, Ending) {
        let [mut a, mut b, mut c, mut d] = self.buffers.map(|len| vec![0xa5; len]);
        let mut client =
            ClientSession::new(Instant::START, settings(self.max_header), self.credentials, b"client nonce 12345");
        let mut server = ServerSession::new(Instant::START, settings(self.max_header), *b"server nonce 67890");
        let mut client = client.with(Buffers { input: &mut a, output: &mut b }, Scalar);
        let (mut ends, mut idle): ((Option<Ending>, Option<Ending>), u32) = ((None, None), 0);
        loop {
            let mut moved = false;
            while ends.0.is_none() {
                let Self { up, down, desk, most, .. } = self;
                match step(&mut client, down, up, *most, self.now, |ask| answer_client(desk, ask)) {
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
                let Self { up, down, shelf, most, .. } = self;
                match step(&mut running, up, down, *most, self.now, |ask| answer_server(shelf, ask)) {
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
                c.fill(0x5a);
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
                self.now += 100_000;
                Machine::expire(&mut client, Instant::from_millis(self.now));
                server.with(Buffers { input: &mut c, output: &mut d }, Scalar).expire(Instant::from_millis(self.now));
            }
        }
    }
}

enum Step {
    Moved,
    Blocked,
    Over(Ending),
}

enum Store<'s> {
    Client(&'s mut Desk),
    Server(&'s mut Shelf),
}

fn answer_client<'s>(desk: &'s mut Desk, ask: Option<Ask<'_>>) -> (Option<Answer<'s>>, Option<Store<'s>>) {
    match ask {
        Some(ask) => (Some(desk.ask(ask)), None),
        None => (None, Some(Store::Client(desk))),
    }
}

fn answer_server<'s>(shelf: &'s mut Shelf, ask: Option<Ask<'_>>) -> (Option<Answer<'s>>, Option<Store<'s>>) {
    match ask {
        Some(ask) => (Some(shelf.ask(ask)), None),
        None => (None, Some(Store::Server(shelf))),
    }
}

fn step<'s>(
    machine: &mut impl Machine,
    from: &mut Pipe,
    to: &mut Pipe,
    most: usize,
    now: u64,
    store: impl FnOnce(Option<Ask<'_>>) -> (Option<Answer<'s>>, Option<Store<'s>>),
) -> Step {
    let now = Instant::from_millis(now);
    let n = match machine.want() {
        Want::Read(room) | Want::Drain(room) => {
            assert!(!room.is_empty(), "a read into no room looks like the end");
            if from.octets.is_empty() && !from.closed {
                return Step::Blocked;
            }
            let count = room.len().min(most).min(from.octets.len());
            for place in &mut room[..count] {
                *place = from.octets.pop_front().unwrap();
                if from.flip.contains(&from.moved) {
                    *place ^= 0x10;
                }
                from.moved += 1;
            }
            count
        }
        Want::Write(octets) => {
            assert!(!octets.is_empty());
            let count = octets.len().min(most);
            to.octets.extend(&octets[..count]);
            to.log.extend(&octets[..count]);
            count
        }
        Want::Open(Target::Ask(ask)) => {
            let answer = store(Some(ask)).0.unwrap();
            machine.opened(now, Opened::Answer(answer));
            return Step::Moved;
        }
        Want::Load { at, into } => {
            assert!(!into.is_empty());
            let (octets, end) = match store(None).1.unwrap() {
                Store::Client(desk) => (&desk.sent, desk.sent.len()),
                Store::Server(shelf) => (&shelf.open, shelf.open.len()),
            };
            let at = usize::try_from(at).unwrap();
            let count = end.saturating_sub(at).min(into.len()).min(most.max(7));
            into[..count].copy_from_slice(&octets[at.min(end)..][..count]);
            count
        }
        Want::Save { at, octets } => {
            assert!(!octets.is_empty());
            let part = match store(None).1.unwrap() {
                Store::Client(desk) => desk.part.as_mut(),
                Store::Server(shelf) => shelf.part.as_mut(),
            };
            let part = part.expect("a part is open");
            part.octets[usize::try_from(at).unwrap()..][..octets.len()].copy_from_slice(octets);
            octets.len()
        }
        Want::Shutdown => {
            to.closed = true;
            0
        }
        Want::Done(result) => return Step::Over(result),
        want => panic!("a session does not want {want:?}"),
    };
    machine.done(now, n as u64);
    Step::Moved
}
