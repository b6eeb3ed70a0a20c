//! Headers as Python writes them, and as nobody should.

use super::*;
use crate::wire::{BufferTooSmall, Fault, Field};
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// Length and header, as they stand on the wire.
fn message(header: &str) -> Vec<u8> {
    [&u32::try_from(header.len()).unwrap().to_le_bytes(), header.as_bytes()].concat()
}

/// What an emitter writes, with the octets behind it untouched.
fn emitted(emit: impl Fn(&mut [u8]) -> Result<usize, BufferTooSmall>) -> Vec<u8> {
    let BufferTooSmall { needed } = emit(&mut []).unwrap_err();
    let mut buffer = vec![0xa5; needed + 1];
    assert_eq!(emit(&mut buffer[..needed - 1]), Err(BufferTooSmall { needed }));
    assert_eq!(emit(&mut buffer), Ok(needed));
    assert_eq!(buffer.pop(), Some(0xa5));
    buffer
}

const SALT: &str = "0123456789abcdef0123456789abcdef";

/// The texts are what `json.dumps` printed.
///
/// proves: R-CL-1, R-CL-3, R-CL-20, R-CL-21, R-CL-31, R-CL-40
#[test]
fn headers_are_written_as_python_writes_them() {
    let upload = Upload { path: "/home/u/a.bin".into(), name: "a.bin".into(), size: 25 };
    let text = r#"{"file_path": "/home/u/a.bin", "file_name": "a.bin", "file_size": 25}"#;
    assert_eq!(emitted(|buffer| upload.emit(buffer)), message(text));

    let put = Put { name: "a.bin".into(), size: 25 };
    let octets = emitted(|buffer| put.emit(buffer));
    assert_eq!(octets, message(r#"{"cmd": "put", "filename": "a.bin", "filesize": 25}"#));
    assert_eq!(&octets[..4], [0x33, 0, 0, 0], "as captured");

    let reply = CommandReply { md5: "123".into(), name: "f1.txt".into(), size: 6 };
    let text = r#"{"md5": "123", "file_name": "f1.txt", "total_size": 6}"#;
    assert_eq!(emitted(|buffer| reply.emit(buffer)), message(text));

    let seal = Some(Seal { digest: crate::digest::Digest::of(b""), salt: Some(SALT.into()) });
    let sealed = format!(r#""encrypted": "d41d8cd98f00b204e9800998ecf8427e", "salt": "{SALT}""#);
    let bare = Salted { command: "x".into(), size: 0, name: None, path: None, file_type: None, seal: None };
    for (header, text) in [
        (
            Salted { command: "show_file_name_list".into(), file_type: Some("img".into()), seal, ..bare },
            format!(r#"{{"command": "show_file_name_list", "data_length": 0, "file_type": "img", {sealed}}}"#),
        ),
        (
            Salted {
                command: "download_file".into(),
                size: 15,
                name: Some("雪.jpeg".into()),
                file_type: Some("img".into()),
                seal,
                ..bare
            },
            format!(
                r#"{{"command": "download_file", "data_length": 15, "file_name": "\u96ea.jpeg", "file_type": "img", {sealed}}}"#
            ),
        ),
        (
            Salted {
                command: "upload".into(),
                size: 19,
                name: Some("up.png".into()),
                path: Some("/up.png".into()),
                file_type: Some("img".into()),
                seal,
            },
            format!(
                r#"{{"command": "upload", "data_length": 19, "file_name": "up.png", "file_path": "/up.png", {sealed}, "file_type": "img"}}"#
            ),
        ),
        (Salted { command: "nope".into(), size: 17, ..bare }, r#"{"command": "nope", "data_length": 17}"#.to_string()),
    ] {
        assert_eq!(emitted(|buffer| header.emit(buffer)), message(&text));
        assert_eq!(Request::parse(text.as_bytes()), Ok(Request::Salted(header)));
    }
}

/// proves: R-CL-3
#[test]
fn escapes_are_those_of_python() {
    let name = "\u{0}\u{1f}\"\\/\u{8}\t\n\u{c}\r~\u{7f}é雪\u{202e}😀";
    let python = r#""\u0000\u001f\"\\/\b\t\n\f\r~\u007f\u00e9\u96ea\u202e\ud83d\ude00""#;
    let text = format!(r#"{{"cmd": "put", "filename": {python}, "filesize": 0}}"#);
    assert_eq!(emitted(|buffer| Put { name: name.into(), size: 0 }.emit(buffer)), message(&text));
    let Ok(Request::Put(put)) = Request::parse(text.as_bytes()) else { panic!("a put") };
    assert_eq!(put.name.to_string(), name);
    assert_eq!(put.name, JsonText::plain(name));
    let mut buffer = [0; 64];
    assert_eq!(put.name.copy_to(&mut buffer), Some(name));
    assert_eq!(put.name.copy_to(&mut buffer[..name.len()]), Some(name));
    assert_eq!(put.name.copy_to(&mut buffer[..name.len() - 1]), None);
}

/// proves: R-CL-4, R-CL-13
#[test]
fn reading_is_as_tolerant_as_python() {
    let put = Ok(Request::Put(Put { name: "雪😀".into(), size: 25 }));
    for text in [
        r#"{"cmd":"put","filename":"雪😀","filesize":25}"#,
        "\n { \"filesize\"\t: 25 ,\r\n\"filename\" : \"\\u96EA\\uD83d\\ude00\" , \"cmd\" : \"\\u0070ut\" } ",
        r#"{"c\u006dd": "put", "filename": "雪😀", "filesize": 25}"#,
        r#"{"x": null, "y": [true, false, -1.5e+3, NaN, -Infinity, {}, []], "cmd": "put", "filename": "雪😀", "filesize": 25}"#,
        r#"{"file_size": {"file_size": [[["}"]]]}, "command": 7, "cmd": "put", "filename": "雪😀", "filesize": 25}"#,
        // The last wins.
        r#"{"cmd": 1, "cmd": "put", "filename": "a", "filesize": "7", "filename": "雪😀", "filesize": 25}"#,
    ] {
        assert_eq!(Request::parse(text.as_bytes()), put, "{text}");
    }
    let half = br#"{"cmd": "put", "filename": "a\ud83db\ude00c\ud83d\u0041", "filesize": 1}"#;
    let Ok(Request::Put(put)) = Request::parse(half) else { panic!("a put") };
    assert_eq!(put.name.to_string(), "a\u{fffd}b\u{fffd}c\u{fffd}A");

    let upload = Request::Upload(Upload { path: "".into(), name: "a".into(), size: 0 });
    assert_eq!(Request::parse(br#"{"file_size": 0, "file_name": "a", "file_path": 3}"#), Ok(upload));
    let Ok(Request::Salted(salted)) = Request::parse(br#"{"command": "x", "encrypted": "zz", "salt": null}"#) else {
        panic!("a request to the salted store")
    };
    assert_eq!((salted.size, salted.seal), (0, None));
    let reply = CommandReply::parse(br#"{"total_size": 6}"#).unwrap();
    assert_eq!((reply.size, reply.digest()), (6, None));
    let reply = CommandReply::parse(br#"{"total_size": 6, "md5": "D41D8CD98f00b204e9800998ecf8427e"}"#).unwrap();
    assert_eq!(reply.digest(), Some(crate::digest::Digest::of(b"")));
}

/// proves: R-CL-4, R-CL-6, R-CL-13
#[test]
fn what_is_not_json_or_not_a_header_is_refused() {
    for text in [
        "",
        "{",
        "}",
        "[]",
        "1",
        "{\"a\": 1}}",
        "{\"a\": 1} x",
        "{\"a\": 1,}",
        "{,\"a\": 1}",
        "{\"a\" 1}",
        "{a: 1}",
        "{1: 1}",
        "{'a': 1}",
        "{\"a\": tru}",
        "{\"a\": truely}",
        "{\"a\": 01}",
        "{\"a\": +1}",
        "{\"a\": 1.}",
        "{\"a\": .5}",
        "{\"a\": 1e}",
        "{\"a\": -}",
        "{\"a\": \"\n\"}",
        "{\"a\": \"\0\"}",
        "{\"a\": \"\\x41\"}",
        "{\"a\": \"\\u00g0\"}",
        "{\"a\": \"\\u00",
        "{\"a\": \"\\",
        "{\"a\": [1}",
        "{\"a\": [1,]}",
        "\u{feff}{}",
    ] {
        assert_eq!(Object::parse(text.as_bytes()).err(), Some(ParseError::malformed(Field::Header)), "{text:?}");
    }
    assert!(Object::parse(b"{\"a\": \"\xff\"}").is_err(), "not UTF-8");
    assert!(Object::parse(b"{}").is_ok());

    let wrong = |field, fault| Err(ParseError { field, fault });
    for (text, error) in [
        (r#"{}"#, wrong(Field::Command, Fault::Missing)),
        (r#"{"cmd": "put", "filename": "a"}"#, wrong(Field::FileSize, Fault::Missing)),
        (r#"{"cmd": "get", "filename": "a", "filesize": 1}"#, wrong(Field::Command, Fault::Malformed)),
        (r#"{"cmd": "put", "filename": ["a"], "filesize": 1}"#, wrong(Field::FileName, Fault::Malformed)),
        (r#"{"file_size": 1}"#, wrong(Field::FileName, Fault::Missing)),
        (r#"{"command": null}"#, wrong(Field::Command, Fault::Malformed)),
        (r#"{"command": "x", "data_length": "1"}"#, wrong(Field::Body, Fault::Malformed)),
        (r#"{"command": "x", "data_length": null}"#, wrong(Field::Body, Fault::Malformed)),
    ] {
        assert_eq!(Request::parse(text.as_bytes()), error, "{text}");
    }
    for size in [
        "\"25\"",
        "-1",
        "-0",
        "2.5",
        "25.0",
        "1e3",
        "NaN",
        "true",
        "null",
        "[1]",
        "9223372036854775808",
        "99999999999999999999999",
    ] {
        let text = format!(r#"{{"cmd": "put", "filename": "a", "filesize": {size}}}"#);
        assert_eq!(Request::parse(text.as_bytes()), wrong(Field::FileSize, Fault::Malformed), "{text}");
    }
    let most = br#"{"cmd": "put", "filename": "a", "filesize": 9223372036854775807}"#;
    assert!(Request::parse(most).is_ok());
}

/// proves: R-CL-4
#[test]
fn depth_has_a_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = |levels: usize| format!("{{\"x\": {}1{}}}", open.repeat(levels - 1), close.repeat(levels - 1));
        assert!(Object::parse(deep(16).as_bytes()).is_ok());
        assert!(Object::parse(deep(17).as_bytes()).is_err());
        assert!(Object::parse(deep(8000).as_bytes()).is_err());
        assert!(Object::parse(open.repeat(MAX_HEADER).as_bytes()).is_err());
    }
}

/// proves: R-CL-2
#[test]
fn lengths_have_limits() {
    let too_large = Err(ParseError::too_large(Field::HeaderLength));
    for (length, found) in [
        (0_i32, Err(ParseError::malformed(Field::HeaderLength))),
        (-1, too_large),
        (i32::MIN, too_large),
        (i32::MAX, too_large),
        (65537, too_large),
        (65536, Ok(Prefix::Header(65536))),
        (1, Ok(Prefix::Header(1))),
    ] {
        assert_eq!(prefix(&length.to_le_bytes()), found, "{length}");
    }
    for len in 0..4 {
        assert_eq!(prefix(&[0; 4][..len]), Ok(Prefix::More));
    }
}

/// proves: R-CL-10, R-CL-11, R-CL-12
#[test]
fn the_first_octets_tell_what_a_connection_is_about() {
    use Opening::{Brief, Command, Json, More, Other};
    let found = |octets: &[u8]| -> Vec<Opening> { (0..=octets.len()).map(|len| Opening::of(&octets[..len])).collect() };
    let mut json = vec![More; 5];
    json.extend([Json; 10]);
    assert_eq!(found(&message("{\"cmd\": 1}")), json[..15]);
    // A length of printable octets: 0x7320, 29,472.
    assert_eq!(found(b" s\0\0{"), [More, More, Brief, More, More, Json]);
    assert_eq!(found(b"ls"), [More, More, Brief]);
    assert_eq!(found(b"ls\r\n"), [More, More, Brief, Brief, Command]);
    assert_eq!(found(b"date"), [More, More, Brief, Brief, Command]);
    assert_eq!(found("雪雪".as_bytes())[1..6], [More, Brief, Brief, Command, Command]);
    // Headers of the native protocol: of 45 octets, and of 2,592, which is a blank and a line feed.
    assert_eq!(found(b" \n\0\0\0"), [More, More, More, More, More, Other]);
    assert_eq!(found(b"\x2d\0\0\0\0"), [More, More, More, More, More, Other]);
    for octets in
        [[0, 0, 0, 0, b'{'], [0xff, 0xff, 0xff, 0xff, b'{'], [0xff, 0xff, 0xff, 0x7f, b'{'], [1, 0, 1, 0, b'{']]
    {
        assert_eq!(found(&octets)[4..], [Other, Other], "{octets:x?}");
    }
    assert_eq!(found(b"\0\0\x01\0{")[4..], [More, Json], "64 KiB");
    // Over a length that text cannot make, and still no text.
    assert_eq!(Opening::of(b"ab\x01d"), Other);
}

/// proves: R-CL-43
#[test]
fn salted_digests_are_those_of_python() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/classic/salted-md5.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 13);
    for vector in vectors {
        let field = |name: &str| vector[name].as_str().unwrap();
        let hex = field("data_hex");
        let data: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let salt = vector["salt"].as_str().map(JsonText::plain);
        for piece in [1, 2, 3, 100, usize::MAX] {
            let mut digest = SaltedMd5::new();
            data.chunks(piece.min(data.len().max(1))).for_each(|octets| digest.update(octets));
            assert_eq!(digest.finish(salt).to_string(), field("md5"), "{} in pieces of {piece}", field("repr"));
        }
    }
    // A salt that came with escapes, and one outside ASCII, are hashed as what they say.
    let text = br#"{"a": "\u96ea", "b": "\u0061"}"#;
    let object = Object::parse(text).unwrap();
    for (key, plain) in [("a", "雪"), ("b", "a")] {
        let salt = object.value(key).and_then(Value::text);
        assert_eq!(SaltedMd5::new().finish(salt), SaltedMd5::new().finish(Some(plain.into())));
    }
}

/// proves: R-CL-42
#[test]
fn sub_folders_follow_from_names() {
    for (name, word) in [
        ("雪.jpeg", "img"),
        ("a.b.PNG", "img"),
        ("film.m4v", "video"),
        ("film.MPG", "video"),
        ("a.txt", ""),
        ("png", ""),
        ("a.", ""),
        ("", ""),
    ] {
        let kind = FileType::of_name(name);
        assert_eq!(kind.word(), word, "{name}");
        assert_eq!(FileType::of_word(word.into()), kind);
    }
    assert_eq!(FileType::of_word("../img".into()), FileType::Other);
}

#[test]
fn dialects_have_names() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
        assert!(dialect.port() > 8000);
    }
    assert_eq!("ftp".parse::<Dialect>(), Err(UnknownDialect));
    assert!(String::from("x").parse::<Dialect>().unwrap_err().to_string().contains("salted"));
}
