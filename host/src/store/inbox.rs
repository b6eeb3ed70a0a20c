//! The download folder.
//!
//! An [`Inbox`] is an open handle of one folder. All that is received goes through it; what is not below that handle
//! cannot be named.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, File};
use feige_core::digest::Running;
use feige_core::text::FileName;

use super::StoreError;
use super::owned::{self, Found};
use super::part::{FilePart, FolderPart};
use super::publish::{LONGEST_NAME, shortened};
use super::space::Space;

/// What a part's name ends with.
pub(crate) const SUFFIX: &str = ".feige-part";

/// How old a part is that is swept when the folder is opened: as in the folders of `feige serve`.
const STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many unguessable names are tried before the folder is given up on.
const FRESH_NAMES: u32 = 16;

/// What identifies a file across two attempts to download it, so that the second may continue the first.
///
/// The protocol has no digest of the contents. The same sender, name, size and time of last change are what there
/// is; the packet number is left out, so that the same file may also be offered anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who offered it.
    pub from: Ipv4Addr,
    /// The announced size in octets.
    pub size: u64,
    /// The announced time of last change, in seconds since 1970.
    pub mtime: u64,
}

/// The download folder: see the module.
#[derive(Debug)]
pub struct Inbox {
    pub(super) dir: Dir,
    path: PathBuf,
    pub(super) modes: Modes,
}

impl Inbox {
    /// Opens the folder at `path`, creating it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it is not a folder, or may not be opened or created.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let failed = |action| move |error| StoreError::io(action, path, error);
        std::fs::create_dir_all(path).map_err(failed("create"))?;
        let path = path.canonicalize().map_err(failed("open"))?;
        let dir =
            Dir::open_ambient_dir(&path, ambient_authority()).map_err(|error| StoreError::io("open", &path, error))?;
        let inbox = Self { dir, path, modes: Modes::of_this_process() };
        // What cannot be swept harms nobody.
        let _ = inbox.sweep();
        Ok(inbox)
    }

    /// The folder opened anew, and made again if need be, if the one behind this handle was removed: nothing can be made
    /// in a folder that has no name any more, even if another has its name now. `None` while it is there.
    ///
    /// # Errors
    /// As for [`Inbox::open`].
    pub fn anew(&self) -> Result<Option<Self>, StoreError> {
        let facts = self.dir.dir_metadata().map_err(|error| StoreError::io("look at", &self.path, error))?;
        if facts.nlink() > 0 { Ok(None) } else { Self::open(&self.path).map(Some) }
    }

    /// Removes what nobody has gone on with for [`STALE`].
    fn sweep(&self) -> io::Result<()> {
        for entry in self.dir.entries()? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().filter(|name| is_part(name)).map(str::to_owned) else {
                continue;
            };
            let Ok(facts) = self.dir.symlink_metadata(&name) else { continue };
            let changed = facts.modified().map(cap_std::time::SystemTime::into_std);
            if !changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age >= STALE)) {
                continue;
            }
            if facts.is_dir() {
                let _ = self.dir.remove_dir_all(&name);
            } else if let Ok(Found::Ours(_locked)) = owned::reopen(&self.dir, &name) {
                let _ = self.dir.remove_file(&name);
            }
        }
        Ok(())
    }

    /// The folder's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to receive the file `name`, of which `size` octets are announced (`None`: not known).
    ///
    /// With an `origin`, the part of an earlier attempt is taken up again if it is there: [`FilePart::len`] tells
    /// how much of it is to be kept. With `resume` false that part is emptied first.
    ///
    /// # Errors
    /// [`StoreError::TooBig`] if the announced size does not fit, [`StoreError::Io`] if no part can be made.
    pub fn file(
        &self,
        name: &FileName,
        size: Option<u64>,
        origin: Option<Origin>,
        resume: bool,
    ) -> Result<FilePart<'_>, StoreError> {
        let name = final_name(name);
        let (file, part, len) = self
            .open_part(&name, origin, resume)
            .map_err(|error| StoreError::io("create a part of", self.path.join(&name), error))?;
        let part = FilePart::new(self, file, name, part, len);
        Space::fits(&self.dir, size.unwrap_or(0).saturating_sub(len))?;
        Ok(part)
    }

    /// Begins to receive the folder `name`, which was last changed at `mtime`.
    ///
    /// # Errors
    /// [`StoreError::Io`] if no part can be made.
    pub fn folder(&self, name: &FileName, mtime: Option<SystemTime>) -> Result<FolderPart<'_>, StoreError> {
        let name = final_name(name);
        let (dir, part) = self
            .create_folder_part(&name)
            .map_err(|error| StoreError::io("create a part of", self.path.join(&name), error))?;
        Ok(FolderPart::new(self, dir, name, part, mtime))
    }

    /// The part that `origin` names, as far as nobody else is writing it; else a new one. Returns the file, its name
    /// and how many octets of it count.
    fn open_part(&self, name: &str, origin: Option<Origin>, resume: bool) -> io::Result<(File, String, u64)> {
        if let Some(origin) = origin {
            let part = part_name(name, key(name, origin));
            match owned::reopen(&self.dir, &part) {
                Ok(Found::Ours(file)) => {
                    let len = file.metadata()?.len();
                    // More octets than announced cannot be of this file: begin again.
                    let kept = if resume && len <= origin.size { len } else { 0 };
                    file.set_len(kept)?;
                    return Ok((file, part, kept));
                }
                Ok(Found::InUse | Found::Foreign) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if let Ok(Found::Ours(file)) = owned::create_part(&self.dir, &part) {
                        return Ok((file, part, 0));
                    }
                }
                // Something that is not ours has that name (a link, a folder): leave it alone.
                Err(_) => {}
            }
        }
        for _ in 0..FRESH_NAMES {
            let part = part_name(name, unguessable());
            match owned::create_part(&self.dir, &part) {
                Ok(Found::Ours(file)) => return Ok((file, part, 0)),
                Ok(Found::InUse | Found::Foreign) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn create_folder_part(&self, name: &str) -> io::Result<(Dir, String)> {
        use cap_std::fs::DirBuilderExt;
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        for _ in 0..FRESH_NAMES {
            let part = part_name(name, unguessable());
            match self.dir.create_dir_with(&part, &builder) {
                Ok(()) => return Ok((self.dir.open_dir_nofollow(&part)?, part)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Access rights of what is published: what any other program of this user would give.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modes {
    /// Of a file.
    pub(crate) file: u32,
    /// Of a folder.
    pub(crate) folder: u32,
}

impl Modes {
    pub(crate) fn of_this_process() -> Self {
        use rustix::fs::Mode;
        use std::sync::OnceLock;
        // The mask can only be read by setting it. For that instant it is stricter, never looser, and it is done
        // once for the process.
        static MASK: OnceLock<u32> = OnceLock::new();
        let mask = *MASK.get_or_init(|| {
            let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
            rustix::process::umask(mask);
            #[allow(clippy::useless_conversion, reason = "16 bits on other systems")]
            u32::from(mask.bits())
        });
        Self { file: 0o666 & !mask, folder: 0o777 & !mask }
    }
}

/// The name that a received file or folder is to have: never that of a part, which a later transfer might take for the
/// beginning of its own.
fn final_name(name: &FileName) -> String {
    let name = name.as_str();
    if name.to_ascii_lowercase().ends_with(SUFFIX) {
        format!("{}_", shortened(name, LONGEST_NAME - 1))
    } else {
        name.to_owned()
    }
}

/// `.NAME.KEY.feige-part`, where a long `NAME` is cut so that the whole fits.
fn part_name(name: &str, key: u64) -> String {
    let end = format!(".{key:016x}{SUFFIX}");
    format!(".{}{end}", shortened(name, LONGEST_NAME - end.len() - 1))
}

/// Whether [`part_name`] makes such names.
fn is_part(name: &str) -> bool {
    let stem = name.strip_prefix('.').and_then(|name| name.strip_suffix(SUFFIX));
    stem.and_then(|stem| stem.rsplit_once('.'))
        .is_some_and(|(_, key)| key.len() == 16 && key.bytes().all(|octet| octet.is_ascii_hexdigit()))
}

/// What the part of this file is called: the same for every attempt, and not to be brought about by another sender.
fn key(name: &str, origin: Origin) -> u64 {
    let mut digest = Running::new();
    digest.update(&origin.from.octets());
    digest.update(&origin.size.to_be_bytes());
    digest.update(&origin.mtime.to_be_bytes());
    digest.update(name.as_bytes());
    digest.finish().key()
}

/// A number that nobody can foresee: the standard library seeds its hash maps with such.
pub(crate) fn unguessable() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8)
}
