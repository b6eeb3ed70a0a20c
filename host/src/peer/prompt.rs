//! `feige peer` while it runs: a prompt on a terminal, or lines of commands from a pipe.

use std::io::{BufRead, ErrorKind, IsTerminal, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use feige_core::text::Printable;
use feige_core::wire::flood::What;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor, ExternalPrinter};

use super::command::parsed;
use super::event::Event;
use super::overview::{Link, Overview, Traffic};
use super::run::{Peer, open_share};
use super::seek::{Seeker, nobody_has};
use super::settings::{KEYS, Settings, SettingsFile};
use super::share::Share;
use crate::cli::OutputOptions;
use crate::exit::{Exit, Failure};
use crate::remote::{Report as Telling, Signals};
use crate::service::{Above, Report};

const HELP: &str = "\
get NAME            find a file or folder, and fetch it into the share
find PATTERN        who has something with this in its name; md5:HEX works too
config              the settings, the links, and what went over them
modify KEY VALUE    change a setting; it counts at once, and is kept in the --config file
help                this
exit                leave";

/// How often it is looked whether it is to end.
const TICK: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Prompt {
    output: OutputOptions,
    settings: Settings,
    file: Option<SettingsFile>,
    share: Arc<Share>,
    report: Report,
    peer: Peer,
    signals: Signals,
    lines: Receiver<Line>,
    /// The next line may be read.
    next: SyncSender<()>,
    /// If there is one. Last, so that nothing is printed after it.
    terminal: Option<Borrowed>,
}

/// The terminal, to be given back as it was: the thread that reads a line changes its modes, and may still be waiting for the
/// line when the program ends.
struct Borrowed {
    before: Termios,
}

impl Borrowed {
    fn borrow() -> Option<Self> {
        tcgetattr(std::io::stdin()).ok().map(|before| Self { before })
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let is_raw = tcgetattr(std::io::stdin()).is_ok_and(|now| now.local_modes != self.before.local_modes);
        if is_raw {
            // A terminal that is gone needs nothing back. Pastes come as they are again, and the shell has a line of its own.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
            let mut out = std::io::stdout();
            let _ = out.write_all(b"\x1b[?2004l\n").and_then(|()| out.flush());
        }
    }
}

/// What comes from the terminal, or a pipe.
enum Line {
    Said(String),
    /// It is not UTF-8.
    Damaged,
    /// Ctrl-C at the prompt.
    Interrupted,
    /// Ctrl-D.
    End,
    /// A pipe has no more: the peer goes on.
    Silent,
}

impl Prompt {
    /// Starts the peer.
    ///
    /// # Errors
    /// A [`Failure`] if it cannot be started.
    pub(super) fn new(output: &OutputOptions, settings: Settings, file: Option<SettingsFile>) -> Result<Self, Failure> {
        let signals = Signals::watch();
        let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !output.json;
        let (say, lines) = sync_channel(1);
        let (next, may_read) = sync_channel(1);
        let mut report = Report::new(output);
        let terminal = if interactive { Borrowed::borrow() } else { None };
        if interactive {
            report = report.above(converse(say, may_read)?);
        } else {
            obey(say, may_read)?;
        }
        let share = open_share(&settings.share)?;
        let peer = Peer::start(&settings, &share, &report)?;
        Ok(Self { output: output.clone(), settings, file, share, report, peer, signals, lines, next, terminal })
    }

    /// Runs until it is to end.
    ///
    /// # Errors
    /// A [`Failure`] if the server ends, which it does not by itself.
    pub(super) fn run(mut self) -> Result<Exit, Failure> {
        let ended = self.until_the_end();
        self.peer.end();
        self.report.end(ended)
    }

    fn until_the_end(&mut self) -> Result<Exit, Failure> {
        self.ask();
        loop {
            match self.lines.recv_timeout(TICK) {
                Ok(Line::Said(line)) => {
                    match self.obey(line.trim()) {
                        Ok(true) => {}
                        Ok(false) => return Ok(Exit::Done),
                        Err(Failure { exit: Exit::Nobody, message }) => {
                            self.report.tell(&[Event::Missed { error: message }]);
                        }
                        Err(failure) => self.report.tell(&[Event::Trouble { error: failure.message }]),
                    }
                    // Ctrl-C ended the command, not the peer.
                    if self.signals.exit(Exit::Interrupted) != Exit::Terminated {
                        self.signals.cancel.renew();
                    }
                    self.ask();
                }
                Ok(Line::Damaged) => {
                    let error = "the line is not UTF-8, and nothing was done; type it again".to_owned();
                    self.report.tell(&[Event::Trouble { error }]);
                    self.ask();
                }
                Ok(Line::End) => return Ok(Exit::Done),
                Ok(Line::Interrupted) => return Ok(Exit::Interrupted),
                Ok(Line::Silent) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
            }
            if self.signals.cancel.is_cancelled() {
                return Ok(self.signals.exit(Exit::Interrupted));
            }
            if self.peer.has_ended() {
                return Err(Failure::new("the server of the share has ended; start the peer again"));
            }
        }
    }

    /// Lets the next line be read.
    fn ask(&self) {
        if self.terminal.is_some() {
            // What the last line led to stands above the prompt.
            let _ = self.report.written();
        }
        let _ = self.next.try_send(());
    }

    /// Does what a line says; `false` to leave.
    fn obey(&mut self, line: &str) -> Result<bool, Failure> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("", _) => {}
            ("help" | "?", _) => self.report.explain(HELP),
            ("exit" | "quit", _) => return Ok(false),
            ("config", _) => self.config(),
            ("get", "") => return Err(Failure::usage("get what? `get NAME`")),
            ("get", name) => self.get(name)?,
            ("find", "") => return Err(Failure::usage("find what? `find PATTERN`")),
            ("find", pattern) => self.find(pattern)?,
            ("modify", change) => match change.split_once(char::is_whitespace) {
                Some((key, value)) => self.modify(key, value.trim())?,
                None => return Err(Failure::usage(format!("`modify KEY VALUE`; keys are {}", KEYS.join(", ")))),
            },
            (word, _) => {
                let word = Printable::line(word);
                return Err(Failure::usage(format!("there is no command {word}; `help` shows them")));
            }
        }
        Ok(true)
    }

    fn seeker(&self) -> Seeker<'_> {
        Seeker {
            handle: &self.peer.handle,
            ttl: self.settings.ttl,
            most: self.settings.max_size.as_u64(),
            port: self.peer.addr.port(),
            cancel: &self.signals.cancel,
            report: &self.report,
        }
    }

    fn get(&self, name: &str) -> Result<(), Failure> {
        let what = parsed(name, true)?;
        if matches!(what, What::Name(_))
            && let Some(found) = self.share.find(super::share::What::Name(name), 1).first()
        {
            self.report.tell(&[Event::Here { path: found.path.clone() }]);
            return Ok(());
        }
        let mut telling = Telling::new(&self.output);
        let fetched = self.seeker().fetch(what, self.share.path(), &mut telling);
        telling.finish();
        self.share.changed();
        fetched
    }

    fn find(&self, pattern: &str) -> Result<(), Failure> {
        let what = parsed(pattern, false)?;
        match self.seeker().find(what, None, |hit| self.report.tell(&[Event::Hit(hit)]))? {
            0 => Err(nobody_has(&what, self.settings.ttl)),
            _ => Ok(()),
        }
    }

    fn config(&self) {
        let Settings { listen, share, ttl, neighbours, networks, id, max_connections, max_size } = &self.settings;
        let status = self.peer.handle.status();
        let links = status.as_ref().map(|status| status.links.clone()).unwrap_or_default();
        let config = Overview {
            listen: *listen,
            addr: self.peer.addr,
            id: *id,
            share: share.to_string_lossy().into_owned(),
            entries: self.share.entries(),
            ttl: *ttl,
            max_connections: *max_connections,
            max_size: max_size.as_u64(),
            neighbours: neighbours.iter().map(ToString::to_string).collect(),
            networks: networks.iter().map(ToString::to_string).collect(),
            file: self.file.as_ref().map(|file| file.path().to_string_lossy().into_owned()),
            links: links.into_iter().map(|(peer, up)| Link { peer, up }).collect(),
            traffic: status.map(|status| {
                let c = status.counters;
                Traffic {
                    queries: c.queries,
                    duplicates: c.duplicates,
                    refused: c.full + c.too_often + c.malformed,
                    sent: c.sent,
                    filtered: c.filtered,
                    remembered: status.remembered,
                    hits: c.hits,
                    hits_dropped: c.hits_dropped,
                }
            }),
        };
        self.report.tell(&[Event::Config(Box::new(config))]);
    }

    /// Changes a setting, in the file first: what cannot be kept does not count.
    fn modify(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let wrong = |error: super::settings::SettingsError| Failure::usage(error.to_string());
        let mut file = match &self.file {
            Some(file) => file.clone(),
            // Nothing is kept, but what can be written as a setting is one.
            None => SettingsFile::parse(&PathBuf::from("settings"), String::new(), None).map_err(wrong)?,
        };
        let before = file.settings().clone();
        let after = file.modify(key, value).map_err(wrong)?.clone();
        if let Some(kept) = &mut self.file {
            file.save().map_err(wrong)?;
            *kept = file;
        }
        let old = self.settings.clone();
        self.settings.take_over(key, &before, &after);
        if (old.listen, &old.share, old.max_connections)
            == (self.settings.listen, &self.settings.share, self.settings.max_connections)
        {
            self.peer.handle.change(self.settings.clone());
        } else if let Err(failure) = self.start_again() {
            self.settings = old;
            let message = failure.message;
            let again = self.start_again();
            let then = again.map_or_else(|error| error.message, |()| "the peer goes on as it was".to_owned());
            return Err(Failure::new(format!("{message}; {then}")));
        }
        // A classic file may have a TTL that is higher than any that is used.
        let value = if key == "ttl" { self.settings.ttl.to_string() } else { value.to_owned() };
        self.report.tell(&[Event::Modified { key: key.to_owned(), value }]);
        Ok(())
    }

    /// Another folder, or another port: everything begins anew.
    fn start_again(&mut self) -> Result<(), Failure> {
        let share = open_share(&self.settings.share)?;
        // The port may be the same.
        self.peer.end();
        self.peer = Peer::start(&self.settings, &share, &self.report)?;
        self.share = share;
        Ok(())
    }
}

/// Reads lines of a pipe.
fn obey(say: SyncSender<Line>, may_read: Receiver<()>) -> Result<(), Failure> {
    let thread = thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut lines = std::io::stdin().lock().lines();
        while may_read.recv().is_ok() {
            let line = match lines.next() {
                Some(Ok(line)) => Line::Said(line),
                // The line was read to its end.
                Some(Err(error)) if error.kind() == ErrorKind::InvalidData => Line::Damaged,
                _ => Line::Silent,
            };
            let end = matches!(line, Line::Silent);
            if say.send(line).is_err() || end {
                // Not dropped: a peer without a terminal is a server.
                thread::park();
            }
        }
    });
    thread.map(|_| ()).map_err(|error| Failure::new(format!("cannot start a thread: {error}")))
}

/// Reads lines of a terminal, and returns how to print above the one that is typed.
fn converse(say: SyncSender<Line>, may_read: Receiver<()>) -> Result<Above, Failure> {
    let terminal = |error: ReadlineError| Failure::new(format!("the terminal: {error}"));
    let config = Config::builder()
        .max_history_size(1000)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(terminal)?
        .build();
    let mut editor: Editor<(), FileHistory> = Editor::with_config(config).map_err(terminal)?;
    let history = crate::config::state_dir().map(|dir| dir.join("peer-history"));
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    let mut printer = editor.create_external_printer().map_err(terminal)?;
    let thread = thread::Builder::new().name("prompt".into()).spawn(move || {
        while may_read.recv().is_ok() {
            let line = match editor.readline("feige> ") {
                Ok(line) => {
                    let _ = editor.add_history_entry(line.as_str());
                    if let Some(path) = &history {
                        // A history that cannot be kept is no reason to fail.
                        let _ = path.parent().map(std::fs::create_dir_all);
                        let _ = editor.save_history(path);
                    }
                    Line::Said(line)
                }
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Line::Interrupted,
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    // What was typed or pasted behind it is a part of a line only, which would be taken for a command.
                    let _ = tcflush(std::io::stdin(), QueueSelector::IFlush);
                    Line::Damaged
                }
                Err(_) => Line::End,
            };
            if say.send(line).is_err() {
                return;
            }
        }
    });
    thread.map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    let above = move |text: String| {
        // A terminal that is gone takes nothing.
        let _ = printer.print(text);
    };
    Ok(Arc::new(Mutex::new(above)))
}
