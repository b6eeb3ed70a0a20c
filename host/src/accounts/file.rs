//! The users file: TOML that people may edit, and that changes as a whole or not at all.
//!
//! ```toml
//! decoy_secret = "…"           # makes up what unknown users are answered
//!
//! [users.alice]
//! salt = "…"                   # these four check the password
//! iterations = 65536
//! stored_key = "…"
//! server_key = "…"
//! quota = "10 GiB"             # or octets; none: as much as the disk takes
//! home = "team/alice"          # below the folder that is served; the user's name if it is not there
//! disabled = true              # not let in
//! ```
//!
//! **Guarantees**: whoever reads the file sees it before a change or after it, also when the machine loses power.
//! Two changes at once are made one after the other. Comments and order stay as they are. Its owner alone can read it.
//!
//! **Time**: a change waits for the lock of another one as long as that takes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64ct::{Base64, Encoding};
use bytesize::ByteSize;
use feige_core::stream::transfer::scram;
use feige_core::wire::transfer;
use serde::Deserialize;
use toml::Spanned;
use toml_edit::{DocumentMut, Item, Table as TomlTable, TableLike, value};

use super::{Account, OwnedVerifier, random, user_name};
use crate::exit::Failure;

/// What a new file begins with.
const HEADER: &str = "\
# The accounts of `feige serve --users`. Changed by `feige user`, and by hand: a running server takes notice.
# There are no passwords in here, only what checks them; still, keep it to yourself.
";

/// What stands in a users file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The accounts by name.
    pub accounts: BTreeMap<String, Account>,
    /// Makes up the salts of users that do not exist. In the file, so that they stay the same when the server is
    /// started again, as those of real ones do.
    pub decoy_secret: Option<[u8; 32]>,
}

impl Table {
    /// Reads the file, and tells which state of it that was.
    ///
    /// # Errors
    /// A [`Failure`] of usage that names file and line.
    pub fn read(path: &Path) -> Result<(Self, Stamp), Failure> {
        let mut text = String::new();
        let read = File::open(path).and_then(|mut file| {
            let stamp = Stamp::from(&file.metadata()?);
            file.read_to_string(&mut text).map(|_| stamp)
        });
        let stamp = read.map_err(|error| cannot_read(path, &error))?;
        Ok((Self::parse(path, &text)?, stamp))
    }

    /// How often most accounts' passwords are hashed.
    #[must_use]
    pub fn usual_iterations(&self) -> Option<u32> {
        let mut counts = BTreeMap::<u32, usize>::new();
        for account in self.accounts.values() {
            *counts.entry(account.verifier.iterations).or_default() += 1;
        }
        counts.into_iter().max_by_key(|&(_, count)| count).map(|(iterations, _)| iterations)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let at = |offset: usize, what: &str| {
            let line = text.as_bytes().iter().take(offset).filter(|&&octet| octet == b'\n').count() + 1;
            Failure::usage(format!("{}:{line}: {what}", path.display()))
        };
        let raw: RawFile = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(offset, &error.message().replace('\n', " "))
        })?;
        let mut table = Self::default();
        if let Some(secret) = raw.decoy_secret {
            let octets = decoded(secret.get_ref()).and_then(|octets| octets.try_into().ok());
            let wrong = || at(secret.span().start, "decoy_secret must be 32 octets in base64; or leave it out");
            table.decoy_secret = Some(octets.ok_or_else(wrong)?);
        }
        for (key, raw) in raw.users {
            let (name, start) = (key.get_ref(), key.span().start);
            match user_name(name) {
                Ok(right) if right == *name => {}
                Ok(right) => return Err(at(start, &format!("users are written in lower case: [users.{right}]"))),
                Err(why) => return Err(at(start, &why)),
            }
            let account = raw.checked(name).map_err(|(offset, what)| at(offset, &format!("{name}: {what}")))?;
            table.accounts.insert(name.clone(), account);
        }
        Ok(table)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    decoy_secret: Option<Spanned<String>>,
    #[serde(default)]
    users: BTreeMap<Spanned<String>, RawAccount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccount {
    salt: Spanned<String>,
    iterations: Spanned<u32>,
    stored_key: Spanned<String>,
    server_key: Spanned<String>,
    quota: Option<Spanned<RawQuota>>,
    home: Option<Spanned<String>>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a quota is a number of octets, or a text like \"10 GiB\"")]
enum RawQuota {
    Octets(u64),
    Text(String),
}

impl RawAccount {
    /// Or where it is wrong, and what.
    fn checked(&self, name: &str) -> Result<Account, (usize, String)> {
        let salt = decoded(self.salt.get_ref()).filter(|salt| scram::SALT.contains(&salt.len()));
        let (least, most) = (scram::SALT.start(), scram::SALT.end());
        let salt = salt.ok_or((self.salt.span().start, format!("salt must be {least} to {most} octets in base64")))?;
        let iterations = *self.iterations.get_ref();
        if !scram::ITERATIONS.contains(&iterations) {
            let (least, most) = (scram::ITERATIONS.start(), scram::ITERATIONS.end());
            return Err((self.iterations.span().start, format!("iterations must be {least} to {most}")));
        }
        let key = |text: &Spanned<String>, what: &str| {
            let key = decoded(text.get_ref()).and_then(|octets| octets.try_into().ok());
            key.ok_or((text.span().start, format!("{what} must be 32 octets in base64")))
        };
        let keys = scram::Keys {
            stored_key: key(&self.stored_key, "stored_key")?,
            server_key: key(&self.server_key, "server_key")?,
        };
        let quota = match &self.quota {
            None => None,
            Some(raw) => Some(match raw.get_ref() {
                RawQuota::Octets(octets) => *octets,
                RawQuota::Text(text) => parse_size(text).map_err(|error| (raw.span().start, error))?,
            }),
        };
        let home = match &self.home {
            None => name.to_owned(),
            Some(home) => {
                let wrong = |error: transfer::BadPath| (home.span().start, format!("home: {error}"));
                transfer::Path::parse(home.get_ref()).map_err(wrong)?.as_str().to_owned()
            }
        };
        Ok(Account { verifier: OwnedVerifier { salt, iterations, keys }, quota, home, disabled: self.disabled })
    }
}

/// Which state of a file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    /// Device and number of the file.
    identity: (u64, u64),
}

impl Stamp {
    /// The present state.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&std::fs::metadata(path)?))
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { modified: metadata.modified().ok(), len: metadata.len(), identity: (metadata.dev(), metadata.ino()) }
    }
}

/// A users file that is being changed, and that nobody else changes meanwhile.
#[derive(Debug)]
pub struct Change {
    /// As it was named, for messages.
    named: PathBuf,
    /// The file itself: what is replaced, if it was named by a link.
    path: PathBuf,
    /// Holds the lock.
    file: File,
    /// It was not there before.
    is_new: bool,
    document: DocumentMut,
    table: Table,
}

impl Change {
    /// Opens and locks the file; `create` makes it if it is not there.
    ///
    /// # Errors
    /// A [`Failure`] of usage that names file and line.
    pub fn begin(path: &Path, create: bool) -> Result<Self, Failure> {
        let named = path.to_owned();
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let failed = |error: io::Error| cannot_read(&named, &error);
        let (mut file, is_new) = loop {
            let (file, is_new) = open(&path, create).map_err(failed)?;
            file.lock().map_err(failed)?;
            // Whoever had the lock before may have put another file in its place.
            let opened = Stamp::from(&file.metadata().map_err(failed)?);
            if Stamp::of(&path).is_ok_and(|named| named.identity == opened.identity) {
                break (file, is_new);
            }
        };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let table = Table::parse(&named, &text)?;
        if text.trim().is_empty() {
            text = format!("{HEADER}decoy_secret = \"{}\"\n", new_secret()?);
        }
        let document = text.parse().map_err(|error| Failure::usage(format!("{}: {error}", named.display())))?;
        Ok(Self { named, path, file, is_new, document, table })
    }

    /// What the file says.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Adds an account, or gives one another password.
    ///
    /// # Errors
    /// A [`Failure`] if the system has no random octets, or `users` is no table.
    pub fn set_verifier(&mut self, name: &str, verifier: &OwnedVerifier) -> Result<(), Failure> {
        if !self.document.contains_key("decoy_secret") {
            self.document.insert("decoy_secret", value(new_secret()?));
        }
        let users = self.users()?;
        if !users.contains_key(name) {
            users.insert(name, Item::Table(TomlTable::new()));
        }
        let account = self.account(name)?;
        account.insert("salt", value(Base64::encode_string(&verifier.salt)));
        account.insert("iterations", value(i64::from(verifier.iterations)));
        account.insert("stored_key", value(Base64::encode_string(&verifier.keys.stored_key)));
        account.insert("server_key", value(Base64::encode_string(&verifier.keys.server_key)));
        Ok(())
    }

    /// Limits an account that is there, or no longer.
    ///
    /// # Errors
    /// A [`Failure`] if there is no such account.
    pub fn set_quota(&mut self, name: &str, quota: Option<u64>) -> Result<(), Failure> {
        let account = self.account(name)?;
        match quota {
            Some(quota) => drop(account.insert("quota", quota_value(quota))),
            None => drop(account.remove("quota")),
        }
        Ok(())
    }

    /// Removes an account that is there.
    ///
    /// # Errors
    /// A [`Failure`] if there is none.
    pub fn remove(&mut self, name: &str) -> Result<(), Failure> {
        self.account(name)?;
        self.users()?.remove(name);
        Ok(())
    }

    /// Puts the changed file in the place of the old one.
    ///
    /// # Errors
    /// A [`Failure`] if that is not possible; the old file is as it was.
    pub fn commit(mut self) -> Result<(), Failure> {
        let text = self.document.to_string();
        Table::parse(&self.named, &text)?;
        let written = self.replace(&text);
        written.map_err(|error| Failure::new(format!("cannot write {}: {error}", self.named.display())))?;
        self.is_new = false;
        Ok(())
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Readable by its owner only, from the start.
        let mut new = tempfile::Builder::new().prefix(".feige-users-").tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        self.keep_owner(new.as_file())?;
        new.as_file().sync_all()?;
        new.persist(&self.path)?;
        // The new name is on the disk when its folder is.
        File::open(folder)?.sync_all()?;
        Ok(())
    }

    /// An administrator may change the file of a server that runs under an account of its own, which must be able to
    /// read it afterwards.
    fn keep_owner(&self, new: &File) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let (old, ours) = (self.file.metadata()?, new.metadata()?);
        if (old.uid(), old.gid()) != (ours.uid(), ours.gid()) {
            std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()))?;
        }
        Ok(())
    }

    fn users(&mut self) -> Result<&mut dyn TableLike, Failure> {
        let users = self.document.entry("users").or_insert_with(|| {
            let mut users = TomlTable::new();
            // `[users.alice]` says it all.
            users.set_implicit(true);
            Item::Table(users)
        });
        users
            .as_table_like_mut()
            .ok_or_else(|| Failure::usage(format!("{}: `users` is no table", self.named.display())))
    }

    fn account(&mut self, name: &str) -> Result<&mut dyn TableLike, Failure> {
        let path = self.named.display().to_string();
        let account = self.users()?.get_mut(name).and_then(Item::as_table_like_mut);
        account.ok_or_else(|| no_such_user(name, &path))
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        // Nobody else has put anything into it: it is locked.
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// There is no account of this name.
pub(super) fn no_such_user(name: &str, path: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("there is no user `{name}` in {path}; `feige user list` shows who there is"))
}

/// The file, and whether it had to be made.
fn open(path: &Path, create: bool) -> io::Result<(File, bool)> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    // Writing is not for the file, which is replaced, but for the lock and to be told early if it may not be changed.
    options.read(true).write(true);
    match options.open(path) {
        Err(error) if create && error.kind() == io::ErrorKind::NotFound => {}
        opened => return Ok((opened?, false)),
    }
    options.mode(0o600);
    match options.create_new(true).open(path) {
        // Somebody was faster: it is his.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(path, false),
        made => Ok((made?, true)),
    }
}

/// Whether the folder is there in which the file is, or is to be.
pub(super) fn has_folder(path: &Path) -> bool {
    path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::NotFound if !has_folder(path) => "; there is no such folder: make it first",
        io::ErrorKind::NotFound => "; `feige user add` makes one",
        _ => "",
    };
    Failure::usage(format!("cannot use the users file {}: {error}{hint}", path.display()))
}

fn new_secret() -> Result<String, Failure> {
    Ok(Base64::encode_string(&random::<32>()?))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// A size like `10 GiB`, `500 MB` or `4096`, in octets.
///
/// # Errors
/// What a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let size: Result<ByteSize, _> = text.trim().parse();
    size.map(|size| size.as_u64())
        .map_err(|_| format!("`{text}` is no size; sizes look like 10GiB, 500MB or 4096 (octets)"))
}

/// A quota as people write it, if that is exact; else octets.
fn quota_value(quota: u64) -> Item {
    for (unit, name) in [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if quota >= unit && quota.is_multiple_of(unit) {
            return value(format!("{} {name}", quota / unit));
        }
    }
    // TOML has no numbers beyond; such a quota is none.
    value(i64::try_from(quota).unwrap_or(i64::MAX))
}
