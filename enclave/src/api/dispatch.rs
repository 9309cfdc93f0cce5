//! Issue, open, status, destroy, attest: what an enclave does for those who ask.

use crate::{
    attest::batcher::{Attester, Counters},
    config::Config,
    keys::crypto::Provider,
    keys::reaper::Alarm,
    keys::store::{Found, Limits, Store},
    platform::clock::{ClockError, Now, TrustedTime},
    platform::compute_pool::{self, Cpu, Line},
    platform::memory::budget::{Budget, Full},
    platform::memory::wipe::erase,
    replies::contexts::{Contexts, LEAST_ROOM, NoReply, Sealed},
};
use ok2cry_protocol::{
    Encoded, Hash, Record,
    code::Code,
    descriptor::{KeyDescriptor, ReleaseTo},
    ids::{InstanceId, KeyId, Nonce},
    reply::request_digest,
    rpc::{Answer, Attested, Call, Health, Open, Plaintext, Refusal},
    statement::Statement,
    suite::{PublicKey, seal_info},
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use tokio::{sync::oneshot, time::Instant};

/// How often an open tries again when its context has gone in the meantime.
const OPEN_TURNS: usize = 3;

/// One boot of an enclave.
pub struct Service {
    pub(super) config: Config,
    pub(super) instance: InstanceId,
    pub(super) time: TrustedTime,
    pub(super) crypto: &'static dyn Provider,
    pub(super) attester: Attester,
    pub(super) store: Arc<Store<Sealed>>,
    pub(super) contexts: Contexts,
    pub(super) cpu: Cpu,
    pub(super) alarm: Alarm,
    /// Streams closed for a frame that was not understood.
    pub(crate) streams_closed: AtomicU64,
}

impl Service {
    /// A service without keys. `log_key` is the boot's log key (SPKI, DER), which names the instance.
    pub fn new(config: Config, log_key: &[u8], time: TrustedTime, attester: Attester, cpu: Cpu) -> Self {
        let instance = InstanceId::of_log_key(log_key);
        let replies = Budget::new(config.reply_budget_bytes, LEAST_ROOM);
        let crypto = config.crypto_provider.provider();
        let limits = Limits::new(config.capacity, config.max_tombstones);
        Self {
            instance,
            store: Arc::new(Store::counting_in(limits, Arc::clone(&attester.counters().keys))),
            contexts: Contexts::new(
                instance,
                crypto,
                attester.clone(),
                time.clone(),
                cpu.clone(),
                replies,
                config.max_reply_contexts,
            ),
            time,
            crypto,
            attester,
            config,
            cpu,
            alarm: Alarm::default(),
            streams_closed: AtomicU64::new(0),
        }
    }

    /// This boot's id.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// What has been asked of the NSM since boot.
    pub fn attester(&self) -> &Counters {
        self.attester.counters()
    }

    /// Answers one call of nobody in particular.
    pub async fn call(self: &Arc<Self>, call: Call) -> Result<Answer, Refusal> {
        self.call_from(Line::default(), call).await
    }

    /// Answers one call. It waits for the processor in `line`, and lines take turns.
    pub async fn call_from(self: &Arc<Self>, line: Line, call: Call) -> Result<Answer, Refusal> {
        match call {
            Call::Issue(issue) => self.issue(line, issue).await.map(Answer::Issued),
            Call::Open(open) => self.open(line, open).await,
            Call::Status(id) => self.now().map(|now| Answer::State(self.store.state(id, now))),
            Call::Destroy(id) => self.destroy(id),
            Call::Attest(nonce) => self.attest(nonce).await.map(Answer::Attested),
            Call::Health => Ok(Answer::Health(self.health())),
        }
    }

    /// Starts the thread that erases keys, contexts and replies when they are due, for as long as the service is
    /// held by anybody. What is answered fails if that thread ends before.
    pub fn start_eraser(self: &Arc<Self>) -> io::Result<oneshot::Receiver<()>> {
        let (alive, ended) = oneshot::channel();
        let service = Arc::downgrade(self);
        thread::Builder::new().name("eraser".into()).spawn(move || {
            while let Some(service) = service.upgrade() {
                service.erase_and_sleep();
            }
            drop(alive);
        })?;
        Ok(ended)
    }

    fn erase_and_sleep(&self) {
        let begun = self.time.boot_ms();
        // Without trusted time there is no key to erase.
        let next =
            self.time.now().ok().and_then(|now| {
                self.store.run_round(now).into_iter().chain(self.contexts.run_agenda(now)).min()
            });
        // What is next counts from the beginning, and erasing took its time.
        let done = self.time.boot_ms();
        self.alarm.sleep(done, next.map(|wait| wait.saturating_sub(done.saturating_sub(begun))));
    }

    /// Opens in one turn on the processor: private key and shared secret exist for that turn only, and so does
    /// plaintext unless it is for the caller. A turn that finds no context to reply under leaves nothing but the wish for one.
    async fn open(self: &Arc<Self>, line: Line, open: Open) -> Result<Answer, Refusal> {
        // Endings are told at once, without a turn.
        if let Some(answer) = self.ended(&open)? {
            return Ok(answer);
        }
        let open = Arc::new(open);
        let latest = Instant::now() + compute_pool::PATIENCE;
        for _ in 0..OPEN_TURNS {
            let turn = {
                let (service, open) = (Arc::clone(self), Arc::clone(&open));
                self.cpu.run(line, latest, move || service.open_in_turn(&open))
            };
            match turn.await?? {
                Turn::Answer(answer) => return Ok(answer),
                // Only a message that opens is worth a context: others must not take the places of those who need one.
                // It is found by the next turn, and does not wait for that in a queue.
                Turn::NeedsContext(recipient) => {
                    let ready = self.contexts.ready(&recipient, self.now()?).await;
                    ready.map_err(|why| self.no_reply(why))?;
                }
            }
        }
        Err(Refusal::new(Code::Busy).retry_after(1))
    }

    /// The answer to an open of a key that has been used, or the refusal if it ended otherwise.
    fn ended(&self, open: &Open) -> Result<Option<Answer>, Refusal> {
        match self.store.find(open.key_id, self.now()?)? {
            Found::Live(_) => Ok(None),
            Found::Used(used) => {
                let sealed = used.replay(|descriptor| digest(descriptor, open))?;
                Ok(Some(Answer::Sealed(sealed.to_answer())))
            }
        }
    }

    fn open_in_turn(&self, open: &Open) -> Result<Turn, Refusal> {
        // Everything up to the commit is a proposal. What it is worth is decided there, by the time that it is then.
        let now = self.fresh_now()?;
        let ticket = match self.store.find(open.key_id, now)? {
            Found::Live(ticket) => ticket,
            Found::Used(used) => {
                let sealed = used.replay(|descriptor| digest(descriptor, open))?;
                return Ok(Turn::Answer(Answer::Sealed(sealed.to_answer())));
            }
        };
        let descriptor = Encoded::<KeyDescriptor>::decode(ticket.descriptor())
            .map_err(|_| Refusal::new(Code::Internal))?;
        let recipient = match descriptor.release_to {
            ReleaseTo::Caller => None,
            ReleaseTo::Recipient(recipient) => {
                let room = Sealed::room(descriptor.bytes(), &open.aad, &open.ciphertext);
                // What cannot be replied to is not worth the curve either.
                if self.contexts.current(&recipient, now).is_none() {
                    self.contexts.check(&recipient, room, now).map_err(|why| self.no_reply(why))?;
                }
                let charge = self.contexts.charge(&recipient, room).map_err(|why| self.no_reply(why))?;
                Some((recipient, charge))
            }
        };
        let digest = digest(descriptor.hash(), open);
        let info = seal_info(descriptor.hash());
        let Some(plaintext) =
            ticket.open(&descriptor.public_key, &open.enc, &info, &open.aad, &open.ciphertext)
        else {
            self.store.count_failed_open(open.key_id, self.now()?);
            return Err(Code::OpenFailed.into());
        };
        let clock = || self.fresh_now();
        let Some((recipient, charge)) = recipient else {
            self.store.commit(open.key_id, clock, descriptor.hash(), &digest, None)?;
            return Ok(Turn::Answer(Answer::Plaintext(Plaintext(plaintext))));
        };
        let now = self.fresh_now()?;
        let Some(context) = self.contexts.current(&recipient, now) else {
            return Ok(Turn::NeedsContext(recipient));
        };
        let sealed = context.seal(charge, now, &descriptor, &open.aad, &digest, &plaintext)?;
        erase(plaintext);
        let sealed = self.store.commit(open.key_id, clock, descriptor.hash(), &digest, Some(sealed))?;
        Ok(Turn::Answer(Answer::Sealed(sealed.ok_or(Code::Internal)?.to_answer())))
    }

    /// Why there is no reply: said before the key is taken. Takes no lock of the store.
    fn no_reply(&self, why: NoReply) -> Refusal {
        let (detail, wait_ms) = match why {
            NoReply::Refused(refusal) => return refusal,
            NoReply::Places { wait_ms } => (
                "as many recipients are being replied to as may be; places are given up within a minute",
                wait_ms,
            ),
            NoReply::Full(Full::All) => {
                ("the room for replies that are kept for repetitions is full", self.reply_room_ms())
            }
            NoReply::Full(Full::Share) => (
                "this recipient's part of the room for replies that are kept for repetitions is full",
                self.reply_room_ms(),
            ),
        };
        Refusal::with_detail(Code::RepliesFull, detail).retry_after(wait_ms)
    }

    /// In how many milliseconds some room for replies comes back: a reply that is kept no longer, or a context with its proof.
    fn reply_room_ms(&self) -> u64 {
        let first = |now| {
            self.store.wait_for_reply_room(now).into_iter().chain(self.contexts.next_erase_ms(now)).min()
        };
        self.now().ok().and_then(first).unwrap_or(1000)
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
        let counters = self.attester();
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

    pub(super) fn now(&self) -> Result<Now, Refusal> {
        self.time.now().map_err(clock_refusal)
    }

    /// The time by a document that is fresh enough to open by.
    fn fresh_now(&self) -> Result<Now, Refusal> {
        self.time.fresh_now().map_err(clock_refusal)
    }

    /// The scalar of a live key: a side door for the test that looks for it.
    #[cfg(test)]
    pub(crate) fn scalar(&self, id: KeyId) -> [u8; 48] {
        match self.store.find(id, self.now().unwrap()) {
            Ok(Found::Live(ticket)) => ticket.scalar().unwrap(),
            _ => panic!("the key does not live"),
        }
    }
}

/// What came of one turn.
enum Turn {
    Answer(Answer),
    /// The message opens, and there is no context to reply to this recipient under.
    NeedsContext(PublicKey),
}

fn digest(descriptor: &Hash, open: &Open) -> Hash {
    request_digest(descriptor, &open.enc, &open.aad, &open.ciphertext)
}

pub(super) fn clock_refusal(error: ClockError) -> Refusal {
    Refusal::with_detail(Code::ClockUnsafe, error.to_string()).retry_after(1000)
}
