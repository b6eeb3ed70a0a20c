//! `feige decode`: explains a datagram, a file request or a folder stream field by field.

mod feiq;
mod hosts;
mod key;
mod options;
mod tree;

use std::borrow::Cow;
use std::io::{Read, Write};

use feige_core::text::Text;
use feige_core::wire::ParseError;
use feige_core::wire::ipmsg::host_list::requested_index;
use feige_core::wire::ipmsg::{
    Attachment, Attribute, Client, Command, Datagram, Entry, EscapedName, ExtendedAttribute, ExtendedAttributes,
    FileKind, FileRequest, FolderHeader, FolderScan, Label, Options, PacketToken, Platform, VersionInfo,
};

use crate::charset::{Charset, Policy, without_font};
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::stdout::print;
use tree::Tree;

/// Named values, in the order in which they stand in the datagram.
type Fields = Vec<(&'static str, Tree)>;

/// More than this is read neither from a file nor from standard input; only the beginning is explained.
const MOST: u64 = 1 << 20;

/// Runs the command.
///
/// # Errors
/// A [`Failure`] if the input cannot be read or is nothing of the family's.
pub fn run(command: &cli::Decode, policy: Policy, json: bool) -> Result<Exit, Failure> {
    let octets = input(&command.input)?;
    let tree = explain(&octets, policy).map_err(|error| Failure::new(format!("this is not of the family: {error}")))?;
    print(|out| {
        if json {
            serde_json::to_writer(&mut *out, &tree)?;
            return out.write_all(b"\n");
        }
        out.write_all(tree.to_string().trim_start_matches('\n').as_bytes())
    })
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

/// Says that something is not of its form.
fn fault(error: ParseError) -> (&'static str, Tree) {
    ("fault", Tree::text(error.to_string()))
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
        let client = header.client();
        let mut fields = vec![
            ("version", Tree::text(self.decode(header.version.as_bytes()))),
            ("program", Tree::text(program(client))),
        ];
        if let Client::Feiq(version) = &client {
            fields.push(("FeiQ", feiq::version(version)));
        }
        fields.extend([
            ("packet", packet(header.packet_no)),
            ("user", self.text(header.user.as_bytes())),
            ("host", self.text(header.host.as_bytes())),
            ("command", Tree::text(format!("{} ({:#04x})", header.command.name(), header.command.code()))),
            ("options", options::list(header.command, header.options)),
        ]);
        if let Err(error) = self.body(datagram, octets, &mut fields) {
            fields.push(("body", self.text(datagram.body)));
            fields.push(fault(error));
        }
        Tree::Fields(fields)
    }

    fn body(&self, datagram: &Datagram<'_>, octets: &[u8], fields: &mut Fields) -> Result<(), ParseError> {
        let encrypted = datagram.header.options.contains(Options::ENCRYPT);
        match datagram.header.command {
            command if command.is_entry() => self.entry(&Entry::of(datagram), fields),
            Command::SendMsg if encrypted => {
                key::encrypted(datagram.body, fields)?;
                // R-IP-114: inside the body with this option, else in clear behind it.
                if !datagram.header.options.contains(Options::ENC_EXT_MSG) {
                    self.attachments(datagram, fields);
                }
            }
            Command::SendMsg => {
                let text = self.decode(datagram.body);
                fields.push(("text", Tree::text(without_font(&text))));
                fields.push(("charset", Tree::text(self.charset_of(datagram.body))));
                self.attachments(datagram, fields);
            }
            Command::RecvMsg | Command::ReadMsg | Command::DelMsg | Command::AnsReadMsg | Command::ReleaseFiles => {
                let token = PacketToken(Text::new(datagram.body));
                fields.push(("refers to", packet(token)));
                // What is taken for the number, where that is another: behind junk, or cut to 32 bits (R-IP-43).
                if let Some(number) = datagram.acknowledged().map(|number| u64::from(number.0))
                    && token.number() != Some(number)
                {
                    fields.push(("acknowledges", Tree::Number(number)));
                }
            }
            Command::GetFileData | Command::GetDirFiles if encrypted => key::encrypted(datagram.body, fields)?,
            Command::GetFileData | Command::GetDirFiles => {
                let request = FileRequest::parse(octets)?;
                fields.push(("offered in", Tree::Number(u64::from(request.packet_no.0))));
                fields.push(("file id", Tree::Number(u64::from(request.id.hex))));
                fields.push(("offset", Tree::Number(request.offset)));
            }
            Command::GetList => fields.push(("from index", Tree::Number(requested_index(datagram.body).into()))),
            Command::AnsList => self.host_list(datagram.body, fields)?,
            Command::GetPubKey => key::asked(datagram.body, fields)?,
            Command::AnsPubKey => key::answered(datagram.body, fields)?,
            Command::FeiqSendImage => feiq::fragment(datagram, fields)?,
            Command::FeiqImageAck => feiq::acknowledgement(datagram.body, fields)?,
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
        Ok(())
    }

    fn attachments(&self, datagram: &Datagram<'_>, fields: &mut Fields) {
        let files: Vec<Tree> = datagram.attachments().map(|attachment| self.attachment(attachment)).collect();
        if !files.is_empty() {
            fields.push(("files", Tree::List(files)));
        }
    }

    fn charset_of(&self, octets: &[u8]) -> &'static str {
        match self.declared.or_else(|| self.policy.sniff(octets)) {
            Some(charset) => charset.name(),
            None if octets.is_ascii() => "ascii",
            None => "unknown",
        }
    }

    fn entry(&self, entry: &Entry<'_>, fields: &mut Fields) {
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
            if let Some(version) = block.version.and_then(|text| VersionInfo::parse(text.as_bytes()).ok()) {
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
            Err(error) => return Tree::Fields(vec![fault(error)]),
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

fn extended(attributes: &ExtendedAttributes<'_>, fields: &mut Fields) {
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
            format!("FeiQ, generation {}", version.generation)
        }
        Client::Shiyeline => "内网通".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn official(version: VersionInfo) -> String {
    let platform = match version.platform {
        Platform::Windows32 => "Windows (32 bits)".to_owned(),
        Platform::Windows64 => "Windows (64 bits)".to_owned(),
        Platform::Mac => "macOS".to_owned(),
        Platform::Ios => "iOS".to_owned(),
        Platform::Android => "Android".to_owned(),
        Platform::Unknown(number) => format!("an unknown platform ({number:#010x})"),
        _ => "an unknown platform".to_owned(),
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
mod tests;
