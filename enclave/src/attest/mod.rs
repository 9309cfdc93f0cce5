//! Attestation documents for records, by group commit, as a database commits its log.
//!
//! The NSM answers one call at a time. While a call runs, requests queue; the next call attests all of them
//! under one Merkle root. A lone request is a batch of one and is sent at once. Only while the compute pool
//! is behind does the batcher wait some milliseconds for more, because verifying a document costs processor
//! time too.
//!
//! | module | holds |
//! |---|---|
//! | `batcher` | the thread that collects batches and verifies documents |
//! | `batch` | one batch: leaves, and which request each belongs to |
//! | `nsm_thread` | the thread that calls the NSM, because calls block for as long as the host likes |

mod batch;
mod batcher;
mod nsm_thread;

use crate::{
    keys::store::AtomicUsize,
    platform::{clock::TrustedTime, compute_pool::ComputePool, nsm::Nsm},
};
use batch::Job;
use batcher::Batcher;
use ok2cry_attest_verify::Verifier;
use ok2cry_protocol::{batch::Inclusion, document::Document, merkle::leaf_hash};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// The most requests that wait for a batch.
const MAX_QUEUED: usize = 4096;
/// How long a request waits for its document: less than a parent waits for its answer.
pub(crate) const ATTEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Why records are not attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestError {
    /// Too many requests wait already.
    #[error("the queue of the NSM is full")]
    QueueFull,
    /// The NSM gave no document, or not in time, or one that verification refuses.
    #[error("the NSM gave no valid document")]
    NoDocument,
    /// The document's timestamp is too far from the time in the records.
    #[error("the document's timestamp is too far from the records' time")]
    ClockSkew,
    /// The batcher's thread has ended.
    #[error("the batcher has ended")]
    Stopped,
}

/// What one request gets.
pub(crate) type AttestResult = Result<Attestation, AttestError>;

/// Has records attested. Clones share one NSM.
#[derive(Clone)]
pub struct Attester {
    queue: SyncSender<Job>,
    counters: Arc<Counters>,
}

/// What an [`Attester`] works with.
pub struct AttesterConfig {
    /// Makes the documents.
    pub nsm: Box<dyn Nsm>,
    /// Checks them. A document that it refuses is never passed on.
    pub verifier: Verifier,
    /// The boot's log key (SPKI, DER), which every document carries.
    pub log_key: Vec<u8>,
    /// Observes every document's timestamp.
    pub time: TrustedTime,
    /// Says whether waiting for more requests pays.
    pub pool: ComputePool,
    /// The most records in one document, unless one request has more.
    pub max_batch: usize,
}

/// What has been attested since boot.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records in requests.
    pub requested: AtomicU64,
    /// Documents made.
    pub documents: AtomicU64,
    /// Records in these documents.
    pub attested: AtomicU64,
    /// Calls without a valid document.
    pub failures: AtomicU64,
    /// Keys that are live or reserved, as the store counts them. While there are any, documents refresh
    /// trusted time.
    pub keys: Arc<AtomicUsize>,
}

/// Proof that records were attested.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// The document, shared by all records of the batch.
    pub document: Document,
    /// Each record's place in the batch, in the order of the request.
    pub inclusions: Vec<Inclusion>,
}

impl Attester {
    /// Starts the two threads.
    ///
    /// # Errors
    ///
    /// If a thread does not start.
    pub fn start(config: AttesterConfig) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(MAX_QUEUED);
        let counters = Arc::<Counters>::default();
        let batcher = Batcher::new(config, Arc::clone(&counters))?;
        thread::Builder::new().name("attester".into()).spawn(move || batcher.run(&jobs))?;
        Ok(Self { queue, counters })
    }

    /// Has `records` attested by one document. They name the trusted time `time_ms`.
    pub async fn attest(
        &self,
        records: &[impl AsRef<[u8]>],
        time_ms: u64,
    ) -> Result<Attestation, AttestError> {
        let (answer, attestation) = oneshot::channel();
        self.submit(records, time_ms, answer);
        match tokio::time::timeout(ATTEST_TIMEOUT, attestation).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(AttestError::NoDocument),
        }
    }

    /// Like [`Attester::attest`], for a caller that waits for `answer` with a timeout of its own.
    pub(crate) fn submit(
        &self,
        records: &[impl AsRef<[u8]>],
        time_ms: u64,
        answer: oneshot::Sender<AttestResult>,
    ) {
        let leaves = records.iter().map(|record| leaf_hash(record.as_ref())).collect();
        let (job, error) = match self.queue.try_send(Job { leaves, time_ms, answer }) {
            Ok(()) => {
                self.counters.requested.fetch_add(records.len() as u64, Ordering::Relaxed);
                return;
            }
            Err(TrySendError::Full(job)) => (job, AttestError::QueueFull),
            Err(TrySendError::Disconnected(job)) => (job, AttestError::Stopped),
        };
        // The receiver may be gone.
        drop(job.answer.send(Err(error)));
    }

    /// What has been attested since boot.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

#[cfg(test)]
mod tests;
