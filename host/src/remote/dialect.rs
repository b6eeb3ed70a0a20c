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

/// Does `work` at each of the addresses of `url` until one is there.
fn at(
    url: &Url,
    dialect: Dialect,
    report: &RefCell<&mut Report>,
    signals: &Signals,
    mut work: impl FnMut(&mut Client<'_>) -> Result<(), ClassicError>,
) -> Result<(), Failure> {
    if url.user.is_some() {
        return Err(Failure::usage("the classic dialects know no users; leave the user out of the URL"));
    }
    let url = Url { port: if url.port == PORT { port(dialect) } else { url.port }, ..url.clone() };
    let told = Cell::new(0_u64);
    let mut progress = |progress: Progress| {
        // Counts begin anew with each file.
        let new = progress.done.checked_sub(told.replace(progress.done)).unwrap_or(progress.done);
        report.borrow_mut().moved(new);
    };
    let addresses: Vec<SocketAddr> = url.resolve()?;
    let mut result = Ok(());
    for to in addresses {
        let limits = Limits::default();
        result = work(&mut Client { to, limits, cancel: &signals.cancel, progress: &mut progress });
        if !matches!(result, Err(ClassicError::Unreachable { .. })) {
            break;
        }
    }
    result.map_err(|error| failure(&error))
}

/// `feige put --dialect …`
pub(super) fn put(dialect: Dialect, files: &[PathBuf], url: &Url, report: &mut Report) -> Result<Exit, Failure> {
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
                    let said = Session::connect(client)?.upload(file, &name)?;
                    report.borrow_mut().detail(|| format!("the server: {said}"));
                    (std::fs::metadata(file).map_or(0, |metadata| metadata.len()), None)
                }
                Dialect::Upload => send_upload(client, file, &name).map(|sent| (sent.size, Some(sent.md5)))?,
                _ => send_put(client, file, &name).map(|sent| (sent.size, Some(sent.md5)))?,
            };
            stored(&mut report.borrow_mut(), &name, file, size, md5);
            Ok(())
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

/// `feige get --dialect …`: files of a salted store into a folder, or the output of commands.
pub(super) fn get(dialect: Dialect, urls: &[Url], output: &Path, report: &mut Report) -> Result<Exit, Failure> {
    if dialect == Dialect::Command && urls.len() > 1 && output != Path::new(".") {
        return Err(Failure::usage("one file is the output of one command; give one, or leave -o out"));
    }
    let signals = Signals::watch();
    let report = RefCell::new(report);
    for url in urls {
        let path = url.trimmed_path();
        let done = match dialect {
            Dialect::Salted => at(url, dialect, &report, &signals, |client| {
                let inbox = Inbox::open(output)?;
                let name = name_of(path);
                let folder = match path.split_once('/') {
                    Some((word, _)) => FileType::of_word(JsonText::plain(word)),
                    None => FileType::of_name(name),
                };
                let local = FileName::from_untrusted(name);
                let got = Session::connect(client)?.download(name, folder, &inbox, &local)?;
                let mut report = report.borrow_mut();
                report.moved_file();
                let (size, md5) = (got.size, Some(got.md5));
                report.event(&Event::Downloaded { name, path: &got.path, size, digest: None, md5 });
                Ok(())
            }),
            Dialect::Command if report.borrow().is_json() => {
                Err(Failure::usage("the output of a command is no JSON; leave --json out"))
            }
            Dialect::Command => at(url, dialect, &report, &signals, |client| said_to(client, path, output)),
            _ => Err(Failure::usage("from such a server nothing can be fetched; it only takes files")),
        };
        if let Err(failure) = done {
            report.borrow_mut().fail(path, &failure);
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

/// Writes what a command says to standard output, or to a file, which is what it was until all of it is here and verified.
fn said_to(client: &mut Client<'_>, text: &str, output: &Path) -> Result<(), ClassicError> {
    use std::os::unix::fs::PermissionsExt as _;
    if output == Path::new(".") {
        return command(client, text, &mut std::io::stdout()).map(drop);
    }
    let failed = |source| ClassicError::File { path: output.to_owned(), source };
    // What a link leads to is replaced, and not the link.
    let path = output.canonicalize().unwrap_or_else(|_| output.to_owned());
    match path.metadata() {
        Ok(there) if there.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
        // A pipe or a device cannot be replaced.
        Ok(there) if !there.is_file() => {
            let mut file = File::options().write(true).open(&path).map_err(failed)?;
            return command(client, text, &mut file).map(drop);
        }
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut part = Builder::new();
    part.prefix(".").suffix(SUFFIX);
    let mode = path.metadata().map_or(0o666, |there| there.permissions().mode() & 0o777);
    part.permissions(std::fs::Permissions::from_mode(mode));
    let mut file = part.tempfile_in(folder).map_err(failed)?;
    command(client, text, file.as_file_mut())?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map(drop).map_err(|error| failed(error.error))
}

/// `feige ls --dialect …`: a folder of a salted store, or what the command `ls` says.
pub(super) fn ls(dialect: Dialect, urls: &[Url], report: &mut Report) -> Result<Exit, Failure> {
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
        let done = at(url, dialect, &report, &signals, |client| {
            let names = Session::connect(client)?.list(FileType::of_word(JsonText::plain(path)))?;
            for name in names {
                let event = Event::Entry { name: &name, kind: "file", size: None, mtime: None, mode: None };
                report.borrow_mut().event(&event);
            }
            Ok(())
        });
        if let Err(failure) = done {
            report.borrow_mut().fail(path, &failure);
        }
    }
    let report = report.into_inner();
    let exit = signals.exit(report.exit());
    Ok(report.end(exit))
}
