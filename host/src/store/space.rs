//! How much may be written before the disk is too full.
//!
//! A folder has no announced size, and an announced size is only a hint. So the free space is looked at again after
//! every 16 MiB, and a transfer ends with "no space" while something is left: a peer must not be able to take the
//! last octet from the other programs of this machine.

use cap_std::fs::Dir;

use super::StoreError;

/// After so many octets the free space is looked at again. Large enough to cost nothing.
const STRIDE: u64 = 16 << 20;

/// Watches the free space of one disk for one transfer.
#[derive(Debug, Default)]
pub struct Space {
    unchecked: u64,
}

impl Space {
    /// Checks that `needed` octets fit on the disk of `dir`.
    ///
    /// # Errors
    /// [`StoreError::TooBig`] if they do not.
    pub fn fits(dir: &Dir, needed: u64) -> Result<(), StoreError> {
        match free(dir) {
            Some(free) if needed > free => Err(StoreError::TooBig { needed, free }),
            _ => Ok(()),
        }
    }

    /// Tells that `octets` more were written to the disk of `dir`.
    ///
    /// # Errors
    /// [`StoreError::Full`] when only the reserve is left.
    pub fn spend(&mut self, dir: &Dir, octets: u64) -> Result<(), StoreError> {
        self.unchecked = self.unchecked.saturating_add(octets);
        if self.unchecked < STRIDE {
            return Ok(());
        }
        self.unchecked = 0;
        if free(dir) == Some(0) { Err(StoreError::Full) } else { Ok(()) }
    }
}

/// Octets that may still be written to the disk of `dir`; `None` where the system does not tell.
pub(crate) fn free(dir: &Dir) -> Option<u64> {
    /// The reserve that is left to others is a hundredth of the disk, but never more than this.
    const LARGEST_RESERVE: u64 = 32 << 20;
    let disk = rustix::fs::fstatvfs(dir).ok()?;
    // Some file systems (and containers) report no size at all: then there is nothing to judge by.
    if disk.f_blocks == 0 {
        return None;
    }
    let reserve = (disk.f_blocks.saturating_mul(disk.f_frsize) / 100).min(LARGEST_RESERVE);
    Some(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(reserve))
}
