//! A key opens one ciphertext under concurrent requests, and an equal request gets an equal answer.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, RecipientKey, ReplaySet, SealedMessage, VerifiedKey};
use ok2cry_protocol::{
    code::Code,
    frame,
    http::OpenResponse,
    ids::Purpose,
    rpc::{Call, KeyState, Open, Request},
};
use ok2cry_testkit::{Deployment, Options, any_hpke, raw_http::Message, wait::eventually};
use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

const AAD: &[u8] = b"order 17";

#[test]
fn of_sixteen_ciphertexts_at_once_one_opens() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let messages: Vec<_> = (0..16).map(|i| any_hpke::seal(key.descriptor(), &[i], AAD).unwrap()).collect();

    let answers = open_at_once(&deployment, &messages);

    let opened: Vec<_> = (0..16).filter(|i| answers[*i].status() == 200).collect();
    assert_eq!(opened.len(), 1, "{:?}", statuses(&answers));
    let refused = answers.iter().filter(|answer| answer.status() != 200);
    assert!(refused.into_iter().all(|answer| answer.refusal().unwrap() == Code::KeyUsed));
    // The reply belongs to the message that was opened.
    let plaintext = read(&recipient, &answers[opened[0]], &deployment, &mut ReplaySet::default()).unwrap();
    assert_eq!(plaintext, [u8::try_from(opened[0]).unwrap()]);
}

#[test]
fn of_sixteen_ciphertexts_at_once_one_opens_to_its_caller() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let key = caller_key(&deployment);
    let messages: Vec<_> = (0..16).map(|i| any_hpke::seal(key.descriptor(), &[i], AAD).unwrap()).collect();

    let answers = open_at_once(&deployment, &messages);

    let opened: Vec<_> = (0..16).filter(|i| answers[*i].status() == 200).collect();
    assert_eq!(opened.len(), 1, "{:?}", statuses(&answers));
    assert_eq!(plaintext(&answers[opened[0]]), [u8::try_from(opened[0]).unwrap()]);
    let refused = answers.iter().filter(|answer| answer.status() != 200);
    assert!(refused.into_iter().all(|answer| answer.refusal().unwrap() == Code::KeyUsed));
}

#[test]
fn sixteen_equal_requests_deliver_to_one_caller() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let message = caller_key(&deployment)
        .seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system())
        .unwrap();

    let answers = open_at_once(&deployment, &vec![message.clone(); 16]);

    let (opened, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status() == 200);
    assert_eq!(opened.len(), 1, "{:?}", statuses(&answers));
    assert_eq!(plaintext(opened[0]), b"1234");
    assert!(refused.iter().all(|answer| answer.refusal().unwrap() == Code::KeyUsed));
    // Plaintext is not kept for retries.
    assert_eq!(deployment.open(&message).unwrap().refusal().unwrap(), Code::KeyUsed);
}

#[test]
fn sixteen_equal_requests_get_one_reply_accepted_once() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let message =
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();

    let answers = open_at_once(&deployment, &vec![message.clone(); 16]);

    assert!(answers.iter().all(|answer| answer.status() == 200), "{:?}", statuses(&answers));
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    let seen = &mut ReplaySet::default();
    let read: Vec<_> = answers.iter().map(|answer| read(&recipient, answer, &deployment, seen)).collect();
    assert_eq!(read[0].as_deref(), Ok(&b"1234"[..]));
    assert!(read[1..].iter().all(|again| *again == Err("reply_replayed")));
}

#[test]
fn a_retry_gets_the_same_reply_and_another_ciphertext_does_not() {
    let mut deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let other = any_hpke::seal(key.descriptor(), b"9999", AAD).unwrap();
    let message =
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();

    let first = deployment.open(&message).unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(deployment.open(&message).unwrap().body, first.body);
    // A request is equal only if all its fields are.
    let same_but = |change: &dyn Fn(&mut SealedMessage)| {
        let mut changed = message.clone();
        change(&mut changed);
        deployment.open(&changed).unwrap().refusal().unwrap()
    };
    assert_eq!(same_but(&|m| *m = other.clone()), Code::KeyUsed);
    assert_eq!(same_but(&|m| m.aad = b"order 18".to_vec()), Code::KeyUsed);
    assert_eq!(same_but(&|m| m.enc = other.enc), Code::KeyUsed);
    assert_eq!(same_but(&|m| m.ciphertext[0] ^= 1), Code::KeyUsed);
    assert_eq!(deployment.open(&message).unwrap().body, first.body);

    // The parent holds no state for this: a new one gives the same answers.
    deployment.restart_parent().unwrap();
    assert_eq!(deployment.open(&message).unwrap().body, first.body);
    assert_eq!(deployment.client().state(message.key_id).unwrap(), KeyState::Used);
}

/// An enclave without live keys requests a document every 20 s only, and its trusted time is stale after 2 s.
/// Retries and refusals must not wait for it.
#[test]
fn an_idle_enclave_still_answers_retries_and_refusals() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let used = deployment.card_pin_key(60_000, &recipient).unwrap();
    let used_again = any_hpke::seal(used.descriptor(), b"9999", AAD).unwrap();
    let used =
        used.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();
    let destroyed = deployment.card_pin_key(60_000, &recipient).unwrap();
    let destroyed = destroyed
        .seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system())
        .unwrap();
    let first = deployment.open(&used).unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(deployment.client().destroy(destroyed.key_id).unwrap(), KeyState::Destroyed);

    let begun = Instant::now();
    let long_enough = Duration::from_secs(3);
    eventually("three seconds to pass", || {
        assert_eq!(deployment.open(&used).unwrap().body, first.body);
        assert_eq!(deployment.open(&used_again).unwrap().refusal().unwrap(), Code::KeyUsed);
        assert_eq!(deployment.open(&destroyed).unwrap().refusal().unwrap(), Code::KeyDestroyed);
        (begun.elapsed() > long_enough).then_some(())
    });
    assert_eq!(deployment.health().unwrap().live_keys, 0);
}

/// The caller disconnects before the answer. The key is used, and the reply is kept for the retry.
#[test]
fn an_open_completes_after_its_caller_disconnects() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let other = any_hpke::seal(key.descriptor(), b"9999", AAD).unwrap();
    let message =
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: AAD }, &CheckTime::system()).unwrap();

    let SealedMessage { key_id, enc, aad, ciphertext, .. } = message.clone();
    let open = Request { id: 1, call: Call::Open(Open { key_id, enc, ciphertext, aad }) };
    let mut stream = deployment.stream().unwrap();
    stream.send(&frame::encode(&open.encode())).unwrap();
    drop(stream);

    let state = || deployment.client().state(key_id).ok().filter(|state| *state == KeyState::Used);
    eventually("the key is used", state);
    assert_eq!(deployment.open(&other).unwrap().refusal().unwrap(), Code::KeyUsed);
    let answer = deployment.open(&message).unwrap();
    assert_eq!(read(&recipient, &answer, &deployment, &mut ReplaySet::default()).unwrap(), b"1234");
}

fn caller_key(deployment: &Deployment) -> VerifiedKey {
    let request = KeyRequest::insecure_deliver_to_caller("caller-demo", Duration::from_secs(60)).unwrap();
    deployment.issue(request).unwrap().remove(0)
}

fn open_at_once(deployment: &Deployment, messages: &[SealedMessage]) -> Vec<Message> {
    let start = Barrier::new(messages.len());
    let open = |message| {
        start.wait();
        deployment.open(message).unwrap()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = messages.iter().map(|message| scope.spawn(|| open(message))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn read(
    recipient: &RecipientKey,
    answer: &Message,
    deployment: &Deployment,
    seen: &mut ReplaySet,
) -> Result<Vec<u8>, &'static str> {
    let OpenResponse::Sealed(reply) = serde_json::from_slice(&answer.body).unwrap() else {
        return Err("expected a sealed reply, found plaintext");
    };
    let (purpose, trust) = (Purpose::new("card-pin").unwrap(), deployment.trust().unwrap());
    let expected = Expected { purpose: &purpose, aad: AAD };
    let opened = recipient.open(&reply, &expected, &trust, &CheckTime::system(), seen);
    opened.map(|opened| opened.plaintext.to_vec()).map_err(|e| ok2cry_client::Error::from(e).code())
}

fn plaintext(answer: &Message) -> Vec<u8> {
    match serde_json::from_slice(&answer.body).unwrap() {
        OpenResponse::Plaintext(plaintext) => plaintext.0.to_vec(),
        OpenResponse::Sealed(_) => Vec::new(),
    }
}

fn statuses(answers: &[Message]) -> Vec<u16> {
    answers.iter().map(Message::status).collect()
}
