//! Looking for something, and fetching it from whoever has it.
//!
//! ```text
//!   search, ring by ring --> the first hit --> fetched --> verified --> there
//!                                                 |  not to be had
//!                                                 +--> the next holder, at most three
//!                                                         |  nobody else said so
//!   search, everybody at once <---------------------------+
//! ```
//! **Guarantees**: one download at a time for a search, from holders that answered it; a file is there under its name
//! only when it is whole and has the MD5 that its holder said, a folder only when all of it is there that can be had.
//! **Protocol**: R-FL-60 to 66, R-FL-80 to 89.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::{Duration, Instant};

use feige_core::flood::Plan;
use feige_core::stream::transfer::Credentials;
use feige_core::text::Printable;
use feige_core::wire::flood::{Speech, What};
use feige_core::wire::transfer::{self, EntryKind};

use super::classic::fetch;
use super::event::{Event, Hit};
use super::hub::{Handle, Heard, address_towards};
use super::parcel::Limits;
use super::share::{Share, last, part_name};
use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::remote::{Most, Remote, Report as Telling, Wish, actions};
use crate::service::Report;
use crate::store::rename_new;
use crate::transfer::Cancel;

/// Files and folders that come with a folder, at most (R-FL-65).
const MOST_ENTRIES: u64 = 1_000_000;

/// Holders that are tried (R-FL-64).
const HOLDERS: usize = 3;

/// How long a holder is asked again that breaks off.
const RETRY: Duration = Duration::from_secs(10);

/// No wait is longer than this at a stretch.
const TICK: Duration = Duration::from_millis(100);

/// After a search that was not over by itself, hits are waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// When everybody should have answered and nobody has, those who are busy get this much longer.
const GRACE: Duration = Duration::from_secs(1);

/// When somebody has answered, others are heard until nobody has for so long.
const QUIET: Duration = Duration::from_millis(300);

/// What has to be at hand to look for something.
pub(super) struct Seeker<'s> {
    pub(super) handle: &'s Handle,
    pub(super) ttl: u8,
    /// Octets that may come for one search.
    pub(super) most: u64,
    /// The port at which classic programs find us.
    pub(super) port: u16,
    pub(super) cancel: &'s Cancel,
    pub(super) report: &'s Report,
}

impl Seeker<'_> {
    /// Tells all hits for `what`, for at most `time`, and returns how many there were.
    ///
    /// # Errors
    /// A [`Failure`] if nobody can be asked for that.
    pub(super) fn find(
        &self,
        what: What<'_>,
        time: Option<Duration>,
        mut hit: impl FnMut(Hit),
    ) -> Result<usize, Failure> {
        let search = self.handle.search(what, Plan::All, self.ttl)?;
        // A time that no clock can tell is for ever.
        let until = Instant::now().checked_add(time.unwrap_or(PATIENCE));
        let (mut count, mut over, mut heard) = (0, false, Instant::now());
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match search.next(left.map_or(TICK, |left| TICK.min(left))) {
                Some(Heard::Hit(one)) => {
                    count += 1;
                    heard = Instant::now();
                    hit(one);
                }
                Some(Heard::Over) => (over, heard) = (true, Instant::now()),
                Some(Heard::Refused(why)) => return Err(refused(&what, why)),
                None => {}
            }
            if self.cancel.is_cancelled() {
                return Err(Failure { exit: Exit::Interrupted, message: "interrupted".to_owned() });
            }
            let grace = if count > 0 { QUIET } else { GRACE };
            // Who names a time hears those who are slower than that.
            if until.is_some_and(|until| Instant::now() >= until) || time.is_none() && over && heard.elapsed() >= grace
            {
                return Ok(count);
            }
        }
    }

    /// Finds `what`, and fetches it to `to`: a folder, or a new name.
    ///
    /// # Errors
    /// A [`Failure`]: nobody has it, or it cannot be had from any of them.
    pub(super) fn fetch(&self, what: What<'_>, to: &Path, telling: &mut Telling) -> Result<(), Failure> {
        let place = Place::of(to);
        if place.name.is_some() {
            place.is_free("")?;
        }
        let mut began = Instant::now();
        let mut search = self.handle.search(what, Plan::First, self.ttl)?;
        let mut everybody = false;
        let mut tried: Vec<(SocketAddrV4, String)> = Vec::new();
        let mut last = None;
        let mut waiting = Vec::new();
        let mut over = None;
        loop {
            if self.cancel.is_cancelled() {
                return Err(Failure { exit: Exit::Interrupted, message: "interrupted".to_owned() });
            }
            let wait = if waiting.is_empty() { TICK } else { Duration::ZERO };
            match search.next(wait) {
                Some(Heard::Hit(hit)) => {
                    let is_it = |other: &Hit| (other.peer, &other.path) == (hit.peer, &hit.path);
                    // A classic holder answers each ring, and a bad one as often as it likes.
                    if !tried.contains(&(hit.peer, hit.path.clone())) && !waiting.iter().any(is_it) {
                        waiting.push(hit);
                    }
                    continue;
                }
                Some(Heard::Over) => over = over.or(Some(Instant::now())),
                Some(Heard::Refused(_)) if !tried.is_empty() => break,
                Some(Heard::Refused(why)) => return Err(refused(&what, why)),
                None => {}
            }
            if waiting.is_empty() {
                let is_over = over.is_some_and(|over| over.elapsed() > GRACE || !everybody && !tried.is_empty());
                if !is_over && began.elapsed() < PATIENCE {
                    continue;
                }
                if everybody || tried.is_empty() {
                    break;
                }
                // R-FL-64: the rings ended where the first hit came from, and others may be farther.
                search = self.handle.search(what, Plan::All, self.ttl)?;
                (everybody, began, over) = (true, Instant::now(), None);
                continue;
            }
            // R-FL-61: one after the other.
            let hit = waiting.remove(0);
            tried.push((hit.peer, hit.path.clone()));
            self.report.tell(&[Event::Hit(hit.clone())]);
            // R-FL-62: whoever has it, it would have this name.
            place.is_free(&hit.path)?;
            match self.fetch_from(&hit, to, telling) {
                Ok(came) => {
                    place.tidy(tried.iter().map(|(_, path)| path.as_str()));
                    return match came {
                        Came::Whole => Ok(()),
                        Came::ButForNames => Err(Failure::new(format!(
                            "{} is here, but for what has a name that cannot be used; rename that there, and fetch it \
                             by its new name",
                            Printable::line(&hit.path)
                        ))),
                    };
                }
                Err(failure) if matches!(failure.exit, Exit::Interrupted | Exit::Usage) => return Err(failure),
                // R-FL-64: also if it is too large, which may be true of this holder's alone.
                Err(failure) => {
                    let error = format!("{}: {}", Printable::line(&hit.path), failure.message);
                    self.report.tell(&[Event::Refused { from: hit.peer.to_string(), error }]);
                    last = Some(failure);
                }
            }
            if tried.len() >= HOLDERS {
                break;
            }
        }
        Err(last.map_or_else(
            || nobody_has(&what, self.ttl),
            |last| Failure {
                exit: last.exit,
                message: format!("{what} could not be had from those who have it; the last: {}", last.message),
            },
        ))
    }

    fn fetch_from(&self, hit: &Hit, to: &Path, telling: &mut Telling) -> Result<Came, Failure> {
        match hit.speech {
            Speech::Native => self.fetch_native(hit, to, telling),
            Speech::Classic => self.fetch_classic(hit, to).map(|()| Came::Whole),
        }
    }

    /// By the verified transfer (R-FL-60), under its last name, and only if there is none (R-FL-62).
    fn fetch_native(&self, hit: &Hit, to: &Path, telling: &mut Telling) -> Result<Came, Failure> {
        telling.restart();
        let mut remote = Remote::new(vec![hit.peer.into()], Credentials::Guest, RETRY, self.cancel.clone());
        // R-FL-65, R-FL-66.
        let most = Most { entries: MOST_ENTRIES, octets: self.most };
        if hit.size.is_some_and(|size| size > most.octets) {
            return Err(Failure {
                exit: Exit::NoSpace,
                message: format!("it is larger than the {} octets that may come; see --max-size", most.octets),
            });
        }
        // R-FL-63: the MD5 that the holder said, of the whole file.
        let wish = Wish { no_clobber: true, whole: true, md5: hit.md5.map(Some), most };
        let folder = hit.kind == EntryKind::Folder;
        actions::get(&mut remote, std::slice::from_ref(&hit.path), to, folder, wish, telling)?;
        telling.summary(folder);
        telling.flush();
        match telling.exit() {
            Exit::Done => Ok(Came::Whole),
            // R-FL-65: neither would it come another time, nor is it likely that another's copy has better names.
            _ if folder && telling.is_all_that_can_be() => Ok(Came::ButForNames),
            exit => Err(Failure { exit, message: "it did not come whole".to_owned() }),
        }
    }

    /// By a classic request (R-FL-80 to 89).
    fn fetch_classic(&self, hit: &Hit, to: &Path) -> Result<(), Failure> {
        let share = Share::open(Place::of(to).folder, None).map_err(|error| Failure::new(error.to_string()))?;
        let own = SocketAddrV4::new(address_towards(hit.peer).unwrap_or(Ipv4Addr::LOCALHOST), self.port);
        let limits = Limits { most: self.most.min(Limits::default().most), ..Limits::default() };
        let failed = |error: super::classic::FetchError| Failure { exit: error.exit(), message: error.to_string() };
        let bring =
            |share: &Share| fetch(hit.peer, &hit.name, own, share, &limits, self.cancel, |_| {}).map_err(failed);
        let (came, path) = if to.is_dir() {
            let came = bring(&share)?;
            let path = came.path.clone();
            (came, path)
        } else {
            // Another name was wished for: it must be nobody's, and the file's own may be somebody's.
            let part = part_name();
            let result = Share::open(&share.path().join(&part), None)
                .map_err(|error| Failure::new(error.to_string()))
                .and_then(|aside| {
                    let came = bring(&aside)?;
                    let names = (came.path.file_name().and_then(OsStr::to_str), to.file_name().and_then(OsStr::to_str));
                    let (Some(from), Some(name)) = names else {
                        return Err(Failure::usage(format!("{} cannot be the name of a file", to.display())));
                    };
                    rename_new(aside.dir(), from, share.dir(), name)
                        .map_err(|error| Failure::new(format!("cannot call it {}: {error}", to.display())))?;
                    Ok(came)
                });
            let _ = share.dir().remove_dir_all(&part);
            (result?, to.to_owned())
        };
        let path = path.to_string_lossy().into_owned();
        let fetched = Event::Fetched { name: hit.name.clone(), holder: hit.peer, path, size: came.size, md5: came.md5 };
        self.report.tell(&[fetched]);
        Ok(())
    }
}

/// What is here of what was fetched, under its name.
enum Came {
    Whole,
    /// All of a folder that can be had: some names in it cannot be used.
    ButForNames,
}

/// Where something is to be: a folder, and perhaps a name in it other than the holder's.
struct Place<'p> {
    folder: &'p Path,
    name: Option<&'p OsStr>,
}

impl<'p> Place<'p> {
    /// To be made before anything has come.
    fn of(to: &'p Path) -> Self {
        if to.is_dir() {
            return Self { folder: to, name: None };
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self { folder: folder.unwrap_or_else(|| Path::new(".")), name: to.file_name() }
    }

    /// Whether nothing has the name that what is at `path` of a holder gets.
    fn is_free(&self, path: &str) -> Result<(), Failure> {
        let to = self.folder.join(self.name.unwrap_or_else(|| OsStr::new(last(path))));
        if to.symlink_metadata().is_err() {
            return Ok(());
        }
        let to = to.to_string_lossy();
        let to = Printable::line(to.strip_prefix("./").unwrap_or(&to));
        Err(Failure::new(format!(
            "{to} is here already, and nothing is replaced; rename it, or name another place with -o"
        )))
    }

    /// It is here now: removes what came from holders that could not give all of it, in this attempt and in earlier ones.
    fn tidy<'h>(&self, paths: impl Iterator<Item = &'h str>) {
        // What cannot be tidied up is swept one day.
        let Ok(home) = Home::open(self.folder, None) else { return };
        for path in paths {
            let name = self.name.map_or(Some(last(path)), OsStr::to_str);
            if let Some(Ok(path)) = name.map(transfer::Path::parse) {
                home.abandon(path);
            }
        }
    }
}

/// Nobody so near has it.
pub(super) fn nobody_has(what: &What<'_>, ttl: u8) -> Failure {
    Failure::nobody(format!("nobody within {ttl} {} has {what}", if ttl == 1 { "link" } else { "links" }))
}

fn refused(what: &What<'_>, why: feige_core::flood::Rejected) -> Failure {
    use feige_core::flood::Rejected;
    match why {
        Rejected::Malformed => {
            Failure::usage(format!("{what} cannot be a name: use letters, digits and the like, without / and \\"))
        }
        why => Failure::new(format!("cannot ask for {what} now: {why}; try again in half a minute")),
    }
}
