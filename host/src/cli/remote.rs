//! `feige ls`, `get`, `put` and the other commands at a server.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum, ValueHint};
use feige_core::digest::Digest;

use super::{PasswordOptions, duration};
use crate::url::Url;

/// How a server is reached.
#[derive(Args, Clone, Debug)]
pub struct ServerOptions {
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordOptions,
    /// How long to go on trying after a connection broke, as long as nothing comes; 0s: not at all. However short it is, a
    /// silent server is waited for half a minute each time.
    #[arg(long, env = "FEIGE_RETRY", value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub retry: Duration,
}

/// `feige get`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige get feige://nas/report.pdf                    into this folder
  feige get feige://alice@nas/big.iso -o /tmp/        into another
  feige get -r feige://nas/photos -o backup           a whole folder, as backup
  feige get feige://nas/a feige://nas/b               several
  feige get --md5=9e107d9d372bb6826bd81d3542a419d6 feige://nas/fox.txt

A file gets its name only when it is whole and verified, a folder that is new here when all of it has come; its \
files are told of then, as JSON and with -v. What broke off goes on where it was, when the same command is given again. \
A file that is here already with the same size and time is left as it is; any other is replaced. The classic \
dialects tell no times: what they send replaces any file of its name.")]
pub struct Get {
    /// Files, or folders with -r.
    #[arg(value_name = "URL", required = true, value_hint = ValueHint::Url)]
    pub urls: Vec<Url>,
    /// A folder, or the new name.
    #[arg(short, long, env = "FEIGE_OUTPUT", value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
    pub output: PathBuf,
    /// How files are moved.
    #[command(flatten)]
    pub moving: MoveOptions,
    /// What the server speaks.
    #[arg(long, env = "FEIGE_DIALECT", value_name = "DIALECT", default_value = "native")]
    pub dialect: Dialect,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// What a server speaks. The classic dialects are those of programs that courses teach; the port 2426 in a URL stands for
/// the usual one of the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// The verified transfer of Feige.
    Native,
    /// Simple upload (port 8001).
    Upload,
    /// Put server (port 8080).
    Put,
    /// Remote command (port 8080): `get` prints what feige://host/COMMAND says.
    Command,
    /// Salted store (port 8002), with the folders img, video and the store itself.
    Salted,
}

/// How files are moved.
#[derive(Args, Clone, Debug)]
pub struct MoveOptions {
    /// Folders too, with all that is in them.
    #[arg(short, long, env = "FEIGE_RECURSIVE", value_parser = BoolishValueParser::new())]
    pub recursive: bool,
    /// Replace nothing: what is there already is an error.
    #[arg(long, env = "FEIGE_NO_CLOBBER", value_parser = BoolishValueParser::new())]
    pub no_clobber: bool,
    /// Tell the MD5 of whole files; with HEX, only a file that has it gets its name.
    #[arg(long, value_name = "HEX", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = md5)]
    pub md5: Option<Md5>,
}

/// The MD5 that a file is to have; or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Md5(pub Option<Digest>);

fn md5(text: &str) -> Result<Md5, String> {
    match text {
        "" => Ok(Md5(None)),
        text => match Digest::from_hex(text) {
            Some(digest) => Ok(Md5(Some(digest))),
            None => Err("an MD5 has 32 hexadecimal digits".to_owned()),
        },
    }
}

/// `feige put`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige put report.pdf feige://nas/                   into the home
  feige put report.pdf feige://nas/final.pdf          under another name
  feige put -r photos feige://alice@nas/backup/       a whole folder
  feige put a b c feige://nas/inbox/                  several

A file gets its name there only when it is whole and verified. What broke off goes on where it was, when the \
same command is given again. In a folder, files that are there already with the same size and time are \
passed over. A link to a file is sent as that file; links to folders, and out of the folder, are not.")]
pub struct Put {
    /// Files, or folders with -r.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// A folder (with a slash at the end, or if it is one), or the new name.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Url,
    /// How files are moved.
    #[command(flatten)]
    pub moving: MoveOptions,
    /// What the server speaks.
    #[arg(long, env = "FEIGE_DIALECT", value_name = "DIALECT", default_value = "native")]
    pub dialect: Dialect,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// `feige ls`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige ls feige://nas/
  feige ls -l -r feige://alice@nas/photos
  feige --json ls feige://nas/ | jq -r 'select(.size > 1000000) | .name'")]
pub struct Ls {
    /// Folders, or files.
    #[arg(value_name = "URL", required = true, value_hint = ValueHint::Url)]
    pub urls: Vec<Url>,
    /// Access rights, sizes in octets, and times too.
    #[arg(short, long, env = "FEIGE_LONG", value_parser = BoolishValueParser::new())]
    pub long: bool,
    /// Everything below, too.
    #[arg(short, long, env = "FEIGE_RECURSIVE", value_parser = BoolishValueParser::new())]
    pub recursive: bool,
    /// What the server speaks.
    #[arg(long, env = "FEIGE_DIALECT", value_name = "DIALECT", default_value = "native")]
    pub dialect: Dialect,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// `feige cat`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige cat feige://nas/notes.txt
  feige cat feige://nas/logs.tar.gz | tar tz

Every octet is verified before it is written.")]
pub struct Cat {
    /// Files.
    #[arg(value_name = "URL", required = true, value_hint = ValueHint::Url)]
    pub urls: Vec<Url>,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// `feige mkdir`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige mkdir feige://nas/inbox
  feige mkdir -p feige://nas/2026/11/25")]
pub struct Mkdir {
    /// Folders to be made.
    #[arg(value_name = "URL", required = true, value_hint = ValueHint::Url)]
    pub urls: Vec<Url>,
    /// Those above it too; and it is no error if it is there.
    #[arg(short, long, env = "FEIGE_PARENTS", value_parser = BoolishValueParser::new())]
    pub parents: bool,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// `feige rm`, `feige rmdir` and `feige sum`
#[derive(Args, Clone, Debug)]
pub struct Several {
    /// What.
    #[arg(value_name = "URL", required = true, value_hint = ValueHint::Url)]
    pub urls: Vec<Url>,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// `feige mv`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige mv feige://nas/draft.txt final.txt
  feige mv feige://nas/draft.txt feige://nas/archive/")]
pub struct Mv {
    /// A file or folder.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub from: Url,
    /// The new path on the same server; a folder means into it. A path without a slash in front is one in the folder
    /// where the file is.
    #[arg(value_name = "PATH|URL")]
    pub to: String,
    /// Replace a file of that name.
    #[arg(short, long, env = "FEIGE_FORCE", value_parser = BoolishValueParser::new())]
    pub force: bool,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// `feige df`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige df feige://alice@nas/               how much room is left in the home
  feige --json df feige://nas/")]
pub struct Df {
    /// A server, or anything in a home there.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Url,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// `feige shell`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige shell feige://alice@nas/
  printf 'cd photos\\nget -r 2026\\n' | feige shell feige://nas/

On a terminal with history and completion. From a pipe it ends at the first error, with its exit code.")]
pub struct Shell {
    /// A server, and the folder to begin in.
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub url: Url,
    /// How the server is reached.
    #[command(flatten)]
    pub server: ServerOptions,
}
