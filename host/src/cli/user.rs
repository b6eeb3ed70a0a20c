//! `feige user`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::accounts::file::parse_size;
use crate::accounts::user_name;

/// `feige user`
#[derive(Args, Clone, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  feige user add alice --users users.toml --quota 10GiB
  feige user passwd alice --users users.toml
  pwgen 20 1 > secret
  feige user add backup --users users.toml --password-file secret
  feige user quota alice none --users users.toml
  feige --json user list --users users.toml

The file holds no passwords, only what checks them, and may be edited by hand (home, disabled). \
A running `feige serve` takes notice by itself."
)]
pub struct User {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
    /// The file of the accounts; `add` makes it if it is not there.
    #[arg(long, global = true, env = "FEIGE_USERS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub users: Option<PathBuf>,
}

/// What to do with accounts.
#[derive(Clone, Debug, Subcommand)]
pub enum UserAction {
    /// Add a user.
    Add(UserAdd),
    /// Give a user another password.
    Passwd(UserPasswd),
    /// Remove a user; the files stay.
    Remove {
        /// Who.
        #[arg(value_parser = user_name)]
        name: String,
    },
    /// List the users.
    List,
    /// Limit what a user may store.
    Quota {
        /// Who.
        #[arg(value_parser = user_name)]
        name: String,
        /// A size like 10GiB, 500MB or 4096 (octets); `none`: as much as the disk takes.
        #[arg(value_name = "SIZE|none")]
        quota: Quota,
    },
}

/// `feige user add`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige user add alice --users users.toml
  feige user add bob --users users.toml --quota 500MB --password-file secret")]
pub struct UserAdd {
    /// The name: letters a to z, digits, `.`, `_` and `-`.
    #[arg(value_parser = user_name)]
    pub name: String,
    /// What the user may store: a size like 10GiB, 500MB or 4096 (octets) [default: as much as the disk takes].
    #[arg(long, env = "FEIGE_QUOTA", value_name = "SIZE|none")]
    pub quota: Option<Quota>,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordOptions,
}

/// `feige user passwd`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige user passwd alice --users users.toml
  feige user passwd alice --users users.toml --password-file new-password")]
pub struct UserPasswd {
    /// Who.
    #[arg(value_parser = user_name)]
    pub name: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordOptions,
}

/// Where a password comes from.
#[derive(Args, Clone, Debug)]
pub struct PasswordOptions {
    /// The file whose only line is the password [default: the variable FEIGE_PASSWORD, else asked for].
    #[arg(long, env = "FEIGE_PASSWORD_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
}

/// A size, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota(pub Option<u64>);

impl std::str::FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            size => parse_size(size).map(Some).map(Self).map_err(|error| format!("{error}, or `none`")),
        }
    }
}
