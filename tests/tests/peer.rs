//! `feige peer`, `find` and `fetch` of the real program: a chain of five peers without a server.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::{SocketAddrV4, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use feige_core::digest::Digest;
use feige_tests::or_skip;
use feige_tests::program::{LATE, Program, SOON, command, run, started_by};
use feige_tests::pty::Pty;
use feige_tests::terminal::Terminal;
use feige_tests::transfer::octets;
use feige_tests::victim::{neighbour, neighbour_of_folder, tree};
use tempfile::TempDir;

/// A running peer, with a folder of its own.
struct Peer {
    home: TempDir,
    addr: String,
    program: Program,
}

impl Peer {
    /// Starts one, and waits until it is linked with its neighbour.
    fn start(neighbour: Option<&str>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut arguments = vec!["--json", "-v", "peer", "--listen", "127.0.0.1:0", "--share", "share"];
        arguments.extend(neighbour.iter().flat_map(|at| ["--neighbour", *at]));
        let mut program = Program::start(&home, arguments);
        let addr = program.event("ready")["addr"].as_str().expect("an address").to_owned();
        if let Some(at) = neighbour {
            program.event_where("linked", SOON, |event| event["peer"] == at);
        }
        Self { home, addr, program }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join("share").join(path)
    }
}

/// Five peers, each the neighbour of the next: the first is farthest from the last.
fn chain() -> Vec<Peer> {
    let mut peers = vec![Peer::start(None)];
    for _ in 1..5 {
        let at = peers.last().expect("one at least").addr.clone();
        peers.push(Peer::start(Some(&at)));
    }
    peers
}

#[test]
fn what_is_four_links_behind_the_first_peer_is_found_and_fetched() {
    let peers = chain();
    let (holder, asked) = (&peers[0], &peers[4]);
    let content = octets(300_000, 7);
    fs::write(holder.path("report-7.bin"), &content).expect("written");
    fs::create_dir_all(holder.path("photos/inner")).expect("made");
    fs::write(holder.path("photos/inner/one"), b"1").expect("written");

    let home = tempfile::tempdir().expect("a folder");
    let md5 = Digest::of(&content).to_string();
    for pattern in ["report", &format!("md5:{md5}")] {
        let found = run(&home, SOON, ["--json", "find", pattern, "--via", &asked.addr]);
        assert_eq!(found.code, Some(0), "{}", found.said);
        let hit = found.events.iter().find(|event| event["event"] == "hit").expect("a hit");
        assert_eq!(hit["name"], "report-7.bin");
        assert_eq!(hit["size"], 300_000);
        assert_eq!(hit["kind"], "file");
        assert_eq!(hit["peer"], holder.addr.as_str());
        assert_eq!(hit["speech"], "native");
    }
    for name in ["report-7.bin", "photos"] {
        let fetched = run(&home, SOON, ["--json", "fetch", name, "--via", &asked.addr]);
        assert_eq!(fetched.code, Some(0), "{}", fetched.said);
    }
    assert!(fs::read(home.path().join("report-7.bin")).expect("there") == content);
    assert_eq!(fs::read(home.path().join("photos/inner/one")).expect("there"), b"1");

    for command in ["find", "fetch"] {
        let missed = run(&home, SOON, ["--json", command, "nobody-has-this", "--via", &asked.addr]);
        assert_eq!(missed.code, Some(3), "{}", missed.said);
    }
    assert!(!home.path().join("nobody-has-this").exists());
}

#[test]
fn what_cannot_be_is_said_with_the_right_exit_code() {
    let peer = Peer::start(None);
    let home = tempfile::tempdir().expect("a folder");
    let taken = run(&home, SOON, ["peer", "--listen", &peer.addr, "--share", "share"]);
    assert_eq!(taken.code, Some(1), "{}", taken.said);
    let bad = run(&home, SOON, ["peer", "--neighbour", "nowhere"]);
    assert_eq!(bad.code, Some(2), "{}", bad.said);
    for (command, damaged) in [("find", "md5:"), ("find", "md5:zz"), ("fetch", "md5:0123456789abcdef")] {
        let bad = run(&home, SOON, [command, damaged, "--via", &peer.addr]);
        assert_eq!(bad.code, Some(2), "{}", bad.said);
        assert!(bad.said.contains("not an MD5: 32 hexadecimal digits"), "{}", bad.said);
    }
    // Nothing listens at port 1.
    let nobody = run(&home, SOON, ["find", "x", "--via", "127.0.0.1:1"]);
    assert_eq!(nobody.code, Some(3), "{}", nobody.said);
}

/// One holder is gone, one has something else under that name; the third has it. Of four that have not, three are tried.
///
/// proves: R-FL-60, R-FL-61, R-FL-62, R-FL-63, R-FL-64
#[test]
fn from_several_holders_it_comes_from_one_that_really_has_it() {
    let (liar, holder) = (Peer::start(None), Peer::start(None));
    let content = octets(200_000, 3);
    fs::write(holder.path("it.bin"), &content).expect("written");
    fs::write(liar.path("it.bin"), octets(200_000, 4)).expect("written");
    let at = |peer: &Peer| peer.addr.parse::<SocketAddrV4>().expect("an address");
    let nobody = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1);
    let via = neighbour(vec![nobody, at(&liar), at(&holder)], 200_000, Digest::of(&content));
    let home = tempfile::tempdir().expect("a folder");
    let fetched = run(&home, SOON, ["--json", "fetch", "it.bin", "--via", &via]);
    assert_eq!(fetched.code, Some(0), "{}", fetched.said);
    assert!(fs::read(home.path().join("it.bin")).expect("there") == content);
    // What is there is not replaced.
    let again = run(&home, SOON, ["fetch", "it.bin", "--via", &via]);
    assert_eq!(again.code, Some(1), "{}", again.said);
    assert!(fs::read(home.path().join("it.bin")).expect("there") == content);

    let none = vec![at(&liar), nobody, SocketAddrV4::new(*nobody.ip(), 2), at(&holder)];
    let via = neighbour(none, 200_000, Digest::of(&content));
    let empty = tempfile::tempdir().expect("a folder");
    fs::create_dir(empty.path().join("into")).expect("made");
    let missed = run(&empty, SOON, ["--json", "fetch", "it.bin", "--via", &via, "-o", "into"]);
    assert!(matches!(missed.code, Some(1 | 3 | 5)), "{:?} {}", missed.code, missed.said);
    assert_eq!(fs::read_dir(empty.path().join("into")).expect("there").count(), 0, "{}", missed.said);
}

/// A folder has its name when all of it is there, and then nothing is added to it.
///
/// proves: R-FL-62, R-FL-64, R-FL-65
#[test]
fn a_folder_comes_whole_or_from_the_next_holder() {
    let (partial, whole) = (Peer::start(None), Peer::start(None));
    for peer in [&partial, &whole] {
        fs::create_dir(peer.path("docs")).expect("made");
        fs::write(peer.path("docs/a"), b"a").expect("written");
    }
    fs::write(whole.path("docs/b"), b"b").expect("written");
    // So deep that nobody can ask for it (R-VT-20).
    let deep = format!("docs/{}", ["d"; 31].join("/"));
    fs::create_dir_all(partial.path(&deep)).expect("made");
    fs::write(partial.path(&deep).join("b"), b"b").expect("written");
    let at = |peer: &Peer| peer.addr.parse::<SocketAddrV4>().expect("an address");
    let home = tempfile::tempdir().expect("a folder");
    let fetch = |peers: &[&Peer], to: &str| {
        let via = neighbour_of_folder(peers.iter().map(|peer| at(peer)).collect());
        run(&home, LATE, ["--json", "fetch", "docs", "--via", &via, "-o", to])
    };
    let missed = fetch(&[&partial], "docs");
    assert_eq!(missed.code, Some(1), "{}", missed.said);
    assert!(!home.path().join("docs").exists(), "{}", missed.said);
    let fetched = fetch(&[&partial, &whole], "docs");
    assert_eq!(fetched.code, Some(0), "{}", fetched.said);
    assert_eq!(tree(home.path()), ["docs", "docs/a", "docs/b"], "{}", fetched.said);
    // It is here now, and nobody needs to be asked for it.
    fs::remove_file(home.path().join("docs/a")).expect("there");
    let again = fetch(&[&whole], ".");
    assert_eq!(again.code, Some(1), "{}", again.said);
    assert!(again.said.contains("docs is here already"), "{}", again.said);
    assert_eq!(tree(home.path()), ["docs", "docs/b"], "{}", again.said);
}

/// What cannot be asked for keeps nothing else from coming, at the first attempt and after one that broke off.
///
/// proves: R-FL-65
#[test]
fn a_folder_comes_without_what_has_a_name_that_cannot_be_used() {
    use std::os::unix::ffi::OsStrExt;
    let holder = Peer::start(None);
    fs::create_dir_all(holder.path("photos/in:ner")).expect("made");
    fs::write(holder.path("photos/a.txt"), b"a").expect("written");
    fs::write(holder.path("photos/12:30.txt"), b"b").expect("written");
    fs::write(holder.path("photos/in:ner/c.txt"), b"c").expect("written");
    fs::write(holder.path("photos").join(std::ffi::OsStr::from_bytes(b"\xff.txt")), b"d").expect("written");
    let home = tempfile::tempdir().expect("a folder");
    for to in [".", "backup"] {
        let fetched = run(&home, LATE, ["fetch", "photos", "--via", &holder.addr, "-o", to]);
        assert_eq!(fetched.code, Some(1), "{}", fetched.said);
        for told in
            ["photos/12:30.txt: the name cannot be used; rename it there", "3 failed", "photos is here, but for"]
        {
            assert!(fetched.said.contains(told), "{}", fetched.said);
        }
    }
    let here = ["backup", "backup/a.txt", "photos", "photos/a.txt"];
    assert_eq!(tree(home.path()), here, "nothing is left over");
}

/// proves: R-FL-65, R-FL-66
#[test]
fn what_is_larger_than_the_limit_does_not_come() {
    let holder = Peer::start(None);
    fs::create_dir_all(holder.path("many")).expect("made");
    for file in 0..20 {
        fs::write(holder.path(&format!("many/{file}.bin")), octets(10_000, file)).expect("written");
    }
    let home = tempfile::tempdir().expect("a folder");
    let arguments = ["--json", "fetch", "many", "--via", &holder.addr, "--max-size", "100kB"];
    let refused = run(&home, SOON, arguments);
    assert_eq!(refused.code, Some(6), "{}", refused.said);
    assert!(!home.path().join("many").exists());
    // A holder that says that it is small.
    let at = holder.addr.parse().expect("an address");
    let via = neighbour(vec![at], 5, Digest::of(&octets(10_000, 7)));
    fs::write(holder.path("7.bin"), octets(10_000, 7)).expect("written");
    let refused = run(&home, SOON, ["--json", "fetch", "7.bin", "--via", &via, "--max-size", "9kB"]);
    assert_eq!(refused.code, Some(6), "{}", refused.said);
    assert!(!home.path().join("7.bin").exists());
}

/// proves: R-FL-13
#[test]
fn a_neighbour_that_comes_back_is_linked_again() {
    let mut neighbour = Peer::start(None);
    let at = neighbour.addr.clone();
    let home = tempfile::tempdir().expect("a folder");
    let arguments = ["--json", "peer", "--listen", "127.0.0.1:0", "--share", "s", "--neighbour", &at];
    let mut peer = Program::start(&home, arguments);
    peer.event_where("linked", SOON, |event| event["peer"] == at.as_str());
    neighbour.program.kill();
    peer.event_where("unlinked", SOON, |event| event["peer"] == at.as_str());
    let _again = Program::start(&neighbour.home, ["--json", "peer", "--listen", &at, "--share", "share"]);
    peer.event_where("linked", SOON, |event| event["peer"] == at.as_str());
}

/// At the prompt, with each form of file; what is changed counts at once, and the rest of the file stays.
#[test]
fn settings_are_changed_at_the_prompt_and_kept() {
    let holder = Peer::start(None);
    fs::write(holder.path("song.ogg"), octets(50_000, 5)).expect("written");
    let port = holder.addr.rsplit(':').next().expect("a port");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let classic = format!(
        "; ours\n[Peer-0]\nID = 7\nip_addr = 127.0.0.1\nport_number = {free}\nshare_dir = here\nttl = 3\n\
         [Netpeers]\npeer_ID = []\npeer_addr = []\npeer_ports = []\n"
    );
    let forms = [
        ("peer.toml", "# ours\nlisten = \"127.0.0.1:0\"\nshare = \"here\"   # mine\n".to_owned(), "# mine"),
        ("peer.ini", classic, "; ours"),
    ];
    for (file, text, comment) in forms {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join(file), text).expect("written");
        let started = Terminal::start(&home, ["peer", "--config", file], (120, 40));
        let Some(terminal) = or_skip(started) else { return };
        terminal.shows(&["peer at 127.0.0.1:", "feige>"]);
        if file == "peer.toml" {
            terminal.enter(&format!("modify neighbour {}", holder.addr));
            terminal.shows(&["linked"]);
            terminal.enter("get song.ogg");
            terminal.shows(&["downloaded song.ogg"]);
            terminal.enter("get song.ogg");
            terminal.shows(&["in the share already"]);
        }
        terminal.enter("modify ttl 2");
        terminal.shows(&["ttl is 2 now"]);
        terminal.enter("modify share there");
        terminal.shows(&["share is there now"]);
        terminal.enter("modify ttl far");
        terminal.shows(&["ttl cannot be \"far\""]);
        terminal.enter("modify ttl 0");
        terminal.shows(&["ttl cannot be"]);
        terminal.enter("find nobody-has-this");
        terminal.shows(&["nobody within 2 links has"]);
        terminal.enter("config");
        terminal.shows(&["ttl              2", "there", "network          none"]);
        let kept = fs::read_to_string(home.path().join(file)).expect("there");
        assert!(kept.contains(comment) && kept.contains("there") && !kept.contains("far"), "{kept}");
        assert_eq!(kept.contains(port), file == "peer.toml", "{kept}");
        terminal.enter("exit");
    }
}

#[test]
fn settings_that_make_no_sense_end_with_2() {
    let home = tempfile::tempdir().expect("a folder");
    for (file, text) in [
        ("a.toml", "ttl = 99\n"),
        ("b.toml", "neighbour = [\"nowhere\"]\n"),
        ("c.ini", "[Peer-1]\nip_addr = 127.0.0.1\n"),
        ("d.toml", "listen = \n"),
    ] {
        fs::write(home.path().join(file), text).expect("written");
        let ended = run(&home, SOON, ["peer", "--config", file]);
        assert_eq!(ended.code, Some(2), "{file}: {}", ended.said);
        assert!(ended.said.contains(file), "{}", ended.said);
    }
}

#[test]
fn a_prompt_that_is_ended_gives_the_terminal_back() {
    let home = tempfile::tempdir().expect("a folder");
    let line = command(&home, ["peer", "--listen", "127.0.0.1:0", "--share", "share"]);
    let mut terminal = Pty::start(&line, (80, 24));
    terminal.shows("feige> ");
    assert!(!terminal.is_sane());
    terminal.signal(rustix::process::Signal::TERM);
    assert_eq!(terminal.ends(SOON).code(), Some(143));
    assert!(terminal.is_sane());
}

#[test]
fn who_waits_for_ever_can_be_ended() {
    let peer = Peer::start(None);
    fs::write(peer.path("it"), b"1").expect("written");
    let home = tempfile::tempdir().expect("a folder");
    let line = ["--json", "find", "it", "--via", &peer.addr, "--wait", "18446744073709551615s"];
    let mut find = Program::start(&home, line);
    find.event("hit");
    find.interrupt();
    let ended = find.end(SOON);
    assert_eq!(ended.code, Some(130), "{}", ended.said);
}

#[test]
fn a_program_at_the_prompt_reads_nothing_but_objects() {
    let home = tempfile::tempdir().expect("a folder");
    let line = ["--json", "peer", "--listen", "127.0.0.1:0", "--share", "share"];
    let mut peer = Program::listening(&home, line);
    peer.event("ready");
    fs::write(home.path().join("share/here"), b"1").expect("written");
    for line in ["help", "config", "modify ttl 3", "find nobody-has-this", "get nobody-has-this", "get here"] {
        peer.tell(line);
    }
    let here = peer.event("here");
    assert_eq!(here["path"], "here");
    let mut events = peer.events();
    assert!(events.iter().all(serde_json::Value::is_object), "{}", peer.said());
    events.retain(|event| event["event"] != "over");
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(names, ["config", "modified", "missed", "missed"], "{}", peer.said());
    assert_eq!(events[0]["share"], "share");
    assert_eq!(events[0]["links"], serde_json::json!([]));
    assert!(peer.said().contains("! modify KEY VALUE"), "{}", peer.said());
}

#[test]
fn a_line_that_is_not_text_is_refused_and_the_next_is_obeyed() {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("typed"), b"modify ttl 3\xff\nmodify ttl 4\n").expect("written");
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"exec "$0" "$@" < typed"#]);
    let peer = command(&home, ["--json", "peer", "--listen", "127.0.0.1:0", "--share", "share"]);
    let mut peer = Program::spawn(started_by(shell, &peer));
    let trouble = peer.event("trouble");
    assert!(trouble["error"].as_str().expect("a text").contains("not UTF-8"), "{trouble}");
    assert_eq!(peer.event("modified")["value"], "4");
}

/// Who shares it is told, once, of what nobody could ask for; nobody is told that it is there.
///
/// proves: R-FL-33
#[test]
fn what_has_a_name_that_cannot_be_used_is_told_to_who_shares_it() {
    use std::os::unix::ffi::OsStrExt;
    let home = tempfile::tempdir().expect("a folder");
    let share = home.path().join("share");
    let deep = ["d".repeat(200), "e".repeat(100)].join("/");
    fs::create_dir_all(share.join(&deep)).expect("made");
    fs::write(share.join(&deep).join("f"), b"1").expect("written");
    fs::write(share.join("a:b.txt"), b"1").expect("written");
    fs::write(share.join(std::ffi::OsStr::from_bytes(b"b\xff.txt")), b"1").expect("written");
    let mut peer = Program::start(&home, ["--json", "-v", "peer", "--listen", "127.0.0.1:0", "--share", "share"]);
    let addr = peer.event("ready")["addr"].as_str().expect("an address").to_owned();
    for (path, why) in [("a:b.txt", "rename it"), ("b\u{fffd}.txt", "not UTF-8"), (&*deep, "longer than 236 octets")] {
        let told = peer.event("unshared");
        assert_eq!(told["path"], path);
        assert!(told["error"].as_str().expect("a text").contains(why), "{told}");
    }
    for pattern in ["b.txt", "eeee"] {
        let missed = run(&home, SOON, ["find", pattern, "--via", &addr]);
        assert_eq!(missed.code, Some(3), "{}", missed.said);
    }
    // There are a thousand more, of which a few are named.
    for file in 0..1000 {
        fs::write(share.join(format!("a:{file:03}")), b"1").expect("written");
    }
    let more = peer.event_where("unshared_more", SOON, |more| more["count"] == 998);
    assert!(more["path"].is_null());
    assert!(!peer.said().contains("malformed"), "{}", peer.said());
    let named = peer.events().iter().filter(|event| event["event"] == "unshared").count();
    assert!(named <= 30, "{}", peer.said());
}

/// What the README says of links in a share.
#[test]
fn a_link_leads_to_what_is_in_the_share_and_to_nothing_else() {
    use std::os::unix::fs::symlink;
    let peer = Peer::start(None);
    fs::write(peer.path("it.txt"), b"inside").expect("written");
    fs::write(peer.home.path().join("secret.txt"), b"outside").expect("written");
    symlink("it.txt", peer.path("within")).expect("made");
    symlink("../secret.txt", peer.path("up")).expect("made");
    symlink(peer.home.path().join("secret.txt"), peer.path("away")).expect("made");
    symlink("..", peer.path("above")).expect("made");
    let home = tempfile::tempdir().expect("a folder");
    let cat = |path: &str| run(&home, SOON, ["cat", &format!("feige://{}/{path}", peer.addr)]);
    let within = cat("within");
    assert_eq!((within.code, within.said.trim()), (Some(0), "inside"));
    for path in ["up", "away", "above/secret.txt"] {
        let refused = cat(path);
        assert!(refused.code != Some(0) && !refused.said.contains("outside"), "{path}: {}", refused.said);
    }
    let found = run(&home, SOON, ["--json", "find", "within", "--via", &peer.addr]);
    assert_eq!(found.code, Some(3), "{}", found.said);
}
