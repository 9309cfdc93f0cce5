//! Documents of a long-running module verify under its first root.

mod common;

use common::{HOUR_MS, NOW_MS, attest, module};
use ok2cry_enclave::platform::nsm::Nsm;

#[test]
fn leaf_is_reused_for_two_hours() {
    let mut nsm = module();
    let first = attest(&mut nsm).leaf();
    nsm.handle().set_time_offset_ms(2 * HOUR_MS);
    assert_eq!(attest(&mut nsm).leaf(), first);
}

#[test]
fn leaf_is_renewed_before_it_expires() {
    let mut nsm = module();
    let first = attest(&mut nsm);
    nsm.handle().set_time_offset_ms(2 * HOUR_MS + 4_000);
    let second = attest(&mut nsm);
    assert_ne!(second.leaf(), first.leaf());
    assert_eq!(second.module_id(), first.module_id());
    // The first leaf is still valid then.
    assert!(first.chains_to(nsm.root_certificate(), second.timestamp()));
    assert!(second.is_signed() && second.chains_to(nsm.root_certificate(), second.timestamp()));
}

#[test]
fn renewed_leaf_has_another_key() {
    let mut nsm = module();
    let first = attest(&mut nsm).certificates().pop().unwrap();
    nsm.handle().set_time_offset_ms(3 * HOUR_MS);
    let second = attest(&mut nsm).certificates().pop().unwrap();
    assert_ne!(
        first.tbs_certificate().subject_public_key_info(),
        second.tbs_certificate().subject_public_key_info()
    );
}

#[test]
fn module_that_runs_for_weeks_keeps_verifying() {
    let mut nsm = module();
    let handle = nsm.handle();
    let mut intermediates = std::collections::BTreeSet::new();
    for step in 0..120 {
        handle.set_time_offset_ms(step * 7 * HOUR_MS);
        let document = attest(&mut nsm);
        assert!(document.is_signed(), "after {} hours", step * 7);
        assert!(document.chains_to(nsm.root_certificate(), handle.now_ms()), "after {} hours", step * 7);
        intermediates.extend(document.chain().into_iter().skip(1).take(3));
    }
    // Every authority below the root was replaced, each more often than the one above it.
    assert!(intermediates.len() > 3 * 3);
}

#[test]
fn clock_that_goes_back_by_half_an_hour_keeps_verifying() {
    let mut nsm = module();
    let handle = nsm.handle();
    attest(&mut nsm);
    handle.set_time_offset_ms(-HOUR_MS / 2);
    let document = attest(&mut nsm);
    assert_eq!(document.timestamp(), NOW_MS - 30 * 60 * 1000);
    assert!(document.is_signed() && document.chains_to(nsm.root_certificate(), document.timestamp()));
}

#[test]
fn document_lies_within_the_validity_of_its_leaf() {
    let mut nsm = module();
    let handle = nsm.handle();
    for minutes in [0, 90, 150, 260] {
        handle.set_time_offset_ms(minutes * 60 * 1000);
        let document = attest(&mut nsm);
        let leaf = document.certificates().pop().unwrap();
        let validity = *leaf.tbs_certificate().validity();
        let timestamp = u128::from(document.timestamp());
        assert!(validity.not_before.to_unix_duration().as_millis() <= timestamp);
        assert!(timestamp <= validity.not_after.to_unix_duration().as_millis());
    }
}
