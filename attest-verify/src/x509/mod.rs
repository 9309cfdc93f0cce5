//! One certificate by itself: strict DER, version 3, P-384 and ecdsa-with-SHA384 (RFC 5280 §4.1).
//!
//! `rustls-webpki` parses the same bytes again when it validates the path. This module checks what it leaves
//! to its callers: key usage, the algorithms, the exact encoding, and the fields of reports. [`crate::chain`]
//! checks how certificates relate to each other.

mod extensions;
mod name;
mod time;

use std::fmt;

use pki_types::alg_id;

use self::extensions::Extensions;
use crate::cose::SIGNATURE_LEN;
use crate::der::{self, DerReader};
use crate::error::CertificateFault;

/// Length of an uncompressed P-384 point in bytes (SEC 1 §2.3.3).
pub(crate) const POINT_LEN: usize = 97;

/// One certificate of a verified chain, for reports and logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate<'a> {
    der: &'a [u8],
    tbs: &'a [u8],
    signature: [u8; SIGNATURE_LEN],
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    not_before_ms: u64,
    not_after_ms: u64,
    key: &'a [u8; POINT_LEN],
    extensions: Extensions,
}

impl<'a> Certificate<'a> {
    /// The whole certificate as DER.
    #[must_use]
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The serial number: big-endian, two's complement, as in its INTEGER.
    #[must_use]
    pub fn serial(&self) -> &'a [u8] {
        self.serial
    }

    /// The subject, one `type=value` per attribute in the order of the certificate. For people, not for
    /// parsing.
    #[must_use]
    pub fn subject(&self) -> String {
        name::display(self.subject)
    }

    /// The last commonName of the subject. A leaf's is `<module_id>.<region>.aws`.
    #[must_use]
    pub fn common_name(&self) -> Option<&'a str> {
        name::common_name(self.subject)
    }

    /// When the validity begins, in Unix milliseconds.
    #[must_use]
    pub fn not_before_ms(&self) -> u64 {
        self.not_before_ms
    }

    /// When the validity ends, in Unix milliseconds, inclusive.
    #[must_use]
    pub fn not_after_ms(&self) -> u64 {
        self.not_after_ms
    }

    pub(crate) fn from_der(der: &'a [u8]) -> Result<Self, CertificateFault> {
        let mut outer = DerReader::new(der, "the certificate");
        let mut certificate = outer.nested(der::SEQUENCE, "the certificate")?;
        outer.finish()?;

        let mut signed = certificate.clone();
        let mut tbs = certificate.nested(der::SEQUENCE, "tbsCertificate")?;
        let signed = signed.whole(der::SEQUENCE)?;
        signature_algorithm(&mut certificate)?;
        let signature = signature_value(certificate.bit_string()?)?;
        certificate.finish()?;

        version(&mut tbs)?;
        let serial = tbs.integer()?;
        signature_algorithm(&mut tbs)?;
        let issuer = name::read(&mut tbs, "issuer")?;
        let (not_before_ms, not_after_ms) = validity(&mut tbs)?;
        let subject = name::read(&mut tbs, "subject")?;
        let key = public_key(&mut tbs)?;
        // The obsolete unique identifiers ([1], [2]) are refused: [3] is expected.
        let extensions = match tbs.is_empty() {
            true => Extensions::default(),
            false => Extensions::read(&mut tbs)?,
        };
        tbs.finish()?;
        Ok(Self {
            der,
            tbs: signed,
            signature,
            serial,
            issuer,
            subject,
            not_before_ms,
            not_after_ms,
            key,
            extensions,
        })
    }

    /// The issuer's name as encoded. Names are compared byte for byte, which is stricter than RFC 5280 §7.1.
    pub(crate) fn issuer_der(&self) -> &'a [u8] {
        self.issuer
    }

    pub(crate) fn subject_der(&self) -> &'a [u8] {
        self.subject
    }

    pub(crate) fn key(&self) -> &'a [u8; POINT_LEN] {
        self.key
    }

    /// The bytes that the issuer signed: tbsCertificate, header included.
    pub(crate) fn tbs(&self) -> &'a [u8] {
        self.tbs
    }

    /// r and s, 48 bytes each.
    pub(crate) fn signature(&self) -> &[u8; SIGNATURE_LEN] {
        &self.signature
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

impl fmt::Debug for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject())
            .field("not_before_ms", &self.not_before_ms)
            .field("not_after_ms", &self.not_after_ms)
            .finish_non_exhaustive()
    }
}

fn version(tbs: &mut DerReader<'_>) -> Result<(), CertificateFault> {
    // Version 1 omits the field.
    if tbs.peek_tag() != Some(der::CONTEXT_0) {
        return Err(CertificateFault::Version);
    }
    let mut version = tbs.nested(der::CONTEXT_0, "version")?;
    match version.integer()? {
        [2] => version.finish(),
        _ => Err(CertificateFault::Version),
    }
}

fn signature_algorithm(reader: &mut DerReader<'_>) -> Result<(), CertificateFault> {
    match reader.expect(der::SEQUENCE)? == alg_id::ECDSA_SHA384.as_ref() {
        true => Ok(()),
        false => Err(CertificateFault::SignatureAlgorithm),
    }
}

/// Reads two positive integers of at most 48 bytes (RFC 3279 §2.2.3) and nothing else, so that one signature
/// has one encoding. Returns r and s, each padded with leading zeros.
pub(crate) fn signature_value(bytes: &[u8]) -> Result<[u8; SIGNATURE_LEN], CertificateFault> {
    let part = "signatureValue";
    let mut outer = DerReader::new(bytes, part);
    let mut signature = outer.nested(der::SEQUENCE, part)?;
    outer.finish()?;
    let mut fixed = [0; SIGNATURE_LEN];
    for half in fixed.chunks_exact_mut(SIGNATURE_LEN / 2) {
        let value = match signature.unsigned()? {
            [0] => return Err(signature.malformed()),
            value => value,
        };
        let start = half.len().checked_sub(value.len()).ok_or_else(|| signature.malformed())?;
        half.iter_mut().skip(start).zip(value).for_each(|(to, from)| *to = *from);
    }
    signature.finish()?;
    Ok(fixed)
}

fn validity(tbs: &mut DerReader<'_>) -> Result<(u64, u64), CertificateFault> {
    let mut validity = tbs.nested(der::SEQUENCE, "validity")?;
    let not_before_ms = time::read(&mut validity)?;
    let not_after_ms = time::read(&mut validity)?;
    validity.finish()?;
    if not_after_ms < not_before_ms {
        return Err(CertificateFault::Validity);
    }
    Ok((not_before_ms, not_after_ms))
}

fn public_key<'a>(tbs: &mut DerReader<'a>) -> Result<&'a [u8; POINT_LEN], CertificateFault> {
    let mut spki = tbs.nested(der::SEQUENCE, "subjectPublicKeyInfo")?;
    if spki.expect(der::SEQUENCE)? != alg_id::ECDSA_P384.as_ref() {
        return Err(CertificateFault::Key);
    }
    let key = spki.bit_string()?;
    spki.finish()?;
    match <&[u8; POINT_LEN]>::try_from(key) {
        Ok(key @ [4, ..]) => Ok(key),
        _ => Err(CertificateFault::Key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_one_encoding() {
        let mut expected = [0; SIGNATURE_LEN];
        (expected[47], expected[95]) = (1, 0x80);
        assert_eq!(signature_value(&[0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]), Ok(expected));
        let longest = [&[0x30, 0x66][..], &[2, 0x31, 0], &[0xff; 48], &[2, 0x31, 0], &[0xff; 48]].concat();
        assert_eq!(signature_value(&longest), Ok([0xff; SIGNATURE_LEN]));
        let too_long = [&[0x30, 0x36][..], &[2, 0x31, 1], &[0xff; 48], &[2, 1, 1]].concat();
        for bytes in [
            &[0x30, 6, 2, 1, 0, 2, 1, 1][..],
            &[0x30, 6, 2, 1, 1, 2, 1, 0],
            &[0x30, 6, 2, 1, 1, 2, 1, 0x80],
            &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0],
            &[0x30, 6, 2, 1, 1, 2, 1, 1, 0],
            &[0x30, 8, 2, 1, 1, 2, 1, 1, 5, 0],
            &[0x30, 3, 2, 1, 1],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 5, 2, 0, 2, 1, 1],
            &[],
            &too_long,
        ] {
            assert!(signature_value(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
