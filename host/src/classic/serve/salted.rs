//! The salted store: lists, downloads, uploads, and a digest with each (R-CL-40 to 49).

use feige_core::digest::Running;
use feige_core::text::{FileName, Printable};
use feige_core::wire::classic::{FileType, JsonText, Salted, SaltedMd5, Seal};
use feige_core::wire::transfer::ErrorCode;
use feige_core::wire::{Field, ParseError};

use super::{Desk, Event};
use crate::classic::connection::BUFFER;
use crate::classic::shelf::inside;
use crate::classic::{ClassicError, NOT_THERE, ShelfError, Source, emitted, salt};

/// The answer to a digest that does not match (R-CL-44): "the data were tampered with".
const TAMPERED: &str = "数据被篡改!";

/// The longest body of a request that is no upload: a file's name.
const MAX_NAME: u64 = 4096;

/// How much of a body that nobody wants is read to its end, so that the peer gets to read why (R-CL-48).
const MAX_UNWANTED: u64 = 64 << 20;

impl Desk<'_, '_> {
    /// Answers one request.
    pub(super) fn salted(&mut self, request: &Salted<'_>) -> Result<(), ClassicError> {
        let command = request.command.to_string();
        match (command.as_str(), request.name) {
            ("show_file_name_list", _) => self.names(request),
            ("download_file", _) => self.download(request),
            // R-CL-41: an upload is called what its user typed.
            (_, Some(name)) => self.upload(request, &FileName::from_untrusted(&name.to_string())),
            ("upload", None) => self.refuse(request, request.size, "file_name is missing"),
            (command, None) => {
                let why = format!("{command}{NOT_THERE}");
                self.refuse(request, request.size, &why)
            }
        }
    }

    fn names(&mut self, request: &Salted<'_>) -> Result<(), ClassicError> {
        if !self.name_is_sealed(request)? {
            return self.refuse(request, 0, TAMPERED);
        }
        let folder = request.file_type.map_or(FileType::Other, FileType::of_word);
        match self.shelf.list(folder) {
            Ok(names) => {
                self.answer(request, Some(folder), &names.join(","))?;
                self.answered(request.command.to_string());
                Ok(())
            }
            Err(error) => self.refuse(request, 0, &error.text),
        }
    }

    fn download(&mut self, request: &Salted<'_>) -> Result<(), ClassicError> {
        if !self.name_is_sealed(request)? {
            return self.refuse(request, 0, TAMPERED);
        }
        let name = request.name.map(|name| name.to_string()).unwrap_or_default();
        let folder = request.file_type.map_or(FileType::of_name(&name), FileType::of_word);
        // R-CL-7: a name that is not safe names nothing here.
        let not_there = || format!("{}{NOT_THERE}", Printable::line(&name));
        if !FileName::is_safe(&name) {
            return self.refuse(request, 0, &not_there());
        }
        let mut source = match self.shelf.open(folder, &name) {
            Ok(source) => source,
            // In these words a client knows it.
            Err(error) if error.code == ErrorCode::NotFound => return self.refuse(request, 0, &not_there()),
            Err(error) => return self.refuse(request, 0, &error.text),
        };
        let size = source.size();
        let mut digest = SaltedMd5::new();
        let read = each_piece(&mut *source, size, |octets| {
            digest.update(octets);
            Ok(())
        });
        match read {
            Err(ClassicError::Shelf(error)) => return self.refuse(request, 0, &error.text),
            other => other?,
        }
        let salt = salt();
        let seal = Seal { digest: digest.finish(Some(salt.as_str().into())), salt: Some(salt.as_str().into()) };
        self.answer_header(request, size, Some(folder), Some(seal))?;
        each_piece(&mut *source, size, |octets| self.connection.write_pieces(octets, self.limits.stall))?;
        self.summary.sent += 1;
        (self.tell)(Event::Sent { name: inside(folder, &name), size });
        Ok(())
    }

    fn upload(&mut self, request: &Salted<'_>, name: &FileName) -> Result<(), ClassicError> {
        let folder = request.file_type.map_or(FileType::of_name(name.as_str()), FileType::of_word);
        let mut upload = match self.shelf.receive(folder, name, request.size) {
            Ok(upload) => upload,
            Err(error) => return self.refuse(request, request.size, &error.text),
        };
        let (mut salted, mut md5, mut got) = (SaltedMd5::new(), Running::new(), 0);
        let received = self.connection.body(request.size, self.limits.salted, self.limits.least, |octets| {
            salted.update(octets);
            md5.update(octets);
            upload.write(octets)?;
            got += octets.len() as u64;
            Ok(())
        });
        match received {
            Err(ClassicError::Shelf(error)) => return self.refuse(request, request.size - got, &error.text),
            other => other?,
        }
        // R-CL-44: without a digest nothing can be right.
        if !request.seal.is_some_and(|seal| salted.finish(seal.salt) == seal.digest) {
            drop(upload);
            return self.refuse(request, 0, TAMPERED);
        }
        let stored = match upload.finish() {
            Ok(stored) => stored,
            Err(error) => return self.refuse(request, 0, &error.text),
        };
        let stem = stored.rfind('.').filter(|&dot| dot > 0).map_or(stored.as_str(), |dot| &stored[..dot]);
        let path = inside(folder, &stored);
        let text = format!("当前文件 {stem} 上传成功!保存至 :>>>> {path}!");
        self.summary.received += 1;
        (self.tell)(Event::Received { name: path, size: request.size, md5: md5.finish() });
        self.answer(request, None, &text)
    }

    /// Reads the body of a request that needs none, the name once more at most. Whether it is what was sent; an empty
    /// one proves nothing and is not looked at (R-CL-44).
    fn name_is_sealed(&mut self, request: &Salted<'_>) -> Result<bool, ClassicError> {
        if request.size > MAX_NAME {
            return Err(ParseError::too_large(Field::Body).into());
        }
        let body = self.connection.small_body(request.size, self.limits.salted, self.limits.least)?;
        let mut digest = SaltedMd5::new();
        digest.update(&body);
        let right = |seal: Seal<'_>| digest.clone().finish(seal.salt) == seal.digest;
        Ok(body.is_empty() || request.seal.is_none_or(right))
    }

    /// Answers with an error, after the `unread` octets of the request's body (R-CL-48).
    fn refuse(&mut self, request: &Salted<'_>, unread: u64, why: &str) -> Result<(), ClassicError> {
        self.refused(request.name.unwrap_or(request.command).to_string(), why);
        self.connection.body(unread.min(MAX_UNWANTED), self.limits.salted, self.limits.least, |_| Ok(()))?;
        self.answer_header(request, why.len() as u64, None, None)?;
        self.connection.write_pieces(why.as_bytes(), self.limits.stall)?;
        if unread > MAX_UNWANTED {
            return Err(ParseError::too_large(Field::Body).into());
        }
        Ok(())
    }

    /// Answers with a text and its digest.
    fn answer(&mut self, request: &Salted<'_>, folder: Option<FileType>, text: &str) -> Result<(), ClassicError> {
        let salt = salt();
        let mut digest = SaltedMd5::new();
        digest.update(text.as_bytes());
        let seal = Seal { digest: digest.finish(Some(salt.as_str().into())), salt: Some(salt.as_str().into()) };
        self.answer_header(request, text.len() as u64, folder, Some(seal))?;
        self.connection.write_pieces(text.as_bytes(), self.limits.stall)
    }

    fn answer_header(
        &mut self,
        request: &Salted<'_>,
        size: u64,
        folder: Option<FileType>,
        seal: Option<Seal<'_>>,
    ) -> Result<(), ClassicError> {
        let file_type = folder.map(|folder| JsonText::plain(folder.word()));
        let answer = Salted { command: request.command, size, name: None, path: None, file_type, seal };
        let header = emitted(|buffer| answer.emit(buffer))?;
        self.connection.write_alone(&header, self.limits.stall)
    }
}

/// Reads `size` octets from the front of `source`, piece by piece: all but the last of a multiple of 1,024 octets.
fn each_piece(
    source: &mut dyn Source,
    size: u64,
    mut sink: impl FnMut(&[u8]) -> Result<(), ClassicError>,
) -> Result<(), ClassicError> {
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    while at < size {
        let want = usize::try_from(size - at).map_or(BUFFER, |left| left.min(BUFFER));
        let mut len = 0;
        while len < want {
            match source.read(at + len as u64, &mut buffer[len..want])? {
                0 => return Err(shrunk().into()),
                count => len += count,
            }
        }
        sink(&buffer[..len])?;
        at += len as u64;
    }
    Ok(())
}

fn shrunk() -> ShelfError {
    ShelfError { code: ErrorCode::Busy, text: "the file became shorter while it was read; try again".into() }
}
