//! Distributes requests over a few streams to the enclave, and waits for the answers.
//!
//! A request is written to at most one stream, at most once. If that stream breaks before the answer arrives,
//! the parent cannot know whether the enclave carried the request out. The caller gets an error that says so,
//! and may repeat the request: the protocol makes that safe. Requests that were not written yet move to the
//! next stream.
//!
//! `worker` keeps one stream open and writes requests to it.

mod worker;

use super::{
    admission::{AdmissionLimit, MAX_PROBES},
    connection::{AnswerKind, OutgoingRequest, SentOn},
    error::CallError,
};
use crate::{Config, metrics::Metrics};
use ok2cry_protocol::{
    frame,
    rpc::{Answer, Call, Health, Request},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use worker::{StreamWorker, WorkerSignals};

/// The streams to one enclave. They close when the pool is dropped.
pub(crate) struct EnclavePool {
    workers: Vec<WorkerHandle>,
    next_worker: AtomicUsize,
    next_id: AtomicU64,
    admission: AdmissionLimit,
    timeout: Duration,
    ready_timeout: Duration,
    metrics: Arc<Metrics>,
}

struct WorkerHandle {
    requests: mpsc::Sender<OutgoingRequest>,
    signals: WorkerSignals,
}

/// How a worker is chosen.
#[derive(Clone, Copy)]
enum Routing {
    /// The next worker. One without a stream is woken, and used only if no other worker has a stream.
    RoundRobin,
    /// The first worker that has a stream. Probes use it, so that they do not keep further streams open.
    FirstConnected,
}

impl EnclavePool {
    /// Starts to connect. Must be called within a Tokio runtime.
    pub(crate) fn start(config: &Config, metrics: Arc<Metrics>) -> Self {
        let workers = (0..config.enclave_streams).map(|n| {
            // Admission lets no more requests through than this, so a queue is never full.
            let (requests, queue) = mpsc::channel(config.max_in_flight + MAX_PROBES);
            let signals = WorkerSignals::default();
            // The first stream is always kept open, so that a missing enclave is noticed.
            let on_demand = n > 0;
            let worker = StreamWorker::new(config, queue, signals.clone(), on_demand, metrics.clone());
            tokio::spawn(worker.run());
            WorkerHandle { requests, signals }
        });
        Self {
            workers: workers.collect(),
            next_worker: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            admission: AdmissionLimit::new(config.max_in_flight, config.max_queue),
            timeout: config.enclave_timeout,
            ready_timeout: config.ready_timeout,
            metrics,
        }
    }

    /// Sends a call and returns its answer, which is of the kind that the call expects. Waits at most
    /// [`Config::enclave_timeout`]. If the future is dropped, the answer is dropped too; the enclave may
    /// still carry the call out.
    ///
    /// # Errors
    /// [`CallError`]: the enclave's refusal, or the reason why there is no answer.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let deadline = Instant::now() + self.timeout;
        let _permit = self.admission.admit(weight(&call), deadline, &self.metrics).await?;
        self.exchange(call, deadline, Routing::RoundRobin).await
    }

    /// Asks the enclave for its state, without waiting in the queue, and updates the metrics with it.
    /// Waits at most [`Config::ready_timeout`].
    ///
    /// # Errors
    /// As for [`EnclavePool::call`].
    pub(crate) async fn health(&self) -> Result<Health, CallError> {
        let _permit = self.admission.admit_probe()?;
        let deadline = Instant::now() + self.ready_timeout;
        match self.exchange(Call::Health, deadline, Routing::FirstConnected).await? {
            Answer::Health(health) => {
                self.metrics.enclave_health(&health);
                Ok(health)
            }
            _ => Err(CallError::WrongAnswer),
        }
    }

    async fn exchange(&self, call: Call, deadline: Instant, routing: Routing) -> Result<Answer, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let kind = AnswerKind::of(&call);
        let body = Request { id, call }.encode();
        if body.len() > frame::MAX_REQUEST {
            return Err(CallError::RequestTooLong);
        }
        let (reply, answer) = oneshot::channel();
        // Dropped after `answer`: `Connection::register` relies on this order.
        let guard = RequestGuard { id, sent_on: SentOn::default() };
        let sent_on = guard.sent_on.clone();
        let frame = frame::encode(&body);
        self.dispatch(OutgoingRequest { id, kind, frame, reply, sent_on }, routing)?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallError::NotSent),
            Err(_) if guard.sent_on.get().is_none() => Err(CallError::NotSent),
            Err(_) => {
                guard.timed_out();
                Err(CallError::TimedOut)
            }
        }
    }

    fn dispatch(&self, mut request: OutgoingRequest, routing: Routing) -> Result<(), CallError> {
        let first = match routing {
            Routing::RoundRobin => {
                self.next_worker.fetch_add(1, Ordering::Relaxed) % self.workers.len().max(1)
            }
            Routing::FirstConnected => 0,
        };
        let in_order = || self.workers.iter().cycle().skip(first).take(self.workers.len());
        let is_connected = |worker: &&WorkerHandle| worker.signals.connected.load(Ordering::Relaxed);
        let next = in_order().next().filter(|worker| !is_connected(worker));
        if let (Routing::RoundRobin, Some(worker)) = (routing, next) {
            worker.signals.wake.notify_one();
        }
        let connected = in_order().filter(is_connected);
        for worker in connected.chain(in_order()) {
            match worker.requests.try_send(request) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => {
                    request = back;
                }
            }
        }
        Err(CallError::QueuesFull)
    }
}

/// A request's weight for admission: n for a request for n keys, otherwise 1.
fn weight(call: &Call) -> u32 {
    match call {
        Call::Issue(issue) => issue.count,
        _ => 1,
    }
}

/// Removes a request from its connection when dropped: after the answer, at the deadline, or on cancellation.
struct RequestGuard {
    id: u64,
    sent_on: SentOn,
}

impl RequestGuard {
    fn timed_out(&self) {
        if let Some(connection) = self.sent_on.get() {
            connection.timed_out(self.id);
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.sent_on.get() {
            connection.forget(self.id);
        }
    }
}
