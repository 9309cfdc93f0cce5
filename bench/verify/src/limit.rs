//! The lower limit without a cache: the five signatures of a document.

use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED, UnparsedPublicKey, VerificationAlgorithm,
};
use ciborium::Value;
use ok2cry_attest_verify::Verifier;

use crate::document::Document;

pub struct Signed {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    pub fn verify(&self) {
        let key = UnparsedPublicKey::new(self.algorithm, &self.key);
        key.verify(&self.message, &self.signature).expect("a valid signature");
    }
}

/// All signatures of a document: those of its certificates without the root's, and its own.
pub fn signatures(document: &Document) -> Vec<Signed> {
    let verified =
        Verifier::new(document.root.clone()).verify_historical(&document.bytes).expect("a valid document");
    let chain: Vec<_> = verified.chain().map(|certificate| certificate.der().to_vec()).collect();
    let mut all: Vec<_> = chain
        .windows(2)
        .map(|pair| {
            let (message, signature) = parts(&pair[1]);
            Signed { algorithm: &ECDSA_P384_SHA384_ASN1, key: point(&pair[0]), message, signature }
        })
        .collect();
    let untagged = document.bytes.strip_prefix(&[0xd2]).unwrap_or(&document.bytes);
    let envelope: Value = ciborium::from_reader(untagged).expect("CBOR");
    let item =
        |index: usize| envelope.as_array().and_then(|items| items.get(index)).cloned().expect("an item");
    let bytes = |index: usize| item(index).into_bytes().expect("bytes");
    let signed = Value::Array(vec!["Signature1".into(), item(0), Value::Bytes(vec![]), item(2)]);
    let mut message = Vec::new();
    ciborium::into_writer(&signed, &mut message).expect("CBOR");
    let key = point(chain.last().expect("a leaf"));
    all.push(Signed { algorithm: &ECDSA_P384_SHA384_FIXED, key, message, signature: bytes(3) });
    assert_eq!(all.len(), 5);
    all
}

/// The signed part of a certificate and its signature.
fn parts(certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (contents, _) = element(certificate);
    let (_, after_tbs) = element(contents);
    let tbs = &contents[..contents.len() - after_tbs.len()];
    let (_, after_algorithm) = element(after_tbs);
    let (bits, _) = element(after_algorithm);
    (tbs.to_vec(), bits[1..].to_vec())
}

/// The uncompressed point after the curve's name.
fn point(certificate: &[u8]) -> Vec<u8> {
    const SECP384R1: &[u8] = &[0x06, 5, 0x2b, 0x81, 4, 0, 0x22, 3, 0x62, 0];
    let at =
        certificate.windows(SECP384R1.len()).position(|window| window == SECP384R1).expect("a P-384 key");
    certificate[at + SECP384R1.len()..][..97].to_vec()
}

/// Contents of the first DER element, and what comes after it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, len) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    der[start..].split_at(len)
}
