//! Writes headers in postcard's encoding (R-VT-4).
//!
//! Reading them is left to the `postcard` crate. Writing is not: its variable-length integers are put together in arrays
//! by index, and that contains panics that no optimiser removes. A test holds the octets of both against each other.
//!
//! **Guarantees**: what headers are made of can be written; anything else that serde knows is refused.
//! **Memory**: none. **Time**: linear in the header.

use core::fmt;

use serde::ser::{self, Impossible, Serialize};

use crate::wire::{BufferTooSmall, Writer};

/// Writes `header` to the front of `buffer`, and returns how many octets it takes.
pub(super) fn emit<T: Serialize>(header: &T, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let mut emitter = Emitter(Writer::new(buffer));
    match header.serialize(&mut emitter) {
        Ok(()) => emitter.0.finish(),
        // No header has such a part.
        Err(Unknown) => Err(BufferTooSmall { needed: usize::MAX }),
    }
}

struct Emitter<'b>(Writer<'b>);

/// A part of which no header is made.
#[derive(Debug)]
struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a part of a header")
    }
}

impl core::error::Error for Unknown {}

impl ser::Error for Unknown {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl Emitter<'_> {
    /// Seven bits to an octet, the lowest first; the high bit says that more follow.
    fn varint(&mut self, number: u64) -> Result<(), Unknown> {
        let mut rest = number;
        loop {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                self.0.octet(low);
                return Ok(());
            }
            self.0.octet(low | 0x80);
        }
    }
}

/// What is refused.
macro_rules! unknown {
    ($($name:ident($($kind:ty),*) -> $ok:ty;)*) => {
        $(fn $name(self, $(_: $kind),*) -> Result<$ok, Unknown> {
            Err(Unknown)
        })*
    };
}

impl ser::Serializer for &mut Emitter<'_> {
    type Ok = ();
    type Error = Unknown;
    type SerializeSeq = Impossible<(), Unknown>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), Unknown>;
    type SerializeTupleVariant = Impossible<(), Unknown>;
    type SerializeMap = Impossible<(), Unknown>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_bool(self, value: bool) -> Result<(), Unknown> {
        self.serialize_u8(value.into())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Unknown> {
        self.0.octet(value);
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Unknown> {
        self.varint(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unknown> {
        self.varint(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unknown> {
        self.varint(value)
    }

    /// Zigzag: the sign comes last, so that small numbers are short, whichever sign they have.
    fn serialize_i64(self, value: i64) -> Result<(), Unknown> {
        self.varint((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unknown> {
        self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX))?;
        self.0.octets(value.as_bytes());
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unknown> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unknown> {
        self.0.octet(1);
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Unknown> {
        self.varint(index.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unknown> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unknown> {
        self.varint(index.into())?;
        value.serialize(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Unknown> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unknown> {
        Ok(self)
    }

    fn serialize_struct_variant(self, _: &'static str, index: u32, _: &'static str, _: usize) -> Result<Self, Unknown> {
        self.varint(index.into())?;
        Ok(self)
    }

    unknown! {
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
    }

    /// No text is put together: that takes `core`'s formatting, and the room for it.
    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl ser::SerializeTuple for &mut Emitter<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unknown> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Unknown> {
        Ok(())
    }
}

impl ser::SerializeStruct for &mut Emitter<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Unknown> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Unknown> {
        Ok(())
    }
}

impl ser::SerializeStructVariant for &mut Emitter<'_> {
    type Ok = ();
    type Error = Unknown;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Unknown> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Unknown> {
        Ok(())
    }
}
