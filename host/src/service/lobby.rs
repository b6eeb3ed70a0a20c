//! Who may come in, and where to.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use feige_core::time::Instant;
use feige_core::wire::transfer::{self, ErrorCode};

use crate::accounts::guard::Guard;
use crate::accounts::{Accounts, GUEST, OwnedVerifier};
use crate::exit::Failure;
use crate::home::{Home, HomeError};

/// What somebody without an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guests {
    /// Nothing.
    None,
    /// List and fetch.
    Read,
    /// Everything.
    Write,
}

/// The accounts, and the homes that belong to them.
#[derive(Debug)]
pub(super) struct Lobby {
    root: PathBuf,
    accounts: Option<Mutex<Accounts>>,
    guests: Guests,
    guard: Mutex<Guard>,
    /// One `Home` for each folder: the books of its quota are in it.
    homes: Mutex<HashMap<PathBuf, Arc<Home>>>,
}

/// What somebody who was let in has.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) user: String,
    pub(super) home: Arc<Home>,
    pub(super) may_write: bool,
}

/// Why somebody was not let in: for the client.
pub(super) type Denied = HomeError;

fn denied(code: ErrorCode, text: impl Into<std::borrow::Cow<'static, str>>) -> Denied {
    HomeError { code, text: text.into() }
}

impl Lobby {
    /// Serves what is below `root` to the users of a file, and to guests.
    ///
    /// # Errors
    /// A [`Failure`] if the folder or the users file cannot be read.
    pub(super) fn new(root: &Path, users: Option<&Path>, guests: Guests) -> Result<Self, Failure> {
        let failed = |error| Failure::usage(format!("cannot serve {}: {error}", root.display()));
        let root = root.canonicalize().map_err(failed)?;
        if !root.is_dir() {
            return Err(Failure::usage(format!("cannot serve {}: it is not a folder", root.display())));
        }
        let accounts = users.map(Accounts::open).transpose()?.map(Mutex::new);
        if accounts.is_none() && guests == Guests::None {
            return Err(Failure::usage(
                "nobody could come in: name the accounts by --users FILE (see `feige user add --help`), or let guests \
                 in by --guest read or --guest write",
            ));
        }
        let (guard, homes) = (Mutex::default(), Mutex::default());
        let lobby = Self { root, accounts, guests, guard, homes };
        if guests != Guests::None {
            // What is wrong with it had better be known now.
            let sees = |guest: Guest| guest.home.list(transfer::Path::ROOT).map(drop);
            lobby.guest().and_then(sees).map_err(|error| Failure::new(format!("cannot serve guests: {error}")))?;
        }
        Ok(lobby)
    }

    /// Looks whether the accounts were changed.
    ///
    /// # Errors
    /// They were, but not to something that makes sense.
    pub(super) fn refresh(&self) -> Result<(), Failure> {
        if let Some(accounts) = &self.accounts {
            lock(accounts).refresh()?;
        }
        Ok(())
    }

    /// The homes in which somebody was.
    pub(super) fn homes(&self) -> Vec<Arc<Home>> {
        lock(&self.homes).values().map(Arc::clone).collect()
    }

    /// What checks the password of `user`.
    pub(super) fn verifier(&self, now: Instant, from: IpAddr, user: &str) -> Result<OwnedVerifier, Denied> {
        let Some(accounts) = &self.accounts else {
            return Err(denied(ErrorCode::SignInFailed, "there are no accounts here; come as a guest, without a name"));
        };
        if let Err(wait) = lock(&self.guard).may_try(now, from) {
            let seconds = wait.as_secs().max(1);
            let text = format!("too many failed sign-ins from this address; try again in {seconds} s");
            // Not `Busy`, which would be tried again at once.
            return Err(denied(ErrorCode::SignInFailed, text));
        }
        Ok(lock(accounts).verifier(user))
    }

    /// `user` has given a wrong password, or there is no such user.
    pub(super) fn failed(&self, now: Instant, from: IpAddr) {
        lock(&self.guard).failed(now, from);
    }

    /// `user` has proven who it is.
    pub(super) fn signed_in(&self, now: Instant, from: IpAddr, user: &str) -> Result<Guest, Denied> {
        lock(&self.guard).succeeded(now, from);
        let account = self.accounts.as_ref().and_then(|accounts| lock(accounts).account(user).cloned());
        let Some(account) = account.filter(|account| !account.disabled) else {
            return Err(denied(ErrorCode::Forbidden, "the account is disabled; ask whoever runs this server"));
        };
        let home = self.home(&account.home, account.quota)?;
        Ok(Guest { user: user.to_ascii_lowercase(), home, may_write: true })
    }

    /// Somebody wants to come in without an account.
    pub(super) fn guest(&self) -> Result<Guest, Denied> {
        if self.guests == Guests::None {
            return Err(denied(
                ErrorCode::SignInRequired,
                "guests are not let in; sign in with a name: feige://NAME@HOST/",
            ));
        }
        // Without accounts there are no homes to keep apart.
        let home = if self.accounts.is_some() { GUEST } else { "" };
        let home = self.home(home, None)?;
        Ok(Guest { user: GUEST.to_owned(), home, may_write: self.guests == Guests::Write })
    }

    /// The home in this folder below the root, made if it is not there.
    fn home(&self, folder: &str, quota: Option<u64>) -> Result<Arc<Home>, Denied> {
        let path = self.root.join(folder);
        let mut homes = lock(&self.homes);
        if let Some(home) = homes.get(&path) {
            // Another quota counts as soon as nobody is in the home: there must be one `Home` of a folder only.
            if home.quota() == quota || Arc::strong_count(home) > 1 {
                return Ok(Arc::clone(home));
            }
            homes.remove(&path);
        }
        if let Err(error) = std::fs::create_dir_all(&path) {
            return Err(denied(ErrorCode::Internal, format!("cannot make the home: {}", error.kind())));
        }
        let home = Home::open(&path, quota)?;
        homes.insert(path, Arc::clone(&home));
        Ok(home)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
