//! The client of the verified transfer against any server, any store and any driver.
#![no_main]

mod machine;
mod turns;

use arbitrary::Unstructured;
use feige_core::digest::{Digest, Scalar};
use feige_core::stream::transfer::{Buffers, ClientSession, Credentials, Settings};
use feige_core::time::Instant;
use feige_core::wire::transfer::{Data, ErrorCode, File, Hello, Reply, encode};
use libfuzzer_sys::fuzz_target;
use turns::{LONG, Turns};

fn say(reply: &Reply<'_>, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; 600];
    let len = encode(reply, &mut octets).unwrap();
    octets.truncate(len);
    octets.extend(body);
    octets
}

/// What the peer likes to say.
fn phrases() -> Vec<Vec<u8>> {
    let hello = Hello { version: 1, features: 0, max_header: 512, window: 90_000, max_block: 16, software: "x" };
    let file = File { size: 10, mtime: None, mode: None, stamp: 1, block: 12, offset: 0, length: 10 };
    let block = [&Digest::of(&[b'x'; 10]).0, &[b'x'; 10][..]].concat();
    let long = File { size: 200_000, length: 200_000, ..file };
    let digests = Digest::of(&[b'x'; 4096]).0.repeat(LONG);
    let run = |run: u32| say(&Reply::Data(Data { at: u64::from(run) << 16, len: 1 << 16 }), &digests);
    vec![
        say(&Reply::Hello(hello), &[]),
        say(&Reply::Done, &[]),
        [say(&Reply::Hello(hello), &[]), say(&Reply::Done, &[])].concat(),
        say(&Reply::SignIn { message: "r=BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHserver,s=MDEyMzQ1Njc4OQ==,i=4096" }, &[]),
        say(&Reply::Error { code: ErrorCode::Busy, text: "no" }, &[]),
        [say(&Reply::File(file), &[]), say(&Reply::Data(Data { at: 0, len: 10 }), &block)].concat(),
        say(&Reply::File(file), &[]),
        say(&Reply::File(File { size: 9000, length: 9000, ..file }), &[]),
        say(&Reply::Data(Data { at: 0, len: 10 }), &[0; 26]),
        say(&Reply::Data(Data { at: 0, len: 8192 }), &[0; 400]),
        say(&Reply::Data(Data { at: 8192, len: 808 }), &[0; 400]),
        vec![0; 400],
        say(&Reply::Ready { offset: 0, block: 12 }, &[]),
        say(&Reply::Repair { at: 0, len: 4096 }, &[]),
        say(&Reply::Stored { digest: Digest::of(&[0xa5; 10]) }, &[]),
        say(&Reply::End { cursor: 0 }, &[]),
        say(&Reply::Working, &[]),
        say(&Reply::Time(1), &[]),
        [say(&Reply::File(long), &[]), run(0)].concat(),
        run(1),
        run(2),
        vec![b'x'; LONG << 12],
    ]
}

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    let (input_room, output_room, account, data) = input;
    let mut one = Turns::new(516 + (usize::from(input_room) << 9), account);
    let mut two = vec![0xa5; 512 + (usize::from(output_room) << 9)];
    let settings = Settings { max_header: 512, window: 9000, max_block: 16, software: "fuzz" };
    // Signing in takes its time: seldom.
    let account = (account == 0).then_some(Credentials::Account { user: "alice", password: "pencil" });
    let mut session = ClientSession::new(Instant::START, settings, account.unwrap_or(Credentials::Guest), &[7; 18]);
    let mut client = session.with(Buffers { input: &mut one, output: &mut two }, Scalar);
    // Input that runs out ends a run; it is no error.
    let _ = machine::exercise(&mut client, &phrases(), &mut Unstructured::new(data));
});
