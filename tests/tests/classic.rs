//! The classic dialects with programs as courses teach them (`tests/classic`): every dialect, both directions.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use feige_tests::lab::Lab;
use feige_tests::program::SOON;
use feige_tests::{Missing, or_skip};
use tempfile::TempDir;

/// Sizes around the pieces that the classic programs read, small and large; names outside ASCII, and every sub-folder.
const FILES: [(&str, usize); 9] = [
    ("empty.txt", 0),
    ("one.bin", 1),
    ("1023.png", 1023),
    ("1024.jpg", 1024),
    ("雪 1025.jpeg", 1025),
    ("报告.pdf", 100_000),
    ("film.mp4", 100_001),
    ("图片.png", 1_000_000),
    ("电影.mkv", 5_000_000),
];

/// Folders for a test, the first of them with all [`FILES`].
struct Folders {
    here: TempDir,
    there: TempDir,
}

impl Folders {
    fn new() -> Self {
        let folders = Self { here: TempDir::new().expect("a folder"), there: TempDir::new().expect("a folder") };
        for (name, size) in FILES {
            fs::write(folders.here.path().join(name), contents(size)).expect("room");
        }
        folders
    }

    fn paths(&self) -> Vec<PathBuf> {
        FILES.iter().map(|(name, _)| self.here.path().join(name)).collect()
    }
}

/// Octets of all values.
fn contents(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

/// `folder` has exactly these of [`FILES`], whole. They may get there after their sender has left.
fn arrived(folder: &Path, names: impl IntoIterator<Item = &'static str>) {
    let wanted: BTreeSet<_> = names.into_iter().map(str::to_owned).collect();
    let size = |name: &str| FILES.iter().find(|(other, _)| *other == name).map_or(0, |(_, size)| *size);
    let found = || -> BTreeSet<String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable"));
        let files = entries.filter(|entry| entry.path().is_file());
        files.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect()
    };
    let whole = |name: &String| fs::read(folder.join(name)).is_ok_and(|octets| octets == contents(size(name)));
    let end = std::time::Instant::now() + SOON;
    while !(found() == wanted && wanted.iter().all(whole)) {
        let broken: Vec<_> = wanted.iter().filter(|name| !whole(name)).collect();
        assert!(std::time::Instant::now() < end, "found {:?}, not whole {broken:?}", found());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program that has printed where it listens. Dropping it ends it.
struct Server {
    child: Child,
    /// Held, so that the program can go on printing.
    _out: BufReader<ChildStdout>,
    port: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("readable");
        let port = line.trim().rsplit(':').next().unwrap_or_default().to_owned();
        assert!(port.parse::<u16>().is_ok(), "{command:?} printed {line:?}");
        Self { child, _out: out, port }
    }

    /// Feige, which serves a folder.
    fn feige(folder: &Path) -> Self {
        let mut command = Command::new(feige());
        command.args(["serve", "127.0.0.1:0"]).arg(folder);
        Self::start(command)
    }

    /// One of theirs.
    fn python(script: &str, arguments: &[&str]) -> Self {
        // Built before, because some wait for their client for a moment only.
        feige();
        Self::start(python(script, arguments))
    }

    fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example `classic` of the host, built as the tests are.
fn feige() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = std::env::current_exe().expect("where the test is");
        let folder = test.ancestors().nth(2).expect("in a target folder");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "feige", "--example", "classic"]);
        build.arg("--target-dir").arg(folder.parent().expect("in a target folder"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        assert!(build.arg("--manifest-path").arg(manifest).status().expect("cargo runs").success(), "it builds");
        folder.join("examples/classic")
    })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("classic").join(name)
}

fn python(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    // Theirs is 5 s, which a busy machine may need to start a program.
    command.arg(script(name)).args(arguments).env("PATIENCE", "20");
    command
}

fn has_python() -> Result<(), Missing> {
    match Command::new("python3").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Missing("python3".into())),
    }
}

/// Runs a program to its end, which must be a good one, and returns what it printed.
fn run(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?} ended with {status} and printed\n{out}\n{err}");
    out.into_owned()
}

fn ours(arguments: &[&str], paths: &[PathBuf]) -> String {
    let mut command = Command::new(feige());
    command.args(arguments).args(paths);
    run(command)
}

/// proves: R-CL-20
#[test]
fn their_simple_uploads_to_us() {
    let Some(()) = or_skip(has_python()) else { return };
    let folders = Folders::new();
    let server = Server::feige(folders.there.path());
    for path in folders.paths() {
        run(python("upload_client.py", &[&server.port, path.to_str().expect("UTF-8")]));
    }
    arrived(folders.there.path(), FILES.map(|(name, _)| name));
}

/// proves: R-CL-3, R-CL-20
#[test]
fn our_simple_uploads_to_them() {
    let Some(()) = or_skip(has_python()) else { return };
    let folders = Folders::new();
    let there = folders.there.path().to_str().expect("UTF-8");
    let server = Server::python("upload_server.py", &[there]);
    let printed = ours(&["upload", &server.address()], &folders.paths());
    assert_eq!(printed.matches(" true\n").count(), FILES.len(), "each was confirmed: {printed}");
    arrived(folders.there.path(), FILES.map(|(name, _)| name));
}

/// proves: R-CL-21, R-CL-22
#[test]
fn their_puts_to_us() {
    let Some(()) = or_skip(has_python()) else { return };
    for how in ["together", "apart"] {
        let folders = Folders::new();
        let server = Server::feige(folders.there.path());
        let mut client = python("put_client.py", &[&server.port, how]);
        client.args(folders.paths());
        run(client);
        arrived(folders.there.path(), FILES.map(|(name, _)| name));
    }
}

/// proves: R-CL-3, R-CL-24
#[test]
fn our_puts_to_them() {
    let Some(()) = or_skip(has_python()) else { return };
    let folders = Folders::new();
    let stored = folders.there.path().join("file_upload");
    fs::create_dir(&stored).expect("a folder");
    let server = Server::python("put_server.py", &[folders.there.path().to_str().expect("UTF-8")]);
    ours(&["put", &server.address()], &folders.paths());
    arrived(&stored, FILES.map(|(name, _)| name));
}

/// proves: R-CL-12, R-CL-30, R-CL-31
#[test]
fn their_commands_to_us() {
    let Some(()) = or_skip(has_python()) else { return };
    let folders = Folders::new();
    let server = Server::feige(folders.here.path());
    let printed = run(python("command_client.py", &[&server.port, "ls", "df", "date", "rm -rf /", "help", "列表"]));
    let answers: Vec<&str> = printed.split("-\n").collect();
    for (answer, part) in answers.iter().zip([
        "\n电影.mkv\n",
        "used   6203074\n",
        " 20",
        "no such command here: rm -rf / (try help)\n",
        "ls [img|video]",
        "no such command here: 列表 (try help)\n",
    ]) {
        assert!(answer.contains(part), "no {part:?} in {answer:?}");
    }
    assert_eq!(answers.len(), 7);
}

/// proves: R-CL-31, R-CL-32, R-CL-33
#[test]
fn our_commands_to_them() {
    let Some(()) = or_skip(has_python()) else { return };
    let many = "abcdefghij\n".repeat(100_000);
    for (name, arguments) in
        [("command_server.py", &[][..]), ("command_server.py", &["123sxd123x123"]), ("command_low_server.py", &[])]
    {
        let mut server = Server::python(name, arguments);
        // Again and again: none of them may kill the server.
        for (command, output) in [
            ("echo hello", "hello\n"),
            ("true", ""),
            ("echo 你好", "你好\n"),
            ("echo '{\"a\": 1}'", "{\"a\": 1}\n"),
            ("yes abcdefghij | head -100000", &many),
        ] {
            assert!(ours(&["command", &server.address(), command], &[]) == output, "{name}, {command}");
        }
        std::thread::sleep(Duration::from_millis(100));
        assert!(server.is_alive(), "{name}");
    }
}

/// The names of [`FILES`] in the sub-folder of this name.
fn of_kind(kind: &str) -> Vec<&'static str> {
    let is = |name: &str| match name.rsplit('.').next() {
        Some("png" | "jpg" | "jpeg") => kind == "img",
        Some("mp4" | "mkv") => kind == "video",
        _ => kind.is_empty(),
    };
    FILES.iter().map(|(name, _)| *name).filter(|name| is(name)).collect()
}

/// What a client is told of each file that it uploads.
fn is_told(printed: &str) {
    for (name, _) in FILES {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        assert!(printed.contains(&format!("当前文件 {stem} 上传成功!保存至 :>>>> ")), "{name}: {printed}");
    }
}

/// proves: R-CL-40, R-CL-41, R-CL-42, R-CL-43, R-CL-45, R-CL-46
#[test]
fn their_salted_clients_with_us() {
    let Some(()) = or_skip(has_python()) else { return };
    let folders = Folders::new();
    let server = Server::feige(folders.there.path());
    let back = TempDir::new().expect("a folder");
    let client = || python("salted_client.py", &["127.0.0.1", &server.port, back.path().to_str().expect("UTF-8")]);

    let mut uploads = client();
    for path in folders.paths() {
        uploads.arg("put").arg(path);
    }
    is_told(&run(uploads));
    for kind in ["", "img", "video"] {
        arrived(&folders.there.path().join(kind), of_kind(kind));
    }

    let mut rest = client();
    rest.args(["list", "img", "nope", "-", "tamper"]).arg(folders.here.path().join("one.bin"));
    rest.args(FILES.iter().flat_map(|(name, _)| ["get", name]));
    let printed = run(rest);
    let mut names = of_kind("img");
    names.sort_unstable();
    let expected = format!("{}\nerror: nope is not exist\nerror: 数据被篡改!\n", names.join(","));
    assert_eq!(printed, expected);
    arrived(back.path(), FILES.map(|(name, _)| name));
}

/// proves: R-CL-40, R-CL-43, R-CL-45, R-CL-46, R-CL-47, R-CL-49
#[test]
fn our_salted_clients_with_them() {
    let Some(()) = or_skip(has_python()) else { return };
    let folders = Folders::new();
    // It ends with its one client.
    let server = || Server::python("salted_server.py", &[folders.there.path().to_str().expect("UTF-8")]);
    is_told(&ours(&["store", &server().address()], &folders.paths()));
    for kind in ["", "img", "video"] {
        arrived(&folders.there.path().join(kind), of_kind(kind));
    }
    for (word, kind) in [(".", ""), ("img", "img"), ("video", "video")] {
        let mut names = of_kind(kind);
        names.sort_unstable();
        let printed = ours(&["ls", &server().address(), word], &[]);
        assert_eq!(printed.lines().collect::<Vec<_>>(), names);
    }
    let back = TempDir::new().expect("a folder");
    let (server_of_all, folder) = (server(), back.path().to_str().expect("UTF-8"));
    let address = server_of_all.address();
    let mut arguments = vec!["get", &address, folder];
    arguments.extend(FILES.iter().map(|(name, _)| *name));
    ours(&arguments, &[]);
    arrived(back.path(), FILES.map(|(name, _)| name));
    let refused = Command::new(feige()).args(["get", &server().address(), folder, "nothing"]).output().expect("runs");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("nothing is not exist"));
}

/// On an Ethernet a segment has 1,448 octets, not 64 KiB: there a client that counts its reads of 1,024 octets gets whole
/// files only if each piece is a segment.
///
/// proves: R-CL-46
#[test]
fn their_salted_clients_on_an_ethernet() {
    let Some(()) = or_skip(has_python()) else { return };
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let (near, far) = (lab.host("near"), lab.host("far"));
    let folders = Folders::new();
    for kind in ["img", "video"] {
        fs::create_dir(folders.here.path().join(kind)).expect("a folder");
        for name in of_kind(kind) {
            let to = folders.here.path().join(kind).join(name);
            fs::rename(folders.here.path().join(name), to).expect("the same disk");
        }
    }
    let mut serve = near.command(feige());
    serve.arg("serve").arg(format!("{}:0", near.ip())).arg(folders.here.path());
    let server = Server::start(serve);
    let mut client = far.command("python3");
    client.env("PATIENCE", "20");
    client.arg(script("salted_client.py")).args([&near.ip().to_string(), &server.port]).arg(folders.there.path());
    client.args(FILES.iter().flat_map(|(name, _)| ["get", name]));
    run(client);
    arrived(folders.there.path(), FILES.map(|(name, _)| name));
}
