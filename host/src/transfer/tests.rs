//! Real sockets on loopback addresses of their own, real folders, and peers that do what peers do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use feige_core::node::Refused;
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

    fn inbox_names(&self) -> Vec<String> {
        tree(self.inbox.path()).into_keys().collect()
    }

    /// A connection that says something of its own.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
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

#[test]
fn a_file_arrives_whole() {
    let rig = Rig::new();
    for (size, policy) in
        [(0, Md5Policy::Auto), (1, Md5Policy::Never), (3_000_000, Md5Policy::Auto), (3_000_000, Md5Policy::Never)]
    {
        let contents = noise(size);
        let share = rig.offer_file("报告.bin", &contents);
        let mut wanted = file(rig.at, share.name(), share.size());
        wanted.md5 = policy;
        wanted.modified = share.modified();
        let downloaded = rig.download(&wanted).unwrap();
        assert_eq!(fs::read(&downloaded.path).unwrap(), contents);
        assert_eq!(downloaded.size, size as u64);
        assert_eq!(downloaded.md5, (policy == Md5Policy::Auto).then(|| md5_of(&contents)));
        let mtime = |path: &Path| seconds_of(fs::metadata(path).unwrap().modified().unwrap());
        assert_eq!(mtime(&downloaded.path), mtime(&rig.path("报告.bin")));
        match rig.event() {
            Event::Served { fetch, totals } => {
                assert_eq!((fetch.name.as_str(), fetch.packet_no, fetch.id), ("报告.bin", PACKET, 1));
                assert_eq!(totals.octets, size as u64);
            }
            other => panic!("{other:?}"),
        }
        rig.shares.withdraw(PACKET);
    }
    assert_eq!(rig.inbox_names(), ["报告 (1).bin", "报告 (2).bin", "报告 (3).bin", "报告.bin"]);
}

fn seconds_of(time: std::time::SystemTime) -> u64 {
    shares::seconds(time)
}

#[test]
fn a_folder_arrives_whole() {
    let rig = Rig::new();
    let root = rig.path("文件夹");
    fs::create_dir_all(root.join("空")).unwrap();
    for folder in 0..10 {
        let deep = root.join(format!("子{folder}")).join("b").join("c");
        fs::create_dir_all(&deep).unwrap();
        for number in 0..100 {
            // Of all sizes around what fits a buffer, most of them small.
            let size = if number == 0 { 100_000 * folder } else { (number * 37) % 5000 };
            let place = [&root, deep.parent().unwrap(), &deep][number % 3];
            fs::write(place.join(format!("{folder}-{number} 文.txt")), noise(size)).unwrap();
        }
    }
    rig.offer(&root);
    for options in [Options::of_word(0), Options::UTF8] {
        let mut wanted = wanted(rig.at, RequestKind::Folder, "接收");
        wanted.header = header(options);
        let downloaded = rig.download(&wanted).unwrap();
        assert!(tree(&downloaded.path) == tree(&root));
        assert_eq!((downloaded.totals.files, downloaded.totals.folders), (1000, 32));
        assert!(!downloaded.totals.unclosed);
        assert!(matches!(rig.event(), Event::Served { totals, .. } if totals.files == 1000));
    }
    let mtime = |path: &Path| seconds_of(fs::metadata(path).unwrap().modified().unwrap());
    assert_eq!(mtime(&rig.inbox.path().join("接收/空")), mtime(&root.join("空")));
}

/// proves: R-IP-90
#[test]
fn a_file_may_be_asked_for_as_a_folder() {
    let rig = Rig::new();
    rig.offer_file("x", b"hello");
    let downloaded = rig.download(&wanted(rig.at, RequestKind::Folder, "x")).unwrap();
    assert_eq!(fs::read(downloaded.path).unwrap(), b"hello");
}

/// proves: R-IP-63, R-IP-70
#[test]
fn a_size_that_is_not_announced_is_found_out() {
    let contents = noise(300_000);
    let (at, server) = script(vec![answer(contents.clone())]);
    let rig = Rig::new();
    let downloaded = rig.download(&wanted(at, RequestKind::File, "x")).unwrap();
    assert_eq!(fs::read(downloaded.path).unwrap(), contents);
    assert_eq!(downloaded.md5, Some(md5_of(&contents)));
    // The one form of the request that every known server takes.
    assert_eq!(server.join().unwrap(), [b"1:100:alice:wonder:96:65a0b0c0:1:0:\0"]);
}

/// An address and port of this machine at which nobody listens.
fn nobody(address: Ipv4Addr) -> SocketAddrV4 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    SocketAddrV4::new(address, listener.local_addr().unwrap().port())
}

#[test]
fn an_address_where_nobody_listens_is_told() {
    let rig = Rig::new();
    let failed = rig.download(&file(nobody(Ipv4Addr::new(127, 9, 9, 9)), "x", 5)).unwrap_err();
    assert_eq!(failed.error.exit(), Exit::Nobody, "{failed}");
    assert!(rig.inbox_names().is_empty());
}

/// proves: R-IP-98
#[test]
fn the_usual_port_is_tried_where_nobody_listens_at_that_of_the_datagram() {
    use feige_core::wire::ipmsg::PORT;
    let address = Ipv4Addr::new(127, 98, 0, 98);
    let listener = match TcpListener::bind((address, PORT)) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("skipped: port {PORT} of {address} is not free: {error}"),
    };
    let (_, server) = script_on(listener, vec![answer(b"hello".to_vec())]);
    let rig = Rig::new();
    let downloaded = rig.download(&file(nobody(address), "x", 5)).unwrap();
    assert_eq!(fs::read(downloaded.path).unwrap(), b"hello");
    assert_eq!(server.join().unwrap().len(), 1);
}

/// proves: R-IP-53, R-IP-77
#[test]
fn what_was_not_offered_is_refused() {
    let rig = Rig::new();
    rig.offer_file("x", b"hello");
    let mut other = file(rig.at, "x", 5);
    other.packet_no = PacketNo(1);
    let failed = rig.download(&other).unwrap_err();
    assert_eq!((failed.error.exit(), failed.part), (Exit::Refused, None));
    assert!(matches!(rig.event(), Event::NotOffered { packet_no: PacketNo(1), id: 1, .. }));

    rig.shares.release(CLIENT, PACKET);
    assert_eq!(rig.download(&file(rig.at, "x", 5)).unwrap_err().error.exit(), Exit::Refused);
    let share = Arc::new(Share::of(&rig.path("x")).unwrap());
    let stranger = Ipv4Addr::new(127, 0, 0, 2);
    rig.shares.offer(rig.clock.now(), stranger, PACKET, 1, share, Charset::Gbk).unwrap();
    assert_eq!(rig.download(&file(rig.at, "x", 5)).unwrap_err().error.exit(), Exit::Refused);
    // Asked again thrice for each of the three.
    let why: Vec<_> = (0..11)
        .map(|_| match rig.event() {
            Event::NotOffered { refused, .. } => refused,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(why[..7], [Refused::NotOffered; 7]);
    assert_eq!(why[7..], [Refused::NotToYou; 4]);
    assert!(rig.inbox_names().is_empty());
}

/// proves: R-IP-99
#[test]
fn a_peer_that_is_asked_too_early_is_asked_again() {
    let (at, server) = script(vec![answer(vec![]), answer(vec![]), answer(b"hello".to_vec())]);
    let rig = Rig::new();
    let downloaded = rig.download(&file(at, "x", 5)).unwrap();
    assert_eq!(fs::read(downloaded.path).unwrap(), b"hello");
    assert_eq!(server.join().unwrap().len(), 3);
}

#[test]
fn a_short_file_is_kept_as_a_part() {
    let (at, _) = script(vec![answer(b"hel".to_vec())]);
    let rig = Rig::new();
    let failed = rig.download(&file(at, "x", 5)).unwrap_err();
    assert!(matches!(failed.error, TransferError::Short { got: 3, want: 5 }), "{failed}");
    assert_eq!(failed.error.exit(), Exit::Incomplete);
    assert_eq!(fs::read(failed.part.unwrap()).unwrap(), b"hel");
    assert!(!rig.inbox.path().join("x").exists());
}

/// proves: R-IP-79
#[test]
fn not_an_octet_more_than_announced_is_taken() {
    // Goes on until nobody listens any more.
    let flood = Box::new(|stream: &mut TcpStream, _: &[u8]| while stream.write_all(&[b'x'; 65536]).is_ok() {});
    let (at, server) = script(vec![flood]);
    let rig = Rig::new();
    let downloaded = rig.download(&file(at, "x", 1)).unwrap();
    assert_eq!(fs::read(downloaded.path).unwrap(), b"x");
    server.join().unwrap();
}

/// proves: R-IP-88, R-IP-95
#[test]
fn a_folder_cannot_leave_the_folder() {
    let end = record(".:0:3:");
    let mut stream = record("ok:0:2:") + &record("../:0:2:");
    for name in ["../x", "/etc/passwd", "con", r"a\..\b", "a\0b"] {
        stream += &(record(&format!("{name}:1:1:")) + "x");
    }
    stream += &(end.clone() + &end);
    let (at, _) = script(vec![answer(stream.into_bytes())]);
    let rig = Rig::new();
    let result = rig.download(&wanted(at, RequestKind::Folder, "../../evil"));
    let outside = tree(rig.folder.path());
    assert!(outside.keys().all(|name| name.starts_with("in/") || name == "out/"), "{outside:?}");
    let downloaded = result.unwrap();
    assert_eq!(downloaded.path.parent(), Some(rig.inbox.path()));
    assert_eq!(downloaded.totals.files, 5);
}

#[test]
fn a_failed_folder_leaves_only_the_part() {
    // Cut within the contents of a file.
    let stream = record("ok:0:2:") + &record("a:1:1:") + "x" + &record("b:5:1:") + "x";
    let (at, _) = script(vec![answer(stream.into_bytes())]);
    let rig = Rig::new();
    let failed = rig.download(&wanted(at, RequestKind::Folder, "ok")).unwrap_err();
    assert_eq!(failed.error.exit(), Exit::Incomplete, "{failed}");
    let part = failed.part.unwrap();
    assert_eq!(tree(&part).get("a").map(Vec::as_slice), Some(&b"x"[..]));
    assert!(!rig.inbox.path().join("ok").exists());
}

/// proves: R-IP-76
#[test]
fn a_cut_transfer_goes_on_where_it_was_cut() {
    let contents = noise(1_000_000);
    let rig = Rig::new();
    let share = rig.offer_file("x", &contents);
    let mut cut = 1;
    for (round, md5) in [Md5Policy::Never, Md5Policy::Auto, Md5Policy::Never, Md5Policy::Always].into_iter().enumerate()
    {
        // Cut anywhere, first by a server that closes, then by one that resets.
        cut = (cut * 7919) % contents.len();
        let front = contents[..cut].to_vec();
        let (at, _) = script(vec![Box::new(move |stream: &mut TcpStream, _: &[u8]| {
            stream.write_all(&front).unwrap();
            if round % 2 == 1 {
                thread::sleep(Duration::from_millis(200));
                socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        })]);
        let name = format!("x{round}");
        let mut wanted = file(at, &name, share.size());
        (wanted.resumes, wanted.md5) = (true, md5);
        let failed = rig.download(&wanted).unwrap_err();
        assert_eq!(failed.error.exit(), Exit::Incomplete, "{failed}");
        assert_eq!(fs::metadata(failed.part.unwrap()).unwrap().len(), cut as u64);

        // The same address, another port: as a program has it that was started anew.
        wanted.from = rig.at;
        let downloaded = rig.download(&wanted).unwrap();
        assert_eq!(downloaded.totals.octets, (contents.len() - cut) as u64, "only the rest came");
        assert!(fs::read(downloaded.path).unwrap() == contents);
        assert_eq!(downloaded.md5, (md5 != Md5Policy::Never).then(|| md5_of(&contents)));
        assert!(matches!(rig.event(), Event::Served { .. }));
    }
    assert_eq!(rig.inbox_names(), ["x0", "x1", "x2", "x3"]);
}

#[test]
fn a_file_that_shrank_is_not_served() {
    let rig = Rig::new();
    rig.offer_file("x", b"hello");
    fs::write(rig.path("x"), "hell").unwrap();
    assert_eq!(rig.download(&file(rig.at, "x", 5)).unwrap_err().error.exit(), Exit::Refused);
    assert!(matches!(rig.event(), Event::Failed { .. }));
    // One that has grown is served as it was announced.
    fs::write(rig.path("x"), "hello, world").unwrap();
    let downloaded = rig.download(&file(rig.at, "x", 5)).unwrap();
    assert_eq!(fs::read(downloaded.path).unwrap(), b"hello");
}

/// proves: R-IP-89, R-IP-92
#[cfg(unix)]
#[test]
fn links_and_unreadable_entries_of_a_folder_are_not_sent() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let rig = Rig::new();
    let root = rig.path("root");
    fs::create_dir(&root).unwrap();
    fs::write(rig.path("secret"), "secret").unwrap();
    symlink(rig.path("secret"), root.join("link")).unwrap();
    fs::write(root.join("closed"), "closed").unwrap();
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let readable = fs::read(root.join("closed")).is_ok();
    rig.offer(&root);
    let downloaded = rig.download(&wanted(rig.at, RequestKind::Folder, "root")).unwrap();
    let names: Vec<_> = tree(&downloaded.path).into_keys().collect();
    // To the administrator nothing is closed.
    assert_eq!(names, [if readable { "closed" } else { "closed (Can't open)" }]);
}

/// proves: R-IP-72, R-IP-73, R-IP-74
#[test]
fn a_request_may_come_octet_by_octet_in_every_form() {
    let rig = Rig::new();
    rig.offer_file("x", b"hello");
    // Official, iptux, libipmsg, mattn (no end: wait), and an id in decimal as in the list.
    for request in
        ["96:65a0b0c0:1:0:\0", "96:65a0b0c0:1:0\0", "96:65a0b0c0:1:0", "96:65A0B0C0:01:", "96:65a0b0c0:0:0:\0"]
    {
        let mut stream = rig.connect();
        stream.set_nodelay(true).unwrap();
        for octet in format!("1:5:bob:host:{request}").bytes() {
            stream.write_all(&[octet]).unwrap();
            thread::sleep(Duration::from_micros(500));
        }
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"hello", "{request:?}");
        drop(stream);
        assert!(matches!(rig.event(), Event::Served { .. }));
    }
}

#[test]
fn nonsense_is_answered_by_closing() {
    let rig = Rig::new();
    rig.offer_file("x", b"hello");
    for request in [&b"GET / HTTP/1.1\r\n\r\n\0"[..], b"\0", b"1:5:bob:host:32:hi\0", b"1:5:bob:host:98:65a0b0c0:9:\0"]
    {
        let mut stream = rig.connect();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        // A reset is an answer, too.
        let _ = stream.read_to_end(&mut got);
        assert!(got.is_empty());
        assert!(matches!(rig.event(), Event::NoRequest { .. } | Event::NotOffered { .. }));
    }
}

#[test]
fn one_connection_too_many_is_closed_at_once() {
    let rig = Rig::with_gate(Gate::new(8, 2));
    let (_one, _two, mut three) = (rig.connect(), rig.connect(), rig.connect());
    let start = Instant::now();
    assert_eq!(three.read(&mut [0; 8]).unwrap_or(0), 0);
    assert!(start.elapsed() < Duration::from_secs(5));
    match rig.event() {
        Event::TooMany { refusal, .. } => assert_eq!((refusal.limit, refusal.per_address), (2, true)),
        other => panic!("{other:?}"),
    }
}

/// proves: R-IP-78
#[test]
fn a_connection_that_says_nothing_is_dropped_at_its_deadline() {
    let rig = Rig::new();
    let mut stream = rig.connect();
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0);
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(10) && waited < Duration::from_secs(19), "{waited:?}");
    assert!(matches!(rig.event(), Event::NoRequest { .. }));
}

#[test]
fn cancelling_ends_a_download_soon_and_keeps_the_part() {
    let rig = Rig::new();
    let (at, _) = script(vec![Box::new(|stream: &mut TcpStream, _: &[u8]| {
        stream.write_all(b"hel").unwrap();
        let _ = stream.read(&mut [0; 8]);
    })]);
    let (cancel, start) = (rig.cancel.clone(), Instant::now());
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        cancel.cancel();
    });
    let failed = rig.download(&file(at, "x", 5)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(failed.error.exit(), Exit::Interrupted);
    assert_eq!(fs::read(failed.part.unwrap()).unwrap(), b"hel");
}

/// What a client of its own writes to have the file 1 of our message.
const REQUEST: &[u8] = b"1:5:bob:host:96:65a0b0c0:1:0:\0";

#[test]
fn cancelling_ends_a_connection_that_is_served_by_a_reset() {
    let rig = Rig::new();
    rig.offer_file("x", &noise(20_000_000));
    let mut stream = rig.connect();
    stream.write_all(REQUEST).unwrap();
    // Takes nothing, so that the server waits.
    thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    rig.cancel.cancel();
    assert!(matches!(rig.event(), Event::Failed { error: TransferError::Cancelled, .. }));
    assert!(start.elapsed() < Duration::from_secs(5));
    // An orderly end would look like the end of the file.
    assert!(stream.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn a_client_that_leaves_in_the_midst_is_told() {
    let rig = Rig::new();
    rig.offer_file("x", &noise(20_000_000));
    let mut stream = rig.connect();
    stream.write_all(REQUEST).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    match rig.event() {
        Event::Failed { fetch, error } => assert_eq!((fetch.name.as_str(), error.exit()), ("x", Exit::Incomplete)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn progress_is_told_now_and_then() {
    let (at, _) = script(vec![Box::new(|stream: &mut TcpStream, _: &[u8]| {
        for _ in 0..40 {
            stream.write_all(&[7; 100]).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
    })]);
    let rig = Rig::new();
    let mut told = Vec::new();
    let wanted = file(at, "x", 4000);
    download(&wanted, &rig.inbox, rig.clock, &rig.cancel, &mut |progress| told.push(progress)).unwrap();
    assert!((3..=12).contains(&told.len()), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0].done < pair[1].done));
    assert!(told.iter().all(|progress| progress.total == Some(4000)));
}

#[test]
fn no_space_is_told_before_the_peer_is_asked() {
    let rig = Rig::new();
    let (at, server) = script(vec![]);
    let failed = rig.download(&file(at, "x", u64::MAX / 4)).unwrap_err();
    assert_eq!(failed.error.exit(), Exit::NoSpace, "{failed}");
    assert!(server.join().unwrap().is_empty());
    assert!(rig.inbox_names().is_empty());
}

#[test]
fn a_share_has_the_name_that_the_user_wrote() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let name = |path: &str| Share::of(&folder.path().join(path)).unwrap().name().to_owned();
    assert_eq!((name("data"), name("data/"), name("data/.")), ("data".into(), "data".into(), "data".into()));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("data", folder.path().join("link")).unwrap();
        assert_eq!(name("link"), "link");
    }
    assert_eq!(name("data/.."), folder.path().file_name().unwrap().to_str().unwrap());
    assert_eq!(Share::of(Path::new("/")).unwrap().name(), "root");
    assert!(Share::of(&folder.path().join("none")).is_err());
}

#[test]
fn offers_come_and_go_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "x").unwrap();
    let share = Arc::new(Share::of(&folder.path().join("x")).unwrap());
    let (shares, clock) = (Shares::new(), Clock::start());
    let offer =
        |packet_no| shares.offer(clock.now(), CLIENT, PacketNo(packet_no), 1, Arc::clone(&share), Charset::Utf8);
    for packet_no in 0..Shares::MOST {
        offer(u32::try_from(packet_no).unwrap()).unwrap();
    }
    assert_eq!(offer(0), Err(TooManyOffers));
    assert_eq!((shares.withdraw(PacketNo(0)), shares.release(CLIENT, PacketNo(1))), (1, 1));
    assert_eq!((shares.release(CLIENT, PacketNo(1)), shares.len()), (0, Shares::MOST - 2));
    assert_eq!(Arc::strong_count(&share), Shares::MOST - 1);
    assert_eq!((offer(0), offer(1)), (Ok(()), Ok(())));
}

/// A file system of 4 MiB in memory, mounted on a folder until it is dropped.
#[cfg(target_os = "linux")]
struct SmallDisk(PathBuf);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// `None`, with the reason told, where that is not allowed.
    fn mount(at: &Path) -> Option<Self> {
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "feige-test"]).arg(at).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_path_buf()));
        }
        eprintln!("skipped: a small disk can only be mounted by root");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(folder.path()) else { return };
    let rig = Rig { inbox: Inbox::open(folder.path()).unwrap(), ..Rig::new() };

    // Announced: nothing is written at all.
    let share = rig.offer_file("big", &noise(5_000_000));
    let failed = rig.download(&file(rig.at, "big", share.size())).unwrap_err();
    assert_eq!((failed.error.exit(), failed.part), (Exit::NoSpace, None));

    // Not announced: it ends on the way, whoever writes (splice, or this process for the digest).
    for md5 in [Md5Policy::Never, Md5Policy::Always] {
        let mut wanted = wanted(rig.at, RequestKind::File, "big");
        wanted.md5 = md5;
        let failed = rig.download(&wanted).unwrap_err();
        assert_eq!(failed.error.exit(), Exit::NoSpace, "{failed}");
        fs::remove_file(failed.part.unwrap()).unwrap();
    }

    // In a folder.
    fs::create_dir(rig.path("root")).unwrap();
    for number in 0..50 {
        fs::write(rig.path("root").join(number.to_string()), noise(100_000)).unwrap();
    }
    rig.shares.withdraw(PACKET);
    rig.offer(&rig.path("root"));
    let failed = rig.download(&wanted(rig.at, RequestKind::Folder, "root")).unwrap_err();
    assert_eq!(failed.error.exit(), Exit::NoSpace, "{failed}");
    assert!(!rig.inbox.path().join("root").exists());
}
