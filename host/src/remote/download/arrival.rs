//! The file that comes: where its octets go until it is whole.

use feige_core::wire::transfer::{self, Path, block_len};

use super::{BAD_NAME, Download, Job, LARGE};
use crate::exit::{Exit, Failure};
use crate::home::{Arriving, HomeError, Upload};
use crate::remote::connection::SMALL;
use crate::remote::errand::Heard;
use crate::remote::whole::Whole;

/// The file that comes.
#[derive(Debug)]
pub(super) struct Arrival {
    /// `None`: it is small, so it is kept with those that are written beside us.
    pub(super) upload: Option<Upload>,
    pub(super) head: transfer::File,
    /// What went wrong while octets were saved.
    pub(super) failed: Option<HomeError>,
    pub(super) repairs: u32,
    /// The MD5 of the whole; `None` if nobody wants it, or if it is that of the only block.
    pub(super) whole: Option<Whole>,
    /// How many octets are verified, from the first on.
    pub(super) front: u64,
}

impl Download<'_> {
    /// A file begins to come.
    pub(super) fn begin(&mut self, head: transfer::File) -> Heard {
        let Some(Job::Get(file)) = self.under_way.front() else {
            return Heard::GiveUp(Failure::new("the server sent a file that was not asked for"));
        };
        if head.offset.checked_add(head.length) != Some(head.size) {
            let message = "the server has only a part of it".into();
            return self.give_up(Failure { exit: Exit::Incomplete, message });
        }
        if self.taken.1.saturating_add(head.size) > self.wish.most.octets {
            let octets = self.wish.most.octets;
            return Heard::GiveUp(Failure {
                exit: Exit::NoSpace,
                message: format!("there is more of it than the {octets} octets that may come; raise that limit"),
            });
        }
        let one_block = head.size <= block_len(head.block).map_or(0, u64::from);
        if one_block && head.size <= SMALL && head.offset == 0 && self.trees[file.tree].recursive {
            if let Err(failure) = self.write_beside(file.tree) {
                return self.give_up(failure);
            }
            self.arrival = Some(Arrival { upload: None, head, failed: None, repairs: 0, whole: None, front: 0 });
            return Heard::Fine;
        }
        let (tree, tail) = (file.tree, file.tail.clone());
        let arriving = self.arriving(tree, file.fresh, &head);
        let local = self.local(tree, &tail);
        let place = &self.trees[tree];
        let upload = Path::parse(&local)
            .map_err(|_| Failure::new(BAD_NAME))
            .and_then(|path| place.home.receive(path, &arriving).map_err(|error| place.failure(&tail, &error)));
        let upload = match upload {
            Ok(upload) => upload,
            Err(failure) => return self.give_up(failure),
        };
        if upload.offset() < head.offset {
            return self.again(&Failure::new("another program removed what was here of it"));
        }
        let mut whole = None;
        if self.wish.md5.is_some() && !one_block {
            match upload.reader().and_then(Whole::of) {
                Ok(reader) => whole = Some(reader),
                Err(error) => return self.give_up(Failure::new(format!("cannot hash it: {error}"))),
            }
        }
        if let Some(whole) = &whole {
            whole.read_to(head.offset);
        }
        if head.length > LARGE {
            let name = local.rsplit('/').next().unwrap_or_default();
            if self.stack.is_empty() && self.ready.is_empty() {
                self.report.begin(name, head.offset, Some(head.size));
            }
        }
        if head.offset > 0 {
            let name = self.remote(tree, &tail);
            self.report.keeps();
            self.report.detail(|| format!("{name} goes on at octet {} of {}", head.offset, head.size));
        }
        let (upload, front) = (Some(upload), head.offset);
        self.arrival = Some(Arrival { upload, head, failed: None, repairs: 0, whole, front });
        Heard::Fine
    }

    /// What a home is told of a file that comes.
    pub(super) fn arriving(&self, tree: usize, fresh: bool, head: &transfer::File) -> Arriving {
        Arriving {
            size: head.size,
            mtime: head.mtime,
            mode: head.mode,
            stamp: head.stamp,
            block: head.block,
            replace: !self.wish.no_clobber || self.unnamed(tree).is_some(),
            fresh,
        }
    }

    /// Keeps nothing more of the file that comes than what a later attempt can build on.
    pub(super) fn drop_arrival(&mut self) {
        self.arrival = None;
        if let Some((_, finisher)) = &mut self.finisher {
            finisher.forget();
        }
    }
}
