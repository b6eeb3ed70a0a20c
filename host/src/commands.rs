//! The commands that use the network, from options to exit code.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{self, Accept, Cli, NetworkOptions, Which};
use crate::control::{Request, Send};
use crate::engine::job::Origin;
use crate::engine::{self, Engine, Mode};
use crate::exit::{Exit, Failure};
use crate::service::{self, Report};
use crate::ui::Screen;

/// A text longer than this is no message.
const LONGEST_TEXT: u64 = 1 << 20;

/// `feige listen`
///
/// # Errors
/// A [`Failure`], see [`Engine::start`].
pub fn listen(cli: &Cli, listen: cli::Listen) -> Result<Exit, Failure> {
    let screen = Screen::new(&cli.output);
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let prompt = listen.accept == Accept::Ask && terminal && !screen.is_json();
    let mode = Mode::Listen { accept: listen.accept, dir: listen.dir, once: listen.once, prompt };
    let mut engine = Engine::start(&cli.network, mode, screen)?;
    if let Some(status) = &listen.status {
        engine.set_away(Some(status));
    }
    engine.end_after(listen.time);
    engine.run()
}

/// `feige tui`
///
/// # Errors
/// A [`Failure`]: there is no terminal, or as [`Engine::start`].
pub fn tui(cli: &Cli, tui: cli::Tui) -> Result<Exit, Failure> {
    if cli.output.json || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("the full screen needs a terminal; `feige listen` does without one"));
    }
    let screen = Screen::full(&cli.output, &engine::nick(&cli.network));
    let mode = Mode::Listen { accept: tui.accept, dir: tui.dir, once: false, prompt: true };
    let mut engine = Engine::start(&cli.network, mode, screen)?;
    if let Some(status) = &tui.status {
        engine.set_away(Some(status));
    }
    engine.run()
}

/// `feige members`
///
/// # Errors
/// A [`Failure`], see [`Engine::start`].
pub fn members(cli: &Cli, wait: Duration) -> Result<Exit, Failure> {
    ask_or_do(cli, Request::Members { wait })
}

/// `feige send`
///
/// # Errors
/// A [`Failure`], see [`Engine::start`].
pub fn send(cli: &Cli, send: cli::Send) -> Result<Exit, Failure> {
    let text = text(send.message, send.files.is_empty())?;
    let mut files = Vec::with_capacity(send.files.len());
    for path in send.files {
        files.push(absolute(&path)?);
    }
    if text.is_empty() && files.is_empty() {
        return Err(Failure::usage("there is nothing to send: give a text or --file"));
    }
    if send.to.is_empty() {
        return Err(Failure::usage("WHO is needed: an address, a member's name, or `all`"));
    }
    ask_or_do(cli, Request::Send(Send { to: send.to, text, files, sealed: send.sealed, wait: send.wait }))
}

/// `feige serve`
///
/// # Errors
/// A [`Failure`], see [`service::serve`].
pub fn serve(cli: &Cli, serve: cli::Serve) -> Result<Exit, Failure> {
    let cli::Serve { dir, listen, users, guest: guests, max_connections } = serve;
    let report = Report::new(&cli.output);
    let ended =
        service::serve(&service::Options { dir, listen, users, guests, max_connections, report: report.clone() });
    report.end(ended)
}

/// `feige offers`, `feige get-offer`, `feige away`, `feige back`: only a running instance can do it.
///
/// # Errors
/// A [`Failure`] if there is none, or with what it says.
pub fn ask(cli: &Cli, request: &Request) -> Result<Exit, Failure> {
    let mut screen = Screen::new(&cli.output);
    match running(&cli.network) {
        Some(running) => running.ask(request, &mut screen),
        None => Err(Failure::new(format!(
            "no `feige listen` of this account runs on {} port {}; start one, or name its --bind and --port",
            cli.network.bind, cli.network.port
        ))),
    }
}

/// The request for `feige get-offer`.
#[must_use]
pub fn get_offer(which: &[Which]) -> Request {
    let numbers = which.iter().map(|which| match which {
        Which::All => None,
        Which::Number(number) => Some(*number),
    });
    // One `all` among numbers is all.
    Request::GetOffer { which: numbers.collect::<Option<Vec<u32>>>().unwrap_or_default() }
}

/// Lets the instance that has the port do it, or does it here.
fn ask_or_do(cli: &Cli, request: Request) -> Result<Exit, Failure> {
    let mut screen = Screen::new(&cli.output);
    if let Some(running) = running(&cli.network) {
        screen.detail(|| "the running `feige listen` does it".to_owned());
        return running.ask(&request, &mut screen);
    }
    // To an address no announcement is needed: only the recipient learns of us.
    let mut engine = Engine::start(&cli.network, Mode::OneShot, screen)?;
    engine.submit(request, Origin::Own);
    engine.run()
}

fn running(network: &NetworkOptions) -> Option<crate::control::Running> {
    crate::control::Running::find(network.bind, network.port)
}

/// The text of a message: the argument, or standard input for `-` and for nothing where a text is needed.
fn text(argument: Option<String>, needed: bool) -> Result<String, Failure> {
    match argument {
        Some(text) if text != "-" => return Ok(text),
        None if !needed => return Ok(String::new()),
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::usage("a text is needed: as argument, from standard input, or --file for a file"));
        }
        _ => {}
    }
    let mut octets = Vec::new();
    let read = std::io::stdin().lock().take(LONGEST_TEXT).read_to_end(&mut octets);
    read.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
    Ok(String::from_utf8_lossy(&octets).trim_end_matches(['\n', '\r']).to_owned())
}

/// The running instance has another working folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::usage(format!("cannot find {}: {error}", path.display())))
}
