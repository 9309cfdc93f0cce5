//! Bundles of signed releases.

use base64ct::{Base64, Encoding};
use ok2cry_attest_forge::release::{ReleaseCase, cases, pem};
use ok2cry_attest_forge::{Enclave, NOW_MS};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_release_verify::{Bundle, Error, ReleaseKey, ReleaseState, Role, SignerKey, Version};
use serde_json::{Value, json};
use std::{sync::LazyLock, time::Duration};

use crate::rng::Rng;

static CASES: LazyLock<Vec<ReleaseCase>> = LazyLock::new(cases);

/// A case of the forge with changes to its bundle's JSON, to the documents within (whose signatures then
/// fail), and to the client's state.
pub(crate) fn forged(rng: &mut Rng) -> Value {
    let mut case = rng.of(&CASES).clone();
    match serde_json::from_str(&case.bundle) {
        Ok(mut bundle) if rng.one_in(2) => {
            for _ in 0..=rng.below(2) {
                change(rng, &mut bundle, 0);
            }
            case.bundle = bundle.to_string();
        }
        _ => {
            let mut bytes = case.bundle.into_bytes();
            rng.change(&mut bytes);
            case.bundle = String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    if rng.one_in(4) {
        case.now_ms = *rng.of(&[
            0,
            NOW_MS - 86_400_000,
            NOW_MS,
            NOW_MS + 86_400_000 * 6,
            NOW_MS + 86_400_000 * 7,
            NOW_MS * 2,
        ]);
    }
    if rng.one_in(8) {
        case.minimum_version = rng.of::<&str>(&["0.0.0", "1.2.0", "1.3.0", "2.0.0"]);
    }
    if rng.one_in(8) {
        case.memory = rng.of(&CASES).memory.clone();
    }
    let expected = match verdict(&case) {
        Ok(versions) => json!({"accepted": versions}),
        Err(error) => json!({"refused": error.code()}),
    };
    let mut judged = case.to_json();
    judged["kind"] = "release".into();
    judged["enclave_root"] = Base64::encode_string(&Enclave::new().root()).into();
    judged["expected"] = expected;
    judged
}

fn verdict(case: &ReleaseCase) -> Result<Vec<String>, Error> {
    let keys = case.pinned.iter().map(|key| SignerKey::from_pem(&pem(&[*key]))).collect::<Result<_, _>>()?;
    let version = Version::parse(case.minimum_version).unwrap();
    let key = ReleaseKey::from_role(Role::new(case.threshold, keys)?)
        .with_max_list_age(Duration::from_millis(case.max_list_age_ms))
        .with_minimum_version(version);
    let anchor = match case.attestation_root == crate::documents::hex(&TrustAnchor::aws_nitro().fingerprint())
    {
        true => TrustAnchor::aws_nitro(),
        false => TrustAnchor::from_der(&Enclave::new().root())?,
    };
    let mut memory = case
        .whole_memory()
        .map_or_else(|| Ok(ReleaseState::default()), |memory| ReleaseState::decode(memory.as_bytes()))?;
    let bundle = Bundle::decode(case.whole_bundle().as_bytes())?;
    let accepted = key.check(&bundle, &anchor, &mut memory, &CheckTime::at(case.now_ms))?;
    Ok(accepted.releases().iter().map(|release| release.version().to_string()).collect())
}

/// Changes one value at any depth, also within envelopes and payloads.
fn change(rng: &mut Rng, value: &mut Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() && !rng.one_in(6) => {
            let keys: Vec<_> = map.keys().cloned().collect();
            let key = rng.of(&keys);
            match rng.below(12) {
                0 => drop(map.remove(key)),
                1 => drop(map.insert("extra".to_owned(), json!(1))),
                _ => change(rng, map.get_mut(key).unwrap(), depth + 1),
            }
        }
        Value::Array(list) if !list.is_empty() && !rng.one_in(6) => {
            let at = rng.below(list.len());
            match rng.below(8) {
                0 => drop(list.remove(at)),
                1 => {
                    let again = list[at].clone();
                    list.push(again);
                }
                2 => list.reverse(),
                _ => change(rng, &mut list[at], depth + 1),
            }
        }
        Value::String(text) => change_text(rng, text, depth),
        value => {
            let others = [
                json!(null),
                json!(true),
                json!(0),
                json!(1),
                json!(-1),
                json!(1.5),
                json!(9_007_199_254_740_992_u64),
                json!(""),
                json!([]),
                json!({}),
            ];
            *value = rng.of(&others).clone();
        }
    }
}

fn change_text(rng: &mut Rng, text: &mut String, depth: usize) {
    // A string that holds JSON, or base64 of JSON.
    if let Ok(mut inner @ Value::Object(_)) = serde_json::from_str(text) {
        change(rng, &mut inner, depth + 1);
        *text = inner.to_string();
        return;
    }
    let decoded = Base64::decode_vec(text).ok();
    if let Some(mut inner @ Value::Object(_)) = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok())
    {
        change(rng, &mut inner, depth + 1);
        *text = Base64::encode_string(inner.to_string().as_bytes());
        return;
    }
    let mut bytes = std::mem::take(text).into_bytes();
    rng.change(&mut bytes);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}
