//! Each fault has its effect and no other.

mod common;

use std::thread;
use std::time::Duration;

use common::{DecodedDocument, NOW_MS, attest, module, module_with};
use ok2cry_enclave::platform::nsm::{AttestationRequest, Nsm, NsmError};
use ok2cry_mock_nsm::{Answer, Faults, MockConfig, MockNsm};

const REQUEST: AttestationRequest<'_> =
    AttestationRequest { user_data: Some(b"user data"), public_key: Some(b"public key"), nonce: None };

#[test]
fn next_calls_fail_and_the_one_after_does_not() {
    let mut nsm = module();
    nsm.handle().fail_next(2);
    assert!(fails(&mut nsm) && fails(&mut nsm) && !fails(&mut nsm));
    assert_eq!(nsm.handle().faults(), Faults::default());
}

#[test]
fn every_call_fails_until_the_fault_is_cleared() {
    let mut nsm = module();
    nsm.handle().fail_always(true);
    assert!(fails(&mut nsm) && fails(&mut nsm) && fails(&mut nsm));
    nsm.handle().fail_always(false);
    assert!(!fails(&mut nsm));
}

#[test]
fn faults_of_the_configuration_hold_from_the_first_call() {
    let faults = Faults { fail_next: 1, ..Default::default() };
    let mut nsm = module_with(MockConfig { faults, ..Default::default() });
    assert!(fails(&mut nsm) && !fails(&mut nsm));
}

#[test]
fn held_call_returns_when_released_with_the_time_of_its_release() {
    let mut nsm = module();
    let handle = nsm.handle();
    handle.hang();
    let call = thread::spawn(move || attest(&mut nsm).timestamp());
    while handle.calls() == 0 {
        thread::yield_now();
    }
    handle.set_time_offset_ms(5_000);
    assert!(!call.is_finished());
    handle.release();
    assert_eq!(call.join().unwrap(), NOW_MS + 5_000);
}

#[test]
fn clearing_the_faults_releases_held_calls() {
    let mut nsm = module();
    let handle = nsm.handle();
    handle.set_faults(Faults { hang: true, fail_always: true, ..Default::default() });
    let call = thread::spawn(move || fails(&mut nsm));
    while handle.calls() == 0 {
        thread::yield_now();
    }
    handle.clear_faults();
    assert!(!call.join().unwrap());
}

#[test]
fn garbage_is_not_a_document() {
    let mut nsm = answering(Answer::Garbage);
    let answer = nsm.attest(&REQUEST).unwrap();
    assert!(coset::CborSerializable::from_slice(&answer).map(|_: coset::CoseSign1| ()).is_err());
}

#[test]
fn broken_signature_is_the_only_thing_wrong() {
    let mut nsm = answering(Answer::BrokenSignature);
    let document = DecodedDocument::decode(&nsm.attest(&REQUEST).unwrap());
    assert!(!document.is_signed());
    assert!(document.chains_to(nsm.root_certificate(), NOW_MS));
    assert_carries(&document, [b"user data", b"public key"]);
}

#[test]
fn other_root_is_the_only_thing_wrong() {
    let mut nsm = answering(Answer::OtherRoot);
    let document = DecodedDocument::decode(&nsm.attest(&REQUEST).unwrap());
    let root = document.chain().remove(0);
    assert_ne!(root, nsm.root_certificate());
    assert!(document.is_signed() && document.chains_to(&root, NOW_MS));
    assert_carries(&document, [b"user data", b"public key"]);

    nsm.handle().clear_faults();
    let honest = attest(&mut nsm);
    assert_eq!(honest.module_id(), document.module_id());
    assert_eq!(
        honest.certificates()[0].tbs_certificate().subject(),
        document.certificates()[0].tbs_certificate().subject()
    );
}

#[test]
fn other_root_stays_the_same() {
    let mut nsm = answering(Answer::OtherRoot);
    assert_eq!(attest(&mut nsm).chain(), attest(&mut nsm).chain());
}

#[test]
fn wrong_user_data_is_the_only_thing_wrong() {
    let mut nsm = answering(Answer::WrongUserData);
    let document = DecodedDocument::decode(&nsm.attest(&REQUEST).unwrap());
    assert!(document.is_signed() && document.chains_to(nsm.root_certificate(), NOW_MS));
    assert_carries(&document, [b"user dat`", b"public key"]);
}

#[test]
fn wrong_public_key_is_the_only_thing_wrong() {
    let mut nsm = answering(Answer::WrongPublicKey);
    let document = DecodedDocument::decode(&nsm.attest(&REQUEST).unwrap());
    assert!(document.is_signed() && document.chains_to(nsm.root_certificate(), NOW_MS));
    assert_carries(&document, [b"user data", b"public kex"]);
}

#[test]
fn wrong_user_data_appears_if_none_was_requested() {
    let document = attest(&mut answering(Answer::WrongUserData));
    assert_eq!(document.field("user_data").as_bytes(), Some(&vec![0]));
}

#[test]
fn timestamp_moves_both_ways_and_the_leaf_stays() {
    let mut nsm = module();
    let honest = attest(&mut nsm);
    for (offset_ms, expected) in [(-90_000, NOW_MS - 90_000), (90_000, NOW_MS + 90_000), (i64::MIN, 0)] {
        nsm.handle().set_timestamp_offset_ms(offset_ms);
        let document = attest(&mut nsm);
        assert_eq!(document.timestamp(), expected);
        assert_eq!(document.leaf(), honest.leaf());
    }
}

#[test]
fn failed_calls_count_too() {
    let mut nsm = module();
    let handle = nsm.handle();
    handle.fail_next(1);
    assert!(fails(&mut nsm));
    attest(&mut nsm);
    let oversized = AttestationRequest { nonce: Some(&[0; 4096]), ..Default::default() };
    assert!(nsm.attest(&oversized).is_err());
    assert_eq!(handle.calls(), 3);
}

#[test]
fn latency_applies_to_failing_calls_too() {
    // No upper bound is asserted, and the lower one is what `sleep` promises.
    let mut nsm = module();
    nsm.handle().set_latency(Duration::from_millis(20));
    nsm.handle().fail_next(1);
    let began = std::time::Instant::now();
    assert!(fails(&mut nsm));
    assert!(began.elapsed() >= Duration::from_millis(20));
}

fn answering(answer: Answer) -> MockNsm {
    let nsm = module();
    nsm.handle().set_answer(answer);
    nsm
}

fn fails(nsm: &mut MockNsm) -> bool {
    match nsm.attest(&REQUEST) {
        Ok(_) => false,
        Err(error) => {
            assert!(matches!(error, NsmError::Refused(_)), "{error}");
            true
        }
    }
}

/// Checks user data and public key.
fn assert_carries(document: &DecodedDocument, [user_data, public_key]: [&[u8]; 2]) {
    assert_eq!(document.field("user_data").as_bytes().map(Vec::as_slice), Some(user_data));
    assert_eq!(document.field("public_key").as_bytes().map(Vec::as_slice), Some(public_key));
}
