//! The command line: names, options, help. Scripts depend on it, so names are added and never changed.
//!
//! Every option but `--file` and `--md5` can also stand in the environment (`FEIGE_…`) and in the configuration file, see
//! [`crate::config`].

mod peer;
mod remote;
mod serve;
mod user;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use feige_core::wire::ipmsg;

pub use peer::{Fetch, Find, Peer};
pub use remote::{Cat, Df, Dialect, Get, Ls, Md5, Mkdir, MoveOptions, Mv, Put, ServerOptions, Several, Shell};
pub use serve::Serve;
pub use user::{PasswordOptions, Quota, User, UserAction, UserAdd, UserPasswd};

use crate::charset::Charset;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "feige",
    version,
    about = "Messages and files on the LAN, with IP Messenger, FeiQ, iptux and other Feiges",
    after_help = EXAMPLES,
    after_long_help = LONG_HELP,
    max_term_width = 110,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to print.
    #[command(flatten)]
    pub output: OutputOptions,
    /// Who we are and where.
    #[command(flatten)]
    pub network: NetworkOptions,
}

macro_rules! examples {
    () => {
        "\
Examples:
  feige listen --accept all --dir ~/Downloads   stay online, fetch what comes
  feige tui                                     the same on a full screen
  feige members                                 who is there
  feige send alice \"lunch?\"                     a message
  feige send 192.168.1.7 --file report/         a file, or a whole folder
  echo hello | feige send all                   to everybody
  feige serve share --guest read                serve a folder, verified
  feige put -r photos feige://alice@nas/        to a server; get: from there
  feige peer --share music                      share without a server
  feige find song --via 192.168.1.7:2427        search such shares"
    };
}

const EXAMPLES: &str = examples!();

const LONG_HELP: &str = concat!(
    examples!(),
    "

Options, but for --file and --md5, stand on the command line, in the environment as FEIGE_…, or in the \
configuration file (feige/config.toml in the platform's configuration folder); the first that has one wins:

  nick = \"Alice\"
  group = \"Dev\"
  broadcast = [\"192.168.1.255\"]

  [listen]
  accept = \"all\"
  dir = \"/home/alice/Downloads\"

Exit codes: 0 done, 1 failed, 2 usage, 3 nobody there, 4 refused or not authorised, \
5 a transfer ended short, or a digest did not match, 6 no space or quota, \
130 interrupted by Ctrl-C, 143 ended by SIGTERM, or SIGHUP"
);

/// The command line for clap.
#[must_use]
pub fn command() -> clap::Command {
    // That every option has its variable is said once; in each line it would drown the rest.
    let quiet = |argument: clap::Arg| {
        let argument = argument.hide_env(true);
        // A variable that is empty says nothing, as one that is not set.
        let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { argument.env(None::<&str>) } else { argument }
    };
    <Cli as clap::CommandFactory>::command().mut_args(quiet).mut_subcommands(|command| {
        let command = command.mut_args(quiet).disable_version_flag(true).disable_help_subcommand(true);
        command.mut_subcommands(|command| command.mut_args(quiet).disable_version_flag(true))
    })
}

/// How to print. These options may stand before or after the command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Print one JSON object per line, and nothing else, on standard output.
    #[arg(long, global = true, env = "FEIGE_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Print results and errors only.
    #[arg(short, long, global = true, env = "FEIGE_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// Explain more on standard error; twice for every datagram.
    #[arg(short, long, global = true, env = "FEIGE_VERBOSE", action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours (NO_COLOR and CLICOLOR_FORCE are honoured).
    #[arg(long, global = true, env = "FEIGE_COLOR", value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// The configuration file.
    #[arg(long, global = true, env = "FEIGE_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Who we are and where. These options may stand before or after the command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "IP Messenger")]
pub struct NetworkOptions {
    /// The UDP and TCP port.
    #[arg(long, global = true, env = "FEIGE_PORT", value_name = "N", default_value_t = ipmsg::PORT)]
    pub port: u16,
    /// The address to use on this machine.
    #[arg(long, global = true, env = "FEIGE_BIND", value_name = "IP", default_value_t = Ipv4Addr::UNSPECIFIED)]
    pub bind: Ipv4Addr,
    /// Announce to this broadcast address instead of every interface's; repeatable.
    #[arg(long, global = true, env = "FEIGE_BROADCAST", value_name = "IP", value_delimiter = ',')]
    pub broadcast: Vec<Ipv4Addr>,
    /// The log-on name that others see [default: this account's].
    #[arg(long, global = true, env = "FEIGE_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// The host name that others see [default: this machine's].
    #[arg(long, global = true, env = "FEIGE_HOSTNAME", value_name = "NAME")]
    pub hostname: Option<String>,
    /// The name shown in lists [default: the user].
    #[arg(long, global = true, env = "FEIGE_NICK", value_name = "NAME")]
    pub nick: Option<String>,
    /// The group shown in lists.
    #[arg(
        long,
        global = true,
        env = "FEIGE_GROUP",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub group: String,
    /// The character set of peers that do not announce theirs.
    #[arg(long, global = true, env = "FEIGE_CHARSET", default_value = "auto")]
    pub charset: CharsetOption,
}

/// The character set of peers that do not announce theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CharsetOption {
    /// UTF-8 for peers that announce it, else what a peer's octets fit, else Shift_JIS where Japanese is spoken and GBK
    /// elsewhere.
    Auto,
    /// UTF-8 for every peer.
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    /// GBK (as GB18030) for peers that do not announce UTF-8.
    #[value(alias = "gb18030", alias = "gb2312")]
    Gbk,
    /// Shift_JIS for peers that do not announce UTF-8.
    #[value(name = "shift_jis", alias = "shift-jis", alias = "sjis", alias = "cp932")]
    ShiftJis,
}

impl CharsetOption {
    /// The one that is asked for, if it is not `auto`.
    #[must_use]
    pub const fn forced(self) -> Option<Charset> {
        match self {
            Self::Auto => None,
            Self::Utf8 => Some(Charset::Utf8),
            Self::Gbk => Some(Charset::Gbk),
            Self::ShiftJis => Some(Charset::ShiftJis),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stay online: print members, messages and offers, and download what is accepted.
    Listen(Listen),
    /// The same on a full screen: members, conversations and transfers side by side.
    Tui(Tui),
    /// List who is there.
    Members(Members),
    /// Send a message, files or folders.
    Send(Send),
    /// List what was offered to the running `feige listen`.
    Offers,
    /// Let the running `feige listen` download what was offered, by the numbers that `offers` shows.
    GetOffer(GetOffer),
    /// Tell everybody that the running `feige listen` is away; it then answers messages by itself.
    Away(Away),
    /// Tell everybody that the running `feige listen` is back.
    Back,
    /// Download files and folders from a server, verified.
    Get(Get),
    /// Upload files and folders to a server, verified.
    Put(Put),
    /// List folders of a server.
    Ls(Ls),
    /// Write files of a server to standard output, verified.
    Cat(Cat),
    /// Make folders on a server.
    Mkdir(Mkdir),
    /// Remove files from a server.
    #[command(after_help = "\
Examples:
  feige rm feige://nas/old.txt
  feige rm feige://alice@nas/a feige://alice@nas/b")]
    Rm(Several),
    /// Remove empty folders from a server.
    #[command(after_help = "\
Examples:
  feige rmdir feige://nas/inbox
  feige rmdir feige://alice@nas/2026/11 feige://alice@nas/2026")]
    Rmdir(Several),
    /// Rename or move a file or folder on a server.
    Mv(Mv),
    /// Show how much room there is on a server.
    Df(Df),
    /// Print the MD5 of files on a server, as md5sum does.
    #[command(after_help = "\
Examples:
  feige sum feige://nas/big.iso
  feige sum feige://nas/a feige://nas/b | md5sum -c   compare with files here")]
    Sum(Several),
    /// Work at a server, command by command.
    Shell(Shell),
    /// Serve files to many at once, verified, with accounts and quotas.
    Serve(Serve),
    /// Add, change, remove and list the accounts of `feige serve`.
    User(User),
    /// Search without a server: share a folder, answer questions and pass them on.
    Peer(Peer),
    /// Ask a peer, and all those behind it, who has something.
    Find(Find),
    /// Find something, and download it from whoever has it, verified.
    Fetch(Fetch),
    /// Explain a datagram field by field.
    Decode(Decode),
    /// Print a completion script for a shell.
    Completions(Completions),
}

/// `feige listen`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige listen                               with a prompt that takes commands
  feige listen --accept all --dir inbox      fetch everything into a folder
  feige --json listen --once --for 1m        a script that waits for a message

While it runs, `feige send`, `members`, `offers`, `get-offer`, `away` and `back` in other terminals work \
through it: most programs connect to port 2425 whatever port they hear from, and only one program has it. \
With --json, or without a terminal, sealed messages are opened as they come, and their senders told so.")]
pub struct Listen {
    /// Which offers to download.
    #[arg(long, env = "FEIGE_ACCEPT", default_value = "ask")]
    pub accept: Accept,
    /// Where downloads go.
    #[arg(long, env = "FEIGE_DIR", value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// End after this time.
    #[arg(long = "for", id = "for", env = "FEIGE_FOR", value_name = "DURATION", value_parser = duration)]
    pub time: Option<Duration>,
    /// End after the first message or finished download.
    #[arg(long, env = "FEIGE_ONCE", value_parser = BoolishValueParser::new())]
    pub once: bool,
    /// Be away, with this text as automatic answer.
    #[arg(long, env = "FEIGE_STATUS", value_name = "TEXT")]
    pub status: Option<String>,
}

/// `feige tui`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige tui                                  members beside a conversation
  feige tui --dir ~/Downloads                downloads go there
  feige tui --nick Alice --group Dev

Up and Down choose a member, Enter sends, Ctrl-G downloads what is offered, F1 shows all keys and commands, \
Ctrl-C leaves. While it runs, `feige send` and the others in other terminals work through it.")]
pub struct Tui {
    /// Which offers to download.
    #[arg(long, env = "FEIGE_ACCEPT", default_value = "ask")]
    pub accept: Accept,
    /// Where downloads go.
    #[arg(long, env = "FEIGE_DIR", value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Be away, with this text as automatic answer.
    #[arg(long, env = "FEIGE_STATUS", value_name = "TEXT")]
    pub status: Option<String>,
}

/// Which offers to download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accept {
    /// All of them.
    All,
    /// None: the senders are told so.
    None,
    /// Those that are asked for, at the prompt or by `feige get-offer`.
    Ask,
}

/// `feige members`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige members
  feige --json members --wait 5s

Ends with exit code 3 if nobody answers.")]
pub struct Members {
    /// How long to collect answers.
    #[arg(long, env = "FEIGE_WAIT", value_name = "DURATION", value_parser = duration, default_value = "2s")]
    pub wait: Duration,
}

/// `feige send`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige send alice hello                by nickname, user, user@host or host
  feige send 192.168.1.7 \"see you at 5\"
  git log -1 | feige send 192.168.1.7   the message comes from standard input
  feige send bob --file photo.jpg --file notes/ \"for you\"
  feige send all \"the printer is back\"

A text is done when it was acknowledged. With files the program stays until they were downloaded or \
refused; --wait limits that.")]
pub struct Send {
    /// An address, an address and port, a member's name, or `all`.
    #[arg(value_name = "WHO")]
    pub to: String,
    /// The text, some 8,000 octets at most; `-`, or none without files, reads it from standard input.
    pub message: Option<String>,
    /// Offer this file or folder; repeatable. Of a folder, links and what is neither a file nor a folder stay here.
    #[arg(long = "file", short = 'f', value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Seal the message: it shows only when it is opened, and we are told.
    #[arg(long, env = "FEIGE_SEALED", value_parser = BoolishValueParser::new())]
    pub sealed: bool,
    /// Give up after this time.
    #[arg(long, env = "FEIGE_WAIT", value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// `feige get-offer`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige get-offer 3
  feige get-offer 1 2 5
  feige get-offer all")]
pub struct GetOffer {
    /// Numbers as `feige offers` shows them, or `all`.
    #[arg(value_name = "N", required = true)]
    pub which: Vec<Which>,
}

/// Which files of those that were offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// The one with this number.
    Number(u32),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            _ => text.parse().map(Self::Number).map_err(|_| "a number or `all` is needed".to_owned()),
        }
    }
}

/// `feige away`
#[derive(Args, Clone, Debug)]
pub struct Away {
    /// What others read.
    #[arg(value_name = "TEXT", default_value = "away")]
    pub text: String,
}

/// `feige decode`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  feige decode 313a313a613a623a333a416c69636500
  feige decode datagram.bin
  nc -ul 2425 | feige decode -

Files and standard input hold the octets themselves, or hexadecimal digits.")]
pub struct Decode {
    /// Hexadecimal digits, `-` for standard input, or a file.
    #[arg(value_name = "HEX|-|FILE", default_value = "-", hide_default_value = true, value_hint = ValueHint::FilePath)]
    pub input: String,
}

/// `feige completions`
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// A duration like `10s`, `500ms`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; durations look like 10s, 500ms or 2m"))
}

/// An address with a port.
fn endpoint<A: std::str::FromStr>(text: &str) -> Result<A, String> {
    text.parse().map_err(|_| "an address and a port are needed, such as 127.0.0.1:2427".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    /// Examples would be broken anywhere, and prose is broken by clap: were it broken before, some lines had a word or two.
    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        fn check(command: &clap::Command) {
            for help in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten() {
                let help = help.to_string();
                let mut was_prose = false;
                for line in help.lines() {
                    let is_prose = !["", "Examples:"].contains(&line) && !line.starts_with(' ');
                    assert!(is_prose || line.chars().count() < 80, "{}: {line}", command.get_name());
                    assert!(!(is_prose && was_prose), "{}: {line}", command.get_name());
                    was_prose = is_prose;
                }
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("10").is_err());
        assert!(duration("soon").is_err());
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in [
            &["feige", "--port", "4000", "--json", "listen", "--once"][..],
            &["feige", "listen", "--once", "--json", "--port", "4000"],
        ] {
            let cli = Cli::try_parse_from(line).expect("both orders");
            assert_eq!(cli.network.port, 4000);
            assert!(cli.output.json);
            assert!(matches!(cli.command, Command::Listen(Listen { once: true, .. })));
        }
    }
}
