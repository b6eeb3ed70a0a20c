//! Entries, absence, members.

use super::*;

const ENTRY: &[u8] = b"1:100:alice:pc-a:18874369:Alice\0Dev\0\nUN:alice\nHN:pc-a\nNN:Alice\nGN:Dev\n\0";

#[test]
fn announces_itself_and_leaves() {
    let mut node = node();
    assert_eq!(poll(&mut node, at(0)).2, None, "nothing to do before it is announced");
    node.announce(at(0));
    let (trace, _) = run(&mut node, 0, 400_000);
    let times: Vec<u64> = trace.iter().map(|(time, ..)| *time).collect();
    assert_eq!(times, [0, 5_000, 185_000, 365_000]);
    assert_eq!(trace[0].2, ENTRY);
    assert_eq!(trace[0].1, Destination::Broadcast);
    assert!(trace[3].2.starts_with(b"1:103:"));
    node.leave(at(400_000));
    assert!(!node.has_left() && !node.is_online());
    let (trace, _) = run(&mut node, 400_000, u64::MAX);
    assert_eq!(trace.iter().map(|(time, ..)| *time).collect::<Vec<_>>(), [400_000, 400_030]);
    assert!(node.has_left());
    assert!(trace[1].2.starts_with(b"1:105:alice:pc-a:18874370:Alice\0"));
    assert_eq!(poll(&mut node, at(500_000)).2, None);
}

/// proves: R-IP-29
#[test]
fn entries_are_answered_once_after_a_while_in_the_askers_charset() {
    let mut node = Small::new(identity(), PacketNo(100), 1);
    node.announce(at(0));
    let _ = sent(&mut node, at(0));
    for _ in 0..3 {
        let _ = node.handle_datagram(at(10), peer(7), b"1:7:bob:pc-b:18874369:Bob, who has a long nickname\0Ops\0");
        let _ = node.handle_datagram(at(10), peer(8), b"1:7:eve:pc-e:2097153:Eve, who has a long nickname\0Ops\0");
    }
    assert_eq!(sent(&mut node, at(10)), []);
    let (trace, _) = run(&mut node, 10, 1_034);
    let mut answers: Vec<_> = trace.into_iter().map(|(_, to, octets)| (to, octets)).collect();
    answers.sort_by_key(|(to, _)| std::format!("{to:?}"));
    assert_eq!(answers.len(), 2);
    let utf8 = ":飞:pc-a:27262979:阿飞\0组\0".as_bytes();
    assert_eq!(answers[0].0, Destination::Unicast(peer(7)));
    assert_eq!(&answers[0].1[5..], utf8);
    assert_eq!(answers[1].0, Destination::Unicast(peer(8)));
    assert_eq!(&answers[1].1[5..], b":\xb7\xc9:pc-a:18874371:\xb0\xa2\xb7\xc9\0\xd7\xe9\0");
}

/// proves: R-IP-21
#[test]
fn no_datagram_is_in_two_charsets() {
    let mut node = Small::new(identity(), PacketNo(100), 1);
    node.announce(at(0));
    // The broadcast that everybody hears is in the legacy set alone.
    assert_eq!(sent(&mut node, at(0))[0].1, b"1:100:\xb7\xc9:pc-a:18874369:\xb0\xa2\xb7\xc9\0\xd7\xe9\0");
    // Who answers it and reads UTF-8, which iptux says in its own way, is told the names in UTF-8.
    let answers: [&[u8]; 2] = [
        b"1:7:bob:pc-b:18874371:Bob, who has a long nickname\0Operations\0",
        b"1_iptux 0.8.3:3:root:iptux-host:259:iptux nick\0iptux group\0icon-tux.png\0utf-8\0",
    ];
    let status = ":飞:pc-a:18874372:阿飞\0组\0\nUN:飞\nHN:pc-a\nNN:阿飞\nGN:组\n\0".as_bytes();
    for (last, answer) in (7..).zip(answers) {
        assert!(matches!(node.handle_datagram(at(10), peer(last), answer), Ok(Some(Event::Online(_)))));
        let told = sent(&mut node, at(10));
        assert_eq!((told.len(), told[0].0), (1, Destination::Unicast(peer(last))));
        assert!(told[0].1.ends_with(status), "{}", told[0].1.escape_ascii());
        assert!(node.member_at(peer(last)).unwrap().utf8());
    }
    // FeiQ does not.
    meet(&mut node, 9, b"1_lbt6_0#128#F8B46AA55B28#0#0#0#4001#9:1:13652:DESKTOP:6291459:13652\0\0");
    assert_eq!(sent(&mut node, at(11)), []);
    // When the user goes away nobody answers, so both are told at once.
    let title = BothSets { utf8: "午休".as_bytes(), legacy: b"\xce\xe7\xd0\xdd" };
    node.set_absence(at(20), Some(AbsenceNotice { title, text: BothSets::default() }));
    let told = sent(&mut node, at(20));
    assert_eq!(told.len(), 3);
    assert!(told[0].1.ends_with(b":18874628:\xb0\xa2\xb7\xc9[\xce\xe7\xd0\xdd]\0\xd7\xe9\0"));
    assert!(told[1..].iter().all(|(_, octets)| octets.ends_with("NN:阿飞[午休]\nGN:组\n\0".as_bytes())));
}

#[test]
fn who_was_never_announced_does_not_answer_entries() {
    let mut node = node();
    meet(&mut node, 7, b"1:7:bob:pc-b:1:Bob\0");
    assert_eq!(run(&mut node, 0, 100_000).0, []);
}

#[test]
fn the_names_of_an_entry_are_kept_and_changes_are_told() {
    let mut node = node();
    let entry = b"1:1:\x95\\:PC3:16777217:\x95\\\0\0\nUN:\xe8\xa1\xa8\nHN:PC3\nNN:\xe8\xa1\xa8\xe7\xa4\xba\n\0";
    let Ok(Some(Event::Online(sighting))) = node.handle_datagram(at(0), peer(3), entry) else { panic!() };
    assert_eq!(sighting.nick.text.as_bytes(), "表示".as_bytes());
    let member = node.member_at(peer(3)).unwrap();
    assert_eq!((member.user.as_bytes(), member.names_utf8, member.utf8()), ("表".as_bytes(), true, true));
    assert!(matches!(node.handle_datagram(at(1), peer(3), entry), Ok(None)));
    let away = b"1:1:\x95\\:PC3:16777476:\x95\\\0\0\nUN:\xe8\xa1\xa8\nHN:PC3\nNN:x[lunch]\n\0";
    let Ok(Some(Event::Updated(sighting))) = node.handle_datagram(at(0), peer(3), away) else { panic!() };
    assert!(sighting.absent && node.member_at(peer(3)).unwrap().absent());
    assert!(matches!(node.handle_datagram(at(2), peer(3), b"1:2:x:PC3:2:"), Ok(Some(Event::Offline { .. }))));
    assert_eq!(node.members().count(), 0);
    assert!(matches!(node.handle_datagram(at(2), peer(3), b"1:2:x:PC3:2:"), Ok(None)));
}

/// proves: R-IP-26, R-IP-28
#[test]
fn a_second_address_is_believed_after_silence() {
    let mut node = node();
    meet(&mut node, 7, b"1:7:Bob:PC-B:1:Bob\0");
    assert!(matches!(node.handle_datagram(at(7_000), peer(8), b"1:8:bob:pc-b:1:Bob\0"), Ok(None)));
    assert!(node.member_at(peer(8)).is_none());
    let moved = node.handle_datagram(at(7_001), peer(8), b"1:9:bob:pc-b:1:Bob\0");
    let Ok(Some(Event::Updated(sighting))) = moved else { panic!() };
    assert_eq!(sighting.moved_from, Some(peer(7)));
    assert_eq!(node.members().count(), 1);
    // Somebody else behind the same address, at another port.
    let other = SocketAddrV4::new(*peer(8).ip(), 2500);
    assert!(matches!(node.handle_datagram(at(7_002), other, b"1:9:eve:pc-e:1:Eve\0"), Ok(Some(Event::Online(_)))));
    // FeiQ on two cloned machines: the same names, different ids.
    for (last, id) in [(20, "000C29DCD6D7"), (21, "000C29DCD6D8")] {
        let entry = std::format!("1_lbt6_0#128#{id}#0#0#0#4001#9:5:u:h:6291457:n\0");
        let event = node.handle_datagram(at(8_000), peer(last), entry.as_bytes());
        assert!(matches!(event, Ok(Some(Event::Online(_)))));
    }
    assert_eq!(node.members().count(), 4);
}

/// proves: R-IP-134
#[test]
fn the_silent_expire_after_three_rounds() {
    let mut node = node();
    node.announce(at(0));
    meet(&mut node, 7, b"1:7:bob:pc-b:1:Bob\0");
    meet(&mut node, 8, b"1:7:eve:pc-e:1:Eve\0");
    let (_, alarms) = run(&mut node, 0, 370_000);
    assert!(alarms.is_empty());
    let _ = node.handle_datagram(at(370_000), peer(8), b"1:9:eve:pc-e:3:Eve\0");
    let (_, alarms) = run(&mut node, 370_000, 1_000_000);
    let gone: Vec<_> = alarms
        .iter()
        .map(|(time, alarm)| match alarm {
            Alarm::Expired(member) => (*time, member.at),
            Alarm::GaveUp { .. } => unreachable!(),
        })
        .collect();
    assert_eq!(gone, [(375_000, peer(7)), (915_000, peer(8))]);
}

/// proves: R-IP-33
#[test]
fn shiyeline_gets_an_entry_without_options() {
    let mut node = node();
    node.announce(at(0));
    let _ = sent(&mut node, at(0));
    let beacon = b"1@shiyeline:8574:WDAGUtilit:B070939D-A:1:B070939D-A\0\xc4\xda\x003b9d1aadecebe74f8ea1cb3af56538fc\0";
    meet(&mut node, 9, beacon);
    assert_eq!(sent(&mut node, at(0)), [to(9, b"1:101:alice:pc-a:1:Alice\0Dev\0")]);
    let (trace, _) = run(&mut node, 1, 6_000);
    let plain = trace.iter().filter(|(_, to, octets)| {
        *to == Destination::Unicast(peer(9)) && octets.ends_with(b":alice:pc-a:1:Alice\0Dev\0")
    });
    assert_eq!(plain.count(), 1, "again with the next round");
}

/// proves: R-IP-34
#[test]
fn dial_up_members_and_greeted_addresses_are_told_by_unicast() {
    let mut node = node();
    node.greet(at(0), peer(50)).unwrap();
    assert!(sent(&mut node, at(0))[0].1.starts_with(b"1:100:alice:pc-a:18874369:"));
    meet(&mut node, 7, b"1_iptux 0.9.4:2:bob:bob-pc:65793:bob\0\0icon.png\0utf-8\0");
    let _ = run(&mut node, 0, 2_000);
    node.announce(at(3_000));
    let receivers = |sent: Vec<(Destination, Vec<u8>)>| sent.into_iter().map(|(to, _)| to).collect::<Vec<_>>();
    let all = [Destination::Broadcast, Destination::Unicast(peer(50)), Destination::Unicast(peer(7))];
    assert_eq!(receivers(sent(&mut node, at(3_000))), all);
    let answer = b"1_iptux 0.9.4:3:bob:bob-pc:65795:bob\0\0icon.png\0utf-8\0";
    assert!(node.handle_datagram(at(3_001), peer(7), answer).is_ok());
    node.leave(at(4_000));
    let exits = sent(&mut node, at(4_000));
    assert!(exits.iter().all(|(_, octets)| octets.windows(10).any(|part| part == b":18874370:")));
    assert_eq!(receivers(exits), all);
}

/// R-IP-34, R-IP-38: a dial-up member that no word was exchanged with is told by unicast as long as it answers.
#[test]
fn a_dial_up_member_that_answers_is_told_every_round() {
    let mut node = Small::new(identity(), PacketNo(100), 1);
    node.announce(at(0));
    let _ = run(&mut node, 0, 6_000);
    meet(&mut node, 7, b"1:1700000001:bob:pc-b:18939905:Bob\0Ops\0\nUN:bob\nHN:pc-b\nNN:Bob\nGN:Ops\n\0");
    let mut now = 6_000;
    for _ in 0..10 {
        let (trace, alarms) = run(&mut node, now, now + 180_000);
        now += 180_000;
        assert!(alarms.is_empty(), "{alarms:?}");
        let entry = "\0\nUN:飞\nHN:pc-a\nNN:阿飞\n".as_bytes();
        let told = |(_, to, octets): &&(u64, Destination, Vec<u8>)| {
            *to == Destination::Unicast(peer(7)) && octets.windows(entry.len()).any(|part| part == entry)
        };
        assert_eq!(trace.iter().filter(told).count(), 1, "{trace:?}");
        let answer = b"1:1700000002:bob:pc-b:27328515:Bob\0Ops\0";
        assert!(node.handle_datagram(at(now), peer(7), answer).is_ok());
    }
    assert!(!node.member_at(peer(7)).unwrap().proven);
}

/// proves: R-IP-35, R-IP-37, R-IP-58
#[test]
fn absence() {
    let mut node = node();
    node.announce(at(0));
    meet(&mut node, 7, b"1:7:bob:pc-b:18874369:Bob\0\0\nUN:bob\nHN:pc-b\nNN:Bob\n\0");
    let _ = run(&mut node, 0, 2_000);
    let both = |text: &'static [u8]| BothSets { utf8: text, legacy: text };
    node.set_absence(at(3_000), Some(AbsenceNotice { title: both(b"lunch"), text: both(b"back at two") }));
    let status = sent(&mut node, at(3_000));
    assert_eq!(status.len(), 1);
    assert!(
        status[0]
            .1
            .ends_with(b":alice:pc-a:18874628:Alice[lunch]\0Dev\0\nUN:alice\nHN:pc-a\nNN:Alice[lunch]\nGN:Dev\n\0")
    );
    let message = b"1:8:bob:pc-b:288:are you there, dear colleague?\0";
    assert!(matches!(node.handle_datagram(at(3_001), peer(7), message), Ok(Some(Event::Message(_)))));
    let answers = sent(&mut node, at(3_001));
    assert!(answers[0].1.ends_with(b":33:8\0"));
    assert!(answers[1].1.ends_with(b":alice:pc-a:8396832:back at two\0"));
    assert_eq!(answers.len(), 2);
    // Again: confirmed again, not answered again. By a program: neither.
    assert_eq!(node.handle_datagram(at(3_002), peer(7), message).unwrap_err(), Rejected::Duplicate);
    assert_eq!(sent(&mut node, at(3_002)).len(), 1);
    assert!(node.handle_datagram(at(3_003), peer(7), b"1:9:bob:pc-b:8480:I am a program as well, I fear\0").is_ok());
    assert_eq!(sent(&mut node, at(3_003)), []);
    let _ = node.handle_datagram(at(3_004), peer(7), b"1:10:bob:pc-b:80:");
    assert!(sent(&mut node, at(3_004))[0].1.ends_with(b":8388689:back at two\0"));
    node.set_absence(at(4_000), None);
    assert!(sent(&mut node, at(4_000))[0].1.windows(10).any(|part| part == b":18874372:"));
    let _ = node.handle_datagram(at(4_004), peer(7), b"1:11:bob:pc-b:80:");
    assert!(sent(&mut node, at(4_004))[0].1.ends_with(b":8388689:Not absence mode\0"));
    let _ = node.handle_datagram(at(4_004), peer(7), b"1:12:bob:pc-b:64:");
    assert!(sent(&mut node, at(4_004))[0].1.ends_with(b":8388673:Feige 0.1\0"));
}

/// proves: R-IP-133
#[test]
fn our_own_broadcasts_are_recognised() {
    let mut node = node();
    node.announce(at(0));
    let entry = sent(&mut node, at(0)).remove(0).1;
    assert_eq!(node.handle_datagram(at(1), peer(1), &entry).unwrap_err(), Rejected::Own);
    assert_eq!(node.members().count(), 0);
    // Another agent of our name, started in the same second: its numbers are ours, its messages are not.
    let twin = node.handle_datagram(at(2), peer(7), b"1:100:alice:pc-a:288:hello\0");
    assert!(matches!(twin, Ok(Some(Event::Message(_)))), "{twin:?}");
}

#[test]
fn questions_about_program_and_absence_are_answered() {
    let (mut asking, mut asked) = (node(), node());
    let absence = BothSets { utf8: b"lunch", legacy: b"lunch" };
    for (away, expected) in [(false, &b"Not absence mode"[..]), (true, b"lunch")] {
        if away {
            asked.set_absence(at(0), Some(AbsenceNotice { title: absence, text: BothSets::default() }));
            let _ = sent(&mut asked, at(0));
        }
        asking.ask_info(peer(7)).unwrap();
        asking.ask_absence(peer(7)).unwrap();
        let questions = sent(&mut asking, at(0));
        assert_eq!(questions.len(), 2);
        for (to, question) in questions {
            assert_eq!(to, Destination::Unicast(peer(7)));
            assert!(asked.handle_datagram(at(0), peer(8), &question).unwrap().is_none());
        }
        let answers = sent(&mut asked, at(0));
        let [info, reason] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!((info.0, reason.0), (Destination::Unicast(peer(8)), Destination::Unicast(peer(8))));
        let Ok(Some(Event::Info { from, text, .. })) = asking.handle_datagram(at(0), peer(7), &info.1) else {
            panic!("no program in {}", info.1.escape_ascii())
        };
        assert_eq!((from, text.as_bytes()), (peer(7), &b"Feige 0.1"[..]));
        let Ok(Some(Event::AbsenceInfo { from, text, .. })) = asking.handle_datagram(at(0), peer(7), &reason.1) else {
            panic!("no reason in {}", reason.1.escape_ascii())
        };
        assert_eq!((from, text.as_bytes()), (peer(7), expected));
    }
}
