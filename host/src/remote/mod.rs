//! The client of the verified transfer: files and folders to and from a server, and everything else that is asked of it.
//!
//! ```text
//!   command line, shell --> actions --> Errand (Download, Upload, Cat, Lists, Question)
//!                                          ^  next(), reply(), save(), load() …
//!                                          |
//!        Remote::run: connects, tries again --> Desk --> ClientSession (core) --> Socket --> server
//! ```
//! | module | does |
//! |---|---|
//! | `command` | the commands, from options to exit code |
//! | `actions` | what they have in common with the shell |
//! | `connection` | a server: connections to it, over which errands are done until they are over |
//! | `errand` | what an errand is, and how a session asks for it |
//! | `download`, `upload`, `walk` | files and folders |
//! | `cat`, `list`, `question` | a file to standard output; folders; one request and its answer |
//! | `dialect` | the same with servers of the classic dialects |
//! | `report`, `later` | what the user hears, and when |
//! | `whole` | MD5 of whole files while they are moved |
//! | `shell` | commands from a person or a script, at one server |
//!
//! **Guarantees**: a file has its name, here or there, only when it is whole and verified; what broke off goes on where it
//! was, by itself as long as something comes of it, or with the next command. Names from a server never leave the target
//! folder and never drive the terminal.
//!
//! **Memory**: a MiB of buffers, and nothing that grows with the number of files. **Protocol**: `docs/protocol/transfer.md`.

pub(crate) mod actions;
mod cat;
pub mod command;
mod connection;
mod dialect;
mod download;
mod errand;
mod later;
mod list;
mod question;
mod report;
pub mod shell;
#[cfg(test)]
mod tests;
mod upload;
mod walk;
mod whole;

pub(crate) use command::Signals;
pub(crate) use connection::Remote;
use feige_core::digest::Digest;
pub(crate) use report::{Report, hex};

/// How files are to be moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// What is there already is not replaced.
    pub(crate) no_clobber: bool,
    /// A folder that is new has its name only if nothing of it failed that another attempt could bring.
    pub(crate) whole: bool,
    /// The MD5 of whole files is wanted; and perhaps it has to be this one.
    pub(crate) md5: Option<Option<Digest>>,
    /// How much may come at all.
    pub(crate) most: Most,
}

/// How much may come, of files and folders from somebody who is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    /// Files and folders.
    pub(crate) entries: u64,
    /// Octets of all files.
    pub(crate) octets: u64,
}

impl Default for Most {
    /// As much as there is room for.
    fn default() -> Self {
        Self { entries: u64::MAX, octets: u64::MAX }
    }
}

/// Whether two times of last change, in nanoseconds, are the same: to the second, where one of the file systems keeps no
/// more than that.
const fn same_time(one: i64, other: i64) -> bool {
    const SECOND: i64 = 1_000_000_000;
    let whole = one % SECOND == 0 || other % SECOND == 0;
    one == other || whole && one.div_euclid(SECOND) == other.div_euclid(SECOND)
}
