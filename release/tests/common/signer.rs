//! Signers of images: certificates and signature sections of any shape, implemented from the formats'
//! descriptions.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; no test uses all"
)]

use base64ct::{Base64, Encoding};
use ciborium::Value;
use ok2cry_release::measure::Pcr;
use p384::ecdsa::signature::Signer as _;

/// A key on one of the curves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

/// A signer: its key and the content of its certificate.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) curve: Curve,
    /// The seed of the key.
    pub(crate) seed: u8,
    pub(crate) subject: &'static str,
    /// `UTCTime`.
    pub(crate) not_before: &'static str,
    pub(crate) not_after: &'static str,
}

/// 2026-01-01 to 2027-01-01.
pub(crate) const SIGNER: Signer = Signer {
    curve: Curve::P384,
    seed: 7,
    subject: "signer of images",
    not_before: "260101000000Z",
    not_after: "270101000000Z",
};
/// A time within the validity: 2026-07-01.
pub(crate) const VALID_MS: u64 = 1_782_864_000_000;

/// The same with a validity that includes the present.
pub(crate) const LASTING: Signer =
    Signer { not_before: "200101000000Z", not_after: "491231235959Z", ..SIGNER };

impl Signer {
    fn scalar(&self) -> Vec<u8> {
        match self.curve {
            Curve::P256 => vec![self.seed; 32],
            Curve::P384 => vec![self.seed; 48],
            Curve::P521 => [vec![0], vec![self.seed; 65]].concat(),
        }
    }

    fn point(&self) -> Vec<u8> {
        let scalar = self.scalar();
        match self.curve {
            Curve::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&scalar).unwrap();
                key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
            }
            Curve::P384 => {
                let key = p384::ecdsa::SigningKey::from_slice(&scalar).unwrap();
                key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
            }
            Curve::P521 => {
                let key = p521::ecdsa::SigningKey::from_slice(&scalar).unwrap();
                key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
            }
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let scalar = self.scalar();
        match self.curve {
            Curve::P256 => {
                let signature: p256::ecdsa::Signature =
                    p256::ecdsa::SigningKey::from_slice(&scalar).unwrap().sign(message);
                signature.to_bytes().to_vec()
            }
            Curve::P384 => {
                let signature: p384::ecdsa::Signature =
                    p384::ecdsa::SigningKey::from_slice(&scalar).unwrap().sign(message);
                signature.to_bytes().to_vec()
            }
            Curve::P521 => {
                let signature: p521::ecdsa::Signature =
                    p521::ecdsa::SigningKey::from_slice(&scalar).unwrap().sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }

    pub(crate) fn protected(&self) -> Vec<u8> {
        match self.curve {
            Curve::P256 => vec![0xa1, 0x01, 0x26],
            Curve::P384 => vec![0xa1, 0x01, 0x38, 0x22],
            Curve::P521 => vec![0xa1, 0x01, 0x38, 0x23],
        }
    }

    fn curve_oid(&self) -> &'static [u8] {
        match self.curve {
            Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Curve::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Curve::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    /// An X.509 certificate, DER. Its own signature is invalid, which is never checked.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        let ec =
            [&tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01])[..], &tlv(6, self.curve_oid())].concat();
        self.certificate_with_key(&ec, &self.point())
    }

    pub(crate) fn certificate_with_key(&self, algorithm: &[u8], key: &[u8]) -> Vec<u8> {
        let name = |text: &str| {
            let cn = [&tlv(6, &[0x55, 0x04, 0x03])[..], &tlv(0x0c, text.as_bytes())].concat();
            tlv(0x30, &tlv(0x31, &tlv(0x30, &cn)))
        };
        let ecdsa_sha384 = tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]));
        let validity = [tlv(0x17, self.not_before.as_bytes()), tlv(0x17, self.not_after.as_bytes())].concat();
        let key = [tlv(0x30, algorithm), tlv(3, &[&[0], key].concat())].concat();
        let tbs = [
            tlv(0xa0, &tlv(2, &[2])),
            tlv(2, &[1]),
            ecdsa_sha384.clone(),
            name("issuer of signers"),
            tlv(0x30, &validity),
            name(self.subject),
            tlv(0x30, &key),
        ];
        let signature = tlv(3, &[&[0][..], &[1; 70]].concat());
        tlv(0x30, &[tlv(0x30, &tbs.concat()), ecdsa_sha384, signature].concat())
    }

    /// The signature section of an image with this PCR0.
    pub(crate) fn section(&self, pcr0: &Pcr) -> Vec<u8> {
        section(&pem(&self.certificate()), &self.cose(&payload(0, &pcr0.0)))
    }

    /// A `COSE_Sign1` of the payload.
    pub(crate) fn cose(&self, payload: &[u8]) -> Vec<u8> {
        let signature = self.sign(&to_be_signed(&self.protected(), payload));
        cose(&self.protected(), payload, &signature)
    }
}

/// PEM of a certificate.
pub(crate) fn pem(der: &[u8]) -> Vec<u8> {
    let block = Base64::encode_string(der);
    format!("-----BEGIN CERTIFICATE-----\n{block}\n-----END CERTIFICATE-----\n").into_bytes()
}

pub(crate) fn payload(index: i64, value: &[u8]) -> Vec<u8> {
    cbor(&Value::Map(vec![
        (Value::Text("register_index".into()), Value::from(index)),
        (Value::Text("register_value".into()), numbers(value)),
    ]))
}

pub(crate) fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let parts = [protected, &[], payload].map(|bytes| Value::Bytes(bytes.to_vec()));
    cbor(&Value::Array([vec![Value::Text("Signature1".into())], parts.to_vec()].concat()))
}

pub(crate) fn cose(protected: &[u8], payload: &[u8], signature: &[u8]) -> Vec<u8> {
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    cbor(&Value::Array(vec![bytes(protected), Value::Map(vec![]), bytes(payload), bytes(signature)]))
}

pub(crate) fn section(pem: &[u8], cose: &[u8]) -> Vec<u8> {
    cbor(&Value::Array(vec![signature(pem, cose)]))
}

pub(crate) fn signature(pem: &[u8], cose: &[u8]) -> Value {
    Value::Map(vec![
        (Value::Text("signing_certificate".into()), numbers(pem)),
        (Value::Text("signature".into()), numbers(cose)),
    ])
}

pub(crate) fn numbers(bytes: &[u8]) -> Value {
    Value::Array(bytes.iter().map(|byte| Value::from(*byte)).collect())
}

pub(crate) fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// DER: a tag, the length, the content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let header = match len {
        0..=127 => vec![tag, u8::try_from(len).unwrap()],
        128..=255 => vec![tag, 0x81, u8::try_from(len).unwrap()],
        _ => [&[tag, 0x82][..], &u16::try_from(len).unwrap().to_be_bytes()].concat(),
    };
    [&header[..], content].concat()
}
