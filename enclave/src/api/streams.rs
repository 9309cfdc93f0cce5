//! The streams there are, and which of them gives way when there are as many as may be.
//!
//! Whoever may connect may also leave streams lying about, and the parent must not be locked out of its enclave by those. So a
//! new stream is always taken on as soon as one has nothing to lose: one that has never asked for anything, or else the one
//! that has been quiet longest.

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

/// A stream that has asked for something does not give way before it has been quiet for so long.
const QUIET: Duration = Duration::from_secs(1);
/// How often it is looked whether a stream has been quiet for long enough.
const LOOK: Duration = Duration::from_millis(50);

/// The streams there are, `most` at a time.
pub(super) struct Streams {
    most: usize,
    begun: Instant,
    /// What all streams share, in KiB of responses.
    total: Arc<Semaphore>,
    all: Mutex<HashMap<u64, Arc<State>>>,
    /// One has ended.
    ended: Notify,
}

/// What is known of one stream.
pub(super) struct State {
    /// What the stream may have under way, in KiB of responses.
    own: Arc<Semaphore>,
    /// The part of it that is there whatever others have under way.
    kept: Arc<Semaphore>,
    total: Arc<Semaphore>,
    asked: AtomicBool,
    begun: Instant,
    /// When anything was last read or written, in milliseconds since the beginning.
    active_ms: AtomicU64,
    told_to_leave: AtomicBool,
    leave: Notify,
}

/// A place among the streams, until it is dropped.
pub(super) struct Place {
    streams: Arc<Streams>,
    line: u64,
    state: Arc<State>,
}

impl Streams {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let total = Arc::new(Semaphore::new(TOTAL_KIB - most.saturating_mul(kept_kib(most))));
        let (all, ended) = (Mutex::default(), Notify::new());
        Arc::new(Self { most, begun: Instant::now(), total, all, ended })
    }

    /// A place for the stream `line`, once there is one.
    pub(super) async fn admit(self: &Arc<Self>, line: u64) -> Place {
        loop {
            if let Some(state) = self.take_place(line) {
                return Place { streams: Arc::clone(self), line, state };
            }
            // Time alone can make a stream give way.
            drop(timeout(LOOK, self.ended.notified()).await);
        }
    }

    /// A place if there is one; if not, one stream is told to leave, if one has to.
    fn take_place(&self, line: u64) -> Option<Arc<State>> {
        let mut all = self.lock();
        if all.len() >= self.most {
            if !all.values().any(|state| state.told_to_leave.load(Ordering::Relaxed)) {
                let now_ms = millis_since(self.begun);
                let candidates = all.values().filter_map(|state| Some((state.gives_way(now_ms)?, state)));
                if let Some((_, state)) = candidates.min_by_key(|(rank, _)| *rank) {
                    state.told_to_leave.store(true, Ordering::Relaxed);
                    state.leave.notify_one();
                }
            }
            return None;
        }
        let state = Arc::new(State::new(self));
        all.insert(line, Arc::clone(&state));
        Some(state)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<State>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(streams: &Streams) -> Self {
        let state = Self {
            own: Arc::new(Semaphore::new(STREAM_KIB)),
            kept: Arc::new(Semaphore::new(kept_kib(streams.most))),
            total: Arc::clone(&streams.total),
            asked: AtomicBool::new(false),
            begun: streams.begun,
            active_ms: AtomicU64::new(0),
            told_to_leave: AtomicBool::new(false),
            leave: Notify::new(),
        };
        state.is_active();
        state
    }

    /// Something was read or written.
    pub(super) fn is_active(&self) {
        self.active_ms.store(millis_since(self.begun), Ordering::Relaxed);
    }

    /// Room for a response of `kib` KiB, once there is some: first of what is kept for this stream, then of what all share.
    /// `None` is never the answer while streams are served.
    pub(super) async fn room(&self, kib: u32) -> Option<Shares> {
        self.asked.store(true, Ordering::Relaxed);
        let own = Arc::clone(&self.own).acquire_many_owned(kib).await.ok()?;
        let share = match Arc::clone(&self.kept).try_acquire_many_owned(kib) {
            Ok(share) => share,
            Err(_) => Arc::clone(&self.total).acquire_many_owned(kib).await.ok()?,
        };
        Some([own, share])
    }

    /// Ready when the stream has to give way.
    pub(super) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }

    /// In which order streams give way, least first; `None` if this one does not.
    fn gives_way(&self, now_ms: u64) -> Option<(bool, bool, u64)> {
        let (asked, active_ms) = (self.asked.load(Ordering::Relaxed), self.active_ms.load(Ordering::Relaxed));
        let quiet = Duration::from_millis(now_ms.saturating_sub(active_ms)) >= QUIET;
        let at_work = self.own.available_permits() < STREAM_KIB;
        (!asked || quiet).then_some((at_work, asked, active_ms))
    }
}

impl Place {
    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.line);
        self.streams.ended.notify_one();
    }
}

/// How much is kept for each of `most` streams: half of all, and no more than a large response or two need.
fn kept_kib(most: usize) -> usize {
    (TOTAL_KIB / 2).checked_div(most).unwrap_or_default().min(1024)
}

fn millis_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the place is lost once another stream has come.
    async fn gives_way_to_another(streams: &Arc<Streams>, places: &mut Vec<Place>) -> Option<usize> {
        let next = places.iter().map(|place| place.line).max().unwrap() + 1;
        let mut admitted = Box::pin(streams.admit(next));
        if let Ok(place) = timeout(Duration::from_millis(200), &mut admitted).await {
            places.push(place);
            return None;
        }
        let left = places.iter().position(|place| place.state.told_to_leave.load(Ordering::Relaxed));
        if let Some(left) = left {
            timeout(Duration::ZERO, places[left].state.told_to_leave()).await.expect("it is not told");
            drop(places.remove(left));
            places.push(admitted.await);
        }
        left
    }

    async fn streams(n: u64) -> (Arc<Streams>, Vec<Place>) {
        let streams = Streams::new(usize::try_from(n).unwrap());
        let mut places = Vec::new();
        for line in 1..=n {
            places.push(streams.admit(line).await);
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        (streams, places)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_never_asked_gives_way_first() {
        let (streams, mut places) = streams(3).await;
        drop(places[0].state.room(1).await);
        places[0].state.is_active();
        tokio::time::advance(10 * QUIET).await;
        assert_eq!(gives_way_to_another(&streams, &mut places).await, Some(1));
        assert_eq!(gives_way_to_another(&streams, &mut places).await, Some(1));
        assert_eq!(streams.lock().len(), 3);
        assert!(streams.lock().contains_key(&1), "the one that asked has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn of_those_that_asked_the_quietest_gives_way_and_none_at_once() {
        let (streams, mut places) = streams(3).await;
        let mut at_work = Vec::new();
        for place in &places {
            let share = place.state.room(1).await;
            place.state.is_active();
            // The first has something under way, and waits longest.
            at_work.extend(share.filter(|_| at_work.is_empty()));
        }
        assert_eq!(gives_way_to_another(&streams, &mut places).await, None, "it was not quiet for long");
        tokio::time::advance(QUIET).await;
        places[1].state.is_active();
        assert_eq!(gives_way_to_another(&streams, &mut places).await, Some(2));
        places[2].state.room(1).await;
        assert_eq!(gives_way_to_another(&streams, &mut places).await, Some(0), "nothing else was quiet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_free_is_taken_by_who_waits() {
        let (streams, mut places) = streams(2).await;
        for place in &places {
            drop(place.state.room(1).await);
            place.state.is_active();
        }
        let mut waiting = Box::pin(streams.admit(9));
        assert!(timeout(LOOK / 2, &mut waiting).await.is_err());
        drop(places.pop());
        assert!(timeout(Duration::ZERO, waiting).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_do_not_read_leave_room_for_another() {
        let (_streams, places) = streams(16).await;
        let mut held = Vec::new();
        for place in &places[1..] {
            while let Ok(Some(room)) = timeout(Duration::ZERO, place.state.room(213)).await {
                held.push(room);
            }
        }
        assert!(held.len() * 213 <= TOTAL_KIB);
        assert!(timeout(Duration::ZERO, places[0].state.room(213)).await.is_ok_and(|room| room.is_some()));
    }

    #[test]
    fn what_is_kept_for_streams_is_half_of_all_at_most() {
        for most in [1, 2, 16, 100, 1024] {
            assert!(most * kept_kib(most) <= TOTAL_KIB / 2);
            assert!(kept_kib(most) >= 32, "{most}");
        }
    }
}
