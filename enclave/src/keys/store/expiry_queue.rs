//! A queue of slots by due time, soonest first, on both clocks.
//!
//! Most keys are used long before their deadline, so scheduling and cancelling must be cheap, and only what
//! is due soon needs an order. Each clock has an ordered set for what is near, and buckets of about a second
//! for what is far: each an unordered list of slots. Cancelling a far slot leaves its entry in the bucket.
//! Entries are compared with the shard's state when their bucket is sorted, and when too many are cancelled.

use crate::platform::clock::TimePoint;
use std::collections::{BTreeMap, BTreeSet};

/// The milliseconds per bucket, as a power of two.
const BUCKET_BITS: u32 = 10;
/// How many milliseconds before its start a bucket is sorted.
const AHEAD_MS: u64 = 64;
/// The most slots per chunk of a bucket. Freeing large pieces makes the allocator clean up, for milliseconds.
const CHUNK: usize = if cfg!(test) { 2 } else { 64 };
/// Compact once more than this many cancelled entries remain, besides one or two for each valid one.
const MAX_CANCELLED: usize = if cfg!(test) { 4 } else { 64 };

/// Slots of a shard, ordered by one kind of event. Nothing is scanned: what is due is at the front.
#[derive(Debug)]
pub(super) struct ExpiryQueue {
    by_boot: ClockQueue,
    by_wall: ClockQueue,
}

/// One clock's side of a queue. A bucket starts at a multiple of its length, less `shift_ms`.
#[derive(Debug)]
struct ClockQueue {
    reads: fn(TimePoint) -> u64,
    shift_ms: u16,
    near: BTreeSet<Due>,
    /// Slots of buckets before this one belong in `near`. Some chunks of the last of them may still be in
    /// `far`.
    sorted: u64,
    /// Chunks by bucket and number.
    far: BTreeMap<(u64, u32), Vec<u32>>,
    /// Entries in `far`, cancelled or not.
    entries: usize,
    /// Entries in `far` that are not cancelled.
    valid: usize,
}

/// A time in milliseconds and a slot, ordered by both. Words of 16 bits take 10 bytes instead of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due([u16; 5]);

impl Due {
    /// The latest time, in the year 10889. Later times become this one.
    const LAST_MS: u64 = (1 << 48) - 1;

    #[expect(clippy::cast_possible_truncation, reason = "all parts of 48 and of 32 bits")]
    fn new(at_ms: u64, slot: u32) -> Self {
        let at = at_ms.min(Self::LAST_MS);
        Self([(at >> 32) as u16, (at >> 16) as u16, at as u16, (slot >> 16) as u16, slot as u16])
    }

    fn at_ms(self) -> u64 {
        let Self([a, b, c, ..]) = self;
        u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c)
    }

    fn slot(self) -> u32 {
        let Self([.., high, low]) = self;
        u32::from(high) << 16 | u32::from(low)
    }
}

impl ExpiryQueue {
    /// An empty queue. Queues with different `shift_ms` (0 to 999) sort and compact at different times.
    pub(super) fn new(shift_ms: u16) -> Self {
        Self {
            by_boot: ClockQueue::new(|now| now.boot_ms, shift_ms),
            by_wall: ClockQueue::new(|now| now.wall_ms, shift_ms),
        }
    }

    /// Schedules `slot` for `at`. A slot is scheduled once at most. Returns the first moment at which
    /// [`ExpiryQueue::due`] or [`ExpiryQueue::prepare`] may have something because of it.
    pub(super) fn insert(&mut self, at: TimePoint, slot: u32) -> TimePoint {
        TimePoint { boot_ms: self.by_boot.insert(at, slot), wall_ms: self.by_wall.insert(at, slot) }
    }

    /// Cancels what [`ExpiryQueue::insert`] scheduled with the same arguments.
    pub(super) fn remove(&mut self, at: TimePoint, slot: u32) {
        self.by_boot.remove(at, slot);
        self.by_wall.remove(at, slot);
    }

    /// A slot that is due on either clock. It stays until it is removed.
    pub(super) fn due(&self, now: TimePoint) -> Option<u32> {
        self.by_boot.due(now).or_else(|| self.by_wall.due(now))
    }

    /// Sorts or compacts a little, so that [`ExpiryQueue::due`] knows all that is due. `false` if there is
    /// nothing to do. `at` returns for when a slot is scheduled, if it is.
    pub(super) fn prepare(&mut self, now: TimePoint, at: impl Fn(u32) -> Option<TimePoint>) -> bool {
        self.by_boot.prepare(now, &at) || self.by_wall.prepare(now, &at)
    }

    /// Whether [`ExpiryQueue::prepare`] must compact, whatever time it is.
    pub(super) fn needs_compaction(&self) -> bool {
        self.by_boot.needs_compaction() || self.by_wall.needs_compaction()
    }

    /// The moment before which neither [`ExpiryQueue::due`] nor [`ExpiryQueue::prepare`] has anything, on
    /// each clock.
    pub(super) fn next(&self) -> TimePoint {
        TimePoint { boot_ms: self.by_boot.next_ms(), wall_ms: self.by_wall.next_ms() }
    }
}

impl ClockQueue {
    fn new(reads: fn(TimePoint) -> u64, shift_ms: u16) -> Self {
        let (near, far) = Default::default();
        Self { reads, shift_ms, near, sorted: 0, far, entries: 0, valid: 0 }
    }

    fn insert(&mut self, at: TimePoint, slot: u32) -> u64 {
        let at_ms = (self.reads)(at);
        let bucket = self.bucket(at_ms);
        if bucket < self.sorted {
            self.near.insert(Due::new(at_ms, slot));
            return at_ms;
        }
        self.push(bucket, slot);
        self.valid += 1;
        self.sort_ms(bucket)
    }

    fn remove(&mut self, at: TimePoint, slot: u32) {
        let at_ms = (self.reads)(at);
        if self.bucket(at_ms) >= self.sorted || !self.near.remove(&Due::new(at_ms, slot)) {
            self.valid -= 1;
            if self.valid == 0 {
                self.far.clear();
                self.entries = 0;
            }
        }
    }

    fn due(&self, now: TimePoint) -> Option<u32> {
        self.near.first().filter(|due| due.at_ms() <= (self.reads)(now)).map(|due| due.slot())
    }

    fn prepare(&mut self, now: TimePoint, at: impl Fn(u32) -> Option<TimePoint>) -> bool {
        if self.needs_compaction() {
            self.compact(at);
            return true;
        }
        let Some((&(bucket, number), _)) = self.far.first_key_value() else { return false };
        if self.sort_ms(bucket) > (self.reads)(now) {
            return false;
        }
        let chunk = self.far.remove(&(bucket, number)).unwrap_or_default();
        self.sorted = bucket + 1;
        self.entries -= chunk.len();
        for slot in chunk {
            // A slot that was cancelled and scheduled again may be here twice.
            if let Some(at_ms) = self.scheduled_in(slot, bucket, &at)
                && self.near.insert(Due::new(at_ms, slot))
            {
                self.valid -= 1;
            }
        }
        true
    }

    fn push(&mut self, bucket: u64, slot: u32) {
        self.entries += 1;
        let last = self.far.range_mut(..(bucket + 1, 0)).next_back().filter(|((of, _), _)| *of == bucket);
        let number = match last {
            Some((_, chunk)) if chunk.len() < CHUNK => return chunk.push(slot),
            Some(((_, number), _)) => number + 1,
            None => 0,
        };
        self.far.insert((bucket, number), vec![slot]);
    }

    fn needs_compaction(&self) -> bool {
        // Different limits, so that shards do not all compact at once.
        let more = self.valid * usize::from(self.shift_ms) / 1000;
        self.entries - self.valid > self.valid + more + MAX_CANCELLED
    }

    /// Drops cancelled entries. They are the greater part, so that this costs little for each.
    fn compact(&mut self, at: impl Fn(u32) -> Option<TimePoint>) {
        self.entries = 0;
        let mut far = std::mem::take(&mut self.far);
        let mut valid = BTreeSet::new();
        while let Some(((bucket, _), chunk)) = far.pop_first() {
            let is_valid =
                |slot: &u32| self.scheduled_in(*slot, bucket, &at).is_some_and(|at| !self.is_near(at, *slot));
            valid.extend(chunk.into_iter().filter(is_valid));
            if far.first_key_value().is_none_or(|((next, _), _)| *next != bucket) {
                std::mem::take(&mut valid).into_iter().for_each(|slot| self.push(bucket, slot));
            }
        }
        self.valid = self.entries;
    }

    fn next_ms(&self) -> u64 {
        if self.needs_compaction() {
            return 0;
        }
        let near = self.near.first().map_or(u64::MAX, |due| due.at_ms());
        near.min(self.far.first_key_value().map_or(u64::MAX, |((bucket, _), _)| self.sort_ms(*bucket)))
    }

    /// The time for which a slot is scheduled, if that is in `bucket`. A cancelled slot may be scheduled
    /// elsewhere by now.
    fn scheduled_in(&self, slot: u32, bucket: u64, at: impl Fn(u32) -> Option<TimePoint>) -> Option<u64> {
        at(slot).map(self.reads).filter(|at_ms| self.bucket(*at_ms) == bucket)
    }

    fn is_near(&self, at_ms: u64, slot: u32) -> bool {
        self.bucket(at_ms) < self.sorted && self.near.contains(&Due::new(at_ms, slot))
    }

    fn bucket(&self, at_ms: u64) -> u64 {
        (at_ms.min(Due::LAST_MS) + u64::from(self.shift_ms)) >> BUCKET_BITS
    }

    /// When a bucket is sorted.
    fn sort_ms(&self, bucket: u64) -> u64 {
        (bucket << BUCKET_BITS).saturating_sub(u64::from(self.shift_ms) + AHEAD_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A queue, and when its slots are scheduled.
    struct QueueFixture {
        queue: ExpiryQueue,
        scheduled: BTreeMap<u32, TimePoint>,
    }

    const fn at(boot_ms: u64, wall_ms: u64) -> TimePoint {
        TimePoint { boot_ms, wall_ms }
    }

    impl QueueFixture {
        fn new() -> Self {
            Self { queue: ExpiryQueue::new(16), scheduled: BTreeMap::new() }
        }

        fn insert(&mut self, at: TimePoint, slot: u32) {
            let (next, compacts) = (self.queue.next(), self.queue.needs_compaction());
            let look = self.queue.insert(at, slot);
            self.scheduled.insert(slot, at);
            assert!(compacts || self.queue.next() == next.or_sooner(look), "{next:?} {look:?}");
            let ahead = |look: u64, at: u64| look == at.min(Due::LAST_MS) || look + AHEAD_MS <= at;
            assert!(
                ahead(look.boot_ms, at.boot_ms) && ahead(look.wall_ms, at.wall_ms),
                "{look:?} for {at:?}"
            );
            assert!(
                look.boot_ms <= at.boot_ms.min(Due::LAST_MS) && look.wall_ms <= at.wall_ms.min(Due::LAST_MS)
            );
        }

        fn remove(&mut self, slot: u32) {
            if let Some(at) = self.scheduled.remove(&slot) {
                self.queue.remove(at, slot);
            }
        }

        /// A slot that is due, after all preparation.
        fn due(&mut self, now: TimePoint) -> Option<u32> {
            while self.queue.prepare(now, |slot| self.scheduled.get(&slot).copied()) {}
            self.queue.due(now)
        }

        fn entries(&self) -> usize {
            self.queue.by_boot.entries.max(self.queue.by_wall.entries)
        }
    }

    #[test]
    fn a_slot_is_due_on_either_clock_until_it_is_removed() {
        const FAR: u64 = Due::LAST_MS;
        let mut queue = QueueFixture::new();
        queue.insert(at(1 << 33, FAR), 1);
        queue.insert(at(FAR, (1 << 33) - 1), 2);
        assert_eq!(queue.due(at((1 << 33) - 1, (1 << 33) - 2)), None);
        assert_eq!(queue.due(at(0, (1 << 33) - 1)), Some(2));
        assert_eq!(queue.due(at(1 << 33, 0)), Some(1));
        queue.remove(1);
        assert_eq!(queue.due(at(FAR - 1, 0)), None);
        assert_eq!(queue.due(at(FAR, 0)), Some(2));
        queue.remove(2);
        assert_eq!(queue.due(at(FAR, FAR)), None);
    }

    #[test]
    fn the_latest_time_can_be_scheduled_and_cancelled() {
        let mut queue = QueueFixture::new();
        queue.insert(at(u64::MAX, u64::MAX), u32::MAX);
        assert_eq!(queue.due(at(Due::LAST_MS - 1, Due::LAST_MS - 1)), None);
        assert_eq!(queue.due(at(Due::LAST_MS, 0)), Some(u32::MAX));
        queue.remove(u32::MAX);
        assert_eq!(queue.due(at(u64::MAX, u64::MAX)), None);
    }

    #[test]
    fn cancelled_entries_do_not_pile_up() {
        let mut queue = QueueFixture::new();
        queue.insert(at(1 << 40, 1 << 40), 0);
        for n in 1..10_000_u64 {
            // The same slot in the same bucket, and other slots in other buckets.
            for (slot, at_ms) in [(1, 1 << 30), (u32::try_from(n % 50).unwrap() + 2, (1 << 30) + n * 300)] {
                queue.insert(at(at_ms, at_ms), slot);
                queue.remove(slot);
            }
            assert_eq!(queue.due(at(n, n)), None);
            assert!(queue.entries() <= 2 * MAX_CANCELLED, "{} of 1 at {n}", queue.entries());
        }
        assert!(queue.queue.by_boot.far.len() <= 2 * MAX_CANCELLED);
        assert_eq!(queue.due(at(1 << 40, 0)), Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// After any scheduling and cancelling, and however each clock moves: exactly what is due is
        /// returned, soonest first; the next moment is never late; cancelled entries do not stay.
        #[test]
        fn an_expiry_queue_knows_all_that_is_due(
            steps in prop::collection::vec((0_u8..5, 0_u32..12, 0_u64..5_000, 0_u64..5_000), 1..300),
        ) {
            let (mut queue, mut now) = (QueueFixture::new(), at(10_000, 50_000));
            for (what, slot, boot, wall) in steps {
                match what {
                    0 | 1 if !queue.scheduled.contains_key(&slot) => {
                        queue.insert(at(now.boot_ms + boot, now.wall_ms + wall), slot);
                    }
                    0 | 1 => queue.remove(slot),
                    2 => now = at(now.boot_ms + boot / 20, now.wall_ms + wall / 20),
                    // Some preparation, perhaps by a thread whose clock is behind.
                    3 => {
                        let late = at(now.boot_ms.saturating_sub(boot), now.wall_ms.saturating_sub(wall));
                        let now = if slot < 6 { now } else { late };
                        queue.queue.prepare(now, |slot| queue.scheduled.get(&slot).copied());
                    }
                    _ => {
                        let is_due = |at: &TimePoint| now.reached(*at);
                        let next = queue.queue.next();
                        let any_due = queue.scheduled.values().any(is_due);
                        prop_assert!(now.reached(next) || !any_due, "{now:?} {next:?}");
                        while let Some(slot) = queue.due(now) {
                            prop_assert!(queue.scheduled.get(&slot).is_some_and(is_due));
                            queue.remove(slot);
                        }
                        prop_assert!(!queue.scheduled.values().any(is_due));
                        prop_assert!(!now.reached(queue.queue.next()));
                    }
                }
                let ExpiryQueue { by_boot, by_wall } = &queue.queue;
                let compacts = by_boot.needs_compaction() || by_wall.needs_compaction();
                prop_assert_eq!(queue.queue.needs_compaction(), compacts);
                prop_assert!(!compacts || now.reached(queue.queue.next()));
                for clock in [&queue.queue.by_boot, &queue.queue.by_wall] {
                    prop_assert_eq!(clock.near.len() + clock.valid, queue.scheduled.len());
                }
            }
        }
    }
}
