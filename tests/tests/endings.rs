//! How keys end, that an ended key never opens, and what does not end a key.

#![allow(clippy::unwrap_used, reason = "helpers of tests: clippy.toml's list is for #[test]")]

use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{KeyRequest, RecipientKey, SealedMessage, VerifiedKey};
use ok2cry_protocol::{code::Code, hash, ids::KeyId, rpc::KeyState, suite::seal_info};
use ok2cry_testkit::{
    Deployment, Options, any_hpke, eventually, image::machine_folder, raw_http, raw_http::Message,
};
use std::{thread, time::Duration};

const AAD: &[u8] = b"order 17";

/// A lifetime long enough for verification on a busy machine, and short enough to wait for.
fn ttl_ms() -> u64 {
    if machine_folder().is_some() { 6000 } else { 1000 }
}

#[test]
fn an_expired_key_never_opens() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let client = deployment.client();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(ttl_ms(), &recipient).unwrap();
    let other = any_hpke::seal(key.descriptor(), b"1234", AAD).unwrap();
    let message =
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();

    eventually("the key expires", || {
        client.state(message.key_id).ok().filter(|state| *state == KeyState::Expired)
    });
    for message in [&message, &other, &message] {
        assert_eq!(code(&deployment, message), Code::KeyExpired);
    }
    assert_eq!(client.destroy(message.key_id).unwrap(), KeyState::Expired);
    assert_eq!(code(&deployment, &message), Code::KeyExpired);
    assert_eq!(deployment.health().unwrap().live_keys, 0);
}

#[test]
fn a_key_that_expires_during_opens_never_opens_again() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let client = deployment.client();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(ttl_ms(), &recipient).unwrap();
    let bad = any_hpke::seal_with_info(key.descriptor(), b"other", b"1234", AAD).unwrap();
    let good =
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();

    let mut seen = Vec::new();
    eventually("the key expires under failing opens", || {
        // Slowly, because the key ends at 256 failures.
        thread::sleep(Duration::from_millis(ttl_ms() / 100));
        seen.push(code(&deployment, &bad));
        seen.last().filter(|code| **code != Code::OpenFailed).copied()
    });
    assert_eq!((seen.first(), seen.last()), (Some(&Code::OpenFailed), Some(&Code::KeyExpired)));
    assert_eq!(code(&deployment, &good), Code::KeyExpired);
    assert_eq!(client.state(good.key_id).unwrap(), KeyState::Expired);
}

#[test]
fn an_expired_key_is_not_sealed_to() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = || deployment.card_pin_key(60_000, &recipient).unwrap();
    let seal_at = |key: VerifiedKey, at_ms| {
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::at(at_ms))
            .map_err(|e| e.code())
    };

    let (late, in_time) = (key(), key());
    let (deadline, last) = (late.expires_at_ms(), in_time.expires_at_ms() - 1);
    assert_eq!(seal_at(late, deadline).unwrap_err(), "key_expired");
    let message = seal_at(in_time, last).unwrap();
    assert_eq!(deployment.open(&message).unwrap().status(), 200);
}

#[test]
fn an_answer_delayed_past_the_keys_expiry_is_refused() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let request = KeyRequest::new("card-pin", Duration::from_secs(60), recipient.public_key()).unwrap();
    let answer = raw_http::post(deployment.url(), "/v1/keys", &request.to_json()).unwrap();
    let late = CheckTime::at(CheckTime::system().now_ms + 60_000);
    let refused = request.verify(&answer.body, &deployment.trust().unwrap(), &late).unwrap_err();
    assert_eq!(refused.code(), "key_expired");
}

#[test]
fn a_destroyed_key_never_opens_and_a_used_one_stays_used() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let client = deployment.client();
    let recipient = RecipientKey::generate().unwrap();
    let message = || {
        let key = deployment.card_pin_key(60_000, &recipient).unwrap();
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap()
    };

    let destroyed = message();
    assert_eq!(client.destroy(destroyed.key_id).unwrap(), KeyState::Destroyed);
    assert_eq!(client.destroy(destroyed.key_id).unwrap(), KeyState::Destroyed);
    assert_eq!(code(&deployment, &destroyed), Code::KeyDestroyed);
    assert_eq!(client.state(destroyed.key_id).unwrap(), KeyState::Destroyed);

    let used = message();
    assert_eq!(deployment.open(&used).unwrap().status(), 200);
    assert_eq!(client.destroy(used.key_id).unwrap(), KeyState::Used);
    assert_eq!(client.state(used.key_id).unwrap(), KeyState::Used);
}

#[test]
fn a_key_that_was_never_issued_is_unknown() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let never = KeyId::new(key.instance(), [0; 16]);
    let message = SealedMessage {
        key_id: never,
        ..key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap()
    };
    assert_eq!(code(&deployment, &message), Code::UnknownKey);
    assert_eq!(deployment.client().state(never).unwrap(), KeyState::Unknown);
    assert_eq!(deployment.client().destroy(never).unwrap(), KeyState::Unknown);
}

#[test]
fn every_failed_open_looks_the_same_and_costs_the_key_nothing() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let other_key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let (d, other_d) = (key.descriptor(), other_key.descriptor());

    let honest = any_hpke::seal(d, b"1234", AAD).unwrap();
    let changed = |change: &dyn Fn(&mut SealedMessage)| {
        let mut message = honest.clone();
        change(&mut message);
        message
    };
    let last = honest.ciphertext.len() - 1;
    let foreign = any_hpke::seal(other_d, b"1234", AAD).unwrap();
    let failing = [
        ("the first bit of the ciphertext", changed(&|m| m.ciphertext[0] ^= 0x80)),
        ("the last bit of the tag", changed(&|m| m.ciphertext[last] ^= 1)),
        ("a ciphertext cut short", changed(&|m| m.ciphertext.truncate(16))),
        ("a longer ciphertext", changed(&|m| m.ciphertext.push(0))),
        ("another aad", changed(&|m| m.aad = b"order 18".to_vec())),
        ("no aad", changed(&|m| m.aad.clear())),
        ("another point as enc", changed(&|m| m.enc = foreign.enc)),
        ("the key's own point as enc", changed(&|m| m.enc = d.public_key)),
        ("made for another key", SealedMessage { key_id: honest.key_id, ..foreign.clone() }),
        ("with another info", any_hpke::seal_with_info(d, b"other", b"1234", AAD).unwrap()),
        ("with no info", any_hpke::seal_with_info(d, b"", b"1234", AAD).unwrap()),
        ("with another key's info", {
            any_hpke::seal_with_info(d, &seal_info(other_d.hash()), b"1234", AAD).unwrap()
        }),
        ("with the info of a changed descriptor", {
            any_hpke::seal_with_info(d, &seal_info(&hash(&[d.bytes(), &[0]])), b"1234", AAD).unwrap()
        }),
    ];
    let first = deployment.open(&failing[0].1).unwrap();
    assert_eq!(first.refusal().unwrap(), Code::OpenFailed);
    for (what, message) in &failing {
        let answer = deployment.open(message).unwrap();
        assert_eq!(outside(&answer), outside(&first), "{what}");
    }

    assert_eq!(deployment.client().state(honest.key_id).unwrap(), KeyState::Live);
    assert_eq!(deployment.open(&honest).unwrap().status(), 200);
    assert_eq!(deployment.open(&foreign).unwrap().status(), 200);
}

#[test]
fn a_key_survives_255_failed_opens_and_ends_at_256() {
    const LIMIT: u32 = 256;
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let (used, ended) = (
        deployment.card_pin_key(60_000, &recipient).unwrap(),
        deployment.card_pin_key(60_000, &recipient).unwrap(),
    );
    for (key, failures, then) in [(used, LIMIT - 1, None), (ended, LIMIT, Some(Code::KeyDestroyed))] {
        let bad = any_hpke::seal_with_info(key.descriptor(), b"other", b"1234", AAD).unwrap();
        let good =
            key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();
        for _ in 0..failures {
            assert_eq!(code(&deployment, &bad), Code::OpenFailed);
        }
        let answer = deployment.open(&good).unwrap();
        assert_eq!((answer.status() != 200).then(|| answer.refusal().unwrap()), then);
    }
}

#[test]
fn keys_end_with_their_enclave() {
    let recipient = RecipientKey::generate().unwrap();
    let first = Deployment::start(Options::default()).unwrap();
    let message = first.card_pin_key(60_000, &recipient).unwrap();
    let message =
        message.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();
    drop(first);
    let second = Deployment::start(Options::default()).unwrap();
    assert_eq!(code(&second, &message), Code::UnknownKey);
}

fn code(deployment: &Deployment, message: &SealedMessage) -> Code {
    deployment.open(message).unwrap().refusal().unwrap()
}

/// The visible parts of an answer, without the headers that differ between any two.
fn outside(answer: &Message) -> (&str, Vec<&(String, String)>, &[u8]) {
    let differs = ["date", "x-request-id"];
    let headers = answer.headers.iter().filter(|(name, _)| !differs.contains(&name.as_str()));
    (&answer.start, headers.collect(), &answer.body)
}
