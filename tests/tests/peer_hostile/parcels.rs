//! Classic holders that answer a request with what nobody should unpack: fetched at the prompt of a peer, and by
//! `feige fetch`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_tests::program::{LATE, run};
use feige_tests::victim::{Answer, Holder, Victim, tree};

use super::archives::{bomb, crowded, damaged, framed, linked, lying_bomb, named, stored, twice, with_length};

/// Something that a holder answers, what is said of it, and the exit code of `feige fetch`.
struct Case {
    name: &'static str,
    answer: Answer,
    reason: &'static str,
    code: i32,
    /// How long the connection may last.
    limit: Duration,
}

fn case(name: &'static str, octets: Vec<u8>, reason: &'static str, code: i32) -> Case {
    Case { name, answer: Answer::Octets(octets), reason, code, limit: Duration::from_secs(2) }
}

/// What is only refused when nothing more has come for a while.
fn slow(name: &'static str, octets: Vec<u8>, reason: &'static str) -> Case {
    Case { limit: Duration::from_secs(7), ..case(name, octets, reason, 5) }
}

/// What the peer may take for one `get`, where it matters.
const MOST: &str = "32MiB";

/// A peer and `feige fetch` fetch all of these; nothing is left, and each is said once.
fn attack(mut cases: Vec<Case>) {
    cases.sort_by_key(|case| case.name);
    let checks: Vec<_> = cases.iter().map(|case| (case.name, case.reason, case.code, case.limit)).collect();
    let answers: BTreeMap<_, _> = cases.into_iter().map(|case| (case.name.to_owned(), case.answer)).collect();
    let holder = Holder::start(answers, 1);
    let via = format!("{}/j", holder.at);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut victim = Victim::start(&["--neighbour", &via, "--max-size", MOST]);
            victim.program.event("linked");
            for (name, reason, ..) in &checks {
                victim.program.tell(&format!("get {name}"));
                // Once when the holder is given up, and once as the outcome of the command.
                victim.complains(name, &[reason, reason]);
                assert_eq!(victim.news(), [""; 0], "{name}");
            }
            let memory = victim.program.memory("VmHWM");
            assert!(memory < 40 << 10, "{memory} KiB of memory");
            victim.still_answers();
            victim.is_idle();
        });
        scope.spawn(|| {
            let home = tempfile::tempdir().expect("a folder");
            fs::create_dir(home.path().join("into")).expect("made");
            for (name, reason, code, _) in &checks {
                let arguments = ["--json", "fetch", name, "--via", &via, "-o", "into", "--max-size", MOST];
                let ended = run(&home, LATE, arguments);
                assert_eq!(ended.code, Some(*code), "{name}: {}", ended.said);
                let refused: Vec<_> = ended.events.iter().filter(|event| event["event"] == "refused").collect();
                assert_eq!(refused.len(), 1, "{name}: {}", ended.said);
                assert!(
                    refused[0]["error"].as_str().is_some_and(|error| error.contains(reason)),
                    "{name}: {}",
                    refused[0]
                );
                assert_eq!(refused[0]["from"], holder.at.to_string());
                assert_eq!(tree(home.path()), ["into"], "{name}");
            }
        });
    });
    let mut lasted: Vec<_> = holder.requests.try_iter().collect();
    lasted.sort();
    for ((name, _, _, limit), lasted) in checks.iter().flat_map(|check| [check; 2]).zip(lasted) {
        assert!(lasted.1 < *limit, "{name}: closed after {:?}", lasted.1);
    }
}

const MD5: &str = "0b9c10a814a91f69c3d8c4e7d45ee703";

/// proves: R-FL-81, R-FL-82, R-FL-85, R-FL-88
pub(super) fn headers() {
    let no_length = "its length cannot be";
    let good = stored(&[("x", b"contents")]);
    let md5 = Digest::of(&good);
    let with = |header: &str| with_length(header, &good);
    let alone = |body: &str| format!(r#"{{"filename":"x","md5":"{MD5}","body":"{body}"}}"#);
    let deep = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    attack(vec![
        case("negative", (-1_i32).to_le_bytes().to_vec(), no_length, 1),
        case("most-negative", i32::MIN.to_le_bytes().to_vec(), no_length, 1),
        case("no-length", 0_i32.to_le_bytes().to_vec(), no_length, 1),
        case("endless", i32::MAX.to_le_bytes().to_vec(), no_length, 1),
        case("a-bit-long", 65_537_i32.to_le_bytes().to_vec(), no_length, 1),
        case("deep", with(&deep(5000)), "it is no JSON object", 1),
        case(
            "deep-inside",
            with(&format!(r#"{{"filename":"x.zip","md5":"{md5}","file_size":{}}}"#, deep(5000))),
            "header is no classic one",
            1,
        ),
        case("types", with(r#"{"filename":1,"md5":[],"file_size":"x"}"#), "it has no filename", 1),
        case("size-is-text", with(&format!(r#"{{"filename":"x","md5":"{md5}","file_size":"8"}}"#)), "no file_size", 1),
        case("md5-is-missing", with(r#"{"filename":"x.zip","file_size":22}"#), "it has no md5", 1),
        case("md5-is-short", with(r#"{"filename":"x.zip","md5":"0b9c10","file_size":22}"#), "it has no md5", 1),
        case("two-headers", with(r#"{"filename":"x"}{"md5":"y"}"#), "it is no JSON object", 1),
        case("alone", alone("b").into_bytes(), "the digest does not match", 5),
        case("alone-and-long", alone(&"b".repeat(2000)).into_bytes(), "no length, and 1,024 octets or more", 1),
        case("alone-and-deep", format!("{{\"filename\":{}", "[".repeat(2000)).into_bytes(), "no length, and 1,024", 1),
        case("no-text", with_length("\0\0\0\0", &[0xff; 64]), "it is no JSON object", 1),
    ]);
}

/// proves: R-FL-62, R-FL-86
pub(super) fn entries() {
    let refused = "which is refused";
    let one = |name: &str| framed(&stored(&[(name, b"evil")]));
    let two = |name: &str| framed(&stored(&[("good.txt", b"good"), (name, b"evil")]));
    attack(vec![
        case("above", one("../above"), refused, 1),
        case("far-above", two("a/../../../far-above"), refused, 1),
        case("absolute", one("/tmp/feige-absolute"), refused, 1),
        case("two-slashes", two("//tmp/feige-absolute"), refused, 1),
        case("backslash", one("..\\backslash"), refused, 1),
        case("backslash-inside", two("a\\..\\..\\inside"), refused, 1),
        case("drive", one("C:\\drive"), refused, 1),
        case("dots", two(".."), refused, 1),
        case("part", two("x.feige-part"), refused, 1),
        case("terminal", two("\u{1b}[2J"), refused, 1),
        case("link", framed(&linked("link", "/etc/passwd", None)), refused, 1),
        case("link-out", framed(&linked("out", "../..", Some("out/evil"))), refused, 1),
        case("twice", framed(&twice("twice")), "two of its entries have one name", 1),
        case("file-and-folder", framed(&stored(&[("a", b"x"), ("a/b", b"y")])), "", 1),
        case("crowded", framed(&crowded()), "too many entries", 1),
        case("noise", framed(&damaged("noise")), "cannot be unpacked", 1),
    ]);
    for outside in ["/tmp/feige-absolute", "/tmp/evil", "/tmp/above"] {
        assert!(!Path::new(outside).exists(), "{outside}");
    }
}

/// proves: R-FL-66, R-FL-86
pub(super) fn bombs() {
    let whole = framed(&bomb(&["bomb"]));
    assert!((250_000..280_000).contains(&whole.len()), "{} octets", whole.len());
    let names: Vec<String> = (0..64).map(|at| format!("bombs/{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let larger = "it is larger than the 33554432 octets that are taken";
    attack(vec![
        case("bomb", whole, larger, 6),
        case("bombs", framed(&bomb(&names)), larger, 6),
        case("lying", framed(&lying_bomb("lying")), "cannot be unpacked", 1),
        // Nothing that is packed: the holder never ends.
        case("stored", named("x.zip", &stored(&[("stored", &vec![1; 33 << 20])])), larger, 6),
    ]);
}

/// What ends too early, or never: each has a victim of its own, because each is waited for.
///
/// proves: R-FL-84, R-FL-85
pub(super) fn patience() {
    let good = stored(&[("x", b"contents")]);
    let wrong = with_length(&format!(r#"{{"filename":"x.zip","md5":"{MD5}","file_size":22}}"#), &good);
    let short = framed(&good);
    let short = short[..short.len() - 1].to_vec();
    let more = [&framed(&good)[..], b"more"].concat();
    let header = with_length(r#"{"filename":"x.zip","md5":"#, b"");
    let header = [&1000_u32.to_le_bytes()[..], &header[4..]].concat();
    let limit = Duration::from_secs(33);
    let nothing = Case { limit, ..case("nothing", Vec::new(), "no whole header came in 30 s", 5) };
    let trickle = Answer::Slowly(framed(&[0; 4000]), Duration::from_millis(400));
    // "no more than a trickle came in 30 s", or, where a busy machine lets the holder wait for 5 s, that nothing came.
    let trickle =
        Case { limit, answer: trickle, ..case("trickle", Vec::new(), "s; try again, or ask another peer", 5) };
    let cases = [
        slow("wrong-md5", wrong, "the digest does not match"),
        slow("short", short, "ended short"),
        slow("more", more, "ended short"),
        slow("half-a-header", header, "no whole header came in 5 s"),
        nothing,
        trickle,
    ];
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| attack(vec![case]));
        }
    });
}

/// Names in a header, and of the archive itself, are of no consequence: what comes is under the name that was asked for.
///
/// proves: R-FL-62, R-FL-82
pub(super) fn names_that_lead_nowhere() {
    let good = stored(&[("x", b"contents")]);
    let answers = [
        ("x", named("../../x.zip", &good)),
        ("y", named("/tmp/feige-y.zip", &stored(&[("y", b"contents")]))),
        // Named like the archive, which the programs of the course would overwrite while they read it.
        ("z.zip", named("z.zip", &stored(&[("z.zip", b"contents")]))),
        ("w", named("w.zip", &stored(&[("w.zip", b"contents")]))),
    ];
    let answers = answers.map(|(name, octets)| (name.to_owned(), Answer::Octets(octets)));
    let holder = Holder::start(BTreeMap::from(answers), 1);
    let mut victim = Victim::start(&["--neighbour", &format!("{}/j", holder.at)]);
    victim.program.event("linked");
    for name in ["x", "y", "z.zip", "w"] {
        victim.program.tell(&format!("get {name}"));
        victim.program.event("fetched");
    }
    assert_eq!(victim.news(), ["share/w", "share/w/w.zip", "share/x", "share/y", "share/z.zip"]);
    for path in ["w/w.zip", "x", "y", "z.zip"] {
        assert_eq!(fs::read(victim.home.path().join("share").join(path)).expect("there"), b"contents");
    }
    assert_eq!(victim.complaints().len(), 0);
    // A name that is wished for is nobody's, and the own one of the file stays whose it is.
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("x"), b"contents").expect("written");
    fs::write(home.path().join("mine"), b"mine").expect("written");
    let via = format!("{}/j", holder.at);
    for (name, code) in [("mine", 1), ("new", 0), ("new", 1)] {
        let ended = run(&home, LATE, ["fetch", "x", "--via", &via, "-o", name]);
        assert_eq!(ended.code, Some(code), "{name}: {}", ended.said);
    }
    assert_eq!(tree(home.path()), ["mine", "new", "x"]);
    for (name, content) in [("mine", &b"mine"[..]), ("new", b"contents"), ("x", b"contents")] {
        assert_eq!(fs::read(home.path().join(name)).expect("there"), content, "{name}");
    }
    victim.is_idle();
}
