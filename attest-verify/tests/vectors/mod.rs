//! Reads the files of `tests/vectors/attestation`, which its README describes.
#![allow(dead_code, clippy::unwrap_used, reason = "test code, of which each test file uses a part")]

use std::collections::BTreeMap;
use std::path::Path;

use base64ct::{Base64, Encoding};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    root: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    document: String,
    then: Option<Repeat>,
    root: Option<String>,
    pub(crate) now_ms: u64,
    pub(crate) leeway_ms: u64,
    pub(crate) allow_debug: bool,
    pub(crate) policy: Option<Expectation>,
    pub(crate) expected: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    byte: u8,
    count: usize,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expectation {
    pub(crate) releases: Vec<BTreeMap<String, String>>,
    pub(crate) max_age_ms: Option<u64>,
    pub(crate) nonce: Option<String>,
    pub(crate) user_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub(crate) enum Expected {
    Refused {
        code: String,
    },
    Accepted {
        #[serde(flatten)]
        claims: Claims,
    },
}

#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) module_id: String,
    pub(crate) timestamp_ms: u64,
    pub(crate) pcrs: BTreeMap<String, String>,
    pub(crate) public_key: Option<String>,
    pub(crate) user_data: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) chain_len: usize,
}

impl Case {
    pub(crate) fn document(&self) -> Vec<u8> {
        let mut bytes = Base64::decode_vec(&self.document).unwrap();
        if let Some(Repeat { byte, count }) = self.then {
            bytes.resize(bytes.len() + count, byte);
        }
        bytes
    }

    /// The case's own root or its file's.
    pub(crate) fn root(&self, of_file: &[u8]) -> Vec<u8> {
        self.root.as_ref().map_or_else(|| of_file.to_vec(), |root| Base64::decode_vec(root).unwrap())
    }
}

/// Every file: its name, its root, its cases.
pub(crate) fn files() -> Vec<(String, Vec<u8>, Vec<Case>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/attestation");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let file: File = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            (name, Base64::decode_vec(&file.root).unwrap(), file.cases)
        })
        .collect();
    files.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    files
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap())
        .collect()
}
