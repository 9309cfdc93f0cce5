//! The envelope: `COSE_Sign1` (RFC 9052 §4.2) in the form that the Nitro Secure Module writes.

use crate::cbor::CborReader;
use crate::error::{CoseFault, Error, Field};

/// The longest document that is read, in bytes. The module's own limit for a response is 12,288; the longest
/// payload that AWS allows gives 16,493.
pub const MAX_DOCUMENT_LEN: usize = 32 * 1024;

/// The longest payload, in bytes (AWS, "Verifying the root of trust", CDDL of the envelope).
pub(crate) const MAX_PAYLOAD_LEN: usize = 16 * 1024;

/// Length of an ES384 signature: r and s, 48 bytes each (RFC 9053 §2.1).
pub(crate) const SIGNATURE_LEN: usize = 96;

const TAG_SIGN1: u64 = 18;

/// `{1: -35}`: alg is ES384, and the only parameter.
const PROTECTED_ES384: &[u8] = &[0xa1, 0x01, 0x38, 0x22];

/// The variable parts of the envelope: its headers are fixed.
#[derive(Clone, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
}

impl<'a> Envelope<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_DOCUMENT_LEN {
            return Err(Error::Cose(CoseFault::DocumentTooLarge { len: bytes.len() }));
        }
        let mut reader = CborReader::new(bytes);
        match reader.optional_tag(Field::CoseSign1)? {
            None => {}
            Some(TAG_SIGN1) if reader.optional_tag(Field::CoseSign1)?.is_none() => {}
            Some(_) => return Err(Error::Cose(CoseFault::Tag)),
        }
        match reader.array(Field::CoseSign1)? {
            4 => {}
            count => return Err(Error::Cose(CoseFault::ElementCount { count })),
        }
        let protected = reader.bytes(Field::ProtectedHeader)?;
        if protected != PROTECTED_ES384 {
            let found = protected.iter().take(16).copied().collect();
            return Err(Error::Cose(CoseFault::ProtectedHeader { found }));
        }
        // The signature does not cover this map, so any content would be unauthenticated.
        match reader.map(Field::UnprotectedHeader)? {
            0 => {}
            count => return Err(Error::Cose(CoseFault::UnprotectedHeader { count })),
        }
        let payload = reader.bytes(Field::Payload)?;
        if payload.is_empty() || payload.len() > MAX_PAYLOAD_LEN {
            return Err(Error::Cose(CoseFault::PayloadLength { len: payload.len() }));
        }
        let signature = reader.bytes(Field::Signature)?;
        let signature = <&[u8; SIGNATURE_LEN]>::try_from(signature)
            .map_err(|_| Error::Cose(CoseFault::SignatureLength { len: signature.len() }))?;
        reader.finish(Field::CoseSign1)?;
        Ok(Self { payload, signature })
    }

    /// The bytes that the signature covers: `["Signature1", protected, h'', payload]` (RFC 9052 §4.4).
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len().saturating_add(24));
        out.extend_from_slice(b"\x84\x6aSignature1\x44");
        out.extend_from_slice(PROTECTED_ES384);
        out.push(0x40);
        // decode() refuses payloads of more than 16,384 bytes, so two bytes of length are enough.
        match u16::try_from(self.payload.len()).unwrap_or(u16::MAX).to_be_bytes() {
            [0, len @ 0..=23] => out.push(0x40 | len),
            [0, len] => out.extend_from_slice(&[0x58, len]),
            [high, low] => out.extend_from_slice(&[0x59, high, low]),
        }
        out.extend_from_slice(self.payload);
        out
    }
}
