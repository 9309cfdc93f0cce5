//! Frames over vsock or a Unix socket.
//!
//! A stream carries many requests at once, and a bounded number of them: a parent that asks and never reads is
//! not read from any more. A frame that is not understood ends its stream and nothing else. Where there are as many streams
//! as may be, one that is quiet gives way to a new one.

use super::streams::{State, Streams};
use crate::{api::dispatch::Service, platform::compute_pool::Line};
use ok2cry_protocol::{
    frame::{FrameError, FrameReader, MAX_REQUEST, MAX_WRITE},
    rpc::{Answer, Call, Request, Response, Sent},
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

/// How much may be under way on one stream, by the size of its responses, in KiB.
pub(super) const STREAM_KIB: usize = 16 * 1024;
/// How much may be under way for all streams, those that have ended included, in KiB.
pub(super) const TOTAL_KIB: usize = 64 * 1024;
/// How many responses are put together at most.
const AT_ONCE: usize = 64;
/// How long the rest of a frame that has begun may take.
const STALL: Duration = Duration::from_secs(10);
/// How long a write may take: a parent that does not read is let go.
const WRITE: Duration = Duration::from_secs(10);

/// Where the parent connects.
pub enum Listener {
    /// A Unix socket, for local development.
    Unix(UnixListener),
    /// vsock, in an enclave.
    Vsock(VsockListener),
}

/// Serves streams, at most `max_connections` at a time, until `shutdown` is ready. One more waits until one has ended or
/// gives way to it; all others wait to be accepted.
pub async fn serve(
    service: Arc<Service>,
    listener: Listener,
    max_connections: usize,
    shutdown: impl Future<Output = ()>,
) {
    let streams = Streams::new(max_connections);
    tokio::pin!(shutdown);
    for line in 1.. {
        let next = async {
            let accepted = listener.accept().await?;
            Ok::<_, io::Error>((streams.admit(line).await, accepted))
        };
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            next = next => next,
        };
        let (place, (reader, writer)) = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let state = place.state();
            if let Err(closed) = Box::pin(stream(&service, Line(line), state, reader, writer)).await {
                service.streams_closed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(reason = closed.reason(), "stream closed");
            }
            drop(place);
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

/// Why a stream was closed from this side.
#[derive(Debug)]
enum Closed {
    Frame(FrameError),
    Request,
    Stalled,
    NotRead,
    GaveWay,
}

impl Closed {
    fn reason(&self) -> &'static str {
        match self {
            Self::Frame(e) => e.reason(),
            Self::Request => "request_malformed",
            Self::Stalled => "frame_stalled",
            Self::NotRead => "responses_not_read",
            Self::GaveWay => "gave_way_to_another",
        }
    }
}

/// What a response counts for until it is written.
pub(super) type Shares = [OwnedSemaphorePermit; 2];

/// A response on its way to the parent.
type Outgoing = (Response, Shares);

async fn stream(
    service: &Arc<Service>,
    line: Line,
    state: &Arc<State>,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
) -> Result<(), Closed> {
    // As long as what is under way, which is bounded.
    let (responses, outbox) = mpsc::unbounded_channel();
    let writing = write_responses(state, writer, outbox);
    tokio::pin!(writing);
    tokio::select! {
        read = read_requests(service, line, state, reader, responses) => read?,
        written = &mut writing => return written,
        () = state.told_to_leave() => return Err(Closed::GaveWay),
    }
    // The parent has said all that it will; what it asked is still to be answered.
    tokio::select! {
        written = writing => written,
        () = state.told_to_leave() => Err(Closed::GaveWay),
    }
}

async fn read_requests(
    service: &Arc<Service>,
    line: Line,
    state: &State,
    mut reader: impl AsyncRead + Unpin,
    responses: UnboundedSender<Outgoing>,
) -> Result<(), Closed> {
    let mut frames = FrameReader::new(MAX_REQUEST);
    let mut buffer = vec![0; MAX_REQUEST].into_boxed_slice();
    loop {
        let begun = frames.end().is_err();
        let read = match timeout(STALL, reader.read(&mut buffer)).await {
            Ok(read) => read,
            Err(_) if begun => return Err(Closed::Stalled),
            Err(_) => continue,
        };
        let arrived = match read.ok().and_then(|n| buffer.get(..n)) {
            None | Some([]) => return frames.end().map_err(Closed::Frame),
            Some(arrived) => arrived,
        };
        state.is_active();
        frames.push(arrived);
        while let Some(body) = frames.next_frame().map_err(Closed::Frame)? {
            let Request { id, call } = Request::decode(body).map_err(|_| Closed::Request)?;
            let Some(shares) = state.room(response_kib(&call)).await else { return Ok(()) };
            let (service, responses) = (Arc::clone(service), responses.clone());
            // Not tied to the stream: an open that has begun goes on though its caller has gone, and its reply
            // is kept for the retry.
            tokio::spawn(async move {
                let result = service.call_from(line, call).await;
                drop(responses.send((Response { id, result }, shares)));
            });
        }
    }
}

/// How large the response to `call` can get, in KiB.
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
    state: &State,
    mut writer: impl AsyncWrite + Unpin,
    mut outbox: UnboundedReceiver<Outgoing>,
) -> Result<(), Closed> {
    let (mut sent, mut frames) = (Sent::default(), Frames::default());
    let mut outgoing = Vec::with_capacity(AT_ONCE);
    while outbox.recv_many(&mut outgoing, AT_ONCE).await > 0 {
        for (response, shares) in outgoing.drain(..) {
            if !frames.have_room_for(&response) && !frames.write(&mut writer).await? {
                return Ok(());
            }
            frames.push(&mut sent, &response, shares);
        }
        if !frames.write(&mut writer).await? {
            return Ok(());
        }
        state.is_active();
    }
    Ok(())
}

/// Frames that are written together.
struct Frames {
    bytes: Zeroizing<Vec<u8>>,
    /// Whether a plaintext is among them.
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
        self.bytes.is_empty() || self.bytes.capacity() - self.bytes.len() >= response.room()
    }

    fn push(&mut self, sent: &mut Sent, response: &Response, shares: Shares) {
        self.secret |= matches!(response.result, Ok(Answer::Plaintext(_)));
        // It grows only while it is empty: a buffer that is outgrown is not overwritten.
        self.bytes.reserve(response.room());
        sent.write(response, &mut self.bytes);
        self.shares.push(shares);
    }

    /// Writes all there is. `false` if the stream takes no more.
    async fn write(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<bool, Closed> {
        for piece in self.bytes.chunks(MAX_WRITE) {
            match timeout(WRITE, writer.write_all(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(false),
                Err(_) => return Err(Closed::NotRead),
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
        rpc::{Health, Plaintext, Received},
    };
    use tokio::{net::UnixStream, sync::Semaphore};

    fn shares() -> Shares {
        [(); 2].map(|()| Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    #[tokio::test]
    async fn a_buffer_with_a_plaintext_in_it_does_not_grow_and_is_emptied_by_writing() {
        let (mut frames, mut sent, mut written) = (Frames::default(), Sent::default(), Vec::new());
        let plaintext =
            || Response { id: 1, result: Ok(Answer::Plaintext(Plaintext(Zeroizing::new(vec![0x5a; 4000])))) };
        let place = frames.bytes.as_ptr();
        let mut pushed = 0;
        while frames.have_room_for(&plaintext()) {
            frames.push(&mut sent, &plaintext(), shares());
            pushed += 1;
        }
        assert!((2..100).contains(&pushed), "{pushed}");
        assert_eq!(frames.bytes.as_ptr(), place, "it has grown");
        assert!(frames.secret);
        assert!(frames.write(&mut written).await.unwrap());
        assert_eq!(written.iter().filter(|byte| **byte == 0x5a).count(), pushed * 4000);
        assert!(frames.bytes.is_empty() && frames.shares.is_empty() && !frames.secret);
        assert_eq!(frames.bytes.as_ptr(), place);
        frames.push(&mut sent, &Response { id: 2, result: Ok(Answer::Health(Health::default())) }, shares());
        assert!(!frames.secret);
    }

    /// Asks how the enclave is. `None` if the stream is closed instead.
    async fn health(stream: &mut UnixStream) -> Option<Health> {
        let request = frame::encode(&Request { id: 1, call: Call::Health }.encode());
        stream.write_all(&request).await.ok()?;
        let (mut frames, mut received, mut buffer) =
            (FrameReader::new(frame::MAX_RESPONSE), Received::default(), [0; 1024]);
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
    async fn streams_that_idle_do_not_lock_the_parent_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = Listener::Unix(UnixListener::bind(&path).unwrap());
        let serving = tokio::spawn(serve(start().0, listener, 2, std::future::pending()));
        let mut first = UnixStream::connect(&path).await.unwrap();
        assert!(health(&mut first).await.is_some());
        // Many more than may be at a time, and none of them ever says a word.
        let mut idle = Vec::new();
        for _ in 0..8 {
            idle.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut parent = UnixStream::connect(&path).await.unwrap();
        assert_eq!(health(&mut parent).await.unwrap().streams_closed, 8);
        for stream in &mut idle {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "it is still open");
        }
        assert!(health(&mut first).await.is_some(), "one that had asked gave way to those that had not");
        serving.abort();
    }
}
