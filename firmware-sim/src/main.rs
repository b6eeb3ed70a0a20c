//! `feige-sim`: the device of Feige on a TAP interface.
//!
//! The agent is the one of the microcontroller; around it are a TAP interface instead of an Ethernet controller, the
//! clock of the system, and as much bad weather as is asked for.

mod device;
mod hashing;
mod options;
mod report;
mod tap;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let options = options::Options::parse();
    if options.memory {
        device::memory(&options);
        return ExitCode::SUCCESS;
    }
    match device::run(&options) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("feige-sim: {message}");
            ExitCode::FAILURE
        }
    }
}
