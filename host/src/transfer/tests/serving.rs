//! Files and folders that are offered, and whoever fetches them.

use super::*;

/// proves: R-IP-89, R-IP-92
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

/// What fits into the buffers of both systems has left us at once, and may still come to nobody.
#[test]
fn a_client_that_resets_has_not_got_the_file() {
    for taken in [0, 1000] {
        let rig = Rig::new();
        rig.offer_file("x", &noise(100_000));
        let mut stream = rig.connect();
        stream.write_all(REQUEST).unwrap();
        stream.read_exact(&mut vec![0; taken]).unwrap();
        thread::sleep(Duration::from_millis(300));
        // What it has not read makes its close a reset.
        drop(stream);
        assert!(matches!(rig.event(), Event::Failed { error: TransferError::Connection(_), .. }), "{taken}");
    }
}

#[test]
fn nothing_is_served_before_the_client_has_it() {
    let rig = Rig::new();
    // More than a client's system takes for a program that does not read, but less than both take together.
    let octets = noise(300_000);
    rig.offer_file("x", &octets);
    let stream = rig.connect_narrow();
    (&stream).write_all(REQUEST).unwrap();
    thread::sleep(feige_core::stream::LINGER_TIME + Duration::from_secs(2));
    assert!(rig.try_event().is_none(), "most of it is here still");
    let mut got = Vec::new();
    (&stream).read_to_end(&mut got).unwrap();
    assert!(got == octets);
    drop(stream);
    assert!(matches!(rig.event(), Event::Served { .. }));
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
    std::os::unix::fs::symlink("data", folder.path().join("link")).unwrap();
    assert_eq!(name("link"), "link");
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
