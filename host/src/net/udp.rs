//! The datagram sockets, with batches of datagrams in and out.
//!
//! On Linux one system call moves a batch (`recvmmsg`, `sendmmsg`), and datagrams of one length to one address, such as
//! the confirmations of a burst of messages, pass through the system as one (UDP segmentation offload); elsewhere
//! one call moves one datagram.
//!
//! **Memory**: the buffers are reserved once and touched only by datagrams that need them: a batch of short
//! datagrams costs one page each.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams moved by one system call.
pub const BATCH: usize = 32;
/// The longest datagram there is; the official client sends up to 32 KiB.
const RECEIVE: usize = 64 * 1024;
/// The longest datagram that we send.
const SEND: usize = feige_core::wire::ipmsg::MAX_DATAGRAM;
/// Longer datagrams are not segmented for us: a segment with its headers must fit into a frame of the interface.
#[cfg(target_os = "linux")]
const SEGMENT: usize = 1200;
/// What the kernel may queue for us: some ten thousand short datagrams, so that a burst that arrives while
/// the program does not run is not lost.
const RECEIVE_QUEUE: usize = 4 * 1024 * 1024;
/// What it may queue of ours: datagrams to machines that do not answer its question for their hardware address stay there
/// for three seconds, and must not keep what goes to the others out.
const SEND_QUEUE: usize = 1024 * 1024;

/// Binds the socket that everything is sent from.
///
/// # Errors
/// What the system says; `AddrInUse` if another program has the port.
pub fn bind(address: SocketAddrV4) -> io::Result<UdpSocket> {
    open(address, false)
}

/// Binds a socket that only receives what is sent to a broadcast address, which a socket that is bound to
/// one address of an interface does not get. Several programs may share it, each gets all.
///
/// # Errors
/// What the system says.
pub fn bind_broadcast(address: SocketAddrV4) -> io::Result<UdpSocket> {
    open(address, true)
}

fn open(address: SocketAddrV4, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    // The system gives what it allows; less only costs datagrams under load.
    let _ = socket.set_recv_buffer_size(RECEIVE_QUEUE);
    let _ = socket.set_send_buffer_size(SEND_QUEUE);
    if shared {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SocketAddr::V4(address).into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Datagrams that came in together.
pub struct Inbox {
    octets: Vec<u8>,
    arrived: [(SocketAddrV4, usize); BATCH],
    count: usize,
    #[cfg(target_os = "linux")]
    headers: nix::sys::socket::MultiHeaders<nix::sys::socket::SockaddrIn>,
}

const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

impl Inbox {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // Zeroed by the system when first touched, hence not touched here.
            octets: vec![0; BATCH * RECEIVE],
            arrived: [(NOBODY, 0); BATCH],
            count: 0,
            #[cfg(target_os = "linux")]
            headers: nix::sys::socket::MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// The datagrams of the last [`Self::receive`].
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddrV4, &[u8])> {
        let arrived = self.arrived.iter().take(self.count);
        arrived.zip(self.octets.chunks_exact(RECEIVE)).map(|(&(from, length), octets)| (from, &octets[..length]))
    }

    /// Receives what is there, up to a batch, and returns whether there may be more.
    ///
    /// # Errors
    /// What the system says, except that "nothing there" is no error.
    #[cfg(target_os = "linux")]
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<bool> {
        use nix::errno::Errno;
        use nix::sys::socket::{MsgFlags, recvmmsg};
        use std::io::IoSliceMut;
        use std::os::fd::AsRawFd;

        self.count = 0;
        let mut chunks = self.octets.chunks_exact_mut(RECEIVE);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        match recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(messages) => {
                for (arrived, message) in self.arrived.iter_mut().zip(messages) {
                    *arrived = (message.address.map_or(NOBODY, SocketAddrV4::from), message.bytes);
                    self.count += 1;
                }
                // Fewer than a batch: the queue was empty, so that the next arrival wakes us up.
                Ok(self.count == BATCH)
            }
            Err(Errno::EAGAIN) => Ok(false),
            Err(Errno::EINTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives what is there, up to a batch, and returns whether there may be more.
    ///
    /// # Errors
    /// What the system says, except that "nothing there" is no error.
    #[cfg(not(target_os = "linux"))]
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<bool> {
        self.count = 0;
        for (arrived, octets) in self.arrived.iter_mut().zip(self.octets.chunks_exact_mut(RECEIVE)) {
            match socket.recv_from(octets) {
                Ok((length, SocketAddr::V4(from))) => *arrived = (from, length),
                Ok((_, SocketAddr::V6(_))) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if self.count == 0 => return Err(error),
                Err(_) => return Ok(true),
            }
            self.count += 1;
        }
        Ok(true)
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Datagrams that go out together.
pub struct Outbox {
    octets: Vec<u8>,
    addressed: [(SocketAddrV4, usize); BATCH],
    count: usize,
    /// Whether this system can segment.
    #[cfg(target_os = "linux")]
    segments: bool,
    #[cfg(target_os = "linux")]
    headers: nix::sys::socket::MultiHeaders<nix::sys::socket::SockaddrIn>,
}

impl Outbox {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            octets: vec![0; BATCH * SEND],
            addressed: [(NOBODY, 0); BATCH],
            count: 0,
            #[cfg(target_os = "linux")]
            segments: true,
            #[cfg(target_os = "linux")]
            headers: nix::sys::socket::MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Whether it must be flushed before there is a next [`Self::slot`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// Where the next datagram may be written; nothing if it is full.
    pub fn slot(&mut self) -> &mut [u8] {
        self.octets.chunks_exact_mut(SEND).nth(self.count).unwrap_or_default()
    }

    /// Takes the first `length` octets of the [`Self::slot`] for `to`.
    pub fn push(&mut self, to: SocketAddrV4, length: usize) {
        if let Some(addressed) = self.addressed.get_mut(self.count) {
            *addressed = (to, length.min(SEND));
            self.count += 1;
        }
    }

    /// Sends everything, and reports what could not be sent: the network may be gone for one address and
    /// there for another, and a full queue of the system loses datagrams as the network does.
    pub fn flush(&mut self, socket: &UdpSocket, mut failed: impl FnMut(SocketAddrV4, &io::Error)) {
        let mut next = 0;
        while next < self.count {
            match self.send_some(socket, next) {
                Ok(sent) => next += sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failed(self.addressed[next].0, &error);
                    next += 1;
                }
            }
        }
        self.count = 0;
    }

    #[cfg(target_os = "linux")]
    fn send_some(&mut self, socket: &UdpSocket, first: usize) -> io::Result<usize> {
        use nix::errno::Errno;
        use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmmsg};
        use std::io::IoSlice;
        use std::os::fd::AsRawFd;

        let run = self.run(first);
        if run > 1 && self.segments {
            match self.send_segments(socket, first, run) {
                // An old kernel, or an interface that cannot compute checksums: never mind.
                Err(Errno::EINVAL | Errno::EIO) => {
                    self.segments = false;
                }
                result => return Ok(result?),
            }
        }
        if self.count - first == 1 {
            let (to, length) = self.addressed[first];
            let start = first * SEND;
            return socket.send_to(&self.octets[start..start + length], to.into()).map(|_| 1);
        }
        let addressed = &self.addressed[first..self.count];
        let mut lent = addressed.iter().zip(self.octets.chunks_exact(SEND).skip(first));
        let slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            let octets = lent.next().map(|(&(_, length), octets)| &octets[..length]);
            [IoSlice::new(octets.unwrap_or_default())]
        });
        let mut addresses = [None; BATCH];
        for (address, &(to, _)) in addresses.iter_mut().zip(addressed) {
            *address = Some(SockaddrIn::from(to));
        }
        let count = addressed.len();
        let none: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices[..count].iter(),
            &addresses[..count],
            none,
            MsgFlags::MSG_DONTWAIT,
        )?;
        Ok(sent.count())
    }

    /// How many datagrams from `first` on have one length and go to one address, so that they can be sent as segments.
    #[cfg(target_os = "linux")]
    fn run(&self, first: usize) -> usize {
        let same = self.addressed[first];
        if !(1..=SEGMENT).contains(&same.1) {
            return 1;
        }
        self.addressed[first..self.count].iter().take_while(|&&addressed| addressed == same).count()
    }

    #[cfg(target_os = "linux")]
    fn send_segments(&self, socket: &UdpSocket, first: usize, run: usize) -> nix::Result<usize> {
        use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
        use std::io::IoSlice;
        use std::os::fd::AsRawFd;

        let (to, length) = self.addressed[first];
        let mut lent = self.octets.chunks_exact(SEND).skip(first);
        let slices: [IoSlice<'_>; BATCH] =
            std::array::from_fn(|_| IoSlice::new(lent.next().map_or(&[], |octets| &octets[..length])));
        let segment = u16::try_from(length).unwrap_or(u16::MAX);
        let control = [ControlMessage::UdpGsoSegments(&segment)];
        let to = SockaddrIn::from(to);
        sendmsg(socket.as_raw_fd(), &slices[..run], &control, MsgFlags::MSG_DONTWAIT, Some(&to)).map(|_| run)
    }

    #[cfg(not(target_os = "linux"))]
    fn send_some(&mut self, socket: &UdpSocket, first: usize) -> io::Result<usize> {
        let (to, length) = self.addressed[first];
        let start = first * SEND;
        socket.send_to(&self.octets[start..start + length], to.into()).map(|_| 1)
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UdpSocket, UdpSocket, SocketAddrV4) {
        let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        let (a, b) = (bind(any).expect("a port"), bind(any).expect("a port"));
        let Ok(SocketAddr::V4(address)) = b.local_addr() else { panic!("an address") };
        (a, b, address)
    }

    #[test]
    fn batches_arrive_whole_and_in_order() {
        let (a, b, to) = pair();
        let mut outbox = Outbox::new();
        for i in 0..BATCH {
            let slot = outbox.slot();
            slot[..=i].fill(u8::try_from(i).expect("small"));
            outbox.push(to, i + 1);
        }
        assert!(outbox.is_full());
        assert!(outbox.slot().is_empty());
        outbox.flush(&a, |to, error| panic!("{to}: {error}"));

        let mut inbox = Inbox::new();
        let mut seen = 0;
        while seen < BATCH {
            inbox.receive(&b).expect("datagrams");
            for (from, octets) in inbox.iter() {
                assert_eq!(SocketAddr::V4(from), a.local_addr().expect("an address"));
                assert_eq!(octets, vec![u8::try_from(seen).expect("small"); seen + 1]);
                seen += 1;
            }
        }
        assert!(!inbox.receive(&b).expect("nothing there"));
        assert_eq!(inbox.iter().count(), 0);
    }

    #[test]
    fn datagrams_of_one_length_stay_datagrams() {
        let (a, b, to) = pair();
        let mut outbox = Outbox::new();
        let lengths = [5, 5, 5, 9, 9, 5, 1200, 1200, 1300, 1300, 0, 0];
        for (index, length) in lengths.into_iter().enumerate() {
            outbox.slot()[..length].fill(u8::try_from(index).expect("small"));
            outbox.push(to, length);
        }
        outbox.flush(&a, |to, error| panic!("{to}: {error}"));
        let mut inbox = Inbox::new();
        let mut seen = Vec::new();
        while seen.len() < lengths.len() {
            inbox.receive(&b).expect("datagrams");
            for (_, octets) in inbox.iter() {
                assert!(octets.iter().all(|&octet| usize::from(octet) == seen.len()));
                seen.push(octets.len());
            }
        }
        assert_eq!(seen, lengths);
    }

    #[test]
    fn one_address_that_cannot_be_reached_does_not_stop_the_others() {
        let (a, b, to) = pair();
        let mut outbox = Outbox::new();
        let bad = SocketAddrV4::new(*to.ip(), 0);
        for address in [bad, to, bad, to] {
            outbox.slot()[0] = 7;
            outbox.push(address, 1);
        }
        let mut failures = 0;
        outbox.flush(&a, |to, _| {
            assert_eq!(to, bad);
            failures += 1;
        });
        assert_eq!(failures, 2);
        let mut inbox = Inbox::new();
        inbox.receive(&b).expect("datagrams");
        assert_eq!(inbox.iter().count(), 2);
    }

    #[test]
    fn the_longest_datagram_fits() {
        let (a, b, to) = pair();
        a.send_to(&vec![1; 65_507], to.into()).expect("the system sends it");
        let mut inbox = Inbox::new();
        inbox.receive(&b).expect("a datagram");
        assert_eq!(inbox.iter().map(|(_, octets)| octets.len()).collect::<Vec<_>>(), [65_507]);
    }

    #[test]
    fn a_port_belongs_to_one_program() {
        let (_a, _b, to) = pair();
        assert_eq!(bind(to).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
    }
}
