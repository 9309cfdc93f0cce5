//! Keeps one stream to the enclave open, and writes requests to it.

use super::{Job, not_sent};
use crate::{
    Config,
    enclave::{
        connection::{Connection, IDLE, SHUTDOWN},
        transport::EnclaveUrl,
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

pub(super) struct Lane {
    url: EnclaveUrl,
    connect_timeout: Duration,
    jobs: mpsc::Receiver<Job>,
    /// Taken from `jobs` and not written anywhere yet.
    unsent: VecDeque<Job>,
    signals: Signals,
    /// Whether to do without a stream while there is nothing to do.
    sleeps: bool,
    metrics: Arc<Metrics>,
}

/// What a lane and the bridge tell each other.
#[derive(Clone, Default)]
pub(super) struct Signals {
    /// There is a stream.
    pub(super) connected: Arc<AtomicBool>,
    /// A stream would be of use.
    pub(super) wake: Arc<Notify>,
}

/// The most requests to put into one write.
const BATCH: usize = 32;
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// How long a stream that may be given up is kept without use. Enclaves have few places for streams.
const KEPT_IDLE: Duration = Duration::from_secs(60);

impl Lane {
    pub(super) fn new(
        config: &Config,
        jobs: mpsc::Receiver<Job>,
        signals: Signals,
        sleeps: bool,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (url, connect_timeout) = (config.enclave.clone(), config.enclave_connect_timeout);
        Self { url, connect_timeout, jobs, unsent: VecDeque::new(), signals, sleeps, metrics }
    }

    /// Connects, feeds the connection, and connects again when it ends, until the bridge is dropped.
    ///
    /// Requests wait while an attempt to connect is under way, and are refused while the lane rests after one
    /// that failed. A lane that sleeps does not replace a stream that ended idle until there is a request.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            if self.rest(delay(failures)).await.is_break() {
                return;
            }
            let stream = timeout(self.connect_timeout, self.url.connect()).await;
            let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            match stream {
                Ok(stream) => {
                    let (reader, writer) = tokio::io::split(stream);
                    let connection = Arc::new(Connection::new(self.metrics.clone()));
                    tokio::spawn(connection.clone().read(reader));
                    self.signals.connected.store(true, Ordering::Relaxed);
                    let flow = self.feed(&connection, writer).await;
                    self.signals.connected.store(false, Ordering::Relaxed);
                    if flow.is_break() {
                        connection.close(SHUTDOWN);
                        return;
                    }
                    if self.sleeps && connection.ended_idle() && self.sleep().await.is_break() {
                        return;
                    }
                    failures = if connection.has_answered() { 0 } else { failures + 1 };
                }
                Err(error) => {
                    self.metrics.connect_failures.inc();
                    if failures == 0 {
                        tracing::warn!(%error, enclave = %self.url, "cannot connect to the enclave");
                    } else {
                        tracing::debug!(%error, enclave = %self.url, failures, "cannot connect to the enclave");
                    }
                    failures += 1;
                    self.refuse_all();
                }
            }
        }
    }

    // Breaks when the bridge is gone.
    async fn feed(
        &mut self,
        connection: &Arc<Connection>,
        mut writer: impl AsyncWrite + Unpin,
    ) -> ControlFlow<()> {
        let mut arrived = Vec::with_capacity(BATCH);
        loop {
            if self.unsent.is_empty() {
                tokio::select! {
                    biased;
                    () = connection.not_open() => return ControlFlow::Continue(()),
                    n = self.jobs.recv_many(&mut arrived, BATCH) => if n == 0 {
                        return ControlFlow::Break(());
                    },
                    () = sleep(KEPT_IDLE), if self.sleeps => if connection.is_idle() {
                        connection.close(IDLE);
                        return ControlFlow::Continue(());
                    },
                }
                self.unsent.extend(arrived.drain(..));
            }
            let mut frames = Vec::new();
            while let Some(job) = self.unsent.pop_front() {
                match connection.register(job) {
                    Ok(frame) => frames.extend(frame.unwrap_or_default()),
                    Err(job) => {
                        self.unsent.push_front(job);
                        return ControlFlow::Continue(());
                    }
                }
            }
            tokio::select! {
                biased;
                () = connection.not_open() => return ControlFlow::Continue(()),
                written = write(&mut writer, &frames) => if written.is_err() {
                    connection.close("write_failed");
                    return ControlFlow::Continue(());
                },
            }
        }
    }

    // Until there is a request here, or one elsewhere that shows that there is something to do.
    async fn sleep(&mut self) -> ControlFlow<()> {
        if !self.unsent.is_empty() {
            return ControlFlow::Continue(());
        }
        tokio::select! {
            biased;
            job = self.jobs.recv() => match job {
                Some(job) => self.unsent.push_back(job),
                None => return ControlFlow::Break(()),
            },
            () = self.signals.wake.notified() => {}
        }
        ControlFlow::Continue(())
    }

    async fn rest(&mut self, delay: Duration) -> ControlFlow<()> {
        let until = Instant::now() + delay;
        if delay.is_zero() {
            return ControlFlow::Continue(());
        }
        loop {
            tokio::select! {
                () = sleep_until(until) => return ControlFlow::Continue(()),
                job = self.jobs.recv() => match job {
                    Some(job) => refuse(job),
                    None => return ControlFlow::Break(()),
                },
            }
            self.unsent.drain(..).for_each(refuse);
        }
    }

    fn refuse_all(&mut self) {
        self.unsent.drain(..).for_each(refuse);
        while let Ok(job) = self.jobs.try_recv() {
            refuse(job);
        }
    }
}

fn refuse(job: Job) {
    let _ = job.reply.send(Err(not_sent()));
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), frames: &[u8]) -> io::Result<()> {
    for chunk in frames.chunks(MAX_WRITE) {
        writer.write_all(chunk).await?;
    }
    writer.flush().await
}

/// How long to rest after so many failures in a row: not at all after the first, then ever longer, and never
/// exactly as long as another lane or another parent.
fn delay(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(2) else { return Duration::ZERO };
    let longest = FIRST_DELAY.saturating_mul(1 << doublings.min(16)).min(LONGEST_DELAY);
    let jitter = getrandom::u32().unwrap_or_default();
    longest / 2 + (longest / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_try_again_is_immediate_and_the_rest_grows_to_a_bound() {
        assert_eq!((delay(0), delay(1)), (Duration::ZERO, Duration::ZERO));
        for failures in 2..100 {
            let most = FIRST_DELAY.saturating_mul(1 << (failures - 2).min(16)).min(LONGEST_DELAY);
            assert!((most / 2..=most).contains(&delay(failures)));
        }
        assert!(delay(u32::MAX) <= LONGEST_DELAY);
    }

    #[tokio::test]
    async fn frames_leave_in_pieces_that_vsock_carries() {
        struct Pieces(Vec<usize>);
        impl AsyncWrite for Pieces {
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
        let mut pieces = Pieces(Vec::new());
        write(&mut pieces, &[0; 2 * MAX_WRITE + 1]).await.unwrap();
        assert_eq!(pieces.0, [MAX_WRITE, MAX_WRITE, 1]);
    }
}
