//! Standard output, and what it means if it takes nothing.
//!
//! A reader that went away has enough: nobody is there to be told, and nothing has failed. Anything else, such as a disk that
//! is full, means that results are lost, and the exit code has to say so.

use std::io::{self, BufWriter, Stdout, Write};

use crate::exit::{Exit, Failure};

/// Why standard output takes nothing, as a failure; `None` if whoever read it went away.
pub(crate) fn failure(error: &io::Error) -> Option<Failure> {
    let exit = match error.kind() {
        io::ErrorKind::BrokenPipe => return None,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Exit::NoSpace,
        _ => Exit::Failed,
    };
    Some(Failure { exit, message: format!("cannot write to standard output: {error}") })
}

/// Writes all that a command has to say.
///
/// # Errors
/// See [`failure`].
pub(crate) fn print(write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) -> Result<Exit, Failure> {
    let mut out = BufWriter::new(io::stdout());
    let written = write(&mut out).and_then(|()| out.flush());
    // What could not be written is not tried once more.
    let _ = out.into_parts();
    written.err().as_ref().and_then(failure).map_or(Ok(Exit::Done), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_left_is_no_failure() {
        let exit = |kind: io::ErrorKind| failure(&kind.into()).map(|failure| failure.exit);
        assert_eq!(exit(io::ErrorKind::BrokenPipe), None);
        assert_eq!(exit(io::ErrorKind::StorageFull), Some(Exit::NoSpace));
        assert_eq!(exit(io::ErrorKind::PermissionDenied), Some(Exit::Failed));
    }
}
