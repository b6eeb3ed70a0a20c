//! A peer of a flood and everything that can happen to it, in any order.
//!
//! Must hold: it comes to rest after every step, never waits for what is due already, sends only whole messages over
//! links that are there, sends no query over a link oftener than its TTL can grow, and its tables keep their limits.
#![no_main]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use arbitrary::{Result, Unstructured};
use feige_core::flood::{Ends, Flood, Found, LIFETIME, LinkId, Output, Plan, Settings};
use feige_core::time::Instant;
use feige_core::wire::flood::{
    self, Hello, Hit, Holder, MAX_MESSAGE, Message, NameFilter, Query, QueryId, RADIUS, Speech, Token, What,
};
use feige_core::wire::transfer::EntryKind;
use libfuzzer_sys::fuzz_target;

/// Small, so that everything fills up.
type Peer = Flood<16, 3, 4>;

/// A peer, its clock, and how often each query went over each link.
struct Play {
    peer: Peer,
    now: Instant,
    sent: HashMap<(u64, LinkId), u8>,
}

fuzz_target!(|octets: &[u8]| {
    let settings = Settings { token: Token::new(1), ..Settings::default() };
    let mut play = Play { peer: Peer::new(settings, 1), now: Instant::START, sent: HashMap::new() };
    let mut input = Unstructured::new(octets);
    while !input.is_empty() && play.step(&mut input).is_ok() {
        play.rest();
    }
});

impl Play {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let Self { peer, now, .. } = self;
        let now = *now;
        let id = QueryId::new(input.int_in_range(1..=40)?);
        match input.int_in_range(0..=9)? {
            0 => {
                let ends = [Ends::Native { dialled: input.arbitrary()? }, Ends::Classic, Ends::Askers];
                let _ = peer.connect(now, Ipv4Addr::new(10, 0, 0, 9), *input.choose(&ends)?);
            }
            1 => self.leave(input)?,
            2 => {
                let what = what(input)?;
                let plan = *input.choose(&[Plan::First, Plan::All])?;
                // An id that is used again after it was forgotten is another query.
                if peer.search(now, id, &what, plan, input.arbitrary()?).is_ok() {
                    self.sent.retain(|(other, _), _| *other != id.number());
                }
            }
            3 => {
                let (path, md5) = (input.arbitrary()?, None);
                let found = Found { kind: EntryKind::File, path, size: input.arbitrary()?, md5 };
                let _ = peer.answer(now, id, &found);
            }
            4 => peer.stop(now, id),
            5 => {
                let names: Vec<&str> = input.arbitrary()?;
                peer.set_names(now, names.into_iter().collect());
            }
            6 => self.pass(input.arbitrary::<u16>()?.into()),
            _ => self.hear(input, id)?,
        }
        Ok(())
    }

    fn leave(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let link = self.peer.links().nth(input.int_in_range(0..=2)?);
        if let Some(link) = link {
            self.forget(link);
            self.peer.disconnect(link);
        }
        Ok(())
    }

    fn forget(&mut self, link: LinkId) {
        self.sent.retain(|(_, other), _| *other != link);
    }

    fn pass(&mut self, millis: u64) {
        let later = Instant::from_millis(self.now.as_millis() + millis);
        // Queries are forgotten, and may come again as others.
        if self.peer.remembered(later) < self.peer.remembered(self.now) || millis >= LIFETIME.as_millis() as u64 {
            self.sent.clear();
        }
        self.now = later;
    }

    fn hear(&mut self, input: &mut Unstructured<'_>, id: QueryId) -> Result<()> {
        let Some(link) = self.peer.links().nth(input.int_in_range(0..=2)?) else { return Ok(()) };
        let message = match input.int_in_range(0..=6)? {
            0 => {
                let token = Token::new(input.int_in_range(1..=4)?);
                Message::Hello(Hello { version: input.arbitrary()?, features: 0, token, software: input.arbitrary()? })
            }
            1..=3 => {
                Message::Query(Query { id, ttl: input.arbitrary()?, hops: input.arbitrary()?, what: what(input)? })
            }
            4 => {
                let at = SocketAddrV4::new(Ipv4Addr::from(input.arbitrary::<[u8; 4]>()?), input.arbitrary()?);
                let (holder, path) = (Holder::new(at, Speech::Native), input.arbitrary()?);
                let hops = input.arbitrary()?;
                Message::Hit(Hit { id, hops, holder, kind: EntryKind::Folder, path, size: None, md5: None })
            }
            5 => Message::Filter(if input.arbitrary()? { NameFilter::ALL } else { NameFilter::NONE }),
            _ => *input.choose(&[Message::Ping, Message::Bye])?,
        };
        if self.peer.handle(self.now, link, &message).is_err_and(|error| error.is_fatal()) {
            self.forget(link);
            self.peer.disconnect(link);
        }
        Ok(())
    }

    fn rest(&mut self) {
        for _ in 0..200 {
            let mut buffer = [0; MAX_MESSAGE];
            match self.peer.poll(self.now, &mut buffer) {
                Output::Transmit { to, octets } => {
                    assert!(self.peer.links().any(|link| link == to), "over a link that is there");
                    let Ok(Some((Some(message), used))) = flood::frame(octets) else { panic!("{octets:?}") };
                    assert_eq!(used, octets.len());
                    if let Message::Query(query) = message {
                        assert!((1..=RADIUS).contains(&query.ttl) && query.hops <= RADIUS && query.what.is_valid());
                        let times = self.sent.entry((query.id.number(), to)).or_default();
                        *times += 1;
                        assert!(*times <= RADIUS, "{} goes over {to} for the {times}th time", query.id);
                    }
                }
                Output::Close { link, .. } => self.forget(link),
                Output::Over { .. } => {}
                Output::Wait(until) => {
                    assert!(until.is_none_or(|until| until > self.now));
                    assert!(self.peer.remembered(self.now) <= 16 && self.peer.links().count() <= 3);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("does not come to rest");
    }
}

fn what<'a>(input: &mut Unstructured<'a>) -> Result<What<'a>> {
    let text = *input.choose(&["3.txt", "a", ""])?;
    Ok(if input.arbitrary()? { What::Name(text) } else { What::Part(input.arbitrary()?) })
}
