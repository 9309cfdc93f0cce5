//! The whole path, many times at once: issue, verify, seal, open, read.

use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, Message, RecipientKey, ReplaySet};
use ok2cry_protocol::{http::OpenResponse, ids::Purpose, rpc::KeyState};
use ok2cry_tests::{Deployment, Options, eventually};
use std::{
    collections::HashSet,
    sync::{Barrier, Mutex},
    thread,
};

const CLIENTS: usize = 50;
const KEYS_EACH: usize = 20;

/// How the clients ask for their twenty keys: one at a time, some at once, or all at once.
const HABITS: [&[u32]; 5] = [&[1; 20], &[20], &[5, 5, 5, 5], &[1, 19], &[2, 3, 4, 5, 6]];

struct Recipient {
    key: RecipientKey,
    seen: Mutex<ReplaySet>,
}

#[test]
fn a_thousand_keys_of_fifty_clients_are_verified_sealed_to_and_opened_once_by_their_recipients() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let trust = deployment.trust().unwrap();
    let purpose = Purpose::new("card-pin").unwrap();
    let recipients: [Recipient; 5] =
        std::array::from_fn(|_| Recipient { key: RecipientKey::generate().unwrap(), seen: Mutex::default() });
    let (ids, start) = (Mutex::new(HashSet::new()), Barrier::new(CLIENTS));

    let one_client = |number: usize| {
        let client = deployment.client();
        start.wait();
        for (request_number, count) in HABITS[number % HABITS.len()].iter().enumerate() {
            let recipient = &recipients[(number + request_number) % recipients.len()];
            let issue = || {
                let request = KeyRequest::new(
                    "card-pin",
                    std::time::Duration::from_secs(300),
                    recipient.key.public_key(),
                )
                .unwrap();
                client.issue(request.with_count(*count).unwrap(), &trust, &CheckTime::system())
            };
            // A slow enclave tells some to come again: nothing has been made for them.
            let keys = eventually("keys", || match issue() {
                Err(refused) if refused.code() == "busy" => None,
                other => Some(other.unwrap()),
            });
            assert_eq!(keys.len(), *count as usize);
            for (key_number, key) in keys.into_iter().enumerate() {
                let id = key.key_id();
                assert!(ids.lock().unwrap().insert(id), "a key was handed out twice");
                assert_eq!(client.state(id).unwrap(), KeyState::Live);

                let pin = format!("PIN {number} {request_number} {key_number}");
                let aad = format!("order {number}/{request_number}/{key_number}");
                let sealed = key
                    .seal(&Message { plaintext: pin.as_bytes(), aad: aad.as_bytes() }, &CheckTime::system())
                    .unwrap();
                let OpenResponse::Sealed(reply) = client.open(&sealed).unwrap() else {
                    panic!("plaintext came, and a recipient had been named");
                };
                let expected = Expected { purpose: &purpose, aad: aad.as_bytes() };
                let seen = &mut *recipient.seen.lock().unwrap();
                let opened =
                    recipient.key.open(&reply, &expected, &trust, &CheckTime::system(), seen).unwrap();
                assert_eq!(opened.plaintext.as_slice(), pin.as_bytes());
                assert_eq!(opened.descriptor.key_id, id);
                assert_eq!(client.state(id).unwrap(), KeyState::Used);
            }
        }
    };
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || one_client(number));
        }
    });

    assert_eq!(ids.lock().unwrap().len(), CLIENTS * KEYS_EACH);
    let health = deployment.health().unwrap();
    assert_eq!((health.live_keys, health.tombstones), (0, 1000));
    assert!(health.attested >= 1000);
    let requests: usize = HABITS.iter().map(|habit| habit.len()).sum::<usize>() * CLIENTS / HABITS.len();
    let statements_and_contexts = health.attested - 1000;
    assert!(
        health.documents < requests as u64 + statements_and_contexts,
        "{} documents for {requests} requests: nothing was attested together",
        health.documents,
    );
}
