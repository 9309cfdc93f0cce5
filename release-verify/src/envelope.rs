//! DSSE envelopes: a payload, its type, and signatures over both.

use base64ct::{Base64, Base64Url, Encoding};
use p384::ecdsa::DerSignature;
use p384::ecdsa::signature::Verifier;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::fault::ReleaseFault;
use crate::json;
use crate::key::{KeyIds, MAX_KEYS, Role};

/// The longest envelope that is read, in bytes. Envelopes are log entries, whose length has 16 bits.
pub const MAX_ENVELOPE_LEN: usize = 0xffff;
/// The most signatures of an envelope: two roles, because a root document that replaces its keys is signed by
/// old and new ones.
const MAX_SIGNATURES: usize = 2 * MAX_KEYS;

/// A DSSE envelope ([the specification](https://github.com/secure-systems-lab/dsse/blob/v1.0.0/envelope.md))
/// whose signatures are not verified yet: [`Envelope::verify`] returns the payload.
///
/// Unknown fields of the envelope are ignored, as the specification requires: no signature covers them. In
/// payloads they are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    /// The key to try. Only verification decides whether it signed.
    keyid: String,
    der: Vec<u8>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    payload_type: String,
    payload: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Deserialize, Serialize)]
struct JsonSignature {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// An envelope without signatures.
    #[must_use]
    pub fn new(payload_type: &str, payload: Vec<u8>) -> Self {
        Self { payload_type: payload_type.to_owned(), payload, signatures: Vec::new() }
    }

    /// Reads an envelope of at most [`MAX_ENVELOPE_LEN`] bytes. Errors call it `what`.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::TooLarge`], [`ReleaseFault::Json`] or [`ReleaseFault::Field`].
    pub fn decode(what: &'static str, bytes: &[u8]) -> Result<Self, Error> {
        let json: Json = json::read(what, bytes, MAX_ENVELOPE_LEN)?;
        let field = |field| ReleaseFault::Field { what, field, rule: "base64, standard or URL-safe, padded" };
        if json.signatures.len() > MAX_SIGNATURES {
            return Err(ReleaseFault::Field { what, field: "signatures", rule: "at most 32" }.into());
        }
        let signatures = json.signatures.into_iter().map(|signature| {
            let der = base64(&signature.sig).ok_or_else(|| field("sig"))?;
            Ok(Signature { keyid: signature.keyid, der })
        });
        Ok(Self {
            payload: base64(&json.payload).ok_or_else(|| field("payload"))?,
            payload_type: json.payload_type,
            signatures: signatures.collect::<Result<_, Error>>()?,
        })
    }

    /// Adds a signature over [`Envelope::signed_bytes`]: DER, by the key with this `keyid`.
    pub fn add_signature(&mut self, keyid: &str, der: Vec<u8>) {
        self.signatures.push(Signature { keyid: keyid.to_owned(), der });
    }

    /// The envelope as JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(&Json {
            payload_type: self.payload_type.clone(),
            payload: Base64::encode_string(&self.payload),
            signatures: self
                .signatures
                .iter()
                .map(|s| JsonSignature { keyid: s.keyid.clone(), sig: Base64::encode_string(&s.der) })
                .collect(),
        })
    }

    /// The keys that the signatures name. They are not verified.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.keyid.as_str())
    }

    /// The bytes that a signature covers: DSSE's pre-authentication encoding of type and payload.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let (kind, payload) = (&self.payload_type, &self.payload);
        let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes
    }

    /// The type of the payload, unverified.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The payload, unverified.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the payload, if it is of this type and enough distinct keys of `role` have signed it.
    /// Signatures that name other keys, or none, are skipped: other roles may have signed too.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::PayloadType`], and for signatures [`ReleaseFault::Signature`],
    /// [`ReleaseFault::Repeated`], [`ReleaseFault::KeyUnknown`] and [`ReleaseFault::BelowThreshold`].
    pub fn verify(&self, what: &'static str, payload_type: &str, role: &Role) -> Result<&[u8], Error> {
        if self.payload_type != payload_type {
            return Err(ReleaseFault::PayloadType { what, found: json::shown(&self.payload_type) }.into());
        }
        let message = self.signed_bytes();
        let mut signed = vec![false; role.keys().len()];
        for signature in &self.signatures {
            let Some(by) = signature.signer(what, &message, role)? else { continue };
            match signed.get_mut(by) {
                Some(done) if !*done => *done = true,
                _ => {
                    return Err(ReleaseFault::Repeated { what, key: KeyIds::new([&*signature.keyid]) }.into());
                }
            }
        }
        let (expected, named) = (|| role.key_ids(), || KeyIds::new(self.key_ids()));
        match (signed.iter().filter(|done| **done).count(), role.threshold()) {
            (0, _) => Err(ReleaseFault::KeyUnknown { what, expected: expected(), named: named() }.into()),
            (found, threshold) if found < threshold => {
                let (expected, named) = (expected(), named());
                Err(ReleaseFault::BelowThreshold { what, found, threshold, expected, named }.into())
            }
            _ => Ok(&self.payload),
        }
    }
}

impl Signature {
    /// The index of the role's key that made this signature; `None` if the signature names no key of the
    /// role. A name causes at most one verification, which bounds the work, and proves nothing.
    fn signer(&self, what: &'static str, message: &[u8], role: &Role) -> Result<Option<usize>, Error> {
        let Some(named) = role.keys().iter().position(|key| key.id() == self.keyid) else { return Ok(None) };
        let der = DerSignature::from_bytes(&self.der).ok();
        let verified =
            role.keys().get(named).zip(der).map(|(key, der)| key.verifying().verify(message, &der));
        match verified {
            Some(Ok(())) => Ok(Some(named)),
            _ => Err(ReleaseFault::Signature { what, key: KeyIds::new([&*self.keyid]) }.into()),
        }
    }
}

/// Decodes both alphabets, as DSSE requires of verifiers.
fn base64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).or_else(|_| Base64Url::decode_vec(text)).ok()
}
