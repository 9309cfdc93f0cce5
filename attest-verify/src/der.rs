//! A strict, borrowed DER reader (X.690) for certificates: low tag numbers, definite and shortest lengths, no
//! recursion.

use crate::error::CertificateFault;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const CONTEXT_0: u8 = 0xa0;
pub(crate) const CONTEXT_3: u8 = 0xa3;

/// Reads the elements of one structure; `part` names it in errors.
#[derive(Clone)]
pub(crate) struct DerReader<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> DerReader<'a> {
    pub(crate) fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { rest: bytes, part }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn finish(self) -> Result<(), CertificateFault> {
        if self.rest.is_empty() { Ok(()) } else { Err(CertificateFault::TrailingBytes { part: self.part }) }
    }

    /// The contents of the next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], CertificateFault> {
        match self.element()? {
            (found, value) if found == tag => Ok(value),
            _ => Err(self.malformed()),
        }
    }

    /// A reader over the contents of the next element, which must have this tag.
    pub(crate) fn nested(&mut self, tag: u8, part: &'static str) -> Result<Self, CertificateFault> {
        match self.element()? {
            (found, value) if found == tag => Ok(Self::new(value, part)),
            _ => Err(CertificateFault::Malformed { part }),
        }
    }

    /// Tag and contents of the next element.
    pub(crate) fn element(&mut self) -> Result<(u8, &'a [u8]), CertificateFault> {
        let malformed = self.malformed();
        let (&tag, rest) = self.rest.split_first().ok_or(malformed.clone())?;
        // 0x1f begins a tag number of several bytes, which X.509 does not use. 0x00 ends an indefinite length
        // of BER.
        if tag & 0x1f == 0x1f || tag == 0 {
            return Err(malformed);
        }
        let (&first, rest) = rest.split_first().ok_or(malformed.clone())?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => match rest.split_first() {
                Some((&len @ 0x80..=0xff, rest)) => (usize::from(len), rest),
                _ => return Err(malformed),
            },
            0x82 => match rest.split_first_chunk::<2>() {
                Some((len @ [1..=0xff, _], rest)) => (usize::from(u16::from_be_bytes(*len)), rest),
                _ => return Err(malformed),
            },
            // Indefinite, or longer than a certificate may be (1,024 bytes).
            _ => return Err(malformed),
        };
        let (value, rest) = rest.split_at_checked(len).ok_or(malformed)?;
        self.rest = rest;
        Ok((tag, value))
    }

    /// The next element with its header bytes.
    pub(crate) fn whole(&mut self, tag: u8) -> Result<&'a [u8], CertificateFault> {
        let before = self.rest;
        self.expect(tag)?;
        let len = before.len().saturating_sub(self.rest.len());
        before.get(..len).ok_or_else(|| self.malformed())
    }

    /// An INTEGER in its shortest form, as two's-complement bytes.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], CertificateFault> {
        let value = self.expect(INTEGER)?;
        match value {
            [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(self.malformed()),
            value => Ok(value),
        }
    }

    /// A non-negative INTEGER, without its leading zero.
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], CertificateFault> {
        match self.integer()? {
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            [0x80..=0xff, ..] => Err(self.malformed()),
            value => Ok(value),
        }
    }

    /// Whether a BOOLEAN follows, which must be TRUE. FALSE is the DEFAULT in certificates, and DER omits
    /// defaults.
    pub(crate) fn optional_true(&mut self) -> Result<bool, CertificateFault> {
        if self.peek_tag() != Some(BOOLEAN) {
            return Ok(false);
        }
        match self.expect(BOOLEAN)? {
            [0xff] => Ok(true),
            _ => Err(self.malformed()),
        }
    }

    /// A BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], CertificateFault> {
        match self.expect(BIT_STRING)? {
            [0, value @ ..] => Ok(value),
            _ => Err(self.malformed()),
        }
    }

    pub(crate) fn malformed(&self) -> CertificateFault {
        CertificateFault::Malformed { part: self.part }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(bytes: &[u8]) -> Result<(u8, &[u8]), CertificateFault> {
        DerReader::new(bytes, "test").element()
    }

    #[test]
    fn lengths_are_definite_and_shortest() {
        assert_eq!(element(&[0x04, 0x01, 0xaa]), Ok((0x04, &[0xaa][..])));
        let long = [&[0x04, 0x81, 0x80][..], &[0; 0x80]].concat();
        assert!(element(&long).is_ok());
        for bytes in [
            &[0x04][..],
            &[0x04, 0x02, 0xaa],
            &[0x30, 0x80, 0, 0],
            &[0x04, 0x81, 0x01, 0xaa],
            &[0x04, 0x82, 0x00, 0x01, 0xaa],
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x1f, 0x01, 0xaa],
            &[0x00, 0x00],
        ] {
            assert_eq!(element(bytes), Err(CertificateFault::Malformed { part: "test" }), "{bytes:02x?}");
        }
    }

    #[test]
    fn integers_are_shortest_and_booleans_are_true() {
        for bytes in [&[0x02, 0x00][..], &[0x02, 0x02, 0x00, 0x7f], &[0x02, 0x02, 0xff, 0x80]] {
            assert!(DerReader::new(bytes, "test").integer().is_err(), "{bytes:02x?}");
        }
        assert_eq!(DerReader::new(&[0x02, 0x02, 0x00, 0x80], "test").unsigned(), Ok(&[0x80][..]));
        assert!(DerReader::new(&[0x02, 0x01, 0x80], "test").unsigned().is_err());
        assert_eq!(DerReader::new(&[0x01, 0x01, 0xff], "test").optional_true(), Ok(true));
        for value in [0x00, 0x01] {
            assert!(DerReader::new(&[0x01, 0x01, value], "test").optional_true().is_err());
        }
    }
}
