//! One open stream to the enclave: its pending requests, and the reader that answers them.

use super::error::CallError;
use crate::metrics::{GaugeGuard, Metrics};
use ok2cry_protocol::{
    frame::{FrameError, FrameReader, MAX_RESPONSE},
    rpc::{Answer, Call, ResponseReader},
};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::{Notify, oneshot, watch},
};
use zeroize::Zeroizing;

/// A request to be written to a stream.
pub(super) struct OutgoingRequest {
    pub(super) id: u64,
    pub(super) kind: AnswerKind,
    pub(super) frame: Vec<u8>,
    pub(super) reply: ReplySender,
    pub(super) sent_on: SentOn,
}

pub(super) type ReplySender = oneshot::Sender<Result<Answer, CallError>>;

/// The connection that a request was written to. While empty, the request has not been sent.
pub(super) type SentOn = Arc<OnceLock<Arc<Connection>>>;

/// The kind of answer that a call expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerKind {
    Issued,
    Opened,
    State,
    Attested,
    Health,
}

/// Why a connection was closed: the label `reason` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The pool was dropped.
    Shutdown,
    /// This end closed a stream that was not used.
    Idle,
    /// The enclave's end closed the stream, between two frames.
    Ended,
    /// A retired connection has no pending requests left.
    Stalled,
    ReadFailed,
    WriteFailed,
    Frame(FrameError),
    ResponseMalformed,
    ResponseWrongKind,
}

pub(super) struct Connection {
    state: Mutex<ConnectionState>,
    /// Whether requests may be written to this connection.
    writable: watch::Sender<bool>,
    /// Notifies the reader that a retired connection has no pending requests left.
    drained: Notify,
    metrics: Arc<Metrics>,
}

struct ConnectionState {
    phase: Phase,
    pending: HashMap<u64, PendingReply>,
    /// Responses read so far.
    responses: u64,
    /// Whether it was closed between two frames, with no request pending.
    closed_while_idle: bool,
    /// Counts the open stream; dropped when the connection closes.
    open: Option<GaugeGuard>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The stream is silent. It accepts no more requests; pending ones may still be answered.
    Retired,
    Closed,
}

struct PendingReply {
    kind: AnswerKind,
    /// [`ConnectionState::responses`] when the request was written.
    responses_before: u64,
    reply: ReplySender,
}

impl Connection {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let state = ConnectionState {
            phase: Phase::Open,
            pending: HashMap::new(),
            responses: 0,
            closed_while_idle: false,
            open: Some(GaugeGuard::new(&metrics.streams)),
        };
        Self { state: Mutex::new(state), writable: watch::Sender::new(true), drained: Notify::new(), metrics }
    }

    /// Waits until requests must no longer be written to this connection.
    pub(super) async fn not_writable(&self) {
        // This fails only if the sender was dropped, and `self` holds the sender.
        let _ = self.writable.subscribe().wait_for(|writable| !writable).await;
    }

    /// Whether at least one response was read.
    pub(super) fn has_answered(&self) -> bool {
        self.lock().responses > 0
    }

    /// Whether no request is pending.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().pending.is_empty()
    }

    /// Whether this connection was closed between two frames with no request pending. An enclave that is
    /// short of streams closes idle ones in this way.
    pub(super) fn closed_while_idle(&self) -> bool {
        self.lock().closed_while_idle
    }

    /// Registers a request as pending, and returns the frame to write. Returns `None` if the caller no longer
    /// waits.
    ///
    /// # Errors
    /// The unchanged request, if this connection accepts no more requests.
    pub(super) fn register(
        self: &Arc<Self>,
        request: OutgoingRequest,
    ) -> Result<Option<Vec<u8>>, OutgoingRequest> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(request);
        }
        // Set `sent_on` before checking `reply`. A caller that stops waiting drops its receiver before it
        // reads `sent_on`. One of the two therefore sees the other's step, and no entry stays behind.
        let _ = request.sent_on.set(Arc::clone(self));
        if request.reply.is_closed() {
            return Ok(None);
        }
        let OutgoingRequest { id, kind, frame, reply, .. } = request;
        let responses_before = state.responses;
        state.pending.insert(id, PendingReply { kind, responses_before, reply });
        Ok(Some(frame))
    }

    /// Removes a pending request. Its response, if one arrives, is counted and dropped.
    pub(super) fn forget(&self, id: u64) {
        let mut state = self.lock();
        state.pending.remove(&id);
        self.notify_if_drained(&state);
    }

    /// Removes a request that timed out. If no response at all arrived since it was written, the connection
    /// accepts no more requests. Either the enclave hangs or the stream is dead; a new stream is better in
    /// both cases.
    pub(super) fn timed_out(&self, id: u64) {
        let mut state = self.lock();
        let Some(pending) = state.pending.remove(&id) else { return };
        if state.phase == Phase::Open && pending.responses_before == state.responses {
            state.phase = Phase::Retired;
            self.writable.send_replace(false);
        }
        self.notify_if_drained(&state);
    }

    /// Reads responses until the stream ends or violates the protocol, then fails the pending requests.
    pub(super) async fn read(self: Arc<Self>, stream: impl AsyncRead + Unpin) {
        let reason = self.read_frames(stream).await;
        self.close(reason);
    }

    /// Closes the connection and counts the reason. Only the first call has an effect.
    pub(super) fn close(&self, reason: CloseReason) {
        let mut state = self.lock();
        if state.phase == Phase::Closed {
            return;
        }
        state.phase = Phase::Closed;
        let pending = mem::take(&mut state.pending);
        state.closed_while_idle =
            pending.is_empty() && matches!(reason, CloseReason::Ended | CloseReason::Idle);
        let closed_while_idle = state.closed_while_idle;
        let open = state.open.take();
        drop(state);
        self.writable.send_replace(false);
        self.drained.notify_one();
        drop(open);
        let label = reason.as_str();
        self.metrics.stream_closed(label);
        if matches!(reason, CloseReason::Shutdown | CloseReason::Idle) {
            tracing::debug!(reason = label, "a stream to the enclave was closed");
        } else if closed_while_idle {
            tracing::info!(reason = label, "the enclave closed a stream that was idle");
        } else {
            tracing::warn!(reason = label, lost = pending.len(), "a stream to the enclave was closed");
        }
        for pending in pending.into_values() {
            let _ = pending.reply.send(Err(CallError::ConnectionLost));
        }
    }

    async fn read_frames(&self, mut stream: impl AsyncRead + Unpin) -> CloseReason {
        let (mut frames, mut received) = (FrameReader::new(MAX_RESPONSE), ResponseReader::default());
        // Answers in `caller` mode hold plaintext. This buffer and the decoded answer are wiped. The frame
        // reader's own buffer is overwritten only by later frames, and the kernel's buffers are never wiped.
        let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
        loop {
            let read = tokio::select! {
                read = stream.read(&mut buffer) => read,
                () = self.drained.notified() => return CloseReason::Stalled,
            };
            let bytes = match read.map(|n| buffer.get(..n).unwrap_or_default()) {
                Ok([]) => return frames.end().map_or_else(CloseReason::Frame, |()| CloseReason::Ended),
                Ok(bytes) => bytes,
                Err(_) => return CloseReason::ReadFailed,
            };
            frames.push(bytes);
            loop {
                match frames.next_frame() {
                    Ok(Some(frame)) => {
                        if let Err(reason) = self.handle_frame(&mut received, frame) {
                            return reason;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return CloseReason::Frame(error),
                }
            }
        }
    }

    fn handle_frame(&self, received: &mut ResponseReader, frame: &[u8]) -> Result<(), CloseReason> {
        let response = received.read(frame).map_err(|_| CloseReason::ResponseMalformed)?;
        // A frame with a document is not a response: later responses refer to it.
        let Some(response) = response else { return Ok(()) };
        let mut state = self.lock();
        state.responses += 1;
        let Some(pending) = state.pending.remove(&response.id) else {
            self.metrics.unmatched_responses.inc();
            return Ok(());
        };
        self.notify_if_drained(&state);
        drop(state);
        if response.result.as_ref().is_ok_and(|answer| !pending.kind.matches(answer)) {
            // Responses no longer match requests: the next one could hold another caller's plaintext.
            let _ = pending.reply.send(Err(CallError::WrongAnswer));
            return Err(CloseReason::ResponseWrongKind);
        }
        let _ = pending.reply.send(response.result.map_err(CallError::Refused));
        Ok(())
    }

    fn notify_if_drained(&self, state: &ConnectionState) {
        if state.phase == Phase::Retired && state.pending.is_empty() {
            self.drained.notify_one();
        }
    }

    // No code panics while it holds the lock. If one did, the state would still be consistent.
    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CloseReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Idle => "idle",
            Self::Ended => "ended",
            Self::Stalled => "stalled",
            Self::ReadFailed => "read_failed",
            Self::WriteFailed => "write_failed",
            Self::Frame(error) => error.reason(),
            Self::ResponseMalformed => "response_malformed",
            Self::ResponseWrongKind => "response_wrong_kind",
        }
    }
}

impl AnswerKind {
    pub(super) fn of(call: &Call) -> Self {
        match call {
            Call::Issue(_) => Self::Issued,
            Call::Open(_) => Self::Opened,
            Call::Status(_) | Call::Destroy(_) => Self::State,
            Call::Attest(_) => Self::Attested,
            Call::Health => Self::Health,
        }
    }

    fn matches(self, answer: &Answer) -> bool {
        match answer {
            Answer::Issued(_) => self == Self::Issued,
            Answer::Sealed(_) | Answer::Plaintext(_) => self == Self::Opened,
            Answer::State(_) => self == Self::State,
            Answer::Attested(_) => self == Self::Attested,
            Answer::Health(_) => self == Self::Health,
        }
    }
}
