//! What the user sees.

pub mod event;
