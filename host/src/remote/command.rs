//! The commands at a server, from options to exit code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum as _;
use feige_core::stream::transfer::Credentials;
use feige_core::wire::transfer::Path;

use super::connection::Remote;
use super::report::Report;
use super::{Wish, actions, dialect};
use crate::accounts::password;
use crate::cli::{Cat, Df, Dialect, Get, Ls, Mkdir, MoveOptions, Mv, OutputOptions, Put, ServerOptions, Several};
use crate::exit::{Exit, Failure};
use crate::transfer::Cancel;
use crate::url::Url;

/// What ends a command from outside.
pub(crate) struct Signals {
    pub(crate) cancel: Cancel,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Ctrl-C ends a command cleanly; the second one at once.
    pub(crate) fn watch() -> Self {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let (cancel, terminated) = (Cancel::new(), Arc::new(AtomicBool::new(false)));
        // Where a handler cannot be set, the signal ends the program, as it would without one.
        let _ =
            signal_hook::flag::register_conditional_shutdown(SIGINT, Exit::Interrupted.code().into(), cancel.flag());
        let _ = signal_hook::flag::register(SIGINT, cancel.flag());
        let _ = signal_hook::flag::register(SIGTERM, cancel.flag());
        let _ = signal_hook::flag::register(SIGTERM, Arc::clone(&terminated));
        Self { cancel, terminated }
    }

    /// Does `wait`, which ends when a person, or a pipe, says something. Meanwhile a signal ends the program at once: nothing
    /// is under way.
    pub(super) fn waiting<R>(wait: impl FnOnce() -> R) -> R {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let held = [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)].map(|(signal, exit)| {
            let at_once = Arc::new(AtomicBool::new(true));
            signal_hook::flag::register_conditional_shutdown(signal, exit.code().into(), at_once)
        });
        let said = wait();
        for id in held.into_iter().flatten() {
            signal_hook::low_level::unregister(id);
        }
        said
    }

    /// How a command ends that is to end as `exit`.
    pub(crate) fn exit(&self, exit: Exit) -> Exit {
        if exit == Exit::Interrupted && self.terminated.load(Ordering::Relaxed) { Exit::Terminated } else { exit }
    }

    /// How a command fails: as interrupted, if it was.
    pub(crate) fn end(&self, failure: Failure) -> Failure {
        Failure { exit: self.exit(failure.exit), ..failure }
    }
}

/// Does `work` at the server of `url`.
pub(super) fn at<R>(
    url: &Url,
    options: &ServerOptions,
    cancel: &Cancel,
    work: impl FnOnce(&mut Remote<'_>) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let to = url.resolve()?;
    let password = match &url.user {
        Some(user) => {
            let prompt = format!("Password of {user} at {}: ", url.host);
            Some(password::obtain(options.password.password_file.as_deref(), &prompt, false)?)
        }
        None => None,
    };
    let credentials = match (&url.user, &password) {
        (Some(user), Some(password)) => Credentials::Account { user, password },
        _ => Credentials::Guest,
    };
    work(&mut Remote::new(to, credentials, options.retry, cancel.clone()))
}

/// Does `work` for all `urls`, those that follow each other at one server over one connection. With `together` all of
/// these are given to `work` at once.
fn each(
    urls: &[Url],
    options: &ServerOptions,
    report: &mut Report,
    mut work: impl FnMut(&mut Remote<'_>, &[String], &mut Report) -> Result<(), Failure>,
) -> Exit {
    let signals = Signals::watch();
    let same = |one: &Url, other: &Url| (&one.user, &one.host, one.port) == (&other.user, &other.host, other.port);
    for urls in urls.chunk_by(same) {
        let Some(url) = urls.first() else { continue };
        let paths: Vec<String> = urls.iter().map(|url| url.trimmed_path().to_owned()).collect();
        if let Err(failure) = at(url, options, &signals.cancel, |remote| work(remote, &paths, report)) {
            report.abort(&url.to_string(), &failure);
            if failure.exit == Exit::Interrupted {
                break;
            }
        }
    }
    let exit = signals.exit(report.exit());
    report.end(exit)
}

fn wish(moving: &MoveOptions, several: bool) -> Result<Wish, Failure> {
    let md5 = moving.md5.map(|md5| md5.0);
    if matches!(md5, Some(Some(_))) && (several || moving.recursive) {
        return Err(Failure::usage("--md5=HEX is the MD5 of one file; give one, and no -r"));
    }
    Ok(Wish { no_clobber: moving.no_clobber, md5, ..Wish::default() })
}

/// What the classic dialects cannot do.
fn check(dialect: Dialect, moving: &MoveOptions) -> Result<(), Failure> {
    if moving.recursive || moving.no_clobber || moving.md5.is_some() {
        let name = dialect.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        return Err(Failure::usage(format!("--dialect {name} knows no -r, --no-clobber or --md5")));
    }
    Ok(())
}

/// `feige get`
///
/// # Errors
/// A [`Failure`] of usage. Everything else is reported, and is in the exit code.
pub fn get(output: &OutputOptions, get: &Get) -> Result<Exit, Failure> {
    let wish = wish(&get.moving, get.urls.len() > 1)?;
    let recursive = get.moving.recursive;
    let mut report = Report::new(output);
    if get.dialect != Dialect::Native {
        check(get.dialect, &get.moving)?;
        return dialect::get(get.dialect, &get.urls, &get.output, &mut report);
    }
    // They may be of several servers.
    let names: Vec<&str> = get.urls.iter().map(|url| actions::name_of(url.trimmed_path())).collect();
    actions::distinct(&names)?;
    let exit = each(&get.urls, &get.server, &mut report, |remote, paths, report| {
        actions::get(remote, paths, &get.output, recursive, wish, report)
    });
    Ok(moved(&mut report, exit, recursive || get.urls.len() > 1))
}

/// `feige put`
///
/// # Errors
/// As [`get`].
pub fn put(output: &OutputOptions, put: &Put) -> Result<Exit, Failure> {
    let wish = wish(&put.moving, put.files.len() > 1)?;
    let recursive = put.moving.recursive;
    let mut report = Report::new(output);
    if put.dialect != Dialect::Native {
        check(put.dialect, &put.moving)?;
        return dialect::put(put.dialect, &put.files, &put.url, &mut report);
    }
    let folder = put.url.means_folder();
    let exit = each(std::slice::from_ref(&put.url), &put.server, &mut report, |remote, paths, report| {
        let path = paths.first().map_or("", String::as_str);
        actions::put(remote, &put.files, (path, folder), recursive, wish, report)
    });
    Ok(moved(&mut report, exit, recursive || put.files.len() > 1))
}

/// The end of a command that moves files.
fn moved(report: &mut Report, exit: Exit, tell: bool) -> Exit {
    if matches!(exit, Exit::Interrupted | Exit::Terminated) && report.has_kept() {
        report.note(|| "what came is kept: the same command goes on from there".to_owned());
    }
    report.summary(tell);
    report.end(exit)
}

/// `feige ls`
///
/// # Errors
/// As [`get`].
pub fn ls(output: &OutputOptions, ls: &Ls) -> Result<Exit, Failure> {
    let several = ls.urls.len() > 1 && !output.json;
    let mut report = Report::new(output);
    if ls.dialect != Dialect::Native {
        return dialect::ls(ls.dialect, &ls.urls, &mut report);
    }
    Ok(each(&ls.urls, &ls.server, &mut report, |remote, paths, report| {
        paths.iter().try_for_each(|path| {
            if several {
                report.heading(format_args!("/{path}:"));
            }
            actions::ls(remote, path, (ls.long, ls.recursive), report)
        })
    }))
}

/// `feige cat`
///
/// # Errors
/// As [`get`].
pub fn cat(output: &OutputOptions, cat: &Cat) -> Result<Exit, Failure> {
    if output.json {
        return Err(Failure::usage("`feige cat` writes the octets of files and no JSON"));
    }
    let mut report = Report::new(output);
    Ok(each(&cat.urls, &cat.server, &mut report, |remote, paths, report| {
        paths.iter().try_for_each(|path| actions::cat(remote, path, report))
    }))
}

/// `feige mkdir`
///
/// # Errors
/// As [`get`].
pub fn mkdir(output: &OutputOptions, mkdir: &Mkdir) -> Result<Exit, Failure> {
    let mut report = Report::new(output);
    Ok(each(&mkdir.urls, &mkdir.server, &mut report, |remote, paths, report| {
        paths.iter().try_for_each(|path| actions::mkdir(remote, path, mkdir.parents, report))
    }))
}

/// `feige rm`
///
/// # Errors
/// As [`get`].
pub fn rm(output: &OutputOptions, several: &Several) -> Result<Exit, Failure> {
    one_by_one(output, several, actions::rm)
}

/// `feige rmdir`
///
/// # Errors
/// As [`get`].
pub fn rmdir(output: &OutputOptions, several: &Several) -> Result<Exit, Failure> {
    one_by_one(output, several, actions::rmdir)
}

/// `feige sum`
///
/// # Errors
/// As [`get`].
pub fn sum(output: &OutputOptions, several: &Several) -> Result<Exit, Failure> {
    one_by_one(output, several, actions::sum)
}

fn one_by_one(
    output: &OutputOptions,
    several: &Several,
    action: impl Fn(&mut Remote<'_>, &str, &mut Report) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let mut report = Report::new(output);
    Ok(each(&several.urls, &several.server, &mut report, |remote, paths, report| {
        paths.iter().try_for_each(|path| action(remote, path, report))
    }))
}

/// `feige df`
///
/// # Errors
/// As [`get`].
pub fn df(output: &OutputOptions, df: &Df) -> Result<Exit, Failure> {
    let mut report = Report::new(output);
    let work = |remote: &mut Remote<'_>, paths: &[String], report: &mut Report| {
        // All of a home has the same room, but what is asked about has to be there.
        for path in paths {
            actions::is_folder(remote, path, report)?;
        }
        if report.exit() == Exit::Done { actions::df(remote, report) } else { Ok(()) }
    };
    Ok(each(std::slice::from_ref(&df.url), &df.server, &mut report, work))
}

/// `feige mv`
///
/// # Errors
/// As [`get`].
pub fn mv(output: &OutputOptions, mv: &Mv) -> Result<Exit, Failure> {
    let (to, folder) = target(&mv.from, &mv.to)?;
    let mut report = Report::new(output);
    Ok(each(std::slice::from_ref(&mv.from), &mv.server, &mut report, |remote, paths, report| {
        let from = paths.first().map_or("", String::as_str);
        actions::mv(remote, from, (&to, folder), mv.force, report)
    }))
}

/// The new path of what is at `from`, and whether it has to be a folder.
fn target(from: &Url, to: &str) -> Result<(String, bool), Failure> {
    if to.contains("://") {
        let url: Url = to.parse().map_err(|error: crate::url::BadUrl| Failure::usage(error.to_string()))?;
        if (&url.host, url.port) != (&from.host, from.port) {
            return Err(Failure::usage("a file moves within one server; to another, get it and put it"));
        }
        if url.user.is_some() && url.user != from.user {
            return Err(Failure::usage("both are to be reached as the same user"));
        }
        return Ok((url.trimmed_path().to_owned(), url.means_folder()));
    }
    let folder = to.ends_with('/');
    let path = match from.trimmed_path().rsplit_once('/') {
        Some((above, _)) if !to.starts_with('/') => format!("{above}/{to}"),
        _ => to.to_owned(),
    };
    match Path::parse(&path) {
        Ok(path) => Ok((path.as_str().to_owned(), folder)),
        Err(error) => Err(Failure::usage(format!("the path {}: {error}", to.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_move_is_on_the_same_server() {
        let from: Url = "feige://al@nas/a/b.txt".parse().expect("a URL");
        let target = |to: &str| target(&from, to).map_err(|failure| failure.exit);
        assert_eq!(target("c.txt"), Ok(("a/c.txt".to_owned(), false)));
        assert_eq!(target("/c.txt"), Ok(("c.txt".to_owned(), false)));
        assert_eq!(target("x/"), Ok(("a/x".to_owned(), true)));
        assert_eq!(target("/"), Ok((String::new(), true)));
        assert_eq!(target("feige://nas/x/y"), Ok(("x/y".to_owned(), false)));
        assert_eq!(target("feige://al@nas/x/"), Ok(("x".to_owned(), true)));
        for wrong in ["feige://other/x", "feige://bob@nas/x", "http://nas/x", "../x", "a\nb"] {
            assert_eq!(target(wrong), Err(Exit::Usage), "{wrong}");
        }
    }
}
