//! Remote commands: a line to the server, its output back.

use std::io::Write;
use std::time::Instant;

use feige_core::digest::{Digest, Running};
use feige_core::wire::classic::{CommandReply, MAX_COMMAND, MAX_HEADER};
use feige_core::wire::{Field, ParseError};

use super::Client;
use crate::classic::ClassicError;
use crate::classic::connection::Connection;
use crate::transfer::Meter;

/// The output of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its octets.
    pub size: u64,
    /// Their MD5.
    pub md5: Digest,
    /// Whether the server sent that digest too. Many send none, or letters that are none (R-CL-31).
    pub verified: bool,
    /// The name that the server gives the output; empty if it gives none. It comes from the peer: print it with care.
    pub name: String,
}

/// Has a server carry out `text` and writes the output to `out` as it comes, in whichever form the server answers
/// (R-CL-31, R-CL-32). Then resets the connection: classic servers die of an orderly end (R-CL-33).
///
/// # Errors
/// [`ClassicError`]. After [`ClassicError::Digest`] the output was written and is not what the server sent.
pub fn command(client: &mut Client<'_>, text: &str, out: &mut dyn Write) -> Result<Output, ClassicError> {
    if text.trim().is_empty() {
        return Err(ClassicError::TooLong("a command needs at least one letter"));
    }
    if text.len() > MAX_COMMAND {
        return Err(ClassicError::TooLong("a command has at most 1,024 octets"));
    }
    let mut connection = client.connect()?;
    let result = exchange(client, &mut connection, text, out);
    connection.reset();
    result
}

fn exchange(
    client: &mut Client<'_>,
    connection: &mut Connection<'_>,
    text: &str,
    out: &mut dyn Write,
) -> Result<Output, ClassicError> {
    let (stall, least) = (client.limits.stall, client.limits.least);
    connection.write(text.as_bytes(), stall)?;
    let (size, digest, name) = answer(client, connection)?;
    let mut meter = Meter::new(0, Some(size));
    let mut md5 = Running::new();
    connection.body(size, stall, least, |octets| {
        md5.update(octets);
        out.write_all(octets).map_err(ClassicError::Output)?;
        meter.octets(octets.len() as u64, &mut *client.progress);
        Ok(())
    })?;
    out.flush().map_err(ClassicError::Output)?;
    let md5 = md5.finish();
    if digest.is_some_and(|digest| digest != md5) {
        return Err(ClassicError::Digest(format!("the output of {text:?}")));
    }
    Ok(Output { size, md5, verified: digest.is_some(), name })
}

/// Reads the front of the answer, up to the first octet of output: how many follow, their digest and name.
fn answer(client: &Client<'_>, connection: &mut Connection<'_>) -> Result<(u64, Option<Digest>, String), ClassicError> {
    let stall = client.limits.stall;
    let length = connection.small_body(4, stall, client.limits.least)?;
    let length = length.first_chunk().map_or(-1, |length| i32::from_le_bytes(*length));
    let length = usize::try_from(length).map_err(|_| ParseError::malformed(Field::HeaderLength))?;
    let low = (length as u64, None, String::new());
    // R-CL-32: a header if it can be one; else the length was that of the output.
    let deadline = Instant::now() + stall;
    while (1..=MAX_HEADER).contains(&length) && connection.pending().len() < length {
        if connection.pending().first().is_some_and(|&first| first != b'{') {
            return Ok(low);
        }
        match connection.fill(deadline)? {
            Some(0) => return Ok(low),
            Some(_) => {}
            None => return Err(ClassicError::TimedOut { what: "whole answer", after: stall }),
        }
    }
    if length > MAX_HEADER {
        return Ok(low);
    }
    let Ok(reply) = CommandReply::parse(&connection.pending()[..length]) else { return Ok(low) };
    let answer = (reply.size, reply.digest(), reply.name.to_string());
    connection.consume(length);
    Ok(answer)
}
