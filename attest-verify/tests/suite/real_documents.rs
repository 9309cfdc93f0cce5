//! Real documents get their known verdicts.
//!
//! They are not in the repository because they belong to others. The folder is
//! `../shared/attestation-documents` beside the workspace. Without it the tests print that and pass, except
//! in CI.

use std::io::Write;
use std::path::{Path, PathBuf};

use ok2cry_attest_verify::{CheckTime, Measurements, PCR_LEN, Policy, TrustAnchor, Verifier};
use serde::Deserialize;

use crate::provider;

#[derive(Deserialize)]
struct Entry {
    file: String,
    at_ms: u64,
    module_id: String,
    verdict_at_own_timestamp: String,
    pcr0: String,
    pcr1: String,
    pcr2: String,
    pcr8: Option<String>,
}

impl Entry {
    /// The expected code, or `None` for a document that must be accepted.
    fn refusal(&self) -> Option<&'static str> {
        match self.verdict_at_own_timestamp.as_str() {
            "accept" => None,
            "accept only where debug mode is allowed: PCR0-2 are zero" => Some("debug_mode"),
            "reject: COSE signature does not verify" => Some("document_signature_invalid"),
            "reject: chain does not end at the AWS root" => Some("root_not_trusted"),
            other => panic!("{}: the manifest has a new verdict: {other}", self.file),
        }
    }

    fn pcrs(&self) -> impl Iterator<Item = (u8, [u8; PCR_LEN])> {
        let pcr8 = self.pcr8.as_deref().map(|hex| (8, hex));
        [(0, self.pcr0.as_str()), (1, &self.pcr1), (2, &self.pcr2)]
            .into_iter()
            .chain(pcr8)
            .map(|(index, hex)| (index, pcr(hex)))
    }
}

#[test]
fn real_documents_get_their_verdicts() {
    let Some((folder, entries)) = corpus() else { return };
    let verifier = Verifier::new(TrustAnchor::aws_nitro()).with_provider(provider());
    let cold = verifier.clone().with_signature_cache(0);
    let debug_verifier = verifier.clone().insecure_allow_debug();

    for entry in &entries {
        let name = &entry.file;
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let own_time = CheckTime::exactly(entry.at_ms);
        // One verifier has no cache, the other one saw all earlier documents. Both verify this one twice.
        let results = [&cold, &verifier]
            .into_iter()
            .flat_map(|verifier| [verifier.verify(&bytes, &own_time), verifier.verify_historical(&bytes)]);
        for result in results {
            match (entry.refusal(), result) {
                (Some(code), Err(error)) => assert_eq!(error.code(), code, "{name}: {error}"),
                (None, Ok(document)) => {
                    assert_eq!(document.module_id(), entry.module_id, "{name}");
                    assert_eq!(document.timestamp_ms(), entry.at_ms, "{name}");
                    assert_eq!(document.chain().count(), 5, "{name}");
                    let policy = Policy::new([Measurements::new(entry.pcrs()).unwrap()]).unwrap();
                    let accepted = policy.appraise(document, &own_time).expect(name);
                    assert_eq!(accepted.release(), Some(0));
                }
                (expected, result) => panic!("{name}: {expected:?} expected, got {result:?}"),
            }
        }
        if entry.refusal() == Some("debug_mode") {
            let document = debug_verifier.verify(&bytes, &own_time).expect(name);
            assert!(document.is_debug());
            assert!(entry.pcrs().all(|(index, value)| document.pcr(index) == Some(&value)), "{name}");
        }
    }
    report(&format!("real documents: {} run", entries.len()));
}

#[test]
fn real_documents_are_expired_today() {
    let Some((folder, entries)) = corpus() else { return };
    let verifier = Verifier::new(TrustAnchor::aws_nitro()).with_provider(provider()).insecure_allow_debug();
    let accepted = entries.iter().filter(|entry| matches!(entry.refusal(), None | Some("debug_mode")));
    for entry in accepted {
        let bytes = std::fs::read(folder.join(&entry.file)).unwrap();
        let day_ms = 24 * 60 * 60 * 1000;
        for (now_ms, code) in [(entry.at_ms + day_ms, "expired"), (entry.at_ms - day_ms, "not_yet_valid")] {
            let error = verifier.verify(&bytes, &CheckTime::at(now_ms)).unwrap_err();
            assert_eq!(error.code(), code, "{}", entry.file);
        }
    }
}

#[test]
fn a_real_document_with_any_byte_flipped_is_refused() {
    let Some((folder, entries)) = corpus() else { return };
    let verifier = Verifier::new(TrustAnchor::aws_nitro()).with_provider(provider()).insecure_allow_debug();
    let entry = entries.iter().find(|entry| entry.refusal().is_none()).unwrap();
    let mut bytes = std::fs::read(folder.join(&entry.file)).unwrap();
    // Every seventh byte: all 4,500 would take five signatures each.
    for index in (0..bytes.len()).step_by(7) {
        bytes[index] ^= 0x01;
        assert!(verifier.verify_historical(&bytes).is_err(), "byte {index}");
        bytes[index] ^= 0x01;
    }
}

fn corpus() -> Option<(PathBuf, Vec<Entry>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/attestation-documents");
    match std::fs::read(folder.join("manifest.json")) {
        Ok(manifest) => Some((folder, serde_json::from_slice(&manifest).expect("manifest.json"))),
        Err(error) => {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "{}: {error}", folder.display());
            report(&format!("SKIPPED: {}: {error}", folder.display()));
            None
        }
    }
}

/// Prints also when the test passes: the test harness captures `println!` only.
fn report(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn pcr(hex: &str) -> [u8; PCR_LEN] {
    assert_eq!(hex.len(), 2 * PCR_LEN);
    let mut value = [0; PCR_LEN];
    for (index, byte) in value.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap();
    }
    value
}
