//! `feige serve` of the real program and clients that are slow, many, or guess passwords: they have their limits, and
//! others do not notice.
#![cfg(target_os = "linux")]

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use feige_core::wire::transfer::{ErrorCode, Reply, Request};
use feige_tests::served::{PASSWORD, Served};
use feige_tests::transfer::{Caller, get, hello, message, octets, put, rest};

const WRITE: &[&str] = &["--guest", "write"];

/// Sends nothing more, and waits until it is told that it took too long, and the connection ends.
fn is_given_up(mut caller: Caller, between: std::ops::Range<u64>, what: &str) {
    let begin = Instant::now();
    caller.stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let refused = caller.hear().accepted().expect_err(what);
    assert_eq!(refused, ErrorCode::Timeout, "{what}");
    assert!(caller.is_closed(), "{what}");
    assert!(between.contains(&begin.elapsed().as_secs()), "{what}: after {:?}", begin.elapsed());
}

/// proves: R-VT-70, R-VT-72
#[test]
fn whoever_stops_is_given_up() {
    let served = Served::start(WRITE);
    let handles = served.handles();
    let file = octets(8 << 20, 1);
    std::fs::write(served.path("large"), octets(64 << 20, 2)).expect("written");
    let addr = served.addr;
    std::thread::scope(|threads| {
        // 10 s to sign in, whatever comes meanwhile.
        threads.spawn(move || is_given_up(Caller::greeted(addr), 8..20, "a stranger"));
        threads.spawn(move || {
            let mut caller = Caller::greeted(addr);
            let message = message(&Request::SignIn { message: &"n".repeat(300) });
            let begin = Instant::now();
            for octet in message.chunks(1) {
                if caller.stream.write_all(octet).is_err() || begin.elapsed() > Duration::from_secs(25) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            assert!(caller.is_closed());
            assert!((8..20).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        });
        threads.spawn(move || {
            let mut caller = Caller::connect(addr);
            let begin = Instant::now();
            assert!(caller.is_closed(), "who says nothing");
            assert!((8..20).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        });
        // 30 s without progress in a body.
        let file = &file;
        threads.spawn(move || {
            let mut caller = Caller::guest(addr);
            let ready = caller.announce(&put("stops", file.len() as u64)).expect("welcome");
            caller.send(&rest(file, ready)[..3_000_000]);
            is_given_up(caller, 25..40, "a sender that stops");
        });
        threads.spawn(move || {
            let mut caller = Caller::guest(addr);
            let ready = caller.announce(&put("slow", file.len() as u64)).expect("welcome");
            let messages = rest(file, ready);
            caller.send(&messages[..100_000]);
            let mut slow = caller.stream.try_clone().expect("a socket");
            let begin = Instant::now();
            let sender = std::thread::spawn(move || {
                for octet in messages[100_000..].chunks(1).take(60) {
                    if slow.write_all(octet).is_err() {
                        break;
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            });
            is_given_up(caller, 25..40, "a sender of one octet a second");
            sender.join().expect("no panic");
            assert!(begin.elapsed() < Duration::from_secs(45));
        });
        threads.spawn(move || {
            let mut caller = Caller::guest(addr);
            let ready = caller.announce(&put("announced", file.len() as u64)).expect("welcome");
            assert_eq!(ready.offset, 0);
            is_given_up(caller, 25..40, "a sender that never begins");
        });
        // 30 s without reading.
        threads.spawn(move || {
            let mut caller = Caller::guest(addr);
            caller.say(&get("large"));
            std::thread::sleep(Duration::from_secs(38));
            let mut got = 0;
            let begin = Instant::now();
            let end = loop {
                match std::io::Read::read(&mut caller.stream, &mut [0; 1 << 16]) {
                    Ok(count @ 1..) => got += count,
                    end => break end,
                }
            };
            assert!(got < 64 << 20, "it waited for somebody who did not read");
            assert!(begin.elapsed() < Duration::from_secs(5), "{end:?} after {:?}, {got} octets", begin.elapsed());
        });
        // Meanwhile others come and go.
        for number in 0..30 {
            let begin = Instant::now();
            let name = format!("other{number}");
            Caller::guest(addr).put(&name, &octets(100_000, number)).expect("stored");
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    served.settles_at(handles);
    // What came is there for the next attempt, and has no name.
    assert!(!served.path("stops").exists() && !served.path("slow").exists());
    let ready = served.guest().announce(&put("stops", file.len() as u64)).expect("welcome");
    // The headers and digests among what came are less than what is left of the last block.
    let block = 1_u64 << ready.block;
    assert_eq!(ready.offset, 3_000_000 / block * block, "all blocks but the last are whole");
    served.is_well();
}

#[test]
fn there_are_as_many_connections_as_there_may_be() {
    let mut served = Served::start(&["--guest", "write", "--max-connections", "40"]);
    let handles = served.handles();
    let mut first: Vec<_> = (0..20).map(|_| served.guest()).collect();
    let begin = Instant::now();
    let mut crowd = Vec::new();
    for number in 0..2_000 {
        let mut caller = Caller::connect(served.addr);
        // Some speak first, some do not.
        if number % 2 == 0 {
            let _ = caller.stream.write_all(&message(&hello()));
        }
        let answer = caller.hear();
        assert!(matches!(answer.reply(), Reply::Error { code: ErrorCode::Busy, .. }), "{answer:?}");
        assert!(caller.is_closed());
        crowd.push(caller);
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    // The others work, and from elsewhere one still comes in.
    for (number, caller) in first.iter_mut().enumerate() {
        caller.put_small(&format!("file{number}"), b"abc").expect("stored");
    }
    let mut elsewhere = Caller::connect_from(Ipv4Addr::new(127, 0, 0, 7), served.addr);
    elsewhere.hello();
    elsewhere.done(&Request::Guest).expect("let in");
    // Refusals are told, but not each.
    assert!(served.program.sees(Duration::ZERO, |event| event["event"] == "failed"));
    let said = served.program.said();
    assert!(said.matches("\"failed\"").count() < 10, "{said}");
    drop((first, elsewhere, crowd));
    served.settles_at(handles);
    served.is_well();
}

#[test]
fn guessing_passwords_takes_longer_and_longer() {
    let served = Served::with_users(&["alice"], WRITE);
    let mut waits = Vec::new();
    let end = Instant::now() + Duration::from_secs(45);
    while waits.len() < 3 {
        assert!(Instant::now() < end, "no end of guessing: {waits:?}");
        let refused = Caller::user(served.addr, "alice", "guess").expect_err("wrong");
        assert_eq!(refused, ErrorCode::SignInFailed);
        if !refused.text.contains("too many") {
            continue;
        }
        let seconds = refused.text.rsplit_once(" s").and_then(|(text, _)| text.rsplit_once(' ')?.1.parse::<u64>().ok());
        let seconds = seconds.unwrap_or_else(|| panic!("{refused:?}"));
        waits.push(seconds);
        // The right one does not help now, and guests are not concerned.
        assert_eq!(Caller::user(served.addr, "alice", PASSWORD).expect_err("to wait"), ErrorCode::SignInFailed);
        drop(served.guest());
        // Somebody else does not notice.
        let mut other = Caller::connect_from(Ipv4Addr::new(127, 0, 0, 9), served.addr);
        other.hello();
        other.sign_in("alice", PASSWORD).expect("let in");
        std::thread::sleep(Duration::from_secs(seconds + 1));
    }
    assert!(waits.is_sorted() && waits[0] < waits[2], "{waits:?}");
    // Whoever waited comes in.
    Caller::user(served.addr, "alice", PASSWORD).expect("let in");
    served.is_well();
}
