//! The links of the hub: who is at their other ends, how they begin and end.
//!
//! **Protocol**: R-FL-10 to 14.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::mpsc::sync_channel;
use std::thread;

use feige_core::flood::{Ends, LinkId};
use feige_core::wire::flood::Token;
use feige_core::wire::flood::classic::Program;

use super::{DEAF, Dialled, Far, Hub, LINKS, Line, Notice};
use crate::peer::event::Event;
use crate::peer::link::{self, Dialling, Wire};
use crate::peer::settings::{Dialect, Neighbour};

impl Hub {
    pub(super) fn connected(&mut self, wire: Wire) {
        let Wire { conn, peer, dialled, outbox } = wire;
        let ip = match peer.ip() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) => ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED),
        };
        // Without a link the queue is dropped, and the connection ends.
        if let Some(link) = self.flood.connect(self.clock.now(), ip, Ends::Native { dialled }) {
            let far = Far::Native { conn, peer };
            self.lines.insert(link, Line { far, token: None, was_up: false, dropped: None, outbox });
        } else {
            self.tell(Event::Refused { from: peer.to_string(), error: format!("there are {LINKS} links already") });
        }
    }

    pub(super) fn link_of(&self, conn: u64) -> Option<LinkId> {
        let is_it = |line: &Line| matches!(line.far, Far::Native { conn: other, .. } if other == conn);
        self.lines.iter().find(|(_, line)| is_it(line)).map(|(link, _)| *link)
    }

    pub(super) fn close(&mut self, link: LinkId, why: String) {
        if let Some(line) = self.forget(link) {
            let peer = line.name();
            self.tell(if line.was_up {
                Event::Unlinked { peer, error: why }
            } else {
                Event::Refused { from: peer, error: why }
            });
        }
    }

    /// A link is gone.
    pub(super) fn forget(&mut self, link: LinkId) -> Option<Line> {
        self.flood.disconnect(link);
        let line = self.lines.remove(&link);
        self.rest();
        line
    }

    /// Somebody said over this link who it is. If we dialled, that is who the neighbour is.
    pub(super) fn is_at(&mut self, link: LinkId, token: Token) {
        if let Some(Line { far: Far::Native { peer: SocketAddr::V4(at), .. }, .. }) = self.lines.get(&link)
            && let Some(dialled) = self.dialled.get_mut(at)
        {
            dialled.token = Some(token);
        }
    }

    /// Neighbours rest while there is a link to them, whoever dialled it, and no longer (R-FL-14).
    pub(super) fn rest(&self) {
        for (at, Dialled { dialling, token }) in &self.dialled {
            let is_it = |line: &Line| {
                line.token.is_some()
                    && line.token == *token
                    && matches!(line.far, Far::Native { peer, .. } if is_same_host(peer.ip(), IpAddr::V4(*at.ip())))
            };
            dialling.set_linked(self.lines.values().any(is_it));
        }
    }

    /// Dials those neighbours that are new, and leaves those that are none any more.
    pub(super) fn meet_neighbours(&mut self) {
        let neighbours = self.settings.neighbours.clone();
        let is_one = |at: SocketAddrV4| neighbours.iter().any(|neighbour| neighbour.at == at);
        let mut left = Vec::new();
        self.dialled.retain(|at, dialled| {
            let stays = is_one(*at);
            if !stays {
                dialled.dialling.end();
                left.push(SocketAddr::V4(*at));
            }
            stays
        });
        let gone = self.lines.iter().filter(|(_, line)| match line.far {
            Far::Classic { at, .. } => !is_one(at),
            // Whom we dialled has the port of the neighbour; who dialled us stays.
            Far::Native { peer, .. } => left.contains(&peer),
        });
        let gone: Vec<LinkId> = gone.map(|(link, _)| *link).collect();
        for link in gone {
            self.close(link, "it is no neighbour any more".to_owned());
        }
        for Neighbour { at, dialect } in neighbours {
            let is_there = self.dialled.contains_key(&at)
                || self.lines.values().any(|line| matches!(line.far, Far::Classic { at: other, .. } if other == at));
            match dialect {
                _ if is_there => {}
                Some(Dialect::J) => self.meet_classic(at, Program::J),
                Some(Dialect::C) => self.meet_classic(at, Program::C),
                Some(Dialect::Native) | None => {
                    let dialling = Dialling::default();
                    match link::keep_dialling(&self.here, at, dialect, dialling.clone()) {
                        Ok(()) => {
                            self.dialled.insert(at, Dialled { dialling, token: None });
                        }
                        Err(error) => self.tell(Event::Trouble { error: format!("cannot start a thread: {error}") }),
                    }
                }
            }
        }
    }

    /// A neighbour that is a classic program: one message, one connection.
    pub(super) fn meet_classic(&mut self, at: SocketAddrV4, program: Program) {
        let (outbox, queue) = sync_channel::<Vec<u8>>(64);
        let (cancel, hub) = (self.here.cancel.clone(), self.here.hub.clone());
        let said = thread::Builder::new().name("classic-out".into()).stack_size(128 << 10).spawn(move || {
            while let Ok(text) = queue.recv() {
                let Ok(text) = String::from_utf8(text) else { continue };
                if let Err(error) = crate::peer::classic::send(at, &text, DEAF, &cancel) {
                    let _ = hub.send(Notice::Refused { from: at.to_string(), error: error.to_string() });
                }
                if cancel.is_cancelled() {
                    return;
                }
            }
        });
        if let Err(error) = said {
            return self.tell(Event::Trouble { error: format!("cannot start a thread: {error}") });
        }
        let Some(link) = self.flood.connect(self.clock.now(), *at.ip(), Ends::Classic) else {
            return self.tell(Event::Trouble { error: format!("there are {LINKS} links already, {at} gets none") });
        };
        let far = Far::Classic { at, program };
        self.lines.insert(link, Line { far, token: None, was_up: true, dropped: None, outbox });
        self.tell(Event::Linked { peer: at.to_string(), software: format!("classic program {program:?}") });
        self.wake();
    }

    /// Tells those who wait for somebody to ask.
    pub(super) fn wake(&mut self) {
        if self.flood.links().any(|link| self.flood.is_up(link)) {
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
    }
}

/// As for R-FL-11: the addresses of this machine that only it can reach are one.
fn is_same_host(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_loopback() && other.is_loopback()
}
