//! What clients are handed about releases, and what they must decide.

use crate::Result;
use base64ct::{Base64, Encoding};
use ok2cry_attest_forge::release::{ReleaseCase, ReleaseFixture, cases, envelope};
use ok2cry_attest_forge::{Enclave, NOW_MS, TIMESTAMP_MS};
use serde::Serialize;
use serde_json::{Value, json};
use std::{fs, path::Path};

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    enclave_root: String,
    cases: Vec<Value>,
    appraisals: Vec<Value>,
}

pub(crate) fn file() -> Result<File> {
    Ok(File {
        about: "A client pins `pinned` (threshold, and keys as base64 of DER), holds the root certificate \
            with the SHA-256 `attestation_root`, remembers `memory` or nothing, and is handed `bundle`, the \
            text of a bundle.json, at `now_ms`. It must accept exactly these versions, or refuse with this \
            code. Where there is `bundle_then`, `bundle` goes on with its `text`, `count` times. \
            `appraisals`: an enclave with these PCR0, 1 and 2 meets a client that accepted `cases[case]`, \
            at `now_ms`. Its attestation document is `document`, in base64, as of its own time; \
            `enclave_root` is the root certificate (DER, base64) that it verifies under.",
        enclave_root: Base64::encode_string(&Enclave::new().root()),
        cases: cases().iter().map(ReleaseCase::to_json).collect(),
        appraisals: appraisals(),
    })
}

/// Of the first case: 1.2.0 measures 60, 61 and 62, 48 times each, and 1.3.0 measures 70, 71 and 72.
fn appraisals() -> Vec<Value> {
    let ends = ReleaseFixture::new().list.body.get("expires_at").and_then(Value::as_u64).unwrap_or_default();
    let of = |pcrs: [u8; 3], now_ms: u64, expected: Value| {
        let registers = (0..).zip(pcrs.map(|byte| vec![byte; 48]));
        let document = Enclave::with(|enclave| enclave.set_pcrs(registers)).document();
        let pcrs = pcrs.map(|byte| format!("{byte:02x}").repeat(48));
        let document = Base64::encode_string(&document);
        json!({"case": 0, "pcrs": pcrs, "document": document, "now_ms": now_ms, "expected": expected})
    };
    vec![
        of([0x60, 0x61, 0x62], ends, json!({"accepted": "1.2.0"})),
        of([0x70, 0x71, 0x72], ends, json!({"accepted": "1.3.0"})),
        of([0x60, 0x71, 0x72], ends, json!({"refused": "measurements_mixed"})),
        of([0x60, 0x61, 0x72], ends, json!({"refused": "measurements_mixed"})),
        of([0x60, 0x61, 0x63], ends, json!({"refused": "release_not_listed"})),
        of([0x01, 0x02, 0x03], ends, json!({"refused": "release_not_listed"})),
        of([0x60, 0x61, 0x62], ends + 1, json!({"refused": "list_expired"})),
        // The document was verified as of its own time, and the policy has a clock of now.
        of([0x60, 0x61, 0x62], TIMESTAMP_MS - 60_000, json!({"accepted": "1.2.0"})),
        of([0x60, 0x61, 0x62], TIMESTAMP_MS - 60_001, json!({"refused": "document_from_future"})),
    ]
    .into_iter()
    .chain(later())
    .collect()
}

/// Of clients that checked once and run on, and of a signed image, which has a PCR8.
fn later() -> Vec<Value> {
    let cases = cases();
    let of = |name: &str, pcrs: &[(u64, u8)], now_ms: u64, expected: Value| {
        let case = cases.iter().position(|case| case.name == name);
        let registers = pcrs.iter().map(|(index, byte)| (*index, vec![*byte; 48]));
        let document = Enclave::with(|enclave| enclave.set_pcrs(registers)).document();
        let pcrs: Vec<_> = pcrs.iter().take(3).map(|(_, byte)| format!("{byte:02x}").repeat(48)).collect();
        let document = Base64::encode_string(&document);
        json!({"case": case, "pcrs": pcrs, "document": document, "now_ms": now_ms, "expected": expected})
    };
    let old = [(0, 0x60), (1, 0x61), (2, 0x62)];
    let signed = [(0, 0x70), (1, 0x71), (2, 0x72), (8, 0x78)];
    let with_pcr8 = |byte| [(0, 0x70), (1, 0x71), (2, 0x72), (8, byte)];
    let day = 24 * 3_600_000;
    let (root, age) = ("a root document that ends before the list", "a client that takes lists of two days");
    let (image, set_back) = ("a manifest of a signed image", "a clock that was set back by three days");
    let (list_end, minimum) =
        ("a list that ends before it is too old", "the client insists on a newer version than the list");
    let ended = "a check of two days ago, whose root document has ended since";
    let later = [
        of(list_end, &old, NOW_MS + day, json!({"accepted": "1.2.0"})),
        of(list_end, &old, NOW_MS + day + 1, json!({"refused": "list_expired"})),
        // A listed release below the client's own minimum is not an accepted one.
        of(minimum, &old, NOW_MS, json!({"refused": "release_not_listed"})),
        of(minimum, &[(0, 0x60), (1, 0x71), (2, 0x72)], NOW_MS, json!({"refused": "release_not_listed"})),
        of(minimum, &[(0, 0x70), (1, 0x71), (2, 0x72)], NOW_MS, json!({"accepted": "1.3.0"})),
        // The document is of NOW_MS, and what is accepted ended a day before.
        of(ended, &old, NOW_MS - day + 1, json!({"refused": "document_from_future"})),
        of(ended, &old, NOW_MS, json!({"refused": "list_expired"})),
    ];
    vec![
        of(root, &old, NOW_MS + day, json!({"accepted": "1.2.0"})),
        of(root, &old, NOW_MS + day + 1, json!({"refused": "list_expired"})),
        of(age, &old, NOW_MS + day, json!({"accepted": "1.2.0"})),
        of(age, &old, NOW_MS + day + 1, json!({"refused": "list_expired"})),
        of(image, &signed, NOW_MS, json!({"accepted": "1.3.0"})),
        // PCR0, 1 and 2 are those of one release, and its PCR8 is not.
        of(image, &with_pcr8(0), NOW_MS, json!({"refused": "measurements_mixed"})),
        of(image, &signed[..3], NOW_MS, json!({"refused": "measurements_mixed"})),
        of(image, &[(0, 0x60), (1, 0x61), (2, 0x62), (8, 0x78)], NOW_MS, json!({"accepted": "1.2.0"})),
        // Three days of the list's six are over already, by the latest time that is remembered.
        of(set_back, &old, NOW_MS + 3 * day, json!({"accepted": "1.2.0"})),
        of(set_back, &old, NOW_MS + 3 * day + 1, json!({"refused": "list_expired"})),
    ]
    .into_iter()
    .chain(later)
    .collect()
}

/// What the fuzz target `releases` begins with: the first byte says what the others are.
pub(crate) fn seeds(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let put =
        |name: String, choice: u8, bytes: &[u8]| fs::write(folder.join(name), [&[choice], bytes].concat());
    for (number, case) in cases().iter().enumerate().filter(|(_, case)| case.bundle.len() < 8000) {
        put(format!("case-{number}"), 0, case.bundle.as_bytes())?;
        put(
            format!("memory-{number}"),
            8,
            case.memory.as_ref().unwrap_or(&Value::Null).to_string().as_bytes(),
        )?;
    }
    let world = ReleaseFixture::new();
    for (choice, document) in [(2, world.manifests.first()), (3, Some(&world.list)), (4, world.roots.first())]
    {
        let Some(document) = document else { continue };
        put(format!("payload-{choice}"), choice, document.body.to_string().as_bytes())?;
        let envelope = envelope(document.payload_type, document.body.to_string().as_bytes(), &document.by);
        put(format!("envelope-{choice}"), 1, envelope.to_string().as_bytes())?;
    }
    put("list-9".into(), 9, world.list.body.to_string().as_bytes())?;
    let checkpoint = world.checkpoint();
    put("note".into(), 5, checkpoint.as_bytes())?;
    put(
        "checkpoint".into(),
        6,
        checkpoint.split_inclusive("\n\n").next().unwrap_or_default().trim_end().as_bytes(),
    )?;
    put("key".into(), 7, world.log_key.vkey().as_bytes())?;
    Ok(())
}
