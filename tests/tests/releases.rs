//! Releases and the clients that follow them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ok2cry_attest_forge::{
    Enclave, NOW_MS,
    release::{ReleaseFixture, pinned_keys},
};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::Trust;
use ok2cry_release_verify::{Bundle, ReleaseKey, ReleaseState, Role, SignerKey};

#[test]
fn releases_are_trusted_under_the_root_that_they_were_checked_for() {
    let keys = pinned_keys().iter().map(|key| SignerKey::from_der(&key.der()).unwrap()).collect();
    let key = ReleaseKey::from_role(Role::new(2, keys).unwrap());
    let bundle = Bundle::decode(ReleaseFixture::new().bundle().to_string().as_bytes()).unwrap();
    let (aws, mut memory) = (TrustAnchor::aws_nitro(), ReleaseState::default());
    let accepted = key.check(&bundle, &aws, &mut memory, &CheckTime::at(NOW_MS)).unwrap();
    assert!(Trust::from_releases(aws, &accepted).is_ok());
    let mock = TrustAnchor::from_der(&Enclave::new().root()).unwrap();
    let refused = Trust::from_releases(mock, &accepted).unwrap_err();
    assert_eq!(refused.code(), "attestation_root_mismatch");
}
