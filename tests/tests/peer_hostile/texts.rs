//! Classic texts that make no sense, or that somebody else is to suffer from.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_tests::program::{SOON, run};
use feige_tests::victim::{Answer, Asker, Holder, Victim, say};

use super::archives::{framed, stored, with_length};

/// proves: R-FL-70, R-FL-73, R-FL-75, R-FL-76
pub(super) fn nonsense_is_told_and_harms_nobody() {
    let mut victim = Victim::start(&[]);
    let asker = Asker::new();
    let question = |ttl: &str| asker.question("here.txt", ttl);
    let cases = [
        ("2,000 octets", "x".repeat(2000), "body is too large"),
        ("2,000 octets of a question", format!("{} {}", question("2"), "x".repeat(2000)), "too large"),
        ("a ttl of 255", question("255"), "TTL"),
        ("a ttl of -2", question("-2"), "TTL"),
        ("a ttl of 10^23", question("100000000000000000000000"), "TTL"),
        ("a ttl of x", question("x"), "TTL"),
        ("an empty ttl", question(""), "address"),
        ("another path", asker.question("../secret.txt", "2"), "name"),
        ("an absolute path", asker.question("/etc/passwd", "2"), "name"),
        ("port 0", "get here.txt 0 127.0.0.1 2".to_owned(), "address"),
        ("everybody's address", "get here.txt 9 255.255.255.255 2".to_owned(), "address"),
        ("a word alone", "found".to_owned(), "classic message"),
        ("a request for what is not there", "request gone.txt 127.0.0.1 9".to_owned(), "nothing named gone.txt"),
        ("a request for a link", "request link.txt 127.0.0.1 9".to_owned(), "nothing named link.txt"),
    ];
    for (what, text, reason) in cases {
        let heard = victim.say(&[text.as_bytes()]);
        assert_ne!(heard, b"hello", "{what}");
        victim.complains_once(what, reason);
    }
    assert_eq!(asker.told(Duration::from_millis(300)), None);
    assert_eq!(victim.say(&[b"put it there"]), b"invalid content");
    victim.complains_once("another word", "no classic message");
    assert_eq!(victim.news(), [""; 0]);
    victim.still_answers();
    victim.is_idle();
}

/// What is well-formed is understood, wherever it is split; two in one segment are one with somebody else's fields.
///
/// proves: R-FL-70, R-FL-73
pub(super) fn texts_are_understood_wherever_they_are_split() {
    let victim = Victim::start(&[]);
    let at = &*victim.at;
    let length = Asker::new().question("here.txt", "-1").len();
    let answered = |split: usize| {
        let asker = Asker::new();
        let question = asker.question("here.txt", "-1");
        let (first, second) = question.as_bytes().split_at(split);
        let pieces = if split == 0 { question.as_bytes().chunks(1).collect() } else { vec![first, second] };
        assert!(say(at, &pieces).is_empty());
        let told = asker.told(SOON);
        assert!(told.is_some_and(|told| told.starts_with("found here.txt at ")), "split at {split}");
        asker
    };
    // They stay until the end: the same question from the same port would be the same query.
    let mut askers = Vec::new();
    // Split at 0 is split everywhere.
    for splits in (0..length).collect::<Vec<_>>().chunks(8) {
        thread::scope(|scope| {
            let asking: Vec<_> = splits.iter().map(|&split| scope.spawn(move || answered(split))).collect();
            askers.extend(asking.into_iter().map(|asking| asking.join().expect("an answer")));
        });
    }
    let asker = Asker::new();
    let question = asker.question("here.txt", "2");
    assert!(victim.say(&[format!("{question}{question}").as_bytes()]).is_empty());
    victim.still_answers();
    victim.is_idle();
}

/// A question in the name of somebody who did not ask: it gets nothing, or not much.
///
/// proves: R-FL-77
pub(super) fn nobody_outside_of_the_networks_is_told_and_nobody_without_end() {
    let mut victim = Victim::start(&["--network", "127.0.0.1/32"]);
    let forged = Asker::at(Ipv4Addr::new(127, 0, 0, 9));
    for text in [
        format!("get here.txt {} 127.0.0.9 2", forged.port()),
        format!("get here.txt 127.0.0.9 {} 2", forged.port()),
        format!("get here.txt {} 127.0.0.9 i=0000000000000009,h=0 2", forged.port()),
    ] {
        assert!(victim.say(&[text.as_bytes()]).is_empty());
        victim.complains_once(&text, "networks");
    }
    assert_eq!(forged.told(Duration::from_millis(500)), None);
    victim.still_answers();

    for file in 0..90 {
        fs::write(victim.home.path().join(format!("share/{file}.txt")), b"x").expect("written");
    }
    thread::sleep(Duration::from_secs(3));
    let asker = Asker::new();
    for file in 0..90 {
        let _ = victim.say(&[asker.question(&format!("{file}.txt"), "2").as_bytes()]);
    }
    let mut told = 0;
    while asker.told(Duration::from_millis(700)).is_some() {
        told += 1;
    }
    assert!((30..=60).contains(&told), "{told} answers");
    victim.still_answers();
    victim.is_idle();
}

/// proves: R-FL-79
pub(super) fn what_was_found_for_nobody_is_not_followed() {
    let mut victim = Victim::start(&[]);
    let third = Asker::new();
    for _ in 0..20 {
        let _ = victim.say(&[format!("found gift.txt at 3 127.0.0.1 {}", third.port()).as_bytes()]);
    }
    victim.complains("twenty gifts", &["nobody asked for"; 20]);
    assert_eq!(third.told(Duration::from_millis(500)), None);
    assert_eq!(victim.news(), [""; 0]);
    victim.still_answers();
    victim.is_idle();
}

/// Found for a question of ours, at somebody who has nothing to do with it.
///
/// proves: R-FL-79
pub(super) fn a_holder_outside_of_the_networks_is_not_asked() {
    let third = Asker::at(Ipv4Addr::new(127, 0, 0, 9));
    let asked = Asker::new();
    let options = ["--network", "127.0.0.1/32", "--neighbour", &format!("127.0.0.1:{}/j", asked.port())];
    let mut victim = Victim::start(&options);
    victim.program.event("linked");
    victim.program.tell("get gift.txt");
    let question = asked.told(SOON).expect("a question");
    assert!(question.starts_with("get gift.txt "), "{question}");
    let _ = victim.say(&[format!("found gift.txt at 3 127.0.0.9 {}", third.port()).as_bytes()]);
    victim.complains("a holder elsewhere", &["networks", "nobody within 5 links has gift.txt"]);
    assert_eq!(third.told(Duration::from_millis(300)), None);
    assert_eq!(victim.news(), [""; 0]);
    victim.is_idle();
}

/// Twenty answers are one download; of twenty holders that have nothing good, three are asked, one after the other.
///
/// proves: R-FL-61, R-FL-64
pub(super) fn twenty_answers_are_one_download() {
    let good = framed(&stored(&[("x.txt", b"contents")]));
    let bad = with_length(&format!(r#"{{"filename":"x","md5":"{}"}}"#, Digest::of(b"")), b"");
    let both = [("x.txt".to_owned(), Answer::Octets(good)), ("z.txt".to_owned(), Answer::Octets(bad.clone()))];
    let holder = Holder::start(BTreeMap::from(both), 20);
    let mut victim = Victim::start(&["--neighbour", &format!("{}/j", holder.at)]);
    victim.program.event("linked");
    victim.program.tell("get x.txt");
    victim.program.event("fetched");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(holder.requests.try_iter().count(), 1);
    assert_eq!(victim.news(), ["share/x.txt"]);
    // And twenty of one who gives nonsense are no more.
    victim.program.tell("get z.txt");
    victim.program.wait("end", SOON, |event| event["event"] == "trouble");
    assert_eq!(holder.requests.try_iter().count(), 1);
    victim.complains_once("twenty times the same", "it has no file_size");

    let answers = || BTreeMap::from([("y.txt".to_owned(), Answer::Octets(bad.clone()))]);
    let bad: Vec<Holder> = (0..20).map(|_| Holder::start(answers(), 0)).collect();
    let asked = Asker::new();
    let mut victim = Victim::start(&["--neighbour", &format!("127.0.0.1:{}/j", asked.port())]);
    victim.program.event("linked");
    victim.program.tell("get y.txt");
    asked.told(SOON).expect("a question");
    for holder in &bad {
        let _ = victim.say(&[format!("found y.txt at 3 127.0.0.1 {}", holder.at.port()).as_bytes()]);
    }
    let reason = "it has no file_size";
    victim.program.wait("end", SOON, |event| event["event"] == "trouble");
    let refused: Vec<_> = victim.complaints();
    let of_holders = refused.iter().filter(|event| event["error"].as_str().is_some_and(|error| error.contains(reason)));
    assert_eq!(of_holders.count(), 3, "{refused:#?}");
    assert_eq!(bad.iter().filter(|holder| holder.requests.try_recv().is_ok()).count(), 3);
    assert_eq!(victim.news(), [""; 0]);
    victim.still_answers();
    victim.is_idle();
}

/// proves: R-FL-60, R-FL-80
pub(super) fn links_in_the_share_lead_nowhere() {
    let victim = Victim::start(&[]);
    let heard = victim.say(&[b"request link.txt 127.0.0.1 9"]);
    assert!(heard.is_empty(), "{heard:?}");
    let home = tempfile::tempdir().expect("a folder");
    let found = run(&home, SOON, ["fetch", "link.txt", "--via", &victim.at]);
    assert_eq!(found.code, Some(3), "{}", found.said);
    let got = run(&home, SOON, ["get", &format!("feige://{}/link.txt", victim.at)]);
    assert_ne!(got.code, Some(0), "{}", got.said);
    let put = run(&victim.home, SOON, ["put", "secret.txt", &format!("feige://{}/", victim.at)]);
    assert_eq!(put.code, Some(4), "{}", put.said);
    assert_eq!(victim.news(), [""; 0]);
    victim.still_answers();
    victim.is_idle();
}
