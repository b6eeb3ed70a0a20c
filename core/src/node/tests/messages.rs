//! Messages, confirmations, receipts, offers.

use super::*;
use crate::wire::ipmsg::{FileKind, FileRequest, MAX_DATAGRAM};

const HELLO: Message<'static> = Message {
    text: b"hello",
    utf8: false,
    sealed: false,
    attachments: b"",
    packet_no: None,
    recipients: Recipients::One,
    auto: false,
};

/// proves: R-IP-42
#[test]
fn five_equal_copies_a_second_apart_then_it_gives_up() {
    let mut node = node();
    assert_eq!(node.send(at(0), peer(7), &HELLO), Ok(PacketNo(100)));
    let (trace, alarms) = run(&mut node, 0, 60_000);
    let octets = b"1:100:alice:pc-a:288:hello\0".to_vec();
    let expected: Vec<_> =
        (0..5).map(|second| (second * 1000, Destination::Unicast(peer(7)), octets.clone())).collect();
    assert_eq!(trace, expected);
    assert_eq!(alarms.len(), 1);
    assert!(matches!(alarms[0], (5_000, Alarm::GaveUp { packet_no: PacketNo(100), what: Delivery::Message, .. })));
    assert_eq!(node.outgoing(), 0);
}

/// R-IP-43: digits at the front, any option, any address.
#[test]
fn confirmations_of_every_kind_are_understood() {
    for (from, ack) in [
        (peer(7), &b"1:1:bob:pc-b:33:100"[..]),
        (peer(7), b"1_iptux 0.9.4:7:bob:bob-pc:289:100\0"),
        (peer(7), b"1:785000001:mac:Mac:8388897:100\0"),
        (peer(7), b"1:5:x:y:33:100abc\0\0"),
        (peer(7), b"1:5:x:y:33:0000000100"),
        (peer(7), b"1:5:x:y:33:4294967396"),
        (peer(99), b"1:1:bob:pc-b:33:100"),
    ] {
        let mut node = node();
        node.send(at(0), peer(7), &HELLO).unwrap();
        // Too early: it was not sent yet, so this is a guess.
        assert_eq!(node.handle_datagram(at(0), from, ack).unwrap_err(), Rejected::Unasked);
        let _ = sent(&mut node, at(0));
        let Ok(Some(Event::Delivered { packet_no, to, by })) = node.handle_datagram(at(1), from, ack) else { panic!() };
        assert_eq!((packet_no, to, by), (PacketNo(100), peer(7), from));
        assert_eq!(node.handle_datagram(at(2), from, ack).unwrap_err(), Rejected::Unasked);
        assert_eq!(run(&mut node, 2, 60_000).0, []);
    }
}

#[test]
fn room_is_made_at_the_cost_of_strangers_only() {
    let mut node = node();
    // Eve confirms something, Bob is only seen, and of whoever is at 9 nobody knows anything.
    meet(&mut node, 8, b"1:1:eve:pc-e:1:Eve\0");
    meet(&mut node, 7, b"1:1:bob:pc-b:1:Bob\0");
    let proof = node.send(at(0), peer(8), &HELLO).unwrap();
    let _ = sent(&mut node, at(0));
    assert!(node.handle_datagram(at(1), peer(8), b"1:2:eve:pc-e:33:100").is_ok(), "{proof:?}");
    assert!(node.member_at(peer(8)).is_some_and(|member| member.proven));
    let to_eve = node.send(at(1), peer(8), &HELLO).unwrap();
    let to_bob = node.send(at(1), peer(7), &HELLO).unwrap();
    let to_nobody = node.send(at(1), peer(9), &HELLO).unwrap();
    let _ = sent(&mut node, at(1));
    assert_eq!(node.outgoing(), 3);
    // The oldest first: nobody confirms that one any longer, and there is no alarm.
    assert!(node.give_up_on_stranger());
    let late = |number: PacketNo| std::format!("1:2:bob:pc-b:33:{}", number.0).into_bytes();
    assert_eq!(node.handle_datagram(at(2), peer(7), &late(to_bob)).unwrap_err(), Rejected::Unasked);
    assert!(node.give_up_on_stranger());
    assert_eq!(node.handle_datagram(at(2), peer(9), &late(to_nobody)).unwrap_err(), Rejected::Unasked);
    assert!(!node.give_up_on_stranger());
    assert_eq!(node.outgoing(), 1);
    let (trace, alarms) = run(&mut node, 2, 60_000);
    assert!(
        trace
            .iter()
            .filter(|(_, to, _)| *to != Destination::Broadcast)
            .all(|(_, to, _)| *to == Destination::Unicast(peer(8)))
    );
    assert!(matches!(alarms[..], [(_, Alarm::GaveUp { packet_no, .. })] if packet_no == to_eve), "{alarms:?}");
}

/// proves: R-IP-51
#[test]
fn several_recipients_share_a_number_and_confirm_one_by_one() {
    let mut node = node();
    meet(&mut node, 8, b"1:1:eve:pc-e:1:Eve\0");
    let several = Message { recipients: Recipients::Several, ..HELLO };
    let packet_no = node.send(at(0), peer(7), &several).unwrap();
    assert_eq!(node.send(at(0), peer(8), &Message { packet_no: Some(packet_no), ..several }), Ok(packet_no));
    let copies = sent(&mut node, at(0));
    assert_eq!(copies, [to(7, b"1:100:alice:pc-a:2336:hello\0"), to(8, b"1:100:alice:pc-a:2336:hello\0")]);
    assert_eq!(node.next_packet_no(), PacketNo(101));
    // Nobody knows whose confirmation this is.
    assert!(node.handle_datagram(at(1), peer(99), b"1:1:zoe:pc-z:33:100").is_err());
    // Eve's, from her other network card.
    let event = node.handle_datagram(at(1), peer(98), b"1:1:EVE:PC-E:33:100");
    assert!(matches!(event, Ok(Some(Event::Delivered { to, .. })) if to == peer(8)));
    let event = node.handle_datagram(at(1), peer(7), b"1:1:bob:pc-b:33:100");
    assert!(matches!(event, Ok(Some(Event::Delivered { to, .. })) if to == peer(7)));
}

#[test]
fn options_of_messages() {
    let mut node = node();
    let all = Message { recipients: Recipients::Everybody, ..HELLO };
    node.send(at(0), peer(7), &all).unwrap();
    node.send(at(0), peer(7), &Message { sealed: true, utf8: true, ..HELLO }).unwrap();
    node.send(at(0), peer(8), &Message { attachments: b"1:a:5:0:1:\x07", text: b"a\0b", ..HELLO }).unwrap();
    node.send(at(0), peer(8), &Message { auto: true, ..HELLO }).unwrap();
    assert_eq!(
        sent(&mut node, at(0)),
        [
            everybody(b"1:100:alice:pc-a:1056:hello\0"),
            to(7, b"1:101:alice:pc-a:9437984:hello\0"),
            to(8, b"1:102:alice:pc-a:2097440:a b\x001:a:5:0:1:\x07\0"),
            to(8, b"1:103:alice:pc-a:8224:hello\0"),
        ]
    );
    assert_eq!(node.outgoing(), 2, "those that are confirmed");
    let echo = node.handle_datagram(at(1), peer(1), b"1:100:alice:pc-a:1056:hello\0");
    assert_eq!(echo.unwrap_err(), Rejected::Own);
}

/// proves: R-IP-10, R-IP-40, R-IP-49, R-IP-52
#[test]
fn every_copy_is_confirmed_and_the_first_is_shown() {
    let mut node = node();
    meet(&mut node, 7, b"1:1:u:h:1:n\0");
    let shows = |node: &mut Small, octets: &[u8]| {
        matches!(node.handle_datagram(at(1), peer(7), octets), Ok(Some(Event::Message(_))))
    };
    assert!(shows(&mut node, b"1:0000000042:u:h:288:x\0"));
    assert_eq!(sent(&mut node, at(1)), [to(7, b"1:100:alice:pc-a:33:0000000042\0")]);
    let mut padded = b"1:0000000042:u:h:288:x\0".to_vec();
    padded.extend([0; 64]);
    assert!(!shows(&mut node, &padded));
    assert_eq!(sent(&mut node, at(1)), [to(7, b"1:101:alice:pc-a:33:0000000042\0")]);
    // iptux was started again: the same number, another message.
    assert!(shows(&mut node, b"1:0000000042:u:h:288:y\0"));
    assert_eq!(sent(&mut node, at(1)).len(), 1);
    for quiet in [
        &b"1::u:h:288:x\0"[..],
        b"1:abc:u:h:288:x\0",
        b"1:123456789012345678901:u:h:288:x\0",
        b"1:43:u:h:32:x\0",
        b"1:44:u:h:1312:x\0",
        b"1:45:u:h:8480:x\0",
    ] {
        assert!(shows(&mut node, quiet));
        assert!(!shows(&mut node, quiet));
        assert_eq!(sent(&mut node, at(1)), []);
    }
}

/// proves: R-IP-36
#[test]
fn unknown_senders_are_told_of_us() {
    let mut node = node();
    node.announce(at(0));
    let _ = sent(&mut node, at(0));
    let _ = node.handle_datagram(at(1), peer(7), b"1:5:bob:pc-b:288:hello, I have never seen you before\0");
    let answers = sent(&mut node, at(1));
    assert_eq!(answers[0], to(7, b"1:101:alice:pc-a:33:5\0"));
    assert!(answers[1].1.starts_with(b"1:102:alice:pc-a:18874369:"));
    let _ = node.handle_datagram(at(1), peer(7), b"1:6:bob:pc-b:524576:hello, but do not add me\0");
    assert_eq!(sent(&mut node, at(1)), [to(7, b"1:103:alice:pc-a:33:6\0")]);
    // A short one leaves no room for an entry until its sender has shown that it receives.
    let _ = node.handle_datagram(at(2), peer(7), b"1:7:bob:pc-b:288:hi\0");
    assert_eq!(sent(&mut node, at(2)).len(), 1);
    let packet_no = node.send(at(3), peer(7), &HELLO).unwrap();
    let _ = sent(&mut node, at(3));
    let _ = node.handle_datagram(at(4), peer(7), std::format!("1:8:bob:pc-b:33:{}\0", packet_no.0).as_bytes());
    let answers = sent(&mut node, at(4));
    assert!(matches!(&answers[..], [(_, entry)] if entry.starts_with(b"1:106:alice:pc-a:18874369:")), "{answers:?}");
}

/// proves: R-IP-9
#[test]
fn nothing_longer_than_everybody_receives_is_sent() {
    let mut node = Node::<4, 4, 20_000, 8>::new(plain_identity(), PacketNo(100), 1);
    let text = [b'x'; MAX_DATAGRAM];
    let fits = MAX_DATAGRAM - b"1:100:alice:pc-a:288:\0".len();
    assert_eq!(node.send(at(0), peer(7), &Message { text: &text, ..HELLO }), Err(Full(Table::Datagram)));
    assert_eq!(node.send(at(0), peer(7), &Message { text: &text[..=fits], ..HELLO }), Err(Full(Table::Datagram)));
    node.send(at(0), peer(7), &Message { text: &text[..fits], ..HELLO }).unwrap();
    assert_eq!(sent(&mut node, at(0))[0].1.len(), MAX_DATAGRAM);
}

/// proves: R-IP-48
#[test]
fn what_cannot_be_read_is_not_confirmed() {
    let mut node = node();
    node.announce(at(0));
    let _ = sent(&mut node, at(0));
    let message = b"1:72:f:F:4194592:20002:00ff00ff00ff00ff00ff00ff00ff00ff:ce8b21c8129fe719\0";
    let Ok(Some(Event::Message(incoming))) = node.handle_datagram(at(1), peer(7), message) else { panic!() };
    assert!(incoming.encrypted());
    assert_eq!(sent(&mut node, at(1)), [to(7, b"1:101:alice:pc-a:18874371:Alice\0Dev\0")]);
    assert_eq!(node.handle_datagram(at(2), peer(7), message).unwrap_err(), Rejected::Duplicate);
    assert_eq!(sent(&mut node, at(2)), []);
}

/// proves: R-IP-44
#[test]
fn receipts() {
    let mut node = node();
    let Ok(Some(Event::Message(incoming))) = node.handle_datagram(at(0), peer(7), b"1:0042:u:h:1049376:psst\0") else {
        panic!()
    };
    assert!(incoming.sealed() && incoming.read_check() && !incoming.locked());
    assert_eq!(sent(&mut node, at(0)).len(), 1);
    assert_eq!(node.read(at(1_000), peer(7), incoming.token(), true), Ok(PacketNo(101)));
    let (trace, alarms) = run(&mut node.clone(), 1_000, 60_000);
    let times: Vec<u64> = trace.iter().map(|(time, ..)| *time).collect();
    assert_eq!(times, (0..12).map(|copy| 1_000 + copy * 750).collect::<Vec<_>>());
    assert!(trace.iter().all(|(.., octets)| octets == b"1:101:alice:pc-a:1048624:0042\0"));
    assert!(matches!(alarms[..], [(10_000, Alarm::GaveUp { what: Delivery::Reading, .. })]));
    let _ = sent(&mut node, at(1_000));
    assert!(matches!(node.handle_datagram(at(1_100), peer(7), b"1:43:u:h:50:101\0"), Ok(None)));
    assert_eq!(run(&mut node, 1_100, 60_000).0, []);
    node.read(at(70_000), peer(7), incoming.token(), false).unwrap();
    assert_eq!(sent(&mut node, at(70_000)), [to(7, b"1:102:alice:pc-a:48:0042\0")]);
    node.discard(peer(7), incoming.token()).unwrap();
    node.release(peer(7), incoming.token()).unwrap();
    let both = [to(7, b"1:103:alice:pc-a:49:0042\0"), to(7, b"1:104:alice:pc-a:97:0042\0")];
    assert_eq!(sent(&mut node, at(70_000)), both);
}

#[test]
fn receipts_of_others() {
    let mut node = node();
    node.send(at(0), peer(7), &Message { sealed: true, ..HELLO }).unwrap();
    let _ = sent(&mut node, at(0));
    // RECVMSG was lost; who opened it has it.
    let read = b"1:1700000040:u:h:1048624:100\0";
    let Ok(Some(Event::Read { packet_no, .. })) = node.handle_datagram(at(500), peer(7), read) else { panic!() };
    assert_eq!(packet_no, PacketNo(100));
    assert_eq!(
        run(&mut node, 500, 60_000).0,
        [(500, Destination::Unicast(peer(7)), b"1:101:alice:pc-a:50:1700000040\0".to_vec())]
    );
    assert_eq!(node.handle_datagram(at(600), peer(7), read).unwrap_err(), Rejected::Duplicate);
    assert_eq!(sent(&mut node, at(600)).len(), 1, "confirmed again");
    assert!(matches!(node.handle_datagram(at(700), peer(7), b"1:5:u:h:49:100\0"), Ok(Some(Event::Discarded { .. }))));
    assert!(matches!(node.handle_datagram(at(700), peer(7), b"1:6:u:h:97:100\0"), Ok(Some(Event::Released { .. }))));
}

/// proves: R-IP-57
#[test]
fn iptux_gets_messages_in_order() {
    let mut node = node();
    meet(&mut node, 7, b"1_iptux 0.9.4:1:bob:bob-pc:257:bob\0team\0icon-tux.png\0utf-8\0");
    node.send(at(0), peer(7), &HELLO).unwrap();
    node.send(at(0), peer(7), &HELLO).unwrap();
    node.send(at(0), peer(8), &HELLO).unwrap();
    assert_eq!(sent(&mut node, at(0)).len(), 2, "the first to iptux, and the one to somebody else");
    let _ = node.handle_datagram(at(10), peer(7), b"1_iptux 0.9.4:7:bob:bob-pc:289:100\0");
    assert_eq!(sent(&mut node, at(10)), [to(7, b"1:101:alice:pc-a:288:hello\0")]);
}

/// proves: R-IP-46, R-IP-47, R-IP-55
#[test]
fn feiq() {
    let mut node = node();
    let version = "1_lbt80_0#128#107D1A0B2AB9#0#0#0#4000#9";
    let mut answer = |rest: &str| {
        let octets = std::format!("{version}:91:a:b:{rest}");
        let event = std::format!("{:?}", node.handle_datagram(at(0), peer(7), octets.as_bytes()));
        (event, sent(&mut node, at(0)).into_iter().map(|(_, octets)| octets).collect::<Vec<_>>())
    };
    let (event, answers) = answer("119:\0");
    assert!(event.contains("Opened") && answers[0].ends_with(b":120:\0"));
    assert!(answer("472:0\0").1[0].ends_with(b":120:\0"));
    assert_eq!(answer("216:0\0").1.len(), 0);
    let (event, answers) = answer("209:\0");
    assert!(event.contains("Knock") && answers[0].ends_with(b":210:\0"));
    assert!(answer("121:\0").0.contains("typing: true"));
    assert!(answer("122:\0").0.contains("typing: false"));
    let (event, answers) = answer("2097344:64ea4edd|5|0|1|1|5|0|2|0|00000000#\0\u{1}\0\u{2}\0\u{3}");
    assert!(event.contains("Image") && answers[0].ends_with(b":193:64ea4edd|1#\0"));
}

#[test]
fn a_small_buffer_loses_nothing() {
    let mut node = node();
    node.announce(at(0));
    node.send(at(0), peer(7), &HELLO).unwrap();
    node.ask_info(peer(7)).unwrap();
    let mut reference = node.clone();
    let whole = sent(&mut reference, at(0));
    let mut pieces = Vec::new();
    loop {
        match node.poll(at(0), &mut [0; 4]) {
            Output::BufferTooSmall(small) => {
                let mut buffer = std::vec![0; small.needed];
                let Output::Transmit { to, octets } = node.poll(at(0), &mut buffer) else { panic!() };
                pieces.push((to, octets.to_vec()));
            }
            Output::Wait(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pieces, whole);
}

/// proves: R-IP-53, R-IP-54, R-IP-56, R-IP-73
#[test]
fn offers() {
    let mut offers = Offers::<3>::new();
    let (bob, eve) = (Audience::Host(*peer(7).ip()), *peer(8).ip());
    offers.offer(at(0), PacketNo(0x10), bob, 10, FileKind::Regular, 5, 0).unwrap();
    offers.offer(at(0), PacketNo(0x10), bob, 11, FileKind::Folder, 0, 1).unwrap();
    offers.offer(at(0), PacketNo(0x11), Audience::Everybody, 1, FileKind::Regular, 5, 2).unwrap();
    let full = offers.offer(at(0), PacketNo(0x12), bob, 1, FileKind::Regular, 5, 3);
    assert_eq!(full, Err(Full(Table::Offers)));
    let ask = |offers: &Offers<3>, now, from, body: &str| {
        let octets = std::format!("1:5:u:h:{body}");
        offers.authorise(at(now), from, &FileRequest::parse(octets.as_bytes()).unwrap()).map(|offer| offer.handle)
    };
    let bob = *peer(7).ip();
    assert_eq!(ask(&offers, 1, bob, "96:10:a:0:"), Ok(0));
    assert_eq!(ask(&offers, 1, bob, "96:10:10:0:"), Ok(0), "the id in decimal");
    assert_eq!(ask(&offers, 1, bob, "98:10:1:"), Ok(1), "the place");
    assert_eq!(ask(&offers, 1, bob, "96:10:1:0:"), Err(Refused::WrongKind));
    assert_eq!(ask(&offers, 1, bob, "98:10:a:"), Ok(0), "a file as a folder stream");
    assert_eq!(ask(&offers, 1, bob, "96:10:a:5:"), Ok(0));
    assert_eq!(ask(&offers, 1, bob, "96:10:a:6:"), Err(Refused::BeyondEnd));
    assert_eq!(ask(&offers, 1, bob, "96:10:2:0:"), Err(Refused::NotOffered));
    assert_eq!(ask(&offers, 1, eve, "96:10:a:0:"), Err(Refused::NotToYou));
    assert_eq!(ask(&offers, 1, eve, "96:11:1:0:"), Ok(2));
    assert_eq!(ask(&offers, 1, eve, "96:12:1:0:"), Err(Refused::NotOffered));
    // Fetched: for another hour.
    let offer = *offers.iter().next().unwrap();
    offers.fetched(at(1_000), &offer);
    assert_eq!(ask(&offers, 3_600_999, bob, "96:10:a:0:"), Ok(0));
    assert_eq!(ask(&offers, 3_601_000, bob, "96:10:a:0:"), Err(Refused::NotOffered));
    assert_eq!(offers.next_deadline(), Some(at(3_601_000)));
    assert_eq!(offers.expire(at(3_601_000)), 1);
    // Bob does not speak for everybody, nor Eve for Bob.
    assert_eq!((offers.release(eve, PacketNo(0x10)), offers.release(bob, PacketNo(0x11))), (0, 0));
    assert_eq!(offers.release(bob, PacketNo(0x10)), 1);
    assert_eq!(offers.withdraw(PacketNo(0x11)), 1);
    assert_eq!(offers.next_deadline(), None);
}
