//! A client of the verified transfer by hand: the test itself sends requests, bodies and nonsense, octet by octet, and
//! looks at the answers.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use feige_core::digest::{BlockDigest, Digest};
use feige_core::stream::transfer::scram::{ClientExchange, MESSAGE_MAX, NONCE};
use feige_core::wire::transfer::{
    Data, EntryKind, ErrorCode, Get, Hello, LENGTH, Prefix, Put, Reply, Request, VERSION, block_len, decode, encode,
    prefix,
};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::program::SOON;

/// Blocks in a run, at most (R-VT-33).
const BLOCKS: usize = 16;

/// A connection to a server.
#[derive(Debug)]
pub struct Caller {
    /// To misbehave with.
    pub stream: TcpStream,
}

/// A header that the server sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Heard(Vec<u8>);

/// The server said that something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub text: String,
}

/// Code only: what most tests compare.
impl PartialEq<ErrorCode> for Refused {
    fn eq(&self, code: &ErrorCode) -> bool {
        self.code == *code
    }
}

/// Where to go on with an upload, as [`Caller::announce`] heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Octets that are there already.
    pub offset: u64,
    /// The size of blocks, as a power of two.
    pub block: u8,
}

impl Heard {
    /// What it says.
    ///
    /// # Panics
    /// If it is no header of a reply.
    #[must_use]
    pub fn reply(&self) -> Reply<'_> {
        decode(&self.0).unwrap_or_else(|error| panic!("{error}: {}", self.0.escape_ascii()))
    }

    /// An error, which it is not expected to be.
    ///
    /// # Errors
    /// If it is one.
    pub fn accepted(self) -> Result<Self, Refused> {
        match self.reply() {
            Reply::Error { code, text } => Err(Refused { code, text: text.to_owned() }),
            _ => Ok(self),
        }
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reply().fmt(f)
    }
}

/// The octets of a message without a body.
///
/// # Panics
/// If it is longer than any header may be.
#[must_use]
pub fn message(request: &Request<'_>) -> Vec<u8> {
    let mut octets = vec![0; 1 << 17];
    let len = encode(request, &mut octets).expect("fits");
    octets.truncate(len);
    octets
}

/// The announcement of a file, to be changed by those who want something special.
#[must_use]
pub fn put(path: &str, size: u64) -> Put<'_> {
    Put { path, size, mtime: None, mode: None, stamp: size ^ 0x5eed, block: 16, replace: true, inline: false }
}

/// The octets of one run of blocks, which begins at `at`, with header and digests.
#[must_use]
pub fn run(at: u64, octets: &[u8], block: u8) -> Vec<u8> {
    let mut message = message(&Request::Data(Data { at, len: u32::try_from(octets.len()).expect("a run") }));
    message.extend(octets.chunks(length(block)).flat_map(|block| Digest::of(block).0));
    message.extend_from_slice(octets);
    message
}

/// The digest of blocks, as if they were a file.
#[must_use]
pub fn digest(octets: &[u8], block: u8) -> Digest {
    let mut digest = BlockDigest::new();
    octets.chunks(length(block)).for_each(|block| digest.push(&Digest::of(block)));
    digest.finish()
}

/// Everything that follows a [`Ready`]: runs, and the end.
#[must_use]
pub fn rest(octets: &[u8], ready: Ready) -> Vec<u8> {
    let rest = &octets[usize::try_from(ready.offset).expect("small")..];
    let mut at = ready.offset;
    let mut messages = Vec::with_capacity(rest.len() + rest.len() / 64 + 256);
    for octets in rest.chunks(BLOCKS * length(ready.block)) {
        messages.extend(run(at, octets, ready.block));
        at += octets.len() as u64;
    }
    messages.extend(message(&Request::Finish { digest: digest(rest, ready.block) }));
    messages
}

/// Octets that are nowhere the same.
#[must_use]
pub fn octets(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut octets = Vec::with_capacity(len + 8);
    while octets.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend(state.to_le_bytes());
    }
    octets.truncate(len);
    octets
}

fn length(block: u8) -> usize {
    block_len(block).and_then(|len| usize::try_from(len).ok()).expect("a size of blocks")
}

impl Caller {
    /// Connects, and says nothing.
    ///
    /// # Panics
    /// If nobody listens.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        Self::of(TcpStream::connect(to).unwrap_or_else(|error| panic!("{to}: {error}")))
    }

    /// Connects from another address of this machine.
    ///
    /// # Panics
    /// If that is none of this machine's, or nobody listens.
    #[must_use]
    pub fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::new(IpAddr::V4(from), 0)).expect("an address of loopback");
        connect(&socket, &to).expect("somebody listens");
        Self::of(socket.into())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(SOON)).expect("a socket");
        stream.set_write_timeout(Some(SOON)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream }
    }

    /// Connects and exchanges hellos.
    ///
    /// # Panics
    /// If the server does not answer with one.
    #[must_use]
    pub fn greeted(to: SocketAddr) -> Self {
        let mut caller = Self::connect(to);
        caller.hello();
        caller
    }

    /// Connects and comes in as a guest.
    ///
    /// # Panics
    /// If it is not let in.
    #[must_use]
    pub fn guest(to: SocketAddr) -> Self {
        let mut caller = Self::greeted(to);
        assert_eq!(caller.ask(&Request::Guest).reply(), Reply::Done);
        caller
    }

    /// Connects and comes in with an account.
    ///
    /// # Errors
    /// What the server says if it does not let it in.
    pub fn user(to: SocketAddr, name: &str, password: &str) -> Result<Self, Refused> {
        let mut caller = Self::greeted(to);
        caller.sign_in(name, password)?;
        Ok(caller)
    }

    /// Exchanges hellos.
    ///
    /// # Panics
    /// If the server does not answer with one.
    pub fn hello(&mut self) {
        let answer = self.ask(&hello());
        let Reply::Hello(theirs) = answer.reply() else { panic!("{answer:?} instead of a hello") };
        assert_eq!(theirs.version, VERSION);
    }

    /// Proves who it is, and that the server knows its account.
    ///
    /// # Errors
    /// What the server says if it does not let it in.
    ///
    /// # Panics
    /// If the server breaks the rules of SCRAM.
    pub fn sign_in(&mut self, name: &str, password: &str) -> Result<(), Refused> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let nonce: [u8; NONCE] = octets(NONCE, COUNT.fetch_add(1, Ordering::Relaxed)).try_into().expect("so many");
        let mut exchange = ClientExchange::new(name, &nonce).expect("a name");
        let mut room = [0; MESSAGE_MAX];
        let first = exchange.first(&mut room).expect("fits");
        let answer = self.ask(&Request::SignIn { message: first }).accepted()?;
        let Reply::SignIn { message } = answer.reply() else { panic!("{answer:?} to a sign-in") };
        let proof = exchange.challenge(message, password, &mut room).expect("a challenge");
        let answer = self.ask(&Request::Proof { message: proof }).accepted()?;
        let Reply::SignIn { message } = answer.reply() else { panic!("{answer:?} to a proof") };
        exchange.confirm(message).expect("the server knows the account");
        Ok(())
    }

    /// Sends whatever octets.
    ///
    /// # Panics
    /// If the server has gone.
    pub fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the server reads");
    }

    /// Sends a message without a body.
    pub fn say(&mut self, request: &Request<'_>) {
        self.send(&message(request));
    }

    /// Reads the next header.
    ///
    /// # Errors
    /// If the connection ended, or nothing came for a long time.
    ///
    /// # Panics
    /// If the length in front of it makes no sense.
    pub fn try_hear(&mut self) -> io::Result<Heard> {
        let mut length = [0; LENGTH];
        self.stream.read_exact(&mut length)?;
        let Ok(Prefix::Header(len)) = prefix(&length, 4096) else { panic!("a length of {length:?}") };
        let mut header = vec![0; len];
        self.stream.read_exact(&mut header)?;
        Ok(Heard(header))
    }

    /// Reads the next header, but those that only say that the server works (R-VT-73): on a busy machine, putting a file
    /// on the disk may take that long.
    ///
    /// # Panics
    /// If none comes.
    pub fn hear(&mut self) -> Heard {
        loop {
            let heard = self.try_hear().unwrap_or_else(|error| panic!("no answer: {error}"));
            if heard.reply() != Reply::Working {
                return heard;
            }
        }
    }

    /// Sends a request without a body and reads the answer.
    pub fn ask(&mut self, request: &Request<'_>) -> Heard {
        self.say(request);
        self.hear()
    }

    /// Asks for something that is refused, and returns why.
    ///
    /// # Panics
    /// If it is not refused.
    pub fn refused(&mut self, request: &Request<'_>) -> ErrorCode {
        match self.ask(request).accepted() {
            Err(refused) => refused.code,
            Ok(answer) => panic!("{answer:?} to {request:?}"),
        }
    }

    /// Asks for something that is done.
    ///
    /// # Errors
    /// Why it is not.
    pub fn done(&mut self, request: &Request<'_>) -> Result<(), Refused> {
        let answer = self.ask(request).accepted()?;
        assert_eq!(answer.reply(), Reply::Done);
        Ok(())
    }

    /// Whether the server closes the connection, whatever it says before.
    pub fn is_closed(&mut self) -> bool {
        let mut room = [0; 4096];
        loop {
            match self.stream.read(&mut room) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Announces a file.
    ///
    /// # Errors
    /// Why it is not welcome.
    ///
    /// # Panics
    /// If the answer is none to that.
    pub fn announce(&mut self, put: &Put<'_>) -> Result<Ready, Refused> {
        let answer = self.ask(&Request::Put(*put)).accepted()?;
        let Reply::Ready { offset, block } = answer.reply() else { panic!("{answer:?} to an announcement") };
        Ok(Ready { offset, block })
    }

    /// Sends a file that was announced, from where the server has it on, and hears that it is stored.
    ///
    /// # Errors
    /// Why it is not.
    ///
    /// # Panics
    /// If the digest that comes back is another.
    pub fn upload(&mut self, octets: &[u8], ready: Ready) -> Result<(), Refused> {
        self.send(&rest(octets, ready));
        let expected = digest(&octets[usize::try_from(ready.offset).expect("small")..], ready.block);
        let answer = self.hear().accepted()?;
        assert_eq!(answer.reply(), Reply::Stored { digest: expected });
        Ok(())
    }

    /// Stores a file.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn put(&mut self, path: &str, octets: &[u8]) -> Result<(), Refused> {
        let ready = self.announce(&put(path, octets.len() as u64))?;
        self.upload(octets, ready)
    }

    /// Stores a small file, whose octets follow their announcement at once.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn put_small(&mut self, path: &str, octets: &[u8]) -> Result<(), Refused> {
        self.send(&small(path, octets));
        let answer = self.hear().accepted()?;
        assert_eq!(answer.reply(), Reply::Stored { digest: Digest::of(octets) });
        Ok(())
    }

    /// Fetches a whole file, and checks every block of it.
    ///
    /// # Errors
    /// Why it cannot be had.
    ///
    /// # Panics
    /// If it comes damaged.
    pub fn get(&mut self, path: &str) -> Result<Vec<u8>, Refused> {
        self.say(&get(path));
        self.file()
    }

    /// Receives a file that was asked for.
    ///
    /// # Errors
    /// Why it cannot be had.
    ///
    /// # Panics
    /// If it comes damaged.
    pub fn file(&mut self) -> Result<Vec<u8>, Refused> {
        let answer = self.hear().accepted()?;
        let Reply::File(file) = answer.reply() else { panic!("{answer:?} instead of a file") };
        let mut octets = Vec::new();
        while (octets.len() as u64) < file.length {
            let answer = self.hear().accepted()?;
            let Reply::Data(data) = answer.reply() else { panic!("{answer:?} instead of data") };
            assert_eq!(data.at, file.offset + octets.len() as u64, "out of order");
            let mut run = vec![0; usize::try_from(data.len).expect("a run")];
            let mut digests = vec![0; run.len().div_ceil(length(file.block)) * Digest::LEN];
            self.stream.read_exact(&mut digests).expect("digests");
            self.stream.read_exact(&mut run).expect("octets");
            for (block, digest) in run.chunks(length(file.block)).zip(digests.chunks(Digest::LEN)) {
                assert_eq!(digest, Digest::of(block).0, "damaged");
            }
            octets.extend(run);
        }
        Ok(octets)
    }

    /// The names in a folder, sorted; folders end with a slash. And how many pages it took.
    ///
    /// # Errors
    /// Why it cannot be listed.
    ///
    /// # Panics
    /// If the answer is no listing.
    pub fn list(&mut self, path: &str) -> Result<(Vec<String>, usize), Refused> {
        let (mut names, mut cursor, mut pages) = (Vec::new(), 0, 0);
        loop {
            self.say(&Request::List { path, cursor });
            pages += 1;
            loop {
                let answer = self.hear().accepted()?;
                match answer.reply() {
                    Reply::Entry(entry) if entry.kind == EntryKind::Folder => names.push(format!("{}/", entry.name)),
                    Reply::Entry(entry) => names.push(entry.name.to_owned()),
                    Reply::End { cursor: 0 } => {
                        names.sort();
                        return Ok((names, pages));
                    }
                    Reply::End { cursor: next } => {
                        cursor = next;
                        break;
                    }
                    other => panic!("{other:?} in a listing"),
                }
            }
        }
    }

    /// What is used, and what may be.
    ///
    /// # Panics
    /// If the server does not say.
    pub fn space(&mut self) -> (u64, Option<u64>) {
        let answer = self.ask(&Request::Space);
        let Reply::Space { used, quota, .. } = answer.reply() else { panic!("{answer:?} to a question for space") };
        (used, quota)
    }
}

/// A client's hello.
#[must_use]
pub const fn hello() -> Request<'static> {
    let (features, max_header, window, max_block) = (0, 4096, 1 << 20, 20);
    Request::Hello(Hello { version: VERSION, features, max_header, window, max_block, software: "by hand" })
}

/// A request for a whole file.
#[must_use]
pub const fn get(path: &str) -> Request<'_> {
    Request::Get(Get { path, offset: 0, length: u64::MAX, block: 0, stamp: 0 })
}

/// The octets of a small file with its announcement.
#[must_use]
pub fn small(path: &str, octets: &[u8]) -> Vec<u8> {
    let mut message = message(&Request::Put(Put { inline: true, ..put(path, octets.len() as u64) }));
    if !octets.is_empty() {
        message.extend(Digest::of(octets).0);
    }
    message.extend(octets);
    message
}
