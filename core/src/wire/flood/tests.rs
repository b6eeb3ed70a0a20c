use core::net::{Ipv4Addr, SocketAddrV4};
use std::string::{String, ToString};
use std::vec::Vec;

use super::classic::{self, Found, Get, Program, Request, Tag, Text};
use super::*;
use crate::digest::Digest;
use crate::wire::transfer::EntryKind;

fn at(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn messages() -> Vec<Message<'static>> {
    let id = QueryId::new(0x0123_4567_89ab_cdef);
    let holder = Holder::new(at("192.168.1.7:2427"), Speech::Native);
    let hit = Hit {
        id,
        hops: 2,
        holder,
        kind: EntryKind::File,
        path: "docs/报告.pdf",
        size: Some(1 << 33),
        md5: Some(Digest::of(b"x")),
    };
    std::vec![
        Message::Hello(Hello { version: 1, features: 0, token: Token::new(u64::MAX), software: "Feige 0.1" }),
        Message::Query(Query { id, ttl: 7, hops: 0, what: What::Name("报告.pdf") }),
        Message::Query(Query { id, ttl: 1, hops: 6, what: What::Part("pdf") }),
        Message::Query(Query { id, ttl: 15, hops: 3, what: What::Md5(Digest::of(b"")) }),
        Message::Hit(hit),
        Message::Hit(Hit { kind: EntryKind::Folder, size: None, md5: None, ..hit }),
        Message::Filter(["a", "b"].into_iter().collect()),
        Message::Ping,
        Message::Bye,
    ]
}

/// proves: R-FL-1, R-FL-3
#[test]
fn every_message_comes_back_at_every_split() {
    for message in messages() {
        let mut buffer = [0xa5; MAX_MESSAGE];
        let len = encode(&message, &mut buffer).unwrap();
        assert_eq!(buffer[len..].iter().find(|&&octet| octet != 0xa5), None);
        for cut in 0..len {
            assert_eq!(frame(&buffer[..cut]), Ok(None), "{message:?} cut at {cut}");
            assert!(encode(&message, &mut [0; MAX_MESSAGE][..cut]).is_err());
        }
        assert_eq!(frame(&buffer), Ok(Some((Some(message), len))));
        // A later version's field behind the known ones.
        let longer = u32::try_from(len - LENGTH + 3).unwrap().to_le_bytes();
        buffer[..LENGTH].copy_from_slice(&longer);
        assert_eq!(frame(&buffer), Ok(Some((Some(message), len + 3))));
    }
    let unknown = [3, 0, 0, 0, MARK, Message::KINDS, 1];
    assert_eq!(frame(&unknown), Ok(Some((None, 7))));
}

/// proves: R-FL-1, R-FL-20
#[test]
fn the_octets_of_the_document() {
    let mut buffer = [0; MAX_MESSAGE];
    let query = Query { id: QueryId::new(0x0123_4567_89ab_cdef), ttl: 5, hops: 2, what: What::Name("3.txt") };
    let len = encode(&Message::Query(query), &mut buffer).unwrap();
    let expected = b"\x13\0\0\0F\x01\xef\xcd\xab\x89\x67\x45\x23\x01\x05\x02\x00\x053.txt";
    assert_eq!(&buffer[..len], expected);
    let longest: String = "n".repeat(MAX_TEXT);
    let query = Query { what: What::Name(&longest), ..query };
    assert!(query.what.is_valid());
    assert!(encode(&Message::Query(query), &mut buffer).unwrap() <= 256);
    let longest: String = "d/".repeat(MAX_TEXT / 2 - 1) + "ab";
    let Message::Hit(hit) = messages()[4] else { panic!() };
    let hit = Hit { path: &longest, size: Some(u64::MAX), ..hit };
    assert!(encode(&Message::Hit(hit), &mut buffer).is_ok());
}

/// proves: R-FL-10
#[test]
fn a_hello_is_ascii() {
    let mut buffer = [0; MAX_MESSAGE];
    let len = encode(&messages()[0], &mut buffer).unwrap();
    assert!(buffer[..len].is_ascii());
    assert!(str::from_utf8(&buffer[..len]).is_ok());
}

/// proves: R-FL-2
#[test]
fn what_is_no_message_ends_the_link() {
    for octets in [
        &b"\0\0\0\0"[..],
        b"\x41\x01\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x80",
        b"\x01\0\0\0F",
        b"\x02\0\0\0G\x04",
        b"\x03\0\0\0F\x01\x02",
        b"\x0a\0\0\0{\"a\":\"bc\"}",
        b"get 3.txt 10801 127.0.0.1 2",
        // A name that is no UTF-8.
        b"\x0f\0\0\0F\x01\xef\xcd\xab\x89\x67\x45\x23\x01\x05\x02\x00\x01\xff",
    ] {
        assert!(frame(octets).is_err(), "{octets:?}");
    }
}

/// proves: R-FL-20, R-FL-27
#[test]
fn what_may_be_asked_and_what_it_matches() {
    for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", "con", "a\u{202e}b", &"n".repeat(MAX_TEXT + 1)] {
        assert!(!What::Name(bad).is_valid(), "{bad:?}");
    }
    for bad in ["", "a/b", "\x1b[0m", &"n".repeat(MAX_TEXT + 1)] {
        assert!(!What::Part(bad).is_valid(), "{bad:?}");
    }
    assert!(What::Name("报告.pdf").is_valid() && What::Part(".").is_valid());
    let md5 = Digest::of(b"x");
    assert!(What::Name("A.txt").matches("A.txt", None) && !What::Name("a.txt").matches("A.txt", None));
    assert!(What::Part("RT.P").matches("report.pdf", None) && !What::Part("reports").matches("report", None));
    assert!(What::Part("报").matches("报告", None) && !What::Part("longer than it").matches("", None));
    assert!(What::Md5(md5).matches("any", Some(md5)) && !What::Md5(md5).matches("any", None));
}

/// proves: R-FL-33
#[test]
fn hits_name_something_in_a_share() {
    let Message::Hit(hit) = messages()[4] else { panic!() };
    assert_eq!((hit.is_valid(), hit.name()), (true, "报告.pdf"));
    for path in ["", "/", "../a", "a/../b", "a//b", "a\\b", "/etc/\x1b[2J", &"n".repeat(MAX_TEXT + 1)] {
        assert!(!Hit { path, ..hit }.is_valid(), "{path:?}");
    }
}

/// proves: R-FL-40
#[test]
fn filters_never_deny_what_is_there_and_seldom_claim_what_is_not() {
    let names = |from: usize, count: usize| (from..from + count).map(|number| std::format!("file-{number}.txt"));
    let here: Vec<String> = names(0, NameFilter::GOOD_FOR).collect();
    let filter: NameFilter = here.iter().map(String::as_str).collect();
    assert!(here.iter().all(|name| filter.may_have(name)));
    let wrong = names(1000, 100_000).filter(|name| filter.may_have(name)).count();
    assert!(wrong <= 200, "{wrong} of 100,000");
    assert!(!NameFilter::NONE.may_have("a") && NameFilter::ALL.may_have("a"));
    let many: Vec<String> = names(0, 103).collect();
    assert_eq!(many.iter().map(String::as_str).collect::<NameFilter>(), NameFilter::ALL);
    // MD5 of "a" is 0cc175b9 c0f1b6a8 31c399e2 69772661: bits 0x10c, 0x1c0, 0x331, 0x369.
    let mut one = NameFilter::NONE;
    one.insert("a");
    let mut buffer = [0; MAX_MESSAGE];
    let len = encode(&Message::Filter(one), &mut buffer).unwrap();
    let mut expected = [0; NameFilter::LEN];
    for bit in [0x10c, 0x1c0, 0x331, 0x369] {
        expected[bit / 8] |= 1 << (bit % 8);
    }
    assert_eq!(&buffer[LENGTH..len], [&[MARK, 3][..], &expected].concat());
}

/// The texts of flooding.md, section 4, as the real programs send them.
///
/// proves: R-FL-71, R-FL-72, R-FL-73
#[test]
fn classic_texts() {
    let get = |program, reach| Get { name: "3.txt", asker: at("127.0.0.1:10801"), reach, tag: None, program };
    let found = |program, number| Found { name: "3.txt", holder: at("127.0.0.1:10803"), number, program };
    for (octets, text) in [
        ("get 3.txt 10801 127.0.0.1 2", Text::Get(get(Program::J, 4))),
        ("get 3.txt 10801 127.0.0.1 -1", Text::Get(get(Program::J, 1))),
        ("get 3.txt 127.0.0.1 10801 2", Text::Get(get(Program::C, 2))),
        ("get 3.txt 127.0.0.1 10801 0", Text::Get(get(Program::C, 1))),
        ("found 3.txt at 3 127.0.0.1 10803", Text::Found(found(Program::J, 3))),
        ("found 3.txt at 127.0.0.1 10803", Text::Found(found(Program::C, 0))),
        ("request 3.txt 127.0.0.1 10801", Text::Request(Request { name: "3.txt", seeker: at("127.0.0.1:10801") })),
    ] {
        assert_eq!(Text::parse(octets.as_bytes()), Ok(text), "{octets}");
        let mut buffer = [0xa5; classic::MAX_MESSAGE];
        let len = match text {
            Text::Get(get) => get.emit(&mut buffer),
            Text::Found(found) => found.emit(&mut buffer),
            Text::Request(request) => request.emit(&mut buffer),
        };
        // C starts with 0 what reaches as far as 1.
        let expected = octets.replace("10801 0", "10801 1");
        assert_eq!(str::from_utf8(&buffer[..len.unwrap()]).unwrap(), expected);
        let typed = octets.to_string() + "\r\n";
        assert_eq!(Text::parse(typed.as_bytes()), Ok(text));
    }
}

/// proves: R-FL-74
#[test]
fn classic_questions_carry_our_tag() {
    let tag = Some(Tag { id: QueryId::new(0x0123_4567_89ab_cdef), hops: 1 });
    for program in [Program::J, Program::C] {
        let get = Get { name: "报告.pdf", asker: at("10.0.0.1:9"), reach: 3, tag, program };
        let mut buffer = [0; classic::MAX_MESSAGE];
        let len = get.emit(&mut buffer).unwrap();
        assert!(str::from_utf8(&buffer[..len]).unwrap().contains(" i=0123456789abcdef,h=1 "));
        assert_eq!(Text::parse(&buffer[..len]), Ok(Text::Get(get)));
    }
    // Somebody else's extra fields are passed over, and a broken tag is none.
    for extra in ["x=1 y", "i=0123,h=1", "i=0123456789abcdef", "i=0000000000000000,h=0", "i=0123456789abcdef,h=999"] {
        let text = std::format!("get a 9 10.0.0.1 {extra} 2");
        assert!(matches!(Text::parse(text.as_bytes()), Ok(Text::Get(Get { tag: None, reach: 4, .. }))), "{text}");
    }
}

/// proves: R-FL-70, R-FL-73, R-FL-75, R-FL-76
#[test]
fn classic_nonsense_is_refused() {
    let long = std::format!("get {} 10801 127.0.0.1 2", "n".repeat(1000));
    for (octets, field) in [
        ("", Field::Command),
        ("get", Field::Command),
        ("invalid content", Field::Command),
        ("put 3.txt 10801 127.0.0.1 2", Field::Command),
        ("get 3.txt 10801 127.0.0.1", Field::Address),
        ("get 3.txt 10801 127.0.0.1 ", Field::Address),
        ("get 3.txt 10801 127.0.0.1 x", Field::Ttl),
        ("get 3.txt 10801 127.0.0.1 255", Field::Ttl),
        ("get 3.txt 10801 127.0.0.1 14", Field::Ttl),
        ("get 3.txt 10801 127.0.0.1 -2", Field::Ttl),
        ("get 3.txt 127.0.0.1 10801 -1", Field::Ttl),
        ("get 3.txt 10801 127.0.0.1 99999999999999999999999", Field::Ttl),
        ("get 3.txt 10801 127.0.0.1 2get 3.txt 10801 127.0.0.1 x", Field::Ttl),
        ("get 3.txt 0 127.0.0.1 2", Field::Address),
        ("get 3.txt 65536 127.0.0.1 2", Field::Address),
        ("get 3.txt 10801 0.0.0.0 2", Field::Address),
        ("get 3.txt 10801 255.255.255.255 2", Field::Address),
        ("get 3.txt 10801 224.0.0.1 2", Field::Address),
        ("get 3.txt 10801 240.1.1.1 2", Field::Address),
        ("get 3.txt 0.0.0.1 10801 2", Field::Address),
        ("get ../3.txt 10801 127.0.0.1 2", Field::FileName),
        ("get  10801 127.0.0.1 2", Field::FileName),
        ("found 3.txt at x 127.0.0.1 10803", Field::Body),
        ("found 3.txt in 127.0.0.1 10803", Field::Body),
        ("found 3.txt at 127.0.0.1", Field::Address),
        ("request 3.txt 127.0.0.1", Field::Address),
        ("request C:\\3.txt 127.0.0.1 1", Field::FileName),
        (&long, Field::FileName),
        (&"x".repeat(2000), Field::Body),
    ] {
        assert_eq!(Text::parse(octets.as_bytes()).map_err(|error| error.field), Err(field), "{octets}");
    }
    assert!(Text::parse(b"get \xff\xfe 10801 127.0.0.1 2").is_err());
    assert_eq!(Program::of_refusal("invalid content".as_bytes()), Some(Program::J));
    assert_eq!(Program::of_refusal("不合法的命令".as_bytes()), Some(Program::C));
    assert_eq!(Program::of_refusal(b"what?"), None);
    assert!(!classic::can_be_asked_for("two words.txt") && classic::can_be_asked_for("word.txt"));
    assert_eq!(Holder::new(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 9), Speech::Native).at().port(), 9);
}
