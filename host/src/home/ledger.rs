//! How much of a home is used, and how much is promised to uploads that are under way.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, and goes on after a panic elsewhere: what is guarded here is whole after every statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The books of one home: at every moment, used and reserved together are within the quota.
///
/// `used` is the apparent size of all files, those of parts among them; `reserved` is what the uploads under way may
/// still add to it.
#[derive(Debug)]
pub(super) struct Ledger {
    quota: Option<u64>,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    used: u64,
    reserved: u64,
}

/// The quota does not allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverQuota {
    /// How many octets it would still allow.
    pub(super) left: u64,
}

impl Ledger {
    pub(super) const fn new(quota: Option<u64>, used: u64) -> Self {
        Self { quota, books: Mutex::new(Books { used, reserved: 0 }) }
    }

    pub(super) fn used(&self) -> u64 {
        lock(&self.books).used
    }

    #[cfg(test)]
    pub(super) fn used_and_reserved(&self) -> (u64, u64) {
        let books = lock(&self.books);
        (books.used, books.reserved)
    }

    /// Promises room for `octets`.
    pub(super) fn reserve(&self, octets: u64) -> Result<(), OverQuota> {
        let mut books = lock(&self.books);
        let taken = books.used.saturating_add(books.reserved);
        if let Some(quota) = self.quota
            && octets > quota.saturating_sub(taken)
        {
            return Err(OverQuota { left: quota.saturating_sub(taken) });
        }
        books.reserved = books.reserved.saturating_add(octets);
        Ok(())
    }

    /// Takes a promise back. What had `before` octets on the disk when it was made has `after` now.
    pub(super) fn release(&self, reserved: u64, before: u64, after: u64) {
        // In one step: in between, somebody else might be promised what is only about to be counted.
        let mut books = lock(&self.books);
        books.reserved = books.reserved.saturating_sub(reserved);
        books.used = books.used.saturating_sub(before).saturating_add(after);
    }

    /// So many octets are gone from the disk.
    pub(super) fn removed(&self, octets: u64) {
        let mut books = lock(&self.books);
        books.used = books.used.saturating_sub(octets);
    }
}
