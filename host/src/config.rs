//! The layers of configuration: command line, then environment, then file, then default.
//!
//! The file is TOML. Its keys are the long names of the options; what belongs to one command stands in a
//! table of the command's name. Values of the file become the *defaults* of the command line, so that
//! they are checked by the same parsers, and a new option needs no line here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Command, FromArgMatches};
use etcetera::BaseStrategy;
use toml::{Table, Value};

use crate::cli::Cli;
use crate::exit::{Exit, Failure};

/// Reads command line, environment and configuration file.
///
/// # Errors
/// A [`Failure`] with [`Exit::Usage`] that names the file and key at fault. Errors of the command line,
/// `--help` and `--version` come as [`Early::Clap`].
pub fn load(line: impl IntoIterator<Item = OsString>) -> Result<Cli, Early> {
    let line: Vec<OsString> = line.into_iter().collect();
    let mut command = crate::cli::command();
    if let Some((path, table)) = file(&line)? {
        command = with_defaults(command, &path, table)?;
    }
    let mut matches = command.try_get_matches_from_mut(line).map_err(Early::Clap)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| Early::Clap(error.format(&mut command)))
}

/// Why the program ends before it begins.
#[derive(Debug)]
pub enum Early {
    /// Help, version, or a wrong command line: clap prints it.
    Clap(clap::Error),
    /// The configuration is wrong.
    Failure(Failure),
}

impl From<Failure> for Early {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// The configuration file that is asked for, or the usual one if it is there.
fn file(line: &[OsString]) -> Result<Option<(PathBuf, Table)>, Failure> {
    let (path, must_exist) = match asked_for(line) {
        // That is the file of a peer, which may have a classic form and is changed while it runs.
        Some(_) if is_peer(line) => return Ok(None),
        Some(path) => (path, true),
        None => match usual_path() {
            Some(path) => (path, false),
            None => return Ok(None),
        },
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if !must_exist && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::usage(format!("cannot read the configuration {}: {error}", path.display()))),
    };
    let table = text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Failure::usage(format!("{}:{line}: {}", path.display(), error.message().replace('\n', ", ")))
    })?;
    Ok(Some((path, table)))
}

/// Whether the command is `peer`, whatever else may be wrong with the line.
fn is_peer(line: &[OsString]) -> bool {
    let matches = crate::cli::command().ignore_errors(true).try_get_matches_from(line);
    matches.is_ok_and(|matches| matches.subcommand_name() == Some("peer"))
}

/// `--config` or `FEIGE_CONFIG`, found before the command line can be read as a whole.
fn asked_for(line: &[OsString]) -> Option<PathBuf> {
    let mut arguments = line.iter().skip(1).take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|argument| argument.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("FEIGE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// `feige/config.toml` in the platform's configuration folder.
#[must_use]
pub fn usual_path() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("feige").join("config.toml"))
}

/// The folder for what must survive a restart.
#[must_use]
pub fn state_dir() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("feige"))
}

/// Puts the values of a file in the place of the defaults.
fn with_defaults(mut command: Command, path: &Path, table: Table) -> Result<Command, Failure> {
    for (key, value) in table {
        if let Value::Table(table) = value {
            if command.find_subcommand(&key).is_none() {
                return Err(unknown(path, &format!("[{key}]")));
            }
            for (inner, value) in table {
                let sub = command.find_subcommand(&key).filter(|sub| has_option(sub, &inner));
                let Some(sub) = sub else { return Err(unknown(path, &format!("{key}.{inner}"))) };
                let values = checked(sub, path, &inner, &value)?;
                command = command.mut_subcommand(&key, |sub| with_default(sub, &inner, &values));
            }
        } else {
            if !has_option(&command, &key) {
                return Err(unknown(path, &key));
            }
            let values = checked(&command, path, &key, &value)?;
            command = with_default(command, &key, &values);
        }
    }
    Ok(command)
}

fn unknown(path: &Path, key: &str) -> Failure {
    Failure::usage(format!("{}: {key} is not known; keys are the long options of `feige --help`", path.display()))
}

/// Whether some value in the file, outside of the tables of commands, may have this name.
pub(crate) fn is_option(name: &str) -> bool {
    has_option(&crate::cli::command(), name)
}

fn has_option(command: &Command, name: &str) -> bool {
    name != "config" && command.get_arguments().any(|argument| argument.get_long() == Some(name))
}

fn with_default(command: Command, name: &str, values: &[String]) -> Command {
    command.mut_args(|argument| {
        if argument.get_long() == Some(name) { argument.default_values(values.to_vec()) } else { argument }
    })
}

/// The values as the command line would have them, tried with the option's own parser so that an error can
/// name the file.
fn checked(command: &Command, path: &Path, name: &str, value: &Value) -> Result<Vec<String>, Failure> {
    let wrong = || Failure::usage(format!("{}: {name} cannot be {value}", path.display()));
    let values = match value {
        Value::Array(values) => values.iter().map(scalar).collect::<Option<Vec<_>>>(),
        value => scalar(value).map(|value| vec![value]),
    }
    .ok_or_else(wrong)?;
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name)).ok_or_else(wrong)?;
    let alone = Command::new("feige").no_binary_name(true).disable_help_flag(true);
    if argument.get_action().takes_values() {
        let line = values.iter().map(|value| format!("--{name}={value}"));
        let argument = argument.clone().env(None::<&str>).default_values(Vec::<String>::new());
        alone.arg(argument).try_get_matches_from(line).map(drop).map_err(|error| {
            let text = error.to_string();
            let text = text.trim_start_matches("error: ").lines().next().unwrap_or_default().to_owned();
            Failure { exit: Exit::Usage, message: format!("{}: {text}", path.display()) }
        })?;
    } else if !matches!(value, Value::Boolean(_) | Value::Integer(0..=9)) {
        return Err(wrong());
    }
    Ok(values)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &str, line: &[&str]) -> Result<Cli, String> {
        let command = with_defaults(crate::cli::command(), Path::new("c.toml"), file.parse().expect("TOML"))
            .map_err(|failure| failure.message)?;
        let mut matches = command.try_get_matches_from(line).map_err(|error| error.to_string())?;
        Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_gives_defaults_and_the_line_wins() {
        let file = "nick = 'Alice'\nport = 4000\njson = true\nverbose = 2\nbroadcast = ['10.0.0.255', '10.1.0.255']\n\
                    [listen]\naccept = 'all'\nfor = '2m'\nonce = true\n";
        let cli = parse(file, &["feige", "listen", "--port", "5000"]).expect("a good file");
        assert_eq!(cli.network.nick.as_deref(), Some("Alice"));
        assert_eq!(cli.network.port, 5000);
        assert_eq!(cli.network.broadcast.len(), 2);
        assert!(cli.output.json);
        assert_eq!(cli.output.verbose, 2);
        let crate::cli::Command::Listen(listen) = cli.command else { panic!("listen") };
        assert!(listen.once);
        assert_eq!(listen.accept, crate::cli::Accept::All);
        assert_eq!(listen.time, Some(std::time::Duration::from_secs(120)));
    }

    #[test]
    fn a_peer_has_a_file_of_its_own() {
        let is_peer = |line: &str| is_peer(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(is_peer("feige peer --config a.ini") && is_peer("feige --config a.ini -v peer --share x"));
        assert!(!is_peer("feige send peer hello --config a.toml") && !is_peer("feige --config peer listen"));
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        for (file, expected) in [
            ("colour = 'red'", "c.toml: colour is not known"),
            ("[lisen]\nonce = true", "c.toml: [lisen] is not known"),
            ("[listen]\nport = 1", "c.toml: listen.port is not known"),
            ("port = 70000", "c.toml: invalid value '70000' for '--port <N>'"),
            ("json = 'yes'", "c.toml: json cannot be"),
            ("[listen]\naccept = 'some'", "c.toml: invalid value 'some' for '--accept <ACCEPT>'"),
            ("nick = 1.5", "c.toml: nick cannot be 1.5"),
        ] {
            let error = parse(file, &["feige", "listen"]).expect_err(file);
            assert!(error.contains(expected), "{file}: {error}");
        }
    }

    #[test]
    fn the_configuration_is_found_before_the_line_is_read() {
        let line = |line: &[&str]| asked_for(&line.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(line(&["feige", "listen", "--config", "a"]), Some("a".into()));
        assert_eq!(line(&["feige", "--config=b", "listen"]), Some("b".into()));
        assert_eq!(line(&["feige", "send", "x", "--", "--config=b"]), None);
    }
}
