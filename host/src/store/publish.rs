//! Giving a finished part its name, without ever replacing what has that name already.

use std::io;

use cap_std::fs::Dir;

/// Longest name that the usual file systems take, in octets.
pub(crate) const LONGEST_NAME: usize = 255;

/// How many names are tried before a collision becomes an error. A folder in which all names are the same costs its
/// sender's patience, not this machine's.
const CANDIDATES: u32 = 1000;

/// Renames `part` to `name`, or to the first free of `name (1)`, `name (2)` …, and returns the name that it got.
pub(super) fn publish(dir: &Dir, part: &str, name: &str) -> io::Result<String> {
    let ((), name) = first_free(name, |candidate| rename_new(dir, part, dir, candidate))?;
    Ok(name)
}

/// Offers `name`, `name (1)` … to `attempt` until one is not taken already.
pub(crate) fn first_free<T>(name: &str, mut attempt: impl FnMut(&str) -> io::Result<T>) -> io::Result<(T, String)> {
    for number in 0..CANDIDATES {
        let candidate = candidate(name, number);
        match attempt(&candidate) {
            Ok(done) => return Ok((done, candidate)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// `report.pdf`, `report (1).pdf`, `report (2).pdf` …
fn candidate(name: &str, number: u32) -> String {
    if number == 0 {
        return name.to_owned();
    }
    // A dot in front hides a file, it does not begin an extension.
    let split = name.rfind('.').filter(|&at| at > 0).unwrap_or(name.len());
    // `x.tar.gz` has a double extension that the tools want to see in one piece.
    let split = match name.get(..split) {
        Some(stem) if stem.len() > 4 && stem.ends_with(".tar") => split - 4,
        _ => split,
    };
    let (stem, extension) = name.split_at(split);
    let mark = format!(" ({number})");
    let room = LONGEST_NAME.saturating_sub(mark.len() + extension.len());
    format!("{}{mark}{extension}", shortened(stem, room))
}

/// At most `most` octets of `text`, cut between two characters.
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Renames `from` in `dir` to `to` in `into`, failing with `AlreadyExists` if the new name is taken.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn rename_new(dir: &Dir, from: &str, into: &Dir, to: &str) -> io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(dir, from, into, to, RenameFlags::NOREPLACE) {
        // Some file systems do not know the flag, some kernels not the call.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rename_in_two_steps(dir, from, into, to),
        other => Ok(other?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn rename_new(dir: &Dir, from: &str, into: &Dir, to: &str) -> io::Result<()> {
    rename_in_two_steps(dir, from, into, to)
}

/// The same where the system cannot do it in one step.
fn rename_in_two_steps(dir: &Dir, from: &str, into: &Dir, to: &str) -> io::Result<()> {
    if dir.symlink_metadata(from)?.is_dir() {
        // An empty folder takes the name first, which fails if it is taken and which a folder may replace.
        into.create_dir(to)?;
        return dir.rename(from, into, to).inspect_err(|_| drop(into.remove_dir(to)));
    }
    match dir.hard_link(from, into, to) {
        Ok(()) => dir.remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // No hard links either (FAT): an empty file takes the name first. It is seen empty for an instant.
        Err(_) => {
            into.open_with(to, cap_std::fs::OpenOptions::new().write(true).create_new(true))?;
            dir.rename(from, into, to).inspect_err(|_| drop(into.remove_file(to)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    #[test]
    fn candidates_keep_the_extension_and_fit_the_file_system() {
        assert_eq!(candidate("report.pdf", 0), "report.pdf");
        assert_eq!(candidate("report.pdf", 1), "report (1).pdf");
        assert_eq!(candidate("x.tar.gz", 12), "x (12).tar.gz");
        assert_eq!(candidate(".tar.gz", 1), ".tar (1).gz");
        assert_eq!(candidate(".profile", 1), ".profile (1)");
        assert_eq!(candidate("folder", 2), "folder (2)");
        let long = format!("{}.txt", "文".repeat(83));
        assert_eq!(long.len(), 253);
        let other = candidate(&long, 1);
        assert!(other.len() <= LONGEST_NAME && other.ends_with(" (1).txt"), "{other}");
    }

    type Rename = fn(&Dir, &str, &Dir, &str) -> io::Result<()>;

    #[test]
    fn both_ways_of_renaming_replace_nothing() {
        for rename in [rename_new as Rename, rename_in_two_steps as Rename] {
            let folder = tempfile::tempdir().unwrap();
            let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
            dir.write("part", "new").unwrap();
            dir.write("taken", "old").unwrap();
            dir.create_dir("folder-part").unwrap();
            dir.write("folder-part/x", "in the folder").unwrap();
            dir.create_dir("folder-taken").unwrap();

            for (from, to) in [("part", "taken"), ("folder-part", "folder-taken"), ("part", "folder-taken")] {
                assert_eq!(
                    rename(&dir, from, &dir, to).unwrap_err().kind(),
                    io::ErrorKind::AlreadyExists,
                    "{from} {to}"
                );
            }
            let inside = dir.open_dir("folder-part").unwrap();
            assert!(rename(&dir, "folder-part", &inside, "itself").is_err());
            assert!(!inside.exists("itself"), "nothing is left of an attempt that fails");
            rename(&dir, "part", &dir, "free").unwrap();
            rename(&dir, "folder-part", &dir, "folder-free").unwrap();
            assert_eq!(dir.read_to_string("free").unwrap(), "new");
            assert_eq!(dir.read_to_string("taken").unwrap(), "old");
            assert_eq!(dir.read_to_string("folder-free/x").unwrap(), "in the folder");
            assert!(!dir.exists("part") && !dir.exists("folder-part"));
        }
    }
}
