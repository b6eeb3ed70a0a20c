//! Feige and a real iptux 0.8.3, side by side in network namespaces: what each shows its user of the other.
//!
//! Not tried: a folder towards iptux, because that version crashes on receiving any.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;

use feige_tests::iptux::Iptux;
use feige_tests::lab::Host;
use feige_tests::or_skip;
use feige_tests::program::{Program, SOON, run};

const US: &str = "10.78.0.2";

/// Feige, listening and known to iptux.
fn listening(host: &Host, iptux: &mut Iptux) -> Program {
    let us = ["--json", "--user", "alice", "--nick", "爱丽丝", "--group", "研发部"];
    let mut feige = Program::start(host, us.iter().chain(&["listen", "--accept", "all", "--dir", "inbox"]));
    feige.event("ready");
    iptux.event_where("online", |event| event["ip"] == US);
    feige
}

/// Names and contents: plain, empty with a Chinese name, longer than any buffer.
fn files() -> [(&'static str, Vec<u8>); 3] {
    let large = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    [("notes.txt", b"one\ntwo\n".to_vec()), ("空.dat", Vec::new()), ("报告 第3版.bin", large)]
}

#[test]
fn members_see_each_other_come_and_go() {
    let Some(mut iptux) = or_skip(Iptux::start(&[])) else { return };
    let host = iptux.neighbour();
    let mut feige =
        Program::start(&host, ["--json", "--user", "alice", "--nick", "爱丽丝", "--group", "研发部", "listen"]);
    let theirs = feige.event_where("online", SOON, |event| event["addr"] == Iptux::ADDRESS.to_string());
    assert_eq!((&theirs["nick"], &theirs["group"]), (&"iptux nick".into(), &"iptux group".into()));
    let ours = iptux.event_where("online", |event| event["ip"] == US);
    assert_eq!((&ours["name"], &ours["group"], &ours["user"]), (&"爱丽丝".into(), &"研发部".into(), &"alice".into()));
    iptux.tell("list");
    let ours = iptux.event_where("pal", |event| event["ip"] == US);
    assert_eq!((&ours["name"], &ours["online"]), (&"爱丽丝".into(), &true.into()));

    feige.interrupt();
    assert_eq!(feige.end(SOON).code, Some(130));
    iptux.event_where("offline", |event| event["ip"] == US);

    // Once more, to see the other one go.
    let mut feige = listening(&host, &mut iptux);
    feige.event_where("online", SOON, |event| event["addr"] == Iptux::ADDRESS.to_string());
    iptux.tell(&format!("exitto {US}"));
    feige.event_where("offline", SOON, |event| event["addr"] == Iptux::ADDRESS.to_string());
}

#[test]
fn members_lists_iptux() {
    let Some(iptux) = or_skip(Iptux::start(&[])) else { return };
    let ended = run(&iptux.neighbour(), SOON, ["--json", "members"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.events.iter().any(|member| member["nick"] == "iptux nick"), "{}", ended.said);
}

#[test]
fn messages_arrive_and_are_acknowledged() {
    let Some(mut iptux) = or_skip(Iptux::start(&[])) else { return };
    let host = iptux.neighbour();
    let mut feige = listening(&host, &mut iptux);
    for text in ["hello: with colons :: and {braces}", "你好，世界 🕊", "第一行\\n第二行"] {
        iptux.tell(&format!("msg {US} {text}"));
        let message = feige.event("message");
        assert_eq!(message["text"], text.replace("\\n", "\n"));
        assert_eq!(message["from"]["nick"], "iptux nick");
        assert_eq!(message["sealed"], false);
        assert_eq!(iptux.event("msg_done")["acked"], true);
    }
    drop(feige);
    for text in ["hello: with colons :: and {braces}", "你好，世界", "第一行\n第二行"] {
        let ended = run(&host, SOON, ["send", "10.78.0.11", text]);
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert_eq!(iptux.event("message")["text"], text);
    }
}

#[test]
fn iptux_downloads_our_files() {
    let Some(mut iptux) = or_skip(Iptux::start(&[])) else { return };
    let host = iptux.neighbour();
    for (name, content) in files() {
        fs::write(host.path(name), &content).unwrap();
        let mut send = Program::start(&host, ["--json", "send", "10.78.0.11", "--file", name, "--wait", "30s"]);
        assert_eq!(send.event("served")["name"], name);
        let ended = send.end(SOON);
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        let finished = iptux.event("recv_finished");
        assert!(finished["path"].as_str().is_some_and(|path| path.ends_with(name)), "{finished}");
        assert!(fs::read(iptux.downloads().join(name)).unwrap() == content, "{name}");
    }
}

#[test]
fn we_download_its_files() {
    let Some(mut iptux) = or_skip(Iptux::start(&[])) else { return };
    let host = iptux.neighbour();
    let mut feige = listening(&host, &mut iptux);
    let outbox = tempfile::tempdir().unwrap();
    for (name, content) in files() {
        let path = outbox.path().join(name);
        fs::write(&path, &content).unwrap();
        iptux.tell(&format!("offer {US} {}", path.display()));
        let offer = feige.event("offer");
        assert_eq!(offer["files"][0]["name"], name);
        assert_eq!(offer["files"][0]["size"], content.len());
        assert_eq!(offer["files"][0]["kind"], "file");
        let done = feige.event("downloaded");
        assert_eq!((&done["name"], &done["size"]), (&name.into(), &content.len().into()));
        assert!(fs::read(host.path("inbox").join(name)).unwrap() == content, "{name}");
    }
}

#[test]
fn we_download_its_folder() {
    let Some(mut iptux) = or_skip(Iptux::start(&[])) else { return };
    let host = iptux.neighbour();
    let mut feige = listening(&host, &mut iptux);
    let outbox = tempfile::tempdir().unwrap();
    let root = outbox.path().join("项目");
    let tree: &[(&str, &[u8])] = &[
        ("README", b"read me"),
        ("空文件", b""),
        ("src/main.rs", b"fn main() {}\n"),
        ("src/深/更深/文件.txt", "内容".as_bytes()),
        ("docs/a.bin", &[0, 1, 2, 7, 10, 58, 255]),
    ];
    for (name, content) in tree {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::create_dir(root.join("empty")).unwrap();
    iptux.tell(&format!("offer {US} {}", root.display()));
    let offer = feige.event("offer");
    assert_eq!((&offer["files"][0]["name"], &offer["files"][0]["kind"]), (&"项目".into(), &"dir".into()));
    assert_eq!(feige.event("downloaded")["name"], "项目");
    let inbox = host.path("inbox").join("项目");
    for (name, content) in tree {
        assert_eq!(&fs::read(inbox.join(name)).unwrap(), content, "{name}");
    }
    assert!(inbox.join("empty").is_dir());
    assert_eq!(count(&inbox), tree.len() + ["empty", "src", "src/深", "src/深/更深", "docs"].len());
}

/// Files and folders below `folder`.
fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| 1 + if entry.path().is_dir() { count(&entry.path()) } else { 0 }).sum()
}
