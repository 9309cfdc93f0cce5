//! Records of the protocol.

use std::path::Path;
use std::sync::LazyLock;

use ok2cry_protocol::batch::BatchHeader;
use ok2cry_protocol::descriptor::KeyDescriptor;
use ok2cry_protocol::reply::{Reply, ReplyContext};
use ok2cry_protocol::statement::Statement;
use ok2cry_protocol::{DecodeError, Record as _};
use serde_json::{Value, json};

use crate::documents::hex;
use crate::rng::Rng;

/// A frozen record with up to two changes.
pub(crate) fn changed(rng: &mut Rng) -> Value {
    let (kind, encoding) = rng.of(&FROZEN);
    let mut bytes = encoding.clone();
    for _ in 0..rng.below(3) {
        rng.change(&mut bytes);
    }
    let verdict: Result<(), DecodeError> = match *kind {
        "key descriptor" => KeyDescriptor::decode(&bytes).map(drop),
        "batch header" => BatchHeader::decode(&bytes).map(drop),
        "statement" => Statement::decode(&bytes).map(drop),
        "reply context" => ReplyContext::decode(&bytes).map(drop),
        _ => Reply::decode(&bytes).map(drop),
    };
    let expected = if verdict.is_ok() { "accepted" } else { "refused record_invalid" };
    json!({"kind": "record", "record": kind, "encoding": hex(&bytes), "expected": expected})
}

static FROZEN: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let file = |name: &str| -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/v1").join(name);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let all = |kind, list: &Value, field: &str| {
        let of = |case: &Value| (kind, unhex(case[field].as_str().unwrap()));
        list.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let reply = file("reply.json");
    [
        all("key descriptor", &file("key-descriptor.json")["valid"], "encoding"),
        all("batch header", &file("batch.json")["headers"]["valid"], "encoding"),
        all("statement", &file("ids.json")["statements"]["valid"], "encoding"),
        all("reply context", &json!([reply["context"]]), "record"),
        all("reply", &reply["replies"], "record"),
    ]
    .concat()
});

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}
