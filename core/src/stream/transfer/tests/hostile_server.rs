//! The client against servers that do not keep the rules.

use std::cell::Cell;
use std::vec;
use std::vec::Vec;

use super::peer::{Heard, Script, body, down, hello, let_in, messages, say};
use super::stores::{Desk, Job, Shelf, get};
use super::{Pair, complete, octets, put, verified};
use crate::digest::{BlockDigest, Digest};
use crate::stream::transfer::Credentials;
use crate::stream::{Outcome, ProtocolError};
use crate::wire::transfer::{Data, Entry, EntryKind, ErrorCode, File, Reply, Request};

fn file(offset: u64, length: u64) -> File {
    File { size: 10_000, mtime: None, mode: None, stamp: 7, block: 12, offset, length }
}

/// A client that does `job` hears `said` after it was let in.
fn hears(job: Job, said: &[&[u8]]) -> (Heard, Desk) {
    let mut desk = Desk::with([job]);
    let script = said.iter().fold(Script::new(&let_in()), |script, said| script.then(1, said));
    let heard = script.fetch(&mut desk);
    let mut large = Desk::with(desk.all.clone());
    let again = script.buffers(70_000, 70_000).fetch(&mut large);
    assert_eq!((&again.ending, &large.heard), (&heard.ending, &desk.heard));
    (heard, desk)
}

#[track_caller]
fn breaks_the_rules(job: Job, said: &[&[u8]]) {
    let (heard, desk) = hears(job, said);
    assert!(matches!(heard.ending, Err(ProtocolError::Malformed(_))), "{:?} {:?}", heard.ending, desk.heard);
    assert!(desk.got.is_empty());
}

fn error() -> Vec<u8> {
    say(&Reply::Error { code: ErrorCode::Busy, text: "x" })
}

/// proves: R-VT-10, R-VT-14, R-VT-15
#[test]
fn a_sign_in_has_one_order() {
    let hi = say(&Reply::Hello(hello(1)));
    let done = say(&Reply::Done);
    let sign_in = say(&Reply::SignIn { message: "r=x" });
    for said in [
        vec![&done],
        vec![&sign_in],
        vec![&hi, &hi],
        vec![&hi, &sign_in],
        vec![&say(&Reply::Hello(hello(0)))],
        vec![&say(&Reply::Hello(hello(2)))],
        vec![&hi, &say(&Reply::Time(1))],
    ] {
        let heard = Script::new(&said.into_iter().flatten().copied().collect::<Vec<_>>()).fetch(&mut Desk::with([]));
        assert!(matches!(heard.ending, Err(ProtocolError::Malformed(_))), "{:?}", heard.ending);
    }
    let account = Credentials::Account { user: "alice", password: "pencil" };
    let at_once =
        |said: &[&[u8]]| Script::new(&said.concat()).fetch_with(&mut Desk::with([]), account, &Cell::new(0)).ending;
    assert!(matches!(at_once(&[&hi, &done]), Err(ProtocolError::Malformed(_))), "nobody is let in without a proof");
    assert_eq!(at_once(&[&hi, &sign_in]), Err(ProtocolError::Unproven));
    assert_eq!(at_once(&[&hi, &error()]), Ok(Outcome::Refused));
    assert_eq!(at_once(&[&error()]), Ok(Outcome::Refused));
    let nobody = Credentials::Account { user: "", password: "pencil" };
    let mut desk = Desk::with([get("f")]);
    let heard = Script::new(&hi).fetch_with(&mut desk, nobody, &Cell::new(0));
    assert_eq!((heard.ending, desk.heard.len()), (Ok(Outcome::Refused), 1));
}

/// proves: R-VT-2, R-VT-3
#[test]
fn headers_that_are_none() {
    for length in [0, -1, i32::MAX, 513] {
        breaks_the_rules(get("f"), &[&length.to_le_bytes(), &say(&Reply::Time(1))]);
    }
    for header in [&b"\x10"[..], b"{}", b"\x80\x01", b"\x02\x12\x00", b"\x02\x00\x05ab"] {
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        breaks_the_rules(get("f"), &[&length, header]);
    }
}

/// proves: R-VT-14
#[test]
fn only_what_was_asked_for_is_an_answer() {
    let entry = Entry { name: "f", kind: EntryKind::File, size: 1, mtime: None, mode: None };
    let answers: [(&str, Reply<'_>); 12] = [
        ("get", Reply::File(file(0, 0))),
        ("put", Reply::Ready { offset: 0, block: 12 }),
        ("list", Reply::Entry(entry)),
        ("list", Reply::End { cursor: 0 }),
        ("stat", Reply::Stat(entry)),
        ("change", Reply::Done),
        ("space", Reply::Space { used: 0, quota: None, free: None }),
        ("sum", Reply::Sum { md5: Digest::default(), size: 0 }),
        ("time", Reply::Time(1)),
        ("small", Reply::Stored { digest: Digest::of(b"small") }),
        ("any", Reply::Working),
        ("any", Reply::Error { code: ErrorCode::Busy, text: "" }),
    ];
    let jobs = [
        ("get", get("f")),
        ("put", put("f", &octets(10_000, 1), false)),
        ("small", put("f", b"small", true)),
        ("list", Job::Other(Request::List { path: "", cursor: 0 })),
        ("stat", Job::Other(Request::Stat { path: "" })),
        ("change", Job::Other(Request::Remove { path: "" })),
        ("space", Job::Other(Request::Space)),
        ("sum", Job::Other(Request::Sum { path: "" })),
        ("time", Job::Other(Request::Time)),
    ];
    for (kind, job) in &jobs {
        for (fitting, answer) in &answers {
            let answer = say(answer);
            if fitting == kind || *fitting == "any" {
                let (heard, _) = hears(job.clone(), &[&answer]);
                assert!(!matches!(heard.ending, Err(ProtocolError::Malformed(_))), "{kind} {fitting}");
            } else {
                breaks_the_rules(job.clone(), &[&answer]);
            }
        }
        for never in [Reply::Hello(hello(1)), Reply::SignIn { message: "" }] {
            breaks_the_rules(job.clone(), &[&say(&never)]);
        }
    }
    // Nothing was asked at all.
    for (_, answer) in answers.iter().filter(|(kind, _)| !matches!(*kind, "change" | "any")) {
        let heard = Script::new(&[let_in(), say(answer)].concat()).fetch(&mut Desk::with([]));
        assert!(matches!(heard.ending, Err(ProtocolError::Malformed(_))), "{answer:?} {:?}", heard.ending);
    }
}

/// proves: R-VT-31, R-VT-33, R-VT-51
#[test]
fn nothing_is_saved_that_was_not_announced() {
    let whole = octets(10_000, 1);
    let begin = say(&Reply::File(file(0, 10_000)));
    let first = down(0, &whole[..8192]);
    let rest = down(8192, &whole[8192..]);
    let time = say(&Reply::Time(1));
    let (heard, desk) = hears(get("f"), &[&begin, &first, &rest, &say(&Reply::Done)]);
    assert_eq!((&heard.ending, &*desk.got[0].octets), (&Ok(desk_totals(&heard)), &*whole));
    for said in [
        vec![&first],
        vec![&begin, &begin],
        vec![&begin, &first, &begin],
        vec![&begin, &rest],
        vec![&begin, &first, &first],
        vec![&begin, &time],
        vec![&begin, &say(&Reply::Done)],
        vec![&begin, &down(0, &whole[..4000])],
        vec![&begin, &down(0, &octets(12_288, 1))],
        vec![&begin, &down(0, &octets(17 * 4096, 1))],
        vec![&begin, &say(&Reply::Data(Data { at: 0, len: 0 }))],
        vec![&begin, &say(&Reply::Data(Data { at: 0, len: u32::MAX }))],
        vec![&say(&Reply::File(file(0, 10_001)))],
        vec![&say(&Reply::File(file(u64::MAX, 2)))],
        vec![&say(&Reply::File(File { block: 11, ..file(0, 1) }))],
        vec![&say(&Reply::File(File { block: 21, ..file(0, 1) }))],
    ] {
        let said: Vec<&[u8]> = said.into_iter().map(|said| &**said).collect();
        breaks_the_rules(get("f"), &said);
    }
    // More than the file: the next answer, which nobody asked for.
    let (heard, _) = hears(get("f"), &[&begin, &first, &rest, &rest]);
    assert!(matches!(heard.ending, Err(ProtocolError::Malformed(_))));
}

fn desk_totals(heard: &Heard) -> Outcome {
    match heard.ending {
        Ok(outcome @ Outcome::Complete(totals)) => {
            assert_eq!((totals.files, totals.octets), (1, 10_000));
            outcome
        }
        _ => panic!("{:?}", heard.ending),
    }
}

/// proves: R-VT-61, R-VT-63, R-VT-64
#[test]
fn a_file_is_stored_when_the_server_says_so_with_its_digest() {
    let whole = octets(10_000, 1);
    let job = || put("f", &whole, false);
    let ready = say(&Reply::Ready { offset: 0, block: 12 });
    let stored = say(&Reply::Stored { digest: Digest::of(b"other") });
    for said in [
        vec![say(&Reply::Ready { offset: 10_001, block: 12 })],
        vec![say(&Reply::Ready { offset: 0, block: 11 })],
        vec![say(&Reply::Ready { offset: 0, block: 21 })],
        vec![ready.clone(), ready.clone()],
        vec![stored.clone()],
        vec![say(&Reply::Stored { digest: Digest::default() })],
        vec![say(&Reply::Repair { at: 0, len: 4096 })],
        vec![ready.clone(), say(&Reply::Repair { at: 8192, len: 4096 })],
        vec![ready.clone(), say(&Reply::Repair { at: u64::MAX, len: 1 })],
        vec![ready.clone(), say(&Reply::Repair { at: 0, len: 0 })],
        vec![ready.clone(), say(&Reply::Repair { at: 0, len: 4097 })],
        vec![ready.clone(), say(&Reply::Repair { at: 4095, len: 4096 })],
        vec![ready.clone(), say(&Reply::Done)],
    ] {
        let said: Vec<&[u8]> = said.iter().map(|said| &**said).collect();
        breaks_the_rules(job(), &said);
    }
    let (heard, desk) = hears(job(), &[&ready, &stored, &say(&Reply::Done)]);
    assert!(matches!(heard.ending, Ok(Outcome::Complete(totals)) if totals.files == 0), "{:?}", heard.ending);
    assert!(desk.heard.iter().any(|heard| heard.contains("DigestMismatch")), "{:?}", desk.heard);
}

/// Each block that is sent again is progress: only the count of them ends it.
///
/// proves: R-VT-64
#[test]
fn repairs_have_an_end() {
    let whole = octets(10_000, 1);
    let repairs = |count| {
        let repair = say(&Reply::Repair { at: 8192, len: 1808 }).repeat(count);
        let stored = say(&Reply::Stored { digest: digest_of(&whole) });
        [say(&Reply::Ready { offset: 0, block: 12 }), repair, stored].concat()
    };
    let (heard, _) = hears(put("f", &whole, false), &[&repairs(32), &say(&Reply::Done)]);
    assert!(matches!(heard.ending, Ok(Outcome::Complete(totals)) if totals.files == 1), "{:?}", heard.ending);
    breaks_the_rules(put("f", &whole, false), &[&repairs(33), &say(&Reply::Done)]);
}

/// A file that is another when a block of it is asked for again is passed over in its own blocks: what follows is
/// understood.
///
/// proves: R-VT-53
#[test]
fn a_file_that_changed_while_it_was_repaired_is_given_up_alone() {
    let whole = octets(10_000, 1);
    let mut damaged = down(0, &whole[..8192]);
    *damaged.last_mut().unwrap() ^= 1;
    let first = [say(&Reply::File(file(0, 10_000))), damaged, down(8192, &whole[8192..])].concat();
    let stored = say(&Reply::Stored { digest: Digest::of(b"small") });
    let again = |file: File, octets: &[u8]| {
        let len = u32::try_from(octets.len()).unwrap();
        let data = if len == 0 { Vec::new() } else { say(&Reply::Data(Data { at: file.offset, len })) };
        [say(&Reply::File(file)), data, body(octets, 1 << file.block)].concat()
    };
    let changed = File { stamp: 8, ..file(0, 8192) };
    for (file, octets) in [
        (changed, &whole[..8192]),
        (File { block: 13, ..changed }, &whole[..8192]),
        (File { stamp: 7, block: 16, ..changed }, &whole[..8192]),
        (File { size: 4096, length: 4096, ..changed }, &whole[..4096]),
        (File { size: 0, length: 0, ..changed }, &whole[..0]),
    ] {
        for (input, output) in [(516, 600), (70_000, 70_000)] {
            let mut desk = Desk::with([get("f"), put("s", b"small", true)]);
            let script = Script::new(&let_in()).then(1, &first).then(1, &again(file, octets)).then(1, &stored);
            let heard = script.then(1, &say(&Reply::Done)).buffers(input, output).fetch(&mut desk);
            assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{file:?} {:?} {:?}", heard.ending, desk.heard);
            assert_eq!((desk.got.len(), desk.repairs, desk.heard.len()), (0, 1, 2));
            assert!(desk.heard[0].contains("DigestMismatch") && desk.heard[1].contains("Stored"), "{:?}", desk.heard);
        }
    }
    for file in [File { block: 21, ..changed }, File { size: 8191, ..changed }] {
        breaks_the_rules(get("f"), &[&first, &say(&Reply::File(file))]);
    }
}

/// The digest of a file in blocks of 4 KiB.
fn digest_of(whole: &[u8]) -> Digest {
    let mut digest = BlockDigest::new();
    whole.chunks(4096).for_each(|block| digest.push(&Digest::of(block)));
    digest.finish()
}

/// An error that comes after the store has given the file up is not told again: it would be taken for the next answer.
#[test]
fn what_the_store_gave_up_is_not_answered_twice() {
    let mut desk = Desk::with([get("f"), Job::Other(Request::Time)]);
    desk.refuse_files = true;
    let first = down(0, &octets(4096, 1));
    let said = [say(&Reply::File(file(0, 10_000))), first, error(), say(&Reply::Time(5))].concat();
    let script = Script::new(&let_in()).then(1, &said).then(1, &say(&Reply::Done)).buffers(70_000, 70_000);
    let heard = script.fetch(&mut desk);
    assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?}", heard.ending);
    assert_eq!(desk.heard, ["refused 10000", "Time(5)"]);
}

/// The answers to small jobs come between the announcement of a large file and the answer to that.
///
/// proves: R-VT-14
#[test]
fn answers_to_earlier_jobs_do_not_end_a_file_that_was_announced_behind_them() {
    let whole = octets(100_000, 1);
    let jobs = || {
        [
            put("a", b"small", true),
            Job::Other(Request::Remove { path: "none" }),
            Job::Other(Request::Time),
            put("f", &whole, false),
            put("b", b"small", true),
        ]
    };
    let mut pair = Pair::new(Shelf::new(), jobs());
    complete(&mut pair);
    assert_eq!(pair.shelf.files["f"], whole);
    assert_eq!(pair.shelf.files.len(), 3);
    let mut pair = Pair::new(Shelf::new(), jobs()).buffers(516, 700).most(33);
    complete(&mut pair);
    assert_eq!(pair.shelf.files["f"], whole);
}

/// What a server says in a session that does everything, and the jobs of that session.
fn transcript() -> (Vec<u8>, Vec<usize>, Vec<Job>, Vec<u8>) {
    let whole = octets(4500, 1);
    let jobs = vec![
        Job::Other(Request::List { path: "", cursor: 0 }),
        get("f"),
        put("small", b"small", true),
        put("large", &whole, false),
        Job::Other(Request::Sum { path: "f" }),
        Job::Other(Request::Time),
    ];
    let mut shelf = Shelf::new();
    shelf.files.insert("f".into(), whole.clone());
    let mut pair = Pair::new(shelf, jobs.clone()).buffers(516, 600);
    complete(&mut pair);
    let ends = messages(&pair.down.log).into_iter().map(|(_, end)| end).collect();
    (pair.down.log, ends, jobs, whole)
}

/// proves: R-VT-53
#[test]
fn a_server_that_breaks_off_anywhere_leaves_no_half_files() {
    let (said, ends, jobs, whole) = transcript();
    let run = |script: Script| {
        let mut desk = Desk::with(jobs.clone());
        let heard = script.buffers(516, 600).fetch(&mut desk);
        assert!(desk.got.iter().all(|part| part.octets == whole));
        (heard, desk)
    };
    let pieces = |cut: usize| Script::in_pieces(&said[..cut], &ends);
    let (complete, desk) = run(pieces(said.len()));
    assert!(matches!(complete.ending, Ok(Outcome::Complete(_))));
    assert_eq!(desk.got.len(), 1);
    for most in [1, 7] {
        let (other, heard) = run(pieces(said.len()).most(most));
        assert_eq!((other.ending, heard.heard), (complete.ending, desk.heard.clone()));
    }
    for cut in 0..said.len() {
        if cut > 400 && cut < 4000 && cut % 97 != 0 {
            continue;
        }
        let (heard, _) = run(pieces(cut));
        // Only the farewell is missing, or more.
        let farewell = cut >= said.len() - 5;
        assert_eq!(matches!(heard.ending, Ok(Outcome::Complete(_))), farewell, "at {cut}: {:?}", heard.ending);
        let (silent, _) = run(pieces(cut).silent());
        assert_eq!(silent.ending, Err(ProtocolError::TimedOut), "at {cut}");
        assert!((30_000..31_000).contains(&silent.at), "at {cut}: {}", silent.at);
        let mut cuts: Vec<usize> = ends.iter().copied().chain([cut]).collect();
        cuts.sort_unstable();
        let (two, _) = run(Script::in_pieces(&said, &cuts));
        assert_eq!(two.ending, complete.ending, "cut at {cut}");
    }
}

/// proves: R-VT-31, R-VT-53
#[test]
fn an_octet_that_arrives_as_another_spoils_no_file() {
    let (said, ends, jobs, whole) = transcript();
    for at in (0..said.len()).filter(|at| at % 7 == 0 || *at < 400 || *at > 4500) {
        let mut said = said.clone();
        said[at] ^= 1 << (at % 8);
        let mut desk = Desk::with(jobs.clone());
        desk.forgiving = true;
        let heard = Script::in_pieces(&said, &ends).buffers(70_000, 70_000).fetch(&mut desk);
        assert!(heard.at <= 60_000);
        // A size that is another is no octet of the file: whoever keeps files compares it with what came.
        for part in desk.got.iter().filter(|part| verified(part) == part.octets.len() as u64) {
            assert!(part.octets == whole, "octet {at}");
        }
    }
}
