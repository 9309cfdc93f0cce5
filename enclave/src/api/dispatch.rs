//! The service: one method per call, health, and the reaper's round.

use crate::{
    attest::{Attester, Counters},
    config::Config,
    keys::{
        crypto::Provider,
        reaper::{self, WakeTimer},
        store::{Limits, Store},
    },
    platform::{
        clock::{TimePoint, TrustedTime},
        compute_pool::{ComputePool, QueueId},
        memory::budget::Budget,
    },
    replies::{
        MIN_SHARE, StoredReply,
        contexts::{ContextSettings, Contexts},
    },
};
use ok2cry_protocol::{
    Record,
    code::Code,
    ids::{InstanceId, KeyId, Nonce},
    rpc::{Answer, Attested, Call, Health, Refusal},
    statement::Statement,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::oneshot;

/// One boot of an enclave.
pub struct Service {
    pub(super) config: Config,
    pub(super) instance: InstanceId,
    pub(super) time: TrustedTime,
    pub(super) crypto: &'static dyn Provider,
    pub(super) attester: Attester,
    pub(super) store: Arc<Store<StoredReply>>,
    pub(super) contexts: Contexts,
    pub(super) pool: ComputePool,
    pub(super) wake_timer: WakeTimer,
    /// Streams closed for an invalid frame or request.
    pub(super) streams_closed: AtomicU64,
}

impl Service {
    /// A service without keys. `log_key` is the boot's log key (SPKI, DER), which names the instance.
    pub fn new(
        config: Config,
        log_key: &[u8],
        time: TrustedTime,
        attester: Attester,
        pool: ComputePool,
    ) -> Self {
        let instance = InstanceId::of_log_key(log_key);
        let crypto = config.crypto_provider.provider();
        let limits = Limits::new(config.capacity, config.max_tombstones);
        let contexts = Contexts::new(ContextSettings {
            instance,
            crypto,
            attester: attester.clone(),
            time: time.clone(),
            pool: pool.clone(),
            budget: Budget::new(config.reply_budget_bytes, MIN_SHARE),
            max_recipients: config.max_reply_contexts,
        });
        Self {
            instance,
            store: Arc::new(Store::counting_in(limits, Arc::clone(&attester.counters().keys))),
            contexts,
            time,
            crypto,
            attester,
            config,
            pool,
            wake_timer: WakeTimer::default(),
            streams_closed: AtomicU64::new(0),
        }
    }

    /// This boot's id.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// What has been attested since boot.
    pub fn attestation_counters(&self) -> &Counters {
        self.attester.counters()
    }

    /// Answers one call that belongs to no stream.
    pub async fn call(self: &Arc<Self>, call: Call) -> Result<Answer, Refusal> {
        self.call_from(QueueId::default(), call).await
    }

    /// Answers one call. Its work waits for the compute pool in `queue`.
    pub async fn call_from(self: &Arc<Self>, queue: QueueId, call: Call) -> Result<Answer, Refusal> {
        match call {
            Call::Issue(issue) => self.issue(queue, issue).await.map(Answer::Issued),
            Call::Open(open) => self.open(queue, open).await,
            Call::Status(id) => self.now().map(|now| Answer::State(self.store.state(id, now))),
            Call::Destroy(id) => self.destroy(id),
            Call::Attest(nonce) => self.attest(nonce).await.map(Answer::Attested),
            Call::Health => Ok(Answer::Health(self.health())),
        }
    }

    /// Starts the thread that erases keys, contexts and replies when they are due. It ends once the service
    /// is dropped; the returned channel closes if it ends before.
    pub fn start_reaper(self: &Arc<Self>) -> io::Result<oneshot::Receiver<()>> {
        reaper::start(self, Self::reap_and_sleep)
    }

    fn reap_and_sleep(&self) {
        let begun = self.time.boot_ms();
        // Without trusted time there is no key to erase.
        let next =
            self.time.now().ok().and_then(|now| {
                self.store.run_round(now).into_iter().chain(self.contexts.run_due(now)).min()
            });
        // `next` counts from `begun`, and erasing has taken time since.
        let done = self.time.boot_ms();
        self.wake_timer.sleep(done, next.map(|wait| wait.saturating_sub(done.saturating_sub(begun))));
    }

    fn destroy(&self, id: KeyId) -> Result<Answer, Refusal> {
        let now = self.now()?;
        Ok(Answer::State(self.store.destroy(id, now)))
    }

    async fn attest(&self, nonce: Nonce) -> Result<Attested, Refusal> {
        let now = self.now()?;
        let record = Statement { nonce, time: now.wall_ms }.encode();
        let attestation = self.attester.attest(&[&record], now.wall_ms).await?;
        let inclusion = attestation.inclusions.into_iter().next().ok_or(Code::Internal)?;
        Ok(Attested { record, inclusion, document: attestation.document })
    }

    fn health(&self) -> Health {
        let (live, tombstones) = self.store.counts();
        let counters = self.attestation_counters();
        Health {
            live_keys: live as u64,
            capacity: self.config.capacity as u64,
            tombstones: tombstones as u64,
            documents: counters.documents.load(Ordering::Relaxed),
            attested: counters.attested.load(Ordering::Relaxed),
            nsm_failures: counters.failures.load(Ordering::Relaxed),
            streams_closed: self.streams_closed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn now(&self) -> Result<TimePoint, Refusal> {
        Ok(self.time.now()?)
    }

    /// The scalar of a live key, for the test that searches memory for it.
    #[cfg(test)]
    pub(crate) fn scalar(&self, id: KeyId) -> [u8; 48] {
        match self.store.find(id, self.now().unwrap()) {
            Ok(crate::keys::store::Found::Live(ticket)) => ticket.scalar().unwrap(),
            _ => panic!("the key is not live"),
        }
    }
}
