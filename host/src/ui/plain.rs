//! Events for people: one line each, with everything that came from the network made harmless.

use std::fmt::{self, Display};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use feige_core::text::Printable;
use indicatif::HumanBytes;

use unicode_width::UnicodeWidthStr;

use super::event::{Event, Kind, Peer};

const NAME: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// Writes an event as a line, or as several for an offer.
///
/// # Errors
/// What the writer says.
pub fn write(out: &mut impl Write, event: &Event, colour: bool, quiet: bool) -> io::Result<()> {
    let paint = Paint { colour };
    match event {
        Event::Ready { addr, port } if !quiet => writeln!(out, "ready on {addr} port {port}"),
        Event::Online(peer) if !quiet => writeln!(out, "{} {}", paint.with(GOOD, "+"), paint.introduce(peer)),
        Event::Offline(peer) if !quiet => writeln!(out, "{} {}", paint.with(BAD, "-"), paint.introduce(peer)),
        Event::Absence(peer) if !quiet => {
            let state = if peer.away { "is away" } else { "is here" };
            writeln!(out, "{} {} {state}", paint.with(DIM, "*"), paint.introduce(peer))
        }
        Event::Knock(peer) if !quiet => writeln!(out, "{} {} knocks", paint.with(DIM, "*"), paint.introduce(peer)),
        Event::Ready { .. } | Event::Online(_) | Event::Offline(_) | Event::Absence(_) | Event::Knock(_) => Ok(()),
        Event::Message { from, open: Some(number), .. } => {
            let hint = format!("sealed message, `open {number}` opens it and tells the sender");
            writeln!(out, "{}: {}", paint.name(from), paint.with(DIM, hint))
        }
        Event::Message { from, text, sealed, auto, .. } => {
            let mark = if *auto {
                " (automatic)"
            } else if *sealed {
                " (sealed)"
            } else {
                ""
            };
            writeln!(out, "{}{}: {}", paint.name(from), paint.with(DIM, mark), Lines(text))
        }
        Event::Offer { from, files, .. } => {
            writeln!(out, "{} offers:", paint.name(from))?;
            for file in files {
                let size = match (file.kind, file.size) {
                    (Kind::Dir, _) => "folder".to_owned(),
                    (Kind::File, Some(size)) => HumanBytes(size).to_string(),
                    (Kind::File, None) => "size unknown".to_owned(),
                };
                let slash = if file.kind == Kind::Dir { "/" } else { "" };
                writeln!(out, "{:>5}  {}{slash}  {}", file.index, Printable::line(&file.name), paint.with(DIM, size))?;
            }
            Ok(())
        }
        Event::Downloaded { name, path, size, md5, .. } => {
            let done = paint.with(GOOD, "downloaded");
            write!(
                out,
                "{done} {} to {} ({}",
                Printable::line(name),
                Printable::line(&path.to_string_lossy()),
                HumanBytes(*size)
            )?;
            match md5 {
                Some(md5) => writeln!(out, ", MD5 {md5})"),
                None => writeln!(out, ")"),
            }
        }
        Event::Served { name, to, size, .. } => {
            writeln!(out, "{} {} to {to} ({})", paint.with(GOOD, "sent"), Printable::line(name), HumanBytes(*size))
        }
        Event::Failed { what, error, .. } => {
            writeln!(out, "{} {}: {}", paint.with(BAD, "failed"), Printable::line(what), Printable::line(error))
        }
        Event::Delivered { to, lost, .. } if !quiet || *lost > 0 => {
            write!(out, "{} to {to}", paint.with(GOOD, "delivered"))?;
            match lost {
                0 => writeln!(out),
                1 => writeln!(out, "; a character became ?, since the recipient's character set lacks it"),
                lost => writeln!(out, "; {lost} characters became ?, since the recipient's character set lacks them"),
            }
        }
        Event::Delivered { .. } => Ok(()),
        Event::Opened { by, .. } => writeln!(out, "{} by {by}", paint.with(GOOD, "opened")),
        Event::Discarded { by, .. } => writeln!(out, "{} unopened by {by}", paint.with(BAD, "thrown away")),
        Event::Released { by, .. } => writeln!(out, "{} by {by}", paint.with(BAD, "refused")),
    }
}

/// Writes the list of members as a table.
///
/// # Errors
/// What the writer says.
pub fn members(out: &mut impl Write, members: &[Peer], colour: bool) -> io::Result<()> {
    let paint = Paint { colour };
    let rows: Vec<[String; 4]> = members
        .iter()
        .map(|peer| {
            let nick = if peer.nick.is_empty() { &peer.user } else { &peer.nick };
            let away = if peer.away { " (away)" } else { "" };
            let identity = format!("{}@{}", Printable::line(&peer.user), Printable::line(&peer.hostname));
            [
                format!("{}{away}", Printable::line(nick)),
                Printable::line(&peer.group).to_string(),
                identity,
                peer.addr.to_string(),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for row in &rows {
        for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = " ".repeat(width - cell.width());
            let style = if i == 0 { NAME } else { Style::new() };
            write!(out, "{}{gap}  ", paint.with(style, cell))?;
        }
        writeln!(out, "{}", row[3])?;
    }
    Ok(())
}

/// Colours, if they are wanted.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn with<T: Display>(self, style: Style, text: T) -> Painted<T> {
        Painted { style: self.colour.then_some(style), text }
    }

    fn name(self, peer: &Peer) -> Painted<Printable<'_>> {
        self.with(NAME, Printable::line(if peer.nick.is_empty() { &peer.user } else { &peer.nick }))
    }

    /// Name, identity, group and address.
    fn introduce(self, peer: &Peer) -> String {
        let comma = if peer.group.is_empty() { "" } else { ", " };
        let (user, host, group) =
            (Printable::line(&peer.user), Printable::line(&peer.hostname), Printable::line(&peer.group));
        format!("{} ({user}@{host}{comma}{group}) {}", self.name(peer), self.with(DIM, peer.addr))
    }
}

struct Painted<T> {
    style: Option<Style>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "{style}{}{style:#}", self.text),
            None => self.text.fmt(f),
        }
    }
}

/// A text of several lines, indented from the second on so that it cannot pass for somebody else's line. Its tabs are
/// spaces: pasted code has them.
struct Lines<'a>(&'a str);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.0.lines().enumerate() {
            if i > 0 {
                f.write_str("\n    ")?;
            }
            for (i, part) in line.split('\t').enumerate() {
                if i > 0 {
                    f.write_str("    ")?;
                }
                Printable::line(part).fmt(f)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::super::event::OfferedFile;
    use super::*;

    fn bob() -> Peer {
        Peer {
            user: "bob".into(),
            hostname: "pc2".into(),
            nick: "鲍勃".into(),
            group: "Dev".into(),
            addr: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 2425),
            version: "1".into(),
            away: false,
        }
    }

    fn shown(event: &Event) -> String {
        let mut out = Vec::new();
        write(&mut out, event, false, false).expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn lines_are_plain_without_colour() {
        assert_eq!(shown(&Event::Online(bob())), "+ 鲍勃 (bob@pc2, Dev) 10.0.0.2:2425\n");
        let says = |nick: &str, text: &str| Event::Message {
            from: Peer { nick: nick.into(), ..bob() },
            packet: 1,
            text: text.into(),
            sealed: false,
            open: None,
            auto: false,
        };
        assert_eq!(shown(&says("鲍勃", "two\nlines \x1b[2J")), "鲍勃: two\n    lines \\u{1b}[2J\n");
        assert_eq!(shown(&says("鲍\t勃", "c\td\n\te\t")), "鲍\\u{9}勃: c    d\n        e    \n", "a name has no tabs");
        let file = OfferedFile { index: 3, id: 1, name: "a".into(), size: Some(2048), mtime: 0, kind: Kind::File };
        let offer = Event::Offer { from: bob(), packet: 1, files: vec![file] };
        assert_eq!(shown(&offer), "鲍勃 offers:\n    3  a  2.00 KiB\n");
    }

    #[test]
    fn the_table_is_aligned_in_columns_of_the_terminal() {
        let mut alice = bob();
        alice.nick = "Alice".into();
        let mut out = Vec::new();
        members(&mut out, &[bob(), alice], false).expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "鲍勃   Dev  bob@pc2  10.0.0.2:2425\nAlice  Dev  bob@pc2  10.0.0.2:2425\n");
    }
}
