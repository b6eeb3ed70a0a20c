//! What the user hears of commands at a server: lines for people or for programs, a bar, and counts for the end.
//!
//! **Guarantees**: whatever goes to people is made harmless where it leaves, as a whole: nobody has to think of it where a
//! text is made. Only [`Report::octets`] writes what it is given.

mod bar;
mod event;

pub(crate) use event::{Event, hex};

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::later::Later;
use crate::cli::OutputOptions;
use crate::exit::{Exit, Failure};
use crate::harmless::Harmless;
use crate::stdout;
use bar::Bar;
use event::Manner;

/// How often it is told how far files are that are told of later.
const PROGRESS: Duration = Duration::from_secs(1);

/// A count of octets of which `before` count as `now`.
const fn recounted(octets: u64, before: u64, now: u64) -> u64 {
    octets.saturating_sub(before).saturating_add(now)
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
    /// The last octet of a file that was written did not end a line.
    amid_line: bool,
    began: Instant,
    files: u64,
    /// Files in folders that have no name yet.
    unnamed: u64,
    octets: u64,
    skipped: u64,
    failed: u64,
    /// Of these, what no other attempt would bring.
    hopeless: u64,
    worst: Option<Exit>,
    /// Something came, or went, that the same command would go on from.
    kept: bool,
    bar: Option<Bar>,
    /// When it was last told how far files are that are told of later, if there are any.
    progress: Option<Instant>,
}

impl Report {
    /// As the options say.
    pub(crate) fn new(options: &OutputOptions) -> Self {
        let out = io::stdout();
        let colour = !options.json && anstream::AutoStream::choice(&out) != anstream::ColorChoice::Never;
        Self {
            manner: Manner { json: options.json, colour, quiet: options.quiet },
            verbose: options.verbose > 0,
            out: BufWriter::with_capacity(32 << 10, out),
            gone: false,
            lost: None,
            amid_line: false,
            began: Instant::now(),
            files: 0,
            unnamed: 0,
            octets: 0,
            skipped: 0,
            failed: 0,
            hopeless: 0,
            worst: None,
            kept: false,
            bar: if options.quiet { None } else { Bar::new() },
            progress: None,
        }
    }

    /// Begins anew: for the next command of a shell.
    pub(crate) fn restart(&mut self) {
        self.finish();
        (self.began, self.worst, self.progress, self.kept) = (Instant::now(), None, None, false);
        (self.files, self.unnamed, self.octets, self.skipped) = (0, 0, 0, 0);
        (self.failed, self.hopeless) = (0, 0);
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
        let written = write!(self.out, "{}", Harmless(text));
        self.notice(&written);
    }

    /// A line for people, in front of the events that it is about.
    pub(crate) fn heading(&mut self, text: fmt::Arguments<'_>) {
        let written = writeln!(self.out, "{}", Harmless(text));
        self.notice(&written);
    }

    /// Octets as they are, to standard output.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.amid_line = octets.last().map_or(self.amid_line, |&last| last != b'\n');
        if !self.is_gone() {
            let written = self.out.write_all(octets);
            self.notice(&written);
        }
    }

    /// Ends a line that a file left open: a prompt would be written over it.
    pub(crate) fn end_line(&mut self) {
        if std::mem::take(&mut self.amid_line) {
            self.octets(b"\n");
        }
    }

    /// Shows what was written.
    pub(crate) fn flush(&mut self) {
        if self.out.buffer().is_empty() || self.is_gone() {
            return;
        }
        let out = &mut self.out;
        let written = match &self.bar {
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
        let say = || anstream::eprintln!("feige: {}", Harmless(text));
        match &self.bar {
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

    /// One more file is here, in a folder that has no name yet.
    pub(crate) fn moved_unnamed(&mut self) {
        self.unnamed += 1;
    }

    /// A folder has its name, and with it the files that are in it.
    pub(crate) fn named(&mut self, files: u64) {
        self.unnamed = self.unnamed.saturating_sub(files);
        self.files += files;
    }

    /// A part of a file, or of a folder, was moved, and is kept if the rest of it is not.
    pub(crate) fn keeps(&mut self) {
        self.kept = true;
    }

    /// Whether the same command would find something that was moved before.
    pub(crate) const fn has_kept(&self) -> bool {
        self.kept || self.files + self.unnamed > 0
    }

    /// What `name` is was passed over: it is there already, or will be `later`. `named`: the user asked for it by itself.
    pub(crate) fn skip(&mut self, name: &str, reason: &str, named: bool, later: Option<&mut Later>) {
        self.skipped += 1;
        if self.manner.json {
            self.event_or_later(&Event::Skipped { name, reason }, later);
        }
        let said = || format!("skipped {name}: {reason}");
        // Whoever named it would wonder why nothing happens; with JSON there is the event.
        if named && !self.manner.json { self.note(said) } else { self.detail(said) }
    }

    /// What `name` is was passed over, which the user may not expect.
    pub(crate) fn warn(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        if self.manner.json {
            self.event(&Event::Skipped { name, reason });
        }
        self.note(|| format!("skipped {}: {reason}", name));
    }

    /// Something did not work. The rest goes on.
    pub(crate) fn fail(&mut self, name: &str, failure: &Failure) {
        self.failed += 1;
        if self.manner.json {
            self.event(&Event::Failed { name, error: &failure.message });
        }
        self.say(&format_args!("{}: {}", name, failure.message));
        self.worsen(failure.exit);
    }

    /// Something does not work, however often it is tried. The rest goes on.
    pub(crate) fn fail_for_good(&mut self, name: &str, failure: &Failure) {
        self.hopeless += 1;
        self.fail(name, failure);
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

    /// Whether another attempt would bring nothing that this one did not.
    pub(crate) const fn is_all_that_can_be(&self) -> bool {
        self.failed == self.hopeless
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
            bar.begin(name, done, total);
        }
    }

    /// Octets were moved.
    pub(crate) fn moved(&mut self, octets: u64) {
        self.octets += octets;
        let files = self.files + self.unnamed;
        if let Some(bar) = &mut self.bar {
            bar.moved(octets, files);
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

    /// Of what was reported as moved, `before` octets count as `now`.
    pub(crate) fn recount(&mut self, before: u64, now: u64) {
        self.octets = recounted(self.octets, before, now);
        if let Some(bar) = &mut self.bar {
            bar.recount(before, now);
        }
    }

    /// Has the disk do what may take it a while.
    pub(crate) fn wait_for_disk<T>(&mut self, work: impl FnOnce() -> T) -> T {
        match &mut self.bar {
            Some(bar) => bar.wait_for_disk(work),
            None => work(),
        }
    }

    /// Shows everything and takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = &mut self.bar {
            bar.clear();
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
