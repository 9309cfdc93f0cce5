//! Runs the program in a folder with the keys of release engineers.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; no test uses all"
)]

use base64ct::{Base64, Encoding};
use ok2cry_attest_forge::Enclave;
use std::{fs, path::PathBuf, process::Command};
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "releases.example/test";

/// A folder with two root keys, two builders' keys, a list key, a log key and an image of a mock.
pub(crate) struct Engineers {
    pub(crate) folder: TempDir,
    pub(crate) vkey: String,
}

impl Engineers {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engineers = Self { folder, vkey: String::new() };
        for name in ["root-1", "root-2", "builder-1", "builder-2", "list", "other"] {
            let public = engineers.done(&["keygen", &format!("{name}.pem")]);
            fs::write(engineers.path(&format!("{name}.pub")), public).unwrap();
        }
        let vkey = engineers.done(&["keygen", "--log", ORIGIN, "log.pem"]).trim().to_owned();
        let der = Base64::encode_string(&Enclave::new().root());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines(&der));
        fs::write(engineers.path("attestation-root.pem"), pem).unwrap();
        fs::write(engineers.path("image"), "an image").unwrap();
        fs::write(engineers.path("measured.json"), measured('a')).unwrap();
        Self { vkey, ..engineers }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Exit status, stdout, stderr.
    pub(crate) fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let program = env!("CARGO_BIN_EXE_ok2cry-release");
        let output =
            Command::new(program).args(args).current_dir(self.folder.path()).env_clear().output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    pub(crate) fn done(&self, args: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(args);
        assert_eq!(status, Some(0), "{args:?}: {stderr}");
        stdout
    }

    #[track_caller]
    pub(crate) fn refused(&self, code: &str, args: &[&str]) {
        let (status, _, stderr) = self.run(args);
        assert_eq!(status, Some(1), "{args:?}: {stderr}");
        assert!(stderr.starts_with(&format!("refused: {code}: ")), "{args:?}: {stderr}");
    }

    pub(crate) fn root(&self) {
        self.root_of_version("1");
    }

    pub(crate) fn root_of_version(&self, version: &str) {
        let mut args = vec![
            "root",
            "--product",
            "test",
            "--version",
            version,
            "--attestation-root",
            "attestation-root.pem",
        ];
        args.extend(["--root-key", "root-1.pub", "--root-key", "root-2.pub", "--root-threshold", "2"]);
        args.extend(["--manifest-key", "builder-1.pub", "--manifest-key", "builder-2.pub"]);
        args.extend(["--manifest-threshold", "2", "--list-key", "list.pub", "--log-key", &self.vkey]);
        args.extend(["--out", "root.json"]);
        self.done(&args);
        self.done(&["sign", "--key", "root-1.pem", "root.json"]);
        self.done(&["sign", "--key", "root-2.pem", "root.json"]);
    }

    pub(crate) fn manifest(&self, version: &str) -> String {
        let file = format!("{version}.json");
        let mut args = vec!["manifest", "--product", "test", "--version", version, "--out", &file];
        args.extend([
            "--repository",
            "https://git.example",
            "--commit",
            "0000000000000000000000000000000000000000",
        ]);
        args.extend(BUILT);
        self.done(&args);
        file
    }

    pub(crate) fn signed_manifest(&self, version: &str) -> String {
        let file = self.manifest(version);
        for key in ["builder-1.pem", "builder-2.pem"] {
            self.done(&[&["sign", "--key", key], BUILT, &[&file]].concat());
        }
        file
    }
}

pub(crate) const BUILT: &[&str] = &[
    "--image",
    "image",
    "--mock-measurements",
    "measured.json",
    "--attestation-root",
    "attestation-root.pem",
];
pub(crate) const PUBLISH: &[&str] = &[
    "publish",
    "--site",
    "site",
    "--list-key",
    "list.pem",
    "--log-key",
    "log.pem",
    "--attestation-root",
    "attestation-root.pem",
];
pub(crate) const VERIFY: &[&str] = &[
    "verify",
    "--key",
    "root-1.pub",
    "--key",
    "root-2.pub",
    "--attestation-root",
    "attestation-root.pem",
    "--memory",
    "memory.json",
    "site",
];

pub(crate) fn measured(digit: char) -> String {
    let register = |index: u8| format!(r#""PCR{index}": "{}{index}""#, String::from(digit).repeat(95));
    let registers = [0, 1, 2].map(register).join(", ");
    format!(r#"{{"Measurements": {{"HashAlgorithm": "Sha384 {{ ... }}", {registers}}}}}"#)
}

pub(crate) fn lines(base64: &str) -> String {
    let lines = base64.as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap());
    lines.collect::<Vec<_>>().join("\n")
}
