//! Unpacking into the share.
//!
//! R-FL-86: everything is written into a folder of its own, which nobody is told of, and moved out of it in one step.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, DirBuilder, OpenOptions};
use feige_core::digest::Digest;
use feige_core::text::FileName;
use zip::ZipArchive;

use super::archive::{END, End};
use super::{Arrived, BUFFER, ParcelError};
use crate::digest::Stream;
use crate::peer::share::{Kind, MOST_LEVELS, Share, open_in, part_name};
use crate::store::{Space, StoreError, first_free, handle, read_at, rename_new};
use crate::transfer::Cancel;

/// What the only thing in the folder of an unpacking is called.
const CONTENT: &str = "content";

/// What an entry takes of the disk besides its octets, roughly.
const BLOCK: u64 = 4096;

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Where it is now.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Octets of all its files.
    pub size: u64,
    /// MD5, if it is a file.
    pub md5: Option<Digest>,
    /// Whether the same was there already: nothing was written then.
    pub was_there: bool,
}

/// Puts what came into the share, under the name that was asked for: `asked`, or `asked (1)` … if that is taken by
/// something else. If it is taken by the same contents, all is done.
///
/// An archive of one entry with the name that was asked for is a file. Everything else is a folder, and a top folder of
/// that name in the archive is that folder. At most `most` octets are unpacked.
///
/// # Errors
/// [`ParcelError::Archive`], [`ParcelError::BadName`], [`ParcelError::TooLarge`], [`ParcelError::Cancelled`] and what
/// the disk says; then nothing is left of it.
pub fn unpack(
    arrived: &Arrived,
    asked: &str,
    share: &Share,
    most: u64,
    cancel: &Cancel,
) -> Result<Unpacked, ParcelError> {
    let name = checked_name(asked).ok_or_else(|| ParcelError::BadName(asked.to_owned()))?;
    let mut unpacking = Unpacking::begin(share, most, cancel)?;
    let kind = match arrived {
        Arrived::Text(text) => {
            unpacking.file(&[CONTENT], &mut text.as_bytes())?;
            Kind::File
        }
        Arrived::Archive(file) => unpacking.archive(file, name)?,
    };
    unpacking.publish(name, kind)
}

/// The name, if it is safe as it is: one component, no device, no drive, nothing that a terminal or another system
/// would take for more, and none of this program's unfinished files.
fn checked_name(name: &str) -> Option<&str> {
    let is_safe = FileName::from_untrusted(name).as_str() == name && crate::peer::share::is_told(name);
    is_safe.then_some(name)
}

/// The components of the name of an entry, if each of them is safe.
fn checked_path(entry: &str) -> Result<Vec<&str>, ParcelError> {
    let path = entry.strip_suffix('/').unwrap_or(entry);
    let names: Option<Vec<_>> = path.split('/').map(checked_name).collect();
    names.filter(|names| names.len() < MOST_LEVELS).ok_or_else(|| ParcelError::BadName(entry.to_owned()))
}

struct Unpacking<'s> {
    share: &'s Share,
    /// The folder that everything is written to, and its name in the share.
    dir: Dir,
    part: String,
    most: u64,
    size: u64,
    space: Space,
    cancel: &'s Cancel,
    /// Every file, as its path below [`CONTENT`], and its digest.
    files: Vec<(Vec<String>, Digest)>,
}

impl<'s> Unpacking<'s> {
    fn begin(share: &'s Share, most: u64, cancel: &'s Cancel) -> Result<Self, ParcelError> {
        use cap_std::fs::DirBuilderExt;
        let failed = |error| StoreError::io("create a part in", share.path(), error);
        let part = part_name();
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        share.dir().create_dir_with(&part, &builder).map_err(failed)?;
        let dir = share.dir().open_dir_nofollow(&part).map_err(failed)?;
        Ok(Self { share, dir, part, most, size: 0, space: Space::default(), cancel, files: Vec::new() })
    }

    fn archive(&mut self, file: &File, name: &str) -> Result<Kind, ParcelError> {
        let entries = entries(file)?;
        let mut zip = ZipArchive::new(file.try_clone().map_err(super::temporary)?).map_err(ParcelError::archive)?;
        // The library keeps the last of those that have one name.
        if zip.len() != entries {
            return Err(ParcelError::archive("two of its entries have one name"));
        }
        let mut paths = Vec::with_capacity(zip.len());
        for at in 0..zip.len() {
            let entry = zip.by_index_raw(at).map_err(ParcelError::archive)?;
            let path = entry.name().map_err(ParcelError::archive)?.into_owned();
            // Links, devices and pipes have their own types in the mode; 0 is what Windows writes.
            let is_plain = entry.unix_mode().is_none_or(|mode| matches!(mode & 0o170_000, 0 | 0o100_000 | 0o040_000));
            if !is_plain {
                return Err(ParcelError::BadName(path));
            }
            checked_path(&path)?;
            paths.push(path);
        }
        let is_file = matches!(&*paths, [only] if !only.ends_with('/') && only.rsplit('/').next() == Some(name));
        let top = format!("{name}/");
        let has_top = paths.iter().all(|path| path.starts_with(&top));
        if !is_file {
            self.folders(&[CONTENT])?;
        }
        for (at, path) in paths.iter().enumerate() {
            let inside = if has_top { path.get(top.len()..).unwrap_or_default() } else { path };
            let inside = if is_file { "" } else { inside };
            let names: Vec<_> =
                std::iter::once(CONTENT).chain(inside.split('/').filter(|name| !name.is_empty())).collect();
            if path.ends_with('/') {
                self.folders(&names)?;
            } else {
                let mut entry = zip.by_index(at).map_err(ParcelError::archive)?;
                self.file(&names, &mut entry)?;
            }
        }
        Ok(if is_file { Kind::File } else { Kind::Folder })
    }

    /// Makes folders as far as they are missing, and opens the last one.
    fn folders(&mut self, names: &[&str]) -> Result<Dir, ParcelError> {
        let mut dir = self.dir.try_clone().map_err(|error| self.failed(error))?;
        for name in names {
            match dir.create_dir(name) {
                Ok(()) => self.spend(BLOCK)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.failed(error)),
            }
            dir = dir.open_dir_nofollow(name).map_err(|error| self.failed(error))?;
        }
        Ok(dir)
    }

    fn file(&mut self, names: &[&str], from: &mut impl Read) -> Result<(), ParcelError> {
        let Some((name, above)) = names.split_last() else { return Ok(()) };
        let dir = self.folders(above)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = dir.open_with(name, &options).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ParcelError::BadName((*name).to_owned()),
            _ => self.failed(error),
        })?;
        self.spend(BLOCK)?;
        let (mut stream, mut piece) = (Stream::new(), vec![0; BUFFER]);
        loop {
            if self.cancel.is_cancelled() {
                return Err(ParcelError::Cancelled);
            }
            // An error of the decoder: the checksum of the entry, or garbage.
            let count = from.read(&mut piece).map_err(ParcelError::archive)?;
            if count == 0 {
                break;
            }
            // What an entry says of its size is not believed: what comes out counts.
            self.size = self.size.saturating_add(count as u64);
            if self.size > self.most {
                return Err(ParcelError::TooLarge { most: self.most });
            }
            self.spend(count as u64)?;
            stream.update(&piece[..count]);
            file.write_all(&piece[..count]).map_err(|error| self.failed(error))?;
        }
        file.sync_all().map_err(|error| self.failed(error))?;
        let inside = names.iter().skip(1).map(|&name| name.to_owned()).collect();
        self.files.push((inside, stream.finish()));
        Ok(())
    }

    fn spend(&mut self, octets: u64) -> Result<(), ParcelError> {
        Ok(self.space.spend(&self.dir, octets)?)
    }

    fn failed(&self, error: io::Error) -> ParcelError {
        StoreError::io("unpack into", self.share.path(), error).into()
    }

    fn publish(self, name: &str, kind: Kind) -> Result<Unpacked, ParcelError> {
        let md5 = self.files.first().filter(|_| kind == Kind::File).map(|(_, md5)| *md5);
        let (size, was_there) = (self.size, self.is_there(name, kind));
        let name = if was_there {
            name.to_owned()
        } else {
            let _ = handle(&self.dir).and_then(|dir| dir.sync_all());
            let share = self.share.dir();
            let moved = first_free(name, |candidate| rename_new(&self.dir, CONTENT, share, candidate));
            let ((), name) = moved.map_err(|error| self.failed(error))?;
            let _ = handle(share).and_then(|dir| dir.sync_all());
            name
        };
        Ok(Unpacked { path: self.share.path().join(name), kind, size, md5, was_there })
    }

    /// Whether the share has the same contents under this name: of a folder, all files of it.
    fn is_there(&self, name: &str, kind: Kind) -> bool {
        let share = self.share.dir();
        let same = |dir: &Dir, name: &str, md5: Digest| {
            open_in(dir, name).and_then(|file| self.share.digest(&file)).is_ok_and(|digest| digest == md5)
        };
        match (kind, share.open_dir_nofollow(name)) {
            (Kind::File, Err(_)) => self.files.iter().all(|(_, md5)| same(share, name, *md5)),
            (Kind::Folder, Ok(folder)) => self.files.iter().all(|(names, md5)| {
                let Some((name, above)) = names.split_last() else { return false };
                let enter = |dir: Dir| above.iter().try_fold(dir, |dir, name| dir.open_dir_nofollow(name));
                folder.try_clone().and_then(enter).is_ok_and(|dir| same(&dir, name, *md5))
            }),
            _ => false,
        }
    }
}

impl Drop for Unpacking<'_> {
    fn drop(&mut self) {
        // All of it, or what is left after the content was moved out. Nothing can be done about an error here.
        let _ = self.share.dir().remove_dir_all(&self.part);
        self.share.changed();
    }
}

/// How many entries there are. Refuses more than are taken, before a library reads the list of them.
fn entries(file: &File) -> Result<usize, ParcelError> {
    let length = file.metadata().map_err(super::temporary)?.len();
    let mut end = [0; END];
    let at = length.checked_sub(END as u64).ok_or_else(|| ParcelError::archive("it is too short"))?;
    let mut filled = 0;
    while filled < END {
        match read_at(file, &mut end[filled..], at + filled as u64).map_err(super::temporary)? {
            0 => break,
            count => filled += count,
        }
    }
    match End::parse(&end, length) {
        Some(end) if end.is_modest() => Ok(end.entries.into()),
        Some(_) => Err(ParcelError::archive("it has too many entries")),
        None => Err(ParcelError::archive("its end is not where it should be")),
    }
}
