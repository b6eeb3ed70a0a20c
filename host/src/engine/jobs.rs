//! Doing what was asked for.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;

use feige_core::node::{AbsenceNotice, BothSets, Full, Message, Recipients, Table};
use feige_core::time::Instant;
use feige_core::wire::Writer;
use feige_core::wire::ipmsg::{
    Attachment, Attribute, EscapedName, ExtendedAttributes, MAX_DATAGRAM, PacketNo, RequestKind,
};

use super::directory::Match;
use super::job::{ANSWER, Job, Origin, SEARCH, Sending, Target, Who, Work};
use super::{Engine, Mode};
use crate::charset::Charset;
use crate::control::{self, Request};
use crate::exit::{Exit, Failure};
use crate::net::interfaces;
use crate::transfer::Share;
use crate::ui::event::Event;

/// How a job ends.
type Ended = Result<Exit, Failure>;

impl Job {
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        match &self.work {
            Work::Send(sending) => sending.deadline(now),
            Work::Members(until) => Some(*until),
            Work::Fetch { .. } => None,
        }
    }
}

impl Engine {
    /// Does what is asked for, at once or by and by.
    pub fn submit(&mut self, request: Request, origin: Origin) {
        let now = self.clock.now();
        let ended = match request {
            Request::Send(request) => self.prepare(now, request).map(Some),
            Request::Members { wait } => {
                self.announce();
                Ok(Some(Work::Members(now + wait)))
            }
            Request::Offers => {
                let offers: Vec<Event> = self
                    .offers
                    .messages()
                    .map(|files| Event::Offer {
                        from: files[0].from.clone(),
                        packet: files[0].packet_no.0.into(),
                        files: files.iter().map(|offered| offered.file.clone()).collect(),
                    })
                    .collect();
                for offer in &offers {
                    self.reply(origin, offer);
                }
                Ok(None)
            }
            Request::GetOffer { which } => self.fetch(&which),
            Request::Away { text } => {
                self.set_away(Some(&text));
                Ok(None)
            }
            Request::Back => {
                self.set_away(None);
                Ok(None)
            }
        };
        match ended {
            Ok(Some(work)) => self.jobs.push(Job { origin, work }),
            Ok(None) => self.finish(origin, Ok(Exit::Done)),
            Err(failure) => self.finish(origin, Err(failure)),
        }
    }

    /// Goes away with this text, or comes back.
    pub fn set_away(&mut self, text: Option<&str>) {
        let now = self.clock.now();
        let legacy = self.directory.policy().legacy();
        self.away = text.is_some();
        self.screen.away(text);
        let Some(text) = text else { return self.node.set_absence(now, None) };
        let encoded = legacy.encode(text);
        let both = BothSets { utf8: text.as_bytes(), legacy: &encoded };
        self.node.set_absence(now, Some(AbsenceNotice { title: both, text: both }));
    }

    /// Looks at what is to be sent, and begins to look for the recipient.
    fn prepare(&mut self, now: Instant, request: control::Send) -> Result<Work, Failure> {
        let mut shares = Vec::with_capacity(request.files.len());
        for path in &request.files {
            let share =
                Share::of(path).map_err(|error| Failure::usage(format!("cannot offer {}: {error}", path.display())))?;
            shares.push(Arc::new(share));
        }
        let who = Who::parse(&request.to, self.port);
        let warm = matches!(self.mode, Mode::Listen { .. });
        let (earliest, latest) = match &who {
            Who::At(at) if interfaces::is_of_many(*at.ip()) => {
                let error = format!("{} is not the address of one machine; `all` sends to everybody", at.ip());
                return Err(Failure::usage(error));
            }
            Who::At(at) => {
                let ascii = request.text.is_ascii() && shares.iter().all(|share| share.name().is_ascii());
                let known = self.directory.at(*at).is_some_and(|known| known.charset().is_some());
                if !known {
                    self.greet(now, *at)?;
                }
                // Only the peer's entry tells in which character set it reads what is not ASCII.
                let sure = known || ascii || self.directory.policy().forced().is_some();
                (now, if sure { now } else { now + ANSWER })
            }
            Who::Named(name) if is_mistyped(name) => {
                let error =
                    format!("{name} is no address that can be sent to; write one as 192.168.1.7 or 192.168.1.7:2425");
                return Err(Failure::usage(error));
            }
            Who::Named(name) if warm && matches!(self.directory.find(name), Match::One(_)) => (now, now),
            Who::All if warm && !self.directory.everybody().is_empty() => (now, now),
            Who::Named(_) => {
                self.announce();
                // An exact identity is enough as soon as it is seen; a mere name could belong to two.
                (now + ANSWER, now + SEARCH)
            }
            Who::All => {
                self.announce();
                (now + SEARCH.mul_f32(0.7), now + SEARCH)
            }
        };
        let give_up = request.wait.map(|wait| now + wait);
        Ok(Work::Send(Box::new(Sending {
            request,
            who,
            shares,
            earliest: give_up.map_or(earliest, |give_up| earliest.min(give_up)),
            latest: give_up.map_or(latest, |give_up| latest.min(give_up)),
            give_up,
            unsent: Vec::new(),
            found: false,
            packet_no: None,
            targets: Vec::new(),
        })))
    }

    fn greet(&mut self, now: Instant, at: SocketAddrV4) -> Result<(), Failure> {
        // The queue of answers is emptied with each turn.
        self.transmit(now);
        self.node.greet(now, at).map_err(|full| Failure::new(full.to_string()))
    }

    /// Asks for downloads; all that are open if no number is given.
    fn fetch(&mut self, which: &[u32]) -> Result<Option<Work>, Failure> {
        if self.folder.is_none() {
            return Err(Failure::new("this instance declines all offers (--accept none)"));
        }
        let which = if which.is_empty() { self.offers.open() } else { which.to_vec() };
        if let Some(unknown) = which.iter().find(|&&index| self.offers.at(index).is_none()) {
            return Err(Failure::usage(format!("there is no offer {unknown}; `feige offers` lists what there is")));
        }
        for &index in &which {
            self.offers.want(index);
        }
        self.start_downloads();
        let waiting: HashSet<u32> = which.into_iter().collect();
        Ok((!waiting.is_empty()).then_some(Work::Fetch { waiting, exit: Exit::Done }))
    }

    /// Goes on with every job.
    pub(super) fn work(&mut self, now: Instant) {
        let mut index = 0;
        while index < self.jobs.len() {
            // Taken out, because it needs all of the rest.
            let mut job = self.jobs.swap_remove(index);
            match self.go_on(now, &mut job) {
                Some(ended) => self.finish(job.origin, ended),
                None => {
                    self.jobs.push(job);
                    let last = self.jobs.len() - 1;
                    self.jobs.swap(index, last);
                    index += 1;
                }
            }
        }
    }

    fn go_on(&mut self, now: Instant, job: &mut Job) -> Option<Ended> {
        match &mut job.work {
            Work::Members(until) => {
                if now < *until {
                    return None;
                }
                let members = self.directory.everybody();
                let exit = if members.is_empty() { Exit::Nobody } else { Exit::Done };
                match job.origin {
                    Origin::Client(_) => {
                        for peer in members {
                            self.reply(job.origin, &Event::Online(peer));
                        }
                    }
                    Origin::Own | Origin::Person(_) => self.screen.members(&members),
                }
                Some(if exit == Exit::Done { Ok(exit) } else { Err(Failure::nobody("nobody answers")) })
            }
            Work::Fetch { waiting, exit } => waiting.is_empty().then_some(Ok(*exit)),
            Work::Send(sending) => {
                if !sending.found {
                    match self.look(now, sending) {
                        Ok(true) => sending.found = true,
                        Ok(false) => return None,
                        Err(failure) => return Some(Err(failure)),
                    }
                }
                if let Err(failure) = self.send(now, job.origin, sending) {
                    return Some(Err(failure));
                }
                for late in sending.expire(now) {
                    self.tell_late(job.origin, &late);
                }
                let exit = sending.outcome()?;
                if let Some(packet_no) = sending.packet_no
                    && exit != Exit::Done
                {
                    self.shares.withdraw(packet_no);
                }
                if exit == Exit::Done {
                    return Some(Ok(exit));
                }
                let mut message = excuse(sending, exit);
                if exit == Exit::Nobody {
                    message.push_str(&self.why_unheard(sending));
                }
                Some(Err(Failure { exit, message }))
            }
        }
    }

    /// Looks for the recipients; returns whether they are known.
    fn look(&mut self, now: Instant, sending: &mut Sending) -> Result<bool, Failure> {
        match &sending.who {
            Who::At(at) => {
                let known = self.directory.at(*at).is_some_and(|known| known.charset().is_some());
                if known || now >= sending.latest {
                    sending.unsent.push(*at);
                    return Ok(true);
                }
                Ok(false)
            }
            Who::All => {
                if now < sending.earliest {
                    return Ok(false);
                }
                let everybody = self.directory.everybody();
                if everybody.is_empty() && now >= sending.latest {
                    return Err(Failure::nobody("nobody answers; is the network right? `feige -v members` tells more"));
                }
                sending.unsent = everybody.iter().map(|peer| peer.addr).collect();
                Ok(!everybody.is_empty())
            }
            Who::Named(name) => match self.directory.find(name) {
                Match::One(at) if now >= sending.earliest || name.contains('@') => {
                    sending.unsent.push(at);
                    Ok(true)
                }
                Match::Several(list) if now >= sending.earliest => {
                    Err(Failure::usage(format!("{name} can be {}; write user@host or an address", list.join(" or "))))
                }
                _ if now >= sending.latest => {
                    Err(Failure::nobody(format!("nobody named {name} answers; `feige members` lists who does")))
                }
                _ => Ok(false),
            },
        }
    }

    /// Sends to those to whom it was not sent yet, as far as there is room.
    fn send(&mut self, now: Instant, origin: Origin, sending: &mut Sending) -> Result<(), Failure> {
        let several = sending.unsent.len() + sending.targets.len() > 1;
        while let Some(&at) = sending.unsent.first() {
            let known = self.directory.at(at);
            let utf8 = known.is_some_and(|known| known.reads_utf8);
            let charset = if utf8 {
                Charset::Utf8
            } else {
                known.and_then(super::directory::Known::charset).unwrap_or(self.directory.policy().legacy())
            };
            let (text, lost) = charset.encode_counting(&sending.request.text);
            let list = attachments(&sending.shares, charset)?;
            let message = Message {
                text: &text,
                utf8,
                sealed: sending.request.sealed,
                attachments: &list,
                packet_no: sending.packet_no,
                recipients: if several { Recipients::Several } else { Recipients::One },
                auto: false,
            };
            let packet_no = match self.node.send(now, at, &message) {
                Ok(packet_no) => packet_no,
                // Others are under way: this one has its turn when they are confirmed or given up.
                Err(Full(Table::Outbox)) => return Ok(()),
                Err(full) => {
                    let hint = "send a long text as a file, and many files as a folder";
                    return Err(Failure::usage(format!("{full}; {hint}")));
                }
            };
            sending.packet_no = Some(packet_no);
            // What came of an earlier message may not be true any more.
            self.unsent.take_if(|(to, _)| *to == at);
            self.screen.sent(origin.wish(), at, packet_no.0.into(), &sending.request);
            sending.unsent.remove(0);
            let mut files = Vec::new();
            for (share, id) in sending.shares.iter().zip(FIRST_ID..) {
                let share = Arc::clone(share);
                // In the same turn as the message: the request cannot come before.
                self.shares
                    .offer(now, *at.ip(), packet_no, id, share, charset)
                    .map_err(|many| Failure::new(many.to_string()))?;
                files.push(id);
            }
            sending.targets.push(Target {
                at,
                packet_no,
                lost,
                delivered: false,
                files,
                served: 0,
                lacking: false,
                broken: None,
                exit: None,
            });
        }
        Ok(())
    }

    /// What may have kept an answer from us, for the end of what is told of it.
    fn why_unheard(&self, sending: &Sending) -> String {
        match (&*sending.targets, &self.unsent) {
            ([Target { at, .. }], Some((to, error))) if at == to => format!("; it could not be asked: {error}"),
            // Many programs of the family answer to that port, wherever the question came from.
            _ if ![0, self.local.port()].contains(&self.port) => {
                format!("; another program here has port {}, and may have got the answer", self.port)
            }
            _ => String::new(),
        }
    }

    /// A message of ours arrived.
    pub(super) fn delivered(&mut self, packet_no: PacketNo, to: SocketAddrV4) {
        let mut lost = 0;
        self.each_target(packet_no, to, |target, _| {
            target.delivered();
            lost = target.lost;
        });
        self.tell(packet_no, to, &Event::Delivered { packet: packet_no.0.into(), to, lost });
    }

    /// Nobody confirmed a message of ours.
    pub(super) fn gave_up(&mut self, _now: Instant, packet_no: PacketNo, to: SocketAddrV4) {
        let mut deaf = false;
        self.each_target(packet_no, to, |target, _| {
            // Some relatives never confirm, but came for the file.
            if !target.delivered && target.exit.is_none() {
                target.exit = Some(Exit::Nobody);
                deaf = true;
            }
        });
        if deaf {
            self.tell(packet_no, to, &no_answer(packet_no, to));
        }
    }

    /// A recipient was waited for in vain.
    fn tell_late(&mut self, origin: Origin, target: &Target) {
        let &Target { at, packet_no, delivered, .. } = target;
        let event = if delivered {
            let (what, error) = (format!("files for {at}"), "they were not fetched in time".to_owned());
            Event::Failed { what, error, index: None, packet: Some(packet_no.0.into()), to: Some(at) }
        } else {
            no_answer(packet_no, at)
        };
        self.publish(&event);
        if !origin.is_person() {
            self.reply(origin, &event);
        }
    }

    /// Somebody does not want what we offered.
    pub(super) fn released(&mut self, packet_no: PacketNo, by: SocketAddrV4) {
        if self.shares.release(*by.ip(), packet_no) == 0 {
            return;
        }
        self.each_target(packet_no, by, |target, _| {
            if target.exit.is_none() {
                target.delivered = true;
                target.exit = Some(Exit::Refused);
            }
        });
        self.tell(packet_no, by, &Event::Released { packet: packet_no.0.into(), by });
    }

    /// Does something to the recipient of a message of ours.
    pub(super) fn each_target(
        &mut self,
        packet_no: PacketNo,
        at: SocketAddrV4,
        mut then: impl FnMut(&mut Target, &[Arc<Share>]),
    ) {
        for job in &mut self.jobs {
            if let Work::Send(sending) = &mut job.work {
                let shares = sending.shares.clone();
                if let Some(target) = sending.target(packet_no, at) {
                    then(target, &shares);
                }
            }
        }
    }

    /// Tells those who sent this message, and whoever looks at the screen.
    pub(super) fn tell(&mut self, packet_no: PacketNo, at: SocketAddrV4, event: &Event) {
        self.publish(event);
        let mut origins = Vec::new();
        for job in &mut self.jobs {
            if let Work::Send(sending) = &mut job.work
                && sending.target(packet_no, at).is_some()
            {
                origins.push(job.origin);
            }
        }
        for origin in origins {
            if !origin.is_person() {
                self.reply(origin, event);
            }
        }
    }

    /// Tells whoever asked.
    pub(super) fn reply(&mut self, origin: Origin, event: &Event) {
        match origin {
            Origin::Own | Origin::Person(_) => self.screen.event(event),
            Origin::Client(client) => self.tell_client(client, event),
        }
    }

    /// A job is done.
    pub(super) fn finish(&mut self, origin: Origin, ended: Ended) {
        match origin {
            Origin::Own => self.exit = Some(ended),
            Origin::Person(wish) => self.screen.ended(wish, &ended),
            Origin::Client(client) => match ended {
                Ok(exit) => self.end_client(client, exit, None),
                Err(failure) => self.end_client(client, failure.exit, Some(failure.message)),
            },
        }
    }
}

/// Ids begin at 1 and are small: the same in decimal and hexadecimal for the first nine (R-IP-62).
const FIRST_ID: u32 = 1;

/// The list of offered files in a character set.
fn attachments(shares: &[Arc<Share>], charset: Charset) -> Result<Vec<u8>, Failure> {
    let mut list = vec![0; if shares.is_empty() { 0 } else { MAX_DATAGRAM }];
    let mut writer = Writer::new(&mut list);
    for (share, id) in shares.iter().zip(FIRST_ID..) {
        let name = charset.encode(share.name());
        let attachment = Attachment {
            id,
            name: EscapedName::plain(&name),
            size: Some(share.size()),
            modified: share.modified(),
            attribute: match share.kind() {
                RequestKind::File => Attribute::REGULAR,
                RequestKind::Folder => Attribute::FOLDER,
            },
            extended: ExtendedAttributes::NONE,
        };
        attachment.write(&mut writer);
    }
    let length = writer.finish().map_err(|_| {
        Failure::usage("these are too many files for one message; put them into a folder and send that")
    })?;
    list.truncate(length);
    Ok(list)
}

/// A message was not confirmed.
fn no_answer(packet_no: PacketNo, to: SocketAddrV4) -> Event {
    let what = format!("message to {to}");
    Event::Failed { what, error: "no answer".to_owned(), index: None, packet: Some(packet_no.0.into()), to: Some(to) }
}

/// Whether what should be the name of a member was meant to be an address: nobody needs to be looked for.
fn is_mistyped(name: &str) -> bool {
    let is_ip = |text: &str| text.parse::<IpAddr>().is_ok();
    // No address of one machine with a good port comes here, so the port is not good.
    is_ip(name) || name.rsplit_once(':').is_some_and(|(ip, _)| is_ip(ip.trim_matches(['[', ']'])))
}

/// What to tell when a message or its files did not get through.
fn excuse(sending: &Sending, exit: Exit) -> String {
    let deaf = sending.targets.iter().filter(|target| target.exit == Some(Exit::Nobody)).count();
    let of = |count: usize| {
        let all = sending.targets.len();
        if all == 1 { sending.request.to.clone() } else { format!("{count} of {all} members") }
    };
    match exit {
        Exit::Nobody if sending.targets.iter().any(|target| target.delivered && target.exit == Some(exit)) => {
            format!("{} did not fetch the files in time", of(deaf))
        }
        Exit::Nobody => format!("{} did not answer", of(deaf)),
        Exit::Refused => {
            let count = sending.targets.iter().filter(|target| target.exit == Some(Exit::Refused)).count();
            format!("{} does not want the files", of(count))
        }
        _ => {
            let count =
                sending.targets.iter().filter(|target| target.exit.is_some_and(|exit| exit != Exit::Done)).count();
            format!("{} did not get all of the files", of(count))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_none_of_ours_are_no_names() {
        for mistyped in ["10.0.0.1:99999", "10.0.0.1:", "::1", "[fe80::1]:2425"] {
            assert!(is_mistyped(mistyped), "{mistyped}");
        }
        for name in ["bob", "bob@host", "10.0.0", "a:b", "1.2.3.4.5"] {
            assert!(!is_mistyped(name), "{name}");
        }
    }
}
