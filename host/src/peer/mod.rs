//! Flooded search on the host: what a peer shares, how it is set up, and how the classic peers are spoken to.
//!
//! | module | does |
//! |---|---|
//! | [`settings`] | who the neighbours are: TOML and the two classic INI forms, read and changed |
//! | [`share`] | the index of the shared folder |
//! | [`parcel`] | the zip that classic peers send: packed, received, unpacked |
//! | [`classic`] | the connections of the classic dialects: a message, a request as its seeker and as its holder |
//!
//! | `hub` | the one thread that owns the flood and its links |
//! | `link` | connections to neighbours that last |
//! | `door` | who comes to the port and does not speak the verified transfer |
//! | `seek` | looks for something, and fetches it |
//! | `run`, `prompt` | a peer that runs, and what is typed at it |
//! | [`command`] | `feige peer`, `find` and `fetch`, from options to exit code |
//!
//! ```text
//!   port --> service: verified transfer, from the share
//!             |  strangers
//!             v
//!           door --> link threads --> hub (Flood) --> links, classic neighbours, askers
//!             |                        ^     |
//!             +--> request: parcel     |     +--> lookup in the share
//!                       prompt, find, fetch --> seek --> verified transfer, or classic request
//! ```
//! The flood itself, and the texts of the messages, are the core's.

pub mod classic;
pub mod command;
mod door;
mod event;
mod hub;
mod link;
mod overview;
pub mod parcel;
mod prompt;
mod run;
mod seek;
pub mod settings;
pub mod share;
