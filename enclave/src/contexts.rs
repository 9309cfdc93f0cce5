//! Attested HPKE contexts to recipients, and replies under them.
//!
//! A recipient gets one context, renewed before it is a minute old. Its record is a leaf of an attested batch, so
//! that the recipient knows which enclave speaks; every reply has a secret of its own, exported from the context
//! and bound to key, `aad` and request.

use crate::{
    attester::Attester,
    budget::{Budget, Charge},
    clock::{Now, TrustedTime},
    cpu::{self, Cpu, Line},
    crypto::{Provider, Sender},
};
use ok2cry_protocol::{
    Encoded, Hash, Record,
    batch::Inclusion,
    code::Code,
    descriptor::KeyDescriptor,
    document::Document,
    ids::{ContextId, InstanceId},
    reply::{Reply, ReplyContext},
    rpc::{Attested, Refusal, SealedReply},
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
}

/// The context, or why there is none: whoever waited for one attempt gets what came of it.
type Outcome = Arc<OnceCell<Result<Arc<Context>, Refusal>>>;

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
        // The record's own names, lengths, ids and digest; and what the store keeps beside it.
        const FRAME: usize = 320;
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

    /// The same, made and attested now if there is none.
    pub(crate) async fn ready(&self, recipient: &PublicKey, now: Now) -> Result<Arc<Context>, Refusal> {
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

    fn slot(&self, recipient: &PublicKey, now: Now) -> Result<Outcome, Refusal> {
        let mut slots = self.lock();
        let Slots { by_recipient, next_erase } = &mut *slots;
        if let Some(slot) = by_recipient.get(recipient).filter(|slot| !now.reached(slot.stop_use)) {
            return Ok(Arc::clone(&slot.outcome));
        }
        // A recipient that has a place renews it; only others need a new one.
        if by_recipient.len() >= self.max && !by_recipient.contains_key(recipient) {
            by_recipient.retain(|_, slot| !now.reached(slot.stop_use));
            if by_recipient.len() >= self.max {
                let detail = "too many recipients are being replied to; places are given up within a minute";
                return Err(Refusal::with_detail(Code::RepliesFull, detail).retry_after(1000));
            }
        }
        let slot = Slot { outcome: Arc::default(), stop_use: now.plus(USE_MS), erase: now.plus(LIFE_MS) };
        let outcome = Arc::clone(&slot.outcome);
        next_erase.get_or_insert(slot.erase);
        by_recipient.insert(*recipient, slot);
        Ok(outcome)
    }

    async fn make(&self, recipient: &PublicKey) -> Result<Arc<Context>, Refusal> {
        let mut id = ContextId([0; 16]);
        getrandom::fill(&mut id.0).map_err(|_| Refusal::new(Code::Internal))?;
        let (crypto, key, info) = (self.crypto, *recipient, reply_info(self.instance, id));
        // In a line of its own: all who open for this recipient wait for it, not only who came first.
        let latest = Instant::now() + cpu::PATIENCE;
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
        let held = record.len() + inclusion.path.len() * 48 + document.len();
        let charge = self.budget.charge(held).ok_or_else(replies_full)?;
        let proof = Arc::new(Proof { record, inclusion, document, _charge: charge });
        Ok(Arc::new(Context { id, sender, erase, proof }))
    }

    /// Counts a reply of at most `bytes` among what is held, before it is made.
    pub(crate) fn charge(&self, bytes: usize) -> Option<Charge> {
        self.budget.charge(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
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

/// There is no room for a reply: said before the key is taken.
pub(crate) fn replies_full() -> Refusal {
    Refusal::new(Code::RepliesFull).retry_after(1000)
}
