//! Sixteen readers race for each of a thousand keys, through HTTP.
//!
//! Services that first read a secret and then delete it reveal many to several concurrent readers. Here all
//! readers send the same message to each key at once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, Message, RecipientKey, ReplaySet, SealedMessage, http::Client};
use ok2cry_protocol::{http::OpenResponse, ids::Purpose};
use ok2cry_testkit::{Deployment, Options};
use std::{sync::Barrier, thread};

const READERS: usize = 16;
const KEYS: u32 = 1000;
const AAD: &[u8] = b"order 17";

#[test]
fn sixteen_readers_of_a_thousand_keys_get_identical_replies() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let request =
        || KeyRequest::new("card-pin", std::time::Duration::from_secs(600), recipient.public_key()).unwrap();
    let messages = sealed(&deployment, request);

    let answers = race(&deployment, &messages);

    let (trust, purpose, seen) =
        (deployment.trust().unwrap(), Purpose::new("card-pin").unwrap(), &mut ReplaySet::default());
    for (number, answers) in answers.iter().enumerate() {
        let replies: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap()).collect();
        assert!(replies.iter().all(|reply| *reply == replies[0]), "key {number}: replies differ");
        let OpenResponse::Sealed(reply) = serde_json::from_str(replies[0]).unwrap() else {
            panic!("expected a sealed reply, found plaintext");
        };
        let expected = Expected { purpose: &purpose, aad: AAD };
        let opened = recipient.open(&reply, &expected, &trust, &CheckTime::system(), seen).unwrap();
        assert_eq!(opened.plaintext.as_slice(), pin(number).as_bytes());
    }
    assert_eq!(deployment.health().unwrap().live_keys, 0);
}

#[test]
fn sixteen_callers_of_a_thousand_keys_reveal_each_once() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let request = || {
        KeyRequest::insecure_deliver_to_caller("caller-demo", std::time::Duration::from_secs(600)).unwrap()
    };
    let messages = sealed(&deployment, request);

    let answers = race(&deployment, &messages);

    let mut revealed = [0; READERS];
    for (number, answers) in answers.iter().enumerate() {
        let readers: Vec<_> = (0..READERS).filter(|reader| answers[*reader].is_ok()).collect();
        assert_eq!(readers.len(), 1, "key {number} was revealed to {readers:?}");
        let OpenResponse::Plaintext(plaintext) =
            serde_json::from_str(answers[readers[0]].as_ref().unwrap()).unwrap()
        else {
            panic!("expected plaintext, found a sealed reply");
        };
        assert_eq!(plaintext.0.as_slice(), pin(number).as_bytes());
        assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|code| code == "key_used"));
        revealed[readers[0]] += 1;
    }
    // No reader won every race.
    assert!(revealed.iter().all(|keys| *keys < KEYS), "{revealed:?}");
}

fn pin(number: usize) -> String {
    format!("PIN {number}")
}

fn sealed(deployment: &Deployment, request: impl Fn() -> KeyRequest) -> Vec<SealedMessage> {
    let (client, trust) = (deployment.client(), deployment.trust().unwrap());
    let keys = (0..KEYS / 100).flat_map(|_| {
        client.issue(request().with_count(100).unwrap(), &trust, &CheckTime::system()).unwrap()
    });
    let seal = |(number, key): (usize, ok2cry_client::VerifiedKey)| {
        key.seal(&Message { plaintext: pin(number).as_bytes(), aad: AAD }, &CheckTime::system()).unwrap()
    };
    keys.enumerate().map(seal).collect()
}

/// Each reader's result by message: the answer's JSON, or the refusal's code.
fn race(deployment: &Deployment, messages: &[SealedMessage]) -> Vec<Vec<Result<String, String>>> {
    let start = Barrier::new(READERS);
    let read = |client: &Client, message| {
        start.wait();
        let answer = client.open(message).map_err(|e| e.code().to_owned())?;
        Ok(serde_json::to_string(&answer).unwrap())
    };
    let by_reader: Vec<Vec<_>> = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    let client = deployment.client();
                    messages.iter().map(|message| read(&client, message)).collect()
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    (0..messages.len()).map(|i| by_reader.iter().map(|answers| answers[i].clone()).collect()).collect()
}
