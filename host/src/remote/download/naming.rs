//! Files that came whole: what is checked before they get their names, and how they get them.
//!
//! Small files of a folder are written by a thread of their own, while the next ones come. Others wait for each other,
//! because one synchronisation of the disk for many costs no more than for one.

use std::sync::Arc;

use feige_core::digest::Digest;
use feige_core::wire::transfer::block_len;

use super::{Arrival, Download, File, Tree, Unnamed};
use crate::exit::{Exit, Failure};
use crate::home::{Finisher, HomeError, Upload};
use crate::remote::report::{Event, Report};

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
        let Arrival { upload, head, whole, .. } = arrival;
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
            upload.into_iter().for_each(Upload::discard);
            return Err(Failure {
                exit: Exit::Incomplete,
                message: format!("its MD5 is {md5} and not {wanted}: it is not kept"),
            });
        }
        self.taken.1 = self.taken.1.saturating_add(head.size);
        let File { tree, tail, fresh, .. } = file;
        let arriving = self.arriving(tree, fresh, &head);
        let Self { report, trees, unnamed, finisher, full, .. } = self;
        match upload {
            None => {
                if let Some((_, finisher)) = finisher {
                    finisher.address([&trees[tree].local, &tail]);
                    let landed = Landed { tree, tail, size: head.size, digest, md5 };
                    finisher.give(arriving, landed, |landed, result| landed.tell(report, trees, unnamed, result, full));
                }
            }
            Some(upload) => {
                if self.landed.last().is_some_and(|last| last.tree != tree) {
                    self.settle();
                }
                self.finished.push(upload.complete().map_err(|error| self.trees[tree].failure(&tail, &error))?);
                self.landed.push(Landed { tree, tail, size: head.size, digest, md5 });
                self.unsettled += head.size;
            }
        }
        Ok(())
    }

    /// A file is here as it is there.
    pub(super) fn is_here(&mut self, File { tree, tail, .. }: File, size: u64) {
        if self.unnamed(tree).is_some_and(|folder| !folder.is_fresh()) {
            // An earlier attempt brought it, and told nobody, because it had no name: it is one of those that come now.
            let landed = Landed { tree, tail, size, digest: None, md5: None };
            landed.tell(self.report, &self.trees, &mut self.unnamed, Ok(()), &mut self.full);
        } else {
            let name = self.remote(tree, &tail);
            let later = Unnamed::of(&mut self.unnamed, &self.trees, tree).and_then(|unnamed| unnamed.later.as_mut());
            let named = !self.trees[tree].recursive;
            self.report.skip(&name, "it is here, with the same size and time", named, later);
        }
    }

    /// Has a thread that writes the small files of this tree.
    pub(super) fn write_beside(&mut self, tree: usize) -> Result<(), Failure> {
        if self.finisher.as_ref().is_some_and(|(of, _)| *of != tree) {
            self.wait_finished();
        }
        if self.finisher.is_none() {
            let finisher = Finisher::start(Arc::clone(&self.trees[tree].home));
            let finisher =
                finisher.map_err(|error| Failure::new(format!("here: the system gives no thread: {error}")))?;
            self.finisher = Some((tree, finisher));
        }
        Ok(())
    }

    /// Waits for all small files, and tells what became of them.
    pub(super) fn wait_finished(&mut self) {
        if let Some((_, finisher)) = self.finisher.take() {
            let Self { report, trees, unnamed, full, .. } = &mut *self;
            finisher.finish(|landed, result| landed.tell(report, trees, unnamed, result, full));
        }
        self.report.flush();
    }

    /// Gives names to those that wait for them.
    pub(super) fn settle(&mut self) {
        let Some(tree) = self.landed.first().map(|landed| landed.tree) else { return };
        self.unsettled = 0;
        let (home, finished) = (&self.trees[tree].home, &mut self.finished);
        let results = self.report.wait_for_disk(|| home.settle(finished));
        for (landed, result) in std::mem::take(&mut self.landed).into_iter().zip(results) {
            landed.tell(self.report, &self.trees, &mut self.unnamed, result, &mut self.full);
        }
        self.report.flush();
    }
}

impl Landed {
    /// It has its name, or cannot get it. That the disk is full is put down in `full`, and told once.
    fn tell(
        self,
        report: &mut Report,
        trees: &[Tree],
        unnamed: &mut [Unnamed],
        result: Result<(), HomeError>,
        full: &mut Option<Failure>,
    ) {
        let Self { tree: number, tail, size, digest, md5 } = self;
        let Some(tree) = trees.get(number) else { return };
        let name = || format!("{}{tail}", tree.remote);
        match result {
            Ok(()) => {
                let later = match Unnamed::of(unnamed, trees, number) {
                    Some(unnamed) => {
                        unnamed.files += 1;
                        report.moved_unnamed();
                        unnamed.later.as_mut()
                    }
                    None => {
                        report.moved_file();
                        None
                    }
                };
                if report.tells_each() || !tree.recursive {
                    let event = Event::Downloaded { name: &name(), path: &tree.place(&tail), size, digest, md5 };
                    report.event_or_later(&event, later);
                }
            }
            Err(error) => match tree.failure(&tail, &error) {
                failure if failure.exit == Exit::NoSpace => drop(full.get_or_insert(failure)),
                failure => report.fail(&name(), &failure),
            },
        }
    }
}
