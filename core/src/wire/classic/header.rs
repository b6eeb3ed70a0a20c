//! The headers of the four dialects.

use super::{Dialect, JsonText, Object};
use crate::digest::Digest;
use crate::wire::{BufferTooSmall, Field, ParseError, Writer};

/// The first header of a connection, and each further one that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Simple upload.
    Upload(Upload<'a>),
    /// Put server.
    Put(Put<'a>),
    /// Salted store.
    Salted(Salted<'a>),
}

impl<'a> Request<'a> {
    /// Reads a header, without its length, and tells the dialect by its keys (R-CL-13): `cmd` is the put server's,
    /// `file_size` without `command` the simple upload's, `command` the salted store's.
    ///
    /// # Errors
    /// [`ParseError`] if it is none of them, or if what must be there is not, or not of its form.
    pub fn parse(header: &'a [u8]) -> Result<Self, ParseError> {
        let object = Object::parse(header)?;
        let has = |key| object.value(key).is_some();
        if has("cmd") && has("filename") {
            Put::of(&object).map(Self::Put)
        } else if has("file_size") && !has("command") {
            Upload::of(&object).map(Self::Upload)
        } else if has("command") {
            Salted::of(&object).map(Self::Salted)
        } else {
            Err(ParseError::missing(Field::Command))
        }
    }

    /// The dialect.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Upload(_) => Dialect::Upload,
            Self::Put(_) => Dialect::Put,
            Self::Salted(_) => Dialect::Salted,
        }
    }
}

/// `{"file_path": …, "file_name": …, "file_size": …}` and the file (R-CL-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload<'a> {
    /// Where the file is on the sender's machine; of no use to the receiver.
    pub path: JsonText<'a>,
    /// The name.
    pub name: JsonText<'a>,
    /// Octets of body.
    pub size: u64,
}

impl<'a> Upload<'a> {
    fn of(object: &Object<'a>) -> Result<Self, ParseError> {
        Ok(Self {
            path: optional(object, "file_path").unwrap_or(JsonText::plain("")),
            name: text(object, "file_name", Field::FileName)?,
            size: size(object, "file_size", Field::FileSize)?,
        })
    }

    /// Writes length and header to the front of `buffer`; returns how many octets they take together.
    ///
    /// # Errors
    /// [`BufferTooSmall`], as it says.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        Fields::of(buffer, |fields| {
            fields.text("file_path", self.path);
            fields.text("file_name", self.name);
            fields.number("file_size", self.size);
        })
    }
}

/// `{"cmd": "put", "filename": …, "filesize": …}` and the file (R-CL-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put<'a> {
    /// The name.
    pub name: JsonText<'a>,
    /// Octets of body.
    pub size: u64,
}

impl<'a> Put<'a> {
    fn of(object: &Object<'a>) -> Result<Self, ParseError> {
        if text(object, "cmd", Field::Command)? != *"put" {
            return Err(ParseError::malformed(Field::Command));
        }
        Ok(Self { name: text(object, "filename", Field::FileName)?, size: size(object, "filesize", Field::FileSize)? })
    }

    /// Writes length and header to the front of `buffer`; returns how many octets they take together.
    ///
    /// # Errors
    /// [`BufferTooSmall`], as it says.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        Fields::of(buffer, |fields| {
            fields.text("cmd", JsonText::plain("put"));
            fields.text("filename", self.name);
            fields.number("filesize", self.size);
        })
    }
}

/// `{"md5": …, "file_name": …, "total_size": …}` and the output of a remote command (R-CL-31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandReply<'a> {
    /// The digest of the output, or whatever the server's author wrote there: see [`CommandReply::digest`].
    pub md5: JsonText<'a>,
    /// A name for the output.
    pub name: JsonText<'a>,
    /// Octets of body.
    pub size: u64,
}

impl<'a> CommandReply<'a> {
    /// Reads a header, without its length. Only `total_size` must be there.
    ///
    /// # Errors
    /// [`ParseError`] if it is not such a header. The answer may then be one of the low form, see R-CL-32.
    pub fn parse(header: &'a [u8]) -> Result<Self, ParseError> {
        let object = &Object::parse(header)?;
        Ok(Self {
            md5: optional(object, "md5").unwrap_or(JsonText::plain("")),
            name: optional(object, "file_name").unwrap_or(JsonText::plain("")),
            size: size(object, "total_size", Field::FileSize)?,
        })
    }

    /// The digest, if `md5` can be one: servers exist whose `md5` is a few letters that never change.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        digest(self.md5)
    }

    /// Writes length and header to the front of `buffer`; returns how many octets they take together.
    ///
    /// # Errors
    /// [`BufferTooSmall`], as it says.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        Fields::of(buffer, |fields| {
            fields.text("md5", self.md5);
            fields.text("file_name", self.name);
            fields.number("total_size", self.size);
        })
    }
}

/// A request to the salted store, or an answer from it: both have the same keys (R-CL-40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salted<'a> {
    /// What is to be done, or was done.
    pub command: JsonText<'a>,
    /// Octets of body; 0 if the header does not say.
    pub size: u64,
    /// The name of the file.
    pub name: Option<JsonText<'a>>,
    /// Where an uploaded file is on the sender's machine; of no use to the receiver.
    pub path: Option<JsonText<'a>>,
    /// The sub-folder: see [`super::FileType`].
    pub file_type: Option<JsonText<'a>>,
    /// What proves the body. Answers that tell of an error have none.
    pub seal: Option<Seal<'a>>,
}

/// The digest of a body and what it was salted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal<'a> {
    /// [`super::SaltedMd5`] of the body.
    pub digest: Digest,
    /// The salt; `None` if it is missing or null, which is hashed as well.
    pub salt: Option<JsonText<'a>>,
}

impl<'a> Salted<'a> {
    /// Reads a header, without its length. Only `command` must be there.
    ///
    /// # Errors
    /// [`ParseError`] if it is not such a header.
    pub fn parse(header: &'a [u8]) -> Result<Self, ParseError> {
        Self::of(&Object::parse(header)?)
    }

    fn of(object: &Object<'a>) -> Result<Self, ParseError> {
        Ok(Self {
            command: text(object, "command", Field::Command)?,
            size: object.value("data_length").map_or(Ok(0), |_| size(object, "data_length", Field::Body))?,
            name: optional(object, "file_name"),
            path: optional(object, "file_path"),
            file_type: optional(object, "file_type"),
            seal: optional(object, "encrypted")
                .and_then(digest)
                .map(|digest| Seal { digest, salt: optional(object, "salt") }),
        })
    }

    /// Writes length and header to the front of `buffer`; returns how many octets they take together. The keys stand
    /// in the order of the classic programs, which differs with an upload.
    ///
    /// # Errors
    /// [`BufferTooSmall`], as it says.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        Fields::of(buffer, |fields| {
            fields.text("command", self.command);
            fields.number("data_length", self.size);
            fields.optional("file_name", self.name);
            fields.optional("file_path", self.path);
            if self.path.is_none() {
                fields.optional("file_type", self.file_type);
            }
            if let Some(seal) = &self.seal {
                fields.digest("encrypted", &seal.digest);
                fields.optional("salt", seal.salt);
            }
            if self.path.is_some() {
                fields.optional("file_type", self.file_type);
            }
        })
    }
}

fn text<'a>(object: &Object<'a>, key: &str, field: Field) -> Result<JsonText<'a>, ParseError> {
    let value = object.value(key).ok_or(ParseError::missing(field))?;
    value.text().ok_or(ParseError::malformed(field))
}

fn optional<'a>(object: &Object<'a>, key: &str) -> Option<JsonText<'a>> {
    object.value(key)?.text()
}

fn size(object: &Object<'_>, key: &str, field: Field) -> Result<u64, ParseError> {
    let value = object.value(key).ok_or(ParseError::missing(field))?;
    value.size().ok_or(ParseError::malformed(field))
}

fn digest(text: JsonText<'_>) -> Option<Digest> {
    text.copy_to(&mut [0; 32]).and_then(Digest::from_hex)
}

/// Writes an object as `json.dumps` does (R-CL-3).
struct Fields<'w, 'b> {
    writer: &'w mut Writer<'b>,
    first: bool,
}

impl Fields<'_, '_> {
    /// Length, and the object with the fields that `fill` writes.
    fn of(buffer: &mut [u8], fill: impl FnOnce(&mut Fields<'_, '_>)) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        writer.octets(&[0; 4]).octet(b'{');
        fill(&mut Fields { writer: &mut writer, first: true });
        let len = writer.octet(b'}').finish()?;
        let header = u32::try_from(len.saturating_sub(4)).unwrap_or(u32::MAX);
        if let Some(length) = buffer.first_chunk_mut::<4>() {
            *length = header.to_le_bytes();
        }
        Ok(len)
    }

    fn key(&mut self, key: &str) {
        if !core::mem::take(&mut self.first) {
            self.writer.octets(b", ");
        }
        JsonText::plain(key).write(self.writer);
        self.writer.octets(b": ");
    }

    fn text(&mut self, key: &str, text: JsonText<'_>) {
        self.key(key);
        text.write(self.writer);
    }

    fn optional(&mut self, key: &str, text: Option<JsonText<'_>>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        self.writer.decimal(number);
    }

    fn digest(&mut self, key: &str, digest: &Digest) {
        self.key(key);
        self.writer.octet(b'"');
        for &octet in &digest.0 {
            self.writer.hex_padded(u64::from(octet), 2);
        }
        self.writer.octet(b'"');
    }
}
