//! The command line: exit status, reason codes, JSON, input formats.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::indexing_slicing, reason = "JSON of the program under test")]

mod mistakes;
mod vectors;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use ok2cry_attest_forge::{Enclave, cbor, pcr};
use vectors::{Case, Expected};

const NOW: &str = "2026-01-15T12:00:00Z";

/// A document, its root, and a folder that holds both.
struct Setup {
    folder: tempfile::TempDir,
    document: Vec<u8>,
}

impl Setup {
    fn new() -> Self {
        Self::of(&Enclave::new())
    }

    fn of(enclave: &Enclave) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let document = enclave.document();
        std::fs::write(folder.path().join("root.pem"), pem(&enclave.root())).unwrap();
        std::fs::write(folder.path().join("document"), &document).unwrap();
        Self { folder, document }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `attest-verify document <file> --root root.pem <args>`
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attest-verify"));
        command
            .arg("document")
            .arg(self.path("document"))
            .arg("--root")
            .arg(self.path("root.pem"))
            .args(args);
        command.output().unwrap()
    }

    fn pipe(&self, input: &[u8]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attest-verify"));
        command.args(["document", "-", "--at", NOW, "--insecure-without-pcrs", "--root"]);
        command
            .arg(self.path("root.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The program may refuse before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }
}

#[test]
fn accepts_what_is_expected() {
    let args = ["--at", NOW, "--max-age", "5m", "--pcr", &expect(0), "--pcr", &expect(2)];
    let output = Setup::new().run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("accepted\n"), "{text}");
    for line in ["module     i-0123-enc0123", "region     test-1", "checked    PCR 0 2 as expected"] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.contains("PCR0       a0a0"), "{text}");
    assert!(!text.contains('\x1b'), "colour without a terminal");
}

#[test]
fn json_holds_the_verdict_and_the_document() {
    let args = ["--at", NOW, "--pcr", &expect(0), "--nonce", &hex(b"0123456789abcdef"), "--json"];
    let output = Setup::new().run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["verdict"], "accepted");
    assert_eq!(json["reason"], serde_json::Value::Null);
    assert_eq!(json["document"]["age_ms"], 5000);
    assert_eq!(json["document"]["timestamp"], "2026-01-15T11:59:55Z");
    assert_eq!(json["document"]["pcrs"]["1"], hex(&pcr(1)));
    assert_eq!(json["document"]["nonce"], hex(b"0123456789abcdef"));
    assert_eq!(json["document"]["chain"].as_array().unwrap().len(), 5);
}

#[test]
fn refuses_with_the_code() {
    let setup = Setup::new();
    let mut wrong = expect(0);
    wrong.pop();
    wrong.push('1');
    let cases: [(&str, Vec<&str>); 7] = [
        ("pcr_mismatch", vec!["--at", NOW, "--pcr", &wrong]),
        ("nonce_mismatch", vec!["--at", NOW, "--insecure-without-pcrs", "--nonce", "00"]),
        ("user_data_mismatch", vec!["--at", NOW, "--insecure-without-pcrs", "--user-data", ""]),
        ("document_too_old", vec!["--at", NOW, "--insecure-without-pcrs", "--max-age", "4s"]),
        ("not_yet_valid", vec!["--at", "2025-01-15T12:00:00+01:00", "--insecure-without-pcrs"]),
        ("expired", vec!["--at", "2026-01-15T15:00:01Z", "--insecure-without-pcrs"]),
        ("expired", vec!["--insecure-without-pcrs"]),
    ];
    for (code, mut args) in cases {
        let output = setup.run(&args);
        assert_eq!(output.status.code(), Some(1), "{code}");
        assert!(stderr(&output).starts_with(&format!("refused: {code}: ")), "{}", stderr(&output));
        assert!(output.stdout.is_empty());

        args.push("--json");
        let output = setup.run(&args);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&json["verdict"], &json["reason"]), (&"refused".into(), &code.into()));
        assert!(json.get("document").is_none(), "a refused document is not shown");
    }
}

/// What people see, word for word. `UPDATE_TRANSCRIPT=1` writes the file anew.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn the_transcript_is_what_people_see() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli.transcript");
    let setup = Setup::new();
    let register = |index| hex(&pcr(index));
    let measurements = format!(
        r#"{{"Measurements":{{"HashAlgorithm":"Sha384 {{ ... }}","PCR0":"{}","PCR1":"{}","PCR2":"{}"}}}}"#,
        register(0),
        register(2),
        register(2)
    );
    std::fs::write(setup.path("measurements.json"), measurements).unwrap();
    let mut transcript = String::new();
    for (comment, line) in [
        (
            "An enclave that runs the expected image.",
            format!("{FILES} --at {NOW} --pcr 0=$PCR0 --max-age 5m"),
        ),
        ("What machines read.", format!("{FILES} --at {NOW} --pcr 0=$PCR0 --json")),
        ("Another image.", format!("{FILES} --at {NOW} --pcr 0=$PCR1")),
        ("Refusals for machines.", format!("{FILES} --at {NOW} --pcr 0=$PCR1 --json")),
        (
            "The measurements that nitro-cli printed, of another image.",
            format!("{FILES} --at {NOW} --measurements measurements.json"),
        ),
        ("A day later.", format!("{FILES} --at 2026-01-16T12:00:00Z --pcr 0=$PCR0")),
        ("By a clock that is behind.", format!("{FILES} --at 2026-01-15T11:58:00Z --pcr 0=$PCR0")),
        (
            "An audit of what is past.",
            format!("{FILES} --at document --insecure-without-pcrs --provider p384"),
        ),
        ("Not from AWS.", "document document --at document --pcr 0=$PCR0".to_owned()),
        ("Nothing is accepted by default.", "document document".to_owned()),
        ("No verdict, for machines.", format!("{FILES} --at yesterday --pcr 0=$PCR0 --json")),
        ("Another file.", "document root.pem --pcr 0=$PCR0".to_owned()),
    ] {
        let words = line.split(' ').map(|word| match word.split_once("$PCR") {
            Some((before, index)) => format!("{before}{}", hex(&pcr(index.parse().unwrap()))),
            None => word.to_owned(),
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_attest-verify"));
        let output = command.args(words).current_dir(setup.folder.path()).output().unwrap();
        let (stdout, stderr) = (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output));
        let status = output.status.code().unwrap();
        transcript +=
            &format!("# {comment}\n$ attest-verify {line}\n{stdout}{stderr}[exit status {status}]\n\n");
    }
    if std::env::var_os("UPDATE_TRANSCRIPT").is_some() {
        std::fs::write(&path, &transcript).unwrap();
    }
    assert_eq!(transcript, std::fs::read_to_string(&path).unwrap());
}

#[cfg(feature = "aws-lc-rs")]
const FILES: &str = "document document --root root.pem";

#[test]
fn colour_is_for_terminals_alone() {
    let setup = Setup::new();
    let run = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attest-verify"));
        let output = command
            .args(["document", "document", "--root", "root.pem", "--insecure-without-pcrs"])
            .args(args)
            .current_dir(setup.folder.path())
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    for args in [&["--at", NOW][..], &["--at", "2020-01-01T00:00:00Z"]] {
        assert!(!run(&[], args), "a pipe");
        assert!(run(&[("CLICOLOR_FORCE", "1")], args), "as on a terminal");
        assert!(!run(&[("NO_COLOR", "1")], args));
    }
    assert!(!run(&[("CLICOLOR_FORCE", "1")], &["--at", NOW, "--json"]));
}

#[test]
fn every_provider_gives_the_same_report() {
    let setup = Setup::new();
    let reports: Vec<_> = ok2cry_attest_verify::Provider::all()
        .map(|provider| {
            let output = setup.run(&["--at", NOW, "--insecure-without-pcrs", "--provider", provider.name()]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            String::from_utf8(output.stdout).unwrap().replace(provider.name(), "")
        })
        .collect();
    assert!(reports.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn trusts_aws_alone_unless_told_otherwise() {
    let setup = Setup::new();
    let output = Command::new(env!("CARGO_BIN_EXE_attest-verify"))
        .arg("document")
        .arg(setup.path("document"))
        .args(["--at", "document", "--insecure-without-pcrs"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("refused: root_not_trusted: "));
}

#[test]
fn escapes_are_named_in_the_report() {
    let debug = Enclave::with(|e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i > 2); 48]))));
    let setup = Setup::of(&debug);
    let output = setup.run(&["--at", "document", "--insecure-without-pcrs"]);
    assert!(stderr(&output).starts_with("refused: debug_mode: "));
    let output = setup.run(&["--at", "document", "--insecure-without-pcrs", "--insecure-allow-debug"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("accepted (a DEBUG enclave)\n"), "{text}");
    for gap in ["--insecure-without-pcrs", "--insecure-allow-debug", "--at document"] {
        assert!(
            text.lines().any(|line| line.starts_with("UNCHECKED  ") && line.contains(gap)),
            "{gap}\n{text}"
        );
    }
}

#[test]
fn reads_raw_hex_and_base64() {
    let setup = Setup::new();
    let wrapped: Vec<_> = hex(&setup.document).into_bytes().chunks(64).map(<[u8]>::to_vec).collect();
    for input in [
        setup.document.clone(),
        hex(&setup.document).into_bytes(),
        hex(&setup.document).to_uppercase().into_bytes(),
        wrapped.join(&b'\n'),
        Base64::encode_string(&setup.document).into_bytes(),
        format!("{}\n", Base64UrlUnpadded::encode_string(&setup.document)).into_bytes(),
    ] {
        let output = setup.pipe(&input);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let output = setup.pipe(&vec![0x84; 1_000_000]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("refused: document_too_large: "));
}

#[test]
fn unusable_input_and_arguments_are_no_verdict() {
    let setup = Setup::new();
    let expect = expect(0);
    for args in [
        &["--at", NOW][..],
        &["--at", NOW, "--pcr", &expect, "--insecure-without-pcrs"],
        &["--at", NOW, "--pcr", "0=00"],
        &["--at", NOW, "--pcr", "zero"],
        &["--at", NOW, "--pcr", &expect, "--pcr", &expect],
        &["--at", NOW, "--pcr", &format!("1={}", hex(&pcr(1)))],
        &["--at", NOW, "--pcr", &format!("0={}", hex(&[0; 48]))],
        &["--at", NOW, "--insecure-without-pcrs", "--nonce", "0"],
        &["--at", NOW, "--insecure-without-pcrs", "--max-age", "-5m"],
        &["--at", "yesterday", "--insecure-without-pcrs"],
        &["--at", NOW, "--insecure-without-pcrs", "--provider", "openssl"],
        &["--at", "document", "--insecure-without-pcrs", "--max-age", "5m"],
        &["--insecure-without-pcrs", "--root", "/nonexistent"],
    ] {
        let output = setup.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: "), "{args:?}: {}", stderr(&output));
    }
    for input in [&b""[..], b"\n", b"this is no document!"] {
        assert_eq!(setup.pipe(input).status.code(), Some(2));
    }
}

/// Every fifth vector that is judged without a clock's leeway or a policy of its own, and all that are made
/// to cost something, in a process that has 64 MiB of address space: what is refused is refused for the same
/// reason.
#[test]
fn vectors_get_their_verdicts_in_little_memory() {
    let started = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let (document, root) = (folder.path().join("document"), folder.path().join("root.pem"));
    let mut count = 0;
    for (file, of_file, cases) in vectors::files() {
        let usual = |case: &&Case| case.policy.is_none() && case.leeway_ms == 60_000 && file != "clock.json";
        for (number, case) in cases.iter().filter(usual).enumerate() {
            if number % 5 != 0 && file != "dos.json" {
                continue;
            }
            let bytes = case.document();
            std::fs::write(&document, &bytes).unwrap();
            std::fs::write(&root, pem(&case.root(&of_file))).unwrap();
            let mut command = limited();
            command.arg("document").arg(&document).arg("--root").arg(&root);
            command.args(["--at", NOW, "--insecure-without-pcrs"]);
            if case.allow_debug {
                command.arg("--insecure-allow-debug");
            }
            let output = command.output().unwrap();
            let name = &case.name;
            match &case.expected {
                // A file of text is taken for hex or base64, and an empty one for none at all: that is no
                // verdict.
                _ if str::from_utf8(&bytes).is_ok() => assert_ne!(output.status.code(), Some(0), "{name}"),
                Expected::Accepted { .. } => {
                    assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
                }
                Expected::Refused { code } => {
                    let stderr = stderr(&output);
                    assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
                    assert!(stderr.starts_with(&format!("refused: {code}: ")), "{name}: {stderr}");
                }
            }
            count += 1;
        }
    }
    assert!(count >= 80, "{count}");
    assert!(started.elapsed() < Duration::from_secs(120), "took {:?}", started.elapsed());
}

/// The program with 64 MiB of address space, its code and stacks included.
fn limited() -> Command {
    let mut command = Command::new("sh");
    let script = "ulimit -v 65536 && exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_attest-verify")]);
    command
}

#[test]
fn nothing_of_a_document_reaches_the_terminal_as_control() {
    let enclave = Enclave::with(|e| e.set("module_id", cbor::text("i-\x1b[2J\x07")));
    let output = Setup::of(&enclave).run(&["--at", NOW, "--insecure-without-pcrs"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!output.stdout.iter().any(|byte| byte.is_ascii_control() && *byte != b'\n'));
}

fn pem(der: &[u8]) -> String {
    let base64 = Base64::encode_string(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn expect(index: u8) -> String {
    format!("{index}={}", hex(&pcr(index)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
