//! The place of the device simulator, which is not built yet. The program says so and fails, whatever it is asked.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("feige-sim: the device simulator is not built yet; of Feige, only `feige` and `feige-core` can be used");
    ExitCode::FAILURE
}
