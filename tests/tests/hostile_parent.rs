//! What a parent can do with the messages it carries, and who refuses it.
//!
//! Two sessions run at the same time through a proxy that stands where the parent does, holds back the same message
//! of both, and exchanges parts of them. What follows must be refused by the client, by the recipient, or by the
//! service, each time with the code of the rule that was broken.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::{Expected, KeyRequest, RecipientKey, SealedMessage, SeenSet, Trust, http::CallError, http::Client};
use ok2cry_enclave::{config::Config, run::Enclave, server::Listener};
use ok2cry_mock_nsm::{MockConfig, MockHandle, MockNsm, MockPki, TimeSource};
use ok2cry_protocol::{
    Record,
    descriptor::{KeyDescriptor, ReleaseTo},
    http::{Bytes, OpenResponse, SealedBody},
    ids::Purpose,
    reply::{Reply, ReplyContext},
};
use ok2cry_tests::{
    Deployment, HostileParent, Options,
    deployment::{CONFIG, start_parent},
    eventually,
    hostile_parent::{Exchange, Passing, Step},
    process::Process,
    raw_http,
    wait::DEADLINE,
};
use serde_json::{Value, json};
use std::{
    mem,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    thread,
};
use tempfile::TempDir;

#[test]
fn sessions_that_nobody_disturbs_are_accepted() {
    let stage = Stage::new();
    for pair in [Pair::Strangers, Pair::OtherPurpose, Pair::OtherAad, Pair::Alike, Pair::ReleasedToCallers] {
        for step in [Step::IssueRequest, Step::IssueAnswer, Step::OpenRequest, Step::OpenAnswer] {
            let outcomes = stage.play_both(pair, Meeting::new(step, |_, _| ()));
            assert_eq!(outcomes, [Ok(b"PIN a".to_vec()), Ok(b"PIN b".to_vec())], "{pair:?} {step:?}");
        }
    }
}

#[test]
fn every_change_of_an_issue_request_is_refused() {
    use {By::*, Pair::*, Step::IssueRequest};
    Stage::new().refuses(vec![
        swap("nonces", Strangers, IssueRequest, Client, "nonce_mismatch", exchanged("/nonce")),
        swap("nonces of sessions alike", Alike, IssueRequest, Client, "nonce_mismatch", exchanged("/nonce")),
        swap("recipients", Strangers, IssueRequest, Client, "recipient_mismatch", exchanged("/recipient")),
        swap("purposes", Strangers, IssueRequest, Client, "purpose_mismatch", exchanged("/purpose")),
        swap("ttls", Strangers, IssueRequest, Client, "ttl_mismatch", exchanged("/ttl")),
        swap("whole requests", Strangers, IssueRequest, Client, "nonce_mismatch", exchanged("")),
        swap("a longer ttl", Alike, IssueRequest, Client, "ttl_mismatch", each(|b| b["ttl"] = json!(60_001))),
        swap("a shorter ttl", Alike, IssueRequest, Client, "ttl_mismatch", each(|b| b["ttl"] = json!(59_999))),
        swap("fewer keys", Alike, IssueRequest, Client, "key_count_mismatch", each(|b| b["count"] = json!(1))),
        swap("more keys", Alike, IssueRequest, Client, "key_count_mismatch", each(|b| b["count"] = json!(3))),
        swap("release to the caller", ReleasedToCallers, IssueRequest, Client, "recipient_mismatch", {
            each(|b| b["recipient"] = json!("caller"))
        }),
        swap("release to the caller where no caller may", Alike, IssueRequest, Service, "caller_not_allowed", {
            each(|b| b["recipient"] = json!("caller"))
        }),
        swap("the attacker as recipient", Alike, IssueRequest, Client, "recipient_mismatch", {
            each(|b| b["recipient"]["public_key"] = json!(Bytes(attacker().to_vec())))
        }),
    ]);
}

#[test]
fn every_change_of_an_issue_answer_is_refused() {
    use {By::Client, Pair::*, Step::IssueAnswer};
    let not_in_batch = |name, edit| swap(name, Strangers, IssueAnswer, Client, "not_in_batch", edit);
    let alike = |name, code, edit| swap(name, Alike, IssueAnswer, Client, code, edit);
    Stage::new().refuses(vec![
        swap("whole answers", Strangers, IssueAnswer, Client, "nonce_mismatch", exchanged("")),
        alike("whole answers of sessions alike", "nonce_mismatch", exchanged("")),
        not_in_batch("documents", exchanged("/document")),
        not_in_batch("descriptors", exchanged("/keys/0/descriptor")),
        not_in_batch("keys with their places", exchanged("/keys/0")),
        not_in_batch("all keys with their places", exchanged("/keys")),
        not_in_batch("paths", exchanged("/keys/0/path")),
        not_in_batch("indices", each(|b| swap_within(b, "/keys/0/index", "/keys/1/index"))),
        not_in_batch("an index behind the batch", each(|b| b["keys"][0]["index"] = json!(2))),
        not_in_batch("an index that would overflow", each(|b| b["keys"][0]["index"] = json!(u64::MAX))),
        not_in_batch("no path", each(|b| b["keys"][0]["path"] = json!([]))),
        not_in_batch("a longer path", each(|b| {
            let path = b["keys"][0]["path"].as_array_mut().unwrap();
            path.push(path[0].clone());
        })),
        not_in_batch("an endless path", each(|b| {
            let hash = b["keys"][0]["path"][0].clone();
            b["keys"][0]["path"] = Value::Array(vec![hash; 13]);
        })),
        not_in_batch("a path of something else than hashes", each(|b| b["keys"][0]["path"][0] = json!("AAAA"))),
        // Descriptors that are written anew, as whoever knows the format can.
        not_in_batch("public keys", descriptors(|a, b| mem::swap(&mut a.public_key, &mut b.public_key))),
        not_in_batch("key ids", descriptors(|a, b| mem::swap(&mut a.key_id, &mut b.key_id))),
        not_in_batch("purposes", descriptors(|a, b| mem::swap(&mut a.purpose, &mut b.purpose))),
        not_in_batch("recipients", descriptors(|a, b| mem::swap(&mut a.release_to, &mut b.release_to))),
        not_in_batch("nonces", descriptors(|a, b| mem::swap(&mut a.client_nonce, &mut b.client_nonce))),
        not_in_batch("deadlines", descriptors(|a, b| mem::swap(&mut a.expires_at, &mut b.expires_at))),
        not_in_batch("all times", descriptors(|a, b| {
            mem::swap(&mut a.issued_at, &mut b.issued_at);
            mem::swap(&mut a.expires_at, &mut b.expires_at);
        })),
        not_in_batch("a key of the attacker's", descriptors(|a, b| {
            for d in [a, b] {
                d.public_key = ok2cry_protocol::suite::PublicKey::new(&attacker()).unwrap();
            }
        })),
        not_in_batch("release to the caller", descriptors(|a, b| {
            for d in [a, b] {
                d.release_to = ReleaseTo::Caller;
            }
        })),
        not_in_batch("a descriptor of nothing", each(|b| b["keys"][0]["descriptor"] = json!(""))),
        // The keys of one request, which one document attests.
        alike("the keys' order", "nonce_mismatch", each(|b| swap_within(b, "/keys/0", "/keys/1"))),
        alike("one key twice", "nonce_mismatch", each(|b| b["keys"][1] = b["keys"][0].clone())),
        alike("one key dropped", "key_count_mismatch", each(|b| drop(b["keys"].as_array_mut().unwrap().pop()))),
        alike("one key more", "key_count_mismatch", each(|b| {
            let keys = b["keys"].as_array_mut().unwrap();
            keys.push(keys[0].clone());
        })),
        alike("no keys", "key_count_mismatch", each(|b| b["keys"] = json!([]))),
        // Documents that are none.
        alike("a bit of the document's signature", "document_signature_invalid", each(|b| {
            edit_bytes(b, "/document", |document| *document.last_mut().unwrap() ^= 1);
        })),
        alike("a document cut short", "cbor_truncated", each(|b| {
            edit_bytes(b, "/document", |document| document.truncate(document.len() - 1));
        })),
        // Answers that say more than was proven, or something else.
        alike("an unproven key beside the proven", "answer_invalid", each(|b| b["public_key"] = json!("AAAA"))),
        alike("an answer to something else", "answer_invalid", each(|b| *b = json!({ "state": "live" }))),
    ]);
}

#[test]
fn every_change_of_an_open_request_is_refused() {
    use {By::*, Pair::*, Step::OpenRequest};
    let alike = |name, edit| swap(name, Alike, OpenRequest, Service, "open_failed", edit);
    let strangers = |name, edit| swap(name, Strangers, OpenRequest, Service, "open_failed", edit);
    Stage::new().refuses(vec![
        strangers("encs", exchanged("/enc")),
        strangers("ciphertexts", exchanged("/ciphertext")),
        strangers("aads", exchanged("/aad")),
        strangers("whole messages", exchanged("")),
        strangers("the keys that they are for", Box::new(|a, b| mem::swap(&mut a.path, &mut b.path))),
        swap("the aads of one recipient's orders", OtherAad, OpenRequest, Service, "open_failed", exchanged("/aad")),
        alike("messages of sessions alike", exchanged("")),
        alike("another aad", each(|b| b["aad"] = json!("AAAA"))),
        alike("no aad", each(|b| b["aad"] = json!(""))),
        alike("a bit of the ciphertext", each(|b| edit_bytes(b, "/ciphertext", |c| c[0] ^= 1))),
        swap("whole requests", Strangers, OpenRequest, Recipient, "recipient_mismatch", {
            Box::new(|a, b| mem::swap(a, b))
        }),
        swap("whole requests of one recipient", OtherAad, OpenRequest, Recipient, "aad_mismatch", {
            Box::new(|a, b| mem::swap(a, b))
        }),
    ]);
}

#[test]
fn every_change_of_an_open_answer_is_refused() {
    use {By::Recipient, Pair::*, Step::OpenAnswer};
    let strangers = |name, code, edit| swap(name, Strangers, OpenAnswer, Recipient, code, edit);
    let forged = |name, pair, edit| swap(name, pair, OpenAnswer, Recipient, "reply_open_failed", edit);
    Stage::new().refuses(vec![
        strangers("whole answers", "recipient_mismatch", exchanged("")),
        strangers("contexts", "recipient_mismatch", exchanged("/sealed/context")),
        strangers("replies", "reply_context_mismatch", exchanged("/sealed/reply")),
        strangers("the contexts' records", "not_in_batch", exchanged("/sealed/context/record")),
        strangers("the contexts' documents", "not_in_batch", exchanged("/sealed/context/document")),
        strangers("the context's index", "not_in_batch", each(|b| b["sealed"]["context"]["index"] = json!(1))),
        strangers("a longer path", "not_in_batch", each(|b| {
            let hash = json!(Bytes(vec![0; 48]));
            b["sealed"]["context"]["path"].as_array_mut().unwrap().push(hash);
        })),
        strangers("the contexts' recipients", "not_in_batch", {
            records("/sealed/context/record", |a: &mut ReplyContext, b: &mut ReplyContext| {
                mem::swap(&mut a.recipient, &mut b.recipient);
            })
        }),
        strangers("the contexts' encs", "not_in_batch", {
            records("/sealed/context/record", |a: &mut ReplyContext, b: &mut ReplyContext| {
                mem::swap(&mut a.enc, &mut b.enc);
            })
        }),
        strangers("the contexts that the replies name", "reply_context_mismatch", {
            replies(|a, b| mem::swap(&mut a.context_id, &mut b.context_id))
        }),
        strangers("the replies' keys", "recipient_mismatch", replies(|a, b| {
            mem::swap(&mut a.descriptor, &mut b.descriptor);
        })),
        strangers("the other's reply under one's own context", "recipient_mismatch", replies(|a, b| {
            mem::swap(a, b);
            mem::swap(&mut a.context_id, &mut b.context_id);
        })),
        strangers("a bit of the document's signature", "document_signature_invalid", each(|b| {
            edit_bytes(b, "/sealed/context/document", |document| *document.last_mut().unwrap() ^= 1);
        })),
        // One recipient, so that everything but the transaction is right.
        swap("replies for another purpose", OtherPurpose, OpenAnswer, Recipient, "purpose_mismatch", {
            exchanged("/sealed/reply")
        }),
        swap("replies to another order", OtherAad, OpenAnswer, Recipient, "aad_mismatch", exchanged("/sealed/reply")),
        swap("the replies' aads", OtherAad, OpenAnswer, Recipient, "aad_mismatch", {
            replies(|a, b| mem::swap(&mut a.aad, &mut b.aad))
        }),
        forged("the other order's reply with this order's aad", OtherAad, replies(|a, b| {
            mem::swap(a, b);
            mem::swap(&mut a.aad, &mut b.aad);
        })),
        forged("the other purpose's reply with this purpose's key", OtherPurpose, replies(|a, b| {
            mem::swap(a, b);
            mem::swap(&mut a.descriptor, &mut b.descriptor);
        })),
        forged("keys", Alike, replies(|a, b| mem::swap(&mut a.descriptor, &mut b.descriptor))),
        forged("requests", Alike, replies(|a, b| mem::swap(&mut a.request_digest, &mut b.request_digest))),
        forged("ciphertexts", Alike, replies(|a, b| mem::swap(&mut a.ciphertext, &mut b.ciphertext))),
        forged("a bit of the ciphertext", Alike, replies(|a, b| {
            a.ciphertext[0] ^= 1;
            b.ciphertext[0] ^= 1;
        })),
    ]);
}

/// To a recipient, replies to requests of the same purpose and aad are equally good: an aad names one transaction.
/// Who repeats it can still tell them apart by the key.
#[test]
fn replies_with_the_same_purpose_and_aad_differ_in_the_key_that_they_name() {
    let stage = Stage::new();
    let meeting = Meeting::new(Step::OpenAnswer, |a, b| mem::swap(&mut a.body, &mut b.body));
    assert_eq!(stage.play_both(Pair::Alike, meeting), [Ok(b"PIN b".to_vec()), Ok(b"PIN a".to_vec())]);

    let (recipient, aad) = (RecipientKey::generate().unwrap(), b"order 17");
    let message = || stage.deployment.card_pin_key(60_000, &recipient).unwrap();
    let [first, second] =
        [message(), message()].map(|key| key.seal(b"1234", aad, &CheckTime::system()).unwrap());
    let (purpose, reply) = (Purpose::new("card-pin").unwrap(), open(&stage.deployment, &second));
    let expected = Expected { purpose: &purpose, aad };
    let seen = &mut SeenSet::default();
    let opened = recipient.open(&reply, &expected, &stage.trust, &CheckTime::system(), seen).unwrap();
    assert_eq!(*opened.descriptor.hash(), second.descriptor_hash);
    assert_ne!(*opened.descriptor.hash(), first.descriptor_hash);
}

#[test]
fn old_messages_are_refused() {
    let stage = Stage::new();
    let (client, trust) = (stage.deployment.client(), &stage.trust);
    let recipient = RecipientKey::generate().unwrap();
    let request = || KeyRequest::new("card-pin", 60_000, recipient.public_key()).unwrap();
    let purpose = Purpose::new("card-pin").unwrap();
    let seen = &mut SeenSet::default();
    let mut read = |reply: &SealedBody, aad: &[u8], time: CheckTime| {
        let opened = recipient.open(reply, &Expected { purpose: &purpose, aad }, trust, &time, seen);
        opened.map(|opened| opened.plaintext.to_vec()).map_err(|e| e.code())
    };

    let old_request = request();
    let old_issue = raw_http::post(stage.deployment.url(), "/v1/keys", &old_request.to_json()).unwrap().body;
    let old_key = old_request.verify(&old_issue, trust, &CheckTime::system()).unwrap().remove(0);
    let old_message = old_key.seal(b"old", b"order 1", &CheckTime::system()).unwrap();
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
                if let Some(part) = passing.body.pointer_mut(place).filter(|_| exchange.step == Step::IssueAnswer) {
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
    assert_eq!(passed(&[("/keys", old["keys"].clone()), ("/document", old["document"].clone())]), "nonce_mismatch");
    let context = serde_json::to_value(&old_reply.context).unwrap();
    let as_key = |body: &Value| {
        [
            ("/document", body["document"].clone()),
            ("/keys/0", json!({ "descriptor": body["record"], "index": body["index"], "path": body["path"] })),
        ]
    };
    assert_eq!(passed(&as_key(&context)), "record_invalid");
    let nonce = ok2cry_protocol::ids::Nonce::new([7; 32]).unwrap();
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
    let nonce = |byte| ok2cry_protocol::ids::Nonce::new([byte; 32]).unwrap();
    let client = stage.deployment.client();
    let (one, other) = (client.attestation(&nonce(1)).unwrap(), client.attestation(&nonce(2)).unwrap());
    let verify = |nonce_byte, body, time| {
        stage.trust.verify_statement(&nonce(nonce_byte), body, &time).map(|_| ()).map_err(|e| e.code())
    };
    assert_eq!(verify(1, &one, CheckTime::system()), Ok(()));
    assert_eq!(verify(2, &one, CheckTime::system()), Err("nonce_mismatch"));
    let mixed = ok2cry_protocol::http::AttestedBody { document: other.document.clone(), ..one.clone() };
    assert_eq!(verify(1, &mixed, CheckTime::system()), Err("not_in_batch"));
    let later = CheckTime::at(CheckTime::system().now_ms + 61_000);
    assert_eq!(verify(1, &one, later), Err("document_too_old"));
}

#[test]
fn plaintext_in_the_place_of_a_reply_is_refused() {
    let stage = Stage::new();
    let invent = |exchange: &Exchange, passing: &mut Passing| {
        if exchange.step == Step::OpenAnswer {
            passing.body = json!({ "plaintext": "OTk5OQ" });
        }
    };
    let proxy = HostileParent::start(stage.deployment.url(), invent).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = stage.deployment.card_pin_key(60_000, &recipient).unwrap();
    let message = key.seal(b"1234", b"order 17", &CheckTime::system()).unwrap();
    // The library has no way to take it: what a recipient opens is a sealed reply, and nothing else is.
    assert!(matches!(Client::new(&proxy.url("a")).open(&message).unwrap(), OpenResponse::Plaintext(_)));

    // Who uses the command line is told.
    let folder = tempfile::tempdir().unwrap();
    let (key_file, message_file) = (folder.path().join("key.pem"), folder.path().join("message.json"));
    std::fs::write(&key_file, recipient.to_pem().unwrap().as_bytes()).unwrap();
    let text = |bytes: &[u8]| serde_json::to_value(Bytes(bytes.to_vec())).unwrap();
    let mut file = serde_json::to_value(message.body()).unwrap();
    file["key_id"] = text(&message.key_id.0);
    file["descriptor_hash"] = text(&message.descriptor_hash);
    std::fs::write(&message_file, file.to_string()).unwrap();
    let args = [
        "open".to_owned(),
        format!("--url={}", proxy.url("a")),
        format!("--recipient-key={}", key_file.display()),
        format!("--root={}", stage.deployment.root_pem().display()),
        format!("--measurements={}", stage.deployment.measurements().display()),
        "--purpose=card-pin".to_owned(),
        "--aad=order 17".to_owned(),
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
        let request = KeyRequest::new("card-pin", 60_000, recipient.public_key()).unwrap();
        let keys = by.client().issue(request, trust, &CheckTime::system());
        keys.map(|_| ()).map_err(|e| e.code().to_owned())
    };
    assert_eq!(refused(&genuine, &genuine.trust().unwrap()), Ok(()));
    // Another image under the right root, and the right image under another root.
    assert_eq!(refused(&impostor, &impostor.trust_in_image_of(&genuine).unwrap()), Err("pcr_mismatch".into()));
    assert_eq!(refused(&impostor, &genuine.trust().unwrap()), Err("root_not_trusted".into()));
    let twin = Deployment::start(Options::default()).unwrap();
    assert_eq!(refused(&twin, &genuine.trust().unwrap()), Err("root_not_trusted".into()));
    // A mock is never taken for AWS's.
    let json = std::fs::read_to_string(genuine.measurements()).unwrap();
    let release = ok2cry_client::measurements::from_nitro_cli_json(&json).unwrap();
    let production = Trust::new(TrustAnchor::aws_nitro(), [release]).unwrap();
    assert_eq!(refused(&genuine, &production), Err("root_not_trusted".into()));

    // The recipient refuses an impostor's replies, and statements are refused likewise.
    let key = impostor.card_pin_key(60_000, &recipient).unwrap();
    let reply = open(&impostor, &key.seal(b"1234", b"", &CheckTime::system()).unwrap());
    let purpose = Purpose::new("card-pin").unwrap();
    let read = |trust: &Trust| {
        let expected = Expected { purpose: &purpose, aad: b"" };
        let opened = recipient.open(&reply, &expected, trust, &CheckTime::system(), &mut SeenSet::default());
        opened.map(|_| ()).map_err(|e| e.code())
    };
    assert_eq!(read(&impostor.trust().unwrap()), Ok(()));
    assert_eq!(read(&impostor.trust_in_image_of(&genuine).unwrap()), Err("pcr_mismatch"));
    assert_eq!(read(&genuine.trust().unwrap()), Err("root_not_trusted"));
    let nonce = ok2cry_protocol::ids::Nonce::new([7; 32]).unwrap();
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

/// Two boots of one image under one root: what a parent has that starts the enclave twice.
#[test]
fn two_boots_of_one_image_cannot_speak_for_each_other() {
    use By::*;
    let boots = [Boot::start_under(&PKI.lock().unwrap().0), Boot::start_under(&PKI.lock().unwrap().0)];
    let trust = PKI.lock().unwrap().trust();
    let recipient = RecipientKey::generate().unwrap();
    let cases: [(&str, Step, Edit, By, &str); 9] = [
        ("whole issue answers", Step::IssueAnswer, exchanged(""), Client, "nonce_mismatch"),
        ("documents", Step::IssueAnswer, exchanged("/document"), Client, "not_in_batch"),
        (
            "instances",
            Step::IssueAnswer,
            descriptors(|a, b| mem::swap(&mut a.key_id, &mut b.key_id)),
            Client,
            "not_in_batch",
        ),
        (
            "the keys that messages are for",
            Step::OpenRequest,
            Box::new(|a, b| mem::swap(&mut a.path, &mut b.path)),
            Service,
            "unknown_key",
        ),
        ("whole requests", Step::OpenRequest, Box::new(|a, b| mem::swap(a, b)), Service, "unknown_key"),
        ("replies", Step::OpenAnswer, exchanged("/sealed/reply"), Recipient, "reply_context_mismatch"),
        ("contexts", Step::OpenAnswer, exchanged("/sealed/context"), Recipient, "reply_context_mismatch"),
        ("documents", Step::OpenAnswer, exchanged("/sealed/context/document"), Recipient, "not_in_batch"),
        (
            "replies that name the other's context",
            Step::OpenAnswer,
            replies(|a, b| {
                mem::swap(a, b);
                mem::swap(&mut a.context_id, &mut b.context_id);
            }),
            Recipient,
            "instance_mismatch",
        ),
    ];
    for (name, step, edit, by, code) in cases {
        let meeting = Arc::new(Meeting::new(step, edit));
        let proxies = ["a", "b"].map(|session| {
            let (meeting, boot) = (Arc::clone(&meeting), &boots[usize::from(session == "b")]);
            HostileParent::start(&boot.url, move |e: &Exchange, p: &mut Passing| meeting.tamper(e, p)).unwrap()
        });
        let purpose = "card-pin";
        let sessions = ["a", "b"].map(|name| Session { name, purpose, ttl_ms: 60_000, aad: "order", recipient: &recipient });
        let outcomes = meeting.play(&sessions, &trust, |name| proxies[usize::from(name == "b")].url(name));
        assert!(meeting.changed(), "{name}: the swap changed nothing");
        for outcome in outcomes {
            assert_eq!(outcome, Err(Refused { by, code: code.into() }), "{name} of two boots");
        }
    }
}

/// Group commit puts the keys of strangers under one document. That must not make them interchangeable.
#[test]
fn keys_of_two_sessions_under_one_document_stay_apart() {
    let pki = PKI.lock().unwrap();
    let boot = Boot::start_under(&pki.0);
    let trust = pki.trust();
    drop(pki);
    let recipient = RecipientKey::generate().unwrap();
    let request = || KeyRequest::new("card-pin", 60_000, recipient.public_key()).unwrap();
    let (first, second) = (request(), request());

    // While the NSM is held by a first call, both requests gather for the next.
    boot.nsm.hang();
    let calls = boot.nsm.calls();
    let url = &boot.url;
    let post = |json: String| raw_http::post(url, "/v1/keys", &json).unwrap().body;
    let answers = thread::scope(|scope| {
        scope.spawn(|| post(request().to_json()));
        eventually("the NSM is called", || (boot.nsm.calls() > calls).then_some(()));
        let waiting = [first.to_json(), second.to_json()].map(|json| scope.spawn(move || post(json)));
        eventually("both requests wait at the enclave", || {
            let mut stream = ok2cry_tests::EnclaveStream::connect(&boot.socket).unwrap();
            (stream.health().unwrap().live_keys == 3).then_some(())
        });
        // A live key is one step from the NSM's queue: the next call of the same kind finds what waits.
        eventually("both requests are attested together", || {
            boot.nsm.release();
            Some(())
        });
        waiting.map(|thread| serde_json::from_slice::<Value>(&thread.join().unwrap()).unwrap())
    });
    let [mut a, mut b] = answers;
    assert_eq!(a["document"], b["document"]);
    mem::swap(&mut a, &mut b);
    let refused = first.verify(a.to_string().as_bytes(), &trust, &CheckTime::system());
    assert_eq!(refused.unwrap_err().code(), "nonce_mismatch");
    mem::swap(&mut a["keys"][0]["descriptor"], &mut b["keys"][0]["descriptor"]);
    let refused = second.verify(a.to_string().as_bytes(), &trust, &CheckTime::system());
    assert_eq!(refused.unwrap_err().code(), "not_in_batch");
}

/// A deployment, and the recipients of two sessions.
struct Stage {
    deployment: Deployment,
    trust: Trust,
    recipients: [RecipientKey; 2],
}

/// In what two sessions differ, beside their nonces and plaintexts.
#[derive(Clone, Copy, Debug)]
enum Pair {
    /// In everything.
    Strangers,
    /// In the purpose.
    OtherPurpose,
    /// In the aad.
    OtherAad,
    /// In nothing.
    Alike,
    /// In nothing, and for a purpose whose plaintext may be released to callers; they name recipients.
    ReleasedToCallers,
}

struct Session<'a> {
    name: &'static str,
    purpose: &'a str,
    ttl_ms: u64,
    aad: &'a str,
    recipient: &'a RecipientKey,
}

type Outcome = Result<Vec<u8>, Refused>;

#[derive(Clone, Debug, PartialEq)]
struct Refused {
    by: By,
    code: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Service,
    Client,
    Recipient,
}

type Edit = Box<dyn Fn(&mut Passing, &mut Passing) + Send + Sync>;

struct Swap {
    name: &'static str,
    pair: Pair,
    step: Step,
    by: By,
    code: &'static str,
    edit: Edit,
}

fn swap(name: &'static str, pair: Pair, step: Step, by: By, code: &'static str, edit: Edit) -> Swap {
    Swap { name, pair, step, by, code, edit }
}

impl Stage {
    fn new() -> Self {
        let deployment = Deployment::start(Options::default()).unwrap();
        let trust = deployment.trust().unwrap();
        Self { deployment, trust, recipients: std::array::from_fn(|_| RecipientKey::generate().unwrap()) }
    }

    /// Both sessions of every swap are refused as it says.
    fn refuses(&self, swaps: Vec<Swap>) {
        for Swap { name, pair, step, by, code, edit } in swaps {
            let meeting = Arc::new(Meeting::new(step, edit));
            let outcomes = self.play_with(pair, &meeting);
            assert!(meeting.changed(), "{name} ({step:?}, {pair:?}): the swap changed nothing");
            for outcome in outcomes {
                let expected = Err(Refused { by, code: code.into() });
                assert_eq!(outcome, expected, "{name} ({step:?}, {pair:?})");
            }
        }
    }

    fn play_both(&self, pair: Pair, meeting: Meeting) -> [Outcome; 2] {
        self.play_with(pair, &Arc::new(meeting))
    }

    fn play_with(&self, pair: Pair, meeting: &Arc<Meeting>) -> [Outcome; 2] {
        let [r0, r1] = &self.recipients;
        let session = |name, purpose, ttl_ms, aad, recipient| Session { name, purpose, ttl_ms, aad, recipient };
        let a = session("a", "card-pin", 60_000, "order a", r0);
        let b = match pair {
            Pair::Strangers => session("b", "pin-change", 61_000, "order b", r1),
            Pair::OtherPurpose => session("b", "pin-change", 60_000, "order a", r0),
            Pair::OtherAad => session("b", "card-pin", 60_000, "order b", r0),
            Pair::Alike => session("b", "card-pin", 60_000, "order a", r0),
            Pair::ReleasedToCallers => session("b", "caller-demo", 60_000, "order a", r0),
        };
        let a = if let Pair::ReleasedToCallers = pair { Session { purpose: "caller-demo", ..a } } else { a };
        let tamper = Arc::clone(meeting);
        let proxy =
            HostileParent::start(self.deployment.url(), move |e: &Exchange, p: &mut Passing| tamper.tamper(e, p));
        let proxy = proxy.unwrap();
        meeting.play(&[a, b], &self.trust, |name| proxy.url(name))
    }
}

/// Where two sessions meet: the proxy holds back the message of the first that comes to `step` until the other's has
/// come too, then edits both. At all other steps session a goes first, so that no two answers share a document.
struct Meeting {
    step: Step,
    edit: Edit,
    state: Mutex<MeetingState>,
    moved: Condvar,
}

#[derive(Default)]
struct MeetingState {
    held: [Option<Passing>; 2],
    met: bool,
    changed: bool,
    /// Whether session a has its answer to issue and to open, or will not ask any more.
    a_answered: [bool; 2],
}

impl Meeting {
    fn new(step: Step, edit: impl Fn(&mut Passing, &mut Passing) + Send + Sync + 'static) -> Self {
        Self { step, edit: Box::new(edit), state: Mutex::default(), moved: Condvar::new() }
    }

    fn changed(&self) -> bool {
        self.state.lock().unwrap().changed
    }

    fn play(&self, sessions: &[Session<'_>; 2], trust: &Trust, url: impl Fn(&str) -> String + Sync) -> [Outcome; 2] {
        thread::scope(|scope| {
            let url = &url;
            let threads = sessions.each_ref().map(|session| {
                scope.spawn(move || {
                    let outcome = play(session, &url(session.name), trust);
                    if session.name == "a" {
                        self.a_is_answered([0, 1]);
                    }
                    outcome
                })
            });
            threads.map(|thread| thread.join().unwrap())
        })
    }

    fn tamper(&self, exchange: &Exchange, passing: &mut Passing) {
        let call = usize::from(matches!(exchange.step, Step::OpenRequest | Step::OpenAnswer));
        let asks = matches!(exchange.step, Step::IssueRequest | Step::OpenRequest);
        if exchange.session == "a" && !asks {
            self.a_is_answered([call]);
        }
        if exchange.step == self.step {
            self.meet(usize::from(exchange.session == "b"), passing);
        }
        if exchange.session == "b" && asks {
            self.wait("session a's answer", |state| state.a_answered[call]);
        }
    }

    fn meet(&self, session: usize, passing: &mut Passing) {
        let mut state = self.state.lock().unwrap();
        state.held[session] = Some(passing.clone());
        if let [Some(a), Some(b)] = &state.held {
            let (mut a, mut b) = (a.clone(), b.clone());
            (self.edit)(&mut a, &mut b);
            let after = [Some(a), Some(b)];
            // Both must be different: a session that nothing happened to would show nothing.
            state.changed = state.held.iter().zip(&after).all(|(before, after)| before != after);
            state.held = after;
            state.met = true;
            self.moved.notify_all();
        }
        drop(state);
        self.wait("the other session", |state| state.met);
        *passing = self.state.lock().unwrap().held[session].take().unwrap();
    }

    fn a_is_answered(&self, calls: impl IntoIterator<Item = usize>) {
        let mut state = self.state.lock().unwrap();
        for call in calls {
            state.a_answered[call] = true;
        }
        self.moved.notify_all();
    }

    fn wait(&self, what: &str, until: impl Fn(&MeetingState) -> bool) {
        let state = self.state.lock().unwrap();
        let (_state, waited) = self.moved.wait_timeout_while(state, DEADLINE, |state| !until(state)).unwrap();
        assert!(!waited.timed_out(), "{what} never came");
    }
}

/// One session as its two honest ends see it: two keys, of which the first is used.
fn play(session: &Session<'_>, url: &str, trust: &Trust) -> Outcome {
    let client = Client::new(url);
    let at_client = |e: CallError| {
        let by = if matches!(e, CallError::Refused(_)) { By::Service } else { By::Client };
        Refused { by, code: e.code().to_owned() }
    };
    let request = KeyRequest::new(session.purpose, session.ttl_ms, session.recipient.public_key()).unwrap();
    let request = request.count(2).unwrap();
    let key = client.issue(request, trust, &CheckTime::system()).map_err(at_client)?.remove(0);
    let plaintext = format!("PIN {}", session.name);
    let message = key.seal(plaintext.as_bytes(), session.aad.as_bytes(), &CheckTime::system()).unwrap();
    let OpenResponse::Sealed(reply) = client.open(&message).map_err(at_client)? else {
        panic!("plaintext, and a recipient had been named");
    };
    let purpose = Purpose::new(session.purpose).unwrap();
    let expected = Expected { purpose: &purpose, aad: session.aad.as_bytes() };
    let opened =
        session.recipient.open(&reply, &expected, trust, &CheckTime::system(), &mut SeenSet::default());
    let at_recipient = |e: ok2cry_client::Error| Refused { by: By::Recipient, code: e.code().to_owned() };
    opened.map(|opened| opened.plaintext.to_vec()).map_err(at_recipient)
}

/// Exchanges what is at `place` (RFC 6901) in two bodies.
fn exchanged(place: &'static str) -> Edit {
    Box::new(move |a, b| mem::swap(at(&mut a.body, place), at(&mut b.body, place)))
}

/// Does the same to both bodies.
fn each(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Edit {
    Box::new(move |a, b| {
        edit(&mut a.body);
        edit(&mut b.body);
    })
}

fn descriptors(edit: impl Fn(&mut KeyDescriptor, &mut KeyDescriptor) + Send + Sync + 'static) -> Edit {
    records("/keys/0/descriptor", edit)
}

fn replies(edit: impl Fn(&mut Reply, &mut Reply) + Send + Sync + 'static) -> Edit {
    records("/sealed/reply", edit)
}

/// Decodes the records at `place` of two bodies, and writes them anew.
fn records<T: Record>(place: &'static str, edit: impl Fn(&mut T, &mut T) + Send + Sync + 'static) -> Edit {
    Box::new(move |a, b| {
        let decode = |body: &mut Value| T::decode(&bytes(at(body, place))).unwrap();
        let (mut x, mut y) = (decode(&mut a.body), decode(&mut b.body));
        edit(&mut x, &mut y);
        *at(&mut a.body, place) = json!(Bytes(x.encode()));
        *at(&mut b.body, place) = json!(Bytes(y.encode()));
    })
}

fn edit_bytes(body: &mut Value, place: &str, edit: impl Fn(&mut Vec<u8>)) {
    let mut bytes = bytes(at(body, place));
    edit(&mut bytes);
    *at(body, place) = json!(Bytes(bytes));
}

fn swap_within(body: &mut Value, one: &str, other: &str) {
    let first = at(body, one).clone();
    let second = mem::replace(at(body, other), first);
    *at(body, one) = second;
}

fn at<'a>(body: &'a mut Value, place: &str) -> &'a mut Value {
    let shown = body.to_string();
    body.pointer_mut(place).unwrap_or_else(|| panic!("{place} is not in {shown}"))
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Bytes>(value.clone()).unwrap().0
}

/// A point whose private key the attacker has.
fn attacker() -> [u8; 97] {
    *RecipientKey::generate().unwrap().public_key().as_bytes()
}

fn open(deployment: &Deployment, message: &SealedMessage) -> SealedBody {
    match serde_json::from_slice(&deployment.open(message).unwrap().body).unwrap() {
        OpenResponse::Sealed(body) => body,
        OpenResponse::Plaintext(_) => panic!("plaintext, and a recipient had been named"),
    }
}

/// One root for enclaves of this process, as the enclaves of one real host share AWS's.
static PKI: std::sync::LazyLock<Mutex<Root>> =
    std::sync::LazyLock::new(|| Mutex::new(Root(MockPki::generate(TimeSource::System.now_ms()).unwrap())));

struct Root(MockPki);

impl Root {
    fn trust(&self) -> Trust {
        let release = ok2cry_attest_verify::Measurements::new(MockConfig::default().measurements()).unwrap();
        Trust::new(TrustAnchor::from_pem(&self.0.root_pem()).unwrap(), [release]).unwrap()
    }
}

/// An enclave in this process, so that several share a root and a test holds their NSM; the parent is a process.
struct Boot {
    url: String,
    socket: PathBuf,
    nsm: MockHandle,
    _parent: Process,
    _runtime: tokio::runtime::Runtime,
    _folder: TempDir,
}

impl Boot {
    fn start_under(pki: &MockPki) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("enclave.sock");
        let nsm = MockNsm::new(pki.clone(), MockConfig::default());
        let handle = nsm.handle();
        let enclave = Enclave::start(Config::from_toml(CONFIG).unwrap(), Box::new(nsm)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let guard = runtime.enter();
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        drop(guard);
        runtime.spawn(enclave.serve(Listener::Unix(listener), std::future::pending()));
        let (parent, url) = start_parent(&socket, &[], &[]).unwrap();
        Self { url, socket, nsm: handle, _parent: parent, _runtime: runtime, _folder: folder }
    }
}
