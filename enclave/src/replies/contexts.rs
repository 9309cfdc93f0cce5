//! Attested HPKE contexts to recipients, and replies under them.
//!
//! A recipient gets one context, renewed before it is a minute old. Its record is a leaf of an attested batch, so
//! that the recipient knows which enclave speaks; every reply has a secret of its own, exported from the context
//! and bound to key, `aad` and request.

use crate::{
    attest::batcher::Attester,
    keys::crypto::{Provider, Sender},
    platform::clock::{Now, TrustedTime},
    platform::compute_pool::{self, Cpu, Line},
    platform::memory::budget::{Budget, Charge, Full},
};
use ok2cry_protocol::{
    Encoded, Hash, MAX_AAD, MAX_CIPHERTEXT, Record,
    batch::{Inclusion, MAX_PATH},
    code::Code,
    descriptor::KeyDescriptor,
    document::Document,
    ids::{ContextId, InstanceId},
    reply::{MAX_DESCRIPTOR, Reply, ReplyContext},
    rpc::{Attested, MAX_DOCUMENT, Refusal, SealedReply},
    suite::{PublicKey, Suite, reply_info},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::OnceCell, time::Instant};

/// For how long replies are sealed under a context, in milliseconds. What is under way then still has time to
/// end before the context's own end.
const USE_MS: u64 = 50_000;
/// When a context is erased, in milliseconds after its making.
const LIFE_MS: u64 = 60_000;
/// How much what proves a context may hold, in bytes, before that is known: the longest record, path and document.
const PROOF_ROOM: usize = MAX_DESCRIPTOR + MAX_PATH * 48 + MAX_DOCUMENT;
/// How much a recipient needs for one reply, in bytes, while its last context is still held.
pub(crate) const LEAST_ROOM: usize = 2 * PROOF_ROOM + FRAME + MAX_DESCRIPTOR + MAX_AAD + MAX_CIPHERTEXT;
/// What a reply holds beside its parts, in bytes: the record's own names, lengths, ids and digest; and what the store keeps.
const FRAME: usize = 320;

/// The contexts of one boot.
pub(crate) struct Contexts {
    instance: InstanceId,
    crypto: &'static dyn Provider,
    attester: Attester,
    time: TrustedTime,
    cpu: Cpu,
    budget: Budget,
    max: usize,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_recipient: HashMap<PublicKey, Slot>,
    /// Nothing is to be erased before this.
    next_erase: Option<Now>,
    /// No place is given up before this, unless its context fails.
    next_place: Option<Now>,
}

/// Why there is no context to reply under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// All places for recipients are taken.
    Places {
        /// In how many milliseconds the first is given up.
        wait_ms: u64,
    },
    /// There is no room for what would be held.
    Full(Full),
    /// It could not be made.
    Refused(Refusal),
}

impl From<Refusal> for NoReply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Code> for NoReply {
    fn from(code: Code) -> Self {
        Self::Refused(code.into())
    }
}

impl From<Full> for NoReply {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

/// The context, or why there is none: whoever waited for one attempt gets what came of it.
type Outcome = Arc<OnceCell<Result<Arc<Context>, NoReply>>>;

struct Slot {
    outcome: Outcome,
    stop_use: Now,
    erase: Now,
}

/// One context, attested.
pub(crate) struct Context {
    id: ContextId,
    sender: Box<dyn Sender>,
    erase: Now,
    proof: Arc<Proof>,
}

/// What a recipient needs to trust a context. Counted for as long as it is held, by whichever reply.
#[derive(Debug)]
struct Proof {
    record: Vec<u8>,
    inclusion: Inclusion,
    document: Document,
    _charge: Charge,
}

/// A reply that is ready to be sent, as often as it is asked for.
#[derive(Debug)]
pub(crate) struct Sealed {
    reply: Box<[u8]>,
    proof: Arc<Proof>,
    _charge: Charge,
}

impl Sealed {
    /// How many bytes a reply holds, at most: what to charge before it is made.
    pub(crate) fn room(descriptor: &[u8], aad: &[u8], ciphertext: &[u8]) -> usize {
        FRAME + descriptor.len() + aad.len() + ciphertext.len()
    }

    /// The reply as it goes to the parent.
    pub(crate) fn to_answer(&self) -> SealedReply {
        let Proof { record, inclusion, document, .. } = &*self.proof;
        let context =
            Attested { record: record.clone(), inclusion: inclusion.clone(), document: document.clone() };
        SealedReply { reply: self.reply.to_vec(), context }
    }
}

impl Contexts {
    /// No contexts yet, and `max` at most; what they and their replies hold is counted in `budget`.
    pub(crate) fn new(
        instance: InstanceId,
        crypto: &'static dyn Provider,
        attester: Attester,
        time: TrustedTime,
        cpu: Cpu,
        budget: Budget,
        max: usize,
    ) -> Self {
        Self { instance, crypto, attester, time, cpu, budget, max, slots: Mutex::default() }
    }

    /// The context for `recipient`, if there is one to be used.
    pub(crate) fn current(&self, recipient: &PublicKey, now: Now) -> Option<Arc<Context>> {
        let slots = self.lock();
        let slot = slots.by_recipient.get(recipient).filter(|slot| !now.reached(slot.stop_use))?;
        slot.outcome.get()?.as_ref().ok().cloned()
    }

    /// Whether a context could be made for `recipient`, with a reply of `bytes` under it: what must hold before the processor
    /// is asked for anything.
    pub(crate) fn check(&self, recipient: &PublicKey, bytes: usize, now: Now) -> Result<(), NoReply> {
        let mut slots = self.lock();
        match slots.by_recipient.get(recipient) {
            // It is being made, and what proves it is counted already.
            Some(slot) if !now.reached(slot.stop_use) => return Ok(()),
            Some(_) => {}
            None => slots.check_place(self.max, now)?,
        }
        drop(slots);
        Ok(self.budget.check(recipient, PROOF_ROOM + bytes)?)
    }

    /// In how many milliseconds the next context is erased.
    pub(crate) fn next_erase_ms(&self, now: Now) -> Option<u64> {
        self.lock().next_erase.map(|next| next.wait_ms(now).max(1))
    }

    /// The context for `recipient`, made and attested now if there is none.
    pub(crate) async fn ready(&self, recipient: &PublicKey, now: Now) -> Result<Arc<Context>, NoReply> {
        let outcome = self.slot(recipient, now)?;
        let result = outcome.get_or_init(|| self.make(recipient)).await;
        if result.is_err() {
            // The next to come tries anew.
            let mut slots = self.lock();
            let by_recipient = &mut slots.by_recipient;
            if by_recipient.get(recipient).is_some_and(|slot| Arc::ptr_eq(&slot.outcome, &outcome)) {
                by_recipient.remove(recipient);
            }
        }
        result.clone()
    }

    /// Erases what is due. Answers in how many milliseconds to call again, if anything is left.
    pub(crate) fn run_agenda(&self, now: Now) -> Option<u64> {
        let mut slots = self.lock();
        if slots.next_erase.is_some_and(|next| now.reached(next)) {
            slots.by_recipient.retain(|_, slot| !now.reached(slot.erase));
            slots.next_erase = slots.by_recipient.values().map(|slot| slot.erase).min_by_key(|at| at.boot_ms);
        }
        slots.next_erase.map(|next| next.wait_ms(now))
    }

    fn slot(&self, recipient: &PublicKey, now: Now) -> Result<Outcome, NoReply> {
        let mut slots = self.lock();
        if let Some(slot) = slots.by_recipient.get(recipient).filter(|slot| !now.reached(slot.stop_use)) {
            return Ok(Arc::clone(&slot.outcome));
        }
        // A recipient that has a place renews it; only others need a new one.
        if !slots.by_recipient.contains_key(recipient) {
            slots.check_place(self.max, now)?;
        }
        let slot = Slot { outcome: Arc::default(), stop_use: now.plus(USE_MS), erase: now.plus(LIFE_MS) };
        let outcome = Arc::clone(&slot.outcome);
        slots.next_erase.get_or_insert(slot.erase);
        slots.next_place.get_or_insert(slot.stop_use);
        slots.by_recipient.insert(*recipient, slot);
        Ok(outcome)
    }

    async fn make(&self, recipient: &PublicKey) -> Result<Arc<Context>, NoReply> {
        // Before anything is done for it.
        let mut charge = self.budget.charge(recipient, PROOF_ROOM)?;
        let mut id = ContextId([0; 16]);
        getrandom::fill(&mut id.0).map_err(|_| Code::Internal)?;
        let (crypto, key, info) = (self.crypto, *recipient, reply_info(self.instance, id));
        // In a line of its own: all who open for this recipient wait for it, not only who came first.
        let latest = Instant::now() + compute_pool::PATIENCE;
        let made = self.cpu.run(Line::default(), latest, move || crypto.setup_sender(&key, &info));
        let (sender, enc) = made.await?.ok_or(Code::Internal)?;
        let now = self.time.now().map_err(|e| Refusal::with_detail(Code::ClockUnsafe, e.to_string()))?;
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
        let attestation = self.attester.attest(&[&record], now.wall_ms).await?;
        let inclusion = attestation.inclusions.into_iter().next().ok_or(Code::Internal)?;
        let document = attestation.document;
        charge.shrink_to(record.len() + inclusion.path.len() * 48 + document.len());
        let proof = Arc::new(Proof { record, inclusion, document, _charge: charge });
        Ok(Arc::new(Context { id, sender, erase, proof }))
    }

    /// Counts a reply of at most `bytes` among what is held for `recipient`, before it is made.
    pub(crate) fn charge(&self, recipient: &PublicKey, bytes: usize) -> Result<Charge, NoReply> {
        Ok(self.budget.charge(recipient, bytes)?)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// Whether there is a place for one more recipient. Places whose time has come are given up, and none is looked at before.
    fn check_place(&mut self, max: usize, now: Now) -> Result<(), NoReply> {
        if self.by_recipient.len() < max {
            return Ok(());
        }
        if self.next_place.is_none_or(|next| now.reached(next)) {
            self.by_recipient.retain(|_, slot| !now.reached(slot.stop_use));
            self.next_place =
                self.by_recipient.values().map(|slot| slot.stop_use).min_by_key(|at| at.boot_ms);
        }
        match self.next_place {
            Some(next) if self.by_recipient.len() >= max => {
                Err(NoReply::Places { wait_ms: next.wait_ms(now).max(1) })
            }
            _ => Ok(()),
        }
    }
}

impl Context {
    /// Seals one reply, unless the context's time has come. `charge` is for what the reply will hold.
    pub(crate) fn seal(
        &self,
        charge: Charge,
        now: Now,
        descriptor: &Encoded<KeyDescriptor>,
        aad: &[u8],
        request_digest: &Hash,
        plaintext: &[u8],
    ) -> Result<Sealed, Refusal> {
        if now.reached(self.erase) {
            return Err(Refusal::new(Code::Busy).retry_after(1));
        }
        let mut reply = Reply {
            context_id: self.id,
            descriptor: descriptor.clone(),
            aad: aad.to_vec(),
            request_digest: *request_digest,
            ciphertext: Vec::new(),
        };
        let binding = reply.binding();
        let secret = self.sender.reply_secret(&binding).ok_or(Code::Internal)?;
        reply.ciphertext = secret.seal(plaintext, &binding).ok_or(Code::Internal)?;
        let reply = reply.encode().into_boxed_slice();
        Ok(Sealed { reply, proof: Arc::clone(&self.proof), _charge: charge })
    }
}
