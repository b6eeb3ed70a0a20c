//! Files that came whole: what is checked before they get their names, and how they get them.
//!
//! Small files of a folder are given their names by a thread of their own, while the next ones come. Others wait for each
//! other, because one synchronisation of the disk for many costs no more than for one.

use std::sync::Arc;

use feige_core::digest::Digest;
use feige_core::wire::transfer::block_len;

use super::{Arrival, Download, File, Job, here};
use crate::exit::{Exit, Failure};
use crate::home::{Finisher, HomeError};
use crate::remote::connection::SMALL;
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
    pub(super) fn landed(&mut self, digest: Digest) -> Result<(), Failure> {
        let Some(Arrival { upload, head, whole, .. }) = self.arrival.take() else { return Ok(()) };
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
            upload.discard();
            return Err(Failure {
                exit: Exit::Incomplete,
                message: format!("its MD5 is {md5} and not {wanted}: it is not kept"),
            });
        }
        let Some(Job::Get(File { tree, tail, .. })) = self.under_way.front() else { return Ok(()) };
        let (tree, tail) = (*tree, tail.clone());
        self.taken.1 = self.taken.1.saturating_add(head.size);
        let landed = Landed { tree, tail, size: head.size, digest, md5 };
        if self.trees[tree].recursive && head.size <= SMALL && self.finish_beside(tree) {
            if let Some(finisher) = &mut self.finisher {
                finisher.give(upload);
                self.beside.push_back(landed);
            }
            self.hear_finished();
            return Ok(());
        }
        if self.landed.last().is_some_and(|last| last.tree != tree) {
            self.settle();
        }
        self.finished.push(upload.complete().map_err(|error| here(&error))?);
        self.landed.push(landed);
        self.unsettled += head.size;
        Ok(())
    }

    /// Whether small files of this tree can be finished by a thread of their own.
    fn finish_beside(&mut self, tree: usize) -> bool {
        if self.beside.back().is_some_and(|last| last.tree != tree) {
            self.wait_finished();
        }
        if self.finisher.is_none() {
            self.finisher = Finisher::start(Arc::clone(&self.trees[tree].home));
        }
        self.finisher.is_some()
    }

    /// Tells of what was finished beside us.
    fn hear_finished(&mut self) {
        while let Some(result) = self.finisher.as_mut().and_then(Finisher::result) {
            if let Some(landed) = self.beside.pop_front() {
                self.named(landed, result);
            }
        }
    }

    pub(super) fn wait_finished(&mut self) {
        let results = self.finisher.take().map(Finisher::finish).unwrap_or_default();
        for (landed, result) in std::mem::take(&mut self.beside).into_iter().zip(results) {
            self.named(landed, result);
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
                    let (name, path) = (self.remote(tree, &tail), self.local(tree, &tail));
                    let path = self.trees[tree].folder.join(path);
                    self.report.event(&Event::Downloaded { name: &name, path: &path, size, digest, md5 });
                }
            }
            Err(error) => self.fail(tree, &tail, &here(&error)),
        }
    }
}
