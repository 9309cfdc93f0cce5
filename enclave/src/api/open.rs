//! Open: one message is opened once, and its plaintext delivered to the caller or sealed for the recipient.

use super::dispatch::Service;
use crate::{
    keys::{
        crypto::HpkeMessage,
        store::{Found, OpenRequest, Ticket},
    },
    platform::{
        clock::TimePoint,
        compute_pool::{QUEUE_TIMEOUT, QueueId},
        memory::{
            budget::{BudgetFull, Charge},
            wipe::wipe,
        },
    },
    replies::{ReplyError, StoredReply, contexts::OpenedMessage},
};
use ok2cry_protocol::{
    Encoded, Hash,
    code::Code,
    descriptor::{DeliverTo, KeyDescriptor},
    reply::DigestInput,
    rpc::{Answer, Open, Plaintext, Refusal},
    suite::{PublicKey, seal_info},
};
use std::sync::Arc;
use tokio::time::Instant;

/// How often an open is tried when its reply context ends in the meantime.
const MAX_ATTEMPTS: usize = 3;
/// When to retry room for replies if nothing says when there will be some, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 1000;

/// The result of one step on the compute pool.
enum OpenStep {
    Done(Answer),
    /// The message opens, and there is no context to reply under.
    NeedsContext(PublicKey),
}

/// A recipient, and the charge for its reply.
type ReplyTo = (PublicKey, Charge);

impl Service {
    /// Opens in one step on the compute pool. Private key and shared secret exist within that step only, and
    /// so does plaintext unless the caller gets it. If there is no reply context, the step is repeated once
    /// there is one.
    pub(super) async fn open(self: &Arc<Self>, queue: QueueId, open: Open) -> Result<Answer, Refusal> {
        // An ended key is answered at once, without the pool.
        if let Found::Used(used) = self.store.find(open.key_id, self.now()?)? {
            let reply = used.replay(|descriptor| digest(descriptor, &open))?;
            return Ok(Answer::Sealed(reply.to_answer()));
        }
        let open = Arc::new(open);
        let deadline = Instant::now() + QUEUE_TIMEOUT;
        for _ in 0..MAX_ATTEMPTS {
            let step = {
                let (service, open) = (Arc::clone(self), Arc::clone(&open));
                self.pool.run(queue, deadline, move || service.open_step(&open))
            };
            match step.await?? {
                OpenStep::Done(answer) => return Ok(answer),
                // Only a message that opens gets a context, so that invalid ones take no slots from others.
                OpenStep::NeedsContext(recipient) => {
                    let ready = self.contexts.ready(&recipient, self.now()?).await;
                    ready.map_err(|error| self.refuse_reply(error))?;
                }
            }
        }
        Err(Refusal::new(Code::Busy).with_retry_after_ms(1))
    }

    /// Everything up to the commit is a proposal. The commit decides, by its own reading of the clock.
    fn open_step(&self, open: &Open) -> Result<OpenStep, Refusal> {
        let now = self.fresh_now()?;
        let ticket = match self.store.find(open.key_id, now)? {
            Found::Live(ticket) => ticket,
            Found::Used(used) => {
                let reply = used.replay(|descriptor| digest(descriptor, open))?;
                return Ok(OpenStep::Done(Answer::Sealed(reply.to_answer())));
            }
        };
        let descriptor = Encoded::<KeyDescriptor>::decode(ticket.descriptor())
            .map_err(|_| Refusal::new(Code::Internal))?;
        let reply_to = self.reserve_reply(&descriptor, open, now)?;
        let plaintext = self.try_open(&ticket, &descriptor, open)?;
        let digest = digest(descriptor.hash(), open);
        let request = OpenRequest { descriptor: *descriptor.hash(), digest };
        let clock = || self.time.fresh_now();
        let Some((recipient, charge)) = reply_to else {
            self.store.commit(open.key_id, clock, request, None)?;
            return Ok(OpenStep::Done(Answer::Plaintext(Plaintext(plaintext))));
        };
        let now = self.fresh_now()?;
        let Some(context) = self.contexts.current(&recipient, now) else {
            return Ok(OpenStep::NeedsContext(recipient));
        };
        let message = OpenedMessage {
            descriptor: &descriptor,
            aad: &open.aad,
            request_digest: &digest,
            plaintext: &plaintext,
        };
        let reply = context.seal(&message, charge, now).map_err(|error| self.refuse_reply(error))?;
        wipe(plaintext);
        let reply = self.store.commit(open.key_id, clock, request, Some(reply))?;
        Ok(OpenStep::Done(Answer::Sealed(reply.ok_or(Code::Internal)?.to_answer())))
    }

    /// Charges room for the reply, before any elliptic-curve work. `None` if the plaintext goes to the
    /// caller.
    fn reserve_reply(
        &self,
        descriptor: &Encoded<KeyDescriptor>,
        open: &Open,
        now: TimePoint,
    ) -> Result<Option<ReplyTo>, Refusal> {
        let DeliverTo::Recipient(recipient) = descriptor.deliver_to else { return Ok(None) };
        let bytes = StoredReply::max_bytes(descriptor, open);
        if self.contexts.current(&recipient, now).is_none() {
            self.contexts.check(&recipient, bytes, now).map_err(|error| self.refuse_reply(error))?;
        }
        let charge =
            self.contexts.charge(&recipient, bytes).map_err(|full| self.refuse_reply(full.into()))?;
        Ok(Some((recipient, charge)))
    }

    /// Opens the message, or counts the failure.
    fn try_open(
        &self,
        ticket: &Ticket,
        descriptor: &Encoded<KeyDescriptor>,
        open: &Open,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, Refusal> {
        let message = HpkeMessage {
            enc: &open.enc,
            info: &seal_info(descriptor.hash()),
            aad: &open.aad,
            ciphertext: &open.ciphertext,
        };
        match ticket.open(&descriptor.public_key, &message) {
            Some(plaintext) => Ok(plaintext),
            None => {
                self.store.count_failed_open(open.key_id, self.now()?);
                Err(Code::OpenFailed.into())
            }
        }
    }

    /// The refusal when there is no reply. The key is not used then. Takes no lock of the store.
    fn refuse_reply(&self, error: ReplyError) -> Refusal {
        let (detail, wait_ms) = match error {
            ReplyError::TooManyRecipients { wait_ms } => (
                "the limit of recipients with a reply context is reached; one becomes free within a minute",
                wait_ms,
            ),
            ReplyError::Budget(BudgetFull::All) => {
                ("the memory for kept replies is full", self.reply_room_ms())
            }
            ReplyError::Budget(BudgetFull::Share) => {
                ("this recipient's share of the memory for kept replies is full", self.reply_room_ms())
            }
            ReplyError::Pool(error) => return error.into(),
            ReplyError::Attest(error) => return error.into(),
            ReplyError::Clock(error) => return Refusal::with_detail(Code::ClockUnsafe, error.to_string()),
            ReplyError::ContextEnded => return Refusal::new(Code::Busy).with_retry_after_ms(1),
            ReplyError::Internal => return Code::Internal.into(),
        };
        Refusal::with_detail(Code::RepliesFull, detail).with_retry_after_ms(wait_ms)
    }

    /// In how many milliseconds room for replies comes back: a kept reply is dropped, or a context with its
    /// proof.
    fn reply_room_ms(&self) -> u64 {
        let first = |now| {
            self.store.wait_for_reply_room(now).into_iter().chain(self.contexts.next_erase_ms(now)).min()
        };
        self.now().ok().and_then(first).unwrap_or(DEFAULT_WAIT_MS)
    }

    /// The time, by a document that is fresh enough for opening.
    fn fresh_now(&self) -> Result<TimePoint, Refusal> {
        Ok(self.time.fresh_now()?)
    }
}

fn digest(descriptor: &Hash, open: &Open) -> Hash {
    let Open { enc, aad, ciphertext, .. } = open;
    DigestInput { descriptor, enc, aad, ciphertext }.request_digest()
}
