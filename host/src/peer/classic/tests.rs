use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::*;
use crate::peer::parcel::{Limits, ParcelError};
use crate::peer::share::{Kind, Share};

const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How long something may take that takes a moment, on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);

/// Sizes around the pieces that the programs of the course read.
const SIZES: [usize; 11] = [0, 1, 916, 1000, 1023, 1024, 1025, 10_240, 100_000, 1_000_000, 5_000_000];

fn name(size: usize) -> String {
    format!("{size}.tar.bin")
}

fn contents(size: usize) -> Vec<u8> {
    (0..size as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn seed(folder: &Path) {
    for size in SIZES {
        fs::write(folder.join(name(size)), contents(size)).unwrap();
    }
    fs::create_dir(folder.join("docs")).unwrap();
    for size in [1, 1024, 30_000] {
        fs::write(folder.join("docs").join(name(size)), contents(size)).unwrap();
    }
}

fn assert_whole(folder: &Path, size: usize) {
    assert!(fs::read(folder.join(name(size))).is_ok_and(|octets| octets == contents(size)), "{size} octets");
}

/// Ports that nobody has at the moment.
fn ports<const N: usize>() -> [u16; N] {
    let listeners: [_; N] = std::array::from_fn(|_| TcpListener::bind((LOOPBACK, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[derive(Clone, Copy, Debug)]
enum Family {
    J,
    C,
}

/// A peer of theirs. Dropping it ends it.
struct Theirs {
    child: Child,
    out: BufReader<ChildStdout>,
    at: SocketAddrV4,
    folder: tempfile::TempDir,
}

impl Theirs {
    /// A peer with one neighbour at `neighbour`, which holds what `fill` puts there and, with names, fetches them.
    fn start(family: Family, neighbour: u16, fill: impl Fn(&Path), names: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let share = folder.path().join("share");
        fs::create_dir(&share).unwrap();
        fill(&share);
        let [port, seeker, other] = ports();
        let config = folder.path().join("peer.ini");
        let share = share.display();
        let text = match family {
            Family::J => format!(
                "[Peer-0]\nip_addr = 127.0.0.1\nserver_port = {port}\nclient_port = {seeker}\nshare_dir = {share}\n\
                 peer_list = [1]\n[Peer-1]\nip_addr = 127.0.0.1\nserver_port = {neighbour}\nclient_port = {other}\n\
                 share_dir = none\npeer_list = [0]\n"
            ),
            Family::C => format!(
                "[Peer-0]\nID = 0\nip_addr = 127.0.0.1\nport_number = {port}\nshare_dir = {share}\nttl = 2\n\
                 [Netpeers]\npeer_ID = [1]\npeer_addr = [127.0.0.1]\npeer_ports = [{neighbour}]\n"
            ),
        };
        fs::write(&config, text).unwrap();
        let script = match family {
            Family::J => "peer_j.py",
            Family::C => "peer_c.py",
        };
        let mut command = Command::new("python3");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/classic").join(script)).arg(&config);
        if matches!(family, Family::J) {
            command.arg("0");
        }
        let mut child = command
            .args(names)
            .env("PATIENCE", "20")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 was there just now");
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut theirs = Self { child, out, at: SocketAddrV4::new(LOOPBACK, port), folder };
        assert_eq!(theirs.line(), "ready");
        theirs
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn share(&self) -> PathBuf {
        self.folder.path().join("share")
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there is a Python to run theirs with. With `FEIGE_REQUIRE_ALL=1` there has to be.
fn has_python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("FEIGE_REQUIRE_ALL").is_none_or(|set| set != "1"), "cannot run here: no python3");
        eprintln!("skipped: no python3");
    }
    there
}

fn ours() -> (tempfile::TempDir, Share) {
    let folder = tempfile::tempdir().unwrap();
    let share = Share::open(folder.path(), None).unwrap();
    (folder, share)
}

/// The text of the next message, and its connection.
fn heard(listener: &TcpListener) -> (String, TcpStream) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut text = [0; MOST];
    let count = stream.read(&mut text).unwrap();
    (String::from_utf8(text[..count].to_vec()).unwrap(), stream)
}

fn fetched_from(family: Family) {
    if !has_python() {
        return;
    }
    let theirs = Theirs::start(family, 9, seed, &[]);
    let (folder, share) = ours();
    let own = SocketAddrV4::new(LOOPBACK, 9);
    let (limits, cancel) = (Limits { idle: SOON, ..Limits::default() }, Cancel::new());
    for size in SIZES {
        let mut told = 0;
        let found = fetch(theirs.at, &name(size), own, &share, &limits, &cancel, |octets| told = octets).unwrap();
        assert_eq!((found.size, found.kind), (size as u64, Kind::File));
        assert_eq!(told, (size + 98 + 2 * name(size).len()) as u64);
        assert_whole(folder.path(), size);
    }
    let found = fetch(theirs.at, "docs", own, &share, &limits, &cancel, |_| {}).unwrap();
    assert_eq!((found.kind, found.size), (Kind::Folder, 31_025));
    for size in [1, 1024, 30_000] {
        assert_whole(&found.path, size);
    }
}

#[test]
fn all_sizes_from_a_j_peer() {
    fetched_from(Family::J);
}

#[test]
fn all_sizes_from_a_c_peer() {
    fetched_from(Family::C);
}

/// They ask, we find, they fetch: as a peer would, without the flood.
fn fetched_by(family: Family) {
    if !has_python() {
        return;
    }
    let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (folder, share) = ours();
    seed(folder.path());
    let mut names: Vec<_> = SIZES.map(name).into();
    names.push("docs".to_owned());
    let mut theirs = Theirs::start(family, port, |_| {}, &names);
    let (limits, cancel) = (Limits::default(), Cancel::new());
    for name in &names {
        let (question, _) = heard(&listener);
        let words: Vec<_> = question.split(' ').collect();
        assert_eq!(words[..2], ["get", name]);
        let (to, found) = match family {
            Family::J => (words[2], format!("found {name} at 1 127.0.0.1 {port}")),
            Family::C => (words[3], format!("found {name} at 127.0.0.1 {port}")),
        };
        let to = SocketAddrV4::new(LOOPBACK, to.parse().unwrap());
        send(to, &found, Duration::from_secs(5), &cancel).unwrap();
        let (request, stream) = heard(&listener);
        assert!(request.starts_with(&format!("request {name} 127.0.0.1 ")), "{request}");
        assert!(answer(&stream, name, &share, &limits, &cancel).unwrap().closed);
        assert_eq!(theirs.line(), found);
        assert_eq!(theirs.line(), format!("got {name}"));
    }
    for size in SIZES {
        assert_whole(&theirs.share(), size);
    }
    for size in [1, 1024, 30_000] {
        assert_whole(&theirs.share().join("docs"), size);
    }
}

#[test]
fn all_sizes_to_a_j_peer() {
    fetched_by(Family::J);
}

#[test]
fn all_sizes_to_a_c_peer() {
    fetched_by(Family::C);
}

/// Both families send a question on with their own TTL, and answer whoever it names.
#[test]
fn their_relays_and_answers() {
    if !has_python() {
        return;
    }
    let cancel = Cancel::new();
    for (family, question, sent_on, asked) in [
        (Family::J, "get x 9 127.0.0.1 0", "get x 9 127.0.0.1 -1", "get 1.tar.bin PORT 127.0.0.1 0"),
        (Family::C, "get x 127.0.0.1 9 i=1 2", "get x 127.0.0.1 9 i=1 1", "get 1.tar.bin 127.0.0.1 PORT 1"),
    ] {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let theirs = Theirs::start(family, port, seed, &[]);
        send(theirs.at, question, Duration::ZERO, &cancel).unwrap();
        assert_eq!(heard(&listener).0, sent_on);
        let found = match family {
            Family::J => format!("found 1.tar.bin at 0 127.0.0.1 {}", theirs.at.port()),
            Family::C => {
                // Deaf after sending a question on.
                std::thread::sleep(Duration::from_millis(1600));
                format!("found 1.tar.bin at 127.0.0.1 {}", theirs.at.port())
            }
        };
        send(theirs.at, &asked.replace("PORT", &port.to_string()), Duration::ZERO, &cancel).unwrap();
        assert_eq!(heard(&listener).0, found);
    }
}

#[test]
fn between_two_of_us_and_what_is_not_there() {
    let (holder, theirs) = ours();
    let (seeker, share) = ours();
    seed(holder.path());
    std::os::unix::fs::symlink("/etc/passwd", holder.path().join("link")).unwrap();
    let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let at = SocketAddrV4::new(LOOPBACK, port);
    let (limits, cancel) = (Limits::default(), Cancel::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..4 {
                let (request, stream) = heard(&listener);
                let name = request.split(' ').nth(1).unwrap();
                let result = answer(&stream, name, &theirs, &limits, &cancel);
                match name {
                    "docs" | "1024.tar.bin" => assert!(result.unwrap().closed),
                    _ => assert!(matches!(result, Err(ParcelError::NotShared(_)))),
                }
            }
        });
        for name in ["1024.tar.bin", "docs"] {
            fetch(at, name, at, &share, &limits, &cancel, |_| {}).unwrap();
        }
        for name in ["link", "none"] {
            let result = fetch(at, name, at, &share, &limits, &cancel, |_| {});
            assert!(matches!(result, Err(FetchError::Parcel(ParcelError::Short { got: 0 }))), "{result:?}");
        }
    });
    let mut names: Vec<_> = fs::read_dir(seeker.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["1024.tar.bin", "docs"]);
}

#[test]
fn a_message_is_one_write_a_pause_and_a_reset() {
    let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
    let at = SocketAddrV4::new(LOOPBACK, listener.local_addr().unwrap().port());
    let text = "get 3.txt 127.0.0.1 9 2";
    std::thread::scope(|scope| {
        scope.spawn(|| send(at, text, Duration::ZERO, &Cancel::new()).unwrap());
        let (got, mut stream) = heard(&listener);
        assert_eq!(got, text);
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
    for length in [0, MOST + 1] {
        let result = send(at, &"x".repeat(length), Duration::ZERO, &Cancel::new());
        assert!(matches!(result, Err(MessageError::Length(_))));
    }
}

#[test]
fn whoever_is_deaf_is_tried_again_and_whoever_is_not_there_is_given_up() {
    let [port] = ports();
    let at = SocketAddrV4::new(LOOPBACK, port);
    let began = Instant::now();
    assert!(matches!(send(at, "x", Duration::ZERO, &Cancel::new()), Err(MessageError::Unreachable { .. })));
    assert!(began.elapsed() < Duration::from_secs(1));
    std::thread::scope(|scope| {
        let speaker = scope.spawn(|| send(at, "x", Duration::from_secs(5), &Cancel::new()));
        std::thread::sleep(Duration::from_millis(600));
        let listener = TcpListener::bind(at).unwrap();
        assert_eq!(heard(&listener).0, "x");
        speaker.join().unwrap().unwrap();
    });
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(send(at, "x", SOON, &cancel), Err(MessageError::Cancelled)));
}

#[test]
fn names_that_cannot_be_said_are_refused_before_anybody_is_asked() {
    let (_folder, share) = ours();
    let at = SocketAddrV4::new(LOOPBACK, 9);
    for name in ["two words", "tab\t", "", "line\n", "wide\u{3000}blank", &"x".repeat(1020)] {
        let result = fetch(at, name, at, &share, &Limits::default(), &Cancel::new(), |_| {});
        assert!(matches!(result, Err(FetchError::Unsayable(_))), "{name:?}");
    }
}
