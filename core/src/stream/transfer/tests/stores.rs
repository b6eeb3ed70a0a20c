//! Stores in memory: what a server has, and what a client wants.

use std::collections::{BTreeMap, VecDeque};
use std::string::{String, ToString};
use std::sync::OnceLock;
use std::vec;
use std::vec::Vec;

use crate::digest::Digest;
use crate::stream::transfer::{Answer, Ask, Verifier, scram};
use crate::stream::{Opened, Store, Target};
use crate::wire::transfer::{Entry, EntryKind, ErrorCode, File, Get, Reply, Request, block_len};

pub(super) const SALT: &[u8] = b"0123456789abcdef";

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
    /// How often work is not done yet.
    pub(super) patience: u32,
    /// How often files are not on the disk yet.
    pub(super) syncs: u32,
    /// How often it has something else to do before it answers a request.
    pub(super) busy: u32,
    calls: Option<usize>,
    /// Octets that are loaded at a time.
    pub(super) most: usize,
    keys: Option<scram::Keys>,
    name: String,
    work: u32,
}

impl Shelf {
    pub(super) fn new() -> Self {
        Self { guests: true, block: 12, patience: 3, most: usize::MAX, ..Self::default() }
    }

    /// So many calls succeed.
    pub(super) fn calls(mut self, calls: Option<usize>) -> Self {
        self.calls = calls;
        self
    }

    fn ask(&mut self, ask: Ask<'_>) -> Answer<'_> {
        let no = |code| Answer::Reply(Reply::Error { code, text: "no" });
        match ask {
            Ask::Guest if self.guests => Answer::Reply(Reply::Done),
            Ask::Guest => no(ErrorCode::SignInRequired),
            Ask::Account { user } => {
                let password = self.password.filter(|_| user == "alice");
                // The same for all tests, because it takes its time.
                static KEYS: OnceLock<scram::Keys> = OnceLock::new();
                let keys = password.map_or(scram::Keys { stored_key: [0; 32], server_key: [0; 32] }, |password| {
                    assert_eq!(password, "pencil");
                    *KEYS.get_or_init(|| scram::derive(password, SALT, 4096))
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
                if self.busy > 0 {
                    self.busy -= 1;
                    return Answer::Reply(Reply::Working);
                }
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
            Ask::Loaded if self.changed => no(ErrorCode::DigestMismatch),
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
            Ask::Settle if self.syncs > 0 => {
                self.syncs -= 1;
                Answer::Reply(Reply::Working)
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
            Request::Put(put) if put.size > 1 << 24 => no(ErrorCode::NoSpace),
            Request::Put(put) => {
                let mut part = self.have.take().unwrap_or_default();
                part.name = put.path.to_string();
                let offset = part.octets.len() as u64;
                part.octets.resize(usize::try_from(put.size).unwrap(), 0xa5);
                self.part = Some(part);
                Reply::Ready { offset, block: self.block }
            }
            Request::Sum { path } => {
                let Some(octets) = self.files.get(path) else { return no(ErrorCode::NotFound) };
                self.open = octets.clone();
                self.work = self.patience;
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
    /// All jobs that there were.
    pub(super) all: Vec<Job>,
    pub(super) under_way: VecDeque<Job>,
    /// Replies, in words; and files that came.
    pub(super) heard: Vec<String>,
    pub(super) got: Vec<Part>,
    pub(super) part: Option<Part>,
    pub(super) sent: Vec<u8>,
    pub(super) refuse_files: bool,
    pub(super) shrink_to: Option<usize>,
    pub(super) repairs: usize,
    /// The server may say of a file what it likes.
    pub(super) forgiving: bool,
    calls: Option<usize>,
    /// Octets that are loaded at a time.
    pub(super) most: usize,
    job: Option<Job>,
}

impl Desk {
    pub(super) fn with(jobs: impl IntoIterator<Item = Job>) -> Self {
        let all: Vec<Job> = jobs.into_iter().collect();
        Self { jobs: all.iter().cloned().collect(), all, most: usize::MAX, ..Self::default() }
    }

    /// So many calls succeed.
    pub(super) fn calls(mut self, calls: Option<usize>) -> Self {
        self.calls = calls;
        self
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
                    Reply::File(file) if self.forgiving && file.size > 1 << 20 => {
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

/// A store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// So many calls succeed.
fn call(calls: &mut Option<usize>) -> Result<(), Broken> {
    match calls {
        Some(0) => Err(Broken),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

/// Copies what `octets` has from `at` on.
fn load(octets: &[u8], at: u64, into: &mut [u8]) -> usize {
    assert!(!into.is_empty());
    let rest = octets.get(usize::try_from(at).unwrap()..).unwrap_or_default();
    let count = rest.len().min(into.len());
    into[..count].copy_from_slice(&rest[..count]);
    count
}

impl Part {
    fn save(&mut self, at: u64, octets: &[u8]) {
        assert!(!octets.is_empty());
        self.octets[usize::try_from(at).unwrap()..][..octets.len()].copy_from_slice(octets);
    }
}

impl Store for Shelf {
    type Error = Broken;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Broken> {
        call(&mut self.calls)?;
        let Target::Ask(ask) = target else { panic!("a session does not want {target:?}") };
        Ok(Opened::Answer(self.ask(ask)))
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Broken> {
        call(&mut self.calls)?;
        let most = into.len().min(self.most);
        Ok(load(&self.open, at, &mut into[..most]))
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Broken> {
        call(&mut self.calls)?;
        self.part.as_mut().expect("a part is open").save(at, octets);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Broken> {
        panic!("a session does not close")
    }
}

impl Store for Desk {
    type Error = Broken;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Broken> {
        call(&mut self.calls)?;
        let Target::Ask(ask) = target else { panic!("a session does not want {target:?}") };
        Ok(Opened::Answer(self.ask(ask)))
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Broken> {
        call(&mut self.calls)?;
        let most = into.len().min(self.most);
        Ok(load(&self.sent, at, &mut into[..most]))
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Broken> {
        call(&mut self.calls)?;
        self.part.as_mut().expect("a part is open").save(at, octets);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Broken> {
        panic!("a session does not close")
    }
}
