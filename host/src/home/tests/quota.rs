//! What is used and what is promised are together within the quota, whatever happens.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::reserved::SUMS;
use super::*;

fn books(home: &Home) -> (u64, u64) {
    home.books().unwrap().used_and_reserved()
}

#[test]
fn room_is_reserved_when_a_file_is_announced() {
    let (folder, home) = home(Some(100_000));
    fs::write(folder.path().join("others"), "").unwrap();
    let one = home.receive(path("one"), &arriving(60_000)).unwrap();
    assert_eq!(books(&home), (0, 60_000));
    refused(home.receive(path("two"), &arriving(40_001)), ErrorCode::QuotaExceeded);
    refused(home.receive(path("two"), &arriving(usize::MAX)), ErrorCode::NoSpace);
    let two = home.receive(path("two"), &arriving(40_000)).unwrap();
    refused(home.receive(path("three"), &arriving(1)), ErrorCode::QuotaExceeded);
    put(&home, "empty", b"").unwrap();
    drop(one);
    drop(two);
    assert_eq!(books(&home), (0, 0));
    assert_eq!(names(folder.path()), ["empty", "others"]);
}

#[test]
fn the_old_file_counts_until_it_is_replaced() {
    let (_folder, home) = home(Some(10 * LEN as u64));
    put(&home, "x", &octets(6 * LEN)).unwrap();
    refused(put(&home, "x", &octets(5 * LEN)), ErrorCode::QuotaExceeded);
    put(&home, "x", &octets(4 * LEN)).unwrap();
    assert_eq!(books(&home), (4 * LEN as u64, 0));
    put(&home, "x", &octets(6 * LEN)).unwrap();
    put(&home, "y", &octets(100)).unwrap();
    assert_eq!(books(&home), (6 * LEN as u64 + 100, 0));
    home.rename(path("y"), path("x"), true).unwrap();
    assert_eq!(books(&home), (100, 0));
    home.rename(path("x"), path("z"), false).unwrap();
    home.remove(path("z")).unwrap();
    assert_eq!(home.space(), Space { used: 0, quota: Some(10 * LEN as u64), free: home.space().free });
}

#[test]
fn parts_count_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let quota = Some(10 * LEN as u64);
    let home = Home::open(folder.path(), quota).unwrap();
    let octets = octets(8 * LEN);
    let mut upload = home.receive(path("x"), &arriving(8 * LEN)).unwrap();
    send(&mut upload, 0, &octets[..3 * LEN]);
    upload.write(3 * LEN as u64, &octets[..LEN]).unwrap();
    assert_eq!(books(&home), (0, 8 * LEN as u64));
    drop(upload);
    assert_eq!(books(&home), (3 * LEN as u64, 0));
    drop(home);
    let home = Home::open(folder.path(), quota).unwrap();
    assert_eq!(books(&home), (3 * LEN as u64, 0));
    let upload = home.receive(path("x"), &arriving(8 * LEN)).unwrap();
    assert_eq!(books(&home), (3 * LEN as u64, 5 * LEN as u64));
    drop(upload);
    // Another file under the name: what was there is of no use.
    let upload = home.receive(path("x"), &Arriving { stamp: 8, ..arriving(10 * LEN) }).unwrap();
    assert_eq!(books(&home), (0, 10 * LEN as u64));
    drop(upload);
    assert_eq!(books(&home), (0, 0));
    assert!(names(folder.path()).is_empty());
}

/// Nobody sees what broke off, but who removes its name, or gives it to another file, has the room again.
#[test]
fn what_broke_off_goes_with_its_name() {
    let (folder, home) = home(Some(10 * LEN as u64));
    let octets = octets(8 * LEN);
    let break_off = || {
        let announced = Arriving { replace: true, ..arriving(8 * LEN) };
        let mut upload = home.receive(path("x"), &announced).unwrap();
        send(&mut upload, 0, &octets[..3 * LEN]);
        upload
    };
    drop(break_off());
    assert_eq!(books(&home), (3 * LEN as u64, 0));
    home.remove(path("x")).unwrap();
    assert_eq!((books(&home), names(folder.path())), ((0, 0), vec![]));
    refused(home.remove(path("x")), ErrorCode::NotFound);
    drop(break_off());
    put(&home, "x", b"small").unwrap();
    assert_eq!((books(&home), names(folder.path())), ((5, 0), vec!["x".to_owned()]));
    drop(break_off());
    home.remove(path("x")).unwrap();
    assert_eq!((books(&home), names(folder.path())), ((0, 0), vec![]));
    // Of one that goes on, nothing is taken away.
    let upload = break_off();
    refused(home.remove(path("x")), ErrorCode::NotFound);
    put(&home, "x", b"small").unwrap();
    drop(upload);
    assert_eq!(books(&home), (3 * LEN as u64 + 5, 0));
}

#[test]
fn a_home_that_is_too_full_takes_nothing_and_gives_everything() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), octets(100)).unwrap();
    let home = Home::open(folder.path(), Some(50)).unwrap();
    refused(put(&home, "y", b"1"), ErrorCode::QuotaExceeded);
    assert_eq!(home.read(path("x")).unwrap().size, 100);
    home.remove(path("x")).unwrap();
    put(&home, "y", b"1").unwrap();
}

/// Apparent size of all files.
fn used(folder: &std::path::Path) -> u64 {
    let size = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        match () {
            () if metadata.is_dir() => used(&entry.path()),
            () if entry.file_name().to_string_lossy().ends_with(SUMS) => 0,
            () => metadata.len(),
        }
    };
    fs::read_dir(folder).unwrap().map(size).sum()
}

#[test]
fn many_connections_together_stay_within_the_quota() {
    const QUOTA: u64 = 40 * LEN as u64;
    const USERS: u64 = 6;
    let (folder, home) = home(Some(QUOTA));
    home.make_dir(path("f"), false).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (used, reserved) = books(&home);
                assert!(used + reserved <= QUOTA, "{used} + {reserved}");
                std::thread::yield_now();
            }
        });
        let users: Vec<_> = (0..USERS)
            .map(|user| {
                let home = &home;
                scope.spawn(move || work(home, user))
            })
            .collect();
        let results: Vec<_> = users.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        let settled: u64 = results.into_iter().map(Result::unwrap).sum();
        assert!(settled > 20, "the quota must not make everything fail: {settled}");
    });
    assert_eq!(books(&home), (used(folder.path()), 0));
    home.sweep(Duration::ZERO);
    assert_eq!(books(&home), (used(folder.path()), 0));
    assert_eq!(home.survey(None).used, home.space().used);
}

/// What one user does: anything, on names that others use too. Returns how many files were settled.
fn work(home: &Arc<Home>, user: u64) -> u64 {
    let mut seed = user;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let (mut finished, mut settled) = (Vec::new(), 0);
    for _ in 0..300 {
        let names = ["a", "b", "c", "f/a", "f/b"];
        let (one, other) = (names[random(5) as usize], names[random(5) as usize]);
        match random(10) {
            0 => drop(home.remove(path(one))),
            1 => drop(home.rename(path(one), path(other), random(2) == 0)),
            2 => drop(home.earlier(path(one))),
            _ => {
                let octets = octets(random(12 * LEN as u64) as usize);
                let announced = Arriving { replace: random(4) > 0, stamp: random(2), ..arriving(octets.len()) };
                let Ok(mut upload) = home.receive(path(one), &announced) else { continue };
                let (from, to) = (upload.offset() as usize, octets.len());
                let to = if random(3) > 0 { to } else { (from + LEN).min(to) };
                if from < to {
                    send(&mut upload, from, &octets[from..to]);
                }
                if let Ok(file) = upload.complete()
                    && random(5) > 0
                {
                    finished.push(file);
                }
            }
        }
        if finished.len() > random(4) as usize {
            settled += home.settle(&mut finished).into_iter().filter(Result::is_ok).count() as u64;
        }
    }
    settled
}
