//! Old messages in new sessions, and records in place of others.

use crate::sessions::{Pair, Rendezvous, SessionFixture, open};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, Message, RecipientKey, ReplaySet, http::Client};
use ok2cry_protocol::{
    http::{AttestedBody, SealedBody},
    ids::{Nonce, Purpose},
};
use ok2cry_testkit::{
    HostileParent,
    hostile_parent::{Exchange, Passing, Step},
    raw_http,
};
use serde_json::{Value, json};
use std::mem;

/// A recipient cannot distinguish replies with equal purpose and aad by these: an aad names one transaction.
/// The key distinguishes them.
#[test]
fn replies_to_equal_requests_differ_in_their_key() {
    let fixture = SessionFixture::new();
    let rendezvous = Rendezvous::new(Step::OpenAnswer, |a, b| mem::swap(&mut a.body, &mut b.body));
    assert_eq!(fixture.run(Pair::Alike, rendezvous), [Ok(b"PIN b".to_vec()), Ok(b"PIN a".to_vec())]);

    let (recipient, aad) = (RecipientKey::generate().unwrap(), b"order 17");
    let message = || fixture.deployment.card_pin_key(60_000, &recipient).unwrap();
    let [first, second] = [message(), message()]
        .map(|key| key.seal(&Message { plaintext: b"1234", aad }, &CheckTime::system()).unwrap());
    let (purpose, reply) = (Purpose::new("card-pin").unwrap(), open(&fixture.deployment, &second));
    let expected = Expected { purpose: &purpose, aad };
    let seen = &mut ReplaySet::default();
    let opened = recipient.open(&reply, &expected, &fixture.trust, &CheckTime::system(), seen).unwrap();
    assert_eq!(*opened.descriptor.hash(), second.descriptor_hash);
    assert_ne!(*opened.descriptor.hash(), first.descriptor_hash);
}

#[test]
fn old_messages_are_refused() {
    let fixture = SessionFixture::new();
    let trust = &fixture.trust;
    let recipient = RecipientKey::generate().unwrap();
    let request =
        || KeyRequest::new("card-pin", std::time::Duration::from_secs(60), recipient.public_key()).unwrap();
    let purpose = Purpose::new("card-pin").unwrap();
    let seen = &mut ReplaySet::default();
    let mut read = |reply: &SealedBody, aad: &[u8], time: CheckTime| {
        let opened = recipient.open(reply, &Expected { purpose: &purpose, aad }, trust, &time, seen);
        opened.map(|opened| opened.plaintext.to_vec()).map_err(|e| ok2cry_client::Error::from(e).code())
    };

    let (old_issue, old_reply) = transaction(&fixture, request());
    assert_eq!(read(&old_reply, b"order 1", CheckTime::system()).unwrap(), b"old");

    let again = request().verify(&old_issue, trust, &CheckTime::system());
    assert_eq!(again.unwrap_err().code(), "nonce_mismatch");
    assert_eq!(read(&old_reply, b"order 2", CheckTime::system()), Err("aad_mismatch"));
    assert_eq!(read(&old_reply, b"order 1", CheckTime::system()), Err("reply_replayed"));
    // When a recipient may forget it, its context is too old.
    let eleven_minutes_on = CheckTime::at(CheckTime::system().now_ms + 660_000);
    assert_eq!(read(&old_reply, b"order 1", eleven_minutes_on), Err("document_too_old"));
}

/// A transaction with aad "order 1": the body of the issue answer, and the reply.
fn transaction(fixture: &SessionFixture, request: KeyRequest) -> (Vec<u8>, SealedBody) {
    let issued = raw_http::post(fixture.deployment.url(), "/v1/keys", &request.to_json()).unwrap().body;
    let key = request.verify(&issued, &fixture.trust, &CheckTime::system()).unwrap().remove(0);
    let message = key.seal(&Message { plaintext: b"old", aad: b"order 1" }, &CheckTime::system()).unwrap();
    (issued, open(&fixture.deployment, &message))
}

#[test]
fn old_parts_in_new_answers_are_refused() {
    let fixture = SessionFixture::new();
    let (client, trust) = (fixture.deployment.client(), &fixture.trust);
    let recipient = RecipientKey::generate().unwrap();
    let request =
        || KeyRequest::new("card-pin", std::time::Duration::from_secs(60), recipient.public_key()).unwrap();
    let (old_issue, old_reply) = transaction(&fixture, request());

    let passed = |old: &[(&'static str, Value)]| {
        let old = old.to_vec();
        let replay = move |exchange: &Exchange, passing: &mut Passing| {
            for (place, value) in &old {
                if let Some(part) =
                    passing.body.pointer_mut(place).filter(|_| exchange.step == Step::IssueAnswer)
                {
                    *part = value.clone();
                }
            }
        };
        let proxy = HostileParent::start(fixture.deployment.url(), replay).unwrap();
        let keys = Client::new(&proxy.url("a")).issue(request(), trust, &CheckTime::system());
        keys.unwrap_err().code().to_owned()
    };
    let old: Value = serde_json::from_slice(&old_issue).unwrap();
    assert_eq!(passed(&[("/document", old["document"].clone())]), "not_in_batch");
    assert_eq!(passed(&[("/keys", old["keys"].clone())]), "not_in_batch");
    assert_eq!(
        passed(&[("/keys", old["keys"].clone()), ("/document", old["document"].clone())]),
        "nonce_mismatch"
    );
    // Records of one kind in place of another.
    let context = serde_json::to_value(&old_reply.context).unwrap();
    let as_key = |body: &Value| {
        let key = json!({ "descriptor": body["record"], "index": body["index"], "path": body["path"] });
        [("/document", body["document"].clone()), ("/keys/0", key)]
    };
    assert_eq!(passed(&as_key(&context)), "record_invalid");
    let nonce = Nonce::new([7; 32]).unwrap();
    let statement = serde_json::to_value(client.attestation(&nonce).unwrap()).unwrap();
    assert_eq!(passed(&as_key(&statement)), "record_invalid");
    let key_as_context = json!({
        "record": old["keys"][0]["descriptor"],
        "index": old["keys"][0]["index"],
        "path": old["keys"][0]["path"],
        "document": old["document"],
    });
    let forged = SealedBody { context: serde_json::from_value(key_as_context).unwrap(), ..old_reply.clone() };
    let purpose = Purpose::new("card-pin").unwrap();
    let expected = Expected { purpose: &purpose, aad: b"order 1" };
    let opened = recipient.open(&forged, &expected, trust, &CheckTime::system(), &mut ReplaySet::default());
    assert_eq!(opened.map(drop).unwrap_err().code(), Some("record_invalid"));
}

#[test]
fn an_old_or_foreign_statement_is_refused() {
    let fixture = SessionFixture::new();
    let nonce = |byte| Nonce::new([byte; 32]).unwrap();
    let client = fixture.deployment.client();
    let (one, other) = (client.attestation(&nonce(1)).unwrap(), client.attestation(&nonce(2)).unwrap());
    let verify = |nonce_byte, body, time| {
        fixture.trust.verify_statement(&nonce(nonce_byte), body, &time).map(|_| ()).map_err(|e| e.code())
    };
    assert_eq!(verify(1, &one, CheckTime::system()), Ok(()));
    assert_eq!(verify(2, &one, CheckTime::system()), Err("nonce_mismatch"));
    let mixed = AttestedBody { document: other.document.clone(), ..one.clone() };
    assert_eq!(verify(1, &mixed, CheckTime::system()), Err("not_in_batch"));
    let later = CheckTime::at(CheckTime::system().now_ms + 61_000);
    assert_eq!(verify(1, &one, later), Err("document_too_old"));
}
