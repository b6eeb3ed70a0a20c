//! Listing folders.

use feige_core::text::FileName;
use feige_core::wire::transfer::{EntryKind, ErrorCode, Reply, Request};

use super::connection::Remote;
use super::errand::{Errand, Heard, Next, Refusal, Takes};
use super::report::Report;
use super::walk::joined;
use crate::exit::Failure;

/// So many entries are sorted; of a larger folder, so many at a time.
const SORTED: usize = 50_000;

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Below what was listed.
    pub(super) path: String,
    pub(super) kind: EntryKind,
    pub(super) size: u64,
    pub(super) mtime: Option<i64>,
    pub(super) mode: Option<u16>,
}

/// Lists the folder `path`, with `recursive` everything below it, and hands over what it finds, sorted within each folder.
/// `each` says whether to go on.
///
/// # Errors
/// A [`Failure`] if the list does not come to its end. That the server refuses the folder itself is a [`Refusal`]; what it
/// refuses below is reported.
pub(super) fn list(
    remote: &mut Remote<'_>,
    path: &str,
    recursive: bool,
    report: &mut Report,
    each: &mut dyn FnMut(&mut Report, &Listed) -> bool,
) -> Result<Result<(), Refusal>, Failure> {
    let mut lists = Lists {
        report,
        top: path,
        recursive,
        each,
        stack: vec![(String::new(), 0)],
        present: None,
        page: Vec::new(),
        known: Vec::new(),
        refusal: None,
        path: String::new(),
    };
    remote.run(&mut lists)?;
    Ok(lists.refusal.map_or(Ok(()), Err))
}

struct Lists<'l> {
    report: &'l mut Report,
    top: &'l str,
    recursive: bool,
    each: &'l mut dyn FnMut(&mut Report, &Listed) -> bool,
    /// Folders to be listed, below the top, and where to go on.
    stack: Vec<(String, u64)>,
    present: Option<(String, u64)>,
    /// What came of the present page, and of the folder before.
    page: Vec<Listed>,
    known: Vec<Listed>,
    refusal: Option<Refusal>,
    path: String,
}

impl Lists<'_> {
    fn end_of_page(&mut self, cursor: u64) {
        let Some((folder, _)) = self.present.take() else { return };
        self.known.append(&mut self.page);
        if cursor != 0 && self.known.len() < SORTED {
            self.stack.push((folder, cursor));
            return;
        }
        let mut known = std::mem::take(&mut self.known);
        known.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let go_on = known.iter().all(|listed| (self.each)(self.report, listed));
        if !go_on {
            self.stack.clear();
            return;
        }
        if cursor != 0 {
            self.stack.push((folder, cursor));
        }
        if self.recursive {
            let folders = known.into_iter().rev().filter(|listed| listed.kind == EntryKind::Folder);
            self.stack.extend(folders.map(|listed| (listed.path, 0)));
        }
    }
}

impl Errand for Lists<'_> {
    fn next(&mut self, _: &Takes) -> Next<'_> {
        if self.present.is_some() {
            return Next::Later;
        }
        let Some((folder, cursor)) = self.stack.pop() else { return Next::Over };
        self.path = match (self.top, folder.as_str()) {
            (top, "") => top.to_owned(),
            (top, folder) => joined(top, folder),
        };
        self.present = Some((folder, cursor));
        Next::Job(Request::List { path: &self.path, cursor })
    }

    fn reply(&mut self, reply: &Reply<'_>) -> Heard {
        match *reply {
            Reply::Entry(entry) => {
                // A name that cannot be one is shown, harmless, but never gone into.
                let folder = self.present.as_ref().map_or("", |(folder, _)| folder);
                let kind = if FileName::is_safe(entry.name) { entry.kind } else { EntryKind::File };
                let path = joined(folder, entry.name);
                self.page.push(Listed { path, kind, size: entry.size, mtime: entry.mtime, mode: entry.mode });
                if self.page.len() > 2 * SORTED {
                    return Heard::GiveUp(Failure::new("the server lists without end"));
                }
            }
            Reply::End { cursor } => self.end_of_page(cursor),
            Reply::Error { code: code @ ErrorCode::Busy, text } => {
                return Heard::TryAgain(Refusal::new(code, text).failure());
            }
            Reply::Error { code, text } => {
                let (folder, _) = self.present.take().unwrap_or_default();
                self.page.clear();
                let refusal = Refusal::new(code, text);
                if folder.is_empty() {
                    self.refusal = Some(refusal);
                } else {
                    self.report.fail(&folder, &refusal.failure());
                }
            }
            _ => return Heard::GiveUp(Failure::new("the server answered what was not asked")),
        }
        Heard::Fine
    }

    fn unsent(&mut self, refusal: Refusal) {
        self.present = None;
        self.refusal = Some(refusal);
    }

    fn broken(&mut self) {
        self.page.clear();
        self.stack.extend(self.present.take());
    }

    fn report(&mut self) -> &mut Report {
        self.report
    }
}
