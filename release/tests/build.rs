//! Building an image from inputs, and its measurements.

#![allow(clippy::unwrap_used, reason = "helpers of tests: clippy.toml's list is for #[test]")]
#![cfg(feature = "build")]

mod common;

use common::{CONFIGURATION, TOOLCHAIN, kernel, program};
use ok2cry_attest_verify::CheckTime;
use ok2cry_release::{
    eif::Eif,
    error::Error,
    image::{Image, SignerFiles},
    inputs::{Inputs, MARKS_OF_THE_MOCK},
    measure::{ImageParts, Measurements},
};
use std::{fs, process::Command};

fn inputs() -> Inputs {
    Inputs {
        kernel: kernel(),
        kernel_config: b"CONFIG_X86_64=y\n".to_vec(),
        cmdline: b"console=ttyS0 panic=-1\n".to_vec(),
        init: program(),
        configuration: CONFIGURATION.into(),
        toolchain: TOOLCHAIN.into(),
        development: false,
    }
}

fn build(inputs: Inputs) -> Image {
    Image::build(&inputs.check().unwrap(), None, &CheckTime::system()).unwrap()
}

fn code(change: impl FnOnce(&mut Inputs)) -> &'static str {
    let mut inputs = inputs();
    change(&mut inputs);
    inputs.check().unwrap_err().code()
}

#[test]
fn a_built_image_reads_back_its_inputs_and_measurements() {
    let image = build(inputs());
    let parsed = Eif::parse(&image.eif).unwrap();
    assert_eq!(parsed.kernel(), kernel());
    // Without the file's final newline.
    assert_eq!(parsed.cmdline(), b"console=ttyS0 panic=-1");
    assert_eq!(parsed.ramdisks().len(), 2);
    assert_eq!(Measurements::of(&parsed).unwrap(), image.measurements);
    let metadata: serde_json::Value = serde_json::from_slice(parsed.metadata().unwrap()).unwrap();
    assert_eq!(metadata["BuildMetadata"]["KernelVersion"], "6.12.1");
}

#[test]
fn the_same_inputs_give_the_same_image_and_the_same_manifest() {
    let (one, other) = (build(inputs()), build(inputs()));
    assert_eq!(one.eif, other.eif);
    assert_eq!(one.manifest, other.manifest);
    let manifest: serde_json::Value = serde_json::from_str(&one.manifest).unwrap();
    assert_eq!(manifest["measurements"]["PCR0"], one.measurements.pcr0.to_string());
    assert_eq!(manifest["toolchain"]["libc6-dev"], "2");
    assert_eq!(manifest["eif"]["size"], one.eif.len());
}

/// Changes one bit of each measured input, and compares which of PCR0, 1 and 2 change.
#[test]
fn a_changed_bit_changes_only_the_registers_that_measure_it() {
    let base = build(inputs()).measurements;
    let differs = |change: fn(&mut Inputs)| {
        let mut changed = inputs();
        change(&mut changed);
        let changed = build(changed).measurements;
        [base.pcr0 != changed.pcr0, base.pcr1 != changed.pcr1, base.pcr2 != changed.pcr2]
    };
    assert_eq!(differs(|inputs| inputs.kernel[0x800] ^= 1), [true, true, false]);
    // The second ramdisk holds a copy, and the kernel's built-in command line.
    assert_eq!(differs(|inputs| inputs.cmdline[20] ^= 1), [true, true, true]);
    let built_in = |inputs: &mut Inputs| inputs.kernel_config.extend(b"CONFIG_CMDLINE=\"quiet\"\n");
    assert_eq!(differs(built_in), [true, false, true]);
    assert_eq!(differs(|inputs| *inputs.init.last_mut().unwrap() ^= 1), [true, false, true]);
    let shorter =
        |inputs: &mut Inputs| inputs.configuration = CONFIGURATION.replace("300000", "300001").into();
    assert_eq!(differs(shorter), [true, false, true]);
    // Inputs that describe the build and are not part of the image.
    assert_eq!(differs(|inputs| inputs.kernel_config.push(b'\n')), [false; 3]);
    assert_eq!(differs(|inputs| inputs.toolchain.push(b'\n')), [false; 3]);
}

/// Changes the image itself: the first ramdisk is not an input, but it is measured.
#[test]
fn a_changed_boot_ramdisk_changes_pcr0_and_pcr1_only() {
    let image = build(inputs());
    let parsed = Eif::parse(&image.eif).unwrap();
    let [boot, application] = parsed.ramdisks() else { panic!() };
    let mut changed = boot.to_vec();
    changed[30] ^= 1;
    let measured = Measurements::of_parts(&ImageParts {
        kernel: parsed.kernel(),
        cmdline: parsed.cmdline(),
        ramdisks: &[&changed, application],
        certificate: None,
    });
    let base = image.measurements;
    let differs = [measured.pcr0 != base.pcr0, measured.pcr1 != base.pcr1, measured.pcr2 != base.pcr2];
    assert_eq!(differs, [true, true, false]);
}

#[test]
fn invalid_inputs_are_refused_by_name() {
    assert_eq!(code(|inputs| inputs.kernel[0x202] = b'h'), "kernel_invalid");
    assert_eq!(code(|inputs| inputs.kernel.truncate(0x300)), "kernel_invalid");
    assert_eq!(
        code(|inputs| inputs.kernel_config = b"# CONFIG_X86_64=y\n".to_vec()),
        "kernel_config_invalid"
    );
    for built_in in
        ["CONFIG_CMDLINE=", "CONFIG_CMDLINE=\"", "CONFIG_CMDLINE=\"a\\\"\"", "CONFIG_CMDLINE_OVERRIDE=y"]
    {
        let config = format!("CONFIG_X86_64=y\n{built_in}\n");
        assert_eq!(
            code(|inputs| inputs.kernel_config = config.into()),
            "kernel_config_invalid",
            "{built_in}"
        );
    }
    for cmdline in ["", "\n", "a\nb", "a\0b", "caf\u{e9}"] {
        assert_eq!(code(|inputs| inputs.cmdline = cmdline.into()), "cmdline_invalid", "{cmdline:?}");
    }
    assert_eq!(code(|inputs| inputs.cmdline = vec![b'x'; 2048]), "cmdline_invalid");
    // A fixed address, another machine, an interpreter, no dynamic section, a dynamic section with a library
    // or text relocations, a library, a truncated file.
    let changes: [fn(&mut Vec<u8>); 10] = [
        |elf| elf[0x10] = 2,
        |elf| elf[0x12] = 183,
        |elf| elf[64] = 3,
        |elf| elf[64] = 1,
        |elf| elf[120] = 1,
        |elf| elf[120..128].copy_from_slice(&22_u64.to_le_bytes()),
        |elf| elf[131] = 0,
        |elf| elf.truncate(100),
        |elf| elf.truncate(130),
        Vec::clear,
    ];
    for change in changes {
        assert_eq!(code(|inputs| change(&mut inputs.init)), "program_not_static");
    }
    for mark in MARKS_OF_THE_MOCK {
        assert_eq!(code(|inputs| inputs.init.extend(mark.bytes())), "program_holds_mock");
    }
    assert_eq!(code(|inputs| inputs.init.extend(b"/home/me/.cargo/x.rs")), "program_holds_path");
    let unfinished = TOOLCHAIN.replace("\"12\"", "\" \"");
    assert_eq!(code(|inputs| inputs.toolchain = unfinished.into()), "toolchain_invalid");
    assert_eq!(code(|inputs| inputs.toolchain.clear()), "toolchain_invalid");
}

#[test]
fn a_refused_configuration_carries_the_enclaves_error() {
    let refusal = |toml: &str| {
        let mut inputs = inputs();
        inputs.configuration = toml.into();
        inputs.check().unwrap_err().to_string()
    };
    let text = refusal(&CONFIGURATION.replace("300000", "0"));
    assert!(text.contains("max_ttl_ms must be 1 to 3600000"), "{text}");
    let text = refusal(&format!("colour = 1\n{CONFIGURATION}"));
    assert!(text.contains("colour"), "{text}");
}

#[test]
fn dropped_checks_need_the_development_flag_and_are_recorded() {
    let dropping = format!("{CONFIGURATION}\n[development]\nany_root = true\ndebug_mode = true\n");
    assert_eq!(
        code(|inputs| inputs.configuration = dropping.clone().into()),
        "configuration_for_development"
    );
    let build_for_development = |configuration: &str| {
        let manifest =
            build(Inputs { configuration: configuration.into(), development: true, ..inputs() }).manifest;
        serde_json::from_str::<serde_json::Value>(&manifest).unwrap()["development"].clone()
    };
    assert_eq!(build_for_development(&dropping), "the root of attestation, debug mode");
    assert!(build_for_development(CONFIGURATION).is_null());
    // An empty table changes nothing.
    let empty = format!("{CONFIGURATION}\n[development]\nany_root = false\n");
    build(Inputs { configuration: empty.into(), ..inputs() });
}

#[test]
fn a_configuration_may_name_only_a_built_in_provider() {
    let with_aws_lc = format!("crypto_provider = \"aws-lc\"\n{CONFIGURATION}");
    let mut inputs = inputs();
    inputs.configuration = with_aws_lc.clone().into();
    build(inputs);
    let refused = code(|inputs| {
        inputs.configuration = with_aws_lc.into();
        let end = inputs.init.len() - b"AWS-LC".len();
        inputs.init.truncate(end);
    });
    assert_eq!(refused, "configuration_refused");
}

/// A key and a certificate by OpenSSL, as in AWS's instructions.
fn signer(directory: &std::path::Path, name: &str) -> SignerFiles {
    signer_on(directory, name, "secp384r1")
}

fn signer_on(directory: &std::path::Path, name: &str, curve: &str) -> SignerFiles {
    let signer = SignerFiles {
        key: directory.join(format!("{name}.key")),
        certificate: directory.join(format!("{name}.pem")),
    };
    let curve = format!("ec_paramgen_curve:{curve}");
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", &curve, "-nodes", "-days", "2"])
        .args(["-sha384", "-subj", "/C=ZZ/O=a test of ok2cry/CN=signer of images"])
        .arg("-keyout")
        .arg(&signer.key)
        .arg("-out")
        .arg(&signer.certificate)
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    signer
}

/// This crate verifies what AWS's library signs: on every curve, and with a chain.
#[test]
fn signatures_of_awss_library_verify_on_every_curve() {
    let directory = tempfile::tempdir().unwrap();
    let unsigned = build(inputs());
    for (curve, algorithm) in [("prime256v1", "ES256"), ("secp384r1", "ES384"), ("secp521r1", "ES512")] {
        let signer = signer_on(directory.path(), curve, curve);
        let image = Image::build(&inputs().check().unwrap(), Some(&signer), &CheckTime::system()).unwrap();
        let parsed = Eif::parse(&image.eif).unwrap();
        let by = Measurements::with_signer(&parsed).unwrap().1.unwrap();
        assert_eq!((by.algorithm(), by.issuers()), (algorithm, 0));
        assert_eq!(by.subject(), "CN=signer of images,O=a test of ok2cry,C=ZZ");
        // Both builders get the same file, whichever has the key.
        assert_eq!(parsed.without_signature(), unsigned.eif);
        let section = parsed.signature().unwrap();
        assert_eq!(Eif::parse(&unsigned.eif).unwrap().with_signature(section), image.eif);
    }
}

#[test]
fn a_chain_signs_and_a_key_in_its_file_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let (one, issuer) = (signer(directory.path(), "one"), signer(directory.path(), "issuer"));
    let with = |parts: &[&std::path::Path]| {
        let certificate = directory.path().join("file.pem");
        fs::write(&certificate, parts.iter().flat_map(|part| fs::read(part).unwrap()).collect::<Vec<_>>())
            .unwrap();
        let signer = SignerFiles { certificate, ..one.clone() };
        Image::build(&inputs().check().unwrap(), Some(&signer), &CheckTime::system())
    };
    let alone = with(&[&one.certificate]).unwrap().measurements;
    assert_eq!(with(&[&one.certificate, &issuer.certificate]).unwrap().measurements, alone);
    // In reverse order, the first certificate is not the key's.
    let refused = with(&[&issuer.certificate, &one.certificate]).unwrap_err();
    assert_eq!(refused.code(), "eif_signature_forged");
    for parts in [[&one.certificate, &one.key], [&one.key, &one.certificate]] {
        let refused = with(&parts.map(|part| part.as_path())).unwrap_err();
        assert_eq!(refused.code(), "eif_signature_invalid");
        assert!(refused.to_string().contains("PRIVATE KEY"), "{refused}");
    }
}

#[test]
fn a_certificate_that_is_not_valid_now_cannot_sign() {
    let directory = tempfile::tempdir().unwrap();
    let signer = signer(directory.path(), "one");
    let now_ms = CheckTime::system().now_ms;
    let day = 86_400_000;
    let code = |ms| {
        let built = Image::build(&inputs().check().unwrap(), Some(&signer), &CheckTime::at(ms));
        built.map(drop).map_err(|error| error.code())
    };
    assert_eq!(code(now_ms), Ok(()));
    assert_eq!(code(now_ms + 3 * day), Err("eif_certificate_expired"));
    assert_eq!(code(now_ms - day), Err("eif_certificate_not_yet_valid"));
}

#[test]
fn signing_adds_pcr8_and_keeps_the_other_registers() {
    let directory = tempfile::tempdir().unwrap();
    let sign = |signer: &SignerFiles| {
        Image::build(&inputs().check().unwrap(), Some(signer), &CheckTime::system()).unwrap()
    };
    let (one, other) = (signer(directory.path(), "one"), signer(directory.path(), "other"));
    let unsigned = build(inputs()).measurements;
    let signed = sign(&one).measurements;
    assert_eq!((unsigned.pcr0, unsigned.pcr1, unsigned.pcr2), (signed.pcr0, signed.pcr1, signed.pcr2));
    assert_eq!(unsigned.pcr8, None);
    assert!(signed.pcr8.is_some());
    assert_ne!(sign(&other).measurements.pcr8, signed.pcr8);
    // Signatures are random: the files differ, the measurements do not.
    assert_eq!(sign(&one).measurements, signed);
}

#[test]
fn an_invalid_signing_key_is_an_error_not_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let good = signer(directory.path(), "good");
    let no_key = SignerFiles { key: good.certificate.clone(), ..good.clone() };
    let missing = SignerFiles { key: directory.path().join("nobody"), ..good.clone() };
    let in_kms = SignerFiles { key: "arn:aws:kms:eu-west-1:000000000000:key/x".into(), ..good };
    for signer in [no_key, missing, in_kms] {
        let refused =
            Image::build(&inputs().check().unwrap(), Some(&signer), &CheckTime::system()).unwrap_err();
        assert!(matches!(refused, Error::Library(_)), "{refused}");
    }
}

#[test]
fn the_repositorys_own_files_are_valid_inputs() {
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/../image/");
    let read = |name: &str| fs::read(format!("{image}{name}")).unwrap();
    let mut inputs = inputs();
    inputs.cmdline = read("cmdline");
    inputs.configuration = read("enclave.toml");
    inputs.toolchain = read("toolchain.toml");
    inputs.check().unwrap();
}
