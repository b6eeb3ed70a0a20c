//! What users can do with a home, and what nobody can.

mod escape;
mod quota;
mod resume;
mod unnamed;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_core::wire::transfer::{EntryKind, ErrorCode, Path};

use super::*;

/// The block that the tests use: 4 KiB.
const BLOCK: u8 = 12;
const LEN: usize = 1 << BLOCK;

fn home(quota: Option<u64>) -> (tempfile::TempDir, Arc<Home>) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path(), quota).unwrap();
    (folder, home)
}

fn path(text: &str) -> Path<'_> {
    Path::parse(text).unwrap()
}

fn arriving(size: usize) -> Arriving {
    Arriving { size: size as u64, mtime: None, mode: None, stamp: 7, block: BLOCK, replace: false, fresh: false }
}

/// Octets that differ from block to block.
fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / LEN + at % 251) as u8).collect()
}

fn digests(octets: &[u8]) -> Vec<Digest> {
    octets.chunks(LEN).map(Digest::of).collect()
}

/// Writes and verifies `octets`, which belong at `at`.
fn send(upload: &mut Upload, at: usize, octets: &[u8]) {
    upload.write(at as u64, octets).unwrap();
    upload.verified(at as u64, octets.len() as u32, &digests(octets)).unwrap();
}

fn settle(home: &Home, upload: Upload) -> Result<(), HomeError> {
    home.settle(&mut vec![upload.complete()?]).remove(0)
}

fn put_as(home: &Arc<Home>, at: &str, octets: &[u8], arriving: &Arriving) -> Result<(), HomeError> {
    let mut upload = home.receive(path(at), arriving)?;
    let offset = upload.offset() as usize;
    if offset < octets.len() {
        upload.write(offset as u64, &octets[offset..])?;
        upload.verified(offset as u64, (octets.len() - offset) as u32, &digests(&octets[offset..]))?;
    }
    settle(home, upload)
}

fn put(home: &Arc<Home>, at: &str, octets: &[u8]) -> Result<(), HomeError> {
    put_as(home, at, octets, &Arriving { replace: true, ..arriving(octets.len()) })
}

/// What is really in a folder.
fn names(folder: &std::path::Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

/// What its users see of a folder.
fn listed(home: &Arc<Home>, at: &str) -> Vec<String> {
    let mut names: Vec<_> = home.list(path(at)).unwrap().map(|item| item.unwrap().name).collect();
    names.sort();
    names
}

#[track_caller]
fn refused<T>(result: Result<T, HomeError>, code: ErrorCode) {
    match result {
        Err(error) => assert_eq!(error.code, code, "{error}"),
        Ok(_) => panic!("not refused with {code:?}"),
    }
}

#[test]
fn a_name_appears_only_when_the_file_is_whole_and_settled() {
    for len in [0, 5, LEN, LEN + 1, 70_000, 10 * LEN] {
        let (folder, home) = home(None);
        let octets = octets(len);
        let mut upload = home.receive(path("x"), &arriving(len)).unwrap();
        assert_eq!((upload.offset(), upload.block()), (0, BLOCK));
        if len > 0 {
            upload.write(0, &octets).unwrap();
            refused(home.stat(path("x")), ErrorCode::NotFound);
            upload.verified(0, len as u32, &digests(&octets)).unwrap();
        }
        let finished = upload.complete().unwrap();
        assert!(listed(&home, "").is_empty(), "{len}");
        assert!(!names(folder.path()).is_empty() && !names(folder.path()).contains(&"x".to_owned()), "{len}");
        let mut finished = vec![finished];
        assert_eq!(home.settle(&mut finished), [Ok(())]);
        assert!(finished.is_empty());
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), octets);
        assert_eq!(names(folder.path()), ["x"], "{len}");
    }
}

#[test]
fn what_is_not_whole_is_not_completed() {
    for len in [100, 3 * LEN] {
        let (folder, home) = home(None);
        let octets = octets(len);
        refused(home.receive(path("x"), &arriving(len)).unwrap().complete(), ErrorCode::BadRequest);
        // Written, but not verified.
        let mut upload = home.receive(path("x"), &arriving(len)).unwrap();
        upload.write(0, &octets).unwrap();
        refused(upload.complete(), ErrorCode::BadRequest);
        // More than was announced.
        let mut upload = home.receive(path("x"), &arriving(len)).unwrap();
        refused(upload.write(1, &octets), ErrorCode::BadRequest);
        refused(upload.write(u64::MAX, &octets), ErrorCode::BadRequest);
        // Not whole blocks, or not as many digests as blocks.
        upload.write(0, &octets).unwrap();
        let digests = digests(&octets);
        refused(upload.verified(1, len as u32 - 1, &digests), ErrorCode::BadRequest);
        refused(upload.verified(0, 50, &digests[..1]), ErrorCode::BadRequest);
        refused(upload.verified(0, len as u32, &digests[1..]), ErrorCode::BadRequest);
        refused(upload.verified(0, len as u32 + 4096, &digests), ErrorCode::BadRequest);
        drop(upload);
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    }
    let (_folder, home) = home(None);
    refused(home.receive(path("x"), &Arriving { block: 40, ..arriving(1) }), ErrorCode::BadRequest);
    refused(home.receive(Path::ROOT, &arriving(1)), ErrorCode::Forbidden);
    refused(home.receive(path("none/x"), &arriving(1)), ErrorCode::NotFound);
    refused(home.receive(path("x"), &arriving(usize::MAX / 4)), ErrorCode::NoSpace);
    put(&home, "file", b"1").unwrap();
    refused(home.receive(path("file/x"), &arriving(1)), ErrorCode::NotAFolder);
}

#[test]
fn time_and_access_rights_are_those_that_were_announced() {
    let (folder, home) = home(None);
    fs::write(folder.path().join("other"), "").unwrap();
    let metadata = |name: &str| fs::metadata(folder.path().join(name)).unwrap();
    let usual = metadata("other").mode() & 0o7777;
    let masked = !usual & 0o666;
    for (name, len) in [("small", 10), ("large", 10 * LEN)] {
        put(&home, name, &octets(len)).unwrap();
        assert_eq!(metadata(name).mode() & 0o7777, usual, "{name}");
        for (mode, expected) in
            [(0o755, 0o755 & !masked), (0o6755, 0o755 & !masked), (0o000, 0o600), (0o444, 0o644 & !masked)]
        {
            let mtime = -1_500_000_000;
            let arriving = Arriving { mtime: Some(mtime), mode: Some(mode), replace: true, ..arriving(len) };
            put_as(&home, name, &octets(len), &arriving).unwrap();
            assert_eq!(metadata(name).mode() & 0o7777, expected, "{name} {mode:o}");
            let item = home.stat(path(name)).unwrap();
            assert_eq!((item.mtime, u32::from(item.mode)), (mtime, expected));
        }
    }
}

#[test]
fn what_is_replaced_stays_whole_until_it_is_replaced() {
    for len in [10, 10 * LEN] {
        let (folder, home) = home(None);
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        put(&home, "x", b"old").unwrap();
        refused(home.receive(path("x"), &arriving(len)), ErrorCode::Exists);
        let announced = Arriving { replace: true, ..arriving(len) };
        let mut upload = home.receive(path("x"), &announced).unwrap();
        send(&mut upload, 0, &octets(len));
        let finished = upload.complete().unwrap();
        assert_eq!(read("x"), b"old");
        assert_eq!(home.settle(&mut vec![finished]), [Ok(())]);
        assert_eq!(read("x"), octets(len));

        // It was free when it was announced, and is taken when it is to be named.
        for (name, replace) in [("y", false), ("z", true)] {
            let mut upload = home.receive(path(name), &Arriving { replace, ..announced }).unwrap();
            send(&mut upload, 0, &octets(len));
            fs::write(folder.path().join(name), "other").unwrap();
            if replace {
                settle(&home, upload).unwrap();
                assert_eq!(read(name), octets(len));
            } else {
                refused(settle(&home, upload), ErrorCode::Exists);
                assert_eq!(read(name), b"other");
            }
        }
        home.make_dir(path("f"), false).unwrap();
        refused(home.receive(path("f"), &announced), ErrorCode::IsAFolder);
        let mut upload = home.receive(path("g"), &announced).unwrap();
        send(&mut upload, 0, &octets(len));
        fs::create_dir(folder.path().join("g")).unwrap();
        refused(settle(&home, upload), ErrorCode::IsAFolder);
    }
}

#[test]
fn many_files_are_settled_each_for_itself() {
    let (folder, home) = home(None);
    home.make_dir(path("a/b"), true).unwrap();
    let mut finished: Vec<_> = (0..30)
        .map(|number| {
            let folder = ["", "a/", "a/b/"][number % 3];
            let len = if number % 5 == 0 { 2 * LEN } else { number };
            let mut upload = home.receive(path(&format!("{folder}{number}")), &arriving(len)).unwrap();
            if len > 0 {
                send(&mut upload, 0, &octets(len));
            }
            upload.complete().unwrap()
        })
        .collect();
    fs::write(folder.path().join("3"), "taken").unwrap();
    let settled = home.settle(&mut finished);
    for (number, result) in settled.iter().enumerate() {
        assert_eq!(
            result.as_ref().err().map(|error| error.code),
            (number == 3).then_some(ErrorCode::Exists),
            "{number}"
        );
    }
    assert_eq!(names(&folder.path().join("a/b")), ["11", "14", "17", "2", "20", "23", "26", "29", "5", "8"]);
    assert_eq!(home.settle(&mut finished), []);

    // One folder is removed by another program: the others' files are settled.
    let mut finished: Vec<_> = ["a/b/x", "a/x", "x"]
        .map(|name| {
            let mut upload = home.receive(path(name), &arriving(3)).unwrap();
            send(&mut upload, 0, b"abc");
            upload.complete().unwrap()
        })
        .into();
    fs::remove_dir_all(folder.path().join("a/b")).unwrap();
    let codes = home.settle(&mut finished).into_iter().map(|result| result.err().map(|error| error.code));
    assert_eq!(codes.collect::<Vec<_>>(), [Some(ErrorCode::NotFound), None, None]);
}

#[test]
fn a_home_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn handed_on<T: Send>() {}
    shared::<Home>();
    handed_on::<(Upload, Finished, Listing, Source)>();
}

#[test]
fn a_page_goes_on_where_the_last_one_ended() {
    let (folder, home) = home(None);
    let mut expected: Vec<_> = (0..1500).map(|number| format!("file {number}")).collect();
    expected.iter().for_each(|name| fs::write(folder.path().join(name), name).unwrap());
    expected.sort();
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        let mut listing = home.list(Path::ROOT).unwrap();
        listing.seek(cursor).unwrap();
        let page: Vec<_> = listing.by_ref().take(100).map(Result::unwrap).collect();
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|item| item.kind == EntryKind::File && item.size == item.name.len() as u64));
        seen.extend(page.into_iter().map(|item| item.name));
        cursor = listing.cursor();
        assert_ne!(cursor, 0);
    }
    seen.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_source_knows_when_its_file_has_changed() {
    let (folder, home) = home(None);
    put(&home, "x", b"12345").unwrap();
    home.make_dir(path("f"), false).unwrap();
    let source = home.read(path("x")).unwrap();
    assert_eq!((source.size, source.unchanged()), (5, true));
    assert_eq!(source.stamp, home.read(path("x")).unwrap().stamp);
    std::thread::sleep(Duration::from_millis(20));
    fs::write(folder.path().join("x"), b"54321").unwrap();
    assert!(!source.unchanged());
    assert_ne!(source.stamp, home.read(path("x")).unwrap().stamp);
    refused(home.read(path("f")), ErrorCode::IsAFolder);
    refused(home.read(Path::ROOT), ErrorCode::IsAFolder);
    refused(home.read(path("x/y")), ErrorCode::NotAFolder);
    refused(home.read(path("none")), ErrorCode::NotFound);
}

#[test]
fn folders_are_made_and_removed() {
    let (folder, home) = home(None);
    home.make_dir(path("a"), false).unwrap();
    refused(home.make_dir(path("a"), false), ErrorCode::Exists);
    home.make_dir(path("a"), true).unwrap();
    refused(home.make_dir(path("b/c"), false), ErrorCode::NotFound);
    home.make_dir(path("b/c/d"), true).unwrap();
    put(&home, "b/x", b"1").unwrap();
    refused(home.make_dir(path("b/x"), true), ErrorCode::NotAFolder);
    refused(home.make_dir(path("b/x/y"), true), ErrorCode::NotAFolder);
    refused(home.make_dir(Path::ROOT, false), ErrorCode::Forbidden);
    home.make_dir(Path::ROOT, true).unwrap();
    refused(home.remove_dir(path("b")), ErrorCode::NotEmpty);
    refused(home.remove_dir(path("b/x")), ErrorCode::NotAFolder);
    refused(home.remove_dir(Path::ROOT), ErrorCode::Forbidden);
    refused(home.remove(path("b")), ErrorCode::IsAFolder);
    refused(home.remove(path("none")), ErrorCode::NotFound);
    home.remove(path("b/x")).unwrap();
    home.remove_dir(path("b/c/d")).unwrap();
    home.remove_dir(path("b/c")).unwrap();
    home.remove_dir(path("b")).unwrap();
    assert_eq!(names(folder.path()), ["a"]);
}

#[test]
fn renaming_replaces_only_files_and_only_if_wanted() {
    let (folder, home) = home(None);
    put(&home, "a", b"a").unwrap();
    put(&home, "b", b"b").unwrap();
    home.make_dir(path("f/g"), true).unwrap();
    let rename = |from: &str, to: &str, replace| home.rename(path(from), path(to), replace);
    refused(rename("a", "b", false), ErrorCode::Exists);
    rename("a", "b", true).unwrap();
    assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"a");
    rename("b", "b", true).unwrap();
    rename("b", "f/g/c", false).unwrap();
    refused(rename("f", "f/g/h", true), ErrorCode::BadRequest);
    refused(rename("f", "", true), ErrorCode::Forbidden);
    refused(rename("", "x", true), ErrorCode::Forbidden);
    refused(rename("none", "x", true), ErrorCode::NotFound);
    refused(rename("f", "none/x", true), ErrorCode::NotFound);
    put(&home, "d", b"d").unwrap();
    refused(rename("d", "f", true), ErrorCode::IsAFolder);
    refused(rename("f", "d", true), ErrorCode::Exists);
    refused(rename("f", "d", false), ErrorCode::Exists);
    rename("f", "e", false).unwrap();
    assert_eq!(listed(&home, "e/g"), ["c"]);
    refused(home.list(path("f")), ErrorCode::NotFound);
}

#[test]
fn an_upload_follows_its_folder() {
    for len in [10, 10 * LEN] {
        let (folder, home) = home(None);
        home.make_dir(path("f"), false).unwrap();
        let mut upload = home.receive(path("f/x"), &arriving(len)).unwrap();
        home.rename(path("f"), path("g"), false).unwrap();
        send(&mut upload, 0, &octets(len));
        settle(&home, upload).unwrap();
        assert_eq!(listed(&home, "g"), ["x"]);
        // The folder that is kept open is not the one of that name any more.
        refused(home.receive(path("f/y"), &arriving(len)), ErrorCode::NotFound);
        home.make_dir(path("f"), false).unwrap();
        put(&home, "f/y", b"y").unwrap();
        assert_eq!((listed(&home, "f"), listed(&home, "g")), (vec!["y".to_owned()], vec!["x".to_owned()]));

        // Another program removes it, and makes it again.
        let mut upload = home.receive(path("g/z"), &arriving(len)).unwrap();
        fs::remove_dir_all(folder.path().join("g")).unwrap();
        send(&mut upload, 0, &octets(len));
        refused(settle(&home, upload), ErrorCode::NotFound);
        refused(home.receive(path("g/z"), &arriving(len)), ErrorCode::NotFound);
        fs::create_dir(folder.path().join("g")).unwrap();
        put(&home, "g/z", b"z").unwrap();
        assert_eq!(listed(&home, "g"), ["z"]);
    }
}

/// What is kept open may not be what its path names any more: nothing goes into it, and nothing is told of it.
#[test]
fn a_folder_that_another_program_moved_is_left_alone() {
    let (folder, home) = home(None);
    let (here, aside) = (folder.path().join("f"), folder.path().join("aside"));
    home.make_dir(path("f"), false).unwrap();
    home.make_dir(path("f/g"), false).unwrap();
    for at in ["f/x", "f/g/x"] {
        put(&home, at, b"monday").unwrap();
    }
    fs::rename(&here, &aside).unwrap();
    // Known at once if we made the new one.
    home.make_dir(path("f"), false).unwrap();
    home.make_dir(path("f/g"), false).unwrap();
    for at in ["f/x", "f/g/x"] {
        put(&home, at, b"tuesday").unwrap();
        assert_eq!(fs::read(folder.path().join(at)).unwrap(), b"tuesday");
    }
    assert_eq!(
        (fs::read(aside.join("x")).unwrap(), fs::read(aside.join("g/x")).unwrap()),
        (b"monday".to_vec(), b"monday".to_vec())
    );
    // Also if another program did: to be listed at once, to be written to when it is next looked at.
    fs::remove_dir_all(&here).unwrap();
    refused(home.list(path("f")), ErrorCode::NotFound);
    fs::create_dir(&here).unwrap();
    fs::write(here.join("y"), "y").unwrap();
    assert_eq!(listed(&home, "f"), ["y"]);
    fs::remove_dir_all(&aside).unwrap();
    fs::rename(&here, &aside).unwrap();
    fs::create_dir(&here).unwrap();
    std::thread::sleep(Duration::from_millis(10));
    refused(home.stat(path("f/y")), ErrorCode::NotFound);
    put(&home, "f/z", b"z").unwrap();
    assert_eq!((names(&here), names(&aside)), (vec!["z".to_owned()], vec!["y".to_owned()]));
}

#[test]
fn a_folder_that_looks_empty_can_be_removed() {
    let (folder, home) = home(Some(1 << 20));
    home.make_dir(path("f"), false).unwrap();
    let len = 4 * LEN;
    let mut upload = home.receive(path("f/x"), &arriving(len)).unwrap();
    send(&mut upload, 0, &octets(2 * LEN));
    refused(home.remove_dir(path("f")), ErrorCode::Busy);
    drop(upload);
    let small = home.receive(path("f/y"), &arriving(1)).unwrap();
    refused(home.remove_dir(path("f")), ErrorCode::Busy);
    drop(small);
    assert_eq!(names(&folder.path().join("f")).len(), 2);
    assert_eq!(home.space().used, 2 * LEN as u64);
    home.remove_dir(path("f")).unwrap();
    assert_eq!(home.space().used, 0);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_disk_that_can_only_be_read_is_told() {
    let (folder, home) = home(None);
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        return eprintln!("skipped: root may write everywhere");
    }
    refused(home.receive(path("locked/x"), &arriving(1)), ErrorCode::Forbidden);
    refused(home.receive(path("locked/x"), &arriving(10 * LEN)), ErrorCode::Forbidden);
}

#[test]
fn texts_say_what_and_where_as_the_user_names_it() {
    let (folder, home) = home(Some(10));
    let text = |result: Result<(), HomeError>| result.unwrap_err().text;
    let long = "x".repeat(250);
    let long = [long.as_str(); 8].join("/");
    for text in [
        text(home.read(path("a/b")).map(drop)),
        text(put(&home, "a/b", b"")),
        text(put(&home, "b", &octets(11))),
        text(home.rename(path("a"), path("b"), false)),
        text(Home::open(&folder.path().join("none"), None).map(drop)),
        text(home.read(path(&long)).map(drop)),
    ] {
        assert!(text.len() < 400 && !text.contains(folder.path().to_str().unwrap()), "{text}");
    }
    assert_eq!(
        text(home.read(path("a/b")).map(drop)),
        "cannot read /a/b: there is no such folder; make it first, or check the path"
    );
    assert_eq!(
        text(put(&home, "b", &octets(11))),
        "cannot receive /b: it needs 11 octets and the quota has 10 left; remove something"
    );
}
