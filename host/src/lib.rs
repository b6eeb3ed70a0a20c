//! The program `feige`: sockets, files, character sets, configuration, command line and screen around `feige-core`.
//!
//! | module | does |
//! |---|---|
//! | [`classic`] | files by the JSON dialects of network courses |
//! | [`cli`] | the command line |
//! | [`commands`] | the commands that use the network |
//! | [`config`] | command line, environment, file and defaults in layers |
//! | [`exit`] | the exit codes |
//! | [`service`] | `feige serve`: the verified transfer for many clients at once |
//! | [`accounts`] | who may sign in to `feige serve` |
//! | [`url`] | `feige://…` |
//! | [`charset`] | what peers write, and what they can read |
//! | [`decode`] | explains datagrams |
//! | [`control`] | how one instance asks another on this machine |
//! | [`net`] | sockets |
//! | [`digest`] | MD5 of blocks side by side, and of whole files |
//! | [`engine`] | the one thread that owns node and sockets |
//! | [`ui`] | what the user sees |
//! | `harmless` | text on its way to people |
//! | `stdout` | standard output, and what it means if it takes nothing |
//! | [`store`] | files and folders on disk: received safely, offered safely |
//! | [`peer`] | flooded search: share, settings, and how classic peers are spoken to |
//! | [`remote`] | the client of the verified transfer |
//! | [`home`] | the folder that the verified transfer reads and writes |
//! | [`transfer`] | files and folders over TCP: fetched and served |

#[cfg(not(unix))]
compile_error!(
    "Feige runs on Unix systems: its files, signals and control socket are theirs. The core runs everywhere: feige-core"
);

pub mod accounts;
mod bar;
pub mod charset;
pub mod classic;
pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod decode;
pub mod digest;
pub mod engine;
pub mod exit;
mod harmless;
pub mod home;
pub mod net;
pub mod peer;
pub mod remote;
pub mod service;
mod signals;
mod stdout;
pub mod store;
pub mod transfer;
pub mod ui;
pub mod url;

use std::ffi::OsString;
use std::io::Write as _;

use cli::{Cli, Color, Command};
use config::Early;
use control::Request;
use exit::{Exit, Failure};
use feige_core::text::Printable;

/// Runs the program with the arguments of `line`, of which the first is the program's name.
pub fn run(line: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match config::load(line) {
        Ok(cli) => cli,
        Err(Early::Failure(failure)) => return report(&failure),
        Err(Early::Clap(error)) => {
            let printed = error.print();
            if error.use_stderr() {
                return Exit::Usage;
            }
            // Help and version are no errors.
            let failure = printed.err().as_ref().and_then(stdout::failure);
            return failure.map_or(Exit::Done, |failure| report(&failure));
        }
    };
    match cli.output.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    match command(cli) {
        Ok(exit) => exit,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> Exit {
    // One line, whatever the names in it are.
    anstream::eprintln!("feige: {}", Printable::line(&failure.message));
    failure.exit
}

fn command(mut cli: Cli) -> Result<Exit, Failure> {
    // Taken out, so that what is left can be lent with it.
    let command = std::mem::replace(&mut cli.command, Command::Back);
    match command {
        Command::Listen(listen) => commands::listen(&cli, listen),
        Command::Tui(tui) => commands::tui(&cli, tui),
        Command::Members(members) => commands::members(&cli, members.wait),
        Command::Send(send) => commands::send(&cli, send),
        Command::Offers => commands::ask(&cli, &Request::Offers),
        Command::GetOffer(get) => commands::ask(&cli, &commands::get_offer(&get.which)),
        Command::Away(away) => commands::ask(&cli, &Request::Away { text: away.text }),
        Command::Back => commands::ask(&cli, &Request::Back),
        Command::Get(get) => remote::command::get(&cli.output, &get),
        Command::Put(put) => remote::command::put(&cli.output, &put),
        Command::Ls(ls) => remote::command::ls(&cli.output, &ls),
        Command::Cat(cat) => remote::command::cat(&cli.output, &cat),
        Command::Mkdir(mkdir) => remote::command::mkdir(&cli.output, &mkdir),
        Command::Rm(rm) => remote::command::rm(&cli.output, &rm),
        Command::Rmdir(rmdir) => remote::command::rmdir(&cli.output, &rmdir),
        Command::Mv(mv) => remote::command::mv(&cli.output, &mv),
        Command::Df(df) => remote::command::df(&cli.output, &df),
        Command::Shell(shell) => remote::shell::shell(&cli.output, &shell),
        Command::Sum(sum) => remote::command::sum(&cli.output, &sum),
        Command::User(user) => accounts::command::run(&user, &cli.output),
        Command::Peer(peer) => peer::command::peer(&cli.output, &peer),
        Command::Find(find) => peer::command::find(&cli.output, &find),
        Command::Fetch(fetch) => peer::command::fetch(&cli.output, &fetch),
        Command::Serve(serve) => commands::serve(&cli, serve),
        Command::Decode(decode) => {
            decode::run(&decode, charset::Policy::new(cli.network.charset.forced()), cli.output.json)
        }
        Command::Completions(completions) => {
            // Not at once to standard output: what that does not take would be a panic.
            let mut script = Vec::new();
            clap_complete::generate(completions.shell, &mut cli::command(), "feige", &mut script);
            stdout::print(|out| out.write_all(&script))
        }
    }
}
