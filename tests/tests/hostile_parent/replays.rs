//! Old messages in new sessions, and records in the place of others.

use crate::stage::{Meeting, Pair, Stage, open};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, Message, RecipientKey, ReplaySet, http::Client};
use ok2cry_protocol::{
    http::{AttestedBody, SealedBody},
    ids::{Nonce, Purpose},
};
use ok2cry_tests::{
    HostileParent,
    hostile_parent::{Exchange, Passing, Step},
    raw_http,
};
use serde_json::{Value, json};
use std::mem;

/// To a recipient, replies to requests of the same purpose and aad are equally good: an aad names one transaction.
/// Who repeats it can still tell them apart by the key.
#[test]
fn replies_with_the_same_purpose_and_aad_differ_in_the_key_that_they_name() {
    let stage = Stage::new();
    let meeting = Meeting::new(Step::OpenAnswer, |a, b| mem::swap(&mut a.body, &mut b.body));
    assert_eq!(stage.play_both(Pair::Alike, meeting), [Ok(b"PIN b".to_vec()), Ok(b"PIN a".to_vec())]);

    let (recipient, aad) = (RecipientKey::generate().unwrap(), b"order 17");
    let message = || stage.deployment.card_pin_key(60_000, &recipient).unwrap();
    let [first, second] = [message(), message()]
        .map(|key| key.seal(&Message { plaintext: b"1234", aad }, &CheckTime::system()).unwrap());
    let (purpose, reply) = (Purpose::new("card-pin").unwrap(), open(&stage.deployment, &second));
    let expected = Expected { purpose: &purpose, aad };
    let seen = &mut ReplaySet::default();
    let opened = recipient.open(&reply, &expected, &stage.trust, &CheckTime::system(), seen).unwrap();
    assert_eq!(*opened.descriptor.hash(), second.descriptor_hash);
    assert_ne!(*opened.descriptor.hash(), first.descriptor_hash);
}

#[test]
fn old_messages_are_refused() {
    let stage = Stage::new();
    let (client, trust) = (stage.deployment.client(), &stage.trust);
    let recipient = RecipientKey::generate().unwrap();
    let request =
        || KeyRequest::new("card-pin", std::time::Duration::from_secs(60), recipient.public_key()).unwrap();
    let purpose = Purpose::new("card-pin").unwrap();
    let seen = &mut ReplaySet::default();
    let mut read = |reply: &SealedBody, aad: &[u8], time: CheckTime| {
        let opened = recipient.open(reply, &Expected { purpose: &purpose, aad }, trust, &time, seen);
        opened.map(|opened| opened.plaintext.to_vec()).map_err(|e| ok2cry_client::Error::from(e).code())
    };

    let old_request = request();
    let old_issue = raw_http::post(stage.deployment.url(), "/v1/keys", &old_request.to_json()).unwrap().body;
    let old_key = old_request.verify(&old_issue, trust, &CheckTime::system()).unwrap().remove(0);
    let old_message =
        old_key.seal(&Message { plaintext: b"old", aad: b"order 1" }, &CheckTime::system()).unwrap();
    let old_reply = open(&stage.deployment, &old_message);
    assert_eq!(read(&old_reply, b"order 1", CheckTime::system()).unwrap(), b"old");

    let again = request().verify(&old_issue, trust, &CheckTime::system());
    assert_eq!(again.unwrap_err().code(), "nonce_mismatch");
    assert_eq!(read(&old_reply, b"order 2", CheckTime::system()), Err("aad_mismatch"));
    assert_eq!(read(&old_reply, b"order 1", CheckTime::system()), Err("reply_replayed"));
    // And once nobody need remember it any more, its context is too old.
    let eleven_minutes_on = CheckTime::at(CheckTime::system().now_ms + 660_000);
    assert_eq!(read(&old_reply, b"order 1", eleven_minutes_on), Err("document_too_old"));

    // Old parts in new answers, and records of one kind in the place of another.
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
        let proxy = HostileParent::start(stage.deployment.url(), replay).unwrap();
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
    let context = serde_json::to_value(&old_reply.context).unwrap();
    let as_key = |body: &Value| {
        [
            ("/document", body["document"].clone()),
            (
                "/keys/0",
                json!({ "descriptor": body["record"], "index": body["index"], "path": body["path"] }),
            ),
        ]
    };
    assert_eq!(passed(&as_key(&context)), "record_invalid");
    let nonce = Nonce::new([7; 32]).unwrap();
    let statement = serde_json::to_value(client.attestation(&nonce).unwrap()).unwrap();
    assert_eq!(passed(&as_key(&statement)), "record_invalid");
    let key_as_context = json!({
        "record": old["keys"][0]["descriptor"], "index": old["keys"][0]["index"], "path": old["keys"][0]["path"],
        "document": old["document"],
    });
    let forged = SealedBody { context: serde_json::from_value(key_as_context).unwrap(), ..old_reply.clone() };
    assert_eq!(read(&forged, b"order 1", CheckTime::system()), Err("record_invalid"));
}

#[test]
fn an_old_or_foreign_statement_is_refused() {
    let stage = Stage::new();
    let nonce = |byte| Nonce::new([byte; 32]).unwrap();
    let client = stage.deployment.client();
    let (one, other) = (client.attestation(&nonce(1)).unwrap(), client.attestation(&nonce(2)).unwrap());
    let verify = |nonce_byte, body, time| {
        stage.trust.verify_statement(&nonce(nonce_byte), body, &time).map(|_| ()).map_err(|e| e.code())
    };
    assert_eq!(verify(1, &one, CheckTime::system()), Ok(()));
    assert_eq!(verify(2, &one, CheckTime::system()), Err("nonce_mismatch"));
    let mixed = AttestedBody { document: other.document.clone(), ..one.clone() };
    assert_eq!(verify(1, &mixed, CheckTime::system()), Err("not_in_batch"));
    let later = CheckTime::at(CheckTime::system().now_ms + 61_000);
    assert_eq!(verify(1, &one, later), Err("document_too_old"));
}
