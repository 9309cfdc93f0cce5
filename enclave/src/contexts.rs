//! Attested HPKE contexts to recipients, and replies under them.
//!
//! A recipient gets one context, renewed before it is a minute old. Its record is a leaf of an attested batch, so
//! that the recipient knows which enclave speaks; every reply has a secret of its own, exported from the context
//! and bound to key, `aad` and request.

use crate::{attester::Attester, clock::Now, hybrid::Sender};
use ok2cry_protocol::{
    Encoded, Hash, Record,
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
use tokio::{sync::OnceCell, task::spawn_blocking};

/// For how long replies are sealed under a context, in milliseconds. What is under way then still has time to
/// end before the context's own end.
const USE_MS: u64 = 50_000;
/// When a context is erased, in milliseconds after its making.
const LIFE_MS: u64 = 60_000;

/// The contexts of one boot.
pub struct Contexts {
    instance: InstanceId,
    attester: Attester,
    max: usize,
    slots: Mutex<HashMap<PublicKey, Slot>>,
}

struct Slot {
    context: Arc<OnceCell<Context>>,
    stop_use: Now,
    erase: Now,
}

/// One context, attested.
pub(crate) struct Context {
    id: ContextId,
    sender: Sender,
    attested: Arc<Attested>,
}

/// A reply that is ready to be sent, as often as it is asked for.
#[derive(Debug)]
pub struct Sealed {
    reply: Box<[u8]>,
    context: Arc<Attested>,
}

impl Sealed {
    /// The reply as it goes to the parent.
    pub fn to_answer(&self) -> SealedReply {
        SealedReply { reply: self.reply.to_vec(), context: (*self.context).clone() }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(reply: Vec<u8>, context: Attested) -> Self {
        Self { reply: reply.into(), context: Arc::new(context) }
    }

    /// The bytes that keeping this reply costs.
    pub(crate) fn size(&self) -> usize {
        self.reply.len()
    }
}

impl Contexts {
    /// No contexts yet, and `max` at most.
    pub fn new(instance: InstanceId, attester: Attester, max: usize) -> Self {
        Self { instance, attester, max, slots: Mutex::default() }
    }

    /// The context for `recipient`, made and attested now if there is none to be used any more.
    pub(crate) async fn ready(
        &self,
        recipient: &PublicKey,
        now: Now,
    ) -> Result<Arc<OnceCell<Context>>, Refusal> {
        let cell = self.slot(recipient, now)?;
        cell.get_or_try_init(|| self.make(recipient, now)).await?;
        Ok(cell)
    }

    /// Erases what is due.
    pub fn run_agenda(&self, now: Now) {
        self.lock().retain(|_, slot| !now.reached(slot.erase));
    }

    fn slot(&self, recipient: &PublicKey, now: Now) -> Result<Arc<OnceCell<Context>>, Refusal> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(recipient).filter(|slot| !now.reached(slot.stop_use)) {
            return Ok(Arc::clone(&slot.context));
        }
        if slots.len() >= self.max {
            slots.retain(|_, slot| !now.reached(slot.stop_use));
        }
        if slots.len() >= self.max && !slots.contains_key(recipient) {
            return Err(Refusal::with_detail(
                Code::RepliesFull,
                "too many recipients are being replied to; contexts are given up within a minute",
            )
            .retry_after(1000));
        }
        let slot = Slot { context: Arc::default(), stop_use: now.plus(USE_MS), erase: now.plus(LIFE_MS) };
        let context = Arc::clone(&slot.context);
        slots.insert(*recipient, slot);
        Ok(context)
    }

    async fn make(&self, recipient: &PublicKey, now: Now) -> Result<Context, Refusal> {
        let mut id = ContextId([0; 16]);
        getrandom::fill(&mut id.0).map_err(|_| Refusal::new(Code::Internal))?;
        let info = reply_info(self.instance, id);
        let key = *recipient;
        let made = spawn_blocking(move || Sender::new(&key, &info)).await;
        let (sender, enc) = made.ok().flatten().ok_or(Code::Internal)?;
        let record = ReplyContext {
            context_id: id,
            suite: Suite::P384,
            recipient: *recipient,
            enc,
            created_at: now.wall_ms,
            expires_at: now.wall_ms.saturating_add(LIFE_MS),
        }
        .encode();
        let attestation = self.attester.attest(vec![record.clone()], now.wall_ms).await?;
        let inclusion = attestation.inclusions.into_iter().next().ok_or(Code::Internal)?;
        let attested = Attested { record, inclusion, document: attestation.document.to_vec() };
        Ok(Context { id, sender, attested: Arc::new(attested) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// Seals one reply.
    pub(crate) fn seal(
        &self,
        descriptor: &Encoded<KeyDescriptor>,
        aad: &[u8],
        request_digest: &Hash,
        plaintext: &[u8],
    ) -> Option<Sealed> {
        let mut reply = Reply {
            context_id: self.id,
            descriptor: descriptor.clone(),
            aad: aad.to_vec(),
            request_digest: *request_digest,
            ciphertext: Vec::new(),
        };
        let binding = reply.binding();
        reply.ciphertext = self.sender.reply_secret(&binding)?.seal(plaintext, &binding)?;
        Some(Sealed { reply: reply.encode().into(), context: Arc::clone(&self.attested) })
    }
}
