//! Everything that an agent does with datagrams.

use core::hint::black_box;
use core::net::{Ipv4Addr, SocketAddrV4};

use feige_core::node::{
    AbsenceNotice, Audience, BothSets, Delivery, Destination, Event, Identity, Incoming, Message, Names, Node, Offers,
    Outbox, Output, Recipients, Seen, cut,
};
use feige_core::text::Text;
use feige_core::wire::Writer;
use feige_core::wire::ipmsg::{Attachments, FileKind, FileRequest, PacketNo, PacketToken};

use crate::stream::now;
use crate::{keep, print, shown};

/// What a small device has: 12 KiB.
type Agent = Node<16, 8, 4096, 32>;

pub fn proof(octets: &'static [u8]) {
    keep(cut(octets, black_box(1)));
    let names = || Names::new(octets, octets, octets, octets);
    let identity = Identity { version: "1", software: "proof", utf8: names(), legacy: names() };
    let mut node = Agent::new(identity, PacketNo(black_box(1)), black_box(0));
    // In any order, any number of times, as an application does.
    while black_box(true) {
        match black_box(0_u8) {
            0 => received(&mut node, octets),
            1 => polled(&mut node),
            2 => asked(&mut node, octets),
            3 => sent(&mut node, octets),
            4 => looked_at(&node),
            _ => offered(octets),
        }
    }
    keep(node.next_packet_no());
    parts(octets);
}

fn peer() -> SocketAddrV4 {
    black_box(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2425))
}

#[inline(never)]
fn received(node: &mut Agent, octets: &[u8]) {
    let result = node.handle_datagram(now(), peer(), octets);
    shown(result.as_ref());
    if let Ok(Some(Event::Message(message))) = result {
        message_read(node, &message);
    }
}

#[inline(never)]
fn message_read(node: &mut Agent, message: &Incoming<'_>) {
    keep((
        message.utf8(),
        message.sealed(),
        message.locked(),
        message.auto(),
        message.broadcast(),
        message.encrypted(),
    ));
    Attachments::new(message.attachments).for_each(keep);
    shown(node.read(now(), message.from, message.token(), message.read_check()));
}

#[inline(never)]
fn polled(node: &mut Agent) {
    let mut buffer = [0; 1500];
    match node.poll(now(), &mut buffer) {
        Output::BufferTooSmall(error) => print(format_args!("{error}")),
        output => keep(output),
    }
    keep(node.next_deadline());
}

#[inline(never)]
fn asked(node: &mut Agent, octets: &[u8]) {
    let token = PacketToken(Text::new(octets));
    node.announce(now());
    shown(node.greet(now(), peer()));
    node.leave(now());
    keep((node.is_online(), node.outgoing(), node.take_packet_no()));
    let text = BothSets { utf8: octets, legacy: octets };
    node.set_absence(now(), black_box(Some(AbsenceNotice { title: text, text })));
    shown(node.discard(peer(), token));
    keep(node.sound_out(now(), peer(), octets, black_box(64)));
    shown(node.release(peer(), token));
    shown(node.ask_info(peer()));
    shown(node.ask_absence(peer()));
    shown(node.ask_list(now()));
    node.proven(*peer().ip());
}

#[inline(never)]
fn sent(node: &mut Agent, octets: &[u8]) {
    let message = Message {
        text: octets,
        utf8: black_box(true),
        sealed: black_box(true),
        attachments: octets,
        packet_no: black_box(None),
        recipients: black_box(Recipients::One),
        auto: black_box(false),
    };
    shown(node.send(now(), peer(), &message));
}

#[inline(never)]
fn looked_at(node: &Agent) {
    node.members().for_each(|member| keep((member, member.absent(), member.utf8())));
    keep((node.member_at(peer()), node.identity().names(black_box(true)).nick.is_empty()));
}

#[inline(never)]
fn offered(octets: &[u8]) {
    let mut offers = Offers::<4>::new();
    while black_box(true) {
        let to = black_box(Audience::Everybody);
        let (number, kind) = (PacketNo(black_box(1)), black_box(FileKind::Folder));
        shown(offers.offer(now(), number, to, black_box(1), kind, black_box(0), black_box(0)));
        if let Ok(request) = FileRequest::parse(octets) {
            let result = offers.authorise(now(), *peer().ip(), &request);
            shown(result);
            if let Ok(offer) = result {
                offers.fetched(now(), &offer);
            }
        }
        offers.iter().for_each(keep);
        keep((offers.release(*peer().ip(), number), offers.withdraw(number), offers.expire(now())));
        keep(offers.next_deadline());
    }
}

/// The tables by themselves, which other programs may use without a node.
#[inline(never)]
fn parts(octets: &[u8]) {
    let mut seen = Seen::<8>::new();
    let mut outbox = Outbox::<2, 64>::new();
    let mut buffer = [0; 64];
    while black_box(true) {
        keep(seen.first_time(now(), black_box(0)));
        let to = black_box(Destination::Broadcast);
        let (number, delivery) = (PacketNo(black_box(1)), black_box(Delivery::Once));
        let write = |buffer: &mut [u8]| {
            let mut writer = Writer::new(buffer);
            writer.octets(octets);
            writer.finish()
        };
        shown(outbox.push(now(), to, number, delivery, black_box(false), &write));
        keep((outbox.holds(number), outbox.len(), outbox.is_empty(), outbox.next_deadline()));
        shown(outbox.due(now(), &mut buffer));
        keep(outbox.acked(number, delivery, peer(), black_box(None)));
    }
}
