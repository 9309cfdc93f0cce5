//! Documents have the encoding of the real module.

mod common;

use common::{DecodedDocument, NOW_MS, attest, module, module_with};
use coset::CborSerializable;
use coset::cbor::value::Value;
use ok2cry_enclave::platform::nsm::{AttestationRequest, Nsm, NsmError};
use ok2cry_mock_nsm::{MockConfig, MockNsm, MockPki, PayloadMap};

const FULL: AttestationRequest<'_> =
    AttestationRequest { user_data: Some(&[1; 512]), public_key: Some(&[2; 1024]), nonce: Some(&[3; 512]) };

#[test]
fn documents_start_and_end_like_real_ones() {
    let document = module().attest(&FULL).unwrap();
    // Untagged array of four, ES384, no unprotected header, a payload with a length of two bytes.
    assert_eq!(document[..8], [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x59]);
    let payload = usize::from(u16::from_be_bytes([document[8], document[9]]));
    let signature = &document[10 + payload..];
    assert_eq!((signature[0], signature[1], signature.len()), (0x58, 96, 2 + 96));
}

#[test]
fn documents_have_the_field_order_of_real_ones() {
    let expected = [
        "module_id",
        "digest",
        "timestamp",
        "pcrs",
        "certificate",
        "cabundle",
        "public_key",
        "user_data",
        "nonce",
    ];
    for payload_map in [PayloadMap::Indefinite, PayloadMap::Definite] {
        let mut nsm = module_with(MockConfig { payload_map, ..Default::default() });
        assert_eq!(attest(&mut nsm).keys, expected);
    }
}

#[test]
fn payload_is_an_indefinite_map_unless_asked_otherwise() {
    let payload = attest(&mut module()).cose.payload.unwrap();
    assert_eq!((payload[0], payload.last()), (0xbf, Some(&0xff)));

    let config = MockConfig { payload_map: PayloadMap::Definite, ..Default::default() };
    let payload = attest(&mut module_with(config)).cose.payload.unwrap();
    assert_eq!(payload[0], 0xa9);
}

#[test]
fn every_length_is_minimal_and_every_inner_item_definite() {
    let payload = attest(&mut module()).cose.payload.unwrap();
    let value: Value = coset::cbor::from_reader(payload.as_slice()).unwrap();
    let mut definite = Vec::new();
    coset::cbor::into_writer(&value, &mut definite).unwrap();
    // The canonical encoder's output differs in the outermost map's head and the break alone.
    assert_eq!(payload[1..payload.len() - 1], definite[1..]);
}

#[test]
fn nothing_trails_the_signature() {
    let bytes = module().attest(&FULL).unwrap();
    assert_eq!(DecodedDocument::decode(&bytes).cose.to_vec().unwrap(), bytes);
}

#[test]
fn fields_that_were_not_requested_are_null() {
    let document = attest(&mut module());
    for name in ["public_key", "user_data", "nonce"] {
        assert!(document.field(name).is_null(), "{name}");
    }
}

#[test]
fn requested_fields_are_carried() {
    let document = DecodedDocument::decode(&module().attest(&FULL).unwrap());
    assert_eq!(document.field("user_data").as_bytes().map(Vec::as_slice), FULL.user_data);
    assert_eq!(document.field("public_key").as_bytes().map(Vec::as_slice), FULL.public_key);
    assert_eq!(document.field("nonce").as_bytes().map(Vec::as_slice), FULL.nonce);
}

#[test]
fn empty_fields_are_carried_as_empty() {
    let request = AttestationRequest { user_data: Some(&[]), ..Default::default() };
    let document = DecodedDocument::decode(&module().attest(&request).unwrap());
    assert_eq!(document.field("user_data"), &Value::Bytes(Vec::new()));
}

#[test]
fn digest_and_timestamp_are_those_of_the_module() {
    let document = attest(&mut module());
    assert_eq!(document.field("digest").as_text(), Some("SHA384"));
    assert_eq!(document.timestamp(), NOW_MS);
}

#[test]
fn pcrs_are_the_configured_ones_in_ascending_order() {
    let config = MockConfig::with_image_name("another image");
    let expected: Vec<_> =
        config.pcrs.iter().map(|(i, pcr)| (Value::from(*i), Value::from(pcr.as_slice()))).collect();
    let document = attest(&mut module_with(config));
    assert_eq!(document.field("pcrs"), &Value::Map(expected));
}

#[test]
fn module_id_has_the_form_of_real_ones_and_the_mark_of_the_mock() {
    let document = attest(&mut module());
    let (instance, enclave) = document.module_id().split_once("-enc").unwrap();
    assert!(instance.starts_with("i-0facade") && enclave.starts_with("facade"));
    assert_eq!((instance.len(), enclave.len()), (19, 16));
    assert!(instance[2..].chars().chain(enclave.chars()).all(|c| matches!(c, '0'..='9' | 'a'..='f')));
}

#[test]
fn module_id_stays_and_modules_of_one_instance_differ() {
    let pki = MockPki::generate(NOW_MS).unwrap();
    let mut one = MockNsm::new(pki.clone(), MockConfig::default());
    let mut other = MockNsm::new(pki.clone(), MockConfig::default());
    let (first, again, second) = (attest(&mut one), attest(&mut one), attest(&mut other));
    assert_eq!(first.module_id(), again.module_id());
    assert_ne!(first.module_id(), second.module_id());
    assert!(second.module_id().starts_with(pki.instance_id()));
    assert_eq!(one.root_certificate(), other.root_certificate());
}

#[test]
fn largest_document_fits_the_answer_of_the_real_module() {
    let pcrs = (0..32).map(|index| (index, [0xff; 48])).collect();
    let mut nsm = module_with(MockConfig { pcrs, ..Default::default() });
    assert!(nsm.attest(&FULL).unwrap().len() <= 12_288);
}

#[test]
fn oversized_user_data_is_refused() {
    refuses("user_data", &AttestationRequest { user_data: Some(&[0; 513]), ..Default::default() });
}

#[test]
fn oversized_nonce_is_refused() {
    refuses("nonce", &AttestationRequest { nonce: Some(&[0; 513]), ..Default::default() });
}

#[test]
fn oversized_public_key_is_refused() {
    refuses("public_key", &AttestationRequest { public_key: Some(&[0; 1025]), ..Default::default() });
}

#[test]
fn documents_are_signed_under_the_root_of_the_module() {
    let mut nsm = module();
    let document = attest(&mut nsm);
    assert!(document.is_signed());
    assert!(document.chains_to(nsm.root_certificate(), NOW_MS));
}

fn refuses(field: &str, request: &AttestationRequest<'_>) {
    let answer = module().attest(request);
    assert!(
        matches!(&answer, Err(NsmError::Refused(reason)) if reason.contains(field)),
        "{field}: {answer:?}"
    );
}
