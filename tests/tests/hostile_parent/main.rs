//! Every change that a parent can make to a message is refused, by the right party and with the right code.
//!
//! Two sessions run at the same time through a proxy in the parent's place. The proxy delays one message of
//! each until it has both, and exchanges parts of them. Client, recipient or service must then refuse, with
//! the code of the rule that was broken.
//!
//! | module | holds |
//! |---|---|
//! | here | every exchange of parts between two sessions |
//! | `replays` | old messages in new sessions |
//! | `impostors` | other enclaves, processes without an enclave, and invented answers |
//! | `boots` | two boots of the same image under one root, and one document for two sessions |
//! | `sessions` | two sessions, and the proxy's meeting point |
//! | `edits` | changes to two messages |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

mod boots;
mod edits;
mod impostors;
mod replays;
mod sessions;

use edits::{Edit, attacker, descriptors, each, edit_bytes, exchanged, records, replies, swap_within};
use ok2cry_protocol::{descriptor::DeliverTo, http::Bytes, reply::ReplyContext, suite::PublicKey};
use ok2cry_testkit::hostile_parent::Step;
use serde_json::{Value, json};
use sessions::{By, Pair, Rendezvous, SessionFixture, Swap, swap};
use std::mem;

#[test]
fn undisturbed_sessions_are_accepted() {
    let fixture = SessionFixture::new();
    for pair in [Pair::Strangers, Pair::OtherPurpose, Pair::OtherAad, Pair::Alike, Pair::CallersAllowed] {
        for step in [Step::IssueRequest, Step::IssueAnswer, Step::OpenRequest, Step::OpenAnswer] {
            let outcomes = fixture.run(pair, Rendezvous::new(step, |_, _| ()));
            assert_eq!(outcomes, [Ok(b"PIN a".to_vec()), Ok(b"PIN b".to_vec())], "{pair:?} {step:?}");
        }
    }
}

#[test]
fn every_change_of_an_issue_request_is_refused() {
    use {By::*, Pair::*, Step::IssueRequest};
    let by_client = |name, pair, code, edit| swap(name, (pair, IssueRequest), (Client, code), edit);
    SessionFixture::new().refuses(vec![
        by_client("nonces", Strangers, "nonce_mismatch", exchanged("/nonce")),
        by_client("nonces of sessions alike", Alike, "nonce_mismatch", exchanged("/nonce")),
        by_client("recipients", Strangers, "recipient_mismatch", exchanged("/recipient")),
        by_client("purposes", Strangers, "purpose_mismatch", exchanged("/purpose")),
        by_client("ttls", Strangers, "ttl_mismatch", exchanged("/ttl")),
        by_client("whole requests", Strangers, "nonce_mismatch", exchanged("")),
        by_client("a longer ttl", Alike, "ttl_mismatch", each(|b| b["ttl"] = json!(60_001))),
        by_client("a shorter ttl", Alike, "ttl_mismatch", each(|b| b["ttl"] = json!(59_999))),
        by_client("fewer keys", Alike, "key_count_mismatch", each(|b| b["count"] = json!(1))),
        by_client("more keys", Alike, "key_count_mismatch", each(|b| b["count"] = json!(3))),
        by_client(
            "release to the caller",
            CallersAllowed,
            "recipient_mismatch",
            each(|b| b["recipient"] = json!("caller")),
        ),
        swap(
            "release to the caller where no caller may",
            (Alike, IssueRequest),
            (Service, "caller_not_allowed"),
            each(|b| b["recipient"] = json!("caller")),
        ),
        by_client(
            "the attacker as recipient",
            Alike,
            "recipient_mismatch",
            each(|b| b["recipient"]["public_key"] = json!(Bytes(attacker().to_vec()))),
        ),
    ]);
}

#[test]
fn every_change_of_an_issue_answer_is_refused() {
    let fixture = SessionFixture::new();
    fixture.refuses(exchanged_parts_of_issue_answers());
    fixture.refuses(rewritten_descriptors());
    fixture.refuses(changes_under_one_document());
}

fn exchanged_parts_of_issue_answers() -> Vec<Swap> {
    use {By::Client, Pair::*, Step::IssueAnswer};
    vec![
        swap("whole answers", (Strangers, IssueAnswer), (Client, "nonce_mismatch"), exchanged("")),
        alike("whole answers of sessions alike", "nonce_mismatch", exchanged("")),
        not_in_batch("documents", exchanged("/document")),
        not_in_batch("descriptors", exchanged("/keys/0/descriptor")),
        not_in_batch("keys with their places", exchanged("/keys/0")),
        not_in_batch("all keys with their places", exchanged("/keys")),
        not_in_batch("paths", exchanged("/keys/0/path")),
        not_in_batch("indices", each(|b| swap_within(b, "/keys/0/index", "/keys/1/index"))),
        not_in_batch("an index behind the batch", each(|b| b["keys"][0]["index"] = json!(2))),
        not_in_batch("the largest index", each(|b| b["keys"][0]["index"] = json!((1_u64 << 53) - 1))),
        swap(
            "an index that would overflow",
            (Strangers, IssueAnswer),
            (Client, "answer_invalid"),
            each(|b| b["keys"][0]["index"] = json!(u64::MAX)),
        ),
        not_in_batch("no path", each(|b| b["keys"][0]["path"] = json!([]))),
        not_in_batch(
            "a longer path",
            each(|b| {
                let path = b["keys"][0]["path"].as_array_mut().unwrap();
                path.push(path[0].clone());
            }),
        ),
        not_in_batch(
            "an endless path",
            each(|b| {
                let hash = b["keys"][0]["path"][0].clone();
                b["keys"][0]["path"] = Value::Array(vec![hash; 13]);
            }),
        ),
        not_in_batch("a path whose entry is not a hash", each(|b| b["keys"][0]["path"][0] = json!("AAAA"))),
    ]
}

/// Descriptors with other fields, encoded anew.
fn rewritten_descriptors() -> Vec<Swap> {
    vec![
        not_in_batch("public keys", descriptors(|a, b| mem::swap(&mut a.public_key, &mut b.public_key))),
        not_in_batch("key ids", descriptors(|a, b| mem::swap(&mut a.key_id, &mut b.key_id))),
        not_in_batch("purposes", descriptors(|a, b| mem::swap(&mut a.purpose, &mut b.purpose))),
        not_in_batch("recipients", descriptors(|a, b| mem::swap(&mut a.deliver_to, &mut b.deliver_to))),
        not_in_batch("nonces", descriptors(|a, b| mem::swap(&mut a.client_nonce, &mut b.client_nonce))),
        not_in_batch("deadlines", descriptors(|a, b| mem::swap(&mut a.expires_at, &mut b.expires_at))),
        not_in_batch(
            "all times",
            descriptors(|a, b| {
                mem::swap(&mut a.issued_at, &mut b.issued_at);
                mem::swap(&mut a.expires_at, &mut b.expires_at);
            }),
        ),
        not_in_batch(
            "a key of the attacker's",
            descriptors(|a, b| {
                for d in [a, b] {
                    d.public_key = PublicKey::new(&attacker()).unwrap();
                }
            }),
        ),
        not_in_batch(
            "release to the caller",
            descriptors(|a, b| {
                for d in [a, b] {
                    d.deliver_to = DeliverTo::Caller;
                }
            }),
        ),
        not_in_batch("a descriptor of nothing", each(|b| b["keys"][0]["descriptor"] = json!(""))),
    ]
}

/// The keys of one request share a document.
fn changes_under_one_document() -> Vec<Swap> {
    vec![
        alike("the keys' order", "nonce_mismatch", each(|b| swap_within(b, "/keys/0", "/keys/1"))),
        alike("one key twice", "nonce_mismatch", each(|b| b["keys"][1] = b["keys"][0].clone())),
        alike(
            "one key dropped",
            "key_count_mismatch",
            each(|b| drop(b["keys"].as_array_mut().unwrap().pop())),
        ),
        alike(
            "one key more",
            "key_count_mismatch",
            each(|b| {
                let keys = b["keys"].as_array_mut().unwrap();
                keys.push(keys[0].clone());
            }),
        ),
        alike("no keys", "key_count_mismatch", each(|b| b["keys"] = json!([]))),
        // Malformed documents.
        alike(
            "a bit of the document's signature",
            "document_signature_invalid",
            each(|b| {
                edit_bytes(b, "/document", |document| *document.last_mut().unwrap() ^= 1);
            }),
        ),
        alike(
            "a document cut short",
            "cbor_truncated",
            each(|b| {
                edit_bytes(b, "/document", |document| document.truncate(document.len() - 1));
            }),
        ),
        // Answers with unproven fields, or of another call.
        alike(
            "an unproven key beside the proven",
            "answer_invalid",
            each(|b| b["public_key"] = json!("AAAA")),
        ),
        alike("an answer to something else", "answer_invalid", each(|b| *b = json!({ "state": "live" }))),
    ]
}

fn not_in_batch(name: &'static str, edit: Edit) -> Swap {
    swap(name, (Pair::Strangers, Step::IssueAnswer), (By::Client, "not_in_batch"), edit)
}

fn alike(name: &'static str, code: &'static str, edit: Edit) -> Swap {
    swap(name, (Pair::Alike, Step::IssueAnswer), (By::Client, code), edit)
}

#[test]
fn every_change_of_an_open_request_is_refused() {
    use {By::*, Pair::*, Step::OpenRequest};
    let from_one = |name, edit| swap(name, (Alike, OpenRequest), (Service, "open_failed"), edit);
    let from_two = |name, edit| swap(name, (Strangers, OpenRequest), (Service, "open_failed"), edit);
    SessionFixture::new().refuses(vec![
        from_two("encs", exchanged("/enc")),
        from_two("ciphertexts", exchanged("/ciphertext")),
        from_two("aads", exchanged("/aad")),
        from_two("whole messages", exchanged("")),
        from_two("the keys that they are for", Box::new(|a, b| mem::swap(&mut a.path, &mut b.path))),
        swap(
            "the aads of one recipient's orders",
            (OtherAad, OpenRequest),
            (Service, "open_failed"),
            exchanged("/aad"),
        ),
        from_one("messages of sessions alike", exchanged("")),
        from_one("another aad", each(|b| b["aad"] = json!("AAAA"))),
        from_one("no aad", each(|b| b["aad"] = json!(""))),
        from_one("a bit of the ciphertext", each(|b| edit_bytes(b, "/ciphertext", |c| c[0] ^= 1))),
        swap("whole requests", (Strangers, OpenRequest), (Recipient, "recipient_mismatch"), {
            Box::new(mem::swap)
        }),
        swap("whole requests of one recipient", (OtherAad, OpenRequest), (Recipient, "aad_mismatch"), {
            Box::new(mem::swap)
        }),
    ]);
}

#[test]
fn every_change_of_an_open_answer_is_refused() {
    let fixture = SessionFixture::new();
    fixture.refuses(exchanged_parts_of_open_answers());
    fixture.refuses(exchanged_replies_to_one_recipient());
}

fn exchanged_parts_of_open_answers() -> Vec<Swap> {
    vec![
        strangers("whole answers", "recipient_mismatch", exchanged("")),
        strangers("contexts", "recipient_mismatch", exchanged("/sealed/context")),
        strangers("replies", "reply_context_mismatch", exchanged("/sealed/reply")),
        strangers("the contexts' records", "not_in_batch", exchanged("/sealed/context/record")),
        strangers("the contexts' documents", "not_in_batch", exchanged("/sealed/context/document")),
        strangers(
            "the context's index",
            "not_in_batch",
            each(|b| b["sealed"]["context"]["index"] = json!(1)),
        ),
        strangers(
            "a longer path",
            "not_in_batch",
            each(|b| {
                let hash = json!(Bytes(vec![0; 48]));
                b["sealed"]["context"]["path"].as_array_mut().unwrap().push(hash);
            }),
        ),
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
        strangers(
            "the contexts that the replies name",
            "reply_context_mismatch",
            replies(|a, b| mem::swap(&mut a.context_id, &mut b.context_id)),
        ),
        strangers(
            "the replies' keys",
            "recipient_mismatch",
            replies(|a, b| {
                mem::swap(&mut a.descriptor, &mut b.descriptor);
            }),
        ),
        strangers(
            "the other's reply under one's own context",
            "recipient_mismatch",
            replies(|a, b| {
                mem::swap(a, b);
                mem::swap(&mut a.context_id, &mut b.context_id);
            }),
        ),
        strangers(
            "a bit of the document's signature",
            "document_signature_invalid",
            each(|b| {
                edit_bytes(b, "/sealed/context/document", |document| *document.last_mut().unwrap() ^= 1);
            }),
        ),
    ]
}

/// Everything but the transaction is right.
fn exchanged_replies_to_one_recipient() -> Vec<Swap> {
    use {By::Recipient, Pair::*, Step::OpenAnswer};
    vec![
        swap(
            "replies for another purpose",
            (OtherPurpose, OpenAnswer),
            (Recipient, "purpose_mismatch"),
            exchanged("/sealed/reply"),
        ),
        swap(
            "replies to another order",
            (OtherAad, OpenAnswer),
            (Recipient, "aad_mismatch"),
            exchanged("/sealed/reply"),
        ),
        swap(
            "the replies' aads",
            (OtherAad, OpenAnswer),
            (Recipient, "aad_mismatch"),
            replies(|a, b| mem::swap(&mut a.aad, &mut b.aad)),
        ),
        forged(
            "the other order's reply with this order's aad",
            OtherAad,
            replies(|a, b| {
                mem::swap(a, b);
                mem::swap(&mut a.aad, &mut b.aad);
            }),
        ),
        forged(
            "the other purpose's reply with this purpose's key",
            OtherPurpose,
            replies(|a, b| {
                mem::swap(a, b);
                mem::swap(&mut a.descriptor, &mut b.descriptor);
            }),
        ),
        forged("keys", Alike, replies(|a, b| mem::swap(&mut a.descriptor, &mut b.descriptor))),
        forged("requests", Alike, replies(|a, b| mem::swap(&mut a.request_digest, &mut b.request_digest))),
        forged("ciphertexts", Alike, replies(|a, b| mem::swap(&mut a.ciphertext, &mut b.ciphertext))),
        forged(
            "a bit of the ciphertext",
            Alike,
            replies(|a, b| {
                a.ciphertext[0] ^= 1;
                b.ciphertext[0] ^= 1;
            }),
        ),
    ]
}

fn strangers(name: &'static str, code: &'static str, edit: Edit) -> Swap {
    swap(name, (Pair::Strangers, Step::OpenAnswer), (By::Recipient, code), edit)
}

fn forged(name: &'static str, pair: Pair, edit: Edit) -> Swap {
    swap(name, (pair, Step::OpenAnswer), (By::Recipient, "reply_open_failed"), edit)
}
