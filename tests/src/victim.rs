//! A real `feige peer`, for tests that attack it, and those who do it: an asker, a holder and a neighbour by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use feige_core::wire::flood::{self as wire, Hello, Hit, MAX_MESSAGE, Message, Speech, Token, What, encode, frame};
use feige_core::wire::transfer::EntryKind;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{LATE, Program, SOON};

/// A peer with one file, and one that a link in its share points to.
#[derive(Debug)]
pub struct Victim {
    /// Its home, with `share` in it.
    pub home: TempDir,
    /// Where it listens.
    pub at: String,
    /// The program.
    pub program: Program,
    /// What was in its home at the beginning.
    before: Vec<String>,
}

impl Victim {
    /// Starts one with these options besides the usual ones.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(options: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("share")).expect("made");
        fs::write(home.path().join("share/here.txt"), b"hello").expect("written");
        fs::write(home.path().join("secret.txt"), b"secret").expect("written");
        std::os::unix::fs::symlink("../secret.txt", home.path().join("share/link.txt")).expect("a link");
        let before = tree(home.path());
        let arguments = ["--json", "-v", "peer", "--listen", "127.0.0.1:0", "--share", "share"];
        let mut program = Program::listening(&home, arguments.iter().chain(options));
        let at = program.event("ready")["addr"].as_str().expect("an address").to_owned();
        Self { home, at, program, before }
    }

    /// The port at which it listens.
    ///
    /// # Panics
    /// Never: it has one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.at.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// A connection to it.
    ///
    /// # Panics
    /// If it takes none.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.at).expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("set");
        stream.set_nodelay(true).expect("set");
        stream
    }

    /// See [`say`].
    #[must_use]
    pub fn say(&self, pieces: &[&[u8]]) -> Vec<u8> {
        say(&self.at, pieces)
    }

    /// A link to it, by hand.
    ///
    /// # Panics
    /// If it takes none.
    #[must_use]
    pub fn link(&self, token: u64) -> Link {
        let mut link = Link { stream: self.connect(), heard: Vec::new() };
        link.say(&Message::Hello(Hello { version: 1, features: 0, token: Token::new(token), software: "by hand" }));
        link
    }

    /// Asks for a file that is there, as J does, and expects to be told.
    ///
    /// # Panics
    /// If it is not.
    pub fn still_answers(&self) {
        let asker = Asker::new();
        let _ = self.say(&[asker.question("here.txt", "2").as_bytes()]);
        let told = asker.told(SOON);
        let told = told.unwrap_or_else(|| panic!("no answer at {}: {}", asker.port(), self.program));
        assert_eq!(told, format!("found here.txt at 0 127.0.0.1 {}", self.port()));
    }

    /// Five seconds later it takes less than a twentieth of a processor.
    ///
    /// # Panics
    /// If it takes more, or has ended.
    pub fn is_idle(&self) {
        thread::sleep(Duration::from_secs(5));
        let (began, before) = (Instant::now(), self.program.processor());
        thread::sleep(Duration::from_secs(2));
        let taken = self.program.processor().saturating_sub(before);
        assert!(taken * 20 < began.elapsed(), "{taken:?} of processor time in {:?}: {}", began.elapsed(), self.program);
    }

    /// What is in its home that was not there when it began, hidden or not.
    #[must_use]
    pub fn news(&self) -> Vec<String> {
        tree(self.home.path()).into_iter().filter(|path| !self.before.contains(path)).collect()
    }

    /// The events so far that tell of something bad, of those that nobody has waited for.
    pub fn complaints(&mut self) -> Vec<Value> {
        let is_one = |event: &Value| ["refused", "trouble", "missed"].iter().any(|name| event["event"] == *name);
        self.program.events().into_iter().filter(is_one).collect()
    }

    /// Waits until it complains, and a moment longer, and expects that it does so once, with this reason.
    ///
    /// # Panics
    /// If it does not.
    pub fn complains_once(&mut self, what: &str, reason: &str) {
        self.complains(what, &[reason]);
    }

    /// As [`Self::complains_once`], for several reasons in this order.
    ///
    /// # Panics
    /// If it complains of anything else.
    pub fn complains(&mut self, what: &str, reasons: &[&str]) {
        let until = Instant::now() + LATE;
        let mut heard = Vec::new();
        while heard.len() < reasons.len() && Instant::now() < until {
            heard.extend(self.complaints());
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(50));
        heard.extend(self.complaints());
        let errors: Vec<_> = heard.iter().map(|event| event["error"].as_str().unwrap_or_default()).collect();
        let fits =
            errors.len() == reasons.len() && errors.iter().zip(reasons).all(|(error, reason)| error.contains(reason));
        assert!(fits, "{what}: not {reasons:?} but {heard:#?}");
    }
}

/// Says a classic text in these pieces, and hears what is answered on the connection until the peer ends it.
///
/// # Panics
/// If it takes no connection.
#[must_use]
pub fn say(at: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("set");
    stream.set_nodelay(true).expect("set");
    for piece in pieces {
        if stream.write_all(piece).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut heard = Vec::new();
    // However it ends, it ends.
    let _ = stream.read_to_end(&mut heard);
    heard
}

/// Everything below a home folder, hidden or not, besides the digests that Feige remembers.
#[must_use]
pub fn tree(folder: &Path) -> Vec<String> {
    fn below(folder: &Path, name: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = format!("{name}{}", entry.file_name().to_string_lossy());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below(&entry.path(), &format!("{name}/"), found);
            }
            found.push(name);
        }
    }
    let mut found = Vec::new();
    below(folder, "", &mut found);
    found.retain(|path| !["state", "state/feige", "state/feige/digests"].contains(&path.as_str()));
    found.sort();
    found
}

/// Somebody who asks in the words of a classic program.
#[derive(Debug)]
pub struct Asker(TcpListener);

impl Asker {
    /// One at this machine's usual address.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it opens a port")]
    pub fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    /// One at this address.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn at(ip: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a port");
        listener.set_nonblocking(true).expect("set");
        Self(listener)
    }

    /// Its port.
    ///
    /// # Panics
    /// Never: it has one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    /// What J says to ask for a name.
    #[must_use]
    pub fn question(&self, name: &str, ttl: &str) -> String {
        format!("get {name} {} 127.0.0.1 {ttl}", self.port())
    }

    /// What somebody tells, within this time.
    ///
    /// # Panics
    /// If the system refuses to hear it.
    #[must_use]
    pub fn told(&self, within: Duration) -> Option<String> {
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

/// A native message, as it goes over a link.
///
/// # Panics
/// If it does not fit.
#[must_use]
pub fn octets_of(message: &Message<'_>) -> Vec<u8> {
    let mut octets = [0; MAX_MESSAGE];
    let len = encode(message, &mut octets).expect("it fits");
    octets[..len].to_vec()
}

/// A link by hand.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Link {
    /// Says something. A link that is closed takes nothing.
    pub fn say(&mut self, message: &Message<'_>) {
        self.write(&octets_of(message));
    }

    /// Writes octets.
    pub fn write(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    /// Hands what comes to `each`, until nothing has come for `quiet`, or the end, which `false` tells.
    ///
    /// # Panics
    /// If what comes is no message.
    pub fn hear(&mut self, quiet: Duration, mut each: impl FnMut(&Message<'_>)) -> bool {
        self.stream.set_read_timeout(Some(quiet)).expect("set");
        let mut room = [0; 4096];
        loop {
            while let Some((message, used)) = frame(&self.heard).expect("messages") {
                if let Some(message) = &message {
                    each(message);
                }
                self.heard.drain(..used);
            }
            match self.stream.read(&mut room) {
                Ok(0) => return false,
                Ok(count) => self.heard.extend_from_slice(&room[..count]),
                Err(error) => return matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            }
        }
    }
}

/// A native neighbour by hand, which answers each question by name with these holders, all at once, and claims this MD5.
/// Returns where it listens.
///
/// # Panics
/// If there is no port.
#[must_use]
pub fn neighbour(holders: Vec<SocketAddrV4>, size: u64, md5: Digest) -> String {
    answering(holders, EntryKind::File, Some((size, md5)))
}

/// The same of a folder.
///
/// # Panics
/// If there is no port.
#[must_use]
pub fn neighbour_of_folder(holders: Vec<SocketAddrV4>) -> String {
    answering(holders, EntryKind::Folder, None)
}

fn answering(holders: Vec<SocketAddrV4>, kind: EntryKind, facts: Option<(u64, Digest)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let holders = holders.clone();
            thread::spawn(move || converse(Link { stream, heard: Vec::new() }, &holders, kind, facts));
        }
    });
    addr
}

fn converse(mut link: Link, holders: &[SocketAddrV4], kind: EntryKind, facts: Option<(u64, Digest)>) {
    let (size, md5) = facts.unzip();
    link.say(&Message::Hello(Hello { version: 1, features: 0, token: Token::new(99), software: "by hand" }));
    loop {
        let mut hits = Vec::new();
        let is_there = link.hear(Duration::from_millis(5), |message| {
            if let Message::Query(query) = message
                && let What::Name(path) = query.what
            {
                for at in holders {
                    let holder = wire::Holder::new(*at, Speech::Native);
                    let hit = Hit { id: query.id, hops: 0, holder, kind, path, size, md5 };
                    hits.push(octets_of(&Message::Hit(hit)));
                }
            }
        });
        hits.iter().for_each(|hit| link.write(hit));
        if !is_there {
            return;
        }
    }
}

/// How a holder answers `request`.
pub enum Answer {
    /// With these octets, and waits.
    Octets(Vec<u8>),
    /// With an octet of these every so often.
    Slowly(Vec<u8>, Duration),
}

/// A classic holder that has these names, and answers a request as is said there.
#[derive(Debug)]
pub struct Holder {
    /// Where it listens.
    pub at: SocketAddrV4,
    /// Who asked for what, and how long the connection lasted since the answer.
    pub requests: Receiver<(String, Duration)>,
}

impl Holder {
    /// Starts one, which says `found` so many times.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(answers: BTreeMap<String, Answer>, founds: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let (tell, requests) = channel();
        thread::spawn(move || {
            let answers = std::sync::Arc::new(answers);
            for stream in listener.incoming().flatten() {
                let (answers, tell) = (answers.clone(), tell.clone());
                thread::spawn(move || serve(stream, &answers, port, founds, &tell));
            }
        });
        Self { at, requests }
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &BTreeMap<String, Answer>,
    port: u16,
    founds: usize,
    tell: &Sender<(String, Duration)>,
) {
    let mut room = [0; 1024];
    let Ok(count) = stream.read(&mut room) else { return };
    let text = String::from_utf8_lossy(&room[..count]).into_owned();
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["get", name, to, ip, ..] if answers.contains_key(name) => {
            for _ in 0..founds {
                let told = TcpStream::connect(format!("{ip}:{to}"));
                let _ =
                    told.and_then(|mut told| told.write_all(format!("found {name} at 1 127.0.0.1 {port}").as_bytes()));
            }
        }
        ["request", name, ..] => {
            let mut began = Instant::now();
            match answers.get(name) {
                Some(Answer::Octets(octets)) => {
                    let _ = stream.write_all(octets);
                    began = Instant::now();
                    // Until the other end closes.
                    while let Ok(1..) = stream.read(&mut room) {}
                }
                Some(Answer::Slowly(octets, pause)) => {
                    for octet in octets {
                        if stream.write_all(&[*octet]).is_err() {
                            break;
                        }
                        thread::sleep(*pause);
                    }
                }
                None => {}
            }
            let _ = tell.send((name.to_owned(), began.elapsed()));
        }
        _ => {}
    }
}
