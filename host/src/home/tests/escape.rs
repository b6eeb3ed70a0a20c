//! Nothing outside of the home, and nothing that is none of its users' business.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::UnixDatagram;

use super::*;

/// A home with a neighbour that must stay as it is, and links to it.
fn with_links() -> (tempfile::TempDir, Arc<Home>) {
    let folder = tempfile::tempdir().unwrap();
    let (outside, inside) = (folder.path().join("outside"), folder.path().join("home"));
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(inside.join("sub/deep")).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(inside.join("own"), "own").unwrap();
    for (target, link) in [
        ("../outside", "out"),
        ("../outside/secret", "out-file"),
        (outside.to_str().unwrap(), "absolute"),
        ("../home/own", "back-in"),
        ("nowhere", "dangling"),
        ("../outside/new", "out-dangling"),
        ("loop", "loop"),
        ("../../outside", "sub/out"),
        ("../own", "sub/own"),
        ("deep", "sub/near"),
        ("sub/deep", "deep"),
    ] {
        symlink(target, inside.join(link)).unwrap();
    }
    let home = Home::open(&inside, Some(1 << 20)).unwrap();
    (folder, home)
}

fn assert_untouched(folder: &tempfile::TempDir) {
    assert_eq!(names(folder.path()), ["home", "outside"]);
    assert_eq!(names(&folder.path().join("outside")), ["secret"]);
    assert_eq!(fs::read(folder.path().join("outside/secret")).unwrap(), b"secret");
}

#[test]
fn no_link_leads_out() {
    let (folder, home) = with_links();
    for file in ["out/secret", "out-file", "absolute/secret", "back-in", "sub/out/secret", "out", "absolute"] {
        refused(home.read(path(file)), ErrorCode::Forbidden);
        refused(home.stat(path(file)), ErrorCode::Forbidden);
        refused(home.list(path(file)), ErrorCode::Forbidden);
    }
    for out in ["out", "absolute", "sub/out"] {
        let new = format!("{out}/new");
        let secret = format!("{out}/secret");
        for len in [1, 10 * LEN] {
            let replace = Arriving { replace: true, ..arriving(len) };
            refused(home.receive(path(&new), &replace), ErrorCode::Forbidden);
            refused(home.receive(path(&secret), &replace), ErrorCode::Forbidden);
        }
        refused(home.earlier(path(&new)), ErrorCode::Forbidden);
        refused(home.make_dir(path(&new), false), ErrorCode::Forbidden);
        refused(home.make_dir(path(&format!("{new}/newer")), true), ErrorCode::Forbidden);
        refused(home.remove(path(&secret)), ErrorCode::Forbidden);
        refused(home.remove_dir(path(&secret)), ErrorCode::Forbidden);
        refused(home.rename(path("own"), path(&new), true), ErrorCode::Forbidden);
        refused(home.rename(path(&secret), path("new"), true), ErrorCode::Forbidden);
    }
    refused(home.read(path("dangling")), ErrorCode::NotFound);
    refused(home.read(path("loop")), ErrorCode::Forbidden);
    refused(home.list(path("loop")), ErrorCode::Forbidden);
    assert_untouched(&folder);
}

#[test]
fn a_link_is_replaced_or_removed_itself() {
    let (folder, home) = with_links();
    for link in ["out-file", "dangling", "out-dangling", "loop"] {
        refused(home.receive(path(link), &arriving(1)), ErrorCode::Exists);
        for len in [1, 10 * LEN] {
            put(&home, link, &octets(len)).unwrap();
            assert_eq!(fs::read(folder.path().join("home").join(link)).unwrap(), octets(len));
        }
    }
    home.remove(path("out")).unwrap();
    home.rename(path("absolute"), path("sub/absolute"), false).unwrap();
    refused(home.list(path("sub/absolute")), ErrorCode::Forbidden);
    assert_untouched(&folder);
}

/// However links lead around, going through folders comes to an end.
///
/// proves: R-VT-40
#[test]
fn no_link_leads_back() {
    let (folder, home) = with_links();
    let inside = folder.path().join("home");
    fs::create_dir_all(inside.join("round/a")).unwrap();
    fs::create_dir_all(inside.join("round/b")).unwrap();
    for (target, link) in [
        (".", "round/itself"),
        (".", "round/again"),
        ("..", "round/home"),
        ("../b", "round/a/to-b"),
        ("../a", "round/b/to-a"),
        ("../../sub", "round/a/sub"),
    ] {
        symlink(target, inside.join(link)).unwrap();
    }
    assert_eq!(listed(&home, "round"), ["a", "b"]);
    assert_eq!(listed(&home, "round/a"), ["sub", "to-b"]);
    assert_eq!(listed(&home, "round/a/to-b"), [""; 0], "it would lead to a again");
    assert_eq!(listed(&home, "round/b/to-a"), ["sub"]);
    // What is asked for by name is there all the same.
    assert_eq!(listed(&home, "round/itself"), ["a", "b"]);
    assert_eq!(home.stat(path("round/home")).unwrap().kind, EntryKind::Folder);
}

#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    let (folder, home) = home(None);
    fs::create_dir(folder.path().join("sub")).unwrap();
    let is_socket = |name: &str| fs::symlink_metadata(folder.path().join(name)).unwrap().file_type().is_socket();
    let socket = |name: &str| UnixDatagram::bind(folder.path().join(name)).unwrap();
    socket("socket");
    symlink("../socket", folder.path().join("sub/link")).unwrap();
    for name in ["socket", "sub/link"] {
        refused(home.admits(path(name), true), ErrorCode::Forbidden);
        for len in [1, 10 * LEN] {
            refused(put(&home, name, &octets(len)), ErrorCode::Forbidden);
        }
    }
    // It gets the name while the file comes, or is found only when the file is to be named.
    for (len, fresh) in [(1, true), (1, false), (10 * LEN, false)] {
        let name = format!("{len}{fresh}");
        let mut upload = home.receive(path(&name), &Arriving { replace: true, fresh, ..arriving(len) }).unwrap();
        socket(&name);
        send(&mut upload, 0, &octets(len));
        refused(settle(&home, upload), ErrorCode::Forbidden);
        assert!(is_socket(&name));
    }
    put(&home, "file", b"file").unwrap();
    refused(home.rename(path("file"), path("socket"), true), ErrorCode::Forbidden);
    assert!(is_socket("socket") && fs::read_link(folder.path().join("sub/link")).is_ok());
    assert_eq!(listed(&home, ""), ["file", "sub"]);
}

#[test]
fn what_links_show_inside_of_the_home_is_shown() {
    let (_folder, home) = with_links();
    assert_eq!(listed(&home, ""), ["deep", "own", "sub"]);
    assert_eq!(listed(&home, "sub"), ["deep", "near", "own"]);
    let kind = |name| home.stat(path(name)).unwrap().kind;
    assert_eq!(
        (kind("deep"), kind("sub/near"), kind("sub/own")),
        (EntryKind::Folder, EntryKind::Folder, EntryKind::File)
    );
    assert_eq!(home.read(path("sub/own")).unwrap().size, 3);
    put(&home, "deep/x", b"x").unwrap();
    assert_eq!(listed(&home, "sub/near"), ["x"]);
    refused(home.receive(path("deep"), &Arriving { replace: true, ..arriving(1) }), ErrorCode::IsAFolder);
}

#[test]
fn a_folder_that_becomes_a_link_leads_nowhere() {
    let (folder, home) = with_links();
    let sub = folder.path().join("home/sub");
    home.make_dir(path("sub/f"), false).unwrap();
    for len in [1, 10 * LEN] {
        let mut upload = home.receive(path("sub/f/x"), &Arriving { replace: true, ..arriving(len) }).unwrap();
        fs::rename(sub.join("f"), sub.join("moved")).unwrap();
        symlink("../../outside", sub.join("f")).unwrap();
        send(&mut upload, 0, &octets(len));
        settle(&home, upload).unwrap();
        assert_eq!(fs::read(sub.join("moved/x")).unwrap(), octets(len));
        // Known to have moved, as by one who renames it through the home.
        home.forget_folders();
        refused(home.receive(path("sub/f/x"), &arriving(len)), ErrorCode::Forbidden);
        fs::remove_file(sub.join("f")).unwrap();
        fs::rename(sub.join("moved"), sub.join("f")).unwrap();
    }
    assert_untouched(&folder);
}

#[test]
fn names_of_parts_are_nobodys() {
    let (folder, home) = home(None);
    put(&home, "own", b"own").unwrap();
    for name in ["x.feige-part", ".x.feige-sums", ".0.feige-small", ".X.FEIGE-PART", "x.feige-part/y"] {
        let file = folder.path().join(name);
        if !name.contains('/') {
            fs::write(&file, "1").unwrap();
        }
        refused(home.stat(path(name)), ErrorCode::BadName);
        refused(home.read(path(name)), ErrorCode::BadName);
        refused(home.list(path(name)), ErrorCode::BadName);
        refused(home.receive(path(name), &arriving(1)), ErrorCode::BadName);
        refused(home.earlier(path(name)), ErrorCode::BadName);
        refused(home.make_dir(path(name), false), ErrorCode::BadName);
        refused(home.make_dir(path(name), true), ErrorCode::BadName);
        refused(home.remove(path(name)), ErrorCode::BadName);
        refused(home.remove_dir(path(name)), ErrorCode::BadName);
        refused(home.rename(path("own"), path(name), true), ErrorCode::BadName);
        refused(home.rename(path(name), path("new"), true), ErrorCode::BadName);
    }
    assert_eq!(listed(&home, ""), ["own"]);
}

#[test]
fn what_is_no_file_is_not_shown_and_what_has_no_usable_name_is_not_reached() {
    let (folder, home) = home(None);
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), pipe, 0o600.into(), 0).unwrap();
    symlink("pipe", folder.path().join("to-pipe")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    for name in [&b"\xff\xfe"[..], b"a:b", b"a\\b", b"nul", b"dot.", b"\x1b[31m"] {
        fs::write(folder.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    fs::write(folder.path().join("文"), "").unwrap();
    let shown = listed(&home, "");
    assert_eq!(shown, ["\u{1b}[31m", r"\xff\xfe", "a:b", r"a\b", "dot.", "nul", "文"]);
    assert!(shown[..6].iter().all(|name| Path::parse(name).is_err()), "R-VT-40");
    for name in ["pipe", "to-pipe", "socket"] {
        refused(home.read(path(name)), ErrorCode::Forbidden);
        refused(home.stat(path(name)), ErrorCode::Forbidden);
    }
}

#[test]
fn what_was_planted_under_the_name_of_a_part_is_not_written_to() {
    let (folder, home) = home(None);
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let (part, sums) = (folder.path().join(".x.feige-part"), folder.path().join(".x.feige-sums"));
    let len = 10 * LEN;
    symlink("victim", &part).unwrap();
    refused(home.receive(path("x"), &arriving(len)), ErrorCode::Forbidden);
    fs::remove_file(&part).unwrap();
    fs::hard_link(&victim, &part).unwrap();
    refused(home.receive(path("x"), &arriving(len)), ErrorCode::Forbidden);
    fs::remove_file(&part).unwrap();
    fs::create_dir(&part).unwrap();
    refused(home.receive(path("x"), &arriving(len)), ErrorCode::Forbidden);
    fs::remove_dir(&part).unwrap();
    symlink("victim", &sums).unwrap();
    let _ = put(&home, "x", &octets(len));
    let _ = fs::remove_file(&sums);
    fs::hard_link(&victim, &sums).unwrap();
    put(&home, "x", &octets(len)).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}
