//! Many peers, and many queries: rings, neighbours that send everything back, full tables, several gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use feige_core::wire::flood::{Message, Query, QueryId, What};
use feige_tests::program::{LATE, SOON, run};
use feige_tests::victim::{Asker, Victim};
use serde_json::Value;

/// Three peers, each of which is linked with both others.
fn ring() -> [Victim; 3] {
    let first = Victim::start(&[]);
    let mut second = Victim::start(&["--neighbour", &first.at]);
    let mut third = Victim::start(&["--neighbour", &first.at, "--neighbour", &second.at]);
    second.program.event("linked");
    third.program.event("linked");
    third.program.event("linked");
    [first, second, third]
}

/// Somebody who sends every query that comes over either of two links back over both, as if it were new.
///
/// proves: R-FL-21, R-FL-26, R-FL-29
pub(super) fn a_loop_and_somebody_who_sends_everything_back_end() {
    let mut ring = ring();
    let first = ring[0].at.clone();
    let mut links = [ring[0].link(77), ring[1].link(78)];
    for link in &mut links {
        assert!(link.hear(Duration::from_millis(200), |_| {}));
    }
    let asking = thread::spawn(move || {
        let home = tempfile::tempdir().expect("a folder");
        let found = run(&home, SOON, ["--json", "find", "here.txt", "--via", &first, "--ttl", "7"]);
        assert_eq!(found.code, Some(0), "{}", found.said);
        found.events.iter().filter(|event| event["event"] == "hit").count()
    });
    let mut heard = [BTreeMap::new(), BTreeMap::new()];
    for _ in 0..60 {
        let mut back = Vec::new();
        for (link, heard) in links.iter_mut().zip(&mut heard) {
            link.hear(Duration::from_millis(25), |message| {
                if let Message::Query(query) = message {
                    *heard.entry(query.id).or_insert(0) += 1;
                    back.push(query.id);
                }
            });
        }
        for (id, link) in back.iter().flat_map(|id| [(*id, 0), (*id, 1)]) {
            let what = What::Part("here.txt");
            links[link].say(&Message::Query(Query { id, ttl: 7, hops: 0, what }));
        }
    }
    assert_eq!(asking.join().expect("found"), 3, "each of the three has it, and says so once");
    for heard in &heard {
        assert_eq!(heard.len(), 1);
        assert!(heard.values().all(|&times| times <= 6), "{heard:?}");
    }
    // What each of them sent of it: at most six times over each of its links.
    for victim in &mut ring {
        let sent = victim.program.events().into_iter().filter(|event| event["event"] == "sent");
        let mut to = BTreeMap::new();
        for event in sent {
            *to.entry(event["to"].to_string()).or_insert(0) += 1;
        }
        assert!(to.len() <= 4 && to.values().all(|&times| times <= 6), "{to:?}");
        victim.still_answers();
    }
    thread::scope(|scope| {
        for victim in ring {
            scope.spawn(move || victim.is_idle());
        }
    });
}

/// Five neighbours fill the table: what has no room is refused, counted, and told once for each neighbour; what is
/// remembered is still known; when it is forgotten, there is room again.
///
/// proves: R-FL-22, R-FL-23, R-FL-24
pub(super) fn a_full_table_refuses_and_recovers() {
    let mut victim = Victim::start(&[]);
    let query = |id, what| Message::Query(Query { id: QueryId::new(id), ttl: 1, hops: 0, what: What::Name(what) });
    let mut links: Vec<_> = (0..5).map(|number| victim.link(50 + number)).collect();
    for (number, link) in (0..).zip(&mut links) {
        for id in 0..300 {
            link.say(&query(1 + number * 1000 + id, "gone.txt"));
        }
        assert!(link.hear(Duration::from_millis(700), |_| {}));
    }
    let errors: Vec<String> = victim.complaints().iter().map(|event| event["error"].to_string()).collect();
    let with = |reason: &str| errors.iter().filter(|error| error.contains(reason)).count();
    assert!(with("too many new queries come over this link") >= 4, "{errors:?}");
    assert!(with("the table of queries is full") >= 1, "{errors:?}");
    assert!(errors.len() <= 2 * links.len(), "{errors:?}");
    // The same for those who ask in other words.
    let asker = Asker::new();
    let _ = victim.say(&[asker.question("here.txt", "2").as_bytes()]);
    victim.complains_once("a classic question", "the table of queries is full");
    assert_eq!(asker.told(Duration::from_millis(300)), None);
    victim.program.tell("get gone.txt");
    victim.complains_once("an own question", "the table of queries is full; try again in half a minute");
    // A lifetime later.
    victim.is_idle();
    thread::sleep(Duration::from_secs(23));
    victim.still_answers();
    let mut hits = 0;
    links[0].say(&query(9999, "here.txt"));
    assert!(links[0].hear(Duration::from_secs(1), |message| hits += u8::from(matches!(message, Message::Hit(_)))));
    assert_eq!(hits, 1);
    assert_eq!(victim.news(), [""; 0]);
}

/// The ids of questions for this name that a peer heard of.
fn asked(victim: &mut Victim, name: &str) -> Vec<String> {
    let is_it =
        |event: &Value| event["event"] == "asked" && event["what"].as_str().is_some_and(|what| what.contains(name));
    victim.program.events().into_iter().filter(is_it).map(|event| event["id"].to_string()).collect()
}

/// Until the clock is not about to begin a new period of R-FL-89.
fn away_from_the_end_of_a_period() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() % 8000;
    if now > 6000 {
        thread::sleep(Duration::from_millis(8050 - u64::try_from(now).expect("small")));
    }
}

/// A classic program whose neighbours are two Feiges, with a third one behind both.
///
/// proves: R-FL-89
pub(super) fn a_question_to_two_gateways_is_one_query() {
    let [mut one, mut two, mut behind] = ring();
    fs::write(behind.home.path().join("share/far.txt"), b"far").expect("written");
    thread::sleep(Duration::from_millis(2500));
    let asker = Asker::new();
    let ask = |one: &Victim, two: &Victim, ttl: &str| {
        let question = asker.question("far.txt", ttl);
        let _ = one.say(&[question.as_bytes()]);
        let _ = two.say(&[question.as_bytes()]);
    };
    away_from_the_end_of_a_period();
    ask(&one, &two, "3");
    assert_eq!(asker.told(SOON), Some(format!("found far.txt at 0 127.0.0.1 {}", behind.port())));
    // Again, at once: nobody passes it on, or answers.
    ask(&one, &two, "3");
    assert_eq!(asker.told(Duration::from_secs(1)), None);
    let ids: Vec<_> = [&mut one, &mut two, &mut behind].map(|victim| asked(victim, "far.txt")).concat();
    assert_eq!(ids.len(), 3, "each heard of it as new once: {ids:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1, "{ids:?}");
    // Later it is a new question.
    thread::sleep(Duration::from_secs(9));
    away_from_the_end_of_a_period();
    ask(&one, &two, "3");
    assert!(asker.told(LATE).is_some());
    assert_eq!(asker.told(Duration::from_secs(1)), None);
    let again: Vec<_> = [&mut one, &mut two, &mut behind].map(|victim| asked(victim, "far.txt")).concat();
    assert_eq!(again.len(), 3, "{again:?}");
    assert!(again[0] == again[2] && again[0] != ids[0], "{ids:?} {again:?}");
}
