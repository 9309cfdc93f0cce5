//! Requests for keys and what was answered: which keys a client seals to.

use super::{
    Accepted, Client, Common, DOCUMENTS, Expected, Forge, Refused, Verdict, base64url, common, hash_of,
    inclusion, nonce_32, ours, release_without, strict,
};
use crate::{
    Result,
    fixtures::{Hex, KeyPair, hex, sixteen},
};
use ok2cry_attest_forge::{LEAF_NOT_AFTER_MS, NOW_MS, TIMESTAMP_MS, cbor};
use ok2cry_protocol::{
    Record as _,
    descriptor::{DeliverTo, KeyDescriptor},
    ids::{ContextId, InstanceId, KeyId, Nonce, Purpose},
    reply::ReplyContext,
    statement::Statement,
    suite::Suite,
};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
pub(crate) struct File {
    #[serde(flatten)]
    common: Common,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    name: String,
    request: RequestJson,
    #[serde(flatten)]
    client: Client,
    expected: Expected<Vec<KeyJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<SealJson>,
}

/// What was asked for.
#[derive(Clone, Serialize)]
struct RequestJson {
    nonce: Hex,
    purpose: String,
    ttl: u64,
    /// A point in hexadecimal, or `caller`.
    recipient: String,
    count: u32,
}

#[derive(Serialize)]
struct KeyJson {
    key_id: String,
    instance_id: Hex,
    public_key: Hex,
    issued_at: u64,
    expires_at: u64,
    descriptor_hash: Hex,
}

/// A message to the first key that was accepted.
#[derive(Clone, Serialize)]
struct SealJson {
    now_ms: u64,
    plaintext: Hex,
    aad: Hex,
    expected: Expected<bool>,
}

const TTL: u64 = 120_000;

/// One request and everything about its answer.
struct World {
    forge: Forge,
    recipient: DeliverTo,
    count: u32,
    ttl: u64,
    keys: Vec<KeyDescriptor>,
    /// Changes the records before they are attested, and those that are handed out.
    on_records: fn(Vec<Vec<u8>>) -> Vec<Vec<u8>>,
    on_handed_out: fn(Vec<Vec<u8>>) -> Vec<Vec<u8>>,
    seal: Option<SealJson>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            forge: Forge::new(NOW_MS),
            recipient: recipient(),
            count: 1,
            ttl: TTL,
            keys: vec![],
            on_records: |records| records,
            on_handed_out: |records| records,
            seal: None,
        };
        world.ask_for(1);
        world
    }

    fn nonce() -> Nonce {
        Nonce::new(nonce_32("request")).unwrap()
    }

    fn ask_for(&mut self, count: u32) {
        self.count = count;
        self.keys = (0..count).map(|i| self.key(i)).collect();
    }

    fn key(&self, i: u32) -> KeyDescriptor {
        KeyDescriptor {
            key_id: KeyId::new(self.forge.instance(), sixteen(&format!("issued key {i}"))),
            suite: Suite::P384,
            public_key: KeyPair::of(&format!("issued key {i}")).unwrap().public_key,
            issued_at: TIMESTAMP_MS,
            expires_at: TIMESTAMP_MS + self.ttl,
            purpose: Purpose::new("card-pin").unwrap(),
            deliver_to: self.recipient.clone(),
            client_nonce: Self::nonce().for_key(i, self.count),
        }
    }

    /// Moves the key's life by so many milliseconds.
    fn shift(&mut self, by: i64) {
        let key = &mut self.keys[0];
        key.issued_at = key.issued_at.checked_add_signed(by).unwrap();
        key.expires_at = key.expires_at.checked_add_signed(by).unwrap();
    }

    fn case(&self, name: &str, verdict: Verdict) -> Case {
        let records = (self.on_records)(self.keys.iter().map(KeyDescriptor::encode).collect());
        let (document, places) = self.forge.attest(&records);
        let handed_out = (self.on_handed_out)(records);
        let keys: Vec<Value> = handed_out
            .iter()
            .zip(&places)
            .map(|(descriptor, place)| {
                let mut key = inclusion(place);
                key["descriptor"] = base64url(descriptor).into();
                key
            })
            .collect();
        let answer = json!({"document": base64url(&document), "keys": keys});
        let recipient = match &self.recipient {
            DeliverTo::Caller => "caller".to_owned(),
            DeliverTo::Recipient(key) => key.as_bytes().iter().map(|b| format!("{b:02x}")).collect(),
        };
        Case {
            name: name.to_owned(),
            request: RequestJson {
                nonce: hex(Self::nonce().as_bytes()),
                purpose: "card-pin".into(),
                ttl: self.ttl,
                recipient,
                count: self.count,
            },
            client: self.forge.client(answer),
            expected: verdict.of(|| self.keys.iter().map(key_json).collect()),
            seal: self.seal.clone(),
        }
    }
}

fn key_json(key: &KeyDescriptor) -> KeyJson {
    KeyJson {
        key_id: key.key_id.to_base64url(),
        instance_id: hex(key.key_id.instance().0),
        public_key: hex(key.public_key.as_bytes()),
        issued_at: key.issued_at,
        expires_at: key.expires_at,
        descriptor_hash: hash_of(key),
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
    for (name, verdict, change) in
        [good(), batches(), descriptors(), order(), several(), seals(), shapes()].concat()
    {
        add(name, verdict, &change);
    }
    for (name, code, change) in DOCUMENTS {
        add(name, Refused(code), &|w| change(&mut w.forge));
    }
    for (name, verdict, change) in strict::cases() {
        add(&name, verdict, &|w| change(&mut w.forge));
    }
    for (name, verdict, change) in later() {
        add(name, verdict, &change);
    }
    Ok(File {
        common: common(
            "Requests for keys, the answers that came, and what a client must decide about them \
             (docs/protocol.md, Accepting a key). All documents are genuine: signed under \
             `attestation_root`. How to read a case: tests/vectors/README.md.",
        ),
        cases,
    })
}

fn good() -> Vec<Change> {
    vec![
        ("a key among others", Accepted, |_| {}),
        ("a key alone in its batch", Accepted, |w| w.forge.others = (0, 0)),
        ("the last key of a full batch", Accepted, |w| w.forge.others = (4095, 0)),
        ("a key at the end of a batch of five", Accepted, |w| w.forge.others = (4, 0)),
        ("three keys", Accepted, |w| w.ask_for(3)),
        ("three keys, the last ones of eleven records", Accepted, |w| {
            w.ask_for(3);
            w.forge.others = (8, 0);
        }),
        ("a key for the caller", Accepted, |w| {
            w.recipient = DeliverTo::Caller;
            w.ask_for(1);
        }),
        ("a document without a nonce field", Accepted, |w| w.forge.on_enclave = |e| e.remove("nonce")),
        ("a document of the second of two releases", Accepted, |w| {
            w.forge.releases = Some(vec![release_without(&[0, 1, 2]), ours()]);
        }),
        ("a batch header with a log", Accepted, |w| {
            w.forge.on_batch = |b| (b.log_size, b.log_root) = ((1 << 53) - 1, vec![7; 32]);
        }),
        ("a document of more than 12,288 bytes", Accepted, |w| {
            w.forge.on_enclave = |e| e.set("module_id", cbor::text(&"i".repeat(9000)));
        }),
        ("issued 60,000 ms before the document", Accepted, |w| w.shift(-60_000)),
        ("issued 60,000 ms after the document", Accepted, |w| w.shift(60_000)),
        ("at the key's last millisecond", Accepted, |w| w.forge.now_ms = TIMESTAMP_MS + TTL - 1),
        ("a clock that is behind by the leeway", Accepted, |w| w.forge.now_ms = TIMESTAMP_MS - 60_000),
        ("a key that lives for a millisecond", Accepted, |w| {
            w.ttl = 1;
            w.ask_for(1);
            w.forge.now_ms = TIMESTAMP_MS;
        }),
    ]
}

/// Rules 1 and 3: time and place.
fn batches() -> Vec<Change> {
    const CODE: Verdict = Refused("not_in_batch");
    vec![
        ("a clock that is behind by more than the leeway", Refused("document_from_future"), |w| {
            w.forge.now_ms = TIMESTAMP_MS - 60_001;
        }),
        ("a document whose leaf has expired, with a key that has not", Refused("expired"), |w| {
            w.ttl = 4 * 3_600_000;
            w.ask_for(1);
            w.forge.now_ms = LEAF_NOT_AFTER_MS + 1;
        }),
        ("the index of another record", CODE, |w| w.forge.on_answer = |a| a["keys"][0]["index"] = 3.into()),
        ("an index beyond the batch", CODE, |w| w.forge.on_answer = |a| a["keys"][0]["index"] = 5.into()),
        ("the path of another record", CODE, |w| {
            w.forge.on_answer = |a| a["keys"][0]["path"].as_array_mut().unwrap().swap(0, 1);
        }),
        ("a path without its last hash", CODE, |w| {
            w.forge.on_answer = |a| drop(a["keys"][0]["path"].as_array_mut().unwrap().pop());
        }),
        ("a path with a hash more", CODE, |w| {
            w.forge.on_answer = |a| {
                let path = a["keys"][0]["path"].as_array_mut().unwrap();
                path.push(path[0].clone());
            };
        }),
        ("an empty path", CODE, |w| w.forge.on_answer = |a| a["keys"][0]["path"] = json!([])),
        ("a path of 13 hashes", CODE, |w| {
            w.forge.on_answer = |a| {
                let path = a["keys"][0]["path"].as_array_mut().unwrap();
                path.resize(13, path[0].clone());
            };
        }),
        ("a path with a hash of 47 bytes", CODE, |w| {
            w.forge.on_answer = |a| a["keys"][0]["path"][0] = base64url(&[0; 47]).into();
        }),
        ("a path with a hash of 49 bytes", CODE, |w| {
            w.forge.on_answer = |a| {
                let hash = a["keys"][0]["path"][0].as_str().unwrap().to_owned();
                a["keys"][0]["path"][0] = format!("{hash}AA").into();
            };
        }),
        ("a batch of another size", CODE, |w| w.forge.on_batch = |b| b.size = 4),
        ("a batch with another root", CODE, |w| w.forge.on_batch = |b| b.root[47] ^= 1),
        ("a descriptor that was not attested", CODE, |w| {
            w.on_handed_out = |mut records| {
                let last = records[0].len() - 1;
                records[0][last] ^= 1;
                records
            };
        }),
        ("the descriptor of another batch", CODE, |w| {
            w.on_handed_out = |_| {
                vec![
                    KeyDescriptor { issued_at: 1, expires_at: 120_001, ..World::new().keys[0].clone() }
                        .encode(),
                ]
            };
        }),
    ]
}

/// Rules 4 to 12, each broken by itself.
fn descriptors() -> Vec<Change> {
    const RECORD: Verdict = Refused("record_invalid");
    vec![
        ("a descriptor with a byte after it", RECORD, |w| {
            w.on_records = |r| vec![[&r[0][..], &[0]].concat()];
        }),
        ("a descriptor of another version", RECORD, |w| {
            w.on_records = |mut r| {
                r[0][15] = b'2';
                r
            };
        }),
        ("a descriptor of another suite", RECORD, |w| {
            w.on_records = |r| vec![replaced(&r[0], &SUITE, &[0x83, 0x10, 1, 1])];
        }),
        ("a descriptor whose key is off the curve", RECORD, |w| {
            w.on_records = |mut r| {
                r[0][140] ^= 1;
                r
            };
        }),
        ("a descriptor of a purpose that cannot be", RECORD, |w| {
            w.on_records = |r| vec![replaced(&r[0], b"card-pin", b"Card-pin")];
        }),
        ("a descriptor that ends when it begins", RECORD, |w| w.keys[0].expires_at = w.keys[0].issued_at),
        ("a statement in the place of a descriptor", RECORD, |w| {
            w.on_records = |_| vec![Statement { nonce: World::nonce(), time: TIMESTAMP_MS }.encode()];
        }),
        ("a reply context in the place of a descriptor", RECORD, |w| {
            w.on_records = |_| vec![context().encode()];
        }),
        ("an empty record in the place of a descriptor", RECORD, |w| w.on_records = |_| vec![vec![]]),
        ("a key of another enclave", Refused("instance_mismatch"), |w| {
            w.keys[0].key_id = KeyId::new(InstanceId([7; 8]), sixteen("issued key 0"));
        }),
        ("a document of another enclave", Refused("instance_mismatch"), |w| w.forge.log_key[43] ^= 1),
        ("a key whose id ends as the instance begins", Refused("instance_mismatch"), |w| {
            w.keys[0].key_id.0[7] ^= 1;
        }),
        ("an answer to another request", Refused("nonce_mismatch"), |w| {
            w.keys[0].client_nonce = Nonce::new(nonce_32("another request")).unwrap();
        }),
        ("the beginning of the nonce", Refused("nonce_mismatch"), |w| {
            w.keys[0].client_nonce = Nonce::new(&nonce_32("request")[..16]).unwrap();
        }),
        ("the nonce and more", Refused("nonce_mismatch"), |w| {
            w.keys[0].client_nonce = Nonce::new([nonce_32("request"), [0; 32]].concat()).unwrap();
        }),
        ("a lone key with a derived nonce", Refused("nonce_mismatch"), |w| {
            w.keys[0].client_nonce = World::nonce().for_key(0, 2);
        }),
        ("another purpose", Refused("purpose_mismatch"), |w| {
            w.keys[0].purpose = Purpose::new("card-pan").unwrap();
        }),
        ("a purpose that begins as the one that was asked for", Refused("purpose_mismatch"), |w| {
            w.keys[0].purpose = Purpose::new("card-pin.test").unwrap();
        }),
        ("a key for another recipient", Refused("recipient_mismatch"), |w| w.keys[0].deliver_to = another()),
        ("a key for the caller, where a recipient was named", Refused("recipient_mismatch"), |w| {
            w.keys[0].deliver_to = DeliverTo::Caller;
        }),
        ("a key for a recipient, where the caller was named", Refused("recipient_mismatch"), |w| {
            w.recipient = DeliverTo::Caller;
        }),
        ("a key that lives a millisecond longer", Refused("ttl_mismatch"), |w| w.keys[0].expires_at += 1),
        ("a key that lives a millisecond shorter", Refused("ttl_mismatch"), |w| w.keys[0].expires_at -= 1),
        ("a key whose ttl was read as seconds", Refused("ttl_mismatch"), |w| {
            w.keys[0].expires_at = TIMESTAMP_MS + 1000 * TTL;
        }),
        ("issued 60,001 ms before the document", Refused("time_far_from_document"), |w| w.shift(-60_001)),
        ("issued 60,001 ms after the document", Refused("time_far_from_document"), |w| w.shift(60_001)),
        ("issued at the beginning of time", Refused("time_far_from_document"), |w| {
            (w.keys[0].issued_at, w.keys[0].expires_at) = (0, TTL);
        }),
        ("issued at the end of time", Refused("time_far_from_document"), |w| {
            (w.keys[0].issued_at, w.keys[0].expires_at) = ((1 << 53) - 1 - TTL, (1 << 53) - 1);
        }),
        ("at the key's end", Refused("key_expired"), |w| w.forge.now_ms = TIMESTAMP_MS + TTL),
        ("an hour after the key's end", Refused("key_expired"), |w| {
            w.forge.now_ms = TIMESTAMP_MS + TTL + 3_600_000;
        }),
    ]
}

/// Two rules broken at once: the first is reported.
fn order() -> Vec<Change> {
    vec![
        ("a document of another release, and no keys", Refused("pcr_mismatch"), |w| {
            w.forge.releases = Some(vec![release_without(&[2])]);
            w.keys.clear();
        }),
        ("two keys for one, and none in the batch", Refused("key_count_mismatch"), |w| {
            w.ask_for(2);
            w.count = 1;
            w.forge.on_batch = |b| b.root[0] ^= 1;
        }),
        ("bytes that are no descriptor, and not in the batch", Refused("not_in_batch"), |w| {
            w.on_handed_out = |_| vec![vec![0]];
        }),
        ("a malformed descriptor of another enclave", Refused("record_invalid"), |w| {
            w.keys[0].key_id.0[0] ^= 1;
            w.on_records = |r| vec![[&r[0][..], &[0]].concat()];
        }),
        ("another enclave and another nonce", Refused("instance_mismatch"), |w| {
            w.keys[0].key_id.0[0] ^= 1;
            w.keys[0].client_nonce = Nonce::new([0; 32]).unwrap();
        }),
        ("another nonce and another purpose", Refused("nonce_mismatch"), |w| {
            w.keys[0].client_nonce = Nonce::new([0; 32]).unwrap();
            w.keys[0].purpose = Purpose::new("other").unwrap();
        }),
        ("another purpose and another recipient", Refused("purpose_mismatch"), |w| {
            w.keys[0].purpose = Purpose::new("other").unwrap();
            w.keys[0].deliver_to = another();
        }),
        ("another recipient and another ttl", Refused("recipient_mismatch"), |w| {
            w.keys[0].deliver_to = another();
            w.keys[0].expires_at += 1;
        }),
        ("another ttl and far from the document", Refused("ttl_mismatch"), |w| {
            w.keys[0].issued_at -= 60_001;
        }),
        ("far from the document and expired", Refused("time_far_from_document"), |w| {
            w.shift(-60_001);
            w.forge.now_ms = NOW_MS + TTL;
        }),
    ]
}

/// Rule 2, and: if one of several keys is refused, all are.
fn several() -> Vec<Change> {
    vec![
        ("no key", Refused("key_count_mismatch"), |w| w.keys.clear()),
        ("one key of two", Refused("key_count_mismatch"), |w| {
            w.ask_for(2);
            w.keys.pop();
        }),
        ("two keys for one", Refused("key_count_mismatch"), |w| {
            w.ask_for(2);
            w.count = 1;
            w.keys[0].client_nonce = World::nonce();
        }),
        ("101 keys for one", Refused("key_count_mismatch"), |w| {
            w.forge.on_answer = |a| a["keys"] = vec![a["keys"][0].clone(); 101].into();
        }),
        ("two keys in the wrong order", Refused("nonce_mismatch"), |w| {
            w.ask_for(2);
            w.keys.swap(0, 1);
        }),
        ("one key twice", Refused("nonce_mismatch"), |w| {
            w.ask_for(3);
            w.forge.on_answer = |a| a["keys"][2] = a["keys"][0].clone();
        }),
        ("several keys with the request's own nonce", Refused("nonce_mismatch"), |w| {
            w.ask_for(2);
            w.keys[0].client_nonce = World::nonce();
        }),
        ("three keys, of which the second is for another purpose", Refused("purpose_mismatch"), |w| {
            w.ask_for(3);
            w.keys[1].purpose = Purpose::new("other").unwrap();
        }),
        ("three keys, of which the last is for another recipient", Refused("recipient_mismatch"), |w| {
            w.ask_for(3);
            w.keys[2].deliver_to = another();
        }),
        ("three keys, of which the last is not in the batch", Refused("not_in_batch"), |w| {
            w.ask_for(3);
            w.forge.on_answer = |a| a["keys"][2]["index"] = 0.into();
        }),
        ("three keys, of which the last has expired", Refused("key_expired"), |w| {
            w.ask_for(3);
            w.keys[2].issued_at -= 60_000;
            w.keys[2].expires_at -= 60_000;
            w.forge.now_ms = TIMESTAMP_MS + TTL - 60_000;
        }),
    ]
}

/// A key that was accepted, when it is sealed to.
fn seals() -> Vec<Change> {
    vec![
        ("sealed to at the key's last millisecond", Accepted, |w| {
            seal(w, TIMESTAMP_MS + TTL - 1, (4, 8), Accepted);
        }),
        ("sealed to at the key's end", Accepted, |w| {
            seal(w, TIMESTAMP_MS + TTL, (4, 8), Refused("key_expired"));
        }),
        ("sealed to an hour later", Accepted, |w| {
            seal(w, NOW_MS + 3_600_000, (4, 8), Refused("key_expired"));
        }),
        ("the longest message", Accepted, |w| seal(w, NOW_MS, (4096, 1024), Accepted)),
        ("the shortest message", Accepted, |w| seal(w, NOW_MS, (0, 0), Accepted)),
        ("a message that is too long", Accepted, |w| {
            seal(w, NOW_MS, (4097, 8), Refused("plaintext_too_long"));
        }),
        ("an aad that is too long", Accepted, |w| seal(w, NOW_MS, (4, 1025), Refused("aad_too_long"))),
    ]
}

/// Seals a message whose plaintext and `aad` have these lengths.
fn seal(world: &mut World, now_ms: u64, lengths: (usize, usize), verdict: Verdict) {
    let (plaintext, aad) = (Hex(vec![0x31; lengths.0]), Hex(vec![0x61; lengths.1]));
    world.seal = Some(SealJson { now_ms, plaintext, aad, expected: verdict.of(|| true) });
}

/// More orders: of several keys, and of what is sealed.
fn later() -> Vec<Change> {
    vec![
        ("two keys, the first for another purpose, the second not in the batch", PURPOSE, |w| {
            w.ask_for(2);
            w.keys[0].purpose = Purpose::new("other").unwrap();
            w.forge.on_answer = |a| a["keys"][1]["index"] = 0.into();
        }),
        (
            "two keys, the first not in the batch, the second for another purpose",
            Refused("not_in_batch"),
            |w| {
                w.ask_for(2);
                w.keys[1].purpose = Purpose::new("other").unwrap();
                w.forge.on_answer = |a| a["keys"][0]["index"] = 0.into();
            },
        ),
        ("a message that is too long, with an aad that is too long", Accepted, |w| {
            seal(w, NOW_MS, (4097, 1025), Refused("plaintext_too_long"));
        }),
        ("a message that is too long, at the key's end", Accepted, |w| {
            seal(w, TIMESTAMP_MS + TTL, (4097, 1025), SEALED_LATE);
        }),
        ("an aad that is too long, at the key's end", Accepted, |w| {
            seal(w, TIMESTAMP_MS + TTL, (4, 1025), SEALED_LATE);
        }),
    ]
}

const PURPOSE: Verdict = Refused("purpose_mismatch");
const SEALED_LATE: Verdict = Refused("key_expired");

/// The JSON of this answer, beside what holds for all.
fn shapes() -> Vec<Change> {
    const CODE: Verdict = Refused("answer_invalid");
    vec![
        ("JSON: keys that are no list", CODE, |w| w.forge.on_answer = |a| a["keys"] = a["keys"][0].clone()),
        ("JSON: keys that are text", CODE, |w| {
            w.forge.on_answer = |a| a["keys"] = a["keys"].to_string().into();
        }),
        ("JSON: keys that are null", CODE, |w| w.forge.on_answer = |a| a["keys"] = Value::Null),
        ("JSON: no keys field", CODE, |w| {
            w.forge.on_answer = |a| drop(a.as_object_mut().unwrap().remove("keys"));
        }),
        ("JSON: a key that is text of an object", CODE, |w| {
            w.forge.on_answer = |a| a["keys"][0] = a["keys"][0].to_string().into();
        }),
        ("JSON: a key that is a list of its fields", CODE, |w| {
            w.forge.on_answer = |a| {
                let key = &a["keys"][0];
                a["keys"][0] = json!([key["descriptor"], key["index"], key["path"]]);
            };
        }),
        ("JSON: an answer that is a list of its fields", CODE, |w| {
            w.forge.on_answer = |a| *a = json!([a["document"], a["keys"]]);
        }),
        ("JSON: a key that is null", CODE, |w| w.forge.on_answer = |a| a["keys"][0] = Value::Null),
        ("JSON: a descriptor that is null", CODE, |w| {
            w.forge.on_answer = |a| a["keys"][0]["descriptor"] = Value::Null;
        }),
        ("JSON: a padded descriptor", CODE, |w| {
            w.forge.on_answer = |a| {
                a["keys"][0]["descriptor"] =
                    format!("{}=", a["keys"][0]["descriptor"].as_str().unwrap()).into();
            };
        }),
        ("JSON: the id beside the descriptor", CODE, |w| {
            w.forge.on_answer =
                |a| a["keys"][0]["key_id"] = World::new().keys[0].key_id.to_base64url().into();
        }),
        ("JSON: the second key is malformed, and the first is another's", CODE, |w| {
            w.ask_for(2);
            w.keys[0].purpose = Purpose::new("other").unwrap();
            w.forge.on_answer = |a| a["keys"][1]["index"] = (-1).into();
        }),
        ("JSON: an unknown field, in an answer of another release", CODE, |w| {
            w.forge.releases = Some(vec![release_without(&[1])]);
            w.forge.on_answer = |a| a["state"] = "live".into();
        }),
    ]
}

const SUITE: [u8; 4] = [0x83, 0x11, 2, 2];

/// The first occurrence of `from`, replaced.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

fn recipient() -> DeliverTo {
    DeliverTo::Recipient(KeyPair::of("recipient").unwrap().public_key)
}

fn another() -> DeliverTo {
    DeliverTo::Recipient(KeyPair::of("another recipient").unwrap().public_key)
}

fn context() -> ReplyContext {
    ReplyContext {
        context_id: ContextId(sixteen("context id")),
        suite: Suite::P384,
        recipient: KeyPair::of("recipient").unwrap().public_key,
        enc: KeyPair::of("reply ephemeral").unwrap().public_key,
        created_at: TIMESTAMP_MS,
        expires_at: TIMESTAMP_MS + 60_000,
    }
}
