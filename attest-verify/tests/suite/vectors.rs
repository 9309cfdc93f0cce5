//! The vectors in `tests/vectors/attestation`, read as another language reads them.

use std::collections::BTreeMap;
use std::time::Duration;

use ok2cry_attest_verify::{
    AcceptedDocument, CheckTime, Error, Measurements, PCR_LEN, Policy, TrustAnchor, Verifier,
};

use crate::provider;
use crate::vectors::{Case, Claims, Expected, files, unhex};

#[test]
fn vectors_get_their_verdicts() {
    let mut count = 0;
    // Each verifier sees all cases of its root in order, then backwards.
    for (file, root, cases) in files() {
        let mut experienced: BTreeMap<(Vec<u8>, bool), Verifier> = BTreeMap::new();
        for case in cases.iter().chain(cases.iter().rev()) {
            let root = case.root(&root);
            let anchor = TrustAnchor::from_der(&root).unwrap();
            let cold = Verifier::new(anchor).with_provider(provider());
            let cold = if case.allow_debug { cold.insecure_allow_debug() } else { cold };
            let warm = experienced.entry((root, case.allow_debug)).or_insert_with(|| cold.clone());
            for verifier in [&cold.clone().with_signature_cache(0), warm] {
                check(&format!("{file}: {}", case.name), case, verifier);
            }
            count += 1;
        }
    }
    assert!(count >= 2 * 300, "{count}");
}

fn check(name: &str, case: &Case, verifier: &Verifier) {
    let bytes = case.document();
    match (&case.expected, judge(case, verifier, &bytes)) {
        (Expected::Refused { code }, Err(error)) => assert_eq!(error.code(), code, "{name}: {error}"),
        (Expected::Accepted { claims }, Ok(document)) => assert_claims(name, claims, &document),
        (Expected::Refused { code }, Ok(_)) => panic!("{name}: accepted, expected {code}"),
        (Expected::Accepted { .. }, Err(error)) => panic!("{name}: {error}"),
    }
}

fn judge<'a>(case: &Case, verifier: &Verifier, bytes: &'a [u8]) -> Result<AcceptedDocument<'a>, Error> {
    let time = CheckTime { now_ms: case.now_ms, leeway_ms: case.leeway_ms };
    let document = verifier.verify(bytes, &time)?;
    let expected = case.policy.clone().unwrap_or_default();
    let releases = expected.releases.iter().map(|release| {
        let pcr = |value: &str| <[u8; PCR_LEN]>::try_from(unhex(value)).unwrap();
        Measurements::new(release.iter().map(|(index, value)| (index.parse().unwrap(), pcr(value)))).unwrap()
    });
    let mut policy = match expected.releases.is_empty() {
        true => Policy::insecure_without_pcrs(),
        false => Policy::new(releases).unwrap(),
    };
    if let Some(max_age_ms) = expected.max_age_ms {
        policy = policy.with_max_age(Duration::from_millis(max_age_ms));
    }
    if let Some(nonce) = &expected.nonce {
        policy = policy.with_nonce(unhex(nonce));
    }
    if let Some(user_data) = &expected.user_data {
        policy = policy.with_user_data(unhex(user_data));
    }
    policy.appraise(document, &time)
}

fn assert_claims(name: &str, claims: &Claims, document: &AcceptedDocument<'_>) {
    assert_eq!(document.module_id(), claims.module_id, "{name}");
    assert_eq!(document.timestamp_ms(), claims.timestamp_ms, "{name}");
    let pcrs: BTreeMap<_, _> = document.pcrs().iter().map(|(index, value)| (index, value.to_vec())).collect();
    let expected = claims.pcrs.iter().map(|(index, value)| (index.parse().unwrap(), unhex(value))).collect();
    assert_eq!(pcrs, expected, "{name}");
    let value = |value: &Option<String>| value.as_deref().map(unhex);
    assert_eq!(document.public_key().map(<[u8]>::to_vec), value(&claims.public_key), "{name}");
    assert_eq!(document.user_data().map(<[u8]>::to_vec), value(&claims.user_data), "{name}");
    assert_eq!(document.nonce().map(<[u8]>::to_vec), value(&claims.nonce), "{name}");
    assert_eq!(document.chain().count(), claims.chain_len, "{name}");
}
