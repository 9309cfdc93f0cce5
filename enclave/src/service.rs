//! Issue, open, status, destroy, attest: what an enclave does for those who ask.

use crate::{
    attester::Attester,
    budget::Budget,
    clock::{ClockError, Now, TrustedTime},
    config::Config,
    contexts::Contexts,
    cpu::Cpu,
    crypto::Provider,
    store::{Found, Limits, NewKey, Store, Ticket},
};
use ok2cry_protocol::{
    Encoded, Record,
    code::Code,
    descriptor::{KeyDescriptor, ReleaseTo},
    ids::{InstanceId, KeyId, Nonce},
    reply::request_digest,
    rpc::{Answer, Attested, Call, Health, Issue, Issued, Open, Plaintext, Refusal},
    statement::Statement,
    suite::{Suite, seal_info},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// One boot of an enclave.
pub struct Service {
    config: Config,
    instance: InstanceId,
    time: TrustedTime,
    crypto: &'static dyn Provider,
    attester: Attester,
    store: Store,
    contexts: Contexts,
    cpu: Cpu,
    agenda_changed: Notify,
    /// Streams closed for a frame that was not understood.
    pub(crate) streams_closed: AtomicU64,
}

impl Service {
    /// A service without keys. `log_key` is the boot's log key (SPKI, DER), which names the instance.
    pub fn new(config: Config, log_key: &[u8], time: TrustedTime, attester: Attester) -> Self {
        let instance = InstanceId::of_log_key(log_key);
        let (cpu, replies) = (Cpu::new(), Budget::default());
        let crypto = config.crypto_provider.provider();
        let limits = Limits {
            capacity: config.capacity,
            max_tombstones: config.max_tombstones,
            reply_budget_bytes: config.reply_budget_bytes,
        };
        Self {
            instance,
            store: Store::new(limits, replies.clone()),
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
            agenda_changed: Notify::new(),
            streams_closed: AtomicU64::new(0),
        }
    }

    /// This boot's id.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Answers one call.
    pub async fn call(&self, call: Call) -> Result<Answer, Refusal> {
        match call {
            Call::Issue(issue) => self.issue(issue).await.map(Answer::Issued),
            Call::Open(open) => self.open(open).await,
            Call::Status(id) => {
                self.time.now().map_err(clock_refusal).map(|now| Answer::State(self.store.state(id, now)))
            }
            Call::Destroy(id) => self.destroy(id),
            Call::Attest(nonce) => self.attest(nonce).await.map(Answer::Attested),
            Call::Health => Ok(Answer::Health(self.health())),
        }
    }

    /// Erases keys, contexts and replies when they are due, for as long as it is polled.
    pub async fn keep_agenda(&self) {
        loop {
            let Ok(now) = self.time.now() else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let next = self.store.run_agenda(now);
            self.contexts.run_agenda(now);
            self.note_live_keys();
            // A jump of trusted time shows with the next document, so look again in a second at the latest.
            let wait = next.unwrap_or(1000).min(1000);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
                () = self.agenda_changed.notified() => {}
            }
        }
    }

    async fn issue(&self, issue: Issue) -> Result<Issued, Refusal> {
        // The ttl runs from here, whatever the NSM takes.
        let now = self.time.now().map_err(clock_refusal)?;
        self.check_rules(&issue)?;
        self.store.check_room(issue.count as usize, now)?;
        let keys = self.generate(&issue, now).await?;
        let descriptors: Vec<_> = keys.iter().map(|key| Arc::clone(&key.descriptor)).collect();
        self.store.insert(keys, now)?;
        self.note_live_keys();
        self.agenda_changed.notify_one();

        let records = descriptors.iter().map(|d| d.bytes().to_vec()).collect();
        let attested = self.attester.attest(records, now.wall_ms).await;
        // The document has told the time too, and may have told that the enclave's own is wrong.
        let attested = attested.and_then(|a| self.time.check_agreement().map_err(clock_refusal).map(|()| a));
        match attested {
            Ok(attestation) => {
                let keys = descriptors.iter().map(|d| d.bytes().to_vec()).zip(attestation.inclusions);
                Ok(Issued { document: attestation.document.to_vec(), keys: keys.collect() })
            }
            Err(refusal) => {
                self.store.forget(descriptors.iter().map(|d| d.key_id));
                self.note_live_keys();
                Err(refusal)
            }
        }
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

    async fn generate(&self, issue: &Issue, now: Now) -> Result<Vec<NewKey>, Refusal> {
        let (crypto, deadline) = (self.crypto, now.plus(issue.ttl));
        let mut keys = Vec::with_capacity(issue.count as usize);
        for i in 0..issue.count {
            let mut random = [0; 16];
            getrandom::fill(&mut random).map_err(|_| Refusal::new(Code::Internal))?;
            let (private, public_key) =
                self.cpu.run(move || crypto.generate()).await?.ok_or(Code::Internal)?;
            let descriptor = KeyDescriptor {
                key_id: KeyId::new(self.instance, random),
                suite: Suite::P384,
                public_key,
                issued_at: now.wall_ms,
                expires_at: deadline.wall_ms,
                purpose: issue.purpose.clone(),
                release_to: issue.release_to.clone(),
                client_nonce: issue.nonce.for_key(i, issue.count),
            };
            keys.push(NewKey { private, descriptor: Arc::new(Encoded::new(descriptor)), deadline });
        }
        Ok(keys)
    }

    async fn open(&self, open: Open) -> Result<Answer, Refusal> {
        // Endings are told whatever the time; only opening needs a recent document.
        let ticket = match self.store.find(open.key_id, self.time.now().map_err(clock_refusal)?)? {
            Found::Live(ticket) => ticket,
            Found::Used(used) => {
                let digest = request_digest(&used.descriptor, &open.enc, &open.aad, &open.ciphertext);
                return used.replay(&digest).map(|sealed| Answer::Sealed(sealed.to_answer()));
            }
        };
        self.time.fresh_now().map_err(clock_refusal)?;
        let open = Arc::new(open);
        let descriptor = Arc::clone(&ticket.descriptor);
        let digest = request_digest(descriptor.hash(), &open.enc, &open.aad, &open.ciphertext);
        let decrypted = {
            let open = Arc::clone(&open);
            self.cpu.run(move || decrypt(&ticket, &open)).await?
        };
        let Some(plaintext) = decrypted else {
            self.store.count_failed_open(open.key_id, self.time.now().map_err(clock_refusal)?);
            return Err(Code::OpenFailed.into());
        };

        // Everything up to the commit is a proposal. What it is worth is decided there, by the time that it is then.
        let ReleaseTo::Recipient(recipient) = &descriptor.release_to else {
            let now = self.time.fresh_now().map_err(clock_refusal)?;
            self.store.commit(open.key_id, now, &digest, None)?;
            self.note_live_keys();
            return Ok(Answer::Plaintext(Plaintext(plaintext)));
        };
        // Only a message that opens is worth a context: others must not take the places of those who need one.
        let context = self.contexts.ready(recipient, self.time.now().map_err(clock_refusal)?).await?;
        let now = self.time.fresh_now().map_err(clock_refusal)?;
        let sealed = self.contexts.seal(&context, now, &descriptor, &open.aad, &digest, &plaintext)?;
        let sealed = self.store.commit(open.key_id, now, &digest, Some(sealed))?.ok_or(Code::Internal)?;
        self.note_live_keys();
        Ok(Answer::Sealed(sealed.to_answer()))
    }

    fn destroy(&self, id: KeyId) -> Result<Answer, Refusal> {
        let now = self.time.now().map_err(clock_refusal)?;
        let state = self.store.destroy(id, now);
        self.note_live_keys();
        Ok(Answer::State(state))
    }

    async fn attest(&self, nonce: Nonce) -> Result<Attested, Refusal> {
        let now = self.time.now().map_err(clock_refusal)?;
        let record = Statement { nonce, time: now.wall_ms }.encode();
        let attestation = self.attester.attest(vec![record.clone()], now.wall_ms).await?;
        let inclusion = attestation.inclusions.into_iter().next().ok_or(Code::Internal)?;
        Ok(Attested { record, inclusion, document: attestation.document.to_vec() })
    }

    fn health(&self) -> Health {
        let (live, tombstones) = self.store.counts();
        let counters = self.attester.counters();
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

    fn note_live_keys(&self) {
        self.attester.counters().keys_live.store(self.store.counts().0 > 0, Ordering::Relaxed);
    }
}

fn decrypt(ticket: &Ticket, open: &Open) -> Option<Zeroizing<Vec<u8>>> {
    let info = seal_info(ticket.descriptor.hash());
    ticket.private.open(&open.enc, &info, &open.aad, &open.ciphertext)
}

fn clock_refusal(error: ClockError) -> Refusal {
    Refusal::with_detail(Code::ClockUnsafe, error.to_string()).retry_after(1000)
}
