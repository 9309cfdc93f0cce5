//! Bundles, and the verdicts of clients on them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::indexing_slicing, reason = "test code over documents of its own")]

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use ok2cry_attest_forge::release::{Expected, Key, ReleaseCase, ReleaseFixture, cases, pem};
use ok2cry_attest_forge::{Enclave, NOW_MS, cbor};
use ok2cry_attest_verify::{CheckTime, TrustAnchor, Verifier};
use ok2cry_release_verify::{
    AcceptedReleases, Bundle, Error, Hex, ReleaseFault, ReleaseKey, ReleaseState, Role, SignerKey, Version,
};
use serde_json::{Value, json};

static CASES: LazyLock<Vec<ReleaseCase>> = LazyLock::new(cases);

#[test]
fn every_case_has_its_verdict() {
    let mut covered = BTreeSet::new();
    for case in CASES.iter() {
        let mut state = match read_state(case) {
            Ok(state) => state,
            Err(error) => {
                assert_eq!(Expected::Refused(error.code()), case.expected, "{}: {error}", case.name);
                continue;
            }
        };
        let before = state.clone();
        let verdict = check(case, &mut state);
        match (&case.expected, &verdict) {
            (Expected::Accepted(versions), Ok(accepted)) => {
                let found: Vec<_> = accepted.releases().iter().map(|r| r.version().to_string()).collect();
                assert_eq!(found, *versions, "{}", case.name);
                assert!(state.checkpoint().is_some(), "{}", case.name);
            }
            (Expected::Refused(code), Err(error)) => {
                assert_eq!(error.code(), *code, "{}: {error}", case.name);
                // A list without accepted releases is saved, so that an older one cannot come back.
                assert_eq!(state == before, *code != "no_release_accepted", "{}", case.name);
                covered.insert(*code);
            }
            _ => panic!("{}: {:?}, and the verdict is {verdict:?}", case.name, case.expected),
        }
    }
    assert!(covered.len() > 35, "{covered:?}");
}

#[test]
fn accepted_bundles_are_saved_and_accepted_again() {
    for case in CASES.iter().filter(|case| matches!(case.expected, Expected::Accepted(_))) {
        let mut state = state(case);
        check(case, &mut state).unwrap();
        let again = ReleaseState::decode(&state.encode()).unwrap();
        assert_eq!(again, state);
        check(case, &mut state).unwrap();
        assert_eq!(again, state, "{}", case.name);
    }
}

/// Errors name the keys that must sign, and the keys that signatures name.
#[test]
fn errors_name_the_expected_and_found_keyids() {
    let said = |name: &str| {
        let case = CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name:?}"));
        check(case, &mut state(case)).unwrap_err().to_string()
    };
    let id = |key: u8| Key(key).id()[..16].to_owned();
    let (lists, stranger, builder) = (id(0x31), id(0x41), id(0x21));
    for (name, expected) in [
        (
            "a signature that does not say whose it is",
            format!("expected signatures with keyid {lists}, found no keyid"),
        ),
        (
            "the list is signed by a stranger",
            format!("expected signatures with keyid {lists}, found {stranger}"),
        ),
        ("a manifest is signed by nobody", format!("{}, {}, {}, found none", builder, id(0x22), id(0x23))),
        (
            "a manifest is signed by one builder of two",
            format!("signed by 1 of the allowed keys, expected 2; expected signatures with keyid {builder}"),
        ),
        ("a manifest is signed by one builder twice", format!("the key with keyid {builder} signed twice")),
        (
            "a manifest changed after it was signed",
            format!("the signature with keyid {builder} does not verify"),
        ),
        (
            "other people's root document",
            format!("expected keyid {}, {}, {}, found {stranger}, ", id(0x11), id(0x12), id(0x13)),
        ),
        ("no root document", format!("{}, found none", id(0x13))),
        (
            "a manifest is signed by strangers, of whom there are many",
            format!("found {}, {}, {}, {} and 26 more", id(0x90), id(0x91), id(0x92), id(0x93)),
        ),
    ] {
        let said = said(name);
        assert!(said.contains(&expected), "{name}: expected {expected}, said {said}");
    }
}

/// If any byte of a bundle changes, a client accepts the same releases or none.
#[test]
fn a_changed_byte_never_changes_what_is_accepted() {
    let case = &CASES[0];
    let honest = versions(&check(case, &mut ReleaseState::default()).unwrap());
    let mut refused = 0;
    for at in (0..case.bundle.len()).step_by(37) {
        let mut bytes = case.bundle.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(bundle) = Bundle::decode(&bytes) else {
            refused += 1;
            continue;
        };
        match check_bundle(case, &bundle, &mut ReleaseState::default()) {
            Ok(accepted) => assert_eq!(versions(&accepted), honest, "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > case.bundle.len() / 37 * 9 / 10);
}

/// A client that saved a short log needs more than the bundle's tiles once the log is long.
#[test]
fn tiles_that_the_bundle_lacks_are_fetched() {
    let short = ReleaseFixture::with(|w| w.earlier = 100);
    let long = ReleaseFixture::with(|w| {
        w.earlier = 100;
        w.on_log = |log| log.0.extend((0..300).map(|i| format!("later entry {i}").into_bytes()));
    });
    let mut bundle = Bundle::decode(long.bundle().to_string().as_bytes()).unwrap();
    let all = std::mem::take(&mut bundle.tiles);
    let case = ReleaseCase {
        bundle: String::from_utf8(short.bundle().to_string().into_bytes()).unwrap(),
        ..CASES[0].clone()
    };
    let mut state = ReleaseState::default();
    check(&case, &mut state).unwrap();
    assert_eq!(check_bundle(&case, &bundle, &mut state.clone()).unwrap_err().code(), "tile_missing");

    let more = Bundle { tiles: all, ..bundle.clone() };
    key(&case)
        .check_with_tiles(&bundle, &more, &TrustAnchor::aws_nitro(), &mut state, &CheckTime::at(case.now_ms))
        .unwrap();
}

/// An enclave is accepted if its registers match one listed release.
#[test]
fn enclaves_must_match_one_whole_listed_release() {
    let appraise = |world: &ReleaseFixture, pcrs: [[u8; 48]; 3], now_ms: u64| {
        let case = ReleaseCase { bundle: world.bundle().to_string(), ..CASES[0].clone() };
        let accepted = check(&case, &mut ReleaseState::default()).unwrap();
        let enclave = enclave(pcrs);
        let verifier = Verifier::new(TrustAnchor::from_der(&enclave.root()).unwrap());
        let document = enclave.document();
        let time = CheckTime::at(now_ms);
        let document = verifier.verify_historical(&document).unwrap();
        accepted.policy().appraise(document, &time).map(|document| document.release().unwrap())
    };
    let of = |fill: [u8; 3]| fill.map(|byte| [byte; 48]);
    let (old, new) = (of([0x60, 0x61, 0x62]), of([0x70, 0x71, 0x72]));
    let both = ReleaseFixture::new();
    assert_eq!(appraise(&both, old, NOW_MS), Ok(0));
    assert_eq!(appraise(&both, new, NOW_MS), Ok(1));

    let code = |verdict: Result<usize, Error>| verdict.unwrap_err().code();
    assert_eq!(code(appraise(&both, of([0x60, 0x71, 0x72]), NOW_MS)), "measurements_mixed");
    assert_eq!(code(appraise(&both, of([0x01, 0x02, 0x03]), NOW_MS)), "release_not_listed");

    // 1.2.0 is revoked: its measurements are not listed.
    let revoked = ReleaseFixture::with(|w| drop(w.manifests.remove(0)));
    assert_eq!(appraise(&revoked, new, NOW_MS), Ok(0));
    assert_eq!(code(appraise(&revoked, old, NOW_MS)), "release_not_listed");

    // A long-running client stops accepting when the list ends, or reaches the client's maximum age.
    let ends = both.list.body["expires_at"].as_u64().unwrap();
    assert_eq!(appraise(&both, old, ends), Ok(0));
    assert_eq!(code(appraise(&both, old, ends + 1)), "list_expired");
    let day_ms = 24 * 3_600_000;
    let case = ReleaseCase { max_list_age_ms: 2 * day_ms, ..CASES[0].clone() };
    let accepted = check(&case, &mut ReleaseState::default()).unwrap();
    assert_eq!(accepted.ends_ms(), accepted.list().issued_at + 2 * day_ms);
    assert!(accepted.ends_ms() < ends);
}

/// The appraisals of `tests/vectors/v1/releases.json` have their verdicts.
#[test]
fn the_appraisals_of_the_vectors_get_their_verdicts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/v1/releases.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let bytes = |text: &Value| Base64::decode_vec(text.as_str().unwrap()).unwrap();
    let root = TrustAnchor::from_der(&bytes(&file["enclave_root"])).unwrap();
    let appraisals = file["appraisals"].as_array().unwrap();
    for appraisal in appraisals {
        let case = &CASES[usize::try_from(appraisal["case"].as_u64().unwrap()).unwrap()];
        let accepted = check(case, &mut state(case)).unwrap();
        let document = bytes(&appraisal["document"]);
        let document = Verifier::new(root.clone()).verify_historical(&document).unwrap();
        let time = CheckTime::at(appraisal["now_ms"].as_u64().unwrap());
        let found = match accepted.policy().appraise(document, &time) {
            Ok(document) => {
                let release = &accepted.releases()[document.release().unwrap()];
                json!({"accepted": release.version().to_string()})
            }
            Err(error) => json!({"refused": error.code()}),
        };
        assert_eq!(found, appraisal["expected"], "{}: {}", case.name, appraisal["pcrs"]);
    }
    assert!(appraisals.len() > 15, "{}", appraisals.len());
}

#[test]
fn one_pinned_key_is_enough() {
    let bundle = Bundle::decode(ReleaseFixture::new().bundle().to_string().as_bytes()).unwrap();
    let pem = pem(&CASES[0].pinned[..1]);
    let key = ReleaseKey::from_pem(&pem).unwrap();
    let (anchor, time) = (TrustAnchor::aws_nitro(), CheckTime::at(NOW_MS));
    key.check(&bundle, &anchor, &mut ReleaseState::default(), &time).unwrap();
    let stricter = key.with_minimum_version(Version::new(9, 0, 0));
    let refused = stricter.check(&bundle, &anchor, &mut ReleaseState::default(), &time);
    assert_eq!(refused.unwrap_err(), Error::Release(ReleaseFault::NoRelease));
    for pem in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        assert_eq!(ReleaseKey::from_pem(pem).unwrap_err().code(), "release_field_invalid");
    }
}

/// Two programs, or two versions of a web page, with one state and other keys.
#[test]
fn clients_with_other_keys_share_a_state() {
    let ours = CASES[0].clone();
    let theirs = ReleaseCase { threshold: 1, pinned: ours.pinned[..1].to_vec(), ..ours.clone() };
    let newer = ReleaseFixture::with(|w| w.list.body["version"] = 8.into()).bundle().to_string();
    let mut state = ReleaseState::default();
    check(&ReleaseCase { bundle: newer, ..ours.clone() }, &mut state).unwrap();
    check(&theirs, &mut state).unwrap();
    let mut state = ReleaseState::decode(&state.encode()).unwrap();
    assert_eq!(check(&ours, &mut state).unwrap_err().code(), "log_forked");
    check(&theirs, &mut state).unwrap();
}

/// A clock that is set back does not make a list younger: it was checked at a later time before.
#[test]
fn a_clock_set_back_does_not_extend_a_list() {
    let day_ms = 24 * 3_600_000;
    let mut case = ReleaseCase { max_list_age_ms: 2 * day_ms, ..CASES[0].clone() };
    let mut state = ReleaseState::default();
    let fresh = check(&case, &mut state.clone()).unwrap();
    let issued_ms = fresh.list().issued_at;
    case.now_ms = issued_ms + 2 * day_ms;
    assert_eq!(check(&case, &mut state).unwrap().ends_ms(), issued_ms + 2 * day_ms);

    // The clock is right, and later set back by a day.
    case.now_ms = issued_ms + day_ms;
    let again = check(&case, &mut state).unwrap();
    assert_eq!(again.ends_ms(), issued_ms + day_ms, "by the clock that is a day behind");
    case.max_list_age_ms = day_ms;
    assert_eq!(check(&case, &mut state).unwrap_err().code(), "list_too_old");
    check(&case, &mut ReleaseState::default()).unwrap();
}

/// A clock that is far ahead causes a refusal, and its time is not saved.
#[test]
fn a_clock_that_was_ahead_is_not_saved() {
    let case = &CASES[0];
    let mut state = ReleaseState::default();
    let ahead = ReleaseCase { now_ms: case.now_ms * 2, ..case.clone() };
    check(&ahead, &mut state).unwrap_err();
    assert_eq!(state, ReleaseState::default());
    check(case, &mut state).unwrap();
}

#[test]
fn a_damaged_state_is_refused() {
    for memory in [
        "",
        "{}",
        r#"{"pinned_sha384":null,"root_version":1,"root_sha384":null,"list_version":1,"list_sha384":null,"checkpoint":"x"}"#,
    ] {
        assert!(ReleaseState::decode(memory.as_bytes()).is_err(), "{memory}");
    }
}

/// A document of an enclave with these registers.
fn enclave(pcrs: [[u8; 48]; 3]) -> Enclave {
    let mut enclave = Enclave::new();
    let registers: Vec<_> = pcrs
        .iter()
        .enumerate()
        .map(|(index, value)| (cbor::uint(index as u64), cbor::bytes(value)))
        .collect();
    let field = enclave.fields.iter_mut().find(|(key, _)| *key == cbor::text("pcrs")).unwrap();
    field.1 = cbor::map(&registers);
    enclave
}

fn versions(accepted: &AcceptedReleases) -> Vec<(Version, Vec<u8>)> {
    let of = |release: &ok2cry_release_verify::AcceptedRelease| {
        (release.version(), release.measurements().iter().flat_map(|(_, value)| *value).collect())
    };
    accepted.releases().iter().map(of).collect()
}

fn state(case: &ReleaseCase) -> ReleaseState {
    read_state(case).unwrap()
}

fn read_state(case: &ReleaseCase) -> Result<ReleaseState, Error> {
    case.whole_memory()
        .map_or_else(|| Ok(ReleaseState::default()), |memory| ReleaseState::decode(memory.as_bytes()))
}

fn key(case: &ReleaseCase) -> ReleaseKey {
    let keys = case.pinned.iter().map(|key| SignerKey::from_der(&key.der()).unwrap()).collect();
    ReleaseKey::from_role(Role::new(case.threshold, keys).unwrap())
        .with_max_list_age(Duration::from_millis(case.max_list_age_ms))
        .with_minimum_version(Version::parse(case.minimum_version).unwrap())
}

fn check(case: &ReleaseCase, state: &mut ReleaseState) -> Result<AcceptedReleases, Error> {
    check_bundle(case, &Bundle::decode(case.whole_bundle().as_bytes())?, state)
}

fn check_bundle(
    case: &ReleaseCase,
    bundle: &Bundle,
    state: &mut ReleaseState,
) -> Result<AcceptedReleases, Error> {
    let anchors = [TrustAnchor::aws_nitro(), TrustAnchor::from_der(&Enclave::new().root()).unwrap()];
    let held = |anchor: &&TrustAnchor| Hex(anchor.fingerprint()).to_string() == case.attestation_root;
    let anchor = anchors.iter().find(held).unwrap();
    key(case).check(bundle, anchor, state, &CheckTime::at(case.now_ms))
}
