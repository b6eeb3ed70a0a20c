//! A home as a shelf: the classic programs have no accounts, so who speaks a classic dialect is a guest (R-CL-8).

use std::sync::Arc;

use feige_core::digest::{Digest, Running};
use feige_core::text::FileName;
use feige_core::wire::classic::FileType;
use feige_core::wire::transfer::{EntryKind, ErrorCode, Path, block_len};

use super::shelf::inside;
use super::{Shelf, ShelfError, Source, SpaceLeft, Upload};
use crate::home::{self, Arriving, Home, HomeError};
use crate::store::{read_at, unguessable};

/// What guests may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing.
    None,
    /// List and download.
    Read,
    /// Upload, too.
    Write,
}

/// The home of the guests.
#[derive(Clone, Debug)]
pub struct Guests {
    home: Arc<Home>,
    right: Right,
}

impl Guests {
    /// Guests may do this much in `home`.
    #[must_use]
    pub const fn new(home: Arc<Home>, right: Right) -> Self {
        Self { home, right }
    }

    fn may(&self, right: Right, what: &str) -> Result<(), ShelfError> {
        if self.right >= right {
            return Ok(());
        }
        let text = format!("guests may not {what} here; ask whoever runs this server");
        Err(ShelfError { code: ErrorCode::Forbidden, text: text.into() })
    }
}

impl Shelf for Guests {
    fn list(&self, folder: FileType) -> Result<Vec<String>, ShelfError> {
        self.may(Right::Read, "list files")?;
        let listing = match self.home.list(path(folder.word())?) {
            Err(error) if error.code == ErrorCode::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for item in listing {
            let item = item?;
            if item.kind == EntryKind::File && FileName::is_safe(&item.name) {
                names.push(item.name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, folder: FileType, name: &str) -> Result<Box<dyn Source + '_>, ShelfError> {
        self.may(Right::Read, "download files")?;
        Ok(Box::new(self.home.read(path(&inside(folder, name))?)?))
    }

    fn receive(&self, folder: FileType, name: &FileName, size: u64) -> Result<Box<dyn Upload + '_>, ShelfError> {
        self.may(Right::Write, "upload files")?;
        if folder != FileType::Other {
            self.home.make_dir(path(folder.word())?, true)?;
        }
        let arriving = Arriving {
            size,
            mtime: None,
            mode: None,
            // Like no other: these dialects continue nothing.
            stamp: unguessable().max(1),
            block: BLOCK_LOG2,
            replace: true,
            fresh: false,
        };
        let upload = self.home.receive(path(&inside(folder, name.as_str()))?, &arriving)?;
        let name = name.to_string();
        Ok(Box::new(Receiving { home: &self.home, upload, name, at: 0, block: Running::new(), digests: Vec::new() }))
    }

    fn space(&self) -> Result<SpaceLeft, ShelfError> {
        self.may(Right::Read, "ask for the room")?;
        let home::Space { used, quota, free } = self.home.space();
        Ok(SpaceLeft { used, quota, free })
    }
}

/// Blocks of a home of 1 MiB: fewest digests.
const BLOCK_LOG2: u8 = 20;

/// A file on its way into a home.
struct Receiving<'h> {
    home: &'h Home,
    upload: home::Upload,
    name: String,
    at: u64,
    /// MD5 of what came of the present block.
    block: Running,
    /// Of the blocks before it. The home hears of them only when the file is whole: what is not, is not kept.
    digests: Vec<Digest>,
}

impl Receiving<'_> {
    fn block_len() -> u64 {
        block_len(BLOCK_LOG2).map_or(1, u64::from)
    }

    fn end_block(&mut self) {
        self.digests.push(std::mem::take(&mut self.block).finish());
    }
}

impl Upload for Receiving<'_> {
    fn write(&mut self, octets: &[u8]) -> Result<(), ShelfError> {
        self.upload.write(self.at, octets)?;
        let mut left = octets;
        while !left.is_empty() {
            let room = Self::block_len() - self.at % Self::block_len();
            let (now, later) = left.split_at(usize::try_from(room).map_or(left.len(), |room| room.min(left.len())));
            self.block.update(now);
            self.at += now.len() as u64;
            if self.at.is_multiple_of(Self::block_len()) {
                self.end_block();
            }
            left = later;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<String, ShelfError> {
        if !self.at.is_multiple_of(Self::block_len()) {
            self.end_block();
        }
        for (start, digest) in (0..).step_by(1 << BLOCK_LOG2).zip(&self.digests) {
            let len = u32::try_from(Self::block_len().min(self.at - start)).unwrap_or(u32::MAX);
            self.upload.verified(start, len, std::slice::from_ref(digest))?;
        }
        let Self { home, upload, name, .. } = *self;
        home.settle(&mut vec![upload.complete()?]).into_iter().collect::<Result<(), HomeError>>()?;
        Ok(name)
    }
}

impl Source for home::Source {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<usize, ShelfError> {
        read_at(&self.file, into, at).map_err(|error| ShelfError {
            code: ErrorCode::Internal,
            text: format!("cannot read the file: {error}").into(),
        })
    }
}

impl From<HomeError> for ShelfError {
    fn from(HomeError { code, text }: HomeError) -> Self {
        Self { code, text }
    }
}

fn path(text: &str) -> Result<Path<'_>, ShelfError> {
    Path::parse(text).map_err(|error| ShelfError { code: ErrorCode::BadName, text: error.to_string().into() })
}
