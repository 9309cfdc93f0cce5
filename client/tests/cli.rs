//! What `ok2cry` does without a service: keys, and refusing to guess whom to trust.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

fn ok2cry(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ok2cry"));
    for name in ["OK2CRY_URL", "OK2CRY_ROOT", "OK2CRY_MEASUREMENTS"] {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_recipients_key_is_written_once_and_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipient.pem");
    let made = ok2cry(&["recipient", "new", path(&file)]);
    assert!(made.status.success());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    let shown = ok2cry(&["recipient", "show", path(&file)]);
    assert_eq!(made.stdout, shown.stdout);
    assert_eq!(text(&made.stdout).trim().len(), 130);

    let before = std::fs::read(&file).unwrap();
    let again = ok2cry(&["recipient", "new", path(&file)]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn without_reference_values_nothing_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipient.pem");
    let key = ok2cry(&["recipient", "new", path(&file)]);
    let key = text(&key.stdout).trim();
    let common = ["seal", "--url", "http://127.0.0.1:9", "--purpose", "card-pin", "--recipient", key];
    let refused = ok2cry(&common);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--measurements"), "{}", text(&refused.stderr));

    let zeros = format!("0={}", "0".repeat(96));
    let refused = ok2cry(&[&common[..], &["--pcr", &zeros]].concat());
    assert_eq!(refused.status.code(), Some(2), "all-zero PCRs are no reference values");
    let both = format!("0={}", "a".repeat(96));
    let refused = ok2cry(&[&common[..], &["--pcr", &both, "--insecure-without-pcrs"]].concat());
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn unusable_input_is_named_and_ends_with_2() {
    for (args, named) in [
        (&["status", "--url", "http://127.0.0.1:9", "short"][..], "key id"),
        (
            &[
                "seal",
                "--url",
                "http://127.0.0.1:9",
                "--purpose",
                "p",
                "--recipient",
                "A",
                "--insecure-without-pcrs",
            ],
            "--recipient",
        ),
        (&["seal", "--url", "x", "--purpose", "p"], "--recipient"),
        (&["seal", "--ttl", "5", "--url", "x", "--purpose", "p"], "--ttl"),
        (&["open", "--url", "x", "/nonexistent"], "/nonexistent"),
        (&["attest", "--url", "http://127.0.0.1:9"], "--release-key"),
        (&["attest", "--url", "http://127.0.0.1:9", "--release-key", "/nonexistent"], "/nonexistent"),
        (&["releases", "--url", "http://127.0.0.1:9", "--insecure-without-pcrs"], "--release-key"),
        (&["attest", "--url", "x", "--release-key", "/nonexistent", "--pcr", "0=00"], "must begin with http"),
        (&["attest", "--url", "http://127.0.0.1:9", "--release-key", "k", "--pcr", "0=00"], "three ways"),
        (&["attest", "--url", "http://127.0.0.1:9", "--releases", "bundle.json"], "--release-key"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = ok2cry(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(named), "{args:?}: {}", text(&output.stderr));
    }
}
