use super::*;
use std::fs;

fn share() -> (tempfile::TempDir, Share) {
    let folder = tempfile::tempdir().unwrap();
    let share = Share::open(folder.path(), None).unwrap();
    (folder, share)
}

fn paths(found: &[Found]) -> Vec<&str> {
    found.iter().map(|found| found.path.as_str()).collect()
}

#[test]
fn by_name_by_part_and_by_digest() {
    let (folder, share) = share();
    fs::create_dir_all(folder.path().join("docs/more")).unwrap();
    fs::write(folder.path().join("docs/Report.txt"), "one").unwrap();
    fs::write(folder.path().join("docs/more/Report.txt"), "other").unwrap();
    fs::write(folder.path().join("报告.pdf"), "three").unwrap();
    let both = ["docs/Report.txt", "docs/more/Report.txt"];
    assert_eq!(paths(&share.find(What::Name("Report.txt"), 9)), both);
    assert_eq!(share.find(What::Name("report.txt"), 9), [], "the name is exact");
    assert_eq!(paths(&share.find(What::Part("rEPORT"), 9)), both);
    assert_eq!(share.find(What::Part("o"), 1).len(), 1, "no more than asked for");
    assert_eq!(share.find(What::Part(""), 9), []);
    let docs = &share.find(What::Name("docs"), 9)[0];
    assert_eq!((docs.kind, docs.size, docs.md5), (Kind::Folder, 8, None));
    let found = share.find(What::Digest(Digest::of(b"other")), 9);
    assert_eq!(paths(&found), ["docs/more/Report.txt"]);
    assert_eq!((found[0].size, found[0].md5, found[0].name()), (5, Some(Digest::of(b"other")), "Report.txt"));
    assert_eq!(share.find(What::Digest(Digest::of(b"nobody")), 9), []);
    assert_eq!((share.entries(), share.names().len()), (5, 5));
}

#[test]
fn what_comes_is_found_by_the_next_question_and_what_goes_is_not() {
    let (folder, share) = share();
    for round in 0..5 {
        let name = format!("{round}.txt");
        assert_eq!(share.find(What::Name(&name), 1), []);
        fs::write(folder.path().join(&name), "x").unwrap();
        assert_eq!(share.find(What::Name(&name), 1).len(), 1, "{name}");
    }
    fs::remove_file(folder.path().join("0.txt")).unwrap();
    assert_eq!(share.find(What::Name("0.txt"), 1), []);
    fs::write(folder.path().join("1.txt"), "changed").unwrap();
    assert_eq!(share.find(What::Name("1.txt"), 1)[0].md5, Some(Digest::of(b"changed")), "as it is now");
}

#[test]
fn nothing_outside_of_the_share_and_nothing_unfinished() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let (folder, share) = share();
    symlink(outside.path().join("secret"), folder.path().join("link")).unwrap();
    symlink(outside.path(), folder.path().join("links")).unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    symlink("../in", folder.path().join("in/loop")).unwrap();
    for hidden in ["a.feige-part", "B.FEIGE-PART", ".x.feige-sums", ".feige-state", "bell\u{7}"] {
        fs::write(folder.path().join(hidden), "x").unwrap();
    }
    // A folder that is downloaded has no name until it is whole.
    fs::create_dir(folder.path().join(".new.0123456789abcdef.feige-part")).unwrap();
    fs::write(folder.path().join(".new.0123456789abcdef.feige-part/early"), "x").unwrap();
    rustix::fs::mknodat(
        share.dir(),
        "pipe",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert_eq!(share.names(), ["in"]);
    for path in
        ["link", "links/secret", "../secret", "/etc/passwd", "in/../in", "in//x", "", ".", "a.feige-part", "pipe"]
    {
        assert!(share.open_file(path).is_err(), "{path}");
    }
}

#[test]
fn looking_computes_no_digest() {
    let (folder, share) = share();
    fs::write(folder.path().join("a"), "x").unwrap();
    let found = &share.look(What::Name("a"), 9)[0];
    assert_eq!((found.size, found.md5), (1, None));
    assert_eq!(share.look(What::Digest(Digest::of(b"x")), 9), []);
    assert_eq!(share.find(What::Digest(Digest::of(b"x")), 9).len(), 1);
    assert_eq!(share.look(What::Digest(Digest::of(b"x")), 9).len(), 1);
}

#[test]
fn what_killed_unpackings_left_is_removed_after_a_day() {
    let (folder, share) = share();
    let (old, new) = (part_name(), part_name());
    for name in [&*old, &*new, ".x.feige-part"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("x"), "x").unwrap();
    }
    let long_ago = SystemTime::now() - STALE - Duration::from_secs(60);
    for name in [&*old, ".x.feige-part"] {
        fs::File::open(folder.path().join(name)).unwrap().set_modified(long_ago).unwrap();
    }
    drop(share);
    Share::open(folder.path(), None).unwrap();
    assert!(!folder.path().join(old).exists());
    assert!(folder.path().join(new).exists() && folder.path().join(".x.feige-part").exists());
}

#[test]
fn no_deeper_than_the_limit() {
    let (folder, share) = share();
    let deep: PathBuf = std::iter::repeat_n("d", MOST_LEVELS + 4).collect();
    fs::create_dir_all(folder.path().join(&deep)).unwrap();
    fs::write(folder.path().join(deep).join("x"), "x").unwrap();
    assert_eq!(share.find(What::Name("x"), 9), []);
    assert_eq!(share.entries(), MOST_LEVELS - 1);
}
