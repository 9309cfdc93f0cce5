//! The batcher: collects requests into batches, and verifies one document while the NSM makes the next.

use super::{
    AttestError, Attestation, AttesterConfig, Counters,
    batch::{Batch, Job},
    nsm_thread::NsmThread,
};
use crate::platform::{
    clock::{TOLERANCE_MS, TrustedTime},
    compute_pool::ComputePool,
    nsm::NsmError,
};
use ok2cry_attest_verify::Verifier;
use ok2cry_protocol::{
    Record as _,
    batch::{BatchHeader, EMPTY_LOG_ROOT, Inclusion},
    document::Document,
    merkle::Tree,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// How old the latest document may get while keys live, before another one refreshes trusted time.
const TIME_REFRESH: Duration = Duration::from_secs(1);
/// The same while no key lives.
const IDLE_TIME_REFRESH: Duration = Duration::from_secs(20);
/// The least time between two refreshes, so that a failing NSM is not called without pause.
const MIN_TIME_REFRESH: Duration = Duration::from_millis(250);
/// While the pool is behind, the time from one call to the next in multiples of one verification. Verifying
/// then takes a small part of the processor, however fast it is.
const BATCH_WINDOW_FACTOR: u32 = 32;
/// The longest batch window.
const MAX_BATCH_WINDOW: Duration = Duration::from_millis(25);
/// The estimate for one verification before the first is measured.
const INITIAL_CHECK_TIME: Duration = Duration::from_micros(250);
/// How often an open batch window is polled.
const POLL_INTERVAL: Duration = Duration::from_micros(500);
/// The most milliseconds between a document's timestamp and the times in its records. Clients allow 60,000.
const MAX_SKEW_MS: u64 = 30_000;

/// The tolerance between the enclave's clocks is far below what makes a batch unusable.
const _: () = assert!(TOLERANCE_MS < MAX_SKEW_MS);

pub(super) struct Batcher {
    nsm: NsmThread,
    verifier: Verifier,
    log_key: Vec<u8>,
    time: TrustedTime,
    pool: ComputePool,
    max_batch: usize,
    counters: Arc<Counters>,
    /// The job that the last batch had no room for.
    held_over: Option<Job>,
    last_call: Instant,
    /// What one verification takes: a recent minimum, so that preemption does not inflate the estimate.
    check_time: Duration,
}

/// A batch that the NSM is attesting.
struct PendingCall {
    tree: Tree,
    jobs: Vec<(Job, Vec<usize>)>,
    size: usize,
    user_data: Vec<u8>,
    /// When the call was made, since boot.
    called_at: Duration,
}

type NsmAnswer = Result<Vec<u8>, NsmError>;

impl Batcher {
    pub(super) fn new(config: AttesterConfig, counters: Arc<Counters>) -> io::Result<Self> {
        let AttesterConfig { nsm, verifier, log_key, time, pool, max_batch } = config;
        Ok(Self {
            nsm: NsmThread::start(nsm, log_key.clone())?,
            verifier,
            log_key,
            time,
            pool,
            max_batch,
            counters,
            held_over: None,
            last_call: Instant::now(),
            check_time: INITIAL_CHECK_TIME,
        })
    }

    /// Runs until every [`Attester`](super::Attester) is dropped or the NSM's thread has ended.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut answered: Option<(PendingCall, NsmAnswer)> = None;
        loop {
            let batch = match self.queued(jobs) {
                Some(batch) if !self.is_worth_waiting(&batch) => batch,
                partial => {
                    if let Some((call, document)) = answered.take() {
                        self.answer(call, document);
                    }
                    let Some(batch) = self.collect(partial, jobs) else { return };
                    batch
                }
            };
            let call = self.call(batch);
            // Verify the previous document while the NSM makes the next.
            if let Some((call, document)) = answered.take() {
                self.answer(call, document);
            }
            if let Some(call) = call {
                let Some(document) = self.nsm.answer() else { return };
                answered = Some((call, document));
            }
        }
    }

    /// A batch of the jobs that are queued now, if any are.
    fn queued(&mut self, jobs: &Receiver<Job>) -> Option<Batch> {
        let first = self.held_over.take().or_else(|| jobs.try_recv().ok());
        let mut batch = Batch::of(first?);
        self.fill(&mut batch, jobs);
        Some(batch)
    }

    /// Whether to hold a batch for more jobs.
    fn is_worth_waiting(&self, batch: &Batch) -> bool {
        self.has_room(batch) && self.pool.is_behind()
    }

    /// Waits for a first job if there is none, and then for more while that pays. If no job comes in time,
    /// the batch refreshes trusted time. `None` if no job can come any more.
    fn collect(&mut self, partial: Option<Batch>, jobs: &Receiver<Job>) -> Option<Batch> {
        let mut batch = match partial {
            Some(partial) => partial,
            None => match jobs.recv_timeout(self.until_time_refresh()) {
                Ok(first) => Batch::of(first),
                Err(RecvTimeoutError::Timeout) => Batch::time_refresh(),
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        let window_end = self.last_call + (BATCH_WINDOW_FACTOR * self.check_time).min(MAX_BATCH_WINDOW);
        self.fill(&mut batch, jobs);
        while self.is_worth_waiting(&batch) && Instant::now() < window_end {
            thread::sleep(POLL_INTERVAL);
            self.fill(&mut batch, jobs);
        }
        Some(batch)
    }

    /// Adds queued jobs as far as there is room.
    fn fill(&mut self, batch: &mut Batch, jobs: &Receiver<Job>) {
        while self.has_room(batch)
            && let Ok(job) = jobs.try_recv()
        {
            if batch.leaves.len() + job.leaves.len() > self.max_batch {
                self.held_over = Some(job);
            } else {
                batch.add(job);
            }
        }
    }

    /// Whether the next job may be added. A job that was too large starts the next batch.
    fn has_room(&self, batch: &Batch) -> bool {
        self.held_over.is_none() && batch.leaves.len() < self.max_batch
    }

    fn until_time_refresh(&self) -> Duration {
        // The document of the first key starts the shorter period.
        let any_keys = self.counters.keys.load(Ordering::Relaxed) > 0;
        let period = if any_keys { TIME_REFRESH } else { IDLE_TIME_REFRESH };
        let until = self.time.age().map_or(TIME_REFRESH, |age| period.saturating_sub(age));
        until.max(MIN_TIME_REFRESH)
    }

    /// Starts an NSM call for a batch. `None` if the batch is empty because all callers are gone.
    fn call(&mut self, batch: Batch) -> Option<PendingCall> {
        let Batch { leaves, jobs, .. } = batch;
        let size = leaves.len();
        let tree = Tree::new(leaves)?;
        let header =
            BatchHeader { root: tree.root(), size: size as u64, log_size: 0, log_root: EMPTY_LOG_ROOT };
        let (user_data, called_at) = (header.encode(), self.time.since_boot());
        self.nsm.call(user_data.clone());
        self.last_call = Instant::now();
        Some(PendingCall { tree, jobs, size, user_data, called_at })
    }

    /// Verifies the answer to a call and answers its jobs. A job's receiver may be gone.
    fn answer(&mut self, call: PendingCall, document: NsmAnswer) {
        let document = document.map_err(|e| e.reason());
        match document.and_then(|document| self.check(document, &call)) {
            Ok((document, timestamp)) => {
                let PendingCall { tree, jobs, size, .. } = call;
                self.counters.documents.fetch_add(1, Ordering::Relaxed);
                self.counters.attested.fetch_add(size as u64, Ordering::Relaxed);
                for (job, indexes) in jobs {
                    let result = if timestamp.abs_diff(job.time_ms) > MAX_SKEW_MS {
                        Err(AttestError::ClockSkew)
                    } else {
                        let inclusions = indexes
                            .into_iter()
                            .map(|i| Inclusion { index: i as u64, path: tree.path(i) })
                            .collect();
                        Ok(Attestation { document: document.clone(), inclusions })
                    };
                    drop(job.answer.send(result));
                }
            }
            Err(why) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(reason = why, "no attestation document");
                for (job, _) in call.jobs {
                    drop(job.answer.send(Err(AttestError::NoDocument)));
                }
            }
        }
    }

    /// Verifies a document as clients do, and that it is the one that `call` asked for. Returns it with its
    /// timestamp, or a reason for the log.
    fn check(&mut self, bytes: Vec<u8>, call: &PendingCall) -> Result<(Document, u64), &'static str> {
        // Verified certificates are cached, so that this is one signature. The host's clock is not asked.
        let begun = Instant::now();
        let document = self.verifier.verify_historical(&bytes).map_err(|e| e.code())?;
        self.check_time = begun.elapsed().min(self.check_time + self.check_time / 16);
        if document.user_data() != Some(&*call.user_data) {
            return Err("document_for_other_user_data");
        }
        if document.public_key() != Some(&self.log_key) {
            return Err("document_for_other_key");
        }
        if document.nonce().is_some() {
            return Err("document_with_nonce");
        }
        let timestamp = document.timestamp_ms();
        self.time.observe(timestamp, call.called_at);
        Ok((bytes.into(), timestamp))
    }
}
