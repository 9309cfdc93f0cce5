//! The document that all contenders verify.

use std::path::{Path, PathBuf};

use ok2cry_attest_forge::{Enclave, TIMESTAMP_MS};
use ok2cry_attest_verify::{TrustAnchor, decode};

pub struct Document {
    pub name: String,
    pub bytes: Vec<u8>,
    pub root: TrustAnchor,
    /// Its own time, in Unix milliseconds.
    pub time_ms: u64,
    /// Whether its root is AWS's, the only one that some crates accept.
    pub is_real: bool,
}

/// The newest document of a production enclave that all contenders accept.
const REAL: &str = "20251225-131537-dstack-prod.cose";

impl Document {
    /// A real document, if the collection is beside the repository. Otherwise a forged one of the same form.
    pub fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/attestation-documents");
        let path = std::env::var_os("OK2CRY_BENCH_DOCUMENT").map_or_else(|| folder.join(REAL), PathBuf::from);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let time_ms = decode(&bytes).expect("an attestation document").timestamp_ms();
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                Self { name, bytes, root: TrustAnchor::aws_nitro(), time_ms, is_real: true }
            }
            Err(_) => {
                let enclave = Enclave::new();
                let root = TrustAnchor::from_der(&enclave.root()).expect("the forge's root");
                let name = "a forged one".to_owned();
                Self { name, bytes: enclave.document(), root, time_ms: TIMESTAMP_MS, is_real: false }
            }
        }
    }
}
