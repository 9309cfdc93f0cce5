//! Messages that an independent HPKE implementation has sealed.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, RecipientKey, ReplaySet};
use ok2cry_protocol::{
    http::{Bytes, OpenResponse},
    ids::Purpose,
};
use ok2cry_testkit::{Deployment, Options, raw_http};
use serde::Deserialize;
use std::{env, io::Write as _, process::Command};

const SEAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/seal.py");

/// The output of `seal.py`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    enc: Bytes,
    ciphertext: Bytes,
}

/// `OK2CRY_PYHPKE` names a Python with the packages of `interop/requirements.txt`. Required in CI only.
#[test]
fn what_python_seals_an_enclave_opens() {
    let Some(python) = env::var_os("OK2CRY_PYHPKE") else {
        assert_ne!(
            env::var("CI").as_deref(),
            Ok("true"),
            "CI must set OK2CRY_PYHPKE to a Python with pyhpke"
        );
        // Directly, because the test runner captures `eprintln!`.
        let note = b"SKIPPED: what_python_seals_an_enclave_opens (OK2CRY_PYHPKE is not set)\n";
        std::io::stderr().write_all(note).unwrap();
        return;
    };
    let deployment = Deployment::start(Options::default()).unwrap();
    let trust = deployment.trust().unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let purpose = Purpose::new("card-pin").unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();

    for (plaintext, aad) in [(&b"1234"[..], &b"order 17"[..]), (b"", b""), (&[0xff; 4096], &[0xfe; 1024])] {
        let key = deployment.card_pin_key(60_000, &recipient).unwrap();
        let arguments = [key.descriptor().bytes(), aad, plaintext].map(hex);
        let output = Command::new(&python).arg(SEAL).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let sealed: Sealed = serde_json::from_slice(&output.stdout).unwrap();

        let body = serde_json::json!({
            "enc": sealed.enc, "ciphertext": sealed.ciphertext, "aad": Base64UrlUnpadded::encode_string(aad),
        });
        let path = format!("/v1/keys/{}/open", key.key_id().to_base64url());
        let answer = raw_http::post(deployment.url(), &path, &body.to_string()).unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let OpenResponse::Sealed(reply) = serde_json::from_slice(&answer.body).unwrap() else {
            panic!("expected a sealed reply, found plaintext");
        };
        let expected = Expected { purpose: &purpose, aad };
        let seen = &mut ReplaySet::default();
        let opened = recipient.open(&reply, &expected, &trust, &CheckTime::system(), seen).unwrap();
        assert_eq!(opened.plaintext.as_slice(), plaintext);
    }
}
