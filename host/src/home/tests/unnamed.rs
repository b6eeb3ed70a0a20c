//! Folders that get their names last.

use super::*;

const KEY: u64 = 0x0123_4567_89ab_cdef;
const PART: &str = ".x.0123456789abcdef.feige-part";
const SUMS: &str = ".x.0123456789abcdef.feige-sums";

fn begin(home: &Arc<Home>) -> UnnamedFolder {
    home.unnamed_folder(path("x"), KEY).unwrap().unwrap()
}

/// Writes a small file as a download does: by the thread that writes such files.
fn write(folder: &UnnamedFolder, at: &str, octets: &[u8]) -> Result<(), HomeError> {
    let mut finisher = Finisher::start(Arc::clone(folder.home())).unwrap();
    finisher.save(0, octets);
    finisher.address(["/", at]);
    let arriving = Arriving { mtime: Some(1_000_000_007), replace: true, fresh: true, ..arriving(octets.len()) };
    let mut results = Vec::new();
    finisher.give(arriving, (), |(), result| results.push(result));
    finisher.finish(|(), result| results.push(result));
    results.remove(0)
}

/// What the next process finds: locks go with a process, files stay as they are.
fn kill(folder: &std::path::Path, unnamed: UnnamedFolder) {
    let sums = fs::read(folder.join(SUMS)).unwrap();
    drop(unnamed);
    fs::write(folder.join(SUMS), sums).unwrap();
}

#[test]
fn the_name_comes_last_and_once() {
    let (folder, home) = home(None);
    let unnamed = begin(&home);
    assert!(unnamed.is_fresh() && !unnamed.is_doubtful());
    unnamed.home().make_dir(path("deep"), false).unwrap();
    write(&unnamed, "a", b"aaa").unwrap();
    write(&unnamed, "deep/b", b"").unwrap();
    put(unnamed.home(), "large", &octets(40 * LEN)).unwrap();
    assert_eq!(names(folder.path()), [PART, SUMS]);
    assert!(listed(&home, "").is_empty(), "nobody sees it");
    assert!(home.list(path(PART)).is_err() && home.read(path(&format!("{PART}/a"))).is_err(), "nobody can name it");
    unnamed.finish().unwrap();
    assert_eq!(names(folder.path()), ["x"]);
    assert_eq!(names(&folder.path().join("x")), ["a", "deep", "large"]);
    assert_eq!(fs::read(folder.path().join("x/a")).unwrap(), b"aaa");
    assert_eq!(home.stat(path("x/a")).unwrap().mtime, 1_000_000_007);
    assert_eq!(home.stat(path("x/deep/b")).unwrap().size, 0);
    // A name that is taken is none for a folder without one.
    assert!(home.unnamed_folder(path("x"), KEY).unwrap().is_none());
    assert_eq!(names(folder.path()), ["x"]);
}

#[test]
fn what_was_killed_goes_on_and_what_is_empty_goes() {
    let (folder, home) = home(None);
    let unnamed = begin(&home);
    write(&unnamed, "a", b"aaa").unwrap();
    kill(folder.path(), unnamed);
    // Of another server, or another folder of it.
    let other = home.unnamed_folder(path("x"), KEY + 1).unwrap().unwrap();
    assert!(other.is_fresh());
    drop(other);
    assert_eq!(names(folder.path()), [PART, SUMS], "one that is empty is not kept");

    let unnamed = begin(&home);
    assert!(!unnamed.is_fresh() && !unnamed.is_doubtful());
    // A file that was killed half-way, or is another by now, is written anew.
    fs::write(folder.path().join(PART).join("b"), b"half").unwrap();
    write(&unnamed, "b", b"a whole one").unwrap();
    unnamed.home().make_dir(path("c"), false).unwrap();
    assert_eq!(write(&unnamed, "c", b"x").unwrap_err().code, ErrorCode::IsAFolder);
    assert!(write(&unnamed, "no/such", b"x").is_err());
    let short = unnamed.home().write_unnamed(path("d"), b"x", &arriving(2));
    assert_eq!(short.unwrap_err().code, ErrorCode::BadRequest);
    unnamed.finish().unwrap();
    assert_eq!(names(&folder.path().join("x")), ["a", "b", "c"]);
    assert_eq!(fs::read(folder.path().join("x/b")).unwrap(), b"a whole one");
}

#[test]
fn after_a_restart_of_the_machine_small_files_are_doubted_until_it_is_done() {
    let (folder, home) = home(None);
    let unnamed = begin(&home);
    write(&unnamed, "a", b"aaa").unwrap();
    kill(folder.path(), unnamed);
    fs::write(folder.path().join(SUMS), [7; 16]).unwrap();
    for _ in 0..2 {
        let unnamed = begin(&home);
        assert!(unnamed.is_doubtful() && !unnamed.is_fresh());
        kill(folder.path(), unnamed);
    }
    // That since when it is filled was never written, or is lost, is no reason to believe it.
    for lost in [&[][..], &[1, 2, 3], &[0; 16]] {
        fs::write(folder.path().join(SUMS), lost).unwrap();
        assert!(begin(&home).is_doubtful(), "{lost:?}");
    }
    fs::remove_file(folder.path().join(SUMS)).unwrap();
    let unnamed = begin(&home);
    assert!(unnamed.is_doubtful());
    unnamed.finish().unwrap();
    assert_eq!(names(folder.path()), ["x"]);
}

#[test]
fn two_never_fill_the_same_one() {
    let (folder, home) = home(None);
    let first = begin(&home);
    let another = Home::open(folder.path(), None).unwrap();
    assert_eq!(another.unnamed_folder(path("x"), KEY).unwrap_err().code, ErrorCode::Busy);
    // One of another server may be filled beside it. Whoever is done first has the name.
    let second = another.unnamed_folder(path("x"), KEY + 1).unwrap().unwrap();
    write(&first, "a", b"first").unwrap();
    write(&second, "a", b"second").unwrap();
    first.finish().unwrap();
    let error = second.finish().unwrap_err();
    assert_eq!(error.code, ErrorCode::Exists);
    assert!(error.text.contains("rename or remove it"), "{error}");
    assert_eq!(fs::read(folder.path().join("x/a")).unwrap(), b"first");
    // What it brought is kept, and had at once when the name is free.
    fs::rename(folder.path().join("x"), folder.path().join("y")).unwrap();
    another.unnamed_folder(path("x"), KEY + 1).unwrap().unwrap().finish().unwrap();
    assert_eq!(fs::read(folder.path().join("x/a")).unwrap(), b"second");
    assert_eq!(names(folder.path()), ["x", "y"]);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let (folder, home) = home(None);
    let elsewhere = tempfile::tempdir().unwrap();
    for (name, what) in [(PART, "link"), (PART, "file"), (SUMS, "link"), (SUMS, "folder")] {
        let at = folder.path().join(name);
        match what {
            "link" => std::os::unix::fs::symlink(elsewhere.path(), &at).unwrap(),
            "file" => fs::write(&at, b"mine").unwrap(),
            _ => fs::create_dir(&at).unwrap(),
        }
        assert!(home.unnamed_folder(path("x"), KEY).unwrap().is_none(), "{what} {name}");
        assert_eq!(names(folder.path()), [name], "{what} {name}");
        assert!(names(elsewhere.path()).is_empty(), "{what} {name}");
        fs::remove_file(&at).or_else(|_| fs::remove_dir(&at)).unwrap();
    }
    // A dangling link has the name all the same.
    std::os::unix::fs::symlink("nowhere", folder.path().join("x")).unwrap();
    assert!(home.unnamed_folder(path("x"), KEY).unwrap().is_none());
    assert!(home.unnamed_folder(path(""), KEY).unwrap().is_none());
    assert_eq!(home.unnamed_folder(path("no/x"), KEY).unwrap_err().code, ErrorCode::NotFound);
    let long = "n".repeat(255);
    let unnamed = home.unnamed_folder(path(&long), KEY).unwrap().unwrap();
    assert!(unnamed.part().len() <= 255);
    write(&unnamed, "a", b"a").unwrap();
    unnamed.finish().unwrap();
    assert!(folder.path().join(&long).join("a").exists());
}

#[test]
fn what_nobody_continues_is_swept() {
    let (folder, home) = home(None);
    let unnamed = begin(&home);
    write(&unnamed, "a", b"aaa").unwrap();
    home.sweep(Duration::ZERO);
    assert_eq!(names(folder.path()), [PART, SUMS], "somebody is at it");
    kill(folder.path(), unnamed);
    home.sweep(STALE);
    assert_eq!(names(folder.path()), [PART, SUMS], "it is not old enough");
    // A name that only looks like it is no business of ours.
    fs::create_dir(folder.path().join("mine.feige-part")).unwrap();
    home.sweep(Duration::ZERO);
    assert_eq!(names(folder.path()), ["mine.feige-part"]);
    fs::remove_dir(folder.path().join("mine.feige-part")).unwrap();

    // A folder that has nothing else looks empty to its user, and can be removed, unless it is being filled.
    home.make_dir(path("d"), false).unwrap();
    let unnamed = home.unnamed_folder(path("d/x"), KEY).unwrap().unwrap();
    write(&unnamed, "a", b"aaa").unwrap();
    assert_eq!(home.remove_dir(path("d")).unwrap_err().code, ErrorCode::Busy);
    kill(&folder.path().join("d"), unnamed);
    home.remove_dir(path("d")).unwrap();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_quota_is_not_gone_around() {
    let (folder, home) = home(Some(1 << 20));
    assert!(home.unnamed_folder(path("x"), KEY).unwrap().is_none());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_is_given_up_goes_and_what_is_under_way_stays() {
    let (folder, home) = home(None);
    let begun = |name: &str, key| {
        let unnamed = home.unnamed_folder(path(name), key).unwrap().unwrap();
        write(&unnamed, "a", b"aaa").unwrap();
        unnamed
    };
    let hidden = || names(folder.path()).into_iter().filter(|name| name.starts_with('.')).collect::<Vec<_>>();
    // Those of other names are not meant.
    drop((begun("y", KEY), begun("x.y", KEY)));
    let others = hidden();
    assert_eq!(others.len(), 4);
    let long = "n".repeat(250);
    drop((begun("x", KEY), begun(&long, KEY)));
    let mut upload = home.receive(path("x"), &arriving(40 * LEN)).unwrap();
    send(&mut upload, 0, &octets(LEN));
    assert_eq!(hidden().len(), 4 + 4 + 2);
    home.abandon(path("x"));
    assert_eq!(hidden().len(), 4 + 4 + 2, "somebody is at the file, and the folder may still get its name");
    drop(upload);
    home.abandon(path("x"));
    assert_eq!(hidden().len(), 4 + 4);
    let busy = begun("x", KEY + 1);
    fs::create_dir(folder.path().join("x")).unwrap();
    fs::create_dir(folder.path().join(&long)).unwrap();
    home.abandon(path("x"));
    home.abandon(path(&long));
    assert_eq!(hidden().len(), 4 + 2, "somebody is at the other folder");
    drop(busy);
    home.abandon(path("x"));
    assert_eq!(hidden(), others);
}
