//! Archives that nobody should make, and what goes in front of them.

use std::io::{Cursor, Write as _};

use feige_core::digest::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Octets of the bomb when it has gone off.
const BOMB: usize = 256 << 20;

/// Length, header and archive.
pub(super) fn framed(zip: &[u8]) -> Vec<u8> {
    named("x.zip", zip)
}

/// The same, with this for the name of the archive.
pub(super) fn named(filename: &str, zip: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"filename": "{filename}", "md5": "{}", "file_size": {}}}"#, Digest::of(zip), zip.len());
    with_length(&header, zip)
}

/// A header as it is, with its length, and what comes behind it.
pub(super) fn with_length(header: &str, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).expect("short").to_le_bytes();
    [&length[..], header.as_bytes(), body].concat()
}

/// An archive with entries of these names and contents.
pub(super) fn stored(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).expect("one");
        zip.write_all(octets).expect("room");
    }
    zip.finish().expect("room").into_inner()
}

/// A link called `name`, and then a file that a fool would write through it.
pub(super) fn linked(name: &str, to: &str, through: Option<&str>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink(name, to, SimpleFileOptions::default()).expect("one");
    if let Some(through) = through {
        zip.start_file(through, SimpleFileOptions::default()).expect("one");
        zip.write_all(b"evil").expect("room");
    }
    zip.finish().expect("room").into_inner()
}

/// Two entries of one name, which no library writes.
pub(super) fn twice(name: &str) -> Vec<u8> {
    let other = "?".repeat(name.len());
    let mut zip = stored(&[(name, b"one"), (&other, b"two")]);
    for at in 0..zip.len() - name.len() {
        if zip[at..].starts_with(other.as_bytes()) {
            zip[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
    }
    zip
}

/// 256 MiB of nothing in about 0.26 MB, or with a name for each of `entries` parts of it.
pub(super) fn bomb(names: &[&str]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let piece = vec![0; 1 << 20];
    for name in names {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))
            .expect("one");
        for _ in 0..BOMB / piece.len() / names.len() {
            zip.write_all(&piece).expect("room");
        }
    }
    zip.finish().expect("room").into_inner()
}

/// The bomb, which says that it is of one octet.
pub(super) fn lying_bomb(name: &str) -> Vec<u8> {
    let mut zip = bomb(&[name]);
    let size = u32::try_from(BOMB).expect("small").to_le_bytes();
    for at in 0..zip.len() - size.len() {
        if zip[at..].starts_with(&size) {
            zip[at..at + size.len()].copy_from_slice(&1_u32.to_le_bytes());
        }
    }
    zip
}

/// An archive whose end fits, and nothing else.
pub(super) fn damaged(name: &str) -> Vec<u8> {
    let mut zip = stored(&[(name, b"contents")]);
    let end = zip.len() - 22;
    zip[..end].fill(7);
    zip
}

/// More entries than are taken.
pub(super) fn crowded() -> Vec<u8> {
    let names: Vec<String> = (0..=10_000).map(|at| at.to_string()).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    stored(&entries)
}
