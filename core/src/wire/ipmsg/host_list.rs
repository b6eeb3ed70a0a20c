//! The list of hosts that one member can send another (R-IP-120 and following).
//!
//! ```text
//! list := next '\a' count '\a' { user '\a' host '\a' status '\a' address '\a' port '\a' nick '\a' group '\a' }
//! ```
//!
//! **Memory**: views of the received list. **Time**: linear in the octets read so far.
//! **Protocol**: R-IP-120 to 129.

use core::net::{Ipv4Addr, SocketAddrV4};

use crate::text::Text;
use crate::wire::{Field, ParseError, Reader, Writer, decimal, leading_decimal};

use super::{Command, Options, PORT, Place, sendable};

/// What separates the fields.
const SEPARATOR: u8 = 0x07;

/// What stands in a field that is empty (R-IP-123).
const EMPTY: &[u8] = b"\x08";

/// A received list, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostList<'a> {
    /// The index to ask for next; `None` if the list is complete.
    pub next: Option<u32>,
    /// How many hosts the sender says there are in this part. A hint: count them.
    pub count: u32,
    hosts: &'a [u8],
}

impl<'a> HostList<'a> {
    /// Reads the body of an ANSLIST.
    ///
    /// # Errors
    /// [`ParseError`] if the two numbers at the front are missing or none.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(body);
        let mut number = || {
            let mut field = Reader::new(reader.until(SEPARATOR).ok_or(ParseError::missing(Field::HostList))?);
            field.skip_all(b' ');
            let number = decimal(field.rest()).ok_or(ParseError::malformed(Field::HostList))?;
            u32::try_from(number).map_err(|_| ParseError::too_large(Field::HostList))
        };
        let next = Some(number()?).filter(|&next| next != 0);
        let count = number()?;
        Ok(Self { next, count, hosts: reader.rest() })
    }

    /// The hosts, read one by one. What cannot be read, and the rest behind a part that is cut off, is an
    /// error of its own.
    #[must_use]
    pub const fn hosts(&self) -> Hosts<'a> {
        Hosts { reader: Reader::new(self.hosts) }
    }

    /// Writes the two numbers at the front of a list of `count` hosts; the hosts follow (R-IP-121).
    pub fn write_front(writer: &mut Writer<'_>, next: Option<u32>, count: u32) {
        writer.decimal_padded(u64::from(next.unwrap_or(0)), 5).octet(SEPARATOR);
        writer.decimal_padded(u64::from(count), 5).octet(SEPARATOR);
    }
}

/// One host of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedHost<'a> {
    /// The user's log-on name.
    pub user: Text<'a>,
    /// The host's name.
    pub host: Text<'a>,
    /// The command word of the host's last entry. Its command may be missing (0), its options count.
    pub status: u32,
    /// Where the host is.
    pub address: SocketAddrV4,
    /// The nickname.
    pub nick: Text<'a>,
    /// The group.
    pub group: Text<'a>,
}

impl<'a> ListedHost<'a> {
    /// The options of the host's last entry.
    #[must_use]
    pub const fn options(&self) -> Options {
        Options::of_word(self.status)
    }

    /// Whether the list says that the host has left (R-IP-124).
    #[must_use]
    pub const fn has_left(&self) -> bool {
        let [code, ..] = self.status.to_le_bytes();
        self.status == 0 || matches!(Command::from_code(code), Command::BrExit)
    }

    fn parse(fields: [&'a [u8]; 7]) -> Result<Self, ParseError> {
        let [user, host, status, address, port, nick, group] = fields;
        let malformed = ParseError::malformed(Field::HostList);
        let status = decimal(status).and_then(|status| u32::try_from(status).ok()).ok_or(malformed)?;
        let port = decimal(port).and_then(|port| u16::try_from(port).ok()).ok_or(malformed)?;
        let address = SocketAddrV4::new(parse_address(address).ok_or(malformed)?, port_from_wire(port));
        let text = |field: &'a [u8]| Text::new(if field == EMPTY { &[] } else { field });
        Ok(Self { user: text(user), host: text(host), status, address, nick: text(nick), group: text(group) })
    }

    /// Writes the host (R-IP-121); control characters in the texts, which would make other fields of them, as `_`.
    pub fn write(&self, writer: &mut Writer<'_>) {
        let text = |writer: &mut Writer<'_>, text: Text<'_>| {
            if text.is_empty() {
                writer.octets(EMPTY);
            }
            for octet in sendable(text.as_bytes(), Place::Group) {
                writer.octet(octet);
            }
            writer.octet(SEPARATOR);
        };
        text(writer, self.user);
        text(writer, self.host);
        writer.decimal(u64::from(self.status)).octet(SEPARATOR);
        write_address(writer, *self.address.ip());
        writer.octet(SEPARATOR).decimal(u64::from(self.address.port().swap_bytes())).octet(SEPARATOR);
        text(writer, self.nick);
        text(writer, self.group);
    }
}

/// R-IP-122: the port stands as a little-endian machine sees it in network order, 30985 for 2425; but
/// some write it as it is.
const fn port_from_wire(port: u16) -> u16 {
    let swapped = port.swap_bytes();
    if swapped == PORT || (port != PORT && swapped >= 1024) { swapped } else { port }
}

/// Four decimal numbers with dots in between. The library's parser would take 800 octets of flash.
fn parse_address(field: &[u8]) -> Option<Ipv4Addr> {
    let mut reader = Reader::new(field);
    let mut octets = [0; 4];
    for octet in &mut octets {
        *octet = u8::try_from(decimal(reader.until_or_rest(b'.'))?).ok()?;
    }
    reader.is_empty().then_some(Ipv4Addr::from(octets))
}

fn write_address(writer: &mut Writer<'_>, address: Ipv4Addr) {
    let [a, b, c, d] = address.octets();
    writer.decimal(u64::from(a)).octet(b'.').decimal(u64::from(b)).octet(b'.');
    writer.decimal(u64::from(c)).octet(b'.').decimal(u64::from(d));
}

/// The hosts of a [`HostList`].
#[derive(Clone, Copy, Debug)]
pub struct Hosts<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Hosts<'a> {
    type Item = Result<ListedHost<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let mut fields = [&[][..]; 7];
        for field in &mut fields {
            let Some(octets) = self.reader.until(SEPARATOR) else {
                self.reader = Reader::new(&[]);
                return Some(Err(ParseError::missing(Field::HostList)));
            };
            *field = octets;
        }
        Some(ListedHost::parse(fields))
    }
}

/// The index that a GETLIST asks for; nothing means the first (R-IP-125).
#[must_use]
pub fn requested_index(body: &[u8]) -> u32 {
    leading_decimal(body).map_or(0, |index| u32::try_from(index).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The list of vector V74.
    const V74: &[u8] = b"    0\x07    2\x07alice\x07PC1\x0723068673\x07192.168.1.5\x0730985\x07Alice\x07Dev\x07\
        bob\x07bob-pc\x071\x07192.168.1.6\x0730985\x07\x08\x07\x08\x07";

    fn hosts() -> [ListedHost<'static>; 2] {
        [
            ListedHost {
                user: "alice".into(),
                host: "PC1".into(),
                status: 23_068_673,
                address: SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 5), PORT),
                nick: "Alice".into(),
                group: "Dev".into(),
            },
            ListedHost {
                user: "bob".into(),
                host: "bob-pc".into(),
                status: 1,
                address: SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 6), PORT),
                nick: Text::default(),
                group: Text::default(),
            },
        ]
    }

    #[test]
    fn reads_a_list() {
        let list = HostList::parse(V74).unwrap();
        assert_eq!((list.next, list.count), (None, 2));
        assert_eq!(list.hosts().collect::<Result<Vec<_>, _>>().unwrap(), hosts());
        assert!(hosts()[0].options().contains(Options::CAP_UTF8) && !hosts()[0].has_left());
    }

    #[test]
    fn writes_the_same_list() {
        let mut buffer = [0xa5; 256];
        let mut writer = Writer::new(&mut buffer);
        HostList::write_front(&mut writer, None, 2);
        hosts().iter().for_each(|host| host.write(&mut writer));
        let len = writer.finish().unwrap();
        assert_eq!(&buffer[..len], V74);
        assert_eq!(buffer[len], 0xa5);
    }

    /// proves: R-IP-122
    #[test]
    fn ports_are_swapped_or_not() {
        assert_eq!(port_from_wire(30985), 2425);
        assert_eq!(port_from_wire(2425), 2425);
        assert_eq!(port_from_wire(8080_u16.swap_bytes()), 8080);
        assert_eq!(port_from_wire(0x0010), 0x1000);
        assert_eq!(port_from_wire(0x1000), 0x1000, "0x0010 is no port of a member");
    }

    #[test]
    fn addresses_have_four_numbers() {
        assert_eq!(parse_address(b"192.168.1.5"), Some(Ipv4Addr::new(192, 168, 1, 5)));
        for wrong in [&b""[..], b"1.2.3", b"1.2.3.4.5", b"1.2.3.256", b"1..3.4", b"a.b.c.d", b"1.2.3.4 "] {
            assert_eq!(parse_address(wrong), None);
        }
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_an_error_of_its_own() {
        assert_eq!(HostList::parse(b""), Err(ParseError::missing(Field::HostList)));
        assert_eq!(HostList::parse(b"x\x071\x07"), Err(ParseError::malformed(Field::HostList)));
        let list = HostList::parse(b"3\x079\x07u\x07h\x07x\x07a\x07b\x07n\x07g\x07u\x07h\x071\x071.2.3.4").unwrap();
        assert_eq!((list.next, list.count), (Some(3), 9));
        let hosts: Vec<_> = list.hosts().collect();
        assert_eq!(hosts, [Err(ParseError::malformed(Field::HostList)), Err(ParseError::missing(Field::HostList))]);
        assert!(ListedHost { status: 0, ..self::hosts()[0] }.has_left());
        assert!(ListedHost { status: 0x0010_0002, ..self::hosts()[0] }.has_left());
    }

    #[test]
    fn requested_indexes() {
        assert_eq!([requested_index(b""), requested_index(b"0"), requested_index(b"17\0")], [0, 0, 17]);
        assert_eq!(requested_index(b"99999999999"), u32::MAX);
    }
}
