//! The whole transaction, many times at once: issue, verify, seal, open, read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy.toml's list is for #[test]")]

use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, Message, OpenedReply, RecipientKey, ReplaySet, Trust};
use ok2cry_protocol::{http::OpenResponse, ids::Purpose, rpc::KeyState};
use ok2cry_testkit::{Deployment, Options, eventually};
use std::{
    collections::HashSet,
    sync::{Barrier, Mutex},
    thread,
};

const CLIENTS: usize = 50;
const KEYS_EACH: usize = 20;

/// The key counts of each client's requests, twenty keys in all.
const REQUESTS: [&[u32]; 5] = [&[1; 20], &[20], &[5, 5, 5, 5], &[1, 19], &[2, 3, 4, 5, 6]];

struct Recipient {
    key: RecipientKey,
    seen: Mutex<ReplaySet>,
}

impl Recipient {
    fn read(&self, answer: OpenResponse, aad: &[u8], trust: &Trust) -> OpenedReply {
        let OpenResponse::Sealed(reply) = answer else { panic!("expected a sealed reply, found plaintext") };
        let purpose = Purpose::new("card-pin").unwrap();
        let expected = Expected { purpose: &purpose, aad };
        let seen = &mut *self.seen.lock().unwrap();
        self.key.open(&reply, &expected, trust, &CheckTime::system(), seen).unwrap()
    }
}

#[test]
fn a_thousand_keys_of_fifty_clients_each_open_once() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let trust = deployment.trust().unwrap();
    let recipients: [Recipient; 5] =
        std::array::from_fn(|_| Recipient { key: RecipientKey::generate().unwrap(), seen: Mutex::default() });
    let (ids, start) = (Mutex::new(HashSet::new()), Barrier::new(CLIENTS));

    let one_client = |number: usize| {
        let client = deployment.client();
        start.wait();
        for (request_number, count) in REQUESTS[number % REQUESTS.len()].iter().enumerate() {
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
            // A slow enclave refuses some as `busy`, and makes no keys for them.
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
                let opened = recipient.read(client.open(&sealed).unwrap(), aad.as_bytes(), &trust);
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
    let requests: usize =
        REQUESTS.iter().map(|counts| counts.len()).sum::<usize>() * CLIENTS / REQUESTS.len();
    let statements_and_contexts = health.attested - 1000;
    assert!(
        health.documents < requests as u64 + statements_and_contexts,
        "{} documents for {requests} requests: no keys were attested together",
        health.documents,
    );
}
