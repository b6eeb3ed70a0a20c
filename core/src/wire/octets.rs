//! Arrays of octets in headers, read in a loop: for arrays, serde has code for each of their places.
//!
//! **Memory**: none. **Time**: linear in the octets. **Protocol**: postcard writes them one behind the other (R-VT-4).

use core::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{SerializeTuple, Serializer};

/// For `#[serde(with = "octets")]`: reads an array.
pub(crate) fn deserialize<'d, D: Deserializer<'d>, const LEN: usize>(deserializer: D) -> Result<[u8; LEN], D::Error> {
    let mut octets = [0; LEN];
    deserializer.deserialize_tuple(LEN, Room(&mut octets))?;
    Ok(octets)
}

/// For `#[serde(with = "octets")]`: writes an array.
pub(crate) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(octets.len())?;
    octets.iter().try_for_each(|octet| tuple.serialize_element(octet))?;
    tuple.end()
}

/// Where the octets go: a slice, so that arrays of all lengths share one visitor.
struct Room<'o>(&'o mut [u8]);

impl<'d> Visitor<'d> for Room<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("octets")
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut octets: A) -> Result<(), A::Error> {
        for (place, octet) in self.0.iter_mut().enumerate() {
            *octet = octets.next_element()?.ok_or_else(|| A::Error::invalid_length(place, &"more octets"))?;
        }
        Ok(())
    }
}
