//! Events for programs: one JSON object per line.

use std::io::{self, Write};

use super::event::Event;

/// Writes an event and a line end.
///
/// # Errors
/// What the writer says.
pub fn write(out: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::super::event::{Kind, OfferedFile, Peer};
    use super::*;

    fn line(event: &Event) -> String {
        let mut line = Vec::new();
        write(&mut line, event).expect("memory");
        let line = String::from_utf8(line).expect("JSON is UTF-8");
        assert_eq!(&serde_json::from_str::<Event>(&line).expect("it can be read back"), event);
        line
    }

    fn peer() -> Peer {
        Peer {
            user: "bob".into(),
            hostname: "pc2".into(),
            nick: "Bob\u{202e}".into(),
            group: "Dev".into(),
            addr: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 2425),
            version: "1".into(),
            away: false,
        }
    }

    #[test]
    fn the_fields_are_those_of_the_contract() {
        let ready = Event::Ready { addr: Ipv4Addr::UNSPECIFIED, port: 2425 };
        assert_eq!(line(&ready), "{\"event\":\"ready\",\"addr\":\"0.0.0.0\",\"port\":2425}\n");
        let online = line(&Event::Online(peer()));
        for part in [
            "\"event\":\"online\"",
            "\"user\":\"bob\"",
            "\"hostname\":\"pc2\"",
            "\"nick\":",
            "\"group\":\"Dev\"",
            "\"addr\":\"10.0.0.2:2425\"",
            "\"version\":\"1\"",
        ] {
            assert!(online.contains(part), "{part} in {online}");
        }
        let file = OfferedFile { index: 1, id: 0, name: "a.txt".into(), size: Some(3), mtime: 7, kind: Kind::Dir };
        let offer = line(&Event::Offer { from: peer(), packet: 9, files: vec![file] });
        assert!(offer.contains(
            "\"packet\":9,\"files\":[{\"index\":1,\"id\":0,\"name\":\"a.txt\",\"size\":3,\"mtime\":7,\"kind\":\"dir\"}]"
        ));
        let downloaded =
            Event::Downloaded { name: "a".into(), path: "b/a".into(), size: 1, md5: Some("0f".into()), index: 2 };
        assert_eq!(
            line(&downloaded),
            "{\"event\":\"downloaded\",\"name\":\"a\",\"path\":\"b/a\",\"size\":1,\"md5\":\"0f\",\"index\":2}\n"
        );
    }
}
