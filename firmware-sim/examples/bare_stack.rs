//! What the TCP/IP stack reaches with no device on it: `bare_stack TAP BUFFER`.
//!
//! Port 1234 sends octets as fast as they are taken, port 1235 takes and forgets them, as in the stack's own benchmark.
//! `scripts/device-throughput.py` measures it beside the device. The TAP interface has to be there and up.

use std::os::fd::AsRawFd as _;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{TunTapInterface, wait};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, tap, buffer] = &arguments[..] else { return Err("usage: bare_stack TAP BUFFER".into()) };
    let buffer: usize = buffer.parse()?;
    let mut device = TunTapInterface::new(tap, smoltcp::phy::Medium::Ethernet)?;
    let fd = device.as_raw_fd();
    let address = EthernetAddress([2, 0, 10, 77, 0, 2]);
    let mut iface = Interface::new(Config::new(address.into()), &mut device, Instant::now());
    iface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::new(Ipv4Address::new(10, 77, 0, 2).into(), 24)));
    let mut sockets = SocketSet::new(vec![]);
    let mut add = || sockets.add(Socket::new(SocketBuffer::new(vec![0; buffer]), SocketBuffer::new(vec![0; buffer])));
    let (sender, receiver) = (add(), add());
    sockets.get_mut::<Socket<'_>>(sender).listen(1234)?;
    sockets.get_mut::<Socket<'_>>(receiver).listen(1235)?;
    println!("ready");
    loop {
        let now = Instant::now();
        iface.poll(now, &mut device, &mut sockets);
        let socket = sockets.get_mut::<Socket<'_>>(sender);
        if socket.can_send() {
            socket.send(|room| (room.len(), ()))?;
        }
        let socket = sockets.get_mut::<Socket<'_>>(receiver);
        while socket.can_recv() {
            socket.recv(|octets| (octets.len(), ()))?;
        }
        wait(fd, iface.poll_delay(Instant::now(), &sockets))?;
    }
}
