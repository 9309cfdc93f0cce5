//! Other enclaves, processes without an enclave, and invented answers.

use crate::sessions::{SessionFixture, open};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::{
    Expected, KeyRequest, Message, RecipientKey, ReplaySet, Trust, http::Client,
    measurements::from_nitro_cli_json,
};
use ok2cry_protocol::{
    http::{Bytes, OpenResponse},
    ids::{Nonce, Purpose},
};
use ok2cry_testkit::{
    Deployment, HostileParent, Options,
    hostile_parent::{Exchange, Passing, Step},
    process::Process,
};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn plaintext_in_the_place_of_a_reply_is_refused() {
    let fixture = SessionFixture::new();
    let invent = |exchange: &Exchange, passing: &mut Passing| {
        if exchange.step == Step::OpenAnswer {
            passing.body = json!({ "plaintext": "OTk5OQ" });
        }
    };
    let proxy = HostileParent::start(fixture.deployment.url(), invent).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = fixture.deployment.card_pin_key(60_000, &recipient).unwrap();
    let message = key.seal(&Message { plaintext: b"1234", aad: b"order 17" }, &CheckTime::system()).unwrap();
    // The library cannot accept it: a recipient opens sealed replies only.
    assert!(matches!(Client::new(&proxy.url("a")).open(&message).unwrap(), OpenResponse::Plaintext(_)));

    // The command line refuses it.
    let folder = tempfile::tempdir().unwrap();
    let (key_file, message_file) = (folder.path().join("key.pem"), folder.path().join("message.json"));
    std::fs::write(&key_file, recipient.to_pem().unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = |bytes: &[u8]| serde_json::to_value(Bytes(bytes.to_vec())).unwrap();
    let mut file = serde_json::to_value(message.body()).unwrap();
    file["key_id"] = text(&message.key_id.0);
    file["descriptor_hash"] = text(&message.descriptor_hash);
    std::fs::write(&message_file, file.to_string()).unwrap();
    let args = [
        "open".to_owned(),
        format!("--url={}", proxy.url("a")),
        format!("--recipient-key={}", key_file.display()),
        format!("--root={}", fixture.deployment.root_pem().display()),
        format!("--measurements={}", fixture.deployment.measurements().display()),
        "--purpose=card-pin".to_owned(),
        "--aad=order 17".to_owned(),
        format!("--seen={}", folder.path().join("seen").display()),
        message_file.display().to_string(),
    ];
    let mut program = Process::start("ok2cry", &args, &[]).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(1), "{}", program.stderr());
    assert!(program.stderr().contains("release_mode_mismatch"), "{}", program.stderr());
    assert_eq!(program.stdout(), "");
}

#[test]
fn an_impostor_is_refused() {
    let genuine = Deployment::start(Options::default()).unwrap();
    let impostor =
        Deployment::start(Options { image_name: "impostor".into(), ..Options::default() }).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let refused = |by: &Deployment, trust: &Trust| {
        let request =
            KeyRequest::new("card-pin", std::time::Duration::from_secs(60), recipient.public_key()).unwrap();
        let keys = by.client().issue(request, trust, &CheckTime::system());
        keys.map(|_| ()).map_err(|e| e.code().to_owned())
    };
    assert_eq!(refused(&genuine, &genuine.trust().unwrap()), Ok(()));
    // Another image under the right root, and the right image under another root.
    assert_eq!(
        refused(&impostor, &impostor.trust_in_image_of(&genuine).unwrap()),
        Err("pcr_mismatch".into())
    );
    assert_eq!(refused(&impostor, &genuine.trust().unwrap()), Err("root_not_trusted".into()));
    let twin = Deployment::start(Options::default()).unwrap();
    assert_eq!(refused(&twin, &genuine.trust().unwrap()), Err("root_not_trusted".into()));
    // A mock is not accepted under AWS's root.
    let json = std::fs::read_to_string(genuine.measurements()).unwrap();
    let release = from_nitro_cli_json(&json).unwrap();
    let production = Trust::new(TrustAnchor::aws_nitro(), [release]).unwrap();
    assert_eq!(refused(&genuine, &production), Err("root_not_trusted".into()));

    // The recipient refuses an impostor's replies and statements as well.
    let key = impostor.card_pin_key(60_000, &recipient).unwrap();
    let reply =
        open(&impostor, &key.seal(&Message { plaintext: b"1234", aad: b"" }, &CheckTime::system()).unwrap());
    let purpose = Purpose::new("card-pin").unwrap();
    let read = |trust: &Trust| {
        let expected = Expected { purpose: &purpose, aad: b"" };
        let opened =
            recipient.open(&reply, &expected, trust, &CheckTime::system(), &mut ReplaySet::default());
        opened.map(|_| ()).map_err(|e| ok2cry_client::Error::from(e).code())
    };
    assert_eq!(read(&impostor.trust().unwrap()), Ok(()));
    assert_eq!(read(&impostor.trust_in_image_of(&genuine).unwrap()), Err("pcr_mismatch"));
    assert_eq!(read(&genuine.trust().unwrap()), Err("root_not_trusted"));
    let nonce = Nonce::new([7; 32]).unwrap();
    let statement = impostor.client().attestation(&nonce).unwrap();
    let trust = impostor.trust_in_image_of(&genuine).unwrap();
    let refused = trust.verify_statement(&nonce, &statement, &CheckTime::system()).unwrap_err();
    assert_eq!(refused.code(), "pcr_mismatch");
}

#[test]
fn an_enclave_in_debug_mode_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("enclave.sock");
    let args = ["--debug-mode".to_owned(), format!("--listen=unix://{}", socket.display())];
    let mut program = Process::start("ok2cry-enclave-dev", &args, &[]).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(1), "{}", program.stderr());
    assert!(program.stderr().contains("debug"), "{}", program.stderr());
    assert_eq!(program.stdout(), "");
    assert!(!socket.exists());
}
