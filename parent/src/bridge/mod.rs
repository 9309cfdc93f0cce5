//! Many requests under way on few streams to the enclave, each answered, refused or forgotten, never repeated.
//!
//! A request is written to at most one stream, once. If that stream breaks before the answer came, nobody here can
//! know whether the enclave carried the request out, so the caller is told and decides: asking again is the
//! caller's choice, and the protocol makes it safe. Requests that have not left yet move on to the next stream.
//!
//! | module | holds |
//! |---|---|
//! | `gate` | how many requests may be under way, and how many may wait |
//! | `lane` | keeps one stream open, and writes requests to it |
//! | `connection` | one stream: what waits for answers on it, and the reader that brings them |

mod connection;
mod gate;
mod lane;

use crate::{Config, metrics::Metrics};
use connection::{Connection, Kind};
use gate::Gate;
use lane::{Lane, Signals};
use ok2cry_protocol::{
    code::Code,
    frame,
    rpc::{Answer, Call, Health, Refusal, Request},
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// The way to one enclave. Its streams close when it is dropped.
pub struct Bridge {
    lanes: Vec<LaneHandle>,
    next_lane: AtomicUsize,
    next_id: AtomicU64,
    gate: Gate,
    probes: Semaphore,
    timeout: Duration,
    ready_timeout: Duration,
    metrics: Arc<Metrics>,
}

struct LaneHandle {
    jobs: mpsc::Sender<Job>,
    signals: Signals,
}

/// A request on its way to a stream.
struct Job {
    id: u64,
    kind: Kind,
    frame: Vec<u8>,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
    sent_on: SentOn,
}

/// Whether a request takes a lane's turn. Probes do not: they are no reason to keep more streams.
#[derive(Clone, Copy)]
enum Turns {
    Taken,
    Passed,
}

/// The one connection that a request was written to; empty as long as it has certainly not left.
type SentOn = Arc<OnceLock<Arc<Connection>>>;

/// The most probes of the enclave's health at a time: they do not wait behind other requests.
const MAX_PROBES: usize = 8;
/// When a refused request may be worth trying again, in milliseconds.
const RETRY_AFTER: u64 = 1000;

impl Bridge {
    /// Starts connecting. Must be called within a Tokio runtime.
    pub fn start(config: &Config, metrics: Arc<Metrics>) -> Self {
        let lanes = (0..config.enclave_streams).map(|n| {
            // The gate lets no more in than this: a lane's queue is full only if the gate is wrong.
            let (jobs, queue) = mpsc::channel(config.max_in_flight + MAX_PROBES);
            let signals = Signals::default();
            // The first stream is there all the time, so that an enclave that is not is noticed.
            tokio::spawn(Lane::new(config, queue, signals.clone(), n > 0, metrics.clone()).run());
            LaneHandle { jobs, signals }
        });
        Self {
            lanes: lanes.collect(),
            next_lane: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            gate: Gate::new(config.max_in_flight, config.max_queue),
            probes: Semaphore::new(MAX_PROBES),
            timeout: config.enclave_timeout,
            ready_timeout: config.ready_timeout,
            metrics,
        }
    }

    /// Asks the enclave. The answer is of the kind that the call has. Dropping the future forgets the request; the
    /// enclave may still carry it out.
    ///
    /// # Errors
    /// The enclave's own refusal, or `busy`, `enclave_unavailable`, `enclave_timeout` or `frame_invalid`.
    pub async fn call(&self, call: Call) -> Result<Answer, Refusal> {
        let deadline = Instant::now() + self.timeout;
        let _turn = self.gate.enter(weight(&call), deadline, &self.metrics).await?;
        self.exchange(call, deadline, Turns::Taken).await
    }

    /// Asks the enclave how it is, without waiting behind other requests.
    ///
    /// # Errors
    /// As [`Bridge::call`], sooner.
    pub async fn health(&self) -> Result<Health, Refusal> {
        let _probe = self.probes.try_acquire().map_err(|_| busy())?;
        match self.exchange(Call::Health, Instant::now() + self.ready_timeout, Turns::Passed).await? {
            Answer::Health(health) => {
                self.metrics.enclave_health(&health);
                Ok(health)
            }
            _ => Err(Code::FrameInvalid.into()),
        }
    }

    async fn exchange(&self, call: Call, deadline: Instant, turns: Turns) -> Result<Answer, Refusal> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let kind = Kind::of(&call);
        let body = Request { id, call }.encode();
        if body.len() > frame::MAX_REQUEST {
            return Err(Code::Internal.into());
        }
        let (reply, answer) = oneshot::channel();
        // Dropped after `answer`, whose end the connection takes as "nobody waits": see `Connection::register`.
        let request = Waiter { id, sent_on: SentOn::default() };
        let job = Job { id, kind, frame: frame::encode(&body), reply, sent_on: request.sent_on.clone() };
        self.submit(job, turns)?;
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(not_sent()),
            Err(_) if request.sent_on.get().is_none() => Err(not_sent()),
            Err(_) => {
                request.timed_out();
                Err(Code::EnclaveTimeout.into())
            }
        }
    }

    // The lanes take turns; one that has no stream is passed over as long as another has, and woken.
    fn submit(&self, mut job: Job, turns: Turns) -> Result<(), Refusal> {
        let first = match turns {
            Turns::Taken => self.next_lane.fetch_add(1, Ordering::Relaxed) % self.lanes.len().max(1),
            Turns::Passed => 0,
        };
        let in_turn = || self.lanes.iter().cycle().skip(first).take(self.lanes.len());
        let is_connected = |lane: &&LaneHandle| lane.signals.connected.load(Ordering::Relaxed);
        if let (Turns::Taken, Some(lane)) = (turns, in_turn().next().filter(|lane| !is_connected(lane))) {
            lane.signals.wake.notify_one();
        }
        let connected = in_turn().filter(is_connected);
        for lane in connected.chain(in_turn()) {
            match lane.jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) => {
                    job = back;
                }
            }
        }
        Err(busy())
    }
}

/// How much of the gate a call takes: the keys that it asks for, or as much as one key.
fn weight(call: &Call) -> u32 {
    match call {
        Call::Issue(issue) => issue.count,
        _ => 1,
    }
}

/// Somebody waits for an answer. When that ends, however it ends, the connection forgets the request.
struct Waiter {
    id: u64,
    sent_on: SentOn,
}

impl Waiter {
    fn timed_out(&self) {
        if let Some(connection) = self.sent_on.get() {
            connection.timed_out(self.id);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(connection) = self.sent_on.get() {
            connection.forget(self.id);
        }
    }
}

/// Too much is under way: nothing was sent.
pub(crate) fn busy() -> Refusal {
    Refusal::new(Code::Busy).with_retry_after_ms(RETRY_AFTER)
}

fn not_sent() -> Refusal {
    let detail = "There is no connection to the enclave; the request was not sent";
    Refusal::with_detail(Code::EnclaveUnavailable, detail).with_retry_after_ms(RETRY_AFTER)
}

fn lost() -> Refusal {
    let detail =
        "The connection to the enclave broke before the answer came; the request may have been carried out";
    Refusal::with_detail(Code::EnclaveUnavailable, detail).with_retry_after_ms(RETRY_AFTER)
}
