//! Passwords: where they come from, and the one form in which they are hashed.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read};
use std::path::Path;
use std::sync::{Arc, atomic::AtomicBool};

use crate::exit::{Exit, Failure};

/// The longest password, in octets.
pub const LONGEST: usize = 1024;

/// The environment variable that may hold the password.
pub const VARIABLE: &str = "FEIGE_PASSWORD";

/// Why something cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// There is nothing, or nothing that counts.
    #[error("a password cannot be empty")]
    Empty,
    /// It is longer than [`LONGEST`].
    #[error("a password has at most {LONGEST} octets")]
    TooLong,
    /// It has characters that are not written the same everywhere: controls, private ones, and those that are not in
    /// Unicode 3.2, on which the rules are built.
    #[error(
        "a password cannot have control characters, emoji, or letters of left-to-right and right-to-left writing mixed"
    )]
    NotPlain,
}

/// Brings a password into the form in which it is hashed, whatever keyboard it was typed on: SASLprep (RFC 4013), as
/// RFC 5802 wants it. `feige user` and the clients both do this, so that the same password is the same.
///
/// # Errors
/// A [`BadPassword`] that says what is wrong.
pub fn prepare(password: &str) -> Result<String, BadPassword> {
    // Normalising can make it longer or shorter.
    let fits = |text: &str| if text.len() > LONGEST { Err(BadPassword::TooLong) } else { Ok(()) };
    fits(password)?;
    let prepared = stringprep::saslprep(password).map_err(|_| BadPassword::NotPlain)?;
    fits(&prepared)?;
    if prepared.is_empty() { Err(BadPassword::Empty) } else { Ok(prepared.into_owned()) }
}

/// Gets a password, prepared: from `file` if there is one, else from `FEIGE_PASSWORD`, else from the person at the
/// terminal, who is asked with `prompt`; twice if `new`, because nobody sees what he types.
///
/// # Errors
/// A [`Failure`] of usage that says which of them is wrong, or how to give a password; [`Exit::Interrupted`] if the person
/// pressed Ctrl-C. From then on Ctrl-C does nothing unless somebody watches for the signal.
pub fn obtain(file: Option<&Path>, prompt: &str, new: bool) -> Result<String, Failure> {
    if let Some(file) = file {
        return prepare(&read(file)?).map_err(|error| Failure::usage(format!("{}: {error}", file.display())));
    }
    if let Some(password) = std::env::var_os(VARIABLE) {
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{VARIABLE}: {error}"));
        let password = password.into_string().map_err(|_| wrong(&"not UTF-8"))?;
        return prepare(&password).map_err(|error| wrong(&error));
    }
    // Standard input may be the file that is sent: the password is read from the terminal itself.
    if !std::io::stdin().is_terminal() && !std::io::stderr().is_terminal() {
        return Err(Failure::usage(format!("a password is needed: --password-file FILE, {VARIABLE}, or a terminal")));
    }
    let typed = ask(prompt)?;
    let password = prepare(&typed).map_err(|error| Failure::usage(error.to_string()))?;
    if new && ask("The same again: ")? != typed {
        return Err(Failure::usage("these were two different passwords: nothing was changed"));
    }
    Ok(password)
}

/// Asks the person at the terminal.
fn ask(prompt: &str) -> Result<String, Failure> {
    // While somebody types, the terminal does not echo, nor make signals of keys. Ctrl-C is read as a character, and
    // `rpassword` raises the signal before it has put the terminal right: that must not end the program yet.
    let held = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::default());
    // SIGTERM ends it: whoever watches for it to end something cleanly has nothing under way yet.
    let ended = signal_hook::flag::register_conditional_shutdown(
        signal_hook::consts::SIGTERM,
        Exit::Terminated.code().into(),
        Arc::new(AtomicBool::new(true)),
    );
    let answer = rpassword::prompt_password(prompt);
    for id in [held, ended] {
        let id = id.map_err(|error| Failure::new(format!("cannot watch for signals: {error}")))?;
        signal_hook::low_level::unregister(id);
    }
    answer.map_err(|error| match error.kind() {
        ErrorKind::Interrupted => Failure { exit: Exit::Interrupted, message: "interrupted".to_owned() },
        _ => Failure::usage(format!("cannot ask for the password ({error}): give --password-file FILE or {VARIABLE}")),
    })
}

/// The only line of a file.
fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("the password file {}: {why}", path.display()));
    let mut octets = Vec::new();
    // One octet more than there can be with a line end, so that what is too long is seen to be.
    let limit = u64::try_from(LONGEST + 3).unwrap_or(u64::MAX);
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut octets));
    read.map_err(|error| wrong(&error))?;
    let text = std::str::from_utf8(&octets);
    // A character may have been cut in two, of something that is too long anyway.
    let text =
        text.map_err(|error| wrong(if error.error_len().is_none() { &BadPassword::TooLong } else { &"not UTF-8" }))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return Err(wrong(&"more than one line; it is to hold the password and nothing else"));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4013, section 3.
    #[test]
    fn passwords_are_normalised() {
        for (typed, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            // Composed and decomposed, full-width, and another space.
            ("e\u{301}", "\u{e9}"),
            ("ｐａｓｓ１", "pass1"),
            ("a\u{3000}b", "a b"),
            ("密码", "密码"),
            (" a ", " a "),
        ] {
            assert_eq!(prepare(typed).as_deref(), Ok(prepared), "{typed:?}");
        }
        for (typed, error) in [
            ("", BadPassword::Empty),
            ("\u{ad}", BadPassword::Empty),
            ("\u{7}", BadPassword::NotPlain),
            ("a\0", BadPassword::NotPlain),
            ("\u{627}1", BadPassword::NotPlain),
            ("\u{e000}", BadPassword::NotPlain),
            ("🕊", BadPassword::NotPlain),
            (&"x".repeat(LONGEST + 1), BadPassword::TooLong),
            // One character that becomes eighteen.
            (&"\u{fdfa}".repeat(300), BadPassword::TooLong),
        ] {
            assert_eq!(prepare(typed), Err(error), "{typed:?}");
        }
        assert!(prepare(&"x".repeat(LONGEST)).is_ok());
    }

    #[test]
    fn a_file_holds_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        let obtained = |octets: &[u8]| {
            std::fs::write(&path, octets).expect("written");
            obtain(Some(&path), "", false).map_err(|failure| {
                assert_eq!(failure.exit, Exit::Usage);
                failure.message
            })
        };
        for good in ["geheim", "geheim\n", "geheim\r\n"] {
            assert_eq!(obtained(good.as_bytes()).as_deref(), Ok("geheim"));
        }
        assert_eq!(obtained(b" two words \n").as_deref(), Ok(" two words "));
        assert_eq!(obtained(&[b'x'; LONGEST]).map(|password| password.len()), Ok(LONGEST));
        let lines = [b"x".repeat(LONGEST), b"\r\n".to_vec()].concat();
        assert_eq!(obtained(&lines).map(|password| password.len()), Ok(LONGEST));
        for (bad, says) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"one\ntwo\n", "more than one line"),
            (b"\xff\xfe", "not UTF-8"),
            (&[b'x'; 5000], "at most 1024"),
            (&"é".repeat(5000).into_bytes(), "at most 1024"),
        ] {
            let message = obtained(bad).expect_err("refused");
            assert!(message.contains(says) && message.contains("password"), "{message}");
        }
        let missing = obtain(Some(&folder.path().join("none")), "", false).expect_err("there is none");
        assert!(missing.message.contains("none"), "{missing}");
    }
}
