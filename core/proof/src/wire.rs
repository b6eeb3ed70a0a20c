//! Every parser, every emitter.

use core::hint::black_box;

use feige_core::text::Text;
use feige_core::wire::ipmsg::{Command, Datagram, Header, Options, PacketNo, PacketToken};
use feige_core::wire::{Digits, Reader, Writer, decimal, hex, leading_decimal};

use crate::{keep, shown};

pub fn proof(octets: &'static [u8]) {
    reader(octets);
    writer(octets);
    texts(octets);
    datagram(octets);
}

#[inline(never)]
fn reader(octets: &[u8]) {
    keep((decimal(octets), hex(octets), leading_decimal(octets)));
    let mut reader = Reader::new(octets);
    keep(reader.until(black_box(b':')));
    keep(reader.until_or_rest(black_box(b':')));
    keep(reader.octets(black_box(1)));
    reader.skip_all(black_box(b':'));
    keep((reader.rest(), reader.is_empty()));
}

#[inline(never)]
fn writer(octets: &[u8]) {
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer);
    let number = black_box(1_u64);
    writer.octets(octets).octet(black_box(0)).decimal(number).hex(number);
    writer.decimal_padded(number, black_box(4)).hex_padded(number, black_box(4));
    keep((writer.wanted(), writer.finish()));
    keep(Digits::decimal(number).as_bytes());
}

#[inline(never)]
fn texts(octets: &[u8]) {
    let text = Text::new(octets);
    keep((text.is_empty(), text.is_ascii(), text.as_utf8()));
    let token = PacketToken(text);
    keep((token.number(), token.low32()));
    keep(PacketNo(black_box(1)).next().digits());
    let command = Command::from_code(black_box(0));
    keep((command.code(), command.name(), command.is_entry(), command.has_binary_tail()));
}

#[inline(never)]
fn datagram(octets: &[u8]) {
    shown(Header::parse(octets));
    let Ok(datagram) = Datagram::parse(octets) else { return };
    for extension in datagram.extensions() {
        keep(extension);
    }
    keep(datagram.header.options.contains(Options::UTF8));
    let mut buffer = [0; 512];
    shown(datagram.emit(&mut buffer));
    keep(buffer);
}
