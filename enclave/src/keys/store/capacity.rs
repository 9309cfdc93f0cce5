//! Room for keys: taking it, and saying when there will be some.
//!
//! A refusal is the cheapest answer that there is, or who is refused takes more from others than who is served: it reads
//! counters, and does a little of what is due where that may make room.

use super::{
    AtomicUsize, Limits, RESERVED_MS, Store,
    shard::{Moment, NEVER},
    sync::Ordering,
};
use crate::platform::clock::Now;
use ok2cry_protocol::{code::Code, rpc::Refusal};
use std::sync::atomic::AtomicU64;

/// In how many shards a request that finds no room does what is due, at most.
pub(super) const HELPED: usize = 4;

/// The moment before which a shard has nothing to do, to be read without its lock. It says where to look, and what is found there
/// is decided under the lock: `loom` does not look at it.
#[derive(Debug)]
pub(super) struct Next {
    boot_ms: AtomicU64,
    wall_ms: AtomicU64,
}

/// Which room is full, and in how many milliseconds there may be some.
struct Full {
    which: Which,
    wait_ms: u64,
}

enum Which {
    LiveKeys,
    InTheMaking,
    Endings,
}

impl<R> Store<R> {
    /// Takes room for `keys` more live keys, or says in how many milliseconds there may be.
    pub(super) fn take_room(&self, keys: usize, now: Now) -> Result<(), Refusal> {
        let capacity = self.limits.capacity;
        if keys > capacity {
            let detail =
                format!("{keys} keys at once are more than this enclave ever holds, which is {capacity}");
            return Err(Refusal::with_detail(Code::StoreFull, detail));
        }
        if !self.try_take(keys) && !self.make_room(keys, now) {
            return Err(self.full(keys, now));
        }
        self.reserved.fetch_add(keys, Ordering::Relaxed);
        Ok(())
    }

    /// Gives room back that no key came to fill.
    pub(super) fn give_room_back(&self, keys: usize) {
        self.reserved.fetch_sub(keys, Ordering::Relaxed);
        self.live.fetch_sub(keys, Ordering::Relaxed);
        self.all.fetch_sub(keys, Ordering::Relaxed);
    }

    fn try_take(&self, keys: usize) -> bool {
        let Limits { capacity, max_tombstones, .. } = self.limits;
        let add_up_to = |count: &AtomicUsize, most: usize| {
            let add = |count: usize| count.checked_add(keys).filter(|sum| *sum <= most);
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

    /// What is due by now must not be in the way: does some of it, until there is room. All else is the eraser's.
    fn make_room(&self, keys: usize, now: Now) -> bool {
        let due = |next: &Next| now.reached(next.get());
        let due = self.next.iter().enumerate().filter(|(_, next)| due(next)).take(HELPED);
        due.map(|(shard, _)| self.run_some(shard, now)).any(|_| self.try_take(keys))
    }

    /// Which room is full, and when there may be some if no key is used or destroyed before.
    fn full(&self, keys: usize, now: Now) -> Refusal {
        let Limits { capacity, max_tombstones, retain_ms } = self.limits;
        let (live, all) = (self.live.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed));
        let most = capacity.saturating_add(max_tombstones);
        let over = |count: usize, most: usize| count.saturating_add(keys).saturating_sub(most);
        let deadline = |n| self.forecast.wait_ms(Moment::Deadline, n, now);

        let of_live = Some(over(live, capacity)).filter(|n| *n > 0).map(|n| match deadline(n) {
            Some(wait_ms) => Full { which: Which::LiveKeys, wait_ms },
            None => Full { which: Which::InTheMaking, wait_ms: RESERVED_MS },
        });
        let of_all = Some(over(all, most)).filter(|n| *n > 0).map(|n| {
            // Where too few have ended, some have yet to live and be forgotten.
            let later = || deadline(n.saturating_sub(all.saturating_sub(live))).map(|ms| ms + retain_ms);
            let wait_ms = self.forecast.wait_ms(Moment::Ending, n, now).or_else(later);
            Full { which: Which::Endings, wait_ms: wait_ms.unwrap_or(RESERVED_MS) }
        });
        // There is room once there is enough of both.
        let full = of_live.into_iter().chain(of_all).max_by_key(|full| full.wait_ms);
        let Full { which, wait_ms } = full.unwrap_or(Full { which: Which::InTheMaking, wait_ms: 1 });
        let detail = match which {
            Which::LiveKeys => format!("the room for live keys is full, which is {capacity}"),
            Which::InTheMaking => {
                format!("the room for live keys, which is {capacity}, is full of keys that are being made")
            }
            Which::Endings => format!(
                "the room for live keys and those that ended is full, which is {most}; they are remembered for {} s",
                retain_ms / 1000
            ),
        };
        Refusal::with_detail(Code::StoreFull, detail).retry_after(wait_ms.max(1))
    }
}

impl Next {
    /// An empty shard's.
    pub(super) fn never() -> Self {
        Self { boot_ms: AtomicU64::new(NEVER.boot_ms), wall_ms: AtomicU64::new(NEVER.wall_ms) }
    }

    /// Says what the shard says, under its lock.
    pub(super) fn set(&self, next: Now) {
        // Most changes of a shard leave it as it is, and others read this.
        if self.get() != next {
            self.boot_ms.store(next.boot_ms, Ordering::Relaxed);
            self.wall_ms.store(next.wall_ms, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Now {
        Now { boot_ms: self.boot_ms.load(Ordering::Relaxed), wall_ms: self.wall_ms.load(Ordering::Relaxed) }
    }
}
