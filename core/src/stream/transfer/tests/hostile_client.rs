//! The server against clients that do not keep the rules.

use std::string::String;
use std::vec;
use std::vec::Vec;

use super::octets;
use super::peer::{Script, announce, body, come_in, hello, say, up};
use super::stores::Shelf;
use crate::digest::Digest;
use crate::stream::Outcome;
use crate::wire::transfer::{Data, Hello, Put, Request};

const SHAPES: [(usize, usize); 2] = [(516, 512), (70_000, 70_000)];

/// What a server answers to `said`, after which the client closes. It must end orderly.
#[track_caller]
fn answers(shelf: &mut Shelf, said: &[&[u8]]) -> Vec<String> {
    let script = Script::new(&said.concat());
    let heard = script.serve(shelf);
    assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{:?} {:?}", heard.ending, heard.replies());
    heard.replies()
}

/// As [`answers`], behind a sign-in as guest; without the answers to that. Checked with small and large buffers.
#[track_caller]
fn answers_to_guest(said: &[&[u8]]) -> Vec<String> {
    let start = come_in();
    let all = [&[&*start], said].concat();
    let answers = answers(&mut Shelf::new(), &all);
    let mut large = Shelf::new();
    let script = Script::new(&all.concat()).buffers(70_000, 70_000);
    assert_eq!(script.serve(&mut large).replies(), answers);
    assert!(large.files.is_empty());
    assert!(answers.len() >= 2 && answers[0].starts_with("Hello") && answers[1] == "Done", "{answers:?}");
    answers[2..].to_vec()
}

#[track_caller]
fn assert_starts(answers: &[String], starts: &[&str]) {
    let right = answers.len() == starts.len() && answers.iter().zip(starts).all(|(one, start)| one.starts_with(start));
    assert!(right, "{answers:#?} instead of {starts:?}");
}

const BAD: &str = "Error { code: BadRequest";

fn put(size: u64, inline: bool) -> Put<'static> {
    Put { path: "f", size, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline }
}

fn finish(octets: &[u8]) -> Vec<u8> {
    let blocks: Vec<u8> = octets.chunks(4096).flat_map(|block| Digest::of(block).0).collect();
    let digest = if octets.len() > 4096 { Digest::of(&blocks) } else { Digest::of(octets) };
    say(&Request::Finish { digest })
}

/// proves: R-VT-10, R-VT-11, R-VT-15, R-VT-16
#[test]
fn nothing_is_done_before_the_sign_in() {
    let hi = say(&Request::Hello(hello(1)));
    let first = say(&Request::SignIn { message: "n,,n=alice,r=nonce" });
    let proof = say(&Request::Proof { message: "c=biws,r=nonce,p=AAAA" });
    let guest = say(&Request::Guest);
    let time = say(&Request::Time);
    let bye = say(&Request::Bye);
    for (said, starts) in [
        (vec![], vec![]),
        (vec![&time], vec![BAD]),
        (vec![&bye], vec![BAD]),
        (vec![&guest, &hi], vec![BAD]),
        (vec![&first, &hi], vec![BAD]),
        (vec![&hi, &time, &guest], vec!["Hello", "Error { code: SignInRequired"]),
        (vec![&hi, &hi, &guest], vec!["Hello", "Error { code: SignInRequired"]),
        (vec![&hi, &proof], vec!["Hello", BAD]),
        (vec![&hi, &bye, &time], vec!["Hello", "Done"]),
        // A nonce is good for one exchange.
        (vec![&hi, &first, &first, &guest], vec!["Hello", "SignIn", BAD]),
        (vec![&hi, &first, &proof, &guest], vec!["Hello", "SignIn", "Error { code: SignInFailed"]),
        (vec![&hi, &guest, &hi, &time], vec!["Hello", "Done", BAD]),
        (vec![&hi, &guest, &guest, &time], vec!["Hello", "Done", BAD]),
        (vec![&hi, &guest, &first, &time], vec!["Hello", "Done", BAD]),
        (vec![&hi, &guest, &proof, &time], vec!["Hello", "Done", BAD]),
    ] {
        let mut shelf = Shelf::new();
        shelf.password = Some("pencil");
        let said: Vec<&[u8]> = said.into_iter().map(|message| &**message).collect();
        assert_starts(&answers(&mut shelf, &said), &starts);
        assert!(shelf.asked.is_empty(), "{:?}", shelf.asked);
    }
    for (version, starts) in [(0, BAD), (2, "Hello(Hello { version: 1,"), (255, "Hello(Hello { version: 1,")] {
        assert_starts(&answers(&mut Shelf::new(), &[&say(&Request::Hello(hello(version)))]), &[starts]);
    }
    let new = Hello { features: u64::MAX, ..hello(1) };
    assert_starts(&answers(&mut Shelf::new(), &[&say(&Request::Hello(new)), &guest]), &["Hello", "Done"]);
    let mut shelf = Shelf::new();
    shelf.guests = false;
    assert_starts(&answers(&mut shelf, &[&hi, &guest, &guest]), &["Hello", "Error { code: SignInRequired"]);
}

/// proves: R-VT-2, R-VT-3, R-VT-5, R-VT-6
#[test]
fn headers_that_are_none() {
    let too_large = ["Error { code: TooLarge"];
    for length in [0, -1, i32::MIN, i32::MAX, 513, 0x2065_6c70] {
        assert_starts(&answers_to_guest(&[&length.to_le_bytes(), &say(&Request::Time)]), &too_large);
    }
    assert_starts(&answers_to_guest(&[b"GET / HTTP/1.1\r\n\r\n"]), &too_large);
    for header in
        [&b"\x12"[..], b"{\"cmd\": \"put\"}", b"\x7a", b"\x80\x01", b"\xff\xff\xff\xff\xff\x7f", b"\x05\x09short"]
    {
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        assert_starts(&answers_to_guest(&[&length, header, &say(&Request::Time)]), &["Error { code: Unsupported"]);
    }
    // Fields that a later version appends are passed over.
    let mut longer = say(&Request::Time);
    longer[0] += 3;
    assert_starts(&answers_to_guest(&[&longer, b"new", &say(&Request::Time)]), &["Time", "Time"]);
    // The longest header there may be, and one that is as long as the buffer.
    let path = "x".repeat(509);
    let longest = say(&Request::Stat { path: &path });
    assert_eq!(longest.len(), 516);
    assert_starts(&answers_to_guest(&[&longest, &longest, &say(&Request::Time)]), &["Error", "Error", "Time"]);
}

/// proves: R-VT-33, R-VT-60, R-VT-66
#[test]
fn runs_that_are_not_due_fail_the_file_and_nothing_else() {
    let file = octets(10_000, 1);
    let (first, rest) = file.split_at(8192);
    let time = say(&Request::Time);
    let end = finish(&file);
    for wrong in [
        up(4096, &first[..4096]),
        up(0, &first[..4095]),
        up(1, first),
        up(0, &[]),
        up(0, &octets(12_288, 2)),
        up(u64::MAX, first),
        up(8192, rest),
        say(&Request::Data(Data { at: 0, len: 0 })),
        up(0, &octets(17 * 4096, 2)),
    ] {
        let answers = answers_to_guest(&[&announce(10_000), &wrong, &up(0, first), &end, &time]);
        assert_starts(&answers, &["Ready", BAD, "Time"]);
    }
    let announced = announce(10_000);
    for wrong in [up(0, first), up(10_000, &file[..1]), up(8192, rest)] {
        let answers = answers_to_guest(&[&announced, &up(0, first), &up(8192, rest), &wrong, &end, &time]);
        assert_starts(&answers, &["Ready", BAD, "Time"]);
    }
    // A run that claims gigabytes is passed over as far as it comes.
    let claim = say(&Request::Data(Data { at: 0, len: u32::MAX }));
    let heard = Script::new(&[come_in(), announced.clone(), claim, vec![7; 300_000]].concat()).serve(&mut Shelf::new());
    assert!(heard.ending.is_err());
    // The end comes too early, twice, or without a beginning.
    assert_starts(&answers_to_guest(&[&announced, &end, &time]), &["Ready", BAD, "Time"]);
    assert_starts(&answers_to_guest(&[&announced, &up(0, first), &end, &time]), &["Ready", BAD, "Time"]);
    assert_starts(&answers_to_guest(&[&end, &time]), &[BAD]);
    assert_starts(&answers_to_guest(&[&up(0, first), &time]), &[BAD]);
    assert_starts(&answers_to_guest(&[&announced, &announced]), &["Ready", BAD]);
    assert_starts(&answers_to_guest(&[&announced, &up(0, first), &time, &up(8192, rest)]), &["Ready", BAD]);
}

/// proves: R-VT-63, R-VT-64, R-VT-65
#[test]
fn damaged_blocks_have_to_come_as_they_were_asked_for() {
    let file = octets(10_000, 1);
    let (first, rest) = file.split_at(8192);
    let mut damaged = up(0, first);
    let at = damaged.len() - 5000;
    damaged[at] ^= 1;
    let (announced, end, time) = (announce(10_000), finish(&file), say(&Request::Time));
    let said = |more: &[&[u8]]| {
        let start: [&[u8]; 4] = [&announced, &damaged, &up(8192, rest), &end];
        answers_to_guest_storing(&[&start, more].concat())
    };
    let asked = "Repair { at: 0, len: 4096 }";
    assert_starts(&said(&[&up(0, &first[..4096]), &end, &time]), &["Ready", asked, "Stored", "Time"]);
    assert_starts(&said(&[&end, &time]), &["Ready", asked, BAD, "Time"]);
    for wrong in [up(4096, &first[4096..]), up(0, first), up(0, &first[..4095])] {
        assert_starts(&said(&[&wrong, &end, &time]), &["Ready", asked, BAD, "Time"]);
    }
    // It is damaged again.
    let again = [say(&Request::Data(Data { at: 0, len: 4096 })), vec![0; 4096 + 16]].concat();
    assert_starts(&said(&[&again, &end, &again, &end]), &["Ready", asked, asked, asked]);
    // All blocks are right, and yet it is not what was meant.
    let other = finish(b"other");
    let said: [&[u8]; 5] = [&announced, &up(0, first), &up(8192, rest), &other, &time];
    assert_starts(&answers_to_guest(&said), &["Ready", "Error { code: DigestMismatch", "Time"]);
}

/// As [`answers_to_guest`], of files that may be stored.
#[track_caller]
fn answers_to_guest_storing(said: &[&[u8]]) -> Vec<String> {
    let script = Script::new(&[&come_in(), &*said.concat()].concat());
    script.serve(&mut Shelf::new()).replies()[2..].to_vec()
}

/// proves: R-VT-62
#[test]
fn a_file_that_comes_along_is_one_block() {
    let time = say(&Request::Time);
    for wrong in [
        put(4097, true),
        put(1 << 32, true),
        put(u64::MAX, true),
        Put { block: 0, ..put(1, true) },
        Put { block: 11, ..put(1, true) },
        Put { block: 21, ..put(1, true) },
        Put { block: 255, ..put(1, true) },
    ] {
        assert_starts(&answers_to_guest(&[&say(&Request::Put(wrong)), &time]), &[BAD]);
    }
    let file = octets(4096, 1);
    let small = say(&Request::Put(put(4096, true)));
    let forbidden = say(&Request::Put(Put { path: "forbidden", ..put(4096, true) }));
    let along = body(&file, 4096);
    assert_starts(&answers_to_guest(&[&forbidden, &along, &time]), &["Error { code: Forbidden", "Time"]);
    let mut damaged = along.clone();
    damaged[4100] ^= 0x80;
    assert_starts(&answers_to_guest(&[&small, &damaged, &time]), &["Error { code: DigestMismatch", "Time"]);
    // Nothing can follow it.
    let said = [&small, &*along, &up(0, &file)];
    assert_starts(&answers_to_guest_storing(&said), &["Stored", BAD]);
    // A store that says that it has a part of it is not believed.
    let mut shelf = Shelf::new();
    shelf.have = Some(super::stores::Part { octets: vec![0xa5; 4096], ..Default::default() });
    let heard = Script::new(&[come_in(), small, along, time].concat()).serve(&mut shelf);
    assert_starts(&heard.replies()[2..], &["Stored", "Time"]);
    assert_eq!(shelf.files["f"], file);
}

/// A session that serves everything, and what a client says in it.
fn transcript() -> (Vec<u8>, Vec<(&'static str, Vec<u8>)>) {
    let (small, large) = (octets(30, 1), octets(4500, 2));
    let said = [
        come_in(),
        say(&Request::List { path: "", cursor: 0 }),
        say(&Request::Put(Put { path: "small", ..put(30, true) })),
        body(&small, 4096),
        say(&Request::Put(Put { path: "large", ..put(4500, false) })),
        up(0, &large[..4096]),
        up(4096, &large[4096..]),
        finish(&large),
        say(&Request::Get(crate::wire::transfer::Get { path: "old", offset: 0, length: 9, block: 12, stamp: 0 })),
        say(&Request::Sum { path: "old" }),
        say(&Request::Bye),
    ];
    (said.concat(), vec![("large", large), ("old", octets(5000, 3)), ("small", small)])
}

fn shelf_with_old() -> Shelf {
    let mut shelf = Shelf::new();
    shelf.files.insert("old".into(), octets(5000, 3));
    shelf
}

#[track_caller]
fn assert_whole(shelf: &Shelf, known: &[(&str, Vec<u8>)]) {
    for octets in shelf.files.values() {
        assert!(known.iter().any(|(_, whole)| whole == octets), "a file is there that nobody sent");
    }
}

/// proves: R-VT-65
#[test]
fn a_client_that_breaks_off_anywhere_leaves_no_half_files() {
    let (said, known) = transcript();
    for (input, output) in SHAPES {
        let whole = Script::new(&said).buffers(input, output).serve(&mut shelf_with_old());
        assert!(matches!(whole.ending, Ok(Outcome::Complete(_))));
        for cut in 0..said.len() {
            // In the midst of large bodies every place is as good as the next.
            if (cut > 300 && cut < 4200 && cut % 97 != 0) || (input > 516 && cut % 5 != 0) {
                continue;
            }
            let mut shelf = shelf_with_old();
            let heard = Script::new(&said[..cut]).buffers(input, output).serve(&mut shelf);
            assert_whole(&shelf, &known);
            assert!(whole.said.starts_with(&heard.said), "at {cut}");
            let mut shelf = shelf_with_old();
            let silent = Script::new(&said[..cut]).silent().buffers(input, output).serve(&mut shelf);
            assert_whole(&shelf, &known);
            assert!(silent.said.starts_with(&heard.said), "at {cut}");
            assert!(silent.replies().last().unwrap().contains("Timeout"), "at {cut}: {:?}", silent.replies());
            // Cut in two, and an octet at a time, it is the same.
            let two = Script::new(&said[..cut]).then(1, &said[cut..]).buffers(input, output);
            assert_eq!(two.serve(&mut shelf_with_old()).said, whole.said, "cut at {cut}");
        }
        for most in [1, 7] {
            let pieces = Script::new(&said).most(most).buffers(input, output);
            let mut shelf = shelf_with_old();
            assert_eq!(pieces.serve(&mut shelf), whole);
            assert_eq!(shelf.files.len(), 3);
        }
    }
}

/// proves: R-VT-31, R-VT-65
#[test]
fn an_octet_that_arrives_as_another_spoils_no_file() {
    let (said, known) = transcript();
    for (at, bit) in (0..said.len()).filter(|at| at % 7 == 0 || *at < 700).map(|at| (at, 1 << (at % 8))) {
        let mut said = said.clone();
        said[at] ^= bit;
        let mut shelf = shelf_with_old();
        // How it ends depends on what was hit; that it ends, and with whole files, does not.
        let _ = Script::new(&said).serve(&mut shelf);
        assert_whole(&shelf, &known);
    }
}
