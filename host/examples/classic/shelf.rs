//! A folder as a shelf, for trying the classic dialects: no accounts, a quota at most.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use feige::classic::{Shelf, ShelfError, Source, SpaceLeft, Upload};
use feige_core::text::FileName;
use feige_core::wire::classic::FileType;
use feige_core::wire::transfer::ErrorCode;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Octets of the largest file that is taken; `None`: none is taken at all.
    largest: Option<u64>,
}

impl Folder {
    /// The folder at `root`, which takes files of up to `largest` octets; `None`: none at all.
    pub fn new(root: impl Into<PathBuf>, largest: Option<u64>) -> Self {
        Self { root: root.into(), largest }
    }

    fn names(&self, folder: FileType) -> io::Result<Vec<(String, u64)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(folder.word()))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            match entry.file_name().into_string() {
                Ok(name) if metadata.is_file() && !name.ends_with(PART) => names.push((name, metadata.len())),
                _ => {}
            }
        }
        names.sort();
        Ok(names)
    }
}

const PART: &str = ".part";

impl Shelf for Folder {
    fn list(&self, folder: FileType) -> Result<Vec<String>, ShelfError> {
        match self.names(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => Ok(other.map_err(failed)?.into_iter().map(|(name, _)| name).collect()),
        }
    }

    fn open(&self, folder: FileType, name: &str) -> Result<Box<dyn Source + '_>, ShelfError> {
        let file = File::open(self.root.join(folder.word()).join(name)).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(Box::new(Reading { file, size }))
    }

    fn receive(&self, folder: FileType, name: &FileName, size: u64) -> Result<Box<dyn Upload + '_>, ShelfError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        match self.largest {
            None => return Err(ShelfError { code: ErrorCode::Forbidden, text: "nothing may be uploaded here".into() }),
            Some(largest) if size > largest => {
                return Err(ShelfError { code: ErrorCode::NoSpace, text: "the file is too large".into() });
            }
            Some(_) => {}
        }
        let folder = self.root.join(folder.word());
        fs::create_dir_all(&folder).map_err(failed)?;
        let part = folder.join(format!("{}{PART}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let file = File::create_new(&part).map_err(failed)?;
        Ok(Box::new(Writing { file, part, name: name.to_string() }))
    }

    fn space(&self) -> Result<SpaceLeft, ShelfError> {
        let used = |folder| self.names(folder).unwrap_or_default().iter().map(|(_, size)| size).sum::<u64>();
        Ok(SpaceLeft { used: FileType::ALL.into_iter().map(used).sum(), quota: None, free: self.largest })
    }
}

struct Reading {
    file: File,
    size: u64,
}

impl Source for Reading {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<usize, ShelfError> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read(into)).map_err(failed)
    }
}

struct Writing {
    file: File,
    part: PathBuf,
    name: String,
}

impl Upload for Writing {
    fn write(&mut self, octets: &[u8]) -> Result<(), ShelfError> {
        self.file.write_all(octets).map_err(failed)
    }

    fn finish(self: Box<Self>) -> Result<String, ShelfError> {
        let named = self.part.parent().unwrap_or(Path::new(".")).join(&self.name);
        fs::rename(&self.part, named).map_err(failed)?;
        Ok(self.name.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // After `finish` there is none.
        let _ = fs::remove_file(&self.part);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: io::Error) -> ShelfError {
    let code = match error.kind() {
        io::ErrorKind::NotFound => ErrorCode::NotFound,
        io::ErrorKind::StorageFull => ErrorCode::NoSpace,
        _ => ErrorCode::Internal,
    };
    ShelfError { code, text: code.to_string().into() }
}
