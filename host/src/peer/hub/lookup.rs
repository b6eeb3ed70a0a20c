//! Looking into the share, beside the hub.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use feige_core::wire::flood::{MAX_TEXT, NameFilter, QueryId};

use super::{Notice, OwnWhat};
use crate::peer::share::{Share, Unshared, What};
use crate::transfer::Cancel;

/// Questions that wait.
const QUEUE: usize = 256;

/// Answers to one question.
const MOST: usize = 32;

/// How often it is looked whether there are other names in the share.
const EVERY: Duration = Duration::from_secs(2);

/// So many of the files that cannot be offered are told of by name, as long as the peer runs.
const MOST_TOLD: usize = 50;

/// A thread that looks into the share.
pub(super) struct Lookup(SyncSender<(QueryId, OwnWhat)>);

impl Lookup {
    /// Starts it; it tells the hub what there is.
    pub(super) fn start(share: Arc<Share>, hub: SyncSender<Notice>, cancel: Cancel) -> io::Result<Self> {
        let (ask, questions) = sync_channel::<(QueryId, OwnWhat)>(QUEUE);
        thread::Builder::new().name("lookup".into()).spawn(move || {
            let mut names = NameFilter::NONE;
            let mut unshared = News::default();
            loop {
                let now: NameFilter = share.names().iter().map(String::as_str).collect();
                if now != names {
                    names = now;
                    if hub.send(Notice::Names(now)).is_err() {
                        return;
                    }
                }
                if let Some(news) = unshared.of(share.unshared())
                    && hub.send(Notice::Unshared(news)).is_err()
                {
                    return;
                }
                let (id, what) = match questions.recv_timeout(EVERY) {
                    Ok(question) => question,
                    Err(RecvTimeoutError::Timeout) if !cancel.is_cancelled() => continue,
                    Err(_) => return,
                };
                let mut found = share.find(
                    match &what {
                        OwnWhat::Name(name) => What::Name(name),
                        OwnWhat::Part(part) => What::Part(part),
                        OwnWhat::Md5(digest) => What::Digest(*digest),
                    },
                    MOST,
                );
                // R-FL-33: for others there is no room in a hit, and whoever shares them knows.
                found.retain(|found| found.path.len() <= MAX_TEXT);
                if !found.is_empty() && hub.send(Notice::Answers { id, found }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(ask))
    }

    /// Asks what there is of it; `false` if too many questions wait.
    pub(super) fn ask(&self, id: QueryId, what: OwnWhat) -> bool {
        self.0.try_send((id, what)).is_ok()
    }
}

/// What was not told yet of what cannot be offered.
#[derive(Default)]
struct News {
    last: Unshared,
    told: usize,
}

impl News {
    /// Those of the first that are new, and how many others there are, unless that was told and is not twice as many.
    fn of(&mut self, now: Unshared) -> Option<Unshared> {
        if now == self.last || self.told >= MOST_TOLD {
            return None;
        }
        let mut news = now.clone();
        news.first.retain(|one| !self.last.first.contains(one));
        let more = if now.more() >= 2 * self.last.more() { now.more() } else { 0 };
        news.count = news.first.len() + more;
        self.told += news.first.len();
        self.last = now;
        (news.count > 0).then_some(news)
    }
}
