//! The classic JSON dialects: JSON, headers, salted digests.

use core::hint::black_box;

use feige_core::wire::classic::{
    CommandReply, Dialect, FileType, JsonText, Object, Opening, Put, Request, Salted, SaltedMd5, Upload, prefix,
};

use crate::{keep, print, shown};

pub fn proof(octets: &'static [u8]) {
    keep(Opening::of(octets));
    shown(prefix(octets));
    json(octets);
    request(octets);
    reply(octets);
    salted(octets);
    words(octets);
}

#[inline(never)]
fn json(octets: &[u8]) {
    let object = Object::parse(octets);
    shown(object);
    let Some(value) = object.ok().and_then(|object| object.value(black_box("key"))) else { return };
    keep((value, value.size()));
    if let Some(text) = value.text() {
        keep((text.is_empty(), text == JsonText::plain(black_box("text"))));
        keep(text.copy_to(&mut [0; 32]));
        print(format_args!("{text} {text:?}"));
    }
}

#[inline(never)]
fn request(octets: &[u8]) {
    let request = Request::parse(octets);
    shown(request);
    let Ok(request) = request else { return };
    keep(request.dialect());
    let mut buffer = [0; 256];
    shown(match request {
        Request::Upload(upload) => upload.emit(&mut buffer),
        Request::Put(put) => put.emit(&mut buffer),
        Request::Salted(salted) => salted.emit(&mut buffer),
    });
    let text = JsonText::plain(black_box("text"));
    shown(Upload { path: text, name: text, size: black_box(1) }.emit(&mut buffer));
    shown(Put { name: text, size: black_box(1) }.emit(&mut buffer));
    keep(buffer);
}

#[inline(never)]
fn reply(octets: &[u8]) {
    let reply = CommandReply::parse(octets);
    shown(reply);
    if let Ok(reply) = reply {
        let mut buffer = [0; 128];
        keep(reply.digest());
        shown(reply.emit(&mut buffer));
        keep(buffer);
    }
}

#[inline(never)]
fn salted(octets: &[u8]) {
    let Ok(header) = Salted::parse(octets) else { return };
    let mut digest = SaltedMd5::new();
    digest.update(octets);
    digest.update(black_box(octets));
    keep(digest.finish(header.seal.and_then(|seal| seal.salt)));
    keep(header.file_type.map(FileType::of_word));
}

#[inline(never)]
fn words(octets: &[u8]) {
    let Ok(text) = core::str::from_utf8(octets) else { return };
    keep(FileType::of_name(text).word());
    let dialect = text.parse::<Dialect>();
    shown(dialect);
    if let Ok(dialect) = dialect {
        print(format_args!("{dialect} {dialect:?} {}", dialect.port()));
    }
}
