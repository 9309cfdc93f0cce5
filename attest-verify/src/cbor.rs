//! A strict, borrowed CBOR reader (RFC 8949) for the few types that attestation documents use.
//!
//! It never recurses, never allocates, and never skips an unknown item: the caller requests the type that
//! must come next. Nested input fails at its first unexpected item. Every length is compared with what is
//! left before it is used.

use crate::error::{CborFault, Error, Field};

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;

/// Reads items one after the other. Errors name the field that the caller passes.
pub(crate) struct CborReader<'a> {
    rest: &'a [u8],
}

impl<'a> CborReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Refuses trailing bytes.
    pub(crate) fn finish(self, field: Field) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(fault(field, CborFault::TrailingBytes)) }
    }

    pub(crate) fn uint(&mut self, field: Field) -> Result<u64, Error> {
        self.definite(UINT, field, "an unsigned integer")
    }

    pub(crate) fn bytes(&mut self, field: Field) -> Result<&'a [u8], Error> {
        let len = self.definite(BYTES, field, "a byte string")?;
        self.take(len, field)
    }

    /// A byte string, or `null` for none.
    pub(crate) fn optional_bytes(&mut self, field: Field) -> Result<Option<&'a [u8]>, Error> {
        if let Some((&NULL, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(None);
        }
        let len = self.definite(BYTES, field, "a byte string or null")?;
        self.take(len, field).map(Some)
    }

    pub(crate) fn text(&mut self, field: Field) -> Result<&'a str, Error> {
        let len = self.definite(TEXT, field, "a text string")?;
        let bytes = self.take(len, field)?;
        std::str::from_utf8(bytes).map_err(|_| fault(field, CborFault::NotUtf8))
    }

    /// The number of elements of an array. It is a claim of the sender: never allocate by it.
    pub(crate) fn array(&mut self, field: Field) -> Result<u64, Error> {
        self.definite(ARRAY, field, "an array")
    }

    /// The number of entries of a map of definite length. It is a claim of the sender: never allocate by it.
    pub(crate) fn map(&mut self, field: Field) -> Result<u64, Error> {
        self.definite(MAP, field, "a map")
    }

    /// The beginning of a map of either form. [`CborReader::next_entry`] iterates over it.
    pub(crate) fn any_map(&mut self, field: Field) -> Result<MapEntries, Error> {
        match self.head(field)? {
            (MAP, Argument::Value(count)) => Ok(MapEntries::Definite(count)),
            (MAP, Argument::Indefinite) => Ok(MapEntries::UntilBreak),
            (found, _) => Err(wrong_type(field, "a map", found)),
        }
    }

    /// Whether another entry follows; consumes the `break` of an indefinite map.
    pub(crate) fn next_entry(&mut self, entries: &mut MapEntries, field: Field) -> Result<bool, Error> {
        match entries {
            MapEntries::Definite(0) => Ok(false),
            MapEntries::Definite(left) => {
                *left = left.saturating_sub(1);
                Ok(true)
            }
            MapEntries::UntilBreak => match self.rest.split_first() {
                None => Err(fault(field, CborFault::Truncated)),
                Some((&BREAK, rest)) => {
                    self.rest = rest;
                    Ok(false)
                }
                Some(_) => Ok(true),
            },
        }
    }

    /// The number of the next item, if it is a tag.
    pub(crate) fn optional_tag(&mut self, field: Field) -> Result<Option<u64>, Error> {
        match self.rest.first() {
            Some(initial) if initial >> 5 == TAG => self.definite(TAG, field, "a tag").map(Some),
            _ => Ok(None),
        }
    }

    fn definite(&mut self, major: u8, field: Field, expected: &'static str) -> Result<u64, Error> {
        match self.head(field)? {
            (found, _) if found != major => Err(wrong_type(field, expected, found)),
            (_, Argument::Indefinite) => Err(fault(field, CborFault::IndefiniteLength)),
            (_, Argument::Value(value)) => Ok(value),
        }
    }

    /// Major type and argument of the next item (RFC 8949 §3).
    fn head(&mut self, field: Field) -> Result<(u8, Argument), Error> {
        let (&initial, rest) = self.rest.split_first().ok_or_else(|| fault(field, CborFault::Truncated))?;
        self.rest = rest;
        let major = initial >> 5;
        let (value, smallest) = match initial & 0x1f {
            direct @ 0..=23 => return Ok((major, Argument::Value(direct.into()))),
            24 => (u8::from_be_bytes(self.array_of(field)?).into(), 24),
            25 => (u16::from_be_bytes(self.array_of(field)?).into(), 1 << 8),
            26 => (u32::from_be_bytes(self.array_of(field)?).into(), 1 << 16),
            27 => (u64::from_be_bytes(self.array_of(field)?), 1 << 32),
            31 if matches!(major, BYTES | TEXT | ARRAY | MAP) => return Ok((major, Argument::Indefinite)),
            _ => return Err(fault(field, CborFault::Malformed)),
        };
        if value < smallest {
            return Err(fault(field, CborFault::NonMinimal));
        }
        Ok((major, Argument::Value(value)))
    }

    fn array_of<const N: usize>(&mut self, field: Field) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(|| fault(field, CborFault::Truncated))?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, len: u64, field: Field) -> Result<&'a [u8], Error> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (head, rest) = split.ok_or_else(|| fault(field, CborFault::Truncated))?;
        self.rest = rest;
        Ok(head)
    }
}

/// The entries of a map that are left.
pub(crate) enum MapEntries {
    Definite(u64),
    UntilBreak,
}

enum Argument {
    Value(u64),
    Indefinite,
}

/// `found` is a major type.
fn wrong_type(field: Field, expected: &'static str, found: u8) -> Error {
    let found = match found {
        UINT => "an unsigned integer",
        1 => "a negative integer",
        BYTES => "a byte string",
        TEXT => "a text string",
        ARRAY => "an array",
        MAP => "a map",
        TAG => "a tag",
        _ => "null or another simple value",
    };
    fault(field, CborFault::WrongType { expected, found })
}

fn fault(field: Field, fault: CborFault) -> Error {
    Error::Cbor { field, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, Error>) -> &'static str {
        result.err().map_or("ok", |error| error.code())
    }

    #[test]
    fn shortest_forms_only() {
        let cases: [(&[u8], &str); 9] = [
            (&[0x17], "ok"),
            (&[0x18, 0x18], "ok"),
            (&[0x18, 0x17], "cbor_non_minimal"),
            (&[0x19, 0x00, 0xff], "cbor_non_minimal"),
            (&[0x1a, 0x00, 0x00, 0xff, 0xff], "cbor_non_minimal"),
            (&[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], "cbor_non_minimal"),
            (&[0x1c], "cbor_malformed"),
            (&[0x1f], "cbor_malformed"),
            (&[0x19, 0x01], "cbor_truncated"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(code(CborReader::new(bytes).uint(Field::Timestamp)), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn claimed_lengths_are_compared_with_what_is_left() {
        for bytes in [
            &[0x41][..],
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x5a, 0x7f, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(code(CborReader::new(bytes).bytes(Field::Nonce)), "cbor_truncated");
        }
    }

    #[test]
    fn strings_are_definite_and_text_is_utf8() {
        assert_eq!(
            code(CborReader::new(&[0x5f, 0x41, 0, 0xff]).bytes(Field::Nonce)),
            "cbor_indefinite_length"
        );
        assert_eq!(code(CborReader::new(&[0x61, 0xff]).text(Field::Digest)), "cbor_not_utf8");
        assert_eq!(code(CborReader::new(&[0xff]).text(Field::Digest)), "cbor_malformed");
        assert_eq!(code(CborReader::new(&[0xf7]).optional_bytes(Field::Nonce)), "cbor_wrong_type");
        assert_eq!(CborReader::new(&[0xf6]).optional_bytes(Field::Nonce), Ok(None));
    }
}
