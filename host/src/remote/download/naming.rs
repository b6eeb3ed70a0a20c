//! Files that came whole: what is checked before they get their names, and how they get them.
//!
//! Small files of a folder are written by a thread of their own, while the next ones come. Others wait for each other,
//! because one synchronisation of the disk for many costs no more than for one.

use std::sync::Arc;

use feige_core::digest::Digest;
use feige_core::wire::transfer::block_len;

use super::{Arrival, Download, File, Place, here};
use crate::exit::{Exit, Failure};
use crate::home::{Arriving, Finisher, HomeError, Small};
use crate::remote::report::Event;

/// Files that get their names together, at most; and the octets of such files.
pub(super) const TOGETHER: (usize, u64) = (256, 64 << 20);

/// A file that will get its name.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) tree: usize,
    pub(super) tail: String,
    pub(super) size: u64,
    pub(super) digest: Option<Digest>,
    pub(super) md5: Option<Digest>,
}

impl Download<'_> {
    /// What came is whole: checks what is to be checked, and puts it with those that wait for their names.
    pub(super) fn landed(&mut self, file: File, arrival: Arrival, digest: Digest) -> Result<(), Failure> {
        let Arrival { place, head, whole, .. } = arrival;
        let digest = (head.offset == 0).then_some(digest);
        let one_block = head.size <= block_len(head.block).map_or(0, u64::from);
        let md5 = match whole {
            Some(whole) => {
                whole.read_to(head.size);
                Some(whole.finish().map_err(|error| Failure::new(format!("cannot hash it: {error}")))?)
            }
            None => digest.filter(|_| one_block),
        };
        if let (Some(Some(wanted)), Some(md5)) = (self.wish.md5, md5)
            && wanted != md5
        {
            if let Place::Part(upload) = place {
                upload.discard();
            }
            return Err(Failure {
                exit: Exit::Incomplete,
                message: format!("its MD5 is {md5} and not {wanted}: it is not kept"),
            });
        }
        self.taken.1 = self.taken.1.saturating_add(head.size);
        let File { tree, tail, fresh, .. } = file;
        let landed = Landed { tree, tail, size: head.size, digest, md5 };
        match place {
            Place::Memory => self.write_beside(landed, self.arriving(tree, fresh, &head)),
            Place::Part(upload) => {
                if self.landed.last().is_some_and(|last| last.tree != tree) {
                    self.settle();
                }
                self.finished.push(upload.complete().map_err(|error| here(&error))?);
                self.landed.push(landed);
                self.unsettled += head.size;
                Ok(())
            }
        }
    }

    /// Gives the small file that came to the thread that writes such files.
    fn write_beside(&mut self, landed: Landed, arriving: Arriving) -> Result<(), Failure> {
        let tree = landed.tree;
        if self.finisher.as_ref().is_some_and(|(of, _)| *of != tree) {
            self.wait_finished();
        }
        let (of, mut finisher) = match self.finisher.take() {
            Some(running) => running,
            None => match Finisher::start(Arc::clone(&self.trees[tree].home)) {
                Ok(finisher) => (tree, finisher),
                Err(error) => return Err(Failure::new(format!("here: the system gives no thread: {error}"))),
            },
        };
        let mut place = std::mem::take(&mut self.place);
        place.clear();
        place.push_str(&self.trees[tree].local);
        place.push_str(&landed.tail);
        let small = std::mem::take(&mut self.small);
        let file = Small { path: &place, octets: &small, arriving };
        finisher.give(file, landed, |landed, result| self.named(landed, result));
        (self.place, self.small, self.finisher) = (place, small, Some((of, finisher)));
        Ok(())
    }

    /// Waits for all small files, and tells what became of them.
    pub(super) fn wait_finished(&mut self) {
        if let Some((_, finisher)) = self.finisher.take() {
            finisher.finish(|landed, result| self.named(landed, result));
        }
        self.report.flush();
    }

    /// Gives names to those that wait for them.
    pub(super) fn settle(&mut self) {
        let Some(tree) = self.landed.first().map(|landed| landed.tree) else { return };
        self.unsettled = 0;
        let results = self.trees[tree].home.settle(&mut self.finished);
        for (landed, result) in std::mem::take(&mut self.landed).into_iter().zip(results) {
            self.named(landed, result);
        }
        self.report.flush();
    }

    /// A file has its name, or cannot get it.
    fn named(&mut self, landed: Landed, result: Result<(), HomeError>) {
        let Landed { tree, tail, size, digest, md5 } = landed;
        match result {
            Ok(()) => {
                self.report.moved_file();
                if self.report.tells_each() || !self.trees[tree].recursive {
                    let name = self.remote(tree, &tail);
                    let mut path = self.trees[tree].path.clone();
                    if !tail.is_empty() {
                        path.push(tail.trim_start_matches('/'));
                    }
                    self.report.event(&Event::Downloaded { name: &name, path: &path, size, digest, md5 });
                }
            }
            Err(error) => self.fail(tree, &tail, &here(&error)),
        }
    }
}
