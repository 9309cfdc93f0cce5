//! No secret is in the output of the programs, even at the most verbose log levels.

#![allow(clippy::unwrap_used, reason = "helpers of tests: clippy.toml's list is for #[test]")]

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, Message, RecipientKey, ReplaySet, SealedMessage};
use ok2cry_protocol::{
    frame,
    http::OpenResponse,
    ids::{KeyId, Nonce, Purpose},
    rpc::{Call, KeyState, Request},
};
use ok2cry_testkit::{Deployment, Options, any_hpke, eventually, raw_http};
use std::io::{Read as _, Write as _};

/// Long enough not to occur by chance, in characters that survive every encoding.
const PLAINTEXT: &str = "4929-1337-the-secret-of-the-card";
const CALLERS_PLAINTEXT: &str = "7702-4242-the-secret-of-the-caller";

#[test]
fn no_secret_and_nothing_reusable_is_written_anywhere() {
    let deployment = Deployment::start(Options {
        rust_log: Some("trace".to_owned()),
        parent_args: vec!["--log-level=debug".to_owned()],
        ..Options::default()
    })
    .unwrap();
    let (recipient, scalar) = recipient();
    let mut secrets = Secrets::default();
    secrets.add("the recipient's private key", &scalar);
    secrets.add("the plaintext", PLAINTEXT.as_bytes());
    secrets.add("the caller's plaintext", CALLERS_PLAINTEXT.as_bytes());

    let metrics = transact(&deployment, &recipient, &mut secrets);

    // Logging was on, and every kind of event happened.
    let output = deployment.stop();
    let marks = [
        "enclave started",
        "stream closed",
        "/v1/keys/{id}/open",
        "key_used",
        "open_failed",
        "a connection broke",
    ];
    for mark in marks {
        assert!(output.contains(mark), "expected {mark:?} in the logs:\n{output}");
    }
    assert!(metrics.contains("key_used"), "expected key_used in the metrics");
    assert_eq!(secrets.found_in(&output), Vec::<String>::new());
    assert_eq!(secrets.found_in(&metrics), Vec::<String>::new());
}

#[test]
fn the_search_finds_a_secret_in_every_encoding() {
    let secret = b"\x00\xffsecret\xfe\xfb";
    let mut secrets = Secrets::default();
    secrets.add("it", secret);
    for shown in [
        String::from_utf8_lossy(b"plain: 4929-1337").into_owned(),
        format!("hex {}", hex(secret)),
        format!("HEX {}", hex(secret).to_uppercase()),
        format!("base64 {}", Base64::encode_string(secret)),
        format!("base64url {}", Base64UrlUnpadded::encode_string(secret)),
        format!("debug {secret:?}"),
        format!("debug of text {:?}", secret.escape_ascii().to_string()),
        format!("bytes {}", secret.escape_ascii()),
    ] {
        let found = secrets.found_in(&shown);
        assert_eq!(found.is_empty(), shown.starts_with("plain"), "{shown}: {found:?}");
    }
    let mut text = Secrets::default();
    text.add("text", PLAINTEXT.as_bytes());
    assert_eq!(text.found_in(&format!("before {PLAINTEXT} after")).len(), 1);
}

/// Every event in the life of keys, then misplaced secrets. Returns the parent's metrics.
fn transact(deployment: &Deployment, recipient: &RecipientKey, secrets: &mut Secrets) -> String {
    let used = use_keys(deployment, recipient, secrets);
    misplace_secrets_in_http(deployment, used, secrets);
    misplace_secrets_in_streams(deployment, used);
    eventually("the parent has counted the connection that broke", || {
        let metrics = raw_http::request(deployment.url(), "GET", "/metrics", &[], b"").ok()?.text();
        metrics.contains("http_connection_errors_total 1\n").then_some(metrics)
    })
}

/// Keys are used, destroyed and expired; opens are repeated and refused. Returns the id of a used key.
fn use_keys(deployment: &Deployment, recipient: &RecipientKey, secrets: &mut Secrets) -> KeyId {
    let (client, trust) = (deployment.client(), deployment.trust().unwrap());
    let now = CheckTime::system;
    let mut key = |ttl, purpose: Option<&str>| {
        let request = match purpose {
            Some(purpose) => {
                KeyRequest::insecure_deliver_to_caller(purpose, std::time::Duration::from_millis(ttl))
                    .unwrap()
            }
            None => {
                KeyRequest::new("card-pin", std::time::Duration::from_millis(ttl), recipient.public_key())
                    .unwrap()
            }
        };
        secrets.add("a nonce", &request.body().nonce.0);
        let key = client.issue(request, &trust, &now()).unwrap().remove(0);
        secrets.add("a key id", &key.key_id().0);
        key
    };

    // Opened, repeated, refused.
    let used = key(60_000, None);
    let other = any_hpke::seal(used.descriptor(), PLAINTEXT.as_bytes(), b"order 17").unwrap();
    let wrong = any_hpke::seal_with_info(used.descriptor(), b"x", PLAINTEXT.as_bytes(), b"order 17").unwrap();
    let message = used.seal(&Message { plaintext: PLAINTEXT.as_bytes(), aad: b"order 17" }, &now()).unwrap();
    assert_eq!(refused(deployment, &wrong), "open_failed");
    let OpenResponse::Sealed(reply) = client.open(&message).unwrap() else { unreachable!() };
    let (purpose, seen) = (Purpose::new("card-pin").unwrap(), &mut ReplaySet::default());
    let expected = Expected { purpose: &purpose, aad: b"order 17" };
    let opened = recipient.open(&reply, &expected, &trust, &now(), seen).unwrap();
    assert_eq!(opened.plaintext.as_slice(), PLAINTEXT.as_bytes());
    client.open(&message).unwrap();
    assert_eq!(refused(deployment, &other), "key_used");

    // Delivered to a caller: the parent itself handles the plaintext.
    let caller = key(60_000, Some("caller-demo"))
        .seal(&Message { plaintext: CALLERS_PLAINTEXT.as_bytes(), aad: b"" }, &now())
        .unwrap();
    let OpenResponse::Plaintext(plaintext) = client.open(&caller).unwrap() else { unreachable!() };
    assert_eq!(plaintext.0.as_slice(), CALLERS_PLAINTEXT.as_bytes());
    assert_eq!(refused(deployment, &caller), "key_used");

    // Destroyed and expired.
    let destroyed =
        key(60_000, None).seal(&Message { plaintext: PLAINTEXT.as_bytes(), aad: b"" }, &now()).unwrap();
    assert_eq!(client.destroy(destroyed.key_id).unwrap(), KeyState::Destroyed);
    assert_eq!(refused(deployment, &destroyed), "key_destroyed");
    let expired =
        key(1000, None).seal(&Message { plaintext: PLAINTEXT.as_bytes(), aad: b"" }, &now()).unwrap();
    eventually("the key expires", || {
        client.state(expired.key_id).ok().filter(|state| *state == KeyState::Expired)
    });
    assert_eq!(refused(deployment, &expired), "key_expired");

    let nonce: [u8; 32] = std::array::from_fn(|_| getrandom::u32().unwrap().to_be_bytes()[0]);
    secrets.add("a statement's nonce", &nonce);
    client.attestation(&Nonce::new(nonce).unwrap()).unwrap();
    message.key_id
}

/// Secrets in fields, field names, paths, queries and headers.
fn misplace_secrets_in_http(deployment: &Deployment, key: KeyId, secrets: &Secrets) {
    let id = key.to_base64url();
    for body in [
        format!(r#"{{"nonce":"{PLAINTEXT}!","purpose":"{PLAINTEXT}","ttl":1,"recipient":"{PLAINTEXT}"}}"#),
        format!(r#"{{"{PLAINTEXT}":"{CALLERS_PLAINTEXT}"}}"#),
        format!("\"{PLAINTEXT}\""),
        PLAINTEXT.to_owned(),
    ] {
        for path in
            ["/v1/keys".to_owned(), format!("/v1/keys/{id}/open"), format!("/v1/keys/{PLAINTEXT}/open")]
        {
            let answer = raw_http::post(deployment.url(), &path, &body).unwrap();
            answer.refusal().unwrap();
            // An answer names an unknown field to its sender, and repeats nothing else.
            let found = secrets.found_in(&answer.text().replace(&format!("unknown field {PLAINTEXT}"), ""));
            assert_eq!(found, Vec::<String>::new(), "{path} {body}: {}", answer.text());
        }
    }
    for path in [
        format!("/{PLAINTEXT}"),
        format!("/v1/attestation?{PLAINTEXT}={PLAINTEXT}"),
        format!("/v1/keys/{id}/{id}"),
    ] {
        let headers = [("authorization", PLAINTEXT), ("origin", PLAINTEXT), ("x-request-id", PLAINTEXT)];
        let answer = raw_http::request(deployment.url(), "GET", &path, &headers, b"").unwrap();
        answer.refusal().unwrap();
        assert_eq!(answer.headers.iter().find(|(_, value)| value.contains(PLAINTEXT)), None);
    }
}

/// Secrets in bytes that are not HTTP, and in frames.
fn misplace_secrets_in_streams(deployment: &Deployment, key: KeyId) {
    // The parent logs more about connections than about requests.
    let id = key.to_base64url();
    let mut stream = raw_http::connect(deployment.url()).unwrap();
    stream.write_all(format!("{PLAINTEXT}\r\n{id}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains(PLAINTEXT), "{answer}");
    // The parent logs the broken connection only after the caller has closed it.
    drop(stream);
    let mut stream = deployment.stream().unwrap();
    stream.send(&frame::encode(PLAINTEXT.as_bytes())).unwrap();
    stream.until_closed().unwrap();
    let mut stream = deployment.stream().unwrap();
    let status = Request { id: 1, call: Call::Status(key) }.encode();
    stream.send(&frame::encode(&[&status[..], PLAINTEXT.as_bytes()].concat())).unwrap();
    stream.until_closed().unwrap();
}

/// A recipient, and its private scalar.
fn recipient() -> (RecipientKey, Vec<u8>) {
    use p384::pkcs8::DecodePrivateKey as _;
    let recipient = RecipientKey::generate().unwrap();
    let key = p384::SecretKey::from_pkcs8_pem(&recipient.to_pem().unwrap()).unwrap();
    (recipient, key.to_bytes().to_vec())
}

fn refused(deployment: &Deployment, message: &SealedMessage) -> &'static str {
    deployment.open(message).unwrap().refusal().unwrap().as_str()
}

/// Secrets to search for, in every encoding.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, name: &str, secret: &[u8]) {
        let list = format!("{secret:?}");
        let mut forms = vec![
            ("hex", hex(secret)),
            ("HEX", hex(secret).to_uppercase()),
            ("base64", Base64::encode_string(secret).trim_end_matches('=').to_owned()),
            ("base64url", Base64UrlUnpadded::encode_string(secret)),
            ("numbers", list.trim_matches(['[', ']']).to_owned()),
            ("escaped bytes", secret.escape_ascii().to_string()),
            ("bytes escaped twice", secret.escape_ascii().to_string().escape_debug().to_string()),
        ];
        if let Ok(text) = std::str::from_utf8(secret) {
            forms.push(("text", text.to_owned()));
        }
        for (form, text) in forms {
            if self.0.iter().all(|(_, known)| *known != text) {
                self.0.push((format!("{name} as {form}"), text));
            }
        }
    }

    fn found_in(&self, text: &str) -> Vec<String> {
        self.0.iter().filter(|(_, form)| text.contains(form)).map(|(name, _)| name.clone()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
