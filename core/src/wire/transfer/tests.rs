//! Headers out and in, and what is refused.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::digest::Digest;
use crate::wire::{BufferTooSmall, Field, ParseError};

fn out(header: &impl serde::Serialize) -> Vec<u8> {
    let mut buffer = vec![0xa5; 600];
    let len = encode(header, &mut buffer).unwrap();
    let mut theirs = [0; 600];
    assert_eq!(buffer[LENGTH..len], *postcard::to_slice(header, &mut theirs).unwrap(), "what postcard makes of it");
    assert!(buffer[len..].iter().all(|&octet| octet == 0xa5));
    buffer.truncate(len);
    let mut exact = vec![0xa5; len];
    assert_eq!(encode(header, &mut exact), Ok(len));
    assert_eq!(exact, buffer);
    for short in 0..len {
        assert_eq!(encode(header, &mut exact[..short]), Err(BufferTooSmall { needed: len }));
    }
    buffer
}

/// proves: R-VT-1, R-VT-4
#[test]
fn the_octets_are_these() {
    let hello = Hello { version: 1, features: 0, max_header: 512, window: 300, max_block: 12, software: "x" };
    assert_eq!(out(&Request::Hello(hello)), b"\x0a\0\0\0\x00\x01\x00\x80\x04\xac\x02\x0c\x01x");
    assert_eq!(out(&Request::Stat { path: "a/b" }), b"\x05\0\0\0\x05\x03a/b");
    let get = Get { path: "f", offset: 65536, length: u64::MAX, block: 16, stamp: 7 };
    let octets = b"\x12\0\0\0\x06\x01f\x80\x80\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x07";
    assert_eq!(out(&Request::Get(get)), octets);
    assert_eq!(out(&Reply::Data(Data { at: 0, len: 128 })), b"\x04\0\0\0\x08\x00\x80\x01");
    assert_eq!(out(&Reply::Error { code: ErrorCode::NotFound, text: "no" }), b"\x05\0\0\0\x02\x05\x02no");
    assert_eq!(out(&Reply::Time(-1)), b"\x02\0\0\0\x0e\x01");
    assert_eq!(out(&Request::Finish { digest: Digest([7; 16]) })[..6], *b"\x11\0\0\0\x09\x07");
}

/// proves: R-VT-4
#[test]
fn everything_comes_back() {
    let entry = Entry { name: "飞鸽", kind: EntryKind::Folder, size: 0, mtime: Some(-5), mode: Some(0o755) };
    let put = Put {
        path: "x",
        size: u64::MAX,
        mtime: None,
        mode: Some(0o644),
        stamp: 1,
        block: 16,
        replace: true,
        inline: false,
    };
    let file = File { size: 1, mtime: Some(i64::MAX), mode: None, stamp: 9, block: 12, offset: 0, length: 1 };
    let requests = [
        Request::SignIn { message: "n,,n=user" },
        Request::Guest,
        Request::List { path: "", cursor: 3 },
        Request::Put(put),
        Request::Data(Data { at: 1 << 40, len: 5 }),
        Request::MakeDir { path: "d", parents: true },
        Request::Rename { from: "a", to: "b", replace: false },
        Request::Space,
        Request::Sum { path: "f" },
        Request::Time,
        Request::Bye,
    ];
    for request in requests {
        let octets = out(&request);
        assert_eq!(decode::<Request<'_>>(&octets[LENGTH..]), Ok(request));
        // A later version may append fields.
        assert_eq!(decode::<Request<'_>>(&[&octets[LENGTH..], b"more"].concat()), Ok(request));
        assert!(octets[LENGTH] < b'{');
    }
    let replies = [
        Reply::Entry(entry),
        Reply::Stat(entry),
        Reply::File(file),
        Reply::Ready { offset: 4096, block: 12 },
        Reply::Repair { at: 0, len: 4096 },
        Reply::Stored { digest: Digest::of(b"") },
        Reply::Space { used: 1, quota: Some(2), free: None },
        Reply::Sum { md5: Digest::of(b"x"), size: 1 },
        Reply::Working,
    ];
    for reply in replies {
        let octets = out(&reply);
        assert_eq!(decode::<Reply<'_>>(&octets[LENGTH..]), Ok(reply));
        for short in LENGTH..octets.len() {
            assert!(decode::<Reply<'_>>(&octets[LENGTH..short]).is_err());
        }
    }
}

/// proves: R-VT-2, R-VT-3
#[test]
fn lengths_are_bounded_before_they_are_believed() {
    assert_eq!(prefix(b"\x05\0\0", 512), Ok(Prefix::More));
    assert_eq!(prefix(b"\x05\0\0\0", 512), Ok(Prefix::Header(5)));
    assert_eq!(prefix(b"\x00\x02\0\0rest", 512), Ok(Prefix::Header(512)));
    for (octets, error) in [
        (b"\x01\x02\0\0", ParseError::too_large(Field::HeaderLength)),
        (b"\0\0\0\0", ParseError::malformed(Field::HeaderLength)),
        (b"\xff\xff\xff\x7f", ParseError::too_large(Field::HeaderLength)),
        (b"\xff\xff\xff\xff", ParseError::too_large(Field::HeaderLength)),
        (b"GET ", ParseError::too_large(Field::HeaderLength)),
    ] {
        assert_eq!(prefix(octets, 512), Err(error));
    }
    let malformed = Err(ParseError::malformed(Field::Header));
    for header in [&b""[..], b"\x7b", b"\xff\xff\xff\xff\xff\xff", b"\x05\x05abc", b"\x05\x02\xff\xfe"] {
        assert_eq!(decode::<Request<'_>>(header), malformed);
    }
}

/// proves: R-VT-20
#[test]
fn paths_stay_below_the_home() {
    for (text, expected) in
        [("", ""), ("/", ""), ("//", ""), ("a", "a"), ("/a/b c/飞鸽.txt/", "a/b c/飞鸽.txt"), (".x", ".x")]
    {
        assert_eq!(Path::parse(text).map(Path::as_str), Ok(expected), "{text}");
    }
    let deep = ["d"; Path::DEPTH].join("/");
    assert!(Path::parse(&deep).is_ok());
    let too_deep = std::format!("{deep}/d");
    let long = "x".repeat(256);
    for text in [
        "..",
        "a/../b",
        ".",
        "a/./b",
        "a//b",
        "a\\b",
        "C:",
        "C:/x",
        "a\0b",
        "a\nb",
        "a\u{202e}b",
        "con",
        "NUL.txt",
        "a.",
        "a ",
        &too_deep,
        &long,
    ] {
        assert_eq!(Path::parse(text), Err(BadPath), "{text:?}");
    }
    let path = Path::parse("a/b/c").unwrap();
    assert_eq!(path.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(path.split().map(|(folder, name)| (folder.as_str(), name)), Some(("a/b", "c")));
    assert_eq!(Path::parse("a").unwrap().split(), Some((Path::ROOT, "a")));
    assert_eq!(Path::ROOT.split(), None);
    assert_eq!(Path::ROOT.names().count(), 0);
}

/// proves: R-VT-30, R-VT-31
#[test]
fn blocks_and_bodies() {
    assert_eq!(block_len(12), Some(4096));
    assert_eq!(block_len(20), Some(1 << 20));
    assert_eq!((block_len(11), block_len(21), block_len(255)), (None, None, None));
    assert_eq!(body_len(0, 4096), 0);
    assert_eq!(body_len(1, 4096), 17);
    assert_eq!(body_len(4096, 4096), 4112);
    assert_eq!(body_len(4097, 4096), 4129);
    assert_eq!(body_len(u32::MAX, 4096), 0xffff_ffff + 16 * (1 << 20));
}
