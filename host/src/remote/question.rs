//! One request and its answer.

use feige_core::digest::Digest;
use feige_core::wire::transfer::{EntryKind, ErrorCode, Reply, Request};

use super::connection::Remote;
use super::errand::{Errand, Heard, Next, Refusal, Takes};
use super::report::Report;
use crate::exit::Failure;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Done,
    Entry { kind: EntryKind, size: u64, mtime: Option<i64>, mode: Option<u16> },
    Space { used: u64, quota: Option<u64>, free: Option<u64> },
    Sum { md5: Digest, size: u64 },
}

/// Asks a server one thing.
///
/// If the connection breaks before the answer, nobody knows whether it was done: asked again, a server that says that it
/// is done already (nothing to remove, made before) means the same as yes.
///
/// # Errors
/// A [`Failure`] if there is no answer. That the server says no is a [`Refusal`].
pub(super) fn ask(
    remote: &mut Remote<'_>,
    request: Request<'_>,
    report: &mut Report,
) -> Result<Result<Answered, Refusal>, Failure> {
    let mut question = Question { report, request, asked: 0, under_way: false, answer: None };
    remote.run(&mut question)?;
    let Question { request, asked, answer, .. } = question;
    let answer = answer.ok_or_else(|| Failure::nobody("the server did not answer"))?;
    Ok(match answer {
        Err(refusal) if asked > 1 && is_done(&request, refusal.code) => Ok(Answered::Done),
        other => other,
    })
}

/// Whether such a refusal means that the request was carried out before.
const fn is_done(request: &Request<'_>, code: ErrorCode) -> bool {
    match request {
        Request::Remove { .. } | Request::RemoveDir { .. } | Request::Rename { .. } => {
            matches!(code, ErrorCode::NotFound)
        }
        Request::MakeDir { .. } => matches!(code, ErrorCode::Exists),
        _ => false,
    }
}

struct Question<'q> {
    report: &'q mut Report,
    request: Request<'q>,
    /// How often.
    asked: u32,
    under_way: bool,
    answer: Option<Result<Answered, Refusal>>,
}

impl Errand for Question<'_> {
    fn next(&mut self, _: &Takes) -> Next<'_> {
        if self.answer.is_some() {
            return Next::Over;
        }
        if self.under_way {
            return Next::Later;
        }
        self.under_way = true;
        self.asked += 1;
        Next::Job(self.request)
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Heard {
        self.answer = Some(match *reply {
            Reply::Done => Ok(Answered::Done),
            Reply::Stat(entry) => {
                Ok(Answered::Entry { kind: entry.kind, size: entry.size, mtime: entry.mtime, mode: entry.mode })
            }
            Reply::Space { used, quota, free } => Ok(Answered::Space { used, quota, free }),
            Reply::Sum { md5, size } => Ok(Answered::Sum { md5, size }),
            Reply::Error { code: code @ ErrorCode::Busy, text } => {
                return Heard::TryAgain(Refusal::new(code, text).failure());
            }
            Reply::Error { code, text } => Err(Refusal::new(code, text)),
            _ => return Heard::GiveUp(Failure::new("the server answered what was not asked")),
        });
        Heard::Fine
    }

    fn unsent(&mut self, refusal: Refusal) {
        self.answer = Some(Err(refusal));
    }

    fn broken(&mut self) {
        self.under_way = false;
    }

    fn report(&mut self) -> &mut Report {
        self.report
    }
}
