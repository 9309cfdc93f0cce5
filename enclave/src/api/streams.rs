//! The open streams, and which of them is closed for a new one at the limit.
//!
//! Any process that can connect can also leave idle streams open, and those must not lock the parent out of
//! its enclave. So a new stream is admitted as soon as another can be closed: one without any request, or
//! else the one that has been quiet longest.

use super::server::{STREAM_KIB, Shares, TOTAL_KIB};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};

/// How long a stream with requests must be quiet before it can be closed for another.
const QUIET: Duration = Duration::from_secs(1);
/// How often waiting streams check whether another has become quiet.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The open streams, at most `limit` of them.
pub(super) struct Streams {
    limit: usize,
    begun: Instant,
    /// The room that all streams share, in KiB of responses.
    total: Arc<Semaphore>,
    all: Mutex<HashMap<u64, Arc<StreamState>>>,
    /// Signals that a stream has ended.
    ended: Notify,
}

/// One stream.
pub(super) struct StreamState {
    /// The stream's own limit, in KiB of responses.
    own: Arc<Semaphore>,
    /// The part of its limit that other streams cannot use up.
    guaranteed: Arc<Semaphore>,
    total: Arc<Semaphore>,
    has_requests: AtomicBool,
    begun: Instant,
    /// When the last bytes were read or written, in milliseconds since `begun`.
    active_ms: AtomicU64,
    is_closing: AtomicBool,
    close: Notify,
}

/// Permission to be open, until it is dropped.
pub(super) struct StreamPermit {
    streams: Arc<Streams>,
    id: u64,
    state: Arc<StreamState>,
}

impl Streams {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let total = Arc::new(Semaphore::new(TOTAL_KIB - limit.saturating_mul(guaranteed_kib(limit))));
        let (all, ended) = (Mutex::default(), Notify::new());
        Arc::new(Self { limit, begun: Instant::now(), total, all, ended })
    }

    /// Admits the stream `id`, once there is room.
    pub(super) async fn admit(self: &Arc<Self>, id: u64) -> StreamPermit {
        loop {
            if let Some(state) = self.try_admit(id) {
                return StreamPermit { streams: Arc::clone(self), id, state };
            }
            // A stream can become quiet without any event.
            drop(timeout(POLL_INTERVAL, self.ended.notified()).await);
        }
    }

    /// Admits the stream if there is room. If not, one quiet stream is told to close, unless one is closing
    /// already.
    fn try_admit(&self, id: u64) -> Option<Arc<StreamState>> {
        let mut all = self.lock();
        if all.len() >= self.limit {
            if !all.values().any(|state| state.is_closing.load(Ordering::Relaxed)) {
                let now_ms = millis_since(self.begun);
                let candidates = all.values().filter_map(|state| Some((state.close_rank(now_ms)?, state)));
                if let Some((_, state)) = candidates.min_by_key(|(rank, _)| *rank) {
                    state.is_closing.store(true, Ordering::Relaxed);
                    state.close.notify_one();
                }
            }
            return None;
        }
        let state = Arc::new(StreamState::new(self));
        all.insert(id, Arc::clone(&state));
        Some(state)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<StreamState>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamState {
    fn new(streams: &Streams) -> Self {
        let state = Self {
            own: Arc::new(Semaphore::new(STREAM_KIB)),
            guaranteed: Arc::new(Semaphore::new(guaranteed_kib(streams.limit))),
            total: Arc::clone(&streams.total),
            has_requests: AtomicBool::new(false),
            begun: streams.begun,
            active_ms: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            close: Notify::new(),
        };
        state.touch();
        state
    }

    /// Records that bytes were read or written.
    pub(super) fn touch(&self) {
        self.active_ms.store(millis_since(self.begun), Ordering::Relaxed);
    }

    /// Reserves room for a response of `kib` KiB, once there is some: first of the stream's guarantee, then
    /// of the shared room. Never `None` while streams are served.
    pub(super) async fn reserve(&self, kib: u32) -> Option<Shares> {
        self.has_requests.store(true, Ordering::Relaxed);
        let own = Arc::clone(&self.own).acquire_many_owned(kib).await.ok()?;
        let share = match Arc::clone(&self.guaranteed).try_acquire_many_owned(kib) {
            Ok(share) => share,
            Err(_) => Arc::clone(&self.total).acquire_many_owned(kib).await.ok()?,
        };
        Some([own, share])
    }

    /// Ready when the stream must close for another.
    pub(super) async fn must_close(&self) {
        self.close.notified().await;
    }

    /// The order in which streams are closed, least first. `None` if this one must stay open.
    fn close_rank(&self, now_ms: u64) -> Option<(bool, bool, u64)> {
        let (has_requests, active_ms) =
            (self.has_requests.load(Ordering::Relaxed), self.active_ms.load(Ordering::Relaxed));
        let quiet = Duration::from_millis(now_ms.saturating_sub(active_ms)) >= QUIET;
        let is_busy = self.own.available_permits() < STREAM_KIB;
        (!has_requests || quiet).then_some((is_busy, has_requests, active_ms))
    }
}

impl StreamPermit {
    pub(super) fn state(&self) -> &Arc<StreamState> {
        &self.state
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.id);
        self.streams.ended.notify_one();
    }
}

/// The guarantee of each of `limit` streams: half of the total, and no more than two large responses need.
fn guaranteed_kib(limit: usize) -> usize {
    (TOTAL_KIB / 2).checked_div(limit).unwrap_or_default().min(1024)
}

fn millis_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Admits one more stream. Returns the index of the stream that was closed for it.
    async fn closed_for_another(streams: &Arc<Streams>, permits: &mut Vec<StreamPermit>) -> Option<usize> {
        let next = permits.iter().map(|permit| permit.id).max().unwrap() + 1;
        let mut admitted = Box::pin(streams.admit(next));
        if let Ok(permit) = timeout(Duration::from_millis(200), &mut admitted).await {
            permits.push(permit);
            return None;
        }
        let left = permits.iter().position(|permit| permit.state.is_closing.load(Ordering::Relaxed));
        if let Some(left) = left {
            timeout(Duration::ZERO, permits[left].state.must_close()).await.expect("it is not told to close");
            drop(permits.remove(left));
            permits.push(admitted.await);
        }
        left
    }

    async fn streams(n: u64) -> (Arc<Streams>, Vec<StreamPermit>) {
        let streams = Streams::new(usize::try_from(n).unwrap());
        let mut permits = Vec::new();
        for id in 1..=n {
            permits.push(streams.admit(id).await);
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        (streams, permits)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_requests_is_closed_first() {
        let (streams, mut permits) = streams(3).await;
        drop(permits[0].state.reserve(1).await);
        permits[0].state.touch();
        tokio::time::advance(10 * QUIET).await;
        assert_eq!(closed_for_another(&streams, &mut permits).await, Some(1));
        assert_eq!(closed_for_another(&streams, &mut permits).await, Some(1));
        assert_eq!(streams.lock().len(), 3);
        assert!(streams.lock().contains_key(&1), "the stream with requests was closed");
    }

    #[tokio::test(start_paused = true)]
    async fn of_used_streams_the_quietest_is_closed_and_not_at_once() {
        let (streams, mut permits) = streams(3).await;
        let mut in_progress = Vec::new();
        for permit in &permits {
            let share = permit.state.reserve(1).await;
            permit.state.touch();
            // The first has a response in progress, and is quiet for the longest time.
            in_progress.extend(share.filter(|_| in_progress.is_empty()));
        }
        assert_eq!(
            closed_for_another(&streams, &mut permits).await,
            None,
            "a stream was closed that was not quiet for long"
        );
        tokio::time::advance(QUIET).await;
        permits[1].state.touch();
        assert_eq!(closed_for_another(&streams, &mut permits).await, Some(2));
        permits[2].state.reserve(1).await;
        assert_eq!(
            closed_for_another(&streams, &mut permits).await,
            Some(0),
            "the first was the only quiet one"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_is_admitted_when_another_ends() {
        let (streams, mut permits) = streams(2).await;
        for permit in &permits {
            drop(permit.state.reserve(1).await);
            permit.state.touch();
        }
        let mut waiting = Box::pin(streams.admit(9));
        assert!(timeout(POLL_INTERVAL / 2, &mut waiting).await.is_err());
        drop(permits.pop());
        assert!(timeout(Duration::ZERO, waiting).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_are_not_read_leave_room_for_another() {
        let (_streams, permits) = streams(16).await;
        let mut held = Vec::new();
        for permit in &permits[1..] {
            while let Ok(Some(room)) = timeout(Duration::ZERO, permit.state.reserve(213)).await {
                held.push(room);
            }
        }
        assert!(held.len() * 213 <= TOTAL_KIB);
        assert!(
            timeout(Duration::ZERO, permits[0].state.reserve(213)).await.is_ok_and(|room| room.is_some())
        );
    }

    #[test]
    fn guarantees_are_half_of_the_total_at_most() {
        for limit in [1, 2, 16, 100, 1024] {
            assert!(limit * guaranteed_kib(limit) <= TOTAL_KIB / 2);
            assert!(guaranteed_kib(limit) >= 32, "{limit}");
        }
    }
}
