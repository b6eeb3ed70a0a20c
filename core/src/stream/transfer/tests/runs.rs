//! How long runs may be, and to whom.

use std::vec::Vec;

use super::peer::{Script, down, hello, say, up};
use super::stores::{Desk, Shelf, get};
use super::{octets, put};
use crate::digest::{BlockDigest, Digest};
use crate::stream::{Outcome, ProtocolError};
use crate::wire::transfer::{Data, File, Get, Hello, LENGTH, Put, Reply, Request, body_len, decode};

const BLOCK: usize = 4096;

/// Blocks of the file that travels: two long runs and a bit.
const BLOCKS: usize = 70;

/// Room for it in one piece.
const BUFFER: usize = BLOCKS * (BLOCK + 16) + 1000;

fn features(features: u64) -> Hello<'static> {
    Hello { features, ..hello(1) }
}

/// proves: R-VT-11, R-VT-33
#[test]
fn a_server_sends_long_runs_to_those_who_take_them() {
    let file = octets(BLOCKS * BLOCK, 1);
    for (known, most) in [(0, 16), (1, 32), (u64::MAX, 32), (u64::MAX - 1, 16)] {
        let mut shelf = Shelf::new();
        shelf.files.insert("f".into(), file.clone());
        let whole = Get { path: "f", offset: 0, length: u64::MAX, block: 12, stamp: 0 };
        let said = [&Request::Hello(features(known)), &Request::Guest, &Request::Get(whole)].map(say).concat();
        let heard = Script::new(&said).buffers(BUFFER, BUFFER).serve(&mut shelf);
        let runs = heard.replies().into_iter().filter(|reply| reply.starts_with("Data")).collect::<Vec<_>>();
        let first = std::format!("Data(Data {{ at: 0, len: {} }})", most * BLOCK);
        assert_eq!((runs.len(), &runs[0]), (BLOCKS.div_ceil(most), &first), "{known}");
    }
}

/// proves: R-VT-11, R-VT-33
#[test]
fn a_client_sends_long_runs_to_those_who_take_them() {
    let file = octets(BLOCKS * BLOCK, 1);
    for (known, most) in [(0, 16), (1, 32), (u64::MAX - 1, 16)] {
        let let_in = [&Reply::Hello(features(known)), &Reply::Done].map(say).concat();
        let script = Script::new(&let_in).then(1, &say(&Reply::Ready { block: 12, offset: 0 }));
        let heard = script.buffers(BUFFER, BUFFER).fetch(&mut Desk::with([put("f", &file, false)]));
        assert_eq!(runs(&heard.said), [most, most].map(|blocks| blocks * BLOCK), "{known}");
    }
}

/// The lengths of the first two runs that a client sent.
fn runs(mut said: &[u8]) -> Vec<usize> {
    let mut runs = Vec::new();
    while runs.len() < 2 {
        let (length, rest) = said.split_first_chunk::<LENGTH>().unwrap();
        let (header, rest) = rest.split_at(usize::try_from(u32::from_le_bytes(*length)).unwrap());
        said = rest;
        if let Ok(Request::Data(Data { len, .. })) = decode(header) {
            runs.push(usize::try_from(len).unwrap());
            said = &said[usize::try_from(body_len(len, 4096)).unwrap()..];
        }
    }
    runs
}

/// Taken from everybody, also from those who do not say what they know.
///
/// proves: R-VT-33
#[test]
fn long_runs_are_taken_and_longer_ones_are_not() {
    for (blocks, taken) in [(17, true), (32, true), (33, false), (64, false)] {
        let file = octets(blocks * BLOCK, 1);
        let size = file.len() as u64;
        let mut digest = BlockDigest::new();
        file.chunks(BLOCK).for_each(|block| digest.push(&Digest::of(block)));
        let digest = digest.finish();
        let put = Put { path: "f", size, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline: false };
        let said = [&Request::Hello(hello(1)), &Request::Guest, &Request::Put(put)].map(say).concat();
        for buffer in [600, 5000, BUFFER] {
            let mut shelf = Shelf::new();
            let said = [&*said, &up(0, &file), &say(&Request::Finish { digest })].concat();
            let replies = Script::new(&said).buffers(buffer, buffer).serve(&mut shelf).replies();
            let start = if taken { "Stored" } else { "Error { code: BadRequest" };
            assert!(replies[3].starts_with(start), "{blocks} {buffer} {replies:?}");
            assert_eq!(shelf.files.get("f"), taken.then_some(&file));

            let head = File { size, mtime: None, mode: None, stamp: 7, block: 12, offset: 0, length: size };
            let let_in = [&Reply::Hello(hello(1)), &Reply::Done].map(say).concat();
            let script = Script::new(&let_in).then(1, &say(&Reply::File(head))).then(1, &down(0, &file));
            let mut desk = Desk::with([get("f")]);
            let heard = script.then(1, &say(&Reply::Done)).buffers(buffer, buffer).fetch(&mut desk);
            if taken {
                assert!(matches!(heard.ending, Ok(Outcome::Complete(_))), "{blocks} {buffer} {:?}", heard.ending);
                assert_eq!(desk.got[0].octets, file);
            } else {
                assert!(matches!(heard.ending, Err(ProtocolError::Malformed(_))), "{blocks} {buffer}");
            }
        }
    }
}
