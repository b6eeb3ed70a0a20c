//! Downloading files and folders.
//!
//! ```text
//!   stack of folders --List--> page --> files --Stat--> --Get--> Arrival --> Finished --settle--> a name
//! ```
//! Folders are gone through depth first and page by page, and the next page is asked for while files of the last are still
//! coming: what is remembered does not grow with the number of files. Small files are asked for many at a time; nothing
//! is asked for behind a large one, so that a damaged block of it can be asked for again.
//!
//! A folder that is new here is filled without a name ([`UnnamedFolder`]) and gets it in the end, and only then its files are
//! told of; one that is here is filled, and told of, file by file.
//!
//! What is here of a file since before this machine restarted has to be hashed before it is known what to ask for. The
//! server would take the silence for the end (R-VT-71), so it is asked for the time meanwhile.
//!
//! **Guarantees**: those of [`Home`]: names stay in the target folder, and a file has its name only when it is whole and
//! verified. A file that cannot be had is reported, and does not keep the others from coming.

mod arrival;
mod folders;
mod naming;
mod tree;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use feige_core::wire::transfer::{EntryKind, ErrorCode, Get, Path, Reply, Request};

use super::connection::{Patience, SMALL, sleep};
use super::errand::{Errand, Heard, Next, Refusal, Takes};
use super::report::Report;
use super::{Wish, same_time};
use crate::exit::{Exit, Failure};
use crate::home::{Check, Finished, Finisher, Home, HomeError, UnnamedFolder};
use crate::transfer::Cancel;
use arrival::Arrival;
use folders::Unnamed;
use naming::{Landed, TOGETHER};
pub(super) use tree::Tree;

/// Nothing is asked for behind a file that is larger, in octets.
const LARGE: u64 = 1 << 20;

const BAD_NAME: &str = "the name cannot be used here, or the folders are too deep";

const ODD: &str = "is a pipe, a socket or a device here, which is not replaced; use -o with another name, or `feige cat`, \
                   which writes to a pipe or the terminal";

/// How often a file is asked for that does not come well.
const ATTEMPTS: u8 = 4;

/// How long a server hears nothing while a file is hashed here.
const SILENCE: Duration = Duration::from_secs(5);

/// How long it takes until it is noticed that the user has had enough.
const TICK: Duration = Duration::from_millis(50);

/// How often blocks of one file are asked for again.
const REPAIRS: u32 = 16;

/// A file to be had.
#[derive(Clone, Debug)]
struct File {
    tree: usize,
    /// Below the tree; with a slash in front, or empty for the tree itself.
    tail: String,
    /// Size and time, once they are known.
    known: Option<(u64, Option<i64>)>,
    /// Nothing can have its name here.
    fresh: bool,
    attempts: u8,
}

/// A folder to be listed.
#[derive(Clone, Debug)]
struct Folder {
    tree: usize,
    tail: String,
    cursor: u64,
    /// How it came to be here, once that is known.
    made: Option<Made>,
}

/// How a folder came to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Now,
    Before,
    /// It is not: it cannot be made.
    Never,
}

#[derive(Debug)]
enum Job {
    List(Folder),
    Stat(File),
    Get(File),
    /// Nothing is wanted, but that the server stays.
    Stay,
}

/// What is asked about a file.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Stat,
    Get { offset: u64, block: u8, stamp: u64 },
}

/// Downloads: see the module.
pub(super) struct Download<'r> {
    report: &'r mut Report,
    wish: Wish,
    cancel: Cancel,
    trees: Vec<Tree>,
    unnamed: Vec<Unnamed>,
    stack: Vec<Folder>,
    ready: VecDeque<File>,
    /// What the server was busy with.
    waiting: Vec<File>,
    /// What is here of a file is hashed before it is asked for.
    checking: Option<(Check, File)>,
    patience: Patience,
    under_way: VecDeque<Job>,
    /// Of the page that comes.
    page: (Vec<File>, Vec<Folder>),
    listing: bool,
    /// The last that was asked for is a large file, or may be one.
    large: bool,
    arrival: Option<Arrival>,
    finished: Vec<Finished>,
    landed: Vec<Landed>,
    unsettled: u64,
    /// Entries that were listed, and octets of files that came whole.
    taken: (u64, u64),
    /// Small files of a folder are written beside us; and which tree it is.
    finisher: Option<(usize, Finisher<Landed>)>,
    /// The disk here is full, as was found out beside us.
    full: Option<Failure>,
    /// The path that is asked for.
    path: String,
}

impl<'r> Download<'r> {
    pub(super) fn new(
        trees: Vec<Tree>,
        wish: Wish,
        patience: Patience,
        cancel: Cancel,
        report: &'r mut Report,
    ) -> Self {
        let mut download = Self {
            report,
            wish,
            cancel,
            trees: Vec::new(),
            unnamed: Vec::new(),
            stack: Vec::new(),
            ready: VecDeque::new(),
            waiting: Vec::new(),
            checking: None,
            patience,
            under_way: VecDeque::new(),
            page: Default::default(),
            listing: false,
            large: false,
            arrival: None,
            finished: Vec::new(),
            landed: Vec::new(),
            unsettled: 0,
            taken: (0, 0),
            finisher: None,
            full: None,
            path: String::new(),
        };
        for (number, tree) in trees.iter().enumerate() {
            if tree.recursive {
                let made = tree.local.is_empty().then_some(Made::Before);
                download.stack.push(Folder { tree: number, tail: String::new(), cursor: 0, made });
            } else {
                let file = File { tree: number, tail: String::new(), known: None, fresh: false, attempts: 0 };
                download.ready.push_back(file);
            }
        }
        // The first one first.
        download.stack.reverse();
        if let Some(tree) = trees.first() {
            let name = tree.remote.rsplit('/').next().unwrap_or_default();
            download.report.begin(if name.is_empty() { "/" } else { name }, 0, None);
        }
        download.trees = trees;
        download
    }

    /// Gives names to what is whole. To be called in the end, however that came; `over`: everything was asked for, and is
    /// answered. Tells whether the same command would go on with folders that have no name yet.
    pub(super) fn close(&mut self, over: bool) -> bool {
        self.drop_arrival();
        self.checking = None;
        self.wait_finished();
        self.settle();
        if over && self.full.is_none() && (!self.wish.whole || self.report.is_all_that_can_be()) {
            self.name_folders();
        }
        !self.unnamed.is_empty()
    }

    /// To be asked once all is closed.
    ///
    /// # Errors
    /// The disk here is full.
    pub(super) fn has_room(&mut self) -> Result<(), Failure> {
        self.full.take().map_or(Ok(()), Err)
    }

    fn remote(&self, tree: usize, tail: &str) -> String {
        format!("{}{tail}", self.trees[tree].remote)
    }

    fn local(&self, tree: usize, tail: &str) -> String {
        format!("{}{tail}", self.trees[tree].local)
    }

    /// The folder without a name in which this tree is.
    fn unnamed(&self, tree: usize) -> Option<&UnnamedFolder> {
        let position = Unnamed::position(&self.unnamed, &self.trees, tree)?;
        self.unnamed.get(position).map(|unnamed| &unnamed.folder)
    }

    fn fail(&mut self, tree: usize, tail: &str, failure: &Failure) {
        let name = self.remote(tree, tail);
        self.report.fail(if name.is_empty() { "/" } else { &name }, failure);
    }

    /// A file cannot be written here.
    fn fail_here(&mut self, file: &File, error: &HomeError) {
        let failure = self.trees[file.tree].failure(&file.tail, error);
        self.fail(file.tree, &file.tail, &failure);
    }

    /// Nothing is asked about a file, whose name `what` has here.
    fn taken(&mut self, file: &File, what: &str) -> Option<Asked> {
        let failure = self.trees[file.tree].taken(&file.tail, what);
        self.fail(file.tree, &file.tail, &failure);
        None
    }

    /// What to ask about `file`, if anything. Then it is the last that is under way, and its path is in `self.path`.
    fn examine(&mut self, file: File) -> Option<Asked> {
        let known_small = file.known.is_some_and(|(size, _)| size <= SMALL);
        if file.fresh && known_small {
            return Some(self.ask_for(file, Asked::Get { offset: 0, block: 0, stamp: 0 }));
        }
        let local = self.local(file.tree, &file.tail);
        let home = Arc::clone(&self.trees[file.tree].home);
        let Ok(path) = Path::parse(&local) else {
            self.fail(file.tree, &file.tail, &Failure::new(BAD_NAME));
            return None;
        };
        if !file.fresh {
            let unnamed = self.unnamed(file.tree);
            let doubtful = known_small && unnamed.is_some_and(UnnamedFolder::is_doubtful);
            // What is in a folder without a name is nobody's but ours.
            let keep = self.wish.no_clobber && unnamed.is_none();
            match (home.stat(path), file.known) {
                (Ok(item), _) if item.kind == EntryKind::Folder => {
                    return self.taken(&file, "is a folder here; use -o with another name");
                }
                (Err(error), _) if error.code == ErrorCode::Forbidden && self.trees[file.tree].is_odd(&file.tail) => {
                    return self.taken(&file, ODD);
                }
                (Ok(_), _) if keep => return self.taken(&file, "is here already (--no-clobber)"),
                (Ok(item), Some((size, mtime)))
                    if item.size == size
                        && mtime.is_some_and(|mtime| same_time(item.mtime, mtime))
                        && self.wish.md5.is_none()
                        && !doubtful =>
                {
                    self.is_here(file, size);
                    return None;
                }
                (Ok(_), None) if self.wish.md5.is_none() => return Some(self.ask_for(file, Asked::Stat)),
                _ => {}
            }
        }
        // The server knows best which blocks suit it, unless there are some already.
        let (mut offset, mut stamp, mut block) = (0, 0, 0);
        // What is as small as a block has no parts that could be continued.
        if !known_small {
            match home.earlier(path) {
                Ok(Some(earlier)) if earlier.doubted > 0 => {
                    self.check(file, &home, path);
                    return None;
                }
                Ok(Some(earlier)) => (offset, stamp, block) = (earlier.offset, earlier.stamp, earlier.block),
                Ok(None) => {}
                Err(error) if error.code == ErrorCode::NotFound => {}
                Err(error) => {
                    self.fail_here(&file, &error);
                    return None;
                }
            }
        }
        Some(self.ask_for(file, Asked::Get { offset, block, stamp }))
    }

    /// Begins to hash what is here of a file, which is examined again afterwards.
    fn check(&mut self, file: File, home: &Home, path: Path<'_>) {
        match home.check(path) {
            Ok(Some(check)) => {
                let name = self.remote(file.tree, &file.tail);
                let why = "the machine was restarted, or its disk mounted anew";
                self.report.note(|| format!("{name}: reading again what is here of it, since {why}"));
                self.checking = Some((check, file));
            }
            Ok(None) => self.ready.push_front(file),
            Err(error) => self.fail_here(&file, &error),
        }
    }

    /// The next file to be examined; `None`: there is none, or none yet.
    fn next_file(&mut self) -> Option<File> {
        let Some((check, file)) = self.checking.take() else { return self.ready.pop_front() };
        let end = Instant::now() + SILENCE;
        // What is under way is answered meanwhile.
        while self.under_way.is_empty() && !self.cancel.is_cancelled() && Instant::now() < end {
            if check.wait(TICK).is_some() {
                break;
            }
        }
        match check.wait(Duration::ZERO) {
            Some(Ok(())) => Some(file),
            Some(Err(error)) => {
                self.fail_here(&file, &error);
                self.ready.pop_front()
            }
            None => {
                self.checking = Some((check, file));
                None
            }
        }
    }

    fn ask_for(&mut self, file: File, asked: Asked) -> Asked {
        self.path.clear();
        self.path.push_str(&self.trees[file.tree].remote);
        self.path.push_str(&file.tail);
        self.under_way.push_back(match asked {
            Asked::Stat => Job::Stat(file),
            Asked::Get { .. } => {
                self.large = file.known.is_none_or(|(size, _)| size > LARGE);
                Job::Get(file)
            }
        });
        asked
    }

    /// The file that was asked for first is done with, or given up.
    fn pop(&mut self) -> Option<File> {
        self.drop_arrival();
        match self.under_way.pop_front() {
            Some(Job::Get(file)) => Some(file),
            _ => None,
        }
    }

    /// Gives up the file that comes, which goes wrong on this side; and everything if the disk is full, where each of the
    /// next files would only come to fail.
    fn give_up(&mut self, failure: Failure) -> Heard {
        match self.pop() {
            Some(_) if failure.exit == Exit::NoSpace => return Heard::GiveUp(failure),
            Some(file) => self.fail(file.tree, &file.tail, &failure),
            None => {}
        }
        Heard::NotWanted
    }

    /// Asks again for the file that comes, if it was not asked for too often.
    fn again(&mut self, failure: &Failure) -> Heard {
        if let Some(mut file) = self.pop() {
            file.attempts += 1;
            if file.attempts < ATTEMPTS {
                self.ready.push_front(file);
            } else {
                self.fail(file.tree, &file.tail, failure);
            }
        }
        Heard::NotWanted
    }

    fn refused(&mut self, refusal: &Refusal) -> Heard {
        match self.under_way.pop_front() {
            Some(Job::List(folder)) => {
                self.listing = false;
                let Folder { tree, tail, cursor, .. } = folder;
                if refusal.code == ErrorCode::NotAFolder && tail.is_empty() && cursor == 0 {
                    self.ready.push_front(File { tree, tail, known: None, fresh: false, attempts: 0 });
                } else {
                    self.fail(tree, &tail, &refusal.failure());
                }
            }
            Some(Job::Stat(file)) => self.fail(file.tree, &file.tail, &refusal.failure()),
            Some(Job::Get(mut file)) => {
                self.drop_arrival();
                match refusal.code {
                    ErrorCode::Busy => self.waiting.push(file),
                    ErrorCode::DigestMismatch if file.attempts + 1 < ATTEMPTS => {
                        file.attempts += 1;
                        self.ready.push_front(file);
                    }
                    ErrorCode::IsAFolder => {
                        let failure = Failure::new("it is a folder; use -r to have it with all that is in it");
                        self.fail(file.tree, &file.tail, &failure);
                    }
                    _ => self.fail(file.tree, &file.tail, &refusal.failure()),
                }
            }
            // That is a sign of life, too.
            Some(Job::Stay) | None => {}
        }
        Heard::Fine
    }
}

impl Errand for Download<'_> {
    fn next(&mut self, _: &Takes) -> Next<'_> {
        self.large &= !self.under_way.is_empty();
        if self.large {
            return Next::Later;
        }
        if self.next_page() {
            let cursor = match self.under_way.back() {
                Some(Job::List(folder)) => folder.cursor,
                _ => 0,
            };
            return Next::Job(Request::List { path: &self.path, cursor });
        }
        loop {
            while let Some(file) = self.next_file() {
                let Some(asked) = self.examine(file) else { continue };
                let path = &self.path;
                return Next::Job(match asked {
                    Asked::Stat => Request::Stat { path },
                    Asked::Get { offset, block, stamp } => {
                        Request::Get(Get { path, offset, length: u64::MAX, block, stamp })
                    }
                });
            }
            if !self.under_way.is_empty() {
                return Next::Later;
            }
            if self.checking.is_some() {
                self.under_way.push_back(Job::Stay);
                return Next::Job(Request::Time);
            }
            if self.waiting.is_empty() {
                return Next::Over;
            }
            if let Some(pause) = self.patience.pause().filter(|_| !self.cancel.is_cancelled()) {
                sleep(pause, &self.cancel);
                self.ready.extend(self.waiting.drain(..));
            } else {
                for file in std::mem::take(&mut self.waiting) {
                    let failure =
                        Refusal::new(ErrorCode::Busy, "the server is busy with it; try again later").failure();
                    self.fail(file.tree, &file.tail, &failure);
                }
            }
        }
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Heard {
        match *reply {
            Reply::Error { code, text } => self.refused(&Refusal::new(code, text)),
            Reply::Entry(ref entry) => match self.make_folder() {
                Ok(()) => self.entry(entry),
                Err(failure) => Heard::GiveUp(failure),
            },
            Reply::End { cursor } => match self.make_folder() {
                Ok(()) => {
                    self.end_of_page(cursor);
                    Heard::Fine
                }
                Err(failure) => Heard::GiveUp(failure),
            },
            Reply::Stat(ref entry) => {
                let Some(Job::Stat(mut file)) = self.under_way.pop_front() else {
                    return Heard::GiveUp(Failure::new("the server answered what was not asked"));
                };
                file.known = Some((entry.size, entry.mtime));
                self.ready.push_front(file);
                Heard::Fine
            }
            Reply::File(head) => self.begin(head),
            Reply::Time(_) if matches!(self.under_way.front(), Some(Job::Stay)) => {
                self.under_way.pop_front();
                Heard::Fine
            }
            _ => Heard::GiveUp(Failure::new("the server answered what was not asked")),
        }
    }

    fn save(&mut self, at: u64, octets: &[u8]) {
        let Some(arrival) = &mut self.arrival else { return };
        match &mut arrival.upload {
            None => self.finisher.iter_mut().for_each(|(_, finisher)| finisher.save(at, octets)),
            Some(upload) if arrival.failed.is_none() => arrival.failed = upload.write(at, octets).err(),
            Some(_) => {}
        }
        self.report.moved(octets.len() as u64);
    }

    fn hashes_besides(&self) -> bool {
        self.wish.md5.is_some()
    }

    fn verified(&mut self, at: u64, len: u32, digests: &[Digest]) -> Heard {
        let Some(arrival) = &mut self.arrival else { return Heard::NotWanted };
        let failed = arrival.failed.take().or_else(|| arrival.upload.as_mut()?.verified(at, len, digests).err());
        if let Some(error) = failed {
            let Some(Job::Get(file)) = self.under_way.front() else { return Heard::NotWanted };
            let failure = self.trees[file.tree].failure(&file.tail, &error);
            return self.give_up(failure);
        }
        if arrival.upload.is_some() {
            self.report.keeps();
        }
        if at == arrival.front {
            arrival.front += u64::from(len);
            if let Some(whole) = &arrival.whole {
                whole.read_to(arrival.front);
            }
        }
        Heard::Fine
    }

    fn complete(&mut self, digest: Digest) -> Heard {
        let (Some(arrival), Some(Job::Get(file))) = (self.arrival.take(), self.under_way.pop_front()) else {
            return Heard::GiveUp(Failure::new("the server sent a file that was not asked for"));
        };
        let (tree, tail) = (file.tree, file.tail.clone());
        if let Err(failure) = self.landed(file, arrival, digest) {
            self.finisher.iter_mut().for_each(|(_, finisher)| finisher.forget());
            self.fail(tree, &tail, &failure);
            return Heard::NotWanted;
        }
        self.patience.renew();
        if self.finished.len() >= TOGETHER.0 || self.unsettled >= TOGETHER.1 {
            self.settle();
        }
        self.has_room().map_or_else(Heard::GiveUp, |()| Heard::Fine)
    }

    fn damaged(&mut self, at: u64, len: u32) -> Option<Get<'_>> {
        let arrival = self.arrival.as_mut()?;
        arrival.repairs += 1;
        if arrival.repairs > REPAIRS {
            return None;
        }
        let (block, stamp) = (arrival.head.block, arrival.head.stamp);
        let Some(Job::Get(file)) = self.under_way.front() else { return None };
        self.path.clear();
        self.path.push_str(&self.trees[file.tree].remote);
        self.path.push_str(&file.tail);
        Some(Get { path: &self.path, offset: at, length: len.into(), block, stamp })
    }

    fn unsent(&mut self, refusal: Refusal) {
        match self.under_way.pop_back() {
            Some(Job::Get(File { tree, tail, .. }) | Job::Stat(File { tree, tail, .. })) => {
                self.fail(tree, &tail, &refusal.failure());
            }
            Some(Job::List(Folder { tree, tail, .. })) => {
                self.listing = false;
                self.fail(tree, &tail, &refusal.failure());
            }
            Some(Job::Stay) | None => {}
        }
    }

    fn broken(&mut self) {
        self.drop_arrival();
        self.listing = false;
        self.page.0.clear();
        self.page.1.clear();
        while let Some(job) = self.under_way.pop_back() {
            match job {
                Job::List(folder) => self.stack.push(folder),
                Job::Stat(file) | Job::Get(file) => self.ready.push_front(file),
                Job::Stay => {}
            }
        }
    }

    fn report(&mut self) -> &mut Report {
        self.report
    }
}
