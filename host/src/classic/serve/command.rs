//! Remote commands: a few words that have an answer here, and never a shell.

use std::fmt::Write as _;
use std::io;
use std::time::Instant;

use feige_core::digest::Digest;
use feige_core::text::Printable;
use feige_core::wire::classic::{CommandReply, FileType, MAX_COMMAND};
use feige_core::wire::{Field, ParseError};

use super::{Desk, MOMENT};
use crate::classic::{ClassicError, ShelfError, emitted};

const HELP: &str = "\
help              this text
ls [img|video]    the names of the files
df                how much room is taken and left, in octets
date              the time here
";

impl Desk<'_, '_> {
    /// Answers commands until the peer closes (R-CL-30).
    pub(super) fn commands(&mut self) -> Result<(), ClassicError> {
        while let Some(text) = self.command()? {
            let words: Vec<&str> = text.split_whitespace().collect();
            let answer = self.answer_to(&words);
            let (body, why) = match answer {
                Ok(body) => (body, None),
                Err(why) => (format!("{why}\n"), Some(why)),
            };
            self.reply(words.first().copied().unwrap_or("help"), body.as_bytes())?;
            match why {
                None => self.answered(text),
                Some(why) => self.refused(text, why),
            }
        }
        Ok(())
    }

    /// The next command: what comes within a moment, because nothing marks its end. `None`: the peer closed.
    fn command(&mut self) -> Result<Option<String>, ClassicError> {
        let idle = self.limits.idle;
        if self.connection.pending().is_empty() {
            match self.connection.fill(Instant::now() + idle) {
                Ok(Some(0)) => return Ok(None),
                Ok(Some(_)) => {}
                Ok(None) => return Err(ClassicError::TimedOut { what: "command", after: idle }),
                // R-CL-33: so ends a client that has its answer.
                Err(ClassicError::Connection(error)) if is_reset(&error) && self.has_answered() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        while self.connection.pending().len() <= MAX_COMMAND && self.connection.fill(Instant::now() + MOMENT)? > Some(0)
        {
        }
        let octets = self.connection.pending();
        if octets.len() > MAX_COMMAND {
            return Err(ParseError::too_large(Field::Command).into());
        }
        let text = String::from_utf8_lossy(octets).into_owned();
        self.connection.consume(usize::MAX);
        Ok(Some(text))
    }

    const fn has_answered(&self) -> bool {
        self.summary.answered + self.summary.refused > 0
    }

    /// What to answer, or why not.
    fn answer_to(&self, words: &[&str]) -> Result<String, String> {
        let told = |error: ShelfError| error.to_string();
        match *words {
            ["help"] => Ok(HELP.to_owned()),
            ["ls"] => self.list(FileType::Other).map_err(told),
            ["ls", "img"] => self.list(FileType::Image).map_err(told),
            ["ls", "video"] => self.list(FileType::Video).map_err(told),
            ["df"] => self.room().map_err(told),
            ["date"] => Ok(jiff::Zoned::now().strftime("%a %b %e %H:%M:%S %Z %Y\n").to_string()),
            // R-CL-30: nothing else, whatever it is.
            _ => {
                let text = words.join(" ");
                Err(format!("no such command here: {} (try help)", Printable::line(&text)))
            }
        }
    }

    fn list(&self, folder: FileType) -> Result<String, ShelfError> {
        Ok(self.shelf.list(folder)?.into_iter().map(|name| name + "\n").collect())
    }

    fn room(&self) -> Result<String, ShelfError> {
        let space = self.shelf.space()?;
        let mut text = format!("used   {}\n", space.used);
        for (what, octets) in [("quota", space.quota), ("free ", space.free)] {
            if let Some(octets) = octets {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{what}  {octets}");
            }
        }
        Ok(text)
    }

    /// Length and header in one write, then the output (R-CL-31).
    fn reply(&mut self, name: &str, body: &[u8]) -> Result<(), ClassicError> {
        let (md5, name) = (Digest::of(body).to_string(), format!("{name}.txt"));
        let reply = CommandReply { md5: md5.as_str().into(), name: name.as_str().into(), size: body.len() as u64 };
        let header = emitted(|buffer| reply.emit(buffer))?;
        self.connection.write(&header, self.limits.stall)?;
        self.connection.write(body, self.limits.stall)
    }
}

fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
}
