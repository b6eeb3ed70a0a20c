//! Sockets: the datagram socket with its batches, the interfaces and their broadcast addresses.

pub mod interfaces;
pub mod udp;
