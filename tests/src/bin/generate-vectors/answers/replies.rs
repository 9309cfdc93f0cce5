//! Answers to opens: which replies a recipient takes.

use super::{
    Accepted, Client, Common, DOCUMENTS, Expected, Forge, Refused, Verdict, base64url, common, hash_of,
    inclusion, nonce_32, ours, release_without, strict,
};
use crate::{
    Result,
    fixtures::{Hex, KeyPair, hex, sixteen},
};
use ok2cry_attest_forge::{NOW_MS, TIMESTAMP_MS};
use ok2cry_protocol::{
    Encoded, Record as _,
    descriptor::{DeliverTo, KeyDescriptor},
    hash,
    ids::{ContextId, InstanceId, KeyId, Nonce, Purpose},
    reply::{Binding, Reply, ReplyContext, ReplySecret},
    statement::Statement,
    suite::{PublicKey, Suite, reply_info},
};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
pub(crate) struct File {
    #[serde(flatten)]
    common: Common,
    recipient: Keys,
    cases: Vec<Case>,
    caller_answers: Vec<CallerAnswer>,
}

/// What a client reads that asked for plaintext.
#[derive(Serialize)]
struct CallerAnswer {
    name: &'static str,
    answer: String,
    expected: Expected<Read>,
}

#[derive(Serialize)]
struct Read {
    plaintext: Hex,
}

/// A recipient's key pair.
#[derive(Serialize)]
struct Keys {
    private_key: Hex,
    public_key: Hex,
}

#[derive(Serialize)]
struct Case {
    name: String,
    expect: Expect,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seen: Vec<Hex>,
    #[serde(flatten)]
    client: Client,
    expected: Expected<Opened>,
}

/// What the recipient expects.
#[derive(Clone, Serialize)]
struct Expect {
    purpose: &'static str,
    aad: Hex,
}

#[derive(Serialize)]
struct Opened {
    plaintext: Hex,
    descriptor_hash: Hex,
    /// Until then the same answer would be accepted again, if it was forgotten.
    remember_until_ms: u64,
}

const DEFAULT_MAX_AGE_MS: u64 = 600_000;

/// One reply and everything about its answer. What is changed here is sealed as it is: only `on_…` come
/// after.
struct World {
    forge: Forge,
    descriptor: KeyDescriptor,
    context: ReplyContext,
    aad: Vec<u8>,
    plaintext: Vec<u8>,
    /// Which instance the context's info names, if it is not the document's.
    sealed_by: Option<InstanceId>,
    expect: Expect,
    max_age_ms: Option<u64>,
    seen: bool,
    seen_others: Vec<Hex>,
    on_reply: fn(&mut Reply),
    on_reply_record: fn(Vec<u8>) -> Vec<u8>,
    /// Changes the context's record before it is attested.
    on_context_record: fn(Vec<u8>) -> Vec<u8>,
}

impl World {
    fn new() -> Self {
        let forge = Forge::new(NOW_MS);
        Self {
            descriptor: KeyDescriptor {
                key_id: KeyId::new(forge.instance(), sixteen("issued key 0")),
                suite: Suite::P384,
                public_key: key("issued key 0"),
                issued_at: TIMESTAMP_MS - 30_000,
                expires_at: TIMESTAMP_MS + 90_000,
                purpose: Purpose::new("card-pin").unwrap(),
                deliver_to: DeliverTo::Recipient(key("recipient")),
                client_nonce: Nonce::new(nonce_32("request")).unwrap(),
            },
            context: ReplyContext {
                context_id: ContextId(sixteen("context id")),
                suite: Suite::P384,
                recipient: key("recipient"),
                enc: key("reply ephemeral"),
                created_at: TIMESTAMP_MS,
                expires_at: TIMESTAMP_MS + 60_000,
            },
            aad: b"order 4711".to_vec(),
            plaintext: b"1234".to_vec(),
            sealed_by: None,
            expect: Expect { purpose: "card-pin", aad: hex(b"order 4711") },
            max_age_ms: None,
            seen: false,
            seen_others: vec![],
            on_reply: |_| {},
            on_reply_record: |record| record,
            on_context_record: |record| record,
            forge,
        }
    }

    fn reply(&self) -> Reply {
        let descriptor = Encoded::new(self.descriptor.clone());
        let request_digest = hash(&[b"the request that this answers"]);
        let binding = Binding::new(descriptor.hash(), &self.aad, &request_digest);
        let instance = self.sealed_by.unwrap_or(self.forge.instance());
        let info = reply_info(instance, self.context.context_id);
        let sender = KeyPair::of("reply ephemeral").unwrap().sender(&self.context.recipient, &info).unwrap();
        let secret: [u8; 44] = sender.export(&binding.exporter_context()).unwrap();
        let mut reply = Reply {
            context_id: self.context.context_id,
            descriptor,
            aad: self.aad.clone(),
            request_digest,
            ciphertext: ReplySecret(secret).seal(&self.plaintext, &binding).unwrap(),
        };
        (self.on_reply)(&mut reply);
        reply
    }

    fn case(&self, name: &str, verdict: Verdict) -> Case {
        let record = (self.on_context_record)(self.context.encode());
        let (document, places) = self.forge.attest(std::slice::from_ref(&record));
        let mut context = inclusion(&places[0]);
        context["record"] = base64url(&record).into();
        context["document"] = base64url(&document).into();
        let reply = (self.on_reply_record)(self.reply().encode());
        let answer = json!({"sealed": {"reply": base64url(&reply), "context": context}});
        let descriptor_hash = hash_of(&self.descriptor);
        Case {
            name: name.to_owned(),
            expect: self.expect.clone(),
            max_age_ms: self.max_age_ms,
            seen: self.seen_others.iter().chain(self.seen.then_some(&descriptor_hash)).cloned().collect(),
            client: self.forge.client(answer),
            expected: verdict.of(|| Opened {
                plaintext: hex(&self.plaintext),
                descriptor_hash,
                remember_until_ms: TIMESTAMP_MS + self.max_age_ms.unwrap_or(DEFAULT_MAX_AGE_MS),
            }),
        }
    }
}

type Change = (&'static str, Verdict, fn(&mut World));

pub(crate) fn file() -> Result<File> {
    let mut cases = Vec::new();
    let mut add = |name: &str, verdict, change: &dyn Fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        cases.push(world.case(name, verdict));
    };
    for (name, verdict, change) in [good(), documents(), contexts(), replies(), order(), shapes()].concat() {
        add(name, verdict, &change);
    }
    for (name, code, change) in DOCUMENTS {
        add(name, Refused(code), &|w| change(&mut w.forge));
    }
    for (name, verdict, change) in strict::cases() {
        add(&name, verdict, &|w| change(&mut w.forge));
    }
    let pair = KeyPair::of("recipient")?;
    Ok(File {
        common: common(
            "Answers to opens, and what the recipient must decide about them (docs/protocol.md, Accepting a \
             reply). All documents are genuine, and all replies are sealed as they are unless it is the \
             sealing that is wrong. How to read a case: tests/vectors/README.md.",
        ),
        recipient: Keys {
            private_key: pair.private_key().clone(),
            public_key: hex(pair.public_key.as_bytes()),
        },
        cases,
        caller_answers: caller_answers(),
    })
}

/// Answers to opens under keys that deliver to the caller. Nothing is verified: there is no document in
/// plaintext.
fn caller_answers() -> Vec<CallerAnswer> {
    const MODE: Verdict = Refused("release_mode_mismatch");
    const CODE: Verdict = Refused("answer_invalid");
    let context = json!({"record": "AA", "index": 0, "path": [], "document": "AA"});
    let bare = json!({"reply": "AA", "context": context});
    let sealed = json!({"sealed": bare});
    let of = |name, verdict: Verdict, answer: String| CallerAnswer {
        name,
        answer,
        expected: verdict.of(|| Read { plaintext: hex(b"1234") }),
    };
    let with = |name, verdict, field: &str, value: Value| {
        let mut answer = sealed.clone();
        answer["sealed"][field] = value;
        of(name, verdict, answer.to_string())
    };
    vec![
        of("plaintext", Accepted, json!({"plaintext": "MTIzNA"}).to_string()),
        of("plaintext with white space around it", Accepted, " {\n\"plaintext\" : \"MTIzNA\"}\n".into()),
        of("a sealed reply", MODE, sealed.to_string()),
        of("a reply and its context alone", MODE, bare.to_string()),
        of("a sealed reply of no bytes, in no record and no document", MODE, {
            json!({"reply": "", "context": {"record": "", "index": 0, "path": [], "document": ""}})
                .to_string()
        }),
        of("sealed is null", CODE, json!({"sealed": null}).to_string()),
        of("sealed is an empty object", CODE, json!({"sealed": {}}).to_string()),
        with("a reply that is not base64url", CODE, "reply", "A".into()),
        with("a context that is null", CODE, "context", Value::Null),
        with("a sealed reply with an unknown field", CODE, "extra", 1.into()),
        of("a reply alone", CODE, json!({"reply": "AA"}).to_string()),
        of("plaintext that is null", CODE, json!({"plaintext": null}).to_string()),
        of("plaintext that is a number", CODE, json!({"plaintext": 1234}).to_string()),
        of("plaintext that is padded", CODE, json!({"plaintext": "MTIzNA=="}).to_string()),
        of("plaintext and an unknown field", CODE, json!({"plaintext": "MTIzNA", "extra": 1}).to_string()),
        of("plaintext and a sealed reply", CODE, {
            json!({"plaintext": "MTIzNA", "sealed": sealed["sealed"]}).to_string()
        }),
        of("plaintext beside a reply and its context", CODE, {
            json!({"plaintext": "MTIzNA", "reply": "AA", "context": sealed["sealed"]["context"]}).to_string()
        }),
        of("plaintext within sealed", CODE, json!({"sealed": {"plaintext": "MTIzNA"}}).to_string()),
        of("plaintext twice", CODE, r#"{"plaintext":"MTIzNA","plaintext":"MTIzNA"}"#.into()),
        of("an empty object", CODE, "{}".into()),
        of("a text", CODE, r#""MTIzNA""#.into()),
        of("a byte order mark", CODE, "\u{feff}{\"plaintext\":\"MTIzNA\"}".into()),
    ]
}

fn good() -> Vec<Change> {
    vec![
        ("a reply", Accepted, |_| {}),
        ("a reply whose context is alone in its batch", Accepted, |w| w.forge.others = (0, 0)),
        ("a reply whose context is the last of a full batch", Accepted, |w| w.forge.others = (4095, 0)),
        ("a reply of nothing, in no context", Accepted, |w| {
            w.plaintext.clear();
            w.aad.clear();
            w.expect.aad = Hex(vec![]);
        }),
        ("the longest reply", Accepted, |w| {
            (w.plaintext, w.aad) = (vec![0x31; 4096], vec![0x61; 1024]);
            w.expect.aad = hex(&w.aad);
        }),
        ("a reply for a key that has expired since", Accepted, |w| {
            (w.descriptor.issued_at, w.descriptor.expires_at) = (TIMESTAMP_MS - 30_000, TIMESTAMP_MS + 1);
        }),
        ("a document of the second of two releases", Accepted, |w| {
            w.forge.releases = Some(vec![release_without(&[0, 1, 2]), ours()]);
        }),
        ("a context made 60,000 ms before the document", Accepted, |w| made_at(w, TIMESTAMP_MS - 60_000)),
        ("a context made 60,000 ms after the document", Accepted, |w| made_at(w, TIMESTAMP_MS + 60_000)),
        ("a document of exactly ten minutes", Accepted, |w| w.forge.now_ms = TIMESTAMP_MS + 600_000),
        ("a document exactly as old as the recipient allows", Accepted, |w| w.max_age_ms = Some(5_000)),
        ("an old document, where the recipient allows an hour", Accepted, |w| {
            w.max_age_ms = Some(3_600_000);
            w.forge.now_ms = TIMESTAMP_MS + 3_600_000;
        }),
        ("a reply for another key was accepted before", Accepted, |w| {
            w.seen_others = vec![hash_of(&KeyDescriptor { expires_at: 1 << 50, ..w.descriptor.clone() })];
        }),
    ]
}

/// Rule 1, beside what is wrong with documents anyway; and 2.
fn documents() -> Vec<Change> {
    const PLACE: Verdict = Refused("not_in_batch");
    vec![
        ("a document of ten minutes and a millisecond", Refused("document_too_old"), |w| {
            w.forge.now_ms = TIMESTAMP_MS + 600_001;
        }),
        ("a document a millisecond older than the recipient allows", Refused("document_too_old"), |w| {
            w.max_age_ms = Some(4_999);
        }),
        ("a document from the future", Refused("document_from_future"), |w| {
            w.forge.now_ms = TIMESTAMP_MS - 60_001;
        }),
        ("the index of another record", PLACE, |w| {
            w.forge.on_answer = |a| a["sealed"]["context"]["index"] = 3.into();
        }),
        ("an index beyond the batch", PLACE, |w| {
            w.forge.on_answer = |a| a["sealed"]["context"]["index"] = 5.into();
        }),
        ("an empty path", PLACE, |w| w.forge.on_answer = |a| a["sealed"]["context"]["path"] = json!([])),
        ("a path of 13 hashes", PLACE, |w| {
            w.forge.on_answer = |a| {
                let path = a["sealed"]["context"]["path"].as_array_mut().unwrap();
                path.resize(13, path[0].clone());
            };
        }),
        ("a path with a hash of 47 bytes", PLACE, |w| {
            w.forge.on_answer = |a| a["sealed"]["context"]["path"][0] = base64url(&[0; 47]).into();
        }),
        ("a context that was not attested", PLACE, |w| {
            w.forge.on_answer = |a| {
                let other = ReplyContext { context_id: ContextId([9; 16]), ..World::new().context };
                a["sealed"]["context"]["record"] = base64url(&other.encode()).into();
            };
        }),
    ]
}

/// Rules 2 to 4.
fn contexts() -> Vec<Change> {
    const RECORD: Verdict = Refused("record_invalid");
    const FAR: Verdict = Refused("time_far_from_document");
    vec![
        ("a context with a byte after it", RECORD, |w| w.on_context_record = |r| [r, vec![0]].concat()),
        ("a context of another version", RECORD, |w| {
            w.on_context_record = |mut r| {
                r[25] = b'2';
                r
            };
        }),
        ("a context that ends when it is made", RECORD, |w| w.context.expires_at = w.context.created_at),
        ("a key descriptor in the place of the context", RECORD, |w| {
            w.on_context_record = |_| World::new().descriptor.encode();
        }),
        ("a statement in the place of the context", RECORD, |w| {
            w.on_context_record = |_| {
                Statement { nonce: Nonce::new(nonce_32("request")).unwrap(), time: TIMESTAMP_MS }.encode()
            };
        }),
        ("a context for another recipient", Refused("recipient_mismatch"), |w| {
            w.context.recipient = key("another recipient");
        }),
        ("a context made 60,001 ms before the document", FAR, |w| made_at(w, TIMESTAMP_MS - 60_001)),
        ("a context made 60,001 ms after the document", FAR, |w| made_at(w, TIMESTAMP_MS + 60_001)),
        ("a context made at the beginning of time", FAR, |w| made_at(w, 0)),
        ("a context made at the end of time", FAR, |w| made_at(w, (1 << 53) - 60_001)),
    ]
}

/// Rules 5 to 12.
fn replies() -> Vec<Change> {
    const RECORD: Verdict = Refused("record_invalid");
    const OPEN: Verdict = Refused("reply_open_failed");
    vec![
        ("a reply with a byte after it", RECORD, |w| w.on_reply_record = |r| [r, vec![0]].concat()),
        ("an empty reply", RECORD, |w| w.on_reply_record = |_| vec![]),
        ("a reply of another version", RECORD, |w| {
            w.on_reply_record = |mut r| {
                r[17] = b'2';
                r
            };
        }),
        ("a context in the place of the reply", RECORD, |w| {
            w.on_reply_record = |_| World::new().context.encode();
        }),
        ("a descriptor that is none, within the reply", RECORD, |w| {
            w.descriptor.expires_at = w.descriptor.issued_at;
        }),
        ("a reply that names another context", Refused("reply_context_mismatch"), |w| {
            w.on_reply = |reply| reply.context_id = ContextId([9; 16]);
        }),
        ("a key of another enclave", Refused("instance_mismatch"), |w| {
            w.descriptor.key_id = KeyId::new(InstanceId([7; 8]), sixteen("issued key 0"));
        }),
        ("a document of another enclave", Refused("instance_mismatch"), |w| {
            w.sealed_by = Some(w.forge.instance());
            w.forge.log_key[43] ^= 1;
        }),
        ("a key for another recipient", Refused("recipient_mismatch"), |w| {
            w.descriptor.deliver_to = DeliverTo::Recipient(key("another recipient"));
        }),
        ("a key for the caller", Refused("recipient_mismatch"), |w| {
            w.descriptor.deliver_to = DeliverTo::Caller;
        }),
        ("a key for another purpose", Refused("purpose_mismatch"), |w| {
            w.descriptor.purpose = Purpose::new("card-pan").unwrap();
        }),
        ("a key for a purpose that begins as the expected one", Refused("purpose_mismatch"), |w| {
            w.descriptor.purpose = Purpose::new("card-pin.test").unwrap();
        }),
        ("the recipient expects another purpose", Refused("purpose_mismatch"), |w| {
            w.expect.purpose = "card-pan";
        }),
        ("another aad", Refused("aad_mismatch"), |w| w.aad = b"order 4712".to_vec()),
        ("an aad that begins as the expected one", Refused("aad_mismatch"), |w| {
            w.aad = b"order 47110".to_vec();
        }),
        ("no aad where one is expected", Refused("aad_mismatch"), |w| w.aad.clear()),
        ("an aad where none is expected", Refused("aad_mismatch"), |w| w.expect.aad = Hex(vec![])),
        ("a changed tag", OPEN, |w| w.on_reply = |reply| *reply.ciphertext.last_mut().unwrap() ^= 1),
        ("a changed ciphertext", OPEN, |w| w.on_reply = |reply| reply.ciphertext[0] ^= 1),
        ("a ciphertext that is cut off", OPEN, |w| w.on_reply = |reply| reply.ciphertext.truncate(19)),
        ("a ciphertext of a tag alone", OPEN, |w| w.on_reply = |reply| reply.ciphertext = vec![0; 16]),
        ("another request", OPEN, |w| w.on_reply = |reply| reply.request_digest[0] ^= 1),
        ("another descriptor of the same key", OPEN, |w| {
            w.on_reply = |reply| {
                let other = KeyDescriptor {
                    expires_at: reply.descriptor.expires_at + 1,
                    ..(*reply.descriptor).clone()
                };
                reply.descriptor = Encoded::new(other);
            };
        }),
        ("another encapsulated key, attested", OPEN, |w| w.context.enc = key("ephemeral 1")),
        ("sealed under another enclave's info", OPEN, |w| w.sealed_by = Some(InstanceId([7; 8]))),
        ("a reply for this key was accepted before", Refused("reply_replayed"), |w| w.seen = true),
    ]
}

/// Two rules broken at once: the first is reported.
fn order() -> Vec<Change> {
    vec![
        ("an old document of another release", Refused("document_too_old"), |w| {
            w.forge.releases = Some(vec![release_without(&[0])]);
            w.forge.now_ms = TIMESTAMP_MS + 600_001;
        }),
        ("a malformed context that is not in the batch", Refused("not_in_batch"), |w| {
            w.forge.on_answer = |a| a["sealed"]["context"]["record"] = "AA".into();
        }),
        ("a malformed context for another recipient", Refused("record_invalid"), |w| {
            w.context.recipient = key("another recipient");
            w.on_context_record = |r| [r, vec![0]].concat();
        }),
        ("a context for another recipient, far from the document", Refused("recipient_mismatch"), |w| {
            w.context.recipient = key("another recipient");
            made_at(w, 0);
        }),
        ("a context far from the document, and a malformed reply", Refused("time_far_from_document"), |w| {
            made_at(w, 0);
            w.on_reply_record = |_| vec![];
        }),
        ("a malformed reply of another context", Refused("record_invalid"), |w| {
            w.on_reply = |reply| reply.context_id = ContextId([9; 16]);
            w.on_reply_record = |r| [r, vec![0]].concat();
        }),
        ("another context and another enclave", Refused("reply_context_mismatch"), |w| {
            w.on_reply = |reply| reply.context_id = ContextId([9; 16]);
            w.descriptor.key_id.0[0] ^= 1;
        }),
        ("another enclave and another recipient", Refused("instance_mismatch"), |w| {
            w.descriptor.key_id.0[0] ^= 1;
            w.descriptor.deliver_to = DeliverTo::Caller;
        }),
        ("another recipient and another purpose", Refused("recipient_mismatch"), |w| {
            w.descriptor.deliver_to = DeliverTo::Caller;
            w.expect.purpose = "card-pan";
        }),
        ("another purpose and another aad", Refused("purpose_mismatch"), |w| {
            w.expect.purpose = "card-pan";
            w.aad = b"order 4712".to_vec();
        }),
        ("another aad, and a reply that does not open", Refused("aad_mismatch"), |w| {
            w.on_reply = |reply| reply.ciphertext[0] ^= 1;
            w.expect.aad = hex(b"order 4712");
        }),
        ("a reply that does not open, for a key that was seen", Refused("reply_open_failed"), |w| {
            w.on_reply = |reply| reply.ciphertext[0] ^= 1;
            w.seen = true;
        }),
    ]
}

/// The JSON of this answer, beside what holds for all.
fn shapes() -> Vec<Change> {
    const CODE: Verdict = Refused("answer_invalid");
    const MODE: Verdict = Refused("release_mode_mismatch");
    vec![
        ("plaintext, though a recipient was named", MODE, |w| {
            w.forge.on_answer = |a| *a = json!({"plaintext": base64url(b"1234")});
        }),
        ("empty plaintext", MODE, |w| w.forge.on_answer = |a| *a = json!({"plaintext": ""})),
        ("plaintext that is not base64url", MODE, |w| {
            w.forge.on_answer = |a| *a = json!({"plaintext": "MTI="});
        }),
        ("plaintext that is null", MODE, |w| w.forge.on_answer = |a| *a = json!({"plaintext": null})),
        ("JSON: plaintext and an unknown field", CODE, |w| {
            w.forge.on_answer = |a| *a = json!({"plaintext": base64url(b"1234"), "extra": 1});
        }),
        ("JSON: plaintext twice", CODE, |w| {
            w.forge.on_text = |_| r#"{"plaintext":"MTIzNA","plaintext":"MTIzNA"}"#.into();
        }),
        ("JSON: plaintext and a sealed reply", CODE, |w| {
            w.forge.on_answer = |a| a["plaintext"] = "MTIzNA".into();
        }),
        ("JSON: an empty object", CODE, |w| w.forge.on_answer = |a| *a = json!({})),
        ("JSON: another kind of answer", CODE, |w| {
            w.forge.on_answer = |a| *a = json!({"opened": a["sealed"]});
        }),
        ("JSON: the text sealed", CODE, |w| w.forge.on_answer = |a| *a = json!("sealed")),
        ("JSON: the reply and its context alone", Accepted, |w| {
            w.forge.on_answer = |a| *a = a["sealed"].clone();
        }),
        ("JSON: sealed is null", CODE, |w| w.forge.on_answer = |a| a["sealed"] = Value::Null),
        ("JSON: sealed is text of an object", CODE, |w| {
            w.forge.on_answer = |a| a["sealed"] = a["sealed"].to_string().into();
        }),
        ("JSON: sealed is a list of its fields", CODE, |w| {
            w.forge.on_answer = |a| a["sealed"] = json!([a["sealed"]["reply"], a["sealed"]["context"]]);
        }),
        ("JSON: the context is text of an object", CODE, |w| {
            w.forge.on_answer = |a| a["sealed"]["context"] = a["sealed"]["context"].to_string().into();
        }),
        ("JSON: the context is a list of its fields", CODE, |w| {
            w.forge.on_answer = |a| {
                let at = &a["sealed"]["context"];
                a["sealed"]["context"] = json!([at["record"], at["index"], at["path"], at["document"]]);
            };
        }),
        ("JSON: no reply", CODE, |w| {
            w.forge.on_answer = |a| drop(a["sealed"].as_object_mut().unwrap().remove("reply"));
        }),
        ("JSON: no context", CODE, |w| {
            w.forge.on_answer = |a| drop(a["sealed"].as_object_mut().unwrap().remove("context"));
        }),
        ("JSON: no record", CODE, |w| {
            w.forge.on_answer = |a| drop(a["sealed"]["context"].as_object_mut().unwrap().remove("record"));
        }),
        ("JSON: a reply that is null", CODE, |w| w.forge.on_answer = |a| a["sealed"]["reply"] = Value::Null),
        ("JSON: a padded reply", CODE, |w| {
            w.forge.on_answer =
                |a| a["sealed"]["reply"] = format!("{}=", a["sealed"]["reply"].as_str().unwrap()).into();
        }),
        ("JSON: an unknown field within sealed", CODE, |w| {
            w.forge.on_answer = |a| a["sealed"]["purpose"] = "card-pin".into();
        }),
        ("JSON: an unknown field, in an answer of another release", CODE, |w| {
            w.forge.releases = Some(vec![release_without(&[1])]);
            w.forge.on_answer = |a| a["state"] = "used".into();
        }),
    ]
}

fn made_at(world: &mut World, time: u64) {
    (world.context.created_at, world.context.expires_at) = (time, time + 60_000);
}

fn key(label: &str) -> PublicKey {
    KeyPair::of(label).unwrap().public_key
}
