use std::fs::{self, File};
use std::io::{Cursor, Read as _, Seek as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use feige_core::digest::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::peer::share::{Kind, Share};
use crate::transfer::Cancel;

const MIB: u64 = 1 << 20;

fn share() -> (tempfile::TempDir, Share) {
    let folder = tempfile::tempdir().unwrap();
    let share = Share::open(folder.path(), None).unwrap();
    (folder, share)
}

/// An archive with these entries; names that end in `/` are folders.
fn zipped(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, octets) in entries {
        if name.ends_with('/') {
            zip.add_directory(*name, options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(octets).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

fn stored(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zipped(entries, CompressionMethod::Stored)
}

/// A header as `file_size` says, and the archive.
fn framed(zip: &[u8], file_size: &str) -> Vec<u8> {
    with_header(&format!(r#"{{"filename": "x.zip", "md5": "{}", "file_size": {file_size}}}"#, Digest::of(zip)), zip)
}

fn with_header(header: &str, zip: &[u8]) -> Vec<u8> {
    [&u32::try_from(header.len()).unwrap().to_le_bytes()[..], header.as_bytes(), zip].concat()
}

fn quick() -> Limits {
    let quick = Duration::from_millis(300);
    Limits { connect: quick, answer: quick, idle: quick, pace: Duration::from_secs(5), most: MIB }
}

/// What comes of octets that a peer sends in these pieces, and then waits.
fn received(pieces: &[&[u8]]) -> Result<Arrived, ParcelError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            peer.set_nodelay(true).unwrap();
            for piece in pieces {
                if peer.write_all(piece).is_err() {
                    return;
                }
                if pieces.len() > 1 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            let _ = peer.read(&mut [0]);
        });
        let (_folder, share) = share();
        let result = receive(&stream, &share, &quick(), &Cancel::new(), |_| {});
        drop(stream);
        result
    })
}

fn arrived(octets: &[u8]) -> Arrived {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(octets).unwrap();
    file.rewind().unwrap();
    Arrived::Archive(file)
}

fn unpacked(octets: &[u8], asked: &str, share: &Share) -> Result<Unpacked, ParcelError> {
    unpack(&arrived(octets), asked, share, MIB, &Cancel::new())
}

/// Everything in a folder, hidden or not.
fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn names_of_archives() {
    for (name, expected) in [("3.txt", "3.zip"), ("a.tar.gz", "a.zip"), (".hidden", ".zip"), ("folder", "folder.zip")] {
        assert_eq!(transfer_name(name), expected);
    }
}

/// proves: R-FL-82, R-FL-83
#[test]
fn a_packed_file_is_what_the_programs_of_the_course_expect() {
    let (folder, share) = share();
    for (name, size) in [("3.txt", 0), ("雪.txt", 17), ("big.bin", 200_000)] {
        fs::write(folder.path().join(name), vec![7; size]).unwrap();
        let mut parcel = pack(&share, name, Kind::File, MIB, &Cancel::new()).unwrap();
        let mut zip = Vec::new();
        parcel.file.read_to_end(&mut zip).unwrap();
        assert_eq!(zip.len(), size + 98 + 2 * name.len(), "stored, and nothing besides");
        let header = format!(
            r#"{{"filename": "{}", "md5": "{}", "file_size": {}}}"#,
            transfer_name(name),
            Digest::of(&zip),
            zip.len()
        );
        assert_eq!(parcel.header, with_header(&header, b""));
        let other = Share::open(&folder.path().join("other"), None).unwrap();
        let found = unpacked(&zip, name, &other).unwrap();
        assert_eq!((found.kind, found.size, found.was_there), (Kind::File, size as u64, false));
        assert_eq!(found.md5, Some(Digest::of(&vec![7; size])));
        assert_eq!(fs::read(found.path).unwrap(), vec![7; size]);
    }
    assert!(matches!(
        pack(&share, "big.bin", Kind::File, 1000, &Cancel::new()),
        Err(ParcelError::TooLarge { most: 1000 })
    ));
    assert!(matches!(pack(&share, "none", Kind::File, MIB, &Cancel::new()), Err(ParcelError::NotShared(_))));
}

/// proves: R-FL-87
#[test]
fn a_folder_goes_one_level_deep_and_arrives_under_its_name() {
    let (folder, share) = share();
    fs::create_dir_all(folder.path().join("in/docs/deeper")).unwrap();
    for name in ["a.txt", "b.txt", "c.feige-part", "deeper/d.txt"] {
        fs::write(folder.path().join("in/docs").join(name), name).unwrap();
    }
    let mut parcel = pack(&share, "in/docs", Kind::Folder, MIB, &Cancel::new()).unwrap();
    let mut zip = Vec::new();
    parcel.file.read_to_end(&mut zip).unwrap();
    let found = unpacked(&zip, "docs", &share).unwrap();
    assert_eq!((found.kind, found.was_there), (Kind::Folder, false));
    assert_eq!(listed(&folder.path().join("docs")), ["a.txt", "b.txt"]);
    assert!(unpacked(&zip, "docs", &share).unwrap().was_there);
    fs::write(folder.path().join("docs/a.txt"), "changed").unwrap();
    let other = unpacked(&zip, "docs", &share).unwrap();
    assert!(other.path.ends_with("docs (1)") && !other.was_there);
    assert_eq!(listed(folder.path()), ["docs", "docs (1)", "in"]);
}

#[test]
fn what_is_there_is_kept_and_the_same_is_not_written_again() {
    let (folder, share) = share();
    let zip = stored(&[("x.txt", b"new")]);
    fs::write(folder.path().join("x.txt"), "old").unwrap();
    assert!(unpacked(&zip, "x.txt", &share).unwrap().path.ends_with("x (1).txt"));
    assert_eq!(fs::read_to_string(folder.path().join("x.txt")).unwrap(), "old");
    fs::write(folder.path().join("x.txt"), "new").unwrap();
    assert!(unpacked(&zip, "x.txt", &share).unwrap().was_there);
    assert_eq!(listed(folder.path()), ["x (1).txt", "x.txt"]);
    // The programs of the course write the archive over an entry of its name; here an archive has no name.
    let found = unpacked(&stored(&[("x.zip", b"in it")]), "x.zip", &share).unwrap();
    assert_eq!(fs::read_to_string(found.path).unwrap(), "in it");
}

/// Whatever the entries are called: nothing gets a name but the one that was asked for.
#[test]
fn other_names_than_the_one_asked_for_are_inside_a_folder_of_that_name() {
    let (folder, share) = share();
    unpacked(&stored(&[("other.txt", b"x"), ("sub/", b""), ("sub/y.txt", b"y")]), "asked.txt", &share).unwrap();
    assert_eq!(listed(folder.path()), ["asked.txt"]);
    assert_eq!(listed(&folder.path().join("asked.txt")), ["other.txt", "sub"]);
    let found = unpacked(&stored(&[("share/3.txt", b"x")]), "3.txt", &share).unwrap();
    assert_eq!((found.kind, fs::read(found.path).unwrap()), (Kind::File, b"x".to_vec()));
}

/// proves: R-FL-86
#[test]
fn bad_names_leave_nothing() {
    let (folder, share) = share();
    let outside = tempfile::tempdir().unwrap();
    let absolute = format!("{}/x", outside.path().display());
    for bad in [
        "../x",
        "a/../../x",
        "a/..",
        ".",
        "..",
        "/x",
        "//x",
        "a//x",
        &*absolute,
        "..\\x",
        "a\\x",
        "C:x",
        "C:/x",
        "C:\\x",
        "bell\u{7}",
        "line\nbreak",
        "nul\0",
        "",
        "x.feige-part",
        ".feige-x",
        "con",
        "a ",
        "a.",
        &"d/".repeat(40),
    ] {
        for entries in [&[(bad, &b"bad"[..])][..], &[("good", b"good"), (bad, b"bad")]] {
            let result = unpacked(&stored(entries), "asked", &share);
            assert!(matches!(result, Err(ParcelError::BadName(_) | ParcelError::Archive(_))), "{bad:?}: {result:?}");
            assert_eq!(listed(folder.path()), [""; 0], "{bad:?}");
        }
    }
    assert_eq!(listed(outside.path()), [""; 0]);
    for asked in ["../x", "/x", "a/b", "a\\b", "..", "", "x.feige-part"] {
        assert!(matches!(unpacked(&stored(&[("x", b"x")]), asked, &share), Err(ParcelError::BadName(_))), "{asked:?}");
    }
}

/// proves: R-FL-86
#[test]
fn links_twice_the_same_and_damage_leave_nothing() {
    let (folder, share) = share();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("asked", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let link = zip.finish().unwrap().into_inner();
    assert!(matches!(unpacked(&link, "asked", &share), Err(ParcelError::BadName(_))));
    // A file and a folder of one name; two files of one name, which the writer refuses to make.
    assert!(unpacked(&stored(&[("a", b"x"), ("a/b", b"y")]), "asked", &share).is_err());
    let mut twice = stored(&[("asked", b"x"), ("other", b"y")]);
    for at in 0..twice.len() - 5 {
        if twice[at..].starts_with(b"other") {
            twice[at..at + 5].copy_from_slice(b"asked");
        }
    }
    assert!(matches!(unpacked(&twice, "asked", &share), Err(ParcelError::Archive(why)) if why.contains("one name")));
    let good = stored(&[("asked", b"contents")]);
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x55;
        // Times and versions say nothing that is kept; all else must be noticed, or change nothing.
        if let Ok(found) = unpacked(&damaged, "asked", &share) {
            let octets =
                if found.kind == Kind::File { fs::read(&found.path) } else { fs::read(listed_in(&found.path)) };
            assert_eq!(octets.unwrap(), b"contents", "octet {at}");
            if found.kind == Kind::File { fs::remove_file(&found.path) } else { fs::remove_dir_all(&found.path) }
                .unwrap();
        }
        assert_eq!(listed(folder.path()), [""; 0], "octet {at}");
    }
    for length in 0..good.len() {
        assert!(unpacked(&good[..length], "asked", &share).is_err(), "{length}");
    }
    assert_eq!(listed(folder.path()), [""; 0]);
}

/// The only file in a folder.
fn listed_in(folder: &Path) -> std::path::PathBuf {
    folder.join(&listed(folder)[0])
}

/// proves: R-FL-66, R-FL-86
#[test]
fn bombs_are_stopped_at_the_limit() {
    let (folder, share) = share();
    let bomb = zipped(&[("asked", &vec![0; 64 << 20])], CompressionMethod::Deflated);
    assert!(bomb.len() < 100_000);
    assert!(matches!(unpacked(&bomb, "asked", &share), Err(ParcelError::TooLarge { most: MIB })));
    // Many that are small alone.
    let half = vec![0; 600_000];
    let two = zipped(&[("a", &half), ("b", &half)], CompressionMethod::Deflated);
    assert!(matches!(unpacked(&two, "asked", &share), Err(ParcelError::TooLarge { .. })));
    // One that lies about its size: 1 octet in both places where it is said.
    let mut lying = bomb.clone();
    let size = (64_u32 << 20).to_le_bytes();
    for at in 0..lying.len() - 4 {
        if lying[at..at + 4] == size {
            lying[at..at + 4].copy_from_slice(&1_u32.to_le_bytes());
        }
    }
    assert!(unpacked(&lying, "asked", &share).is_err());
    let names: Vec<String> = (0..=MOST_ENTRIES).map(|at| at.to_string()).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(matches!(unpacked(&stored(&many), "asked", &share), Err(ParcelError::Archive(_))));
    assert_eq!(listed(folder.path()), [""; 0]);
    let cancel = Cancel::new();
    cancel.cancel();
    let result = unpack(&arrived(&stored(&[("a", b"x")])), "a", &share, MIB, &cancel);
    assert!(matches!(result, Err(ParcelError::Cancelled)));
    assert_eq!(listed(folder.path()), [""; 0]);
}

/// `file_size` is a hint: nothing depends on what it is, and the archive ends where it ends.
///
/// proves: R-FL-84
#[test]
fn an_archive_comes_whole_whatever_its_header_says_of_its_size() {
    let inner = stored(&[("inner", b"x")]);
    for zip in [stored(&[("a", b"")]), stored(&[("a.zip", &inner)]), stored(&[("a", &vec![9; 70_000])])] {
        for size in ["0", "1", "-1", "99999999999999999999999", "1e9", "17"] {
            let Ok(Arrived::Archive(mut file)) = received(&[&framed(&zip, size)]) else { panic!("{size}") };
            let mut octets = Vec::new();
            file.read_to_end(&mut octets).unwrap();
            assert_eq!(octets, zip);
        }
    }
}

#[test]
fn a_message_split_at_every_octet() {
    let zip = stored(&[("a.zip", &stored(&[("inner", b"x")]))]);
    let octets = framed(&zip, "1");
    for at in 1..octets.len() {
        let (first, second) = octets.split_at(at);
        assert!(received(&[first, second]).is_ok(), "split at {at}");
    }
    let pieces: Vec<_> = octets.chunks(1).collect();
    assert!(received(&pieces).is_ok(), "octet by octet");
}

/// proves: R-FL-81, R-FL-82, R-FL-85
#[test]
fn wrong_headers_and_short_bodies_are_errors_in_time() {
    let zip = stored(&[("a", b"contents")]);
    let md5 = Digest::of(&zip);
    let wrong = Digest::of(b"other");
    let deep = format!(r#"{{"filename":"a.zip","md5":"{md5}","file_size":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    for header in [
        "[]",
        "{}",
        "1",
        "null",
        "{",
        &deep,
        "{\"filename\"",
        "\u{7b}\u{7b}",
        &format!(r#"{{"filename":1,"md5":"{md5}","file_size":1}}"#),
        &format!(r#"{{"md5":"{md5}","file_size":1}}"#),
        &format!(r#"{{"filename":"a.zip","md5":"{md5}"}}"#),
        &format!(r#"{{"filename":"a.zip","md5":"{md5}","file_size":"1"}}"#),
        &format!(r#"{{"filename":"a.zip","md5":"{md5}","file_size":null}}"#),
        r#"{"filename":"a.zip","file_size":1}"#,
        r#"{"filename":"a.zip","md5":"","file_size":1}"#,
        r#"{"filename":"a.zip","md5":17,"file_size":1}"#,
    ] {
        let result = received(&[&with_header(header, &zip)]);
        assert!(matches!(result, Err(ParcelError::Header(_))), "{header}: {result:?}");
    }
    for length in [0, -1, i32::MIN, i32::MAX, 65_537] {
        let octets = [&length.to_le_bytes()[..], b"more"].concat();
        let result = received(&[&octets]);
        assert!(matches!(result, Err(ParcelError::Header(_))), "{length}: {result:?}");
    }
    let header = format!(r#"{{"filename":"../../a.zip","md5":"{md5}","file_size":{}}}"#, zip.len());
    assert!(received(&[&with_header(&header, &zip)]).is_ok(), "the name says nothing");
    let result = received(&[&with_header(&header, &zip[..zip.len() - 1])]);
    assert!(matches!(result, Err(ParcelError::Short { .. })), "{result:?}");
    let result = received(&[&with_header(&header, &[&zip[..], b"more"].concat())]);
    assert!(matches!(result, Err(ParcelError::Short { .. })), "{result:?}");
    let header = format!(r#"{{"filename":"a.zip","md5":"{wrong}","file_size":1}}"#);
    assert!(matches!(received(&[&with_header(&header, &zip)]), Err(ParcelError::Digest)));
    assert!(matches!(received(&[b"\x10\0"]), Err(ParcelError::TimedOut { .. })));
    assert!(matches!(received(&[]), Err(ParcelError::TimedOut { .. })));
    let large = stored(&[("a", &vec![1; 2 << 20])]);
    assert!(matches!(received(&[&framed(&large, "1")]), Err(ParcelError::TooLarge { most: MIB })));
}

/// proves: R-FL-88
#[test]
fn an_object_without_a_length_is_a_file() {
    let (_folder, share) = share();
    let text = r#"一 "two" }"#;
    let body = serde_json::Value::from(text);
    let octets = format!(r#"{{"filename": "a.txt", "md5": "{}", "body": {body}}}"#, Digest::of(text.as_bytes()));
    for at in [octets.len(), 1, 2, 3, 4, 30, octets.len() - 1] {
        let (first, second) = octets.as_bytes().split_at(at);
        let arrived = received(&[first, second]).unwrap();
        let found = unpack(&arrived, "a.txt", &share, MIB, &Cancel::new()).unwrap();
        assert_eq!(fs::read_to_string(found.path).unwrap(), text);
    }
    let wrong = octets.replace("two", "too");
    assert!(matches!(received(&[wrong.as_bytes()]), Err(ParcelError::Digest)));
    assert!(matches!(received(&[br#"{"filename": "a", "body": "b"}"#]), Err(ParcelError::Header(_))));
    let long = format!(r#"{{"filename": "a.txt", "md5": "{}", "body": "{}"#, Digest::of(b""), "x".repeat(2000));
    assert!(matches!(received(&[long.as_bytes()]), Err(ParcelError::Header(_))));
    assert!(matches!(received(&[&long.as_bytes()[..500]]), Err(ParcelError::Short { .. })));
}

#[test]
fn a_trickle_and_a_cancelled_wait_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let sender = std::thread::spawn(move || {
        while peer.write_all(b"\x20").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let limits = Limits { pace: Duration::from_millis(100), ..quick() };
    let (_folder, share) = share();
    let result = receive(&stream, &share, &limits, &Cancel::new(), |_| {});
    assert!(matches!(result, Err(ParcelError::TimedOut { .. } | ParcelError::Header(_))), "{result:?}");
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(receive(&stream, &share, &limits, &cancel, |_| {}), Err(ParcelError::Cancelled)));
    drop(stream);
    sender.join().unwrap();
}

/// The file must not be left to whoever looks into the folder of temporary files.
#[test]
fn what_is_sent_stands_in_a_file_without_a_name() {
    use std::os::unix::fs::MetadataExt;
    let (folder, share) = share();
    fs::write(folder.path().join("a"), "x").unwrap();
    let parcel = pack(&share, "a", Kind::File, MIB, &Cancel::new()).unwrap();
    assert_eq!(File::metadata(&parcel.file).unwrap().nlink(), 0);
    assert_eq!(File::metadata(&parcel.file).unwrap().len(), parcel.size);
}
