//! The client's side.

mod command;
mod salted;
mod send;

pub use command::{Output, command};
pub use salted::{Downloaded, Session, Uploaded};
pub use send::{Sent, send_put, send_upload};

use std::fmt;
use std::net::SocketAddr;

use super::connection::Connection;
use super::{ClassicError, Limits};
use crate::transfer::{Cancel, Progress, connect};

/// What every exchange with a server needs.
pub struct Client<'c> {
    /// The server.
    pub to: SocketAddr,
    /// How long is waited for what.
    pub limits: Limits,
    /// Ends it from outside.
    pub cancel: &'c Cancel,
    /// Hears how far it is, at most ten times a second.
    pub progress: &'c mut dyn FnMut(Progress),
}

impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("to", &self.to).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<'c> Client<'c> {
    fn connect(&self) -> Result<Connection<'c>, ClassicError> {
        let stream = connect(self.to, self.limits.connect, self.cancel).map_err(|source| {
            if self.cancel.is_cancelled() {
                ClassicError::Cancelled
            } else {
                ClassicError::Unreachable { to: self.to, source }
            }
        })?;
        Connection::new(stream, Vec::new(), self.cancel)
    }
}
