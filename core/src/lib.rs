//! IP Messenger (IPMSG, 飞鸽传书) for anything that can move octets.
//!
//! This crate speaks the protocol and touches nothing: no sockets, no files, no clock, no allocator, no
//! character sets. It runs on a desktop and on a microcontroller of 64 KiB; whoever uses it brings the
//! network, the storage and the time.
//!
//! # Data flow
//!
//! There are two shapes and no third.
//!
//! *Datagrams* (UDP) are pushed in and polled out. A node takes each received datagram, returns at most one event
//! that borrows from it, and hands out what is to be sent, when it is asked.
//!
//! *Streams* (TCP) are asked what they want. A [`stream::Machine`] stands between a connection and a
//! [`stream::Store`]:
//!
//! ```text
//!              Read, Write, Send, Receive             Open, Load, Save, Close
//!   connection <------------------------> driver <-----------------------------> store
//!                                          |  ^
//!              done(now, n), opened(now, ..)  |
//!                    expire(now)           v  |  want()
//!                                        machine
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`wire`] | takes octets apart and puts them together |
//! | [`stream`] | remembers connections: [`stream::Server`], [`stream::FileClient`], [`stream::FolderClient`] |
//! | [`drive`] | the two loops around a machine, over `embedded-io` and `embedded-io-async` |
//! | [`text`] | strings from the network, which are untrusted |
//! | [`time`] | the clock that is handed in |
//!
//! # A driver, whole
//!
//! [`drive::blocking::run`] is what a thread calls. A device that polls several connections writes its own
//! loop, and this is all there is to it: a store in RAM is served to a client, through a pipe in memory.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::convert::Infallible;
//!
//! use feige_core::stream::*;
//! use feige_core::time::Instant;
//! use feige_core::wire::ipmsg::{FileRequest, Header, Options, PacketNo, PacketToken, RequestKind, RequestedId};
//!
//! /// A store of one file.
//! struct Ram(Vec<u8>);
//!
//! impl Store for Ram {
//!     type Error = Infallible;
//!
//!     fn open(&mut self, target: Target<'_>) -> Result<Opened<'_>, Infallible> {
//!         Ok(match target {
//!             // Somebody asks for a file: this is where a store decides who may have what.
//!             Target::Request(request) if request.packet_no == PacketNo(7) => Opened::File(Entry {
//!                 name: "greeting.txt".into(),
//!                 size: self.0.len() as u64,
//!                 metadata: Metadata::default(),
//!             }),
//!             // We fetch a file.
//!             Target::File(_) => Opened::Ready,
//!             _ => Opened::Refused,
//!         })
//!     }
//!
//!     fn load(&mut self, at: u64, into: &mut [u8]) -> Result<usize, Infallible> {
//!         let octets = &self.0[at as usize..];
//!         let count = octets.len().min(into.len());
//!         into[..count].copy_from_slice(&octets[..count]);
//!         Ok(count)
//!     }
//!
//!     fn save(&mut self, at: u64, octets: &[u8]) -> Result<(), Infallible> {
//!         self.0.truncate(at as usize);
//!         self.0.extend_from_slice(octets);
//!         Ok(())
//!     }
//!
//!     fn close(&mut self) -> Result<(), Infallible> {
//!         Ok(())
//!     }
//! }
//!
//! /// One direction of a connection; takes no more than 100 octets at a time.
//! #[derive(Default)]
//! struct Pipe {
//!     octets: VecDeque<u8>,
//!     closed: bool,
//! }
//!
//! impl Pipe {
//!     fn write(&mut self, octets: &[u8]) -> usize {
//!         let count = octets.len().min(100 - self.octets.len());
//!         self.octets.extend(&octets[..count]);
//!         count
//!     }
//!
//!     /// `None`: nothing yet. 0 octets: the end.
//!     fn read(&mut self, room: &mut [u8]) -> Option<usize> {
//!         if self.octets.is_empty() && !self.closed {
//!             return None;
//!         }
//!         let count = room.len().min(self.octets.len());
//!         room.iter_mut().zip(self.octets.drain(..count)).for_each(|(to, from)| *to = from);
//!         Some(count)
//!     }
//! }
//!
//! /// Does what a machine wants, as long as nobody has to be waited for.
//! fn drive(now: Instant, machine: &mut impl Machine, from: &mut Pipe, to: &mut Pipe, ram: &mut Ram) -> Option<Outcome> {
//!     let mut scratch = [0; 64];
//!     machine.expire(now);
//!     loop {
//!         let done = match machine.want() {
//!             Want::Open(target) => {
//!                 let answer = ram.open(target).unwrap();
//!                 machine.opened(now, answer);
//!                 continue;
//!             }
//!             Want::Read(room) | Want::Drain(room) => from.read(room)?,
//!             Want::Write(octets) => Some(to.write(octets)).filter(|&count| count > 0)?,
//!             Want::Load { at, into } => ram.load(at, into).unwrap(),
//!             Want::Save { at, octets } => ram.save(at, octets).map(|()| octets.len()).unwrap(),
//!             Want::Send { at, len } => {
//!                 let most = scratch.len().min(len as usize);
//!                 let count = ram.load(at, &mut scratch[..most]).unwrap();
//!                 Some(to.write(&scratch[..count])).filter(|&count| count > 0)?
//!             }
//!             Want::Receive { at, len } => {
//!                 let most = scratch.len().min(len as usize);
//!                 let count = from.read(&mut scratch[..most])?;
//!                 ram.save(at, &scratch[..count]).map(|()| count).unwrap()
//!             }
//!             Want::Close => ram.close().map(|()| 0).unwrap(),
//!             Want::Shutdown => {
//!                 to.closed = true;
//!                 0
//!             }
//!             Want::Done(result) => {
//!                 to.closed = true;
//!                 return Some(result.expect("both sides keep the rules"));
//!             }
//!         };
//!         machine.done(now, done as u64);
//!     }
//! }
//!
//! let (mut there, mut here) = (Ram(b"hello, world. ".repeat(100)), Ram(Vec::new()));
//! let (mut to, mut fro) = (Pipe::default(), Pipe::default());
//! let (mut a, mut b) = ([0; 512], [0; 512]);
//! let now = Instant::START;
//!
//! let kind = RequestKind::File;
//! let header = Header {
//!     version: "1".into(),
//!     packet_no: PacketToken("8".into()),
//!     user: "li".into(),
//!     host: "pc".into(),
//!     command: kind.command(),
//!     options: Options::default(),
//! };
//! let request = FileRequest { header, kind, packet_no: PacketNo(7), id: RequestedId::of(0), offset: 0 };
//! let mut client = FileClient::new(now, &mut a, &request, Announced::Size(1400), Metadata::default()).unwrap();
//! let mut server = Server::new(now, &mut b);
//! let outcome = loop {
//!     if let Some(outcome) = drive(now, &mut client, &mut fro, &mut to, &mut here) {
//!         break outcome;
//!     }
//!     drive(now, &mut server, &mut to, &mut fro, &mut there);
//! };
//! assert!(matches!(outcome, Outcome::Complete(Totals { octets: 1400, .. })));
//! assert_eq!(here.0, there.0);
//! ```
//!
//! # Memory
//!
//! Nothing is allocated. A machine is about 150 octets and borrows one buffer for its life; 512 octets do, and
//! the larger it is, the more small files share a read or write. Tables have their size in their type, and full is
//! an answer: the caller hears [`wire::BufferTooSmall`] or the like and nothing is lost.
//!
//! # What cannot happen
//!
//! No input makes this crate panic: there is no code in it that could, and an image for Cortex-M3 is linked with a
//! panic handler that does not exist, to prove it. No input makes it grow, and no peer makes it wait for ever: every
//! wait has a [deadline](stream::Machine::deadline).
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::as_conversions
    )
)]

#[cfg(test)]
extern crate std;

mod bucket;
pub mod digest;
pub mod drive;
pub mod flood;
mod hash;
pub mod node;
pub mod stream;
pub mod text;
pub mod time;
pub mod wire;
