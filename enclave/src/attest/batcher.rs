//! One document for everything that waited: group commit, as a database commits its log.
//!
//! The NSM answers one call at a time. While a call runs, whatever else is to be attested gathers; the next call
//! attests it all under one Merkle root. A lone request is a batch of one and goes at once; only while work waits for the
//! processor does a call wait for more, some milliseconds, because to verify a document costs the processor too.
//!
//! Two threads: one makes the calls and nothing else, because they block for as long as the host likes; the other
//! gathers, and verifies one document while the next call runs already.

use crate::{
    keys::store::AtomicUsize,
    platform::clock::{TOLERANCE_MS, TrustedTime},
    platform::compute_pool::Cpu,
    platform::nsm::{AttestationRequest, Nsm, NsmError},
};
use ok2cry_attest_verify::Verifier;
use ok2cry_protocol::{
    Hash, Record,
    batch::{BatchHeader, EMPTY_LOG_ROOT, Inclusion},
    code::Code,
    document::Document,
    ids::Nonce,
    merkle::{Tree, leaf_hash},
    rpc::Refusal,
    statement::Statement,
};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How many requests may wait for the NSM.
const QUEUE: usize = 4096;
/// How often a document is taken while keys live, so that trusted time stays fresh.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often one is taken while none do.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(20);
/// How long a record waits for its document: less than a parent waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long after the last call the next is made while the processor is behind: so many times what it takes to verify a document, so
/// that this is a small part of the processor's work however fast it is.
const GATHER: u32 = 32;
/// And never longer.
const MAX_GATHER: Duration = Duration::from_millis(25);
/// What it takes to verify a document, before anything is known.
const USUAL_CHECK: Duration = Duration::from_micros(250);
/// How often it looks.
const LOOK: Duration = Duration::from_micros(500);
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
    pub document: Document,
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
    /// refuses nobody gets. A document is for `max_batch` records at most, or for all of one request.
    pub fn start(
        nsm: Box<dyn Nsm>,
        verifier: Verifier,
        log_key: Vec<u8>,
        time: TrustedTime,
        cpu: Cpu,
        max_batch: usize,
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let counters = Arc::<Counters>::default();
        let nsm = NsmThread::start(nsm, log_key.clone())?;
        let worker = Worker {
            nsm,
            verifier,
            log_key,
            time,
            cpu,
            max_batch,
            counters: Arc::clone(&counters),
            held_over: None,
            called: Instant::now(),
            check_takes: USUAL_CHECK,
        };
        thread::Builder::new().name("attester".into()).spawn(move || worker.run(&jobs))?;
        Ok(Self { queue, counters })
    }

    /// Has `records`, which name the trusted time `time_ms`, attested by one document.
    pub async fn attest(&self, records: &[impl AsRef<[u8]>], time_ms: u64) -> Result<Attestation, Refusal> {
        let (answer, attestation) = oneshot::channel();
        self.submit(records, time_ms, answer);
        match tokio::time::timeout(PATIENCE, attestation).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(unavailable()),
        }
    }

    /// The same for somebody who waits elsewhere, with a patience of their own.
    pub(crate) fn submit(
        &self,
        records: &[impl AsRef<[u8]>],
        time_ms: u64,
        answer: oneshot::Sender<Result<Attestation, Refusal>>,
    ) {
        let leaves = records.iter().map(|record| leaf_hash(record.as_ref())).collect();
        let (job, refusal) = match self.queue.try_send(Job { leaves, time_ms, answer }) {
            Ok(()) => {
                self.counters.asked.fetch_add(records.len() as u64, Ordering::Relaxed);
                return;
            }
            Err(TrySendError::Full(job)) => (job, Refusal::new(Code::Busy).retry_after(1000)),
            Err(TrySendError::Disconnected(job)) => (job, Code::NsmUnavailable.into()),
        };
        // Whoever asked may have gone.
        drop(job.answer.send(Err(refusal)));
    }

    /// What has been attested since boot.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// The thread that makes the calls.
struct NsmThread {
    calls: Sender<Vec<u8>>,
    documents: Receiver<Result<Vec<u8>, NsmError>>,
}

impl NsmThread {
    fn start(mut nsm: Box<dyn Nsm>, log_key: Vec<u8>) -> io::Result<Self> {
        let (calls, user_data) = channel::<Vec<u8>>();
        let (answers, documents) = channel();
        thread::Builder::new().name("nsm".into()).spawn(move || {
            for user_data in user_data {
                let (user_data, public_key) = (Some(&*user_data), Some(&*log_key));
                let request = AttestationRequest { user_data, public_key, nonce: None };
                if answers.send(nsm.attest(&request)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { calls, documents })
    }
}

struct Worker {
    nsm: NsmThread,
    verifier: Verifier,
    log_key: Vec<u8>,
    time: TrustedTime,
    cpu: Cpu,
    max_batch: usize,
    counters: Arc<Counters>,
    /// What the last batch had no room for.
    held_over: Option<Job>,
    /// When the last call was made.
    called: Instant,
    /// What it takes to verify a document: the least of late, because a thread that is interrupted takes longer.
    check_takes: Duration,
}

/// A batch that the NSM was asked to attest.
struct Call {
    tree: Tree,
    jobs: Vec<(Job, Vec<usize>)>,
    size: usize,
    user_data: Vec<u8>,
    /// When, since boot.
    asked: Duration,
}

impl Worker {
    /// Until nobody can ask any more, or the NSM's thread is gone.
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut answered: Option<(Call, Result<Vec<u8>, NsmError>)> = None;
        loop {
            let batch = match self.waiting(jobs) {
                Some(batch) if !self.gathers(&batch) => batch,
                few => {
                    if let Some((call, document)) = answered.take() {
                        self.answer(call, document);
                    }
                    let Some(batch) = self.gather(few, jobs) else { return };
                    batch
                }
            };
            let call = self.call(batch);
            // What the module has answered is looked at while it is at work on the next.
            if let Some((call, document)) = answered.take() {
                self.answer(call, document);
            }
            if let Some(call) = call {
                let Ok(document) = self.nsm.documents.recv() else { return };
                answered = Some((call, document));
            }
        }
    }

    /// What waits now.
    fn waiting(&mut self, jobs: &Receiver<Job>) -> Option<Batch> {
        let first = self.held_over.take().or_else(|| jobs.try_recv().ok());
        let mut batch = Batch::of(first?);
        self.fill(&mut batch, jobs);
        Some(batch)
    }

    /// Whether a batch is worth waiting for more.
    fn gathers(&self, batch: &Batch) -> bool {
        self.has_room(batch) && self.cpu.is_behind()
    }

    /// A batch once it has gathered: of the first to come if there is none yet, or a heartbeat if nothing comes for long
    /// enough. `None` if nobody can ask any more.
    fn gather(&mut self, few: Option<Batch>, jobs: &Receiver<Job>) -> Option<Batch> {
        let mut batch = match few {
            Some(few) => few,
            None => match jobs.recv_timeout(self.until_heartbeat()) {
                Ok(first) => Batch::of(first),
                Err(RecvTimeoutError::Timeout) => Batch::heartbeat(),
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        let latest = self.called + (GATHER * self.check_takes).min(MAX_GATHER);
        self.fill(&mut batch, jobs);
        while self.gathers(&batch) && Instant::now() < latest {
            thread::sleep(LOOK);
            self.fill(&mut batch, jobs);
        }
        Some(batch)
    }

    /// Adds what waits, as far as there is room.
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

    /// Whether the next job may be added; one that was too large goes into the next batch.
    fn has_room(&self, batch: &Batch) -> bool {
        self.held_over.is_none() && batch.leaves.len() < self.max_batch
    }

    fn until_heartbeat(&self) -> Duration {
        // A first key has a document made by itself, and its period begins then.
        let any = self.counters.keys.load(Ordering::Relaxed) > 0;
        let period = if any { HEARTBEAT } else { IDLE_HEARTBEAT };
        // Never zero: an NSM that fails must not be asked without pause.
        self.time.age().map_or(HEARTBEAT, |age| period.saturating_sub(age)).max(Duration::from_millis(250))
    }

    /// Asks the NSM. `None` if there is nothing to ask for: everybody has gone.
    fn call(&mut self, batch: Batch) -> Option<Call> {
        let Batch { leaves, jobs, .. } = batch;
        let size = leaves.len();
        let tree = Tree::new(leaves)?;
        let header =
            BatchHeader { root: tree.root(), size: size as u64, log_size: 0, log_root: EMPTY_LOG_ROOT };
        let (user_data, asked) = (header.encode(), self.time.since_boot());
        // If its thread is gone, so is the answer, and whoever waits for that notices.
        drop(self.nsm.calls.send(user_data.clone()));
        self.called = Instant::now();
        Some(Call { tree, jobs, size, user_data, asked })
    }

    fn answer(&mut self, call: Call, document: Result<Vec<u8>, NsmError>) {
        let Call { tree, jobs, size, user_data, asked } = call;
        let document = document.map_err(|e| e.reason());
        match document.and_then(|document| self.check(document, &user_data, asked)) {
            Ok((document, timestamp)) => {
                self.counters.documents.fetch_add(1, Ordering::Relaxed);
                self.counters.attested.fetch_add(size as u64, Ordering::Relaxed);
                for (job, places) in jobs {
                    let result = if timestamp.abs_diff(job.time_ms) > MAX_SKEW_MS {
                        Err(Refusal::new(Code::ClockUnsafe).retry_after(1000))
                    } else {
                        let inclusions = places
                            .into_iter()
                            .map(|i| Inclusion { index: i as u64, path: tree.path(i) })
                            .collect();
                        Ok(Attestation { document: document.clone(), inclusions })
                    };
                    // Whoever asked may have gone; the others are still to be answered.
                    drop(job.answer.send(result));
                }
            }
            Err(why) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(reason = why, "no attestation document");
                for (job, _) in jobs {
                    drop(job.answer.send(Err(unavailable())));
                }
            }
        }
    }

    /// A document, verified as clients verify it and the one that was asked for, and its timestamp.
    fn check(
        &mut self,
        bytes: Vec<u8>,
        user_data: &[u8],
        asked: Duration,
    ) -> Result<(Document, u64), &'static str> {
        // Certificates are remembered, so that this is one signature; and the host has no say in which time it is.
        let begun = Instant::now();
        let document = self.verifier.verify_historical(&bytes).map_err(|e| e.code())?;
        self.check_takes = begun.elapsed().min(self.check_takes + self.check_takes / 16);
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

/// There is no document, for now.
pub(crate) fn unavailable() -> Refusal {
    Refusal::new(Code::NsmUnavailable).retry_after(1000)
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
    fn of(job: Job) -> Self {
        let mut batch = Self::default();
        batch.add(job);
        batch
    }

    /// A leaf that nobody asked for, so that the NSM tells the time.
    fn heartbeat() -> Self {
        let mut batch = Self::default();
        let mut nonce = [0; 16];
        if getrandom::fill(&mut nonce).is_ok()
            && let Ok(nonce) = Nonce::new(nonce)
        {
            batch.place(leaf_hash(&Statement { nonce, time: 0 }.encode()));
        }
        batch
    }

    /// Adds a job's leaves. Equal records share a leaf, so that no batch holds one twice.
    fn add(&mut self, job: Job) {
        if job.answer.is_closed() {
            return;
        }
        let places = job.leaves.iter().map(|leaf| self.place(*leaf)).collect();
        self.jobs.push((job, places));
    }

    fn place(&mut self, leaf: Hash) -> usize {
        *self.places.entry(leaf).or_insert_with(|| {
            self.leaves.push(leaf);
            self.leaves.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        platform::clock::ManualClock, platform::compute_pool::Line, platform::nsm::forged::ForgedNsm,
    };
    use ok2cry_attest_verify::TrustAnchor;
    use std::ops::ControlFlow;

    /// A module that says how large each batch is, and answers when it is released.
    struct HeldNsm {
        inner: ForgedNsm,
        sizes: Sender<u64>,
        released: Receiver<()>,
    }

    impl Nsm for HeldNsm {
        fn attest(&mut self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
            self.sizes.send(header(request.user_data.unwrap()).size).unwrap();
            self.released.recv().unwrap();
            self.inner.attest(request)
        }

        fn root_certificate(&self) -> &[u8] {
            self.inner.root_certificate()
        }
    }

    #[tokio::test]
    async fn what_a_batch_has_no_room_for_is_in_the_next() {
        let (attester, sizes, release) = start(Cpu::start().unwrap());
        let records = |job: u8, n: u8| (0..n).map(|i| vec![job, i]).collect::<Vec<_>>();
        let mut jobs = Vec::new();
        let mut submit = |job: u8, n: u8| {
            let (answer, attestation) = oneshot::channel();
            attester.submit(&records(job, n), ok2cry_attest_forge::TIMESTAMP_MS, answer);
            jobs.push((records(job, n), attestation));
        };
        submit(0, 1);
        let mut called = vec![sizes.recv().unwrap()];
        // All of these wait while the module is at work.
        for (job, n) in [(1, 1), (2, 2), (3, 3), (4, 1), (5, 1), (6, 1)] {
            submit(job, n);
        }
        for _ in 0..5 {
            release.send(()).unwrap();
            called.push(sizes.recv().unwrap());
        }
        release.send(()).unwrap();
        assert_eq!(called, [1, 1, 2, 3, 2, 1]);
        for (records, attestation) in jobs {
            let Attestation { document, inclusions } = attestation.await.unwrap().unwrap();
            let verified = verifier(&ForgedNsm::new(ManualClock::default())).verify_historical(&document);
            let header = header(verified.unwrap().user_data().unwrap());
            assert_eq!(inclusions.len(), records.len());
            assert!(records.iter().zip(&inclusions).all(|(record, proof)| proof.proves(record, &header)));
        }
    }

    #[tokio::test]
    async fn a_call_does_not_wait_for_ever_for_a_processor_that_stays_behind() {
        let cpu = Cpu::with_threads(0).unwrap();
        cpu.add(Line::default(), || ControlFlow::Continue(()));
        assert!(cpu.is_behind());
        let (attester, sizes, release) = start(cpu);
        release.send(()).unwrap();
        attester.attest(&[b"record"], ok2cry_attest_forge::TIMESTAMP_MS).await.unwrap();
        assert_eq!(sizes.recv(), Ok(1));
    }

    /// Batches of two at most.
    fn start(cpu: Cpu) -> (Attester, Receiver<u64>, Sender<()>) {
        let clock = ManualClock::default();
        let time = TrustedTime::new(Arc::new(clock.clone()));
        let (sizes, called) = channel();
        let (release, released) = channel();
        let inner = ForgedNsm::new(clock);
        let verifier = verifier(&inner);
        let nsm = Box::new(HeldNsm { inner, sizes, released });
        (Attester::start(nsm, verifier, vec![1; 44], time, cpu, 2).unwrap(), called, release)
    }

    fn verifier(nsm: &ForgedNsm) -> Verifier {
        Verifier::new(TrustAnchor::from_der(nsm.root_certificate()).unwrap())
    }

    fn header(user_data: &[u8]) -> BatchHeader {
        BatchHeader::decode(user_data).unwrap()
    }
}
