//! What eleven real programs put on the wire, replayed into a node octet for octet.
//!
//! In the captures a script (10.77.0.100) talks with each program. Here a node stands in the script's place: it hears what
//! the script heard and, given the number that the script used, must get its messages confirmed.

use super::*;

struct Line {
    scenario: &'static str,
    from: SocketAddrV4,
    octets: Vec<u8>,
}

fn lines() -> Vec<Line> {
    let text = include_str!("captures.tsv");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            Line { scenario: fields[0], from: fields[2].parse().unwrap(), octets: unescape(fields[4]) }
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'\\' => match rest.next() {
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    octets.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                other => octets.extend(other),
            },
            octet => octets.push(octet),
        }
    }
    octets
}

fn script() -> SocketAddrV4 {
    peer(100)
}

fn named(scenario: &str) -> Vec<Line> {
    lines().into_iter().filter(|line| line.scenario == scenario).collect()
}

const PROGRAMS: [&str; 10] =
    ["feiq", "ipmsgrs", "iptux", "iptux083", "iptuxgui", "libipmsg", "masanorih", "mattn", "official", "perl"];

#[test]
fn everything_is_understood() {
    for Line { scenario, from, octets } in lines() {
        let mut node = node();
        node.announce(at(0));
        match node.handle_datagram(at(0), from, &octets) {
            Ok(_) | Err(Rejected::Unasked) => {}
            Err(error) => panic!("{scenario}: {error}"),
        }
    }
}

#[test]
fn they_are_seen_when_they_start_and_when_they_answer() {
    for program in PROGRAMS {
        for scenario in ["start", "entry"] {
            let mut node = node();
            node.announce(at(0));
            let _ = sent(&mut node, at(0));
            let (mut online, mut asked) = (0, false);
            for Line { from, octets, .. } in named(&std::format!("{program}-{scenario}")) {
                if from == script() {
                    continue;
                }
                let event = node.handle_datagram(at(0), from, &octets);
                online += usize::from(matches!(event, Ok(Some(Event::Online(_)))));
                asked |= crate::wire::ipmsg::Datagram::parse(&octets).unwrap().header.command == Command::BrEntry;
            }
            assert_eq!((online, node.members().count()), (1, 1), "{program}-{scenario}");
            let member = node.members().next().unwrap();
            assert!(!member.user.is_empty() && !member.host.is_empty(), "{program}");
            assert!(!member.absent(), "{program}: iptux is there although it says that it is away");
            // R-IP-29: an entry is answered, an answer never.
            let (trace, _) = run(&mut node, 0, 1_100);
            assert_eq!(trace.len(), usize::from(asked), "{program}-{scenario}: {trace:?}");
            if asked {
                let word = crate::wire::ipmsg::Datagram::parse(&trace[0].2).unwrap().header.command;
                assert_eq!(word, Command::AnsEntry, "{program}");
            }
        }
    }
}

#[test]
fn their_confirmations_are_understood() {
    for program in PROGRAMS {
        let [message, ack] = &named(&std::format!("{program}-msgrecv"))[..] else { panic!("{program}") };
        let number = crate::wire::ipmsg::Datagram::parse(&message.octets).unwrap().header.packet_no.low32().unwrap();
        let mut node = Small::new(plain_identity(), PacketNo(number), 1);
        let hello = Message { text: b"hello", ..Message::default() };
        assert_eq!(node.send(at(0), ack.from, &hello), Ok(PacketNo(number)));
        let _ = sent(&mut node, at(0));
        match node.handle_datagram(at(1), ack.from, &ack.octets) {
            Ok(Some(Event::Delivered { packet_no, to, .. })) => assert_eq!((packet_no.0, to), (number, ack.from)),
            other => panic!("{program}: {other:?}"),
        }
    }
}

/// The script's confirmations were accepted by the programs: ours must have the same command and number.
#[test]
fn their_messages_are_shown_once_and_confirmed_as_they_want_it() {
    for program in PROGRAMS.iter().filter(|program| **program != "iptuxgui") {
        let lines = named(&std::format!("{program}-msgsend"));
        let mut node = node();
        for (copy, line) in lines.iter().filter(|line| line.from != script()).chain(lines.first()).enumerate() {
            let event = node.handle_datagram(at(0), line.from, &line.octets);
            assert_eq!(matches!(event, Ok(Some(Event::Message(_)))), copy == 0, "{program}: {event:?}");
        }
        let ours = sent(&mut node, at(0));
        match lines.iter().find(|line| line.from == script()) {
            // Some ask for no confirmation and get none.
            None => assert_eq!(ours, [], "{program}"),
            Some(theirs) => {
                let of = |octets: &[u8]| {
                    let datagram = crate::wire::ipmsg::Datagram::parse(octets).unwrap();
                    (datagram.header.word(), datagram.body.to_vec())
                };
                assert_eq!(ours.len(), 2, "{program}");
                assert_eq!(of(&ours[0].1), of(&theirs.octets), "{program}");
                assert_eq!(of(&ours[1].1), of(&theirs.octets), "{program}");
            }
        }
    }
}

#[test]
fn they_are_gone_when_they_leave() {
    for program in PROGRAMS {
        let exit = named(&std::format!("{program}-exit"));
        if exit.is_empty() {
            continue;
        }
        let mut node = node();
        for line in named(&std::format!("{program}-entry")).iter().filter(|line| line.from != script()) {
            let _ = node.handle_datagram(at(0), line.from, &line.octets);
        }
        assert_eq!(node.members().count(), 1, "{program}");
        let offline = exit.iter().filter(|line| {
            matches!(node.handle_datagram(at(0), line.from, &line.octets), Ok(Some(Event::Offline { .. })))
        });
        assert_eq!(offline.count(), 1, "{program}");
        assert_eq!(node.members().count(), 0, "{program}");
    }
}
