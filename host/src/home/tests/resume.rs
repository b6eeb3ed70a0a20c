//! What came before an upload broke off is there for the next attempt.

use std::path::PathBuf;

use super::*;

const PART_FILE: &str = ".x.feige-part";
const SUMS_FILE: &str = ".x.feige-sums";

/// A home in which an upload of eight blocks was killed: five blocks are verified, one more was written, and nothing was
/// put in order.
fn killed() -> (tempfile::TempDir, Arc<Home>, Vec<u8>) {
    let (folder, home) = home(Some(1 << 20));
    let octets = octets(8 * LEN);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    send(&mut upload, 0, &octets[..2 * LEN]);
    send(&mut upload, 2 * LEN, &octets[2 * LEN..5 * LEN]);
    upload.write(5 * LEN as u64, &octets[..LEN]).unwrap();
    let home = kill(&folder, upload, home);
    (folder, home, octets)
}

/// The home as the next process finds it: locks go with a process, and so they do here; files are as it left them.
fn kill(folder: &tempfile::TempDir, upload: Upload, home: Arc<Home>) -> Arc<Home> {
    let files = [PART_FILE, SUMS_FILE].map(|name| folder.path().join(name));
    let left = files.clone().map(|file| fs::read(file).unwrap());
    drop((upload, home));
    files.iter().zip(&left).for_each(|(file, octets)| fs::write(file, octets).unwrap());
    Home::open(folder.path(), Some(1 << 20)).unwrap()
}

fn change(file: &PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = fs::read(file).unwrap();
    change(&mut octets);
    fs::write(file, octets).unwrap();
}

/// Where an upload goes on, in blocks; then finishes it.
fn goes_on(folder: &tempfile::TempDir, home: &Arc<Home>, octets: &[u8]) -> u64 {
    let offset = home.receive(path("x"), &arriving(octets.len())).unwrap().offset();
    put(home, "x", octets).unwrap();
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), octets);
    assert_eq!(names(folder.path()), ["x"]);
    assert_eq!(home.space().used, octets.len() as u64);
    offset / LEN as u64
}

#[test]
fn an_interrupted_upload_goes_on() {
    let (folder, home) = home(None);
    // The last block is a short one.
    let octets = octets(8 * LEN + 5);
    let announced = Arriving { mtime: Some(12), ..arriving(octets.len()) };
    let mut upload = home.receive(path("x"), &announced).unwrap();
    send(&mut upload, 0, &octets[..3 * LEN]);
    drop(upload);
    let earlier = Earlier {
        stamp: 7,
        size: octets.len() as u64,
        mtime: Some(12),
        block: BLOCK,
        offset: 3 * LEN as u64,
        doubted: 0,
    };
    assert_eq!(home.earlier(path("x")), Ok(Some(earlier)));
    let mut upload = home.receive(path("x"), &announced).unwrap();
    assert_eq!(upload.offset(), 3 * LEN as u64);
    send(&mut upload, 3 * LEN, &octets[3 * LEN..]);
    // Whole, but never settled: the short block is sent again.
    drop(upload.complete().unwrap());
    let mut upload = home.receive(path("x"), &announced).unwrap();
    assert_eq!(upload.offset(), 8 * LEN as u64);
    send(&mut upload, 8 * LEN, &octets[8 * LEN..]);
    settle(&home, upload).unwrap();
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), octets);
    assert_eq!(names(folder.path()), ["x"]);
    assert_eq!(home.earlier(path("x")), Ok(None));
}

#[test]
fn only_the_same_file_goes_on() {
    for other in [
        Arriving { stamp: 8, ..arriving(8 * LEN) },
        Arriving { block: BLOCK + 1, ..arriving(8 * LEN) },
        arriving(8 * LEN - 1),
        arriving(9 * LEN),
    ] {
        let (folder, home, _) = killed();
        assert_eq!(home.receive(path("x"), &other).unwrap().offset(), 0, "{other:?}");
        assert!(names(folder.path()).is_empty());
        assert_eq!(home.space().used, 0);
    }
}

#[test]
fn after_a_kill_the_verified_front_is_believed() {
    let (folder, home, octets) = killed();
    assert_eq!(home.space().used, 6 * LEN as u64, "a part counts as it is");
    // Not hashed again: that it was changed behind our back is not seen.
    let part = folder.path().join(PART_FILE);
    change(&part, |octets| octets[0] ^= 1);
    assert_eq!(home.earlier(path("x")).unwrap().unwrap().offset, 5 * LEN as u64);
    change(&part, |octets| octets[0] ^= 1);
    assert_eq!(goes_on(&folder, &home, &octets), 5);
}

/// What of `x` is believed and what doubted, in octets.
fn found(home: &Arc<Home>) -> (u64, u64) {
    let earlier = home.earlier(path("x")).unwrap().unwrap();
    (earlier.offset, earlier.doubted)
}

/// Hashes what is doubted of `x`.
fn check(home: &Arc<Home>) {
    let check = home.check(path("x")).unwrap().expect("it is doubted");
    while check.wait(Duration::from_secs(1)).transpose().unwrap().is_none() {}
    assert!(home.check(path("x")).unwrap().is_none(), "doubted no more");
}

#[test]
fn after_a_restart_of_the_machine_it_is_hashed_again() {
    let restart = |octets: &mut Vec<u8>| octets[40] ^= 1;
    let forget = |octets: &mut Vec<u8>| octets[40..56].fill(0);
    for (at, expected) in [(None, 5), (Some(0), 0), (Some(3 * LEN + 1), 3), (Some(5 * LEN), 5)] {
        for change_start in [&restart as &dyn Fn(&mut Vec<u8>), &forget] {
            let (folder, home, octets) = killed();
            assert!(home.check(path("x")).unwrap().is_none(), "there is nothing to doubt");
            change(&folder.path().join(SUMS_FILE), change_start);
            if let Some(at) = at {
                change(&folder.path().join(PART_FILE), |octets| octets[at] ^= 1);
            }
            assert_eq!(found(&home), (0, 5 * LEN as u64));
            check(&home);
            assert_eq!(found(&home), (expected * LEN as u64, 0));
            assert_eq!(goes_on(&folder, &home, &octets), expected);
        }
    }
    // The octets did not reach the disk, or not all of them.
    let (folder, home, octets) = killed();
    change(&folder.path().join(SUMS_FILE), restart);
    change(&folder.path().join(PART_FILE), |octets| octets.truncate(2 * LEN + 7));
    home.remove(path("none")).unwrap_err();
    check(&home);
    assert_eq!(found(&home), (2 * LEN as u64, 0));
    drop(home);
    let home = Home::open(folder.path(), None).unwrap();
    assert_eq!(goes_on(&folder, &home, &octets), 2);
    // Who does not wait for that begins anew, and what comes then is believed.
    let (folder, home, octets) = killed();
    change(&folder.path().join(SUMS_FILE), restart);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    assert_eq!(upload.offset(), 0);
    send(&mut upload, 0, &octets[..3 * LEN]);
    drop(upload);
    assert_eq!(found(&home), (3 * LEN as u64, 0));
    assert_eq!(goes_on(&folder, &home, &octets), 3);
}

#[test]
fn what_was_hashed_again_stays_believed_however_often_that_is_broken_off() {
    use super::super::sums::Sums;
    let (folder, home) = home(None);
    let octets = octets(100 * LEN);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    send(&mut upload, 0, &octets[..90 * LEN]);
    drop(upload);
    let (part, sums) = (folder.path().join(PART_FILE), folder.path().join(SUMS_FILE));
    change(&sums, |octets| octets[40] ^= 1);
    let file = fs::File::open(&part).unwrap();
    let hash = |pieces: usize| {
        let mut pieces = 0..pieces;
        Sums::open(&home.dir, SUMS_FILE).unwrap().unwrap().compare(&file, || pieces.next().is_some()).unwrap()
    };
    assert!(!hash(0), "nothing was done");
    assert_eq!(found(&home), (0, 90 * LEN as u64));
    // Pieces of sixteen blocks.
    assert!(!hash(1));
    assert_eq!(found(&home), (16 * LEN as u64, 74 * LEN as u64));
    // Those are not hashed again; but what lies behind them is.
    change(&part, |octets| octets[5] ^= 1);
    change(&part, |octets| octets[70 * LEN + 5] ^= 1);
    assert!(hash(100));
    assert_eq!(found(&home), (70 * LEN as u64, 0));
    change(&part, |octets| octets[5] ^= 1);
    // After the next restart nothing counts of that.
    change(&sums, |octets| octets[40] ^= 1);
    assert_eq!(found(&home), (0, 70 * LEN as u64));
    // Nobody makes blocks of half of them.
    change(&sums, |octets| {
        octets[40] ^= 1;
        octets[56..64].copy_from_slice(&(3 * LEN as u64 + 1).to_le_bytes());
    });
    assert_eq!(found(&home), (3 * LEN as u64, 67 * LEN as u64));
    // Without waiting for the rest, it goes on there.
    assert_eq!(goes_on(&folder, &home, &octets), 3);
}

#[test]
fn damaged_sums_are_of_no_use_and_no_harm() {
    use super::super::sums::HEADER;
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, u64); 9] = [
        (|octets| octets.clear(), 0),
        (|octets| octets.truncate(HEADER - 1), 0),
        (|octets| octets.truncate(HEADER), 0),
        (|octets| octets[0] = b'F', 0),
        (|octets| octets[8] = 2, 0),
        (|octets| octets[9] = 99, 0),
        (|octets| octets.truncate(HEADER + 3 * 16 + 15), 3),
        (|octets| octets[HEADER + 16..HEADER + 32].fill(0), 1),
        (|octets| octets.resize(HEADER + 100 * 16, 1), 6),
    ];
    for (number, (damage, expected)) in damages.into_iter().enumerate() {
        let (folder, home, mut octets) = killed();
        change(&folder.path().join(SUMS_FILE), damage);
        if expected == 6 {
            // Nothing tells such from true ones while the machine runs; nobody but we can write them.
            octets.copy_within(..LEN, 5 * LEN);
        }
        assert_eq!(goes_on(&folder, &home, &octets), expected, "{number}");
    }
    let (folder, home, octets) = killed();
    fs::remove_file(folder.path().join(SUMS_FILE)).unwrap();
    assert_eq!(home.earlier(path("x")), Ok(None));
    assert_eq!(goes_on(&folder, &home, &octets), 0);
}

#[test]
fn blocks_may_come_again_and_out_of_order() {
    let (folder, home) = home(None);
    let octets = octets(8 * LEN);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    // The second block came damaged.
    send(&mut upload, 0, &octets[..LEN]);
    send(&mut upload, 2 * LEN, &octets[2 * LEN..6 * LEN]);
    drop(upload);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    assert_eq!(upload.offset(), LEN as u64, "only the front is kept");
    send(&mut upload, 2 * LEN, &octets[2 * LEN..]);
    send(&mut upload, LEN, &octets[LEN..2 * LEN]);
    // What is written again is not verified any more.
    upload.write(3 * LEN as u64 + 5, b"other octets").unwrap();
    drop(upload);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    assert_eq!(upload.offset(), 3 * LEN as u64);
    send(&mut upload, 3 * LEN, &octets[3 * LEN..]);
    upload.write(0, b"other").unwrap();
    refused(upload.complete(), ErrorCode::BadRequest);
    assert!(names(folder.path()).is_empty());
    put(&home, "x", &octets).unwrap();
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), octets);
}

#[test]
fn what_was_verified_once_is_not_believed_after_it_was_written_again() {
    let (folder, home) = home(Some(1 << 20));
    let octets = octets(8 * LEN);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    send(&mut upload, 0, &octets[..LEN]);
    send(&mut upload, 2 * LEN, &octets[2 * LEN..6 * LEN]);
    // Behind the front there is what the next attempt will not have.
    let home = kill(&folder, upload, home);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    assert_eq!(upload.offset(), LEN as u64);
    send(&mut upload, LEN, &octets[LEN..2 * LEN]);
    upload.write(7 * LEN as u64, &octets[..LEN]).unwrap();
    let home = kill(&folder, upload, home);
    let mut upload = home.receive(path("x"), &arriving(octets.len())).unwrap();
    assert_eq!(upload.offset(), 2 * LEN as u64);
    send(&mut upload, 2 * LEN, &octets[2 * LEN..5 * LEN]);
    // Over the end of one block and the beginning of the next.
    upload.write(4 * LEN as u64 - 1, b"other").unwrap();
    let home = kill(&folder, upload, home);
    assert_eq!(goes_on(&folder, &home, &octets), 3);
}

#[test]
fn one_upload_of_a_name_at_a_time() {
    let (folder, home) = home(None);
    let octets = octets(8 * LEN);
    let mut one = home.receive(path("x"), &arriving(octets.len())).unwrap();
    send(&mut one, 0, &octets[..LEN]);
    let other = Home::open(folder.path(), None).unwrap();
    for home in [&home, &other] {
        refused(home.receive(path("x"), &arriving(octets.len())), ErrorCode::Busy);
        refused(home.receive(path("x"), &Arriving { stamp: 9, ..arriving(5 * LEN) }), ErrorCode::Busy);
        refused(home.earlier(path("x")), ErrorCode::Busy);
    }
    send(&mut one, LEN, &octets[LEN..]);
    let finished = one.complete().unwrap();
    refused(other.receive(path("x"), &arriving(octets.len())), ErrorCode::Busy);
    home.sweep(Duration::ZERO);
    assert_eq!(home.settle(&mut vec![finished]), [Ok(())]);
    assert_eq!(fs::read(folder.path().join("x")).unwrap(), octets);
    // Of small files, the last one settled stays.
    let replace = Arriving { replace: true, ..arriving(3) };
    let (mut one, mut two) = (home.receive(path("y"), &replace).unwrap(), other.receive(path("y"), &replace).unwrap());
    send(&mut two, 0, b"two");
    send(&mut one, 0, b"one");
    settle(&home, one).unwrap();
    settle(&other, two).unwrap();
    assert_eq!(fs::read(folder.path().join("y")).unwrap(), b"two");
    assert_eq!(names(folder.path()), ["x", "y"]);
}

#[test]
fn the_longest_names_have_parts_too() {
    let (folder, home) = home(None);
    for (number, name) in ["文".repeat(85), "x".repeat(255), "y".repeat(244), "z".repeat(243)].into_iter().enumerate()
    {
        for len in [1, 8 * LEN] {
            let octets = octets(len);
            let mut upload = home.receive(path(&name), &Arriving { replace: true, ..arriving(len) }).unwrap();
            if len > LEN {
                send(&mut upload, 0, &octets[..LEN]);
            }
            drop(upload);
            put(&home, &name, &octets).unwrap();
            assert_eq!(names(folder.path()).len(), number + 1);
        }
    }
    // The same beginning is not the same part.
    let (one, two) = (format!("{}1", "x".repeat(254)), format!("{}2", "x".repeat(254)));
    let _one = home.receive(path(&one), &arriving(8 * LEN)).unwrap();
    home.receive(path(&two), &arriving(8 * LEN)).unwrap();
}

#[test]
fn old_parts_are_swept() {
    let (folder, home) = home(Some(1 << 20));
    home.make_dir(path("f"), false).unwrap();
    let octets = octets(8 * LEN);
    for name in ["x", "f/y", "f/z"] {
        let mut upload = home.receive(path(name), &arriving(octets.len())).unwrap();
        send(&mut upload, 0, &octets[..LEN]);
    }
    fs::write(folder.path().join("f/.lonely.feige-sums"), "x").unwrap();
    fs::write(folder.path().join(".0.feige-small"), "x").unwrap();
    fs::write(folder.path().join("kept"), "x").unwrap();
    home.sweep(STALE);
    assert_eq!(names(folder.path()), [".0.feige-small", PART_FILE, SUMS_FILE, "f", "kept"]);
    let upload = home.receive(path("f/z"), &arriving(octets.len())).unwrap();
    home.sweep(Duration::ZERO);
    assert_eq!(names(folder.path()), ["f", "kept"]);
    assert_eq!(names(&folder.path().join("f")), [".z.feige-part", ".z.feige-sums"]);
    drop(upload);
    assert_eq!(home.earlier(path("f/z")).unwrap().unwrap().offset, LEN as u64);
}
