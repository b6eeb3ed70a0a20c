//! What surrounds the agent on a desktop.
//!
//! The simulator simulates the network and the board, never the program: the agent is the one that runs on the chip.

mod weather;

pub use weather::{Conditions, Weather};
