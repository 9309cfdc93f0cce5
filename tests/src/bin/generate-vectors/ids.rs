//! Instance ids, key ids, nonces, and statements.

use crate::{
    Result,
    fixtures::{Hex, TIME, hex, instance, log_key, nonce, sixteen},
    raw::{RawMap, Refused, bytes, text, uint},
};
use ok2cry_protocol::{
    Record, Rule,
    ids::{InstanceId, KeyId, Nonce},
    statement::Statement,
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    instance_ids: Vec<Instance>,
    key_ids: Vec<Key>,
    invalid_key_ids: Vec<InvalidKeyId>,
    nonces: Vec<Derived>,
    statements: Statements,
}

#[derive(Serialize)]
struct Instance {
    log_key: Hex,
    instance_id: Hex,
}

#[derive(Serialize)]
struct Key {
    bytes: Hex,
    instance_id: Hex,
    base64url: String,
}

#[derive(Serialize)]
struct InvalidKeyId {
    name: &'static str,
    text: String,
    structure: &'static str,
    field: &'static str,
    rule: String,
}

/// The nonces of the keys that one request asked for, in their order.
#[derive(Serialize)]
struct Derived {
    nonce: Hex,
    count: u32,
    client_nonces: Vec<Hex>,
}

#[derive(Serialize)]
struct Statements {
    valid: Vec<StatementCase>,
    invalid: Vec<Refused>,
}

#[derive(Serialize)]
struct StatementCase {
    name: &'static str,
    encoding: Hex,
    nonce: Hex,
    time: u64,
}

pub(crate) fn file() -> Result<File> {
    let instances = ["log key", "another log key"].map(|label| {
        let key = log_key(label);
        Instance { instance_id: hex(InstanceId::of_log_key(&key).0), log_key: Hex(key) }
    });
    let key_ids = [
        KeyId::new(instance(), sixteen("key id")),
        KeyId([0; 24]),
        // Every character that base64url has and base64 has not.
        KeyId::new(InstanceId([0xff; 8]), [0xfb; 16]),
    ];
    Ok(File {
        about: "Identifiers, nonces and statements (docs/protocol.md, Identifiers, Nonces and Statement).",
        instance_ids: instances.into(),
        key_ids: key_ids
            .map(|id| Key {
                bytes: hex(id.0),
                instance_id: hex(id.instance().0),
                base64url: id.to_base64url(),
            })
            .into(),
        invalid_key_ids: invalid_key_ids(),
        nonces: vec![
            derived(&nonce("client nonce")?, 1),
            derived(&nonce("client nonce")?, 2),
            derived(&nonce("client nonce")?, 100),
            derived(&Nonce::new([0; 64])?, 3),
        ],
        statements: Statements { valid: statements()?, invalid: invalid_statements()? },
    })
}

fn derived(nonce: &Nonce, count: u32) -> Derived {
    let client_nonces = (0..count).map(|i| hex(nonce.for_key(i, count).as_bytes())).collect();
    Derived { nonce: hex(nonce.as_bytes()), count, client_nonces }
}

fn invalid_key_ids() -> Vec<InvalidKeyId> {
    let case = |name, text: String, rule: Rule| InvalidKeyId {
        name,
        text,
        structure: "key id",
        field: "id",
        rule: rule.to_string(),
    };
    let length = || Rule::Length { min: 32, max: 32 };
    vec![
        case("empty", String::new(), length()),
        case("31 characters", "A".repeat(31), length()),
        case("33 characters", "A".repeat(33), length()),
        case("in hex", "00".repeat(24), length()),
        case("base64 instead of base64url", "+/".repeat(16), Rule::Base64),
        case("padded", "A".repeat(30) + "==", Rule::Base64),
        case("with a space", "A".repeat(31) + " ", Rule::Base64),
        case("with a letter outside ASCII", "A".repeat(30) + "ä", Rule::Base64),
    ]
}

fn statements() -> Result<Vec<StatementCase>> {
    [
        ("a statement", nonce("statement nonce")?, TIME),
        ("the shortest", Nonce::new([0; 16])?, 0),
        ("the longest", Nonce::new([0xff; 64])?, (1 << 53) - 1),
    ]
    .into_iter()
    .map(|(name, nonce, time)| {
        let hex_nonce = hex(nonce.as_bytes());
        Ok(StatementCase { name, encoding: Hex(Statement { nonce, time }.encode()), nonce: hex_nonce, time })
    })
    .collect()
}

fn invalid_statements() -> Result<Vec<Refused>> {
    let good = Statement { nonce: nonce("statement nonce")?, time: TIME };
    let values = [text("ok2cry/statement/v1"), bytes(good.nonce.as_bytes()), uint(good.time)];
    let map = RawMap::new("statement", &["type", "nonce", "time"], values);
    if map.encode() != good.encode() {
        return Err("the statement by hand is not the statement".into());
    }
    let length = Rule::Length { min: 16, max: 64 };
    let mut all = map.structural();
    all.extend(map.typed("ok2cry/statement/v1", "ok2cry/key/v1"));
    all.extend([
        map.bad("nonce of 15 bytes", "nonce", bytes(&[1; 15]), &length),
        map.bad("nonce of 65 bytes", "nonce", bytes(&[1; 65]), &length),
        map.bad("negative time", "time", vec![0x20], &Rule::WrongType),
        map.bad("time as text", "time", text("2027-01-15T08:00:00Z"), &Rule::WrongType),
    ]);
    all.extend(map.renumbered());
    all.push(map.bad("time after 2^53 - 1", "time", uint(1 << 53), &Rule::Range));
    Ok(all)
}
