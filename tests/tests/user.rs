//! `feige user` of the real program: accounts are made, changed, listed and removed, and no password is ever kept.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use feige_tests::or_skip;
use feige_tests::program::command;
use feige_tests::terminal::Terminal;
use serde_json::Value;
use tempfile::TempDir;

fn home() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Runs `feige user` with `--users users.toml` in this folder, without a terminal.
fn user(home: &TempDir, arguments: &[&str], password: Option<&str>) -> Output {
    let mut command = command(home, ["user"].iter().chain(arguments).chain(&["--users", "users.toml"]));
    command.stdin(Stdio::null()).envs(password.map(|password| ("FEIGE_PASSWORD", password)));
    command.output().expect("it starts")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", err(output));
    assert_eq!(err(output), "");
    out(output)
}

#[track_caller]
fn fails(output: &Output, code: i32, says: &str) {
    assert_eq!(output.status.code(), Some(code), "{}{}", out(output), err(output));
    assert!(err(output).contains(says), "{}", err(output));
    assert_eq!(out(output), "");
}

fn listed(home: &TempDir) -> Vec<Value> {
    let lines = done(&user(home, &["list", "--json"], None));
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text(home: &TempDir) -> String {
    fs::read_to_string(home.path().join("users.toml")).expect("there")
}

#[test]
fn the_life_of_an_account() {
    let home = home();
    assert_eq!(
        done(&user(&home, &["add", "alice", "--quota", "10GiB"], Some("geheim"))),
        "alice: added, quota 10.0 GiB\n"
    );
    fs::write(home.path().join("secret"), "correct horse\n").expect("written");
    assert_eq!(
        done(&user(&home, &["add", "Bob", "--password-file", "secret"], Some("not this"))),
        "bob: added, quota none\n"
    );
    let path = home.path().join("users.toml");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let made = text(&home);
    assert!(!made.contains("geheim") && !made.contains("horse") && !made.contains("not this"), "{made}");

    let expected: Value = serde_json::json!([
        {"event": "user", "user": "alice", "quota": 10_u64 << 30, "home": "alice", "disabled": false},
        {"event": "user", "user": "bob", "quota": null, "home": "bob", "disabled": false},
    ]);
    assert_eq!(Value::from(listed(&home)), expected);
    let lines = done(&user(&home, &["list"], None));
    assert_eq!(lines, "alice  quota   10.0 GiB  home alice\nbob    quota       none  home bob\n");

    // Another password, another salt; all else stays.
    assert_eq!(done(&user(&home, &["passwd", "alice"], Some("geheim"))), "alice: changed\n");
    let changed = text(&home);
    let differing = made.lines().zip(changed.lines()).filter(|(before, after)| before != after);
    let keys: Vec<_> = differing.map(|(_, after)| after.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(keys, ["salt", "stored_key", "server_key"]);

    assert_eq!(done(&user(&home, &["quota", "alice", "500MB"], None)), "alice: changed, quota 476.8 MiB\n");
    assert_eq!(listed(&home)[0]["quota"], 500_000_000);
    assert_eq!(done(&user(&home, &["quota", "alice", "none", "--quiet"], None)), "");
    assert_eq!(listed(&home)[0]["quota"], Value::Null);
    let json = done(&user(&home, &["quota", "alice", "7", "--json"], None));
    assert_eq!(json, "{\"event\":\"changed\",\"user\":\"alice\",\"quota\":7}\n");

    assert_eq!(done(&user(&home, &["remove", "alice"], None)), "alice: removed\n");
    assert_eq!(listed(&home).len(), 1);
    assert!(!text(&home).contains("alice"));
}

#[test]
fn what_is_wrong_is_said() {
    let home = home();
    for arguments in [&["list"][..], &["remove", "alice"], &["quota", "alice", "none"], &["passwd", "alice"]] {
        fails(&user(&home, arguments, Some("x")), 2, "`feige user add` makes one");
    }
    // Before anybody is asked for a password.
    let nowhere = command(&home, ["user", "add", "alice", "--users", "none/users.toml"]).output().expect("it starts");
    fails(&nowhere, 2, "there is no such folder: make it first");
    for (arguments, password, says) in [
        (&["add", "alice"][..], None, "--password-file FILE, FEIGE_PASSWORD, or a terminal"),
        (&["add", "alice"], Some(""), "cannot be empty"),
        (&["add", "alice"], Some("a\nb"), "control characters"),
        (&["add", "alice", "--password-file", "none"], None, "none"),
        (&["add", "../alice"], Some("x"), "a user's name has"),
        (&["add", "guest"], Some("x"), "who has no account"),
        (&["add", "alice", "--quota", "much"], Some("x"), "sizes look like"),
        (&["quota", "alice", "-1"], None, "-1"),
    ] {
        fails(&user(&home, arguments, password), 2, says);
    }
    assert!(!home.path().join("users.toml").exists(), "nothing was made");

    done(&user(&home, &["add", "alice"], Some("x")));
    let before = text(&home);
    fails(&user(&home, &["add", "ALICE"], Some("y")), 1, "there is a user `alice` already");
    for arguments in [&["remove", "bob"][..], &["quota", "bob", "none"], &["passwd", "bob"]] {
        fails(&user(&home, arguments, Some("x")), 1, "no user `bob` in users.toml");
    }
    assert_eq!(text(&home), before);
    fs::write(home.path().join("users.toml"), format!("{before}\npassword = 'x'\n")).expect("written");
    let line = before.lines().count() + 2;
    fails(&user(&home, &["list"], None), 2, &format!("users.toml:{line}: unknown field `password`"));
    let output = command(&home, ["user", "list"]).output().expect("it starts");
    fails(&output, 2, "--users FILE, or FEIGE_USERS");
}

#[test]
fn the_file_may_stand_in_the_environment_or_the_configuration() {
    let home = home();
    let output =
        command(&home, ["user", "add", "alice"]).env("FEIGE_USERS", "users.toml").env("FEIGE_PASSWORD", "x").output();
    done(&output.expect("it starts"));
    fs::write(home.path().join("feige.toml"), "[user]\nusers = 'users.toml'\n").expect("written");
    let output = command(&home, ["user", "list", "--config", "feige.toml"]).output().expect("it starts");
    assert!(done(&output).contains("alice"));
}

#[test]
fn changes_at_once_are_all_made() {
    let home = home();
    let names: Vec<_> = (0..8).map(|number| format!("user{number}")).collect();
    let start = |name: &String| {
        let mut command = command(&home, ["user", "add", name, "--users", "users.toml"]);
        command.env("FEIGE_PASSWORD", "x").stdout(Stdio::null()).spawn().expect("it starts")
    };
    let children: Vec<_> = names.iter().map(start).collect();
    for mut child in children {
        assert!(child.wait().expect("ends").success());
    }
    let listed: Vec<_> =
        listed(&home).iter().map(|line| line["user"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(listed, names);
}

#[test]
fn a_password_is_typed_unseen_and_twice() {
    let home = home();
    let terminal =
        |name: &str| or_skip(Terminal::start(&home, ["user", "add", name, "--users", "users.toml"], (80, 24)));
    let Some(screen) = terminal("alice") else { return };
    screen.shows(&["New password of alice:"]);
    screen.enter("geheim");
    screen.shows(&["The same again:"]);
    screen.enter("geheim");
    screen.shows(&["alice: added", "ended with 0", " echo "]);
    assert!(!screen.screen().contains("geheim"), "{}", screen.screen());

    let Some(screen) = terminal("bob") else { return };
    screen.shows(&["New password of bob:"]);
    screen.enter("geheim");
    screen.shows(&["The same again:"]);
    screen.enter("gehiem");
    screen.shows(&["two different passwords", "ended with 2", " echo "]);

    let Some(screen) = terminal("carol") else { return };
    screen.shows(&["New password of carol:"]);
    screen.press(&["C-c"]);
    screen.shows(&["interrupted", "ended with 130", " echo ", "\nisig icanon"]);
    assert_eq!(listed(&home).len(), 1);
}
