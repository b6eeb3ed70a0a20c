#![no_std]
#[cfg(any(test, feature = "tap"))]
extern crate std;
pub mod store;
