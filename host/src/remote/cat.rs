//! A file to standard output.
//!
//! **Guarantees**: not an octet is written that was not verified. When a block came damaged, or the connection breaks, it
//! goes on where it was, if the file is still the same. **Memory**: four runs of blocks, of which three are put
//! aside: 4 MiB at most.

use std::collections::VecDeque;

use feige_core::digest::Digest;
use feige_core::wire::transfer::{ErrorCode, Get, Reply, Request};

use super::connection::Remote;
use super::errand::{Errand, Heard, Next, Refusal, Takes};
use super::report::Report;
use crate::exit::{Exit, Failure};

/// Writes the file `path` to standard output.
///
/// # Errors
/// A [`Failure`] if it does not come to its end. That the server refuses is a [`Refusal`].
pub(super) fn cat(remote: &mut Remote<'_>, path: &str, report: &mut Report) -> Result<Result<(), Refusal>, Failure> {
    let mut cat = Cat::new(path, report);
    remote.run(&mut cat)?;
    match cat.failure {
        Some(failure) => Err(failure),
        None => Ok(cat.refusal.map_or(Ok(()), Err)),
    }
}

pub(super) struct Cat<'c> {
    report: &'c mut Report,
    path: &'c str,
    under_way: bool,
    over: bool,
    /// How many octets were written.
    at: u64,
    /// Of the file of which they were.
    stamp: u64,
    block: u8,
    /// What came and is not verified yet.
    come: VecDeque<u8>,
    refusal: Option<Refusal>,
    failure: Option<Failure>,
}

impl<'c> Cat<'c> {
    pub(super) fn new(path: &'c str, report: &'c mut Report) -> Self {
        Self {
            report,
            path,
            under_way: false,
            over: false,
            at: 0,
            stamp: 0,
            block: 0,
            come: VecDeque::new(),
            refusal: None,
            failure: None,
        }
    }
}

impl Errand for Cat<'_> {
    fn next(&mut self, _: &Takes) -> Next<'_> {
        if self.over {
            return Next::Over;
        }
        if self.under_way {
            return Next::Later;
        }
        self.under_way = true;
        let (path, offset, block, stamp) = (self.path, self.at, self.block, self.stamp);
        Next::Job(Request::Get(Get { path, offset, length: u64::MAX, block, stamp }))
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Heard {
        match *reply {
            Reply::File(file) if self.at > 0 && file.offset != self.at => {
                self.over = true;
                let message = "the file changed while it was read: what was written is not of one file";
                self.failure = Some(Failure { exit: Exit::Incomplete, message: message.into() });
                Heard::NotWanted
            }
            // R-VT-50: all of it was asked for.
            Reply::File(file) if file.offset != self.at || file.offset.checked_add(file.length) != Some(file.size) => {
                Heard::GiveUp(Failure::new("the server sent what was not asked for"))
            }
            Reply::File(file) => {
                (self.stamp, self.block) = (file.stamp, file.block);
                self.come.clear();
                Heard::Fine
            }
            Reply::Error { code: code @ (ErrorCode::Busy | ErrorCode::DigestMismatch), text } => {
                Heard::TryAgain(Refusal::new(code, text).failure())
            }
            Reply::Error { code, text } => {
                self.over = true;
                self.refusal = Some(Refusal::new(code, text));
                Heard::Fine
            }
            _ => Heard::GiveUp(Failure::new("the server answered what was not asked")),
        }
    }

    fn save(&mut self, _: u64, octets: &[u8]) {
        self.come.extend(octets);
    }

    fn verified(&mut self, at: u64, len: u32, _: &[Digest]) -> Heard {
        let len = len as usize;
        if at != self.at || self.come.len() < len {
            // A block before it came damaged. To wait for it would mean to keep what comes behind it.
            let message = "a block came damaged".into();
            return Heard::TryAgain(Failure { exit: Exit::Incomplete, message });
        }
        let (front, back) = self.come.as_slices();
        let here = len.min(front.len());
        self.report.octets(&front[..here]);
        self.report.octets(&back[..len - here]);
        self.come.drain(..len);
        self.at += len as u64;
        if self.report.is_gone() {
            // Whoever read it has enough, or nothing can be written.
            self.over = true;
            return Heard::NotWanted;
        }
        Heard::Fine
    }

    fn complete(&mut self, _: Digest) -> Heard {
        (self.over, self.under_way) = (true, false);
        self.report.flush();
        Heard::Fine
    }

    fn unsent(&mut self, refusal: Refusal) {
        self.over = true;
        self.refusal = Some(refusal);
    }

    fn broken(&mut self) {
        self.under_way = false;
        self.come.clear();
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn report(&mut self) -> &mut Report {
        self.report
    }
}
