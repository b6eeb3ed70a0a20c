//! A peer by hand: the test itself sends the octets of another program and looks at the answers.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use feige_core::wire::ipmsg::{Command, Datagram, Options};

use crate::lab::Host;
use crate::program::SOON;

/// Sockets like those of any client: datagrams and connections at one address.
#[derive(Debug)]
pub struct Peer {
    udp: UdpSocket,
    tcp: TcpListener,
    /// What was received and not waited for yet.
    pending: Vec<Received>,
}

/// A datagram that a peer got.
#[derive(Clone, Debug)]
pub struct Received {
    /// Who sent it.
    pub from: SocketAddr,
    /// What it says.
    pub octets: Vec<u8>,
}

impl Received {
    /// The octets, taken apart.
    ///
    /// # Panics
    /// If Feige sent something that is no datagram.
    #[must_use]
    pub fn datagram(&self) -> Datagram<'_> {
        Datagram::parse(&self.octets).unwrap_or_else(|error| panic!("{error}: {}", self.octets.escape_ascii()))
    }
}

impl Peer {
    /// A peer on a host of a lab, at the family's port.
    #[must_use]
    pub fn on(host: &Host) -> Self {
        Self::with(host.udp(2425), host.listener(2425))
    }

    /// A peer on this machine's loopback, where every test can have addresses of its own.
    ///
    /// # Panics
    /// If the address is taken.
    #[must_use]
    pub fn at(address: SocketAddrV4) -> Self {
        Self::with(UdpSocket::bind(address).expect("a free port"), TcpListener::bind(address).expect("a free port"))
    }

    fn with(udp: UdpSocket, tcp: TcpListener) -> Self {
        tcp.set_nonblocking(true).expect("a socket");
        Self { udp, tcp, pending: Vec::new() }
    }

    /// Sends these octets.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn send(&self, to: SocketAddrV4, octets: impl AsRef<[u8]>) {
        self.udp.send_to(octets.as_ref(), to).expect("sent");
    }

    /// Waits for a datagram with this command; others are kept.
    ///
    /// # Panics
    /// If none comes.
    pub fn receive(&mut self, command: Command) -> Received {
        self.receive_where(SOON, |datagram| datagram.header.command == command)
            .unwrap_or_else(|| panic!("no {command:?}, but {:?}", self.pending))
    }

    /// Waits for a datagram for which `wanted` holds; others are kept.
    ///
    /// # Panics
    /// If the socket fails.
    pub fn receive_where(&mut self, within: Duration, wanted: impl Fn(&Datagram<'_>) -> bool) -> Option<Received> {
        if let Some(at) = self.pending.iter().position(|received| wanted(&received.datagram())) {
            return Some(self.pending.remove(at));
        }
        let end = Instant::now() + within;
        let mut buffer = vec![0; 0x1_0000];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.udp.set_read_timeout(Some(left)).expect("a socket");
            let Ok((len, from)) = self.udp.recv_from(&mut buffer) else { continue };
            let received = Received { from, octets: buffer[..len].to_vec() };
            if wanted(&received.datagram()) {
                return Some(received);
            }
            self.pending.push(received);
        }
    }

    /// Becomes a member of Feige's: sends the entry that iptux sends, and waits for the answer.
    ///
    /// # Panics
    /// If Feige does not answer.
    pub fn enter(&mut self, feige: SocketAddrV4, name: &str) -> Received {
        self.send(feige, format!("1_iptux 0.8.3:1:{name}:{name}-pc:257:{name}\0\0icon-tux.png\0utf-8\0"));
        self.receive(Command::AnsEntry)
    }

    /// The next connection.
    ///
    /// # Panics
    /// If none comes within [`SOON`].
    pub fn accept(&self) -> TcpStream {
        let end = Instant::now() + SOON;
        loop {
            if let Some(stream) = self.try_accept() {
                return stream;
            }
            assert!(Instant::now() < end, "no connection");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The next connection, if there is one by now.
    ///
    /// # Panics
    /// If the socket fails.
    #[must_use]
    pub fn try_accept(&self) -> Option<TcpStream> {
        match self.tcp.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a socket");
                stream.set_read_timeout(Some(SOON)).expect("a socket");
                Some(stream)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("no connection: {error}"),
        }
    }

    /// Where it is.
    ///
    /// # Panics
    /// If the socket fails.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.udp.local_addr().expect("a bound socket")
    }
}

/// Asks for a file or folder as a client does and reads until the server closes.
///
/// # Errors
/// If the connection fails or the server neither sends nor closes.
pub fn request(mut stream: TcpStream, pieces: &[&[u8]]) -> io::Result<Vec<u8>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SOON))?;
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        stream.write_all(piece)?;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// The number of a packet and the entries of an attachment list, as they stand in an offer.
///
/// # Panics
/// If it is no offer.
#[must_use]
pub fn offer(received: &Received) -> (u64, Vec<Vec<u8>>) {
    let datagram = received.datagram();
    assert!(datagram.header.options.contains(Options::FILE_ATTACH), "{}", received.octets.escape_ascii());
    let number = datagram.header.packet_no.number().expect("a decimal number");
    let list = datagram.extensions().next().expect("an attachment list");
    let entries = list.split(|&octet| octet == 7).filter(|entry| !entry.is_empty() && *entry != b":");
    (number, entries.map(<[u8]>::to_vec).collect())
}
