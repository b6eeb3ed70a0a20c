//! Who may sign in to `feige serve`: the users file, passwords, and how guessing is made slow.
//!
//! | module | does |
//! |---|---|
//! | [`mod@file`] | reads and changes the users file |
//! | [`password`] | where passwords come from, and the form in which they are hashed |
//! | [`guard`] | makes those wait who fail to sign in |
//! | [`command`] | `feige user` |
//!
//! **Guarantees**: no password is kept, only what checks one (RFC 5802). Who asks for an unknown user is answered as for a
//! known one. A users file that became wrong while the server runs changes nothing until it is right again.
//!
//! **Memory**: linear in the accounts. **Time**: a question is one look-up and one hash; [`Accounts::refresh`] is one
//! call of the system while nothing changed.

pub mod command;
pub mod file;
pub mod guard;
pub mod password;

use std::path::{Path, PathBuf};

use feige_core::stream::transfer::{Verifier, scram};

use crate::exit::Failure;
use file::{Stamp, Table};

/// How often the password of a new account is hashed.
///
/// It is what a sign-in costs a client (11 ms on a desktop whose processor knows SHA-256, 43 ms without), and what
/// each guess costs a thief of the users file. A device of 100 MHz takes seconds; it can be given an account of
/// 4,096, the least that RFC 7677 allows, by hand.
pub const ITERATIONS: u32 = 65_536;

/// The longest name of a user.
pub const LONGEST_NAME: usize = 32;

/// Who signs in without an account; nobody can have this name.
pub const GUEST: &str = "guest";

/// What checks the password of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedVerifier {
    /// Random, other for every account; as many octets as [`scram::SALT`] allows.
    pub salt: Vec<u8>,
    /// How often the password was hashed; within [`scram::ITERATIONS`].
    pub iterations: u32,
    /// What checks proofs, and signs.
    pub keys: scram::Keys,
}

impl OwnedVerifier {
    /// Makes one for a new password, which has been [prepared](password::prepare).
    ///
    /// # Errors
    /// A [`Failure`] if the system has no random octets.
    pub fn new(password: &str, iterations: u32) -> Result<Self, Failure> {
        let salt = random::<16>()?;
        Ok(Self { salt: salt.to_vec(), iterations, keys: scram::derive(password, &salt, iterations) })
    }

    /// As the core wants it.
    #[must_use]
    pub fn as_verifier(&self) -> Verifier<'_> {
        let scram::Keys { stored_key, server_key } = self.keys;
        Verifier { salt: &self.salt, iterations: self.iterations, stored_key, server_key }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What checks its password.
    pub verifier: OwnedVerifier,
    /// How many octets may lie in its home; `None`: as many as the disk takes.
    pub quota: Option<u64>,
    /// Its home, below the folder that is served: a path as [`feige_core::wire::transfer::Path`] takes it.
    pub home: String,
    /// It is not let in, though the password is right.
    pub disabled: bool,
}

/// The accounts of a running server.
#[derive(Debug)]
pub struct Accounts {
    path: PathBuf,
    stamp: Option<Stamp>,
    table: Table,
    /// For files without one of their own.
    secret: [u8; 32],
}

impl Accounts {
    /// Reads the users file.
    ///
    /// # Errors
    /// A [`Failure`] of usage that names file and line.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (table, stamp) = Table::read(path)?;
        Ok(Self { path: path.to_owned(), stamp: Some(stamp), table, secret: random()? })
    }

    /// Reads the users file again if it has changed, and says whether it has.
    ///
    /// # Errors
    /// A [`Failure`] if it can no longer be read, once for each change: then the accounts stay as they were.
    pub fn refresh(&mut self) -> Result<bool, Failure> {
        let stamp = Stamp::of(&self.path).ok();
        if stamp == self.stamp {
            return Ok(false);
        }
        self.stamp = stamp;
        let (table, stamp) = Table::read(&self.path)
            .map_err(|failure| Failure::new(format!("{failure}; the accounts stay as they were")))?;
        (self.table, self.stamp) = (table, Some(stamp));
        Ok(true)
    }

    /// The account of this name, in any case.
    #[must_use]
    pub fn account(&self, user: &str) -> Option<&Account> {
        self.table.accounts.get(&user.to_ascii_lowercase())
    }

    /// What checks the password of this user, in any case of the name. If there is no such user it is made up: it looks
    /// like all others, is the same at every attempt, and no password fits.
    #[must_use]
    pub fn verifier(&self, user: &str) -> OwnedVerifier {
        // Made up for those that exist too, so that it takes as long.
        let secret = self.table.decoy_secret.as_ref().unwrap_or(&self.secret);
        let made_up = OwnedVerifier {
            salt: scram::decoy(secret, &user.to_ascii_lowercase()).to_vec(),
            iterations: self.table.usual_iterations().unwrap_or(ITERATIONS),
            // Of no key that anybody could name is this the SHA-256.
            keys: scram::Keys { stored_key: [0; 32], server_key: [0; 32] },
        };
        self.account(user).map_or(made_up, |account| account.verifier.clone())
    }
}

/// The name of a user, in lower case.
///
/// # Errors
/// What a name has to be.
pub fn user_name(name: &str) -> Result<String, String> {
    let name = name.to_ascii_lowercase();
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"._-".contains(&octet);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) || name.starts_with(['.', '-', '_']) {
        return Err(format!(
            "a user's name has 1 to {LONGEST_NAME} letters a to z, digits, `.`, `_` and `-`, and begins with a letter or digit"
        ));
    }
    if name == GUEST {
        return Err(format!("`{GUEST}` is who has no account"));
    }
    // The home is a folder of this name.
    if feige_core::text::FileName::is_safe(&name) {
        Ok(name)
    } else {
        Err(format!("`{name}` cannot be a folder's name"))
    }
}

/// Random octets of the system.
///
/// # Errors
/// A [`Failure`] if it has none.
pub fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets)
        .map_err(|error| Failure::new(format!("the system has no random numbers to give: {error}")))?;
    Ok(octets)
}

#[cfg(test)]
mod tests;
