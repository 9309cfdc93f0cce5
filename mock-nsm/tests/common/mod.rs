//! Decodes documents and checks them with the libraries only, without the code under test.

// Each test crate uses some of this file. Tests may panic.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use coset::cbor::value::Value;
use coset::{CborSerializable, CoseSign1};
use ok2cry_enclave::platform::nsm::{AttestationRequest, Nsm};
use ok2cry_mock_nsm::{MockConfig, MockNsm, MockPki, TimeSource};
use p384::ecdsa::signature::Verifier;
use p384::ecdsa::{DerSignature, Signature, VerifyingKey};
use p384::pkcs8::DecodePublicKey;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

/// 2026-03-01T12:00:00Z and a bit, in milliseconds since the Unix epoch.
pub const NOW_MS: u64 = 1_772_366_400_123;

pub const HOUR_MS: i64 = 60 * 60 * 1000;

/// A module with its clock fixed at [`NOW_MS`].
pub fn module() -> MockNsm {
    module_with(MockConfig::default())
}

pub fn module_with(config: MockConfig) -> MockNsm {
    let config = MockConfig { time: TimeSource::Fixed { unix_ms: NOW_MS }, ..config };
    MockNsm::new(MockPki::generate(NOW_MS).unwrap(), config)
}

/// A document without optional fields.
pub fn attest(nsm: &mut MockNsm) -> DecodedDocument {
    DecodedDocument::decode(&nsm.attest(&AttestationRequest::default()).unwrap())
}

/// A decoded document.
pub struct DecodedDocument {
    pub cose: CoseSign1,
    pub keys: Vec<String>,
    pub fields: BTreeMap<String, Value>,
}

impl DecodedDocument {
    pub fn decode(bytes: &[u8]) -> Self {
        let cose = CoseSign1::from_slice(bytes).unwrap();
        let payload: Value = coset::cbor::from_reader(cose.payload.as_deref().unwrap()).unwrap();
        let entries = payload.into_map().unwrap();
        let entries: Vec<_> = entries.into_iter().map(|(k, v)| (k.into_text().unwrap(), v)).collect();
        let keys = entries.iter().map(|(key, _)| key.clone()).collect();
        Self { cose, keys, fields: entries.into_iter().collect() }
    }

    pub fn field(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap()
    }

    pub fn module_id(&self) -> &str {
        self.field("module_id").as_text().unwrap()
    }

    pub fn timestamp(&self) -> u64 {
        self.field("timestamp").as_integer().unwrap().try_into().unwrap()
    }

    /// Authorities from the root down, then the leaf.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        let bundle = self.field("cabundle").as_array().unwrap();
        bundle.iter().chain([self.field("certificate")]).map(|c| c.as_bytes().unwrap().clone()).collect()
    }

    pub fn certificates(&self) -> Vec<Certificate> {
        self.chain().iter().map(|der| Certificate::from_der(der).unwrap()).collect()
    }

    pub fn leaf(&self) -> Vec<u8> {
        self.chain().pop().unwrap()
    }

    /// Whether the root, names, signatures and validity at `now_ms` of all certificates are right.
    pub fn chains_to(&self, root: &[u8], now_ms: u64) -> bool {
        let now_s = now_ms / 1000;
        let certificates = self.certificates();
        let valid = certificates.iter().all(|certificate| {
            let validity = certificate.tbs_certificate().validity();
            let from = validity.not_before.to_unix_duration().as_secs();
            let to = validity.not_after.to_unix_duration().as_secs();
            (from..=to).contains(&now_s)
        });
        let linked = certificates.windows(2).all(|pair| match pair {
            [issuer, subject] => is_issued_by(subject, issuer),
            _ => false,
        });
        self.chain().first().is_some_and(|first| first == root) && valid && linked
    }

    /// Whether the leaf's key made the document's signature.
    pub fn is_signed(&self) -> bool {
        let certificates = self.certificates();
        let key = public_key(certificates.last().unwrap());
        self.cose
            .verify_signature(b"", |signature, signed| {
                key.verify(signed, &Signature::from_slice(signature).unwrap())
            })
            .is_ok()
    }
}

pub fn is_issued_by(subject: &Certificate, issuer: &Certificate) -> bool {
    let signed = subject.tbs_certificate().to_der().unwrap();
    let signature = DerSignature::from_bytes(subject.signature().raw_bytes()).unwrap();
    subject.tbs_certificate().issuer() == issuer.tbs_certificate().subject()
        && public_key(issuer).verify(&signed, &signature).is_ok()
}

fn public_key(certificate: &Certificate) -> VerifyingKey {
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().unwrap();
    VerifyingKey::from_public_key_der(&spki).unwrap()
}
