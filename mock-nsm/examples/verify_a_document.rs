//! Makes a document with the mock, verifies it under the mock's root, and shows how a fault is refused.

use ok2cry_attest_verify::{CheckTime, TrustAnchor, Verifier};
use ok2cry_enclave::platform::nsm::{AttestationRequest, Nsm};
use ok2cry_mock_nsm::{Answer, MockConfig, MockNsm, MockPki, TimeSource};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let now_ms = TimeSource::System.now_ms();
    let pki = MockPki::generate(now_ms)?;
    let verifier = Verifier::new(TrustAnchor::from_der(pki.root_der())?);
    let mut nsm = MockNsm::new(pki, MockConfig::default());
    let handle = nsm.handle();

    let request = AttestationRequest { user_data: Some(b"user data"), ..Default::default() };
    let bytes = nsm.attest(&request)?;
    let document = verifier.verify(&bytes, &CheckTime::at(now_ms))?;
    println!("verified: timestamp {}", document.timestamp_ms());

    handle.set_answer(Answer::OtherRoot);
    match verifier.verify(&nsm.attest(&request)?, &CheckTime::at(now_ms)) {
        Err(error) => println!("refused: {}", error.code()),
        Ok(_) => return Err("a document under another root was accepted".into()),
    }
    Ok(())
}
