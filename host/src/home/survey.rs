//! Going through a whole home: what is used, and which parts nobody will continue.

use std::ffi::CStr;
use std::io;
use std::time::{Duration, SystemTime};

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, File};
use feige_core::wire::transfer::Path;

use super::Home;
use super::reserved::{PART, SMALL, SUMS, is_part_of, is_reserved, part_name};
use super::sys::{self, Entries, Facts, Kind};
use super::unnamed::Abandoned;
use crate::store::owned::{self, Found};

/// Folders inside folders that are looked into. Paths of users end earlier.
const DEEPEST: usize = 64;

/// A small part lives for moments. If it was touched within this time, somebody may be at it.
const AT_WORK: Duration = Duration::from_secs(10 * 60);

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
        let survey = self.go_through(Some(older_than), books.is_some());
        if let Some(ledger) = books {
            ledger.removed(survey.swept);
        }
    }

    /// Removes what attempts to receive a file of this path left, and, if something has the name, what attempts to receive
    /// a folder left, which cannot get it any more. What somebody is at stays, and so does what cannot be removed.
    pub fn abandon(&self, path: Path<'_>) {
        let books = self.books();
        let _ = self.within("remove parts of", path, |folder, name| {
            let (dir, part) = (&folder.dir, part_name(name));
            if let Ok(Some(facts)) = Facts::look_for(dir, &part)
                && let Ok(true) = sweep(dir, &part, &facts, Duration::ZERO)
                && let Some(ledger) = books
            {
                ledger.removed(facts.size);
            }
            if let (Ok(Some(_)), Ok(mut entries)) = (Facts::look_for(dir, name), Entries::of(dir)) {
                while let Some(Ok(entry)) = entries.next() {
                    if let Ok(part) = entry.file_name().to_str()
                        && is_part_of(part, name)
                    {
                        let _ = remove_unnamed(dir, part, Duration::ZERO);
                    }
                }
            }
            Ok(())
        });
    }

    /// Goes through the home, counts what is used, and removes parts on the way. What cannot be read is not counted.
    pub(super) fn survey(&self, sweep: Option<Duration>) -> Survey {
        self.go_through(sweep, true)
    }

    fn go_through(&self, sweep: Option<Duration>, counts: bool) -> Survey {
        let mut survey = Survey::default();
        let level = |dir: Dir| Entries::of(&dir).map(|entries| (dir, entries));
        let mut levels: Vec<_> = self.dir.try_clone().and_then(level).into_iter().collect();
        while let Some((dir, entries)) = levels.last_mut() {
            let Some(Ok(entry)) = entries.next() else {
                levels.pop();
                continue;
            };
            // To look at each of a million files takes seconds. Without a quota only parts are looked at.
            let reserved = entry.file_name().to_str().is_ok_and(is_reserved);
            if !counts && !reserved && sys::kind(&entry) == Some(Kind::File) {
                continue;
            }
            let Ok(facts) = Facts::look_raw(dir, entry.file_name()) else { continue };
            match facts.kind {
                Kind::File => survey.count(dir, entry.file_name(), &facts, sweep),
                Kind::Folder if levels.len() < DEEPEST => {
                    let Some((dir, _)) = levels.last() else { break };
                    if let Some(older_than) = sweep
                        && sweep_folder(dir, entry.file_name(), older_than)
                    {
                        continue;
                    }
                    let name = std::path::Path::new(os_name(entry.file_name()));
                    levels.extend(dir.open_dir_nofollow(name).and_then(level));
                }
                Kind::Folder | Kind::Link | Kind::Other => {}
            }
        }
        survey
    }
}

impl Survey {
    /// Counts a file, or removes it if it is a part that is old enough.
    fn count(&mut self, dir: &Dir, name: &CStr, facts: &Facts, older_than: Option<Duration>) {
        // What is only kept beside parts does not count.
        let size = if name.to_bytes().ends_with(SUMS.as_bytes()) { 0 } else { facts.size };
        let part = name.to_str().ok().filter(|name| is_reserved(name));
        let total = match (part, older_than) {
            (Some(part), Some(older_than)) if matches!(sweep(dir, part, facts, older_than), Ok(true)) => {
                &mut self.swept
            }
            _ => &mut self.used,
        };
        *total = total.saturating_add(size);
    }
}

/// Removes a folder without a name, with all that is in it, if nobody fills it and it is old enough; tells whether. A
/// home with a quota has only those of other programs, which are counted at the next start.
fn sweep_folder(dir: &Dir, name: &CStr, older_than: Duration) -> bool {
    let Ok(name) = name.to_str() else { return false };
    name.ends_with(PART) && remove_unnamed(dir, name, older_than).unwrap_or(false)
}

/// The same, for a name that may be that of such a folder.
pub(crate) fn remove_unnamed(dir: &Dir, name: &str, older_than: Duration) -> io::Result<bool> {
    let Some(abandoned) = Abandoned::claim(dir, name)? else { return Ok(false) };
    if !is_older(&abandoned.facts()?, older_than) {
        return Ok(false);
    }
    abandoned.remove().map(|()| true)
}

/// A part that nobody is at, and that nobody can take up as long as this is there.
struct Idle {
    _locked: Option<File>,
}

/// Whether nobody is at a part, or at what is kept beside one, and it is old enough.
fn idle(dir: &Dir, name: &str, facts: &Facts, older_than: Duration) -> io::Result<Option<Idle>> {
    let small = name.ends_with(SMALL);
    // Nobody continues a small part.
    if !is_older(facts, if small { older_than.min(AT_WORK) } else { older_than }) {
        return Ok(None);
    }
    if name.ends_with(PART) {
        let Found::Ours(part) = owned::reopen(dir, name)? else { return Ok(None) };
        // It may have been continued just now.
        let old = is_older(&Facts::of_file(&part)?, older_than);
        return Ok(old.then_some(Idle { _locked: Some(part) }));
    }
    let alone = match name.strip_suffix(SUMS) {
        // Goes with its part.
        Some(stem) => Facts::look_for(dir, &format!("{stem}{PART}"))?.is_none(),
        None => small,
    };
    Ok(alone.then_some(Idle { _locked: None }))
}

/// Removes a part, or what is kept beside one, if nobody is at it; tells whether.
fn sweep(dir: &Dir, name: &str, facts: &Facts, older_than: Duration) -> io::Result<bool> {
    let Some(_idle) = idle(dir, name, facts, older_than)? else { return Ok(false) };
    if let Some(stem) = name.strip_suffix(PART) {
        let _ = sys::remove(dir, &format!("{stem}{SUMS}"));
    }
    sys::remove(dir, name)?;
    Ok(true)
}

/// Removes the parts in a folder that has nothing else, so that the folder can be removed: to its user it looks empty.
/// Tells `gone` the octets of each.
///
/// # Errors
/// `DirectoryNotEmpty` if there is something else, `ResourceBusy` if somebody is at a part; then nothing is removed,
/// unless somebody came to a part just now.
pub(super) fn clear(dir: &Dir, mut gone: impl FnMut(u64)) -> io::Result<()> {
    let (mut parts, mut sums) = (Vec::new(), Vec::new());
    let mut entries = Entries::of(dir)?;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok(name) if name.ends_with(SUMS) => sums.push(name.to_owned()),
            Ok(name) if is_reserved(name) => parts.push(name.to_owned()),
            _ => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
        }
    }
    let is_folder = |facts: &Facts| facts.kind == Kind::Folder;
    let age = |name: &str| if name.ends_with(SMALL) { AT_WORK } else { Duration::ZERO };
    for name in &parts {
        if let Some(facts) = Facts::look_for(dir, name)? {
            let is_idle = if is_folder(&facts) {
                Abandoned::claim(dir, name)?.is_some()
            } else {
                idle(dir, name, &facts, age(name))?.is_some()
            };
            if !is_idle {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
        }
    }
    for name in &parts {
        match Facts::look_for(dir, name)? {
            Some(facts) if is_folder(&facts) && remove_unnamed(dir, name, Duration::ZERO)? => {}
            Some(facts) if !is_folder(&facts) && sweep(dir, name, &facts, age(name))? => gone(facts.size),
            Some(_) => return Err(io::ErrorKind::ResourceBusy.into()),
            None => {}
        }
    }
    // Left over without a part.
    for name in &sums {
        if let Some(facts) = Facts::look_for(dir, name)? {
            sweep(dir, name, &facts, Duration::ZERO)?;
        }
    }
    Ok(())
}

/// Removes what an earlier attempt left of the file `name`, unless somebody is at it; returns how many octets that were.
pub(super) fn drop_part(dir: &Dir, name: &str) -> Option<u64> {
    let part = part_name(name);
    let facts = Facts::look_for(dir, &part).ok()?.filter(|facts| facts.kind == Kind::File)?;
    sweep(dir, &part, &facts, Duration::ZERO).is_ok_and(|gone| gone).then_some(facts.size)
}

fn is_older(facts: &Facts, than: Duration) -> bool {
    let changed = Duration::from_nanos(u64::try_from(facts.changed).unwrap_or(0));
    let age = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().saturating_sub(changed);
    age >= than
}

fn os_name(name: &CStr) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes())
}
