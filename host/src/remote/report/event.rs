//! What happens, in a form for programs and as a line for people.
//!
//! The fields of the events are a contract: they may be added to, never renamed.
//!
//! **Guarantees**: nothing in an event commands a terminal or leaves its line, whoever wrote it. A line is made harmless where
//! it is written, as a whole; JSON escapes what is in it itself.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use feige_core::digest::Digest;
use indicatif::{HumanBytes, HumanCount};
use serde::{Serialize, Serializer};

use crate::harmless::Harmless;

const GOOD: Style = AnsiColor::Green.on_default();
const FOLDER: Style = AnsiColor::Blue.on_default().bold();
const PLAIN: Style = Style::new();

/// Something happened.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    /// A file is here, whole and verified, under its name. Of a folder that is new here, all files are told of when it has
    /// its name.
    Downloaded {
        /// Its path on the server.
        name: &'a str,
        /// Where it is here.
        #[serde(serialize_with = "lossy")]
        path: &'a Path,
        /// Octets.
        size: u64,
        /// The digest over its blocks; `null` if an earlier attempt brought a part of it.
        #[serde(serialize_with = "hex")]
        digest: Option<Digest>,
        /// The MD5 of the whole, if it is known.
        #[serde(serialize_with = "hex")]
        md5: Option<Digest>,
    },
    /// A file is on the server, whole and verified.
    Stored {
        /// Its path on the server.
        name: &'a str,
        /// Where it is here.
        #[serde(serialize_with = "lossy")]
        path: &'a Path,
        /// Octets.
        size: u64,
        /// The digest over its blocks, as the server says; of those that were sent this time.
        #[serde(serialize_with = "hex")]
        digest: Option<Digest>,
        /// The MD5 of the whole, if it is known.
        #[serde(serialize_with = "hex")]
        md5: Option<Digest>,
    },
    /// Nothing had to be done, or could be.
    Skipped {
        /// What.
        name: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Something did not work.
    Failed {
        /// What.
        name: &'a str,
        /// Why.
        error: &'a str,
    },
    /// An entry of a folder.
    Entry {
        /// Its path, from what was listed on.
        name: &'a str,
        /// `file` or `dir`.
        kind: &'a str,
        /// Octets, if the server says so.
        size: Option<u64>,
        /// When it was last changed, in nanoseconds since 1970.
        mtime: Option<i64>,
        /// Its POSIX permission bits.
        mode: Option<u16>,
    },
    /// How much room there is, in octets.
    Space {
        /// What is used.
        used: u64,
        /// What may be.
        quota: Option<u64>,
        /// What is free on the disk.
        free: Option<u64>,
    },
    /// In which folder of the server a shell is.
    Folder {
        /// Its path, without slashes around it.
        name: &'a str,
    },
    /// The MD5 of a file.
    Sum {
        /// Its path on the server.
        name: &'a str,
        /// Octets.
        size: u64,
        /// MD5 of the whole.
        #[serde(serialize_with = "hex")]
        md5: Option<Digest>,
    },
    /// Something was made, removed or renamed.
    Done {
        /// The command.
        what: &'a str,
        /// The path on the server.
        name: &'a str,
        /// The new path.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<&'a str>,
    },
    /// Files come that are told of later. Told once a second.
    Progress {
        /// Files that have come.
        files: u64,
        /// Octets that have come, of these and of those that are under way.
        octets: u64,
    },
    /// The end.
    Summary {
        /// Files that were moved and have their names: those of a folder that has none yet do not count.
        files: u64,
        /// Octets that were moved, of whichever files.
        octets: u64,
        /// What was passed over.
        skipped: u64,
        /// What did not work: as many as were told of.
        failed: u64,
        /// How long it took.
        seconds: f64,
    },
}

/// A digest in JSON: its digits, or `null`.
pub(crate) fn hex<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    match digest {
        Some(digest) => serializer.collect_str(digest),
        None => serializer.serialize_none(),
    }
}

fn lossy<S: Serializer>(path: &&Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// How events look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) json: bool,
    pub(super) colour: bool,
    pub(super) quiet: bool,
}

impl Manner {
    /// Writes an event; for people, only if it is for standard output.
    pub(super) fn write(self, out: &mut impl Write, event: &Event<'_>) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *out, event)?;
            return out.write_all(b"\n");
        }
        let Some(Line { style, start, rest }) = line(event, self.quiet) else { return Ok(()) };
        let style = if self.colour { style } else { PLAIN };
        writeln!(out, "{style}{}{style:#}{}", Harmless(start), Harmless(rest))
    }
}

/// A line for people.
struct Line<'a> {
    /// How its start looks.
    style: Style,
    start: &'a str,
    rest: String,
}

/// An event as a line for people; `None` if it is told on standard error, or not at all.
fn line<'a>(event: &Event<'a>, quiet: bool) -> Option<Line<'a>> {
    let (style, start, rest) = match *event {
        Event::Downloaded { name, path, size, md5, .. } if !quiet => {
            (GOOD, "downloaded", format!(" {name} to {} ({}{})", path.display(), HumanBytes(size), Md5(md5)))
        }
        Event::Stored { name, path, size, md5, .. } if !quiet => {
            (GOOD, "stored", format!(" {} as {name} ({}{})", path.display(), HumanBytes(size), Md5(md5)))
        }
        Event::Done { what, name, to } if !quiet => {
            (GOOD, what, to.map_or_else(|| format!(" {name}"), |to| format!(" {name} to {to}")))
        }
        Event::Entry { name, kind: "dir", .. } => (FOLDER, name, "/".to_owned()),
        Event::Entry { name, .. } => (PLAIN, name, String::new()),
        Event::Space { used, quota, free } => {
            let quota = quota.map(|quota| format!(" of {}", HumanBytes(quota))).unwrap_or_default();
            let free = free.map(|free| format!(", {} free on the disk", HumanBytes(free))).unwrap_or_default();
            (PLAIN, "", format!("{} used{quota}{free}", HumanBytes(used)))
        }
        Event::Folder { name } => (PLAIN, "/", name.to_owned()),
        Event::Sum { name, md5, .. } => (PLAIN, "", format!("{}  {name}", md5.unwrap_or_default())),
        Event::Summary { files, octets, skipped, failed, seconds } if !quiet => {
            let (octets, some) = (HumanBytes(octets), if files == 1 { "file" } else { "files" });
            let counted =
                |count, what| if count > 0 { format!(", {} {what}", HumanCount(count)) } else { String::new() };
            let (skipped, failed) = (counted(skipped, "skipped"), counted(failed, "failed"));
            (PLAIN, "", format!("{} {some}, {octets} in {seconds:.1} s{skipped}{failed}", HumanCount(files)))
        }
        _ => return None,
    };
    Some(Line { style, start, rest })
}

/// A digest behind other facts, if there is one.
struct Md5(Option<Digest>);

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |digest| write!(f, ", MD5 {digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\x1b[2J\nfeige: b\u{202e}c";
    const SHOWN: &str = "a\\u{1b}[2J\\u{a}feige: b\\u{202e}c";

    fn written(event: &Event<'_>, colour: bool) -> String {
        let mut out = Vec::new();
        Manner { json: false, colour, quiet: false }.write(&mut out, event).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_in_a_line_commands_a_terminal_or_leaves_it() {
        let (name, path, digest) = (EVIL, Path::new(EVIL), None);
        for event in [
            Event::Downloaded { name, path, size: 1, digest, md5: None },
            Event::Stored { name, path, size: 1, digest, md5: None },
            Event::Entry { name, kind: "file", size: None, mtime: None, mode: None },
            Event::Entry { name, kind: "dir", size: None, mtime: None, mode: None },
            Event::Folder { name },
            Event::Sum { name, size: 1, md5: None },
            Event::Done { what: "moved", name, to: Some(name) },
        ] {
            let line = written(&event, false);
            assert!(line.ends_with('\n') && line.contains(SHOWN), "{line:?}");
            assert_eq!(line.trim_end_matches('\n').chars().find(|shown| shown.is_control()), None, "{line:?}");
        }
    }

    #[test]
    fn the_start_of_a_line_is_painted_and_nothing_else() {
        let folder = Event::Entry { name: "a\x1b[0mb", kind: "dir", size: None, mtime: None, mode: None };
        assert_eq!(written(&folder, true), format!("{FOLDER}a\\u{{1b}}[0mb{FOLDER:#}/\n"));
        let file = Event::Entry { name: "a", kind: "file", size: None, mtime: None, mode: None };
        assert_eq!(written(&file, true), "a\n");
    }
}
