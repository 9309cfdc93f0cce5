//! Key files: other programs read them, and their public half can be printed again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod common;

use base64ct::{Base64, Encoding};
use common::engineers::{Engineers, ORIGIN};
use ok2cry_tlog::VerifierKey;
use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt, process::Command};

/// Another program's output; `None` if the program is not installed.
fn said(us: &Engineers, program: &str, args: &[&str]) -> Option<Vec<u8>> {
    match Command::new(program).args(args).current_dir(us.folder.path()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        output => {
            let output = output.unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            // Python without the library.
            if stderr.contains("ModuleNotFoundError") {
                return None;
            }
            assert!(output.status.success(), "{program} {args:?}: {stderr}");
            Some(output.stdout)
        }
    }
}

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Base64::decode_vec(&base64).unwrap()
}

#[test]
fn a_logs_private_key_is_pkcs8_of_version_1() {
    let us = Engineers::new();
    us.done(&["keygen", "--witness", "witness.example", "witness.pem"]);
    for name in ["log.pem", "witness.pem"] {
        let der = der(&fs::read_to_string(us.path(name)).unwrap());
        // RFC 8410 §7: SEQUENCE { INTEGER 0, SEQUENCE { 1.3.101.112 }, OCTET STRING { OCTET STRING of 32
        // bytes } }.
        let start = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        assert_eq!((&der[..16], der.len()), (&start[..], 48), "{name}");
        assert_eq!(fs::metadata(us.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Each program derives the same public half, DER.
#[test]
fn other_programs_read_the_keys_and_find_the_same_public_half() {
    let us = Engineers::new();
    let node = "const c = require('node:crypto'), fs = require('node:fs'); \
                const key = c.createPublicKey(c.createPrivateKey(fs.readFileSync(process.argv[1]))); \
                process.stdout.write(key.export({ type: 'spki', format: 'der' }));";
    let python = "import sys\n\
                  from cryptography.hazmat.primitives import serialization as s\n\
                  key = s.load_pem_private_key(open(sys.argv[1], 'rb').read(), None).public_key()\n\
                  spki = s.PublicFormat.SubjectPublicKeyInfo\n\
                  sys.stdout.buffer.write(key.public_bytes(s.Encoding.DER, spki))";
    let vkey = VerifierKey::parse(&us.vkey).unwrap().to_string();
    let raw = Base64::decode_vec(vkey.splitn(3, '+').nth(2).unwrap()).unwrap();
    let of_log = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &raw[1..]].concat();
    let of_list = der(&fs::read_to_string(us.path("list.pub")).unwrap());
    let mut readers = 0;
    for (file, expected) in [("log.pem", of_log), ("list.pem", of_list)] {
        let found = [
            said(&us, "openssl", &["pkey", "-in", file, "-pubout", "-outform", "DER"]),
            said(&us, "node", &["-e", node, file]),
            said(&us, "python3", &["-c", python, file]),
        ];
        for found in found.into_iter().flatten() {
            assert_eq!(found, expected, "{file}");
            readers += 1;
        }
    }
    eprintln!("{readers} readings by other programs");
}

#[test]
fn public_prints_the_public_half_of_every_kind_of_key() {
    let us = Engineers::new();
    for args in [&["keygen"][..], &["keygen", "--log", ORIGIN], &["keygen", "--witness", "witness.example"]] {
        let first = us.done(&[args, &["key.pem"]].concat());
        let again = us.done(&[&["public"], &args[1..], &["key.pem"]].concat());
        assert_eq!(first, again, "{args:?}");
        fs::remove_file(us.path("key.pem")).unwrap();
    }
    assert_eq!(us.done(&["public", "--log", ORIGIN, "log.pem"]).trim(), us.vkey);
    assert_eq!(us.done(&["public", "list.pem"]), fs::read_to_string(us.path("list.pub")).unwrap());
}

/// The form of earlier versions of this program: PKCS #8 version 2, with the public half (RFC 8410 §10.3).
#[test]
fn a_pkcs8_key_of_version_2_is_read() {
    let us = Engineers::new();
    let v1 = der(&fs::read_to_string(us.path("log.pem")).unwrap());
    let raw = Base64::decode_vec(us.vkey.splitn(3, '+').nth(2).unwrap()).unwrap();
    let v2 = [&[0x30, 0x51, 2, 1, 1][..], &v1[5..], &[0x81, 0x21, 0], &raw[1..]].concat();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", Base64::encode_string(&v2));
    // RFC 7468 requires lines of 64 characters.
    let body = Base64::encode_string(&v2);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = pem.replace(&body, &lines.join("\n"));
    fs::write(us.path("v2.pem"), pem).unwrap();
    assert_eq!(us.done(&["public", "--log", ORIGIN, "v2.pem"]).trim(), us.vkey);
}

#[test]
fn a_wrong_key_file_is_named_in_the_refusal() {
    let us = Engineers::new();
    let says = |args: &[&str], what: &str| {
        let (status, stdout, stderr) = us.run(args);
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{args:?}");
        assert!(stderr.starts_with("refused: key_invalid: ") && stderr.contains(what), "{args:?}: {stderr}");
    };
    says(&["public", "log.pem"], "an Ed25519 key of a log or a witness: add --log ORIGIN");
    says(&["public", "--log", ORIGIN, "list.pem"], "a private key of another kind");
    says(&["public", "list.pub"], "a public key");
    says(&["public", "attestation-root.pem"], "a certificate");
    says(&["public", "image"], "something that is not PEM of a private key");
    for (label, what) in [("EC PRIVATE KEY", "SEC 1"), ("ENCRYPTED PRIVATE KEY", "an encrypted key")] {
        fs::write(us.path("x.pem"), format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n"))
            .unwrap();
        says(&["public", "x.pem"], what);
    }
    us.refused("key_name_invalid", &["public", "--log", "two words", "log.pem"]);
    us.refused("key_name_invalid", &["keygen", "--log", "", "new.pem"]);
    assert!(!us.path("new.pem").exists());
}
