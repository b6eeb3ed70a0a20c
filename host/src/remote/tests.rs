//! Errands, with a server that is made up.

use std::fs;
use std::path::Path as LocalPath;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_core::wire::transfer::{Entry, EntryKind, ErrorCode, File, Get, Put, Reply, Request};
use tempfile::TempDir;

use super::cat::Cat;
use super::connection::Patience;
use super::download::{Download, Tree};
use super::errand::{Errand, Heard, Next, Refusal, Takes};
use super::report::Report;
use super::upload::{Load, Upload};
use super::{Wish, same_time};
use crate::cli::{Color, OutputOptions};
use crate::exit::Exit;
use crate::home::Home;
use crate::transfer::Cancel;

const TAKES: Takes = Takes { window: 1 << 20, max_block: 16 };

fn report() -> Report {
    let color = Color::Never;
    Report::new(&OutputOptions { json: false, quiet: true, verbose: 0, color, config: None })
}

fn tree(folder: &LocalPath, remote: &str, local: &str) -> Tree {
    let home = Home::open(folder, None).expect("a home");
    let path = folder.join(local);
    Tree { remote: remote.into(), home, local: local.into(), path, recursive: true, origin: "server".into() }
}

fn download<'r>(trees: Vec<Tree>, report: &'r mut Report) -> Download<'r> {
    Download::new(trees, Wish::default(), Patience::new(Duration::ZERO), Cancel::new(), report)
}

/// What an errand wants next, in short.
fn next(errand: &mut dyn Errand) -> String {
    match errand.next(&TAKES) {
        Next::Job(Request::List { path, cursor }) => format!("list {path} {cursor}"),
        Next::Job(Request::Get(Get { path, offset, .. })) => format!("get {path} {offset}"),
        Next::Job(Request::Put(Put { path, size, inline, .. })) => {
            format!("put {path} {size}{}", if inline { " inline" } else { "" })
        }
        Next::Job(Request::MakeDir { path, .. }) => format!("mkdir {path}"),
        Next::Job(Request::Stat { path }) => format!("stat {path}"),
        Next::Job(other) => panic!("{other:?}"),
        Next::Later => "later".into(),
        Next::Over => "over".into(),
    }
}

fn entry(name: &str, kind: EntryKind, size: u64) -> Reply<'_> {
    Reply::Entry(Entry { name, kind, size, mtime: Some(1_000_000_000), mode: None })
}

fn error(code: ErrorCode) -> Reply<'static> {
    Reply::Error { code, text: "no" }
}

#[track_caller]
fn fine(errand: &mut dyn Errand, reply: &Reply<'_>) {
    assert!(matches!(errand.reply(reply), Heard::Fine), "{reply:?}");
}

/// A small file comes whole.
#[track_caller]
fn comes(errand: &mut dyn Errand, octets: &[u8]) {
    let size = octets.len() as u64;
    let mtime = Some(1_000_000_000);
    fine(errand, &Reply::File(File { size, mtime, mode: None, stamp: 7, block: 16, offset: 0, length: size }));
    let digest = Digest::of(octets);
    if !octets.is_empty() {
        errand.save(0, octets);
        assert!(matches!(errand.verified(0, octets.len() as u32, &[digest]), Heard::Fine));
    }
    assert!(matches!(errand.complete(digest), Heard::Fine));
}

#[test]
fn times_are_compared_as_file_systems_keep_them() {
    assert!(same_time(1_500_000_000, 1_500_000_000));
    assert!(same_time(1_000_000_000, 1_500_000_000));
    assert!(same_time(-500_000_000, -1_000_000_000));
    assert!(!same_time(1_400_000_000, 1_500_000_000));
    assert!(!same_time(2_000_000_000, 1_500_000_000));
}

#[test]
fn folders_come_page_by_page_and_depth_first() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let mut errand = download(vec![tree(folder.path(), "top", "here")], &mut report);
    assert_eq!(next(&mut errand), "list top 0");
    assert_eq!(next(&mut errand), "later");
    fine(&mut errand, &entry("a", EntryKind::File, 3));
    fine(&mut errand, &entry("sub", EntryKind::Folder, 0));
    // Names that would lead elsewhere are reported, and nothing else.
    fine(&mut errand, &entry("..", EntryKind::Folder, 0));
    fine(&mut errand, &entry("x/../../y", EntryKind::File, 3));
    fine(&mut errand, &Reply::End { cursor: 7 });
    assert!(!folder.path().join("here").exists(), "a name before everything is there");
    // The next page is asked for while files of this one come: what is below goes first.
    assert_eq!(next(&mut errand), "list top/sub 0");
    assert_eq!(next(&mut errand), "get top/a 0");
    fine(&mut errand, &entry("b", EntryKind::File, 0));
    // The connection breaks in the midst of a page, and of what was asked for.
    errand.broken();
    assert_eq!(next(&mut errand), "list top/sub 0");
    assert_eq!(next(&mut errand), "get top/a 0");
    fine(&mut errand, &entry("b", EntryKind::File, 0));
    fine(&mut errand, &Reply::End { cursor: 0 });
    comes(&mut errand, b"aaa");
    assert_eq!(next(&mut errand), "list top 7");
    assert_eq!(next(&mut errand), "get top/sub/b 0");
    fine(&mut errand, &error(ErrorCode::Busy));
    comes(&mut errand, b"");
    assert_eq!(next(&mut errand), "over");
    errand.close(true);
    assert_eq!(fs::read(folder.path().join("here/a")).ok().as_deref(), Some(&b"aaa"[..]));
    assert_eq!(fs::read(folder.path().join("here/sub/b")).ok().as_deref(), Some(&b""[..]));
    assert!(!folder.path().join("y").exists());
    // Two names and a page.
    assert_eq!(report.failed(), 3);
}

/// What has no name yet below `folder`.
fn unnamed(folder: &LocalPath) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").file_name());
    entries.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".feige-part")).collect()
}

/// The server lists a folder with two small files.
fn lists_two(errand: &mut dyn Errand) {
    assert_eq!(next(errand), "list top 0");
    fine(errand, &entry("a", EntryKind::File, 3));
    fine(errand, &entry("b", EntryKind::File, 3));
    fine(errand, &Reply::End { cursor: 0 });
}

/// Both of them are asked for, and come.
fn both_come(errand: &mut dyn Errand) {
    for octets in [b"aaa", b"bbb"] {
        assert_eq!(next(errand), format!("get top/{} 0", char::from(octets[0])));
        comes(errand, octets);
    }
    assert_eq!(next(errand), "over");
}

#[test]
fn a_new_folder_has_its_name_in_the_end_and_goes_on_without() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    // Nothing of the user's is in it, so that nothing has to be kept.
    let wish = Wish { no_clobber: true, ..Wish::default() };
    let patience = || Patience::new(Duration::ZERO);
    let trees = || vec![tree(folder.path(), "top", "here")];
    let mut errand = Download::new(trees(), wish, patience(), Cancel::new(), &mut report);
    lists_two(&mut errand);
    assert_eq!(next(&mut errand), "get top/a 0");
    comes(&mut errand, b"aaa");
    // Broken off.
    assert!(errand.close(false), "the same command goes on");
    assert!(!folder.path().join("here").exists());
    assert_eq!(unnamed(folder.path()).len(), 1);
    drop(errand);

    // Of another server: nothing of the first one's is mixed in.
    let other = Tree { origin: "another".into(), local: "there".into(), ..tree(folder.path(), "top", "here") };
    let mut errand = Download::new(vec![other], wish, patience(), Cancel::new(), &mut report);
    lists_two(&mut errand);
    assert_eq!(next(&mut errand), "get top/a 0");
    assert_eq!(unnamed(folder.path()).len(), 2);
    drop(errand);
    assert_eq!(unnamed(folder.path()).len(), 1, "an empty one is not kept");

    // Two at once: the second one is told so, and changes nothing.
    let mut errand = Download::new(trees(), wish, patience(), Cancel::new(), &mut report);
    assert_eq!(next(&mut errand), "list top 0");
    fine(&mut errand, &entry("a", EntryKind::File, 3));
    let mut second_report = self::report();
    let mut second = Download::new(trees(), wish, patience(), Cancel::new(), &mut second_report);
    assert_eq!(next(&mut second), "list top 0");
    let heard = second.reply(&entry("a", EntryKind::File, 3));
    assert!(matches!(&heard, Heard::GiveUp(why) if why.message.contains("another program")), "{heard:?}");
    assert!(!second.close(false));
    drop(second);

    // Only what is missing comes.
    fine(&mut errand, &entry("b", EntryKind::File, 3));
    fine(&mut errand, &Reply::End { cursor: 0 });
    assert_eq!(next(&mut errand), "get top/b 0");
    // One that cannot be had does not keep the rest from its name.
    fine(&mut errand, &error(ErrorCode::Forbidden));
    assert_eq!(next(&mut errand), "over");
    assert!(!errand.close(true));
    assert_eq!(fs::read(folder.path().join("here/a")).ok().as_deref(), Some(&b"aaa"[..]));
    assert!(unnamed(folder.path()).is_empty());
    assert_eq!(report.failed(), 1);
}

/// Nothing comes for nothing, and nobody reads a line for each of a thousand files.
#[test]
fn what_is_in_a_folder_that_cannot_be_made_is_left_there() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    fs::create_dir(folder.path().join("here")).expect("room");
    fs::write(folder.path().join("here/sub"), "mine").expect("room");
    let mut errand = download(vec![tree(folder.path(), "top", "here")], &mut report);
    assert_eq!(next(&mut errand), "list top 0");
    fine(&mut errand, &entry("sub", EntryKind::Folder, 0));
    fine(&mut errand, &entry("a", EntryKind::File, 3));
    fine(&mut errand, &Reply::End { cursor: 0 });
    assert_eq!(next(&mut errand), "list top/sub 0");
    for name in ["b", "c", "..", "deep"] {
        let kind = if name == "deep" { EntryKind::Folder } else { EntryKind::File };
        fine(&mut errand, &entry(name, kind, 3));
    }
    // Not the next page either.
    fine(&mut errand, &Reply::End { cursor: 7 });
    assert_eq!(next(&mut errand), "get top/a 0");
    comes(&mut errand, b"aaa");
    assert_eq!(next(&mut errand), "over");
    errand.close(true);
    assert_eq!(fs::read(folder.path().join("here/sub")).ok().as_deref(), Some(&b"mine"[..]));
    assert_eq!((report.failed(), report.exit()), (1, Exit::Failed));
}

#[test]
fn folders_of_one_name_become_one() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let trees = ["one/top", "two/top"].map(|remote| tree(folder.path(), remote, "here"));
    let mut errand = download(trees.into(), &mut report);
    for (remote, file) in [("one", "a"), ("two", "b")] {
        assert_eq!(next(&mut errand), format!("list {remote}/top 0"));
        fine(&mut errand, &entry(file, EntryKind::File, 3));
        fine(&mut errand, &Reply::End { cursor: 0 });
        if remote == "one" {
            continue;
        }
        for path in ["one/top/a", "two/top/b"] {
            assert_eq!(next(&mut errand), format!("get {path} 0"));
            comes(&mut errand, &path.as_bytes()[..3]);
        }
    }
    assert_eq!(next(&mut errand), "over");
    errand.close(true);
    for (file, octets) in [("a", "one"), ("b", "two")] {
        assert_eq!(fs::read_to_string(folder.path().join("here").join(file)).ok().as_deref(), Some(octets), "{file}");
    }
    assert_eq!(report.failed(), 0);
}

#[test]
fn after_a_restart_of_the_machine_small_files_of_a_folder_without_a_name_come_again() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let mut errand = download(vec![tree(folder.path(), "top", "here")], &mut report);
    lists_two(&mut errand);
    assert_eq!(next(&mut errand), "get top/a 0");
    comes(&mut errand, b"aaa");
    assert!(errand.close(false));
    drop(errand);
    let part = unnamed(folder.path()).remove(0);
    let sums = folder.path().join(part.replace("feige-part", "feige-sums"));
    fs::write(sums, [7; 16]).expect("another start");
    // The system has lost the octets, but not their number.
    fs::write(folder.path().join(&part).join("a"), [0; 3]).expect("room");
    let lost = fs::File::options().write(true).open(folder.path().join(&part).join("a")).expect("there");
    lost.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1)).expect("set");
    let mut errand = download(vec![tree(folder.path(), "top", "here")], &mut report);
    lists_two(&mut errand);
    both_come(&mut errand);
    assert!(!errand.close(true));
    assert_eq!(fs::read(folder.path().join("here/a")).ok().as_deref(), Some(&b"aaa"[..]));
}

#[test]
fn a_name_that_is_taken_meanwhile_is_told_and_nothing_is_lost() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let mut errand = download(vec![tree(folder.path(), "top", "here")], &mut report);
    lists_two(&mut errand);
    both_come(&mut errand);
    fs::create_dir(folder.path().join("here")).expect("room");
    errand.close(true);
    drop(errand);
    assert_eq!(report.failed(), 1);
    // Its owner takes it away, and everything is there at once.
    fs::remove_dir(folder.path().join("here")).expect("empty");
    let mut errand = download(vec![tree(folder.path(), "top", "here")], &mut report);
    lists_two(&mut errand);
    assert_eq!(next(&mut errand), "over");
    errand.close(true);
    assert_eq!(fs::read(folder.path().join("here/b")).ok().as_deref(), Some(&b"bbb"[..]));
}

#[test]
fn what_comes_damaged_is_asked_for_again_but_not_for_ever() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let file = Tree { recursive: false, ..tree(folder.path(), "f", "f") };
    let mut errand = download(vec![file], &mut report);
    for _ in 0..4 {
        assert_eq!(next(&mut errand), "get f 0");
        // It may be large: nothing is asked for behind it.
        assert_eq!(next(&mut errand), "later");
        fine(&mut errand, &error(ErrorCode::DigestMismatch));
    }
    assert_eq!(next(&mut errand), "over");
    assert_eq!((report.failed(), report.exit()), (1, Exit::Incomplete));
}

#[test]
fn a_damaged_block_is_repaired_in_its_place() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let file = Tree { recursive: false, ..tree(folder.path(), "f", "f") };
    let mut errand = download(vec![file], &mut report);
    let octets: Vec<u8> = (0..3 * 4096_u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    assert_eq!(next(&mut errand), "get f 0");
    let (size, mtime) = (octets.len() as u64, Some(5));
    fine(&mut errand, &Reply::File(File { size, mtime, mode: None, stamp: 7, block: 12, offset: 0, length: size }));
    let digests: Vec<Digest> = octets.chunks(4096).map(Digest::of).collect();
    errand.save(0, &octets);
    assert!(matches!(errand.verified(0, 4096, &digests[..1]), Heard::Fine));
    assert!(matches!(errand.verified(8192, 4096, &digests[2..]), Heard::Fine));
    let get = errand.damaged(4096, 4096).expect("once more");
    assert_eq!((get.path, get.offset, get.length, get.stamp, get.block), ("f", 4096, 4096, 7, 12));
    // Broken: what was verified from the start on is kept.
    errand.broken();
    assert_eq!(next(&mut errand), "get f 4096");
    let (offset, length) = (4096, size - 4096);
    fine(&mut errand, &Reply::File(File { size, mtime, mode: None, stamp: 7, block: 12, offset, length }));
    errand.save(4096, &octets[4096..]);
    assert!(matches!(errand.verified(4096, 8192, &digests[1..]), Heard::Fine));
    assert!(matches!(errand.complete(digests[1]), Heard::Fine));
    errand.close(true);
    assert!(fs::read(folder.path().join("f")).expect("there") == octets);
}

#[test]
fn a_server_that_is_busy_is_asked_again_as_long_as_the_user_says() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let file = Tree { recursive: false, ..tree(folder.path(), "f", "f") };
    let patience = Patience::new(Duration::from_millis(10));
    let mut errand = Download::new(vec![file], Wish::default(), patience, Cancel::new(), &mut report);
    assert_eq!(next(&mut errand), "get f 0");
    fine(&mut errand, &error(ErrorCode::Busy));
    assert_eq!(next(&mut errand), "get f 0");
    fine(&mut errand, &error(ErrorCode::Busy));
    assert_eq!(next(&mut errand), "over");
    assert_eq!(report.exit(), Exit::Nobody);
}

/// A part of the file is not printed as if it were all of it.
///
/// proves: R-VT-50
#[test]
fn what_is_printed_is_what_was_asked_for() {
    let whole = File { size: 8192, mtime: None, mode: None, stamp: 7, block: 12, offset: 0, length: 8192 };
    let said = |file: File| {
        let mut report = report();
        let mut errand = Cat::new("f", &mut report);
        assert_eq!(next(&mut errand), "get f 0");
        errand.reply(&Reply::File(file))
    };
    assert!(matches!(said(whole), Heard::Fine));
    for part in [
        File { length: 50, ..whole },
        File { offset: 4096, length: 4096, ..whole },
        File { offset: u64::MAX, length: 2, ..whole },
    ] {
        assert!(matches!(said(part), Heard::GiveUp(_)), "{part:?}");
    }
}

#[test]
fn what_is_not_asked_for_is_not_taken() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let mut errand = download(vec![tree(folder.path(), "top", "here")], &mut report);
    assert_eq!(next(&mut errand), "list top 0");
    let file = File { size: 1, mtime: None, mode: None, stamp: 7, block: 16, offset: 0, length: 1 };
    assert!(matches!(errand.reply(&Reply::File(file)), Heard::GiveUp(_)));
    assert!(matches!(errand.reply(&Reply::Time(0)), Heard::GiveUp(_)));
    assert!(matches!(errand.verified(0, 1, &[Digest::of(b"x")]), Heard::NotWanted));
}

#[test]
fn files_are_sent_as_the_server_takes_them() {
    let (folder, mut report) = (TempDir::new().expect("a folder"), report());
    let local = folder.path().join("out");
    fs::create_dir_all(local.join("in")).expect("room");
    fs::write(local.join("in/small"), [7; 100]).expect("room");
    fs::write(local.join("in/large"), [7; 1000]).expect("room");
    let load = Load { local, remote: "out".into(), folder: true };
    let patience = Patience::new(Duration::ZERO);
    let mut errand = Upload::new(vec![load], Wish::default(), patience, Cancel::new(), &mut report);
    assert_eq!(next(&mut errand), "mkdir out");
    assert_eq!(next(&mut errand), "later");
    fine(&mut errand, &Reply::Done);
    assert_eq!(next(&mut errand), "mkdir out/in");
    assert_eq!(next(&mut errand), "later");
    // It was there already: each file is asked about.
    fine(&mut errand, &error(ErrorCode::Exists));
    assert_eq!(next(&mut errand), "stat out/in");
    assert_eq!(next(&mut errand), "later");
    fine(&mut errand, &Reply::Stat(Entry { name: "in", kind: EntryKind::Folder, size: 0, mtime: None, mode: None }));
    let mut asked = [next(&mut errand), next(&mut errand)];
    let small_first = asked[0].ends_with("small");
    asked.sort();
    assert_eq!(asked, ["stat out/in/large", "stat out/in/small"]);
    fine(&mut errand, &error(ErrorCode::NotFound));
    fine(&mut errand, &error(ErrorCode::NotFound));
    // A device takes little that it has not asked for, and a large file alone.
    let takes = Takes { window: 400, max_block: 12 };
    let mut sent = Vec::new();
    for _ in 0..2 {
        match errand.next(&takes) {
            Next::Job(Request::Put(Put { path, inline, block, .. })) => sent.push((path.to_owned(), inline, block)),
            Next::Later => sent.push(("later".into(), false, 0)),
            other => panic!("{other:?}"),
        }
    }
    let small = ("out/in/small".to_owned(), true, 12);
    if small_first {
        assert_eq!(sent, [small, ("later".into(), false, 0)]);
        fine(&mut errand, &Reply::Stored { digest: Digest::of(&[7; 100]) });
        assert_eq!(next(&mut errand), "put out/in/large 1000 inline");
    } else {
        assert_eq!(sent[0], ("out/in/large".to_owned(), false, 12));
    }
    // What was under way is sent again on the next connection.
    errand.broken();
    let again = next(&mut errand);
    assert!(again.starts_with("put out/in/large 1000"), "{again}");
    let mut into = [0; 2000];
    assert_eq!(errand.load(0, &mut into), 1000);
    assert!(errand.is_unchanged());
    // It changes while it is sent: it is sent once more.
    fs::write(folder.path().join("out/in/large"), [8; 1001]).expect("room");
    assert!(!errand.is_unchanged());
    errand.unsent(Refusal::new(ErrorCode::Internal, "it changed"));
    assert_eq!(next(&mut errand), "put out/in/large 1001 inline");
    assert_eq!(report.failed(), 0);
}
