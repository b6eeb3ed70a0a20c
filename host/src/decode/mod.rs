//! `feige decode`: explains a datagram, a file request or a folder stream field by field.

mod options;
mod tree;

use std::borrow::Cow;
use std::io::{Read, Write};

use feige_core::text::Text;
use feige_core::wire::ParseError;
use feige_core::wire::ipmsg::{
    Attachment, Attribute, Client, Command, Datagram, Entry, EscapedName, ExtendedAttribute, ExtendedAttributes,
    FileKind, FileRequest, FolderHeader, FolderScan, Label, Options, PacketToken, Platform, VersionInfo,
};

use crate::charset::{Charset, Policy, without_font};
use crate::cli;
use crate::exit::{Exit, Failure};
use tree::Tree;

/// More than this is read neither from a file nor from standard input; only the beginning is explained.
const MOST: u64 = 1 << 20;

/// Runs the command.
///
/// # Errors
/// A [`Failure`] if the input cannot be read or is nothing of the family's.
pub fn run(command: &cli::Decode, policy: Policy, json: bool) -> Result<Exit, Failure> {
    let octets = input(&command.input)?;
    let tree = explain(&octets, policy).map_err(|error| Failure::new(format!("this is not of the family: {error}")))?;
    let mut out = std::io::stdout().lock();
    let written = if json {
        serde_json::to_writer(&mut out, &tree).map_err(Into::into).and_then(|()| out.write_all(b"\n"))
    } else {
        out.write_all(tree.to_string().trim_start_matches('\n').as_bytes())
    };
    // Nobody reads: nobody to tell.
    Ok(if written.is_ok() { Exit::Done } else { Exit::Failed })
}

/// The octets that `argument` stands for: hexadecimal digits, `-`, or a file.
fn input(argument: &str) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    if argument == "-" {
        let read = std::io::stdin().lock().take(MOST).read_to_end(&mut octets);
        read.map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
    } else if let Some(octets) = hexadecimal(argument.as_bytes()) {
        return Ok(octets);
    } else {
        let read = std::fs::File::open(argument).and_then(|file| file.take(MOST).read_to_end(&mut octets));
        read.map_err(|error| {
            Failure::usage(format!("{argument} is neither hexadecimal nor a file that can be read: {error}"))
        })?;
    }
    if octets.is_empty() {
        return Err(Failure::usage("there is nothing to decode"));
    }
    Ok(hexadecimal(&octets).unwrap_or(octets))
}

/// The octets that pairs of hexadecimal digits stand for; white space is allowed between them.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let mut nibbles = Vec::with_capacity(text.len());
    for &octet in text.iter().filter(|octet| !octet.is_ascii_whitespace()) {
        nibbles.push(u8::try_from(char::from(octet).to_digit(16)?).ok()?);
    }
    let (pairs, rest) = nibbles.as_chunks::<2>();
    (rest.is_empty() && !pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Explains the octets.
fn explain(octets: &[u8], policy: Policy) -> Result<Tree, ParseError> {
    if octets.starts_with(b"IP2:") {
        let what = "a dictionary of the official program (4.5 or later), in place of a datagram; encrypted";
        return Ok(Tree::Fields(vec![("kind", Tree::text(what)), ("octets", count(octets))]));
    }
    match Datagram::parse(octets) {
        Ok(datagram) => Ok(Explainer::new(&datagram, policy).datagram(&datagram, octets)),
        Err(error) => folder_stream(octets, policy).ok_or(error),
    }
}

fn count(octets: &[u8]) -> Tree {
    Tree::Number(octets.len() as u64)
}

/// Explains with the character set of one datagram.
struct Explainer {
    policy: Policy,
    declared: Option<Charset>,
}

impl Explainer {
    fn new(datagram: &Datagram<'_>, policy: Policy) -> Self {
        let header = &datagram.header;
        let declared = if header.options.contains(Options::UTF8) {
            Some(Charset::Utf8)
        } else {
            match header.client() {
                Client::Iptux { .. } => Some(Charset::Utf8),
                Client::Feiq(_) | Client::Shiyeline => Some(Charset::Gbk),
                _ => None,
            }
        };
        Self { policy, declared }
    }

    fn decode<'a>(&self, octets: &'a [u8]) -> Cow<'a, str> {
        self.policy.decode(octets, self.declared, None)
    }

    fn text(&self, octets: &[u8]) -> Tree {
        Tree::text(self.decode(octets))
    }

    fn label(&self, label: Label<'_>) -> Tree {
        let octets = label.text.as_bytes();
        if label.utf8 { Tree::text(Charset::Utf8.decode(octets)) } else { self.text(octets) }
    }

    fn name(&self, name: EscapedName<'_>) -> Tree {
        self.text(&name.octets().collect::<Vec<u8>>())
    }

    fn datagram(&self, datagram: &Datagram<'_>, octets: &[u8]) -> Tree {
        let header = &datagram.header;
        let options = options::names(header.command, header.options).into_iter().map(Tree::Text).collect();
        let mut fields = vec![
            ("version", Tree::text(self.decode(header.version.as_bytes()))),
            ("program", Tree::text(program(header.client()))),
            ("packet", packet(header.packet_no)),
            ("user", self.text(header.user.as_bytes())),
            ("host", self.text(header.host.as_bytes())),
            ("command", Tree::text(format!("{} ({:#04x})", header.command.name(), header.command.code()))),
            ("options", Tree::List(options)),
        ];
        self.body(datagram, octets, &mut fields);
        Tree::Fields(fields)
    }

    fn body(&self, datagram: &Datagram<'_>, octets: &[u8], fields: &mut Vec<(&'static str, Tree)>) {
        let encrypted = datagram.header.options.contains(Options::ENCRYPT);
        match datagram.header.command {
            command if command.is_entry() => self.entry(&Entry::of(datagram), fields),
            Command::SendMsg if encrypted => fields.push(("encrypted", self.text(datagram.body))),
            Command::SendMsg => {
                let text = self.decode(datagram.body);
                fields.push(("text", Tree::text(without_font(&text))));
                fields.push(("charset", Tree::text(self.charset_of(datagram.body))));
                let files: Vec<Tree> = datagram.attachments().map(|attachment| self.attachment(attachment)).collect();
                if !files.is_empty() {
                    fields.push(("files", Tree::List(files)));
                }
            }
            Command::RecvMsg | Command::ReadMsg | Command::DelMsg | Command::AnsReadMsg | Command::ReleaseFiles => {
                fields.push(("refers to", packet(PacketToken(Text::new(datagram.body)))));
            }
            Command::GetFileData | Command::GetDirFiles => match FileRequest::parse(octets) {
                Ok(request) => {
                    fields.push(("offered in", Tree::Number(u64::from(request.packet_no.0))));
                    fields.push(("file id", Tree::Number(u64::from(request.id.hex))));
                    fields.push(("offset", Tree::Number(request.offset)));
                }
                Err(error) => {
                    fields.push(("body", self.text(datagram.body)));
                    fields.push(("fault", Tree::text(error.to_string())));
                }
            },
            command => {
                if !datagram.body.is_empty() {
                    fields.push(("body", self.text(datagram.body)));
                }
                let tail = datagram.tail.unwrap_or_default();
                if command.has_binary_tail() {
                    fields.push(("data", Tree::text(format!("{} octets", tail.len()))));
                } else if tail.iter().any(|&octet| octet != 0) {
                    fields.push(("extension", self.text(tail)));
                }
            }
        }
    }

    fn charset_of(&self, octets: &[u8]) -> &'static str {
        match self.declared.or_else(|| self.policy.sniff(octets)) {
            Some(charset) => charset.name(),
            None if octets.is_ascii() => "ascii",
            None => "unknown",
        }
    }

    fn entry(&self, entry: &Entry<'_>, fields: &mut Vec<(&'static str, Tree)>) {
        fields.push(("nick", self.text(entry.nick.as_bytes())));
        fields.push(("group", self.text(entry.group.as_bytes())));
        if let Some(block) = &entry.block {
            let mut utf8 = Vec::new();
            let names = [("user", block.user), ("host", block.host), ("nick", block.nick), ("group", block.group)];
            for (name, text) in names {
                if let Some(text) = text {
                    utf8.push((name, self.label(Label { text, utf8: true })));
                }
            }
            if let Some(version) = block.version {
                utf8.push(("version", Tree::text(official(version))));
            }
            if let Some(seconds) = block.poll_seconds {
                utf8.push(("poll seconds", Tree::Number(seconds)));
            }
            if let Some(dictionary) = block.dictionary {
                utf8.push(("dictionary", count(dictionary.as_bytes())));
            }
            fields.push(("utf-8 block", Tree::Fields(utf8)));
        }
        if let Some(iptux) = entry.iptux {
            fields.push(("icon", self.text(iptux.icon.as_bytes())));
            fields.push(("encoding", self.text(iptux.encoding.as_bytes())));
        }
        if let Some(id) = entry.shiyeline_id {
            fields.push(("id", self.text(id.as_bytes())));
        }
    }

    fn attachment(&self, attachment: Result<Attachment<'_>, ParseError>) -> Tree {
        let attachment = match attachment {
            Ok(attachment) => attachment,
            Err(error) => return Tree::Fields(vec![("fault", Tree::text(error.to_string()))]),
        };
        let mut fields = vec![
            ("id", Tree::Number(u64::from(attachment.id))),
            ("name", self.name(attachment.name)),
            ("size", size(attachment.size)),
            ("modified", Tree::text(attachment.modified.map_or_else(|| "unknown".to_owned(), time))),
            ("kind", Tree::text(kind(attachment.attribute))),
        ];
        extended(&attachment.extended, &mut fields);
        Tree::Fields(fields)
    }
}

fn packet(token: PacketToken<'_>) -> Tree {
    match token.number() {
        Some(number) => Tree::Number(number),
        None => Tree::text(token.as_bytes().escape_ascii().to_string()),
    }
}

fn size(size: Option<u64>) -> Tree {
    size.map_or_else(|| Tree::text("unknown"), Tree::Number)
}

fn time(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds));
    match time {
        // What humantime cannot print lies after the year 9999.
        Some(time) if seconds < 253_402_300_800 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => seconds.to_string(),
    }
}

fn kind(attribute: Attribute) -> String {
    let kind = match attribute.kind() {
        FileKind::Regular => "file",
        FileKind::Folder => "folder",
        FileKind::ReturnParent => "end of folder",
        FileKind::Symlink => "symbolic link",
        FileKind::CharDevice => "character device",
        FileKind::BlockDevice => "block device",
        FileKind::Fifo => "pipe",
        FileKind::ResourceFork => "resource fork",
        FileKind::Clipboard => "clipboard picture",
        _ => "unknown",
    };
    let mut text = format!("{kind} ({:#x}", attribute.word());
    let options = [
        (Attribute::READ_ONLY, "read-only"),
        (Attribute::HIDDEN, "hidden"),
        (Attribute::EX_HIDDEN, "hidden (Mac)"),
        (Attribute::ARCHIVE, "archive"),
        (Attribute::SYSTEM, "system"),
    ];
    for (bit, name) in options {
        if attribute.has(bit) {
            text.push_str(", ");
            text.push_str(name);
        }
    }
    text.push(')');
    text
}

fn extended(attributes: &ExtendedAttributes<'_>, fields: &mut Vec<(&'static str, Tree)>) {
    let mut found = Vec::new();
    for attribute in attributes.iter() {
        let name = match attribute.id {
            ExtendedAttribute::CLIPBOARD_POSITION => "clipboard position",
            ExtendedAttribute::PERMISSIONS => "permissions",
            ExtendedAttribute::STATUS_CHANGED => "status changed",
            ExtendedAttribute::MODIFIED => "modified",
            ExtendedAttribute::ACCESSED => "accessed",
            ExtendedAttribute::CREATED => "created",
            _ => "attribute",
        };
        let value = match (attribute.id, attribute.number()) {
            (ExtendedAttribute::PERMISSIONS, Some(number)) => Tree::text(format!("{number:o}")),
            (0x13..=0x16, Some(number)) => Tree::text(time(number)),
            (ExtendedAttribute::CLIPBOARD_POSITION, Some(number)) => Tree::Number(number),
            (id, _) => {
                let value = attribute.octets().unwrap_or_default().escape_ascii();
                Tree::text(if name == "attribute" { format!("{id:x}={value}") } else { value.to_string() })
            }
        };
        found.push((name, value));
    }
    if !found.is_empty() {
        fields.push(("extended", Tree::Fields(found)));
    }
}

fn program(client: Client<'_>) -> String {
    match client {
        Client::IpMessenger => "IP Messenger, a rebuild or a small relative".to_owned(),
        Client::Iptux { version } => format!("iptux {}", version.as_bytes().escape_ascii()),
        Client::Feiq(version) => {
            let (id, code) = (version.id.as_bytes().escape_ascii(), version.code.as_bytes().escape_ascii());
            format!("FeiQ, generation {}, code {code}, id {id}", version.generation)
        }
        Client::Shiyeline => "内网通".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn official(version: VersionInfo) -> String {
    let platform = match version.platform {
        Platform::Windows32 => "Windows (32 bits)",
        Platform::Windows64 => "Windows (64 bits)",
        Platform::Mac => "macOS",
        Platform::Ios => "iOS",
        Platform::Android => "Android",
        _ => "an unknown platform",
    };
    let (stage, revision) = match version.revision {
        revision @ 0..50 => ("a", revision),
        revision @ 50..100 => ("b", revision - 50),
        revision => ("r", revision - 100),
    };
    format!("{}.{}{stage}{revision} for {platform}", version.major, version.minor)
}

/// Explains the headers of a folder stream, as far as the octets go; nothing if they are none.
fn folder_stream(octets: &[u8], policy: Policy) -> Option<Tree> {
    let explainer = Explainer { policy, declared: None };
    let mut rest = octets;
    let mut headers = Vec::new();
    let mut end = "the octets end";
    loop {
        match FolderHeader::scan(rest, headers.is_empty()) {
            Ok(FolderScan::Preamble { skip }) => rest = rest.get(skip..).unwrap_or_default(),
            Ok(FolderScan::Header { header, len }) => {
                let mut fields = vec![
                    ("name", explainer.name(header.name)),
                    ("size", Tree::Number(header.content_len())),
                    ("kind", Tree::text(kind(header.attribute))),
                ];
                extended(&header.extended, &mut fields);
                headers.push(Tree::Fields(fields));
                let contents = usize::try_from(header.content_len()).unwrap_or(usize::MAX);
                rest = rest.get(len.saturating_add(contents)..).unwrap_or_default();
            }
            Ok(FolderScan::NeedMore { .. }) if rest.is_empty() => break,
            Ok(FolderScan::NeedMore { .. }) => {
                end = "the octets end within a header";
                break;
            }
            Ok(FolderScan::End { .. }) => {
                end = "the sender says that it ends";
                break;
            }
            Err(_) => {
                end = "what follows is not a header";
                break;
            }
        }
    }
    (!headers.is_empty()).then(|| {
        Tree::Fields(vec![
            ("kind", Tree::text("a folder stream, the answer to GETDIRFILES")),
            ("headers", Tree::List(headers)),
            ("end", Tree::text(end)),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(octets: &[u8]) -> String {
        explain(octets, Policy::new(None)).expect("of the family").to_string()
    }

    #[track_caller]
    fn has(text: &str, parts: &[&str]) {
        for part in parts {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn entries() {
        let text =
            shown(b"1:100:alice:PC-A:23068673:Alice\0Dev\0\nUN:alice\nHN:PC-A\nNN:Al\xc3\xa9\nVS:00010002:4:99:103\n");
        has(&text, &["BR_ENTRY (0x01)", "FILEATTACH, ENCRYPT, CAPUTF8", "Alé", "4.99r3 for Windows (64 bits)"]);
        let text = shown(b"1_iptux 0.8.3:1:u:h:259:nick\0group\0icon.png\0utf-8\0");
        has(&text, &["iptux 0.8.3", "ABSENCE", "icon.png", "utf-8"]);
    }

    #[test]
    fn messages_with_files() {
        let text = shown(
            b"1_lbt80_0#131200#28E3475C0E3E#3380#43820#0#4000#9:1506330342:A:B:2097440:\xc4\xe3\xba\xc3\0\
            0:new_1.py:01f1:59bbf8db:1:\x072:docs:0:65a0b0c0:102:\x07\0",
        );
        has(&text, &["FeiQ, generation 80, code 4000", "你好", "gbk", "new_1.py", "497", "2017-09-15T", "read-only"]);
    }

    #[test]
    fn requests_and_answers() {
        has(&shown(b"1:5:a:b:96:59c21f39:0:0:\0"), &["GETFILEDATA", "1505894201", "offset"]);
        has(&shown(b"1:6:a:b:33:1700000001\0"), &["RECVMSG", "refers to", "1700000001"]);
        has(&shown(b"1:6:a:b:96:nonsense"), &["fault"]);
    }

    #[test]
    fn folder_streams() {
        let text = shown(b"002e:docs:000000000:2:14=65a0b0c0:16=65a0b0c0:002f:a.txt:000000003:1:14=65a0b0c0:16=65a0b0c0:abc0023:.:0:3:14=65a0b0c0:16=65a0b0c0:");
        has(&text, &["folder stream", "docs", "a.txt", "2024-01-12T", "end of folder", "the octets end"]);
    }

    #[test]
    fn hexadecimal_in_any_layout() {
        assert_eq!(hexadecimal(b"31 3a\n31"), Some(b"1:1".to_vec()));
        assert_eq!(hexadecimal(b"313"), None);
        assert_eq!(hexadecimal(b"1:1"), None);
        assert_eq!(hexadecimal(b""), None);
    }

    #[test]
    fn what_is_not_of_the_family_is_an_error() {
        assert!(explain(b"GET / HTTP/1.1\r\n", Policy::new(None)).is_err());
        has(&shown(b"IP2:5:hello:Z"), &["dictionary"]);
    }

    #[test]
    fn programs_get_the_same_tree() {
        let tree = explain(b"1:6:a:b:33:17\0", Policy::new(None)).expect("a datagram");
        let json = serde_json::to_string(&tree).expect("JSON");
        has(&json, &["\"packet\":6", "\"command\":\"RECVMSG (0x21)\"", "\"options\":[]", "\"refers to\":17"]);
    }
}
