//! `feige-core` in firmware that has its own network: a node, a file server and a file client, and nothing else.
//!
//! The board is imaginary. Its modem speaks UDP and TCP by itself and has three registers for each of its sockets; whatever
//! yours is, an embassy-net socket, a W5500, lwIP, has to be given the traits below and no more. The image is built, and
//! measured, to know what the core alone takes: `scripts/device-figures.sh`.
#![no_std]
#![no_main]

#[path = "../src/memory.rs"]
mod memory;

use core::convert::Infallible;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use cortex_m_rt::entry;
use embedded_io::{ErrorType, Read, Write};
use feige_core::drive::blocking::{Scratch, Transport, run};
use feige_core::node::{Audience, Destination, Event, Identity, Message, Names, Node, Offers, Output};
use feige_core::stream::{Announced, Entry, FileClient, Machine, Metadata, Opened, Outcome, Server, Store, Target};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::{
    Attachment, Attachments, FileKind, FileRequest, Header, Options, PacketNo, PacketToken, RequestKind, RequestedId,
};

/// The vector of the modem's interrupt, which is never unmasked: the modem is asked.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 1] = {
    unsafe extern "C" {
        fn DefaultHandler();
    }
    [DefaultHandler]
};

/// A register of the imaginary modem.
fn register(number: usize) -> *mut u32 {
    (0x4000_0000 + 4 * number) as *mut u32
}

fn get(number: usize) -> u32 {
    // SAFETY: the board says that there is a register.
    unsafe { register(number).read_volatile() }
}

fn put(number: usize, value: u32) {
    // SAFETY: the board says that there is a register.
    unsafe { register(number).write_volatile(value) }
}

/// A connection: register 0 has the next octet or 256 for the end, register 1 takes one, register 2 closes.
struct Connection(usize);

impl ErrorType for Connection {
    type Error = Infallible;
}

impl Read for Connection {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = room.first_mut() else { return Ok(0) };
        Ok(u8::try_from(get(self.0)).map_or(0, |octet| {
            *first = octet;
            1
        }))
    }
}

impl Write for Connection {
    fn write(&mut self, octets: &[u8]) -> Result<usize, Infallible> {
        octets.iter().for_each(|octet| put(self.0 + 1, u32::from(*octet)));
        Ok(octets.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Transport for Connection {
    fn limit(&mut self, limit: Option<Duration>) -> Result<(), Infallible> {
        put(self.0 + 3, limit.map_or(u32::MAX, |limit| limit.as_millis() as u32));
        Ok(())
    }

    fn shutdown(&mut self) -> Result<(), Infallible> {
        put(self.0 + 2, 1);
        Ok(())
    }
}

/// The one file that this device has: 1 KiB of settings.
struct Settings<'o> {
    octets: &'o mut [u8; 1024],
    len: usize,
    offers: &'o Offers<4>,
    from: Ipv4Addr,
}

impl Store for Settings<'_> {
    type Error = Infallible;

    fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Infallible> {
        Ok(match target {
            // Served: who may have it, the core knows.
            Target::Request(request) if self.offers.authorise(now(), self.from, &request).is_ok() => {
                let size = self.len as u64;
                Opened::File(Entry { name: "settings".into(), size, metadata: Metadata::default() })
            }
            // Received: if there is room.
            Target::File(arrival) if arrival.size.is_some_and(|size| size <= 1024) => {
                self.len = 0;
                Opened::Ready
            }
            _ => Opened::Refused,
        })
    }

    fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Infallible> {
        let octets = self.octets.get(at as usize..self.len).unwrap_or_default();
        Ok(into.iter_mut().zip(octets).map(|(to, from)| *to = *from).count())
    }

    fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Infallible> {
        let room = self.octets.get_mut(at as usize..).unwrap_or_default();
        self.len = at as usize + room.iter_mut().zip(octets).map(|(to, from)| *to = *from).count();
        Ok(())
    }

    fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Milliseconds since the start.
fn now() -> Instant {
    Instant::from_millis(u64::from(get(100)))
}

/// A datagram that has arrived.
fn datagram(buffer: &mut [u8]) -> Option<(SocketAddrV4, usize)> {
    let len = get(101) as usize;
    let from = SocketAddrV4::new(Ipv4Addr::from(get(102)), get(103) as u16);
    buffer.iter_mut().take(len).for_each(|octet| *octet = get(104) as u8);
    (len > 0).then_some((from, len.min(buffer.len())))
}

fn send(to: Destination, octets: &[u8]) {
    let to = match to {
        Destination::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, 2425),
        Destination::Unicast(to) => to,
    };
    put(105, u32::from(*to.ip()));
    put(106, u32::from(to.port()));
    octets.iter().for_each(|octet| put(107, u32::from(*octet)));
    put(108, 1);
}

/// 16 members, 4 messages of 1 KiB together that wait for a confirmation, 16 datagrams remembered.
type Device = Node<16, 4, 1024, 16>;

/// All RAM that is needed for long is in this frame. A static would be built here, too, and then copied.
#[entry]
fn main() -> ! {
    serve(&mut Node::new(identity(), PacketNo(get(109)), u64::from(get(110))), &mut [0; 1472], &mut [0; 1024])
}

/// In a frame of its own, because names are copied several times.
#[inline(never)]
fn identity() -> Identity {
    let names = || Names::new(b"device", b"board", b"Device", b"devices");
    Identity { version: "1", software: "my firmware", utf8: names(), legacy: names() }
}

/// Datagrams and the machines of file transfer take turns with one buffer, and with the stack.
#[inline(never)]
fn serve(node: &mut Device, buffer: &mut [u8], octets: &mut [u8; 1024]) -> ! {
    let mut offers = Offers::<4>::new();
    let mut len = 0;
    node.announce(now());
    loop {
        // A datagram goes in: what it offers is fetched …
        if let Some((from, request, size)) = listen(node, &mut offers, buffer, len) {
            let store = Settings { octets, len, offers: &offers, from };
            len = fetch(&request, size, store, buffer);
        }
        // … and whatever is due goes out.
        speak(node, buffer);
        // Whoever has connected is served.
        if get(111) != 0 {
            let mut store = Settings { octets, len, offers: &offers, from: Ipv4Addr::from(get(112)) };
            let _ = drive(&mut Server::new(now(), buffer), 0, &mut store);
        }
    }
}

/// Takes in a datagram, if there is one. A message with a file is worth a request; any other is answered with an offer.
#[inline(never)]
fn listen(
    node: &mut Device,
    offers: &mut Offers<4>,
    buffer: &mut [u8],
    len: usize,
) -> Option<(Ipv4Addr, FileRequest<'static>, u64)> {
    let (from, length) = datagram(buffer)?;
    let octets = buffer.get(..length).unwrap_or_default();
    let Ok(Some(Event::Message(message))) = node.handle_datagram(now(), from, octets) else { return None };
    let Some(file) = Attachments::new(message.attachments).flatten().next() else {
        offer(node, offers, from, len as u64);
        return None;
    };
    let header = Header {
        version: "1".into(),
        packet_no: PacketToken("1".into()),
        user: "device".into(),
        host: "board".into(),
        command: RequestKind::File.command(),
        options: Options::NONE,
    };
    let (packet_no, id) = (PacketNo(message.token().low32()?), RequestedId::of(file.id));
    Some((*from.ip(), FileRequest { header, kind: RequestKind::File, packet_no, id, offset: 0 }, file.size?))
}

/// Sends what is due.
#[inline(never)]
fn speak(node: &mut Device, buffer: &mut [u8]) {
    while let Output::Transmit { to, octets } = node.poll(now(), buffer) {
        send(to, octets);
    }
}

/// Offers the settings to whoever wrote.
#[inline(never)]
fn offer(node: &mut Device, offers: &mut Offers<4>, to: SocketAddrV4, size: u64) {
    let (packet_no, mut list) = (node.take_packet_no(), [0; 64]);
    let attachment = Attachment {
        id: 1,
        name: feige_core::wire::ipmsg::EscapedName::plain(b"settings"),
        size: Some(size),
        modified: None,
        attribute: feige_core::wire::ipmsg::Attribute::REGULAR,
        extended: feige_core::wire::ipmsg::ExtendedAttributes::NONE,
    };
    let made = offers.offer(now(), packet_no, Audience::Host(*to.ip()), 1, FileKind::Regular, size, 0);
    if let (Ok(()), Ok(len)) = (made, attachment.emit(&mut list)) {
        let attachments = list.get(..len).unwrap_or_default();
        // If there is no room, the peer asks again.
        let _ = node.send(now(), to, &Message { attachments, packet_no: Some(packet_no), ..Message::default() });
    }
}

/// Fetches a file; returns how long the settings are now.
#[inline(never)]
fn fetch(request: &FileRequest<'_>, size: u64, mut store: Settings<'_>, buffer: &mut [u8]) -> usize {
    let client = FileClient::new(now(), buffer, request, Announced::Size(size), Metadata::default());
    let Ok(mut client) = client else { return store.len };
    match drive(&mut client, 4, &mut store) {
        Some(Outcome::Complete(_)) => store.len,
        _ => 0,
    }
}

/// Runs any machine on the connection with these registers: one loop for all of them.
#[inline(never)]
fn drive(machine: &mut dyn Machine, registers: usize, store: &mut Settings<'_>) -> Option<Outcome> {
    run(machine, &mut Connection(registers), store, &mut Scratch(&mut [0; 256]), now).ok()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
