//! Documents that break one rule each, correctly signed wherever signing is possible, are refused with that rule's code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test code over documents of its own"
)]

mod common;

use std::time::{Duration, Instant};

use common::{
    Cert, EC_P256, ECDSA_SHA256, Enclave, Extension, INSTANCE, LEAF, LEAF_NOT_AFTER_MS, LEAF_NOT_BEFORE_MS,
    NOW_MS, cbor, der, pcr,
};
use ok2cry_attest_verify::{CheckTime, Error, MAX_DOCUMENT_LEN, TrustAnchor, Verifier, decode};

/// A name for people, the expected code, and what is different from a good document.
type Case = (&'static str, &'static str, fn(&mut Enclave));

#[test]
fn the_unchanged_document_is_accepted() {
    for indefinite in [true, false] {
        let enclave = Enclave::with(|e| e.indefinite = indefinite);
        verify(&enclave).unwrap();
    }
}

#[test]
fn broken_envelopes_are_refused() {
    refused(&[
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
        ("another message's signature", "document_signature_invalid", |e| e.on_signature = |s| s[95] ^= 1),
        ("signed by the instance CA", "document_signature_invalid", |e| e.signer = INSTANCE),
        ("signed by another key", "document_signature_invalid", |e| e.signer = 9),
    ]);
}

#[test]
fn broken_payloads_are_refused() {
    refused(&[
        ("an array", "cbor_wrong_type", |e| e.on_payload = |_| vec![0x80]),
        ("an empty map", "missing_field", |e| e.on_payload = |_| vec![0xa0]),
        ("bytes after it", "cbor_trailing_bytes", |e| e.on_payload = |p| [p, vec![0]].concat()),
        ("a second break", "cbor_trailing_bytes", |e| e.on_payload = |p| [p, vec![0xff]].concat()),
        ("no break", "cbor_truncated", |e| {
            e.on_payload = |mut p| {
                p.pop();
                p
            };
        }),
        ("a break for a value", "cbor_malformed", |e| e.set("timestamp", vec![0xff])),
        ("an entry less than claimed", "cbor_truncated", |e| {
            e.on_payload = |p| [&[0xaa], &p[1..p.len() - 1]].concat();
        }),
        ("2^64 - 1 entries claimed", "cbor_truncated", |e| {
            e.on_payload = |p| [&[0xbb][..], &[0xff; 8], &p[1..p.len() - 1]].concat();
        }),
        ("a tagged map", "cbor_wrong_type", |e| e.on_payload = |p| [vec![0xd8, 55], p].concat()),
        ("an integer key", "cbor_wrong_type", |e| e.fields.push((vec![0x01], vec![0x01]))),
        ("a byte-string key", "cbor_wrong_type", |e| e.fields.push((cbor::bytes(b"nonce"), vec![0xf6]))),
        ("a key in pieces", "cbor_indefinite_length", |e| {
            e.fields[0].0 = [vec![0x7f], cbor::text("module_id"), vec![0xff]].concat();
        }),
        ("a key in a long form", "cbor_non_minimal", |e| {
            e.fields[1].0 = [&[0x78, 6][..], b"digest"].concat();
        }),
        ("a key that is not UTF-8", "cbor_not_utf8", |e| e.fields.push((vec![0x61, 0xff], vec![0xf6]))),
        ("an unknown key", "unknown_key", |e| e.fields.push((cbor::text("extra"), vec![0xf6]))),
        ("a key in capitals", "unknown_key", |e| e.fields.push((cbor::text("Nonce"), vec![0xf6]))),
        ("an empty key", "unknown_key", |e| e.fields.push((cbor::text(""), vec![0xf6]))),
        ("a NitroTPM document", "nitrotpm_document", |e| {
            let pcrs = e.fields[3].1.clone();
            e.remove("pcrs");
            e.fields.push((cbor::text("nitrotpm_pcrs"), pcrs));
        }),
        ("a NitroTPM document with pcrs", "nitrotpm_document", |e| {
            e.fields.push((cbor::text("nitrotpm_pcrs"), vec![0xa0]));
        }),
        ("two timestamps", "duplicate_key", |e| e.fields.push(e.fields[2].clone())),
        ("two pcrs", "duplicate_key", |e| e.fields.push(e.fields[3].clone())),
        ("two certificates", "duplicate_key", |e| e.fields.push(e.fields[4].clone())),
        ("two unset public keys", "duplicate_key", |e| e.fields.push(e.fields[6].clone())),
        ("no module_id", "missing_field", |e| e.remove("module_id")),
        ("no digest", "missing_field", |e| e.remove("digest")),
        ("no timestamp", "missing_field", |e| e.remove("timestamp")),
        ("no pcrs", "missing_field", |e| e.remove("pcrs")),
        ("no certificate", "missing_field", |e| e.remove("certificate")),
        ("no cabundle", "missing_field", |e| e.remove("cabundle")),
        ("an empty module_id", "module_id_empty", |e| e.set("module_id", cbor::text(""))),
        ("a module_id of bytes", "cbor_wrong_type", |e| e.set("module_id", cbor::bytes(b"i-0"))),
        ("SHA256", "digest_not_sha384", |e| e.set("digest", cbor::text("SHA256"))),
        ("sha384 in small letters", "digest_not_sha384", |e| e.set("digest", cbor::text("sha384"))),
        ("a null digest", "cbor_wrong_type", |e| e.set("digest", vec![0xf6])),
        ("timestamp 0", "timestamp_zero", |e| e.set("timestamp", vec![0])),
        ("a negative timestamp", "cbor_wrong_type", |e| e.set("timestamp", vec![0x20])),
        ("a floating timestamp", "cbor_wrong_type", |e| {
            e.set("timestamp", vec![0xfb, 0x42, 0x79, 0, 0, 0, 0, 0, 0]);
        }),
        ("a tagged timestamp", "cbor_wrong_type", |e| e.set("timestamp", vec![0xc1, 0x01])),
        ("a timestamp in a long form", "cbor_non_minimal", |e| {
            e.set("timestamp", vec![0x1b, 0, 0, 0, 0, 0, 0, 0, 1]);
        }),
        ("a timestamp in reserved form", "cbor_malformed", |e| e.set("timestamp", vec![0x1c])),
        ("an empty certificate", "certificate_length", |e| e.on_certificate = |_| vec![]),
        ("a certificate of 1,025 bytes", "certificate_length", |e| e.on_certificate = |_| vec![0x30; 1025]),
        ("a null certificate", "cbor_wrong_type", |e| e.set("certificate", vec![0xf6])),
        ("an empty cabundle", "cabundle_count", |e| e.on_cabundle = Vec::clear),
        ("a cabundle of seven", "cabundle_count", |e| e.on_cabundle = |b| b.resize(7, vec![0x30])),
        ("a cabundle of 2^63", "cabundle_count", |e| {
            e.set("cabundle", vec![0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        }),
        ("an indefinite cabundle", "cbor_indefinite_length", |e| e.set("cabundle", vec![0x9f, 0xff])),
        ("a cabundle of text", "cbor_wrong_type", |e| e.set("cabundle", cbor::array(&[cbor::text("root")]))),
        ("an empty entry", "cabundle_entry_length", |e| e.on_cabundle = |b| b[1].clear()),
        ("an entry of 1,025 bytes", "cabundle_entry_length", |e| e.on_cabundle = |b| b[3] = vec![0x30; 1025]),
        ("public_key of 1,025 bytes", "public_key_length", |e| e.set("public_key", cbor::bytes(&[1; 1025]))),
        ("user_data of 1,025 bytes", "user_data_length", |e| e.set("user_data", cbor::bytes(&[1; 1025]))),
        ("nonce of 1,025 bytes", "nonce_length", |e| e.set("nonce", cbor::bytes(&[1; 1025]))),
        ("a text nonce", "cbor_wrong_type", |e| e.set("nonce", cbor::text("nonce"))),
        ("an undefined nonce", "cbor_wrong_type", |e| e.set("nonce", vec![0xf7])),
        ("a false nonce", "cbor_wrong_type", |e| e.set("nonce", vec![0xf4])),
        ("user_data in pieces", "cbor_indefinite_length", |e| e.set("user_data", vec![0x5f, 0x41, 0, 0xff])),
        ("user_data of claimed 2^64 - 1 bytes", "cbor_truncated", |e| {
            e.set("user_data", [&[0x5b][..], &[0xff; 8]].concat());
        }),
        ("a public key of claimed 2^31 bytes", "cbor_truncated", |e| {
            e.set("public_key", vec![0x5a, 0x80, 0, 0, 0]);
        }),
    ]);
}

#[test]
fn broken_pcrs_are_refused() {
    fn measured(last: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
        (0..=last).map(|index| (index, vec![0xa0; 48]))
    }
    refused(&[
        ("none", "pcr_count", |e| e.set_pcrs([])),
        ("33", "pcr_count", |e| e.set_pcrs(measured(32))),
        ("2^64 - 1 claimed", "pcr_count", |e| e.set("pcrs", [&[0xbb][..], &[0xff; 8]].concat())),
        ("an indefinite map", "cbor_indefinite_length", |e| e.set("pcrs", cbor::indefinite_map(&[]))),
        ("an array", "cbor_wrong_type", |e| e.set("pcrs", cbor::array(&[]))),
        ("index 32", "pcr_index", |e| e.set_pcrs(measured(2).chain([(32, vec![0; 48])]))),
        ("index 256", "pcr_index", |e| e.set_pcrs(measured(2).chain([(256, vec![0; 48])]))),
        ("index 2^64 - 1", "pcr_index", |e| e.set_pcrs(measured(2).chain([(u64::MAX, vec![0; 48])]))),
        ("a negative index", "cbor_wrong_type", |e| {
            e.set("pcrs", cbor::map(&[(vec![0x20], cbor::bytes(&[0; 48]))]));
        }),
        ("a text index", "cbor_wrong_type", |e| {
            e.set("pcrs", cbor::map(&[(cbor::text("0"), cbor::bytes(&[0; 48]))]));
        }),
        ("an index in a long form", "cbor_non_minimal", |e| {
            e.set("pcrs", cbor::map(&[(vec![0x18, 0], cbor::bytes(&[0; 48]))]));
        }),
        ("PCR0 twice", "pcr_duplicate", |e| e.set_pcrs(measured(2).chain([(0, vec![0xbb; 48])]))),
        ("a value of 32 bytes", "pcr_length", |e| e.set_pcrs(measured(2).chain([(3, vec![0; 32])]))),
        ("a value of 64 bytes", "pcr_length", |e| e.set_pcrs(measured(2).chain([(3, vec![0; 64])]))),
        ("an empty value", "pcr_length", |e| e.set_pcrs([(0, vec![])])),
        ("a null value", "cbor_wrong_type", |e| e.set("pcrs", cbor::map(&[(vec![0], vec![0xf6])]))),
        ("no PCR0", "pcr_missing", |e| e.set_pcrs(measured(15).skip(1))),
        ("no PCR1", "pcr_missing", |e| e.set_pcrs(measured(15).filter(|(index, _)| *index != 1))),
        ("no PCR2", "pcr_missing", |e| e.set_pcrs(measured(1))),
        ("debug mode", "debug_mode", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i > 2); 48])))),
        ("PCR0 zero", "pcr_zero", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i != 0); 48])))),
        ("PCR1 and 2 zero", "pcr_zero", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i == 0); 48])))),
    ]);
}

#[test]
fn broken_certificates_are_refused() {
    refused(&[
        ("no certificate at all", "der_malformed", |e| e.on_certificate = |_| vec![0]),
        ("a byte after the leaf", "der_trailing_bytes", |e| e.on_certificate = |d| [d, vec![0]].concat()),
        ("a byte after a CA", "der_trailing_bytes", |e| e.on_cabundle = |b| b[2].push(0)),
        ("a BER length", "der_malformed", |e| {
            e.certs[LEAF].on_der = |d| [&[0x30, 0x83, 0], &d[2..]].concat();
        }),
        ("an indefinite length", "der_malformed", |e| {
            e.certs[LEAF].on_der = |d| [&[0x30, 0x80], &d[4..], &[0, 0]].concat();
        }),
        ("a truncated certificate", "der_malformed", |e| {
            e.certs[LEAF].on_der = |d| d[..d.len() - 1].to_vec();
        }),
        ("a byte after the extensions", "der_trailing_bytes", |e| {
            e.certs[LEAF].after_extensions = vec![5, 0];
        }),
        ("a byte after the signature's s", "der_trailing_bytes", |e| {
            e.certs[LEAF].on_signature = |s| {
                let inner = [&s[2..], &[5, 0]].concat();
                der::tlv(0x30, &inner)
            };
        }),
        ("a byte after the signature", "der_trailing_bytes", |e| {
            e.certs[LEAF].on_signature = |s| [s, vec![0]].concat();
        }),
        ("a padded r", "der_malformed", |e| {
            e.certs[LEAF].on_signature = |s| {
                let len = s[3] as usize;
                let r = [&[0, 0], &s[4..4 + len]].concat();
                der::seq(&[&der::tlv(2, &r), &s[4 + len..]])
            };
        }),
        ("version 1", "certificate_version", |e| e.certs[LEAF].version = vec![]),
        ("version 2", "certificate_version", |e| e.certs[LEAF].version = der::tlv(0xa0, &der::uint(&[1]))),
        ("an empty serial", "der_malformed", |e| e.certs[LEAF].serial = der::tlv(2, &[])),
        ("an empty subject", "der_malformed", |e| e.certs[LEAF].subject = der::seq(&[])),
        ("a subject that is not UTF-8", "der_malformed", |e| {
            let attribute = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), &der::tlv(0x0c, &[0xff])]);
            e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &attribute)]);
        }),
        ("signed with SHA-256", "certificate_signature_algorithm", |e| {
            e.certs[LEAF].inner_algorithm = ECDSA_SHA256.to_vec();
            e.certs[LEAF].outer_algorithm = ECDSA_SHA256.to_vec();
        }),
        ("SHA-256 outside only", "certificate_signature_algorithm", |e| {
            e.certs[INSTANCE].outer_algorithm = ECDSA_SHA256.to_vec();
        }),
        ("SHA-256 inside only", "certificate_signature_algorithm", |e| {
            e.certs[INSTANCE].inner_algorithm = ECDSA_SHA256.to_vec();
        }),
        ("algorithm with a NULL parameter", "certificate_signature_algorithm", |e| {
            e.certs[LEAF].outer_algorithm.extend([5, 0]);
            e.certs[LEAF].inner_algorithm.extend([5, 0]);
        }),
        ("a P-256 leaf", "certificate_key_not_p384", |e| {
            e.certs[LEAF].key_algorithm = EC_P256.to_vec();
            e.certs[LEAF].point = vec![4; 65];
        }),
        ("a P-256 point that claims P-384", "certificate_key_not_p384", |e| {
            e.certs[LEAF].point = vec![4; 65];
        }),
        ("a compressed point", "certificate_key_not_p384", |e| {
            let point = &mut e.certs[LEAF].point;
            point.truncate(49);
            point[0] = 2;
        }),
        ("a point of the form 6", "certificate_key_not_p384", |e| e.certs[LEAF].point[0] = 6),
        ("a leaf key off the curve", "document_signature_invalid", |e| e.certs[LEAF].point[96] ^= 1),
        ("a CA key off the curve", "certificate_signature_invalid", |e| e.certs[INSTANCE].point[96] ^= 1),
        ("notAfter before notBefore", "certificate_validity_inverted", |e| {
            e.certs[LEAF].validity = (der::utc_time("260115120000Z"), der::utc_time("260115115959Z"));
        }),
        ("a validity with a fraction", "der_malformed", |e| {
            e.certs[LEAF].validity.1 = der::tlv(0x18, b"20260115150000.5Z");
        }),
        ("GeneralizedTime before 2050", "der_malformed", |e| {
            e.certs[LEAF].validity.1 = der::tlv(0x18, b"20260115150000Z");
        }),
        ("February 30th", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("260230150000Z")),
        ("local time", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("2601151500+0100")),
        ("no extensions in the leaf", "leaf_not_digital_signature", |e| e.certs[LEAF].extensions.clear()),
        ("keyUsage twice", "certificate_extension_duplicate", |e| {
            e.certs[LEAF].extensions.push(Extension::key_usage(0xc0));
        }),
        ("an unknown critical extension", "certificate_critical_extension", |e| {
            e.certs[LEAF].extensions.push(Extension::new(&[0x2a, 3, 4], true, vec![5, 0]));
        }),
        ("critical name constraints", "certificate_critical_extension", |e| {
            e.certs[1].extensions.push(Extension::new(&[0x55, 0x1d, 30], true, vec![0x30, 0]));
        }),
        ("an explicit critical FALSE", "der_malformed", |e| {
            e.certs[LEAF].extension(15).critical = vec![1, 1, 0];
        }),
        ("critical TRUE as 1", "der_malformed", |e| e.certs[LEAF].extension(15).critical = vec![1, 1, 1]),
        ("seventeen extensions", "der_malformed", |e| {
            e.certs[LEAF]
                .extensions
                .extend((0..15).map(|i| Extension::new(&[0x2a, 3, i], false, vec![5, 0])));
        }),
        ("an extended key usage for servers", "path_invalid", |e| {
            let server_auth = der::tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
            e.certs[LEAF].extensions.push(Extension::new(
                &[0x55, 0x1d, 37],
                false,
                der::seq(&[&server_auth]),
            ));
        }),
        ("a key usage with spare bits", "der_malformed", |e| {
            e.certs[LEAF].extension(15).value = der::bit_string(0, &[0xc0]);
        }),
        ("basicConstraints with an explicit FALSE", "der_malformed", |e| {
            e.certs[LEAF].extension(19).value = der::seq(&[&[1, 1, 0]]);
        }),
    ]);
}

#[test]
fn broken_chains_are_refused() {
    refused(&[
        ("leaf first", "cabundle_not_root_first", |e| e.on_cabundle = |b| b.reverse()),
        ("the root second", "cabundle_not_root_first", |e| e.on_cabundle = |b| b.swap(0, 1)),
        ("no root", "root_not_trusted", |e| {
            e.on_cabundle = |b| {
                b.remove(0);
            };
        }),
        ("a root with another signature", "root_not_trusted", |e| {
            e.on_cabundle = |b| *b[0].last_mut().unwrap() ^= 1;
        }),
        ("another root of the same name", "root_not_trusted", |e| {
            e.on_cabundle = |b| b[0] = Cert { serial: der::uint(&[1]), ..Cert::at(0) }.sign();
        }),
        ("two CAs swapped", "chain_out_of_order", |e| e.on_cabundle = |b| b.swap(1, 2)),
        ("a CA missing", "chain_out_of_order", |e| {
            e.on_cabundle = |b| {
                b.remove(2);
            };
        }),
        ("a CA twice", "chain_out_of_order", |e| e.on_cabundle = |b| b.insert(2, b[1].clone())),
        ("the root twice", "chain_duplicate_subject", |e| e.on_cabundle = |b| b.insert(1, b[0].clone())),
        ("an extra certificate", "chain_out_of_order", |e| e.on_cabundle = |b| b.push(Cert::at(5).sign())),
        ("only the root", "chain_out_of_order", |e| e.on_cabundle = |b| b.truncate(1)),
        ("a self-issued CA", "chain_duplicate_subject", |e| {
            e.certs[2].subject = e.certs[2].issuer.clone();
            e.certs[3].issuer = e.certs[2].issuer.clone();
        }),
        ("names that differ in their string type only", "chain_out_of_order", |e| {
            let attribute = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), &der::tlv(0x13, b"instance")]);
            e.certs[LEAF].issuer = der::seq(&[&der::tlv(0x31, &attribute)]);
        }),
        ("a leaf signed by the zonal CA", "certificate_signature_invalid", |e| e.certs[LEAF].signer = 2),
        ("a leaf signed by itself", "certificate_signature_invalid", |e| e.certs[LEAF].signer = LEAF),
        ("a CA signed by another key", "certificate_signature_invalid", |e| e.certs[1].signer = 9),
        ("a changed certificate", "certificate_signature_invalid", |e| {
            e.certs[LEAF].on_der = |mut d| {
                d[15] ^= 1;
                d
            };
        }),
        ("an issuer without basicConstraints", "issuer_not_ca", |e| e.certs[INSTANCE].without_extension(19)),
        ("an issuer with CA=false", "issuer_not_ca", |e| {
            *e.certs[INSTANCE].extension(19) = Extension::basic_constraints(false, None);
        }),
        ("an issuer without keyUsage", "issuer_not_key_cert_sign", |e| e.certs[2].without_extension(15)),
        ("an issuer without keyCertSign", "issuer_not_key_cert_sign", |e| {
            *e.certs[2].extension(15) = Extension::key_usage(0x82);
        }),
        ("pathLen 0 above the instance CA", "path_length_exceeded", |e| {
            *e.certs[2].extension(19) = Extension::basic_constraints(true, Some(0));
        }),
        ("pathLen 1 in the regional CA", "path_length_exceeded", |e| {
            *e.certs[1].extension(19) = Extension::basic_constraints(true, Some(1));
        }),
        ("a CA as leaf", "leaf_is_ca", |e| {
            *e.certs[LEAF].extension(19) = Extension::basic_constraints(true, None);
        }),
        ("a leaf without keyUsage", "leaf_not_digital_signature", |e| e.certs[LEAF].without_extension(15)),
        ("a leaf without digitalSignature", "leaf_not_digital_signature", |e| {
            *e.certs[LEAF].extension(15) = Extension::key_usage(0x40);
        }),
        ("a leaf with keyCertSign", "leaf_key_cert_sign", |e| {
            *e.certs[LEAF].extension(15) = Extension::key_usage(0x84);
        }),
    ]);
}

/// A leaf's key signs documents. Whatever else it may have signed makes nobody an issuer.
#[test]
fn a_certificate_that_the_leaf_issued_is_refused() {
    fn extended(e: &mut Enclave) {
        e.certs.push(Cert::at(5));
        e.signer = 5;
    }
    refused(&[
        ("as it is", "path_length_exceeded", extended),
        ("under CAs without pathLen", "issuer_not_ca", |e| {
            extended(e);
            for place in 1..=3 {
                *e.certs[place].extension(19) = Extension::basic_constraints(true, None);
            }
        }),
        ("in the place of the leaf", "chain_out_of_order", |e| {
            e.certs[LEAF] = Cert { signer: LEAF, ..Cert::at(5) };
            e.signer = 5;
        }),
        ("under the leaf's issuer's name", "certificate_signature_invalid", |e| {
            e.certs[LEAF] = Cert { signer: LEAF, issuer: Cert::at(LEAF).issuer, ..Cert::at(5) };
            e.signer = 5;
        }),
    ]);
}

#[test]
fn times_that_do_not_fit_are_refused() {
    refused(&[
        ("made before the leaf", "timestamp_outside_leaf", |e| {
            e.set("timestamp", cbor::uint(LEAF_NOT_BEFORE_MS - 1));
        }),
        ("made after the leaf", "timestamp_outside_leaf", |e| {
            e.set("timestamp", cbor::uint(LEAF_NOT_AFTER_MS + 1));
        }),
        ("made a year ago", "timestamp_outside_leaf", |e| {
            e.set("timestamp", cbor::uint(NOW_MS - 31_536_000_000));
        }),
        ("made at the end of time", "timestamp_outside_leaf", |e| e.set("timestamp", cbor::uint(u64::MAX))),
        ("made in seconds", "timestamp_outside_leaf", |e| e.set("timestamp", cbor::uint(NOW_MS / 1000))),
        ("made in two minutes", "document_from_future", |e| e.set("timestamp", cbor::uint(NOW_MS + 120_000))),
        ("an expired root", "expired", |e| e.certs[0].validity.1 = der::utc_time("260101000000Z")),
        ("a root of the future", "not_yet_valid", |e| e.certs[0].validity.0 = der::utc_time("270101000000Z")),
        ("an expired regional CA", "expired", |e| e.certs[1].validity.1 = der::utc_time("260115115900Z")),
        ("a zonal CA of tomorrow", "not_yet_valid", |e| {
            e.certs[2].validity.0 = der::utc_time("260116000000Z");
        }),
        ("an expired instance CA", "expired", |e| e.certs[3].validity.1 = der::utc_time("260115115959Z")),
        ("an expired leaf", "expired", |e| e.certs[LEAF].validity.1 = der::utc_time("260115115958Z")),
    ]);
}

#[test]
fn huge_and_deep_documents_cost_nothing() {
    let started = Instant::now();
    let deep = |byte: u8, len: usize| vec![byte; len];
    for (bytes, code) in [
        (deep(0x81, 200_000), "document_too_large"),
        (deep(0x81, MAX_DOCUMENT_LEN), "cose_element_count"),
        (deep(0x84, MAX_DOCUMENT_LEN), "cbor_wrong_type"),
        (deep(0xd2, MAX_DOCUMENT_LEN), "cose_tag"),
        (deep(0x9f, MAX_DOCUMENT_LEN), "cbor_indefinite_length"),
        (deep(0xbf, MAX_DOCUMENT_LEN), "cbor_wrong_type"),
        (deep(0xff, MAX_DOCUMENT_LEN), "cbor_malformed"),
        (deep(0x00, MAX_DOCUMENT_LEN + 1), "document_too_large"),
        (vec![], "cbor_truncated"),
    ] {
        assert_eq!(decode(&bytes).unwrap_err().code(), code);
    }
    let nested = |byte: u8| {
        let enclave = Enclave::with(|e| e.set("user_data", vec![byte; 8_000]));
        verify(&enclave).unwrap_err()
    };
    for byte in [0x81, 0x9f, 0xa1, 0xbf, 0xc1, 0xd8] {
        assert_eq!(nested(byte).code(), "cbor_wrong_type");
    }
    // A certificate of nothing but openings.
    let enclave = Enclave::with(|e| e.on_certificate = |_| [0x30, 0x80].repeat(512));
    assert_eq!(verify(&enclave).unwrap_err().code(), "der_malformed");
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
}

#[test]
fn every_cut_is_refused() {
    let enclave = Enclave::new();
    let document = enclave.document();
    let verifier = Verifier::new(enclave.anchor());
    for len in 0..document.len() {
        let error = verifier.verify(&document[..len], &CheckTime::at(NOW_MS)).unwrap_err();
        assert_eq!(error.code(), "cbor_truncated", "at {len}");
    }
}

/// The signature covers the payload and the chain covers itself, so that no byte is free.
#[test]
fn every_changed_byte_is_refused() {
    let enclave = Enclave::new();
    let mut document = enclave.document();
    let verifier = Verifier::new(enclave.anchor()).insecure_allow_debug();
    for index in 0..document.len() {
        document[index] ^= 0x01;
        assert!(verifier.verify(&document, &CheckTime::at(NOW_MS)).is_err(), "byte {index}");
        document[index] ^= 0x01;
    }
    verifier.verify(&document, &CheckTime::at(NOW_MS)).unwrap();
}

#[test]
fn documents_of_other_roots_are_refused() {
    let document = Enclave::new().document();
    let error =
        Verifier::new(TrustAnchor::aws_nitro()).verify(&document, &CheckTime::at(NOW_MS)).unwrap_err();
    assert_eq!(error.code(), "root_not_trusted");
}

#[test]
fn certificates_that_are_no_root_cannot_be_trusted() {
    type Change = fn(&mut Cert);
    let cases: [(&str, Change); 9] = [
        ("anchor_not_root", |c| *c = Cert::at(1)),
        ("issuer_not_ca", |c| c.without_extension(19)),
        ("issuer_not_key_cert_sign", |c| c.without_extension(15)),
        ("certificate_key_not_p384", |c| c.key_algorithm = EC_P256.to_vec()),
        ("certificate_signature_algorithm", |c| c.outer_algorithm = ECDSA_SHA256.to_vec()),
        ("certificate_version", |c| c.version = vec![]),
        ("der_trailing_bytes", |c| c.on_der = |d| [d, vec![0]].concat()),
        ("anchor_length", |c| c.on_der = |_| vec![]),
        ("anchor_length", |c| c.on_der = |_| vec![0x30; 1025]),
    ];
    for (code, change) in cases {
        let mut root = Cert::at(0);
        change(&mut root);
        assert_eq!(TrustAnchor::from_der(&root.sign()).unwrap_err().code(), code);
    }
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert_eq!(TrustAnchor::from_pem(pem).unwrap_err().code(), "anchor_pem");
    }
}

fn refused(cases: &[Case]) {
    for (name, code, change) in cases {
        let enclave = Enclave::with(change);
        match verify(&enclave) {
            Err(error) => assert_eq!(error.code(), *code, "{name}: {error}"),
            Ok(()) => panic!("{name}: accepted, expected {code}"),
        }
    }
}

fn verify(enclave: &Enclave) -> Result<(), Error> {
    let document = enclave.document();
    let verified = Verifier::new(enclave.anchor()).verify(&document, &CheckTime::at(NOW_MS))?;
    assert_eq!(verified.pcr(0), Some(&pcr(0)));
    Ok(())
}
