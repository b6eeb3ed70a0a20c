//! A peer of a flood, its messages, and the texts of the classic programs.

use core::hint::black_box;
use core::net::Ipv4Addr;
use core::time::Duration;

use feige_core::flood::{Ends, Event, Flood, Found, LinkId, Output, Plan, Settings};
use feige_core::wire::flood::classic::{self, Program, Text};
use feige_core::wire::flood::{self, MAX_MESSAGE, Message, NameFilter, QueryId, Token, What};
use feige_core::wire::transfer::EntryKind;

use crate::stream::now;
use crate::{keep, print, shown};

/// What a small device has: 4 KiB.
type Peer = Flood<32, 4, 4>;

pub fn proof(octets: &'static [u8]) {
    let settings = Settings {
        token: Token::new(black_box(1)),
        port: black_box(flood::PORT),
        hold: Duration::from_millis(black_box(10)),
        hop: Duration::from_millis(black_box(30)),
        software: black_box("proof"),
    };
    let mut peer = Peer::new(settings, black_box(1));
    // In any order, any number of times, as an application does.
    while black_box(true) {
        match black_box(0_u8) {
            0 => linked(&mut peer),
            1 => received(&mut peer, octets),
            2 => polled(&mut peer),
            3 => asked(&mut peer, octets),
            _ => looked_at(&peer),
        }
    }
    framed(octets);
    text(octets);
}

fn link(peer: &Peer) -> Option<LinkId> {
    peer.links().nth(black_box(0))
}

#[inline(never)]
fn linked(peer: &mut Peer) {
    let address = Ipv4Addr::from(black_box([127, 0, 0, 1]));
    for ends in [Ends::Native { dialled: black_box(true) }, Ends::Classic, Ends::Askers] {
        keep(peer.connect(now(), address, ends));
    }
    if let Some(link) = link(peer) {
        print(format_args!("{link}"));
        keep((peer.is_up(link), link.index()));
        peer.disconnect(link);
    }
}

#[inline(never)]
fn received(peer: &mut Peer, octets: &[u8]) {
    let Some(from) = link(peer) else { return };
    let Ok(Some((Some(message), _))) = flood::frame(octets) else { return };
    let result = peer.handle(now(), from, &message);
    match result {
        Ok(Some(Event::Asked(query))) => {
            keep(query.what.matches(black_box("name"), black_box(None)));
            print(format_args!("{} {} {:?}", query.id, query.what, query.id));
        }
        Ok(Some(Event::Hit(hit))) => keep((hit.name(), hit.holder.at(), hit.is_valid())),
        Ok(event) => keep(event),
        Err(error) => {
            keep(error.is_fatal());
            print(format_args!("{error} {error:?}"));
        }
    }
}

#[inline(never)]
fn polled(peer: &mut Peer) {
    let mut buffer = [0; MAX_MESSAGE];
    let room = buffer.get_mut(..black_box(MAX_MESSAGE)).unwrap_or_default();
    match peer.poll(now(), room) {
        Output::Close { link, why } => print(format_args!("{link} {why:?}")),
        output => keep(output),
    }
}

#[inline(never)]
fn asked(peer: &mut Peer, octets: &[u8]) {
    let Ok(name) = core::str::from_utf8(octets) else { return };
    let id = QueryId::new(black_box(7));
    let what = if black_box(true) { What::Name(name) } else { What::Part(name) };
    shown(peer.search(now(), id, &what, black_box(Plan::First), black_box(7)));
    let found = Found { kind: black_box(EntryKind::File), path: name, size: black_box(None), md5: black_box(None) };
    shown(peer.answer(now(), id, &found));
    peer.stop(now(), id);
    let mut names: NameFilter = [name, black_box("name")].into_iter().collect();
    names.insert(name);
    print(format_args!("{names:?}"));
    keep(names.may_have(name));
    peer.set_names(now(), names);
}

#[inline(never)]
fn looked_at(peer: &Peer) {
    peer.links().for_each(keep);
    keep((peer.remembered(now()), peer.counters()));
}

#[inline(never)]
fn framed(octets: &[u8]) {
    let mut buffer = [0; MAX_MESSAGE];
    let room = buffer.get_mut(..black_box(MAX_MESSAGE)).unwrap_or_default();
    match flood::frame(octets) {
        Ok(Some((Some(message), used))) => {
            keep(used);
            shown(flood::encode(&message, room));
            if let Message::Query(query) = message {
                keep((query.what.is_valid(), query.id.number()));
            }
        }
        other => shown(other.map(|_| ())),
    }
    shown(flood::decode(octets).map(|_| ()));
}

#[inline(never)]
fn text(octets: &[u8]) {
    keep(Program::of_refusal(octets).map(Program::refusal));
    let mut buffer = [0; classic::MAX_MESSAGE];
    let room = buffer.get_mut(..black_box(classic::MAX_MESSAGE)).unwrap_or_default();
    match Text::parse(octets) {
        Ok(Text::Get(get)) => {
            keep((classic::can_be_asked_for(get.name), get.reach, get.tag));
            shown(get.emit(room));
        }
        Ok(Text::Found(found)) => shown(found.emit(room)),
        Ok(Text::Request(request)) => shown(request.emit(room)),
        Err(error) => print(format_args!("{error} {error:?}")),
    }
}
