//! The strict verifier accepts honest documents under the mock's root, names the fault of others, and accepts
//! none of them under AWS's root.

// Tests and their helpers may panic.
#![allow(clippy::unwrap_used)]

mod common;

use common::{HOUR_MS, NOW_MS, module, module_with};
use ok2cry_attest_verify::{CheckTime, TrustAnchor, Verifier};
use ok2cry_enclave::platform::nsm::{AttestationRequest, Nsm};
use ok2cry_mock_nsm::{Answer, MockConfig, MockNsm, PayloadMap};

const REQUEST: AttestationRequest<'_> = AttestationRequest {
    user_data: Some(b"user data"),
    public_key: Some(b"public key"),
    nonce: Some(b"nonce"),
};

#[test]
fn honest_documents_are_verified_without_any_leeway() {
    for payload_map in [PayloadMap::Indefinite, PayloadMap::Definite] {
        let mut nsm = module_with(MockConfig { payload_map, ..Default::default() });
        let document = nsm.attest(&REQUEST).unwrap();
        verifier(&nsm).verify(&document, &CheckTime::exactly(NOW_MS)).unwrap();
        verifier(&nsm).verify_historical(&document).unwrap();
    }
}

#[test]
fn verified_documents_hold_the_requested_fields() {
    let mut nsm = module();
    let document = nsm.attest(&REQUEST).unwrap();
    let verified = verifier(&nsm).verify(&document, &CheckTime::at(NOW_MS)).unwrap();
    assert_eq!(verified.user_data(), REQUEST.user_data);
    assert_eq!(verified.public_key(), REQUEST.public_key);
    assert_eq!(verified.nonce(), REQUEST.nonce);
    assert_eq!(verified.timestamp_ms(), NOW_MS);
}

#[test]
fn documents_verify_while_a_module_runs_for_weeks() {
    let mut nsm = module();
    let (handle, verifier) = (nsm.handle(), verifier(&nsm));
    for step in 0..40 {
        handle.set_time_offset_ms(step * 19 * HOUR_MS);
        let document = nsm.attest(&REQUEST).unwrap();
        verifier.verify(&document, &CheckTime::exactly(handle.now_ms())).unwrap();
    }
}

#[test]
fn documents_do_not_verify_under_the_root_of_aws() {
    let document = module().attest(&REQUEST).unwrap();
    let verifier = Verifier::new(TrustAnchor::aws_nitro());
    let error = verifier.verify(&document, &CheckTime::at(NOW_MS)).unwrap_err();
    assert_eq!(error.code(), "root_not_trusted");
}

#[test]
fn faults_are_named() {
    for (answer, code) in
        [(Answer::BrokenSignature, "document_signature_invalid"), (Answer::OtherRoot, "root_not_trusted")]
    {
        let mut nsm = module();
        nsm.handle().set_answer(answer);
        assert_eq!(refusal(&mut nsm), code);
    }
}

#[test]
fn garbage_is_refused() {
    let mut nsm = module();
    nsm.handle().set_answer(Answer::Garbage);
    let answer = nsm.attest(&REQUEST).unwrap();
    assert!(verifier(&nsm).verify(&answer, &CheckTime::at(NOW_MS)).is_err());
}

#[test]
fn wrong_user_data_and_public_key_verify() {
    for answer in [Answer::WrongUserData, Answer::WrongPublicKey] {
        let mut nsm = module();
        nsm.handle().set_answer(answer);
        let document = nsm.attest(&REQUEST).unwrap();
        let verified = verifier(&nsm).verify(&document, &CheckTime::at(NOW_MS)).unwrap();
        assert_eq!(verified.user_data() == REQUEST.user_data, answer != Answer::WrongUserData);
        assert_eq!(verified.public_key() == REQUEST.public_key, answer != Answer::WrongPublicKey);
    }
}

#[test]
fn timestamp_outside_the_leaf_is_refused() {
    let mut nsm = module();
    nsm.handle().set_timestamp_offset_ms(-HOUR_MS);
    assert_eq!(refusal(&mut nsm), "timestamp_outside_leaf");
}

#[test]
fn debug_mode_is_refused() {
    assert_eq!(refusal(&mut module_with(MockConfig::default().in_debug_mode())), "debug_mode");
}

fn verifier(nsm: &MockNsm) -> Verifier {
    Verifier::new(TrustAnchor::from_der(nsm.root_certificate()).unwrap())
}

fn refusal(nsm: &mut MockNsm) -> &'static str {
    let document = nsm.attest(&REQUEST).unwrap();
    verifier(nsm).verify(&document, &CheckTime::at(NOW_MS)).unwrap_err().code()
}
