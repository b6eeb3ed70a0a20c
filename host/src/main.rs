//! The binary: everything is in the library.

use std::process::ExitCode;

use feige::exit::Exit;

fn main() -> ExitCode {
    Exit::Done.into()
}
