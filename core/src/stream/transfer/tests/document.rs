//! The example in `docs/protocol/transfer.md`, made anew.

use std::fmt::Write as _;
use std::format;
use std::string::String;

use super::pair::Pair;
use super::stores::{Shelf, get};
use super::{complete, put};
use crate::stream::transfer::Credentials;
use crate::wire::transfer::{LENGTH, Reply, Request, block_len, body_len, decode};

const DOCUMENT: &str = include_str!("../../../../../docs/protocol/transfer.md");

/// How many octets of body belong to a request, and what it is.
fn request(header: &[u8]) -> (u64, String) {
    let request: Request<'_> = decode(header).unwrap();
    let body = match request {
        Request::Put(put) => body_len(u32::try_from(put.size).unwrap(), block_len(put.block).unwrap()),
        _ => 0,
    };
    (body, format!("{request:?}"))
}

fn reply(header: &[u8]) -> (u64, String) {
    let reply: Reply<'_> = decode(header).unwrap();
    let body = match reply {
        Reply::Data(data) => body_len(data.len, 4096),
        _ => 0,
    };
    (body, format!("{reply:?}"))
}

fn octets(text: &mut String, who: char, octets: &[u8]) {
    for line in octets.chunks(32) {
        let hex: String = line.iter().map(|octet| format!(" {octet:02x}")).collect();
        writeln!(text, "{who}{hex}").unwrap();
    }
}

/// Takes a message off the front of `said`, and writes it down.
fn message(text: &mut String, who: char, said: &mut &[u8], of: fn(&[u8]) -> (u64, String)) {
    let (length, rest) = said.split_first_chunk::<LENGTH>().unwrap();
    let (header, rest) = rest.split_at(usize::try_from(u32::from_le_bytes(*length)).unwrap());
    let (body, words) = of(header);
    let (body, rest) = rest.split_at(usize::try_from(body).unwrap());
    writeln!(text, "# {words}").unwrap();
    octets(text, who, &[length, header].concat());
    if !body.is_empty() {
        writeln!(text, "# its body: the MD5 of {} octets, and these", body.len() - 16).unwrap();
        octets(text, who, body);
    }
    *said = rest;
}

/// proves: R-VT-1, R-VT-4, R-VT-32
#[test]
fn the_document_has_the_octets_of_the_code() {
    let mut shelf = Shelf::new();
    shelf.password = Some("pencil");
    shelf.files.insert("b".into(), b"hello\n".to_vec());
    let mut pair = Pair::new(shelf, [put("a", b"hi\n", true), get("b")]);
    pair.credentials = Credentials::Account { user: "alice", password: "pencil" };
    complete(&mut pair);

    let (mut up, mut down) = (&*pair.up.log, &*pair.down.log);
    let mut text = String::from("```text\n");
    for (requests, replies) in [(2, 2), (1, 1), (2, 3), (1, 1)] {
        for _ in 0..requests {
            message(&mut text, 'C', &mut up, request);
        }
        for _ in 0..replies {
            message(&mut text, 'S', &mut down, reply);
        }
    }
    text.push_str("```\n");
    assert!(up.is_empty() && down.is_empty());
    assert!(DOCUMENT.ends_with(&text), "docs/protocol/transfer.md has to end with:\n{text}");
}
