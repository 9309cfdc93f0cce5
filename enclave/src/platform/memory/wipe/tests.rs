//! Searches the memory of an enclave for secrets, after it has used, destroyed and expired its keys.
//!
//! The enclave is a process of its own (`child`), with server, attester and reaper, under each crypto
//! provider. This process is client and recipient: it requests keys, seals to them and reads replies, so that
//! it knows or can compute every secret. It gets scalars through a command that only this test has. Then it
//! reads all writable memory of the other process, and searches it for each secret in each form in which
//! arithmetic holds it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

mod arithmetic;
mod child;
mod secrets;

use crate::keys::crypto::CryptoProvider;
use child::Child;
use ok2cry_protocol::{
    Encoded, Record as _,
    descriptor::{DeliverTo, KeyDescriptor},
    ids::Nonce,
    ids::Purpose,
    reply::{Reply, ReplyContext},
    rpc::{Answer, Attested, Call, Issue, KeyState, Open, Refusal},
    suite::PublicKey,
};
use secrets::{Needles, Recipient};
use std::collections::BTreeSet;

pub(super) use child::is_switched_off;

/// How many keys end in each way.
const KEYS: u32 = 6;
const TTL: u64 = 60_000;

#[test]
fn no_secret_is_left_in_the_memory_of_an_enclave() {
    for provider in CryptoProvider::ALL {
        let RunResult { mut child, live, ended, contexts } = run_keys(*provider, true);
        assert_eq!(live.missing_in(&child.memory()), NONE, "{provider}: live keys are not found");
        let found = ended.found_in(&child.memory());
        assert_eq!(found, NONE, "{provider}: after use, destruction and failures");

        // The live keys expire, and so do the reply contexts.
        child.advance(TTL + 1000);
        child.until_all_ended();
        let memory = child.memory();
        assert_eq!(live.found_in(&memory), NONE, "{provider}: after expiry");
        assert_eq!(contexts.found_in(&memory), NONE, "{provider}: after the contexts' end");
        assert_eq!(ended.found_in(&memory), NONE, "{provider}: later");
        println!(
            "{provider}: {} MiB read, {} forms of secrets searched for",
            memory.len() >> 20,
            ended.len()
        );
    }
}

#[test]
fn with_wiping_switched_off_the_search_finds_secrets() {
    for provider in CryptoProvider::ALL {
        let RunResult { mut child, ended, .. } = run_keys(*provider, false);
        let found = ended.found_in(&child.memory());
        for secret in ["the scalar of a used key", "the scalar of a destroyed key", "the plaintext"] {
            assert!(
                found.iter().any(|name| name.starts_with(secret)),
                "{provider}: not {secret}: {found:#?}"
            );
        }
        // These are found only because the stack is not overwritten.
        assert!(found.iter().any(|name| name.contains("secret of")), "{provider}: {found:#?}");
        println!("{provider}: {found:#?}");
    }
}

const NONE: BTreeSet<String> = BTreeSet::new();

struct RunResult {
    child: Child,
    /// Secrets of live keys.
    live: Needles,
    /// Secrets of ended keys, opens and replies.
    ended: Needles,
    /// Secrets of reply contexts, which live for a minute.
    contexts: Needles,
}

fn run_keys(provider: CryptoProvider, erasure: bool) -> RunResult {
    let mut child = Child::start(provider, erasure);
    let recipient = Recipient::new();
    let (mut live, mut ended, mut contexts) = (Needles::default(), Needles::default(), Needles::default());
    let to_recipient = DeliverTo::Recipient(recipient.public);

    for key in issue(&mut child, "card-pin", &to_recipient) {
        live.scalar("the scalar of a live key", &child.scalar(&key.key_id));
    }
    for key in issue(&mut child, "card-pin", &to_recipient) {
        ended.scalar("the scalar of a destroyed key", &child.scalar(&key.key_id));
        // An open that fails computes with it, too.
        let open = sealed(&mut child, &key, &mut ended, b"other");
        assert!(child.call(Call::Open(open)).is_err());
        assert_eq!(child.call(Call::Destroy(key.key_id)), Ok(Answer::State(KeyState::Destroyed)));
    }
    for key in issue(&mut child, "card-pin", &to_recipient) {
        ended.scalar("the scalar of a used key", &child.scalar(&key.key_id));
        let open = sealed(&mut child, &key, &mut ended, b"order 1");
        let Ok(Answer::Sealed(answer)) = child.call(Call::Open(open)) else { panic!("not opened") };
        let Attested { record, .. } = answer.context;
        let context = ReplyContext::decode(&record).unwrap();
        let reply = Reply::decode(&answer.reply).unwrap();
        let context = (key.key_id.instance(), &context);
        recipient.read(context, &reply, &mut contexts, &mut ended);
    }
    for key in issue(&mut child, "caller-demo", &DeliverTo::Caller) {
        ended.scalar("the scalar of a used key", &child.scalar(&key.key_id));
        let open = sealed(&mut child, &key, &mut ended, b"order 1");
        assert!(matches!(child.call(Call::Open(open)), Ok(Answer::Plaintext(_))));
    }
    RunResult { child, live, ended, contexts }
}

fn issue(child: &mut Child, purpose: &str, deliver_to: &DeliverTo) -> Vec<Encoded<KeyDescriptor>> {
    let issue = Issue {
        nonce: Nonce::new([7; 32]).unwrap(),
        purpose: Purpose::new(purpose).unwrap(),
        ttl: TTL,
        deliver_to: deliver_to.clone(),
        count: KEYS,
    };
    let answer: Result<Answer, Refusal> = child.call(Call::Issue(issue));
    let Ok(Answer::Issued(issued)) = answer else { panic!("{answer:?}") };
    issued.keys.iter().map(|(descriptor, _)| Encoded::decode(descriptor).unwrap()).collect()
}

/// A message to a key, sealed with the aad "order 1" and sent with `aad`. Adds its secrets to `needles`.
fn sealed(child: &mut Child, key: &Encoded<KeyDescriptor>, needles: &mut Needles, aad: &[u8]) -> Open {
    let scalar = child.scalar(&key.key_id);
    let (enc, ciphertext): (PublicKey, Vec<u8>) = needles.seal(&scalar, key, b"order 1");
    Open { key_id: key.key_id, enc, ciphertext, aad: aad.to_vec() }
}
