//! Both sessions of the verified transfer, and the octets, digests and paths that they are made of.

use core::hint::black_box;

use feige_core::digest::{BlockDigest, Digest, Hasher, Running, Scalar};
use feige_core::stream::transfer::{Buffers, ClientSession, Credentials, ServerSession, Settings};
use feige_core::wire::transfer::{LENGTH, Path, Reply, Request, block_len, body_len, decode, encode, prefix};

use crate::stream::{by_hand, now, run};
use crate::{keep, print, shown};

pub fn proof(octets: &'static [u8]) {
    digests(octets);
    words(octets);
    let Ok(text) = core::str::from_utf8(octets) else { return };
    path(text);
    let settings =
        Settings { max_header: black_box(512), window: black_box(0), max_block: black_box(12), software: text };
    serve(octets, settings);
    fetch(octets, text, settings);
}

/// Several at a time, as on a processor that can: this one cannot be seen through.
struct Lanes;

impl Hasher for Lanes {
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        Scalar.md5(black_box(inputs), black_box(digests));
    }
}

#[inline(never)]
fn digests(octets: &[u8]) {
    let digest = Digest::of(octets);
    print(format_args!("{digest} {digest:?}"));
    if let Ok(text) = core::str::from_utf8(octets) {
        keep(Digest::from_hex(text));
    }
    let mut running = Running::new();
    let mut file = BlockDigest::new();
    while black_box(true) {
        running.update(octets);
        file.push(&digest);
    }
    keep((running.finish(), file.finish()));
    let mut places = [Digest::default(); 4];
    Scalar.md5(&[octets, octets], places.get_mut(..black_box(1)).unwrap_or_default());
    keep(places);
}

#[inline(never)]
fn words(octets: &[u8]) {
    shown(prefix(octets, black_box(1)));
    keep((block_len(black_box(12)), body_len(black_box(1), black_box(1))));
    let mut buffer = [0; 600];
    let room = buffer.get_mut(..black_box(1)).unwrap_or_default();
    if let Ok(request) = decode::<Request<'_>>(octets) {
        shown(encode(&request, room));
    }
    shown(decode::<Request<'_>>(octets));
    if let Ok(reply) = decode::<Reply<'_>>(octets) {
        shown(encode(&reply, room));
        if let Reply::Error { code, .. } = reply {
            print(format_args!("{code}"));
        }
    }
    keep(LENGTH);
}

#[inline(never)]
fn path(text: &str) {
    match Path::parse(text) {
        Ok(path) => {
            path.names().for_each(keep);
            print(format_args!("{path}"));
            keep((path.split(), path.is_root(), path.as_str()));
        }
        Err(error) => print(format_args!("{error} {error:?}")),
    }
}

#[inline(never)]
fn serve(octets: &'static [u8], settings: Settings) {
    let mut session = ServerSession::new(now(), settings, black_box([0; 18]));
    let (mut input, mut output) = ([0; 1024], [0; 1024]);
    while black_box(true) {
        let input = input.get_mut(..black_box(600)).unwrap_or_default();
        let output = output.get_mut(..black_box(600)).unwrap_or_default();
        let mut machine = session.with(Buffers { input, output }, Lanes);
        by_hand(&mut machine, octets);
        run(&mut machine, octets);
        #[cfg(feature = "async")]
        crate::asynch::run(&mut machine, octets);
        keep((session.is_idle(), session.is_known(), session.deadline()));
    }
}

#[inline(never)]
fn fetch(octets: &'static [u8], text: &'static str, settings: Settings) {
    for credentials in [Credentials::Guest, Credentials::Account { user: text, password: text }] {
        let mut session = ClientSession::new(now(), settings, credentials, &black_box([0; 18]));
        let (mut input, mut output) = ([0; 1024], [0; 1024]);
        let input = input.get_mut(..black_box(600)).unwrap_or_default();
        let output = output.get_mut(..black_box(600)).unwrap_or_default();
        let mut machine = session.with(Buffers { input, output }, Lanes);
        by_hand(&mut machine, octets);
        run(&mut machine, octets);
        #[cfg(feature = "async")]
        crate::asynch::run(&mut machine, octets);
        keep(session.deadline());
    }
}
