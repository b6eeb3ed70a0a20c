//! A server, its clients, and what lies on both sides.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use feige_tests::program::{Program, SOON, command};
use serde_json::Value;
use tempfile::TempDir;

/// A server, and a home for its clients.
pub(super) struct Site {
    pub(super) home: TempDir,
    pub(super) server: Program,
    pub(super) addr: String,
}

impl Site {
    /// Serves `srv` in the home to guests who may write.
    pub(super) fn open() -> Self {
        Self::with(&["--guest", "write"])
    }

    pub(super) fn with(options: &[&str]) -> Self {
        let home = TempDir::new().expect("a folder");
        fs::create_dir(home.path().join("srv")).expect("a folder");
        let (server, addr) = serve(&home, "127.0.0.1:0", options);
        Self { home, server, addr }
    }

    /// Kills the server as it is, and starts it again at the same port.
    pub(super) fn restart(&mut self) {
        self.server.kill();
        self.server = serve(&self.home, &self.addr, &["--guest", "write"]).0;
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("feige://{}/{path}", self.addr)
    }

    pub(super) fn there(&self, path: &str) -> PathBuf {
        self.home.path().join("srv").join(path)
    }

    pub(super) fn here(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    pub(super) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        command(&self.home, words)
    }

    /// Runs `feige` to its end.
    pub(super) fn run<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Ran {
        Ran::of(&self.command(words).stdin(Stdio::null()).output().expect("runs"))
    }
}

pub(super) fn serve(home: &TempDir, at: &str, options: &[&str]) -> (Program, String) {
    let words = ["--json", "serve", "srv", "--listen", at].into_iter().chain(options.iter().copied());
    let mut server = Program::start(home, words);
    let addr = server.event("ready")["addr"].as_str().expect("an address").to_owned();
    (server, addr)
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    pub(super) fn of(output: &Output) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    pub(super) fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Says this on standard error, in one line.
    #[track_caller]
    pub(super) fn says(&self, text: &str) -> &Self {
        assert!(self.err.lines().any(|line| line.starts_with("feige: ") && line.contains(text)), "{text:?}: {self:#?}");
        self
    }

    pub(super) fn events(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}: {self:#?}")))
            .collect()
    }
}

/// Octets that do not repeat.
pub(super) fn contents(size: usize) -> Vec<u8> {
    let mut state = size as u64 | 1 << 40;
    let mut octets = Vec::with_capacity(size + 8);
    while octets.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(size);
    octets
}

pub(super) fn write(path: &Path, octets: &[u8]) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("room");
    fs::write(path, octets).expect("room");
}

/// Every file below a folder that has its name, folders with nothing as `None`.
pub(super) fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    fn walk(top: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
        let entries: Vec<_> = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable")).collect();
        if entries.is_empty() {
            found.insert(folder.strip_prefix(top).expect("below").to_owned(), None);
        }
        for entry in entries {
            let path = entry.path();
            // What a killed server left of small files is swept later.
            if path.extension().is_some_and(|extension| extension.as_encoded_bytes().starts_with(b"feige-")) {
                continue;
            }
            if path.is_dir() {
                walk(top, &path, found);
            } else {
                found.insert(path.strip_prefix(top).expect("below").to_owned(), fs::read(&path).ok());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// Makes a tree with files of all sizes, deep folders, an empty one, and names outside ASCII.
pub(super) fn plant(folder: &Path) {
    for size in [0, 1, 100, 4096, 65_535, 65_536, 65_537, 1_000_000, 3_000_000] {
        write(&folder.join(format!("{size}.bin")), &contents(size));
    }
    for number in 0..300 {
        write(&folder.join("many").join(format!("{number}")), &contents(number * 7));
    }
    write(&folder.join("a/b/c/d/e/深.txt"), b"deep");
    write(&folder.join("飞鸽 传书.txt"), b"names");
    fs::create_dir_all(folder.join("empty/inner")).expect("room");
}

pub(super) fn size_of_parts(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable"));
    let parts = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".feige-part"));
    parts.map(|part| part.metadata().map_or(0, |metadata| metadata.len())).sum()
}

/// Waits until so many octets of parts lie in `folder`, or `done` exists.
pub(super) fn wait_for_parts(folder: &Path, octets: u64, done: &Path) {
    let end = Instant::now() + SOON;
    while size_of_parts(folder) < octets && !done.exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}
