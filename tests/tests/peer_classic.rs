//! Flooded search between Feige and the two classic programs (`tests/classic/peer_j.py`, `peer_c.py`): each as asker, relay
//! and holder, every size that the programs are known to stumble over.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use feige_tests::program::{LATE, Program, SOON, run};
use feige_tests::transfer::octets;
use feige_tests::{Missing, or_skip};
use tempfile::TempDir;

const SIZES: [usize; 11] = [0, 1, 916, 1000, 1023, 1024, 1025, 10_240, 100_000, 1_000_000, 5_000_000];

/// C hears nothing for a second and a half after it passed a question on.
const DEAF: Duration = Duration::from_millis(1600);

/// J and C, each a neighbour of one Feige, which has another as its neighbour. Each has files of its own.
struct Network {
    home: TempDir,
    ports: [u16; 5],
    _feige: Program,
    _behind: Program,
}

impl Network {
    fn start() -> Result<(Self, Classic, Classic), Missing> {
        if Command::new("python3").arg("--version").output().is_err() {
            return Err(Missing("python3 is not installed".to_owned()));
        }
        let home = TempDir::new().expect("a folder");
        for (at, who) in ["j", "c", "f", "b"].into_iter().enumerate() {
            fs::create_dir(home.path().join(who)).expect("a folder");
            for size in SIZES {
                fs::write(home.path().join(who).join(name(who, size)), octets(size, at as u64 + 1)).expect("room");
            }
        }
        let taken: Vec<TcpListener> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let mut ports = [0; 5];
        for (port, listener) in ports.iter_mut().zip(&taken) {
            *port = listener.local_addr().expect("an address").port();
        }
        drop(taken);
        let [f, b, j, seeker, c] = ports;
        let path = |name: &str| home.path().join(name);
        let share = |who: &str| path(who).display().to_string();
        fs::write(
            path("j.ini"),
            format!(
                "[Peer-1]\nip_addr = 127.0.0.1\nserver_port = {j}\nclient_port = {seeker}\nshare_dir = {}\npeer_list = [2]\n\
                 [Peer-2]\nip_addr = 127.0.0.1\nserver_port = {f}\nclient_port = {f}\nshare_dir = {}\npeer_list = [1]\n",
                share("j"),
                share("f")
            ),
        )
        .expect("written");
        fs::write(
            path("c.ini"),
            format!(
                "[Peer-0]\nID = 3\nip_addr = 127.0.0.1\nport_number = {c}\nshare_dir = {}\nttl = 3\n\
                 [Netpeers]\npeer_ID = [2]\npeer_addr = [127.0.0.1]\npeer_ports = [{f}]\n",
                share("c")
            ),
        )
        .expect("written");
        let behind = ["--json", "peer", "--listen", &format!("127.0.0.1:{b}"), "--share", "b"].map(str::to_owned);
        let mut behind = Program::start(&home, behind);
        behind.event("ready");
        let java = Classic::start(&home, "peer_j.py", &["j.ini", "1"]);
        let other = Classic::start(&home, "peer_c.py", &["c.ini"]);
        // As the classic program that it stands for is set up: by that file; its other neighbours are named.
        let mut feige = Program::start(
            &home,
            [
                "--json",
                "--config",
                "j.ini",
                "peer",
                "--id",
                "2",
                "--neighbour",
                &format!("127.0.0.1:{c}"),
                "--neighbour",
                &format!("127.0.0.1:{b}"),
            ],
        );
        feige.event("ready");
        for (port, software) in [(j, "classic program J"), (c, "classic program C"), (b, "Feige")] {
            let at = format!("127.0.0.1:{port}");
            feige.event_where("linked", SOON, |event| {
                event["peer"] == at && event["software"].as_str().is_some_and(|is| is.starts_with(software))
            });
        }
        Ok((Self { home, ports, _feige: feige, _behind: behind }, java, other))
    }

    fn path(&self, who: &str, name: &str) -> PathBuf {
        self.home.path().join(who).join(name)
    }

    /// What `who` fetched is what `holder` has.
    fn is_same(&self, who: &str, holder: &str, size: usize) {
        let name = name(holder, size);
        let (got, has) = (fs::read(self.path(who, &name)), fs::read(self.path(holder, &name)));
        assert!(got.expect("fetched") == has.expect("there"), "{who} has another {name} than {holder}");
    }

    /// Feige fetches everything of `holder`, asking the peer at `via` first.
    fn feige_fetches(&self, via: &str, holder: &str, into: &str) {
        fs::create_dir_all(self.path(into, "")).expect("a folder");
        for size in SIZES {
            let name = name(holder, size);
            let fetch = || run(&self.home, SOON, ["fetch", &name, "--via", via, "-o", into]);
            let mut ended = fetch();
            for _ in 0..2 {
                // Nobody heard the question: C is deaf now and then.
                if ended.code == Some(3) {
                    thread::sleep(DEAF);
                    ended = fetch();
                }
            }
            assert_eq!(ended.code, Some(0), "{name} via {via}: {}", ended.said);
            self.is_same(into, holder, size);
        }
    }
}

fn name(who: &str, size: usize) -> String {
    format!("{who}-文件-{size}.bin")
}

/// A classic program that takes commands.
struct Classic {
    child: Child,
    commands: ChildStdin,
    lines: Receiver<String>,
}

impl Classic {
    fn start(home: &TempDir, script: &str, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("classic").join(script);
        let mut command = Command::new("python3");
        command.arg(script).args(arguments).current_dir(home.path()).env("PATIENCE", "6");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("python3 runs");
        let commands = child.stdin.take().expect("a pipe");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (tell, lines) = channel();
        thread::spawn(move || while said.next().is_some_and(|line| line.is_ok_and(|line| tell.send(line).is_ok())) {});
        let mut classic = Self { child, commands, lines };
        assert_eq!(classic.line(), "ready");
        classic
    }

    fn line(&mut self) -> String {
        // Longer than it waits for anything.
        self.lines.recv_timeout(LATE).expect("it prints")
    }

    /// Fetches everything of `holder` into its own share, `who`.
    fn fetches(&mut self, network: &Network, who: &str, holder: &str) {
        use std::io::Write as _;
        for size in SIZES {
            let name = name(holder, size);
            let mut asked = 0;
            loop {
                writeln!(self.commands, "get {name}").expect("it listens");
                asked += 1;
                let line = loop {
                    let line = self.line();
                    if line.starts_with("failed") || line == format!("got {name}") {
                        break line;
                    }
                };
                if line.starts_with("got") {
                    break;
                }
                // A question is lost on C while it is deaf. A transfer that fails is another matter.
                let is_lost = line.ends_with("nobody has it") && asked < 3;
                assert!(is_lost, "{who} from {holder}: {name}: {line}");
                thread::sleep(DEAF);
            }
            network.is_same(who, holder, size);
        }
    }
}

impl Drop for Classic {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// 110 transfers, each of them whole.
///
/// proves: R-FL-72, R-FL-74, R-FL-78, R-FL-80, R-FL-83, R-FL-84
#[test]
fn every_size_comes_whole_between_all_of_them() {
    let Some((network, mut j, mut c)) = or_skip(Network::start()) else { return };
    let [f, b, at_j, _, at_c] = network.ports.map(|port| format!("127.0.0.1:{port}"));
    // Feige holds, relays to the other program, and to another Feige.
    j.fetches(&network, "j", "f");
    j.fetches(&network, "j", "b");
    thread::sleep(DEAF);
    j.fetches(&network, "j", "c");
    c.fetches(&network, "c", "f");
    c.fetches(&network, "c", "b");
    c.fetches(&network, "c", "j");
    // Feige asks them, straight and through another.
    network.feige_fetches(&format!("{at_j}/j"), "j", "from-j");
    network.feige_fetches(&at_c, "c", "from-c");
    network.feige_fetches(&b, "j", "through-j");
    thread::sleep(DEAF);
    network.feige_fetches(&f, "c", "through-c");
}

/// A folder, one level deep, both ways; and what these texts cannot say.
///
/// proves: R-FL-71, R-FL-87
#[test]
fn folders_come_one_level_deep_and_blanks_cannot_be_asked_for() {
    let Some((network, mut j, _c)) = or_skip(Network::start()) else { return };
    for holder in ["f", "j"] {
        let folder = network.path(holder, &format!("{holder}-folder"));
        fs::create_dir_all(folder.join("deeper")).expect("made");
        fs::write(folder.join("one.txt"), b"one").expect("written");
        fs::write(folder.join("two.txt"), b"two").expect("written");
        fs::write(folder.join("deeper/three.txt"), b"three").expect("written");
    }
    use std::io::Write as _;
    thread::sleep(Duration::from_secs(3));
    writeln!(j.commands, "get f-folder").expect("it listens");
    while j.line() != "got f-folder" {}
    assert_eq!(fs::read(network.path("j", "f-folder/two.txt")).expect("fetched"), b"two");
    let via = format!("127.0.0.1:{}/j", network.ports[2]);
    let ended = run(&network.home, SOON, ["fetch", "j-folder", "--via", &via, "-o", "b"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(fs::read(network.path("b", "j-folder/one.txt")).expect("fetched"), b"one");
    let ended = run(&network.home, SOON, ["fetch", "two words.txt", "--via", &via]);
    assert_eq!(ended.code, Some(2), "{}", ended.said);
    assert!(ended.said.contains("blank") || ended.said.contains("white space"), "{}", ended.said);
}
