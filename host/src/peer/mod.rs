//! Flooded search on the host: what a peer shares, how it is set up, and how the classic peers are spoken to.
//!
//! | module | does |
//! |---|---|
//! | [`settings`] | who the neighbours are: TOML and the two classic INI forms, read and changed |
//! | [`share`] | the index of the shared folder |
//! | [`parcel`] | the zip that classic peers send: packed, received, unpacked |
//! | [`classic`] | the connections of the classic dialects: a message, a request as its seeker and as its holder |
//!
//! The flood itself, and the texts of the messages, are the core's. Nothing here keeps state between two calls but the
//! index of the share.

pub mod classic;
pub mod parcel;

pub mod settings;
pub mod share;
