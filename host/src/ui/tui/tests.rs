//! The screen without a terminal: what happens and what is pressed goes in, cells come out.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use feige_core::time::Instant;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::CellWidth as _;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw;
use super::keys::HELP;
use super::look::Look;
use super::members::MEMBERS;
use super::model::{Action, Focus, Model, Moment, Update};
use crate::control::{Request, Send};
use crate::ui::event::{Event, Kind, OfferedFile, Peer, Transfer};

/// A model with a terminal that is only memory.
struct Rig {
    model: Model,
    now: u64,
}

fn peer(number: u8, nick: &str, group: &str) -> Peer {
    Peer {
        user: format!("user{number}"),
        hostname: format!("pc{number}"),
        nick: nick.into(),
        group: group.into(),
        addr: at(number),
        version: "1".into(),
        away: false,
    }
}

fn at(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, number), 2425)
}

fn says(number: u8, nick: &str, text: &str) -> Event {
    let from = peer(number, nick, "");
    Event::Message { from, packet: 7, text: text.into(), sealed: false, open: None, auto: false }
}

fn offers(number: u8, nick: &str, index: u32, name: &str) -> Event {
    let file = OfferedFile { index, id: 1, name: name.into(), size: Some(2048), mtime: 0, kind: Kind::File };
    Event::Offer { from: peer(number, nick, ""), packet: 8, files: vec![file] }
}

impl Rig {
    fn new() -> Self {
        let mut model = Model::new("Me", Some("/home/me".into()), PathBuf::from("/work"));
        model.size = (60, 12);
        let mut rig = Self { model, now: 0 };
        rig.event(&Event::Ready { addr: Ipv4Addr::new(10, 0, 0, 1), port: 2425 });
        rig
    }

    fn moment(&self) -> Moment {
        let local = jiff::civil::date(2026, 11, 21).at(9, 30, 0, 0);
        Moment { now: Instant::from_millis(self.now), local }
    }

    fn apply(&mut self, update: Update<'_>) {
        self.model.apply(self.moment(), update);
    }

    fn event(&mut self, event: &Event) {
        self.apply(Update::Event(event));
    }

    fn press(&mut self, code: KeyCode) -> Option<Action> {
        self.model.key(self.moment(), KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn control(&mut self, letter: char) -> Option<Action> {
        self.model.key(self.moment(), KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
    }

    /// Types a line and Enter.
    fn enter(&mut self, line: &str) -> Option<Action> {
        for character in line.chars() {
            assert_eq!(self.press(KeyCode::Char(character)), None);
        }
        self.press(KeyCode::Enter)
    }

    /// What the screen shows, without spaces at the ends of rows.
    fn shown(&mut self) -> String {
        self.shown_at(self.model.size)
    }

    fn shown_at(&mut self, (width, height): (u16, u16)) -> String {
        self.model.size = (width, height);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
        terminal.draw(|frame| draw::draw(&self.model, Look { colour: true }, frame)).expect("memory");
        let buffer = terminal.backend().buffer();
        let mut rows = Vec::new();
        for y in 0..height {
            let mut row = String::new();
            let mut covered = 0;
            for x in 0..width {
                let cell = &buffer[(x, y)];
                if covered == 0 {
                    row.push_str(cell.symbol());
                    covered = cell.cell_width().max(1);
                }
                covered -= 1;
            }
            rows.push(row.trim_end().to_owned());
        }
        rows.join("\n")
    }
}

#[track_caller]
fn wish(action: Option<Action>) -> (u32, Request) {
    match action {
        Some(Action::Ask(wish, request)) => (wish, request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_stand_in_groups_and_a_conversation_beside_them() {
    let mut rig = Rig::new();
    rig.event(&Event::Online(peer(3, "Bob", "Dev")));
    rig.event(&Event::Online(peer(2, "飞鸽", "Dev")));
    rig.event(&Event::Online(Peer { away: true, ..peer(4, "Zoe[lunch]", "") }));
    rig.event(&says(2, "飞鸽", "你好\nsecond line"));
    rig.press(KeyCode::Down);
    assert_eq!(
        rig.shown(),
        "\
┌ Members 3 ─────┐┌ Bob (user3@pc3, 10.0.0.3:2425) ────────┐
│ Everybody      ││Nothing was said yet. Write below, Enter│
│Dev             ││sends; /file PATH offers a file.        │
│ Bob            ││                                        │
│ 飞鸽          1││                                        │
│no group        ││                                        │
│ Zoe        away││                                        │
│                ││                                        │
│                ││                                        │
└────────────────┘└────────────────────────────────────────┘
>
Me  10.0.0.1:2425                                    F1 help"
    );
    rig.press(KeyCode::Down);
    let (number, request) = wish(rig.enter("ja"));
    let Request::Send(send) = request else { panic!("{request:?}") };
    assert_eq!((send.to.as_str(), send.text.as_str(), send.sealed), ("10.0.0.2:2425", "ja", false));
    rig.apply(Update::Sent { wish: Some(number), to: at(2), packet: 40, request: &send });
    assert_eq!(
        rig.shown(),
        "\
┌ Members 3 ─────┐┌ 飞鸽 (user2@pc2, 10.0.0.2:2425) ───────┐
│ Everybody      ││09:30 飞鸽: 你好                        │
│Dev             ││      second line                       │
│ Bob            ││09:30 you: ja  … sending                │
│ 飞鸽           ││                                        │
│no group        ││                                        │
│ Zoe        away││                                        │
│                ││                                        │
│                ││                                        │
└────────────────┘└────────────────────────────────────────┘
>
Me  10.0.0.1:2425                                    F1 help"
    );
    // Confirmed from another port, then done.
    rig.event(&Event::Delivered { packet: 40, to: SocketAddrV4::new(*at(2).ip(), 9), lost: 0 });
    assert!(rig.shown().contains("you: ja  ✓ delivered"));
    rig.apply(Update::Ended { wish: number, how: Ok(()) });
    assert!(rig.shown().contains("you: ja  ✓ delivered"));
}

#[test]
fn a_message_that_nobody_confirms_says_so() {
    let mut rig = Rig::new();
    rig.event(&Event::Online(peer(2, "Bob", "")));
    rig.control('n');
    let (number, request) = wish(rig.enter("hello"));
    let Request::Send(send) = request else { panic!("{request:?}") };
    rig.apply(Update::Sent { wish: Some(number), to: at(2), packet: 40, request: &send });
    let failed = |what: &str, error: &str| Event::Failed {
        what: what.into(),
        error: error.into(),
        index: None,
        packet: Some(40),
        to: Some(at(2)),
    };
    rig.event(&failed("message to 10.0.0.2:2425", "no answer"));
    assert!(rig.shown().contains("you: hello  ✗ not delivered"));
    assert!(!rig.shown().contains("no answer"), "said once is enough");
    rig.apply(Update::Ended { wish: number, how: Err("10.0.0.2 did not answer") });
    assert!(rig.shown_at((90, 12)).contains("you: hello  ✗ not delivered: 10.0.0.2 did not answer"));
    // It arrived after all, and then a file of it breaks.
    rig.event(&Event::Delivered { packet: 40, to: at(2), lost: 0 });
    assert!(rig.shown().contains("you: hello  ✓ delivered"));
    rig.event(&failed("a.txt to 10.0.0.2", "the connection broke"));
    assert!(rig.shown_at((90, 12)).contains("* a.txt to 10.0.0.2: the connection broke"));
    // One that could not even be sent.
    let (number, _) = wish(rig.enter("/file nothing"));
    rig.apply(Update::Ended { wish: number, how: Err("there is no such file") });
    assert!(rig.shown_at((90, 12)).contains("you: [nothing]  ✗ there is no such file"));
}

#[test]
fn a_sealed_message_opens_by_a_key_and_in_its_place() {
    let mut rig = Rig::new();
    let closed = |open: Option<u32>, text: &str| Event::Message {
        from: peer(2, "Bob", ""),
        packet: 7,
        text: text.into(),
        sealed: true,
        open,
        auto: false,
    };
    rig.event(&closed(Some(4), ""));
    rig.event(&says(2, "Bob", "did you see it?"));
    assert_eq!(rig.control('o'), None, "it is not here");
    rig.control('x');
    assert!(rig.shown_at((80, 12)).contains("Bob: ▒▒▒ sealed: Ctrl-O or /open 4"));
    assert_eq!(rig.control('o'), Some(Action::Open(4)));
    rig.event(&closed(None, "the secret"));
    let shown = rig.shown_at((80, 12));
    let (secret, question) = (shown.find("(sealed): the secret"), shown.find("did you see it?"));
    assert!(secret < question && secret.is_some(), "{shown}");
    assert_eq!(rig.control('o'), None);
    assert_eq!(rig.model.hint.as_deref(), Some("no message here is sealed"));
}

#[test]
fn an_offer_is_taken_by_a_key_and_shows_how_far_it_is() {
    let mut rig = Rig::new();
    rig.event(&offers(2, "Bob", 5, "photo.jpg"));
    rig.event(&offers(2, "Bob", 6, "notes.txt"));
    rig.control('n');
    assert!(rig.shown_at((80, 12)).contains("[5] photo.jpg  2.00 KiB  Ctrl-G takes it"));
    rig.press(KeyCode::BackTab);
    assert_eq!(rig.model.focus, Focus::Items);
    rig.press(KeyCode::Up);
    let (_, request) = wish(rig.press(KeyCode::Enter));
    assert_eq!(request, Request::GetOffer { which: vec![5] });
    let transfer = Transfer::Download { index: 5 };
    rig.apply(Update::Progress { transfer, name: "photo.jpg", done: 0, total: Some(2048) });
    rig.now = 1000;
    rig.apply(Update::Progress { transfer, name: "photo.jpg", done: 1024, total: Some(2048) });
    let shown = rig.shown_at((80, 12));
    assert!(shown.contains("[5] photo.jpg  2.00 KiB  … 50 %"), "{shown}");
    assert!(shown.contains("↓ photo.jpg"), "{shown}");
    assert!(shown.contains(" 50 % ━━━"), "{shown}");
    assert!(shown.contains("1.00 KiB/s 0:01 left"), "{shown}");
    rig.apply(Update::ProgressEnd(transfer));
    let name = "photo.jpg".to_owned();
    rig.event(&Event::Downloaded { name, path: "/d/photo.jpg".into(), size: 2048, md5: None, index: 5 });
    let shown = rig.shown_at((80, 12));
    assert!(shown.contains("✓ saved as /d/photo.jpg") && !shown.contains("↓ photo"), "{shown}");
    // The other one fails, and can be tried again.
    let (_, request) = wish(rig.control('g'));
    assert_eq!(request, Request::GetOffer { which: vec![6] });
    assert_eq!(rig.control('g'), None, "it is under way");
    let (what, error) = ("notes.txt".to_owned(), "the peer went away".to_owned());
    rig.event(&Event::Failed { what, error, index: Some(6), packet: None, to: None });
    assert!(rig.shown_at((80, 12)).contains("✗ the peer went away; Ctrl-G tries again"));
    let (number, _) = wish(rig.enter("/get all"));
    rig.apply(Update::Ended { wish: number, how: Err("there is no offer 6") });
    assert!(rig.shown_at((80, 12)).contains("✗ there is no offer 6"));
}

#[test]
fn what_became_of_files_and_of_everybody() {
    let mut rig = Rig::new();
    for (number, nick) in [(2, "Ann"), (3, "Bob")] {
        rig.event(&Event::Online(peer(number, nick, "")));
    }
    let (number, request) = wish(rig.enter("/all lunch?"));
    let Request::Send(send) = request else { panic!("{request:?}") };
    assert_eq!(send.to, "all");
    for host in [2, 3] {
        rig.apply(Update::Sent { wish: Some(number), to: at(host), packet: 40, request: &send });
    }
    rig.event(&Event::Delivered { packet: 40, to: at(3), lost: 0 });
    assert!(rig.shown_at((80, 12)).contains("… 1 of 2 delivered"));
    rig.apply(Update::Ended { wish: number, how: Err("1 of 2 members did not answer") });
    assert!(rig.shown_at((80, 12)).contains("✗ 1 of 2 delivered"));
    // Another terminal sends two files through this instance.
    let request = Send {
        to: "ann".into(),
        text: "for you".into(),
        files: vec!["/x/a".into(), "/x/b".into()],
        sealed: false,
        wait: None,
    };
    rig.apply(Update::Sent { wish: None, to: at(2), packet: 41, request: &request });
    rig.press(KeyCode::Down);
    let fetched = |id| Event::Served { name: "a".into(), to: at(2), size: 1, packet: 41, id };
    for (event, expected) in [
        (Event::Delivered { packet: 41, to: at(2), lost: 0 }, "you: for you [a] [b]  ✓ offered"),
        (fetched(1), "✓ 1 of 2 fetched"),
        (fetched(1), "✓ 1 of 2 fetched"),
        (fetched(2), "✓ fetched"),
    ] {
        rig.event(&event);
        let shown = rig.shown_at((80, 12));
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn a_line_belongs_to_the_member_for_whom_it_was_begun() {
    let mut rig = Rig::new();
    for (number, nick) in [(2, "Ann"), (3, "Bob")] {
        rig.event(&Event::Online(peer(number, nick, "")));
    }
    rig.enter("to nobody");
    assert!(rig.model.hint.as_deref().is_some_and(|hint| hint.starts_with("choose a member")));
    rig.press(KeyCode::Down);
    assert!(rig.model.input.is_empty());
    rig.press(KeyCode::Char('a'));
    rig.press(KeyCode::Down);
    rig.press(KeyCode::Char('b'));
    rig.press(KeyCode::Up);
    assert_eq!(rig.model.input.as_str(), "a");
    // Somebody comes and sorts before: the choice stays.
    rig.event(&Event::Online(peer(9, "Aaron", "")));
    let (_, request) = wish(rig.press(KeyCode::Enter));
    assert!(matches!(request, Request::Send(Send { to, .. }) if to == "10.0.0.2:2425"));
    // She moves, and then leaves: what was said remains.
    rig.apply(Update::Gone { from: at(2), to: Some(at(20)) });
    rig.event(&Event::Online(Peer { addr: at(20), ..peer(2, "Ann", "") }));
    rig.event(&Event::Offline(Peer { addr: at(20), ..peer(2, "Ann", "") }));
    let shown = rig.shown_at((80, 14));
    assert!(shown.contains("┌ Ann (user2@pc2, 10.0.0.20:2425, left)"), "{shown}");
    assert!(shown.contains("you: a") && shown.contains("Ann left"), "{shown}");
}

#[test]
fn a_line_keeps_the_name_that_its_sender_had() {
    let mut rig = Rig::new();
    let boss = Peer { user: "boss".into(), hostname: "boss-pc".into(), ..peer(4, "Boss", "") };
    let intern = Peer { user: "intern".into(), hostname: "other".into(), ..peer(4, "Intern", "") };
    let sealed = |open: Option<u32>, text: &str| Event::Message {
        from: boss.clone(),
        packet: 9,
        text: text.into(),
        sealed: true,
        open,
        auto: false,
    };
    rig.event(&Event::Online(boss.clone()));
    rig.event(&says(4, "Boss", "The code is 4711"));
    rig.event(&sealed(Some(1), ""));
    rig.event(&offers(4, "Boss", 5, "plan.txt"));
    rig.event(&Event::Offline(boss.clone()));
    rig.event(&Event::Online(intern.clone()));
    rig.event(&says(4, "Intern", "hello"));
    // Nor does a new nick change what the same person said before.
    rig.event(&Event::Absence(Peer { nick: "Trainee".into(), ..intern }));
    rig.event(&says(4, "Trainee", "me again"));
    rig.press(KeyCode::Down);
    let shown = rig.shown_at((100, 16));
    for line in [
        "┌ Trainee (intern@other, ",
        "09:30 Boss: The code is 4711",
        "09:30 Boss: ▒▒▒ sealed: Ctrl-O or /open 1 opens it, and tells Boss",
        "09:30 Boss: [5] plan.txt  2.00 KiB",
        "* Boss left",
        "* Intern is here",
        "09:30 Intern: hello",
        "* Trainee was Intern before",
        "09:30 Trainee: me again",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    rig.event(&sealed(None, "the secret"));
    assert!(rig.shown_at((100, 16)).contains("09:30 Boss (sealed): the secret"));
}

#[test]
fn commands_are_understood_or_explained() {
    let mut rig = Rig::new();
    rig.event(&Event::Online(peer(3, "Bob", "")));
    rig.enter("/find BO");
    assert_eq!(rig.model.members.chosen(), Some(at(3)));
    assert_eq!(wish(rig.enter("/away at lunch")).1, Request::Away { text: "at lunch".into() });
    rig.apply(Update::Away(Some("at lunch")));
    assert!(rig.shown().contains("away: at lunch"));
    assert_eq!(wish(rig.enter("/back")).1, Request::Back);
    let (_, request) = wish(rig.enter("/file my photo.jpg"));
    assert!(matches!(request, Request::Send(Send { files, .. }) if files == [PathBuf::from("/work/my photo.jpg")]));
    let (_, request) = wish(rig.enter("/sealed psst"));
    assert!(matches!(request, Request::Send(Send { sealed: true, .. })));
    assert_eq!(rig.enter("/nonsense"), None);
    assert!(rig.shown().contains("/nonsense is not known"));
    assert_eq!(rig.model.input.as_str(), "/nonsense", "it can be mended");
    rig.control('u');
    // A question mark is a message, unless the list has the keys.
    assert!(matches!(rig.enter("?"), Some(Action::Ask(..))));
    rig.press(KeyCode::Tab);
    rig.press(KeyCode::Char('?'));
    assert!(rig.shown().contains(" Help"));
    rig.press(KeyCode::Esc);
    assert!(!rig.shown().contains(" Help"));
    for (key, line) in [(Some('c'), ""), (Some('q'), ""), (None, "/quit")] {
        let action = match key {
            Some(key) => rig.control(key),
            None => rig.enter(line),
        };
        assert_eq!(action, Some(Action::Quit));
    }
}

#[test]
fn who_reads_on_in_what_is_older_stays_there() {
    let mut rig = Rig::new();
    for i in 0..50 {
        rig.event(&says(2, "Bob", &format!("line {i}")));
    }
    rig.press(KeyCode::Down);
    assert!(rig.shown().contains("line 49"));
    rig.press(KeyCode::PageUp);
    let before = rig.shown();
    assert!(!before.contains("line 49") && before.contains("more below"), "{before}");
    rig.event(&says(2, "Bob", &"long ".repeat(30)));
    assert!(rig.shown().contains("line 42"), "{}", rig.shown());
    assert_eq!(rig.model.member().map(|bob| bob.unread), Some(1));
    for _ in 0..20 {
        rig.press(KeyCode::PageUp);
    }
    assert!(rig.shown().contains("line 0"));
    rig.press(KeyCode::Esc);
    assert!(rig.shown().contains("long"));
    assert_eq!(rig.model.member().map(|bob| bob.unread), Some(0));
}

#[test]
fn nothing_from_the_network_commands_the_terminal_or_leaves_its_place() {
    let evil = "\x1b[2J\x1b]0;owned\x07\u{202e}\u{9b}31m\r\nx";
    let mut rig = Rig::new();
    let mut mallory = peer(66, evil, evil);
    (mallory.user, mallory.hostname) = (evil.into(), "h".repeat(60_000));
    rig.event(&Event::Online(mallory.clone()));
    rig.event(&Event::Absence(Peer { away: true, ..mallory.clone() }));
    rig.event(&says(66, evil, evil));
    rig.event(&says(66, evil, &format!("e{}", "\u{301}".repeat(20_000))));
    rig.event(&says(66, evil, &"\n".repeat(20_000)));
    rig.event(&offers(66, evil, 1, evil));
    rig.event(&Event::Knock(mallory.clone()));
    rig.event(&Event::Failed { what: evil.into(), error: evil.into(), index: None, packet: None, to: None });
    rig.apply(Update::Progress { transfer: Transfer::Download { index: 1 }, name: evil, done: 1, total: None });
    rig.apply(Update::Note { text: evil, bad: true });
    for choice in [None, Some(at(66))] {
        rig.model.choose(choice);
        for page in 0..3 {
            let shown = rig.shown_at((100, 30));
            assert!(!shown.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{page}: {shown:?}");
            assert!(shown.lines().all(|row| unicode_width::UnicodeWidthStr::width(row) <= 100));
            rig.press(KeyCode::PageUp);
        }
    }
}

#[test]
fn every_size_can_be_drawn() {
    let mut rig = Rig::new();
    rig.event(&Event::Online(peer(2, "飞鸽传书飞鸽传书飞鸽传书", "很长的组名很长的组名")));
    rig.event(&says(2, "飞鸽传书飞鸽传书飞鸽传书", "一二三四五六七八九十 and more\n\n\u{200b}"));
    rig.event(&offers(2, "飞鸽传书飞鸽传书飞鸽传书", 1, &"长".repeat(200)));
    rig.model.paste(&"飞鸽".repeat(100));
    for index in 0..9 {
        let transfer = Transfer::Download { index };
        rig.apply(Update::Progress { transfer, name: "很长的文件名.txt", done: 10, total: Some(100) });
    }
    for focus in [Focus::Input, Focus::Members, Focus::Items] {
        for (choice, help) in [(None, None), (Some(at(2)), None), (Some(at(2)), Some(3))] {
            rig.model.choose(choice);
            rig.model.focus = focus;
            rig.model.help = help;
            rig.model.fit_item();
            for width in (0..=90).step_by(3).chain([1, 23, 24, 49, 50, 200]) {
                for height in [0, 1, 2, 3, 5, 6, 7, 8, 12, 24, 60] {
                    rig.shown_at((width, height));
                    rig.press(KeyCode::F(99));
                    rig.model.help = help;
                }
            }
        }
    }
    assert!(rig.shown_at((20, 5)).contains("too small"));
}

#[test]
fn all_of_the_help_can_be_read_on_a_narrow_screen() {
    let mut rig = Rig::new();
    rig.model.help = Some(0);
    for width in [24, 40, 63, 64, 90] {
        let shown = rig.shown_at((width, 80));
        for word in HELP.iter().flat_map(|(keys, what)| [keys, what]).flat_map(|text| text.split_whitespace()) {
            assert!(shown.contains(word), "{width}: {word}: {shown}");
        }
    }
}

#[test]
fn memory_has_limits() {
    let mut rig = Rig::new();
    let host = |i: u32| SocketAddrV4::new(Ipv4Addr::from(0x0a01_0000 + i), 2425);
    rig.event(&says(2, "Bob", "remember me"));
    rig.press(KeyCode::Down);
    for i in 0..5000 {
        rig.event(&Event::Online(Peer { addr: host(i), ..peer(0, &format!("spoof{i}"), "") }));
    }
    assert_eq!(rig.model.members.len(), MEMBERS);
    assert!(rig.shown().contains("remember me"), "who is talked to stays");
    for _ in 0..300 {
        rig.event(&says(9, "Flood", &"x".repeat(60_000)));
    }
    let octets = rig.model.members.octets() + rig.model.everybody.octets();
    assert!(octets <= 8 << 20, "{octets}");
    assert!(rig.shown().contains("remember me"), "the longest conversation loses, not the others");
    for i in 0..2000 {
        rig.event(&says(2, "Bob", &format!("{i}")));
    }
    assert_eq!(rig.model.conversation().entries().len(), 1000);
}
