//! The test suite for documents. It runs once per provider: `tests/p384.rs`, `tests/aws_lc_rs.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::indexing_slicing, reason = "test code over documents of its own")]

mod appraisal;
mod cache;
mod hostile;
mod real_documents;

mod vectors;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use ok2cry_attest_forge::{Enclave, NOW_MS};
use ok2cry_attest_verify::{CheckTime, Error, TrustAnchor, VerifiedDocument, Verifier};

use crate::provider;

/// A verifier under the root of `enclave` with an empty cache.
fn verifier(enclave: &Enclave) -> Verifier {
    Verifier::new(anchor(enclave)).with_provider(provider())
}

fn anchor(enclave: &Enclave) -> TrustAnchor {
    TrustAnchor::from_der(&enclave.root()).unwrap()
}

/// The verdict on a document. It must be the same for every state of the cache: empty, after the same
/// document, after a good document of the same chain, and after all documents of earlier calls.
fn judge(enclave: &Enclave, bytes: &[u8], time: &CheckTime, debug: bool) -> Result<(), &'static str> {
    let of = |verifier: Verifier| if debug { verifier.insecure_allow_debug() } else { verifier };
    let cold = of(verifier(enclave)).with_signature_cache(0);
    let expected = shown(cold.verify(bytes, time));

    let warm = of(verifier(enclave));
    // If the change is in the root itself, this document is refused and nothing is cached.
    let _ = warm.verify(&GOOD, &CheckTime::at(NOW_MS));
    for _ in 0..2 {
        assert_eq!(shown(warm.verify(bytes, time)), expected, "warm");
    }
    let tiny = of(verifier(enclave)).with_signature_cache(1);
    for _ in 0..2 {
        assert_eq!(shown(tiny.verify(bytes, time)), expected, "with room for one certificate");
    }
    let experienced = experienced(enclave);
    assert_eq!(shown(of(experienced.clone()).verify(bytes, time)), expected, "after everything else");
    let _ = experienced.insecure_allow_debug().verify_historical(bytes);
    expected.map(|_| ()).map_err(|error| error.code())
}

/// A document like those of real modules.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| Enclave::new().document());

/// The verifier of this root that all tests share.
fn experienced(enclave: &Enclave) -> Verifier {
    static SHARED: LazyLock<Mutex<HashMap<Vec<u8>, Verifier>>> = LazyLock::new(Mutex::default);
    let mut shared = SHARED.lock().unwrap();
    shared.entry(enclave.root()).or_insert_with(|| verifier(enclave)).clone()
}

/// A verdict with all its fields.
fn shown(result: Result<VerifiedDocument<'_>, Error>) -> Result<String, Error> {
    result.map(|document| format!("{document:?}"))
}
