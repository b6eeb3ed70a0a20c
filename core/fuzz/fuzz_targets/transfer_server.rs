//! The server of the verified transfer against any client, any store and any driver.
#![no_main]

mod machine;
mod turns;

use arbitrary::Unstructured;
use feige_core::digest::{Digest, Scalar};
use feige_core::stream::transfer::{Buffers, ServerSession, Settings};
use feige_core::time::Instant;
use feige_core::wire::transfer::{Data, Get, Hello, Put, Request, encode};
use libfuzzer_sys::fuzz_target;
use turns::{LONG, Turns};

fn say(request: &Request<'_>, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; 600];
    let len = encode(request, &mut octets).unwrap();
    octets.truncate(len);
    octets.extend(body);
    octets
}

/// What the peer likes to say.
fn phrases() -> Vec<Vec<u8>> {
    let hello = Hello { version: 1, features: 0, max_header: 512, window: 9000, max_block: 16, software: "x" };
    let put = Put { path: "f", size: 10, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline: true };
    let block = [&Digest::of(&[b'x'; 10]).0, &[b'x'; 10][..]].concat();
    let long = Put { size: 200_000, inline: false, ..put };
    let digests = Digest::of(&[b'x'; 4096]).0.repeat(LONG);
    let run = |run: u32| say(&Request::Data(Data { at: u64::from(run) << 16, len: 1 << 16 }), &digests);
    vec![
        say(&Request::Hello(hello), &[]),
        say(&Request::Guest, &[]),
        [say(&Request::Hello(hello), &[]), say(&Request::Guest, &[])].concat(),
        say(&Request::SignIn { message: "n,,n=alice,r=nonce" }, &[]),
        say(&Request::Proof { message: "c=biws,r=nonceAAAA,p=AAAA" }, &[]),
        say(&Request::Put(put), &block),
        say(&Request::Put(put), &[0; 26]),
        say(&Request::Put(Put { inline: false, ..put }), &[]),
        say(&Request::Put(Put { inline: false, size: 9000, ..put }), &[]),
        say(&Request::Data(Data { at: 0, len: 10 }), &block),
        say(&Request::Data(Data { at: 0, len: 8192 }), &[0; 400]),
        say(&Request::Data(Data { at: 8192, len: 808 }), &[0; 400]),
        vec![0; 400],
        say(&Request::Finish { digest: Digest::of(&[b'x'; 10]) }, &[]),
        say(&Request::Get(Get { path: "f", offset: 0, length: 9000, block: 12, stamp: 0 }), &[]),
        say(&Request::List { path: "", cursor: 0 }, &[]),
        say(&Request::Sum { path: "f" }, &[]),
        say(&Request::Bye, &[]),
        [say(&Request::Put(long), &[]), run(0)].concat(),
        run(1),
        run(2),
        vec![b'x'; LONG << 12],
    ]
}

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    let (input_room, output_room, dice, data) = input;
    // From the smallest that is allowed to many blocks.
    let mut one = Turns::new(516 + (usize::from(input_room) << 9), dice);
    let mut two = vec![0xa5; 512 + (usize::from(output_room) << 8)];
    let settings = Settings { max_header: 512, window: 9000, max_block: 16, software: "fuzz" };
    let mut session = ServerSession::new(Instant::START, settings, [7; 18]);
    let mut server = session.with(Buffers { input: &mut one, output: &mut two }, Scalar);
    // Input that runs out ends a run; it is no error.
    let _ = machine::exercise(&mut server, &phrases(), &mut Unstructured::new(data));
});
