//! Answers of the service with genuine documents, in which one thing each is wrong: what clients and
//! recipients decide.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test equipment, which fails by panicking"
)]

pub(crate) mod issue;
pub(crate) mod replies;
pub(crate) mod statements;
mod strict;
pub(crate) mod trust;

use crate::fixtures::{self, Hex, hex};
use ok2cry_attest_forge::{Batch, Enclave, Hash, cbor, der, pcr};
use ok2cry_protocol::{descriptor::KeyDescriptor, hash, ids::InstanceId};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// PCRs by their index.
type Release = BTreeMap<u8, Hex>;

/// What the cases of a file have in common.
#[derive(Serialize)]
pub(crate) struct Common {
    about: &'static str,
    attestation_root: Hex,
    releases: Vec<Release>,
    leeway_ms: u64,
}

/// What a client accepts and when, where it is not what the file says, and what it is answered.
#[derive(Clone, Serialize)]
struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_root: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    releases: Option<Vec<Release>>,
    now_ms: u64,
    #[serde(flatten)]
    body: Body,
}

/// The body of an answer as it came.
#[derive(Clone, Serialize)]
#[serde(untagged)]
enum Body {
    Text {
        answer: String,
    },
    Bytes {
        answer_bytes: Hex,
    },
    /// The body goes on with this text, so many times.
    Longer {
        answer: String,
        answer_then: Then,
    },
}

#[derive(Clone, Serialize)]
struct Then {
    text: &'static str,
    count: usize,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Expected<T> {
    Accepted(T),
    Refused(&'static str),
}

/// A verdict, before it is known what an accepted answer says.
#[derive(Clone, Copy)]
enum Verdict {
    Accepted,
    Refused(&'static str),
}

use Verdict::{Accepted, Refused};

impl Verdict {
    fn of<T>(self, accepted: impl FnOnce() -> T) -> Expected<T> {
        match self {
            Accepted => Expected::Accepted(accepted()),
            Refused(code) => Expected::Refused(code),
        }
    }
}

/// How a document and its answer are made, with a handle on every step.
#[derive(Clone)]
struct Forge {
    /// Records of others: so many before and so many after those of the answer.
    others: (usize, usize),
    log_key: Vec<u8>,
    on_batch: fn(&mut Batch),
    on_header: fn(Vec<u8>) -> Vec<u8>,
    on_enclave: fn(&mut Enclave),
    on_document: fn(Vec<u8>) -> Vec<u8>,
    /// Changes the answer's JSON, then its text.
    on_answer: fn(&mut Value),
    on_text: fn(String) -> String,
    on_body: fn(String) -> Body,
    attestation_root: Option<Hex>,
    releases: Option<Vec<Release>>,
    now_ms: u64,
}

impl Forge {
    fn new(now_ms: u64) -> Self {
        Self {
            others: (2, 2),
            log_key: fixtures::log_key("log key"),
            on_batch: |_| {},
            on_header: |header| header,
            on_enclave: |_| {},
            on_document: |document| document,
            on_answer: |_| {},
            on_text: |text| text,
            on_body: |answer| Body::Text { answer },
            attestation_root: None,
            releases: None,
            now_ms,
        }
    }

    fn instance(&self) -> InstanceId {
        InstanceId::of_log_key(&self.log_key)
    }

    /// Has `records` attested: the document, and place and path of each.
    fn attest(&self, records: &[Vec<u8>]) -> (Vec<u8>, Vec<(usize, Vec<Hash>)>) {
        let (before, after) = self.others;
        let other = |i: usize| format!("another record, number {i}").into_bytes();
        let all: Vec<_> = (0..before)
            .map(other)
            .chain(records.iter().cloned())
            .chain((before..before + after).map(other))
            .collect();
        let mut batch = Batch::of(&all);
        let places = (before..before + records.len()).map(|index| (index, batch.path(index))).collect();
        (self.on_batch)(&mut batch);
        let mut enclave = Enclave::attesting(&(self.on_header)(batch.header()), &self.log_key);
        (self.on_enclave)(&mut enclave);
        ((self.on_document)(enclave.document()), places)
    }

    /// The client that is answered so.
    fn client(&self, mut answer: Value) -> Client {
        (self.on_answer)(&mut answer);
        let text = (self.on_text)(answer.to_string());
        Client {
            attestation_root: self.attestation_root.clone(),
            releases: self.releases.clone(),
            now_ms: self.now_ms,
            body: (self.on_body)(text),
        }
    }
}

fn common(about: &'static str) -> Common {
    let (attestation_root, releases) = (hex(Enclave::new().root()), vec![ours()]);
    Common { about, attestation_root, releases, leeway_ms: 60_000 }
}

/// What the enclave measures.
fn ours() -> Release {
    (0..3).map(|index| (index, hex(pcr(index)))).collect()
}

/// A release that differs from ours in these PCRs.
fn release_without(indices: &[u8]) -> Release {
    let value = |index| if indices.contains(&index) { [1; 48] } else { pcr(index) };
    (0..3).map(|index| (index, hex(value(index)))).collect()
}

/// A root certificate like the enclave's, and not its.
fn another_root() -> Hex {
    hex(Enclave::with(|e| e.certs[0].serial = der::uint(&[9])).root())
}

fn base64url(bytes: &[u8]) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    Base64UrlUnpadded::encode_string(bytes)
}

fn inclusion((index, path): &(usize, Vec<Hash>)) -> Value {
    json!({"index": index, "path": path.iter().map(|hash| base64url(hash)).collect::<Vec<_>>()})
}

/// 32 bytes of this label.
fn nonce_32(label: &str) -> [u8; 32] {
    hash(&[b"ok2cry vectors v1 ", label.as_bytes()])[..32].try_into().unwrap()
}

/// A name, a code and a change.
type Refusal = (&'static str, &'static str, fn(&mut Forge));

/// What is wrong with documents, whatever is in their batch: the first code that applies.
const DOCUMENTS: &[Refusal] = &[
    ("a document under another root", "root_not_trusted", |f| f.attestation_root = Some(another_root())),
    ("a document that changed after it was signed", "document_signature_invalid", |f| {
        f.on_enclave = |e| e.on_signature = |signature| signature[95] ^= 1;
    }),
    ("a document of a debug enclave", "debug_mode", |f| {
        f.on_enclave = |e| e.set_pcrs((0..16).map(|index| (index, vec![u8::from(index > 2); 48])));
    }),
    ("a document of another release", "pcr_mismatch", |f| f.releases = Some(vec![release_without(&[0])])),
    ("a document that is made up of two releases", "pcr_mismatch", |f| {
        f.releases = Some(vec![release_without(&[0]), release_without(&[1, 2])]);
    }),
    ("a document with the client's nonce in it", "document_nonce_set", |f| {
        f.on_enclave = |e| e.set("nonce", cbor::bytes(&nonce_32("request")));
    }),
    ("a document with an empty nonce", "document_nonce_set", |f| {
        f.on_enclave = |e| e.set("nonce", cbor::bytes(b""));
    }),
    ("a document without user data", "user_data_invalid", |f| f.on_enclave = |e| e.remove("user_data")),
    ("a document whose user data is null", "user_data_invalid", |f| {
        f.on_enclave = |e| e.set("user_data", cbor::NULL.to_vec());
    }),
    ("a document with empty user data", "user_data_invalid", |f| f.on_header = |_| vec![]),
    ("a document whose user data is the root alone", "user_data_invalid", |f| {
        f.on_header = |header| header[21..69].to_vec();
    }),
    ("a batch header with a byte after it", "user_data_invalid", |f| {
        f.on_header = |header| [header, vec![0]].concat();
    }),
    ("two batch headers", "user_data_invalid", |f| f.on_header = |header| header.repeat(2)),
    ("a batch header of another version", "user_data_invalid", |f| {
        f.on_header = |mut header| {
            header[17] = b'2';
            header
        };
    }),
    ("a batch header that counts no records", "user_data_invalid", |f| f.on_batch = |b| b.size = 0),
    ("a batch header that counts 4,097 records", "user_data_invalid", |f| f.on_batch = |b| b.size = 4097),
    ("a batch header with a log of 2^53 entries", "user_data_invalid", |f| {
        f.on_batch = |b| b.log_size = 1 << 53;
    }),
    ("a batch header with a log root of 48 bytes", "user_data_invalid", |f| {
        f.on_batch = |b| b.log_root = vec![0; 48];
    }),
    ("a document without a log key", "log_key_invalid", |f| f.on_enclave = |e| e.remove("public_key")),
    ("a document with an empty log key", "log_key_invalid", |f| f.log_key.clear()),
    ("a log key of 43 bytes", "log_key_invalid", |f| f.log_key.truncate(43)),
    ("a log key with a byte after it", "log_key_invalid", |f| f.log_key.push(0)),
    ("a log key without its algorithm", "log_key_invalid", |f| drop(f.log_key.drain(..12))),
    ("a log key of X25519", "log_key_invalid", |f| f.log_key[8] = 0x6e),
    ("a log key with unused bits", "log_key_invalid", |f| f.log_key[11] = 1),
    ("a document of another release with a nonce in it", "pcr_mismatch", |f| {
        f.releases = Some(vec![release_without(&[0])]);
        f.on_enclave = |e| e.set("nonce", cbor::bytes(b""));
    }),
    ("a document with a nonce and no batch header", "document_nonce_set", |f| {
        f.on_header = |_| vec![];
        f.on_enclave = |e| e.set("nonce", cbor::bytes(b""));
    }),
    ("a document with neither a batch header nor a log key", "user_data_invalid", |f| {
        f.on_header = |_| vec![];
        f.log_key.clear();
    }),
];

/// What an accepted key's descriptor says.
fn hash_of(descriptor: &KeyDescriptor) -> Hex {
    use ok2cry_protocol::Record as _;
    hex(hash(&[&descriptor.encode()]))
}
