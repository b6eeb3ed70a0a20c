//! `feige serve`: many clients at once, each in a home of its own.
//!
//! ```text
//!   listener --> Gate --> Line (socket, ServerSession, Desk) --+--> queue --> Crew: workers --> step() ... --+
//!                          ^                                   |                                            |
//!                          +------- Watch: sleeps on all lines that wait for their peers, and on time <------+
//!
//!   Desk (the session's store) --> Lobby: accounts, guard, homes --> Home
//! ```
//!
//! A line is worked at by one worker at a time, as long as there is something to do; while its peer is slow it belongs to
//! the watch, which costs no thread, and so it does while what is here of its file is hashed. A worker stays with its line for a few milliseconds if nobody else waits for one:
//! a transfer that is alone is as fast as with a thread of its own. When others wait, each gets a turn.
//!
//! **Guarantees**: as many connections as there may be, and no more; each turn is bounded; every wait for a peer has the
//! deadline of its session; nobody reaches a file outside of the home that is his; a server that is ended keeps every block
//! that came whole.
//! **Memory**: some 3 KiB for a line that is idle; buffers are lent while a request is under way, smaller ones the more
//! requests there are. **Time**: a turn is some hundred KiB. **Protocol**: `docs/protocol/transfer.md`, and the classic
//! dialects.

mod checks;
mod crew;
mod desk;
mod event;
mod line;
mod lobby;
mod printer;
mod rooms;
mod run;
mod settling;
mod sort;
mod watch;

pub(crate) use event::{Above, Told, Weight};
pub use event::{Event, Report};
pub use lobby::Guests;
pub(crate) use run::Server;
pub use run::{Options, serve};
pub(crate) use sort::{Stranger, Strangers};

use std::time::Duration;

use feige_core::stream::transfer::Settings;
use feige_core::wire::transfer::MAX_HEADER_HOST;

/// The usual block, as a power of two: a run of 32 is hashed side by side.
const BLOCK: u8 = 15;

/// How long a worker waits for somebody else who goes through a home, or through a file.
const MOMENT: Duration = Duration::from_millis(20);

/// What a host tells its peers about itself.
pub(crate) const SETTINGS: Settings = Settings {
    max_header: MAX_HEADER_HOST,
    // Whatever comes is read at once.
    window: 1 << 20,
    max_block: 20,
    software: concat!("feige/", env!("CARGO_PKG_VERSION")),
};
