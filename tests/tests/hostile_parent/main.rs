//! What a parent can do with the messages it carries, and who refuses it.
//!
//! Two sessions run at the same time through a proxy that stands where the parent does, holds back the same message
//! of both, and exchanges parts of them. What follows must be refused by the client, by the recipient, or by the
//! service, each time with the code of the rule that was broken.
//!
//! | module | holds |
//! |---|---|
//! | here | every exchange of parts between two sessions |
//! | `replays` | old messages in new sessions |
//! | `impostors` | other enclaves, no enclaves, and answers that are made up |
//! | `boots` | two boots of the same image under one root, and one document for two sessions |
//! | `stage` | two sessions and where they meet |
//! | `edits` | what is done to messages there |

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
mod stage;

use edits::{attacker, descriptors, each, edit_bytes, exchanged, records, replies, swap_within};
use ok2cry_protocol::{descriptor::DeliverTo, http::Bytes, reply::ReplyContext, suite::PublicKey};
use ok2cry_tests::hostile_parent::Step;
use serde_json::{Value, json};
use stage::{By, Meeting, Pair, Stage, swap};
use std::mem;

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
        swap(
            "a shorter ttl",
            Alike,
            IssueRequest,
            Client,
            "ttl_mismatch",
            each(|b| b["ttl"] = json!(59_999)),
        ),
        swap(
            "fewer keys",
            Alike,
            IssueRequest,
            Client,
            "key_count_mismatch",
            each(|b| b["count"] = json!(1)),
        ),
        swap("more keys", Alike, IssueRequest, Client, "key_count_mismatch", each(|b| b["count"] = json!(3))),
        swap(
            "release to the caller",
            ReleasedToCallers,
            IssueRequest,
            Client,
            "recipient_mismatch",
            each(|b| b["recipient"] = json!("caller")),
        ),
        swap(
            "release to the caller where no caller may",
            Alike,
            IssueRequest,
            Service,
            "caller_not_allowed",
            each(|b| b["recipient"] = json!("caller")),
        ),
        swap(
            "the attacker as recipient",
            Alike,
            IssueRequest,
            Client,
            "recipient_mismatch",
            each(|b| b["recipient"]["public_key"] = json!(Bytes(attacker().to_vec()))),
        ),
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
        not_in_batch("the largest index", each(|b| b["keys"][0]["index"] = json!((1_u64 << 53) - 1))),
        swap(
            "an index that would overflow",
            Strangers,
            IssueAnswer,
            Client,
            "answer_invalid",
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
        not_in_batch(
            "a path of something else than hashes",
            each(|b| b["keys"][0]["path"][0] = json!("AAAA")),
        ),
        // Descriptors that are written anew, as whoever knows the format can.
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
        // The keys of one request, which one document attests.
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
        // Documents that are none.
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
        // Answers that say more than was proven, or something else.
        alike(
            "an unproven key beside the proven",
            "answer_invalid",
            each(|b| b["public_key"] = json!("AAAA")),
        ),
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
        swap(
            "the aads of one recipient's orders",
            OtherAad,
            OpenRequest,
            Service,
            "open_failed",
            exchanged("/aad"),
        ),
        alike("messages of sessions alike", exchanged("")),
        alike("another aad", each(|b| b["aad"] = json!("AAAA"))),
        alike("no aad", each(|b| b["aad"] = json!(""))),
        alike("a bit of the ciphertext", each(|b| edit_bytes(b, "/ciphertext", |c| c[0] ^= 1))),
        swap("whole requests", Strangers, OpenRequest, Recipient, "recipient_mismatch", {
            Box::new(mem::swap)
        }),
        swap("whole requests of one recipient", OtherAad, OpenRequest, Recipient, "aad_mismatch", {
            Box::new(mem::swap)
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
        // One recipient, so that everything but the transaction is right.
        swap(
            "replies for another purpose",
            OtherPurpose,
            OpenAnswer,
            Recipient,
            "purpose_mismatch",
            exchanged("/sealed/reply"),
        ),
        swap(
            "replies to another order",
            OtherAad,
            OpenAnswer,
            Recipient,
            "aad_mismatch",
            exchanged("/sealed/reply"),
        ),
        swap(
            "the replies' aads",
            OtherAad,
            OpenAnswer,
            Recipient,
            "aad_mismatch",
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
    ]);
}
