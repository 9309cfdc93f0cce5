//! What people do by mistake, and what the program says to it: another file, another form, a clock, a full
//! disk.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use base64ct::{Base64, Encoding};
use ok2cry_attest_forge::{Enclave, pcr};

use crate::{NOW, Setup, expect, hex, pem, stderr};

/// The reason on stdout under `--json`, and the line on stderr.
fn no_verdict(output: &Output) -> (String, String) {
    assert_eq!(output.status.code(), Some(2), "{}", stderr(output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["verdict"], serde_json::Value::Null);
    assert!(!json["message"].as_str().unwrap().is_empty());
    (json["reason"].as_str().unwrap().to_owned(), stderr(output))
}

/// What is said of `bytes` where a document is expected.
fn found(setup: &Setup, bytes: &[u8]) -> String {
    std::fs::write(setup.path("document"), bytes).unwrap();
    let (reason, message) = no_verdict(&setup.run(&["--at", NOW, "--insecure-without-pcrs", "--json"]));
    assert_eq!(reason, "input_invalid", "{message}");
    message
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn text_of_a_document_is_read_in_every_common_form() {
    let setup = Setup::new();
    let (hex, base64) = (hex(&setup.document), Base64::encode_string(&setup.document));
    for text in [
        format!("0x{hex}"),
        format!("0X{}\n", hex.to_uppercase()),
        format!("\u{feff}{hex}\r\n"),
        format!("\u{feff}0x{hex}"),
        format!("\u{feff}{base64}"),
        format!("  {base64}\t\n"),
    ] {
        let output = setup.pipe(text.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{:.20}: {}", text, stderr(&output));
    }
}

#[test]
fn another_text_is_named_and_never_judged() {
    let setup = Setup::new();
    let (hex, base64) = (hex(&setup.document), Base64::encode_string(&setup.document));
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2V4YW1wbGUifQ.c2ln";
    let with_mark = [&[0xff, 0xfe][..], &utf16(&base64)].concat();
    let big_endian: Vec<u8> = hex.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let cases: [(&str, Vec<u8>); 19] = [
        ("UTF-16", with_mark),
        ("UTF-16", utf16(&base64)),
        ("UTF-16", big_endian),
        ("base64 of another text (encoded twice?)", Base64::encode_string(base64.as_bytes()).into()),
        ("base64 of another text (encoded twice?)", Base64::encode_string(hex.as_bytes()).into()),
        ("hex of another text (encoded twice?)", crate::hex(base64.as_bytes()).into()),
        ("base64 of text in UTF-16", Base64::encode_string(&utf16(&base64)).into()),
        ("base64 of gzip data", Base64::encode_string(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]).into()),
        ("an odd number", hex[1..].into()),
        ("an odd number", format!("0x{}", &hex[1..]).into()),
        ("JSON web token", jwt.into()),
        ("JSON, in which", format!(r#"{{"document":"{base64}"}}"#).into()),
        ("quotes", format!("\"{base64}\"").into()),
        ("PEM of a certificate", pem(&Enclave::new().root()).into()),
        ("HTML", "<!DOCTYPE html><title>403</title>".into()),
        ("neither base64 nor hex", "this is no document!".into()),
        ("neither base64 nor hex", format!("{base64}\u{a0}").into()),
        ("no data", "0x".into()),
        ("a text of more than 131072 bytes", "84".repeat(70_000).into()),
    ];
    for (expected, bytes) in cases {
        let said = found(&setup, &bytes);
        assert!(said.starts_with("error: ") && said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn other_kinds_of_files_and_tokens_are_named() {
    let setup = Setup::new();
    let sized = |head: &[u8], len: usize| [head, &vec![0xee; len - head.len()]].concat();
    let cases: [(&str, Vec<u8>); 16] = [
        ("gzip", sized(&[0x1f, 0x8b, 8], 100)),
        ("zip archive", sized(b"PK\x03\x04", 100)),
        ("zstd", sized(&[0x28, 0xb5, 0x2f, 0xfd], 100)),
        ("enclave image file", sized(b".eif\x00\x04", 1000)),
        ("a program", sized(b"\x7fELF\x02", 1000)),
        ("DER", Enclave::new().root()),
        ("Arm CCA", sized(&[0xd9, 0x01, 0x8f, 0xa2], 1000)),
        ("CBOR web token", sized(&[0xd8, 0x3d, 0xd2, 0x84], 1000)),
        ("Apple App Attest", sized(b"\xa3\x63fmt\x6fapple-appattest", 1000)),
        ("WebAuthn", sized(b"\xa3\x63fmt\x66packed", 1000)),
        ("TPM 2.0 quote", sized(b"\xffTCG\x80\x18", 200)),
        ("TPM 2.0 quote", sized(b"\x00\x91\xffTCG\x80\x18", 200)),
        ("SEV-SNP", sized(&[2, 0, 0, 0], 1184)),
        ("TDX quote", sized(&[4, 0, 2, 0, 0x81, 0, 0, 0], 5000)),
        ("SGX quote", sized(&[3, 0, 2, 0, 0, 0, 0, 0], 5000)),
        (
            "base64 of an Intel TDX quote",
            Base64::encode_string(&sized(&[4, 0, 2, 0, 0x81, 0, 0, 0], 5000)).into(),
        ),
    ];
    for (expected, bytes) in cases {
        let said = found(&setup, &bytes);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    std::fs::write(setup.path("document"), b"").unwrap();
    assert!(stderr(&setup.run(&["--insecure-without-pcrs"])).contains("it is empty"));
}

#[test]
fn measurements_of_nitro_cli_are_expected_whole() {
    let setup = Setup::new();
    let file = |name: &str, fill: &dyn Fn(u8) -> String| {
        let json = format!(
            r#"{{"Measurements":{{"HashAlgorithm":"Sha384 {{ ... }}","PCR0":"{}","PCR1":"{}","PCR2":"{}"}}}}"#,
            fill(0),
            fill(1),
            fill(2)
        );
        std::fs::write(setup.path(name), json).unwrap();
        setup.path(name).to_str().unwrap().to_owned()
    };
    let ours = file("ours.json", &|index| hex(&pcr(index)));
    let mixed = file("mixed.json", &|index| hex(&pcr(index.min(1))));
    let output = setup.run(&["--at", NOW, "--measurements", &mixed, "--measurements", &ours]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("checked    PCR 0 1 2 as in {ours}\n")), "{text}");

    let output = setup.run(&["--at", NOW, "--measurements", &mixed, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json["differing"],
        serde_json::json!([{"pcr": 2, "expected": hex(&pcr(1)), "found": hex(&pcr(2))}])
    );
    let said = stderr(&output);
    assert!(said.contains(&format!("PCR2 expected {}, found {}", hex(&pcr(1)), hex(&pcr(2)))), "{said}");

    std::fs::write(setup.path("ours.json"), format!(r#"{{"PCR0":"{0}","PCR0":"{0}"}}"#, hex(&pcr(0))))
        .unwrap();
    let (reason, said) = no_verdict(&setup.run(&["--at", NOW, "--measurements", &ours, "--json"]));
    assert_eq!(reason, "input_invalid");
    assert!(said.contains("--measurements: ") && said.contains("\"PCR0\" appears twice"), "{said}");
}

#[test]
fn a_root_is_read_from_pem_and_from_der() {
    let setup = Setup::new();
    let root = Enclave::new().root();
    let verdict = |bytes: &[u8]| {
        std::fs::write(setup.path("root.pem"), bytes).unwrap();
        setup.run(&["--at", NOW, "--insecure-without-pcrs", "--json"])
    };
    let mark = [b"\xef\xbb\xbf", pem(&root).as_bytes()].concat();
    for bytes in [&root[..], pem(&root).as_bytes(), &mark] {
        let output = verdict(bytes);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    for (expected, bytes) in [
        ("it is empty", vec![]),
        ("zip archive", b"PK\x03\x04AWS_NitroEnclaves_Root-G1.zip".to_vec()),
        ("PEM of a public key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_vec()),
        ("another text", Base64::encode_string(&root).into_bytes()),
        ("bytes that are not text", vec![0x30, 0xff]),
        ("exactly one certificate", pem(&root).repeat(2).into_bytes()),
        ("bytes after", [&root[..], &[0]].concat()),
    ] {
        let (reason, said) = no_verdict(&verdict(&bytes));
        assert_eq!(reason, "input_invalid");
        assert!(said.contains("--root: ") && said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn usage_errors_are_reported_as_json() {
    let setup = Setup::new();
    for args in [
        &["--at", NOW, "--json"][..],
        &["--at", "yesterday", "--insecure-without-pcrs", "--json"],
        &["--at", "document", "--max-age", "5m", "--insecure-without-pcrs", "--json"],
        &["--json", "--at", NOW, "--pcr", &expect(0), "--pcr", &expect(0)],
        &["--json", "--no-such-option"],
    ] {
        let (reason, said) = no_verdict(&setup.run(args));
        assert_eq!(reason, "usage_invalid", "{args:?}");
        assert!(said.starts_with("error: "), "{said}");
    }
    let output = setup.run(&["--at", NOW]);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty());
}

#[test]
fn times_of_reports_are_accepted_as_input() {
    let setup = Setup::new();
    for at in ["1768478400", "1768478400000", "2026-01-15T13:00:00+01:00"] {
        let output = setup.run(&["--at", at, "--insecure-without-pcrs", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["checked_at"], NOW, "{at}");
    }
    for (args, expected) in [
        (["--at", "176847840"], "10 digits (seconds) or 13 (milliseconds), and this has 9"),
        (["--at", "2026-01-15T12:00:00"], "zone"),
        (["--at", "yesterday"], "expected now, document, a time like"),
        (["--max-age", "300"], "a number needs its unit"),
        (["--max-age", "soon"], "expected hours, minutes, seconds"),
        (["--max-age", "-1s"], "an age is not negative"),
    ] {
        let output = setup.run(&[&args[..], &["--insecure-without-pcrs"]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn clock_errors_have_a_hint() {
    let setup = Setup::new();
    for (args, clock) in [
        (&["--at", "2026-01-16T12:00:00Z"][..], "--at says 2026-01-16T12:00:00Z"),
        (&["--at", "2026-01-15T11:00:00Z"], "--at says 2026-01-15T11:00:00Z"),
        (&[], "ask for a new document"),
    ] {
        let output = setup.run(&[args, &["--insecure-without-pcrs", "--json"]].concat());
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        for expected in ["is the clock", clock, "--at document"] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(json["hint"].as_str().unwrap().contains("--at document"));
    }
}

/// Commands that print to stdout, with their exit status.
fn printing(setup: &Setup) -> Vec<(Command, i32)> {
    let document = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attest-verify"));
        command
            .arg("document")
            .arg(setup.path("document"))
            .arg("--root")
            .arg(setup.path("root.pem"))
            .args(args);
        command
    };
    let plain = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attest-verify"));
        command.args(args);
        command
    };
    let good = ["--at", NOW, "--insecure-without-pcrs"];
    vec![
        (document(&good), 0),
        (document(&[&good[..], &["--json"]].concat()), 0),
        (document(&["--at", "2030-01-01T00:00:00Z", "--insecure-without-pcrs", "--json"]), 1),
        (document(&["--json"]), 2),
        (plain(&["--help"]), 0),
        (plain(&["document", "--help"]), 0),
        (plain(&["--version"]), 0),
    ]
}

#[test]
fn unwritable_output_is_an_error() {
    let setup = Setup::new();
    for (mut command, status) in printing(&setup) {
        assert_eq!(command.output().unwrap().status.code(), Some(status), "{command:?}");

        let full = command.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        assert_eq!(full.status.code(), Some(2), "{command:?}");
        assert!(stderr(&full).contains("standard output"), "{command:?}: {}", stderr(&full));

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let gone = command.stdout(writer).output().unwrap();
        assert_eq!(gone.status.code(), Some(2), "{command:?}");
        assert!(stderr(&gone).contains("standard output"), "{command:?}: {}", stderr(&gone));
    }
}

/// If no output can be written, the exit status still tells.
#[test]
fn errors_that_cannot_be_written_keep_their_status() {
    let setup = Setup::new();
    for args in [&["--at", "2030-01-01T00:00:00Z", "--insecure-without-pcrs"][..], &[], &["--at", "x"]] {
        let expected = setup.run(args).status.code();
        let mut command = Command::new(env!("CARGO_BIN_EXE_attest-verify"));
        command
            .arg("document")
            .arg(setup.path("document"))
            .arg("--root")
            .arg(setup.path("root.pem"))
            .args(args);
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let status = command.stdin(Stdio::null()).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), expected, "{args:?}");
        assert!(status.code().is_some_and(|code| code != 0));
    }
}
