//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::command::{self, Command};
use super::conversation::{Can, OfferState};
use super::input::Input;
use super::model::{Action, Focus, Model, Moment};
use super::{draw, rows};
use crate::control::{Request, Send};

/// All keys and commands, for the help: what, and what it does.
pub(super) const HELP: &[(&str, &str)] = &[
    ("Up Down, Ctrl-N Ctrl-P", "choose a member"),
    ("Ctrl-X", "the next one with something new"),
    ("Tab", "between line, members, and offers"),
    ("Enter", "send; take or open what is chosen"),
    ("Alt-Enter, Ctrl-J", "another line in the same message"),
    ("Alt-Up Alt-Down", "what was sent before"),
    ("PageUp PageDown, Esc", "scroll, and back to the end"),
    ("Ctrl-G", "download all that is offered here"),
    ("Ctrl-O", "open the oldest sealed message here"),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-C, Ctrl-Q", "leave"),
    ("F1, ? outside the line", "this help"),
    ("", ""),
    ("/file PATH", "offer a file or folder"),
    ("/sealed TEXT", "a message that tells when it is opened"),
    ("/all TEXT", "a message to everybody"),
    ("/get N…, /get all", "download what is offered"),
    ("/open N", "open a sealed message"),
    ("/away TEXT, /back", "be away, be back"),
    ("/find NAME", "choose a member by a part of its name"),
    ("/refresh", "ask again who is there"),
    ("/quit", "leave"),
    ("//TEXT", "a text that begins with a slash"),
];

impl Model {
    /// A key was pressed.
    pub(super) fn key(&mut self, moment: Moment, key: KeyEvent) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.hint = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'q') if control => return Some(self.quit()),
            KeyCode::Char('l') if control => {
                self.redraw = true;
                return None;
            }
            _ => {}
        }
        if let Some(scrolled) = self.help {
            self.help = match key.code {
                KeyCode::Up => Some(scrolled.saturating_sub(1)),
                KeyCode::Down => Some(scrolled + 1),
                KeyCode::PageUp => Some(scrolled.saturating_sub(10)),
                KeyCode::PageDown => Some(scrolled + 10),
                _ => None,
            }
            .map(|scrolled| scrolled.min(HELP.len()));
            return None;
        }
        match key.code {
            KeyCode::F(1) => self.help = Some(0),
            KeyCode::Tab => self.turn_focus(1),
            KeyCode::BackTab => self.turn_focus(2),
            KeyCode::PageUp => self.scroll_by(1),
            KeyCode::PageDown => self.scroll_by(-1),
            KeyCode::Esc => {
                self.focus = Focus::Input;
                self.item = None;
                self.scroll = 0;
                self.seen();
            }
            KeyCode::Char('n') if control => self.choose(self.members.neighbour(1)),
            KeyCode::Char('p') if control => self.choose(self.members.neighbour(-1)),
            KeyCode::Char('x') if control => self.choose_unread(),
            KeyCode::Char('g') if control => return self.get_all_here(),
            KeyCode::Char('o') if control => return self.open(None),
            _ => {
                return match self.focus {
                    Focus::Input => self.key_in_line(moment, key),
                    Focus::Members => self.key_in_members(moment, key),
                    Focus::Items => self.key_in_items(moment, key),
                };
            }
        }
        None
    }

    /// A text was pasted, or dropped onto the terminal.
    pub(super) fn paste(&mut self, text: &str) {
        self.hint = None;
        self.help = None;
        self.focus = Focus::Input;
        self.write(text);
    }

    fn write(&mut self, text: &str) {
        self.history.forget_place();
        let room = Input::MOST - self.input.as_str().len();
        if text.len() > room {
            self.hint = Some("that is too long for a message: put it into a file, and /file PATH".to_owned());
        }
        self.input.insert(text);
    }

    fn key_in_line(&mut self, moment: Moment, key: KeyEvent) -> Option<Action> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Up if alt || control => self.history.older(&mut self.input),
            KeyCode::Down if alt || control => self.history.newer(&mut self.input),
            KeyCode::Up => self.choose(self.members.neighbour(-1)),
            KeyCode::Down => self.choose(self.members.neighbour(1)),
            KeyCode::Enter if alt => self.write("\n"),
            KeyCode::Char('j') if control => self.write("\n"),
            KeyCode::Enter => return self.enter(moment),
            KeyCode::Left if alt || control => self.input.word_left(),
            KeyCode::Right if alt || control => self.input.word_right(),
            KeyCode::Char('b') if alt => self.input.word_left(),
            KeyCode::Char('f') if alt => self.input.word_right(),
            KeyCode::Left => self.input.left(),
            KeyCode::Right => self.input.right(),
            KeyCode::Home => self.input.home(),
            KeyCode::End => self.input.end(),
            KeyCode::Backspace if alt => self.input.delete_word(),
            KeyCode::Backspace => self.input.backspace(),
            KeyCode::Delete => self.input.delete(),
            KeyCode::Char('a') if control => self.input.home(),
            KeyCode::Char('e') if control => self.input.end(),
            KeyCode::Char('b') if control => self.input.left(),
            KeyCode::Char('f') if control => self.input.right(),
            KeyCode::Char('h') if control => self.input.backspace(),
            KeyCode::Char('d') if control => self.input.delete(),
            KeyCode::Char('w') if control => self.input.delete_word(),
            KeyCode::Char('u') if control => self.input.delete_to_start(),
            KeyCode::Char('k') if control => self.input.delete_to_end(),
            // AltGr is both, and writes.
            KeyCode::Char(character) if control == alt => self.write(character.encode_utf8(&mut [0; 4])),
            _ => {}
        }
        None
    }

    fn key_in_members(&mut self, moment: Moment, key: KeyEvent) -> Option<Action> {
        let most = isize::try_from(self.members.len()).unwrap_or(isize::MAX);
        match key.code {
            KeyCode::Up => self.choose(self.members.neighbour(-1)),
            KeyCode::Down => self.choose(self.members.neighbour(1)),
            KeyCode::Home => self.choose(None),
            KeyCode::End => self.choose(self.members.neighbour(most)),
            KeyCode::Enter => self.focus = Focus::Input,
            KeyCode::Char('?') => self.help = Some(0),
            KeyCode::Char(_) => {
                self.focus = Focus::Input;
                return self.key_in_line(moment, key);
            }
            _ => {}
        }
        None
    }

    fn key_in_items(&mut self, moment: Moment, key: KeyEvent) -> Option<Action> {
        match key.code {
            KeyCode::Up => self.next_item(-1),
            KeyCode::Down => self.next_item(1),
            KeyCode::Enter | KeyCode::Char('g' | 'o' | ' ') => {
                let chosen = self.conversation().items().find(|(serial, _)| self.item == Some(*serial))?;
                return match chosen.1 {
                    Can::Open(number) => self.open(Some(number)),
                    Can::Get(index) => self.get(&[index]),
                };
            }
            KeyCode::Char('?') => self.help = Some(0),
            KeyCode::Char(_) => {
                self.focus = Focus::Input;
                return self.key_in_line(moment, key);
            }
            _ => {}
        }
        None
    }

    fn turn_focus(&mut self, by: usize) {
        let any = self.conversation().items().next().is_some();
        let order: &[Focus] =
            if any { &[Focus::Input, Focus::Members, Focus::Items] } else { &[Focus::Input, Focus::Members] };
        let place = order.iter().position(|&focus| focus == self.focus).unwrap_or(0);
        self.focus = order[(place + if by == 1 { 1 } else { order.len() - 1 }) % order.len()];
        self.item = None;
        // The newest one.
        self.fit_item();
        self.show_item();
    }

    fn next_item(&mut self, by: isize) {
        let items: Vec<u64> = self.conversation().items().map(|(serial, _)| serial).collect();
        let place = items.iter().position(|&serial| self.item == Some(serial)).unwrap_or(0);
        self.item = items.get(place.saturating_add_signed(by).min(items.len().saturating_sub(1))).copied();
        self.show_item();
    }

    /// Scrolls to the chosen item.
    fn show_item(&mut self) {
        if let Some(item) = self.item {
            self.scroll = rows::scroll_to(self, item);
        }
    }

    /// Scrolls by nearly the height of the conversation: up if positive.
    fn scroll_by(&mut self, pages: isize) {
        let height = usize::from(draw::conversation_size(self).1);
        let page = height.saturating_sub(1).max(1);
        let most = rows::total(self).saturating_sub(height);
        self.scroll = self.scroll.saturating_add_signed(pages * isize::try_from(page).unwrap_or(1)).min(most);
        if self.scroll == 0 {
            self.seen();
        }
    }

    /// Chooses who has something new.
    fn choose_unread(&mut self) {
        match self.members.next(|member| member.unread > 0) {
            Some(at) => self.choose(Some(at)),
            None if self.unseen > 0 => self.choose(None),
            None => self.hint = Some("nothing new".to_owned()),
        }
    }

    /// Sends what is written, or does what it says.
    fn enter(&mut self, moment: Moment) -> Option<Action> {
        if self.input.as_str().trim().is_empty() {
            self.input.take();
            return None;
        }
        let command = match command::parse(self.input.as_str(), self.home.clone()) {
            Ok(command) => command,
            Err(wrong) => {
                self.hint = Some(wrong);
                return None;
            }
        };
        let to_one = matches!(command, Command::Text(_) | Command::File(_) | Command::Sealed(_));
        if to_one && self.members.chosen().is_none() {
            self.hint = Some("choose a member with Up and Down, or write /all TEXT for everybody".to_owned());
            return None;
        }
        let line = self.input.take();
        self.history.push(line);
        let to = self.members.chosen();
        let text = |text: String| Send { to: String::new(), text, files: Vec::new(), sealed: false, wait: None };
        match command {
            Command::Text(line) => Some(self.send(moment, to, text(line))),
            Command::Sealed(line) => Some(self.send(moment, to, Send { sealed: true, ..text(line) })),
            Command::File(path) => {
                let files = vec![self.folder.join(path)];
                Some(self.send(moment, to, Send { files, ..text(String::new()) }))
            }
            Command::All(line) => {
                self.choose(None);
                Some(self.send(moment, None, text(line)))
            }
            Command::Get(which) => self.get(&which),
            Command::Open(number) => self.open(number),
            Command::Away(text) => Some(self.ask(Request::Away { text })),
            Command::Back => Some(self.ask(Request::Back)),
            Command::Refresh => Some(self.ask(Request::Members { wait: std::time::Duration::ZERO })),
            Command::Find(part) => {
                self.find(&part);
                None
            }
            Command::Help => {
                self.help = Some(0);
                None
            }
            Command::Quit => Some(self.quit()),
        }
    }

    fn quit(&mut self) -> Action {
        self.hint = Some("leaving …".to_owned());
        Action::Quit
    }

    fn ask(&mut self, request: Request) -> Action {
        Action::Ask(self.wish(), request)
    }

    fn find(&mut self, part: &str) {
        let part = part.to_lowercase();
        let found = self.members.next(|member| {
            member.name.to_lowercase().contains(&part)
                || member.login.to_lowercase().contains(&part)
                || member.at.to_string().contains(&part)
        });
        match found {
            Some(at) => self.choose(Some(at)),
            None => self.hint = Some(format!("nobody's name has {} in it", super::text::name(&part))),
        }
    }

    fn get_all_here(&mut self) -> Option<Action> {
        let offers = self.conversation().items().filter_map(|(_, can)| match can {
            Can::Get(index) => Some(index),
            Can::Open(_) => None,
        });
        let offers: Vec<u32> = offers.collect();
        if offers.is_empty() {
            self.hint = Some("nothing is offered here".to_owned());
            return None;
        }
        self.get(&offers)
    }

    /// Asks for downloads; of all offers without numbers.
    fn get(&mut self, which: &[u32]) -> Option<Action> {
        let mut all = Vec::new();
        for conversation in self.members.conversations_mut() {
            all.extend(conversation.items().filter_map(|(_, can)| match can {
                Can::Get(index) => Some(index),
                Can::Open(_) => None,
            }));
        }
        let which = if which.is_empty() { all } else { which.to_vec() };
        if which.is_empty() {
            self.hint = Some("nothing is offered".to_owned());
            return None;
        }
        for &index in &which {
            self.offer(index, OfferState::Asked);
        }
        let wish = self.wish();
        self.getting.insert(wish, which.clone());
        Some(Action::Ask(wish, Request::GetOffer { which }))
    }

    /// Opens a sealed message; the oldest one here without a number.
    fn open(&mut self, number: Option<u32>) -> Option<Action> {
        let oldest = || {
            self.conversation().items().find_map(|(_, can)| match can {
                Can::Open(number) => Some(number),
                Can::Get(_) => None,
            })
        };
        let number = number.or_else(oldest);
        if number.is_none() {
            self.hint = Some("no message here is sealed".to_owned());
        }
        number.map(Action::Open)
    }
}
