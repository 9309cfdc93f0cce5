//! The command `ok2cry` against real processes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use ok2cry_attest_verify::CheckTime;
use ok2cry_client::http::Client;
use ok2cry_protocol::ids::Nonce;
use ok2cry_testkit::{
    Deployment, HostileParent, Options,
    hostile_parent::{Exchange, Passing, Step},
    process::program,
};
use serde_json::{Value, json};
use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::PermissionsExt,
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
        self.run_into(args, stdin, Stdio::piped())
    }

    /// Runs the program with its standard output on a full disk, and returns its stderr.
    fn on_a_full_disk(&self, args: &[&str]) -> String {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = self.run_into(args, b"4931", full.into());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("standard output cannot be written"), "{args:?}: {said}");
        said
    }

    fn run_into(&self, args: &[&str], stdin: &[u8], stdout: Stdio) -> Output {
        let mut child = Command::new(program("ok2cry").unwrap())
            .args(args)
            .current_dir(self.folder.path())
            .env("OK2CRY_URL", self.deployment.url())
            .env("OK2CRY_ROOT", self.deployment.root_pem())
            .env("OK2CRY_MEASUREMENTS", self.deployment.measurements())
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read its input has ended with an error.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    /// Runs the program, which must succeed, and returns its output.
    fn ok(&self, args: &[&str], stdin: &[u8]) -> String {
        let output = self.run(args, stdin);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must refuse, and returns the reason's code.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(&[&["--json"], args].concat(), b"");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        let reason = verdict["reason"].as_str().unwrap().to_owned();
        assert!(String::from_utf8(output.stderr).unwrap().starts_with(&format!("refused: {reason}: ")));
        reason
    }

    fn read_file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Seals a message for a new recipient into `message.json`. Returns its key's id.
    fn seal(&self) -> String {
        let recipient = self.ok(&["recipient", "new", "issuer.pem"], b"");
        let seal = ["seal", "--purpose", "card-pin", "--aad", "order 17", "--recipient", recipient.trim()];
        let message = self.ok(&seal, b"4931");
        self.write("message.json", &message);
        let message: Value = serde_json::from_str(&message).unwrap();
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
fn a_key_id_that_begins_with_a_hyphen_is_not_an_option() {
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
fn a_fetched_reply_is_read_once() {
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

    // A file of seen replies that is cut short is refused.
    let path = shell.folder.path().join("seen");
    let mut seen = std::fs::read_to_string(&path).unwrap();
    seen.pop();
    std::fs::write(&path, seen).unwrap();
    let damaged = shell.run(&read, b"");
    assert_eq!((damaged.status.code(), &damaged.stdout[..]), (Some(2), &b""[..]));
}

#[test]
fn an_unexpected_reply_is_refused_with_its_code() {
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
fn an_open_whose_reply_could_not_be_read_uses_no_key() {
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
fn a_caller_gets_plaintext_only_where_both_sides_allow_it() {
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

/// A parent that answers every open with `answer`.
fn host_that_answers(shell: &Shell, answer: Value) -> HostileParent {
    let tamper = move |exchange: &Exchange, passing: &mut Passing| {
        if exchange.step == Step::OpenAnswer {
            passing.body = answer.clone();
        }
    };
    HostileParent::start(shell.deployment.url(), tamper).unwrap()
}

#[test]
fn a_reply_that_the_host_invented_is_not_printed() {
    let shell = Shell::new();
    let host = host_that_answers(&shell, json!({"plaintext": "OTk5OQ"}));
    let url = host.url("a");
    shell.seal();
    let message: Value = serde_json::from_str(&shell.read_file("message.json")).unwrap();
    for without in [None, Some("descriptor")] {
        let mut message = message.clone();
        without.map(|field| message.as_object_mut().unwrap().remove(field));
        shell.write("message.json", &message.to_string());
        assert_eq!(shell.refused(&["open", "--url", &url, "message.json"]), "release_mode_mismatch");
        // Only a message without a descriptor may be the caller's, so only then the reply is kept.
        let kept = shell.folder.path().join("message.json.reply");
        assert_eq!(kept.exists(), without.is_some());
    }

    let message = shell.ok(&["seal", "--purpose", "caller-demo", "--insecure-release-to-caller"], b"hello");
    shell.write("message.json", &message);
    let context = json!({"record": "AA", "index": 0, "path": [], "document": "AA"});
    let sealed = json!({"sealed": {"reply": "AA", "context": context}});
    let url = host_that_answers(&shell, sealed).url("a");
    assert_eq!(shell.refused(&["open", "--url", &url, "message.json"]), "release_mode_mismatch");
}

#[test]
fn a_message_says_to_whom_its_key_delivers() {
    let shell = Shell::new();
    let key = shell.seal();
    let open = ["open", "message.json", "--insecure-release-to-caller"];
    assert_eq!(shell.run(&open, b"").status.code(), Some(2), "the key names a recipient");

    // Another key's descriptor.
    let first: Value = serde_json::from_str(&shell.read_file("message.json")).unwrap();
    std::fs::remove_file(shell.folder.path().join("issuer.pem")).unwrap();
    shell.seal();
    let mut mixed = first.clone();
    mixed["descriptor"] =
        serde_json::from_str::<Value>(&shell.read_file("message.json")).unwrap()["descriptor"].clone();
    shell.write("mixed.json", &mixed.to_string());
    assert_eq!(shell.run(&["open", "mixed.json"], b"").status.code(), Some(2));
    assert_eq!(shell.ok(&["status", &key], b""), "live\n");

    let message = shell.ok(&["seal", "--purpose", "caller-demo", "--insecure-release-to-caller"], b"hello");
    shell.write("message.json", &message);
    let to_caller = [&["open", "message.json"][..], &READ].concat();
    assert_eq!(shell.refused(&to_caller), "release_mode_mismatch");
    let mut silent: Value = serde_json::from_str(&message).unwrap();
    silent.as_object_mut().unwrap().remove("descriptor");
    shell.write("silent.json", &silent.to_string());
    assert_eq!(shell.ok(&["open", "silent.json", "--insecure-release-to-caller"], b""), "hello");
}

#[test]
fn local_mistakes_use_no_key() {
    let shell = Shell::new();
    let key = shell.seal();
    shell.ok(&["recipient", "new", "other.pem"], b"");
    shell.ok(&["recipient", "new", "open.pem"], b"");
    let open = shell.folder.path().join("open.pem");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let measurements = std::fs::read(shell.deployment.measurements()).unwrap();
    let mut measurements: Value = serde_json::from_slice(&measurements).unwrap();
    measurements["Measurements"]["PCR0"] = "ab".repeat(48).into();
    shell.write("old.json", &measurements.to_string());
    shell.write("damaged", "x");
    let message: Value = serde_json::from_str(&shell.read_file("message.json")).unwrap();
    let hash = message["descriptor_hash"].as_str().unwrap();
    let hash = <base64ct::Base64UrlUnpadded as base64ct::Encoding>::decode_vec(hash).unwrap();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    shell.write("had", &format!("{hex}\n"));
    let with = |from: &str, to: &str| -> Vec<String> {
        let open = [&["open", "message.json"][..], &READ].concat();
        open.into_iter().map(|arg| if arg == from { to.to_owned() } else { arg.to_owned() }).collect()
    };
    let codes = [("issuer.pem", "other.pem", "recipient_mismatch"), ("seen", "had", "reply_replayed")];
    for (from, to, code) in codes.into_iter().chain([("card-pin", "pin-change", "purpose_mismatch")]) {
        let args = with(from, to);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        assert_eq!(shell.refused(&args), code, "{to}");
    }
    let old = [&["open", "message.json", "--measurements", "old.json"][..], &READ].concat();
    assert_eq!(shell.refused(&old), "pcr_mismatch");
    let wrong_root = [&["open", "message.json", "--root", "damaged"][..], &READ].concat();
    assert_eq!(shell.run(&wrong_root, b"").status.code(), Some(2));
    for (from, to) in
        [("issuer.pem", "open.pem"), ("issuer.pem", "damaged"), ("seen", "damaged"), ("seen", ".")]
    {
        let args = with(from, to);
        let output = shell.run(&args.iter().map(String::as_str).collect::<Vec<_>>(), b"");
        assert_ne!(output.status.code(), Some(0), "{to}");
    }
    assert_eq!(shell.ok(&["status", &key], b""), "live\n");
    assert_eq!(shell.ok(&[&["open", "message.json"][..], &READ].concat(), b""), "4931");
}

/// `ok2cry open` checks the clock before it uses a key: with a wrong clock it would refuse the reply.
#[test]
fn a_wrong_clock_is_noticed_before_the_key_is_used() {
    let shell = Shell::new();
    let (client, trust) = (Client::new(shell.deployment.url()), shell.deployment.trust().unwrap());
    let nonce = Nonce::new([7; 32]).unwrap();
    let statement = client.attestation(&nonce).unwrap();
    let now = CheckTime::system();
    let at = |now_ms: u64| CheckTime { now_ms, ..now };
    let verdict = |time: &CheckTime| trust.verify_statement_for_replies(&nonce, &statement, time).map(drop);
    assert_eq!(verdict(&now), Ok(()));
    assert_eq!(verdict(&at(now.now_ms + 300_000)), Ok(()), "a reply of five minutes ago is read");
    assert!(trust.verify_statement(&nonce, &statement, &at(now.now_ms + 300_000)).is_err());
    verdict(&at(now.now_ms - 300_000)).unwrap_err();
    assert_eq!(verdict(&at(now.now_ms + 700_000)).unwrap_err().code(), "document_too_old");
    let other = Nonce::new([8; 32]).unwrap();
    assert!(trust.verify_statement_for_replies(&other, &statement, &now).is_err());
}

#[test]
fn a_received_reply_is_not_lost() {
    let shell = Shell::new();
    shell.seal();
    let open = [&["open", "message.json"][..], &READ].concat();
    let said = shell.on_a_full_disk(&open);
    assert!(said.contains("message.json.reply"), "{said}");
    // The reply was not read, so it does not count as seen.
    let read = [&["read", "message.json.reply"][..], &READ].concat();
    assert_eq!(shell.ok(&read, b""), "4931");
    assert_eq!(shell.refused(&read), "reply_replayed");

    // Where no file can be written, the reply is printed to stderr.
    std::fs::remove_file(shell.folder.path().join("issuer.pem")).unwrap();
    std::fs::remove_file(shell.folder.path().join("seen")).unwrap();
    shell.seal();
    let said = shell.on_a_full_disk(&["open", "message.json", "--keep", "/nonexistent/reply"]);
    let reply = said.lines().last().unwrap();
    assert_eq!(shell.ok(&[&["read", "-"][..], &READ].concat(), reply.as_bytes()), "4931");
    // A later reply does not overwrite an earlier one.
    let said = shell.on_a_full_disk(&["open", "message.json"]);
    assert!(said.contains("message.json.reply.1"), "the first file holds another reply: {said}");
}

#[test]
fn a_reply_that_is_refused_is_kept_as_it_came() {
    let shell = Shell::new();
    shell.seal();
    let tamper = |exchange: &Exchange, passing: &mut Passing| {
        if exchange.step == Step::OpenAnswer {
            passing.body["sealed"]["context"]["index"] = 7.into();
        }
    };
    let host = HostileParent::start(shell.deployment.url(), tamper).unwrap();
    let url = host.url("a");
    let open = [&["open", "message.json", "--url", &url][..], &READ].concat();
    assert_eq!(shell.refused(&open), "not_in_batch");
    let mut kept: Value = serde_json::from_str(&shell.read_file("message.json.reply")).unwrap();
    assert_eq!(kept["sealed"]["context"]["index"], 7);
    kept["sealed"]["context"]["index"] = 0.into();
    shell.write("reply.json", &kept.to_string());
    assert_eq!(shell.ok(&[&["read", "reply.json"][..], &READ].concat(), b""), "4931");
}

#[test]
fn the_earlier_reply_format_is_still_read() {
    let shell = Shell::new();
    shell.seal();
    let printed = shell.ok(&["open", "message.json"], b"");
    let reply: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(reply.as_object().unwrap().keys().collect::<Vec<_>>(), ["sealed"]);
    shell.write("bare.json", &reply["sealed"].to_string());
    shell.write("reply.json", &printed);
    let careless = ["--recipient-key", "issuer.pem", "--purpose", "card-pin", "--aad", "order 17"];
    for file in ["bare.json", "reply.json"] {
        let read = [&["read", file, "--insecure-allow-replays"][..], &careless].concat();
        assert_eq!(shell.ok(&read, b""), "4931", "{file}");
    }
    shell.write("list.json", &json!([reply["sealed"]["reply"], reply["sealed"]["context"]]).to_string());
    let read = [&["read", "list.json", "--insecure-allow-replays"][..], &careless].concat();
    assert_eq!(shell.run(&read, b"").status.code(), Some(2));
}

#[test]
fn printing_to_a_full_disk_fails() {
    let shell = Shell::new();
    let key = shell.seal();
    let to_caller = ["seal", "--purpose", "caller-demo", "--insecure-release-to-caller"];
    shell.write("caller.json", &shell.ok(&to_caller, b"hello"));
    for args in [
        &["attest"][..],
        &["attest", "--json"],
        &["status", &key],
        &["destroy", &key],
        &to_caller,
        &["open", "caller.json"],
    ] {
        shell.on_a_full_disk(args);
    }
    // The only copy of the plaintext.
    assert!(shell.read_file("caller.json.reply").contains("aGVsbG8"));
}

/// Release engineers run the script on an EC2 instance; here it runs under this deployment's root.
#[test]
fn the_smoke_script_fails_unless_all_checks_hold() {
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
