//! Both sessions, against each other and against peers that do not keep the rules.

mod aside;
mod deadlines;
mod document;
mod drivers;
mod hostile_client;
mod hostile_server;
mod narrow;
mod pair;
mod peer;
mod runs;
mod salvage;
mod stores;
mod turns;

use std::string::String;
use std::vec;
use std::vec::Vec;

use pair::Pair;
use stores::{Job, Part, Shelf, get};

use super::Credentials;
use crate::stream::{Outcome, ProtocolError};
use crate::wire::transfer::{Get, Request};

/// Octets that repeat nowhere.
pub(super) fn octets(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        u8::try_from(state >> 24).unwrap()
    };
    (0..len).map(|_| next()).collect()
}

const SIZES: [usize; 10] = [0, 1, 4095, 4096, 4097, 8192, 65_535, 65_536, 100_000, 300_000];

/// Buffers, and octets that move at a time.
const SHAPES: [(usize, usize, usize); 6] = [
    (516, 512, usize::MAX),
    (516, 512, 100),
    (700, 4000, 1),
    (5000, 5000, 1460),
    (70_000, 70_000, 9000),
    (600_000, 600_000, usize::MAX),
];

fn put(path: &'static str, octets: &[u8], inline: bool) -> Job {
    Job::Put { path, octets: octets.to_vec(), inline }
}

#[track_caller]
fn complete(pair: &mut Pair) {
    let (client, server) = pair.run();
    assert!(matches!(client, Ok(Outcome::Complete(_))), "client: {client:?}, server: {server:?}");
    assert!(matches!(server, Ok(Outcome::Complete(_))), "client: {client:?}, server: {server:?}");
}

/// proves: R-VT-10, R-VT-16, R-VT-31, R-VT-33, R-VT-50, R-VT-51
#[test]
fn files_come_whole_whatever_the_buffers() {
    for (input, output, most) in SHAPES {
        for size in SIZES {
            if most == 1 && size > 9000 {
                continue;
            }
            for block in [12, 16] {
                let mut shelf = Shelf::new();
                shelf.block = block;
                shelf.files.insert("f".into(), octets(size, 1));
                shelf.files.insert("g".into(), octets(10, 2));
                let mut pair = Pair::new(shelf, [get("f"), get("none"), get("g")]).buffers(input, output).most(most);
                complete(&mut pair);
                let got: Vec<_> = pair.desk.got.iter().map(|part| (&*part.name, &*part.octets)).collect();
                assert_eq!(got, [("f", &*octets(size, 1)), ("g", &*octets(10, 2))], "{size} {input} {output} {most}");
                assert_eq!(pair.desk.heard, ["Error { code: NotFound, text: \"no\" }"]);
                assert_eq!(verified(&pair.desk.got[0]), size as u64);
            }
        }
    }
}

fn verified(part: &Part) -> u64 {
    part.verified.iter().map(|&(_, len)| u64::from(len)).sum()
}

/// proves: R-VT-60, R-VT-61, R-VT-62, R-VT-63, R-VT-65
#[test]
fn files_go_whole_whatever_the_buffers() {
    for (input, output, most) in SHAPES {
        for size in SIZES {
            if most == 1 && size > 9000 {
                continue;
            }
            for block in [12, 16] {
                let inline = size <= 65_536 && size + 600 < output;
                let mut shelf = Shelf::new();
                shelf.block = block;
                let jobs =
                    [put("a", b"first", false), put("f", &octets(size, 1), inline), put("g", b"last", output > 600)];
                let mut pair = Pair::new(shelf, jobs).buffers(input, output).most(most);
                complete(&mut pair);
                let files: Vec<_> = pair.shelf.files.iter().map(|(name, octets)| (&**name, &**octets)).collect();
                let expected = [("a", &b"first"[..]), ("f", &*octets(size, 1)), ("g", b"last")];
                assert_eq!(files, expected, "{size} {input} {output} {most} {block}");
                let stored = pair.desk.heard.iter().filter(|heard| heard.starts_with("Stored")).count();
                assert_eq!(stored, 3, "{:?}", pair.desk.heard);
            }
        }
    }
}

/// proves: R-VT-12, R-VT-14
#[test]
fn many_small_files_are_pipelined_and_hashed_together() {
    let names: Vec<&'static str> = (0..300).map(|n| &*std::format!("{n:03}").leak()).collect();
    let mut shelf = Shelf::new();
    for (n, name) in names.iter().enumerate() {
        shelf.files.insert((*name).into(), octets(3700 + n, 3));
    }
    let files = shelf.files.clone();
    let mut pair = Pair::new(shelf, names.iter().map(|name| get(name)));
    complete(&mut pair);
    assert!(pair.desk.got.iter().map(|part| &part.octets).eq(files.values()));
    assert_eq!(pair.hashed.inputs, 300);
    assert!(pair.hashed.calls <= 25, "{} calls", pair.hashed.calls);

    let jobs = files.iter().zip(&names).map(|((_, octets), name)| put(name, octets, true));
    let mut pair = Pair::new(Shelf::new(), jobs);
    complete(&mut pair);
    assert_eq!(pair.shelf.files, files);
    assert!(pair.hashed.calls <= 40, "{} calls for {} blocks", pair.hashed.calls, pair.hashed.inputs);
}

/// proves: R-VT-15
#[test]
fn who_signs_in_is_known_and_nobody_else() {
    let account = |user, password| Credentials::Account { user, password };
    for (credentials, known) in [
        (account("alice", "pencil"), true),
        (account("alice", "pencils"), false),
        (account("alice", ""), false),
        (account("bob", "pencil"), false),
        (account("bob", "no"), false),
    ] {
        let mut shelf = Shelf::new();
        shelf.password = Some("pencil");
        shelf.guests = false;
        shelf.files.insert("f".into(), octets(10, 1));
        let mut pair = Pair::new(shelf, [get("f")]).buffers(516, 512).most(3);
        pair.credentials = credentials;
        let (client, server) = pair.run();
        assert_eq!(pair.shelf.signed_in.len(), 1);
        assert_eq!(pair.shelf.signed_in[0].1, known);
        assert!(matches!(server, Ok(Outcome::Complete(_))), "{server:?}");
        if known {
            assert!(matches!(client, Ok(Outcome::Complete(_))));
            assert_eq!(pair.desk.got.len(), 1);
        } else {
            assert_eq!(client, Ok(Outcome::Refused));
            assert_eq!(pair.desk.heard, ["Error { code: SignInFailed, text: \"wrong name or password\" }"]);
            assert!(pair.shelf.asked.is_empty());
        }
        let wire = String::from_utf8_lossy(&pair.up.log).into_owned();
        assert!(!wire.contains("pencil"), "the password does not cross the wire");
    }
    let mut shelf = Shelf::new();
    shelf.guests = false;
    let mut pair = Pair::new(shelf, [get("f")]);
    assert_eq!(pair.run().0, Ok(Outcome::Refused));
}

/// A server that knows nothing of the account cannot pretend to.
#[test]
fn a_server_has_to_prove_itself_too() {
    let mut shelf = Shelf::new();
    shelf.password = Some("pencil");
    let mut pair = Pair::new(shelf, [get("f")]);
    pair.credentials = Credentials::Account { user: "alice", password: "pencil" };
    let (_, _) = pair.run();
    let at = find(&pair.down.log, b"v=") + 5;
    let mut shelf = Shelf::new();
    shelf.password = Some("pencil");
    let mut pair = Pair::new(shelf, [get("f")]);
    pair.credentials = Credentials::Account { user: "alice", password: "pencil" };
    pair.down.flip = vec![at as u64];
    assert_eq!(pair.run().0, Err(ProtocolError::Unproven));
}

fn find(octets: &[u8], what: &[u8]) -> usize {
    octets.windows(what.len()).position(|window| window == what).expect("it is there")
}

/// proves: R-VT-53, R-VT-64
#[test]
fn a_damaged_block_comes_again_and_nothing_else() {
    let file = octets(300_000, 1);
    for (input, output) in [(516, 512), (70_000, 70_000), (600_000, 600_000)] {
        for flips in [&[40_000][..], &[100], &[299_000, 5000, 123_456]] {
            let mut shelf = Shelf::new();
            shelf.files.insert("f".into(), file.clone());
            let mut pair = Pair::new(shelf, [get("f")]).buffers(input, output);
            let clean = {
                let mut shelf = Shelf::new();
                shelf.files.insert("f".into(), file.clone());
                let mut pair = Pair::new(shelf, [get("f")]).buffers(input, output);
                complete(&mut pair);
                pair.down.moved
            };
            // Behind headers and digests.
            pair.down.flip = flips.iter().map(|at| at + 700).collect();
            complete(&mut pair);
            assert_eq!(pair.desk.got[0].octets, file);
            assert_eq!(pair.desk.repairs, flips.len());
            let more = pair.down.moved - clean;
            assert!(more < flips.len() as u64 * (4096 + 100), "{more} octets more for {} blocks", flips.len());

            let mut pair = Pair::new(Shelf::new(), [put("f", &file, false)]).buffers(input, output);
            pair.up.flip = flips.iter().map(|at| at + 700).collect();
            complete(&mut pair);
            assert_eq!(pair.shelf.files["f"], file);
            assert!(pair.up.moved < 300_000 + 300_000 / 16 + flips.len() as u64 * (4096 + 100));
        }
    }
}

/// A wire that spoils everything is given up, and no file gets its name.
#[test]
fn a_hopeless_wire_is_given_up() {
    let file = octets(300_000, 1);
    let flip: Vec<u64> = (0..400_000).filter(|at| at % 3000 == 1500).collect();
    let mut pair = Pair::new(Shelf::new(), [put("f", &file, false)]);
    pair.up.flip.clone_from(&flip);
    let _ = pair.run();
    assert!(pair.shelf.files.is_empty());
    assert!(pair.desk.heard.iter().any(|heard| heard.contains("DigestMismatch")), "{:?}", pair.desk.heard);

    let mut shelf = Shelf::new();
    shelf.files.insert("f".into(), file);
    let mut pair = Pair::new(shelf, [get("f")]);
    pair.down.flip = flip;
    let _ = pair.run();
    assert!(pair.desk.got.is_empty());
    assert!(pair.desk.heard.iter().any(|heard| heard.contains("DigestMismatch")), "{:?}", pair.desk.heard);
}

/// proves: R-VT-52, R-VT-61
#[test]
fn what_is_there_is_not_sent_again() {
    let file = octets(300_000, 1);
    let mut shelf = Shelf::new();
    shelf.files.insert("f".into(), file.clone());
    let mut pair = Pair::new(shelf, [Job::Get { path: "f", offset: 262_144, stamp: 7 }]);
    complete(&mut pair);
    assert_eq!(pair.desk.got[0].octets[262_144..], file[262_144..]);
    assert!(pair.desk.got[0].octets[..262_144].iter().all(|&octet| octet == 0xa5));
    assert!(pair.down.moved < 40_000);

    // The file is another one now: it comes from its start.
    let mut shelf = Shelf::new();
    shelf.files.insert("f".into(), file.clone());
    let mut pair = Pair::new(shelf, [Job::Get { path: "f", offset: 262_144, stamp: 8 }]);
    complete(&mut pair);
    assert_eq!(pair.desk.got[0].octets, file);

    for have in [262_144, 0] {
        let mut shelf = Shelf::new();
        shelf.have = Some(Part { octets: file[..have].to_vec(), ..Part::default() });
        let mut pair = Pair::new(shelf, [put("f", &file, false)]);
        complete(&mut pair);
        assert_eq!(pair.shelf.files["f"], file);
        assert!(pair.up.moved < (300_000 - have as u64) + 5000);
    }
    // Everything is there but the name.
    let mut shelf = Shelf::new();
    shelf.have = Some(Part { octets: file.clone(), ..Part::default() });
    let mut pair = Pair::new(shelf, [put("f", &file, false)]);
    complete(&mut pair);
    assert_eq!(pair.shelf.files["f"], file);
}

/// proves: R-VT-40, R-VT-60, R-VT-66, R-VT-73
#[test]
fn answers_come_in_order_and_refusals_cost_nothing() {
    let mut shelf = Shelf::new();
    for name in ["x", "y", "z"] {
        shelf.files.insert(name.into(), octets(3, 1));
    }
    let jobs = [
        Job::Other(Request::List { path: "", cursor: 0 }),
        put("forbidden", &octets(50_000, 1), true),
        put("forbidden", &octets(200_000, 1), false),
        Job::Other(Request::Sum { path: "x" }),
        Job::Other(Request::Remove { path: "x" }),
        Job::Other(Request::Remove { path: "x" }),
        Job::Other(Request::Time),
        Job::Other(Request::Space),
    ];
    let mut pair = Pair::new(shelf, jobs);
    complete(&mut pair);
    let starts = [
        "Entry(Entry { name: \"x\"",
        "Entry(Entry { name: \"y\"",
        "Entry(Entry { name: \"z\"",
        "End",
        "Error { code: Forbidden",
        "Error { code: Forbidden",
        "Sum",
        "Done",
        "Error { code: NotFound",
        "Time(5)",
        "Error { code: Unsupported",
    ];
    assert_eq!(pair.desk.heard.len(), starts.len(), "{:?}", pair.desk.heard);
    for (heard, start) in pair.desk.heard.iter().zip(starts) {
        assert!(heard.starts_with(start), "{heard} is not {start}");
    }
    assert!(pair.up.moved < 52_000, "the large file was not sent");
}

#[test]
fn a_full_disk_is_told_and_ends_only_the_file() {
    for inline in [true, false] {
        let mut shelf = Shelf::new();
        shelf.full_after = Some(10_000);
        let jobs = [put("f", &octets(60_000, 1), inline), put("g", b"small", true)];
        let mut pair = Pair::new(shelf, jobs);
        complete(&mut pair);
        assert!(pair.desk.heard.iter().any(|heard| heard.contains("NoSpace")));
        assert_eq!(pair.shelf.files.keys().collect::<Vec<_>>(), ["g"]);
    }
}

/// proves: R-VT-51
#[test]
fn a_file_that_changes_under_our_hands_is_not_sent_to_its_end() {
    for (shrink_to, changed) in [(Some(100), false), (Some(80_000), false), (None, true)] {
        let mut shelf = Shelf::new();
        shelf.files.insert("f".into(), octets(200_000, 1));
        shelf.files.insert("g".into(), octets(10, 1));
        (shelf.shrink_to, shelf.changed) = (shrink_to, changed);
        let mut pair = Pair::new(shelf, [get("f"), Job::Other(Request::Time)]).buffers(20_000, 20_000);
        complete(&mut pair);
        assert!(pair.desk.got.is_empty());
        assert!(
            pair.desk.heard[0].contains("DigestMismatch") && pair.desk.heard[1].contains("Time"),
            "{:?}",
            pair.desk.heard
        );
    }
    for (inline, size) in [(true, 50_000), (false, 200_000)] {
        let jobs = [put("f", &octets(size, 1), inline), Job::Other(Request::Time)];
        let mut pair = Pair::new(Shelf::new(), jobs);
        pair.desk.shrink_to = Some(size - 1);
        complete(&mut pair);
        assert!(pair.shelf.files.is_empty());
        assert!(
            pair.desk.heard[0].starts_with(if inline { "unsent Internal" } else { "Ready" }),
            "{:?}",
            pair.desk.heard
        );
        assert!(pair.desk.heard.last().unwrap().contains("Time"));
    }
}

#[test]
fn a_client_that_wants_a_file_no_more_passes_over_it() {
    let mut shelf = Shelf::new();
    shelf.files.insert("f".into(), octets(200_000, 1));
    let mut pair = Pair::new(shelf, [get("f"), Job::Other(Request::Time)]).buffers(20_000, 20_000);
    pair.desk.refuse_files = true;
    complete(&mut pair);
    assert_eq!(pair.desk.heard, ["refused 200000", "Time(5)"]);
}

/// Even behind answers that have not left, and with the smallest buffers.
#[test]
fn a_file_that_shrinks_is_told_however_little_room_there_is() {
    for answers in 0..14 {
        let mut shelf = Shelf::new();
        shelf.files.insert("f".into(), octets(40, 1));
        shelf.shrink_to = Some(7);
        let time = peer::say(&Request::Stat { path: "" }).repeat(answers);
        let get = Get { path: "f", offset: 0, length: 40, block: 12, stamp: 0 };
        let said = [peer::come_in(), time, peer::say(&Request::Get(get)), peer::say(&Request::Bye)];
        let heard = peer::Script::new(&said.concat()).serve(&mut shelf);
        assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?}", heard.ending);
        let replies = heard.replies();
        assert!(replies[2 + answers].starts_with("File"), "{replies:?}");
        assert!(replies[3 + answers].starts_with("Error { code: DigestMismatch"), "{replies:?}");
        assert_eq!((replies[4 + answers].as_str(), replies.len()), ("Done", 5 + answers));
    }
}

/// Texts of the store may be long, and end within a character.
#[test]
fn error_texts_are_clipped_between_characters() {
    assert_eq!(super::clipped("no", 200), "no");
    assert_eq!(super::clipped(&"x".repeat(300), 200).len(), 200);
    assert_eq!(super::clipped(&"é".repeat(300), 199).len(), 198);
    assert_eq!(super::clipped("é", 1), "");
}
