//! Documents that break one rule each, correctly signed wherever signing is possible, are refused with that
//! rule's code.

use std::time::{Duration, Instant};

use ok2cry_attest_forge::cases::{self, Case, Judged};
use ok2cry_attest_forge::{Cert, EC_P256, ECDSA_SHA256, Enclave, Extension, LEAF, NOW_MS, der};
use ok2cry_attest_verify::{CheckTime, TrustAnchor, Verifier, decode};

use super::{judge, verifier};
use crate::provider;

#[test]
fn every_allowed_form_is_accepted() {
    judged(cases::VALID);
}

#[test]
fn broken_envelopes_are_refused() {
    refused(cases::ENVELOPE);
}

#[test]
fn broken_payloads_are_refused() {
    refused(cases::PAYLOAD);
}

#[test]
fn broken_pcrs_are_refused() {
    refused(cases::PCRS);
}

#[test]
fn broken_certificates_are_refused() {
    refused(cases::CERTIFICATES);
}

#[test]
fn broken_chains_are_refused() {
    refused(cases::CHAIN);
    refused(cases::ROLES);
}

/// A leaf's key signs documents. A certificate that it signed is not accepted.
#[test]
fn a_certificate_that_the_leaf_issued_is_refused() {
    refused(cases::ISSUED_BY_LEAF);
}

/// Section "Order within a structure" of the checklist. Each change is made to the leaf.
#[test]
fn structures_without_elements_break_the_documented_rule() {
    const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
    type Change = fn(&mut Cert);
    let of = |change: Change| {
        let enclave = Enclave::with(|e| change(&mut e.certs[LEAF]));
        judge(&enclave, &enclave.document(), &CheckTime::at(NOW_MS), false)
    };
    let cases: [(&str, &str, Change); 27] = [
        ("certificate", "der_malformed", |c| c.on_der = |_| der::seq(&[])),
        ("algorithm", "certificate_signature_algorithm", |c| c.outer_algorithm.clear()),
        ("signature", "der_malformed", |c| c.on_signature = |_| vec![]),
        ("pair of r and s", "der_malformed", |c| c.on_signature = |_| der::seq(&[])),
        ("r", "der_malformed", |c| c.on_signature = |_| der::seq(&[&der::tlv(2, &[]), &der::uint(&[1])])),
        ("tbsCertificate", "certificate_version", |c| {
            c.on_der = |_| {
                let cert = Cert::at(LEAF);
                let algorithm = der::tlv(0x30, &cert.outer_algorithm);
                der::seq(&[&der::seq(&[]), &algorithm, &der::bit_string(0, &cert.signature())])
            };
        }),
        ("version", "der_malformed", |c| c.version = der::tlv(0xa0, &[])),
        ("place of the version", "certificate_version", |c| c.version.clear()),
        ("serial number", "der_malformed", |c| c.serial = der::tlv(2, &[])),
        ("inner algorithm", "certificate_signature_algorithm", |c| c.inner_algorithm.clear()),
        ("issuer", "der_malformed", |c| c.issuer = der::seq(&[])),
        ("subject", "der_malformed", |c| c.subject = der::seq(&[])),
        ("first SET", "der_malformed", |c| c.subject = der::seq(&[&der::tlv(0x31, &[]), &set(&[1])])),
        ("last SET", "der_malformed", |c| c.subject = der::seq(&[&set(&[1]), &der::tlv(0x31, &[])])),
        ("only SET", "der_malformed", |c| c.subject = der::seq(&[&der::tlv(0x31, &[])])),
        ("attribute", "der_malformed", |c| c.subject = der::seq(&[&der::tlv(0x31, &der::seq(&[]))])),
        ("validity", "der_malformed", |c| c.validity = (vec![], vec![])),
        ("time", "der_malformed", |c| c.validity.1 = der::tlv(0x17, &[])),
        ("key algorithm", "certificate_key_not_p384", |c| c.key_algorithm.clear()),
        ("key", "certificate_key_not_p384", |c| c.point.clear()),
        ("field of extensions", "der_malformed", |c| {
            c.extensions.clear();
            c.after_extensions = der::tlv(0xa3, &[]);
        }),
        ("list of extensions", "der_malformed", |c| {
            c.extensions.clear();
            c.after_extensions = der::tlv(0xa3, &der::seq(&[]));
        }),
        ("extension", "der_malformed", |c| {
            c.extensions.clear();
            c.after_extensions = der::tlv(0xa3, &der::seq(&[&der::seq(&[])]));
        }),
        ("keyUsage", "der_malformed", |c| c.extension(15).value = der::bit_string(0, &[])),
        ("value of keyUsage", "der_malformed", |c| c.extension(15).value.clear()),
        ("value of basicConstraints", "der_malformed", |c| c.extension(19).value.clear()),
        ("extendedKeyUsage", "path_invalid", |c| {
            c.extensions.push(Extension::new(EXTENDED_KEY_USAGE, false, der::seq(&[])));
        }),
    ];
    for (name, code, change) in cases {
        assert_eq!(of(change), Err(code), "an empty {name}");
    }
    let accepted: [(&str, Change); 3] = [
        ("basicConstraints", |c| c.extension(19).value = der::seq(&[])),
        ("id of an extension and value", |c| c.extensions.push(Extension::new(&[], false, vec![]))),
        ("id of an attribute and text", |c| c.subject = der::seq(&[&set(&[])])),
    ];
    for (name, change) in accepted {
        assert_eq!(of(change), Ok(()), "an empty {name}");
    }
}

/// A SET of one attribute with this type and no text.
fn set(id: &[u8]) -> Vec<u8> {
    der::tlv(0x31, &der::seq(&[&der::tlv(6, id), &der::tlv(0x0c, &[])]))
}

#[test]
fn times_that_do_not_fit_are_refused() {
    refused(cases::TIME);
}

#[test]
fn huge_and_deep_documents_are_refused_quickly() {
    let started = Instant::now();
    for raw in cases::RAW {
        let bytes = raw.bytes();
        assert_eq!(decode(&bytes).unwrap_err().code(), raw.code, "{}", raw.name);
        let verdict = judge(&Enclave::new(), &bytes, &CheckTime::at(NOW_MS), false);
        assert_eq!(verdict, Err(raw.code), "{}", raw.name);
    }
    refused(cases::DOS);
    assert!(started.elapsed() < Duration::from_secs(30), "took {:?}", started.elapsed());
}

#[test]
fn every_cut_is_refused() {
    let enclave = Enclave::new();
    let document = enclave.document();
    let verifier = verifier(&enclave);
    for len in 0..document.len() {
        let error = verifier.verify(&document[..len], &CheckTime::at(NOW_MS)).unwrap_err();
        assert_eq!(error.code(), "cbor_truncated", "at {len}");
    }
}

/// The signature covers the payload, and certificates are signed, so every byte is covered.
#[test]
fn every_changed_byte_is_refused() {
    let enclave = Enclave::new();
    let mut document = enclave.document();
    let time = CheckTime::at(NOW_MS);
    let cold = verifier(&enclave).insecure_allow_debug().with_signature_cache(0);
    let warm = verifier(&enclave).insecure_allow_debug();
    warm.verify(&document, &time).unwrap();
    for index in 0..document.len() {
        document[index] ^= 0x01;
        let code = cold.verify(&document, &time).map(|_| ()).unwrap_err();
        assert_eq!(warm.verify(&document, &time).map(|_| ()), Err(code), "byte {index}");
        document[index] ^= 0x01;
    }
    cold.verify(&document, &time).unwrap();
}

#[test]
fn documents_of_other_roots_are_refused() {
    let document = Enclave::new().document();
    let verifier = Verifier::new(TrustAnchor::aws_nitro()).with_provider(provider());
    let error = verifier.verify(&document, &CheckTime::at(NOW_MS)).unwrap_err();
    assert_eq!(error.code(), "root_not_trusted");
}

#[test]
fn certificates_that_are_not_roots_are_refused() {
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

#[test]
fn clocks_decide_as_documented() {
    judged(cases::CLOCK);
}

#[test]
fn debug_enclaves_need_the_escape() {
    judged(cases::DEBUG);
}

fn refused(cases: &[Case]) {
    for (name, code, change) in cases {
        let enclave = Enclave::with(change);
        let verdict = judge(&enclave, &enclave.document(), &CheckTime::at(NOW_MS), false);
        assert_eq!(verdict, Err(*code), "{name}");
    }
}

fn judged(cases: &[Judged]) {
    for case in cases {
        let enclave = Enclave::with(case.change);
        let time = CheckTime { now_ms: case.now_ms, leeway_ms: case.leeway_ms };
        let verdict = judge(&enclave, &enclave.document(), &time, case.allow_debug);
        assert_eq!(verdict.err(), case.code, "{}", case.name);
    }
}
