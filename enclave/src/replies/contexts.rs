//! Attested HPKE contexts to recipients.
//!
//! A recipient has one context, renewed before it is a minute old. Its record is a leaf of an attested batch,
//! so that the recipient knows which enclave speaks. Every reply has a secret of its own, exported from the
//! context and bound to key, `aad` and request.

use super::{
    ReplyError, StoredReply,
    stored::{ContextProof, MAX_PROOF},
};
use crate::{
    attest::Attester,
    keys::crypto::{Provider, SenderContext},
    platform::{
        clock::{TimePoint, TrustedTime},
        compute_pool::{ComputePool, QUEUE_TIMEOUT, QueueId},
        memory::budget::{Budget, BudgetFull, Charge},
    },
};
use ok2cry_protocol::{
    Encoded, Hash, Record,
    descriptor::KeyDescriptor,
    ids::{ContextId, InstanceId},
    reply::{Reply, ReplyContext},
    suite::{PublicKey, Suite, reply_info},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::OnceCell, time::Instant};

/// For how long replies are sealed under a context, in milliseconds. Opens that found it then have the rest
/// of [`LIFE_MS`] to finish.
const USE_MS: u64 = 50_000;
/// When a context is erased, in milliseconds after it was made.
const LIFE_MS: u64 = 60_000;

/// What [`Contexts`] works with.
pub(crate) struct ContextSettings {
    pub(crate) instance: InstanceId,
    pub(crate) crypto: &'static dyn Provider,
    pub(crate) attester: Attester,
    pub(crate) time: TrustedTime,
    pub(crate) pool: ComputePool,
    /// Counts proofs and replies.
    pub(crate) budget: Budget,
    /// The most recipients with a context.
    pub(crate) max_recipients: usize,
}

/// The contexts of one boot.
pub(crate) struct Contexts {
    settings: ContextSettings,
    table: Mutex<ContextTable>,
}

#[derive(Default)]
struct ContextTable {
    by_recipient: HashMap<PublicKey, ContextSlot>,
    /// No context is erased before this.
    next_erase: Option<TimePoint>,
    /// No slot becomes free before this, unless making its context fails.
    next_free: Option<TimePoint>,
}

/// The result of one attempt to make a context, shared by all requests that wait for it.
type Attempt = Arc<OnceCell<Result<Arc<AttestedContext>, ReplyError>>>;

struct ContextSlot {
    attempt: Attempt,
    stop_use: TimePoint,
    erase: TimePoint,
}

/// One context, with its proof.
pub(crate) struct AttestedContext {
    id: ContextId,
    sender: Box<dyn SenderContext>,
    erase: TimePoint,
    proof: Arc<ContextProof>,
}

/// An opened message, to be sealed for its recipient.
pub(crate) struct OpenedMessage<'a> {
    pub(crate) descriptor: &'a Encoded<KeyDescriptor>,
    pub(crate) aad: &'a [u8],
    pub(crate) request_digest: &'a Hash,
    pub(crate) plaintext: &'a [u8],
}

impl Contexts {
    /// No contexts yet.
    pub(crate) fn new(settings: ContextSettings) -> Self {
        Self { settings, table: Mutex::default() }
    }

    /// The context for `recipient`, if there is one to be used.
    pub(crate) fn current(&self, recipient: &PublicKey, now: TimePoint) -> Option<Arc<AttestedContext>> {
        let table = self.lock();
        let slot = table.by_recipient.get(recipient).filter(|slot| !now.reached(slot.stop_use))?;
        slot.attempt.get()?.as_ref().ok().cloned()
    }

    /// Whether a context could be made for `recipient`, with a reply of `bytes` under it. Comes before any
    /// cryptography.
    pub(crate) fn check(
        &self,
        recipient: &PublicKey,
        bytes: usize,
        now: TimePoint,
    ) -> Result<(), ReplyError> {
        let mut table = self.lock();
        match table.by_recipient.get(recipient) {
            // It is being made, and its proof is charged already.
            Some(slot) if !now.reached(slot.stop_use) => return Ok(()),
            Some(_) => {}
            None => table.check_slot(self.settings.max_recipients, now)?,
        }
        drop(table);
        Ok(self.settings.budget.check(recipient, MAX_PROOF + bytes)?)
    }

    /// In how many milliseconds the next context is erased, 1 at least.
    pub(crate) fn next_erase_ms(&self, now: TimePoint) -> Option<u64> {
        self.lock().next_erase.map(|next| next.wait_ms(now).max(1))
    }

    /// The context for `recipient`, made and attested now if there is none.
    pub(crate) async fn ready(
        &self,
        recipient: &PublicKey,
        now: TimePoint,
    ) -> Result<Arc<AttestedContext>, ReplyError> {
        let attempt = self.slot(recipient, now)?;
        let result = attempt.get_or_init(|| self.make(recipient)).await;
        if result.is_err() {
            // The next request tries again.
            let mut table = self.lock();
            let by_recipient = &mut table.by_recipient;
            if by_recipient.get(recipient).is_some_and(|slot| Arc::ptr_eq(&slot.attempt, &attempt)) {
                by_recipient.remove(recipient);
            }
        }
        result.clone()
    }

    /// Erases contexts that are due. Returns in how many milliseconds to call again, if any context is left.
    pub(crate) fn run_due(&self, now: TimePoint) -> Option<u64> {
        let mut table = self.lock();
        if table.next_erase.is_some_and(|next| now.reached(next)) {
            table.by_recipient.retain(|_, slot| !now.reached(slot.erase));
            table.next_erase = table.by_recipient.values().map(|slot| slot.erase).min_by_key(|at| at.boot_ms);
        }
        table.next_erase.map(|next| next.wait_ms(now))
    }

    /// Charges a reply of at most `bytes` to `recipient`, before it is made.
    pub(crate) fn charge(&self, recipient: &PublicKey, bytes: usize) -> Result<Charge, BudgetFull> {
        self.settings.budget.charge(recipient, bytes)
    }

    fn slot(&self, recipient: &PublicKey, now: TimePoint) -> Result<Attempt, ReplyError> {
        let mut table = self.lock();
        if let Some(slot) = table.by_recipient.get(recipient).filter(|slot| !now.reached(slot.stop_use)) {
            return Ok(Arc::clone(&slot.attempt));
        }
        // A recipient that has a slot renews its context in it.
        if !table.by_recipient.contains_key(recipient) {
            table.check_slot(self.settings.max_recipients, now)?;
        }
        let slot =
            ContextSlot { attempt: Arc::default(), stop_use: now.plus(USE_MS), erase: now.plus(LIFE_MS) };
        let attempt = Arc::clone(&slot.attempt);
        table.next_erase.get_or_insert(slot.erase);
        table.next_free.get_or_insert(slot.stop_use);
        table.by_recipient.insert(*recipient, slot);
        Ok(attempt)
    }

    async fn make(&self, recipient: &PublicKey) -> Result<Arc<AttestedContext>, ReplyError> {
        let ContextSettings { instance, crypto, attester, time, pool, budget, .. } = &self.settings;
        // Before any work.
        let mut charge = budget.charge(recipient, MAX_PROOF)?;
        let mut id = ContextId([0; 16]);
        getrandom::fill(&mut id.0).map_err(|_| ReplyError::Internal)?;
        let (crypto, key, info) = (*crypto, *recipient, reply_info(*instance, id));
        // In the default queue: all streams that open for this recipient wait for it, not only the first.
        let deadline = Instant::now() + QUEUE_TIMEOUT;
        let made = pool.run(QueueId::default(), deadline, move || crypto.setup_sender(&key, &info));
        let (sender, enc) = made.await?.ok_or(ReplyError::Internal)?;
        let now = time.now()?;
        let erase = now.plus(LIFE_MS);
        let record = ReplyContext {
            context_id: id,
            suite: Suite::P384,
            recipient: *recipient,
            enc,
            created_at: now.wall_ms,
            expires_at: erase.wall_ms,
        }
        .encode();
        let attestation = attester.attest(&[&record], now.wall_ms).await?;
        let inclusion = attestation.inclusions.into_iter().next().ok_or(ReplyError::Internal)?;
        let document = attestation.document;
        charge.shrink_to(record.len() + inclusion.path.len() * 48 + document.len());
        let proof = Arc::new(ContextProof { record, inclusion, document, _charge: charge });
        Ok(Arc::new(AttestedContext { id, sender, erase, proof }))
    }

    fn lock(&self) -> MutexGuard<'_, ContextTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContextTable {
    /// Checks that there is a slot for one more recipient. Scans for expired slots only when one is due.
    fn check_slot(&mut self, max: usize, now: TimePoint) -> Result<(), ReplyError> {
        if self.by_recipient.len() < max {
            return Ok(());
        }
        if self.next_free.is_none_or(|next| now.reached(next)) {
            self.by_recipient.retain(|_, slot| !now.reached(slot.stop_use));
            self.next_free = self.by_recipient.values().map(|slot| slot.stop_use).min_by_key(|at| at.boot_ms);
        }
        match self.next_free {
            Some(next) if self.by_recipient.len() >= max => {
                Err(ReplyError::TooManyRecipients { wait_ms: next.wait_ms(now).max(1) })
            }
            _ => Ok(()),
        }
    }
}

impl AttestedContext {
    /// Seals one reply, unless the context has ended. `charge` counts what the reply holds.
    pub(crate) fn seal(
        &self,
        message: &OpenedMessage<'_>,
        charge: Charge,
        now: TimePoint,
    ) -> Result<StoredReply, ReplyError> {
        if now.reached(self.erase) {
            return Err(ReplyError::ContextEnded);
        }
        let OpenedMessage { descriptor, aad, request_digest, plaintext } = message;
        let mut reply = Reply {
            context_id: self.id,
            descriptor: (*descriptor).clone(),
            aad: aad.to_vec(),
            request_digest: **request_digest,
            ciphertext: Vec::new(),
        };
        let binding = reply.binding();
        let secret = self.sender.reply_secret(&binding).ok_or(ReplyError::Internal)?;
        reply.ciphertext = secret.seal(plaintext, &binding).ok_or(ReplyError::Internal)?;
        let reply = reply.encode().into_boxed_slice();
        Ok(StoredReply { reply, proof: Arc::clone(&self.proof), _charge: charge })
    }
}
