//! `feige peer` and its neighbours: who name each other, who is its own, who is taken for a classic program and is none,
//! who names the peer's own machine.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use feige_tests::lab::{Host, Lab};
use feige_tests::or_skip;
use feige_tests::program::{Program, SOON};
use feige_tests::victim::{Asker, Victim, say};
use serde_json::Value;
use tempfile::TempDir;

/// In this time a peer that dials for ever dials three times at least: after a second, two and four.
const WATCHED: Duration = Duration::from_secs(9);

/// Addresses at which nobody listens, yet.
fn addresses<const N: usize>() -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").to_string())
}

/// A peer at an address, with a neighbour.
fn start(home: &TempDir, at: &str, neighbour: &str) -> Program {
    let mut peer =
        Program::start(home, ["--json", "-v", "peer", "--listen", at, "--share", "share", "--neighbour", neighbour]);
    peer.event("ready");
    peer
}

/// What it told of links, besides that neighbours cannot be reached.
fn links(peer: &mut Program) -> Vec<Value> {
    let is_one = |event: &Value| ["linked", "unlinked", "refused"].iter().any(|name| event["event"] == *name);
    let nobody_there = |event: &Value| event["error"].as_str().is_some_and(|error| error.contains("tried again"));
    peer.events().into_iter().filter(|event| is_one(event) && !nobody_there(event)).collect()
}

/// Both dial, one link stays, and nobody dials while it does. When one of them starts anew, they find each other again,
/// whichever it is.
///
/// proves: R-FL-11, R-FL-14
#[test]
fn two_that_name_each_other_have_one_link_and_leave_it_at_that() {
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let at: [String; 2] = addresses();
    let mut peers = [start(&homes[0], &at[0], &at[1]), start(&homes[1], &at[1], &at[0])];
    for again in [0, 1, 0] {
        peers.iter_mut().for_each(|peer| drop(peer.event("linked")));
        // Both have dialled by then: the first link was found after a second at most.
        thread::sleep(Duration::from_secs(3));
        let settled: Vec<_> = peers.iter_mut().map(links).collect();
        thread::sleep(WATCHED);
        for (peer, settled) in peers.iter_mut().zip(settled) {
            let told = links(peer);
            assert!(told.is_empty(), "{told:#?} after {settled:#?}");
        }
        peers[again].kill();
        peers[1 - again].event("unlinked");
        peers[again] = start(&homes[again], &at[again], &at[1 - again]);
    }
    peers.iter_mut().for_each(|peer| drop(peer.event("linked")));
}

/// It says so once, does not dial again, and does not take itself for another program.
///
/// proves: R-FL-14
#[test]
fn who_names_itself_is_told_so_once() {
    for _ in 0..5 {
        let home = tempfile::tempdir().expect("a folder");
        let [at] = addresses();
        let mut peer = start(&home, &at, &at);
        let trouble = peer.event("trouble");
        assert_eq!(trouble["error"], format!("the neighbour {at} is this peer itself: take it out"));
        thread::sleep(Duration::from_millis(1500));
        let told = peer.events();
        assert!(told.is_empty(), "{told:#?}");
    }
}

/// Whoever asks what kind of program is there hears nothing from a Feige, and the refusal of a classic program from one.
///
/// proves: R-FL-76
#[test]
fn a_feige_is_not_taken_for_a_classic_program() {
    let mut victim = Victim::start(&[]);
    assert_eq!(say(&victim.at, &[b"feige"]), b"");
    assert!(victim.complaints().is_empty());
    // Its links are all taken: whoever comes then has no answer, and asks.
    let taken: Vec<_> = (0..31).map(|number| victim.link(100 + number)).collect();
    for _ in &taken {
        victim.program.event("linked");
    }
    let home = tempfile::tempdir().expect("a folder");
    let [at] = addresses();
    let mut peer = start(&home, &at, &victim.at);
    victim.program.event_where("refused", SOON, |event| {
        event["error"].as_str().is_some_and(|error| error.contains("there are 32 links already"))
    });
    peer.event("unlinked");
    let told = links(&mut peer);
    assert!(told.is_empty(), "{told:#?}");
    drop(taken);
    peer.event("linked");
}

/// A classic program on another machine that names 127.0.0.1, as asker or holder, would send the peer to programs on its
/// own machine. Those on the peer's machine may do so, and what they ask elsewhere is asked in the peer's name.
///
/// proves: R-FL-31, R-FL-75
#[test]
fn only_programs_on_this_machine_name_this_machine() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let (here, away) = (lab.host("here"), lab.host("away"));
    let neighbour = away.within(|| Asker::at(Ipv4Addr::UNSPECIFIED));
    let at_away = format!("{}:{}/j", away.ip(), neighbour.port());
    let mut peer = Program::listening(&here, ["--json", "-v", "peer", "--share", "share", "--neighbour", &at_away]);
    peer.event("ready");
    peer.event("linked");
    fs::write(here.path("share/here.txt"), b"hello").expect("written");
    let program = here.within(Asker::new);
    let says = |host: &Host, at: &str, text: &str| {
        let (at, text) = (at.to_owned(), text.to_owned());
        host.within(move || drop(say(&at, &[text.as_bytes()])));
    };
    let from_away = |text: &str| says(&away, &format!("{}:2427", here.ip()), text);
    let from_here = |text: &str| says(&here, "127.0.0.1:2427", text);

    let elsewhere = |event: &Value| event["error"].as_str().is_some_and(|error| error.contains("comes from elsewhere"));

    // As a holder.
    peer.tell("get gift.txt");
    let question = neighbour.told(SOON).expect("a question");
    assert!(question.starts_with("get gift.txt 2427 "), "{question}");
    from_away(&format!("found gift.txt at 3 127.0.0.1 {}", program.port()));
    peer.event_where("refused", SOON, elsewhere);
    peer.event("missed");
    assert_eq!(program.told(Duration::from_millis(500)), None);

    // As an asker.
    from_away(&program.question("here.txt", "2"));
    peer.event_where("refused", SOON, elsewhere);
    assert_eq!(program.told(Duration::from_millis(500)), None);
    from_here(&program.question("here.txt", "2"));
    assert_eq!(program.told(SOON), Some("found here.txt at 0 127.0.0.1 2427".to_owned()));

    // Who is found elsewhere is told here.
    from_here(&program.question("far.txt", "2"));
    let asked = format!("get far.txt 2427 {} ", here.ip());
    while !neighbour.told(SOON).expect("a question").starts_with(&asked) {}
    from_away(&format!("found far.txt at 3 {} 10801", away.ip()));
    assert_eq!(program.told(SOON), Some(format!("found far.txt at 0 {} 10801", away.ip())));

    // A holder on this machine.
    peer.tell("get own.txt");
    while !neighbour.told(SOON).expect("a question").starts_with("get own.txt ") {}
    let holder = format!("127.0.0.1:{}", program.port());
    from_here(&format!("found own.txt at 3 127.0.0.1 {}", program.port()));
    peer.event_where("hit", SOON, |hit| hit["peer"] == holder.as_str());
}
