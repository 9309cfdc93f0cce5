//! Room for keys: taking it, and predicting when a full store will have some.
//!
//! A refusal must be the cheapest answer, or refused callers would take more time from others than served
//! ones do. It reads counters, and handles a little of what is due where that may make room.

use super::{
    AtomicUsize, Limits, RESERVED_MS, Store,
    shard::{Event, NEVER},
    sync::Ordering,
};
use crate::platform::clock::TimePoint;
use std::sync::atomic::AtomicU64;

/// In how many shards, at most, a request that finds no room handles what is due.
pub(super) const MAX_HELPED: usize = 4;

/// When a shard has something due, readable without its lock. It only says where to look: what is due is
/// decided under the lock, so `loom` does not model it.
#[derive(Debug)]
pub(super) struct NextDue {
    boot_ms: AtomicU64,
    wall_ms: AtomicU64,
}

/// The store has no room for the requested keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is full: {reason:?}")]
pub struct StoreFull {
    /// What it is full of.
    pub reason: FullReason,
    /// In how many milliseconds there may be room if no key is used or destroyed before; 0 if there never
    /// will be.
    pub wait_ms: u64,
    /// The limits of the store.
    pub limits: Limits,
}

/// What a store is full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullReason {
    /// The request asks for more keys than the capacity.
    TooManyAtOnce {
        /// How many keys it asks for.
        keys: usize,
    },
    /// Live keys.
    LiveKeys,
    /// Keys that are being made.
    Reserved,
    /// Live keys and tombstones.
    Tombstones,
}

impl<R> Store<R> {
    /// Takes room for `keys` more live keys.
    pub(super) fn take_room(&self, keys: usize, now: TimePoint) -> Result<(), StoreFull> {
        if keys > self.limits.capacity {
            let reason = FullReason::TooManyAtOnce { keys };
            return Err(StoreFull { reason, wait_ms: 0, limits: self.limits });
        }
        if !self.try_take(keys) && !self.make_room(keys, now) {
            return Err(self.full(keys, now));
        }
        self.reserved.fetch_add(keys, Ordering::Relaxed);
        Ok(())
    }

    /// Returns room that was not used.
    pub(super) fn give_room_back(&self, keys: usize) {
        self.reserved.fetch_sub(keys, Ordering::Relaxed);
        self.live.fetch_sub(keys, Ordering::Relaxed);
        self.all.fetch_sub(keys, Ordering::Relaxed);
    }

    fn try_take(&self, keys: usize) -> bool {
        let Limits { capacity, max_tombstones, .. } = self.limits;
        let add_up_to = |count: &AtomicUsize, limit: usize| {
            let add = |count: usize| count.checked_add(keys).filter(|sum| *sum <= limit);
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
        };
        if !add_up_to(&self.all, capacity.saturating_add(max_tombstones)) {
            return false;
        }
        let taken = add_up_to(&self.live, capacity);
        if !taken {
            self.all.fetch_sub(keys, Ordering::Relaxed);
        }
        taken
    }

    /// Handles some of what is due until there is room. The rest is left to the reaper.
    fn make_room(&self, keys: usize, now: TimePoint) -> bool {
        let due = |next: &NextDue| now.reached(next.get());
        let due = self.next_due.iter().enumerate().filter(|(_, next)| due(next)).take(MAX_HELPED);
        due.map(|(shard, _)| self.run_some(shard, now)).any(|_| self.try_take(keys))
    }

    /// What the store is full of, and when there may be room if no key is used or destroyed before.
    fn full(&self, keys: usize, now: TimePoint) -> StoreFull {
        let Limits { capacity, max_tombstones, retain_ms } = self.limits;
        let (live, all) = (self.live.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed));
        let excess = |count: usize, limit: usize| {
            Some(count.saturating_add(keys).saturating_sub(limit)).filter(|n| *n > 0)
        };
        let deadline = |n| self.forecast.wait_ms(Event::Deadline, n, now);

        let of_live = excess(live, capacity).map(|n| match deadline(n) {
            Some(wait_ms) => (wait_ms, FullReason::LiveKeys),
            None => (RESERVED_MS, FullReason::Reserved),
        });
        let of_all = excess(all, capacity.saturating_add(max_tombstones)).map(|n| {
            // If there are too few tombstones, some keys must first expire and then be forgotten.
            let later = || deadline(n.saturating_sub(all.saturating_sub(live))).map(|ms| ms + retain_ms);
            let wait_ms = self.forecast.wait_ms(Event::Forget, n, now).or_else(later);
            (wait_ms.unwrap_or(RESERVED_MS), FullReason::Tombstones)
        });
        // There is room once there is enough of both.
        let full = of_live.into_iter().chain(of_all).max_by_key(|(wait_ms, _)| *wait_ms);
        let (wait_ms, reason) = full.unwrap_or((1, FullReason::Reserved));
        StoreFull { reason, wait_ms: wait_ms.max(1), limits: self.limits }
    }
}

impl NextDue {
    /// For an empty shard.
    pub(super) fn never() -> Self {
        Self { boot_ms: AtomicU64::new(NEVER.boot_ms), wall_ms: AtomicU64::new(NEVER.wall_ms) }
    }

    /// Publishes the shard's value, under its lock.
    pub(super) fn set(&self, next: TimePoint) {
        // Most changes of a shard do not change it, and other threads read this cache line.
        if self.get() != next {
            self.boot_ms.store(next.boot_ms, Ordering::Relaxed);
            self.wall_ms.store(next.wall_ms, Ordering::Relaxed);
        }
    }

    fn get(&self) -> TimePoint {
        TimePoint {
            boot_ms: self.boot_ms.load(Ordering::Relaxed),
            wall_ms: self.wall_ms.load(Ordering::Relaxed),
        }
    }
}
