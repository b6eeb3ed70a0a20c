//! The device of Feige: a member of the network that runs on a microcontroller.
//!
//! | module | what it is |
//! |---|---|
//! | [`agent`] | the device program, on smoltcp, over any Ethernet driver |
//! | [`store`] | where its files are: a buffer, or NOR flash |
//! | `sim` (feature `tap`) | what surrounds the agent on a desktop: bad weather for a driver, a TAP interface |
//!
//! The simulator `feige-sim` and the image in `mcu/` link the same [`agent`]; it needs no allocator, no clock and no
//! operating system. `docs/porting.md` shows how to bring it to another board, or only the core into other firmware.
#![no_std]

#[cfg(any(test, feature = "tap"))]
extern crate std;

pub mod agent;
#[cfg(feature = "tap")]
pub mod sim;
pub mod store;
