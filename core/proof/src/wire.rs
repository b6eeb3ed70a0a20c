//! Every parser, every emitter, everything that looks at text.

use core::hint::black_box;

use feige_core::text::{FileName, Printable, Text};
use feige_core::wire::ipmsg::feiq::{ImageAck, ImageFragment, without_font, without_font_octets};
use feige_core::wire::ipmsg::host_list::{HostList, requested_index};
use feige_core::wire::ipmsg::key::{EncryptedBody, HexNumber, Methods, PublicKey};
use feige_core::wire::ipmsg::{
    Attachment, Attribute, Client, Command, Datagram, Entry, EntryBody, EscapedName, ExtendedAttributes, FileKind,
    FileRequest, FolderHeader, FolderScan, Header, PacketNo, PacketToken, Place, RequestKind, RequestedId, Utf8Block,
    Utf8Names, VersionInfo, sendable,
};
use feige_core::wire::{Digits, Reader, Writer, decimal, hex, leading_decimal};

use crate::{keep, print, shown};

pub fn proof(octets: &'static [u8]) {
    reader(octets);
    writer(octets);
    texts(octets);
    words(octets);
    datagram(octets);
    entry(octets);
    attachments(octets);
    request(octets);
    folder(octets);
    version(octets);
    host_list(octets);
    keys(octets);
    feiq_extras(octets);
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
    shown((writer.wanted(), writer.finish()).1);
    keep(Digits::decimal(number).as_bytes());
}

#[inline(never)]
fn texts(octets: &[u8]) {
    let text = Text::new(octets);
    keep((text.is_empty(), text.is_ascii()));
    if let Some(text) = text.as_utf8() {
        print(format_args!("{} {}", Printable::line(text), Printable::lines(text)));
        keep(FileName::from_untrusted(text));
    }
    let name = FileName::from_octets(octets);
    print(format_args!("{text:?} {name} {:?}", name == FileName::from_untrusted(black_box("name"))));
    for place in [Place::Header, Place::Nick, Place::Group] {
        sendable(octets, black_box(place)).for_each(keep);
    }
}

#[inline(never)]
fn words(octets: &[u8]) {
    let token = PacketToken(Text::new(octets));
    keep((token.number(), token.low32()));
    keep(PacketNo(black_box(1)).next().digits());
    let command = Command::from_code(black_box(0));
    keep((command.code(), command.name(), command.is_entry(), command.has_binary_tail()));
    let attribute = Attribute::from_word(black_box(0)).with(black_box(0));
    keep((attribute.word(), attribute.has(black_box(0))));
    keep((FileKind::from_code(black_box(0)).code(), attribute.kind()));
    print(format_args!("{command:?} {attribute:?}"));
}

#[inline(never)]
fn datagram(octets: &[u8]) {
    shown(Header::parse(octets));
    let Ok(datagram) = Datagram::parse(octets) else { return };
    datagram.extensions().for_each(keep);
    keep((datagram.header.word(), datagram.header.is_version_1()));
    let mut buffer = [0; 512];
    shown(datagram.emit(&mut buffer));
    keep(buffer);
}

#[inline(never)]
fn entry(octets: &[u8]) {
    if let Ok(datagram) = Datagram::parse(octets) {
        let entry = Entry::of(&datagram);
        keep((entry.user(), entry.host(), entry.nick(), entry.group()));
        keep(entry);
    }
    keep(Utf8Block::new(octets));
    let name = black_box(&b"name"[..]);
    let utf8 = Utf8Names { user: name, host: name, nick: name, group: name };
    let mut buffer = [0; 128];
    shown(EntryBody { nick: octets, group: octets, utf8: black_box(Some(utf8)) }.emit(&mut buffer));
    keep(buffer);
}

#[inline(never)]
fn attachments(octets: &[u8]) {
    let Ok(datagram) = Datagram::parse(octets) else { return };
    let mut buffer = [0; 512];
    for result in datagram.attachments() {
        shown(result);
        if let Ok(attachment) = result {
            keep((attachment.kind(), attachment.extended.numbers_of_all()));
            shown(attachment.emit(&mut buffer));
            named(attachment);
        }
    }
    keep(buffer);
}

#[inline(never)]
fn named(attachment: Attachment<'_>) {
    let mut buffer = [0; 64];
    keep((attachment.name.as_plain(), attachment.name == EscapedName::plain(black_box(b"name"))));
    keep(attachment.name.copy_to(&mut buffer));
}

trait AllNumbers {
    /// Reads every value of every attribute.
    fn numbers_of_all(&self) -> u64;
}

impl AllNumbers for ExtendedAttributes<'_> {
    fn numbers_of_all(&self) -> u64 {
        keep((self.modified(), self.created(), self.permissions()));
        let numbers = self.iter().flat_map(|attribute| attribute.numbers()).flatten();
        numbers.fold(0, u64::wrapping_add)
    }
}

#[inline(never)]
fn request(octets: &[u8]) {
    keep(FileRequest::scan(octets));
    shown(FileRequest::parse(octets));
    let Ok((header, _)) = Header::parse(octets) else { return };
    let mut buffer = [0; 256];
    let request = FileRequest {
        header,
        kind: black_box(RequestKind::File),
        packet_no: PacketNo(black_box(1)),
        id: RequestedId::of(black_box(1)),
        offset: black_box(0),
    };
    shown(request.emit(&mut buffer));
    keep(buffer);
}

#[inline(never)]
fn folder(octets: &[u8]) {
    let scan = FolderHeader::scan(octets, black_box(true));
    shown(scan);
    let mut buffer = [0; 256];
    if let Ok(FolderScan::Header { header, .. }) = scan {
        keep((header.kind(), header.content_len(), header.extended.numbers_of_all()));
        shown(header.emit(&mut buffer));
    }
    shown(FolderHeader::return_parent().emit(&mut buffer));
    keep(buffer);
}

#[inline(never)]
fn version(octets: &[u8]) {
    shown(VersionInfo::parse(octets));
    if let Client::Feiq(version) = Client::of_version(Text::new(octets)) {
        written(|writer| version.write(writer));
    }
}

/// Something that is written behind a header.
fn written(write: impl FnOnce(&mut Writer<'_>)) {
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer);
    shown(writer.finish());
    keep(buffer);
}

#[inline(never)]
fn host_list(octets: &[u8]) {
    keep(requested_index(octets));
    written(|writer| HostList::write_front(writer, black_box(None), black_box(1)));
    let list = HostList::parse(octets);
    shown(list);
    for host in list.iter().flat_map(HostList::hosts) {
        shown(host);
        if let Ok(host) = host {
            keep((host.options(), host.has_left()));
            written(|writer| host.write(writer));
        }
    }
}

#[inline(never)]
fn keys(octets: &[u8]) {
    shown(Methods::parse(octets));
    let methods = Methods::from_bits(black_box(0)).with(black_box(Methods::AES_256));
    print(format_args!("{methods:?} {}", methods.contains(black_box(Methods::RSA_1024))));
    if let Ok(number) = HexNumber::parse(octets) {
        number.octets().for_each(keep);
    }
    let key = PublicKey::parse(octets);
    shown(key);
    if let Ok(key) = key {
        keep(key.modulus == key.exponent);
        written(|writer| key.write(writer));
    }
    let body = EncryptedBody::parse(octets);
    shown(body);
    if let Ok(body) = body {
        written(|writer| body.write(writer));
    }
}

#[inline(never)]
fn feiq_extras(octets: &[u8]) {
    keep((Text::new(octets).as_utf8().map(without_font), without_font_octets(octets)));
    let ack = ImageAck::parse(octets);
    shown(ack);
    if let Ok(datagram) = Datagram::parse(octets) {
        let fragment = ImageFragment::parse(&datagram);
        shown(fragment);
        if let Ok(fragment) = fragment {
            written(|writer| fragment.write(writer));
            written(|writer| fragment.ack().write(writer));
        }
    }
}
