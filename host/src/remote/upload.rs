//! Uploading files and folders.
//!
//! ```text
//!   walk --MakeDir--> --Stat--> --Put--> Source, loaded --> Stored
//! ```
//! Folders are walked depth first, entry by entry. A folder that was made just now is empty, so what is in it is sent at
//! once; in one that was there already each file is asked about first, many at a time. (A list of the folder would have
//! to be remembered, and it may have a million entries.) Small files travel with their announcements, many at a time.
//!
//! **Guarantees**: no link leads out of the folder that is sent: a link to a file in it is sent as that file, everything
//! else that is neither file nor folder is passed over and said to be. A file that changes while it is sent is not
//! stored. **Memory**: two handles for each folder that is open, up to 256 files and folders ahead.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::path::PathBuf;

use feige_core::digest::Digest;
use feige_core::wire::transfer::{EntryKind, ErrorCode, Put, Reply, Request};

use super::connection::{BLOCK_LOG2, Patience, SMALL, SMALL_LOG2, sleep};
use super::errand::{Errand, Heard, Next, Refusal, Takes};
use super::report::{Event, Report};
use super::walk::{Found, Place, Walk};
use super::whole::Whole;
use super::{Wish, same_time};
use crate::digest::DigestCache;
use crate::exit::{Exit, Failure};
use crate::home::Source;
use crate::store::read_at;
use crate::transfer::Cancel;

/// How often a file is sent that does not arrive well.
const ATTEMPTS: u8 = 4;

/// Octets of an announcement, without its path.
const ANNOUNCEMENT: usize = 64;

/// A file to be sent.
#[derive(Clone, Debug)]
struct File {
    place: Place,
    /// Its path on the server.
    remote: String,
    /// Nothing can have its name there.
    fresh: bool,
    attempts: u8,
    /// Octets of it that are reported as moved.
    moved: u64,
    /// How much of it was there before the first attempt, once that is known.
    earlier: Option<u64>,
}

impl File {
    const fn new(place: Place, remote: String, fresh: bool) -> Self {
        Self { place, remote, fresh, attempts: 0, moved: 0, earlier: None }
    }

    /// So much of it counts as moved now: what went into a connection that broke may have come to nothing.
    fn recount(&mut self, moved: u64, report: &mut Report) {
        report.recount(self.moved, moved);
        self.moved = moved;
    }
}

#[derive(Debug)]
enum Job {
    MakeDir {
        folder: u64,
        remote: String,
    },
    /// Whether it is a folder, what has the name of one.
    Look {
        folder: u64,
        remote: String,
    },
    Stat(File),
    Put(Sent),
}

/// A file that is announced.
#[derive(Debug)]
struct Sent {
    file: File,
    size: u64,
    /// The MD5 of the whole, once it is known.
    md5: Option<Digest>,
    /// It is not to be stored after all, which was reported.
    given_up: bool,
}

/// The file that is loaded.
struct Open {
    source: Source,
    whole: Option<Hashing>,
    changed: bool,
    loaded: u64,
    /// It goes with its announcement.
    inline: bool,
}

/// A file whose MD5 is computed while it is sent.
struct Hashing {
    whole: Whole,
    /// What it was before its first octet was read, if its digest may be remembered.
    facts: Option<Metadata>,
}

/// What is to be sent, and where to.
#[derive(Debug)]
pub(super) struct Load {
    /// Here.
    pub(super) local: PathBuf,
    /// There: the name that it gets.
    pub(super) remote: String,
    /// A folder with all that is in it.
    pub(super) folder: bool,
}

/// Uploads: see the module.
pub(super) struct Upload<'r> {
    report: &'r mut Report,
    wish: Wish,
    cancel: Cancel,
    loads: VecDeque<Load>,
    /// Whether the present one is a folder.
    recursive: bool,
    walk: Walk,
    /// What is to be asked next: it was asked before, or about.
    todo: VecDeque<Task>,
    waiting: Vec<File>,
    patience: Patience,
    under_way: VecDeque<Job>,
    open: Option<Open>,
    /// Which file was last taken up, and how much of it was there.
    reached: Option<(String, u64)>,
    /// A large file waits until everything else is answered.
    waits: bool,
    path: String,
    /// MD5s of files that were sent before.
    digests: Option<DigestCache>,
}

#[derive(Debug)]
enum Task {
    MakeDir { folder: u64, remote: String },
    Look { folder: u64, remote: String },
    Stat(File),
    Put(File),
}

impl<'r> Upload<'r> {
    pub(super) fn new(
        loads: Vec<Load>,
        wish: Wish,
        patience: Patience,
        cancel: Cancel,
        report: &'r mut Report,
    ) -> Self {
        if let Some(load) = loads.first() {
            report.begin(load.remote.rsplit('/').next().unwrap_or_default(), 0, None);
        }
        Self {
            report,
            wish,
            cancel,
            loads: loads.into(),
            recursive: false,
            walk: Walk::default(),
            todo: VecDeque::new(),
            waiting: Vec::new(),
            patience,
            under_way: VecDeque::new(),
            open: None,
            reached: None,
            waits: false,
            path: String::new(),
            digests: wish.md5.and_then(|_| DigestCache::of_this_user()),
        }
    }

    fn fail(&mut self, file: &File, failure: &Failure) {
        self.report.fail(&file.place.shown().to_string_lossy(), failure);
    }

    /// The next thing to do; `None` if there is none, or none before an answer has come.
    fn next_task(&mut self) -> Option<Task> {
        loop {
            if let Some(task) = self.todo.pop_front() {
                return Some(task);
            }
            match self.walk.next() {
                Found::File { place, remote, fresh } => {
                    return Some(self.first_task(File::new(place, remote, fresh)));
                }
                Found::Folder { number, remote } => return Some(Task::MakeDir { folder: number, remote }),
                Found::Link { shown, place, remote, fresh } => {
                    let name = shown.to_string_lossy();
                    self.report.detail(|| format!("{name} is a link: what it points to is sent"));
                    return Some(self.first_task(File::new(place, remote, fresh)));
                }
                Found::Odd { shown, reason } => self.report.warn(&shown.to_string_lossy(), reason),
                Found::BadName { shown } => {
                    let reason = "its name is not UTF-8, or cannot be used everywhere; rename it";
                    self.report.warn(&shown.to_string_lossy(), reason);
                    self.report.worsen(Exit::Failed);
                }
                Found::Unreadable { shown, error } => {
                    self.report.fail(&shown.to_string_lossy(), &Failure::new(format!("cannot read it: {error}")));
                }
                Found::Wait => return None,
                Found::Nothing => {
                    let load = self.loads.pop_front()?;
                    self.recursive = load.folder;
                    if load.folder {
                        self.walk.begin(&load.local, load.remote);
                    } else {
                        let place = Place::Named(load.local.into());
                        return Some(self.first_task(File::new(place, load.remote, false)));
                    }
                }
            }
        }
    }

    /// A file that cannot be there, or may be replaced, need not be asked about.
    fn first_task(&self, file: File) -> Task {
        if file.fresh || self.wish.no_clobber { Task::Put(file) } else { Task::Stat(file) }
    }

    /// Opens a file and announces it.
    fn announce(&mut self, mut file: File, takes: &Takes) -> Announcement {
        let source = match file.place.open().and_then(Source::new) {
            Ok(Some(source)) => source,
            Ok(None) => {
                let reason = "it is neither a file nor a folder";
                if self.recursive {
                    self.report.warn(&file.place.shown().to_string_lossy(), reason);
                } else {
                    self.fail(&file, &Failure::new(reason));
                }
                return Announcement::None;
            }
            Err(error) => {
                self.fail(&file, &Failure::new(format!("cannot read it: {error}")));
                return Announcement::None;
            }
        };
        if source.size == 0 && read_at(&source.file, &mut [0], 0).is_ok_and(|read| read > 0) {
            let reason = "it does not tell its size, as those of /proc; copy it first, and send the copy";
            self.fail(&file, &Failure::new(reason));
            return Announcement::None;
        }
        let block = if source.size <= SMALL { SMALL_LOG2 } else { BLOCK_LOG2 }.min(takes.max_block);
        // R-VT-12: what comes unasked must fit what the server takes unasked.
        let overhead = ANNOUNCEMENT + file.remote.len() + Digest::LEN;
        let window = u64::from(takes.window).saturating_sub(overhead as u64);
        let inline = source.size <= window.min(1 << block).min(SMALL);
        if !inline && !self.under_way.is_empty() {
            // Answers to others would be taken for answers to it.
            self.todo.push_front(Task::Put(file));
            self.waits = true;
            return Announcement::Later;
        }
        let (md5, whole) = match self.md5_of(&source) {
            Ok(hashing) => hashing,
            Err(failure) => {
                self.fail(&file, &failure);
                return Announcement::None;
            }
        };
        if inline {
            file.recount(0, self.report);
        }
        self.path.clone_from(&file.remote);
        let (size, mtime, mode, stamp) = (source.size, source.mtime, source.mode, source.stamp);
        self.open = Some(Open { source, whole, changed: false, loaded: 0, inline });
        self.under_way.push_back(Job::Put(Sent { file, size, md5, given_up: false }));
        Announcement::Made(Announced { size, mtime, mode, stamp, block, inline })
    }

    /// The server waits for a large file from `offset` on.
    fn goes_on_at(&mut self, offset: u64) {
        let Some(Job::Put(Sent { file, size, .. })) = self.under_way.back_mut() else { return };
        let earlier = *file.earlier.get_or_insert(offset);
        file.recount(offset.saturating_sub(earlier), self.report);
        if !self.recursive {
            let name = file.remote.rsplit('/').next().unwrap_or_default();
            self.report.begin(name, offset, Some(*size));
        }
    }

    /// The MD5 of a whole file, if it is wanted: known already, or to be computed while the file is sent.
    fn md5_of(&self, source: &Source) -> Result<(Option<Digest>, Option<Hashing>), Failure> {
        let Some(wanted) = self.wish.md5 else { return Ok((None, None)) };
        let failed = |error| Failure::new(format!("cannot hash it: {error}"));
        let facts = source.file.metadata().map_err(failed)?;
        let known = self.digests.as_ref().and_then(|digests| digests.lookup(&facts));
        match (known, wanted) {
            (Some(md5), Some(wanted)) if md5 != wanted => Err(not_wanted(md5, wanted)),
            (Some(md5), _) => Ok((Some(md5), None)),
            (None, _) => {
                let whole = source.file.try_clone().and_then(Whole::of).map_err(failed)?;
                // Asked before the first octet is read: a change that the times do not show may come from then on.
                let settled = self.digests.as_ref().is_some_and(|digests| digests.is_settled(&facts));
                Ok((None, Some(Hashing { whole, facts: settled.then_some(facts) })))
            }
        }
    }

    /// What the server has to say about a file of that name.
    fn compared(&mut self, file: File, there: Option<(EntryKind, u64, Option<i64>)>) {
        let Some((kind, size, mtime)) = there else {
            self.todo.push_back(Task::Put(file));
            return;
        };
        if kind == EntryKind::Folder {
            self.fail(&file, &Failure::new(format!("/{} is a folder on the server", file.remote)));
            return;
        }
        let same = match file.place.look() {
            Ok((here, time)) => here == size && mtime.is_some_and(|mtime| same_time(time, mtime)),
            Err(_) => false,
        };
        if same && self.wish.md5.is_none() {
            let name = file.place.shown();
            let reason = "the server has it, with the same size and time";
            self.report.skip(&name.to_string_lossy(), reason, !self.recursive, None);
        } else {
            self.todo.push_back(Task::Put(file));
        }
    }

    fn stored(&mut self, Sent { file, size, md5, .. }: Sent, digest: Digest) {
        self.report.moved_file();
        self.patience.renew();
        if self.report.tells_each() || !self.recursive {
            let (name, path) = (&file.remote, file.place.shown());
            // Of a file of one block it is the same.
            let md5 = md5.or_else(|| (size <= SMALL).then_some(digest));
            self.report.event(&Event::Stored { name, path: &path, size, digest: Some(digest), md5 });
        }
    }

    /// There is no such folder on the server, and nothing of it is sent.
    fn not_made(&mut self, folder: u64, remote: &str, failure: &Failure) {
        self.walk.made(folder, None);
        self.report.fail(remote, failure);
    }

    /// The server, or the file, does not let it be stored.
    fn refused(&mut self, sent: Sent, refusal: &Refusal) {
        let changed = self.open.take().is_some_and(|open| open.changed);
        if sent.given_up {
            return;
        }
        let mut file = sent.file;
        file.attempts += 1;
        match refusal.code {
            ErrorCode::Busy => self.waiting.push(file),
            _ if changed || refusal.code == ErrorCode::DigestMismatch => {
                if file.attempts < ATTEMPTS {
                    self.todo.push_front(Task::Put(file));
                } else if changed {
                    self.fail(&file, &Failure::new("it changes again and again while it is sent"));
                } else {
                    self.fail(&file, &refusal.failure());
                }
            }
            _ => self.fail(&file, &refusal.failure()),
        }
    }
}

fn not_wanted(md5: Digest, wanted: Digest) -> Failure {
    Failure { exit: Exit::Incomplete, message: format!("its MD5 is {md5} and not {wanted}: it is not stored") }
}

/// What came of announcing a file.
#[derive(Debug)]
enum Announcement {
    Made(Announced),
    /// Not before everything else is answered.
    Later,
    /// It is not possible, which was reported.
    None,
}

/// What is announced of a file, besides its path.
#[derive(Clone, Copy, Debug)]
struct Announced {
    size: u64,
    mtime: i64,
    mode: u16,
    stamp: u64,
    block: u8,
    inline: bool,
}

impl Errand for Upload<'_> {
    fn next(&mut self, takes: &Takes) -> Next<'_> {
        self.waits &= !self.under_way.is_empty();
        if self.waits {
            return Next::Later;
        }
        loop {
            match self.next_task() {
                Some(Task::MakeDir { folder, remote }) => {
                    self.path.clone_from(&remote);
                    self.under_way.push_back(Job::MakeDir { folder, remote });
                    return Next::Job(Request::MakeDir { path: &self.path, parents: false });
                }
                Some(Task::Look { folder, remote }) => {
                    self.path.clone_from(&remote);
                    self.under_way.push_back(Job::Look { folder, remote });
                    return Next::Job(Request::Stat { path: &self.path });
                }
                Some(Task::Stat(file)) => {
                    self.path.clone_from(&file.remote);
                    self.under_way.push_back(Job::Stat(file));
                    return Next::Job(Request::Stat { path: &self.path });
                }
                Some(Task::Put(file)) => {
                    let announced = match self.announce(file, takes) {
                        Announcement::Made(announced) => announced,
                        Announcement::Later => return Next::Later,
                        Announcement::None => continue,
                    };
                    let Announced { size, mtime, mode, stamp, block, inline } = announced;
                    let replace = !self.wish.no_clobber;
                    let (path, mtime, mode) = (&self.path, Some(mtime), Some(mode));
                    return Next::Job(Request::Put(Put { path, size, mtime, mode, stamp, block, replace, inline }));
                }
                None if !self.under_way.is_empty() => return Next::Later,
                None if self.waiting.is_empty() => return Next::Over,
                None => {}
            }
            if let Some(pause) = self.patience.pause().filter(|_| !self.cancel.is_cancelled()) {
                sleep(pause, &self.cancel);
                self.todo.extend(self.waiting.drain(..).map(Task::Put));
            } else {
                let busy = Refusal::new(ErrorCode::Busy, "the server is busy with it; try again later").failure();
                for file in std::mem::take(&mut self.waiting) {
                    self.fail(&file, &busy);
                }
            }
        }
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Heard {
        if let Reply::Ready { offset, .. } = *reply {
            self.goes_on_at(offset);
            if let Some(open) = &mut self.open {
                open.loaded = offset;
                if let Some(Hashing { whole, .. }) = &open.whole {
                    whole.read_to(offset);
                }
                if offset > 0 {
                    let size = open.source.size;
                    let path = &self.path;
                    self.report.detail(|| format!("{path} goes on at octet {offset} of {size}"));
                    self.report.keeps();
                }
            }
            let before = self.reached.replace((self.path.clone(), offset));
            let is_further = before.is_some_and(|(path, before)| path == self.path && before < offset);
            return if is_further { Heard::Further } else { Heard::Fine };
        }
        let refusal = match *reply {
            Reply::Error { code, text } => Some(Refusal::new(code, text)),
            _ => None,
        };
        match (self.under_way.pop_front(), reply, refusal) {
            (Some(Job::MakeDir { folder, .. }), Reply::Done, _) => self.walk.made(folder, Some(true)),
            (Some(Job::MakeDir { folder, remote }), _, Some(refusal)) if refusal.code == ErrorCode::Exists => {
                // A file may have the name, of which an empty folder would never hear.
                self.todo.push_back(Task::Look { folder, remote });
            }
            (Some(Job::Look { folder, .. }), Reply::Stat(entry), _) if entry.kind == EntryKind::Folder => {
                self.walk.made(folder, Some(false));
            }
            (Some(Job::Look { folder, remote }), Reply::Stat(_), _) => {
                let message = "a file of this name is on the server; remove it, or give the folder another name";
                self.not_made(folder, &remote, &Failure::new(message));
            }
            (Some(Job::MakeDir { folder, remote } | Job::Look { folder, remote }), _, Some(refusal)) => {
                self.not_made(folder, &remote, &refusal.failure());
            }
            (Some(Job::Stat(file)), Reply::Stat(entry), _) => {
                self.compared(file, Some((entry.kind, entry.size, entry.mtime)));
            }
            (Some(Job::Stat(file)), _, Some(refusal)) if refusal.code == ErrorCode::NotFound => {
                self.compared(file, None);
            }
            (Some(Job::Stat(file)), _, Some(refusal)) => self.fail(&file, &refusal.failure()),
            (Some(Job::Put(sent)), Reply::Stored { digest }, _) => self.stored(sent, *digest),
            (Some(Job::Put(sent)), _, Some(refusal)) => self.refused(sent, &refusal),
            _ => return Heard::GiveUp(Failure::new("the server answered what was not asked")),
        }
        Heard::Fine
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> usize {
        let Some(open) = &mut self.open else { return 0 };
        match read_at(&open.source.file, into, at) {
            Ok(read) => {
                self.report.moved(read as u64);
                if let Some(Job::Put(sent)) = self.under_way.back_mut() {
                    sent.file.moved += read as u64;
                }
                if at > 0 {
                    // The server verifies a run before it takes the next.
                    self.report.keeps();
                }
                open.loaded = open.loaded.max(at + read as u64);
                if let Some(Hashing { whole, .. }) = &open.whole {
                    whole.read_to(open.loaded);
                }
                open.changed |= read == 0;
                read
            }
            Err(_) => {
                open.changed = true;
                0
            }
        }
    }

    fn sends_alone(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.inline)
    }

    fn is_unchanged(&mut self) -> bool {
        let Some(open) = &mut self.open else { return false };
        if !open.source.unchanged() {
            open.changed = true;
            return false;
        }
        if open.loaded < open.source.size {
            return true;
        }
        // The last octets: what is wrong must be known before the server may take it for whole.
        let Some(Hashing { whole, facts }) = open.whole.take() else { return true };
        let Ok(md5) = whole.finish() else {
            open.changed = true;
            return false;
        };
        if let (Some(digests), Some(facts)) = (&self.digests, facts)
            && open.source.unchanged()
        {
            digests.remember(&facts, md5);
        }
        let Some(Job::Put(sent)) = self.under_way.back_mut() else { return false };
        sent.md5 = Some(md5);
        match self.wish.md5 {
            Some(Some(wanted)) if wanted != md5 => {
                sent.given_up = true;
                let file = sent.file.clone();
                self.fail(&file, &not_wanted(md5, wanted));
                false
            }
            _ => true,
        }
    }

    fn unsent(&mut self, refusal: Refusal) {
        match self.under_way.pop_back() {
            Some(Job::Put(sent)) => self.refused(sent, &refusal),
            Some(Job::Stat(file)) => self.fail(&file, &refusal.failure()),
            Some(Job::MakeDir { folder, remote } | Job::Look { folder, remote }) => {
                self.not_made(folder, &remote, &refusal.failure());
            }
            None => {}
        }
    }

    fn broken(&mut self) {
        self.open = None;
        while let Some(job) = self.under_way.pop_back() {
            self.todo.push_front(match job {
                Job::MakeDir { folder, remote } => Task::MakeDir { folder, remote },
                Job::Look { folder, remote } => Task::Look { folder, remote },
                Job::Stat(file) => Task::Stat(file),
                Job::Put(sent) => Task::Put(sent.file),
            });
        }
    }

    fn report(&mut self) -> &mut Report {
        self.report
    }
}
