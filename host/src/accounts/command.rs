//! `feige user`: from options to exit code.

use std::io::{self, Write};
use std::path::Path;

use bytesize::ByteSize;
use serde::Serialize;

use super::file::{Change, Table, has_folder, no_such_user};
use super::{Account, ITERATIONS, OwnedVerifier, password};
use crate::cli::{OutputOptions, Quota, User, UserAction, UserAdd, UserPasswd};
use crate::exit::{Exit, Failure};
use crate::stdout::print;

/// Runs `feige user`.
///
/// # Errors
/// A [`Failure`]: of usage if the file, the name or the password is wrong; otherwise if it cannot be done.
pub fn run(user: &User, output: &OutputOptions) -> Result<Exit, Failure> {
    let Some(path) = &user.users else {
        return Err(Failure::usage("which accounts? Name the file: --users FILE, or FEIGE_USERS"));
    };
    match &user.action {
        UserAction::Add(add) => self::add(path, add, output),
        UserAction::Passwd(passwd) => self::passwd(path, passwd, output),
        UserAction::Remove { name } => {
            let mut change = Change::begin(path, false)?;
            change.remove(name)?;
            change.commit()?;
            said(output, "removed", name, None)
        }
        UserAction::Quota { name, quota: Quota(quota) } => {
            let mut change = Change::begin(path, false)?;
            change.set_quota(name, *quota)?;
            change.commit()?;
            said(output, "changed", name, Some(*quota))
        }
        UserAction::List => list(path, output),
    }
}

fn add(path: &Path, add: &UserAdd, output: &OutputOptions) -> Result<Exit, Failure> {
    let name = &add.name;
    let taken = |table: &Table| match table.accounts.get(name) {
        Some(_) => {
            Err(Failure::new(format!("there is a user `{name}` already; `feige user passwd` changes the password")))
        }
        None => Ok(()),
    };
    // Before anybody types a password in vain, and once more when nobody else can change it.
    if path.exists() || !has_folder(path) {
        taken(&Table::read(path)?.0)?;
    }
    let verifier = new_verifier(name, add.password.password_file.as_deref())?;
    let mut change = Change::begin(path, true)?;
    taken(change.table())?;
    change.set_verifier(name, &verifier)?;
    let quota = add.quota.and_then(|Quota(quota)| quota);
    change.set_quota(name, quota)?;
    change.commit()?;
    said(output, "added", name, Some(quota))
}

fn passwd(path: &Path, passwd: &UserPasswd, output: &OutputOptions) -> Result<Exit, Failure> {
    let name = &passwd.name;
    let there = |table: &Table| match table.accounts.get(name) {
        Some(_) => Ok(()),
        None => Err(no_such_user(name, &path.display())),
    };
    there(&Table::read(path)?.0)?;
    let verifier = new_verifier(name, passwd.password.password_file.as_deref())?;
    let mut change = Change::begin(path, false)?;
    there(change.table())?;
    change.set_verifier(name, &verifier)?;
    change.commit()?;
    said(output, "changed", name, None)
}

fn new_verifier(name: &str, file: Option<&Path>) -> Result<OwnedVerifier, Failure> {
    let password = password::obtain(file, &format!("New password of {name}: "), true)?;
    OwnedVerifier::new(&password, ITERATIONS)
}

/// What `--json` prints about an account.
#[derive(Serialize)]
struct Line<'a> {
    event: &'a str,
    user: &'a str,
    /// `None` leaves it out, `Some(None)` is null: no quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
}

fn said(output: &OutputOptions, what: &str, name: &str, quota: Option<Option<u64>>) -> Result<Exit, Failure> {
    print(|out| {
        if output.json {
            line(out, &Line { event: what, user: name, quota, home: None, disabled: None })
        } else if output.quiet {
            Ok(())
        } else {
            let quota = quota.map(|quota| format!(", quota {}", shown(quota))).unwrap_or_default();
            writeln!(out, "{name}: {what}{quota}")
        }
    })
}

fn list(path: &Path, output: &OutputOptions) -> Result<Exit, Failure> {
    let accounts = Table::read(path)?.0.accounts;
    print(|out| {
        if output.json {
            return accounts.iter().try_for_each(|(name, account)| {
                let Account { quota, home, disabled, .. } = account;
                let (quota, home, disabled) = (Some(*quota), Some(home.as_str()), Some(*disabled));
                line(out, &Line { event: "user", user: name, quota, home, disabled })
            });
        }
        let width = accounts.keys().map(String::len).max().unwrap_or_default();
        accounts.iter().try_for_each(|(name, account)| {
            let (quota, home) = (shown(account.quota), &account.home);
            let disabled = if account.disabled { "  disabled" } else { "" };
            writeln!(out, "{name:width$}  quota {quota:>10}  home {home}{disabled}")
        })
    })
}

fn shown(quota: Option<u64>) -> String {
    quota.map_or_else(|| "none".to_owned(), |quota| ByteSize(quota).to_string())
}

fn line(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
