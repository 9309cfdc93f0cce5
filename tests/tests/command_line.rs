//! `ok2cry` against real processes: what the README shows.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use ok2cry_tests::{Deployment, Options, process::program};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

struct Shell {
    deployment: Deployment,
    folder: TempDir,
}

impl Shell {
    fn new() -> Self {
        let deployment = Deployment::start(Options::default()).unwrap();
        Self { deployment, folder: tempfile::tempdir().unwrap() }
    }

    fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new(program("ok2cry").unwrap())
            .args(args)
            .current_dir(self.folder.path())
            .env("OK2CRY_URL", self.deployment.url())
            .env("OK2CRY_ROOT", self.deployment.root_pem())
            .env("OK2CRY_MEASUREMENTS", self.deployment.measurements())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs what must succeed, and returns its output.
    fn ok(&self, args: &[&str], stdin: &[u8]) -> String {
        let output = self.run(args, stdin);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must be refused, and returns the reason.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(&[&["--json"], args].concat(), b"");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let reason = verdict["reason"].as_str().unwrap().to_owned();
        assert!(String::from_utf8(output.stderr).unwrap().starts_with(&format!("refused: {reason}: ")));
        reason
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A message for a new recipient, in `message.json`. Returns its key's id.
    fn seal(&self) -> String {
        let recipient = self.ok(&["recipient", "new", "issuer.pem"], b"");
        let seal = ["seal", "--purpose", "card-pin", "--aad", "order 17", "--recipient", recipient.trim()];
        let message = self.ok(&seal, b"4931");
        self.write("message.json", &message);
        let message: serde_json::Value = serde_json::from_str(&message).unwrap();
        message["key_id"].as_str().unwrap().to_owned()
    }
}

const READ: [&str; 8] =
    ["--recipient-key", "issuer.pem", "--purpose", "card-pin", "--aad", "order 17", "--seen", "seen"];

#[test]
fn a_pin_goes_from_a_pipe_to_its_recipient() {
    let shell = Shell::new();
    assert!(shell.ok(&["attest"], b"").starts_with("an accepted enclave answers"));
    let key = shell.seal();
    assert_eq!(shell.ok(&["status", &key], b""), "live\n");
    let open = [&["open", "message.json"][..], &READ].concat();
    assert_eq!(shell.ok(&open, b""), "4931");
    assert_eq!(shell.ok(&["status", &key], b""), "used\n");
    assert_eq!(shell.ok(&["destroy", &key], b""), "used\n");
}

#[test]
fn a_key_id_that_begins_with_a_hyphen_is_no_option() {
    let shell = Shell::new();
    for id in
        [format!("-{}", "A".repeat(31)), format!("--{}", "A".repeat(30)), format!("-h{}", "A".repeat(30))]
    {
        assert_eq!(shell.ok(&["status", &id], b""), "unknown\n");
        assert_eq!(shell.ok(&["destroy", &id], b""), "unknown\n");
    }
    assert_eq!(shell.run(&["status", "--colour"], b"").status.code(), Some(2));
}

#[test]
fn a_reply_that_somebody_fetched_is_read_once() {
    let shell = Shell::new();
    shell.seal();
    shell.write("reply.json", &shell.ok(&["open", "message.json"], b""));
    let read = [&["read", "reply.json"][..], &READ].concat();
    assert_eq!(shell.ok(&read, b""), "4931");
    assert_eq!(shell.refused(&read), "reply_replayed");
    let once = ["--recipient-key", "issuer.pem", "--purpose", "card-pin", "--aad", "order 17"];
    let careless = [&["read", "reply.json", "--insecure-allow-replays"][..], &once].concat();
    assert_eq!(shell.ok(&careless, b""), "4931");
    assert_eq!(shell.run(&[&["read", "reply.json"][..], &once].concat(), b"").status.code(), Some(2));

    // A memory that was cut off is no memory.
    let path = shell.folder.path().join("seen");
    let mut seen = std::fs::read_to_string(&path).unwrap();
    seen.pop();
    std::fs::write(&path, seen).unwrap();
    let damaged = shell.run(&read, b"");
    assert_eq!((damaged.status.code(), &damaged.stdout[..]), (Some(2), &b""[..]));
}

#[test]
fn what_is_not_expected_is_refused_with_its_code() {
    let shell = Shell::new();
    let key = shell.seal();
    shell.write("reply.json", &shell.ok(&["open", "message.json"], b""));
    let read = |args: &[&str]| {
        shell.refused(
            &[&["read", "reply.json", "--recipient-key", "issuer.pem", "--seen", "seen"], args].concat(),
        )
    };
    assert_eq!(read(&["--purpose", "card-pin", "--aad", "order 18"]), "aad_mismatch");
    assert_eq!(read(&["--purpose", "pin-change", "--aad", "order 17"]), "purpose_mismatch");
    assert_eq!(
        shell.refused(&["seal", "--purpose", "no-such", "--insecure-release-to-caller"]),
        "purpose_unknown"
    );
    let other = shell.ok(&["recipient", "new", "other.pem"], b"");
    assert_ne!(other, "");
    let by_other = [&["read", "reply.json"][..], &READ].concat();
    let by_other: Vec<_> =
        by_other.iter().map(|arg| if *arg == "issuer.pem" { "other.pem" } else { arg }).collect();
    assert_eq!(shell.refused(&by_other), "recipient_mismatch");
    assert_eq!(shell.ok(&["status", &key], b""), "used\n");
}

#[test]
fn what_would_not_be_read_uses_no_key_up() {
    let shell = Shell::new();
    let key = shell.seal();
    let with =
        |args: &[&'static str]| [&["open", "message.json", "--recipient-key", "issuer.pem"], args].concat();
    assert_eq!(
        shell.refused(&with(&["--purpose", "card-pin", "--aad", "order 18", "--seen", "seen"])),
        "aad_mismatch"
    );
    for unusable in [
        &["--purpose", "card-pin", "--aad", "order 17"][..],
        &["--aad", "order 17", "--seen", "seen"],
        &["--purpose", "card-pin", "--aad", "order 17", "--seen", "/nonexistent/seen"],
    ] {
        assert_eq!(shell.run(&with(unusable), b"").status.code(), Some(2), "{unusable:?}");
    }
    assert_eq!(shell.ok(&["status", &key], b""), "live\n");
}

#[test]
fn a_caller_gets_plaintext_only_where_everybody_agreed_to_it() {
    let shell = Shell::new();
    assert_eq!(
        shell.refused(&["seal", "--purpose", "card-pin", "--insecure-release-to-caller"]),
        "caller_not_allowed"
    );
    let message = shell.ok(&["seal", "--purpose", "caller-demo", "--insecure-release-to-caller"], b"hello");
    shell.write("message.json", &message);
    assert_eq!(shell.ok(&["open", "message.json"], b""), "hello");
    assert_eq!(shell.refused(&["open", "message.json"]), "key_used");
}

/// What a release engineer runs on an EC2 instance, under this deployment's root instead of AWS's.
#[test]
fn the_smoke_script_says_that_all_held_and_fails_where_it_does_not() {
    let shell = Shell::new();
    let program = program("ok2cry").unwrap();
    let smoke = |measurements: &Path| {
        Command::new("bash")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/nitro-smoke.sh"))
            .args(["--url", shell.deployment.url(), "--bin", program.parent().unwrap().to_str().unwrap()])
            .args([
                Path::new("--root"),
                shell.deployment.root_pem(),
                Path::new("--measurements"),
                measurements,
            ])
            .output()
            .unwrap()
    };
    let held = smoke(shell.deployment.measurements());
    let (stdout, stderr) = (String::from_utf8(held.stdout).unwrap(), String::from_utf8(held.stderr).unwrap());
    assert!(held.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("nitro-smoke: all held"), "{stdout}");

    let other = std::fs::read_to_string(shell.deployment.measurements()).unwrap().replace('a', "b");
    shell.write("other.json", &other);
    let failed = smoke(&shell.folder.path().join("other.json"));
    assert_eq!(failed.status.code(), Some(1));
    let stderr = String::from_utf8(failed.stderr).unwrap();
    assert!(
        stderr.contains("attestation accepted failed") && stderr.contains("nitro-smoke: FAILED"),
        "{stderr}"
    );
}
