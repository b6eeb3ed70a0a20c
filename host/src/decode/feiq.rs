//! What FeiQ (飞秋) says in its version (R-IP-13), and the fragments of its pictures (R-IP-46, R-IP-47).

use feige_core::wire::ParseError;
use feige_core::wire::ipmsg::feiq::{ImageAck, ImageFragment};
use feige_core::wire::ipmsg::{Datagram, FeiqVersion};

use super::tree::Tree;
use super::{Fields, count};

/// The fields of the version text.
pub(super) fn version(version: &FeiqVersion<'_>) -> Tree {
    let number = |number: u32| Tree::Number(u64::from(number));
    let id = version.id.as_bytes();
    let mut fields = vec![
        ("generation", number(version.generation)),
        ("avatar", number(version.avatar)),
        ("level", Tree::text(format!("{:#x}", version.level))),
        hardware_address(id).map_or_else(|| ("id", escaped(id)), |address| ("MAC", Tree::Text(address))),
        ("avatar size", number(version.avatar_size)),
        ("self-image size", number(version.self_image_size)),
        ("encrypted size", number(version.encrypted_size)),
    ];
    if !version.code.is_empty() {
        fields.push(("code", escaped(version.code.as_bytes())));
    }
    Tree::Fields(fields)
}

/// The id with colons, if it is the hardware address that it is with most programs.
fn hardware_address(id: &[u8]) -> Option<String> {
    let pairs: &[[u8; 2]; 6] = id.as_chunks().0.try_into().ok()?;
    let well_formed = id.len() == 12 && id.iter().all(u8::is_ascii_hexdigit);
    well_formed.then(|| pairs.map(|pair| pair.escape_ascii().to_string()).join(":"))
}

fn escaped(octets: &[u8]) -> Tree {
    Tree::text(octets.escape_ascii().to_string())
}

/// A fragment of a picture.
///
/// # Errors
/// [`ParseError`] if it is not of the form.
pub(super) fn fragment(datagram: &Datagram<'_>, fields: &mut Fields) -> Result<(), ParseError> {
    let fragment = ImageFragment::parse(datagram)?;
    let [_, format, _] = fragment.flags;
    let format = match format {
        1 => "compressed bitmap".to_owned(),
        2 => "JPEG".to_owned(),
        other => format!("unknown ({other})"),
    };
    place(fragment.ack(), fields);
    fields.extend([
        ("of fragments", Tree::Number(u64::from(fragment.count))),
        ("offset", Tree::Number(u64::from(fragment.offset))),
        ("octets", count(fragment.data)),
        ("of octets", Tree::Number(u64::from(fragment.total))),
        ("format", Tree::Text(format)),
    ]);
    Ok(())
}

/// The acknowledgement of a fragment.
///
/// # Errors
/// [`ParseError`] if it is not of the form.
pub(super) fn acknowledgement(body: &[u8], fields: &mut Fields) -> Result<(), ParseError> {
    place(ImageAck::parse(body)?, fields);
    Ok(())
}

/// Which fragment of which picture.
fn place(ack: ImageAck, fields: &mut Fields) {
    fields.push(("picture", Tree::text(format!("{:08x}", ack.id))));
    fields.push(("fragment", Tree::Number(u64::from(ack.index))));
}
