//! The program's output and exit status.

#![allow(clippy::unwrap_used, reason = "helpers of tests: clippy.toml's list is for #[test]")]

mod common;

use common::{
    ORDINARY, SIGNATURE, eif,
    signer::{LASTING, SIGNER, Signer},
};
use ok2cry_release::{eif::Eif, measure::Measurements};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

/// Exit status, stdout, stderr.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_ok2cry-release")).args(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The ordinary image, signed.
fn signed_by(signer: &Signer) -> Vec<u8> {
    let pcr0 = Measurements::of(&Eif::parse(&eif(4, ORDINARY)).unwrap()).unwrap().pcr0;
    eif(4, &[ORDINARY, &[(SIGNATURE, &signer.section(&pcr0)[..])]].concat())
}

#[test]
fn measure_prints_what_nitro_cli_prints() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.eif");
    fs::write(&file, eif(4, ORDINARY)).unwrap();
    let (status, stdout, stderr) = run(&["measure", text(&file)]);
    // The registers by coreutils: (head -c 48 /dev/zero; printf … | sha384sum | xxd -r -p) | sha384sum
    let expected = r#"{
  "Measurements": {
    "HashAlgorithm": "Sha384 { ... }",
    "PCR0": "baef167d9ed08c4db7cb7b0c55a71597866c1898d06f6f3b12348400858f9d2ac011371ce71cdfb990975399a47a5168",
    "PCR1": "478dea37c4cbf7a807c622e20cd75a7fd0d1777b28707720faf3a8ab2b12c9d724d304ac3875a53b4e7f463669f7507b",
    "PCR2": "8a45599e5e77b24c4b6472869c24e10490c4d5df715fbd0811fc4b33d370276cf00bb24871d3a1987587d6b9283d4f42"
  }
}
"#;
    let said = "EIF version 4, x86_64 (flags 0x0000), 5 sections, 644 bytes\nnot signed\n";
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (Some(0), expected, said));
}

#[test]
fn measure_says_who_signed_an_image_and_until_when() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.eif");
    fs::write(&file, signed_by(&LASTING)).unwrap();
    let (status, stdout, stderr) = run(&["measure", text(&file)]);
    let said = "signed by CN=signer of images (ES384), certificate valid from 2020-01-01T00:00:00Z until \
                2049-12-31T23:59:59Z, issued by CN=issuer of signers\n";
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.ends_with(said), "{stderr}");
    assert!(stdout.contains("\"PCR8\": \""), "{stdout}");

    let (_, stdout, _) = run(&["measure", "--json", text(&file)]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&json["EifVersion"], &json["Flags"], &json["Architecture"]),
        (&4.into(), &0.into(), &"x86_64".into())
    );
    assert_eq!(
        (&json["IsSigned"], &json["SigningCertificate"]["Algorithm"]),
        (&true.into(), &"ES384".into())
    );
    assert_eq!(json["Measurements"]["PCR8"].as_str().map(str::len), Some(96));
}

#[test]
fn measure_refuses_a_certificate_that_is_not_valid_now() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.eif");
    let expired = Signer { not_before: "190101000000Z", not_after: "200101000000Z", ..SIGNER };
    fs::write(&file, signed_by(&expired)).unwrap();
    let (status, stdout, stderr) = run(&["measure", text(&file)]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("refused: eif_certificate_expired: "), "{stderr}");
    for at in ["2019-06-01T00:00:00Z", "1559347200000"] {
        let (status, stdout, stderr) = run(&["measure", "--at", at, text(&file)]);
        assert_eq!(status, Some(0), "{stderr}");
        assert!(stdout.contains("PCR8"));
    }
    let (_, _, stderr) = run(&["measure", "--at", "2018-12-31T23:59:59Z", text(&file)]);
    assert!(stderr.starts_with("refused: eif_certificate_not_yet_valid: "), "{stderr}");
    let (status, _, stderr) = run(&["measure", "--at", "yesterday", text(&file)]);
    assert_eq!(status, Some(2), "{stderr}");
}

#[test]
fn with_json_refusals_and_usage_errors_are_json_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.eif");
    fs::write(&file, b"not an image").unwrap();
    for (args, status, verdict, reason) in [
        (&["measure", "--json", text(&file)][..], 1, "refused", "eif_magic"),
        (&["measure", "--json", "/nowhere/image.eif"], 2, "error", "file_unusable"),
        (&["measure", "--json"], 2, "error", "usage"),
        (&["measure", "--json", "--at", "never", text(&file)], 2, "error", "usage"),
    ] {
        let (found, stdout, stderr) = run(args);
        let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            (found, &json["verdict"], &json["reason"]),
            (Some(status), &verdict.into(), &reason.into())
        );
        assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(!stderr.is_empty());
    }
}

/// A sparse file of 5 GiB. Reading it would take a minute and 4 GiB.
#[test]
fn a_long_foreign_file_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long");
    fs::File::create(&path).unwrap().set_len(5 << 30).unwrap();
    let (status, _, stderr) = run(&["measure", text(&path)]);
    assert_eq!(status, Some(1));
    assert_eq!(stderr, "refused: eif_magic: the EIF does not begin with \".eif\"\n");
}

#[test]
fn a_refusal_names_its_code_and_its_rule() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.eif");
    let mut broken = eif(4, ORDINARY);
    *broken.last_mut().unwrap() ^= 1;
    fs::write(&file, broken).unwrap();
    let (status, stdout, stderr) = run(&["measure", text(&file)]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert_eq!(stderr, "refused: eif_checksum: the EIF has a checksum that does not match its bytes\n");
}

#[test]
fn usage_and_unreadable_files_end_with_two() {
    for args in [&["measure"][..], &["measure", "/nowhere/image.eif"], &["measure", "/"], &["weigh"], &[]] {
        let (status, stdout, stderr) = run(args);
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(!stderr.is_empty());
    }
}

#[cfg(feature = "build")]
#[test]
fn build_writes_a_measurable_image_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        text(&path).to_owned()
    };
    let out = directory.path().join("image.eif");
    let (kernel, config) = (put("bzImage", &common::kernel()), put("config", b"CONFIG_X86_64=y\n"));
    let (cmdline, init) = (put("cmdline", b"console=ttyS0\n"), put("program", &common::program()));
    let toolchain = put("toolchain.toml", common::TOOLCHAIN.as_bytes());
    let build = |configuration: &str| {
        run(&[
            "build",
            "--kernel",
            &kernel,
            "--kernel-config",
            &config,
            "--cmdline",
            &cmdline,
            "--init",
            &init,
            "--configuration",
            configuration,
            "--toolchain",
            &toolchain,
            "--out",
            text(&out),
        ])
    };

    let (status, stdout, stderr) = build(&put("bad.toml", b"max_ttl_ms = 1\n"));
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("refused: configuration_refused: "), "{stderr}");
    assert!(!out.exists());

    let (status, built, stderr) = build(&put("enclave.toml", common::CONFIGURATION.as_bytes()));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let (status, measured, _) = run(&["measure", text(&out)]);
    assert_eq!((status, measured), (Some(0), built));
    assert!(directory.path().join("image.manifest.json").exists());
    assert!(!directory.path().join("image.eif.partial").exists());
}

#[test]
fn codes_and_rows_of_the_manual_match() {
    use ok2cry_release::error::{EifFault, Error, InputFault, SignatureFault};
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reproduce.md");
    let manual = fs::read_to_string(manual).unwrap();
    let rows: BTreeSet<_> =
        manual.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let codes = [EifFault::CODES, SignatureFault::CODES, InputFault::CODES, Error::CODES].concat();
    assert_eq!(rows, BTreeSet::from_iter(codes));
}
