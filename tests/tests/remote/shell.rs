//! `feige shell`: commands from a script and from a person.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use feige_tests::or_skip;
use feige_tests::program::{Program, SOON};
use feige_tests::terminal::Terminal;

use super::site::{Ran, Site, tree, write};

fn shell(site: &Site, lines: &str) -> Ran {
    let url = site.url("");
    let mut child = site
        .command(["shell", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("read");
    Ran::of(&child.wait_with_output().expect("ends"))
}

#[test]
fn the_shell_obeys_a_script_until_something_fails() {
    let site = Site::open();
    write(&site.here("my file"), b"mine\n");
    let ran = shell(
        &site,
        "mkdir -p in/box\ncd in\nput 'my file' -o box/\ncd box\npwd\nls\ncat my\\ file\nsum 'my file'\nmv 'my file' ../f\n\
         get ../f -o got\ncd ..\nrmdir box\nrm f\ncd /\nls in\nexit\nls nowhere\n",
    );
    ran.ends(0);
    assert!(ran.out.contains("/in/box\nmy file\nmine\n"), "{ran:?}");
    assert_eq!(fs::read(site.here("got")).ok().as_deref(), Some(&b"mine\n"[..]));
    assert_eq!(tree(&site.there("")), BTreeMap::from([(PathBuf::from("in"), None)]));
    let ran = shell(&site, "cd nowhere\nmkdir never\n");
    ran.ends(1).says("nowhere");
    shell(&site, "dance\nmkdir never\n").ends(2);
    shell(&site, "cd 'in\nmkdir never\n").ends(2);
    assert!(!site.there("never").exists());
}

#[test]
fn the_shell_ends_when_told_to_although_it_waits_for_a_line() {
    let site = Site::open();
    let started = || {
        let mut shell = Program::listening(&site.home, ["--json", "shell", &site.url("")]);
        shell.tell("df");
        shell.event("space");
        // Until it reads the next line.
        std::thread::sleep(Duration::from_millis(100));
        shell
    };
    started().terminate();
    let shell = started();
    shell.interrupt();
    assert_eq!(shell.end(SOON).code, Some(130));
}

#[test]
fn the_shell_has_a_prompt_completion_and_history() {
    let mut site = Site::open();
    write(&site.there("photos/summer 2026/sea.txt"), b"blue\n");
    let url = site.url("");
    let Some(terminal) = or_skip(Terminal::start(&site.home, ["shell", &url], (100, 30))) else { return };
    terminal.shows(&["feige:/>"]);
    terminal.press(&["c", "d", "Space", "p", "h", "Tab", "s", "u", "Tab", "Enter"]);
    terminal.shows(&["feige:/photos/summer 2026>"]);
    terminal.press(&["c", "a", "t", "Space", "s", "e", "Tab", "Enter"]);
    terminal.shows(&["blue"]);
    // Where a file leaves a line open, the prompt does not take its place.
    write(&site.there("photos/summer 2026/open"), b"first\nlast");
    terminal.enter("cat open");
    terminal.shows(&["first", "last", "feige:/photos/summer 2026>"]);
    terminal.enter("get nothing");
    terminal.shows(&["no such file"]);
    // The connection is made again.
    site.restart();
    terminal.enter("pwd");
    terminal.enter("ls ..");
    terminal.shows(&["summer 2026/"]);
    terminal.press(&["C-c"]);
    terminal.enter("df");
    terminal.shows(&["used"]);
    terminal.enter("exit");
    terminal.shows(&["ended with 0"]);
    drop(terminal);
    let Some(terminal) = or_skip(Terminal::start(&site.home, ["shell", &url], (100, 30))) else { return };
    terminal.shows(&["feige:/>"]);
    terminal.press(&["Up", "Up", "Enter"]);
    terminal.shows(&["used"]);
}
