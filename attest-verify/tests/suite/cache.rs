//! The signature cache changes the duration of a verification and nothing else.

use ok2cry_attest_forge::{Cert, Enclave, INSTANCE, LEAF, LEAF_NOT_AFTER_MS, NOW_MS, cbor, der};
use ok2cry_attest_verify::{CheckTime, Verifier};

use super::{GOOD, anchor, verifier};
use crate::provider;

#[test]
fn a_cached_chain_expires_on_time() {
    let verifier = verifier(&Enclave::new());
    verifier.verify(&GOOD, &CheckTime::at(NOW_MS)).unwrap();
    assert!(verifier.verify(&GOOD, &CheckTime::at(LEAF_NOT_AFTER_MS)).is_ok());
    let code = |now_ms| verifier.verify(&GOOD, &CheckTime::exactly(now_ms)).map(|_| ()).map_err(|e| e.code());
    assert_eq!(code(LEAF_NOT_AFTER_MS + 1), Err("expired"));
    assert_eq!(code(NOW_MS - 86_400_000), Err("not_yet_valid"));
    assert_eq!(code(NOW_MS), Ok(()));
}

/// The signed part is the same and the signature is not: the cache must not match.
#[test]
fn a_cached_certificate_with_another_signature_is_refused() {
    for place in 1..=LEAF {
        let forged = Enclave::with(|e| {
            e.certs[place].on_signature = |mut signature| {
                *signature.last_mut().unwrap() ^= 1;
                signature
            };
        });
        let verifier = verifier(&Enclave::new());
        verifier.verify(&GOOD, &CheckTime::at(NOW_MS)).unwrap();
        let error = verifier.verify(&forged.document(), &CheckTime::at(NOW_MS)).unwrap_err();
        assert_eq!(error.code(), "certificate_signature_invalid", "place {place}");
        // The refusal inserts nothing into the cache.
        let error = verifier.verify(&forged.document(), &CheckTime::at(NOW_MS)).unwrap_err();
        assert_eq!(error.code(), "certificate_signature_invalid", "place {place}");
    }
}

/// A cached leaf under an issuer of the same name with another key is another certificate.
#[test]
fn a_cached_certificate_under_another_key_is_refused() {
    let other = Enclave::with(|e| {
        e.certs[INSTANCE].point =
            ok2cry_attest_forge::key(7).verifying_key().to_sec1_point(false).as_bytes().to_vec();
    });
    let verifier = verifier(&Enclave::new());
    verifier.verify(&GOOD, &CheckTime::at(NOW_MS)).unwrap();
    let error = verifier.verify(&other.document(), &CheckTime::at(NOW_MS)).unwrap_err();
    assert_eq!(error.code(), "certificate_signature_invalid");
}

/// Cached CAs are not trusted in another role or place.
#[test]
fn cached_certificates_open_no_new_paths() {
    let verifier = verifier(&Enclave::new());
    verifier.verify(&GOOD, &CheckTime::at(NOW_MS)).unwrap();
    let code = |change: fn(&mut Enclave)| {
        let document = Enclave::with(change).document();
        verifier.verify(&document, &CheckTime::at(NOW_MS)).map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(
        code(|e| {
            e.certs.pop();
            e.signer = INSTANCE;
        }),
        Err("leaf_is_ca")
    );
    assert_eq!(
        code(|e| {
            e.certs.push(Cert::at(5));
            e.signer = 5;
        }),
        Err("path_length_exceeded")
    );
    assert_eq!(code(|e| e.on_cabundle = |b| b.swap(2, 3)), Err("chain_out_of_order"));
    assert_eq!(code(|_| {}), Ok(()));
}

/// Many enclaves with a small cache: evicted signatures are verified again.
#[test]
fn eviction_changes_no_verdict() {
    let verifier = Verifier::new(anchor(&Enclave::new())).with_provider(provider()).with_signature_cache(3);
    let documents: Vec<_> = (0..6_u8)
        .map(|number| {
            Enclave::with(|e| {
                e.certs[LEAF].serial = der::uint(&[1, number]);
                e.set("nonce", cbor::bytes(&[number]));
            })
            .document()
        })
        .collect();
    for _ in 0..3 {
        for document in &documents {
            verifier.verify(document, &CheckTime::at(NOW_MS)).unwrap();
        }
    }
}

#[test]
fn threads_share_a_verifier() {
    let verifier = verifier(&Enclave::new()).with_signature_cache(2);
    let forged =
        Enclave::with(|e| e.certs[2].on_signature = |s| [&s[..s.len() - 1], &[1]].concat()).document();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    verifier.verify(&GOOD, &CheckTime::at(NOW_MS)).unwrap();
                    let error = verifier.verify(&forged, &CheckTime::at(NOW_MS)).unwrap_err();
                    assert_eq!(error.code(), "certificate_signature_invalid");
                }
            });
        }
    });
}
