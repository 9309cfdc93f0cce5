//! Inputs as JSON or PEM, read but not yet verified: answers, messages, measurements, keys.
//!
//! Every language checks in the same order: size, JSON, shape, fields. The verdict is "accepted" or the code.

use base64ct::{Base64, Encoding};
use hpke::{Kem as _, Serializable as _, kem::DhP384HkdfSha384};
use ok2cry_client::answer::{read_attested, read_issued, read_sealed, read_state};
use ok2cry_client::measurements::from_nitro_cli_json;
use ok2cry_client::{Error, RecipientKey, SealedMessage, recipient_public_key};
use ok2cry_protocol::suite::PublicKey;
use serde_json::{Value, json};
use std::sync::LazyLock;

use crate::rng::Rng;

/// A text of some kind, mostly with a changed value or changed bytes.
pub(crate) fn changed(rng: &mut Rng) -> Value {
    let (kind, good) = rng.of(&GOOD).clone();
    let mut body = good.clone().into_bytes();
    match rng.below(8) {
        0 => {}
        1 | 2 => {
            for _ in 0..=rng.below(2) {
                rng.change(&mut body);
            }
        }
        3 => body = reordered(rng, &good).into_bytes(),
        _ => body = edited(rng, &good).into_bytes(),
    }
    if matches!(kind, "measurements" | "private-key" | "public-key") {
        // These are text, so UTF-8.
        body = String::from_utf8_lossy(&body).into_owned().into_bytes();
    }
    let expected = match read(kind, &body) {
        Ok(()) => "accepted".to_owned(),
        Err(error) => format!("refused {}", error.code()),
    };
    json!({"kind": "answer", "answer": kind, "body": Base64::encode_string(&body), "expected": expected})
}

fn read(kind: &str, body: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    match kind {
        "issue" => read_issued(body).map(drop),
        "open" => read_sealed(body).map(drop),
        "attestation" => read_attested(body).map(drop),
        "state" => read_state(body).map(drop),
        "message" => SealedMessage::parse(body).map(drop),
        "measurements" => from_nitro_cli_json(text).map(drop),
        "private-key" => RecipientKey::from_pem(text).map(drop),
        _ => recipient_public_key(text).map(drop),
    }
}

/// A text with a piece inserted, repeated or exchanged: field names, PEM markers, numbers.
fn reordered(rng: &mut Rng, good: &str) -> String {
    const PIECES: &[&str] = &[
        "\u{feff}",
        "\"index\":0,",
        "\"path\":[],",
        "\"sealed\":",
        "null,",
        "{",
        "}",
        "[",
        "]",
        " ",
        "\n",
        "\r\n",
        "-",
        "\"plaintext\":\"AA\"",
        ",\"index\":1",
        "9007199254740992",
        "1e3",
        "-0",
        "\\u0000",
        "\"\\ud800\"",
        "PUBLIC KEY",
        "PRIVATE KEY",
        "EC ",
        "ENCRYPTED",
        "-----BEGIN EC PARAMETERS-----\nAA==\n-----END EC PARAMETERS-----\n",
        "=",
        "x",
    ];
    let mut at = rng.below(good.len() + 1);
    while !good.is_char_boundary(at) {
        at -= 1;
    }
    let at = if rng.one_in(3) { 0 } else { at };
    let (before, after) = good.split_at(at);
    match rng.below(4) {
        0 => good.repeat(2),
        1 => good.replacen(*rng.of(&["\n", "0", "\"", "A", "-"]), rng.of::<&str>(PIECES), 1),
        _ => [before, *rng.of(PIECES), after].concat(),
    }
}

/// A JSON text with one value changed. Other texts get a piece inserted.
fn edited(rng: &mut Rng, good: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(good) else { return reordered(rng, good) };
    edit(rng, &mut value);
    value.to_string()
}

fn edit(rng: &mut Rng, value: &mut Value) {
    match value {
        Value::Object(map) if !map.is_empty() && !rng.one_in(5) => {
            let keys: Vec<_> = map.keys().cloned().collect();
            let key = rng.of(&keys);
            match rng.below(8) {
                0 => drop(map.remove(key)),
                1 => drop(map.insert(
                    (*rng.of(&["more", "__proto__", "plaintext", "descriptor", "PCR1", "d"])).into(),
                    json!(""),
                )),
                // A list of the values, or the object's JSON as a string.
                2 => *value = map.values().cloned().collect(),
                3 => *value = value.to_string().into(),
                _ => edit(rng, map.get_mut(key).unwrap()),
            }
        }
        Value::Array(list) if !list.is_empty() && !rng.one_in(4) => {
            let at = rng.below(list.len());
            edit(rng, &mut list[at]);
        }
        Value::String(text) if !rng.one_in(3) => {
            let mut bytes = std::mem::take(text).into_bytes();
            rng.change(&mut bytes);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        value => {
            let others = [
                json!(null),
                json!(true),
                json!(-1),
                json!(1.5),
                json!(9_007_199_254_740_991_u64),
                json!(9_007_199_254_740_992_u64),
                json!(""),
                json!("AA"),
                json!("AB"),
                json!("AA=="),
                json!("used"),
                json!([]),
                json!(["AA"]),
                json!({}),
            ];
            *value = rng.of(&others).clone();
        }
    }
}

static GOOD: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let private = private_key();
    let key = RecipientKey::from_pem(&private).unwrap();
    let public: &PublicKey = key.public_key();
    let base64 = |bytes: &[u8]| base64ct::Base64UrlUnpadded::encode_string(bytes);
    let (x, y) = public.coordinates();
    let context = json!({"record": "AAEC", "index": 0, "path": ["AAAA"], "document": "AQ"});
    let sealed = json!({"reply": "AAEC", "context": context});
    let pcr = "ab".repeat(48);
    let registers = json!({"HashAlgorithm": "Sha384 { ... }", "PCR0": pcr, "PCR1": pcr, "PCR2": pcr});
    let message = json!({
        "key_id": base64(&[7; 24]), "descriptor_hash": base64(&[8; 48]), "enc": base64(public.as_bytes()),
        "ciphertext": base64(&[9; 20]), "aad": "",
    });
    let pem = public.to_pem();
    [
        (
            "issue",
            json!({"document": "AQ", "keys": [{"descriptor": "AA", "index": 0, "path": []}]}).to_string(),
        ),
        ("open", json!({"sealed": sealed}).to_string()),
        ("open", sealed.to_string()),
        ("open", json!({"plaintext": "AA"}).to_string()),
        ("attestation", context.to_string()),
        ("state", json!({"state": "live"}).to_string()),
        ("message", message.to_string()),
        ("measurements", json!({"Measurements": registers, "EifVersion": 4}).to_string()),
        ("measurements", registers.to_string()),
        ("private-key", private.clone()),
        ("private-key", format!("Bag Attributes\n{}", private.replace('\n', "\r\n"))),
        ("public-key", pem.clone()),
        ("public-key", base64(public.as_bytes())),
        (
            "public-key",
            json!({"kty": "EC", "crv": "P-384", "x": base64(x), "y": base64(y), "kid": "a"}).to_string(),
        ),
    ]
    .into()
});

/// A recipient's private key, the same each time.
fn private_key() -> String {
    let (private, public) = DhP384HkdfSha384::derive_keypair(&[7; 48]);
    let head = "3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430";
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let der = [unhex(head), private.to_bytes().to_vec(), unhex("a164036200"), public.to_bytes().to_vec()];
    let base64 = Base64::encode_string(&der.concat());
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
