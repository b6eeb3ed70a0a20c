//! The prompt of `feige listen` on a terminal.

use std::io::BufRead;

use super::{Notice, Notices};
use crate::control::{Request, Send};
use crate::ui::typed;

/// What can be typed.
pub(super) const HELP: &str = "Commands:
  get N…        download what was offered under these numbers (get all)
  offers        list what was offered
  open N        open a sealed message, and tell its sender
  send WHO TEXT send a message (quotes around a WHO with spaces)
  file WHO PATH send a file or folder
  members       who is there
  away [TEXT]   be away
  back          be back
  quit          leave";

/// A line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Help,
    Quit,
    Members,
    Open(u32),
    Ask(Request),
}

/// Reads lines on a thread of its own.
pub(super) fn start(notices: Notices) {
    let read = move || {
        let mut lines = std::io::stdin().lock().split(b'\n');
        loop {
            wait_for_a_line();
            let Some(Ok(line)) = lines.next() else { break };
            notices.tell(Notice::Line(Some(line)));
        }
        notices.tell(Notice::Line(None));
    };
    // Without the thread there is no prompt; the other terminals remain.
    let _ = std::thread::Builder::new().name("prompt".into()).stack_size(64 * 1024).spawn(read);
}

/// Sleeps until there is a line, and it is for us: who reads from the terminal in the background is stopped by the system, and
/// with the prompt everything else.
fn wait_for_a_line() {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdin = std::io::stdin();
    loop {
        let _ = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None);
        // A terminal that is gone says so when it is read.
        if rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group != rustix::process::getpgrp()) {
            std::thread::sleep(std::time::Duration::from_secs(1));
        } else {
            return;
        }
    }
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Result<Command, String> {
    let line = str::from_utf8(line).map_err(|_| "this is not UTF-8, and was not taken; set the terminal to UTF-8")?;
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()));
    let two = || member_and_rest(rest).map(|(who, what)| (who.to_owned(), what.trim().to_owned()));
    let send = |to, text, files| Command::Ask(Request::Send(Send { to, text, files, sealed: false, wait: None }));
    Ok(match word {
        "" => Command::Nothing,
        "help" | "?" => Command::Help,
        "quit" | "exit" => Command::Quit,
        "members" => Command::Members,
        "offers" => Command::Ask(Request::Offers),
        "get" if rest == "all" => Command::Ask(Request::GetOffer { which: Vec::new() }),
        "get" => {
            let numbers: Result<Vec<u32>, _> = rest.split_whitespace().map(str::parse).collect();
            match numbers {
                Ok(which) if !which.is_empty() => Command::Ask(Request::GetOffer { which }),
                _ => return Err("get needs numbers, as `offers` shows them, or all".into()),
            }
        }
        "open" => Command::Open(rest.parse().map_err(|_| "open needs the number of a sealed message")?),
        "send" => {
            let (who, text) = two().ok_or("send needs a member and a text")?;
            send(who, text, Vec::new())
        }
        "file" => {
            let (who, path) = two().ok_or("file needs a member and a path")?;
            send(who, String::new(), vec![typed::path(&path, etcetera::home_dir().ok())])
        }
        "away" => Command::Ask(Request::Away { text: if rest.is_empty() { "away".into() } else { rest.into() } }),
        "back" => Command::Ask(Request::Back),
        other => return Err(format!("{other} is not known; `help` lists what is")),
    })
}

/// A member, whose name may have spaces if it is in quotes, and what is behind.
fn member_and_rest(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').filter(|(_, rest)| rest.starts_with(char::is_whitespace)),
        None => text.split_once(char::is_whitespace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        super::parse(line.as_bytes())
    }

    #[test]
    fn a_line_that_is_not_text_is_refused_and_no_more() {
        assert!(super::parse(b"send bob caf\xe9").is_err_and(|message| message.contains("UTF-8")));
    }

    #[test]
    fn names_with_spaces_stand_in_quotes() {
        let Ok(Command::Ask(Request::Send(send))) = parse("send \"iptux nick\"  \"hi\" there") else { panic!("send") };
        assert_eq!((send.to.as_str(), send.text.as_str()), ("iptux nick", "\"hi\" there"));
        for wrong in ["send \"iptux nick hello", "send \"bob\"", "send \"bob\"hello"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_may_begin_at_home() {
        let Ok(Command::Ask(Request::Send(send))) = parse("file bob ~/a b") else { panic!("file") };
        assert_eq!(send.files, [std::env::home_dir().unwrap().join("a b")]);
        let Ok(Command::Ask(Request::Send(send))) = parse("file bob ~other/a") else { panic!("file") };
        assert_eq!(send.files, [std::path::PathBuf::from("~other/a")]);
    }

    #[test]
    fn lines_are_commands() {
        assert_eq!(parse("  "), Ok(Command::Nothing));
        assert_eq!(parse("get 1 2"), Ok(Command::Ask(Request::GetOffer { which: vec![1, 2] })));
        assert_eq!(parse("get all"), Ok(Command::Ask(Request::GetOffer { which: vec![] })));
        let Ok(Command::Ask(Request::Send(send))) = parse("send bob  two words ") else { panic!("send") };
        assert_eq!((send.to.as_str(), send.text.as_str()), ("bob", "two words"));
        for wrong in ["get", "get x", "open", "send bob", "file", "sned bob hi"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
