//! One stream: what waits for answers on it, and the reader that brings them.

use super::{Job, lost};
use crate::metrics::Metrics;
use ok2cry_protocol::{
    code::Code,
    frame::{FrameReader, MAX_RESPONSE},
    rpc::{Answer, Call, Refusal, ResponseReader},
};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::{Notify, oneshot, watch},
};
use zeroize::Zeroizing;

/// What kind of answer a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Issued,
    Opened,
    State,
    Attested,
    Health,
}

/// The bridge is gone.
pub(super) const SHUTDOWN: &str = "shutdown";
/// The stream was not used for long.
pub(super) const IDLE: &str = "idle";
/// The far side ended the stream, between two frames.
const ENDED: &str = "ended";

pub(super) struct Connection {
    state: Mutex<State>,
    /// Whether requests may be written here.
    open: watch::Sender<bool>,
    /// The reader has nothing left to wait for.
    done: Notify,
    metrics: Arc<Metrics>,
}

struct State {
    phase: Phase,
    waiting: HashMap<u64, Waiting>,
    /// Frames understood so far.
    heard: u64,
    /// It was closed in order while no request was under way on it.
    ended_idle: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// It has gone silent: no more requests, but those under way may still be answered.
    Retired,
    Closed,
}

struct Waiting {
    kind: Kind,
    /// [`State::heard`] when the request was written.
    heard: u64,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
}

impl Connection {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        metrics.streams.inc();
        let state = State { phase: Phase::Open, waiting: HashMap::new(), heard: 0, ended_idle: false };
        Self { state: Mutex::new(state), open: watch::Sender::new(true), done: Notify::new(), metrics }
    }

    /// Waits until requests must not be written here any more.
    pub(super) async fn not_open(&self) {
        // It fails only if the sender is gone, and the sender is here.
        let _ = self.open.subscribe().wait_for(|open| !open).await;
    }

    /// Whether the enclave ever said anything that was understood.
    pub(super) fn has_answered(&self) -> bool {
        self.lock().heard > 0
    }

    /// Whether no request is under way here.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Whether this stream is closed, in order, and no request was lost with it: an enclave that is short of streams
    /// closes those that idle.
    pub(super) fn ended_idle(&self) -> bool {
        self.lock().ended_idle
    }

    /// Notes who waits for the answer, and returns the frame to write; `None` if nobody waits any more.
    ///
    /// # Errors
    /// The job itself, untouched, if this connection takes no more requests.
    pub(super) fn register(self: &Arc<Self>, job: Job) -> Result<Option<Vec<u8>>, Job> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(job);
        }
        // First say where, then look whether somebody waits. Whoever stops waiting does the opposite, so that
        // at least one of the two sees the other and no entry is left behind.
        let _ = job.sent_on.set(Arc::clone(self));
        if job.reply.is_closed() {
            return Ok(None);
        }
        let waiting = Waiting { kind: job.kind, heard: state.heard, reply: job.reply };
        state.waiting.insert(job.id, waiting);
        Ok(Some(job.frame))
    }

    /// Forgets a request: its answer will be counted and dropped.
    pub(super) fn forget(&self, id: u64) {
        let mut state = self.lock();
        state.waiting.remove(&id);
        self.finish_if_drained(&state);
    }

    /// Forgets a request that was not answered in time. If the stream was silent all the while, it gets no more
    /// requests: whether the enclave hangs or the stream is dead, a fresh stream is the better try.
    pub(super) fn timed_out(&self, id: u64) {
        let mut state = self.lock();
        let Some(waiting) = state.waiting.remove(&id) else { return };
        if state.phase == Phase::Open && waiting.heard == state.heard {
            state.phase = Phase::Retired;
            self.open.send_replace(false);
        }
        self.finish_if_drained(&state);
    }

    /// Reads answers until the stream ends or breaks a rule, then tells everybody who still waits.
    pub(super) async fn read(self: Arc<Self>, stream: impl AsyncRead + Unpin) {
        let reason = self.read_frames(stream).await;
        self.close(reason);
    }

    /// Ends the connection, for a reason that is counted. Only the first reason counts.
    pub(super) fn close(&self, reason: &'static str) {
        let mut state = self.lock();
        if state.phase == Phase::Closed {
            return;
        }
        state.phase = Phase::Closed;
        let waiting = mem::take(&mut state.waiting);
        state.ended_idle = waiting.is_empty() && matches!(reason, ENDED | IDLE);
        let ended_idle = state.ended_idle;
        drop(state);
        self.open.send_replace(false);
        self.done.notify_one();
        self.metrics.streams.dec();
        self.metrics.stream_closed(reason);
        if matches!(reason, SHUTDOWN | IDLE) {
            tracing::debug!(reason, "a stream to the enclave was closed");
        } else if ended_idle {
            tracing::info!(reason, "the enclave closed a stream that was idle");
        } else {
            tracing::warn!(reason, lost = waiting.len(), "a stream to the enclave was closed");
        }
        for waiting in waiting.into_values() {
            let _ = waiting.reply.send(Err(lost()));
        }
    }

    async fn read_frames(&self, mut stream: impl AsyncRead + Unpin) -> &'static str {
        let (mut frames, mut received) = (FrameReader::new(MAX_RESPONSE), ResponseReader::default());
        // Answers in `caller` mode hold plaintext. This buffer and the decoded answer are overwritten; the frame
        // reader's own buffer is overwritten only by later frames, and the kernel's never.
        let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
        loop {
            let read = tokio::select! {
                read = stream.read(&mut buffer) => read,
                () = self.done.notified() => return "stalled",
            };
            let bytes = match read.map(|n| buffer.get(..n).unwrap_or_default()) {
                Ok([]) => return frames.end().map_or_else(|error| error.reason(), |()| ENDED),
                Ok(bytes) => bytes,
                Err(_) => return "read_failed",
            };
            frames.push(bytes);
            loop {
                match frames.next_frame() {
                    Ok(Some(frame)) => {
                        if let Err(reason) = self.deliver(&mut received, frame) {
                            return reason;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return error.reason(),
                }
            }
        }
    }

    fn deliver(&self, received: &mut ResponseReader, frame: &[u8]) -> Result<(), &'static str> {
        let response = received.read(frame).map_err(|_| "response_malformed")?;
        // A document is for answers that come next, and no answer.
        let Some(response) = response else { return Ok(()) };
        let mut state = self.lock();
        state.heard += 1;
        let Some(waiting) = state.waiting.remove(&response.id) else {
            self.metrics.unmatched_responses.inc();
            return Ok(());
        };
        self.finish_if_drained(&state);
        drop(state);
        if response.result.as_ref().is_ok_and(|answer| !waiting.kind.is_kind_of(answer)) {
            // Answers and requests have come apart: the next answer could be somebody else's plaintext.
            let _ = waiting.reply.send(Err(Code::FrameInvalid.into()));
            return Err("response_wrong_kind");
        }
        let _ = waiting.reply.send(response.result);
        Ok(())
    }

    fn finish_if_drained(&self, state: &State) {
        if state.phase == Phase::Retired && state.waiting.is_empty() {
            self.done.notify_one();
        }
    }

    // Nothing panics while it holds the lock; if it did, the state would still be whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    pub(super) fn of(call: &Call) -> Self {
        match call {
            Call::Issue(_) => Self::Issued,
            Call::Open(_) => Self::Opened,
            Call::Status(_) | Call::Destroy(_) => Self::State,
            Call::Attest(_) => Self::Attested,
            Call::Health => Self::Health,
        }
    }

    fn is_kind_of(self, answer: &Answer) -> bool {
        match answer {
            Answer::Issued(_) => self == Self::Issued,
            Answer::Sealed(_) | Answer::Plaintext(_) => self == Self::Opened,
            Answer::State(_) => self == Self::State,
            Answer::Attested(_) => self == Self::Attested,
            Answer::Health(_) => self == Self::Health,
        }
    }
}
