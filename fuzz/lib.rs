//! What the fuzz targets hold a verifier to.

use std::sync::LazyLock;

use ok2cry_attest_forge::Enclave;
use ok2cry_attest_verify::{CheckTime, Error, PCR_LEN, Provider, TrustAnchor, VerifiedDocument, Verifier};

/// One verdict, whichever provider, whatever was verified before. Panics if there are two.
///
/// `thorough` asks the slow provider as well.
pub fn one_verdict<'a>(
    root: &TrustAnchor,
    bytes: &'a [u8],
    time: Option<&CheckTime>,
    debug: bool,
    thorough: bool,
) -> Result<VerifiedDocument<'a>, Error> {
    let judge = |verifier: &Verifier| {
        let verifier = verifier.clone();
        let verifier = if debug { verifier.insecure_allow_debug() } else { verifier };
        match time {
            Some(time) => verifier.verify(bytes, time),
            None => verifier.verify_historical(bytes),
        }
    };
    let fast = Verifier::new(root.clone()).with_provider(Provider::aws_lc_rs());
    let verdict = judge(&fast.clone().with_signature_cache(0));
    let expected = shown(&verdict);
    assert_eq!(shown(&judge(&fast)), expected, "into an empty memory");
    assert_eq!(shown(&judge(&fast)), expected, "from memory");
    if root == EXPERIENCED.0.as_ref() {
        assert_eq!(shown(&judge(&EXPERIENCED.1)), expected, "after all documents before this one");
    }
    if thorough {
        let slow = Verifier::new(root.clone()).with_provider(Provider::p384());
        assert_eq!(shown(&judge(&slow)), expected, "by the other provider");
    }
    if let Ok(document) = &verdict {
        check(document, root, time, debug);
    }
    verdict
}

/// The root of the unchanged [`Enclave`], and a verifier under it that remembers little and sees every document.
static EXPERIENCED: LazyLock<(Box<TrustAnchor>, Verifier)> = LazyLock::new(|| {
    let root = TrustAnchor::from_der(&Enclave::new().root()).expect("the root of the forge");
    let verifier = Verifier::new(root.clone()).with_provider(Provider::aws_lc_rs()).with_signature_cache(8);
    (Box::new(root), verifier)
});

/// What is true of every document that is accepted.
fn check(document: &VerifiedDocument<'_>, root: &TrustAnchor, time: Option<&CheckTime>, debug: bool) {
    let chain: Vec<_> = document.chain().collect();
    assert_eq!(chain[0].der(), root.as_der());
    assert!((2..=7).contains(&chain.len()));
    let own = CheckTime::exactly(document.timestamp_ms());
    let time = time.unwrap_or(&own);
    for certificate in &chain {
        assert!(certificate.not_before_ms() <= time.now_ms.saturating_add(time.leeway_ms));
        assert!(time.now_ms <= certificate.not_after_ms());
        assert!((1..=1024).contains(&certificate.der().len()));
        // Reports must not panic.
        let _ = (certificate.subject(), certificate.common_name());
    }
    let leaf = document.leaf();
    assert!((leaf.not_before_ms()..=leaf.not_after_ms()).contains(&document.timestamp_ms()));
    assert!(document.timestamp_ms() <= time.now_ms.saturating_add(time.leeway_ms));
    assert!(!document.module_id().is_empty());
    let zero = (0..=2).filter(|index| *document.pcr(*index).expect("PCR0 to 2") == [0; PCR_LEN]).count();
    assert!(zero == 0 || (zero == 3 && debug && document.is_debug()));
    assert!(document.pcrs().iter().count() <= 32);
    assert!(document.public_key().is_none_or(|key| (1..=1024).contains(&key.len())));
    assert!([document.user_data(), document.nonce()].iter().flatten().all(|value| value.len() <= 1024));
}

fn shown(verdict: &Result<VerifiedDocument<'_>, Error>) -> Result<String, Error> {
    verdict.as_ref().map(|document| format!("{document:?}")).map_err(Clone::clone)
}
