//! `feige serve` of the real program when something breaks: it is killed or interrupted, the machine restarts, the disk
//! fills, files change under its hands. Nothing that is not whole has a name, and what came need not come again.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use feige_core::wire::transfer::{ErrorCode, Reply, Request};
use feige_tests::program::{self, SOON};
use feige_tests::served::Served;
use feige_tests::transfer::{Caller, Ready, digest, get, message, octets, put, rest, run, small};
use feige_tests::{Missing, or_skip};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

const WRITE: &[&str] = &["--guest", "write"];
const SIZE: usize = 4 << 20;

/// Announces `big`, as soon as whoever had it before has let it go.
fn announce(served: &Served) -> (Caller, Ready) {
    let end = Instant::now() + SOON;
    loop {
        let mut guest = served.guest();
        match guest.announce(&put("big", SIZE as u64)) {
            Ok(ready) => return (guest, ready),
            Err(refused) => assert_eq!(refused, ErrorCode::Busy),
        }
        assert!(Instant::now() < end, "the name is never let go");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a file from where the server has it on, block by block, up to `until`, and half of the next one.
fn send_until(guest: &mut Caller, file: &[u8], ready: Ready, until: usize) {
    let block = 1_usize << ready.block;
    let mut at = usize::try_from(ready.offset).expect("small");
    while at < until {
        guest.send(&run(at as u64, &file[at..at + block], ready.block));
        at += block;
    }
    if let Some(next) = file.get(at..at + block) {
        guest.send(&run(at as u64, next, ready.block)[..block / 2]);
    }
}

/// Waits until the server has taken so many octets of `big`.
fn has_taken(served: &Served, octets: usize) {
    let blocks = |served: &Served| fs::metadata(served.path(".big.feige-sums")).map_or(0, |metadata| metadata.len());
    let end = Instant::now() + SOON;
    let expected = |served: &Served| {
        fs::metadata(served.path(".big.feige-part")).is_ok_and(|part| part.len() >= octets as u64)
            && blocks(served) >= 64 + 16 * (octets >> 16) as u64
    };
    while !expected(served) {
        assert!(Instant::now() < end, "it does not take {octets} octets: {}", served.program);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn killed_anywhere_it_goes_on_where_it_was() {
    let mut served = Served::start(WRITE);
    let before = served.surroundings();
    let file = octets(SIZE, 1);
    let mut sent = 0;
    for percent in [0, 3, 10, 11, 30, 50, 75, 99] {
        let (mut guest, ready) = announce(&served);
        let block = 1 << ready.block;
        // Everything that was sent in whole blocks is there; so only the half block is sent twice.
        assert_eq!(ready.offset, sent as u64, "after {percent} %");
        let until = (SIZE * percent / 100).next_multiple_of(block).max(sent);
        send_until(&mut guest, &file, ready, until);
        has_taken(&served, until);
        sent = until;
        served.restart();
        assert!(!served.path("big").exists(), "a part has a name after {percent} %");
        assert!(guest.is_closed());
    }
    let (mut guest, ready) = announce(&served);
    assert_eq!(ready.offset, sent as u64);
    guest.upload(&file, ready).expect("stored");
    assert!(fs::read(served.path("big")).expect("there") == file);
    assert_eq!(served.files(""), ["big"]);
    assert_eq!(served.surroundings(), before);
    served.is_well();
}

#[test]
fn killed_at_any_moment_a_name_is_that_of_a_whole_file() {
    let mut served = Served::start(WRITE);
    let file = octets(SIZE, 1);
    let (mut stored, mut absent) = (0, 0);
    for delay in (0..40).step_by(3) {
        let _ = fs::remove_file(served.path("big"));
        let (mut guest, ready) = announce(&served);
        let messages = rest(&file, ready);
        let mut writer = guest.stream.try_clone().expect("a socket");
        let sender = std::thread::spawn(move || drop(writer.write_all(&messages)));
        let _ = guest.stream.write_all(b"");
        std::thread::sleep(Duration::from_millis(delay * 4));
        served.restart();
        sender.join().expect("no panic");
        let told = guest.try_hear().is_ok_and(|heard| matches!(heard.reply(), Reply::Stored { .. }));
        if let Ok(there) = fs::read(served.path("big")) {
            assert!(there == file, "not whole after {delay} ms");
            stored += 1;
        } else {
            assert!(!told, "it was told, and is not there");
            absent += 1;
        }
        assert!(
            served.files("").iter().all(|name| name == "big" || name.starts_with(".big.")),
            "{:?}",
            served.files("")
        );
    }
    println!("{stored} stored, {absent} not");
    let (mut guest, ready) = announce(&served);
    guest.upload(&file, ready).expect("stored");
    assert!(fs::read(served.path("big")).expect("there") == file);
    served.is_well();
}

#[test]
fn after_a_restart_of_the_machine_octets_are_compared_before_they_are_believed() {
    let mut served = Served::start(WRITE);
    let file = octets(SIZE, 1);
    let (mut guest, ready) = announce(&served);
    let block = 1_usize << ready.block;
    send_until(&mut guest, &file, ready, 40 * block);
    has_taken(&served, 40 * block);
    served.restart();
    let rebooted = |served: &Served| {
        let sums = fs::OpenOptions::new().write(true).open(served.path(".big.feige-sums")).expect("there");
        sums.write_all_at(&[7; 16], 40).expect("written");
    };
    // Everything reached the disk.
    rebooted(&served);
    let (guest, ready) = announce(&served);
    assert_eq!(ready.offset, 40 * block as u64);
    drop(guest);
    served.restart();
    // Some did not.
    rebooted(&served);
    let part = fs::OpenOptions::new().write(true).open(served.path(".big.feige-part")).expect("there");
    part.write_all_at(&[0; 100], 25 * block as u64 + 77).expect("written");
    let (mut guest, ready) = announce(&served);
    assert_eq!(ready.offset, 25 * block as u64);
    guest.upload(&file, ready).expect("stored");
    assert!(fs::read(served.path("big")).expect("there") == file);
    // Something else than sums, or none.
    for sums in [Some(&b"nonsense"[..]), Some(&[0; 64]), None] {
        let (mut guest, ready) = announce(&served);
        send_until(&mut guest, &file, ready, 2 * block);
        has_taken(&served, 2 * block);
        served.restart();
        match sums {
            Some(sums) => fs::write(served.path(".big.feige-sums"), sums).expect("written"),
            None => fs::remove_file(served.path(".big.feige-sums")).expect("removed"),
        }
        let (mut guest, ready) = announce(&served);
        assert_eq!(ready.offset, 0);
        guest.upload(&file, ready).expect("stored");
        assert!(fs::read(served.path("big")).expect("there") == file);
    }
    served.is_well();
}

#[test]
fn interrupted_it_ends_at_once_and_keeps_what_came() {
    let mut served = Served::start(WRITE);
    let file = octets(SIZE, 1);
    let (mut slow, ready) = announce(&served);
    let block = 1_usize << ready.block;
    send_until(&mut slow, &file, ready, 5 * block);
    let empty = {
        let mut guest = served.guest();
        guest.announce(&put("nothing came", SIZE as u64)).expect("welcome");
        guest.announce(&put("it does not matter", 1)).map_or(guest, |_| unreachable!("the first is not finished"))
    };
    let half = {
        let mut guest = served.guest();
        guest.send(&small("half", &file[..50_000])[..20_000]);
        guest
    };
    // And some that send as fast as they can.
    let busy: Vec<_> = (0..8)
        .map(|number| {
            let mut guest = served.guest();
            let name = format!("busy{number}");
            let file = octets(8 << 20, number);
            let ready = guest.announce(&put(&name, file.len() as u64)).expect("welcome");
            std::thread::spawn(move || drop(guest.stream.write_all(&rest(&file, ready))))
        })
        .collect();
    has_taken(&served, 5 * block);
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    served.program.interrupt();
    let addr = served.addr;
    while Path::new(&format!("/proc/{}/exe", served.program.pid())).exists() && begin.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?} to end");
    busy.into_iter().for_each(|sender| sender.join().expect("no panic"));
    drop((empty, half, slow));
    served.restart();
    assert_eq!(served.addr, addr);
    // Nothing but what is of use is left.
    for name in served.files("") {
        assert!(name == ".big.feige-part" || name == ".big.feige-sums" || name.contains("busy"), "{name}");
    }
    let (mut guest, ready) = announce(&served);
    assert_eq!(ready.offset, 5 * block as u64);
    guest.upload(&file, ready).expect("stored");
    served.program.interrupt();
    let Served { program, .. } = served;
    let ended = program.end(SOON);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
}

/// A small disk, for one test.
struct Disk(TempDir);

impl Disk {
    fn of(size: &std::ffi::CStr) -> Result<Self, Missing> {
        let folder = tempfile::tempdir().expect("a folder");
        mount(c"tmpfs", folder.path(), c"tmpfs", MountFlags::empty(), size)
            .map_err(|error| Missing(format!("a disk in memory cannot be mounted ({error}): not root?")))?;
        Ok(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_disk_that_fills_is_told_and_survived() {
    let Some(disk) = or_skip(Disk::of(c"size=8m")) else { return };
    let home = tempfile::tempdir().expect("a folder");
    symlink(disk.0.path(), home.path().join("share")).expect("made");
    let served = Served::start_in(home, WRITE);
    let file = octets(SIZE, 1);
    assert_eq!(served.guest().announce(&put("huge", 9 << 20)).unwrap_err(), ErrorCode::NoSpace);
    let (mut guest, ready) = announce(&served);
    let block = 1_usize << ready.block;
    send_until(&mut guest, &file, ready, 10 * block);
    has_taken(&served, 10 * block);
    drop(guest);
    let (mut guest, ready) = announce(&served);
    assert_eq!(ready.offset, 10 * block as u64);
    // Somebody else takes what is left.
    let mut filler = fs::File::create(served.path("filler")).expect("made");
    while filler.write_all(&[1; 4096]).is_ok() {}
    let mut writer = guest.stream.try_clone().expect("a socket");
    let messages = rest(&file, ready);
    let sender = std::thread::spawn(move || writer.write_all(&messages));
    assert_eq!(guest.hear().accepted().unwrap_err(), ErrorCode::NoSpace);
    sender.join().expect("no panic").expect("sent");
    // The connection goes on.
    for _ in 0..3 {
        assert_eq!(guest.put_small("small", &file[..60_000]).unwrap_err(), ErrorCode::NoSpace);
    }
    assert_eq!(
        guest.get("filler").expect("there").len() as u64,
        fs::metadata(served.path("filler")).expect("there").len()
    );
    assert_eq!(served.files(""), [".big.feige-part", ".big.feige-sums", "filler"]);
    drop(filler);
    fs::remove_file(served.path("filler")).expect("removed");
    guest.put_small("small", &file[..60_000]).expect("stored");
    drop(guest);
    let (mut guest, ready) = announce(&served);
    assert!(ready.offset >= 10 * block as u64);
    guest.upload(&file, ready).expect("stored");
    assert!(fs::read(served.path("big")).expect("there") == file);
    served.is_well();
}

/// One line, and not one for each file that would not fit either.
#[test]
fn a_disk_here_that_fills_ends_a_download_with_one_line() {
    let Some(disk) = or_skip(Disk::of(c"size=2m")) else { return };
    let served = Served::start(WRITE);
    let sizes = [("small", 400_u64, 9000), ("large", 20, 300_000)];
    for (folder, files, size) in sizes {
        fs::create_dir(served.path(folder)).expect("room");
        for number in 0..files {
            fs::write(served.path(folder).join(number.to_string()), octets(size, number)).expect("room");
        }
        // Into a folder that is new there, and into one that is there.
        for into in ["new", "old"] {
            let to = disk.0.path().join(into);
            if into == "old" {
                fs::create_dir(&to).expect("room");
            }
            let (url, to) = (format!("feige://{}/{folder}", served.addr), to.to_string_lossy().into_owned());
            let ended = program::run(&served.home, SOON, ["--json", "get", "-r", &url, "-o", &to]);
            assert_eq!(ended.code, Some(6), "{folder}, {into}: {}", ended.said);
            let failed = ended.events.iter().filter(|event| event["event"] == "failed");
            assert_eq!(failed.count(), 1, "{folder}, {into}: {}", ended.said);
            assert!(ended.said.contains("here: the disk is full"), "{}", ended.said);
            for entry in fs::read_dir(disk.0.path()).expect("there") {
                let path = entry.expect("there").path();
                let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_not_taken_for_whole() {
    let served = Served::start(WRITE);
    let len = 64_usize << 20;
    let fresh = || fs::write(served.path("large"), vec![b'a'; len]).expect("written");
    let begun = || {
        fresh();
        let mut guest = served.guest();
        guest.say(&get("large"));
        std::thread::sleep(Duration::from_millis(100));
        guest
    };
    // Replaced: what was asked for is what comes.
    let mut guest = begun();
    fs::write(served.path("new"), "new").expect("written");
    fs::rename(served.path("new"), served.path("large")).expect("renamed");
    let came = guest.file().expect("whole");
    assert!(came.len() == len && came.iter().all(|&octet| octet == b'a'));
    assert_eq!(guest.get("large").expect("there"), b"new");
    // Written to: the last of it is an error.
    let mut guest = begun();
    let file = fs::OpenOptions::new().write(true).open(served.path("large")).expect("there");
    file.write_all_at(b"b", (len - 100) as u64).expect("written");
    assert_eq!(guest.file().unwrap_err(), ErrorCode::DigestMismatch);
    assert_eq!(guest.refused(&Request::Stat { path: "none" }), ErrorCode::NotFound);
    // Cut short.
    let mut guest = begun();
    let file = fs::OpenOptions::new().write(true).open(served.path("large")).expect("there");
    file.set_len(len as u64 / 2).expect("cut");
    assert_eq!(guest.file().unwrap_err(), ErrorCode::DigestMismatch);
    assert_eq!(guest.refused(&Request::Stat { path: "none" }), ErrorCode::NotFound);
    served.is_well();
}

#[test]
fn of_two_who_store_one_name_each_is_whole() {
    let served = Served::start(WRITE);
    let (file, other) = (octets(SIZE, 1), octets(SIZE, 2));
    let (mut first, ready) = announce(&served);
    let mut second = served.guest();
    let announced = second.announce(&put("big", SIZE as u64));
    assert_eq!(announced.unwrap_err(), ErrorCode::Busy);
    assert_eq!(second.announce(&put("big", 70_000)).unwrap_err(), ErrorCode::Busy);
    // Small ones do not stand in the way.
    second.put_small("big", &other[..1_000]).expect("stored");
    assert_eq!(second.get("big").expect("there"), &other[..1_000]);
    first.upload(&file, ready).expect("stored");
    let ready = second.announce(&put("big", SIZE as u64)).expect("welcome now");
    assert_eq!(ready.offset, 0);
    second.upload(&other, ready).expect("stored");
    assert!(fs::read(served.path("big")).expect("there") == other);
    // An upload that was refused lets its name go, although its connection stays.
    let ready = first.announce(&put("big", SIZE as u64)).expect("welcome");
    let mut wrong = rest(&file, ready);
    *wrong.last_mut().expect("a digest") ^= 1;
    first.send(&wrong);
    assert_eq!(first.hear().accepted().unwrap_err(), ErrorCode::DigestMismatch);
    let end = Instant::now() + SOON;
    while let Err(refused) = second.announce(&put("big", SIZE as u64)) {
        assert_eq!(refused, ErrorCode::Busy);
        assert!(Instant::now() < end, "the name is not let go");
    }
    drop((first, second));
    // Many small ones at once: the last one wins, and it is one of them.
    let versions: Vec<Vec<u8>> = (0..8).map(|number| octets(40_000, number)).collect();
    std::thread::scope(|threads| {
        for number in 0..8 {
            let (addr, versions) = (served.addr, &versions);
            threads.spawn(move || {
                let mut guest = Caller::guest(addr);
                for _ in 0..20 {
                    guest.put_small("small", &versions[number]).expect("stored");
                    let there = guest.get("small").expect("there");
                    assert!(versions.contains(&there), "not whole");
                }
            });
        }
    });
    assert!(!served.files("").iter().any(|name| name.ends_with(".feige-small")), "{:?}", served.files(""));
    served.is_well();
}

#[test]
fn the_digest_that_is_told_is_that_of_the_file() {
    let served = Served::start(WRITE);
    let file = octets(200_000, 1);
    let mut guest = served.guest();
    let ready = guest.announce(&put("file", 200_000)).expect("welcome");
    guest.send(&rest(&file, ready));
    assert_eq!(guest.hear().reply(), Reply::Stored { digest: digest(&file, ready.block) });
    guest.send(&message(&Request::Sum { path: "file" }));
    let answer = guest.hear();
    assert_eq!(answer.reply(), Reply::Sum { md5: Digest::of(&file), size: 200_000 });
    // A file that changes has another sum, although its size and its time are what they were.
    let modified = fs::metadata(served.path("file")).expect("there").modified().expect("a time");
    let changed = fs::OpenOptions::new().write(true).open(served.path("file")).expect("there");
    changed.write_all_at(&[!file[5]], 5).expect("written");
    changed.set_modified(modified).expect("set");
    guest.send(&message(&Request::Sum { path: "file" }));
    let answer = guest.hear();
    let Reply::Sum { md5, .. } = answer.reply() else { panic!("{answer:?}") };
    assert_eq!(md5, Digest::of(&fs::read(served.path("file")).expect("there")));
    assert_ne!(md5, Digest::of(&file));
}

#[test]
fn damage_is_repaired_or_refused() {
    let served = Served::start(WRITE);
    let file = octets(300_000, 1);
    let mut guest = served.guest();
    // One octet of the second block, once.
    let ready = guest.announce(&put("file", 300_000)).expect("welcome");
    let len = 1_usize << ready.block;
    let mut messages = rest(&file, ready);
    messages[len + 1_000] ^= 1;
    guest.send(&messages);
    let answer = guest.hear();
    let Reply::Repair { at, len: repair } = answer.reply() else { panic!("{answer:?}") };
    assert_eq!(usize::try_from(repair).expect("small"), len.min(300_000));
    let from = usize::try_from(at).expect("small");
    let again = &file[from..from + usize::try_from(repair).expect("small")];
    guest.send(&run(at, again, ready.block));
    guest.say(&Request::Finish { digest: digest(&file, ready.block) });
    assert_eq!(guest.hear().reply(), Reply::Stored { digest: digest(&file, ready.block) });
    assert_eq!(guest.get("file").expect("there"), file);

    // Again and again.
    let ready = guest.announce(&put("other", 300_000)).expect("welcome");
    let mut messages = rest(&file, ready);
    messages[len + 1_000] ^= 1;
    guest.send(&messages);
    let mut repairs = 0;
    let refused = loop {
        let answer = match guest.hear().accepted() {
            Ok(answer) => answer,
            Err(refused) => break refused,
        };
        let Reply::Repair { at, len } = answer.reply() else { panic!("{answer:?}") };
        let from = usize::try_from(at).expect("small");
        let mut damaged = run(at, &file[from..from + usize::try_from(len).expect("small")], ready.block);
        *damaged.last_mut().expect("a digest") ^= 1;
        guest.send(&damaged);
        guest.say(&Request::Finish { digest: digest(&file, ready.block) });
        repairs += 1;
        assert!(repairs < 100, "it asks for ever");
    };
    assert_eq!(refused, ErrorCode::DigestMismatch);
    assert!(repairs > 0);
    // The digest of the whole; and of a small file.
    let ready = guest.announce(&put("third", 300_000)).expect("welcome");
    let mut messages = rest(&file, ready);
    *messages.last_mut().expect("a digest") ^= 1;
    guest.send(&messages);
    assert_eq!(guest.hear().accepted().unwrap_err(), ErrorCode::DigestMismatch);
    for at in [1, 16, 17, 1000] {
        let mut message = small("small", &file[..5000]);
        let place = message.len() - at;
        message[place] ^= 1;
        guest.send(&message);
        assert_eq!(guest.hear().accepted().unwrap_err(), ErrorCode::DigestMismatch);
    }
    assert!(served.files("").iter().all(|name| name == "file" || name.starts_with('.')), "{:?}", served.files(""));
    let end = Instant::now() + SOON;
    while served.files("").iter().any(|name| name.ends_with("small")) {
        assert!(Instant::now() < end, "what was refused is not removed: {:?}", served.files(""));
        std::thread::sleep(Duration::from_millis(10));
    }
    served.is_well();
}
