//! Two Feiges on two machines: what their users see of each other, large transfers, cuts.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use feige_core::wire::ipmsg::PORT;
use feige_tests::lab::{Host, Lab};
use feige_tests::or_skip;
use feige_tests::program::{self, Program, SOON, run, started_by};

/// Long enough for gigabytes on a machine that does other things too.
const LONG: Duration = Duration::from_secs(300);

/// Where Bob is.
const BOB: &str = "10.79.0.3";

fn pair() -> Option<(Lab, Host, Host)> {
    let mut lab = or_skip(Lab::new())?;
    let (alice, bob) = (lab.host("alice"), lab.host("bob"));
    Some((lab, alice, bob))
}

/// Bob, who takes what he is offered.
fn listening(host: &Host, more: &[&str]) -> Program {
    let first = ["--json", "--user", "bob", "--nick", "Bob", "listen", "--accept", "all", "--dir", "inbox"];
    let mut program = Program::start(host, first.iter().chain(more));
    program.event("ready");
    program
}

#[test]
fn members_come_and_go() {
    let Some((_lab, alice, bob)) = pair() else { return };
    let mut listener = listening(&bob, &[]);
    let mut other =
        Program::start(&alice, ["--json", "--user", "alice", "--nick", "爱丽丝", "--group", "研发部", "listen"]);
    let seen = listener.event("online");
    assert_eq!((&seen["nick"], &seen["group"], &seen["user"]), (&"爱丽丝".into(), &"研发部".into(), &"alice".into()));
    assert_eq!(seen["addr"], alice.at(PORT).to_string());
    assert_eq!(other.event("online")["nick"], "Bob");
    other.interrupt();
    assert_eq!(other.end(SOON).code, Some(130));
    assert_eq!(listener.event("offline")["addr"], alice.at(PORT).to_string());
}

/// A listener that another program starts, which says what becomes of SIGHUP: these tests may be run with `nohup`.
fn listening_by(starter: &[&str], host: &Host) -> Program {
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]);
    let mut program = Program::spawn(started_by(command, &program::command(host, ["--json", "listen"])));
    program.event("ready");
    program
}

/// The window that it runs in is closed: it says goodbye, unless it was started to outlive it.
#[test]
fn the_end_of_the_terminal_is_a_reason_to_leave_but_not_with_nohup() {
    let Some((_lab, alice, bob)) = pair() else { return };
    let mut listener = listening_by(&["env", "--default-signal=HUP"], &bob);
    let mut lasting = listening_by(&["nohup"], &alice);
    listener.event("online");
    lasting.hang_up();
    let ended = run(&alice, SOON, ["--json", "members"]);
    assert_eq!(ended.code, Some(0), "still there: {}", ended.said);
    listener.hang_up();
    assert_eq!(listener.end(SOON).code, Some(143));
    assert_eq!(lasting.event("offline")["addr"], bob.at(PORT).to_string());
    lasting.terminate();
}

#[test]
fn a_message_is_delivered_by_name_and_by_address() {
    let Some((_lab, alice, bob)) = pair() else { return };
    let mut listener = listening(&bob, &[]);
    for who in ["10.79.0.3", "10.79.0.3:2425", "Bob", "bob"] {
        let text = format!("你好 {who}");
        let ended = run(&alice, SOON, ["--json", "--nick", "爱丽丝", "send", who, &text]);
        assert_eq!(ended.code, Some(0), "{who}: {}", ended.said);
        let message = listener.event("message");
        assert_eq!((&message["text"], &message["from"]["nick"]), (&text.into(), &"爱丽丝".into()));
        assert!(ended.events.iter().any(|event| event["event"] == "delivered"), "{}", ended.said);
    }
}

#[test]
fn nobody_there_is_exit_3() {
    let Some((_lab, alice, _bob)) = pair() else { return };
    for who in [BOB, "10.79.0.99", "nobody-of-this-name"] {
        let ended = run(&alice, Duration::from_secs(60), ["send", who, "hello"]);
        assert_eq!(ended.code, Some(3), "{who}: {}", ended.said);
    }
    let ended = run(&alice, SOON, ["members", "--wait", "500ms"]);
    assert_eq!(ended.code, Some(3), "{}", ended.said);
}

#[test]
fn a_sealed_message_is_confirmed_when_it_is_opened() {
    let Some((_lab, alice, bob)) = pair() else { return };
    let mut listener = listening(&bob, &[]);
    // `send` is done when the message arrived; who stays hears when it was opened.
    let mut stays = Program::start(&alice, ["--json", "listen"]);
    stays.event("ready");
    let ended = run(&alice, SOON, ["--json", "send", BOB, "--sealed", "only for you"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let message = listener.event("message");
    assert_eq!((&message["text"], &message["sealed"]), (&"only for you".into(), &true.into()));
    let delivered = ended.events.iter().find(|event| event["event"] == "delivered").unwrap();
    assert_eq!(stays.event("opened")["packet"], delivered["packet"]);
}

#[test]
fn listen_ends_when_it_was_asked_to() {
    let Some((_lab, alice, bob)) = pair() else { return };
    let listener = listening(&bob, &["--once"]);
    assert_eq!(run(&alice, SOON, ["send", BOB, "hello"]).code, Some(0));
    assert_eq!(listener.end(SOON).code, Some(0));

    let listener = listening(&bob, &["--once"]);
    fs::write(alice.path("a.txt"), "abc").unwrap();
    let ended = run(&alice, SOON, ["send", BOB, "--file", "a.txt"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(listener.end(SOON).code, Some(0));
    assert_eq!(fs::read(bob.path("inbox/a.txt")).unwrap(), b"abc");

    let before = Instant::now();
    let ended = listening(&bob, &["--for", "1500ms"]).end(SOON);
    assert_eq!(ended.code, Some(0));
    assert!(before.elapsed() >= Duration::from_millis(1400));
}

#[test]
fn refused_files_are_exit_4() {
    let Some((_lab, alice, bob)) = pair() else { return };
    let mut listener = Program::start(&bob, ["--json", "listen", "--accept", "none"]);
    listener.event("ready");
    fs::write(alice.path("a.txt"), "abc").unwrap();
    let ended = run(&alice, SOON, ["send", BOB, "--file", "a.txt"]);
    assert_eq!(ended.code, Some(4), "{}", ended.said);
}

#[test]
fn five_gibibytes_with_holes() {
    const SIZE: u64 = 5 << 30;
    let Some((_lab, alice, bob)) = pair() else { return };
    let Some(()) = or_skip(bob.has_room(SIZE + (1 << 30))) else { return };
    // Marks around every boundary at which a number could wrap, and at both ends.
    let marks = [0, (1 << 31) - 8, (1 << 31), (1 << 32) - 8, 1 << 32, (1 << 32) + 4096, SIZE - 8];
    let mut file = File::create(alice.path("large.img")).unwrap();
    file.set_len(SIZE).unwrap();
    for (number, mark) in (1_u64..).zip(marks) {
        file.seek(SeekFrom::Start(mark)).unwrap();
        file.write_all(&number.to_be_bytes()).unwrap();
    }
    let mut listener = listening(&bob, &["--once"]);
    let send = Program::start(&alice, ["--json", "send", BOB, "--file", "large.img"]);
    let done = listener.event_where("downloaded", LONG, |_| true);
    assert_eq!(done["size"], SIZE);
    let ended = send.end(LONG);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let mut received = File::open(bob.path("inbox/large.img")).unwrap();
    assert_eq!(received.metadata().unwrap().len(), SIZE);
    for (number, mark) in (1_u64..).zip(marks) {
        let mut octets = [0; 8];
        received.seek(SeekFrom::Start(mark)).unwrap();
        received.read_exact(&mut octets).unwrap();
        assert_eq!(u64::from_be_bytes(octets), number, "at {mark}");
    }
    // Between the marks there is nothing but zeros: what borders on them, and a piece out of each long hole.
    for from in marks.iter().map(|mark| mark + 8).chain([1 << 30, 3 << 30, 9 << 29]) {
        let mut octets = [1; 4080];
        received.seek(SeekFrom::Start(from)).unwrap();
        let zeros = usize::try_from((SIZE - from).min(4080)).unwrap();
        let zeros = if marks.contains(&from) { 0 } else { zeros };
        received.read_exact(&mut octets[..zeros]).unwrap();
        assert!(octets[..zeros].iter().all(|&octet| octet == 0), "after {from}");
    }
}

#[test]
fn ten_thousand_files_in_a_folder() {
    let Some((_lab, alice, bob)) = pair() else { return };
    let content = |number: u32| number.to_le_bytes().repeat(usize::try_from(number % 300).unwrap());
    for number in 0..10_000_u32 {
        let folder = alice.path("many").join(format!("文件夹 {}", number / 1000));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{number}.dat")), content(number)).unwrap();
    }
    let mut listener = listening(&bob, &["--once"]);
    let ended = run(&alice, LONG, ["send", BOB, "--file", "many"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(listener.event("downloaded")["name"], "many");
    for number in 0..10_000_u32 {
        let path = bob.path("inbox/many").join(format!("文件夹 {}", number / 1000)).join(format!("{number}.dat"));
        assert!(fs::read(&path).unwrap() == content(number), "{}", path.display());
    }
}

#[test]
fn a_transfer_that_was_cut_goes_on_where_it_ended() {
    const SIZE: u64 = 1 << 30;
    let Some((_lab, alice, bob)) = pair() else { return };
    let Some(()) = or_skip(bob.has_room(3 * SIZE)) else { return };
    // No two mebibytes alike, so that a piece in the wrong place shows.
    let block: Vec<u8> = (0..1_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let mut file = File::create(alice.path("image.bin")).unwrap();
    for number in 0..SIZE >> 20 {
        file.write_all(&number.to_be_bytes()).unwrap();
        file.write_all(&block[8..]).unwrap();
    }
    let mut listener = listening(&bob, &[]);
    let mut send = Program::start(&alice, ["--json", "send", BOB, "--file", "image.bin"]);
    // The receiver dies without a word once a good part has arrived.
    let end = Instant::now() + LONG;
    while stored(&bob.path("inbox")) < SIZE / 8 {
        assert!(Instant::now() < end, "nothing arrives: {listener}{send}");
        std::thread::sleep(Duration::from_millis(1));
    }
    listener.kill();
    assert!(!bob.path("inbox/image.bin").exists(), "not under its final name before it is whole");
    let stored = stored(&bob.path("inbox"));
    send.kill();

    let before = sent(&alice);
    let mut listener = listening(&bob, &["--once"]);
    let ended = run(&alice, LONG, ["--json", "send", BOB, "--file", "image.bin"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_eq!(listener.event("downloaded")["size"], SIZE);
    let again = sent(&alice) - before;
    assert!(again < SIZE - stored / 2, "{again} octets went over the wire although {stored} were there already");
    let mut received = File::open(bob.path("inbox/image.bin")).unwrap();
    assert_eq!(received.metadata().unwrap().len(), SIZE);
    let mut octets = vec![0; 1 << 20];
    for number in 0..SIZE >> 20 {
        received.read_exact(&mut octets).unwrap();
        assert!(octets[..8] == number.to_be_bytes() && octets[8..] == block[8..], "mebibyte {number}");
    }
}

/// The size of all files that lie in a folder, whatever their names.
fn stored(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok().filter(fs::Metadata::is_file)).map(|file| file.len()).sum()
}

/// How many octets a host has put on its wire.
fn sent(host: &Host) -> u64 {
    let output = host.command("cat").arg("/sys/class/net/eth0/statistics/tx_bytes").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
