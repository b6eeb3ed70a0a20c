//! Neighbours by hand that break the rules of a link.

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use feige_core::wire::flood::{Hello, Message, Query, QueryId, Token, What};
use feige_tests::program::SOON;
use feige_tests::victim::{Asker, Victim, octets_of, say};

fn hello() -> Vec<u8> {
    octets_of(&Message::Hello(Hello { version: 1, features: 0, token: Token::new(5), software: "by hand" }))
}

fn query(id: u64, ttl: u8, hops: u8) -> Message<'static> {
    Message::Query(Query { id: QueryId::new(id), ttl, hops, what: What::Name("here.txt") })
}

/// A link that breaks a rule ends, and the reason is told once: as the end of a link if there was one.
///
/// proves: R-FL-2, R-FL-10
pub(super) fn links_that_break_the_rules_end() {
    let mut victim = Victim::start(&[]);
    let cases = [
        ("a query before hello", octets_of(&query(1, 3, 0)), "refused", "it did not say hello"),
        ("hello twice", [hello(), hello()].concat(), "unlinked", "said it twice"),
        ("no length", [hello(), b"\0\0\0\0".to_vec()].concat(), "unlinked", "it broke the rules"),
        ("an endless length", [hello(), b"\xff\xff\xff\xff".to_vec()].concat(), "unlinked", "it broke the rules"),
        (
            "2,000 octets",
            [hello(), b"\xd0\x07\0\0F".to_vec(), vec![1; 2000]].concat(),
            "unlinked",
            "it broke the rules",
        ),
        ("a message too long", [hello(), b"\x41\x01\0\0F".to_vec()].concat(), "unlinked", "it broke the rules"),
        ("half a query", [hello(), b"\x03\0\0\0F\x01\x02".to_vec()].concat(), "unlinked", "it broke the rules"),
        ("half a query at first", b"\x03\0\0\0F\x01\x02".to_vec(), "refused", "it broke the rules"),
    ];
    for (what, octets, event, reason) in cases {
        let mut stream = victim.connect();
        stream.write_all(&octets).expect("it listens");
        let began = Instant::now();
        let _ = stream.read_to_end(&mut Vec::new());
        assert!(began.elapsed() < Duration::from_secs(2), "{what}: {:?}", began.elapsed());
        thread::sleep(Duration::from_millis(50));
        let is_told = |event: &serde_json::Value| event["event"] == "refused" || event["event"] == "unlinked";
        let told: Vec<_> = victim.program.events().into_iter().filter(is_told).collect();
        assert_eq!(told.len(), 1, "{what}: {told:#?}");
        assert_eq!(told[0]["event"], event, "{what}: {told:#?}");
        assert!(told[0]["error"].as_str().is_some_and(|error| error.contains(reason)), "{what}: {told:#?}");
    }
    assert_eq!(victim.news(), [""; 0]);
    victim.still_answers();
    victim.is_idle();
}

/// Each is dropped and told; the link stays.
///
/// proves: R-FL-21
pub(super) fn queries_that_go_too_far_are_dropped() {
    let mut victim = Victim::start(&[]);
    for (number, (ttl, hops)) in [(255, 0), (16, 0), (0, 0), (3, 7), (3, 255)].into_iter().enumerate() {
        let number = number as u64;
        let mut link = victim.link(100 + number);
        link.say(&query(10 + number, ttl, hops));
        victim.complains_once(&format!("{ttl} to go, {hops} behind"), "the query goes too far");
        // As one of no bad will: it is answered over the same link.
        link.say(&query(20 + number, 15, 0));
        let mut hits = 0;
        assert!(link.hear(Duration::from_millis(300), |message| hits += u8::from(matches!(message, Message::Hit(_)))));
        assert_eq!(hits, 1, "{ttl} to go, {hops} behind");
    }
    // Two thousand of them are told once.
    let mut link = victim.link(200);
    for id in 0..2000 {
        link.say(&query(1000 + id, 255, 0));
    }
    assert!(link.hear(Duration::from_secs(2), |_| {}));
    victim.complains_once("two thousand", "the query goes too far");
    victim.still_answers();
    victim.is_idle();
}

/// Wherever it is split, and two in one segment.
///
/// proves: R-FL-1, R-FL-28
pub(super) fn messages_are_understood_wherever_they_are_split() {
    let victim = Victim::start(&[]);
    let octets = |id| [hello(), octets_of(&query(id, 3, 0))].concat();
    let answered = |id: u64, pieces: &[&[u8]], queries: usize| {
        let mut link = victim.connect();
        for piece in pieces {
            link.write_all(piece).expect("it listens");
            thread::sleep(Duration::from_millis(3));
        }
        link.set_read_timeout(Some(SOON)).expect("set");
        let (mut heard, mut room) = (Vec::new(), [0; 4096]);
        let until = Instant::now() + SOON;
        let mut hits = 0;
        while hits < queries && Instant::now() < until {
            let count = link.read(&mut room).expect("an answer");
            heard.extend_from_slice(&room[..count]);
            while let Ok(Some((message, used))) = feige_core::wire::flood::frame(&heard) {
                hits += usize::from(matches!(message, Some(Message::Hit(_))));
                heard.drain(..used);
            }
        }
        assert_eq!(hits, queries, "{id}");
    };
    let length = octets(1).len();
    for at in 1..length {
        let octets = octets(at as u64);
        let (first, second) = octets.split_at(at);
        answered(at as u64, &[first, second], 1);
    }
    let whole = octets(1000);
    answered(1000, &whole.chunks(1).collect::<Vec<_>>(), 1);
    let two = [octets(1001), octets_of(&query(1002, 3, 0))].concat();
    answered(1001, &[&two], 2);
    victim.is_idle();
}

/// A thousand copies of a question, with any TTL: one answer. So it is for a classic one with our tag.
///
/// proves: R-FL-28, R-FL-74
pub(super) fn a_question_is_answered_once() {
    let victim = Victim::start(&[]);
    let mut link = victim.link(5);
    for copy in 0..1000_u32 {
        link.say(&query(77, u8::try_from(copy % 15).expect("small") + 1, 0));
    }
    let mut hits = 0;
    assert!(link.hear(Duration::from_secs(1), |message| hits += u8::from(matches!(message, Message::Hit(_)))));
    assert_eq!(hits, 1);
    let asker = Asker::new();
    let text = format!("get here.txt {} 127.0.0.1 i=00000000000000aa,h=1 2", asker.port());
    let at = &*victim.at;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..125).for_each(|_| drop(say(at, &[text.as_bytes()]))));
        }
    });
    assert!(asker.told(SOON).is_some_and(|told| told.starts_with("found here.txt at ")));
    assert_eq!(asker.told(Duration::from_millis(500)), None);
    victim.still_answers();
    victim.is_idle();
}

/// A peer that dials again has lost its link, and one that never says hello gets none.
///
/// proves: R-FL-10, R-FL-11
pub(super) fn a_link_that_is_given_up_is_told_as_what_it_was() {
    let mut victim = Victim::start(&[]);
    let mut silent = victim.connect();
    silent.write_all(&hello()[..5]).expect("it listens");
    let began = Instant::now();
    let mut first = victim.link(9);
    victim.program.event("linked");
    let mut second = victim.link(9);
    let end = victim.program.event("unlinked");
    assert!(end["error"].as_str().is_some_and(|error| error.contains("another link")), "{end}");
    assert!(!first.hear(SOON, |_| {}), "the first link ends");
    second.say(&query(5, 2, 0));
    let mut hits = 0;
    assert!(second.hear(Duration::from_millis(500), |message| hits += u8::from(matches!(message, Message::Hit(_)))));
    assert_eq!(hits, 1);
    assert_eq!(victim.complaints().len(), 0);
    let _ = silent.read_to_end(&mut Vec::new());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    victim.complains_once("no hello", "it did not say hello within 10 s");
    victim.is_idle();
}
