//! Attested HPKE contexts to recipients, and replies under them.
//!
//! A recipient gets one context, renewed before it is a minute old. Its record is a leaf of an attested batch, so
//! that the recipient knows which enclave speaks; every reply has a secret of its own, exported from the context
//! and bound to key, `aad` and request.

use crate::{
    attester::Attester,
    budget::{Budget, Charge},
    clock::{Now, TrustedTime},
    cpu::Cpu,
    crypto::{Provider, Sender},
};
use ok2cry_protocol::{
    Encoded, Hash, Record,
    batch::Inclusion,
    code::Code,
    descriptor::KeyDescriptor,
    ids::{ContextId, InstanceId},
    reply::{Reply, ReplyContext},
    rpc::{Attested, Refusal, SealedReply},
    suite::{PublicKey, Suite, reply_info},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::OnceCell;

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
    slots: Mutex<HashMap<PublicKey, Slot>>,
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
    document: Arc<[u8]>,
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
    /// The reply as it goes to the parent.
    pub(crate) fn to_answer(&self) -> SealedReply {
        let Proof { record, inclusion, document, .. } = &*self.proof;
        let context =
            Attested { record: record.clone(), inclusion: inclusion.clone(), document: document.to_vec() };
        SealedReply { reply: self.reply.to_vec(), context }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(reply: Vec<u8>, budget: &Budget) -> Self {
        let charge = budget.charge(reply.len());
        let document = Arc::from([]);
        let proof = Proof {
            record: Vec::new(),
            inclusion: Inclusion::default(),
            document,
            _charge: budget.charge(0),
        };
        Self { reply: reply.into(), proof: Arc::new(proof), _charge: charge }
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

    /// The context for `recipient`, made and attested now if there is none to be used any more.
    pub(crate) async fn ready(&self, recipient: &PublicKey, now: Now) -> Result<Arc<Context>, Refusal> {
        let outcome = self.slot(recipient, now)?;
        let result = outcome.get_or_init(|| self.make(recipient)).await;
        if result.is_err() {
            // The next to come tries anew.
            let mut slots = self.lock();
            if slots.get(recipient).is_some_and(|slot| Arc::ptr_eq(&slot.outcome, &outcome)) {
                slots.remove(recipient);
            }
        }
        result.clone()
    }

    /// Erases what is due.
    pub(crate) fn run_agenda(&self, now: Now) {
        self.lock().retain(|_, slot| !now.reached(slot.erase));
    }

    fn slot(&self, recipient: &PublicKey, now: Now) -> Result<Outcome, Refusal> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(recipient).filter(|slot| !now.reached(slot.stop_use)) {
            return Ok(Arc::clone(&slot.outcome));
        }
        // A recipient that has a place renews it; only others need a new one.
        if slots.len() >= self.max && !slots.contains_key(recipient) {
            slots.retain(|_, slot| !now.reached(slot.stop_use));
            if slots.len() >= self.max {
                let detail = "too many recipients are being replied to; places are given up within a minute";
                return Err(Refusal::with_detail(Code::RepliesFull, detail).retry_after(1000));
            }
        }
        let slot = Slot { outcome: Arc::default(), stop_use: now.plus(USE_MS), erase: now.plus(LIFE_MS) };
        let outcome = Arc::clone(&slot.outcome);
        slots.insert(*recipient, slot);
        Ok(outcome)
    }

    async fn make(&self, recipient: &PublicKey) -> Result<Arc<Context>, Refusal> {
        let mut id = ContextId([0; 16]);
        getrandom::fill(&mut id.0).map_err(|_| Refusal::new(Code::Internal))?;
        let (crypto, key, info) = (self.crypto, *recipient, reply_info(self.instance, id));
        let (sender, enc) =
            self.cpu.run(move || crypto.setup_sender(&key, &info)).await?.ok_or(Code::Internal)?;
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
        let attestation = self.attester.attest(vec![record.clone()], now.wall_ms).await?;
        let inclusion = attestation.inclusions.into_iter().next().ok_or(Code::Internal)?;
        let document = attestation.document;
        let charge = self.budget.charge(record.len() + inclusion.path.len() * 48 + document.len());
        let proof = Arc::new(Proof { record, inclusion, document, _charge: charge });
        Ok(Arc::new(Context { id, sender, erase, proof }))
    }

    /// Seals one reply under `context`, unless its time has come.
    pub(crate) fn seal(
        &self,
        context: &Context,
        now: Now,
        descriptor: &Encoded<KeyDescriptor>,
        aad: &[u8],
        request_digest: &Hash,
        plaintext: &[u8],
    ) -> Result<Sealed, Refusal> {
        if now.reached(context.erase) {
            return Err(Refusal::new(Code::Busy).retry_after(1));
        }
        let mut reply = Reply {
            context_id: context.id,
            descriptor: descriptor.clone(),
            aad: aad.to_vec(),
            request_digest: *request_digest,
            ciphertext: Vec::new(),
        };
        let binding = reply.binding();
        let secret = context.sender.reply_secret(&binding).ok_or(Code::Internal)?;
        reply.ciphertext = secret.seal(plaintext, &binding).ok_or(Code::Internal)?;
        let reply = reply.encode().into_boxed_slice();
        let charge = self.budget.charge(reply.len());
        Ok(Sealed { reply, proof: Arc::clone(&context.proof), _charge: charge })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
