//! The extensions that restrict a certificate: basicConstraints and keyUsage (RFC 5280 §4.2.1).

use crate::der::{self, DerReader};
use crate::error::CertificateFault;

/// 2.5.29.19
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// 2.5.29.15
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// Nitro's certificates have at most five. The bound keeps the search for duplicates cheap.
const MAX_EXTENSIONS: usize = 16;

/// The extensions of one certificate. Unknown extensions that are not critical are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// basicConstraints: if absent, the certificate is not a CA.
    pub(crate) is_ca: bool,
    /// pathLenConstraint, of CAs only.
    pub(crate) path_len: Option<u8>,
    /// keyUsage: if absent, nothing is allowed, which is stricter than RFC 5280 and required by AWS.
    pub(crate) key_usage: KeyUsage,
}

impl Extensions {
    pub(crate) fn read(tbs: &mut DerReader<'_>) -> Result<Self, CertificateFault> {
        let part = "extensions";
        let mut tagged = tbs.nested(der::CONTEXT_3, part)?;
        let mut list = tagged.nested(der::SEQUENCE, part)?;
        tagged.finish()?;
        if list.is_empty() {
            return Err(list.malformed());
        }

        let mut this = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        while !list.is_empty() {
            let mut extension = list.nested(der::SEQUENCE, part)?;
            let id = extension.expect(der::OID)?;
            let critical = extension.optional_true()?;
            let value = extension.expect(der::OCTET_STRING)?;
            extension.finish()?;
            if seen.contains(&id) {
                return Err(CertificateFault::DuplicateExtension);
            }
            if seen.len() >= MAX_EXTENSIONS {
                return Err(list.malformed());
            }
            seen.push(id);
            match id {
                BASIC_CONSTRAINTS => (this.is_ca, this.path_len) = basic_constraints(value)?,
                KEY_USAGE => this.key_usage = KeyUsage::read(value)?,
                _ if critical => return Err(CertificateFault::CriticalExtension),
                // Must be critical (RFC 5280 §4.2.1.10); here it is not.
                NAME_CONSTRAINTS => return Err(list.malformed()),
                // `webpki` parses the outer form of these in every certificate, so it is checked here as
                // well.
                SUBJECT_ALT_NAME | CRL_DISTRIBUTION_POINTS | EXTENDED_KEY_USAGE => {
                    let mut value = DerReader::new(value, part);
                    value.expect(der::SEQUENCE)?;
                    value.finish()?;
                }
                _ => {}
            }
        }
        Ok(this)
    }
}

/// The bits of keyUsage (RFC 5280 §4.2.1.3), the first one as the highest of the byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyUsage(u8);

impl KeyUsage {
    pub(crate) fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    pub(crate) fn key_cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    fn read(value: &[u8]) -> Result<Self, CertificateFault> {
        let mut reader = DerReader::new(value, "keyUsage");
        let bits = reader.expect(der::BIT_STRING)?;
        let malformed = reader.malformed();
        reader.finish()?;
        // Named bits: DER omits trailing zeros, so the last encoded bit is set (X.690 §11.2.2).
        match bits {
            [unused @ 0..=7, byte] if byte.trailing_zeros() == u32::from(*unused) => Ok(Self(*byte)),
            // decipherOnly, the ninth bit.
            [7, byte, 0x80] => Ok(Self(*byte)),
            _ => Err(malformed),
        }
    }
}

fn basic_constraints(value: &[u8]) -> Result<(bool, Option<u8>), CertificateFault> {
    let part = "basicConstraints";
    let mut outer = DerReader::new(value, part);
    let mut constraints = outer.nested(der::SEQUENCE, part)?;
    outer.finish()?;
    let is_ca = constraints.optional_true()?;
    // Only a CA can have a pathLenConstraint (RFC 5280 §4.2.1.9); elsewhere it is a trailing byte.
    let path_len = match is_ca && !constraints.is_empty() {
        true => match constraints.unsigned()? {
            [len] => Some(*len),
            _ => return Err(constraints.malformed()),
        },
        false => None,
    };
    constraints.finish()?;
    Ok((is_ca, path_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_usage_is_named_bits_in_der() {
        assert_eq!(KeyUsage::read(&[3, 2, 6, 0xc0]), Ok(KeyUsage(0xc0)));
        assert_eq!(KeyUsage::read(&[3, 2, 2, 0x04]), Ok(KeyUsage(0x04)));
        for value in [
            &[3, 2, 0, 0xc0][..],
            &[3, 1, 0],
            &[3, 2, 7, 0xc0],
            &[3, 2, 8, 0],
            &[3, 2, 0, 0],
            &[3, 2, 6, 0xc0, 0],
        ] {
            assert!(KeyUsage::read(value).is_err(), "{value:02x?}");
        }
    }

    #[test]
    fn basic_constraints_leave_defaults_out() {
        assert_eq!(basic_constraints(&[0x30, 0]), Ok((false, None)));
        assert_eq!(basic_constraints(&[0x30, 3, 1, 1, 0xff]), Ok((true, None)));
        assert_eq!(basic_constraints(&[0x30, 6, 1, 1, 0xff, 2, 1, 3]), Ok((true, Some(3))));
        for value in [
            &[0x30, 3, 1, 1, 0][..],
            &[0x30, 3, 2, 1, 0],
            &[0x30, 6, 1, 1, 0xff, 2, 1, 0xff],
            &[0x30, 7, 1, 1, 0xff, 2, 2, 1, 0],
            &[0x30, 0, 0],
        ] {
            assert!(basic_constraints(value).is_err(), "{value:02x?}");
        }
    }
}
