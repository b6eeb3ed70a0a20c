//! The texts of two classic programs, which search by flooding too.
//!
//! Two programs of one course are in use, here [`Program::J`] and [`Program::C`]. They send each message over a
//! connection of its own, as one text without length or line end, with one blank between fields:
//!
//! | | J | C |
//! |--|--|--|
//! | question | `get NAME SRCPORT SRCIP TTL` | `get NAME SRCIP SRCPORT TTL` |
//! | answer | `found NAME at NUM IP PORT` | `found NAME at IP PORT` |
//! | fetch | `request NAME IP PORT` | `request NAME IP PORT` |
//!
//! **Memory**: none. **Time**: linear in the text. **Protocol**: R-FL-70 to 79, measured with the real programs.

use core::net::{Ipv4Addr, SocketAddrV4};

use super::{MAX_TEXT, QueryId, TTL_NONSENSE, is_host};
use crate::text::FileName;
use crate::wire::{BufferTooSmall, Fault, Field, ParseError, Reader, Writer, decimal, hex};

/// The longest text: what the programs take with one `recv` (R-FL-70).
pub const MAX_MESSAGE: usize = 1024;

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Port before address in `get`, a number in `found`.
    J,
    /// Address before port in `get`, no number in `found`.
    C,
}

impl Program {
    /// What it answers to a word that it does not know, on the same connection (R-FL-76).
    #[must_use]
    pub const fn refusal(self) -> &'static str {
        match self {
            Self::J => "invalid content",
            Self::C => "不合法的命令",
        }
    }

    /// Whose refusal these octets begin with.
    #[must_use]
    pub fn of_refusal(octets: &[u8]) -> Option<Self> {
        [Self::J, Self::C].into_iter().find(|program| octets.starts_with(program.refusal().as_bytes()))
    }

    /// Over how many links, the one that it came over included, a question with this TTL goes (R-FL-73): J sends down
    /// to -1, C never less than once. `None` for a TTL that neither sends.
    fn reach(self, ttl: &[u8]) -> Option<u8> {
        let reach = match (self, ttl.strip_prefix(b"-")) {
            (Self::J, Some(b"1")) => 1,
            (_, Some(_)) => return None,
            (Self::J, None) => decimal(ttl)?.saturating_add(2),
            (Self::C, None) => decimal(ttl)?.max(1),
        };
        u8::try_from(reach).ok().filter(|&reach| reach < TTL_NONSENSE)
    }
}

/// A message of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Who has it?
    Get(Get<'a>),
    /// I have it.
    Found(Found<'a>),
    /// Give it to me, on this connection.
    Request(Request<'a>),
}

/// The question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// The name, without blanks.
    pub name: &'a str,
    /// Where the answer is wanted. It is whatever the sender wrote: nothing but an answer may go there, and not
    /// everywhere (R-FL-77).
    pub asker: SocketAddrV4,
    /// Over how many links it may go, the one that it came over, or is going to be sent over, included.
    pub reach: u8,
    /// Our tag, which the programs pass on with the question because they take only its ends (R-FL-74).
    pub tag: Option<Tag>,
    /// Whose form it has.
    pub program: Program,
}

/// What a question that came through one of ours carries: `i=0123456789abcdef,h=1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The query.
    pub id: QueryId,
    /// Over how many links it had come when the tag was written.
    pub hops: u8,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The name.
    pub name: &'a str,
    /// Where it can be fetched.
    pub holder: SocketAddrV4,
    /// The holder's number in J's configuration; C's form has none.
    pub number: u32,
    /// Whose form it has.
    pub program: Program,
}

/// The fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The name.
    pub name: &'a str,
    /// Who fetches, as it says.
    pub seeker: SocketAddrV4,
}

impl<'a> Text<'a> {
    /// Reads a whole text.
    ///
    /// # Errors
    /// [`ParseError`] with [`Field::Command`] if it begins with another word: the answer to that is
    /// [`Program::refusal`]. With another field, if that is not of its form: no answer.
    pub fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        if octets.len() > MAX_MESSAGE {
            return Err(ParseError::too_large(Field::Body));
        }
        // People type these by hand, too.
        let octets = octets.trim_ascii_end();
        let mut fields = Reader::new(octets);
        match fields.until(b' ') {
            Some(b"get") => get(&mut fields).map(Self::Get),
            Some(b"found") => found(&mut fields).map(Self::Found),
            Some(b"request") => request(&mut fields).map(Self::Request),
            _ => Err(ParseError::malformed(Field::Command)),
        }
    }
}

fn get<'a>(fields: &mut Reader<'a>) -> Result<Get<'a>, ParseError> {
    let name = name(fields)?;
    let (first, second) = (next(fields, Field::Address)?, next(fields, Field::Address)?);
    let (program, asker) = match (address(second, first), address(first, second)) {
        (Some(asker), _) => (Program::J, asker),
        (None, Some(asker)) => (Program::C, asker),
        (None, None) => return Err(ParseError::malformed(Field::Address)),
    };
    let rest = fields.rest();
    let ttl_at = rest.iter().rposition(|&octet| octet == b' ').map_or(0, |blank| blank.saturating_add(1));
    let (extra, ttl) = rest.split_at_checked(ttl_at).unwrap_or((&[], rest));
    let reach = program.reach(ttl).ok_or(ParseError::malformed(Field::Ttl))?;
    let tag = extra.split(|&octet| octet == b' ').find_map(Tag::parse);
    Ok(Get { name, asker, reach, tag, program })
}

fn found<'a>(fields: &mut Reader<'a>) -> Result<Found<'a>, ParseError> {
    let name = name(fields)?;
    if fields.until(b' ') != Some(b"at") {
        return Err(ParseError::malformed(Field::Body));
    }
    let first = next(fields, Field::Address)?;
    let (program, number, ip) = match fields.until(b' ') {
        Some(ip) => (Program::J, number(first).ok_or(ParseError::malformed(Field::Body))?, ip),
        None => (Program::C, 0, first),
    };
    let holder = address(ip, fields.rest()).ok_or(ParseError::malformed(Field::Address))?;
    Ok(Found { name, holder, number, program })
}

fn request<'a>(fields: &mut Reader<'a>) -> Result<Request<'a>, ParseError> {
    let name = name(fields)?;
    let ip = next(fields, Field::Address)?;
    let seeker = address(ip, fields.rest()).ok_or(ParseError::malformed(Field::Address))?;
    Ok(Request { name, seeker })
}

fn number(digits: &[u8]) -> Option<u32> {
    u32::try_from(decimal(digits)?).ok()
}

fn next<'a>(fields: &mut Reader<'a>, field: Field) -> Result<&'a [u8], ParseError> {
    fields.until(b' ').ok_or(ParseError::missing(field))
}

fn name<'a>(fields: &mut Reader<'a>) -> Result<&'a str, ParseError> {
    let name = str::from_utf8(next(fields, Field::FileName)?).map_err(|_| ParseError::malformed(Field::FileName))?;
    if name.len() > MAX_TEXT {
        return Err(ParseError { field: Field::FileName, fault: Fault::TooLarge });
    }
    if can_be_asked_for(name) { Ok(name) } else { Err(ParseError::malformed(Field::FileName)) }
}

/// Whether a name can be written in these texts at all: blanks end it (R-FL-71).
#[must_use]
pub fn can_be_asked_for(name: &str) -> bool {
    name.len() <= MAX_TEXT && FileName::is_safe(name) && !name.contains(char::is_whitespace)
}

/// An address that can be connected to (R-FL-75).
fn address(ip: &[u8], port: &[u8]) -> Option<SocketAddrV4> {
    let ip: Ipv4Addr = str::from_utf8(ip).ok()?.parse().ok()?;
    let port = u16::try_from(decimal(port)?).ok().filter(|&port| port != 0)?;
    is_host(ip).then_some(SocketAddrV4::new(ip, port))
}

impl Tag {
    fn parse(field: &[u8]) -> Option<Self> {
        let mut parts = Reader::new(field.strip_prefix(b"i=")?);
        let id = parts.until(b',').filter(|id| id.len() == 16)?;
        let hops = decimal(parts.rest().strip_prefix(b"h=")?)?;
        let id = hex(id).filter(|&id| id != 0)?;
        Some(Self { id: QueryId::new(id), hops: u8::try_from(hops).ok()? })
    }
}

impl Get<'_> {
    /// Writes it in the form of its program. A `reach` of 0 cannot be written and becomes 1.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; [`MAX_MESSAGE`] octets are always enough.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        writer.octets(b"get ").octets(self.name.as_bytes()).octet(b' ');
        match self.program {
            Program::J => ip(port(&mut writer, self.asker).octet(b' '), self.asker),
            Program::C => port(ip(&mut writer, self.asker).octet(b' '), self.asker),
        };
        if let Some(Tag { id, hops }) = self.tag {
            writer.octets(b" i=").hex_padded(id.number(), 16).octets(b",h=").decimal(hops.into());
        }
        writer.octet(b' ');
        match (self.program, self.reach) {
            (Program::J, 0 | 1) => writer.octets(b"-1"),
            (Program::J, reach) => writer.decimal(reach.saturating_sub(2).into()),
            (Program::C, reach) => writer.decimal(reach.max(1).into()),
        };
        writer.finish()
    }
}

impl Found<'_> {
    /// Writes it in the form of its program.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; [`MAX_MESSAGE`] octets are always enough.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        writer.octets(b"found ").octets(self.name.as_bytes()).octets(b" at ");
        if self.program == Program::J {
            writer.decimal(self.number.into()).octet(b' ');
        }
        port(ip(&mut writer, self.holder).octet(b' '), self.holder).finish()
    }
}

impl Request<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; [`MAX_MESSAGE`] octets are always enough.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut writer = Writer::new(buffer);
        writer.octets(b"request ").octets(self.name.as_bytes()).octet(b' ');
        port(ip(&mut writer, self.seeker).octet(b' '), self.seeker).finish()
    }
}

fn port<'w, 'b>(writer: &'w mut Writer<'b>, at: SocketAddrV4) -> &'w mut Writer<'b> {
    writer.decimal(at.port().into())
}

/// An IP address in its usual form, without `core::fmt`.
fn ip<'w, 'b>(writer: &'w mut Writer<'b>, at: SocketAddrV4) -> &'w mut Writer<'b> {
    let [a, b, c, d] = at.ip().octets().map(u64::from);
    writer.decimal(a).octet(b'.').decimal(b).octet(b'.').decimal(c).octet(b'.').decimal(d)
}
