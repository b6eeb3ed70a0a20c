//! Datagrams between the sockets and the node: acknowledged first, shown afterwards.

use std::net::{Ipv4Addr, SocketAddrV4};

use feige_core::node::{Destination, Event as NodeEvent, Output};
use feige_core::time::Instant;

use super::Engine;
use crate::net::interfaces;
use crate::net::udp::{BATCH, Inbox};

/// Batches handled before other things get their turn.
const BATCHES: usize = 16;

impl Engine {
    /// Gives every socket its turn; returns whether there may be more.
    ///
    /// What came to us alone first, in the order in which it was sent: a peer that confirms our message and leaves says
    /// the one to us and the other to everybody.
    pub(super) fn receive(&mut self) -> bool {
        let mut more = self.receive_from(None);
        for index in 0..self.broadcasts.len() {
            more |= self.receive_from(Some(index));
        }
        more
    }

    /// Handles what arrived; returns whether there may be more.
    fn receive_from(&mut self, broadcast: Option<usize>) -> bool {
        let Some(mut inbox) = self.inbox.take() else { return false };
        let mut more = true;
        for _ in 0..BATCHES {
            let socket = broadcast.and_then(|index| self.broadcasts.get(index)).unwrap_or(&self.socket);
            more = match inbox.receive(socket) {
                Ok(more) => more,
                Err(error) => {
                    // An earlier datagram of ours was refused somewhere; or the interface went away.
                    self.screen.detail(|| format!("receiving: {error}"));
                    false
                }
            };
            self.handle(&inbox);
            if !more {
                break;
            }
        }
        self.inbox = Some(inbox);
        more
    }

    /// Acknowledges a batch, then shows it.
    fn handle(&mut self, inbox: &Inbox) {
        let now = self.clock.now();
        let mut events: [Option<NodeEvent<'_>>; BATCH] = [None; BATCH];
        for ((from, octets), event) in inbox.iter().zip(&mut events) {
            self.screen.datagram("<", from, octets);
            match self.node.handle_datagram(now, from, octets) {
                Ok(happened) => *event = happened,
                Err(rejected) => self.screen.detail(|| format!("datagram from {from}: {rejected}")),
            }
            self.transmit(now);
        }
        self.flush();
        for event in events.into_iter().flatten() {
            self.happened(now, &event);
        }
    }

    /// Collects what the node wants sent.
    pub(super) fn transmit(&mut self, now: Instant) {
        loop {
            if self.outbox.is_full() {
                self.flush();
            }
            // Every datagram takes a number.
            let next = self.numbers.keep_ahead(self.node.next_packet_no(), self.reserve);
            self.node.continue_at(next);
            match self.node.poll(now, self.outbox.slot()) {
                Output::Transmit { to: Destination::Unicast(to), octets } => {
                    let length = octets.len();
                    self.screen.datagram(">", to, octets);
                    self.outbox.push(to, length);
                }
                Output::Transmit { to: Destination::Broadcast, octets } => {
                    let octets = octets.to_vec();
                    self.broadcast(&octets);
                }
                Output::Alarm(alarm) => self.alarms.push(alarm),
                // The buffer holds the longest datagram.
                Output::Wait(_) | Output::BufferTooSmall(_) => return,
            }
        }
    }

    fn broadcast(&mut self, octets: &[u8]) {
        let bind = if self.local.ip().is_unspecified() { Ipv4Addr::UNSPECIFIED } else { *self.local.ip() };
        for target in interfaces::broadcast_targets(&self.asked_broadcast, bind) {
            if self.outbox.is_full() {
                self.flush();
            }
            let to = SocketAddrV4::new(target, self.port);
            self.screen.datagram(">", to, octets);
            if let Some(slot) = self.outbox.slot().get_mut(..octets.len()) {
                slot.copy_from_slice(octets);
                self.outbox.push(to, octets.len());
            }
        }
    }

    pub(super) fn flush(&mut self) {
        let Self { screen, unsent, .. } = self;
        self.outbox.flush(&self.socket, |to, error| {
            screen.detail(|| format!("cannot send to {to}: {error}"));
            *unsent = Some((to, error.to_string()));
        });
    }
}
