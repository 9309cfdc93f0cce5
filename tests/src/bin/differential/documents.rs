//! Attestation documents.

use std::path::Path;

use base64ct::{Base64, Encoding};
use ok2cry_attest_forge::cases::{
    CERTIFICATES, CHAIN, CLOCK, Case, DEBUG, ENVELOPE, Judged, PAYLOAD, PCRS, TIME, VALID,
};
use ok2cry_attest_forge::{
    Cert, Enclave, Extension, LEAF_NOT_AFTER_MS, LEAF_NOT_BEFORE_MS, NOW_MS, TIMESTAMP_MS, cbor, der,
};
use ok2cry_attest_verify::{CheckTime, Error, Measurements, Policy, TrustAnchor, VerifiedDocument, Verifier};
use serde_json::{Value, json};

use crate::rng::Rng;
use crate::structure;

/// A document of one of the cases, changed and signed, and a root for it.
pub(crate) fn forge(rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    let mut enclave = Enclave::new();
    if rng.one_in(2) {
        let cases: &[&[Case]] = &[CERTIFICATES, CHAIN, ENVELOPE, PAYLOAD, PCRS, TIME];
        let cases = *rng.of(cases);
        (rng.of(cases).2)(&mut enclave);
    } else {
        let judged: &[&[Judged]] = &[VALID, CLOCK, DEBUG];
        let judged = *rng.of(judged);
        (rng.of(judged).change)(&mut enclave);
    }
    // One in two hangs from its own root, so that a changed root is one that is trusted.
    let own_root = rng.one_in(2);
    for _ in 0..rng.below(4) {
        change(rng, &mut enclave);
    }
    let root = if own_root { enclave.root() } else { Enclave::new().root() };
    let mut document = enclave.document();
    if rng.one_in(8) {
        rng.change(&mut document);
    }
    (root, document)
}

/// A real document with a byte or two changed: nobody can sign it anew.
pub(crate) fn changed(rng: &mut Rng, real: &[(Vec<u8>, u64)]) -> Value {
    let (document, at_ms) = rng.of(real);
    let mut document = document.clone();
    for _ in 0..rng.below(3) {
        rng.change(&mut document);
    }
    judged(rng, TrustAnchor::aws_nitro().as_der(), &document, *at_ms)
}

/// Real documents and their times, where they are there.
pub(crate) fn real() -> Vec<(Vec<u8>, u64)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/attestation-documents");
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap_or_else(|_| b"[]".to_vec());
    let entries: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    let read = |entry: &Value| {
        Some((std::fs::read(folder.join(entry["file"].as_str()?)).ok()?, entry["at_ms"].as_u64()?))
    };
    entries.iter().filter_map(read).collect()
}

fn change(rng: &mut Rng, enclave: &mut Enclave) {
    let count = enclave.certs.len();
    let place = rng.below(count);
    match rng.below(26) {
        20..=22 => rename(rng, enclave, place),
        23 => restructure(rng, &mut enclave.certs[place]),
        24 => {
            // Of another type, or of no length.
            const EMPTY: &[&[u8]] = &[
                &[0x80],
                &[0xa0],
                &[0x40],
                &[0x60],
                &[0xf6],
                &[0x9f, 0xff],
                &[0xbf, 0xff],
                &[0x5f, 0xff],
                &[0x7f, 0xff],
            ];
            let at = rng.below(enclave.fields.len().max(1));
            if let Some(field) = enclave.fields.get_mut(at) {
                field.1 = rng.of::<&[u8]>(EMPTY).to_vec();
            }
        }
        25 => {
            let kept = rng.below(enclave.fields.len() + 1);
            enclave.fields.truncate(kept);
        }
        0 => rng.change(&mut enclave.prefix),
        1 => rng.change(&mut enclave.protected),
        2 => rng.change(&mut enclave.unprotected),
        3 => rng.change(&mut enclave.suffix),
        4 => enclave.indefinite = !enclave.indefinite,
        5 => enclave.signer = rng.below(10),
        6 => {
            let other = rng.below(count);
            enclave.certs.swap(place, other);
        }
        7 if count > 1 => drop(enclave.certs.remove(place)),
        8 => {
            let again = enclave.certs[place].clone();
            enclave.certs.insert(place, again);
        }
        9 => {
            let pcrs = (0..rng.below(34)).map(|index| {
                let length = if rng.one_in(9) { 47 } else { 48 };
                let byte = if rng.one_in(3) { 0 } else { 7 };
                (index as u64 + u64::from(rng.one_in(9)), vec![byte; length])
            });
            let pcrs: Vec<_> = pcrs.collect();
            enclave.set_pcrs(pcrs);
        }
        10 => {
            let time = *rng.of(&[
                0,
                1,
                TIMESTAMP_MS,
                LEAF_NOT_BEFORE_MS - 1,
                LEAF_NOT_AFTER_MS + 1,
                NOW_MS + 70_000,
                1 << 60,
            ]);
            let field = cbor::text("timestamp");
            if let Some(entry) = enclave.fields.iter_mut().find(|(key, _)| *key == field) {
                entry.1 = cbor::uint(time);
            }
        }
        11..=13 if !enclave.fields.is_empty() => {
            let at = rng.below(enclave.fields.len());
            match rng.below(4) {
                0 => drop(enclave.fields.remove(at)),
                1 => {
                    let again = enclave.fields[at].clone();
                    enclave.fields.push(again);
                }
                2 => rng.change(&mut enclave.fields[at].0),
                // What is empty is filled with the certificates.
                _ if enclave.fields[at].1.is_empty() => {}
                _ => rng.change(&mut enclave.fields[at].1),
            }
        }
        _ => change_certificate(rng, &mut enclave.certs[place]),
    }
}

/// Changes the structure of a certificate's name, and of its name in the certificate that it issued, so that the two still match.
fn rename(rng: &mut Rng, enclave: &mut Enclave, place: usize) {
    let mut name = enclave.certs[place].subject.clone();
    for _ in 0..=rng.below(2) {
        structure::change(rng, &mut name);
    }
    if let Some(issued) = enclave.certs.get_mut(place + 1) {
        issued.issuer.clone_from(&name);
    }
    if place == 0 {
        enclave.certs[place].issuer.clone_from(&name);
    }
    enclave.certs[place].subject = name;
}

/// Changes the structure of one part of a certificate.
fn restructure(rng: &mut Rng, cert: &mut Cert) {
    const KEY_USAGES: [u8; 3] = [0x55, 0x1d, 0x25];
    match rng.below(14) {
        0 => structure::change(rng, &mut cert.version),
        1 => structure::change(rng, &mut cert.serial),
        2 => structure::change(rng, &mut cert.issuer),
        3 => structure::change(rng, &mut cert.validity.0),
        4 => structure::change(rng, &mut cert.key_algorithm),
        5 => structure::change(rng, &mut cert.inner_algorithm),
        6 => structure::change(rng, &mut cert.outer_algorithm),
        7 => {
            // All extensions as one encoding, so that their list can be empty too.
            let encoded = cert.extensions.drain(..).map(|extension| {
                der::seq(&[&der::tlv(6, &extension.id), &extension.critical, &der::tlv(4, &extension.value)])
            });
            cert.after_extensions = der::tlv(0xa3, &der::tlv(0x30, &encoded.collect::<Vec<_>>().concat()));
            structure::change(rng, &mut cert.after_extensions);
        }
        8..=10 => {
            // For clients, for servers, and what is neither; also none.
            let all: [&[u8]; 5] = [
                &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2],
                &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1],
                &[6, 0],
                &[5, 0],
                &[6],
            ];
            let purposes: Vec<_> = (0..rng.below(4)).map(|_| *rng.of(&all)).collect();
            let mut value = der::seq(&purposes);
            if rng.one_in(4) {
                structure::change(rng, &mut value);
            }
            cert.extensions.push(Extension::new(&KEY_USAGES, rng.one_in(8), value));
        }
        _ if cert.extensions.is_empty() => {}
        _ => {
            let at = rng.below(cert.extensions.len());
            structure::change(rng, &mut cert.extensions[at].value);
        }
    }
}

fn change_certificate(rng: &mut Rng, cert: &mut Cert) {
    match rng.below(16) {
        0 => rng.change(&mut cert.version),
        1 => rng.change(&mut cert.serial),
        2 => rng.change(&mut cert.issuer),
        3 => rng.change(&mut cert.subject),
        4 => rng.change(&mut cert.validity.0),
        5 => rng.change(&mut cert.validity.1),
        6 => rng.change(&mut cert.key_algorithm),
        7 => rng.change(&mut cert.point),
        8 => rng.change(&mut cert.after_extensions),
        9 => rng.change(&mut cert.inner_algorithm),
        10 => rng.change(&mut cert.outer_algorithm),
        11 => cert.signer = rng.below(10),
        12 => {
            let texts: &[&[u8]] = &[
                b"500101000000Z",
                b"20500101000000Z",
                b"260230000000Z",
                b"261301000000Z",
                b"20500229000000Z",
                b"260115240000Z",
            ];
            let time = der::tlv(*rng.of(&[0x17, 0x18]), rng.of::<&[u8]>(texts));
            if rng.one_in(2) { cert.validity.0 = time } else { cert.validity.1 = time }
        }
        13 => {
            let value = match rng.below(3) {
                0 => der::seq(&[&der::tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, *rng.of(&[1, 2, 3])])]),
                1 => der::tlv(4, &[1, 2, 3]),
                _ => vec![5, 0],
            };
            let id = [0x55, 0x1d, *rng.of(&[14, 15, 19, 35, 37])];
            cert.extensions.push(Extension::new(&id, rng.one_in(3), value));
        }
        _ if cert.extensions.is_empty() => {}
        _ => {
            let at = rng.below(cert.extensions.len());
            let extension = &mut cert.extensions[at];
            match rng.below(4) {
                0 => rng.change(&mut extension.id),
                1 => rng.change(&mut extension.critical),
                2 => rng.change(&mut extension.value),
                _ => {
                    *extension = match rng.one_in(2) {
                        true => Extension::key_usage(*rng.of(&[0x80, 0x04, 0x84, 0xc0, 0x06, 0x01])),
                        false => Extension::basic_constraints(
                            rng.one_in(2),
                            *rng.of(&[None, Some(0), Some(1), Some(255)]),
                        ),
                    }
                }
            }
        }
    }
}

/// What the verifier says of a document under one of several clocks and policies.
pub(crate) fn judged(rng: &mut Rng, root: &[u8], document: &[u8], at_ms: u64) -> Value {
    let now_ms = match rng.below(4) {
        0 => *rng.of(&[
            LEAF_NOT_BEFORE_MS - 60_001,
            LEAF_NOT_BEFORE_MS,
            TIMESTAMP_MS,
            LEAF_NOT_AFTER_MS,
            LEAF_NOT_AFTER_MS + 1,
            at_ms + 86_400_000,
        ]),
        _ => at_ms,
    };
    let (leeway_ms, allow_debug) = (*rng.of(&[0, 60_000]), rng.one_in(4));
    let max_age_ms = *rng.of(&[None, None, None, Some(0), Some(5_000)]);
    let time = CheckTime { now_ms, leeway_ms };
    let verdict = TrustAnchor::from_der(root).and_then(|anchor| {
        let verifier = Verifier::new(anchor);
        let verifier = if allow_debug { verifier.insecure_allow_debug() } else { verifier };
        let verified = verifier.verify(document, &time)?;
        accepted(rng, verified, max_age_ms, &time)
    });
    let (policy, expected) = match verdict {
        Ok(both) => both,
        Err(error) => (
            max_age_ms.map(|max| json!({"max_age_ms": max})),
            json!({"verdict": "refused", "code": error.code()}),
        ),
    };
    let mut case = json!({
        "kind": "document",
        "root": Base64::encode_string(root),
        "document": Base64::encode_string(document),
        "now_ms": now_ms,
        "leeway_ms": leeway_ms,
        "allow_debug": allow_debug,
        "expected": expected,
    });
    if let Some(policy) = policy {
        case["policy"] = policy;
    }
    case
}

/// Measurements are made from what the document has: some match.
fn accepted(
    rng: &mut Rng,
    document: VerifiedDocument<'_>,
    max_age_ms: Option<u64>,
    time: &CheckTime,
) -> Result<(Option<Value>, Value), Error> {
    let mut policy = Policy::insecure_without_pcrs();
    let mut text = json!({});
    let pcrs: Vec<_> = document.pcrs().iter().map(|(index, value)| (index, *value)).collect();
    let some = pcrs.into_iter().take(3).map(|(index, mut value)| {
        value[0] ^= u8::from(rng.one_in(8));
        (index, value)
    });
    let some: Vec<_> = some.collect();
    if let Some(set) = Measurements::new(some.iter().copied()).ok().filter(|_| rng.one_in(2)) {
        policy = Policy::new([set])?;
        let release: serde_json::Map<_, _> =
            some.iter().map(|(index, value)| (index.to_string(), hex(value).into())).collect();
        text["releases"] = json!([release]);
    }
    if let Some(max_age_ms) = max_age_ms {
        policy = policy.with_max_age(std::time::Duration::from_millis(max_age_ms));
        text["max_age_ms"] = max_age_ms.into();
    }
    let expected = match policy.appraise(document, time) {
        Ok(document) => json!({
            "verdict": "accepted",
            "module_id": document.module_id(),
            "timestamp_ms": document.timestamp_ms(),
            "pcrs": document.pcrs().iter().map(|(i, value)| (i.to_string(), Value::from(hex(value)))).collect::<serde_json::Map<_, _>>(),
            "public_key": document.public_key().map(hex),
            "user_data": document.user_data().map(hex),
            "nonce": document.nonce().map(hex),
            "chain_len": document.chain().count(),
        }),
        Err(error) => json!({"verdict": "refused", "code": error.code()}),
    };
    Ok((Some(text), expected))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
