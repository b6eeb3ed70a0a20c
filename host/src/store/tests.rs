//! What a hostile or unlucky peer can do to the download folder: nothing.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use feige_core::text::FileName;

use super::*;

const ORIGIN: Origin = Origin { from: Ipv4Addr::new(127, 0, 0, 2), size: 10, mtime: 1_700_000_000 };

fn inbox() -> (tempfile::TempDir, Inbox) {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(folder.path().join("in")).unwrap();
    (folder, inbox)
}

fn name(text: &str) -> FileName {
    FileName::from_untrusted(text)
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(part: &mut FilePart<'_>, octets: &[u8]) {
    part.append(octets).unwrap();
}

#[test]
fn a_name_appears_only_when_the_file_is_whole() {
    let (_folder, inbox) = inbox();
    let mut part = inbox.file(&name("report.txt"), Some(5), None, false).unwrap();
    write(&mut part, b"hel");
    let parts = names(inbox.path());
    assert!(matches!(parts.as_slice(), [part] if part.ends_with(".feige-part")), "{parts:?}");
    write(&mut part, b"lo");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let path = part.finish(Some(time)).unwrap();
    assert_eq!(path, inbox.path().join("report.txt"));
    assert_eq!(fs::read(&path).unwrap(), b"hello");
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
    assert_eq!(names(inbox.path()), ["report.txt"]);
}

#[test]
fn a_folder_that_was_removed_is_opened_anew() {
    let (_folder, inbox) = inbox();
    assert!(inbox.anew().unwrap().is_none(), "it is there");
    for made_again in [false, true] {
        fs::remove_dir_all(inbox.path()).unwrap();
        if made_again {
            fs::create_dir(inbox.path()).unwrap();
        }
        assert!(inbox.file(&name("a"), Some(1), None, false).is_err());
        let anew = inbox.anew().unwrap().unwrap();
        assert_eq!(anew.path(), inbox.path());
        let mut part = anew.file(&name("a"), Some(1), None, false).unwrap();
        write(&mut part, b"a");
        assert_eq!(part.finish(None).unwrap(), inbox.path().join("a"));
    }
}

#[test]
fn a_part_is_private_and_a_finished_file_is_as_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

    let (folder, inbox) = inbox();
    fs::write(folder.path().join("other"), "").unwrap();
    let mut part = inbox.file(&name("x"), None, None, false).unwrap();
    write(&mut part, b"x");
    assert_eq!(mode(&part.path()), 0o600);
    assert_eq!(mode(&part.finish(None).unwrap()), mode(&folder.path().join("other")));

    fs::create_dir(folder.path().join("others")).unwrap();
    let part = inbox.folder(&name("y"), None).unwrap();
    assert_eq!(mode(&part.path()), 0o700);
    assert_eq!(mode(&part.finish().unwrap()), mode(&folder.path().join("others")));
}

#[test]
fn nothing_is_replaced() {
    let (_folder, inbox) = inbox();
    fs::write(inbox.path().join("a.txt"), "mine").unwrap();
    for (content, expected) in [("first", "a (1).txt"), ("second", "a (2).txt")] {
        let mut part = inbox.file(&name("a.txt"), None, None, false).unwrap();
        write(&mut part, content.as_bytes());
        assert_eq!(part.finish(None).unwrap(), inbox.path().join(expected));
        assert_eq!(fs::read_to_string(inbox.path().join(expected)).unwrap(), content);
    }
    let folder = inbox.folder(&name("a.txt"), None).unwrap();
    assert_eq!(folder.finish().unwrap(), inbox.path().join("a (3).txt"));
    assert_eq!(fs::read_to_string(inbox.path().join("a.txt")).unwrap(), "mine");
}

/// proves: R-IP-88
#[test]
fn whatever_the_name_the_file_is_in_the_folder() {
    let (folder, inbox) = inbox();
    let long = "x".repeat(300);
    let hostile = [
        "",
        ".",
        "..",
        "../x",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:x",
        "con",
        "nul.txt",
        "a\0b",
        "a\nb",
        "\u{202e}x",
        &long,
    ];
    for text in hostile {
        let mut part = inbox.file(&name(text), None, None, false).unwrap();
        write(&mut part, b"x");
        assert_eq!(part.finish(None).unwrap().parent(), Some(inbox.path()), "{text:?}");
        let mut part = inbox.folder(&name(text), None).unwrap();
        part.enter(&name(text), None).unwrap();
        part.create(&name(text), 0).unwrap();
        part.leave(None);
        part.create(&name(text), 0).unwrap();
        assert_eq!(part.finish().unwrap().parent(), Some(inbox.path()), "{text:?}");
    }
    assert_eq!(names(inbox.path()).len(), 2 * hostile.len());
    assert_eq!(names(folder.path()), ["in"]);
}

#[test]
fn nobody_can_plant_a_part() {
    let (_folder, inbox) = inbox();
    let mut part = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    write(&mut part, b"x");
    let path = part.path();
    drop(part);
    std::fs::remove_file(&path).unwrap();
    let planted = path.file_name().unwrap().to_str().unwrap();
    let mut part = inbox.file(&name(planted), None, None, false).unwrap();
    write(&mut part, b"evil");
    assert_eq!(part.finish(None).unwrap(), inbox.path().join(format!("{planted}_")));
    assert_eq!(inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap().len(), 0);
}

#[test]
fn links_and_pipes_that_were_planted_are_not_used() {
    use std::os::unix::fs::symlink;

    let (folder, inbox) = inbox();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();

    // Under the final name.
    symlink(&victim, inbox.path().join("a")).unwrap();
    let mut part = inbox.file(&name("a"), None, None, false).unwrap();
    write(&mut part, b"evil");
    assert_eq!(part.finish(None).unwrap(), inbox.path().join("a (1)"));

    // Under the name that the part of a known file has: found out by making one.
    let mut part = inbox.file(&name("b"), Some(10), Some(ORIGIN), true).unwrap();
    write(&mut part, b"x");
    let path = part.path();
    drop(part);
    let hard_link = |path: &Path| fs::hard_link(&victim, path);
    let pipe =
        |path: &Path| Ok(rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0)?);
    type Plant<'a> = &'a dyn Fn(&Path) -> std::io::Result<()>;
    let plants: [Plant<'_>; 4] = [&|path| symlink(&victim, path), &hard_link, &pipe, &|path| fs::create_dir(path)];
    fs::remove_file(&path).unwrap();
    for (number, plant) in plants.iter().enumerate() {
        plant(&path).unwrap();
        let mut part = inbox.file(&name("b"), Some(10), Some(ORIGIN), true).unwrap();
        assert_eq!(part.len(), 0, "{number}");
        assert_ne!(part.path(), path, "{number}");
        write(&mut part, b"evil");
        drop(part);
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn the_part_of_another_user_is_not_taken_up() {
    use std::os::unix::fs::chown;
    let (_folder, inbox) = inbox();
    let mut part = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    write(&mut part, b"evil");
    let path = part.path();
    drop(part);
    if let Err(error) = chown(&path, Some(1), None) {
        return eprintln!("skipped: only root can give a file away: {error}");
    }
    let part = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    assert_eq!(part.len(), 0);
    assert_ne!(part.path(), path);
}

#[test]
fn an_interrupted_file_goes_on_where_it_stopped() {
    let (_folder, inbox) = inbox();
    let mut part = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    write(&mut part, b"01234");
    drop(part);

    let mut part = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    assert_eq!(part.len(), 5);
    write(&mut part, b"56789");
    assert_eq!(fs::read(part.finish(None).unwrap()).unwrap(), b"0123456789");
    assert_eq!(names(inbox.path()), ["x"]);
}

/// proves: R-IP-76
#[test]
fn a_part_is_taken_up_only_for_the_same_file_and_only_if_wanted() {
    let (_folder, inbox) = inbox();
    let begin = |origin, resume| inbox.file(&name("x"), Some(10), Some(origin), resume).unwrap().len();
    let mut part = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    write(&mut part, b"01234");
    drop(part);
    assert_eq!(begin(Origin { from: Ipv4Addr::LOCALHOST, ..ORIGIN }, true), 0);
    assert_eq!(begin(Origin { size: 11, ..ORIGIN }, true), 0);
    assert_eq!(begin(Origin { mtime: 1, ..ORIGIN }, true), 0);
    assert_eq!(begin(ORIGIN, true), 5);
    assert_eq!(begin(ORIGIN, false), 0, "the server is not known to honour offsets");
    assert!(names(inbox.path()).is_empty(), "a part without octets is not kept");

    // Longer than the file: not of this file.
    let mut part = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    write(&mut part, b"0123456789a");
    drop(part);
    assert_eq!(begin(ORIGIN, true), 0);
}

#[test]
fn two_downloads_of_the_same_file_have_two_parts() {
    let (_folder, inbox) = inbox();
    let mut one = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    let mut two = inbox.file(&name("x"), Some(10), Some(ORIGIN), true).unwrap();
    assert_ne!(one.path(), two.path());
    write(&mut one, b"one");
    write(&mut two, b"two");
    assert_eq!(fs::read(one.finish(None).unwrap()).unwrap(), b"one");
    assert_eq!(fs::read(two.finish(None).unwrap()).unwrap(), b"two");
}

#[test]
fn long_names_have_parts_too() {
    let (_folder, inbox) = inbox();
    let name = "文".repeat(85);
    let mut part = inbox.file(&FileName::from_untrusted(&name), None, Some(ORIGIN), true).unwrap();
    write(&mut part, b"x");
    assert_eq!(part.finish(None).unwrap().file_name().unwrap().to_str(), Some(name.as_str()));
    let folder = inbox.folder(&FileName::from_untrusted(&name), None).unwrap();
    assert!(folder.finish().is_ok());
}

#[test]
fn what_does_not_fit_is_refused_before_the_first_octet() {
    let (_folder, inbox) = inbox();
    let error = inbox.file(&name("x"), Some(u64::MAX / 2), None, false).unwrap_err();
    assert!(error.is_no_space(), "{error}");
    let mut folder = inbox.folder(&name("y"), None).unwrap();
    assert!(folder.create(&name("x"), u64::MAX / 2).unwrap_err().is_no_space());
    assert!(!names(inbox.path()).contains(&"x".to_owned()));
}

#[test]
fn a_folder_appears_whole() {
    let (_folder, inbox) = inbox();
    let time = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let mut part = inbox.folder(&name("docs"), time(1_100_000_000)).unwrap();
    let mut file = part.create(&name("a"), 1).unwrap();
    file.write_all(b"a").unwrap();
    part.wrote(&file, 1).unwrap();
    part.enter(&name("sub"), time(1_000_000_000)).unwrap();
    part.create(&name("b"), 2).unwrap().write_all(b"bb").unwrap();
    // The same name again is another file.
    part.create(&name("b"), 3).unwrap().write_all(b"bbb").unwrap();
    part.leave(None);
    part.enter(&name("sub"), None).unwrap();
    part.leave(None);
    part.leave(None);
    part.create(&name("c"), 0).unwrap();
    assert!(!inbox.path().join("docs").exists());
    let path = part.finish().unwrap();
    assert_eq!(names(&path), ["a", "c", "sub", "sub (1)"]);
    assert_eq!(names(&path.join("sub")), ["b", "b (1)"]);
    let mtime = |path: &Path| fs::metadata(path).unwrap().modified().ok();
    assert_eq!(mtime(&path), time(1_100_000_000));
    assert_eq!(mtime(&path.join("sub")), time(1_000_000_000));
    assert_eq!(names(inbox.path()), ["docs"]);
}

#[test]
fn a_walk_hands_out_files_and_folders_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("sub/empty")).unwrap();
    fs::write(root.join("a"), "aa").unwrap();
    fs::write(root.join("sub/b"), "bbb").unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(folder.path(), root.join("up")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).unwrap();
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), pipe, 0o600.into(), 0).unwrap();
    let (mut walk, _) = Walk::open(&root).unwrap();
    let (mut depth, mut seen) = (1, Vec::new());
    while let Some(step) = walk.step() {
        match step {
            Step::Enter { name, .. } => {
                depth += 1;
                seen.push(format!("{}/", name.display()));
            }
            Step::File { name, file } => seen.push(format!("{} {}", name.display(), file.size)),
            Step::Leave => depth -= 1,
            Step::Skipped(skipped) => panic!("{skipped:?}"),
        }
    }
    seen.sort();
    assert_eq!((depth, seen.as_slice()), (0, ["a 2", "b 3", "empty/", "sub/"].map(String::from).as_slice()));
}

#[test]
fn a_walk_goes_on_past_what_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut deep = folder.path().to_path_buf();
    for _ in 0..110 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(folder.path().join("x"), "").unwrap();
    let (mut walk, _) = Walk::open(folder.path()).unwrap();
    let (mut skipped, mut files, mut left) = (0, 0, 0);
    while let Some(step) = walk.step() {
        match step {
            Step::Skipped(_) => skipped += 1,
            Step::File { .. } => files += 1,
            Step::Leave => left += 1,
            Step::Enter { .. } => {}
        }
    }
    assert_eq!((skipped, files, left), (1, 1, 100));
}

#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    assert!(outgoing::OpenFile::open(folder.path()).is_err());
    assert!(outgoing::OpenFile::open(Path::new("/dev/null")).is_err());
    fs::write(folder.path().join("x"), "xyz").unwrap();
    assert_eq!(outgoing::OpenFile::open(&folder.path().join("x")).unwrap().size, 3);
}

#[test]
fn a_folder_that_is_given_up_leaves_nothing() {
    let (_folder, inbox) = inbox();
    let mut part = inbox.folder(&name("photos"), None).unwrap();
    part.enter(&name("inner"), None).unwrap();
    drop(part.create(&name("one"), 1).unwrap());
    assert!(matches!(names(inbox.path()).as_slice(), [part] if part.starts_with(".photos.")));
    drop(part);
    assert!(names(inbox.path()).is_empty());
}

#[test]
fn parts_of_last_week_are_swept_when_the_folder_is_opened() {
    let (folder, inbox) = inbox();
    let old = |name: &str, is_dir: bool| {
        let path = inbox.path().join(name);
        if is_dir {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inner"), "x").unwrap();
        } else {
            fs::write(&path, "x").unwrap();
        }
        let week = Duration::from_secs(7 * 24 * 60 * 60 + 60);
        fs::File::open(&path).unwrap().set_modified(SystemTime::now() - week).unwrap();
    };
    old(".photos.0123456789abcdef.feige-part", true);
    old(".a.txt.0123456789abcdef.feige-part", false);
    old("mine.0123456789abcdef.feige-part", false);
    old(".mine.feige-part", false);
    fs::write(inbox.path().join(".new.0123456789abcdef.feige-part"), "x").unwrap();
    let mut busy = inbox.file(&name("busy"), Some(10), Some(ORIGIN), true).unwrap();
    write(&mut busy, b"x");
    set_time(busy.file(), Some(SystemTime::UNIX_EPOCH));
    let at = busy.path().file_name().unwrap().to_str().unwrap().to_owned();
    Inbox::open(folder.path().join("in")).unwrap();
    let mut left =
        vec![&*at, ".mine.feige-part", ".new.0123456789abcdef.feige-part", "mine.0123456789abcdef.feige-part"];
    left.sort_unstable();
    assert_eq!(names(inbox.path()), left);
}
