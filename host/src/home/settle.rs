//! Giving finished files their names, many at a time.

use std::io;
use std::sync::Arc;

use feige_core::wire::transfer::ErrorCode;

use super::folder::Folder;
use super::ledger::lock;
use super::reserved::sums_name;
use super::sys::{self, Facts, Kind};
use super::upload::{IRREPLACEABLE, RECEIVE, Slot};
use super::{Finished, Home, HomeError};
use crate::store::{handle, rename_new};

impl Home {
    /// Puts finished files on the disk, and then gives them their names: a file that has its name is whole, whatever
    /// happens to this machine. Takes all out of `finished` and returns what became of each, in the same order.
    ///
    /// One file is synchronised by itself, several with everything else that their file system has in memory: a call
    /// for each of ten thousand small files would take longer than their transfer. An upload that is not settled stays
    /// a part.
    pub fn settle(&self, finished: &mut Vec<Finished>) -> Vec<Result<(), HomeError>> {
        let data = sync_data(finished);
        let mut settled = Vec::with_capacity(finished.len());
        let mut folders = Vec::<Arc<Folder>>::new();
        for Finished { mut slot } in finished.drain(..) {
            let result = match &data {
                Ok(()) => self.publish(&mut slot),
                Err(error) => {
                    slot.discard();
                    Err(HomeError::io(RECEIVE, &slot.path, error))
                }
            };
            if result.is_ok() && !folders.last().is_some_and(|last| Arc::ptr_eq(last, &slot.folder)) {
                folders.push(Arc::clone(&slot.folder));
            }
            settled.push(result);
        }
        if let Err(error) = sync_names(&folders) {
            let path = folders.first().map_or("", |folder| &folder.path);
            let failed = HomeError::io("put on the disk what was received in", path, &error);
            settled.iter_mut().filter(|result| result.is_ok()).for_each(|result| *result = Err(failed.clone()));
        }
        settled
    }

    fn publish(&self, slot: &mut Slot) -> Result<(), HomeError> {
        // With one change of names at a time, what is replaced is what was looked at.
        let names = lock(&self.names);
        let replaced = name_part(slot)?;
        slot.done = true;
        if let Some(ledger) = self.books() {
            ledger.removed(replaced);
            ledger.release(slot.reserved(), slot.counted, slot.size);
        }
        drop(names);
        if slot.lasting {
            // Should the next upload of the name have begun already, it loses what it keeps beside its part, which costs
            // it no more than the chance to be continued.
            let _ = sys::remove(&slot.folder.dir, &sums_name(slot.name()));
        }
        Ok(())
    }
}

/// Gives a part its name, and returns how many octets had that name before.
fn name_part(slot: &Slot) -> Result<u64, HomeError> {
    let failed = |error| slot.failed(&error);
    let refused = |code, reason| HomeError::about(code, RECEIVE, &slot.path, reason);
    let (dir, name) = (&slot.folder.dir, slot.name());
    if slot.fresh || !slot.replace {
        match rename_new(dir, &slot.part, dir, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && slot.replace => {}
            other => return other.map(|()| 0).map_err(failed),
        }
    }
    let replaced = match Facts::look_for(dir, name).map_err(failed)? {
        Some(Facts { kind: Kind::Folder, .. }) => {
            return Err(refused(ErrorCode::IsAFolder, "a folder has got that name meanwhile; use another"));
        }
        Some(Facts { kind: Kind::Other, .. }) => return Err(refused(ErrorCode::Forbidden, IRREPLACEABLE)),
        Some(Facts { kind: Kind::File, size, .. }) => size,
        Some(Facts { kind: Kind::Link, .. }) | None => 0,
    };
    sys::rename(dir, &slot.part, dir, name).map_err(failed)?;
    Ok(replaced)
}

/// Puts the octets of all on the disk.
fn sync_data(finished: &[Finished]) -> io::Result<()> {
    match finished {
        [Finished { slot }] => match &slot.file {
            Some(file) => file.sync_data(),
            None => match sys::open_to_write(&slot.folder.dir, &slot.part) {
                // Somebody removed it: that is told when it is to get its name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                file => file?.sync_data(),
            },
        },
        several => sync_disks(several.iter().map(|Finished { slot }| &slot.folder)),
    }
}

/// Puts the names that were given on the disk.
fn sync_names(folders: &[Arc<Folder>]) -> io::Result<()> {
    match folders {
        [folder] => match handle(&folder.dir)?.sync_all() {
            // Not every file system can do that for a folder.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        },
        several => sync_disks(several),
    }
}

fn sync_disks<'a>(folders: impl IntoIterator<Item = &'a Arc<Folder>>) -> io::Result<()> {
    let mut done = Vec::new();
    for folder in folders {
        if done.contains(&folder.device) {
            continue;
        }
        match handle(&folder.dir) {
            // Its files are gone with it, and no reason for the others to fail.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            handle => {
                sys::sync_disk_of(&handle?)?;
                done.push(folder.device);
            }
        }
    }
    Ok(())
}
