//! Certificates together: the root, order, roles, path lengths, signatures.

use super::Case;
use crate::{Cert, Enclave, Extension, INSTANCE, LEAF, der};

/// Certificates together: the root, order, roles, path lengths, signatures.
pub const CHAIN: &[Case] = &[
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
    ("a CA with another signature", "certificate_signature_invalid", |e| e.certs[2].on_signature = changed),
    ("a leaf with another signature", "certificate_signature_invalid", |e| {
        e.certs[LEAF].on_signature = changed;
    }),
    ("a leaf with the instance CA's signature", "certificate_signature_invalid", |e| {
        e.certs[LEAF].on_signature = |_| Cert::at(INSTANCE).signature();
    }),
    ("a leaf with r as s", "certificate_signature_invalid", |e| {
        e.certs[LEAF].on_signature = |s| der::seq(&[&s[s.len() / 2 + 1..], &s[2..s.len() / 2 + 1]]);
    }),
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
    ("pathLen 2 in the root", "path_length_exceeded", |e| {
        *e.certs[0].extension(19) = Extension::basic_constraints(true, Some(2));
    }),
    // Cases that break two rules. The order of checks: all certificates are parsed, root first; then names;
    // then each issuer by all its rules; the leaf last.
    ("a malformed leaf, and two CAs swapped", "der_trailing_bytes", |e| {
        e.on_cabundle = |b| b.swap(1, 2);
        e.on_certificate = |d| [d, vec![0]].concat();
    }),
    ("two malformed certificates: the one nearer to the root counts", "certificate_version", |e| {
        e.certs[1].version = vec![];
        e.on_certificate = |_| vec![0];
    }),
    ("another root, and a malformed leaf", "root_not_trusted", |e| {
        e.on_cabundle = |b| drop(b.remove(0));
        e.on_certificate = |_| vec![0];
    }),
    ("two CAs swapped, and a CA without keyCertSign", "chain_out_of_order", |e| {
        *e.certs[1].extension(15) = Extension::key_usage(0x02);
        e.on_cabundle = |b| b.swap(2, 3);
    }),
    ("pathLen 0 in the regional CA, and a zonal CA that is none", "path_length_exceeded", |e| {
        *e.certs[1].extension(19) = Extension::basic_constraints(true, Some(0));
        *e.certs[2].extension(19) = Extension::basic_constraints(false, None);
    }),
    ("a CA without keyCertSign, and a leaf that is one", "issuer_not_key_cert_sign", |e| {
        *e.certs[INSTANCE].extension(15) = Extension::key_usage(0x02);
        *e.certs[LEAF].extension(19) = Extension::basic_constraints(true, None);
    }),
    ("a CA as leaf without keyUsage", "leaf_is_ca", |e| {
        *e.certs[LEAF].extension(19) = Extension::basic_constraints(true, None);
        e.certs[LEAF].without_extension(15);
    }),
    ("a wrong signature of a CA, and of the document", "certificate_signature_invalid", |e| {
        e.certs[2].on_signature = changed;
        e.on_signature = |s| s[95] ^= 1;
    }),
    ("a leaf without digitalSignature, and expired", "leaf_not_digital_signature", |e| {
        *e.certs[LEAF].extension(15) = Extension::key_usage(0x40);
        e.certs[LEAF].validity.1 = der::utc_time("260115115958Z");
    }),
];

/// A leaf's key signs documents. A certificate that it signed must not be accepted.
pub const ISSUED_BY_LEAF: &[Case] = &[
    ("a certificate that the leaf issued, as it is", "path_length_exceeded", extended),
    ("a certificate that the leaf issued, under CAs without pathLen", "issuer_not_ca", |e| {
        extended(e);
        for place in 1..=3 {
            *e.certs[place].extension(19) = Extension::basic_constraints(true, None);
        }
    }),
    ("a certificate that the leaf issued, in the place of the leaf", "chain_out_of_order", |e| {
        e.certs[LEAF] = Cert { signer: LEAF, ..Cert::at(5) };
        e.signer = 5;
    }),
    (
        "a certificate that the leaf issued, under the leaf's issuer's name",
        "certificate_signature_invalid",
        |e| {
            e.certs[LEAF] = Cert { signer: LEAF, issuer: Cert::at(LEAF).issuer, ..Cert::at(5) };
            e.signer = 5;
        },
    ),
];

/// Certificates that break two rules of their roles: the first rule is reported.
pub const ROLES: &[Case] = &[
    ("an issuer that is no CA, without keyCertSign", "issuer_not_ca", |e| {
        *e.certs[2].extension(19) = Extension::basic_constraints(false, None);
        *e.certs[2].extension(15) = Extension::key_usage(0x02);
    }),
    ("an issuer without keyCertSign, whose pathLen is exceeded", "issuer_not_key_cert_sign", |e| {
        *e.certs[1].extension(15) = Extension::key_usage(0x02);
        *e.certs[1].extension(19) = Extension::basic_constraints(true, Some(0));
    }),
    ("a leaf without digitalSignature, with keyCertSign", "leaf_not_digital_signature", |e| {
        *e.certs[LEAF].extension(15) = Extension::key_usage(0x04);
    }),
    ("a subject that is there twice, in a chain out of order", "chain_out_of_order", |e| {
        e.certs[2].subject = e.certs[1].subject.clone();
        e.certs[2].issuer = der::name("another");
    }),
];

/// Changes the last byte of s: the same signed part and form, not a valid signature.
fn changed(mut signature: Vec<u8>) -> Vec<u8> {
    *signature.last_mut().unwrap() ^= 1;
    signature
}

fn extended(e: &mut Enclave) {
    e.certs.push(Cert::at(5));
    e.signer = 5;
}
