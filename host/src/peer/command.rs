//! `feige peer`, `feige find` and `feige fetch`, from options to exit code.

use std::path::PathBuf;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_core::text::Printable;
use feige_core::wire::flood::{What, classic};

use super::event::Event;
use super::prompt::Prompt;
use super::run::{ANYWHERE, Peer};
use super::seek::{Seeker, nobody_has};
use super::settings::{Neighbour, Settings, SettingsFile};
use crate::cli::{self, OutputOptions};
use crate::exit::{Exit, Failure};
use crate::remote::{Report as Telling, Signals};
use crate::service::Report;

/// How long a neighbour may take until there is a link to it.
const LINK_TIME: Duration = Duration::from_secs(5);

/// `feige peer`
///
/// # Errors
/// A [`Failure`]: the settings make no sense, or the folder or port cannot be had.
pub fn peer(output: &OutputOptions, peer: &cli::Peer) -> Result<Exit, Failure> {
    let file = output.config.as_deref().map(|path| SettingsFile::read(path, peer.id)).transpose();
    let file = file.map_err(|error| Failure::usage(error.to_string()))?;
    let mut settings = file.as_ref().map_or_else(Settings::default, |file| file.settings().clone());
    let cli::Peer { id, listen, share, neighbours, ttl, networks, max_connections, max_size } = peer.clone();
    settings.id = id.or(settings.id);
    settings.listen = listen.unwrap_or(settings.listen);
    settings.share = share.unwrap_or(settings.share);
    settings.ttl = ttl.unwrap_or(settings.ttl);
    settings.max_connections = max_connections.unwrap_or(settings.max_connections);
    settings.max_size = max_size.unwrap_or(settings.max_size);
    settings.neighbours.extend(neighbours);
    settings.networks.extend(networks);
    Prompt::new(output, settings, file)?.run()
}

/// `feige find`
///
/// # Errors
/// A [`Failure`], of [`Exit::Nobody`] if nobody has it.
pub fn find(output: &OutputOptions, find: &cli::Find) -> Result<Exit, Failure> {
    let report = Report::new(output);
    // What is wrong with it is said before anybody is dialled.
    parsed(&find.pattern, true)?;
    let asking = Asking::start(&report, find.via, find.ttl)?;
    let what = parsed(&find.pattern, asking.is_classic())?;
    asking.check(what)?;
    let count = asking.seeker(&report).find(what, find.wait, |hit| report.tell(&[Event::Hit(hit)]));
    match count {
        Ok(0) => Err(asking.signals.end(nobody_has(&what, find.ttl))),
        Ok(_) => report.written().map(|()| Exit::Done),
        Err(failure) => Err(asking.signals.end(failure)),
    }
}

/// `feige fetch`
///
/// # Errors
/// A [`Failure`]: nobody has it, or it could not be had.
pub fn fetch(output: &OutputOptions, fetch: &cli::Fetch) -> Result<Exit, Failure> {
    let report = Report::new(output);
    let what = parsed(&fetch.name, true)?;
    let asking = Asking { most: fetch.max_size.as_u64(), ..Asking::start(&report, fetch.via, fetch.ttl)? };
    asking.check(what)?;
    let mut telling = Telling::new(output);
    let fetched = asking.seeker(&report).fetch(what, &fetch.output, &mut telling);
    let fetched = fetched.and_then(|()| report.written());
    let written = telling.end(Exit::Done);
    fetched.map(|()| written).map_err(|failure| asking.signals.end(failure))
}

/// A peer that is there for one question.
struct Asking {
    peer: Peer,
    signals: Signals,
    via: Neighbour,
    ttl: u8,
    most: u64,
}

impl Asking {
    fn start(report: &Report, via: Neighbour, ttl: u8) -> Result<Self, Failure> {
        let signals = Signals::watch();
        let settings =
            Settings { listen: ANYWHERE, neighbours: vec![via], ttl, share: PathBuf::new(), ..Settings::default() };
        let peer = Peer::ask_only(&settings, &report.clone().hushed())?;
        if !peer.handle.wait_up(LINK_TIME, &signals.cancel) {
            let failure = if signals.cancel.is_cancelled() {
                Failure { exit: Exit::Interrupted, message: "interrupted".to_owned() }
            } else {
                Failure::nobody(format!("no peer answers at {}; is `feige peer` running there?", via.at))
            };
            return Err(signals.end(failure));
        }
        Ok(Self { peer, signals, via, ttl, most: u64::MAX })
    }

    /// Whether the neighbour is a classic program, which knows whole names only.
    fn is_classic(&self) -> bool {
        let links = self.peer.handle.status().map(|status| status.links).unwrap_or_default();
        links.iter().any(|(name, _)| name.starts_with(&self.via.at.to_string()) && name.ends_with(')'))
    }

    /// What a classic program cannot be asked for (R-FL-71).
    fn check(&self, what: What<'_>) -> Result<(), Failure> {
        let can = match what {
            What::Name(name) => classic::can_be_asked_for(name),
            _ => false,
        };
        if can || !self.is_classic() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} is a classic program, which can be asked for whole names without white space only: not for {what}",
            self.via.at
        )))
    }

    fn seeker<'s>(&'s self, report: &'s Report) -> Seeker<'s> {
        Seeker {
            handle: &self.peer.handle,
            ttl: self.ttl,
            most: self.most,
            port: self.peer.addr.port(),
            cancel: &self.signals.cancel,
            report,
        }
    }
}

/// What a pattern asks for: `md5:HEX`, or a `whole` name, or a part of one; stars around a part are as good as none.
///
/// # Errors
/// A [`Failure`] of usage: it begins like an MD5 and is none. No name that can be asked for begins so.
pub(super) fn parsed(pattern: &str, whole: bool) -> Result<What<'_>, Failure> {
    match pattern.strip_prefix("md5:") {
        Some(hex) => Digest::from_hex(hex)
            .map(What::Md5)
            .ok_or_else(|| Failure::usage(format!("{}: not an MD5: 32 hexadecimal digits", Printable::line(pattern)))),
        None if whole => Ok(What::Name(pattern)),
        None => Ok(What::Part(pattern.trim_matches('*'))),
    }
}
