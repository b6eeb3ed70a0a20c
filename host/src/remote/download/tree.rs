//! What is downloaded: where it is on the server, and where it goes here.

use std::fs::Metadata;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::exit::{Exit, Failure};
use crate::home::sys::Facts;
use crate::home::{Home, HomeError};
use crate::remote::errand::exit_of;

/// Where something is, there and here.
#[derive(Debug)]
pub(in crate::remote) struct Tree {
    /// On the server, without slashes around it.
    pub(in crate::remote) remote: String,
    /// The folder here, and what is below it.
    pub(in crate::remote) home: Arc<Home>,
    /// In that folder; empty: the folder itself.
    pub(in crate::remote) local: String,
    /// Where that is, or will be, as the user names it.
    pub(in crate::remote) path: PathBuf,
    /// A folder with all that is in it.
    pub(in crate::remote) recursive: bool,
    /// Which server it is of, and for whom: what one has sent is not continued with what another sends.
    pub(in crate::remote) origin: Arc<str>,
}

impl Tree {
    /// Where something below it is here, or will be, as the user names it.
    pub(super) fn place(&self, tail: &str) -> PathBuf {
        if tail.is_empty() { self.path.clone() } else { self.path.join(tail.trim_start_matches('/')) }
    }

    /// Whether what is here is there to be written to, and not to be replaced: wherever a link to it leads.
    pub(super) fn is_odd(&self, tail: &str) -> bool {
        let place = self.place(tail);
        let Ok(found) = std::fs::metadata(&place) else { return false };
        !found.is_file() && !found.is_dir() || place.is_symlink() && is_standard(&found)
    }

    /// Something below it cannot be had under its name here, and what to do.
    pub(super) fn taken(&self, tail: &str, what: &str) -> Failure {
        Failure::new(format!("{} {what}", self.place(tail).display()))
    }

    /// What this machine says of its own disk, about something below it.
    pub(super) fn failure(&self, tail: &str, error: &HomeError) -> Failure {
        let exit = match exit_of(error.code) {
            // Not the server's refusal, but this machine's.
            Exit::Refused | Exit::Nobody => Exit::Failed,
            exit => exit,
        };
        // Its text names things from the home on, as for somebody whose home it is on a server.
        let message = format!("cannot write {} here: {}", self.place(tail).display(), error.reason());
        Failure { exit, message }
    }
}

/// Whether a file is what the standard streams of this program are, as that behind `/dev/stdout` may be.
fn is_standard(found: &Metadata) -> bool {
    let is_same = |stream: BorrowedFd<'_>| {
        let facts = Facts::of_file(stream);
        facts.is_ok_and(|facts| (facts.device, facts.inode) == (found.dev(), found.ino()))
    };
    is_same(io::stdin().as_fd()) || is_same(io::stdout().as_fd()) || is_same(io::stderr().as_fd())
}
