//! Files and folders that come.

use feige_core::node::Refused;

use super::*;

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

#[test]
fn a_download_makes_its_folder_again() {
    let rig = Rig::new();
    let share = rig.offer_file("a", b"contents");
    for _ in 0..2 {
        fs::remove_dir_all(rig.inbox.path()).unwrap();
        let downloaded = rig.download(&file(rig.at, share.name(), share.size())).unwrap();
        assert_eq!(downloaded.path, rig.inbox.path().join("a"));
        assert_eq!(rig.inbox_names(), ["a"]);
    }
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
fn a_failed_folder_leaves_nothing() {
    // Cut within the contents of a file.
    let stream = record("ok:0:2:") + &record("a:1:1:") + "x" + &record("b:5:1:") + "x";
    let (at, _) = script(vec![answer(stream.into_bytes())]);
    let rig = Rig::new();
    let failed = rig.download(&wanted(at, RequestKind::Folder, "ok")).unwrap_err();
    assert_eq!(failed.error.exit(), Exit::Incomplete, "{failed}");
    assert_eq!(failed.part, None);
    assert!(tree(rig.inbox.path()).is_empty());
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
