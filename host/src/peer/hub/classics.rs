//! The classic side of the hub: queries become texts, texts become queries and hits.
//!
//! **Protocol**: R-FL-70 to 79.

use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::SystemTime;

use feige_core::flood::LinkId;
use feige_core::wire::flood::classic::{self, Program, Tag};
use feige_core::wire::flood::{Hit, Holder, Message, Query, Speech, What};
use feige_core::wire::transfer::EntryKind;

use super::gateway::Asker;
use super::{DEAF_ASKER, Far, Hub, Line, Notice, TELLERS, address_towards, is_here};
use crate::peer::event::Event;

impl Hub {
    /// A query in the words of a classic neighbour; `None` if they have none for it.
    pub(super) fn classic_question(
        &mut self,
        at: SocketAddrV4,
        program: Program,
        query: &Query<'_>,
    ) -> Option<Vec<u8>> {
        let What::Name(name) = query.what else { return None };
        if !classic::can_be_asked_for(name) {
            return None;
        }
        // An asker of the other program could not read the answer of this one, and one on this machine that says so is
        // found by nobody elsewhere: it is asked for in our own name.
        let is_reached = |asker: SocketAddrV4| !asker.ip().is_loopback() || at.ip().is_loopback();
        let asker = match self.gateway.asker(query.id) {
            Some(asker) if asker.program == program && is_reached(asker.at) => asker.at,
            _ => {
                self.gateway.ask(name, query.id);
                SocketAddrV4::new(address_towards(at)?, self.port)
            }
        };
        let tag = Some(Tag { id: query.id, hops: query.hops });
        let mut text = [0; classic::MAX_MESSAGE];
        let len = classic::Get { name, asker, reach: query.ttl, tag, program }.emit(&mut text).ok()?;
        Some(text[..len].to_vec())
    }

    /// A classic program asks.
    pub(super) fn get(&mut self, name: &str, asker: Asker, reach: u8, tag: Option<Tag>, from: IpAddr) {
        if asker.at.port() == self.port && is_here(*asker.at.ip()) {
            // Our own question, back over a classic program that does not remember.
            return;
        }
        let (id, hops) = match tag {
            Some(Tag { id, hops }) => (id, hops),
            None => (self.gateway.id(name, asker, SystemTime::now()), 0),
        };
        if self.searches.contains_key(&id) {
            return;
        }
        if !self.gateway.asks(id, asker) {
            return self
                .tell(Event::Refused { from: from.to_string(), error: "too many classic questions".to_owned() });
        }
        let Some(link) = self.classic_link(asker.at, from).or(self.askers) else { return };
        let message = Message::Query(Query { id, ttl: reach, hops, what: What::Name(name) });
        match self.flood.handle(self.clock.now(), link, &message) {
            Ok(Some(event)) => self.event(link, &event),
            Ok(None) => {}
            Err(why) => self.refused(link, why),
        }
    }

    /// The link of the classic neighbour that asks, or passes a question on, if it can be told.
    fn classic_link(&self, asker: SocketAddrV4, from: IpAddr) -> Option<LinkId> {
        let classic = |line: &Line| match line.far {
            Far::Classic { at, .. } => Some(at),
            Far::Native { .. } => None,
        };
        let by = |is_it: &dyn Fn(SocketAddrV4) -> bool| {
            let mut fits = self.lines.iter().filter(|(_, line)| classic(line).is_some_and(is_it));
            fits.next().filter(|_| fits.next().is_none()).map(|(link, _)| *link)
        };
        by(&|at| at == asker).or_else(|| by(&|at| IpAddr::V4(*at.ip()) == from))
    }

    /// A classic program answers.
    pub(super) fn found(&mut self, name: &str, holder: SocketAddrV4) {
        // R-FL-79.
        let Some(id) = self.gateway.answered(name) else {
            let error = format!("it found {name}, which nobody asked for");
            return self.tell(Event::Refused { from: holder.to_string(), error });
        };
        if !self.settings.allows(*holder.ip()) {
            let error = "it is in no network to which classic programs are connected: see `networks`".to_owned();
            return self.tell(Event::Refused { from: holder.to_string(), error });
        }
        let Some(link) = self.askers else { return };
        let holder = Holder::new(holder, Speech::Classic);
        let hit = Hit { id, hops: 0, holder, kind: EntryKind::File, path: name, size: None, md5: None };
        match self.flood.handle(self.clock.now(), link, &Message::Hit(hit)) {
            Ok(Some(event)) => self.event(link, &event),
            Ok(None) => self.passed(link, &hit),
            Err(why) => self.refused(link, why),
        }
    }

    /// Tells a classic program what was found for it (R-FL-77).
    pub(super) fn tell_asker(&mut self, hit: &Hit<'_>, asker: Asker) {
        let refused = |error: &str| Event::Refused { from: asker.at.to_string(), error: error.to_owned() };
        if !self.settings.allows(*asker.at.ip()) {
            return self.tell(refused("it asks for an answer outside of the networks that get one: see `networks`"));
        }
        if !self.gateway.may_tell(asker.at) {
            return self.tell(refused("it gets no more answers for a minute"));
        }
        let mut holder = hit.holder.at();
        if holder.ip().is_unspecified() {
            let Some(ip) = address_towards(asker.at) else { return };
            holder.set_ip(ip);
        }
        let name = hit.name().to_owned();
        let mut text = [0; classic::MAX_MESSAGE];
        let found =
            classic::Found { name: &name, holder, number: self.settings.id.unwrap_or(0), program: asker.program };
        let Ok(len) = found.emit(&mut text) else { return };
        let Ok(text) = String::from_utf8(text[..len].to_vec()) else { return };
        if self.tellers.fetch_add(1, Ordering::Relaxed) >= TELLERS {
            self.tellers.fetch_sub(1, Ordering::Relaxed);
            return self.tell(refused("too many answers are under way"));
        }
        let (tellers, hub, cancel) = (Arc::clone(&self.tellers), self.here.hub.clone(), self.here.cancel.clone());
        let tells = thread::Builder::new().name("found".into()).stack_size(128 << 10).spawn(move || {
            if let Err(error) = crate::peer::classic::send(asker.at, &text, DEAF_ASKER, &cancel) {
                let _ = hub.send(Notice::Refused { from: asker.at.to_string(), error: error.to_string() });
            }
            tellers.fetch_sub(1, Ordering::Relaxed);
        });
        match tells {
            Ok(_) => {
                let (id, path) = (hit.id.to_string(), hit.path.to_owned());
                self.tell(Event::Passed { id, path, holder, to: asker.at.to_string() });
            }
            Err(error) => {
                self.tellers.fetch_sub(1, Ordering::Relaxed);
                self.tell(Event::Trouble { error: format!("cannot start a thread: {error}") });
            }
        }
    }
}
