//! How the program ends: the exit codes that scripts rely on (PRODUCT: "Exit codes").

use std::process::ExitCode;

/// Why the program ends. The discriminant is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// It did not work, for a reason that has no code of its own.
    Failed = 1,
    /// The command line, the environment or the configuration is wrong.
    Usage = 2,
    /// Nobody there: unknown member, unreachable, or no answer in time.
    Nobody = 3,
    /// Refused, or not authorised.
    Refused = 4,
    /// A digest does not match, or a transfer ended short.
    Incomplete = 5,
    /// No space left, or the quota is used up.
    NoSpace = 6,
    /// Ended by Ctrl-C (SIGINT).
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The code that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The one with this code.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        use Exit::{Done, Failed, Incomplete, Interrupted, NoSpace, Nobody, Refused, Terminated, Usage};
        [Done, Failed, Usage, Nobody, Refused, Incomplete, NoSpace, Interrupted, Terminated]
            .into_iter()
            .find(|exit| exit.code() == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that ends the program: what to tell the user, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One line that says what is wrong and what to do.
    pub message: String,
}

impl Failure {
    /// With [`Exit::Failed`].
    pub fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }

    /// With [`Exit::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// With [`Exit::Nobody`].
    pub fn nobody(message: impl Into<String>) -> Self {
        Self { exit: Exit::Nobody, message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
