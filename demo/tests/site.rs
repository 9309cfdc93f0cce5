//! The demo's page is served with strict headers, and clients refuse each cheat of its host with its own
//! code.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{KeyRequest, RecipientKey, SealedMessage, Trust, VerifiedKey, http::Client};
use ok2cry_demo::{
    DemoSite,
    site::{Behaviour, Parties},
};
use ok2cry_protocol::{
    http::{Bytes, Problem},
    suite::PublicKey,
};
use ok2cry_testkit::{
    Deployment, Options,
    raw_http::{self, Message},
};
use serde_json::Value;

const CARD: &[u8] = br#"{"name":"Ada Lovelace","number":"4000000000000002","pin":"4931"}"#;

struct SiteFixture {
    site: DemoSite,
    trust: Trust,
    recipient: PublicKey,
    _enclaves: [Deployment; 2],
    _folder: tempfile::TempDir,
}

impl SiteFixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let enclave = |image: &str| {
            let mock_root = Some(folder.path().join("root.pem"));
            Deployment::start(Options { image_name: image.into(), mock_root, ..Options::default() }).unwrap()
        };
        let enclaves = [enclave("ok2cry-enclave"), enclave("ok2cry-enclave-with-a-backdoor")];
        let trust = enclaves[0].trust().unwrap();
        let parties = Parties {
            genuine: &enclaves[0],
            impostor: &enclaves[1],
            release_keys: (1, vec!["a key".into()]),
            old_releases: b"an old list".to_vec(),
            trust: trust.clone(),
            emulated: false,
        };
        let site = DemoSite::start(parties, Some(0)).unwrap();
        let config = json(&raw_http::request(site.url(), "GET", "/demo/config", &[], b"").unwrap());
        let recipient: Bytes = serde_json::from_value(config["recipient"].clone()).unwrap();
        let recipient = PublicKey::new(&recipient.0).unwrap();
        Self { site, trust, recipient, _enclaves: enclaves, _folder: folder }
    }

    /// The name of a new order.
    fn order(&self) -> String {
        let config = json(&raw_http::request(self.site.url(), "GET", "/demo/config", &[], b"").unwrap());
        config["order"].as_str().unwrap().to_owned()
    }

    /// Requests a key through a host with this behaviour.
    fn request_key(&self, behaviour: &str, ttl_ms: u64) -> Result<VerifiedKey, String> {
        let client = Client::new(&format!("{}/host/{behaviour}", self.site.url()));
        let request =
            KeyRequest::new("card-pin", std::time::Duration::from_millis(ttl_ms), &self.recipient).unwrap();
        match client.issue(request, &self.trust, &CheckTime::system()) {
            Ok(keys) => Ok(keys.into_iter().next().unwrap()),
            Err(error) => Err(error.code().to_owned()),
        }
    }

    fn pay(&self, message: &SealedMessage) -> Message {
        let mut body = serde_json::to_value(message.body()).unwrap();
        body["key_id"] = message.key_id.to_base64url().into();
        raw_http::post(self.site.url(), "/merchant/orders", &body.to_string()).unwrap()
    }
}

fn json(answer: &Message) -> Value {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn refusal(answer: &Message) -> (u16, String) {
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem: Problem = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem.status, answer.status());
    (problem.status, problem.code)
}

fn padded(text: &[u8]) -> Vec<u8> {
    let mut plaintext = text.to_vec();
    plaintext.push(0x80);
    plaintext.resize(256, 0);
    plaintext
}

#[test]
fn each_cheat_of_the_host_is_refused_with_its_code() {
    let fixture = SiteFixture::new();
    assert_eq!(
        fixture.request_key("old-answer", 60_000).unwrap_err(),
        "nonce_mismatch",
        "without a recorded answer"
    );
    assert!(fixture.request_key("honest", 60_000).is_ok());
    assert_eq!(fixture.request_key("old-answer", 60_000).unwrap_err(), "nonce_mismatch");
    assert_eq!(fixture.request_key("other-image", 60_000).unwrap_err(), "pcr_mismatch");
    assert_eq!(fixture.request_key("swapped-key", 60_000).unwrap_err(), "not_in_batch");
    assert_eq!(fixture.request_key("late", 300).unwrap_err(), "key_expired");
    let old =
        raw_http::request(fixture.site.url(), "GET", "/host/old-releases/v1/release", &[], b"").unwrap();
    assert_eq!(old.body, b"an old list");
    assert!(fixture.request_key("honest", 60_000).is_ok(), "behaviours do not affect each other");
}

#[test]
fn the_issuer_reads_the_card_and_the_key_is_used() {
    let fixture = SiteFixture::new();
    let order = fixture.order();
    let key = fixture.request_key("honest", 60_000).unwrap();
    let message = key
        .seal(
            &ok2cry_client::Message { plaintext: &padded(CARD), aad: order.as_bytes() },
            &CheckTime::system(),
        )
        .unwrap();
    let paid = json(&fixture.pay(&message));
    assert_eq!(paid["merchant"]["order"], order);
    assert_eq!(paid["merchant"]["received"]["ciphertext"].as_str().unwrap().len(), 363);
    assert!(!paid["merchant"].to_string().contains("4931"));
    assert_eq!(paid["issuer"]["card"], serde_json::from_slice::<Value>(CARD).unwrap());
    assert_eq!(paid["key"]["state"], "used");
    assert_eq!(paid["key"]["second"], "key_used");
    assert_eq!(refusal(&fixture.pay(&message)), (422, "reply_replayed".into()), "the issuer acts once");
}

#[test]
fn a_payment_that_is_not_one_is_refused() {
    let fixture = SiteFixture::new();
    let post = |body: &str| raw_http::post(fixture.site.url(), "/merchant/orders", body).unwrap();
    assert_eq!(refusal(&post("{}")), (400, "body_invalid".into()));
    assert_eq!(refusal(&post(&" ".repeat(20_000))), (413, "body_too_large".into()));

    let sealed = |plaintext: &[u8], order: &str| {
        let key = fixture.request_key("honest", 60_000).unwrap();
        key.seal(&ok2cry_client::Message { plaintext, aad: order.as_bytes() }, &CheckTime::system()).unwrap()
    };
    assert_eq!(refusal(&fixture.pay(&sealed(&padded(CARD), "order 1000"))), (404, "unknown_order".into()));
    let order = fixture.order();
    assert_eq!(refusal(&fixture.pay(&sealed(CARD, &order))), (422, "card_invalid".into()));
    let mut changed = sealed(&padded(CARD), &order);
    changed.ciphertext[0] ^= 1;
    assert_eq!(refusal(&fixture.pay(&changed)), (422, "open_failed".into()));
    changed.key_id.0[23] ^= 1;
    assert_eq!(refusal(&fixture.pay(&changed)), (404, "unknown_key".into()));

    let other = RecipientKey::generate().unwrap();
    let request =
        KeyRequest::new("card-pin", std::time::Duration::from_secs(60), other.public_key()).unwrap();
    let client = Client::new(&format!("{}/host/honest", fixture.site.url()));
    let mut keys = client.issue(request, &fixture.trust, &CheckTime::system()).unwrap();
    let foreign = keys
        .remove(0)
        .seal(
            &ok2cry_client::Message { plaintext: &padded(CARD), aad: order.as_bytes() },
            &CheckTime::system(),
        )
        .unwrap();
    assert_eq!(refusal(&fixture.pay(&foreign)), (422, "recipient_mismatch".into()));
}

#[test]
fn everything_is_served_strictly() {
    let fixture = SiteFixture::new();
    assert!(fixture.site.fetch().unwrap() > 0);
    let get = |path: &str| raw_http::request(fixture.site.url(), "GET", path, &[], b"").unwrap();
    let paths = [
        "/",
        "/page.js",
        "/page.css",
        "/demo/config",
        "/nothing",
        "/host/honest/v1/keys",
        "/merchant/orders",
    ];
    for path in paths {
        let answer = get(path);
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("require-trusted-types-for 'script'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    for path in ["/nothing", "/host/kind/v1/keys", "/host/honest/metrics", "/host/honest/v1/../metrics"] {
        assert_eq!(refusal(&get(path)).0, 404, "{path}");
    }
    assert_eq!(refusal(&get("/merchant/orders")), (405, "method_not_allowed".into()));
    for (name, behaviour) in Behaviour::ALL {
        assert_eq!(Behaviour::from_name(name), Some(behaviour));
    }
}
