//! `COSE_Sign1`: tags, elements, headers, the signature.

use super::Case;
use crate::{INSTANCE, ORDER, cbor};

/// `COSE_Sign1`: tags, elements, headers, the signature.
pub const ENVELOPE: &[Case] = &[
    ("another tag", "cose_tag", |e| e.prefix = vec![0xd1, 0x84]),
    ("tag 18 twice", "cose_tag", |e| e.prefix = vec![0xd2, 0xd2, 0x84]),
    ("tag 18 around tag 61", "cose_tag", |e| e.prefix = vec![0xd2, 0xd8, 61, 0x84]),
    ("tag 18 in a long form", "cbor_non_minimal", |e| e.prefix = vec![0xd8, 18, 0x84]),
    ("three elements claimed", "cose_element_count", |e| e.prefix = vec![0x83]),
    ("five elements", "cose_element_count", |e| {
        e.prefix = vec![0x85];
        e.suffix = vec![0x00];
    }),
    ("2^64 - 1 elements", "cose_element_count", |e| e.prefix = [&[0x9b][..], &[0xff; 8]].concat()),
    ("an indefinite array", "cbor_indefinite_length", |e| {
        e.prefix = vec![0x9f];
        e.suffix = vec![0xff];
    }),
    ("a map", "cbor_wrong_type", |e| e.prefix = vec![0xa4]),
    ("bytes after it", "cbor_trailing_bytes", |e| e.suffix = vec![0x00]),
    ("another document after it", "cbor_trailing_bytes", |e| e.suffix = e.document()),
    ("ES256", "protected_header_not_es384", |e| e.protected = cbor::bytes(&[0xa1, 0x01, 0x26])),
    ("alg twice", "protected_header_not_es384", |e| {
        e.protected = cbor::bytes(&[0xa2, 0x01, 0x38, 0x22, 0x01, 0x38, 0x22]);
    }),
    ("crit", "protected_header_not_es384", |e| {
        e.protected = cbor::bytes(&[0xa2, 0x01, 0x38, 0x22, 0x02, 0x81, 0x01]);
    }),
    ("alg in a long form", "protected_header_not_es384", |e| {
        e.protected = cbor::bytes(&[0xa1, 0x01, 0x39, 0x00, 0x22]);
    }),
    ("no alg", "protected_header_not_es384", |e| e.protected = cbor::bytes(&[])),
    ("trailing byte in the header", "protected_header_not_es384", |e| {
        e.protected = cbor::bytes(&[0xa1, 0x01, 0x38, 0x22, 0x00]);
    }),
    ("header as a map", "cbor_wrong_type", |e| e.protected = vec![0xa1, 0x01, 0x38, 0x22]),
    ("header in pieces", "cbor_indefinite_length", |e| {
        e.protected = vec![0x5f, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xff];
    }),
    ("an unprotected kid", "unprotected_header_not_empty", |e| e.unprotected = vec![0xa1, 0x04, 0x40]),
    ("an unprotected alg", "unprotected_header_not_empty", |e| {
        e.unprotected = vec![0xa1, 0x01, 0x38, 0x22];
    }),
    ("an indefinite unprotected header", "cbor_indefinite_length", |e| e.unprotected = vec![0xbf, 0xff]),
    ("no unprotected header", "cbor_wrong_type", |e| e.unprotected = vec![0xf6]),
    ("a detached payload", "cbor_wrong_type", |e| e.payload_item = |_| vec![0xf6]),
    ("a text payload", "cbor_wrong_type", |e| e.payload_item = |_| cbor::text("payload")),
    ("a payload in pieces", "cbor_indefinite_length", |e| {
        e.payload_item = |payload| [vec![0x5f], cbor::bytes(payload), vec![0xff]].concat();
    }),
    ("an empty payload", "payload_length", |e| e.on_payload = |_| vec![]),
    ("a payload of 16,385 bytes", "payload_length", |e| e.on_payload = |_| vec![0; 16_385]),
    ("payload length in a long form", "cbor_non_minimal", |e| {
        e.payload_item = |payload| [&[0x5a][..], &(payload.len() as u32).to_be_bytes(), payload].concat();
    }),
    ("a signature of 95 bytes", "signature_length", |e| e.on_signature = |s| s.truncate(95)),
    ("a signature of 97 bytes", "signature_length", |e| e.on_signature = |s| s.push(0)),
    ("no signature", "signature_length", |e| e.on_signature = Vec::clear),
    ("a signature of zeros", "document_signature_invalid", |e| e.on_signature = |s| s.fill(0)),
    ("a signature of r and zero", "document_signature_invalid", |e| e.on_signature = |s| s[48..].fill(0)),
    ("a signature of 0xff", "document_signature_invalid", |e| e.on_signature = |s| s.fill(0xff)),
    ("a signature of zero and s", "document_signature_invalid", |e| e.on_signature = |s| s[..48].fill(0)),
    ("an r at the order of the curve", "document_signature_invalid", |e| {
        e.on_signature = |s| s[..48].copy_from_slice(&ORDER);
    }),
    ("an s at the order of the curve", "document_signature_invalid", |e| {
        e.on_signature = |s| s[48..].copy_from_slice(&ORDER);
    }),
    ("r and s exchanged", "document_signature_invalid", |e| e.on_signature = |s| s.rotate_left(48)),
    ("another message's signature", "document_signature_invalid", |e| e.on_signature = |s| s[95] ^= 1),
    ("signed by the instance CA", "document_signature_invalid", |e| e.signer = INSTANCE),
    ("signed by another key", "document_signature_invalid", |e| e.signer = 9),
    ("another tag in a long form", "cbor_non_minimal", |e| e.prefix = vec![0xd8, 17, 0x84]),
    ("a tag of a reserved form", "cbor_malformed", |e| e.prefix = vec![0xdc, 0x84]),
    ("three elements, of which the first is another header", "cose_element_count", |e| {
        e.prefix = vec![0x83];
        e.protected = cbor::bytes(&[0xa1, 0x01, 0x26]);
    }),
    ("an unprotected header of text", "cbor_wrong_type", |e| e.unprotected = cbor::text("")),
    ("bytes after it, and a payload of an empty map", "cbor_trailing_bytes", |e| {
        e.suffix = vec![0];
        e.on_payload = |_| vec![0xa0];
    }),
    ("a signature of 95 bytes, and bytes after it", "signature_length", |e| {
        e.on_signature = |s| s.truncate(95);
        e.suffix = vec![0];
    }),
    ("an empty payload, and a signature of 95 bytes", "payload_length", |e| {
        e.on_payload = |_| vec![];
        e.on_signature = |s| s.truncate(95);
    }),
];
