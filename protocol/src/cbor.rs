//! Deterministic CBOR (RFC 8949 §4.2.1), restricted to what the records use.
//!
//! The records use unsigned integers, byte and text strings, arrays, and maps whose keys are consecutive
//! small integers. The reader borrows its input and does not recurse on it. It compares every length with the
//! bytes that are left before it uses the length, and refuses every encoding that the writer would not
//! produce. A general CBOR library leaves most of these checks to its caller.

use crate::{DecodeError, Rule};
use core::ops::RangeInclusive;

/// The latest time in a record, in Unix milliseconds: 2⁵³ − 1, which the numbers of every language can hold.
pub const MAX_TIME: u64 = (1 << 53) - 1;

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

/// Writes one structure.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity) }
    }

    /// A writer that appends to `out`.
    pub fn after(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// Opens a map of `fields` entries. Each entry is [`Writer::key`] and one value.
    pub fn map(&mut self, fields: u64) -> &mut Self {
        self.head(MAP, fields)
    }

    /// The next entry's key.
    pub fn key(&mut self, key: u64) -> &mut Self {
        self.head(UINT, key)
    }

    /// Opens an array of `items`.
    pub fn array(&mut self, items: u64) -> &mut Self {
        self.head(ARRAY, items)
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value)
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
        self
    }

    /// Takes the bytes that were written.
    pub fn finish(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        let be = value.to_be_bytes();
        match (value, be) {
            (0..=23, [.., a]) => self.out.push(major | a),
            (24..=0xff, [.., a]) => self.out.extend_from_slice(&[major | 24, a]),
            (0x100..=0xffff, [.., a, b]) => self.out.extend_from_slice(&[major | 25, a, b]),
            (0x1_0000..=0xffff_ffff, [.., a, b, c, d]) => {
                self.out.extend_from_slice(&[major | 26, a, b, c, d]);
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&be);
            }
        }
        self
    }
}

/// Reads one structure. Every method takes the field's name, for the error.
pub struct Reader<'a> {
    structure: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` as a `structure`.
    pub fn new(structure: &'static str, bytes: &'a [u8]) -> Self {
        Self { structure, rest: bytes }
    }

    /// Opens a map. [`Map::key`] reads its entries.
    pub fn map(&mut self, field: &'static str) -> Result<Map, DecodeError> {
        Ok(Map { left: self.head(field, MAP)?, next: 0 })
    }

    /// Opens an array whose number of items is in `allowed`, and returns that number.
    pub fn array(
        &mut self,
        field: &'static str,
        allowed: RangeInclusive<usize>,
    ) -> Result<usize, DecodeError> {
        let n = self.head(field, ARRAY)?;
        self.length(field, n, &allowed)
    }

    /// An unsigned integer.
    pub fn uint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.head(field, UINT)
    }

    /// A time in Unix milliseconds, at most [`MAX_TIME`].
    pub fn time(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.safe_uint(field)
    }

    /// An unsigned integer of at most 2⁵³ − 1.
    pub fn safe_uint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let value = self.uint(field)?;
        if value > MAX_TIME { Err(self.error(field, Rule::Range)) } else { Ok(value) }
    }

    /// Whether an unsigned integer comes next.
    pub fn is_uint(&self) -> bool {
        self.rest.first().is_some_and(|first| first >> 5 == UINT)
    }

    /// An unsigned integer that fits `T`.
    pub fn number<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        T::try_from(self.uint(field)?).map_err(|_| self.error(field, Rule::Range))
    }

    /// A byte string whose length is in `allowed`.
    pub fn bytes(
        &mut self,
        field: &'static str,
        allowed: RangeInclusive<usize>,
    ) -> Result<&'a [u8], DecodeError> {
        self.string(field, BYTES, &allowed)
    }

    /// A byte string of exactly `N` bytes.
    pub fn array_of<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(field, N..=N)?;
        bytes.try_into().map_err(|_| self.error(field, Rule::Length { min: N, max: N }))
    }

    /// A text string whose length in bytes is in `allowed`.
    pub fn text(
        &mut self,
        field: &'static str,
        allowed: RangeInclusive<usize>,
    ) -> Result<&'a str, DecodeError> {
        let bytes = self.string(field, TEXT, &allowed)?;
        core::str::from_utf8(bytes).map_err(|_| self.error(field, Rule::NotUtf8))
    }

    /// The text that names the type and version of the record.
    pub fn record_type(&mut self, expected: &'static str) -> Result<(), DecodeError> {
        let found = self.text("type", 0..=64)?;
        if found == expected { Ok(()) } else { Err(self.error("type", Rule::WrongRecord)) }
    }

    /// Checks that no bytes follow.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("end", Rule::Trailing)) }
    }

    /// An error about this structure.
    pub fn error(&self, field: &'static str, rule: Rule) -> DecodeError {
        DecodeError { structure: self.structure, field, rule }
    }

    fn string(
        &mut self,
        field: &'static str,
        major: u8,
        allowed: &RangeInclusive<usize>,
    ) -> Result<&'a [u8], DecodeError> {
        let n = self.head(field, major)?;
        let n = self.length(field, n, allowed)?;
        self.take(field, n)
    }

    fn length(
        &self,
        field: &'static str,
        n: u64,
        allowed: &RangeInclusive<usize>,
    ) -> Result<usize, DecodeError> {
        let n = usize::try_from(n).ok().filter(|n| allowed.contains(n));
        n.ok_or_else(|| self.error(field, Rule::Length { min: *allowed.start(), max: *allowed.end() }))
    }

    fn take(&mut self, field: &'static str, n: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.rest.split_at_checked(n).ok_or_else(|| self.error(field, Rule::Truncated))?;
        self.rest = rest;
        Ok(taken)
    }

    fn head(&mut self, field: &'static str, major: u8) -> Result<u64, DecodeError> {
        let &[first] = self.take(field, 1)? else {
            return Err(self.error(field, Rule::Truncated));
        };
        if first >> 5 != major {
            return Err(self.error(field, Rule::WrongType));
        }
        let (size, least) = match first & 0x1f {
            small @ 0..=23 => return Ok(u64::from(small)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(self.error(field, Rule::NotDeterministic)),
        };
        let value = self.take(field, size)?.iter().fold(0u64, |acc, b| acc << 8 | u64::from(*b));
        if value < least {
            return Err(self.error(field, Rule::NotDeterministic));
        }
        Ok(value)
    }
}

/// A map that is being read. Its keys must be exactly 0, 1, 2, ….
pub struct Map {
    left: u64,
    next: u64,
}

impl Map {
    /// Reads the next key, which must be the key of `field`.
    pub fn key(&mut self, reader: &mut Reader<'_>, field: &'static str) -> Result<(), DecodeError> {
        if self.left == 0 {
            return Err(reader.error(field, Rule::Missing));
        }
        let found = reader.head(field, UINT)?;
        match found.cmp(&self.next) {
            core::cmp::Ordering::Less => {
                return Err(reader.error(field, Rule::DuplicateOrUnordered(found)));
            }
            core::cmp::Ordering::Greater => return Err(reader.error(field, Rule::Missing)),
            core::cmp::Ordering::Equal => {}
        }
        self.left -= 1;
        self.next += 1;
        Ok(())
    }

    /// Checks that the map has no further entries.
    pub fn end(self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if self.left == 0 {
            return Ok(());
        }
        let found = reader.head("map", UINT)?;
        let rule = if found < self.next { Rule::DuplicateOrUnordered(found) } else { Rule::Unknown(found) };
        Err(reader.error("map", rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads_are_shortest_form_only() {
        for (bytes, rule) in [
            (&[0x18, 0x17][..], Rule::NotDeterministic),
            (&[0x19, 0, 0xff], Rule::NotDeterministic),
            (&[0x1a, 0, 0, 0xff, 0xff], Rule::NotDeterministic),
            (&[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], Rule::NotDeterministic),
            (&[0x1f], Rule::NotDeterministic),
            (&[0x1c], Rule::NotDeterministic),
            (&[0x20], Rule::WrongType),
            (&[0x18], Rule::Truncated),
            (&[], Rule::Truncated),
        ] {
            let error = Reader::new("test", bytes).uint("n").unwrap_err();
            assert_eq!(error, DecodeError { structure: "test", field: "n", rule });
        }
    }

    #[test]
    fn a_claimed_length_is_checked_before_it_is_used() {
        let huge = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let error = Reader::new("test", &huge).bytes("b", 0..=64).unwrap_err();
        assert_eq!(error.rule, Rule::Length { min: 0, max: 64 });
        let cut = [0x43, 1, 2];
        assert_eq!(Reader::new("test", &cut).bytes("b", 0..=64).unwrap_err().rule, Rule::Truncated);
    }

    #[test]
    fn maps_are_complete_ordered_and_closed() {
        let read = |bytes: &[u8]| {
            let mut r = Reader::new("test", bytes);
            let mut m = r.map("map")?;
            m.key(&mut r, "a")?;
            r.uint("a")?;
            m.key(&mut r, "b")?;
            r.uint("b")?;
            m.end(&mut r)?;
            r.end()
        };
        assert_eq!(read(&[0xa2, 0, 7, 1, 8]), Ok(()));
        let rule = |bytes: &[u8]| read(bytes).unwrap_err().rule;
        assert_eq!(rule(&[0xa1, 0, 7]), Rule::Missing);
        assert_eq!(rule(&[0xa2, 0, 7, 2, 8]), Rule::Missing);
        assert_eq!(rule(&[0xa2, 0, 7, 0, 8]), Rule::DuplicateOrUnordered(0));
        assert_eq!(rule(&[0xa3, 0, 7, 1, 8, 1, 9]), Rule::DuplicateOrUnordered(1));
        assert_eq!(rule(&[0xa3, 0, 7, 1, 8, 2, 9]), Rule::Unknown(2));
        assert_eq!(rule(&[0xa2, 0, 7, 1, 8, 0]), Rule::Trailing);
        assert_eq!(rule(&[0xbf, 0, 7, 1, 8, 0xff]), Rule::NotDeterministic);
    }

    proptest! {
        #[test]
        fn numbers_survive(n: u64) {
            let bytes = Writer::default().uint(n).finish();
            let mut reader = Reader::new("test", &bytes);
            prop_assert_eq!(reader.uint("n").unwrap(), n);
            prop_assert!(reader.end().is_ok());
        }
    }
}
