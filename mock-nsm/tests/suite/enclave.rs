//! The enclave on a Nitro Secure Module that fails, stalls, lies and jumps in time.

use ok2cry_attest_verify::{CheckTime, Measurements, TrustAnchor};
use ok2cry_client::{KeyRequest, Message, RecipientKey, SealedMessage, Trust};
use ok2cry_enclave::{
    api::dispatch::Service,
    config::Config,
    platform::clock::{BootClock, KernelClock, ManualClock},
    run::{Enclave, StartError},
};
use ok2cry_mock_nsm::{Answer as NsmAnswer, MockConfig, MockHandle, MockNsm, MockPki, TimeSource};
use ok2cry_protocol::{
    code::Code,
    descriptor::DeliverTo,
    http::IssueResponse,
    ids::{KeyId, Nonce, Purpose},
    rpc::{Answer, Call, Health, Issue, Issued, KeyState, Open, Refusal},
    suite::PublicKey,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const CONFIG: &str =
    "max_ttl_ms = 300000\ncapacity = 1000\n[purposes.card-pin]\n[purposes.caller-demo]\ncaller = true\n";

struct EnclaveFixture {
    service: Arc<Service>,
    nsm: MockHandle,
    trust: Trust,
    recipient: RecipientKey,
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn start(config: &str) -> EnclaveFixture {
    start_with(config, Arc::new(KernelClock))
}

fn start_with(config: &str, clock: Arc<dyn BootClock>) -> EnclaveFixture {
    start_on(config, clock, MockConfig::default())
}

/// An enclave whose clocks only move by [`EnclaveFixture::wait`].
fn start_still(config: &str) -> (EnclaveFixture, ManualClock) {
    let (clock, time) = (ManualClock::default(), TimeSource::Fixed { unix_ms: now_ms() });
    let mock = MockConfig { time, ..MockConfig::default() };
    (start_on(config, Arc::new(clock.clone()), mock), clock)
}

fn start_on(config: &str, clock: Arc<dyn BootClock>, mock: MockConfig) -> EnclaveFixture {
    let pki = MockPki::generate(now_ms()).unwrap();
    let anchor = TrustAnchor::from_der(pki.root_der()).unwrap();
    let release = Measurements::new(mock.measurements()).unwrap();
    let nsm = MockNsm::new(pki, mock);
    let handle = nsm.handle();
    let mut config = Config::from_toml(config).unwrap();
    config.crypto_provider = crate::CRYPTO_PROVIDER;
    let enclave = Enclave::start_with_clock(config, Box::new(nsm), clock).unwrap();
    EnclaveFixture {
        service: enclave.service,
        nsm: handle,
        trust: Trust::new(anchor, [release]).unwrap(),
        recipient: RecipientKey::generate().unwrap(),
    }
}

impl EnclaveFixture {
    fn issue(&self, ttl: u64, count: u32) -> Issue {
        Issue {
            nonce: Nonce::new([7; 32]).unwrap(),
            purpose: Purpose::new("card-pin").unwrap(),
            ttl,
            deliver_to: DeliverTo::Recipient(*self.recipient.public_key()),
            count,
        }
    }

    async fn try_issue(&self, ttl: u64) -> Result<Issued, Code> {
        match self.service.call(Call::Issue(self.issue(ttl, 1))).await {
            Ok(Answer::Issued(issued)) => Ok(issued),
            Ok(other) => panic!("{other:?}"),
            Err(Refusal { code, .. }) => Err(code),
        }
    }

    /// Issues, verifies and seals as a client does.
    async fn sealed(&self, ttl: u64) -> SealedMessage {
        let request =
            KeyRequest::new("card-pin", Duration::from_millis(ttl), self.recipient.public_key()).unwrap();
        let body = request.body();
        let issue = Issue {
            nonce: Nonce::new(body.nonce.0).unwrap(),
            purpose: Purpose::new("card-pin").unwrap(),
            ttl,
            deliver_to: DeliverTo::Recipient(*self.recipient.public_key()),
            count: 1,
        };
        let Ok(Answer::Issued(issued)) = self.service.call(Call::Issue(issue)).await else {
            panic!("nothing issued");
        };
        let time = CheckTime::at(self.nsm.now_ms());
        let keys = request.verify_response(&IssueResponse::from(issued), &self.trust, &time).unwrap();
        keys.into_iter()
            .next()
            .unwrap()
            .seal(&Message { plaintext: b"1234", aad: b"order 1" }, &time)
            .unwrap()
    }

    async fn open(&self, message: &SealedMessage) -> Result<Answer, Code> {
        let open = Open {
            key_id: message.key_id,
            enc: message.enc,
            ciphertext: message.ciphertext.clone(),
            aad: message.aad.clone(),
        };
        self.service.call(Call::Open(open)).await.map_err(|r| r.code)
    }

    /// The same enclave, and another recipient.
    fn for_another_recipient(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            nsm: self.nsm.clone(),
            trust: self.trust.clone(),
            recipient: RecipientKey::generate().unwrap(),
        }
    }

    /// Moves both clocks.
    async fn wait(&self, clock: &ManualClock, ms: u64) {
        clock.advance(Duration::from_millis(ms));
        let to = clock.since_boot().as_millis();
        self.nsm.set_time_offset_ms(i64::try_from(to).unwrap());
        self.take_document().await.unwrap();
    }

    /// The refusal of an open for which there is no room.
    async fn no_room(&self, message: &SealedMessage) -> Refusal {
        let open = Open {
            key_id: message.key_id,
            enc: message.enc,
            ciphertext: message.ciphertext.clone(),
            aad: message.aad.clone(),
        };
        let refusal = self.service.call(Call::Open(open)).await.unwrap_err();
        assert_eq!((refusal.code, self.state(message.key_id).await), (Code::RepliesFull, KeyState::Live));
        refusal
    }

    async fn state(&self, id: KeyId) -> KeyState {
        match self.service.call(Call::Status(id)).await {
            Ok(Answer::State(state)) => state,
            other => panic!("{other:?}"),
        }
    }

    async fn health(&self) -> Health {
        match self.service.call(Call::Health).await {
            Ok(Answer::Health(health)) => health,
            other => panic!("{other:?}"),
        }
    }

    /// Takes a document now, which updates trusted time.
    async fn take_document(&self) -> Result<Answer, Code> {
        self.service.call(Call::Attest(Nonce::new([1; 16]).unwrap())).await.map_err(|r| r.code)
    }
}

#[test]
fn an_enclave_in_debug_mode_does_not_start() {
    let pki = MockPki::generate(now_ms()).unwrap();
    let nsm = MockNsm::new(pki, MockConfig::default().in_debug_mode());
    let refused = Enclave::start(Config::from_toml(CONFIG).unwrap(), Box::new(nsm)).err();
    assert!(matches!(refused, Some(StartError::Document(e)) if e.code() == "debug_mode"));
}

#[test]
fn an_enclave_whose_nsm_lies_does_not_start() {
    for answer in [NsmAnswer::Garbage, NsmAnswer::BrokenSignature, NsmAnswer::OtherRoot] {
        let nsm = MockNsm::new(MockPki::generate(now_ms()).unwrap(), MockConfig::default());
        nsm.handle().set_answer(answer);
        let started = Enclave::start(Config::from_toml(CONFIG).unwrap(), Box::new(nsm));
        assert!(matches!(started.err(), Some(StartError::Document(_))));
    }
}

#[tokio::test]
async fn a_failing_nsm_gives_no_keys_and_leaves_none() {
    let b = start(CONFIG);
    b.nsm.fail_next(1);
    assert_eq!(b.try_issue(1000).await.unwrap_err(), Code::NsmUnavailable);
    let health = b.health().await;
    assert_eq!((health.live_keys, health.tombstones, health.nsm_failures), (0, 0, 1));
    assert!(b.try_issue(1000).await.is_ok());
}

#[tokio::test]
async fn an_invalid_document_is_not_passed_on() {
    let b = start(CONFIG);
    for answer in [
        NsmAnswer::Garbage,
        NsmAnswer::BrokenSignature,
        NsmAnswer::OtherRoot,
        NsmAnswer::WrongUserData,
        NsmAnswer::WrongPublicKey,
    ] {
        b.nsm.set_answer(answer);
        // It does not update trusted time either: this one is an hour late.
        b.nsm.set_timestamp_offset_ms(3_600_000);
        assert_eq!(b.try_issue(1000).await.unwrap_err(), Code::NsmUnavailable, "{answer:?}");
        b.nsm.clear_faults();
        assert!(b.try_issue(1000).await.is_ok(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_cancelled_request_leaves_no_keys() {
    let b = Arc::new(start(CONFIG));
    b.nsm.hang();
    let issue = {
        let b = Arc::clone(&b);
        tokio::spawn(async move { b.try_issue(60_000).await })
    };
    while b.service.attestation_counters().requested.load(Ordering::Relaxed) < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(b.health().await.live_keys, 1);
    issue.abort();
    assert!(issue.await.unwrap_err().is_cancelled());
    let health = b.health().await;
    assert_eq!((health.live_keys, health.tombstones), (0, 0));
    b.nsm.release();
    assert!(b.try_issue(60_000).await.is_ok());
}

#[tokio::test]
async fn cancelled_requests_leave_nothing_at_any_stage() {
    let b = Arc::new(start(CONFIG));
    let mut cancelled = 0;
    for made in [0, 1, 5, 20, 50] {
        let issue = {
            let b = Arc::clone(&b);
            tokio::spawn(async move { b.service.call(Call::Issue(b.issue(60_000, 100))).await })
        };
        tokio::task::yield_now().await;
        while b.health().await.live_keys < made && !issue.is_finished() {
            tokio::task::yield_now().await;
        }
        issue.abort();
        if issue.await.is_err() {
            cancelled += 1;
            assert_eq!(b.service.attestation_counters().keys.load(Ordering::Relaxed), 0, "after {made}");
            assert_eq!(b.health().await.tombstones, 0);
        } else {
            // The request was faster. The next one needs an enclave without keys.
            return assert!(cancelled > 0, "none was cancelled in time");
        }
    }
}

#[tokio::test]
async fn documents_refresh_trusted_time_while_keys_live() {
    let b = start(CONFIG);
    let message = b.sealed(60_000).await;
    let requested = b.service.attestation_counters().requested.load(Ordering::Relaxed);
    let calls = b.nsm.calls();
    let mut tries = 0;
    while b.nsm.calls() < calls + 2 {
        tries += 1;
        assert!(tries < 2000, "trusted time goes stale while a key lives");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(b.service.attestation_counters().requested.load(Ordering::Relaxed), requested);
    assert!(matches!(b.open(&message).await, Ok(Answer::Sealed(_))));
}

#[tokio::test]
async fn a_document_that_is_some_seconds_behind_makes_no_key() {
    let b = start(CONFIG);
    // Within the skew that a batch may have, beyond the tolerance of the clocks.
    for behind_ms in [6_000, 20_000] {
        b.nsm.set_time_offset_ms(-behind_ms);
        assert_eq!(b.try_issue(60_000).await.unwrap_err(), Code::ClockUnsafe);
        assert_eq!(b.health().await.live_keys, 0);
    }
    b.nsm.set_time_offset_ms(0);
    assert!(b.try_issue(60_000).await.is_ok());
}

/// Otherwise a caller with many recipients could make the enclave hold a document for each, without any
/// reply.
#[tokio::test]
async fn proofs_of_contexts_count_in_the_reply_budget() {
    const BUDGET: usize = 65_536;
    let mut b = start(&format!("reply_budget_bytes = {BUDGET}\n{CONFIG}"));
    let mut held = 0;
    loop {
        b.recipient = RecipientKey::generate().unwrap();
        let message = b.sealed(60_000).await;
        match b.open(&message).await {
            Ok(Answer::Sealed(sealed)) => held += sealed.context.document.len(),
            Ok(other) => panic!("{other:?}"),
            Err(code) => {
                assert_eq!((code, b.state(message.key_id).await), (Code::RepliesFull, KeyState::Live));
                break;
            }
        }
        assert!(held <= BUDGET, "{held} bytes of documents are held in a budget of {BUDGET}");
    }
    assert!(held > BUDGET / 2, "only {held}");
}

#[tokio::test]
async fn without_room_for_its_reply_an_open_uses_no_key() {
    // Room for one context's proof and a reply or two.
    let b = start(&format!("reply_budget_bytes = 65536\n{CONFIG}"));
    let mut opened = 0;
    let refused = loop {
        let message = b.sealed(60_000).await;
        match b.open(&message).await {
            Ok(_) => opened += 1,
            Err(code) => {
                assert_eq!(code, Code::RepliesFull);
                break message;
            }
        }
        assert!(opened < 200, "the budget has no effect");
    };
    assert!(opened > 10, "only {opened} replies in 64 KiB");
    assert_eq!(b.state(refused.key_id).await, KeyState::Live);
}

#[tokio::test]
async fn replies_to_one_recipient_leave_room_for_another() {
    let (b, clock) = start_still(&format!("reply_budget_bytes = 262144\n{CONFIG}"));
    let refused = loop {
        let message = b.sealed(90_000).await;
        if b.open(&message).await.is_err() {
            break message;
        }
    };
    let refusal = b.no_room(&refused).await;
    assert!(refusal.detail.contains("this recipient's share"), "{}", refusal.detail);
    // Its context is erased after 60 s, and its first reply dropped after 90 s.
    assert_eq!(refusal.retry_after, 60_000);
    b.wait(&clock, 59_000).await;
    assert_eq!(b.no_room(&refused).await.retry_after, 1_000);
    for _ in 0..3 {
        let other = b.for_another_recipient();
        assert!(matches!(other.open(&other.sealed(60_000).await).await, Ok(Answer::Sealed(_))));
    }
    b.wait(&clock, 31_000).await;
    let message = b.sealed(60_000).await;
    let mut tries = 0;
    while b.open(&message).await.is_err() {
        tries += 1;
        assert!(tries < 1000, "the room of its replies is not returned");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An open that is refused for lack of room does no elliptic-curve work.
#[tokio::test]
async fn an_open_without_room_is_refused_before_the_ecdh() {
    let (b, _) = start_still(&format!("max_reply_contexts = 1\n{CONFIG}"));
    b.open(&b.sealed(60_000).await).await.unwrap();
    let other = b.for_another_recipient();
    // A message that does not open counts against its key once it has reached the ECDH.
    let mut garbage = other.sealed(60_000).await;
    garbage.ciphertext[0] ^= 1;
    for _ in 0..ok2cry_enclave::keys::store::MAX_FAILED_OPENS {
        other.no_room(&garbage).await;
    }
    assert_eq!(other.state(garbage.key_id).await, KeyState::Live);
}

#[tokio::test]
async fn a_hung_nsm_times_out() {
    let b = Arc::new(start(CONFIG));
    b.nsm.hang();
    let issue = {
        let b = Arc::clone(&b);
        tokio::spawn(async move { b.try_issue(1000).await })
    };
    while b.service.attestation_counters().requested.load(Ordering::Relaxed) < 1 {
        tokio::task::yield_now().await;
    }
    // From here on only the module is waited for, and paused time advances by itself.
    tokio::time::pause();
    assert_eq!(issue.await.unwrap().unwrap_err(), Code::NsmUnavailable);
    tokio::time::resume();
    assert_eq!(b.health().await.live_keys, 0);
    b.nsm.release();
    assert!(b.try_issue(1000).await.is_ok());
}

#[tokio::test]
async fn requests_during_an_nsm_call_share_one_document() {
    let b = Arc::new(start(CONFIG));
    b.nsm.hang();
    let issues: Vec<_> = (0..20)
        .map(|_| {
            let b = Arc::clone(&b);
            tokio::spawn(async move { b.try_issue(60_000).await.unwrap() })
        })
        .collect();
    while b.service.attestation_counters().requested.load(Ordering::Relaxed) < 20 {
        tokio::task::yield_now().await;
    }
    b.nsm.release();
    let mut documents = Vec::new();
    for issue in issues {
        documents.push(issue.await.unwrap().document);
    }
    documents.sort_by(|a, b| a[..].cmp(&b[..]));
    documents.dedup();
    assert!(documents.len() <= 2, "{} documents for 20 keys", documents.len());
    assert!(b.health().await.attested >= 20);
}

#[tokio::test]
async fn keys_are_made_only_as_the_configuration_allows() {
    let b = start(CONFIG);
    let issue = |purpose: &str, ttl, deliver_to| Issue {
        nonce: Nonce::new([7; 32]).unwrap(),
        purpose: Purpose::new(purpose).unwrap(),
        ttl,
        deliver_to,
        count: 1,
    };
    let recipient = || DeliverTo::Recipient(*b.recipient.public_key());
    for (issue, code) in [
        (issue("card-pan", 1000, recipient()), Code::PurposeUnknown),
        (issue("card-pin", 0, recipient()), Code::TtlOutOfRange),
        (issue("card-pin", 300_001, recipient()), Code::TtlOutOfRange),
        (issue("card-pin", 1000, DeliverTo::Caller), Code::CallerNotAllowed),
    ] {
        assert_eq!(b.service.call(Call::Issue(issue)).await.unwrap_err().code, code);
    }
    assert!(b.service.call(Call::Issue(issue("caller-demo", 1000, DeliverTo::Caller))).await.is_ok());
}

#[tokio::test]
async fn a_full_store_names_a_retry_time() {
    let b = start(&CONFIG.replace("capacity = 1000", "capacity = 1"));
    b.try_issue(60_000).await.unwrap();
    let issue = Issue {
        nonce: Nonce::new([7; 32]).unwrap(),
        purpose: Purpose::new("card-pin").unwrap(),
        ttl: 1000,
        deliver_to: DeliverTo::Recipient(*b.recipient.public_key()),
        count: 1,
    };
    let refusal = b.service.call(Call::Issue(issue)).await.unwrap_err();
    assert_eq!(refusal.code, Code::StoreFull);
    assert!((1..=60_000).contains(&refusal.retry_after));
}

#[tokio::test]
async fn without_a_recent_document_nothing_opens_and_the_key_lives_on() {
    let clock = ManualClock::default();
    let b = start_with(CONFIG, Arc::new(clock.clone()));
    let message = b.sealed(60_000).await;
    b.nsm.fail_always(true);
    clock.advance(Duration::from_millis(2001));
    assert_eq!(b.open(&message).await.unwrap_err(), Code::ClockUnsafe);
    assert_eq!(b.state(message.key_id).await, KeyState::Live);
    b.nsm.clear_faults();
    b.take_document().await.unwrap();
    assert!(matches!(b.open(&message).await, Ok(Answer::Sealed(_))));
}

#[tokio::test]
async fn a_paused_machine_resumes_with_its_keys_expired() {
    let b = start_with(CONFIG, Arc::new(ManualClock::default()));
    let message = b.sealed(60_000).await;
    // The enclave's own clock stopped; the hypervisor's did not.
    b.nsm.set_time_offset_ms(60_000);
    // The document updates trusted time, although its timestamp is too far from its statement to be passed
    // on.
    assert_eq!(b.take_document().await.unwrap_err(), Code::ClockUnsafe);
    assert_eq!(b.open(&message).await.unwrap_err(), Code::KeyExpired);
    assert_eq!(b.state(message.key_id).await, KeyState::Expired);
    assert!(b.try_issue(1000).await.is_ok());
}

#[tokio::test]
async fn a_key_expires_by_the_boot_clock_alone() {
    let clock = ManualClock::default();
    let b = start_with(CONFIG, Arc::new(clock.clone()));
    let message = b.sealed(4_000).await;
    clock.advance(Duration::from_millis(4_000));
    b.take_document().await.unwrap();
    assert_eq!(b.open(&message).await.unwrap_err(), Code::KeyExpired);
}

#[tokio::test]
async fn documents_that_go_back_in_time_stop_everything() {
    let b = start(CONFIG);
    let message = b.sealed(60_000).await;
    b.nsm.set_time_offset_ms(-1_800_000);
    assert_eq!(b.take_document().await.unwrap_err(), Code::ClockUnsafe);
    assert_eq!(b.open(&message).await.unwrap_err(), Code::ClockUnsafe);
    assert_eq!(b.try_issue(1000).await.unwrap_err(), Code::ClockUnsafe);
    assert_eq!(b.health().await.live_keys, 1, "only the key from before is left");
}

#[tokio::test]
async fn one_recipient_has_one_context_and_each_reply_its_own_secret() {
    let b = start(CONFIG);
    let (first, second) = (b.sealed(60_000).await, b.sealed(60_000).await);
    let (Ok(Answer::Sealed(first)), Ok(Answer::Sealed(second))) =
        (b.open(&first).await, b.open(&second).await)
    else {
        panic!("nothing opened");
    };
    assert_eq!(first.context, second.context);
    assert_ne!(first.reply, second.reply);
}

#[tokio::test]
async fn recipients_beyond_the_limit_use_no_key() {
    let (b, clock) = start_still(&format!("max_reply_contexts = 1\n{CONFIG}"));
    let message = b.sealed(60_000).await;
    b.open(&message).await.unwrap();
    let other = b.for_another_recipient();
    let message = other.sealed(60_000).await;
    let refusal = other.no_room(&message).await;
    assert!(refusal.detail.contains("the limit of recipients"), "{}", refusal.detail);
    assert_eq!(refusal.retry_after, 50_000);
    for (after, wait) in [(20_000, 30_000), (29_999, 1)] {
        b.wait(&clock, after).await;
        assert_eq!(other.no_room(&message).await.retry_after, wait);
    }
    b.wait(&clock, 1).await;
    assert!(matches!(other.open(&message).await, Ok(Answer::Sealed(_))));
}

#[tokio::test]
async fn failed_opens_are_counted_and_end_the_key_at_the_limit() {
    let b = start(CONFIG);
    let message = b.sealed(60_000).await;
    let mut broken = message.clone();
    broken.ciphertext[0] ^= 1;
    for _ in 0..ok2cry_enclave::keys::store::MAX_FAILED_OPENS {
        assert_eq!(b.open(&broken).await.unwrap_err(), Code::OpenFailed);
    }
    assert_eq!(b.open(&message).await.unwrap_err(), Code::KeyDestroyed);
}

#[tokio::test]
async fn an_enc_that_is_another_public_key_opens_nothing() {
    let b = start(CONFIG);
    let mut message = b.sealed(60_000).await;
    message.enc = PublicKey::new(b.recipient.public_key().as_bytes()).unwrap();
    assert_eq!(b.open(&message).await.unwrap_err(), Code::OpenFailed);
}

#[tokio::test]
async fn invalid_messages_take_no_context() {
    let b = start(&format!("max_reply_contexts = 1\n{CONFIG}"));
    let attacker = EnclaveFixture { recipient: RecipientKey::generate().unwrap(), ..b };
    let mut garbage = attacker.sealed(60_000).await;
    garbage.ciphertext[0] ^= 1;
    assert_eq!(attacker.open(&garbage).await.unwrap_err(), Code::OpenFailed);
    let victim = EnclaveFixture { recipient: RecipientKey::generate().unwrap(), ..attacker };
    let message = victim.sealed(60_000).await;
    assert!(matches!(victim.open(&message).await, Ok(Answer::Sealed(_))));
}

#[tokio::test]
async fn a_failed_context_fails_all_waiting_opens_at_once() {
    let clock = ManualClock::default();
    let b = Arc::new(start_with(CONFIG, Arc::new(clock.clone())));
    let mut messages = Vec::new();
    for _ in 0..8 {
        messages.push(b.sealed(60_000).await);
    }
    b.nsm.hang();
    let requested = || b.service.attestation_counters().requested.load(Ordering::Relaxed);
    let before = requested();
    let opens: Vec<_> = messages
        .iter()
        .map(|message| {
            let (b, message) = (Arc::clone(&b), message.clone());
            tokio::spawn(async move { b.open(&message).await.unwrap_err() })
        })
        .collect();
    for open in opens {
        assert_eq!(open.await.unwrap(), Code::NsmUnavailable);
    }
    assert_eq!(requested(), before + 1, "each open made an attempt of its own");
    b.nsm.release();
    assert!(matches!(b.open(&messages[0]).await, Ok(Answer::Sealed(_))), "and the keys live on");
}

#[tokio::test]
async fn keys_are_erased_on_time_without_new_documents() {
    let clock = ManualClock::default();
    let b = start_with(CONFIG, Arc::new(clock.clone()));
    b.sealed(20_000).await;
    b.nsm.hang();
    clock.advance(Duration::from_secs(20));
    let mut tries = 0;
    while b.health().await.live_keys > 0 {
        tries += 1;
        assert!(tries < 1000, "the key outlives its deadline");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    b.nsm.release();
}

/// Requests keys, one request for each of `counts`, while the module holds a call. Returns how many documents
/// they share.
async fn documents_for(max_batch: usize, counts: &[u32]) -> usize {
    let b = Arc::new(start(&format!("max_batch = {max_batch}\n{CONFIG}")));
    b.nsm.hang();
    let spawn = |count| {
        let b = Arc::clone(&b);
        tokio::spawn(async move {
            match b.service.call(Call::Issue(b.issue(60_000, count))).await {
                Ok(Answer::Issued(issued)) => (issued.document, issued.keys.len()),
                other => panic!("{other:?}"),
            }
        })
    };
    // The held call is for this request.
    let first = spawn(1);
    while b.nsm.calls() < 2 {
        tokio::task::yield_now().await;
    }
    let issues: Vec<_> = counts.iter().map(|count| spawn(*count)).collect();
    // This request is cancelled before it is attested.
    let gone = spawn(1);
    let all = 2 + u64::from(counts.iter().sum::<u32>());
    while b.service.attestation_counters().requested.load(Ordering::Relaxed) < all {
        tokio::task::yield_now().await;
    }
    gone.abort();
    b.nsm.release();
    let (mut documents, held) = (Vec::new(), first.await.unwrap().0);
    for (issue, count) in issues.into_iter().zip(counts) {
        let (document, keys) = issue.await.unwrap();
        assert_eq!(keys, *count as usize);
        assert!(document[..] != held[..]);
        documents.push(document.to_vec());
    }
    documents.sort();
    documents.dedup();
    documents.len()
}

#[tokio::test]
async fn a_batch_is_what_is_queued_up_to_its_limit() {
    assert_eq!(documents_for(4096, &[1, 1, 1, 1, 1, 1]).await, 1);
    assert_eq!(documents_for(1, &[1, 1, 1]).await, 3);
    assert_eq!(documents_for(2, &[1, 1, 1, 1, 1]).await, 3);
    // The keys of one request are never split.
    assert_eq!(documents_for(2, &[100]).await, 1);
    assert_eq!(documents_for(1, &[3, 1]).await, 2);
}
