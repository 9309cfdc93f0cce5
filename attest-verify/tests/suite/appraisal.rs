//! Clocks and policies: which genuine documents are accepted, and when.

use std::time::Duration;

use ok2cry_attest_forge::{
    Enclave, LEAF, LEAF_NOT_AFTER_MS, LEAF_NOT_BEFORE_MS, NOW_MS, TIMESTAMP_MS, cbor, key, pcr,
};
use ok2cry_attest_verify::{
    CheckTime, DEFAULT_LEEWAY_MS, Error, Measurements, Policy, VerifiedDocument, decode,
};

use super::verifier;

#[test]
fn a_clock_within_the_leeway_accepts_a_fresh_document() {
    assert_eq!(verdict_at(CheckTime::at(LEAF_NOT_BEFORE_MS)), Ok(()));
    assert_eq!(verdict_at(CheckTime::at(TIMESTAMP_MS - DEFAULT_LEEWAY_MS)), Ok(()));
    assert_eq!(
        verdict_at(CheckTime::at(TIMESTAMP_MS - DEFAULT_LEEWAY_MS - 1)),
        Err("document_from_future"),
        "the leaf is within the leeway, the document is not"
    );
    assert_eq!(verdict_at(CheckTime::at(LEAF_NOT_BEFORE_MS - DEFAULT_LEEWAY_MS - 1)), Err("not_yet_valid"));
    assert_eq!(verdict_at(CheckTime::exactly(LEAF_NOT_BEFORE_MS - 1)), Err("not_yet_valid"));
    assert_eq!(verdict_at(CheckTime::exactly(LEAF_NOT_BEFORE_MS)), Err("document_from_future"));
    assert_eq!(verdict_at(CheckTime::exactly(TIMESTAMP_MS)), Ok(()));
    let years = CheckTime { now_ms: 0, leeway_ms: u64::MAX };
    assert_eq!(verdict_at(years), Ok(()), "a leeway is the caller's word");
}

#[test]
fn leeway_extends_nothing() {
    for leeway_ms in [0, DEFAULT_LEEWAY_MS, u64::MAX] {
        assert_eq!(verdict_at(CheckTime { now_ms: LEAF_NOT_AFTER_MS, leeway_ms }), Ok(()));
        assert_eq!(verdict_at(CheckTime { now_ms: LEAF_NOT_AFTER_MS + 1, leeway_ms }), Err("expired"));
        assert_eq!(verdict_at(CheckTime { now_ms: u64::MAX, leeway_ms }), Err("expired"));
    }
}

#[test]
fn historical_verification_uses_the_documents_time() {
    let enclave = Enclave::new();
    let document = enclave.document();
    let judge = verifier(&enclave);
    let years_later = CheckTime::at(NOW_MS + 10 * 365 * 86_400_000);
    assert_eq!(judge.verify(&document, &years_later).unwrap_err().code(), "expired");
    let verified = judge.verify_historical(&document).unwrap();
    assert_eq!(verified.timestamp_ms(), TIMESTAMP_MS);
    // The policy checks the age, at the time that it is given.
    let policy = Policy::insecure_without_pcrs().with_max_age(Duration::from_secs(1));
    assert_eq!(policy.appraise(verified.clone(), &years_later).unwrap_err().code(), "document_too_old");
    assert!(policy.appraise(verified, &CheckTime::exactly(TIMESTAMP_MS)).is_ok());
}

#[test]
fn documents_age() {
    let age_ms = NOW_MS - TIMESTAMP_MS;
    let policy = |max_age_ms| Policy::insecure_without_pcrs().with_max_age(Duration::from_millis(max_age_ms));
    assert_eq!(appraise(&policy(age_ms)), Ok(None));
    assert_eq!(appraise(&policy(age_ms - 1)), Err("document_too_old"));
    assert_eq!(appraise(&policy(0)), Err("document_too_old"));
    with_document(|document| {
        let early = CheckTime::exactly(TIMESTAMP_MS - 1);
        let error = policy(age_ms).appraise(document, &early).unwrap_err();
        assert_eq!(error.code(), "document_from_future");
    });
}

#[test]
fn a_release_matches_as_one_whole_set() {
    let ours = release([(0, pcr(0)), (1, pcr(1)), (2, pcr(2))]);
    let other = release([(0, [1; 48]), (1, [1; 48]), (2, [1; 48])]);
    // PCR0 and 1 of ours with PCR2 of the other, and the reverse.
    let mixed = release([(0, pcr(0)), (1, pcr(1)), (2, [1; 48])]);
    let mixed_too = release([(0, [1; 48]), (1, pcr(1)), (2, pcr(2))]);

    assert_eq!(appraise(&Policy::new([ours.clone()]).unwrap()), Ok(Some(0)));
    assert_eq!(appraise(&Policy::new([other.clone(), ours.clone()]).unwrap()), Ok(Some(1)));
    assert_eq!(appraise(&Policy::new([other.clone()]).unwrap()), Err("pcr_mismatch"));
    assert_eq!(appraise(&Policy::new([mixed, mixed_too, other]).unwrap()), Err("pcr_mismatch"));
    // An absent PCR is not a wildcard, and neither is zero.
    for missing in [[0; 48], [9; 48]] {
        let policy = Policy::new([release([(0, pcr(0)), (31, missing)])]).unwrap();
        assert_eq!(appraise(&policy), Err("pcr_mismatch"));
    }
    with_document(|document| {
        let policy = Policy::new([release([(0, pcr(0)), (1, [1; 48]), (8, pcr(8))])]).unwrap();
        let error = policy.appraise(document, &CheckTime::at(NOW_MS)).unwrap_err();
        assert!(error.to_string().contains("differences from the closest: PCR1 expected 0101"), "{error}");
    });
}

#[test]
fn measurements_that_would_accept_too_much_cannot_be_made() {
    let code =
        |pcrs: &[(u8, [u8; 48])]| Measurements::new(pcrs.iter().copied()).map_err(|error| error.code());
    assert_eq!(code(&[]), Err("measurements_empty"));
    assert_eq!(code(&[(1, [1; 48]), (2, [1; 48])]), Err("measurements_without_pcr0"));
    assert_eq!(code(&[(0, [0; 48])]), Err("measurements_zero"));
    assert_eq!(code(&[(0, [1; 48]), (2, [0; 48])]), Err("measurements_zero"));
    assert_eq!(code(&[(0, [1; 48]), (32, [1; 48])]), Err("measurements_index"));
    assert_eq!(code(&[(0, [1; 48]), (0, [1; 48])]), Err("measurements_duplicate"));
    // PCR8 is zero in unsigned images, and a release may require that.
    assert!(code(&[(0, [1; 48]), (8, [0; 48])]).is_ok());
    assert_eq!(Policy::new([]).unwrap_err().code(), "policy_without_release");
}

#[test]
fn nonce_and_user_data_match_exactly() {
    let policy = Policy::insecure_without_pcrs;
    assert_eq!(
        appraise(&policy().with_nonce(*b"0123456789abcdef").with_user_data(*b"the user's data")),
        Ok(None)
    );
    assert_eq!(appraise(&policy().with_nonce(*b"0123456789abcde")), Err("nonce_mismatch"));
    assert_eq!(appraise(&policy().with_nonce([])), Err("nonce_mismatch"));
    assert_eq!(appraise(&policy().with_user_data(*b"the user's dat4")), Err("user_data_mismatch"));
    let unset = Enclave::with(|e| {
        e.set("nonce", cbor::NULL.to_vec());
        e.remove("user_data");
    });
    assert_eq!(appraise_of(&unset, &policy().with_nonce([])), Err("nonce_mismatch"));
    assert_eq!(appraise_of(&unset, &policy().with_user_data([])), Err("user_data_mismatch"));
}

#[test]
fn optional_fields_are_unset_by_absence_and_by_null() {
    for unset in [true, false] {
        let enclave = Enclave::with(|e| {
            for field in ["public_key", "user_data", "nonce"] {
                if unset { e.remove(field) } else { e.set(field, cbor::NULL.to_vec()) }
            }
        });
        let bytes = enclave.document();
        let document = verifier(&enclave).verify(&bytes, &CheckTime::at(NOW_MS)).unwrap();
        assert_eq!((document.public_key(), document.user_data(), document.nonce()), (None, None, None));
    }
    let empty = Enclave::with(|e| {
        for field in ["public_key", "user_data", "nonce"] {
            e.set(field, cbor::bytes(&[]));
        }
    });
    let bytes = empty.document();
    let document = verifier(&empty).verify(&bytes, &CheckTime::at(NOW_MS)).unwrap();
    let set: Option<&[u8]> = Some(&[]);
    assert_eq!((document.public_key(), document.user_data(), document.nonce()), (None, set, set));
}

#[test]
fn fields_at_their_limits_are_accepted() {
    let enclave = Enclave::with(|e| {
        for field in ["public_key", "user_data", "nonce"] {
            e.set(field, cbor::bytes(&[7; 1024]));
        }
        e.set_pcrs((0..32).map(|index| (index, vec![1; 48])));
        e.prefix = vec![0xd2, 0x84];
    });
    let bytes = enclave.document();
    let document = verifier(&enclave).verify(&bytes, &CheckTime::at(NOW_MS)).unwrap();
    assert_eq!(document.pcrs().iter().count(), 32);
    assert_eq!(document.nonce().map(<[u8]>::len), Some(1024));
}

#[test]
fn debug_documents_need_the_escape_and_match_no_release() {
    let enclave = Enclave::with(|e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i > 2); 48]))));
    let bytes = enclave.document();
    let judge = verifier(&enclave);
    assert_eq!(judge.verify_historical(&bytes).unwrap_err().code(), "debug_mode");
    let document = judge.insecure_allow_debug().verify_historical(&bytes).unwrap();
    assert!(document.is_debug());
    let policy = Policy::new([release([(0, pcr(0))])]).unwrap();
    assert_eq!(policy.appraise(document, &CheckTime::at(NOW_MS)).unwrap_err().code(), "pcr_mismatch");
}

/// The forms of `nitro-cli`, and others.
#[cfg(feature = "json")]
#[test]
fn measurements_of_nitro_cli_are_read_strictly() {
    let of = |fill: u8| format!("{fill:02x}").repeat(48);
    let inner = format!(r#""HashAlgorithm":"Sha384 {{ ... }}","PCR0":"{}","PCR1":"{}""#, of(0xa0), of(0xa1));
    let expected = release([(0, [0xa0; 48]), (1, [0xa1; 48])]);
    for json in [
        format!(r#"{{"Measurements":{{{inner}}}}}"#),
        format!("{{{inner}}}"),
        format!(
            r#"{{"EifVersion":4,"CheckCRC":true,"Metadata":{{"a":[15,-1,null,{{}}]}},"Measurements":{{{inner}}}}}"#
        ),
        format!("{{{inner}}}").replace("Sha384 { ... }", "Sha384").replace("a0", "A0"),
        format!(r#"{{"PCR0":"{}","PCR1":"{}"}}"#, of(0xa0), of(0xa1)),
        format!("\u{feff}{{{inner}}}"),
    ] {
        assert_eq!(Measurements::from_nitro_cli_json(&json), Ok(expected.clone()), "{json}");
    }
    let outer = format!(r#"{{"Measurements":{{{inner}}}}}"#);
    for (json, code) in [
        (outer.replace("Sha384 { ... }", "Sha384/256"), "measurements_invalid"),
        (outer.replace("Sha384 { ... }", "Sha256 { ... }"), "measurements_invalid"),
        (outer.replace("Sha384 { ... }", "Sha384 "), "measurements_invalid"),
        (outer.replace("PCR1", "PCR0"), "measurements_invalid"),
        (outer.replace("PCR1", "PCR01"), "measurements_invalid"),
        (outer.replace("PCR1", "PCR+1"), "measurements_invalid"),
        (outer.replace("PCR1", "PCR32"), "measurements_index"),
        (outer.replace("PCR1", "PCR99"), "measurements_index"),
        (outer.replace("PCR1", "PCR100"), "measurements_invalid"),
        (outer.replacen('{', r#"{"Metadata":{"a":1.5},"#, 1), "measurements_invalid"),
        (outer.replacen('{', r#"{"Metadata":{"a":1,"a":1},"#, 1), "measurements_invalid"),
        (outer.replace("PCR1", "pcr1"), "measurements_invalid"),
        (outer.replace(r#""PCR1""#, r#""HashAlgorithm""#), "measurements_invalid"),
        (outer.replacen("a1", "a", 1), "measurements_invalid"),
        (outer.replacen("a1", "+1", 1), "measurements_invalid"),
        (outer.replace("a0", "00"), "measurements_zero"),
        (outer.replace("PCR0", "PCR3"), "measurements_without_pcr0"),
        (format!(r#"{{"Measurements":{{{inner}}},"Measurements":{{{inner}}}}}"#), "measurements_invalid"),
        (format!(r#"{{"Measurements":{{{inner}}},"PCR0":"{}"}}"#, of(1)), "measurements_invalid"),
        (format!(r#"{{"Measurements":[{{{inner}}}]}}"#), "measurements_invalid"),
        (r#"{"Measurements":{"PCR0":0}}"#.to_owned(), "measurements_invalid"),
        (r#"{"Measurements":{}}"#.to_owned(), "measurements_empty"),
        ("{}".to_owned(), "measurements_empty"),
        ("[]".to_owned(), "measurements_invalid"),
        (format!("{outer}{{}}"), "measurements_invalid"),
        (String::new(), "measurements_invalid"),
        ("[".repeat(10_000), "measurements_invalid"),
    ] {
        let error = Measurements::from_nitro_cli_json(&json).unwrap_err();
        assert_eq!(error.code(), code, "{json:.200}: {error}");
    }
}

#[test]
fn differences_show_both_values() {
    let policy = Policy::new([release([(0, pcr(0)), (2, pcr(1)), (31, pcr(1))])]).unwrap();
    let enclave = Enclave::new();
    let bytes = enclave.document();
    let time = CheckTime::at(NOW_MS);
    let document = verifier(&enclave).verify(&bytes, &time).unwrap();
    let error = policy.appraise(document, &time).unwrap_err();
    let hex = |value: [u8; 48]| value.map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(
        error.to_string(),
        format!(
            "pcrs: no accepted release has all of these values; differences from the \
             closest: PCR2 expected {one}, found {two}; PCR31 expected {one}, found none",
            one = hex(pcr(1)),
            two = hex(pcr(2))
        )
    );
    let nonce = |policy: Policy, enclave: &Enclave| {
        let bytes = enclave.document();
        let document = verifier(enclave).verify(&bytes, &time).unwrap();
        policy.appraise(document, &time).unwrap_err().to_string()
    };
    let escape = Policy::insecure_without_pcrs;
    assert_eq!(
        nonce(escape().with_nonce(*b"twenty bytes of them"), &enclave),
        "nonce: its 16 bytes differ from the 20 bytes expected"
    );
    let unset = Enclave::with(|e| e.set("nonce", cbor::NULL.to_vec()));
    assert_eq!(nonce(escape().with_nonce(*b"x"), &unset), "nonce: expected 1 bytes, found none");
}

#[test]
fn an_accepted_document_has_the_verified_fields() {
    with_document(|document| {
        let accepted = Policy::insecure_without_pcrs().appraise(document, &CheckTime::at(NOW_MS)).unwrap();
        assert_eq!(accepted.module_id(), "i-0123-enc0123");
        assert_eq!(accepted.pcr(4), Some(&pcr(4)));
        assert_eq!(accepted.pcr(16), None);
        assert_eq!(accepted.pcr(255), None);
        let names: Vec<_> = accepted.chain().filter_map(|certificate| certificate.common_name()).collect();
        assert_eq!(names, ["root", "regional", "zonal", "instance", "i-0123-enc0123.test-1.aws"]);
        assert_eq!(accepted.leaf().subject(), "CN=i-0123-enc0123.test-1.aws");
        assert_eq!(accepted.leaf().not_before_ms(), LEAF_NOT_BEFORE_MS);
        assert_eq!(accepted.leaf().not_after_ms(), LEAF_NOT_AFTER_MS);
    });
}

#[test]
fn decoding_alone_reads_the_same_fields() {
    let bytes = Enclave::with(|e| e.on_signature = |s| s.fill(1)).document();
    let document = decode(&bytes).unwrap();
    assert_eq!(document.module_id(), "i-0123-enc0123");
    assert_eq!(document.timestamp_ms(), TIMESTAMP_MS);
    assert_eq!(document.nonce(), Some(&b"0123456789abcdef"[..]));
    assert_eq!(document.cabundle().len(), 4);
}

/// Other decoders read the documents of the test signer as this crate does.
#[test]
fn the_test_signer_writes_cose() {
    use coset::CborSerializable;
    let bytes = Enclave::new().document();
    let sign1 = coset::CoseSign1::from_slice(&bytes).unwrap();
    assert_eq!(sign1.protected.header.alg, Some(coset::Algorithm::Assigned(coset::iana::Algorithm::ES384)));
    sign1
        .verify_signature(b"", |signature, message| {
            use p384::ecdsa::signature::Verifier;
            let signature = p384::ecdsa::Signature::from_slice(signature).unwrap();
            key(LEAF).verifying_key().verify(message, &signature)
        })
        .unwrap();
    let payload: ciborium::Value = ciborium::from_reader(sign1.payload.as_deref().unwrap()).unwrap();
    assert_eq!(payload.as_map().unwrap().len(), 9);
}

fn verdict_at(time: CheckTime) -> Result<(), &'static str> {
    let enclave = Enclave::new();
    let bytes = enclave.document();
    verifier(&enclave).verify(&bytes, &time).map(|_| ()).map_err(|error| error.code())
}

fn appraise(policy: &Policy) -> Result<Option<usize>, &'static str> {
    appraise_of(&Enclave::new(), policy)
}

fn appraise_of(enclave: &Enclave, policy: &Policy) -> Result<Option<usize>, &'static str> {
    let bytes = enclave.document();
    let time = CheckTime::at(NOW_MS);
    let document = verifier(enclave).verify(&bytes, &time).unwrap();
    policy.appraise(document, &time).map(|accepted| accepted.release()).map_err(|error: Error| error.code())
}

fn with_document(check: impl FnOnce(VerifiedDocument<'_>)) {
    let enclave = Enclave::new();
    let bytes = enclave.document();
    check(verifier(&enclave).verify(&bytes, &CheckTime::at(NOW_MS)).unwrap());
}

fn release(pcrs: impl IntoIterator<Item = (u8, [u8; 48])>) -> Measurements {
    Measurements::new(pcrs).unwrap()
}
