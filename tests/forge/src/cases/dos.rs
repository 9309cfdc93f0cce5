//! Documents that try to exhaust memory or time: nesting, claimed lengths, repetition.

use super::Case;
use crate::{cbor, der};

/// Signed documents with hostile lengths or nesting in them.
pub const DOS: &[Case] = &[
    ("user_data nested as arrays", "cbor_wrong_type", |e| e.set("user_data", vec![0x81; 8_000])),
    ("user_data nested as indefinite arrays", "cbor_wrong_type", |e| e.set("user_data", vec![0x9f; 8_000])),
    ("user_data nested as maps", "cbor_wrong_type", |e| e.set("user_data", vec![0xa1; 8_000])),
    ("user_data nested as indefinite maps", "cbor_wrong_type", |e| e.set("user_data", vec![0xbf; 8_000])),
    ("user_data nested as tags", "cbor_wrong_type", |e| e.set("user_data", vec![0xc1; 8_000])),
    ("user_data nested as long tags", "cbor_wrong_type", |e| e.set("user_data", vec![0xd8; 8_000])),
    ("a nested module_id", "cbor_wrong_type", |e| e.set("module_id", vec![0x81; 8_000])),
    ("pcrs nested as maps", "cbor_wrong_type", |e| e.set("pcrs", vec![0xa1; 8_000])),
    ("a cabundle nested as arrays", "cbor_wrong_type", |e| e.set("cabundle", vec![0x81; 8_000])),
    ("a certificate of nothing but openings", "der_malformed", |e| {
        e.on_certificate = |_| [0x30, 0x80].repeat(512);
    }),
    ("a certificate of nested sequences", "der_malformed", |e| {
        e.on_certificate = |_| (0..200).fold(vec![], |inner, _| der::seq(&[&inner]));
    }),
    ("a certificate of claimed 2^32 - 1 bytes", "der_malformed", |e| {
        e.on_certificate = |_| vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0];
    }),
    ("a name of 90 attributes that is not the issuer's", "chain_out_of_order", |e| {
        let attribute = der::tlv(0x31, &der::seq(&[&der::tlv(6, &[0x55]), &der::tlv(0x0c, b"")]));
        e.certs[4].issuer = der::seq(&[&attribute.repeat(60)]);
    }),
    ("nonce of claimed 2^63 bytes", "cbor_truncated", |e| {
        e.set("nonce", vec![0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    }),
    ("module_id of claimed 2^32 - 1 bytes", "cbor_truncated", |e| {
        e.set("module_id", vec![0x7a, 0xff, 0xff, 0xff, 0xff]);
    }),
    ("a cabundle entry of claimed 2^64 - 1 bytes", "cbor_truncated", |e| {
        e.set("cabundle", [&cbor::head(4, 4)[..], &[0x5b], &[0xff; 8]].concat());
    }),
    ("a thousand unset nonces", "duplicate_key", |e| {
        let entry = e.fields[8].clone();
        e.fields.extend(std::iter::repeat_n((entry.0, vec![0xf6]), 1_000));
    }),
];

/// Bytes that are not a signed document: `head`, then `byte` repeated `count` times.
#[derive(Clone, Copy, Debug)]
pub struct Raw {
    /// The name, for people.
    pub name: &'static str,
    /// The expected code.
    pub code: &'static str,
    /// The first bytes.
    pub head: &'static [u8],
    /// The repeated byte.
    pub byte: u8,
    /// The number of repetitions.
    pub count: usize,
}

const fn raw(name: &'static str, code: &'static str, head: &'static [u8], byte: u8, count: usize) -> Raw {
    Raw { name, code, head, byte, count }
}

/// The largest document that is read, in bytes.
const LARGEST: usize = 32_768;

/// Nesting, claimed lengths and sizes without content.
pub const RAW: &[Raw] = &[
    raw("nothing", "cbor_truncated", &[], 0, 0),
    raw("200,000 nested arrays", "document_too_large", &[], 0x81, 200_000),
    raw("200,000 nested indefinite arrays", "document_too_large", &[], 0x9f, 200_000),
    raw("200,000 nested maps", "document_too_large", &[], 0xa1, 200_000),
    raw("200,000 nested tags", "document_too_large", &[], 0xc1, 200_000),
    raw("a byte more than is looked at", "document_too_large", &[], 0x00, LARGEST + 1),
    raw("arrays of one, as many as fit", "cose_element_count", &[], 0x81, LARGEST),
    raw("arrays of four, as many as fit", "cbor_wrong_type", &[], 0x84, LARGEST),
    raw("tags 18, as many as fit", "cose_tag", &[], 0xd2, LARGEST),
    raw("tags 1, as many as fit", "cose_tag", &[], 0xc1, LARGEST),
    raw("indefinite arrays, as many as fit", "cbor_indefinite_length", &[], 0x9f, LARGEST),
    raw("indefinite maps, as many as fit", "cbor_wrong_type", &[], 0xbf, LARGEST),
    raw("maps of 23, as many as fit", "cbor_wrong_type", &[], 0xb7, LARGEST),
    raw("breaks, as many as fit", "cbor_malformed", &[], 0xff, LARGEST),
    raw("zeros, as many as fit", "cbor_wrong_type", &[], 0x00, LARGEST),
    raw("an array of 2^64 - 1", "cose_element_count", &[0x9b], 0xff, 8),
    raw("a protected header of 2^64 - 1 bytes", "cbor_truncated", &[0x84, 0x5b], 0xff, 8),
    raw("an unprotected header of 2^64 - 1 entries", "unprotected_header_not_empty", &UNPROTECTED, 0xff, 8),
    raw("a payload of 2^64 - 1 bytes", "cbor_truncated", &PAYLOAD, 0xff, 8),
    raw(
        "a payload of 2^31 bytes",
        "cbor_truncated",
        &[0x84, 0x44, 0xa1, 1, 0x38, 0x22, 0xa0, 0x5a, 0x80],
        0,
        3,
    ),
];

const UNPROTECTED: [u8; 7] = [0x84, 0x44, 0xa1, 1, 0x38, 0x22, 0xbb];
const PAYLOAD: [u8; 8] = [0x84, 0x44, 0xa1, 1, 0x38, 0x22, 0xa0, 0x5b];

impl Raw {
    /// The bytes of the case.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.head, &vec![self.byte; self.count]].concat()
    }
}
