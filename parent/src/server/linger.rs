//! A stream that drains unread input when it is shut down in the middle of a request.
//!
//! Closing a socket with unread bytes resets the connection, and the caller's system then discards a response
//! that was not read yet. Many HTTP clients write their whole request before they read, so they would never
//! see the status 413 for a long body. This stream sends the end of the response first, then reads and drops
//! the rest, within bounds.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// The maximum number of bytes to drain.
const MAX_BYTES: usize = 64 << 20;
/// The maximum duration of draining.
const MAX_TIME: Duration = Duration::from_secs(10);
/// How long to wait for further bytes.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Linger<S> {
    stream: S,
    unread: UnreadInput,
    draining: Option<Draining>,
}

/// Whether a request has begun whose end was not read yet.
#[derive(Clone, Default)]
pub(super) struct UnreadInput(Arc<AtomicBool>);

impl UnreadInput {
    pub(super) fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The state of draining, after the end of the response was sent.
struct Draining {
    buffer: Box<[u8]>,
    bytes: usize,
    deadline: Instant,
    timeout: Pin<Box<Sleep>>,
}

impl<S> Linger<S> {
    pub(super) fn new(stream: S, unread: UnreadInput) -> Self {
        Self { stream, unread, draining: None }
    }
}

impl Draining {
    fn new() -> Self {
        let buffer = vec![0; 16 * 1024].into_boxed_slice();
        let deadline = Instant::now() + MAX_TIME;
        Self { buffer, bytes: 0, deadline, timeout: Box::pin(sleep(READ_TIMEOUT)) }
    }

    /// Ready when the caller has closed its side or a bound is reached.
    fn poll(&mut self, mut stream: impl AsyncRead + Unpin, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.timeout.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut self.buffer);
            let read = ready!(Pin::new(&mut stream).poll_read(context, &mut buffer));
            let n = buffer.filled().len();
            self.bytes += n;
            if read.is_err() || n == 0 || self.bytes >= MAX_BYTES {
                return Poll::Ready(());
            }
            self.timeout.as_mut().reset((Instant::now() + READ_TIMEOUT).min(self.deadline));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.unread.set(true);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.draining.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if !this.unread.get() {
                return Poll::Ready(Ok(()));
            }
        }
        let draining = this.draining.get_or_insert_with(Draining::new);
        draining.poll(&mut this.stream, context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// Shuts one end down. Returns how many bytes, up to `limit`, the other end could write afterwards.
    async fn drained_after_shutdown(unread: bool, limit: usize) -> (usize, Duration) {
        let (near, mut far) = duplex(1024);
        let flag = UnreadInput::default();
        flag.set(unread);
        let mut near = Linger::new(near, flag);
        let started = Instant::now();
        let closing = tokio::spawn(async move {
            near.shutdown().await.unwrap();
            started.elapsed()
        });
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the end is sent first");
        let mut drained = 0;
        while drained < limit {
            match far.write(&[7; 1024]).await {
                Ok(n) => drained += n,
                Err(_) => break,
            }
        }
        (drained, closing.await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn unread_input_is_drained_up_to_a_bound() {
        let (drained, _) = drained_after_shutdown(true, usize::MAX).await;
        assert!((MAX_BYTES..MAX_BYTES + 4096).contains(&drained), "{drained}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_unread_input_is_waited_for() {
        let (_, took) = drained_after_shutdown(true, 1024).await;
        assert!((READ_TIMEOUT..READ_TIMEOUT * 2).contains(&took), "{took:?}");
        let (_, took) = drained_after_shutdown(false, 1024).await;
        assert!(took < READ_TIMEOUT, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_is_drained_for_a_bounded_time() {
        let (near, mut far) = duplex(1024);
        let flag = UnreadInput::default();
        flag.set(true);
        let mut near = Linger::new(near, flag);
        let started = Instant::now();
        let sending = tokio::spawn(async move {
            while far.write_all(&[7]).await.is_ok() {
                sleep(READ_TIMEOUT / 2).await;
            }
        });
        near.shutdown().await.unwrap();
        assert!((MAX_TIME..MAX_TIME + READ_TIMEOUT).contains(&started.elapsed()));
        drop(near);
        sending.await.unwrap();
    }
}
