//! A server that gives a large file up while it comes: `feige put` notices, and does not send the rest.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use feige_core::wire::transfer::{ErrorCode, Hello, LENGTH, Reply, Request, VERSION, body_len, decode, encode};
use feige_tests::program::{SOON, run};

const SIZE: u64 = 4 << 30;

/// Octets after which the server has no more room.
const ROOM: u64 = 3 << 20;

fn say(stream: &mut TcpStream, reply: &Reply<'_>) {
    let mut room = [0; 512];
    let len = encode(reply, &mut room).expect("fits");
    stream.write_all(&room[..len]).expect("written");
}

/// Serves one client; tells how many octets of the file it sent.
fn serve(mut stream: TcpStream) -> u64 {
    let (mut came, mut full) = (0, false);
    loop {
        let mut length = [0; LENGTH];
        if stream.read_exact(&mut length).is_err() {
            return came;
        }
        let mut header = vec![0; u32::from_le_bytes(length) as usize];
        stream.read_exact(&mut header).expect("a header");
        let reply = match decode(&header).expect("a request") {
            Request::Hello(_) => Reply::Hello(Hello {
                version: VERSION,
                features: 0,
                max_header: 512,
                window: 1 << 16,
                max_block: 16,
                software: "test",
            }),
            Request::Guest => Reply::Done,
            Request::Stat { .. } => Reply::Error { code: ErrorCode::NotFound, text: "" },
            Request::Put(_) => Reply::Ready { offset: 0, block: 15 },
            Request::Data(data) => {
                let body = body_len(data.len, 1 << 15);
                std::io::copy(&mut (&mut stream).take(body), &mut std::io::sink()).expect("a body");
                came += u64::from(data.len);
                if came < ROOM || std::mem::replace(&mut full, true) {
                    continue;
                }
                Reply::Error { code: ErrorCode::NoSpace, text: "the disk is full" }
            }
            // It was answered.
            Request::Finish { .. } => continue,
            other => panic!("nobody asked for {other:?}"),
        };
        say(&mut stream, &reply);
    }
}

/// proves: R-VT-66
#[test]
fn a_file_that_the_server_gives_up_is_not_sent_to_its_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("feige://{}/", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || serve(listener.accept().expect("a client").0));
    let home = tempfile::tempdir().expect("a folder");
    // It has no octets on the disk.
    File::create(home.path().join("large")).and_then(|file| file.set_len(SIZE)).expect("made");
    let ended = run(&home, SOON, ["put", "large", &url]);
    assert_eq!(ended.code, Some(6), "{}", ended.said);
    assert!(ended.said.contains("the disk is full"), "{}", ended.said);
    let end = Instant::now() + SOON;
    while !server.is_finished() {
        assert!(Instant::now() < end, "the client did not take leave");
        thread::sleep(Duration::from_millis(10));
    }
    // What was on its way when the server said so; a socket holds some megabytes.
    let came = server.join().expect("served");
    assert!(came < 64 << 20, "{came} octets came");
}
