//! `feige shell`: commands from a person or a script, at one server.
//!
//! On a terminal with a prompt, history and completion, where an error is told and the next command waited for. From a pipe
//! without any of these: it ends at the first error, with its exit code, because what follows may depend on it.
//! The connection that a pause let go is made again by the next command.

mod complete;
mod words;

use std::cell::RefCell;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::rc::Rc;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::command::{Signals, at};
use super::connection::Remote;
use super::report::{Event, Report};
use super::{Wish, actions};
use crate::cli::{OutputOptions, Shell};
use crate::exit::{Exit, Failure};
use complete::Completion;
use feige_core::text::Printable;
use words::{Do, Words, absolute, is_folder_said};

/// What there is between two commands.
struct Session<'s, 'c> {
    remote: &'s mut Remote<'c>,
    report: Report,
    /// The folder of the server in which we are, without slashes around it.
    folder: String,
}

/// `feige shell`
///
/// # Errors
/// A [`Failure`] if there is no such server, or no such folder, or if it does not let us in.
pub fn shell(output: &OutputOptions, shell: &Shell) -> Result<Exit, Failure> {
    let signals = Signals::watch();
    let report = Report::new(output);
    let exit = at(&shell.url, &shell.server, &signals.cancel, |remote| {
        let mut session = Session { remote, report, folder: String::new() };
        session.go_to(shell.url.trimmed_path())?;
        if session.report.exit() != Exit::Done {
            return Ok(session.report.exit());
        }
        let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !output.json;
        if interactive { session.converse(&signals) } else { session.obey(&signals) }
    })?;
    Ok(signals.exit(exit))
}

impl Session<'_, '_> {
    /// Does what the lines of standard input say.
    fn obey(&mut self, signals: &Signals) -> Result<Exit, Failure> {
        let mut lines = std::io::stdin().lock().lines();
        while let Some(line) = Signals::waiting(|| lines.next()) {
            let line = line.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
            match self.run(&line) {
                Ok(Some(exit)) => return Ok(self.report.end(exit)),
                Ok(None) => {}
                Err(failure) => self.report.abort(&line, &failure),
            }
            self.report.flush();
            let exit = self.report.exit();
            if exit != Exit::Done || self.report.is_gone() {
                return Ok(self.report.end(exit));
            }
            if signals.cancel.is_cancelled() {
                return Ok(Exit::Interrupted);
            }
        }
        Ok(Exit::Done)
    }

    /// Does what somebody at the terminal says.
    fn converse(&mut self, signals: &Signals) -> Result<Exit, Failure> {
        let terminal = |error: ReadlineError| Failure::new(format!("the terminal: {error}"));
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(1000)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(terminal)?
            .build();
        let history = history();
        let session = Rc::new(RefCell::new(self));
        let mut editor: Editor<Completion<'_, '_, '_>, FileHistory> = Editor::with_config(config).map_err(terminal)?;
        editor.set_helper(Some(Completion::new(Rc::clone(&session))));
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        let exit = loop {
            let prompt = format!("feige:/{}> ", Printable::line(&session.borrow().folder));
            let line = match Signals::waiting(|| editor.readline(&prompt)) {
                Ok(line) => line,
                Err(ReadlineError::Eof) => break Exit::Done,
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => continue,
                Err(error) => return Err(terminal(error)),
            };
            if !line.trim().is_empty() {
                let _ = editor.add_history_entry(line.as_str());
            }
            let mut session = session.borrow_mut();
            session.report.restart();
            match session.run(&line) {
                Ok(Some(exit)) => break exit,
                Ok(None) => {}
                Err(failure) => session.report.abort(&line, &failure),
            }
            session.report.end_line();
            session.report.finish();
            match signals.exit(Exit::Interrupted) {
                Exit::Terminated => break Exit::Terminated,
                // Ctrl-C ended the command, not the shell.
                _ => signals.cancel.renew(),
            }
        };
        if let Some(path) = &history {
            // A history that cannot be kept is no reason to fail.
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = editor.save_history(path);
        }
        Ok(exit)
    }

    /// Carries out a line; an exit code if that ends the shell.
    fn run(&mut self, line: &str) -> Result<Option<Exit>, Failure> {
        let words = match Words::parse(line) {
            Ok(Some(words)) => words,
            Ok(None) => return Ok(None),
            Err(shown) => {
                shown.show(self.report.is_json());
                if shown.is_error() {
                    self.report.worsen(Exit::Usage);
                }
                return Ok(None);
            }
        };
        let Self { remote, report, folder } = self;
        let path = |path: &str| absolute(folder, path);
        match words.what {
            Do::Cd { path: to } => {
                let to = path(to.as_deref().unwrap_or("/"))?;
                self.go_to(&to)?;
            }
            Do::Pwd => report.event(&Event::Folder { name: folder }),
            Do::Ls { paths, long, recursive } => {
                let paths = if paths.is_empty() { vec![String::new()] } else { paths };
                for one in &paths {
                    actions::ls(remote, &path(one)?, (long, recursive), report)?;
                }
            }
            Do::Get { paths, output, recursive, no_clobber } => {
                let several = recursive || paths.len() > 1;
                let paths: Vec<String> = paths.iter().map(|one| path(one)).collect::<Result<_, _>>()?;
                let wish = Wish { no_clobber, ..Wish::default() };
                let done = actions::get(remote, &paths, &output, recursive, wish, report);
                report.summary(several);
                done?;
            }
            Do::Put { files, output, recursive, no_clobber } => {
                let several = recursive || files.len() > 1;
                let into = output.as_deref().is_none_or(is_folder_said);
                let to = path(output.as_deref().unwrap_or_default())?;
                let wish = Wish { no_clobber, ..Wish::default() };
                let done = actions::put(remote, &files, (&to, into), recursive, wish, report);
                report.summary(several);
                done?;
            }
            Do::Mkdir { paths, parents } => {
                paths.iter().try_for_each(|one| actions::mkdir(remote, &path(one)?, parents, report))?;
            }
            Do::Rm { paths } => paths.iter().try_for_each(|one| actions::rm(remote, &path(one)?, report))?,
            Do::Rmdir { paths } => paths.iter().try_for_each(|one| actions::rmdir(remote, &path(one)?, report))?,
            Do::Mv { from, to, force } => {
                let target = (path(&to)?, is_folder_said(&to));
                actions::mv(remote, &path(&from)?, (&target.0, target.1), force, report)?;
            }
            Do::Cat { paths } => paths.iter().try_for_each(|one| actions::cat(remote, &path(one)?, report))?,
            Do::Sum { paths } => paths.iter().try_for_each(|one| actions::sum(remote, &path(one)?, report))?,
            Do::Df => actions::df(remote, report)?,
            Do::Lcd { path } => {
                let to = path.unwrap_or_else(|| PathBuf::from("."));
                let gone = std::env::set_current_dir(&to).and_then(|()| std::env::current_dir());
                match gone {
                    Ok(here) => report.note(|| format!("here: {}", here.display())),
                    Err(error) => report.fail(&to.to_string_lossy(), &Failure::new(error.to_string())),
                }
            }
            Do::Exit => return Ok(Some(report.exit())),
        }
        Ok(None)
    }

    /// Goes to a folder of the server, if it is one.
    fn go_to(&mut self, path: &str) -> Result<(), Failure> {
        // The home is there for everybody, but this is also how a sign-in is tried.
        if actions::is_folder(self.remote, path, &mut self.report)? {
            path.clone_into(&mut self.folder);
        } else if self.report.exit() == Exit::Done {
            self.report.fail(path, &Failure::new("it is no folder"));
        }
        Ok(())
    }
}

/// Where the history is kept.
fn history() -> Option<PathBuf> {
    Some(crate::config::state_dir()?.join("shell-history"))
}
