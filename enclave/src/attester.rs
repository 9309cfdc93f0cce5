//! One document for everything that waited: group commit, as a database commits its log.
//!
//! The NSM answers one call at a time. While a call runs, whatever else is to be attested gathers; the next call
//! attests it all under one Merkle root. A lone request is a batch of one and goes at once. The NSM lives on a
//! thread of its own, because its calls block for as long as the host likes.

use crate::{
    clock::{TOLERANCE_MS, TrustedTime},
    nsm::{AttestationRequest, Nsm},
    store::AtomicUsize,
};
use ok2cry_attest_verify::Verifier;
use ok2cry_protocol::{
    Hash, Record,
    batch::{BatchHeader, EMPTY_LOG_ROOT, Inclusion, MAX_BATCH},
    code::Code,
    ids::Nonce,
    merkle::{Tree, leaf_hash},
    rpc::Refusal,
    statement::Statement,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// How many requests may wait for the NSM.
const QUEUE: usize = 4096;
/// How often a document is taken while keys live, so that trusted time stays fresh.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often one is taken while none do.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(20);
/// How long one request waits for its document: with the wait for a turn on the processor, less than a parent waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// How far a document's timestamp may be from the times in its records, in milliseconds. Clients allow 60,000.
const MAX_SKEW_MS: u64 = 30_000;

/// Has records attested. Clones share the NSM.
#[derive(Clone)]
pub struct Attester {
    queue: SyncSender<Job>,
    counters: Arc<Counters>,
}

/// What has been attested since boot.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records that somebody asked to have attested.
    pub asked: AtomicU64,
    /// Documents made.
    pub documents: AtomicU64,
    /// Records in them.
    pub attested: AtomicU64,
    /// Calls that gave no document, or one that was not what was asked for.
    pub failures: AtomicU64,
    /// Keys that live or are being made, as the store counts them: for these, documents are taken unasked.
    pub keys: Arc<AtomicUsize>,
}

/// Proof that records were attested.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// The document, shared by all records of the batch.
    pub document: Arc<[u8]>,
    /// Each record's place in the batch, in the order of the request.
    pub inclusions: Vec<Inclusion>,
}

struct Job {
    leaves: Vec<Hash>,
    /// The trusted time that the records name, in milliseconds.
    time_ms: u64,
    answer: oneshot::Sender<Result<Attestation, Refusal>>,
}

impl Attester {
    /// Gives `nsm` a thread. `log_key` is the boot's log key (SPKI, DER), which every document carries. What `verifier`
    /// refuses nobody gets.
    pub fn start(
        nsm: Box<dyn Nsm>,
        verifier: Verifier,
        log_key: Vec<u8>,
        time: TrustedTime,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let counters = Arc::<Counters>::default();
        let worker = Worker { nsm, verifier, log_key, time, counters: Arc::clone(&counters) };
        thread::Builder::new().name("nsm".into()).spawn(move || worker.run(&jobs))?;
        Ok(Self { queue, counters })
    }

    /// Has `records`, which name the trusted time `time_ms`, attested by one document.
    pub async fn attest(&self, records: &[impl AsRef<[u8]>], time_ms: u64) -> Result<Attestation, Refusal> {
        let leaves = records.iter().map(|record| leaf_hash(record.as_ref())).collect();
        let (answer, attestation) = oneshot::channel();
        let count = records.len() as u64;
        self.queue.try_send(Job { leaves, time_ms, answer }).map_err(|e| match e {
            TrySendError::Full(_) => Refusal::new(Code::Busy).retry_after(1000),
            TrySendError::Disconnected(_) => Refusal::new(Code::NsmUnavailable),
        })?;
        self.counters.asked.fetch_add(count, Ordering::Relaxed);
        match tokio::time::timeout(PATIENCE, attestation).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(Refusal::new(Code::NsmUnavailable).retry_after(1000)),
        }
    }

    /// What has been attested since boot.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

struct Worker {
    nsm: Box<dyn Nsm>,
    verifier: Verifier,
    log_key: Vec<u8>,
    time: TrustedTime,
    counters: Arc<Counters>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut held_over = None;
        loop {
            let first = match held_over.take() {
                Some(job) => Some(job),
                None => match jobs.recv_timeout(self.until_heartbeat()) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
            };
            let mut batch = Batch::default();
            match first {
                Some(job) => batch.add(job),
                None => batch.add_heartbeat(),
            }
            while let Ok(job) = jobs.try_recv() {
                if batch.has_room_for(&job) {
                    batch.add(job);
                } else {
                    held_over = Some(job);
                    break;
                }
            }
            self.commit(batch);
        }
    }

    fn until_heartbeat(&self) -> Duration {
        // A first key has a document made by itself, and its period begins then.
        let any = self.counters.keys.load(Ordering::Relaxed) > 0;
        let period = if any { HEARTBEAT } else { IDLE_HEARTBEAT };
        // Never zero: an NSM that fails must not be asked without pause.
        self.time.age().map_or(HEARTBEAT, |age| period.saturating_sub(age)).max(Duration::from_millis(250))
    }

    fn commit(&mut self, batch: Batch) {
        let Batch { leaves, jobs, .. } = batch;
        let size = leaves.len() as u64;
        let Some(tree) = Tree::new(leaves) else { return };
        let header = BatchHeader { root: tree.root(), size, log_size: 0, log_root: EMPTY_LOG_ROOT };
        match self.document(&header.encode()) {
            Ok((document, timestamp)) => {
                self.counters.documents.fetch_add(1, Ordering::Relaxed);
                self.counters.attested.fetch_add(size, Ordering::Relaxed);
                for (job, places) in jobs {
                    let result = if timestamp.abs_diff(job.time_ms) > MAX_SKEW_MS {
                        Err(Refusal::new(Code::ClockUnsafe).retry_after(1000))
                    } else {
                        let inclusions = places
                            .into_iter()
                            .map(|i| Inclusion { index: i as u64, path: tree.path(i) })
                            .collect();
                        Ok(Attestation { document: Arc::clone(&document), inclusions })
                    };
                    // Whoever asked may have gone; the others are still to be answered.
                    drop(job.answer.send(result));
                }
            }
            Err(why) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(reason = why, "no attestation document");
                for (job, _) in jobs {
                    drop(job.answer.send(Err(Refusal::new(Code::NsmUnavailable).retry_after(1000))));
                }
            }
        }
    }

    /// One document, verified as clients verify it and the one that was asked for, and its timestamp.
    fn document(&mut self, user_data: &[u8]) -> Result<(Arc<[u8]>, u64), &'static str> {
        let asked = self.time.since_boot();
        let request =
            AttestationRequest { user_data: Some(user_data), public_key: Some(&self.log_key), nonce: None };
        let bytes = self.nsm.attest(&request).map_err(|e| e.reason())?;
        // Certificates are remembered, so that this is one signature; and the host has no say in which time it is.
        let document = self.verifier.verify_historical(&bytes).map_err(|e| e.code())?;
        if document.user_data() != Some(user_data) {
            return Err("document_for_other_user_data");
        }
        if document.public_key() != Some(&self.log_key) {
            return Err("document_for_other_key");
        }
        if document.nonce().is_some() {
            return Err("document_with_nonce");
        }
        let timestamp = document.timestamp_ms();
        self.time.observe(timestamp, asked);
        Ok((bytes.into(), timestamp))
    }
}

/// The tolerance between the enclave's clocks is far below what makes a batch unusable.
const _: () = assert!(TOLERANCE_MS < MAX_SKEW_MS);

#[derive(Default)]
struct Batch {
    leaves: Vec<Hash>,
    places: HashMap<Hash, usize>,
    jobs: Vec<(Job, Vec<usize>)>,
}

impl Batch {
    fn has_room_for(&self, job: &Job) -> bool {
        (self.leaves.len() + job.leaves.len()) as u64 <= MAX_BATCH
    }

    /// Adds a job's leaves. Equal records share a leaf, so that no batch holds one twice.
    fn add(&mut self, job: Job) {
        if job.answer.is_closed() {
            return;
        }
        let places = job.leaves.iter().map(|leaf| self.place(*leaf)).collect();
        self.jobs.push((job, places));
    }

    /// A leaf that nobody asked for, so that the NSM tells the time.
    fn add_heartbeat(&mut self) {
        let mut nonce = [0; 16];
        if getrandom::fill(&mut nonce).is_ok()
            && let Ok(nonce) = Nonce::new(nonce)
        {
            self.place(leaf_hash(&Statement { nonce, time: 0 }.encode()));
        }
    }

    fn place(&mut self, leaf: Hash) -> usize {
        *self.places.entry(leaf).or_insert_with(|| {
            self.leaves.push(leaf);
            self.leaves.len() - 1
        })
    }
}
