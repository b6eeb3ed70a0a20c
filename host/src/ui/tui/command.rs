//! What a line means: a text for the chosen member, or a command that begins with `/`.

use std::path::PathBuf;

use crate::ui::typed;

/// A line that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A message to the chosen member.
    Text(String),
    /// A file or folder for the chosen member.
    File(PathBuf),
    /// A sealed message to the chosen member.
    Sealed(String),
    /// Downloads of offers with these numbers; all without any.
    Get(Vec<u32>),
    /// Opens a sealed message; the oldest one here without a number.
    Open(Option<u32>),
    Away(String),
    Back,
    /// A message to everybody.
    All(String),
    /// Chooses a member by a part of its name.
    Find(String),
    /// Asks again who is there.
    Refresh,
    Help,
    Quit,
}

/// Reads a line. `home` is what `~` stands for in a path.
///
/// # Errors
/// What to tell whoever wrote it.
pub(super) fn parse(line: &str, home: Option<PathBuf>) -> Result<Command, String> {
    // Blanks in front of a command are a slip of the finger, and not to be sent to anybody.
    let Some(command) = line.trim_start().strip_prefix('/') else { return Ok(Command::Text(line.to_owned())) };
    // A text that begins with a slash is written with two.
    if command.starts_with('/') {
        return Ok(Command::Text(command.to_owned()));
    }
    let (word, rest) =
        command.split_once(char::is_whitespace).map_or((command, ""), |(word, rest)| (word, rest.trim()));
    let needs = |what: &str| if rest.is_empty() { Err(format!("/{word} needs {what}")) } else { Ok(rest.to_owned()) };
    Ok(match word {
        "file" => Command::File(typed::path(&needs("a path")?, home)),
        "sealed" => Command::Sealed(needs("a text")?),
        "get" if rest == "all" => Command::Get(Vec::new()),
        "get" => {
            let numbers: Result<Vec<u32>, _> = needs("a number, or all")?.split_whitespace().map(str::parse).collect();
            Command::Get(numbers.map_err(|_| "/get needs the number of an offer, or all")?)
        }
        "open" if rest.is_empty() => Command::Open(None),
        "open" => Command::Open(Some(rest.parse().map_err(|_| "/open needs the number of a sealed message")?)),
        "away" if rest.is_empty() => Command::Away("away".to_owned()),
        "away" => Command::Away(rest.to_owned()),
        "back" => Command::Back,
        "all" => Command::All(needs("a text")?),
        "find" => Command::Find(needs("a part of a name")?),
        "refresh" => Command::Refresh,
        "help" => Command::Help,
        "quit" | "exit" => Command::Quit,
        other => return Err(format!("/{other} is not known; F1 lists what is, and //{other} sends it as a text")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_texts_or_commands() {
        let home = || Some(PathBuf::from("/home/me"));
        for (line, expected) in [
            ("hello", Command::Text("hello".into())),
            ("//etc is a folder", Command::Text("/etc is a folder".into())),
            ("/file my notes.txt ", Command::File("my notes.txt".into())),
            ("/file '/tmp/a b'", Command::File("/tmp/a b".into())),
            ("/file ~/a", Command::File("/home/me/a".into())),
            ("/file ~", Command::File("/home/me".into())),
            ("/file ~bob/a", Command::File("~bob/a".into())),
            ("/sealed pay day", Command::Sealed("pay day".into())),
            ("/get 3 4", Command::Get(vec![3, 4])),
            ("/get all", Command::Get(vec![])),
            ("/open", Command::Open(None)),
            ("/open 2", Command::Open(Some(2))),
            ("/away", Command::Away("away".into())),
            ("/away at lunch", Command::Away("at lunch".into())),
            ("/all two\nlines", Command::All("two\nlines".into())),
            ("/find bob", Command::Find("bob".into())),
            ("/quit", Command::Quit),
            ("  /quit", Command::Quit),
            ("  indented", Command::Text("  indented".into())),
        ] {
            assert_eq!(parse(line, home()), Ok(expected), "{line}");
        }
        for line in ["/", "/file", "/get", "/get x", "/get -1", "/open x", "/all ", "/find", "/etc/passwd"] {
            assert!(parse(line, home()).is_err(), "{line}");
        }
    }
}
