//! What the user hears of commands at a server: lines for people or for programs, a bar, and counts for the end.
//!
//! The fields of the events are a contract: they may be added to, never renamed. Names from the network are made harmless
//! on their way to people; JSON escapes them itself.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use feige_core::digest::Digest;
use feige_core::text::Printable;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde::{Serialize, Serializer};

use super::later::Later;
use crate::cli::OutputOptions;
use crate::exit::{Exit, Failure};
use crate::stdout;

const GOOD: Style = AnsiColor::Green.on_default();
const FOLDER: Style = AnsiColor::Blue.on_default().bold();

/// What takes less time than this needs no bar.
const PATIENCE: Duration = Duration::from_millis(800);

/// How often a bar moves.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is told how far files are that are told of later.
const PROGRESS: Duration = Duration::from_secs(1);

/// Something happened.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    /// A file is here, whole and verified, under its name. Of a folder that is new here, all files are told of when it has
    /// its name.
    Downloaded {
        /// Its path on the server.
        name: &'a str,
        /// Where it is here.
        #[serde(serialize_with = "lossy")]
        path: &'a Path,
        /// Octets.
        size: u64,
        /// The digest over its blocks; `null` if an earlier attempt brought a part of it.
        #[serde(serialize_with = "hex")]
        digest: Option<Digest>,
        /// The MD5 of the whole, if it is known.
        #[serde(serialize_with = "hex")]
        md5: Option<Digest>,
    },
    /// A file is on the server, whole and verified.
    Stored {
        /// Its path on the server.
        name: &'a str,
        /// Where it is here.
        #[serde(serialize_with = "lossy")]
        path: &'a Path,
        /// Octets.
        size: u64,
        /// The digest over its blocks, as the server says; of those that were sent this time.
        #[serde(serialize_with = "hex")]
        digest: Option<Digest>,
        /// The MD5 of the whole, if it is known.
        #[serde(serialize_with = "hex")]
        md5: Option<Digest>,
    },
    /// Nothing had to be done, or could be.
    Skipped {
        /// What.
        name: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Something did not work.
    Failed {
        /// What.
        name: &'a str,
        /// Why.
        error: &'a str,
    },
    /// An entry of a folder.
    Entry {
        /// Its path, from what was listed on.
        name: &'a str,
        /// `file` or `dir`.
        kind: &'a str,
        /// Octets, if the server says so.
        size: Option<u64>,
        /// When it was last changed, in nanoseconds since 1970.
        mtime: Option<i64>,
        /// Its POSIX permission bits.
        mode: Option<u16>,
    },
    /// How much room there is, in octets.
    Space {
        /// What is used.
        used: u64,
        /// What may be.
        quota: Option<u64>,
        /// What is free on the disk.
        free: Option<u64>,
    },
    /// In which folder of the server a shell is.
    Folder {
        /// Its path, without slashes around it.
        name: &'a str,
    },
    /// The MD5 of a file.
    Sum {
        /// Its path on the server.
        name: &'a str,
        /// Octets.
        size: u64,
        /// MD5 of the whole.
        #[serde(serialize_with = "hex")]
        md5: Option<Digest>,
    },
    /// Something was made, removed or renamed.
    Done {
        /// The command.
        what: &'a str,
        /// The path on the server.
        name: &'a str,
        /// The new path.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
    },
    /// Files come that are told of later. Told once a second.
    Progress {
        /// Files that have come.
        files: u64,
        /// Octets that have come, of these and of those that are under way.
        octets: u64,
    },
    /// The end.
    Summary {
        /// Files that were moved.
        files: u64,
        /// Their octets, as far as they were moved.
        octets: u64,
        /// What was passed over.
        skipped: u64,
        /// What did not work: as many as were told of.
        failed: u64,
        /// How long it took.
        seconds: f64,
    },
}

/// A digest in JSON: its digits, or `null`.
pub(crate) fn hex<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    match digest {
        Some(digest) => serializer.collect_str(digest),
        None => serializer.serialize_none(),
    }
}

fn lossy<S: Serializer>(path: &&Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// How events look.
#[derive(Clone, Copy, Debug)]
struct Manner {
    json: bool,
    colour: bool,
    quiet: bool,
}

/// Standard output and standard error of a command.
pub(crate) struct Report {
    manner: Manner,
    verbose: bool,
    out: BufWriter<Stdout>,
    /// Standard output takes nothing any more.
    gone: bool,
    /// Why, unless its reader went away.
    lost: Option<Failure>,
    began: Instant,
    files: u64,
    octets: u64,
    skipped: u64,
    failed: u64,
    worst: Option<Exit>,
    /// Something came, or went, that the same command would go on from.
    kept: bool,
    bar: Option<Bar>,
    /// When it was last told how far files are that are told of later, if there are any.
    progress: Option<Instant>,
}

/// How far it is, on a terminal.
struct Bar {
    /// When the present work began, and the octets then.
    began: Instant,
    told: Instant,
    done: u64,
    total: Option<u64>,
    name: String,
    bar: Option<ProgressBar>,
}

impl Report {
    /// As the options say.
    pub(crate) fn new(options: &OutputOptions) -> Self {
        let out = io::stdout();
        let colour = !options.json && anstream::AutoStream::choice(&out) != anstream::ColorChoice::Never;
        let now = Instant::now();
        let bar = (!options.quiet && io::stderr().is_terminal()).then(|| Bar {
            began: now,
            told: now,
            done: 0,
            total: None,
            name: String::new(),
            bar: None,
        });
        Self {
            manner: Manner { json: options.json, colour, quiet: options.quiet },
            verbose: options.verbose > 0,
            out: BufWriter::with_capacity(32 << 10, out),
            gone: false,
            lost: None,
            began: now,
            files: 0,
            octets: 0,
            skipped: 0,
            failed: 0,
            worst: None,
            kept: false,
            bar,
            progress: None,
        }
    }

    /// Begins anew: for the next command of a shell.
    pub(crate) fn restart(&mut self) {
        self.finish();
        (self.began, self.worst, self.progress, self.kept) = (Instant::now(), None, None, false);
        (self.files, self.octets, self.skipped, self.failed) = (0, 0, 0, 0);
    }

    /// Whether the single files of a folder are told.
    pub(crate) const fn tells_each(&self) -> bool {
        self.manner.json || self.verbose
    }

    /// Whether programs read it.
    pub(crate) const fn is_json(&self) -> bool {
        self.manner.json
    }

    /// Whether standard output takes nothing any more.
    pub(crate) const fn is_gone(&self) -> bool {
        self.gone
    }

    fn notice(&mut self, written: &io::Result<()>) {
        if let (Err(error), false) = (written, self.gone) {
            self.gone = true;
            self.lost = stdout::failure(error);
            if let Some(failure) = &self.lost {
                self.announce(&failure.message);
            }
        }
    }

    /// Writes an event. It shows at the next [`Self::flush`].
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        let written = self.manner.write(&mut self.out, event);
        self.notice(&written);
    }

    /// What keeps events that are not true yet, on the disk of `folder`; `None` if single files are not told of.
    ///
    /// # Errors
    /// What the system says if it makes no file there.
    pub(crate) fn later(&mut self, folder: &Path) -> io::Result<Option<Later>> {
        if !self.tells_each() {
            return Ok(None);
        }
        let later = Later::beside(folder)?;
        self.progress = Some(Instant::now());
        Ok(Some(later))
    }

    /// Writes an event that is not true yet to `later`, if there is one.
    pub(crate) fn event_or_later(&mut self, event: &Event<'_>, later: Option<&mut Later>) {
        match later {
            Some(later) => later.keep(|out| self.manner.write(out, event)),
            None => self.event(event),
        }
    }

    /// What was kept is true now.
    ///
    /// # Errors
    /// What the system says of the disk, where it was kept.
    pub(crate) fn tell(&mut self, later: Later) -> io::Result<()> {
        self.progress = None;
        later.tell(|piece| self.octets(piece))
    }

    /// Text for people, in front of the next event.
    pub(crate) fn prefix(&mut self, text: fmt::Arguments<'_>) {
        let written = self.out.write_fmt(text);
        self.notice(&written);
    }

    /// Octets as they are, to standard output.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        if !self.is_gone() {
            let written = self.out.write_all(octets);
            self.notice(&written);
        }
    }

    /// Shows what was written.
    pub(crate) fn flush(&mut self) {
        if self.out.buffer().is_empty() || self.is_gone() {
            return;
        }
        let out = &mut self.out;
        let written = match self.bar.as_ref().and_then(|bar| bar.bar.as_ref()) {
            Some(bar) => bar.suspend(|| out.flush()),
            None => out.flush(),
        };
        self.notice(&written);
    }

    /// Says something on standard error, behind what was written.
    fn say(&mut self, text: &dyn fmt::Display) {
        self.flush();
        self.announce(text);
    }

    /// Says something on standard error, above the bar.
    fn announce(&self, text: &dyn fmt::Display) {
        let say = || anstream::eprintln!("feige: {text}");
        match self.bar.as_ref().and_then(|bar| bar.bar.as_ref()) {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// Says something that is no result, unless `--quiet`.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if !self.manner.quiet {
            self.say(&text());
        }
    }

    /// Says something for those who want to know more.
    pub(crate) fn detail(&mut self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.say(&text());
        }
    }

    /// One more file was moved.
    pub(crate) fn moved_file(&mut self) {
        self.files += 1;
    }

    /// A part of a file, or of a folder, was moved, and is kept if the rest of it is not.
    pub(crate) fn keeps(&mut self) {
        self.kept = true;
    }

    /// Whether the same command would find something that was moved before.
    pub(crate) const fn has_kept(&self) -> bool {
        self.kept || self.files > 0
    }

    /// What `name` is was passed over: it is there already, or will be `later`.
    pub(crate) fn skip(&mut self, name: &str, reason: &str, later: Option<&mut Later>) {
        self.skipped += 1;
        if self.manner.json {
            self.event_or_later(&Event::Skipped { name, reason }, later);
        }
        self.detail(|| format!("skipped {}: {reason}", Printable::line(name)));
    }

    /// What `name` is was passed over, which the user may not expect.
    pub(crate) fn warn(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        if self.manner.json {
            self.event(&Event::Skipped { name, reason });
        }
        self.note(|| format!("skipped {}: {reason}", Printable::line(name)));
    }

    /// Something did not work. The rest goes on.
    pub(crate) fn fail(&mut self, name: &str, failure: &Failure) {
        self.failed += 1;
        if self.manner.json {
            self.event(&Event::Failed { name, error: &failure.message });
        }
        self.say(&format_args!("{}: {}", Printable::line(name), failure.message));
        self.worsen(failure.exit);
    }

    /// Nothing more can be done, for this reason.
    pub(crate) fn abort(&mut self, what: &str, failure: &Failure) {
        self.failed += 1;
        if self.manner.json {
            self.event(&Event::Failed { name: what, error: &failure.message });
        }
        self.say(&failure.message);
        self.worsen(failure.exit);
    }

    /// The command is to end with this exit code, unless something worse happens.
    pub(crate) fn worsen(&mut self, exit: Exit) {
        if self.worst.is_none_or(|worst| gravity(exit) > gravity(worst)) {
            self.worst = Some(exit);
        }
    }

    /// What did not work so far.
    #[cfg(test)]
    pub(super) const fn failed(&self) -> u64 {
        self.failed
    }

    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        self.worst.unwrap_or(Exit::Done)
    }

    /// Shows everything, and tells how a command ends that would end as `exit`, had standard output taken all of it.
    pub(crate) fn end(&mut self, exit: Exit) -> Exit {
        self.finish();
        match &self.lost {
            Some(failure) if exit == Exit::Done => failure.exit,
            _ => exit,
        }
    }

    /// A file, or a tree of unknown size, is under way.
    pub(crate) fn begin(&mut self, name: &str, done: u64, total: Option<u64>) {
        if let Some(bar) = &mut self.bar {
            let now = Instant::now();
            if let Some(old) = bar.bar.take() {
                old.finish_and_clear();
            }
            (bar.began, bar.told, bar.done, bar.total) = (now, now, done, total);
            name.clone_into(&mut bar.name);
        }
    }

    /// Octets were moved.
    pub(crate) fn moved(&mut self, octets: u64) {
        self.octets += octets;
        let files = self.files;
        if let Some(bar) = &mut self.bar {
            bar.done += octets;
            bar.show(files);
        }
        if self.manner.json
            && let Some(told) = self.progress
            && told.elapsed() >= PROGRESS
        {
            self.progress = Some(Instant::now());
            self.event(&Event::Progress { files, octets: self.octets });
            self.flush();
        }
    }

    /// Shows everything and takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(old) = self.bar.as_mut().and_then(|bar| bar.bar.take()) {
            old.finish_and_clear();
        }
        self.flush();
    }

    /// The counts, for the end of a command that moves files.
    pub(crate) fn summary(&mut self, tell: bool) {
        let Self { files, octets, skipped, failed, began, .. } = *self;
        if self.manner.json || tell {
            let seconds = began.elapsed().as_secs_f64();
            self.event(&Event::Summary { files, octets, skipped, failed, seconds });
        }
        self.finish();
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Bar {
    fn show(&mut self, files: u64) {
        let now = Instant::now();
        if now.duration_since(self.told) < PAUSE || now.duration_since(self.began) < PATIENCE {
            return;
        }
        self.told = now;
        let (name, total) = (&self.name, self.total);
        let bar = self.bar.get_or_insert_with(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = match total {
                Some(_) => "{prefix:24!} {wide_bar} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>4}",
                None => "{prefix:24!} {bytes:>11} {bytes_per_sec:>13}  {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(Printable::line(name).to_string());
            bar
        });
        if total.is_none() {
            bar.set_message(format!("{} files", HumanCount(files)));
        }
        bar.set_position(self.done);
    }
}

/// The higher, the more a script wants to know of it.
const fn gravity(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Incomplete => 2,
        Exit::Refused => 3,
        Exit::NoSpace => 4,
        Exit::Nobody => 5,
        Exit::Usage => 6,
        Exit::Interrupted | Exit::Terminated => 7,
    }
}

impl Manner {
    fn write(self, out: &mut impl Write, event: &Event<'_>) -> io::Result<()> {
        if !self.json {
            return plain(out, event, self.colour, self.quiet);
        }
        serde_json::to_writer(&mut *out, event)?;
        out.write_all(b"\n")
    }
}

/// Writes an event as a line for people.
fn plain(out: &mut impl Write, event: &Event<'_>, colour: bool, quiet: bool) -> io::Result<()> {
    let good = |text| Painted { style: colour.then_some(GOOD), text };
    let here = |path: &Path| path.to_string_lossy().into_owned();
    match *event {
        Event::Downloaded { name, path, size, md5, .. } if !quiet => {
            let (done, name, path) = (good("downloaded"), Printable::line(name), here(path));
            writeln!(out, "{done} {name} to {} ({}{})", Printable::line(&path), HumanBytes(size), Md5(md5))
        }
        Event::Stored { name, path, size, md5, .. } if !quiet => {
            let (done, name, path) = (good("stored"), Printable::line(name), here(path));
            writeln!(out, "{done} {} as {name} ({}{})", Printable::line(&path), HumanBytes(size), Md5(md5))
        }
        Event::Done { what, name, to } if !quiet => {
            let to = to.map(|to| format!(" to {}", Printable::line(to))).unwrap_or_default();
            writeln!(out, "{} {}{to}", good(what), Printable::line(name))
        }
        Event::Entry { name, kind, .. } => {
            let (style, slash) = if kind == "dir" { (Some(FOLDER), "/") } else { (None, "") };
            writeln!(out, "{}{slash}", Painted { style: style.filter(|_| colour), text: Printable::line(name) })
        }
        Event::Space { used, quota, free } => {
            write!(out, "{} used", HumanBytes(used))?;
            if let Some(quota) = quota {
                write!(out, " of {}", HumanBytes(quota))?;
            }
            match free {
                Some(free) => writeln!(out, ", {} free on the disk", HumanBytes(free)),
                None => writeln!(out),
            }
        }
        Event::Folder { name } => writeln!(out, "/{}", Printable::line(name)),
        Event::Sum { name, md5, .. } => writeln!(out, "{}  {}", md5.unwrap_or_default(), Printable::line(name)),
        Event::Summary { files, octets, skipped, failed, seconds } if !quiet => {
            let (octets, some) = (HumanBytes(octets), if files == 1 { "file" } else { "files" });
            write!(out, "{} {some}, {octets} in {seconds:.1} s", HumanCount(files))?;
            if skipped > 0 {
                write!(out, ", {} skipped", HumanCount(skipped))?;
            }
            if failed > 0 {
                write!(out, ", {} failed", HumanCount(failed))?;
            }
            writeln!(out)
        }
        // Told on standard error.
        _ => Ok(()),
    }
}

/// A digest behind other facts, if there is one.
struct Md5(Option<Digest>);

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |digest| write!(f, ", MD5 {digest}"))
    }
}

struct Painted<T> {
    style: Option<Style>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "{style}{}{style:#}", self.text),
            None => self.text.fmt(f),
        }
    }
}
