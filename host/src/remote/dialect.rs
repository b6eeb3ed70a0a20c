//! `--dialect`: files to and from the servers of the classic dialects, which are [`crate::classic`]'s.
//!
//! They know no accounts, no folders but the two of the salted store, and no resuming; most confirm nothing. What a URL
//! with the native protocol's port means here is the dialect's own.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use feige_core::digest::Digest;
use feige_core::text::FileName;
use feige_core::wire::classic::{FileType, JsonText};
use feige_core::wire::transfer::PORT;
use tempfile::Builder;

use super::actions::{distinct, name_of};
use super::command::Signals;
use super::report::{Event, Report};
use crate::classic::{ClassicError, Client, Limits, Session, command, send_put, send_upload};
use crate::cli::Dialect;
use crate::exit::{Exit, Failure};
use crate::store::{Inbox, SUFFIX};
use crate::transfer::Progress;
use crate::url::Url;

/// The usual port of a dialect.
const fn port(dialect: Dialect) -> u16 {
    match dialect {
        Dialect::Native => PORT,
        Dialect::Upload => 8001,
        Dialect::Put | Dialect::Command => 8080,
        Dialect::Salted => 8002,
    }
}

fn failure(error: &ClassicError) -> Failure {
    Failure { exit: error.exit(), message: error.to_string() }
}

/// Refuses what no classic dialect knows.
fn without_users<'u>(urls: impl IntoIterator<Item = &'u Url>) -> Result<(), Failure> {
    if urls.into_iter().any(|url| url.user.is_some()) {
        return Err(Failure::usage("the classic dialects know no users; leave the user out of the URL"));
    }
    Ok(())
}

/// A path of a server, without slashes around it, for people.
fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// Does `work` at each of the addresses of `url` until one is there. It tells how many octets of files it moved.
fn at(
    url: &Url,
    dialect: Dialect,
    report: &RefCell<&mut Report>,
    signals: &Signals,
    mut work: impl FnMut(&mut Client<'_>) -> Result<u64, ClassicError>,
) -> Result<(), Failure> {
    let url = Url { port: if url.port == PORT { port(dialect) } else { url.port }, ..url.clone() };
    let told = Cell::new(0_u64);
    let moved = |done: u64| report.borrow_mut().moved(done.saturating_sub(told.replace(done)));
    let mut progress = |progress: Progress| moved(progress.done);
    let addresses: Vec<SocketAddr> = url.resolve()?;
    let mut result = Ok(0);
    for to in addresses {
        let limits = Limits::default();
        result = work(&mut Client { to, limits, cancel: &signals.cancel, progress: &mut progress });
        if !matches!(result, Err(ClassicError::Unreachable { .. })) {
            break;
        }
    }
    // Progress is told now and then, and never of the end.
    result.map(moved).map_err(|error| failure(&error))
}

/// `feige put --dialect …`
pub(super) fn put(dialect: Dialect, files: &[PathBuf], url: &Url, report: &mut Report) -> Result<Exit, Failure> {
    without_users([url])?;
    let path = url.trimmed_path();
    let folder = url.means_folder() || files.len() > 1;
    if dialect == Dialect::Command {
        return Err(Failure::usage("the command dialect sends commands and no files"));
    }
    if path.contains('/') || (folder && !path.is_empty()) {
        return Err(Failure::usage("the classic dialects have no folders: feige://host/, or feige://host/NAME"));
    }
    let own = |file: &PathBuf| file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names: Vec<String> = files.iter().map(|file| if folder { own(file) } else { path.to_owned() }).collect();
    distinct(&names)?;
    let signals = Signals::watch();
    let report = RefCell::new(report);
    for (file, name) in files.iter().zip(names) {
        let done = at(url, dialect, &report, &signals, |client| {
            let (size, md5) = match dialect {
                Dialect::Salted => {
                    let uploaded = Session::connect(client)?.upload(file, &name)?;
                    report.borrow_mut().detail(|| format!("the server: {}", uploaded.answer));
                    (uploaded.size, None)
                }
                Dialect::Upload => send_upload(client, file, &name).map(|sent| (sent.size, Some(sent.md5)))?,
                _ => send_put(client, file, &name).map(|sent| (sent.size, Some(sent.md5)))?,
            };
            stored(&mut report.borrow_mut(), &name, file, size, md5);
            Ok(size)
        });
        if let Err(failure) = done {
            report.borrow_mut().fail(&file.to_string_lossy(), &failure);
        }
        if signals.cancel.is_cancelled() {
            break;
        }
    }
    let report = report.into_inner();
    report.summary(files.len() > 1);
    let exit = signals.exit(report.exit());
    Ok(report.end(exit))
}

fn stored(report: &mut Report, name: &str, path: &Path, size: u64, md5: Option<Digest>) {
    report.moved_file();
    report.event(&Event::Stored { name, path, size, digest: None, md5 });
}

/// `feige get --dialect …`: files of a salted store, or the output of commands, into a folder or under a new name.
pub(super) fn get(dialect: Dialect, urls: &[Url], output: &Path, report: &mut Report) -> Result<Exit, Failure> {
    without_users(urls)?;
    match dialect {
        Dialect::Salted => {}
        Dialect::Command if report.is_json() => {
            return Err(Failure::usage("the output of a command is no JSON; leave --json out"));
        }
        Dialect::Command if urls.len() > 1 && !output.is_dir() => {
            return Err(Failure::usage("one file is the output of one command; give one, or leave -o out"));
        }
        Dialect::Command => {}
        _ => return Err(Failure::usage("from such a server nothing can be fetched; it only takes files")),
    }
    let prints = dialect == Dialect::Command && output == Path::new(".");
    let targets = if prints { Vec::new() } else { targets(dialect, urls, output)? };
    let signals = Signals::watch();
    let report = RefCell::new(report);
    for (number, url) in urls.iter().enumerate() {
        let (path, target) = (url.trimmed_path(), targets.get(number));
        let done = match (dialect, target) {
            (Dialect::Salted, Some(target)) => in_store(path).and_then(|(folder, name)| {
                let (above, local) = split(target)?;
                at(url, dialect, &report, &signals, |client| {
                    let inbox = Inbox::open(above)?;
                    let got = Session::connect(client)?.download(name, folder, &inbox, &local)?;
                    let mut report = report.borrow_mut();
                    report.moved_file();
                    let (size, md5) = (got.size, Some(got.md5));
                    report.event(&Event::Downloaded { name, path: &got.path, size, digest: None, md5 });
                    Ok(size)
                })
            }),
            (_, Some(target)) => at(url, dialect, &report, &signals, |client| said_to(client, path, target)),
            (_, None) => at(url, dialect, &report, &signals, |client| {
                command(client, path, &mut io::stdout()).map(|output| output.size)
            }),
        };
        if let Err(failure) = done {
            report.borrow_mut().fail(shown(path), &failure);
        }
        if signals.cancel.is_cancelled() {
            break;
        }
    }
    let report = report.into_inner();
    if dialect == Dialect::Salted {
        report.summary(urls.len() > 1);
    }
    let exit = signals.exit(report.exit());
    Ok(report.end(exit))
}

/// Where everything goes: into `output` if that is a folder, else it is the new name of the one thing that is wanted.
fn targets(dialect: Dialect, urls: &[Url], output: &Path) -> Result<Vec<PathBuf>, Failure> {
    let own = |url: &Url| {
        let path = url.trimmed_path();
        // What has no name is refused where it is asked for.
        let name = if dialect == Dialect::Salted { name_of(path) } else { path };
        FileName::from_untrusted(name).to_string()
    };
    let names: Vec<String> = urls.iter().map(own).collect();
    distinct(&names)?;
    if output.is_dir() {
        return Ok(names.iter().map(|name| output.join(name)).collect());
    }
    if urls.len() > 1 || output.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Failure::new(format!("{} is no folder here; make it first", output.display())));
    }
    Ok(vec![output.to_owned()])
}

/// The folder and the name of a file here.
fn split(target: &Path) -> Result<(&Path, FileName), Failure> {
    let name = target.file_name().and_then(|name| name.to_str()).filter(|name| FileName::is_safe(name));
    let Some(name) = name else {
        return Err(Failure::usage(format!("{} cannot be the name of a file", target.display())));
    };
    let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    if !above.is_dir() {
        return Err(Failure::new(format!("{} is no folder here; make it first", above.display())));
    }
    Ok((above, FileName::from_untrusted(name)))
}

/// The folder of a salted store with this name (R-CL-42). The dialect itself has no words for one that is not there.
fn store_folder(word: &str) -> Result<FileType, Failure> {
    let folder = FileType::of_word(JsonText::plain(word));
    if folder.word() != word {
        return Err(Failure::new("there is no such folder; a salted store has img, video, and the store itself"));
    }
    Ok(folder)
}

/// The folder and the name of a file in a salted store. A name alone tells its folder, too.
fn in_store(path: &str) -> Result<(FileType, &str), Failure> {
    match path.rsplit_once('/') {
        Some((word, name)) => Ok((store_folder(word)?, name)),
        None if path.is_empty() => Err(Failure::new("it is a folder, and no dialect sends those; name one file")),
        None => Ok((FileType::of_name(path), path)),
    }
}

/// Writes what a command says to a file, which is what it was until all of it is here and verified. Tells its octets.
fn said_to(client: &mut Client<'_>, text: &str, output: &Path) -> Result<u64, ClassicError> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |source| ClassicError::File { path: output.to_owned(), source };
    // What a link leads to is replaced, and not the link.
    let path = output.canonicalize().unwrap_or_else(|_| output.to_owned());
    match path.metadata() {
        Ok(there) if there.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
        // A pipe or a device cannot be replaced.
        Ok(there) if !there.is_file() => {
            let mut file = File::options().write(true).open(&path).map_err(failed)?;
            return command(client, text, &mut file).map(|output| output.size);
        }
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut part = Builder::new();
    part.prefix(".").suffix(SUFFIX);
    let mode = path.metadata().map_or(0o666, |there| there.permissions().mode() & 0o777);
    part.permissions(std::fs::Permissions::from_mode(mode));
    let mut file = part.tempfile_in(folder).map_err(failed)?;
    let size = command(client, text, file.as_file_mut())?.size;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map(|_| size).map_err(|error| failed(error.error))
}

/// `feige ls --dialect …`: a folder of a salted store, or what the command `ls` says.
pub(super) fn ls(dialect: Dialect, urls: &[Url], report: &mut Report) -> Result<Exit, Failure> {
    without_users(urls)?;
    if dialect == Dialect::Command {
        let urls: Vec<Url> = urls.iter().map(|url| Url { path: "/ls".to_owned(), ..url.clone() }).collect();
        return get(dialect, &urls, Path::new("."), report);
    }
    if dialect != Dialect::Salted {
        return Err(Failure::usage("such a server shows no lists; it only takes files"));
    }
    let signals = Signals::watch();
    let report = RefCell::new(report);
    for url in urls {
        let path = url.trimmed_path();
        let done = store_folder(path).and_then(|folder| {
            at(url, dialect, &report, &signals, |client| {
                for name in Session::connect(client)?.list(folder)? {
                    let event = Event::Entry { name: &name, kind: "file", size: None, mtime: None, mode: None };
                    report.borrow_mut().event(&event);
                }
                Ok(0)
            })
        });
        if let Err(failure) = done {
            report.borrow_mut().fail(shown(path), &failure);
        }
    }
    let report = report.into_inner();
    let exit = signals.exit(report.exit());
    Ok(report.end(exit))
}
