//! The chain has the shape of AWS's and other names.

mod common;

use std::collections::BTreeSet;

use common::{NOW_MS, attest, is_issued_by, module};
use ok2cry_mock_nsm::{MockConfig, MockNsm, MockPki};
use x509_cert::Certificate;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, DecodePem, Encode};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier};
use x509_cert::time::Time;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const AUTHORITY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

#[test]
fn certificates_have_the_extensions_of_aws_in_their_order() {
    let expected = [
        vec![(BASIC_CONSTRAINTS, true), (SUBJECT_ID, false), (KEY_USAGE, true)],
        vec![(BASIC_CONSTRAINTS, true), (AUTHORITY_ID, false), (SUBJECT_ID, false), (KEY_USAGE, true)],
        vec![(BASIC_CONSTRAINTS, true), (AUTHORITY_ID, false), (SUBJECT_ID, false), (KEY_USAGE, true)],
        vec![(BASIC_CONSTRAINTS, true), (KEY_USAGE, true), (SUBJECT_ID, false), (AUTHORITY_ID, false)],
        vec![(BASIC_CONSTRAINTS, true), (KEY_USAGE, false)],
    ];
    let shapes: Vec<Vec<_>> = chain()
        .iter()
        .map(|c| c.tbs_certificate().extensions().unwrap().iter().map(|e| (e.extn_id, e.critical)).collect())
        .collect();
    assert_eq!(shapes, expected);
}

#[test]
fn basic_constraints_are_those_of_aws() {
    let expected: [&[u8]; 5] = [
        &[0x30, 3, 1, 1, 0xff],
        &[0x30, 6, 1, 1, 0xff, 2, 1, 2],
        &[0x30, 6, 1, 1, 0xff, 2, 1, 1],
        &[0x30, 6, 1, 1, 0xff, 2, 1, 0],
        &[0x30, 0],
    ];
    for (certificate, der) in chain().iter().zip(expected) {
        assert_eq!(extension(certificate, BASIC_CONSTRAINTS), der);
    }
}

#[test]
fn key_usages_are_those_of_aws() {
    let (authority, instance, leaf) = ([3, 2, 1, 0x86], [3, 2, 2, 0x04], [3, 2, 6, 0xc0]);
    let expected = [authority, authority, authority, instance, leaf];
    for (certificate, der) in chain().iter().zip(expected) {
        assert_eq!(extension(certificate, KEY_USAGE), der);
    }
}

#[test]
fn validity_has_the_length_of_aws() {
    let (hour, day) = (60 * 60, 24 * 60 * 60);
    // Root, regional and zonal are backdated by an hour.
    let expected = [30 * 365 * day + 8 * day + hour, 20 * day + hour, 6 * day - 2 * hour, day, 3 * hour + 3];
    let lengths: Vec<u64> = chain().iter().map(|c| seconds(c).1 - seconds(c).0).collect();
    assert_eq!(lengths, expected);
}

#[test]
fn leaf_and_instance_are_not_backdated() {
    for certificate in &chain()[3..] {
        assert_eq!(seconds(certificate).0, NOW_MS / 1000);
    }
}

#[test]
fn years_from_2050_on_are_generalized_time() {
    let root = &chain()[0];
    let validity = root.tbs_certificate().validity();
    assert!(matches!(validity.not_before, Time::UtcTime(_)));
    assert!(matches!(validity.not_after, Time::GeneralTime(_)));
}

#[test]
fn each_certificate_is_issued_by_the_one_before() {
    let chain = chain();
    assert!(is_issued_by(&chain[0], &chain[0]));
    for pair in chain.windows(2) {
        assert!(is_issued_by(&pair[1], &pair[0]));
    }
}

#[test]
fn authority_key_identifiers_name_the_issuers_key() {
    for pair in chain()[..4].windows(2) {
        let issuer = SubjectKeyIdentifier::from_der(&extension(&pair[0], SUBJECT_ID)).unwrap();
        let named = AuthorityKeyIdentifier::from_der(&extension(&pair[1], AUTHORITY_ID)).unwrap();
        assert_eq!(named.key_identifier, Some(issuer.0));
    }
}

#[test]
fn every_key_is_p384_and_every_signature_is_with_sha384() {
    let ecdsa_with_sha384 = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
    let secp384r1 = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    for certificate in chain() {
        let inner = certificate.tbs_certificate();
        for algorithm in [certificate.signature_algorithm(), inner.signature()] {
            assert_eq!((algorithm.oid, algorithm.parameters.is_none()), (ecdsa_with_sha384, true));
        }
        let curve = inner.subject_public_key_info().algorithm.parameters.as_ref().unwrap();
        assert_eq!(curve.decode_as::<ObjectIdentifier>().unwrap(), secp384r1);
    }
}

#[test]
fn serial_numbers_are_positive_and_distinct() {
    let serials: BTreeSet<Vec<u8>> =
        chain().iter().map(|c| c.tbs_certificate().serial_number().as_bytes().to_vec()).collect();
    assert_eq!(serials.len(), 5);
    assert!(serials.iter().all(|serial| serial.len() == 16 && serial[0] < 0x80));
}

#[test]
fn certificates_are_der_and_within_the_limit_of_a_document() {
    for der in attest(&mut module()).chain() {
        assert!(der.len() <= 1024, "{} bytes", der.len());
        assert_eq!(Certificate::from_der(&der).unwrap().to_der().unwrap(), der);
    }
}

#[test]
fn every_subject_says_that_it_is_a_mock() {
    for certificate in chain() {
        let subject = certificate.tbs_certificate().subject();
        assert_eq!(subject.organization().unwrap().unwrap().value(), "ok2cry mock, not Amazon");
        assert_eq!(subject.country().unwrap().unwrap().as_str(), "ZZ");
        assert!(subject.common_name().unwrap().unwrap().value().contains("mock"));
    }
}

#[test]
fn subjects_have_the_attribute_order_of_aws() {
    let expected =
        ["C O OU CN", "C O OU CN", "CN OU O C ST L", "C ST L O OU CN", "C ST L O OU CN"].map(str::to_owned);
    let orders: Vec<String> = chain()
        .iter()
        .map(|certificate| {
            let subject = certificate.tbs_certificate().subject();
            subject.iter().map(|attribute| short_name(attribute.oid)).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(orders, expected);
}

#[test]
fn leaf_names_its_module() {
    let document = attest(&mut module());
    let leaf = document.certificates().pop().unwrap();
    let name = leaf.tbs_certificate().subject().common_name().unwrap().unwrap();
    assert!(name.value().starts_with(&format!("{}.", document.module_id())));
}

#[test]
fn every_root_is_another() {
    let (one, other) = (MockPki::generate(NOW_MS).unwrap(), MockPki::generate(NOW_MS).unwrap());
    assert_ne!(one.root_der(), other.root_der());
}

#[test]
fn root_as_pem_is_the_root_as_der() {
    let pki = MockPki::generate(NOW_MS).unwrap();
    assert_eq!(Certificate::from_pem(pki.root_pem()).unwrap().to_der().unwrap(), pki.root_der());
}

#[test]
fn debug_output_holds_no_key() {
    let pki = MockPki::generate(NOW_MS).unwrap();
    let shown = format!("{pki:?}");
    assert_eq!(shown, format!("MockPki {{ instance_id: {:?}, .. }}", pki.instance_id()));

    let mut nsm = MockNsm::new(pki, MockConfig::default());
    attest(&mut nsm);
    assert!(!format!("{nsm:?}").contains("Key"));
}

fn chain() -> Vec<Certificate> {
    attest(&mut module()).certificates()
}

fn extension(certificate: &Certificate, oid: ObjectIdentifier) -> Vec<u8> {
    let mut extensions = certificate.tbs_certificate().extensions().into_iter().flatten();
    extensions.find(|e| e.extn_id == oid).map(|e| e.extn_value.as_bytes().to_vec()).unwrap_or_default()
}

fn seconds(certificate: &Certificate) -> (u64, u64) {
    let validity = certificate.tbs_certificate().validity();
    (validity.not_before.to_unix_duration().as_secs(), validity.not_after.to_unix_duration().as_secs())
}

fn short_name(oid: ObjectIdentifier) -> &'static str {
    match oid.to_string().as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        _ => "?",
    }
}
