use super::*;

const DATAGRAMS: &str = include_str!("../../../tests/vectors/ipmsg/datagrams.txt");

/// Octets as the file of the vectors writes them.
fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'\\' => match rest.next().expect("an escape") {
                b'0' => 0,
                b'a' => 7,
                b'b' => 8,
                b'n' => 10,
                b'\\' => b'\\',
                b'x' => {
                    let digits = [rest.next().expect("a digit"), rest.next().expect("two digits")];
                    hexadecimal(&digits).expect("hexadecimal digits")[0]
                }
                other => panic!("\\{}", char::from(other)),
            },
            octet => octet,
        });
    }
    octets
}

/// Every vector: its number, its octets, and its further lines.
fn vectors() -> impl Iterator<Item = (&'static str, Vec<u8>, &'static str)> {
    DATAGRAMS.split("\n\n").filter_map(|vector| {
        let (title, rest) = vector.split_once("\noctets ")?;
        let (octets, lines) = rest.split_once('\n')?;
        Some((title.lines().last()?.split(' ').next()?, unescape(octets), lines))
    })
}

/// What is said of one vector.
fn vector(number: &str) -> String {
    shown(&vectors().find(|&(name, ..)| name == number).expect("a vector of this number").1)
}

/// The same for programs.
fn fields(octets: &[u8]) -> serde_json::Value {
    let tree = explain(octets, Policy::new(None)).expect("of the family");
    serde_json::to_value(&tree).expect("JSON")
}

fn shown(octets: &[u8]) -> String {
    explain(octets, Policy::new(None)).expect("of the family").to_string()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn entries() {
    let text =
        shown(b"1:100:alice:PC-A:23068673:Alice\0Dev\0\nUN:alice\nHN:PC-A\nNN:Al\xc3\xa9\nVS:00010002:4:99:103\n");
    has(&text, &["BR_ENTRY (0x01)", "FILEATTACH, ENCRYPT, CAPUTF8", "Alé", "4.99r3 for Windows (64 bits)"]);
    let text = shown(b"1_iptux 0.8.3:1:u:h:259:nick\0group\0icon.png\0utf-8\0");
    has(&text, &["iptux 0.8.3", "ABSENCE", "icon.png", "utf-8"]);
}

#[test]
fn messages_with_files() {
    let text = shown(
        b"1_lbt80_0#131200#28E3475C0E3E#3380#43820#0#4000#9:1506330342:A:B:2097440:\xc4\xe3\xba\xc3\0\
        0:new_1.py:01f1:59bbf8db:1:\x072:docs:0:65a0b0c0:102:\x07\0",
    );
    has(
        &text,
        &["FeiQ, generation 80", "code             4000", "你好", "gbk", "new_1.py", "497", "2017-09-15T", "read-only"],
    );
}

#[test]
fn requests_and_answers() {
    has(&shown(b"1:5:a:b:96:59c21f39:0:0:\0"), &["GETFILEDATA", "1505894201", "offset"]);
    has(&shown(b"1:6:a:b:33:1700000001\0"), &["RECVMSG", "refers to", "1700000001"]);
    has(&shown(b"1:6:a:b:96:nonsense"), &["fault"]);
}

#[test]
fn folder_streams() {
    let text = shown(b"002e:docs:000000000:2:14=65a0b0c0:16=65a0b0c0:002f:a.txt:000000003:1:14=65a0b0c0:16=65a0b0c0:abc0023:.:0:3:14=65a0b0c0:16=65a0b0c0:");
    has(&text, &["folder stream", "docs", "a.txt", "2024-01-12T", "end of folder", "the octets end"]);
}

#[test]
fn hexadecimal_in_any_layout() {
    assert_eq!(hexadecimal(b"31 3a\n31"), Some(b"1:1".to_vec()));
    assert_eq!(hexadecimal(b"313"), None);
    assert_eq!(hexadecimal(b"1:1"), None);
    assert_eq!(hexadecimal(b""), None);
}

#[test]
fn what_is_not_of_the_family_is_an_error() {
    assert!(explain(b"GET / HTTP/1.1\r\n", Policy::new(None)).is_err());
    has(&shown(b"IP2:5:hello:Z"), &["dictionary"]);
}

#[test]
fn programs_get_the_same_tree() {
    let tree = explain(b"1:6:a:b:33:17\0", Policy::new(None)).expect("a datagram");
    let json = serde_json::to_string(&tree).expect("JSON");
    has(&json, &["\"packet\":6", "\"command\":\"RECVMSG (0x21)\"", "\"options\":[]", "\"refers to\":17"]);
}

#[test]
fn every_vector_is_explained() {
    let mut explained = 0;
    for (number, octets, lines) in vectors() {
        if lines.trim_end() == "malformed" {
            continue;
        }
        let command = lines.lines().find_map(|line| line.strip_prefix("command ")).expect("a command");
        assert!(fields(&octets)["command"].as_str().expect("a text").starts_with(command), "{number}");
        explained += 1;
    }
    assert!(explained > 60, "{explained}");
}

/// proves: R-IP-13
#[test]
fn versions_of_feiq() {
    let octets = b"1_lbt80_8#131200#28E3475C0E3E#3380#43820#0#4000#9:1:u:h:0:\0";
    let want = serde_json::json!({
        "generation": 80, "avatar": 8, "level": "0x20080", "MAC": "28:E3:47:5C:0E:3E", "avatar size": 3380,
        "self-image size": 43820, "encrypted size": 0, "code": "4000",
    });
    assert_eq!(fields(octets)["FeiQ"], want);
    let other = fields(b"1_lbt4_3#128#me\x80#0#0#7:1:u:h:0:\0");
    assert_eq!(other["FeiQ"]["id"], "me\\x80");
    assert_eq!(other["FeiQ"]["code"], serde_json::Value::Null);
}

/// proves: R-IP-14
#[test]
fn versions_of_the_official_program() {
    has(&vector("V02"), &["version  4.99r3 for Windows (64 bits)"]);
    has(&vector("V03"), &["version  4.99r3 for Windows (64 bits)", "太郎"]);
    has(&shown(b"1:1:u:h:16777217:n\0\0\nVS:00050000:5:0:51\n"), &["5.0b1 for an unknown platform (0x00050000)"]);
}

/// proves: R-IP-121, R-IP-122, R-IP-123
#[test]
fn lists_of_hosts() {
    has(&vector("V74"), &["next index  none, the list ends here", "count       2"]);
    let octets =
        b"1:9:taro:PC2:19:    7\x07    3\x07alice\x07PC1\x0723068673\x07192.168.1.5\x0730985\x07Alice\x07Dev\x07\
        bob\x07pc\x070\x071.2.3.4\x072425\x07\x08\x07\x08\x07cut";
    let list = fields(octets);
    assert_eq!((&list["next index"], &list["count"]), (&7.into(), &3.into()));
    let alice = serde_json::json!({
        "user": "alice", "host": "PC1", "status": "BR_ENTRY (0x1600001)",
        "options": ["FILEATTACH", "ENCRYPT", "CAPUTF8"],
        "address": "192.168.1.5", "port": 2425, "nick": "Alice", "group": "Dev",
    });
    assert_eq!(list["hosts"][0], alice);
    assert_eq!(list["hosts"][1]["status"], "has left (0x0)");
    assert_eq!(list["hosts"][1]["nick"], "");
    assert!(list["hosts"][2]["fault"].is_string());
    assert_eq!(fields(b"1:9:u:h:18:17\0")["from index"], 17);
    has(&shown(b"1:9:u:h:19:no list\0"), &["no list", "fault"]);
}

/// proves: R-IP-110, R-IP-111
#[test]
fn keys() {
    has(&vector("V57"), &["0x21003", "RSA_512, RSA_1024, RC2_40, BLOWFISH_128"]);
    has(&vector("V58"), &["AUTORET", "methods"]);
    has(&vector("V59"), &["0x21003", "exponent      0x10001", "modulus bits  24"]);
    has(&shown(b"1:1:u:h:115:80000004:3-01ff\0"), &["RSA_2048, 0x80000000", "modulus bits  9"]);
    has(&shown(b"1:1:u:h:114:what\0"), &["what", "fault"]);
}

/// proves: R-IP-112, R-IP-114
#[test]
fn encrypted_bodies() {
    let feiq = fields(&unescape("1:72:f:F:4194592:20002:00ff:ce8b21c8129fe719\\0"));
    let want = serde_json::json!({
        "capability": "0x20002", "methods": ["RSA_1024", "BLOWFISH_128"], "key octets": 2, "body octets": 8,
    });
    assert_eq!(feiq["encrypted"], want);
    has(&vector("V60"), &["key octets   2", "body octets  8"]);
    // With a signature, in base64: four octets need two equals signs, two need one, three none.
    let request = fields(b"1:1:u:h:4196448:21900004:AAAAAA==:AAA=:AAAA\0");
    let encrypted = &request["encrypted"];
    let octets = ["key octets", "body octets", "signature octets"].map(|name| encrypted[name].as_u64());
    assert_eq!(octets, [Some(4), Some(2), Some(3)]);
    let methods = serde_json::json!(["RSA_2048", "AES_256", "PACKETNO_IV", "ENCODE_BASE64", "SIGN_SHA1"]);
    assert_eq!(encrypted["methods"], methods);
    let files = fields(b"1:1:u:h:6291488:2:ff:ff\x000:a.txt:1:0:1:\x07\0");
    assert_eq!(files["files"][0]["name"], "a.txt", "the list stands in clear behind the body");
    has(&shown(b"1:1:u:h:4194336:secret\0"), &["secret", "fault"]);
}

/// proves: R-IP-46, R-IP-47
#[test]
fn pictures_of_feiq() {
    let octets = b"1:91:a:b:192:64ea4edd|700|512|2|2|5|0|2|0|00000000#\0\xff\xd8\xff\xe0\0";
    let fragment = fields(octets);
    let numbers = ["fragment", "of fragments", "offset", "octets", "of octets"].map(|name| fragment[name].as_u64());
    assert_eq!(numbers, [2, 2, 512, 5, 700].map(Some));
    assert_eq!((&fragment["picture"], &fragment["format"]), (&"64ea4edd".into(), &"JPEG".into()));
    has(&vector("V72"), &["64ea4edd", "JPEG"]);
    has(&vector("V73"), &["picture   64ea4edd", "fragment  1"]);
    has(&shown(b"1:91:a:b:192:64ea4edd|5|0|1|1|5|0|2|0|#\0\xff"), &["64ea4edd|5", "fault"]);
    has(&shown(b"1:91:a:b:193:64ea4edd\0"), &["64ea4edd", "fault"]);
}

/// proves: R-IP-43
#[test]
fn acknowledged_numbers() {
    for number in ["V30", "V31", "V33"] {
        let text = vector(number);
        has(&text, &["refers to  1700000020"]);
        assert!(!text.contains("acknowledges"), "{text}");
    }
    has(&vector("V68"), &["RELEASEFILES", "refers to  1700000050"]);
    has(&vector("V32"), &["refers to     1700000020abc", "acknowledges  1700000020"]);
    has(&shown(b"1:1:u:h:50:4294967297\0"), &["ANSREADMSG", "refers to     4294967297", "acknowledges  1"]);
}
