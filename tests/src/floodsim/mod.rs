//! Flooded search on networks of up to 100,000 peers in one process: the real [`Flood`](feige_core::flood::Flood), its
//! messages written and read for real, under a simulated clock and network.
//!
//! **Guarantees**: the same seed gives the same run. **Memory**: about 6 KiB a peer ([`Small`]). **Time**: some two
//! microseconds a message in a release build.

mod goals;
mod graph;
mod net;

pub use goals::{Effort, Row, Scale, coverage, flood, full_table, losses, rings};
pub use graph::{Graph, Shape};
pub use net::{Net, Network, Search};

/// A peer with room for few queries, so that 100,000 of them fit into the memory of a desktop. Twelve links are the most
/// that a hub of a scale-free graph gets.
pub type Small = feige_core::flood::Flood<32, 12, 6>;
