//! The real program `feige`, built, started and watched.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::Host;

/// Generous: a machine may be busy. What is late is found by the tests that measure time.
pub const SOON: Duration = Duration::from_secs(20);

/// For what waits by itself.
pub const LATE: Duration = Duration::from_secs(60);

/// The program, built as the tests are. `FEIGE_BIN` names another one.
///
/// # Panics
/// If it does not build.
pub fn feige() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("FEIGE_BIN") {
            return path.into();
        }
        // …/target/debug/deps/test -> …/target/debug
        let test = std::env::current_exe().expect("where the test is");
        let folder = test.ancestors().nth(2).expect("in a target folder");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "feige", "--bin", "feige"]);
        build.arg("--target-dir").arg(folder.parent().expect("in a target folder"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let status = build.arg("--manifest-path").arg(manifest).status().expect("cargo runs");
        assert!(status.success(), "`cargo build --package feige` failed");
        folder.join("feige")
    })
}

/// Where a program is to run.
pub enum Place<'a> {
    /// On a host of a lab.
    On(&'a Host),
    /// On this machine, with a home folder of its own.
    Here(&'a TempDir),
}

impl<'a> From<&'a Host> for Place<'a> {
    fn from(host: &'a Host) -> Self {
        Self::On(host)
    }
}

impl<'a> From<&'a TempDir> for Place<'a> {
    fn from(home: &'a TempDir) -> Self {
        Self::Here(home)
    }
}

/// `feige` with these arguments: not yet started.
///
/// It sees no configuration but what lies in the place's home folder, where it also starts.
pub fn command<'a, A: AsRef<std::ffi::OsStr>>(
    place: impl Into<Place<'a>>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let (mut command, home) = match place.into() {
        Place::On(host) => (host.command(feige()), host.home()),
        Place::Here(home) => (Command::new(feige()), home.path()),
    };
    command.args(arguments).current_dir(home).env("HOME", home).env("LANG", "C.UTF-8").env_remove("LC_ALL");
    for folder in ["CONFIG", "CACHE", "DATA", "STATE"] {
        command.env(format!("XDG_{folder}_HOME"), home.join(folder.to_lowercase()));
    }
    command.env("XDG_RUNTIME_DIR", home);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FEIGE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The same program, in the same place and with the same variables, as the last arguments of `starter`, which becomes it.
#[must_use]
pub fn started_by(mut starter: Command, program: &Command) -> Command {
    starter.arg(program.get_program()).args(program.get_args());
    if let Some(folder) = program.get_current_dir() {
        starter.current_dir(folder);
    }
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => starter.env(name, value),
            None => starter.env_remove(name),
        };
    }
    starter
}

/// A running program. Dropping it ends it.
#[derive(Debug)]
pub struct Program {
    what: String,
    child: Child,
    /// What it reads, if it is told something.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Events that nobody has waited for yet.
    pending: Vec<Value>,
    /// Everything that it printed, for the report of a failure.
    said: Arc<Mutex<String>>,
}

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed on standard output, without the events that were taken before.
    pub events: Vec<Value>,
    /// Everything: standard output and, marked with `! `, standard error.
    pub said: String,
}

impl Program {
    /// Starts `feige` with these arguments.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start<'a, A: AsRef<std::ffi::OsStr>>(
        place: impl Into<Place<'a>>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::spawn(command(place, arguments))
    }

    /// Starts any command that prints JSON lines.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(command: Command) -> Self {
        Self::with(command, Stdio::null())
    }

    /// Starts `feige` with these arguments, to [tell](Self::tell) it something later.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn listening<'a, A: AsRef<std::ffi::OsStr>>(
        place: impl Into<Place<'a>>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::with(command(place, arguments), Stdio::piped())
    }

    fn with(mut command: Command, input: Stdio) -> Self {
        let what = format!("{command:?}");
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let out = child.stdout.take().expect("piped");
        let err = child.stderr.take().expect("piped");
        // The channel ends with both: then everything that was said is there.
        let until_then = sender.clone();
        watch(out, "", &said, move |line| drop(sender.send(line)));
        watch(err, "! ", &said, move |_| {
            let _ = &until_then;
        });
        let input = child.stdin.take();
        Self { what, child, input, lines, pending: Vec::new(), said }
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// If it does not read, or was not started to.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("it listens"), "{line}").expect("it runs");
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it prints `{"event": name, …}`. Other events are kept for later.
    ///
    /// # Panics
    /// If it does not within [`SOON`]: the message shows everything that it printed.
    pub fn event(&mut self, name: &str) -> Value {
        self.event_where(name, SOON, |_| true)
    }

    /// Waits for an event of this name for which `wanted` holds.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn event_where(&mut self, name: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait(name, within, |event| event["event"] == name && wanted(event))
    }

    /// Waits for a line for which `wanted` holds.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn wait(&mut self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.pending.iter().position(&wanted) {
            return self.pending.remove(at);
        }
        let end = Instant::now() + within;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let event = parse(&line);
                    if wanted(&event) {
                        return event;
                    }
                    self.pending.push(event);
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} within {within:?} from {self}"),
                Err(RecvTimeoutError::Disconnected) => panic!("no {what}, and the end of {self}"),
            }
        }
    }

    /// Whether such an event came or comes within this time; it is taken if so.
    pub fn sees(&mut self, within: Duration, wanted: impl Fn(&Value) -> bool) -> bool {
        let end = Instant::now() + within;
        loop {
            if let Some(at) = self.pending.iter().position(&wanted) {
                self.pending.remove(at);
                return true;
            }
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.pending.push(parse(&line)),
                Err(_) => return false,
            }
        }
    }

    /// The events that it has printed and nobody has waited for.
    pub fn events(&mut self) -> Vec<Value> {
        self.pending.extend(self.lines.try_iter().map(|line| parse(&line)));
        std::mem::take(&mut self.pending)
    }

    /// Processor time that it took so far.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let mut fields = stat.rsplit(')').next().expect("fields").split_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).expect("ticks");
        Duration::from_millis((ticks() + ticks()) * 10)
    }

    /// Everything that it has printed.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().expect("no panic while printing").clone()
    }

    /// A figure from the kernel's book-keeping about it, such as `VmHWM` or `VmRSS`, in KiB.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("runs");
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
        number.unwrap_or_else(|| panic!("no {figure} in the status of {}", self.what))
    }

    /// Ends it as Ctrl-C does.
    ///
    /// # Panics
    /// If it has ended.
    pub fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// Asks it to end, as whoever runs services does, and waits until it has.
    ///
    /// # Panics
    /// If it has ended already, does not in time, or says anything but that it was asked to.
    pub fn terminate(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.status(SOON).code(), Some(143), "{self}");
    }

    /// Ends its terminal, as far as it can know.
    ///
    /// # Panics
    /// If it has ended.
    pub fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
        rustix::process::kill_process(pid, signal).expect("runs");
    }

    /// Ends it without any chance to clean up.
    ///
    /// # Panics
    /// If it has ended.
    pub fn kill(&mut self) {
        self.child.kill().expect("runs");
        self.child.wait().expect("ends");
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not in time.
    pub fn end(mut self, within: Duration) -> Ended {
        let status = self.status(within);
        let mut events = std::mem::take(&mut self.pending);
        // The threads that read end with the pipe.
        while let Ok(line) = self.lines.recv_timeout(SOON) {
            events.push(parse(&line));
        }
        Ended { code: status.code(), events, said: self.said() }
    }

    fn status(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("still running after {within:?}: {self}");
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, which printed\n{}", self.what, self.said())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `feige` to its end.
///
/// # Panics
/// If it does not end in time.
pub fn run<'a, A: AsRef<std::ffi::OsStr>>(
    place: impl Into<Place<'a>>,
    within: Duration,
    arguments: impl IntoIterator<Item = A>,
) -> Ended {
    Program::start(place, arguments).end(within)
}

/// A line that is not JSON becomes a string: then no event fits, and the report shows it.
fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| Value::from(line))
}

fn watch(
    from: impl Read + Send + 'static,
    mark: &'static str,
    said: &Arc<Mutex<String>>,
    each: impl Fn(String) + Send + 'static,
) {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Ok(mut said) = said.lock() {
                let _ = writeln!(said, "{mark}{line}");
            }
            each(line);
        }
    });
}
