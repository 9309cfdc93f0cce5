//! A stream that, when it is closed in the middle of a request, goes on taking what the caller still sends.
//!
//! Closing a socket with unread bytes resets the connection, and the caller's system then throws away the answer that
//! it has not read yet. Many HTTP clients write their whole request before they read: those would never see the 413
//! that their body gets. So the end is sent at once and the rest is read and dropped, within bounds.

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

/// The most bytes that are dropped.
const MOST_BYTES: usize = 64 << 20;
/// How long dropping may take.
const MOST_TIME: Duration = Duration::from_secs(10);
/// How long to wait for more bytes.
const SILENCE: Duration = Duration::from_secs(2);

pub(super) struct Linger<S> {
    stream: S,
    unread: Unread,
    dropping: Option<Dropping>,
}

/// Whether the caller may still be sending a request that was begun, or bytes of one were read.
#[derive(Clone, Default)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(super) fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What comes after the end was sent.
struct Dropping {
    buffer: Box<[u8]>,
    bytes: usize,
    end: Instant,
    silence: Pin<Box<Sleep>>,
}

impl<S> Linger<S> {
    pub(super) fn new(stream: S, unread: Unread) -> Self {
        Self { stream, unread, dropping: None }
    }
}

impl Dropping {
    fn new() -> Self {
        let buffer = vec![0; 16 * 1024].into_boxed_slice();
        Self { buffer, bytes: 0, end: Instant::now() + MOST_TIME, silence: Box::pin(sleep(SILENCE)) }
    }

    /// Ready once the caller has closed its side, or a bound is reached.
    fn poll(&mut self, mut stream: impl AsyncRead + Unpin, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.silence.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut self.buffer);
            let read = ready!(Pin::new(&mut stream).poll_read(context, &mut buffer));
            let n = buffer.filled().len();
            self.bytes += n;
            if read.is_err() || n == 0 || self.bytes >= MOST_BYTES {
                return Poll::Ready(());
            }
            self.silence.as_mut().reset((Instant::now() + SILENCE).min(self.end));
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
        if this.dropping.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if !this.unread.get() {
                return Poll::Ready(Ok(()));
            }
        }
        let dropping = this.dropping.get_or_insert_with(Dropping::new);
        dropping.poll(&mut this.stream, context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// Closes one end and returns how many bytes the other could write after that, at most `most`.
    async fn taken_after_the_end(unread: bool, most: usize) -> (usize, Duration) {
        let (near, mut far) = duplex(1024);
        let flag = Unread::default();
        flag.set(unread);
        let mut near = Linger::new(near, flag);
        let started = Instant::now();
        let closing = tokio::spawn(async move {
            near.shutdown().await.unwrap();
            started.elapsed()
        });
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the end comes at once");
        let mut taken = 0;
        while taken < most {
            match far.write(&[7; 1024]).await {
                Ok(n) => taken += n,
                Err(_) => break,
            }
        }
        (taken, closing.await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_sent_is_taken_up_to_a_bound() {
        let (taken, _) = taken_after_the_end(true, usize::MAX).await;
        assert!((MOST_BYTES..MOST_BYTES + 4096).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_wait_and_a_whole_request_needs_none() {
        let (_, took) = taken_after_the_end(true, 1024).await;
        assert!((SILENCE..SILENCE * 2).contains(&took), "{took:?}");
        let (_, took) = taken_after_the_end(false, 1024).await;
        assert!(took < SILENCE, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_drips_is_not_followed_for_ever() {
        let (near, mut far) = duplex(1024);
        let flag = Unread::default();
        flag.set(true);
        let mut near = Linger::new(near, flag);
        let started = Instant::now();
        let dripping = tokio::spawn(async move {
            while far.write_all(&[7]).await.is_ok() {
                sleep(SILENCE / 2).await;
            }
        });
        near.shutdown().await.unwrap();
        assert!((MOST_TIME..MOST_TIME + SILENCE).contains(&started.elapsed()));
        drop(near);
        dripping.await.unwrap();
    }
}
