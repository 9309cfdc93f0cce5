//! Issue: keys that are made turn by turn, and attested together.

use super::dispatch::{Service, clock_refusal};
use crate::{
    attest::batcher::{self, Attestation},
    keys::store::{NewKey, Reservation},
    platform::clock::Now,
    platform::compute_pool::{self, Line},
    replies::contexts::Sealed,
};
use ok2cry_protocol::{
    Record,
    code::Code,
    descriptor::{KeyDescriptor, ReleaseTo},
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

/// How long the module may take once the turns have taken theirs.
const MODULES_PATIENCE: Duration = batcher::PATIENCE.saturating_sub(compute_pool::PATIENCE);

/// Keys on their way: shared by the turns that make them and the task that waits for them.
struct Making {
    /// Until it is confirmed. Without that, the keys go with it.
    reservation: Option<Reservation<Sealed>>,
    records: Vec<Arc<[u8]>>,
    /// Who waits. Whoever takes it out has the last word.
    answer: Option<oneshot::Sender<Result<Attestation, Refusal>>>,
}

/// The task that waits. When it ends without keys, however it ends, they are gone at that moment.
struct Waiting(Arc<Mutex<Making>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let reservation = lock(&self.0).reservation.take();
        drop(reservation);
    }
}

impl Service {
    pub(super) async fn issue(self: &Arc<Self>, line: Line, issue: Issue) -> Result<Issued, Refusal> {
        // The ttl runs from here, whatever the NSM takes.
        let now = self.now()?;
        self.check_rules(&issue)?;
        let reservation = self.store.reserve(issue.count as usize, now)?;
        let (answer, mut attested) = oneshot::channel();
        let waiting = Waiting(Arc::new(Mutex::new(Making {
            reservation: Some(reservation),
            records: Vec::with_capacity(issue.count as usize),
            answer: Some(answer),
        })));
        let (service, making) = (Arc::clone(self), Arc::clone(&waiting.0));
        self.cpu.add(line, move || service.make_next(&making, &issue, now));
        let attested = match timeout(compute_pool::PATIENCE, &mut attested).await {
            Ok(attested) => attested,
            // Whoever has the lock is in the middle of a turn, which is short.
            Err(_) if lock(&waiting.0).answer.take().is_some() => return Err(compute_pool::busy()),
            // All are made, and the module has its time.
            Err(_) => timeout(MODULES_PATIENCE, attested).await.map_err(|_| batcher::unavailable())?,
        };
        let attestation = attested.map_err(|_| Refusal::new(Code::Internal))??;
        // The document has told the time too, and may have told that the enclave's own is wrong.
        self.time.check_agreement().map_err(clock_refusal)?;
        let mut making = lock(&waiting.0);
        if let Some(reservation) = making.reservation.take() {
            reservation.confirm();
        }
        let records = making.records.iter().map(|record| record.to_vec());
        Ok(Issued { document: attestation.document, keys: records.zip(attestation.inclusions).collect() })
    }

    /// One turn: makes a key, and after the last has all attested.
    fn make_next(&self, making: &Mutex<Making>, issue: &Issue, accepted: Now) -> ControlFlow<()> {
        let making = &mut *lock(making);
        let Some(answer) = making.answer.take().filter(|answer| !answer.is_closed()) else {
            return ControlFlow::Break(());
        };
        let made = match &mut making.reservation {
            Some(reservation) => self.make_key(reservation, issue, making.records.len(), accepted),
            None => Err(Code::Internal.into()),
        };
        match made {
            Ok(record) => making.records.push(record),
            Err(refusal) => {
                // Whoever asked may have gone.
                drop(answer.send(Err(refusal)));
                return ControlFlow::Break(());
            }
        }
        if making.records.len() < issue.count as usize {
            making.answer = Some(answer);
            return ControlFlow::Continue(());
        }
        self.attester.submit(&making.records, accepted.wall_ms, answer);
        ControlFlow::Break(())
    }

    /// Makes the `i`th key of a request and puts it where it will stay. Answers its descriptor's bytes.
    fn make_key(
        &self,
        reservation: &mut Reservation<Sealed>,
        issue: &Issue,
        i: usize,
        accepted: Now,
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
            release_to: issue.release_to.clone(),
            client_nonce: issue.nonce.for_key(index, issue.count),
        };
        let descriptor: Arc<[u8]> = descriptor.encode().into();
        let key = NewKey { id, private, descriptor: Arc::clone(&descriptor), deadline };
        reservation.insert(key, self.now()?)?;
        // At once: the other keys of the request may be long in coming.
        self.alarm.set(deadline.boot_ms);
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
        if issue.release_to == ReleaseTo::Caller && !rules.caller {
            return Err(Code::CallerNotAllowed.into());
        }
        Ok(())
    }
}

/// What a turn that panicked leaves behind has nobody to answer to any more.
fn lock(making: &Mutex<Making>) -> MutexGuard<'_, Making> {
    making.lock().unwrap_or_else(PoisonError::into_inner)
}
