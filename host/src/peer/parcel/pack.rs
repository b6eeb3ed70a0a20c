//! Making the archive of a file or folder.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use feige_core::digest::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{BUFFER, MOST_ENTRIES, MOST_OCTETS, ParcelError, aside, header, temporary};
use crate::digest::Stream;
use crate::peer::share::{Kind, Share, files_in, open_in};
use crate::store::StoreError;
use crate::transfer::Cancel;

/// An archive that is ready to be sent.
#[derive(Debug)]
pub struct Parcel {
    /// The archive, at its beginning.
    pub file: File,
    /// How many octets it has.
    pub size: u64,
    /// Its digest.
    pub md5: Digest,
    /// Length and header, to be sent in front of it with one write.
    pub header: Vec<u8>,
}

/// Packs the file or folder at `path` of the share: a file as one entry with its name, of a folder the files that are
/// right in it, as `FOLDER/NAME`. At most `most` octets, and never more than [`MOST_OCTETS`].
///
/// # Errors
/// [`ParcelError::NotShared`], [`ParcelError::TooLarge`], [`ParcelError::Cancelled`], and what the disk says.
pub fn pack(share: &Share, path: &str, kind: Kind, most: u64, cancel: &Cancel) -> Result<Parcel, ParcelError> {
    let most = most.min(MOST_OCTETS);
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let gone = |_| ParcelError::NotShared(path.to_owned());
    let mut packer = Packer { zip: ZipWriter::new(aside(share)?), packed: 0, most, cancel };
    match kind {
        Kind::File => packer.add(name, share.open_file(path).map_err(gone)?)?,
        Kind::Folder => {
            let folder = share.open_folder(path).map_err(gone)?;
            let names = files_in(&folder).map_err(gone)?;
            if names.len() >= MOST_ENTRIES {
                return Err(ParcelError::Archive(format!("the folder has more than {MOST_ENTRIES} files")));
            }
            packer.zip.add_directory(name, options()).map_err(ParcelError::archive)?;
            for inside in names {
                // What was removed meanwhile is not in the folder any more.
                if let Ok(file) = open_in(&folder, &inside) {
                    packer.add(&format!("{name}/{inside}"), file)?;
                }
            }
        }
    }
    let mut file = packer.zip.finish().map_err(ParcelError::archive)?;
    let (size, md5) = hashed(&mut file).map_err(temporary)?;
    if size > most {
        return Err(ParcelError::TooLarge { most });
    }
    Ok(Parcel { file, size, md5, header: header::emit(name, md5, size) })
}

struct Packer<'c> {
    zip: ZipWriter<File>,
    packed: u64,
    most: u64,
    cancel: &'c Cancel,
}

impl Packer<'_> {
    fn add(&mut self, entry: &str, mut file: File) -> Result<(), ParcelError> {
        self.zip.start_file(entry, options()).map_err(ParcelError::archive)?;
        let mut piece = vec![0; BUFFER];
        loop {
            if self.cancel.is_cancelled() {
                return Err(ParcelError::Cancelled);
            }
            let count = match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::io("read", entry, error).into()),
            };
            self.packed += count as u64;
            if self.packed > self.most {
                return Err(ParcelError::TooLarge { most: self.most });
            }
            self.zip.write_all(&piece[..count]).map_err(temporary)?;
        }
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

/// Length and digest of an archive, which is at its beginning then. The writer goes back to fill in sizes, so the
/// digest can only be had of what is whole.
fn hashed(file: &mut File) -> io::Result<(u64, Digest)> {
    file.seek(SeekFrom::Start(0))?;
    let (mut stream, mut size, mut piece) = (Stream::new(), 0, vec![0; BUFFER]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => {
                stream.update(&piece[..count]);
                size += count as u64;
            }
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((size, stream.finish()))
}
