//! The signature of an image: reads and verifies the signature section, and checks the certificate's
//! validity.
//!
//! The signature section is a CBOR array of one map, `signing_certificate` (PEM) and `signature`
//! (`COSE_Sign1`, RFC 9052 §4.2), each an array of small integers. The payload is `{"register_index": 0,
//! "register_value": PCR0}` (`PcrSignature` and `PcrInfo` in `aws-nitro-enclaves-image-format` 0.8.1). PCR8
//! measures the certificate and not the signature, and certificates are public, so a certificate alone proves
//! nothing. Here the signature must be by the certificate's key, over PCR0 of this image, as `nitro-cli
//! run-enclave` also requires.

use crate::{
    error::{Error, SignatureFault},
    measure::Pcr,
    moment,
};
use base64ct::{Base64, Encoding};
use ciborium::Value;
use ok2cry_attest_verify::CheckTime;
use serde::Deserialize;
use std::fmt;
use x509_cert::{
    Certificate,
    der::{Decode, Encode, asn1::ObjectIdentifier},
    name::Name,
};

/// The most certificates that a signing certificate's PEM may hold: the signer's and its issuers'.
pub const MAX_CHAIN: usize = 8;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const TAG_SIGN1: u64 = 18;

/// A well-formed signature section. [`ImageSignature::verify`] checks the signature.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSignature {
    certificate: SigningCertificate,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The certificate that signed an image.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningCertificate {
    der: Vec<u8>,
    subject: String,
    issuer: String,
    not_before_ms: u64,
    not_after_ms: u64,
    key: Key,
    issuers: usize,
}

impl ImageSignature {
    /// Reads a signature section.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`] with the rule that the section breaks.
    pub fn parse(section: &[u8]) -> Result<Self, Error> {
        let mut rest = section;
        let signatures: Vec<PcrSignature> =
            ciborium::from_reader(&mut rest).map_err(|_| SignatureFault::Cbor)?;
        if !rest.is_empty() {
            return Err(SignatureFault::Cbor.into());
        }
        let [signature] = signatures.as_slice() else { return Err(SignatureFault::Count.into()) };
        let certificate = SigningCertificate::from_pem(&signature.signing_certificate)?;
        let (payload, signature) = cose_sign1(&signature.signature, certificate.key.algorithm())?;
        Ok(Self { certificate, payload, signature })
    }

    /// Returns the certificate if its key has signed this PCR0. Does not check validity: see
    /// [`SigningCertificate::valid_at`].
    ///
    /// # Errors
    ///
    /// [`SignatureFault::Forged`], [`SignatureFault::OtherImage`] and [`SignatureFault::Payload`].
    pub fn verify(self, pcr0: &Pcr) -> Result<SigningCertificate, Error> {
        let signed = signed_bytes(self.certificate.key.algorithm(), &self.payload)?;
        if !self.certificate.key.verifies(&signed, &self.signature) {
            return Err(SignatureFault::Forged.into());
        }
        if payload_of(pcr0)? != self.payload {
            let mut rest = self.payload.as_slice();
            let said: Result<PcrInfo, _> = ciborium::from_reader(&mut rest);
            return Err(match said {
                Ok(said) if rest.is_empty() && said.register_index != 0 => {
                    SignatureFault::OtherRegister { index: said.register_index }
                }
                Ok(said) if rest.is_empty() && said.register_value != pcr0.0 => SignatureFault::OtherImage,
                _ => SignatureFault::Payload,
            }
            .into());
        }
        Ok(self.certificate)
    }
}

impl SigningCertificate {
    /// Reads PEM: the signer's certificate, optionally followed by its issuers'. Only the first signs and is
    /// measured, as by AWS's tools; the others are not checked. Text around the blocks is allowed, as in RFC
    /// 7468 §2.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`] with the rule that the file breaks.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let ders = certificates(pem)?;
        let mut read = Vec::with_capacity(ders.len());
        for (at, der) in ders.iter().enumerate() {
            let malformed = || SignatureFault::Certificate { number: at + 1 };
            let certificate = Certificate::from_der(der).map_err(|_| malformed())?;
            // One encoding only, because PCR8 measures it.
            if certificate.to_der().ok().as_ref() != Some(der) {
                return Err(malformed().into());
            }
            read.push(certificate);
        }
        let (Some(certificate), Some(der)) = (read.first(), ders.first()) else {
            return Err(SignatureFault::Pem.into());
        };
        let tbs = certificate.tbs_certificate();
        let ms = |time: x509_cert::time::Time| {
            u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX)
        };
        Ok(Self {
            der: der.clone(),
            subject: name(tbs.subject()),
            issuer: name(tbs.issuer()),
            not_before_ms: ms(tbs.validity().not_before),
            not_after_ms: ms(tbs.validity().not_after),
            key: Key::of(certificate)?,
            issuers: ders.len() - 1,
        })
    }

    /// Refuses a certificate that is not valid at `time`, because `nitro-cli` does not start such an image. A
    /// clock may be behind by [`CheckTime::leeway_ms`], never ahead.
    ///
    /// # Errors
    ///
    /// [`SignatureFault::NotYetValid`] and [`SignatureFault::Expired`].
    pub fn valid_at(&self, time: &CheckTime) -> Result<(), Error> {
        if time.now_ms.saturating_add(time.leeway_ms) < self.not_before_ms {
            let from = moment::shown(self.not_before_ms);
            return Err(SignatureFault::NotYetValid { from, at: moment::shown(time.now_ms) }.into());
        }
        // Both ends are in seconds, and the last second is valid.
        if time.now_ms > self.not_after_ms.saturating_add(999) {
            let until = moment::shown(self.not_after_ms);
            return Err(SignatureFault::Expired { until, at: moment::shown(time.now_ms) }.into());
        }
        Ok(())
    }

    /// The certificate as DER, which PCR8 measures.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's name, with terminal control characters escaped.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer's name, escaped likewise. The issuer is not checked.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The start of the validity, in Unix milliseconds.
    #[must_use]
    pub fn not_before_ms(&self) -> u64 {
        self.not_before_ms
    }

    /// The end of the validity, in Unix milliseconds.
    #[must_use]
    pub fn not_after_ms(&self) -> u64 {
        self.not_after_ms
    }

    /// `ES256`, `ES384` or `ES512` (RFC 9053 §2.1).
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.key.algorithm().name()
    }

    /// The number of certificates after the signer's own.
    #[must_use]
    pub fn issuers(&self) -> usize {
        self.issuers
    }
}

impl fmt::Debug for SigningCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningCertificate({}, {})", self.algorithm(), self.subject)
    }
}

impl fmt::Debug for ImageSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ImageSignature").field(&self.certificate).finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Es256,
    Es384,
    Es512,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
        }
    }

    /// The protected header `{1: alg}`, in the encoding that AWS's library writes.
    fn protected(self) -> &'static [u8] {
        match self {
            Self::Es256 => &[0xa1, 0x01, 0x26],
            Self::Es384 => &[0xa1, 0x01, 0x38, 0x22],
            Self::Es512 => &[0xa1, 0x01, 0x38, 0x23],
        }
    }
}

/// The public key of a certificate.
#[derive(Clone, PartialEq, Eq)]
enum Key {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

impl Key {
    fn of(certificate: &Certificate) -> Result<Self, SignatureFault> {
        let info = certificate.tbs_certificate().subject_public_key_info();
        let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
        let curve: Option<ObjectIdentifier> = curve.filter(|_| info.algorithm.oid == EC_PUBLIC_KEY);
        let point = info.subject_public_key.as_bytes().unwrap_or_default();
        let off_curve = |_| SignatureFault::Point;
        match curve.map(|oid| oid.to_string()).as_deref() {
            Some("1.2.840.10045.3.1.7") => {
                p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P256).map_err(off_curve)
            }
            Some("1.3.132.0.34") => {
                p384::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P384).map_err(off_curve)
            }
            Some("1.3.132.0.35") => {
                p521::ecdsa::VerifyingKey::from_sec1_bytes(point).map(Self::P521).map_err(off_curve)
            }
            Some(other) => Err(SignatureFault::KeyKind { found: format!("the curve {other}") }),
            None => Err(SignatureFault::KeyKind { found: format!("the algorithm {}", info.algorithm.oid) }),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::P384(_) => Algorithm::Es384,
            Self::P521(_) => Algorithm::Es512,
        }
    }

    /// Whether `signature` (r followed by s) is this key's signature over `message`.
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        use p384::ecdsa::signature::Verifier;
        match self {
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Self::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PcrSignature {
    signing_certificate: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PcrInfo {
    register_index: i64,
    register_value: Vec<u8>,
}

/// The payload and signature of a `COSE_Sign1`, tagged or not. Its headers must hold the key's algorithm and
/// nothing else.
fn cose_sign1(bytes: &[u8], algorithm: Algorithm) -> Result<(Vec<u8>, Vec<u8>), SignatureFault> {
    let refused = |rule| SignatureFault::Cose { rule };
    let mut rest = bytes;
    let value: Value =
        ciborium::from_reader(&mut rest).map_err(|_| refused("it must be a CBOR array of four"))?;
    if !rest.is_empty() {
        return Err(refused("no bytes may follow it"));
    }
    let value = match value {
        Value::Tag(TAG_SIGN1, value) => *value,
        Value::Tag(..) => return Err(refused("its tag must be 18")),
        value => value,
    };
    let parts: Option<[Value; 4]> = value.into_array().ok().and_then(|parts| parts.try_into().ok());
    let [protected, unprotected, payload, signature] =
        parts.ok_or_else(|| refused("it must be a CBOR array of four"))?;
    if protected.as_bytes().map(Vec::as_slice) != Some(algorithm.protected()) {
        return Err(SignatureFault::Algorithm { expected: algorithm.name() });
    }
    if unprotected.as_map().is_none_or(|map| !map.is_empty()) {
        return Err(refused("its unprotected header must be an empty map"));
    }
    let payload = payload.into_bytes().map_err(|_| refused("its payload must be a byte string"))?;
    let signature = signature.into_bytes().map_err(|_| refused("its signature must be a byte string"))?;
    Ok((payload, signature))
}

/// The signed bytes: `["Signature1", protected, h'', payload]` (RFC 9052 §4.4).
fn signed_bytes(algorithm: Algorithm, payload: &[u8]) -> Result<Vec<u8>, SignatureFault> {
    let parts = [algorithm.protected(), &[], payload].map(|bytes| Value::Bytes(bytes.to_vec()));
    encoded(&Value::Array([vec![Value::Text("Signature1".into())], parts.to_vec()].concat()))
}

/// `{"register_index": 0, "register_value": […]}`, in the encoding that AWS's tools compare with.
fn payload_of(pcr0: &Pcr) -> Result<Vec<u8>, SignatureFault> {
    let value = pcr0.0.iter().map(|byte| Value::from(*byte)).collect();
    encoded(&Value::Map(vec![
        (Value::Text("register_index".into()), Value::from(0)),
        (Value::Text("register_value".into()), Value::Array(value)),
    ]))
}

fn encoded(value: &Value) -> Result<Vec<u8>, SignatureFault> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|_| SignatureFault::Cbor)?;
    Ok(bytes)
}

/// The DER of every block of a PEM file. Each must be a certificate, because the whole file becomes part of
/// the image.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, SignatureFault> {
    let mut rest = std::str::from_utf8(pem).map_err(|_| SignatureFault::Pem)?;
    let mut ders = Vec::new();
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, block) = after.split_once("-----").ok_or(SignatureFault::Pem)?;
        if label != "CERTIFICATE" {
            let found = label.chars().take(40).flat_map(char::escape_default).collect();
            return Err(SignatureFault::Label { found });
        }
        let (base64, after) = block.split_once("-----END CERTIFICATE-----").ok_or(SignatureFault::Pem)?;
        let base64: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        ders.push(Base64::decode_vec(&base64).map_err(|_| SignatureFault::Pem)?);
        if ders.len() > MAX_CHAIN {
            return Err(SignatureFault::ChainLength);
        }
        rest = after;
    }
    if ders.is_empty() { Err(SignatureFault::Pem) } else { Ok(ders) }
}

/// A name in RFC 4514's form. Everything except letters, digits and printable ASCII is escaped.
fn name(name: &Name) -> String {
    let shown = |c: char| c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic();
    let text = name.to_string();
    let escaped = text.chars().map(|c| if shown(c) { c.to_string() } else { c.escape_unicode().to_string() });
    escaped.collect()
}
