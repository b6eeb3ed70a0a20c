//! The salted store: lists, downloads and uploads, each proven by its digest (R-CL-40 to 49).

use std::path::{Path, PathBuf};

use feige_core::digest::{Digest, Running};
use feige_core::text::{FileName, Printable};
use feige_core::wire::classic::{FileType, JsonText, Salted, SaltedMd5, Seal};
use feige_core::wire::{Field, ParseError};

use super::Client;
use super::send::LocalFile;
use crate::classic::connection::Connection;
use crate::classic::{ClassicError, Limits, NOT_THERE, emitted, salt};
use crate::store::Inbox;
use crate::transfer::Meter;

/// The longest body of an answer that is a text: a list of names.
const MAX_TEXT: u64 = 16 << 20;

/// A file that was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// Its octets.
    pub size: u64,
    /// Their MD5, the plain one; the salted one was right.
    pub md5: Digest,
}

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Its octets.
    pub size: u64,
    /// What the server says of it: print it with care.
    pub answer: String,
}

/// A connection to a salted store. Requests should follow each other without a pause: the classic server waits 5 s for
/// one, and ends when its client leaves (R-CL-47).
#[derive(Debug)]
pub struct Session<'s, 'c> {
    client: &'s mut Client<'c>,
    connection: Connection<'c>,
}

impl<'s, 'c> Session<'s, 'c> {
    /// Connects.
    ///
    /// # Errors
    /// [`ClassicError::Unreachable`] or [`ClassicError::Cancelled`].
    pub fn connect(client: &'s mut Client<'c>) -> Result<Self, ClassicError> {
        let connection = client.connect()?;
        Ok(Self { client, connection })
    }

    /// The names of the files in a folder, which come from the peer: print them with care. A name with a comma in it
    /// shows as two.
    ///
    /// # Errors
    /// [`ClassicError`]; after any, the session is over.
    pub fn list(&mut self, folder: FileType) -> Result<Vec<String>, ClassicError> {
        let request = Request { command: "show_file_name_list", name: None, path: None, folder };
        self.request(&request, &[])?;
        let names = self.text("the list")?;
        Ok(names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Downloads the file `name` into `inbox`, where it appears as `local`, in the place of any file of that name, when
    /// it is whole and its digest is right.
    ///
    /// # Errors
    /// [`ClassicError`]; nothing is left of the file then, and the session is over.
    pub fn download(
        &mut self,
        name: &str,
        folder: FileType,
        inbox: &Inbox,
        local: &FileName,
    ) -> Result<Downloaded, ClassicError> {
        let request = Request { command: "download_file", name: Some(name), path: None, folder };
        self.request(&request, name.as_bytes())?;
        let header = self.header()?;
        let answer = Salted::parse(&header)?;
        let Some(seal) = answer.seal else { return Err(self.refusal(&answer)) };
        let mut part = inbox.file(local, Some(answer.size), None, false)?;
        let kept = part.path();
        let mut meter = Meter::new(0, Some(answer.size));
        let received = self.receive(&answer, seal, name, |client, octets| {
            meter.octets(octets.len() as u64, &mut *client.progress);
            Ok(part.append(octets)?)
        });
        let finished = match received {
            Ok(md5) => part.replace(None).map(|path| Downloaded { path, size: answer.size, md5 }).map_err(Into::into),
            Err(error) => {
                drop(part);
                Err(error)
            }
        };
        if finished.is_err() {
            // R-CL-49: the dialect cannot resume, what came is of no use to anybody.
            let _ = std::fs::remove_file(kept);
        }
        finished
    }

    /// Uploads the file at `path`, which the server will see under `name`.
    ///
    /// # Errors
    /// [`ClassicError`]; after any, the session is over.
    pub fn upload(&mut self, path: &Path, name: &str) -> Result<Uploaded, ClassicError> {
        let mut file = LocalFile::open(path)?;
        let mut digest = SaltedMd5::new();
        file.each_piece(|octets| {
            digest.update(octets);
            Ok(())
        })?;
        let request =
            Request { command: "upload", name: Some(name), path: Some(name), folder: FileType::of_name(name) };
        self.request_header(&request, file.size, digest)?;
        let mut meter = Meter::new(0, Some(file.size));
        let stall = self.client.limits.stall;
        let sent = file.each_piece(|octets| {
            self.connection.write_pieces(octets, stall)?;
            meter.octets(octets.len() as u64, &mut *self.client.progress);
            Ok(())
        });
        // A server that refuses says so before it stops to read: what it said is worth more than that it stopped.
        let answer = match sent {
            Err(ClassicError::Connection(broken)) => self.text("the answer").and(Err(ClassicError::Connection(broken))),
            other => other.and_then(|()| self.text("the answer")),
        }?;
        Ok(Uploaded { size: file.size, answer })
    }

    /// Sends a request whose body is short.
    fn request(&mut self, request: &Request<'_>, body: &[u8]) -> Result<(), ClassicError> {
        let mut digest = SaltedMd5::new();
        digest.update(body);
        self.request_header(request, body.len() as u64, digest)?;
        self.connection.write_pieces(body, self.client.limits.stall)
    }

    fn request_header(&mut self, request: &Request<'_>, size: u64, digest: SaltedMd5) -> Result<(), ClassicError> {
        let salt = salt();
        let salt = Some(JsonText::plain(&salt));
        let header = Salted {
            command: request.command.into(),
            size,
            name: request.name.map(JsonText::plain),
            path: request.path.map(JsonText::plain),
            file_type: Some(request.folder.word().into()),
            seal: Some(Seal { digest: digest.finish(salt), salt }),
        };
        let header = emitted(|buffer| header.emit(buffer))?;
        self.connection.write_alone(&header, self.client.limits.stall)
    }

    fn header(&mut self) -> Result<Vec<u8>, ClassicError> {
        let limits = &self.client.limits;
        self.connection.header(limits.stall, "answer", limits)?.ok_or(ClassicError::Short { got: 0, want: 4 })
    }

    /// Reads an answer that is a text. Without a digest it tells of an error.
    fn text(&mut self, what: &str) -> Result<String, ClassicError> {
        let header = self.header()?;
        let answer = Salted::parse(&header)?;
        let Some(seal) = answer.seal else { return Err(self.refusal(&answer)) };
        if answer.size > MAX_TEXT {
            return Err(ParseError::too_large(Field::Body).into());
        }
        let mut text = Vec::new();
        self.receive(&answer, seal, what, |_, octets| {
            text.extend_from_slice(octets);
            Ok(())
        })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Reads the body of an answer and checks it.
    fn receive(
        &mut self,
        answer: &Salted<'_>,
        seal: Seal<'_>,
        what: &str,
        mut sink: impl FnMut(&mut Client<'_>, &[u8]) -> Result<(), ClassicError>,
    ) -> Result<Digest, ClassicError> {
        let Limits { stall, least, .. } = self.client.limits;
        let (mut digest, mut md5) = (SaltedMd5::new(), Running::new());
        self.connection.body(answer.size, stall, least, |octets| {
            digest.update(octets);
            md5.update(octets);
            sink(self.client, octets)
        })?;
        if digest.finish(seal.salt) == seal.digest {
            Ok(md5.finish())
        } else {
            Err(ClassicError::Digest(what.to_owned()))
        }
    }

    /// Reads the text of an answer that tells of an error (R-CL-48).
    fn refusal(&mut self, answer: &Salted<'_>) -> ClassicError {
        let limits = &self.client.limits;
        match self.connection.small_body(answer.size.min(4096), limits.stall, limits.least) {
            Ok(text) => {
                let text = Printable::line(&String::from_utf8_lossy(&text)).to_string();
                if text.ends_with(NOT_THERE) { ClassicError::NotThere(text) } else { ClassicError::Refused(text) }
            }
            Err(error) => error,
        }
    }
}

/// A request without its body.
struct Request<'r> {
    command: &'r str,
    name: Option<&'r str>,
    path: Option<&'r str>,
    folder: FileType,
}
