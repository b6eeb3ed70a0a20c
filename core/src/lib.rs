//! IP Messenger for anything that can move octets.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::as_conversions
    )
)]

#[cfg(test)]
extern crate std;

pub mod drive;
pub mod stream;
pub mod text;
pub mod time;
pub mod wire;
