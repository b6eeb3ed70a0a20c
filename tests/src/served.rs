//! A folder that the real `feige serve` serves, and what has to be true of it and of everything around it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use tempfile::TempDir;

use crate::program::{Program, SOON, run};
use crate::transfer::Caller;

/// A running server, with a folder of its own: `share` in `home` is what is served.
pub struct Served {
    /// The home of the person who serves; the program runs here.
    pub home: TempDir,
    /// The program.
    pub program: Program,
    /// Where it listens.
    pub addr: SocketAddr,
    options: Vec<String>,
}

/// Handles that a home keeps open.
const HOME: usize = 5;

/// The password of every user.
pub const PASSWORD: &str = "correct horse";

/// Everything in a folder but what is below one place in it: kinds, sizes, times and contents.
pub type Snapshot = BTreeMap<PathBuf, (u32, u64, i64, Option<Digest>)>;

impl Served {
    /// Serves an empty folder, by these options besides.
    ///
    /// # Panics
    /// If it does not begin to.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), options)
    }

    /// Serves `share` in this folder.
    ///
    /// # Panics
    /// If it does not begin to.
    #[must_use]
    pub fn start_in(home: TempDir, options: &[&str]) -> Self {
        fs::create_dir_all(home.path().join("share")).expect("a folder");
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let (program, addr) = begin(&home, "127.0.0.1:0", &options);
        Self { home, program, addr, options }
    }

    /// Serves with the accounts of a users file: each NAME or NAME=QUOTA.
    ///
    /// # Panics
    /// If it does not begin to.
    #[must_use]
    pub fn with_users(users: &[&str], options: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("password"), PASSWORD).expect("written");
        for user in users {
            let (name, quota) = user.split_once('=').unwrap_or((user, "none"));
            user_command(&home, &["add", name, "--quota", quota, "--password-file", "password"]);
        }
        Self::start_in(home, &[&["--users", "users.toml"], options].concat())
    }

    /// Changes the users file.
    ///
    /// # Panics
    /// If that fails.
    pub fn change_users(&self, arguments: &[&str]) {
        user_command(&self.home, arguments);
    }

    /// Kills the program without any chance to clean up, unless it has ended, and serves again at the same port.
    ///
    /// # Panics
    /// If it does not begin to.
    pub fn restart(&mut self) {
        self.program.kill();
        (self.program, self.addr) = begin(&self.home, &self.addr.to_string(), &self.options);
    }

    /// What is served below this path.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.home.path().join("share").join(path)
    }

    /// A guest.
    #[must_use]
    pub fn guest(&self) -> Caller {
        Caller::guest(self.addr)
    }

    /// A user, signed in.
    ///
    /// # Panics
    /// If he is not let in.
    #[must_use]
    pub fn user(&self, name: &str) -> Caller {
        Caller::user(self.addr, name, PASSWORD).unwrap_or_else(|refused| panic!("{name}: {refused:?}"))
    }

    /// The names of all files below a folder that is served, hidden ones too, sorted.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn files(&self, path: &str) -> Vec<String> {
        let root = self.path(path);
        let mut files = Vec::new();
        walk(&root, &mut |path, metadata| {
            if !metadata.is_dir() {
                files.push(path.strip_prefix(&root).expect("below").to_string_lossy().into_owned());
            }
        });
        files.sort();
        files
    }

    /// Everything around what is served. The state of the program itself is not part of it.
    #[must_use]
    pub fn surroundings(&self) -> Snapshot {
        snapshot(self.home.path(), &[&self.path(""), &self.home.path().join("state")])
    }

    /// Processor time that the program has used.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn busy(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.program.pid())).expect("it runs");
        // Behind the name, which is in brackets: the 12th and 13th field are user and system time in hundredths.
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// How many files, sockets and pipes the program has open.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn handles(&self) -> usize {
        self.open_files().len()
    }

    fn open_files(&self) -> Vec<PathBuf> {
        let handles = fs::read_dir(format!("/proc/{}/fd", self.program.pid())).expect("it runs");
        handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok()).collect()
    }

    /// Waits until the program has no more open than this, and what it keeps open of a home that was used.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn settles_at(&self, handles: usize) {
        let end = Instant::now() + SOON;
        while self.handles() > handles + HOME {
            let open = self.open_files();
            assert!(Instant::now() < end, "more than {handles} open: {open:?}: {}", self.program);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The program lives, does next to nothing, and serves a client as if nothing had been. Guests must be let in.
    ///
    /// # Panics
    /// If one of that is not so.
    pub fn is_well(&self) {
        let mut guest = self.guest();
        let answer = guest.list("");
        assert!(answer.is_ok(), "{answer:?}");
        let (before, time) = (self.busy(), Duration::from_secs(2));
        std::thread::sleep(time);
        let busy = self.busy().saturating_sub(before);
        assert!(busy * 20 <= time, "{busy:?} of processor time in {time:?} without a client: {}", self.program);
        drop(guest);
        let answer = self.guest().list("");
        assert!(answer.is_ok(), "{answer:?}");
    }
}

fn begin(home: &TempDir, listen: &str, options: &[String]) -> (Program, SocketAddr) {
    let fixed = ["--json", "serve", "share", "--listen", listen].map(str::to_owned);
    let mut program = Program::start(home, fixed.iter().chain(options));
    let ready = program.event("ready");
    let addr = ready["addr"].as_str().and_then(|addr| addr.parse().ok()).expect("an address");
    (program, addr)
}

fn user_command(home: &TempDir, arguments: &[&str]) {
    let arguments = [&["user"], arguments, &["--users", "users.toml"]].concat();
    let ended = run(home, SOON, &arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.said);
}

/// Everything below `root` but what is at or below one of `without`.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn snapshot(root: &Path, without: &[&Path]) -> Snapshot {
    let mut snapshot = Snapshot::new();
    walk(root, &mut |path, metadata| {
        if without.iter().any(|without| path.starts_with(without)) {
            return;
        }
        let contents = metadata.is_file().then(|| Digest::of(&fs::read(path).expect("readable")));
        // Folders change their time when the place that is left out is made.
        let (size, time) = if metadata.is_dir() { (0, 0) } else { (metadata.len(), metadata.mtime()) };
        snapshot.insert(path.to_owned(), (metadata.mode(), size, time, contents));
    });
    snapshot
}

fn walk(folder: &Path, each: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        // What goes while one looks is not there.
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        each(&entry.path(), &metadata);
        if metadata.is_dir() {
            walk(&entry.path(), each);
        }
    }
}
