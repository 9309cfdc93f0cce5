//! What callers cannot observe, or would have to wait a minute for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy.toml's list is for #[test]")]

use super::dispatch::Service;
use crate::{
    attest::{Attester, AttesterConfig},
    config::Config,
    platform::{
        clock::{ManualClock, TrustedTime},
        compute_pool::ComputePool,
        nsm::{Nsm as _, forged::ForgedNsm},
    },
    replies::{ReplyError, contexts::OpenedMessage},
};
use ok2cry_attest_verify::{TrustAnchor, Verifier};
use ok2cry_protocol::{
    Encoded,
    descriptor::{DeliverTo, KeyDescriptor},
    ids::{Nonce, Purpose},
    rpc::{Answer, Call, Issue},
};
use std::{sync::Arc, time::Duration};

const TTL: u64 = 60_000;

#[tokio::test]
async fn a_new_deadline_wakes_the_reaper() {
    let (service, _) = start();
    assert!(!service.wake_timer.is_woken());
    issue(&service).await;
    assert!(service.wake_timer.is_woken());
}

#[tokio::test]
async fn nothing_is_sealed_under_a_context_that_has_ended() {
    let (service, clock) = start();
    let (_, recipient) = service.crypto.generate().unwrap();
    let context = service.contexts.ready(&recipient, service.now().unwrap()).await.unwrap();
    let descriptor = issue(&service).await;
    let seal = || {
        let (charge, now) = (service.contexts.charge(&recipient, 1000).unwrap(), service.now().unwrap());
        let message = OpenedMessage {
            descriptor: &descriptor,
            aad: b"aad",
            request_digest: &[0; 48],
            plaintext: b"1234",
        };
        context.seal(&message, charge, now).map(drop)
    };
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(seal(), Ok(()));
    clock.advance(Duration::from_millis(1));
    assert_eq!(seal(), Err(ReplyError::ContextEnded));
}

#[tokio::test]
async fn contexts_are_erased_each_at_its_own_time() {
    let (service, clock) = start();
    for _ in 0..3 {
        let (_, recipient) = service.crypto.generate().unwrap();
        service.contexts.ready(&recipient, service.now().unwrap()).await.unwrap();
        clock.advance(Duration::from_secs(20));
    }
    let next = || service.contexts.run_due(service.now().unwrap());
    assert_eq!(next(), Some(20_000));
    clock.advance(Duration::from_secs(20));
    assert_eq!(next(), Some(20_000));
    clock.advance(Duration::from_secs(20));
    assert_eq!(next(), None);
}

/// A service without a reaper, on a clock that stands still.
pub(crate) fn start() -> (Arc<Service>, ManualClock) {
    let clock = ManualClock::default();
    let time = TrustedTime::new(Arc::new(clock.clone()));
    time.observe(ok2cry_attest_forge::TIMESTAMP_MS, time.since_boot());
    let config = Config::from_toml("max_ttl_ms = 300000\ncapacity = 10\n[purposes.card-pin]\n").unwrap();
    let log_key = vec![1; 44];
    let nsm = Box::new(ForgedNsm::new(clock.clone()));
    let verifier = Verifier::new(TrustAnchor::from_der(nsm.root_certificate()).unwrap());
    let pool = ComputePool::start().unwrap();
    let attester = Attester::start(AttesterConfig {
        nsm,
        verifier,
        log_key: log_key.clone(),
        time: time.clone(),
        pool: pool.clone(),
        max_batch: 4096,
    })
    .unwrap();
    (Arc::new(Service::new(config, &log_key, time, attester, pool)), clock)
}

async fn issue(service: &Arc<Service>) -> Encoded<KeyDescriptor> {
    let (_, recipient) = service.crypto.generate().unwrap();
    let issue = Issue {
        nonce: Nonce::new([7; 32]).unwrap(),
        purpose: Purpose::new("card-pin").unwrap(),
        ttl: TTL,
        deliver_to: DeliverTo::Recipient(recipient),
        count: 1,
    };
    let Ok(Answer::Issued(issued)) = service.call(Call::Issue(issue)).await else { panic!("no key") };
    Encoded::decode(&issued.keys[0].0).unwrap()
}
