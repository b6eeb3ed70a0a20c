//! The hub as others see it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::time::{Duration, Instant};

use feige_core::flood::{Counters, Plan, Rejected};
use feige_core::wire::flood::{QueryId, What};

use super::{Notice, OwnWhat};
use crate::accounts::random;
use crate::exit::Failure;
use crate::peer::event::Hit;
use crate::peer::link::Here;
use crate::peer::settings::Settings;
use crate::transfer::Cancel;

/// How to reach the hub.
#[derive(Clone)]
pub(in crate::peer) struct Handle {
    hub: SyncSender<Notice>,
    here: Here,
}

/// What a search hears.
#[derive(Debug)]
pub(in crate::peer) enum Heard {
    /// Somebody has it.
    Hit(Hit),
    /// Everybody was asked, and had the time to answer.
    Over,
    /// Nobody was asked.
    Refused(Rejected),
}

/// How things are.
#[derive(Clone, Debug)]
pub(in crate::peer) struct Status {
    /// The links, and whether they are up.
    pub(in crate::peer) links: Vec<(String, bool)>,
    pub(in crate::peer) counters: Counters,
    /// Queries that are remembered.
    pub(in crate::peer) remembered: usize,
}

/// A search; it ends when it is dropped.
pub(in crate::peer) struct Search {
    id: QueryId,
    hub: SyncSender<Notice>,
    heard: Receiver<Heard>,
}

impl Handle {
    pub(super) fn new(hub: SyncSender<Notice>, here: Here) -> Self {
        Self { hub, here }
    }

    pub(in crate::peer) fn hub(&self) -> SyncSender<Notice> {
        self.hub.clone()
    }

    pub(in crate::peer) fn here(&self) -> &Here {
        &self.here
    }

    fn ask<T>(&self, notice: impl FnOnce(Sender<T>) -> Notice) -> Option<Receiver<T>> {
        let (tell, told) = channel();
        self.hub.send(notice(tell)).ok().map(|()| told)
    }

    /// Looks for something.
    ///
    /// # Errors
    /// A [`Failure`] if the system has no random numbers.
    pub(in crate::peer) fn search(&self, what: What<'_>, plan: Plan, most: u8) -> Result<Search, Failure> {
        let id = QueryId::new(u64::from_le_bytes(random()?));
        let what = OwnWhat::of(what);
        let (tell, heard) = channel();
        // A hub that is gone drops `tell`, and the search is over at once.
        let _ = self.hub.send(Notice::Search { id, what, plan, most, tell });
        Ok(Search { id, hub: self.hub.clone(), heard })
    }

    /// How things are; `None` if the hub is gone.
    pub(in crate::peer) fn status(&self) -> Option<Status> {
        self.ask(Notice::Status)?.recv_timeout(Duration::from_secs(5)).ok()
    }

    /// Waits until there is somebody to ask; `false` if there is nobody in time.
    pub(in crate::peer) fn wait_up(&self, time: Duration, cancel: &Cancel) -> bool {
        let Some(up) = self.ask(Notice::WhenUp) else { return false };
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match up.recv_timeout(left.min(Duration::from_millis(100))) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Timeout) if !left.is_zero() && !cancel.is_cancelled() => {}
                Err(_) => return false,
            }
        }
    }

    /// The settings were changed.
    pub(in crate::peer) fn change(&self, settings: Settings) {
        let _ = self.hub.send(Notice::Settings(Box::new(settings)));
    }

    /// Ends the hub.
    pub(in crate::peer) fn stop(&self) {
        self.here.cancel.cancel();
        let _ = self.hub.try_send(Notice::End);
    }
}

impl Search {
    /// What it hears next, within this time; `None` if that is nothing.
    pub(in crate::peer) fn next(&self, time: Duration) -> Option<Heard> {
        match self.heard.recv_timeout(time) {
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            // The hub is gone: nobody will say anything. Not at once, so that nobody asks again and again.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(time);
                None
            }
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        let _ = self.hub.send(Notice::Stop(self.id));
    }
}
