//! The full screen of the real program, on terminals of tmux, on loopback.

use std::time::{Duration, Instant};

use feige_tests::or_skip;
use feige_tests::program::{command, run};
use feige_tests::pty::Pty;
use feige_tests::terminal::Terminal;
use tempfile::TempDir;

fn home() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A full screen at this address, which tells the other one that it is there.
fn screen(home: &TempDir, user: &str, address: &str, other: &str, port: &str) -> Option<Terminal> {
    let nick = format!("{user}飞");
    let host = format!("pc-{user}");
    let arguments = [
        ["--bind", address],
        ["--broadcast", other],
        ["--port", port],
        ["--user", user],
        ["--hostname", &host],
        ["--nick", &nick],
        ["--group", "Dev"],
    ];
    or_skip(Terminal::start(home, ["tui"].into_iter().chain(arguments.into_iter().flatten()), (80, 24)))
}

#[test]
fn two_people_talk_and_exchange_a_file() {
    let (alices, bobs) = (home(), home());
    std::fs::write(alices.path().join("报告.txt"), "x".repeat(3000)).expect("a file");
    let Some(alice) = screen(&alices, "alice", "127.0.7.2", "127.0.7.3", "24107") else { return };
    alice.shows(&["Nobody is there yet", "127.0.7.2:24107", "F1 help"]);
    let Some(bob) = screen(&bobs, "bob", "127.0.7.3", "127.0.7.2", "24107") else { return };
    alice.shows(&["Members 1", "Dev", "bob飞", "is here"]);
    bob.shows(&["Members 1", "alice飞"]);

    // A text without a member goes nowhere; then there and back, typed and pasted.
    alice.enter("hello?");
    alice.shows(&["choose a member with Up and Down"]);
    alice.press(&["C-u", "Down"]);
    alice.enter("你好, bob");
    alice.shows(&["bob飞 (bob@pc-bob, 127.0.7.3:24107)", "you: 你好, bob  ✓ delivered"]);
    bob.press(&["C-x"]);
    bob.shows(&["alice飞: 你好, bob"]);
    bob.paste("two\nlines");
    bob.shows(&["> two↵lines"]);
    bob.press(&["Enter"]);
    alice.shows(&["bob飞: two", "\u{2502}      lines"]);

    // Sealed, until a key opens it.
    alice.enter("/sealed pay day");
    bob.shows(&["▒▒▒ sealed", "/open 1"]);
    assert!(!bob.screen().contains("pay day"));
    bob.press(&["C-o"]);
    bob.shows(&["(sealed): pay day"]);
    alice.shows(&["pay day  ✓ opened"]);

    // A file, taken by a key.
    alice.enter("/file 报告.txt");
    bob.shows(&["[1] 报告.txt", "Ctrl-G takes it"]);
    bob.press(&["C-g"]);
    bob.shows(&["✓ saved as"]);
    alice.shows(&["you: [报告.txt]  ✓ fetched"]);
    assert_eq!(std::fs::read(bobs.path().join("报告.txt")).expect("it came").len(), 3000);

    // Away, and what another terminal does through this instance.
    bob.enter("/away at lunch");
    bob.shows(&["away: at lunch"]);
    alice.shows(&["bob飞 is away: at lunch", ", away: at lunch"]);
    let network = ["--bind", "127.0.7.2", "--port", "24107"];
    let sent =
        run(&alices, std::time::Duration::from_secs(20), ["send", "bob", "from a script"].iter().chain(&network));
    assert_eq!(sent.code, Some(0), "{}", sent.said);
    alice.shows(&["you: from a script  ✓ delivered"]);

    // Any size, and the help.
    alice.press(&["F1"]);
    alice.shows(&["any other key closes it", "choose a member"]);
    alice.press(&["Escape"]);
    for (columns, rows, shown) in [(30, 8, "from a script"), (10, 3, "too small"), (1, 1, ""), (120, 40, "Members 1")] {
        alice.resize(columns, rows);
        alice.shows(&[shown]);
    }

    // Alice leaves, and has her terminal back.
    alice.press(&["C-c"]);
    alice.shows(&["ended with 0", " icanon", " echo "]);
    assert!(!alice.screen().contains("Members"));
    bob.shows(&["Members 0", "alice飞 left"]);
}

#[test]
fn a_closed_window_is_a_good_bye() {
    let (alices, bobs) = (home(), home());
    let Some(alice) = screen(&alices, "alice", "127.0.8.2", "127.0.8.3", "24108") else { return };
    alice.shows(&["Nobody is there yet"]);
    let Some(bob) = screen(&bobs, "bob", "127.0.8.3", "127.0.8.2", "24108") else { return };
    alice.shows(&["Members 1"]);
    bob.shows(&["Members 1"]);
    bob.close();
    alice.shows(&["Members 0", "left"]);
}

#[test]
fn errors_come_before_the_screen() {
    let home = home();
    let output = command(&home, ["tui"]).stdin(std::process::Stdio::null()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the full screen needs a terminal"), "{output:?}");
    std::fs::write(home.path().join("blocked"), "").expect("a file");
    let arguments = ["tui", "--bind", "127.0.9.2", "--port", "24109", "--dir", "blocked"];
    let Some(terminal) = or_skip(Terminal::start(&home, arguments, (100, 24))) else { return };
    terminal.shows(&["feige: ", "blocked", "ended with 2"]);
}

#[test]
fn ctrl_l_draws_the_screen_anew() {
    let home = home();
    let Some(terminal) = screen(&home, "alice", "127.0.10.2", "127.0.10.3", "24110") else { return };
    terminal.shows(&["Nobody is there yet"]);
    terminal.press(&["C-l"]);
    terminal.press(&["F1"]);
    terminal.shows(&["any other key closes it"]);
    terminal.press(&["Escape", "C-c"]);
    terminal.shows(&["ended with 0"]);
}

#[test]
fn a_terminal_that_stands_still_neither_keeps_the_program_nor_stays_raw() {
    let home = home();
    let network = ["--bind", "127.0.11.2", "--broadcast", "127.0.11.3", "--port", "24111"];
    let mut terminal = Pty::start(&command(&home, ["tui"].iter().chain(&network)), (200, 50));
    terminal.shows("Nobody is there yet");
    assert!(!terminal.is_sane());
    // Pictures that nobody looks at, until no more go into the terminal.
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        terminal.types("\u{c}");
        std::thread::sleep(Duration::from_millis(100));
    }
    terminal.signal(rustix::process::Signal::TERM);
    assert_eq!(terminal.ends(Duration::from_secs(8)).code(), Some(143));
    assert!(terminal.is_sane());
    // The usual screen is back as soon as somebody looks.
    terminal.shows("\u{1b}[?1049l");
}

#[test]
fn a_terminal_that_stood_still_goes_on_soon() {
    let home = home();
    let network = ["--bind", "127.0.12.2", "--broadcast", "127.0.12.3", "--port", "24112"];
    let mut terminal = Pty::start(&command(&home, ["tui"].iter().chain(&network)), (200, 50));
    terminal.shows("Nobody is there yet");
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        // The help, and a key that closes it.
        terminal.types("\u{1b}OP");
        std::thread::sleep(Duration::from_millis(100));
        terminal.types("\t");
        std::thread::sleep(Duration::from_millis(100));
    }
    let begin = Instant::now();
    terminal.types("  \u{436}");
    terminal.shows("\u{436}");
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}
