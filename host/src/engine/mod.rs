//! The running program: one thread that owns the node and its sockets.

pub mod numbers;
