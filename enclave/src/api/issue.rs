//! Issue: keys are made step by step on the compute pool, and attested together.

use super::dispatch::Service;
use crate::{
    attest::{ATTEST_TIMEOUT, AttestError, AttestResult},
    keys::store::{NewKey, Reservation},
    platform::{
        clock::TimePoint,
        compute_pool::{PoolError, QUEUE_TIMEOUT, QueueId},
    },
    replies::StoredReply,
};
use ok2cry_protocol::{
    Record,
    code::Code,
    descriptor::{DeliverTo, KeyDescriptor},
    ids::KeyId,
    rpc::{Issue, Issued, Refusal},
    suite::Suite,
};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// How long the NSM may take after the pool has used its whole timeout.
const NSM_TIMEOUT: Duration = ATTEST_TIMEOUT.saturating_sub(QUEUE_TIMEOUT);

/// Keys of one request, shared by the steps that make them and the task that waits for them.
struct KeysInProgress {
    /// Without a confirmation, the keys are removed with it.
    reservation: Option<Reservation<StoredReply>>,
    records: Vec<Arc<[u8]>>,
    /// The side that takes it decides whether the request goes on.
    answer: Option<oneshot::Sender<AttestResult>>,
    /// Why a key could not be made.
    failure: Option<Refusal>,
}

/// Held by the task that waits. Dropping it removes the keys, unless they are confirmed.
struct IssueGuard(Arc<Mutex<KeysInProgress>>);

impl Drop for IssueGuard {
    fn drop(&mut self) {
        let reservation = lock(&self.0).reservation.take();
        drop(reservation);
    }
}

impl Service {
    pub(super) async fn issue(self: &Arc<Self>, queue: QueueId, issue: Issue) -> Result<Issued, Refusal> {
        // The ttl runs from here, however long the NSM takes.
        let now = self.now()?;
        self.check_rules(&issue)?;
        let reservation = self.store.reserve(issue.count as usize, now)?;
        let (answer, mut attested) = oneshot::channel();
        let guard = IssueGuard(Arc::new(Mutex::new(KeysInProgress {
            reservation: Some(reservation),
            records: Vec::with_capacity(issue.count as usize),
            answer: Some(answer),
            failure: None,
        })));
        let (service, keys) = (Arc::clone(self), Arc::clone(&guard.0));
        self.pool.enqueue(queue, move || service.make_next(&keys, &issue, now));
        let attested = match timeout(QUEUE_TIMEOUT, &mut attested).await {
            Ok(attested) => attested,
            // The lock is held for one step at most, which is short.
            Err(_) if lock(&guard.0).answer.take().is_some() => return Err(PoolError::TimedOut.into()),
            // All keys are made, and the NSM is working.
            Err(_) => timeout(NSM_TIMEOUT, attested).await.map_err(|_| AttestError::NoDocument)?,
        };
        let attestation = attested
            .map_err(|_| lock(&guard.0).failure.take().unwrap_or_else(|| Code::Internal.into()))??;
        // The document has updated trusted time, and may have shown that the enclave's own clock is wrong.
        self.time.check_agreement()?;
        let mut keys = lock(&guard.0);
        if let Some(reservation) = keys.reservation.take() {
            reservation.confirm();
        }
        let records = keys.records.iter().map(|record| record.to_vec());
        Ok(Issued { document: attestation.document, keys: records.zip(attestation.inclusions).collect() })
    }

    /// One step: makes a key, and submits all records after the last.
    fn make_next(&self, keys: &Mutex<KeysInProgress>, issue: &Issue, accepted: TimePoint) -> ControlFlow<()> {
        let keys = &mut *lock(keys);
        let Some(answer) = keys.answer.take().filter(|answer| !answer.is_closed()) else {
            return ControlFlow::Break(());
        };
        let made = match &mut keys.reservation {
            Some(reservation) => self.make_key(reservation, issue, keys.records.len(), accepted),
            None => Err(Code::Internal.into()),
        };
        match made {
            Ok(record) => keys.records.push(record),
            Err(refusal) => {
                // The task that waits notices that `answer` is dropped.
                keys.failure = Some(refusal);
                return ControlFlow::Break(());
            }
        }
        if keys.records.len() < issue.count as usize {
            keys.answer = Some(answer);
            return ControlFlow::Continue(());
        }
        self.attester.submit(&keys.records, accepted.wall_ms, answer);
        ControlFlow::Break(())
    }

    /// Makes the `i`th key of a request and inserts it. Returns its descriptor's bytes.
    fn make_key(
        &self,
        reservation: &mut Reservation<StoredReply>,
        issue: &Issue,
        i: usize,
        accepted: TimePoint,
    ) -> Result<Arc<[u8]>, Refusal> {
        let index = u32::try_from(i).map_err(|_| Refusal::new(Code::Internal))?;
        let deadline = accepted.plus(issue.ttl);
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| Refusal::new(Code::Internal))?;
        let id = KeyId::new(self.instance, random);
        let (private, public_key) = self.crypto.generate().ok_or(Code::Internal)?;
        let descriptor = KeyDescriptor {
            key_id: id,
            suite: Suite::P384,
            public_key,
            issued_at: accepted.wall_ms,
            expires_at: deadline.wall_ms,
            purpose: issue.purpose.clone(),
            deliver_to: issue.deliver_to.clone(),
            client_nonce: issue.nonce.for_key(index, issue.count),
        };
        let descriptor: Arc<[u8]> = descriptor.encode().into();
        let key = NewKey { id, private, descriptor: Arc::clone(&descriptor), deadline };
        reservation.insert(key, self.now()?)?;
        // Now, because the other keys of the request may take long.
        self.wake_timer.set(deadline.boot_ms);
        Ok(descriptor)
    }

    fn check_rules(&self, issue: &Issue) -> Result<(), Refusal> {
        let Some(rules) = self.config.rules(&issue.purpose) else {
            let detail = format!("the enclave's configuration has no purpose {:?}", issue.purpose.as_str());
            return Err(Refusal::with_detail(Code::PurposeUnknown, detail));
        };
        if !(1..=rules.max_ttl_ms).contains(&issue.ttl) {
            let detail = format!("ttl must be 1 to {} milliseconds for this purpose", rules.max_ttl_ms);
            return Err(Refusal::with_detail(Code::TtlOutOfRange, detail));
        }
        if issue.deliver_to == DeliverTo::Caller && !rules.caller {
            return Err(Code::CallerNotAllowed.into());
        }
        Ok(())
    }
}

/// Locks, and ignores poisoning: a step that panicked has dropped its answer.
fn lock(keys: &Mutex<KeysInProgress>) -> MutexGuard<'_, KeysInProgress> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}
