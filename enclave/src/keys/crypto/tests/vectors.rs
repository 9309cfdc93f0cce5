//! The frozen vectors under every provider: reproduced byte for byte where possible, otherwise opened or
//! refused.

use super::{P384Kem, hex, open, seal, sender};
use crate::keys::crypto::{SenderContext as _, suite::HpkeSender};
use hpke::{Deserializable, OpModeR, Serializable, aead::AesGcm256, kdf::HkdfSha384};
use ok2cry_protocol::{Hash, hash, reply::Binding, suite::seal_info};
use serde_json::Value;
use std::fs;

super::for_each_provider! {
    sealed_messages_are_made_and_open
    messages_that_must_not_open_do_not
    replies_have_their_secrets
    known_answers_hold
}

fn sealed_messages_are_made_and_open<K: P384Kem>() {
    let file = read("seal.json");
    let (key, public) = key_pair::<K>(&file["key"]);
    let cases = list(&file["sealed"]);
    for case in cases {
        let name = &case["name"];
        let [info, aad, plaintext, ciphertext] =
            ["info", "aad", "plaintext", "ciphertext"].map(|field| bytes(case, field));
        let (enc, sealed) = seal::<K>(&public, &bytes(&case["ephemeral"], "ikm"), &info, &aad, &plaintext);
        assert_eq!((enc, sealed), (bytes(case, "enc"), ciphertext.clone()), "{name}");
        let opened = open::<K>(&key, &bytes(case, "enc"), &info, &aad, &ciphertext);
        assert_eq!(opened.unwrap(), plaintext, "{name}");
    }
    assert_eq!(cases.len(), 5);
}

fn messages_that_must_not_open_do_not<K: P384Kem>() {
    let file = read("seal.json");
    let (key, _) = key_pair::<K>(&file["key"]);
    let cases = list(&file["must_not_open"]);
    for case in cases {
        let info = seal_info(&hash(&[&bytes(case, "descriptor")]));
        let [enc, aad, ciphertext] = ["enc", "aad", "ciphertext"].map(|field| bytes(case, field));
        let opened = open::<K>(&key, &enc, &info, &aad, &ciphertext);
        assert!(opened.is_none(), "{}", case["name"]);
    }
    assert_eq!(cases.len(), 10);
}

fn replies_have_their_secrets<K: P384Kem>() {
    let file = read("reply.json");
    let (_, recipient) = key_pair::<K>(&file["recipient"]);
    let context = &file["context"];
    let (enc, sender) =
        sender::<K>(&recipient, &bytes(&context["ephemeral"], "ikm"), &bytes(context, "info"));
    assert_eq!(enc, bytes(context, "enc"));
    let sender = HpkeSender::<K>(sender);
    let cases = list(&file["replies"]);
    for case in cases {
        let digest: Hash = bytes(case, "request_digest").try_into().unwrap();
        let binding = Binding::new(&hash(&[&bytes(case, "descriptor")]), &bytes(case, "aad"), &digest);
        let secret = sender.reply_secret(&binding).unwrap();
        assert_eq!(secret.0.as_slice(), bytes(case, "secret"), "{}", case["name"]);
        assert_eq!(secret.seal(&bytes(case, "plaintext"), &binding).unwrap(), bytes(case, "ciphertext"));
    }
    assert_eq!(cases.len(), 3);
}

fn known_answers_hold<K: P384Kem>() {
    let file = read("hpke.json");
    let cases = list(&file["cases"]);
    for case in cases {
        let (private, public) = K::derive_keypair(&bytes(case, "ikmR"));
        assert_eq!(private.to_bytes().as_slice(), bytes(case, "skRm"));
        assert_eq!(public.to_bytes().as_slice(), bytes(case, "pkRm"));
        let ephemeral = K::derive_keypair(&bytes(case, "ikmE"));
        assert_eq!(ephemeral.0.to_bytes().as_slice(), bytes(case, "skEm"));

        let info = bytes(case, "info");
        let (enc, mut sender) = sender::<K>(&public, &bytes(case, "ikmE"), &info);
        assert_eq!(enc, bytes(case, "enc"));
        let enc = K::EncappedKey::from_bytes(&enc).ok().unwrap();
        let shared = K::decap(&private, None, &enc).unwrap();
        assert_eq!(shared.0.as_slice(), bytes(case, "shared_secret"));
        let mut receiver =
            hpke::setup_receiver::<AesGcm256, HkdfSha384, K>(&OpModeR::Base, &private, &enc, &info).unwrap();
        for message in list(&case["encryptions"]) {
            let [aad, plaintext, ciphertext] = ["aad", "pt", "ct"].map(|field| bytes(message, field));
            assert_eq!(sender.seal(&plaintext, &aad).unwrap(), ciphertext);
            assert_eq!(receiver.open(&ciphertext, &aad).unwrap(), plaintext);
        }
        for export in list(&case["exports"]) {
            let expected = bytes(export, "exported_value");
            let mut exported = [vec![0; expected.len()], vec![0; expected.len()]];
            sender.export(&bytes(export, "exporter_context"), &mut exported[0]).unwrap();
            receiver.export(&bytes(export, "exporter_context"), &mut exported[1]).unwrap();
            assert_eq!(exported, [expected.clone(), expected]);
        }
    }
    assert_eq!(cases.len(), 3);
}

/// A key pair of a vector, derived and imported.
fn key_pair<K: P384Kem>(key: &Value) -> (K::PrivateKey, K::PublicKey) {
    let (derived, public) = K::derive_keypair(&bytes(key, "ikm"));
    assert_eq!(derived.to_bytes().as_slice(), bytes(key, "private_key"));
    assert_eq!(public.to_bytes().as_slice(), bytes(key, "public_key"));
    let imported = K::PrivateKey::from_bytes(&bytes(key, "private_key")).ok().unwrap();
    assert_eq!(K::sk_to_pk(&imported).to_bytes(), public.to_bytes());
    (imported, public)
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex(case[field].as_str().unwrap())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn read(name: &str) -> Value {
    let path = format!("{}/../tests/vectors/v1/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
