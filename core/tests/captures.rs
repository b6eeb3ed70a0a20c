//! What real programs of the family put on the wire, held against the parser: `tests/vectors/captures`.
#![allow(missing_docs)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use feige_core::wire::ipmsg::key::{Methods, PublicKey};
use feige_core::wire::ipmsg::{Client, Command, Datagram, Entry, Options, VersionInfo};

/// The address of the test script; every other one is the program's.
const SCRIPT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

struct Packet {
    from: Ipv4Addr,
    to: Ipv4Addr,
    octets: Vec<u8>,
}

impl Packet {
    fn datagram(&self) -> Datagram<'_> {
        Datagram::parse(&self.octets).unwrap_or_else(|error| panic!("{error}: {}", self.octets.escape_ascii()))
    }

    fn by_program(&self) -> bool {
        self.from != SCRIPT
    }
}

/// The datagrams of a capture: classic pcap, link type Linux cooked version 2, IPv4, UDP from and to port 2425.
fn read(file: &Path) -> Vec<Packet> {
    let octets = fs::read(file).unwrap();
    let little = |octets: &[u8]| usize::try_from(u32::from_le_bytes(octets.try_into().unwrap())).unwrap();
    let big = |octets: &[u8]| u16::from_be_bytes(octets.try_into().unwrap());
    assert_eq!((little(&octets[..4]), little(&octets[20..24])), (0xa1b2_c3d4, 276), "{}", file.display());
    let mut packets = Vec::new();
    let mut rest = &octets[24..];
    while let Some((record, behind)) = rest.split_at_checked(16) {
        let (packet, behind) = behind.split_at(little(&record[8..12]));
        assert_eq!(packet.len(), little(&record[12..]), "nothing was cut off");
        rest = behind;
        let ip = &packet[20..];
        let udp = &ip[usize::from(ip[0] & 0xf) * 4..];
        if ip[9] != 17 || big(&udp[..2]) != 2425 || big(&udp[2..4]) != 2425 {
            continue;
        }
        let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        let octets = udp[8..usize::from(big(&udp[4..6]))].to_vec();
        packets.push(Packet { from: address(12), to: address(16), octets });
    }
    packets
}

/// Every capture: the program, the scenario, the packets.
fn captures() -> Vec<(String, String, Vec<Packet>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/captures");
    let mut captures = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "pcap") {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let (program, scenario) = name.rsplit_once('-').unwrap();
            captures.push((program.into(), scenario.into(), read(&file)));
        }
    }
    assert_eq!(captures.len(), 49);
    captures
}

/// The packets of `scenario`, program by program.
fn of(scenario: &str) -> Vec<(String, Vec<Packet>)> {
    let all = captures().into_iter().filter(|(_, other, _)| other == scenario);
    all.map(|(program, _, packets)| (program, packets)).collect()
}

/// The first datagram with this command that the program (or else the script) sent.
fn find(packets: &[Packet], by_program: bool, command: Command) -> Option<(&Packet, Datagram<'_>)> {
    let packets = packets.iter().filter(|packet| packet.by_program() == by_program);
    packets.map(|packet| (packet, packet.datagram())).find(|(_, datagram)| datagram.header.command == command)
}

#[test]
fn every_datagram_is_written_as_it_was_read() {
    let mut seen = 0;
    for (program, scenario, packets) in captures() {
        for packet in packets {
            let mut buffer = [0xa5; 2048];
            let len = packet.datagram().emit(&mut buffer).unwrap();
            assert_eq!(buffer[..len].escape_ascii().to_string(), packet.octets.escape_ascii().to_string());
            assert!(buffer[len..].iter().all(|&octet| octet == 0xa5), "{program}-{scenario}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

/// Whom the versions tell of.
#[test]
fn programs_are_told_apart() {
    for (program, scenario, packets) in captures() {
        for packet in packets.iter().filter(|packet| packet.by_program()) {
            let client = packet.datagram().header.client();
            let want = match program.as_str() {
                "iptux" => matches!(client, Client::Iptux { version } if version == "0.10.0".into()),
                "iptux083" | "iptuxgui" => matches!(client, Client::Iptux { version } if version == "0.8.3".into()),
                "feiq" => matches!(client, Client::Feiq(feiq) if feiq.generation == 6 && feiq.code == "4001".into()),
                _ => client == Client::IpMessenger,
            };
            assert!(want, "{program}-{scenario}: {client:?}");
            assert!(packet.datagram().header.is_version_1(), "{program}-{scenario}");
        }
    }
}

/// Coming online is an entry to everybody, or an answer to one.
#[test]
fn coming_online() {
    for (program, packets) in of("start") {
        let (packet, datagram) = find(&packets, true, Command::BrEntry).unwrap_or_else(|| panic!("{program}"));
        assert_eq!(packet.to.octets()[3], 255, "{program}: a broadcast");
        let entry = Entry::of(&datagram);
        let (nick, group) = match program.as_str() {
            "official" | "official-official" => ("OfficialNick", "OfficialGroup"),
            "iptux" => ("iptux nick", "iptux group"),
            "iptux083" => ("iptux083 nick", "iptux group"),
            "iptuxgui" => ("root", ""),
            "feiq" => ("feiq nick", ""),
            "ipmsgrs" => ("ipmsgrs-host", ""),
            "libipmsg" => ("libipmsg nick", "libipmsg group"),
            "perl" => ("perl nick", "perl group"),
            "mattn" => ("mattn", ""),
            "masanorih" => ("masanorih nick", "go group"),
            other => panic!("{other}"),
        };
        let official = program.starts_with("official");
        assert_eq!((entry.nick().text, entry.group().text), (nick.into(), group.into()), "{program}");
        assert_eq!(entry.nick().utf8, official || program == "mattn", "{program}: who says that it is UTF-8");
        assert_eq!(entry.block.is_some(), official, "{program}");
        assert_eq!(entry.iptux.is_some(), program.starts_with("iptux"), "{program}");
        if let Some(extras) = entry.iptux {
            assert_eq!((extras.icon, extras.encoding), ("icon-tux.png".into(), "utf-8".into()), "{program}");
        }
        if let Some(block) = entry.block {
            assert_eq!(block.user, Some(datagram.header.user), "{program}");
            let version = VersionInfo::parse(block.version.unwrap().as_bytes()).unwrap();
            assert_eq!((version.major, version.minor), (4, 99), "{program}");
        }
    }
}

#[test]
fn newcomers_are_answered() {
    for (program, packets) in of("entry") {
        let (_, asked) = find(&packets, false, Command::BrEntry).unwrap();
        let entry = Entry::of(&asked);
        assert_eq!((entry.nick().text, entry.group().text), ("TesterNick".into(), "TesterGroup".into()), "{program}");
        let answers = packets.iter().filter(|packet| packet.by_program() && packet.to == SCRIPT);
        let answer = answers.map(Packet::datagram).find(|datagram| datagram.header.command == Command::AnsEntry);
        let answer = answer.unwrap_or_else(|| panic!("{program}"));
        // ipmsg-rs answers without a name.
        assert_eq!(Entry::of(&answer).nick().text.is_empty(), program == "ipmsgrs", "{program}");
        if program == "official" {
            let block = Entry::of(&answer).block.unwrap();
            let version = VersionInfo::parse(block.version.unwrap().as_bytes()).unwrap();
            assert_eq!((block.nick, version.revision), (None, 103));
            assert!(Entry::of(&answer).nick().utf8);
        }
    }
}

/// R-IP-43: the confirmation of every program names the number of the message.
#[test]
fn messages_are_confirmed() {
    for (program, packets) in of("msgrecv") {
        let (_, message) = find(&packets, false, Command::SendMsg).unwrap();
        assert!(message.header.options.contains(Options::SEND_CHECK), "{program}");
        assert!(message.body.starts_with(b"Hello ") && message.body.ends_with(b" line1\nline2"), "{program}");
        let (packet, confirmation) = find(&packets, true, Command::RecvMsg).unwrap_or_else(|| panic!("{program}"));
        assert_eq!(packet.to, SCRIPT);
        assert_eq!(confirmation.acknowledged().map(|number| number.0), message.header.packet_no.low32(), "{program}");
        let plain = !program.starts_with("iptux");
        assert_eq!(confirmation.header.options == Options::NONE, plain, "{program}: iptux sets SENDCHECKOPT");
    }
}

#[test]
fn messages_are_read() {
    for (program, packets) in of("msgsend") {
        let (_, message) = find(&packets, true, Command::SendMsg).unwrap_or_else(|| panic!("{program}"));
        let greeting = format!("Hi from {program} ");
        let (greeting, name) = message.body.split_at(greeting.len());
        assert!(greeting.starts_with(b"Hi from "), "{program}");
        // 日本語 in three character sets, of which only one program says which.
        let want: &[u8] = match program.as_str() {
            "official" | "iptux" | "iptux083" | "masanorih" => "日本語".as_bytes(),
            "feiq" | "ipmsgrs" => b"\xc8\xd5\xb1\xbe\xd5Z",
            _ => b"\x93\xfa\x96{\x8c\xea",
        };
        assert_eq!(name, want, "{program}");
        assert_eq!(message.header.options.contains(Options::UTF8), program == "official", "{program}");
        assert_eq!(message.extensions().next(), None, "{program}: padding is not an extension");
        assert!(message.attachments().next().is_none(), "{program}");
        if message.header.options.contains(Options::SEND_CHECK) {
            let (_, confirmation) = find(&packets, false, Command::RecvMsg).unwrap();
            let number = message.header.packet_no.low32();
            assert_eq!(confirmation.acknowledged().map(|number| number.0), number, "{program}");
        } else {
            assert!(["ipmsgrs", "mattn"].contains(&program.as_str()), "{program}");
        }
    }
}

#[test]
fn leaving() {
    for (program, packets) in of("exit") {
        let (_, farewell) = find(&packets, true, Command::BrExit).unwrap_or_else(|| panic!("{program}"));
        assert!(!farewell.header.user.is_empty() && !farewell.header.host.is_empty(), "{program}");
        if program.starts_with("official") {
            let leaves = packets.iter().filter(|packet| packet.datagram().header.command == Command::BrExit);
            assert_eq!(leaves.count(), 2, "{program} says it twice");
        }
    }
}

/// Two programs ask each other, and themselves, for keys.
#[test]
fn keys_are_read() {
    let (mut asked, mut answered) = (0, 0);
    for (program, scenario, packets) in captures() {
        for datagram in packets.iter().map(Packet::datagram) {
            match datagram.header.command {
                Command::GetPubKey => {
                    let methods = Methods::parse(datagram.body).unwrap();
                    assert!(methods.bits() == 0x21003 || methods.bits() == 0x0090_0004, "{program}-{scenario}");
                    asked += 1;
                }
                Command::AnsPubKey => {
                    let key = PublicKey::parse(datagram.body).unwrap();
                    assert!(key.exponent.octets().eq([1, 0, 1]), "{program}-{scenario}");
                    let bits = key.modulus.octets().count() * 8;
                    assert!([512, 1024, 2048].contains(&bits), "{program}-{scenario}: {bits}");
                    answered += 1;
                }
                _ => {}
            }
        }
    }
    assert!(asked >= 6 && answered >= 5, "{asked} {answered}");
}
