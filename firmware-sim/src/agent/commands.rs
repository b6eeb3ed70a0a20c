//! What can be asked for by message, and the words of the answers.

use feige_core::wire::Writer;

use super::desk::{LOG_NAME, Tally};
use crate::store::Store;

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Help,
    Status,
    List,
    Space,
    Get(&'a [u8]),
    Remove(&'a [u8]),
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads a text; the case of the command does not matter.
    pub(super) fn of(text: &'a [u8]) -> Self {
        let text = text.trim_ascii();
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let (word, name) = text.split_at_checked(end).unwrap_or((text, &[]));
        let name = name.trim_ascii();
        let is = |command: &str| word.eq_ignore_ascii_case(command.as_bytes());
        match name.is_empty() {
            true if is("help") || is("?") => Self::Help,
            true if is("status") => Self::Status,
            true if is("ls") => Self::List,
            true if is("df") => Self::Space,
            false if is("get") => Self::Get(name),
            false if is("rm") => Self::Remove(name),
            _ => Self::Unknown,
        }
    }
}

/// What strangers hear first. Another device that says it waits for us, and is not answered.
pub(super) const MOMENT: &[u8] = b"one moment";

pub(super) fn help(text: &mut Writer<'_>) {
    text.octets(
        b"help: this text\n\
        status: how I am\n\
        ls: the files that are here\n\
        df: the room for files\n\
        get NAME: offers you that file; log.txt is what happened\n\
        rm NAME: removes that file\n\
        Files that you offer to me I fetch and keep; a file of the same name is replaced.",
    );
}

pub(super) fn status(text: &mut Writer<'_>, up: u64, members: usize, tally: Tally) {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    text.octets(b"up ").decimal(up).octets(b" s, ").decimal(count(members)).octets(b" members\n");
    text.octets(b"files stored ").decimal(tally.stored.into());
    text.octets(b", served ").decimal(tally.served.into());
    text.octets(b", refused ").decimal(tally.refused.into()).octets(b"\nconnections ");
    text.decimal(count(tally.connections)).octets(b" of ").decimal(count(tally.slots)).octets(b" in use\n");
}

pub(super) fn list(text: &mut Writer<'_>, store: &impl Store, log: u64) {
    text.octets(LOG_NAME).octet(b' ').decimal(log);
    for entry in store.files() {
        text.octet(b'\n').octets(entry.name.as_bytes()).octet(b' ').decimal(entry.size);
    }
}

pub(super) fn space(text: &mut Writer<'_>, store: &impl Store) {
    let (space, files) = (store.space(), u64::try_from(store.files().count()).unwrap_or(u64::MAX));
    text.decimal(space.free).octets(b" of ").decimal(space.total).octets(b" octets free, ");
    text.decimal(files).octets(b" files");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(Command::of(b" Help \r\n"), Command::Help);
        assert_eq!(Command::of(b"?"), Command::Help);
        assert_eq!(Command::of(b"STATUS"), Command::Status);
        assert_eq!(Command::of(b"ls"), Command::List);
        assert_eq!(Command::of(b"df\0"), Command::Unknown);
        assert_eq!(Command::of(b"get  a file.txt "), Command::Get(b"a file.txt"));
        assert_eq!(Command::of(b"get\t\xe9\xa3\x9e"), Command::Get("飞".as_bytes()));
        assert_eq!(Command::of(b"rm x"), Command::Remove(b"x"));
        for unknown in ["", "get", "rm ", "helpme", "status now", "hello"] {
            assert_eq!(Command::of(unknown.as_bytes()), Command::Unknown, "{unknown}");
        }
    }
}
