//! Frames over vsock or a Unix socket.
//!
//! A stream carries a bounded number of requests at once: if the parent does not read responses, its requests
//! are not read either. An invalid frame closes its stream and nothing else. When the limit of streams is
//! reached, a quiet stream is closed for a new one.

use super::streams::{StreamState, Streams};
use crate::{api::dispatch::Service, platform::compute_pool::QueueId};
use ok2cry_protocol::{
    frame::{FrameError, FrameReader, MAX_REQUEST, MAX_WRITE},
    rpc::{Answer, Call, Request, Response, ResponseWriter},
};
use std::{
    future::Future,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixListener,
    sync::{
        OwnedSemaphorePermit,
        mpsc::{self, UnboundedReceiver, UnboundedSender},
    },
    time::timeout,
};
use tokio_vsock::VsockListener;
use zeroize::{Zeroize as _, Zeroizing};

/// The most KiB of responses in progress on one stream.
pub(super) const STREAM_KIB: usize = 16 * 1024;
/// The most KiB of responses in progress on all streams, closed ones included.
pub(super) const TOTAL_KIB: usize = 64 * 1024;
/// The most responses that are encoded before a write.
const MAX_COALESCED: usize = 64;
/// How long the rest of a started frame may take.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one write may take before the stream is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the parent connects.
pub enum Listener {
    /// A Unix socket, for local development.
    Unix(UnixListener),
    /// vsock, in an enclave.
    Vsock(VsockListener),
}

/// Serves streams, at most `max_connections` at a time, until `shutdown` is ready. One more stream waits
/// until another is closed; the rest wait to be accepted.
pub async fn serve(
    service: Arc<Service>,
    listener: Listener,
    max_connections: usize,
    shutdown: impl Future<Output = ()>,
) {
    let streams = Streams::new(max_connections);
    tokio::pin!(shutdown);
    for id in 1.. {
        let next = async {
            let accepted = listener.accept().await?;
            Ok::<_, io::Error>((streams.admit(id).await, accepted))
        };
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            next = next => next,
        };
        let (permit, (reader, writer)) = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let state = permit.state();
            if let Err(reason) = Box::pin(run_stream(&service, QueueId(id), state, reader, writer)).await {
                service.streams_closed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(reason = reason.code(), "stream closed");
            }
            drop(permit);
        });
    }
}

type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

impl Listener {
    async fn accept(&self) -> io::Result<Halves> {
        match self {
            Self::Unix(listener) => {
                let (reader, writer) = listener.accept().await?.0.into_split();
                Ok((Box::new(reader), Box::new(writer)))
            }
            Self::Vsock(listener) => {
                let (reader, writer) = tokio::io::split(listener.accept().await?.0);
                Ok((Box::new(reader), Box::new(writer)))
            }
        }
    }
}

/// Why the enclave closed a stream.
#[derive(Debug)]
enum CloseReason {
    Frame(FrameError),
    Request,
    Stalled,
    NotRead,
    GaveWay,
}

impl CloseReason {
    fn code(&self) -> &'static str {
        match self {
            Self::Frame(e) => e.reason(),
            Self::Request => "request_malformed",
            Self::Stalled => "frame_stalled",
            Self::NotRead => "responses_not_read",
            Self::GaveWay => "gave_way_to_another",
        }
    }
}

/// The part of both limits that a response uses until it is written.
pub(super) type Shares = [OwnedSemaphorePermit; 2];

/// A response on its way to the parent.
type Outgoing = (Response, Shares);

async fn run_stream(
    service: &Arc<Service>,
    queue: QueueId,
    state: &Arc<StreamState>,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
) -> Result<(), CloseReason> {
    // Bounded by what is in progress.
    let (responses, outbox) = mpsc::unbounded_channel();
    let writing = write_responses(state, writer, outbox);
    tokio::pin!(writing);
    tokio::select! {
        read = read_requests(service, queue, state, reader, responses) => read?,
        written = &mut writing => return written,
        () = state.must_close() => return Err(CloseReason::GaveWay),
    }
    // The parent has closed its side. Requests in progress are still answered.
    tokio::select! {
        written = writing => written,
        () = state.must_close() => Err(CloseReason::GaveWay),
    }
}

async fn read_requests(
    service: &Arc<Service>,
    queue: QueueId,
    state: &StreamState,
    mut reader: impl AsyncRead + Unpin,
    responses: UnboundedSender<Outgoing>,
) -> Result<(), CloseReason> {
    let mut frames = FrameReader::new(MAX_REQUEST);
    let mut buffer = vec![0; MAX_REQUEST].into_boxed_slice();
    loop {
        let begun = frames.end().is_err();
        let read = match timeout(FRAME_TIMEOUT, reader.read(&mut buffer)).await {
            Ok(read) => read,
            Err(_) if begun => return Err(CloseReason::Stalled),
            Err(_) => continue,
        };
        let arrived = match read.ok().and_then(|n| buffer.get(..n)) {
            None | Some([]) => return frames.end().map_err(CloseReason::Frame),
            Some(arrived) => arrived,
        };
        state.touch();
        frames.push(arrived);
        while let Some(body) = frames.next_frame().map_err(CloseReason::Frame)? {
            let Request { id, call } = Request::decode(body).map_err(|_| CloseReason::Request)?;
            let Some(shares) = state.reserve(response_kib(&call)).await else { return Ok(()) };
            let (service, responses) = (Arc::clone(service), responses.clone());
            // A task of its own: an open continues after its stream is closed, and its reply is kept for the
            // retry.
            tokio::spawn(async move {
                let result = service.call_from(queue, call).await;
                drop(responses.send((Response { id, result }, shares)));
            });
        }
    }
}

/// The most KiB of the response to `call`.
fn response_kib(call: &Call) -> u32 {
    const DOCUMENT: u32 = 13;
    match call {
        Call::Issue(issue) => DOCUMENT + issue.count.saturating_mul(2),
        Call::Open(_) => DOCUMENT + 8,
        Call::Attest(_) => DOCUMENT + 2,
        Call::Status(_) | Call::Destroy(_) | Call::Health => 1,
    }
}

async fn write_responses(
    state: &StreamState,
    mut writer: impl AsyncWrite + Unpin,
    mut outbox: UnboundedReceiver<Outgoing>,
) -> Result<(), CloseReason> {
    let (mut sent, mut frames) = (ResponseWriter::default(), Frames::default());
    let mut outgoing = Vec::with_capacity(MAX_COALESCED);
    while outbox.recv_many(&mut outgoing, MAX_COALESCED).await > 0 {
        for (response, shares) in outgoing.drain(..) {
            if !frames.have_room_for(&response) && !frames.write(&mut writer).await? {
                return Ok(());
            }
            frames.push(&mut sent, &response, shares);
        }
        if !frames.write(&mut writer).await? {
            return Ok(());
        }
        state.touch();
    }
    Ok(())
}

/// Frames that are written in one go.
struct Frames {
    bytes: Zeroizing<Vec<u8>>,
    /// Whether they hold a plaintext.
    secret: bool,
    shares: Vec<Shares>,
}

impl Default for Frames {
    fn default() -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(4 * MAX_WRITE)), secret: false, shares: Vec::new() }
    }
}

impl Frames {
    fn have_room_for(&self, response: &Response) -> bool {
        self.bytes.is_empty() || self.bytes.capacity() - self.bytes.len() >= response.max_len()
    }

    fn push(&mut self, sent: &mut ResponseWriter, response: &Response, shares: Shares) {
        self.secret |= matches!(response.result, Ok(Answer::Plaintext(_)));
        // It grows only while it is empty, because growing does not overwrite the old buffer.
        self.bytes.reserve(response.max_len());
        sent.write(response, &mut self.bytes);
        self.shares.push(shares);
    }

    /// Writes all frames. `false` if the parent has closed the stream.
    async fn write(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<bool, CloseReason> {
        for piece in self.bytes.chunks(MAX_WRITE) {
            match timeout(WRITE_TIMEOUT, writer.write_all(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(false),
                Err(_) => return Err(CloseReason::NotRead),
            }
        }
        if std::mem::take(&mut self.secret) {
            self.bytes.as_mut_slice().zeroize();
        }
        self.bytes.clear();
        self.shares.clear();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::start;
    use ok2cry_protocol::{
        frame,
        rpc::{Health, Plaintext, ResponseReader},
    };
    use tokio::{net::UnixStream, sync::Semaphore};

    fn shares() -> Shares {
        [(); 2].map(|()| Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    #[tokio::test]
    async fn a_buffer_with_a_plaintext_does_not_grow_and_is_wiped() {
        let (mut frames, mut sent, mut written) = (Frames::default(), ResponseWriter::default(), Vec::new());
        let plaintext =
            || Response { id: 1, result: Ok(Answer::Plaintext(Plaintext(Zeroizing::new(vec![0x5a; 4000])))) };
        let address = frames.bytes.as_ptr();
        let mut pushed = 0;
        while frames.have_room_for(&plaintext()) {
            frames.push(&mut sent, &plaintext(), shares());
            pushed += 1;
        }
        assert!((2..100).contains(&pushed), "{pushed}");
        assert_eq!(frames.bytes.as_ptr(), address, "the buffer has grown");
        assert!(frames.secret);
        assert!(frames.write(&mut written).await.unwrap());
        assert_eq!(written.iter().filter(|byte| **byte == 0x5a).count(), pushed * 4000);
        assert!(frames.bytes.is_empty() && frames.shares.is_empty() && !frames.secret);
        assert_eq!(frames.bytes.as_ptr(), address);
        frames.push(&mut sent, &Response { id: 2, result: Ok(Answer::Health(Health::default())) }, shares());
        assert!(!frames.secret);
    }

    /// Calls `Health`. `None` if the stream is closed instead.
    async fn health(stream: &mut UnixStream) -> Option<Health> {
        let request = frame::encode(&Request { id: 1, call: Call::Health }.encode());
        stream.write_all(&request).await.ok()?;
        let (mut frames, mut received, mut buffer) =
            (FrameReader::new(frame::MAX_RESPONSE), ResponseReader::default(), [0; 1024]);
        loop {
            if let Some(body) = frames.next_frame().unwrap() {
                let Ok(Answer::Health(health)) = received.read(body).unwrap()?.result else {
                    panic!("no health")
                };
                return Some(health);
            }
            let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
            frames.push(&buffer[..n]);
        }
    }

    #[tokio::test]
    async fn idle_streams_do_not_lock_the_parent_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = Listener::Unix(UnixListener::bind(&path).unwrap());
        let serving = tokio::spawn(serve(start().0, listener, 2, std::future::pending()));
        let mut first = UnixStream::connect(&path).await.unwrap();
        assert!(health(&mut first).await.is_some());
        // Many more streams than the limit, and none of them sends a request.
        let mut idle = Vec::new();
        for _ in 0..8 {
            idle.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut parent = UnixStream::connect(&path).await.unwrap();
        assert_eq!(health(&mut parent).await.unwrap().streams_closed, 8);
        for stream in &mut idle {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "the stream is still open");
        }
        assert!(health(&mut first).await.is_some(), "a used stream was closed for unused ones");
        serving.abort();
    }
}
