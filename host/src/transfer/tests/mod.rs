//! Real sockets on loopback addresses of their own, real folders, and peers that do what peers do.

mod arriving;
mod serving;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use feige_core::stream::Limits;
use feige_core::text::Text;
use feige_core::wire::ipmsg::{Command, Header, Options, PacketNo, PacketToken, RequestKind};

use super::*;
use crate::charset::{Charset, Policy};
use crate::store::Inbox;

const PACKET: PacketNo = PacketNo(0x65a0_b0c0);
const CLIENT: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn header(options: Options) -> Header<'static> {
    Header {
        version: Text::from("1"),
        packet_no: PacketToken(Text::from("100")),
        user: Text::from("alice"),
        host: Text::from("wonder"),
        command: Command::GetFileData,
        options,
    }
}

fn wanted(from: SocketAddrV4, kind: RequestKind, name: &str) -> Wanted<'_> {
    Wanted {
        local: Ipv4Addr::UNSPECIFIED,
        from,
        header: header(Options::of_word(0)),
        kind,
        packet_no: PACKET,
        id: 1,
        name,
        size: None,
        modified: Some(1_700_000_000),
        charset: Some(Charset::Gbk),
        policy: Policy::new(None),
        resumes: false,
        md5: Md5Policy::Auto,
        limits: Limits::default(),
    }
}

fn file(from: SocketAddrV4, name: &str, size: u64) -> Wanted<'_> {
    Wanted { size: Some(size), ..wanted(from, RequestKind::File, name) }
}

/// A server as the program has it, and the two folders of a transfer.
struct Rig {
    folder: tempfile::TempDir,
    inbox: Inbox,
    at: SocketAddrV4,
    shares: Arc<Shares>,
    events: Receiver<Event>,
    cancel: Cancel,
    clock: Clock,
}

impl Rig {
    fn new() -> Self {
        Self::with_gate(Gate::default())
    }

    fn with_gate(gate: Gate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        let inbox = Inbox::open(folder.path().join("in")).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(at) = listener.local_addr().unwrap() else { unreachable!("bound to IPv4") };
        let (shares, cancel, clock) = (Arc::new(Shares::new()), Cancel::new(), Clock::start());
        let (sender, events) = channel();
        let sender = Mutex::new(sender);
        let serving = Serving::new(Arc::clone(&shares), gate, clock, cancel.clone(), move |event| {
            if !matches!(event, Event::Progress(..)) {
                let _ = sender.lock().unwrap().send(event);
            }
        });
        // Ends with the process: nothing but a connection wakes it up.
        thread::spawn(move || {
            while let Ok((stream, from)) = listener.accept() {
                serving.accept(stream, from);
            }
        });
        Self { folder, inbox, at, shares, events, cancel, clock }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    fn offer(&self, path: &Path) -> Arc<Share> {
        let share = Arc::new(Share::of(path).unwrap());
        self.shares.offer(self.clock.now(), CLIENT, PACKET, 1, Arc::clone(&share), Charset::Gbk).unwrap();
        share
    }

    /// Writes a file and offers it.
    fn offer_file(&self, name: &str, contents: &[u8]) -> Arc<Share> {
        fs::write(self.path(name), contents).unwrap();
        self.offer(&self.path(name))
    }

    fn download(&self, wanted: &Wanted<'_>) -> Result<Downloaded, Failed> {
        download(wanted, &self.inbox, self.clock, &self.cancel, &mut |_| {})
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// What has happened, if anything has.
    fn try_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    fn inbox_names(&self) -> Vec<String> {
        tree(self.inbox.path()).into_keys().collect()
    }

    /// A connection that says something of its own.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The same, for which the system takes only a few KiB that are not read.
    fn connect_narrow(&self) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&SocketAddr::from(self.at).into()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.into()
    }
}

/// Every file below `root`, with its contents, and every folder, with a slash.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(name + "/", Vec::new());
                folders.push(path);
            } else {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Octets that are nowhere alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn md5_of(octets: &[u8]) -> [u8; 16] {
    use md5::{Digest, Md5};
    Md5::digest(octets).into()
}

type Script = Box<dyn FnOnce(&mut TcpStream, &[u8]) + Send>;

/// A server that plays one script per connection: reads a request, then does with the connection what it is told.
fn script(scripts: Vec<Script>) -> (SocketAddrV4, JoinHandle<Vec<Vec<u8>>>) {
    script_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), scripts)
}

fn script_on(listener: TcpListener, scripts: Vec<Script>) -> (SocketAddrV4, JoinHandle<Vec<Vec<u8>>>) {
    let SocketAddr::V4(at) = listener.local_addr().unwrap() else { unreachable!("bound to IPv4") };
    let thread = thread::spawn(move || {
        let play = |script: Script| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 1024];
            let len = stream.read(&mut request).unwrap();
            request.truncate(len);
            script(&mut stream, &request);
            request
        };
        scripts.into_iter().map(play).collect()
    });
    (at, thread)
}

fn answer(octets: Vec<u8>) -> Script {
    Box::new(move |stream, _| {
        let _ = stream.write_all(&octets);
    })
}

/// A header of a folder stream, with its length in front.
fn record(fields: &str) -> String {
    format!("{:04x}:{fields}", fields.len() + 5)
}
