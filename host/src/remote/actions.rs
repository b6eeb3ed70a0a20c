//! What the commands do at one server, whoever asks for it: the command line, or the shell.
//!
//! What does not work with one of several things is reported, and the next one is tried. An `Err` means that the server is
//! of no use any more.

use std::path::Path as LocalPath;
use std::path::PathBuf;

use feige_core::text::{FileName, Printable};
use feige_core::wire::transfer::{EntryKind, ErrorCode, Request};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Wish;
use super::connection::{Patience, Remote};
use super::download::{Download, Tree};
use super::errand::Refusal;
use super::list::{Listed, list};
use super::question::{Answered, ask};
use super::report::{Event, Report};
use super::upload::{Load, Upload};
use super::walk::joined;
use crate::exit::{Exit, Failure};
use crate::home::Home;

/// A path of a server, without slashes around it, for people.
fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// The last name of a path.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Refuses sources that would get one name, of which the last would replace the others.
///
/// # Errors
/// A [`Failure`] of usage, which names what they would be.
pub(super) fn distinct<S: AsRef<str>>(targets: &[S]) -> Result<(), Failure> {
    let mut sorted: Vec<&str> = targets.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Failure::usage(format!(
            "two of them would both be {}; give them one by one, with another name or folder",
            Printable::line(shown(pair[0]))
        ))),
    }
}

/// Downloads `paths` to `to`, which is a folder or, for one, its new name.
pub(crate) fn get(
    remote: &mut Remote<'_>,
    paths: &[String],
    to: &LocalPath,
    recursive: bool,
    wish: Wish,
    report: &mut Report,
) -> Result<(), Failure> {
    let trees = trees(paths, to, recursive, &remote.origin())?;
    let (patience, cancel) = (Patience::new(remote.retry()), remote.cancel().clone());
    let mut download = Download::new(trees, wish, patience, cancel, report);
    let result = remote.run(&mut download);
    let kept = download.close(result.is_ok());
    result.and_then(|()| download.has_room()).map_err(|failure| match failure.exit {
        // Whoever interrupts it is told so in any case.
        Exit::Interrupted => failure,
        _ if !(kept && report.has_kept()) => failure,
        exit => Failure { exit, message: format!("{}; what came is kept: run it again to go on", failure.message) },
    })
}

/// Where everything is to go.
fn trees(paths: &[String], to: &LocalPath, recursive: bool, origin: &str) -> Result<Vec<Tree>, Failure> {
    let ends_with_slash = to.as_os_str().as_encoded_bytes().ends_with(b"/");
    let is_folder = to.is_dir();
    if !is_folder && (ends_with_slash || paths.len() > 1) {
        return Err(Failure::new(format!("{} is no folder here; make it first", to.display())));
    }
    let (folder, name) = if is_folder {
        (to, None)
    } else {
        let name = to.file_name().and_then(|name| name.to_str()).filter(|name| FileName::is_safe(name));
        let Some(name) = name else {
            return Err(Failure::usage(format!("{} cannot be the name of a file", to.display())));
        };
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        (folder.unwrap_or_else(|| LocalPath::new(".")), Some(name))
    };
    let names: Vec<&str> = paths.iter().map(|path| name_of(path)).collect();
    distinct(&names)?;
    let home = Home::open(folder, None).map_err(|error| {
        Failure::new(format!("cannot open the folder {} here: {}", folder.display(), error.reason()))
    })?;
    let tree = |path: &String| {
        let local = name.unwrap_or_else(|| name_of(path)).to_owned();
        if local.is_empty() && !recursive {
            return Err(Failure::new("/ is a folder; use -r to have it with all that is in it"));
        }
        let path_here = if local.is_empty() { folder.to_owned() } else { folder.join(&local) };
        let (home, origin) = (home.clone(), origin.into());
        Ok(Tree { remote: path.clone(), home, local, path: path_here, recursive, origin })
    };
    paths.iter().map(tree).collect()
}

/// Uploads `files` to `path`: into that folder if it is one, or if `folder` says that it has to be; else one of them,
/// under that name.
pub(super) fn put(
    remote: &mut Remote<'_>,
    files: &[PathBuf],
    (path, folder): (&str, bool),
    recursive: bool,
    wish: Wish,
    report: &mut Report,
) -> Result<(), Failure> {
    let into = folder
        || match ask(remote, Request::Stat { path }, report)? {
            Ok(Answered::Entry { kind, .. }) => kind == EntryKind::Folder,
            Err(refusal) if refusal.code == ErrorCode::NotFound => false,
            Err(refusal) => return Err(about(path, &refusal)),
            Ok(_) => return Err(Failure::new("the server answered what was not asked")),
        };
    if !into && files.len() > 1 {
        return Err(Failure::new(format!("{path} is no folder on the server; make it first: feige mkdir")));
    }
    let mut loads = Vec::with_capacity(files.len());
    for file in files {
        match load(file, path, into, recursive) {
            Ok(load) => loads.push(load),
            Err(failure) => report.fail(&file.to_string_lossy(), &failure),
        }
    }
    let targets: Vec<&str> = loads.iter().map(|load| load.remote.as_str()).collect();
    distinct(&targets)?;
    let (patience, cancel) = (Patience::new(remote.retry()), remote.cancel().clone());
    remote.run(&mut Upload::new(loads, wish, patience, cancel, report))
}

fn load(file: &LocalPath, path: &str, into: bool, recursive: bool) -> Result<Load, Failure> {
    let unreadable = |error| Failure::new(format!("cannot read it: {error}"));
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if metadata.is_dir() && !recursive {
        return Err(Failure::new("it is a folder; use -r to send it with all that is in it"));
    }
    let remote = if into {
        // `.` and `..` have names, too.
        let whole = match file.file_name() {
            Some(_) => file.to_owned(),
            None => std::fs::canonicalize(file).map_err(unreadable)?,
        };
        let name = whole.file_name().and_then(|name| name.to_str()).filter(|name| FileName::is_safe(name));
        let Some(name) = name else {
            return Err(Failure::new(
                "its name is not UTF-8, or cannot be used everywhere; give it another in the URL",
            ));
        };
        joined(path, name)
    } else {
        path.to_owned()
    };
    Ok(Load { local: file.to_owned(), remote, folder: metadata.is_dir() })
}

/// Writes files to standard output, one behind the other.
pub(super) fn cat(remote: &mut Remote<'_>, path: &str, report: &mut Report) -> Result<(), Failure> {
    if let Err(refusal) = super::cat::cat(remote, path, report)? {
        report.fail(shown(path), &refusal.failure());
    }
    Ok(())
}

/// Lists a folder, or shows a file.
pub(super) fn ls(
    remote: &mut Remote<'_>,
    path: &str,
    (long, recursive): (bool, bool),
    report: &mut Report,
) -> Result<(), Failure> {
    let zone = (long && !report.is_json()).then(TimeZone::system);
    let mut each = |report: &mut Report, listed: &Listed| {
        show(listed, zone.as_ref(), report);
        !report.is_gone()
    };
    let listed = list(remote, path, recursive, report, &mut each)?;
    match listed {
        Ok(()) => {}
        Err(refusal) if refusal.code == ErrorCode::NotAFolder => match ask(remote, Request::Stat { path }, report)? {
            Ok(Answered::Entry { kind, size, mtime, mode }) => {
                let listed = Listed { path: name_of(path).to_owned(), kind, size, mtime, mode };
                show(&listed, zone.as_ref(), report);
            }
            Ok(_) => return Err(Failure::new("the server answered what was not asked")),
            Err(refusal) => report.fail(shown(path), &refusal.failure()),
        },
        Err(refusal) => report.fail(shown(path), &refusal.failure()),
    }
    report.flush();
    Ok(())
}

fn show(listed: &Listed, zone: Option<&TimeZone>, report: &mut Report) {
    let Listed { path, kind, size, mtime, mode } = listed;
    if let Some(zone) = zone {
        let time = mtime.and_then(|time| Timestamp::from_nanosecond(i128::from(time)).ok());
        let time = time.map(|time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string());
        let mode = mode.map_or_else(|| "---------".to_owned(), rights);
        let first = if *kind == EntryKind::Folder { 'd' } else { '-' };
        report.prefix(format_args!("{first}{mode} {size:>14} {:>16} ", time.unwrap_or_default()));
    }
    let kind = if *kind == EntryKind::Folder { "dir" } else { "file" };
    report.event(&Event::Entry { name: path, kind, size: Some(*size), mtime: *mtime, mode: *mode });
}

/// Access rights as `ls -l` shows them.
fn rights(mode: u16) -> String {
    (0..9_u8).rev().map(|bit| if mode >> bit & 1 == 1 { ['x', 'w', 'r'][usize::from(bit % 3)] } else { '-' }).collect()
}

/// Makes a folder, with `parents` those above it too.
pub(super) fn mkdir(remote: &mut Remote<'_>, path: &str, parents: bool, report: &mut Report) -> Result<(), Failure> {
    simple(remote, "made", path, Request::MakeDir { path, parents }, report)
}

/// Removes a file.
pub(super) fn rm(remote: &mut Remote<'_>, path: &str, report: &mut Report) -> Result<(), Failure> {
    simple(remote, "removed", path, Request::Remove { path }, report)
}

/// Removes an empty folder.
pub(super) fn rmdir(remote: &mut Remote<'_>, path: &str, report: &mut Report) -> Result<(), Failure> {
    simple(remote, "removed", path, Request::RemoveDir { path }, report)
}

fn simple(
    remote: &mut Remote<'_>,
    what: &str,
    path: &str,
    request: Request<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    match ask(remote, request, report)? {
        Ok(_) => report.event(&Event::Done { what, name: shown(path), to: None }),
        Err(refusal) => report.fail(shown(path), &refusal.failure()),
    }
    Ok(())
}

/// Renames or moves: into `to` if it is a folder, or if `folder` says that it has to be.
pub(super) fn mv(
    remote: &mut Remote<'_>,
    from: &str,
    (to, folder): (&str, bool),
    replace: bool,
    report: &mut Report,
) -> Result<(), Failure> {
    let into = folder
        || to.is_empty()
        || matches!(
            ask(remote, Request::Stat { path: to }, report)?,
            Ok(Answered::Entry { kind: EntryKind::Folder, .. })
        );
    let to = if into { joined(to, name_of(from)) } else { to.to_owned() };
    match ask(remote, Request::Rename { from, to: &to, replace }, report)? {
        Ok(_) => report.event(&Event::Done { what: "moved", name: shown(from), to: Some(&to) }),
        Err(refusal) => report.fail(shown(from), &refusal.failure()),
    }
    Ok(())
}

/// Shows how much room there is.
pub(super) fn df(remote: &mut Remote<'_>, report: &mut Report) -> Result<(), Failure> {
    match ask(remote, Request::Space, report)? {
        Ok(Answered::Space { used, quota, free }) => report.event(&Event::Space { used, quota, free }),
        Ok(_) => return Err(Failure::new("the server answered what was not asked")),
        Err(refusal) => report.fail("/", &refusal.failure()),
    }
    Ok(())
}

/// Shows the MD5 of a file, as `md5sum` does.
pub(super) fn sum(remote: &mut Remote<'_>, path: &str, report: &mut Report) -> Result<(), Failure> {
    match ask(remote, Request::Sum { path }, report)? {
        Ok(Answered::Sum { md5, size }) => report.event(&Event::Sum { name: path, size, md5: Some(md5) }),
        Ok(_) => return Err(Failure::new("the server answered what was not asked")),
        Err(refusal) => report.fail(shown(path), &refusal.failure()),
    }
    Ok(())
}

/// Whether there is a folder of this path.
pub(super) fn is_folder(remote: &mut Remote<'_>, path: &str, report: &mut Report) -> Result<bool, Failure> {
    if path.is_empty() {
        return Ok(true);
    }
    match ask(remote, Request::Stat { path }, report)? {
        Ok(Answered::Entry { kind, .. }) => Ok(kind == EntryKind::Folder),
        Ok(_) => Err(Failure::new("the server answered what was not asked")),
        Err(refusal) => {
            report.fail(path, &refusal.failure());
            Ok(false)
        }
    }
}

fn about(path: &str, refusal: &Refusal) -> Failure {
    let Failure { exit, message } = refusal.failure();
    Failure { exit, message: format!("{}: {message}", Printable::line(shown(path))) }
}
