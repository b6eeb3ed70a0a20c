//! Writing small files beside the thread that receives them.
//!
//! What a small file takes of the system, to make it, write it and give it its name, takes longer than to receive and hash
//! it. Another processor can do that while the next files come.
//!
//! **Guarantees**: results come in the order in which the files were given; a file has its name once its result is there.
//! **Memory**: some five groups of files, 256 KiB of octets each. **Time**: who gives more waits.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use feige_core::digest::Digest;
use feige_core::wire::transfer::{ErrorCode, Path};

use super::{Arriving, Finished, Home, HomeError};

/// Files that are handed over, synced and named together: to wake a thread for each would cost more than it saves, and
/// a sync costs a disk about as much for many as for one.
const TOGETHER: usize = 64;

/// Octets of the files of a group, after which it is full.
const OCTETS: usize = 256 << 10;

/// Octets of the largest file that is small.
const LARGEST: usize = 1 << 16;

/// Groups of files that may wait for the thread.
const GROUPS: usize = 2;

/// A small file that came whole: of one block, or none.
#[derive(Clone, Copy, Debug)]
struct Small<'a> {
    path: &'a str,
    octets: &'a [u8],
    arriving: Arriving,
}

/// A thread that writes small files, each with something of the caller's that comes back with the result.
///
/// A file is saved, octet by octet; then it is addressed and given, or forgotten.
#[derive(Debug)]
pub struct Finisher<T> {
    groups: Option<SyncSender<Group<T>>>,
    /// Files that are not handed over yet.
    group: Group<T>,
    done: Receiver<Group<T>>,
    /// Groups that are handed over and have not come back.
    away: usize,
    thread: Option<JoinHandle<()>>,
}

/// Files, with their paths and octets one behind the other.
#[derive(Debug)]
struct Group<T> {
    paths: String,
    octets: Vec<u8>,
    files: Vec<Member<T>>,
    results: Vec<Result<(), HomeError>>,
}

#[derive(Debug)]
struct Member<T> {
    /// Where its path ends, and where its octets do.
    ends: (usize, usize),
    arriving: Arriving,
    tag: T,
}

impl<T> Group<T> {
    const fn new() -> Self {
        Self { paths: String::new(), octets: Vec::new(), files: Vec::new(), results: Vec::new() }
    }

    /// Where the last file ends.
    fn end(&self) -> (usize, usize) {
        self.files.last().map_or((0, 0), |member| member.ends)
    }

    fn files(&self) -> impl Iterator<Item = Small<'_>> {
        let mut from = (0, 0);
        self.files.iter().map(move |member| {
            let (path, octets) = (from.0..member.ends.0, from.1..member.ends.1);
            from = member.ends;
            Small { path: &self.paths[path], octets: &self.octets[octets], arriving: member.arriving }
        })
    }
}

impl<T: Send + 'static> Finisher<T> {
    /// Writes files to `home`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(home: Arc<Home>) -> io::Result<Self> {
        let (groups, receiver) = sync_channel::<Group<T>>(GROUPS);
        let (sender, done) = channel();
        let finish = move || {
            for mut group in receiver {
                group.results = home.write_group(&group);
                // Whoever does not listen any more has his reasons.
                let _ = sender.send(group);
            }
        };
        let thread = thread::Builder::new().name("finish".into()).spawn(finish)?;
        Ok(Self { groups: Some(groups), group: Group::new(), done, away: 0, thread: Some(thread) })
    }

    /// Keeps octets of the next file; what is beyond the size of small files is not kept.
    pub fn save(&mut self, at: u64, octets: &[u8]) {
        let group = &mut self.group;
        let Some(at) = usize::try_from(at).ok().filter(|at| at.saturating_add(octets.len()) <= LARGEST) else { return };
        let from = group.end().1 + at;
        group.octets.resize(group.octets.len().max(from), 0);
        let there = (group.octets.len() - from).min(octets.len());
        let (over, new) = octets.split_at(there);
        group.octets[from..from + there].copy_from_slice(over);
        group.octets.extend_from_slice(new);
    }

    /// Where the file that was saved is to be written: the path that these make up.
    pub fn address(&mut self, parts: [&str; 2]) {
        self.group.paths.extend(parts);
    }

    /// Forgets what was saved since the last file was given.
    pub fn forget(&mut self) {
        let (path, octets) = self.group.end();
        self.group.paths.truncate(path);
        self.group.octets.truncate(octets);
    }

    /// Gives the file that was saved, of which every octet is verified. What has become of earlier ones is told to `hear`.
    pub fn give(&mut self, arriving: Arriving, tag: T, hear: impl FnMut(T, Result<(), HomeError>)) {
        let group = &mut self.group;
        let ends = (group.paths.len(), group.octets.len());
        group.files.push(Member { ends, arriving, tag });
        if group.files.len() >= TOGETHER || group.octets.len() >= OCTETS {
            self.hand_over(hear);
        }
    }

    fn hand_over(&mut self, hear: impl FnMut(T, Result<(), HomeError>)) {
        let next = match self.done.try_recv() {
            Ok(group) => {
                self.away -= 1;
                emptied(group, hear)
            }
            Err(_) => Group::new(),
        };
        let group = std::mem::replace(&mut self.group, next);
        if let Some(groups) = &self.groups
            && groups.send(group).is_ok()
        {
            self.away += 1;
        }
    }

    /// Waits until all that was given is written, and tells what has become of it.
    pub fn finish(mut self, mut hear: impl FnMut(T, Result<(), HomeError>)) {
        if !self.group.files.is_empty() {
            self.hand_over(&mut hear);
        }
        drop(self.groups.take());
        while self.away > 0 {
            let Ok(group) = self.done.recv() else { break };
            self.away -= 1;
            emptied(group, &mut hear);
        }
        // Files of which nothing is known must not pass for written.
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// What was given is written all the same.
impl<T> Drop for Finisher<T> {
    fn drop(&mut self) {
        if let Some(groups) = self.groups.take() {
            let _ = groups.send(std::mem::replace(&mut self.group, Group::new()));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Tells of a group, whose memory can be used again.
fn emptied<T>(mut group: Group<T>, mut hear: impl FnMut(T, Result<(), HomeError>)) -> Group<T> {
    for (member, result) in group.files.drain(..).zip(group.results.drain(..)) {
        hear(member.tag, result);
    }
    group.paths.clear();
    group.octets.clear();
    group
}

fn parse(path: &str) -> Result<Path<'_>, HomeError> {
    let reason = "the name cannot be used here, or the folders are too deep";
    Path::parse(path).map_err(|_| HomeError::new(ErrorCode::BadName, reason))
}

impl Home {
    /// Writes files, and gives them their names; results in their order.
    fn write_group<T>(self: &Arc<Self>, group: &Group<T>) -> Vec<Result<(), HomeError>> {
        if self.unnamed {
            return group
                .files()
                .map(|file| self.write_unnamed(parse(file.path)?, file.octets, &file.arriving))
                .collect();
        }
        let mut finished = Vec::with_capacity(group.files.len());
        let written = |file: Small<'_>| parse(file.path).and_then(|path| self.write_part(path, &file));
        let mut results: Vec<_> = group.files().map(|file| written(file).map(|part| finished.push(part))).collect();
        let mut settled = self.settle(&mut finished).into_iter();
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            *result = settled.next().unwrap_or(Ok(()));
        }
        results
    }

    fn write_part(self: &Arc<Self>, path: Path<'_>, file: &Small<'_>) -> Result<Finished, HomeError> {
        let mut upload = self.receive(path, &file.arriving)?;
        if !file.octets.is_empty() {
            upload.write(0, file.octets)?;
            // Of a file of one block, only that it is verified is kept, and no digest.
            upload.verified(0, u32::try_from(file.octets.len()).unwrap_or(u32::MAX), &[Digest::default()])?;
        }
        upload.complete()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_files_have_names() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path(), None).unwrap();
        let mut finisher = Finisher::start(Arc::clone(&home)).unwrap();
        let mut results = Vec::new();
        for n in 0..700_usize {
            // One of them has not all of its octets, one no name that can be.
            let octets = if n == 300 { &b"ab"[..] } else { b"abc" };
            let path = if n == 400 { "f/../400".to_owned() } else { format!("f{n}") };
            let arriving =
                Arriving { size: 3, mtime: None, mode: None, stamp: 1, block: 16, replace: false, fresh: false };
            finisher.save(0, b"what is forgotten");
            finisher.forget();
            finisher.save(1, &octets[1..]);
            finisher.save(0, &octets[..2]);
            finisher.address(["", &path]);
            finisher.give(arriving, n, |tag, result| results.push((tag, result)));
        }
        finisher.finish(|tag, result| results.push((tag, result)));
        assert_eq!(results.len(), 700);
        for (n, (tag, result)) in results.iter().enumerate() {
            assert_eq!(*tag, n);
            assert_eq!(result.is_err(), n == 300 || n == 400, "{n}: {result:?}");
            assert_eq!(folder.path().join(format!("f{n}")).exists(), result.is_ok(), "{n}");
        }
        assert_eq!(results[400].1.as_ref().map_err(|error| error.code), Err(ErrorCode::BadName));
    }

    #[test]
    fn what_was_given_is_written_even_if_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut finisher = Finisher::start(Home::open(folder.path(), None).unwrap()).unwrap();
        let arriving = Arriving { size: 3, mtime: None, mode: None, stamp: 1, block: 16, replace: false, fresh: true };
        finisher.save(0, b"abc");
        finisher.address(["", "f"]);
        finisher.give(arriving, (), |(), _| {});
        drop(finisher);
        assert_eq!(std::fs::read(folder.path().join("f")).unwrap(), b"abc");
    }
}
