//! Going through a whole home: what is used, and which parts nobody will continue.

use std::ffi::CStr;
use std::io;
use std::time::{Duration, SystemTime};

use cap_fs_ext::DirExt;
use cap_std::fs::Dir;

use super::error::is_reserved;
use super::sys::{self, Entries, Facts, Kind};
use super::{Home, PART, SMALL, SUMS};
use crate::store::owned::{self, Found};

/// Folders inside folders that are looked into. Paths of users end earlier.
const DEEPEST: usize = 64;

/// A small part lives for moments. If it was touched within this time, somebody is at it.
const AT_WORK: Duration = Duration::from_secs(60);

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Apparent size of all files that are left, parts among them, in octets.
    pub(super) used: u64,
    /// Size of the parts that were removed, in octets.
    pub(super) swept: u64,
}

impl Home {
    /// Removes parts that nobody has touched for so long, unless somebody is writing them.
    ///
    /// Their age counts from the last change of any kind: the time of last change that others see is the sender's.
    pub fn sweep(&self, older_than: Duration) {
        // Before anything is removed, because what is removed is taken off it.
        let books = self.books();
        let survey = self.survey(Some(older_than));
        if let Some(ledger) = books {
            ledger.removed(survey.swept);
        }
    }

    /// Goes through the home, and removes parts on the way. What cannot be read is not counted.
    pub(super) fn survey(&self, sweep: Option<Duration>) -> Survey {
        let mut survey = Survey::default();
        let level = |dir: Dir| Entries::of(&dir).map(|entries| (dir, entries));
        let mut levels: Vec<_> = self.dir.try_clone().and_then(level).into_iter().collect();
        while let Some((dir, entries)) = levels.last_mut() {
            let Some(Ok(entry)) = entries.next() else {
                levels.pop();
                continue;
            };
            let Ok(facts) = Facts::look_raw(dir, entry.name()) else { continue };
            match facts.kind {
                Kind::File => match sweep.filter(|&sweep| is_older(&facts, sweep)) {
                    Some(sweep) => survey.count_or_sweep(dir, entry.name(), &facts, sweep),
                    None => survey.count(entry.name(), &facts),
                },
                Kind::Folder if levels.len() < DEEPEST => {
                    let Some((dir, _)) = levels.last() else { break };
                    let name = std::path::Path::new(os_name(entry.name()));
                    levels.extend(dir.open_dir_nofollow(name).and_then(level));
                }
                Kind::Folder | Kind::Link | Kind::Other => {}
            }
        }
        survey
    }
}

impl Survey {
    fn count_or_sweep(&mut self, dir: &Dir, name: &CStr, facts: &Facts, older_than: Duration) {
        let swept = name.to_str().ok().filter(|name| is_reserved(name)).map(|name| sweep(dir, name, older_than));
        match swept {
            Some(Ok(Swept::Removed)) => self.swept = self.swept.saturating_add(counted(name, facts)),
            _ => self.count(name, facts),
        }
    }

    fn count(&mut self, name: &CStr, facts: &Facts) {
        self.used = self.used.saturating_add(counted(name, facts));
    }
}

/// How many octets of a file count: all, but none of what is only kept beside parts.
fn counted(name: &CStr, facts: &Facts) -> u64 {
    if name.to_bytes().ends_with(SUMS.as_bytes()) { 0 } else { facts.size }
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swept {
    Removed,
    /// Somebody is at it, or it is not ours.
    Left,
}

/// Removes a part, or what is kept beside one, if nobody is at it.
fn sweep(dir: &Dir, name: &str, older_than: Duration) -> io::Result<Swept> {
    if let Some(stem) = name.strip_suffix(PART) {
        let Found::Ours(part) = owned::reopen(dir, name)? else { return Ok(Swept::Left) };
        // It may have been continued just now.
        let part = part.into_std();
        if !is_older(&Facts::of_file(&part)?, older_than) {
            return Ok(Swept::Left);
        }
        let _ = sys::remove(dir, &format!("{stem}{SUMS}"));
        sys::remove(dir, name)?;
    } else if let Some(stem) = name.strip_suffix(SUMS) {
        // Goes with its part.
        if Facts::look_for(dir, &format!("{stem}{PART}"))?.is_some() {
            return Ok(Swept::Left);
        }
        sys::remove(dir, name)?;
    } else if name.ends_with(SMALL) && is_older(&Facts::look(dir, name)?, older_than) {
        sys::remove(dir, name)?;
    } else {
        return Ok(Swept::Left);
    }
    Ok(Swept::Removed)
}

/// Removes the parts in a folder that has nothing else, so that the folder can be removed: to its user it looks empty.
/// Returns the octets that are gone.
///
/// # Errors
/// `DirectoryNotEmpty` if there is something else, `ResourceBusy` if somebody is at a part.
pub(super) fn clear(dir: &Dir) -> io::Result<u64> {
    let mut parts = Vec::new();
    let mut entries = Entries::of(dir)?;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        match entry.name().to_str() {
            Ok(name) if is_reserved(name) => parts.push(name.to_owned()),
            _ => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
        }
    }
    // Sums go with their parts, or are left over.
    parts.sort_by_key(|name| name.ends_with(SUMS));
    let mut gone = 0_u64;
    for name in parts {
        let Some(facts) = Facts::look_for(dir, &name)? else { continue };
        let age = if name.ends_with(SMALL) { AT_WORK } else { Duration::ZERO };
        match sweep(dir, &name, age)? {
            Swept::Removed if name.ends_with(SUMS) => {}
            Swept::Removed => gone = gone.saturating_add(facts.size),
            Swept::Left => return Err(io::ErrorKind::ResourceBusy.into()),
        }
    }
    Ok(gone)
}

fn is_older(facts: &Facts, than: Duration) -> bool {
    let changed = Duration::from_nanos(u64::try_from(facts.changed).unwrap_or(0));
    let age = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(changed);
    age >= than
}

fn os_name(name: &CStr) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes())
}
