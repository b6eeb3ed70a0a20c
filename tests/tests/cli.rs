//! The command line of the real program, on loopback: what is printed, and how it ends.
//!
//! Each test has addresses and a port of its own, so that they can run beside each other.
#![cfg(target_os = "linux")]

use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use feige_tests::program::{Program, command, started_by};
use feige_tests::pty::Pty;
use serde_json::Value;
use tempfile::TempDir;

fn home() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Runs a command to its end, which must come soon.
fn run(home: &TempDir, arguments: &[&str]) -> Output {
    ends(command(home, arguments))
}

fn ends(mut command: Command) -> Output {
    let begin = Instant::now();
    let output = command.stdin(std::process::Stdio::null()).output().expect("it starts");
    assert!(begin.elapsed() < Duration::from_secs(30), "{command:?} took {:?}", begin.elapsed());
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A port of the test's own, below those that the system gives away, and another one in each run: several can go on
/// at a time on one machine.
fn port(test: u8) -> u16 {
    let run = u16::try_from(std::process::id() % 600).expect("small");
    20_000 + run * 20 + u16::from(test)
}

/// The options that keep an instance on loopback, on a port of its own: nobody else hears its broadcasts.
fn at(address: &str) -> [String; 6] {
    let address: Ipv4Addr = address.parse().expect("an address");
    let port = port(address.octets()[2]);
    let options = ["--bind", &address.to_string(), "--broadcast", "127.255.255.255", "--port", &port.to_string()];
    options.map(str::to_owned)
}

fn with<'a>(first: &[&'a str], network: &'a [String], rest: &[&'a str]) -> Vec<&'a str> {
    first.iter().copied().chain(network.iter().map(String::as_str)).chain(rest.iter().copied()).collect()
}

fn listen<'a>(home: &TempDir, network: &'a [String], rest: &[&'a str]) -> Program {
    let mut program = Program::start(home, with(&["--json", "listen"], network, rest));
    let ready = program.event("ready");
    assert_eq!(ready["addr"], network[1]);
    assert_eq!(ready["port"].to_string(), network[5]);
    program
}

#[test]
fn decode_explains_in_lines_and_in_json() {
    let home = home();
    let hex = "313a313a613a623a3239353a6869003a";
    let text = run(&home, &["decode", hex]);
    assert_eq!(code(&text), 0, "{}", err(&text));
    assert!(out(&text).contains("packet     1\n"), "{}", out(&text));
    let json = run(&home, &["--json", "decode", "313a37393a616c6963653a50433a3238383ae4bda0e5a5bd00"]);
    let json: Value = serde_json::from_str(&out(&json)).expect("one object");
    assert_eq!(json["packet"], 79);
    assert_eq!(json["command"], "SENDMSG (0x20)");
    assert_eq!(json["options"][0], "SENDCHECK");
    assert_eq!(json["text"], "你好");
}

#[test]
fn usage_errors_say_what_to_do_and_end_with_2() {
    let home = home();
    std::fs::write(home.path().join("bad.toml"), "port = 'many'").expect("a file");
    std::fs::write(home.path().join("worse.toml"), "quiet = true\nnick = [1").expect("a file");
    for (arguments, says) in [
        (&[][..], "Usage"),
        (&["listen", "--port", "x"], "--port"),
        (&["listen", "--for", "10"], "10s, 500ms or 2m"),
        (&["listen", "--dir", "bad.toml/there"], "bad.toml/there"),
        (&["decode", "nonsense"], "neither hexadecimal nor a file"),
        (&["--config", "bad.toml", "members"], "bad.toml"),
        (&["--config", "none.toml", "members"], "none.toml"),
        (&["--config", "worse.toml", "members"], "feige: worse.toml:2: unclosed array"),
        (&["serve", "new\nline", "--guest", "read"], "new\\u{a}line"),
        (&["send", "127.0.0.1", "--file", "none.txt", "--bind", "127.1.1.9"], "none.txt"),
        (&["send", "127.0.0.1", "", "--bind", "127.1.1.9"], "nothing to send"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = run(&home, arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(says), "{arguments:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{arguments:?}");
    }
}

#[test]
fn nobody_there_is_3() {
    let home = home();
    let network = at("127.1.2.1");
    let begin = Instant::now();
    let output = run(&home, &with(&["send"], &network, &["127.1.2.9", "hello"]));
    assert_eq!(code(&output), 3);
    // Five copies, a second apart.
    assert!((4..9).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    let impatient = run(&home, &with(&["--json", "send"], &network, &["127.1.2.9", "hello", "--wait", "300ms"]));
    assert_eq!(code(&impatient), 3);
    assert!(out(&impatient).contains(r#""event":"failed""#), "{}", out(&impatient));
    assert!(out(&impatient).contains("no answer"), "{}", out(&impatient));
    let unknown = run(&home, &with(&["send"], &network, &["stranger", "hello"]));
    assert_eq!(code(&unknown), 3);
    assert!(err(&unknown).contains("stranger"), "{}", err(&unknown));
    assert_eq!(code(&run(&home, &with(&["members"], &network, &["--wait", "200ms"]))), 3);
    for needs_one in [&["away"][..], &["back"], &["offers"], &["get-offer", "1"]] {
        let output = run(&home, &with(needs_one, &network, &[]));
        assert_eq!(code(&output), 1, "{needs_one:?}");
        assert!(err(&output).contains("feige listen"), "{}", err(&output));
    }
}

#[test]
fn messages_arrive_by_address_by_name_and_for_all() {
    let homes = [home(), home(), home()];
    let networks = [at("127.1.3.1"), at("127.1.3.2"), at("127.1.3.3")];
    let mut alice = listen(&homes[0], &networks[0], &["--nick", "Alice", "--user", "alice", "--group", "Dev"]);
    let mut bob = listen(&homes[1], &networks[1], &["--nick", "鲍勃", "--user", "bob", "--hostname", "pc2"]);
    let seen = alice.event_where("online", Duration::from_secs(10), |event| event["user"] == "bob");
    assert_eq!(seen["nick"], "鲍勃");
    assert_eq!(seen["hostname"], "pc2");
    assert_eq!(seen["addr"], format!("127.1.3.2:{}", port(3)));

    let sender = ["--user", "carl", "--nick", "Carl"];
    let send = |arguments: &[&str]| {
        let mut line = with(&["--json", "send"], &networks[2], &sender);
        line.extend(arguments);
        let output = run(&homes[2], &line);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", err(&output));
        assert!(out(&output).contains("\"event\":\"delivered\""), "{}", out(&output));
    };
    send(&["127.1.3.1", "by address: 你好"]);
    let message = alice.event("message");
    assert_eq!(message["text"], "by address: 你好");
    assert_eq!(message["from"]["nick"], "Carl");
    assert_eq!(message["sealed"], false);
    assert!(message["packet"].as_u64().is_some_and(|packet| packet > 1_700_000_000));
    for name in ["鲍勃", "BOB", "pc2", "bob@pc2"] {
        send(&[name, name]);
        assert_eq!(bob.event("message")["text"], name);
    }
    send(&["all", "to everybody"]);
    assert_eq!(alice.event("message")["text"], "to everybody");
    assert_eq!(bob.event("message")["text"], "to everybody");
    send(&["--sealed", "127.1.3.1", "secret"]);
    let sealed = alice.event("message");
    assert_eq!((&sealed["text"], &sealed["sealed"]), (&"secret".into(), &true.into()));

    let members = run(&homes[2], &with(&["--json", "members"], &networks[2], &["--wait", "2s"]));
    let mut nicks: Vec<String> = out(&members)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["nick"].as_str().expect("a nick").to_owned())
        .collect();
    nicks.sort();
    assert_eq!(nicks, ["Alice", "鲍勃"]);
}

#[test]
fn a_name_of_two_is_refused() {
    let homes = [home(), home(), home()];
    let networks = [at("127.1.4.1"), at("127.1.4.2"), at("127.1.4.3")];
    let _one = listen(&homes[0], &networks[0], &["--nick", "Sam", "--user", "sam", "--hostname", "one"]);
    let _two = listen(&homes[1], &networks[1], &["--nick", "Sam", "--user", "sam", "--hostname", "two"]);
    let output = run(&homes[2], &with(&["send"], &networks[2], &["sam", "which?"]));
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("sam@one") && err(&output).contains("sam@two"), "{}", err(&output));
}

#[test]
fn another_terminal_works_through_the_running_instance() {
    let homes = [home(), home()];
    let networks = [at("127.1.5.1"), at("127.1.5.2")];
    let mut alice = listen(&homes[0], &networks[0], &["--nick", "Alice", "--user", "alice"]);
    let mut bob = listen(&homes[1], &networks[1], &["--nick", "Bob", "--user", "bob"]);
    bob.event("online");

    let sent = run(&homes[0], &with(&["--json", "send"], &networks[0], &["127.1.5.2", "from the other terminal"]));
    assert_eq!(code(&sent), 0, "{}", err(&sent));
    assert!(out(&sent).contains("\"event\":\"delivered\""));
    let message = bob.event("message");
    assert_eq!(message["from"]["nick"], "Alice", "the running instance sent it");
    assert_eq!(message["from"]["addr"], format!("127.1.5.1:{}", port(5)));

    assert_eq!(code(&run(&homes[0], &with(&["away"], &networks[0], &["at lunch"]))), 0);
    let away = bob.event("absence");
    assert_eq!(away["away"], true);
    let asked = run(&homes[1], &with(&["send"], &networks[1], &["127.1.5.1", "are you there?"]));
    assert_eq!(code(&asked), 0);
    assert_eq!(alice.event("message")["text"], "are you there?");
    let answer = bob.event_where("message", Duration::from_secs(10), |event| event["auto"] == true);
    assert_eq!(answer["text"], "at lunch");
    assert_eq!(code(&run(&homes[0], &with(&["back"], &networks[0], &[]))), 0);
    assert_eq!(bob.event("absence")["away"], false);

    // Without the instance's account the port is only taken: the run uses another one and still works.
    let stranger = home();
    let output = run(&stranger, &with(&["send"], &networks[0], &["127.1.5.2", "from a free port"]));
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(bob.event("message")["text"], "from a free port");
    let second = run(&stranger, &with(&["listen"], &networks[0], &[]));
    assert_eq!(code(&second), 1);
    assert!(err(&second).contains("taken"), "{}", err(&second));
}

#[test]
fn offers_are_listed_fetched_and_refused() {
    let homes = [home(), home()];
    let networks = [at("127.1.6.1"), at("127.1.6.2")];
    std::fs::create_dir(homes[0].path().join("inbox")).expect("a folder");
    let mut alice = listen(&homes[0], &networks[0], &["--accept", "ask", "--dir", "inbox"]);
    std::fs::write(homes[1].path().join("报告.txt"), "contents").expect("a file");
    let mut sender = Program::start(
        &homes[1],
        with(&["--json", "send"], &networks[1], &["127.1.6.1", "--file", "报告.txt", "--wait", "20s"]),
    );
    let offer = alice.event("offer");
    assert_eq!(offer["files"][0]["name"], "报告.txt");
    assert_eq!(offer["files"][0]["size"], 8);
    assert_eq!(offer["files"][0]["kind"], "file");
    let index = offer["files"][0]["index"].to_string();
    let listed = run(&homes[0], &with(&["--json", "offers"], &networks[0], &[]));
    assert!(out(&listed).contains("报告.txt"), "{}", out(&listed));
    assert_eq!(code(&run(&homes[0], &with(&["get-offer"], &networks[0], &["999"]))), 2);
    let got = run(&homes[0], &with(&["--json", "get-offer"], &networks[0], &[&index]));
    assert_eq!(code(&got), 0, "{}", err(&got));
    let downloaded = alice.event("downloaded");
    assert_eq!(downloaded["md5"], "98bf7d8c15784f0a3d63204441e1e2aa");
    assert_eq!(std::fs::read_to_string(homes[0].path().join("inbox/报告.txt")).expect("the file"), "contents");
    assert_eq!(sender.event("served")["size"], 8);
    assert_eq!(sender.end(Duration::from_secs(10)).code, Some(0));
    drop(alice);

    let _declines = listen(&homes[0], &networks[0], &["--accept", "none"]);
    let refused = run(&homes[1], &with(&["send"], &networks[1], &["127.1.6.1", "--file", "报告.txt", "--wait", "20s"]));
    assert_eq!(code(&refused), 4, "{}", err(&refused));
}

#[test]
fn files_that_nobody_fetches_run_out_of_time() {
    let homes = [home(), home()];
    let networks = [at("127.1.7.1"), at("127.1.7.2")];
    let _alice = listen(&homes[0], &networks[0], &["--accept", "ask"]);
    std::fs::write(homes[1].path().join("a.txt"), "a").expect("a file");
    let send = ["127.1.7.1", "--file", "a.txt", "--wait", "1500ms"];
    let output = run(&homes[1], &with(&["--json", "send"], &networks[1], &send));
    assert_eq!(code(&output), 3, "{}", err(&output));
    let late = out(&output).lines().filter(|line| line.contains("they were not fetched in time")).count();
    assert_eq!(late, 1, "{}", out(&output));
}

#[test]
fn listening_ends_when_told_so() {
    let homes = [home(), home()];
    let networks = [at("127.1.8.1"), at("127.1.8.2")];
    let timed = run(&homes[0], &with(&["listen"], &networks[0], &["--for", "500ms"]));
    assert_eq!(code(&timed), 0);
    assert_eq!(out(&timed), format!("ready on 127.1.8.1 port {}\n", port(8)));

    let mut once = listen(&homes[0], &networks[0], &["--once", "--for", "20s"]);
    let sent = run(&homes[1], &with(&["send"], &networks[1], &["127.1.8.1", "one"]));
    assert_eq!(code(&sent), 0, "{}{}\n{}", out(&sent), err(&sent), once.said());
    assert_eq!(once.event("message")["text"], "one");
    assert_eq!(once.end(Duration::from_secs(5)).code, Some(0));

    for (signal, expected) in [("INT", 130), ("TERM", 143)] {
        let watcher_home = home();
        let mut watcher = listen(&watcher_home, &networks[1], &[]);
        let interrupted = listen(&homes[0], &networks[0], &["--user", "gone"]);
        watcher.event_where("online", Duration::from_secs(10), |event| event["user"] == "gone");
        let kill = Command::new("kill").args([format!("-{signal}"), interrupted.pid().to_string()]).status();
        assert!(kill.expect("kill runs").success());
        assert_eq!(interrupted.end(Duration::from_secs(5)).code, Some(expected));
        watcher.event_where("offline", Duration::from_secs(5), |event| event["user"] == "gone");
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let homes = [home(), home()];
    let networks = [at("127.1.9.1"), at("127.1.9.2")];
    let config = homes[0].path().join("config/feige");
    std::fs::create_dir_all(&config).expect("a folder");
    std::fs::write(
        config.join("config.toml"),
        "user = 'of-file'\nnick = 'of file'\ngroup = 'of file'\njson = true\n[listen]\nfor = '20s'\n",
    )
    .expect("a file");
    let mut watcher = listen(&homes[1], &networks[1], &["--user", "watcher"]);
    let mut line = command(&homes[0], with(&["listen"], &networks[0], &["--nick", "of flag"]));
    line.env("FEIGE_NICK", "of environment").env("FEIGE_GROUP", "of environment");
    let mut layered = Program::spawn(line);
    layered.event("ready");
    let seen = watcher.event_where("online", Duration::from_secs(10), |event| event["user"] == "of-file");
    assert_eq!(seen["nick"], "of flag");
    assert_eq!(seen["group"], "of environment");
}

#[test]
fn the_reader_of_a_pipe_may_go() {
    let home = home();
    let network = at("127.1.10.1");
    let line = with(&["listen"], &network, &["--for", "20s"]);
    let mut child = command(&home, line).stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let begin = Instant::now();
    let status = child.wait().expect("it ends");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn help_has_examples_and_completions_exist() {
    let home = home();
    for topic in
        [&["--help"][..], &["listen", "--help"], &["send", "--help"], &["members", "--help"], &["decode", "--help"]]
    {
        let output = run(&home, topic);
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains("Examples:"), "{topic:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&run(&home, &["completions", shell])).contains("get-offer"), "{shell}");
    }
}

#[test]
fn names_from_the_network_do_not_command_the_terminal() {
    let home = home();
    let network = at("127.1.17.1");
    let mut terminal = Pty::start(&command(&home, with(&["-v", "listen"], &network, &[])), (100, 30));
    terminal.shows("ready on");
    let to = (Ipv4Addr::new(127, 1, 17, 1), port(17));
    for (last, user) in [(2, "one"), (3, "two")] {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::new(127, 1, 17, last), port(17))).expect("a free port");
        let entry = format!("1:100:{user}\u{1b}]0;NAME\u{7}:h\u{1b}]0;HOST\u{7}:1:zed");
        socket.send_to(entry.as_bytes(), to).expect("sent");
        socket.send_to(b"1:101:u:h:65:\x1b]0;INFO\x07", to).expect("sent");
    }
    terminal.shows("127.1.17.3");
    terminal.shows("INFO");
    terminal.types("send zed hi\n");
    terminal.shows("zed can be");
    terminal.types("help\n");
    terminal.shows("quit          leave");
    let seen = String::from_utf8_lossy(terminal.seen()).into_owned();
    assert!(!seen.contains("\u{1b}]"), "{seen:?}");
    assert!(seen.contains("\r\n  away [TEXT]"), "{seen:?}");
}

#[test]
fn ctrl_c_ends_what_goes_through_the_running_instance() {
    let homes = [home(), home()];
    let networks = [at("127.1.18.1"), at("127.1.18.2")];
    let mut alice = listen(&homes[0], &networks[0], &["--accept", "ask"]);
    let _bob = listen(&homes[1], &networks[1], &[]);
    std::fs::write(homes[1].path().join("a.txt"), "a").expect("a file");
    let sends = ["127.1.18.1", "--file", "a.txt", "--wait", "60s"];
    let sender = Program::start(&homes[1], with(&["--json", "send"], &networks[1], &sends));
    alice.event("offer");
    sender.interrupt();
    let ended = sender.end(Duration::from_secs(5));
    assert_eq!(ended.code, Some(130), "{}", ended.said);
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let home = home();
    let hex = "313a313a613a623a3239353a6869003a";
    for line in [&["decode", hex][..], &["user", "list"], &["completions", "bash"]] {
        std::fs::write(home.path().join("users.toml"), "").expect("a file");
        let mut command = command(&home, line);
        for name in ["JSON", "QUIET", "VERBOSE", "COLOR", "CONFIG", "PORT", "BIND", "USER", "NICK", "CHARSET"] {
            command.env(format!("FEIGE_{name}"), "");
        }
        command.env("FEIGE_USERS", "users.toml");
        let output = ends(command);
        assert_eq!(code(&output), 0, "{line:?}: {}", err(&output));
    }
    let mut serve = command(&home, ["serve", "nowhere"]);
    serve.env("FEIGE_USERS", "").env("FEIGE_LISTEN", "");
    let output = ends(serve);
    assert!(err(&output).contains("nowhere"), "{}", err(&output));
}

#[test]
fn in_the_background_there_is_no_prompt_and_nothing_stops() {
    let home = home();
    let network = at("127.1.19.1");
    // A shell with jobs, as a person has.
    let mut shell = Command::new("sh");
    shell.args(["-m", "-c", "\"$@\" & wait", "sh"]);
    let shell = started_by(shell, &command(&home, with(&["listen"], &network, &[])));
    let mut terminal = Pty::start(&shell, (100, 30));
    terminal.shows("ready on");
    terminal.types("to the shell\n");
    std::thread::sleep(Duration::from_millis(500));
    let socket = std::net::UdpSocket::bind((Ipv4Addr::new(127, 1, 19, 2), port(19))).expect("a free port");
    socket.send_to(b"1:100:zed:host:1:zed", (Ipv4Addr::new(127, 1, 19, 1), port(19))).expect("sent");
    terminal.shows("zed@host");
}

#[test]
fn another_terminal_finds_the_instance_of_a_home_with_a_long_name() {
    let short = home();
    let long = short.path().join("x".repeat(100));
    std::fs::create_dir(&long).expect("a folder");
    let at_home = |arguments: &[&str], network: &[String; 6]| {
        let mut command = command(&short, with(arguments, network, &[]));
        command.env("HOME", &long).env("XDG_STATE_HOME", long.join("state")).env_remove("XDG_RUNTIME_DIR");
        command
    };
    let network = at("127.1.16.1");
    let mut listens = Program::spawn(at_home(&["--json", "listen"], &network));
    listens.event("ready");
    let offers = ends(at_home(&["offers"], &network));
    assert_eq!((code(&offers), err(&offers)), (0, String::new()), "{}", listens.said());
    assert!(!listens.said().contains("! "), "{}", listens.said());
    listens.terminate();
}

#[test]
fn an_address_without_its_port_is_explained() {
    let home = home();
    std::fs::create_dir(home.path().join("share")).expect("a folder");
    for command in [&["peer", "--listen", "127.0.0.1"][..], &["serve", "share", "--listen", "127.0.0.1"]] {
        let output = run(&home, command);
        assert_eq!(code(&output), 2, "{command:?}");
        assert!(err(&output).contains("a port are needed"), "{}", err(&output));
    }
    // Wherever its lines end.
    let help = out(&run(&home, &["--help"])).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("a digest did not match") && help.contains("143 ended by SIGTERM"), "{help}");
}
