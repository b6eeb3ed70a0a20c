//! The program `feige`: sockets, files, character sets, configuration, command line and screen around `feige-core`.
//!
//! | module | does |
//! |---|---|
//! | [`exit`] | the exit codes |

pub mod exit;
