//! `feige peer` among those who mean no good: after each attempt it is alive, idle, and still answers.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use feige_core::wire::flood::{Hello, MAX_MESSAGE, Message, Query, QueryId, Token, What, encode, frame};
use feige_tests::program::{Program, SOON, run};
use tempfile::TempDir;

/// A peer with one file, and one that a link in its share points to.
struct Victim {
    home: TempDir,
    at: String,
    program: Program,
}

impl Victim {
    fn start(options: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("share")).expect("made");
        fs::write(home.path().join("share/here.txt"), b"hello").expect("written");
        fs::write(home.path().join("secret.txt"), b"secret").expect("written");
        std::os::unix::fs::symlink("../secret.txt", home.path().join("share/link.txt")).expect("a link");
        let arguments = ["--json", "peer", "--listen", "127.0.0.1:0", "--share", "share"];
        let mut program = Program::start(&home, arguments.iter().chain(options));
        let at = program.event("ready")["addr"].as_str().expect("an address").to_owned();
        Self { home, at, program }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.at).expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("set");
        stream
    }

    /// Says a classic text, and hears what is answered on the connection.
    fn say(&self, pieces: &[&[u8]]) -> Vec<u8> {
        let mut stream = self.connect();
        for piece in pieces {
            if stream.write_all(piece).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        let mut heard = Vec::new();
        // However it ends, it ends.
        let _ = stream.read_to_end(&mut heard);
        heard
    }

    /// Asks for a file that is there, as J does, and expects to be told.
    fn still_answers(&self) {
        let asker = Asker::new();
        self.say(&[asker.question("here.txt", "2").as_bytes()]);
        let told = asker.told(SOON).expect("an answer");
        let port = self.at.rsplit(':').next().expect("a port");
        assert_eq!(told, format!("found here.txt at 0 127.0.0.1 {port}"));
    }

    /// Processor time that it took so far.
    fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.program.pid())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks");
        Duration::from_millis(ticks * 10)
    }

    /// It takes less than a twentieth of a processor.
    fn is_idle(&self) {
        let (began, before) = (Instant::now(), self.processor());
        thread::sleep(Duration::from_secs(2));
        let taken = self.processor().saturating_sub(before);
        assert!(taken * 20 < began.elapsed(), "{taken:?} of processor time in {:?}", began.elapsed());
    }
}

/// Somebody who asks in the words of a classic program.
struct Asker(TcpListener);

impl Asker {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        Self(listener)
    }

    fn question(&self, name: &str, ttl: &str) -> String {
        format!("get {name} {} 127.0.0.1 {ttl}", self.0.local_addr().expect("an address").port())
    }

    /// What somebody tells, within this time.
    fn told(&self, within: Duration) -> Option<String> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Ok((mut stream, _)) = self.0.accept() {
                stream.set_nonblocking(false).expect("set");
                let (mut text, mut room) = (Vec::new(), [0; 1024]);
                // The sender ends with a reset.
                while let Ok(count @ 1..) = stream.read(&mut room) {
                    text.extend_from_slice(&room[..count]);
                }
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

/// proves: R-FL-70, R-FL-73, R-FL-75, R-FL-76
#[test]
fn classic_nonsense_is_told_and_harms_nobody() {
    let mut victim = Victim::start(&[]);
    let asker = Asker::new();
    let long = "x".repeat(2000);
    for text in [
        long.clone(),
        asker.question("here.txt", "255"),
        asker.question("here.txt", "-2"),
        asker.question("here.txt", "99999999999999999999999"),
        asker.question("here.txt", "x"),
        asker.question("here.txt", ""),
        asker.question("../secret.txt", "2"),
        "get here.txt 0 127.0.0.1 2".to_owned(),
        "get here.txt 9 255.255.255.255 2".to_owned(),
        "found".to_owned(),
    ] {
        victim.say(&[text.as_bytes()]);
        victim.program.event_where("refused", SOON, |event| event["error"].is_string());
    }
    assert_eq!(asker.told(Duration::from_millis(300)), None);
    assert_eq!(victim.say(&[b"put it there"]), b"invalid content");
    // What is well-formed is understood, however it comes.
    let question = asker.question("here.txt", "-1");
    let octets: Vec<&[u8]> = question.as_bytes().chunks(1).collect();
    victim.say(&octets);
    assert!(asker.told(SOON).is_some_and(|told| told.starts_with("found here.txt at ")));
    // Two in one segment are one with fields of somebody else's.
    victim.say(&[format!("{question}{question}").as_bytes()]);
    victim.still_answers();
    victim.is_idle();
}

/// proves: R-FL-77
#[test]
fn nobody_outside_of_the_networks_is_told_and_nobody_without_end() {
    let mut victim = Victim::start(&["--network", "10.99.0.0/16"]);
    let asker = Asker::new();
    victim.say(&[asker.question("here.txt", "2").as_bytes()]);
    victim
        .program
        .event_where("refused", SOON, |event| event["error"].as_str().is_some_and(|error| error.contains("networks")));
    assert_eq!(asker.told(Duration::from_millis(500)), None);

    let victim = Victim::start(&[]);
    for file in 0..90 {
        fs::write(victim.home.path().join(format!("share/{file}.txt")), b"x").expect("written");
    }
    thread::sleep(Duration::from_secs(3));
    for file in 0..90 {
        victim.say(&[asker.question(&format!("{file}.txt"), "2").as_bytes()]);
        thread::sleep(Duration::from_millis(10));
    }
    let mut told = 0;
    while asker.told(Duration::from_millis(700)).is_some() {
        told += 1;
    }
    assert!((30..=60).contains(&told), "{told} answers");
    victim.still_answers();
}

/// proves: R-FL-79
#[test]
fn what_was_found_for_nobody_is_not_followed() {
    let mut victim = Victim::start(&[]);
    let third = Asker::new();
    let port = third.0.local_addr().expect("an address").port();
    for _ in 0..20 {
        victim.say(&[format!("found gift.txt at 3 127.0.0.1 {port}").as_bytes()]);
    }
    victim.program.event_where("refused", SOON, |event| {
        event["error"].as_str().is_some_and(|error| error.contains("nobody asked for"))
    });
    assert_eq!(third.told(Duration::from_millis(500)), None);
    assert!(!victim.home.path().join("share/gift.txt").exists());
    victim.still_answers();
}

fn message(message: &Message<'_>) -> Vec<u8> {
    let mut octets = [0; MAX_MESSAGE];
    let len = encode(message, &mut octets).expect("it fits");
    octets[..len].to_vec()
}

fn hello() -> Vec<u8> {
    message(&Message::Hello(Hello { version: 1, features: 0, token: Token::new(5), software: "by hand" }))
}

/// proves: R-FL-2, R-FL-10, R-FL-28
#[test]
fn links_that_break_the_rules_end() {
    let victim = Victim::start(&[]);
    let query =
        |id| message(&Message::Query(Query { id: QueryId::new(id), ttl: 3, hops: 0, what: What::Name("here.txt") }));
    for octets in [
        // Before Hello, and Hello twice.
        query(1),
        [hello(), hello()].concat(),
        [hello(), b"\0\0\0\0".to_vec()].concat(),
        [hello(), b"\xff\xff\xff\xff".to_vec()].concat(),
        [hello(), b"\x41\x01\0\0F".to_vec()].concat(),
        [hello(), b"\x03\0\0\0F\x01\x02".to_vec()].concat(),
        b"\x03\0\0\0F\x01\x02".to_vec(),
    ] {
        let mut stream = victim.connect();
        stream.write_all(&octets).expect("it listens");
        let mut heard = Vec::new();
        let began = Instant::now();
        let _ = stream.read_to_end(&mut heard);
        assert!(began.elapsed() < SOON, "{octets:?}");
    }
    // A thousand copies of a question: one answer. Each may have another TTL.
    let mut stream = victim.connect();
    stream.write_all(&hello()).expect("it listens");
    for copy in 0..1000_u32 {
        let ttl = u8::try_from(copy % 15).expect("small") + 1;
        let query = Query { id: QueryId::new(77), ttl, hops: 0, what: What::Name("here.txt") };
        stream.write_all(&message(&Message::Query(query))).expect("it listens");
    }
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    let (mut heard, mut room, mut hits) = (Vec::new(), [0; 4096], 0);
    while let Ok(count @ 1..) = stream.read(&mut room) {
        heard.extend_from_slice(&room[..count]);
        while let Ok(Some((message, used))) = frame(&heard) {
            hits += usize::from(matches!(message, Some(Message::Hit(_))));
            heard.drain(..used);
        }
    }
    assert_eq!(hits, 1);
    victim.is_idle();
    victim.still_answers();
}

/// proves: R-FL-60, R-FL-80
#[test]
fn links_in_the_share_lead_nowhere() {
    let victim = Victim::start(&[]);
    let heard = victim.say(&[b"request link.txt 127.0.0.1 9"]);
    assert!(heard.is_empty(), "{heard:?}");
    let home = tempfile::tempdir().expect("a folder");
    let found = run(&home, SOON, ["fetch", "link.txt", "--via", &victim.at]);
    assert_eq!(found.code, Some(3), "{}", found.said);
    let got = run(&home, SOON, ["get", &format!("feige://{}/link.txt", victim.at)]);
    assert_ne!(got.code, Some(0), "{}", got.said);
    let put = run(&victim.home, SOON, ["put", "secret.txt", &format!("feige://{}/", victim.at)]);
    assert_eq!(put.code, Some(4), "{}", put.said);
    victim.still_answers();
}

/// A classic holder that answers a request with these octets, and closes.
fn holder(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().take(16).flatten() {
            let mut room = [0; 1024];
            let Ok(count) = stream.read(&mut room) else { continue };
            let text = String::from_utf8_lossy(&room[..count]).into_owned();
            let words: Vec<&str> = text.split(' ').collect();
            match words[..] {
                ["get", name, to, ip, ..] => {
                    let found = format!("found {name} at 1 127.0.0.1 {port}");
                    let told = TcpStream::connect(format!("{ip}:{to}"));
                    let _ = told.and_then(|mut told| told.write_all(found.as_bytes()));
                }
                ["request", ..] => {
                    let _ = stream.write_all(&answer);
                }
                _ => {}
            }
        }
    });
    port
}

fn with_length(header: &str, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).expect("short").to_le_bytes();
    [&length[..], header.as_bytes(), body].concat()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// proves: R-FL-81, R-FL-82, R-FL-84, R-FL-85
#[test]
fn bad_parcels_leave_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("into")).expect("made");
    let md5 = "0b9c10a814a91f69c3d8c4e7d45ee703";
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    for (what, answer) in [
        ("a negative length", (-1_i32).to_le_bytes().to_vec()),
        ("no length", 0_i32.to_le_bytes().to_vec()),
        ("an endless length", i32::MAX.to_le_bytes().to_vec()),
        ("a deep header", with_length(&deep, b"")),
        ("wrong types", with_length(r#"{"filename":1,"md5":[],"file_size":"x"}"#, b"x")),
        ("no md5", with_length(r#"{"filename":"x.zip","file_size":22}"#, &[0; 22])),
        ("a wrong md5", with_length(&format!(r#"{{"filename":"x.zip","md5":"{md5}","file_size":22}}"#), &[0; 22])),
        ("a short body", with_length(&format!(r#"{{"filename":"x.zip","md5":"{md5}","file_size":99}}"#), b"PK")),
        ("nothing", Vec::new()),
    ] {
        let via = format!("127.0.0.1:{}/j", holder(answer));
        let ended = run(&home, SOON, ["fetch", "x", "--via", &via, "-o", "into"]);
        assert!(matches!(ended.code, Some(1..=5)), "{what}: {:?} {}", ended.code, ended.said);
        assert!(is_empty(&home.path().join("into")), "{what} left something");
    }
}
