//! Predicts when there will be room: counts the events of each kind in each second, on both clocks.
//!
//! A refusal says when to retry, and must cost less than the work that it refuses. So it takes no lock and
//! visits no key: it adds up counters that are updated with every change of an expiry queue. The counters
//! decide nothing, so `loom` does not model them.

use super::shard::Event;
use crate::platform::clock::TimePoint;
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// The milliseconds per counter, as a power of two.
const SECOND_BITS: u32 = 10;
/// How many counters are allocated together.
const CHUNK: usize = 64;
/// How many chunks the ring has: two and a third hours. Events lie less than 71 minutes ahead.
const CHUNKS: u64 = if cfg!(ok2cry_loom) { 1 } else { 128 };
/// How many seconds ahead a forecast reads: a key's longest life, and its tombstone's.
const AHEAD: u64 = 4_300;
/// How many seconds back it reads: events that are due and not handled yet.
const BEHIND: u64 = 2;

type Chunk = [AtomicU64; CHUNK];

/// Counts of events by second. They change together with the expiry queues, under the lock of a shard.
#[derive(Debug)]
pub(super) struct Forecast {
    deadlines: [ClockCounts; 2],
    replies: [ClockCounts; 2],
    tombstones: [ClockCounts; 2],
}

/// The counts on one clock. Most chunks are never allocated.
#[derive(Debug)]
struct ClockCounts {
    reads: fn(TimePoint) -> u64,
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

/// The number of events in a second, and the first and last of all since the second was empty, in
/// milliseconds from its start.
#[derive(Clone, Copy)]
struct Second {
    count: u64,
    first: u64,
    last: u64,
}

impl Forecast {
    /// A forecast without events.
    pub(super) fn new() -> Self {
        let clocks = || [ClockCounts::new(|now| now.boot_ms), ClockCounts::new(|now| now.wall_ms)];
        Self { deadlines: clocks(), replies: clocks(), tombstones: clocks() }
    }

    /// Counts an event.
    pub(super) fn add(&self, event: Event, at: TimePoint) {
        for clock in self.of(event) {
            clock.add(at);
        }
    }

    /// Removes an event that was added with the same arguments.
    pub(super) fn remove(&self, event: Event, at: TimePoint) {
        for clock in self.of(event) {
            clock.remove(at);
        }
    }

    /// In how many milliseconds the `n`th event of a kind is due, on the clock that reaches it first; 0 if it
    /// is due.
    ///
    /// The result is exact for the first and the last event of a second if no other of that second was
    /// removed, and within a second otherwise.
    pub(super) fn wait_ms(&self, event: Event, n: usize, now: TimePoint) -> Option<u64> {
        let n = (n as u64).max(1);
        let [boot, wall] = self.of(event);
        let by_boot = boot.wait_ms(n, now, AHEAD);
        // The second clock matters only up to the first clock's result.
        let ahead = by_boot.map_or(AHEAD, |wait| (wait >> SECOND_BITS) + 1);
        by_boot.into_iter().chain(wall.wait_ms(n, now, ahead)).min()
    }

    fn of(&self, event: Event) -> &[ClockCounts; 2] {
        match event {
            Event::Deadline => &self.deadlines,
            Event::DropReply => &self.replies,
            Event::Forget => &self.tombstones,
        }
    }
}

impl ClockCounts {
    fn new(reads: fn(TimePoint) -> u64) -> Self {
        Self { reads, chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    fn add(&self, at: TimePoint) {
        let at_ms = (self.reads)(at);
        let Some(chunk) = self.chunk(at_ms >> SECOND_BITS) else { return };
        let chunk = chunk.get_or_init(|| Box::new([const { AtomicU64::new(0) }; CHUNK]));
        let Some(second) = of_chunk(chunk, at_ms >> SECOND_BITS) else { return };
        let within = at_ms & ((1 << SECOND_BITS) - 1);
        let add = |packed| Some(Second::unpack(packed).with(within).pack());
        let _ = second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn remove(&self, at: TimePoint) {
        let second = (self.reads)(at) >> SECOND_BITS;
        if let Some(count) = self.second(second) {
            // The count has the lowest bits, and only added events are removed.
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn wait_ms(&self, n: u64, now: TimePoint, ahead: u64) -> Option<u64> {
        let now_ms = (self.reads)(now);
        let (mut second, mut before) = ((now_ms >> SECOND_BITS).saturating_sub(BEHIND), 0);
        let end = (now_ms >> SECOND_BITS).saturating_add(ahead);
        while second <= end {
            count_read();
            match self.second(second) {
                // This chunk was never allocated.
                None => second = (second / CHUNK as u64 + 1) * CHUNK as u64,
                Some(packed) => {
                    let found = Second::unpack(packed.load(Ordering::Relaxed));
                    if before + found.count >= n {
                        let at_ms = (second << SECOND_BITS) + found.nth(n - before);
                        return Some(at_ms.saturating_sub(now_ms));
                    }
                    (second, before) = (second + 1, before + found.count);
                }
            }
        }
        None
    }

    fn second(&self, second: u64) -> Option<&AtomicU64> {
        of_chunk(self.chunk(second)?.get()?, second)
    }

    fn chunk(&self, second: u64) -> Option<&OnceLock<Box<Chunk>>> {
        usize::try_from(second / CHUNK as u64 % CHUNKS).ok().and_then(|place| self.chunks.get(place))
    }
}

fn of_chunk(chunk: &Chunk, second: u64) -> Option<&AtomicU64> {
    usize::try_from(second % CHUNK as u64).ok().and_then(|place| chunk.get(place))
}

impl Second {
    const COUNT_BITS: u32 = 40;

    fn unpack(packed: u64) -> Self {
        let within = |shift: u32| packed >> shift & ((1 << SECOND_BITS) - 1);
        Self {
            count: packed & ((1 << Self::COUNT_BITS) - 1),
            first: within(Self::COUNT_BITS),
            last: within(Self::COUNT_BITS + SECOND_BITS),
        }
    }

    fn pack(self) -> u64 {
        self.count | self.first << Self::COUNT_BITS | self.last << (Self::COUNT_BITS + SECOND_BITS)
    }

    fn with(self, within: u64) -> Self {
        if self.count == 0 {
            return Self { count: 1, first: within, last: within };
        }
        Self { count: self.count + 1, first: self.first.min(within), last: self.last.max(within) }
    }

    /// When the `n`th event is due, if they are spread evenly.
    fn nth(self, n: u64) -> u64 {
        let span = (self.last - self.first) * (n - 1);
        self.first + span.checked_div(self.count - 1).unwrap_or_default()
    }
}

/// Tests bound how many counters a refusal reads.
#[cfg(not(all(test, not(ok2cry_loom))))]
const fn count_read() {}

#[cfg(all(test, not(ok2cry_loom)))]
use tests::count_read;
#[cfg(all(test, not(ok2cry_loom)))]
pub(super) use tests::reads;

// Under loom the ring is too short for these tests, which need one thread only.
#[cfg(all(test, not(ok2cry_loom)))]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local!(static READS: Cell<u64> = const { Cell::new(0) });

    pub(super) fn count_read() {
        READS.with(|reads| reads.set(reads.get() + 1));
    }

    /// How many counters this thread has read.
    pub(in crate::keys::store) fn reads() -> u64 {
        READS.with(Cell::get)
    }

    const NOW: TimePoint = TimePoint { boot_ms: 7_000_000, wall_ms: 1_800_000_000_123 };
    const KIND: Event = Event::Deadline;

    #[test]
    fn the_sooner_clock_counts_and_kinds_are_separate() {
        let forecast = Forecast::new();
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), None);
        let late = TimePoint { wall_ms: NOW.wall_ms + 5_000, ..NOW.plus(90_000) };
        forecast.add(KIND, late);
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(5_000));
        assert_eq!(forecast.wait_ms(KIND, 2, NOW), None);
        forecast.remove(KIND, late);
        forecast.add(KIND, TimePoint { boot_ms: NOW.boot_ms + 4_000, ..NOW.plus(90_000) });
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(4_000));
        assert_eq!(forecast.wait_ms(Event::Forget, 1, NOW), None);
    }

    #[test]
    fn an_event_that_is_due_and_not_handled_waits_0_ms() {
        let forecast = Forecast::new();
        forecast.add(KIND, NOW);
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(0));
        assert_eq!(forecast.wait_ms(KIND, 1, NOW.plus(1_500)), Some(0));
    }

    #[test]
    fn the_longest_life_and_its_tombstone_are_in_range() {
        let forecast = Forecast::new();
        let last = NOW.plus(3_600_000 + 600_000);
        forecast.add(KIND, last);
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(4_200_000));
        let before = reads();
        assert_eq!(forecast.wait_ms(KIND, 2, NOW), None);
        assert!(reads() - before <= 2 * (AHEAD + BEHIND + 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// After any additions and removals the nth event is within a second, and without removals the first
        /// is exact.
        #[test]
        fn a_forecast_is_right_within_a_second(
            added in prop::collection::vec((1_u64..4_200_000, any::<bool>()), 1..60),
            narrow in any::<bool>(),
        ) {
            let forecast = Forecast::new();
            let (mut left, mut removed) = (Vec::new(), Vec::new());
            for (ms, stays) in added {
                let ms = if narrow { 60_000 + ms % 3_000 } else { ms };
                forecast.add(KIND, NOW.plus(ms));
                if stays { left.push(ms) } else { removed.push(ms) }
            }
            if removed.is_empty() {
                prop_assert_eq!(forecast.wait_ms(KIND, 1, NOW), left.iter().copied().min());
            }
            removed.iter().for_each(|ms| forecast.remove(KIND, NOW.plus(*ms)));
            left.sort_unstable();
            for (n, ms) in left.iter().enumerate() {
                let predicted = forecast.wait_ms(KIND, n + 1, NOW).unwrap();
                prop_assert!(predicted.abs_diff(*ms) < 1 << SECOND_BITS, "{} for {}", predicted, ms);
            }
            prop_assert_eq!(forecast.wait_ms(KIND, left.len() + 1, NOW), None);
        }
    }
}
