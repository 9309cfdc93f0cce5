//! One good document under policies that it meets and does not meet.

use std::collections::BTreeMap;

use ok2cry_attest_forge::{Enclave, NOW_MS, TIMESTAMP_MS, cbor, pcr};

use crate::Result;
use crate::file::{Case, Expected, Policy, hex};

const OTHER: [u8; 48] = [1; 48];

pub(crate) fn cases() -> Result<Vec<Case>> {
    let ours = || release(&[(0, pcr(0)), (1, pcr(1)), (2, pcr(2))]);
    let other = || release(&[(0, OTHER), (1, OTHER), (2, OTHER)]);
    let nonce = |nonce: &[u8]| Policy { nonce: Some(hex(nonce)), ..Policy::default() };
    let user_data = |data: &[u8]| Policy { user_data: Some(hex(data)), ..Policy::default() };
    let age = |max_age_ms| Policy { max_age_ms: Some(max_age_ms), ..Policy::default() };
    let of = |releases: Vec<_>| Policy { releases, ..Policy::default() };
    let cases = [
        ("the one release", None, of(vec![ours()])),
        ("PCR0 alone is the release", None, of(vec![release(&[(0, pcr(0))])])),
        ("the second of two releases", None, of(vec![other(), ours()])),
        ("another release", Some("pcr_mismatch"), of(vec![other()])),
        (
            "PCR0 and 1 of one release and PCR2 of another",
            Some("pcr_mismatch"),
            of(vec![
                release(&[(0, pcr(0)), (1, pcr(1)), (2, OTHER)]),
                release(&[(0, OTHER), (1, OTHER), (2, pcr(2))]),
            ]),
        ),
        (
            "a PCR that the document does not have",
            Some("pcr_mismatch"),
            of(vec![release(&[(0, pcr(0)), (31, OTHER)])]),
        ),
        (
            "a PCR that the document does not have, expected to be zero",
            Some("pcr_mismatch"),
            of(vec![release(&[(0, pcr(0)), (31, [0; 48])])]),
        ),
        (
            "a PCR8 that is expected to be set",
            Some("pcr_mismatch"),
            of(vec![release(&[(0, pcr(0)), (8, OTHER)])]),
        ),
        ("the nonce", None, nonce(b"0123456789abcdef")),
        ("the beginning of the nonce", Some("nonce_mismatch"), nonce(b"0123456789abcde")),
        ("another nonce", Some("nonce_mismatch"), nonce(b"0123456789abcdeg")),
        ("an empty nonce", Some("nonce_mismatch"), nonce(b"")),
        ("the user data", None, user_data(b"the user's data")),
        ("other user data", Some("user_data_mismatch"), user_data(b"the user's dat4")),
        ("exactly as old as allowed", None, age(NOW_MS - TIMESTAMP_MS)),
        ("a millisecond older than allowed", Some("document_too_old"), age(NOW_MS - TIMESTAMP_MS - 1)),
    ];
    let mut all = Vec::new();
    for (name, code, policy) in cases {
        all.push(case(name, &Enclave::new(), code, policy)?);
    }
    let unset = Enclave::with(|e| {
        e.set("nonce", cbor::NULL.to_vec());
        e.set("user_data", cbor::NULL.to_vec());
    });
    all.push(case("a nonce where the document has none", &unset, Some("nonce_mismatch"), nonce(b"x"))?);
    all.push(case("an empty nonce where the document has none", &unset, Some("nonce_mismatch"), nonce(b""))?);
    let none = user_data(b"");
    all.push(case("empty user data where the document has none", &unset, Some("user_data_mismatch"), none)?);
    let broken = Policy { nonce: Some(hex(b"x")), user_data: Some(hex(b"x")), ..Policy::default() };
    let old = Policy { max_age_ms: Some(1), releases: vec![other()], ..broken.clone() };
    let another = Policy { releases: vec![other()], ..broken.clone() };
    for (name, code, policy) in [
        ("too old, and of another release", "document_too_old", old),
        ("another release, another nonce and other user data", "pcr_mismatch", another),
        ("another nonce and other user data", "nonce_mismatch", broken),
    ] {
        all.push(case(name, &Enclave::new(), Some(code), policy)?);
    }
    Ok(all)
}

fn case(name: &str, enclave: &Enclave, code: Option<&str>, policy: Policy) -> Result<Case> {
    let expected = match code {
        Some(code) => Expected::Refused { code: code.to_owned() },
        None => Expected::accepted(enclave)?,
    };
    Ok(Case::of(name, enclave, expected).under(policy))
}

fn release(pcrs: &[(u8, [u8; 48])]) -> BTreeMap<u8, String> {
    pcrs.iter().map(|(index, value)| (*index, hex(value))).collect()
}
