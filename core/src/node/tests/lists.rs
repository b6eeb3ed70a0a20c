//! Lists of hosts: what we tell, and what we believe.

use super::*;
use crate::wire::ipmsg::host_list::HostList;
use crate::wire::ipmsg::{Datagram, Options};

/// R-IP-120, 126, 127: one node asks another.
#[test]
fn a_list_of_hosts_in_parts() {
    let mut server = Node::<32, 1, 256, 8>::new(plain_identity(), PacketNo(100), 1);
    server.announce(at(0));
    for last in 10..40 {
        let entry = std::format!("1:{last}:user-with-a-long-name-{last}:host-{last}:2097153:Nick {last}\0Group\0");
        assert!(server.handle_datagram(at(0), peer(last), entry.as_bytes()).is_ok());
    }
    let _ = run(&mut server, 0, 4_000);
    let names = Names::new(b"bob", b"pc-b", b"", b"");
    let identity = Identity { version: "1", software: "", utf8: names.clone(), legacy: names };
    let mut client = Node::<64, 1, 256, 8>::new(identity, PacketNo(1), 2);
    client.ask_list(at(5_000)).unwrap();
    // The server trusts the client.
    let _ = server.handle_datagram(at(5_000), peer(2), b"1:0:bob:pc-b:1:bob\0");
    server.proven(*peer(2).ip());
    let (mut added, mut parts) = (0, 0);
    for _ in 0..20 {
        for (_, octets) in sent(&mut client, at(5_000)) {
            let _ = server.handle_datagram(at(5_000), peer(2), &octets);
        }
        for (_, octets) in
            sent(&mut server, at(5_000)).into_iter().filter(|(to, _)| *to == Destination::Unicast(peer(2)))
        {
            assert!(octets.len() <= 1400);
            if let Ok(Some(Event::Listed { added: more, .. })) = client.handle_datagram(at(5_000), peer(1), &octets) {
                added += more;
                parts += 1;
            }
        }
    }
    // Itself it leaves out.
    assert_eq!((added, client.members().count()), (30, 30));
    assert!(parts > 1, "{parts}");
    assert!(client.members().all(|member| member.listed));
    // Nobody asked this time.
    let list = b"1:5:x:y:19:    0\x07    1\x07u\x07h\x071\x0710.0.0.1\x0730985\x07n\x07g\x07\0";
    assert_eq!(client.handle_datagram(at(5_000), peer(1), list).unwrap_err(), Rejected::Unasked);
}

/// User, host, nick and group.
type Listed = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

/// Who a list from a node with these members names when `asker` asks for it, and whether it is in UTF-8.
fn told(members: &[&[u8]], asker: &[u8]) -> (Vec<Listed>, bool) {
    let mut node = node();
    node.announce(at(0));
    for (last, entry) in (10..).zip(members) {
        meet(&mut node, last, entry);
    }
    meet(&mut node, 7, asker);
    node.proven(*peer(7).ip());
    let _ = run(&mut node, 0, 4_000);
    assert!(node.handle_datagram(at(4_000), peer(7), b"1:2:carl:pc-c:18:0").is_ok());
    let sent = sent(&mut node, at(4_000));
    let datagram = Datagram::parse(&sent[0].1).unwrap();
    let list = HostList::parse(datagram.body).unwrap();
    let hosts: Vec<_> = list.hosts().map(Result::unwrap).collect();
    assert_eq!(hosts.len(), list.count as usize);
    let texts = |text: crate::text::Text<'_>| text.as_bytes().to_vec();
    let hosts = hosts.iter().filter(|host| host.address != peer(7));
    let names = |host: &crate::wire::ipmsg::host_list::ListedHost<'_>| {
        (texts(host.user), texts(host.host), texts(host.nick), texts(host.group))
    };
    (hosts.map(names).collect(), datagram.header.options.contains(Options::UTF8))
}

/// proves: R-IP-121
#[test]
fn no_name_becomes_a_host_of_its_own() {
    let forged = b"1:1:b\x07ob:pc-b:1:Bob\0G\x07root\x07srv\x071\x0710.6.6.6\x0730985\x07N\x07M";
    let (hosts, _) = told(&[forged, b"1:1:\x07:\x08:1:\x07\0"], b"1:1:carl:pc-c:1:Carl\0G");
    assert_eq!(
        hosts,
        [
            (b"b_ob".to_vec(), b"pc-b".to_vec(), b"Bob".to_vec(), b"G_root_srv_1_10.6.6.6_30985_N_M".to_vec()),
            (b"_".to_vec(), b"_".to_vec(), b"_".to_vec(), b"".to_vec()),
        ]
    );
}

/// proves: R-IP-128
#[test]
fn a_list_is_in_one_character_set() {
    let utf8 = b"1:1:x:pc-u:18874369:x\0\0\nUN:\xe9\xa3\x9ea\nHN:pc-u\nNN:\xe9\xa3\x9e\nGN:G\n\0";
    let members: [&[u8]; 2] = [utf8, b"1:1:\xb7\xc9b:pc-g:1:\xb7\xc9\0G\0"];
    let (in_gbk, is_utf8) = told(&members, b"1:1:carl:pc-c:1:Carl\0G");
    assert!(!is_utf8);
    let row = |user: &[u8], host: &[u8], nick: &[u8]| (user.to_vec(), host.to_vec(), nick.to_vec(), b"G".to_vec());
    assert_eq!(in_gbk, [row(b"???a", b"pc-u", b"???"), row(b"\xb7\xc9b", b"pc-g", b"\xb7\xc9")]);
    let (in_utf8, is_utf8) = told(&members, b"1:1:carl:pc-c:18874369:Carl\0G\0\nUN:carl\nHN:pc-c\nNN:Carl\n\0");
    assert!(is_utf8);
    assert_eq!(in_utf8, [row("飞a".as_bytes(), b"pc-u", "飞".as_bytes()), row(b"??b", b"pc-g", b"??")]);
}

/// proves: R-IP-127
#[test]
fn a_list_is_hearsay() {
    let mut node = Node::<16, 1, 256, 8>::new(identity(), PacketNo(100), 1);
    node.announce(at(0));
    let _ = run(&mut node, 0, 6_000);
    node.ask_list(at(6_000)).unwrap();
    let _ = sent(&mut node, at(6_000));
    let _ = node.handle_datagram(at(6_000), peer(1), b"1:5:x:y:17:");
    let _ = sent(&mut node, at(6_000));
    let mut list = b"1:6:x:y:19:    0\x07   11\x07".to_vec();
    let addresses = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"];
    for (number, address) in addresses.into_iter().enumerate() {
        list.extend(std::format!("u{number}\x07h\x071\x07{address}\x0730985\x07n\x07g\x07").bytes());
    }
    list.extend(b"u\x07h\x071\x0710.0.0.1\x070\x07n\x07g\x07");
    // Ourselves, in either set.
    list.extend(b"\xb7\xc9\x07pc-a\x071\x0710.0.0.2\x0730985\x07n\x07g\x07");
    list.extend("飞\x07pc-a\x071\x0710.0.0.3\x0730985\x07n\x07g\x07".bytes());
    // Somebody, who is said to want entries by unicast, and our names in UTF-8.
    list.extend(b"bob\x07pc-b\x0718939905\x0710.0.0.4\x0730985\x07n\x07g\x07\0");
    let Ok(Some(Event::Listed { added: 1, complete: true, .. })) = node.handle_datagram(at(6_000), peer(1), &list)
    else {
        panic!("{:?}", node.members().map(|member| member.at).collect::<Vec<_>>());
    };
    let bob = node.members().next().unwrap();
    assert_eq!((bob.at, bob.dialup(), bob.utf8()), ("10.0.0.4:2425".parse().unwrap(), false, true));
    node.set_absence(at(7_000), Some(AbsenceNotice { title: BothSets::default(), text: BothSets::default() }));
    let (trace, _) = run(&mut node, 7_000, 400_000);
    assert!(trace.iter().all(|(_, to, _)| *to == Destination::Broadcast), "{trace:?}");
}
