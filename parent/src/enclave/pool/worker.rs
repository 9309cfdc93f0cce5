//! Keeps one stream to the enclave open, and writes requests to it.

use crate::{
    Config,
    enclave::{
        connection::{CloseReason, Connection, OutgoingRequest},
        error::CallError,
        transport::{ByteStream, EnclaveUrl},
    },
    metrics::Metrics,
};
use ok2cry_protocol::frame::MAX_WRITE;
use std::{
    collections::VecDeque,
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Notify, mpsc},
    time::{Instant, sleep, sleep_until, timeout},
};

pub(super) struct StreamWorker {
    url: EnclaveUrl,
    connect_timeout: Duration,
    requests: mpsc::Receiver<OutgoingRequest>,
    /// Received from `requests` and not written yet.
    unsent: VecDeque<OutgoingRequest>,
    signals: WorkerSignals,
    /// Whether the stream may stay closed while there are no requests.
    on_demand: bool,
    metrics: Arc<Metrics>,
}

/// Signals between a worker and the pool.
#[derive(Clone, Default)]
pub(super) struct WorkerSignals {
    /// Set by the worker while it has a stream.
    pub(super) connected: Arc<AtomicBool>,
    /// Notified by the pool when a further stream would be of use.
    pub(super) wake: Arc<Notify>,
}

/// The maximum number of requests in one write.
const MAX_BATCH: usize = 32;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// How long an on-demand stream stays open without requests. Enclaves accept few streams.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

impl StreamWorker {
    pub(super) fn new(
        config: &Config,
        requests: mpsc::Receiver<OutgoingRequest>,
        signals: WorkerSignals,
        on_demand: bool,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (url, connect_timeout) = (config.enclave.clone(), config.enclave_connect_timeout);
        Self { url, connect_timeout, requests, unsent: VecDeque::new(), signals, on_demand, metrics }
    }

    /// Connects, writes requests, and reconnects when the stream ends, until the pool is dropped.
    ///
    /// Requests wait during an attempt to connect, and fail during the back-off after a failed one. If an
    /// on-demand stream is closed while idle, the worker reconnects at the next request.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            if self.back_off(backoff(failures)).await.is_break() {
                return;
            }
            let stream = timeout(self.connect_timeout, self.url.connect()).await;
            match stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    let connection = Arc::new(Connection::new(self.metrics.clone()));
                    if self.use_stream(&connection, stream).await.is_break() {
                        return;
                    }
                    failures = if connection.has_answered() { 0 } else { failures + 1 };
                }
                Err(error) => {
                    self.metrics.connect_failures.inc();
                    let enclave = &self.url;
                    if failures == 0 {
                        tracing::warn!(%error, %enclave, "cannot connect to the enclave");
                    } else {
                        tracing::debug!(%error, %enclave, failures, "cannot connect to the enclave");
                    }
                    failures += 1;
                    self.fail_all();
                }
            }
        }
    }

    // Returns when a new stream is to be opened. Breaks when the pool was dropped.
    async fn use_stream(
        &mut self,
        connection: &Arc<Connection>,
        stream: Box<dyn ByteStream>,
    ) -> ControlFlow<()> {
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(connection.clone().read(reader));
        self.signals.connected.store(true, Ordering::Relaxed);
        let flow = self.write_requests(connection, writer).await;
        self.signals.connected.store(false, Ordering::Relaxed);
        if flow.is_break() {
            connection.close(CloseReason::Shutdown);
            return flow;
        }
        if self.on_demand && connection.closed_while_idle() {
            return self.wait_for_demand().await;
        }
        flow
    }

    // Breaks when the pool was dropped.
    async fn write_requests(
        &mut self,
        connection: &Arc<Connection>,
        mut writer: impl AsyncWrite + Unpin,
    ) -> ControlFlow<()> {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            if self.unsent.is_empty() {
                tokio::select! {
                    biased;
                    () = connection.not_writable() => return ControlFlow::Continue(()),
                    n = self.requests.recv_many(&mut batch, MAX_BATCH) => if n == 0 {
                        return ControlFlow::Break(());
                    },
                    () = sleep(IDLE_TIMEOUT), if self.on_demand => if connection.is_idle() {
                        connection.close(CloseReason::Idle);
                        return ControlFlow::Continue(());
                    },
                }
                self.unsent.extend(batch.drain(..));
            }
            let mut frames = Vec::new();
            while let Some(request) = self.unsent.pop_front() {
                match connection.register(request) {
                    Ok(frame) => frames.extend(frame.unwrap_or_default()),
                    Err(request) => {
                        self.unsent.push_front(request);
                        return ControlFlow::Continue(());
                    }
                }
            }
            tokio::select! {
                biased;
                () = connection.not_writable() => return ControlFlow::Continue(()),
                written = write(&mut writer, &frames) => if written.is_err() {
                    connection.close(CloseReason::WriteFailed);
                    return ControlFlow::Continue(());
                },
            }
        }
    }

    // Waits for a request to this worker, or for the pool's signal that a further stream is of use.
    async fn wait_for_demand(&mut self) -> ControlFlow<()> {
        if !self.unsent.is_empty() {
            return ControlFlow::Continue(());
        }
        tokio::select! {
            biased;
            request = self.requests.recv() => match request {
                Some(request) => self.unsent.push_back(request),
                None => return ControlFlow::Break(()),
            },
            () = self.signals.wake.notified() => {}
        }
        ControlFlow::Continue(())
    }

    async fn back_off(&mut self, delay: Duration) -> ControlFlow<()> {
        let until = Instant::now() + delay;
        if delay.is_zero() {
            return ControlFlow::Continue(());
        }
        loop {
            tokio::select! {
                () = sleep_until(until) => return ControlFlow::Continue(()),
                request = self.requests.recv() => match request {
                    Some(request) => fail(request),
                    None => return ControlFlow::Break(()),
                },
            }
            self.unsent.drain(..).for_each(fail);
        }
    }

    fn fail_all(&mut self) {
        self.unsent.drain(..).for_each(fail);
        while let Ok(request) = self.requests.try_recv() {
            fail(request);
        }
    }
}

fn fail(request: OutgoingRequest) {
    let _ = request.reply.send(Err(CallError::NotSent));
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), frames: &[u8]) -> io::Result<()> {
    for chunk in frames.chunks(MAX_WRITE) {
        writer.write_all(chunk).await?;
    }
    writer.flush().await
}

/// The pause after this many consecutive failures: none after the first, then exponential up to
/// [`MAX_BACKOFF`]. It is jittered, so that workers and parents do not reconnect at the same time.
fn backoff(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(2) else { return Duration::ZERO };
    let longest = FIRST_BACKOFF.saturating_mul(1 << doublings.min(16)).min(MAX_BACKOFF);
    let jitter = getrandom::u32().unwrap_or_default();
    longest / 2 + (longest / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_immediate_and_later_pauses_are_bounded() {
        assert_eq!((backoff(0), backoff(1)), (Duration::ZERO, Duration::ZERO));
        for failures in 2..100 {
            let longest = FIRST_BACKOFF.saturating_mul(1 << (failures - 2).min(16)).min(MAX_BACKOFF);
            assert!((longest / 2..=longest).contains(&backoff(failures)));
        }
        assert!(backoff(u32::MAX) <= MAX_BACKOFF);
    }

    #[tokio::test]
    async fn frames_are_written_in_chunks_that_vsock_carries() {
        struct ChunkRecorder(Vec<usize>);
        impl AsyncWrite for ChunkRecorder {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<io::Result<usize>> {
                self.0.push(buf.len());
                std::task::Poll::Ready(Ok(buf.len()))
            }
            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }
            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }
        }
        let mut recorder = ChunkRecorder(Vec::new());
        write(&mut recorder, &[0; 2 * MAX_WRITE + 1]).await.unwrap();
        assert_eq!(recorder.0, [MAX_WRITE, MAX_WRITE, 1]);
    }
}
