//! Strangers, floods, garbage, and tables without room.

use super::*;

fn stranger(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 | number), 2425)
}

/// R-IP-27, R-IP-38.
#[test]
fn ten_thousand_forged_members_push_out_nobody_who_answered() {
    let mut node = Small::new(plain_identity(), PacketNo(100), 1);
    node.announce(at(0));
    let _ = sent(&mut node, at(0));
    // With one of them a word was exchanged.
    meet(&mut node, 7, b"1:7:bob:pc-b:1:Bob\0");
    let _ = node.send(at(0), peer(7), &Message { text: b"hi", ..Message::default() });
    let _ = sent(&mut node, at(0));
    assert!(node.handle_datagram(at(0), peer(7), b"1:8:bob:pc-b:33:101").is_ok());
    let (mut came, mut went, mut answers) = (0, 0, 0);
    for number in 0..10_000 {
        let now = at(1_000 + u64::from(number) / 10);
        let entry = std::format!("1:{number}:user{number}:host{number}:16777217:Nick {number}\0Group\0");
        came += entry.len();
        assert!(node.handle_datagram(now, stranger(number), entry.as_bytes()).is_ok());
        for (_, octets) in sent(&mut node, now) {
            went += octets.len();
            answers += 1;
        }
    }
    assert_eq!(node.members().count(), 8);
    assert!(node.member_at(peer(7)).is_some());
    assert!(answers <= 200 + 100 + 10, "{answers}");
    assert!(went < came, "{went} of {came}");
}

/// proves: R-IP-27
#[test]
fn who_takes_the_name_of_a_proven_member_does_not_make_it_forgotten() {
    let mut node = node();
    meet(&mut node, 7, b"1:7:bob:pc-b:1:Bob\0");
    node.proven(*peer(7).ip());
    assert!(matches!(node.handle_datagram(at(8_000), peer(66), b"1:7:bob:pc-b:1:Bob\0"), Ok(Some(Event::Updated(_)))));
    for number in 0..100 {
        let entry = std::format!("1:1:user{number}:host{number}:1:n");
        assert!(node.handle_datagram(at(9_000), stranger(number), entry.as_bytes()).is_ok());
    }
    assert!(node.member_at(peer(66)).is_some_and(|member| !member.proven));
    // Its next entry brings it back.
    let back = node.handle_datagram(at(16_000), peer(7), b"1:8:bob:pc-b:1:Bob\0");
    let Ok(Some(Event::Updated(sighting))) = back else { panic!("{back:?}") };
    assert_eq!(sighting.moved_from, Some(peer(66)));
}

/// R-IP-38: each question alone, and what it makes us say in ten minutes, in which we announce ourselves, come back, and
/// leave.
#[test]
fn no_stranger_gets_more_than_three_times_what_it_sent() {
    let long = [b'x'; 64];
    let text = BothSets { utf8: &[b'y'; 128], legacy: &[b'z'; 128] };
    let notice = AbsenceNotice { title: text, text };
    let (mut silent, mut served) = (0, 0);
    for (version, name) in [("1", &long[..]), ("1", b"x"), ("1@shiyeline", &long), ("1@shiyeline", b"x")] {
        let names = Names::new(name, name, name, name);
        let software = "Feige, a very long name of a program";
        let identity = Identity { version: "1", software, utf8: names.clone(), legacy: names };
        for command in 0..=u8::MAX {
            for options in [0_u32, 0x100, 0x1_0000, 0x0010_0200, 0x0100_0000, 0x0181_0100] {
                for tail in ["", "5", "64ea4edd|5|0|1|1|0|0|2|0|00000000#\0", "nick\0group\0"] {
                    let mut node = Small::new(identity.clone(), PacketNo(4_000_000_000), 1);
                    node.announce(at(0));
                    let _ = sent(&mut node, at(0));
                    node.set_absence(at(0), Some(notice));
                    let _ = sent(&mut node, at(0));
                    let question = std::format!("{version}:1:u:h:{}:{tail}", options | u32::from(command));
                    let _ = node.handle_datagram(at(4_000), peer(7), question.as_bytes());
                    let (mut trace, _) = run(&mut node, 4_000, 6_000);
                    // Nobody else is remembered.
                    if node.member_at(peer(7)).is_some() {
                        trace.extend(run(&mut node, 6_000, 400_000).0);
                        node.set_absence(at(400_000), None);
                        trace.extend(run(&mut node, 400_000, 599_000).0);
                        node.leave(at(599_000));
                        trace.extend(run(&mut node, 599_000, 600_000).0);
                    }
                    trace.retain(|(_, to, _)| *to != Destination::Broadcast);
                    assert!(trace.iter().all(|(_, to, _)| *to == Destination::Unicast(peer(7))));
                    let went: usize = trace.iter().map(|(_, _, octets)| octets.len()).sum();
                    assert!(went <= 3 * question.len(), "{question:?}: {trace:?}");
                    silent += usize::from(trace.is_empty());
                    served += usize::from(trace.iter().any(|(time, ..)| *time > 10_000));
                }
            }
        }
    }
    assert!(silent > 20_000, "most commands are not answered: {silent}");
    assert!(served > 0, "there is something left for the rounds: {served}");
}

/// R-IP-38: and neither do all together get it at once.
#[test]
fn a_thousand_dial_up_members_are_no_weapon() {
    let mut node = Node::<1024, 1, 256, 8>::new(plain_identity(), PacketNo(100), 1);
    node.announce(at(0));
    let _ = run(&mut node, 0, 100_000);
    let (mut came, mut victims) = (0, Vec::new());
    for number in 0..1024 {
        let victim = stranger(number);
        let entry = std::format!("1@shiyeline:1:user{number}:host{number}:65537:nick\0group of dial-up members\0");
        came += entry.len();
        assert!(node.handle_datagram(at(100_000), victim, entry.as_bytes()).is_ok());
        victims.push(victim);
    }
    let (trace, _) = run(&mut node, 100_000, 600_000);
    let unicast: Vec<_> = trace.iter().filter(|(_, to, _)| *to != Destination::Broadcast).collect();
    assert!(unicast.iter().map(|(_, _, octets)| octets.len()).sum::<usize>() <= 3 * came);
    for (time, ..) in &unicast {
        let second = unicast.iter().filter(|(other, ..)| (*time..time + 1_000).contains(other)).count();
        assert!(second <= 200 + 100, "{second} within a second from {time} on");
    }
}

/// A tiny message is confirmed all the same, without our names.
#[test]
fn a_tiny_message_is_confirmed() {
    let long = [b'x'; 64];
    let names = Names::new(&long, &long, &long, b"");
    let identity = Identity { version: "1", software: "", utf8: names.clone(), legacy: names };
    let mut node = Small::new(identity, PacketNo(1_700_000_000), 1);
    let _ = node.handle_datagram(at(0), peer(7), b"1:5:u:h:288:\0");
    assert_eq!(sent(&mut node, at(0)), [to(7, b"1:1700000000:?:?:33:5\0")]);
}

#[test]
fn garbage_is_rejected_or_ignored() {
    let mut node = node();
    node.announce(at(0));
    let mut random = crate::hash::Random::new(9);
    let seeds: [&[u8]; 6] = [
        b"1:1700000050:u:h:2097440:see file\x00305419896:report.doc:12345:65a0b0c0:1:\x07\0",
        b"1_lbt80_0#128#107D1A0B2AB9#0#0#0#4000#9:91:a:b:2097344:64ea4edd|5|0|1|1|5|0|2|0|00000000#\0abcde",
        b"1:1700000090:taro:PC2:19:    0\x07    2\x07alice\x07PC1\x071\x07192.168.1.5\x0730985\x07A\x07D\x07\0",
        b"1:1425449922:alice:PC1:23068673:Alice\0Dev\0\nUN:alice\nHN:PC1\nNN:Alice\nGN:Dev",
        b"1:5:x:y:33:1700000020abc\0\0",
        b"1:5:x:y:48:1700000020\0",
    ];
    for round in 0..20_000_u64 {
        let mut octets = seeds[(random.next() % 6) as usize].to_vec();
        for _ in 0..random.next() % 6 {
            let place = (random.next() % octets.len() as u64) as usize;
            match random.next() % 3 {
                0 => octets[place] = random.next() as u8,
                1 => octets.truncate(place.max(1)),
                _ => octets.insert(place, b":\0\x070"[(random.next() % 4) as usize]),
            }
        }
        let now = at(round * 7);
        let _ = node.handle_datagram(now, stranger((random.next() % 64) as u32), &octets);
        if round % 3 == 0 {
            let (sent, ..) = poll(&mut node, now);
            assert!(sent.iter().all(|(_, octets)| crate::wire::ipmsg::Datagram::parse(octets).is_ok()));
        }
    }
    assert!(node.members().count() <= 8);
}

/// A member that does not answer does not make the outbox grow, and what has room is sent.
#[test]
fn a_full_outbox_says_so_and_recovers() {
    let mut node = Node::<4, 3, 200, 8>::new(plain_identity(), PacketNo(100), 1);
    let text = [b'x'; 60];
    let message = Message { text: &text, ..Message::default() };
    let first = node.send(at(0), peer(1), &message).unwrap();
    let second = node.send(at(0), peer(2), &message).unwrap();
    assert_eq!(node.send(at(0), peer(3), &message), Err(Full(Table::Outbox)), "no room");
    assert_eq!(node.next_packet_no(), PacketNo(102), "no number was used");
    let long = Message { text: &[b'x'; 300], ..Message::default() };
    assert_eq!(node.send(at(0), peer(3), &long), Err(Full(Table::Datagram)));
    let _ = sent(&mut node, at(0));
    let ack = |number: PacketNo| std::format!("1:1:u:h:33:{}", number.0);
    assert!(node.handle_datagram(at(1), peer(1), ack(first).as_bytes()).is_ok());
    // The arena has a hole at the front: what is behind it moves, unchanged.
    let third = node.send(at(1), peer(3), &message).unwrap();
    let mut expected = std::format!("1:{}:alice:pc-a:288:", third.0).into_bytes();
    expected.extend(text);
    expected.push(0);
    assert_eq!(sent(&mut node, at(1)), [to(3, &expected)]);
    let (trace, _) = run(&mut node, 2, 1_000);
    let second_copy = std::format!("1:{}:alice", second.0);
    assert!(trace.iter().any(|(_, to, octets)| *to == Destination::Unicast(peer(2))
        && octets.starts_with(second_copy.as_bytes())
        && octets.len() == expected.len()));
    node.read(at(2_000), peer(4), PacketToken("7".into()), true).unwrap();
    assert_eq!(node.read(at(2_000), peer(4), PacketToken("7".into()), true), Err(Full(Table::Outbox)), "no slot");
}

/// Every table with 0, 1 and 2 places, through a whole conversation.
#[test]
fn every_capacity_works() {
    fn converse<const M: usize, const S: usize, const B: usize, const N: usize>() {
        let mut node = Node::<M, S, B, N>::new(plain_identity(), PacketNo(100), 1);
        node.announce(at(0));
        let _ = node.greet(at(0), peer(60));
        for last in 1..5 {
            let entry = std::format!("1:{last}:user{last}:host{last}:16842753:nick\0group\0");
            let Ok(Some(Event::Online(sighting))) = node.handle_datagram(at(0), peer(last), entry.as_bytes()) else {
                panic!()
            };
            assert_eq!(sighting.kept, M > 0);
            let _ = node.send(at(0), peer(last), &Message { text: b"hello", ..Message::default() });
            let message = std::format!("1:1{last}:user{last}:host{last}:288:hello\0");
            assert!(matches!(node.handle_datagram(at(0), peer(last), message.as_bytes()), Ok(Some(Event::Message(_)))));
            let (sent, ..) = poll(&mut node, at(0));
            assert!(sent.iter().any(|(_, octets)| octets.windows(4).any(|part| part == b":33:")));
        }
        assert!(node.members().count() <= M && node.outgoing() <= S);
        let (trace, alarms) = run(&mut node, 0, 2_000_000);
        assert!(!trace.is_empty());
        let gave_up = alarms.iter().filter(|(_, alarm)| matches!(alarm, Alarm::GaveUp { .. })).count();
        assert_eq!(gave_up, S.min(4).min(B / 27));
        node.leave(at(2_000_000));
        assert!(run(&mut node, 2_000_000, u64::MAX).0.len() >= 2);
    }
    converse::<0, 0, 0, 0>();
    converse::<1, 1, 27, 1>();
    converse::<2, 2, 54, 2>();
    converse::<1, 2, 54, 0>();
    converse::<0, 8, 4096, 32>();
    converse::<2, 0, 4096, 32>();
    converse::<16, 8, 4096, 32>();
}

/// With all places taken by proven members a newcomer is told, answered, and not kept.
#[test]
fn a_table_full_of_friends() {
    let mut node = Node::<2, 2, 512, 8>::new(plain_identity(), PacketNo(100), 1);
    node.announce(at(0));
    let _ = sent(&mut node, at(0));
    for last in [1, 2] {
        let entry = std::format!("1:{last}:user{last}:host{last}:16777217:nick\0group\0");
        assert!(node.handle_datagram(at(0), peer(last), entry.as_bytes()).is_ok());
        node.proven(*peer(last).ip());
    }
    let _ = run(&mut node, 0, 2_000);
    let entry = b"1:9:newcomer:host9:16777217:nick\0group\0";
    let Ok(Some(Event::Online(sighting))) = node.handle_datagram(at(3_000), peer(9), entry) else { panic!() };
    assert!(!sighting.kept && sighting.evicted.is_none());
    assert_eq!(sent(&mut node, at(3_000)).len(), 1, "answered at once");
    assert_eq!(node.members().count(), 2);
}
