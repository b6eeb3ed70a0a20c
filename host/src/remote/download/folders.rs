//! Folders that are downloaded: depth first, page by page.

use std::path::Path as LocalPath;
use std::sync::Arc;

use feige_core::digest::Digest;
use feige_core::text::FileName;
use feige_core::wire::transfer::{Entry, EntryKind, ErrorCode, Path};

use super::{BAD_NAME, Download, File, Folder, Job, Made, Tree};
use crate::exit::{Exit, Failure};
use crate::home::UnnamedFolder;
use crate::remote::errand::Heard;
use crate::remote::later::Later;

/// So many files are known before they are asked for, at least, if there are so many.
const AHEAD: usize = 256;

/// Entries of a page, at most. Servers have a limit of their own, which is lower.
const LONGEST_PAGE: usize = 1 << 16;

const NO_FOLDER: &str = "is here and no folder, but one is needed; rename it, or use -o with another name";

/// A folder that is new here and gets its name in the end.
#[derive(Debug)]
pub(super) struct Unnamed {
    pub(super) tree: usize,
    pub(super) folder: UnnamedFolder,
    /// Files that are in it.
    pub(super) files: u64,
    /// What is told then of its files, if single files are told of.
    pub(super) later: Option<Later>,
}

impl Unnamed {
    /// Which of `all` is that of a tree, or of one before it that is to be in the same place.
    pub(super) fn position(all: &[Self], trees: &[Tree], tree: usize) -> Option<usize> {
        let path = |tree: usize| trees.get(tree).map(|tree| &tree.path);
        all.iter().position(|unnamed| unnamed.tree == tree || path(unnamed.tree) == path(tree))
    }

    /// The one of `all` in which a tree is.
    pub(super) fn of<'l>(all: &'l mut [Self], trees: &[Tree], tree: usize) -> Option<&'l mut Self> {
        let position = Self::position(all, trees, tree)?;
        all.get_mut(position)
    }
}

impl Download<'_> {
    /// Takes up the next page of the folder on top, if it is time.
    pub(super) fn next_page(&mut self) -> bool {
        if self.listing || self.ready.len() >= AHEAD {
            return false;
        }
        let Some(folder) = self.stack.pop() else { return false };
        self.path.clear();
        self.path.push_str(&self.trees[folder.tree].remote);
        self.path.push_str(&folder.tail);
        self.listing = true;
        self.page.0.clear();
        self.page.1.clear();
        self.under_way.push_back(Job::List(folder));
        true
    }

    pub(super) fn entry(&mut self, entry: &Entry<'_>) -> Heard {
        let Some(Job::List(folder)) = self.under_way.front() else {
            return Heard::GiveUp(Failure::new("the server lists what was not asked for"));
        };
        let (tree, made) = (folder.tree, folder.made);
        if made == Some(Made::Never) {
            // That was told, of the folder with all that is in it.
            return Heard::Fine;
        }
        let tail = format!("{}/{}", folder.tail, entry.name);
        if self.page.0.len() + self.page.1.len() >= LONGEST_PAGE {
            return Heard::GiveUp(Failure::new("the server lists without end"));
        }
        self.taken.0 += 1;
        if self.taken.0 > self.wish.most.entries {
            let entries = self.wish.most.entries;
            return Heard::GiveUp(Failure {
                exit: Exit::NoSpace,
                message: format!("there are more than the {entries} files and folders that may come"),
            });
        }
        if !FileName::is_safe(entry.name) {
            let name = self.remote(tree, &tail);
            self.report.fail_for_good(&name, &Failure::new("the name cannot be used; rename it there"));
            return Heard::Fine;
        }
        match entry.kind {
            EntryKind::File => self.page.0.push(File {
                tree,
                tail,
                known: Some((entry.size, entry.mtime)),
                fresh: made == Some(Made::Now),
                attempts: 0,
            }),
            EntryKind::Folder => self.page.1.push(Folder { tree, tail, cursor: 0, made: None }),
        }
        Heard::Fine
    }

    /// Makes the folder that is listed, before anything that is in it is asked for.
    ///
    /// # Errors
    /// Another program is at it, or the disk is full.
    pub(super) fn make_folder(&mut self) -> Result<(), Failure> {
        let Some(Job::List(Folder { tree, tail, made: None, .. })) = self.under_way.front() else { return Ok(()) };
        let (tree, tail) = (*tree, tail.clone());
        let unnamed = if tail.is_empty() { self.begin_unnamed(tree)? } else { None };
        let made = match unnamed.map_or_else(|| self.make_named(tree, &tail), Ok) {
            Ok(true) => Made::Now,
            Ok(false) => Made::Before,
            Err(failure) if failure.exit == Exit::NoSpace => return Err(failure),
            Err(failure) => {
                self.fail(tree, &tail, &failure);
                Made::Never
            }
        };
        if let Some(Job::List(folder)) = self.under_way.front_mut() {
            folder.made = Some(made);
        }
        Ok(())
    }

    /// Makes a folder under its name; tells whether it was not here before.
    fn make_named(&self, tree: usize, tail: &str) -> Result<bool, Failure> {
        let (local, tree) = (self.local(tree, tail), &self.trees[tree]);
        let path = Path::parse(&local).map_err(|_| Failure::new(BAD_NAME))?;
        let made = match tree.home.make_dir(path, false) {
            Ok(()) => Ok(true),
            Err(error) if error.code == ErrorCode::Exists => tree.home.list(path).map(|_| false),
            Err(error) => Err(error),
        };
        made.map_err(|error| match error.code {
            ErrorCode::NotAFolder => tree.taken(tail, NO_FOLDER),
            _ => tree.failure(tail, &error),
        })
    }

    /// Begins a folder without a name, if it is new here and can be; tells whether nothing is in it yet.
    fn begin_unnamed(&mut self, number: usize) -> Result<Option<bool>, Failure> {
        if let Some(folder) = self.unnamed(number) {
            let home = Arc::clone(folder.home());
            let tree = &mut self.trees[number];
            tree.home = home;
            tree.local.clear();
            return Ok(Some(false));
        }
        let tree = &mut self.trees[number];
        let Ok(path) = Path::parse(&tree.local) else { return Ok(None) };
        let key = Digest::of(format!("{}/{}", tree.origin, tree.remote).as_bytes()).key();
        let folder = match tree.home.unnamed_folder(path, key) {
            Ok(Some(folder)) => folder,
            Err(error) if matches!(error.code, ErrorCode::Busy | ErrorCode::NoSpace) => {
                return Err(tree.failure("", &error));
            }
            // Then it is made under its name, which tells what is wrong.
            Ok(None) | Err(_) => return Ok(None),
        };
        let above = tree.path.parent().filter(|above| !above.as_os_str().is_empty());
        // Who cannot be told of the files later has to be told of each at once.
        let Ok(later) = self.report.later(above.unwrap_or_else(|| LocalPath::new("."))) else { return Ok(None) };
        let fresh = folder.is_fresh();
        if !fresh {
            self.report.keeps();
        }
        tree.home = Arc::clone(folder.home());
        tree.local.clear();
        self.unnamed.push(Unnamed { tree: number, folder, files: 0, later });
        Ok(Some(fresh))
    }

    /// Everything is in the folders without names: gives them theirs, and tells of what is in them.
    pub(super) fn name_folders(&mut self) {
        for Unnamed { tree, folder, files, later } in std::mem::take(&mut self.unnamed) {
            let told = match self.report.wait_for_disk(|| folder.finish()) {
                Ok(()) => {
                    self.report.named(files);
                    later.map_or(Ok(()), |later| self.report.tell(later))
                }
                Err(error) => {
                    let failure = self.trees[tree].failure("", &error);
                    self.fail(tree, "", &failure);
                    continue;
                }
            };
            if let Err(error) = told {
                let failure = Failure::new(format!("it is here, but not all of its files could be told of: {error}"));
                self.fail(tree, "", &failure);
            }
        }
    }

    pub(super) fn end_of_page(&mut self, cursor: u64) {
        let Some(Job::List(folder)) = self.under_way.pop_front() else { return };
        self.listing = false;
        if cursor != 0 && folder.made != Some(Made::Never) {
            self.stack.push(Folder { cursor, ..folder });
        }
        self.stack.extend(self.page.1.drain(..).rev());
        self.ready.extend(self.page.0.drain(..));
    }
}
