//! Messages of the flood: what comes over links is handed to it and told, what it says goes out over them.
//!
//! **Protocol**: R-FL-20 to 39, of which the rules are the core's.

use std::net::SocketAddr;
use std::sync::mpsc::TrySendError;
use std::time::Instant;

use feige_core::flood::{Event as FloodEvent, Found, LinkId, Rejected};
use feige_core::wire::flood::{Hit, Message, Query, QueryId, frame};
use feige_core::wire::transfer::EntryKind;

use super::{Far, Heard, Hub, Line, OwnWhat, SAME_AGAIN};
use crate::peer::event::{self, Event};
use crate::peer::share;

impl Hub {
    /// A message came over a native link.
    pub(super) fn message(&mut self, conn: u64, octets: &[u8]) {
        let Some(link) = self.link_of(conn) else { return };
        let Ok(Some((Some(message), _))) = frame(octets) else { return };
        if let Message::Hello(hello) = &message {
            self.is_at(link, hello.token);
        }
        match self.flood.handle(self.clock.now(), link, &message) {
            Ok(event) => {
                if let (Message::Hit(hit), None) = (&message, &event) {
                    self.passed(link, hit);
                }
                if let Some(event) = event {
                    self.event(link, &event);
                }
            }
            Err(why) if why.is_fatal() => self.close(link, why.to_string()),
            Err(why) => self.refused(link, why),
        }
    }

    /// The flood has dropped a message of this link, which goes on.
    pub(super) fn refused(&mut self, link: LinkId, why: Rejected) {
        // What everybody does now and then is counted, not told.
        if matches!(why, Rejected::NobodyAsked | Rejected::TooMany) {
            return;
        }
        let mut from = "a classic program".to_owned();
        if let Some(line) = self.lines.get_mut(&link) {
            if line.dropped.is_some_and(|(before, at)| before == why && at.elapsed() < SAME_AGAIN) {
                return;
            }
            line.dropped = Some((why, Instant::now()));
            from = line.name();
        }
        self.tell(Event::Refused { from, error: format!("dropped a message: {why}") });
    }

    /// Something that the application is to hear of came over this link.
    pub(super) fn event(&mut self, link: LinkId, event: &FloodEvent<'_>) {
        match event {
            FloodEvent::Up(hello) => {
                let mut peer = String::new();
                if let Some(line) = self.lines.get_mut(&link) {
                    line.token = Some(hello.token);
                    line.was_up = true;
                    peer = line.name();
                }
                self.rest();
                self.tell(Event::Linked { peer, software: hello.software.to_owned() });
                // What is said first makes it up.
                self.poll();
                self.wake();
            }
            FloodEvent::Asked(query) => {
                let Query { id, ttl, hops, what } = *query;
                let from = self.lines.get(&link).map_or_else(|| "a classic program".to_owned(), Line::name);
                self.tell(Event::Asked { id: id.to_string(), what: what.to_string(), from, ttl, hops });
                if let Some(lookup) = &self.lookup
                    && !lookup.ask(id, OwnWhat::of(what))
                {
                    self.tell(Event::Refused { from: id.to_string(), error: "too many questions at once".to_owned() });
                }
            }
            FloodEvent::Hit(hit) => {
                let via = self.lines.get(&link).map_or_else(|| hit.holder.at().to_string(), Line::name);
                if let Some(seeking) = self.searches.get(&hit.id) {
                    let _ = seeking.tell.send(Heard::Hit(told(hit, via)));
                }
            }
            FloodEvent::Bye => self.close(link, "it says goodbye".to_owned()),
            _ => {}
        }
    }

    /// The share has what a query looks for.
    pub(super) fn answer(&mut self, id: QueryId, found: &share::Found) {
        let kind = match found.kind {
            share::Kind::File => EntryKind::File,
            share::Kind::Folder => EntryKind::Folder,
        };
        let answer = Found { kind, path: &found.path, size: Some(found.size), md5: found.md5 };
        match self.flood.answer(self.clock.now(), id, &answer) {
            Ok(()) => self.tell(Event::Answered { id: id.to_string(), path: found.path.clone() }),
            Err(Rejected::NobodyAsked) => {}
            Err(why) => self.tell(Event::Refused { from: id.to_string(), error: format!("not answered: {why}") }),
        }
    }

    /// Whoever shares it may rename it.
    pub(super) fn tell_unshared(&self, unshared: &share::Unshared) {
        for (path, wrong) in &unshared.first {
            self.tell(Event::Unshared { path: path.clone(), error: (*wrong).to_owned() });
        }
        if unshared.more() > 0 {
            self.tell(Event::UnsharedMore { count: unshared.more() });
        }
    }

    /// A hit that came over this link went on towards whoever asked.
    pub(super) fn passed(&self, from: LinkId, hit: &Hit<'_>) {
        let (id, path, mut holder) = (hit.id.to_string(), hit.path.to_owned(), hit.holder.at());
        if let Some(Line { far: Far::Native { peer: SocketAddr::V4(peer), .. }, .. }) = self.lines.get(&from)
            && holder.ip().is_unspecified()
        {
            holder.set_ip(*peer.ip());
        }
        self.tell(Event::Passed { id, path, holder, to: "the neighbour that asked".to_owned() });
    }

    /// The flood says something over a link: in octets, or in the words of a classic program.
    pub(super) fn transmit(&mut self, to: LinkId, octets: &[u8]) {
        let Ok(Some((Some(message), _))) = frame(octets) else { return };
        if let Message::Hit(hit) = &message
            && let Some(asker) = self.gateway.asker(hit.id)
            && !self.is_native(to)
        {
            return self.tell_asker(hit, asker);
        }
        let Some(line) = self.lines.get(&to) else { return };
        let octets = match (&line.far, &message) {
            (Far::Native { .. }, _) => Some(octets.to_vec()),
            (Far::Classic { at, program }, Message::Query(query)) => {
                let (at, program) = (*at, *program);
                self.classic_question(at, program, query)
            }
            (Far::Classic { .. }, _) => None,
        };
        let Some(octets) = octets else { return };
        let Some(line) = self.lines.get(&to) else { return };
        match line.outbox.try_send(octets) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                let error = "it takes too little: a message was dropped".to_owned();
                return self.tell(Event::Refused { from: line.name(), error });
            }
            // It is over, and why is told in a moment.
            Err(TrySendError::Disconnected(_)) => return,
        }
        if let Message::Query(query) = message {
            let (id, what, to, ttl) = (query.id.to_string(), query.what.to_string(), line.name(), query.ttl);
            if let Some(seeking) = self.searches.get_mut(&query.id) {
                seeking.sent += 1;
            }
            self.tell(Event::Sent { id, what, to, ttl });
        }
    }

    fn is_native(&self, link: LinkId) -> bool {
        self.lines.get(&link).is_some_and(|line| matches!(line.far, Far::Native { .. }))
    }
}

/// A hit as it is told.
fn told(hit: &Hit<'_>, via: String) -> event::Hit {
    event::Hit {
        id: hit.id.to_string(),
        name: hit.name().to_owned(),
        path: hit.path.to_owned(),
        kind: hit.kind,
        size: hit.size,
        md5: hit.md5,
        peer: hit.holder.at(),
        hops: hit.hops,
        via,
        speech: hit.holder.speech,
    }
}
